# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same object under another name: told by where it is in the database; pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t
import zlib

from ...postgres.identifiers import identifier, unquoted
from ..catalog.entries import column_key, key_of, name_of, split_qualified, table_key
from ..ddl.common import LIGHT, parents
from ..ddl.registry import WRITERS
from ..ddl.statement import Lock, Statement, say

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..catalog.entries import Entry

#: In the order in which they are looked for: what stands below something comes after it.
KINDS: t.Final = (
    *("enum", "domain", "composite", "range", "collation"),
    *("table", "view", "materialized_view", "sequence", "column", "index", "constraint"),
)
#: These share their names.
RELATIONS: t.Final = ("table", "view", "materialized_view", "sequence")
NAME_BYTES: t.Final = 63
#: Texts in which PostgreSQL does not follow a name: whoever renames something has to write them anew.
TEXTS: t.Final = ("cron_job", "migration", "manifest")
#: Where the text begins that a function's language understands; a body that was parsed has no such beginning.
BODY: t.Final = "\nAS $"
#: In a definition, an identifier; the name of an object, as nextval has it; and a text, which no rename reaches.
QUOTED: t.Final = r"""(?:"(?:[^"]|"")*"|(?P<object>'(?:[^']|'')*'::reg\w+)|'(?:[^']|'')*')"""


def renamed(
    live: Mapping[str, Entry], wanted: Mapping[str, Entry], aside: Iterable[str] = ()
) -> tuple[dict[str, Entry], list[tuple[str, list[Statement]]]]:
    """The live catalog after everything has got back its name, and the steps to that. What is to stand aside, by its key,
    leaves its name to another one that is made."""
    there, statements = dict(live), list[tuple[str, list[Statement]]]()
    for key in aside:
        one, two = there[key], _aside(there[key])
        statements.append((key, list(_rename(one, two))))
        there = _with_name(there, one, two)
        identity: dict[str, t.Any] = one.facts.get("identity") or {}
        if sequence := identity.get("sequence"):
            schema, _, own = split_qualified(sequence)
            statements.append((key, [say("ALTER SEQUENCE {} RENAME TO {}", sequence, before(own))]))
            facts = {**there[two.key].facts, "identity": {**identity, "sequence": f"{schema}.{before(own)}"}}
            there[two.key] = dataclasses.replace(there[two.key], facts=facts)
    for kind in KINDS:
        for entry in sorted((e for e in wanted.values() if e.kind == kind and e.address), key=_depth(wanted)):
            other = there.get(entry.key) or _in_the_way(there, entry)
            if other and other.address == entry.address:
                continue
            # A rename moves what stands below it, so each is looked for in what the ones before have made.
            found = next((e for e in there.values() if e.address == entry.address), None)
            if found is None or not _is_misplaced(found, entry, wanted):
                continue
            # Where another one has its name by now, that first.
            for one, two in [*([(other, _aside(other))] if other else []), (found, entry)]:
                # Those of partitions follow their parent's.
                told = [] if kind == "column" and _follows(one, there, statements) else list(_rename(one, two))
                statements.append((one.key, told))
                there = _with_name(there, one, two)
    return there, [(key, told) for key, told in statements if told]


