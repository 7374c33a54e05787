# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a drill takes place: on a server of its own, in a container with the real pg_cron, or on a staging server; always in a
throwaway database that is gone afterwards, whatever happens."""

from __future__ import annotations

import contextlib
import functools
import secrets
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import conninfo, sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)

from ...reference import builder
from ..clone import clone as clone_clone
from ..clone import source
from . import docker, scratch_names, staging
from .base import OPERATORS, Pipeline, Sandbox, Standby, Unavailable
from .embedded import DrillServer, Embedded
from .production_guard import Host

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping, Sequence

__all__ = ["KINDS", "OPERATORS", "Host", "Sandbox", "Standby", "Unavailable", "open_sandbox"]

KINDS: t.Final = ("embedded", "docker", "staging")
#: The roles of the reference.
ROLES: t.Final = ("loader", "edge_ingest", "dashboard_reader")
#: The superuser of an embedded server with a clone, whose name is no role of anybody's.
SUPERUSER: t.Final = "scout_drill"
#: Who owns a clone, and drives it.
OWNER: t.Final = "scout_drill_owner"


#: A superuser may become anybody.
REACHING: t.Final = """
SELECT ARRAY(SELECT name FROM unnest(%(roles)s::text[]) AS name WHERE pg_catalog.pg_has_role(current_user, name, 'MEMBER')) AS roles
"""


class _Wanted(t.NamedTuple):
    """What a sandbox is to hold."""

    pipeline: Pipeline
    schema_from: str
    #: The database that has its pg_cron, where that is another one.
    cron_dsn: str | None
    #: Whether a real scheduler runs the jobs of a clone.
    clone_jobs: bool
    progress: Progress

    def build(self, dsn: str) -> tuple[str, tuple[str, ...]]:
        """Builds it in an empty database of a server of ours; how that is reached then, and what a clone lacks."""
        with attempting("could not build a pipeline in the sandbox"):
            if not self.schema_from:
                builder.build(dsn, self.pipeline.variant, self.pipeline.events, self.pipeline.seed)
                with open_session(Settings(dsn, action="drill", just_made=True), "the sandbox") as session:
                    # A scheduler that has not run anything yet looks like one that stands still.
                    if builder.has_scheduler(session.connection):
                        session.connection.execute(builder.HISTORY)
                return dsn, ()
            found = _read_source(self.schema_from, self.cron_dsn)
            with open_session(Settings(dsn, action="drill", just_made=True), "the sandbox") as session:
                owned = _handed_over(session)
            # From here on no session is a superuser's: whatever a team's schema does, it may not read a file or run a program.
            with open_session(Settings(owned, action="drill", just_made=True), "the sandbox") as session:
                roles = clone_clone.roles_of_ours(session, found)
                lacks = [each for role in found.roles for each in clone_clone.lacks_of(role)]
                return owned, (*lacks, *self.clone(session, found, roles))

    def build_beside(self, made: staging.Scratch) -> tuple[str, ...]:
        """Builds it in a scratch database, with scratch roles; what a clone lacks."""
        with attempting("could not build a pipeline in the sandbox"):
            if not self.schema_from:
                roles = made.roles(ROLES)
                builder.build_as(made.dsn, roles, self.pipeline.variant, self.pipeline.events, self.pipeline.seed)
                return ()
            found = _read_source(self.schema_from, self.cron_dsn)
            with open_session(Settings(made.dsn, action="drill", just_made=True), "the sandbox") as admin:
                _require_harmless(admin)
                roles = made.roles_of(found)
                made.hand_over(admin)
                # What a team's schema does, it does as a role that may make no other.
                with open_session(Settings(made.dsn, action="drill", just_made=True), "the sandbox") as session:
                    return (*made.lacks, *self.clone(session, found, roles, admin))

    def clone(
        self, session: Session, found: source.Source, roles: Mapping[str, str], admin: Session | None = None
    ) -> tuple[str, ...]:
        """Makes a clone with these roles, unless the session could lend it more than a database; what it lacks."""
        _require_harmless(session)
        made = clone_clone.Clone(session, found, roles, self.progress, jobs=self.clone_jobs, admin=admin)
        return made.make(self.pipeline.events, self.pipeline.seed)


def _require_harmless(session: Session) -> None:
    """Refuses to run a team's code as a role that may, or may give itself the right to, touch the server's machine."""
    reaching = session.row(REACHING, roles=list(source.REACHING_ROLES))["roles"]
    reasons = [f"role {session.facts.role} may become {', '.join(reaching)}"] if reaching else []
    if session.facts.server_version < 160000:
        reasons.append(f"before PostgreSQL 16 role {session.facts.role}, who may make roles, may give itself any right")
    if reasons:
        raise Unavailable(
            "refused to clone a schema, whose code could read files and run programs of the server",
            on=session.where,
            said="; ".join(reasons),
            next_step="drill it on PostgreSQL 16 or later, on staging as a role with CREATEDB and CREATEROLE and no more",
        )


def _handed_over(session: Session) -> str:
    """How the database is reached as an ordinary role that owns it, and may make others and watch them as on a staging server."""
    password, owner = secrets.token_urlsafe(24), sql.Identifier(OWNER)
    verifier = session.connection.pgconn.encrypt_password(password.encode(), OWNER.encode(), b"scram-sha-256").decode()
    for statement in (
        sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}").format(owner, sql.Literal(verifier)),
        *(sql.SQL("GRANT {} TO {} WITH ADMIN OPTION").format(sql.Identifier(role), owner) for role in staging.WATCHING),
        sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(session.facts.database), owner),
    ):
        session.connection.execute(statement)
    # As on any server it is a superuser's, in whose tables the clone's jobs are written.
    builder.create_cron(session.connection)
    for statement in (
        "GRANT USAGE ON SCHEMA cron TO {} WITH GRANT OPTION",
        # No trigger: the scheduler is a superuser, and writes its log.
        "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA cron TO {}",
        "GRANT USAGE ON ALL SEQUENCES IN SCHEMA cron TO {}",
        "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA cron TO {} WITH GRANT OPTION",
        "CREATE POLICY drill ON cron.job_run_details TO {} USING (true)",
        # Whoever writes the table of the jobs names anybody as the owner of one, but never a superuser.
        "CREATE POLICY drill ON cron.job TO {} USING (true) WITH CHECK (username <> {})",
    ):
        session.connection.execute(sql.SQL(statement).format(owner, sql.Literal(session.facts.role)))
    return conninfo.make_conninfo(session.settings.dsn, user=OWNER, password=password)


@functools.lru_cache(maxsize=1)
def _read_source(dsn: str, cron_dsn: str | None) -> source.Source:
    """What a clone is made of, read once: all scenarios of a drill are about the same schema, and the source is left alone."""
    return source.read(dsn, cron_dsn)


@contextlib.contextmanager
def open_sandbox(
    kind: str,
    *,
    sandbox_dsn: str | None = None,
    schema_from: str | None = None,
    cron_dsn: str | None = None,
    clone_jobs: bool = False,
    pipeline: Mapping[str, t.Any],
    name: str,
    hosts: Sequence[Host] = (),
    progress: Progress | None = None,
) -> Generator[Sandbox]:
    """A sandbox with a healthy pipeline in it, for the scenario of that name; gone afterwards, whatever happens in between."""
    wanted = _Wanted(Pipeline(**pipeline), schema_from or "", cron_dsn, clone_jobs, progress or Progress())
    match kind:
        case "embedded":
            opened = _embedded(wanted)
        case "docker":
            opened = _docker(wanted)
        case "staging":
            opened = _staging(wanted, sandbox_dsn or "", name, hosts)
        case _:
            raise BadInput(f"sandbox {kind!r} is not known", next_step=f"name one of {', '.join(KINDS)}: -e sandbox=…")
    with opened as sandbox:
        yield sandbox


@contextlib.contextmanager
def _embedded(wanted: _Wanted) -> Generator[Sandbox]:
    server = DrillServer(superuser=SUPERUSER) if wanted.schema_from else DrillServer()
    try:
        try:
            server.start()
        except RuntimeError as e:
            raise Unavailable("could not start the embedded PostgreSQL", said=str(e)) from e
        dsn = server.create_database(scratch_names.new_name())
        yield Embedded(server, *wanted.build(dsn))
    finally:
        with wanted.progress.unbroken():
            server.stop()


@contextlib.contextmanager
def _docker(wanted: _Wanted) -> Generator[Sandbox]:
    with docker.opened(wanted.progress) as box:
        yield docker.Boxed(box, *wanted.build(box.dsn))


@contextlib.contextmanager
def _staging(wanted: _Wanted, dsn: str, name: str, hosts: Sequence[Host]) -> Generator[Sandbox]:
    if not dsn:
        raise BadInput("no staging server is named", next_step="name it: -e sandbox_dsn=postgresql://…")
    with staging.opened(dsn, name, hosts, wanted.progress) as made:
        yield staging.Staging(made, wanted.build_beside(made))
