#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drilling the recovery, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_drill
short_description: Break a throwaway Scout pipeline and check that the playbooks recover it in time
version_added: 1.0.0
description:
  - Runs scenarios one after another. Each breaks a pipeline, runs the playbooks that recover it, and checks the result against the
    clock. The pipeline must be in its steady state again within its budget, and every event must be in exactly one place, as it was
    written. The last playbook, run again, must change nothing.
  - By default each scenario has a PostgreSQL server of its own with the reference pipeline. With O(dsn) all of them run on one
    database that the team restored for the drill, and the drill stops at the first scenario that does not pass.
  - Writes C(drill.json), C(drill.md) and C(drill.svg), and keeps the artifacts of ansible-runner for each playbook.
  - A drill that does not pass does not fail the task. RV(verdict) reports it, and the summary of C(drill.yml) turns it into the exit
    code.
  - Runs on the controller, and never on a database of the inventory.
options:
  scenarios:
    description: Names of the scenarios, or V(all).
    type: list
    elements: str
    default: [all]
  dsn:
    description:
      - A restored copy of a database, whose data may be destroyed. Its owner marks it with C(CREATE SCHEMA scout_sandbox).
      - Refused without that mark, if an inventory host uses the database, if other sessions are connected to it, or if its name or
        the name of its server contains C(prod), C(prd) or C(live).
    type: str
  output_dir:
    description: The folder in which each drill creates one for its result.
    type: path
    default: drill-results
  budgets:
    description: Seconds until recovered, by the name of the scenario. By default those of the scenario's file.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Reports what would be run and runs nothing.
  diff_mode:
    support: N/A
    description: Changes throwaway databases only.
  idempotent:
    support: none
    description: Every run is a drill of its own.
requirements:
  - ansible-runner and matplotlib on the controller
  - PostgreSQL's server programs on the controller, unless O(dsn) is given
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Drill two scenarios on the reference pipeline
  scout.drills.scout_drill:
    scenarios: [poison_event, gold_stale]

- name: Drill everything on a restored copy, one scenario with a budget of its own
  scout.drills.scout_drill:
    dsn: service=scout-restored
    budgets:
      lost_window: 600
"""

RETURN = r"""
verdict:
  description: V(passed) if every scenario passed, otherwise V(failed) or V(interrupted). Null in check mode.
  returned: success
  type: str
document:
  description: The content of C(drill.json). Null in check mode.
  returned: success
  type: dict
folder:
  description: The folder with the result and the artifacts. Null in check mode.
  returned: success
  type: str
page:
  description: The path of C(drill.md). Null in check mode.
  returned: success
  type: str
scenarios:
  description: The scenarios that ran, or in check mode would run.
  returned: success
  type: list
  elements: str
elsewhere:
  description: Scenarios that were left out because they do not run on a restored database.
  returned: success
  type: list
  elements: str
summary:
  description: The result in one line.
  returned: success
  type: str
"""

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.results import ModuleResult
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import (
    Params,
    WithoutSession,
    execute,
)

SPEC: dict[str, dict[str, t.Any]] = {
    "scenarios": {"type": "list", "elements": "str", "default": ["all"]},
    "dsn": {"type": "str", "no_log": True},
    "output_dir": {"type": "path", "default": "drill-results"},
    "budgets": {"type": "dict", "default": {}},
}


class DrillResult(ModuleResult):
    """What scout_drill returns."""

    verdict: str | None
    document: dict[str, t.Any] | None
    folder: str | None
    page: str | None
    scenarios: list[str]
    elsewhere: list[str]
    warnings: t.NotRequired[list[str]]


def run(_call: WithoutSession, _params: Params) -> DrillResult:
    """Refuses: on a target it has nothing that it needs."""
    raise BadInput(
        "scout_drill runs on the controller", next_step="run scout.drills.drill, or the task by its full name"
    )


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
