# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scheduler of the tests' own on a server without pg_cron: it starts the jobs each second and records their runs as that does."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import psycopg

from tests.integration.modules import connect

#: The database looks as if the extension were there; only its own scheduler is missing.
INSTALLED = """
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 59999, 'pg_cron', 10, 'cron'::regnamespace, false, '1.6'
"""
DUE = "SELECT jobid, command, username FROM cron.job WHERE active AND schedule = '1 second' ORDER BY jobid"
BEGIN = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, start_time)
SELECT jobid, %s, database, username, command, 'running', clock_timestamp() FROM cron.job WHERE jobid = %s RETURNING runid
"""
END = "UPDATE cron.job_run_details SET status = %s, return_message = %s, end_time = clock_timestamp() WHERE runid = %s"


def installed(dsn: str) -> None:
    """Has the database say that pg_cron is there, with the job that loads due each second and that of gold each leap year."""
    with connect(dsn) as connection:
        connection.execute("SET allow_system_table_mods = on")
        connection.execute(INSTALLED)
        connection.execute("UPDATE cron.job SET schedule = '1 second' WHERE jobname = 'bronze-to-silver-etl'")
        connection.execute(
            "UPDATE cron.job SET schedule = format('0 %s * * *', extract(hour FROM now() AT TIME ZONE 'UTC' + interval '12 hours'))"
            " WHERE jobname IN ('product-linking', 'smart-gold-refresh')"
        )


@contextlib.contextmanager
def ticking(dsn: str, every_seconds: float = 0.3) -> Iterator[None]:
    """Within it the jobs that are due each second run, as their roles, in sessions of their own."""
    over = threading.Event()

    def tick() -> None:
        with connect(dsn) as connection:
            while not over.wait(every_seconds):
                for jobid, command, role in connection.execute(DUE).fetchall():
                    _run(connection, dsn, jobid, command, role)

    thread = threading.Thread(target=tick)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _run(connection: psycopg.Connection[tuple[object, ...]], dsn: str, jobid: int, command: str, role: str) -> None:
    with psycopg.connect(dsn, user=role, application_name="pg_cron") as session:
        row = connection.execute(BEGIN, [session.info.backend_pid, jobid]).fetchone()
        assert row
        try:
            session.execute(command)  # type: ignore[call-overload]
            session.commit()
            outcome = ("succeeded", "1 row")
        except psycopg.Error as e:
            outcome = ("failed", f"ERROR: {e.diag.message_primary}")
        connection.execute(END, [*outcome, row[0]])
