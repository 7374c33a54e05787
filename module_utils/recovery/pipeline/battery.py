# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Test sales of every kind that this database has, so that a pipeline that writes some of them wrong is told from a sound one.

Each is the copy of an event that was loaded lately, with a transaction_id of its own: one for each source, payment method, region, store,
kind of customer, form of payload and of time, the smallest and the largest. To these come each payment method in many stores, so that any
two of what sales have come together, and such as may not have come lately: around midnight by either clock, late by days, of odd amounts,
of a product that is new, without optional fields, and of many line items. What silver has to have of them is computed from the events
themselves (scout/expected_silver.py).
"""

from __future__ import annotations

import dataclasses
import datetime
import re
import typing as t
import uuid

from ..core.text import cut, printable
from ..postgres.driver import Jsonb, errors, sql
from ..scout import contract, event_queue, expected_silver, loadable, row_images

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.acting import Actor
    from ..postgres.session import Row, Session

#: Events that were loaded last, and which are copied; a kind that is none of theirs is not tried.
LOOKED_AT: t.Final = 2000
COPIED: t.Final = 200
#: So many of them are like any others, for what is wrong with sales that have two properties at once.
ANY: t.Final = 100
#: So many made-up sales at most of a payment method in a store, or of a source.
PAIRS: t.Final = 150
#: A clock in each part of a day.
CLOCKS: t.Final = ("08:30:00", "13:30:00", "18:30:00", "22:30:00")
#: Of each property, such as regions, so many values at most, the newest.
VALUES: t.Final = 24
#: So many microseconds after the first of them come those that send or correct one of them again.
AGAIN: t.Final = 1000
#: Line items of the sale of many, unless a real one has more, up to so many; and of one as large as comes once a year.
LINES: t.Final = 12
MOST_LINES: t.Final = 60
LARGE: t.Final = 40

#: Of each kind the newest event; those first that stand for what is asked first. What silver has of them was no malformed event, unless
#: somebody changed it since.
KINDS = """
WITH newest AS MATERIALIZED (
    SELECT p.event_id FROM {etl_ledger} AS p WHERE p.processed_at IS NOT NULL ORDER BY p.processed_at DESC LIMIT %(looked_at)s
), known AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at, b.source_system, b.event_data AS e, s.total_amount AS total, s.item_count AS lines
    FROM newest JOIN {bronze} AS b ON b.event_id = newest.event_id JOIN {transactions} AS s ON s.transaction_id = {sale}
), kinds AS (
    SELECT k.event_id, k.ingested_at, v.place, v.what, v.what || coalesce(' ' || v.value, '') AS kind
    FROM known AS k CROSS JOIN LATERAL (VALUES
        (1, 'source', k.source_system), (2, 'payment method', e ->> 'payment_method'), (3, 'region', e ->> 'region'),
        (4, 'customer type', e ->> 'customer_type'), (4, 'discount', CASE WHEN e ? 'discount_amount' THEN 'given' END),
        (4, 'campaign', CASE WHEN e ->> 'campaign_id' IS NOT NULL THEN 'given' END),
        (5, 'hour', substring(e ->> 'ts' FROM '[T ]([0-9][0-9]):')),
        (6, 'store', e ->> 'store_id'),
        (5, 'time like', regexp_replace(e ->> 'ts', '[0-9]', '0', 'g')),
        (6, 'payload of', (SELECT md5(string_agg(key || jsonb_typeof(value), ',' ORDER BY key)) FROM jsonb_each(e))),
        (6, 'items of', (
            SELECT md5(string_agg(DISTINCT shape, ';'))
            FROM jsonb_array_elements(CASE WHEN jsonb_typeof(e -> 'items') = 'array' THEN e -> 'items' ELSE '[]' END) AS item
            CROSS JOIN LATERAL (SELECT string_agg(key || jsonb_typeof(value), ',' ORDER BY key) AS shape
                                FROM jsonb_each(CASE WHEN jsonb_typeof(item) = 'object' THEN item ELSE '{{}}' END)) AS i))
    ) AS v (place, what, value) WHERE v.value IS NOT NULL
    UNION ALL (SELECT event_id, ingested_at, 9, 'any', 'any ' || event_id FROM known ORDER BY md5(event_id::text) LIMIT %(any)s)
    UNION ALL (SELECT event_id, ingested_at, 1, 'most', 'the most line items' FROM known ORDER BY lines DESC LIMIT 1)
    UNION ALL (SELECT event_id, ingested_at, 1, 'most', 'the largest total' FROM known ORDER BY total DESC LIMIT 1)
    UNION ALL (SELECT event_id, ingested_at, 1, 'most', 'the smallest total' FROM known ORDER BY total LIMIT 1)
), newest_of_kind AS (
    SELECT DISTINCT ON (kind) kind, what, place, event_id, ingested_at FROM kinds ORDER BY kind, ingested_at DESC, event_id
), chosen AS (
    SELECT event_id, min(place) AS place, count(*) AS number,
           array_agg(left(kind, 60) ORDER BY place, kind) FILTER (WHERE what <> 'any') AS kinds FROM (
        SELECT k.*, row_number() OVER (PARTITION BY what ORDER BY ingested_at DESC, kind) AS nth FROM newest_of_kind AS k) AS numbered
    WHERE nth <= %(of_each)s OR what = 'any' GROUP BY event_id
)
SELECT c.event_id::text AS event_id, c.kinds, b.event_data ->> 'transaction_id' AS transaction_id, b.event_data ->> 'ts' AS ts,
       (SELECT k.lines FROM known AS k WHERE k.event_id = c.event_id) AS lines, b.event_data #>> '{{items,0,product_id}}' AS product,
       b.source_system AS source, b.event_data ->> 'store_id' AS store, b.event_data ->> 'region' AS region,
       b.event_data ->> 'payment_method' AS payment, b.event_data ->> 'customer_type' AS customer,
       row_number() OVER (ORDER BY isfinite(b.ingested_at) DESC, b.ingested_at DESC, c.event_id) = 1 AS latest
