# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds the controller before a task, until the test lets it go on."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: hold
type: aggregate
short_description: Hold the controller before a task
description:
  - Makes the file in E(SCOUT_HOLD_FILE) before the task whose name ends with E(SCOUT_HOLD_AT), and waits until it is gone.
options: {}
"""


class CallbackModule(CallbackBase):
    """Waits where a test asks for it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "hold"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_task_start(self, task: Any, is_conditional: bool) -> None:  # noqa: ARG002
        """Waits if this is the task."""
        if task.get_name().endswith(os.environ["SCOUT_HOLD_AT"]):
            file = Path(os.environ["SCOUT_HOLD_FILE"])
            file.touch()
            while file.exists():
                time.sleep(0.05)
