# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a catalog holds: every object of a scope as one entry."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ...postgres.identifiers import unquoted

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

#: Kinds whose names say of which types they are.
SIGNED: t.Final = ("function", "aggregate", "cast", "operator")

#: The fact of a column or a domain that says how its NOT NULL is called, and how far it reaches.
NOT_NULL: t.Final = "not_null_constraint"


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A table in which a deployment says which files it has applied: the columns by which a row is known, and those by which it says
    so. Without columns it was not there, or nobody has looked."""

    table: str
    key: tuple[str, ...] = ()
    state: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Scope:
    """What a release is about: schemas and what they depend on, and the tables with the migration history, if any."""

    schemas: tuple[str, ...]
    #: All columns of each of its rows count.
    migrations_table: str = ""
    manifests: tuple[Manifest, ...] = ()

    @property
    def histories(self) -> tuple[str, ...]:
        """All tables with a migration history, by the names that were given."""
        return tuple(filter(None, (self.migrations_table, *(each.table for each in self.manifests))))

    def as_dict(self) -> dict[str, t.Any]:
        """For a capture."""
        manifests = [{"table": each.table, "key": list(each.key), "state": list(each.state)} for each in self.manifests]
        return {"schemas": list(self.schemas), "migrations_table": self.migrations_table, "manifests": manifests}


def scope_of(made: Mapping[str, t.Any]) -> Scope:
    """The scope that a capture has; one of an earlier version knows no manifests."""
    manifests = (
        Manifest(each["table"], tuple(each["key"]), tuple(each["state"])) for each in made.get("manifests", ())
    )
    return Scope(tuple(made["schemas"]), made["migrations_table"], tuple(manifests))


@dataclasses.dataclass(frozen=True)
class Entry:
    """One object. `facts` are its definition in parts; an absent one is at its default."""

    kind: str
    name: str
    facts: dict[str, t.Any]
    owner: str | None = None
    #: [grantee, privilege, with grant option, grantor], those that hold by default too.
    grants: tuple[tuple[str, str, bool, str], ...] = ()
    comment: str | None = None
    #: Security labels by provider.
    labels: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    #: Keys of entries that have to be there first.
    needs: tuple[str, ...] = ()
    #: Where it is in this database, which tells a renamed object from another one.
    address: tuple[str, int, int] | None = None
    #: How lists stand whose order means nothing, but shows in a dump: [grantee, grantor] of `grants` and of those of the columns
    #: of a view by their name, and of the sequence of a column; `options`. An empty `populated` says that a materialized view is
    #: not, an empty `merged` that a column is the table's own as well as its parent's. No part of the definition.
    order: dict[str, list[t.Any]] = dataclasses.field(default_factory=dict[str, list[t.Any]], compare=False)
    #: The table, view or materialized view that it stands on, named as PostgreSQL writes it; empty where it stands for itself.
    table: str = dataclasses.field(init=False, compare=False)
    #: The schema it is in, by itself or with its table, quoted as PostgreSQL does; empty for what is in none or is told apart by types.
    schema: str = dataclasses.field(init=False, compare=False)

    def __post_init__(self) -> None:
        of_column = split_qualified(self.name)[0] if self.kind == "column" else ""
        table = of_column or self.facts.get("table") or self.facts.get("relation") or ""
        object.__setattr__(self, "table", table)
        object.__setattr__(self, "schema", "" if self.kind in SIGNED else split_qualified(table or self.name)[0])

    @property
    def key(self) -> str:
        """Its name among all kinds."""
        return key_of(self.kind, self.name)

    @functools.cached_property
    def text(self) -> str:
        """Its name and all texts of its definition, in which to look whether it speaks of something."""
        return "\0".join([self.name, *_texts(self.facts)])

    @functools.cached_property
    def own(self) -> str:
        """Its name without schema and table, quoted as PostgreSQL does; of a function with the types it takes."""
        name = self.name.removesuffix(f" on {self.table}")
        return name if name != self.name or self.kind in SIGNED else split_qualified(name)[2]


def key_of(kind: str, name: str) -> str:
    """The key of an entry, as captures and digests have it."""
    return f"{kind}:{name}"


def table_key(table: str) -> str:
    """The key of a table."""
    return key_of("table", table)


def column_key(table: str, own: str) -> str:
    """The key of a column of a table."""
    return key_of("column", f"{table}.{own}")


def tables_of(entry: Entry) -> set[str]:
    """The tables whose columns something needs, by their keys: of a foreign key both of its tables."""
    return {table_of(need) for need in entry.needs if kind_of(need) == "column"}


def kind_of(key: str) -> str:
    """The kind of an entry."""
    return key.partition(":")[0]


def name_of(key: str) -> str:
    """The name of an entry among those of its kind."""
    return key.partition(":")[2]


def table_of(column: str) -> str:
    """The key of the table of a column, by the column's."""
    return table_key(split_qualified(name_of(column))[0])


def stands_on(key: str, table: str) -> bool:
    """Whether it is the key of a column of this table."""
    return kind_of(key) == "column" and table_of(key) == table_key(table)


def _texts(value: t.Any) -> Iterator[str]:
    """All texts in facts, the names of parts left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        inner = t.cast("list[t.Any] | dict[str, t.Any]", value)
        for each in inner.values() if isinstance(inner, dict) else inner:
            yield from _texts(each)


def differing_facts(before: Entry, after: Entry) -> set[str]:
    """The names of the facts in which two entries differ. That NOT NULL has the name which PostgreSQL gives it, or none, as before
    PostgreSQL 18, is no difference; what it is called says nothing where only one has it. Of what nothing makes again, an older capture
    has no definition."""
    found = {name for name in {*before.facts, *after.facts} if before.facts.get(name) != after.facts.get(name)}
    if "not_null" in found or _named(before) == _named(after):
        found -= {NOT_NULL}
    if before.kind == "other" and ("definition" in before.facts) != ("definition" in after.facts):
        found -= {"definition"}
    return found


def _named(entry: Entry) -> dict[str, t.Any]:
    """What is said of its NOT NULL beside the usual name."""
    table = [split_qualified(entry.table)[2]] if entry.table else []
    usual = "_".join([*map(unquoted, (*table, entry.own)), "not_null"])
    said: dict[str, t.Any] = entry.facts.get(NOT_NULL) or {}
    return {part: value for part, value in said.items() if (part, value) != ("name", usual)}


def split_qualified(qualified: str) -> tuple[str, str, str]:
    """What stands before the last dot outside of quotes, the dot, and what stands behind it."""
    quoted = False
    for place in range(len(qualified) - 1, -1, -1):
        if qualified[place] == '"':
            quoted = not quoted
        elif qualified[place] == "." and not quoted:
            return qualified[:place], ".", qualified[place + 1 :]
    return "", "", qualified


@dataclasses.dataclass(frozen=True)
class Catalog:
    """All entries of a scope by key, and which of them are there only because others need them."""

    entries: dict[str, Entry]
    beyond: tuple[str, ...]
