#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoing a run as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_undo
short_description: Undo a run that moved data of a Scout pipeline
version_added: 0.1.0
description:
  - Puts every row that a quarantine, a cleanup, a redrive, the quarantine of poison events or another undo moved back exactly
    as it was, in short transactions that are proved by count and digest, in the order that foreign keys ask for.
  - An undo is a run as well, and undoing it works.
  - A rollback to a release is undone by rolling back to what was captured before it, in one transaction, with the data that was saved;
    see M(scout.recovery.scout_release). O(max_rows) is then how many rows may have to be saved.
  - Silver that the ETL has built since from nothing but what the run had left is replaced. Rows that have changed, or were
    rebuilt from other events, are conflicts.
options:
  run_id:
    description: The run to undo, as its result, its dead letters and M(scout.recovery.scout_runs_info) name it.
    type: str
    required: true
  on_conflict:
    description:
      - What to do about rows that have changed since the run. V(refuse) changes nothing and names them.
      - V(keep_current) leaves them as they are and puts back the rest. V(restore) restores what they were; what they are now
        is kept in the journal of this run.
    type: str
    choices: [refuse, keep_current, restore]
    default: refuse
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.moving
  - scout.recovery.going
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Put back what was quarantined
  scout.recovery.scout_undo:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    run_id: 7773456d-90be-4929-bf61-7050c62bc6ca
"""

RETURN = r"""
run_id:
  description: The run in the ledger, by which the undo itself can be undone; null when nothing was to be done.
  returned: success
  type: str
undone:
  description: The run that was undone, with run_id, action, status, incident, actor, started_at, undone_by.
  returned: success
  type: dict
put_back:
  description: Rows put back by table; in check mode, that would be.
  returned: success
  type: dict
taken:
  description: Rows taken out by table; in check mode, that would be.
  returned: success
  type: dict
conflicts:
  description: The first fifty rows that have changed since the run, each with table, key and why.
  returned: success, and when refused because of them
  type: list
  elements: dict
conflicting:
  description: How many such rows there are.
  returned: success, and when refused because of them
  type: int
gold_days:
  description: Days of gold that are now out of date with silver.
  returned: success
  type: list
  elements: str
plan:
  description: In check mode, what O(plan_file) holds.
  returned: check mode
  type: dict
batches:
  description: Rows, batches, retries, seconds in all and of the longest batch.
  returned: when something was undone
  type: dict
resumed:
  description: Whether an interrupted undo was continued.
  returned: success
  type: bool
steps:
  description: Of a rollback to a release that is undone, the steps; with all else that M(scout.recovery.scout_release) returns.
  returned: when a release is concerned
  type: list
  elements: dict
effects:
  description: Everything the run did, as the ledger has it.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.core.text import count, in_words
from ..module_utils.recovery.core.times import to_the_minute
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.moves.engine import job as engine_job
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.moves.undo import run as undo_run
from ..module_utils.recovery.release.restore import command as restore_command
from ..module_utils.recovery.scout import row_images

if t.TYPE_CHECKING:
    from ..module_utils.recovery.postgres.session import Row

UNDO_SPEC: dict[str, dict[str, t.Any]] = {
    "run_id": {"type": "str", "required": True},
    "on_conflict": {"type": "str", "choices": ["refuse", "keep_current", "restore"], "default": "refuse"},
}

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **MOVING_SPEC,
    **UNDO_SPEC,
    **restore_command.GOING_SPEC,
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Undoes a run."""
    session, options = call.session, engine_job.options(params)
    job = engine_job.MoveJob(call, params, "undo", UNDO_SPEC)
    with engine_job.reading(session, "could not read the run to undo"):
        if not call.look().present:
            raise BadInput(
                f"run {params['run_id']} is unknown",
                on=session.where,
                said="this database has no ledger scout_ops",
                next_step="check scout_dsn: runs are kept in the database they worked on",
            )
        undone = undo_run.find(session, params["run_id"])
    if "before_capture_id" in undone["effects"]:
        return _of_schema(call, params, undone)
    with engine_job.reading(session, "could not read the run to undo"):
        undo = undo_run.Undo(session, row_images.read(session), undone, params["on_conflict"], call.progress)
        survey = undo.survey()
    result: dict[str, t.Any] = {
        "undone": _told(undone),
        "put_back": survey.put_back,
        "taken": survey.taken,
        "conflicts": [conflict.as_dict() for conflict in survey.conflicts],
        "conflicting": survey.conflicting,
        "warnings": [],
    }
    named = _named(undone)
    if undone["undone_by"] or not survey.items:
        by = f" by run {undone['undone_by']}" if undone["undone_by"] else ": nothing of it is left to undo"
        return result | job.nothing(f"{named} is already undone{by}")
    engine_job.refuse_too_many(survey.items, params, where=session.where, noun="item")
    if params["look"] and not job.interrupted:
        undo.refuse(survey.conflicts, survey.conflicting)
    if call.check:
        planned = job.planned({"run_id": undone["run_id"]}, survey, verb="would undo")
        text = f"would undo {named}: {_rows(survey.put_back)} would be restored"
        if survey.conflicting:
            text += f"; {count(survey.conflicting, 'row')} in conflict"
        return result | planned | {"summary": text}
    if not job.interrupted:
        job.refuse_drift(survey)
    undo.refuse(survey.conflicts, survey.conflicting)
    with job.operation({"run_id": undone["run_id"]}, undoes=undone["run_id"]) as this_run:
        batches = undo.go(this_run, options, survey.items)
    done = job.done(this_run, batches, verb="undid")
    effects = {"put_back": {}, "taken": {}, **this_run.effects}
    seconds = in_words(done["batches"]["seconds"])
    return result | done | {
        "put_back": effects["put_back"],
        "taken": effects["taken"],
        "effects": effects,
        "summary": f"undid {named}: {_rows(effects['put_back'])} restored ({seconds})",
    }  # fmt: skip


def _of_schema(call: Call, params: dict[str, t.Any], undone: Row) -> dict[str, t.Any]:
    """Undoes a rollback to a release."""
    result = {"undone": _told(undone), "put_back": {}, "taken": {}, "conflicts": [], "conflicting": 0, "resumed": False}
    if undone["undone_by"]:
        text = f"{_named(undone)} is already undone by run {undone['undone_by']}"
        return {
            **result,
            "changed": False,
            "run_id": None,
            "gold_days": [],
            "effects": {},
            "warnings": [],
            "summary": text,
        }
    gone = restore_command.undo(call, params, undone)
    verb = "would undo" if call.check else "undid"
    return {**result, **gone, "summary": f"{verb} {_named(undone)}: {gone['summary']}"}


def _told(undone: Row) -> dict[str, t.Any]:
    named = ("run_id", "action", "status", "incident", "actor", "undone_by")
    return {name: undone[name] for name in named} | {"started_at": undone["started_at"].isoformat()}


def _named(undone: Row) -> str:
    return f"run {undone['run_id']} ({undone['action']} of {to_the_minute(undone['started_at'])})"


def _rows(rows: dict[str, int]) -> str:
    """The rows that return; of what had come back from the dead letter queue, its entries."""
    letters = rows.get("dead_letters")
    if letters and not rows.get("events"):
        return count(letters, "dead letter")
    return engine_job.in_numbers(rows)


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_undo", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
