# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ends stuck sessions: record, cancel, wait, terminate, and check that each is gone."""

from __future__ import annotations

import dataclasses
import functools
import time
import typing as t

from ..core.errors import MissingPrivilege, NotConverged, SystemicFailure
from ..core.text import count, in_words
from ..postgres import lock_table
from ..postgres.failures import attempting
from ..scout import sessions
from ..scout.judging import roles

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ..core.progress import Progress
    from ..ledger.runs import Run
    from ..postgres.session import Session
    from ..scout.cron_jobs import Job
    from ..scout.sessions import Activity, Plan

CANCEL = """
SELECT pg_catalog.pg_cancel_backend(a.pid) AS sent
FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = %(pid)s AND a.backend_start = %(backend_start)s
"""

TERMINATE = """
SELECT pg_catalog.pg_terminate_backend(a.pid) AS sent
FROM pg_catalog.pg_stat_activity AS a WHERE a.pid = %(pid)s AND a.backend_start = %(backend_start)s
"""


#: That very session, as a part of a transaction that needs at once what it holds.
TERMINATE_ALL = """
SELECT count(*) FILTER (WHERE pg_catalog.pg_terminate_backend(a.pid)) AS sent FROM pg_catalog.pg_stat_activity AS a
JOIN unnest(%(pids)s::int[], %(starts)s::timestamptz[]) AS t (pid, backend_start) USING (pid, backend_start)
"""


@dataclasses.dataclass(frozen=True)
class Ended:
    """The outcome for one session."""

    activity: Activity
    how: str
    seconds: float


def refuse_systemic(session: Session, todo: Plan, max_sessions: int) -> None:
    """Raises SystemicFailure where more than `max_sessions` would be ended, of roles that can write to the pipeline: of others
    anybody can have as many as the server lets them."""
    able = [activity for activity in todo.end if activity.able]
    if len(able) > max_sessions:
        raise SystemicFailure(
            f"refused to end {len(able)} sessions, more than max_sessions={max_sessions}",
            on=session.where,
            said="; ".join(a.describe() for a in able[:5]),
            next_step="look at what they wait for (terminate_sessions.yml --check); raise terminate_sessions_max_sessions if it is right",
        )


def with_hoarder(session: Session, todo: Plan, everyone: Iterable[Activity]) -> tuple[Plan, lock_table.Hoarder | None]:
    """The plan, and with it whoever keeps half of the server's locks, whatever their age, where they can write nothing of the
    pipeline; else who it is, for any step may need a lock. Inside a transaction."""
    found = lock_table.hoarder(session.rows(lock_table.MOST))
    if found is None or found.pid in {each.pid for each in todo.end}:
        return todo, None
    for each in everyone:
        if each.pid == found.pid and sessions.may_be_ended(each, we_are_superuser=session.facts.superuser):
            ended = dataclasses.replace(each, reasons=(*each.reasons, f"holds {found.much}"))
            return dataclasses.replace(todo, end=(*todo.end, ended)), None
    return todo, found


def refuse_hoarder(session: Session, found: lock_table.Hoarder | None) -> None:
    """Raises NotConverged, naming who keeps half of the server's locks and what ends that."""
    if found is not None:
        raise NotConverged(
            "refused: hardly a lock is left", on=session.where, said=found.said, next_step=found.next_step
        )


def terminate(
    session: Session,
    todo: Plan,
    run: Run,
    *,
    counted: Iterable[Job],
    stuck_after_seconds: float,
    cancel_wait_seconds: float,
    terminate_wait_seconds: float,
    max_sessions: int,
    progress: Progress,
) -> list[Ended]:
    """Cancels, then terminates, each stuck session, and proves that it is gone or no longer stuck. Raises SystemicFailure,
    having ended none, where `refuse_systemic` does; NotConverged where one survives."""
    refuse_systemic(session, todo, max_sessions)
    with attempting("could not record the sessions before ending them", on=session.where), session.write():
        run.record(captured=[a.as_dict() for a in (*todo.end, *todo.waiting)])
    stuck = functools.partial(_still_stuck, session, counted=counted, stuck_after_seconds=stuck_after_seconds)
    done = _end_unable(session, todo, terminate_wait_seconds, progress)
    gone = {each.activity.identity for each in done}
    for target in (each for each in todo.end if each.identity not in gone):
        progress.checkpoint()
        began = time.monotonic()
        how = "ended by itself"
        if stuck(target):
            how = _end(session, target, stuck, cancel_wait_seconds, terminate_wait_seconds, progress)
        done.append(Ended(target, how, round(time.monotonic() - began, 3)))
        progress.say(f"{how}: {target.describe()}")
        with attempting("could not record what was ended", on=session.where), session.write():
            run.record(ended=[{"pid": c.activity.pid, "how": c.how, "seconds": c.seconds} for c in done])
    return done


