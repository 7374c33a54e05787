# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exchanges the rows of items: recorded first, then done, then both proved equal."""

from __future__ import annotations

import functools
import typing as t

from ...core.errors import NotConverged
from ...postgres.driver import Jsonb, sql
from ...scout import contract
from ...scout.loadable import sale
from ...scout.row_images import digest
from ..engine.siblings import touched_by
from .planner import TABLES, Current, Item, Rows, Swap

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ...postgres.session import Row, Session
    from ...scout.row_images import Table, Tables
    from .sources import Source

#: Keys and digests of all rows of the items.
ROWS = """
WITH items AS ({items})
SELECT i.item, i.moved, side.name AS side, part.key AS table, r.image ->> keys.name AS key, jsonb_hash_extended(r.image, 0)::text AS digest,
       CASE WHEN i.removed #>> '{{events,0,event_type}}' = {transaction_event} THEN i.transaction_id END AS transaction
FROM items AS i
CROSS JOIN LATERAL (VALUES ('removed', i.removed), ('added', i.added)) AS side (name, parts)
CROSS JOIN LATERAL jsonb_each(side.parts) AS part
CROSS JOIN LATERAL jsonb_array_elements(part.value) AS r (image)
JOIN unnest(%(tables)s::text[], %(keys)s::text[]) AS keys (part, name) ON keys.part = part.key
"""

#: Events that stayed, still marked, while the silver made of them was moved.
NEEDS = """
SELECT d.dlq_id::text AS item, ARRAY(SELECT jsonb_array_elements_text(d.error_details -> 'marked')) AS events
FROM {dead_letters} AS d WHERE d.dlq_id = ANY(%(items)s::uuid[]) AND d.error_details ? 'marked'
"""

NOW = "SELECT {key}::text AS key, jsonb_hash_extended({image}, 0)::text AS digest FROM {table} AS r WHERE {key} = ANY(%(wanted)s::{type}[])"

LINES_NOW = """
SELECT r.transaction_id, r.line_id::text AS key FROM {line_items} AS r WHERE r.transaction_id = ANY(%(transactions)s)
"""

FEEDERS = """
SELECT k.transaction_id, k.event_id::text AS event_id FROM scout_ops.related_events AS k JOIN {etl_ledger} AS p USING (event_id)
WHERE k.run_id = %(run_id)s AND k.transaction_id = ANY(%(transactions)s)
UNION
SELECT {sale}, b.event_id::text FROM {etl_ledger} AS p JOIN {bronze} AS b USING (event_id)
WHERE p.processed_at >= %(since)s AND {sale} = ANY(%(transactions)s)
"""

#: The same found by reading bronze, where nothing was noted beforehand.
FEEDERS_SCANNED = """
SELECT {sale} AS transaction_id, b.event_id::text AS event_id
FROM {bronze} AS b JOIN {etl_ledger} AS p USING (event_id) WHERE {sale} = ANY(%(transactions)s)
"""

THERE = "SELECT t.transaction_id FROM {transactions} AS t WHERE t.transaction_id = ANY(%(transactions)s)"

#: Transactions of an origin that is neither in bronze nor among these events.
BY_HAND = """
SELECT t.transaction_id FROM {transactions} AS t
WHERE t.transaction_id = ANY(%(transactions)s)
  AND (t.source_event_id IS NULL OR t.source_event_id <> ALL(%(events)s::uuid[])
                                    AND NOT EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = t.source_event_id))
"""

#: Days of silver that an exchange changes.
DAYS = """
SELECT DISTINCT image ->> 'date_key' AS day
FROM scout_ops.images AS i CROSS JOIN LATERAL (VALUES (i.removed), (i.added)) AS side (parts)
CROSS JOIN LATERAL jsonb_array_elements(side.parts -> 'transactions') AS image WHERE i.item = ANY(%(written)s)
"""

