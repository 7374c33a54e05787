# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done to each entry, with the statements for that; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ..catalog.entries import key_of, kind_of, split_qualified, table_key, tables_of
from ..ddl import constraints, database_level, views
from ..ddl import tables as ddl_tables
from ..ddl import types as ddl_types
from ..ddl.common import beside, comment, given, grants
from ..ddl.registry import WRITERS
from ..ddl.statement import Cost, Effect, Lock, Statement, identifier, literal, phrase, say
from . import fill_statements
from .changes import FOREIGN_KEY, ancestors, inheritable
from .fill import into_rest, is_loose
from .renames import before

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..catalog.entries import Entry
    from .changes import Diff, TableChange
    from .fill import Fills

#: What is done, and to which key.
Action = tuple[str, str]
type Actions = dict[Action, list[Statement]]
#: Kinds that stand on a relation and go with it.
PARTS: t.Final = (
    "column",
    "constraint",
    "index",
    "trigger",
    "rule",
    "policy",
    "statistics",
    "publication_table",
    "manifest",
)
RELATIONS: t.Final = ("table", "view", "materialized_view")


def actions_of(diff: Diff, fills: Fills, migrations_table: str) -> Actions:
    """What is done, by (what, key); the order of an action without statements counts as well."""
    made = {("drop", key): _dropped(diff, diff.live[key], migrations_table) for key in diff.dropped}
    for key in diff.created:
        made |= _made(diff, fills, diff.wanted[key], migrations_table)
    for key in diff.altered:
        made |= _altered(diff, fills, key)
    for key in diff.parted:
        made |= _parted(diff, key)
    return made | _switched(diff, fills, made)


def settled(diff: Diff) -> Iterator[tuple[str, list[Statement]]]:
    """Owner, grants, comment and labels of what is there in the end, by key."""
    everybody = sorted(
        {g[0] for e in diff.live.values() if e.kind == "default_privileges" for g in e.grants} | {"PUBLIC"}
    )
    # What is taken back from a table is taken from its columns as well, so these come after it.
    for key in sorted(diff.wanted, key=lambda key: (kind_of(key) == "column", key)):
        if made := _beside(diff, diff.wanted[key], everybody):
            yield key, made


# --- dropped


def _dropped(diff: Diff, entry: Entry, migrations_table: str) -> list[Statement]:
    """What drops an entry, where it does not fall with another one."""
    if entry.key in diff.swapped or entry.key in diff.copied or falls_with(diff, entry):
        return []
    if entry.kind == "migration":
        return database_level.delete_row(entry, migrations_table)
    if entry.kind not in WRITERS:
        return []
    rest = diff.tables[entry.name].rest if entry.kind == "table" and entry.key not in diff.wanted else None
    apart = into_rest(diff, entry, rest) if rest else _detached(diff, entry)
    return [*apart, *WRITERS[entry.kind].drop(entry)]


def falls_with(diff: Diff, entry: Entry) -> bool:
    """Whether its relation, its column, or what it has from a parent goes and takes it along."""
    index: dict[str, t.Any] = entry.facts.get("index") or entry.facts
    if entry.facts.get("type") == FOREIGN_KEY and (tables_of(entry) - {table_key(entry.table)}) & diff.dropped:
        # It is on another table that goes: of two that refer to each other none could go first.
        return False
    if any(table_key(entry.table) in _needed(diff.live.get(need)) for need in entry.needs if need in diff.dropped):
        # It calls what takes rows of the table, and that has to go first.
        return False
    if (above := index.get("attached_to")) and _goes_by_name(diff, above):
        return True
    if entry.kind == "sequence":
        return key_of("column", entry.facts.get("owned_by") or "") in diff.dropped
    if entry.kind == "column" and entry.key not in diff.wanted and entry.key in diff.tables[entry.table].following:
        return True
    fallen = diff.dropped if entry.kind == "column" else diff.dropped - diff.copied
    return entry.kind in PARTS and any(key_of(kind, entry.table) in fallen for kind in RELATIONS)


