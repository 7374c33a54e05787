# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that run migrations: whether a rollback could drop what they create."""

from __future__ import annotations

import typing as t

from ...core.errors import BadInput, MissingPrivilege
from ...postgres.driver import sql
from ...postgres.failures import attempting
from ...scout.judging import roles

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session

#: Stands for every role that may create objects, except superusers and the operators who have our role's rights.
ANY: t.Final = "*"

#: The roles, the role that owns what each creates (its setting `role`, if it may become that), and whether we may drop it.
DEPLOYERS = """
SELECT DISTINCT ON (r.rolname) r.rolname::text AS role, o.rolname::text AS owner, m.rolname::text AS creates_as,
       pg_catalog.pg_has_role(m.oid, 'USAGE') AS can_drop, pg_catalog.pg_has_role(r.oid, o.oid, %(becoming)s) AS is_member
FROM pg_catalog.pg_roles AS r
JOIN pg_catalog.pg_namespace AS n ON n.nspname = ANY(%(schemas)s)
JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner
LEFT JOIN LATERAL (
    SELECT pg_catalog.substr(c, 6) AS role
    FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL pg_catalog.unnest(s.setconfig) AS c
    JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
    WHERE s.setrole IN (0, r.oid) AND s.setdatabase IN (0, d.oid) AND pg_catalog.starts_with(c, 'role=')
    ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1
) AS begins ON true
LEFT JOIN pg_catalog.pg_roles AS b ON b.rolname = begins.role AND pg_catalog.pg_has_role(r.oid, b.oid, %(becoming)s)
JOIN pg_catalog.pg_roles AS m ON m.oid = coalesce(b.oid, r.oid)
WHERE CASE WHEN %(role)s = '*'
           THEN r.rolcanlogin AND NOT r.rolsuper AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
                AND (r.rolname = current_user OR NOT pg_catalog.pg_has_role(r.oid, current_user, 'USAGE'))
           ELSE r.rolname = %(role)s END
ORDER BY r.rolname, n.nspname
"""


def require_droppable(session: Session, schemas: Sequence[str], role: str) -> None:
    """Raises MissingPrivilege where this session could not drop what the role creates; BadInput where there is no such role."""
    becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
    with attempting("could not read the roles", on=session.where), session.read():
        found = session.rows(DEPLOYERS, role=role, schemas=list(schemas), becoming=becoming)
        if not found and role != ANY:
            raise BadInput(
                f"no role is named {role[:100]!r}",
                on=session.where,
                next_step="name the role that the migrations run as: deployed_by",
            )
        unfit = [row for row in found if not row["can_drop"]]
        if not unfit:
            return
        fixes = "; ".join(_fix(session, row) for row in unfit)
    names = ", ".join(row["role"] for row in unfit)
    ask = " and name the role that the migrations run as, deployed_by, if it is another;" if role == ANY else ""
    raise MissingPrivilege(
        f"a rollback could not drop what {names} creates",
        on=session.where,
        said=f"it would belong to {', '.join(sorted({row['creates_as'] for row in unfit}))}, "
        f"whose rights role {session.facts.role} lacks",
        next_step=f"{fixes};{ask} then run the same command again",
    )


def _fix(session: Session, row: Row) -> str:
    """Return what makes a role create objects that we may drop."""
    role, owner = (sql.Identifier(row[name]).as_string() for name in ("role", "owner"))
    if row["creates_as"] == row["owner"]:
        return roles.membership(session, row["owner"])
    if roles.mighty(session, [row["role"]]):
        # Its other work needs its own rights.
        return f"begin the migration of {row['role']} with `SET ROLE {owner}`, and say so: deployed_by={row['owner']}"
    becomes = "" if row["is_member"] else f"GRANT {owner} TO {role}; "
    database = sql.Identifier(session.facts.database).as_string()
    return f"if {row['role']} only deploys: {becomes}ALTER ROLE {role} IN DATABASE {database} SET role = {owner}"
