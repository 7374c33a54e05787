# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drills on the controller, which has the playbooks, whatever the connection."""

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
from ansible_collections.scout.recovery.plugins.plugin_utils.front import guarded, mistyped, stoppable, validated

from ..modules import scout_drill
from ..plugin_utils.reference.server import places

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..plugin_utils.drill.execution.drill_run import Done, Request

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
        """The module's result; a drill that did not pass is one too."""
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
            hidden |= _secrets(params)
            about, lines, play = self.prepared(params, task_vars or {})
            if self._task.check_mode:
                for line in lines:
                    say(line)
                return {**about}
            with guarded(os.getppid(), "the drill"), stoppable(Progress(say)) as progress, progress.never_silent():
                done = play(progress)
        except RecoveryError as e:
            return t.cast("dict[str, t.Any]", remove_values(failure(e), hidden))
        found = done.verdict
        result: scout_drill.DrillResult = {
            **about,
            "verdict": found.word,
            "document": done.document,
            "folder": str(done.folder),
            "scorecard": str(done.pages[-1]),
            "warnings": [*done.warnings, *ignored],
            "summary": found.line,
        }
        return t.cast("dict[str, t.Any]", remove_values(result, hidden))

    def prepared(
        self, params: dict[str, t.Any], variables: dict[str, t.Any]
    ) -> tuple[scout_drill.DrillResult, list[str], Callable[[Progress], Done]]:
        """What is known before it begins, what a check says, and how it is begun."""
        # The libraries of a drill take long to load, and every start loads every action.
        from ..plugin_utils.drill.execution import drill_run

        request = self.request(params, variables)
        chosen, elsewhere = drill_run.choose(request)
        about = planned(
            f"would drill {count(len(chosen), 'scenario')} ({request.sandbox})",
            [each.name for each in chosen],
            elsewhere,
        )
        return (
            about,
            [f"would drill {drill_run.told(each)}" for each in chosen],
            lambda progress: drill_run.run(request, progress),
        )

    def request(self, params: dict[str, t.Any], variables: dict[str, t.Any]) -> Request:
        """The options together with what the inventory knows."""
        from ..plugin_utils.drill.execution import drill_run

        extra: Mapping[str, t.Any] = load_extra_vars(self._loader)
        if extra.get("scout_dsn"):
            raise BadInput(
                "a drill never works in the database of scout_dsn",
                next_step="leave scout_dsn out; sandbox_dsn names a server for scratch databases, schema_from a schema to clone",
            )
        sandbox, dsn = params["sandbox"], params.get("sandbox_dsn") or None
        if dsn and sandbox not in (None, "staging"):
            raise BadInput(
                f"sandbox {sandbox} has no use for sandbox_dsn", next_step="leave one out, or give -e sandbox=staging"
            )
        if sandbox == "staging" and not dsn:
            raise BadInput(
                "sandbox staging needs a server", next_step="name it with -e sandbox_dsn=…, which a vault may hold"
            )
        return drill_run.Request(
            names=tuple(name.strip() for name in params.get("scenarios", ()) if name.strip()),
            output=Path(params["output_dir"]).expanduser().absolute(),
            sandbox=sandbox or ("staging" if dsn else "embedded"),
            sandbox_dsn=dsn,
            schema_from=params["schema_from"] or None,
            cron_dsn=params["cron_dsn"] or None,
            clone_jobs=params["clone_jobs"],
            folders=tuple(
                Path(folder).expanduser().absolute() for folder in params.get("scenarios_dirs", ()) if folder
            ),
            history=_folder(params.get("history_dir")),
            templates=_folder(params.get("templates_dir")),
            severities=params.get("severities") or _severities(variables),
            config_file=t.cast("t.Any", C).CONFIG_FILE,
            collections=tuple(C.config.get_config_value("COLLECTIONS_PATHS")),
            operator=this_controller(None).actor,
            hosts=_hosts(variables, marked_by_hand="scout_drill_target" in extra) if dsn else (),
        )


def planned(summary: str, names: list[str], elsewhere: list[str]) -> scout_drill.DrillResult:
    """The result of what has not been run."""
    return {
        "changed": False,
        "summary": summary,
        "scenarios": names,
        "elsewhere": elsewhere,
        "verdict": None,
        "document": None,
        "folder": None,
        "scorecard": None,
    }


def _secrets(params: dict[str, t.Any]) -> set[str]:
    """Every spelling of the passwords among the options."""
    return {
        spelling
        for name in ("sandbox_dsn", "schema_from", "cron_dsn")
        if params.get(name)
        for spelling in secrets({"dsn": params[name]})
        if spelling != params[name] or "=" in spelling or "://" in spelling
    }


def _folder(name: str | None) -> Path | None:
    return Path(name).expanduser().absolute() if name else None


def _severities(variables: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """The team's, where the hosts of the pipelines have them; a drill runs on none of them."""
    hosts = variables.get("hostvars") or {}
    for name in (variables.get("groups") or {}).get(GROUP, []):
        if found := hosts[name].get("scout_incident_severities"):
            return dict(found)
    return {}


def _hosts(variables: Mapping[str, t.Any], *, marked_by_hand: bool) -> list[t.Any]:
    """Every database that the inventory knows; what is typed with -e marks none of them."""
    from ..plugin_utils.drill.sandbox.production_guard import MARK, Host

    hosts = variables.get("hostvars") or {}
    groups: Mapping[str, list[str]] = variables.get("groups") or {}
    made: list[t.Any] = []
    for name in groups.get("all", []):
        found = hosts[name]
        dsn = str(found.get("scout_dsn") or (os.environ.get("SCOUT_DSN", "") if name in groups.get(GROUP, []) else ""))
        if dsn:
            marked = found.get(MARK) is True and not marked_by_hand
            made.append(Host(name, dsn, marked, tuple(group for group in groups if name in groups[group])))
    return made
