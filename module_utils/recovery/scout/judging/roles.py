# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles that nobody may be made a member of to operate the pipeline, and what to do where the pipeline belongs to one."""

from __future__ import annotations

import shlex
import typing as t

from ...core.errors import MissingPrivilege
from ...core.text import count, printable
from ...postgres.driver import conninfo, sql
from .. import contract

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...postgres.session import Row, Session

#: Who is a superuser or may become one, make roles, see every row, or have the server run programs and touch files.
MIGHTY = """
SELECT DISTINCT ON (r.rolname) r.rolname::text AS role, r.rolsuper AS superuser, r.oid = d.oid AS itself, d.rolname::text AS other
FROM pg_catalog.pg_roles AS r
JOIN pg_catalog.pg_roles AS d ON r.oid = d.oid OR pg_catalog.pg_has_role(r.oid, d.oid, 'MEMBER')
WHERE r.rolname = ANY(%(roles)s)
  AND (d.rolsuper OR d.rolcreaterole OR d.rolreplication OR d.rolbypassrls
       OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data'))
ORDER BY r.rolname, r.oid <> d.oid, d.rolname
"""

#: What the session's role may besides operating the pipeline, by itself or by what it was granted, and what takes that from it. Where
#: policies hide rows it needs BYPASSRLS.
NEEDLESS = """
WITH RECURSIVE me AS (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
    UNION SELECT m.roleid FROM me JOIN pg_catalog.pg_auth_members AS m ON m.member = me.oid
), policies AS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relrowsecurity
)
SELECT pg_catalog.format('%%s is %%s', me.oid::regrole, may.what) AS what,
       pg_catalog.format('ALTER ROLE %%s NO%%s', me.oid::regrole, may.what) AS fix
FROM me JOIN pg_catalog.pg_roles AS r ON r.oid = me.oid CROSS JOIN LATERAL (VALUES
    ('CREATEROLE', r.rolcreaterole), ('REPLICATION', r.rolreplication), ('BYPASSRLS', r.rolbypassrls AND NOT EXISTS (SELECT FROM policies))
) AS may (what, has)
WHERE may.has AND NOT r.rolsuper
UNION
SELECT pg_catalog.format('%%s is a member of %%s', m.member::regrole, CASE WHEN r.rolsuper THEN 'superuser ' ELSE '' END || r.oid::regrole),
       pg_catalog.format('REVOKE %%s FROM %%s', r.oid::regrole, m.member::regrole)
FROM me JOIN pg_catalog.pg_auth_members AS m ON m.member = me.oid JOIN pg_catalog.pg_roles AS r ON r.oid = m.roleid
WHERE r.rolsuper
   OR r.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files', 'pg_write_all_data')
UNION
SELECT pg_catalog.format('%%I has a user mapping for server %%I, by which it would read foreign tables', u.usename, u.srvname),
       pg_catalog.format('DROP USER MAPPING FOR %%I SERVER %%I', u.usename, u.srvname)
FROM pg_catalog.pg_user_mappings AS u WHERE u.usename = current_user
UNION
SELECT pg_catalog.format('%%s may call %%s', me.oid::regrole, p.oid::regprocedure),
       pg_catalog.format('REVOKE EXECUTE ON FUNCTION %%s FROM %%s', p.oid::regprocedure, me.oid::regrole)
FROM me CROSS JOIN pg_catalog.pg_proc AS p CROSS JOIN LATERAL pg_catalog.aclexplode(p.proacl) AS a
WHERE p.proname IN ('lo_import', 'lo_export', 'dblink_connect_u') AND a.grantee = me.oid AND p.proowner <> me.oid
ORDER BY 1
"""

#: Objects and roles that a warning names, and how much of each name.
NAMED: t.Final = 3
LONGEST: t.Final = 100

#: Roles by which a hosted service is known; nobody has a superuser there.
SERVICES: t.Final = {
    "supabase_admin": "Supabase",
    "rds_superuser": "Amazon RDS or Aurora",
    "cloudsqlsuperuser": "Cloud SQL",
    "azure_pg_admin": "Azure Database",
    "neon_superuser": "Neon",
}
KNOWN = "SELECT rolname::text AS role FROM pg_catalog.pg_roles WHERE rolname = ANY(%(names)s) ORDER BY oid LIMIT 1"

#: Who owns the pipeline, by oid: its schema, its tables or its ETL, but for what only has its name: whoever may create in the schema
#: can overload it.
OWNING: t.LiteralString = """
SELECT n.nspowner AS oid FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s
UNION
SELECT c.relowner FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = ANY(%(tables)s)
UNION
SELECT p.proowner FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proname = %(load)s AND p.proargtypes = '23'::pg_catalog.oidvector
"""
#: Whether the session's role is a member of another, and has the rights of those it is a member of.
INHERITS = """
SELECT pg_catalog.pg_has_role(r.oid, %(role)s, 'MEMBER') AS member, r.rolinherit AS inherits
FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user
"""
#: The same by name.
OWNERS: t.LiteralString = f"SELECT r.rolname::text AS role FROM pg_catalog.pg_roles AS r WHERE r.oid IN ({OWNING})"  # noqa: S608

