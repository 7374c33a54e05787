# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reference misbehaves as production does: one test for each quirk that the toolkit must survive."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library

Connection = psycopg.Connection[Any]

LOAD = "SELECT * FROM scout.load_silver_from_bronze(%s)"
REFRESH = "SELECT operation, status FROM scout.refresh_gold_platinum()"
AN_HOUR_AGO = "now() - interval '1 hour'"


def one(connection: Connection, query: str, *parameters: object) -> Any:
    """The only column of the only row."""
    rows = connection.execute(query, parameters).fetchall()
    assert len(rows) == 1
    assert len(rows[0]) == 1
    return rows[0][0]


def rows(connection: Connection, query: str, *parameters: object) -> list[Any]:
    """All rows, as tuples."""
    return connection.execute(query, parameters).fetchall()


def sell(connection: Connection, number: int, **fields: Any) -> str:
    """A new sale in bronze; returns its transaction id."""
    payload = generator.transaction(77, number, **fields)
    generator.insert(connection, payload)
    return payload["transaction_id"]


@pytest.mark.pg_cron
def test_quirk_03_deactivating_a_job_kills_its_run(cron_db: str) -> None:
    last = "SELECT status, return_message FROM cron.job_run_details WHERE jobid = %s ORDER BY runid DESC LIMIT 1"
    with psycopg.connect(cron_db, autocommit=True) as connection:
        connection.execute("SET ROLE loader")
        slow = one(connection, "SELECT cron.schedule('quirk-3', '1 seconds', 'SELECT pg_sleep(60)')")
        try:
            wait(lambda: ("running", None) in rows(connection, last, slow))
            assert one(
                connection,
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_cron' AND query LIKE '%%sleep(60)'",
            )
            connection.execute("SELECT cron.alter_job(%s, active := false)", [slow])
            wait(lambda: rows(connection, last, slow) == [("failed", "job canceled")])
        finally:
            connection.execute("SELECT cron.unschedule(%s)", [slow])


@pytest.mark.parametrize("kind", [*poison_payloads.KINDS, "duplicate_in_batch"])
def test_quirk_04_poison_list(scout: Connection, scout_db: str, kind: str) -> None:
    library.poison_event(scout_db, kind)
    with pytest.raises(psycopg.Error) as caught:
        scout.execute(LOAD, [2000])
    assert caught.value.sqlstate == (
        poison_payloads.DUPLICATE if kind == "duplicate_in_batch" else poison_payloads.KINDS[kind].sqlstate
    )


@pytest.mark.parametrize("kind", poison_payloads.HARMLESS)
def test_quirk_04_not_poison(scout: Connection, kind: str) -> None:
    payload = generator.transaction(77, 1)
    event = generator.insert(scout, poison_payloads.HARMLESS[kind](payload))
    assert rows(scout, LOAD, 10)[0][0] == 1
    assert one(scout, "SELECT count(*) FROM scout.etl_processed WHERE event_id = %s", event) == 1
    written = one(scout, "SELECT count(*) FROM scout.silver_transactions WHERE source_event_id = %s", event)
    assert written == (kind in ("no_items", "empty_items", "not_a_number"))
    if kind == "not_a_number":
        alerts = rows(
            scout, "SELECT alert_type FROM scout.v_quality_alerts WHERE transaction_id = %s", payload["transaction_id"]
        )
        assert alerts == [("SUSPICIOUS_HIGH_AMOUNT",)]


