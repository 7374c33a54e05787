#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quarantining events as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_quarantine
short_description: Move events of a Scout pipeline, with everything derived from them, to the dead letter queue
version_added: 1.0.0
description:
  - Moves the selected bronze events to C(scout.bronze_events_dlq), each with its closure (its line in the ETL's ledger, its
    silver transaction and all line items) in one row from which RV(run_id) can be undone exactly.
  - Works in short transactions of adaptive size. Each proves by count and digest (see O(compare_by)), for every table, that what it
    removed is what it stored, or is rolled back. What is committed stays; running the same task again continues.
  - Conditions of different kinds must all hold. Nothing is selected by default. A window is half open, its end is frozen at
    the start; rows that appear inside it while the task works are moved too.
  - Where other events fed the same transaction, these stay and are requeued for the ETL, so that silver is rebuilt from
    what remains.
  - Needs the ledger C(scout_ops).
options:
  window_end:
    description: The first moment after the window. By default the moment the task starts, unless O(event_ids) are given.
    type: str
  source_systems:
    description: Only events from these source systems.
    type: list
    elements: str
  source_files:
    description: Only events from these files; for a bronze with a column C(source_file) of type text. Others are refused.
    type: list
    elements: str
  event_types:
    description: Only events of these types.
    type: list
    elements: str
  stores:
    description: Only events whose payload has one of these as C(store_id).
    type: list
    elements: str
  transactions:
    description: Only events whose payload has one of these as C(transaction_id).
    type: list
    elements: str
  event_ids:
    description: Only these events. Identifiers that no event has are named in RV(not_found).
    type: list
    elements: str
  event_ids_file:
    description: A file with one event identifier a line, added to O(event_ids).
    type: path
  payload_path:
    description:
      - A JSON path on the payload, bound as a value. A predicate such as V($.total_amount < 0) selects what it is true for;
        any other path, such as V($.items[*] ? (@.qty > 100\)), what it finds something in.
    type: str
  compare_by:
    description:
      - What each batch must show before it is committed. With V(digest) what was removed and what was stored are equal by count
        and by a digest of every row with its payload; with V(count) by count alone, for emergencies of many millions of events.
    type: str
    choices: [digest, count]
    default: digest
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.window
  - scout.recovery.shared.zone
  - scout.recovery.moving
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Quarantine a bad hour of one store
  scout.recovery.scout_quarantine:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    window_start: 2026-11-25T01:00:00+08:00
    window_end: 2026-11-25T02:00:00+08:00
    stores: [S-0117]
"""

RETURN = r"""
run_id:
  description: The run in the ledger, by which all this can be undone; null when nothing was selected.
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
window:
  description: The clock, start and end that were used.
  returned: success
  type: dict
narrowed:
  description: What else was asked for, by option (source_systems, stores and so on), with the first twenty values of each.
  returned: success
  type: dict
range:
  description: The first and last moment of the selected events on that clock.
  returned: success
  type: dict
not_found:
  description: How many of the given identifiers no event has, and the first twenty of them.
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
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.moves.quarantine import command

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **MOVING_SPEC,
    **command.SELECTION_SPEC,
    "compare_by": {
        "type": "str",
        "choices": ["digest", "count"],
        "default": "digest",
    },
}


def run(call: Call, params: Params) -> command.QuarantineResult:
    """Moves the selection."""
    return command.quarantine(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
