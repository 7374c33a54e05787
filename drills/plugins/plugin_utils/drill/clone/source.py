# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads of a real database what a clone of its pipeline is made of: schema, roles, jobs, settings; no data, no passwords, and
nothing there is written."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged, WrongDatabase
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import with_cron
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lexer, pg_dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import dependencies
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract, cron_jobs

from ...reference.server.binaries import account, bin_dir
from . import dump_statements

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.cron_jobs import Job

FOLDER: t.Final = "scout-drill"
#: The migration history, which a release is captured with.
MIGRATIONS: t.Final = "supabase_migrations"
#: The server's own, pg_cron's, and what this toolkit keeps there.
NEVER: t.Final = re.compile(r"pg_.*|information_schema|cron|scout_ops")
#: Settings of roles and of the database that change how a function runs; others may hold secrets.
SETTINGS: t.Final = (
    "search_path", "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone", "datestyle",
    "intervalstyle", "work_mem", "row_security", "default_transaction_isolation",
)  # fmt: skip
#: Members of these reach out of the database.
REACHING_ROLES: t.Final = ("pg_execute_server_program", "pg_read_server_files", "pg_write_server_files")

#: What a newer server keeps among the options of a column is its own, and only its own pg_dump leaves it out.
OWN_OPTION: t.Final = re.compile(r"ALTER TABLE (?>.*? ALTER COLUMN ).* SET \(pg_\w+=[^()]*\)", re.DOTALL)

#: The schemas that code tells of what it names.
QUALIFIERS: t.Final = re.compile(rf'(?<!\.)({lexer.NAME})\s*\.\s*["\w]')

SCHEMAS: t.Final = "SELECT nspname::text AS name FROM pg_catalog.pg_namespace"
PRESENT: t.Final = "SELECT to_regclass(%(name)s) IS NOT NULL AS there"
CODE: t.Final[t.LiteralString] = f"""
SELECT n.nspname::text AS schema, {lexer.SOURCE} AS body
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = ANY(%(schemas)s)
"""  # noqa: S608  # made of literals alone
EXTENSIONS: t.Final = """
SELECT e.oid::bigint AS oid, e.extname::text AS name, n.nspname::text AS schema, ARRAY(
    SELECT p.proname::text FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_proc AS p ON p.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = e.oid AND d.deptype = 'e'
      AND d.classid = 'pg_catalog.pg_proc'::regclass) AS functions
FROM pg_catalog.pg_extension AS e JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
WHERE e.extname NOT IN ('plpgsql', 'pg_cron') ORDER BY e.oid
"""
POPULATED: t.Final = """
SELECT n.nspname::text AS schema, c.relname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND c.relispopulated AND n.nspname = ANY(%(schemas)s) ORDER BY c.oid
"""
#: A role and those it is a member of, step by step; what pg_roles shows of a password is a row of asterisks.
ROLES: t.Final = """
WITH RECURSIVE wanted AS (
    SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ANY(%(names)s)
    UNION
    SELECT m.roleid FROM wanted AS w JOIN pg_catalog.pg_auth_members AS m ON m.member = w.oid
)
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolinherit AS inherits, r.rolcanlogin AS login,
       r.rolbypassrls AS bypasses, coalesce(r.rolconfig, '{}') AS settings,
       ARRAY(SELECT g.rolname::text FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
             WHERE m.member = r.oid ORDER BY g.rolname) AS member_of,
       starts_with(r.rolname, 'pg_') AS predefined
FROM wanted JOIN pg_catalog.pg_roles AS r USING (oid) ORDER BY r.oid
"""
#: From PostgreSQL 16 on each membership says by itself whether it inherits.
MEMBERS: t.Final = """
SELECT u.rolname::text AS member, g.rolname::text AS role, bool_or(coalesce((to_jsonb(m) ->> 'inherit_option')::bool, u.rolinherit))
    AS inherits, bool_or(coalesce((to_jsonb(m) ->> 'set_option')::bool, true)) AS sets
FROM pg_catalog.pg_auth_members AS m JOIN pg_catalog.pg_roles AS u ON u.oid = m.member
JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid
WHERE u.rolname = ANY(%(names)s) GROUP BY u.rolname, g.rolname ORDER BY u.rolname, g.rolname
"""
SCHEDULER_RIGHTS: t.Final = """
SELECT r.rolname::text AS role, has_schema_privilege(r.oid, n.oid, 'USAGE') AS schema, EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p WHERE p.pronamespace = n.oid AND p.proname = 'alter_job'
      AND has_function_privilege(r.oid, p.oid, 'EXECUTE')) AS alter_job
FROM pg_catalog.pg_roles AS r JOIN pg_catalog.pg_namespace AS n ON n.nspname = 'cron' WHERE r.rolname = ANY(%(names)s)
"""
OF_DATABASE: t.Final = """
SELECT coalesce(s.setconfig, '{}') AS settings FROM pg_catalog.pg_db_role_setting AS s
JOIN pg_catalog.pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = current_database() AND s.setrole = 0
"""


