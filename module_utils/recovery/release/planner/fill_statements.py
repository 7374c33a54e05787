# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements that restore saved data into tables and columns that are recreated; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.identifiers import identifier, literal
from ..ddl.common import split_qualified
from .renames import unquoted

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ..catalog.entries import Entry

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
    def where(self) -> str:
        """Its rows among all that is kept."""
        return f"d.capture_id = {literal(self.capture_id)} AND d.relation = {literal(self.relation)}"

    @property
    def match(self) -> str:
        """Its rows, and their rows in the table, which is r."""
        pairs = ", ".join(f"{literal(each)}, r.{identifier(each)}::text" for each in self.key)
        return f"{self.where} AND d.key = jsonb_object(ARRAY[{pairs}]::text[])"


@dataclasses.dataclass(frozen=True)
class Kept:
    """All that can be put back: data by table, and where sequences stood by their names."""

    tables: Mapping[str, Saved] = dataclasses.field(default_factory=dict[str, Saved])
    counters: Mapping[str, Counter] = dataclasses.field(default_factory=dict[str, Counter])


NOTHING: t.Final = Kept()
SOURCE: t.Final = "scout_ops.protected_data AS d"


def own_name(column: Entry) -> str:
    """The name of a column as data is kept under it."""
    return unquoted(split_qualified(column.name)[2])


def value(column: Entry) -> str:
    """A kept value as the column has it."""
    return f"(d.image ->> {literal(own_name(column))})::{column.facts['type']}"


def insert(table: Entry, columns: Iterable[Entry], saved: Saved) -> list[str]:
    """All kept rows, into a table that has just been made; none where a column that must have a value has none kept."""
    values = {
        split_qualified(each.name)[2]: _of_row(each, saved) for each in columns if each.facts.get("generated") is None
    }
    needed = [each for each in columns if each.facts.get("not_null") and not has_default(each)]
    if any(values.get(split_qualified(each.name)[2]) is None for each in needed) or not any(values.values()):
        return []
    listed = ", ".join(own for own, text in values.items() if text)
    # Names are those the catalog has written.
    query = f"SELECT {', '.join(filter(None, values.values()))} FROM {SOURCE} WHERE {saved.where} ORDER BY d.item"  # noqa: S608
    return [f"INSERT INTO {table.name} ({listed}) OVERRIDING SYSTEM VALUE {query}"]


def has_default(column: Entry) -> bool:
    """Whether rows have a value in it that nobody gives."""
    facts = column.facts
    return any(facts.get(fact) is not None for fact in ("default", "identity", "generated"))


def _of_row(column: Entry, saved: Saved) -> str | None:
    """The kept value of a column in a row, which may be part of the key alone."""
    own = own_name(column)
    if own in saved.columns:
        return value(column)
    return f"(d.key ->> {literal(own)})::{column.facts['type']}" if own in saved.key else None


def is_whole(columns: Iterable[Entry], saved: Saved) -> bool:
    """Whether nothing of these columns is missing in what is kept."""
    return all(_of_row(each, saved) for each in columns if each.facts.get("generated") is None)


def update(column: Entry, saved: Saved, *, triggers: bool) -> list[str]:
    """The kept values, into a column of rows that stand; no trigger of a user sees that."""
    relation, _, own = split_qualified(column.name)
    quiet = [f"ALTER TABLE {relation} DISABLE TRIGGER USER"] if triggers else []
    return [*quiet, f"UPDATE {relation} AS r SET {own} = {value(column)} FROM {SOURCE} WHERE {saved.match}"]  # noqa: S608


def take_over(column: Entry, other: Entry) -> str:
    """What another column of its table holds."""
    relation, _, own = split_qualified(column.name)
    return f"UPDATE {relation} SET {own} = {split_qualified(other.name)[2]}"  # noqa: S608


def joined(table: str, saved: Saved) -> str:
    """The rows of a table, each with what is kept of it."""
    return f"{table} AS r LEFT JOIN {SOURCE} ON {saved.match}"


def chosen(column: Entry, otherwise: str) -> str:
    """The kept value of a joined row, or what a row has of which none is kept."""
    otherwise = otherwise or column.facts.get("default") or "NULL"
    return f"CASE WHEN d.item IS NULL THEN {otherwise} ELSE {value(column)} END"


def count_on(sequence: str, counter: Counter) -> str:
    """A sequence that goes on where it stood."""
    last, called = counter
    return f"SELECT setval({literal(sequence)}::regclass, {last}, {str(called).lower()})"


def count_past(sequence: str, column: Entry) -> str:
    """A sequence that gives no value again that its column has."""
    relation, _, own = split_qualified(column.name)
    return f"SELECT setval({literal(sequence)}::regclass, max({own})) FROM {relation} HAVING max({own}) > 0"  # noqa: S608


def open_column(column: Entry) -> Entry:
    """The column as it has to be while it is filled: free to be empty, and to be given a value."""
    facts = {fact: value for fact, value in column.facts.items() if fact != "not_null"}
    identity: dict[str, t.Any] | None = facts.get("identity")
    if identity and identity.get("generated") == "always":
        facts["identity"] = {**identity, "generated": "by default"}
    return dataclasses.replace(column, facts=facts)


def close_column(column: Entry) -> list[str]:
    """What `open_column` left out."""
    relation, _, own = split_qualified(column.name)
    alter = f"ALTER TABLE {relation} ALTER COLUMN {own}"
    identity: dict[str, t.Any] = column.facts.get("identity") or {}
    made = [f"{alter} SET NOT NULL"] if column.facts.get("not_null") else []
    return made + ([f"{alter} SET GENERATED ALWAYS"] if identity.get("generated") == "always" else [])


def usable(saved: Saved | None, columns: Sequence[str], standing: Iterable[str]) -> bool:
    """Whether these columns of rows that stand can be filled: their key has to stand as well."""
    return saved is not None and set(columns) <= set(saved.columns) and set(saved.key) <= set(standing)
