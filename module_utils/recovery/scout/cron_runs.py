# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who starts the jobs of this database, and their runs as pg_cron records them, seen as the owners of the jobs."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..core.errors import MissingPrivilege, NotConverged
from ..postgres.driver import errors
from ..postgres.failures import words_of
from ..postgres.privileges import Need
from . import cron_jobs
from .judging import roles

if t.TYPE_CHECKING:
    import datetime
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
SELECT jobid, jobname::text AS jobname, database::text AS database, quote_literal(%(database)s::text) AS wanted FROM cron.job
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

HISTORY = """
SELECT jobid, status, return_message, start_time, end_time,
       extract(epoch FROM end_time - start_time)::float8 AS seconds
FROM cron.job_run_details
WHERE jobid = ANY(%(jobids)s) AND start_time >= clock_timestamp() - make_interval(secs => %(seconds)s)
ORDER BY start_time DESC LIMIT 500
"""

ANY_RUN = "SELECT EXISTS (SELECT FROM cron.job_run_details WHERE jobid = ANY(%(jobids)s)) AS some"
TABLE: t.Final = "cron.job_run_details"


@dataclasses.dataclass(frozen=True)
class Scheduler:
    """Who starts the jobs here, by the database's clock; a setting that may not be seen, or is not there, is None."""

    now: datetime.datetime
    #: Whether the extension is here, so that pg_cron itself starts the jobs.
    installed: bool
    #: Whether its settings may be seen.
    shown: bool
    records: str | None
    launches: str | None
    database: str | None
    timezone: str | None
    #: The database that its tables are in.
    here: str
    #: Whether it is known that no launcher is running.
    gone: bool


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
    """Jobs of these names in other databases (`jobid`, `jobname`, `database`), as far as one may see them."""
    found: dict[int, Row] = {}
    with session.at_cron() as at, cron_jobs.policies(at):
        for role in cron_jobs.identities(at):
            with contextlib.suppress(errors.InsufficientPrivilege), at.savepoint(), cron_jobs.as_role(at, role):
                rows = at.rows(ELSEWHERE, names=list(names), database=session.facts.database)
                found |= {row["jobid"]: row for row in rows}
    return [found[jobid] for jobid in sorted(found)]


def runs_in_flight(session: Session, of: Iterable[Job]) -> list[JobRun]:
    """Runs of these jobs that a live server process is executing now, but for those of owners who may not read them."""
    found: dict[int, JobRun] = {}
    for _owner, jobs in by_owner(of):
        wanted = {job.jobid for job in jobs}
        with contextlib.suppress(MissingPrivilege):
            rows = as_owners(session, jobs, RUNS_IN_FLIGHT, database=session.facts.database)
            found |= {row["pid"]: JobRun(**row) for row in rows if row["jobid"] in wanted}
    return list(found.values())


def history(session: Session, of: Iterable[Job], seconds: float) -> list[Row]:
    """Runs of these jobs that began within the last `seconds`, newest first (at most 500 of each owner). Raises
    MissingPrivilege, with the GRANT, where they may not be read."""
    found = as_owners(session, of, HISTORY, seconds=seconds)
    return sorted(found, key=lambda row: row["start_time"], reverse=True)


def require_record(session: Session, of: Sequence[Job]) -> None:
    """Raises where the history of these jobs tells nothing, so that no run in it does not mean that none was started: pg_cron
    records none, or shows none and may be set so."""
    found = scheduler(session)
    if found.records == "off":
        raise unrecorded(session)
    if found.installed and not found.shown and not any(row["some"] for row in as_owners(session, of, ANY_RUN)):
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
