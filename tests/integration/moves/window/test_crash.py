# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recovery that stands still keeps its window, whatever happens meanwhile; and what somebody changes during a batch.

That it goes on from wherever it is broken off is what every mover promises: test_broken_off.py.
"""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import ZERO, bronze, where
from tests.integration.modules import Result, call, connect, rows
from tests.integration.moves.movers import MOVERS, OURS, broken_off, hang, unhang
from tests.integration.oracle import arrive
from tests.integration.outcomes import ran
from tests.integration.windows import Case, damaged, recover
from tests.scout.fixtures import small

SEED = 50_506
EVENTS = 400
#: So long that no batch is cancelled for having taken too long.
PATIENT: dict[str, Any] = {"target_seconds": 60, "incident": "INC-9", "max_poison_share": 1.0}
DAYS = 3.5
WINDOW = MOVERS["window recovery"]
#: A reference large enough for several batches.
scout_template = small(EVENTS)


@pytest.fixture
def case(scout_db: str) -> Case:
    """All kinds of damage."""
    now = datetime.now(UTC)
    return damaged(scout_db, Window(now - timedelta(days=DAYS), now + timedelta(minutes=1)))


def again(case: Case, broken: Result, **options: Any) -> Result:
    """The same command once more, which goes on with what was broken off."""
    assert (broken["failed"], broken["error"]["kind"]) == (True, "connection_lost"), broken["msg"]
    assert "run the same command again" in broken["error"]["next_step"]
    assert where(case.dsn, case.written) == ZERO
    result = recover(case, **options)
    assert (result["changed"], result["run_id"], result["resumed"]) == (True, broken["run_id"], True)
    [(status, error)] = rows(case.dsn, "SELECT status, error FROM scout_ops.runs WHERE run_id = %s", broken["run_id"])
    assert (status, error) == ("succeeded", None)
    return result


# --- the window is frozen


def test_a_run_that_goes_on_keeps_the_window_it_began_with(case: Case, small_batches: int) -> None:
    """`last` is counted from the first attempt: what arrives between the two is not in the window."""
    sale = WINDOW.sale(case.dsn, 200)
    hang(case.dsn, WINDOW.places["making lines"], sale)
    options = {"last": "4d", "mode": "all", **PATIENT}
    broken = broken_off(case.dsn, "scout_window_recovery", **options)
    unhang(case.dsn)
    [late] = arrive(case.dsn, [generator.transaction(SEED, 1)], start=datetime.now(UTC))
    time.sleep(0.05)
    result = ran("scout_window_recovery", case.dsn, **options)
    assert (result["run_id"], result["resumed"]) == (broken["run_id"], True)
    assert datetime.fromisoformat(result["window"]["end"]) < datetime.now(UTC)
    assert "run it again for the last 4d from now" in result["summary"]
    assert rows(case.dsn, "SELECT FROM scout.etl_processed WHERE event_id = %s", late) == []
    assert result["reconciliation"]["unexplained"] == 0
    once_more = ran("scout_window_recovery", case.dsn, last="4d")
    assert once_more["run_id"] != broken["run_id"]
    assert rows(case.dsn, "SELECT FROM scout.etl_processed WHERE event_id = %s", late) == [()]


def test_what_another_run_sets_aside_meanwhile_is_accounted_for(case: Case, small_batches: int) -> None:
    """By a quarantine, while the recovery stands still; what is deleted meanwhile is not."""
    sale = WINDOW.sale(case.dsn, 200)
    hang(case.dsn, WINDOW.places["making lines"], sale)
    broken = broken_off(case.dsn, "scout_window_recovery", mode="all", **case.window.options, **PATIENT)
    unhang(case.dsn)
    spared = {*case.damage.poison, sale[1]}
    events = [event for event in sorted(case.written) if event not in spared][:40:10]
    start, end = case.window.start, case.window.end
    inside = (
        "SELECT event_id FROM scout.bronze_events WHERE event_id = ANY(%s) AND ingested_at >= %s AND ingested_at < %s"
    )
    events = [event for [event] in rows(case.dsn, inside, events, start, end)]
    quarantined = ran("scout_quarantine", case.dsn, event_ids=[str(event) for event in events])
    assert quarantined["moved"]["events"] == len(events) > 1
    result = again(case, broken, mode="all", **PATIENT)
    account = result["reconciliation"]
    assert (account["balanced"], account["vanished"], account["unexplained"]) == (True, 0, 0)
    assert account["quarantined"] >= len(events) + len(result["poison"])
    assert {letter["event_id"] for letter in result["poison"]}.isdisjoint(map(str, events))


#: What somebody changes while it is being made again, and waits for.
CHANGES: dict[str, str] = {
    "a payload": 'UPDATE scout.bronze_events SET event_data = event_data || \'{"city": "Changed"}\' WHERE event_id = %(event)s',
    "an event that leaves the window": "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 year' WHERE event_id = %(event)s",  # noqa: E501 one statement
    "a deleted event": "DELETE FROM scout.bronze_events WHERE event_id = %(event)s",
    "a sale": "UPDATE scout.silver_transactions SET city = 'Changed' WHERE transaction_id = %(sale)s",
    "a line": "UPDATE scout.silver_line_items SET quantity = quantity + 1 WHERE transaction_id = %(sale)s",
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_somebody_changes_during_a_batch_counts_as_changed(case: Case, what: str) -> None:
    """Silver ends up as bronze then says; a transaction whose event is gone may stay, but nothing else of the window may be lost."""
    sale, event = WINDOW.sale(case.dsn, 200)
    with psycopg.connect(case.dsn) as other, connect(case.dsn) as watch:
        other.execute(CHANGES[what], {"sale": sale, "event": event})  # type: ignore[call-overload]
        results: list[Result] = []
        mover = threading.Thread(
            target=lambda: results.append(call("scout_window_recovery", case.dsn, mode="all", **case.window.options))
        )
        mover.start()
        wait_until(watch, f"{OURS} AND wait_event_type = 'Lock'", seconds=20)
        other.commit()
        mover.join()
    if results[0].get("failed"):
        assert results[0]["error"]["next_step"], results[0]
        recover(case, mode="all")
    assert [line for line in case.wrong() if sale not in line] == []
    if what != "a deleted event":
        assert case.wrong() == []
    assert case.pending() == set()
    kept = {identifier for identifier in bronze(case.dsn) if isinstance(identifier, UUID)}
    assert set(case.written) - kept - set(case.letters()) == ({event} if what == "a deleted event" else set())
