# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run drills on the controller, which has the playbooks, whatever the connection is."""

from __future__ import annotations

import os
import typing as t
from pathlib import Path

from ansible import constants as C  # noqa: N812  # its name everywhere
from ansible.module_utils.common.parameters import remove_values
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible.utils.vars import load_extra_vars

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import failure, secrets
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.controller import this_controller
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars, preload, task_options, voice
from ansible_collections.scout.recovery.plugins.plugin_utils.front import mistyped, stoppable, validated

from ..modules import scout_drill
from ..plugin_utils.reference.server import places

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..plugin_utils.drill.execution.drill_run import Request

display = Display()

GROUP = "scout"
ROLES = (places.ROOT / "roles").resolve()

preload.compiled("ansible_collections.scout.drills.plugins")
extra_vars.read_also(places.ROOT)


class ActionModule(ActionBase):
    """Runs scout_drill in process."""

    MODULE: t.ClassVar[t.Any] = scout_drill
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return the module's result, also for a drill that did not pass."""
        super().run(tmp, task_vars)
        environment: dict[str, str] = {}
        self._compute_environment_string(environment)
        os.environ.update(environment)
        hidden: set[str] = set()

        def say(line: str) -> None:
            voice.say(display, f"[drill] {remove_values(line, hidden)}", self._task, color="cyan")

        try:
            ignored = mistyped(self._loader, task_vars or {})
            given = task_options.given(self._task, self.MODULE.SPEC, task_vars or {}, self._templar, ROLES)
            params = validated(self.MODULE, given)
            hidden |= _secrets(params["dsn"])
            result = self._result(params, task_vars or {}, say)
        except RecoveryError as e:
            return t.cast("dict[str, t.Any]", remove_values(failure(e), hidden))
        return t.cast("dict[str, t.Any]", remove_values({**result, "warnings": ignored}, hidden))

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

        if load_extra_vars(self._loader).get("scout_dsn"):
            raise BadInput(
                "a drill never works in the database of scout_dsn",
                next_step="leave out scout_dsn; drill_dsn names a restored database that may be broken",
            )
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
