# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline at work (writers, slow transactions, corrections, the ETL every second), and the oracle for what was moved in it:
every event ever written is in exactly one place, as it was written, and silver is what the pipeline makes of bronze."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from tests.integration.modules import DIGEST, TABLES, Connection, Result, call, connect, rows
from tests.integration.oracle import SILVER
from tests.scout import generator

WRITE = """
INSERT INTO scout.bronze_events AS b (event_type, source_system, event_data, event_hash)
SELECT %(type)s, %(source)s, d, scout.canonical_event_hash(d) FROM (SELECT %(payload)s AS d) AS given
RETURNING b.event_id, b::text
"""

#: A second pending event of a transaction would stop the pipeline's own ETL, so a careful corrector waits.
CORRECT = """
INSERT INTO scout.bronze_events AS b (event_type, source_system, event_data, event_hash)
SELECT 'transaction.v1', 'backoffice', d, scout.canonical_event_hash(d) FROM (SELECT %(payload)s AS d) AS given
WHERE NOT EXISTS (
    SELECT FROM scout.bronze_events AS o
    WHERE o.event_data ->> 'transaction_id' = d ->> 'transaction_id' AND o.event_type = 'transaction.v1'
      AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = o.event_id))
RETURNING b.event_id, b::text
"""

IN_BRONZE = "SELECT b.event_id, b::text FROM scout.bronze_events AS b"

#: Entries that others made say `event` too, but mean something else. A payload may be a JSON null, which is not NULL.
IN_THE_QUEUE = """
SELECT (d.error_details -> 'event' ->> 'event_id')::uuid, b::text
FROM (SELECT * FROM scout.bronze_events_dlq WHERE error_details ->> 'format' = 'scout-recovery/1' AND error_details ? 'event'
        AND resolved_at IS NULL) AS d
CROSS JOIN LATERAL jsonb_populate_record(
    ROW({columns})::scout.bronze_events, d.error_details -> 'event') AS b
"""

