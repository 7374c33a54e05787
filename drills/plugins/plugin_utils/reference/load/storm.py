# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline at work: writers, slow transactions, corrections, and the ETL every second; it knows every event it wrote."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.types.json import Jsonb

from ..events import generator
from ..oracle import Written, bronze

Connection = psycopg.Connection[Any]

WRITE = """
INSERT INTO scout.bronze_events AS b (event_type, source_system, event_data, event_hash)
SELECT %(type)s, %(source)s, d, {hash} FROM (SELECT %(payload)s AS d) AS given
RETURNING b.event_id, b::text
"""

#: A second pending event of a transaction would stop the pipeline's own ETL, so a careful corrector waits.
CORRECT = """
INSERT INTO scout.bronze_events AS b (event_type, source_system, event_data, event_hash)
SELECT 'transaction.v1', 'backoffice', d, {hash} FROM (SELECT %(payload)s AS d) AS given
WHERE NOT EXISTS (
    SELECT FROM scout.bronze_events AS o
    WHERE o.event_data ->> 'transaction_id' = d ->> 'transaction_id' AND o.event_type = 'transaction.v1'
      AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = o.event_id))
RETURNING b.event_id, b::text
"""

LOAD_SOME = "SELECT events_processed FROM scout.load_silver_from_bronze(2000)"

#: What cron swallows every day: loaders that collide, and two pending events of one transaction.
ETL_ERRORS = (psycopg.errors.UniqueViolation, psycopg.errors.CardinalityViolation)


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

    @contextmanager
    def paused(self) -> Generator[None]:
        """The pipeline's own ETL rests meanwhile. Side by side, two loaders pass over the events that the other one has locked,
        and a later correction can be loaded before an earlier one."""
        with self._ticking:
            yield

    def _guarded(self, work: Callable[[Connection, random.Random], None]) -> None:
        try:
            dsn = make_conninfo(self.dsn, user="loader") if work == self._tick else self.dsn
            with psycopg.connect(dsn, autocommit=True, application_name="storm") as connection:
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
                found = connection.execute(
                    generator.with_hash(connection, CORRECT), {"payload": Jsonb(sale)}
                ).fetchone()
            if found is not None:
                self._keep([(found[0], found[1], None)])
                self.corrections += 1

    def _tick(self, connection: Connection, dice: random.Random) -> None:  # noqa: ARG002
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
        write = generator.with_hash(connection, WRITE)
        found = connection.execute(write, {"type": kind, "source": source, "payload": Jsonb(payload)}).fetchone()
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