TWINS = """
WITH items AS ({items})
SELECT (r.image ->> 'event_id') AS event_id, b.event_id::text AS twin
FROM items AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'events') AS r (image)
JOIN {bronze} AS b ON b.event_hash = (r.image ->> 'event_hash')::bytea AND b.event_id::text <> r.image ->> 'event_id'
"""

RETURNING = """
SELECT r.image ->> 'event_id' AS event_id
FROM ({items}) AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'events') AS r (image)
WHERE r.image ->> 'event_id' = ANY(%(absent)s)
"""

#: Those of the events that nothing here has moved and that a partitioned bronze has no more: retention drops whole partitions.
RETIRED = """
SELECT w.event_id FROM unnest(%(absent)s::text[]) AS w (event_id)
WHERE EXISTS (SELECT FROM pg_catalog.pg_partitioned_table AS p WHERE p.partrelid = %(bronze)s::regclass)
  AND NOT EXISTS (SELECT FROM {dead_letters} AS d WHERE d.error_details #>> '{{event,event_id}}' = w.event_id)
  AND NOT EXISTS (SELECT FROM scout_ops.images AS i WHERE i.event_id = w.event_id::uuid)
"""

#: The journal of an exchange: the rows that go as they are now, the rows that come as the item has them. What is wanted of an item is
#: looked up, not joined: PostgreSQL takes a document for a hundred rows, and would compare each item with each of thousands.
WRITE_DOWN = """
WITH items AS ({items}), wanted AS (SELECT %(swaps)s::jsonb AS of)
INSERT INTO scout_ops.images (run_id, dlq_id, event_id, transaction_id, removed, added)
SELECT %(run_id)s, i.dlq_id, i.event_id, i.transaction_id, jsonb_build_object({removed}),
       (SELECT coalesce(jsonb_object_agg(part.key, (
            SELECT coalesce(jsonb_agg(r.image), '[]') FROM jsonb_array_elements(part.value) AS r (image)
            WHERE w.put -> part.key ? (r.image ->> keys.name))), '{{}}')
        FROM jsonb_each(i.removed) AS part
        JOIN unnest(%(tables)s::text[], %(keys)s::text[]) AS keys (part, name) ON keys.part = part.key)
FROM wanted CROSS JOIN items AS i
CROSS JOIN LATERAL (SELECT wanted.of -> i.item -> 'take' AS take, wanted.of -> i.item -> 'put' AS put) AS w
WHERE wanted.of ? i.item
ORDER BY i.item
RETURNING item
"""

REMOVED_PART = """{name}, coalesce((SELECT jsonb_agg({image}) FROM {table} AS r
    WHERE {key} = ANY(ARRAY(SELECT jsonb_array_elements_text(w.take -> {name}))::{type}[])), '[]')"""

#: Takes rows out by the journal; counts and digests on both sides.
TAKE = """
WITH written AS (
    SELECT r.image FROM scout_ops.images AS i CROSS JOIN LATERAL jsonb_array_elements(i.removed -> {name}) AS r (image)
    WHERE i.item = ANY(%(written)s)
), gone AS (
    DELETE FROM {table} AS r WHERE {key} = ANY(ARRAY(SELECT (image ->> {key_name})::{type} FROM written)) RETURNING {image} AS image
)
SELECT (SELECT count(*) FROM written) AS written, (SELECT {digest} FROM written) AS written_digest,
       (SELECT count(*) FROM gone) AS done, (SELECT {digest} FROM gone) AS done_digest
"""

PUT = """
WITH written AS (
    SELECT r.image FROM scout_ops.images AS i CROSS JOIN LATERAL jsonb_array_elements(i.added -> {name}) AS r (image)
    WHERE i.item = ANY(%(written)s)
), back AS (
    INSERT INTO {table} AS r ({targets}) OVERRIDING SYSTEM VALUE SELECT {values} FROM written RETURNING {image} AS image
)
SELECT (SELECT count(*) FROM written) AS written, (SELECT {digest} FROM written) AS written_digest,
       (SELECT count(*) FROM back) AS done, (SELECT {digest} FROM back) AS done_digest
"""

