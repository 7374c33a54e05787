# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs scout_evidence in the worker."""

from __future__ import annotations

from ..modules import scout_evidence
from ..plugin_utils.in_worker import InWorker


class ActionModule(InWorker):
    """Of that module."""

    module = scout_evidence
