# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there shall be after a rollback: what was captured, but for what stays as it is; pure."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ...postgres.identifiers import unquoted
from ..captures import document as captures_document
from ..captures import new_partitions
from ..catalog.entries import scope_of, table_key
from . import secret_commands

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..captures.document import Document
    from ..catalog.entries import Entry, Scope

#: The roles as which a hosted API reaches the database, for everybody on the internet.
API_ROLES: t.Final = frozenset({"anon", "authenticated", "service_role"})


@dataclasses.dataclass(frozen=True)
class Goal:
    """What there shall be, in the place of what there is but for what stays."""

    known: dict[str, Entry]
    wanted: dict[str, Entry]
    #: Partitions that were made since the capture, and stay; and those that retention has taken, and that are not made again.
    since: new_partitions.Since
    #: Keys of default privileges that are left stricter than captured.
    strict: tuple[str, ...]
    #: What somebody has to do by hand first, and what is to be said, of jobs whose commands hold secrets.
    impossible: tuple[str, ...]
    warnings: tuple[str, ...]

    def compared(self, found: Mapping[str, Entry]) -> dict[str, Entry]:
        """What is found, as far as it shall be what is wanted."""
        return new_partitions.without(found, self.since.there, self.wanted)


@dataclasses.dataclass(frozen=True)
class Target:
    """The capture to roll back to; addresses mean something only in the database it is of."""

    document: Document
    same_database: bool
    #: The one object that is meant, by its key; none means all of them.
    only: str | None = None
    #: Whether columns shall stand in their order too, for which tables are copied.
    exact_order: bool = False
    #: Whether partitions that were made since stay.
    keep_partitions: bool = True
    #: Whether default grants to an API that were revoked since stay so.
    keep_strict: bool = False
    #: Keys of what the rollback that is undone has made: none of it was there before.
    made: frozenset[str] = frozenset()

    @property
    def scope(self) -> Scope:
        """What the release is about."""
        return scope_of(self.document["scope"])

    @functools.cached_property
    def entries(self) -> dict[str, Entry]:
        """What it consists of."""
        found = captures_document.entries_of(self.document)
        if self.same_database:
            return found
        return {key: dataclasses.replace(entry, address=None) for key, entry in found.items()}

    def goal(self, live: Mapping[str, Entry]) -> Goal:
        """What there shall be, where this is what there is of the release."""
        since = new_partitions.since(live, self.entries, self.made) if self.keep_partitions else new_partitions.Since()
        if self.only is not None:
            since = new_partitions.Since(newer=since.newer, elsewhere=since.elsewhere)
        captured = new_partitions.without(self.entries, since.retired)
        going = {*new_partitions.statistics(live, captured, since.newer)}
        known = new_partitions.without(live, since.there, going)
        told = secret_commands.known(known, captured if self.only is None else _alone(known, captured, self.only))
        wanted, strict = _strict(known, told.wanted) if self.keep_strict else (told.wanted, ())
        wanted = wanted | (new_partitions.indexed(live, captured, since.newer) if self.only is None else {})
        return Goal(known, wanted, since, strict, told.impossible, told.warnings)


def _strict(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> tuple[dict[str, Entry], tuple[str, ...]]:
    """What is wanted without the default grants to a hosted API that are not there any more, and the keys of those entries. Supabase
    granted all on new tables of exposed schemas to the roles of its API; projects made since 30 October 2026 grant nothing. A capture
    from before must not expose what the next migration makes."""
    found, without = dict(wanted), list[str]()
    for key, entry in wanted.items():
        if entry.kind != "default_privileges" or not entry.facts.get("schema"):
            continue
        now = live.get(key)
        there = {grant[:3] for grant in now.grants} if now else set[tuple[str, str, bool]]()
        kept = tuple(g for g in entry.grants if g[0] not in API_ROLES or g[:3] in there)
        if len(kept) == len(entry.grants):
            continue
        without.append(key)
        found[key] = dataclasses.replace(entry, grants=kept)
        if not kept:
            del found[key]
    return found, tuple(without)


# --- one object alone


def _alone(live: Mapping[str, Entry], captured: Mapping[str, Entry], key: str) -> dict[str, Entry]:
    """What there is, but for one object and what depends on it, which are as they were captured, or gone as they were not."""
    concerned = _dependents(live, captured, key)
    wanted = {name: entry for name, entry in live.items() if name not in concerned}
    wanted |= {name: captured[name] for name in concerned if name in captured}
    column = captured.get(key) or live.get(key)
    if column and column.kind == "column" and (table := table_key(column.table)) in wanted:
        wanted[table] = _with_order(wanted[table], live.get(table), captured.get(table), unquoted(column.own))
    return wanted


def _dependents(live: Mapping[str, Entry], captured: Mapping[str, Entry], key: str) -> set[str]:
    """The object, what needs it now, and what that needs to come back as it was captured."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        one = waiting.pop()
        if one in found:
            continue
        found.add(one)
        gone = one not in captured or (one in live and live[one].facts != captured[one].facts)
        if gone:
            waiting += [
                name
                for name, entry in live.items()
                if one in entry.needs and entry.kind != "table" and not _is_same(live, captured, name, one)
            ]
        if one in captured and one not in live:
            # What it stood on, and what stood on it alone, comes back with it.
            waiting += [need for need in captured[one].needs if need not in live]
            waiting += [
                n for n, e in captured.items() if one in e.needs and n not in live and _all_there(e, live, found)
            ]
    return found


def _is_same(live: Mapping[str, Entry], captured: Mapping[str, Entry], name: str, need: str) -> bool:
    """Whether something that needs it can stay: it did so when both were captured, and has not changed."""
    return name in captured and need in captured and live[name].facts == captured[name].facts


def _all_there(entry: Entry, live: Mapping[str, Entry], found: set[str]) -> bool:
    return all(need in live or need in found for need in entry.needs)


def _with_order(table: Entry, live: Entry | None, captured: Entry | None, own: str) -> Entry:
    """The table, whose columns stand as they do now but for its `own`, which stands where it stood, or not at all."""
    order = [each for each in (live or table).facts.get("column_order", ()) if each != own]
    before: list[str] = captured.facts.get("column_order", []) if captured else []
    if own in before:
        ahead = [each for each in before[: before.index(own)] if each in order]
        order.insert(order.index(ahead[-1]) + 1 if ahead else 0, own)
    return dataclasses.replace(table, facts={**table.facts, "column_order": order})
