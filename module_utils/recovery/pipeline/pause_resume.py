# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses the jobs that write silver or gold until none of their runs is in flight, and re-enables exactly what a
pause disabled."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..core.errors import MissingPrivilege, NotConverged
from ..core.redaction import clean
from ..core.text import in_words, printable
from ..ledger import lease
from ..ledger.pauses import close_pause, held_by, open_pause, save_job, save_pause
from ..postgres import acting
from ..postgres.driver import psycopg, sql
from ..postgres.failures import attempting, words_of
from ..scout import contract, cron_jobs, cron_runs, sessions
from . import expected
from .in_flight import Waiting

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ..core.progress import Progress
    from ..ledger.ledger import Ledger
    from ..ledger.pauses import Pause
    from ..ledger.runs import Run
    from ..postgres.session import Row, Session
    from ..scout.cron_jobs import Job
    from ..scout.sessions import Activity

SWITCH_THERE = "SELECT to_regprocedure(%(switch)s) IS NOT NULL AS there"
SWITCH = "SELECT * FROM {control_function}({action}::pg_catalog.text)"

#: pg_cron notices a change within a second and starts jobs at the turn of a minute, or when a run before it ends.
CLOCK = "SELECT extract(second FROM clock_timestamp())::float8 AS second"
TICK_SECONDS = 2.0
#: How long somebody else's load, which no job of ours starts, is waited for where it does nothing.
BARRIER_SECONDS = 30.0
LONGEST_REASON: t.Final = 500


@dataclasses.dataclass(frozen=True)
class State:
    """Ingestion as it is: its jobs and those a pause took, the sessions at work, and the pause in force, if any."""

    jobs: tuple[Job, ...]
    activities: tuple[Activity, ...]
    pause: Pause | None

    @property
    def active(self) -> tuple[Job, ...]:
        """Jobs that can still start."""
        return tuple(job for job in self.jobs if job.starts)

    @property
    def parked(self) -> tuple[Job, ...]:
        """Jobs an unfinished pause keeps from starting while a run of theirs ends."""
        return tuple(job for job in self.jobs if job.parked and job.jobid in self.taken)

    @property
    def taken(self) -> Mapping[int, Row]:
        """The saved entry of each job that the pause in force disabled, by the job's number now."""
        return self.pause.find_entries(self.jobs) if self.pause else {}

    @property
    def name(self) -> str:
        """running while any job can start, pausing while a pause is unfinished, else paused."""
        return "running" if self.active else "pausing" if self.parked else "paused"


