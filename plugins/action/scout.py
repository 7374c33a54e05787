# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the module whose name this file has: each of them has a link to it, as those of network collections have.

Ansible loads it in the controller, before it forks the first worker for such a task, and with it all that this module needs.
"""

from __future__ import annotations

from ..plugin_utils import front, preload

if (module := __name__.rpartition(".")[2]) != "scout":
    preload.module(module)


class ActionModule(front.ActionModule):
    """The one front, under the name of a module."""
