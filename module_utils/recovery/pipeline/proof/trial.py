# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a job runs, run as its role with its settings in a transaction that is rolled back, and whether it had its effect.

A test sale is sent first, so that there is something to load. The command runs inside a function that belongs to the job's
role and runs as its owner: so it can neither end the transaction nor become the role that proves it.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import time
import typing as t

from ...core.errors import NotConverged
from ...core.redaction import clean
from ...core.text import count, cut, first_line, in_words, printable
from ...postgres import acting
from ...postgres.driver import errors, psycopg, sql
from ...postgres.failures import words_of
from ...scout import contract, event_queue, gold_figures, gold_views, remedies, row_hazards
from ...scout.cron_schedule import every_seconds, missed
from ...scout.judging import event_triggers, foreign_code, statements
from .. import apart, battery, bronze_writers, drain, expected, refresh_gold, trial_sale
from . import as_job, captured_gold, evidence, failure, judgement, linked, reading
from .failure import Failed
from .judgement import BESIDE, FAILED, GOLD, LOAD, PROVED, UNKNOWN, Todo, Verdict, tried

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session
    from ...scout.cron_jobs import Job

#: A cancelled refresh of the pipeline leaves its session's lock behind.
UNLOCK = "SELECT pg_catalog.pg_advisory_unlock_all()"
BEGAN = "SELECT transaction_timestamp() AS at"
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
REFRESH = "SELECT pg_catalog.to_jsonb(r)::pg_catalog.text FROM {refresh_function}() AS r"

#: How the pipeline's refresh begins to say that it did not.
REFUSALS: t.Final = ("ERROR", "SKIPPED")

ATTEMPTS: t.Final = 3
#: How long a refresh is let run to see that it begins, and what PostgreSQL then says it was at.
BEGINS_SECONDS: t.Final = 3.0
REFRESHING: t.Final = "REFRESH MATERIALIZED VIEW"
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
LOCK_SECONDS: t.Final = as_job.LOCK_SECONDS
SUSPECTS_ROWS: t.Final = 2000
#: Somebody else was at work at the same time.
COLLISIONS: t.Final = (errors.SerializationFailure, errors.DeadlockDetected, errors.UniqueViolation)
#: One statement that upserts a row twice.
REPEATS: t.Final = "21000"
UNIQUE: t.Final = "23505"
BY_RULE: t.Final = tuple(error.sqlstate for error in battery.RULES)
HOUR: t.Final = datetime.timedelta(hours=1)
BY_DESIGN: t.Final = "A view that leaves out sales by design is named in scout_contract: partial_gold"
COMPARE: t.Final = f"{judgement.compare('its definition')}. {BY_DESIGN}"
CHANGED: t.Final = (
    f"{judgement.compare('its definition')}. Where the change is meant, capture the release that has it. {BY_DESIGN}"
)
#: What a job does that is to leave sales as they are.
CHANGES: t.Final = "it changes sales that are loaded, which are no longer what their events say"


