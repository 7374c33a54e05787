# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Event triggers that refuse what every call of others' code begins with, a temporary function: a freeze of all DDL does."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import errors, psycopg, sql

if t.TYPE_CHECKING:
    from ...postgres.session import Row, Session

#: Those that a new function fires, with the function that each calls.
FIRED = """
SELECT e.evtname::text AS name, p.proname::text AS function
FROM pg_catalog.pg_event_trigger AS e JOIN pg_catalog.pg_proc AS p ON p.oid = e.evtfoid
WHERE e.evtenabled <> 'D' AND e.evtevent IN ('ddl_command_start', 'ddl_command_end')
  AND (e.evttags IS NULL OR 'CREATE FUNCTION' = ANY(e.evttags))
ORDER BY 1
"""
MADE: t.Final = "CREATE FUNCTION pg_temp.scout_recovery_may() RETURNS pg_catalog.int4 LANGUAGE sql AS 'SELECT 1'"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """What refuses a temporary function, in its own words, and the statement that ends that."""

    name: str
    said: str

    @property
    def fix(self) -> str:
        """For a superuser."""
        return f"ALTER EVENT TRIGGER {sql.Identifier(self.name).as_string()} DISABLE"

    def __str__(self) -> str:
        return f"event trigger {self.name} refuses temporary functions: {self.said}"


def fired(session: Session) -> list[Row]:
    """Those that a new function fires; inside a transaction."""
    return session.rows(FIRED)


def refusal(session: Session) -> Refusal | None:
    """What refuses one that is made and rolled back, if an event trigger does; inside a transaction that may write."""
    found = fired(session)
    if not found:
        return None
    try:
        with session.savepoint():
            session.connection.execute(MADE)
            raise psycopg.Rollback
    except psycopg.Error as e:
        if session.connection.closed or isinstance(e, (errors.QueryCanceled, errors.InsufficientPrivilege)):
            return None
        context = e.diag.context or ""
        name = next((row["name"] for row in found if f"{row['function']}(" in context), found[0]["name"])
        return Refusal(name, e.diag.message_primary or str(e))
    return None