def added_again(live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> list[str]:
    """The keys of columns that were dropped and added again under the same name: what they hold is not what they held."""
    there = {entry.address for entry in live.values()}
    made: list[str] = []
    for key, entry in wanted.items():
        if key in live and entry.kind == "column" and entry.facts.get("generated") is None and entry.address:
            table = table_key(entry.table)
            stands = table in live and table in wanted and live[table].address == wanted[table].address
            made += [key] if stands and entry.address not in there else []
    return made


def _is_misplaced(found: Entry, entry: Entry, wanted: Mapping[str, Entry]) -> bool:
    """Whether it is that very object, which has another name, and none that is due to another one."""
    if found.kind != entry.kind:
        return False
    if entry.kind == "column":
        return found.table == entry.table
    own = wanted.get(found.key)
    is_due = own is not None and own.address == found.address
    return not is_due and found.facts.get("table") == entry.facts.get("table")


def _in_the_way(there: Mapping[str, Entry], entry: Entry) -> Entry | None:
    """Another relation that has the name by now, such as a view in front of a table, or the key of a table that was recreated."""
    if entry.kind in RELATIONS:
        found = (there[key] for kind in RELATIONS if (key := key_of(kind, entry.name)) in there)
    elif _is_index(entry):
        place = entry.schema, entry.own
        found = (e for e in there.values() if _is_index(e) and (e.schema, e.own) == place)
    else:
        return None
    return next((each for each in found if each.address != entry.address), None)


def _is_index(entry: Entry) -> bool:
    """Or a constraint with one, which has its name."""
    return entry.kind == "index" or (entry.kind == "constraint" and bool(entry.facts.get("index")))


def _aside(entry: Entry) -> Entry:
    """What leaves its name to the one that had it; it gets its own back later, or goes."""
    if entry.kind == "constraint":
        return dataclasses.replace(entry, name=f"{before(entry.own)} on {entry.table}")
    return dataclasses.replace(
        entry, name=f"{entry.table if entry.kind == 'column' else entry.schema}.{before(entry.own)}"
    )


def _depth(wanted: Mapping[str, Entry]) -> Callable[[Entry], int]:
    """How many tables stand above that of a column: what a parent has is renamed with it."""

    def above(table: str) -> int:
        entry = wanted.get(table_key(table))
        return max((1 + above(parent) for parent in parents(entry)), default=0) if entry else 0

    return lambda entry: above(entry.table) if entry.kind == "column" else 0


def _follows(column: Entry, there: Mapping[str, Entry], done: Iterable[tuple[str, list[Statement]]]) -> bool:
    entry, followed = there.get(table_key(column.table)), {key for key, _ in done}
    return entry is not None and any(column_key(parent, column.own) in followed for parent in parents(entry))


def _rename(found: Entry, entry: Entry) -> Iterator[Statement]:
    if entry.kind == "column":
        yield say("ALTER TABLE {} RENAME COLUMN {} TO {}", found.table, found.own, entry.own)
        return
    if entry.kind == "constraint":
        old, new = found.own, entry.own
        yield say("ALTER TABLE {} RENAME CONSTRAINT {} TO {}", found.facts["table"], old, new)
        return
    noun = WRITERS[entry.kind].noun
    lock = Lock.ACCESS_SHARE if noun in LIGHT else Lock.ACCESS_EXCLUSIVE
    schema, old, to_schema, new = found.schema, found.own, entry.schema, entry.own
    # An index, and a sequence of a column, have moved with their table.
    if schema != to_schema and not (entry.kind == "index" or found.facts.get("owned_by")):
        yield say("ALTER {} {} SET SCHEMA {}", noun, found.name, to_schema, lock=lock)
    if old != new:
        yield say("ALTER {} {}.{} RENAME TO {}", noun, to_schema, old, new, lock=lock)


def _with_name(there: Mapping[str, Entry], found: Entry, entry: Entry) -> dict[str, Entry]:
    """All entries with another name for one of them, wherever it is spoken of."""
    say, concerned = _saying(there, found, entry)
    speaking = {key for key, e in there.items() if found.name in e.text}
    speaking |= concerned if entry.kind in ("column", "constraint") else set()
    keys = {key: _key_with(there[key], found, entry, say) for key in speaking}
    moved = {key for key, new in keys.items() if new != key}
    made: dict[str, Entry] = {}
    for key, e in there.items():
        if key not in speaking and moved.isdisjoint(e.needs):
            made[key] = e
            continue
        facts, new = e.facts, keys.get(key, key)
        if key in concerned:
            facts = {name: say(value) for name, value in facts.items()} | _as_written(e, say)
            if name_raw := _raw(found, entry, e):
                facts["column_order"] = [name_raw[1] if c == name_raw[0] else c for c in e.facts["column_order"]]
        if e.kind == "column" and e.table == found.name and facts.get("identity"):
            facts = {
                **facts,
                "identity": _moved(facts["identity"], found.schema, entry.schema),
            }
        if entry.kind == "column" and facts.get("owned_by") == found.name:
            facts = {**facts, "owned_by": entry.name}
        made[new] = dataclasses.replace(
            e, name=name_of(new), facts=facts, needs=tuple(sorted(keys.get(need, need) for need in e.needs))
        )
    return made


def _saying(there: Mapping[str, Entry], found: Entry, entry: Entry) -> tuple[Callable[[t.Any], t.Any], set[str]]:
    """What puts the new name for the old one into facts, and the keys of the entries that may speak of it."""
    before = r'(?<![\w".])'
    if entry.kind in ("column", "constraint"):
        of_column = entry.kind == "column"
        old, new = (e.own for e in (found, entry))
        before = r'(?<![\w"])' if of_column else before
        concerned = {key for key, e in there.items() if found.key in e.needs}
        concerned |= {found.key, *([table_key(found.table)] if of_column else [])}
    else:
        old, new, concerned = found.name, entry.name, set(there)
    token = re.compile(rf'{before}{re.escape(old)}(?![\w"])')
    piece = re.compile(rf"(?P<name>{token.pattern})|{QUOTED}", re.DOTALL)

    def put(found: re.Match[str]) -> str:
        return new if found["name"] else token.sub(lambda _: new, found[0]) if found["object"] else found[0]

    def say(value: t.Any) -> t.Any:
        if isinstance(value, str):
            return piece.sub(put, value)
        if isinstance(value, list):
            return [say(each) for each in t.cast("list[t.Any]", value)]
        if isinstance(value, dict):
            pairs = t.cast("dict[str, t.Any]", value).items()
            return {key: each if key == "comment" else say(each) for key, each in pairs}
        return value

    return say, concerned


def _as_written(e: Entry, say: Callable[[t.Any], t.Any]) -> dict[str, t.Any]:
    """The facts with texts that no rename reaches."""
    if e.kind in TEXTS:
        return e.facts
    head, start, body = str(e.facts.get("definition", "")).partition(BODY)
    return {"definition": f"{say(head)}{start}{body}"} if e.kind == "function" and start else {}


def _moved(identity: dict[str, t.Any], schema: str, to_schema: str) -> dict[str, t.Any]:
    """An identity whose sequence has moved with its table."""
    at, _, own = split_qualified(identity.get("sequence", ""))
    return {**identity, "sequence": f"{to_schema}.{own}"} if at and at == schema else identity


def _raw(found: Entry, entry: Entry, of: Entry) -> tuple[str, str] | None:
    """The old and the new name of a column as its table's order has them."""
    if entry.kind != "column" or of.kind != "table" or "column_order" not in of.facts:
        return None
    old, new = (unquoted(each.own) for each in (found, entry))
    return old, new


def before(name: str) -> str:
    """The name of what stands aside until its successor is complete; PostgreSQL cuts names off behind 63 bytes."""
    whole, mark = unquoted(name), " of before"
    if len((whole + mark).encode()) > NAME_BYTES:
        mark = f" {zlib.crc32(whole.encode()):08x}{mark}"
        whole = whole.encode()[: NAME_BYTES - len(mark)].decode(errors="ignore")
    return identifier(whole + mark)


def _key_with(e: Entry, found: Entry, entry: Entry, say: t.Callable[[t.Any], t.Any]) -> str:
    """The key an entry has after a rename."""
    if e.key == found.key:
        return entry.key
    below = entry.kind not in ("column", "constraint") and (
        e.name.startswith(f"{found.name}.")
        or e.name.endswith(f" on {found.name}")
        or e.kind in ("function", "aggregate", "cast", "operator", "publication_table")
    )
    return key_of(e.kind, say(e.name)) if below else e.key
