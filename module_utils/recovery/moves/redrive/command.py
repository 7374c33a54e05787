# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that redrives dead letters, from options to a result."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import SystemicFailure
from ...core.text import count, in_words
from ...ledger import history
from ...ledger.trust import stored_letters
from ...postgres import acting
from ...scout import contract, cron_jobs, row_images
from ..engine import job as engine_job
from ..engine import unknown_names
from ..undo import missing_partitions
from . import letters, merge_patch, preview
from . import run as redrive_run

if t.TYPE_CHECKING:
    from ...invoke import Call, Params
    from ...postgres.acting import Actor
    from ...postgres.session import Session
    from ...scout.row_images import Tables

#: The events that come back, as the journal of an undo has them.
ITEMS = """
SELECT jsonb_build_object('events', jsonb_build_array(d.error_details -> 'event')) AS removed
FROM {dead_letters} AS d WHERE {condition} AND d.error_details ? 'event'
"""
#: Options that say which dead letters are meant, how fast, and what is repaired.
REDRIVE_SPEC: dict[str, dict[str, t.Any]] = {
    "of_incident": {"type": "str"},
    "run_id": {"type": "str"},
    "error_codes": {"type": "list", "elements": "str"},
    "rules": {"type": "list", "elements": "str"},
    "failed_from": {"type": "str"},
    "failed_to": {"type": "str"},
    "time_zone": {"type": "str"},
    "dlq_ids": {"type": "list", "elements": "str"},
    "event_ids": {"type": "list", "elements": "str"},
    "canary_rows": {"type": "int", "default": 10},
    "rate_per_second": {"type": "float", "default": 500.0},
    "max_failures": {"type": "int", "default": 0},
    "max_replays": {"type": "int", "default": 3},
    "repair": {"type": "dict"},
    "repairs": {"type": "dict"},
}


class _Found(preview.LeftAlone):
    """What does not depend on whether anything is redriven."""

    redriven: int
    already_there: int
    failures: list[dict[str, t.Any]]
    conflicts: list[dict[str, str]]
    conflicting: int
    parked: int
    rebuilt: list[dict[str, t.Any]]
    window: dict[str, t.Any]
    range: dict[str, t.Any]
    not_found: dict[str, t.Any]
    warnings: list[str]


class RedriveResult(engine_job.MoveResult, _Found):
    """What scout_redrive returns."""

    suspects: t.NotRequired[list[dict[str, t.Any]]]


@dataclasses.dataclass(frozen=True)
class _How:
    """How fast, and what is repaired."""

    pace: redrive_run.Pace
    repairs: merge_patch.Repairs


@dataclasses.dataclass(frozen=True)
class _Look:
    """Which dead letters are meant, how many are to be tried, and what that would come to where it is asked."""

    tables: Tables
    wanted: letters.DeadLetterSelection
    extent: preview.Extent
    foreseen: preview.Preview | None
    left_alone: preview.LeftAlone
    not_found: dict[str, t.Any]
    #: What is said of events whose partition is gone.
    unplaced: list[str]
    pipeline: Actor


def redrive(call: Call, params: Params) -> RedriveResult:
    """The selected dead letters taken through the ETL again: how many went, were there already, failed again or are parked.

    Raises BadInput for options that cannot be used or more than `max_rows`, SystemicFailure where more fail than `max_failures`,
    NotConverged where a plan no longer fits or `require_pause` finds ingestion running, and LeaseHeld; what was committed stays.
    """
    options = engine_job.options(params)
    _how(params)
    if params["run_id"]:
        call.look()
        with engine_job.reading(call.session, "could not read the run to redrive"):
            # What was asked for is this run, whatever `last` means when the command comes again.
            params = {**params, "run_id": history.run_named(call.session, params["run_id"])}
    job = engine_job.MoveJob(call, params, "redrive", REDRIVE_SPEC)
    how = _how({**params, **{name: job.asked[name] for name in REDRIVE_SPEC}})
    seen = _look(call, params, job, how)
    extent, foreseen = seen.extent, seen.foreseen
    result = _found(seen, how)
    if not call.check and not (extent.entries or job.interrupted):
        return {**result, **job.nothing(_nothing(extent))}
    job.refuse_too_many(extent.entries, "dead letter")
    if call.check and foreseen:
        return _planned(result, job, foreseen)
    return _redriven(call, job, seen, how, options, result)


