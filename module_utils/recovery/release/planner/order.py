# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order statements run, so that nothing is missing when it is needed; pure."""

from __future__ import annotations

import heapq
import itertools
import typing as t

from ...core.errors import NotConverged
from ..catalog.entries import split_qualified
from ..ddl.common import parents
from ..ddl.statement import Effect, say
from .data_fill import Filling, table_key

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Statement

#: What is done, and to which key.
Action = tuple[str, str]
FOREIGN_KEY: t.Final = "foreign key"
INDEXED: t.Final = ("index", "constraint")
#: Kinds that stand on a relation and go with it.
PARTS: t.Final = ("column", "constraint", "index", "trigger", "rule", "policy", "statistics", "publication_table")
MAKES: t.Final = ("create", "alter", "rejoin", "attach")


class Ordering(Filling):
    """Which change comes before which."""

    def edges(self, actions: Mapping[Action, list[Statement]]) -> set[tuple[Action, Action]]:
        """Pairs of actions of which the first comes before the second."""
        edges: set[tuple[Action, Action]] = set()
        self.made_as: dict[str, list[str]] = {}
        for key in self.created:
            if index := _index_of(self.wanted[key]):
                self.made_as.setdefault(index, []).append(key)

        def first(one: Action, two: Action) -> None:
            if one in actions and two in actions and one != two:
                edges.add((one, two))

        for entry in self.there.values():
            self._away_from(entry, first)
        for key, entry in self.wanted.items():
            for one, two, need in itertools.product(("create", "alter"), MAKES, entry.needs):
                # A column is altered before its enum is made again, which gives it its default anew.
                if two != "alter" or key not in self.swapped.get(need, ()):
                    first((one, need), (two, key))
            first(("drop", key), ("create", key))
            first(("part", key), ("rejoin", key))
            first(("part", key), ("alter", key))
            first(("part", key), ("create", f"sequence:{sequence_of(self.there.get(key))}"))
            self._around_tables(entry, first)
            self._around_rows(entry, first)
        return edges

    def _away_from(self, entry: Entry, first: Callable[[Action, Action], None]) -> None:
        """What an entry needs goes, or is altered, after the entry has gone or needs it no more; its name is free then."""
        key, after = entry.key, self.wanted.get(entry.key)
        for need in entry.needs:
            if entry.kind == "column" and need == f"sequence:{sequence_of(after)}":
                first(("drop", need), ("alter", key))
                first(("part", key), ("drop", need))
                continue
            for goes in ("drop", "part", "alter"):
                first((goes, key), ("drop", need))
            if not need.startswith("sequence:"):
                first(("drop", key), ("alter", need))
            if entry.kind == "column":
                self._kept_until_gone(entry, need, first)
        if key in self.dropped and (index := _index_of(entry)):
            table = table_key(entry.facts["table"])
            for other in self.made_as.get(index, ()):
                first(("drop", key), ("create", other))
                if table not in self.created:
                    first(("drop", table), ("create", other))

    def _kept_until_gone(self, column: Entry, need: str, first: Callable[[Action, Action], None]) -> None:
        """What a column needs stays until the table is gone that it goes with, by itself or because it is copied."""
        name = column.table
        table = table_key(name)
        if need not in self.wanted:
            first(("create", table), ("drop", need))
        if table in self.dropped - self.copied and need != table and not need.startswith(f"column:{name}."):
            first(("drop", table), ("drop", need))

    def _around_rows(self, entry: Entry, first: Callable[[Action, Action], None]) -> None:
        """Columns are added in their order; rows come once the partitions are there, triggers are switched on again after that,
        sequences have their columns."""
        columns = self.columns(entry) if entry.kind == "table" and entry.key not in self.created else ()
        copied = table_key(entry.table) in self.copied
        if other := self.aside(entry) if entry.kind == "column" and not copied else None:
            first(("create", entry.key), ("drop", other.key))
        for one, two in itertools.pairwise(each.key for each in columns if each.key in self.created):
            first(("create", one), ("create", two))
        for parent in self.ancestors(entry) if entry.kind == "table" else ():
            first(("attach", entry.key), ("fill", table_key(parent)))
        for key in self._unclustered(entry):
            first(("alter", key), ("create", entry.key))
            first(("alter", key), ("alter", entry.key))
        for does, other in self.fills_of(entry.facts["relation"]) if entry.kind == "trigger" else ():
            first((does, other), ("rejoin", entry.key))
        if entry.kind == "sequence" and entry.facts.get("owned_by"):
            column, before = f"column:{entry.facts['owned_by']}", self.there.get(entry.key)
            for does in ("create", "alter"):
                first((does, entry.key), ("own", entry.key))
                first((does, column), ("own", entry.key))
            had = before.facts.get("owned_by") if before else None
            if had and table_key(split_qualified(had)[0]) not in self.copied:
                # It would go with the column that it does not belong to any more.
                first(("own", entry.key), ("drop", f"column:{had}"))

    def _unclustered(self, entry: Entry) -> Iterator[str]:
        """Where a table is clustered by this index, those by which it is no more: what is said last holds."""
        index: dict[str, t.Any] = (entry.facts.get("index") or entry.facts) if entry.kind in INDEXED else {}
        if index.get("clustered"):
            for key, made in self.altered.items():
                if self.wanted[key].facts.get("table") == entry.facts["table"] and key != entry.key:
                    yield from (key,) if any(each.effect == Effect.UNCLUSTERS for each in made) else ()

    def _around_tables(self, entry: Entry, first: Callable[[Action, Action], None]) -> None:
        """A table is made with its columns, and attached with its indexes, and has then what its parent has."""
        if entry.kind in ("index", "constraint"):
            first(("create", entry.key), ("attach", f"table:{entry.facts.get('table')}"))
        if entry.kind == "trigger" and entry.facts.get("inherited"):
            first(("attach", f"table:{entry.facts.get('relation')}"), ("create", entry.key))
            for other in self.wanted.values():
                if other.kind == "trigger" and not other.facts.get("inherited"):
                    for one, two in itertools.product(("create", "alter", "rejoin"), ("create", "rejoin")):
                        first((one, other.key), (two, entry.key))
        if entry.kind == "column" and f"table:{entry.table}" in self.created:
            table = entry.table
            for need in entry.needs:
                if not need.startswith(f"column:{table}."):
                    first(("create", need), ("create", f"table:{table}"))

    def falls_with(self, entry: Entry, gone: set[str]) -> bool:
        """Whether its relation, its column, or what it has from a parent goes and takes it along."""
        index: dict[str, t.Any] = entry.facts.get("index") or entry.facts
        relations: list[str] = []
        if entry.facts.get("type") == FOREIGN_KEY and self._refers_to_one_of(entry, gone):
            return False
        if above := index.get("attached_to"):
            table, _, own = split_qualified(above)
            if f"index:{above}" in gone or any(key.startswith(f"constraint:{own} on {table}.") for key in gone):
                return True
        if entry.kind == "column":
            if entry.key not in self.wanted and self.from_parent(entry):
                return True
            relations = [entry.table]
        elif entry.kind == "sequence":
            by = entry.facts.get("owned_by") or ""
            return f"column:{by}" in gone
        elif entry.kind in PARTS:
            relations = [entry.facts.get("table") or entry.facts.get("relation") or ""]
        fallen = gone - self.copied if entry.kind != "column" else gone
        return any(f"{kind}:{each}" in fallen for kind in ("table", "view", "materialized_view") for each in relations)

    def _refers_to_one_of(self, key: Entry, gone: set[str]) -> bool:
        """Whether a foreign key is on another table that goes: of two that refer to each other none could go first."""
        return bool((tables_of(key) - {table_key(key.facts["table"])}) & gone)

    def detached(self, entry: Entry) -> list[Statement]:
        """A partition leaves a table that stays, before it goes, where a foreign key refers to that."""
        part: dict[str, str] = (entry.facts.get("partition_of") or {}) if entry.kind == "table" else {}
        above = {part["table"], *self._above(part["table"])} if part else set[str]()
        referred = any(
            e.facts.get("type") == FOREIGN_KEY and tables_of(e) & {*map(table_key, above)} for e in self.there.values()
        )
        return [say("ALTER TABLE {} DETACH PARTITION {}", part["table"], entry.name)] if part and referred else []

    def _above(self, table: str) -> Iterator[str]:
        entry = self.there.get(table_key(table))
        for parent in parents(entry) if entry else ():
            yield from (parent, *self._above(parent))


