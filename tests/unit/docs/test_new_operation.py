# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What `make new-operation` begins is whole: all that is missing is what only people can write."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import CHECKOUT

MOST_FILES = 20


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The checkout, as git has it and with what is not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=CHECKOUT, stdout=subprocess.PIPE, check=True
    ).stdout  # fmt: skip
    there = b"\0".join(name for name in listed.split(b"\0") if name and os.path.lexists(CHECKOUT / os.fsdecode(name)))
    packed = subprocess.run(
        ["tar", "-cf", "-", "--null", "-T", "-"], cwd=CHECKOUT, input=there, stdout=subprocess.PIPE, check=True
    )
    subprocess.run(["tar", "-xf", "-"], cwd=tmp_path, input=packed.stdout, check=True)
    return tmp_path


def run(folder: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A program of that checkout, with its own collections."""
    env = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{folder / '.collections'}"}
    command = [sys.executable, str(folder / "scripts" / script), *arguments]
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)


def test_what_is_begun_lacks_only_the_line_of_its_command(copy: Path) -> None:
    made = run(copy, "new-operation", "vacuum_tables")
    assert made.returncode == 0, made.stdout + made.stderr
    checked = run(copy, "check-docs")
    said = re.findall(r"^(\S+?):\d+: (.*) \(", checked.stdout, re.MULTILINE)
    assert said == [("docs/command.md", "has no line for vacuum_tables.yml")], checked.stdout + checked.stderr
    files = [
        name for name in copy.rglob("*") if name.is_file() and not name.is_symlink() and "__pycache__" not in name.parts
    ]
    other = [
        name for name in files
        if not (old := CHECKOUT / name.relative_to(copy)).is_file() or old.read_bytes() != name.read_bytes()
    ]  # fmt: skip
    assert 10 < len(other) <= MOST_FILES, other
    # There is one of that name.
    assert run(copy, "new-operation", "vacuum_tables").returncode == 1
    assert run(copy, "new-operation", "Vacuum").returncode == 1
