#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acceptance gate as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_gate_info
short_description: Judge whether a Scout pipeline may continue
version_added: 1.0.0
description:
  - Checks what the runbook's acceptance gate and its success and failure indicators name, from base tables, locks, the catalog
    and the job history, never from what a view or a function of Scout says.
  - Each check is C(pass), C(warn), C(fail) or C(inconclusive), with its figure, its thresholds and the reason. What lies between
    a success and a failure figure of the runbook is C(warn); what cannot be read is C(inconclusive), never C(pass).
  - Returns a verdict, and does not fail for it; RV(ok) says whether to continue, and RV(exit_code) is what the runbook's script
    would exit with.
  - A pipeline that is paused, or whose backlog shrinks after a pause, is distinguished from a broken one.
options:
  thresholds:
    description:
      - Figures in place of the defaults, as C({check, {ok, fail}}). At or below C(ok) passes and above C(fail) fails; for
        C(linking_coverage) it is the reverse.
    type: dict
    default: {}
  severity:
    description:
      - The worst a check may come to, by name. V(fail) as it is judged, V(warn) a warning at most, V(info) reported but not counted.
    type: dict
    default: {}
  period_hours:
    description: How many hours of silver and of the ETL's ledger the guardrails cover.
    type: int
    default: 24
  required_jobs:
    description:
      - Names of the jobs that have to be there, active, and well. By default those that load silver, link products and refresh
        gold; for these a job of another name counts as well if it does the work, and a job of that name does not if it does not.
    type: list
    elements: str
  warn_passes:
    description: Whether a verdict of C(warn) is good enough.
    type: bool
    default: false
  paused_passes:
    description: Whether C(paused) is good enough where all that can be judged during a pause passes, as before a resume.
    type: bool
    default: false
  consecutive:
    description:
      - The same verdict has to come this many times in a row. A verdict that has not after three times as many samples is
        C(inconclusive).
    type: int
    default: 1
  interval_seconds:
    description: Time between two samples, in seconds.
    type: float
    default: 30.0
  smoke:
    description:
      - Also send two copies of each of up to 200 earlier sales through the pipeline's own ETL, in a transaction that is rolled back, and
        compare what becomes of them with what the originals became. It waits for no lock longer than a second; nothing remains, and no
        job ever sees the copies. Where nothing has been loaded yet, it sends a made-up sale and compares nothing.
      - Needs INSERT on bronze and the ETL's ledger. In check mode it is not run, and the verdict is C(inconclusive).
    type: bool
    default: false
  changes:
    description:
      - With O(smoke), columns that a deployment means to change, such as C(silver_transactions.region). Other values in these are no
        change.
    type: list
    elements: str
    default: []
    version_added: 2.0.0
  smoke_timeout_seconds:
    description:
      - How long the smoke test may take, in seconds; by default 10, and longer where the ETL is
        expected to take long, because it reads all of a large table.
    type: float
  budget_seconds:
    description:
      - How long one sample may take, in seconds; by default 30, and longer where PostgreSQL expects that much of a large pipeline.
    type: float
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.stuck
attributes:
  check_mode:
    support: partial
    description: Only reads, in READ ONLY transactions.
    details: The smoke test, which has to write what it rolls back, is not run.
  diff_mode:
    support: N/A
    description: Changes nothing.
  idempotent:
    support: full
    description: Changes nothing.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Judge the pipeline after a deployment
  scout.recovery.scout_gate_info:
    dsn: "{{ scout_dsn }}"
    smoke: true
    consecutive: 3
    interval_seconds: 20
  register: gate

- name: Stop unless it passes
  ansible.builtin.assert:
    that: gate.ok
    fail_msg: "{{ gate.summary }}"

- name: Judge it with other figures
  scout.recovery.scout_gate_info:
    dsn: "{{ scout_dsn }}"
    thresholds:
      bronze_staleness: {ok: 60, fail: 240}
    severity:
      empty_baskets: warn
"""

RETURN = r"""
verdict:
  description: pass, warn, fail, inconclusive, paused or draining.
  returned: success
  type: str
ok:
  description: Whether to continue. True for pass, and for warn or paused where O(warn_passes) or O(paused_passes) say so.
  returned: success
  type: bool
exit_code:
  description:
    - 0 if ok. Else that of the first of the worst checks, 42 for linking, 43 for the mathematics of silver, 44 for locks, 45 for
      freshness, 46 for any other; 47 for inconclusive, 48 for paused and draining.
  returned: success
  type: int
codes:
  description: Those of all checks that fail or warn.
  returned: success
  type: list
  elements: int
checks:
  description:
    - Each check with name, status (pass, warn, fail, inconclusive), value, unit, threshold, source, reason, code, severity, and
      whether it counts for the verdict.
  returned: success
  type: list
  elements: dict
samples:
  description: Verdict and time of each sample.
  returned: success
  type: list
  elements: dict
smoke:
  description: The smoke test with status, reason and seconds; null where not asked for.
  returned: success
  type: dict
ingestion:
  description: State (running, paused, pausing or unknown), since when and by whom it is paused, and for which incident.
  returned: success
  type: dict
diagnoses:
  description: Likely causes, most blocking first, each with rank, cause, evidence and next_command.
  returned: success
  type: list
  elements: dict
period_hours:
  description: How many hours the guardrails covered.
  returned: success
  type: int
seconds:
  description: How long it took.
  returned: success
  type: float
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.health.gate import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "thresholds": {"type": "dict", "default": {}},
    "severity": {"type": "dict", "default": {}},
    "period_hours": {"type": "int", "default": 24},
    "required_jobs": {"type": "list", "elements": "str"},
    "warn_passes": {"type": "bool", "default": False},
    "paused_passes": {"type": "bool", "default": False},
    "consecutive": {"type": "int", "default": 1},
    "interval_seconds": {"type": "float", "default": 30.0},
    "changes": {"type": "list", "elements": "str", "default": []},
    "smoke": {"type": "bool", "default": False},
    "smoke_timeout_seconds": {"type": "float"},
    "budget_seconds": {"type": "float"},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
}


def run(call: Call, params: Params) -> command.GateResult:
    """Judges the pipeline, as often as it takes."""
    return command.gate(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
