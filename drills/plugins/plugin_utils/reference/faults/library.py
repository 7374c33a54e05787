# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that breaks a Scout pipeline, as named functions: each proves that its fault took, or raises.

A fault takes the dsn of a superuser and keywords. The ones that hold sessions return a `Held` to be closed. They may be
combined in any order. FAULTS has them by name, `needs` and `lacking` say what they need and what of it a database does not
have. `python -m` of this module, with `--help`, tells how to use them from a shell.
"""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
from psycopg import sql

from ..events import generator, poison_payloads
from .damage_hand import Window
from .registry import FAULTS as FAULTS
from .registry import fault
from .registry import lacking as lacking
from .registry import needs as needs
from .silver_damage import damage
from .stuck_sessions import LOCK_TIMEOUT, Held, holding, wait_until

Connection = psycopg.Connection[Any]

REFRESH_LOCK = 94752052
ETL = "SELECT * FROM scout.load_silver_from_bronze(2000)"
ETL_JOB = "bronze-to-silver-etl"

#: What the names below mean is in registry.CHECKS.
BRONZE = tuple(
    f"column scout.bronze_events.{name}"
    for name in ("event_id", "event_type", "event_ts", "source_system", "event_data", "event_hash", "ingested_at")
)
LOADS = (*BRONZE, "column scout.etl_processed.event_id", "function scout.load_silver_from_bronze(integer)")
SILVER = tuple(f"column scout.silver_transactions.{name}" for name in ("id", "transaction_id", "source_event_id"))
LINES = tuple(f"column scout.silver_line_items.{name}" for name in ("transaction_id", "quantity", "unit_price"))
JOB = f"job {ETL_JOB}"
JOB_LOG = (JOB, "table cron.job_run_details", "sequence cron.runid_seq", "right INSERT on cron.job_run_details")
GOLD_VIEWS = ("materialized view scout.gold_daily_metrics", "materialized view scout.gold_region_choropleth")


@fault(*LOADS, kind=(*poison_payloads.KINDS, "duplicate_in_batch"))
def poison_event(dsn: str, kind: str = "non_numeric_amount", age_seconds: int = 3600, count: int = 1) -> list[UUID]:
    """Events that the loader fails on for ever, older than good ones; kinds are poison.KINDS and duplicate_in_batch."""
    if kind == "duplicate_in_batch":
        return duplicate_in_batch(dsn, age_seconds)
    ids: list[UUID] = []
    with _connect(dsn) as connection:
        for number in range(count):
            payload = poison_payloads.payload(kind, *_fresh())
            arrived = _ago(age_seconds) + timedelta(milliseconds=number)
            ids.append(generator.insert(connection, payload, ingested_at=arrived))
            _assert_poison(connection, ids[-1:], poison_payloads.KINDS[kind].sqlstate)
    return ids


@fault(*LOADS)
def duplicate_in_batch(dsn: str, age_seconds: int = 3600) -> list[UUID]:
    """Two events of one transaction in one batch, each harmless alone."""
    seed, number = _fresh()
    arrived = _ago(age_seconds)
    with _connect(dsn) as connection:
        ids = [
            generator.insert(
                connection, generator.transaction(seed, number, payment_method=payment), ingested_at=arrived
            )
            for payment in ("cash", "card")
        ]
        _assert_poison(connection, ids, poison_payloads.DUPLICATE)
    return ids


@fault(*LOADS, *SILVER, variant=("row_lock", "idle_in_transaction", "nested"))
def stuck_etl(dsn: str, variant: str = "row_lock", age_seconds: int = 30 * 86400) -> Held:
    """A session stuck in the loader: row_lock (waits for another), idle_in_transaction (never commits), nested (as
    row_lock, inside a function whose call does not mention the loader)."""
    with holding(dsn, "stuck_etl") as held, _connect(dsn) as connection:
        long_ago = _ago(age_seconds)
        if variant == "idle_in_transaction":
            generator.insert(connection, generator.transaction(*_fresh()), ingested_at=long_ago)
            pid = held.hold("etl", "SELECT * FROM scout.load_silver_from_bronze(1)")
            wait_until(connection, IDLE, pid)
            wait_until(connection, HOLDS_RELATION, pid, "scout.etl_processed", "RowExclusiveLock")
            return held
        original = _row(connection, SOME_SALE, uuid4())
        blocker = held.hold("blocker", LOCK_SALE, parameters=[original["transaction_id"]])
        generator.insert(connection, original | {"payment_method": "maya", "note": str(uuid4())}, ingested_at=long_ago)
        pid = held.hang("etl", *(NESTED if variant == "nested" else (ETL,)))
        wait_until(connection, "SELECT WHERE %s = ANY (pg_blocking_pids(%s))", blocker, pid)
        return held


@fault()
def lock_holder(dsn: str, key: int = REFRESH_LOCK) -> Held:
    """A session that took Scout's refresh lock and sits idle in its transaction."""
    with holding(dsn, "lock_holder") as held, _connect(dsn) as connection:
        pid = held.hold("holder", f"SELECT pg_advisory_lock({key})")
        wait_until(connection, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = %s AND pid = %s", key, pid)
        wait_until(connection, IDLE, pid)
        return held


@fault("materialized view scout.{view}")
def blocked_refresh(dsn: str, view: str = "gold_daily_metrics") -> Held:
    """A reader who keeps a transaction open on a gold view, so that a plain REFRESH waits for ever."""
    with holding(dsn, "blocked_refresh") as held, _connect(dsn) as connection:
        held.hold("reader", f"SELECT count(*) FROM scout.{view}")
        connection.execute("SET lock_timeout = '100ms'")
        try:
            connection.execute(sql.SQL("REFRESH MATERIALIZED VIEW scout.{}").format(sql.Identifier(view)))
        except psycopg.errors.LockNotAvailable:
            return held
        raise AssertionError("the fault did not take: a plain refresh passed the reader")


@fault(*LOADS, *SILVER, "column scout.silver_transactions.total_amount")
def negative_totals(dsn: str, count: int = 3) -> list[str]:
    """Sales with a negative total, in bronze and loaded to silver."""
    return _bad_sales(dsn, count, "total_amount < 0", total_amount=-50, net_amount=-50)


@fault(*LOADS, *SILVER, "column scout.silver_transactions.item_count")
def empty_baskets(dsn: str, count: int = 3) -> list[str]:
    """Sales without a single line, in bronze and loaded to silver."""
    return _bad_sales(dsn, count, "item_count = 0", items=[])


@fault(*LOADS, *SILVER, "column scout.silver_transactions.total_amount", *LINES)
def line_mismatch(dsn: str, count: int = 3) -> list[str]:
    """Sales whose total is far from the sum of their lines, in bronze and loaded to silver."""
    differs = """abs(total_amount - (
        SELECT sum(quantity * unit_price) FROM scout.silver_line_items l WHERE l.transaction_id = t.transaction_id
    )) > greatest(total_amount * 0.01, 0.50)"""
    return _bad_sales(dsn, count, differs, total_amount=9999, net_amount=9999)


@fault(*LOADS, *SILVER, *LINES, "column scout.silver_transactions.total_amount")
def lost_window(dsn: str, sales: int = 60, count: int = 4) -> dict[str, datetime]:
    """Some of the latest sales that silver has lost, has without their lines, or has wrong; returns their window."""
    with _connect(dsn) as connection:
        window = _latest(connection, sales)
        done = damage(connection, window, *LOSSES, count=count, seed=_fresh()[0])
        there = "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = ANY (%s)"
        assert not _row(connection, there, list(done.missing)), "the fault did not take: a sale is still in silver"
    return {"window_start": window.start, "window_end": window.end}


@fault(*LOADS, "column scout.bronze_events.ingested_at")
def doubtful_window(dsn: str, sales: int = 60) -> dict[str, datetime]:
    """The latest sales are said to be wrong: nothing is changed, and their window returned."""
    with _connect(dsn) as connection:
        window = _latest(connection, sales)
    return {"window_start": window.start, "window_end": window.end}


@fault(*BRONZE, "column scout.etl_processed.event_id")
def backlog(
    dsn: str, count: int = 1000, age_seconds: int = 3600, seed: int | None = None, span_seconds: int | None = None
) -> int:
    """Good sales that arrived since then, or within so many seconds of then, and were never loaded; returns how many wait now."""
    seed = _fresh()[0] if seed is None else seed
    plain = itertools.islice(
        (n for n in itertools.count() if generator.is_transaction(n) and generator.corrects(n) is None), count
    )
    span = age_seconds if span_seconds is None else span_seconds
    begin, step = _ago(age_seconds), timedelta(seconds=span / max(count, 1))
    with _connect(dsn) as connection:
        before = _row(connection, PENDING)
        generator.copy(connection, (generator.event(seed, n, begin + step * i) for i, n in enumerate(plain)))
        waiting = int(_row(connection, PENDING))
    assert waiting == before + count, "the fault did not take: somebody loads the backlog"
    return waiting


@fault("column scout.silver_transactions.processed_at")
def nothing_loaded_lately(dsn: str, minutes: int = 6) -> None:
    """Sales of the last minutes count as loaded that much earlier, so that Scout's own job sees no reason to refresh gold."""
    age = timedelta(minutes=minutes)
    with _connect(dsn) as connection:
        moved = "UPDATE scout.silver_transactions SET processed_at = processed_at - %(age)s WHERE processed_at > now() - %(age)s"
        connection.execute(moved, {"age": age})
        lately = _row(
            connection,
            f"SELECT count(*) FROM scout.silver_transactions WHERE processed_at > now() - interval '{minutes} min'",
        )
    assert lately == 0, "the fault did not take: something is loaded meanwhile"


@fault(*GOLD_VIEWS, "column scout.gold_daily_metrics.updated_at", "superuser rights")
def gold_stale(dsn: str, minutes: int = 60) -> None:
    """Gold views that were last refreshed that long ago; the next refresh fixes them."""
    with _connect(dsn) as connection, connection.transaction():
        connection.execute("SET LOCAL allow_system_table_mods = on")
        for view, columns in (
            ("gold_daily_metrics", ("created_at", "updated_at")),
            ("gold_region_choropleth", ("created_at",)),
        ):
            # A materialized view cannot be written, so for this transaction it is an ordinary table.
            connection.execute(RELKIND, ["r", False, f"scout.{view}"])
            changes = sql.SQL(", ").join(
                sql.SQL("{0} = {0} - %(age)s").format(sql.Identifier(column)) for column in columns
            )
            connection.execute(
                sql.SQL("UPDATE scout.{} SET ").format(sql.Identifier(view)) + changes,
                {"age": timedelta(minutes=minutes)},
            )
            connection.execute(RELKIND, ["m", True, f"scout.{view}"])
            age = _row(connection, f"SELECT extract(epoch FROM now() - max(created_at)) / 60 FROM scout.{view}")
            assert age >= minutes, f"the fault did not take: {view} is {age} minutes old"


@fault("materialized view scout.{view}")
def gold_unpopulated(dsn: str, view: str = "gold_daily_metrics") -> None:
    """A gold view without data: reading it is an error, and it cannot be refreshed concurrently."""
    with _connect(dsn) as connection:
        refresh = sql.SQL("REFRESH MATERIALIZED VIEW scout.{} WITH NO DATA").format(sql.Identifier(view))
        connection.execute(refresh)
        wait_until(connection, "SELECT FROM pg_class WHERE oid = %s::regclass AND NOT relispopulated", f"scout.{view}")


@fault(*GOLD_VIEWS, "index scout.gold_region_choropleth_pk", "function scout.refresh_gold_platinum()")
def gold_broken(dsn: str) -> None:
    """The second gold view lost its unique index: Scout's refresh reports SUCCESS for the first and keeps nothing."""
    with _connect(dsn) as connection:
        connection.execute("DROP INDEX scout.gold_region_choropleth_pk")
        wait_until(connection, "SELECT FROM scout.refresh_gold_platinum() WHERE status LIKE 'ERROR: %%'")


@fault("job {jobname}", "right UPDATE on cron.job")
def job_disabled_on_purpose(dsn: str, jobname: str = "product-linking") -> None:
    """A job that somebody switched off and that no resume may switch on."""
    with _connect(dsn) as connection:
        connection.execute("UPDATE cron.job SET active = false WHERE jobname = %s", [jobname])
        wait_until(connection, "SELECT FROM cron.job WHERE jobname = %s AND NOT active", jobname)


@fault(*JOB_LOG)
def etl_job_failing(
    dsn: str, count: int = 5, message: str = 'ERROR: invalid input syntax for type numeric: "abc"'
) -> None:
    """The latest runs of the loader's job failed."""
    _history(dsn, count, "failed", message, 0.3)


@fault(*JOB_LOG)
def etl_job_slow(dsn: str, count: int = 5, seconds: float = 400) -> None:
    """The latest runs of the loader's job took that long."""
    _history(dsn, count, "succeeded", "SELECT 1", seconds)


@fault("role {role}", "{object}")
def missing_grant(dsn: str, role: str, object: str) -> None:  # noqa: A002 the word people type
    """The role lost its rights on the object: `SCHEMA cron`, `TABLE scout.alerts`, `FUNCTION cron.alter_job`."""
    kind, _, name = object.partition(" ")
    right, test = {
        "SCHEMA": ("USAGE", "has_schema_privilege(%s, %s, %s)"),
        "TABLE": ("SELECT", "has_table_privilege(%s, %s, %s)"),
        "FUNCTION": ("EXECUTE", "has_function_privilege(%s, %s::regproc::oid, %s)"),
    }[kind.upper()]
    with _connect(dsn) as connection:
        connection.execute(f'REVOKE ALL ON {kind} {name} FROM "{role}", PUBLIC')  # type: ignore[call-overload]
        assert not _row(connection, f"SELECT {test}", role, name, right), (
            f"the fault did not take: {role} keeps {right} on {object}"
        )


#: Kinds of damage that need no new event.
LOSSES = ("rows_missing", "rows_and_marks_missing", "totals_wrong", "lines_dropped", "all_lines_dropped")

#: How busy a pipeline was depends on the time of day, so a window is one of so many sales. What has just arrived is left out:
#: its lines are still to be linked to the catalogue.
LATEST = """
SELECT min(ingested_at), clock_timestamp() - interval '1 minute', count(*) FROM (
    SELECT b.ingested_at FROM scout.bronze_events AS b JOIN scout.etl_processed AS p ON p.event_id = b.event_id
    WHERE b.event_type = 'transaction.v1' AND b.ingested_at < clock_timestamp() - interval '1 minute'
    ORDER BY b.ingested_at DESC LIMIT %s) AS latest
"""

PENDING = """
SELECT count(*) FROM scout.bronze_events b
WHERE event_type = 'transaction.v1' AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)
"""

# Rows that another session has locked are left out: the loader skips them anyway, and waiting could last for ever.
HIDE_OTHERS = """
INSERT INTO scout.etl_processed (event_id)
SELECT event_id FROM scout.bronze_events b
WHERE event_type = 'transaction.v1' AND event_id <> ALL (%s)
  AND NOT EXISTS (SELECT FROM scout.etl_processed p WHERE p.event_id = b.event_id)
FOR UPDATE OF b SKIP LOCKED
RETURNING event_id
"""

#: One of a single event: what a correction has split would not add up any more once its first event came again.
SOME_SALE = """
SELECT b.event_data FROM scout.silver_transactions t JOIN scout.bronze_events b ON b.event_id = t.source_event_id
WHERE NOT EXISTS (
    SELECT FROM scout.bronze_events o
    WHERE o.event_data ->> 'transaction_id' = t.transaction_id AND o.event_id <> b.event_id
)
ORDER BY t.id >= %s DESC, t.id LIMIT 1
"""

LOCK_SALE = "SELECT FROM scout.silver_transactions WHERE transaction_id = %s FOR UPDATE"

IDLE = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'"

RELKIND = "UPDATE pg_class SET relkind = %s, relhasrules = %s WHERE oid = %s::regclass"

HOLDS_RELATION = "SELECT FROM pg_locks WHERE pid = %s AND relation = %s::regclass AND mode = %s AND granted"

NESTED = (
    "SELECT pg_temp.nightly_job()",
    """CREATE FUNCTION pg_temp.nightly_job() RETURNS void LANGUAGE plpgsql AS $$
    BEGIN PERFORM scout.load_silver_from_bronze(2000); END $$""",
)


def _connect(dsn: str) -> Connection:
    return psycopg.connect(dsn, autocommit=True, application_name="fault", options=LOCK_TIMEOUT)


def _row(connection: Connection, query: str, *parameters: object) -> Any:
    row = connection.execute(query, parameters).fetchone()  # type: ignore[call-overload]
    assert row
    return row[0]


def _latest(connection: Connection, sales: int) -> Window:
    """The window of the latest so many sales."""
    [(start, end, found)] = connection.execute(LATEST, [sales]).fetchall()
    assert found == sales, f"the fault did not take: only {found} sales are loaded"
    return Window(start, end)


def _ago(seconds: float) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=seconds)


