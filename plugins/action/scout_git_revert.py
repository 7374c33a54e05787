# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs scout_git_revert as every other module is run, but outside their group: it knows no option of a database."""

from __future__ import annotations

from .scout import ActionModule as Front


class ActionModule(Front):
    """A name of its own: defaults of a group go to all that a redirect leads to the same plugin."""
