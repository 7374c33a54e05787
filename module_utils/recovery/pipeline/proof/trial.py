# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job runs, run as its role with its settings in a transaction that is rolled back, and whether it had its effect.

Copies of sales that were loaded before are sent first, so that there is something to load and to compare; where nothing has been
loaded yet, a made-up sale. The command runs inside a function that belongs to the job's role and runs as its owner: so it can neither
end the transaction nor become the role that proves it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import typing as t

from ...core.errors import NotConverged
from ...core.redaction import clean
from ...core.text import count, cut, first_line, printable
from ...postgres import acting
from ...postgres.driver import errors, psycopg
from ...postgres.failures import words_of
from ...scout import contract, event_queue, row_hazards
from ...scout.cron_schedule import every_seconds, missed
from ...scout.judging import event_triggers, foreign_code
from .. import apart, bronze_writers, trial_sale
from ..replay import engine, sample
from . import as_job, failure, judgement
from .commands import Commands
from .failure import Failed
from .gold_trial import GoldTrial
from .judgement import BESIDE, CHANGED, FAILED, GOLD, LOAD, PROVED, UNKNOWN, Todo, Verdict, tried

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session
    from ...scout.cron_jobs import Job

#: A cancelled refresh of the pipeline leaves its session's lock behind.
UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"
PACE = """
SELECT clock_timestamp() AS now, count(*) AS events FROM {bronze}
WHERE event_type = {transaction_event} AND ingested_at >= now() - interval '1 hour' AND ingested_at <= clock_timestamp()
  AND event_id <> ALL(%(ours)s::uuid[])
"""
#: How many of some events are in bronze, and how many the ETL would pass over from now on.
LEFT = """
SELECT (SELECT count(*) FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[])) AS there,
       (SELECT count(*) FROM {etl_ledger} AS p WHERE p.event_id = ANY(%(ids)s::uuid[])) AS marked
"""
#: As old as sales are that were loaded by the run before.
AGED = """
WITH sales AS (
    UPDATE {transactions} SET processed_at = processed_at - %(seconds)s * interval '1 second'
    WHERE transaction_id = ANY(%(names)s) RETURNING 1
)
UPDATE {line_items} SET updated_at = updated_at - %(seconds)s * interval '1 second' WHERE transaction_id = ANY(%(names)s)
"""
ATTEMPTS: t.Final = 3
#: How long a job that is none of the pipeline's is let run.
BESIDE_SECONDS: t.Final = 10.0
#: Where such a job does not come to its end here, which says nothing of how it ends by itself.
UNTRIED: t.Final = (
    *(errors.InvalidTransactionTermination, errors.ActiveSqlTransaction, errors.QueryCanceled),
    as_job.TooLate,
)
#: How old sales may be that a job finds, where those that load come once a minute, and where they come less often.
MINUTE: t.Final = 60.0
MOST_AGED_SECONDS: t.Final = 240.0
#: How much of what stands on the tables is named.
MOST_NAMED: t.Final = 3
#: Somebody else was at work at the same time.
COLLISIONS: t.Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
#: What a copy may meet that its original did not: a key of the team's that has room for one.
KEYS: t.Final = (
    errors.UniqueViolation.sqlstate,
    errors.ForeignKeyViolation.sqlstate,
    errors.ExclusionViolation.sqlstate,
)
HOUR: t.Final = datetime.timedelta(hours=1)
DAY: t.Final = datetime.timedelta(days=1)
#: Within so long what waits is to be loaded.
SOON: t.Final = datetime.timedelta(seconds=judgement.STALE_SECONDS)
#: Replayed sales that a job beside the pipeline finds pending.
PENDING_SALES: t.Final = 5
#: How many changes are named.
NAMED_CHANGES: t.Final = 5


