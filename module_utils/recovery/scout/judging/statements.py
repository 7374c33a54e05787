# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement does to the pipeline, by its text: which functions it calls, and whether it writes silver or gold."""

from __future__ import annotations

import functools
import re
import typing as t

from .. import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable

#: Deeper than this nobody nests dollar quotes but to do harm.
MAX_DEPTH: t.Final = 16

#: Where something besides code begins.
BEGINS = re.compile(r"""--|/\*|(?<!\w)[eE]'|'|"|(?<!\w)\$(?:[^\W\d]\w*)?\$""")
#: The rest of a literal or a name, which may have been cut anywhere.
ENDS: t.Final = {
    "--": re.compile(r"[^\n]*"),
    "'": re.compile(r"[^']*(?:''[^']*)*'?"),
    "e'": re.compile(r"[^'\\]*(?:(?:\\.|'')[^'\\]*)*(?:'|\\?\Z)", re.DOTALL),
    '"': re.compile(r'[^"]*"?'),
}
COMMENT = re.compile(r"/\*|\*/")

DEFINITION = re.compile(r"\s*(?:create|alter|drop|comment|grant|revoke|explain)\b(?!.*\banaly[sz]e\b)", re.IGNORECASE)
#: What is called, with its schema where that is told.
CALL = re.compile(r'(?:(?:"([^"]*)"|(?<!\w)(\w+))\s*\.\s*)?(?:"([^"]*)"|(?<!\w)(\w+))\s*\(')
#: Up to the name of what a statement writes.
WRITES: t.Final = (
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy"
    r"|refresh\s+materialized\s+view(?:\s+concurrently)?)\s+(?:only\s+)?"
    r"(?:\"?\w+\"?\s*\.\s*)?\"?"
)


class Intricate(ValueError):
    """A text is too long or too deeply nested to be judged."""


def code(text: str, *, literals: bool) -> str:
    """A statement without its comments, and without its literals unless they are wanted; of dollar quotes what is in them.

    One pass over the text. Raises Intricate where wanted dollar quotes stand in each other more than MAX_DEPTH deep.
    """
    parts: list[str] = []
    #: Where the dollar quotes end that we are in, and where to go on after each.
    inside: list[tuple[int, int]] = []
    at, end = 0, len(text)
    while True:
        found = BEGINS.search(text, at, end)
        parts.append(text[at : found.start() if found else end])
        if not found:
            if not inside:
                return "".join(parts)
            parts.append(" ")
            at = inside.pop()[1]
            end = inside[-1][0] if inside else len(text)
            continue
        what, begin = found[0].lower(), found.end()
        if what == "/*":
            at = _end_of_comment(text, begin, end)
            parts.append(" ")
        elif what.startswith("$"):
            close = text.find(found[0], begin, end)
            stop, at = (end, end) if close < 0 else (close, close + len(found[0]))
            if not literals:
                parts.append("''")
                continue
            if len(inside) == MAX_DEPTH:
                raise Intricate(f"its dollar quotes are nested more than {MAX_DEPTH} deep")
            parts.append(" ")
            inside.append((stop, at))
            at, end = begin, stop
        else:
            ended = ENDS[what].match(text, begin, end)
            at = ended.end() if ended else end
            kept = what == '"' or (literals and what != "--")
            parts.append(text[found.start() : at] if kept else " " if what == "--" else "''")


def _end_of_comment(text: str, at: int, end: int) -> int:
    """Comments nest."""
    depth = 1
    for found in COMMENT.finditer(text, at, end):
        depth += 1 if found[0] == "/*" else -1
        if not depth:
            return found.end()
    return end


def called(plain: str) -> frozenset[tuple[str | None, str]]:
    """What code calls: each schema (None where it is not told) and name, in lower case; keywords may be among them."""
    return frozenset(
        ((a or b).lower() if a or b else None, (c or d or "").lower()) for a, b, c, d in CALL.findall(plain)
    )


def calls(text: str, functions: Iterable[str]) -> str | None:
    """The first of these functions of the pipeline (bare names) that a statement calls, in its schema or in one that it does
    not tell; mentions in literals, comments and definitions do not count."""
    plain = code(text, literals=False)
    if DEFINITION.match(plain):
        return None
    names = {name for schema, name in called(plain) if schema in (None, contract.names().schema)}
    return next((name for name in functions if name.lower() in names), None)


def writes(plain: str) -> bool:
    """Whether code writes silver or gold by a statement of its own."""
    return bool(_write(contract.names()).search(plain))


@functools.lru_cache(maxsize=8)
def _write(names: contract.Contract) -> re.Pattern[str]:
    """A statement that writes silver or gold."""
    tables = (rf"{re.escape(contract.bare(name))}\b" for name in (names.transactions, names.line_items))
    prefixes = (re.escape(prefix) for prefix in (names.silver_prefix, names.gold_prefix))
    return re.compile(f"{WRITES}(?:{'|'.join((*prefixes, *tables))})", re.IGNORECASE)
