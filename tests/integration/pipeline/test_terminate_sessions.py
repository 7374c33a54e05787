# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is really stuck is recorded, ended gently first, and proved to be gone; nobody else is touched."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import sessions
from tests.integration.modules import (
    JOB_RUN,
    Result,
    call,
    connect,
    fingerprint,
    gone,
    idle_for,
    one,
    operator,
    rows,
)

KEY = library.REFRESH_LOCK
PAUSE = 0.3  # seconds; long enough to be older than OLD
OLD = 0.2

ROW_LOCK = "SELECT FROM scout.silver_transactions ORDER BY transaction_id LIMIT 1 FOR UPDATE"


def terminate(dsn: str, *, old: float = OLD, **options: Any) -> Result:
    """Sessions that have been stuck for a moment are ended."""
    time.sleep(PAUSE)
    defaults = {"stuck_after_seconds": old, "cancel_wait_seconds": 0.5, "terminate_wait_seconds": 5}
    return call("scout_terminate_sessions", dsn, **(defaults | options))


def ended(result: Result) -> dict[int, str]:
    """Who was ended, and how."""
    assert not result.get("failed"), result
    return {session["pid"]: session["how"] for session in result["ended"]}


@contextlib.contextmanager
def leaked_lock(dsn: str) -> Iterator[psycopg.Connection[Any]]:
    """A pooled connection whose refresh was cancelled: idle, in no transaction, and still holding the lock."""
    with connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", [KEY])
        yield connection


def blocked(dsn: str, statement: str) -> threading.Thread:
    """Somebody who waits for a lock until it comes or the session is ended."""

    def wait() -> None:
        with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, application_name="waiter") as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    with connect(dsn) as connection:
        library.wait_until(
            connection,
            "SELECT FROM pg_stat_activity WHERE application_name = 'waiter' AND wait_event_type = 'Lock' "
            "AND datname = current_database()",
        )
    return thread


def test_the_holder_of_the_key_idle_in_its_transaction(scout_db: str) -> None:
    with library.lock_holder(scout_db) as held:
        done = terminate(scout_db, incident="INC-7")
        assert ended(done) == {held.pids["holder"]: "terminated"}
        assert done["changed"]
        assert f"holds advisory key {KEY}" in done["ended"][0]["reasons"]
        assert gone(scout_db, held.pids["holder"])
    [(status, effects)] = rows(scout_db, "SELECT status, effects FROM scout_ops.runs WHERE incident = 'INC-7'")
    assert status == "succeeded"
    assert effects["captured"][0]["query"] == "SELECT pg_advisory_lock(?)"
    assert effects["ended"][0]["how"] == "terminated"
    again = terminate(scout_db)
    assert not again["changed"]
    assert again["run_id"] is None


#: Runs of the ETL that took 100 seconds.
LASTED = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, 1, database, username, command, 'succeeded', '1 row', now() - interval '200 s', now() - interval '100 s'
FROM cron.job WHERE jobname = 'bronze-to-silver-etl'
"""


def test_a_run_whose_job_usually_takes_long_is_not_stuck(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As long as it is at work, and nobody says that it is too old."""
    monkeypatch.setattr(sessions, "STUCK_AFTER_SECONDS", OLD)
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
    with psycopg.connect(scout_db, user="loader", application_name="pg_cron") as working:
        pid = working.info.backend_pid
        with connect(scout_db) as connection:
            assert connection.execute(JOB_RUN, [pid, "bronze-to-silver-etl"]).rowcount == 1
        run = threading.Thread(target=lasting, args=(working,), daemon=True)
        run.start()
        assert set(ended(terminate(scout_db, check=True))) == {pid}
        with connect(scout_db) as connection:
            connection.execute(LASTED)
        assert ended(terminate(scout_db)) == {}
        assert not gone(scout_db, pid)
        assert set(ended(terminate(scout_db, old=OLD / 2))) == {pid}
        run.join()


