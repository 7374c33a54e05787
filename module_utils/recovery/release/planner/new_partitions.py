# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partitions that were made since a capture, by a scheduler or by the release, and that can stay where they are; pure.

A partitioned table that is captured is captured with its partitions to come: which there are is a matter of its rows. Who has made
one, nobody can tell; it loses nothing when it stays.
"""

from __future__ import annotations

import typing as t

from ..catalog.entries import kind_of, split_qualified, table_key

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
        if _stands(part["table"], live, wanted) and not any(_on(table, live)):
            found.append(key)
    return tuple(found)


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
