# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How to walk a table in small steps: along an index, by a list of keys, or block by block where no index helps."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ...postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session

#: A valid, whole index whose first column is the one asked for.
INDEXED = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
    JOIN pg_catalog.pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_catalog.pg_am AS m ON m.oid = c.relam AND m.amname = 'btree'
    WHERE i.indrelid = %(table)s::regclass AND a.attname = %(column)s AND i.indisvalid AND i.indpred IS NULL
) AS indexed
"""

IN_ORDER = "SELECT set_config('enable_sort', %(on)s, true), set_config('enable_bitmapscan', %(on)s, true)"

#: The greatest number of blocks of the table or one of its partitions.
BLOCKS = """
SELECT coalesce(max(pg_catalog.pg_relation_size(c.oid) / current_setting('block_size')::int), 0)::bigint AS blocks
FROM pg_catalog.pg_class AS c
WHERE c.oid = %(table)s::regclass
   OR c.oid IN (SELECT relid FROM pg_catalog.pg_partition_tree(%(table)s::regclass) WHERE isleaf)
"""

#: How many blocks are looked at together, to begin with, and how long looking for the next rows may take in one batch.
FIRST_REACH: t.Final = 4096
LOOK_SECONDS: t.Final = 0.1


@dataclasses.dataclass(frozen=True)
class Span:
    """A part of the way: a condition on the walked table with its values, and the cursor after it."""

    where: sql.Composed
    values: dict[str, t.Any]
    after: t.Any
    size: float
    #: Whether it is as long as was asked for, so that its time says something about the next size.
    full: bool = True
    divisible: bool = True


class Cursor(t.Protocol):
    """A way through a table; cursors go through JSON."""

    name: str
    first_size: float
    least_size: float

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:
        """The next part, about `size` long; None at the end."""
        ...

    def again(self, session: Session) -> t.Any:
        """Where to begin once more because rows came in late, or None when nothing of the selection is left."""
        ...


class Keys:
    """By a list of keys."""

    least_size = 1.0

    def __init__(self, column: sql.Identifier, keys: Sequence[str], kind: sql.SQL, first_rows: int = 500) -> None:
        self.name = "keys"
        self.column = column
        self.keys = keys
        self.kind = kind
        self.first_size = float(first_rows)

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:  # noqa: ARG002
        """The next keys of the list."""
        start = cursor or 0
        part = list(self.keys[start : start + max(1, int(size))])
        if not part:
            return None
        where = sql.SQL("{} = ANY(%(path_keys)s::{}[])").format(self.column, self.kind)
        return Span(where, {"path_keys": part}, start + len(part), len(part), len(part) >= int(size), len(part) > 1)

    def again(self, session: Session) -> None:  # noqa: ARG002
        """Every key has had its turn."""
        return


class Keyset:
    """Along an index in the order of (first, key); `descending` from the end."""

    least_size = 1.0

    def __init__(
        self,
        name: str,
        table: sql.Composable,
        columns: tuple[tuple[sql.Composable, str], ...],
        condition: sql.Composable,
        values: dict[str, t.Any],
        *,
        first_rows: int = 2000,
        most_rows: int = 150_000,
        descending: bool = False,
        sweep: bool = True,
    ) -> None:
        self.name = name
        self.table = table
        self.columns = columns
        self.condition = condition
        self.values = values
        self.first_size = float(first_rows)
        self.most_rows = most_rows
        self.descending = descending
        self.sweep = sweep

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:
        """The next rows in order, up to the one an OFFSET finds; so many rows on one timestamp are divided by key."""
        rows = min(self.most_rows, max(1, int(size)))
        beyond = self._compare("<" if self.descending else ">", "path_from") if cursor else sql.SQL("true").format()
        bound = {f"path_from{n}": value for n, value in enumerate(cursor or ())}
        edge = self._edge(session, beyond, bound, descending=self.descending, offset=rows - 1)
        full = edge is not None
        if edge is None:
            edge = self._edge(session, beyond, bound, descending=not self.descending, offset=0)
        if edge is None:
            return None
        upto = self._compare(">=" if self.descending else "<=", "path_to")
        bound |= {f"path_to{n}": value for n, value in enumerate(edge)}
        return Span(sql.SQL("{} AND {}").format(beyond, upto), bound, edge, rows, full, rows > 1)

    def _edge(
        self, session: Session, beyond: sql.Composable, bound: dict[str, t.Any], *, descending: bool, offset: int
    ) -> list[str] | None:
        """The place of the row that many rows on, as texts."""
        query = sql.SQL(
            "SELECT ARRAY[{texts}] AS edge FROM {table} WHERE {condition} AND {beyond}"
            " ORDER BY {order} OFFSET %(path_offset)s LIMIT 1"
        ).format(
            texts=sql.SQL(", ").join(sql.SQL("{}::text").format(column) for column, _ in self.columns),
            table=self.table,
            condition=self.condition,
            beyond=beyond,
            order=sql.SQL(", ").join(
                sql.SQL("{} {}").format(column, sql.SQL("DESC" if descending else "ASC")) for column, _ in self.columns
            ),
        )
        # In the order of the index, however few rows are expected: fetching and sorting all that is left would repeat with each step.
        session.execute(IN_ORDER, on="off")
        found = session.rows(query, **self.values, **bound, path_offset=offset)
        session.execute(IN_ORDER, on="on")
        return found[0]["edge"] if found else None

    def _compare(self, operator: str, name: str) -> sql.Composed:
        """A row comparison with bound values; an index on its first column alone serves it too."""
        left = sql.SQL(", ").join(column for column, _ in self.columns)
        right = sql.SQL(", ").join(
            sql.SQL("{}::{}").format(sql.Placeholder(f"{name}{n}"), sql.SQL(t.cast("t.Any", kind)))
            for n, (_, kind) in enumerate(self.columns)
        )
        return sql.SQL("({}) {} ({})").format(left, sql.SQL(t.cast("t.Any", operator)), right)

    def again(self, session: Session) -> t.Any:
        """From the beginning where something of the selection is still there."""
        if not self.sweep:
            return None
        query = sql.SQL("SELECT EXISTS (SELECT FROM {} WHERE {}) AS left").format(self.table, self.condition)
        with session.read():
            return () if session.row(query, **self.values)["left"] else None


class Blocks:
    """Block by block, as the rows lie on disk: reads a table without a fitting index once, whatever is selected."""

    name = "blocks"
    least_size = 1.0

    def __init__(
        self,
        table: str,
        alias: str,
        condition: sql.Composable,
        values: dict[str, t.Any],
        *,
        first_rows: int = 2000,
        most_rows: int = 150_000,
        end: int | None = None,
    ) -> None:
        self.table = table
        self.alias = sql.Identifier(alias)
        self.condition = condition
        self.values = values
        self.end = end
        self.most_rows = most_rows
        self.first_size = float(first_rows)
        self.reach = FIRST_REACH

    @property
    def source(self) -> sql.Composed:
        """The table under its alias."""
        return sql.SQL("{} AS {}").format(sql.Identifier(*self.table.split(".")), self.alias)

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:
        """The blocks up to the row of the selection that a look ahead finds; where there is none for long, they are passed."""
        if self.end is None:
            self.end = session.row(BLOCKS, table=self.table)["blocks"]
        start = stop = cursor or 0
        if start >= self.end:
            self.end = None
            return None
        rows = min(self.most_rows, max(1, int(size)))
        began = time.monotonic()
        while stop < self.end and time.monotonic() - began < LOOK_SECONDS:
            start, stop = stop, min(self.end, stop + self.reach)
            found, last = self._look(session, start, stop, rows)
            if found:
                full = found == rows
                stop = last + 1 if full else stop
                where, values = self._between(start, stop)
                return Span(where, values, stop, found, full, rows > 1)
        return Span(sql.SQL("false").format(), {}, stop, rows, full=False)

    def _look(self, session: Session, start: int, stop: int, rows: int) -> tuple[int, int]:
        """How many rows of the selection these blocks hold, at most so many, and the block of the last of those."""
        where, values = self._between(start, stop)
        query = sql.SQL(
            "SELECT count(*) AS found, (max(place)::text::point)[0]::bigint AS block"
            " FROM (SELECT {alias}.ctid AS place FROM {source} WHERE {where} AND {condition} LIMIT %(path_rows)s) AS places"
        ).format(alias=self.alias, source=self.source, where=where, condition=self.condition)
        began = time.monotonic()
        found = session.row(query, **self.values, **values, path_rows=rows)
        seconds = time.monotonic() - began
        if seconds > LOOK_SECONDS:
            self.reach = max(1, self.reach // 2)
        elif found["found"] < rows and seconds < LOOK_SECONDS / 4:
            self.reach *= 2
        return found["found"], found["block"] or 0

    def _between(self, start: int, stop: int) -> tuple[sql.Composed, dict[str, t.Any]]:
        where = sql.SQL("{a}.ctid >= %(path_from)s::tid AND {a}.ctid < %(path_to)s::tid").format(a=self.alias)
        return where, {"path_from": f"({start},0)", "path_to": f"({stop},0)"}

    def again(self, session: Session) -> t.Any:
        """From the first block that holds something of the selection."""
        query = sql.SQL(
            "SELECT (min({a}.ctid)::text::point)[0]::bigint AS block FROM {source} WHERE {condition}"
        ).format(a=self.alias, source=self.source, condition=self.condition)
        with session.read():
            return session.row(query, **self.values)["block"]


def indexed(session: Session, table: str, column: str) -> bool:
    """Whether a whole index leads with this column."""
    return session.row(INDEXED, table=table, column=column)["indexed"]
