# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a role needs to be allowed: which of many privileges it lacks, by one query, and the GRANT of each."""

from __future__ import annotations

import dataclasses
import typing as t

from .driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .session import Session

#: ANY COLUMN is a table of which one column will do; it is granted as a whole.
Kind = t.Literal["DATABASE", "SCHEMA", "TABLE", "ANY COLUMN", "FUNCTION"]

#: From the catalog, because casts to regclass fail in a schema that one may not use. What is not there is not lacked.
LACKED: t.Final = """
SELECT need.number::int, pg_catalog.pg_get_userbyid(o.owner)::text AS owner
FROM unnest(%(kinds)s::text[], %(objects)s::text[], %(privileges)s::text[], %(roles)s::text[])
     WITH ORDINALITY AS need (kind, object, privilege, role, number)
JOIN pg_catalog.pg_roles AS r ON r.rolname = coalesce(need.role, current_user)
CROSS JOIN LATERAL (SELECT pg_catalog.parse_ident(need.object, false) AS parts) AS named
CROSS JOIN LATERAL (
    SELECT d.oid, d.datdba AS owner FROM pg_catalog.pg_database AS d WHERE need.kind = 'DATABASE' AND d.datname = parts[1]
    UNION ALL
    SELECT n.oid, n.nspowner FROM pg_catalog.pg_namespace AS n WHERE need.kind = 'SCHEMA' AND n.nspname = parts[1]
    UNION ALL
    SELECT c.oid, c.relowner FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE need.kind IN ('TABLE', 'ANY COLUMN') AND n.nspname = parts[1] AND c.relname = parts[2]
    UNION ALL
    SELECT p.oid, p.proowner FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE need.kind = 'FUNCTION' AND n.nspname = parts[1] AND p.proname = parts[2]
      AND pg_catalog.replace(pg_catalog.substr(need.object, pg_catalog.strpos(need.object, '(')), ', ', ',')
          = '(' || pg_catalog.replace(pg_catalog.oidvectortypes(p.proargtypes), ', ', ',') || ')'
) AS o
WHERE NOT CASE need.kind
    WHEN 'DATABASE' THEN pg_catalog.has_database_privilege(r.oid, o.oid, need.privilege)
    WHEN 'SCHEMA' THEN pg_catalog.has_schema_privilege(r.oid, o.oid, need.privilege)
    WHEN 'TABLE' THEN pg_catalog.has_table_privilege(r.oid, o.oid, need.privilege)
    WHEN 'ANY COLUMN' THEN pg_catalog.has_any_column_privilege(r.oid, o.oid, need.privilege)
    WHEN 'FUNCTION' THEN pg_catalog.has_function_privilege(r.oid, o.oid, need.privilege) END
ORDER BY need.number
"""


@dataclasses.dataclass(frozen=True)
class Need:
    """A privilege on an object, which is named as in SQL: a function with the types of its arguments. Without a role it is the
    session's own that needs it."""

    kind: Kind
    object: str
    privilege: str
    role: str | None = None

    def __str__(self) -> str:
        """As a GRANT says it."""
        return f"{self.privilege} ON {'' if self.kind in ('TABLE', 'ANY COLUMN') else f'{self.kind} '}{self.object}"

    def grant(self, session: Session) -> str:
        """The statement that fixes it."""
        return f"GRANT {self} TO {sql.Identifier(self.role or session.facts.role).as_string()}"


def lacked(session: Session, needs: Iterable[Need]) -> dict[Need, str]:
    """Those of them that their role lacks, in their order, each with the owner of its object; inside the caller's transaction."""
    asked = list(dict.fromkeys(needs))
    rows = session.rows(
        LACKED,
        kinds=[need.kind for need in asked],
        objects=[need.object for need in asked],
        privileges=[need.privilege for need in asked],
        roles=[need.role for need in asked],
    )
    return {asked[row["number"] - 1]: row["owner"] for row in rows}
