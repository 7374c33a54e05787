# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SQL conditions that people write: one expression, which cannot leave its parentheses, and calls no code of others."""

from __future__ import annotations

import re
import typing as t

if t.TYPE_CHECKING:
    from ...postgres.session import Session

LONGEST: t.Final = 10_000

#: PostgreSQL's own lexical rules. What is possessive never gives back a quote, so that a string ends here where it ends
#: there; what would be read differently by another version or setting is not among them, and so is refused.
TOKEN: t.Final = re.compile(
    r"""
      (?P<space>[ \t\r\n\f\v]+)
    | (?P<comment>--|/\*|\*/)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*+')
    | (?P<string>(?:[bBxXnN]|[uU]&)?'(?:[^']|'')*+')
    | (?P<quoted>"(?:[^"]|"")*+")
    | (?P<disguised>[uU]&")
    | (?P<unclosed>(?:[eEbBxXnN]|[uU]&)?'|")
    | (?P<word>[A-Za-z_\u0080-\U0010ffff][A-Za-z0-9_\u0080-\U0010ffff]*+)
    | (?P<number>(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<parameter>%\([A-Za-z_][A-Za-z0-9_]*\)[sbt]\b)
    | (?P<sign>[-+*/<>=~!@\#%^&|`?:,.])
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)

REFUSED: t.Final = {
    "comment": "comments are not allowed in it",
    "unclosed": "a quote is not closed",
    "disguised": "names are written as they are, without U&",
    "parameter": "it cannot have parameters; write the value itself",
    ";": "it must be one expression, without ;",
    "$": "$ is not allowed outside quotes; write text in single quotes and values as they are",
    "\\": "a backslash is not allowed outside quotes",
}


#: Functions that may give another answer to the same question, or do something besides answering it; and those of others, who may
#: have declared them otherwise than they are, and whose code would run with our rights.
VOLATILE = """
SELECT pg_catalog.format('%%I.%%I', n.nspname, p.proname) AS function, p.provolatile = 'v' AS volatile,
       o.rolname::text AS owner, p.oid::pg_catalog.regprocedure::text AS signature
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS c(schema, name)
JOIN pg_catalog.pg_proc AS p ON p.proname = c.name
JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner
JOIN pg_catalog.pg_namespace AS n
  ON n.oid = p.pronamespace AND (n.nspname = c.schema OR (c.schema IS NULL AND pg_catalog.pg_function_is_visible(p.oid)))
WHERE p.provolatile = 'v' OR NOT (o.rolname = current_user OR o.rolsuper)
ORDER BY p.provolatile = 'v' DESC
LIMIT 1
"""

STANDARD_STRINGS = "SELECT current_setting('standard_conforming_strings') = 'on' AS standard"


class Refusal(t.NamedTuple):
    """Why a condition is not evaluated in this database, and what to do; empty where correcting it is all there is to do."""

    said: str
    next_step: str = ""


def unusable(value: object) -> str | None:
    """Why a value cannot be a condition in any database; None where it can."""
    if not isinstance(value, str):
        return "it must be text"
    if len(value) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if "\0" in value or not _encodable(value):
        return "it contains what PostgreSQL cannot store as text"
    return defect(value)


def refused(session: Session, predicate: str) -> Refusal | None:
    """Why a usable condition is not evaluated here: it would be read differently, or run code that is volatile or of others; None
    where it may be. Inside a transaction."""
    if has_backslash(predicate) and not session.row(STANDARD_STRINGS)["standard"]:
        return Refusal("standard_conforming_strings is off here, so a backslash in '…' would not be literal")
    called = calls(predicate)
    if not called:
        return None
    if ("operator" in {name for _, name in called}) and "operator" in predicate.lower():
        return Refusal(
            "OPERATOR(…) calls a function that is not named: a rule uses PostgreSQL's own operators",
            "call the function by its name",
        )
    found = session.rows(VOLATILE, schemas=[schema for schema, _ in called], names=[name for _, name in called])
    if not found:
        return None
    function = found[0]["function"]
    if found[0]["volatile"]:
        return Refusal(
            f"{function} is volatile: a rule must give the same answer each time and do nothing else",
            "leave it out; a function of your own may be declared STABLE or IMMUTABLE",
        )
    return Refusal(
        f"{function} belongs to {found[0]['owner']}, whose code would run with your rights",
        f"look at it and make it yours: `ALTER FUNCTION {found[0]['signature']} OWNER TO CURRENT_USER`",
    )


def calls(predicate: str) -> list[tuple[str | None, str]]:
    """Schema and name of whatever the predicate could call as a function, as PostgreSQL folds them."""
    tokens = [(kind, text) for kind, text in _tokens(predicate) if kind != "space"]
    found: list[tuple[str | None, str]] = []
    for position, (kind, text) in enumerate(tokens[1:], 1):
        before, name = tokens[position - 1]
        if (kind, text) == ("open", "(") and before in {"word", "quoted"}:
            qualified = position > 2 and tokens[position - 2][1] == "."
            found.append((_folded(tokens[position - 3][1]) if qualified else None, _folded(name)))
    return found


def defect(predicate: str) -> str | None:
    """Why the text cannot be one expression within parentheses; None where nothing in it can end them."""
    open_ones: list[str] = []
    before, was_string = "", False
    for kind, text in _tokens(predicate):
        if why := REFUSED.get(kind) or REFUSED.get(text if kind == "other" else ""):
            return why
        if kind == "other" or (not text.isprintable() and kind not in {"space", "string", "escaped"}):
            return f"{text!r} is not allowed outside quotes"
        if before == "number" and kind not in {"space", "close", "sign"}:
            return "a number runs into what follows it"
        if was_string and kind in {"string", "escaped"}:
            return "two strings in a row; write them as one"
        if kind == "open":
            open_ones.append(text)
        elif kind == "close" and (not open_ones or open_ones.pop() + text not in {"()", "[]"}):
            return f"{text} closes nothing"
        before = kind
        was_string = kind in {"string", "escaped"} or (was_string and kind == "space")
    return f"{open_ones[-1]} is not closed" if open_ones else None


def has_backslash(predicate: str) -> bool:
    """Whether a plain string holds a backslash, which means something else where standard_conforming_strings is off."""
    return any(kind == "string" and "\\" in text for kind, text in _tokens(predicate))


def _tokens(predicate: str) -> list[tuple[str, str]]:
    return [(match.lastgroup or "other", match.group()) for match in TOKEN.finditer(predicate)]


def _folded(name: str) -> str:
    """An identifier as the catalog holds it."""
    if name.endswith('"'):
        return name[name.index('"') + 1 : -1].replace('""', '"')
    return name.lower()


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
