# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Game days: a fixed budget of seeds passes, what once failed is played again, and whoever loses an event is found out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.drill_run import Done, Request
from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday import (
    game,
    ground,
    kinds,
    script,
    stage,
)
from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday.round import Round
from ansible_collections.scout.drills.plugins.plugin_utils.drill.gameday.script import Act, Script
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests import CHECKOUT
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

#: What is played of seed 1; no round begins later than so many seconds after the first, so that it is some two minutes in all.
ROUNDS, SECONDS = 7, 110
KEPT = sorted(path.stem for path in game.KEPT.glob("*.json"))


def play(folder: Path, made: Script, **where: Any) -> dict[str, Any]:
    file = folder / "mine.json"
    file.write_text(json.dumps(made.as_document()))
    done: Done = game.run(
        game.Game(script=str(file)),
        Request(names=(), output=folder, config_file=str(CHECKOUT / "ansible.cfg"), **where),
        Progress(),
    )
    return done.document


def test_a_budget_of_seeds(stage: Stage, tmp_path: Path) -> None:
    with stage.start(
        "gameday", None, seed=1, rounds=ROUNDS, seconds=SECONDS, gameday_output_dir=str(tmp_path / "out")
    ) as running:
        played = running.wait(900)
    assert played.rc == 0, played.text
    [folder] = (tmp_path / "out").iterdir()
    document = json.loads((folder / "scorecard.json").read_text())
    assert document["gameday"] == {"seed": 1, "rounds": ROUNDS}
    assert document["verdict"] == "passed"
    assert document["scenarios"], "the first round begins whatever the time is"
    for told in document["scenarios"]:
        assert len(told["checks"]) >= 5
        assert told["events"]["written"] > 400
        kept = script.read(folder / told["name"] / "script.json", kinds.KINDS)
        assert told["title"] == str(kept)[:300]
    page = (folder / "scorecard.html").read_text()
    assert "seed 1" in page
    assert "Recovery, median" in page
    assert "game day PASSED" in played.summary or "game day PASSED" in played.text


