#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redriving events from the dead letter queue as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_redrive
short_description: Redrive events from the dead letter queue of a Scout pipeline
version_added: 0.1.0
description:
  - Puts the events of unresolved dead letters back into bronze exactly as they were (identifier, type, hash, timestamps) and
    has the pipeline's own ETL load them, within the same transaction. What the ETL refuses stays a dead letter, with the new
    error, and never reaches the pipeline.
  - Begins with a canary of O(canary_rows) entries, then doubles the size of its batches up to O(rate_per_second). When more than
    O(max_failures) entries have failed again the task stops and fails.
  - An event that exists again (the same identifier, or the same hash) is not duplicated; its entry is marked as resolved.
  - Silver's rows of a transaction are rebuilt from all its events in their order.
  - Entries are kept and marked (C(resolved_at), C(resolved_by), C(retry_count), C(last_retry_at)). The run can be undone.
  - Entries made by the runbook's plain statement are rebuilt as far as their payload goes. Entries of other systems are left alone.
  - Conditions of different kinds must all hold. Nothing is selected by default; entries that arrive while the task runs are not
    selected. Each entry is tried at most once in a run.
  - Needs the ledger C(scout_ops).
options:
  of_incident:
    description: Only entries made for this incident, or by a run that it adopted since.
    type: str
  run_id:
    description: Only entries made by this run (a quarantine, a cleanup, or a drain that quarantined poison).
    type: str
  error_codes:
    description: Only entries with one of these error codes.
    type: list
    elements: str
  rules:
    description: Only entries that a cleanup made by one of these rules.
    type: list
    elements: str
  failed_from:
    description: Only entries that failed from this moment on, with an offset, or a local time in O(time_zone).
    type: str
  failed_to:
    description: Only entries that failed before this moment.
    type: str
  time_zone:
    description: The zone of times without an offset, such as Asia/Manila. Without it they are refused.
    type: str
  dlq_ids:
    description: Only these entries. Identifiers that no unresolved entry has are counted in RV(not_found).
    type: list
    elements: str
  event_ids:
    description: Only the entries of these events.
    type: list
    elements: str
  canary_rows:
    description: How many entries are tried first, before anything else is touched.
    type: int
    default: 10
  rate_per_second:
    description: At most how many entries are tried per second.
    type: float
    default: 500.0
  max_failures:
    description: The task stops when more entries than this have failed again.
    type: int
    default: 0
  max_replays:
    description: Entries that have been tried this often are parked, that is left alone and counted.
    type: int
    default: 3
  repair:
    description:
      - A JSON merge patch (RFC 7396) for the payload of every redriven entry; null removes a field. The event gets a new
        hash; the payload as it was stays in the entry.
    type: dict
  repairs:
    description: JSON merge patches by the identifier of an entry or of its event, applied after O(repair).
    type: dict
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.moving
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Redrive what was quarantined for an incident
  scout.recovery.scout_redrive:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    of_incident: INC-2041

- name: Fix an amount on the way
  scout.recovery.scout_redrive:
    dsn: "{{ scout_dsn }}"
    event_ids: [7773456d-90be-4929-bf61-7050c62bc6ca]
    repair: {total_amount: 120.5}
"""

RETURN = r"""
run_id:
  description: The run in the ledger, by which all this can be undone; null when nothing was tried.
  returned: success
  type: str
redriven:
  description: Entries whose event is back in bronze and loaded; in check mode, that would be tried.
  returned: success, and when too much failed
  type: int
already_there:
  description: Entries resolved because their event was in bronze already.
  returned: success, and when too much failed
  type: int
failures:
  description: The first hundred entries that failed again, each with dlq_id, event_id, error and sqlstate. C(effects.failed) counts all.
  returned: success, and when too much failed
  type: list
  elements: dict
parked:
  description: Entries that have been tried O(max_replays) times and were left alone.
  returned: success, and when too much failed
  type: int
parked_entries:
  description: The first two hundred of them, each with dlq_id, event_id, retry_count and error.
  returned: success, and when too much failed
  type: list
  elements: dict
