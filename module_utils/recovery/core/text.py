# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts as a person reads them: counts, durations, lines of a width. Knows nothing of what they are about."""

from __future__ import annotations

import re
import typing as t
import unicodedata


def first_line(text: str) -> str:
    """The first line of a text that may have none."""
    return text.strip().splitlines()[0] if text.strip() else ""


def in_words(seconds: float) -> str:
    """A duration as a person says it: 0.4 s, 42 s, 3 min 10 s, 2 h 5 min, 3 d 4 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    if whole < 172800:
        return f"{whole // 3600} h {whole % 3600 // 60} min"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def count(number: int, noun: str, plural: str | None = None) -> str:
    """`1 event`, `20,000 events`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def cut(text: str, width: int) -> str:
    """At most `width` characters of a text, the last an ellipsis where there are more."""
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


#: Letters, marks and spaces that nobody sees; what is not printable besides is told by its category.
UNSEEN: t.Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
#: What a screen is shown of one text at most.
LONGEST: t.Final = 10_000


def visible(text: t.Any, longest: int | None = None) -> str:
    """A text of others as a screen may show it, with its lines: whatever would move a cursor, turn the direction of reading, or
    would not be seen, stands as \\x1b or \\u202e. Of more than `longest` characters only the beginning."""
    found = str(text)
    if longest is not None:
        found = cut(found, longest)
    if found.isascii() and found.isprintable():
        return found
    return "".join(c if c in "\n\t" or _is_seen(c) else _escaped(c) for c in found.replace("\r\n", "\n"))


def _is_seen(character: str) -> bool:
    if UNSEEN.match(character):
        return False
    return character.isprintable() or unicodedata.category(character) == "Zs"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def visible_in(value: t.Any, longest: int | None = LONGEST) -> t.Any:
    """The same data with every text in it visible."""
    if isinstance(value, str):
        return visible(value, longest)
    if isinstance(value, dict):
        entries = t.cast("dict[t.Any, t.Any]", value).items()
        return {visible_in(key, longest): visible_in(inner, longest) for key, inner in entries}
    if isinstance(value, list | tuple):
        return [visible_in(inner, longest) for inner in t.cast("list[t.Any]", value)]
    return value


def printable(text: t.Any, longest: int | None = None) -> str:
    """The same on one line, for a sentence or a picture."""
    return visible(" ".join(str(text).split()), longest)
