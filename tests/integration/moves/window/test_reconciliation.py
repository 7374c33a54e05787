# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the account of a recovery counts: events that vanish meanwhile, and those whose silver a cleanup has set aside."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window.recovery import Recovery
from tests.integration.modules import Result, call, connect, one
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.outcomes import ran
from tests.scout.fixtures import small

SEED = 70_117
#: Long after the events of the reference, so that the window holds those of the test alone.
WINDOW = Window(START + timedelta(days=2), START + timedelta(days=2, hours=1))
FIGURES = ("expected", "loaded", "quarantined", "not_transactional", "unexplained", "vanished", "balanced")
scout_template = small(60)
sale = payloads_of(SEED)


def figures(result: Result) -> dict[str, Any]:
    """The account without its events and hours."""
    return {name: result["reconciliation"][name] for name in FIGURES}


def test_an_event_that_vanishes_while_its_window_is_recovered_is_missed(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It left nothing in silver, so only the count of what was there at the start tells that it is gone."""
    arrive(scout_db, [sale(1), sale(2)], start=WINDOW.middle)
    with connect(scout_db) as connection:
        event = generator.insert(connection, {"n": 1}, event_type="heartbeat.v1", ingested_at=WINDOW.middle)
    note = Recovery._note

    def note_then_lose(*arguments: Any) -> None:
        note(*arguments)
        with connect(scout_db) as connection:
            connection.execute("DELETE FROM scout.bronze_events WHERE event_id = %s", [event])

    monkeypatch.setattr(Recovery, "_note", note_then_lose)
    result = call("scout_window_recovery", scout_db, **WINDOW.options)
    assert result.get("failed"), result
    assert "1 event disappeared from bronze during the run" in result["msg"]
    assert figures(result) == {
        "expected": 3, "loaded": 2, "quarantined": 0, "not_transactional": 0, "unexplained": 1, "vanished": 1, "balanced": False,
    }  # fmt: skip
    kept = one(scout_db, "SELECT effects -> 'reconciliation' FROM scout_ops.runs WHERE action = 'window_recovery'")
    assert {name: kept[name] for name in FIGURES} == figures(result)


def test_a_sale_that_a_cleanup_has_set_aside_counts_as_quarantined(scout_db: str) -> None:
    """Its event stays in bronze, marked as loaded, with nothing in silver: that is meant, and has to balance."""
    arrive(scout_db, [sale(1, total_amount=-5, net_amount=-5)], start=WINDOW.middle)
    ran("scout_drain", scout_db)
    assert ran("scout_cleanup", scout_db, only=["negative_total"], max_share=1.0, source_event="keep")["changed"]
    arrive(scout_db, [sale(2)], start=WINDOW.middle)
    result = ran("scout_window_recovery", scout_db, **WINDOW.options)
    assert result["changed"]
    assert figures(result) == {
        "expected": 2, "loaded": 1, "quarantined": 1, "not_transactional": 0, "unexplained": 0, "vanished": 0, "balanced": True,
    }  # fmt: skip
