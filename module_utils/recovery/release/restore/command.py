# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rolling back to a capture, from options to a result: what is meant, what it would do, doing it, and what it did."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ...core.errors import BadInput, DatabaseError, MissingPrivilege, NotConverged, PauseHeld, RecoveryError
from ...core.text import in_words
from ...ledger import runs
from ...ledger.pauses import open_pause
from ...moves.engine import job as engine_job
from ...pipeline import pause_resume
from ..captures import store as captures_store
from ..captures import table_data
from ..catalog import reader as catalog_reader
from ..obstacles import reading
from ..obstacles.situation import Situation
from ..planner.target import Target
from . import owners, paused_jobs, rehearsal, run_hooks, saved_data, transaction
from . import request as restore_request
from .down_scripts import run_scripts
from .result import Look, described, newer, nothing, sentence, undone_as

if t.TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from ...invoke import Call
    from ...ledger.ledger import Ledger
    from ...moves.undo.command import Undone
    from ...postgres.session import Row, Session
    from ..captures.document import Document
    from .result import Gone, RollbackResult, UndoneRollback

#: Options that say how, for every way back.
GOING_SPEC: dict[str, dict[str, t.Any]] = {
    "allow_owners": {"type": "list", "elements": "str", "default": []},
    "column_order": {"type": "str", "choices": ["any", restore_request.EXACT], "default": "any"},
    "new_partitions": {"type": "str", "choices": ["keep", restore_request.DROP], "default": "keep"},
    "rehearse": {"type": "bool"},
    "rehearse_rows": {"type": "int", "default": 0},
    "pg_dump": {"type": "path"},
    "patience_seconds": {"type": "float", "default": 60.0},
}

#: Of each table, for a rehearsal.
MOST_ROWS: t.Final = 10_000
#: What to do where down scripts do not arrive.
OTHER_SCRIPTS: t.Final = "fix the scripts, or leave down_scripts out: the rollback is then planned from the capture"
#: How the catalog answers about what goes while it is read: cache lookup failed, undefined object, table, function.
VANISHED: t.Final = ("XX000", "42704", "42P01", "42883")


def roll_back(call: Call, params: dict[str, t.Any]) -> RollbackResult:
    """The schemas as a release was captured: steps, locks, data saved and filled, rehearsal, the run that undoes it, and seconds.

    Raises BadInput for options that cannot be used or more data than `max_rows`, NotConverged where it cannot be rolled back to
    or would lose data without `allow_lossy`, and LeaseHeld; nothing is changed where it raises.
    """
    order, warnings = restore_request.read(call, params)
    result = go_back(call, params, order)
    result["warnings"] = [*warnings, *result["warnings"]]
    return result


def undo(call: Call, params: dict[str, t.Any], undone: Row, about: Undone) -> UndoneRollback:
    """Undoes a rollback: the state before it is restored, with the data that was dropped. Raises NotConverged where
    that capture is gone."""
    with engine_job.reading(call.session, "could not read the capture to roll back to"):
        document = captures_store.by_id(call.look(), undone["effects"]["before_capture_id"])
    if document is None:
        raise NotConverged(
            f"cannot undo run {undone['run_id']}",
            on=call.session.where,
            said="the capture it took first is no longer in scout_ops.releases",
            next_step="rollback.yml rolls back to a release that is: -e scout_release=…",
        )
    asked, owned_by = {"run_id": undone["run_id"]}, tuple(params["allow_owners"])
    asked |= restore_request.unusual(params)
    order = restore_request.Order("undo", document, asked=asked, undone=undone, allow_owners=owned_by)
    return undone_as(go_back(call, params, order), undone, about, check=call.check)