def _how(params: Params) -> _How:
    """Refuses what cannot be used."""
    pace = redrive_run.Pace(
        *(params[name] for name in ("canary_rows", "rate_per_second", "max_failures", "max_replays"))
    )
    redrive_run.refuse_unusable(pace)
    return _How(pace, merge_patch.repairs(params))


def _look(call: Call, params: Params, job: engine_job.MoveJob, how: _How) -> _Look:
    """Reads what is meant: by an interrupted run, or by the options."""
    session = call.session
    with engine_job.reading(session, "could not read the dead letters"):
        tables = row_images.read(session)
        frozen = job.frozen
        wanted = letters.DeadLetterSelection.from_dict(frozen) if frozen else letters.ask(session, params)
        wanted = dataclasses.replace(wanted, recorded=stored_letters.readable(session))
        if not frozen:
            _refuse_unknown(session, wanted)
        values = {**wanted.values, "max_replays": how.pace.max_replays}
        extent = preview.extent(session, wanted, values)
        left_alone = preview.left_alone(session, wanted, values, extent)
        not_found = letters.not_found(session, wanted)
        items = contract.compose(ITEMS, condition=wanted.to_try())
        unplaced = missing_partitions.look(session, items, values, "refused to redrive dead letters")
        foreseen = None
        if call.check:
            rate = how.pace.rate_per_second
            foreseen = preview.foresee(session, wanted, values, how.repairs, extent, call.progress, rate=rate)
        pipeline = acting.actor(session, cron_jobs.etl_owner(session))
    return _Look(tables, wanted, extent, foreseen, left_alone, not_found, unplaced, pipeline)


def _refuse_unknown(session: Session, wanted: letters.DeadLetterSelection) -> None:
    """Raises BadInput for a name that no dead letter ever had. A run may have left none."""
    unknown_names.refuse_of_letters(session, {"error_codes": wanted.error_codes, "rules": wanted.rules})
    if wanted.run_id and not history.knows_run(session, wanted.run_id):
        unknown_names.refuse_of_letters(session, {"run_id": [wanted.run_id]})
    if wanted.of_incident and not wanted.of_runs:
        unknown_names.refuse_of_letters(session, {"of_incident": [wanted.of_incident]})
    unknown_names.refuse_ids(session, [*wanted.dlq_ids, *wanted.event_ids], "dead letter or event")


def _found(seen: _Look, how: _How) -> _Found:
    """What does not depend on whether anything is redriven."""
    extent = seen.extent
    return {
        "redriven": 0,
        "already_there": 0,
        "failures": [],
        "conflicts": seen.foreseen.conflicts[: redrive_run.NAMED] if seen.foreseen else [],
        "conflicting": len(seen.foreseen.conflicts) if seen.foreseen else 0,
        "parked": extent.parked,
        **seen.left_alone,
        "rebuilt": seen.foreseen.rebuilt if seen.foreseen else [],
        "window": seen.wanted.window.as_dict(),
        "range": extent.range,
        "not_found": seen.not_found,
        "warnings": [*_warnings(seen.not_found, extent, how.pace.max_replays), *seen.unplaced],
    }


