# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands for the running pipeline, from options to a result: pause or resume, terminate sessions, drain, refresh gold."""

from __future__ import annotations

import dataclasses
import functools
import json
import shlex
import time
import typing as t

from ..core.errors import BadInput, DatabaseError, NotConverged
from ..core.text import count, in_words
from ..ledger import history, pauses
from ..ledger.runs import operation
from ..postgres.failures import attempting
from ..scout import contract, cron_jobs, gold_views, sessions
from . import blockers, pause_resume, refresh_gold, terminate_sessions
from . import drain as pipeline_drain
from . import expected as estimates

if t.TYPE_CHECKING:
    from ..invoke import Call, Params
    from ..ledger.ledger import Ledger
    from ..scout.sessions import Activity
    from .results import DrainResult, IngestionState, Recorded, RefreshResult, Switched, SwitchResult, TerminationResult

#: How much of the backlog check mode looks through for events that cannot be loaded, and how many of them it names.
CHECK_ROWS: t.Final = 20_000
CHECK_SUSPECTS: t.Final = 100


@dataclasses.dataclass(frozen=True)
class _Switched:
    """How ingestion is after a pause or a resume, and what came of it."""

    after: pause_resume.State
    in_flight: list[dict[str, t.Any]]
    stuck: tuple[Activity, ...]
    told: Switched


def set_ingestion(call: Call, params: Params) -> SwitchResult:
    """Ingestion paused or running, shown to be so: its state, each job before and after, sessions in flight, and seconds.

    Raises BadInput for a job that is not there, MissingPrivilege, LeaseHeld, and NotConverged where sessions outlast
    `drain_timeout_seconds`, a job cannot be switched, or a resume leaves the load job off although no pause is in force.
    """
    began = time.monotonic()
    pausing = params["state"] == "paused"
    ledger = call.look(params["ledger"])
    before = pause_resume.read(call.session, ledger, params["jobs"])
    todo = _planned_switch(call, params, before)
    # An operation pauses before it does what cannot be undone, such as rolling back the application.
    steps_in = pausing and params["operation"] is not None
    whose = _ask_first(call, params, "change") if steps_in else pause_resume.require_own(ledger, before, todo, params)
    pause_resume.require_privileges(call.session, before, todo, pausing=pausing)
    if call.check or not (todo.changes or todo.wait_for):
        done = _Switched(before, [a.as_dict() for a in todo.wait_for], todo.stuck, {**_nothing_recorded()})
    else:
        done = _switch(call, params, before, todo)
    unfinished = None if pausing else _unfinished(call, params, ledger, before)
    seconds = time.monotonic() - began
    result: SwitchResult = {
        **done.told,
        "changed": todo.changes,
        **_state(call, before, done),
        "warnings": [*whose, *([todo.note] if todo.note else []), *done.told["warnings"]],
        "seconds": round(seconds, 3),
        "effects": {("deactivated" if pausing else "activated"): [job.jobname for job in todo.jobs]},
        "summary": _ingestion_summary(call, params["state"], before, todo, seconds),
        "diff": _planned_diff(before, todo, pausing) if call.check else pause_resume.diff(before, done.after.jobs),
    }
    if unfinished:
        return {**result, "error": unfinished.as_dict()}
    if not pausing and (
        off := pause_resume.find_unexplained(before, todo, params["operation"], all_off=params["only_own"])
    ):
        raise NotConverged(
            "nothing loads, and no pause explains it",
            on=call.session.where,
            said=f"inactive: {', '.join(job.jobname for job in off)}",
            next_step=_activation(off),
            result={**result},
        )
    return result


def _activation(off: list[cron_jobs.Job]) -> str:
    """Return the two ways to activate these jobs: the playbook, or SQL as their owner."""
    names = shlex.quote(json.dumps({"scout_activate_jobs": [job.jobname for job in off]}))
    statements = "; ".join(f"SELECT cron.alter_job({job.jobid}, active => true)" for job in off)
    owners = " and ".join(sorted({job.owner for job in off}))
    return f"if it is not on purpose: resume_ingestion.yml -e {names}; or, as {owners}: {statements}"


def _nothing_recorded() -> Recorded:
    return {"run_id": None, "warnings": []}


