# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may only connect takes all of what a server has room for, its locks or its connections: it is said who, and what ends that."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import Result, call, connect, off, one
from tests.security.roles import drop_roles

KEY = library.REFRESH_LOCK
#: Temporary tables are slow to make, and take the same room.
ALL = "SELECT pg_catalog.pg_advisory_xact_lock(n) FROM pg_catalog.generate_series({}) AS n"


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, in a database to which mallory may connect and nothing else."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
    yield builder.operator(scout_db)
    with connect(scout_db) as superuser:
        for (gid,) in superuser.execute(
            "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()"
        ).fetchall():
            superuser.execute(f"ROLLBACK PREPARED '{gid}'".encode())
    drop_roles(scout_db, "scout_operator", "mallory")


def take_all(session: psycopg.Connection[Any]) -> None:
    """Every lock that there is room for, within a transaction."""
    session.execute("BEGIN; SAVEPOINT before")
    with pytest.raises(psycopg.errors.OutOfMemory):
        session.execute("SELECT pg_catalog.pg_advisory_lock(n) FROM pg_catalog.generate_series(1, 1000000) AS n")
    session.execute("ROLLBACK TO before")


def paste(dsn: str, refused: Result) -> None:
    """Types what was said."""
    [statement] = re.findall(r"(SELECT pg_catalog\.pg_terminate_backend.*?) ends it", refused["error"]["next_step"])
    assert one(dsn, statement) is True


def test_who_has_all_locks_is_named_with_what_ends_it(scout_db: str, attacked: str) -> None:
    with contextlib.closing(connect(scout_db, user="mallory")) as mallory:
        take_all(mallory)
        refused = call("scout_ingestion", attacked, state="paused")
        assert "out of shared memory" in refused["error"]["said"]
        assert "kill -TERM" in refused["error"]["next_step"]
        mallory.execute("SELECT pg_catalog.pg_advisory_unlock(n) FROM pg_catalog.generate_series(1, 60) AS n")
        refused = call("scout_ingestion", attacked, state="paused")
        assert refused.get("failed"), refused
        assert f"pid {mallory.info.backend_pid} (mallory, idle in transaction) holds " in refused["error"]["said"]
        assert "work_mem" not in refused["msg"]
        assert off(scout_db) == set()
        paste(attacked, refused)
    assert call("scout_ingestion", attacked, state="paused")["state"] == "paused"


@pytest.mark.parametrize("able", [False, True])
def test_who_has_half_of_them_is_ended_or_told_before_a_pause(scout_db: str, attacked: str, able: bool) -> None:
    """Ended is who can write nothing of the pipeline, after however short a time; of anybody else it is told."""
    if able:
        with connect(scout_db) as superuser:
            superuser.execute(
                "GRANT USAGE ON SCHEMA scout TO mallory; GRANT INSERT ON scout.silver_transactions TO mallory"
            )
    with contextlib.closing(connect(scout_db, user="mallory")) as mallory:
        mallory.execute("BEGIN")
        room = mallory.execute("SELECT current_setting('max_locks_per_transaction')::int * 104 / 2").fetchone()
        assert room
        mallory.execute(ALL.format(f"1, {room[0]}").encode())
        foreseen = call("scout_terminate_sessions", attacked, check=True)
        if able:
            assert "(mallory, idle in transaction) holds " in foreseen["msg"]
            paste(attacked, foreseen)
        else:
            assert not foreseen.get("failed"), foreseen
            [ended] = call("scout_terminate_sessions", attacked)["ended"]
            assert (ended["pid"], ended["how"]) == (mallory.info.backend_pid, "terminated")
        with pytest.raises(psycopg.OperationalError):
            mallory.execute("SELECT 1")


@pytest.mark.parametrize("gid", ["mine", "ansible-playbook scout.recovery.undo -e scout_run_id=1"])
def test_a_prepared_transaction_keeps_the_refresh_lock_without_a_session(
    scout_db: str, attacked: str, gid: str
) -> None:
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute("BEGIN")
        mallory.execute("SELECT pg_advisory_xact_lock(%s)", [KEY])
        mallory.execute(f"PREPARE TRANSACTION '{gid}'".encode())
    refused = call("scout_terminate_sessions", attacked, check=True, lock_timeout_seconds=0.1)
    assert f"held by prepared transaction '{gid}' of mallory" in refused["msg"]
    assert (f"ROLLBACK PREPARED '{gid}'" in refused["error"]["next_step"]) is (gid == "mine")
    assert refused["error"]["commands"] == []
    with connect(scout_db) as superuser:
        superuser.execute(f"ROLLBACK PREPARED '{gid}'".encode())
    assert not call("scout_terminate_sessions", attacked, check=True).get("failed")


def test_preflight_warns_where_no_connection_is_kept_back_for_operators(scout_db: str, attacked: str) -> None:
    """From PostgreSQL 16 on; before, preflight has nothing to ask for."""
    modern = one(scout_db, "SELECT current_setting('server_version_num')::int >= 160000")
    asked: dict[str, Any] = {"required": False, "job_rights": True}
    told = [text for text in call("scout_preflight_info", attacked, **asked)["warnings"] if "reserved" in text]
    assert bool(told) is modern
    assert all("ALTER SYSTEM SET reserved_connections" in text for text in told)
    with connect(scout_db) as superuser:
        if modern:
            superuser.execute("REVOKE pg_use_reserved_connections FROM scout_operator")
    told = [text for text in call("scout_preflight_info", attacked, **asked)["warnings"] if "reserved" in text]
    assert bool(told) is modern
    assert all('GRANT pg_use_reserved_connections TO "scout_operator"' in text for text in told)
