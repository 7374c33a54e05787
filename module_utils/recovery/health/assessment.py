# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Judges a Scout pipeline by the runbook's figures; pure, from what findings.read found."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.text import in_words
from ..core.times import to_the_second
from ..scout import contract
from . import diagnoses, thresholds

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..postgres.read_budget import Problem
    from .facts import Facts
    from .thresholds import Figures

#: How many of the latest runs make the mean duration, so that a change shows within minutes.
RUNS: t.Final = 5


class Measured(t.NamedTuple):
    """A value, None where unknown; words about it; and a judgement where the figures alone cannot tell."""

    value: float | None
    reason: str = ""
    status: str | None = None


@dataclasses.dataclass(frozen=True)
class Figure:
    """An indicator: how it is measured and judged, and what follows from it."""

    name: str
    source: str
    #: The reads it is made of.
    reads: tuple[str, ...]
    measure: Callable[[Facts], Measured]
    #: While it fails, or is unknown, a reset does not resume ingestion.
    gate: bool = False
    #: The status from which a reset has something to mend.
    fixed_from: str | None = None
    #: Falls behind while ingestion is paused, and is not judged then.
    flow: bool = False
    #: Without it no verdict can be given.
    essential: bool = False

    @property
    def threshold(self) -> thresholds.Threshold:
        """Its unit, and its figures unless others are given."""
        return thresholds.TABLE[self.name]

    @property
    def unit(self) -> str:
        """Of its value."""
        return self.threshold.unit


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
        shown = dataclasses.asdict(self)
        threshold = {"ok": shown.pop("ok"), "fail": shown.pop("fail")}
        value = round(self.value, 3) if isinstance(self.value, float) else self.value
        return {**shown, "value": value, "threshold": None if self.ok is None else threshold}


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


def _bronze(found: Facts) -> Measured:
    return Measured(found.bronze_minutes, "no event" if found.bronze_minutes is None else "")


def _silver(found: Facts) -> Measured:
    return Measured(found.silver_minutes, "no transaction" if found.silver_minutes is None else "")


def _gold(found: Facts) -> Measured:
    """Minutes since the refresh of the oldest view that silver has outrun; a settled view may be as old as it likes."""
    views = found.gold or []
    stale = [view for view in views if view.state in ("stale", "unpopulated")]
    why = "; ".join(f"{view.view.full_name}: {view.why}" for view in stale)
    if not views:
        return Measured(None, f"no materialized view in schema {contract.names().schema}")
    if any(view.state == "unpopulated" for view in stale):
        return Measured(None, why, "fail")
    if not stale and any(view.refreshed_at is None and view.state == "unknown" for view in views):
        return Measured(None, "; ".join(f"{view.view.full_name}: {view.why}" for view in views))
    dated = [view.refreshed_at for view in stale or views if view.refreshed_at]
    minutes = (found.now - min(dated)).total_seconds() / 60 if dated and found.now else None
    return Measured(minutes, why) if stale else Measured(minutes or 0.0, "nothing newer to show", "ok")


def _late_gold(found: Facts) -> Measured:
    """Views the pipeline's own refresh passed over; while nothing runs, every stale one, for nobody will refresh it."""
    paused = found.ingestion == "paused"
    late = [view for view in found.gold or [] if diagnoses.is_late(view, paused=paused)]
    why = "; ".join(f"{view.view.full_name}: {view.why}" for view in late)
    failing = paused or any(view.state == "unpopulated" for view in late)
    return Measured(float(len(late)), why, "ok" if not late else "fail" if failing else "warn")


def _linking(found: Facts) -> Measured:
    row = found.linking
    if not row or not row["lines"]:
        return Measured(None, "no line item in the last 24 hours")
    if row["due"]:
        return Measured(float(row["due_percent"]))
    return Measured(float(row["percent"]), f"all lines are newer than {thresholds.LINKING_DUE_MINUTES} minutes", "ok")


