# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of many events beside the runbook's two statements, each on a fresh copy while a writer inserts."""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.timing import Case, compare
from tests.integration.modules import call

EVENTS = 200_000
#: Inserts a second while events move.
RATE = 200
NUMBERS = itertools.count()

#: How the runbook quarantines events: it keeps the payload alone, and loses what arrives between the statements.
RUNBOOK = (
    """
    INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, source_system)
    SELECT event_data, 'QUARANTINE', 'Emergency quarantine during incident response', source_system
    FROM scout.bronze_events WHERE ingested_at >= %s
    """,
    "DELETE FROM scout.bronze_events WHERE ingested_at >= %s",
)
WRITE = """
INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash)
SELECT 'transaction.v1', 'edge', d, scout.canonical_event_hash(d) FROM (SELECT %s::jsonb AS d) AS given
"""
MIDDLE = "SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ingested_at)::text FROM scout.bronze_events"
LAST = "SELECT run_id::text FROM scout_ops.runs WHERE action = 'quarantine' ORDER BY started_at DESC LIMIT 1"


def measure(server: Server, _folder: Path, rounds: int, events: int = EVENTS) -> str:
    """Move the newer half of the events, all loaded, and undo it."""
    source = builder.build(server.create_database("source"), events=events)
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
        start = value(source, MIDDLE)

    def by_hand(dsn: str) -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            for statement in RUNBOOK:
                connection.execute(statement, [start])  # type: ignore[call-overload]

    def quarantine(dsn: str, **options: Any) -> None:
        moved("scout_quarantine", dsn, window_start=start, time_zone="UTC", max_rows=10**9, **options)

    def timed(work: Callable[[str], None], *, copied: bool = True) -> float:
        dsn = fresh(server, source) if copied else server.dsn("moved")
        with writing(dsn):
            began = time.monotonic()
            work(dsn)
            return time.monotonic() - began

    return compare(
        [
            Case("the runbook's two statements", lambda: timed(by_hand)),
            Case("scout_quarantine, proved by count", lambda: timed(lambda dsn: quarantine(dsn, compare_by="count"))),
            Case("scout_quarantine, proved by count and digest", lambda: timed(quarantine)),
            Case(
                "scout_undo of the last",
                lambda: timed(lambda dsn: moved("scout_undo", dsn, run_id=value(dsn, LAST)), copied=False),
            ),
        ],
        rounds,
    )


def moved(module: str, dsn: str, **options: Any) -> None:
    """Run a module in this process; raises RuntimeError if it fails."""
    result = call(module, dsn, **options)
    if result.get("failed"):
        raise RuntimeError(str(result))


def value(dsn: str, query: str) -> str:
    """Return the first value of a query."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[call-overload]
    assert row
    return str(row[0])


def fresh(server: Server, source: str, name: str = "moved") -> str:
    """Return a copy that was not written through the WAL, right after a checkpoint."""
    server.drop_database(name)
    parts = map(sql.Identifier, (name, str(conninfo_to_dict(source)["dbname"])))
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY file_copy").format(*parts))
        connection.execute("CHECKPOINT")
    return server.dsn(name)


@contextlib.contextmanager
def writing(dsn: str) -> Generator[None]:
    """Insert sales at a steady rate within the block."""
    over = threading.Event()

    def write() -> None:
        with psycopg.connect(dsn, autocommit=True) as connection:
            while not over.wait(1 / RATE):
                connection.execute(WRITE, [generator.sale(900_000, next(NUMBERS), datetime.now(UTC))])

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
