# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names, keys and types as PostgreSQL writes them, in parts; pure."""

from __future__ import annotations

import re
import typing as t

from ...postgres.identifiers import unquoted

_NAME: t.Final = r'(?:"(?:[^"]|"")*+"|[^\s".,()]++)'
NAME: t.Final = re.compile(_NAME)
_LIST: t.Final = rf"\(({_NAME}(?:, {_NAME})*+)\)"
KEY: t.Final = re.compile(rf"\A(?:PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? {_LIST}")
FOREIGN: t.Final = re.compile(rf"\AFOREIGN KEY {_LIST} REFERENCES ({_NAME}\.{_NAME}){_LIST}")
TYPE: t.Final = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?")

WHOLE: t.Final = {"smallint": 2**15, "integer": 2**31, "bigint": 2**63}
NUMBERS: t.Final = (*WHOLE, "numeric", "real", "double precision")
TEXTS: t.Final = ("text", "character varying", "character")
#: What a text has to look like, for servers that cannot be asked (before PostgreSQL 16).
LIKE: t.Final = {
    **dict.fromkeys(WHOLE, r"^\s*[+-]?\d+\s*$"),
    "numeric": r"^\s*([+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|[+-]?Infinity)\s*$",
    "boolean": r"^\s*(t|tr|tru|true|f|fa|fal|fals|false|y|ye|yes|n|no|on|of|off|0|1)\s*$",
    "uuid": r"^\{?([0-9a-f]{4}-?){7}[0-9a-f]{4}\}?$",
}


class Unique(t.NamedTuple):
    """Columns of which no two rows may have the same values, and whether two empty ones are the same."""

    columns: list[str]
    nulls_count: bool


class Reference(t.NamedTuple):
    """Columns, and the table and columns in which their values have to be."""

    columns: list[str]
    table: str
    there: list[str]


class Type(t.NamedTuple):
    """A type of PostgreSQL's own: its name, and its modifiers."""

    name: str
    digits: int | None
    behind: int


def parts(qualified: str) -> list[str]:
    """The names that dots join, as they are."""
    return [unquoted(name) for name in NAME.findall(qualified)]


def unique(definition: str) -> Unique | None:
    """What a key says; None for whatever is none."""
    found = KEY.match(definition)
    return Unique(parts(found[2]), bool(found[1])) if found else None


def reference(definition: str) -> Reference | None:
    """What a foreign key says; None for one that is not written as PostgreSQL does."""
    found = FOREIGN.match(definition)
    return Reference(parts(found[1]), found[2], parts(found[3])) if found else None


def typed(text: str) -> Type | None:
    """A type of PostgreSQL's own; None for any other, and for arrays."""
    found = TYPE.fullmatch(text)
    if found is None:
        return None
    return Type(found[1] + (found[4] or ""), int(found[2]) if found[2] else None, int(found[3] or 0))
