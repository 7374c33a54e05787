# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses the jobs that write silver or gold until nothing of theirs runs, and gives back exactly what a pause took."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import scheduler, sessions
from .connection import attempting
from .errors import NotReached
from .pg import psycopg
from .progress import count, in_words

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .connection import Session
    from .ledger import Ledger, Pause, Run
    from .progress import Progress
    from .scheduler import Job
    from .sessions import Activity

SWITCH_THERE = "SELECT to_regprocedure('scout.control_ingestion(text)') IS NOT NULL AS there"
SWITCH = "SELECT * FROM scout.control_ingestion(%(action)s)"

#: pg_cron notices a change within a second and starts jobs at the turn of a minute, or when a run before it ends.
CLOCK = "SELECT extract(second FROM clock_timestamp())::float8 AS second"
TICK_SECONDS = 2.0


@dataclasses.dataclass(frozen=True)
class State:
    """Ingestion as it is: its jobs, the sessions at work, and the pause in force, if any."""

    jobs: tuple[Job, ...]
    activities: tuple[Activity, ...]
    pause: Pause | None

    @property
    def active(self) -> tuple[Job, ...]:
        """Jobs that can still start."""
        return tuple(job for job in self.jobs if job.active and not job.parked)

    @property
    def parked(self) -> tuple[Job, ...]:
        """Jobs an unfinished pause keeps from starting while a run of theirs ends."""
        return tuple(job for job in self.jobs if job.active and job.parked)

    @property
    def name(self) -> str:
        """running while any job can start, else paused."""
        return "running" if self.active else "paused"


def read(session: Session, ledger: Ledger, names: list[str] | None = None) -> State:
    """The state of ingestion on one snapshot; refuses a database without pg_cron or without visible jobs."""
    with attempting("could not read the state of ingestion", on=session.where), session.read():
        scheduler.require(session)
        jobs = scheduler.ingestion_jobs(session, names)
        activities = sessions.read(session, jobs)
        return State(tuple(jobs), tuple(activities), ledger.open_pause())


@dataclasses.dataclass(frozen=True)
class Plan:
    """What would change: jobs to deactivate or to give back, and sessions to wait for."""

    jobs: tuple[Job, ...]
    wait_for: tuple[Activity, ...]
    stuck: tuple[Activity, ...]
    note: str = ""
    ends_pause: bool = False

    @property
    def changes(self) -> bool:
        """Whether anything has to be written."""
        return bool(self.jobs) or self.ends_pause


def plan_pause(before: State, *, leave_after_seconds: float | None) -> Plan:
    """Every job that can start is stopped; sessions older than `leave_after_seconds` are not waited for but reported."""
    working = sessions.in_flight(before.activities)
    stuck = tuple(a for a in working if leave_after_seconds is not None and a.seconds >= leave_after_seconds)
    waiting = tuple(a for a in working if a not in stuck)
    return Plan((*before.active, *before.parked), waiting, stuck)


def plan_resume(before: State, explicit: list[str] | None, only_for: tuple[str, str] | None = None) -> Plan:
    """The jobs the pause in force took, or those named; never any other that is off.

    With `only_for`, an actor and an incident, a pause that someone else made for another incident is left in force.
    """
    if explicit:
        return Plan(tuple(job for job in before.jobs if not job.active or job.parked), (), ())
    if before.pause is None:
        off = [job.jobname for job in before.jobs if not job.active]
        note = f"no pause of this toolkit is in force; left off as found: {', '.join(off)}" if off else ""
        return Plan((), (), (), note)
    if only_for is not None and not _made_for(before.pause, *only_for):
        pause = before.pause
        return Plan((), (), (), f"{pause.actor} paused it for {pause.incident}, so it is theirs to resume")
    taken = {job["jobid"] for job in before.pause.jobs}
    names = {job["jobname"] for job in before.pause.jobs}
    jobs = tuple(
        job for job in before.jobs if (job.jobid in taken or job.jobname in names) and (not job.active or job.parked)
    )
    gone = names - {job.jobname for job in before.jobs}
    note = f"no longer there to be resumed: {', '.join(sorted(gone))}" if gone else ""
    return Plan(jobs, (), (), note, ends_pause=True)


def _made_for(pause: Pause, actor: str, incident: str) -> bool:
    return pause.actor == actor or (pause.incident == incident and incident != "adhoc")


