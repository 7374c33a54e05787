# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline at work while it is drilled: stores that sell, and the scheduler, or something that does its work where there is none.

Both outlive a restart of the server. A writer names its events itself, so that one whose commit was cut off is known as such.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
import typing as t
from uuid import UUID, uuid4

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from ...reference import oracle
from ...reference.events import generator
from ...reference.load.shop import JOB_BEGINS, JOB_ENDS, JOBS, MINUTE_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

Connection = psycopg.Connection[t.Any]
Written = dict[UUID, str]

WRITE = """
INSERT INTO scout.bronze_events AS b (event_id, event_type, source_system, event_data, event_hash)
SELECT %(event)s, 'transaction.v1', %(source)s, d, scout.canonical_event_hash(d) FROM (SELECT %(payload)s AS d) AS given
RETURNING b::text
"""
#: The same where a team's schema has no such function.
WRITE_PLAIN = """
INSERT INTO scout.bronze_events AS b (event_id, event_type, source_system, event_data)
VALUES (%(event)s, 'transaction.v1', %(source)s, %(payload)s) RETURNING b::text
"""
HASHES = "SELECT to_regprocedure('scout.canonical_event_hash(jsonb)') IS NOT NULL"
FIND = "SELECT b::text FROM scout.bronze_events AS b WHERE b.event_id = %(event)s"

#: Every so many events are written by a transaction that stays open for a while.
SLOW_EVERY: t.Final = 7
SLOW_SECONDS: t.Final = 1.0
RETRY_SECONDS: t.Final = 0.2
#: How long jobs that run get to end before a fault acts.
STILL_SECONDS: t.Final = 5.0