def _needed(entry: Entry | None) -> set[str]:
    """What something needs by itself, but for what is on a table."""
    return {*entry.needs} if entry and entry.kind in ("function", "aggregate", "operator") else set()


def _goes_by_name(diff: Diff, index: str) -> bool:
    """Whether an index goes, or the constraint that has it."""
    schema, _, own = split_qualified(index)
    constraints_that_go = (diff.live[key] for key in diff.dropped if kind_of(key) == "constraint")
    return key_of("index", index) in diff.dropped or any(
        (e.schema, e.own) == (schema, own) for e in constraints_that_go
    )


def _detached(diff: Diff, entry: Entry) -> list[Statement]:
    """A partition leaves a table that stays, before it goes, where a foreign key refers to that."""
    part: dict[str, str] = (entry.facts.get("partition_of") or {}) if entry.kind == "table" else {}
    above = {table_key(each) for each in ancestors(entry.name, diff.live)} if part else set[str]()
    referred = any(e.facts.get("type") == FOREIGN_KEY and tables_of(e) & above for e in diff.live.values())
    return [say("ALTER TABLE {} DETACH PARTITION {}", part["table"], entry.name)] if part and referred else []


# --- created


def _made(diff: Diff, fills: Fills, entry: Entry, migrations_table: str) -> Actions:
    """What makes an entry, fills and attaches it."""
    key = entry.key
    if entry.kind == "migration":
        return {("create", key): database_level.insert_row(entry, migrations_table)}
    if key in diff.swapped:
        return {("create", key): _swap(diff, entry)}
    if entry.kind == "table":
        return _table(diff, fills, diff.tables[entry.name], entry)
    if entry.kind == "column":
        return {("create", key): _column(diff.tables[entry.table], fills, entry)}
    if entry.kind == "sequence":
        return {("create", key): _sequence(diff, entry), ("own", key): _owned(diff, fills, entry)}
    if entry.kind in ("constraint", "index"):
        return {("create", key): _indexed(diff, entry)}
    return {("create", key): WRITERS[entry.kind].create(entry) if entry.kind in WRITERS else []}


def _table(diff: Diff, fills: Fills, change: TableChange, table: Entry) -> Actions:
    """A table with its rows; of one that has partitions they come when these are there."""
    key = table.key
    rows, counters = fills.rows.get(key, ()), _counters(fills, change.columns)
    attached = [*_checks(diff, change, table), *ddl_tables.attach(table)]
    if change.copied:
        return {("create", key): _copied(diff, fills, change, table), ("attach", key): attached}
    made = ddl_tables.create_table(table, change.columns)
    if table.facts.get("partition_key"):
        return {("create", key): made, ("attach", key): attached, ("fill", key): [*rows, *counters]}
    return {("create", key): [made[0], *rows, *made[1:], *counters], ("attach", key): attached}


def _counters(fills: Fills, columns: list[Entry]) -> list[Statement]:
    return [fills.counters[each.key] for each in columns if each.key in fills.counters]


def _column(change: TableChange, fills: Fills, column: Entry) -> list[Statement]:
    """A column with its values, where it does not come with its table, or its parent's."""
    if column.key not in change.added:
        return []
    if column.key not in fills.values:
        return [*WRITERS["column"].create(column), *_counters(fills, [column])]
    made = WRITERS["column"].create(fill_statements.open_column(column))
    return [*made, *fills.values[column.key], *fill_statements.close_column(column), *_counters(fills, [column])]


def _sequence(diff: Diff, sequence: Entry) -> list[Statement]:
    made = WRITERS["sequence"].create(sequence)
    # Defaults that call it are computed with the rights of the table's owner.
    if owner := _owner_now(diff, sequence) or sequence.owner:
        made.append(given("SEQUENCE", sequence.name, owner))
    return made


