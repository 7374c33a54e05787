# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Realistic Scout events, each a pure function of seed and number: fast in bulk, one at a time for live writers.

Texts are written the way jsonb prints them (keys by length, then bytes), so the hash made here is the pipeline's.
"""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from hashlib import blake2b, sha256
from itertools import accumulate
from typing import Any, LiteralString
from uuid import UUID

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from .stores_and_products import SOLD, STORES

TRANSACTION = "transaction.v1"
OTHER_TYPES = ["heartbeat.v1", "inventory.count.v1", "store.status.v1"]
PAYMENTS = ["cash", "cash", "cash", "gcash", "gcash", "maya", "card", "utang"]
CUSTOMERS = ["new", "returning", "returning", "returning", "vip", "new", "returning", "returning"]
SOURCES = ["edge", "edge", "edge", "pos-sync"]
MANILA = timezone(timedelta(hours=8))
DAYS = 3
#: So many of the newest come evenly, up to just now.
RECENT = 10

# Sales by hour of the day in Manila: closed at night but for a few.
RHYTHM = [1, 1, 1, 1, 2, 6, 12, 16, 14, 12, 14, 18, 22, 18, 14, 14, 18, 24, 30, 28, 20, 12, 5, 2]

# Every 100th event has another type, every 199th corrects an earlier one, every 50th arrives late.
OTHER_EVERY, CORRECTION_EVERY, LATE_EVERY = 100, 199, 50
CORRECTION_DISTANCE = 97

INSERT = """
INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, event_hash, ingested_at)
SELECT %(type)s, coalesce(%(at)s, now()), %(source)s, d, {hash}, coalesce(%(at)s, now())
FROM (SELECT %(payload)s AS d) AS given
RETURNING event_id
"""


@dataclass(frozen=True)
class Event:
    """One row for bronze_events; `text` is the canonical payload."""

    event_type: str
    event_ts: datetime
    source_system: str
    text: str
    ingested_at: datetime

    @property
    def event_hash(self) -> bytes:
        """What the pipeline computes from the payload."""
        return sha256(self.text.encode()).digest()

    @property
    def event_id(self) -> UUID:
        """An identifier that follows from the payload, so the same seed gives the same identifiers."""
        return UUID(_identifier(self.event_hash.hex()))


def _line(product: int, units: int) -> tuple[str, int]:
    """The text of one basket line and its amount in centavos."""
    p = SOLD[product]
    amount = p.centavos * units
    text = (
        f'{{"qty": {units}, "brand": "{p.brand}", "category": "{p.category}", "brand_name": "{p.brand}", "product_id": "{p.product_id}", '
        f'"unit_price": {_pesos(p.centavos)}, "line_amount": {_pesos(amount)}, "product_name": "{p.name}"}}'
    )
    return text, amount


def _identifier(digest: str) -> str:
    """The start of a hexadecimal digest with the marks of a random UUID."""
    return f"{digest[:12]}4{digest[13:16]}8{digest[17:32]}"


def _pesos(centavos: int) -> str:
    return f"{centavos // 100}.{centavos % 100:02d}"


LINES = [[_line(product, units) for units in (1, 1, 1, 2, 2, 3, 4, 6)] for product in range(len(SOLD))]
UNITS = (1, 1, 1, 2, 2, 3, 4, 6)


def clock(count: int, until: datetime, days: float = DAYS) -> list[datetime]:
    """Ascending arrival times over the days before `until` that follow the shops' hours; the newest is 3 s old."""
    recent = min(count, RECENT)
    start = until - timedelta(days=days)
    hours = [start + timedelta(hours=n) for n in range(int(days * 24))]
    weights = list(accumulate(RHYTHM[hour.astimezone(MANILA).hour] for hour in hours))
    times: list[datetime] = []
    for number in range(count - recent):
        share = (number + 0.5) / (count - recent) * weights[-1]
        slot = bisect_left(weights, share)
        before = weights[slot - 1] if slot else 0
        times.append(hours[slot] + timedelta(hours=(share - before) / (weights[slot] - before)))
    latest = until - timedelta(seconds=3)
    times = [min(time, latest - timedelta(seconds=18 * recent)) for time in times]
    return times + [latest - timedelta(seconds=18 * back) for back in range(recent - 1, -1, -1)]


def corrects(number: int) -> int | None:
    """The number of the event that this one corrects, if it is a correction."""
    if number % CORRECTION_EVERY != CORRECTION_EVERY - 1:
        return None
    target = number - CORRECTION_DISTANCE
    return target if is_transaction(target) else None


def is_transaction(number: int) -> bool:
    """Whether the event of this number is a sale or the correction of one."""
    return number % OTHER_EVERY != OTHER_EVERY // 2