#: Whose objects in the pipeline's schema are not the pipeline's, by oid, for whoever may create there, or could once, can have put them
#: there: everybody but superusers, ourselves, and who owns the pipeline or may become one who does. That we are a member of somebody
#: is no reason to believe them.
STRANGERS: t.LiteralString = f"""
SELECT r.oid FROM pg_catalog.pg_roles AS r
WHERE NOT r.rolsuper AND r.rolname <> current_user
  AND NOT EXISTS (SELECT FROM ({OWNING}) AS o WHERE o.oid = r.oid OR pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER'))
"""  # noqa: S608  # made of literals alone

NAMED_STRANGERS: t.LiteralString = (
    f"SELECT r.rolname::text AS name FROM pg_catalog.pg_roles AS r WHERE r.oid IN ({STRANGERS})"  # noqa: S608
)

#: What strangers have in the schema; parts go with what they are of.
STRANGE: t.LiteralString = f"""
SELECT i.type || ' ' || i.identity AS what, pg_catalog.pg_get_userbyid(o.owner)::text AS owner
FROM (
    SELECT 'pg_class' AS catalog, oid, relowner AS owner, relnamespace AS place FROM pg_catalog.pg_class
    WHERE relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
    UNION ALL SELECT 'pg_proc', oid, proowner, pronamespace FROM pg_catalog.pg_proc
    UNION ALL SELECT 'pg_type', oid, typowner, typnamespace FROM pg_catalog.pg_type WHERE typtype IN ('e', 'd', 'r')
) AS o
JOIN pg_catalog.pg_namespace AS n ON n.oid = o.place AND n.nspname = %(schema)s
CROSS JOIN LATERAL pg_catalog.pg_identify_object(('pg_catalog.' || o.catalog)::pg_catalog.regclass, o.oid, 0) AS i
WHERE o.owner IN ({STRANGERS})
  -- What an extension has is its affair.
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = ('pg_catalog.' || o.catalog)::pg_catalog.regclass AND d.objid = o.oid AND d.deptype = 'e')
ORDER BY 1
"""  # noqa: S608  # made of literals alone

#: Who owns something of the schema, but for what belongs to an extension; whether we have the owner's rights, can make him the
#: owner of something else, and he may own what is made in the schema.
OF_EVERYTHING = """
WITH n AS (SELECT oid, nspowner FROM pg_catalog.pg_namespace WHERE nspname = %(schema)s),
things AS (
    SELECT 'pg_catalog.pg_namespace'::regclass AS classid, oid, nspowner AS owner FROM n
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, c.relowner FROM pg_catalog.pg_class AS c JOIN n ON c.relnamespace = n.oid
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c')
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, p.oid, p.proowner FROM pg_catalog.pg_proc AS p JOIN n ON p.pronamespace = n.oid
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, y.oid, y.typowner FROM pg_catalog.pg_type AS y JOIN n ON y.typnamespace = n.oid
    WHERE y.typtype IN ('d', 'e', 'r')
)
SELECT pg_catalog.pg_get_userbyid(o.owner)::text AS owner, pg_catalog.pg_has_role(o.owner, 'USAGE') AS acts,
       pg_catalog.pg_has_role(o.owner, %(becoming)s) AS becomes, o.owner = n.nspowner AS of_schema,
       pg_catalog.has_schema_privilege(o.owner, n.oid, 'CREATE') AS creates,
       pg_catalog.has_schema_privilege(n.oid, 'CREATE') AS we_create
FROM (
    SELECT DISTINCT owner FROM things AS t
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = t.classid AND d.objid = t.oid AND d.deptype = 'e')
) AS o CROSS JOIN n
ORDER BY 1
"""


def mighty(session: Session, roles: Iterable[str]) -> dict[str, str]:
    """Those of these roles that may do more than an owner of a pipeline should, as `superuser postgres`; each with that text."""
    return {
        row["role"]: f"superuser {row['role']}"
        if row["superuser"]
        else f"role {row['role']}, who may {'make roles, replicate or bypass row security' if row['itself'] else 'become ' + row['other']}"
        for row in session.rows(MIGHTY, roles=sorted(set(roles)))
    }


def needless(session: Session) -> list[str]:
    """Warnings of what the session's role may and does not need, each with the command that takes it away; a superuser, and who
    owns the pipeline himself, are told otherwise. Inside a transaction."""
    if session.facts.superuser or itself(session):
        return []
    found = session.rows(NEEDLESS, schema=contract.names().schema)
    return [f"{row['what']}, which operating the pipeline does not need: {row['fix']}" for row in found]


def itself(session: Session) -> str:
    """Of a session as such a role that owns the pipeline itself, and is no superuser, what it may; else nothing."""
    if session.facts.superuser:
        return ""
    me = session.facts.role
    owns = me in {row["role"] for row in session.rows(OWNERS, **owned())}
    return mighty(session, [me]).get(me, "") if owns else ""


