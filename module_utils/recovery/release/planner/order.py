# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order statements run, so that nothing is missing when it is needed; pure."""

from __future__ import annotations

import dataclasses
import heapq
import itertools
import typing as t

from ...core.errors import NotConverged
from ..catalog.entries import column_key, key_of, kind_of, split_qualified, stands_on, table_key
from ..ddl import not_null
from ..ddl.common import parents
from ..ddl.statement import Effect, Statement
from .actions import PARTS, RELATIONS, actions_of, falls_with, sequence_of, settled
from .fill import is_loose

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from .actions import Action
    from .changes import Diff
    from .fill import Fills

    #: Two actions of which the first comes before the second, if both are done.
    type Edge = tuple[Action, Action]

INDEXED: t.Final = ("index", "constraint")
MAKES: t.Final = ("create", "alter", "rejoin", "attach")
#: Of what is free, what comes first.
RANK: t.Final = {"part": 0, "drop": 1, "alter": 2, "create": 3, "own": 4, "attach": 5, "fill": 6, "rejoin": 7}


@dataclasses.dataclass(frozen=True)
class Step:
    """One thing that is done to one entry; `does` is rename, drop, create, alter or settle."""

    does: str
    key: str
    statements: tuple[Statement, ...]


def order(diff: Diff, fills: Fills, *, migrations_table: str = "") -> tuple[Step, ...]:
    """The steps of a difference, in an order in which nothing is missing when it is needed. Raises NotConverged where they
    depend on each other in a circle."""
    actions = actions_of(diff, fills, migrations_table)
    between = {(one, two) for one, two in edges(diff, fills) if one in actions and two in actions and one != two}
    steps = [Step(*action, tuple(actions[action])) for action in in_order(actions, between) if actions[action]]
    steps += [Step("settle", key, tuple(made)) for key, made in settled(diff)]
    return tuple(steps)


def edges(diff: Diff, fills: Fills) -> Iterator[Edge]:
    """Pairs of actions of which the first comes before the second, whether they are done or not."""
    made_as: dict[str, list[str]] = {}
    for key in diff.created:
        if index := _index_of(diff.wanted[key]):
            made_as.setdefault(index, []).append(key)
    for entry in diff.live.values():
        yield from _away_from(diff, entry)
        yield from _name_free(diff, entry, made_as)
    for key, entry in diff.wanted.items():
        for one, two, need in itertools.product(("create", "alter"), MAKES, entry.needs):
            # A column is altered before its enum is recreated, which gives it its default anew.
            if two != "alter" or key not in diff.swapped.get(need, ()):
                yield (one, need), (two, key)
        yield ("drop", key), ("create", key)
        yield ("part", key), ("rejoin", key)
        yield ("part", key), ("alter", key)
        yield ("part", key), ("create", key_of("sequence", sequence_of(diff.live.get(key)) or ""))
        yield from _around_tables(diff, entry)
        yield from _around_parents(diff, entry)
        yield from _around_not_null(diff, entry)
        yield from _around_rows(diff, fills, entry)
        yield from _around_sequences(diff, entry)
        yield from _around_clusters(diff, entry)


def _away_from(diff: Diff, entry: Entry) -> Iterator[Edge]:
    """What an entry needs goes, or is altered, after the entry has gone or needs it no more."""
    key, after = entry.key, diff.wanted.get(entry.key)
    for need in entry.needs:
        if entry.kind == "column" and need == key_of("sequence", sequence_of(after) or ""):
            yield ("drop", need), ("alter", key)
            yield ("part", key), ("drop", need)
            continue
        for goes in ("drop", "part", "alter"):
            yield (goes, key), ("drop", need)
        if kind_of(need) != "sequence":
            yield ("drop", key), ("alter", need)
        yield from _kept_until_gone(diff, entry, need)


def _kept_until_gone(diff: Diff, part: Entry, need: str) -> Iterator[Edge]:
    """What a column, or another part of a table, needs stays until the table is gone that it goes with, by itself or because it
    is copied."""
    table = table_key(part.table)
    if part.kind == "column" and need not in diff.wanted:
        yield ("create", table), ("drop", need)
    calls = kind_of(need) not in (*PARTS, *RELATIONS) and falls_with(diff, part)
    falls = table in diff.dropped and table not in diff.copied and (part.kind == "column" or calls)
    if falls and need != table and not stands_on(need, part.table):
        yield ("drop", table), ("drop", need)


def _name_free(diff: Diff, entry: Entry, made_as: Mapping[str, list[str]]) -> Iterator[Edge]:
    """The name of an index that goes is free for another one then."""
    if entry.key in diff.dropped and (index := _index_of(entry)):
        table = table_key(entry.table)
        for other in made_as.get(index, ()):
            yield ("drop", entry.key), ("create", other)
            if table not in diff.created:
                yield ("drop", table), ("create", other)


def _around_tables(diff: Diff, entry: Entry) -> Iterator[Edge]:
    """A table is made with its columns, and attached with its indexes, and has then what its parent has."""
    table = table_key(entry.table)
    if entry.kind in INDEXED:
        yield ("create", entry.key), ("attach", table)
    if entry.kind == "trigger" and entry.facts.get("inherited"):
        yield ("attach", table), ("create", entry.key)
        for other in diff.wanted.values():
            if other.kind == "trigger" and not other.facts.get("inherited"):
                for one, two in itertools.product(("create", "alter", "rejoin"), ("create", "rejoin")):
                    yield (one, other.key), (two, entry.key)
    if entry.kind == "column" and table in diff.created:
        for need in entry.needs:
            if not stands_on(need, entry.table):
                yield ("create", need), ("create", table)