def _end_unable(session: Session, todo: Plan, wait_seconds: float, progress: Progress) -> list[Ended]:
    """Ends all those together whose roles can write nothing of the pipeline, of which there may be hundreds; those that are gone."""
    small, began = [target for target in todo.end if not target.able], time.monotonic()
    if not small:
        return []
    with session.read():
        terminate_at_once(session, small)
    while True:
        with session.read():
            there = {activity.identity for activity in sessions.read(session)}
        seconds = round(time.monotonic() - began, 3)
        done = [Ended(target, "terminated", seconds) for target in small if target.identity not in there]
        if len(done) == len(small) or seconds >= wait_seconds:
            progress.say(f"terminated {count(len(done), 'session')}, the first: {small[0].describe()}")
            return done
        progress.wait(0.1)


def _end(
    session: Session,
    target: Activity,
    stuck: Callable[[Activity], bool],
    cancel_wait_seconds: float,
    terminate_wait_seconds: float,
    progress: Progress,
) -> str:
    """Ends one session, gently first; a cancel cannot end an idle one, so that is terminated at once."""
    steps: list[tuple[t.LiteralString, str, float]] = [(TERMINATE, "terminated", terminate_wait_seconds)]
    if target.state == "active":
        steps.insert(0, (CANCEL, "cancelled", cancel_wait_seconds))
    for query, how, wait in steps:
        signal(session, query, target)
        deadline = time.monotonic() + wait
        while True:
            if not stuck(target):
                return how
            if time.monotonic() >= deadline:
                break
            progress.wait(0.1)
    raise NotConverged(
        f"could not end {target.describe()}",
        on=session.where,
        said=f"it is still there {in_words(cancel_wait_seconds + terminate_wait_seconds)} after it was asked to end",
        next_step="it may be sleeping in the kernel or rolling back a large transaction: wait and run the same command again",
    )


def terminate_at_once(session: Session, targets: Iterable[Activity]) -> None:
    """Asks those very sessions to end, within the caller's transaction, which needs what they hold. Raises MissingPrivilege,
    with the grant, where the role may not."""
    chosen = [(target.pid, target.backend_start) for target in targets]
    if not chosen:
        return
    pids, starts = zip(*chosen, strict=True)
    try:
        with attempting("could not end them", on=session.where), session.savepoint():
            session.rows(TERMINATE_ALL, pids=list(pids), starts=list(starts))
    except MissingPrivilege as e:
        e.next_step = roles.membership(session, "pg_signal_backend")
        raise


def signal(session: Session, query: t.LiteralString, target: Activity) -> None:
    """Sends CANCEL or TERMINATE to that very session. Raises MissingPrivilege, with the grant, where the role may
    not."""
    try:
        with attempting(f"could not end {target.describe()}", on=session.where), session.read():
            session.rows(query, pid=target.pid, backend_start=target.backend_start)
    except MissingPrivilege as e:
        e.next_step = roles.membership(session, "pg_signal_backend")
        raise


def _still_stuck(session: Session, target: Activity, counted: Iterable[Job], stuck_after_seconds: float) -> bool:
    """Whether that very session is still there and still in the transaction or idleness it was found in."""
    with session.read():
        now = {activity.identity: activity for activity in sessions.read(session, counted)}
    if (found := now.get(target.identity)) is None:
        return False
    # A cancelled statement may leave its session's advisory lock behind.
    if target.pipeline:
        return found.holds_key or (found.pipeline and found.seconds >= min(stuck_after_seconds, target.seconds))
    # An aborted transaction has let go of its locks, unless only a part of it was aborted.
    blocks = found.state != "idle in transaction (aborted)" or any(target.pid in a.blocked_by for a in now.values())
    return blocks and found.seconds >= min(stuck_after_seconds, target.seconds)


def summary(done: list[Ended], todo: Plan) -> str:
    """One line for a person."""
    if not todo.end and not todo.leave:
        return "no stuck session"
    numbers = {how: sum(1 for c in done if c.how == how) for how in ("cancelled", "terminated", "ended by itself")}
    parts = [f"{count(number, 'session')} {how}" for how, number in numbers.items() if number]
    if todo.leave:
        parts.append(f"{count(len(todo.leave), 'session')} left alone")
    return ", ".join(parts) or "nothing done"
