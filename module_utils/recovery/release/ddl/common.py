# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an entry of the catalog is created, dropped and altered, with owner, grants, comment and labels; pure."""

from __future__ import annotations

import itertools
import typing as t

from .statement import RESET, Cost, Effect, Lock, Statement, identifier, joined, literal, phrase, say

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..catalog.entries import Entry
    from .statement import Piece

#: What GRANT calls a kind; others have no grants of their own.
GRANTED_ON: t.Final = {
    "schema": "SCHEMA",
    "table": "TABLE",
    "view": "TABLE",
    "materialized_view": "TABLE",
    "sequence": "SEQUENCE",
    "function": "ROUTINE",
    "aggregate": "ROUTINE",
    "enum": "TYPE",
    "domain": "TYPE",
    "composite": "TYPE",
    "range": "TYPE",
}

#: The fact that `beside` writes, so that it is nothing to make an entry again for: what goes with which extension.
FOLLOWS: t.Final = "depends_on_extensions"

#: Nouns of what is altered without a lock on any relation.
LIGHT: t.Final = ("ROUTINE", "OPERATOR", "COLLATION", "SCHEMA")

#: What an absent fact says where that is not "no".
DEFAULTS: t.Final[dict[str, t.Any]] = {"permissive": True, "enabled": "origin"}


class Writer(t.NamedTuple):
    """How one kind is written. `alter` gives None where the entry has to be dropped and recreated."""

    noun: str
    create: Callable[[Entry], list[Statement]]
    drop: Callable[[Entry], list[Statement]]
    alter: Callable[[Entry, Entry], list[Statement] | None]


def beside(entry: Entry, before: Entry | None, everybody: Iterable[str], noun: str) -> list[Statement]:
    """Owner, grants, comment, labels and extensions of an entry that was `before`, or has just been made by nobody knows whom;
    `everybody` who may have been granted something by default."""
    made: list[Statement] = []
    of_another = entry.kind == "extension" or bool(entry.facts.get("owned_by"))
    if entry.owner and not of_another and (before is None or before.owner != entry.owner):
        made.append(given(noun, entry.name, entry.owner))
    if before is None or before.grants != entry.grants or before.owner != entry.owner:
        made += grants(entry, before, everybody)
    if entry.comment != (before.comment if before else None):
        made.append(comment(noun, entry.name, entry.comment))
    there = before.labels if before else {}
    for provider in sorted({*entry.labels, *there}):
        label = entry.labels.get(provider)
        if label != there.get(provider):
            text = "NULL" if label is None else literal(label)
            made.append(
                say(
                    "SECURITY LABEL FOR {} ON {} {} IS {}",
                    identifier(provider),
                    noun,
                    entry.name,
                    text,
                    lock=Lock.SHARE_UPDATE_EXCLUSIVE,
                )
            )
    there_with, wanted_with = ((each.facts.get(FOLLOWS) if each else None) for each in (before, entry))
    return made + follows(phrase("{} {}", noun, entry.name), there_with, wanted_with)


def given(noun: str, name: Piece, owner: str) -> Statement:
    """What gives an object its owner."""
    lock = Lock.ACCESS_SHARE if noun in LIGHT else Lock.ACCESS_EXCLUSIVE
    owns = str(name) if noun in ("TABLE", "VIEW", "MATERIALIZED VIEW", "DOMAIN", "ROUTINE") else ""
    return say("ALTER {} {} OWNER TO {}", noun, name, identifier(owner), lock=lock, owns=owns)


def comment(noun: str, name: Piece, text: str | None) -> Statement:
    """A comment, or none any more."""
    lock = Lock.ACCESS_EXCLUSIVE if noun in ("CONSTRAINT", "TRIGGER", "POLICY", "RULE") else Lock.SHARE_UPDATE_EXCLUSIVE
    return say("COMMENT ON {} {} IS {}", noun, name, "NULL" if text is None else literal(text), lock=lock)


def follows(what: Piece, before: list[str] | None, after: list[str] | None) -> list[Statement]:
    """The extensions with which an object goes, so that it is dropped with each of them."""
    gone, new = (sorted({*(a or ())} - {*(b or ())}) for a, b in ((before, after), (after, before)))
    return [
        *(say("ALTER {} NO DEPENDS ON EXTENSION {}", what, identifier(extension)) for extension in gone),
        *(say("ALTER {} DEPENDS ON EXTENSION {}", what, identifier(extension)) for extension in new),
    ]


