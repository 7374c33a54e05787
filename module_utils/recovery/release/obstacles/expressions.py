# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What checks, indexes and exclusion constraints say, in parts that a query can have, from the words of PostgreSQL; pure."""

from __future__ import annotations

import re
import typing as t

from ...postgres.identifiers import closing, listed
from .definitions import NAME, parts

_CHECK: t.Final = re.compile(r"CHECK (?=\()")
_INDEX: t.Final = re.compile(
    rf"CREATE UNIQUE INDEX {NAME.pattern} ON (?:ONLY )?{NAME.pattern}\.{NAME.pattern} USING btree (?=\()"
)
_EXCLUDE: t.Final = re.compile(rf"EXCLUDE USING {NAME.pattern} (?=\()")
#: What an element of an index begins with, where it is no expression in parentheses: a column, or a function with arguments.
_CALLED: t.Final = re.compile(rf"{NAME.pattern}(?:\.{NAME.pattern})*")
_COLLATION: t.Final = re.compile(rf" COLLATE {NAME.pattern}(?:\.{NAME.pattern})?")


class Check(t.NamedTuple):
    """What must not be false: of these rows alone, or of those of children too; and whether it has to hold for what is there."""

    expression: str
    alone: bool
    holds: bool


class Unique(t.NamedTuple):
    """Expressions of which no two rows may have the same values, of which rows, and whether two empty ones are the same."""

    elements: tuple[str, ...]
    some: str
    nulls_count: bool


class Exclusion(t.NamedTuple):
    """Expressions with operators of which some must not be true for each two rows, and of which rows."""

    elements: tuple[tuple[str, str], ...]
    some: str


def check(definition: str) -> Check | None:
    """What a check says, of a table or of a domain; None for other words than PostgreSQL's."""
    found = _CHECK.match(definition)
    end = closing(definition, found.end()) if found else 0
    if not found or not end:
        return None
    rest = definition[end:]
    return Check(
        definition[found.end() : end], "NO INHERIT" in rest, "NOT VALID" not in rest and "NOT ENFORCED" not in rest
    )


def unique_index(definition: str) -> Unique | None:
    """What a unique index says; None for an index of another kind."""
    found = _INDEX.match(definition)
    end = closing(definition, found.end()) if found else 0
    if not found or not end:
        return None
    elements = tuple(map(_value, listed(definition[found.end() + 1 : end - 1])))
    rest, nulls_count = definition[end:], False
    while rest and not rest.startswith(" WHERE "):
        word = next(
            (each for each in (" INCLUDE ", " WITH ", " NULLS NOT DISTINCT", " TABLESPACE ") if rest.startswith(each)),
            "",
        )
        if not word:
            return None
        nulls_count |= word == " NULLS NOT DISTINCT"
        rest = rest[len(word) :]
        if word == " TABLESPACE " and (name := NAME.match(rest)):
            rest = rest[name.end() :]
        elif rest.startswith("("):
            rest = rest[closing(rest, 0) :]
    return Unique(elements, rest.removeprefix(" WHERE "), nulls_count)


def exclusion(definition: str) -> Exclusion | None:
    """What an exclusion constraint says; None for other words than PostgreSQL's."""
    found = _EXCLUDE.match(definition)
    end = closing(definition, found.end()) if found else 0
    if not found or not end:
        return None
    pairs = [each.rpartition(" WITH ") for each in listed(definition[found.end() + 1 : end - 1])]
    some = re.match(r"(?: INCLUDE \([^()]*\))?(?: USING INDEX TABLESPACE \S+)? WHERE (?=\()", definition[end:])
    where = ""
    if some:
        start = end + some.end()
        where = definition[start : closing(definition, start)]
    return Exclusion(tuple((_value(text), operator) for text, _, operator in pairs), where)


def _value(element: str) -> str:
    """An element of an index without its operator class and its order; its collation is part of what is the same."""
    called = _CALLED.match(element)
    end = called.end() if called else 0
    if element[end : end + 1] == "(":
        end = closing(element, end)
    collation = _COLLATION.match(element, end)
    return element[: collation.end() if collation else end]


def column(value: str) -> str:
    """A value as a person calls it: a column by its name, and any other by its expression."""
    return parts(value)[0] if NAME.fullmatch(value) else value
