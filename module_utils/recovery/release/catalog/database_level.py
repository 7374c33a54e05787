# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release consists of besides objects in schemas: extensions, default privileges, jobs, and the migration history."""

from __future__ import annotations

import hashlib
import typing as t

from ...core.errors import BadInput, MissingPrivilege
from ...ledger.pauses import match_entries
from ...postgres.driver import errors, sql
from ...postgres.failures import translate
from ...postgres.privileges import Need
from ...scout import contract, cron_jobs
from ...scout.judging import impostors
from . import job_commands
from .query import Kind

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...postgres.session import Row, Session

EXTENSIONS: t.Final = """
SELECT e.oid, 0, e.extowner, NULL::aclitem[], jsonb_build_object('version', e.extversion, 'schema', n.nspname)
FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
"""

#: Those of the schemas, and those that the owners of the objects have for every schema.
DEFAULT_PRIVILEGES: t.Final = """
SELECT a.oid, 0, 0::oid, a.defaclacl, jsonb_build_object(
    'role', pg_get_userbyid(a.defaclrole)::text,
    'schema', n.nspname,
    'objects', CASE a.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions'
                                    WHEN 'T' THEN 'types' WHEN 'n' THEN 'schemas' ELSE 'large objects' END)
FROM pg_default_acl AS a LEFT JOIN pg_namespace AS n ON n.oid = a.defaclnamespace
WHERE n.nspname = ANY(%(names)s) OR (a.defaclnamespace = 0 AND pg_get_userbyid(a.defaclrole) = ANY(%(owners)s))
"""

KINDS: t.Final = (
    Kind("extension", "pg_extension", EXTENSIONS),
    Kind("default_privileges", "pg_default_acl", DEFAULT_PRIVILEGES),
)

#: A table in a publication, with its list of columns and its filter; PostgreSQL 14 has neither. The publication itself is not
#: part of any release.
PUBLISHED: t.Final = """
SELECT r.oid, 0, 0::oid, NULL::aclitem[], jsonb_build_object(
    'relation', r.prrelid::regclass::text,
    'publication', quote_ident(p.pubname){more})
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid
WHERE r.oid = ANY(%(published)s::oid[])
"""
MORE_PUBLISHED: t.Final = """,
    'columns', (SELECT jsonb_agg(quote_ident(a.attname) ORDER BY a.attnum) FROM pg_attribute AS a
                WHERE a.attrelid = r.prrelid AND a.attnum = ANY(r.prattrs::int2[])),
    'filter', pg_get_expr(r.prqual, r.prrelid)"""


def published(version: int) -> Kind:
    """The kind, as far as this version of the server has it."""
    query = PUBLISHED.replace("{more}", MORE_PUBLISHED if version >= 150000 else "")
    return Kind("publication_table", "pg_publication_rel", query)


