# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery of a lost window beside a loop of the pipeline's own function, in tables of several sizes."""

from __future__ import annotations

import dataclasses
import statistics
import time
from collections.abc import Sequence
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from benchmarks.moves import fresh, modules

#: Events of the window, and how many at once the runbook's loop loads.
WINDOW = 100_000
LOOP = 1000
#: Events of bronze in all.
SIZES = (100_000, 1_000_000, 5_000_000)

#: Older events as copies of those of the window; each copy has its own ids, earlier times and days, and a mark of the ETL.
OLDER_EVENTS = """
WITH older AS (
    INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, ingested_at)
    SELECT event_type, event_ts - age, source_system,
           CASE WHEN event_data ? 'transaction_id'
                THEN event_data || jsonb_build_object('transaction_id', %(copy)s || (event_data ->> 'transaction_id'), 'ts',
                         (left(event_data ->> 'ts', 10)::date - %(copy)s::int * 4)::text || substr(event_data ->> 'ts', 11))
                ELSE event_data END, ingested_at - age
    FROM scout.bronze_events CROSS JOIN (SELECT %(copy)s::int * interval '4 days' AS age) AS a
    WHERE ingested_at >= %(start)s
    RETURNING event_id, event_type, ingested_at
)
INSERT INTO scout.etl_processed (event_id, processed_at)
SELECT event_id, ingested_at FROM older WHERE event_type = 'transaction.v1'
"""

#: Their silver; the columns that have no default or are read.
OLDER_SILVER = """
WITH sales AS (
    INSERT INTO scout.silver_transactions (transaction_id, store_id, ts, date_key, total_amount, net_amount, payment_method,
                                           item_count, unique_products, basket_size, processed_at, created_at, updated_at)
    SELECT %(copy)s || transaction_id, store_id, ts - age, date_key - %(copy)s::int * 4, total_amount, net_amount, payment_method,
           item_count, unique_products, basket_size, processed_at - age, created_at - age, updated_at - age
    FROM scout.silver_transactions CROSS JOIN (SELECT %(copy)s::int * interval '4 days' AS age) AS a
    WHERE source_event_id IS NOT NULL
    RETURNING transaction_id
)
INSERT INTO scout.silver_line_items (transaction_id, product_id, product_name, product_key, quantity, unit_price, line_amount,
                                     line_sequence, updated_at)
SELECT %(copy)s || l.transaction_id, l.product_id, l.product_name, l.product_key, l.quantity, l.unit_price, l.line_amount,
       l.line_sequence, l.updated_at - %(copy)s::int * interval '4 days'
FROM scout.silver_line_items AS l JOIN scout.silver_transactions AS t USING (transaction_id) WHERE t.source_event_id IS NOT NULL
"""

#: What would stop the loop: two events of one sale in a batch.
CORRECTIONS = """
DELETE FROM scout.bronze_events AS b WHERE EXISTS (
    SELECT FROM scout.bronze_events AS f
    WHERE f.event_data ->> 'transaction_id' = b.event_data ->> 'transaction_id'
      AND (f.ingested_at, f.event_id) < (b.ingested_at, b.event_id))
"""

#: The window is lost: its silver, and the marks that say it was loaded.
LOSE = """
WITH inside AS (
    SELECT event_id, event_data ->> 'transaction_id' AS sale FROM scout.bronze_events WHERE ingested_at >= %(start)s
), silver AS (
    DELETE FROM scout.silver_transactions WHERE transaction_id IN (SELECT sale FROM inside)
)
DELETE FROM scout.etl_processed WHERE event_id IN (SELECT event_id FROM inside)
"""

