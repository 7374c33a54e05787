# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that proves a running pipeline, from options to a result."""

from __future__ import annotations

import dataclasses
import datetime
import time
import typing as t

from ...core.errors import DatabaseError, NotConverged, Stopped
from ...core.results import ModuleResult
from ...core.text import count, in_words
from ...postgres.failures import attempting
from ...scout import at_commit, gold_views
from .. import expected as estimates
from .. import kept
from . import evidence, judgement, reading
from .judgement import CHANGED, FAILED, GOLD, LATEST, LOAD, OTHER, PROVED, RUN, TRIAL, UNKNOWN, Todo, Verdict
from .trial import Trials

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...core.errors import RecoveryError
    from ...invoke import Call, Params

#: How long runs are waited for until they begin.
WAIT_SECONDS: t.Final = 90.0
#: How late one may begin that is due within that time.
STARTS_SECONDS: t.Final = 10.0
POLL_SECONDS: t.Final = 0.5
SAID_EVERY_SECONDS: t.Final = 4.0
#: pg_cron records the end of the first of several statements; what the others did shows a little later.
SETTLES_SECONDS: t.Final = 5.0

DAY: t.Final = datetime.timedelta(days=1)

RESET: t.Final = "emergency_reset.yml"
AGAIN: t.Final = f"then {RESET}"
#: What a reset quarantines, or loads one after the other.
OF_DATA: t.Final = ("21", "22", "23")
LOOK: t.Final = "assess.yml shows whether its next run works"


class ProofResult(ModuleResult):
    """What scout_proof_info returns."""

    proven: bool
    status: str
    state: t.NotRequired[str]
    waits: bool
    jobs: list[dict[str, t.Any]]
    error: dict[str, t.Any] | None
    seconds: t.NotRequired[float]
    effects: t.NotRequired[dict[str, int]]
    reload: t.NotRequired[str]


class _State(t.TypedDict):
    """How ingestion was when the proof began."""

    state: str


def prove(call: Call, params: Params) -> ProofResult:
    """Whether the jobs that load silver and refresh gold work by themselves: the proof of each, and what they came to.

    Waits for their next runs for at most `timeout_seconds`; in check mode says only what it would wait for.
    What is not proved is a result with an `error`, so that the caller can pause again. Raises Stopped while it waits, with
    ingestion left as it is; MissingPrivilege where no job can be seen; WrongDatabase without pg_cron.
    """
    began = time.monotonic()
    if not params["wanted"]:
        return _nothing("unproven, because proof=false")
    with attempting("could not see what is to be proved", on=call.session.where):
        found = reading.read(call.session, params["jobs"])
    if params["if_running"] and not found.running:
        return {**_nothing(""), **_state(found)}
    wait = params["timeout_seconds"] or WAIT_SECONDS
    # An event that waits shows only by a later run that runs still come.
    waits = params["waits"] or (found.scheduler.installed and bool(reading.waiting(call.session)))
    todo = judgement.plan(found.jobs, found.scheduler, wait, waits=waits, unseen=found.why_unseen)
    if call.check:
        return _planned(found, todo)
    proof = _Proof(call, found, todo, params["timeout_seconds"], params["changes"])
    try:
        # Who names jobs says which they are, unless those are known to be a part.
        seen = found.whole if params["jobs"] else found.jobs
        nothing = judgement.unproved(seen, found.elsewhere) if seen or not params["jobs"] else []
        nothing += judgement.unrefreshed(found.jobs) if params["refreshes"] else []
        verdicts = [*nothing, *proof.made()]
    except Stopped as e:
        e.result = {**_state(found), "changed": False, "proven": False, "status": "unproven", "waits": True, "jobs": []}
        e.said = "ingestion is running, unproven: no run was waited for to its end"
        e.next_step = LOOK
        raise
    status = judgement.overall(verdicts)
    owners = {job.jobname: job.owner for job, _ in found.jobs}
    error = _error(call, status, verdicts, owners)
    return {
        **_state(found),
        "changed": False,
        "proven": status == PROVED,
        "status": status,
        "waits": any(each.how == RUN for each in todo),
        "jobs": [verdict.as_dict() for verdict in verdicts],
        "error": error.as_dict() if error else None,
        "seconds": round(time.monotonic() - began, 3),
        "summary": _told(found, verdicts),
        "reload": proof.reload,
        "effects": {name: sum(v.status == name for v in verdicts) for name in (PROVED, CHANGED, FAILED, UNKNOWN)},
    }


def _told(found: reading.Found, verdicts: list[Verdict]) -> str:
    """What the proof came to, and where it had to do without runs, what shows them."""
    return judgement.summary(verdicts) + (f"; no run can be seen: {found.why_unseen}" if found.unseen else "")


