# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be proved after a resume, by which kind of proof, and what runs of the scheduler prove; pure."""

from __future__ import annotations

import dataclasses
import datetime
import re
import statistics
import typing as t

from ...core.redaction import clean
from ...core.text import count, cut, in_words, printable
from ...postgres.without_values import message
from ...scout import at_commit, contract, lost_sales
from ...scout.cron_jobs import comes_to, silence
from ...scout.cron_schedule import LATE_TIMES, longest_gap, next_run, overdue

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...core.errors import RecoveryError
    from ...scout.cron_jobs import Job
    from ...scout.cron_runs import Run, Scheduler
    from ...scout.judging.functions import Functions

#: What a job is for, and how it is proved: by a run that is waited for, by the latest run there was, or by a trial. One that is beside
#: the pipeline writes what it writes, and is to leave sales as they are.
LOAD, GOLD, OTHER, BESIDE = "load", "gold", "other", "beside"
RUN, LATEST, TRIAL = "run", "latest", "trial"
#: What a proof came to. What has `changed` runs, and writes something else than before.
PROVED, CHANGED, FAILED, UNKNOWN = "proved", "changed", "failed", "unknown"

#: pg_cron notices within two seconds that a job is active again; a start before that may be missed.
NOTICED_SECONDS: t.Final = 2.0
#: An event that waits longer fails an assessment (silver_staleness), unless twice of what is usual here is longer still.
STALE_SECONDS: t.Final = 900.0
USUAL_TIMES: t.Final = 2


@dataclasses.dataclass(frozen=True)
class Todo:
    """A job to be proved: what it is for, how, and when it is due."""

    job: Job
    purpose: str
    how: str
    due: datetime.datetime | None = None
    why: str = ""
    #: What its command has just done, so that it is not run once more, in words that follow its name.
    shown: str = ""


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What the proof of a job came to, in words, and the command that fixes it where that is known."""

    jobname: str
    purpose: str
    how: str
    status: str
    said: str
    sqlstate: str | None = None
    next_step: str = ""
    started: datetime.datetime | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {**dataclasses.asdict(self), "started": self.started.isoformat() if self.started else None}


def purposes(jobs: Iterable[Job], known: Functions, named: Sequence[str] = ()) -> list[tuple[Job, str]]:
    """The jobs that load silver, link products or refresh gold, by their name or by what they call; others as far as they were named,
    or as beside the pipeline, where none was."""
    names = contract.names()
    found: list[tuple[Job, str]] = []
    for job in jobs:
        if job.jobname == names.load_job or comes_to(job, known, [contract.bare(names.load_function)]):
            found.append((job, LOAD))
        elif job.jobname == names.refresh_job or comes_to(job, known, names.gold_functions):
            found.append((job, GOLD))
        elif job.jobname in named or job.jobname == names.link_job:
            found.append((job, OTHER))
        elif not named:
            found.append((job, BESIDE))
    return found


def plan(
    found: Sequence[tuple[Job, str]], scheduler: Scheduler, wait_seconds: float, *, waits: bool, unseen: str = ""
) -> list[Todo]:
    """How each active job is proved. Where runs can be seen, a run that is due within the wait is waited for; with `waits`
    false, because nothing had to be done, the latest run is the proof."""
    unseen = unseen if scheduler.installed else "there is no scheduler"
    todo: list[Todo] = []
    for job, purpose in found:
        if not job.starts:
            continue
        if purpose == BESIDE:
            todo.append(Todo(job, purpose, TRIAL))
            continue
        if unseen:
            todo.append(Todo(job, purpose, TRIAL, why=unseen))
            continue
        due = due_at(job.schedule, scheduler)
        if not waits:
            todo.append(Todo(job, purpose, LATEST, due))
        elif due is not None and (due - scheduler.now).total_seconds() <= wait_seconds:
            todo.append(Todo(job, purpose, RUN, due))
        else:
            never = (
                "when it is due cannot be told"
                if scheduler.zone is None
                else f"its schedule {job.schedule} never comes"
            )
            why = f"not due before {clock(due, scheduler.now)}" if due else never
            todo.append(Todo(job, purpose, TRIAL, due, why))
    return todo


def due_at(schedule: str, scheduler: Scheduler) -> datetime.datetime | None:
    """When the scheduler starts a job next, as far as that can be told."""
    if scheduler.zone is None:
        return None
    return next_run(schedule, scheduler.now + datetime.timedelta(seconds=NOTICED_SECONDS), scheduler.zone)


def clock(moment: datetime.datetime | None, now: datetime.datetime | None = None) -> str:
    """`22:04:00` in UTC; with the date, where that is another than today's."""
    if moment is None:
        return "no time that can be told"
    moment = moment.astimezone(datetime.UTC)
    other = now is not None and moment.date() != now.astimezone(datetime.UTC).date()
    return f"{moment:%H:%M:%S} on {moment:%Y-%m-%d}" if other else f"{moment:%H:%M:%S}"


