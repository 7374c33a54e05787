# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs that have to be there, and their runs: which does the work, whether it comes, and how its last run ended."""

from __future__ import annotations

import dataclasses
import datetime
import re
import statistics
import typing as t

from ...core.errors import MissingPrivilege
from ...core.redaction import clean
from ...core.text import in_words
from ...postgres import lexer
from ...scout import contract, cron_jobs, cron_runs, cron_schedule
from ...scout.judging import roles
from ..thresholds import JOB_LATE_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ...postgres.session import Session

#: A job that was off for an hour cannot have run within it.
RESUMED = "SELECT extract(epoch FROM clock_timestamp() - max(resumed_at))::float8 AS seconds FROM scout_ops.pauses"

HISTORY_SECONDS: t.Final = 6 * 3600.0


@dataclasses.dataclass(frozen=True)
class Needed:
    """A job that has to be there: what does its work, or why nothing does."""

    name: str
    job: cron_jobs.Job | None = None
    why: str = ""
    #: Its runs within the last hours, newest first.
    runs: tuple[cron_runs.Run, ...] = ()
    #: What the job of that name calls of others, each a function and its owner.
    strangers: tuple[tuple[str, str], ...] = ()
    #: What brings it back, where it is of another database.
    back: str = ""

    @property
    def starts(self) -> bool:
        """Whether there is one that can start."""
        return self.job is not None and self.job.starts


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What is wrong with the runs of a job: ok, fail, or unknown where that cannot be told."""

    problem: str = ""
    status: str = "ok"


def needed(session: Session, names: Sequence[str]) -> list[Needed]:
    """What does the work of these names, without their runs. Raises MissingPrivilege where a job may only be hidden."""
    cron_jobs.require(session)
    jobs = cron_jobs.jobs(session)
    judged = cron_jobs.judged(session, jobs)
    chosen = [choose(name, jobs, judged) for name in names]
    gone = [each.name for each in chosen if each.job is None]
    if not gone:
        return chosen
    _require_sight(session)
    moved = {
        row["jobname"]: (f"it runs in database {row['database']} (job {row['jobid']})", f"{row['back']};")
        for row in cron_runs.elsewhere(session, gone)
    }
    return [each if each.job else _gone(session, each, jobs, moved) for each in chosen]


def _gone(session: Session, of: Needed, jobs: Sequence[cron_jobs.Job], moved: Mapping[str, tuple[str, str]]) -> Needed:
    """One that is not there, with where it is, or what the jobs of its name call of others."""
    why, back = moved.get(of.name, (of.why, ""))
    return dataclasses.replace(of, why=why, back=back, strangers=_strangers(session, of.name, jobs))


def _strangers(session: Session, name: str, jobs: Sequence[cron_jobs.Job]) -> tuple[tuple[str, str], ...]:
    """What the active jobs of this name call of others."""
    named = [job for job in jobs if job.jobname == name and job.active]
    return tuple(found for job in named for found in cron_jobs.strangers(session, job))


def with_runs(session: Session, of: Sequence[Needed]) -> list[Needed]:
    """The same with their runs. Raises where these cannot be seen, with what shows them: that is no sign that none were."""
    able = [each.job for each in of if each.job is not None]
    found = cron_runs.history(session, able, HISTORY_SECONDS)
    cron_runs.require_record(session, able)
    return [
        dataclasses.replace(each, runs=tuple(run for run in found if each.job and run.jobid == each.job.jobid))
        for each in of
    ]


def resumed_seconds(session: Session) -> float | None:
    """How long ago a pause ended last."""
    return session.row(RESUMED)["seconds"]


def _require_sight(session: Session) -> None:
    """Refuses to call a job missing that may only be hidden; who owns the ETL very likely owns the jobs, but on Azure Database."""
    owners = session.rows(
        cron_jobs.ETL_OWNER, schema=contract.names().schema, name=contract.bare(contract.names().load_function)
    )
    if grants := [grant for row in owners for grant in cron_jobs.missing_grants(session, row["owner"])]:
        raise MissingPrivilege(
            "cannot tell whether a job is missing or hidden",
            on=session.where,
            said=f"pg_cron shows role {session.facts.role} only its own jobs",
            next_step="; ".join(grants),
        )
    # Nobody there can be shown what another made, or have it made over.
    if roles.service(session) == roles.SERVICES["azure_pg_admin"] and (hidden := cron_jobs.hidden(session)):
        raise MissingPrivilege(
            "cannot tell whether a job is missing or hidden",
            on=session.where,
            said=f"pg_cron shows role {session.facts.role} only its own jobs, and about {hidden} others are there",
            next_step="whoever made them looks (SELECT * FROM cron.job), or assesses",
        )


def choose(name: str, jobs: Sequence[cron_jobs.Job], judged: cron_jobs.Judged) -> Needed:
    """The job that does the work of this name, an active one before others; for a job of Scout its name is not enough."""
    purpose = contract.names().purposes.get(name)
    named = [job for job in jobs if job.jobname == name]
    if purpose is None:
        fit = named
    else:
        fit = [job for job in named if judged.writes(job)]
        fit += [job for job in jobs if job not in fit and cron_jobs.comes_to(job, judged.known, purpose)]
    idle = [job for job in fit if asks_for_nothing(job.command, purpose or ())]
    fit = [job for job in fit if job not in idle]
    fit.sort(key=lambda job: not job.starts)
    if fit:
        return Needed(name, fit[0])
    if idle:
        return Needed(name, why=f"its command asks for 0 rows: {clean(' '.join(idle[0].command.split()))[:100]}")
    return Needed(name, why=f"its command does not call {' or '.join(purpose or ())}" if named else "there is none")


def asks_for_nothing(command: str, functions: Iterable[str]) -> bool:
    """Whether a job calls its functions with a limit of 0 alone, which does nothing and succeeds."""
    try:
        plain = lexer.runs(command)
    except lexer.Intricate:
        return False
    calls = rf'(?<![\w$])(?:{"|".join(map(re.escape, functions))})"?\s*\('
    asked = re.findall(rf"{calls}(\s*(?:\w+\s*(?:=>|:=)\s*)?0+\s*(?:::\s*\w+\s*)?\))?", plain, re.IGNORECASE)
    return bool(asked) and all(asked)


def rare(of: Needed, now: datetime.datetime | None) -> str:
    """Why a job hardly ever comes, active or not; empty where it does."""
    job = of.job
    if job is None or job.parked or now is None or cron_schedule.comes_within_a_day(job.schedule, now):
        return ""
    return f"{job.jobname} is not due within a day: its schedule is {job.schedule}"


def last_run(
    of: Needed,
    among: Sequence[Needed],
    now: datetime.datetime | None,
    *,
    scheduler: cron_runs.Scheduler | None = None,
    resumed_seconds: float | None = None,
) -> Verdict:
    """What is wrong with the runs of a job, among those of the others; by the `scheduler`, as far as that may be seen."""
    job = of.job
    if job is None or not of.starts:
        return Verdict()
    silent = _silent_seconds(of, now)
    late = _is_late(of, now, resumed_seconds, scheduler)
    # One that was never started, beside others that are, may be new.
    if late and (of.runs or all(_silent_seconds(other, now) > JOB_LATE_SECONDS for other in among)):
        return Verdict(f"{job.jobname} {cron_jobs.silence(job, silent)}", "fail")
    ended = next((run for run in of.runs if run.ended is not None), None)
    if ended is None:
        return Verdict(f"{job.jobname} has finished no run within {in_words(HISTORY_SECONDS)}", "unknown")
    if ended.status != "succeeded" and is_over(ended, now, resumed_seconds):
        return Verdict(f"{job.jobname} has finished no run since ingestion was resumed", "unknown")
    if ended.status != "succeeded":
        return Verdict(f"the last run of {job.jobname} failed: {ended.said[:200]}", "fail")
    return Verdict()


def is_over(run: cron_runs.Run, now: datetime.datetime | None, resumed_seconds: float | None) -> bool:
    """Whether a run ended before ingestion was resumed, so that it tells nothing of what was repaired meanwhile."""
    end = run.ended
    return bool(end and now and resumed_seconds is not None and (now - end).total_seconds() > resumed_seconds)


def _is_late(
    of: Needed, now: datetime.datetime | None, resumed_seconds: float | None, scheduler: cron_runs.Scheduler | None
) -> bool:
    """Whether several of its times have passed without a run, since it was resumed; where nothing starts jobs by the minute,
    or one is at work, after a quarter of an hour."""
    if of.job is None or now is None:
        return False
    off_until = HISTORY_SECONDS if resumed_seconds is None else resumed_seconds
    silent = min(_silent_seconds(of, now), off_until)
    at_work = bool(of.runs) and of.runs[0].ended is None
    if scheduler and scheduler.installed and not at_work:
        since = now - datetime.timedelta(seconds=silent)
        return cron_schedule.overdue(of.job.schedule, since, now, scheduler.zone or datetime.UTC)
    every = cron_schedule.every_seconds(of.job.schedule)
    lasted = [run.seconds for run in of.runs if run.good and run.seconds]
    usual = cron_schedule.LATE_TIMES * statistics.median(lasted) if at_work and lasted else 0.0
    return every is not None and silent > max(JOB_LATE_SECONDS, cron_schedule.LATE_TIMES * every, usual)


def _silent_seconds(of: Needed, now: datetime.datetime | None) -> float:
    """How long ago the latest run of a job began."""
    started = of.runs[0].started if of.runs else None
    return (now - started).total_seconds() if started and now else HISTORY_SECONDS