def read(session: Session, ledger: Ledger, names: list[str] | None = None) -> State:
    """The state of ingestion on one snapshot. Raises WrongDatabase without pg_cron, and where no job is visible."""
    with attempting("could not read the state of ingestion", on=session.where), session.read():
        cron_jobs.require(session)
        jobs = cron_jobs.ingestion_jobs(session, names)
        pause = open_pause(ledger)
        if pause is not None:
            every = cron_jobs.jobs(session)
            taken = pause.find_entries(every)
            jobs += [job for job in every if job not in jobs and job.jobid in taken]
        return State(tuple(jobs), tuple(sessions.read(session, jobs)), pause)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What would change: jobs to deactivate or to re-enable, and sessions to wait for."""

    jobs: tuple[Job, ...]
    wait_for: tuple[Activity, ...] = ()
    stuck: tuple[Activity, ...] = ()
    note: str = ""
    ends_pause: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.jobs) or self.ends_pause


def plan_pause(before: State, *, leave_after_seconds: float | None) -> Plan:
    """Every job that can start is stopped; sessions older than `leave_after_seconds` are not waited for but reported."""
    working = sessions.in_flight(before.activities)
    stuck = tuple(a for a in working if leave_after_seconds is not None and a.is_stuck(leave_after_seconds))
    waiting = tuple(a for a in working if a not in stuck)
    return Plan((*before.active, *before.parked), waiting, stuck)


def plan_resume(
    before: State,
    names: list[str] | None,
    only_for: tuple[str, str] | None = None,
    operation: str | None = None,
    *,
    takeover: bool = False,
    also: Collection[str] = (),
) -> Plan:
    """The jobs the pause in force took and those that are asked for also, or without one those named; never any other that is off.

    With `only_for`, an actor and an incident, a pause that someone else made for another incident is left in force unless it
    is taken over; with `operation` also one that was not made as a step of that operation.
    """
    off = [job for job in before.jobs if not job.starts]
    if before.pause is None and operation is None and (names or also):
        return Plan(tuple(job for job in off if names or job.jobname in also))
    if before.pause is None:
        note = f"no pause of this toolkit is in force; left inactive as found: {_describe_jobs(off)}" if off else ""
        return Plan((), note=note)
    pause = before.pause
    if only_for is not None and not takeover and not pause.is_ours(*only_for):
        return Plan((), note=f"{pause.actor} paused it for {pause.incident}, so it is theirs to resume")
    if operation is not None and pause.operation != operation:
        return Plan((), note=f"{pause.actor} had already paused it for {pause.incident}, so it stays paused")
    taken = before.taken
    gone = [entry["jobname"] for entry in pause.jobs if entry not in taken.values()]
    note = f"no longer exist, so not resumed: {', '.join(sorted(gone))}" if gone else ""
    return Plan(tuple(job for job in off if job.jobid in taken or job.jobname in also), note=note, ends_pause=True)


def find_unexplained(before: State, todo: Plan, operation: str | None, *, all_off: bool) -> list[Job]:
    """Return the jobs that a resume leaves off so that nothing loads, although no pause is in force then; with `all_off` only
    where no job starts. A step of another operation leaves ingestion as that operation found it."""
    if operation is not None or (before.pause is not None and not todo.ends_pause):
        return []
    resumed = {job.jobid for job in todo.jobs}
    starting = [job for job in before.jobs if job.starts or job.jobid in resumed]
    off = [job for job in before.jobs if job not in starting]
    if not starting:
        return off
    return [] if all_off or any(map(_loads, starting)) else [job for job in off if _loads(job)]


def _loads(job: Job) -> bool:
    names = contract.names()
    return job.jobname == names.load_job or bool(cron_jobs.calls(job.command, [contract.bare(names.load_function)]))


def require_own(ledger: Ledger, before: State, todo: Plan, params: Mapping[str, t.Any]) -> list[str]:
    """What is to be said of the pause that ends; raises PauseHeld for one of somebody else that is resumed by itself, unless it
    is taken over. What an operation resumes it has asked for before it began."""
    pause = before.pause
    if not todo.ends_pause or pause is None:
        return []
    if pause.abandoned:
        return [f"resumed what was left paused: {pause.whose}"]
    if pause.is_own(ledger.controller.actor):
        return []
    if params["takeover"]:
        return [f"took over a pause: {pause.whose}"]
    if params["only_own"] or params["operation"] is not None:
        return []
    # Whoever is still at work is named as such.
    lease.foresee(ledger, takeover=False)
    raise held_by(pause, ledger, "resume")


def require_privileges(session: Session, before: State, todo: Plan, *, pausing: bool) -> None:
    """Raises MissingPrivilege, before anything is written, for what this role could not do or see."""
    with session.read():
        if pausing:
            sessions.require_visibility(session, before.activities)
        cron_jobs.require_grants(session, todo.jobs)


def pause(
    session: Session,
    ledger: Ledger,
    run: Run,
    todo: Plan,
    *,
    names: list[str] | None,
    drain_timeout_seconds: float | None,
    cancel_running: bool,
    leave_after_seconds: float | None,
    progress: Progress,
    reason: str | None = None,
) -> tuple[State, dict[str, t.Any]]:
    """Blocks new runs of the jobs, waits for the work in flight, and returns only when the barrier holds.

    A job whose run is in flight is parked on a date that never comes until the run has ended, because pg_cron
    cancels the run of a job that is made inactive. The job of a stuck run, which is not waited for, stays parked: once
    that has been ended, a second pause completes the first. Raises NotConverged, with nothing resumed, at the timeout.
    """
    waiting = Waiting(
        session, run, names, drain_timeout_seconds, leave_after_seconds, cancel=cancel_running, progress=progress
    )
    if todo.jobs and not ledger.present and not cancel_running:
        # Nothing would remember the schedule of a parked job, so a gap between two runs is waited for instead.
        waiting.wait()
    switch: dict[str, t.Any] = {"called": False, "said": "there was nothing to disable"}
    may_park = ledger.present and not cancel_running
    stuck = frozenset(activity.pid for activity in todo.stuck) if may_park else frozenset[int]()
    everyone = may_park
    parked: frozenset[int] = frozenset()
    while todo.jobs:
        switch, parked, waited = _stop(session, ledger, run, todo, stuck=stuck, everyone=everyone, reason=reason)
        _settle(session, todo, progress)
        if not waited:
            break
        waiting.wait()
        # A run that fell due meanwhile starts when the one in flight ends, and is waited for as well.
        _settle(session, todo, progress)
        waiting.wait()
        everyone = False
    waiting.wait()
    after = read(session, ledger, names)
    if after.active or {job.jobid for job in after.parked} - parked:
        raise NotConverged(
            "could not pause ingestion",
            on=session.where,
            said=f"still active after being deactivated: {_describe_jobs((*after.active, *after.parked))}",
            next_step="something re-activates them: look for it in cron.job_run_details, then run the same command again",
            result={"state": after.name},
        )
    return after, {"switch": switch, "waited_for": [a.as_dict() for a in waiting.seen.values()]}


def _stop(
    session: Session,
    ledger: Ledger,
    run: Run,
    todo: Plan,
    *,
    stuck: frozenset[int],
    everyone: bool,
    reason: str | None = None,
) -> tuple[dict[str, t.Any], frozenset[int], bool]:
    """Deactivates the jobs, or parks those whose run is in flight, in one transaction that records how each of them was; where
    pg_cron is in another database that is recorded first, so that whoever runs it again, or resumes, knows.

    Parks the jobs of stuck runs, and with `everyone` those of all runs. Returns what the switch said, the jobs parked,
    and whether one of them has a run that is worth waiting for.
    """
    with attempting("could not pause ingestion", on=session.where), session.write():
        found = _current(session, todo.jobs)
        runs = [r for r in cron_runs.runs_in_flight(session, found) if everyone or r.pid in stuck]
        running = frozenset(r.jobid for r in runs)
        switch: dict[str, t.Any] = {"called": False, "said": "not called yet: work is in flight"}
        if not running:
            switch = _call_switch(session, "pause")
        taken = [job for job in found if job.starts]
        save_pause(
            ledger,
            run,
            [save_job(job) for job in taken],
            switched=switch["called"],
            reason=clean(printable(reason or ""))[:LONGEST_REASON] or None,
        )
        in_force = open_pause(ledger)
        if session.beside() is None:
            _switch_off(session, run, todo, running, in_force)
    if session.beside() is not None:
        # Within one that holds the lease.
        with attempting("could not pause ingestion", on=session.where), session.write():
            _switch_off(session, run, todo, running, in_force)
    return switch, running, any(r.pid not in stuck for r in runs)


def _switch_off(session: Session, run: Run, todo: Plan, running: frozenset[int], in_force: Pause | None) -> None:
    """Deactivates or parks the jobs, all or none, and records that it did."""
    with session.at_cron(writing=True):
        # Read again, because the switch may have done it, though never the schedule of a parked job.
        for job in _current(session, todo.jobs):
            if job.jobid in running:
                cron_jobs.alter(session, job, active=True, schedule=cron_jobs.NEVER)
            elif job.active or job.parked:
                cron_jobs.alter(session, job, active=False, schedule=_original_schedule(in_force, job))
    run.record(deactivated=[job.jobname for job in todo.jobs], stuck=[a.as_dict() for a in todo.stuck])


def resume(session: Session, ledger: Ledger, run: Run, before: State, todo: Plan) -> tuple[State, dict[str, t.Any]]:
    """Re-enables exactly the planned jobs in one transaction, so that the scheduler never sees another set; all or
    none. Raises NotConverged where one stays inactive. Where pg_cron is in another database the pause ends after that: a second
    resume ends it."""
    switch: dict[str, t.Any] = {"called": False, "said": "the pause did not call it either"}
    with attempting("could not resume ingestion", on=session.where), session.write():
        with session.at_cron(writing=True):
            wanted = {job.jobid: (job.active, job.schedule) for job in cron_jobs.jobs(session)}
            wanted |= {job.jobid: (True, _original_schedule(before.pause, job)) for job in todo.jobs}
            if before.pause is not None and before.pause.switched:
                switch = _call_switch(session, "resume")
            for job in cron_jobs.jobs(session):
                active, schedule = wanted.get(job.jobid, (job.active, job.schedule))
                if (job.active, job.schedule) != (active, schedule):
                    cron_jobs.alter(session, job, active=active, schedule=schedule)
            off = [job for job in _current(session, todo.jobs) if not job.active]
            if off:
                raise NotConverged(
                    "could not resume ingestion, so none of its jobs was resumed",
                    on=session.where,
                    said=f"still inactive after being activated: {_describe_jobs(off)}",
                    next_step="something deactivates them, such as a trigger on cron.job: stop it, then resume_ingestion.yml",
                    result={"state": before.name},
                )
        if before.pause is not None:
            close_pause(ledger, run, before.pause)
        run.record(activated=[job.jobname for job in todo.jobs])
    with attempting("could not read the state of ingestion", on=session.where), session.read():
        after = dataclasses.replace(before, jobs=tuple(_current(session, before.jobs)), pause=open_pause(ledger))
    return after, {"switch": switch}


def require_barrier(session: Session, ledger: Ledger, names: list[str] | None, progress: Progress) -> None:
    """Returns once every ingestion job is inactive and nobody else loads silver or refreshes gold; waits a while for those who
    do. Raises NotConverged, naming them, where they do not come to an end, and at once where a job can start."""
    began, longest = time.monotonic(), 0.0
    while True:
        state = read(session, ledger, names)
        working = sessions.in_flight(state.activities)
        able = [f"job {job.jobname} is active" for job in (*state.active, *state.parked)]
        if not able and not working:
            return
        waited = time.monotonic() - began
        said = "; ".join(able + [activity.describe() for activity in working])
        if waited >= BARRIER_SECONDS and not longest:
            with session.read():
                longest = expected.longest_seconds(session)
        most = longest if sessions.end_by_themselves(working, state.activities, waited) else BARRIER_SECONDS
        if able or (waited >= BARRIER_SECONDS and waited >= most):
            raise NotConverged(
                "refused: ingestion is not paused",
                on=session.where,
                said=said if able else f"all jobs are off, but after {in_words(waited)} somebody still loads: {said}",
                next_step=(
                    "pause_ingestion.yml, then run the same command again"
                    if able
                    else "stop what starts it, or wait for its end, then run the same command again: it goes on and resumes"
                ),
            )
        progress.say_throttled(f"all jobs are off, waiting for whoever loads besides: {said}")
        progress.wait(0.1)


def _current(session: Session, of: Iterable[Job]) -> list[Job]:
    wanted = {job.jobid for job in of}
    return [job for job in cron_jobs.jobs(session) if job.jobid in wanted]


def _original_schedule(pause: Pause | None, job: Job) -> str:
    """What a parked job's schedule was before a pause parked it."""
    if not job.parked:
        return job.schedule
    entries = pause.find_entries([job]) if pause else {}
    if job.jobid in entries:
        schedule: str = entries[job.jobid]["schedule"]
        return schedule
    raise NotConverged(
        f"cannot restore the schedule of job {job.jobname}",
        said="an unfinished pause parked it and no ledger has its schedule",
        next_step=f"SELECT cron.alter_job({job.jobid}, schedule => '<its schedule>')",
    )