PENDING = """
SELECT count(*) FROM scout.bronze_events AS b
WHERE b.event_type = 'transaction.v1' AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""

INDEXES = """
CREATE INDEX ON scout.bronze_events (ingested_at);
CREATE INDEX ON scout.bronze_events ((event_data ->> 'transaction_id'));
ANALYZE scout.bronze_events
"""

HEADER = (
    "events in bronze",
    "loop of 1,000",
    "scout_window_recovery",
    "times faster, lowest to highest",
    "with indexes",
    "batches",
    "its plan had said",
)


@dataclasses.dataclass(frozen=True)
class Recovered:
    """One recovery: seconds in all and those it had expected, and its batches."""

    seconds: float
    expected_seconds: float = 0.0
    batches: int = 0


def compare(server: Server, rounds: int, sizes: Sequence[int]) -> str:
    """A line for each size; every contender works on a fresh copy, side by side in each round."""
    lines = ["| " + " | ".join(HEADER) + " |", "|" + "---|" * len(HEADER)]
    for size in sizes:
        start = lose(server, size)
        loops: list[Recovered] = []
        ours: list[Recovered] = []
        indexed: list[Recovered] = []
        for _ in range(rounds):
            loops.append(loop(fresh(server, "lost_window"), size))
            ours.append(recover(fresh(server, "lost_window"), start))
            copy = fresh(server, "lost_window")
            with psycopg.connect(copy, autocommit=True) as connection:
                connection.execute(INDEXES)
            indexed.append(recover(copy, start))
        lines.append(line(size, loops, ours, indexed))
        print(lines[-1], flush=True)
        for name in ("moved", "lost_window"):
            server.drop_database(name)
    return "\n".join(lines)


def line(size: int, loops: Sequence[Recovered], ours: Sequence[Recovered], indexed: Sequence[Recovered]) -> str:
    """Medians, and the ratios of the pairs."""
    ratios = sorted(theirs.seconds / mine.seconds for theirs, mine in zip(loops, ours, strict=True))
    cells = (
        f"{size:,}",
        f"{middle(loops):.0f} s",
        f"{middle(ours):.0f} s",
        f"{statistics.median(ratios):.1f} ({ratios[0]:.1f} to {ratios[-1]:.1f})",
        f"{middle(indexed):.0f} s",
        str(ours[0].batches),
        f"{ours[0].expected_seconds:.0f} s",
    )
    return "| " + " | ".join(cells) + " |"


def middle(measured: Sequence[Recovered]) -> float:
    """The median of the seconds."""
    return statistics.median(each.seconds for each in measured)


def build(server: Server, name: str, size: int) -> tuple[str, str]:
    """A pipeline of `size` events with nothing wrong; gives its connection string, and since when its newest part has been
    coming in, which the older ones are copies of."""
    server.drop_database(name)
    dsn = builder.build(server.create_database(name), events=min(size, WINDOW))
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT min(ingested_at)::text FROM scout.bronze_events").fetchone()
        assert row
        connection.execute(CORRECTIONS)
        for copy in range(1, size // WINDOW):
            values = {"copy": str(copy), "start": row[0]}
            connection.execute(OLDER_EVENTS, values)
            connection.execute(OLDER_SILVER, values)
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return dsn, row[0]


def lose(server: Server, size: int) -> str:
    """A database in which the window is lost; gives the window's start."""
    dsn, start = build(server, "lost_window", size)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(LOSE, {"start": start})
        connection.execute("VACUUM ANALYZE")
        connection.execute("CHECKPOINT")
    return start


def loop(dsn: str, size: int) -> Recovered:
    """What is left to whoever has only the pipeline's own function."""
    began = time.monotonic()
    statement = f"SELECT events_processed FROM scout.load_silver_from_bronze({LOOP})"
    with psycopg.connect(dsn, autocommit=True) as connection:
        while (row := connection.execute(statement).fetchone()) and row[0]:
            pass
        left = connection.execute(PENDING).fetchone()
    if left != (0,):
        raise RuntimeError(f"{size:,} events: the loop left {left}")
    return Recovered(time.monotonic() - began)


def recover(dsn: str, start: str) -> Recovered:
    """The module, in this process, from its first look to its account."""
    began = time.monotonic()
    result: dict[str, Any] = modules().call(
        "scout_window_recovery", dsn, window_start=start, time_zone="UTC", max_rows=10**9, incident="BENCH"
    )
    seconds = time.monotonic() - began
    if result.get("failed") or not result["reconciliation"]["balanced"]:
        raise RuntimeError(str(result.get("msg") or result["reconciliation"]))
    return Recovered(seconds, result["plan"]["estimated_seconds"], result["batches"]["batches"])
