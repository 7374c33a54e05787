# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions that misbehave on purpose until they are closed, or killed by whoever cleans up."""

from __future__ import annotations

import select
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Self

import psycopg

#: How often a session tries to do what another loader does at the same moment.
COLLISIONS = 5
#: Somebody else may hold what a fault wants, for ever: then it does not happen.
LOCK_TIMEOUT = "-c lock_timeout=10s"


class Held:
    """The sessions of one fault: a context manager that frees them; being killed meanwhile is no error."""

    def __init__(self, dsn: str, name: str) -> None:
        """Remember where; opens nothing."""
        self.name = name
        self.pids: dict[str, int] = {}
        self._dsn = dsn
        self._connections: list[psycopg.Connection[Any]] = []
        self._idle: list[psycopg.Connection[Any]] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hold(self, label: str, *statements: str, parameters: object = None) -> int:
        """Open a session that runs the statements and stays idle in its transaction; returns its process id. Statements that
        collide with the pipeline's own loader are run again."""
        connection = self._open(label, LOCK_TIMEOUT)
        self._idle.append(connection)
        for left in reversed(range(COLLISIONS)):
            try:
                for statement in statements:
                    connection.execute(statement, parameters)  # type: ignore[call-overload]
                break
            except psycopg.errors.UniqueViolation:
                connection.rollback()
                if not left:
                    raise
                time.sleep(0.2)
        return self.pids[label]

    def hang(self, label: str, statement: str, *before: str) -> int:
        """Open a session, run `before`, and hang in the statement in the background; returns its process id."""
        connection = self._open(label)
        for preparation in before:
            connection.execute(preparation)  # type: ignore[call-overload]
        connection.commit()
        thread = threading.Thread(target=_run, args=(connection, statement), daemon=True)
        thread.start()
        self._threads.append(thread)
        return self.pids[label]

    def alive(self) -> bool:
        """Whether any of the sessions still exists."""
        return any(thread.is_alive() for thread in self._threads) or any(map(_open, self._idle))

    def close(self) -> None:
        """End what is left of the sessions; nothing of an open transaction is kept."""
        for connection in self._connections:
            try:
                connection.cancel_safe(timeout=5)
            except psycopg.Error:
                continue
        for thread in self._threads:
            thread.join(timeout=10)
        for connection in self._connections:
            connection.close()

    def _open(self, label: str, options: str = "") -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, application_name=f"fault/{self.name}/{label}", options=options)
        self._connections.append(connection)
        self.pids[label] = connection.info.backend_pid
        return connection


@contextmanager
def holding(dsn: str, name: str) -> Generator[Held]:
    """A `Held` that outlives the block, unless the block fails."""
    held = Held(dsn, name)
    try:
        yield held
    except BaseException:
        held.close()
        raise


def wait_until(connection: psycopg.Connection[Any], query: str, *parameters: object, seconds: float = 10) -> None:
    """Return as soon as the query yields a row; AssertionError after that many seconds."""
    deadline = time.monotonic() + seconds
    while connection.execute(query, parameters).fetchone() is None:  # type: ignore[call-overload]
        assert time.monotonic() < deadline, f"the fault did not take: nothing found by {' '.join(query.split())}"
        time.sleep(0.02)


def _run(connection: psycopg.Connection[Any], statement: str) -> None:
    try:
        connection.execute(statement)  # type: ignore[call-overload]
        connection.commit()
    except psycopg.Error:
        # Cancelled, killed, or closed: every end is a good one.
        return


def _open(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server still keeps this idle session: a closed one has something to read."""
    try:
        return not connection.closed and not select.select([connection.fileno()], [], [], 0)[0]
    except psycopg.Error:
        return False
