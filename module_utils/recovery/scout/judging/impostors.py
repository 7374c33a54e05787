# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Schema cron and the migration history, which are known by their names: whoever may make schemas can have made one so called, and
views, indexes and functions in it would run with our rights."""

from __future__ import annotations

import typing as t

from ...core.errors import BadInput
from . import foreign_code, roles

if t.TYPE_CHECKING:
    from ...postgres.session import Session

#: Of what is read and called of pg_cron, what is neither part of the extension nor a superuser's, nor our own as in a clone. Who may
#: create in its schema can have made a function that fits better than pg_cron's.
CRON: t.LiteralString = """
SELECT lower(t.kind) || ' ' || t.name AS what, t.owner::regrole::text AS owner, 'DROP ' || t.kind || ' ' || t.name
       || CASE t.kind WHEN 'SCHEMA' THEN ' CASCADE' ELSE '' END AS fix
FROM (
    SELECT 'pg_namespace'::regclass AS classid, n.oid, n.nspowner AS owner, 'SCHEMA' AS kind, 'cron' AS name
    FROM pg_namespace AS n WHERE n.nspname = 'cron'
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, c.relowner, CASE c.relkind WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass::text
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'cron' AND c.relname IN ('job', 'job_run_details')
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, p.proowner, 'FUNCTION', p.oid::regprocedure::text
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'cron' AND p.proname IN ('alter_job', 'schedule', 'unschedule')
) AS t JOIN pg_roles AS r ON r.oid = t.owner
WHERE NOT r.rolsuper AND r.rolname <> current_user AND NOT EXISTS (
    SELECT FROM pg_depend AS d JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
    WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e' AND e.extname = 'pg_cron')
ORDER BY t.kind <> 'SCHEMA', 1 LIMIT 10
"""

#: Whom the history and its schema belong to, where that is nobody who deploys: a superuser, an owner of the pipeline, a member of
#: such a role, or ourselves. What the owner of a database owns by being that is his.
HISTORY: t.LiteralString = f"""
SELECT t.kind, t.name, r.rolname::text AS owner, (SELECT pg_catalog.quote_ident(min(o.role)) FROM ({roles.OWNERS}) AS o) AS ours
FROM (
    SELECT 'TABLE' AS kind, c.oid::regclass::text AS name, c.relowner AS owner
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(of)s AND c.relname = %(table)s
    UNION ALL
    SELECT 'SCHEMA', n.oid::regnamespace::text, n.nspowner FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(of)s
) AS t JOIN pg_catalog.pg_roles AS r ON r.oid = t.owner
WHERE NOT r.rolsuper AND r.rolname NOT IN (current_user, 'pg_database_owner') AND NOT EXISTS (
    SELECT FROM ({roles.OWNERS}) AS o JOIN pg_catalog.pg_roles AS p ON p.rolname = o.role
    WHERE pg_catalog.pg_has_role(r.oid, p.oid, 'MEMBER'))
ORDER BY t.kind DESC
"""  # noqa: S608  # made of literals alone


def of_cron(session: Session) -> tuple[str, str]:
    """Whose something of schema cron is, and what rids the schema of it; empty texts where all of it is pg_cron's, or there is none.
    Inside a transaction."""
    found = session.rows(CRON)
    if found and found[0]["fix"].startswith("DROP SCHEMA"):
        found = found[:1]
    said = "; ".join(f"{row['what']} belongs to {row['owner']}" for row in found)
    return said, "; ".join(f"`{row['fix']}`" for row in found)


def refuse_history(session: Session, schema: str, table: str, *, writing: bool = False) -> None:
    """Raises BadInput where the migration history is that of somebody who does not deploy, and NotConverged where reading its rows, or
    writing them, would run code of others; nothing where there is none. Inside a transaction."""
    if found := session.rows(HISTORY, of=schema, table=table, **roles.owned()):
        raise BadInput(
            f"refused to use the migration history {schema}.{table}",
            on=session.where,
            said="; ".join(f"{row['kind'].lower()} {row['name']} belongs to {row['owner']}" for row in found)
            + ", who is no owner of the pipeline and no superuser",
            next_step="if it is that of your deployments: "
            + "; ".join(f"`ALTER {row['kind']} {row['name']} OWNER TO {row['ours']}`" for row in found)
            + ". Else name another with -e scout_migrations_table=…, or none: -e scout_migrations_table=''",
        )
    name = f"{schema}.{table}"
    if writing:
        foreign_code.lock(session, [name])
    if called := history_calls(session, name, writing=writing):
        raise foreign_code.refused(session, f"refused to {'write' if writing else 'read'} rows", called)


def history_calls(session: Session, name: str, *, writing: bool) -> list[foreign_code.Found]:
    """Code of others that runs where rows of the migration history are written, or only read: the planner works out what stands in
    the indexes. Which types it has, and with them casts, is for its owner to say."""
    found = foreign_code.read(session, [name])
    return [one for one in found if one.kind != "cast" and (writing or one.kind == "index")]