def go_back(call: Call, params: dict[str, t.Any], order: restore_request.Order) -> RollbackResult:
    """Plans the rollback, and carries it out unless this is a check."""
    if not 0 <= params["rehearse_rows"] <= MOST_ROWS:
        raise BadInput(
            f"rehearse_rows {params['rehearse_rows']} is not usable",
            next_step=f"give 0 to {MOST_ROWS:,} rows of each table",
        )
    seen = _look(call, params, order)
    result = described(order, seen)
    if not (seen.way.plan.all_steps or seen.way.plan.impossible):
        return {**result, **nothing(order)}
    planning = call.check and not params["look"]
    if planning:
        if refusal := _would_refuse(call, params, seen, order):
            result["warnings"].append(f"{refusal.attempted}: {refusal.said}. {refusal.next_step}")
            result["refused"] = refusal.as_dict()
    else:
        _refuse(call, params, seen, order)
        result["rehearsal"] = _rehearsed(call, params, order, seen, result["warnings"])
        if result["rehearsal"] and result["rehearsal"]["undo"]:
            result["warnings"].append(f"an undo of this would fail as things stand. {result['rehearsal']['undo']}")
    if call.check:
        text = sentence(seen.way, f"would roll back to {order.goal}: would change")
        return {**result, "changed": True, "summary": text}
    gone = _gone(call, params, order, seen)
    return {**result, **gone, "warnings": [*result["warnings"], *gone["warnings"]]}


def _look(call: Call, params: Mapping[str, t.Any], order: restore_request.Order) -> Look:
    """Plans from what there is; what somebody drops while it is read is read about again."""
    for _ in range(catalog_reader.READINGS - 1):
        try:
            return _looked(call, params, order)
        except DatabaseError as e:
            if e.sqlstate not in VANISHED:
                raise
    return _looked(call, params, order)


def _looked(call: Call, params: Mapping[str, t.Any], order: restore_request.Order) -> Look:
    session = call.session
    with engine_job.reading(session, "could not plan the rollback"):
        ledger = call.look()
        pause = open_pause(ledger)
        paused_jobs.refuse_unfinished(session, pause)
        here = captures_store.origin(session)
        document = _as_kept(ledger, order)
        exact_order = params["column_order"] == restore_request.EXACT
        other = _other(ledger, order)
        # Where nothing says what the rollback has made, whatever was not there before goes again.
        keeps = params["new_partitions"] != restore_request.DROP and (order.undone is None or other is not None)
        made = frozenset(other["digests"]) if order.undone and other else frozenset[str]()
        strict = order.undone is None and params.get("default_grants") != restore_request.RESTORE
        target = Target(document, here.is_that_of(document), order.only, exact_order, keeps, strict, made)
        kept = saved_data.kept(session, document, may_look=ledger.present)
        way = transaction.survey(session, target, pause.jobs if pause else (), kept=kept)
        rows = table_data.refuse_too_many(
            session, way.saves, params["max_rows"], "what is dropped is saved first: allow more"
        )
        # Down scripts go a way of their own.
        found = reading.NOTHING if order.scripts or way.unread else reading.read(session, _situation(way))
    return Look(
        way,
        newer(way, other),
        other["release"] if other else "",
        saved_data.leaving(way.saves, rows),
        found,
    )


def _situation(way: transaction.Way) -> Situation:
    """What the plan touches, for whoever looks for what stands against it."""
    steps = frozenset((step.does, step.key) for step in way.plan.all_steps)
    histories = way.target.scope.histories
    return Situation(way.live.entries, way.goal.wanted, steps, way.plan.was, frozenset(way.plan.filled), histories)


def _as_kept(ledger: Ledger, order: restore_request.Order) -> Document:
    """The capture on the snapshot that the catalog is read on: whoever has rolled back since it was asked for has made objects again,
    and moved what the ledger knows of their addresses in the same transaction."""
    if not order.in_ledger:
        return order.document
    return captures_store.by_id(ledger, order.document["capture_id"], known=order.document) or order.document


def _other(ledger: Ledger, order: restore_request.Order) -> Document | None:
    """The capture of what there was deployed, as far as there is one: what is in neither was made by somebody since."""
    if order.undone is not None:
        return captures_store.by_id(ledger, order.undone["effects"]["capture_id"])
    found = captures_store.latest(ledger, order.document["release"], order.document["scope"]["schemas"])
    return found if found and found["captured_at"] > order.document["captured_at"] else None


def _refuse(call: Call, params: Mapping[str, t.Any], seen: Look, order: restore_request.Order) -> None:
    engine_job.ask_first(call, params)
    with call.session.read():
        owners.refuse_strange(call.session, seen.way, order.allow_owners, order.allow_strange)
    transaction.refuse(
        call.session.where, seen.way, allow_lossy=order.allow_lossy, given_up=order.given_up, way_out=order.way_out
    )
    if seen.found.obstacles:
        said, next_step = reading.in_words_of(seen.found.obstacles)
        kinds = {each.kind for each in seen.found.obstacles}
        raise (MissingPrivilege if kinds <= {"privilege", "row_security"} else NotConverged)(
            reading.attempted(seen.found.obstacles),
            on=call.session.where,
            said=said,
            next_step=f"{next_step}; then run the same command again",
            result={"obstacles": [each.as_dict() for each in seen.found.obstacles]},
        )


