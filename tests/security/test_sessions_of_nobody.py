# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may only connect holds locks in many sessions: nothing stays paused for it, and nobody is kept from working."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, idle_for, one, rows
from tests.security.roles import drop_roles

KEY = library.REFRESH_LOCK
#: More than `max_sessions` would let anybody end.
MANY = 24


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, in a database with work to do, to which mallory may connect and nothing else."""
    library.backlog(scout_db, 5)
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
    yield builder.operator(scout_db)
    drop_roles(scout_db, "scout_operator", "mallory")


@contextlib.contextmanager
def many(dsn: str, statement: str, number: int = MANY, **parameters: Any) -> Iterator[list[psycopg.Connection[Any]]]:
    """So many sessions, each of which has run this."""
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(contextlib.closing(connect(dsn, **parameters))) for _ in range(number)]
        for session in held:
            session.execute(statement.encode())
        yield held


def alive(dsn: str, role: str = "mallory") -> int:
    return one(dsn, "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND datname = current_database()", role)


def test_a_reset_ends_all_who_share_the_key_however_many(scout_db: str, attacked: str, tmp_path: Path) -> None:
    with many(scout_db, f"SELECT pg_advisory_lock_shared({KEY})", user="mallory"):
        time.sleep(1.1)
        played = Stage(tmp_path).play("emergency_reset", attacked, stuck_after_seconds=1)
        assert played.rc == 0, played.text
        assert alive(scout_db) == 0
    assert played.result["ingestion"] == "running"


def test_a_refresh_ends_those_who_have_just_come(scout_db: str, attacked: str) -> None:
    """Nothing has to be stuck for that, and nothing is refused before a pause."""
    library.gold_stale(scout_db)
    with many(scout_db, f"SELECT pg_advisory_lock_shared({KEY})", 2, user="mallory"):
        foreseen = call("scout_terminate_sessions", attacked, check=True)
        assert not foreseen.get("failed"), foreseen
        assert (foreseen["changed"], alive(scout_db)) == (False, 2)
        refreshed = call("scout_refresh_gold", attacked, lock_timeout_seconds=0.3)
        assert not refreshed.get("failed"), refreshed
        assert alive(scout_db) == 0
    [(ended,)] = rows(scout_db, "SELECT effects -> 'ended' FROM scout_ops.runs WHERE action = 'refresh_gold'")
    assert {(each["role"], each["reasons"][0]) for each in ended} == {("mallory", f"holds advisory key {KEY}")}


def test_sessions_that_could_be_at_work_are_too_many_before_the_pause(
    scout_db: str, attacked: str, tmp_path: Path
) -> None:
    """It is systemic where they may write, and is told before anything is paused."""
    with connect(scout_db) as superuser:
        superuser.execute(
            "GRANT USAGE ON SCHEMA scout TO mallory; GRANT INSERT ON scout.silver_transactions TO mallory"
        )
    with many(scout_db, f"SELECT pg_advisory_lock_shared({KEY})", user="mallory"):
        time.sleep(1.1)
        played = Stage(tmp_path).play("emergency_reset", attacked, stuck_after_seconds=1)
    assert played.rc != 0
    assert f"refused to end {MANY} sessions, more than max_sessions=20" in " ".join(played.text.split())
    assert played.result["ingestion"] == "running", played.text
    assert not rows(scout_db, "SELECT FROM scout_ops.runs WHERE action = 'pause'")


def test_who_waits_behind_one_that_is_ended_has_it_by_then(scout_db: str, attacked: str, tmp_path: Path) -> None:
    """He may write, so that he is ended where he is stuck too, and is told before a pause where he has just come."""
    with connect(scout_db) as superuser:
        superuser.execute(
            "GRANT USAGE ON SCHEMA scout TO mallory; GRANT INSERT ON scout.silver_transactions TO mallory"
        )
    key = f"SELECT pg_advisory_lock({KEY})"
    with (
        many(scout_db, key, 1, user="mallory"),
        contextlib.closing(connect(scout_db, user="mallory")) as waits,
    ):
        idle_for(scout_db, one(scout_db, "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"), 6)
        waits.pgconn.send_query(key.encode())
        foreseen = call(
            "scout_terminate_sessions", attacked, check=True, stuck_after_seconds=6, lock_timeout_seconds=0.1
        )
        assert foreseen.get("failed"), foreseen
        assert f"advisory key {KEY} is held by pid " in foreseen["msg"]
        time.sleep(1.1)
        played = Stage(tmp_path).play("emergency_reset", attacked, stuck_after_seconds=1)
        assert played.rc == 0, played.text
        assert alive(scout_db) == 0


#: What is called as silver is, or is a view of gold, makes nobody able to write silver.
HERS = """
GRANT USAGE, CREATE ON SCHEMA scout TO mallory;
SET ROLE mallory;
CREATE TABLE scout.silver_mine (n int);
CREATE MATERIALIZED VIEW scout.gold_mine AS SELECT 1 AS one;
RESET ROLE;
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scout FROM PUBLIC;
"""


def test_what_is_hers_makes_her_no_writer_of_silver(scout_db: str, attacked: str, tmp_path: Path) -> None:
    with connect(scout_db) as superuser:
        superuser.execute(HERS)
    at_work = f"BEGIN; INSERT INTO scout.silver_mine VALUES (1); SELECT pg_advisory_lock_shared({KEY})"
    with many(scout_db, at_work, user="mallory"):
        time.sleep(1.1)
        played = Stage(tmp_path).play("emergency_reset", attacked, stuck_after_seconds=1)
        assert played.rc == 0, played.text
        assert alive(scout_db) == 0
    assert played.result["ingestion"] == "running"


def test_a_superuser_who_holds_it_is_named_before_the_pause(scout_db: str, attacked: str, tmp_path: Path) -> None:
    with many(scout_db, f"SELECT pg_advisory_lock_shared({KEY})", 1):
        time.sleep(1.1)
        played = Stage(tmp_path).play("emergency_reset", attacked, stuck_after_seconds=1)
    assert played.rc != 0
    assert "is a superuser, and only a superuser may end its sessions" in " ".join(played.text.split())
    assert played.result["ingestion"] == "running", played.text


def test_the_lock_is_not_handed_round_for_ever(scout_db: str, attacked: str) -> None:
    """Each keeps it until the next one has it, and queues again, and comes back where it is ended."""
    library.gold_stale(scout_db)
    over = threading.Event()

    def hand_round() -> None:
        while not over.is_set():
            with contextlib.suppress(psycopg.Error), connect(scout_db, user="mallory") as session:
                while not over.is_set():
                    session.execute("SELECT pg_advisory_lock(%s)", [KEY])
                    session.execute("SELECT pg_sleep(0.3)")
                    session.execute("SELECT pg_advisory_unlock(%s)", [KEY])

    threads = [threading.Thread(target=hand_round, daemon=True) for _ in range(12)]
    for thread in threads:
        thread.start()
    try:
        with connect(scout_db) as superuser:
            library.wait_until(
                superuser, "SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted HAVING count(*) > 10"
            )
        refreshed = call("scout_refresh_gold", attacked, lock_timeout_seconds=1.0)
    finally:
        over.set()
        for thread in threads:
            thread.join(30)
    assert not refreshed.get("failed"), refreshed
    assert refreshed["changed"]


def test_no_advisory_lock_keeps_the_ledger_from_being_made(scout_db: str, attacked: str) -> None:
    with many(scout_db, "SELECT pg_advisory_lock(7226883401)", 1, user="mallory"):
        paused = call("scout_ingestion", attacked, state="paused", lock_timeout_seconds=0.5)
        assert (paused.get("failed"), paused.get("state")) == (None, "paused"), paused
        assert call("scout_ingestion", attacked, state="running", lock_timeout_seconds=0.5)["state"] == "running"


def test_two_who_make_the_ledger_at_once_both_have_it(scout_db: str) -> None:
    """Also where nobody has made its schema."""
    made: list[dict[str, Any]] = []

    def look() -> None:
        made.append(call("scout_terminate_sessions", scout_db, stuck_after_seconds=0.0, ledger="required"))

    with many(scout_db, f"SELECT pg_advisory_lock_shared({KEY})", 1):
        threads = [threading.Thread(target=look) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert len(made) == len(threads)
    assert not [each for each in made if "could not create the ledger" in str(each.get("msg"))], made
