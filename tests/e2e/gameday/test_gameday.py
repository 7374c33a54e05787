# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random scripts pass, what once failed passes, and a toolkit that loses or invents something is found out."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.gameday import generator, ground, script, stage
from tests.e2e.gameday.play import KEPT, play
from tests.e2e.gameday.round import Round
from tests.e2e.gameday.script import Act, Script

#: For an hour: SCOUT_GAMEDAY_ROUNDS=150 SCOUT_GAMEDAY_SEED=7 make e2e ARGS="-k random_scripts"
ROUNDS = int(os.environ.get("SCOUT_GAMEDAY_ROUNDS", "5"))
SEED = int(os.environ.get("SCOUT_GAMEDAY_SEED", "1"))


@pytest.mark.usefixtures("forked")
def test_random_scripts_of_faults_and_people_pass(tmp_path: Path) -> None:
    played: list[Script] = []

    def each(made: Script) -> None:
        played.append(made)
        told = play(made, tmp_path / f"round-{len(played):03d}")
        assert told["verdict"] == "passed", (told["why"], json.dumps(made.as_document()))
        assert len(told["checks"]) >= 5
        assert told["events"]["written"] > 400

    generator.play(SEED, ROUNDS, each)
    assert len(played) == ROUNDS


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", sorted(path.stem for path in KEPT.glob("*.json")))
def test_what_once_failed_passes(name: str, tmp_path: Path) -> None:
    told = play(script.read(KEPT / f"{name}.json"), tmp_path / name)
    assert told["verdict"] == "passed", told["why"]


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
    told = play(Script((Act(0.5, "colleague", {"does": "vacuum"}),), operator="owner"), tmp_path / lie)
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
    told = play(
        Script((Act(0.2, "poison_event", {"kind": "bad_ts", "count": 2}),), operator="owner"), tmp_path / "round"
    )
    checks = {check["check"]: check["passed"] for check in told["checks"]}
    assert checks["the undo puts back what was taken"]
    broken = {"undone and undone again, every value is as it was"} if lie else set[str]()
    assert {check for check, passed in checks.items() if not passed} == broken