class Trials:
    """The trials of some jobs, in one transaction of which nothing remains."""

    def __init__(
        self, session: Session, loader: Job | None, seconds: float, *, extends: bool = False, scheduled: bool = False
    ) -> None:
        self.session = session
        #: The job that brings a sale into silver, without which no refresh of gold can be seen.
        self.loader = loader
        self.seconds = seconds
        self.runs = as_job.Runs(session, seconds, extends=extends, scheduled=scheduled)
        #: Whether what proves most pipelines is tried, which takes little time and tells of no failure: with sales that come after what is
        #: pending, and the next events of others that are there.
        self.quick = True
        self.unloaded = False
        self.unchanged = 0
        #: What has come into silver, and is to stay there: a plain sale, and one of each kind.
        self.sale: trial_sale.Trial | None = None
        self.copies: list[battery.Copy] = []
        #: What gold showed before any job was tried: one that loads may refresh it as well, and a refresh that is only to be seen to begin
        #: may come to its end.
        self.shown: dict[str, t.Any] = {}
        #: What was wrong with it, where that can be told without computing it.
        self.computed: gold_figures.Computed | None = None
        #: The jobs of others that write what is the pipeline's.
        self.beside: list[Job] = []
        #: Fields that this pipeline fills in ways of its own.
        self.unjudged: list[str] | None = None

    def run(self, todo: Sequence[Todo]) -> dict[int, Verdict]:
        """What each job's trial came to, those that load first, by its id: several jobs may have one name, or none."""
        ordered = sorted(todo, key=lambda each: (each.purpose != LOAD, each.purpose == BESIDE))
        self.beside = [each.job for each in todo if each.purpose == BESIDE]
        for attempt in range(ATTEMPTS):
            found: list[Verdict] = []
            self.runs.begin()
            with self.session.read():
                self.unchanged = evidence.unchanged(self.session)
            self.sale, self.copies, self.unjudged, self.unloaded = None, [], None, False
            try:
                with self.session.write(lock_timeout_seconds=LOCK_SECONDS):
                    found = self._all(ordered)
                    self.session.execute(UNLOCK)
                    raise psycopg.Rollback
            except COLLISIONS:
                if attempt + 1 == ATTEMPTS:
                    raise
                continue
            if attempt + 1 < ATTEMPTS and any(verdict.sqlstate in COLLIDED for verdict in found):
                continue
            if self.quick and self.unloaded:
                self.quick, self.runs.deadline = False, time.monotonic() + self.seconds
                return self.run(todo)
            return {each.job.jobid: verdict for each, verdict in zip(ordered, found, strict=True)}
        return {}

    def _all(self, ordered: Sequence[Todo]) -> list[Verdict]:
        if frozen := event_triggers.refusal(self.session):
            return [tried(each, UNKNOWN, f"was not tried: {frozen}", next_step=frozen.fix) for each in ordered]
        apart.await_writers(self.session, trial_sale.loaded_into(), seconds=LOCK_SECONDS)
        if drawn := apart.shadow(self.session, trial_sale.written()):
            said = f"was not tried: {drawn[0]} takes numbers from a sequence that we may not shadow, and no rollback undoes that"
            step = "look at its next run in cron.job_run_details, or run it again with proof=false"
            return [tried(each, UNKNOWN, said, next_step=step) for each in ordered]
        if any(each.purpose == GOLD for each in ordered):
            views = gold_views.views(self.session)
            self.shown = gold_views.showing_each_sale(self.session, views)
            # Before a sale is sent that changes its day.
            if any(each.shown for each in ordered):
                self.computed = evidence.as_computed(self.session, views)
        verdicts: list[Verdict] = []
        loads = ""
        for each in ordered:
            if each.purpose in (GOLD, BESIDE) and self.sale is None and not loads:
                loads = self._bring()
            how = {BESIDE: self._beside_it, GOLD: functools.partial(self._undone, loads=loads)}
            verdict = how.get(each.purpose, self._one)(each)
            if verdict.purpose == LOAD and verdict.status != PROVED:
                loads = f"{verdict.jobname} {verdict.said}"
            verdicts.append(verdict)
        return verdicts

    def _bring(self) -> str:
        """Has the ETL's job load a sale for gold to show; why it could not."""
        if self.loader is None:
            return "no job loads a sale for it"
        verdict = self._one(Todo(self.loader, LOAD, judgement.TRIAL))
        return "" if verdict.status == PROVED else f"{verdict.jobname} {verdict.said}"

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
            self.unloaded |= todo.purpose == LOAD and e.status == FAILED
            said = f"{done}: {e.said}"
            if todo.purpose == LOAD and e.status == FAILED:
                said = "; ".join([said, *self._in_the_way()])
            return tried(todo, e.status, said, e.sqlstate, e.next_step)
        return tried(todo, PROVED, f"{done}: {effect}")

    def _beside_it(self, todo: Todo) -> Verdict:
        """What a job that is none of the pipeline's does to sales; how else it ends is its owner's."""
        command = cut(printable(clean(todo.job.command)), 100)
        said = f"of {todo.job.owner} writes the pipeline's tables as well: {command}"
        wrong = ""
        if self.sale is not None and not apart.shadow(self.session, apart.tables(self.session)):
            try:
                with self.session.savepoint():
                    wrong = self._wrong_by(todo)
                    raise psycopg.Rollback
            except UNTRIED as e:
                said += f"; what it does to sales could not be tried: {first_line(str(e)) or 'no time is left'}"
        if not wrong:
            return tried(todo, PROVED, said)
        off = f"SELECT cron.alter_job({todo.job.jobid}, active => false) switches it off"
        return tried(todo, FAILED, f"{said}; {wrong}", next_step=off)

    def _wrong_by(self, todo: Todo) -> str:
        """What is wrong with sales that are loaded, and with such as wait, once a job has run."""
        try:
            waiting = [copy for copy in battery.choose(self.session, None) if not copy.made_up]
            battery.send(self.session, waiting, None)
            pending = event_queue.read(self.session).events
            self.runs.execute(todo.job, BESIDE_SECONDS)
        except (psycopg.Error, as_job.TooLate) as e:
            self._require_open(e)
            if isinstance(e, UNTRIED):
                raise
            return ""
        if battery.altered(self.session, [*waiting, *self.copies]):
            return f"it changes events of {contract.names().bronze}"
        if wrong := self._otherwise([copy for copy in self.copies if not copy.made_up]):
            return f"{CHANGES}: {battery.in_words(wrong)}"
        left = self.session.row(contract.compose(LEFT), ids=[copy.event_id for copy in waiting])
        if left["there"] < len(waiting):
            return f"it takes events out of {contract.names().bronze} that are not loaded"
        if left["marked"]:
            return f"it marks events in {contract.names().etl_ledger} that are not loaded"
        if (more := event_queue.read(self.session).events - pending) > 0:
            return f"it takes {count(more, 'loaded event')} out of {contract.names().etl_ledger}, to be loaded again"
        return ""

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
        effect = "it runs"
        if todo.purpose == GOLD:
            effect = self._refreshed(todo, loads)
        else:
            self._execute(todo)
        if self.sale is not None and (lacking := self.sale.landed()):
            # The next job is judged by another one.
            self.sale = None
            raise Failed(FAILED, f"it runs, and of a sale that was there before {lacking}")
        self._require_equal(CHANGES, f"what {todo.job.jobname} calls")
        if todo.job.jobname == contract.names().link_job and (wrong := linked.wrongly(self.session, self._names())):
            raise Failed(FAILED, wrong, next_step=judgement.compare(contract.names().link_function))
        return effect

    def _loaded(self, todo: Todo) -> str:
        """Has a job load a sale, in words what came of it; its effect stays for those that follow."""
        session = self.session
        sale = trial_sale.Trial(session, max(0.001, self.runs.left), todo.job.owner)
        event, why = self._send(sale, todo)
        copies = self._send_copies(sale, todo, lambda at: battery.choose(at, sale.moment)) if event else []
        others = list[battery.Copy]()
        if self.quick:
            others = self._send_copies(sale, todo, lambda _: self._of_others(copies), after=battery.AGAIN)
            self._execute(todo)
        else:
            self._execute_with(todo, copies)
        if event is None:
            raise Failed(UNKNOWN, f"it runs, but no sale could be sent to see it load: {why}")
        command = cut(printable(clean(todo.job.command)), 100)
        if event_queue.not_taken(session, [event]):
            raise Failed(FAILED, f"it ran and loaded nothing, although a sale was pending: its command is {command}")
        etl = contract.names().etl
        if lacking := sale.landed():
            said = f"it marked a sale as processed, and {lacking}"
            raise Failed(FAILED, said, next_step=f"look at {etl}: it marks events that it does not load")
        self._take_all(todo, [*copies, *others])
        self.sale, self.copies = sale, copies
        if not others:
            later = self._send_copies(sale, todo, lambda _: battery.again(copies), after=battery.AGAIN)
            self._execute(todo)
            self._take_all(todo, later)
            self.copies += later
        self._require_equal(judgement.OTHERWISE, etl, others)
        self._age(todo)
        writers = bronze_writers.read(session)
        if refused := bronze_writers.refused(session, writers, event):
            said = f"it loads what comes, and {bronze_writers.in_words(refused)}"
            raise Failed(FAILED, said, next_step="; ".join(each.fix.rstrip(";") for each in refused))
        return f"it loads; {writers.in_vain}" if writers.in_vain else "it loads"

    def _age(self, todo: Todo) -> None:
        """Has sales that were loaded just now be as old as the next jobs may find them: in one transaction all is of the same moment."""
        tables = [contract.names().transactions, contract.names().line_items]
        seconds = min(every_seconds(todo.job.schedule) or MINUTE, MOST_AGED_SECONDS)
        for role in (self.session.facts.role, todo.job.owner):
            try:
                with self.session.savepoint():
                    foreign_code.shut_out(self.session, tables)
                    with acting.as_role(self.session, role):
                        self.session.execute(contract.compose(AGED), names=self._names(), seconds=seconds)
                return
            except (psycopg.Error, NotConverged) as e:
                self._require_open(e)

    def _of_others(self, copies: list[battery.Copy]) -> list[battery.Copy]:
        """The next events of sales that the same ETL has loaded: one that reads all of bronze is not called once more for those of ours."""
        if not copies or self.loader is None:
            return []
        by = acting.actor(self.session, self.loader.owner)
        return battery.of_others(self.session, copies, by, self._unjudged(by), within=self.unchanged - 1)

    def _unjudged(self, by: acting.Actor) -> list[str]:
        if self.unjudged is None:
            self.unjudged = battery.unjudged(self.session, by)
        return self.unjudged

    def _require_equal(self, what: str, by: str, others: Sequence[battery.Copy] = ()) -> None:
        """Raises Failed where silver has other than their events say of the sales that were sent; the next job answers for the others."""
        if wrong := self._otherwise([*self.copies, *others]):
            spoilt = {copy.transaction_id for copy in self.copies if copy.kind in wrong}
            self.copies = [copy for copy in self.copies if copy.transaction_id not in spoilt]
            raise Failed(FAILED, f"{what}: {battery.in_words(wrong)}", next_step=judgement.compare(by))

    def _otherwise(self, copies: list[battery.Copy]) -> dict[str, list[str]]:
        """What silver has otherwise than their events say of these, by what they are one of."""
        if not copies or self.loader is None:
            return {}
        by = acting.actor(self.session, self.loader.owner)
        return battery.differing(self.session, copies, by, self._unjudged(by))

    def _take_all(self, todo: Todo, copies: list[battery.Copy]) -> None:
        """Runs the command until it has taken all of them, for batches may be small; raises Failed where it passes over one."""
        ids = [copy.event_id for copy in copies]
        left = event_queue.not_taken(self.session, ids, most=len(ids))
        # With the plain one.
        batch = len(ids) - len(left) + 1
        while left:
            self._execute(todo)
            before, left = left, event_queue.not_taken(self.session, ids, most=len(ids))
            batch = max(batch, len(before) - len(left))
            if len(left) == len(before):
                kinds = [copy.kind for copy in copies if copy.event_id in left]
                said = f"it loads other sales, and passes over those {'; '.join(kinds[:MOST_NAMED])}"
                raise Failed(FAILED, said, next_step=f"look at the command of the job and at {contract.names().etl}")
        if batch <= len(ids):
            self._require_pace(todo, batch, [*ids, *(copy.event_id for copy in self.copies)])

    def _require_pace(self, todo: Todo, batch: int, ours: list[str]) -> None:
        """Raises Failed where more events arrive, besides ours, than a job loads that takes so few a run."""
        pace = self.session.row(contract.compose(PACE), ours=ours)
        starts = missed(todo.job.schedule, pace["now"], pace["now"] + HOUR)
        if starts and batch * starts < pace["events"]:
            command = cut(printable(clean(todo.job.command)), 100)
            said = f"it loads {count(batch, 'event')} a run, {batch * starts:,} an hour, and {pace['events']:,} arrived within the last one"
            raise Failed(
                FAILED,
                f"{said}: its command is {command}",
                next_step="raise the limit that it gives, or run it more often",
            )

    def _send_copies(
        self, sale: trial_sale.Trial, todo: Todo, choose: t.Callable[[Session], list[battery.Copy]], *, after: int = 0
    ) -> list[battery.Copy]:
        """Sends more sales, after the plain one; raises Failed where bronze takes none."""
        why: list[str] = []
        for role in (self.session.facts.role, todo.job.owner):
            try:
                with self.session.savepoint(), acting.as_role(self.session, role):
                    copies = choose(self.session)
                    altered = battery.send(self.session, copies, sale.moment, after=after)
                break
            except (psycopg.Error, NotConverged) as e:
                self._require_open(e)
                why.append(str(e))
        else:
            raise Failed(UNKNOWN, f"a plain sale could be sent, and no copies of others: {why[0]}")
        if altered:
            said = f"{contract.names().bronze} has other than was sent of sales {battery.kinds(altered)}"
            raise Failed(
                FAILED, said, next_step=f"look at what changes rows of {contract.names().bronze} as they come in"
            )
        return copies

    def _execute_with(self, todo: Todo, copies: list[battery.Copy]) -> None:
        """Runs the command; where it fails with the copies and works without them, tells which one it fails with. A copy that is one
        too many for a unique key says nothing of the pipeline, nor one that is made up and refused by a rule: they are left out."""
        try:
            return self._execute(todo)
        except Failed as e:
            if not copies or e.status != FAILED:
                raise
            failed = e
        ids = [copy.event_id for copy in copies]
        self.session.execute(contract.compose(event_queue.HOLD_BACK_THESE), ids=ids)
        try:
            self._execute(todo)
        except Failed:
            raise failed from None
        for copy in list(copies):
            self.session.execute(contract.compose(event_queue.LET_GO), ids=[copy.event_id])
            try:
                self._execute(todo)
            except Failed as e:
                if e.status != FAILED:
                    raise
                if e.sqlstate != UNIQUE and not (copy.made_up and e.sqlstate in BY_RULE):
                    raise Failed(
                        FAILED, f"it loads a plain sale, and none {copy.kind}: {e.said}", e.sqlstate, e.next_step
                    ) from e
                self.session.execute(contract.compose(event_queue.HOLD_BACK_THESE), ids=[copy.event_id])
                copies.remove(copy)
        return None

    def _send(self, sale: trial_sale.Trial, todo: Todo) -> tuple[str | None, str]:
        """Sends a sale as ourselves, else as the role of the job; why neither may."""
        try:
            # Before we are anybody else: as whom it would run, it could become us again.
            with self.session.savepoint():
                foreign_code.shut_out(self.session, [contract.names().bronze])
        except NotConverged as e:
            return None, e.said
        except psycopg.Error as e:
            self._require_open(e)
            return None, words_of(e)
        why = ""
        for role in (self.session.facts.role, todo.job.owner):
            try:
                with self.session.savepoint(), acting.as_role(self.session, role):
                    return sale.sent(first=not self.quick), ""
            except (psycopg.Error, trial_sale.Unlike) as e:
                self._require_open(e)
                why = why or (words_of(e) if isinstance(e, psycopg.Error) else str(e))
        return None, why

    def _refreshed(self, todo: Todo, loads: str) -> str:
        """Has a job refresh gold; in words which views are newer now."""
        session = self.session
        if loads:
            raise Failed(UNKNOWN, f"no change of silver to show, because {loads}")
        try:
            # Scout's refresh does nothing while another one is under way, which is no fault of the job.
            refresh_gold.take_lock(session)
        except NotConverged as e:
            raise Failed(UNKNOWN, f"it waited {in_words(LOCK_SECONDS)} for a lock: {e.said}", None, e.next_step) from e
        if todo.shown and self._begins(todo):
            return self._asked(f"it begins to refresh gold, {todo.shown}")
        self._execute(todo)
        began = session.row(BEGAN)["at"]
        views = gold_views.views(session)
        if not views:
            said = f"schema {contract.names().schema} has no materialized view"
            raise Failed(FAILED, said, next_step="rollback.yml restores the views, where a release has been captured")
        views = self._not_beside(views)
        times = {view.full_name: gold_views.refreshed_at(session, view) for view in views if view.populated}
        old = [view.full_name for view in views if view.full_name not in times]
        old += [name for name, at in times.items() if at is not None and at < began]
        if old:
            command = cut(printable(clean(todo.job.command)), 100)
            why = self._why_not_refreshed(todo) or f"its command is {command}"
            raise Failed(FAILED, f"it ran and did not refresh {', '.join(old)}, although silver is newer: {why}")
        now = gold_views.showing_each_sale(session, views)
        if same := [name for name, each in now.items() if each == self.shown.get(name, "")]:
            said = f"it refreshes {', '.join(same)}, which does not show a new sale"
            raise Failed(FAILED, said, next_step=judgement.compare("its definition"))
        self._require_alike("is not", self._unlike_silver(todo))
        newer = sum(at is not None for at in times.values())
        return self._beside(f"it refreshes {count(newer, 'view')}" if newer else "it runs", self._days())

    def _beside(self, effect: str, days: Sequence[str], *, refreshed: bool = True) -> str:
        """An effect, and which views were changed since the release and show the same; raises Failed where one shows other figures."""
        beside = captured_gold.beside(self.session, days, refreshed=refreshed)
        if beside.otherwise:
            said = f"gold has other figures than by its definition in release {beside.release}: {'; '.join(beside.otherwise[:MOST_NAMED])}"
            raise Failed(FAILED, f"{effect}, and {said}", next_step=CHANGED)
        same = ", ".join(beside.equal[:MOST_NAMED])
        return (
            f"{effect}; defined otherwise than in release {beside.release}, with the same figures: {same}"
            if same
            else effect
        )

    def _begins(self, todo: Todo) -> bool:
        """Whether the command of a job refreshes a view within a moment, which is as far as it gets."""
        try:
            self.runs.execute(todo.job, BEGINS_SECONDS)
        except errors.QueryCanceled as e:
            # What comes now has its own time again: a view that is slow to compute is asked for some of its days.
            self.session.limit_statements(max(0.001, self.runs.left))
            return REFRESHING in (e.diag.context or "")
        except (psycopg.Error, as_job.TooLate) as e:
            self._require_open(e)
        # Within so short a time it may as well be done once more.
        return False

    def _asked(self, effect: str) -> str:
        """The effect of a refresh that is not made: raises Failed where gold is not what silver has. The views are asked of the days of
        the sales that were sent, by their own queries. Where these do not answer within a moment, what they were computed to last is as
        good, if it is what silver has; else they are asked of one day, for as long as it takes."""
        views, days = gold_views.views(self.session), self._days()
        try:
            with self.session.savepoint():
                self.session.limit_statements(min(expected.LONG_SECONDS, max(0.001, self.runs.left)))
                unlike = gold_figures.unlike_silver(self.session, views, days, defined=True)
        except errors.QueryCanceled:
            self.session.limit_statements(max(0.001, self.runs.left))
            if self.computed is not None and not self.computed.told:
                return self._beside(effect, [day for day in self.computed.days if day not in days])
            days = days[-1:]
            unlike = gold_figures.unlike_silver(self.session, views, days, defined=True)
        self.session.limit_statements(max(0.001, self.runs.left))
        self._require_alike("would not be", unlike)
        return self._beside(effect, days, refreshed=False)

    def _require_alike(self, what: str, unlike: Sequence[str]) -> None:
        if unlike:
            said = f"it refreshes gold, which {what} what silver has: {'; '.join(unlike[:MOST_NAMED])}"
            raise Failed(FAILED, said, next_step=COMPARE)

    def _names(self) -> list[str]:
        """Those of the sales that were sent."""
        return [*([self.sale.sale.transaction_id] if self.sale else []), *(copy.transaction_id for copy in self.copies)]

    def _days(self) -> list[str]:
        return gold_views.days_of(self.session, self._names())

    def _unlike_silver(self, todo: Todo) -> list[str]:
        """What gold says otherwise than silver of the days of the sales that were sent, also where it is refreshed again: what is loaded
        in between is no fault of it."""
        session, days = self.session, self._days()
        views = self._not_beside(gold_views.views(session))
        for _ in range(ATTEMPTS - 1):
            if not gold_figures.unlike_silver(session, views, days):
                return []
            self._execute(todo)
        return gold_figures.unlike_silver(session, views, days)

    def _not_beside(self, views: Sequence[gold_views.View]) -> list[gold_views.View]:
        """Those that no job beside the pipeline refreshes: what that one is for is no fault of another."""
        beside = {name for job in self.beside for _, name in statements.refreshed(job.command)}
        return [view for view in views if view.name not in beside]

    def _why_not_refreshed(self, todo: Todo) -> str:
        """What the pipeline's own refresh says of it, to the role of the job."""
        command, said = contract.compose(REFRESH).as_string(), ""
        with contextlib.suppress(psycopg.Error), self.session.savepoint():
            try:
                runner = self.runs.runner(todo.job.owner, acting.ANSWER)
                answers = self.session.rows(sql.SQL(as_job.CALL).format(name=runner), command=command)
                words = [str(value) for row in answers for value in json.loads(row["said"]).values()]
                said = next((word for word in words if word.startswith(REFUSALS)), "")
            except psycopg.Error as e:
                said = words_of(e)
            raise psycopg.Rollback
        return f"{contract.names().refresh_function} says {printable(said)}" if said else ""

    def _execute(self, todo: Todo) -> None:
        """Runs the command of a job as its role, with its settings; raises Failed where it goes wrong."""
        try:
            self.runs.execute(todo.job)
        except as_job.TooLate:
            raise failure.too_late(self.seconds) from None
        except psycopg.Error as e:
            self._require_open(e)
            self.session.limit_statements(max(0.001, self.runs.left))
            raise self._explained(todo, e) from e

    def _explained(self, todo: Todo, e: psycopg.Error) -> Failed:
        """What an error of a job's command means, by its owner, the events that wait, and the objects it names."""
        owner = self.runs.owner(todo.job.owner)
        if known := failure.of_surroundings(e, owner, self.seconds, LOCK_SECONDS):
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

    def _require_open(self, e: Exception) -> None:
        """Raises the error where the session is lost with it."""
        if self.session.connection.closed:
            raise e


COLLIDED: t.Final = tuple(error.sqlstate for error in COLLISIONS)


def _functions(todo: Todo) -> Sequence[str]:
    """What the command of a job calls, directly or through another."""
    names = contract.names()
    return names.gold_functions if todo.purpose == GOLD else (contract.bare(names.load_function),)
