# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps the documents that a run hands to AWX, also those of a check, which writes no result file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: documents
type: aggregate
short_description: Keep the documents of all hosts
description:
  - Writes C(scout_results) of the run to the file in E(SCOUT_DOCUMENTS).
options: {}
"""


class CallbackModule(CallbackBase):
    """Writes at the end of a run."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "documents"
    CALLBACK_NEEDS_ENABLED = True

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The documents, by host."""
        found = stats.custom.get("_run", {}).get("scout_results")
        path = os.environ.get("SCOUT_DOCUMENTS")
        if found and path:
            made = {"format": "scout-recovery-result/1", "results": list(found.values())}
            Path(path).write_text(json.dumps(made))
