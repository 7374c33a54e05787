#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pause and resume of ingestion as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_ingestion
short_description: Pause and resume Scout's ingestion
version_added: 0.1.0
description:
  - O(state=paused) is a barrier. It calls the pipeline's own switch, then looks at C(cron.job) itself and deactivates
    every ingestion job that can still start (through C(cron.alter_job), as the job's owner; no superuser is needed), waits
    for the work in flight, and succeeds only when nothing loads silver or refreshes gold.
  - A job whose run is in flight keeps running to its end, parked on a date that never comes, because pg_cron ends the
    run of a job that is made inactive. Work in flight is cancelled only with O(cancel_running=true).
  - O(state=running) re-enables exactly the jobs the pause disabled. Jobs that were off before stay off.
  - Writers of bronze are never affected.
options:
  state:
    description: The wanted state.
    type: str
    choices: [paused, running]
    required: true
  jobs:
    description:
      - Names of the jobs that count as ingestion.
      - By default these are the jobs of the database whose command writes C(scout.silver_*) or C(scout.gold_*), itself or
        through functions it calls, and those named C(bronze-to-silver-etl), C(product-linking) and C(smart-gold-refresh).
      - With O(state=running) and no pause in the ledger, the named jobs are activated; a pause in the ledger is ended
        as a whole.
    type: list
    elements: str
  drain_timeout_seconds:
    description: How long to wait for work in flight, in seconds. At the timeout the task fails and nothing is resumed.
    type: float
    default: 60.0
  cancel_running:
    description: Cancel work in flight instead of waiting for its end. It is rolled back and loaded again later.
    type: bool
    default: false
  leave_stuck_after_seconds:
    description:
      - Do not wait for sessions whose transaction is older than this, in seconds; they are reported in RV(stuck), and
        the barrier does not stand before M(scout.recovery.scout_sessions) has cleared them. Runs of jobs among them may be
        ended by pg_cron, because their job is made inactive; they are in the ledger by then.
      - By default every session is waited for.
    type: float
  only_own:
    description:
      - With O(state=running), leave a pause in force that someone else made, unless it was made for the same named
        O(incident). The emergency reset does so.
    type: bool
    default: false
  operation:
    description:
      - Name of the operation this is a step of. A pause remembers it, and O(state=running) then leaves a pause in force
        that was not made as a step of the same operation, so that an operation ends with ingestion as it found it.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Stop ingestion
  scout.recovery.scout_ingestion:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    state: paused

- name: Re-enable what the pause disabled
  scout.recovery.scout_ingestion:
    dsn: "{{ scout_dsn }}"
    state: running
"""

RETURN = r"""
state:
  description: The state reached, or in check mode the state found; V(pausing) after a pause that was interrupted.
  returned: success
  type: str
run_id:
  description: The run in the ledger; null when nothing had to be done.
  returned: success
  type: str
jobs:
  description: The ingestion jobs with their activity before and after.
  returned: success
  type: list
  elements: dict
sessions_in_flight:
  description: Sessions that were waited for, or would be in check mode.
  returned: success
  type: list
  elements: dict
stuck:
  description: Sessions older than O(leave_stuck_after_seconds) that still work.
  returned: success
  type: list
  elements: dict
paused_since:
  description: When the pause in force began; null when none is.
  returned: success
  type: str
paused_by:
  description: Who paused.
  returned: success
  type: str
switch:
  description: Whether the pipeline's own switch could be called and what it said. It is never believed.
  returned: when something was changed
  type: dict
seconds:
  description: How long it took until the state was reached.
  returned: success
  type: float
summary:
  description: One line for a person.
  returned: success
  type: str
effects:
  description: The jobs changed, by name.
  returned: success
  type: dict
"""

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.text import count, in_words
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.ledger.runs import operation
from ..module_utils.recovery.pipeline import pause_resume

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["paused", "running"], "required": True},
    "jobs": {"type": "list", "elements": "str"},
    "drain_timeout_seconds": {"type": "float", "default": 60.0},
    "cancel_running": {"type": "bool", "default": False},
    "leave_stuck_after_seconds": {"type": "float"},
    "only_own": {"type": "bool", "default": False},
    "operation": {"type": "str"},
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Brings ingestion to the wanted state."""
    began = time.monotonic()
    names: list[str] | None = params["jobs"]
    pausing = params["state"] == "paused"
    ledger = call.look(params["ledger"])
    before = pause_resume.read(call.session, ledger, names)
    stuck_after = params["leave_stuck_after_seconds"]
    if pausing:
        todo = pause_resume.plan_pause(before, leave_after_seconds=stuck_after)
    else:
        only_for = (call.controller.actor, call.incident) if params["only_own"] else None
        todo = pause_resume.plan_resume(before, names, only_for, params["operation"])
    pause_resume.require_privileges(call.session, before, todo, pausing=pausing)
    result: dict[str, t.Any] = {"changed": todo.changes, "run_id": None, "warnings": [todo.note] if todo.note else []}
    after, waited_for, stuck = before, [a.as_dict() for a in todo.wait_for], todo.stuck
    wanted = "paused" if pausing else "running"
    if not call.check and (todo.changes or todo.wait_for):
        if todo.changes:
            ledger = call.ensure(params["ledger"])
        with operation(
            ledger,
            "pause" if pausing else "resume",
            {"jobs": names, "cancel_running": params["cancel_running"], "operation": params["operation"]},
            lease_token=params["lease_token"],
            takeover=params["takeover"],
        ) as this_run:
            if pausing:
                after, details = pause_resume.pause(
                    call.session,
                    ledger,
                    this_run,
                    todo,
                    names=names,
                    drain_timeout_seconds=params["drain_timeout_seconds"],
                    cancel_running=params["cancel_running"],
                    leave_after_seconds=stuck_after,
                    progress=call.progress,
                )
                waited_for = details["waited_for"]
                stuck = pause_resume.plan_pause(after, leave_after_seconds=stuck_after).stuck
            else:
                after, details = pause_resume.resume(call.session, ledger, this_run, before, todo)
            result["switch"] = details["switch"]
            result["run_id"] = this_run.run_id
        result["warnings"] += ledger.warnings
    activity = {job.jobid: job.active and not job.parked for job in after.jobs}
    return {
        **result,
        "state": after.name,
        "jobs": [
            {"jobid": job.jobid, "jobname": job.jobname, "before": job.active, "after": activity.get(job.jobid)}
            for job in before.jobs
        ],
        "sessions_in_flight": waited_for,
        "stuck": [a.as_dict() for a in stuck],
        "paused_since": after.pause.paused_at.isoformat() if after.pause else None,
        "paused_by": after.pause.actor if after.pause else None,
        "seconds": round(time.monotonic() - began, 3),
        "effects": {("deactivated" if pausing else "activated"): [job.jobname for job in todo.jobs]},
        "summary": _summary(call, wanted, before, todo, time.monotonic() - began),
        "diff": pause_resume.diff(before, after.jobs) if not call.check else _planned(before, todo, pausing),
    }


def _planned(before: pause_resume.State, todo: pause_resume.Plan, pausing: bool) -> dict[str, dict[str, str]]:
    diff = pause_resume.diff(before, before.jobs)
    diff["after"] |= {job.jobname: "inactive" if pausing else "active" for job in todo.jobs}
    return diff


def _summary(call: Call, wanted: str, before: pause_resume.State, todo: pause_resume.Plan, seconds: float) -> str:
    if not todo.changes:
        return (
            f"ingestion already {before.name}"
            if before.name == wanted
            else f"ingestion left {before.name}: {todo.note}"
        )
    verb = "pause" if wanted == "paused" else "resume"
    if call.check:
        return f"would {verb} {count(len(todo.jobs), 'job')}" + (
            f" after waiting for {count(len(todo.wait_for), 'session')}" if todo.wait_for else ""
        )
    return f"{verb}d {count(len(todo.jobs), 'job')} in {in_words(seconds)}"


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_ingestion", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