def mighty_owners(session: Session) -> list[str]:
    """Such roles that own the pipeline, and are not who asks: `superuser postgres`."""
    himself = set[str]() if session.facts.superuser else {session.facts.role}
    return sorted(mighty(session, {row["role"] for row in session.rows(OWNERS, **owned())} - himself).values())


def service(session: Session) -> str | None:
    """The hosted service that this server seems to belong to, by the roles that it has."""
    rows = session.rows(KNOWN, names=list(SERVICES))
    return SERVICES[rows[0]["role"]] if rows else None


def who_runs(session: Session) -> str:
    """Who has to run the scripts of docs/: `a superuser runs`, and where nobody is one, whoever deploys."""
    return "whoever owns the pipeline and may make roles runs" if service(session) else "a superuser runs"


def owned() -> dict[str, t.Any]:
    """The values of `OWNERS`."""
    names = contract.names()
    tables = [contract.bare(name) for name in names.required_tables]
    return {"schema": names.schema, "tables": tables, "load": contract.bare(names.load_function)}


def of_everything(session: Session) -> list[Row]:
    """All owners of something in the pipeline's schema, with what we may do as them."""
    becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
    return session.rows(OF_EVERYTHING, schema=contract.names().schema, becoming=becoming)


def strangers(session: Session) -> set[str]:
    """Who is neither trusted nor an owner of the pipeline; inside a transaction."""
    rows = session.rows(NAMED_STRANGERS, **owned())
    return {row["name"] for row in rows}


def left_alone(session: Session) -> list[str]:
    """A warning that names what strangers have in the pipeline's schema, and what ends it; none where that is nothing. Inside a
    transaction."""
    found = session.rows(STRANGE, **owned())
    if not found:
        return []
    schema = contract.names().schema
    owners = sorted({row["owner"] for row in found})
    named = ", ".join(printable(row["what"], LONGEST) for row in found[:NAMED])
    more = f" and {len(found) - NAMED} more" if len(found) > NAMED else ""
    whom = ", ".join(sql.Identifier(owner).as_string() for owner in owners[:NAMED])
    told = (
        f"{count(len(found), 'object')} of {printable(', '.join(owners), LONGEST)} in schema {schema} left alone but by captures "
        f"and rollbacks, as no part of the pipeline: {named}{more}. "
        f"Who is to make no more there: REVOKE CREATE ON SCHEMA {schema} FROM {whom}; what is part of the "
        f"pipeline all the same goes to its owner: ALTER … OWNER TO …"
    )
    return [told]


def owner_himself(session: Session, he: str) -> MissingPrivilege:
    """The refusal to operate as him, with the two ways there are: an operator of its own, or his word that he means to."""
    return MissingPrivilege(
        f"refused to operate as the pipeline's owner, {he}",
        on=session.where,
        said="what others wrote and this calls would run with all that he may",
        next_step=(
            f"{owner_of_its_own(session)}, then {operator_of_its_own(session)}, and connect as scout_operator; "
            "or add -e scout_allow_owner=true to do it all the same"
        ),
    )


def owner_of_its_own(session: Session) -> str:
    """The command that gives the pipeline an owner whom an operator may become."""
    schema = contract.names().schema
    other = "" if schema == contract.DEFAULT.schema else f" -v schema={schema}"
    return f"psql -X -d {reached(session)}{other} -f docs/pipeline_owner.sql"


def membership(session: Session, role: str) -> str:
    """The statement that gives the session's role the rights of another, at once; of one that may do more than an owner should, the
    command that gives the pipeline another owner. From PostgreSQL 16 on a GRANT that says nothing of inheritance leaves a
    membership as it is, and gives one without rights to a role that is NOINHERIT; before, such a role has none by any GRANT."""
    if not role.startswith("pg_") and mighty(session, [role]):
        return owner_of_its_own(session)
    granted = role if role.startswith("pg_") else sql.Identifier(role).as_string()
    me = sql.Identifier(session.facts.role).as_string()
    if session.facts.server_version >= 160000:
        return f"GRANT {granted} TO {me} WITH INHERIT TRUE, SET TRUE"
    found = session.row(INHERITS, role=role)
    needed = [] if found["member"] else [f"GRANT {granted} TO {me}"]
    return "; ".join([*needed, *([] if found["inherits"] else [f"ALTER ROLE {me} INHERIT"])])


def operator_of_its_own(session: Session) -> str:
    """The command that makes the role which an operator should have."""
    return f"psql -X -d {reached(session)} -f docs/operator_role.sql"


def reached(session: Session) -> str:
    """The database as a word of a shell: by its name, and where it is elsewhere by its address."""
    info = session.connection.info
    if info.host.startswith("/") or info.host in ("", "localhost", "127.0.0.1", "::1"):
        return shlex.quote(session.facts.database)
    return shlex.quote(conninfo.make_conninfo(host=info.host, port=info.port, dbname=session.facts.database))
