# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that have committed and are not told so, because a synchronous standby does not answer: no time limit ends such a COMMIT."""

from __future__ import annotations

import time
import typing as t

from ..core.errors import NotConverged

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.session import Session

#: What ends these waits.
REMEDY: t.Final = (
    "start the standby again; to go on without it, a superuser runs"
    " ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();"
)
WAITING = """
SELECT pid, query_start FROM pg_catalog.pg_stat_activity WHERE wait_event = 'SyncRep' AND pid <> pg_catalog.pg_backend_pid()
"""
#: A standby that answers does so within this time.
ANSWERS_SECONDS: t.Final = 2.0


def waiting(session: Session) -> frozenset[tuple[int, datetime.datetime]]:
    """These sessions, each with when what it does began."""
    with session.read():
        return frozenset((row["pid"], row["query_start"]) for row in session.rows(WAITING))


def require_none(session: Session) -> None:
    """Raises NotConverged, before a COMMIT of ours would wait as well, where one of others has waited for too long."""
    if not (before := waiting(session)):
        return
    time.sleep(ANSWERS_SECONDS)
    if before & waiting(session):
        raise NotConverged(
            "refused to write what nobody would be told is written",
            on=session.where,
            said="a synchronous standby does not answer, and whoever writes waits for it",
            next_step=f"{REMEDY} then run the same command again",
        )
