# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of a drill or a test: every event ever written is in exactly one place, as it was written, and silver is what the
pipeline makes of bronze."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg

Connection = psycopg.Connection[Any]
Written = dict[UUID, str]

#: Settings under which a row is the same text whatever the database and its roles are set to.
EXACTLY = "-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c extra_float_digits=1 -c IntervalStyle=postgres"

#: Silver without generated ids and clocks.
SILVER = {
    "transactions": """
        SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM scout.silver_transactions AS t
        ORDER BY transaction_id
    """,
    "lines": """
        SELECT to_jsonb(l) - '{line_id,processed_at,updated_at}'::text[] FROM scout.silver_line_items AS l
        ORDER BY transaction_id, product_id, line_sequence
    """,
    "processed": "SELECT event_id FROM scout.etl_processed ORDER BY 1",
    "pending": """
        SELECT event_id FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
          AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) ORDER BY 1
    """,
}

IN_BRONZE = "SELECT b.event_id, b::text FROM scout.bronze_events AS b"
SINCE = "WHERE %(since)s::timestamptz IS NULL OR b.ingested_at >= %(since)s"

#: Entries that others made say `event` too, but mean something else. A payload may be a JSON null, which is not NULL. What is
#: generated is not kept with an event, it follows from it.
IN_THE_QUEUE = """
SELECT each.event, (SELECT ROW({values})::text FROM (SELECT (each.kept).*) AS b) FROM (
    SELECT (d.error_details -> 'event' ->> 'event_id')::uuid AS event, jsonb_populate_record(
        ROW({columns})::scout.bronze_events, d.error_details -> 'event') AS kept
    FROM (SELECT * FROM scout.bronze_events_dlq WHERE error_details ->> 'format' = 'scout-recovery/1'
            AND error_details ? 'event' AND resolved_at IS NULL) AS d) AS each
WHERE %(since)s::timestamptz IS NULL OR (each.kept).ingested_at >= %(since)s
"""

#: The payload among the other columns, in the order of the table; and all of them as they are once stored.
COLUMNS = """
SELECT string_agg(CASE a.attname WHEN 'event_data' THEN 'd.original_payload' ELSE 'NULL' END, ', ' ORDER BY a.attnum),
       string_agg(CASE a.attgenerated WHEN '' THEN quote_ident(a.attname) ELSE pg_get_expr(g.adbin, g.adrelid) END, ', '
                  ORDER BY a.attnum)
FROM pg_attribute AS a LEFT JOIN pg_attrdef AS g ON g.adrelid = a.attrelid AND g.adnum = a.attnum
WHERE a.attrelid = 'scout.bronze_events'::regclass AND a.attnum > 0 AND NOT a.attisdropped
"""

#: Cleaned away although their events were kept: silver is meant to differ from what bronze would make.
KEPT_EVENTS = """
SELECT original_payload ->> 'transaction_id' FROM scout.bronze_events_dlq
WHERE error_details ->> 'format' = 'scout-recovery/1' AND NOT error_details ? 'event' AND resolved_at IS NULL
"""

