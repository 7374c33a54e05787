# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a Scout pipeline by the runbook's figures, from its base tables, within a time budget."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import contract, diagnoses, etl, gold, scheduler, sessions
from .errors import BadInput, RecoveryError
from .pg import psycopg

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping

    from .connection import Row, Session
    from .ledger import Ledger, Pause

BRONZE_STALENESS = """
SELECT extract(epoch FROM clock_timestamp() - max(ingested_at))::float8 / 60 AS minutes
FROM scout.bronze_events WHERE ingested_at <= clock_timestamp()
"""

SILVER_STALENESS = """
SELECT extract(epoch FROM clock_timestamp() - max(processed_at))::float8 / 60 AS minutes
FROM scout.silver_transactions WHERE processed_at <= clock_timestamp()
"""

#: Linking runs every five minutes on lines of the last hour: younger lines than this are not due yet.
LINKING = """
SELECT count(*) FILTER (WHERE due) AS due,
       100.0 * count(product_key) FILTER (WHERE due) / nullif(count(*) FILTER (WHERE due), 0) AS due_percent,
       count(*) AS lines, 100.0 * count(product_key) / nullif(count(*), 0) AS percent
FROM (SELECT product_key, updated_at < clock_timestamp() - interval '10 minutes' AS due
      FROM scout.silver_line_items
      WHERE updated_at >= clock_timestamp() - make_interval(hours => 24)) AS lines
"""

#: The rules of v_quality_alerts, without its division and with discounts taken into account.
CRITICAL_ALERTS = """
WITH lines AS (
    SELECT i.transaction_id, sum(i.quantity * i.unit_price) AS gross, sum(coalesce(i.discount_amount, 0)) AS off
    FROM scout.silver_line_items AS i
    JOIN scout.silver_transactions AS t ON t.transaction_id = i.transaction_id
    WHERE t.processed_at >= clock_timestamp() - make_interval(hours => %(hours)s)
    GROUP BY i.transaction_id
)
SELECT 'NEGATIVE_TOTAL' AS alert, count(*) AS found, (array_agg(transaction_id ORDER BY transaction_id))[1:3] AS samples
FROM scout.silver_transactions
WHERE processed_at >= clock_timestamp() - make_interval(hours => %(hours)s) AND total_amount < 0
UNION ALL
SELECT 'LINE_TOTAL_MISMATCH', count(*), (array_agg(t.transaction_id ORDER BY t.transaction_id))[1:3]
FROM scout.silver_transactions AS t JOIN lines AS l ON l.transaction_id = t.transaction_id
WHERE t.total_amount <> 'NaN' AND l.gross <> 'NaN'
  AND least(abs(t.total_amount - l.gross), abs(t.total_amount - l.gross + l.off),
            abs(t.total_amount - l.gross + coalesce(t.discount_amount, 0)))
      > greatest(abs(t.total_amount) * 0.01, 0.50)
UNION ALL
SELECT 'INVALID_LINE_ITEM', count(*), (array_agg(transaction_id ORDER BY transaction_id))[1:3]
FROM scout.silver_line_items
WHERE updated_at >= clock_timestamp() - make_interval(hours => %(hours)s) AND (quantity <= 0 OR unit_price < 0)
"""

DEAD_LETTERS = "SELECT count(*) AS unresolved FROM scout.bronze_events_dlq WHERE resolved_at IS NULL"

