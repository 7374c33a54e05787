# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The batch engine: short transactions of adaptive size along a path, each committed together with its cursor."""

from __future__ import annotations

import dataclasses
import time
import typing as t
from pathlib import Path

from ...core.errors import NotConverged, RecoveryError, Stopped
from ...core.progress import Pace
from ...core.text import count
from ...pipeline import blockers
from ...postgres import lock_holders
from ...postgres.driver import errors, psycopg
from ...postgres.failures import translate, words_of
from ...scout import contract, row_hazards
from ...scout.judging import foreign_code
from .sizes import Sizes
from .throttle import WAITING, Standbys

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.session import Session
    from .cursors import Cursor, Span

#: How often a batch that met others is tried again.
TRIES: t.Final = 12
#: A lock that somebody keeps is tried for so many times the session's lock timeout.
LOCK_PATIENCE: t.Final = 4
#: Passes over the path after the first one, for rows that came in late.
SWEEPS: t.Final = 50
AGAIN: t.Final = "run the same command again: it continues from the last commit"


@dataclasses.dataclass(frozen=True)
class Done:
    """What one span came to: rows of the selection, and effects that add up over the batches."""

    rows: int
    effects: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])


Work = t.Callable[["Span", t.Callable[[], None]], Done]


@dataclasses.dataclass(frozen=True)
class Options:
    """The limits of a batch; seconds and rows."""

    target_seconds: float = 0.5
    max_batch_rows: int = 150_000
    max_replica_lag_seconds: float = 30.0
    max_replica_wait_seconds: float = 300.0
    ignore_replicas: tuple[str, ...] = ()
    yield_to_waiters: bool = True
    stop_file: str | None = None


