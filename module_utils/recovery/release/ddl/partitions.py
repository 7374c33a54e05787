# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which rows a partition is for, from its bound as PostgreSQL writes it; pure."""

from __future__ import annotations

import decimal
import re
import typing as t

from ...postgres.identifiers import closing, listed
from .statement import joined, phrase

if t.TYPE_CHECKING:
    from .statement import Piece

DEFAULT: t.Final = "DEFAULT"
_NAME: t.Final = r'(?:"(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)'
#: What a key is made of whose operators are those of its type: columns, and expressions that end in a parenthesis.
_PLAIN: t.Final = re.compile(rf"{_NAME}(?: COLLATE {_NAME}(?:\.{_NAME})?)?|.*\)", re.DOTALL)
_KEY: t.Final = re.compile(r"(RANGE|LIST) (?=\()")
_RANGE: t.Final = "FOR VALUES FROM "
_LIST: t.Final = "FOR VALUES IN "
#: A time as it sorts, and its offset; PostgreSQL writes all of one database alike. A number.
_TIME: t.Final = re.compile(r"'(\d{4}-\d\d-\d\d(?: \d\d:\d\d:\d\d(?:\.\d+)?)?)((?:[+-][\d:]+)?)'")
_NUMBER: t.Final = re.compile(r"'?(-?\d+(?:\.\d+)?)'?")
_ENDLESS: t.Final = ("MINVALUE", "MAXVALUE")


def fits(key: str, bound: str) -> Piece | None:
    """Which rows of its table a partition is for: a condition, from the table's key ("RANGE (d)") and the partition's bound ("FOR
    VALUES FROM ('2027-01-01') TO ('2028-01-01')"). None for the default partition, for hashes, and for operators of one's own."""
    found = _KEY.match(key)
    parts = listed(key[found.end() + 1 : -1]) if found else []
    if not found or not all(_PLAIN.fullmatch(each) for each in parts):
        return None
    if found[1] == "LIST" and bound.startswith(_LIST):
        return _one_of(parts[0], listed(bound[len(_LIST) + 1 : -1]))
    if found[1] == "RANGE" and bound.startswith(_RANGE):
        end = closing(bound, len(_RANGE))
        lower, upper = bound[len(_RANGE) + 1 : end - 1], bound[end:].removeprefix(" TO ")[1:-1]
        there = [phrase("{} IS NOT NULL", each) for each in parts]
        return joined(" AND ", [*there, _beyond(parts, listed(lower)), _below(parts, listed(upper))])
    return None


def ends(bound: str) -> tuple[str, str] | None:
    """Where the range of one column begins and ends, as PostgreSQL writes the values; None for any other bound."""
    if not bound.startswith(_RANGE):
        return None
    end = closing(bound, len(_RANGE))
    lower, upper = listed(bound[len(_RANGE) + 1 : end - 1]), listed(bound[end:].removeprefix(" TO ")[1:-1])
    return (lower[0], upper[0]) if len(lower) == len(upper) == 1 else None


def at_or_before(one: str, other: str) -> bool:
    """Whether a value of a bound comes before another, or is the same. Of values that are neither times nor numbers, and of those that
    are written in different ways, nobody says so."""
    if one == other or "MINVALUE" in (one, other):
        return one == other or one == "MINVALUE"
    times, numbers = ([form.fullmatch(each) for each in (one, other)] for form in (_TIME, _NUMBER))
    if times[0] and times[1]:
        return times[0][2] == times[1][2] and times[0][1] <= times[1][1]
    if numbers[0] and numbers[1]:
        return decimal.Decimal(numbers[0][1]) <= decimal.Decimal(numbers[1][1])
    return False


def _one_of(part: str, values: list[str]) -> Piece:
    some = [each for each in values if each != "NULL"]
    found = [phrase("{} IN ({})", part, joined(", ", some))] if some else []
    return phrase("({})", joined(" OR ", [*found, *([phrase("{} IS NULL", part)] if len(some) < len(values) else [])]))


def _beyond(parts: list[str], values: list[str]) -> Piece:
    """At or behind the lower end; what stands behind an endless value does not count."""
    number, end = _until_endless(values)
    return _compared(parts[:number], ">" if end == "MAXVALUE" else ">=", values[:number])


def _below(parts: list[str], values: list[str]) -> Piece:
    number, end = _until_endless(values)
    return _compared(parts[:number], "<=" if end == "MAXVALUE" else "<", values[:number])


def _until_endless(values: list[str]) -> tuple[int, str]:
    return next(((number, each) for number, each in enumerate(values) if each in _ENDLESS), (len(values), ""))


def _compared(parts: list[str], operator: str, values: list[str]) -> Piece:
    if not parts:
        return ""
    return phrase("ROW({}) {} ROW({})", joined(", ", parts), operator, joined(", ", values))