def _planned_switch(call: Call, params: Params, before: pause_resume.State) -> pause_resume.Plan:
    if params["state"] == "paused":
        return pause_resume.plan_pause(before, leave_after_seconds=params["leave_stuck_after_seconds"])
    only_for = (call.controller.actor, call.incident) if params["only_own"] else None
    return pause_resume.plan_resume(
        before,
        params["jobs"],
        only_for,
        params["operation"],
        takeover=params["takeover"],
        also=params["also"] if _is_asked_for(params) else (),
    )


def _switch(call: Call, params: Params, before: pause_resume.State, todo: pause_resume.Plan) -> _Switched:
    """Pauses or resumes as a run of the ledger."""
    pausing = params["state"] == "paused"
    ledger = call.ensure(params["ledger"]) if todo.changes else call.look(params["ledger"])
    stuck, waited_for = todo.stuck, [a.as_dict() for a in todo.wait_for]
    with operation(
        ledger,
        "pause" if pausing else "resume",
        {"jobs": params["jobs"], "cancel_running": params["cancel_running"], "operation": params["operation"]},
        lease_token=params["lease_token"],
        takeover=params["takeover"],
    ) as run:
        if pausing:
            after, details = pause_resume.pause(
                call.session,
                ledger,
                run,
                todo,
                names=params["jobs"],
                drain_timeout_seconds=params["drain_timeout_seconds"],
                cancel_running=params["cancel_running"],
                leave_after_seconds=params["leave_stuck_after_seconds"],
                progress=call.progress,
                reason=params["reason"],
            )
            waited_for = details["waited_for"]
            stuck = pause_resume.plan_pause(after, leave_after_seconds=params["leave_stuck_after_seconds"]).stuck
        else:
            after, details = pause_resume.resume(call.session, ledger, run, before, todo)
    told: Switched = {"switch": details["switch"], "run_id": run.run_id, "warnings": ledger.warnings}
    return _Switched(after, waited_for, stuck, told)


def _state(call: Call, before: pause_resume.State, done: _Switched) -> IngestionState:
    """How ingestion is now, each job with what it was before."""
    after = done.after
    activity = {job.jobid: job.starts for job in after.jobs}
    return {
        "state": after.name,
        "jobs": [
            {"jobid": job.jobid, "jobname": job.jobname, "before": job.active, "after": activity.get(job.jobid)}
            for job in before.jobs
        ],
        "sessions_in_flight": done.in_flight,
        "stuck": [a.as_dict() for a in done.stuck],
        "paused_since": after.pause.paused_at.isoformat() if after.pause else None,
        "paused_by": after.pause.actor if after.pause else None,
        "paused_reason": after.pause.reason if after.pause else None,
        "paused_by_another": after.pause is not None and not after.pause.is_own(call.controller.actor),
    }


def _is_asked_for(params: Params) -> bool:
    """Whether a resume is what a person asked for, and no step of an operation."""
    return not params["only_own"] and params["operation"] is None


def _unfinished(call: Call, params: Params, ledger: Ledger, before: pause_resume.State) -> NotConverged | None:
    """What is to be said where a person ends a pause in which rows were being moved, and that did not come to its end."""
    if before.pause is None or not _is_asked_for(params):
        return None
    with attempting("could not read the ledger", on=call.session.where), call.session.read():
        left = history.broken_off(ledger, before.pause.paused_at)
    if not left:
        return None
    run = left[0]
    why = f": {run['said']}" if run["said"] else ""
    return NotConverged(
        f"ingestion is resumed, but {run['action'].replace('_', ' ')} run {run['run_id']} is not finished",
        on=call.session.where,
        said=f"{run['actor']} began it in this pause, and it ended before all was done{why}",
        next_step="assess.yml has the command that goes on with it, and the one that undoes it",
    )


def _planned_diff(before: pause_resume.State, todo: pause_resume.Plan, pausing: bool) -> dict[str, dict[str, str]]:
    diff = pause_resume.diff(before, before.jobs)
    diff["after"] |= {job.jobname: "inactive" if pausing else "active" for job in todo.jobs}
    return diff


