# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is restored with data: the statements that put back what was saved of tables, columns and sequences; pure."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ..catalog.entries import key_of, kind_of, table_key
from ..ddl import constraints, partitions, views
from ..ddl.common import comment
from ..ddl.statement import Cost, Lock, Statement, joined, phrase, say
from . import fill_statements, type_changes
from .changes import ancestors, is_check, is_computed
from .renames import before

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ..catalog.entries import Entry
    from ..ddl.statement import Piece
    from .changes import Diff, TableChange
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


def fill(diff: Diff) -> Fills:
    """What of the kept data comes back with a difference, and what comes back without any."""
    kept, changes = diff.kept, diff.tables.values()
    made = {table.key: (change, table) for change in changes if change.made and (table := change.after)}
    rows = {key: _rows(*each) for key, each in made.items()}
    values = {
        key: tuple(_values(diff, change, change.has[key], change.saved))
        for change in changes if change.saved
        for key in (change.added | change.retyped) & change.restorable
    }  # fmt: skip
    # Rows that came since into the default partition, where none would come twice.
    split = {key: each.rest for key, (each, _) in made.items() if each.rest and not rows[key].statements}
    rows |= {key: _Rows(tuple(_out_of_rest(diff, diff.wanted[key], rest))) for key, rest in split.items()}
    filled = frozenset(values).union(*(each.filled for each in rows.values()))
    counting = [
        *(e for change, _ in made.values() for e in _counting_in(change, filled)),
        *(change.has[key] for change in changes for key in change.added),
        *(diff.wanted[key] for key in diff.altered if _counts_again(diff.live[key], diff.wanted[key])),
    ]
    sequences = [diff.wanted[key] for key in diff.created if kind_of(key) == "sequence"]
    stood = {
        e.key: fill_statements.count_on(e.name, kept.counters[e.name]) for e in sequences if e.name in kept.counters
    }
    return Fills(
        {key: each.statements for key, each in rows.items() if each.statements},
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


def _rows(change: TableChange, table: Entry) -> _Rows:
    """The rows of a table that is made."""
    if change.copied:
        return _copied_rows(change, table)
    if change.saved is None:
        return _Rows()
    made = fill_statements.insert(table, change.columns, change.saved)
    # Those of which not all columns were kept do not count as come back.
    whole = made and fill_statements.is_whole(change.columns, change.saved)
    return _Rows(tuple(made), frozenset({table.key} if whole else ()))


def _copied_rows(change: TableChange, table: Entry) -> _Rows:
    """The rows of the table that goes, with what was kept of the columns that come back."""
    old = f"{table.schema}.{before(table.own)}"
    own = {e.key: e.own for e in change.columns if not is_computed(e)}
    there = {k: f"r.{each}{_cast(change.had[k], change.has[k])}" for k, each in own.items() if k in change.had}
    # What is not there, and what was computed, gives way to what was kept.
    found = [key for key in own if key in change.restorable and (key not in there or key in change.uncomputed)]
    values: dict[str, Piece] = {key: value for key, value in there.items() if key not in found}
    source: Piece = f"{old} AS r"
    takes = None
    if found and (saved := change.saved):
        for key in found:
            other = change.aside.get(key)
            values[key] = fill_statements.chosen(change.has[key], f"r.{other.own}" if other else there.get(key, ""))
        source, takes = fill_statements.with_kept(old, saved), saved.where
    if not values:
        return _Rows()
    listed, selected = joined(", ", (own[key] for key in values)), joined(", ", values.values())
    pieces = (table.name, listed, selected, source)
    text = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}", *pieces)
    statement = Statement(text, Lock.ACCESS_EXCLUSIVE, Cost.REWRITES, runs_as=table.name, takes=takes)
    # The owner copies them, from whom no policy that is forced upon them may hide any, nor refuse any.
    both = ((old, change.before), (table.name, table))
    forced = [name for name, entry in both if entry and entry.facts.get("row_security_forced")]
    freed = [say("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", name) for name in forced]
    again = [say("ALTER TABLE {} FORCE ROW LEVEL SECURITY", name) for name in forced if name == table.name]
    return _Rows((*freed, statement, *again), frozenset(found))


def _cast(was: Entry, becomes: Entry) -> str:
    """What gives a value another type, where it has one."""
    return "" if was.facts["type"] == becomes.facts["type"] else f"::{becomes.facts['type']}"


# --- rows of the default partition


