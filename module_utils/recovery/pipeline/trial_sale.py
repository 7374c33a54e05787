# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A made-up sale that the pipeline's own ETL is to load, in a transaction that is rolled back.

It comes first in the queue, so it neither takes anything from the backlog nor meets its poison, and nobody else ever sees it.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t
import uuid
from decimal import Decimal

from ..postgres import plain
from ..postgres.driver import Jsonb, psycopg, sql
from ..scout import contract, event_queue
from . import apart

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.acting import Actor
    from ..postgres.session import Row, Session

#: A store and products that are there, in case something refers to them; of a linked product the catalog knows.
KNOWN = """
WITH few AS MATERIALIZED (SELECT * FROM {transactions} ORDER BY transaction_id DESC LIMIT %(few)s),
latest AS (
    SELECT store_id, (SELECT to_jsonb(plain) FROM (SELECT {place}) AS plain) AS sale
    FROM few AS s ORDER BY processed_at DESC NULLS LAST LIMIT 1
)
SELECT (SELECT store_id FROM latest) AS store_id,
       (SELECT jsonb_object_agg(key, value) FROM latest, jsonb_each_text(sale)) AS place,
       ARRAY(SELECT product_id FROM (
                 (SELECT product_id, 1 AS nth FROM {line_items} WHERE product_key IS NOT NULL LIMIT 50)
                 UNION ALL (SELECT product_id, 2 FROM {line_items} WHERE product_id <> '' LIMIT 50)) AS sold
             GROUP BY product_id ORDER BY min(nth), product_id LIMIT 2) AS products
"""
#: What says where a sale was, as far as silver has it.
PLACE: t.Final = ("region", "province", "city")
#: By their key, which has an index wherever the ETL can write: sorted by time, silver would be read whole.
FEW: t.Final = 200

#: Older than whatever there is, but for clocks gone wrong; so the ETL takes it first.
WHEN = """
SELECT least(now(), min(ingested_at) - interval '1 second') AS moment FROM {bronze}
WHERE event_type = %(event_type)s AND ingested_at > '1970-01-02'
"""
SEND: t.Final = """
INSERT INTO {bronze} (event_id, event_type, source_system, event_data, event_hash, ingested_at{more})
SELECT %(event_id)s, %(event_type)s, source, d, {hash}, coalesce(%(moment)s::timestamptz, now()){values}
FROM (SELECT %(payload)s::jsonb AS d) AS given CROSS JOIN ({usual}) AS usual
"""

#: What would come first all the same. Not part of the statement that holds it back: what writes is never read in parallel.
AHEAD = """
SELECT b.event_id::text AS event_id FROM {bronze} AS b
WHERE {pending} AND b.ingested_at <= %(moment)s AND b.event_id <> ALL(%(ids)s::uuid[])
"""

SILVER = "SELECT FROM {transactions} WHERE transaction_id = %(transaction_id)s"
NOW = 'SELECT to_char(now(), \'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"\') AS ts'

LOCK_SECONDS: t.Final = 1.0


@dataclasses.dataclass(frozen=True)
class _Sale:
    """A sale of two lines whose arithmetic is right."""

    transaction_id: str
    store_id: str
    products: tuple[str, str]
    ts: str
    place: t.Mapping[str, str | None] = dataclasses.field(default_factory=dict[str, str | None])

    QUANTITIES: t.ClassVar = (2, 1)
    PRICES: t.ClassVar = (Decimal("12.50"), Decimal("7.25"))

    @property
    def lines(self) -> list[Row]:
        """As silver is to have them."""
        return [
            {"product_id": product, "quantity": quantity, "unit_price": price, "line_amount": quantity * price}
            for product, quantity, price in zip(self.products, self.QUANTITIES, self.PRICES, strict=True)
        ]

    @property
    def total(self) -> Decimal:
        """What the lines come to."""
        return sum((line["line_amount"] for line in self.lines), Decimal(0))

    def payload(self) -> dict[str, t.Any]:
        """As the edge function would send it."""
        items = [
            {"product_id": line["product_id"], "product_name": "Smoke test", "brand_name": "Smoke test", "category": "Smoke test",
             "qty": line["quantity"], "unit_price": float(line["unit_price"]), "line_amount": float(line["line_amount"])}
            for line in self.lines
        ]  # fmt: skip
        return {
            "transaction_id": self.transaction_id, "store_id": self.store_id, "ts": self.ts, "payment_method": "cash",
            "total_amount": float(self.total), "net_amount": float(self.total), "items": items, **self.place,
        }  # fmt: skip


class Unlike(Exception):
    """The pipeline did something other than it should."""


class TooLate(Exception):
    """The time is over."""