FROM chosen AS c JOIN {bronze} AS b ON b.event_id = c.event_id WHERE NOT ({malformed})
ORDER BY c.place, c.number DESC, c.event_id LIMIT %(copied)s
"""

SEND: t.Final = """
INSERT INTO {bronze} (event_id, event_type, source_system, event_data, event_hash, ingested_at{more})
SELECT event_id, {transaction_event}, source, d, {hash}, coalesce(%(moment)s::timestamptz, now()) + nth * interval '1 microsecond'{values}
FROM (
    SELECT k.event_id, k.nth, b.source_system AS source, (b.event_data - k.dropped) || k.changed AS d
    FROM jsonb_to_recordset(%(sales)s) AS k (event_id uuid, "like" uuid, changed jsonb, dropped text[], nth int)
    JOIN {bronze} AS b ON b.event_id = k.like
) AS given
"""

#: Those of them that bronze has otherwise than they were sent, in a field that was sent.
STORED: t.Final = """
SELECT k.event_id::text AS event_id
FROM jsonb_to_recordset(%(sales)s) AS k (event_id uuid, "like" uuid, changed jsonb, dropped text[])
JOIN {bronze} AS l ON l.event_id = k.like JOIN {bronze} AS b ON b.event_id = k.event_id
WHERE NOT b.event_data @> ((l.event_data - k.dropped) || k.changed) OR b.event_type <> {transaction_event}
   OR b.source_system IS DISTINCT FROM l.source_system
"""

#: Those of these events that are the first of their sales and were loaded within so many transactions, and what they have of line items,
#: those first that another can correct.
ITEMS: t.Final = """
SELECT b.event_id::text AS event_id, b.event_data -> 'items' AS items, b.event_data -> 'total_amount' AS total,
       i.lines > 1 AND i.priced AND jsonb_typeof(b.event_data -> 'total_amount') = 'number' AS corrected
