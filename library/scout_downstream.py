#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming and calling what reads the pipeline, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_downstream
short_description: Name and call what reads a pipeline that was changed
version_added: 1.1.0
description:
  - Names each consumer of the pipeline, such as an export, a dbt job or a published dataset, that reads what an operation changed,
    and calls it if asked to, all at once, each within its own time.
  - A consumer that cannot be called, or that is described wrongly, never fails the task. It is named in RV(uncalled) and in the
    warnings. It is tried once.
  - Addresses and headers appear in no result and on no screen. A redirect is not followed.
  - Runs on the controller and connects to no database.
options:
  consumers:
    description:
      - What reads the pipeline. Each has C(name), C(reads) (tables and views, with their schema or without), and may have one of
        C(command) (a list of a program and its arguments, run without a shell) and C(url) (https, or http to this machine, with
        C(headers) and C(ca_file)); and C(timeout_seconds).
      - A command gets RV(document) as JSON on its standard input, an address by POST. A command does not see environment variables
        that begin with C(PG), C(SCOUT_) or C(SUPERSET_).
    type: list
    elements: dict
    default: []
  affected:
    description: What was changed, as M(scout.recovery.scout_summary) returns it.
    type: dict
    required: true
  call:
    description: Whether to call those that have a command or an address.
    type: bool
    default: false
  timeout_seconds:
    description: How long a call may take where the consumer does not say so, in seconds.
    type: float
    default: 60.0
attributes:
  check_mode:
    support: full
    description: Says which would be called; calls none.
  diff_mode:
    support: N/A
    description: Changes nothing in the database.
  idempotent:
    support: none
    description: Every run calls them again.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Have the changed days exported again
  scout.recovery.scout_downstream:
    affected:
      operation: quarantine
      relations: [scout.silver_transactions]
      days: [2026-11-25]
    consumers:
      - name: parquet export
        reads: [silver_transactions]
        command: [/opt/export/run, --from-stdin]
    call: true
"""

RETURN = r"""
named:
  description: Those that read what was changed, with name and holds, the relations that they read of it.
  returned: success
  type: list
  elements: dict
called:
  description: Names of those that were called; in check mode, of those that would be.
  returned: success
  type: list
  elements: str
uncalled:
  description: Those that could not be called, with name and error.
  returned: success
  type: list
  elements: dict
document:
  description: What each is sent, with format, operation, run_id, relations, views and days.
  returned: success
  type: dict
effects:
  description: Names of those named and called, and uncalled.
  returned: success
  type: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import Params, WithoutSession, execute
from ..module_utils.recovery.notifications import downstream

SPEC: dict[str, dict[str, t.Any]] = {
    "consumers": {"type": "list", "elements": "dict", "default": []},
    "affected": {"type": "dict", "required": True},
    "call": {"type": "bool", "default": False},
    "timeout_seconds": {"type": "float", "default": 60.0},
}


def run(call: WithoutSession, params: Params) -> downstream.DownstreamResult:
    """Names them, and calls them if asked to."""
    return downstream.carry_out(call, params)


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
