# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a moment of this server could be restored: how old the last archived WAL is, and how a moment is marked."""

from __future__ import annotations

import typing as t

from ..core.text import in_words
from .driver import sql

if t.TYPE_CHECKING:
    from .session import Row, Session

READ: t.Final = """
SELECT pg_catalog.current_setting('archive_mode') <> 'off' AS archives,
       extract(epoch FROM clock_timestamp() - a.last_archived_time)::float8 AS seconds,
       coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false) AS failing,
       extract(epoch FROM clock_timestamp() - a.last_failed_time)::float8 AS failed_seconds
FROM pg_catalog.pg_stat_archiver AS a
"""
#: WAL that is older than that says that there is little of it, or that nobody archives it.
OLD_SECONDS: t.Final = 3600.0


def read(session: Session) -> Row:
    """`archives`, whether WAL is archived by the server itself; `seconds` since the last was, null for never; whether it is `failing`,
    and since how many `failed_seconds`. Inside the caller's transaction."""
    return session.row(READ)


def in_short(found: Row) -> str:
    """For a summary, `WAL archived 5 min ago`; empty where the server archives none. Pure."""
    if not found["archives"]:
        return ""
    return "no WAL archived yet" if found["seconds"] is None else f"WAL archived {in_words(found['seconds'])} ago"


def wrong(found: Row) -> list[str]:
    """What keeps the last hour from being restored; nothing is said where the server archives none, for a service may do it otherwise.
    Pure."""
    if not found["archives"]:
        return []
    if found["failing"]:
        since = f"archiving WAL failed {in_words(found['failed_seconds'])} ago, and has not succeeded since"
        return [f"{since}: a backup restores nothing that came after; look at archive_command and at the server's log"]
    if found["seconds"] is None or found["seconds"] <= OLD_SECONDS:
        return []
    return [
        (
            f"the last WAL was archived {in_words(found['seconds'])} ago: what was written since is in no backup yet; "
            "SELECT pg_switch_wal() archives it now, archive_timeout in time"
        )
    ]


def offer(session: Session, name: str) -> str:
    """How somebody can get back to this moment after what is to come, whose data nothing else keeps; inside the caller's transaction."""
    if not read(session)["archives"]:
        return "take a backup first: the server itself archives no WAL, so perhaps nobody can get back to this moment otherwise"
    mark = sql.Literal(name).as_string()
    return f"mark this moment for a restore from backup, as a superuser: SELECT pg_create_restore_point({mark})"
