# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sales go from bronze through the pipeline's own ETL into silver, in a transaction that is rolled back: copies of earlier ones, which
are compared with these, or a made-up one where nothing has been loaded yet.

They come first in the queue, so they neither take anything from the backlog nor meet its poison, and nobody else ever
sees them. The only thing no rollback undoes is an advanced sequence: those that are drawn from are shadowed, and where one cannot be,
nothing is run; that no trigger advanced another is read from the transaction's locks, which would include the sequence.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t
import uuid
from decimal import Decimal

from ..core.errors import NotConverged
from ..postgres import acting, plain
from ..postgres.driver import Jsonb, errors, psycopg, sql
from ..scout import contract, event_queue
from ..scout.judging import foreign_code
from . import apart, bronze_writers
from .replay import engine, sample

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Generator, Sequence

    from ..postgres.acting import Actor
    from ..postgres.session import Row, Session
    from .replay.changes import Change

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

#: A transaction keeps this lock on each sequence it has drawn from or set, also where a savepoint was rolled back. What a
#: session remembers as its last value would not do: a pooler hands on sessions, and two sequences may come to the same. One that is
#: shadowed is locked more strongly.
DRAWN = """
SELECT n.nspname || '.' || c.relname AS name
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation AND c.relkind = 'S'
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE l.locktype = 'relation' AND l.mode = 'RowExclusiveLock' AND l.pid = pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_locks AS o
                  WHERE o.relation = l.relation AND o.pid = l.pid AND o.database = l.database AND o.mode = 'ShareRowExclusiveLock')
ORDER BY 1
"""

REMAINS = """
SELECT (SELECT count(*) FROM {bronze} WHERE event_id = ANY(%(ids)s::uuid[]))
       + (SELECT count(*) FROM {etl_ledger} WHERE event_id = ANY(%(ids)s::uuid[]))
       + (SELECT count(*) FROM {transactions} WHERE transaction_id = %(transaction_id)s)
       + (SELECT count(*) FROM {line_items} WHERE transaction_id = %(transaction_id)s) AS rows
"""

NOW = 'SELECT to_char(now(), \'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"\') AS ts'

#: What is not the pipeline's fault: a lock or a time limit, a conflict, a privilege we lack.
OTHERS: t.Final = ("55P03", "57014", "40001", "40P01", "42501", "25P03")
LOCK_SECONDS: t.Final = 1.0
PREPARING: t.Final = "find what it needs"
SLOW: t.Final = "if the pipeline is just slow, raise smoke_timeout_seconds"


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

    def payload(self, **more: t.Any) -> dict[str, t.Any]:
        """As the edge function would send it."""
        items = [
            {"product_id": line["product_id"], "product_name": "Smoke test", "brand_name": "Smoke test", "category": "Smoke test",
             "qty": line["quantity"], "unit_price": float(line["unit_price"]), "line_amount": float(line["line_amount"])}
            for line in self.lines
        ]  # fmt: skip
        return {
            "transaction_id": self.transaction_id, "store_id": self.store_id, "ts": self.ts, "payment_method": "cash",
            "total_amount": float(self.total), "net_amount": float(self.total), "items": items, **self.place, **more,
        }  # fmt: skip


class Unlike(Exception):
    """The pipeline did something other than it should."""


class TooLate(Exception):
    """The time is over."""


