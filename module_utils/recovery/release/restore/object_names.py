# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one function or column that a person names, as the catalog names it."""

from __future__ import annotations

import typing as t

from ...core.errors import BadInput
from ...postgres.driver import errors
from ...scout import contract
from ..catalog.database_level import identifier

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ...postgres.session import Session
    from ..captures.document import Document

KINDS: t.Final = ("function", "aggregate")

#: All signatures of a function's name.
SIGNATURES: t.Final = """
SELECT p.oid::regprocedure::text AS signature, CASE WHEN p.prokind = 'a' THEN 'aggregate' ELSE 'function' END AS kind
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(name)s ORDER BY 2
"""

#: What was taken back alone, and is so still.
TAKEN: t.Final = """
SELECT EXISTS (
    SELECT FROM scout_ops.runs
    WHERE action = 'rollback' AND status = 'succeeded' AND undone_by IS NULL AND effects ->> 'only' = %(key)s) AS taken
"""

#: The types as the catalog writes them: int is integer.
TYPES: t.Final = """
SELECT pg_catalog.format_type(pg_catalog.to_regtype(word), NULL) AS type, word FROM unnest(%(words)s::text[]) AS word
"""


def key_of(
    session: Session, word: str, text: str, document: Document, gone: Callable[[str], bool] = lambda _: False
) -> tuple[str, list[str]]:
    """The key of what is named, and what a person should know of it. Raises BadInput for what is neither there nor
    captured, and not `gone` by such a name before. Inside the caller's transaction."""
    return (_function if word == "drop_function" else _column)(session, text, document, gone)


def has_taken(session: Session, key: str) -> bool:
    """Whether a run that is in force rolled back this object alone, by the ledger, which is there."""
    return session.row(TAKEN, key=key)["taken"]


def _column(session: Session, text: str, document: Document, gone: Callable[[str], bool]) -> tuple[str, list[str]]:
    schema, table, own = identifier(session, text, "drop_column", (3,))
    key = f"column:{_name_in_full(session, schema, table, own)}"
    there = session.row(
        "SELECT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(format('%%I.%%I', %(schema)s::text, "
        "%(table)s::text)) AND a.attname = %(own)s AND a.attnum > 0 AND NOT a.attisdropped) AS there",
        schema=schema,
        table=table,
        own=own,
    )["there"]
    if not there and key not in document["digests"] and not gone(key):
        raise _unknown("column", text, document, [])
    return key, []


def _name_in_full(session: Session, *parts: str) -> str:
    """Qualified, and quoted as PostgreSQL does it."""
    return ".".join(session.row("SELECT quote_ident(%(part)s) AS quoted", part=part)["quoted"] for part in parts)


def _function(session: Session, text: str, document: Document, gone: Callable[[str], bool]) -> tuple[str, list[str]]:
    path, types = _signature(session, text)
    schema, own = identifier(session, path, "drop_function", (2,))
    found = session.rows(SIGNATURES, schema=schema, name=own)
    full = _name_in_full(session, schema, own)
    keys = {row["signature"]: f"{row['kind']}:{row['signature']}" for row in found}
    keys |= {
        signature: key
        for key in document["digests"]
        for kind, _, signature in [key.partition(":")]
        if kind in KINDS and signature.startswith(f"{full}(")
    }
    spelled = {_without_blanks(signature): signature for signature in keys}
    only = next(iter(keys)) if len(keys) == 1 else None
    meant = f"{full}({','.join(types or ())})"
    wanted = only if types is None else spelled.get(_without_blanks(meant))
    key = next((key for kind in KINDS if types is not None and gone(key := f"{kind}:{meant}")), None)
    if wanted is None and key is not None:
        return key, []
    if wanted is None:
        raise _unknown("function", text, document, sorted(keys))
    more = sorted(keys.keys() - {wanted})
    return keys[wanted], [f"other signatures stay as they are: {', '.join(more)}"] if more else []


def _without_blanks(signature: str) -> str:
    """Without the spaces that may or may not be written."""
    return signature.replace(", ", ",")


def _signature(session: Session, text: str) -> tuple[str, list[str] | None]:
    """`schema.f(integer, text)` in parts; without parentheses all types are meant."""
    path, paren, rest = text.strip().partition("(")
    if not paren:
        return path, None
    if not rest.endswith(")"):
        raise BadInput(
            f"drop_function {text[:200]!r} is not usable",
            said="a parenthesis is not closed",
            next_step=contract.words(
                """give schema.function(types): -e "scout_drop_function='{schema}.f(integer, text)'\""""
            ),
        )
    words = [word.strip() for word in _separated(rest[:-1])]
    words = [word for word in words if word]
    try:
        with session.savepoint():
            rows = session.rows(TYPES, words=words)
    except errors.Error as e:
        raise BadInput(
            f"drop_function {text[:200]!r} is not usable",
            said=e.diag.message_primary or str(e),
            next_step=contract.words(
                """give types as SQL writes them: -e "scout_drop_function='{schema}.f(integer, text)'\""""
            ),
        ) from e
    return path, [row["type"] or row["word"] for row in rows]


def _separated(text: str) -> list[str]:
    """At commas outside of parentheses, as in numeric(10,2)."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return parts


def _unknown(noun: str, text: str, document: Document, others: list[str]) -> BadInput:
    said = f"there are: {', '.join(others)}" if others else f"neither this database nor {document['release']} has it"
    return BadInput(
        f"there is no {noun} {text[:200]}",
        said=said,
        next_step=f"name one of them in full: -e scout_drop_{noun}='{others[0]}'" if others else "check the name",
    )
