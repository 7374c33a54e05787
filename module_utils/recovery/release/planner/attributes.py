# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values inside of values: what columns lose when the composite type or the table of which they hold rows, by whatever way, loses
an attribute or a column, and what PostgreSQL does to neither; pure."""

from __future__ import annotations

import typing as t

from ..captures.document import readable
from ..catalog.entries import kind_of, table_key

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ..catalog.entries import Entry
    from .order import Step

#: What may be between a column and a composite type; arrays are of their elements' type already.
BETWEEN: t.Final = ("composite", "domain")
#: What a column that is added has in the rows that are there.
_COMPUTED: t.Final = ("default", "generated", "identity")
_WORDS: t.Final = {"drop": "dropped", "create": "added", "alter": "given another type"}


class Planned(t.Protocol):
    """What of a plan counts here."""

    @property
    def all_steps(self) -> Sequence[Step]: ...
    @property
    def was(self) -> Mapping[str, str]: ...
    @property
    def loses(self) -> Sequence[str]: ...


class Columns(t.NamedTuple):
    """Keys of columns by their names of today."""

    #: Whose values lose a part, which nothing saves.
    losing: frozenset[str]
    #: Whose values get a part, which is empty in all of them.
    gaining: frozenset[str]


def touched(found: Planned, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Columns:
    """The columns whose values are changed by what a plan does to composite types."""
    losing: set[str] = set()
    gaining: set[str] = set()
    for step in found.all_steps:
        before, after = live.get(found.was.get(step.key, step.key)), wanted.get(step.key)
        if before is None or after is None or before.kind != "composite" or after.kind != "composite":
            continue
        now, then = _attributes(before), _attributes(after)
        losing |= columns_of(before.key, live) if now - then else set()
        gaining |= columns_of(before.key, live) if then - now else set()
    then = {now: key for key, now in found.was.items()}
    goes = {found.was.get(key, key) for key in (*found.loses, *(s.key for s in found.all_steps if s.does == "drop"))}
    for table in sorted(_held(live)):
        holding, name = columns_of(table, live), then.get(table, table)
        comes = (e.key for e in wanted.values() if e.kind == "column" and table_key(e.table) == name)
        if any(key in goes for key in live if kind_of(key) == "column" and table_key(live[key].table) == table):
            losing |= holding
        if any((now := found.was.get(key, key)) not in live or now in goes for key in comes):
            gaining |= holding
    return Columns(frozenset(losing), frozenset(gaining))


def _held(live: Mapping[str, Entry]) -> set[str]:
    """The keys of tables of which something else may hold rows."""
    holders = (e for e in live.values() if e.kind in ("column", *BETWEEN))
    return {need for e in holders for need in e.needs if kind_of(need) == "table" and need != table_key(e.table)}


def impossible(live: Mapping[str, Entry], wanted: Mapping[str, Entry], changed: Mapping[str, str]) -> Iterator[str]:
    """Sentences about columns that PostgreSQL does not change as they would have to be; `changed` is what is done (drop, create or
    alter) by key, both sides under the names of the capture."""
    held = _held(live)
    for key in sorted(changed):
        entry, table = wanted.get(key) or live[key], live.get(table_key((wanted.get(key) or live[key]).table))
        if (
            entry.kind != "column"
            or table is None
            or table.key not in wanted
            or (table.key in changed and changed[table.key] != "alter")
        ):
            continue
        other_type = changed[key] == "alter" and live[key].facts["type"] != entry.facts["type"]
        if table.facts.get("of_type") and (changed[key] != "alter" or other_type):
            of = table.facts["of_type"]
            yield f"{readable(key)} cannot be {_WORDS[changed[key]]}: its table is of type {of}, whose attributes it has"
            continue
        computed = changed[key] == "create" and any(entry.facts.get(fact) is not None for fact in _COMPUTED)
        holding = sorted(columns_of(table.key, live)) if (other_type or computed) and table.key in held else []
        if holding:
            yield f"{readable(key)} cannot be {_WORDS[changed[key]]}: {readable(holding[0])} holds rows of its table"


def columns_of(key: str, live: Mapping[str, Entry]) -> set[str]:
    """The keys of all columns whose values may hold one of this type, or a row of this table: as an array, in a domain, in another
    composite type, or in a row of another table."""
    types = {key}
    while True:
        holding = {
            e.key: table_key(e.table)
            for e in live.values()
            if e.kind == "column" and types & ({*e.needs} - {table_key(e.table)})
        }
        more = {each.key for each in live.values() if each.kind in BETWEEN and types & {*each.needs}}
        if (more := more | {*holding.values()}) <= types:
            return {*holding}
        types |= more


def _attributes(entry: Entry) -> set[str]:
    return {str(each["name"]) for each in entry.facts.get("attributes") or ()}