class Trial:
    """One smoke test: its steps, and the time that is left for it."""

    def __init__(self, session: Session, seconds: float, owner: str, meant: Sequence[str] = ()) -> None:
        self.session = session
        #: Columns that a deployment means to change.
        self.meant = meant
        #: What was compared, in words, and the release that was captured last.
        self.compared = self.release = ""
        self.began = time.monotonic()
        self.deadline = self.began + seconds
        self.owner = owner
        self.steps: list[dict[str, str]] = []
        self.doing = PREPARING
        self.ids = [str(uuid.uuid4()), str(uuid.uuid4())]
        self.moment: datetime.datetime | None = None
        self.sale = _Sale(f"SMOKE-{uuid.uuid4()}", "", ("", ""), "")

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @contextlib.contextmanager
    def step(self, doing: str) -> Generator[None]:
        """One action that is done and proved, within the time left for all of them."""
        self.doing = doing
        self.hurry()
        yield
        self.steps.append({"step": doing, "result": "done"})

    def hurry(self) -> None:
        """Bounds the next statement by the time left. Raises TooLate where there is none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TooLate
        self.session.limit_statements(left, lock_timeout_seconds=min(LOCK_SECONDS, left))

    def run(self) -> list[Change]:
        """Runs all steps; returns what the pipeline writes otherwise than before. Raises Unlike, TooLate or psycopg's error."""
        session = self.session
        found: list[Change] = []
        with session.read(statement_timeout_seconds=max(0.001, self.deadline - time.monotonic())):
            pipeline = acting.actor(session, self.owner)
            send = self._prepare()
            age = sample.read_age(session)
            replay = engine.Replay(session, sample.read_reference(session, age), self.meant)
            self.release = replay.reference.release
        with session.write(lock_timeout_seconds=LOCK_SECONDS):
            self.hurry()
            replay.prepare(age)
            self.sale = dataclasses.replace(self.sale, ts=session.row(NOW)["ts"])
            with self.step("shadow the sequences"):
                if drawn := apart.shadow(self.session, written()):
                    raise NotConverged(f"it would advance a sequence of {', '.join(drawn)}, which no rollback undoes")
            foreign_code.shut_out(self.session, [contract.names().bronze, contract.names().etl_ledger])
            self.ids = self._replay(replay, pipeline) or self._made_up(send, pipeline)
            with self.step("compare silver with what earlier sales became"):
                found = replay.compare(pipeline)
            with self.step("check that no sequence was advanced"):
                drawn = ", ".join(row["name"] for row in self.session.rows(DRAWN))
                _expect(not drawn, f"a trigger or a function advanced a sequence, which no rollback undoes: {drawn}")
            raise psycopg.Rollback
        with self._looking("check that nothing remains"):
            remains = session.row(contract.compose(REMAINS), ids=self.ids, transaction_id=self.sale.transaction_id)[
                "rows"
            ]
            _expect(remains == 0, f"{remains} rows remain")
        return found

    def _replay(self, replay: engine.Replay, pipeline: Actor) -> list[str]:
        """Has the ETL load copies of earlier sales; their event ids, none where there are no such sales, or a key has no room for them."""

        def load(events: int) -> None:
            self.hurry()
            event_queue.load(self.session, events, pipeline, whole=True)

        if not replay.pairs:
            return []
        with self.step("load copies of earlier sales with the pipeline's ETL"):
            try:
                with self.session.savepoint():
                    replay.run(load, [self.session.facts.role, self.owner])
            except (errors.UniqueViolation, errors.ForeignKeyViolation, errors.ExclusionViolation):
                replay.pairs = []
                return []
            _expect(
                replay.taken > 0,
                "the ETL loaded none of them, although they were first in the queue",
            )
        self._require_written_bronze(replay.ids[0])
        self.compared = "earlier sales were loaded again as before"
        return replay.ids

    def _made_up(self, send: sql.Composed, pipeline: Actor) -> list[str]:
        event = self.ids[0]
        with self.step("load a made-up sale with the pipeline's ETL"):
            self._send(send, event, self.sale.payload())
            self._require_written_bronze(event)
            self._load_these([event], pipeline)
            _expect(not (lacking := self.missing()), lacking)
        self.compared = "a made-up sale was loaded; content not compared: no earlier sales"
        return [event]

    def _require_written_bronze(self, event: str) -> None:
        refused = bronze_writers.refused(self.session, bronze_writers.read(self.session), event)
        _expect(not refused, bronze_writers.in_words(refused))

    def refused(self, pipeline: Actor) -> psycopg.Error | None:
        """What the ETL itself says of a sale that it meets alone, or None; inside the caller's savepoint."""
        send = self._prepare()
        self.sale = dataclasses.replace(self.sale, ts=self.session.row(NOW)["ts"])
        self._send(send, self.ids[0], self.sale.payload())
        try:
            with self.session.savepoint():
                self._load_these(self.ids[:1], pipeline)
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
        self._send(send, self.ids[0], self.sale.payload())
        return self.ids[0]

    def _send_in_vain(self, send: sql.Composed) -> None:
        with self.session.savepoint():
            self._send(send, self.ids[0], self.sale.payload())
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

    @contextlib.contextmanager
    def _looking(self, doing: str) -> Generator[None]:
        with self.session.read(), self.step(doing):
            yield

    def _send(self, send: sql.Composed, event_id: str, payload: dict[str, t.Any]) -> None:
        values = {"event_id": uuid.UUID(event_id), "payload": Jsonb(payload), "moment": self.moment}
        done = self.session.execute(send, event_type=contract.names().transaction_event, **values)
        _expect(done == 1, "bronze did not store it")

    def _load_these(self, ids: list[str], pipeline: Actor) -> None:
        """Has the ETL load these events, which are pending, before all others."""
        session = self.session
        ahead = session.rows(event_queue.of_pending(AHEAD), moment=self.moment, ids=[*self.ids, *ids])
        others = [row["event_id"] for row in ahead]
        session.execute(contract.compose(event_queue.HOLD_BACK_THESE), ids=others)
        self.hurry()
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


def source() -> str:
    """What a sale is tried on, in words."""
    names = contract.names()
    return f"{names.bronze} to {names.line_items} by {names.etl}, rolled back"


def refused(session: Session, *, seconds: float, pipeline: Actor) -> psycopg.Error | None:
    """What the ETL says of a known-good test sale, within the caller's transaction, in which nothing of it remains;
    raises nothing for it. None where it is loaded, where it cannot be tried, and where something else blocks it:
    then nothing is known."""
    said: psycopg.Error | None = None
    try:
        with session.savepoint():
            if apart.shadow(session, written()):
                return None
            said = Trial(session, seconds, "").refused(pipeline)
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
