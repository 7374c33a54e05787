# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw facts of a pipeline, from its base tables, locks and job history: never from its views, which may be broken."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..ledger import history, lease
from ..ledger.pauses import open_pause
from ..moves.engine import damaged_silver
from ..pipeline import bronze_writers, expected, refresh_gold
from ..pipeline.proof import job_rights
from ..postgres.read_budget import Budget, Problem
from ..scout import (
    contract,
    cron_jobs,
    cron_runs,
    event_queue,
    lost_sales,
    poison_probe,
    remedies,
    row_hazards,
    row_images,
    sessions,
)
from . import schema_drift
from .reads import jobs as jobs_read
from .reads import losses, objects, quality, surroundings
from .thresholds import LINKING_DUE_MINUTES

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from ..core.progress import Progress
    from ..ledger.lease import AtWork
    from ..ledger.ledger import Ledger
    from ..ledger.pauses import Pause
    from ..pipeline.bronze_writers import Writers
    from ..pipeline.proof.job_rights import Obstacle
    from ..postgres.session import Row, Session

#: Clocks may be set to the future or to infinity; such rows tell nothing of now.
BRONZE = """
SELECT extract(epoch FROM clock_timestamp() - max(ingested_at))::float8 / 60 AS minutes
FROM {bronze} WHERE ingested_at <= clock_timestamp() AND isfinite(ingested_at) AND ingested_at > now() - make_interval(days => %(days)s)
"""
#: The newest event is looked for in the last day, which an index that knows ranges alone finds at once, and then in all of them.
DAYS: t.Final = (1, 1_000_000)

SILVER = """
SELECT extract(epoch FROM clock_timestamp() - max(processed_at))::float8 / 60 AS minutes
FROM {transactions} WHERE processed_at <= clock_timestamp() AND isfinite(processed_at)
"""

#: Transactions that stand twice in one batch of the ETL, which then fails for ever.
REPEATS = """
SELECT transaction_id, (array_agg(event_id::text ORDER BY ingested_at, event_id))[1:2] AS event_ids
FROM (SELECT left(b.event_data ->> 'transaction_id', 200) AS transaction_id, b.event_id, b.ingested_at
      FROM {bronze} AS b WHERE b.event_id = ANY(%(ids)s::uuid[])) AS oldest
WHERE transaction_id IS NOT NULL
GROUP BY transaction_id HAVING count(*) > 1
ORDER BY min(ingested_at) LIMIT 3
"""

LINKING = """
SELECT count(*) FILTER (WHERE due) AS due,
       100.0 * count(product_key) FILTER (WHERE due) / nullif(count(*) FILTER (WHERE due), 0) AS due_percent,
       count(*) AS lines, 100.0 * count(product_key) / nullif(count(*), 0) AS percent
FROM (SELECT product_key, updated_at < now() - make_interval(mins => %(due_minutes)s) AS due
      FROM {line_items}
      WHERE updated_at >= now() - make_interval(hours => 24) AND updated_at <= now()) AS lines
"""

DEAD_LETTERS = "SELECT count(*) AS unresolved FROM {dead_letters} WHERE resolved_at IS NULL"

#: Who keeps whole tables of Scout from being read, as a migration does; of one that waits itself, and all readers behind it, whom it
#: waits for.
EXCLUSIVE = """
SELECT DISTINCT ON (a.pid) a.pid, a.usename::text AS role, a.application_name AS application,
       n.nspname || '.' || c.relname AS relation,
       extract(epoch FROM clock_timestamp() - a.xact_start)::float8 AS seconds,
       CASE WHEN NOT l.granted THEN l.pid END AS waiting
FROM pg_catalog.pg_locks AS l
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN LATERAL unnest(CASE WHEN l.granted THEN ARRAY[l.pid] ELSE pg_catalog.pg_blocking_pids(l.pid) END) AS root (pid)
JOIN pg_catalog.pg_stat_activity AS a ON a.pid = root.pid AND a.pid <> pg_catalog.pg_backend_pid()
WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND n.nspname IN (%(schema)s, 'cron')
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND c.relkind IN ('r', 'p', 'm')
ORDER BY a.pid, c.relname LIMIT 5
"""

NOW = "SELECT clock_timestamp() AS now"

#: How many of the oldest pending events are looked at for what would block the ETL: as many as its job takes.
HEAD_ROWS: t.Final = 2000
HISTORY_SECONDS: t.Final = 3600.0
#: After which an assessment says what it is looking at.
QUIET_SECONDS: t.Final = 1.0


