# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored with data: the statements that put back what was saved of tables, columns and sequences; pure."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ..catalog.entries import column_key, key_of, table_key
from ..ddl import constraints
from ..ddl.common import comment, differing_as_written, parents
from ..ddl.statement import Cost, Lock, Statement, joined, phrase, say
from . import fill_statements, new_partitions, type_changes
from .renames import before

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Piece
    from .diff import Diff
    from .fill_statements import Kept, Saved

#: Statements by the key of what they fill.
type By = Mapping[str, tuple[Statement, ...]]


@dataclasses.dataclass(frozen=True)
class Fills:
    """Statements that put data back, by keys; they run once what they fill has been made, and before it is closed again."""

    #: Rows of tables: those that were kept, or for a table that is copied those of the old one.
    rows: By = dataclasses.field(default_factory=dict[str, "tuple[Statement, ...]"])
    #: Values of columns of tables that stand.
    values: By = dataclasses.field(default_factory=dict[str, "tuple[Statement, ...]"])
    #: Where sequences count on, by their own key, or by that of the column that counts by itself.
    counters: Mapping[str, Statement] = dataclasses.field(default_factory=dict[str, Statement])
    #: For sequences of which nothing is kept: past what the column holds that they belong to, once they do.
    passed: Mapping[str, Statement] = dataclasses.field(default_factory=dict[str, Statement])
    #: Columns and tables whose kept data comes back.
    filled: frozenset[str] = frozenset()
    #: What had data, is restored, and has none.
    empty: tuple[str, ...] = ()


def fill(diff: Diff, kept: Kept) -> Fills:
    """What of the kept data comes back with a difference, and what comes back without any."""
    made = {
        key: _rows(diff, kept, diff.wanted[key]) for key in sorted(diff.created) if diff.wanted[key].kind == "table"
    }
    values = {
        key: tuple(_values(diff, diff.wanted[key], saved))
        for key in sorted([*diff.created, *diff.altered])
        if _is_added(diff, key) or _is_retyped(diff, key)
        if (saved := saved_of(diff, kept, diff.wanted[key]))
    }
    # Rows that came since into the default partition, where none would come twice.
    unkept = [diff.wanted[key] for key, rows in made.items() if not rows.statements]
    split = {e.key: default for e in unkept if (default := new_partitions.rest(diff, e))}
    made |= {
        key: _Rows(tuple(new_partitions.out_of_rest(diff, diff.wanted[key], default))) for key, default in split.items()
    }
    filled = frozenset(values).union(*(rows.filled for rows in made.values()))
    counting = [
        *(each for key in made for each in _counting_in(diff, kept, key, filled)),
        *(diff.wanted[key] for key in sorted(diff.created) if _is_added(diff, key)),
        *(diff.wanted[key] for key in sorted(diff.altered) if _counts_again(diff, key)),
    ]
    sequences = [diff.wanted[key] for key in sorted(diff.created) if diff.wanted[key].kind == "sequence"]
    stood = {
        e.key: fill_statements.count_on(e.name, kept.counters[e.name]) for e in sequences if e.name in kept.counters
    }
    return Fills(
        {key: rows.statements for key, rows in made.items() if rows.statements},
        values,
        stood | {column.key: counter for column in counting if (counter := _counter(column, kept))},
        {e.key: counter for e in sequences if (counter := _past(e.name, _owner(diff, e), kept))},
        filled,
        tuple(key for key in _empty(diff, filled) if key not in kept.moved & split.keys()),
    )


# --- rows of tables


class _Rows(t.NamedTuple):
    """The statements for the rows of a table, and which keys have with them all that was kept."""

    statements: tuple[Statement, ...] = ()
    filled: frozenset[str] = frozenset()


def _rows(diff: Diff, kept: Kept, table: Entry) -> _Rows:
    """The rows of a table that is made."""
    if table.key in diff.copied:
        return _copied_rows(diff, kept, table)
    saved = kept.tables.get(table.name)
    if saved is None:
        return _Rows()
    columns = diff.columns(table)
    made = fill_statements.insert(table, columns, saved)
    # Those of which not all columns were kept do not count as come back.
    whole = made and fill_statements.is_whole(columns, saved)
    return _Rows(tuple(made), frozenset({table.key} if whole else ()))