def _call_switch(session: Session, action: str) -> dict[str, t.Any]:
    """Calls the pipeline's own switch; its answer is reported, never believed."""
    try:
        with session.savepoint():
            if not session.row(SWITCH_THERE, switch=contract.names().switch)["there"]:
                return {"called": False, "said": f"{contract.names().switch} does not exist"}
            by = acting.actor(session, cron_jobs.etl_owner(session))
            answer = acting.call(session, by, contract.compose(SWITCH, action=sql.Literal(action)))
    except MissingPrivilege as e:
        return {"called": False, "said": str(e)}
    except psycopg.Error as e:
        if session.connection.closed:
            raise
        return {"called": False, "said": words_of(e)}
    return {"called": True, "said": str(answer[0].get("message", "")) if answer else ""}


def _settle(session: Session, todo: Plan, progress: Progress) -> None:
    """Waits out the scheduler's tick where a start could already be on its way."""
    if start_is_near(todo, session.row(CLOCK)["second"]):
        progress.wait(TICK_SECONDS)


def start_is_near(todo: Plan, second: float) -> bool:
    """Whether, in this second of the minute, one of the jobs could be about to start."""
    by_seconds = any("second" in job.schedule.lower() for job in todo.jobs)
    return by_seconds or bool(todo.wait_for) or second < 1.0 or second > 58.5


def _describe_jobs(jobs: Iterable[Job]) -> str:
    """The names of the jobs, `a, b`."""
    return ", ".join(job.jobname for job in jobs) or "none"


def diff(before: State, after: Iterable[Job]) -> dict[str, dict[str, str]]:
    """Jobs before and after, for --diff."""
    names = {job.jobid: job for job in before.jobs}

    def shown(jobs: Iterable[Job]) -> dict[str, str]:
        return {job.jobname: "active" if job.starts else "inactive" for job in jobs}

    return {"before": shown(names.values()), "after": shown(after)}
