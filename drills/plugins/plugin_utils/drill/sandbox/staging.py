# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The staging sandbox: a scratch database, with scratch roles, on a server that others use as well; the database that was named
is only the door, and nothing in it is touched."""

from __future__ import annotations

import contextlib
import secrets
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    MissingPrivilege,
    RecoveryError,
    WrongDatabase,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import pg_dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import conninfo, psycopg, sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import scratch_database

from ..clone import clone
from . import operator_role, production_guard, scratch_names, server_roles
from .base import Sandbox, Unavailable

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Collection, Generator, Mapping, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Row, Session

    from ..clone.source import Source

#: What the operator's script grants and only few may hand on.
WATCHING: t.Final = ("pg_read_all_stats", "pg_signal_backend")
PASSWORD_FOR: t.Final = "1 day"
#: No role of a clone has such a name.
OPERATOR: t.Final = "\0operator"
OWNER: t.Final = "\0owner"

MAY: t.Final = """
SELECT rolsuper OR rolcreatedb AS databases, rolsuper OR rolcreaterole AS roles, rolsuper AS everything,
       (SELECT array_agg(name) FROM unnest(%(watching)s::text[]) AS name
        WHERE NOT pg_has_role(current_user, name, 'USAGE')) AS unseeing,
       (SELECT array_agg(name) FROM unnest(%(watching)s::text[]) AS name
        WHERE current_setting('server_version_num')::int >= 160000
          AND NOT pg_has_role(current_user, name, 'USAGE WITH ADMIN OPTION')) AS not_handed_on
FROM pg_catalog.pg_roles WHERE rolname = current_user
"""
DATABASES: t.Final = """
SELECT d.datname::text AS name, pg_catalog.shobj_description(d.oid, 'pg_database') AS comment,
       EXISTS (SELECT FROM pg_catalog.pg_stat_activity AS a WHERE a.datid = d.oid) AS occupied, clock_timestamp() AS now
