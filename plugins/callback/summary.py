# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the summaries of all hosts as the very last lines on the screen."""

from __future__ import annotations

import atexit
import os
import textwrap
import typing as t

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Show what the operations did as the last lines on the screen
version_added: 0.1.0
description:
  - Shows the lines of each M(scout.recovery.scout_summary) task after everything else.
  - Without it, the same lines appear where that task runs.
requirements:
  - enable it as C(callbacks_enabled = scout.recovery.summary)
author:
  - Scout Recovery contributors (@scout-recovery)
"""


#: What is to be said of an operation, and of a drill, that was broken off.
OPERATION = (
    "whatever was committed stays; ingestion is as it was left, perhaps paused",
    "run the same command again, or ansible-playbook playbooks/assess.yml",
)
DRILL = (
    "what the drill started is ended and its sandbox removed; no pipeline was touched",
    "see scorecard.json in the newest folder of drill_output_dir, or run it again",
)


class CallbackModule(CallbackBase):
    """Collects the summaries and prints them after the recap."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "scout.recovery.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self) -> None:
        super().__init__()
        self._summaries: list[list[str]] = []
        self._unfinished = ""
        # After Ctrl-C no other method is called.
        atexit.register(self._interrupted, os.getpid())

    def v2_playbook_on_task_start(self, task: t.Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Remembers that something of the collection has begun."""
        if ".scout_" in f".{task.action}":
            self._unfinished = str(task.action)

    def v2_runner_on_ok(self, result: t.Any) -> None:
        """Keeps the lines of a summary."""
        self._keep(result)

    def v2_runner_on_failed(self, result: t.Any, ignore_errors: bool = False) -> None:  # noqa: ARG002
        """Keeps the lines of a summary of something that ended badly."""
        self._keep(result)

    def v2_runner_on_unreachable(self, result: t.Any) -> None:
        """Says of a bastion out of reach what no task can say there."""
        why = " ".join(str(result._result.get("msg", "")).split())
        lines = [f"{result._host.get_name()} could not be reached"]
        for name, text in (("failed", why), ("next", "check the connection, then run the same command again")):
            first, *rest = textwrap.wrap(text, 70, break_on_hyphens=False) or [""]
            lines += [f"  {name:<6} {first}", *(f"         {line}" for line in rest[:2])]
        self._summaries.append(lines)

    def v2_playbook_on_stats(self, stats: t.Any) -> None:  # noqa: ARG002
        """Prints what was kept."""
        self._unfinished = ""
        for lines in self._summaries:
            self._display.display("\n".join([*lines, ""]))

    def _interrupted(self, pid: int) -> None:
        """Says how things stand where no summary could."""
        if self._unfinished and os.getpid() == pid:
            now, then = DRILL if self._unfinished.endswith("scout_drill") else OPERATION
            self._display.display(f"\ninterrupted\n  now    {now}\n  next   {then}\n")

    def _keep(self, result: t.Any) -> None:
        lines = result._result.get("_ansible_scout_lines")
        if lines:
            self._summaries.append(lines)
