#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draining the backlog as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_drain
short_description: Drain the backlog of a Scout pipeline
version_added: 1.0.0
description:
  - Loads every event that was pending when the task began, through the pipeline's own C(scout.load_silver_from_bronze), in
    transactions whose size adapts to O(target_seconds). What is committed stays; an interrupted run continues.
  - An event the ETL cannot load does not stop it. A refused batch is narrowed down to the one event that the ETL refuses by
    itself; that event is quarantined in the dead letter queue with its full image and the database's error, and the drain
    continues. Two events of one transaction in a batch are not poison; the later one waits for the next batch.
  - Errors that are not about an event (a missing function, a full disk, a missing privilege) stop the drain at once.
    Deadlocks, lock timeouts and collisions with another loader are tried again.
  - Two loaders in parallel skip the events that the other one has locked, so of two corrections of one sale the later may be
    loaded first. The playbooks pause ingestion before they drain.
  - Times without an offset are read in the time zone of the role that owns the ETL's job, as the scheduler would.
  - The role needs SELECT, UPDATE and DELETE on C(scout.bronze_events) (it locks the events it works on), SELECT and INSERT on
    C(scout.bronze_events_dlq), SELECT, INSERT and DELETE on C(scout.etl_processed) (it defers events by marking them
    within a transaction), and EXECUTE on the ETL.
options:
  state:
    description: The wanted state.
    type: str
    choices: [drained]
    default: drained
  poison:
    description: Whether an event that cannot be loaded is quarantined or ends the task.
    type: str
    choices: [quarantine, stop]
    default: quarantine
  max_poison:
    description: Stop, as a systemic failure, rather than quarantine more events than this.
    type: int
    default: 100
  max_poison_share:
    description:
      - Stop, as a systemic failure, when, from the 20th poison event on, poison exceeds this share of the events tried.
      - Below 1 it also stops before it quarantines an event when the ETL has loaded nothing and rejects a known-good test sale
        with the same error.
    type: float
    default: 0.1
  target_seconds:
    description: How long a batch should take, in seconds. One call of the ETL scans all pending events, so few long ones are cheaper.
    type: float
    default: 3.0
  batch_rows:
    description: Size of the first batch, in events; later ones adapt, and are smaller only to find an event that cannot be loaded.
    type: int
    default: 2000
  batch_timeout_seconds:
    description:
      - A batch that takes longer is rolled back and tried at half the size, in seconds. Three times as long as PostgreSQL expects one
        call of the ETL to take, where that is more.
    type: float
    default: 120.0
  hidden_wait_seconds:
    description: How long to wait for pending events that another session holds locked, in seconds.
    type: float
    default: 10.0
  require_pause:
    description: Refuse to start unless ingestion is paused and nothing else loads silver.
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Load the backlog
  scout.recovery.scout_drain:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    state: drained
"""

RETURN = r"""
run_id:
  description: The run in the ledger; null when there was no backlog.
  returned: success
  type: str
backlog:
  description: Events that were pending at the start, and the age of the oldest in seconds.
  returned: success
  type: dict
loaded:
  description: Events loaded; on failure those that are committed, as with the next ones.
  returned: success, and when it failed once it had begun
  type: int
poison:
  description: Events moved to the dead letter queue, each with event_id, dlq_id, digest, error and sqlstate.
  returned: success, and when it failed once it had begun
  type: list
  elements: dict
kinds:
  description: The kinds of errors of these, each with sqlstate, error (the message without values) and events; the most frequent first.
  returned: success, and when it failed once it had begun
  type: list
  elements: dict
suspects:
  description:
    - In check mode, those of the 20,000 oldest pending events that look as if the ETL could not load them (at most 100), with
      the reason. What only a constraint or trigger of the database refuses is not among them.
  returned: check mode
  type: list
  elements: dict
batches:
  description: Batches committed.
  returned: success, and when it failed once it had begun
  type: int
retries:
  description: How often something was tried again because others were in the way.
  returned: success, and when it failed once it had begun
  type: int
seconds:
  description: How long it took.
  returned: success, and when it failed once it had begun
  type: float
effects:
  description: Numbers of events loaded and quarantined.
  returned: success, and when it failed once it had begun
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import command, results

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["drained"], "default": "drained"},
    "poison": {"type": "str", "choices": ["quarantine", "stop"], "default": "quarantine"},
    "max_poison": {"type": "int", "default": 100},
    "max_poison_share": {"type": "float", "default": 0.1},
    "target_seconds": {"type": "float", "default": 3.0},
    "batch_rows": {"type": "int", "default": 2000},
    "batch_timeout_seconds": {"type": "float", "default": 120.0},
    "hidden_wait_seconds": {"type": "float", "default": 10.0},
    "require_pause": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> results.DrainResult:
    """Drains the backlog."""
    return command.drain(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
