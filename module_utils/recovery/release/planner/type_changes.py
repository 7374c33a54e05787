# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a column keeps its values when it gets another type by `column::type`; pure.

An explicit cast cuts texts and rounds numbers without a word. What it refuses is no loss: then nothing has happened at all.
"""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry

#: A type as format_type writes it: name, modifiers, what follows these, and whether it is an array.
TYPE: t.Final = re.compile(
    r"(?P<name>[^(\[]+?)(?:\((?P<mods>-?\d+(?:,-?\d+)?)\)(?P<rest> [a-z ]+)?)?(?P<array>(?:\[\])?)"
)

WHOLE: t.Final = ("smallint", "integer", "bigint")
#: Of these, more characters, bits, or digits of a second hold whatever fewer hold; without a modifier it is as many as can be.
GROWING: t.Final = (
    "character varying",
    "character",
    "bit varying",
    "timestamp without time zone",
    "timestamp with time zone",
    "time without time zone",
    "time with time zone",
)
#: From one type to the others, whatever the value is.
KEEPING: t.Final[dict[str, tuple[str, ...]]] = {
    "smallint": (*WHOLE, "numeric", "real", "double precision", "text", "character varying"),
    "integer": (*WHOLE, "numeric", "double precision", "text", "character varying"),
    "bigint": (*WHOLE, "numeric", "text", "character varying"),
    "numeric": ("text", "character varying"),
    "real": ("double precision",),
    "boolean": ("integer", "text", "character varying"),
    "uuid": ("text", "character varying"),
    "json": ("text", "character varying"),
    "jsonb": ("json", "text", "character varying"),
    "text": ("character varying",),
    "character varying": ("text",),
    "character": ("text", "character varying"),
    "name": ("text", "character varying"),
    "date": ("timestamp without time zone",),
    "cidr": ("inet",),
    "bit": ("bit varying",),
}


class Type(t.NamedTuple):
    """A type in parts; without modifiers there is no limit."""

    name: str
    mods: tuple[int, ...]
    array: bool


def typed(text: str) -> Type | None:
    """A type in parts; None where it is written in a way that is not known here."""
    found = TYPE.fullmatch(text)
    if found is None:
        return None
    mods = tuple(int(each) for each in (found["mods"] or "").split(",") if each)
    return Type(found["name"] + (found["rest"] or ""), mods, bool(found["array"]))


def may_lose(before: Entry, after: Entry) -> bool:
    """Whether values of a column could come out differently when it goes from one to the other: unless it is known
    that each is kept or refused. What is generated is recreated."""
    if after.kind != "column" or before.facts.get("generated") is not None:
        return False
    was, becomes = before.facts["type"], after.facts["type"]
    if was == becomes:
        return False
    one, two = typed(was), typed(becomes)
    return one is None or two is None or one.array != two.array or not _keeps(one, two)


def _keeps(one: Type, two: Type) -> bool:
    if "numeric" in (one.name, two.name) and {one.name, two.name} <= {"numeric", *WHOLE}:
        return _keeps_digits(one, two)
    if one.name == two.name:
        return one.name in GROWING and _holds(one, two)
    if two.name not in KEEPING.get(one.name, ()):
        return False
    # A limit means the same for both only where it is of characters, or of bits.
    same_unit = one.name.split()[0] == two.name.split()[0]
    return not two.mods or (same_unit and _holds(one, two))


def _holds(one: Type, two: Type) -> bool:
    """Whether the second has no limit, or one that is no narrower than the first's."""
    return not two.mods or (bool(one.mods) and two.mods >= one.mods)


def _keeps_digits(one: Type, two: Type) -> bool:
    """Whether a number keeps what is behind its point; too many digits before it are refused."""
    if two.name in WHOLE:
        return bool(one.mods) and one.mods[1] <= 0
    behind = 0 if one.name in WHOLE else one.mods[1] if one.mods else None
    return not two.mods or (behind is not None and two.mods[1] >= behind)
