# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Code of others, run as they run it: as a role of theirs, with its search path and time zone, and with no way to our rights.

SET ROLE alone would not do: what is called may RESET ROLE, and is the operator then. Only within a function that runs as its
owner PostgreSQL refuses that. So the call is made by such a function; it belongs to the role whose code is called, which is
never more than we are, lives in pg_temp, and is gone before the transaction ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import typing as t

from ..core.errors import MissingPrivilege
from .driver import psycopg, sql
from .watched import PIN

if t.TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from .session import Row, Session

#: What a session of the role has: the strongest setting, else the server's own, which is not what this connection or our
#: role is set to. And whether we may be that role, never a superuser through a membership.
ACTOR = """
WITH given AS (
    SELECT lower(split_part(setting, '=', 1)) AS name, substr(setting, strpos(setting, '=') + 1) AS value, s.setrole, s.setdatabase
    FROM pg_catalog.pg_db_role_setting AS s CROSS JOIN LATERAL unnest(s.setconfig) AS setting
    WHERE s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
), role AS (
    SELECT oid, rolsuper FROM pg_catalog.pg_roles WHERE rolname = %(role)s
), me AS (
    SELECT oid, rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user
), plain AS (
    SELECT lower(s.name) AS name, CASE WHEN lower(s.name) = ANY(%(own)s) OR EXISTS (
        SELECT FROM given AS g, me WHERE g.name = lower(s.name) AND g.setrole = me.oid) THEN s.boot_val ELSE s.reset_val END AS value
    FROM pg_catalog.pg_settings AS s WHERE lower(s.name) IN ('search_path', 'timezone')
)
SELECT (SELECT jsonb_object_agg(p.name, coalesce((
            SELECT g.value FROM given AS g WHERE g.name = p.name AND g.setrole IN (0, (SELECT oid FROM role))
            ORDER BY g.setrole <> 0 DESC, g.setdatabase <> 0 DESC LIMIT 1), p.value)) FROM plain AS p) AS settings,
       coalesce((SELECT me.rolsuper OR NOT role.rolsuper AND pg_catalog.pg_has_role(me.oid, role.oid, %(becoming)s)
                 FROM role, me), false) AS becomes,
       coalesce((SELECT pg_catalog.has_database_privilege(role.oid, current_database(), 'TEMP') FROM role), false) AS temporary,
       coalesce((SELECT rolsuper FROM role), false) AS superuser
"""

#: Of these schemas, those in which nobody may make anything but superusers, ourselves, and the role.
TRUSTED = """
SELECT n.nspname::text AS name
FROM unnest(%(names)s::text[]) WITH ORDINALITY AS given (name, place) JOIN pg_catalog.pg_namespace AS n ON n.nspname = given.name
WHERE NOT EXISTS (
    SELECT FROM (SELECT n.nspowner AS grantee UNION SELECT a.grantee
                 FROM pg_catalog.aclexplode(n.nspacl) AS a WHERE a.privilege_type = 'CREATE') AS maker
    LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = CASE WHEN maker.grantee = 'pg_database_owner'::regrole
        THEN (SELECT datdba FROM pg_catalog.pg_database WHERE datname = current_database()) ELSE maker.grantee END
    WHERE r.rolsuper IS NOT TRUE AND (r.rolname IN (current_user, %(role)s)) IS NOT TRUE)
ORDER BY given.place
"""
NAME: t.Final = re.compile(r'"((?:[^"]|"")*)"|([^\s,"]+)')

