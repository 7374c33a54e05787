# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts the jobs of this database, and their runs as pg_cron records them, seen as the owners of the jobs."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import datetime
import statistics
import typing as t
import zoneinfo

from ..core.errors import MissingPrivilege, NotConverged, RecoveryError
from ..postgres import without_values
from ..postgres.driver import errors, psycopg
from ..postgres.failures import words_of
from ..postgres.privileges import Need
from . import cron_jobs
from .judging import roles

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..postgres.session import Row, Session
    from .cron_jobs import Job

#: pg_cron shows its settings only to those who may see all settings: NULL where they are hidden, or there are none.
SCHEDULER = """
SELECT clock_timestamp() AS now,
       EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'pg_cron') AS installed,
       s.shown,
       CASE WHEN s.shown THEN current_setting('cron.log_run', true) END AS records,
       CASE WHEN s.shown THEN current_setting('cron.launch_active_jobs', true) END AS launches,
       CASE WHEN s.shown THEN current_setting('cron.database_name', true) END AS database,
       CASE WHEN s.shown THEN current_setting('cron.timezone', true) END AS timezone,
       current_database() AS here,
       pg_catalog.pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE backend_type = 'pg_cron launcher') AS gone
FROM (SELECT pg_catalog.pg_has_role(current_user, 'pg_read_all_settings', 'USAGE') AS shown) AS s
"""

#: Jobs of these names that were moved to another database.
ELSEWHERE = """
SELECT jobid, jobname::text AS jobname, database::text AS database,
       format('SELECT cron.alter_job(%%s, database => %%L)', jobid, %(database)s::text) AS back FROM cron.job
WHERE database <> %(database)s AND jobname = ANY(%(names)s) ORDER BY jobid
"""

#: The server process is the proof: the history says succeeded after the first statement of several, and
#: 'job canceled' while a run over a connection of its own goes on to its commit.
RUNS_IN_FLIGHT = """
SELECT DISTINCT ON (a.pid) d.jobid, a.pid, d.start_time AS started_at
FROM pg_catalog.pg_stat_activity AS a
JOIN cron.job_run_details AS d ON d.job_pid = a.pid AND d.start_time >= a.backend_start - interval '10 seconds'
WHERE a.datname = %(database)s AND d.database = %(database)s
  AND a.usename = d.username AND (a.backend_type = 'pg_cron' OR a.application_name = 'pg_cron')
ORDER BY a.pid, d.runid DESC
"""

#: A run that could not even connect has no time.
RUNS = """
SELECT runid, jobid, status, return_message AS message, start_time AS started, end_time AS ended, xmin::text AS xid
FROM cron.job_run_details
WHERE jobid = ANY(%(jobids)s) AND runid > %(after)s
  AND (%(seconds)s::float8 IS NULL OR start_time >= clock_timestamp() - make_interval(secs => %(seconds)s))
ORDER BY runid DESC LIMIT 500
"""

NEWEST_RUN = "SELECT coalesce(max(runid), 0) AS runid FROM cron.job_run_details WHERE jobid = ANY(%(jobids)s)"
TABLE: t.Final = "cron.job_run_details"
#: The runs that say how long a job takes.
RECENT_SECONDS: t.Final = 86400.0
RECENT_RUNS: t.Final = 10
#: When a run began that could not even connect.
NEVER: t.Final = datetime.datetime.max.replace(tzinfo=datetime.UTC)


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """Who starts the jobs here, by the database's clock; a setting that may not be seen, or is not there, is None."""

    now: datetime.datetime
    #: Whether the extension is here, so that pg_cron itself starts the jobs.
    installed: bool
    #: Whether its settings may be seen.
    shown: bool = True
    records: str | None = None
    launches: str | None = None
    database: str | None = None
    timezone: str | None = None
    #: The database that its tables are in.
    here: str = ""
    #: Whether it is known that no launcher is running.
    gone: bool = False

    @property
    def zone(self) -> datetime.tzinfo | None:
        """The time zone of its schedules; None where this machine does not know it."""
        name = self.timezone or "GMT"
        try:
            return zoneinfo.ZoneInfo(name)
        except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
            return datetime.UTC if name.upper() in ("GMT", "UTC") else None

    def why_silent(self, *, certain: bool = False) -> str:
        """Why it starts nothing, where that can be told; with `certain`, not by who seems to be there."""
        if self.launches == "off":
            return "cron.launch_active_jobs is off"
        if self.database not in (None, self.here):
            return f"pg_cron starts the jobs of database {self.database}"
        return "no pg_cron launcher is running" if self.gone and not certain else ""


@dataclasses.dataclass(frozen=True)
class Run:
    """A run as pg_cron recorded it."""

    runid: int
    jobid: int
    status: str
    message: str | None
    started: datetime.datetime | None
    ended: datetime.datetime | None
    #: The transaction that recorded its end.
    xid: str = "0"

    @property
    def over(self) -> bool:
        """Whether it has come to an end."""
        return self.status in ("succeeded", "failed")

    @property
    def good(self) -> bool:
        """Whether it has ended well."""
        return self.status == "succeeded" and self.ended is not None

    @property
    def seconds(self) -> float | None:
        """How long it took; None where it has no end, or no beginning."""
        return (self.ended - self.started).total_seconds() if self.started and self.ended else None

    @property
    def said(self) -> str:
        """Its message without values of rows, on one line."""
        return " ".join(without_values.message(self.message or "no message").split())