def _nothing(why: str) -> ProofResult:
    """Where nothing is to be proved."""
    return {
        "changed": False,
        "proven": False,
        "status": "skipped",
        "waits": False,
        "jobs": [],
        "error": None,
        "summary": why,
    }


def _state(found: reading.Found) -> _State:
    """How ingestion was when the proof began."""
    return {"state": "running" if found.running else "paused"}


def _planned(found: reading.Found, todo: list[Todo]) -> ProofResult:
    """What would be waited for."""
    return {
        **_state(found),
        "changed": False,
        "proven": False,
        "status": "planned",
        "waits": any(each.how == RUN for each in todo),
        "jobs": [{"jobname": each.job.jobname, "purpose": each.purpose, "how": each.how} for each in todo],
        "error": None,
        "summary": judgement.announced(todo, found.scheduler.now),
    }


def _error(call: Call, status: str, verdicts: list[Verdict], owners: Mapping[str, str]) -> RecoveryError | None:
    """What is to be said where it is not proved that the pipeline works, with whose jobs these are."""
    if status == PROVED:
        return None
    wrong = [verdict for verdict in verdicts if verdict.status == status]
    steps = list(dict.fromkeys(verdict.next_step for verdict in wrong if verdict.next_step))
    step = steps[0] if steps else ""
    attempted = "cannot tell whether the pipeline works by itself"
    if status == CHANGED:
        attempted = "the pipeline works, and writes something else than before"
    elif status == FAILED:
        attempted = "the pipeline does not work by itself"
        data = any((verdict.sqlstate or "")[:2] in OF_DATA for verdict in wrong)
        # All of them come before the reset, which would fail for want of the next one.
        whose = " or ".join(sorted({owners[verdict.jobname] for verdict in wrong if verdict.jobname in owners}))
        fixed = f"whoever deploys what runs as {whose or 'the pipeline'} fixes what it says, {AGAIN}"
        step = f"{'; '.join(steps)}; {AGAIN}" if steps else RESET if data else fixed
    return NotConverged(
        attempted,
        on=call.session.where,
        said=judgement.summary(wrong),
        sqlstate=next((verdict.sqlstate for verdict in wrong if verdict.sqlstate), None),
        next_step=step or LOOK,
    )


