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
version_added: 1.0.0
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
    description: Only entries made for this incident.
    type: str
  run_id:
    description: Only entries made by this run (a quarantine, a cleanup, or a drain that quarantined poison); its first eight digits do.
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
  - scout.recovery.shared.zone
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
conflicts:
  description:
    - The first hundred entries that hold a payload alone and whose event is in bronze, or in another unresolved entry, as well, where it
      could not be resolved by that; each with dlq_id and why. They were left alone, C(conflicting) of them.
  returned: success, and when too much failed
  type: list
  elements: dict
conflicting:
  description: How many entries were left alone because their event is somewhere else as well.
  returned: success, and when too much failed
  type: int
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
  description: In check mode, counts by table, range, days of gold, estimated seconds and locks.
  returned: check mode, unless O(look=true) or there is nothing to do
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

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.moves.redrive import command

SPEC: dict[str, dict[str, t.Any]] = {**CONNECTION_SPEC, **LEDGER_SPEC, **MOVING_SPEC, **command.REDRIVE_SPEC}


def run(call: Call, params: Params) -> command.RedriveResult:
    """Redrives the selection."""
    return command.redrive(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
