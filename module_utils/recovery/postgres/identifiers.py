# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and texts as SQL writes them; pure. Names stay unquoted where they are unambiguous."""

from __future__ import annotations

import re
import typing as t

from .lexer import QUOTED

PLAIN: t.Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")
#: No other keyword of PostgreSQL has an underscore.
KEYWORDS: t.Final = re.compile(r"(current|session|system|xml)_.*|exclude_.*")

#: What is quoted: a text constant, or an identifier.
_STRING: t.Final = re.compile(QUOTED, re.DOTALL)


def identifier(text: str) -> str:
    """An identifier; a single word is quoted, for it may be a keyword."""
    if PLAIN.fullmatch(text) and not KEYWORDS.fullmatch(text):
        return text
    return '"' + text.replace('"', '""') + '"'


def unquoted(name: str) -> str:
    """The name that an identifier stands for."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


def literal(text: str) -> str:
    """A text constant, whatever standard_conforming_strings says."""
    quoted = "'" + text.replace("'", "''") + "'"
    return " E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


def closing(text: str, start: int) -> int:
    """Where the parenthesis that opens at `start` has been closed, outside of quotes; 0 where it is not."""
    depth, at = 0, start
    while at < len(text):
        if quoted := _STRING.match(text, at):
            at = quoted.end()
            continue
        depth += {"(": 1, ")": -1}.get(text[at], 0)
        at += 1
        if not depth:
            return at
    return 0


def listed(text: str) -> list[str]:
    """What commas separate, outside of quotes and parentheses."""
    found, depth, at, start = list[str](), 0, 0, 0
    while at < len(text):
        if quoted := _STRING.match(text, at):
            at = quoted.end()
            continue
        depth += {"(": 1, "[": 1, ")": -1, "]": -1}.get(text[at], 0)
        if text[at] == "," and not depth:
            found.append(text[start:at])
            start = at + 1
        at += 1
    return [each.strip() for each in (*found, text[start:])]