#: The payload among the other columns, in the order of the table.
COLUMNS = """
SELECT string_agg(CASE attname WHEN 'event_data' THEN 'd.original_payload' ELSE 'NULL' END, ', ' ORDER BY attnum)
FROM pg_attribute WHERE attrelid = 'scout.bronze_events'::regclass AND attnum > 0 AND NOT attisdropped
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
LOAD_SOME = "SELECT events_processed FROM scout.load_silver_from_bronze(2000)"

#: What another job writes, and only for lines that are not old.
LINKED = ("product_key", "detected_brand", "brand_match_confidence")

#: What cron swallows every day: loaders that collide, and two pending events of one transaction.
ETL_ERRORS = (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation)

Written = dict[UUID, str]


@dataclass
class Storm:
    """Live writers and the ETL, from the start of the block to its end; everything committed is in `written`."""

    dsn: str
    rate: float = 60.0
    slow_writers: int = 2
    slow_seconds: float = 2.5
    corrections_per_second: float = 10.0
    blind_corrections: bool = False
    etl_every_seconds: float = 1.0
    seed: int = 7_000_001
    written: Written = field(default_factory=dict)
    collisions: Counter[str] = field(default_factory=Counter)
    loaded: int = 0
    corrections: int = 0
    trouble: list[BaseException] = field(default_factory=list)
    _sales: list[dict[str, Any]] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 10**9)))
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ticking: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _began: float = 0.0

    def __enter__(self) -> Self:
        self.written.update(bronze(self.dsn))
        self._began = time.monotonic()
        work = [self._write, *[self._write_slowly] * self.slow_writers, self._correct, self._tick]
        self._threads = [threading.Thread(target=self._guarded, args=[each], daemon=True) for each in work]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        assert not any(thread.is_alive() for thread in self._threads), "a writer or the ETL hangs"
        if kind is None and self.trouble:
            raise self.trouble[0]

    def seconds(self) -> float:
        """How long it has been going on; raises what a writer or the ETL met, since nothing we do may hurt them."""
        if self.trouble:
            raise self.trouble[0]
        return time.monotonic() - self._began

    def drain(self) -> None:
        """Ours, while the pipeline's own ETL rests, as in every playbook: side by side, each passes over the events that the
        other has locked, and a later correction can be loaded before an earlier one."""
        with self._ticking:
            ran("scout_etl", self.dsn)

    def _guarded(self, work: Callable[[Connection, random.Random], None]) -> None:
        try:
            user = {"user": "loader"} if work == self._tick else {}
            with connect(self.dsn, application_name="storm", **user) as connection:
                work(connection, random.Random(self._next()))
        except BaseException as error:  # noqa: BLE001 handed to the test
            self.trouble.append(error)

    def _write(self, connection: Connection, dice: random.Random) -> None:
        while not self._stop.wait(dice.expovariate(self.rate)):
            self._keep([self._insert(connection, dice)])

    def _write_slowly(self, connection: Connection, dice: random.Random) -> None:
        """Their ingested_at is the start of the transaction, so they appear in a window that others believe closed."""
        while not self._stop.wait(dice.uniform(0, 0.5)):
            with connection.transaction():
                stored = [self._insert(connection, dice) for _ in range(dice.randint(1, 3))]
                self._stop.wait(dice.uniform(0.1, self.slow_seconds))
            self._keep(stored)

    def _correct(self, connection: Connection, dice: random.Random) -> None:
        while not self._stop.wait(dice.expovariate(self.corrections_per_second)):
            with self._lock:
                sale = dict(dice.choice(self._sales[-400:])) if self._sales else None
            if sale is None:
                continue
            net = dice.randrange(10**6) / 100
            sale |= {"net_amount": net, "payment_method": "card", "correction": self._next()}
            if dice.random() < 0.5:
                sale["items"] = sale["items"][1:]
            if self.blind_corrections:
                found = self._stored(connection, "transaction.v1", "backoffice", sale)
            else:
                found = connection.execute(CORRECT, {"payload": Jsonb(sale)}).fetchone()
            if found is not None:
                self._keep([(*found, None)])
                self.corrections += 1

    def _tick(self, connection: Connection, _: random.Random) -> None:
        while not self._stop.wait(self.etl_every_seconds):
            try:
                with self._ticking:
                    self.loaded += (connection.execute(LOAD_SOME).fetchone() or (0,))[0]
            except ETL_ERRORS as error:
                self.collisions[str(error.sqlstate)] += 1

    def _insert(self, connection: Connection, dice: random.Random) -> tuple[UUID, str, dict[str, Any] | None]:
        number = self._next()
        if dice.random() < 0.05:
            kind, payload = dice.choice(generator.OTHER_TYPES), {"store_id": "S-001", "number": number}
            return *self._stored(connection, kind, "edge", payload), None
        sale = generator.transaction(self.seed, number)
        return *self._stored(connection, "transaction.v1", dice.choice(generator.SOURCES), sale), sale

    def _stored(self, connection: Connection, kind: str, source: str, payload: dict[str, Any]) -> tuple[UUID, str]:
        found = connection.execute(WRITE, {"type": kind, "source": source, "payload": Jsonb(payload)}).fetchone()
        assert found
        return found[0], found[1]

    def _keep(self, stored: Iterable[tuple[UUID, str, dict[str, Any] | None]]) -> None:
        """Called when they are committed."""
        with self._lock:
            for event, text, sale in stored:
                self.written[event] = text
                if sale is not None:
                    self._sales.append(sale)

    def _next(self) -> int:
        with self._lock:
            return next(self._numbers)


@dataclass(frozen=True)
class Whereabouts:
    """Events that are nowhere, in two places, of unknown origin, or no longer what was written."""

    lost: set[UUID] = field(default_factory=set)
    duplicated: set[UUID] = field(default_factory=set)
    unexpected: set[UUID] = field(default_factory=set)
    altered: set[UUID] = field(default_factory=set)


ZERO = Whereabouts()


def bronze(dsn: str) -> Written:
    """Every event in bronze with its row as text."""
    with _plain(dsn) as connection:
        return dict(connection.execute(IN_BRONZE).fetchall())


def where(dsn: str, written: Mapping[UUID, str]) -> Whereabouts:
    """Compares bronze and the unresolved dead letters, as one snapshot shows them, with every event ever written."""
    with _plain(dsn) as connection, connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        [[columns]] = connection.execute(COLUMNS)
        queue = IN_THE_QUEUE.format(columns=columns)
        found = connection.execute(IN_BRONZE).fetchall() + connection.execute(queue).fetchall()  # type: ignore[call-overload]
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
    with _plain(dsn) as connection, connection.transaction(force_rollback=True):
        cleaned = {row[0] for row in connection.execute(KEPT_EVENTS)}  # type: ignore[call-overload]
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


def ran(name: str, dsn: str, **options: Any) -> Result:
    """The result of a module that must not fail."""
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def refused(name: str, dsn: str, **options: Any) -> Result:
    """The result of a module that must fail and leave every table of the pipeline as it was."""
    before = scout_tables(dsn)
    result = call(name, dsn, **options)
    assert result.get("failed"), result
    assert scout_tables(dsn) == before
    return result


def ago(seconds: float) -> datetime:
    """That long before now; after now when negative."""
    return datetime.now(UTC) - timedelta(seconds=seconds)


def stamp(moment: datetime) -> str:
    """As an option says it."""
    return moment.isoformat()


def scout_tables(dsn: str) -> dict[str, Any]:
    """The pipeline's own tables with their number of rows and digest: without our ledger."""
    with _plain(dsn) as connection:
        names = [row[0] for row in connection.execute(TABLES) if row[0].startswith("scout.")]
        return {name: connection.execute(DIGEST.format(name)).fetchone() for name in names}  # type: ignore[call-overload]


def dead_letters(dsn: str) -> list[tuple[Any, ...]]:
    """The dead letter queue without what differs from run to run, in an order that does not."""
    return rows(
        dsn,
        """
        SELECT original_payload, error_code, error_details - '{run_id,at}'::text[], source_system, resolved_at IS NULL
        FROM scout.bronze_events_dlq
        ORDER BY error_details -> 'event' ->> 'event_id', original_payload::text, error_code
        """,
    )


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
        values = [row[0] for row in connection.execute(SILVER[name])]  # type: ignore[call-overload]
        if name != "processed":
            values = [row for row in values if row["transaction_id"] not in cleaned]
        found[name] = Counter(
            str(sorted((k, v) for k, v in row.items() if k not in LINKED)) if isinstance(row, dict) else str(row)
            for row in values
        )
    return found


def _one_sided(there: Counter[str], meant: Counter[str]) -> list[Any]:
    """At most a few of what is only there (+) and of what is missing (-)."""
    return [f"+ {row}" for row in list(there - meant)[:5]] + [f"- {row}" for row in list(meant - there)[:5]]


@contextmanager
def _plain(dsn: str) -> Iterator[Connection]:
    """A session that prints values the same way whatever the database is set to."""
    exactly = "-c TimeZone=UTC -c DateStyle=ISO -c bytea_output=hex -c extra_float_digits=1 -c IntervalStyle=postgres"
    with connect(dsn, options=exactly) as connection:
        yield connection
