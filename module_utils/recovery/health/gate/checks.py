# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks of the acceptance gate: how each is measured, its figures, and the old script's exit code for it; pure."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...core.text import count, in_words
from ...scout import contract
from .. import assessment
from ..assessment import Figure, Measured
from ..thresholds import JOB_LATE_SECONDS
from .facts import FLOW_MINUTES, HISTORY_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..facts import Facts, GateFacts, Needed

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
FEW: t.Final = 3

#: A scheduled job is late once it has missed several of its times.
LATE_TIMES: t.Final = 3

MINUTES: t.Final = re.compile(r"(?:\*|\*/(?P<every>[1-9][0-9]?)) \* \* \* \*")
SECONDS: t.Final = re.compile(r"(?P<every>[1-9][0-9]?) seconds?", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Check(Figure):
    """A figure of the gate."""

    code: int = OTHER
    #: The worst it may come to: fail, warn, or info, which is told and never counts.
    severity: str = "fail"


def _as_check(name: str, code: int = OTHER, *, flow: bool | None = None, severity: str = "fail") -> Check:
    """A figure of the assessment as it is."""
    [figure] = [figure for figure in assessment.FIGURES if figure.name == name]
    fields = {field.name: getattr(figure, field.name) for field in dataclasses.fields(Figure)}
    fields |= {"flow": figure.flow if flow is None else flow}
    return Check(**fields, code=code, severity=severity)


def _gate_facts(found: Facts) -> GateFacts:
    if found.gate is None:
        raise LookupError("the facts of a gate were not read")
    return found.gate


def _silver(found: Facts) -> Measured:
    """By the newest of silver's clocks: what the ETL loads into a sale that is there keeps its processed_at."""
    minutes, updated = found.silver_minutes, _gate_facts(found).updated_minutes
    if minutes is None:
        return Measured(None, "no transaction")
    if updated is not None and updated < minutes:
        return Measured(updated, f"the last new one is {in_words(minutes * 60)} old, later ones only corrected others")
    return Measured(minutes)


def _gold_refreshable(found: Facts) -> Measured:
    views = found.gold or []
    if not views:
        return Measured(None, f"no materialized view in schema {contract.names().schema}", "fail")
    bad = [f"{view.view.full_name} was never filled" for view in views if not view.view.populated]
    bad += [
        f"{view.view.full_name} has no unique index" for view in views if view.view.populated and not view.view.keyed
    ]
    return Measured(float(len(bad)), "; ".join(bad))


def _alert(name: str) -> Callable[[Facts], Measured]:
    def measure(found: Facts) -> Measured:
        rows = [row for row in found.alerts if row["alert"] == name]
        samples: list[str] = []
        for row in rows:
            samples += row["samples"] or []
        return Measured(float(sum(row["found"] for row in rows)), _for_example(samples))

    return measure


def _older(found: Facts) -> Measured:
    row = found.older
    if row is None:
        return Measured(None)
    number = row["negative"] + row["empty"]
    text = f"{count(row['negative'], 'negative total')}, {count(row['empty'], 'empty basket')}, for example {row['sample']}"
    return Measured(float(number), text if number else "")


def _lost(found: Facts) -> Measured:
    row = _gate_facts(found).lost
    return Measured(None) if row is None else Measured(float(row["lost"]), _for_example(row["lost_ids"] or []))


def _swallowed(found: Facts) -> Measured:
    row = _gate_facts(found).lost
    return (
        Measured(None) if row is None else Measured(float(row["swallowed"]), _for_example(row["swallowed_ids"] or []))
    )


def _blocked(found: Facts) -> Measured:
    """Events that no batch can be loaded with, among those that come next."""
    why = [f"event {suspect.event_id}: {suspect.reason}" for suspect in found.suspects]
    why += [f"duplicate transaction_id {row['transaction_id']} within one batch" for row in found.repeats]
    return Measured(None if found.backlog is None else float(len(why)), "; ".join(why))


def _jobs_present(found: Facts) -> Measured:
    needed = _gate_facts(found).needed
    if needed is None:
        return Measured(None)
    missing = [f"{each.name}: {each.why}" for each in needed if each.job is None]
    return Measured(float(len(missing)), "; ".join(missing))


def _jobs_active(found: Facts) -> Measured:
    needed = _gate_facts(found).needed
    if needed is None:
        return Measured(None)
    off = [each.job.jobname for each in needed if each.job and (not each.job.active or each.job.parked)]
    off += [name for name in found.off if name not in off and found.ingestion == "paused"]
    return Measured(float(len(off)), f"inactive: {', '.join(off)}" if off else "")


def _job_runs(found: Facts) -> Measured:
    """Jobs whose last run failed, or that the scheduler no longer starts."""
    gate = _gate_facts(found)
    if gate.needed is None:
        return Measured(None)
    bad: list[str] = []
    unknown: list[str] = []
    for each in gate.needed:
        problem, status = _last_run(each, found, gate)
        (bad if status == "fail" else unknown if status == "unknown" else []).append(problem)
    if unknown and not bad:
        return Measured(None, "; ".join(unknown))
    return Measured(float(len(bad)), "; ".join([*bad, *unknown]))


def _last_run(needed: Needed, found: Facts, gate: GateFacts) -> tuple[str, str]:
    """What is wrong with the runs of a job, and whether it fails or cannot be told."""
    job = needed.job
    if job is None or not job.active or job.parked:
        return "", "ok"
    every = every_seconds(job.schedule)
    silent = _silent_seconds(needed, found)
    off_until = HISTORY_SECONDS if gate.resumed_seconds is None else gate.resumed_seconds
    late = every is not None and min(silent, off_until) > max(JOB_LATE_SECONDS, LATE_TIMES * every)
    # One that was never started, beside others that are, may be new.
    if late and (needed.runs or all(_silent_seconds(other, found) > JOB_LATE_SECONDS for other in gate.needed or [])):
        return f"{job.jobname} has not started for {in_words(silent)}, although its schedule is {job.schedule}", "fail"
    ended = next((run for run in needed.runs if run["end_time"] is not None), None)
    if ended is None:
        return f"{job.jobname} has finished no run within {in_words(HISTORY_SECONDS)}", "unknown"
    if ended["status"] != "succeeded":
        said = " ".join(str(ended["return_message"] or "no message").split())[:200]
        return f"the last run of {job.jobname} failed: {said}", "fail"
    return "", "ok"


def _silent_seconds(needed: Needed, found: Facts) -> float:
    """How long ago the latest run of a job began."""
    if not needed.runs or found.now is None:
        return HISTORY_SECONDS
    return (found.now - needed.runs[0]["start_time"]).total_seconds()


def every_seconds(schedule: str) -> float | None:
    """How often a job comes whose schedule says so plainly; None for every other schedule."""
    schedule = " ".join(schedule.split())
    if found := SECONDS.fullmatch(schedule):
        return float(found["every"])
    if found := MINUTES.fullmatch(schedule):
        return 60.0 * float(found["every"] or 1)
    return None


def _raised(found: Facts) -> Measured:
    rows = _gate_facts(found).raised
    if rows is None:
        return Measured(None)
    told = [
        f"{row['alert']} ({count(row['rows'], 'row')}, the latest {in_words(row['seconds'] or 0)} old)"
        for row in rows[:FEW]
    ]
    return Measured(float(len(rows)), "; ".join(told))


def _letters(found: Facts) -> Measured:
    row = _gate_facts(found).letters
    if row is None:
        return Measured(None)
    ours = f"{row['ours']:,} more were quarantined by this toolkit" if row["ours"] else ""
    codes = ", ".join(row["codes"] or []) if row["grown"] else ""
    return Measured(float(row["grown"]), "; ".join(part for part in (codes, ours) if part))


def _objects(found: Facts) -> Measured:
    missing = _gate_facts(found).missing
    return Measured(None) if missing is None else Measured(float(len(missing)), _listed(missing))


def _for_example(samples: list[str]) -> str:
    return f"for example {', '.join(samples[:FEW])}" if samples else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}" if names else ""


