# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sessions of the database are ours: those of runs under way, by process, start and role. A name anybody can give himself."""

from __future__ import annotations

import typing as t

from ...postgres.driver import psycopg
from . import ownership

if t.TYPE_CHECKING:
    from ...postgres.session import Session

#: A ledger that nobody has written to since has no such columns.
RUNNING = """
SELECT (k.run ->> 'backend_pid')::int AS pid, (k.run ->> 'backend_start')::timestamptz AS backend_start,
       k.run ->> 'backend_role' AS role
FROM scout_ops.runs AS r CROSS JOIN LATERAL (SELECT to_jsonb(r) - ARRAY['parameters', 'effects', 'asked', 'error'] AS run) AS k
WHERE r.finished_at IS NULL AND k.run ->> 'backend_pid' IS NOT NULL
"""


def attach(session: Session) -> None:
    """From now on this session recognizes ours by the ledger, which is there, unless somebody else has a hand in that. A ledger that
    cannot be read at the moment stops no recovery."""
    try:
        with session.read():
            if ownership.foreign(session) is not None:
                return
    except psycopg.Error:
        if session.connection.closed:
            raise
        return
    session.known = lambda: frozenset((row["pid"], row["backend_start"], row["role"]) for row in session.rows(RUNNING))
