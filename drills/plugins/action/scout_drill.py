# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run drills on the controller, which has the playbooks, whatever the connection is."""

from __future__ import annotations

import json
import os
import typing as t
from pathlib import Path

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import failure, secrets
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.controller import this_controller
from ansible_collections.scout.recovery.plugins.plugin_utils.in_worker import stoppable

from ..modules import scout_drill

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..plugin_utils.drill.execution.drill_run import Request

display = Display()

GROUP = "scout"


class ActionModule(ActionBase):
    """Runs scout_drill in process."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the module's result, also for a drill that did not pass."""
        super().run(tmp, task_vars)
        for given in t.cast("list[dict[str, str]]", self._task.environment or []):
            os.environ.update(given)
        _, options = self.validate_argument_spec(scout_drill.SPEC)
        params: dict[str, t.Any] = json.loads(json.dumps(options))
        hidden = _secrets(params["dsn"])

        def say(line: str) -> None:
            display.display(f"[drill] {remove_values(line, hidden)}", color="cyan", stderr=True)

        try:
            result = self._result(params, task_vars or {}, say)
        except RecoveryError as e:
            return t.cast("dict[str, t.Any]", remove_values(failure(e), hidden))
        return t.cast("dict[str, t.Any]", remove_values(result, hidden))

    def _result(
        self, params: dict[str, t.Any], variables: dict[str, t.Any], say: t.Callable[[str], None]
    ) -> scout_drill.DrillResult:
        # The libraries of a drill take long to load, and every start loads every action.
        from ..plugin_utils.drill.execution import drill_run

        request = self.request(params, variables)
        chosen, elsewhere = drill_run.choose(request)
        planned: scout_drill.DrillResult = {
            "changed": False,
            "summary": f"would drill {count(len(chosen), 'scenario')}",
            "scenarios": [each.name for each in chosen],
            "elsewhere": elsewhere,
            "verdict": None,
            "document": None,
            "folder": None,
            "page": None,
        }
        if self._task.check_mode:
            for each in chosen:
                say(f"would drill {drill_run.describe(each)}")
            return planned
        with stoppable(Progress(say)) as progress, progress.never_silent():
            done = drill_run.run(request, progress)
        return {
            **planned,
            "changed": request.dsn is not None,
            "summary": done.summary,
            "verdict": done.document["verdict"],
            "document": done.document,
            "folder": str(done.folder),
            "page": str(done.page),
        }

    def request(self, params: dict[str, t.Any], variables: Mapping[str, t.Any]) -> Request:
        """Return the options together with what the inventory knows."""
        from ..plugin_utils.drill.execution import drill_run

        dsn = params["dsn"] or None
        return drill_run.Request(
            names=tuple(name.strip() for name in params["scenarios"] if name.strip()),
            output=Path(params["output_dir"]).expanduser().absolute(),
            dsn=dsn,
            budgets=params["budgets"] or {},
            config_file=t.cast("t.Any", C).CONFIG_FILE,
            collections=tuple(C.config.get_config_value("COLLECTIONS_PATHS")),
            operator=this_controller(None).actor,
            hosts=_hosts(variables) if dsn else (),
        )


def _secrets(dsn: str | None) -> set[str]:
    """Return every spelling of the password."""
    if not dsn:
        return set()
    return {each for each in secrets({"dsn": dsn}) if each != dsn or "=" in each or "://" in each}


def _hosts(variables: Mapping[str, t.Any]) -> list[t.Any]:
    """Return every database of the inventory."""
    from ..plugin_utils.drill.sandbox.production_guard import Host

    hosts = variables.get("hostvars") or {}
    groups: Mapping[str, list[str]] = variables.get("groups") or {}
    made: list[t.Any] = []
    for name in groups.get("all", []):
        shell = os.environ.get("SCOUT_DSN", "") if name in groups.get(GROUP, []) else ""
        if dsn := str(hosts[name].get("scout_dsn") or shell):
            made.append(Host(name, dsn))
    return made
