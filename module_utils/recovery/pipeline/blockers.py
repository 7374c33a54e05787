# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps a step of ours from going on, whatever their age: since when, what they wait for, and the command that ends them."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import typing as t

from ..core.text import in_words, printable
from ..core.times import to_the_second
from ..postgres import lock_holders
from ..postgres.driver import errors, psycopg
from ..postgres.failures import translate
from ..scout import contract, cron_jobs, sessions

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from ..postgres.session import Row, Session
    from ..scout.sessions import Activity

TERMINATE: t.Final = "ansible-playbook scout.recovery.terminate_sessions"
NOW = "SELECT clock_timestamp() AS now"
FEW: t.Final = 3


@dataclasses.dataclass(frozen=True)
class Blockers:
    """Those in the way, in words, and what ends them; both empty where nobody is."""

    said: str = ""
    next_step: str = ""

    def held(self) -> str:
        """What is added to the words of an error."""
        return f"; locks are held by {self.said}" if self.said else ""

    def then(self, again: str, otherwise: str) -> str:
        """The next step: to end them and to go on, or whatever else it is where nobody is known to be in the way."""
        return f"{self.next_step}; then {again}" if self.next_step else otherwise


def explain(session: Session, rows: Iterable[Row]) -> Blockers:
    """The roots of what keeps these sessions, or these themselves; inside the caller's transaction."""
    pids = [row["pid"] for row in rows if row["pid"]]
    if not pids:
        return Blockers()
    counted = cron_jobs.ingestion_jobs(session, None, required=False) if cron_jobs.present(session) else []
    found = sessions.read(session, counted)
    return of(found, [a for a in found if a.pid in pids], session.row(NOW)["now"], superuser=session.facts.superuser)


@contextlib.contextmanager
def attempting(session: Session, attempted: str) -> Generator[None]:
    """Raises each PostgreSQL error from inside it as a RecoveryError, of a lock with whoever is in the way."""
    try:
        yield
    except psycopg.Error as e:
        raised = translate(e, attempted, on=session.where)
        if isinstance(e, errors.LockNotAvailable):
            with session.read():
                who = explain(session, lock_holders.in_the_way(session, contract.names().required_tables))
            raised.said += who.held()
            raised.next_step = who.then("run the same command again", raised.next_step)
        raise raised from e


def of(
    everyone: list[Activity], waited_for: list[Activity], now: datetime.datetime, *, superuser: bool = False
) -> Blockers:
    """The same of sessions that were read before; pure."""
    if not waited_for:
        return Blockers()
    at = roots(everyone, waited_for)
    said = "; ".join(describe(each, now) for each in at[:FEW])
    more = f"; and {len(at) - FEW} more" if len(at) > FEW else ""
    return Blockers(said + more, _ends(everyone, waited_for, at, superuser=superuser))


def roots(everyone: list[Activity], waited_for: list[Activity]) -> list[Activity]:
    """Who is at the ends of the chains of those who are waited for; whoever waits for nobody is one."""
    by_pid = {each.pid: each for each in everyone}
    found: dict[int, Activity] = {}
    for each in waited_for:
        for root in _ends_of(each, by_pid) or [each]:
            found[root.pid] = root
    return list(found.values())


def _ends_of(activity: Activity, by_pid: Mapping[int, Activity]) -> list[Activity]:
    return [activity] if not activity.blocked_by else sessions.roots(activity, dict(by_pid))


def describe(activity: Activity, now: datetime.datetime) -> str:
    """`pid 4711 (etl, psql, idle in transaction for 12 s, since 2026-11-25 22:00:01 UTC, waiting for Client: ClientRead): why`."""
    since = to_the_second(now - datetime.timedelta(seconds=activity.seconds))
    parts = [activity.role, printable(activity.application or ""), f"{activity.state} for {in_words(activity.seconds)}"]
    parts += [f"since {since}", f"waiting for {activity.wait}" if activity.wait else ""]
    why = "; ".join(activity.reasons) or "blocks the pipeline"
    return f"pid {activity.pid} ({', '.join(filter(None, parts))}): {why}"


def _ends(everyone: list[Activity], waited_for: list[Activity], at: list[Activity], *, superuser: bool) -> str:
    """The command that ends all of them, shown to do so by the plan that it makes; else whom to ask."""
    # Whoever is younger than a second is older by the time that the command is typed.
    for age in sorted({each.seconds for each in (*at, *waited_for)}, reverse=True):
        seconds = max(1, int(age))
        plan = sessions.plan(everyone, stuck_after_seconds=min(age, seconds), we_are_superuser=superuser)
        if {each.pid for each in at} <= {each.pid for each in plan.end}:
            return f"`{TERMINATE} -e scout_stuck_after_seconds={seconds}` ends {'it' if len(at) == 1 else 'them'}"
    why = (sessions.untouchable(each, contract.PROTECTED_ROLES, we_are_superuser=superuser) for each in at)
    said = next(filter(None, why), "")
    return f"ask {at[0].role or 'its owner'} to end pid {at[0].pid}" + (f": {said}" if said else "")