def _indexed(diff: Diff, entry: Entry) -> list[Statement]:
    """An index or a constraint."""
    made, change = WRITERS[entry.kind].create(entry), diff.tables[entry.table]
    if change.made:
        # It becomes a part of its parent's when its table does.
        made = [each for each in made if each.effect != Effect.ATTACHES]
    if entry.kind == "constraint" and entry.facts.get("index") and _is_of_parts(diff, entry, change.after):
        made[0] = constraints.create_constraint(entry, only=True)[0]
    return made


def _is_of_parts(diff: Diff, key: Entry, table: Entry | None) -> bool:
    """Whether the partitions of its table have a key each; of a table that stays as it is only what is attached to it tells."""
    if table is not None:
        return bool(table.facts.get("partition_key"))
    name = f"{key.schema}.{key.own}"
    indexes: list[dict[str, t.Any]] = [e.facts.get("index") or {} for e in diff.wanted.values()]
    return any(each.get("attached_to") == name for each in indexes)


def _swap(diff: Diff, enum: Entry) -> list[Statement]:
    """Another type of the same name in the place of an enum of which labels go; a row that has one of these is an error."""
    old = f"{enum.schema}.{before(enum.own)}"
    made = [
        say("ALTER TYPE {} RENAME TO {}", enum.name, split_qualified(old)[2]),
        *WRITERS["enum"].create(enum),
    ]
    for key in sorted(diff.swapped[enum.key]):
        relation, column = diff.live[key].table, diff.live[key].own
        facts, alter = diff.wanted[key].facts, phrase("ALTER TABLE {} ALTER COLUMN {}", relation, column)
        text = "text[]" if facts["type"].endswith("[]") else "text"
        has = diff.live[key].facts.get("default") is not None
        made += [say("{} DROP DEFAULT", alter)] if has else []
        using = phrase("{}::{}::{}", column, text, facts["type"])
        made.append(say("{} TYPE {} USING {}", alter, facts["type"], using, cost=Cost.REWRITES, runs_as=relation))
        made += [say("{} SET DEFAULT {}", alter, facts["default"])] if facts.get("default") is not None else []
    return [*made, say("DROP TYPE {}", old, lock=Lock.ACCESS_SHARE)]


def _copied(diff: Diff, fills: Fills, change: TableChange, table: Entry) -> list[Statement]:
    """A new table with the rows of the old one, which goes; columns that count go on counting."""
    old = f"{table.schema}.{before(table.own)}"
    made = [say("ALTER TABLE {} RENAME TO {}", table.name, split_qualified(old)[2])]
    counting = [e for e in change.columns if ddl_tables.has_sequence(e.facts.get("identity")) and e.key in change.had]
    for e in counting:
        sequence = sequence_of(change.had[e.key])
        made += [say("ALTER SEQUENCE {} RENAME TO {}", sequence, _old(sequence))] if sequence else []
    owned = [
        e
        for e in diff.live.values()
        if e.kind == "sequence"
        and e.key in diff.wanted
        and split_qualified(e.facts.get("owned_by") or "")[0] == table.name
    ]
    made += [say("ALTER SEQUENCE {} OWNED BY NONE", e.name) for e in owned]
    made += ddl_tables.create_table(table, change.columns)
    made += [given("TABLE", table.name, table.owner)] if table.owner else []
    made += fills.rows.get(table.key, ())
    for e in counting:
        if sequence := sequence_of(change.had[e.key]):
            was = f"{split_qualified(sequence)[0]}.{_old(sequence)}"
            now = literal(e.facts["identity"]["sequence"])
            made.append(
                say("SELECT setval({}::regclass, last_value, is_called) FROM {}", now, was, lock=Lock.ROW_EXCLUSIVE)
            )
    made.append(say("DROP TABLE {}", old))
    made += _counters(fills, change.columns)
    return made + [told for e in owned for told in ddl_tables.owned(diff.wanted[e.key])]