#: Known by name, and by what tells whether their definition is another one; nothing makes them again.
OTHERS: t.Final = """
SELECT w.catalog, w.oid, i.type || ' ' || i.identity AS name, obj_description(w.oid::oid, w.catalog::name) AS comment,
    CASE w.catalog
    WHEN 'pg_ts_dict' THEN (
        SELECT jsonb_build_array(e.tmplname, d.dictinitoption)
        FROM pg_ts_dict AS d JOIN pg_ts_template AS e ON e.oid = d.dicttemplate WHERE d.oid = w.oid)
    WHEN 'pg_ts_config' THEN (
        SELECT jsonb_build_array(p.prsname, (
            SELECT jsonb_agg(jsonb_build_array(m.maptokentype, m.mapdict::regdictionary::text) ORDER BY m.maptokentype, m.mapseqno)
            FROM pg_ts_config_map AS m WHERE m.mapcfg = c.oid))
        FROM pg_ts_config AS c JOIN pg_ts_parser AS p ON p.oid = c.cfgparser WHERE c.oid = w.oid)
    WHEN 'pg_conversion' THEN (
        SELECT jsonb_build_array(c.conforencoding, c.contoencoding, c.conproc::regprocedure::text, c.condefault)
        FROM pg_conversion AS c WHERE c.oid = w.oid)
    WHEN 'pg_opclass' THEN (
        SELECT jsonb_build_array(o.opcintype::regtype::text, o.opckeytype::regtype::text, o.opcdefault,
                                 (pg_identify_object('pg_opfamily'::regclass, o.opcfamily, 0)).identity)
        FROM pg_opclass AS o WHERE o.oid = w.oid)
    WHEN 'pg_opfamily' THEN jsonb_build_array((
        SELECT jsonb_agg(jsonb_build_array(x.amopstrategy, x.amopopr::regoperator::text, x.amoppurpose) ORDER BY
                         x.amoplefttype::regtype::text, x.amoprighttype::regtype::text, x.amopstrategy, x.amoppurpose)
        FROM pg_amop AS x WHERE x.amopfamily = w.oid), (
        SELECT jsonb_agg(jsonb_build_array(x.amprocnum, x.amproc::regprocedure::text) ORDER BY
                         x.amproclefttype::regtype::text, x.amprocrighttype::regtype::text, x.amprocnum)
        FROM pg_amproc AS x WHERE x.amprocfamily = w.oid))
    WHEN 'pg_transform' THEN (
        SELECT jsonb_build_array(x.trffromsql::regprocedure::text, x.trftosql::regprocedure::text)
        FROM pg_transform AS x WHERE x.oid = w.oid)
    WHEN 'pg_event_trigger' THEN (
        SELECT jsonb_build_array(e.evtevent, e.evtfoid::regprocedure::text, e.evtenabled, e.evttags)
        FROM pg_event_trigger AS e WHERE e.oid = w.oid)
    END AS definition
FROM unnest(%(catalogs)s::text[], %(oids)s::bigint[]) AS w (catalog, oid)
CROSS JOIN LATERAL pg_identify_object(w.catalog::regclass, w.oid::oid, 0) AS i
"""

#: Off, a policy that would hide rows is an error.
WHOLE: t.Final = "SELECT set_config('row_security', %(mode)s, true)"

#: The columns of a table in which a history or a manifest is, and what it is called in SQL.
COLUMNS: t.Final = """
SELECT format('%%I.%%I', n.nspname, c.relname) AS shown, a.attname::text AS name, quote_ident(a.attname) AS quoted,
       a.attgenerated <> '' AS generated, a.attnum = ANY(k.conkey) IS TRUE AS in_key,
       has_table_privilege(c.oid, 'SELECT') AND has_schema_privilege(n.oid, 'USAGE') AS may
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
ORDER BY a.attnum
"""


def identifier(session: Session, name: str, option: str, parts: tuple[int, ...]) -> list[str]:
    """The parts of a qualified name as SQL reads it, folded and unquoted. Raises BadInput for anything else."""
    try:
        with session.savepoint():
            found: list[str] = session.row("SELECT parse_ident(%(name)s) AS parts", name=name)["parts"]
    except errors.InvalidParameterValue as e:
        raise _translate_name(name, option, str(e.diag.message_primary)) from e
    if len(found) not in parts:
        raise _translate_name(name, option, f"it has {len(found)} parts")
    return found


def _translate_name(name: str, option: str, said: str) -> BadInput:
    """The refusal of a name that cannot be one."""
    return BadInput(
        f"{option} {name[:200]!r} is not usable",
        said=said,
        next_step="give schema.table, quoted as in SQL where needed",
    )


def unreadable(session: Session, attempted: str, schema: str, shown: str) -> MissingPrivilege:
    """The error of a table, shown as SQL names it, that this role may not read, with the grants that help."""
    needs = (Need("SCHEMA", sql.Identifier(schema).as_string(), "USAGE"), Need("TABLE", shown, "SELECT"))
    return MissingPrivilege(
        attempted,
        on=session.where,
        said=f"role {session.facts.role} lacks a privilege",
        next_step="; ".join(need.grant(session) for need in needs),
    )


