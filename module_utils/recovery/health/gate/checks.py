# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the acceptance gate: how each is measured, its figures, and the old script's exit code for it; pure."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.text import count, in_words
from ..table import FEW, LINES, SALES, TABLE, Figure, Measured, alert, for_example
from .facts import FLOW_MINUTES

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..facts import Facts

#: The exit codes of the script of Scout v5.2, and those it lacked.
LINKING: t.Final = 42
MATH: t.Final = 43
LOCKS: t.Final = 44
FRESHNESS: t.Final = 45
OTHER: t.Final = 46
INCONCLUSIVE: t.Final = 47
PAUSED: t.Final = 48

SEVERITIES: t.Final = ("fail", "warn", "info")
SMOKE: t.Final = "smoke_test"


@dataclasses.dataclass(frozen=True)
class Check(Figure):
    """A figure of the gate."""

    code: int = OTHER
    #: The worst it may come to: fail, warn, or info, which is told and never counts.
    severity: str = "fail"


def _as_check(name: str, code: int = OTHER, *, flow: bool | None = None, severity: str = "fail") -> Check:
    """A figure of the assessment as it is."""
    [figure] = [figure for figure in TABLE if figure.name == name]
    fields: dict[str, t.Any] = {**_fields(figure), "flow": figure.flow if flow is None else flow}
    return Check(**fields, code=code, severity=severity)


def _fields(figure: Figure) -> dict[str, t.Any]:
    return {field.name: getattr(figure, field.name) for field in dataclasses.fields(Figure)}


def _older(found: Facts) -> Measured:
    row = found.older
    if row is None:
        return Measured(None)
    number = row["negative"] + row["empty"]
    text = f"{count(row['negative'], 'negative total')}, {count(row['empty'], 'empty basket')}, for example {row['sample']}"
    return Measured(float(number), text if number else "")


def _swallowed(found: Facts) -> Measured:
    row = found.wider.lost
    return Measured(None) if row is None else Measured(float(row["swallowed"]), for_example(row["swallowed_ids"] or []))


def _raised(found: Facts) -> Measured:
    rows = found.wider.raised
    if rows is None:
        return Measured(None)
    told = [
        f"{row['alert']} ({count(row['rows'], 'row')}, the latest {in_words(row['seconds'] or 0)} old)"
        for row in rows[:FEW]
    ]
    return Measured(float(len(rows)), "; ".join(told))


def _letters(found: Facts) -> Measured:
    row = found.wider.letters
    if row is None:
        return Measured(None)
    ours = f"{row['ours']:,} more were quarantined by this toolkit" if row["ours"] else ""
    codes = ", ".join(row["codes"] or []) if row["grown"] else ""
    return Measured(float(row["grown"]), "; ".join(part for part in (codes, ours) if part))


def progress_of(found: Facts) -> str:
    """How the backlog goes down, in words; empty unless old events are loaded, and more than arrive."""
    flow = found.wider.flow
    if flow is None or found.backlog is None or not flow["late"] or flow["loaded"] <= flow["arrived"]:
        return ""
    rate = (flow["loaded"] - flow["arrived"]) / FLOW_MINUTES
    return (
        f"{count(found.backlog.events, 'event')} left; {flow['loaded']:,} loaded and {flow['arrived']:,} arrived within "
        f"{FLOW_MINUTES} minutes, so about {in_words(found.backlog.events / rate * 60)} to go"
    )


#: In the order of their codes: of several that do not pass, the first one gives the gate its exit code.
CHECKS: t.Final = (
    _as_check("linking_coverage", LINKING),
    Check("negative_totals", SALES, ("alerts",), alert("NEGATIVE_TOTAL"), code=MATH),
    _as_check("empty_baskets", MATH),
    Check("line_mismatch", LINES, ("alerts",), alert("LINE_TOTAL_MISMATCH"), code=MATH),
    _as_check("missing_lines", MATH),
    Check("invalid_lines", LINES, ("alerts",), alert("INVALID_LINE_ITEM"), code=MATH),
    _as_check("not_a_number", MATH),
    Check("older_violations", "{transactions}, before the period", ("older",), _older, code=MATH, severity="warn"),
    _as_check("future_sales", MATH),
    _as_check("duplicate_sales", MATH),
    _as_check("stuck_locks", LOCKS),
    _as_check("stuck_sessions", LOCKS),
    _as_check("prepared_transactions", LOCKS),
    _as_check("bronze_staleness", FRESHNESS),
    _as_check("silver_staleness", FRESHNESS),
    _as_check("gold_staleness", FRESHNESS),
    _as_check("stale_gold_views", FRESHNESS, flow=True),
    _as_check("gold_refreshable"),
    _as_check("backlog_events"),
    _as_check("backlog_age"),
    _as_check("blocked_events"),
    _as_check("lost_events"),
    Check("swallowed_events", "{etl_ledger} without a transaction_id", ("lost",), _swallowed, severity="info"),
    _as_check("altered_sales"),
    _as_check("unloaded_sources"),
    _as_check("jobs_present"),
    _as_check("jobs_active"),
    _as_check("job_runs"),
    _as_check("etl_duration", flow=True),
    Check("unresolved_alerts", "{alerts}, critical", ("raised",), _raised),
    Check("dead_letter_growth", "{dead_letters}, last hour", ("letters",), _letters),
    _as_check("schema_objects"),
    _as_check("job_schedules"),
    _as_check("job_rights"),
    _as_check("gold_views"),
    _as_check("interrupted_runs"),
    _as_check("database", severity="info"),
)  # fmt: skip

NAMES: t.Final = (*(check.name for check in CHECKS), SMOKE)


def called(checks: Iterable[Check]) -> dict[str, Check]:
    """By name."""
    return {check.name: check for check in checks}
