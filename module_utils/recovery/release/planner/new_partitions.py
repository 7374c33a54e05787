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

from ..catalog.entries import kind_of, split_qualified, table_key
from ..ddl import partitions

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..catalog.entries import Entry

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
        if _stands(part["table"], live, wanted) and not any(on(table, live)):
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


def on(table: Entry, live: Mapping[str, Entry]) -> Iterator[str]:
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
