# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a drill takes place: on a server of its own, in a container with the real pg_cron, or on a staging server; always in a
throwaway database that is gone afterwards, whatever happens."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
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


class _Wanted(t.NamedTuple):
    """What a sandbox is to hold."""

    pipeline: Pipeline
    schema_from: str
    progress: Progress

    def build(self, dsn: str) -> tuple[str, ...]:
        """Builds it in an empty database of a server of ours; what a clone lacks."""
        with attempting("could not build a pipeline in the sandbox"):
            if not self.schema_from:
                builder.build(dsn, self.pipeline.variant, self.pipeline.events, self.pipeline.seed)
                with open_session(Settings(dsn, action="drill", just_made=True), "the sandbox") as session:
                    # A scheduler that has not run anything yet looks like one that stands still.
                    if builder.has_scheduler(session.connection):
                        session.connection.execute(builder.HISTORY)
                return ()
            found = _read_source(self.schema_from)
            with open_session(Settings(dsn, action="drill", just_made=True), "the sandbox") as session:
                return self.clone(session, found, clone_clone.roles_of_ours(session, found))

    def build_beside(self, made: staging.Scratch) -> tuple[str, ...]:
        """Builds it in a scratch database, with scratch roles; what a clone lacks."""
        with attempting("could not build a pipeline in the sandbox"):
            if not self.schema_from:
                roles = made.roles(ROLES)
                builder.build_as(made.dsn, roles, self.pipeline.variant, self.pipeline.events, self.pipeline.seed)
                return ()
            found = _read_source(self.schema_from)
            roles = made.roles_of(found)
            with open_session(Settings(made.dsn, action="drill", just_made=True), "the sandbox") as session:
                return (*made.lacks, *self.clone(session, found, roles))

    def clone(self, session: Session, found: source.Source, roles: Mapping[str, str]) -> tuple[str, ...]:
        """Makes a clone with these roles; what it lacks."""
        return clone_clone.Clone(session, found, roles, self.progress).make(self.pipeline.events, self.pipeline.seed)


@functools.lru_cache(maxsize=1)
def _read_source(dsn: str) -> source.Source:
    """What a clone is made of, read once: all scenarios of a drill are about the same schema, and the source is left alone."""
    return source.read(dsn)


@contextlib.contextmanager
def open_sandbox(
    kind: str,
    *,
    sandbox_dsn: str | None = None,
    schema_from: str | None = None,
    pipeline: Mapping[str, t.Any],
    name: str,
    hosts: Sequence[Host] = (),
    progress: Progress | None = None,
) -> Generator[Sandbox]:
    """A sandbox with a healthy pipeline in it, for the scenario of that name; gone afterwards, whatever happens in between."""
    wanted = _Wanted(Pipeline(**pipeline), schema_from or "", progress or Progress())
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
        yield Embedded(server, dsn, wanted.build(dsn))
    finally:
        with wanted.progress.unbroken():
            server.stop()


@contextlib.contextmanager
def _docker(wanted: _Wanted) -> Generator[Sandbox]:
    with docker.opened(wanted.progress) as box:
        yield docker.Boxed(box, wanted.build(box.dsn))


@contextlib.contextmanager
def _staging(wanted: _Wanted, dsn: str, name: str, hosts: Sequence[Host]) -> Generator[Sandbox]:
    if not dsn:
        raise BadInput("no staging server is named", next_step="name it: -e sandbox_dsn=postgresql://…")
    with staging.opened(dsn, name, hosts, wanted.progress) as made:
        yield staging.Staging(made, wanted.build_beside(made))
