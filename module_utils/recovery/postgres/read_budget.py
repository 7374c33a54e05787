# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads facts one by one within a time budget; a fact that cannot be read is skipped alone, with the reason kept."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import time
import typing as t

from ..core.errors import RecoveryError
from .driver import errors, psycopg, sql
from .session import Session, answer, milliseconds, with_values

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .session import Query, Row
    from .watched import Watched

LIMITS: t.Final = "SET LOCAL statement_timeout = {statement}; SET LOCAL lock_timeout = {lock}"
#: What stands around each read, so that it fails alone.
BEGIN: t.Final = sql.SQL("SAVEPOINT scout_recovery_read")
KEPT: t.Final = sql.SQL("RELEASE SAVEPOINT scout_recovery_read")
FAILED: t.Final = sql.SQL("ROLLBACK TO SAVEPOINT scout_recovery_read; RELEASE SAVEPOINT scout_recovery_read")

#: The part of the budget that may be spent waiting for one lock, so that one locked table cannot take it all.
LOCK_SHARE: t.Final = 0.05

PREFLIGHT: t.Final = "ansible-playbook playbooks/preflight.yml names each missing GRANT"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a fact could not be read: budget, lock, privilege or error, in words, and what fixes it where that is
    known."""

    kind: str
    said: str
    next_step: str = ""


class _DeadlineSession(Session):
    """The same session, in which each statement gets only the time that is left. What begins and ends a read goes with the next
    query, in one message: far from the server each message takes as long as a query does."""

    def __init__(self, session: Session, seconds: float) -> None:
        #: What is to be sent with the next query.
        self._unsent: list[sql.SQL | sql.Composed] = []
        super().__init__(session.connection, session.settings, session.facts)
        self.deadline = time.monotonic() + seconds
        self._lock = min(session.settings.lock_timeout_seconds, seconds * LOCK_SHARE)
        self._given = math.inf

    @property
    def connection(self) -> Watched:  # pyright: ignore[reportIncompatibleVariableOverride]
        """As of any session, once all has been sent that goes before."""
        self._send()
        return self._connection

    @connection.setter
    def connection(self, connection: Watched) -> None:
        self._connection = connection

    @property
    def is_closed(self) -> bool:
        """Whether the session is gone."""
        return self._connection.closed

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.deadline - time.monotonic()

    def rows(self, query: Query, **values: t.Any) -> list[Row]:
        """As in any session."""
        self._hurry()
        if not self._unsent:
            return super().rows(query, **values)
        first, self._unsent = self._unsent, []
        whole = sql.SQL("; ").join([*first, with_values(self._connection, query, values)])
        return answer(self._connection.execute(whole))

    @contextlib.contextmanager
    def savepoint(self) -> Generator[None]:
        """As in any session; a rollback restores the limits of before."""
        try:
            with super().savepoint():
                yield
        except BaseException:
            self._given = math.inf
            raise

    @contextlib.contextmanager
    def alone(self) -> Generator[None]:
        """A read that fails alone."""
        kept = self._unsent
        self._unsent, self._given = begun, _ = [*kept, BEGIN], math.inf
        try:
            self._hurry()
            yield
        except BaseException:
            self._given = math.inf
            if self._unsent is begun:
                # Nothing was asked.
                self._unsent = kept
            elif not self._connection.closed:
                self._unsent = []
                self._connection.execute(FAILED)
            raise
        self._unsent = kept if self._unsent is begun else [*self._unsent, KEPT]

    def _send(self) -> None:
        if self._unsent and not self._connection.closed and not self._connection.is_idle:
            first, self._unsent = self._unsent, []
            self._connection.execute(sql.SQL("; ").join(first))

    def _hurry(self) -> None:
        """Bounds what comes next, or raises QueryCanceled where no time is left."""
        left = self.left
        if left <= 0:
            raise errors.QueryCanceled("the time budget is spent")
        if left < 0.9 * self._given:
            limits = (sql.Literal(milliseconds(math.ceil(each * 1000) / 1000)) for each in (left, self._lock))
            self._unsent.append(sql.SQL(LIMITS).format(**dict(zip(("statement", "lock"), limits, strict=True))))
            self._given = left


class Budget:
    """What may be read in so many seconds, within one transaction of the caller's."""

    def __init__(self, session: Session, seconds: float, before: Callable[[str, float], None] | None = None) -> None:
        """`before` is told of each read that begins, by its name and the seconds since the first one."""
        self.problems: dict[str, Problem] = {}
        self._hurried = _DeadlineSession(session, seconds)
        self._seconds = seconds
        self._before = before

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self._hurried.left

    def read[T](self, name: str, query: Callable[[Session], T]) -> T | None:
        """What `query` gives, or None with the reason in `problems`; raises only when the session is gone."""
        if self.left <= 0:
            self.problems[name] = Problem("budget", "the time budget ran out before it could be read")
            return None
        if self._before is not None:
            self._before(name, self._seconds - self.left)
        try:
            with self._hurried.alone():
                return query(self._hurried)
        except psycopg.Error as e:
            if self._hurried.is_closed:
                raise
            self.problems[name] = _of_postgresql(e)
        except RecoveryError as e:
            kind = "privilege" if e.kind == "missing_privilege" else e.kind
            self.problems[name] = Problem(kind, e.said or e.attempted, e.next_step)
        return None


def _of_postgresql(error: psycopg.Error) -> Problem:
    said = error.diag.message_primary or str(error)
    if isinstance(error, errors.QueryCanceled):
        return Problem("budget", "it could not be read within the time budget")
    if isinstance(error, errors.LockNotAvailable):
        return Problem("lock", "another session has locked it")
    if isinstance(error, errors.InsufficientPrivilege):
        return Problem("privilege", said, PREFLIGHT)
    return Problem("error", said)