def _copied_rows(diff: Diff, kept: Kept, table: Entry) -> _Rows:
    """The rows of the table that goes, with what was kept of the columns that come back."""
    old = f"{table.schema}.{before(table.own)}"
    own = {e.key: e.own for e in diff.columns(table) if e.facts.get("generated") is None}
    there = {k: f"r.{each}{_cast(diff, k)}" for k, each in own.items() if k in diff.live}
    # What is not there, and what was computed, gives way to what was kept.
    open_keys = [key for key in own if key not in there or _was_computed(diff, key)]
    found = {key: saved for key in open_keys if (saved := saved_of(diff, kept, diff.wanted[key]))}
    values: dict[str, Piece] = {key: value for key, value in there.items() if key not in found}
    source: Piece = f"{old} AS r"
    takes = None
    for key, saved in found.items():
        other = aside(diff, diff.wanted[key])
        values[key] = fill_statements.chosen(diff.wanted[key], f"r.{other.own}" if other else there.get(key, ""))
        source = fill_statements.with_kept(old, saved)
        takes = saved.where
    if not values:
        return _Rows()
    listed, selected = joined(", ", (own[key] for key in values)), joined(", ", values.values())
    pieces = (table.name, listed, selected, source)
    text = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}", *pieces)
    statement = Statement(text, Lock.ACCESS_EXCLUSIVE, Cost.REWRITES, runs_as=table.name, takes=takes)
    # The owner copies them, from whom no policy that is forced upon them may hide any, nor refuse any.
    both = ((old, diff.live[table.key]), (table.name, table))
    forced = [name for name, entry in both if entry.facts.get("row_security_forced")]
    freed = [say("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", name) for name in forced]
    again = [say("ALTER TABLE {} FORCE ROW LEVEL SECURITY", name) for name in forced if name == table.name]
    return _Rows((*freed, statement, *again), frozenset(found))


def _cast(diff: Diff, key: str) -> str:
    """What gives a value another type, where it has one."""
    was, becomes = diff.live[key].facts["type"], diff.wanted[key].facts["type"]
    return "" if was == becomes else f"::{becomes}"


# --- values of columns


def _is_added(diff: Diff, key: str) -> bool:
    """Whether a column is added by itself to a table that stands."""
    entry = diff.wanted[key]
    own = entry.kind == "column" and key in diff.created and table_key(entry.table) not in diff.created
    return own and not diff.follows_parent(entry)


def _is_retyped(diff: Diff, key: str) -> bool:
    """Whether a column gets its type again, which may hold what another one could not, or values that are not computed."""
    entry = diff.wanted[key]
    if entry.kind != "column" or key not in diff.altered:
        return False
    return "type" in differing_as_written(diff.live[key], entry) or _was_computed(diff, key)


def _values(diff: Diff, column: Entry, saved: Saved) -> Iterator[Statement]:
    """What was kept of a column, and what it has in rows of which nothing was kept."""
    table = diff.wanted.get(table_key(column.table))
    parent = any(column.table in parents(e) for e in diff.wanted.values() if e.kind == "table")
    only = parent and table is not None and not table.facts.get("partition_key")
    *quiet, update = fill_statements.update(column, saved, triggers=_has_triggers(diff, column.table), only=only)
    loose = _loose_checks(diff, column.table)
    yield from quiet
    yield from (say("ALTER TABLE {} DROP CONSTRAINT {}", e.table, e.own) for e in loose)
    if other := aside(diff, column):
        yield fill_statements.take_over(column, other)
    yield update
    for e in loose:
        yield from constraints.create_constraint(e)
        yield from [comment("CONSTRAINT", phrase("{} ON {}", e.own, e.table), e.comment)] if e.comment else []


def _loose_checks(diff: Diff, table: str) -> list[Entry]:
    """Checks that stand and need not hold for what is there: whatever is written has to fulfil them, and so may not the rows of
    this table that are written again."""
    standing = (
        diff.wanted[key] for key in sorted(diff.live.keys() & diff.wanted.keys() - diff.dropped - diff.altered.keys())
    )
    return [e for e in standing if is_loose(e) and table in tables_above(diff, e.table)]


