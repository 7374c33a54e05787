# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A sample of the rows of a database in a scratch copy of its schema, with all rows that these refer to."""

from __future__ import annotations

import collections
import dataclasses
import itertools
import typing as t

from ...postgres.driver import sql
from ...postgres.session import EXACTLY
from ...scout.row_images import literal, named
from .. import as_owner
from ..ddl.statement import Lock, Statement

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ...postgres.session import Session

#: Of data that is kept, all of the capture is copied, up to so many rows; and references are followed so often.
MOST_KEPT: t.Final = 100_000
ROUNDS: t.Final = 50
BATCH: t.Final = 500
KEPT: t.Final = ("scout_ops", "protected_data")

#: Tables that hold rows themselves, those of extensions left out.
TABLES: t.Final = """
SELECT c.oid::bigint AS oid, n.nspname::text AS schema, c.relname::text AS name,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' ORDER BY a.attnum) AS columns,
       ARRAY(SELECT c.oid::bigint UNION SELECT a.relid::oid::bigint FROM pg_catalog.pg_partition_ancestors(c.oid) AS a) AS wholes
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence <> 't' AND NOT starts_with(n.nspname, 'pg_') AND n.nspname NOT IN ('information_schema', 'cron')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
                  AND d.objid = c.oid AND d.deptype = 'e')
ORDER BY c.oid
"""
#: References that hold for all rows. Those of partitions are their table's.
REFERENCES: t.Final = """
SELECT o.conrelid::bigint AS of, o.confrelid::bigint AS to, o.oid::bigint AS oid,
       ARRAY(SELECT a.attname::text FROM unnest(o.conkey) WITH ORDINALITY AS k (n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.conrelid AND a.attnum = k.n ORDER BY k.place) AS columns,
       ARRAY(SELECT a.attname::text FROM unnest(o.confkey) WITH ORDINALITY AS k (n, place)
             JOIN pg_catalog.pg_attribute AS a ON a.attrelid = o.confrelid AND a.attnum = k.n ORDER BY k.place) AS there,
       m.nspname::text AS to_schema, p.relname::text AS to_name
FROM pg_catalog.pg_constraint AS o
JOIN pg_catalog.pg_class AS p ON p.oid = o.confrelid JOIN pg_catalog.pg_namespace AS m ON m.oid = p.relnamespace
WHERE o.contype = 'f' AND o.convalidated AND o.conparentid = 0
ORDER BY o.oid
"""
SOME: t.Final = "SELECT r.ctid::text AS at FROM ONLY {table} AS r WHERE {which} LIMIT {most}"
#: The rows to which some rows refer, wherever in a partitioned table they are.
REFERRED: t.Final = """
SELECT DISTINCT p.tableoid::bigint AS of, p.ctid::text AS at FROM ONLY {table} AS r JOIN {to} AS p ON {same}
WHERE r.ctid = ANY(%(at)s::tid[])
"""
ROWS: t.Final = "SELECT r::text AS row FROM ONLY {table} AS r WHERE r.ctid = ANY(%(at)s::tid[])"

#: Rows by the table they are in, and their place in it.
Picked = dict[int, set[str]]


@dataclasses.dataclass(frozen=True)
class Table:
    """A table with rows, as it is called, and the columns that are given values."""

    schema: str
    name: str
    columns: Sequence[str]
    #: Itself, and the partitioned tables of which it is a partition.
    wholes: Sequence[int]

    @property
    def identifier(self) -> sql.SQL:
        """As SQL writes it."""
        return named(self.schema, self.name)


def copy(session: Session, scratch: Session, rows: int, capture_id: str) -> int:
    """Copies so many rows of each table that the copy has, what these refer to, and the data that a capture keeps; returns how
    many. The copy has no keys, references and triggers yet."""
    with scratch.read():
        there = {(table.schema, table.name) for table in _tables(scratch).values()}
    copied = 0
    with session.read():
        session.execute(EXACTLY)
        tables = {oid: table for oid, table in _tables(session).items() if (table.schema, table.name) in there}
        picked = _picked(session, tables, rows, capture_id)
        with scratch.write():
            scratch.execute(EXACTLY)
            for oid in sorted(picked):
                for batch in itertools.batched(sorted(picked[oid]), BATCH):
                    copied += _copied(session, scratch, tables[oid], batch)
    return copied


def _tables(session: Session) -> dict[int, Table]:
    return {
        row["oid"]: Table(row["schema"], row["name"], row["columns"], row["wholes"]) for row in session.rows(TABLES)
    }


def _picked(session: Session, tables: Mapping[int, Table], rows: int, capture_id: str) -> Picked:
    """The first rows of each table, and those to which they refer, step by step."""
    picked: Picked = collections.defaultdict(set)
    for oid, table in tables.items():
        kept = (table.schema, table.name) == KEPT
        if table.schema == KEPT[0] and not kept:
            continue
        which = sql.SQL("r.capture_id::text = {}").format(literal(capture_id)) if kept else sql.SQL("true")
        most = sql.SQL(t.cast("t.LiteralString", str(MOST_KEPT if kept else rows)))
        query = sql.SQL(SOME).format(table=table.identifier, which=which, most=most)
        picked[oid] = {row["at"] for row in session.rows(query)}
    references = session.rows(REFERENCES)
    fresh = {oid: set(places) for oid, places in picked.items()}
    for _ in range(ROUNDS):
        found: Picked = collections.defaultdict(set)
        for oid, at in _referred(session, references, tables, fresh):
            if oid in tables and at not in picked[oid]:
                found[oid].add(at)
        if not found:
            break
        for oid, places in found.items():
            picked[oid] |= places
        fresh = dict(found)
    return picked


def _referred(
    session: Session,
    references: Sequence[Mapping[str, t.Any]],
    tables: Mapping[int, Table],
    fresh: Mapping[int, set[str]],
) -> Iterator[tuple[int, str]]:
    """The rows to which these refer. The rows of a partitioned table are those of its partitions."""
    for each in references:
        pairs = zip(each["columns"], each["there"], strict=True)
        same = sql.SQL(" AND ").join(sql.SQL("{} = {}").format(named("p", b), named("r", a)) for a, b in pairs)
        to = named(each["to_schema"], each["to_name"])
        for oid, places in fresh.items():
            if places and each["of"] in tables[oid].wholes:
                query = sql.SQL(REFERRED).format(table=tables[oid].identifier, to=to, same=same)
                yield from ((row["of"], row["at"]) for row in session.rows(query, at=sorted(places)))


def _copied(session: Session, scratch: Session, table: Table, places: Sequence[str]) -> int:
    found = [row["row"] for row in session.rows(sql.SQL(ROWS).format(table=table.identifier), at=list(places))]
    if found and table.columns:
        # As the owner of the table, whose checks are called; all that is new in it is ours.
        name, listed = sql.Identifier(table.schema, table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
        values = sql.SQL(", ").join(sql.SQL("(w.r).{}").format(sql.Identifier(column)) for column in table.columns)
        statement = sql.SQL(
            "INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM (SELECT x::{} AS r FROM unnest({}::pg_catalog.text[]) AS x) AS w"
        ).format(name, listed, values, name, sql.Literal(found))
        as_owner.execute(scratch, Statement(statement, Lock.ROW_EXCLUSIVE, runs_as=name.as_string()), {})
    return len(found)
