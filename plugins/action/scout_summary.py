# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes the summary on the controller and shows it, unless the summary callback shows it last of all."""

from __future__ import annotations

import os
import time
import typing as t
from pathlib import Path

from ansible.errors import AnsibleError
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ..plugin_utils.front import module_of, validated  # isort: skip  # first: it serves the others from bytecode
from ..module_utils.recovery.core.advice import Typed
from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.invoke import CONNECTION_SPEC
from ..module_utils.recovery.summary import verdict
from ..module_utils.recovery.summary.command import summarize
from ..plugin_utils import events, extra_vars, printed, standing, summaries, task_options, voice

display = Display()

DRILLS = ("drill",)

#: Loaded before the controller forks.
MODULE = module_of("scout_summary")


class ActionModule(ActionBase):
    """Runs scout_summary in process, whatever the connection."""

    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """The summary's result; its lines go to the callback, where that is enabled."""
        super().run(tmp, task_vars)
        variables = task_vars or {}
        given = task_options.given(self._task, MODULE.SPEC, variables, self._templar)
        try:
            params = validated(MODULE, given)
        except BadInput:
            # A step was given the same and refused it; what happened is still to be said.
            params = validated(MODULE, {**given, "resume": True})
        if _was_lost(params["steps"]):
            params["steps"] = [*params["steps"], {"looked_up": self._looked_up(variables)}]
        pid = os.getppid()
        ticks = started(pid)
        host = str(variables.get("inventory_hostname", "localhost"))
        drawn = events.drawn(display.verbosity) and extra_vars.ours(variables.get("playbook_dir", ""))
        result: dict[str, t.Any] = {
            **summarize(
                params,
                check=bool(self._task.check_mode),
                host=host,
                seconds=None
                if ticks is None
                else time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK"),
                run_key=run_key(pid),
                width=display.columns or 0,
                verbose=display.verbosity > 0,
                again=standing.same_command(),
                typed=_typed(params["operation"], variables),
                drawn=drawn,
                phases=len(variables.get("ansible_play_hosts_all") or ()) == 1,
            )
        }
        if "body" in result:
            return result
        lines = result.pop("lines", [])
        if params["first"]:
            # Where phases are drawn, they say it.
            if not drawn:
                voice.say(display, "\n".join(["", *lines, ""]), self._task)
            return result
        told = verdict.of(result["document"])
        block = summaries.Block(result.pop("drawn", []), told.words, told.colour)
        if not summaries.hand(summaries.Handed(lines, host, params["operation"], block, told.code), self._task, host):
            voice.say(display, "\n".join(["", *(block.lines or lines)]), self._task)
        if result.get("failed"):
            # Ansible would print all of it; the lines say it better, and result_file has it.
            result = {name: result[name] for name in ("failed", "changed", "msg", "verdict", "exit_code")}
        return result

    def _looked_up(self, variables: dict[str, t.Any]) -> dict[str, t.Any]:
        """How ingestion is now, where the database answers again."""
        try:
            reached = task_options.left_open(CONNECTION_SPEC, (), variables, self._templar, self._loader)
        except AnsibleError:
            return {}
        given = {task_options.VARIABLES[option]: value for option, value in reached.items()}
        found = standing.of({**variables, "scout_password": None, **given})
        return {"changed": False, "state": found["state"]} if found["state"] != "unknown" else {}


def _typed(operation: str, variables: dict[str, t.Any]) -> Typed:
    """How a command is typed here; a drill is of no host."""
    typed = printed.typed(variables.get("groups") or {}, variables.get("inventory_hostname", "localhost"))
    return typed._replace(target="", host="") if operation in DRILLS else typed


def _was_lost(steps: list[dict[str, t.Any]]) -> bool:
    """Whether a step lost its session, so that what it last saw may not be so any more."""
    results = [result or {} for step in steps for result in step.values()]
    return any((result.get("error") or {}).get("kind") == "connection_lost" for result in results)


def run_key(pid: int) -> str:
    """What all hosts of one run of ansible-playbook have in common, and no other run has."""
    return f"{os.uname().nodename}:{pid}:{started(pid)}"


def started(pid: int) -> int | None:
    """When a process of this machine began, in ticks since the boot; None where that cannot be told."""
    try:
        return int(
            Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()[19]
        )
    except (OSError, IndexError, ValueError):
        return None