@dataclasses.dataclass(frozen=True)
class Role:
    """A role that the pipeline needs, without its password."""

    name: str
    superuser: bool
    inherits: bool
    login: bool
    bypasses: bool
    settings: tuple[tuple[str, str], ...]
    #: USAGE on schema cron, and EXECUTE on alter_job.
    scheduler: tuple[bool, bool]


@dataclasses.dataclass(frozen=True)
class Membership:
    """That a role is a member of another."""

    member: str
    role: str
    inherits: bool
    sets: bool


@dataclasses.dataclass(frozen=True)
class Extension:
    """An extension of the database, and whether the pipeline is seen to use it."""

    name: str
    schema: str
    used: bool


@dataclasses.dataclass(frozen=True)
class Source:
    """What a clone is made of."""

    where: str
    schemas: tuple[str, ...]
    statements: tuple[dump_statements.Statement, ...]
    roles: tuple[Role, ...]
    memberships: tuple[Membership, ...]
    extensions: tuple[Extension, ...]
    populated: tuple[tuple[str, str], ...]
    jobs: tuple[Job, ...]
    settings: tuple[tuple[str, str], ...]
    #: What could not be read, or is not taken along, by name.
    lacks: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class _Found:
    """What is to be dumped: schemas that are needed, schemas that are only spoken of, and extensions."""

    needed: tuple[str, ...]
    named: tuple[str, ...]
    extensions: tuple[Extension, ...]


def read(dsn: str, cron_dsn: str | None = None, progress: Progress | None = None) -> Source:
    """Everything a clone needs, its jobs from the database that has pg_cron; refuses a database that holds no pipeline."""
    settings = with_cron(Settings(dsn, action="drill"), "schema_from", cron_dsn)
    with open_session(settings, "schema_from", only_read=True) as session:
        if session.facts.pooled:
            raise WrongDatabase(
                "refused to clone through a connection pooler, which may give each statement another session",
                on=session.where,
                next_step="point schema_from at the server itself; a standby will do",
            )
        # All that follows is read in READ ONLY transactions anyway.
        session.connection.outside("SET default_transaction_read_only = on")
        with attempting("could not read the schema to clone", on=session.where):
            with session.read():
                _require_pipeline(session)
                jobs = cron_jobs.jobs(session) if cron_jobs.present(session) else []
                found = _find(session, [job.command for job in jobs])
            dumped, schemas, lacks = _dump(session, found, progress or Progress())
            with session.read():
                return _told(session, dumped, schemas, found.extensions, jobs, lacks)


def _require_pipeline(session: Session) -> None:
    missing = [name for name in contract.DEFAULT.required_tables if not session.row(PRESENT, name=name)["there"]]
    if missing:
        raise WrongDatabase(
            "refused to clone a database that holds no Scout pipeline",
            on=session.where,
            said=f"there is no {', '.join(missing)}",
            next_step="name the database with schema scout: -e schema_from=postgresql://…",
        )


def _find(session: Session, commands: Iterable[str]) -> _Found:
    """The schemas of the pipeline and what that needs; functions and jobs may speak of more than PostgreSQL keeps track of."""
    graph = dependencies.read(session)
    every = [row["name"] for row in session.rows(SCHEMAS) if not NEVER.fullmatch(row["name"])]
    needed, named = {contract.DEFAULT.schema}, {name for name in (MIGRATIONS,) if name in every}
    texts = [_read(command) for command in commands]
    while True:
        before = len(needed) + len(named)
        inside, outside = graph.members(needed | named)
        schemas = {graph.objects[each] for each in outside} & {*every}
        needed |= {graph.objects[each] for each in graph.members(needed)[1]} & {*every}
        named |= schemas
        bodies = [_read(row["body"]) for row in session.rows(CODE, schemas=sorted(needed | named))]
        named |= {name for name in every if any(_speaks_of(body, name) for body in (*bodies, *texts))}
        named -= needed
        if len(needed) + len(named) == before:
            break
    # The schema of an extension's objects comes with the extension.
    used = {
        graph.extended[d.on][1]
        for d in graph.depends
        if d.on in graph.extended and graph.whole(d.of) in inside | outside
    }
    words = {word for body in bodies for word in re.findall(r"\w+", body)}
    extensions = [
        Extension(row["name"], row["schema"], row["oid"] in used or not words.isdisjoint(row["functions"]))
        for row in session.rows(EXTENSIONS)
    ]
    return _Found(tuple(sorted(needed)), tuple(sorted(named)), tuple(extensions))