def _index_of(entry: Entry) -> str | None:
    """The index that an entry is or has, by its name: one name for all tables of a schema."""
    if entry.kind == "index":
        return entry.name
    return f"{entry.schema}.{entry.own}" if entry.kind == "constraint" and entry.facts.get("index") else None


def sequence_of(column: Entry | None) -> str | None:
    """The sequence of an identity column."""
    identity: dict[str, str] = (column.facts.get("identity") if column and column.kind == "column" else None) or {}
    return identity.get("sequence")


def tables_of(key: Entry) -> set[str]:
    """The tables of a foreign key, which needs columns of both."""
    return {
        table_key(split_qualified(need.removeprefix("column:"))[0]) for need in key.needs if need.startswith("column:")
    }


def in_order(actions: Iterable[Action], edges: set[tuple[Action, Action]]) -> Iterator[Action]:
    """A topological order; of what is free, drops come first, then the names in their order. Raises NotConverged for
    a cycle."""
    rank = {"part": 0, "drop": 1, "alter": 2, "create": 3, "own": 4, "attach": 5, "fill": 6, "rejoin": 7}
    after: dict[Action, list[Action]] = {}
    waiting = dict.fromkeys(actions, 0)
    for one, two in edges:
        after.setdefault(one, []).append(two)
        waiting[two] += 1
    free = [(rank[action[0]], action) for action, number in waiting.items() if not number]
    heapq.heapify(free)
    done = 0
    while free:
        _, action = heapq.heappop(free)
        done += 1
        yield action
        for follower in after.get(action, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(free, (rank[follower[0]], follower))
    if done < len(waiting):
        left = sorted(f"{does} {key}" for (does, key), number in waiting.items() if number)
        raise NotConverged(
            "could not plan the rollback",
            said=f"these depend on each other in a circle: {', '.join(left[:6])}",
            next_step="revert one of them by hand, then run the same command again",
        )
