# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack, or a mishap: a playbook of a drill has a connection of its own, and works on production instead of the sandbox."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import PlaybookRunner
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scenario_run import ScenarioRun
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.base import Sandbox
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import Play, Scenario
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests import CHECKOUT
from tests.integration.modules import one

Drill = Callable[[str, list[dict[str, Any]]], dict[str, Any]]


@pytest.fixture
def drill(scout_db: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Drill:
    """A drill whose only playbook is a team's own, twice; what came of it. How the pipeline is does not count."""
    monkeypatch.setattr(ScenarioRun, "_look", lambda _self: {})

    def run(name: str, plays: list[dict[str, Any]]) -> dict[str, Any]:
        secrets, playbook = tmp_path / "secrets", tmp_path / f"{name}.yml"
        secrets.mkdir(mode=0o700)
        playbook.write_text(yaml.safe_dump(plays))
        runner = PlaybookRunner([str(CHECKOUT / ".collections")], secrets, str(CHECKOUT / "ansible.cfg"))
        steps = (Play(name, playbook), Play("never", playbook))
        wanted = Scenario("drill", "A drill", steps, again=False, detected=False)
        told: dict[str, Any] = {
            "verdict": "not_run", "budget_seconds": 60, "phases": {}, "steps": [], "checks": [], "why": [],
        }  # fmt: skip
        ScenarioRun(wanted, Sandbox(scout_db), runner, tmp_path / "drill", Progress(), told).run()
        return told

    return run


def pause_of(dsn: str) -> dict[str, Any]:
    """The collection's own playbook, as somebody would have it work on this database."""
    book = CHECKOUT / "playbooks" / "pause_ingestion.yml"
    return {"ansible.builtin.import_playbook": str(book), "vars": {"scout_dsn": dsn}}


def test_a_play_that_works_elsewhere_ends_the_drill(drill: Drill, repaired_db: str) -> None:
    told = drill("theirs", [pause_of(repaired_db)])

    assert one(repaired_db, "SELECT count(*) FROM scout_ops.pauses") == 1
    assert told["verdict"] == "error", told
    assert told["steps"] == []
    [why] = told["why"]
    assert "theirs.yml worked on another database than that of the sandbox" in why
    assert repaired_db.rpartition("/")[2] in why


def test_so_does_one_with_a_run_that_the_ledger_of_the_sandbox_does_not_know(drill: Drill) -> None:
    forged = {"results": [{"steps": [{"run_id": "1234"}]}]}
    told = drill(
        "forging",
        [
            {"hosts": "all", "gather_facts": False, "tasks": [
                {"ansible.builtin.copy": {"content": json.dumps(forged), "dest": "{{ scout_result_file }}", "mode": "0600"}}
            ]},
        ],
    )  # fmt: skip
    assert told["verdict"] == "error", told
    assert "another database" in told["why"][0]
    assert "1234" in told["why"][0]


def test_one_that_works_in_the_sandbox_goes_on(drill: Drill, scout_db: str) -> None:
    told = drill("theirs", [pause_of(scout_db)])
    assert [step["playbook"] for step in told["steps"]] == ["theirs", "never"], told
    assert told["verdict"] != "error"