#: Runbook figures: at or below `ok` is ok, above `fail` is a failure, between them a warning (the other way round
#: for linking). `gates` means: while it fails, the emergency reset leaves ingestion paused.
THRESHOLDS: t.Final[dict[str, dict[str, float]]] = {
    "bronze_staleness": {"ok": 5, "fail": 15},
    "silver_staleness": {"ok": 5, "fail": 15},
    "gold_staleness": {"ok": 10, "fail": 15},
    "linking_coverage": {"ok": 95, "fail": 90},
    "critical_alerts": {"ok": 0, "fail": 0},
    "etl_duration": {"ok": 60, "fail": 300},
    "backlog_events": {"ok": 10_000, "fail": 100_000},
    "backlog_age": {"ok": 5, "fail": 15},
    "stuck_locks": {"ok": 60, "fail": 600},
    "stuck_sessions": {"ok": 0, "fail": 0},
    "stale_gold_views": {"ok": 0, "fail": 0},
    "dlq_unresolved": {"ok": 0, "fail": 1_000_000},
}
HIGHER_IS_BETTER: t.Final = frozenset({"linking_coverage"})
#: What a running pipeline would make worse, or what a reset exists to mend.
GATES: t.Final = frozenset({"critical_alerts", "backlog_age", "stuck_locks", "stuck_sessions", "stale_gold_views"})
#: Expected to fall behind while ingestion is paused.
FLOW: t.Final = frozenset({"silver_staleness", "gold_staleness", "backlog_events", "backlog_age", "linking_coverage"})
ESSENTIAL: t.Final = frozenset(
    {"bronze_staleness", "silver_staleness", "gold_staleness", "critical_alerts", "backlog_age", "ingestion"}
)

SUSPECT_ROWS = 2000


@dataclasses.dataclass(frozen=True)
class Indicator:
    """One figure with its judgement; `value` is None when it is unknown, and `reason` says why."""

    name: str
    value: float | str | None
    unit: str
    status: str
    source: str
    reason: str = ""
    ok: float | None = None
    fail: float | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        value = round(self.value, 3) if isinstance(self.value, float) else self.value
        threshold = None if self.ok is None else {"ok": self.ok, "fail": self.fail}
        return {
            "name": self.name,
            "value": value,
            "unit": self.unit,
            "status": self.status,
            "threshold": threshold,
            "source": self.source,
            "reason": self.reason,
        }


@dataclasses.dataclass
class Findings:
    """Raw facts behind the figures; whatever could not be read is absent and explained in `problems`."""

    now: datetime.datetime | None = None
    pause: Pause | None = None
    jobs: list[scheduler.Job] = dataclasses.field(default_factory=list[scheduler.Job])
    activities: list[sessions.Activity] = dataclasses.field(default_factory=list[sessions.Activity])
    stuck: sessions.Plan | None = None
    backlog: etl.Backlog | None = None
    suspects: list[etl.Suspect] = dataclasses.field(default_factory=list[etl.Suspect])
    gold: list[gold.Freshness] | None = None
    runs: list[Row] = dataclasses.field(default_factory=list["Row"])
    alerts: list[Row] = dataclasses.field(default_factory=list["Row"])
    linking: Row | None = None
    bronze_minutes: float | None = None
    silver_minutes: float | None = None
    dead_letters: int | None = None
    problems: dict[str, str] = dataclasses.field(default_factory=dict[str, str])

    @property
    def etl_jobs(self) -> list[scheduler.Job]:
        """The jobs that load silver; all counted ones where none calls the ETL by name."""
        return [j for j in self.jobs if scheduler.calls(j.command, contract.ETL_FUNCTIONS[:1])] or self.jobs

    @property
    def ingestion(self) -> str | None:
        """running, paused, or None when no job could be read."""
        if not self.jobs:
            return None
        return "running" if any(job.active and not job.parked for job in self.etl_jobs) else "paused"


@dataclasses.dataclass(frozen=True)
class Report:
    """The judgement of a pipeline."""

    verdict: str
    #: The verdict once ingestion runs again; the same unless it is paused.
    verdict_when_running: str
    #: Why an emergency reset would do something; empty when it would change nothing.
    needs_reset: tuple[str, ...]
    indicators: tuple[Indicator, ...]
    diagnoses: tuple[diagnoses.Diagnosis, ...]
    #: What keeps a reset from resuming ingestion.
    blockers: tuple[str, ...]
    findings: Findings


