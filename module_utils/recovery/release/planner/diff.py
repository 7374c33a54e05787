# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a catalog has to be dropped, created and altered, so that it is the one that was captured; pure."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ...postgres.identifiers import unquoted
from ..captures.document import readable
from ..catalog.entries import column_key, differing_facts, kind_of, stands_on, table_key
from ..ddl import database_level
from ..ddl.common import differing_as_written, parents
from ..ddl.registry import WRITERS
from . import type_changes
from .changes import Diff, ancestors, columns_by_table, inheritable, is_check
from .fill_statements import NOTHING

if t.TYPE_CHECKING:
    from collections import defaultdict
    from collections.abc import Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Statement
    from .fill_statements import Kept

#: What may stand in the way of another type for a column, or, as statistics do, would become whose who gives it that.
BOUND_TO_TYPES: t.Final = (
    *("view", "materialized_view", "rule", "policy", "trigger", "function", "statistics", "publication_table"),
)
TYPES: t.Final = ("enum", "domain", "composite", "range")


def diff(
    live: Mapping[str, Entry], wanted: Mapping[str, Entry], *, kept: Kept = NOTHING, exact_order: bool = False
) -> Diff:
    """The difference between two sets of entries, with whatever depends on what goes, and the data that can be put back. Tables are
    copied for the order of their columns only where that has to be exact."""
    found = _Found(live, wanted, {key for key, e in live.items() if key not in wanted and not _is_merged(e, wanted)})
    _compare(found)
    _spread(found)
    disordered = tuple(sorted(_disordered(found)))
    for key in disordered if exact_order else ():
        _copy(found, key)
    _spread(found)
    missing = {key for key, e in wanted.items() if key not in live and not _stays_behind(found, e)}
    made = found.created | missing | (found.dropped & wanted.keys())
    return Diff(
        live,
        wanted,
        kept,
        frozenset(found.dropped),
        frozenset(made),
        {key: tuple(statements) for key, statements in found.altered.items()},
        frozenset(found.parted),
        {enum: frozenset(columns) for enum, columns in found.swapped.items()},
        disordered,
        frozenset(found.copied),
        tuple(_loses(found)),
        (*found.impossible, *_unwritable(live, found.dropped), *_unwritable(wanted, made)),
    )


@dataclasses.dataclass
class _Found:
    """A difference while it grows; its fields are those of a Diff."""

    live: Mapping[str, Entry]
    wanted: Mapping[str, Entry]
    dropped: set[str]
    created: set[str] = dataclasses.field(default_factory=set[str])
    altered: dict[str, list[Statement]] = dataclasses.field(default_factory=dict[str, "list[Statement]"])
    parted: set[str] = dataclasses.field(default_factory=set[str])
    swapped: dict[str, set[str]] = dataclasses.field(default_factory=dict[str, set[str]])
    copied: set[str] = dataclasses.field(default_factory=set[str])
    impossible: list[str] = dataclasses.field(default_factory=list[str])

    @functools.cached_property
    def dependents(self) -> dict[str, set[str]]:
        """What needs an entry that there is."""
        made: dict[str, set[str]] = {}
        for key, entry in self.live.items():
            for need in entry.needs:
                made.setdefault(need, set()).add(key)
        return made

    @functools.cached_property
    def columns(self) -> defaultdict[str, dict[str, Entry]]:
        """The columns of tables by their keys, those that there are and those that are wanted."""
        return columns_by_table({**self.live, **self.wanted})

    def goes(self, key: str) -> bool:
        """Drops something that there is; False where it was dropped before."""
        if key in self.dropped:
            return False
        self.dropped.add(key)
        self.altered.pop(key, None)
        return True

    def is_bound(self, key: str) -> bool:
        """Whether it stands in the way of another type for a column that it needs."""
        entry = self.live[key]
        return entry.kind in BOUND_TO_TYPES or (entry.kind == "column" and entry.facts.get("generated") is not None)


# --- what differs


