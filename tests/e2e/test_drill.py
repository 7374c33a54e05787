# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""drill.yml as a person types it: it passes, it fails, it refuses, it plans, and it can be interrupted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.play import Played, Running, Stage, children, eventually

SMALL: dict[str, Any] = {
    "title": "Small",
    "severity": "high",
    "pipeline": {"events": 300},
    "faults": [{"poison_event": {}}, {"backlog": {"count": 50}}],
    "steps": [{"playbook": "emergency_reset", "expect": {"changed": True, "outcome": "recovered"}}],
}
#: Nobody fixes what is broken: ingestion stays paused.
UNMENDED = {**SMALL, "steps": [{"playbook": "pause_ingestion"}], "again": False}
#: A recovery that loses what it should set aside, and reports success.
LOSSY = {**SMALL, "steps": [{"playbook": "recoveries/lossy.yml"}]}
LOSES = """
- name: A recovery that loses what it should set aside
  hosts: scout
  gather_facts: false
  tasks:
    - name: Lose it
      ansible.builtin.command:
        argv: ["{{ ansible_playbook_python }}", "-c", "{{ program }}"]
      changed_when: true
      vars:
        program: |
          import os, psycopg
          with psycopg.connect(os.environ["SCOUT_DSN"], autocommit=True) as connection:
              connection.execute(
                  "DELETE FROM scout.bronze_events WHERE event_data ->> 'total_amount' = 'abc'")
              connection.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
"""