class Load:
    """From the start of the block to its end; everything that was committed is in `written`."""

    def __init__(self, dsn: str, *, events_per_second: float, scheduler: bool) -> None:
        self.dsn = dsn
        self.rate = events_per_second
        #: Whether the database's own scheduler runs the jobs.
        self.scheduler = scheduler
        self.written: Written = {}
        #: Events of which nobody knows whether they were committed.
        self.doubtful: set[UUID] = set()
        #: What a writer met that no store would have to meet.
        self.trouble: list[str] = []
        self._seed = random.SystemRandom().randrange(10**6, 10**9)
        self._number = 0
        self._writing = threading.Event()
        self._ticking = threading.Event()
        self._threads: list[threading.Thread] = []
        self._jobs: dict[int, threading.Thread] = {}
        self._sessions: dict[int, Connection] = {}
        #: Whoever has it keeps writers and the scheduler from beginning anything.
        self._turn = threading.Lock()

    def __enter__(self) -> t.Self:
        self._writing.set()
        self._ticking.set()
        works: list[Callable[[], None]] = [] if self.rate <= 0 else [self._sell]
        works += [] if self.scheduler else [self._tick]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()

    def rest(self) -> None:
        """Ends all of it, so that what is there can be counted."""
        self._writing.clear()
        self._ticking.clear()
        for session in list(self._sessions.values()):
            with contextlib.suppress(psycopg.Error):
                session.cancel_safe(timeout=5)
        threads = [*self._threads, *self._jobs.values()]
        for thread in threads:
            thread.join(timeout=30)
        if any(thread.is_alive() for thread in threads):
            self.trouble.append("a writer or a job did not end within 30 s")
        self._threads, self._jobs = [], dict[int, threading.Thread]()

    @contextlib.contextmanager
    def still(self) -> Generator[None]:
        """Within it nobody writes and no job begins; a job that hangs is not waited for."""
        with self._turn:
            deadline = time.monotonic() + STILL_SECONDS
            for job in list(self._jobs.values()):
                job.join(timeout=max(deadline - time.monotonic(), 0.0))
            yield

    def _session(self, name: str, options: str | None = None) -> Connection:
        return psycopg.connect(self.dsn, autocommit=True, application_name=name, connect_timeout=5, options=options)

    def _sell(self) -> None:
        dice = random.Random(self._seed)
        while self._writing.is_set():
            try:
                with self._session("store", oracle.EXACTLY) as connection:
                    self._settle(connection)
                    write = WRITE if connection.execute(HASHES).fetchone() == (True,) else WRITE_PLAIN
                    while self._writing.is_set():
                        if self._pause(dice.expovariate(self.rate)):
                            with self._turn:
                                self._write(connection, dice, write)
            except psycopg.OperationalError:
                # The server restarts; a store tries again.
                self._pause(RETRY_SECONDS)
            except psycopg.Error as e:
                self.trouble.append(f"a store could not write: {e}")
                self._pause(RETRY_SECONDS)

    def _pause(self, seconds: float) -> bool:
        """Whether there is still to be written after so long."""
        end = threading.Event()
        while seconds > 0 and self._writing.is_set():
            end.wait(min(seconds, 0.25))
            seconds -= 0.25
        return self._writing.is_set()

    def _write(self, connection: Connection, dice: random.Random, write: t.LiteralString) -> None:
        self._number += 1
        event = uuid4()
        payload = Jsonb(generator.transaction(self._seed, self._number))
        values = {"event": event, "payload": payload, "source": dice.choice(generator.SOURCES)}
        self.doubtful.add(event)
        with connection.transaction():
            row = connection.execute(write, values).fetchone()
            if self._number % SLOW_EVERY == 0:
                # Its ingested_at is the start of the transaction: it appears in a past that others believe closed.
                self._pause(SLOW_SECONDS)
        assert row
        self.written[event] = row[0]
        self.doubtful.discard(event)

    def _settle(self, connection: Connection) -> None:
        """What became of an event whose commit was cut off."""
        for event in list(self.doubtful):
            row = connection.execute(FIND, {"event": event}).fetchone()
            if row:
                self.written[event] = row[0]
                self.doubtful.discard(event)

    def _tick(self) -> None:
        """What pg_cron does, in short minutes: every active job that is due, unless it still runs."""
        minute = 0
        wait = threading.Event()
        while self._ticking.is_set():
            try:
                with self._session("clock") as keeper:
                    while self._ticking.is_set():
                        minute += 1
                        for job, schedule in keeper.execute(JOBS).fetchall():
                            if minute % int(schedule.split()[0].partition("/")[2] or 1) == 0:
                                self._begin(job)
                        for _ in range(int(MINUTE_SECONDS / 0.25)):
                            if self._ticking.is_set():
                                wait.wait(0.25)
            except psycopg.OperationalError:
                wait.wait(RETRY_SECONDS)
            except psycopg.Error as e:
                self.trouble.append(f"the scheduler could not look at its jobs: {e}")
                wait.wait(RETRY_SECONDS)

    def _begin(self, job: int) -> None:
        """A job that hangs keeps no other from running."""
        before = self._jobs.get(job)
        with self._turn:
            if self._ticking.is_set() and (before is None or not before.is_alive()):
                self._jobs[job] = threading.Thread(target=self._run, args=[job], daemon=True)
                self._jobs[job].start()

    def _run(self, job: int) -> None:
        """As its owner, in a session of its own, with its line in the log."""
        with contextlib.suppress(psycopg.OperationalError), self._session("pg_cron") as session:
            try:
                self._execute(session, job)
            finally:
                self._sessions.pop(job, None)

    def _execute(self, session: Connection, job: int) -> None:
        row = session.execute("SELECT username FROM cron.job WHERE jobid = %(job)s", {"job": job}).fetchone()
        begun = session.execute(JOB_BEGINS, {"pid": session.info.backend_pid, "job": job}).fetchone()
        if row is None or begun is None:
            return
        self._sessions[job] = session
        status, said = "succeeded", ""
        try:
            session.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(row[0])))
            said = session.execute(begun[1]).statusmessage or ""
        except psycopg.Error as e:
            # It fails as it does in production; a session that was ended is one of ours to have ended.
            status, said = "failed", f"ERROR: {e.diag.message_primary or e}"
        with self._session("clock") as keeper:
            keeper.execute(JOB_ENDS, {"run": begun[0], "status": status, "said": said})
