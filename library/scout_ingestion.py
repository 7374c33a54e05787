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
version_added: 1.0.0
description:
  - O(state=paused) is a barrier. It calls the pipeline's own switch, then looks at C(cron.job) itself and deactivates
    every ingestion job that can still start (through C(cron.alter_job), as the job's owner; no superuser is needed), waits
    for the work in flight, and succeeds only when nothing loads silver or refreshes gold.
  - A job whose run is in flight keeps running to its end, parked on a date that never comes, because pg_cron ends the
    run of a job that is made inactive. Work in flight is cancelled only with O(cancel_running=true).
  - O(state=running) re-enables exactly the jobs the pause disabled. Jobs that were off before stay off.
    It finds a job by its number, else by its name with its owner or its command. The task fails if the job that loads stays
    inactive and no pause in the ledger explains it.
  - Writers of bronze are never affected.
options:
  state:
    description: The wanted state.
    type: str
    choices: [paused, running]
    required: true
  also:
    description:
      - With O(state=running), names of jobs that are activated although they were off before the pause, or although no pause is in the
        ledger. It counts for nothing with O(only_own) or O(operation).
    type: list
    elements: str
    default: []
  drain_timeout_seconds:
    description:
      - How long to wait for work in flight, in seconds. At the timeout the task fails and nothing is resumed.
      - By default a session that is at work is waited for until it counts as stuck, three times as long as runs of the pipeline usually
        take and at least 600; one that holds a lock and does nothing, for 60.
    type: float
  cancel_running:
    description: Cancel work in flight instead of waiting for its end. It is rolled back and loaded again later.
    type: bool
    default: false
  leave_stuck_after_seconds:
    description:
      - Do not wait for sessions whose transaction is older than this, in seconds; they are reported in RV(stuck), and
        the barrier does not stand before M(scout.recovery.scout_terminate_sessions) has ended them. Runs of jobs among them may be
        ended by pg_cron, because their job is made inactive; they are in the ledger by then.
      - By default every session is waited for.
    type: float
  only_own:
    description:
      - With O(state=running), leave a pause in force that someone else made, unless it was made for the same named
        O(incident), was left by an operation that died, or is taken over. The emergency reset does so.
      - Without it, and without O(operation), a pause that someone else made is refused unless O(takeover) is given.
    type: bool
    default: false
  operation:
    description:
      - Name of the operation this is a step of. A pause remembers it, and O(state=running) then leaves a pause in force
        that was not made as a step of the same operation, so that an operation ends with ingestion as it found it.
    type: str
  reason:
    description: With O(state=paused), why. Whoever assesses the pipeline meanwhile is told, and the ledger keeps it.
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
  description: Who paused; null where no pause is in force.
  returned: success
  type: str
paused_reason:
  description: Why, as whoever paused gave it; null where nothing was given.
  returned: success
  type: str
paused_by_another:
  description: Whether a pause is in force that somebody else made, and that is not what an operation left when it died.
  returned: success
  type: bool
switch:
  description: Whether the pipeline's own switch could be called and what it said. It is never believed.
  returned: when something was changed
  type: dict
error:
  description: That a move of rows which was begun in the pause is not finished, in the form of every error.
  returned: when a pause was ended in which one was broken off
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

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline import command, results

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "state": {"type": "str", "choices": ["paused", "running"], "required": True},
    "also": {"type": "list", "elements": "str", "default": []},
    "drain_timeout_seconds": {"type": "float"},
    "cancel_running": {"type": "bool", "default": False},
    "leave_stuck_after_seconds": {"type": "float"},
    "only_own": {"type": "bool", "default": False},
    "operation": {"type": "str"},
    "reason": {"type": "str"},
}


def run(call: Call, params: Params) -> results.SwitchResult:
    """Brings ingestion to the wanted state."""
    return command.set_ingestion(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