FROM {bronze} AS b JOIN {transactions} AS s ON s.transaction_id = {sale} AND s.source_event_id = b.event_id
JOIN {etl_ledger} AS p ON p.event_id = b.event_id AND age(p.xmin) BETWEEN 0 AND %(within)s CROSS JOIN LATERAL (
    SELECT count(*) AS lines, coalesce(bool_and(jsonb_typeof(item -> 'unit_price') = 'number'), false) AS priced
    FROM jsonb_array_elements(CASE WHEN jsonb_typeof(b.event_data -> 'items') = 'array' THEN b.event_data -> 'items' ELSE '[]' END) AS item
) AS i
WHERE b.event_id = ANY(%(ids)s::uuid[]) AND b.ingested_at < now() ORDER BY corrected DESC, i.lines DESC, b.event_id
"""

#: On which of the days before the one of this sale there were some, so that there is room for one more.
DAYS_BEFORE: t.Final = """
SELECT n.day::text AS day FROM (SELECT %(day)s::date - nth AS day FROM generate_series(1, %(days)s) AS nth) AS n
WHERE EXISTS (SELECT FROM {transactions} AS s WHERE s.date_key = n.day) ORDER BY 1 DESC
"""

#: A time as it is written, to be moved to another hour of its day.
WRITTEN: t.Final = re.compile(r"(\d{4}-\d\d-\d\d)([T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(.*)")
MIDNIGHT: t.Final = ("23:59:30", "00:00:30")
#: The same moments where the pipeline tells the time of day, as somebody writes them who goes by UTC.
MIDNIGHT_UTC: t.Final = ("15:59:30Z", "16:00:30Z")
#: What a sale that nobody has sent yet may meet: a rule of the team's, a check, a key, a trigger that refuses it.
RULES: t.Final = (
    *(errors.CheckViolation, errors.ForeignKeyViolation, errors.ExclusionViolation, errors.UniqueViolation),
    errors.RaiseException,
)
#: How long a till may have been without a connection.
LATE: t.Final = datetime.timedelta(hours=12)
#: A week has all that may depend on its day.
DAYS: t.Final = 7
#: The smallest amount, and the largest that Scout does not call suspicious; and of a thing so many as a shop sells once a year.
AMOUNTS: t.Final = ("0.01", "9999.99")
UNITS: t.Final = 144
LARGE_AMOUNTS: t.Final = {"total_amount": 9000, "net_amount": 3000.25, "discount_amount": 6999.25, "tax_amount": 999.5}
SURE: t.Final = {"handshake_triggered": True, "handshake_score": 0.99}
OPTIONAL: t.Final = (
    *("customer_id", "customer_type", "campaign_id", "discount_amount", "tax_amount", "payment_method"),
    *("handshake_triggered", "handshake_score", "net_amount"),
)


@dataclasses.dataclass(frozen=True)
class Copy:
    """One of these sales: a copy of an event, with what is changed in it, and what it is one of, in words."""

    like: str
    kind: str
    changed: dict[str, t.Any]
    #: Which of its fields it lacks, and whether there may be none such in this database, by a rule of the team's.
    dropped: tuple[str, ...] = ()
    made_up: bool = False
    #: The sale of the event that it is a copy of.
    of: str = ""
    event_id: str = dataclasses.field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def transaction_id(self) -> str:
        """Its own."""
        return self.changed["transaction_id"]

    @property
    def events(self) -> tuple[str, ...]:
        """Those of its sale; where that is no other than that of the event it is a copy of, that is the first."""
        return (self.like, self.event_id) if self.transaction_id == self.of else (self.event_id,)


def choose(session: Session, moment: datetime.datetime | None) -> list[Copy]:
    """What is to be sent to arrive at that moment, or now; empty where nothing has been loaded yet. Inside the caller's transaction."""
    tables = row_images.tables(session)
    model = expected_silver.Model(tables, session.facts.server_version)
    query = contract.compose(KINDS, sale=loadable.sale("b"), malformed=model.malformed)
    rows = session.rows(query, looked_at=LOOKED_AT, copied=COPIED, of_each=VALUES, any=ANY)
    copies = [dataclasses.replace(_copy(row["event_id"], _like(row)), of=row["transaction_id"]) for row in rows]
    if not rows:
        return []
    latest = next((row for row in rows if row["latest"]), rows[0])
    copies += _of_pairs(rows)
    copies += _made_up(session, latest, (moment or datetime.datetime.now(datetime.UTC)) - LATE)
    number = min(MOST_LINES, max(LINES, *(row["lines"] for row in rows)))
    return [
        *copies,
        _copy(latest["event_id"], f"of {number} line items", **_of_lines(number, latest["product"] or "SMOKE-1")),
    ]


def _like(row: Row) -> str:
    return f"like {row['transaction_id']}" + (f" ({', '.join(row['kinds'][:2])})" if row["kinds"] else "")


def _copy(like: str, kind: str, **changed: t.Any) -> Copy:
    return Copy(like, cut(printable(kind), 100), {"transaction_id": f"SMOKE-{uuid.uuid4()}", **changed})