@dataclasses.dataclass
class Wider:
    """Facts of jobs, objects and losses, and what only the acceptance gate asks for; what could not be read is None, and
    explained in the findings' `problems`."""

    updated_minutes: float | None = None
    lost: Row | None = None
    #: Of a sample of all events.
    lost_of_all: Row | None = None
    #: What is gone since a look before, in words.
    gone: str = ""
    missing: list[str] | None = None
    needed: list[jobs_read.Needed] | None = None
    #: That jobs of other roles cannot be seen, in a line for a person.
    unseen_jobs: list[str] | None = None
    #: Who starts the jobs here.
    scheduler: cron_runs.Scheduler | None = None
    resumed_seconds: float | None = None
    rights: list[Obstacle] | None = None
    unknown_columns: list[tuple[str, str]] | None = None
    gone_views: list[str] | None = None
    #: Views without the unique index that their refresh needs.
    without_a_key: list[str] | None = None
    triggers: list[Row] | None = None
    prepared: list[Row] | None = None
    interrupted: list[Row] | None = None
    #: All that arrived within the last hour, and the sources and stores of it of which nothing is loaded.
    arrived: list[Row] | None = None
    future: Row | None = None
    duplicates: int | None = None
    server: list[str] | None = None
    flow: Row | None = None
    #: Who may write bronze, where nothing has come for a while.
    writers: Writers | None = None
    #: What ends the error with which the ETL's latest run failed, where that can be told.
    remedy: str = ""
    letters: Row | None = None
    raised: list[Row] | None = None


@dataclasses.dataclass
class Facts:
    """What could be read; whatever could not is None or empty and explained in `problems`, by the name of the read."""

    stuck_after_seconds: float = sessions.STUCK_AFTER_SECONDS
    alert_hours: int = 1
    budget_seconds: float = 0.0
    pause: Pause | None = None
    #: Who asks, and who else is at work.
    me: str = ""
    at_work: AtWork | None = None
    jobs: list[cron_jobs.Job] = dataclasses.field(default_factory=list[cron_jobs.Job])
    activities: list[sessions.Activity] = dataclasses.field(default_factory=list[sessions.Activity])
    stuck: sessions.Plan | None = None
    backlog: event_queue.Backlog | None = None
    suspects: list[poison_probe.Suspect] = dataclasses.field(default_factory=list[poison_probe.Suspect])
    repeats: list[Row] = dataclasses.field(default_factory=list["Row"])
    now: datetime.datetime | None = None
    gold: list[refresh_gold.Freshness] | None = None
    #: Finished runs of the ETL job within the last hour, newest end first.
    runs: list[cron_runs.Run] = dataclasses.field(default_factory=list[cron_runs.Run])
    alerts: list[Row] = dataclasses.field(default_factory=list["Row"])
    #: The sales that silver has lost or has wrong although their events are sound.
    damaged: damaged_silver.Damaged | None = None
    #: What was looked at only in part, in words.
    limited: list[str] = dataclasses.field(default_factory=list[str])
    older: Row | None = None
    linking: Row | None = None
    bronze_minutes: float | None = None
    silver_minutes: float | None = None
    dead_letters: int | None = None
    drift: schema_drift.Drift | None = None
    exclusive: list[Row] = dataclasses.field(default_factory=list["Row"])
    wider: Wider = dataclasses.field(default_factory=Wider)
    problems: dict[str, Problem] = dataclasses.field(default_factory=dict[str, Problem])
    ledger_unread: bool = False

    @property
    def etl_jobs(self) -> list[cron_jobs.Job]:
        """The jobs that load silver; all counted ones where none calls the ETL by name."""
        return [
            j for j in self.jobs if cron_jobs.calls(j.command, [contract.bare(contract.names().load_function)])
        ] or self.jobs

    @property
    def failed_run(self) -> cron_runs.Run | None:
        """The latest run of the ETL job, if it failed, and not before ingestion was resumed: that was repaired since."""
        if not self.runs or self.runs[0].status != "failed":
            return None
        run, since = self.runs[0], self.wider.resumed_seconds
        over = jobs_read.is_over(run, self.now, since)
        return None if over else run

    def last_run(self, of: jobs_read.Needed) -> jobs_read.Verdict:
        """What is wrong with the runs of a job that has to be there."""
        wider = self.wider
        resumed = wider.resumed_seconds
        return jobs_read.last_run(of, wider.needed or [], self.now, scheduler=wider.scheduler, resumed_seconds=resumed)

    @property
    def off(self) -> list[str]:
        """Names of the counted jobs that cannot start."""
        return [job.jobname for job in self.jobs if not job.starts]

    @property
    def ingestion(self) -> str | None:
        """running while any counted job can start, else paused; None when no job could be read."""
        if not self.jobs:
            return None
        return "paused" if len(self.off) == len(self.jobs) else "running"


