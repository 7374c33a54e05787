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

import dataclasses
import itertools
import json
import re
import typing as t

from ...postgres.identifiers import identifier, unquoted
from ..catalog.entries import kind_of, split_qualified, table_key
from ..ddl import partitions

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ..catalog.entries import Entry

#: What a partition has of its own.
OWN: t.Final = ("policy", "rule", "publication_table", "statistics")


@dataclasses.dataclass(frozen=True)
class Since:
    """What became of partitions since a capture, by the keys of their tables."""

    #: Made since, and built like those that were captured.
    newer: tuple[str, ...] = ()
    #: Made since as partitions, and detached by retention.
    detached: tuple[str, ...] = ()
    #: Captured, and dropped or detached by retention; and those of them that are there as tables, wherever that is.
    retired: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    #: On another server: nothing of them is restored, and they gain and lose columns with their table.
    elsewhere: tuple[str, ...] = ()

    @property
    def there(self) -> tuple[str, ...]:
        """All that stays where and as it is."""
        return (*self.newer, *self.detached, *self.kept, *self.elsewhere)


def since(live: Mapping[str, Entry], wanted: Mapping[str, Entry], made: Collection[str] = ()) -> Since:
    """What became of them, but for what is `made` by what is undone."""
    elsewhere = tuple(key for key, e in live.items() if _part(e) and e.facts.get("foreign") and key not in made)
    gone = tuple(dict.fromkeys((*_moved_to(elsewhere, live, wanted), *retired(live, wanted))))
    places = {wanted[key].address for key in gone} - {None}
    kept = tuple(key for key, e in live.items() if e.kind == "table" and (key in gone or e.address in places))
    newer = staying(live, without(wanted, gone), {*made, *elsewhere})
    off = detached(live, wanted, made)
    with_it = _below({*off, *kept}, live, {*wanted, *made})
    return Since(newer, (*off, *(key for key in with_it if key not in kept)), gone, kept, elsewhere)