FROM pg_catalog.pg_database AS d WHERE starts_with(d.datname, %(prefix)s) AND pg_catalog.pg_has_role(d.datdba, 'USAGE')
"""
ROLES: t.Final = """
SELECT r.rolname::text AS name, pg_catalog.shobj_description(r.oid, 'pg_authid') AS comment, clock_timestamp() AS now
FROM pg_catalog.pg_roles AS r WHERE starts_with(r.rolname, %(prefix)s)
"""


class Scratch:
    """A scratch database on a server, and the roles made for it; both are gone when it is closed."""

    def __init__(self, session: Session, progress: Progress) -> None:
        """Makes the database, after removing what killed drills left; the session is with any database of the server."""
        self.name = scratch_names.new_name()
        self._progress = progress
        here = {keyword: value for keyword, value in pg_dump.address(session).items() if value}
        self._address = conninfo.make_conninfo(session.settings.dsn, **here)
        self._roles: dict[str, str] = {}
        #: What its roles cannot be.
        self.lacks: tuple[str, ...] = ()
        self._said = scratch_names.comment(scratch_names.maker(), scratch_database.limited(session))
        self._keeper: psycopg.Connection[t.Any] | None = None
        #: How it is reached, as its owner.
        self.dsn = self.admin_dsn
        with attempting("could not make a scratch database", on=session.where):
            if removed := _sweep(session):
                progress.say(f"removed what a killed drill left: {', '.join(removed)}")
            self._make(session)

    def _make(self, session: Session) -> None:
        named = sql.Identifier(self.name)
        made = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'")
        # Where another database has the name by a miracle, it is not ours to drop.
        session.connection.outside(made.format(named))
        try:
            said = sql.SQL("COMMENT ON DATABASE {} IS {}").format(named, sql.Literal(self._said))
            session.connection.outside(said)
            session.connection.outside(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(named))
            # As long as we live somebody is in it, which keeps those away who sweep from other machines.
            self._keeper = psycopg.connect(self.admin_dsn, autocommit=True)
        except BaseException:
            self.close()
            raise

    @property
    def admin_dsn(self) -> str:
        """How it is reached, as who made it and its roles."""
        return conninfo.make_conninfo(self._address, dbname=self.name)

    def hand_over(self, session: Session) -> None:
        """Gives it to a scratch role that may be whatever of its roles there are, watch the server's sessions, and make nothing."""
        require_watching(session)
        cloned = [*self._roles.values()]
        self.dsn = self.login(session, OWNER, "owner of the scratch database")
        owner = sql.Identifier(self._roles[OWNER])
        how = sql.SQL(" WITH INHERIT TRUE, SET TRUE" if session.facts.server_version >= 160000 else "")
        with attempting("could not give the scratch database to a role of its own", on=session.where):
            for name in cloned:
                session.connection.outside(sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), owner) + how)
            for name in WATCHING:
                session.connection.outside(sql.SQL("GRANT {} TO {}").format(sql.Identifier(name), owner))
            session.connection.outside(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(self.name), owner)
            )

    def login(self, session: Session, of: str, what: str) -> str:
        """How a scratch role connects that is made to, with a password that nobody else knows, good for a day."""
        role = self.role(of, f"LOGIN VALID UNTIL '{_tomorrow(session)}'")
        password = secrets.token_urlsafe(24)
        # The server and its log get to see a verifier alone.
        verifier = session.connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256")
        with attempting(f"could not give the {what} a password", on=session.where):
            session.connection.outside(
                sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(verifier.decode()))
            )
        dsn = conninfo.make_conninfo(self.admin_dsn, user=role, password=password)
        try:
            psycopg.connect(dsn, connect_timeout=10).close()
        except psycopg.OperationalError as e:
            raise Unavailable(
                f"the {what} cannot log in",
                on=session.where,
                said=str(e).replace(password, "***"),
                next_step="let pg_hba.conf take a password for this address, or drill with -e sandbox=embedded",
            ) from e
        return dsn

    def role(self, of: str, attributes: str = "NOLOGIN") -> str:
        """The scratch role in the place of a role of that name; made at the first call, as one of ours."""
        if of not in self._roles:
            name = scratch_names.role_name(self.name, of.lstrip("\0"), self._roles.values())
            self._roles[of] = name
            # The session by which we came in may have been ended by now.
            with attempting(f"could not make scratch role {name}"), _administering(self._address) as (session, _):
                _make_role(session, name, attributes, self._said)
                to = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
                session.connection.outside(to.format(sql.Identifier(self.name), sql.Identifier(name)))
        return self._roles[of]

    def roles_of(self, source: Source) -> Mapping[str, str]:
        """The scratch roles in the places of a clone's; none of them is a superuser, which is said."""
        for role in source.roles:
            self.lacks = (*self.lacks, *clone.lacks_of(role))
            self.role(role.name, clone.attributes(role))
        return self.roles([role.name for role in source.roles])

    def roles(self, of: Collection[str]) -> Mapping[str, str]:
        """The scratch roles in the places of these."""
        return {each: self.role(each) for each in of}

    def close(self) -> None:
        """Drops the database with everybody in it, then the roles; what cannot be dropped is said, and swept later."""
        with self._progress.unbroken():
            if self._keeper is not None:
                self._keeper.close()
            said = scratch_database.drop(lambda: _administering(self._address), self.name)
            try:
                with _administering(self._address) as (session, _):
                    for name in self._roles.values():
                        session.connection.outside(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(name)))
            except (psycopg.Error, RecoveryError) as e:
                said = said or str(e)
            if said:
                self._progress.say(
                    f"could not remove scratch database {self.name} and its roles, a later drill does: {said}"
                )


def _make_role(session: Session, name: str, attributes: str, said: str) -> None:
    """A role that the session's own role can act as and hand on."""
    named = sql.Identifier(name)
    made = sql.SQL("CREATE ROLE {} ").format(named) + sql.SQL(t.cast("t.LiteralString", attributes))
    # It is marked as ours from the moment it is there.
    with session.connection.pinned():
        session.connection.execute(made)
        session.connection.execute(sql.SQL("COMMENT ON ROLE {} IS {}").format(named, sql.Literal(said)))
        if not session.facts.superuser:
            how = " WITH INHERIT TRUE, SET TRUE" if session.facts.server_version >= 160000 else ""
            session.connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(named) + sql.SQL(how))


def _read(session: Session, query: t.LiteralString) -> list[Row]:
    """What there is on the server of what drills have made."""
    with session.read():
        return session.rows(query, prefix=scratch_names.PREFIX)


