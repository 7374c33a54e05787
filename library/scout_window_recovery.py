#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovering a window as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_window_recovery
short_description: Recover a window of a Scout pipeline, and account for every event of it
version_added: 1.0.0
description:
  - Judges every event of the window by bronze alone. An event is recovered when it is in the ETL's ledger and silver has of its
    transaction, line items included, what the ETL makes of all its events on an empty silver.
  - Rebuilds silver, through the pipeline's own ETL, wherever that is not so. Within each batch the old rows are removed, with their
    image kept, and the new ones loaded in one transaction; no reader sees the window half empty, and RV(run_id) can be undone.
  - Loads only events of this window, and those outside that had been loaded into the same transactions. Pending events
    elsewhere are neither loaded instead nor touched.
  - Ends with an account of every event and, hour by hour, of transactions and amounts before and after. Whatever cannot be
    explained fails the task, with the events named.
  - Needs the ledger C(scout_ops).
options:
  window_end:
    description: The first moment after the window. By default the moment the task starts.
    type: str
  last:
    description: In place of the bounds, the time before the task starts, such as V(1h), V(30m), V(90s) or V(2d).
    type: str
  source_files:
    description:
      - Only events from these files, of the window or, where none is given, whenever they came; for a bronze with a column
        C(source_file) of type text.
    type: list
    elements: str
  mode:
    description:
      - With V(missing) only what differs from its events is rebuilt.
      - With V(all) everything is rebuilt. Once that has been done, it is not done again until the events or the ETL change.
    type: str
    choices: [missing, all]
    default: missing
  poison:
    description: Whether an event that the ETL refuses is quarantined or ends the task.
    type: str
    choices: [quarantine, stop]
    default: quarantine
  max_poison:
    description: More poison events than this stop the task as a systemic failure.
    type: int
    default: 100
  max_poison_share:
    description:
      - A larger share of poison among the events of the window stops the task, from 20 poison events on.
      - Below 1 it also stops before it quarantines an event when the ETL has loaded nothing and rejects a known-good test sale
        with the same error.
    type: float
    default: 0.1
  target_seconds:
    description:
      - How long a batch should take. Because each call of the ETL reads all of bronze, a batch after the first, small one takes
        at least four times as long as that one did.
    type: float
    default: 3.0
  batch_timeout_seconds:
    description:
      - When a statement of a batch is cancelled and the batch tried with fewer rows, in seconds. Three times as long as PostgreSQL expects
        one call of the ETL to take, where that is more.
    type: float
    default: 120.0
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
- name: Recover two hours
  scout.recovery.scout_window_recovery:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    window_start: 2026-11-25T14:00:00+08:00
    window_end: 2026-11-25T16:00:00+08:00

- name: See what is wrong with the last hour
  scout.recovery.scout_window_recovery:
    dsn: "{{ scout_dsn }}"
    last: 1h
  check_mode: true
"""

RETURN = r"""
run_id:
  description: The run in the ledger, by which all this can be undone; null when nothing had to be rebuilt.
  returned: success
  type: str
window:
  description: The clock, start and end that were used.
  returned: success
  type: dict
narrowed:
  description: The files that were asked for (source_files), the first twenty.
  returned: success
  type: dict
mode:
  description: As given.
  returned: success
  type: str
plan:
  description:
    - What was found at the start, in events by class (events, loaded, pending, missing, wrong, poison_suspects,
      not_transactional), transactions that are extra, units to_rebuild, pending events elsewhere that share a transaction and
      came earlier (elsewhere), days of gold, seconds expected, fields that were not judged, and samples.
    - In check mode also counts by table, range, days of gold, estimated seconds and locks.
  returned: success
  type: dict
moved:
  description: Rows removed and rebuilt by table (transactions, lines, ledger), and events quarantined.
  returned: success
  type: dict
requeued:
  description: Events of other windows that return to the queue; always 0, as what shares a transaction is rebuilt with it.
  returned: success
  type: int
loaded:
  description: Events that the ETL loaded.
  returned: success
  type: int
poison:
  description: Events quarantined, each with event_id, dlq_id, error and sqlstate.
  returned: success
  type: list
  elements: dict
gold_days:
  description: Days of gold that are now out of date with silver.
  returned: success
  type: list
  elements: str
reconciliation:
  description:
    - The account in events (expected, arrived meanwhile, loaded, quarantined, not_transactional, unexplained, vanished), extra
      transactions, whether it is balanced, the unexplained_events with why, hours with transactions and amounts before and
      after, and a table for a person. In check mode it is that of the window as it is, so what would be recovered is
      unexplained in it.
  returned: success
  type: dict
batches:
  description: Path, rows, batches, retries, seconds in all and of the longest batch.
  returned: when something was rebuilt
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
from ..module_utils.recovery.moves.window import command, results

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **MOVING_SPEC,
    **command.WINDOW_SPEC,
    "target_seconds": {"type": "float", "default": 3.0},
    "poison": {"type": "str", "choices": ["quarantine", "stop"], "default": "quarantine"},
    "max_poison": {"type": "int", "default": 100},
    "max_poison_share": {"type": "float", "default": 0.1},
    "batch_timeout_seconds": {"type": "float", "default": 120.0},
}


def run(call: Call, params: Params) -> results.WindowResult:
    """Recovers the window."""
    return command.recover(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
