# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that cleans silver, from options to a result."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import NotConverged, SystemicFailure
from ...core.text import count, in_words
from ...scout import row_images
from ..engine import damaged_silver
from ..engine import job as engine_job
from . import findings, mover, scan

if t.TYPE_CHECKING:
    from ...invoke import Call, Params
    from ...scout.row_images import Tables
    from ..quarantine.mover import Whole

#: Options that say what is wrong and where it is looked for.
CLEANUP_SPEC: dict[str, dict[str, t.Any]] = {
    "rules": {"type": "list", "elements": "dict"},
    "only": {"type": "list", "elements": "str"},
    "source_event": {"type": "str", "choices": list(mover.SOURCE_EVENT), "default": "quarantine"},
    "max_share": {"type": "float", "default": 0.05},
    "samples": {"type": "int", "default": 5},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
}


class _Found(t.TypedDict):
    """What does not depend on whether anything moves."""

    window: dict[str, t.Any]
    range: dict[str, t.Any]
    report: dict[str, t.Any]
    rules: list[dict[str, t.Any]]
    warnings: list[str]


class CleanupResult(engine_job.MoveResult, _Found):
    """What scout_cleanup returns."""

    damaged: t.NotRequired[dict[str, list[str]]]


@dataclasses.dataclass(frozen=True)
class _Look:
    """What is wanted, and what violates it."""

    tables: Tables
    wanted: mover.CleanupSelection
    report: findings.Report


def cleanup(call: Call, params: Params) -> CleanupResult:
    """What violates the rules moved with its images: the report, rows moved by table and by rule, gold days and the run.

    Raises SystemicFailure where a rule is violated by more than `max_share`, BadInput for rules that cannot be used or more than
    `max_rows`, NotConverged where a sale would move that silver alone has wrong or `require_pause` finds ingestion running,
    and LeaseHeld.
    """
    options = engine_job.options(params)
    job = engine_job.MoveJob(call, params, "cleanup", CLEANUP_SPEC)
    seen = _look(call, job)
    result = _found(seen)
    _refuse_systemic(call, seen, result)
    whole = _whole(call, seen) if call.check else None
    rows, noun = mover.size(seen.report, whole)
    if whole:
        _refuse_damaged(call, seen, result)
        job.refuse_too_many(rows, noun)
        for line in seen.report.lines() if seen.report.violated else ():
            call.progress.say(line)
        return _planned(result, job, seen, whole)
    _refuse_damaged(call, seen, result)
    if not (rows or job.interrupted):
        rules = findings.by_rule(seen.report, {})
        return {**result, **job.nothing(findings.told("moved", {"moved": {}}, rules)), "rules": rules}
    job.refuse_too_many(rows, noun)
    with job.operation({"selection": seen.wanted.as_dict()}) as run:
        work = mover.Cleanup(call.session, run, seen.tables, seen.wanted, call.progress, job.document)
        batches = work.go(options, rows)
    done = job.done(run, batches, verb="moved")
    rules = findings.by_rule(seen.report, run.effects.get("rules") or {})
    told = f"{findings.told('moved', done, rules)} ({in_words(done['batches']['seconds'])})"
    return {**result, **done, "rules": rules, "summary": told}


def _look(call: Call, job: engine_job.MoveJob) -> _Look:
    """Scans silver for what violates the rules."""
    session = call.session
    with engine_job.reading(session, "could not read the selection"):
        tables = row_images.read(session)
        wanted = _wanted(call, job)
    scan.check(session, wanted.rules)
    samples, max_share = job.asked["samples"], job.asked["max_share"]
    return _Look(tables, wanted, scan.scan(session, wanted.rules, wanted.scope, samples=samples, max_share=max_share))


def _wanted(call: Call, job: engine_job.MoveJob) -> mover.CleanupSelection:
    """What was frozen at the start of an interrupted run, or what is asked for, frozen now."""
    if job.frozen:
        return mover.CleanupSelection.from_dict(job.frozen)
    asked = mover.ask(call.session, job.asked)
    return asked if call.check else mover.frozen(call.session, asked)


def _refuse_systemic(call: Call, seen: _Look, result: _Found) -> None:
    try:
        scan.refuse_systemic(call.session, seen.report)
    except SystemicFailure as e:
        e.result = {**result, **e.result}
        raise


def _refuse_damaged(call: Call, seen: _Look, result: _Found) -> None:
    """Raises where a sale would move whose events are sound: silver lost or altered it, and a rebuild restores it."""
    with engine_job.reading(call.session, "could not compare silver with its events"):
        damaged = damaged_silver.find(call.session, seen.tables, mover.violating(call.session, seen.wanted))
    if damaged is not None:
        sales = count(len(damaged.differing), "sale")
        raise NotConverged(
            f"refused to move {sales} whose events are sound: silver alone is wrong",
            on=call.session.where,
            said=damaged.sample(),
            next_step=damaged.command,
            result={**result, "damaged": damaged.differing},
        )


def _whole(call: Call, seen: _Look) -> Whole:
    """All that would move, by table."""
    with engine_job.reading(call.session, "could not read what would move"):
        return mover.whole(call.session, seen.wanted)


def _found(seen: _Look) -> _Found:
    """What does not depend on whether anything moves."""
    report = seen.report
    return {
        "window": seen.wanted.window.as_dict(),
        "range": dict(zip(("first", "last"), report.moving.window, strict=True)),
        "report": report.as_dict(),
        "rules": findings.by_rule(report),
        "warnings": [findings.line(finding) for finding in report.violated if not finding.rule.moves],
    }


def _planned(result: _Found, job: engine_job.MoveJob, seen: _Look, whole: Whole) -> CleanupResult:
    """The result of a check."""
    planned = job.planned(whole, verb="would move")
    rules = findings.by_rule(seen.report)
    told = findings.told("would move", planned, rules)
    if planned["changed"]:
        told += f", in about {in_words(planned.get('plan', {})['estimated_seconds'])}"
    return {**result, **planned, "range": {**whole.range}, "rules": rules, "summary": told}
