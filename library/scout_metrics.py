#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An assessment as Prometheus metrics, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_metrics
short_description: Write an assessment as Prometheus metrics
version_added: 1.0.0
description:
  - Writes what M(scout.recovery.scout_health_info) found into a file in the Prometheus text format, for the textfile collector
    of the node exporter. The file is replaced in one step, so that a reader never meets half of it.
  - Of an assessment that failed it writes C(scout_up 0) and the time, and none of the previous figures.
  - A figure that is unknown is left out; C(scout_indicator_status) says that it is unknown.
  - Several hosts may share the file; each replaces its own pipeline's metrics and leaves those of the others.
  - Runs on the controller and connects to no database.
options:
  metrics_file:
    description: The file, in a folder that exists; its name ends in C(.prom).
    type: path
    required: true
  assessment:
    description: The result of M(scout.recovery.scout_health_info), also where it failed.
    type: dict
    required: true
  pipeline:
    description: Value of the label C(pipeline), as a rule the name of the host in the inventory.
    type: str
    required: true
  keep_seconds:
    description:
      - For how long another pipeline's metrics in the file are kept, in seconds. Of an older one only its time is left, and
        C(scout_up) becomes 0.
    type: float
    default: 900.0
attributes:
  check_mode:
    support: full
    description: The file is written, because an assessment changes nothing and its result is just as valid.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: full
    description: Changes nothing in the database.
requirements:
  - prometheus-client on the controller
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Assess the pipeline
  scout.recovery.scout_health_info:
    dsn: "{{ scout_dsn }}"
  register: health
  ignore_errors: true

- name: Tell Prometheus
  scout.recovery.scout_metrics:
    metrics_file: /var/lib/prometheus/node-exporter/scout.prom
    assessment: "{{ health }}"
    pipeline: "{{ inventory_hostname }}"
"""

RETURN = r"""
metrics_file:
  description: Where the metrics are.
  returned: success
  type: str
samples:
  description: How many samples are in it, those of other pipelines included.
  returned: success
  type: int
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.health import command
from ..module_utils.recovery.invoke import Params, WithoutSession, execute

SPEC: dict[str, dict[str, t.Any]] = {
    "metrics_file": {"type": "path", "required": True},
    "assessment": {"type": "dict", "required": True},
    "pipeline": {"type": "str", "required": True},
    "keep_seconds": {"type": "float", "default": 900.0},
}


def run(call: WithoutSession, params: Params) -> command.MetricsResult:
    """Writes the file."""
    return command.export_metrics(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
