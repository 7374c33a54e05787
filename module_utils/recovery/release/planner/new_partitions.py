# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions that were made since a capture, by a scheduler or by the release, and that can stay where they are; and those that
retention has dropped since; pure.

A partitioned table that is captured is captured with its partitions to come: which there are is a matter of its rows. Who has made
one, nobody can tell; it loses nothing when it stays. One that shall go leaves its rows to the default partition that was captured,
and an undo takes them out of there again.
"""

from __future__ import annotations

import typing as t

from ..catalog.entries import column_key, kind_of, split_qualified, table_key, tables_of
from ..ddl import partitions, views
from ..ddl.common import parents
from ..ddl.statement import Cost, Lock, Statement, joined, phrase, say

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..catalog.entries import Entry
    from .diff import Diff

FOREIGN_KEY: t.Final = "foreign key"
#: What a partition has of its own.
OWN: t.Final = ("policy", "rule", "publication_table", "statistics")


def staying(live: Mapping[str, Entry], wanted: Mapping[str, Entry], made: Collection[str] = ()) -> tuple[str, ...]:
    """The keys of partitions that are neither captured nor `made` by what is undone, of tables that stand with all their captured
    partitions, indexes and keys; and that are built like these, with nothing of their own."""
    captured = {e.address for e in wanted.values() if e.address}
    found: list[str] = []
    for key in sorted(live.keys() - wanted.keys() - {*made}):
        table = live[key]
        part: dict[str, str] = (table.facts.get("partition_of") or {}) if table.kind == "table" else {}
        if not part or table.facts.get("partition_key") or table.address in captured:
            continue
        if _stands(part["table"], live, wanted) and not any(_on(table, live)):
            found.append(key)
    return tuple(found)


def retired(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> tuple[str, ...]:
    """The keys of captured partitions that are none any more, of a table that stands and is partitioned by ranges of one column, where
    each of them ends at or before the first range that there is: retention drops, or detaches, from the old end. A hole in the middle
    is none of its doing."""
    found: list[str] = []
    for key, e in sorted(wanted.items()):
        part: dict[str, str] = (e.facts.get("partition_of") or {}) if e.kind == "table" else {}
        there = live.get(key)
        if not part or part["bound"] == partitions.DEFAULT or (there is not None and there.facts.get("partition_of")):
            continue
        whole, was = live.get(table_key(part["table"])), wanted.get(table_key(part["table"]))
        if whole is None or was is None or whole.facts.get("partition_key") != was.facts.get("partition_key"):
            continue
        first = _first(live, part["table"])
        ends = partitions.ends(part["bound"])
        if first is not None and ends is not None and partitions.at_or_before(ends[1], first):
            found.append(key)
    return tuple(found)


def _first(live: Mapping[str, Entry], table: str) -> str | None:
    """Where the first range of a table begins; None where that is not known of each of its partitions."""
    found: list[str] = []
    for e in live.values():
        part: dict[str, str] = (e.facts.get("partition_of") or {}) if e.kind == "table" else {}
        if part.get("table") != table or part["bound"] == partitions.DEFAULT:
            continue
        if (ends := partitions.ends(part["bound"])) is None:
            return None
        found.append(ends[0])
    first: str | None = None
    for each in found:
        if first is None or partitions.at_or_before(each, first):
            first = each
        elif not partitions.at_or_before(first, each):
            return None
    return first


def without(entries: Mapping[str, Entry], tables: Collection[str]) -> dict[str, Entry]:
    """Entries but for these tables and what is on them."""
    return {key: e for key, e in entries.items() if not {key, table_key(e.table)} & {*tables}}


def moving(diff: Diff) -> frozenset[str]:
    """The keys of partitions that go, and whose rows go into the default one beside them."""
    gone = (diff.live[key] for key in diff.dropped - diff.wanted.keys())
    return frozenset(e.key for e in gone if e.kind == "table" and rest(diff, e))


def rest(diff: Diff, part: Entry) -> Entry | None:
    """The default partition that takes the rows of a partition when that goes, and gives them when it comes: of the same owner, and
    with nothing that stands, or is done, in the way. None where there is no such one."""
    own: dict[str, str] = part.facts.get("partition_of") or {}
    whole = diff.wanted.get(table_key(own.get("table", "")))
    before = diff.live.get(whole.key) if whole else None
    if whole is None or before is None or {whole.key} & (diff.dropped | diff.created):
        return None
    key = str(whole.facts.get("partition_key"))
    if key != before.facts.get("partition_key") or not partitions.fits(key, own["bound"]):
        return None
    default = {"table": whole.name, "bound": partitions.DEFAULT}
    found = next((e for e in diff.wanted.values() if e.facts.get("partition_of") == default), None)
    return found if found and _takes(diff, part, found) else None


def _takes(diff: Diff, part: Entry, default: Entry) -> bool:
    """Whether rows can go between a partition and the default one, and nothing notices but these two."""
    there = diff.live.get(default.key)
    if there is None or there.facts.get("partition_of") != default.facts.get("partition_of"):
        return False
    if {default.key} & (diff.dropped | diff.created) or there.owner != part.owner:
        return False
    if any(e.facts.get("partition_key") or e.facts.get("foreign") for e in (part, there)):
        return False
    changed = diff.dropped | diff.created | diff.altered.keys()
    family = {part.name, default.name, *above(diff, there)}
    own = [e for e in diff.live.values() if e.kind in ("constraint", "trigger") and e.table in family - {part.name}]
    if any(e.facts.get("type") == "check" for e in own if e.table == default.name) or any(_on(there, diff.live)):
        return False
    if any(e.key in changed for e in own if e.kind == "trigger") or part.facts.get("row_security_forced"):
        return False
    if any(_refers(e, set(map(table_key, family))) for e in (*diff.live.values(), *diff.wanted.values())):
        return False
    pairs = ((e, diff.wanted.get(e.key)) for e in diff.live.values() if e.kind == "column" and e.table == default.name)
    return all(now is None or now.facts.get("generated") == e.facts.get("generated") for e, now in pairs)


def above(diff: Diff, table: Entry) -> Iterator[str]:
    """The parents that a table has today, and theirs."""
    for each in parents(table):
        yield each
        found = diff.live.get(table_key(each))
        yield from above(diff, found) if found else ()


def _refers(entry: Entry, family: set[str]) -> bool:
    """Whether it is a foreign key that refers to one of these tables: what leaves them would be missing, or take others along."""
    if entry.facts.get("type") != FOREIGN_KEY:
        return False
    tables = tables_of(entry)
    return bool((tables - {table_key(entry.table)} or tables) & family)


def into_rest(diff: Diff, part: Entry, default: Entry) -> list[Statement]:
    """The rows of a partition that is none any more then, into the default one."""
    listed = _listed(diff, default)
    pieces = (default.name, listed, listed, part.name)
    text = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}", *pieces)
    detached = say("ALTER TABLE {} DETACH PARTITION {}", part.facts["partition_of"]["table"], part.name)
    return [detached, *_quietly(diff, default, text)]


def out_of_rest(diff: Diff, part: Entry, default: Entry) -> list[Statement]:
    """The rows that a partition is for, out of the default one, before it becomes a partition."""
    own = part.facts["partition_of"]
    fits = partitions.fits(diff.wanted[table_key(own["table"])].facts["partition_key"], own["bound"])
    listed = _listed(diff, default)
    pieces = (default.name, fits or "false", listed, part.name, listed, listed)
    text = phrase(
        "WITH gone AS (DELETE FROM {} WHERE {} RETURNING {}) INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone",
        *pieces,
    )
    return _quietly(diff, default, text)


def _listed(diff: Diff, default: Entry) -> t.Any:
    """The columns that both have, before and after."""
    stored = [e for e in diff.columns(default) if e.facts.get("generated") is None]
    return joined(", ", (e.own for e in stored if column_key(default.name, e.own) in diff.live))


def _quietly(diff: Diff, default: Entry, text: t.Any) -> list[Statement]:
    """The default partition is written by its owner, and no trigger sees it; these are switched as they were."""
    moved = Statement(text, Lock.ROW_EXCLUSIVE, Cost.WRITES, runs_as=default.name)
    tables = {default.name, *above(diff, default)}
    triggers = [e for e in diff.live.values() if e.kind == "trigger" and e.table in tables]
    if not triggers:
        return [moved]
    own = {e.own: e for e in triggers if e.table == default.name}
    again = [each for e in own.values() for each in views.switched("TRIGGER", e, "disabled")]
    again += [views.as_parent(default.name, e.own) for e in triggers if e.own not in own]
    return [say("ALTER TABLE {} DISABLE TRIGGER USER", default.name), moved, *again]


def _stands(name: str, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> bool:
    """Whether nothing of a partitioned table is recreated that all its partitions would have to have, or to leave room for."""
    here, there = wanted.get(table_key(name)), live.get(table_key(name))
    if here is None or there is None or here.facts.get("partition_key") != there.facts.get("partition_key"):
        return False
    return all(_same(e, live) for e in wanted.values() if _is_of(e, name))


def _is_of(entry: Entry, name: str) -> bool:
    """Whether it is a partition of a table, or an index or key of it."""
    part: dict[str, str] = (entry.facts.get("partition_of") or {}) if entry.kind == "table" else {}
    keyed = entry.kind == "index" or (entry.kind == "constraint" and entry.facts.get("index"))
    return part.get("table") == name or bool(keyed and entry.table == name)


def _same(entry: Entry, live: Mapping[str, Entry]) -> bool:
    there = live.get(entry.key)
    facts = ("partition_of", "partition_key") if entry.kind == "table" else ("definition", "index")
    return there is not None and all(there.facts.get(fact) == entry.facts.get(fact) for fact in facts)


def _on(table: Entry, live: Mapping[str, Entry]) -> Iterator[str]:
    """What a partition has that does not come from the table that it is a part of."""
    for key, e in live.items():
        index: dict[str, t.Any] = e.facts.get("index") or e.facts
        own = (
            kind_of(key) in OWN
            or (e.kind == "trigger" and not e.facts.get("inherited"))
            or (e.kind in ("index", "constraint") and not index.get("attached_to"))
        )
        sequence = e.kind == "sequence" and split_qualified(e.facts.get("owned_by") or "")[0] == table.name
        if sequence or (own and e.table == table.name):
            yield key
