# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The emergency reset from the command line: what it fixes, what it leaves alone, and what it says."""

from __future__ import annotations

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
GOLD_IS_NEWER = """
SELECT (SELECT min(updated_at) FROM scout.gold_daily_metrics) >= (SELECT max(processed_at) FROM scout.etl_processed)
"""


def test_show(pg_server: Server, stage: Stage) -> None:
    """20,000 events, three kinds of poison, a lock holder, a stuck ETL and stale gold: mended at the first run,
    unchanged at the second."""
    pipeline = Pipeline(builder.build(pg_server.create_database("show"), events=20_000, pending=6000))
    poison = {
        str(event): kind
        for kind in ("non_numeric_amount", "item_without_product_id", "bad_ts")
        for event in library.poison_event(pipeline.dsn, kind)
    }
    library.gold_stale(pipeline.dsn)
    library.job_disabled_on_purpose(pipeline.dsn, "data-quality-alerts")
    images = dict(
        pipeline.rows(
            "SELECT event_id::text, to_jsonb(b) FROM scout.bronze_events b WHERE event_id = ANY (%s::uuid[])", [*poison]
        )
    )
    active = pipeline.active_jobs()
    with library.lock_holder(pipeline.dsn) as holder, library.stuck_etl(pipeline.dsn) as stuck:
        events = pipeline.events()
        pipeline.rows("SELECT pg_sleep(2.1)")
        first = stage.play_through_runner("emergency_reset", pipeline.dsn, stuck_after_seconds=2, incident="INC-2041")
        assert first.rc == 0, first.text
        assert not holder.alive()
        assert not stuck.alive()

    assert first.result["outcome"] == "recovered"
    assert first.result["ingestion"] == "running"
    assert pipeline.active_jobs() == active
    assert pipeline.pending() == 0
    assert pipeline.unaccounted(events) == []
    kept = pipeline.rows(
        """SELECT to_jsonb(jsonb_populate_record(NULL::scout.bronze_events,
                      (error_details -> 'event') || jsonb_build_object('event_data', original_payload))), error_code
           FROM scout.bronze_events_dlq"""
    )
    assert {image["event_id"]: image for image, _ in kept} == images
    assert {entry["event_id"] for entry in first.result["poison"]} == set(poison)
    assert pipeline.one(GOLD_IS_NEWER)
    for part in ("emergency reset of show", "incident INC-2041", "was ", "did ", "now ingestion is running", "undo "):
        assert part in first.summary
    assert "3 poison events" in first.summary
    assert pipeline.lease_owner() is None
    assert (stage.evidence).is_dir()

    second = stage.play_through_runner("emergency_reset", pipeline.dsn, stuck_after_seconds=2)
    assert second.rc == 0, second.text
    assert second.recap()["changed"] == 0
    assert second.result["outcome"] == "nothing_to_do"
    pg_server.drop_database("show")


@pytest.mark.parametrize(
    ("database", "played_by"), [("scout_db", "stage"), ("repaired_db", "stage"), ("deployed_db", "stage")]
)
def test_a_healthy_pipeline_is_left_alone(database: str, played_by: str, request: pytest.FixtureRequest) -> None:
    pipeline, stage = Pipeline(request.getfixturevalue(database)), request.getfixturevalue(played_by)
    before = pipeline.fingerprint()
    played = stage.play("emergency_reset", pipeline.dsn)
    assert played.rc == 0, played.text
    recap = played.recap()
    assert (recap["changed"], recap["failed"]) == (0, 0)
    assert {name: pipeline.fingerprint()[name] for name in before} == before
    assert not stage.evidence.exists()
    assert "no change was needed" in played.summary


def test_a_check_ends_no_session_and_collects_no_evidence(broken: Pipeline, stage: Stage) -> None:
    with library.stuck_etl(broken.dsn, "idle_in_transaction") as stuck:
        broken.rows("SELECT pg_sleep(1.1)")
        before = broken.fingerprint()
        played = stage.play("emergency_reset", broken.dsn, "--check", "--diff", stuck_after_seconds=1)
        assert (played.rc, played.result["outcome"]) == (0, "planned"), played.text
        assert broken.fingerprint() == before
        assert stuck.alive()
    assert not stage.evidence.exists()
    assert "bronze-to-silver-etl: inactive" in played.text


@pytest.mark.parametrize("variant", builder.VARIANTS)
def test_left_paused_as_told_and_given_back(variant: str, pg_server: Server, request: pytest.FixtureRequest) -> None:
    """The repaired switch would activate what was off; the faithful one, here by Ansible, does nothing and says otherwise."""
    stage: Stage = request.getfixturevalue("stage")
    pipeline = Pipeline(builder.build(pg_server.create_database(f"told_{variant}"), variant, events=600, pending=200))
    library.job_disabled_on_purpose(pipeline.dsn)
    active = pipeline.active_jobs()

    left = stage.play("emergency_reset", pipeline.dsn, resume=False)
    assert left.rc == 0, left.text
    assert left.result["outcome"] == "left_paused_as_told"
    assert pipeline.active_jobs() == active - JOBS
    assert "scout.recovery.resume_ingestion when ready" in left.summary
    assert pipeline.pending() == 0

    again = stage.play("emergency_reset", pipeline.dsn, resume=False)
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text

    before = pipeline.fingerprint()
    planned = stage.play("emergency_reset", pipeline.dsn, "--check")
    assert (planned.rc, planned.result["outcome"], planned.result["ingestion"]) == (0, "planned", "paused"), (
        planned.text
    )
    assert "resume 2 jobs" in planned.summary, "one was disabled on purpose"
    assert pipeline.fingerprint() == before

    back = stage.play("resume_ingestion", pipeline.dsn)
    assert back.rc == 0, back.text
    assert pipeline.active_jobs() == active
    assert back.result["outcome"] == "done"

    pg_server.drop_database(f"told_{variant}")


@pytest.mark.parametrize("moment", ["0044-03-15 BC", "10000-01-01", "infinity"])
def test_no_moment_that_an_event_carries_stops_a_reset(scout_db: str, stage: Stage, moment: str) -> None:
    pipeline = Pipeline(scout_db)
    with psycopg.connect(scout_db, autocommit=True) as connection:
        event = generator.insert(connection, generator.transaction(9, 1))
        connection.execute("UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id = %s", [moment, event])
    library.gold_stale(scout_db)
    played = stage.play("emergency_reset", pipeline.dsn)
    assert played.rc == 0, played.text
    assert pipeline.one("SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = '9-00000001'") == 1
    assert "now    ingestion is running" in played.summary or "now ingestion is running" in played.summary


def test_a_view_of_the_teams_own_without_a_unique_index_fails_no_reset(broken: Pipeline, stage: Stage) -> None:
    """Nothing refreshes it CONCURRENTLY, so it needs none: the reset refreshes it plainly."""
    broken.execute(
        "CREATE MATERIALIZED VIEW scout.gold_by_payment AS "
        "SELECT payment_method, count(*) AS sales FROM scout.silver_transactions GROUP BY 1",
        "ALTER MATERIALIZED VIEW scout.gold_by_payment OWNER TO loader",
    )
    played = stage.play("emergency_reset", broken.dsn)
    assert (played.rc, played.result["outcome"]) == (0, "recovered"), played.text
    assert "gold_by_payment" not in str(played.result["diagnoses"])
    assert broken.one("SELECT sum(sales) FROM scout.gold_by_payment") == broken.one(
        "SELECT count(*) FROM scout.silver_transactions"
    )
