# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renews the lease while a call works: when it begins, when it ends, and from a thread between."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import typing as t

from ..core.errors import LeaseLost, RecoveryError
from ..postgres.driver import psycopg
from ..postgres.session import open_session
from . import lease
from .trust import ownership

if t.TYPE_CHECKING:
    from collections.abc import Generator

    from ..postgres.session import Session, Settings

#: How often a call renews the lease; so often in the time of a lease, where that is short.
EVERY_SECONDS: t.Final = 10.0
TIMES: t.Final = 4
#: After how long it tries again where that was not possible.
AGAIN_SECONDS: t.Final = 1.0
#: While a write of the same call has the row, which it renews itself, the thread does not wait for it.
LOCK_SECONDS: t.Final = 0.5
STATEMENT_SECONDS: t.Final = 10.0
CONNECT_SECONDS: t.Final = 4
#: After so long without an acknowledgement another connection is tried.
UNANSWERED_SECONDS: t.Final = 6


@contextlib.contextmanager
def during(session: Session, token: int) -> Generator[None]:
    """Renews the lease `token` now, while this block lasts, and when it ends. Raises LeaseLost, with the name of whoever has it,
    where it is not that any more now; else what keeps it from being renewed is left to the writes of the block, which prove it."""
    ttl_seconds = _renewed(session, token)
    with beside(session, token, ttl_seconds or lease.LEASE_SECONDS):
        yield
    if not session.connection.closed:
        with contextlib.suppress(LeaseLost):
            _renewed(session, token)


@contextlib.contextmanager
def beside(session: Session, token: int | None, ttl_seconds: float = lease.LEASE_SECONDS) -> Generator[None]:
    """Renews the lease `token`, if there is one, from a thread for as long as this block lasts."""
    if token is None:
        yield
        return
    over = threading.Event()
    every = min(EVERY_SECONDS, ttl_seconds / TIMES)
    settings = dataclasses.replace(
        session.settings,
        action="lease",
        statement_timeout_seconds=STATEMENT_SECONDS,
        lock_timeout_seconds=LOCK_SECONDS,
        connect_timeout_seconds=CONNECT_SECONDS,
        unanswered_seconds=UNANSWERED_SECONDS,
        cron=None,
    )

    def run() -> None:
        wait = every
        while not over.wait(wait):
            try:
                wait = every if _on_its_own(settings, token) else AGAIN_SECONDS
            except LeaseLost:
                return

    thread = threading.Thread(target=run, name="scout-lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(AGAIN_SECONDS)


def _on_its_own(settings: Settings, token: int) -> bool:
    """Whether the lease was renewed, on a session of its own; raises LeaseLost where it is not that token's any more."""
    try:
        with open_session(settings) as session:
            return _renewed(session, token) is not None
    except LeaseLost:
        raise
    except (RecoveryError, psycopg.Error):
        return False


def _renewed(session: Session, token: int) -> float | None:
    """The seconds that the lease now lasts; None where it could not be renewed. Raises LeaseLost where it is not that token's."""
    try:
        with session.read():
            if ownership.foreign(session) is not None:
                return None
        # Whoever is frozen in between leaves no lock behind.
        renewed = session.at_once(lease.RENEW, name=lease.LEASE, token=token, seconds=None)
        if renewed:
            return float(renewed[0]["ttl_seconds"])
        with session.read():
            raise lease.lost(session, token)
    except psycopg.Error:
        return None
