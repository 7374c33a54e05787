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
  - Runs scenarios one after another. Each gets a throwaway database with a pipeline at work in it, which is broken, recovered
    by the playbooks as they are, and judged. Was it paused, recovered and resumed within its budget? Is every event ever
    written in exactly one place, as it was written? Did every check pass (exit codes, a second run that changes nothing, the
    undo, the steady state before and after)?
  - Leaves a scorecard as JSON, JUnit XML, Markdown and a page of HTML, and everything ansible-runner keeps of each playbook.
  - A drill that did not pass does not fail the task. RV(verdict) says so, and the summary of C(drill.yml) makes it an exit
    code.
  - On Ctrl-C the playbooks are stopped, the sandbox is removed, and the scorecard says that the drill was interrupted.
  - Runs on the controller, and never in the databases that the inventory names.
options:
  scenarios:
    description: Names of the scenarios, or V(all).
    type: list
    elements: str
    default: [all]
  sandbox:
    description:
      - V(embedded) is a PostgreSQL of its own, V(docker) a container with the real pg_cron, V(staging) a scratch database on
        the server of O(sandbox_dsn). By default V(staging) where that is given, else V(embedded).
    type: str
    choices: [embedded, docker, staging]
  sandbox_dsn:
    description: A server on which scratch databases are made and dropped; refused where it looks like production.
    type: str
  schema_from:
    description: A database whose schema, roles and jobs, but no data, are cloned into the sandbox and drilled there.
    type: str
  cron_dsn:
    description: The database that has the jobs of O(schema_from), where pg_cron is in another one of that server.
    type: str
  clone_jobs:
    description:
      - Whether the real pg_cron of O(sandbox=docker) runs the jobs of O(schema_from) that are active there. Otherwise they are
        inactive in the clone. Nothing but the drill runs jobs in the other sandboxes.
    type: bool
    default: false
  scenarios_dirs:
    description: Folders with scenarios of a team's own. One with the name of one of ours replaces it.
    type: list
    elements: path
    default: []
  output_dir:
    description: Where each drill gets a folder for its scorecard and its artifacts.
    type: path
    default: drill-results
  history_dir:
    description: Where earlier drills are kept, one small file each; none if empty.
    type: str
    default: ~/.local/state/scout-recovery/drills
  templates_dir:
    description: A folder with templates of the scorecard that replace ours.
    type: path
  severities:
    description: The severities by name, each with response_minutes, which is the budget until ingestion is paused, and escalation.
    type: dict
    default: {}
attributes:
  check_mode:
    support: full
    description: Shows what would be run and runs nothing.
  diff_mode:
    support: N/A
    description: Changes nothing but throwaway databases.
  idempotent:
    support: none
    description: Every run is a drill of its own.
requirements:
  - ansible-runner and, for the embedded sandbox, a PostgreSQL's programs on the controller
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Drill two scenarios on a PostgreSQL of their own
  scout.drills.scout_drill:
    scenarios: [poison_event, gold_stale]

- name: Drill everything with our own schema on a staging server
  scout.drills.scout_drill:
    sandbox_dsn: "{{ vaulted_staging_dsn }}"
    schema_from: "{{ scout_dsn }}"
"""

RETURN = r"""
verdict:
  description: passed only where every scenario passed; else failed or interrupted. In check mode null.
  returned: success
  type: str
document:
  description: The drill as its scorecard.json has it, docs/drills.md describes it. In check mode null.
  returned: success
  type: dict
folder:
  description: The folder with the scorecard and the artifacts. In check mode null.
  returned: success
  type: str
scorecard:
  description: The page for a person. In check mode null.
  returned: success
  type: str
scenarios:
  description: The scenarios that were run, or in check mode would be.
  returned: success
  type: list
  elements: str
elsewhere:
  description: Scenarios that were left out because they do not run in this kind of sandbox.
  returned: success
  type: list
  elements: str
summary:
  description: One line for a person.
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
    "sandbox": {"type": "str", "choices": ["embedded", "docker", "staging"]},
    "sandbox_dsn": {"type": "str", "no_log": True},
    "schema_from": {"type": "str", "no_log": True},
    "cron_dsn": {"type": "str", "no_log": True},
    "clone_jobs": {"type": "bool", "default": False},
    "scenarios_dirs": {"type": "list", "elements": "path", "default": []},
    "output_dir": {"type": "path", "default": "drill-results"},
    "history_dir": {"type": "str", "default": "~/.local/state/scout-recovery/drills"},
    "templates_dir": {"type": "path"},
    "severities": {"type": "dict", "default": {}},
}


class DrillResult(ModuleResult):
    """What scout_drill returns."""

    verdict: str | None
    document: dict[str, t.Any] | None
    folder: str | None
    scorecard: str | None
    scenarios: list[str]
    elsewhere: list[str]
    warnings: t.NotRequired[list[str]]


def run(_call: WithoutSession, _params: Params) -> DrillResult:
    """Refuses: on a target it has nothing that it needs."""
    raise BadInput(
        "scout_drill runs on the controller", next_step="run playbooks/drill.yml, or the task by its full name"
    )


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
