# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Drains the backlog through the pipeline's own ETL, in batches that adapt, past every event that would block it."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..core import batch_size
from ..core.errors import NotConverged, RecoveryError
from ..core.progress import Pace
from ..core.text import count, cut, in_words
from ..ledger.trust import stored_letters
from ..postgres import acting, lock_holders
from ..postgres.driver import errors, psycopg
from ..postgres.failures import translate
from ..scout import contract, cron_jobs, event_queue, remedies
from ..scout.event_queue import Backlog, read
from ..scout.judging import foreign_code
from ..scout.poison_probe import Refused, Suspect, kinds, named, oldest, suspects, unconvertible, verdict_on
from . import blockers, expected
from .poison_policy import Etl, Tolerance, quarantine

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..core.progress import Progress
    from ..ledger.runs import Run
    from ..postgres.session import Session
    from .results import Progressed

__all__ = ["Backlog", "Drain", "Drained", "Options", "Suspect", "read", "summary", "suspects"]

MAX_TRIES: t.Final = 20
LOCK_TRIES: t.Final = 3
MAX_BATCH_ROWS: t.Final = 100_000
#: The share of its timeout that a batch may take for the sake of its fixed cost, and the one it should not reach at all.
TIMEOUT_SHARE: t.Final = 0.25
NEAR_TIMEOUT: t.Final = 0.8
#: Of so many pending events the ids are kept, so that what is left of them is not looked for in all of bronze.
MOST_KNOWN: t.Final = 50_000
#: How often a batch that takes all of its time is given several times of it.
LONGER: t.Final = 2
#: How many suspects are held back at once.
SUSPECTS: t.Final = 50


@dataclasses.dataclass(frozen=True)
class Options:
    """How to drain; seconds, rows and shares."""

    target_seconds: float = 3.0
    first_batch_rows: int = 2000
    batch_timeout_seconds: float = 120.0
    poison: str = "quarantine"
    max_poison: int = 100
    max_poison_share: float = 0.1
    hidden_wait_seconds: float = 10.0


#: Characters of the most frequent kind of poison in a line; dead_letters.yml shows all kinds.
SHOWN: t.Final = 48


@dataclasses.dataclass(frozen=True)
class Drained:
    """How far a drain came; every number is committed."""

    backlog: int
    loaded: int = 0
    batches: int = 0
    poison: tuple[dict[str, t.Any], ...] = ()
    retries: int = 0
    seconds: float = 0.0

    @property
    def left(self) -> int:
        """How much of the backlog is neither loaded nor quarantined, if nothing has arrived since; events."""
        return max(0, self.backlog - self.loaded - len(self.poison))

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return {**dataclasses.asdict(self), "poison": list(self.poison), "seconds": round(self.seconds, 3)}


@dataclasses.dataclass(frozen=True)
class _Batch:
    """Events loaded, events tried, and the suspects among these, which come next."""

    loaded: int
    seen: int
    due: tuple[str, ...] = ()
    #: What it took, without what it waited for others.
    seconds: float = 0.0


