# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A migration that renamed or dropped one of Scout's tables: what is there is still paused, assessed, captured, rolled back."""

from __future__ import annotations

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

RENAMED = {
    table: f"ALTER TABLE scout.{table} RENAME TO {table}_v2"
    for table in ("bronze_events", "bronze_events_dlq", "etl_processed", "silver_transactions", "silver_line_items")
}
BY_ANSIBLE = "silver_transactions"


@pytest.mark.parametrize("table", RENAMED)
def test_a_renamed_table_is_a_cause_and_no_other_database(
    table: str, healthy: Pipeline, request: pytest.FixtureRequest
) -> None:
    stage: Stage = request.getfixturevalue("stage")
    healthy.execute(RENAMED[table])
    assessed = stage.play("assess", healthy.dsn)
    assert assessed.result["verdict_before"] == "failing", assessed.text
    first = assessed.result["diagnoses"][0]
    assert f"table scout.{table} is missing: dropped or renamed" in first["cause"]
    assert "not a Scout database" not in assessed.text

    active = healthy.active_jobs()
    paused = stage.play("pause_ingestion", healthy.dsn)
    assert (paused.rc, paused.result["ingestion"]) == (0, "paused"), paused.text
    assert healthy.active_jobs() < active
    resumed = stage.play("resume_ingestion", healthy.dsn, proof=False)
    assert healthy.active_jobs() == active, resumed.text


def test_a_reset_says_so_and_does_not_end_well(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute(RENAMED["etl_processed"])
    played = stage.play("emergency_reset", healthy.dsn)
    assert (played.rc, played.result["ok"]) == (2, False), played.text
    assert "scout.etl_processed is missing" in played.text
    assert "-vvv" not in played.summary


def test_the_rollback_of_it_is_advised_and_works(healthy: Pipeline, stage: Stage) -> None:
    captured = stage.play("capture_release", healthy.dsn, release="v5.2.1")
    assert captured.rc == 0, captured.text
    healthy.execute(RENAMED["silver_line_items"])
    assessed = stage.play("assess", healthy.dsn)
    assert assessed.result["next"] == ["ansible-playbook scout.recovery.rollback -e scout_release=v5.2.1 --check"], (
        assessed.text
    )
    looked = stage.play("rollback", healthy.dsn, "--check", release="v5.2.1")
    assert looked.rc == 0, looked.text
    back = stage.play("rollback", healthy.dsn, release="v5.2.1")
    assert healthy.one("SELECT to_regclass('scout.silver_line_items') IS NOT NULL"), back.text
    assert back.rc == 0, back.text
    healthy.execute(RENAMED["silver_line_items"])
    assert stage.play("capture_release", healthy.dsn, release="v5.3.0").rc == 0


def test_rows_are_not_moved_while_a_table_is_missing(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute(RENAMED["etl_processed"])
    played = stage.play("quarantine", healthy.dsn, window_start="2026-01-01T00:00Z", window_end="2026-01-02T00:00Z")
    assert played.rc == 2, played.text
    assert "scout.etl_processed is missing" in played.summary
