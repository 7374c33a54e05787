# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Load two copies of sales that were loaded before, and compare the rows; inside a transaction that the caller rolls back.

The copies have transaction ids and event ids of their own, and the arrival time of their original; the second of the two arrives an
hour earlier, so that a column made of the arrival time differs between them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t
import uuid

from ...core.errors import NotConverged
from ...postgres import acting
from ...postgres.driver import Jsonb, psycopg, sql
from ...postgres.plain import named
from ...scout import contract, event_queue, row_images
from . import changes, sample
from .changes import LINES, ROW, Change, Point

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...postgres.acting import Actor
    from ...postgres.session import Row, Session
    from ...scout.row_images import Table
    from .sample import Sale

#: Columns of bronze that a copy has as its original has them: none that PostgreSQL fills, and none that is unique and has a default.
COPIED = """
SELECT a.attname::text AS name FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = to_regclass(%(bronze)s) AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND a.attidentity = ''
  AND a.attname <> ALL(%(own)s) AND NOT (a.atthasdef AND EXISTS (
      SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique AND a.attnum = ANY(i.indkey)))
ORDER BY a.attnum
"""
OWN: t.Final = ("event_id", "event_data", "event_hash", "ingested_at")
SEND: t.Final = """
INSERT INTO {bronze} (event_id, event_data, event_hash, ingested_at{columns})
SELECT k.event_id, d.d, CASE WHEN b.event_hash IS NOT NULL THEN {hash} END, k.at{values}
FROM jsonb_to_recordset(%(copies)s) AS k (event_id uuid, "like" uuid, sale jsonb, at timestamptz)
JOIN {bronze} AS b ON b.event_id = k."like"
CROSS JOIN LATERAL (SELECT b.event_data || jsonb_build_object('transaction_id', k.sale) AS d) AS d
ORDER BY k.at, k.event_id
"""
#: Copies that are in bronze, as they were sent.
ARRIVED: t.Final = """
SELECT count(*) AS events FROM jsonb_to_recordset(%(copies)s) AS k (event_id uuid, "like" uuid, sale jsonb)
JOIN {bronze} AS b ON b.event_id = k.event_id JOIN {bronze} AS o ON o.event_id = k."like"
WHERE b.event_data = o.event_data || jsonb_build_object('transaction_id', k.sale) AND b.event_type = o.event_type
"""
#: The events arrive in the order of the ids, the last one now, so that an ETL that takes few of them completes sales.
RETIMED: t.Final = """
UPDATE {bronze} AS b SET ingested_at = now() - (cardinality(%(ids)s::uuid[]) - i.n) * interval '1 microsecond'
FROM unnest(%(ids)s::uuid[]) WITH ORDINALITY AS i (event_id, n) WHERE b.event_id = i.event_id
"""
ROWS: t.Final = (
    "SELECT s.xmin::text AS written_by, {image} AS image FROM {table} AS s WHERE s.transaction_id = ANY(%(names)s)"
)
ENUMS = "SELECT pg_catalog.format_type(oid, NULL) AS name FROM pg_catalog.pg_type WHERE typtype = 'e'"
NOW = "SELECT transaction_timestamp() AS began, clock_timestamp() AS now"

EARLIER: t.Final = datetime.timedelta(minutes=61)
MOST_LINKED: t.Final = 1000
#: In which order the line items of a sale are compared.
ORDER: t.Final = ("line_sequence", "product_id")


@dataclasses.dataclass(frozen=True)
class Copy:
    """A copy of one event."""

    event_id: str
    like: str
    transaction_id: str | int
    at: datetime.datetime

    def as_json(self) -> dict[str, t.Any]:
        """As SEND reads it."""
        return {"event_id": self.event_id, "like": self.like, "sale": self.transaction_id, "at": self.at.isoformat()}


@dataclasses.dataclass(frozen=True)
class Pair:
    """A sale and its two copies, each with its events."""

    sale: Sale
    names: tuple[str, str]
    copies: tuple[tuple[Copy, ...], tuple[Copy, ...]]

    @property
    def ids(self) -> list[str]:
        """The events of both copies."""
        return [copy.event_id for events in self.copies for copy in events]