def test_check_says_what_would_be_played(stage: Stage, tmp_path: Path) -> None:
    played = stage.play("gameday", None, "--check", seed=3, rounds=7, gameday_output_dir=str(tmp_path / "out"))
    assert played.rc == 0, played.text
    assert "would play 7 rounds of seed 3" in played.text
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_played_is_refused(stage: Stage, tmp_path: Path) -> None:
    played = stage.play("gameday", None, gameday_output_dir=str(tmp_path / "out"), rounds=0)
    assert played.rc == 2
    assert "rounds 0 is less than 1" in " ".join(played.text.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", KEPT)
def test_what_once_failed_passes(name: str, tmp_path: Path) -> None:
    [made] = game.named(name).values()
    document = play(tmp_path, made)
    assert document["verdict"] == "passed", document["scenarios"][0]["why"]


LIES = {
    "loses": (
        "DELETE FROM scout.bronze_events WHERE event_id = (SELECT event_id FROM scout.bronze_events ORDER BY 1 LIMIT 1)",
        "every event is in one place, as it was written",
    ),
    "alters": (
        """UPDATE scout.bronze_events SET event_data = event_data || '{"total_amount": 1}'
        WHERE event_id = (SELECT event_id FROM scout.bronze_events ORDER BY 1 LIMIT 1)""",
        "every event is in one place, as it was written",
    ),
    "invents": (
        """INSERT INTO scout.silver_transactions SELECT (jsonb_populate_record(t, jsonb_build_object(
        'id', gen_random_uuid(), 'source_event_id', gen_random_uuid(), 'transaction_id', 'T-0'))).*
        FROM scout.silver_transactions AS t LIMIT 1""",
        "no sale is invented, and none is there twice",
    ),
    "grants": (
        "GRANT DELETE ON scout.silver_transactions TO dashboard_reader",
        "nobody has a right that he had not before",
    ),
    "gossips": (
        """DO $$ BEGIN CREATE SCHEMA IF NOT EXISTS scout_ops; CREATE TABLE scout_ops.notes AS
        SELECT event_data FROM scout.bronze_events WHERE event_data ? 'customer_email'; END $$""",
        "no secret is shown or kept",
    ),
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("lie", LIES)
def test_the_oracle_finds_out(lie: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a toolkit that loses, alters, invents, grants or gossips would do, done by a hand that no kind knows."""
    statement, claim = LIES[lie]
    monkeypatch.setitem(stage.BY_HAND, "vacuum", statement)
    document = play(tmp_path, Script((Act(0.5, "colleague", {"does": "vacuum"}),), operator="owner"))
    [told] = document["scenarios"]
    assert told["verdict"] == "failed"
    assert claim in {check["check"] for check in told["checks"] if not check["passed"]}, told


UNDONE = {
    "drops a sale": "DELETE FROM scout.silver_transactions WHERE id IN (SELECT id FROM scout.silver_transactions ORDER BY id LIMIT 1)",
    "touches a store": "UPDATE scout.dim_store SET store_name = store_name || '!' "
    "WHERE store_id IN (SELECT min(store_id) FROM scout.dim_store)",
}


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize("lie", [None, *UNDONE])
def test_an_undo_is_held_to_every_value(lie: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An undo that does a little more than it says, beside one that does not."""
    type_undos = Round.type_undos

    def lying(self: Round, where: Any, texts: list[str], *, required: bool) -> Any:
        first = not any(typed.play.name == "undo" for typed in self.typed)
        undone = type_undos(self, where, texts, required=required)
        if lie and first:
            with ground.connect(where.sandbox.dsn) as connection:
                connection.execute(UNDONE[lie].encode())
        return undone

    monkeypatch.setattr(Round, "type_undos", lying)
    document = play(tmp_path, Script((Act(0.2, "poison_event", {"kind": "bad_ts", "count": 2}),), operator="owner"))
    [told] = document["scenarios"]
    checks = {check["check"]: check["passed"] for check in told["checks"]}
    assert checks["the undo puts back what was taken"]
    broken = {"undone and undone again, every value is as it was"} if lie else set[str]()
    assert {check for check, passed in checks.items() if not passed} == broken


@pytest.mark.usefixtures("forked")
def test_a_round_on_a_clone_of_a_schema(healthy: Pipeline, tmp_path: Path) -> None:
    """On somebody's own schema, of which nothing but the definitions is read."""
    healthy.execute("CREATE TABLE scout.own (n integer PRIMARY KEY)")
    before = healthy.fingerprint()
    acts = (
        Act(0.3, "poison_event", {"kind": "bad_ts", "count": 2}),
        Act(0.5, "hold_lock", {"mode": "EXCLUSIVE", "table": "silver_transactions", "seconds": 2.0}),
        Act(0.8, "takeover", {"playbook": "quality_cleanup", "actor": "second"}),
    )
    document = play(tmp_path, Script(acts), schema_from=healthy.dsn)
    [told] = document["scenarios"]
    assert told["verdict"] == "passed", told["why"]
    assert told["events"]["written"] > 100
    assert healthy.fingerprint() == before


@pytest.mark.docker
@pytest.mark.usefixtures("forked")
def test_a_round_where_a_real_scheduler_runs_the_jobs(tmp_path: Path) -> None:
    """The server is in a container and asks everybody for a password, also the roles of the jobs."""
    acts = (Act(0.0, "poison_event", {"kind": "bad_ts", "count": 1}), Act(0.5, "cut_network", {"seconds": 0.5}))
    document = play(tmp_path, Script(acts), sandbox="docker")
    [told] = document["scenarios"]
    assert told["verdict"] == "passed", told["why"]
    assert "exit code 0 and running ingestion are true by the next runs" in {check["check"] for check in told["checks"]}