def read(
    session: Session,
    ledger: Ledger,
    *,
    budget_seconds: float | None,
    least_seconds: float = expected.LOOK_SECONDS,
    stuck_after_seconds: float = sessions.STUCK_AFTER_SECONDS,
    alert_hours: int = 1,
    jobs: list[str] | None = None,
    required: list[str] | None = None,
    more: Callable[[Budget, Facts], None] | None = None,
    progress: Progress | None = None,
) -> Facts:
    """All facts that can be had within the budget, which follows the pipeline's size from `least_seconds` on where it is None, on one
    snapshot; what blocks the pipeline comes first, what
    grows with the number of bad sales after it, and last what the caller also wants."""
    found = Facts(stuck_after_seconds, alert_hours)
    with session.read():
        found.budget_seconds = expected.look_seconds(session, budget_seconds, least_seconds)
        budget = Budget(session, found.budget_seconds, functools.partial(_tell, progress) if progress else None)
        found.problems = budget.problems
        found.me, found.ledger_unread = ledger.controller.actor, ledger.unread
        found.pause = budget.read("pause", lambda _: open_pause(ledger))
        found.at_work = budget.read("lease", lambda _: lease.at_work(ledger))
        found.jobs = budget.read("jobs", functools.partial(_jobs, names=jobs)) or []
        activities = budget.read("sessions", functools.partial(_activities, jobs=found.jobs))
        if activities is not None:
            found.activities = activities
            superuser = session.facts.superuser
            found.stuck = sessions.plan(activities, stuck_after_seconds=stuck_after_seconds, we_are_superuser=superuser)
        found.backlog = budget.read("backlog", functools.partial(event_queue.read, head=HEAD_ROWS))
        found.gold = budget.read("gold", functools.partial(_gold, found, budget))
        found.runs = budget.read("runs", functools.partial(_runs, jobs=found.etl_jobs)) or []
        _read_wider(budget, found, ledger, required or list(contract.names().purposes))
        if failed := found.failed_run:
            found.wider.remedy = budget.read("remedy", functools.partial(_remedy, failed=failed)) or ""
        found.bronze_minutes = budget.read("bronze", newest_minutes)
        found.wider.writers = budget.read("writers", bronze_writers.read)
        found.silver_minutes = budget.read("silver", lambda s: s.row(contract.compose(SILVER))["minutes"])
        found.linking = budget.read(
            "linking", lambda s: s.row(contract.compose(LINKING), due_minutes=LINKING_DUE_MINUTES)
        )
        found.dead_letters = budget.read("dead_letters", lambda s: s.row(contract.compose(DEAD_LETTERS))["unresolved"])
        if found.backlog and found.backlog.head:
            _read_head(budget, found, list(found.backlog.head))
        if "pause" not in budget.problems:
            found.drift = budget.read("drift", lambda s: schema_drift.read(s, ledger, found.pause))
        most = quality.most_sales(budget_seconds or least_seconds)
        looked = budget.read("alerts", functools.partial(quality.alerts, hours=alert_hours, most=most))
        found.alerts, sales_limited = looked or ([], False)
        found.wider.arrived = budget.read("arrived", losses.arrived)
        found.wider.future = budget.read("future", losses.future)
        found.wider.lost = budget.read("lost", functools.partial(losses.lost, hours=alert_hours, most=most))
        found.wider.lost_of_all = budget.read("older_losses", lost_sales.sample)
        marks_limited = found.wider.lost is not None and found.wider.lost["limited"]
        found.limited = quality.limited(alert_hours, most, sales=sales_limited, marks=marks_limited)
        found.older = budget.read("older", lambda s: quality.older(s, alert_hours))
        broken = {sale for row in (*found.alerts, found.older or {"sales": ()}) for sale in row["sales"] or ()}
        found.damaged = budget.read("damaged", functools.partial(_damaged, sorted(broken)))
        if more is not None:
            more(budget, found)
        if any(problem.kind == "lock" for problem in budget.problems.values()):
            found.exclusive = (
                budget.read("exclusive", lambda s: s.rows(EXCLUSIVE, schema=contract.names().schema)) or []
            )
    return found


def newest_minutes(session: Session) -> float | None:
    """How long ago the newest event came; None where there is none."""
    ages = (session.row(contract.compose(BRONZE), days=days)["minutes"] for days in DAYS)
    return next((minutes for minutes in ages if minutes is not None), None)