@dataclasses.dataclass
class _Proof:
    """The proof of some jobs."""

    call: Call
    found: reading.Found
    todo: list[Todo]
    given: float | None
    #: Columns that a deployment means to change.
    meant: list[str]
    #: How to load again what a rolled-back release loaded differently.
    reload: str = ""

    def made(self) -> list[Verdict]:
        """What the proof of each job came to, in their order."""
        verdicts: dict[int, Verdict] = {}
        session = self.call.session
        before, loaded = at_commit.waiting(session), kept.look(session)
        runs = [each for each in self.todo if each.how == RUN]
        trials = [each for each in self.todo if each.how == TRIAL]
        latest: list[Todo] = []
        for each in self.todo:
            if each.how == LATEST:
                seen, _ = reading.runs(self.call.session, [each.job], 0)
                verdict = judgement.of_latest(each, seen, self.found.scheduler)
                if verdict is None:
                    trials.append(dataclasses.replace(each, how=TRIAL, why="it has not run yet"))
                else:
                    latest.append(each)
                    verdicts[each.job.jobid] = verdict
        if runs:
            verdicts |= self._waited(runs, trials)
        if latest or (trials and not runs):
            verdicts |= self._with_effects(latest, verdicts, [], [] if runs else trials)
        # Whoever starts nothing was alive once: what ran then, or can be tried, is no proof that it is.
        if self.found.scheduler.installed and not runs and (why := reading.why_silent(self.call.session, certain=True)):
            verdicts |= {each.job.jobid: judgement.muted(each, why) for each in (*latest, *trials)}
        self._judge_schedules(verdicts)
        if before and (stuck := before & at_commit.waiting(session)):
            working = [each for each in self.todo if verdicts[each.job.jobid].status == PROVED]
            verdicts |= {each.job.jobid: judgement.unended(each, len(stuck)) for each in working}
        gone = kept.missing_since(session, loaded)
        lost = [judgement.emptied(gone, reading.removers(session))] if gone else []
        return [*(verdicts[each.job.jobid] for each in self.todo), *lost]

    def _judge_schedules(self, verdicts: dict[int, Verdict]) -> None:
        """A job that works, and comes so seldom that events wait for longer than is allowed."""
        if seldom := judgement.seldom(self.todo, self.found.scheduler):
            todo, start, end = seldom
            if verdicts[todo.job.jobid].status == PROVED and reading.arrived(self.call.session, start - DAY, end - DAY):
                silent = (end - start).total_seconds()
                usual = reading.usual_wait(self.call.session)
                verdicts[todo.job.jobid] = judgement.too_seldom(todo, verdicts[todo.job.jobid], silent, usual)

    def _tried(self, todo: list[Todo]) -> dict[int, Verdict]:
        """Trials of jobs that no run can prove now."""
        names = ", ".join(each.job.jobname for each in todo)
        if self.found.scheduler.installed:
            self.call.progress.say(
                f"trying {names}, rolled back: {'; '.join(dict.fromkeys(t.why for t in todo if t.why))}"
            )
        loaders = [job for job, purpose in self.found.jobs if purpose == LOAD and job.active]
        proved = self._by_run_in_flight(todo)
        todo = [each for each in todo if each.job.jobid not in proved]
        try:
            with attempting(f"could not try {names}", on=self.call.session.where):
                todo, seconds = self._priced(todo)
                loader = loaders[0] if loaders else None
                real = self.found.scheduler.installed
                trials = Trials(
                    self.call.session, loader, seconds, extends=not self.given, scheduled=real, meant=self.meant
                )
                tried = trials.run(todo) if todo else {}
                self.reload = trials.reload
                return proved | tried
        except DatabaseError as e:
            # A server that is too busy for a trial says nothing of the jobs, nor of those that ran.
            said = f"could not be tried: {e.said}" + (f" (SQLSTATE {e.sqlstate})" if e.sqlstate else "")
            return proved | {
                each.job.jobid: judgement.tried(each, UNKNOWN, said, e.sqlstate, e.next_step) for each in todo
            }

    def _by_run_in_flight(self, todo: list[Todo]) -> dict[int, Verdict]:
        """Of jobs that refresh gold at this very moment, and have it refreshed when they are done: a trial would only wait for them."""
        refreshing = [each for each in todo if each.purpose == GOLD]
        if not refreshing or not self.found.scheduler.installed:
            return {}
        session, found = self.call.session, dict[int, Verdict]()
        deadline = time.monotonic() + self._patience(refreshing)
        for each in refreshing:
            runid = reading.in_flight(session, each.job)
            while runid and time.monotonic() < deadline:
                runs, _ = reading.runs(session, [each.job], runid - 1)
                # Its record may be deleted meanwhile.
                run = next(iter(runs), None)
                if run is None or run.over:
                    if run is not None and run.status == "succeeded" and self._refreshed_since(run.started):
                        ran = judgement.of_run(dataclasses.replace(each, how=RUN), run)
                        found[each.job.jobid] = dataclasses.replace(ran, said=f"{ran.said} and refreshed gold")
                    break
                self.call.progress.say_throttled(f"{each.job.jobname} is running since {judgement.clock(run.started)}")
                self.call.progress.wait(POLL_SECONDS)
        return found

    def _priced(self, todo: list[Todo]) -> tuple[list[Todo], float]:
        """These, of which those are not run once more that take long and have just shown the same; and how long they may take."""
        session = self.call.session
        with session.read():
            gold = estimates.gold_seconds(session)
            if gold > estimates.LONG_SECONDS:
                todo = [
                    dataclasses.replace(each, shown=evidence.refreshed(session, each.job))
                    if each.purpose == GOLD
                    else each
                    for each in todo
                ]
            return todo, self.given or estimates.longest_seconds(session)

    def _waited(self, todo: list[Todo], trials: list[Todo]) -> dict[int, Verdict]:
        """Waits for a run of each job; one whose effect cannot be seen is tried besides, with the others that are to be tried."""
        session, progress = self.call.session, self.call.progress
        jobs = [each.job for each in todo]
        pending = reading.waiting(session)
        spoken = began = time.monotonic()
        patience, starts = self._patience(todo), self._starts(todo)
        progress.say(judgement.announced(todo, self.found.scheduler.now))
        verdicts: dict[int, Verdict] = {}
        while True:
            runs, now = reading.runs(session, jobs, self.found.newest)
            for each in todo:
                if each.job.jobid in verdicts:
                    continue
                run = next((run for run in runs if run.jobid == each.job.jobid and run.over), None)
                if run is not None:
                    verdicts[each.job.jobid] = judgement.of_run(each, run)
            begun = {run.jobid for run in runs} - verdicts.keys()
            left = began + (patience if begun else starts) - time.monotonic()
            if len(verdicts) == len(todo) or left <= 0:
                break
            if time.monotonic() - spoken >= SAID_EVERY_SECONDS:
                spoken = time.monotonic()
                progress.say(self._still([each for each in todo if each.job.jobid not in verdicts], begun, now, left))
            progress.wait(min(POLL_SECONDS, left))
        for each in todo:
            if each.job.jobid not in verdicts:
                running = next((run for run in runs if run.jobid == each.job.jobid), None)
                why = "" if running else reading.why_silent(session)
                waited = patience if running else starts
                usual = reading.usual_seconds(session, each.job) if running else None
                verdicts[each.job.jobid] = judgement.missing(each, running, waited, why, self.found.unknown, usual)
        return self._with_effects(todo, verdicts, pending, trials)

    def _starts(self, todo: list[Todo]) -> float:
        """How long runs are waited for that have not begun, the last of which may be due at the very end of it."""
        due = [(each.due - self.found.scheduler.now).total_seconds() for each in todo if each.due]
        return self.given or max([WAIT_SECONDS, *(seconds + STARTS_SECONDS for seconds in due)])

    def _patience(self, todo: list[Todo]) -> float:
        """How long runs are waited for where one has begun: one that takes long by nature is no fault of it, and none is stuck before
        its session counts as stuck."""
        if self.given:
            return self.given
        with self.call.session.read():
            return self._starts(todo) + estimates.longest_seconds(self.call.session)

    def _still(self, todo: list[Todo], begun: set[int], now: datetime.datetime, left: float) -> str:
        """What is still waited for."""
        told = [
            f"{each.job.jobname} is running"
            if each.job.jobid in begun
            else f"{each.job.jobname} is due in {in_words(max(0.0, (each.due - now).total_seconds()))}"
            for each in todo
            if each.due
        ]
        return f"{', '.join(told)}; {in_words(left)} left"

    def _with_effects(
        self, todo: list[Todo], verdicts: dict[int, Verdict], pending: list[str], trials: list[Todo]
    ) -> dict[int, Verdict]:
        """A run that says it succeeded must have done something, where there was anything to do; with what the other trials come to."""
        unseen: list[Todo] = []
        loaded: list[Todo] = []
        for each in todo:
            verdict = verdicts[each.job.jobid]
            if verdict.status != PROVED or (each.purpose == OTHER and each.how == RUN):
                continue
            if each.purpose == LOAD and pending:
                left = self._left_of(pending)
                if gone := reading.vanished(self.call.session, pending):
                    verdicts[each.job.jobid] = judgement.vanished(verdict, gone, reading.removers(self.call.session))
                elif left == len(pending):
                    what = f"{count(left, 'event')} that waited for it {'is' if left == 1 else 'are'} still pending"
                    verdicts[each.job.jobid] = judgement.without_effect(each, verdict, what)
                else:
                    verdicts[each.job.jobid] = dataclasses.replace(
                        verdict, said=f"{verdict.said} and loaded what waited"
                    )
                    loaded.append(each)
            elif each.purpose == GOLD and self._refreshed_since(verdict.started):
                verdicts[each.job.jobid] = dataclasses.replace(verdict, said=f"{verdict.said} and refreshed gold")
            else:
                unseen.append(each)
        return verdicts | self._besides(unseen, loaded, verdicts, trials)

    def _besides(
        self, unseen: list[Todo], loaded: list[Todo], verdicts: dict[int, Verdict], trials: list[Todo]
    ) -> dict[int, Verdict]:
        """What trials say besides of jobs whose runs had no effect to be seen, and of those that loaded some sales, and of the others: all
        in one, in which a sale is loaded once."""
        if not (unseen or loaded or trials):
            return {}
        idle = [dataclasses.replace(each, why="its run had nothing to do") for each in unseen]
        kinds = [dataclasses.replace(each, why="to compare what it writes") for each in loaded]
        found = self._tried([*idle, *kinds, *trials])
        for each in (*unseen, *loaded):
            judged = judgement.with_replay if each in loaded else judgement.besides
            found[each.job.jobid] = judged(verdicts[each.job.jobid], found[each.job.jobid])
        return found

    def _left_of(self, pending: list[str]) -> int:
        """How many of these events are still pending once a run has settled."""
        deadline = time.monotonic() + SETTLES_SECONDS
        while (left := reading.still_waiting(self.call.session, pending)) == len(pending):
            if time.monotonic() >= deadline:
                break
            self.call.progress.wait(POLL_SECONDS)
        return left

    def _refreshed_since(self, moment: datetime.datetime | None) -> bool:
        """Whether every view carries a time of refresh that is not before this."""
        session = self.call.session
        with session.read():
            times = [gold_views.refreshed_at(session, view) for view in gold_views.views(session) if view.populated]
        return moment is not None and bool(times) and all(at is not None and at >= moment for at in times)