def _redriven(
    call: Call, job: engine_job.MoveJob, seen: _Look, how: _How, options: engine_job.Options, result: _Found
) -> RedriveResult:
    """Redrives as a run of the ledger."""
    extent = seen.extent
    with job.operation({"selection": seen.wanted.as_dict()}) as run:
        work = redrive_run.Redrive(
            call.session, run, seen.tables, seen.wanted, how.repairs, how.pace, call.progress, pipeline=seen.pipeline
        )
        try:
            ramp = work.go(options, extent.entries)
        except SystemicFailure as e:
            e.result = {**result, **e.result}
            raise
    done = job.done(run, ramp, verb="redrove")
    result = {**result, "warnings": [*result["warnings"], *_in_conflict(work.conflicts)]}
    effects = {"redriven": 0, "already_there": 0, "failed": 0, **done["effects"]}
    return {
        **result, **done, **work.outcome(),
        "effects": effects,
        "summary": _summary(effects, extent, done["batches"]["seconds"]) + _beside(work.conflicts),
        "diff": {
            "before": {"unresolved": extent.entries},
            "after": {"unresolved": effects["failed"] + len(work.conflicts)},
        },
    }  # fmt: skip


def _planned(result: _Found, job: engine_job.MoveJob, foreseen: preview.Preview) -> RedriveResult:
    """The result of a check."""
    made = job.planned(foreseen, verb="would redrive")
    planned: RedriveResult = {**result, **made, "suspects": foreseen.suspects}
    extent = foreseen.extent
    redriven = extent.entries - foreseen.already_there - len(foreseen.conflicts)
    planned["warnings"] = [*planned["warnings"], *_in_conflict(foreseen.conflicts)]
    planned.update(redriven=redriven, already_there=foreseen.already_there)
    if not extent.entries:
        return {**planned, "summary": _nothing(extent)}
    text = f"would redrive {count(redriven, 'event')}"
    if foreseen.already_there:
        text += f", resolve {foreseen.already_there:,} that are in bronze already"
    if foreseen.suspects:
        text += f"; {count(len(foreseen.suspects), 'event')} would fail again"
    text += f", in about {in_words(foreseen.estimated_seconds)}{_left(extent)}{_beside(foreseen.conflicts)}"
    return {**planned, "summary": text}


def _summary(effects: dict[str, t.Any], extent: preview.Extent, seconds: float) -> str:
    text = f"redrove {count(effects['redriven'], 'event')}"
    if effects["already_there"]:
        text += f", {effects['already_there']:,} already there"
    if effects["failed"]:
        text += f", {effects['failed']:,} failed again"
    return f"{text} ({in_words(seconds)}){_left(extent)}"


def _nothing(extent: preview.Extent) -> str:
    return f"no unresolved dead letter matches{_left(extent)}"


def _left(extent: preview.Extent) -> str:
    parts = [f"{extent.parked:,} parked"] if extent.parked else []
    parts += [f"{extent.not_rebuildable:,} not rebuildable"] if extent.not_rebuildable else []
    return f"; left alone: {', '.join(parts)}" if parts else ""


def _beside(conflicts: list[dict[str, str]]) -> str:
    return f"; not touched: {count(len(conflicts), 'duplicate')}" if conflicts else ""


def _in_conflict(conflicts: list[dict[str, str]]) -> list[str]:
    """Names the first entries whose event is somewhere else as well."""
    more = f"; and {len(conflicts) - 5} more" if len(conflicts) > 5 else ""
    named = "; ".join(f"dead letter {one['dlq_id']}: {one['why']}" for one in conflicts[:5])
    return (
        [f"{count(len(conflicts), 'dead letter')} not touched, to put no event back twice: {named}{more}"]
        if conflicts
        else []
    )


def _warnings(not_found: dict[str, t.Any], extent: preview.Extent, max_replays: int) -> list[str]:
    made: list[str] = []
    if not_found["count"]:
        made.append(f"{count(not_found['count'], 'given id')} not of an unresolved dead letter")
    if extent.parked:
        anyway = f"to retry anyway: -e scout_max_replays={(extent.most_retries or 0) + 1}"
        made.append(f"{count(extent.parked, 'dead letter')} parked after {max_replays} attempts; {anyway}")
    return made