def event(
    seed: int, number: int, ingested_at: datetime, times: list[datetime] | None = None, *, plain: bool = False
) -> Event:
    """The event of this number as it arrived then; a correction takes its sale's time from `times`, if given."""
    target = corrects(number)
    if target is not None:
        sold_at = (times[target] if times else ingested_at - timedelta(minutes=5)) - timedelta(seconds=2)
        return Event(
            TRANSACTION, sold_at, "backoffice", sale(seed, target, sold_at, correction=True, plain=plain), ingested_at
        )
    delay = 3600 + number % 97 * 900 if number % LATE_EVERY == LATE_EVERY - 1 else 1 + number % 3
    happened = ingested_at - timedelta(seconds=delay)
    source = SOURCES[number % 4]
    if is_transaction(number):
        return Event(TRANSACTION, happened, source, sale(seed, number, happened, plain=plain), ingested_at)
    store = STORES[number // OTHER_EVERY % len(STORES)].store_id
    text = f'{{"ts": "{_stamp(happened)}", "number": {seed * 10**9 + number}, "store_id": "{store}"}}'
    return Event(OTHER_TYPES[number // OTHER_EVERY % len(OTHER_TYPES)], happened, source, text, ingested_at)


def sale(seed: int, number: int, sold_at: datetime, *, correction: bool = False, plain: bool = False) -> str:
    """The canonical text of a sale; its correction changes the payment, or splits a line into two of the same sum.

    A plain sale has no discount, campaign or handshake.
    """
    dice = blake2b(b"%d:%d" % (seed, number)).digest()
    store = STORES[(dice[0] << 8 | dice[1]) % len(STORES)]
    picked = [((dice[4 + 2 * n] << 8 | dice[5 + 2 * n]) % len(SOLD), dice[20 + n] & 7) for n in range(1 + dice[2] % 4)]
    lines = [LINES[product][units] for product, units in picked]
    total = sum(amount for _, amount in lines)
    payment = PAYMENTS[dice[30] & 7]
    if correction:
        product, units = picked[0]
        if UNITS[units] > 1:
            lines[0] = _line(product, UNITS[units] - 1)
            lines.append(_line(product, 1))
        else:
            payment = "card" if payment == "cash" else "cash"
    discount = total * 5 // 100 if dice[31] < 32 and not plain else 0
    campaign = f'"campaign_id": "C-{dice[32] % 5 + 1}", ' if dice[33] < 40 and not plain else ""
    customer = f'"customer_id": "CU{(dice[34] << 8 | dice[35]) % 5000:05d}", ' if dice[36] < 150 else ""
    items = ", ".join(text for text, _ in lines)
    net, tax = total - discount, (total - discount) * 12 // 112
    # Keys stand in the order in which jsonb prints them.
    return (
        f'{{"ts": "{_stamp(sold_at)}", "city": "{store.city}", "items": [{items}], "region": "{store.region}", '
        f'"province": "{store.province}", "store_id": "{store.store_id}", "net_amount": {_pesos(net)}, '
        f'"tax_amount": {_pesos(tax)}, {campaign}{customer}"total_amount": {_pesos(total)}, '
        f'"customer_type": "{CUSTOMERS[dice[37] & 7]}", "payment_method": "{payment}", "transaction_id": "{seed}-{number:08d}", '
        f'"discount_amount": {_pesos(discount)}, "handshake_triggered": {"true" if dice[38] < 64 and not plain else "false"}}}'
    )


def events(
    seed: int, times: list[datetime], numbers: Iterable[int] | None = None, *, plain: bool = False
) -> Iterator[Event]:
    """The events of these numbers (all, if not given), arriving at `times`."""
    for number in range(len(times)) if numbers is None else numbers:
        yield event(seed, number, times[number], times, plain=plain)


def transaction(seed: int, number: int, *, sold_at: datetime | None = None, **overrides: Any) -> dict[str, Any]:
    """The payload of one sale made just now; keywords replace fields, and `...` as a value leaves the field out."""
    payload = json.loads(sale(seed, number, sold_at or datetime.now(UTC))) | overrides
    return {name: value for name, value in payload.items() if value is not ...}


def insert(
    connection: psycopg.Connection[Any],
    payload: object,
    *,
    event_type: str = TRANSACTION,
    ingested_at: datetime | None = None,
    source_system: str = "edge",
) -> UUID:
    """Store the payload as one bronze event, hashed as the pipeline does, and return its id."""
    row = connection.execute(
        with_hash(connection, INSERT),
        {"type": event_type, "at": ingested_at, "source": source_system, "payload": Jsonb(payload)},
    ).fetchone()
    assert row
    return UUID(str(row[0]))


def with_hash(connection: psycopg.Connection[Any], statement: LiteralString) -> sql.Composed:
    """The statement with what hashes the payload d where it says {hash}: the pipeline's own function of one payload,
    or what it does where a deployment has another of that name."""
    [[own]] = connection.execute("SELECT to_regprocedure('scout.canonical_event_hash(jsonb)') IS NOT NULL").fetchall()
    made = sql.SQL("scout.canonical_event_hash(d)" if own else "sha256(convert_to(d::text, 'UTF8'))")
    return sql.SQL(statement).format(hash=made)


def copy(connection: psycopg.Connection[Any], rows: Iterable[Event]) -> int:
    """Bring the events into bronze as fast as the server takes them; returns how many."""
    count = 0
    part: list[str] = []
    statement = "COPY scout.bronze_events (event_id, event_type, event_ts, source_system, event_data, event_hash, ingested_at) FROM STDIN"
    with connection.cursor() as cursor, cursor.copy(statement) as sink:
        for row in rows:
            digest = sha256(row.text.encode()).hexdigest()
            # Payloads hold no character that COPY's text format would want escaped.
            part.append(
                f"{_identifier(digest)}\t{row.event_type}\t{row.event_ts.isoformat()}\t{row.source_system}"
                f"\t{row.text}\t\\\\x{digest}\t{row.ingested_at.isoformat()}\n"
            )
            count += 1
            if len(part) == 500:
                sink.write("".join(part))
                part.clear()
        sink.write("".join(part))
    return count


def _stamp(moment: datetime) -> str:
    return moment.astimezone(MANILA).isoformat(timespec="seconds")
