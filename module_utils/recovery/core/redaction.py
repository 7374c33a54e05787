# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts without passwords and connection strings; pure. Values of rows are removed by postgres/without_values.py."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Collection

HIDDEN: t.Final = "***"

#: What a secret is called.
WORDS: t.Final = (
    r"pass[ ._-]?(?:word|wd|phrase|code)|\bpwd\b|_pwd\b|secret|token|jwt|credential|cookie|service[ ._-]?role"
    r"|(?:api|access|private|service|signing|encryption|account|auth)[ ._-]?key"
)

#: A literal of SQL or JSON, also one within another, or cut off.
QUOTED: t.Final = (
    r"""''[^']+(?:''|\Z)|'(?:[^'\\]|''|\\.)*(?:'|\Z)|"(?:[^"\\]|\\.)*(?:"|\Z)|\\+"(?:[^"\\]|\\[^"])*(?:\\+"|\Z)"""
    r"""|\$\w*\$[\s\S]*?(?:\$\w*\$|\Z)"""
)
LITERAL: t.Final = rf"(?:e|u&)?(?:{QUOTED})"
LOGIN: t.Final = (
    "host|hostaddr|port|dbname|user|password|passfile|service|options|application_name|sslmode|sslcert|sslkey|sslpassword"
    "|sslrootcert|connect_timeout|target_session_attrs"
)
#: `host=db1 password=…`, at least two of them, also within a literal.
KEYWORDS: t.Final = (
    rf"(?:(?<![\w.])(?:{LOGIN})\s*=\s*"
    r"(?:''(?:[^'\\]|\\.)*''|'(?:[^'\\]|\\.)*(?:'|\Z)|[^\s'\"]{1,256})(?:[ \t]+|(?=['\")])|\Z)){2,}"
)
#: A header that is not quoted ends with the line.
HEADER: t.Final = (
    r"((?:authorization|cookie)[\\\"']*\s*+(?:[:=,]|=>)\s*+)(?:\\*\"[^\"]*(?:\"|\Z)|''[^']*(?:''|\Z)|'[^']*(?:'|\Z)"
    r"|(?!\*\*\*)[^\n']+)"
)
#: `password = '…'`, `"api_key": "…"`, `app.jwt_secret TO '…'`.
ASSIGNED: t.Final = (
    rf"((?:{WORDS})[\w.-]{{0,64}}[\\\"'\])]{{0,8}}\s{{0,8}}(?:::\s?\w{{1,20}}\s{{0,8}})?"
    rf"(?:=>|:=|[:=,]|\b(?:to|is|as)\s{{1,8}}(?=['\"]))[\s(]{{0,8}})(?:{LITERAL}|[^\s'\",;)&}}\]]+)"
)


def _without_login(found: re.Match[str]) -> str:
    """A URL without its user and password."""
    _, at, rest = found[2].rpartition("@")
    return f"{found[1]}{HIDDEN}@{rest}" if at else found[0]


#: In this order: a connection string goes before its parts.
SECRETS: t.Final = tuple(
    (re.compile(pattern, re.IGNORECASE), by)
    for pattern, by in (
        (r"\bpostgres(?:ql)?://(?:''|[^\s\"'<>])*", f"postgresql://{HIDDEN}"),
        (r"(\b[a-z][a-z0-9+.-]{0,30}://)([^\s\"'<>]*)", _without_login),
        (KEYWORDS, HIDDEN),
        (HEADER, rf"\1{HIDDEN}"),
        (r"\b(bearer|basic)\s+[a-z0-9._~+/=-]{6,}", rf"\1 {HIDDEN}"),
        (r"\beyJ[\w-]{6,}(?:\.[\w-]*){0,4}", HIDDEN),
        (ASSIGNED, rf"\1{HIDDEN}"),
        (rf"(\b(?:password|passphrase|passwd|pwd)\s{{1,8}})(?:{LITERAL})", rf"\1{HIDDEN}"),
    )
)


def clean(text: str, known: Collection[str] = ()) -> str:
    """Return a text without connection strings, passwords and tokens, nor any known secret of at least three characters."""
    for secret in sorted(known, key=len, reverse=True):
        text = text.replace(secret, HIDDEN) if len(secret) > 2 else text
    for pattern, by in SECRETS:
        text = pattern.sub(by, text)
    return text


def cleaned(document: t.Any, known: Collection[str] = ()) -> t.Any:
    """Return a document whose texts are clean."""
    if isinstance(document, str):
        return clean(document, known)
    if isinstance(document, dict):
        return {key: cleaned(value, known) for key, value in t.cast("dict[str, t.Any]", document).items()}
    return (
        [cleaned(value, known) for value in t.cast("list[t.Any]", document)] if isinstance(document, list) else document
    )