class _Budget:
    """Reads facts one by one, each in a savepoint and in the time that is left; a failure costs that fact alone."""

    def __init__(self, session: Session, seconds: float, found: Findings) -> None:
        self.session = session
        self.deadline = time.monotonic() + seconds
        self.found = found

    @property
    def left(self) -> float:
        """Seconds until the budget is spent."""
        return self.deadline - time.monotonic()

    def read(self, name: str, query: Callable[[], t.Any]) -> t.Any:
        """What `query` gives, or None with the reason kept."""
        if self.left <= 0:
            self.found.problems[name] = "the time budget was spent before it could be read"
            return None
        try:
            with self.session.savepoint():
                milliseconds = f"{max(1, round(self.left * 1000))}ms"
                self.session.execute("SELECT set_config('statement_timeout', %(ms)s, true)", ms=milliseconds)
                return query()
        except psycopg.errors.QueryCanceled:
            self.found.problems[name] = "it could not be read within the time budget"
        except psycopg.Error as e:
            if self.session.connection.closed:
                raise
            self.found.problems[name] = e.diag.message_primary or str(e)
        except RecoveryError as e:
            self.found.problems[name] = str(e)
        return None


def check_thresholds(given: Mapping[str, t.Any]) -> dict[str, dict[str, float]]:
    """The default figures with those given in their place; names any that cannot be used."""
    thresholds = {name: dict(figures) for name, figures in THRESHOLDS.items()}
    for name, figures in given.items():
        if name not in thresholds:
            raise BadInput(f"threshold {name[:80]!r} is unknown", next_step=f"choose among {', '.join(THRESHOLDS)}")
        if not isinstance(figures, dict) or set(t.cast("dict[str, t.Any]", figures)) - {"ok", "fail"}:
            raise BadInput(f"threshold {name} {figures!r} is not usable", next_step=f"give {name}: {{ok: …, fail: …}}")
        for key, value in t.cast("dict[str, t.Any]", figures).items():
            try:
                thresholds[name][key] = float(value)
            except (TypeError, ValueError):
                raise BadInput(f"threshold {name}.{key} {value!r} is not a number", next_step="give a number") from None
    return thresholds


def read(
    session: Session,
    ledger: Ledger,
    *,
    budget_seconds: float,
    stuck_after_seconds: float,
    alert_hours: int,
    jobs: list[str] | None,
) -> Findings:
    """All facts that can be had within the budget, on one snapshot."""
    found = Findings()
    with session.read():
        budget = _Budget(session, budget_seconds, found)
        found.now = budget.read("now", lambda: session.row("SELECT clock_timestamp() AS now")["now"])
        found.pause = budget.read("ingestion", ledger.open_pause)
        found.jobs = budget.read("ingestion", lambda: _jobs(session, jobs)) or []
        found.activities = budget.read("stuck_sessions", lambda: _activities(session, found.jobs)) or []
        if "stuck_sessions" not in found.problems:
            found.stuck = sessions.plan(found.activities, stuck_after_seconds=stuck_after_seconds)
        found.backlog = budget.read("backlog_age", lambda: etl.read(session))
        found.bronze_minutes = budget.read("bronze_staleness", lambda: session.row(BRONZE_STALENESS)["minutes"])
        found.silver_minutes = budget.read("silver_staleness", lambda: session.row(SILVER_STALENESS)["minutes"])
        found.alerts = budget.read("critical_alerts", lambda: session.rows(CRITICAL_ALERTS, hours=alert_hours)) or []
        found.linking = budget.read("linking_coverage", lambda: session.row(LINKING))
        found.dead_letters = budget.read("dlq_unresolved", lambda: session.row(DEAD_LETTERS)["unresolved"])
        found.runs = budget.read("etl_duration", lambda: scheduler.history(session, found.etl_jobs, 3600.0)) or []
        found.gold = budget.read("gold_staleness", lambda: gold.read(session, budget_seconds=max(0.1, budget.left / 2)))
        if found.backlog and found.backlog.events:
            found.suspects = (
                budget.read("suspects", lambda: etl.suspects(session, limit=SUSPECT_ROWS, most=3)) or found.suspects
            )
    return found


def _jobs(session: Session, names: list[str] | None) -> list[scheduler.Job]:
    scheduler.require(session)
    return scheduler.ingestion_jobs(session, names)


def _activities(session: Session, jobs: list[scheduler.Job]) -> list[sessions.Activity]:
    activities = sessions.read(session, jobs)
    sessions.require_visibility(session, activities)
    return activities


