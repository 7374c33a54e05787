# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A difference, and what becomes of each table with it, computed once for whoever fills and makes it; pure."""

from __future__ import annotations

import dataclasses
import functools
import typing as t
from collections import defaultdict

from ...postgres.identifiers import unquoted
from ..captures import new_partitions
from ..catalog.entries import column_key, table_key, tables_of
from ..ddl import partitions
from ..ddl.common import differing_as_written, parents
from .fill_statements import NOTHING, own_name, usable
from .renames import before

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Statement
    from .fill_statements import Kept, Saved

FOREIGN_KEY: t.Final = "foreign key"


@dataclasses.dataclass(frozen=True)
class TableChange:
    """What becomes of one table. Columns are meant by their keys."""

    #: As it is, under its name of the capture, and as it shall be; so are its columns.
    before: Entry | None = None
    after: Entry | None = None
    had: Mapping[str, Entry] = dataclasses.field(default_factory=dict[str, "Entry"])
    has: Mapping[str, Entry] = dataclasses.field(default_factory=dict[str, "Entry"])
    #: Whether it is made, and whether with the rows of the one that goes, for the order of its columns.
    made: bool = False
    copied: bool = False
    #: Of its columns.
    created: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    altered: frozenset[str] = frozenset()
    #: Those that are created, or dropped, with one of a parent that the table has before and after.
    following: frozenset[str] = frozenset()
    #: The parents that it shall have, and theirs; and itself with the tables whose rows will be a part of its own.
    ancestors: tuple[str, ...] = ()
    family: frozenset[str] = frozenset()
    #: What is kept of it.
    saved: Saved | None = None
    #: The default partition that takes its rows when it goes, and gives them when it comes.
    rest: Entry | None = None

    @functools.cached_property
    def columns(self) -> list[Entry]:
        """Those that it shall have, in their order."""
        own = {unquoted(e.own): e for e in self.has.values()}
        return [own[each] for each in (self.after.facts.get("column_order", ()) if self.after else ()) if each in own]

    @functools.cached_property
    def added(self) -> frozenset[str]:
        """Those that are added by themselves to a table that stands."""
        return frozenset() if self.made else self.created - self.following

    @functools.cached_property
    def uncomputed(self) -> frozenset[str]:
        """Those whose values are computed now, and shall not be."""
        both = self.had.keys() & self.has.keys()
        return frozenset(key for key in both if is_computed(self.had[key]) and not is_computed(self.has[key]))

    @functools.cached_property
    def retyped(self) -> frozenset[str]:
        """Those that get their type again, which may hold what another one could not, or values that are not computed."""
        typed = (key for key in self.altered if "type" in differing_as_written(self.had[key], self.has[key]))
        return self.altered & self.uncomputed | {*typed}

    @functools.cached_property
    def restorable(self) -> frozenset[str]:
        """Those of which something is kept, where rows that stand can be found again."""
        standing = [own_name(e) for key, e in self.had.items() if self.copied or key not in self.dropped]
        stored = ((key, [own_name(e)]) for key, e in self.has.items() if not is_computed(e))
        return frozenset(key for key, own in stored if usable(self.saved, own, standing))

    @functools.cached_property
    def aside(self) -> dict[str, Entry]:
        """What was added under the name of a column when that was gone, which has values of rows that were not kept."""
        names = ((key, column_key(self.has[key].table, before(self.has[key].own))) for key in self.created)
        found = ((key, self.had[other]) for key, other in names if other in self.had)
        return {key: other for key, other in found if other.facts["type"] == self.has[key].facts["type"]}


class Tables(dict[str, TableChange]):
    """By name; nothing becomes of what is none."""

    def __missing__(self, name: str) -> TableChange:
        return TableChange()


