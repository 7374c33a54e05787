# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that keep locks others wait for, and what to call them."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .session import Row, Session

#: Who keeps locks stronger than a reader's on some tables, or waits for one that readers wait behind, longest first.
IN_THE_WAY = """
SELECT DISTINCT a.xact_start, a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.mode <> 'AccessShareLock' AND (l.granted OR l.mode = 'AccessExclusiveLock')
  AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND l.relation = ANY(%(tables)s::regclass[])
ORDER BY a.xact_start LIMIT 3
"""

#: Of any table, view or index, and readers too: a change of it waits for them. Whoever has nothing but the lease's, as one
#: that renews it does, keeps nobody.
KEEPERS = """
SELECT DISTINCT a.xact_start, a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_catalog.pg_backend_pid() AND l.relation >= 16384
  AND NOT starts_with(l.relation::regclass::text, 'scout_ops.leases')
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY a.xact_start LIMIT 3
"""


def in_the_way(session: Session, tables: Sequence[str]) -> list[Row]:
    """Other sessions that keep locks stronger than a reader's on these tables, or have readers wait behind them, longest first."""
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