class TrialSale:
    """One made-up sale, its event, and the time that is left for it."""

    def __init__(self, session: Session, seconds: float, owner: str) -> None:
        self.session = session
        self.deadline = time.monotonic() + seconds
        self.owner = owner
        self.event_id = str(uuid.uuid4())
        self.moment: datetime.datetime | None = None
        self.sale = _Sale(f"SMOKE-{uuid.uuid4()}", "", ("", ""), "")

    def _hurry(self) -> None:
        """Bounds the next statement by the time left. Raises TooLate where there is none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooLate
        self.session.limit_statements(left, lock_timeout_seconds=min(LOCK_SECONDS, left))

    def refused(self, pipeline: Actor) -> psycopg.Error | None:
        """What the ETL itself says of a sale that it meets alone, or None; inside the caller's savepoint."""
        send = self._prepare()
        self.sale = dataclasses.replace(self.sale, ts=self.session.row(NOW)["ts"])
        self._send(send, self.event_id, self.sale.payload())
        try:
            with self.session.savepoint():
                self._load_these([self.event_id], pipeline)
        except psycopg.Error as e:
            return e
        return None

    def sent(self) -> str:
        """Sends the sale, to come first where anything is pending; inside the caller's transaction, for its event_id. Raises where
        bronze would not take it now."""
        send = self._prepare(first=False)
        self.sale = dataclasses.replace(self.sale, ts=self.session.row(NOW)["ts"])
        if event_queue.any_pending(self.session):
            # Among what is pending it is to be the first; bronze has to take one that comes now all the same.
            self._send_in_vain(send)
            self.moment = self._when()
        self._send(send, self.event_id, self.sale.payload())
        return self.event_id

    def _send_in_vain(self, send: sql.Composed) -> None:
        with self.session.savepoint():
            self._send(send, self.event_id, self.sale.payload())
            raise psycopg.Rollback

    def missing(self) -> str:
        """That silver does not have the sale, in words; empty where it does."""
        names = contract.names()
        found = self.session.rows(contract.compose(SILVER), transaction_id=self.sale.transaction_id)
        return "" if found else f"{names.transactions} has nothing of it"

    def _when(self) -> datetime.datetime:
        """When it has to arrive to be the first."""
        return self.session.row(contract.compose(WHEN), event_type=contract.names().transaction_event)["moment"]

    def _prepare(self, *, first: bool = True) -> sql.Composed:
        """What the sale is made of, when it arrives, now unless it is to be the `first`, and the statement that sends it."""
        session, names = self.session, contract.names()
        columns = plain.columns(session, sql.Identifier(*names.transactions.split(".")), "s")
        place = [sql.SQL("{} AS {}").format(columns[name], sql.Identifier(name)) for name in PLACE if name in columns]
        known = session.row(contract.compose(KNOWN, place=sql.SQL(", ").join(place)), few=FEW)
        self.moment = self._when() if first else None
        products = [*known["products"], "SMOKE-1", "SMOKE-2"][:2]
        where: dict[str, str | None] = known["place"] or {}
        store = known["store_id"] or "SMOKE"
        self.sale = dataclasses.replace(self.sale, store_id=store, products=tuple(products), place=where)
        more, values = event_queue.filled_by_senders(session)
        usual, hashed = contract.compose(event_queue.USUAL_SOURCE), event_queue.hash_of(session, sql.Identifier("d"))
        return contract.compose(SEND, hash=hashed, more=more, values=values, usual=usual)

    def _send(self, send: sql.Composed, event_id: str, payload: dict[str, t.Any]) -> None:
        values = {"event_id": uuid.UUID(event_id), "payload": Jsonb(payload), "moment": self.moment}
        done = self.session.execute(send, event_type=contract.names().transaction_event, **values)
        _expect(done == 1, "bronze did not store it")

    def _load_these(self, ids: list[str], pipeline: Actor) -> None:
        """Has the ETL load these events, which are pending, before all others."""
        session = self.session
        ahead = session.rows(event_queue.of_pending(AHEAD), moment=self.moment, ids=ids)
        others = [row["event_id"] for row in ahead]
        session.execute(contract.compose(event_queue.HOLD_BACK_THESE), ids=others)
        self._hurry()
        event_queue.load(session, len(ids), pipeline, whole=True)
        session.execute(contract.compose(event_queue.LET_GO), ids=others)
        what = "it" if len(ids) == 1 else "all of them"
        _expect(not event_queue.not_taken(session, ids), f"the ETL did not load {what}, although first in the queue")


def written() -> tuple[str, ...]:
    """The tables that a sale goes through."""
    return contract.names().bronze, *loaded_into()


def loaded_into() -> tuple[str, ...]:
    """Those of them that only the pipeline's own jobs write."""
    names = contract.names()
    return names.etl_ledger, names.transactions, names.line_items


def refused(session: Session, *, seconds: float, pipeline: Actor) -> psycopg.Error | None:
    """What the ETL says of a known-good test sale, within the caller's transaction, in which nothing of it remains;
    raises nothing for it. None where it is loaded, where it cannot be tried, and where something else blocks it:
    then nothing is known."""
    said: psycopg.Error | None = None
    try:
        with session.savepoint():
            if apart.shadow(session, written()):
                return None
            said = TrialSale(session, seconds, "").refused(pipeline)
            raise psycopg.Rollback
    except (Unlike, TooLate):
        return None
    except psycopg.Error:
        if session.connection.closed:
            raise
        return None
    return said


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unlike(otherwise)
