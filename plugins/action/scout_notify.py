# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells channels from the controller, where templates and ways out are, whatever the connection."""

from __future__ import annotations

import json
import os
import typing as t

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.front import module_of, validated  # isort: skip  # first: it serves the others from bytecode
from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.progress import Progress
from ..module_utils.recovery.invoke import failure, invoke
from ..module_utils.recovery.notifications import channels
from ..plugin_utils import task_options, voice

display = Display()

#: Loaded before the controller forks.
MODULE = module_of("scout_notify")


class ActionModule(ActionBase):
    """Runs scout_notify in process; a channel that is described wrongly is a result, not a failure."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The module's result."""
        super().run(tmp, task_vars)
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        os.environ.update(environment)
        args = task_options.given(self._task, MODULE.SPEC, task_vars or {}, self._templar)
        given: list[t.Any] = _plain_channels(args.pop("channels", None) or [])
        try:
            params = {**validated(MODULE, args), "channels": given}
        except BadInput as e:
            return failure(e)
        host = (task_vars or {}).get("inventory_hostname", "localhost")
        hidden = {secret for raw in given for secret in channels.secrets(raw)}

        def say(line: str) -> None:
            if not self._task.no_log:
                voice.say(display, f"[{host}] {channels.hide(line, hidden)}", self._task, color="cyan")

        voice.begin(display, self._task)
        return invoke(MODULE.run, "scout_notify", params, check=bool(self._task.check_mode), progress=Progress(say))


def _plain_channels(value: t.Any) -> list[t.Any]:
    """Channels as plain values, also those that were typed as JSON or are no list at all."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = [value]
    plain = json.loads(json.dumps(value, default=str))
    return plain if isinstance(plain, list) else [plain]
