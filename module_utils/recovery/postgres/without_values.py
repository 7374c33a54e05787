# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of PostgreSQL and statements without the values of rows in them, so that no payload leaves the database; pure."""

from __future__ import annotations

import re
import typing as t

from ..core.redaction import clean
from . import lexer

#: Kinds of objects: a name after one of them stays in a message.
KINDS: t.Final = (
    "relation|table|column|constraint|index|function|procedure|type|domain|schema|role|user|database|view|trigger|rule|policy"
    "|sequence|extension|parameter|job|language|server|tablespace|encoding|collation|publication|subscription|file|reference"
)
#: From the first quote that does not follow a kind of object to the last quote: a value may have quotes in it.
QUOTED: t.Final = re.compile(
    rf"""(\b(?:{KINDS}) "[\w.$-]{{1,127}}"(?!\w))|(?<!\w)["'»«„\u201c\u2018](?:.*["'»«\u201c\u201d\u2019](?!\w)|.*)""",
    re.DOTALL,
)
#: The same for SQL, which groups messages by what remains.
QUOTED_IN_SQL: t.Final[t.LiteralString] = f"""(\\m(?:{KINDS}) "[\\w.$-]+")|["''].*["'']"""
#: `Key (a, b)=(1, 2) already exists.` in any language.
KEY: t.Final = re.compile(
    r"(\) ?= ?\()(?:.*(?=\) (?:already exists|is not present|is still referenced|conflicts with|is duplicated))|.*)",
    re.DOTALL,
)
ROW: t.Final = re.compile(r"(\bcontains \()(?:.*(?=\)\.?(?:\n|\Z))|.*)", re.DOTALL)
JSON: t.Final = re.compile(r"(\bJSON data, line \d{1,9}: )[^\n]*")
NUMBER: t.Final = re.compile(r"(?<![\w$])\.?\d[\w.]*")


def message(text: str) -> str:
    """Return a message with the names of objects, but without values, passwords and connection strings."""
    for pattern in (KEY, ROW, JSON):
        text = pattern.sub(r"\1…", text)
    return clean(QUOTED.sub(lambda found: found[1] or '"…"', text))


def statement(text: str) -> str:
    """Return a statement without its strings, numbers and comments."""
    return clean(
        "".join(
            NUMBER.sub("?", piece.text) if piece.kind == "code" else piece.text if piece.kind == "name" else "'…'"
            for piece in lexer.pieces(text)
            if piece.kind != "comment"
        )
    )