def _alerts(found: Facts) -> Measured:
    critical = [row for row in found.alerts if row["critical"]]
    named = ", ".join(f"{row['alert']} {row['found']}" for row in critical)
    return Measured(float(sum(row["found"] for row in critical)), named)


def _duration(found: Facts) -> Measured:
    good = [run["seconds"] for run in found.runs if run["status"] == "succeeded" and run["seconds"] is not None][:RUNS]
    failed = bool(found.runs) and found.runs[0]["status"] == "failed"
    reason = f"the last run failed: {diagnoses.message_of(found.runs[0])}" if failed else ""
    if not good:
        return Measured(None, reason or "no successful run in the last hour", "fail" if failed else None)
    return Measured(sum(good) / len(good), reason)


def _events(found: Facts) -> Measured:
    return Measured(None if found.backlog is None else float(found.backlog.events))


def _age(found: Facts) -> Measured:
    return Measured(None if found.backlog is None else found.backlog.seconds / 60)


def _locks(found: Facts) -> Measured:
    holders = [activity for activity in found.activities if activity.holds_key]
    return Measured(max((a.seconds for a in holders), default=0.0), "; ".join(a.describe() for a in holders))


def _stuck(found: Facts) -> Measured:
    stuck = [*found.stuck.end, *(a for a, _ in found.stuck.leave)] if found.stuck else []
    return Measured(float(len(stuck)), "; ".join(a.describe() for a in stuck))


def _dead_letters(found: Facts) -> Measured:
    return Measured(None if found.dead_letters is None else float(found.dead_letters))


CLOCKS: t.Final = "refresh clocks of the materialized views"
FIGURES: t.Final = (
    Figure("bronze_staleness", "max({bronze}.ingested_at)", ("bronze",), _bronze, essential=True),
    Figure("silver_staleness", "max({transactions}.processed_at)", ("silver",), _silver, flow=True, essential=True),
    Figure("gold_staleness", CLOCKS, ("gold",), _gold, flow=True, essential=True, fixed_from="warn"),
    Figure("stale_gold_views", CLOCKS, ("gold",), _late_gold, gate=True, fixed_from="warn"),
    Figure("linking_coverage", "{line_items}.product_key, last 24 hours", ("linking",), _linking, flow=True),
    Figure("critical_alerts", "{transactions}, {line_items}", ("alerts",), _alerts,
           gate=True, fixed_from="fail", essential=True),
    Figure("etl_duration", f"cron.job_run_details, mean of the latest {RUNS} runs within an hour", ("jobs", "runs"), _duration),
    Figure("backlog_events", "{bronze} without {etl_ledger}", ("backlog",), _events, flow=True),
    Figure("backlog_age", "oldest pending {bronze}.ingested_at", ("backlog",), _age,
           gate=True, fixed_from="warn", flow=True, essential=True),
    Figure("stuck_locks", "pg_locks, advisory keys", ("sessions",), _locks, gate=True, fixed_from="fail"),
    Figure("stuck_sessions", "pg_stat_activity, pg_locks", ("sessions",), _stuck, gate=True, fixed_from="warn"),
    Figure("dlq_unresolved", "{dead_letters}", ("dead_letters",), _dead_letters),
)  # fmt: skip

GATES: t.Final = frozenset(f.name for f in FIGURES if f.gate)
FLOW: t.Final = frozenset(f.name for f in FIGURES if f.flow)
ESSENTIAL: t.Final = frozenset(f.name for f in FIGURES if f.essential) | {"ingestion"}
WORSE: t.Final = ("unknown", "ok", "warn", "fail")