class Batches:
    """One way along a path; what it has done is committed batch by batch."""

    def __init__(
        self,
        session: Session,
        run: Run,
        path: Cursor,
        options: Options,
        progress: Progress,
        *,
        closed: Sequence[str],
        total: int,
        verb: str,
        noun: str = "event",
    ) -> None:
        self.session = session
        self.run = run
        self.path = path
        self.options = options
        self.progress = progress
        self.closed = closed
        self.total = total
        self.verb = verb
        self.noun = noun
        self.sizes = Sizes(path.first_size, path.least_size, options.max_batch_rows, options.target_seconds)
        kept: dict[str, t.Any] = run.effects.get("cursor") or {}
        #: What is locked, for as long as a batch lasts, against triggers that others may add.
        self.written: list[str] = []
        self.cursor: t.Any = kept.get("at") if kept.get("path") == path.name else None
        self.rows = 0
        self.batches = 0
        self.retries = 0
        self.longest_seconds = 0.0
        self.began = time.monotonic()
        self.rate = Pace(verb, total, noun, time.monotonic)
        if total:
            progress.follows(self.rate)
        self.standbys = Standbys(
            session,
            options.max_replica_lag_seconds,
            progress,
            most_seconds=options.max_replica_wait_seconds,
            ignored=options.ignore_replicas,
        )

    def go(self, work: Work) -> None:
        """Has `work` process every span of the path, again where rows came in late, until nothing of it is left.

        `work` gets a span and a function to call before each of its statements; it works inside this engine's
        transaction and raises to have it rolled back. Raises Stopped on request, and a RecoveryError where a batch
        keeps failing.
        """
        sweeps = 0
        try:
            self.written = foreign_code.lockable(self.session)
            while True:
                self._pause_where_asked()
                if self._batch(work):
                    continue
                start = self.path.again(self.session)
                if start is None:
                    return
                sweeps += 1
                if sweeps > SWEEPS:
                    raise NotConverged(
                        f"{self.noun}s of the selection keep arriving",
                        on=self.session.where,
                        said=f"after {SWEEPS} more passes some are still left",
                        next_step="end the selection in the past (window_end), then run it again",
                    )
                self.cursor = start
        except psycopg.Error as e:
            raise self._translated(e) from e

    def _batch(self, work: Work) -> bool:
        """One committed batch; False at the end of the path."""
        tries, first = 0, time.monotonic()
        while True:
            began, limited, before = time.monotonic(), True, self.run.effects
            rows = self.sizes.rows
            try:
                with self.progress.unbroken(), self.session.move(closed=self.closed, written=self.written):
                    foreign_code.refuse(self.session)
                    row_hazards.refuse_taking_along(self.session)
                    # What it waited for others says nothing about its size.
                    began = time.monotonic()
                    span = self.path.span(self.session, self.cursor, rows)
                    if span is None:
                        return False
                    limited = span.divisible and rows > self.path.least_size
                    rows = span.size
                    done = work(span, self._limiter(began) if limited else _unlimited)
                    waiting = self._waiting() if done.rows else 0
                    self.run.effects = added(before, done.effects)
                    self.run.record(cursor={"path": self.path.name, "at": span.after})
            except BaseException as e:
                self.run.effects = before
                tries += 1
                if not self._retried(e, rows, began if limited else 0.0, time.monotonic() - first, tries):
                    raise
                self._pause_where_asked()
                continue
            self.cursor = span.after
            self._account(span, done.rows, waiting, time.monotonic() - began)
            return True

    def _retried(self, error: BaseException, rows: float, limited_since: float, seconds: float, tries: int) -> bool:
        """Whether the batch that failed is worth another attempt, after what makes that one more likely to succeed."""
        if isinstance(error, errors.QueryCanceled):
            took = time.monotonic() - limited_since if limited_since else 0.0
            if took < self.sizes.allowed_seconds * 0.8:
                return False
            self.retries += 1
            self.progress.say_throttled(
                f"a batch took too long and was rolled back: {self.sizes.cancelled(rows, tries)}"
            )
            return True
        if isinstance(error, errors.LockNotAvailable):
            if seconds >= self.session.settings.lock_timeout_seconds * LOCK_PATIENCE:
                return False
        elif not isinstance(error, (errors.SerializationFailure, errors.DeadlockDetected)) or tries >= TRIES:
            return False
        self.retries += 1
        self.progress.say_throttled(f"other sessions are blocking, attempt {tries} yielded: {words_of(error)}")
        self.progress.wait(min(1.0, 0.02 * 2**tries))
        return True

    def _limiter(self, began: float) -> Callable[[], None]:
        """Bounds the next statement by what is left of the batch's time."""
        allowed = self.sizes.allowed_seconds

        def limit() -> None:
            # Waiting for a lock ends first, so that it is not taken for being slow.
            left = max(0.05, allowed - (time.monotonic() - began))
            self.session.limit_statements(left, lock_timeout_seconds=0.8 * left)

        limit()
        return limit

    def _account(self, span: Span, done: int, waiting: int, seconds: float) -> None:
        """Chooses the next size and says how far it is."""
        self.rows += done
        self.batches += bool(done)
        self.longest_seconds = max(self.longest_seconds, seconds)
        if waiting:
            self.progress.say_throttled(
                f"yielding: {count(waiting, 'session')} waited for this batch; shorter batches follow, with pauses"
            )
        rows = span.size if span.full or not done else min(span.size, done)
        self.sizes.took(rows if done else 0.0, seconds, full=span.full, waited_for=bool(waiting))
        if done and self.total:
            self.progress.moved(self.rate, self.rows)
        if waiting:
            self.progress.wait(min(1.0, seconds))

    def _waiting(self) -> int:
        return self.session.row(WAITING)["sessions"] if self.options.yield_to_waiters else 0

    def _pause_where_asked(self) -> None:
        """The place between two batches: stops where told, and waits for standbys that fall behind."""
        try:
            self.progress.checkpoint()
        except Stopped as e:
            raise self._stopped(e.attempted) from e
        stop_file = self.options.stop_file
        if stop_file and Path(stop_file).expanduser().exists():
            raise self._stopped(f"stopped: {stop_file} exists", f"remove {stop_file}, then {AGAIN}")
        self.standbys.wait()

    def _stopped(self, why: str, next_step: str = AGAIN) -> Stopped:
        return Stopped(
            f"{why}: {count(self.rows, self.noun)} of {self.total:,} {self.verb} in {count(self.batches, 'batch', 'batches')}",
            on=self.session.where,
            next_step=f"resume with the same command; {next_step}" if next_step == AGAIN else next_step,
        )

    def _translated(self, error: psycopg.Error) -> RecoveryError:
        attempted = f"stopped after {count(self.rows, self.noun)} had been {self.verb}"
        who, next_step = blockers.Blockers(), ""
        if not self.session.connection.closed and isinstance(error, (errors.LockNotAvailable, errors.DeadlockDetected)):
            with self.session.read():
                who = blockers.explain(
                    self.session, lock_holders.in_the_way(self.session, contract.names().required_tables)
                )
            next_step = who.then(AGAIN, AGAIN)
        elif isinstance(error, errors.SerializationFailure):
            next_step = f"something else keeps writing the same rows: pause it, then {AGAIN}"
        raised = translate(error, attempted, on=self.session.where, next_step=next_step)
        raised.next_step = raised.next_step or f"fix what PostgreSQL reports, then {AGAIN}"
        raised.said += who.held()
        return raised

    def figures(self) -> dict[str, t.Any]:
        """How it went; seconds and rows."""
        return {
            "path": self.path.name,
            "rows": self.rows,
            "batches": self.batches,
            "retries": self.retries,
            "longest_batch_seconds": round(self.longest_seconds, 3),
            "seconds": round(time.monotonic() - self.began, 3),
        }


def added(before: dict[str, t.Any], more: dict[str, t.Any]) -> dict[str, t.Any]:
    """Effects with those of one more batch: numbers add up, lists are united in order, dictionaries entry by entry."""
    made = dict(before)
    for name, value in more.items():
        if isinstance(value, dict):
            made[name] = added(made.get(name) or {}, t.cast("dict[str, t.Any]", value))
        elif isinstance(value, list):
            made[name] = sorted({*(made.get(name) or []), *t.cast("list[t.Any]", value)})
        else:
            made[name] = (made.get(name) or 0) + value
    return made


def _unlimited() -> None:
    """A span that cannot be divided may take as long as a statement of this session may."""