not_rebuildable:
  description: The first two hundred entries of which no event can be made, each with dlq_id, error_code and why.
  returned: success, and when too much failed
  type: list
  elements: dict
rebuilt:
  description: In check mode, the first two hundred entries of which only the payload was kept, each with what is missing.
  returned: success
  type: list
  elements: dict
suspects:
  description:
    - In check mode, entries whose event the ETL could not convert, patches considered, each with the reason. What only a
      constraint or trigger of the database refuses is not among them.
  returned: check mode
  type: list
  elements: dict
moved:
  description: Rows put back by table (events), or derived from them (transactions, lines, ledger).
  returned: success
  type: dict
requeued:
  description: Events that had stayed and were loaded again, after or before the ones put back.
  returned: success
  type: int
gold_days:
  description: Days of gold that are now out of date with silver.
  returned: success
  type: list
  elements: str
window:
  description: The clock, start and end that were used.
  returned: success
  type: dict
range:
  description: When the first and the last of the entries failed.
  returned: success
  type: dict
not_found:
  description: How many of the given identifiers no unresolved entry has, and the first twenty of them.
  returned: success
  type: dict
plan:
  description: In check mode, what O(plan_file) holds.
  returned: check mode
  type: dict
batches:
  description: Path, rows, batches, retries, seconds in all and of the longest batch.
  returned: when something was tried
  type: dict
resumed:
  description: Whether an interrupted run was continued.
  returned: success
  type: bool
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

from ..module_utils.recovery.core.errors import SystemicFailure
from ..module_utils.recovery.core.text import count, in_words
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.moves.engine import job as engine_job
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.moves.redrive import letters, merge_patch, preview
from ..module_utils.recovery.moves.redrive import run as redrive_run
from ..module_utils.recovery.scout import cron_jobs, event_queue, row_images

REDRIVE_SPEC: dict[str, dict[str, t.Any]] = {
    "of_incident": {"type": "str"},
    "run_id": {"type": "str"},
    "error_codes": {"type": "list", "elements": "str"},
    "rules": {"type": "list", "elements": "str"},
    "failed_from": {"type": "str"},
    "failed_to": {"type": "str"},
    "time_zone": {"type": "str"},
    "dlq_ids": {"type": "list", "elements": "str"},
    "event_ids": {"type": "list", "elements": "str"},
    "canary_rows": {"type": "int", "default": 10},
    "rate_per_second": {"type": "float", "default": 500.0},
    "max_failures": {"type": "int", "default": 0},
    "max_replays": {"type": "int", "default": 3},
    "repair": {"type": "dict"},
    "repairs": {"type": "dict"},
}

