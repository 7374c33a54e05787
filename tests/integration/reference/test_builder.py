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
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
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


def test_reference_is_healthy(scout: Connection) -> None:
    assert {status for (status,) in rows(scout, "SELECT status FROM scout.data_quality_report(1)")} == {"healthy"}
    assert rows(scout, "SELECT * FROM scout.v_quality_alerts WHERE severity = 'critical'") == []
    [(bronze, silver, gold, health)] = rows(scout, "SELECT * FROM scout.v_ingest_freshness")
    assert max(bronze, silver, gold) < 3
    assert health == "healthy"
    assert rows(scout, "SELECT count(*) FROM scout.bronze_events") == [(2000,)]
    assert rows(scout, library.PENDING) == [(0,)]
    assert rows(scout, "SELECT count(*) FROM cron.job WHERE active AND username = 'loader'") == [(7,)]
    [(runs, slowest)] = rows(
        scout,
        "SELECT count(*), max(end_time - start_time) FROM cron.job_run_details d JOIN cron.job USING (jobid)"
        " WHERE jobname = 'bronze-to-silver-etl' AND status = 'succeeded'",
    )
    assert runs > 200
    assert slowest < timedelta(seconds=1)


def test_no_sale_of_the_reference_is_suspicious(scout: Connection) -> None:
    scout.execute("UPDATE scout.silver_transactions SET processed_at = now()")
    assert rows(scout, "SELECT alert_type FROM scout.v_quality_alerts WHERE severity = 'critical'") == []
    assert rows(scout, "SELECT count(*) FROM scout.silver_sanity_checks() WHERE failures > 0") == [(0,)]


def test_reference_has_corrections_late_events_and_other_types(scout: Connection) -> None:
    [(others, late, corrections)] = rows(
        scout,
        """
        SELECT count(*) FILTER (WHERE event_type <> 'transaction.v1'),
            count(*) FILTER (WHERE ingested_at - event_ts > interval '30 minutes'),
            count(*) - count(DISTINCT coalesce(event_data->>'transaction_id', event_id::text))
        FROM scout.bronze_events
        """,
    )
    assert (others, corrections) == (20, 10)
    assert late > 40


def test_bronze_has_two_equal_constraints_and_no_index_on_its_clock(scout: Connection) -> None:
    indexes = (
        "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'scout.bronze_events'::regclass ORDER BY 1"
    )
    assert [name for (name,) in rows(scout, indexes)] == [
        "scout.bronze_events_event_hash_key",
        "scout.bronze_events_pkey",
        "scout.unique_event_hash",
    ]
    payload = generator.transaction(77, 1, sold_at=NOON)
    generator.insert(scout, payload)
    with pytest.raises(psycopg.errors.UniqueViolation, match="bronze_events_event_hash_key"):
        generator.insert(scout, payload)


def test_an_empty_pipeline(pg_server: Server) -> None:
    dsn = builder.build(pg_server.create_database("empty"), events=0)
    with psycopg.connect(dsn, autocommit=True) as connection:
        [(bronze, silver, gold, health)] = rows(connection, "SELECT * FROM scout.v_ingest_freshness")
        assert (bronze, silver, health) == (None, None, "stale")
        assert gold > 29_000_000
        report = rows(connection, "SELECT check_name, status FROM scout.data_quality_report()")
        assert dict(report) == {
            "bronze_to_silver_latency": "degraded",
            "negative_amounts": "healthy",
            "line_item_totals_mismatch": "healthy",
            "coverage_percentage": "degraded",
            "transaction_throughput": "no_data",
        }
        assert rows(connection, "SELECT * FROM scout.maybe_refresh_gold()")[0][:2] == (False, 0)
        assert rows(connection, "SELECT latest_silver_data, seconds_behind FROM scout.v_gold_freshness") == [
            (None, None)
        ]
    pg_server.drop_database("empty")


def test_limits_of_the_loader(scout: Connection, scout_db: str) -> None:
    load = "SELECT events_processed FROM scout.load_silver_from_bronze(%s)"
    library.backlog(scout_db, 20)
    assert rows(scout, load, 0) == [(0,)]
    assert rows(scout, load, 5) == [(5,)]
    with pytest.raises(psycopg.errors.InvalidRowCountInLimitClause):
        scout.execute(load, [-1])
    assert rows(scout, load, None) == [(15,)]


def test_simulations_have_a_switch_that_works(scout: Connection) -> None:
    switch = "SELECT simulation_active, jobs_active FROM scout.control_simulation(%s)"
    assert [rows(scout, switch, action) for action in ("status", "stop", "start")] == [
        [(True, 3)],
        [(False, 0)],
        [(True, 3)],
    ]


def test_alerts_repeat_at_every_call(scout: Connection, scout_db: str) -> None:
    library.negative_totals(scout_db)
    for _ in range(2):
        scout.execute("SELECT scout.process_quality_alerts()")
    assert rows(scout, "SELECT count(*) FROM scout.alerts WHERE alert_type = 'NEGATIVE_TOTAL'") == [(2,)]


def test_pending_events_wait(pg_server: Server) -> None:
    dsn = builder.build(pg_server.create_database("pending"), events=300, pending=120)
    with psycopg.connect(dsn, autocommit=True) as connection:
        [(waiting,)] = rows(connection, library.PENDING)
        assert 110 < waiting <= 120
        assert rows(connection, "SELECT * FROM scout.load_silver_from_bronze(NULL)")[0][0] == waiting
        with pytest.raises(builder.AlreadyBuilt, match="'pending' already has a schema scout"):
            builder.build(dsn)
    pg_server.drop_database("pending")