def pause(
    session: Session,
    ledger: Ledger,
    run: Run,
    todo: Plan,
    *,
    names: list[str] | None,
    drain_timeout_seconds: float,
    cancel_running: bool,
    leave_after_seconds: float | None,
    progress: Progress,
) -> tuple[State, dict[str, t.Any]]:
    """Stops every start of the jobs, waits for the work in flight, and returns only when the barrier stands.

    A job whose run is in flight is parked on a date that never comes until the run has ended, because pg_cron
    cancels the run of a job that is made inactive. Raises NotReached, with nothing resumed, at the timeout.
    """
    began = time.monotonic()
    running = {a.job for a in todo.wait_for if a.job}
    busy = bool(todo.wait_for) and not cancel_running
    switch: dict[str, t.Any] = {"called": False, "said": "not called yet: work is in flight"}
    if busy and not ledger.present:
        # Nothing would remember the schedule of a parked job, so a gap between two runs is waited for instead.
        _wait(session, names, drain_timeout_seconds, cancel_running, leave_after_seconds, progress, began)
        busy = False
    if todo.jobs:
        with attempting("could not pause ingestion", on=session.where), session.write():
            ledger.save_pause(run, [_saved(job) for job in todo.jobs if not job.parked], switched=False)
            if not busy:
                switch = _call_switch(session, "pause")
                ledger.save_pause(run, [], switched=switch["called"])
            for job in _current(session, todo.jobs):
                if job.active and busy and job.jobname in running:
                    scheduler.alter(session, job, active=True, schedule=scheduler.NEVER)
                elif job.active and not job.parked:
                    scheduler.alter(session, job, active=False, schedule=job.schedule)
            run.record(deactivated=[job.jobname for job in todo.jobs])
    _settle(session, todo, progress)
    waited_for = _wait(session, names, drain_timeout_seconds, cancel_running, leave_after_seconds, progress, began)
    if busy and todo.jobs:
        with attempting("could not complete the pause", on=session.where), session.write():
            switch = _call_switch(session, "pause")
            ledger.save_pause(run, [], switched=switch["called"])
            for job in _current(session, todo.jobs):
                if job.active:
                    scheduler.alter(session, job, active=False, schedule=_original_schedule(ledger, job, todo))
        _settle(session, todo, progress)
        _wait(session, names, drain_timeout_seconds, cancel_running, leave_after_seconds, progress, began)
    after = read(session, ledger, names)
    if after.active or after.parked:
        raise NotReached(
            "could not pause ingestion",
            on=session.where,
            said=f"still active after being deactivated: {', '.join(j.jobname for j in (*after.active, *after.parked))}",
            next_step="something activates them again: look for it in cron.job_run_details, then run the same command again",
            result={"state": after.name},
        )
    return after, {"switch": switch, "waited_for": waited_for, "seconds": round(time.monotonic() - began, 3)}


def resume(
    session: Session, ledger: Ledger, run: Run, before: State, todo: Plan, names: list[str] | None
) -> tuple[State, dict[str, t.Any]]:
    """Gives back exactly the planned jobs in one transaction, so that the scheduler never sees another set."""
    switch: dict[str, t.Any] = {"called": False, "said": "the pause did not call it either"}
    with attempting("could not resume ingestion", on=session.where), session.write():
        everything = {job.jobid: job for job in scheduler.jobs(session)}
        if before.pause is not None and before.pause.switched:
            switch = _call_switch(session, "resume")
        wanted = {job.jobid: job.active and not job.parked for job in everything.values()}
        wanted.update({job.jobid: True for job in todo.jobs})
        for job in scheduler.jobs(session):
            schedule = _original_schedule(ledger, job, Plan((), (), ())) if job.parked else job.schedule
            active = wanted.get(job.jobid, job.active)
            if job.active != active or job.schedule != schedule:
                scheduler.alter(session, job, active=active, schedule=schedule)
        if before.pause is not None:
            ledger.close_pause(run, before.pause)
        run.record(activated=[job.jobname for job in todo.jobs])
    after = read(session, ledger, names)
    off = {job.jobid for job in after.jobs if not job.active}
    failed = [job.jobname for job in todo.jobs if job.jobid in off]
    if failed:
        raise NotReached(
            "could not resume ingestion",
            on=session.where,
            said=f"still inactive after being activated: {', '.join(failed)}",
            next_step="run resume_ingestion.yml again; if it persists something deactivates them",
            result={"state": after.name},
        )
    return after, {"switch": switch}


def require_barrier(session: Session, ledger: Ledger, names: list[str] | None = None) -> None:
    """Refuses to go on unless every ingestion job is inactive and nobody else loads silver or refreshes gold."""
    state = read(session, ledger, names)
    working = sessions.in_flight(state.activities)
    if state.active or working:
        raise NotReached(
            "refused: ingestion is not paused",
            on=session.where,
            said="; ".join([f"job {j.jobname} is active" for j in state.active] + [a.describe() for a in working]),
            next_step="pause_ingestion.yml, then run the same command again",
        )


