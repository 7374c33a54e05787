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
from .driver import errors, psycopg
from .failures import words_of
from .session import Session

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from .session import Query, Row

#: The part of the budget that may be spent waiting for one lock, so that one locked table cannot take it all.
LOCK_SHARE: t.Final = 0.05

ROWS = "SELECT greatest(reltuples, 0)::float8 AS rows FROM pg_catalog.pg_class WHERE oid = to_regclass(%(name)s)"

PREFLIGHT: t.Final = "ansible-playbook scout.recovery.preflight names each missing GRANT"


@dataclasses.dataclass(frozen=True)
class Problem:
    """Why a fact could not be read: budget, lock, privilege or error, in words, and what fixes it where that is
    known."""

    kind: str
    said: str
    next_step: str = ""


class _DeadlineSession(Session):
    """The same session, in which each statement gets only the time that is left."""

    def __init__(self, session: Session, seconds: float) -> None:
        super().__init__(session.connection, session.settings, session.facts)
        self._session = session
        self.deadline = time.monotonic() + seconds
        self._lock = min(session.settings.lock_timeout_seconds, seconds * LOCK_SHARE)
        self._given = math.inf
        self._usual = session.connection.limit_seconds

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.deadline - time.monotonic()

    def rows(self, query: Query, **values: t.Any) -> list[Row]:
        """As in any session."""
        self.hurry()
        return super().rows(query, **values)

    @contextlib.contextmanager
    def savepoint(self) -> Generator[None]:
        """As in any session; a rollback restores the limits of before."""
        try:
            with super().savepoint():
                yield
        except BaseException:
            self._given = math.inf
            raise

    def beside(self) -> Session | None:
        """As of the session itself."""
        return self._session.beside()

    @contextlib.contextmanager
    def at_cron(self, *, writing: bool = False) -> Generator[Session]:
        """As in any session; beside it too each statement gets only the time that is left."""
        with super().at_cron(writing=writing) as at:
            if at is not self:
                at.limit_statements(max(self.left, 0.0), lock_timeout_seconds=self._lock)
            yield at

    def hurry(self, *, anew: bool = False) -> None:
        """Bounds what comes next, or raises QueryCanceled where no time is left."""
        left = self.left
        if left <= 0:
            raise errors.QueryCanceled("the time budget is spent")
        if anew or left < 0.9 * self._given:
            self.limit_statements(left, lock_timeout_seconds=self._lock)
            # What a statement may take here its session is not given up for.
            self.connection.limit_seconds = None if self._usual is None else max(self._usual, left)
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

    def read[T](self, name: str, query: Callable[[Session], T], at_most: float = math.inf) -> T | None:
        """What `query` gives, in `at_most` so many seconds of what is left, or None with the reason in `problems`; raises only when the
        session is gone."""
        if self.left <= 0:
            self.problems[name] = Problem("budget", "the time budget ran out before it could be read")
            return None
        if self._before is not None:
            self._before(name, self._seconds - self.left)
        deadline = self._hurried.deadline
        self._hurried.deadline = min(deadline, time.monotonic() + at_most)
        try:
            with self._hurried.savepoint():
                self._hurried.hurry(anew=True)
                return query(self._hurried)
        except psycopg.Error as e:
            if self._hurried.connection.closed:
                raise
            self.problems[name] = _of_postgresql(e)
        except RecoveryError as e:
            kind = "privilege" if e.kind == "missing_privilege" else e.kind
            self.problems[name] = Problem(kind, e.said or e.attempted, e.next_step)
        finally:
            self._hurried.deadline = deadline
        return None


def _of_postgresql(error: psycopg.Error) -> Problem:
    said = words_of(error)
    if isinstance(error, errors.QueryCanceled):
        return Problem("budget", "it could not be read within the time budget")
    if isinstance(error, errors.LockNotAvailable):
        return Problem("lock", "another session has locked it")
    if isinstance(error, errors.InsufficientPrivilege):
        return Problem("privilege", said, PREFLIGHT)
    return Problem("error", said)


def rows_of(session: Session, table: str) -> float:
    """How many rows a table has by its statistics; 0 where nobody has looked yet, or there is none of that name."""
    found = session.rows(ROWS, name=table)
    return found[0]["rows"] if found else 0.0