#: Of each kind of call one function at a time, by a name that nothing else has.
FUNCTION: t.Final = "scout_recovery_call"
#: All are utilities, so that nothing of the path that the function is to have is looked up by us; but for set_config, which
#: comes first, while the path is pinned.
SET: t.Final[t.LiteralString] = (
    "SELECT pg_catalog.set_config('search_path', {path}, true), pg_catalog.set_config('TimeZone', {timezone}, true)"
)
BECOME: t.Final[t.LiteralString] = "SET LOCAL ROLE {role}"
#: Runs a command, and gives the texts that it answers with, or nothing. It has the path that there is when it is made.
ANSWER: t.Final[t.LiteralString] = """
CREATE FUNCTION pg_temp.{function}(command pg_catalog.text) RETURNS SETOF pg_catalog.text LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS 'BEGIN RETURN QUERY EXECUTE command; END'
"""
RUN: t.Final[t.LiteralString] = """
CREATE FUNCTION pg_temp.{function}(command pg_catalog.text) RETURNS pg_catalog.void LANGUAGE plpgsql SECURITY DEFINER
SET search_path FROM CURRENT AS 'BEGIN EXECUTE command; END'
"""
#: The same, and what it leaves for a COMMIT that never comes.
IMMEDIATE: t.Final[t.LiteralString] = "SET CONSTRAINTS ALL IMMEDIATE"
RUN_WHOLE: t.Final[t.LiteralString] = RUN.replace("command; END", f"command; {IMMEDIATE}; END")
ANSWER_WHOLE: t.Final[t.LiteralString] = ANSWER.replace("command; END", f"command; {IMMEDIATE}; END")
#: Whether we have the rights of another role.
INHERITS = "SELECT pg_catalog.pg_has_role(current_user, %(role)s, 'USAGE') AS inherits"
#: What waits for the COMMIT, which SET CONSTRAINTS may have wait for it again: a schema has no two of one name that differ, or nearly.
DEFERRED = """
SELECT DISTINCT n.nspname::text AS schema, c.conname::text AS name
FROM pg_catalog.pg_constraint AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.connamespace WHERE c.condeferred ORDER BY 1, 2
"""
GRANT: t.Final[t.LiteralString] = "GRANT EXECUTE ON FUNCTION pg_temp.{function}(pg_catalog.text) TO {me}"
DROP: t.Final[t.LiteralString] = "DROP FUNCTION pg_temp.{function}(pg_catalog.text)"
CALL: t.Final = "SELECT pg_temp.{function}({command}::pg_catalog.text) AS said"
AS_JSON: t.Final = "SELECT pg_catalog.to_jsonb(r)::pg_catalog.text AS said FROM ({statement}) AS r"
OURS: t.Final[t.LiteralString] = "SET LOCAL search_path = pg_catalog, pg_temp; SET LOCAL TimeZone = 'UTC'"


@dataclasses.dataclass(frozen=True)
class Actor:
    """A role whose code is called, the search path and time zone its sessions have, and whether we may be it, sealed in a
    function of its own."""

    role: str
    search_path: str
    timezone: str
    becomes: bool = False
    sealed: bool = False
    #: Whether its code may run with our rights: it is ours, or a superuser's, who has them all anyway.
    trusted: bool = False


def actor(session: Session, role: str) -> Actor:
    """The role as its sessions are; inside a transaction."""
    becoming = "SET" if session.facts.server_version >= 160000 else "MEMBER"
    own = [name for name in ("search_path", "timezone") if session.connection.opened_with(name)]
    row = session.row(ACTOR, role=role, becoming=becoming, own=own)
    given = row["settings"]
    becomes = row["becomes"] and role != session.facts.role
    trusted = role == session.facts.role or row["superuser"]
    return Actor(role, given["search_path"], given["timezone"], becomes, becomes and row["temporary"], trusted)


def trusted_path(session: Session, by: Actor) -> list[str]:
    """The schemas that the role's sessions look through, without those in which others may make something; inside a
    transaction."""
    names = [quoted.replace('""', '"') or plain.lower() for quoted, plain in NAME.findall(by.search_path)]
    names = [by.role if name == "$user" else name for name in names if name != "pg_catalog"]
    return [row["name"] for row in session.rows(TRUSTED, names=list(dict.fromkeys(names)), role=by.role)]


@contextlib.contextmanager
def finding(session: Session, path: Sequence[str], *settings: t.LiteralString) -> Generator[None]:
    """Statements of ours that make code of others run with our rights, such as triggers that need names of their own schema:
    the path has these schemas too, and is pinned again afterwards, whatever that code has set."""
    names = sql.SQL(", ").join([sql.SQL("pg_catalog"), *map(sql.Identifier, path), sql.SQL("pg_temp")])
    session.connection.execute(
        sql.SQL("; ").join([sql.SQL("SET LOCAL search_path = ") + names, *map(sql.SQL, settings)])
    )
    yield
    session.connection.execute(PIN)


