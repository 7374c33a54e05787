# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout.drills.drill as a person runs it: it passes, it fails, it is refused, it is planned, and it can be interrupted."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.play import Played, Running, Stage, children, eventually


class Drills:
    """Drills of one stage, and the result of the only one."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.output = stage.home / "results"

    def play(self, *arguments: str, **options: Any) -> Played:
        with self.stage.start("scout.drills.drill", None, *arguments, drill_dir=str(self.output), **options) as running:
            return running.wait(400)

    @property
    def folder(self) -> Path:
        [only] = self.output.iterdir()
        return only

    @property
    def document(self) -> dict[str, Any]:
        return json.loads((self.folder / "drill.json").read_text())


@pytest.fixture
def drills(stage: Stage) -> Drills:
    return Drills(stage)


def reasons(document: dict[str, Any]) -> str:
    return "; ".join(why for scenario in document["scenarios"] for why in scenario["why"])


def test_a_drill_that_passes(drills: Drills) -> None:
    played = drills.play(scenario="poison_event")
    assert played.rc == 0, played.text
    assert played.recap()["changed"] == 0
    assert (drills.document["verdict"], drills.document["database"]) == ("passed", "the embedded reference")
    [scenario] = drills.document["scenarios"]
    assert scenario["why"] == []
    assert set(scenario["phases"]) == {"detected", "paused", "recovered", "resumed"}
    assert 0 < scenario["phases"]["recovered"] <= scenario["budget_seconds"]
    assert scenario["events"]["written"] > 2000
    assert all(check["passed"] for check in scenario["checks"])
    steps = [step for step in scenario["steps"] if step["rc"] is not None]
    assert [(step["playbook"], step["rc"], step["changed"] > 0) for step in steps] == [
        ("emergency_reset", 0, True),
        ("emergency_reset", 0, False),
    ]
    assert all((drills.folder / step["artifacts"] / "artifacts" / "run" / "stdout").is_file() for step in steps)
    assert {path.name for path in drills.folder.glob("drill.*")} == {"drill.json", "drill.md", "drill.svg"}
    assert (played.result["outcome"], played.result["drill"]["verdict"]) == ("passed", "passed")
    assert any(line.startswith("  passed      poison_event  recovered ") for line in played.said)
    assert played.said[-1] == f"  see    {drills.folder / 'drill.md'}"


def test_a_recovery_that_takes_longer_than_its_budget_fails_the_drill(drills: Drills) -> None:
    played = drills.play(scenario="poison_event", drill_budgets={"poison_event": 0.5})
    assert played.rc == 2, played.text
    [scenario] = drills.document["scenarios"]
    assert scenario["verdict"] == "failed"
    assert "over its budget" in reasons(drills.document)
    assert (played.result["outcome"], played.result["ok"]) == ("not_passed", False)
    assert any(line.startswith("  failed      poison_event ") for line in played.said)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"scenario": "poison_evnt"}, "there is no scenario 'poison_evnt' (did you mean poison_event?)"),
        ({"scenario": "gold_stale", "drill_budgets": {"gold_stail": 9}}, "there is no scenario 'gold_stail'"),
        (
            {"scenario": "gold_stale", "drill_budgets": {"gold_stale": "9 min"}},
            "scout_drill_budgets has gold_stale: 9 min",
        ),
        ({"scenario": "gold_stale", "drill_dir": "/proc/nothing"}, "cannot write to scout_drill_dir"),
        ({"scenario": "bad_release", "drill_dsn": "host=127.0.0.1 port=1"}, "does not run on a restored database"),
    ],
)
def test_what_is_refused(drills: Drills, options: dict[str, Any], said: str) -> None:
    played = drills.stage.play("scout.drills.drill", None, **{"drill_dir": str(drills.output), **options})
    assert played.rc == 2, played.text
    assert said in " ".join(played.text.split()), played.text
    assert played.result["outcome"] == "failed"
    assert "Traceback" not in played.text
    assert not drills.output.exists()


def test_a_check_runs_nothing(drills: Drills) -> None:
    played = drills.play("--check", drill_dsn="host=127.0.0.1 port=1")
    assert played.rc == 0, played.text
    assert not drills.output.exists()
    assert "would drill poison_event: breaks it by poison_event, backlog; runs emergency_reset.yml" in played.text
    assert "would drill restart_in_the_middle" not in played.text
    assert (played.result["outcome"], played.result["drill"]) == ("planned", None)
    assert "bad_release, restart_in_the_middle, for the embedded reference only" in " ".join(played.summary.split())


def test_a_database_that_does_not_answer(drills: Drills) -> None:
    played = drills.play(
        scenario="poison_event,gold_stale", drill_dsn="postgresql://nobody:s3cr3t-w0rd@127.0.0.1:1/nothing"
    )
    assert played.rc == 2, played.text
    assert [scenario["verdict"] for scenario in drills.document["scenarios"]] == ["error", "not_run"]
    assert "127.0.0.1" in reasons(drills.document)
    kept = [path for path in drills.output.rglob("*") if path.is_file()] + [drills.stage.home / "result.json"]
    assert not [path for path in kept if "s3cr3t-w0rd" in path.read_text(errors="replace")]
    assert "s3cr3t-w0rd" not in played.text


def descendants(pid: int) -> set[int]:
    """All processes below one."""
    below = set(children(pid))
    return below | {each for child in below for each in descendants(child)}


def interrupted_at(text: str, running: Running) -> set[int]:
    """Ctrl-C as soon as this is on the screen; the processes that were at work then."""
    eventually(lambda: text in running.text, 120, text)
    eventually(lambda: len(descendants(running.process.pid)) > 3, 30, "processes at work")
    found = descendants(running.process.pid)
    os.killpg(running.process.pid, signal.SIGINT)
    return found


@pytest.mark.parametrize("text", ["scenario 1 of 2", "poison_event: step 1 of 1"])
def test_ctrl_c_ends_everything_and_keeps_the_result(drills: Drills, text: str) -> None:
    options = {"scenario": "poison_event,gold_stale", "drill_dir": str(drills.output)}
    with drills.stage.start("scout.drills.drill", None, **options) as running:
        found = interrupted_at(text, running)
        played = running.wait(120)
    assert played.rc not in (0, 2), played.text
    eventually(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in found), 20, "the end of its processes")
    assert drills.document["verdict"] == "interrupted"
    assert [scenario["verdict"] for scenario in drills.document["scenarios"]] == ["interrupted", "not_run"]
    assert (drills.folder / "drill.md").is_file()