def _fresh() -> tuple[int, int]:
    """A seed and number that nobody used, so that no hash and no transaction repeats."""
    return random.SystemRandom().randrange(10**6, 10**9), 0


def _only(connection: Connection, ids: list[UUID]) -> None:
    """Run the loader over these events alone, whatever else is pending; call it inside a transaction."""
    others = connection.execute(HIDE_OTHERS, [ids]).fetchall()
    connection.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
    connection.execute("DELETE FROM scout.etl_processed WHERE event_id = ANY (%s)", [[row[0] for row in others]])


def _assert_poison(connection: Connection, ids: list[UUID], sqlstate: str) -> None:
    found = None
    try:
        with connection.transaction(force_rollback=True):
            _only(connection, ids)
    except psycopg.Error as error:
        found = error.sqlstate
    assert found == sqlstate, f"the fault did not take: the loader ends with {found or 'success'}, not {sqlstate}"


def _bad_sales(dsn: str, count: int, condition: str, **fields: Any) -> list[str]:
    """Sales with these fields, loaded; each must then meet the condition in silver."""
    payloads = [generator.transaction(*_fresh(), **fields) for _ in range(count)]
    names = [payload["transaction_id"] for payload in payloads]
    with _connect(dsn) as connection, connection.transaction():
        _only(connection, [generator.insert(connection, payload) for payload in payloads])
        found = _row(
            connection,
            f"SELECT count(*) FROM scout.silver_transactions t WHERE transaction_id = ANY (%s) AND {condition}",
            names,
        )
        assert found == count, f"the fault did not take: {found} of {count} bad rows in silver"
    return names


def _history(dsn: str, count: int, status: str, message: str, seconds: float) -> None:
    with _connect(dsn) as connection:
        written = connection.execute(
            """
            INSERT INTO cron.job_run_details
                (jobid, runid, job_pid, database, username, command, status, return_message, start_time, end_time)
            SELECT jobid, nextval('cron.runid_seq'), 4242, database, username, command, %(status)s, %(message)s,
                now() - (%(count)s - n) * interval '1 second' - %(duration)s, now() - (%(count)s - n) * interval '1 second'
            FROM cron.job CROSS JOIN generate_series(1, %(count)s) AS n
            WHERE jobname = %(job)s
            """,
            {
                "status": status,
                "message": message,
                "count": count,
                "duration": timedelta(seconds=seconds),
                "job": ETL_JOB,
            },
        ).rowcount
        assert written == count, "the fault did not take: the job does not exist"
