# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads all that stands against a plan, each look bounded, so that it is told before anybody is kept waiting for it."""

from __future__ import annotations

import time
import typing as t

from ...core.text import count, in_words
from ...postgres.driver import errors, psycopg, sql
from ...postgres.failures import words_of
from ...postgres.privileges import Need
from . import others, privileges, rows, violations
from .situation import Obstacle

if t.TYPE_CHECKING:
    from ...postgres.session import Session
    from .looks import Read
    from .situation import Situation

#: For one look at the rows of a table, and for all of them.
LOOK_SECONDS: t.Final = 10.0
ALL_SECONDS: t.Final = 60.0
#: Off, a policy that would hide rows is an error.
WHOLE: t.Final = "SELECT pg_catalog.set_config('row_security', %(mode)s, true)"
LIMIT: t.Final = "SELECT pg_catalog.current_setting('statement_timeout') AS limit"
LIMITED: t.Final = "SELECT pg_catalog.set_config('statement_timeout', %(limit)s, true)"


class Found(t.NamedTuple):
    """What stands against it, and, in words, what could not be looked at in time."""

    obstacles: tuple[Obstacle, ...]
    unread: tuple[str, ...]


NOTHING: t.Final = Found((), ())


def read(session: Session, found: Situation) -> Found:
    """All obstacles, those that no rows are read for first; inside the caller's transaction, which may be READ ONLY."""
    obstacles = [
        *privileges.owners(session, found),
        *privileges.partitions(session, found),
        *privileges.makers(session, found),
        *privileges.jobs(session, found),
        *privileges.history(session, found),
        *privileges.sight(session, found),
        *others.detached_in_part(session, found),
        *others.publications(session, found),
        *others.sequences(session, found),
        *others.dependents(session, found),
    ]
    unread: list[str] = []
    until = time.monotonic() + ALL_SECONDS
    before = session.row(LIMIT)["limit"]
    session.execute(WHOLE, mode="off")
    for look in (*rows.reads(found, session.facts.server_version), *violations.reads(found)):
        left = until - time.monotonic()
        told = _look(session, found, look, min(LOOK_SECONDS, left)) if left > 0 else ""
        if isinstance(told, Obstacle):
            obstacles.append(told)
        elif told is not None:
            unread.append(f"{look.table} was not looked at for {look.key.partition(':')[2]}{told}")
    session.execute(WHOLE, mode="on")
    session.execute(LIMITED, limit=before)
    return Found(tuple(obstacles), tuple(unread))


def _look(session: Session, found: Situation, look: Read, seconds: float) -> Obstacle | str | None:
    """What it found; why it found nothing out, in words; None where nothing stands against it."""
    if rows.hidden(session, found, look.table):
        me = sql.Identifier(session.facts.role).as_string()
        said = (
            f"a policy may hide rows of {look.table} from role {session.facts.role}, so nobody can tell what they hold"
        )
        return Obstacle(
            "row_security", look.key, said, f"`ALTER ROLE {me} BYPASSRLS`, or work as the owner of {look.table}"
        )
    try:
        with session.savepoint():
            session.execute(LIMITED, limit=f"{max(1, round(seconds * 1000))}ms")
            return look.ask(session)
    except (errors.QueryCanceled, errors.LockNotAvailable):
        return f" within {in_words(seconds)}"
    except errors.InsufficientPrivilege:
        said = f"role {session.facts.role} may not read {look.table}"
        return Obstacle("privilege", look.key, said, f"`{Need('TABLE', look.table, 'SELECT').grant(session)}`")
    except (psycopg.DataError, psycopg.ProgrammingError) as e:
        return f": {words_of(e)}"


def in_words_of(obstacles: tuple[Obstacle, ...]) -> tuple[str, str]:
    """What stands against it, and what to do, for a person."""
    steps = dict.fromkeys(each.next_step for each in obstacles)
    return "; ".join(each.said for each in obstacles), "; ".join(steps)


def attempted(obstacles: tuple[Obstacle, ...]) -> str:
    """How it is refused."""
    return f"refused to roll back: {count(len(obstacles), 'obstacle')}, found by reading"
