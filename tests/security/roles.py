# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles belong to the whole server, which other tests go on using."""

from __future__ import annotations

from psycopg import sql

from tests.integration.modules import connect

ENDED = """
SELECT pg_catalog.pg_terminate_backend(pid, 30000) FROM pg_catalog.pg_stat_activity WHERE usename OPERATOR(pg_catalog.=) %s
"""


def drop_roles(dsn: str, *roles: str) -> None:
    """Drops these roles, as far as they are there, and all they own in this database."""
    with connect(dsn, options="-c search_path=pg_catalog") as superuser:
        for role in roles:
            if superuser.execute("SELECT FROM pg_catalog.pg_roles WHERE rolname = %s", [role]).fetchone() is None:
                continue
            # A session that has ended may still be dropping what was temporary.
            superuser.execute(ENDED, [role])
            named = sql.Identifier(role)
            superuser.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(named))
            superuser.execute(sql.SQL("DROP OWNED BY {}").format(named))
            superuser.execute(sql.SQL("DROP ROLE {}").format(named))