def _around_parents(diff: Diff, table: Entry) -> Iterator[Edge]:
    """A table becomes a child once it and its parent have all columns and checks, and is none any more before these go."""
    before = diff.live.get(table.key)
    if table.kind != "table" or before is None or table.key not in diff.altered:
        return
    joins, leaves = (
        {*one.facts.get("inherits", [])} - {*two.facts.get("inherits", [])}
        for one, two in ((table, before), (before, table))
    )
    for key in (*diff.created, *diff.altered):
        if diff.wanted[key].kind in ("column", "constraint") and diff.wanted[key].table in (
            {*joins, table.name} if joins else ()
        ):
            yield ("create", key), ("attach", table.key)
            yield ("alter", key), ("attach", table.key)
    for key in diff.dropped:
        if diff.live[key].kind in ("column", "constraint") and diff.live[key].table in (
            leaves | {table.name} if leaves else ()
        ):
            yield ("part", table.key), ("drop", key)


def _around_not_null(diff: Diff, column: Entry) -> Iterator[Edge]:
    """A column gets a NOT NULL of its own once its parent's has gone, and loses it before it gets the parent's."""
    table = diff.wanted.get(table_key(column.table)) if column.kind == "column" else None
    for parent in parents(table) if table else ():
        above, own = ("alter", column_key(parent, column.own)), ("alter", column.key)
        yield (own, above) if not_null.known(column).get("inherited") else (above, own)


def _around_rows(diff: Diff, fills: Fills, entry: Entry) -> Iterator[Edge]:
    """Columns are added in their order; rows come once the partitions are there, triggers are switched on again after that."""
    change = diff.tables[entry.table or entry.name]
    if entry.kind == "column" and not change.copied and (other := change.aside.get(entry.key)):
        yield ("create", entry.key), ("drop", other.key)
    if entry.kind == "table" and not change.made:
        for one, two in itertools.pairwise(each.key for each in change.columns if each.key in diff.created):
            yield ("create", one), ("create", two)
    for parent in change.ancestors if entry.kind == "table" else ():
        yield ("attach", entry.key), ("fill", table_key(parent))
    if entry.kind == "trigger" or is_loose(entry):
        above = {entry.table, *change.ancestors}
        then = "rejoin" if entry.kind == "trigger" else "create"
        for key in fills.filled:
            if kind_of(key) == "column" and diff.wanted[key].table in above:
                yield ("create", key), (then, entry.key)
                yield ("alter", key), (then, entry.key)
    if is_loose(entry):
        yield ("fill", table_key(entry.table)), ("create", entry.key)


def _around_sequences(diff: Diff, entry: Entry) -> Iterator[Edge]:
    """A sequence belongs to its column once both are there, and has its value once all are there that call it."""
    for need in entry.needs if entry.kind == "column" else ():
        if kind_of(need) == "sequence":
            for one in (("create", entry.key), ("create", table_key(entry.table)), ("fill", table_key(entry.table))):
                yield one, ("own", need)
    if entry.kind != "sequence" or not entry.facts.get("owned_by"):
        return
    for does in ("create", "alter"):
        yield (does, entry.key), ("own", entry.key)
        yield (does, key_of("column", entry.facts["owned_by"])), ("own", entry.key)
    before = diff.live.get(entry.key)
    had = before.facts.get("owned_by") if before else None
    if had and table_key(split_qualified(had)[0]) not in diff.copied:
        # It would go with the column that it does not belong to any more.
        yield ("own", entry.key), ("drop", key_of("column", had))


def _around_clusters(diff: Diff, entry: Entry) -> Iterator[Edge]:
    """By which index a table is clustered: what is said last holds, so those by which it is no more come first."""
    index: dict[str, t.Any] = (entry.facts.get("index") or entry.facts) if entry.kind in INDEXED else {}
    if not index.get("clustered"):
        return
    for key, made in diff.altered.items():
        same_table = diff.wanted[key].facts.get("table") == entry.table and key != entry.key
        if same_table and any(each.effect == Effect.UNCLUSTERS for each in made):
            yield ("alter", key), ("create", entry.key)
            yield ("alter", key), ("alter", entry.key)


def _index_of(entry: Entry) -> str | None:
    """The index that an entry is or has, by its name: one name for all tables of a schema."""
    if entry.kind == "index":
        return entry.name
    return f"{entry.schema}.{entry.own}" if entry.kind == "constraint" and entry.facts.get("index") else None


def in_order(actions: Iterable[Action], edges: Iterable[Edge]) -> Iterator[Action]:
    """A topological order; of what is free, drops come first, then the names in their order. Raises NotConverged for
    a cycle."""
    after: dict[Action, list[Action]] = {}
    waiting = dict.fromkeys(actions, 0)
    for one, two in edges:
        after.setdefault(one, []).append(two)
        waiting[two] += 1
    free = [(RANK[action[0]], action) for action, number in waiting.items() if not number]
    heapq.heapify(free)
    done = 0
    while free:
        _, action = heapq.heappop(free)
        done += 1
        yield action
        for follower in after.get(action, ()):
            waiting[follower] -= 1
            if not waiting[follower]:
                heapq.heappush(free, (RANK[follower[0]], follower))
    if done < len(waiting):
        left = sorted(f"{does} {key}" for (does, key), number in waiting.items() if number)
        raise NotConverged(
            "could not plan the rollback",
            said=f"these depend on each other in a circle: {', '.join(left[:6])}",
            next_step="revert one of them by hand, then run the same command again",
        )