@dataclasses.dataclass(frozen=True)
class Diff:
    """From what there is to what is wanted: keys that are dropped, created and altered where they stand."""

    #: The entries of both sides, those that were renamed under their names of the capture.
    live: Mapping[str, Entry]
    wanted: Mapping[str, Entry]
    #: The data that can be put back.
    kept: Kept = NOTHING
    dropped: frozenset[str] = frozenset()
    created: frozenset[str] = frozenset()
    #: Statements by key of what is altered where it stands.
    altered: Mapping[str, tuple[Statement, ...]] = dataclasses.field(default_factory=dict[str, "tuple[Statement, ...]"])
    #: Columns whose defaults are taken away while what they call is recreated.
    parted: frozenset[str] = frozenset()
    #: Columns by the enum that is recreated under them.
    swapped: Mapping[str, frozenset[str]] = dataclasses.field(default_factory=dict[str, frozenset[str]])
    #: Tables whose columns do not come into their order by themselves, and those that are copied for that.
    disordered: tuple[str, ...] = ()
    copied: frozenset[str] = frozenset()
    #: What is dropped with its data, which it is not recreated from, or loses some of it to another type.
    loses: tuple[str, ...] = ()
    #: Sentences about what there is no way for.
    impossible: tuple[str, ...] = ()

    @functools.cached_property
    def tables(self) -> Tables:
        """What becomes of each table."""
        had, has = columns_by_table(self.live), columns_by_table(self.wanted)
        tables = {e.name for side in (self.live, self.wanted) for e in side.values() if e.kind == "table"}
        above = {name: ancestors(name, self.wanted) for name in sorted({*tables, *had, *has})}
        family = {name: {name} for name in above}
        for name, parent in ((name, parent) for name, found in above.items() for parent in found):
            family.setdefault(parent, {parent}).add(name)
        return Tables((name, self._table(name, had[name], has[name], above[name], family[name])) for name in above)

    def _table(
        self, name: str, had: dict[str, Entry], has: dict[str, Entry], above: list[str], family: set[str]
    ) -> TableChange:
        key = table_key(name)
        was, becomes = self.live.get(key), self.wanted.get(key)
        return TableChange(
            was,
            becomes,
            had,
            has,
            made=key in self.created,
            copied=key in self.copied,
            created=self.created & has.keys(),
            dropped=self.dropped & had.keys(),
            altered=frozenset(self.altered.keys() & had.keys() & has.keys()),
            following=frozenset(self._following([parents(side) for side in (was, becomes) if side], {**had, **has})),
            ancestors=tuple(above),
            family=frozenset(family),
            saved=self.kept.tables.get(name),
            rest=self._rest(becomes if key in self.created else was if key in self.dropped and not becomes else None),
        )

    def _following(self, above: list[list[str]], columns: Mapping[str, Entry]) -> Iterator[str]:
        """The columns that are created, or dropped, with one of these parents that both sides have."""
        lasting = set[str]().union(*above).intersection(*above)
        for key, e in columns.items() if lasting else ():
            changed = self.created if key in self.created else self.dropped
            if any(column_key(parent, e.own) in changed for parent in lasting):
                yield key

    def _rest(self, part: Entry | None) -> Entry | None:
        """The default partition of the same owner, with nothing that stands, or is done, in the way of these rows; None where there
        is no such one."""
        own: dict[str, str] = (part.facts.get("partition_of") if part else None) or {}
        whole = self.wanted.get(table_key(own.get("table", "")))
        was = self.live.get(whole.key) if whole else None
        if part is None or whole is None or was is None or whole.key in self.dropped | self.created:
            return None
        key = str(whole.facts.get("partition_key"))
        if key != was.facts.get("partition_key") or not partitions.fits(key, own["bound"]):
            return None
        default = {"table": whole.name, "bound": partitions.DEFAULT}
        found = next((e for e in self.wanted.values() if e.facts.get("partition_of") == default), None)
        return found if found and self._takes(part, found) else None

    def _takes(self, part: Entry, default: Entry) -> bool:
        """Whether rows can go between a partition and the default one, and nothing notices but these two."""
        there = self.live.get(default.key)
        if there is None or there.facts.get("partition_of") != default.facts.get("partition_of"):
            return False
        if default.key in self.dropped | self.created or there.owner != part.owner:
            return False
        if any(e.facts.get("partition_key") or e.facts.get("foreign") for e in (part, there)):
            return False
        changed = self.dropped | self.created | self.altered.keys()
        family = {part.name, default.name, *ancestors(default.name, self.live)}
        own = [e for e in self.live.values() if e.kind in ("constraint", "trigger") and e.table in family - {part.name}]
        if any(is_check(e) for e in own if e.table == default.name) or any(new_partitions.on(there, self.live)):
            return False
        if any(e.key in changed for e in own if e.kind == "trigger") or part.facts.get("row_security_forced"):
            return False
        if any(_refers(e, set(map(table_key, family))) for e in (*self.live.values(), *self.wanted.values())):
            return False
        columns = [e for e in self.live.values() if e.kind == "column" and e.table == default.name]
        pairs = ((e, self.wanted.get(e.key)) for e in columns)
        return all(now is None or now.facts.get("generated") == e.facts.get("generated") for e, now in pairs)


def is_computed(column: Entry) -> bool:
    """Whether nobody gives its values."""
    return column.facts.get("generated") is not None


def _refers(entry: Entry, family: set[str]) -> bool:
    """Whether it is a foreign key that refers to one of these tables: what leaves them would be missing, or take others along."""
    if entry.facts.get("type") != FOREIGN_KEY:
        return False
    tables = tables_of(entry)
    return bool((tables - {table_key(entry.table)} or tables) & family)


def columns_by_table(entries: Mapping[str, Entry]) -> defaultdict[str, dict[str, Entry]]:
    """Columns by their keys, by the name of their table."""
    found = defaultdict[str, dict[str, "Entry"]](dict)
    for key, e in entries.items():
        if e.kind == "column":
            found[e.table][key] = e
    return found


def ancestors(table: str, entries: Mapping[str, Entry]) -> list[str]:
    """The names of the parents of a table, and of theirs."""
    entry = entries.get(table_key(table))
    above = parents(entry) if entry else []
    return [*above, *(each for parent in above for each in ancestors(parent, entries))]


def is_check(entry: Entry) -> bool:
    """Whether it is a check of a table."""
    return entry.kind == "constraint" and entry.facts.get("type") == "check"


def inheritable(above: Collection[str], entries: Mapping[str, Entry]) -> Iterator[Entry]:
    """The checks that a child of these tables has as well."""
    for e in entries.values():
        if is_check(e) and e.table in above and not e.facts["definition"].endswith("NO INHERIT"):
            yield e
