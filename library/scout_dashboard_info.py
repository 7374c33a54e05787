#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook's dashboard queries as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_dashboard_info
short_description: Run all dashboard queries of the Scout runbook
version_added: 1.0.0
description:
  - Queries C(v_ingest_freshness), C(v_pipeline_throughput), C(v_etl_performance), C(v_quality_alerts), C(data_quality_report)
    and C(v_product_linking_stats), as they are, in READ ONLY transactions.
  - Each is bounded in time, rows and size, and fails alone. C(v_quality_alerts), for one, fails as a whole where a sale has a
    total of 0, and C(v_ingest_freshness) where a gold view has never been refreshed.
  - Each comes with the figures of M(scout.recovery.scout_health_info) and some more, from base tables and the job history, and with
    what to keep in mind when reading the view.
options:
  hours:
    description: How many hours C(data_quality_report) and our own figure of violations look back.
    type: int
    default: 24
  rows:
    description: How many rows of each query are kept, the newest or most severe first.
    type: int
    default: 5
  query_seconds:
    description: How long each query may take, and our own figures together, in seconds.
    type: float
    default: 5.0
  stuck_after_seconds:
    description: As of M(scout.recovery.scout_health_info), in seconds.
    type: float
    default: 600.0
  thresholds:
    description: As of M(scout.recovery.scout_health_info).
    type: dict
    default: {}
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.jobs
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Show what the dashboards show
  scout.recovery.scout_dashboard_info:
    dsn: "{{ scout_dsn }}"
  register: dashboard
"""

RETURN = r"""
queries:
  description:
    - Each query with name, dashboard, rows (in the view's own columns), total (how many rows it has), seconds, error (why it
      gave nothing, if so), next_step, caution (what to mind) and ours (our own figures, as of
      M(scout.recovery.scout_health_info); C(unjudged) where there is no threshold).
  returned: success
  type: list
  elements: dict
asked_at:
  description: When, in UTC.
  returned: success
  type: str
verdict:
  description: As of M(scout.recovery.scout_health_info).
  returned: success
  type: str
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
    "hours": {"type": "int", "default": 24},
    "rows": {"type": "int", "default": 5},
    "query_seconds": {"type": "float", "default": 5.0},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "thresholds": {"type": "dict", "default": {}},
    "jobs": {"type": "list", "elements": "str"},
}


def run(call: Call, params: Params) -> command.DashboardResult:
    """Asks all queries."""
    return command.answer_queries(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
