# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline at work that keeps itself in order: writers, a careful corrector, the jobs of pg_cron; and a look at what we do to it."""

from __future__ import annotations

import random
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ..events import generator
from .storm import Storm

Connection = psycopg.Connection[Any]

#: The scheduler's minute; nobody wants to wait for the real one.
MINUTE_SECONDS = 3.0

#: The person who corrects knows the sale's number, and that the sale is loaded; each is corrected once.
CORRECT = """
INSERT INTO scout.bronze_events AS b (event_type, source_system, event_data, event_hash)
SELECT 'transaction.v1', 'backoffice', d, {hash} FROM (SELECT %(payload)s AS d) AS given
WHERE EXISTS (SELECT FROM scout.silver_transactions AS t WHERE t.transaction_id = d ->> 'transaction_id')
RETURNING b.event_id, b::text
"""

JOBS = "SELECT jobid, schedule FROM cron.job WHERE active ORDER BY jobid"

JOB_BEGINS = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, start_time)
SELECT jobid, %(pid)s, database, username, command, 'running', clock_timestamp()
FROM cron.job WHERE jobid = %(job)s AND active RETURNING runid, command
"""

JOB_ENDS = """
UPDATE cron.job_run_details SET status = %(status)s, return_message = %(said)s, end_time = clock_timestamp()
WHERE runid = %(run)s
"""

#: Our sessions at work; one that keeps the ETL's ledger to itself is moving rows or loading them.
AT_WORK = """
SELECT coalesce(bool_or(l.granted), false), extract(epoch FROM clock_timestamp() - a.xact_start)::float8,
       split_part(a.application_name, '/', 3)
FROM pg_stat_activity AS a
LEFT JOIN pg_locks AS l ON l.pid = a.pid AND l.relation = 'scout.etl_processed'::regclass AND l.mode = 'ShareRowExclusiveLock'
WHERE a.datname = current_database() AND a.application_name LIKE 'scout-recovery/%' AND a.xact_start IS NOT NULL
GROUP BY a.pid, a.xact_start, a.application_name
"""


@dataclass
class Shop(Storm):
    """A pipeline at work: sales, slow transactions, corrections of its own sales only, and pg_cron or a stand-in for it."""

    scheduler: bool = False
    loads: int = 0
    existing: int = 0

    @property
    def arrived(self) -> int:
        """Events written since the start of the block."""
        return len(self.written) - self.existing

    def reopened(self) -> Shop:
        """The same shop for another block, which goes on where the first one ended."""
        return replace(self, _stop=threading.Event())

    def _correct(self, connection: Connection, dice: random.Random) -> None:
        done: set[str] = set()
        while not self._stop.wait(dice.expovariate(self.corrections_per_second)):
            with self._lock:
                sale = dict(dice.choice(self._sales[-2000:])) if self._sales else {"transaction_id": ""}
            if sale["transaction_id"] in {"", *done}:
                continue
            sale |= {"payment_method": "corrected", "correction": self._next()}
            found = connection.execute(generator.with_hash(connection, CORRECT), {"payload": Jsonb(sale)}).fetchone()
            if found:
                done.add(sale["transaction_id"])
                self._keep([(found[0], found[1], None)])
                self.corrections += 1

    def _tick(self, connection: Connection, dice: random.Random) -> None:  # noqa: ARG002
        """What pg_cron does, in short minutes: each active job as its owner, in a session of its own, with its line in the log."""
        if self.scheduler:
            return
        minute = 0
        with psycopg.connect(self.dsn, autocommit=True, application_name="clock") as keeper:
            while not self._stop.wait(MINUTE_SECONDS):
                minute += 1
                self.minute(keeper, minute)

    def minute(self, keeper: Connection, number: int) -> None:
        """One minute of the scheduler's hour, with all jobs that are due in it."""
        for job, schedule in keeper.execute(JOBS).fetchall():
            if number % int(schedule.split()[0].partition("/")[2] or 1) == 0:
                self._run(keeper, job)

    def _run(self, keeper: Connection, job: int) -> None:
        [[owner]] = keeper.execute("SELECT username FROM cron.job WHERE jobid = %s", [job]).fetchall()
        status, said = "succeeded", ""
        with psycopg.connect(self.dsn, user=owner, autocommit=True, application_name="pg_cron") as session:
            begun = keeper.execute(JOB_BEGINS, {"pid": session.info.backend_pid, "job": job}).fetchone()
            if begun is None:
                return
            try:
                said = session.execute(begun[1]).statusmessage or ""
            except psycopg.Error as error:
                status, said = "failed", f"ERROR: {error.diag.message_primary or error}"
        self.loads += status == "succeeded" and "load_silver_from_bronze" in begun[1]
        keeper.execute(JOB_ENDS, {"run": begun[0], "status": status, "said": said})


@dataclass
class Watch:
    """Looks at the transactions of the playbooks, 20 times a second."""

    dsn: str
    moving_seconds: float = 0.0
    other_seconds: float = 0.0
    other_action: str = ""
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def watching(self) -> Generator[None]:
        """From the start of the block to its end."""
        thread = threading.Thread(target=self._look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(timeout=10)

    def _look(self) -> None:
        with psycopg.connect(self.dsn, autocommit=True, application_name="watch") as connection:
            while not self._stop.wait(0.05):
                for moving, seconds, action in connection.execute(AT_WORK).fetchall():
                    if moving:
                        self.moving_seconds = max(self.moving_seconds, seconds)
                    elif seconds > self.other_seconds:
                        self.other_seconds, self.other_action = seconds, action