def _moved_to(elsewhere: Collection[str], live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Iterator[str]:
    """The keys of captured partitions that these are, or in whose place they are."""
    places = [_part(live[key]) for key in elsewhere]
    yield from (key for key, e in wanted.items() if _part(e) and (key in elsewhere or _part(e) in places))


def _below(tables: Collection[str], live: Mapping[str, Entry], but: Collection[str]) -> tuple[str, ...]:
    """The keys of partitions of these tables, of every level, `but` for those."""
    found: list[str] = []
    for key in _from_above(live):
        if key not in but and table_key(_part(live[key]).get("table", "")) in {*tables, *found}:
            found.append(key)
    return tuple(found)


def staying(live: Mapping[str, Entry], wanted: Mapping[str, Entry], made: Collection[str] = ()) -> tuple[str, ...]:
    """The keys of partitions that are neither captured nor `made` by what is undone, of tables that stand with all their captured
    partitions, or stay themselves with all of theirs, and whose indexes and keys can be had for them as well; and that have nothing of
    their own that neither other partitions nor the table has."""
    captured = {e.address for e in wanted.values() if e.address}
    found: list[str] = []
    for key in _from_above(live):
        table, whole = live[key], _part(live[key]).get("table", "")
        if not whole or key in wanted or key in made or table.address in captured:
            continue
        if table_key(whole) in found or _stands(whole, table, live, wanted):
            shared = {*_shared(table, live, wanted), *_shared(table, live, live, parts=False)}
            found += [key] if shared.issuperset(on(table, live)) else []
    parts = {key: table_key(_part(e)["table"]) for key, e in live.items() if _part(e)}
    while broken := {whole for key, whole in parts.items() if whole in found and key not in found}:
        found = [key for key in found if not {key, parts[key]} & broken]
    return tuple(found)


def _from_above(entries: Mapping[str, Entry]) -> list[str]:
    """The keys of tables, each partition after what it is a part of."""
    return sorted(
        (key for key, e in entries.items() if e.kind == "table"), key=lambda key: (len(_above(key, entries)), key)
    )


def _above(key: str, *sides: Mapping[str, Entry]) -> list[str]:
    """The tables, by their names, of which one is a partition, and a partition of a partition."""
    found: list[str] = []
    while part := next((part for side in sides if (part := _part(side.get(key)))), None):
        found.append(part["table"])
        key = table_key(part["table"])
    return found


def detached(live: Mapping[str, Entry], wanted: Mapping[str, Entry], made: Collection[str] = ()) -> tuple[str, ...]:
    """The keys of tables that are neither captured nor `made` by what is undone, called as the partitions of a table that stands but
    for their numbers, and with its columns: they were partitions, and retention has detached them since."""
    captured = {e.address for e in wanted.values() if e.address}
    called = {_unnumbered(name): whole for name, whole in _parts(live, wanted)}
    found: list[str] = []
    for key in sorted(live.keys() - wanted.keys() - {*made}):
        table = live[key]
        if table.kind != "table" or _part(table) or table.address in captured:
            continue
        whole = called.get(_unnumbered(table.name), table.name)
        if whole != table.name and _has_columns_of(whole, table.name, live, wanted):
            found.append(key)
    return tuple(found)


def _parts(*sides: Mapping[str, Entry]) -> Iterator[tuple[str, str]]:
    """Each partition but the default ones, of every level, with the table that they are all of, by their names."""
    for key, e in ((key, e) for side in sides for key, e in side.items()):
        part = _part(e)
        if part and part["bound"] != partitions.DEFAULT:
            yield e.name, _above(key, *sides)[-1]


def _part(entry: Entry | None) -> dict[str, str]:
    """Of which table it is a partition, and by which bound; empty for anything else."""
    found: dict[str, str] = (entry.facts.get("partition_of") if entry and entry.kind == "table" else None) or {}
    return found


def _unnumbered(name: str) -> str:
    return re.sub(r"\d", "0", name)


def _has_columns_of(whole: str, table: str, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> bool:
    """Whether a table has the columns that another one has had all the time."""
    now, then, own = (
        {(e.own, e.facts["type"]) for e in side.values() if e.kind == "column" and e.table == name}
        for side, name in ((live, whole), (wanted, whole), (live, table))
    )
    return bool(now & then) and now & then <= own


def retired(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> tuple[str, ...]:
    """The keys of captured partitions that are none any more, of a table that stands and is partitioned by ranges of one column, where
    each of them ends at or before the first range that there is: retention drops, or detaches, from the old end, and whatever is a part
    of one with it. A hole in the middle is none of its doing."""
    found: list[str] = []
    for key in _from_above(wanted):
        part = _part(wanted[key])
        if part and table_key(part["table"]) in found:
            found.append(key)
        if not part or part["bound"] == partitions.DEFAULT or _part(live.get(key)) or key in found:
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
        part = _part(e)
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


def without(entries: Mapping[str, Entry], tables: Collection[str], but: Collection[str] = ()) -> dict[str, Entry]:
    """Entries but for these tables and what is on them, `but` for what has one of those keys."""
    return {key: e for key, e in entries.items() if key in but or not {key, table_key(e.table)} & {*tables}}


def indexed(live: Mapping[str, Entry], wanted: Mapping[str, Entry], stays: Collection[str]) -> dict[str, Entry]:
    """What partitions that stay get with each index and key of their table that is recreated: what a captured one has of it."""
    found: dict[str, Entry] = {}
    models: dict[str, Entry] = {}
    for key in stays:
        whole = _part(live[key])["table"]
        for above in [e for e in (*wanted.values(), *found.values()) if _is_keyed(e, whole) and not _same(e, live)]:
            if (model := _model(models.get(above.key, above), live[key], wanted)) is not None:
                made = _as_on(live[key], model, above, (*live.values(), *wanted.values(), *found.values()))
                found[made.key], models[made.key] = made, model
    return found


def _as_on(table: Entry, model: Entry, above: Entry, others: Iterable[Entry]) -> Entry:
    """The same on another partition, under a name that nothing has, and attached to what there is above it."""
    old, new = (split_qualified(name)[2] for name in (model.table, table.name))
    taken = {(e.schema, e.own) for e in others}
    plain = unquoted(model.own.replace(old, new) if old in model.own else f"{new}_again")
    names = (identifier(f"{plain}_{number}" if number else plain) for number in itertools.count())
    own = next(name for name in names if (table.schema, name) not in taken)
    facts = _put(model.facts, {model.table: table.name, model.own: own})
    (facts.get("index") or facts)["attached_to"] = f"{above.schema}.{above.own}"
    return dataclasses.replace(
        model,
        name=f"{own} on {table.name}" if model.kind == "constraint" else f"{table.schema}.{own}",
        facts=facts,
        needs=(above.key,),
        address=None,
    )


def _stands(name: str, table: Entry, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> bool:
    """Whether nothing of a partitioned table is recreated that its new partition would have to leave room for, or that nobody knows how
    it would have."""
    here, there = wanted.get(table_key(name)), live.get(table_key(name))
    if here is None or there is None or here.facts.get("partition_key") != there.facts.get("partition_key"):
        return False
    parts = (e for e in wanted.values() if _part(e).get("table") == name)
    keyed = (e for e in wanted.values() if _is_keyed(e, name))
    return all(_same(e, live) for e in parts) and all(_same(e, live) or _model(e, table, wanted) for e in keyed)


def _is_keyed(entry: Entry, name: str) -> bool:
    """Whether it is an index or key of a table."""
    return entry.table == name and (
        entry.kind == "index" or bool(entry.kind == "constraint" and entry.facts.get("index"))
    )


def _model(above: Entry, table: Entry, wanted: Mapping[str, Entry]) -> Entry | None:
    """What a captured partition, which is partitioned itself as this one is or not, has of an index or key of its table."""
    name = f"{above.schema}.{above.own}"
    has = (e for e in wanted.values() if (e.facts.get("index") or e.facts).get("attached_to") == name)
    return next((e for e in has if _is_whole(wanted.get(table_key(e.table))) == _is_whole(table)), None)


def _is_whole(table: Entry | None) -> bool:
    return bool(table and table.facts.get("partition_key"))


def _same(entry: Entry, live: Mapping[str, Entry]) -> bool:
    there = live.get(entry.key)
    facts = ("partition_of", "partition_key") if entry.kind == "table" else ("definition", "index")
    return there is not None and all(there.facts.get(fact) == entry.facts.get(fact) for fact in facts)


def statistics(live: Mapping[str, Entry], wanted: Mapping[str, Entry], stays: Collection[str]) -> Iterator[str]:
    """The keys of statistics that go: those that partitions that stay have because their table has got them since."""
    for key in stays:
        yield from {*_shared(live[key], live, live, parts=False)} - {*_shared(live[key], live, wanted)}


def _shared(
    table: Entry, live: Mapping[str, Entry], known: Mapping[str, Entry], *, parts: bool = True
) -> Iterator[str]:
    """What a partition has of its own that others that are known have as well, of pg_partman's template perhaps, or the table as its
    statistics, of which pg_partman gives each partition some."""
    own = {key: live[key] for key in on(table, live) if live[key].table == table.name}
    if not own:
        return
    kinds, wholes = {e.kind for e in own.values()}, _above(table.key, live)
    others = {known[key].name for key in _below([table_key(wholes[-1])], known, ())} if parts else set[str]()
    forms = {
        _form(e)
        for e in known.values()
        if e.kind in kinds and (e.table in others or (e.kind == "statistics" and e.table in wholes))
    }
    yield from (key for key, e in own.items() if _form(e) in forms)


def _form(entry: Entry) -> str:
    """What it is, whichever table it is on and however it is called."""
    return json.dumps([entry.kind, _put(entry.facts, {entry.table: "", entry.own: ""})], sort_keys=True)


def _put(value: t.Any, names: Mapping[str, str]) -> t.Any:
    """Facts with names in the place of others."""
    if isinstance(value, dict):
        return {key: _put(each, names) for key, each in t.cast("dict[str, t.Any]", value).items()}
    if isinstance(value, list):
        return [_put(each, names) for each in t.cast("list[t.Any]", value)]
    if not isinstance(value, str):
        return value
    found = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
    return re.sub(rf"(?<![\w$])(?:{found})(?![\w$])", lambda match: names[match[0]], value)


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
