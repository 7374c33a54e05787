# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference is healthy, complete and repeatable; its repaired variant is repaired; every fault takes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import Held
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import call

Connection = psycopg.Connection[Any]
NOON = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)

SIMPLE_FAULTS = sorted(set(library.FAULTS) - {"missing_grant"})


def rows(connection: Connection, query: str, *parameters: object) -> list[Any]:
    """All rows, as tuples."""
    return connection.execute(query, parameters).fetchall()


def test_every_variant_is_healthy(variant_db: str) -> None:
    with psycopg.connect(variant_db, autocommit=True) as scout:
        assert {status for (status,) in rows(scout, "SELECT status FROM scout.data_quality_report(1)")} == {"healthy"}
        assert rows(scout, "SELECT pipeline_health FROM scout.v_ingest_freshness") == [("healthy",)]
        assert rows(scout, "SELECT count(*) FROM scout.bronze_events") == [(2000,)]
        assert rows(scout, library.PENDING) == [(0,)]
        assert rows(scout, "SELECT count(*) FROM cron.job WHERE active") == [(7,)]


@pytest.mark.parametrize("variant", builder.BUILT)
def test_a_template_that_has_grown_old_ends_just_now_again(variant: str, pg_server: Server) -> None:
    """It is not built again for that, and its copies are as healthy as ever."""
    template = builder.template(pg_server, variant, events=200)
    events, passed = "SELECT array_agg(event_id ORDER BY event_id) FROM scout.bronze_events", timedelta(minutes=6)
    try:
        with psycopg.connect(template.clone(f"fresh_{variant}")) as fresh:
            ids, built = rows(fresh, events), rows(fresh, "SELECT min(ingested_at) FROM scout.bronze_events")
        with psycopg.connect(pg_server.dsn(template.name)) as old:
            old.execute(builder.LATER, {"passed": -passed, "events": generator.RECENT})
        template._renewed_at -= passed.total_seconds()
        dsn = template.clone(f"renewed_{variant}")
        with psycopg.connect(dsn) as renewed:
            assert rows(renewed, events) == ids
            assert rows(renewed, "SELECT min(ingested_at) FROM scout.bronze_events") == built
            [(*ages, health)] = rows(renewed, "SELECT * FROM scout.v_ingest_freshness")
            assert (max(ages) < 2, health) == (True, "healthy"), ages
            last = "SELECT now() - max(end_time) < interval '2 minutes' FROM cron.job_run_details"
            assert rows(renewed, last) == [(True,)]
        found = call("scout_health_info", dsn)
        assert (found["verdict"], found["diagnoses"]) == ("healthy", [])
        template.drop()
        pg_server.drop_database(f"fresh_{variant}")
        with psycopg.connect(template.clone(f"fresh_{variant}")) as fresh:
            assert rows(fresh, "SELECT min(ingested_at) FROM scout.bronze_events") > built
    finally:
        for name in (f"fresh_{variant}", f"renewed_{variant}"):
            pg_server.drop_database(name)
        template.drop()


def test_the_deployed_one_is_as_it_was_measured(deployed_db: str) -> None:
    with psycopg.connect(deployed_db, autocommit=True) as connection:
        hashes = "SELECT oidvectortypes(proargtypes) FROM pg_proc WHERE proname = 'canonical_event_hash'"
        assert rows(connection, hashes) == [("text, text, timestamp with time zone, jsonb, text",)]
        assert rows(connection, "SELECT count(*) FROM scout.dim_store") == [(0,)]
        assert rows(connection, "SELECT DISTINCT region_key FROM scout.gold_region_choropleth") == [("UNKNOWN",)]
        owners = """SELECT DISTINCT rolsuper FROM pg_roles AS r WHERE r.rolname IN (SELECT username FROM cron.job)
                    OR r.oid IN (SELECT proowner FROM pg_proc WHERE pronamespace = 'scout'::regnamespace)"""
        assert rows(connection, owners) == [(True,)]
        triggers = "SELECT DISTINCT tgrelid::regclass::text FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1"
        assert rows(connection, triggers) == [("scout.dim_sku",), ("scout.dim_store",), ("scout.platinum_insights",)]
        beside = "SELECT (SELECT count(*) FROM pg_event_trigger), (SELECT string_agg(pubname, ' ') FROM pg_publication)"
        assert rows(connection, beside) == [(2, "supabase_realtime")]
        payload = generator.transaction(7, 1)
        ingest = "SELECT accepted, reason FROM scout.ingest_event(%s)"
        assert rows(connection, ingest, Jsonb(payload)) == [(True, "stored")]
        assert rows(connection, ingest, Jsonb(payload)) == [(False, "duplicate")]
        for always in ("smoke_test_ingestion()", "simulate_peak_hours()"):
            with pytest.raises(psycopg.errors.DatabaseError):
                connection.execute(f"SELECT * FROM scout.{always}".encode())


def test_repaired_reprocess_takes_the_oldest_pending_events(repaired_db: str) -> None:
    window = "SELECT * FROM scout.reprocess_bronze_window(%s, %s, %s)"
    with psycopg.connect(repaired_db, autocommit=True) as connection:
        [(start, end)] = rows(
            connection,
            """
            SELECT min(ingested_at), max(ingested_at) FROM (
                SELECT ingested_at FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY 1 DESC LIMIT 50
            ) AS newest
            """,
        )
        library.backlog(repaired_db, 30, age_seconds=4 * 86400)
        assert rows(connection, window, start, end, 40)[0][0] == 40
        assert rows(connection, library.PENDING) == [(40,)]
        assert rows(connection, window, None, None, 100)[0][0] == 40


@pytest.mark.parametrize("name", SIMPLE_FAULTS)
def test_fault_takes(scout_db: str, name: str) -> None:
    outcome = library.FAULTS[name](scout_db)
    if isinstance(outcome, Held):
        with outcome:
            assert outcome.alive()
        assert not outcome.alive()


def test_faults_survive_being_killed(scout: Connection, scout_db: str) -> None:
    held = [library.stuck_etl(scout_db, variant) for variant in ("row_lock", "idle_in_transaction", "nested")]
    held.append(library.lock_holder(scout_db))
    for fault in held:
        for pid in fault.pids.values():
            scout.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        assert not fault.alive()
        fault.close()


def test_generator_is_deterministic() -> None:
    times = generator.clock(2000, NOON)
    assert times == sorted(times)
    assert times[-1] == NOON - timedelta(seconds=3)
    first = list(generator.events(5, times))
    assert first == list(generator.events(5, times))
    assert first[1000:1010] == list(generator.events(5, times, range(1000, 1010)))
    assert len({event.event_hash for event in first}) == len({event.event_id for event in first}) == 2000
    assert first != list(generator.events(6, times))
