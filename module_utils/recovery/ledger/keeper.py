# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a lease: renews it every few seconds, on a session of its own, for as long as its holder lives and
is not frozen."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t

from ..core.errors import RecoveryError
from ..postgres.driver import psycopg
from ..postgres.session import Settings, open_session
from . import lease
from .controller import Life, life_of

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ..postgres.session import Session

#: By this name of its session others see that there is a keeper.
SESSION: t.Final = "keeper"
#: How often it looks how the holder is.
LOOK_SECONDS: t.Final = 1.0
#: A write of the holder has the row for as long as it lasts, and renews it; the next try comes soon.
LOCK_SECONDS: t.Final = 3.0
STATEMENT_SECONDS: t.Final = 10.0

#: After so long without an acknowledgement a keeper gives its connection up for another one, which a link that is there again takes.
UNANSWERED_SECONDS: t.Final = 6
CONNECT_SECONDS: t.Final = 4

#: The server itself ends the session of a keeper that is frozen, or whose machine is gone, once it should have renewed again.
ENDS_SILENT: t.Final = "SELECT pg_catalog.set_config('idle_session_timeout', %(limit)s, false)"


def every(ttl_seconds: float) -> float:
    """How often a lease is renewed that expires after so many seconds."""
    return min(lease.EVERY_SECONDS, ttl_seconds / lease.TIMES)


def keep(
    settings: Settings, source: str, token: int, how: Callable[[], Life], sleep: Callable[[float], object]
) -> None:
    """Renews the lease of this token until its holder is gone, or until it is not theirs any more: taken over, released, or expired while
    they were frozen or cut off. Whatever the database says, it tries again; raises nothing for that."""
    quick = dataclasses.replace(
        settings,
        action=SESSION,
        statement_timeout_seconds=STATEMENT_SECONDS,
        lock_timeout_seconds=LOCK_SECONDS,
        connect_timeout_seconds=CONNECT_SECONDS,
        unanswered_seconds=UNANSWERED_SECONDS,
        cron=None,
    )
    while (life := how()) is not Life.GONE:
        if life is Life.RUNS:
            with contextlib.suppress(RecoveryError, psycopg.Error), open_session(quick, source) as session:
                if _renews(session, token, how, sleep):
                    return
        sleep(LOOK_SECONDS)


def _renews(session: Session, token: int, how: Callable[[], Life], sleep: Callable[[float], object]) -> bool:
    """Renews on this session; True where that has come to its end. Raises what the database does."""
    bounded, waited = session.facts.pooled, 0.0
    pause = 0.0
    while (life := how()) is not Life.GONE:
        if life is Life.RUNS and waited >= pause:
            try:
                renewed = session.at_once(lease.KEEP, name=lease.LEASE, token=token, pooled=session.facts.pooled)
            except psycopg.errors.LockNotAvailable:
                continue
            if not renewed:
                return True
            seconds = renewed[0]["ttl_seconds"]
            if not bounded:
                session.at_once(ENDS_SILENT, limit=f"{round(1000 * (seconds + every(seconds)))}ms")
                bounded = True
            pause, waited = every(seconds), 0.0
        nap = min(LOOK_SECONDS, pause or LOOK_SECONDS)
        sleep(nap)
        waited += nap
    return True


@contextlib.contextmanager
def beside(session: Session, token: int | None) -> Generator[None]:
    """Keeps a lease that lasts as long as this block, from a thread that begins when the block is not over soon."""
    over = threading.Event()

    def run() -> None:
        if not over.wait(every(lease.LEASE_SECONDS)):
            keep(
                session.settings,
                "scout_dsn",
                t.cast("int", token),
                lambda: Life.GONE if over.is_set() else Life.RUNS,
                over.wait,
            )

    thread = threading.Thread(target=run, name="scout-lease", daemon=True)
    if token is not None:
        thread.start()
    try:
        yield
    finally:
        over.set()
        if token is not None:
            thread.join(LOOK_SECONDS)


def watch(
    settings: Settings, source: str, token: int, pid: int, started: str | None, sleep: Callable[[float], object]
) -> None:
    """Keeps the lease of a process of this machine until that process is gone; not while it is stopped."""
    keep(settings, source, token, lambda: life_of(pid, started), sleep)
