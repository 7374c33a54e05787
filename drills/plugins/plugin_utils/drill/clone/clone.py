# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes a clone of a real pipeline in a sandbox: its schema, its roles under whatever names they have there, its jobs, and
generated events in place of data. What cannot be had there is said by name."""

from __future__ import annotations

import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import errors, psycopg, sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract

from ...reference import builder
from . import generated_data

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

    from .dump_statements import Statement
    from .source import Role, Source

#: A function that calls one of these would leave the sandbox, with whatever secret the source keeps for it.
REACHING: t.Final = frozenset(
    {
        "adminpack", "aws_lambda", "aws_s3", "azure_storage", "dblink", "file_fdw", "http", "mysql_fdw", "oracle_fdw", "pg_net",
        "plperlu", "plpython3u", "plsh", "postgres_fdw", "tds_fdw", "wrappers",
    }
)  # fmt: skip
#: What follows from something that could not be made; that one is said.
FOLLOWS: t.Final = (
    errors.UndefinedTable, errors.UndefinedFunction, errors.UndefinedObject, errors.InvalidSchemaName, errors.UndefinedColumn,
)  # fmt: skip
#: So many things a clone lacks are named, and the others counted.
NAMED: t.Final = 20

AVAILABLE: t.Final = "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = %(name)s) AS there"
THERE_ALREADY: t.Final = "SELECT to_regnamespace('cron') IS NOT NULL AS cron"
THERE: t.Final = """
SELECT to_regprocedure(%(etl)s) IS NOT NULL AS etl,
       ARRAY(SELECT name FROM unnest(%(tables)s::text[]) AS name WHERE to_regclass(name) IS NULL) AS tables
