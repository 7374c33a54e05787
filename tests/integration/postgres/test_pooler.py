# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Through a pooler that gives every transaction another session: everything works, nothing is left behind, and it is said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library as faults_library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import recovery
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from tests.integration.gates import ended
from tests.integration.modules import (
    call,
    connect,
    ends_when_waited_for,
    fingerprint,
    gone,
    idle_for,
    job_in_flight,
    jobs,
    operator,
    rows,
)
from tests.integration.oracle import START
from tests.integration.outcomes import scout_tables
from tests.integration.pooler import SESSIONS, Pooler, opened
from tests.integration.windows import damaged

#: A whole day: shops are closed at night, whatever the hour is now.
WINDOW = Window(START - timedelta(hours=25), START - timedelta(hours=1))


@pytest.fixture
def pooler(scout_db: str) -> Iterator[Pooler]:
    """A pooler for an operator, who is no superuser."""
    with operator(scout_db) as dsn, opened(dsn, scout_db) as pooler:
        yield pooler


def test_pause_resume_and_clear(pooler: Pooler, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.05)
    direct, run = pooler.direct, pooler.run
    before, states = jobs(direct), pooler.states()
    token = run("scout_lease", state="held")["token"]
    with job_in_flight(direct) as pid:
        paused = run("scout_ingestion", state="paused", lease_token=token, progress=ends_when_waited_for(direct))
        assert paused["state"] == "paused"
        assert [session["pid"] for session in paused["sessions_in_flight"]] == [pid]
    with operator(direct) as holder, connect(holder) as session:
        session.execute("SELECT pg_advisory_lock(%s)", [faults_library.REFRESH_LOCK])
        idle_for(direct, session.info.backend_pid, 0.1)
        ended = run("scout_terminate_sessions", stuck_after_seconds=0.1, lease_token=token)
        assert [s["pid"] for s in ended["ended"]] == [session.info.backend_pid]
        assert gone(direct, session.info.backend_pid)
    assert run("scout_ingestion", state="running", lease_token=token)["state"] == "running"
    assert run("scout_lease", state="released", lease_token=token)["summary"] == "lease released"
    assert jobs(direct) == before
    # Sessions are handed on, so nothing of ours may stay in them.
    assert pooler.states() == states


@pytest.mark.parametrize("mode", ["missing", "all"])
def test_a_window_is_recovered_and_given_back(pooler: Pooler, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every kind of damage, in batches that each get another session than the one before."""
    monkeypatch.setattr(recovery, "FIRST_ROWS", 20)
    monkeypatch.setattr(recovery, "MOST_ROWS", 40)
    case = damaged(pooler.direct, WINDOW)
    asked: dict[str, Any] = {"max_poison_share": 1.0, **WINDOW.options}
    states, damage = pooler.states(), scout_tables(pooler.direct)
    planned = call("scout_window_recovery", pooler.dsn, check=True, mode=mode, **asked)
    assert (planned["changed"], scout_tables(pooler.direct)) == (True, damage)
    result = pooler.run("scout_window_recovery", mode=mode, **asked)
    case.check()
    case.reconciled(result)
    assert result["changed"]
    assert result["batches"]["batches"] > SESSIONS
    assert pooler.states() == states
    recovered = scout_tables(pooler.direct)
    again = pooler.run("scout_window_recovery", mode=mode, **asked)
    assert (again["changed"], scout_tables(pooler.direct)) == (False, recovered)
    undone = pooler.run("scout_undo", run_id=result["run_id"])
    assert (undone["changed"], scout_tables(pooler.direct)) == (True, damage)


#: A trigger that draws from a sequence, by way of another function.
DRAWING = (
    "CREATE SEQUENCE scout.counter",
    "CREATE FUNCTION scout.draw() RETURNS bigint LANGUAGE sql AS $$SELECT nextval('scout.counter')$$",
    "CREATE FUNCTION scout.number() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM scout.draw(); RETURN NEW; END$$",
    "CREATE TRIGGER number BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION scout.number()",
    "GRANT USAGE ON SEQUENCE scout.counter TO loader",
)


def drawn(pooler: Pooler, value: int) -> None:
    """Somebody has drawn this value from a sequence in each of its sessions, which remember it."""
    names = [f"public.tickets_{number}" for number in range(SESSIONS)]
    with connect(pooler.direct) as connection:
        for name in names:
            connection.execute(f"CREATE SEQUENCE {name} START {value}")  # type: ignore[call-overload]
            connection.execute(f"GRANT USAGE ON SEQUENCE {name} TO PUBLIC")  # type: ignore[call-overload]
    with connect(pooler.dsn, prepare_threshold=None) as client:
        for name in names:
            client.execute("SELECT nextval(%s)", [name])


def test_a_sale_goes_through_and_nothing_remains(pooler: Pooler) -> None:
    drawn(pooler, 4)
    states, before = pooler.states(), fingerprint(pooler.direct)
    result = pooler.run("scout_gate_info", smoke=True)
    assert (*ended(result), result["smoke"]["status"]) == ("pass", 0, "pass"), result
    assert (fingerprint(pooler.direct), pooler.states()) == (before, states)


def test_a_sequence_that_is_not_ours_to_shadow_is_not_drawn_from(pooler: Pooler) -> None:
    drawn(pooler, 4)
    with connect(pooler.direct) as connection:
        for statement in DRAWING:
            connection.execute(statement)  # type: ignore[call-overload]
    before = rows(pooler.direct, "SELECT last_value, is_called FROM scout.counter")
    result = pooler.run("scout_gate_info", smoke=True)
    assert result["smoke"]["status"] == "inconclusive"
    assert "trigger number on scout.silver_line_items takes numbers from a sequence" in result["smoke"]["reason"]
    assert rows(pooler.direct, "SELECT last_value, is_called FROM scout.counter") == before