def grants(entry: Entry, before: Entry | None, everybody: Iterable[str]) -> list[Statement]:
    """All is revoked, then granted as it was: by the owner first, then by those to whom the right to grant was
    given."""
    of_column = entry.kind == "column"
    if entry.kind not in GRANTED_ON and not of_column:
        return []
    if of_column and not entry.grants and not (before and before.grants):
        return []
    relation, column = (entry.table, entry.own) if of_column else (entry.name, "")
    target = phrase("{} {}", GRANTED_ON.get(entry.kind, "TABLE"), relation)
    what = phrase(" ({})", column) if of_column else ""
    had = {grant[0] for grant in before.grants} if before else set[str]()
    wanted = {grant[0] for grant in entry.grants}
    # That a table's column is granted to nobody else by default spares the revoke.
    losers: set[str] = had | wanted
    if not of_column:
        losers |= {*everybody, *((entry.owner,) if entry.owner else ())}
    losing = joined(", ", map(grantee, sorted(losers)))
    made = [
        say("REVOKE ALL{} ON {} FROM {} CASCADE", what, target, losing, lock=Lock.ACCESS_SHARE, effect=Effect.REVOKES)
    ] if losers else []  # fmt: skip
    for grantor, pairs in itertools.groupby(in_order(entry), key=lambda pair: pair[1]):
        made += [say("SET LOCAL ROLE {}", identifier(grantor), lock=Lock.NONE)] if grantor != entry.owner else []
        for receiver, grantable in itertools.product([pair[0] for pair in pairs], (False, True)):
            privileges = sorted(g[1] for g in entry.grants if (g[0], g[2], g[3]) == (receiver, grantable, grantor))
            listed = joined(", ", (phrase("{}{}", privilege, what) for privilege in privileges))
            option = " WITH GRANT OPTION" if grantable else ""
            made += (
                [say("GRANT {} ON {} TO {}{}", listed, target, grantee(receiver), option, lock=Lock.ACCESS_SHARE)]
                if listed
                else []
            )
        made += [RESET] if grantor != entry.owner else []
    return made


def in_order(entry: Entry) -> Iterator[tuple[str, str]]:
    """Who was granted something by whom, as it stood, else by the owner first; each after whom his own right comes from."""
    stood = {(pair[0], pair[1]): number for number, pair in enumerate(entry.order.get("grants", ()))}
    pairs = {(g[0], g[3]) for g in entry.grants}
    left = sorted(pairs, key=lambda p: (stood.get(p, len(stood)), p[1] != entry.owner, p[1], p[0]))
    able = {entry.owner}
    while left:
        pair = next((each for each in left if each[1] in able), left[0])
        yield pair
        left.remove(pair)
        able |= {pair[0]} if any(g[2] for g in entry.grants if (g[0], g[3]) == pair) else set()


def grantee(role: str) -> Piece:
    """A role, or PUBLIC."""
    return "PUBLIC" if role == "PUBLIC" else identifier(role)


def parents(table: Entry) -> list[str]:
    """The tables of which it is a partition or a child."""
    part: dict[str, str] = table.facts.get("partition_of") or {}
    inherited: list[str] = table.facts.get("inherits") or []
    return [*([part["table"]] if part else []), *inherited]


def differing(before: Entry, after: Entry) -> set[str]:
    """The facts in which two entries differ, but for what is written beside them; an absent one is at its default."""
    return {key for key in {*before.facts, *after.facts} - {FOLLOWS} if fact(before, key) != fact(after, key)}


def fact(entry: Entry, key: str) -> t.Any:
    """A fact, where "no" and "none of them" are the same as not being said."""
    found = entry.facts.get(key, DEFAULTS.get(key))
    return None if found is False or found in ([], {}) else found


def drop(noun: str) -> t.Callable[[Entry], list[Statement]]:
    """By its name, and only while nothing needs it."""
    lock = Lock.ACCESS_SHARE if noun in (*LIGHT, "TYPE", "DOMAIN", "CAST") else Lock.ACCESS_EXCLUSIVE
    cost = Cost.LOSES if noun == "TABLE" else Cost.NONE
    return lambda entry: [say("DROP {} {}", noun, entry.name, lock=lock, cost=cost)]


def differing_as_written(before: Entry, after: Entry) -> set[str]:
    """The same, where an absent fact says something else than a "no" that is written down."""
    facts = {*before.facts, *after.facts} - {FOLLOWS}
    return {fact for fact in facts if before.facts.get(fact) != after.facts.get(fact)}
