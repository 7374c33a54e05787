# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever keeps a step of ours from going on is named, however young, with the command that really ends them."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library, stuck_sessions
from tests.integration.modules import Result, call, gone, off, one, operator

AFTER = re.compile(r"^ansible-playbook scout\.recovery\.terminate_sessions -e scout_stuck_after_seconds=(\d+)$")


def ended_by(dsn: str, command: str) -> Result:
    """What the printed command does."""
    found = AFTER.match(command)
    assert found, command
    return call("scout_terminate_sessions", dsn, stuck_after_seconds=float(found[1]))


@pytest.mark.parametrize(
    ("table", "mode"),
    [
        ("scout.silver_transactions", "SHARE"),
        ("scout.silver_transactions", "ACCESS EXCLUSIVE"),
        ("scout.etl_processed", "EXCLUSIVE"),
    ],
)
def test_who_locks_a_table_that_the_drain_writes(table: str, mode: str, scout_db: str) -> None:
    library.backlog(scout_db, 5)
    call("scout_ingestion", scout_db, state="paused")
    with stuck_sessions.holding(scout_db, "migration") as held, held:
        pid = held.hold("alter", f"LOCK TABLE {table} IN {mode} MODE", "SELECT pg_sleep(1.1)")
        made = call("scout_drain", scout_db, lock_timeout_seconds=0.3)
        assert made.get("failed"), made
        assert f"locks are held by pid {pid} (postgres, fault/migration/alter, idle in transaction for " in made["msg"]
        assert ", since 2" in made["error"]["said"]
        assert "waiting for Client: ClientRead" in made["error"]["said"]
        assert f"): locks {table}" in made["error"]["said"]
        [command] = made["error"]["commands"]
        assert [each["pid"] for each in ended_by(scout_db, command)["ended"]] == [pid]
        assert gone(scout_db, pid)
    assert call("scout_drain", scout_db)["loaded"] == 5


def test_the_wait_of_a_pause_shows_the_blocker_and_not_the_victim(scout_db: str) -> None:
    with stuck_sessions.holding(scout_db, "young") as held, held:
        blocker = held.hold("blocker", "LOCK TABLE scout.silver_line_items IN EXCLUSIVE MODE", "SELECT pg_sleep(1.1)")
        victim = held.hang("etl", "UPDATE scout.silver_line_items SET quantity = quantity", "SELECT 1")
        made = call("scout_ingestion", scout_db, state="paused", drain_timeout_seconds=0.5)
        assert made["error"]["attempted"] == "new runs are blocked, but work is still in flight"
        assert f"still in flight: pid {blocker} (postgres, fault/young/blocker" in made["error"]["said"]
        assert f"pid {victim} (" not in made["error"]["said"]
        [command] = made["error"]["commands"]
        assert blocker in {each["pid"] for each in ended_by(scout_db, command)["ended"]}


def test_who_holds_the_refresh_lock(scout_db: str) -> None:
    library.gold_stale(scout_db)
    with library.lock_holder(scout_db) as held:
        made = call("scout_refresh_gold", scout_db, lock_timeout_seconds=0.3)
        assert f"held by pid {held.pids['holder']} (postgres, fault/lock_holder/holder" in made["error"]["said"]
        [command] = made["error"]["commands"]
        one(scout_db, "SELECT pg_sleep(1.1)::text")
        ended_by(scout_db, command)
    assert call("scout_refresh_gold", scout_db)["changed"] is True


def test_a_reader_that_a_plain_refresh_waits_for(scout_db: str) -> None:
    library.gold_broken(scout_db)
    library.negative_totals(scout_db)
    with library.blocked_refresh(scout_db, view="gold_region_choropleth") as held:
        pid = held.pids["reader"]
        one(scout_db, "SELECT pg_sleep(1.1)::text")
        made = call("scout_refresh_gold", scout_db, lock_timeout_seconds=0.3, attempts=1)
        assert (
            f"yielded to whoever uses it: pid {pid} (postgres, fault/blocked_refresh/reader, idle in tr" in made["msg"]
        )
        assert ", since 2" in made["error"]["said"]
        assert "waiting for Client: ClientRead" in made["error"]["said"]
        assert "keeps from being refreshed, scout.gold_region_choropleth" in made["error"]["said"]
        [command] = made["error"]["commands"]
        assert [each["pid"] for each in ended_by(scout_db, command)["ended"]] == [pid]
        assert gone(scout_db, pid)
    assert call("scout_refresh_gold", scout_db)["changed"] is True


@pytest.mark.parametrize("stuck_after_seconds", [600.0, 0.5])
def test_whether_the_refresh_lock_could_be_taken(stuck_after_seconds: float, scout_db: str) -> None:
    """Whoever is stuck is ended by the step that comes between; whoever is not is named before anything is paused."""
    asked: dict[str, Any] = {
        "check": True,
        "lock_timeout_seconds": 0.3,
        "stuck_after_seconds": stuck_after_seconds,
    }
    assert call("scout_terminate_sessions", scout_db, **asked)["changed"] is False
    with library.lock_holder(scout_db) as held:
        one(scout_db, "SELECT pg_sleep(0.6)::text")
        made = call("scout_terminate_sessions", scout_db, **asked)
        assert bool(made.get("failed")) is (stuck_after_seconds > 1)
        if made.get("failed"):
            assert f"pid {held.pids['holder']}" in made["msg"]
            assert shlex.split(made["error"]["commands"][0])[0] == "ansible-playbook"
    assert off(scout_db) == set()


def test_a_protected_blocker_is_asked_for(scout_db: str) -> None:
    """No command ends it, so none is printed."""
    library.backlog(scout_db, 5)
    with stuck_sessions.holding(scout_db, "boss") as held, held, operator(scout_db) as dsn:
        call("scout_ingestion", dsn, state="paused")
        held.hold("admin", "LOCK TABLE scout.silver_transactions IN EXCLUSIVE MODE")
        made = call("scout_drain", dsn, lock_timeout_seconds=0.3)
    assert made["error"]["commands"] == []
    assert "ask postgres to end pid " in made["error"]["next_step"]
    assert "is a superuser, and only a superuser may end its sessions" in made["error"]["next_step"]
