# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration of the window: its facts hold, its commands are those a person types, and it fails where a fact does not hold."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest

from tests.e2e.screens import holds, is_plain, screens_of, typed
from tests.integration.windows import Case
from tests.scout import demo, demo_window
from tests.scout.hands import Hands, Ran

SMALL = ("--events", "5000")
FACTS = 13
TYPED = ["acceptance_gate", *["window_recovery"] * 3, "acceptance_gate", "watch_recovery"]

#: The same values once more, and one line less.
REWRITE = """
UPDATE scout.silver_transactions SET total_amount = total_amount
WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions WHERE transaction_id <> ALL (%s))
"""
DROP_A_LINE = """
DELETE FROM scout.silver_line_items
WHERE line_id = (SELECT line_id FROM scout.silver_line_items WHERE transaction_id = ANY (%s) LIMIT 1)
"""


@pytest.fixture(scope="module")
def screens() -> str:
    """What a small demonstration writes where nobody looks at it with colours."""
    return screens_of("demo_window", *SMALL)


def test_every_fact_holds(screens: str) -> None:
    assert holds(screens) == FACTS
    said = " ".join(screens.split())
    assert "exit code 2, code 43 of the old script; failing: backlog_age, blocked_events" in said
    assert re.search(r"[1-9]\d* differences before, 0 now; 0 events wait", said)
    assert "unexplained 0" in said
    assert "0 lost, 0 in both places, 0 altered" in said
    assert "25 of 25 older events elsewhere wait as they did" in said
    assert "25 of 25 older events were loaded by the pipeline's own job" in said
    assert "the gate's verdict is pass, its smoke test's pass" in said
    assert "Every fact holds" in said


def test_screens_are_for_80_columns_without_colour(screens: str) -> None:
    assert is_plain(screens)


def test_commands_shown_are_those_a_person_types(screens: str) -> None:
    assert typed(screens) == TYPED
    assert len(re.findall(r"^\[local\] [█░]{10} ", screens, re.MULTILINE)) == 6


def test_a_fact_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def tamper(screen: demo.Screen, hands: Hands, case: Case) -> tuple[Ran, Ran, Ran]:
        done = recover(screen, hands, case)
        with psycopg.connect(case.dsn) as connection:
            connection.execute(REWRITE, [list(case.names)])
            connection.execute(DROP_A_LINE, [list(case.names)])
        return done

    recover = demo_window._recover
    monkeypatch.setattr(demo_window, "_recover", tamper)
    monkeypatch.setattr(demo_window, "STATE", tmp_path)
    monkeypatch.setattr(demo_window, "WATCH", ("duration=2s", "interval_seconds=1"))
    assert demo_window.main(["--throwaway", "--events", "4000"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert re.search(r"NO silver of the window, .* 1 now; 0 events wait", said)
    assert "NO not one row outside the window was touched" in said
    assert "do not hold" in said