def _ingestion_summary(
    call: Call, wanted: str, before: pause_resume.State, todo: pause_resume.Plan, seconds: float
) -> str:
    if not todo.changes:
        already = before.name == wanted
        return f"ingestion already {before.name}" if already else f"ingestion left {before.name}: {todo.note}"
    verb = "pause" if wanted == "paused" else "resume"
    if not call.check:
        return f"{verb}d {count(len(todo.jobs), 'job')} in {in_words(seconds)}"
    after = f" after waiting for {count(len(todo.wait_for), 'session')}" if todo.wait_for else ""
    return f"would {verb} {count(len(todo.jobs), 'job')}{after}"


def terminate(call: Call, params: Params) -> TerminationResult:
    """Stuck sessions ended, each recorded before: which and how, which were left alone and why, who waits for whom. In check
    mode none is ended, and what that or a refresh after it would raise is raised.

    Raises NotConverged where one stays, or one that may not be touched blocks the pipeline; SystemicFailure above `max_sessions`;
    MissingPrivilege; LeaseHeld.
    """
    session = call.session
    with session.read():
        there = cron_jobs.present(session)
        counted = cron_jobs.ingestion_jobs(session, params["jobs"], required=False) if there else []
        activities = sessions.read(session, counted)
    sessions.require_visibility(session, activities)
    plan = functools.partial(
        sessions.plan,
        stuck_after_seconds=params["stuck_after_seconds"],
        protected_roles=[*contract.PROTECTED_ROLES, *params["protected_roles"]],
        we_are_superuser=session.facts.superuser,
    )
    with session.read():
        todo, hoarder = terminate_sessions.with_hoarder(session, plan(activities), activities)
    done, told = list[terminate_sessions.Ended](), _nothing_recorded()
    if call.check:
        terminate_sessions.refuse_hoarder(session, hoarder)
        terminate_sessions.refuse_systemic(session, todo, params["max_sessions"])
    elif todo.end:
        done, told = _terminated(call, params, todo, counted)
    result = _termination(activities, todo, done, told, would=bool(todo.end) and call.check)
    _refuse_blocking(call, params, activities, todo, result)
    if call.check:
        refresh_gold.foresee_lock(session, plan, call.progress)
    return result


def _terminated(
    call: Call, params: Params, todo: sessions.Plan, counted: list[cron_jobs.Job]
) -> tuple[list[terminate_sessions.Ended], Recorded]:
    """Ends them as a run of the ledger."""
    ledger = call.ensure(params["ledger"])
    with operation(
        ledger,
        "terminate_sessions",
        {"stuck_after_seconds": params["stuck_after_seconds"]},
        lease_token=params["lease_token"],
        takeover=params["takeover"],
    ) as run:
        done = terminate_sessions.terminate(
            call.session,
            todo,
            run,
            counted=counted,
            stuck_after_seconds=params["stuck_after_seconds"],
            cancel_wait_seconds=params["cancel_wait_seconds"],
            terminate_wait_seconds=params["terminate_wait_seconds"],
            max_sessions=params["max_sessions"],
            progress=call.progress,
        )
    return done, {"run_id": run.run_id, "warnings": ledger.warnings}


def _termination(
    activities: list[Activity],
    todo: sessions.Plan,
    done: list[terminate_sessions.Ended],
    told: Recorded,
    *,
    would: bool,
) -> TerminationResult:
    """What was, or would be, ended."""
    how = {ended.activity.identity: ended.how for ended in done}
    return {
        **told,
        "changed": bool(todo.end),
        "ended": [{**a.as_dict(), "how": how.get(a.identity)} for a in todo.end],
        "left": [{**a.as_dict(), "why": why} for a, why in todo.leave],
        "waiting": [a.as_dict() for a in todo.waiting],
        "tree": sessions.tree(activities),
        "effects": {"ended": len(todo.end), "left": len(todo.leave)},
        "summary": f"would end {count(len(todo.end), 'stuck session')}"
        if would
        else terminate_sessions.summary(done, todo),
        "diff": {
            "before": {str(a.pid): a.describe() for a in todo.end},
            "after": {str(a.pid): "ended" for a in todo.end},
        },
    }


