# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Refreshes Scout's materialized views one by one, each proved, none undone because another fails."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..core.errors import MissingPrivilege, NotConverged, RecoveryError
from ..core.text import count, in_words
from ..postgres import lock_table
from ..postgres.driver import errors, psycopg, sql
from ..postgres.failures import attempting, translate, words_of
from ..scout import contract, lost_sales, sessions
from ..scout.gold_views import Freshness, View, in_order, read, refreshed_at, views
from ..scout.judging import roles
from . import blockers, expected, terminate_sessions

if t.TYPE_CHECKING:
    from ..core.progress import Progress
    from ..ledger.runs import Run
    from ..postgres.session import Row, Session
    from .results import Refreshes

__all__ = [
    "Freshness",
    "Options",
    "Refreshed",
    "View",
    "foresee_lock",
    "in_order",
    "read",
    "refresh",
    "require",
    "summary",
    "views",
]

#: SQLSTATEs of a table and a column that are not there.
GONE: t.Final = ("42P01", "42703")

#: Since when, so that a proof can tell that nothing has changed since, and does not compute gold once more.
SINCE = "SELECT extract(epoch FROM transaction_timestamp())::float8 AS at, pg_catalog.pg_current_xact_id()::xid::text AS xid"
#: Queued for: whoever only tries again never gets what others hand round.
LOCK = "SELECT pg_catalog.pg_advisory_xact_lock(%(key)s)"

#: Who holds a key or waits for it, and which of the two; a prepared transaction has no pid.
AT_KEY: t.LiteralString = f"""
SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.state, l.granted, p.gid, p.owner
FROM pg_catalog.pg_locks AS l LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
LEFT JOIN {lock_table.PREPARED} AS p ON l.pid IS NULL AND p.virtualtransaction = l.virtualtransaction
WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.pid IS DISTINCT FROM pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = %(key)s
"""  # noqa: S608  # made of literals alone

USERS = """
SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.granted AND l.relation = %(oid)s AND l.pid <> pg_catalog.pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
ORDER BY a.xact_start LIMIT 3
"""


@dataclasses.dataclass(frozen=True)
class Options:
    """How long a refresh may take and wait for locks, in seconds, and how often it is tried."""

    refresh_timeout_seconds: float = 1800.0
    lock_timeout_seconds: float = 5.0
    attempts: int = 5


@dataclasses.dataclass(frozen=True)
class Refreshed:
    """What became of one view."""

    name: str
    how: str
    seconds: float
    error: str | None = None
    sqlstate: str | None = None
    #: Which functions are to blame where it took much longer than expected.
    slow: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return dataclasses.asdict(self)


class _LockHeld(NotConverged):
    """Scout's refresh lock is taken, so no view can be refreshed."""


def unseen(session: Session, why: RecoveryError) -> list[Freshness]:
    """The views by name alone, for a dry run of a rollback: what a migration dropped or renamed is not there again yet.
    Raises `why` where it is anything else."""
    if why.sqlstate not in GONE:
        raise why
    with session.read():
        return [Freshness(view, "unknown", why.said, None, None) for view in views(session)]


def require(session: Session, todo: list[View]) -> None:
    """Raises MissingPrivilege, with the GRANT, where the role may not refresh all of them."""
    denied = [view for view in todo if not view.refreshable]
    if not denied:
        return
    me = sql.Identifier(session.facts.role).as_string()
    if session.facts.server_version >= 170000:
        names = ", ".join(sql.Identifier(contract.names().schema, view.name).as_string() for view in denied)
        grant = f"GRANT MAINTAIN ON {names} TO {me}"
    else:
        # Only an owner may refresh before PostgreSQL 17.
        owners = sorted({view.owner for view in denied})
        grant = "; ".join(dict.fromkeys(roles.membership(session, owner) for owner in owners))
    raise MissingPrivilege(
        f"refused to refresh {', '.join(view.full_name for view in todo)}",
        on=session.where,
        said=f"role {session.facts.role} may not refresh {', '.join(view.full_name for view in denied)}",
        sqlstate="42501",
        next_step=grant,
    )