UNDONE_ITEMS = "UPDATE scout_ops.images SET undone_by = %(run_id)s WHERE item = ANY(%(items)s::bigint[])"

TYPES: t.Final = {"dead_letters": "uuid", "events": "uuid", "transactions": "text", "lines": "uuid", "ledger": "uuid"}


class Journal:
    """Exchanges the rows of items on behalf of the run `run_id`."""

    def __init__(self, session: Session, tables: Tables, run_id: str, source: Source) -> None:
        self.session = session
        self.run_id = run_id
        self.source = source
        self.tables: dict[str, Table] = {
            "dead_letters": tables.dead_letters,
            "events": tables.bronze,
            "transactions": tables.transactions,
            "lines": tables.lines,
            "ledger": tables.ledger,
        }
        self.since: t.Any = None
        #: Whether triggers of users may do more than a statement's RETURNING tells.
        self.triggers = True

    @functools.cached_property
    def items(self) -> sql.Composed:
        """The query of a batch of items."""
        kind = sql.SQL("uuid" if self.source.dead_letters else "bigint")
        return self.items_where(sql.SQL("{} = ANY(%(items)s::{}[])").format(self.source.key, kind))

    def items_where(self, where: sql.Composable) -> sql.Composed:
        """The query of the items that fulfil a condition."""
        return self.source.items(where, self.tables["dead_letters"])

    @property
    def names(self) -> dict[str, list[str]]:
        """Tables and their keys."""
        return {"tables": list(TABLES), "keys": [self.tables[name].key for name in TABLES]}

    def read(self, keys: Sequence[str]) -> list[Item]:
        """A batch of items, as keys and digests, in the order in which they were moved."""
        sides: dict[str, dict[str, Rows]] = {key: {"removed": {}, "added": {}} for key in keys}
        transactions: dict[str, str | None] = {}
        moved: dict[str, tuple[bool, t.Any]] = {}
        for row in self.session.rows(contract.compose(ROWS, items=self.items), items=list(keys), **self.names):
            sides[row["item"]][row["side"]].setdefault(row["table"], {})[row["key"]] = row["digest"]
            transactions[row["item"]] = row["transaction"]
            moved[row["item"]] = (True, row["moved"])
        needs: dict[str, tuple[str, ...]] = {}
        if self.source.dead_letters:
            needs = {
                row["item"]: tuple(row["events"])
                for row in self.session.rows(contract.compose(NEEDS), items=list(keys))
            }
        return [
            Item(key, sides[key]["removed"], sides[key]["added"], transactions.get(key), needs.get(key, ()))
            for key in sorted(sides, key=lambda key: moved.get(key, (False, None)))
        ]

    def current(self, items: Sequence[Item]) -> Current:
        """What the database holds now of all that concerns these items."""
        wanted: dict[str, set[str]] = {name: set() for name in TABLES}
        for item in items:
            for rows in (item.removed, item.added):
                for name, keys in rows.items():
                    wanted[name] |= set(keys)
            wanted["transactions"] |= {item.transaction} if item.transaction and item.returns_pending else set()
        needs = {event for item in items for event in item.needs}
        keys = [item.key for item in items]
        found = self.session.rows(contract.compose(TWINS, items=self.items), items=keys)
        twins = {row["event_id"]: row["twin"] for row in found}
        events = sorted({event for item in items for event in item.loaded} | set(twins.values()))
        # Those that fed the same transactions have to be there as well.
        wanted["events"] |= wanted["ledger"] | set(events) | needs
        wanted["ledger"] |= needs
        made_of: dict[str, str] = {}
        if events:
            touched = touched_by(self.session, events, [], None)
            made_of = dict(zip(touched["owners"], touched["transactions"], strict=True))
        transactions = sorted(wanted["transactions"] | set(made_of.values()))
        lines: dict[str, list[str]] = {}
        for row in self.session.rows(contract.compose(LINES_NOW), transactions=transactions):
            lines.setdefault(row["transaction_id"], []).append(row["key"])
        feeders = self._feeders(transactions)
        wanted["transactions"] |= set(made_of.values())
        wanted["lines"] |= {key for keys in lines.values() for key in keys}
        wanted["ledger"] |= set(events) | {event for found in feeders.values() for event in found}
        rows = {name: self._now(name, wanted[name]) for name in TABLES}
        here = {event for item in items for event in item.removed.get("events", {})}
        absent = wanted["ledger"] - set(rows["events"]) - here
        returning = self._returning(absent) | here
        retired = self._retired((wanted["ledger"] | needs) - set(rows["events"]) - returning)
        for item in items if retired else ():
            if item.transaction in rows["transactions"]:
                fed = {*item.removed.get("ledger", {}), *item.needs} & retired
                feeders.setdefault(item.transaction, set()).update(fed)
        by_hand = self.session.rows(
            contract.compose(BY_HAND), transactions=transactions, events=sorted({*here, *retired})
        )
        own = frozenset(row["transaction_id"] for row in by_hand)
        return Current(rows, lines, feeders, made_of, twins, returning, own, retired)

    def _returning(self, absent: set[str]) -> frozenset[str]:
        """Those of the events that the run's items in force restore."""
        if not absent:
            return frozenset()
        query = sql.SQL(RETURNING).format(items=self.items_where(self.source.condition))
        return frozenset(
            row["event_id"] for row in self.session.rows(query, absent=sorted(absent), **self.source.values)
        )

    def _retired(self, absent: set[str]) -> frozenset[str]:
        """Those of the events that retention has taken."""
        values = {"absent": sorted(absent), "bronze": contract.names().bronze}
        rows = self.session.rows(contract.compose(RETIRED), **values) if absent else []
        return frozenset(row["event_id"] for row in rows)

    def _feeders(self, transactions: list[str]) -> dict[str, set[str]]:
        feeders: dict[str, set[str]] = {}
        there = [row["transaction_id"] for row in self.session.rows(contract.compose(THERE), transactions=transactions)]
        if there:
            query = contract.compose(FEEDERS_SCANNED if self.since is None else FEEDERS, sale=sale("b"))
            for row in self.session.rows(query, run_id=self.run_id, transactions=there, since=self.since):
                feeders.setdefault(row["transaction_id"], set()).add(row["event_id"])
        return feeders

    def _now(self, name: str, keys: Iterable[str]) -> dict[str, str]:
        table, wanted = self.tables[name], sorted(keys)
        if not wanted:
            return {}
        query = sql.SQL(NOW).format(
            key=sql.Identifier("r", table.key), image=table.image("r"), table=table.identifier, type=_type(name)
        )
        return {row["key"]: row["digest"] for row in self.session.rows(query, wanted=wanted)}

    def exchange(self, swaps: Sequence[Swap], limit: Callable[[], None]) -> dict[str, t.Any]:
        """Records the swaps, does them, and proves both equal. Returns the rows put back and taken out by table, and
        the days of gold that this changes; raises NotConverged where the proof fails."""
        session = self.session
        limit()
        written = self._write_down(swaps)
        counts: dict[str, t.Any] = {"taken": {}, "put_back": {}}
        digests: dict[tuple[str, str], t.Any] = {}
        for side, statement, names in (("taken", TAKE, reversed(TABLES)), ("put_back", PUT, TABLES)):
            for name in names:
                if not any((swap.take if side == "taken" else swap.put)[name] for swap in swaps):
                    continue
                limit()
                found = session.row(self._statement(statement, name, written), written=written)
                _prove(found, self.tables[name].name, side, session.where)
                counts[side][name] = found["done"]
                digests[side, name] = found["done_digest"]
        if self.triggers:
            limit()
            self._prove_in_the_end(swaps, counts["put_back"], digests)
        counts["gold_days"] = [row["day"] for row in session.rows(DAYS, written=written)]
        if not self.source.dead_letters:
            session.execute(UNDONE_ITEMS, run_id=self.run_id, items=[swap.key for swap in swaps])
        return counts

    def _prove_in_the_end(
        self, swaps: Sequence[Swap], put_back: Mapping[str, int], digests: Mapping[tuple[str, str], t.Any]
    ) -> None:
        """The same proof once more by what the tables hold after all triggers have had their turn."""
        for name in TABLES:
            put = {key for swap in swaps for key in swap.put[name]}
            taken = {key for swap in swaps for key in swap.take[name]} - put
            now = self._now(name, put)
            found = {
                "written": put_back.get(name, 0),
                "written_digest": digests.get(("put_back", name), 0),
                "done": len(now),
                "done_digest": sum(map(int, now.values())),
            }
            _prove(found, self.tables[name].name, "put_back", self.session.where)
            left = {"written": 0, "written_digest": 0, "done": len(self._now(name, taken)), "done_digest": 0}
            _prove(left, self.tables[name].name, "left", self.session.where)

    def _write_down(self, swaps: Sequence[Swap]) -> list[int]:
        parts = [
            sql.SQL(REMOVED_PART).format(
                name=sql.Literal(name),
                image=table.image("r"),
                table=table.identifier,
                key=sql.Identifier("r", table.key),
                type=_type(name),
            )
            for name, table in self.tables.items()
        ]
        wanted = {
            swap.key: {
                "take": {name: sorted(keys) for name, keys in swap.take.items()},
                "put": {name: sorted(keys) for name, keys in swap.put.items()},
            }
            for swap in swaps
        }
        query = sql.SQL(WRITE_DOWN).format(items=self.items, removed=sql.SQL(", ").join(parts))
        keys = [swap.key for swap in swaps]
        rows = self.session.rows(query, items=keys, swaps=Jsonb(wanted), run_id=self.run_id, **self.names)
        return [row["item"] for row in rows]

    def _statement(self, statement: str, name: str, written: list[int]) -> sql.Composed:
        table = self.tables[name]
        return _of(statement, name, self._as_written(name, written) if statement is PUT else table)

    def _as_written(self, name: str, written: list[int]) -> Table:
        """The table with the columns the images have: one that was added since takes its default."""
        query = sql.SQL(
            "SELECT ARRAY(SELECT jsonb_object_keys(i.added -> {name} -> 0)) AS columns FROM scout_ops.images AS i"
            " WHERE i.item = ANY(%(written)s) AND jsonb_array_length(i.added -> {name}) > 0 LIMIT 1"
        ).format(name=sql.Literal(name))
        found = self.session.rows(query, written=written)
        return self.tables[name].like(found[0]["columns"]) if found else self.tables[name]