def _refuse_blocking(
    call: Call, params: Params, activities: list[Activity], todo: sessions.Plan, result: TerminationResult
) -> None:
    """Raises where the pipeline waits for a stuck session that was left alone."""
    waited_for = {pid for activity in activities for pid in activity.blocked_by}
    blocking = [
        f"{a.describe()}, but {why}"
        for a, why in todo.leave
        if a.seconds >= params["stuck_after_seconds"] and (a.holds_key or a.pid in waited_for)
    ]
    if blocking:
        raise NotConverged(
            f"left alone {count(len(blocking), 'stuck session')} that block the pipeline",
            on=call.session.where,
            said="; ".join(blocking),
            next_step="ask its owner to end it, or end it yourself, then run the same command again",
            result={**result},
        )


def drain(call: Call, params: Params) -> DrainResult:
    """The backlog loaded by the pipeline's own ETL: events loaded, those quarantined as poison, what was pending, and seconds.

    Raises BadInput for limits that cannot be used, SystemicFailure where more is refused than those allow, NotConverged where the
    ETL cannot go on or `require_pause` finds ingestion running, and LeaseHeld; the result has what was committed before.
    """
    _refuse_unusable(params)
    session = call.session
    with blockers.attempting(session, "could not read the backlog"), session.read():
        # This reads all of bronze, and so does each call of the ETL.
        through = estimates.call_seconds(session)
        session.limit_statements(estimates.limit(None, session.settings.statement_timeout_seconds, through))
        backlog = pipeline_drain.read(session, head=pipeline_drain.MOST_KNOWN)
        looks = call.check and bool(backlog.events)
        suspected = pipeline_drain.suspects(session, limit=CHECK_ROWS, most=CHECK_SUSPECTS) if looks else []
    done, told = pipeline_drain.Drained(backlog.events), _nothing_recorded()
    taken = _ask_first(call, params, "drain") if backlog.events else []
    if backlog.events and not call.check:
        limit = estimates.limit(None, params["batch_timeout_seconds"], through)
        done, told = _drained(call, {**params, "batch_timeout_seconds": limit}, backlog)
    result: DrainResult = {
        **pipeline_drain.outcome(done),
        **told,
        "warnings": [*taken, *told["warnings"]],
        "backlog": {"events": backlog.events, "oldest_seconds": backlog.oldest_seconds},
        "summary": pipeline_drain.summary(done),
        "diff": {"before": {"pending": backlog.events}, "after": {"pending": 0}},
    }
    return _foreseen(result, backlog, suspected) if call.check else result


def _ask_first(call: Call, params: Params, what: str) -> list[str]:
    """What is said of a pause that was taken over; raises PauseHeld in one of somebody else."""
    return pauses.ask_first(call.look(params["ledger"]), what, takeover=params["takeover"])


def _refuse_unusable(params: Params) -> None:
    if params["batch_rows"] < 1 or params["max_poison"] < 0 or not 0 <= params["max_poison_share"] <= 1:
        raise BadInput(
            f"batch_rows {params['batch_rows']}, max_poison {params['max_poison']} and max_poison_share "
            f"{params['max_poison_share']} are not usable together",
            next_step="give batch_rows >= 1, max_poison >= 0 and max_poison_share between 0 and 1",
        )


def _drained(call: Call, params: Params, before: pipeline_drain.Backlog) -> tuple[pipeline_drain.Drained, Recorded]:
    """Drains as a run of the ledger."""
    ledger = call.ensure(params["ledger"])
    if params["require_pause"]:
        pause_resume.require_barrier(call.session, ledger, params["jobs"], call.progress)
    options = pipeline_drain.Options(
        target_seconds=params["target_seconds"],
        first_batch_rows=params["batch_rows"],
        batch_timeout_seconds=params["batch_timeout_seconds"],
        poison=params["poison"],
        max_poison=params["max_poison"],
        max_poison_share=params["max_poison_share"],
        hidden_wait_seconds=params["hidden_wait_seconds"],
    )
    document = {"incident": call.incident, "actor": call.controller.actor}
    with operation(
        ledger,
        "drain",
        {"poison": params["poison"]},
        lease_token=params["lease_token"],
        takeover=params["takeover"],
    ) as run:
        done = pipeline_drain.Drain(call.session, run, options, call.progress, before=before, document=document).drain()
    return done, {"run_id": run.run_id, "warnings": ledger.warnings}


