#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data for the report of an incident as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_report_info
short_description: Read what the report of an incident shows
version_added: 2.0.0
description:
  - Reads the runs of O(incident) from the ledger, what they moved, and from bronze and the ETL's ledger how the pipeline kept up
    meanwhile. Writes nothing.
  - Nothing of it depends on the clock. As long as neither the ledger nor the pipeline changes, the result stays the same.
options:
  window_start:
    description: Start of the time to report on; by default the start of the first run.
    type: str
  window_end:
    description: End of that time; by default the end of the last run.
    type: str
  time_zone:
    description: Zone of the times in the report, such as Asia/Manila, and of a window without an offset; by default UTC.
    type: str
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: What did the incident cost?
  scout.recovery.scout_report_info:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    time_zone: Asia/Manila
"""

RETURN = r"""
file_name:
  description: A name for the report's file, made of incident, database and day, without an ending.
  returned: success
  type: str
start:
  description: Start of the time that is reported on.
  returned: success
  type: str
end:
  description: Its end.
  returned: success
  type: str
runs:
  description:
    - The runs in order, each with number, run_id, at, started_at, action, name, actor, status, took, effect, can_be_undone and
      undone_by.
  returned: success
  type: list
  elements: dict
done:
  description: The actions that succeeded and were not undone.
  returned: success
  type: list
  elements: str
wrong:
  description: What was wrong, a sentence each.
  returned: success
  type: list
  elements: str
moved:
  description:
    - The dead letters of the runs by run and error code, each with number and name of the run, run_id, error_code, dead_letters, events,
      sales, lines, amount, no_amount (those without one) and in_queue (those that were not redriven).
  returned: success
  type: list
  elements: dict
pauses:
  description: Every pause of that time, with start, end, started_at, ended_at, actor and incident.
  returned: success
  type: list
  elements: dict
impact:
  description:
    - What the incident cost, in seconds (seconds, paused_seconds, late_seconds) and in sales (late_sales, waiting_sales, sales,
      amount, in_queue, rebuilt, amount_before, amount_after).
    - A sale is late once it waits longer than late_after_minutes to be loaded.
  returned: success
  type: dict
unknown:
  description: What could not be read, each with the reason.
  returned: success
  type: dict
step_seconds:
  description: The time from one of RV(points) to the next.
  returned: success
  type: int
points:
  description:
    - What the chart shows, step by step, each with at, arrived, loaded, pending (at most), since_arrival and since_load (seconds, at
      most).
  returned: success
  type: list
  elements: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.incidents import report
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
}


def run(call: Call, params: Params) -> report.ReportResult:
    """Reads it."""
    return report.report(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
