# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Apache Superset, in an environment of its own; nothing is installed on the machine.

python -m tests.superset [WORDS]     makes it ready and runs the tests that need it, with these words for pytest
"""

from __future__ import annotations

import subprocess
import sys

from tests import CHECKOUT
from tests.debian import Unavailable
from tests.environments import Environment

#: It does not say that it needs two of these, and fails with a newer Flask-Caching. It is not released for newer Pythons.
SUPERSET = Environment(
    "superset",
    ("apache-superset==6.1.0", "psycopg2-binary", "rich", "cachetools", "flask-caching==2.3.1"),
    ("python3.12", "python3.11", "python3.10"),
)


def main(words: list[str]) -> int:
    """Return pytest's exit code."""
    try:
        SUPERSET.make_ready()
    except Unavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "pytest", "-m", "superset", "tests/integration/notifications", *words]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