def _old(sequence: str) -> str:
    return before(split_qualified(sequence)[2])


def _checks(diff: Diff, change: TableChange, table: Entry) -> Iterator[Statement]:
    """The checks of its parent, which a table needs to become a partition of that."""
    for e in inheritable(change.ancestors, diff.wanted) if table.facts.get("partition_of") else ():
        # One that need not hold for what is there comes once that is there.
        if not (is_loose(e) and e.key in diff.created):
            yield constraints.add(e, table.name)


# --- altered


def _altered(diff: Diff, fills: Fills, key: str) -> Actions:
    """What is altered where it stands, and what comes before and after that."""
    was, becomes = diff.live[key], diff.wanted[key]
    last = [each for each in diff.altered[key] if each.effect == Effect.REQUIRES]
    made = [each for each in diff.altered[key] if each not in last]
    made += [*_counters(fills, [becomes]), *fills.values.get(key, ()), *last]
    if becomes.kind == "table":
        apart = {("part", key): Effect.LEAVES, ("attach", key): Effect.INHERITS}
        rest = [each for each in made if each.effect not in apart.values()]
        return {("alter", key): rest} | {
            does: [e for e in made if e.effect == effect] for does, effect in apart.items()
        }
    if becomes.kind == "sequence":
        owned = [each for each in made if each.effect == Effect.JOINS]
        rest = [each for each in made if each not in owned]
        return {("alter", key): rest, ("own", key): _joined(diff, becomes, owned, was)}
    if becomes.kind != "column" or not {sequence_of(was), sequence_of(becomes)} - {None}:
        return {("alter", key): made}
    # What a column lets go of first, where a sequence of the same name shall serve it in another way.
    effects = {Effect.DROPS_IDENTITY}
    if key_of("sequence", sequence_of(becomes) or "") in diff.dropped:
        effects.add(Effect.DROPS_DEFAULT)
    first = [each for each in made if each.effect in effects]
    rest = {("alter", key): [each for each in made if each not in first]}
    return {("part", key): first, **rest} if first else rest


def _parted(diff: Diff, key: str) -> Actions:
    """A column without its default, while what that calls is recreated."""
    relation, own = diff.live[key].table, diff.live[key].own
    drop = say("ALTER TABLE {} ALTER COLUMN {} DROP DEFAULT", relation, own, effect=Effect.DROPS_DEFAULT)
    default = diff.wanted[key].facts.get("default") if key in diff.wanted else None
    if default is None or key in diff.altered:
        return {("part", key): [drop]}
    set_again = say("ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {}", relation, own, default)
    return {("part", key): [drop], ("rejoin", key): [set_again]}


def _switched(diff: Diff, fills: Fills, made: Mapping[Action, list[Statement]]) -> Actions:
    """What is done to a trigger reaches those that partitions have of it, which are switched as they were; so are all of a
    table that is filled."""
    quiet = {diff.wanted[key].table for key in fills.filled if kind_of(key) == "column"}
    quiet = quiet.union(*(diff.tables[table].family for table in quiet))
    if not quiet and not any(kind_of(key) == "trigger" for _, key in made):
        return {}
    left = [e for e in diff.wanted.values() if e.kind == "trigger" and ("create", e.key) not in made]
    again: Actions = {("rejoin", e.key): WRITERS["trigger"].create(e) for e in left if e.facts.get("inherited")}
    return again | {("rejoin", e.key): views.switched("TRIGGER", e, "") for e in left if e.table in quiet}


# --- sequences of columns


def _owned(diff: Diff, fills: Fills, sequence: Entry) -> list[Statement]:
    """A sequence that belongs to its column again, and counts on where it stood, or behind what that holds."""
    made = _joined(diff, sequence, ddl_tables.owned(sequence), None)
    # What is made with a default that calls it has counted on by then.
    made += _counters(fills, [sequence])
    return [*made, fills.passed[sequence.key]] if sequence.key in fills.passed else made


