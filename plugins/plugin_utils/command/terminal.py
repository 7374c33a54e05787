# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs what was asked for: shows the command, at a terminal the plan as well, and becomes ansible-playbook."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import typing as t
from pathlib import Path

from ...module_utils.recovery.core.text import visible
from ...module_utils.recovery.summary import layout
from . import line, options, parser

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .parser import Asked

#: The exit code where somebody saw the plan and did not want it.
DECLINED: t.Final = 1
MISSING: t.Final = 127


def main(typed: Sequence[str], executable: str) -> int:
    """The exit code; that of ansible-playbook wherever it was run. `executable` is the Python beside which it is looked for."""
    try:
        asked = parser.read(typed)
    except parser.Mistyped as e:
        return _refuse(str(e), parser.WRONG)
    place = line.Place(options.ROOT, _here(), os.environ)
    program = _program(executable)
    if program is None:
        return _refuse("ansible-playbook is not installed here; in the checkout, . ./activate installs it", MISSING)
    run = _Run(program, place)
    if asked.command.moves and not asked.check and not asked.yes and _at_a_terminal():
        code, asked = _planned(run, asked)
        if code:
            return _refuse("nothing was changed: the plan failed, as said above", code)
        if not confirmed(" ".join(asked.command.words)):
            return _refuse("nothing was changed", DECLINED)
    return run.become(line.words(asked, place))


class _Run(t.NamedTuple):
    """How a command is run from here."""

    program: str
    place: line.Place

    def become(self, words: Sequence[str]) -> t.NoReturn:
        """Shows the command and becomes it."""
        environment = self._shown(words)
        os.execve(self.program, [self.program, *words[1:]], environment)

    def wait(self, words: Sequence[str]) -> int:
        """Shows the command, runs it and gives its exit code; Ctrl-C is for the playbook, which ends in order."""
        environment = self._shown(words)
        # A handler of ours, and not SIG_IGN, which the playbook would inherit.
        before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
        try:
            return subprocess.Popen([self.program, *words[1:]], env=environment).wait()
        finally:
            signal.signal(signal.SIGINT, before)

    def _shown(self, words: Sequence[str]) -> dict[str, str]:
        settings = self.place.settings()
        show(line.shown(words, settings))
        if self.place.strange:
            sys.stderr.write(f"{line.UNUSED}\n")
        sys.stderr.flush()
        return {**os.environ, **settings}


def _planned(run: _Run, asked: Asked) -> tuple[int, Asked]:
    """Shows the plan: its exit code, and what is to be run after it."""
    if not line.is_last(asked):
        return run.wait(line.plan(asked, run.place)), asked
    with tempfile.TemporaryDirectory(prefix="scout-plan-") as folder:
        made = Path(folder) / "result.json"
        code = run.wait(line.plan(asked, run.place, str(made)))
        return code, line.pinned(asked, made.read_bytes()) if made.exists() else asked


def _here() -> Path:
    try:
        return Path.cwd().resolve()
    except OSError:
        return Path(os.sep)


def _program(executable: str) -> str | None:
    """The ansible-playbook of this Python, which has what the collection needs, or else the one that a shell would find."""
    beside = Path(executable).parent / line.PROGRAM
    return str(beside) if os.access(beside, os.X_OK) else shutil.which(line.PROGRAM)


def _at_a_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()


def confirmed(what: str) -> bool:
    """Whether somebody says yes; an empty line, the end of the input and Ctrl-C say no."""
    sys.stderr.write(f"\nThat is the plan. Run {what} now? [y/N] ")
    sys.stderr.flush()
    try:
        answer = sys.stdin.readline()
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return False
    return answer.strip().lower() in ("y", "yes")


def _room() -> int:
    """How wide a line may be, as a terminal would break it within a word; 0 where nobody does."""
    return shutil.get_terminal_size().columns - 1 if sys.stderr.isatty() else 0


def show(command: str) -> None:
    """Says what is run; at a terminal folded where it is long, so that it can still be pasted."""
    said = f"+ {command}"
    sys.stderr.write("\n".join(layout.folded(said, _room() or len(said))) + "\n")


def _refuse(text: str, code: int) -> int:
    room, said = _room(), f"scout: {visible(text)}"
    sys.stderr.write(
        "\n".join(textwrap.wrap(said, room, break_on_hyphens=False, subsequent_indent="  ") if room else [said]) + "\n"
    )
    return code
