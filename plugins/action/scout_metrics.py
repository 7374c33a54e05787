# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes metrics on the controller, where the node exporter is, whatever the connection."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ..plugin_utils.front import module_of, validated  # isort: skip  # first: it serves the others from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.invoke import failure, invoke
from ..plugin_utils import task_options

#: Loaded before the controller forks.
MODULE = module_of("scout_metrics")


class ActionModule(ActionBase):
    """Runs scout_metrics in process."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        try:
            params = validated(MODULE, task_options.given(self._task, MODULE.SPEC, task_vars or {}, self._templar))
        except BadInput as e:
            return failure(e)
        return invoke(MODULE.run, "scout_metrics", params, check=bool(self._task.check_mode))
