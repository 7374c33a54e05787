# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands of jobs, run as the scheduler runs them: as the role of the job, with its settings, inside a function that belongs to it and
runs as its owner, so that they can neither end the transaction nor become the role that runs them."""

from __future__ import annotations

import contextlib
import math
import re
import time
import typing as t

from ...postgres import acting, lexer
from ...postgres.driver import psycopg, sql
from ...postgres.watched import PIN
from ...scout import event_queue
from .. import expected
from . import reading

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ...postgres.session import Session
    from ...scout.cron_jobs import Job
    from .reading import Owner

CALL = "SELECT pg_temp.{name}(%(command)s) AS said"
SET = "SELECT set_config(%(name)s, %(value)s, true)"
BEFORE = "SELECT name, current_setting(name, true) AS value FROM unnest(%(names)s::text[]) AS name"
BEGAN = "SELECT transaction_timestamp() AS at"
LOCK_TIMEOUT = "SELECT setting::bigint AS ms FROM pg_catalog.pg_settings WHERE name = 'lock_timeout'"
LOCK_SECONDS: t.Final = 5.0
#: What there is at least for the next command and what is looked at after it, however short this one was.
LEAST_SECONDS: t.Final = 30.0

#: What a command that is one whole transaction of its own does in it: a trial is one already.
OWN: t.Final = re.compile(
    r"\s*(?:BEGIN|START\s+TRANSACTION)(?:\s+(?:TRANSACTION|WORK))?\s*;(.*;)\s*(?:COMMIT|END)(?:\s+(?:TRANSACTION|WORK))?\s*;?\s*",
    re.IGNORECASE | re.DOTALL,
)

#: A trial asks whether a command works: how much of a large table the job's own session would sort on disk is no matter of it.
ROOM: t.Final = {"work_mem": event_queue.WORK_MEM}


class TooLate(Exception):
    """The time for all of them is over."""


class Runs:
    """Runs commands within transactions of the caller's, all of them in so many seconds, or as long as those before have shown that they
    take, where that `extends` it."""

    def __init__(self, session: Session, seconds: float, *, extends: bool = False, scheduled: bool = False) -> None:
        self.session = session
        self.scheduled = scheduled
        self.owners: dict[str, Owner] = {}
        self.deadline = time.monotonic() + seconds
        self.extends = extends
        self.plain: dict[str, str] = {}
        self.made = 0

    def begin(self) -> None:
        """Reads what a session has that nobody set anything for; before the transaction."""
        self.plain, self.owners = reading.plain(self.session), {}

    def owner(self, name: str) -> Owner:
        """What there is to know of a role, read once within a transaction."""
        if name not in self.owners:
            self.owners[name] = reading.owner(self.session, name, scheduled=self.scheduled)
        return self.owners[name]

    @property
    def left(self) -> float:
        """Seconds until the time is over."""
        return self.deadline - time.monotonic()

    def execute(self, job: Job, at_most: float = math.inf) -> None:
        """Runs the command of a job, for so many seconds at most. Raises psycopg's error, rolled back to before, or TooLate."""
        if self.left <= 0:
            raise TooLate
        owner, began = self.owner(job.owner), time.monotonic()
        given = owner.settings.get("statement_timeout")
        theirs = given.seconds if given else reading.seconds_of(self.plain.get("statement_timeout", "0"))
        with self.session.savepoint():
            runner = self.runner(owner.role)
            with self._settings_of(owner):
                lock = self.session.row(LOCK_TIMEOUT)["ms"] / 1000
                left = max(0.001, min(at_most, self.left))
                self.session.limit_statements(
                    min(theirs or left, left), lock_timeout_seconds=min(lock or LOCK_SECONDS, LOCK_SECONDS)
                )
                self.session.rows(sql.SQL(CALL).format(name=runner), command=_inner(job.command))
            acting.defer_again(self.session)
        if self.extends:
            self.deadline = max(
                self.deadline, time.monotonic() + expected.TIMES * (time.monotonic() - began) + LEAST_SECONDS
            )
        self.session.limit_statements(max(0.001, self.left))

    def runner(self, owner: str, function: t.LiteralString = acting.RUN_WHOLE) -> sql.Identifier:
        """A function of this transaction that runs a command as this role: as pg_cron, of several statements, but none that ends
        the transaction."""
        self.made += 1
        name = sql.Identifier(f"scout_proof_{self.made}")
        # The command alone looks where the job's sessions look: nothing else in this transaction does.
        self.session.execute(SET, name="search_path", value=acting.actor(self.session, owner).search_path)
        with acting.as_role(self.session, owner):
            self.session.connection.execute(sql.SQL(function).format(function=name))
            me = sql.Identifier(self.session.facts.role)
            self.session.connection.execute(sql.SQL(acting.GRANT).format(function=name, me=me))
        self.session.connection.execute(PIN)
        return name

    @contextlib.contextmanager
    def _settings_of(self, owner: Owner) -> Generator[None]:
        """Within it the session is set as those of the job are, as far as we may."""
        wanted = self.plain | {name: each.value for name, each in owner.settings.items()}
        wanted = {name: value for name, value in wanted.items() if name not in reading.NOT_TRIED} | ROOM
        before = {row["name"]: row["value"] for row in self.session.rows(BEFORE, names=list(wanted))}
        self._set(wanted)
        yield
        self._set({name: value for name, value in before.items() if value is not None})

    def _set(self, values: dict[str, str]) -> None:
        for name, value in values.items():
            with contextlib.suppress(psycopg.Error), self.session.savepoint():
                self.session.execute(SET, name=name, value=value)


def _inner(command: str) -> str:
    """A command, without the transaction that it begins and commits where it is one whole."""
    own = OWN.fullmatch("".join(" " if piece.kind == "comment" else piece.text for piece in lexer.pieces(command)))
    return own[1] if own else command