def _compare(found: _Found) -> None:
    """Alters what differs, or drops what can only be recreated."""
    for key in sorted(found.live.keys() & found.wanted.keys()):
        before, after = found.live[key], found.wanted[key]
        before = _as_detached(found, _as_inherited(found, _as_its_parent(found, before)))
        if after.kind == "default_privileges" and before.grants != after.grants:
            found.altered[key] = [*database_level.no_privileges(before), *database_level.privileges(after)]
        same = {"migration": differing_as_written, "other": differing_facts}.get(after.kind)
        if before.facts == after.facts or (same and not same(before, after)):
            continue
        writer = WRITERS.get(after.kind)
        made = writer.alter(before, after) if writer else None
        if made is None:
            if _stays(before, after):
                parts = ", ".join(sorted(differing_as_written(before, after))).replace("_", " ")
                found.impossible.append(f"{readable(key)} cannot be restored: a different {parts}")
                continue
            found.dropped.add(key)
        elif made:
            found.altered[key] = made


def _stays(before: Entry, after: Entry) -> bool:
    """Whether recreating it would lose data, or everything below it."""
    of_parent = after.kind == "column" and "inherited" in differing_as_written(before, after)
    return after.kind in ("table", "schema", "extension", "other") or of_parent


def _as_its_parent(found: _Found, column: Entry) -> Entry:
    """A column of a child as it is once its parent's has its type again."""
    entry = found.live.get(table_key(column.table)) if column.kind == "column" else None
    for parent in parents(entry) if entry else ():
        key = column_key(parent, column.own)
        if key in found.live and key in found.wanted:
            ordinary = (
                found.live[key].facts.get("generated_how") == "stored"
                and found.wanted[key].facts.get("generated") is None
            )
            given = ("type", "collation", *(("generated", "generated_how") if ordinary else ()))
            facts = {fact: found.wanted[key].facts.get(fact) for fact in given}
            kept = {k: v for k, v in {**column.facts, **facts}.items() if v is not None}
            return dataclasses.replace(column, facts=kept)
    return column


def _as_inherited(found: _Found, column: Entry) -> Entry:
    """A column as it is once its table is, or is no more, the child of others, or these have a column of that name or have none."""
    before, after = (side.get(table_key(column.table)) for side in (found.live, found.wanted))
    if column.kind != "column" or before is None or after is None:
        return column
    above = {*parents(before), *parents(after)}
    keys = {column_key(parent, column.own) for parent in above}
    if parents(before) == parents(after) and not any((key in found.live) != (key in found.wanted) for key in keys):
        return column
    facts = {**column.facts, "inherited": found.wanted[column.key].facts.get("inherited")}
    return dataclasses.replace(column, facts={fact: each for fact, each in facts.items() if each is not None})


def _as_detached(found: _Found, entry: Entry) -> Entry:
    """An index of a partition, or what it is for, as it is once its table is none any more."""
    if entry.kind not in ("index", "constraint"):
        return entry
    before, after = (side.get(table_key(entry.table)) for side in (found.live, found.wanted))
    part: dict[str, str] | None = before.facts.get("partition_of") if before else None
    stays: dict[str, str] | None = after.facts.get("partition_of") if after else None
    if not part or after is None or (stays and stays["table"] == part["table"]):
        return entry
    facts = {fact: value for fact, value in entry.facts.items() if fact != "attached_to"}
    if facts.get("index"):
        facts["index"] = {fact: value for fact, value in facts["index"].items() if fact != "attached_to"}
    return dataclasses.replace(entry, facts=facts)


def _unwritable(entries: Mapping[str, Entry], keys: Iterable[str]) -> Iterator[str]:
    """What nothing is written for, neither to make nor to drop it."""
    for key in sorted(keys):
        if entries[key].kind not in (*WRITERS, "migration"):
            yield f"{readable(key)} can be neither created nor dropped here"


# --- what goes with it


def _spread(found: _Found) -> None:
    """Whatever depends on something that goes, goes as well, and comes back if it is wanted."""
    other_type = {
        key for key in found.altered
        if found.wanted[key].kind == "column"
        and {"type", "collation"} & differing_as_written(found.live[key], found.wanted[key])
    }  # fmt: skip
    frontier = [
        *found.dropped,
        *(
            user
            for key in other_type
            for user in found.dependents.get(key, ())
            if found.is_bound(user) and found.goes(user)
        ),
    ]
    while frontier:
        gone = frontier.pop()
        for user in found.dependents.get(gone, ()):
            if user in found.dropped or _is_part(found.live[user], gone):
                continue
            if found.live[user].kind in ("column", "table", "schema"):
                frontier += _part(found, user, gone)
            elif found.goes(user):
                frontier.append(user)