def judge(value: float | None, figures: Mapping[str, float], *, higher_is_better: bool = False) -> str:
    """ok, warn, fail or unknown, by the runbook's pair of figures; what lies between them is a warning."""
    if value is None:
        return "unknown"
    if higher_is_better:
        return "ok" if value >= figures["ok"] else "fail" if value < figures["fail"] else "warn"
    return "ok" if value <= figures["ok"] else "fail" if value > figures["fail"] else "warn"


def assess(found: Findings, thresholds: Mapping[str, Mapping[str, float]]) -> Report:
    """Figures, verdict, causes and what keeps ingestion from being resumed; pure."""
    raw = _measured(found, thresholds)
    blockers = tuple(i.name for i in raw if i.name in GATES and i.status in ("fail", "unknown"))
    paused = found.ingestion == "paused"
    needs = _needs_reset(found, raw)
    shown = tuple(_unjudged(i, found) if paused and i.name in FLOW and i.status != "ok" else i for i in raw)
    return Report(
        _verdict(shown, paused=paused),
        _verdict(tuple(raw), paused=False),
        needs,
        shown,
        tuple(diagnoses.diagnose(found, {i.name: i.status for i in raw})),
        blockers,
        found,
    )


def _needs_reset(found: Findings, raw: list[Indicator]) -> tuple[str, ...]:
    needs = [i.name for i in raw if i.name in GATES and i.status in ("warn", "fail")]
    if found.ingestion == "running" and any(i.name == "gold_staleness" and i.status in ("warn", "fail") for i in raw):
        needs.append("gold_staleness")
    if found.suspects:
        needs.append("poison")
    if found.pause is not None:
        needs.append("paused")
    if any(job.parked for job in found.jobs):
        needs.append("interrupted_pause")
    if found.ingestion == "paused" and found.backlog and found.backlog.events and "backlog_age" not in needs:
        needs.append("backlog_events")
    return tuple(needs)


def _unjudged(indicator: Indicator, found: Findings) -> Indicator:
    since = f" since {found.pause.paused_at:%Y-%m-%d %H:%M} UTC by {found.pause.actor}" if found.pause else ""
    return dataclasses.replace(indicator, status="unknown", reason=f"not judged while paused{since}")


def _verdict(indicators: tuple[Indicator, ...], *, paused: bool) -> str:
    if paused:
        return "paused"
    statuses = {indicator.status for indicator in indicators}
    if "fail" in statuses:
        return "failing"
    if any(i.status == "unknown" and i.name in ESSENTIAL for i in indicators):
        return "inconclusive"
    return "degraded" if "warn" in statuses else "healthy"


def _measured(found: Findings, thresholds: Mapping[str, Mapping[str, float]]) -> list[Indicator]:
    made: list[Indicator] = []

    def add(
        name: str, value: float | None, unit: str, source: str, reason: str = "", status: str | None = None
    ) -> None:
        figures = thresholds[name]
        judged = status or judge(value, figures, higher_is_better=name in HIGHER_IS_BETTER)
        why = found.problems.get(name, "") if value is None else ""
        made.append(Indicator(name, value, unit, judged, source, why or reason, figures["ok"], figures["fail"]))

    add(
        "bronze_staleness",
        found.bronze_minutes,
        "minutes",
        "max(scout.bronze_events.ingested_at)",
        "no event" * (found.bronze_minutes is None),
    )
    add(
        "silver_staleness",
        found.silver_minutes,
        "minutes",
        "max(scout.silver_transactions.processed_at)",
        "no transaction" * (found.silver_minutes is None),
    )
    _gold(found, add)
    _linking(found, add, thresholds["linking_coverage"])
    alerts = None if "critical_alerts" in found.problems else float(sum(row["found"] for row in found.alerts))
    named = ", ".join(f"{row['alert']} {row['found']}" for row in found.alerts if row["found"])
    add("critical_alerts", alerts, "alerts", "scout.silver_transactions, scout.silver_line_items", named)
    times = [row["seconds"] for row in found.runs if row["status"] == "succeeded" and row["seconds"] is not None]
    mean = sum(times) / len(times) if times else None
    add(
        "etl_duration",
        mean,
        "seconds",
        "cron.job_run_details, mean of the last hour",
        "no successful run in the last hour" * (not times),
    )
    backlog = found.backlog
    add(
        "backlog_events",
        None if backlog is None else float(backlog.events),
        "events",
        "scout.bronze_events without scout.etl_processed",
    )
    age = None if backlog is None else (backlog.oldest_seconds or 0.0) / 60
    add("backlog_age", age, "minutes", "oldest pending scout.bronze_events.ingested_at")
    holders = [a for a in found.activities if a.holds_key]
    known = "stuck_sessions" not in found.problems
    oldest = max((a.seconds for a in holders), default=0.0)
    add(
        "stuck_locks",
        oldest if known else None,
        "seconds",
        "pg_locks, advisory keys",
        "; ".join(a.describe() for a in holders),
    )
    stuck = [*found.stuck.clear, *(a for a, _ in found.stuck.leave)] if found.stuck else []
    add(
        "stuck_sessions",
        float(len(stuck)) if known else None,
        "sessions",
        "pg_stat_activity, pg_locks",
        "; ".join(a.describe() for a in stuck),
    )
    letters = None if found.dead_letters is None else float(found.dead_letters)
    add("dlq_unresolved", letters, "entries", "scout.bronze_events_dlq")
    made.append(_ingestion(found))
    return made