def _joined(diff: Diff, sequence: Entry, made: list[Statement], was: Entry | None) -> list[Statement]:
    """The same statements, where a sequence gets another column: it has to be the owner's whose the table is at that time."""
    by = sequence.facts.get("owned_by")
    if not by or (was and was.facts.get("owned_by") == by):
        return made
    now = _owner_now(diff, sequence)
    if was and was.owner == now:
        return made
    free = [say("ALTER SEQUENCE {} OWNED BY NONE", sequence.name)] if was and was.facts.get("owned_by") else []
    owner = identifier(now) if now else "CURRENT_USER"
    return [*free, say("ALTER SEQUENCE {} OWNER TO {}", sequence.name, owner), *made]


def _owner_now(diff: Diff, sequence: Entry) -> str | None:
    """Whose the table is to which a sequence belongs, when it is joined to that; a table that is made is nobody's yet."""
    change = diff.tables[split_qualified(sequence.facts.get("owned_by") or "")[0]]
    now = change.after if change.copied else None if change.made else change.before
    return now.owner if now else None


def sequence_of(column: Entry | None) -> str | None:
    """The sequence of an identity column."""
    identity: dict[str, str] = (column.facts.get("identity") if column and column.kind == "column" else None) or {}
    return identity.get("sequence")


# --- settled


def _beside(diff: Diff, entry: Entry, everybody: list[str]) -> list[Statement]:
    """Owner, grants, comment and labels where they differ, or where it was recreated."""
    writer = WRITERS.get(entry.kind)
    if writer is None or not writer.noun:
        return []
    was = None if entry.key in diff.created else diff.live.get(entry.key)
    named = dataclasses.replace(entry, name=ddl_types.routine(entry)) if writer.noun == "ROUTINE" else entry
    made = beside(named, was, everybody, writer.noun)
    if was is not None and was.grants == entry.grants and _is_granted_anew(diff.tables[entry.table], entry):
        made += grants(entry, None, ())
    if entry.kind == "column":
        made += _of_sequence(diff.tables[entry.table], entry, was, everybody)
    if entry.kind in ("view", "materialized_view") and any(each.effect == Effect.REVOKES for each in made):
        made += views.column_grants(entry, was)
    return made


def _of_sequence(change: TableChange, column: Entry, was: Entry | None, everybody: list[str]) -> list[Statement]:
    """What is granted on the sequence of a column that counts by itself, and said of it."""
    sequence, owner = sequence_of(column), change.after.owner if change.after else None
    if not sequence:
        return []
    stands = was is not None and sequence_of(was) and change.before and not change.made
    there = was.facts if was is not None and stands else {}
    same = stands and change.before and change.before.owner == owner
    made: list[Statement] = []
    told: list[tuple[str, str, bool, str]] | None = column.facts.get("sequence_grants")
    # Where nothing is said of it, it is its owner's.
    usual = [(owner or "", privilege, False, owner or "") for privilege in ("SELECT", "UPDATE", "USAGE")]
    granted = [tuple(g) for g in told] if told is not None else usual
    if not same or there.get("sequence_grants") != column.facts.get("sequence_grants"):
        order = {"grants": column.order.get("sequence", [])}
        entry = dataclasses.replace(
            column, kind="sequence", name=sequence, owner=owner, grants=tuple(granted), order=order
        )
        made += grants(entry, None, everybody)
    text = column.facts.get("sequence_comment")
    if text != there.get("sequence_comment"):
        made.append(comment("SEQUENCE", sequence, text))
    return made


def _is_granted_anew(change: TableChange, entry: Entry) -> bool:
    """Whether it is a column whose table's grants are recreated."""
    was, becomes = (change.before, change.after) if entry.kind == "column" else (None, None)
    return bool(was and becomes and entry.grants and (was.grants, was.owner) != (becomes.grants, becomes.owner))
