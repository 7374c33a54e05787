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
version_added: 1.0.0
description:
  - Puts every row that a quarantine, a cleanup, a redrive, the quarantine of poison events or another undo moved back exactly
    as it was, in short transactions that are proved by count and digest, in the order that foreign keys ask for.
  - An undo is a run as well, and undoing it works.
  - A rollback to a release is undone by rolling back to what was captured before it, in one transaction, with the data that
    was saved; see M(scout.recovery.scout_rollback). O(max_rows) is then how many rows may have to be saved.
  - Silver that the ETL has built since from nothing but what the run had left is replaced. Rows that have changed, or were
    rebuilt from other events, are conflicts.
options:
  run_id:
    description:
      - The run to undo, as its result, its dead letters and M(scout.recovery.scout_runs_info) name it.
      - The first eight digits of it are enough, where no other run begins so. V(last) is the latest run that can be undone.
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
  dlq_ids:
    description:
      - Dead letters that somebody has looked at and takes for what the run stored. Needed for runs of versions before 1.0, which
        left no digests in the ledger; without effect on a run that did.
    type: list
    elements: str
  allow_owners:
    description:
      - Of a run that changed the schema, roles that may own what is made or changed although they are superusers, or own nothing of
        the release today.
    type: list
    elements: str
    default: []
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
moved:
  description: Rows of events, transactions, lines and ledger that the run moved out again by table; in check mode, that would be.
  returned: when no release is concerned
  type: dict
requeued:
  description: Events that stay, but whose transaction is rebuilt.
  returned: when no release is concerned
  type: int
gold_days:
  description: Days of gold that are now out of date with silver.
  returned: success
  type: list
  elements: str
plan:
  description: In check mode, counts by table, range, days of gold, estimated seconds and locks.
  returned: check mode, unless O(look=true) or there is nothing to do
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
  description: Of a rollback to a release that is undone, the steps; with all else that M(scout.recovery.scout_rollback) returns.
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

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.moves.engine.job import MOVING_SPEC
from ..module_utils.recovery.moves.undo import command
from ..module_utils.recovery.release.restore import command as restore_command
from ..module_utils.recovery.release.restore import result

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **MOVING_SPEC,
    **command.UNDO_SPEC,
    **restore_command.GOING_SPEC,
}


def run(call: Call, params: Params) -> command.UndoResult | result.UndoneRollback:
    """Undoes a run."""
    return command.undo(call, params, of_schema=restore_command.undo)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