def _of_pairs(rows: Sequence[Row]) -> list[Copy]:
    """Each payment method in as many stores as there is room for, of each region first, and of each source, by all kinds of customers in
    all parts of the day: two of these come together in one of them, whether any such sale came lately or not."""
    payments, customers = ([row[name] for row in _one_of_each(rows, name)] for name in ("payment", "customer"))
    likes = {row["event_id"]: row for of in ("source", "region", "store") for row in _one_of_each(rows, of)}
    found: list[Copy] = []
    for nth, like in enumerate(list(likes.values())[: PAIRS // max(1, len(payments))]):
        written = WRITTEN.fullmatch(like["ts"] or "")
        for at, payment in enumerate(payments):
            changed = {"payment_method": payment}
            if customers:
                changed["customer_type"] = customers[(nth + at) % len(customers)]
            if written:
                # A store comes in another order of hours than the one before.
                clock = CLOCKS[(nth // max(1, len(customers)) + at) % len(CLOCKS)]
                changed["ts"] = f"{written[1]}{written[2][0]}{clock}{written[3]}"
            kind = f"like {like['transaction_id']}, by {payment} ({like['source']}, store {like['store']})"
            found.append(_copy(like["event_id"], kind, **changed))
    return [dataclasses.replace(each, made_up=True) for each in found]


def _one_of_each(rows: Sequence[Row], name: str) -> list[Row]:
    """The first that has each value of it, which are none other than those of the newest sales."""
    return list({row[name]: row for row in reversed(rows) if row[name] is not None}.values())[:VALUES]


def _made_up(session: Session, latest: Row, late: datetime.datetime) -> list[Copy]:
    """Sales that may come any day, although none has come lately."""
    like, product = latest["event_id"], latest["product"] or "SMOKE-1"
    found = [_copy(like, "late by half a day", ts=late.isoformat())]
    if written := WRITTEN.fullmatch(latest["ts"] or ""):
        day, clock, zone = written.groups()
        found += [_copy(like, f"at {at}", ts=day + clock[0] + at + zone) for at in MIDNIGHT]
        found += [_copy(like, f"at {at}", ts=day + clock[0] + at) for at in MIDNIGHT_UTC]
        for row in session.rows(contract.compose(DAYS_BEFORE), day=day, days=DAYS):
            weekday = datetime.date.fromisoformat(row["day"]).strftime("%A")
            found.append(_copy(like, f"of {weekday}, {row['day']}", ts=row["day"] + clock + zone))
    for text in AMOUNTS:
        # A jsonb keeps the digits of a number, and so does a float of so few.
        amount = float(text)
        items = [{**_item(product), "unit_price": amount, "line_amount": amount}]
        found.append(_copy(like, f"of {text}", **_of_items(items, amount)))
    # Another encoding may not have the letter.
    name = "Piña" if session.connection.info.parameter_status("server_encoding") == "UTF8" else "Pina"
    dozens = [{**_item(product), "product_name": name, "qty": UNITS, "unit_price": 2.5, "line_amount": UNITS * 2.5}]
    found.append(_copy(like, f"of {UNITS} units", **_of_items(dozens, UNITS * 2.5)))
    found.append(_copy(like, f"of {LARGE} line items", **_of_lines(LARGE, product)))
    # What a shop begins to sell has a row nowhere yet.
    unknown = {**_item(re.sub("[0-9]", "9", product)), "unit_price": 7.5, "line_amount": 7.5}
    found.append(_copy(like, "of a product never sold before", **_of_items([unknown], 7.5)))
    found.append(_copy(like, "of a large discount and tax", items=[unknown], **LARGE_AMOUNTS, **SURE))
    bare = _copy(like, "without optional fields", items=[{"product_id": product}])
    net = _copy(like, "without total_amount", net_amount=5)
    found += [dataclasses.replace(bare, dropped=OPTIONAL), dataclasses.replace(net, dropped=("total_amount",))]
    return [dataclasses.replace(each, made_up=True) for each in found]


def _item(product: str) -> dict[str, t.Any]:
    of = dict.fromkeys(("product_name", "brand_name", "category"), "Smoke test")
    return {"product_id": product, **of, "qty": 1}


def _of_items(items: list[dict[str, t.Any]], total: float) -> dict[str, t.Any]:
    return {"items": items, "total_amount": total, "net_amount": total, "discount_amount": 0, "tax_amount": 0}


def _of_lines(number: int, product: str) -> dict[str, t.Any]:
    """What makes a sale one of so many lines, of a product that is known: something may refer to it."""
    item = _item(product)
    items = [{**item, "unit_price": nth, "line_amount": nth} for nth in range(1, number + 1)]
    return _of_items(items, sum(range(1, number + 1)))


def again(copies: Sequence[Copy]) -> list[Copy]:
    """Events that come after these: one that sends the same sale again, and one that corrects the sale of many line items."""
    if not copies:
        return []
    same, corrected = copies[0], copies[-1]
    changed = {**same.changed, "note": "sent again"}
    found = [dataclasses.replace(same, kind=f"sent twice, {same.kind}", changed=changed, event_id=str(uuid.uuid4()))]
    if items := corrected.changed.get("items"):
        fewer = [{**item, "qty": 3, "unit_price": item["unit_price"] + 1, "line_amount": 3} for item in items[:-1]]
        total = corrected.changed["total_amount"]
        changed = {**corrected.changed, "items": fewer, "total_amount": total + 7, "net_amount": total + 9}
        kind = f"corrected, {corrected.kind}"
        found.append(dataclasses.replace(corrected, kind=kind, changed=changed, event_id=str(uuid.uuid4())))
    return found


def of_others(
    session: Session, copies: Sequence[Copy], pipeline: Actor, without: Sequence[str], *, within: int
) -> list[Copy]:
    """The same of sales that were loaded within so many transactions, and that silver has as their events say, so that the ETL can be
    given all of them at once; empty where two of those that were copied are not such. Inside a transaction that is rolled back."""
    named = {copy.like: dataclasses.replace(copy, changed={"transaction_id": copy.of}) for copy in copies if copy.of}
    first = session.rows(contract.compose(ITEMS, sale=loadable.sale("b")), ids=[*named], within=within)
    ids = [row["event_id"] for row in first]
    with event_queue.in_its_time_zone(session, pipeline):
        wrong = _model(session).wrong(session, [named[event].of for event in ids], ids, [*without])
    right = [row for row in first if named[row["event_id"]].of not in wrong][:2]
    if len(right) < 2 or not right[0]["corrected"]:
        return []
    most, same = (named[row["event_id"]] for row in right)
    items = {"items": right[0]["items"], "total_amount": right[0]["total"]}
    return again([same, dataclasses.replace(most, changed=most.changed | items)])


def send(session: Session, copies: Sequence[Copy], moment: datetime.datetime | None, *, after: int = 0) -> list[Copy]:
    """Stores them in bronze, one after the other from that moment on, or from now, so many microseconds later; gives those that bronze
    has otherwise than they were sent."""
    more, values = event_queue.filled_by_senders(session)
    query = contract.compose(SEND, hash=event_queue.hash_of(session, sql.Identifier("d")), more=more, values=values)
    session.execute(query, moment=moment, sales=_sales(copies, after + 1))
    return altered(session, copies)


def altered(session: Session, copies: Sequence[Copy]) -> list[Copy]:
    """Those that bronze has otherwise than they were sent."""
    found = {row["event_id"] for row in session.rows(contract.compose(STORED), sales=_sales(copies))}
    return [copy for copy in copies if copy.event_id in found]


def _sales(copies: Sequence[Copy], first: int = 1) -> Jsonb:
    return Jsonb(
        [
            {"event_id": c.event_id, "like": c.like, "changed": c.changed, "dropped": c.dropped, "nth": n}
            for n, c in enumerate(copies, first)
        ]
    )


def unjudged(session: Session, pipeline: Actor) -> list[str]:
    """Fields that the pipeline's ETL fills otherwise in most of what is there."""
    with event_queue.in_its_time_zone(session, pipeline):
        return _model(session).unjudged(session)


def differing(
    session: Session, copies: Sequence[Copy], pipeline: Actor, without: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Those of them that silver has otherwise than their events say, each with the fields, by what it is one of; `without` those fields
    that are not judged, or those that most of what is there has otherwise."""
    of = {copy.transaction_id: copy for copy in copies}
    left_out = unjudged(session, pipeline) if without is None else list(without)
    with event_queue.in_its_time_zone(session, pipeline):
        wrong = _model(session).wrong(session, [*of], [event for copy in copies for event in copy.events], left_out)
    return {of[name].kind: fields for name, fields in wrong.items()}


def _model(session: Session) -> expected_silver.Model:
    return expected_silver.Model(row_images.tables(session), session.facts.server_version)


def in_words(wrong: dict[str, list[str]], most: int = 3) -> str:
    """`sales like 4-0001 (source till-3): total_amount; and 2 more kinds`."""
    names = names_of(wrong)
    shown = "; ".join(f"{kind}: {', '.join(fields[:5])}" for kind, fields in names[:most])
    return shown + (f"; and {len(names) - most} more kinds" if len(names) > most else "")


def kinds(copies: Sequence[Copy], most: int = 3) -> str:
    """What some of these are, in words."""
    return "; ".join(copy.kind for copy in copies[:most])


def names_of(wrong: dict[str, list[str]]) -> list[tuple[str, list[str]]]:
    """In their order, what is missing altogether first."""
    return sorted(wrong.items(), key=lambda item: ("missing" not in item[1], item[0]))