def into_rest(diff: Diff, part: Entry, default: Entry) -> list[Statement]:
    """The rows of a partition that is none any more then, into the default one."""
    listed = _listed(diff.tables[default.name])
    pieces = (default.name, listed, listed, part.name)
    text = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM {}", *pieces)
    detached = say("ALTER TABLE {} DETACH PARTITION {}", part.facts["partition_of"]["table"], part.name)
    return [detached, *_quietly(diff, default, text)]


def _out_of_rest(diff: Diff, part: Entry, default: Entry) -> list[Statement]:
    """The rows that a partition is for, out of the default one, before it becomes a partition."""
    own = part.facts["partition_of"]
    fits = partitions.fits(diff.wanted[table_key(own["table"])].facts["partition_key"], own["bound"])
    listed = _listed(diff.tables[default.name])
    pieces = (default.name, fits or "false", listed, part.name, listed, listed)
    text = phrase(
        "WITH gone AS (DELETE FROM {} WHERE {} RETURNING {}) INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE SELECT {} FROM gone",
        *pieces,
    )
    return _quietly(diff, default, text)


def _listed(default: TableChange) -> Piece:
    """The columns that both have, before and after."""
    return joined(", ", (e.own for e in default.columns if not is_computed(e) and e.key in default.had))


def _quietly(diff: Diff, default: Entry, text: t.Any) -> list[Statement]:
    """The default partition is written by its owner, and no trigger sees it; these are switched as they were."""
    moved = Statement(text, Lock.ROW_EXCLUSIVE, Cost.WRITES, runs_as=default.name)
    tables = {default.name, *ancestors(default.name, diff.live)}
    triggers = [e for e in diff.live.values() if e.kind == "trigger" and e.table in tables]
    if not triggers:
        return [moved]
    own = {e.own: e for e in triggers if e.table == default.name}
    again = [each for e in own.values() for each in views.switched("TRIGGER", e, "disabled")]
    again += [views.as_parent(default.name, e.own) for e in triggers if e.own not in own]
    return [say("ALTER TABLE {} DISABLE TRIGGER USER", default.name), moved, *again]


# --- values of columns


def _values(diff: Diff, change: TableChange, column: Entry, saved: Saved) -> Iterator[Statement]:
    """What was kept of a column, and what it has in rows of which nothing was kept."""
    only = len(change.family) > 1 and change.after is not None and not change.after.facts.get("partition_key")
    entries = itertools.chain(diff.live.values(), diff.wanted.values())
    triggers = any(e.kind == "trigger" and e.table in change.family for e in entries)
    *quiet, update = fill_statements.update(column, saved, triggers=triggers, only=only)
    # Whatever is written has to fulfil these checks, and so may not the rows of this table that are written again.
    standing = (
        diff.wanted[key] for key in sorted(diff.live.keys() & diff.wanted.keys() - diff.dropped - diff.altered.keys())
    )
    loose = [e for e in standing if is_loose(e) and e.table in change.family]
    yield from quiet
    yield from (say("ALTER TABLE {} DROP CONSTRAINT {}", e.table, e.own) for e in loose)
    if other := change.aside.get(column.key):
        yield fill_statements.take_over(column, other)
    yield update
    for e in loose:
        yield from constraints.create_constraint(e)
        yield from [comment("CONSTRAINT", phrase("{} ON {}", e.own, e.table), e.comment)] if e.comment else []


def is_loose(entry: Entry) -> bool:
    """Whether it is a check that need not hold for what is there."""
    return is_check(entry) and entry.facts.get("validated") is False


# --- counters


def _counting_in(change: TableChange, filled: frozenset[str]) -> Iterable[Entry]:
    """The columns of a table that is made which do not count from the start, because it has rows."""
    if change.copied:
        return [each for each in change.columns if each.key in filled]
    return change.columns if change.saved else ()


def _counts_again(was: Entry, becomes: Entry) -> bool:
    """Whether a column stands, and counts by itself again."""
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
        change = diff.tables[entry.table or entry.name]
        if entry.kind == "table" and not change.copied and not entry.facts.get("partition_key"):
            yield key
        elif entry.kind == "column" and not is_computed(entry) and (key not in change.had or key in change.uncomputed):
            with_table = change.made and not change.copied
            in_whole = key in change.following and change.after and change.after.facts.get("partition_of")
            yield from () if with_table or in_whole else (key,)
    # What its values were before they were computed, nobody knows.
    yield from sorted(key for each in diff.tables.values() for key in each.altered & each.uncomputed - filled)
