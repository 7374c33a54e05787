# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What pg_dump says of a database, and where it and its like are."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from ..server.binaries import account, bin_dir, environment

KEY_OF_DUMP = re.compile(r"^\\(?:un)?restrict .*\n", re.MULTILINE)


def program(name: str) -> str:
    """A program of the server under test, else the system's."""
    try:
        bundled = bin_dir(account()) / name
    except RuntimeError:
        bundled = Path(name)
    found = str(bundled) if bundled.is_file() else shutil.which(name)
    assert found, f"{name} is not installed"
    return found


def dump(dsn: str, *options: str) -> str:
    """What pg_dump writes, without the random key in it."""
    done = subprocess.run(
        [program("pg_dump"), *options, "-d", dsn], env=environment(), capture_output=True, text=True, check=True
    )
    return KEY_OF_DUMP.sub("", done.stdout)
