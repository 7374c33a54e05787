# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What does damage to silver and its events: untouched sales to take, new ones to make, and a record of what was done."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from ..events import generator

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Window:
    """Half-open, on one of bronze's two clocks."""

    start: datetime
    end: datetime
    clock: str = "ingested_at"

    @property
    def options(self) -> dict[str, str]:
        """As the module takes it."""
        return {"window_start": self.start.isoformat(), "window_end": self.end.isoformat(), "clock": self.clock}

    @property
    def middle(self) -> datetime:
        """Half way."""
        return self.start + (self.end - self.start) / 2


@dataclass
class Damage:
    """What was done; a transaction or an event is named in one place only."""

    #: Transactions whose row is not in silver though they have events in the window that say so.
    missing: set[str] = field(default_factory=set)
    #: Those whose row or lines say something else than their events.
    wrong: set[str] = field(default_factory=set)
    #: Rows of silver that no event speaks of.
    extra: set[str] = field(default_factory=set)
    #: Good events of the window without a mark of the ETL.
    pending: set[UUID] = field(default_factory=set)
    #: Events of the window that cannot be loaded, with the SQLSTATE.
    poison: dict[UUID, str] = field(default_factory=dict)
    #: Events of the window that leave no trace in silver, and those of another type.
    swallowed: set[UUID] = field(default_factory=set)
    other: set[UUID] = field(default_factory=set)
    #: Events outside the window that are pending and have to stay so; some are poison.
    outside: set[UUID] = field(default_factory=set)


@dataclass
class Hand:
    """What does the damage."""

    connection: Connection
    window: Window
    count: int
    seed: int
    done: Damage = field(default_factory=Damage)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _pool: list[tuple[str, UUID]] | None = None

    def take(self) -> dict[str, UUID]:
        """Untouched loaded sales of the window that one event speaks of, each with that event."""
        if self._pool is None:
            found = self.connection.execute(POOL.format(clock=self.window.clock), vars(self.window))  # type: ignore[call-overload]
            self._pool = found.fetchall()
        taken, self._pool = self._pool[: self.count], self._pool[self.count :]
        assert len(taken) == self.count, f"the window has too few sales for {self.count} more of them to be damaged"
        return dict(taken)

    def execute(self, statement: str, names: Iterable[str], **values: Any) -> None:
        """Runs a statement about these transactions, which must change something."""
        done = self.connection.execute(statement, {"names": list(names), **values})  # type: ignore[call-overload]
        assert done.rowcount > 0, f"the damage did not take: {statement}"

    def sale(self, at: datetime | None = None, **fields: Any) -> dict[str, Any]:
        """The payload of a sale nobody made before."""
        number = next(self._numbers)
        return generator.transaction(
            self.seed, number, sold_at=(at or self.window.middle) + timedelta(seconds=number), **fields
        )

    def arrive(self, payload: object, at: datetime | None = None, **options: Any) -> UUID:
        """An event at that moment, or somewhere in the window."""
        span = self.window.end - self.window.start
        at = at or self.window.start + span * ((0.37 + 0.618 * next(self._numbers)) % 0.9 + 0.05)
        return generator.insert(self.connection, payload, ingested_at=at, **options)

    def load(self, *ids: UUID) -> None:
        """Has the ETL take these events one by one, whatever else is pending."""
        for event in ids:
            hidden = self.connection.execute(HIDE, [event]).fetchall()
            self.connection.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
            self.connection.execute(SHOW, [[row[0] for row in hidden]])
            assert self.connection.execute(MARKED, [event]).fetchall(), (
                "the damage did not take: an event was not loaded"
            )

    def mark(self, event: UUID) -> None:
        """Says in the ETL's ledger that it has been loaded."""
        self.connection.execute("INSERT INTO scout.etl_processed (event_id) VALUES (%s)", [event])

    def corrected(self, first_at: datetime, then_at: datetime, **fields: Any) -> tuple[str, UUID, UUID]:
        """A sale and its correction, both loaded in that order."""
        sale = self.sale()
        correction = sale | {"net_amount": 1.25, "items": sale["items"][:1], "payment_method": "corrected"} | fields
        first, then = self.arrive(sale, first_at), self.arrive(correction, then_at)
        self.load(first, then)
        return sale["transaction_id"], first, then

    @property
    def before(self) -> datetime:
        """A moment before the window, another one each time."""
        return self.window.start - timedelta(minutes=1, seconds=next(self._numbers))

    @property
    def inside(self) -> datetime:
        """One in the window."""
        return self.window.middle + timedelta(milliseconds=next(self._numbers))

    @property
    def after(self) -> datetime:
        """One after the window."""
        return self.window.end + timedelta(seconds=1 + next(self._numbers) / 1000)


POOL = """
WITH named AS (
    SELECT event_data ->> 'transaction_id' AS name, count(*) AS events FROM scout.bronze_events
    WHERE event_type = 'transaction.v1' GROUP BY 1
)
SELECT t.transaction_id, b.event_id FROM scout.bronze_events AS b
JOIN scout.etl_processed AS p ON p.event_id = b.event_id
JOIN scout.silver_transactions AS t ON t.source_event_id = b.event_id AND t.transaction_id = b.event_data ->> 'transaction_id'
JOIN named ON named.name = t.transaction_id AND named.events = 1
WHERE b.{clock} >= %(start)s AND b.{clock} < %(end)s
ORDER BY md5(b.event_id::text)
"""

HIDE = """
INSERT INTO scout.etl_processed (event_id)
SELECT event_id FROM scout.bronze_events AS b
WHERE event_type = 'transaction.v1' AND event_id <> %s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
RETURNING event_id
"""

SHOW = "DELETE FROM scout.etl_processed WHERE event_id = ANY (%s)"

MARKED = "SELECT FROM scout.etl_processed WHERE event_id = %s"