def take_written(session: Session, tables: Tables, name: str, written: list[int]) -> int:
    """Takes out the rows of one table that these items of the journal have as removed; proves that they were just that."""
    table: Table = getattr(tables, {"events": "bronze"}.get(name, name))
    found = session.row(_of(TAKE, name, table), written=written)
    _prove(found, table.name, "taken", session.where)
    return found["done"]


def _of(statement: str, name: str, table: Table) -> sql.Composed:
    return sql.SQL(t.cast("t.LiteralString", statement)).format(
        name=sql.Literal(name),
        table=table.identifier,
        key=sql.Identifier("r", table.key),
        key_name=sql.Literal(table.key),
        type=_type(name),
        image=table.image("r"),
        digest=digest(sql.Identifier("image")),
        targets=table.targets,
        values=table.values("image"),
    )


def _prove(found: Row, table: str, side: str, where: str) -> None:
    if found["written"] != found["done"] or found["written_digest"] != found["done_digest"]:
        raise NotConverged(
            f"stopped before a batch of {table} that could not be proved exact; it was rolled back",
            on=where,
            said=f"recorded {found['written']} rows ({found['written_digest']}), {side} {found['done']} ({found['done_digest']})",
            next_step=f"look for a trigger or rule on {table}",
        )


def _type(name: str) -> sql.SQL:
    return sql.SQL(t.cast("t.LiteralString", TYPES[name]))