class Drain:
    """One drain of a backlog, as it was `before`; its state is what it knows of the events at the head of the queue."""

    def __init__(
        self,
        session: Session,
        run: Run,
        options: Options,
        progress: Progress,
        *,
        before: Backlog,
        document: dict[str, t.Any],
    ) -> None:
        self.session = session
        self.run = run
        self.options = options
        self.progress = progress
        self.document = document
        with session.read():
            self.pipeline = acting.actor(session, cron_jobs.etl_owner(session))
        self.started_at, self.known = before.now, before.head
        self.done = Drained(before.events)
        self.began = time.monotonic()
        self.pace = Pace("loaded", before.events)
        if before.events:
            progress.follows(self.pace)
        #: The size that takes the target time, and the size of the next attempt.
        self.limit: int = options.first_batch_rows
        self.size: int = self.limit
        self.took: list[batch_size.Took] = []
        #: Length of the shortest prefix of the queue known to fail, if one is known.
        self.failing: int | None = None
        #: Whether suspects and repeats are held back: from the first refusal on.
        self.careful = False
        self.suspects: set[str] = set()
        self.stalled: tuple[int, float] | None = None
        self.tolerance = Tolerance(options.poison, options.max_poison, options.max_poison_share)
        #: What a batch may take, and how many have taken all of it.
        self.timeout, self.late = options.batch_timeout_seconds, 0
        self.etl = Etl(session, self.timeout, self.pipeline)

    def drain(self) -> Drained:
        """Loads everything that was pending at the start; raises, with the progress made in `result`, where it
        cannot."""
        try:
            while not self._step():
                self.progress.checkpoint()
        except psycopg.Error as e:
            raise self._with_progress(self._translated(e)) from e
        except RecoveryError as e:
            self._with_progress(e)
            raise
        self.done = dataclasses.replace(self.done, seconds=time.monotonic() - self.began)
        return self.done

    def _step(self) -> bool:
        """One batch and what follows from it; True when the backlog is empty."""
        began, size = time.monotonic(), self.size
        try:
            batch = self._retrying(self._load)
        except Refused as e:
            self._narrow(e)
            return False
        except errors.QueryCanceled:
            if time.monotonic() - began < 0.9 * self.timeout or not self._slower(size):
                raise
            self.took.append(batch_size.Took(size, time.monotonic() - began))
            self.failing, self.limit = None, max(1, size // 2)
            self.size = self.limit
            return False
        self._adapt(batch)
        for event_id in batch.due:
            self._decide(event_id)
        return self._finished(full=batch.seen >= size)

    def _slower(self, size: int) -> bool:
        """After a batch that took all of its time and is tried at half its size: what a call takes may be the same however few events it
        loads, so each second time there is more of it as well; False where one event alone has had most."""
        self.late += 1
        most = self.options.batch_timeout_seconds * expected.TIMES**LONGER
        if size == 1 and self.timeout >= most:
            return False
        if size == 1 or self.late % 2 == 0:
            self.timeout = self.etl.timeout_seconds = min(most, self.timeout * expected.TIMES)
        return True

    def _retrying[T](self, attempt: Callable[[], T]) -> T:
        """What `attempt` gives, tried again while that is harmless; raises Refused when data are at fault."""
        tries = 0
        while True:
            try:
                return attempt()
            except psycopg.Error as e:
                verdict = verdict_on(e)
                if verdict == "event" and not self.session.connection.closed:
                    raise Refused(e) from e
                tries += 1
                if verdict != "others" or tries >= (LOCK_TRIES if e.sqlstate == "55P03" else MAX_TRIES):
                    raise
            self.done = dataclasses.replace(self.done, retries=self.done.retries + 1)
            self.progress.wait(min(2.0, 0.05 * 2**tries))

    def _load(self) -> _Batch:
        """One batch in one transaction."""
        session, size, began = self.session, self.size, time.monotonic()
        with session.write(statement_timeout_seconds=self.timeout):
            if self.careful:
                foreign_code.shut_out(session)
                with event_queue.defer_rest(session, size, self.suspects) as held:
                    loaded = (
                        event_queue.load(session, held.wanted, self.pipeline, marks=held.marks) if held.wanted else 0
                    )
                batch = _Batch(loaded, held.size, held.due)
            else:
                loaded = event_queue.load(session, size, self.pipeline)
                batch = _Batch(loaded, loaded)
            event_queue.require_written(session)
            after = dataclasses.replace(self.done, loaded=self.done.loaded + loaded, batches=self.done.batches + 1)
            self.run.record(**after.as_dict())
        self.done = after
        return dataclasses.replace(batch, seconds=time.monotonic() - began)

    def _narrow(self, refused: Refused) -> None:
        """Finds out which event a refused batch is refused for: repeats, then suspects, then by halving."""
        size, was_careful = self.size, self.careful
        self.careful = True
        if not was_careful and isinstance(refused.error, errors.CardinalityViolation):
            return
        ids: list[str] = []
        found: list[Suspect] = []
        if self.failing is None:
            with self.session.read():
                ids = oldest(self.session, size)
                candidates = [event_id for event_id in ids if event_id not in self.suspects]
                found = unconvertible(self.session, candidates, SUSPECTS)
                found = found or named(self.session, candidates, refused.everything)[:SUSPECTS]
        if found and size > 1:
            self.suspects.update(suspect.event_id for suspect in found)
            if len(found) == SUSPECTS:
                # There may be more of them: stay before the ones not yet known.
                self.size = ids.index(found[-1].event_id) + 1
        elif size > 1:
            self.failing = size
            self.size = size // 2
            self.limit = min(self.limit, max(self.options.first_batch_rows, self.limit // 2))
        else:
            self._decide(None)
            self.failing, self.size = None, self.limit

    def _adapt(self, batch: _Batch) -> None:
        """Chooses the next size: by what batches cost, or half of what is known to fail."""
        if batch.seen:
            self.took.append(batch_size.Took(batch.seen, batch.seconds))
        if self.failing is not None:
            left = self.failing - batch.loaded
            self.failing = left if left > 0 and batch.seen else None
        elif batch.seen >= self.size == self.limit:
            self.limit = int(batch_size.following(self.limit, self.took, self._limits()))
        self.size = self.limit if self.failing is None else max(1, self.failing // 2)
        if self.done.loaded and self.done.left:
            self.progress.moved(self.pace, self.done.loaded)

    def _limits(self) -> batch_size.Limits:
        """Below the first size it goes only for events that cannot be loaded, and for a batch that took all its time."""
        options, timeout = self.options, self.timeout
        return batch_size.Limits(
            target_seconds=options.target_seconds,
            most_seconds=min(NEAR_TIMEOUT * timeout, max(options.target_seconds, TIMEOUT_SHARE * timeout)),
            least_rows=min(self.limit, options.first_batch_rows),
            most_rows=MAX_BATCH_ROWS,
        )

    def _decide(self, event_id: str | None) -> None:
        """Lets the ETL load one event by itself (None: the first); what it refuses is quarantined."""
        try:
            self._retrying(lambda: self._quarantine(event_id))
        except Refused as e:
            raise e.error from e

    def _quarantine(self, event_id: str | None) -> None:
        session = self.session
        with session.write(statement_timeout_seconds=self.timeout):
            foreign_code.shut_out(session)
            event_id = event_id or event_queue.head(session)
            if event_id is None:
                return
            with event_queue.hold_back_others(session, event_id) as held:
                after = self._alone(event_id, held) if held.wanted else None
            if after is None:
                return
            event_queue.require_written(session)
            self.run.record(**after.as_dict())
        quarantined = len(after.poison) > len(self.done.poison)
        self.done = after
        self.suspects.discard(event_id)
        if quarantined:
            said = after.poison[-1]["error"]
            self.progress.say(f"quarantined poison event {event_id}: {said}")

    def _alone(self, event_id: str, held: event_queue.Held) -> Drained | None:
        """How far the drain is once this event is loaded or moved; None when another one came first in the meantime."""
        session, done = self.session, self.done
        try:
            with session.savepoint():
                loaded = event_queue.load(session, 1, self.pipeline, marks=held.marks)
        except psycopg.Error as e:
            if verdict_on(e) != "event" or session.connection.closed:
                raise
            if event_queue.head(session) != event_id:
                return None
            return dataclasses.replace(done, poison=(*done.poison, self._move(event_id, Refused(e))))
        return dataclasses.replace(done, loaded=done.loaded + loaded)

    def _move(self, event_id: str, refused: Refused) -> dict[str, t.Any]:
        done = self.done
        if not done.loaded:
            self.etl.refuse_broken("the drain", refused, self.tolerance)
        self.etl.refuse_younger("the drain", event_id, refused, self.tolerance)
        self.tolerance.refuse(
            "the drain", event_id, refused, quarantined=len(done.poison), loaded=done.loaded, where=self.session.where
        )
        moved = quarantine(self.session, self.run.run_id, event_id, refused, self.document)
        if self.run.ledger.present:
            stored_letters.note(self.session, self.run.run_id, moved["dlq_id"])
        return moved

    def _finished(self, *, full: bool) -> bool:
        """Whether nothing of the backlog is left; waits a little for events that another session hides."""
        if full and self.done.left:
            return False
        usual = self.session.settings.statement_timeout_seconds
        with self.session.read(statement_timeout_seconds=max(usual, self.timeout)):
            left = self._left()
            holders = event_queue.hidden(self.session, self.started_at) if left else []
        now = time.monotonic()
        if self.stalled is None or left < self.stalled[0] or self.failing is not None:
            self.stalled = (left, now)
            return not left
        waited = now - self.stalled[1]
        if waited >= self.options.hidden_wait_seconds:
            with self.session.read():
                who = blockers.explain(self.session, holders)
            raise NotConverged(
                f"{count(left, 'pending event')} could not be loaded",
                on=self.session.where,
                said=f"the ETL skips event {holders[0]['event_id']}"
                + (
                    f", locked by {who.said}"
                    if who.said
                    else "; no session is seen to lock it, so the function passes it over"
                ),
                next_step=who.then(
                    "run the same command again",
                    f"see why {contract.names().etl} does not take it, then run the same command again",
                ),
            )
        locked = any(row["pid"] for row in holders)
        why = "locked by another session" if locked else "that the ETL does not take"
        self.progress.say_throttled(f"waiting for {count(left, 'pending event')} {why}")
        self.progress.wait(min(0.5, self.options.hidden_wait_seconds / 4))
        return False

    def _left(self) -> int:
        """How much of the backlog is still pending: by the keys of its events, where all of them are known."""
        if len(self.known) == self.done.backlog:
            return event_queue.still_pending(self.session, self.known)
        return read(self.session, before=self.started_at).events

    def _translated(self, error: psycopg.Error) -> RecoveryError:
        """Our error for one of PostgreSQL's, with whoever may be in the way."""
        attempted, next_step, who = "the drain stopped", "", blockers.Blockers()
        if error.sqlstate == "55P03":
            with self.session.read():
                who = blockers.explain(
                    self.session, lock_holders.in_the_way(self.session, contract.names().required_tables)
                )
            attempted += f" after {LOCK_TRIES} attempts: another session locks what the ETL must write"
            next_step = who.then(
                "run the same command again", "they have let go since, it seems: run the same command again"
            )
        elif error.sqlstate == "57014":
            next_step = (
                "find what slows or cancels the ETL (or raise batch_timeout_seconds), then run the same command again"
            )
        elif not self.session.connection.closed:
            with self.session.read():
                remedy = remedies.of(self.session, error.diag.message_primary or "", cron_jobs.etl_owner(self.session))
            next_step = f"{remedy} then run the same command again" if remedy else ""
        raised = translate(error, attempted, on=self.session.where, next_step=next_step)
        raised.said += who.held()
        return raised

    def _with_progress(self, error: RecoveryError) -> RecoveryError:
        """The error, with what had been committed before it."""
        self.done = dataclasses.replace(self.done, seconds=time.monotonic() - self.began)
        self.run.effects.update(self.done.as_dict())
        error.result = {**error.result, **outcome(self.done), "run_id": self.run.run_id}
        return error


def outcome(done: Drained) -> Progressed:
    """The part of a result that tells how far a drain came, whether it ended well or not."""
    return {
        "changed": bool(done.loaded or done.poison),
        "loaded": done.loaded,
        "poison": list(done.poison),
        "kinds": kinds(done.poison),
        "batches": done.batches,
        "retries": done.retries,
        "seconds": round(done.seconds, 3),
        "effects": {"loaded": done.loaded, "quarantined": len(done.poison)},
    }


def summary(done: Drained) -> str:
    """One line for a person."""
    if not done.loaded and not done.poison:
        return "no backlog"
    text = f"loaded {count(done.loaded, 'event')} in {in_words(done.seconds)}"
    if done.poison:
        text += f", quarantined {count(len(done.poison), 'poison event')}"
        found = kinds(done.poison)
        first = f"{cut(found[0]['error'], SHOWN)} ({found[0]['sqlstate']})"
        text += f" ({len(found)} kinds; {found[0]['events']:,} of {first})" if len(found) > 1 else f" ({first})"
    return text
