#!/usr/bin/python
# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Playing a game day, as an Ansible module."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: scout_gameday
short_description: Break throwaway Scout pipelines in ways that nobody wrote down
version_added: 1.0.0
description:
  - Plays rounds. In each a throwaway pipeline is at work, and a generated script of faults and of what operators do happens to
    it, at random times. Then an operator types C(emergency_reset.yml) and whatever the screen says next.
  - An oracle that does not ask the toolkit judges. Is every event ever accepted in exactly one place, as it was written? Is no
    sale invented? Are exit code 0, and what is said of ingestion, true by the next scheduled runs? Are jobs as they were? Has
    nobody a right, and nobody seen a secret, that he had not before? Can everything that is printed be typed?
  - The script of a round that fails is made smaller as long as it fails in the same way, and kept in a file that O(script)
    takes.
  - A game day that did not pass does not fail the task. RV(verdict) says so, and the summary of C(gameday.yml) makes it an
    exit code.
  - Runs on the controller, and never in the databases that the inventory names.
options:
  seed:
    description: Where the scripts come from; the same seed gives the same scripts.
    type: int
    default: 1
  rounds:
    description: How many are played.
    type: int
    default: 20
  seconds:
    description: No round begins later than this many seconds after the first one.
    type: float
  script:
    description: A script.json of an earlier game day, the name of one that is kept, or V(kept) for all of those.
    type: str
  shrink:
    description: Whether the script of a round that fails is made smaller.
    type: bool
    default: true
  sandbox:
    description: V(embedded) is a PostgreSQL of its own, V(docker) a container with the real pg_cron.
    type: str
    choices: [embedded, docker]
  schema_from:
    description: A database whose schema, roles and jobs, but no data, are cloned into each sandbox.
    type: str
  cron_dsn:
    description: The database that has the jobs of O(schema_from), where pg_cron is in another one of that server.
    type: str
  clone_jobs:
    description: As of M(scout.drills.scout_drill).
    type: bool
    default: false
  output_dir:
    description: Where each game day gets a folder for its scorecard and its artifacts.
    type: path
    default: drill-results
attributes:
  check_mode:
    support: full
    description: Shows what would be played and plays nothing.
  diff_mode:
    support: N/A
    description: Changes nothing but throwaway databases.
  idempotent:
    support: none
    description: Every run is a game day of its own.
requirements:
  - hypothesis, ansible-runner and, for the embedded sandbox, a PostgreSQL's programs on the controller
author:
  - Scout Recovery contributors (@scout-recovery)
"""

EXAMPLES = r"""
- name: Play twenty rounds
  scout.drills.scout_gameday:
    seed: 7

- name: Play a script again
  scout.drills.scout_gameday:
    script: drill-results/2026-11-27T210000Z/round-003/smallest.json
"""

RETURN = r"""
verdict:
  description: passed only where every round passed; else failed or interrupted. In check mode null.
  returned: success
  type: str
document:
  description: The game day as its scorecard.json has it, docs/drills.md describes it. In check mode null.
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
  description: What would be played.
  returned: success
  type: list
  elements: str
elsewhere:
  description: Always empty.
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
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import (
    Params,
    WithoutSession,
    execute,
)

from .scout_drill import DrillResult

SPEC: dict[str, dict[str, t.Any]] = {
    "seed": {"type": "int", "default": 1},
    "rounds": {"type": "int", "default": 20},
    "seconds": {"type": "float"},
    "script": {"type": "str"},
    "shrink": {"type": "bool", "default": True},
    "sandbox": {"type": "str", "choices": ["embedded", "docker"]},
    "schema_from": {"type": "str", "no_log": True},
    "cron_dsn": {"type": "str", "no_log": True},
    "clone_jobs": {"type": "bool", "default": False},
    "output_dir": {"type": "path", "default": "drill-results"},
}


def run(_call: WithoutSession, _params: Params) -> DrillResult:
    """Refuses: on a target it has nothing that it needs."""
    raise BadInput(
        "scout_gameday runs on the controller", next_step="run playbooks/gameday.yml, or the task by its full name"
    )


def main() -> None:
    """Executed on a target."""
    execute(SPEC, run)


if __name__ == "__main__":
    main()
