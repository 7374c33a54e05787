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
version_added: 1.0.0
description:
  - Judges the pipeline by the runbook's figures, computed from its base tables, its locks and its job history, never
    from its views. A figure that cannot be read is C(unknown) with the reason; it does not fail the task.
  - What lies between a success and a failure figure of the runbook is a warning.
  - A deliberately paused pipeline is C(paused); what lags because of the pause is not judged.
  - Names likely causes with their evidence and the exact next command.
options:
  retry_budget_seconds:
    description:
      - If nothing asks for a repair, but a lock or too little time hid a check, look again for so long, in seconds. The sales of today
        are then not looked at. Without it the module looks once.
    type: float
    version_added: 2.0.0
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.stuck
  - scout.recovery.shared.assessment
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
cannot_tell:
  description: Checks that could not be made, each with why; while there is one, the verdict is inconclusive or failing.
  returned: success
  type: list
  elements: str
failing:
  description: What fails, or will once ingestion runs again.
  returned: success
  type: list
  elements: str
notes:
  description:
    - What this role cannot see, in words, with the statement that shows it, such as the jobs of other roles. It never changes the
      verdict.
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
pending:
  description:
    - How many C(events) the ETL has not loaded, and C(since) when the one that waits longest does, or the time of the look where none
      does; none of it where that could not be read. O(scout.recovery.scout_evidence#module:health) takes it, so that bronze is not
      gone through once more.
  returned: success
  type: dict
unusual:
  description:
    - What is unusual about the sales of the last 24 hours, beside the seven days before, at most ten entries. Each has C(what)
      (V(fewer sales), V(fewer, last 3 h), V(more sales), V(mean amount), V(unknown region), V(ts to arrival) or
      V(equal sales, new ids)), C(kind) and C(name) of the store, source or region, C(now) and C(usual) (sales, an amount, percent, or
      seconds from C(ts) to arrival), and how many C(others) of that kind share it.
    - It never changes the verdict. If it could not be read within 2 seconds, RV(unread) names it.
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

import typing as t

from ..module_utils.recovery.health import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "thresholds": {"type": "dict", "default": {}},
    "budget_seconds": {"type": "float"},
    "retry_budget_seconds": {"type": "float"},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "alert_hours": {"type": "int", "default": 1},
}


def run(call: Call, params: Params) -> command.AssessResult:
    """Assesses the pipeline."""
    return command.assess(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