class Trials:
    """The trials of some jobs, in one transaction of which nothing remains. `meant` are columns that a deployment means to change. Without
    the `backlog` a job that loads is not tried on what is pending."""

    def __init__(
        self,
        session: Session,
        loader: Job | None,
        seconds: float,
        *,
        extends: bool = False,
        scheduled: bool = False,
        meant: Sequence[str] = (),
        backlog: bool = True,
    ) -> None:
        self.session = session
        self.backlog = backlog
        #: The job that brings a sale into silver, without which no refresh of gold can be seen.
        self.loader = loader
        self.seconds = seconds
        self.runs = as_job.Runs(session, seconds, extends=extends, scheduled=scheduled)
        self.commands = Commands(session, self.runs, seconds)
        self.gold: GoldTrial | None = None
        self.meant = meant
        self.age = 0
        self.reference = sample.Reference()
        self.replay: engine.Replay | None = None
        #: The sales that have come into silver and are to stay there.
        self.names: list[str] = []
        #: How to load again what a rolled-back release loaded differently; empty where it loaded nothing differently.
        self.reload = ""
        #: The jobs of others that write what is the pipeline's.
        self.beside: list[Job] = []

    def run(self, todo: Sequence[Todo]) -> dict[int, Verdict]:
        """What each job's trial came to, those that load first, by its id: several jobs may have one name, or none."""
        ordered = sorted(todo, key=lambda each: (each.purpose != LOAD, each.purpose == GOLD, each.purpose == BESIDE))
        self.beside = [each.job for each in todo if each.purpose == BESIDE]
        for attempt in range(ATTEMPTS):
            found: list[Verdict] = []
            self.runs.begin()
            with self.session.read():
                self.age = sample.read_age(self.session)
                self.reference = sample.read_reference(self.session, self.age)
            self.replay, self.names, self.reload = None, [], ""
            try:
                with self.session.write(lock_timeout_seconds=as_job.LOCK_SECONDS):
                    found = self._all(ordered)
                    self.session.execute(UNLOCK)
                    raise psycopg.Rollback
            except COLLISIONS:
                if attempt + 1 == ATTEMPTS:
                    raise
                continue
            if attempt + 1 < ATTEMPTS and any(verdict.sqlstate in COLLIDED for verdict in found):
                continue
            return {each.job.jobid: verdict for each, verdict in zip(ordered, found, strict=True)}
        return {}

    def _all(self, ordered: Sequence[Todo]) -> list[Verdict]:
        if frozen := event_triggers.refusal(self.session):
            return [tried(each, UNKNOWN, f"was not tried: {frozen}", next_step=frozen.fix) for each in ordered]
        apart.await_writers(self.session, trial_sale.loaded_into(), seconds=as_job.LOCK_SECONDS)
        if drawn := apart.shadow(self.session, trial_sale.written()):
            said = f"was not tried: {drawn[0]} takes numbers from a sequence that we may not shadow, and no rollback undoes that"
            step = "look at its next run in cron.job_run_details, or run it again with proof=false"
            return [tried(each, UNKNOWN, said, next_step=step) for each in ordered]
        if any(each.purpose == GOLD for each in ordered):
            self.gold = GoldTrial(self.session, self.commands, self.meant, self.beside)
        verdicts: list[Verdict] = []
        loads = ""
        for each in ordered:
            if each.purpose in (GOLD, BESIDE) and not self.names and not loads:
                loads = self._bring()
            how = {BESIDE: self._beside_it, GOLD: functools.partial(self._undone, loads=loads)}
            verdict = how.get(each.purpose, self._one)(each)
            if verdict.purpose == LOAD and verdict.status in (FAILED, UNKNOWN):
                loads = f"{verdict.jobname} {verdict.said}"
            verdicts.append(verdict)
        return verdicts

    def _bring(self) -> str:
        """Has the ETL's job load sales for gold to show; why it could not."""
        if self.loader is None:
            return "no job loads a sale for it"
        verdict = self._one(Todo(self.loader, LOAD, judgement.TRIAL))
        return f"{verdict.jobname} {verdict.said}" if verdict.status in (FAILED, UNKNOWN) else ""

    def _undone(self, todo: Todo, loads: str) -> Verdict:
        """The trial of a job that refreshes gold, of which nothing stays: another one that does finds gold as old as this one."""
        verdict = tried(todo, UNKNOWN, "was not tried")
        try:
            with self.session.savepoint():
                verdict = self._one(todo, loads)
                raise psycopg.Rollback
        except errors.QueryCanceled:
            # What those before it came to stays true.
            late = failure.too_late(self.seconds)
            verdict = tried(
                todo, late.status, f"was tried as {todo.job.owner}, rolled back: {late.said}", None, late.next_step
            )
        return verdict

    def _one(self, todo: Todo, loads: str = "") -> Verdict:
        done = f"was tried as {todo.job.owner}, rolled back"
        try:
            effect = self._effect(todo, loads)
        except Failed as e:
            said = f"{done}: {e.said}"
            if todo.purpose == LOAD and e.status == FAILED:
                said = "; ".join([said, *self._in_the_way()])
            return tried(todo, e.status, said, e.sqlstate, e.next_step)
        return tried(todo, PROVED, f"{done}: {effect}")

    def _beside_it(self, todo: Todo) -> Verdict:
        """What a job that is none of the pipeline's does to events; how else it ends is its owner's."""
        command = cut(printable(clean(todo.job.command)), 100)
        said = f"of {todo.job.owner} writes the pipeline's tables as well: {command}"
        if self.replay and self.replay.pairs and not apart.shadow(self.session, apart.tables(self.session)):
            try:
                with self.session.savepoint():
                    self._require_harmless(self.replay, todo)
                    raise psycopg.Rollback
            except Failed as e:
                return tried(todo, e.status, f"{said}; {e.said}", next_step=e.next_step)
            except UNTRIED as e:
                said += f"; what it does to events could not be tried: {first_line(str(e)) or 'no time is left'}"
        return tried(todo, PROVED, said)

    def _require_harmless(self, replay: engine.Replay, todo: Todo) -> None:
        """Raises Failed where a job takes away events that have just arrived, their rows in the ETL's ledger, or sales that have just been
        loaded; and, as a change, where it rewrites such sales and never did so before."""
        names = contract.names()
        off = f"SELECT cron.alter_job({todo.job.jobid}, active => false)"
        before = replay.rows()
        try:
            waiting = replay.send_pending(PENDING_SALES, self._roles(todo))
            pending = event_queue.read(self.session).events
            self.runs.execute(todo.job, BESIDE_SECONDS)
        except (psycopg.Error, as_job.TooLate, NotConverged) as e:
            self.commands.require_open(e)
            if isinstance(e, UNTRIED):
                raise
            return
        left, rows = self.session.row(contract.compose(LEFT), ids=waiting), replay.rows()
        gone = [name for name in self.names if name not in rows[names.transactions]]
        wrong = ""
        if left["there"] < len(waiting):
            wrong = f"it takes events out of {names.bronze} that are not loaded"
        elif left["marked"]:
            wrong = f"it marks events in {names.etl_ledger} that are not loaded"
        elif event_queue.still_pending(self.session, tuple(waiting)) < len(waiting):
            wrong = f"it changes events of {names.bronze} so that the ETL does not load them"
        elif (more := event_queue.read(self.session).events - pending) > 0:
            wrong = f"it takes {count(more, 'loaded event')} out of {names.etl_ledger}, to be loaded again"
        elif gone:
            wrong = f"it takes {count(len(gone), 'sale')} out of {names.transactions} that had just been loaded"
        if wrong:
            raise Failed(FAILED, wrong, next_step=off)
        self._require_unchanged(replay.compare_later(before, _period(todo)), "it runs", todo.job.jobname)

    def _in_the_way(self) -> list[str]:
        """What stands on the pipeline's tables and may change, refuse or hide rows."""
        found: list[str] = []
        with contextlib.suppress(psycopg.Error), self.session.savepoint():
            found = row_hazards.on_tables(self.session)
        return found[:MOST_NAMED]

    def _effect(self, todo: Todo, loads: str) -> str:
        """Runs the command of a job; in words what came of it."""
        if failed := failure.login(self.runs.owner(todo.job.owner)):
            raise failed
        if todo.purpose == LOAD:
            return self._loaded(todo)
        if todo.purpose == GOLD and self.gold:
            return self.gold.prove(todo, self.names, loads)
        before = self.replay.rows() if self.replay else None
        self.commands.execute(todo)
        self._require_there()
        if self.replay and before:
            self._require_lines(before[contract.names().line_items])
            later = self.replay.compare_later(before, _period(todo))
            self._require_unchanged(later, "it runs", contract.names().link_function)
        return "it runs"

    def _require_there(self) -> None:
        """Raises Failed where a job took sales out of silver that had just been loaded."""
        if not self.names:
            return
        there = {row["transaction_id"] for row in self.session.rows(contract.compose(sample.THERE), names=self.names)}
        if gone := [name for name in self.names if name not in there]:
            # The next job is judged by others.
            self.names = [name for name in self.names if name in there]
            said = f"it runs, and {count(len(gone), 'sale')} that had just been loaded {'is' if len(gone) == 1 else 'are'} gone"
            raise Failed(FAILED, f"{said} from {contract.names().transactions}")

    def _require_lines(self, before: dict[str, list[Row]]) -> None:
        """Raises Failed where a job took line items out of silver that had just been loaded."""
        rows = self.replay.rows()[contract.names().line_items] if self.replay else before
        gone = sum(len(before.get(name, [])) - len(rows.get(name, [])) for name in self.names)
        if gone > 0:
            said = (
                f"it runs, and {count(gone, 'line item')} that had just been loaded {'is' if gone == 1 else 'are'} gone"
            )
            raise Failed(FAILED, f"{said} from {contract.names().line_items}")

    def _require_unchanged(self, changes: Sequence[object], effect: str, what: str) -> None:
        """Raises Failed, as a change that no pause follows, where there are any."""
        if changes:
            release = self.reference.release
            captured = (
                f"; release {release} was captured last, at {self.reference.captured_at:%Y-%m-%d %H:%M:%SZ}"
                if release
                else ""
            )
            told = "; ".join(map(str, changes[:NAMED_CHANGES]))
            raise Failed(
                CHANGED,
                f"{effect}, and what it writes has changed: {told}{captured}",
                next_step=self._accept(what),
            )

    def _accept(self, what: str) -> str:
        return judgement.changed(what, self.session.row(as_job.BEGAN)["at"])

    def _roles(self, todo: Todo) -> list[str]:
        return list(dict.fromkeys((self.session.facts.role, todo.job.owner)))

    def _loaded(self, todo: Todo) -> str:
        """Has a job load sales, in words what came of it; its effect stays for those that follow."""
        try:
            # Before we are anybody else: as whom it would run, it could become us again.
            with self.session.savepoint():
                foreign_code.shut_out(self.session, [contract.names().bronze])
        except (NotConverged, psycopg.Error) as e:
            self.commands.require_open(e)
            why = e.said if isinstance(e, NotConverged) else words_of(e)
            self.commands.execute(todo)
            raise Failed(UNKNOWN, f"it runs, but no sale could be sent to see it load: {why}") from e
        replay, why = self._replayed(todo)
        if replay is None:
            event = self._load_made_up(todo)
        else:
            event = replay.pairs[0].ids[0]
            if len(replay.left) == len(replay.pairs):
                why = f"two runs took only {count(replay.taken, 'event')}"
        effect = f"it loads (content not compared: {why})" if why else "it loads"
        changes = replay.compare(acting.actor(self.session, todo.job.owner)) if replay is not None else []
        if (
            replay is not None
            and replay.differs_from_rolled_back()
            and (loaded := sample.read_loaded_before_rollback(self.session, self.reference))
        ):
            self.reload = judgement.reload(loaded, self.reference.release)
        self._age(todo)
        writers = bronze_writers.read(self.session)
        if refused := bronze_writers.refused(self.session, writers, event):
            said = f"it loads what comes, and {bronze_writers.in_words(refused)}"
            raise Failed(FAILED, said, next_step="; ".join(each.fix.rstrip(";") for each in refused))
        self._require_unchanged(changes, effect, contract.names().etl)
        if not why:
            effect += f" as release {self.reference.release} does" if self.reference.accepted else " as before"
        return f"{effect}; {writers.in_vain}" if writers.in_vain else effect

    def _replayed(self, todo: Todo) -> tuple[engine.Replay | None, str]:
        """Has a job load copies of earlier sales; or why none can be compared."""
        replay = engine.Replay(self.session, self.reference, self.meant)
        replay.prepare(self.age)
        if not replay.pairs:
            return None, "no earlier sales"
        try:
            with self.session.savepoint():
                # Bronze has to take what comes now, and not only what came before.
                replay.send_pending(1, self._roles(todo))
                raise psycopg.Rollback
        except (NotConverged, psycopg.Error) as e:
            self.commands.require_open(e)
            why, sqlstate = (words_of(e), e.sqlstate) if isinstance(e, psycopg.Error) else (str(e), None)
            raise Failed(UNKNOWN, f"it runs, but no event could be sent to see it load: {why}", sqlstate) from e
        try:
            with self.session.savepoint():
                replay.run(lambda _: self.commands.execute(todo), self._roles(todo))
        except NotConverged as e:
            raise Failed(FAILED, str(e)) from e
        except Failed as e:
            if e.sqlstate in KEYS:
                return None, f"a copy of an earlier sale is refused by a key ({e.sqlstate})"
            if e.status != FAILED:
                raise
            if self.backlog:
                # What is pending is answered for first: if that fails by itself, no copy is to blame.
                self.commands.execute(todo)
            raise Failed(
                FAILED, f"it no longer loads sales that it loaded before: {e.said}", e.sqlstate, e.next_step
            ) from e
        self._require_loaded(todo, replay)
        return replay, ""

    def _require_loaded(self, todo: Todo, replay: engine.Replay) -> None:
        """Raises Failed where the job loaded none of the copies, cannot load what is pending, or loads too few events a run."""
        if self.backlog and event_queue.any_pending(self.session):
            # What is pending is what its next run meets.
            self.commands.execute(todo)
        if not replay.taken:
            command = cut(printable(clean(todo.job.command)), 100)
            said = (
                f"it ran and loaded nothing, although {count(len(replay.ids), 'event')} of earlier sales were pending"
            )
            raise Failed(FAILED, f"{said}: its command is {command}")
        self.replay = replay
        there = {row["transaction_id"] for row in self.session.rows(contract.compose(sample.THERE), names=replay.names)}
        self.names = [name for name in replay.names if name in there]
        if not self.names:
            step = f"look at {contract.names().etl}: it marks events that it does not load"
            raise Failed(
                FAILED,
                f"it marked events as processed, and {contract.names().transactions} has nothing of them",
                next_step=step,
            )
        if replay.batch is not None:
            self._require_pace(todo, replay.batch, replay.ids)

    def _load_made_up(self, todo: Todo) -> str:
        """Has a job load a made-up sale, of which nothing but its arrival in silver is asked; its event."""
        sale = trial_sale.TrialSale(self.session, max(0.001, self.runs.left), todo.job.owner)
        event, why = self._send(sale)
        self.commands.execute(todo)
        if event is None:
            raise Failed(UNKNOWN, f"it runs, but no sale could be sent to see it load: {why}")
        if event_queue.not_taken(self.session, [event]):
            command = cut(printable(clean(todo.job.command)), 100)
            raise Failed(FAILED, f"it ran and loaded nothing, although a sale was pending: its command is {command}")
        if lacking := sale.missing():
            step = f"look at {contract.names().etl}: it marks events that it does not load"
            raise Failed(FAILED, f"it marked a sale as processed, and {lacking}", next_step=step)
        self.names = [sale.sale.transaction_id]
        return event

    def _age(self, todo: Todo) -> None:
        """Has sales that were loaded just now be as old as the next jobs may find them: in one transaction all is of the same moment."""
        tables = [contract.names().transactions, contract.names().line_items]
        seconds = min(every_seconds(todo.job.schedule) or MINUTE, MOST_AGED_SECONDS)
        for role in (self.session.facts.role, todo.job.owner):
            try:
                with self.session.savepoint():
                    foreign_code.shut_out(self.session, tables)
                    with acting.as_role(self.session, role):
                        self.session.execute(contract.compose(AGED), names=self.names, seconds=seconds)
                return
            except (psycopg.Error, NotConverged) as e:
                self.commands.require_open(e)

    def _require_pace(self, todo: Todo, batch: int, ours: list[str]) -> None:
        """Raises Failed where more events arrive, besides ours, or wait, than a job loads in time that takes so few a run."""
        pace = self.session.row(contract.compose(PACE), ours=ours)
        starts = missed(todo.job.schedule, pace["now"], pace["now"] + HOUR)
        waiting = event_queue.read(self.session).events - len(event_queue.not_taken(self.session, ours, most=len(ours)))
        soon = batch * missed(todo.job.schedule, pace["now"], pace["now"] + SOON)
        if not starts or (batch * starts >= pace["events"] and soon >= waiting):
            return
        command = cut(printable(clean(todo.job.command)), 100)
        said = f"it loads {count(batch, 'event')} a run, {batch * starts:,} an hour, and {pace['events']:,} arrived within the last one"
        raise Failed(
            FAILED,
            f"{said}; {waiting:,} wait: its command is {command}",
            next_step="raise the limit that it gives, or run it more often",
        )

    def _send(self, sale: trial_sale.TrialSale) -> tuple[str | None, str]:
        """Sends a sale as ourselves, else as the role of the job; why neither may."""
        why = ""
        for role in dict.fromkeys((self.session.facts.role, sale.owner)):
            try:
                with self.session.savepoint(), acting.as_role(self.session, role):
                    return sale.sent(), ""
            except (psycopg.Error, trial_sale.Unlike) as e:
                self.commands.require_open(e)
                why = why or (words_of(e) if isinstance(e, psycopg.Error) else str(e))
        return None, why


COLLIDED: t.Final = tuple(error.sqlstate for error in COLLISIONS)


def _period(todo: Todo) -> datetime.timedelta:
    """How often a job comes; a day where its schedule does not say so plainly."""
    seconds = every_seconds(todo.job.schedule)
    return datetime.timedelta(seconds=seconds) if seconds else DAY