def lasting(session: psycopg.Connection[Any]) -> None:
    """A call of the ETL that lasts until it is ended."""
    with contextlib.suppress(psycopg.Error):
        session.execute("SELECT pg_sleep(60) FROM scout.load_silver_from_bronze(1)")


def test_the_same_number_elsewhere_is_another_lock(pg_server: Server, scout_db: str) -> None:
    with (
        connect(pg_server.dsn("postgres")) as other,
        connect(scout_db) as two_keys,
        connect(scout_db) as shared,
    ):
        other.execute("SELECT pg_advisory_lock(%s)", [KEY])
        two_keys.execute("SELECT pg_advisory_lock(0, %s)", [KEY])
        shared.execute("SELECT pg_advisory_lock(%s)", [KEY + (1 << 32)])
        assert ended(terminate(scout_db)) == {}
        assert other.execute("SELECT 1").fetchone()


@pytest.mark.parametrize(
    ("variant", "how"), [("row_lock", "cancelled"), ("nested", "cancelled"), ("idle_in_transaction", "terminated")]
)
def test_a_stuck_loader(scout_db: str, variant: str, how: str) -> None:
    with library.stuck_etl(scout_db, variant) as held:
        young = terminate(scout_db, old=60)
        assert ended(young) == {}
        assert young["left"] == []
        done = terminate(scout_db)
        expected = {held.pids["etl"]: how}
        if "blocker" in held.pids:
            expected[held.pids["blocker"]] = "terminated"
            tree = [line for line in done["tree"] if "fault/stuck_etl" in line]
            assert tree[0].startswith(f"pid {held.pids['blocker']} (postgres, fault/stuck_etl/blocker")
            assert tree[1].startswith(f"  pid {held.pids['etl']} ")
        # The one that was freed may have ended before it was its turn.
        assert {pid: "cancelled" if h == "ended by itself" else h for pid, h in ended(done).items()} == expected
        assert not rows(
            scout_db, "SELECT FROM pg_locks WHERE relation = 'scout.etl_processed'::regclass AND mode LIKE 'Row%'"
        )


def test_a_loader_that_is_merely_slow(scout_db: str) -> None:
    """Active, waiting for nobody, but for too long."""
    with connect(scout_db) as connection:
        connection.execute(
            "CREATE FUNCTION scout.slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN NULL; END'"
        )
        connection.execute(
            "CREATE TRIGGER slow AFTER INSERT ON scout.etl_processed FOR EACH STATEMENT EXECUTE FUNCTION scout.slow()"
        )
        with library.holding(scout_db, "slow") as held, held:
            pid = held.hang("etl", library.ETL)
            library.wait_until(connection, library.HOLDS_RELATION, pid, "scout.etl_processed", "RowExclusiveLock")
            assert ended(terminate(scout_db)) == {pid: "cancelled"}
            assert not gone(scout_db, pid), "a cancelled session lives on"


def test_a_cancelled_session_that_keeps_the_lock_is_terminated(scout_db: str) -> None:
    with library.holding(scout_db, "refresh") as held, held:
        pid = held.hang("refresh", "SELECT pg_sleep(30)", f"SELECT pg_advisory_lock({KEY})")
        assert ended(terminate(scout_db)) == {pid: "terminated"}


def test_who_only_reads_gold_while_a_refresh_waits(scout_db: str) -> None:
    with library.blocked_refresh(scout_db) as held:
        refresh = blocked(scout_db, "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics")
        done = terminate(scout_db)
        assert held.pids["reader"] in ended(done), done
        refresh.join(timeout=5)
        assert not refresh.is_alive()


def test_a_root_that_aborted_only_a_part_of_its_transaction_still_blocks(scout_db: str) -> None:
    """Cancelled inside a savepoint it looks aborted, but keeps the lock it took before."""
    with contextlib.suppress(psycopg.errors.AdminShutdown), connect(scout_db, application_name="root") as root:
        root.execute("BEGIN")
        root.execute(ROW_LOCK)
        root.execute("SAVEPOINT here")
        sleeping = threading.Thread(target=lambda: _ignore(root, "SELECT pg_sleep(30)"))
        sleeping.start()
        original = one(scout_db, "SELECT min(transaction_id) FROM scout.silver_transactions")
        waiter = blocked(
            scout_db,
            f"INSERT INTO scout.etl_processed (event_id) SELECT gen_random_uuid(); "
            f"UPDATE scout.silver_transactions SET updated_at = now() WHERE transaction_id = '{original}'",
        )
        done = ended(terminate(scout_db))
        assert done[root.info.backend_pid] == "terminated", done
        sleeping.join(timeout=5)
        waiter.join(timeout=5)


