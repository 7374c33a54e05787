#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Clearing stuck sessions as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_sessions
short_description: Clear stuck sessions of a Scout pipeline
version_added: 0.1.0
description:
  - Finds who is really stuck, by what they hold and not by what their query mentions. These are holders of Scout's
    advisory keys, sessions that run the ETL or refresh gold (by write locks, by pg_cron's runs, by a call in their
    statement), and the root blockers of either.
  - Records them, cancels, waits, terminates, and proves that each is gone. A pid is used only together with the start
    of its process.
  - Protected roles, superusers (unless we are one) and the toolkit's own sessions are reported and left alone.
options:
  state:
    description: The wanted state.
    type: str
    choices: [cleared]
    default: cleared
  stuck_after_seconds:
    description: Age of a transaction, or of an idle holder's idleness, from which a session counts as stuck, in seconds.
    type: float
    default: 600.0
  cancel_wait_seconds:
    description: How long a cancelled statement may take to end before its session is terminated, in seconds.
    type: float
    default: 5.0
  terminate_wait_seconds:
    description: How long a terminated session may take to be gone before the task fails, in seconds.
    type: float
    default: 10.0
  max_sessions:
    description: Refuse to end more sessions than this.
    type: int
    default: 20
  protected_roles:
    description: Database roles whose sessions are never ended, besides those of replication.
    type: list
    elements: str
    default: []
  jobs:
    description: Names of the jobs that count as ingestion; see M(scout.recovery.scout_ingestion).
    type: list
    elements: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: End sessions that have been stuck for ten minutes
  scout.recovery.scout_sessions:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    stuck_after_seconds: 600
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when nothing was stuck.
  returned: success
  type: str
cleared:
  description: The sessions that were ended, or would be in check mode, with how and their full description.
  returned: success
  type: list
  elements: dict
left:
  description: Stuck sessions that were left alone, and why.
  returned: success
  type: list
  elements: dict
waiting:
  description: Sessions that waited for one of them.
  returned: success
  type: list
  elements: dict
tree:
  description: Who waits for whom, one line a session, for reading.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
effects:
  description: Numbers of sessions by what became of them.
  returned: success
  type: dict
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import NotConverged
from ..module_utils.recovery.core.text import count
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.ledger.runs import operation
from ..module_utils.recovery.pipeline import terminate_sessions
from ..module_utils.recovery.scout import contract, cron_jobs, sessions

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["cleared"], "default": "cleared"},
    "stuck_after_seconds": {"type": "float", "default": sessions.STUCK_AFTER_SECONDS},
    "cancel_wait_seconds": {"type": "float", "default": 5.0},
    "terminate_wait_seconds": {"type": "float", "default": 10.0},
    "max_sessions": {"type": "int", "default": 20},
    "protected_roles": {"type": "list", "elements": "str", "default": []},
    "jobs": {"type": "list", "elements": "str"},
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Ends what is stuck."""
    session = call.session
    with session.read():
        there = cron_jobs.present(session)
        counted = cron_jobs.ingestion_jobs(session, params["jobs"], required=False) if there else []
        activities = sessions.read(session, counted)
    sessions.require_visibility(session, activities)
    todo = sessions.plan(
        activities,
        stuck_after_seconds=params["stuck_after_seconds"],
        protected_roles=[*contract.PROTECTED_ROLES, *params["protected_roles"]],
        we_are_superuser=session.facts.superuser,
    )
    done: list[terminate_sessions.Cleared] = []
    run_id: str | None = None
    warnings: list[str] = []
    if todo.clear and not call.check:
        ledger = call.ensure(params["ledger"])
        with operation(
            ledger,
            "clear",
            {"stuck_after_seconds": params["stuck_after_seconds"]},
            lease_token=params["lease_token"],
            takeover=params["takeover"],
        ) as this_run:
            run_id = this_run.run_id
            done = terminate_sessions.clear(
                session,
                todo,
                this_run,
                counted=counted,
                stuck_after_seconds=params["stuck_after_seconds"],
                cancel_wait_seconds=params["cancel_wait_seconds"],
                terminate_wait_seconds=params["terminate_wait_seconds"],
                max_sessions=params["max_sessions"],
                progress=call.progress,
            )
        warnings = ledger.warnings
    blocking = [
        (a, why)
        for a, why in todo.leave
        if a.seconds >= params["stuck_after_seconds"]
        and (a.holds_key or any(a.pid in b.blocked_by for b in activities))
    ]
    result: dict[str, t.Any] = {
        "changed": bool(todo.clear),
        "run_id": run_id,
        "cleared": [{**a.as_dict(), "how": _how(done, a)} for a in todo.clear],
        "left": [{**a.as_dict(), "why": why} for a, why in todo.leave],
        "waiting": [a.as_dict() for a in todo.waiting],
        "tree": sessions.tree(activities),
        "effects": {"cleared": len(todo.clear), "left": len(todo.leave)},
        "warnings": warnings,
        "summary": f"would end {count(len(todo.clear), 'stuck session')}"
        if call.check and todo.clear
        else terminate_sessions.summary(done, todo),
        "diff": {
            "before": {str(a.pid): a.describe() for a in todo.clear},
            "after": {str(a.pid): "ended" for a in todo.clear},
        },
    }
    if blocking and not call.check:
        raise NotConverged(
            f"left alone {count(len(blocking), 'stuck session')} that block the pipeline",
            on=session.where,
            said="; ".join(f"{a.describe()}, but {why}" for a, why in blocking),
            next_step="ask its owner to end it, or end it yourself, then run the same command again",
            result=result,
        )
    return result


def _how(done: list[terminate_sessions.Cleared], activity: sessions.Activity) -> str | None:
    return next((cleared.how for cleared in done if cleared.activity.identity == activity.identity), None)


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_sessions", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
