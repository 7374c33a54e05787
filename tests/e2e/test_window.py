# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery of a window as a person runs it: what is paused, made again, said, and left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.integration.modules import connect
from tests.integration.outcomes import scout_tables
from tests.integration.windows import Case, damaged

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
GOLD_BEHIND = """
SELECT date_key, store_id, count(*), sum(total_amount) FROM scout.silver_transactions GROUP BY 1, 2
EXCEPT SELECT date_key, store_id, transaction_count, total_sales FROM scout.gold_daily_metrics
"""
NEGATIVE = "SELECT transaction_id, total_amount FROM scout.silver_transactions WHERE total_amount < 0 ORDER BY 1"
KINDS = (
    "rows_missing",
    "totals_wrong",
    "lines_dropped",
    "rows_extra",
    "corrections_beyond_the_end",
    "poison_pending",
    "older_pending",
)


def damaged_window(pipeline: Pipeline) -> tuple[Case, dict[str, Any]]:
    """Twenty hours of damage, with older events pending outside, and the options that select them. Among those outside are
    some that no job can load, which is not what is tested."""
    now = datetime.now(UTC)
    case = damaged(pipeline.dsn, Window(now - timedelta(hours=20), now - timedelta(hours=1)), *KINDS)
    options = case.window.options
    return case, {name: options[name] for name in ("window_start", "window_end")} | {
        "incident": "INC-1",
        "proof": False,
    }


def test_a_recovery_from_check_to_the_undo(healthy: Pipeline, stage: Stage) -> None:
    """The check writes nothing, the run recovers and resumes, the same again changes nothing, and an undo takes it back."""
    case, options = damaged_window(healthy)
    active, before, tables = healthy.active_jobs(), healthy.fingerprint(), scout_tables(healthy.dsn)
    planned = stage.play("window_recovery", healthy.dsn, "--check", **options)
    assert planned.rc == 0, planned.text
    assert planned.result["outcome"] == "planned"
    assert healthy.fingerprint() == before
    played = stage.play("window_recovery", healthy.dsn, **options)
    assert played.rc == 0, played.text
    assert played.result["ingestion"] == "running"
    assert healthy.active_jobs() == active
    case.check()
    assert healthy.rows(GOLD_BEHIND) == []
    run_id = played.result["move"]["run_id"]
    assert f"scout.recovery.undo -e scout_run_id={run_id}" in played.summary
    again = stage.play("window_recovery", healthy.dsn, **options)
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
    as_it_was = {"drain": False, "refresh": False, "proof": False}
    undone = stage.play("undo", healthy.dsn, run_id=run_id, **as_it_was)
    assert undone.rc == 0, undone.text
    assert undone.result["ingestion"] == "running"
    assert scout_tables(healthy.dsn) == tables


def test_after_an_undo_the_queue_is_drained(healthy: Pipeline, stage: Stage) -> None:
    """What had been pending is loaded before the jobs go on; what had been wrong is wrong again."""
    case, options = damaged_window(healthy)
    negative = healthy.rows(NEGATIVE)
    assert negative
    played = stage.play("window_recovery", healthy.dsn, **options)
    undone = stage.play("undo", healthy.dsn, run_id=played.result["move"]["run_id"])
    assert undone.rc == 0, undone.text
    assert undone.result["ingestion"] == "running"
    assert healthy.rows(NEGATIVE) == negative
    assert healthy.unaccounted([*case.written]) == []


def test_what_waits_outside_and_cannot_be_loaded_is_what_the_jobs_meet(healthy: Pipeline, stage: Stage) -> None:
    """The window is recovered, and ingestion paused again until somebody quarantines those."""
    case, options = damaged_window(healthy)
    played = stage.play("window_recovery", healthy.dsn, **options | {"proof": True})
    assert played.rc == 2, played.text
    assert played.result["ingestion"] == "paused"
    assert not JOBS & healthy.active_jobs()
    assert "the pipeline does not work by itself" in played.summary
    assert "ansible-playbook scout.recovery.emergency_reset" in played.result["next"][0]
    case.check()


def test_what_cannot_be_recovered_leaves_ingestion_paused(healthy: Pipeline, stage: Stage) -> None:
    """Told to stop at poison, it does, and stays paused; without that the same command finishes and resumes."""
    case, options = damaged_window(healthy)
    stopped = stage.play("window_recovery", healthy.dsn, poison="stop", **options)
    assert stopped.rc == 2, stopped.text
    assert stopped.result["ingestion"] == "paused"
    assert "again" in stopped.result["next"][0]
    assert "ansible-playbook scout.recovery.resume_ingestion re-enables the jobs" in stopped.summary
    assert not JOBS & healthy.active_jobs()
    finished = stage.play("window_recovery", healthy.dsn, **options)
    assert finished.rc == 0, finished.text
    assert finished.result["ingestion"] == "running"
    assert healthy.active_jobs() >= JOBS
    case.check()


def test_the_last_hour_through_a_runner(healthy: Pipeline, stage: Stage) -> None:
    """What came within it is loaded, what waits since before it is not."""
    now = datetime.now(UTC)
    with connect(healthy.dsn) as connection:
        inside, outside = (
            generator.insert(connection, generator.transaction(4_141, number), ingested_at=now - timedelta(minutes=ago))
            for number, ago in enumerate((20, 80))
        )
    played = stage.play_through_runner("window_recovery", healthy.dsn, last="1h")
    assert played.rc == 0, played.text
    assert (played.result["outcome"], played.result["ingestion"]) == ("done", "running")
    loaded = "SELECT source_event_id FROM scout.silver_transactions WHERE source_event_id = ANY (%s)"
    assert healthy.rows(loaded, [inside, outside]) == [(inside,)]
    assert healthy.pending() == 1
    assert healthy.rows(GOLD_BEHIND) == []