SPEC: dict[str, dict[str, t.Any]] = {**CONNECTION_SPEC, **LEDGER_SPEC, **MOVING_SPEC, **REDRIVE_SPEC}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Redrives the selection."""
    session, options = call.session, engine_job.options(params)
    _how(params)
    job = engine_job.MoveJob(call, params, "redrive", REDRIVE_SPEC)
    pace, mend = _how({**params, **{name: job.asked[name] for name in REDRIVE_SPEC}})
    with engine_job.reading(session, "could not read the dead letters"):
        tables = row_images.read(session)
        kept = (
            job.interrupted["parameters"]["selection"] if job.interrupted else job.plan.selection if job.plan else None
        )
        wanted = letters.DeadLetterSelection.from_dict(kept) if kept else letters.ask(session, params)
        values = {**wanted.values, "max_replays": pace.max_replays}
        extent = preview.extent(session, wanted, values)
        left_alone = preview.left_alone(session, wanted, values, extent)
        not_found = letters.not_found(session, wanted)
        survey = None
        if call.check or job.plan:
            survey = preview.survey(
                session, tables, wanted, values, mend, extent, call.progress, rate=pace.rate_per_second
            )
        timezone = event_queue.pipeline_timezone(session, cron_jobs.etl_owner(session))
    result: dict[str, t.Any] = {
        "redriven": 0,
        "already_there": 0,
        "failures": [],
        "parked": extent.parked,
        **left_alone,
        "rebuilt": survey.rebuilt if survey else [],
        "window": wanted.window.as_dict(),
        "range": extent.range,
        "not_found": not_found,
        "warnings": _warnings(not_found, extent.parked, extent.most_retries, pace.max_replays),
    }
    if call.check and survey:
        engine_job.refuse_too_many(extent.entries, params, where=session.where, noun="dead letter")
        return _planned(result, job, wanted, survey)
    if job.applied or not (extent.entries or job.interrupted):
        return result | job.nothing(_nothing(extent))
    if survey and not job.interrupted:
        job.refuse_drift(survey)
    engine_job.refuse_too_many(extent.entries, params, where=session.where, noun="dead letter")
    with job.operation({"selection": wanted.as_dict()}) as this_run:
        work = redrive_run.Redrive(session, this_run, tables, wanted, mend, pace, call.progress, timezone=timezone)
        try:
            ramp = work.go(options, extent.entries)
        except SystemicFailure as e:
            e.result = {**result, **e.result}
            raise
    done = job.done(this_run, ramp, verb="redrove")
    effects = {"redriven": 0, "already_there": 0, "failed": 0, **done["effects"]}
    return result | done | work.outcome() | {
        "effects": effects,
        "summary": _summary(effects, extent, done["batches"]["seconds"]),
        "diff": {"before": {"unresolved": extent.entries}, "after": {"unresolved": effects["failed"]}},
    }  # fmt: skip


def _how(params: dict[str, t.Any]) -> tuple[redrive_run.Pace, merge_patch.Repairs]:
    """How fast, and what is fixed; refuses what cannot be used."""
    pace = redrive_run.Pace(
        *(params[name] for name in ("canary_rows", "rate_per_second", "max_failures", "max_replays"))
    )
    redrive_run.refuse_unusable(pace)
    return pace, merge_patch.repairs(params)


def _planned(
    result: dict[str, t.Any], job: engine_job.MoveJob, wanted: letters.DeadLetterSelection, survey: preview.Survey
) -> dict[str, t.Any]:
    planned = result | job.planned(wanted.as_dict(), survey, verb="would redrive") | {"suspects": survey.suspects}
    extent = survey.extent
    if job.applied:
        return planned
    redriven = extent.entries - survey.already_there
    planned |= {"redriven": redriven, "already_there": survey.already_there}
    if not extent.entries:
        return planned | {"summary": _nothing(extent)}
    text = f"would redrive {count(redriven, 'event')}"
    if survey.already_there:
        text += f", resolve {survey.already_there:,} that are in bronze already"
    if survey.suspects:
        text += f"; {count(len(survey.suspects), 'event')} would fail again"
    text += f", in about {in_words(survey.estimated_seconds)}{_left(extent)}"
    return planned | {"summary": text + (f"; the plan is in {planned['plan_file']}" if planned["plan_file"] else "")}


def _summary(effects: dict[str, t.Any], extent: preview.Extent, seconds: float) -> str:
    text = f"redrove {count(effects['redriven'], 'event')}"
    if effects["already_there"]:
        text += f", {effects['already_there']:,} already there"
    if effects["failed"]:
        text += f", {effects['failed']:,} failed again"
    return f"{text} ({in_words(seconds)}){_left(extent)}"


def _nothing(extent: preview.Extent) -> str:
    return f"no unresolved dead letter matches{_left(extent)}"


def _left(extent: preview.Extent) -> str:
    parts = [f"{extent.parked:,} parked"] if extent.parked else []
    parts += [f"{extent.not_rebuildable:,} not rebuildable"] if extent.not_rebuildable else []
    return f"; left alone: {', '.join(parts)}" if parts else ""


def _warnings(not_found: dict[str, t.Any], parked: int, retries: int | None, max_replays: int) -> list[str]:
    made: list[str] = []
    if not_found["count"]:
        made.append(f"{count(not_found['count'], 'given id')} not of an unresolved dead letter")
    if parked:
        made.append(
            f"{count(parked, 'dead letter')} parked after {max_replays} attempts; to retry anyway: -e max_replays={(retries or 0) + 1}"
        )
    return made


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_redrive", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
