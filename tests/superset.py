# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real Apache Superset, in an environment of its own; nothing is installed on the machine.

python -m tests.superset [WORDS]     makes it ready and runs the tests that need it, with these words for pytest
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests import CHECKOUT, debian
from tests.debian import Unavailable

HOME = debian.CACHE / "superset"
STAMP = HOME / "made-of"
#: It does not say that it needs two of these, and fails with a newer Flask-Caching.
PACKAGES = ("apache-superset==6.1.0", "psycopg2-binary", "rich", "cachetools", "flask-caching==2.3.1")
#: It is not released for newer ones.
PYTHONS = ("python3.12", "python3.11", "python3.10")


def main(words: list[str]) -> int:
    """Return pytest's exit code."""
    try:
        make_ready()
    except Unavailable as problem:
        print(problem, file=sys.stderr)
        return 1
    command = [sys.executable, "-m", "pytest", "-m", "superset", "tests/integration/notifications", *words]
    return subprocess.run(command, cwd=CHECKOUT, check=False).returncode


def make_ready() -> None:
    """Return once it is installed below .cache; raises Unavailable."""
    if installed():
        return
    python = next((found for name in PYTHONS if (found := shutil.which(name))), None)
    if python is None:
        raise Unavailable(f"Superset cannot be installed: none of {', '.join(PYTHONS)} is there")
    shutil.rmtree(HOME, ignore_errors=True)
    for command in (
        [python, "-m", "venv", str(HOME)],
        [str(HOME / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *PACKAGES],
    ):
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""}
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
            raise Unavailable(f"Superset cannot be installed: {said[-1]}")
    STAMP.write_text(" ".join(PACKAGES), encoding="utf-8")


def installed() -> bool:
    """Whether it is there, of this version."""
    return STAMP.exists() and STAMP.read_text(encoding="utf-8") == " ".join(PACKAGES)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
