#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Cleaning silver of what is wrong as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_cleanup
short_description: Move rows that violate quality rules from silver of a Scout pipeline to the dead letter queue
version_added: 0.1.0
description:
  - Judges all transactions, line items and, where a rule is about them, bronze events by rules, and moves what violates one
    to C(scout.bronze_events_dlq), each row once with the names of all rules it violates, and with its closure (its event, the
    event's line in the ETL's ledger, the transaction and all line items), from which RV(run_id) can be undone exactly.
  - The built-in rules are C(negative_total), C(empty_basket), C(invalid_amounts) (missing, or not a number),
    C(lines_do_not_add_up) (with or without discounts; beyond 1 % of the total and 0.50), C(invalid_line) and, which only
    reports, C(orphan_source_event).
  - Nothing moves where more than O(max_share) of the rows violate a rule that moves. Then it is not single rows that are wrong but
    their source, or the rule.
  - Works in short transactions of adaptive size. Each proves by count and digest, for every table, that what it removed is
    what it stored, or is rolled back. What is committed stays; running the same task again continues.
  - The selection is frozen at the start. Rows committed or changed later are left to the next run.
  - Where other events fed the same transaction, these stay and are requeued for the ETL, so that silver is rebuilt from
    what remains. Where that is wrong again, the next run finds it.
  - Needs the ledger C(scout_ops).
options:
  rules:
    description:
      - Rules besides the built-in ones. One with the name of a built-in rule replaces it; what it leaves out stays as built in,
        so that C(name) and C(action) are enough to have, say, empty baskets only reported.
      - Each has C(name); C(table), one of silver_transactions, silver_line_items, bronze_events; C(predicate), an SQL condition
        that is true for a wrong row, which is called C(t), C(l) or C(b); C(severity), one of info, warning, critical;
        C(action), one of quarantine, report; and, for dead letters, C(error_code) and C(message).
      - A predicate is one expression and calls no volatile function. All are checked, without reading a row, before anything
        moves.
    type: list
    elements: dict
  only:
    description: Names of the rules to use; all by default.
    type: list
    elements: str
  source_event:
    description:
      - What becomes of the event a wrong transaction was made of. With V(quarantine) it moves with the transaction, so that no
        reprocessing recreates the wrong row, and a redrive can load it again once it is repaired.
      - With V(keep) only the transaction and its line items move. All events stay in bronze, and stay marked as loaded, so that
        nothing recreates the row until somebody reprocesses them; then it is as wrong as before.
      - An event that violates a rule itself moves either way. An event that does not name the transaction, as the ETL reads
        it, would not recreate it, and stays.
    type: str
    choices: [quarantine, keep]
    default: quarantine
  max_share:
    description: Move nothing where a rule that moves rows is violated by more than this share of the rows of its table.
    type: float
    default: 0.05
  samples:
    description: How many of the latest rows to show of each rule.
    type: int
    default: 5
  window_start:
    description: Only transactions made from this moment on (of events, their C(event_ts)), with an offset or in O(time_zone).
    type: str
  window_end:
    description: Only transactions made before this moment.
    type: str
  time_zone:
    description: The zone of times without an offset, such as Asia/Manila. Without it they are refused.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.moving
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Move transactions with a negative total or no items
  scout.recovery.scout_cleanup:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    only: [negative_total, empty_basket]

- name: Only report what is wrong, and what one store must not sell
  scout.recovery.scout_cleanup:
    dsn: "{{ scout_dsn }}"
    rules:
      - name: no_liquor_here
        table: silver_line_items
        predicate: l.category = 'Liquor' AND l.transaction_id LIKE 'S-0117%'
        action: quarantine
  check_mode: true
"""

RETURN = r"""
run_id:
  description: The run in the ledger, by which all this can be undone; null when there was nothing to move.
  returned: success
  type: str
moved:
  description: Rows moved by table (events, ledger, transactions, lines); in check mode, that would be.
  returned: success
  type: dict
requeued:
  description: Events that stay, but whose transaction is rebuilt without the moved ones.
  returned: success
  type: int
gold_days:
  description: Days of gold that are now out of date with silver.
  returned: success
  type: list
  elements: str
rules:
  description:
    - For each rule name, table, severity, action, error_code, scanned, violations, share, and moved, the number of transactions
      (of a rule on events, of events) that moved for it, or in check mode would. One that violates several counts for each.
  returned: success, and when refused because something is systemic
  type: list
  elements: dict
report:
  description:
    - What was found before anything moved. For each rule the same, whether it is systemic, the time the rows are from, when
      they were processed, the sum of their amounts, days of gold, and samples; and such figures of all that would move.
  returned: success, and when refused because something is systemic
  type: dict
window:
  description: The clock, start and end that were used.
  returned: success
  type: dict
range:
  description: The first and last moment of the transactions that move.
  returned: success
  type: dict
plan:
  description: In check mode, what O(plan_file) holds.
  returned: check mode
  type: dict
