# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says which tasks were handed to a process of their own, those that it skipped too."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: started
type: aggregate
short_description: Write down each task that is started
description:
  - Appends the host and the name of each task to the file in E(SCOUT_STARTED), before its condition is known.
options: {}
"""


class CallbackModule(CallbackBase):
    """Hears of each task before a process is forked for it."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "started"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_start(self, host: Any, task: Any) -> None:
        """A line."""
        with Path(os.environ["SCOUT_STARTED"]).open("a") as file:
            file.write(f"{host.get_name()}\t{task.name}\n")
