#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an operation begins, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_begin
short_description: Check privileges, take the lease and assess a Scout pipeline
version_added: 1.0.0
description:
  - Does what M(scout.recovery.scout_preflight_info), M(scout.recovery.scout_lease) with O(scout.recovery.scout_lease#module:state=held)
    and M(scout.recovery.scout_health_info) do, one after the other, in one task and on one session.
  - Ends with the first that fails, with the results until then. A lease that was taken is released by M(scout.recovery.scout_lease).
  - Where something is to be repaired in a pause that someone else made, it is refused unless O(takeover) is given.
options:
  ttl_seconds:
    description:
      - After how long without a renewal the lease expires, in seconds. Where the controller has a session on the database
        itself, a process beside it renews the lease every few seconds, and the lease does not expire while the server sees
        that session. A module that is executed on a target has no such process, and its lease lasts 15 minutes or more.
    type: int
    default: 25
  phases:
    description: What the lease and the assessment are called while they are done, as lines of progress.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.shared.stuck
  - scout.recovery.shared.assessment
  - scout.recovery.shared.foreseen
  - scout.recovery.attributes
attributes:
  idempotent:
    details: Taking a lease is not a change of the pipeline, so C(changed) is always false.
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Begin
  scout.recovery.scout_begin:
    dsn: "{{ scout_dsn }}"
    actions: [assess, pause]
  register: begun

- name: Release the lease
  scout.recovery.scout_lease:
    dsn: "{{ scout_dsn }}"
    state: released
    lease_token: "{{ begun.token }}"
"""

RETURN = r"""
token:
  description: Fencing token to pass as C(lease_token); null where there is no lease.
  returned: always, unless there was no session
  type: int
preflight:
  description: What M(scout.recovery.scout_preflight_info) returns; empty where it did not come to that, as below.
  returned: always, unless there was no session
  type: dict
lease:
  description: What M(scout.recovery.scout_lease) returns.
  returned: always, unless there was no session
  type: dict
assess:
  description: What M(scout.recovery.scout_health_info) returns.
  returned: always, unless there was no session
  type: dict
warnings:
  description: Those of all three.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.health import begin
from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.ledger import lease
from ..module_utils.recovery.pipeline import preflight
from ..module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    **preflight.FORESEEN_SPEC,
    "stuck_after_seconds": {"type": "float", "default": STUCK_AFTER_SECONDS},
    "thresholds": {"type": "dict", "default": {}},
    "budget_seconds": {"type": "float"},
    "alert_hours": {"type": "int", "default": 1},
    "ttl_seconds": {"type": "int", "default": lease.LEASE_SECONDS},
    "phases": {"type": "list", "elements": "str", "default": []},
}


def run(call: Call, params: Params) -> begin.BeginResult:
    """Refuses, or takes the lease and assesses."""
    return begin.begin(call, {**params, "required": True, "job_rights": False})


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