@dataclasses.dataclass(frozen=True)
class JobRun:
    """A run in flight: which job, in which server process."""

    jobid: int
    pid: int
    started_at: datetime.datetime


def scheduler(session: Session) -> Scheduler:
    """Who starts the jobs here, and what that is set to; inside a transaction."""
    with session.at_cron() as at:
        return Scheduler(**at.row(SCHEDULER))


def elsewhere(session: Session, names: Iterable[str]) -> list[Row]:
    """Jobs of these names in other databases (`jobid`, `jobname`, `database`), and what brings each `back`, as far as one may see them."""
    return cron_jobs.seen(session, ELSEWHERE, names=list(names), database=session.facts.database)


def runs_in_flight(session: Session, of: Iterable[Job]) -> list[JobRun]:
    """Runs of these jobs that a live server process is executing now, but for those of owners who may not read them."""
    found: dict[int, JobRun] = {}
    for _owner, jobs in by_owner(of):
        wanted = {job.jobid for job in jobs}
        with contextlib.suppress(MissingPrivilege):
            rows = as_owners(session, jobs, RUNS_IN_FLIGHT, database=session.facts.database)
            found |= {row["pid"]: JobRun(**row) for row in rows if row["jobid"] in wanted}
    return list(found.values())


def history(session: Session, of: Iterable[Job], seconds: float | None = None, *, after: int = 0) -> list[Run]:
    """Runs of these jobs that came `after` one, and began within the last `seconds`, newest first (at most 500 of each owner).
    Raises MissingPrivilege, with the GRANT, where they may not be read."""
    found = [Run(**row) for row in as_owners(session, of, RUNS, seconds=seconds, after=after)]
    return sorted(found, key=lambda run: run.started or NEVER, reverse=True)


def usual_seconds(session: Session, of: Iterable[Job], least: float = 0.0) -> dict[int, float]:
    """How long the latest runs that ended well, of those above `least` seconds, usually took of each of these jobs, by its id; none where
    they may not be read."""
    lasted = collections.defaultdict[int, list[float]](list)
    with contextlib.suppress(RecoveryError, psycopg.Error), session.savepoint():
        for run in history(session, of, RECENT_SECONDS):
            if run.good and (run.seconds or 0.0) > least:
                lasted[run.jobid].append(run.seconds or 0.0)
    return {jobid: statistics.median(each[:RECENT_RUNS]) for jobid, each in lasted.items()}


def newest(session: Session, of: Iterable[Job]) -> int:
    """The newest run of these jobs, 0 for none. Raises MissingPrivilege, with the GRANT, where they may not be read."""
    return max((row["runid"] for row in as_owners(session, of, NEWEST_RUN)), default=0)


def require_record(session: Session, of: Sequence[Job]) -> None:
    """Raises where the history of these jobs tells nothing, so that no run in it does not mean that none was started: pg_cron
    records none, or shows none and may be set so."""
    found = scheduler(session)
    if found.records == "off":
        raise unrecorded(session)
    if found.installed and not found.shown and not newest(session, of):
        raise unknown(session)


def unrecorded(session: Session) -> NotConverged:
    """That pg_cron is set to record no runs, and how it does."""
    return NotConverged(
        "cannot see the runs of the jobs",
        on=session.where,
        said="cron.log_run is off, so pg_cron records no run",
        next_step="ALTER SYSTEM SET cron.log_run = on, then restart the server",
    )


def unknown(session: Session) -> MissingPrivilege:
    """That no run is to be seen and it is hidden whether any is recorded, and the GRANT that shows it."""
    return MissingPrivilege(
        "cannot see the runs of the jobs",
        on=session.where,
        said=f"{TABLE} shows no run at all, and role {session.facts.role} may not see whether cron.log_run is on",
        next_step=roles.membership(session, "pg_read_all_settings"),
    )


def by_owner(of: Iterable[Job]) -> list[tuple[str, list[Job]]]:
    """These jobs by the role that owns them."""
    owners: dict[str, list[Job]] = {}
    for job in of:
        owners.setdefault(job.owner, []).append(job)
    return sorted(owners.items())


def as_owners(session: Session, of: Iterable[Job], query: t.LiteralString, **values: t.Any) -> list[Row]:
    """The rows of a query of the history as each owner of these jobs, to whom alone pg_cron shows their runs; it is given
    their `jobids`. Raises MissingPrivilege, with the GRANT, where an owner may not read it."""
    found: list[Row] = []
    with session.at_cron() as at, cron_jobs.policies(at):
        for owner, jobs in by_owner(of):
            try:
                with at.savepoint(), cron_jobs.as_role(at, owner):
                    found += at.rows(query, jobids=[job.jobid for job in jobs], **values)
            except (errors.InsufficientPrivilege, errors.UndefinedTable) as e:
                raise _hidden(at, owner, e) from e
    return found


def _hidden(
    session: Session, owner: str, error: errors.InsufficientPrivilege | errors.UndefinedTable
) -> MissingPrivilege:
    """Why the runs of this owner's jobs cannot be seen, and what shows them."""
    needs = (Need("SCHEMA", "cron", "USAGE", owner), Need("TABLE", TABLE, "SELECT", owner))
    step = "; ".join(need.grant(session) for need in needs)
    if isinstance(error, errors.UndefinedTable):
        step = "ALTER EXTENSION pg_cron UPDATE"
    return MissingPrivilege(
        "cannot see the runs of the jobs",
        on=session.where,
        said=f"role {owner}, whose jobs they are: {words_of(error)}",
        sqlstate=error.sqlstate,
        next_step=step,
    )
