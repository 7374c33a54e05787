# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lines of summaries on their way from the task that makes them to the callback that shows them last of all.

They go through a folder of the controller's: of what a result carries, ansible-core before 2.21 strips what is not to be shown,
and shows the rest.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import tempfile
import typing as t
from pathlib import Path

#: Says to the workers of one controller, and to no playbook that they start, where the callback takes summaries.
PLACE: t.Final = "SCOUT_SUMMARIES"


def offer() -> None:
    """In the controller: says to the workers, which it forks later, that the callback is there."""
    folder, pid = tempfile.mkdtemp(prefix="scout-summaries-"), os.getpid()
    os.environ[PLACE] = f"{pid}:{folder}"
    atexit.register(lambda: shutil.rmtree(folder, ignore_errors=True) if os.getpid() == pid else None)


class Block(t.NamedTuple):
    """The lines of a summary below lines for the phases; the words in it that are in colour, which is ok, changed or error."""

    lines: list[str]
    words: str = ""
    colour: str = ""


class Handed(t.NamedTuple):
    """The lines of the summary of an operation on a host, what is drawn of it, empty elsewhere, and its exit code."""

    lines: list[str]
    host: str
    operation: str
    block: Block = Block([])
    exit_code: int = 0


def hand(handed: Handed, task: t.Any, host: str) -> bool:
    """In a worker: leaves the summary to the callback; False where there is none."""
    if (folder := _folder(os.getppid())) is None:
        return False
    (folder / _name(task, host)).write_text(json.dumps(handed), encoding="utf-8")
    return True


def take(task: t.Any, host: str) -> Handed | None:
    """In the controller: the summary of a task for a host, once; None of a task that is no summary."""
    folder = _folder(os.getpid())
    file = folder / _name(task, host) if folder else None
    if file is None or not file.exists():
        return None
    lines, host, operation, block, exit_code = json.loads(file.read_text(encoding="utf-8"))
    file.unlink()
    return Handed(lines, host, operation, Block(*block), exit_code)


def _folder(controller: int) -> Path | None:
    pid, _, folder = os.environ.get(PLACE, "").partition(":")
    return Path(folder) if folder and pid == str(controller) else None


def _name(task: t.Any, host: str) -> str:
    return hashlib.sha256(f"{task._uuid} {host}".encode()).hexdigest()