def refuse_hole(session: Session, todo: list[View]) -> None:
    """Raises NotConverged where a view shows sales that silver has lost: it may be the last right copy."""
    with session.read():
        found = lost_sales.shown_by_gold(session, todo)
    if found is None:
        return
    view, lost = found
    names = contract.names()
    raise NotConverged(
        f"refused to refresh {', '.join(each.full_name for each in todo)}",
        on=session.where,
        said=f"{view} shows {count(lost['lost'], 'sale')} that {names.transactions} has lost although {names.bronze} has their events, "
        f"for example {', '.join(lost['ids'])}",
        next_step=f"ansible-playbook scout.recovery.window_recovery {lost_sales.window(lost)} rebuilds them and refreshes gold",
    )


def refresh(session: Session, run: Run, todo: list[View], options: Options, progress: Progress) -> list[Refreshed]:
    """Refreshes each view in a transaction of its own and proves it; raises NotConverged naming each that failed."""
    done: list[Refreshed] = []
    steps: list[str] = []
    for view in todo:
        began = time.monotonic()
        try:
            progress.checkpoint()
            progress.doing(f"refreshing {view.full_name}")
            how, slow = _refresh_one(session, run, view, done, options, progress)
        except psycopg.Error as e:
            if session.connection.closed:
                raise _with_progress(translate(e, f"could not refresh {view.full_name}", on=session.where), done) from e
            said = words_of(e)
            if isinstance(e, errors.LockNotAvailable):
                said, step = _in_use(session, view, options.attempts)
                steps.append(step)
            done.append(Refreshed(view.full_name, "failed", round(time.monotonic() - began, 3), said, e.sqlstate))
        except RecoveryError as e:
            if isinstance(e, _LockHeld) or not isinstance(e, NotConverged):
                _with_progress(e, done)
                raise
            done.append(Refreshed(view.full_name, "failed", round(time.monotonic() - began, 3), e.said))
        else:
            done.append(Refreshed(view.full_name, how, round(time.monotonic() - began, 3), slow=slow))
            progress.say(f"refreshed {view.full_name} {how} in {in_words(time.monotonic() - began)}")
    failed = [entry for entry in done if entry.error is not None]
    if failed:
        others = "; the other views have been refreshed" if len(failed) < len(done) else ""
        problem = NotConverged(
            f"could not refresh {', '.join(entry.name for entry in failed)}",
            on=session.where,
            said="; ".join(f"{entry.name}: {entry.error}" for entry in failed),
            sqlstate=failed[0].sqlstate,
            next_step="; ".join(dict.fromkeys(filter(None, steps)))
            or f"fix what PostgreSQL reports, then refresh_gold.yml{others}",
        )
        raise _with_progress(problem, done)
    return done


def outcome(done: list[Refreshed]) -> Refreshes:
    """The part of a result that tells what was refreshed, whether all went well or not."""
    good = [entry for entry in done if entry.error is None]
    return {
        "changed": bool(good),
        "refreshed": [entry.as_dict() for entry in done],
        "effects": {"refreshed": len(good)},
    }


def _with_progress(error: RecoveryError, done: list[Refreshed]) -> RecoveryError:
    error.result = {**error.result, **outcome(done)}
    return error


def _refresh_one(
    session: Session, run: Run, view: View, done: list[Refreshed], options: Options, progress: Progress
) -> tuple[str, str | None]:
    """Refreshes a view, trying again while it is in use; says how, and what was slow in it."""
    how = "concurrently" if view.concurrently else "plainly"
    statement = sql.SQL("REFRESH MATERIALIZED VIEW {}{}").format(
        sql.SQL("CONCURRENTLY " if view.concurrently else ""), sql.Identifier(contract.names().schema, view.name)
    )
    attempt = 1
    squatters: list[sessions.Activity] = []
    while True:
        try:
            with session.write(
                statement_timeout_seconds=options.refresh_timeout_seconds,
                lock_timeout_seconds=options.lock_timeout_seconds,
            ):
                # With nothing between the two, for whoever comes after us has to wait until we are done.
                terminate_sessions.terminate_at_once(session, squatters)
                take_lock(session)
                began = time.monotonic()
                session.connection.execute(statement)
                seconds = round(time.monotonic() - began, 3)
                slow = expected.slow_functions(session, view, seconds)
                _prove(session, view)
                this = {"name": view.full_name, "how": how, "seconds": seconds}
                entries = [*(entry.as_dict() for entry in done), this]
                run.record(refreshed=entries, since=run.effects.get("since") or session.row(SINCE))
            return how, slow
        except _LockHeld:
            squatters = _squatters(session) if attempt < options.attempts else []
            if not squatters:
                raise
            with attempting("could not record the sessions before ending them", on=session.where), session.write():
                run.record(ended=[*run.effects.get("ended", []), *(each.as_dict() for each in squatters)])
            progress.say(f"ends {count(len(squatters), 'session')} at Scout's refresh lock: {squatters[0].describe()}")
            progress.checkpoint()
            attempt += 1
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            # A plain refresh queued behind a reader blocks every later reader: give way, then try again.
            if attempt == options.attempts:
                raise
            progress.say(f"{view.full_name} is in use: attempt {attempt} of {options.attempts} yielded")
            progress.wait(min(5.0, 0.5 * attempt))
            attempt += 1