def assess(found: Facts, thresholds: Mapping[str, Figures], *, trouble: bool = False) -> Report:
    """Figures, verdict, causes and what keeps ingestion from being resumed; pure. `trouble` says that something else is
    wrong."""
    raw = [*(_indicator(figure, found, thresholds[figure.name]) for figure in FIGURES), _ingestion(found)]
    paused = found.ingestion == "paused"
    blockers = tuple(i.name for i in raw if i.name in GATES and i.status in ("fail", "unknown"))
    shown = tuple(_unjudged(i, found) if paused and i.name in FLOW and i.status != "ok" else i for i in raw)
    return Report(
        verdict="paused" if paused else verdict(shown),
        verdict_when_running=verdict(raw),
        needs_reset=_needs_reset(found, raw),
        indicators=shown,
        diagnoses=tuple(diagnoses.diagnose(found, {i.name: i.status for i in raw}, blockers, trouble=trouble)),
        blockers=blockers,
    )


def judged(figure: Figure, found: Facts, figures: Figures, words: Callable[[Problem], str]) -> Indicator:
    """A figure measured and judged by these figures; unknown where a read it is made of failed, for which `words` says why."""
    problem = next((found.problems[name] for name in figure.reads if name in found.problems), None)
    measured = Measured(None, words(problem)) if problem else figure.measure(found)
    status = measured.status or thresholds.judge(
        measured.value, figures, higher_is_better=figure.threshold.higher_is_better
    )
    return Indicator(
        figure.name,
        measured.value,
        figure.unit,
        status,
        contract.words(figure.source),
        measured.reason,
        figures["ok"],
        figures["fail"],
    )


def _indicator(figure: Figure, found: Facts, figures: Figures) -> Indicator:
    made = judged(figure, found, figures, lambda problem: problem.said)
    last_run_failed = figure.name == "etl_duration" and made.status == "ok" and made.reason
    return dataclasses.replace(made, status="warn") if last_run_failed else made


def _ingestion(found: Facts) -> Indicator:
    state, off = found.ingestion, ", ".join(found.off)
    status = "unknown" if state is None else "ok"
    reason = found.problems["jobs"].said if "jobs" in found.problems else ""
    if found.pause and off:
        pause = found.pause
        reason = f"paused since {to_the_second(pause.paused_at)} by {pause.actor} for {pause.incident}"
    elif off:
        reason = f"inactive, not by this toolkit: {off}"
        idle = not any(job.active and not job.parked for job in found.etl_jobs)
        status = "warn" if idle and state == "running" else status
    return Indicator("ingestion", state, "state", status, "cron.job", reason)


def shown(value: float | str | None, unit: str) -> str:
    """A figure as a person says it; empty where it is unknown."""
    if not isinstance(value, float):
        return "" if value is None else str(value)
    if unit in ("minutes", "seconds"):
        return in_words(value * (60 if unit == "minutes" else 1))
    return f"{value:,.1f} %" if unit == "percent" else f"{value:,.0f}"


def _needs_reset(found: Facts, raw: list[Indicator]) -> tuple[str, ...]:
    status = {indicator.name: indicator.status for indicator in raw}
    needs = [f.name for f in FIGURES if f.fixed_from and WORSE.index(status[f.name]) >= WORSE.index(f.fixed_from)]
    reasons = {
        "poison": bool(found.suspects),
        "repeated_transactions": bool(found.repeats),
        "paused": found.pause is not None,
        "interrupted_pause": any(job.parked for job in found.jobs),
        "backlog_events": found.ingestion == "paused" and bool(found.backlog and found.backlog.events),
    }
    return (*needs, *(name for name, given in reasons.items() if given))


def _unjudged(indicator: Indicator, found: Facts) -> Indicator:
    since = f" for {in_words(found.pause.seconds)} by {found.pause.actor}" if found.pause else ""
    return dataclasses.replace(indicator, status="unknown", reason=f"not judged while paused{since}")


def verdict(indicators: tuple[Indicator, ...] | list[Indicator]) -> str:
    """healthy, degraded, failing, or inconclusive where an essential figure is unknown and none fails."""
    statuses = {indicator.status for indicator in indicators}
    if "fail" in statuses:
        return "failing"
    if any(i.status == "unknown" and i.name in ESSENTIAL for i in indicators):
        return "inconclusive"
    return "degraded" if "warn" in statuses else "healthy"
