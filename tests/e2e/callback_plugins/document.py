# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One JSON document on standard output, as a pipeline reads it."""

from __future__ import annotations

import json
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = r"""
name: document
type: stdout
short_description: Print one JSON document at the end
description:
  - Prints what each host came to, as the callback json of ansible.posix does.
options: {}
"""


class CallbackModule(CallbackBase):
    """Prints the counts of all hosts."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "document"

    def v2_playbook_on_stats(self, stats: Any) -> None:
        """The document."""
        self._display.display(json.dumps({"stats": {host: stats.summarize(host) for host in stats.processed}}))
