# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything that can be wrong with silver in a window of bronze, and around it: each kind of damage by its name, `count` times.

What is done follows from the database and the seed. No transaction gets two kinds of damage, so that what each of them should
become is known: silver of the window as its events say, everything else as it was.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg

from ..events import generator
from ..events import poison_payloads as poison

Connection = psycopg.Connection[Any]

KINDS: dict[str, Callable[[Hand], None]] = {}


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


def kind(function: Callable[[Hand], None]) -> Callable[[Hand], None]:
    """Registers a kind of damage under its own name."""
    KINDS[function.__name__] = function
    return function


def damage(connection: Connection, window: Window, *kinds: str, count: int = 2, seed: int = 880_001) -> Damage:
    """Does these kinds of damage (all, if none is named) in one transaction."""
    with connection.transaction():
        connection.execute("SET LOCAL TimeZone = 'UTC'")
        hand = Hand(connection, window, count, seed)
        for name in kinds or KINDS:
            KINDS[name](hand)
    return hand.done


# --- rows and marks


@kind
def rows_missing(hand: Hand) -> None:
    """Deleted from silver; the ETL's ledger says they are loaded."""
    taken = hand.take()
    hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", taken)
    hand.done.missing |= taken.keys()


@kind
def rows_and_marks_missing(hand: Hand) -> None:
    """Never loaded, by the looks of it."""
    taken = hand.take()
    hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", taken)
    hand.execute(UNMARK, taken, ids=list(taken.values()))
    hand.done.pending |= set(taken.values())


@kind
def marks_missing(hand: Hand) -> None:
    """Silver is right, and the ETL does not know."""
    taken = hand.take()
    hand.execute(UNMARK, taken, ids=list(taken.values()))
    hand.done.pending |= set(taken.values())


@kind
def totals_wrong(hand: Hand) -> None:
    """Negative, which no correction ever fixes."""
    taken = hand.take()
    hand.execute(
        "UPDATE scout.silver_transactions SET total_amount = -total_amount - 1 WHERE transaction_id = ANY (%(names)s)",
        taken,
    )
    hand.done.wrong |= taken.keys()


#: Every field that the ETL derives, with another value; `coalesce` because some are NULL.
FIELDS = {
    "store_id": "store_id || 'x'",
    "ts": "ts + interval '1 second'",
    "date_key": "date_key + 1",
    "time_of_day": "CASE time_of_day WHEN 'night' THEN 'morning' ELSE 'night' END::scout.time_of_day",
    "customer_id": "coalesce(customer_id, '') || 'x'",
    "customer_type": "NULL",
    "discount_amount": "discount_amount + 0.01",
    "tax_amount": "tax_amount + 0.01",
    "net_amount": "net_amount + 0.01",
    "payment_method": "payment_method || 'x'",
    "item_count": "item_count + 1",
    "unique_products": "unique_products + 1",
    "basket_size": "basket_size + 1",
    "units_per_transaction": "units_per_transaction + 1",
    "peso_value": "peso_value + 0.01",
    "product_category": "'x'",
    "handshake_triggered": "NOT handshake_triggered",
    "handshake_score": "0.5",
    "campaign_id": "coalesce(campaign_id, '') || 'x'",
    "campaign_influenced": "NOT campaign_influenced",
    "region": "region || 'x'",
    "province": "province || 'x'",
    "city": "city || 'x'",
    "quality_score": "0.5",
    "source_event_id": "gen_random_uuid()",
}


@kind
def fields_wrong(hand: Hand) -> None:
    """One field of each, all fields in turn."""
    for column, value in FIELDS.items():
        taken = dict(itertools.islice(hand.take().items(), 1))
        hand.execute(
            f"UPDATE scout.silver_transactions SET {column} = {value} WHERE transaction_id = ANY (%(names)s)", taken
        )
        hand.done.wrong |= taken.keys()


# --- lines


@kind
def lines_dropped(hand: Hand) -> None:
    """The first line of each."""
    _on_lines(hand, f"DELETE FROM scout.silver_line_items AS l USING ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id")


@kind
def all_lines_dropped(hand: Hand) -> None:
    _on_lines(hand, "DELETE FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)")


@kind
def lines_wrong(hand: Hand) -> None:
    """One more unit; another price; another name."""
    for change in (
        "quantity = quantity + 1",
        "unit_price = unit_price + 1",
        "line_amount = 0",
        "product_name = 'x'",
        "category = NULL",
    ):
        _on_lines(
            hand,
            f"UPDATE scout.silver_line_items AS l SET {change} FROM ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id",
        )


