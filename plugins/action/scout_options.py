# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks on the controller what was set for the roles of an operation, whatever the connection."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ..plugin_utils.front import mistyped, module_of, validated  # isort: skip  # first: it serves the others from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.text import count
from ..module_utils.recovery.invoke import failure
from ..plugin_utils import given_options

#: Loaded before the controller forks.
MODULE = module_of("scout_options")


class ActionModule(ActionBase):
    """Runs scout_options in process."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Success where every option is as its role specifies it, else a failure that names each that is not."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        try:
            ignored = mistyped(self._loader, variables)
            roles: list[str] = validated(MODULE, self._task.args)["roles"]
            given_options.refuse_wrong(roles, variables, self._templar, self._loader)
            ignored += given_options.unread(roles, variables, self._loader)
        except BadInput as e:
            return failure(e)
        told = {"warnings": ignored} if ignored else {}
        return {"changed": False, "summary": f"the options of {count(len(roles), 'role')} are as specified", **told}
