# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of a window, in words and figures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine.selection import Selection
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window.reconciliation import (
    Reconciliation,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.times import Window

WHY = "silver differs from it: total_amount"
WINDOW = Window("ingested_at", datetime(2026, 11, 25, 1, tzinfo=UTC), datetime(2026, 11, 25, 2, tzinfo=UTC))


def account(**figures: Any) -> Reconciliation:
    """One in which everything is accounted for, but for these figures."""
    made: dict[str, Any] = {
        "expected": 3641,
        "arrived": 0,
        "loaded": 3603,
        "quarantined": 2,
        "not_transactional": 36,
        "unexplained": 0,
        "extra": 0,
        "vanished": 0,
        "unexplained_events": (),
        "poison": (),
        "hours": (),
    }
    return Reconciliation(**made | figures)


@pytest.mark.parametrize(
    ("figures", "balanced"),
    [
        ({}, True),
        ({"arrived": 5}, True),
        ({"loaded": 3602}, False),
        ({"loaded": 3602, "unexplained": 1}, False),
        ({"extra": 1}, False),
        ({"expected": 3642, "vanished": 1, "unexplained": 1}, False),
    ],
)
def test_it_balances_only_where_nothing_is_left_over(figures: dict[str, Any], balanced: bool) -> None:
    assert account(**figures).balanced is balanced


def test_what_is_not_accounted_for_is_named_with_the_way_on() -> None:
    event = {"event_id": "4711", "transaction_id": "T-1", "class": "wrong", "differing": ["total_amount"], "why": WHY}
    made = account(loaded=3602, unexplained=1, unexplained_events=(event,))
    with pytest.raises(NotConverged) as raised:
        made.refuse("scout on db1:5432", Selection(WINDOW, source_files=("a.zip", "b c.zip")), {"changed": True})
    error = raised.value
    assert error.attempted.endswith("3,602 loaded + 2 quarantined + 36 not transactional + 1 unexplained")
    assert error.said == f"event 4711: {WHY}"
    assert error.next_step is not None
    assert (
        "window_recovery.yml -e scout_window_clock=ingested_at -e scout_window_start=2026-11-25T01:00:00+00:00"
        in error.next_step
    )
    assert error.result == {"changed": True}
    assert error.next_step.endswith(" -e scout_source_files='a.zip,b c.zip'")
    account().refuse("scout on db1:5432", Selection(WINDOW), {})