def test_functions_that_always_fail(scout: Connection) -> None:
    with pytest.raises(psycopg.errors.DatatypeMismatch, match="event_hash"):
        scout.execute("SELECT scout.smoke_test_ingestion()")
    for made in ("peak_hours()", "realistic_store_activity(10)", "transaction_batch(35, TRUE, TRUE)"):
        with pytest.raises(psycopg.errors.UndefinedColumn, match="is_active"):
            scout.execute(f"SELECT scout.simulate_{made}")


def test_counts_and_durations_of_the_ledger_are_wrong(scout: Connection, scout_db: str) -> None:
    library.backlog(scout_db, 50)
    [(events, transactions, lines)] = rows(
        scout, "SELECT events_processed, transactions_created, line_items_created FROM scout.load_silver_from_bronze()"
    )
    assert (events, transactions) == (50, 50)
    latest = "SELECT DISTINCT silver_records_created, processing_duration_ms FROM scout.etl_processed ORDER BY 1 DESC LIMIT 1"
    newest = "WHERE processed_at = (SELECT max(processed_at) FROM scout.etl_processed)"
    assert rows(scout, latest.replace("ORDER", f"{newest} ORDER")) == [(transactions + lines, None)]


def test_grants(scout: Connection) -> None:
    readable = {
        name
        for (name,) in rows(
            scout,
            "SELECT relname FROM pg_class WHERE relnamespace = 'scout'::regnamespace AND relkind IN ('r', 'v', 'm')"
            " AND NOT has_table_privilege('dashboard_reader', oid, 'SELECT')",
        )
    }
    assert readable == {
        "v_ingest_freshness",
        "v_quality_alerts",
        "v_pipeline_throughput",
        "v_product_linking_stats",
        "bronze_events_dlq",
        "ingestion_watermarks",
    }
    scout.execute("SET ROLE edge_ingest")
    generator.insert(scout, generator.transaction(77, 1))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        scout.execute("DELETE FROM scout.bronze_events")
    scout.execute("RESET ROLE")
    assert rows(scout, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'scout'") == [("loader",)]


def test_the_owner_of_the_jobs_alters_them_without_being_superuser(pg_server: Server, scout_db: str) -> None:
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("SET SESSION AUTHORIZATION loader")
        connection.execute("SELECT cron.alter_job(1, active := false)")
        assert rows(connection, "SELECT active FROM cron.job WHERE jobid = 1") == [(False,)]
        with pytest.raises(psycopg.errors.InternalError, match="Job 99 does not exist or you don't own it"):
            connection.execute("SELECT cron.alter_job(99, active := true)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied for table job"):
            connection.execute("UPDATE cron.job SET active = true")


def test_repaired_switch_works(repaired_db: str) -> None:
    active = "SELECT active FROM cron.job WHERE jobname = 'bronze-to-silver-etl'"
    control = "SELECT ingestion_active, etl_jobs_active FROM scout.control_ingestion(%s)"
    with psycopg.connect(repaired_db, autocommit=True) as connection:
        assert rows(connection, control, "status") == [(True, 1)]
        assert rows(connection, control, "pause") == [(False, 0)]
        assert rows(connection, active) == [(False,)]
        assert rows(connection, control, "status") == [(False, 0)]
        assert rows(connection, control, "resume") == [(True, 0)]
        assert rows(connection, active) == [(True,)]


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


def test_faults_combine(scout: Connection, scout_db: str) -> None:
    library.backlog(scout_db, 200)
    for kind in (*poison_payloads.KINDS, "duplicate_in_batch"):
        library.poison_event(scout_db, kind)
    with library.lock_holder(scout_db), library.stuck_etl(scout_db), library.stuck_etl(scout_db, "idle_in_transaction"):
        library.negative_totals(scout_db)
        library.gold_stale(scout_db)
        assert rows(scout, "SELECT gold_staleness_minutes >= 60 FROM scout.v_ingest_freshness") == [(True,)]


def test_a_refresh_fixes_stale_gold(scout: Connection, scout_db: str) -> None:
    library.gold_stale(scout_db)
    assert rows(scout, "SELECT DISTINCT status FROM scout.refresh_gold_platinum()") == [("SUCCESS",)]
    assert rows(scout, "SELECT gold_staleness_minutes < 1 FROM scout.v_ingest_freshness") == [(True,)]


def test_missing_grant_takes(scout_db: str) -> None:
    for thing in ("SCHEMA cron", "TABLE scout.alerts", "FUNCTION cron.alter_job"):
        library.missing_grant(scout_db, role="loader", object=thing)


def test_generator_is_deterministic() -> None:
    times = generator.clock(2000, NOON)
    assert times == sorted(times)
    assert times[-1] == NOON - timedelta(seconds=3)
    first = list(generator.events(5, times))
    assert first == list(generator.events(5, times))
    assert first[1000:1010] == list(generator.events(5, times, range(1000, 1010)))
    assert len({event.event_hash for event in first}) == len({event.event_id for event in first}) == 2000
    assert first != list(generator.events(6, times))


def test_generated_hashes_are_the_pipelines(scout: Connection) -> None:
    wrong = "SELECT count(*) FROM scout.bronze_events WHERE event_hash IS DISTINCT FROM scout.canonical_event_hash(event_data)"
    assert rows(scout, wrong) == [(0,)]
    generator.insert(scout, generator.transaction(1, 5))
    assert rows(scout, wrong) == [(0,)]


def test_shops_close_at_night() -> None:
    hours = [time.astimezone(generator.MANILA).hour for time in generator.clock(5000, NOON)]
    assert sum(hour in (18, 19) for hour in hours) > 10 * sum(hour in (1, 2) for hour in hours)
