# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pipeline that is slow by nature is waited for, whatever PostgreSQL expects of it; whoever holds a lock and does nothing is not."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import in_flight, pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import sessions
from tests.integration.modules import Result, call, connect, job_in_flight, one
from tests.integration.waiting import until

#: What one call of the ETL takes here; that of its job, which fits in no limit of these tests.
SLOW_SECONDS = 2.0
LOADING = f"SELECT scout.load_silver_from_bronze(1), pg_catalog.pg_sleep({SLOW_SECONDS})"
AT_WORK = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'nightly load' AND state = 'active')"
#: A run of a job that took 400 seconds.
LASTED = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, 1, database, username, command, 'succeeded', '1 row', now() - interval '500 s', now() - interval '100 s'
FROM cron.job WHERE jobname = 'bronze-to-silver-etl'
"""


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever does nothing is not waited for long; and the stand-in starts nothing, so there is no tick to wait out."""
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(in_flight, "IDLE_SECONDS", 0.4)
    monkeypatch.setattr(pause_resume, "BARRIER_SECONDS", 0.4)


@contextlib.contextmanager
def at_work(dsn: str) -> Iterator[None]:
    """Somebody loads by hand, for as long as that takes."""

    def load() -> None:
        with psycopg.connect(dsn, application_name="nightly load") as session:
            session.execute(LOADING.encode())

    thread = threading.Thread(target=load)
    thread.start()
    assert until(lambda: bool(one(dsn, AT_WORK)))
    try:
        yield
    finally:
        thread.join()


def test_a_pause_waits_for_whoever_is_at_work(scout_db: str) -> None:
    with at_work(scout_db):
        paused = call("scout_ingestion", scout_db, state="paused")
    assert paused.get("state") == "paused", paused
    assert [each["application"] for each in paused["sessions_in_flight"]] == ["nightly load"]


def test_a_drain_in_a_pause_waits_for_whoever_is_at_work(scout_db: str) -> None:
    library.backlog(scout_db, 2)
    assert call("scout_ingestion", scout_db, state="paused")["changed"]
    with at_work(scout_db):
        drained = call("scout_drain", scout_db, require_pause=True)
    assert drained.get("loaded") == 1, drained


def stuck(dsn: str) -> Result:
    return call("scout_terminate_sessions", dsn, check=True, stuck_after_seconds=sessions.STUCK_AFTER_SECONDS)


def test_a_run_that_takes_long_by_nature_is_not_ended_as_stuck(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor one whose runs usually take long, where it does nothing."""
    monkeypatch.setattr(sessions, "STUCK_AFTER_SECONDS", 1.0)
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute(LASTED)
    with job_in_flight(scout_db) as pid:
        time.sleep(1.2)
        assert [each["pid"] for each in stuck(scout_db)["ended"]] == [pid]
    with at_job(scout_db):
        time.sleep(1.2)
        assert stuck(scout_db)["ended"] == []
        with connect(scout_db) as connection:
            connection.execute("DELETE FROM cron.job_run_details WHERE job_pid = 1")
        assert len(stuck(scout_db)["ended"]) == 1


@contextlib.contextmanager
def at_job(dsn: str) -> Iterator[None]:
    """A run of a job that does something all the time."""
    with psycopg.connect(dsn, user="loader", application_name="pg_cron") as session, connect(dsn) as connection:
        connection.execute(
            "INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, start_time) "
            "SELECT jobid, %s, database, username, command, 'running', clock_timestamp() FROM cron.job"
            " WHERE jobname = 'bronze-to-silver-etl'",
            [session.info.backend_pid],
        )
        thread = threading.Thread(target=_run, args=(session,))
        thread.start()
        try:
            yield
        finally:
            session.cancel_safe()
            thread.join()


def _run(session: psycopg.Connection[tuple[object, ...]]) -> None:
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        session.execute("SELECT pg_catalog.pg_sleep(60)")
