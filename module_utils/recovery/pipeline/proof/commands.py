# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the commands of jobs in a trial, and says why one failed: by its owner, the events that wait and the objects it names."""

from __future__ import annotations

import contextlib
import typing as t

from ...core.text import cut, printable
from ...postgres.driver import psycopg
from ...scout import contract, remedies
from .. import drain
from . import as_job, failure, reading
from .failure import Failed
from .judgement import GOLD, LOAD, Todo

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session

SUSPECTS_ROWS: t.Final = 2000
#: One statement that upserts a row twice.
REPEATS: t.Final = "21000"


class Commands:
    """Commands of jobs, all within so many seconds."""

    def __init__(self, session: Session, runs: as_job.Runs, seconds: float) -> None:
        self.session = session
        self.runs = runs
        self.seconds = seconds

    def execute(self, todo: Todo) -> None:
        """Runs the command of a job as its role, with its settings; raises Failed where it goes wrong."""
        try:
            self.runs.execute(todo.job)
        except as_job.TooLate:
            raise failure.too_late(self.seconds) from None
        except psycopg.Error as e:
            self.require_open(e)
            self.session.limit_statements(max(0.001, self.runs.left))
            raise self._explained(todo, e) from e

    def _explained(self, todo: Todo, e: psycopg.Error) -> Failed:
        """What an error of a job's command means, by its owner, the events that wait, and the objects it names."""
        owner = self.runs.owner(todo.job.owner)
        if known := failure.of_surroundings(e, owner, self.seconds, as_job.LOCK_SECONDS):
            return known
        event = self._event(e) if todo.purpose == LOAD and not failure.is_forbidden(e) else ""
        with self.session.savepoint():
            remedy = remedies.of(self.session, e.diag.message_primary or "", owner.name)
        return failure.of_command(e, owner, _functions(todo), event, remedy)

    def _event(self, e: psycopg.Error) -> str:
        """Which of the events that wait the ETL fails on, in words; empty where that cannot be told."""
        with contextlib.suppress(psycopg.Error), self.session.savepoint():
            if e.sqlstate == REPEATS and (row := reading.repeated(self.session)):
                return f"{row['events']} pending events have transaction_id {cut(printable(row['transaction_id']), 60)}"
            for found in drain.suspects(self.session, limit=SUSPECTS_ROWS, most=1):
                return f"event {found.event_id}, {found.reason}"
        return ""

    def require_open(self, e: Exception) -> None:
        """Raises the error where the session is lost with it."""
        if self.session.connection.closed:
            raise e


def _functions(todo: Todo) -> Sequence[str]:
    """What the command of a job calls, directly or through another."""
    names = contract.names()
    return names.gold_functions if todo.purpose == GOLD else (contract.bare(names.load_function),)