def migrations(session: Session, table: str) -> list[Row]:
    """The rows of the migration history, each under its version, every value as text; none where there is no such
    table. Raises BadInput where it has no usable key, and where the role may not read every row."""
    schema, name = identifier(session, table, "migrations_table", (2,))
    columns = session.rows(COLUMNS, schema=schema, table=name)
    if not columns:
        return []
    impostors.refuse_history(session, schema, name)
    quoted = sql.Identifier(schema, name)
    if not columns[0]["may"]:
        raise unreadable(session, f"could not read the migration history {table}", schema, quoted.as_string())
    names = [row["name"] for row in columns]
    keys = ["version"] if "version" in names else [row["name"] for row in columns if row["in_key"]]
    if not keys:
        raise BadInput(
            f"migrations_table {table} is not usable",
            on=session.where,
            said="it has neither a column version nor a primary key",
            next_step="name the table that holds the migration history, or none: -e scout_migrations_table=''",
        )
    return [
        {
            "version": ", ".join(str(row[key]) for key in keys),
            # A column that the table gets later is NULL in the rows of before.
            "columns": {name: value for name, value in row.items() if value is not None},
        }
        for row in as_text(session, table, quoted, names)
    ]


def as_text(session: Session, table: str, quoted: sql.Identifier, names: Iterable[str]) -> list[Row]:
    """Some columns of all rows of a table with a migration history, every value as text. Raises MissingPrivilege where a policy hides
    some; inside the caller's transaction."""
    listed = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(each)) for each in names)
    try:
        session.execute(WHOLE, mode="off")
        found = session.rows(sql.SQL("SELECT {} FROM {}").format(listed, quoted))
        session.execute(WHOLE, mode="on")
    except errors.InsufficientPrivilege as e:
        raise translate(
            e,
            f"could not read the migration history {table}",
            on=session.where,
            next_step="a policy hides rows from this role: capture as the table's owner, or with a role that may see all",
        ) from e
    return found


def jobs(session: Session, paused: Iterable[Row]) -> list[Row]:
    """The jobs of this database under names of their own; those that a pause disabled as it will re-enable them."""
    if not cron_jobs.present(session):
        return []
    found = cron_jobs.jobs(session)
    if not found and not session.facts.superuser:
        _require_sight(session)
    held = match_entries(paused, found)
    made: dict[str, Row] = {}
    for job in found:
        before = held.get(job.jobid)
        named = job.jobname != f"job {job.jobid}"
        name = job.jobname if named else f"unnamed {hashlib.sha256(job.command.encode()).hexdigest()[:12]}"
        key, again = f"{name} of {job.owner}", 1
        while key in made:
            again += 1
            key = f"{name} ({again}) of {job.owner}"
        made[key] = {
            "jobid": job.jobid,
            "name": key,
            "owner": job.owner,
            "facts": {
                **({"name": job.jobname} if named else {}),
                "schedule": before["schedule"] if before else job.schedule,
                **job_commands.facts(job.command),
                "active": True if before else job.active,
            },
        }
    return list(made.values())


def _require_sight(session: Session) -> None:
    """Refuses where the jobs of the pipeline's owner cannot be seen: that there are none would be a guess."""
    found = session.rows(
        cron_jobs.ETL_OWNER, schema=contract.names().schema, name=contract.bare(contract.names().load_function)
    )
    owner = found[0]["owner"] if found else ""
    if grants := cron_jobs.missing_grants(session, owner):
        raise MissingPrivilege(
            f"could not see the jobs of {owner}",
            on=session.where,
            said=f"pg_cron shows a role only its own jobs, and role {session.facts.role} sees none",
            next_step="; ".join(grants),
        )
