# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""On which server, and how far in its WAL, the ledger was written: so one that was restored, or promoted since, is told apart."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..core.times import to_the_second
from ..postgres.driver import errors
from ..postgres.identity import SYSTEM, TIMELINE

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.session import Row, Session

THERE: t.Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
               WHERE n.nspname = 'scout_ops' AND c.relname = 'servers' AND c.relkind = 'r') AS there
"""
#: One statement, whether there is such a table or not: whoever ends a run may have a ledger of before. What everybody may ask of a
#: server a service may have revoked.
NOTE: t.Final[t.LiteralString] = f"""
DO LANGUAGE plpgsql $scout_recovery$
BEGIN
    IF pg_catalog.to_regclass('scout_ops.servers') IS NOT NULL THEN
        INSERT INTO scout_ops.servers AS s (system_identifier, timeline, first_seen_at, last_seen_at, last_position)
        SELECT coalesce({SYSTEM}, ''), {TIMELINE}, clock_timestamp(), clock_timestamp(), pg_catalog.pg_current_wal_insert_lsn()
        ON CONFLICT (system_identifier, timeline) DO UPDATE
        SET last_seen_at = excluded.last_seen_at, last_position = excluded.last_position;
    END IF;
EXCEPTION WHEN insufficient_privilege THEN
    NULL;
END $scout_recovery$
"""  # noqa: S608  # made of literals alone
HERE: t.Final[t.LiteralString] = f"""
SELECT coalesce({SYSTEM}, '') AS system, {TIMELINE} AS timeline, pg_catalog.pg_current_wal_insert_lsn()::text AS position
"""
LAST: t.Final[t.LiteralString] = f"""
SELECT s.system_identifier AS system, s.timeline, s.last_seen_at AS at, s.last_position::text AS position,
       s.last_position > pg_catalog.pg_current_wal_insert_lsn() AS ahead, h.system AS system_here, h.timeline AS timeline_here
FROM scout_ops.servers AS s, ({HERE}) AS h ORDER BY s.last_seen_at DESC LIMIT 1
"""  # noqa: S608  # made of literals alone


@dataclasses.dataclass(frozen=True)
class Moved:
    """That the ledger was last written somewhere else than where it is now."""

    at: datetime.datetime
    why: str

    @property
    def said(self) -> str:
        """A line for a person."""
        return (
            f"since the ledger was last written, at {to_the_second(self.at)}, {self.why}: if a backup was restored, or a standby "
            "promoted that was behind, what came after is missing here: `restored.yml` says what"
        )


def note(session: Session) -> None:
    """Writes down where the ledger is written now; inside the caller's transaction that writes it."""
    session.execute(NOTE)


def moved(session: Session) -> Moved | None:
    """What happened to the server since the ledger was last written; None where nothing did, or where nobody wrote it down. Inside
    the caller's transaction."""
    found: list[Row] = []
    with contextlib.suppress(errors.InsufficientPrivilege), session.savepoint():
        found = session.rows(LAST) if session.row(THERE)["there"] else []
    return compare(found[0]) if found else None


def compare(last: Row) -> Moved | None:
    """The same from where it was last written, and where it is. Pure."""
    if last["system"] != last["system_here"]:
        return Moved(last["at"], "it came to another server")
    if last["timeline"] != last["timeline_here"]:
        return Moved(last["at"], f"the server went from timeline {last['timeline']} to {last['timeline_here']}")
    if last["ahead"]:
        return Moved(last["at"], "the server went back in time, on the same timeline")
    return None


def here(session: Session) -> Row | None:
    """`system`, empty where one may not ask, `timeline` and `position`, which is how far the WAL is; None where a service has revoked
    what everybody may ask otherwise. Inside the caller's transaction."""
    with contextlib.suppress(errors.InsufficientPrivilege), session.savepoint():
        return session.row(HERE)
    return None
