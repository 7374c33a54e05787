# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Says at the end what the process that runs the play has loaded, and from where."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: loaded
type: aggregate
short_description: Write down what was imported
description:
  - Writes the name of each module that was imported, with its loader, its file and its bytecode, to the file in E(SCOUT_LOADED).
options: {}
"""


class CallbackModule(CallbackBase):
    """Looks once, after the last task."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "loaded"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:  # noqa: ARG002
        """The modules of this process: loader, file, and the file that its bytecode is kept in."""
        found = {
            name: [type(spec.loader).__name__, spec.origin, spec.cached]
            for name, module in sys.modules.items()
            if (spec := getattr(module, "__spec__", None)) is not None
        }
        Path(os.environ["SCOUT_LOADED"]).write_text(json.dumps(found))