def take_lock(session: Session) -> None:
    """Scout's own refresh lock, for this transaction, so that its refresh and ours never meet. Raises NotConverged, naming the
    holder, where it is taken for longer than the transaction waits for locks."""
    try:
        with session.savepoint():
            session.rows(LOCK, key=contract.names().gold_lock)
    except errors.LockNotAvailable as e:
        at_key = session.rows(AT_KEY, key=contract.names().gold_lock)
        raise _lock_held(session, [row for row in at_key if row["granted"]]) from e


def _squatters(session: Session) -> list[sessions.Activity]:
    """Who holds the refresh lock or waits for it, can write nothing that it is for, and may be ended."""
    with attempting("could not read who holds Scout's refresh lock", on=session.where), session.read():
        return _unable(session, sessions.read(session), session.rows(AT_KEY, key=contract.names().gold_lock))


def _unable(session: Session, everyone: list[sessions.Activity], at_key: list[Row]) -> list[sessions.Activity]:
    pids, superuser = {row["pid"] for row in at_key}, session.facts.superuser
    return [each for each in everyone if each.pid in pids and sessions.may_be_ended(each, we_are_superuser=superuser)]


def _lock_held(session: Session, by: list[Row]) -> _LockHeld:
    who = blockers.explain(session, by)
    if prepared := [row for row in by if row["pid"] is None]:
        who = blockers.Blockers(lock_table.transaction(prepared[0]), lock_table.end_transaction(prepared[0]))
    return _LockHeld(
        "could not take Scout's refresh lock",
        on=session.where,
        said=f"advisory key {contract.names().gold_lock} is held by {who.said or 'a session that just ended'}",
        next_step=who.then("run the same command again", "run the same command again"),
    )


def foresee_lock(
    session: Session, plan: t.Callable[[list[sessions.Activity]], sessions.Plan], progress: Progress
) -> None:
    """Returns once the refresh lock is free, or will be: a refresh in flight ends before a pause does, whom `plan` ends is ended
    after it, and who can write nothing by the refresh. Raises NotConverged, naming who has it or waits for it, where one would find
    it taken."""
    deadline = time.monotonic() + session.settings.lock_timeout_seconds
    while True:
        with session.read():
            # Who waits has it as soon as the others are ended.
            holders = session.rows(AT_KEY, key=contract.names().gold_lock)
            everyone = sessions.read(session) if holders else []
            gone = {each.pid for each in everyone if each.writing}
            gone |= {each.pid for each in (*plan(everyone).end, *_unable(session, everyone, holders))}
            stay = [row for row in holders if row["pid"] not in gone]
            if not stay:
                return
            if time.monotonic() >= deadline:
                raise _lock_held(session, stay)
        progress.wait(0.2)


def _prove(session: Session, view: View) -> None:
    """A refresh counts when the view is populated and, where it carries a clock, that shows this very transaction."""
    now = {v.oid: v for v in views(session)}.get(view.oid)
    at = refreshed_at(session, now) if now is not None and now.populated and now.clocks else None
    began = session.row("SELECT transaction_timestamp() AS at")["at"]
    if now is None or not now.populated or (at is not None and at < began):
        raise NotConverged(
            f"could not refresh {view.full_name}",
            said="PostgreSQL reported no error, but the view is not newer",
            next_step="look for a rule or an event trigger that replaces the refresh",
        )


def _in_use(session: Session, view: View, attempts: int) -> tuple[str, str]:
    """Why a refresh gave way until the end, and what ends whoever is in the way."""
    with session.read():
        who = blockers.explain(session, session.rows(USERS, oid=view.oid))
    said = f"{count(attempts, 'attempt')} yielded to whoever uses it"
    return said + (f": {who.said}" if who.said else ""), who.then("run the same command again", "")


def summary(done: list[Refreshed]) -> str:
    """One line for a person."""
    if not done:
        return "gold is fresh"
    return f"refreshed {', '.join(entry.name for entry in done)}"
