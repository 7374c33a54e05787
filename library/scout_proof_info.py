#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof that a resumed pipeline works by itself, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_proof_info
short_description: Prove that the jobs of a running pipeline work by themselves
version_added: 2.0.0
description:
  - Waits for the scheduler's next run of each active job that loads silver, and of the one that refreshes gold if that is due
    within O(timeout_seconds), and looks at its outcome in C(cron.job_run_details). Only runs that begin after the module counts.
  - A run that says it succeeded has to have had an effect. Events that were pending must be loaded, and gold must be newer.
  - A job that is not due within the wait, or whose run had nothing to do, is tried. Its command runs as the role of the job, with
    the settings of that role and database, in a transaction that is rolled back. First the module sends two copies of each of up to
    200 earlier sales, so that there is something to load, and compares what becomes of them with what the originals became. So it is
    where there is no scheduler, or where its history may not be read.
  - A difference counts only in what was loaded before the latest change of the ETL, its tables, its triggers or its role's settings, and
    only if no release was captured since that change. After a rollback, what was loaded before the rolled back release is the norm.
  - A refresh of gold that is expected to take more than 5 s is let begin, and is not tried to its end, where all of gold has just been
    computed by the latest run of the job or by M(scout.recovery.scout_refresh_gold), and nothing has changed since that it depends on.
  - Where the extension pg_cron is there, a job that is due and does not run is not proved, whatever a trial would say.
  - It changes nothing. What is not proved is in RV(error), and does not fail the task.
  - Stopped while it waits, it leaves ingestion as it is.
options:
  wanted:
    description: Whether anything is to be proved; with V(false) RV(summary) says that nothing is.
    type: bool
    default: true
  timeout_seconds:
    description:
      - How long to wait for runs, and how long trials may take, in seconds; by default 90. For trials, and for runs that have begun, three
        times what they are expected to take where that is more.
    type: float
  waits:
    description:
      - With V(false), where nothing had to be done, the latest run of each job is its proof, if it succeeded and the schedule has
        been kept since.
    type: bool
    default: true
  if_running:
    description: Prove nothing where none of the jobs is active, because ingestion is paused.
    type: bool
    default: false
  refreshes:
    description: Count it as a failure as well that the job that refreshes gold is inactive.
    type: bool
    default: false
  changes:
    description: Columns that a deployment means to change, such as C(silver_transactions.region). Other values in these are no change.
    type: list
    elements: str
    default: []
    version_added: 2.0.0
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: See one real run
  scout.recovery.scout_proof_info:
    dsn: "{{ scout_dsn }}"
  register: proof

- name: Stop where it does not work
  ansible.builtin.assert:
    that: proof.proven
    fail_msg: "{{ proof.error.said }}"
"""

RETURN = r"""
proven:
  description: Whether every job that loads, and the one that refreshes gold, works by itself.
  returned: success
  type: bool
status:
  description:
    - V(proved); V(changed) where all jobs work, and what they write has changed; V(failed) where a job does not run, load or refresh, or
      where events or sales vanish; V(unknown) where it cannot be told; V(skipped) or V(planned) where nothing was proved.
  returned: success
  type: str
state:
  description: Whether ingestion was V(running) or V(paused) when it began.
  returned: unless O(wanted=false)
  type: str
waits:
  description: Whether a run of the scheduler was waited for, or would be.
  returned: success
  type: bool
jobs:
  description: The proof of each job; what it is for, how it was proved, its outcome and what is to be said of it.
  returned: success
  type: list
  elements: dict
error:
  description: What is not proved and why, with the statement or command that fixes it; null where all is proved.
  returned: success
  type: dict
seconds:
  description: How long it took.
  returned: when it proved
  type: float
summary:
  description: One line for a person.
  returned: success
  type: str
reload:
  description:
    - After a rollback, how many sales were loaded between the capture and the rollback to it, and the command that loads them again.
      Empty if none of the replayed sales shows that the rolled-back release wrote them differently.
  returned: when it proved
  type: str
effects:
  description: How many jobs were proved, have changed, failed, or cannot be told.
  returned: when it proved
  type: dict
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.pipeline.proof import command
from ..module_utils.recovery.pipeline.proof.command import ProofResult

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "wanted": {"type": "bool", "default": True},
    "timeout_seconds": {"type": "float"},
    "changes": {"type": "list", "elements": "str", "default": []},
    "waits": {"type": "bool", "default": True},
    "if_running": {"type": "bool", "default": False},
    "refreshes": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> ProofResult:
    """Proves that the pipeline works by itself."""
    return command.prove(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