class Drills:
    """A team's folder of scenarios, and what its drills leave behind."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.scenarios = stage.home / "scenarios"
        self.scenarios.mkdir()
        self.output = stage.home / "results"
        self.history = stage.home / "history"

    def add(self, name: str, scenario: dict[str, Any]) -> None:
        (self.scenarios / f"{name}.yml").write_text(yaml.safe_dump(scenario))

    def options(self, **more: Any) -> dict[str, Any]:
        return {
            "drill_scenarios_dir": str(self.scenarios),
            "drill_output_dir": str(self.output),
            "drill_history_dir": str(self.history),
            **more,
        }

    def play(self, *arguments: str, **more: Any) -> Played:
        with self.stage.start("drill", None, *arguments, **self.options(**more)) as running:
            return running.wait(400)

    @property
    def folder(self) -> Path:
        [only] = self.output.iterdir()
        return only

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.folder / "scorecard.json").read_text())


@pytest.fixture
def drills(stage: Stage) -> Drills:
    return Drills(stage)


def reasons(document: dict[str, Any]) -> str:
    return "; ".join(why for scenario in document["scenarios"] for why in scenario["why"])


def test_a_drill_that_passes(drills: Drills) -> None:
    drills.add("small", SMALL)
    played = drills.play(scenario="small")
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    document = drills.document
    assert (document["verdict"], document["sandbox"]) == ("passed", "embedded")
    [scenario] = document["scenarios"]
    assert scenario["why"] == []
    assert {phase["phase"] for phase in scenario["phases"]} == {"detected", "paused", "recovered", "resumed"}
    assert all(phase["within"] for phase in scenario["phases"])
    assert scenario["events"]["written"] > 350
    assert all(check["passed"] for check in scenario["checks"])
    assert len(scenario["checks"]) >= 15
    steps = [step for step in scenario["steps"] if step["rc"] is not None]
    assert [(step["playbook"], step["rc"], step["changed"] > 0) for step in steps] == [
        ("emergency_reset", 0, True),
        ("emergency_reset", 0, False),
    ]
    assert all((drills.folder / step["artifacts"] / "artifacts" / "run" / "stdout").is_file() for step in steps)
    assert len(list(drills.history.glob("*.json"))) == 1
    assert {path.name for path in drills.folder.glob("scorecard.*")} == {
        f"scorecard.{kind}" for kind in ("json", "md", "html")
    }
    result = played.result
    assert (result["operation"], result["outcome"], result["ok"], result["drill"]["verdict"]) == (
        *("drill", "passed"),
        *(True, "passed"),
    )
    assert "small: step 1 of 1: emergency_reset.yml" in played.text
    assert any(line.startswith("  passed      small  ") and " of 30 min" in line for line in played.lines)
    assert played.lines[-1] == f"  see    {drills.folder / 'scorecard.html'}"
    assert all(len(line) <= 79 for line in played.lines[-3:-1])


def test_a_drill_that_fails_says_why(drills: Drills) -> None:
    drills.add("unmended", UNMENDED)
    (drills.scenarios / "recoveries").mkdir()
    (drills.scenarios / "recoveries" / "lossy.yml").write_text(LOSES)
    drills.add("lossy", LOSSY)
    played = drills.play(scenario="unmended,lossy")
    assert played.rc == 2, played.text
    unmended, lossy = drills.document["scenarios"]
    assert (unmended["verdict"], lossy["verdict"]) == ("failed", "failed")
    never = {phase["phase"]: phase["seconds"] for phase in unmended["phases"]}
    assert (never["recovered"], never["resumed"]) == (None, None)
    assert "nothing is paused after: wanted yes, found paused by" in "; ".join(unmended["why"])
    assert lossy["events"]["lost"] == 1
    assert "every event is in one place, as it was written: wanted none lost or duplicated, found 1 lost" in "; ".join(
        lossy["why"]
    )
    assert (played.result["outcome"], played.result["ok"], played.result["drill"]["verdict"]) == (
        *("not_passed", False),
        "failed",
    )
    assert "drill FAILED, sandbox embedded" in played.text
    assert any(line.startswith("  failed      lossy ") for line in played.lines)
    assert "CHECK FAILED" in played.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"scenario": "smal"},
            "there is no scenario 'smal' (did you mean small?) Next: -e scenario=… takes all, or one or more",
        ),
        ({"scenario": "small", "drill_output_dir": "/proc/nothing"}, "cannot write to drill_output_dir /proc/nothing"),
    ],
)
def test_what_is_refused(drills: Drills, options: dict[str, str], said: str) -> None:
    drills.add("small", SMALL)
    played = drills.play(**options)
    assert played.rc == 2, played.text
    assert said in " ".join(played.text.split()), played.text
    assert played.result["outcome"] == "failed"
    assert "Traceback" not in played.text
    assert not drills.output.exists()


def test_a_check_runs_nothing(drills: Drills) -> None:
    drills.add("small", SMALL)
    drills.add("elsewhere", {**SMALL, "sandboxes": ["docker"]})
    played = drills.play("--check", scenario="all")
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert not drills.output.exists()
    assert not drills.history.exists()
    assert "would drill small (high): breaks it by poison_event, backlog; runs emergency_reset.yml" in played.text
    assert "would drill elsewhere" not in played.text
    assert (played.result["outcome"], played.result["drill"]) == ("planned", None)
    assert "small" in played.summary
    assert "elsewhere, for another sandbox" in played.summary
    assert "nothing was run" in played.summary


def test_a_sandbox_that_cannot_be_made(drills: Drills) -> None:
    drills.add("small", SMALL)
    drills.add("smaller", SMALL)
    dsn = "postgresql://nobody:s3cr3t-w0rd@127.0.0.1:1/nothing"
    played = drills.play(scenario="small,smaller", sandbox_dsn=dsn)
    assert played.rc == 2, played.text
    document = drills.document
    assert document["sandbox"] == "staging"
    assert [scenario["verdict"] for scenario in document["scenarios"]] in (["error", "not_run"], ["not_run", "not_run"])
    assert "127.0.0.1" in reasons(document)
    kept = [path for path in drills.output.rglob("*") if path.is_file()] + [drills.stage.home / "result.json"]
    assert not [path for path in kept if "s3cr3t-w0rd" in path.read_text(errors="replace")]
    assert "s3cr3t-w0rd" not in played.text


def test_the_severities_of_the_inventory_are_the_budget(drills: Drills) -> None:
    drills.add("small", {**SMALL, "severity": "red"})
    severities = {"red": {"response_minutes": 0.001}}
    inventory = drills.stage.inventory({"local": {"scout_incident_severities": severities}})
    played = drills.play("-i", inventory, scenario="small")
    assert played.rc == 2, played.text
    [scenario] = drills.document["scenarios"]
    assert [phase["phase"] for phase in scenario["phases"] if not phase["within"]] == ["paused"], reasons(
        drills.document
    )
    [paused] = [phase for phase in scenario["phases"] if phase["phase"] == "paused"]
    assert paused["budget"] == 0.06


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    below = set(children(pid))
    return below | {each for child in below for each in descendants(child)}


def interrupted_at(drills: Drills, text: str, running: Running) -> set[int]:
    """Ctrl-C as soon as this is on the screen; the processes that were at work then."""
    eventually(lambda: text in running.text, 120, text)
    eventually(lambda: len(descendants(running.process.pid)) > 3, 30, "processes at work")
    found = descendants(running.process.pid)
    os.killpg(running.process.pid, signal.SIGINT)
    return found


@pytest.mark.parametrize("text", ["scenario 1 of 2", "small: step 1 of 1"])
def test_ctrl_c_ends_everything_and_keeps_the_document(drills: Drills, text: str) -> None:
    drills.add("small", SMALL)
    drills.add("smaller", SMALL)
    with drills.stage.start("drill", None, **drills.options(scenario="small,smaller")) as running:
        found = interrupted_at(drills, text, running)
        played = running.wait(120)
    assert played.rc not in (0, 2), played.text
    eventually(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in found), 20, "the end of its processes")
    document = drills.document
    assert document["verdict"] == "interrupted"
    assert [scenario["verdict"] for scenario in document["scenarios"]] == ["interrupted", "not_run"]
    assert "stopped on request" in reasons(document)
    assert "goes on from" not in reasons(document)
    assert (drills.folder / "scorecard.html").is_file()
    assert "the drill's processes are stopped and its sandbox removed" in played.text
    assert "no pipeline was touched" in played.text
