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
#: What is called, with its schema where that is told; and that what is called is put together.
CALL = re.compile(rf"(?:({lexer.NAME})\s*\.\s*)?({lexer.NAME})\s*\(")
NAMES = re.compile(lexer.NAME)
CALL_OF_PARTS = re.compile(r'(?:%[IsL]|\|\|\s*%)"?\(')
#: How a statement that writes begins, up to the name of what it writes; and of those that take rows away, or make others of them.
WRITES: t.Final = (
    r"\b(?:insert\s+into|update|delete\s+from|merge\s+into|truncate(?:\s+table)?|copy"
    r"|refresh\s+materialized\s+view(?:\s+concurrently)?)\s+(?:only\s+)?"
)
REMOVES: t.Final = r"\b(?:update|delete\s+from|merge\s+into|truncate(?:\s+table)?|drop\s+table)\s+(?:only\s+)?"
SCHEMA: t.Final = rf"(?:{lexer.NAME}\s*\.\s*)?\"?"
#: A name that is put together, of which a part is not known.
PUT_TOGETHER: t.Final = rf"[\w\".\s]{{0,200}}?{re.escape(lexer.UNKNOWN)}"
#: What a REFRESH is of, with the schema where that is told; not where the name is put together.
REFRESHES: t.Final = re.compile(
    rf"\brefresh\s+materialized\s+view\s+(concurrently\s+)?(?:({lexer.NAME})\s*\.\s*)?((?!concurrently\b){lexer.NAME})"
    r"(?!\s*[.%])",
    re.IGNORECASE,
)


def called(plain: str) -> frozenset[tuple[str | None, str]]:
    """What code calls: each schema (None where it is not told) and name, in lower case; keywords may be among them. Where what it calls
    is put together, that may be whatever it names."""
    found = {
        (lexer.name(schema).lower() if schema else None, lexer.name(name).lower())
        for schema, name in CALL.findall(plain)
    }
    if CALL_OF_PARTS.search(plain):
        found |= {(None, lexer.name(name).lower()) for name in NAMES.findall(plain)}
    return frozenset(found)


def calls(text: str, functions: Iterable[str]) -> str | None:
    """The first of these functions of the pipeline (bare names) that a statement calls, in its schema or in one that it does
    not tell, itself or in what it runs; mentions in strings, comments and definitions do not count."""
    try:
        plain = lexer.runs(text)
    except lexer.Intricate:
        plain = lexer.code(text)
    executed = ";".join(each for each in plain.split(";") if not DEFINITION.match(each))
    names = {name for schema, name in called(executed) if schema in (None, contract.names().schema)}
    return next((name for name in functions if name.lower() in names), None)


def writes(plain: str, views: Iterable[str] = ()) -> bool:
    """Whether code may write silver, gold or the ETL's ledger by a statement of its own, also through one of these views (bare names), or
    where what it writes is put together and something of the pipeline is named in it."""
    names = contract.names()
    written = [contract.bare(name) for name in (names.transactions, names.line_items, names.etl_ledger)]
    return _found(plain, WRITES, (*written, *views), (names.silver_prefix, names.gold_prefix))


def written(plain: str, tables: frozenset[str]) -> set[str]:
    """Which of these tables (bare names) code writes by a statement of its own."""
    return set(_written(tables).findall(plain.lower())) if tables else set()


@functools.lru_cache(maxsize=4)
def _written(tables: frozenset[str]) -> re.Pattern[str]:
    return re.compile(f"{WRITES}{SCHEMA}({'|'.join(re.escape(name) for name in sorted(tables))})(?![\\w$])")


def removes(plain: str, views: Iterable[str] = ()) -> bool:
    """Whether code may take events out of bronze, or change them, likewise."""
    return _found(plain, REMOVES, (contract.bare(contract.names().bronze), *views))


def refreshed(text: str, *, concurrently: bool = False) -> list[tuple[str | None, str]]:
    """The materialized views that a command or a function refreshes by a statement of its own: each schema, None where it is not told,
    and name; or only those that it refreshes CONCURRENTLY."""
    try:
        plain = lexer.runs(text)
    except lexer.Intricate:
        return []
    return [
        (lexer.name(schema) if schema else None, lexer.name(name))
        for how, schema, name in REFRESHES.findall(plain)
        if how or not concurrently
    ]


def _found(plain: str, verbs: str, tables: Iterable[str], prefixes: Iterable[str] = ()) -> bool:
    by_name, put_together, named = _patterns(verbs, frozenset(tables), frozenset(prefixes), contract.names().schema)
    return bool(by_name.search(plain) or (put_together.search(plain) and named.search(plain)))


@functools.lru_cache(maxsize=16)
def _patterns(
    verbs: str, tables: frozenset[str], prefixes: frozenset[str], schema: str
) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """A statement that writes one of these; one that writes what is put together; and the name of one, or of the schema."""
    ended = [rf"{re.escape(name)}\b" for name in sorted(tables)]
    begun = [re.escape(prefix) for prefix in sorted(prefixes)]
    names = "|".join((*begun, *ended))
    return (
        re.compile(f"{verbs}{SCHEMA}(?:{names})", re.IGNORECASE),
        re.compile(f"{verbs}{PUT_TOGETHER}", re.IGNORECASE),
        re.compile(rf"\b(?:{re.escape(schema)}\b|{names})", re.IGNORECASE),
    )