"""
JOB: t.Final = """
INSERT INTO cron.job (schedule, command, nodeport, database, username, active, jobname)
VALUES (%(schedule)s, %(command)s, current_setting('port')::int, current_database(), %(owner)s, %(active)s, %(name)s)
"""
#: An owner holds its schema anyway.
OTHERS: t.Final = """
SELECT r.role, n.nspname::text AS schema
FROM pg_catalog.pg_namespace AS n CROSS JOIN unnest(%(roles)s::text[]) AS r (role)
WHERE n.nspname = ANY(%(schemas)s) AND pg_catalog.pg_get_userbyid(n.nspowner) <> r.role
"""


class Clone:
    """A clone in the making, in an empty database of a session that is its owner's."""

    def __init__(
        self,
        session: Session,
        source: Source,
        roles: Mapping[str, str],
        progress: Progress | None = None,
        *,
        jobs: bool = False,
        admin: Session | None = None,
    ) -> None:
        """`roles` has a role here, which exists, for each of the source's; `jobs`: a real scheduler may run the source's. What only
        who made the roles may do is done by `admin`, and nothing else: what others wrote runs as the owner."""
        self._session = session
        self._admin = admin or session
        self._source = source
        self._roles = dict(roles)
        self._progress = progress or Progress()
        self._jobs = jobs
        self._lacks: list[str] = list(source.lacks)

    def make(self, events: int, seed: int) -> tuple[str, ...]:
        """Everything, one after the other; what the clone lacks of its source. Raises where it would be no pipeline."""
        self._progress.say_throttled(f"cloning the schema of {self._source.where}")
        builder.mark(self._session.connection)
        if not self._session.row(THERE_ALREADY)["cron"]:
            builder.create_cron(self._session.connection)
        self._join_roles()
        self._lacks += _extend(self._session, self._source)
        self._build()
        self._require_pipeline()
        self._progress.say_throttled(f"filling the clone with {count(events, 'generated event')}")
        self._lacks += generated_data.fill(self._session, events, seed)
        self._populate()
        self._schedule()
        self._session.connection.execute("ANALYZE")
        more = len(self._lacks) - NAMED
        return (*self._lacks[:NAMED], *([f"{count(more, 'thing')} more"] if more > 0 else []))

    def _do(
        self, what: str, statement: sql.Composed | sql.SQL | str, follows: tuple[type[psycopg.Error], ...] = ()
    ) -> bool:
        """Does something that the clone may have to do without, which is said unless it follows from something else."""
        try:
            with self._session.connection.transaction():
                self._session.connection.execute(statement.encode() if isinstance(statement, str) else statement)
        except errors.DuplicateSchema:
            return True
        except psycopg.Error as e:
            if not isinstance(e, follows):
                self._lacks.append(f"{what}: {e.diag.message_primary or type(e).__name__}")
            return False
        return True

    # --- roles

    def _join_roles(self) -> None:
        """Memberships and settings of the roles, and of the database."""
        chooses = self._admin.facts.server_version >= 160000
        for each in self._source.memberships:
            role, member = self._roles.get(each.role, each.role), self._roles[each.member]
            how = f" WITH INHERIT {str(each.inherits).upper()}, SET {str(each.sets).upper()}" if chooses else ""
            granted = sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(member))
            try:
                with self._admin.connection.transaction():
                    self._admin.connection.execute(granted + _written(how))
            except psycopg.Error as e:
                self._lacks.append(f"membership of {each.member} in {each.role}: {e.diag.message_primary}")
        for role in self._source.roles:
            named = sql.SQL("ROLE {}").format(sql.Identifier(self._roles[role.name]))
            for setting, value in role.settings:
                self._set(f"setting {setting} of role {role.name}", named, setting, value)
        here = sql.SQL("DATABASE {}").format(sql.Identifier(self._session.facts.database))
        for setting, value in self._source.settings:
            self._set(f"setting {setting} of the database", here, setting, value)

    def _set(self, what: str, of: sql.Composed, setting: str, value: str) -> None:
        """By way of the session: how lists are quoted differs from setting to setting."""
        try:
            with self._admin.connection.transaction():
                self._admin.execute("SELECT set_config(%(name)s, %(value)s, true)", name=setting, value=value)
                name = sql.Identifier(setting)
                self._admin.connection.execute(sql.SQL("ALTER {} SET {} FROM CURRENT").format(of, name))
        except psycopg.Error as e:
            self._lacks.append(f"{what}: {e.diag.message_primary}")

    # --- schema

    def _build(self) -> None:
        """What pg_dump wrote, in its order; privileges last, as pg_dump has them too."""
        made = [each for each in self._source.statements if not _granting(each)]
        complete = True
        for statement in made:
            self._progress.checkpoint()
            complete &= self._run(statement, complete=complete)
            if statement.words[:2] == ("CREATE", "SCHEMA"):
                self._lend(sql.SQL("GRANT CREATE, USAGE ON SCHEMA {} TO {}"))
        self._lend(sql.SQL("REVOKE CREATE, USAGE ON SCHEMA {} FROM {}"))
        for statement in self._source.statements:
            if _granting(statement):
                self._run(statement, complete=complete)
        self._session.connection.execute("RESET ROLE")
        self._session.connection.execute("RESET search_path")
        self._session.connection.execute("RESET row_security")

    def _run(self, statement: Statement, *, complete: bool) -> bool:
        if statement.sets and not _granting(statement):
            # A setting that this server does not know is of no use to it either.
            self._do_quietly(statement)
            return True
        follows = () if complete or statement.words[0] == "CREATE" else FOLLOWS
        return self._do(statement.about, statement.renamed(self._roles), follows)

    def _do_quietly(self, statement: Statement) -> None:
        try:
            self._session.connection.execute(statement.text.encode())
        except psycopg.Error:
            return

    def _lend(self, form: sql.SQL) -> None:
        """Who is no superuser may give an object only to a role that could have made it there."""
        if self._session.facts.superuser:
            return
        for row in self._session.rows(OTHERS, roles=list(self._roles.values()), schemas=list(self._source.schemas)):
            named = (sql.Identifier(row["schema"]), sql.Identifier(row["role"]))
            self._session.connection.execute(form.format(*named))

    def _require_pipeline(self) -> None:
        there = self._session.row(THERE, etl=contract.DEFAULT.etl, tables=list(contract.DEFAULT.required_tables))
        missing = [*there["tables"], *([] if there["etl"] else [f"function {contract.DEFAULT.etl}"])]
        if missing:
            raise NotConverged(
                "the clone is no pipeline that could be drilled",
                on=self._source.where,
                said="; ".join([f"it lacks {', '.join(missing)}", *self._lacks[:NAMED]]),
                next_step="fix what is reported here, in the source or by a sandbox that has what is missing",
            )

    # --- what makes it work

    def _populate(self) -> None:
        for schema, name in self._source.populated:
            view = sql.Identifier(schema, name)
            self._do(f"rows of {schema}.{name}", sql.SQL("REFRESH MATERIALIZED VIEW {}").format(view))

    def _schedule(self) -> None:
        """Who may use the scheduler there may do so here; the jobs come last, since a real one starts at once those
        that are active."""
        for role in self._source.roles:
            self._allow(role)
        runs = self._jobs or not builder.has_scheduler(self._session.connection)
        if not runs and any(job.active for job in self._source.jobs):
            self._lacks.append("its jobs at work: they are inactive, unless you ask for them with -e clone_jobs=true")
        for job in self._source.jobs:
            values = {
                "schedule": job.schedule,
                "command": job.command,
                "active": job.active and runs,
                "owner": self._roles[job.owner],
            }
            name = None if job.jobname == f"job {job.jobid}" else job.jobname
            try:
                self._session.execute(JOB, name=name, **values)
            except psycopg.Error as e:
                self._lacks.append(f"job {job.jobname}: {e.diag.message_primary}")
        self._session.connection.execute(builder.HISTORY)

    def _allow(self, role: Role) -> None:
        schema, alter_job = role.scheduler
        named = sql.Identifier(self._roles[role.name])
        if schema:
            self._do("use of schema cron", sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(named))
        if alter_job:
            self._do("use of cron.alter_job", sql.SQL("GRANT EXECUTE ON FUNCTION cron.alter_job TO {}").format(named))