def call(
    session: Session, by: Actor, statement: sql.Composed, *settings: t.LiteralString, whole: bool = False
) -> list[Row]:
    """The rows of a query that calls code of others, as that role; afterwards the transaction is ours again. `settings` are
    utilities for the call; a `whole` one does what it leaves for the COMMIT, too. What fails has to be rolled back by the caller.
    Raises MissingPrivilege where that code would have our rights."""
    if not by.sealed and not by.trusted:
        raise unsealed(session, by.role, becomes=by.becomes)
    query = sql.SQL(AS_JSON).format(statement=statement)
    answer = ANSWER_WHOLE if whole else ANSWER
    with _sealed(session, by, answer, settings) if by.sealed else _open(session, by, settings):
        if by.sealed:
            query = sql.SQL(CALL).format(function=sql.Identifier(FUNCTION), command=sql.Literal(query.as_string()))
        rows = session.rows(query)
        if whole and not by.sealed:
            session.connection.execute(IMMEDIATE)
    if whole:
        defer_again(session)
    return [json.loads(row["said"]) for row in rows]


def defer_again(session: Session) -> None:
    """What comes next finds constraints and triggers as they were: what waits for the COMMIT does so again."""
    for row in session.rows(DEFERRED):
        with contextlib.suppress(psycopg.Error), session.savepoint():
            name = sql.Identifier(row["schema"], row["name"])
            session.connection.execute(sql.SQL("SET CONSTRAINTS {} DEFERRED").format(name))


def may_become(session: Session, role: str) -> str:
    """The statement with which our role may become another. What it inherits of its rights stays as it is; from PostgreSQL 17 on it needs
    none of them, and before, only an owner refreshes a materialized view."""
    version, how = session.facts.server_version, ""
    if version >= 160000:
        inherits = session.row(INHERITS, role=role)["inherits"]
        how = " WITH SET TRUE" if inherits else f" WITH INHERIT {'FALSE' if version >= 170000 else 'TRUE'}, SET TRUE"
    name, me = (sql.Identifier(each).as_string() for each in (role, session.facts.role))
    return f"GRANT {name} TO {me}{how}"


def unsealed(session: Session, role: str, *, becomes: bool) -> MissingPrivilege:
    """What is told where code of a role would run with our rights, because we may not become it, or it may not make the function."""
    if becomes:
        name, database = (sql.Identifier(each).as_string() for each in (role, session.facts.database))
        grant = f"GRANT TEMPORARY ON DATABASE {database} TO {name}"
    else:
        grant = may_become(session, role)
    return MissingPrivilege(
        f"refused to call what belongs to role {role} with the rights of role {session.facts.role}",
        on=session.where,
        said=f"{role} may make no temporary function" if becomes else f"{session.facts.role} may not become {role}",
        next_step=grant,
    )


@contextlib.contextmanager
def _sealed(
    session: Session, by: Actor, answer: t.LiteralString, settings: tuple[t.LiteralString, ...]
) -> Generator[None]:
    """With the function there."""
    _send(session, by, SET, *settings, BECOME, answer, GRANT, "SET LOCAL ROLE {me}", PIN)
    yield
    _send(session, by, BECOME, DROP, "SET LOCAL ROLE {me}", OURS)


@contextlib.contextmanager
def _open(session: Session, by: Actor, settings: tuple[t.LiteralString, ...]) -> Generator[None]:
    """As ourselves, with the role's path: where its code is ours, or may do everything anyway."""
    _send(session, by, SET, *settings)
    yield
    _send(session, by, OURS)


def _send(session: Session, by: Actor, *statements: t.LiteralString) -> None:
    names = {"role": by.role, "me": session.facts.role, "function": FUNCTION}
    values = {"path": by.search_path, "timezone": by.timezone}
    session.connection.execute(
        sql.SQL("; ".join(statements)).format(
            **{name: sql.Identifier(value) for name, value in names.items()},
            **{name: sql.Literal(value) for name, value in values.items()},
        )
    )


@contextlib.contextmanager
def as_role(session: Session, role: str) -> Generator[None]:
    """Statements of ours as another role, for what it may and we may not; none of them may call code of others."""
    if role == session.facts.role:
        yield
        return
    become = sql.SQL(BECOME)
    session.connection.execute(become.format(role=sql.Identifier(role)))
    try:
        yield
    finally:
        if session.connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
            session.connection.execute(become.format(role=sql.Identifier(session.facts.role)))
