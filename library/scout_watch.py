#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watching a pipeline for a while as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_watch
short_description: Watch a Scout pipeline for a while, and say whether it has recovered
version_added: 1.0.0
description:
  - Assesses the pipeline every O(interval_seconds) for O(duration), as M(scout.recovery.scout_health_info) does, and shows a line
    for each sample.
  - Ends early after O(consecutive) failing samples in a row, or as many that found ingestion paused. Where the end was neither
    healthy nor degraded, or where O(consecutive) samples in a row could not be taken, the verdict is C(inconclusive); what was
    not observed is no success.
  - The task itself does not fail because of what it observed; RV(verdict) and RV(error) say so. It does where it cannot begin, as on
    paused ingestion.
  - Every look has a session of its own. A database that cannot be reached makes a sample inconclusive, and the next look tries
    again. No lease is held, and nothing of the pipeline is changed.
  - Samples go to C(scout_ops.samples) and to a file; a chart of staleness, backlog and throughput is drawn in the end, also when the
    task is stopped.
options:
  duration:
    description: How long to watch, as seconds, or as numbers with C(d), C(h), C(m) and C(s), such as V(30m) or V(1h30m).
    type: str
    default: 30m
  interval_seconds:
    description: Time from the beginning of one look to that of the next, in seconds. Where a look takes longer, some are left out.
    type: float
    default: 30.0
  consecutive:
    description: So many samples in a row make a verdict. One that could not be taken is not counted among failing ones.
    type: int
    default: 3
  thresholds:
    description: Figures in place of the runbook's; see M(scout.recovery.scout_health_info).
    type: dict
    default: {}
  budget_seconds:
    description:
      - How long one look may take, in seconds; by default 5, and longer where PostgreSQL expects that much of a large pipeline.
    type: float
  folder:
    description: Where samples and chart go unless configured otherwise, in a folder of their own. Without it they are not written.
    type: path
  samples_file:
    description: A file to which every sample is added as it comes, as a line of JSON.
    type: path
  chart_file:
    description: Where the chart goes, without its ending; C(.svg) and C(.png) are written.
    type: path
  chart:
    description: Draw the chart. This needs matplotlib where the module runs.
    type: bool
    default: true
  repause:
    description: Say in the first line that ingestion is paused again where it fails. That is done by the caller, by RV(verdict).
    type: bool
    default: false
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.jobs
  - scout.recovery.shared.stuck
  - scout.recovery.attributes
attributes:
  check_mode:
    support: full
    description: Takes one sample in READ ONLY transactions and returns it; writes nothing, to no file either.
  diff_mode:
    support: N/A
    description: Changes nothing of the pipeline.
  idempotent:
    support: full
    description: Changes nothing of the pipeline.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Watch for half an hour
  scout.recovery.scout_watch:
    dsn: "{{ scout_dsn }}"
    incident: INC-2041
    folder: evidence
  register: watch

- name: Watch closely for ten minutes, and fail where the pipeline has not recovered
  scout.recovery.scout_watch:
    dsn: "{{ scout_dsn }}"
    duration: 10m
    interval_seconds: 10
    consecutive: 2
    samples_file: samples.jsonl
    chart: false
  register: watch
  failed_when: watch.error is not none
"""

RETURN = r"""
verdict:
  description:
    - healthy or degraded, which mean recovered; failing, paused or inconclusive, which do not.
    - In check mode, of the one sample.
  returned: success
  type: str
why:
  description: What the verdict rests on, in words.
  returned: success
  type: str
error:
  description: Why it was no recovery, as attempted, on, said and next_step; null where it was one.
  returned: success
  type: dict
run_id:
  description: The run in the ledger, by which its samples are found; null without one.
  returned: success
  type: str
counts:
  description: How many samples came to which verdict.
  returned: success
  type: dict
planned:
  description: How many samples there are if nothing ends it early.
  returned: success
  type: int
samples:
  description:
    - The latest 200 samples with number, at, elapsed_seconds, verdict, reason, state, figures, statuses and took_seconds.
    - The figures are the indicators of M(scout.recovery.scout_health_info) and C(loaded_per_minute), the events that the ETL took in
      the last five minutes, per minute; empty where one could not be had.
  returned: success
  type: list
  elements: dict
trends:
  description: Of what a person follows, the first, last, least and most value, and whether it was rising, falling or steady.
  returned: success
  type: dict
seconds:
  description: For how long it was watched.
  returned: success
  type: float
state:
  description: Whether ingestion is running or paused, by the last sample that could tell.
  returned: success
  type: str
indicators:
  description: Of the last sample that could be taken, as M(scout.recovery.scout_health_info) returns them.
  returned: success
  type: list
  elements: dict
diagnoses:
  description: Likely causes by the last sample that could be taken.
  returned: success
  type: list
  elements: dict
samples_file:
  description: The file with all samples; null without one.
  returned: success
  type: str
charts:
  description: The files of the chart.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
effects:
  description: How many samples the ledger has, and the verdict.
  returned: success
  type: dict
"""

import typing as t

from ..module_utils.recovery.health.watch import command
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "duration": {"type": "str", "default": "30m"},
    "interval_seconds": {"type": "float", "default": 30.0},
    "consecutive": {"type": "int", "default": 3},
    "thresholds": {"type": "dict", "default": {}},
    "budget_seconds": {"type": "float"},
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "jobs": {"type": "list", "elements": "str"},
    "folder": {"type": "path"},
    "samples_file": {"type": "path"},
    "chart_file": {"type": "path"},
    "chart": {"type": "bool", "default": True},
    "repause": {"type": "bool", "default": False},
}


def run(call: Call, params: Params) -> command.WatchResult:
    """Watches the pipeline."""
    return command.watch(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
