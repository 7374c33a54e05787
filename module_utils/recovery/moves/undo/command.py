# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command that undoes a run, from options to a result."""

from __future__ import annotations

import typing as t

from ...core.errors import BadInput
from ...core.text import count, in_words
from ...core.times import to_the_minute
from ...ledger import bootstrap
from ...scout import row_images
from ..engine import job as engine_job
from ..engine import selection
from . import run as undo_run

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ...invoke import Call, Params
    from ...postgres.session import Row

#: Options that say which run is meant, and what becomes of rows that have changed since.
UNDO_SPEC: dict[str, dict[str, t.Any]] = {
    "run_id": {"type": "str", "required": True},
    "on_conflict": {"type": "str", "choices": ["refuse", "keep_current", "restore"], "default": "refuse"},
    "dlq_ids": {"type": "list", "elements": "str"},
}


class Undone(t.TypedDict):
    """Which run is undone, and what that puts back and takes out."""

    undone: dict[str, t.Any]
    put_back: dict[str, int]
    taken: dict[str, int]
    conflicts: list[dict[str, t.Any]]
    conflicting: int
    warnings: list[str]


class UndoResult(engine_job.MoveResult, Undone):
    """What scout_undo returns of a run that moved rows, or that is undone already."""


def undo[R: Mapping[str, t.Any]](
    call: Call, params: Params, *, of_schema: Callable[[Call, Params, Row, Undone], R]
) -> UndoResult | R:
    """A run undone: its rows as they were, by table, those taken out again, conflicts, gold days and the run.

    A run that changed the schema is undone by `of_schema`, from the same options and its row of the ledger. Raises BadInput
    for a run that is not known, moved no data or is more than `max_rows`; NotConverged for rows changed since;
    LeaseHeld. What a stopped undo has committed stays, and it is gone on with.
    """
    options = engine_job.options(params)
    undone = _find(call, params["run_id"])
    # What was asked for is this run, whatever `last` means when the command comes again.
    job = engine_job.MoveJob(call, {**params, "run_id": undone["run_id"]}, "undo", UNDO_SPEC)
    if "before_capture_id" in undone["effects"]:
        return _of_schema(call, params, job, undone, of_schema)
    with engine_job.reading(call.session, "could not read the run to undo"):
        tables = row_images.read(call.session)
        looked_at = selection.identifiers(params["dlq_ids"] or (), "dlq_ids", *selection.ANY_ID)
        work = undo_run.Undo(call.session, tables, undone, params["on_conflict"], call.progress, looked_at)
        preview = work.preview()
    result, run_named = _found(undone, preview), named(undone)
    # An interrupted undo with nothing left still has to come to its end.
    if undone["undone_by"] or not (preview.items or preview.conflicting or job.interrupted):
        by = f" by run {undone['undone_by']}" if undone["undone_by"] else ": nothing of it is left to undo"
        return {**result, **job.nothing(f"{run_named} is already undone{by}")}
    job.refuse_too_many(preview.items, "item")
    if params["look"] and not job.interrupted:
        work.refuse(preview.conflicts, preview.conflicting)
    if call.check:
        return _with(preview.elsewhere, {**result, **_planned(job, undone, preview)})
    work.refuse(preview.conflicts, preview.conflicting)
    with job.operation({"run_id": undone["run_id"]}, undoes=undone["run_id"]) as run:
        batches = work.go(run, options, preview.items)
    done = job.done(run, batches, verb="undid")
    effects: dict[str, t.Any] = {"put_back": {}, "taken": {}, **run.effects}
    came = f"{_rows(effects['put_back'])} restored ({in_words(done['batches']['seconds'])})"
    told: Undone = {**result, "put_back": effects["put_back"], "taken": effects["taken"]}
    return _with(preview.elsewhere, {**told, **done, "effects": effects, "summary": f"undid {run_named}: {came}"})


def _with(told: list[str], result: UndoResult) -> UndoResult:
    """The result with what is to be said besides."""
    return {**result, "warnings": [*told, *result["warnings"]]}


def _find(call: Call, run_id: str) -> Row:
    """The run's row of the ledger."""
    # An earlier release's is upgraded by this, which a transaction that reads could not.
    present = call.look().present
    with engine_job.reading(call.session, "could not read the run to undo"):
        if not present:
            if problem := bootstrap.hidden(call.session):
                raise problem
            raise BadInput(
                f"run {run_id} is unknown",
                on=call.session.where,
                said="this database has no ledger scout_ops",
                next_step="check scout_dsn: runs are kept in the database they worked on",
            )
        return undo_run.find(call.session, run_id)


def _found(undone: Row, preview: undo_run.Preview) -> Undone:
    """What does not depend on whether anything is undone."""
    return {
        "undone": _told(undone),
        "put_back": preview.put_back,
        "taken": preview.taken,
        "conflicts": [conflict.as_dict() for conflict in preview.conflicts],
        "conflicting": preview.conflicting,
        "warnings": [],
    }


def _planned(job: engine_job.MoveJob, undone: Row, preview: undo_run.Preview) -> engine_job.MoveResult:
    """The result of a check."""
    text = f"would undo {named(undone)}: {_rows(preview.put_back)} would be restored"
    if preview.conflicting:
        text += f"; {count(preview.conflicting, 'row')} in conflict"
    planned = job.planned(preview, verb="would undo")
    return {**planned, "summary": text}


def _of_schema[R: Mapping[str, t.Any]](
    call: Call,
    params: Params,
    job: engine_job.MoveJob,
    undone: Row,
    of_schema: Callable[[Call, Params, Row, Undone], R],
) -> UndoResult | R:
    """The result for a run that changed the schema."""
    result: Undone = {
        "undone": _told(undone),
        "put_back": {},
        "taken": {},
        "conflicts": [],
        "conflicting": 0,
        "warnings": [],
    }
    if undone["undone_by"]:
        return {**result, **job.nothing(f"{named(undone)} is already undone by run {undone['undone_by']}")}
    return of_schema(call, params, undone, result)


def _told(undone: Row) -> dict[str, t.Any]:
    named = ("run_id", "action", "status", "incident", "actor", "undone_by")
    return {name: undone[name] for name in named} | {"started_at": undone["started_at"].isoformat()}


def named(undone: Row) -> str:
    """`run 75fac115-… (quarantine of 2026-11-25 01:00)`."""
    return f"run {undone['run_id']} ({undone['action']} of {to_the_minute(undone['started_at'])})"


def _rows(rows: dict[str, int]) -> str:
    """The rows that return; of what had come back from the dead letter queue, its entries."""
    letters = rows.get("dead_letters")
    if letters and not rows.get("events"):
        return count(letters, "dead letter")
    return engine_job.in_numbers(rows)