batches:
  description: Path, rows, batches, retries, seconds in all and of the longest batch.
  returned: when something was moved
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
from ..module_utils.recovery.core.text import in_words
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.moves.cleanup import findings, scan
from ..module_utils.recovery.moves.cleanup import mover as cleanup_mover
from ..module_utils.recovery.moves.engine import job as engine_job
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.postgres.failures import attempting
from ..module_utils.recovery.scout import row_images

CLEANUP_SPEC: dict[str, dict[str, t.Any]] = {
    "rules": {"type": "list", "elements": "dict"},
    "only": {"type": "list", "elements": "str"},
    "source_event": {"type": "str", "choices": list(cleanup_mover.SOURCE_EVENT), "default": "quarantine"},
    "max_share": {"type": "float", "default": 0.05},
    "samples": {"type": "int", "default": 5},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
}

SPEC: dict[str, dict[str, t.Any]] = {**CONNECTION_SPEC, **LEDGER_SPEC, **MOVING_SPEC, **CLEANUP_SPEC}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Moves what violates the rules."""
    session, options = call.session, engine_job.options(params)
    job = engine_job.MoveJob(call, params, "cleanup", CLEANUP_SPEC)
    with engine_job.reading(session, "could not read the selection"):
        tables = row_images.read(session)
        wanted = _wanted(call, job)
    scan.check(session, wanted.rules)
    samples, max_share = job.asked["samples"], job.asked["max_share"]
    report = scan.scan(session, wanted.rules, wanted.scope, samples=samples, max_share=max_share)
    result = _found(wanted, report)
    if job.applied:
        return result | job.nothing("") | {"rules": cleanup_mover.by_rule(report, {})}
    try:
        scan.refuse_systemic(session, report)
    except SystemicFailure as e:
        e.result = {**result, **e.result}
        raise
    whole = None
    if call.check or job.plan:
        limit = engine_job.SCAN_SECONDS
        with (
            attempting("could not read what would move", on=session.where),
            session.read(statement_timeout_seconds=limit),
        ):
            whole = cleanup_mover.whole(session, tables, wanted)
    rows, noun = cleanup_mover.size(report, whole)
    if call.check and whole:
        engine_job.refuse_too_many(rows, params, where=session.where, noun=noun)
        for line in report.lines() if report.violated else ():
            call.progress.say(line)
        return result | _planned(job, wanted, whole, report)
    if whole and not job.interrupted:
        job.refuse_drift(whole)
    if not (rows or job.interrupted):
        rules = cleanup_mover.by_rule(report, {})
        return result | job.nothing(cleanup_mover.told("moved", {"moved": {}}, rules)) | {"rules": rules}
    engine_job.refuse_too_many(rows, params, where=session.where, noun=noun)
    with job.operation({"selection": wanted.as_dict()}) as this_run:
        document = {"incident": call.incident, "actor": call.controller.actor}
        mover = cleanup_mover.Cleanup(session, this_run, tables, wanted, call.progress, document)
        batches = mover.go(options, rows)
    done = job.done(this_run, batches, verb="moved")
    rules = cleanup_mover.by_rule(report, this_run.effects.get("rules") or {})
    told = f"{cleanup_mover.told('moved', done, rules)} ({in_words(done['batches']['seconds'])})"
    return result | done | {"rules": rules, "summary": told}


def _wanted(call: Call, job: engine_job.MoveJob) -> cleanup_mover.CleanupSelection:
    """What was frozen in a plan or at the start of an interrupted run, or what is asked for, frozen now."""
    if job.interrupted:
        return cleanup_mover.CleanupSelection.from_dict(job.interrupted["parameters"]["selection"])
    if job.plan:
        return cleanup_mover.CleanupSelection.from_dict(job.plan.selection)
    asked = cleanup_mover.ask(call.session, job.asked)
    return asked if call.check else cleanup_mover.frozen(call.session, asked)


def _found(wanted: cleanup_mover.CleanupSelection, report: findings.Report) -> dict[str, t.Any]:
    """What does not depend on whether anything moves."""
    reported = [finding for finding in report.violated if not finding.rule.moves]
    return {
        "window": wanted.window.as_dict(),
        "range": dict(zip(("first", "last"), report.moving.window, strict=True)),
        "report": report.as_dict(),
        "rules": cleanup_mover.by_rule(report),
        "warnings": [findings.line(finding) for finding in reported],
    }


def _planned(
    job: engine_job.MoveJob, wanted: cleanup_mover.CleanupSelection, whole: engine_job.Whole, report: findings.Report
) -> dict[str, t.Any]:
    planned = job.planned(wanted.as_dict(), whole, verb="would move")
    rules = cleanup_mover.by_rule(report)
    told = cleanup_mover.told("would move", planned, rules)
    if planned["changed"]:
        told += f", in about {in_words(planned['plan']['estimated_seconds'])}"
    if planned["plan_file"]:
        told += f"; the plan is in {planned['plan_file']}"
    return planned | {"range": whole.range, "rules": rules, "summary": told}


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_cleanup", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