def announced(todo: Iterable[Todo], now: datetime.datetime) -> str:
    """`next run of loading at 22:04:00, 38 s`, of each that is waited for."""
    return "; ".join(
        f"next run of {each.job.jobname} at {clock(each.due)}, {in_words(max(0.0, (each.due - now).total_seconds()))}"
        for each in todo
        if each.how == RUN and each.due
    )


def unrefreshed(found: Sequence[tuple[Job, str]]) -> list[Verdict]:
    """That nothing refreshes gold, because the job that does is inactive."""
    off = [job for job, purpose in found if purpose == GOLD and not job.starts]
    if not off or any(purpose == GOLD and job not in off for job, purpose in found):
        return []
    said = f"{off[0].jobname} is inactive, so nothing refreshes gold"
    return [Verdict(off[0].jobname, GOLD, RUN, FAILED, said, next_step=activation(off[0]))]


def is_a_part(found: Sequence[tuple[Job, str]]) -> bool:
    """Whether these jobs are known to be only a part of the pipeline: Scout's own that load nothing."""
    names = contract.names()
    return bool(found) and all(purpose == GOLD or job.jobname == names.link_job for job, purpose in found)


def unproved(found: Sequence[tuple[Job, str]], elsewhere: Sequence[Mapping[str, t.Any]]) -> list[Verdict]:
    """What no run can prove: that nothing loads, because no job does, or it is inactive or in another database."""
    loads = [job for job, purpose in found if purpose == LOAD]
    if any(job.starts for job in loads):
        return []
    load = contract.names().load_job
    if loads:
        job = loads[0]
        said = f"{job.jobname} is inactive, so nothing loads"
        return [Verdict(job.jobname, LOAD, RUN, FAILED, said, next_step=activation(job))]
    if elsewhere:
        row = elsewhere[0]
        said = f"{row['jobname']} runs in database {row['database']} and not in this one, so nothing loads here"
        return [Verdict(str(row["jobname"]), LOAD, RUN, FAILED, said, next_step=str(row["back"]))]
    said = f"no job calls {contract.names().load_function}, so nothing loads"
    return [Verdict(load, LOAD, RUN, FAILED, said, next_step=f"whoever deploys the pipeline schedules {load} again")]


def activation(job: Job) -> str:
    """What a person types to have the scheduler start a job again."""
    return f"SELECT cron.alter_job({job.jobid}, active => true)"


def of_run(todo: Todo, run: Run) -> Verdict:
    """What a run that is over proves; an effect is looked for elsewhere."""
    at = f"at {clock(run.started)}" if run.started else "and did not even start"
    if run.status == "succeeded":
        return _verdict(todo, PROVED, f"ran {at} as {todo.job.owner}", started=run.started)
    said = printable(message((run.message or "").partition("\nCONTEXT:")[0])) or "no message"
    return _verdict(todo, FAILED, f"failed {at} as {todo.job.owner}: {said}", started=run.started)


def of_latest(todo: Todo, runs: Sequence[Run], scheduler: Scheduler) -> Verdict | None:
    """What the latest run proves, where there is one, it is over, and the schedule has been kept since; else None."""
    own = sorted((run for run in runs if run.jobid == todo.job.jobid), key=lambda run: run.runid)
    latest = next((run for run in reversed(own) if run.over), None)
    if latest is None:
        return None
    # One that is still running has started as well, and keeps the next from it for as long as runs usually take, several times.
    since, zone = own[-1].started, scheduler.zone
    lasted = [run.seconds for run in own if run.good and run.seconds and not own[-1].over]
    longer = datetime.timedelta(seconds=LATE_TIMES * statistics.median(lasted or [0.0]))
    if (
        latest.status == "succeeded"
        and since
        and zone
        and overdue(todo.job.schedule, since + longer, scheduler.now, zone)
    ):
        said = silence(todo.job, (scheduler.now - since).total_seconds())
        return _verdict(todo, FAILED, said, next_step=ALIVE, started=since)
    return of_run(todo, latest)


