# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a statement does to the pipeline, by its text: which functions it calls, and whether it writes silver, gold or the ETL's
ledger."""

from __future__ import annotations

import functools
import re
import typing as t

from ...postgres import lexer
from .. import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable

DEFINITION = re.compile(r"\s*(?:create|alter|drop|comment|grant|revoke|explain)\b(?!.*\banaly[sz]e\b)", re.IGNORECASE)
#: What is called, with its schema where that is told.
CALL = re.compile(r'(?:(?:"([^"]*)"|(?<!\w)(\w+))\s*\.\s*)?(?:"([^"]*)"|(?<!\w)(\w+))\s*\(')
#: Up to the name of what a statement writes.
WRITES: t.Final = (
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy"
    r"|refresh\s+materialized\s+view(?:\s+concurrently)?)\s+(?:only\s+)?"
    r"(?:\"?\w+\"?\s*\.\s*)?\"?"
)

#: The same of what takes rows away, or makes others of them.
REMOVES: t.Final = r"\b(?:update|delete\s+from|merge\s+into|truncate(?:\s+table)?|drop\s+table)\s+(?:only\s+)?(?:\"?\w+\"?\s*\.\s*)?\"?"


def called(plain: str) -> frozenset[tuple[str | None, str]]:
    """What code calls: each schema (None where it is not told) and name, in lower case; keywords may be among them."""
    return frozenset(
        ((a or b).lower() if a or b else None, (c or d or "").lower()) for a, b, c, d in CALL.findall(plain)
    )


def calls(text: str, functions: Iterable[str]) -> str | None:
    """The first of these functions of the pipeline (bare names) that a statement calls, in its schema or in one that it does
    not tell, itself or in what it runs; mentions in strings, comments and definitions do not count."""
    try:
        plain = lexer.runs(text)
    except lexer.Intricate:
        plain = lexer.code(text)
    if DEFINITION.match(plain):
        return None
    names = {name for schema, name in called(plain) if schema in (None, contract.names().schema)}
    return next((name for name in functions if name.lower() in names), None)


def writes(plain: str) -> bool:
    """Whether code writes silver, gold or the ETL's ledger by a statement of its own."""
    return bool(_write(contract.names()).search(plain))


def removes(plain: str) -> bool:
    """Whether code takes events out of bronze, or changes them, by a statement of its own."""
    return bool(_remove(contract.bare(contract.names().bronze)).search(plain))


@functools.lru_cache(maxsize=8)
def _remove(table: str) -> re.Pattern[str]:
    return re.compile(rf"{REMOVES}{re.escape(table)}\b", re.IGNORECASE)


@functools.lru_cache(maxsize=8)
def _write(names: contract.Contract) -> re.Pattern[str]:
    """A statement that writes silver, gold or the ETL's ledger."""
    written = names.transactions, names.line_items, names.etl_ledger
    tables = (rf"{re.escape(contract.bare(name))}\b" for name in written)
    prefixes = (re.escape(prefix) for prefix in (names.silver_prefix, names.gold_prefix))
    return re.compile(f"{WRITES}(?:{'|'.join((*prefixes, *tables))})", re.IGNORECASE)
