# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults by name: what each is for, takes and holds, and what it needs of a database, so that what is lacking can be named."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import psycopg

from .. import builder

Connection = psycopg.Connection[Any]

#: Whether something is there, by its kind and the words after it.
CHECKS = {
    "schema": "SELECT FROM pg_namespace WHERE nspname = %s",
    "relation": "SELECT FROM pg_class WHERE oid = to_regclass(%s)",
    "table": "SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p')",
    "view": "SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'v'",
    "materialized view": "SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'm'",
    "index": "SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind IN ('i', 'I')",
    "sequence": "SELECT FROM pg_class WHERE oid = to_regclass(%s) AND relkind = 'S'",
    "column": "SELECT FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attname = %s AND NOT attisdropped",
    "function": "SELECT WHERE coalesce(to_regprocedure(%s)::oid, to_regproc(%s)::oid) IS NOT NULL",
    "extension": "SELECT FROM pg_extension WHERE extname = %s",
    "role": "SELECT FROM pg_roles WHERE rolname = %s",
    "job": "SELECT FROM cron.job WHERE jobname = %s",
    "right": "SELECT WHERE has_table_privilege(to_regclass(%s), %s)",
    "superuser rights": "SELECT WHERE current_setting('is_superuser')::boolean",
}


@dataclass(frozen=True)
class Option:
    """A keyword of a fault."""

    name: str
    type: str
    required: bool
    default: Any = None

    def __str__(self) -> str:
        return self.name if self.required else f"{self.name}={self.default}"


@dataclass(frozen=True)
class Fault:
    """One fault; called as its function is: with the dsn of a superuser and its options."""

    name: str
    function: Callable[..., Any]
    templates: tuple[str, ...]
    #: What an option may be, where not everything of its type.
    choices: Mapping[str, tuple[str, ...]]

    def __call__(self, dsn: str, **options: Any) -> Any:
        """Break it."""
        for option, among in self.choices.items():
            if options.get(option, among[0]) not in among:
                raise ValueError(f"{option} is {options[option]!r}, not one of {', '.join(among)}")
        require_mark(dsn)
        return self.function(dsn, **options)

    @property
    def about(self) -> str:
        """What is broken afterwards, in a sentence or two."""
        return " ".join((self.function.__doc__ or "").split())

    @property
    def holds(self) -> bool:
        """Whether sessions stay, in a `Held` that the caller closes."""
        return inspect.signature(self.function).return_annotation == "Held"

    @cached_property
    def options(self) -> Mapping[str, Option]:
        """Its keywords by name."""
        found = list(inspect.signature(self.function).parameters.values())[1:]
        empty = inspect.Parameter.empty
        return {
            each.name: Option(each.name, str(each.annotation), each.default is empty, None if each.default is empty else each.default)
            for each in found
        }  # fmt: skip

    def needs(self, **options: Any) -> tuple[str, ...]:
        """What must be there, for these options; what depends on an option that has no value is left out."""
        values = {option.name: option.default for option in self.options.values() if not option.required} | options
        return tuple(dict.fromkeys(_filled(self.templates, values)))


FAULTS: dict[str, Fault] = {}


class NotMarkedError(LookupError):
    """The database is not one that may be broken."""


def require_mark(dsn: str) -> None:
    """Raises unless the builder of the reference or a clone has made the database, whatever its name and its server are."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        if not builder.is_marked(connection):
            raise NotMarkedError(
                f"refused: database {connection.info.dbname} was not made for drills and tests (it has no schema {builder.MARK});"
                " make one with: make reference"
            )


def fault[F: Callable[..., Any]](*needed: str, **choices: tuple[str, ...]) -> Callable[[F], F]:
    """Register the function under its own name, with what it needs: the kind and the name, or "{option}" for an option's value;
    and with what an option may be."""

    def register(function: F) -> F:
        FAULTS[function.__name__] = Fault(function.__name__, function, needed, choices)
        return function

    return register


def needs(name: str, **options: Any) -> tuple[str, ...]:
    """What a fault needs of a database, as "kind name"."""
    return FAULTS[name].needs(**options)


def lacking(connection: Connection, name: str, **options: Any) -> list[str]:
    """What of it the database does not have; of a table that is not there no column is named, too."""
    return missing(connection, needs(name, **options))


def missing(connection: Connection, wanted: tuple[str, ...]) -> list[str]:
    """Those of "kind name" that a database does not have."""
    found: dict[str, None] = {}
    for each in wanted:
        above = _above(each)
        if above and not _is_there(connection, f"relation {above}"):
            if not any(known.endswith(f" {above}") for known in found):
                found[f"table {above}"] = None
        elif not _is_there(connection, each):
            found[each] = None
    return list(found)


def _filled(templates: tuple[str, ...], values: Mapping[str, Any]) -> Iterator[str]:
    for template in templates:
        try:
            yield template.format_map(values)
        except KeyError:
            continue


def _split(wanted: str) -> tuple[str, str]:
    """The kind, in lower case, and the name."""
    for kind in sorted(CHECKS, key=len, reverse=True):
        if wanted.lower() == kind or wanted.lower().startswith(f"{kind} "):
            return kind, wanted[len(kind) + 1 :]
    raise ValueError(f"{wanted!r} is none of: {', '.join(CHECKS)}")


def _above(wanted: str) -> str | None:
    """The table or view without which there is nothing to look for."""
    kind, name = _split(wanted)
    if kind == "column":
        return name.rpartition(".")[0]
    if kind == "right":
        return name.partition(" on ")[2]
    return "cron.job" if kind == "job" else None


def _is_there(connection: Connection, wanted: str) -> bool:
    kind, name = _split(wanted)
    query = CHECKS[kind]
    parameters = [name] * query.count("%s")
    if kind == "column":
        table, _, column = name.rpartition(".")
        parameters = [table, column]
    elif kind == "right":
        right, _, table = name.partition(" on ")
        parameters = [table, right]
    try:
        return connection.execute(query.encode(), parameters).fetchone() is not None
    except (psycopg.errors.UndefinedObject, psycopg.errors.SyntaxError, psycopg.errors.InvalidTextRepresentation):
        # What is no name at all names nothing.
        return False