def _saved(job: Job) -> dict[str, t.Any]:
    return {key: value for key, value in job.as_dict().items() if key != "active"}


def _current(session: Session, of: Iterable[Job]) -> list[Job]:
    wanted = {job.jobid for job in of}
    return [job for job in scheduler.jobs(session) if job.jobid in wanted]


def _original_schedule(ledger: Ledger, job: Job, todo: Plan) -> str:
    """What a parked job's schedule was before a pause parked it."""
    if not job.parked:
        return job.schedule
    for known in todo.jobs:
        if known.jobid == job.jobid and not known.parked:
            return known.schedule
    saved = ledger.open_pause()
    for entry in saved.jobs if saved else []:
        if entry["jobid"] == job.jobid:
            return entry["schedule"]
    raise NotReached(
        f"cannot give job {job.jobname} its schedule back",
        said="an unfinished pause parked it and no ledger remembers its schedule",
        next_step=f"SELECT cron.alter_job({job.jobid}, schedule => '<its schedule>')",
    )


def _call_switch(session: Session, action: str) -> dict[str, t.Any]:
    """Calls the pipeline's own switch; what it answers is reported, never believed."""
    if not session.row(SWITCH_THERE)["there"]:
        return {"called": False, "said": "scout.control_ingestion(text) does not exist"}
    try:
        with session.savepoint():
            answer = session.rows(SWITCH, action=action)
    except psycopg.Error as e:
        if session.connection.closed:
            raise
        return {"called": False, "said": e.diag.message_primary or str(e)}
    return {"called": True, "said": str(answer[0].get("message", "")) if answer else ""}


def _settle(session: Session, todo: Plan, progress: Progress) -> None:
    """Waits out the scheduler's tick where a start could already be on its way."""
    if not todo.jobs:
        return
    second = session.row(CLOCK)["second"]
    by_seconds = any("second" in job.schedule for job in todo.jobs)
    if by_seconds or todo.wait_for or second < 1.0 or second > 58.5:
        progress.wait(TICK_SECONDS)


def _wait(
    session: Session,
    names: list[str] | None,
    drain_timeout_seconds: float,
    cancel_running: bool,
    leave_after_seconds: float | None,
    progress: Progress,
    began: float,
) -> list[dict[str, t.Any]]:
    """Waits until nobody loads silver or refreshes gold; returns whom it waited for."""
    seen: dict[int, Activity] = {}
    told: set[tuple[int, t.Any]] = set()
    while True:
        progress.checkpoint()
        with attempting("could not read the sessions in flight", on=session.where), session.read():
            jobs = scheduler.ingestion_jobs(session, names)
            activities = sessions.read(session, jobs)
        working = [
            a for a in sessions.in_flight(activities) if leave_after_seconds is None or a.seconds < leave_after_seconds
        ]
        for activity in working:
            seen.setdefault(activity.pid, activity)
        if not working:
            return [activity.as_dict() for activity in seen.values()]
        waited = time.monotonic() - began
        if waited >= drain_timeout_seconds:
            raise NotReached(
                "ingestion is stopped from starting, but not yet paused",
                on=session.where,
                said=f"after {in_words(waited)} still at work: " + "; ".join(a.describe() for a in working),
                next_step=(
                    "wait and run the same command again, or end the work in flight with -e cancel_running=true, "
                    "or unstick_etl.yml if it is stuck"
                ),
                result={"state": "pausing", "sessions_in_flight": [a.as_dict() for a in working]},
            )
        if cancel_running:
            for activity in working:
                if activity.identity not in told and not activity.ours:
                    told.add(activity.identity)
                    with session.read():
                        session.rows(sessions.CANCEL, pid=activity.pid, backend_start=activity.backend_start)
        progress.sometimes(f"waiting for {count(len(working), 'session')} in flight: {working[0].describe()}")
        progress.wait(0.25)


def describe_jobs(jobs: Iterable[Job]) -> str:
    """`bronze-to-silver-etl, product-linking`."""
    return ", ".join(job.jobname for job in jobs) or "none"


def diff(before: State, after: Iterable[Job]) -> dict[str, dict[str, str]]:
    """Jobs before and after, for --diff."""
    names = {job.jobid: job for job in before.jobs}

    def shown(jobs: Iterable[Job]) -> dict[str, str]:
        return {job.jobname: "active" if job.active and not job.parked else "inactive" for job in jobs}

    return {"before": shown(names.values()), "after": shown(after)}