def _gold(found: Findings, add: Callable[..., None]) -> None:
    if found.gold is None:
        add("gold_staleness", None, "minutes", "refresh clocks of the materialized views")
        add("stale_gold_views", None, "views", "refresh clocks and contents of the materialized views")
        return
    stale = [f for f in found.gold if f.state in ("stale", "unpopulated")]
    ages = [(found.now - f.refreshed_at).total_seconds() for f in found.gold if f.refreshed_at and found.now]
    unpopulated = [f for f in stale if f.state == "unpopulated"]
    minutes = max(ages) / 60 if ages and not unpopulated else None
    settled = found.gold and all(f.state == "fresh" for f in found.gold)
    reason = "nothing newer to show" if settled else "; ".join(f"{f.view.full_name}: {f.why}" for f in stale)
    status = "ok" if settled else "fail" if unpopulated else None
    add("gold_staleness", minutes, "minutes", "refresh clocks of the materialized views", reason, status)
    # A running pipeline refreshes gold every five minutes; until its figure is exceeded it is merely due.
    late = [f for f in stale if found.ingestion == "paused" or f.behind_seconds is None or f.behind_seconds > 600]
    status = "fail" if unpopulated or (late and found.ingestion == "paused") else "warn" if late else "ok"
    source = "refresh clocks and contents of the materialized views"
    add("stale_gold_views", float(len(late)), "views", source, reason if late else "", status)


def _linking(found: Findings, add: Callable[..., None], figures: Mapping[str, float]) -> None:
    source = "scout.silver_line_items.product_key, last 24 hours"
    row = found.linking
    if row is None or not row["lines"]:
        add("linking_coverage", None, "percent", source, "no line item in the last 24 hours")
    elif row["due"]:
        add("linking_coverage", float(row["due_percent"]), "percent", source)
    else:
        percent = float(row["percent"])
        status = "ok" if percent >= figures["ok"] else "warn"
        add("linking_coverage", percent, "percent", source, "all lines are younger than 10 minutes", status)


def _ingestion(found: Findings) -> Indicator:
    state = found.ingestion
    reason = found.problems.get("ingestion", "")
    if found.pause:
        reason = f"paused since {found.pause.paused_at:%Y-%m-%d %H:%M:%S} UTC by {found.pause.actor} for {found.pause.incident}"
    off = [job.jobname for job in found.jobs if not job.active or job.parked]
    if state == "running" and off:
        reason = f"inactive: {', '.join(off)}"
    elif state == "paused" and not found.pause:
        reason = f"inactive, not by this toolkit: {', '.join(off)}"
    status = "unknown" if state is None else "ok"
    return Indicator("ingestion", state, "state", status, "cron.job", reason)
