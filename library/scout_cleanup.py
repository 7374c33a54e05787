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
version_added: 1.0.0
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
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.zone
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
damaged:
  description: Sales that would move although their events are sound, each with the fields that silver has otherwise.
  returned: when refused because of them
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
  description: In check mode, counts by table, range, days of gold, estimated seconds and locks.
  returned: check mode, unless O(look=true) or there is nothing to do
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

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.moves.cleanup import command
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **MOVING_SPEC,
    **command.CLEANUP_SPEC,
}


def run(call: Call, params: Params) -> command.CleanupResult:
    """Moves what violates the rules."""
    return command.cleanup(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
