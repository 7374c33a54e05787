# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which tables of the pipeline hide rows from a role by their policies: rows that are not seen are not counted or
moved."""

from __future__ import annotations

import typing as t

from ..core.errors import MissingPrivilege
from ..postgres.driver import sql
from . import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: A policy that shows everything hides nothing, unless another one restricts it.
HIDDEN: t.Final = """
SELECT need.name FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS need (name, position)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(need.name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(need.name, '.', 2)
CROSS JOIN LATERAL (
    SELECT bool_or(p.polpermissive AND pg_catalog.pg_get_expr(p.polqual, p.polrelid) = 'true') AS shows,
           bool_or(NOT p.polpermissive) AS restricts
    FROM pg_catalog.pg_policy AS p
    WHERE p.polrelid = c.oid AND p.polcmd IN ('r', '*')
      AND EXISTS (SELECT FROM unnest(p.polroles) AS r (oid) WHERE r.oid = 0 OR pg_catalog.pg_has_role(r.oid, 'USAGE'))
) AS policies
WHERE c.relrowsecurity AND pg_catalog.row_security_active(c.oid)
  AND (%(writing)s OR policies.shows IS NOT TRUE OR policies.restricts)
ORDER BY need.position
"""


def hidden(session: Session, *, writing: bool) -> list[str]:
    """The tables of which the session's role may not see every row, or whose policies bind it where it is to write."""
    tables = [*contract.names().required_tables, contract.names().alerts]
    return [row["name"] for row in session.glance(HIDDEN, tables=tables, writing=writing)]


def grant(session: Session) -> str:
    """The GRANT that shows it all of them."""
    return f"ALTER ROLE {sql.Identifier(session.facts.role).as_string()} BYPASSRLS"


def require_sight(session: Session, *, writing: bool) -> None:
    """Raises MissingPrivilege where some of the rows may be hidden, by which something is to be said or done."""
    if tables := hidden(session, writing=writing):
        raise MissingPrivilege(
            f"refused to judge rows that a policy may hide from role {session.facts.role}",
            on=session.where,
            said=f"row security is on for {', '.join(tables)}",
            next_step=f"{grant(session)}, or work as the owner of these tables",
        )