def _ignore(connection: psycopg.Connection[Any], statement: str) -> None:
    with contextlib.suppress(psycopg.Error):
        connection.execute(statement)  # type: ignore[call-overload]


def test_rows_left_locked_that_nobody_waits_for_yet(scout_db: str) -> None:
    """The ETL run that waited may have been ended already; the next batch would wait in its place."""
    with contextlib.closing(psycopg.connect(scout_db)) as holder, connect(scout_db) as worker:
        holder.execute(ROW_LOCK)
        worker.execute("SELECT count(*) FROM scout.silver_transactions")
        assert ended(terminate(scout_db)) == {holder.info.backend_pid: "terminated"}
        worker.execute("SELECT 1")


def test_a_monitor_that_mentions_the_names(scout_db: str) -> None:
    query = 'SELECT pg_sleep(20) AS "load_silver_from_bronze" -- load_silver_from_bronze(1), refresh_gold_platinum()'
    with psycopg.connect(scout_db, application_name="psql") as monitor, psycopg.connect(scout_db) as idle:
        idle.execute("SELECT query FROM pg_stat_activity WHERE query ILIKE '%load_silver_from_bronze(%'")
        watching = threading.Thread(target=lambda: _ignore(monitor, query))
        watching.start()
        done = terminate(scout_db)
        assert (ended(done), done["left"], done["changed"]) == ({}, [], False)
        assert watching.is_alive()
        monitor.cancel_safe()
        watching.join()
        assert idle.execute("SELECT 1").fetchone()


def test_who_may_not_be_ended_but_holds_the_key_makes_it_fail(scout_db: str) -> None:
    with connect(scout_db, application_name="psql") as holder:
        holder.execute("SELECT pg_advisory_lock(%s)", [KEY])
        refused = terminate(scout_db, protected_roles=["postgres"])
        assert refused["error"]["kind"] == "not_reached"
        assert f"pid {holder.info.backend_pid}" in refused["msg"]
        assert "role postgres is protected" in refused["msg"]
        assert refused["left"][0]["pid"] == holder.info.backend_pid
        assert holder.execute("SELECT 1").fetchone()
        # Too young to be stuck: no failure.
        assert ended(terminate(scout_db, old=60, protected_roles=["postgres"])) == {}


@pytest.mark.parametrize(
    ("without", "grant"),
    [("signal", "GRANT pg_signal_backend"), ("stats", "GRANT pg_read_all_stats"), ("member", "GRANT loader")],
)
def test_a_missing_grant_is_named(scout_db: str, without: str, grant: str) -> None:
    with operator(scout_db, without=without) as dsn, operator(scout_db) as other, psycopg.connect(other) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [KEY])
        refused = terminate(dsn)
        assert refused["error"]["kind"] == "missing_privilege", refused
        assert grant in refused["msg"].replace('"', "")
        assert session.execute("SELECT 1").fetchone()


def test_more_than_the_most_are_refused_before_anyone_is_ended(scout_db: str) -> None:
    with connect(scout_db) as one_holder, connect(scout_db) as another:
        for holder in (one_holder, another):
            holder.execute("SELECT pg_advisory_lock_shared(%s)", [KEY])
        refused = terminate(scout_db, max_sessions=1)
        assert refused["error"]["kind"] == "systemic"
        assert "max_sessions=1" in refused["msg"]
        assert one_holder.execute("SELECT 1").fetchone()
        assert another.execute("SELECT 1").fetchone()
        assert len(ended(terminate(scout_db, max_sessions=2))) == 2