@dataclasses.dataclass
class Replay:
    """The replay of some sales: `run` loads their copies, `compare` says what changed.

    `batch` is how many events one call of the ETL took while more were pending, None where it took all of them.
    """

    session: Session
    reference: sample.Reference
    meant: Sequence[str] = ()
    pairs: list[Pair] = dataclasses.field(default_factory=list[Pair])
    batch: int | None = None
    passed_over: list[Pair] = dataclasses.field(default_factory=list[Pair])
    #: How many events were taken within two calls.
    taken: int = 0
    #: Sales of which not all events were.
    left: set[str] = dataclasses.field(default_factory=set[str])
    retimed: bool = False
    #: The columns that product linking fills, by table.
    linked: set[tuple[str, str]] = dataclasses.field(default_factory=set[tuple[str, str]])

    def prepare(self, age: int) -> None:
        """Chooses sales and names for their copies."""
        session = self.session
        self.tables = row_images.tables(session)
        chosen = sample.choose(session, self.tables, age, self.reference)
        names = sample.new_names(session, chosen)
        self.pairs = [_pair(each, names[each.transaction_id]) for each in chosen if each.transaction_id in names]
        # A job may change the originals as well.
        self.originals = self._read([pair.sale.transaction_id for pair in self.pairs])
        self.enums = [row["name"] for row in session.rows(ENUMS)]

    @property
    def ids(self) -> list[str]:
        """All copies' events."""
        return [event_id for pair in self.pairs for event_id in pair.ids]

    @property
    def names(self) -> list[str]:
        """All copies' transaction ids."""
        return [name for pair in self.pairs for name in pair.names]

    def run(self, load: Callable[[int], None], roles: Sequence[str]) -> None:
        """Sends the copies as the first of these roles that may, and has `load` call the ETL, at most twice, while nothing else is pending
        that arrived before the last of them. `load` is given how many events are pending.

        Raises psycopg's error where bronze refuses them, and NotConverged where they do not stay in it.
        """
        first, second = (
            [copy for pair in self.pairs for events in pair.copies for copy in events[n : n + 1]] for n in (0, 1)
        )
        self._send(first, roles)
        held = self._hold_back(first)
        load(len(first))
        left = self._not_taken(first)
        if left:
            self.session.execute(contract.compose(RETIMED), ids=self._ordered_by_sale(left))
            self.retimed = True
        if second:
            self._send(second, roles)
        if left or second:
            held += self._hold_back([*first, *second])
            load(len(left) + len(second))
        self.session.execute(contract.compose(event_queue.LET_GO), ids=held)
        remaining = set(self._not_taken([*first, *second]))
        taken, again = len(first) - len(left), len(left) + len(second) - len(remaining)
        self.taken = taken + again
        if left and again:
            self.batch = max(taken, again)
        # With room for more than it took, the ETL passes over the rest.
        full = bool(remaining) and again > 0 and again >= taken
        for pair in self.pairs:
            if remaining & set(pair.ids):
                if not full:
                    self.passed_over.append(pair)
                self.left.add(pair.sale.transaction_id)

    def _ordered_by_sale(self, left: Sequence[str]) -> list[str]:
        """Return the events sale by sale, the sales that lack the fewest first."""
        ids = set(left)
        pairs = [[event_id for event_id in pair.ids if event_id in ids] for pair in self.pairs]
        return [event_id for pair in sorted(pairs, key=len) for event_id in pair]

    def _send(self, copies: Sequence[Copy], roles: Sequence[str]) -> None:
        session, names = self.session, contract.names()
        rows = session.rows(COPIED, bronze=names.bronze, own=list(OWN))
        columns = sql.Composed([sql.SQL(", {}").format(named(row["name"])) for row in rows])
        values = sql.Composed([sql.SQL(", b.{}").format(named(row["name"])) for row in rows])
        query = contract.compose(
            SEND, columns=columns, values=values, hash=event_queue.hash_of(session, sql.SQL("d.d"))
        )
        sent = Jsonb([copy.as_json() for copy in copies])
        refused: psycopg.Error | None = None
        for role in roles:
            try:
                with session.savepoint(), acting.as_role(session, role):
                    session.execute(query, copies=sent)
                    arrived = session.row(contract.compose(ARRIVED), copies=sent)["events"]
            except psycopg.Error as e:
                if session.connection.closed:
                    raise
                refused = refused or e
                continue
            if arrived < len(copies):
                said = f"{len(copies) - arrived} of {len(copies)} copies of loaded events are missing from it, or were altered"
                raise NotConverged(f"could not store events in {names.bronze}", said=said)
            return
        if refused:
            raise refused

    def _hold_back(self, copies: Sequence[Copy]) -> list[str]:
        ids = [copy.event_id for copy in copies]
        return [
            row["event_id"] for row in self.session.rows(event_queue.of_pending(event_queue.HOLD_BACK_ALL_BUT), ids=ids)
        ]

    def _not_taken(self, copies: Sequence[Copy]) -> list[str]:
        ids = [copy.event_id for copy in copies]
        return event_queue.not_taken(self.session, ids, most=len(ids)) if ids else []

    def send_pending(self, most: int, roles: Sequence[str]) -> list[str]:
        """Sends copies of so many sales' first events once more, as if they arrived now; their event ids."""
        now: datetime.datetime = self.session.row(NOW)["began"]
        pairs = [
            _pair(p.sale, name)
            for p in self.pairs[-most:]
            for name in sample.new_names(self.session, [p.sale]).values()
        ]
        copies = [dataclasses.replace(pair.copies[0][0], at=now) for pair in pairs]
        self._send(copies, roles)
        return [copy.event_id for copy in copies]

    def compare(self, pipeline: Actor) -> list[Change]:
        """What the pipeline writes otherwise than before, but for what product linking fills later. With a release that was captured
        since the latest change, nothing."""
        if self.reference.accepted:
            return []
        self.linked = self._linked(pipeline)
        points = [
            Point(contract.names().transactions, ROW, "", *_known(pair.sale), _source(pair.sale), (None, None))
            for pair in self.passed_over
            if self.is_norm(pair.sale)
        ]
        pairs = [pair for pair in self.pairs if pair.sale.transaction_id not in self.left and self.is_norm(pair.sale)]
        return changes.judge([*points, *self._points(pairs)], enums=self.enums, meant=self.meant)

    def differs_from_rolled_back(self) -> bool:
        """Return whether a rolled-back release wrote a column differently than the ETL did before it and does now. Call it after
        `compare`."""
        since = self.reference.bad_since
        if since is None:
            return False
        pairs = [pair for pair in self.pairs if pair.sale.transaction_id not in self.left]
        return changes.differs_since(self._points(pairs), since, self.reference.bad_until, meant=self.meant)

    def _linked(self, pipeline: Actor) -> set[tuple[str, str]]:
        """The columns that product linking changes in the copies; it is rolled back."""
        before, found = self.rows(), set[tuple[str, str]]()
        link = contract.compose("SELECT FROM {link_function}({limit}::pg_catalog.int4)", limit=sql.Literal(MOST_LINKED))
        with contextlib.suppress(psycopg.Error), self.session.savepoint():
            acting.call(self.session, pipeline, link)
            for table, rows in self.rows().items():
                for name in self.names:
                    for old, new in zip(before[table].get(name, []), rows.get(name, []), strict=False):
                        found |= {
                            (table, column) for column, value in new["image"].items() if old["image"][column] != value
                        }
            raise psycopg.Rollback
        if self.session.connection.closed:
            raise NotConverged("the session ended while product linking was tried", on=self.session.where)
        return found

    def is_norm(self, sold: Sale) -> bool:
        """Whether a sale was not loaded by a release that was rolled back."""
        since, until = self.reference.bad_since, self.reference.bad_until
        return (
            since is None or sold.loaded_at <= since or (until is not None and sold.loaded_at >= until) or sold.by_today
        )

    def rows(self) -> dict[str, dict[str, list[Row]]]:
        """The rows of silver of all copies, and of their originals before anything was loaded, by table and transaction id."""
        copies = self._read(self.names)
        return {table: copies[table] | rows for table, rows in self.originals.items()}

    def _read(self, wanted: list[str]) -> dict[str, dict[str, list[Row]]]:
        return {table.name: self._rows(table, wanted) for table in (self.tables.transactions, self.tables.lines)}

    def _rows(self, table: Table, wanted: list[str]) -> dict[str, list[Row]]:
        query = sql.SQL(ROWS).format(image=table.image("s"), table=table.identifier)
        # An ETL that begins to change the case of an id still loads the sale.
        by_name = {changed: name for name in wanted for changed in (name.lower(), name.upper())} | {
            each: each for each in wanted
        }
        found: dict[str, list[Row]] = {}
        for row in self.session.rows(query, names=[*by_name]):
            found.setdefault(by_name[row["image"]["transaction_id"]], []).append(row)
        for rows in found.values():
            rows.sort(key=lambda row: [_sortable(row["image"].get(name)) for name in ORDER])
        return found

    def _points(self, pairs: Iterable[Pair]) -> Iterable[Point]:
        """What can be compared right after the load: rows that nothing has written since theirs."""
        moment = self.session.row(NOW)
        rows = self.rows()
        for table in (self.tables.transactions, self.tables.lines):
            kinds = {column.name: column.type for column in table.columns}
            as_loaded = [name for name in kinds if (table.name, name) not in self.linked]
            for pair in pairs:
                sold = pair.sale
                original, *copies = (rows[table.name].get(name, []) for name in (sold.transaction_id, *pair.names))
                known = (table.name, *_known(sold))
                if table is self.tables.transactions:
                    if not original or (sold.as_loaded and original[0]["written_by"] not in sold.written_by):
                        continue
                    if not copies[0] or not copies[1]:
                        yield Point(known[0], ROW, "", *known[1:], _source(sold), (None, None))
                        continue
                    yield Point(known[0], ROW, "", *known[1:], _source(sold), (_source(sold), _source(sold)))
                elif len({len(original), *map(len, copies)}) > 1:
                    if pair.names[0] in rows[self.tables.transactions.name]:
                        both = (str(len(copies[0])), str(len(copies[1])))
                        yield Point(known[0], LINES, "integer", *known[1:], str(len(original)), both)
                    continue
                else:
                    number = str(len(original))
                    yield Point(known[0], LINES, "integer", *known[1:], number, (number, number))
                for nth, row in enumerate(original):
                    if row["written_by"] in sold.written_by or not sold.as_loaded:
                        both = (copies[0][nth]["image"], copies[1][nth]["image"])
                        yield from self._of_row(pair, known, kinds, row["image"], both, moment, only=as_loaded)

    def compare_later(self, before: dict[str, dict[str, list[Row]]], period: datetime.timedelta) -> list[Change]:
        """Compare what a job that comes after the load made of the copies since `before`. A column that it fills is compared with the
        original's. One that it rewrites has changed if it rewrote no original of at least 20 that are older than twice its `period`."""
        if self.reference.accepted:
            return []
        moment, now = self.session.row(NOW), self.rows()
        filled, rewritten, usual = list[Point](), list[Point](), set[tuple[str, str]]()
        for table in (self.tables.transactions, self.tables.lines):
            kinds = {column.name: column.type for column in table.columns}
            rows, earlier = now[table.name], before[table.name]
            for pair in filter(lambda pair: self.is_norm(pair.sale), self.pairs):
                sold = pair.sale
                original, *copies = (
                    [row["image"] for row in rows.get(name, [])] for name in (sold.transaction_id, *pair.names)
                )
                as_loaded = [row["image"] for row in earlier.get(pair.names[0], [])]
                if len({len(original), len(as_loaded), *map(len, copies)}) > 1:
                    continue
                known = (table.name, *_known(sold))
                for nth, was in enumerate(original):
                    both = (copies[0][nth], copies[1][nth])
                    changed = [name for name in kinds if both[0][name] != as_loaded[nth][name]]
                    usual |= {(table.name, name) for name in changed if both[0][name] == was[name]}
                    fills = [name for name in changed if as_loaded[nth][name] != was[name]]
                    filled += self._of_row(pair, known, kinds, was, both, moment, only=fills)
                    if sold.loaded_at < moment["now"] - 2 * period:
                        kept = [name for name in changed if as_loaded[nth][name] == was[name]]
                        rewritten += self._of_row(pair, known, kinds, was, both, moment, only=kept)
        unusual = [point for point in rewritten if (point.table, point.column) not in usual]
        return [
            *changes.judge(filled, enums=self.enums, meant=self.meant),
            *changes.judge_rewritten(unusual, enums=self.enums, meant=self.meant),
        ]

    def _of_row(
        self,
        pair: Pair,
        known: tuple[str, str, datetime.datetime, bool, bool, bool],
        kinds: dict[str, str],
        original: dict[str, str | None],
        copies: tuple[dict[str, str | None], dict[str, str | None]],
        moment: Row,
        *,
        only: Iterable[str],
    ) -> Iterable[Point]:
        sold, began, now = pair.sale, moment["began"], moment["now"]
        before = changes.normalized(original, sold.transaction_id, [event.event_id for event in sold.events])
        a, b = (
            changes.normalized(row, name, [copy.event_id for copy in events])
            for row, name, events in zip(copies, pair.names, pair.copies, strict=True)
        )
        for name in only:
            kind = kinds[name]
            # The date of today is that of the sale as well, unless it arrives anew.
            if (
                before[name] != a[name]
                and changes.is_time(a[name], kind, began, now)
                and (kind != "date" or self.retimed)
            ):
                continue
            yield Point(known[0], name, kind, *known[1:], before[name], (a[name], b[name]))


def _known(sold: Sale) -> tuple[str, datetime.datetime, bool, bool, bool]:
    """What a point says of its sale."""
    return sold.transaction_id, sold.loaded_at, sold.by_today, sold.as_loaded, sold.rewritten


def _source(sold: Sale) -> str:
    return sold.events[0].source or "unknown"


def _sortable(value: str | None) -> tuple[int, str]:
    return (int(value), "") if value and value.isdigit() else (-1, value or "")


def _pair(sold: Sale, names: tuple[str | int, str | int]) -> Pair:
    first, second = (
        tuple(
            Copy(str(uuid.uuid4()), e.event_id, name, _shifted(e.ingested_at) if nth else e.ingested_at)
            for e in sold.events
        )
        for nth, name in enumerate(names)
    )
    return Pair(sold, (str(names[0]), str(names[1])), (first, second))


def _shifted(at: datetime.datetime) -> datetime.datetime:
    """An hour earlier, on the same day, where a partition for it is sure to exist."""
    return at - EARLIER if (at - EARLIER).date() == at.date() else at