def _would_refuse(
    call: Call, params: Mapping[str, t.Any], seen: Look, order: restore_request.Order
) -> RecoveryError | None:
    try:
        _refuse(call, params, seen, order)
    except (NotConverged, MissingPrivilege, PauseHeld) as e:
        return e
    return None


def _rehearsed(
    call: Call, params: Mapping[str, t.Any], order: restore_request.Order, seen: Look, warnings: list[str]
) -> dict[str, t.Any] | None:
    """The same plan on a copy without data, and where that is wanted on one with some rows, before anybody is kept waiting for
    it; what is to be said of it joins `warnings`."""
    if params["rehearse"] is False:
        return None
    way = seen.way
    made = rehearsal.rehearse(
        call.session,
        way,
        lambda session: _walk(session, order, way),
        call.progress,
        required=bool(params["rehearse"]),
        pg_dump=params["pg_dump"],
        rows=params["rehearse_rows"],
    )
    told = dataclasses.asdict(made)
    warnings += told.pop("warnings")
    return told


def _walk(session: Session, order: restore_request.Order, way: transaction.Way) -> None:
    if order.scripts:
        run_scripts(session, order.scripts, way.target.scope.schemas)
    else:
        transaction.walk(session, way.plan)


def _gone(call: Call, params: Mapping[str, t.Any], order: restore_request.Order, seen: Look) -> Gone:
    """Carries out the plan under the lease, and says how it went."""
    ledger = call.ensure("required")
    if params["require_pause"]:
        pause_resume.require_barrier(call.session, ledger, params["jobs"], call.progress)
    with runs.operation(
        ledger,
        order.action,
        {**order.asked, "capture_id": order.document["capture_id"]},
        lease_token=params["lease_token"],
        takeover=params["takeover"],
        undoes=order.undone["run_id"] if order.undone else None,
    ) as run:
        there = seen.way.live
        with _labels_told(seen.way):
            if seen.way.plan.before:
                transaction.add_labels(call.session, seen.way.plan)
                seen = _look(call, params, order)
            going = run_hooks.Hooks(call, ledger, run, order, seen, there, params["jobs"])
            gone = transaction.restore(
                call.session,
                seen.way,
                _patience(params, order),
                call.progress,
                go=lambda session: _walk(session, order, seen.way),
                prepare=going.prepare,
                settle=going.settle,
                record=going.record,
                advice=OTHER_SCRIPTS if order.scripts else transaction.BY_HAND,
            )
    text = sentence(seen.way, f"rolled back to {order.goal}: changed")
    before = {name: going.before[name] for name in ("release", "capture_id", "digest")}
    return {
        "changed": True,
        "run_id": run.run_id,
        "undo": run.run_id,
        "before": before,
        "saved": going.before["protected"],
        "leaving_rows": saved_data.leaving(
            seen.way.saves, {each["relation"]: each["rows"] for each in going.before["protected"]}
        ),
        "filled": going.filled,
        "kept_disabled": going.kept_disabled,
        "attempts": gone.attempts,
        "seconds": gone.seconds,
        "effects": run.effects,
        "summary": f"{text} ({in_words(gone.seconds)})",
        "warnings": ledger.warnings,
    }


@contextlib.contextmanager
def _labels_told(way: transaction.Way) -> Generator[None]:
    """Labels of enums are added before the transaction, and stay where that fails."""
    try:
        yield
    except RecoveryError as e:
        if way.plan.before:
            e.result.setdefault("changed", True)
        raise


def _patience(params: Mapping[str, t.Any], order: restore_request.Order) -> transaction.Patience:
    """An undo has the limits of a module that moves rows; those of a rollback are others."""
    usual = transaction.Patience()
    lock, statement = params["lock_timeout_seconds"], params["statement_timeout_seconds"]
    if order.undone:
        lock, statement = min(lock, usual.lock_timeout_seconds), max(statement, usual.statement_timeout_seconds)
    return transaction.Patience(lock, statement, params["patience_seconds"])
