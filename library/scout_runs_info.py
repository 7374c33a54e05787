#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listing what was done as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_runs_info
short_description: List what was done to a Scout pipeline, by whom, and whether it can be undone
version_added: 1.0.0
description:
  - Reads the ledger C(scout_ops.runs), the latest runs first. Writes nothing.
options:
  of_incident:
    description: Only runs for this incident. (O(incident) is the one this task works for.)
    type: str
  action:
    description: Only runs of this action.
    type: str
    choices:
      - pause
      - resume
      - terminate_sessions
      - drain
      - refresh_gold
      - quarantine
      - cleanup
      - redrive
      - undo
      - window_recovery
      - capture
      - rollback
      - deploy
      - assess
      - gate
      - evidence
  run_id:
    description: Only this run, or the runs that a playbook's run consisted of; its first eight digits do.
    type: str
  limit:
    description: How many at most.
    type: int
    default: 20
extends_documentation_fragment:
  - scout.recovery.connection
  - scout.recovery.ledger
  - scout.recovery.attributes.info
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: What was moved for the incident?
  scout.recovery.scout_runs_info:
    dsn: "{{ scout_dsn }}"
    of_incident: INC-2041
"""

RETURN = r"""
runs:
  description:
    - Each run with run_id, parent_run_id, action, status, incident, actor, started_at, finished_at, seconds, counts, error,
      undoes, undone_by, can_be_undone, and why_not; of a capture also release.
  returned: success
  type: list
  elements: dict
summary:
  description: One line for a person.
  returned: success
  type: str
"""

import typing as t

from ..module_utils.recovery.invoke import CONNECTION_SPEC, LEDGER_SPEC, Call, Params, execute
from ..module_utils.recovery.ledger import actions, history

SPEC: dict[str, dict[str, t.Any]] = {
    **CONNECTION_SPEC,
    **LEDGER_SPEC,
    "of_incident": {"type": "str"},
    "action": {"type": "str", "choices": list(actions.RUNS)},
    "run_id": {"type": "str"},
    "limit": {"type": "int", "default": 20},
}


def run(call: Call, params: Params) -> history.RunsResult:
    """Lists runs."""
    return history.list_runs(
        call.look(params["ledger"]),
        off=params["ledger"] == "off",
        incident=params["of_incident"],
        action=params["action"],
        run_id=params["run_id"],
        limit=params["limit"],
    )


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