@kind
def lines_of_another_product(hand: Hand) -> None:
    """A line that is missing and a line too many at once."""
    change = "product_id = product_id || 'x'"
    _on_lines(
        hand, f"UPDATE scout.silver_line_items AS l SET {change} FROM ({FIRST_LINES}) AS f WHERE f.line_id = l.line_id"
    )


@kind
def lines_extra(hand: Hand) -> None:
    """As the ETL leaves behind when a correction has fewer lines than its sale."""
    _on_lines(
        hand,
        """INSERT INTO scout.silver_line_items (transaction_id, product_id, product_name, quantity, unit_price, line_amount, line_sequence)
           SELECT name, 'EXTRA', 'Unknown Product', 1, 1, 1, 99 FROM unnest(%(names)s::text[]) AS name""",
    )


def _on_lines(hand: Hand, statement: str) -> None:
    taken = hand.take()
    hand.execute(statement, taken)
    hand.done.wrong |= taken.keys()


# --- rows that nobody spoke of


@kind
def rows_extra(hand: Hand) -> None:
    """Made of an event of the window that speaks of another transaction, as after a change of a payload."""
    taken = hand.take()
    for name, event in taken.items():
        hand.execute(CLONE, [name], source=event, extra=f"{name}-extra")
        hand.done.extra.add(f"{name}-extra")


# --- events that cannot be loaded


@kind
def poison_pending(hand: Hand) -> None:
    """Each of its kinds, one of them in front of everything else."""
    for number, name in enumerate(poison.KINDS):
        payload = poison.KINDS[name].spoil(hand.sale())
        event = hand.arrive(payload, hand.window.start if number == 0 else None)
        hand.done.poison[event] = poison.KINDS[name].sqlstate


@kind
def poison_marked(hand: Hand) -> None:
    """The ledger says they are loaded, and nothing is in silver: swallowed by hand, one night."""
    for name in poison.KINDS:
        event = hand.arrive(poison.KINDS[name].spoil(hand.sale()))
        hand.mark(event)
        hand.done.poison[event] = poison.KINDS[name].sqlstate


@kind
def poison_corrections(hand: Hand) -> None:
    """A good sale, loaded and then damaged; its correction cannot be loaded."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        then = hand.arrive(sale | {"total_amount": "twelve"}, hand.inside)
        hand.execute(
            "UPDATE scout.silver_transactions SET total_amount = 0 WHERE transaction_id = ANY (%(names)s)",
            [sale["transaction_id"]],
        )
        hand.done.wrong.add(sale["transaction_id"])
        hand.done.poison[then] = "22P02"


# --- several events of one transaction


@kind
def corrections_inside(hand: Hand) -> None:
    """Both in the window and loaded; the row then lost what the sale had said, or what its correction had."""
    for change in ("total_amount = 0", "net_amount = 0", "payment_method = 'corrected'", "source_event_id = NULL"):
        name, _, _ = hand.corrected(hand.inside, hand.inside)
        hand.execute(f"UPDATE scout.silver_transactions SET {change} WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.wrong.add(name)


@kind
def corrections_beyond_the_end(hand: Hand) -> None:
    """The sale is in the window, its correction was loaded after it; nothing is left of either."""
    for _ in range(hand.count):
        name, _, _ = hand.corrected(hand.inside, hand.after)
        hand.execute("DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.missing.add(name)


@kind
def corrections_of_earlier_sales(hand: Hand) -> None:
    """The sale was before the window; its correction is in it."""
    for _ in range(hand.count):
        name, _, _ = hand.corrected(hand.before, hand.inside)
        hand.execute("DELETE FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)", [name])
        hand.done.wrong.add(name)


@kind
def corrections_loaded_out_of_turn(hand: Hand) -> None:
    """The correction was loaded first, so that the row is the correction's; on an empty silver it would be the sale's."""
    for _ in range(hand.count):
        sale = hand.sale()
        first, then = hand.arrive(sale, hand.inside), hand.arrive(sale | {"payment_method": "corrected"}, hand.inside)
        hand.load(then, first)
        hand.done.wrong.add(sale["transaction_id"])


@kind
def corrections_pending_inside(hand: Hand) -> None:
    """The sale is loaded and right; its correction waits."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        hand.done.pending.add(hand.arrive({**sale, "net_amount": 2.5, "items": []}, hand.inside))


