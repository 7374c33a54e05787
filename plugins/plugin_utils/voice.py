# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said besides Ansible's own lines: on the screen where a person reads it, else where it breaks no document."""

from __future__ import annotations

import os
import typing as t

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible import context

if t.TYPE_CHECKING:
    from ansible.utils.display import Display

SCREEN: t.Final = "scout.recovery.screen"
#: What writes lines for people to standard output; of all others, that belongs to them.
SCREENS: t.Final = frozenset({SCREEN, "default", "ansible.builtin.default"})
#: What ansible-runner puts before the one that was chosen.
RUNNER: t.Final = "awx_display"


class Line(str):
    """A line of a task that is at work; the screen shows the header of that task before it, and no empty line."""

    __slots__ = ("task",)

    def __new__(cls, text: str, task: str = "") -> t.Self:
        """`task` is the id that Ansible gave it."""
        made = super().__new__(cls, text)
        made.task = task
        return made

    def __reduce__(self) -> tuple[t.Any, ...]:
        """From a worker to the process that writes."""
        return Line, (str(self), self.task)


def begin(display: Display, task: t.Any) -> None:
    """Has the screen show what is done now, before it is done."""
    if _stdout() == SCREEN:
        display.display(Line("", str(task._uuid)))


def say(display: Display, text: str, task: t.Any = None, color: str | None = None) -> None:
    """Shows a line, of a task or of none."""
    line = Line(text, str(task._uuid)) if task is not None and _stdout() == SCREEN else text
    display.display(line, color=color, stderr=_stdout() not in SCREENS)


def is_ours() -> bool:
    """Whether our own screen writes to standard output."""
    return _stdout() == SCREEN


def is_run() -> bool:
    """Whether ansible-runner, or AWX, keeps what is shown."""
    return str(C.config.get_config_value("DEFAULT_STDOUT_CALLBACK")) == RUNNER


def _stdout() -> str:
    """What writes to standard output; the command `ansible` has its own."""
    if "module_name" in context.CLIARGS:
        return "minimal"
    chosen = str(C.config.get_config_value("DEFAULT_STDOUT_CALLBACK"))
    return os.environ.get("ORIGINAL_STDOUT_CALLBACK") or "default" if chosen == RUNNER else chosen
