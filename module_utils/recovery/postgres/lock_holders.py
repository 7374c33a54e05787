# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that keep locks others wait for, and what to call them."""

from __future__ import annotations

import re
import typing as t

from ..core.text import printable

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .session import Row, Session

#: Who keeps locks stronger than a reader's on some tables, longest first.
IN_THE_WAY = """
SELECT DISTINCT a.xact_start, a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.relation = ANY(%(tables)s::regclass[])
ORDER BY a.xact_start LIMIT 3
"""

#: Of any table, view or index, and readers too: a change of it waits for them.
KEEPERS = """
SELECT DISTINCT a.xact_start, a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.relation >= 16384
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY a.xact_start LIMIT 3
"""


#: Which prepared transaction, of which there is no session, is that of a virtual one.
PREPARED: t.LiteralString = """(
    SELECT x.virtualtransaction, p.gid, pg_catalog.pg_get_userbyid(p.ownerid)::text AS owner
    FROM pg_catalog.pg_prepared_xact() AS p JOIN pg_catalog.pg_lock_status() AS x
      ON x.pid IS NULL AND x.locktype = 'transactionid' AND x.transactionid = p.transaction
)"""

#: Who has most of the room that the server has for locks, and how many there are room for. Functions and no views, since each
#: relation would need a lock.
MOST: t.LiteralString = f"""
SELECT count(*)::int AS locks, a.pid, pg_catalog.pg_get_userbyid(a.usesysid)::text AS role, a.application_name AS application,
       a.state, a.backend_start::text AS since, p.gid, p.owner, room.locks::int AS room
FROM pg_catalog.pg_lock_status() AS l LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS a ON a.pid = l.pid
LEFT JOIN {PREPARED} AS p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
CROSS JOIN (SELECT pg_catalog.current_setting('max_locks_per_transaction')::bigint
                   * (pg_catalog.current_setting('max_connections')::bigint
                      + pg_catalog.current_setting('max_prepared_transactions')::bigint)) AS room (locks)
WHERE NOT l.fastpath AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
GROUP BY 2, 3, 4, 5, 6, 7, 8, room.locks HAVING count(*) >= room.locks / 2 ORDER BY 1 DESC LIMIT 1
"""  # noqa: S608  # made of literals alone


WORD: t.Final = re.compile(r"[\w.:@+-]{1,64}", re.ASCII)


class Hoarder(t.NamedTuple):
    """Who keeps half of all locks or more, in words, and what ends them."""

    pid: int | None
    much: str
    said: str
    next_step: str


def hoarder(rows: Sequence[Row]) -> Hoarder | None:
    """What `MOST` found, if anything."""
    if not rows:
        return None
    row = rows[0]
    much = f"{row['locks']:,} locks, of {row['room']:,} that there is room for"
    if row["pid"] is None:
        said, then = f"{transaction(row)} holds {much}", end_transaction(row)
        return Hoarder(None, much, said, f"{then}, then run the same command again")
    that = f"WHERE pid = {row['pid']} AND backend_start = '{row['since']}'"
    end = f"SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity {that}"  # noqa: S608  # to be read
    said = printable(f"{describe([row])} holds {much}")
    return Hoarder(row["pid"], much, said, f"`{end}` ends it, then run the same command again")


def transaction(row: Row) -> str:
    """A prepared transaction, which no session has, in words."""
    return (
        printable(f"prepared transaction {row['gid']!r} of {row['owner']}") if row["gid"] else "a prepared transaction"
    )


def end_transaction(row: Row) -> str:
    """What ends it, and who may; whoever made it chose its name, so one that is not a word is not put into a command."""
    plain = WORD.fullmatch(row["gid"] or "")
    named = f"`ROLLBACK PREPARED '{row['gid']}'`" if plain else "ROLLBACK PREPARED with its gid, of pg_prepared_xacts,"
    return f"{row['owner'] or 'its owner'}, or a superuser, runs {named} in its database"


def in_the_way(session: Session, tables: Sequence[str]) -> list[Row]:
    """Other sessions that keep locks stronger than a reader's on these tables, longest first."""
    return session.rows(IN_THE_WAY, tables=list(tables))


def keepers(session: Session) -> list[Row]:
    """Other sessions that hold locks on anything that is not PostgreSQL's own, longest first."""
    return session.rows(KEEPERS)


def describe(holders: list[Row]) -> str:
    """`pid 4711 (loader, psql, idle in transaction)` for each session."""
    words = {
        row["pid"]: ", ".join(str(row[key]) for key in ("role", "application", "state") if row[key]) for row in holders
    }
    return "; ".join(f"pid {pid} ({text})" for pid, text in words.items() if pid)
