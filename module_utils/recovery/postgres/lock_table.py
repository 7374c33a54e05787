# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps most of the locks that a server has room for, and prepared transactions, which keep theirs without a session."""

from __future__ import annotations

import re
import typing as t

from ..core.text import printable

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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


def hoarder(rows: Sequence[Mapping[str, t.Any]]) -> Hoarder | None:
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
    who = ", ".join(row[key] for key in ("role", "application", "state") if row[key])
    said = printable(f"pid {row['pid']} ({who}) holds {much}")
    return Hoarder(row["pid"], much, said, f"`{end}` ends it, then run the same command again")


def transaction(row: Mapping[str, t.Any]) -> str:
    """A prepared transaction, which no session has, in words."""
    return (
        printable(f"prepared transaction {row['gid']!r} of {row['owner']}") if row["gid"] else "a prepared transaction"
    )


def end_transaction(row: Mapping[str, t.Any]) -> str:
    """What ends it, and who may; whoever made it chose its name, so one that is not a word is not put into a command."""
    plain = WORD.fullmatch(row["gid"] or "")
    named = f"`ROLLBACK PREPARED '{row['gid']}'`" if plain else "ROLLBACK PREPARED with its gid, of pg_prepared_xacts,"
    return f"{row['owner'] or 'its owner'}, or a superuser, runs {named} in its database"
