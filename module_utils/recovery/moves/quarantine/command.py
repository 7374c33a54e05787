# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that quarantines events, from options to a result."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.text import count
from ...scout import row_images
from ..engine import job as engine_job
from ..engine import selection, unknown_names
from . import mover

if t.TYPE_CHECKING:
    from ...invoke import Call, Params
    from ...scout.row_images import Tables

#: Options that say which events are meant.
SELECTION_SPEC: dict[str, dict[str, t.Any]] = {
    "clock": {"type": "str", "choices": ["ingested_at", "event_ts"], "default": "ingested_at"},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
    "source_systems": {"type": "list", "elements": "str"},
    "source_files": {"type": "list", "elements": "str"},
    "event_types": {"type": "list", "elements": "str"},
    "stores": {"type": "list", "elements": "str"},
    "transactions": {"type": "list", "elements": "str"},
    "event_ids": {"type": "list", "elements": "str"},
    "event_ids_file": {"type": "path"},
    "payload_path": {"type": "str"},
}


class _Found(t.TypedDict):
    """What does not depend on whether anything moves."""

    window: dict[str, t.Any]
    narrowed: dict[str, t.Any]
    range: dict[str, t.Any]
    not_found: dict[str, t.Any]
    warnings: list[str]


class QuarantineResult(engine_job.MoveResult, _Found):
    """What scout_quarantine returns."""


@dataclasses.dataclass(frozen=True)
class _Look:
    """What is meant, and how much of it is in bronze; all of it by table for a check."""

    tables: Tables
    wanted: selection.Selection
    whole: mover.Whole | None
    extent: mover.Extent
    not_found: dict[str, t.Any]


def quarantine(call: Call, params: Params) -> QuarantineResult:
    """The selected events moved with their closure: rows moved by table, those requeued, gold days, batches and the run.

    Raises BadInput for options that cannot be used or more than `max_rows`, NotConverged where
    `require_pause` finds ingestion running, and LeaseHeld; what a stopped run has committed stays, and it is gone on with.
    """
    options = engine_job.options(params)
    job = engine_job.MoveJob(call, params, "quarantine", SELECTION_SPEC)
    seen = _look(call, params, job)
    events, whole = seen.extent.events, seen.whole
    result = _found(seen)
    if call.check:
        job.refuse_too_many(events)
        told = job.planned(whole, verb="would move") if whole else job.looked(events, "would move")
        return {**result, **told}
    if not (events or job.interrupted):
        return {**result, **job.nothing("0 events match")}
    job.refuse_too_many(events)
    with job.operation({"selection": seen.wanted.as_dict()}) as run:
        digests = params["compare_by"] == "digest"
        work = mover.Quarantine(
            call.session, run, seen.tables, seen.wanted, call.progress, job.document, digests=digests
        )
        batches = work.go(options, events)
    if (gone := events - batches.rows) > 0:
        was = "event that was selected is" if gone == 1 else "events that were selected are"
        result["warnings"].append(
            f"{gone:,} {was} gone from bronze since, and not moved: somebody else removed them, as retention does; what silver has of them "
            "is as it was"
        )
    return {**result, **job.done(run, batches, verb="moved")}


def _look(call: Call, params: Params, job: engine_job.MoveJob) -> _Look:
    """Reads what is meant: by an interrupted run, or by the options."""
    session = call.session
    with engine_job.reading(session, "could not read the selection"):
        tables = row_images.read(session)
        if job.frozen:
            wanted = selection.Selection.from_dict(job.frozen)
        else:
            wanted = selection.ask(session, params)
            unknown_names.refuse_of_events(session, wanted.as_dict())
            unknown_names.refuse_ids(session, wanted.event_ids, "event")
        whole = mover.whole(session, wanted) if job.wants_all else None
        extent = whole.extent if whole else mover.extent(session, wanted)
        return _Look(tables, wanted, whole, extent, selection.not_found(session, wanted.event_ids))


def _found(seen: _Look) -> _Found:
    """What does not depend on whether anything moves."""
    missing = seen.not_found["count"]
    return {
        "window": seen.wanted.window.as_dict(),
        "narrowed": seen.wanted.narrowed,
        "range": seen.extent.range,
        "not_found": seen.not_found,
        "warnings": [f"{count(missing, 'given event id')} not in bronze"] if missing else [],
    }