ALIVE: t.Final = "see in the server's log why pg_cron starts nothing, and whether cron.launch_active_jobs is on"


def missing(
    todo: Todo,
    running: Run | None,
    seconds: float,
    why: str,
    unknown: RecoveryError | None = None,
    usual: float | None = None,
) -> Verdict:
    """Of a run that did not come, or did not end, within the wait; `unknown` where it may have, and not be recorded. How long its runs
    `usual`ly take, where that is known."""
    if running is not None:
        usually = f"its runs usually take {in_words(usual)}" if usual else "how long its runs take is not known"
        said = f"is still running after {in_words(seconds)}, since {clock(running.started)}; {usually}"
        step = (
            "assess.yml shows whether it is running; then give it more time with -e scout_proof_timeout_seconds=…, "
            "or terminate_sessions.yml"
        )
        return _verdict(todo, UNKNOWN, said, next_step=step, started=running.started)
    if unknown is not None and not why:
        said = f"cannot be seen to start within {in_words(seconds)}: {unknown.said}"
        return _verdict(todo, UNKNOWN, said, next_step=unknown.next_step)
    said = f"did not start within {in_words(seconds)}, although it was due at {clock(todo.due)}"
    return _verdict(todo, FAILED, f"{said}: {why}" if why else said, next_step=ALIVE)


def muted(todo: Todo, why: str) -> Verdict:
    """Of a job that nobody will start, whatever its command does."""
    return _verdict(todo, FAILED, f"will not be started: {why}", next_step=ALIVE)


def unended(todo: Todo, waiting: int) -> Verdict:
    """Of a job that works, and whose COMMIT will not end."""
    said = f"would not end: {count(waiting, 'session')} waited in COMMIT for a synchronous standby all the time"
    return _verdict(todo, UNKNOWN, said, next_step=at_commit.REMEDY)


def without_effect(todo: Todo, verdict: Verdict, what: str) -> Verdict:
    """Of a run that says it succeeded, and had no effect."""
    command = cut(printable(clean(todo.job.command)), 100)
    said = f"{verdict.said} and says that it succeeded, but {what}: its command is {command}"
    return dataclasses.replace(verdict, status=FAILED, said=said)


def vanished(verdict: Verdict, gone: int, removers: Sequence[Job]) -> Verdict:
    """Of a run beside which somebody took events away that had not been loaded."""
    are = "is" if gone == 1 else "are"
    said = f"{verdict.said}, but {count(gone, 'event')} that waited {are} gone from {contract.names().bronze} and {are} not loaded"
    step = "switch off what deletes them, or let it wait until they are loaded; what is gone has to be sent again"
    return dataclasses.replace(verdict, status=FAILED, said=f"{said}{_by_whom(removers)}", next_step=step)


def emptied(gone: str, removers: Sequence[Job]) -> Verdict:
    """That somebody took away what had been loaded, while the proof was made."""
    said = f"lost rows: {gone}, since the proof began{_by_whom(removers)}"
    step = "switch off what deletes them; window_recovery.yml loads sales again whose events are there"
    return Verdict("the pipeline", OTHER, RUN, FAILED, said, next_step=step)


def _by_whom(removers: Sequence[Job]) -> str:
    """The jobs that may have done it."""
    told = [f"{job.jobname} of {job.owner}: {cut(printable(clean(job.command)), 100)}" for job in removers[:3]]
    return f"; jobs that take events out of {contract.names().bronze}: {'; '.join(told)}" if told else ""


PAUSE: t.Final = "ansible-playbook scout.recovery.pause_ingestion"
CAPTURE: t.Final = "ansible-playbook scout.recovery.capture_release"
WINDOW: t.Final = "ansible-playbook scout.recovery.window_recovery"


def changed(what: str, now: datetime.datetime) -> str:
    """Return what to type where something works differently than before: never a rollback, because the change may be meant."""
    name = f"accepted-{now.astimezone(datetime.UTC):%Y-%m-%dT%H%M%SZ}"
    return (
        f"compare {what} with the release's; to stop ingestion: {PAUSE}; "
        f"to accept the change, capture it under any name: {CAPTURE} -e scout_release={name}"
    )