def _is_part(user: Entry, gone: str) -> bool:
    """A table needs its columns in a way that does not matter here, and so does what stands in its rows."""
    return (user.kind == "table" and stands_on(gone, user.name)) or (
        user.kind == "manifest" and stands_on(gone, user.table)
    )


def _part(found: _Found, user: str, gone: str) -> Iterator[str]:
    """A column lets go of what is recreated: of a function in its default, of an enum it is of; gives what falls with that."""
    entry = found.live[user]
    if user in found.altered and gone not in found.wanted[user].needs:
        return
    if entry.kind == "column" and kind_of(gone) == "enum" and gone in found.wanted and user in found.wanted:
        found.swapped.setdefault(gone, set()).add(user)
        yield from (key for key in found.dependents.get(user, ()) if found.is_bound(key) and found.goes(key))
    elif entry.kind == "column" and entry.facts.get("generated") is not None:
        yield from (user,) if found.goes(user) else ()
    elif entry.kind == "column" and entry.facts.get("default") is not None and kind_of(gone) not in TYPES:
        found.parted.add(user)
    else:
        found.impossible.append(f"{readable(user)} depends on {readable(gone)}, which would have to be recreated")


# --- the order of columns


def _disordered(found: _Found) -> Iterator[str]:
    """Tables whose columns would not stand where they stood: what is added stands at the end."""
    touched = {found.live[key].table for key in found.dropped if found.live[key].kind == "column"}
    for key, after in found.wanted.items():
        before = found.live.get(key)
        if after.kind != "table" or before is None or key in found.dropped:
            continue
        wanted: list[str] = after.facts.get("column_order", [])
        there: list[str] = before.facts.get("column_order", [])
        if there == wanted and after.name not in touched:
            continue
        own = {unquoted(e.own): column for column, e in found.columns[after.name].items()}
        stay = [each for each in there if own.get(each) not in found.dropped and each in wanted]
        if [*stay, *(each for each in wanted if each not in stay)] != wanted:
            yield key


def _copy(found: _Found, key: str) -> None:
    """The table, and all that stands on it, is recreated; its rows are copied."""
    table = found.wanted[key]
    if (
        table.facts.get("partition_key")
        or table.facts.get("inherits")
        or any(found.live[user].kind == "table" for user in found.dependents.get(key, ()))
    ):
        found.impossible.append(
            f"the columns of {readable(key)} cannot be put in their original order: it has parents or children"
        )
        return
    found.copied.add(key)
    columns = found.columns[table.name]
    for each in (key, *columns):
        found.altered.pop(each, None)
        found.parted.discard(each)
        if each in found.live:
            found.dropped.add(each)
    found.created |= {key, *(each for each in columns if each in found.wanted)}


# --- inheritance


def _is_merged(entry: Entry, wanted: Mapping[str, Entry]) -> bool:
    """Whether a check that stands alone now is what its table will have from its parent."""
    above = ancestors(entry.table, wanted) if is_check(entry) else []
    return bool(above) and entry.own in {e.own for e in inheritable(above, wanted)}


def _stays_behind(found: _Found, entry: Entry) -> bool:
    """Whether it is a check that a table has of its parent, and keeps when it leaves that."""
    if not is_check(entry):
        return False
    key = table_key(entry.table)
    before, after = found.live.get(key), found.wanted.get(key)
    if before is None or after is None or key in found.dropped or key in found.copied:
        return False
    left = set(parents(before)) - set(parents(after))
    return any(e.kind == "constraint" and e.table in left and e.own == entry.own for e in found.live.values())


# --- what is lost


def _loses(found: _Found) -> Iterator[str]:
    for key in sorted(found.dropped):
        entry = found.live[key]
        table = table_key(entry.table)
        if entry.kind == "table" and key not in found.copied:
            yield key
        elif entry.kind == "column" and entry.facts.get("generated") is None:
            copied = table in found.copied and key in found.wanted and found.wanted[key].facts.get("generated") is None
            yield from () if copied or (table in found.dropped and table not in found.copied) else (key,)
    for key in sorted(found.live.keys() & found.wanted.keys()):
        before, after = found.live[key], found.wanted[key]
        if before.kind == "column" and (key not in found.dropped or table_key(after.table) in found.copied):
            yield from (key,) if type_changes.may_lose(before, after) else ()