def is_loose(entry: Entry) -> bool:
    """Whether it is a check that need not hold for what is there."""
    return entry.kind == "constraint" and entry.facts.get("type") == "check" and entry.facts.get("validated") is False


def tables_above(diff: Diff, name: str) -> set[str]:
    """A table, and those of whose rows its own are a part."""
    table = diff.wanted.get(table_key(name))
    return {name, *(diff.ancestors(table) if table else ())}


def saved_of(diff: Diff, kept: Kept, column: Entry) -> Saved | None:
    """What was kept of a column, where its rows can be found again."""
    saved = kept.tables.get(column.table)
    if saved is None or column.facts.get("generated") is not None:
        return None
    copied = table_key(column.table) in diff.copied
    standing = {
        fill_statements.own_name(e)
        for e in diff.live.values()
        if e.kind == "column" and e.table == column.table and (copied or e.key not in diff.dropped)
    }
    return saved if fill_statements.usable(saved, [fill_statements.own_name(column)], standing) else None


def aside(diff: Diff, column: Entry) -> Entry | None:
    """The column that was added under its name when it was gone, which has values of rows that were not kept."""
    other = diff.live.get(column_key(column.table, before(column.own))) if column.key in diff.created else None
    return other if other and other.facts["type"] == column.facts["type"] else None


def _has_triggers(diff: Diff, table: str) -> bool:
    below = {e.name for e in diff.wanted.values() if e.kind == "table" and table in diff.ancestors(e)} | {table}
    entries = itertools.chain(diff.live.values(), diff.wanted.values())
    return any(e.kind == "trigger" and e.table in below for e in entries)


# --- counters


def _counting_in(diff: Diff, kept: Kept, key: str, filled: frozenset[str]) -> Iterable[Entry]:
    """The columns of a table that is made which do not count from the start, because it has rows."""
    table = diff.wanted[key]
    if key in diff.copied:
        return [each for each in diff.columns(table) if each.key in filled]
    return diff.columns(table) if table.name in kept.tables else ()


def _counts_again(diff: Diff, key: str) -> bool:
    """Whether a column stands, and counts by itself again."""
    was, becomes = diff.live[key], diff.wanted[key]
    return becomes.kind == "column" and bool(becomes.facts.get("identity") and not was.facts.get("identity"))


def _counter(column: Entry, kept: Kept) -> Statement | None:
    """The sequence of a column that counts by itself: where it stood, or past what the column holds."""
    identity: dict[str, t.Any] = column.facts.get("identity") or {}
    own = identity.get("sequence")
    if own and own in kept.counters:
        return fill_statements.count_on(own, kept.counters[own])
    return _past(own, column, kept) if own else None


def _past(sequence: str, column: Entry | None, kept: Kept) -> Statement | None:
    """A sequence that was recreated gives no value that its column has."""
    if column is None or sequence in kept.counters or column.facts["type"] not in type_changes.WHOLE:
        return None
    return fill_statements.count_past(sequence, column)


def _owner(diff: Diff, sequence: Entry) -> Entry | None:
    """The column that a sequence belongs to."""
    return diff.wanted.get(key_of("column", sequence.facts.get("owned_by") or ""))


# --- what is empty


def _empty(diff: Diff, filled: frozenset[str]) -> Iterator[str]:
    for key in sorted(diff.created - filled):
        entry = diff.wanted[key]
        table = table_key(entry.table)
        if entry.kind == "table" and key not in diff.copied and not entry.facts.get("partition_key"):
            yield key
        elif (
            entry.kind == "column"
            and (key not in diff.live or _was_computed(diff, key))
            and entry.facts.get("generated") is None
        ):
            with_table = table in diff.created and table not in diff.copied
            in_whole = (
                diff.follows_parent(entry) and table in diff.wanted and diff.wanted[table].facts.get("partition_of")
            )
            yield from () if with_table or in_whole else (key,)
    # What its values were before they were computed, nobody knows.
    yield from (key for key in sorted(diff.altered.keys() - filled) if _was_computed(diff, key))


def _was_computed(diff: Diff, key: str) -> bool:
    """Whether the values of a column are computed now, and shall not be."""
    was, becomes = diff.live[key], diff.wanted[key]
    return (
        becomes.kind == "column" and was.facts.get("generated") is not None and becomes.facts.get("generated") is None
    )
