# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A statement of a plan, with what whoever wrote it knows of it: its lock, its cost, its effect, and whose rights it needs; pure.
The locks are those of PostgreSQL's documentation, and tests compare them with pg_locks."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Iterable

#: A piece of SQL; a text is one that PostgreSQL printed, see `printed`.
Piece = str | int | sql.Composable


class Lock:
    """Locks as pg_locks calls them."""

    NONE: t.Final = ""
    ACCESS_SHARE: t.Final = "AccessShareLock"
    ROW_SHARE: t.Final = "RowShareLock"
    ROW_EXCLUSIVE: t.Final = "RowExclusiveLock"
    SHARE_UPDATE_EXCLUSIVE: t.Final = "ShareUpdateExclusiveLock"
    SHARE: t.Final = "ShareLock"
    SHARE_ROW_EXCLUSIVE: t.Final = "ShareRowExclusiveLock"
    EXCLUSIVE: t.Final = "ExclusiveLock"
    ACCESS_EXCLUSIVE: t.Final = "AccessExclusiveLock"


class Cost:
    """What a statement costs besides its lock, and with it."""

    NONE: t.Final = "none"
    WRITES: t.Final = "blocks writes"
    REWRITES: t.Final = "rewrites"
    LOSES: t.Final = "loses data"


class Effect:
    """Effects that the order of a plan depends on."""

    ADDS_LABEL: t.Final = "adds a label"
    ATTACHES: t.Final = "attaches"
    DROPS_DEFAULT: t.Final = "drops a default"
    DROPS_IDENTITY: t.Final = "drops an identity"
    INHERITS: t.Final = "becomes a child"
    LEAVES: t.Final = "is no child any more"
    JOINS: t.Final = "joins a sequence to a column"
    REQUIRES: t.Final = "requires a value"
    REVOKES: t.Final = "revokes"
    UNCLUSTERS: t.Final = "unclusters"


#: From the weakest to the strongest.
LOCKS: t.Final = (
    *(Lock.NONE, Lock.ACCESS_SHARE, Lock.ROW_SHARE, Lock.ROW_EXCLUSIVE, Lock.SHARE_UPDATE_EXCLUSIVE, Lock.SHARE),
    *(Lock.SHARE_ROW_EXCLUSIVE, Lock.EXCLUSIVE, Lock.ACCESS_EXCLUSIVE),
)
COSTS: t.Final = (Cost.NONE, Cost.WRITES, Cost.REWRITES, Cost.LOSES)


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement. Names in it are as PostgreSQL writes them."""

    text: sql.Composed
    #: By its name in pg_locks, empty where it is none.
    lock: str = Lock.ACCESS_EXCLUSIVE
    #: What it costs besides its lock: none, rewrites, or loses data.
    cost: str = Cost.NONE
    effect: str = ""
    #: The table or domain whose owner runs it, because it calls what others wrote: defaults, checks, casts.
    runs_as: str = ""
    #: The table, view, function or domain that it makes, and the one that it gives its owner: at once, for what is made then may call it.
    makes: str = ""
    owns: str = ""
    #: The sequence that has to be the owner's of this table before; or the table that has to be of the same owner.
    sequence: str = ""
    table: str = ""
    #: Which of the data that is kept it takes.
    takes: sql.Composed | None = None

    @property
    def hazard(self) -> str:
        """The cost with that of the lock: from a ShareLock on nobody else can write."""
        blocks = LOCKS.index(self.lock) >= LOCKS.index(Lock.SHARE)
        return self.cost if self.cost != Cost.NONE or not blocks else Cost.WRITES

    def __str__(self) -> str:
        return self.text.as_string()


def strongest(statements: Iterable[Statement]) -> str:
    """The strongest lock of several."""
    return max((each.lock for each in statements), key=LOCKS.index, default=Lock.NONE)


def worst(statements: Iterable[Statement]) -> str:
    """The worst hazard of several."""
    return max((each.hazard for each in statements), key=COSTS.index, default=Cost.NONE)


def say(template: t.LiteralString, *pieces: Piece, lock: str = Lock.ACCESS_EXCLUSIVE, **more: t.Any) -> Statement:
    """A statement, from a constant with a place for each piece."""
    return Statement(phrase(template, *pieces), lock, **more)


def phrase(template: t.LiteralString, *pieces: Piece) -> sql.Composed:
    """A part of a statement, in the same way."""
    return sql.SQL(template).format(*map(printed, pieces))


#: Ends what was done as another role.
RESET: t.Final = Statement(sql.SQL("RESET ROLE").format(), Lock.NONE)


def printed(piece: Piece) -> sql.Composable:
    """The one door for text that PostgreSQL itself wrote, and that cannot be taken apart again: definitions and expressions that it
    deparsed, names as it quoted them, words of the grammar and numbers as the catalog has them."""
    return piece if isinstance(piece, sql.Composable) else sql.SQL(t.cast("t.LiteralString", str(piece)))


def joined(separator: t.LiteralString, pieces: Iterable[Piece]) -> Piece:
    """Several pieces, those that are empty left out; empty if all are."""
    found = [printed(each) for each in pieces if each != ""]
    return sql.SQL(separator).join(found) if found else ""


def identifier(name: str) -> sql.Identifier:
    """A name that PostgreSQL has not quoted."""
    return sql.Identifier(name)


def literal(text: str) -> sql.Composable:
    """A text constant."""
    return sql.Literal(text)
