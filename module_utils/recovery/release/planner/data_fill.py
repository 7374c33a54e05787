# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored with data: tables and columns that are recreated from what was saved of them; pure."""

from __future__ import annotations

import itertools
import typing as t

from ...postgres.identifiers import unquoted
from ..captures.document import readable
from ..ddl import database_level
from ..ddl import tables as ddl_tables
from ..ddl.common import differing_as_written, parents
from ..ddl.registry import WRITERS
from ..ddl.statement import Cost, Lock, Statement, joined, phrase
from . import fill_statements, type_changes
from .diff import Changes
from .renames import before

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Piece
    from .fill_statements import Kept, Saved


class Filling(Changes):
    """The statements that make tables and columns, with the data that was kept."""

    def __init__(
        self,
        there: dict[str, Entry],
        wanted: Mapping[str, Entry],
        migrations_table: str,
        kept: Kept,
        *,
        exact_order: bool,
    ) -> None:
        super().__init__(there, wanted, migrations_table, exact_order=exact_order)
        self.kept = kept
        #: Keys of columns and tables whose kept data comes back.
        self.filled: set[str] = set()

    def table_with_rows(self, table: Entry) -> list[Statement]:
        """A table, with the rows that were kept of it."""
        columns = self.columns(table)
        made = ddl_tables.create_table(table, columns)
        saved = self.kept.tables.get(table.name)
        if saved and not table.facts.get("partition_key"):
            made[1:1] = self._filled(table, columns, saved)
            made += self.counted(columns)
        return made

    def _filled(self, table: Entry, columns: list[Entry], saved: Saved) -> list[Statement]:
        """Its rows; those of which not all columns were kept do not count as come back."""
        made = fill_statements.insert(table, columns, saved)
        if made and fill_statements.is_whole(columns, saved):
            self.filled.add(table.key)
        return made

    def late(self) -> dict[str, list[Statement]]:
        """The rows of tables that are made with their partitions, once these are there."""
        made: dict[str, list[Statement]] = {}
        for key in self.created - self.copied:
            entry = self.wanted[key]
            saved = self.kept.tables.get(entry.name) if entry.kind == "table" else None
            if saved and entry.facts.get("partition_key"):
                columns = self.columns(entry)
                made[key] = [*self._filled(entry, columns, saved), *self.counted(columns)]
        return made

    def column_with_values(self, column: Entry) -> list[Statement]:
        """A column of a table that stands, with what was kept of it."""
        saved = self.saved(column)
        if saved is None:
            return [*self.write("create", column), *self.counted([column])]
        self.filled.add(column.key)
        made = self.write("create", fill_statements.open_column(column))
        *quiet, update = fill_statements.update(column, saved, triggers=self._has_triggers(column.table))
        other = self.aside(column)
        made += [*quiet, *([fill_statements.take_over(column, other)] if other else []), update]
        return [*made, *fill_statements.close_column(column), *self.counted([column])]

    def refilled(self, key: str) -> list[Statement]:
        """What was kept of a column that another type could not hold, once it has its own again."""
        column = self.wanted[key]
        if column.kind != "column" or "type" not in differing_as_written(self.there[key], column):
            return []
        saved = self.saved(column)
        if saved is None:
            return []
        self.filled.add(key)
        return fill_statements.update(column, saved, triggers=self._has_triggers(column.table))

    def saved(self, column: Entry) -> Saved | None:
        """What was kept of a column, where its rows can be found again."""
        table = column.table
        saved = self.kept.tables.get(table)
        standing = {
            fill_statements.own_name(e)
            for e in self.columns_there.get(table, ())
            if e.key not in self.dropped or table_key(table) in self.copied
        }
        usable = (
            fill_statements.usable(saved, [fill_statements.own_name(column)], standing)
            and column.facts.get("generated") is None
        )
        return saved if usable else None

    def aside(self, column: Entry) -> Entry | None:
        """The column that was added under its name when it was gone, which has values of rows that were not kept."""
        relation, own = column.table, column.own
        other = self.there.get(f"column:{relation}.{before(own)}") if column.key in self.created else None
        return other if other and other.facts["type"] == column.facts["type"] else None

    def _has_triggers(self, table: str) -> bool:
        below = {e.name for e in self.wanted.values() if e.kind == "table" and table in self.ancestors(e)} | {table}
        entries = itertools.chain(self.there.values(), self.wanted.values())
        return any(e.kind == "trigger" and e.facts["relation"] in below for e in entries)

    def counted(self, columns: Iterable[Entry]) -> list[Statement]:
        """The sequences of columns that count by themselves: where they stood, or past what the columns hold."""
        made: list[Statement] = []
        for column in columns:
            identity: dict[str, t.Any] = column.facts.get("identity") or {}
            own = identity.get("sequence")
            if own and own in self.kept.counters:
                made.append(fill_statements.count_on(own, self.kept.counters[own]))
            elif own:
                made += self.counted_past(own, column)
        return made

    def counted_past(self, sequence: str, column: Entry) -> list[Statement]:
        """A sequence that was recreated gives no value that its column has."""
        known = sequence in self.kept.counters or column.facts["type"] not in type_changes.WHOLE
        return [] if known else [fill_statements.count_past(sequence, column)]

    def comes_back_empty(self) -> Iterator[str]:
        """What had data, is restored, and has none."""
        for key in sorted(self.created - self.filled):
            entry = self.wanted[key]
            table = table_key(entry.table)
            if entry.kind == "table" and key not in self.copied and not entry.facts.get("partition_key"):
                yield key
            elif entry.kind == "column" and key not in self.there and entry.facts.get("generated") is None:
                yield from (
                    () if (table in self.created and table not in self.copied) or self.from_parent(entry) else (key,)
                )

    def rows_of(self, table: Entry, columns: Iterable[Entry], old: str) -> list[Statement]:
        """The rows of the table that goes, with what was kept of the columns that come back."""
        own = {e.key: e.own for e in columns if e.facts.get("generated") is None}
        values: dict[str, Piece] = {key: f"r.{each}{self._cast(key)}" for key, each in own.items() if key in self.there}
        source: Piece = f"{old} AS r"
        takes = None
        for key in own.keys() - values.keys():
            if saved := self.saved(self.wanted[key]):
                other = self.aside(self.wanted[key])
                values[key] = fill_statements.chosen(self.wanted[key], f"r.{other.own}" if other else "")
                source = fill_statements.with_kept(old, saved)
                takes = saved.where
                self.filled.add(key)
        if not values:
            return []
        listed, selected = joined(", ", (own[key] for key in values)), joined(", ", values.values())
        pieces = (table.name, listed, selected, source)
        text = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}", *pieces)
        return [Statement(text, Lock.ACCESS_EXCLUSIVE, Cost.REWRITES, runs_as=table.name, takes=takes)]

    def _cast(self, key: str) -> str:
        """What gives a value another type, where it has one."""
        before, after = self.there[key].facts["type"], self.wanted[key].facts["type"]
        return "" if before == after else f"::{after}"

    def fills_of(self, relation: str) -> Iterator[tuple[str, str]]:
        """What fills columns of a table or of its parents."""
        table = self.wanted.get(table_key(relation))
        above = {relation, *(self.ancestors(table) if table else ())}
        for key in self.filled:
            if key.startswith("column:") and self.wanted[key].table in above:
                yield from (("create", key), ("alter", key))

    def from_parent(self, column: Entry) -> bool:
        """Whether it is added, or dropped, with the one of its parent."""
        table, own = column.table, column.own
        entry = self.wanted.get(f"table:{table}") or self.there.get(f"table:{table}")
        changed = {f"column:{parent}.{own}" for parent in parents(entry)} if entry else set[str]()
        return bool(changed & (self.created if column.key in self.created else self.dropped))

    def columns(self, table: Entry) -> list[Entry]:
        """The columns of a table that is made, in their order."""
        found = {unquoted(e.own): e for e in self.columns_wanted.get(table.name, ())}
        return [found[each] for each in table.facts.get("column_order", ()) if each in found]

    def write(self, does: str, entry: Entry) -> list[Statement]:
        """The statements that make or drop an entry by itself."""
        if entry.kind == "migration":
            made = database_level.insert_row if does == "create" else database_level.delete_row
            return made(entry, self.migrations_table)
        writer = WRITERS.get(entry.kind)
        if writer is None:
            self.impossible.append(f"{readable(entry.key)} can be neither created nor dropped here")
            return []
        return writer.create(entry) if does == "create" else writer.drop(entry)


def table_key(name: str) -> str:
    """The key of a table by its name."""
    return f"table:{name}"
