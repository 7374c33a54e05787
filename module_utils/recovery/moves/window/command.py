# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that recovers a window, from options to a result."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import BadInput
from ...core.times import to_the_minute
from ...pipeline import expected
from ...pipeline.poison_policy import Tolerance
from ...postgres import acting
from ...scout import cron_jobs, row_images
from ..engine import job as engine_job
from ..engine import selection, unknown_names
from . import options as window_options
from .comparison import Comparer, Comparison
from .reconciliation import Reconciliation
from .recovery import Recovery
from .results import WindowFound, WindowResult

if t.TYPE_CHECKING:
    from ...invoke import Call, Params
    from ...scout.row_images import Tables

#: Options that say which window is meant, and what of it is rebuilt.
WINDOW_SPEC: dict[str, dict[str, t.Any]] = {
    "clock": {"type": "str", "choices": ["ingested_at", "event_ts"], "default": "ingested_at"},
    "window_start": {"type": "str"},
    "window_end": {"type": "str"},
    "time_zone": {"type": "str"},
    "last": {"type": "str"},
    "source_files": {"type": "list", "elements": "str"},
    "mode": {"type": "str", "choices": ["missing", "all"], "default": "missing"},
}


@dataclasses.dataclass(frozen=True)
class _Look:
    """Which window is meant, and how silver compares with its events."""

    tables: Tables
    wanted: selection.Selection
    comparer: Comparer
    first: Comparison
    rebuilt_by: str | None
    account: Reconciliation


def recover(call: Call, params: Params) -> WindowResult:
    """Silver of a window as its events say: what was missing or wrong, rebuilt, loaded or poison, the account and the run.

    Raises BadInput for a window or limits that cannot be used or more than `max_rows`, SystemicFailure where more is poison than
    those allow, NotConverged where the account is not even or `require_pause` finds ingestion running,
    and LeaseHeld; what a stopped run has committed stays, and it is gone on with.
    """
    options = engine_job.options(params)
    _refuse_unusable(params)
    job = engine_job.MoveJob(call, params, "window_recovery", WINDOW_SPEC)
    seen = _look(call, params, job)
    result: WindowFound = {
        "window": seen.wanted.window.as_dict(),
        "narrowed": seen.wanted.narrowed,
        "mode": job.asked["mode"],
        "plan": seen.first.as_plan(),
        "loaded": 0,
        "poison": [],
    }
    if (seen.rebuilt_by or seen.first.clean) and not job.interrupted:
        return {**result, **job.nothing(_why_nothing(seen)), "reconciliation": seen.account.as_dict()}
    job.refuse_too_many(seen.first.todo_events)
    if call.check:
        planned = window_options.planned(job, seen.first)
        return {**result, **planned, "reconciliation": seen.account.as_dict()}
    with job.operation({"selection": seen.wanted.as_dict(), "mode": job.asked["mode"]}) as run:
        tolerance = Tolerance(params["poison"], params["max_poison"], params["max_poison_share"])
        recovery = Recovery(call.session, run, seen.tables, seen.comparer, tolerance, call.progress, job.document)
        with call.session.read():
            etl = expected.call_seconds(call.session)
        limit = expected.limit(None, params["batch_timeout_seconds"], etl)
        batches = recovery.go(options, seen.first, batch_timeout_seconds=limit, etl_seconds=etl)
        done = recovery.outcome(batches, seen.first)
    if job.interrupted and params["last"]:
        begun = to_the_minute(job.interrupted["started_at"])
        done["summary"] += (
            f"; it was the window of the run of {begun}: run it again for the last {params['last']} from now"
        )
    return {**result, **done}


def _refuse_unusable(params: Params) -> None:
    if params["max_poison"] < 0 or not 0 <= params["max_poison_share"] <= 1 or params["batch_timeout_seconds"] <= 0:
        raise BadInput(
            f"max_poison {params['max_poison']}, max_poison_share {params['max_poison_share']} and batch_timeout_seconds "
            f"{params['batch_timeout_seconds']:g} are not usable together",
            next_step="give max_poison >= 0, max_poison_share between 0 and 1, and batch_timeout_seconds > 0",
        )


def _look(call: Call, params: Params, job: engine_job.MoveJob) -> _Look:
    """Compares silver with the events of the window: of an interrupted run, or of the options."""
    session = call.session
    with engine_job.reading(session, "could not read the window"):
        tables = row_images.read(session)
        if job.frozen:
            wanted = selection.Selection.from_dict(job.frozen)
        else:
            wanted = window_options.ask(session, params)
            unknown_names.refuse_of_events(session, wanted.as_dict())
        pipeline = acting.actor(session, cron_jobs.etl_owner(session))
        comparer = Comparer(session, tables, wanted, everything=job.asked["mode"] == "all", pipeline=pipeline)
        first = comparer.look(carry=not call.check)
        ledger = call.look()
        rebuilt = window_options.rebuilt_by(ledger, wanted, first) if comparer.everything else None
        account = Reconciliation.of(session, None, comparer, first, {})
    return _Look(tables, wanted, comparer, first, rebuilt, account)


def _why_nothing(seen: _Look) -> str:
    if seen.rebuilt_by:
        return f"rebuilt by run {seen.rebuilt_by}, and nothing of it has changed since"
    return window_options.healthy(seen.first)
