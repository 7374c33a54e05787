# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The figures by which a pipeline is judged, each once: the runbook's where it has one; pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ..core.errors import BadInput
from ..scout.sessions import STUCK_AFTER_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: A pair of figures as people and results write it: `{ok: …, fail: …}`.
Figures = dict[str, float]

#: A running pipeline refreshes gold every five minutes: a view further behind than this was passed over.
GOLD_LATE_SECONDS: t.Final = 600.0
#: Linking runs every five minutes on lines of the last hour: younger lines than this are not due yet.
LINKING_DUE_MINUTES: t.Final = 10
#: Good, and failing, for anything of the pipeline that stands still.
FRESH_MINUTES: t.Final = 5
STALE_MINUTES: t.Final = 15
#: A job may be silent for so long, whatever its schedule.
JOB_LATE_SECONDS: t.Final = 60.0 * STALE_MINUTES


@dataclasses.dataclass(frozen=True)
class Threshold:
    """At or below `ok` is ok, above `fail` is a failure, between them a warning; the other way round where higher is better."""

    unit: str
    ok: float
    fail: float
    higher_is_better: bool = False

    @property
    def figures(self) -> Figures:
        """Both, as they may be given in their place."""
        return {"ok": self.ok, "fail": self.fail}

    @property
    def in_order(self) -> bool:
        """Whether no value is both ok and a failure."""
        return self.ok >= self.fail if self.higher_is_better else self.ok <= self.fail


def _none(unit: str) -> Threshold:
    """The threshold of what must not be there at all."""
    return Threshold(unit, 0, 0)


#: Of an assessment, and of a gate where it has a check of the same name.
INDICATORS: t.Final[dict[str, Threshold]] = {
    "bronze_staleness": Threshold("minutes", FRESH_MINUTES, STALE_MINUTES),
    "silver_staleness": Threshold("minutes", FRESH_MINUTES, STALE_MINUTES),
    "gold_staleness": Threshold("minutes", 10, STALE_MINUTES),
    "stale_gold_views": _none("views"),
    "linking_coverage": Threshold("percent", 95, 90, higher_is_better=True),
    "critical_alerts": _none("alerts"),
    "etl_duration": Threshold("seconds", 60, 300),
    "backlog_events": Threshold("events", 10_000, 100_000),
    "backlog_age": Threshold("minutes", FRESH_MINUTES, STALE_MINUTES),
    "stuck_locks": Threshold("seconds", 60, STUCK_AFTER_SECONDS),
    "stuck_sessions": _none("sessions"),
    "dlq_unresolved": Threshold("entries", 0, 1_000_000),
}

#: Of checks that only a gate has.
GATE: t.Final[dict[str, Threshold]] = {
    "negative_totals": _none("transactions"),
    "empty_baskets": _none("transactions"),
    "line_mismatch": _none("transactions"),
    "missing_lines": _none("transactions"),
    "invalid_lines": _none("transactions"),
    "not_a_number": _none("transactions"),
    "older_violations": _none("transactions"),
    "gold_refreshable": _none("views"),
    "blocked_events": _none("events"),
    "lost_events": _none("events"),
    "swallowed_events": _none("events"),
    "unloaded_sources": _none("sources"),
    "altered_sales": _none("sales"),
    "jobs_present": _none("jobs"),
    "jobs_active": _none("jobs"),
    "job_runs": _none("jobs"),
    "unresolved_alerts": _none("alert types"),
    "dead_letter_growth": Threshold("entries", 0, 100),
    "schema_objects": _none("objects"),
    "job_schedules": _none("jobs"),
    "job_rights": _none("obstacles"),
    "gold_views": _none("views"),
    "prepared_transactions": _none("transactions"),
    "interrupted_runs": _none("runs"),
    "future_sales": _none("sales"),
    "duplicate_sales": _none("sales"),
    "database": _none("limits"),
}

TABLE: t.Final[dict[str, Threshold]] = {**INDICATORS, **GATE}

#: Of the indicators, as `chosen` gives them where nothing else is wanted.
DEFAULTS: t.Final[dict[str, Figures]] = {name: threshold.figures for name, threshold in INDICATORS.items()}


def chosen(given: Mapping[str, t.Any], among: Iterable[str] = INDICATORS) -> dict[str, Figures]:
    """The default figures of these names with those given in their place; raises BadInput, naming any that cannot be used."""
    figures = {name: TABLE[name].figures for name in among}
    for name, pair in given.items():
        if name not in figures:
            raise BadInput(f"threshold {name[:80]!r} is unknown", next_step=f"choose among {', '.join(figures)}")
        if not isinstance(pair, dict) or set(t.cast("dict[str, t.Any]", pair)) - {"ok", "fail"}:
            raise BadInput(
                f"threshold {name} {str(given[name])[:80]!r} is not usable",
                next_step=f"give {name}: {{ok: …, fail: …}}",
            )
        for key, value in t.cast("dict[str, t.Any]", pair).items():
            figures[name][key] = number(f"{name}.{key}", value)
    for name, pair in figures.items():
        _require_order(name, dataclasses.replace(TABLE[name], **pair))
    return figures


def judge(value: float | None, figures: Mapping[str, float], *, higher_is_better: bool = False) -> str:
    """ok, warn, fail or unknown, by a pair of figures; what lies between them is a warning."""
    if value is None or math.isnan(value):
        return "unknown"
    if higher_is_better:
        return "ok" if value >= figures["ok"] else "fail" if value < figures["fail"] else "warn"
    return "ok" if value <= figures["ok"] else "fail" if value > figures["fail"] else "warn"


def _require_order(name: str, threshold: Threshold) -> None:
    if not threshold.in_order:
        way = "below" if threshold.higher_is_better else "above"
        raise BadInput(
            f"threshold {name}: ok {threshold.ok:g} is {way} fail {threshold.fail:g}",
            next_step="give both figures, in that order",
        )


def number(name: str, value: t.Any) -> float:
    """A figure as given, 0 or more. Raises BadInput, naming it, for anything else."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 <= number < math.inf:
        raise BadInput(f"threshold {name} {str(value)[:80]!r} is not usable", next_step="give a number, 0 or more")
    return number