def test_quirk_06_overlapping_loads_collide(scout: Connection, scout_db: str) -> None:
    library.backlog(scout_db, 3000)
    collisions: list[str] = []

    def load() -> None:
        with psycopg.connect(scout_db, autocommit=True) as connection:
            for _ in range(50):
                try:
                    connection.execute(LOAD, [10])
                except psycopg.errors.UniqueViolation as error:
                    collisions.append(str(error.diag.constraint_name))

    threads = [threading.Thread(target=load) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(collisions) == {"etl_processed_pkey"}
    rows(scout, LOAD, None)
    assert one(scout, library.PENDING) == 0


def test_quirk_12_reprocess_always_fails(scout: Connection) -> None:
    before = one(scout, "SELECT count(*) FROM scout.etl_processed")
    with pytest.raises(psycopg.errors.AmbiguousColumn, match='column reference "transactions_created" is ambiguous'):
        scout.execute("SELECT * FROM scout.reprocess_bronze_window(now() - interval '1 day', now(), 10)")
    assert one(scout, "SELECT count(*) FROM scout.etl_processed") == before


def test_quirk_16_runbook_quarantine_loses_events(scout: Connection, scout_db: str) -> None:
    with psycopg.connect(scout_db) as operator:
        operator.execute(f"""
            INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, source_system)
            SELECT event_data, 'QUARANTINE', 'test', source_system FROM scout.bronze_events WHERE ingested_at >= {AN_HOUR_AGO}
        """)
        lost = sell(scout, 1)
        operator.execute(f"DELETE FROM scout.bronze_events WHERE ingested_at >= {AN_HOUR_AGO}")
    assert one(scout, "SELECT count(*) FROM scout.bronze_events WHERE event_data->>'transaction_id' = %s", lost) == 0
    assert (
        one(scout, "SELECT count(*) FROM scout.bronze_events_dlq WHERE original_payload->>'transaction_id' = %s", lost)
        == 0
    )


def test_quirk_17_quarantine_leaves_derived_rows(scout: Connection) -> None:
    sales = one(scout, "SELECT sum(transaction_count) FROM scout.gold_daily_metrics")
    gone = rows(scout, "DELETE FROM scout.bronze_events WHERE event_type = 'transaction.v1' RETURNING event_id")
    ids = [event for (event,) in gone]
    assert one(scout, "SELECT count(*) FROM scout.etl_processed WHERE event_id = ANY (%s)", ids) == len(ids)
    dangling = one(scout, "SELECT count(*) FROM scout.silver_transactions WHERE source_event_id = ANY (%s)", ids)
    assert dangling == one(scout, "SELECT count(*) FROM scout.silver_transactions")
    assert one(scout, "SELECT count(*) FROM scout.silver_line_items") > dangling
    assert [status for _, status in rows(scout, REFRESH)] == ["SUCCESS", "SUCCESS"]
    assert one(scout, "SELECT sum(transaction_count) FROM scout.gold_daily_metrics") == sales


def test_quirk_18_quarantine_waits_for_the_loader(scout: Connection, scout_db: str) -> None:
    name = sell(scout, 1)
    deleted: list[int] = []

    def quarantine() -> None:
        with psycopg.connect(scout_db, application_name="quarantine", autocommit=True) as connection:
            statement = "DELETE FROM scout.bronze_events WHERE event_data->>'transaction_id' = %s"
            deleted.append(connection.execute(statement, [name]).rowcount)

    with psycopg.connect(scout_db) as loader:
        loader.execute(LOAD, [10])
        thread = threading.Thread(target=quarantine)
        thread.start()
        waiting = "SELECT FROM pg_stat_activity WHERE application_name = 'quarantine' AND wait_event_type = 'Lock'"
        wait(lambda: rows(scout, waiting))
        assert deleted == []
    thread.join()
    assert deleted == [1]
    assert one(scout, "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = %s", name) == 1


def test_quirk_19_the_queue_forgets_the_event(scout: Connection) -> None:
    columns = "SELECT column_name FROM information_schema.columns WHERE table_name = 'bronze_events_dlq'"
    assert {"event_id", "event_type", "event_hash", "event_ts", "ingested_at"}.isdisjoint(
        name for (name,) in rows(scout, columns)
    )
    name = sell(scout, 1)
    scout.execute(LOAD, [10])
    [(event, payload)] = rows(
        scout,
        "DELETE FROM scout.bronze_events WHERE event_data->>'transaction_id' = %s RETURNING event_id, event_data",
        name,
    )
    replayed = generator.insert(scout, payload)
    assert replayed != event
    assert rows(scout, LOAD, 10)[0][:2] == (1, 1)
    assert one(scout, "SELECT count(*) FROM scout.etl_processed WHERE event_id IN (%s, %s)", event, replayed) == 2
    assert one(scout, "SELECT source_event_id FROM scout.silver_transactions WHERE transaction_id = %s", name) == event


def test_quirk_20_runbook_step_two_is_an_error(scout: Connection) -> None:
    with pytest.raises(psycopg.errors.SyntaxError, match="INSERT has more expressions than target columns"):
        scout.execute("""
            INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message)
            SELECT jsonb_build_object('transaction_id', transaction_id), 'INVALID_AMOUNTS', 'Negative amounts detected', 'data_quality'
            FROM scout.silver_transactions WHERE total_amount < 0
        """)


def test_quirk_23_times_without_zones(scout: Connection) -> None:
    kind = "SELECT data_type FROM information_schema.columns WHERE table_name = 'silver_line_items' AND column_name = 'processed_at'"
    assert one(scout, kind) == "timestamp without time zone"
    scout.execute("SET TimeZone = 'Asia/Manila'")
    name = sell(scout, 1, ts="2025-08-24T23:30:00Z")
    scout.execute(LOAD, [10])
    [(key, moment)] = rows(
        scout, "SELECT date_key::text, ts FROM scout.silver_transactions WHERE transaction_id = %s", name
    )
    assert (key, moment) == ("2025-08-24", datetime(2025, 8, 24, 23, 30, tzinfo=UTC))
    bound = one(scout, "SELECT '2025-08-24 14:00'::timestamptz")
    scout.execute("SET TimeZone = 'UTC'")
    assert one(scout, "SELECT '2025-08-24 14:00'::timestamptz") - bound == timedelta(hours=8)


def wait(condition: Any, seconds: float = 15) -> None:
    """Return once the condition holds, or fail."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
