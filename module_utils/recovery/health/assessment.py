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
from .reads import objects
from .table import FIGURES, TABLE, Figure, Measured

__all__ = ["FIGURES", "TABLE", "Figure", "Indicator", "Measured", "Report", "assess", "judged", "shown", "verdict"]

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from ..postgres.read_budget import Problem
    from .facts import Facts
    from .thresholds import Figures


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
    #: Checks that could not be made, each with why: while there is one, nothing is called healthy.
    cannot_tell: tuple[str, ...] = ()
    #: What fails, once ingestion runs again.
    failing: tuple[str, ...] = ()


GATES: t.Final = frozenset(f.name for f in TABLE if f.gate)
FLOW: t.Final = frozenset(f.name for f in TABLE if f.flow)
ESSENTIAL: t.Final = frozenset(f.name for f in TABLE if f.essential) | {"ingestion"}
PAST: t.Final = frozenset(f.name for f in TABLE if f.past)
WORSE: t.Final = ("unknown", "ok", "warn", "fail")
#: Never fails, so a verdict can do without it.
TELLING: t.Final = frozenset({"dlq_unresolved", "database"})
#: Problems that more time can solve. A privilege or an object that is missing still is at the next attempt.
TEMPORARY: t.Final = ("budget", "lock")
#: What a reset decides by besides its figures.
DECIDING: t.Final = frozenset({"pause", "jobs", "backlog", "suspects", "repeats"})


def assess(found: Facts, thresholds: Mapping[str, Figures], *, trouble: bool = False) -> Report:
    """Figures, verdict, causes and what keeps ingestion from being resumed; pure. `trouble` says that something else is
    wrong."""
    raw = [
        *(_indicator(figure, found, thresholds.get(figure.name) or figure.threshold.figures) for figure in TABLE),
        _ingestion(found),
    ]
    paused = found.ingestion == "paused"
    blockers = tuple(i.name for i in raw if i.name in GATES and i.status in ("fail", "unknown"))
    shown = tuple(_unjudged(i, found) if paused and i.name in FLOW and i.status != "ok" else i for i in raw)
    unread = _unread(found)
    lasting = [i for i in raw if not (paused and i.name in PAST | {"jobs_active"} and not _stays_off(i, found))]
    return Report(
        verdict="paused" if paused else verdict(shown, unread),
        verdict_when_running=verdict(lasting, unread),
        needs_reset=_needs_reset(found, raw),
        indicators=shown,
        diagnoses=tuple(diagnoses.diagnose(found, {i.name: i.status for i in raw}, blockers, trouble=trouble)),
        blockers=blockers,
        cannot_tell=tuple(f"{i.name}: {i.reason or 'unknown'}" for i in lasting if _is_missing(i, unread)),
        failing=tuple(i.name for i in lasting if i.status == "fail"),
    )


def _stays_off(indicator: Indicator, found: Facts) -> bool:
    """Whether a job that has to be active is inactive, and was before the pause as well."""
    taken = {job["jobname"] for job in found.pause.jobs} if found.pause else set(found.off)
    off = {each.job.jobname for each in found.wider.needed or [] if each.job and not each.starts}
    return indicator.name == "jobs_active" and bool(off - taken)


def judged(figure: Figure, found: Facts, figures: Figures, words: Callable[[Problem], str]) -> Indicator:
    """A figure measured and judged by these figures, for an assessment and a gate alike; unknown where a read it is made of
    failed, for which `words` says why."""
    problem = next((found.problems[name] for name in figure.reads if name in found.problems), None)
    measured = Measured(None, words(problem)) if problem else figure.measure(found)
    status = measured.status or thresholds.judge(
        measured.value, figures, higher_is_better=figure.threshold.higher_is_better
    )
    return Indicator(
        figure.name,
        measured.value,
        figure.unit,
        figure.worst if status == "fail" else status,
        contract.words(figure.source),
        measured.reason,
        figures["ok"],
        figures["fail"],
    )


def _indicator(figure: Figure, found: Facts, figures: Figures) -> Indicator:
    made = judged(figure, found, figures, lambda problem: problem.said)
    # A gate refuses a release without what this one can run without.
    spared = figure.name == "schema_objects" and not any(map(objects.needed_to_run, found.wider.missing or []))
    spared = spared and not (found.wider.writers and found.wider.writers.refused)
    last_run_failed = figure.name == "etl_duration" and made.status == "ok" and made.reason
    return dataclasses.replace(made, status="warn") if last_run_failed or (spared and made.status == "fail") else made


def _ingestion(found: Facts) -> Indicator:
    state, off = found.ingestion, ", ".join(found.off)
    status = "unknown" if state is None else "ok"
    reason = found.problems["jobs"].said if "jobs" in found.problems else ""
    if found.pause and off:
        pause = found.pause
        reason = f"paused since {to_the_second(pause.paused_at)} by {pause.actor} for {pause.incident}{pause.why}"
    elif off:
        reason = f"inactive, not by this toolkit: {off}"
        idle = not any(job.starts for job in found.etl_jobs)
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
    needs = [f.name for f in TABLE if f.fixed_from and WORSE.index(status[f.name]) >= WORSE.index(f.fixed_from)]
    reasons = {
        "poison": bool(found.suspects),
        "repeated_transactions": bool(found.repeats),
        "paused": found.pause is not None,
        "interrupted_pause": any(job.parked for job in found.jobs),
        "backlog_events": found.ingestion == "paused" and bool(found.backlog and found.backlog.events),
    }
    return (*needs, *(name for name, given in reasons.items() if given))


def is_undecided(report: Report, found: Facts) -> bool:
    """Whether nothing asks for a repair, but a lock or too little time hid something that could."""
    hidden = {name for name, problem in found.problems.items() if problem.kind in TEMPORARY}
    deciding = DECIDING.union(*(figure.reads for figure in TABLE if figure.fixed_from))
    return not report.needs_reset and bool(hidden & deciding or (hidden and report.verdict == "inconclusive"))


def _unread(found: Facts) -> frozenset[str]:
    """The figures that a read they are made of did not answer, without which nothing is called healthy."""
    named = [f for f in TABLE if f.name not in TELLING]
    return frozenset(f.name for f in named if found.problems.keys() & {*f.reads})


def _is_missing(indicator: Indicator, unread: Collection[str]) -> bool:
    """Whether a verdict cannot do without what is unknown here."""
    return indicator.status == "unknown" and (indicator.name in ESSENTIAL or indicator.name in unread)


def _unjudged(indicator: Indicator, found: Facts) -> Indicator:
    since = f" for {in_words(found.pause.seconds)} by {found.pause.actor}" if found.pause else ""
    return dataclasses.replace(indicator, status="unknown", reason=f"not judged while paused{since}")


def verdict(indicators: Iterable[Indicator], unread: Collection[str] = ()) -> str:
    """healthy, degraded, failing, or inconclusive where an essential figure is unknown, or one of `unread`, and none fails."""
    known = list(indicators)
    statuses = {indicator.status for indicator in known}
    if "fail" in statuses:
        return "failing"
    if any(_is_missing(indicator, unread) for indicator in known):
        return "inconclusive"
    return "degraded" if "warn" in statuses else "healthy"
