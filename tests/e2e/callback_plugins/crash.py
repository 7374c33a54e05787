# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kills the controller, as a power cut would, at the task that SCOUT_CRASH_AT numbers."""

from __future__ import annotations

import os
import signal

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: crash
type: aggregate
short_description: Kill the controller at a task boundary
description:
  - Counts the tasks of a run and sends SIGKILL to the controller before the one that E(SCOUT_CRASH_AT) numbers, from 1.
options: {}
"""


class CallbackModule(CallbackBase):
    """Counts the tasks that begin."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "crash"

    def __init__(self) -> None:
        super().__init__()
        self._left = int(os.environ.get("SCOUT_CRASH_AT", "0"))

    def v2_playbook_on_task_start(self, *_: object, **__: object) -> None:
        """Dies when its time has come."""
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
