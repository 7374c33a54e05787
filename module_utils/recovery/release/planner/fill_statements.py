# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that restore saved data into tables and columns that are recreated; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import sql
from ...postgres.identifiers import unquoted
from ..ddl import not_null
from ..ddl.statement import Lock, Statement, identifier, joined, literal, phrase, say

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..catalog.entries import Entry
    from ..ddl.statement import Piece

#: Where a sequence stands: its last value, and whether that has been given out.
Counter = tuple[int, bool]


@dataclasses.dataclass(frozen=True)
class Saved:
    """Data of one table that is kept with a capture: which columns, found again by which key."""

    capture_id: str
    #: The table as its entry is named.
    relation: str
    key: tuple[str, ...]
    columns: tuple[str, ...]

    @property
    def where(self) -> sql.Composed:
        """Its rows among all that is kept."""
        return phrase("d.capture_id = {} AND d.relation = {}", literal(self.capture_id), literal(self.relation))

    @property
    def match(self) -> sql.Composed:
        """Its rows, and their rows in the table, which is r."""
        pairs = joined(", ", (phrase("{}, r.{}::text", literal(each), identifier(each)) for each in self.key))
        return phrase("{} AND d.key = jsonb_object(ARRAY[{}]::text[])", self.where, pairs)


@dataclasses.dataclass(frozen=True)
class Kept:
    """All that can be put back: data by table, and where sequences stood by their names."""

    tables: Mapping[str, Saved] = dataclasses.field(default_factory=dict[str, Saved])
    counters: Mapping[str, Counter] = dataclasses.field(default_factory=dict[str, Counter])
    #: The keys of partitions whose rows went into the default one.
    moved: frozenset[str] = frozenset()


NOTHING: t.Final = Kept()
#: The ledger, into which nobody else may look: `as_owner` puts a copy in its place.
SOURCE: t.Final = sql.SQL("scout_ops.protected_data AS d")


def own_name(column: Entry) -> str:
    """The name of a column as data is kept under it."""
    return unquoted(column.own)


def value(column: Entry) -> Piece:
    """A kept value as the column has it."""
    return phrase("(d.image ->> {})::{}", literal(own_name(column)), column.facts["type"])


def insert(table: Entry, columns: Iterable[Entry], saved: Saved) -> list[Statement]:
    """All kept rows, into a table that has just been made; none where a column that must have a value has none kept."""
    values = {each.own: _of_row(each, saved) for each in columns if each.facts.get("generated") is None}
    needed = [each for each in columns if each.facts.get("not_null") and not has_default(each)]
    if any(values.get(each.own) is None for each in needed) or not (any(values.values()) or not saved.columns):
        return []
    if not saved.columns:
        # Rows of which nothing is stored are there all the same.
        empty = phrase("INSERT INTO {} SELECT FROM {} WHERE {}", table.name, SOURCE, saved.where)
        return [Statement(empty, Lock.ROW_EXCLUSIVE, runs_as=table.name, takes=saved.where)]
    listed = joined(", ", (own for own, text in values.items() if text))
    selected = joined(", ", (text for text in values.values() if text))
    query = phrase("SELECT {} FROM {} WHERE {} ORDER BY d.item", selected, SOURCE, saved.where)
    made = phrase("INSERT INTO {} ({}) OVERRIDING SYSTEM VALUE {}", table.name, listed, query)
    return [Statement(made, Lock.ROW_EXCLUSIVE, runs_as=table.name, takes=saved.where)]


def has_default(column: Entry) -> bool:
    """Whether rows have a value in it that nobody gives."""
    facts = column.facts
    return any(facts.get(fact) is not None for fact in ("default", "identity", "generated"))


def _of_row(column: Entry, saved: Saved) -> Piece | None:
    """The kept value of a column in a row, which may be part of the key alone."""
    own = own_name(column)
    if own in saved.columns:
        return value(column)
    return phrase("(d.key ->> {})::{}", literal(own), column.facts["type"]) if own in saved.key else None


def is_whole(columns: Iterable[Entry], saved: Saved) -> bool:
    """Whether nothing of these columns is missing in what is kept."""
    return all(_of_row(each, saved) for each in columns if each.facts.get("generated") is None)


def update(column: Entry, saved: Saved, *, triggers: bool, only: bool) -> list[Statement]:
    """The kept values, into a column of rows that stand, where these have others; no trigger of a user sees that. Rows of a parent
    alone (`only`) where those of its children, which may have the same keys, are none of its own."""
    relation, own = column.table, column.own
    quiet = [say("ALTER TABLE {} DISABLE TRIGGER USER", relation)] if triggers else []
    differs = phrase("r.{}::text IS DISTINCT FROM d.image ->> {}", own, literal(own_name(column)))
    pieces = (relation, own, value(column), SOURCE, saved.match, differs)
    text = phrase("UPDATE {}{} AS r SET {} = {} FROM {} WHERE {} AND {}", "ONLY " if only else "", *pieces)
    return [*quiet, Statement(text, Lock.ROW_EXCLUSIVE, runs_as=relation, takes=saved.where)]


def take_over(column: Entry, other: Entry) -> Statement:
    """What another column of its table holds."""
    relation, own = column.table, column.own
    old = other.own
    return say("UPDATE {} SET {} = {}", relation, own, old, lock=Lock.ROW_EXCLUSIVE, runs_as=relation)


def with_kept(table: str, saved: Saved) -> Piece:
    """The rows of a table, each with what is kept of it."""
    return phrase("{} AS r LEFT JOIN {} ON {}", table, SOURCE, saved.match)


def chosen(column: Entry, otherwise: str) -> Piece:
    """The kept value of a joined row, or what a row has of which none is kept."""
    otherwise = otherwise or column.facts.get("default") or "NULL"
    return phrase("CASE WHEN d.item IS NULL THEN {} ELSE {} END", otherwise, value(column))


def count_on(sequence: str, counter: Counter) -> Statement:
    """A sequence that goes on where it stood."""
    last, called = counter
    return say(
        "SELECT setval({}::regclass, {}, {})", literal(sequence), last, str(called).lower(), lock=Lock.ROW_EXCLUSIVE
    )


def count_past(sequence: str, column: Entry) -> Statement:
    """A sequence that gives no value again that its column has."""
    relation, own = column.table, column.own
    pieces = (literal(sequence), own, relation, own)
    return say("SELECT setval({}::regclass, max({})) FROM {} HAVING max({}) > 0", *pieces, lock=Lock.ROW_EXCLUSIVE)


def open_column(column: Entry) -> Entry:
    """The column as it has to be while it is filled: free to be empty, and to be given a value."""
    facts = {fact: value for fact, value in column.facts.items() if fact != "not_null"}
    identity: dict[str, t.Any] | None = facts.get("identity")
    if identity and identity.get("generated") == "always":
        facts["identity"] = {**identity, "generated": "by default"}
    return dataclasses.replace(column, facts=facts)


def close_column(column: Entry) -> list[Statement]:
    """What `open_column` left out."""
    relation, own = column.table, column.own
    alter = phrase("ALTER TABLE {} ALTER COLUMN {}", relation, own)
    identity: dict[str, t.Any] = column.facts.get("identity") or {}
    made = not_null.of_column(column)
    return made + ([say("{} SET GENERATED ALWAYS", alter)] if identity.get("generated") == "always" else [])


def usable(saved: Saved | None, columns: Sequence[str], standing: Iterable[str]) -> bool:
    """Whether these columns of rows that stand can be filled: their key has to stand as well."""
    return saved is not None and set(columns) <= set(saved.columns) and set(saved.key) <= set(standing)