def _foreseen(
    result: DrainResult, backlog: pipeline_drain.Backlog, suspected: list[pipeline_drain.Suspect]
) -> DrainResult:
    """The result in check mode."""
    named = [{"event_id": s.event_id, "reason": s.reason, "sqlstate": s.sqlstate} for s in suspected]
    foreseen: DrainResult = {**result, "changed": bool(backlog.events), "suspects": named}
    if not backlog.events:
        return foreseen
    poison = f", of which {count(len(suspected), 'event')} would be quarantined" if suspected else ""
    return {**foreseen, "summary": f"would load {count(backlog.events, 'pending event')}{poison}"}


def refresh(call: Call, params: Params) -> RefreshResult:
    """The gold views that are not fresh refreshed, each proved newer: what every view was, how each was refreshed, and seconds.

    Raises BadInput for a view that is not there, MissingPrivilege before any is touched, LeaseHeld, and NotConverged where a
    view cannot be refreshed, or shows sales that silver has lost; those refreshed before stay so.
    """
    if params["attempts"] < 1:
        raise BadInput(f"attempts {params['attempts']} is not usable", next_step="give at least 1")
    expected = call.check and params["expect_changes"]
    every = params["force"] or expected
    # Whatever they hold, all would be refreshed: to compare them takes as long as that.
    budget = 0.0 if expected else estimates.LONG_SECONDS if every else None
    before = _gold(call, params["views"], budget_seconds=budget)
    todo = [f.view for f in before if every or f.state != "fresh"]
    refresh_gold.require(call.session, todo)
    if todo and not (params["force"] or params["accept_lost"]):
        refresh_gold.refuse_hole(call.session, todo)
    done, told = list[refresh_gold.Refreshed](), _nothing_recorded()
    taken = _ask_first(call, params, "refresh") if todo else []
    if todo and not call.check:
        done, told = _refreshed(call, params, todo)
    would = call.check and bool(todo)
    return {
        **refresh_gold.outcome(done),
        **told,
        "warnings": [*taken, *told["warnings"]],
        "changed": bool(todo),
        "effects": {"refreshed": len(todo)},
        "views": [f.as_dict() for f in before],
        "summary": f"would refresh {count(len(todo), 'gold view')}" if would else refresh_gold.summary(done),
        "diff": {
            "before": {f.view.full_name: f.state for f in before},
            "after": {f.view.full_name: "fresh" if f.view in todo else f.state for f in before},
        },
    }


def _gold(call: Call, names: list[str] | None, *, budget_seconds: float | None) -> list[refresh_gold.Freshness]:
    """The views that were asked for, or all."""
    session = call.session
    try:
        with attempting("could not read the gold views", on=session.where), session.read():
            slow = [
                name for name, seconds in history.refresh_seconds(session).items() if seconds > estimates.LONG_SECONDS
            ]
            since = functools.partial(history.moved_days, session)
            moves = gold_views.Moves(history.moved_days(session), slow, since)
            found = refresh_gold.read(session, budget_seconds=budget_seconds, moves=moves)
    except DatabaseError as e:
        if not call.check:
            raise
        found = refresh_gold.unseen(session, e)
    unknown = sorted(set(names or ()) - {f.view.name for f in found})
    if unknown:
        raise BadInput(
            f"no materialized view is named {', '.join(map(repr, unknown))}",
            on=session.where,
            next_step=f"choose among {', '.join(f.view.name for f in found) or 'none: there is no gold view here'}",
        )
    return [f for f in found if not names or f.view.name in names]


def _refreshed(
    call: Call, params: Params, todo: list[refresh_gold.View]
) -> tuple[list[refresh_gold.Refreshed], Recorded]:
    """Refreshes as a run of the ledger."""
    ledger = call.ensure(params["ledger"])
    with call.session.read():
        least = refresh_gold.Options.refresh_timeout_seconds
        limit = estimates.limit(params["refresh_timeout_seconds"], least, estimates.gold_seconds(call.session))
    options = refresh_gold.Options(limit, params["lock_timeout_seconds"], params["attempts"])
    with operation(
        ledger,
        "refresh_gold",
        {"views": [view.name for view in todo]},
        lease_token=params["lease_token"],
        takeover=params["takeover"],
    ) as run:
        done = refresh_gold.refresh(call.session, run, todo, options, call.progress)
    slow = [entry.slow for entry in done if entry.slow]
    return done, {"run_id": run.run_id, "warnings": [*ledger.warnings, *slow]}