def progress_of(found: Facts) -> str:
    """How the backlog goes down, in words; empty unless old events are loaded, and more than arrive."""
    flow = _gate_facts(found).flow
    if flow is None or found.backlog is None or not flow["late"] or flow["loaded"] <= flow["arrived"]:
        return ""
    rate = (flow["loaded"] - flow["arrived"]) / FLOW_MINUTES
    return (
        f"{count(found.backlog.events, 'event')} left; {flow['loaded']:,} loaded and {flow['arrived']:,} arrived within "
        f"{FLOW_MINUTES} minutes, so about {in_words(found.backlog.events / rate * 60)} to go"
    )


SALES: t.Final = "{transactions}"
LINES: t.Final = "{transactions}, {line_items}"
JOBS: t.Final = ("needed_jobs",)
RUNS: t.Final = "cron.job, cron.job_run_details"

#: In the order of their codes: of several that do not pass, the first one gives the gate its exit code.
CHECKS: t.Final = (
    _as_check("linking_coverage", LINKING),
    Check("negative_totals", SALES, ("alerts",), _alert("NEGATIVE_TOTAL"), code=MATH),
    Check("empty_baskets", SALES, ("alerts",), _alert("EMPTY_BASKET"), code=MATH),
    Check("line_mismatch", LINES, ("alerts",), _alert("LINE_TOTAL_MISMATCH"), code=MATH),
    Check("missing_lines", LINES, ("alerts",), _alert("MISSING_LINES"), code=MATH),
    Check("invalid_lines", LINES, ("alerts",), _alert("INVALID_LINE_ITEM"), code=MATH),
    Check("not_a_number", LINES, ("alerts",), _alert("NOT_A_NUMBER"), code=MATH),
    Check("older_violations", "{transactions}, before the period", ("older",), _older, code=MATH, severity="warn"),
    _as_check("stuck_locks", LOCKS),
    _as_check("stuck_sessions", LOCKS),
    _as_check("bronze_staleness", FRESHNESS),
    Check("silver_staleness", "max({transactions}.processed_at, updated_at)", ("silver", "updated"), _silver,
          flow=True, code=FRESHNESS),
    _as_check("gold_staleness", FRESHNESS),
    _as_check("stale_gold_views", FRESHNESS, flow=True),
    Check("gold_refreshable", "pg_class, pg_index", ("gold",), _gold_refreshable),
    _as_check("backlog_events"),
    _as_check("backlog_age"),
    Check("blocked_events", "the oldest pending {bronze}", ("backlog", "head", "suspects", "repeats"), _blocked),
    Check("lost_events", "{etl_ledger} without {transactions}", ("lost",), _lost),
    Check("swallowed_events", "{etl_ledger} without a transaction_id", ("lost",), _swallowed, severity="info"),
    Check("jobs_present", "cron.job", JOBS, _jobs_present),
    Check("jobs_active", "cron.job", ("jobs", *JOBS), _jobs_active, flow=True),
    Check("job_runs", RUNS, JOBS, _job_runs, flow=True),
    _as_check("etl_duration", flow=True),
    Check("unresolved_alerts", "{alerts}, critical", ("raised",), _raised),
    Check("dead_letter_growth", "{dead_letters}, last hour", ("letters",), _letters),
    Check("schema_objects", "pg_catalog", ("objects",), _objects),
)  # fmt: skip

NAMES: t.Final = (*(check.name for check in CHECKS), SMOKE)


def called(checks: Iterable[Check]) -> dict[str, Check]:
    """By name."""
    return {check.name: check for check in checks}