def test_who_begins_anew_before_it_is_its_turn_is_left_alone(scout_db: str) -> None:
    """What it does now is young; the transaction it was found in has ended by itself."""
    write = "INSERT INTO scout.etl_processed (event_id) SELECT gen_random_uuid()"
    with (
        contextlib.closing(psycopg.connect(scout_db)) as one_loader,
        contextlib.closing(psycopg.connect(scout_db)) as another,
    ):
        loaders = {loader.info.backend_pid: loader for loader in (one_loader, another)}
        for loader in loaders.values():
            loader.execute(write)

        def hear(line: str) -> None:
            for pid, loader in loaders.items():
                if line.startswith("terminated: ") and f"pid {pid} " not in line:
                    loader.commit()
                    loader.execute(write)

        for pid in loaders:
            idle_for(scout_db, pid, 1.0)
        done = call("scout_terminate_sessions", scout_db, stuck_after_seconds=1.0, progress=Progress(hear))
        assert sorted(ended(done).values()) == ["ended by itself", "terminated"]
        [left] = [pid for pid, how in ended(done).items() if how == "ended by itself"]
        assert loaders[left].execute("SELECT 1").fetchone()
        assert done["summary"] == "1 session terminated, 1 session ended by itself"


@pytest.fixture
def reused_pids(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the signal each stuck session ends and its pid is given to another."""
    look = sessions.read

    def earlier(session: Any, counted: Any = ()) -> list[sessions.Activity]:
        return [
            sessions.dataclasses.replace(a, backend_start=a.backend_start.replace(year=2001))
            for a in look(session, counted)
        ]

    monkeypatch.setattr(sessions, "read", earlier)


@pytest.mark.usefixtures("reused_pids")
def test_a_reused_pid_is_somebody_else(scout_db: str) -> None:
    with leaked_lock(scout_db) as holder:
        failed = terminate(scout_db, terminate_wait_seconds=0.3)
        assert failed["error"]["kind"] == "not_reached"
        assert holder.execute("SELECT 1").fetchone()


@pytest.mark.usefixtures("reused_pids")
def test_the_statement_of_a_reused_pid_goes_on(scout_db: str) -> None:
    """Not even cancelled, which is what an active session is told first."""
    with library.holding(scout_db, "refresh") as held, held:
        pid = held.hang("refresh", "SELECT pg_sleep(30)", f"SELECT pg_advisory_lock({KEY})")
        failed = terminate(scout_db, cancel_wait_seconds=0.3, terminate_wait_seconds=0.3)
        assert failed["error"]["kind"] == "not_reached"
        assert rows(scout_db, "SELECT state, query FROM pg_stat_activity WHERE pid = %s", pid) == [
            ("active", "SELECT pg_sleep(30)")
        ]


def test_check_mode_ends_nobody(scout_db: str) -> None:
    with library.lock_holder(scout_db) as held, library.stuck_etl(scout_db) as stuck:
        before = fingerprint(scout_db)
        planned = terminate(scout_db, check=True)
        assert planned["changed"]
        assert set(ended(planned)) == {held.pids["holder"], stuck.pids["etl"], stuck.pids["blocker"]}
        assert planned["diff"]["after"] == dict.fromkeys(map(str, ended(planned)), "ended")
        assert fingerprint(scout_db) == before
        assert held.alive()
        assert stuck.alive()
        assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")


def test_a_stop_between_two_sessions(scout_db: str) -> None:
    stop = Progress(lambda _: stop.request_stop())
    with connect(scout_db) as first, connect(scout_db) as second:
        for holder in (first, second):
            holder.execute("SELECT pg_advisory_lock_shared(%s)", [KEY])
        stopped = terminate(scout_db, progress=stop)
        assert stopped["error"]["kind"] == "stopped"
        assert one(scout_db, "SELECT status FROM scout_ops.runs") == "stopped"
        assert len(one(scout_db, "SELECT effects FROM scout_ops.runs")["ended"]) == 1
        assert len(ended(terminate(scout_db))) == 1