def _tell(progress: Progress, name: str, seconds: float) -> None:
    """Shows what is looked at where it takes longer than one waits without a word."""
    progress.checkpoint()
    if seconds >= QUIET_SECONDS:
        progress.say_throttled(f"assessing: {name.replace('_', ' ')}")


def _read_wider(budget: Budget, found: Facts, ledger: Ledger, required: list[str]) -> None:
    """The jobs that have to be there with their runs, what is missing of the schema, and silver's other clock."""
    wider = found.wider
    wider.needed = budget.read("needed_jobs", functools.partial(jobs_read.needed, names=required))
    if wider.needed:
        wider.needed = budget.read("job_runs", functools.partial(jobs_read.with_runs, of=wider.needed)) or wider.needed
    wider.unseen_jobs = budget.read("unseen_jobs", cron_jobs.explain_hidden)
    wider.scheduler = budget.read("scheduler", cron_runs.scheduler)
    able = [each.job for each in wider.needed or [] if each.job is not None]
    wider.rights = budget.read("rights", functools.partial(job_rights.read, jobs=able))
    wider.missing = budget.read("objects", objects.missing)
    gone = wider.missing or []
    wider.unknown_columns = budget.read("columns", functools.partial(objects.unknown_columns, gone=gone))
    refreshing = next((each.runs for each in wider.needed or [] if each.name == contract.names().refresh_job), ())
    wider.gone_views = budget.read(
        "gold_views", functools.partial(objects.gone_views, gold=found.gold or [], runs=refreshing)
    )
    wider.without_a_key = budget.read(
        "gold_views", functools.partial(objects.without_a_key, gold=found.gold or [], ledger=ledger)
    )
    wider.triggers = budget.read("triggers", row_hazards.triggers)
    wider.prepared = budget.read("prepared", surroundings.prepared)
    wider.interrupted = budget.read("interrupted", lambda _: history.broken_off(ledger))
    wider.server = budget.read("server", surroundings.server)
    silver = contract.names().transactions
    no_key = any(name.startswith("unique index on ") and f" {silver} " in name for name in gone)
    # Its key is one of each partition at most; and an index may be corrupt, which is looked at where that takes no time.
    if (
        no_key
        or budget.read("partitioned", functools.partial(objects.is_partitioned, table=silver))
        or budget.read("few_sales", losses.few_sales)
    ):
        wider.duplicates = budget.read("duplicates", losses.duplicates)
    wider.updated_minutes = budget.read("updated", losses.updated_minutes)
    if ledger.present:
        wider.resumed_seconds = budget.read("resumed", jobs_read.resumed_seconds)


def _read_head(budget: Budget, found: Facts, ids: list[str]) -> None:
    """What of the events that come next the ETL could not load."""
    found.suspects = budget.read("suspects", lambda s: poison_probe.unconvertible(s, ids, most=3)) or []
    found.repeats = budget.read("repeats", lambda s: s.rows(contract.compose(REPEATS), ids=ids)) or []


def _remedy(session: Session, failed: cron_runs.Run) -> str:
    return remedies.of(session, failed.message or "", cron_jobs.etl_owner(session))


def _damaged(sales: list[str], session: Session) -> damaged_silver.Damaged | None:
    """Which sales, among these that break a rule and the latest, are sound events that silver has lost or has wrong."""
    return damaged_silver.spread(session, row_images.tables(session), sales)


def _jobs(session: Session, names: list[str] | None) -> list[cron_jobs.Job]:
    cron_jobs.require(session)
    return cron_jobs.ingestion_jobs(session, names)


def _activities(session: Session, jobs: list[cron_jobs.Job]) -> list[sessions.Activity]:
    activities = sessions.read(session, jobs)
    sessions.require_visibility(session, activities)
    return activities


def _runs(session: Session, jobs: list[cron_jobs.Job]) -> list[cron_runs.Run]:
    ended = [(run.ended, run) for run in cron_runs.history(session, jobs, HISTORY_SECONDS) if run.ended is not None]
    cron_runs.require_record(session, jobs)
    return [run for _, run in sorted(ended, key=lambda found: found[0], reverse=True)]


def _gold(found: Facts, budget: Budget, session: Session) -> list[refresh_gold.Freshness]:
    """The views by their own clocks; contents are compared, which costs more, only where a view has no clock."""
    found.now = session.row(NOW)["now"]
    views = refresh_gold.read(session, budget_seconds=0.0)
    if any(view.state == "unknown" and view.refreshed_at is None for view in views):
        views = refresh_gold.read(session, budget_seconds=max(0.001, budget.left / 2))
    return views
