#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The health of a pipeline as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_health_info
short_description: Assess a Scout pipeline
version_added: 0.1.0
description:
  - Judges the pipeline by the runbook's figures, computed from its base tables, its locks and its job history, never
    from its views. A figure that cannot be read is C(unknown) with the reason; it does not fail the task.
  - What lies between a success and a failure figure of the runbook is a warning.
  - A deliberately paused pipeline is C(paused); what lags because of the pause is not judged.
  - Names likely causes with their evidence and the exact next command.
options:
  thresholds:
    description:
      - Figures in place of the runbook's, as C({indicator, {ok, fail}}). At or below C(ok) is ok and above C(fail) is a
        failure; for C(linking_coverage) it is the reverse.
    type: dict
    default: {}
  budget_seconds:
    description: How long the assessment may take, in seconds.
    type: float
    default: 5.0
  stuck_after_seconds:
    description: Age from which a session of the pipeline, or a blocker of one, counts as stuck, in seconds.
    type: float
    default: 600.0
  alert_hours:
    description: How many hours of silver are searched for critical violations.
    type: int
    default: 1
  jobs:
    description: Names of the jobs that count as ingestion; see M(scout.recovery.scout_ingestion).
    type: list
    elements: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Assess the pipeline
  scout.recovery.scout_health_info:
    dsn: "{{ scout_dsn }}"
  register: health

- name: Assess it with a stricter figure
  scout.recovery.scout_health_info:
    dsn: "{{ scout_dsn }}"
    thresholds:
      silver_staleness: {ok: 2, fail: 5}
"""

RETURN = r"""
verdict:
  description: healthy, degraded, failing, inconclusive or paused.
  returned: success
  type: str
verdict_when_running:
  description: The verdict once ingestion runs again; the same unless it is paused.
  returned: success
  type: str
indicators:
  description: Each figure with name, value, unit, status (ok, warn, fail, unknown), threshold, source and reason.
  returned: success
  type: list
  elements: dict
diagnoses:
  description: Likely causes, most blocking first, each with rank, cause, evidence and next_command.
  returned: success
  type: list
  elements: dict
needs_reset:
  description: Why an emergency reset would do something; empty when it would change nothing.
  returned: success
  type: list
  elements: str
blockers:
  description: Indicators that keep an emergency reset from resuming ingestion.
  returned: success
  type: list
  elements: str
ingestion:
  description: State, since when and by whom it is paused, for which incident, and the jobs with their activity.
  returned: success
  type: dict
suspects:
  description: Pending events that look as if the ETL could not load them (at most 3), with the reason.
  returned: success
  type: list
  elements: dict
unread:
  description: Names of the facts that could not be read; what depends on them is unknown.
  returned: success
  type: list
  elements: str
seconds:
  description: How long the assessment took.
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
from ..module_utils.recovery.core.text import in_words
from ..module_utils.recovery.health import assessment, thresholds
from ..module_utils.recovery.health import facts as health_facts
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, invoke
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "thresholds": {"type": "dict", "default": {}},
    "budget_seconds": {"type": "float", "default": 5.0},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "alert_hours": {"type": "int", "default": 1},
    "jobs": {"type": "list", "elements": "str"},
}

#: What is merely not found in time says nothing wrong of the pipeline, but it has to be said.
SILENT_READS: t.Final = {
    "pause": "whether a pause is in force is unknown",
    "head": 'skipped check "what blocks the ETL"',
    "suspects": 'skipped check "malformed events"',
    "repeats": 'skipped check "duplicate transaction_id within one batch"',
    "drift": 'skipped check "what changed since the last release was captured"',
    "older": 'skipped check "older violations"',
}


def run(call: Call, params: dict[str, t.Any]) -> dict[str, t.Any]:
    """Assesses the pipeline."""
    began = time.monotonic()
    figures = thresholds.chosen(params["thresholds"])
    if not 1 <= params["alert_hours"] <= 24 * 366:
        raise BadInput(f"alert_hours {params['alert_hours']} is not usable", next_step="give 1 to 8784 hours")
    found = health_facts.read(
        call.session,
        call.look(params["ledger"]),
        budget_seconds=params["budget_seconds"],
        stuck_after_seconds=params["stuck_after_seconds"],
        alert_hours=params["alert_hours"],
        jobs=params["jobs"],
    )
    report = assessment.assess(found, figures)
    pause = found.pause
    return {
        "changed": False,
        "verdict": report.verdict,
        "verdict_when_running": report.verdict_when_running,
        "indicators": [indicator.as_dict() for indicator in report.indicators],
        "diagnoses": [diagnosis.as_dict() for diagnosis in report.diagnoses],
        "needs_reset": list(report.needs_reset),
        "blockers": list(report.blockers),
        "ingestion": {
            "state": found.ingestion or "unknown",
            "paused_since": pause.paused_at.isoformat() if pause else None,
            "paused_for_seconds": round(pause.seconds, 1) if pause else None,
            "paused_by": pause.actor if pause else None,
            "incident": pause.incident if pause else None,
            "jobs": {job.jobname: job.active and not job.parked for job in found.jobs},
        },
        "suspects": [{"event_id": s.event_id, "reason": s.reason} for s in found.suspects],
        "unread": sorted(found.problems),
        "seconds": round(time.monotonic() - began, 3),
        "summary": _summary(report, found),
        "warnings": [
            f"{text}: {found.problems[name].said}" for name, text in SILENT_READS.items() if name in found.problems
        ],
    }


def _summary(report: assessment.Report, found: health_facts.Facts) -> str:
    text = report.verdict
    if found.pause and report.verdict == "paused":
        text += f" {in_words(found.pause.seconds)} ago by {found.pause.actor}"
    for status in ("fail", "warn"):
        named = [
            f"{i.name} {assessment.shown(i.value, i.unit)}".rstrip() for i in report.indicators if i.status == status
        ]
        if named:
            return f"{text}: {', '.join(named)}"
    return text


def main() -> None:
    """Executed on a target."""
    module = AnsibleModule(argument_spec=SPEC, supports_check_mode=True)
    result = invoke(run, "scout_health_info", module.params, check=module.check_mode)
    (module.fail_json if result.get("failed") else module.exit_json)(**result)


if __name__ == "__main__":
    main()