def _granting(statement: Statement) -> bool:
    """Privileges, and becoming the one who grants them."""
    return statement.grants or statement.words[1:3] == ("SESSION", "AUTHORIZATION")


def _written(text: str) -> sql.SQL:
    return sql.SQL(t.cast("t.LiteralString", text))


def _extend(session: Session, source: Source) -> list[str]:
    """The extensions that can be had here, do not reach out, and that PostgreSQL lets any owner of a database make; what is
    lacked of those that the pipeline uses."""
    lacks: list[str] = []
    for each in source.extensions:
        what = f"extension {each.name}"
        if each.name in REACHING:
            lacks += [f"{what}: it reaches out of the sandbox"] if each.used else []
        elif session.row(AVAILABLE, name=each.name)["there"]:
            schema, name = sql.Identifier(each.schema), sql.Identifier(each.name)
            try:
                with session.connection.transaction():
                    if not session.rows(
                        "SELECT FROM pg_catalog.pg_namespace WHERE nspname = %(name)s", name=each.schema
                    ):
                        session.connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
                    session.connection.execute(
                        sql.SQL("CREATE EXTENSION IF NOT EXISTS {} WITH SCHEMA {}").format(name, schema)
                    )
            except psycopg.Error as e:
                lacks += [f"{what}: {e.diag.message_primary or type(e).__name__}"] if each.used else []
        elif each.used:
            lacks.append(f"{what}: this server does not have it")
    return lacks


def attributes(role: Role, *, login: bool = False) -> str:
    """How the role is made; none is above others, whatever it is in the source."""
    return f"{'LOGIN' if login and role.login else 'NOLOGIN'} {'INHERIT' if role.inherits else 'NOINHERIT'}"


def lacks_of(role: Role) -> list[str]:
    """What of it a clone lacks."""
    more = [word for word, has in (("superuser", role.superuser), ("above policies", role.bypasses)) if has]
    return [f"role {role.name}: it is {' and '.join(more)} in the source, which no role of a clone is"] if more else []


def roles_of_ours(session: Session, source: Source) -> dict[str, str]:
    """The source's roles, made on a server of the drill's own by a role that may make some; one whose name is taken there gets
    another one."""
    found: dict[str, str] = {}
    for role in source.roles:
        taken = session.rows("SELECT FROM pg_catalog.pg_roles WHERE rolname = %(name)s", name=role.name)
        found[role.name] = f"source_{role.name}"[:60] if taken else role.name
        named = sql.Identifier(found[role.name])
        with session.connection.transaction():
            session.connection.execute(
                sql.SQL("CREATE ROLE {} ").format(named) + _written(attributes(role, login=True))
            )
            how = " WITH INHERIT TRUE, SET TRUE" if session.facts.server_version >= 160000 else ""
            session.connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(named) + _written(how))
    # Who is above all in the source may use what is anybody's in the clone, and nothing of the server.
    for role in source.roles:
        below = [
            sql.Identifier(found[each.name]) for each in source.roles if each.name != role.name and not each.superuser
        ]
        for each in below if role.superuser else ():
            session.connection.execute(sql.SQL("GRANT {} TO {}").format(each, sql.Identifier(found[role.name])))
    return found
