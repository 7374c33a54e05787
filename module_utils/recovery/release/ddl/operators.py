# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements for casts, operators and collations; pure. Run with search_path = pg_catalog they mean what was captured."""

from __future__ import annotations

import typing as t

from .common import Writer, differing, drop
from .statement import Lock, Statement, joined, literal, phrase, say
from .types import called

if t.TYPE_CHECKING:
    from ..catalog.entries import Entry

CONTEXTS: t.Final = {"assignment": " AS ASSIGNMENT", "implicit": " AS IMPLICIT"}


def _create_cast(entry: Entry) -> list[Statement]:
    """A cast from one type to another."""
    facts = entry.facts
    by = {"binary": "WITHOUT FUNCTION", "inout": "WITH INOUT"}.get(
        facts["method"], phrase("WITH FUNCTION {}", facts.get("function", ""))
    )
    return [
        say("CREATE CAST {} {}{}", entry.name, by, CONTEXTS.get(facts.get("context", ""), ""), lock=Lock.ACCESS_SHARE)
    ]


def _anew(before: Entry, after: Entry) -> list[Statement] | None:
    """Nothing of it can be altered."""
    return None if differing(before, after) else []


# --- operators


def _create_operator(entry: Entry) -> list[Statement]:
    """An operator. One that it names and that is not there yet is filled in when that is made."""
    facts = entry.facts
    told = {
        "FUNCTION": called(facts["function"])[0],
        "LEFTARG": facts.get("left"),
        "RIGHTARG": facts.get("right"),
        **{
            option: phrase("OPERATOR({})", called(facts[fact])[0])
            for fact, option in (("commutator", "COMMUTATOR"), ("negator", "NEGATOR"))
            if facts.get(fact)
        },
        "RESTRICT": facts.get("restrict"),
        "JOIN": facts.get("join"),
    }
    options = [phrase("{} = {}", option, value) for option, value in told.items() if value]
    options += [fact.upper() for fact in ("hashes", "merges") if facts.get(fact)]
    return [say("CREATE OPERATOR {} ({})", called(entry.name)[0], joined(", ", options), lock=Lock.ACCESS_SHARE)]


def _alter_operator(before: Entry, after: Entry) -> list[Statement] | None:
    """How many rows it is thought to find; before PostgreSQL 17 nothing else of it can be altered."""
    changed = differing(before, after)
    if changed - {"restrict", "join"}:
        return None
    options = [
        phrase("{} = {}", fact.upper(), after.facts.get(fact) or "NONE")
        for fact in ("restrict", "join")
        if fact in changed
    ]
    return (
        [say("ALTER OPERATOR {} SET ({})", after.name, joined(", ", options), lock=Lock.ACCESS_SHARE)]
        if options
        else []
    )


# --- collations


def create_collation(entry: Entry) -> list[Statement]:
    """A collation of the version that the server's library has."""
    facts = entry.facts
    options = [phrase("PROVIDER = {}", facts["provider"])]
    options += [
        phrase("{} = {}", fact.upper(), literal(facts[fact]))
        for fact in ("locale", "lc_collate", "lc_ctype", "rules")
        if facts.get(fact)
    ]
    options += ["DETERMINISTIC = false"] if facts.get("nondeterministic") else []
    return [say("CREATE COLLATION {} ({})", entry.name, joined(", ", options), lock=Lock.ACCESS_SHARE)]


WRITERS: t.Final = {
    "cast": Writer("CAST", _create_cast, drop("CAST"), _anew),
    "operator": Writer("OPERATOR", _create_operator, drop("OPERATOR"), _alter_operator),
    "collation": Writer("COLLATION", create_collation, drop("COLLATION"), _anew),
}