@kind
def corrections_pending_outside(hand: Hand) -> None:
    """The row is wrong; a correction waits after the window and has to go on waiting."""
    for _ in range(hand.count):
        sale = hand.sale()
        first = hand.arrive(sale, hand.inside)
        hand.load(first)
        hand.done.outside.add(hand.arrive(sale | {"net_amount": 2.5}, hand.after))
        hand.execute(
            "UPDATE scout.silver_transactions SET total_amount = 0 WHERE transaction_id = ANY (%(names)s)",
            [sale["transaction_id"]],
        )
        hand.done.wrong.add(sale["transaction_id"])


@kind
def sales_pending_outside(hand: Hand) -> None:
    """The sale waits before the window; its correction was loaded from the window, and its row is gone."""
    for _ in range(hand.count):
        sale = hand.sale()
        hand.done.outside.add(hand.arrive(sale, hand.before))
        then = hand.arrive(sale | {"net_amount": 2.5, "payment_method": "corrected"}, hand.inside)
        hand.load(then)
        hand.execute(
            "DELETE FROM scout.silver_transactions WHERE transaction_id = ANY (%(names)s)", [sale["transaction_id"]]
        )
        hand.done.missing.add(sale["transaction_id"])


@kind
def repeats_pending(hand: Hand) -> None:
    """Several waiting events of one transaction, which the ETL refuses in one batch."""
    for _ in range(hand.count):
        sale = hand.sale()
        for number in range(3):
            hand.done.pending.add(hand.arrive(sale | {"net_amount": number, "repeat": number}, hand.inside))


@kind
def repeats_at_the_same_moment(hand: Hand) -> None:
    """Two loaded events of a transaction with one arrival time, the row made of the one that should come second."""
    for _ in range(hand.count):
        sale, at = hand.sale(), hand.inside
        ids = sorted(hand.arrive(sale | {"payment_method": f"twin {number}"}, at) for number in range(2))
        hand.load(*reversed(ids))
        hand.done.wrong.add(sale["transaction_id"])


# --- what is no sale, and what is not in the window


@kind
def not_transactional(hand: Hand) -> None:
    """What the ETL swallows, waiting and marked, and events of other types."""
    for name in ("no_transaction_id_key", "array", "scalar"):
        waiting, marked = (hand.arrive(poison.HARMLESS[name](hand.sale())) for _ in range(2))
        hand.mark(marked)
        hand.done.pending.add(waiting)
        hand.done.swallowed |= {waiting, marked}
    for number, name in enumerate(generator.OTHER_TYPES):
        hand.done.other.add(hand.arrive({"store_id": "S-001", "number": hand.seed + number}, event_type=name))


@kind
def odd_but_loadable(hand: Hand) -> None:
    """No items, NaN: waiting."""
    for name in ("no_items", "empty_items", "not_a_number"):
        hand.done.pending.add(hand.arrive(poison.HARMLESS[name](hand.sale())))


@kind
def at_the_bounds(hand: Hand) -> None:
    """The first moment belongs to the window, the end does not; nor does what is a microsecond before the start."""
    tick = timedelta(microseconds=1)
    hand.done.pending |= {hand.arrive(hand.sale(), hand.window.start), hand.arrive(hand.sale(), hand.window.end - tick)}
    hand.done.outside |= {hand.arrive(hand.sale(), hand.window.end), hand.arrive(hand.sale(), hand.window.start - tick)}


@kind
def older_pending(hand: Hand) -> None:
    """Sales that wait since long before the window, and poison among them."""
    start = hand.window.start - timedelta(days=2)
    for number in range(5 * hand.count):
        hand.done.outside.add(hand.arrive(hand.sale(), start + timedelta(seconds=number)))
    hand.done.outside.add(hand.arrive(poison.KINDS["bad_ts"].spoil(hand.sale()), start - timedelta(seconds=1)))


@kind
def newer_pending(hand: Hand) -> None:
    for _ in range(hand.count):
        hand.done.outside.add(hand.arrive(hand.sale(), hand.after))


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
UNMARK = "DELETE FROM scout.etl_processed WHERE event_id = ANY (%(ids)s)"

FIRST_LINES = """
SELECT DISTINCT ON (transaction_id) line_id FROM scout.silver_line_items WHERE transaction_id = ANY (%(names)s)
ORDER BY transaction_id, line_sequence
"""

CLONE = """
INSERT INTO scout.silver_transactions
SELECT r.* FROM scout.silver_transactions AS t CROSS JOIN LATERAL jsonb_populate_record(
    NULL::scout.silver_transactions,
    to_jsonb(t) || jsonb_build_object('id', gen_random_uuid(), 'transaction_id', %(extra)s::text, 'source_event_id', %(source)s::uuid)) AS r
WHERE t.transaction_id = ANY (%(names)s)
"""
