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
version_added: 0.1.0
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
      - Also send a synthetic sale through the pipeline's own ETL, twice, in a transaction that is rolled back. It waits for
        no lock longer than a second and blocks nobody; nothing of it remains, and no job ever sees it.
      - Needs INSERT on bronze and the ETL's ledger. In check mode it is not run, and the verdict is C(inconclusive).
    type: bool
    default: false
  smoke_timeout_seconds:
    description: How long the smoke test may take, in seconds.
    type: float
    default: 10.0
  budget_seconds:
    description: How long one sample may take, in seconds.
    type: float
    default: 30.0
  stuck_after_seconds:
    description: Age from which a session of the pipeline, or a blocker of one, counts as stuck, in seconds.
    type: float
    default: 600.0
  jobs:
    description: Names of the jobs that count as ingestion; see M(scout.recovery.scout_ingestion).
    type: list
    elements: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
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
  description: The smoke test with status, reason, seconds, the synthetic transaction_id and its steps; null where not asked for.
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

import time
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ..module_utils.recovery.core.errors import BadInput
from ..module_utils.recovery.health import assessment, thresholds
from ..module_utils.recovery.health import facts as health_facts
from ..module_utils.recovery.health.gate import facts as gate_facts
from ..module_utils.recovery.health.gate import smoke_test
from ..module_utils.recovery.health.gate import verdict as gate_verdict
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.scout import contract
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS
from ..module_utils.recovery.summary.gate import NOT_IN_CHECK

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
    "smoke": {"type": "bool", "default": False},
    "smoke_timeout_seconds": {"type": "float", "default": 10.0},
    "budget_seconds": {"type": "float", "default": 30.0},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "jobs": {"type": "list", "elements": "str"},
}

CHECK_MODE: t.Final = NOT_IN_CHECK
MOST_SAMPLES: t.Final = 100


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Judges the pipeline, as often as it takes."""
    began = time.monotonic()
    options = gate_verdict.options(
        params["thresholds"],
        params["severity"],
        warn_passes=params["warn_passes"],
        paused_passes=params["paused_passes"],
    )
    _refuse_unusable(params)
    tested: tuple[gate_verdict.CheckResult, dict[str, t.Any]] | None = None
    verdicts: list[gate_verdict.Verdict] = []
    samples: list[dict[str, t.Any]] = []
    while True:
        found = _sample(call, params)
        if params["smoke"] and tested is None:
            tested = _smoke(call, params, found)
        verdicts.append(gate_verdict.judge(found, options, tested[0] if tested else None))
        samples.append({"at": found.now.isoformat() if found.now else None, "verdict": verdicts[-1].verdict})
        settled = gate_verdict.settled(verdicts, params["consecutive"])
        if settled is not None:
            break
        call.progress.say(f"sample {len(samples)}: {gate_verdict.summary(verdicts[-1])}")
        call.progress.wait(params["interval_seconds"])
    report = assessment.assess(found, thresholds.chosen({}), trouble=not settled.ok)
    return {
        "changed": False,
        "verdict": settled.verdict,
        "ok": settled.ok,
        "exit_code": settled.exit_code,
        "codes": settled.codes,
        "checks": [check.as_dict() for check in settled.checks],
        "samples": samples,
        "smoke": tested[1] if tested else None,
        "ingestion": _ingestion(settled, found),
        "diagnoses": [d.as_dict() for d in report.diagnoses],
        "period_hours": params["period_hours"],
        "seconds": round(time.monotonic() - began, 3),
        "summary": gate_verdict.summary(settled),
        "warnings": [f"the smoke test was {CHECK_MODE}"] if call.check and params["smoke"] else [],
    }


def _refuse_unusable(params: dict[str, t.Any]) -> None:
    if not 1 <= params["period_hours"] <= 24 * 366:
        raise BadInput(f"period_hours {params['period_hours']} is not usable", next_step="give 1 to 8784 hours")
    if not 1 <= params["consecutive"] <= MOST_SAMPLES:
        raise BadInput(
            f"consecutive {params['consecutive']} is not usable", next_step=f"give a number from 1 to {MOST_SAMPLES}"
        )


def _sample(call: Call, params: dict[str, t.Any]) -> health_facts.Facts:
    ledger = call.look(params["ledger"])
    required = params["required_jobs"] or list(contract.names().purposes)
    return health_facts.read(
        call.session,
        ledger,
        budget_seconds=params["budget_seconds"],
        stuck_after_seconds=params["stuck_after_seconds"],
        alert_hours=params["period_hours"],
        jobs=params["jobs"],
        more=gate_facts.reading(ledger, period_hours=params["period_hours"], required=required),
    )


def _smoke(
    call: Call, params: dict[str, t.Any], found: health_facts.Facts
) -> tuple[gate_verdict.CheckResult, dict[str, t.Any]]:
    if call.check:
        return smoke_test.skipped(CHECK_MODE)
    call.progress.say("smoke test: a synthetic sale goes through the ETL and is rolled back")
    owner = found.etl_jobs[0].owner if found.etl_jobs else call.session.facts.role
    return smoke_test.test(call.session, seconds=params["smoke_timeout_seconds"], owner=owner)


def _ingestion(verdict: gate_verdict.Verdict, found: health_facts.Facts) -> dict[str, t.Any]:
    pause = found.pause
    return {
        "state": verdict.state,
        "paused_since": pause.paused_at.isoformat() if pause else None,
        "paused_by": pause.actor if pause else None,
        "incident": pause.incident if pause else None,
    }


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_gate_info", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
