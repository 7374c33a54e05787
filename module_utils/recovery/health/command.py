# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands that say how the pipeline is, from options to a result: assess and dead letters."""

from __future__ import annotations

import functools
import time
import typing as t

from ..core.errors import BadInput
from ..core.results import ModuleResult
from ..core.text import count, in_words
from . import assessment, dead_letters, facts, thresholds, unusual

if t.TYPE_CHECKING:
    from ..invoke import Call, Params

#: What is merely not found in time says nothing wrong of the pipeline, but it has to be said.
SILENT_READS: t.Final = {
    "pause": "whether a pause is in force is unknown",
    "suspects": 'skipped check "malformed events"',
    "repeats": 'skipped check "duplicate transaction_id within one batch"',
    "drift": 'skipped check "what changed since the last release was captured"',
    "damaged": 'skipped check "whether the events of these sales are sound"',
    "older": 'skipped check "older violations"',
}


class AssessResult(ModuleResult):
    """What scout_health_info returns."""

    verdict: str
    verdict_when_running: str
    indicators: list[dict[str, t.Any]]
    diagnoses: list[dict[str, t.Any]]
    needs_reset: list[str]
    blockers: list[str]
    cannot_tell: list[str]
    failing: list[str]
    notes: list[str]
    ingestion: dict[str, t.Any]
    suspects: list[dict[str, t.Any]]
    pending: dict[str, t.Any]
    unusual: list[dict[str, t.Any]]
    unread: list[str]
    seconds: float
    warnings: list[str]


class DeadLettersResult(ModuleResult):
    """What scout_dead_letters_info returns."""

    entries: int
    limited: bool
    ages: dict[str, int]
    groups: list[dict[str, t.Any]]
    kinds: int


def assess(call: Call, params: Params) -> AssessResult:
    """The verdict on the pipeline, its indicators, diagnoses, blockers and suspects, how ingestion is, what stayed unread, seconds.
    If nothing asks for a repair but a lock or too little time hid a check, everything is read again within `retry_budget_seconds`.

    Raises BadInput for thresholds or hours that cannot be used; what could not be read is part of the result.
    """
    began = time.monotonic()
    figures = thresholds.chosen(params["thresholds"])
    if not 1 <= params["alert_hours"] <= 24 * 366:
        raise BadInput(f"alert_hours {params['alert_hours']} is not usable", next_step="give 1 to 8784 hours")
    ledger = call.look(params["ledger"])
    read = functools.partial(
        facts.read,
        call.session,
        ledger,
        stuck_after_seconds=params["stuck_after_seconds"],
        alert_hours=params["alert_hours"],
        jobs=params["jobs"],
        progress=call.progress,
    )
    found = read(budget_seconds=params["budget_seconds"])
    report = assessment.assess(found, figures)
    if params["retry_budget_seconds"] and assessment.is_undecided(report, found):
        found = read(budget_seconds=params["retry_budget_seconds"])
        report = assessment.assess(found, figures)
    # How an operation begins is not the time to look at sales.
    seen = [] if params["retry_budget_seconds"] else unusual.read(call.session)
    return {
        "changed": False,
        "verdict": report.verdict,
        "verdict_when_running": report.verdict_when_running,
        "indicators": [indicator.as_dict() for indicator in report.indicators],
        "diagnoses": [diagnosis.as_dict() for diagnosis in report.diagnoses],
        "needs_reset": list(report.needs_reset),
        "blockers": list(report.blockers),
        "cannot_tell": list(report.cannot_tell),
        "failing": list(report.failing),
        "notes": found.wider.unseen_jobs or [],
        "ingestion": _ingestion(found),
        "suspects": [{"event_id": s.event_id, "reason": s.reason} for s in found.suspects],
        "pending": {
            "events": found.backlog.events if found.backlog else None,
            "since": found.backlog.since if found.backlog else None,
        },
        "unusual": seen or [],
        "unread": sorted([*found.problems, *(["unusual"] if seen is None else [])]),
        "seconds": round(time.monotonic() - began, 3),
        "summary": _summary(report, found),
        "warnings": [
            *(f"{text}: {found.problems[name].said}" for name, text in SILENT_READS.items() if name in found.problems),
            *found.limited,
            *ledger.warnings,
        ],
    }


def _ingestion(found: facts.Facts) -> dict[str, t.Any]:
    """How ingestion is, and since when it is paused by whom."""
    pause = found.pause
    return {
        "state": found.ingestion or "unknown",
        "off": found.off,
        "paused_since": pause.paused_at.isoformat() if pause else None,
        "paused_for_seconds": round(pause.seconds, 1) if pause else None,
        "paused_by": pause.actor if pause else None,
        "incident": pause.incident if pause else None,
        "reason": pause.reason if pause else None,
        "jobs": {job.jobname: job.starts for job in found.jobs},
    }


def _summary(report: assessment.Report, found: facts.Facts) -> str:
    text = report.verdict
    if found.pause and report.verdict == "paused":
        text += f" {in_words(found.pause.seconds)} ago by {found.pause.actor}{found.pause.why}"
    for status in ("fail", "warn"):
        named = [
            f"{i.name} {assessment.shown(i.value, i.unit)}".rstrip() for i in report.indicators if i.status == status
        ]
        if named:
            return f"{text}: {', '.join(named)}"
        if status == "fail" and report.cannot_tell:
            return f"{text}: cannot tell {'; '.join(report.cannot_tell)}"
    return text


def list_dead_letters(call: Call, params: Params) -> DeadLettersResult:
    """The unresolved entries of the dead letter queue: how many, of which ages (`hour`, `day`, `week`, `older`), and by error and
    source with one of each, redacted.

    Raises BadInput for a limit that cannot be used, WrongDatabase where there is no queue, MissingPrivilege where it may not be
    read.
    """
    limit = params["limit"]
    if not 1 <= limit <= dead_letters.MOST_GROUPS:
        raise BadInput(f"limit {limit} is not usable", next_step=f"give 1 to {dead_letters.MOST_GROUPS}")
    found = dead_letters.read(
        call.session, codes=params["error_codes"] or (), sources=params["source_systems"] or (), limit=limit
    )
    more = "more than " if found.limited else ""
    summary = f"{more}{count(found.entries, 'unresolved dead letter')}"
    summary += f" of {count(found.kinds, 'kind')}" if found.kinds else ""
    return {
        "changed": False,
        "entries": found.entries,
        "limited": found.limited,
        "ages": found.ages,
        "groups": found.groups,
        "kinds": found.kinds,
        "summary": summary,
    }
