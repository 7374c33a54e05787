# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said to a role reaches its module, though no task of the role says so; and what is said to nobody's role does not."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Stage

RUNS = {"name": "scout.recovery.runs", "tasks_from": "main.yml"}
#: What somebody's play does, and the limit and the incident that the module is given then.
TASKS: list[tuple[str, dict[str, Any], int, str | None]] = [
    ("by import", {"ansible.builtin.import_role": RUNS, "vars": {"runs_limit": 3}}, 3, "INC-1"),
    ("by include", {"ansible.builtin.include_role": RUNS, "vars": {"runs_limit": 4, "runs_of_incident": "INC-2"}}, 4, "INC-2"),
    ("an empty one is none", {"ansible.builtin.include_role": RUNS, "vars": {"runs_of_incident": ""}}, 20, None),
    ("a default of the role", {"ansible.builtin.import_role": RUNS}, 20, "INC-1"),
    ("a template", {"ansible.builtin.import_role": RUNS, "vars": {"runs_limit": "{{ 2 + 3 }}"}}, 5, "INC-1"),
    ("a task of the play", {"scout.recovery.scout_runs_info": {}, "vars": {"runs_limit": 6}}, 7, None),
    ("a role of the play that has the same name", {"ansible.builtin.import_role": {"name": "runs"}}, 7, None),
]  # fmt: skip


@pytest.mark.parametrize("typed", [{}, {"runs_limit": 9}], ids=["nothing typed", "typed"])
def test_what_is_said_to_a_role_reaches_its_module(
    typed: dict[str, int], healthy: Pipeline, stage: Stage, subtests: pytest.Subtests
) -> None:
    """Before defaults of the module for all tasks; what is typed comes before all."""
    own = stage.home / "roles" / "runs" / "tasks" / "main.yml"
    own.parent.mkdir(parents=True)
    own.write_text(yaml.safe_dump([{"name": "Ours", "scout.recovery.scout_runs_info": {}}]))
    playbook, ran = stage.home / "own.yml", stage.home / "ran.jsonl"
    play = {"hosts": "all", "gather_facts": False, "tasks": [task for _, task, *_ in TASKS]}
    play["module_defaults"] = {"scout.recovery.scout_runs_info": {"limit": 7}}
    play["vars"] = {"of_incident": "INC-1"}
    playbook.write_text(yaml.safe_dump([play]))
    env = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "ran",
        "SCOUT_RAN": str(ran),
    }
    hosts = {"one": {"scout_dsn": healthy.dsn, "ansible_connection": "local"}}
    played = stage.play(str(playbook), None, "-i", stage.inventory(hosts), env=env, **typed)
    assert played.rc == 0, played.text
    found = [json.loads(line)[1] for line in ran.read_text().splitlines()]
    for (case, task, limit, incident), params in zip(TASKS, found, strict=True):
        with subtests.test(case):
            of_ours = RUNS in task.values()
            assert params["limit"] == (typed.get("runs_limit", limit) if of_ours else limit)
            assert params["of_incident"] == incident