def _read(body: str) -> str:
    """A command, or the body of a function, with all that it might run; as it stands where that is too intricate to tell."""
    try:
        return lexer.may_run(body)
    except lexer.Intricate:
        return body


def _speaks_of(text: str, schema: str) -> bool:
    """Whether it names something in the schema."""
    return any(lexer.name(found) == schema for found in QUALIFIERS.findall(text))


def _dump(session: Session, found: _Found, progress: Progress) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """What pg_dump says of the schemas, which these are, and which could not be had; those only spoken of may fail."""
    with subprocesses.scratch(FOLDER) as folder:
        try:
            tools = _tools(session, folder)
            try:
                every = (*found.needed, *found.named)
                return _dumped(session, tools, every, progress), every, ()
            except pg_dump.RefusedError as e:
                if not found.named:
                    raise
                lacks = tuple(f"schema {name}, which functions or jobs speak of: {e.reason}" for name in found.named)
                return _dumped(session, tools, found.needed, progress), found.needed, lacks
        except pg_dump.UnableError as e:
            raise NotConverged(
                "could not clone the schema",
                on=session.where,
                said=e.reason,
                next_step=e.next_step
                or "the role of schema_from needs USAGE on these schemas and SELECT on their tables",
            ) from e


def _tools(session: Session, folder: Path) -> pg_dump.Tools:
    """pg_dump of the embedded server where it is new enough, else the machine's."""
    try:
        return pg_dump.tools(session, str(bin_dir(account()) / "pg_dump"), folder)
    except (RuntimeError, pg_dump.UnableError):
        return pg_dump.tools(session, None, folder)


def _dumped(session: Session, tools: pg_dump.Tools, schemas: Sequence[str], progress: Progress) -> str:
    reach = pg_dump.environment(session, tools.folder)
    reach["PGOPTIONS"] = f"{reach.get('PGOPTIONS', '')} -c default_transaction_read_only=on".strip()
    lock = max(1, round(session.settings.lock_timeout_seconds * 1000))
    options = ["--schema-only", "--format=plain", "--encoding=UTF8", f"--lock-wait-timeout={lock}", "--no-password"]
    options += ["--no-publications", "--no-subscriptions", "--no-tablespaces", "--no-security-labels", "--no-sync"]
    # In quotes nothing in a pattern means more than it says.
    options += ['--schema="{}"'.format(name.replace('"', '""')) for name in schemas]
    return pg_dump.run([tools.dump, *options], tools, reach, progress).decode()


def _told(
    session: Session,
    dumped: str,
    schemas: tuple[str, ...],
    extensions: tuple[Extension, ...],
    jobs: Sequence[Job],
    lacks: tuple[str, ...],
) -> Source:
    made = tuple(each for each in dump_statements.split(dumped) if not OWN_OPTION.fullmatch(each.text))
    names = {role for statement in made for role in statement.roles()} | {job.owner for job in jobs}
    rows = session.rows(ROLES, names=sorted(names))
    with session.at_cron() as at:
        rights = {
            row["role"]: (row["schema"], row["alter_job"])
            for row in at.rows(SCHEDULER_RIGHTS, names=[row["name"] for row in rows])
        }
    roles = tuple(
        Role(
            row["name"], row["superuser"], row["inherits"], row["login"], row["bypasses"],
            _settings(row["settings"]), rights.get(row["name"], (False, False)),
        )
        for row in rows if not row["predefined"]
    )  # fmt: skip
    members = [Membership(**row) for row in session.rows(MEMBERS, names=[role.name for role in roles])]
    reaching = [
        f"role {each.role} for {each.member}: it reaches out of the sandbox"
        for each in members
        if each.role in REACHING_ROLES
    ]
    settings = [pair for row in session.rows(OF_DATABASE) for pair in _settings(row["settings"])]
    unseen = (
        []
        if jobs or not cron_jobs.present(session)
        else [f"jobs of the scheduler: role {session.facts.role} sees none"]
    )
    return Source(
        where=session.where,
        schemas=schemas,
        statements=made,
        roles=roles,
        memberships=tuple(each for each in members if each.role not in REACHING_ROLES),
        extensions=extensions,
        populated=tuple((row["schema"], row["name"]) for row in session.rows(POPULATED, schemas=list(schemas))),
        jobs=tuple(jobs),
        settings=tuple(settings),
        lacks=(*lacks, *reaching, *unseen),
    )


def _settings(found: Iterable[str]) -> tuple[tuple[str, str], ...]:
    pairs = [(name, value) for name, _, value in (each.partition("=") for each in found)]
    return tuple((name, value) for name, value in pairs if name.lower() in SETTINGS)