def reload(loaded: dict[str, t.Any], release: str) -> str:
    """Return how many sales were loaded before the rollback to a release, and the command that loads them again; `loaded` as from
    `read_loaded_before_rollback`."""
    first, last = (
        f"{loaded[name].astimezone(datetime.UTC):%Y-%m-%d %H:%M:%SZ}" for name in ("first_load", "last_load")
    )
    return (
        f"{count(loaded['sales'], 'sale')} loaded between {first} and {last}, before the rollback to {release}, "
        "include some that the pipeline writes differently now; "
        f"to load them again: {WINDOW} -e scout_mode=all {lost_sales.window(loaded)}"
    )


def seldom(todo: Sequence[Todo], scheduler: Scheduler) -> tuple[Todo, datetime.datetime, datetime.datetime] | None:
    """The job that loads most often, where even that leaves events waiting for longer than is allowed within a day, and from when
    to when; None where that cannot be told."""
    gaps = [
        (gap[1] - gap[0], each, gap)
        for each in todo
        if each.purpose == LOAD
        and scheduler.zone
        and (gap := longest_gap(each.job.schedule, scheduler.now, scheduler.zone))
    ]
    shortest = min(gaps, key=lambda found: found[0], default=None)
    if shortest is None or shortest[0].total_seconds() <= STALE_SECONDS:
        return None
    return shortest[1], *shortest[2]


def too_seldom(todo: Todo, verdict: Verdict, silent: float, usual: float) -> Verdict:
    """Of a job that works, and whose schedule leaves events waiting that come in between, for longer than twice what is usual."""
    if silent <= USUAL_TIMES * usual:
        return verdict
    said = f"{verdict.said}, but by its schedule {todo.job.schedule} it does not come for {in_words(silent)}, and events do"
    known = f", which waited for {in_words(usual)} at most on most days" if usual else ""
    return dataclasses.replace(verdict, status=FAILED, said=f"{said}{known}")


def with_replay(verdict: Verdict, trial: Verdict) -> Verdict:
    """Of a run that loaded what waited, and a trial, which alone compares what it writes with what it wrote before."""
    if trial.status not in (FAILED, CHANGED):
        return verdict
    return dataclasses.replace(trial, how=verdict.how, said=f"{verdict.said}; it {trial.said}", started=verdict.started)


def besides(verdict: Verdict, trial: Verdict) -> Verdict:
    """Of a run that succeeded and whose effect was not to be seen, and a trial of the same job: the latest run is still the
    proof, unless the trial fails."""
    idle = f"{verdict.said}, with nothing to do" if verdict.how == RUN else verdict.said
    if trial.status in (FAILED, CHANGED) or (trial.status == PROVED and verdict.how == RUN):
        said = f"{idle}; it {trial.said}"
        return dataclasses.replace(trial, how=verdict.how, said=said, started=verdict.started)
    return dataclasses.replace(verdict, said=idle)


def tried(todo: Todo, status: str, said: str, sqlstate: str | None = None, next_step: str = "") -> Verdict:
    """Of a trial, which was rolled back."""
    return _verdict(todo, status, said, sqlstate=sqlstate, next_step=next_step)


def _verdict(
    todo: Todo,
    status: str,
    said: str,
    *,
    sqlstate: str | None = None,
    next_step: str = "",
    started: datetime.datetime | None = None,
) -> Verdict:
    return Verdict(todo.job.jobname, todo.purpose, todo.how, status, said, sqlstate, next_step, started)


def overall(verdicts: Iterable[Verdict]) -> str:
    """failed where any failed, else unknown where any is, else changed where any has, else proved."""
    found = {verdict.status for verdict in verdicts}
    return next((status for status in (FAILED, UNKNOWN, CHANGED) if status in found), PROVED)


#: How a trial that went well is told.
TRIED: t.Final = re.compile(r"was tried as (?P<role>.+), rolled back: it (?P<effect>\w+(?: [^;]*)?)")


def summary(verdicts: Iterable[Verdict]) -> str:
    """One line for a person: `bronze-to-silver loads, gold refreshes 2 views (tried as loader, rolled back)`."""
    by_said: dict[str, list[str]] = {}
    by_role: dict[str, list[str]] = {}
    for verdict in verdicts:
        found = TRIED.fullmatch(verdict.said) if verdict.status == PROVED else None
        if found is None:
            by_said.setdefault(verdict.said, []).append(verdict.jobname)
        else:
            by_role.setdefault(found["role"], []).append(f"{verdict.jobname} {found['effect']}")
    told = [f"{', '.join(jobs)} {said}" for said, jobs in by_said.items()]
    return "; ".join([*told, *(f"{', '.join(jobs)} (tried as {role}, rolled back)" for role, jobs in by_role.items())])
