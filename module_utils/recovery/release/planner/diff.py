# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a catalog has to be dropped, created and altered, so that it is the one that was captured; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.identifiers import unquoted
from ..captures.document import readable
from ..catalog.entries import split_qualified
from ..ddl import database_level
from ..ddl.common import differing_as_written, parents
from ..ddl.registry import WRITERS
from . import type_changes

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..catalog.entries import Entry
    from ..ddl.statement import Statement

#: What may stand in the way of another type for a column, or, as statistics do, would become whose who gives it that.
BOUND_TO_TYPES: t.Final = (
    "view",
    "materialized_view",
    "rule",
    "policy",
    "trigger",
    "function",
    "statistics",
    "publication_table",
)
TYPES: t.Final = ("enum:", "domain:", "composite:", "range:")


class Changes:
    """From one set of entries to another: keys that are dropped, created and altered where they stand."""

    def __init__(
        self, there: dict[str, Entry], wanted: Mapping[str, Entry], migrations_table: str, *, exact_order: bool
    ) -> None:
        self.migrations_table = migrations_table
        self.there = there
        self.wanted = wanted
        self.columns_there, self.columns_wanted = _columns_by_table(there), _columns_by_table(wanted)
        self.impossible: list[str] = []
        self.everybody = sorted(
            {g[0] for e in there.values() if e.kind == "default_privileges" for g in e.grants} | {"PUBLIC"}
        )
        self.dependents: dict[str, set[str]] = {}
        for key, entry in there.items():
            for need in entry.needs:
                self.dependents.setdefault(need, set()).add(key)
        #: Statements by key of what is altered where it stands.
        self.altered: dict[str, list[Statement]] = {}
        #: Defaults that are taken away while what they call is made again.
        self.parted: set[str] = set()
        #: Columns by the enum that is made again under them.
        self.swapped: dict[str, set[str]] = {}
        self.created: set[str] = set()
        self.dropped = {key for key, e in there.items() if key not in wanted and not self._is_merged(e)}
        self._compare()
        self._spread()
        #: Tables whose columns do not come into their order by themselves, and those that are copied for that.
        self.disordered = tuple(sorted(self._disordered()))
        self.copied: set[str] = set()
        for key in self.disordered if exact_order else ():
            self._copy(key)
        self._spread()
        self.created |= {key for key, e in wanted.items() if key not in there and not self._stays_behind(e)}
        self.created |= self.dropped & wanted.keys()

    def _compare(self) -> None:
        for key in sorted(self.there.keys() & self.wanted.keys()):
            before, after = self._as_detached(self._as_its_parent(self.there[key])), self.wanted[key]
            if after.kind == "default_privileges" and before.grants != after.grants:
                self.altered[key] = [*database_level.no_privileges(before), *database_level.privileges(after)]
            if before.facts == after.facts or (after.kind == "migration" and not differing_as_written(before, after)):
                continue
            writer = WRITERS.get(after.kind)
            made = writer.alter(before, after) if writer else None
            if made is None:
                if self._stays(before, after):
                    parts = ", ".join(sorted(differing_as_written(before, after))).replace("_", " ")
                    self.impossible.append(f"{readable(key)} cannot be restored: a different {parts}")
                    continue
                self.dropped.add(key)
            elif made:
                self.altered[key] = made

    def _stays(self, before: Entry, after: Entry) -> bool:
        """Whether recreating it would lose data, or everything below it."""
        of_parent = after.kind == "column" and "inherited" in differing_as_written(before, after)
        return after.kind in ("table", "schema", "extension", "other") or of_parent

    def _as_its_parent(self, column: Entry) -> Entry:
        """A column of a child as it is once its parent's has its type again."""
        table, own = column.table, column.own
        entry = self.there.get(f"table:{table}") if column.kind == "column" else None
        for parent in parents(entry) if entry else ():
            key = f"column:{parent}.{own}"
            if key in self.there and key in self.wanted:
                facts = {fact: self.wanted[key].facts.get(fact) for fact in ("type", "collation")}
                kept = {k: v for k, v in {**column.facts, **facts}.items() if v is not None}
                return dataclasses.replace(column, facts=kept)
        return column

    def _as_detached(self, entry: Entry) -> Entry:
        """An index of a partition, or what it is for, as it is once its table is none any more."""
        if entry.kind not in ("index", "constraint"):
            return entry
        key = f"table:{entry.facts.get('table')}"
        before, after = self.there.get(key), self.wanted.get(key)
        part: dict[str, str] | None = before.facts.get("partition_of") if before else None
        stays: dict[str, str] | None = after.facts.get("partition_of") if after else None
        if not part or after is None or (stays and stays["table"] == part["table"]):
            return entry
        facts = {fact: value for fact, value in entry.facts.items() if fact != "attached_to"}
        if facts.get("index"):
            facts["index"] = {fact: value for fact, value in facts["index"].items() if fact != "attached_to"}
        return dataclasses.replace(entry, facts=facts)

    def _spread(self) -> None:
        """Whatever depends on something that goes, goes as well, and comes back if it is wanted."""
        other_type = {
            key for key in self.altered
            if self.wanted[key].kind == "column"
            and {"type", "collation"} & differing_as_written(self.there[key], self.wanted[key])
        }  # fmt: skip
        frontier = [
            *self.dropped,
            *(
                user
                for key in other_type
                for user in self.dependents.get(key, ())
                if self._is_bound(user) and self._goes(user)
            ),
        ]
        while frontier:
            gone = frontier.pop()
            for user in self.dependents.get(gone, ()):
                if user in self.dropped or self._is_part(gone, user):
                    continue
                if self.there[user].kind in ("column", "table", "schema"):
                    frontier += self._part(user, gone)
                elif self._goes(user):
                    frontier.append(user)

    def _is_bound(self, key: str) -> bool:
        return self.there[key].kind in BOUND_TO_TYPES or (
            self.there[key].kind == "column" and self.there[key].facts.get("generated") is not None
        )

    def _goes(self, key: str) -> bool:
        if key in self.dropped:
            return False
        self.dropped.add(key)
        self.altered.pop(key, None)
        return True

    def _is_part(self, gone: str, user: str) -> bool:
        """A table needs its columns in a way that does not matter here."""
        return self.there[user].kind == "table" and gone.startswith(f"column:{self.there[user].name}.")

    def _part(self, user: str, gone: str) -> Iterator[str]:
        """A column lets go of what is recreated: of a function in its default, of an enum it is of; gives what falls
        with that."""
        entry = self.there[user]
        if user in self.altered and gone not in self.wanted[user].needs:
            return
        if entry.kind == "column" and gone.startswith("enum:") and gone in self.wanted and user in self.wanted:
            self.swapped.setdefault(gone, set()).add(user)
            yield from (key for key in self.dependents.get(user, ()) if self._is_bound(key) and self._goes(key))
        elif entry.kind == "column" and entry.facts.get("generated") is not None:
            yield from (user,) if self._goes(user) else ()
        elif entry.kind == "column" and entry.facts.get("default") is not None and not gone.startswith(TYPES):
            self.parted.add(user)
        else:
            self.impossible.append(f"{readable(user)} depends on {readable(gone)}, which would have to be recreated")

    def _disordered(self) -> Iterator[str]:
        """Tables whose columns would not stand where they stood: what is added stands at the end."""
        touched = {self.there[key].table for key in self.dropped if self.there[key].kind == "column"}
        for key, after in self.wanted.items():
            before = self.there.get(key)
            if after.kind != "table" or before is None or key in self.dropped:
                continue
            wanted: list[str] = after.facts.get("column_order", [])
            there: list[str] = before.facts.get("column_order", [])
            if there == wanted and after.name not in touched:
                continue
            own = {
                unquoted(split_qualified(e)[2]): f"column:{after.name}.{split_qualified(e)[2]}"
                for e in self._columns_of(after.name)
            }
            stay = [each for each in there if own.get(each) not in self.dropped and each in wanted]
            if [*stay, *(each for each in wanted if each not in stay)] != wanted:
                yield key

    def _columns_of(self, table: str) -> Iterator[str]:
        for columns in (self.columns_there, self.columns_wanted):
            yield from (e.name for e in columns.get(table, ()))

    def _copy(self, key: str) -> None:
        """The table, and all that stands on it, is recreated; its rows are copied."""
        table = self.wanted[key]
        if (
            table.facts.get("partition_key")
            or table.facts.get("inherits")
            or any(self.there[user].kind == "table" for user in self.dependents.get(key, ()))
        ):
            self.impossible.append(
                f"the columns of {readable(key)} cannot be put in their original order: it has parents or children"
            )
            return
        self.copied.add(key)
        columns = {f"column:{each}" for each in self._columns_of(table.name)}
        for each in (key, *columns):
            self.altered.pop(each, None)
            self.parted.discard(each)
            if each in self.there:
                self.dropped.add(each)
        self.created |= {key, *(each for each in columns if each in self.wanted)}

    def ancestors(self, table: Entry) -> list[str]:
        """Its parents, and theirs."""
        above = [self.wanted[f"table:{parent}"] for parent in parents(table) if f"table:{parent}" in self.wanted]
        return [*parents(table), *(each for parent in above for each in self.ancestors(parent))]

    def inheritable(self, above: Sequence[str]) -> Iterator[Entry]:
        """The checks that a child of these tables has as well."""
        for e in self.wanted.values():
            if e.kind == "constraint" and e.facts["table"] in above and e.facts.get("type") == "check":
                yield from () if e.facts["definition"].endswith("NO INHERIT") else (e,)

    def _is_merged(self, entry: Entry) -> bool:
        """Whether a check that stands alone now is what its table will have from its parent."""
        table = self.wanted.get(f"table:{entry.facts.get('table')}")
        if entry.kind != "constraint" or entry.facts.get("type") != "check" or table is None:
            return False
        return entry.own in {e.own for e in self.inheritable(self.ancestors(table))}

    def _stays_behind(self, entry: Entry) -> bool:
        """Whether it is a check that a table has of its parent, and keeps when it leaves that."""
        if entry.kind != "constraint" or entry.facts.get("type") != "check":
            return False
        key = f"table:{entry.facts['table']}"
        before, after = self.there.get(key), self.wanted.get(key)
        if before is None or after is None or key in self.dropped or key in self.copied:
            return False
        left = set(parents(before)) - set(parents(after))
        return any(
            e.kind == "constraint" and e.facts["table"] in left and e.own == entry.own for e in self.there.values()
        )

    def loses(self) -> Iterator[str]:
        """What is dropped with its data, which it is not recreated from, or loses some of it to another type."""
        for key in sorted(self.dropped):
            entry = self.there[key]
            table = f"table:{entry.table}"
            if entry.kind == "table" and key not in self.copied:
                yield key
            elif entry.kind == "column" and entry.facts.get("generated") is None:
                copied = table in self.copied and key in self.wanted
                yield from () if copied or (table in self.dropped and table not in self.copied) else (key,)
        for key in sorted(self.there.keys() & self.wanted.keys()):
            before, after = self.there[key], self.wanted[key]
            if before.kind == "column" and (key not in self.dropped or f"table:{after.table}" in self.copied):
                yield from (key,) if type_changes.may_lose(before, after) else ()


def _columns_by_table(entries: Mapping[str, Entry]) -> dict[str, list[Entry]]:
    found: dict[str, list[Entry]] = {}
    for e in entries.values():
        if e.kind == "column":
            found.setdefault(e.table, []).append(e)
    return found