#: The later events of each transaction wait until the earlier ones are loaded.
TURNS = """
CREATE TEMPORARY TABLE turns ON COMMIT DROP AS
SELECT event_id, event_id = ANY (%(never)s) AS never,
       row_number() OVER (PARTITION BY CASE WHEN jsonb_typeof(event_data) = 'object' AND event_data ? 'transaction_id'
                                            THEN event_data ->> 'transaction_id' ELSE event_id::text END
                          ORDER BY event_id = ANY (%(never)s), ingested_at, event_id) AS turn
FROM scout.bronze_events AS b
WHERE event_type = 'transaction.v1' AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
HIDE_LATER = "INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM turns WHERE never OR turn > %(turn)s"
SHOW_LATER = (
    "DELETE FROM scout.etl_processed AS p USING turns AS t WHERE t.event_id = p.event_id AND (never OR turn > %(turn)s)"
)
LOAD = "SELECT FROM scout.load_silver_from_bronze(NULL)"

#: What another job writes, and only for lines that are not old.
LINKED = ("product_key", "detected_brand", "brand_match_confidence")


@dataclass(frozen=True)
class Whereabouts:
    """Events that are nowhere, in two places, of unknown origin, or no longer what was written."""

    lost: set[UUID] = field(default_factory=set)
    duplicated: set[UUID] = field(default_factory=set)
    unexpected: set[UUID] = field(default_factory=set)
    altered: set[UUID] = field(default_factory=set)


ZERO = Whereabouts()


def bronze(dsn: str, since: datetime | None = None) -> Written:
    """Every event in bronze, or those ingested since then, with its row as text."""
    with plain(dsn) as connection:
        return dict(connection.execute(f"{IN_BRONZE} {SINCE}".encode(), {"since": since}).fetchall())


def everything(dsn: str, since: datetime | None = None) -> list[tuple[UUID, str]]:
    """Every event in bronze and among the unresolved dead letters, as one snapshot shows them; or those ingested since then."""
    with plain(dsn) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        [[columns, values]] = connection.execute(COLUMNS)
        queue = IN_THE_QUEUE.format(columns=columns, values=values)
        found: list[tuple[UUID, str]] = []
        for query in (f"{IN_BRONZE} {SINCE}", queue):
            found += connection.execute(query.encode(), {"since": since}).fetchall()
    return found


def where(dsn: str, written: Mapping[UUID, str], since: datetime | None = None) -> Whereabouts:
    """Compares bronze and the unresolved dead letters with every event ever written, or with those ingested since then."""
    found = everything(dsn, since)
    places = Counter(event for event, _ in found)
    return Whereabouts(
        lost=set(written) - set(places),
        duplicated={event for event, number in places.items() if number > 1},
        unexpected=set(places) - set(written),
        altered={event for event, text in found if event in written and written[event] != text},
    )


def silver_is_what_bronze_makes(dsn: str, *, poison: Iterable[UUID] = ()) -> dict[str, list[Any]]:
    """What is in silver or the ETL's ledger on one side only: as it is, and as the ETL makes it from bronze event by event.

    Pending events are loaded first on both sides, without those of `poison`; all in a transaction that is rolled back. Events
    of different transactions are independent, so those of one turn are loaded together. Needs a pipeline at rest.
    """
    with plain(dsn) as connection, connection.transaction(force_rollback=True):
        cleaned: set[str] = {row[0] for row in connection.execute(KEPT_EVENTS)}
        is_there = _loaded(connection, poison, cleaned)
        connection.execute(
            "DELETE FROM scout.silver_line_items; DELETE FROM scout.silver_transactions; DELETE FROM scout.etl_processed"
        )
        is_meant = _loaded(connection, poison, cleaned)
    return {
        name: difference
        for name, rows_ in is_there.items()
        if (difference := _one_sided(rows_, is_meant[name]))
    }  # fmt: skip


def _loaded(connection: Connection, never: Iterable[UUID], cleaned: set[str]) -> dict[str, Counter[str]]:
    connection.execute(TURNS, {"never": list(never)})
    [(turns,)] = connection.execute("SELECT coalesce(max(turn), 0) FROM turns").fetchall()
    for turn in range(1, turns + 1):
        connection.execute(HIDE_LATER, {"turn": turn})
        connection.execute(LOAD)
        connection.execute(SHOW_LATER, {"turn": turn})
    connection.execute("DROP TABLE turns")
    found: dict[str, Counter[str]] = {}
    for name in ("transactions", "lines", "processed"):
        values: list[Any] = [row[0] for row in connection.execute(SILVER[name].encode())]
        if name != "processed":
            values = [_comparable(row) for row in values if row["transaction_id"] not in cleaned]
        found[name] = Counter(map(str, values))
    return found


def _comparable(row: dict[str, Any]) -> list[tuple[str, Any]]:
    return sorted((name, value) for name, value in row.items() if name not in LINKED)


def _one_sided(there: Counter[str], meant: Counter[str]) -> list[Any]:
    """At most a few of what is only there (+) and of what is missing (-)."""
    return [f"+ {row}" for row in list(there - meant)[:5]] + [f"- {row}" for row in list(meant - there)[:5]]


@contextmanager
def plain(dsn: str) -> Generator[Connection]:
    """A session that prints values the same way whatever the database is set to."""
    with psycopg.connect(dsn, autocommit=True, options=EXACTLY) as connection:
        yield connection
