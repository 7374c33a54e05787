# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every sandbox is: a throwaway database with a pipeline in it, its operators, and what it can and cannot do."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import conninfo, psycopg
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract

from . import operator_role

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

OPERATORS: t.Final = ("owner", "least_privileged")
#: How long a server that was restarted may take until it answers again.
ANSWER_SECONDS: t.Final = 30.0

STATE: t.Final = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') AS has_pg_cron,
       (SELECT pg_catalog.pg_get_userbyid(p.proowner)::text FROM pg_catalog.pg_proc AS p
        WHERE p.oid = pg_catalog.to_regprocedure(%(etl)s)) AS owner
"""


class Unavailable(RecoveryError):
    """This sandbox cannot be had here, or cannot do that; a drill in another one may."""

    kind = "unavailable"


class Standby(t.Protocol):
    """A standby, until it is closed."""

    def __enter__(self) -> t.Self: ...
    def __exit__(self, *_: object) -> None: ...
    def close(self) -> None: ...


@dataclasses.dataclass(frozen=True)
class Pipeline:
    """What is built in a sandbox where nothing is cloned."""

    variant: str = "faithful"
    events: int = 2000
    seed: int = 1


class Sandbox:
    """A throwaway database with a pipeline at work in it."""

    kind: t.ClassVar[str]

    def __init__(self, dsn: str, lacks: tuple[str, ...] = ()) -> None:
        """Looks at what is in the database; `lacks` is what a clone in it could not get."""
        self.dsn = dsn
        self.lacks = lacks
        with self.session() as session, attempting("could not look into the sandbox"), session.read():
            state = session.row(STATE, etl=contract.DEFAULT.etl)
            #: As the results of playbooks name it.
            self.where = session.where
        self.has_pg_cron: bool = state["has_pg_cron"]
        #: Who owns the pipeline and its jobs.
        self.owner: str = state["owner"]
        self._operator = ""

    def operator_dsn(self, operator: str) -> str:
        """How an operator connects: the owner of the database, or the role of docs/operator_role.sql and nothing more."""
        if operator == "owner":
            return self.dsn
        if operator != "least_privileged":
            raise BadInput(
                f"operator {operator!r} is not known", next_step=f"a scenario names one of {', '.join(OPERATORS)}"
            )
        if not self._operator:
            self._operator = self.make_operator()
        return self._operator

    def make_operator(self) -> str:
        """The least-privileged operator, made now."""
        with self.session() as session:
            if session.connection.info.password:
                operator_role.prepare(session)
            operator_role.make(session, operator_role.ROLE, self.owner)
        return conninfo.make_conninfo(self.dsn, user=operator_role.ROLE)

    def restart_server(self, *, immediate: bool = False) -> None:
        """Restarts the server under the database's feet: in good order, or `immediate` as when it crashes."""
        raise Unavailable(
            f"the server of a {self.kind} sandbox is not restarted",
            said="others may be at work on it" if not immediate else "others may be at work on it, and it would crash",
            next_step="drill this with -e sandbox=embedded or -e sandbox=docker",
        )

    def standby(self) -> Standby:
        """A synchronous standby, for `fail_over`, until it is closed."""
        raise Unavailable(f"a {self.kind} sandbox has no standby", next_step="drill this with -e sandbox=embedded")

    def fail_over(self) -> None:
        """Ends the server as a machine that loses power does; its standby is promoted and gets the address."""
        raise Unavailable(
            f"a {self.kind} sandbox has no standby to fail over to", next_step="drill this with -e sandbox=embedded"
        )

    def slow_standby(self, seconds: float) -> Standby:
        """A standby whose replay stands still for so long, catches up, and stands still again, until it is closed."""
        raise Unavailable(
            f"a {self.kind} sandbox has no standby that could be {seconds:g} s behind",
            next_step="drill this with -e sandbox=embedded",
        )

    @contextlib.contextmanager
    def session(self) -> Generator[Session]:
        """A session with the database as its owner."""
        with open_session(Settings(self.dsn, action="drill"), "the sandbox") as session:
            yield session


def await_answer(dsn: str) -> None:
    """Returns as soon as the server answers there."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while True:
        try:
            psycopg.connect(dsn, connect_timeout=2).close()
        except psycopg.OperationalError as e:
            if time.monotonic() > deadline:
                raise Unavailable(
                    "the server of the sandbox did not come back", said=str(e), next_step="run the drill again"
                ) from e
            time.sleep(0.05)
        else:
            return
