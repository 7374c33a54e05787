# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration of the window: its facts hold, its commands are those a person types, and it fails where a fact does not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e.screens import misses, screens_of, shows
from tests.integration.windows import Case
from tests.scout import demo_window
from tests.scout.player import Hands, Ran
from tests.scout.screen import Screen

SMALL = ("--events", "5000")
FACTS = 11
TYPED = ["acceptance_gate", *["window_recovery"] * 3, "acceptance_gate"]

#: The same values once more, and one line less.
REWRITE = """
UPDATE scout.silver_transactions SET total_amount = total_amount
WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions WHERE transaction_id <> ALL (%s))
"""
DROP_A_LINE = """
DELETE FROM scout.silver_line_items
WHERE line_id = (SELECT line_id FROM scout.silver_line_items WHERE transaction_id = ANY (%s) LIMIT 1)
"""


def test_what_it_shows(door: Door, subtests: pytest.Subtests) -> None:
    screens = screens_of("demo_window", *SMALL, door=door)
    shows(screens, FACTS, TYPED, subtests)
    said = " ".join(screens.split())
    assert "exit code 2, code 43 of the old script; failing: backlog_age, blocked_events" in said
    assert re.search(r"[1-9]\d* differences before, 0 now; 0 events wait", said)
    assert "unexplained 0" in said
    assert "0 lost, 0 in both places, 0 altered" in said
    assert "25 of 25 older events elsewhere wait as they did" in said
    assert "25 of 25 older events were loaded by the pipeline's own job" in said
    assert "the gate's verdict is pass, its smoke test's pass" in said
    assert "Every fact holds" in said


def test_a_fact_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: Door, pg_server: Server, tmp_path: Path
) -> None:
    def tamper(screen: Screen, hands: Hands, case: Case) -> tuple[Ran, Ran, Ran]:
        done = recover(screen, hands, case)
        with psycopg.connect(case.dsn) as connection:
            connection.execute(REWRITE, [list(case.names)])
            connection.execute(DROP_A_LINE, [list(case.names)])
        return done

    recover = demo_window._recover
    monkeypatch.setattr(demo_window, "_recover", tamper)
    monkeypatch.setattr(demo_window, "_refuse", lambda *_: None)
    monkeypatch.setattr(demo_window, "_go_on", lambda *_: None)
    story = replace(demo_window.STORY, state=tmp_path)
    said = misses(story, ["--events", "4000"], monkeypatch, capsys, door=door, server=pg_server)
    assert re.search(r"NO silver of the window, .* 1 now; 0 events wait", said)
    assert "NO not one row outside the window was touched" in said