def _sweep(session: Session) -> list[str]:
    """Removes what killed drills left: databases first, then the roles whose database is gone. Says what it removed."""
    removed: list[str] = []
    roles = 0
    for row in _read(session, DATABASES):
        if scratch_names.is_leftover(row["name"], row["comment"], row["now"], occupied=row["occupied"]):
            with contextlib.suppress(psycopg.Error):
                force = sql.SQL(" WITH (FORCE)")
                session.connection.outside(
                    sql.SQL("DROP DATABASE IF EXISTS {}{}").format(sql.Identifier(row["name"]), force)
                )
                removed.append(f"scratch database {row['name']}")
    there = {row["name"] for row in _read(session, DATABASES)}
    for row in _read(session, ROLES):
        gone = scratch_names.of_database(row["name"]) not in there
        if gone and scratch_names.is_leftover(row["name"], row["comment"], row["now"], occupied=False):
            with contextlib.suppress(psycopg.Error):
                session.connection.outside(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(row["name"])))
                roles += 1
    return [*removed, *([count(roles, "scratch role")] if roles else [])]


@contextlib.contextmanager
def _administering(dsn: str) -> Generator[tuple[Session, datetime.datetime]]:
    with open_session(Settings(dsn, action="drill"), "sandbox_dsn") as session:
        yield session, scratch_database.limited(session)


class Staging(Sandbox):
    """A scratch database on a server that others use as well."""

    kind = "staging"

    def __init__(self, made: Scratch, lacks: tuple[str, ...] = ()) -> None:
        """A sandbox in the scratch database, which somebody else closes."""
        super().__init__(made.dsn, lacks)
        self._made = made

    def make_operator(self) -> str:
        """A scratch role with a password that nobody else knows, good for a day."""
        with open_session(Settings(self._made.admin_dsn, action="drill"), "the sandbox") as session:
            require_watching(session)
            dsn = self._made.login(session, OPERATOR, "least-privileged operator")
            operator_role.make(session, self._made.role(OPERATOR), self.owner)
        return dsn


def _tomorrow(session: Session) -> str:
    with session.read():
        return session.row("SELECT (now() + %(span)s::interval)::text AS until", span=PASSWORD_FOR)["until"]


@contextlib.contextmanager
def opened(dsn: str, name: str, hosts: Sequence[production_guard.Host], progress: Progress) -> Generator[Scratch]:
    """A scratch database on the server of that database; refuses what looks like production, and a role that may not. Who
    looks at the server's sessions sees the name of the scenario. Raises NotConverged where the roles of the server are not what they
    were."""
    with open_session(Settings(dsn, incident=name, action="drill"), "sandbox_dsn") as session:
        if session.facts.pooled:
            raise WrongDatabase(
                "refused to drill through a connection pooler, which cannot reach a scratch database",
                on=session.where,
                next_step="point sandbox_dsn at the server itself",
            )
        with attempting("could not look at the staging server", on=session.where):
            production_guard.refuse(session, dsn, hosts)
            _require(session)
            before = server_roles.read(session)
        made = Scratch(session, progress)
        try:
            yield made
        finally:
            made.close()
    with attempting("could not compare the roles of the staging server"), _administering(dsn) as (again, _):
        server_roles.require_unchanged(again, before)


def _allowed(session: Session) -> Row:
    with session.read():
        return session.row(MAY, watching=list(WATCHING))


def _require(session: Session) -> None:
    """Refuses a role that may not make what a drill needs, and names the statement that lets it."""
    may, role = _allowed(session), sql.Identifier(session.facts.role).as_string()
    lacks = [word for word, has in (("CREATEDB", may["databases"]), ("CREATEROLE", may["roles"])) if not has]
    if lacks:
        raise MissingPrivilege(
            "could not make a scratch database and its roles",
            on=session.where,
            said=f"role {session.facts.role} lacks {' and '.join(lacks)}",
            next_step=f"ALTER ROLE {role} {' '.join(lacks)}",
        )
    if unseeing := may["unseeing"]:
        # Every playbook would stop at its preflight, which says nothing of the recovery.
        raise MissingPrivilege(
            "could not drill as a role that cannot watch and end the sessions of its sandbox",
            on=session.where,
            said=f"role {session.facts.role} is no member of {' and '.join(unseeing)}",
            next_step=f"GRANT {', '.join(unseeing)} TO {role} WITH ADMIN OPTION",
        )


def require_watching(session: Session) -> None:
    """Refuses a role that may not let another one watch and end the sessions of the sandbox."""
    may, role = _allowed(session), sql.Identifier(session.facts.role).as_string()
    if not may["everything"] and (lacks := may["not_handed_on"]):
        raise MissingPrivilege(
            "could not make a role that watches the sessions of the sandbox",
            on=session.where,
            said=f"role {session.facts.role} may not grant {' and '.join(lacks)}",
            next_step=f"GRANT {', '.join(lacks)} TO {role} WITH ADMIN OPTION; or drill as the owner: operator: owner",
        )
