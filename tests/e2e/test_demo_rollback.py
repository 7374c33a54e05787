# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration of the rollback: its facts hold, its commands are those a person types, and it fails where a fact does not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e.screens import misses, screens_of, shows
from tests.scout import demo_rollback
from tests.scout.demo_rollback import Case
from tests.scout.screen import Screen

SMALL = ("--events", "4000")
FACTS = 19
TYPED = ["capture_release", "acceptance_gate", *["rollback"] * 2, "acceptance_gate", *["undo"] * 2]

LOSE = "DELETE FROM scout.bronze_events WHERE event_id = (SELECT event_id FROM existed_events LIMIT 1)"
MISPRICE = "UPDATE scout.dim_product SET list_price = list_price + 1 WHERE product_id = (SELECT min(product_id) FROM scout.dim_product)"
DEMOTE = """
UPDATE scout.silver_transactions SET loyalty_tier = 'none'
WHERE transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions WHERE loyalty_tier IS NOT NULL)
"""


@pytest.fixture(scope="module")
def screens(door: Door) -> str:
    """What a small demonstration writes where nobody looks at it with colours."""
    return screens_of("demo_rollback", *SMALL, door=door)


def test_what_it_shows(screens: str, subtests: pytest.Subtests) -> None:
    shows(screens, FACTS, TYPED, subtests)
    said = " ".join(screens.split())
    assert "failing: job_runs, jobs_active, smoke_test" in said
    assert re.search(r"with every grant: [1-9]\d* differed with the release, 0 now", said)
    assert "29 of 29 list prices are back" in said
    assert "the edge function was deployed once, from the tree of" in said
    assert len(re.findall(r"[1-9]\d* of them meanwhile: 0 lost, 0 duplicated, 0 unexpected, 0 altered", said)) == 2
    assert "the gate's verdict is pass, its smoke test's pass" in said
    assert "changed by the second run: 0" in said
    assert "those of the release: 0 lines differ" in said
    assert re.search(r"loyalty_tier has its data back: (\d,\d+) of \1 rows", said)
    assert "changed by the second undo: 0" in said
    assert "Every fact holds" in said


def test_the_way_is_rehearsed_and_its_locks_are_measured(screens: str) -> None:
    said = " ".join(screens.split())
    assert re.search(r"back to v5\.2\.1 of .*; rehearsed in ", said)
    for phase in ("rollback", "undo"):
        [paused] = re.findall(rf"{phase}: ingestion paused ([\d.]+) s", said)
        [locked] = re.findall(rf"{phase}: tables locked ([\d.]+) s", said)
        assert 0 < float(locked) < float(paused)


def test_a_fact_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: Door, pg_server: Server, tmp_path: Path
) -> None:
    def leave_out(*_: object) -> None:
        """The gate is asked by the rollback, too."""

    def tamper(screen: Screen, case: Case) -> None:
        case.connection.execute(LOSE)
        case.connection.execute(MISPRICE)
        case.connection.execute("REVOKE SELECT ON scout.dim_store FROM dashboard_reader")
        case.team.remote.git("update-ref", "refs/heads/main", case.tip)
        check_release(screen, case)
        case.connection.execute("GRANT SELECT ON scout.dim_store TO dashboard_reader")

    def tamper_again(screen: Screen, case: Case, *more: Any) -> None:
        case.connection.execute(DEMOTE)
        check_undone(screen, case, *more)

    check_release, check_undone = demo_rollback._check_release, demo_rollback._check_undone
    monkeypatch.setattr(demo_rollback, "_check_release", tamper)
    monkeypatch.setattr(demo_rollback, "_check_undone", tamper_again)
    monkeypatch.setattr(demo_rollback, "_ask_again", leave_out)
    story = replace(demo_rollback.STORY, state=tmp_path)
    said = misses(story, ["--events", "3000"], monkeypatch, capsys, door=door, server=pg_server)
    assert re.search(r"NO pg_dump of the whole database .* differed with the release, [1-9]\d* now", said)
    assert "NO 28 of 29 list prices are back" in said
    assert "NO the branch's tree is that of" in said
    assert re.search(r"NO \S+ events sent, .* 1 lost, 0 duplicated, 0 unexpected, 0 altered", said)
    assert "NO of what was there before the release not one row was touched" in said
    assert "NO loyalty_tier has its data back: " in said
    assert "NO the edge function" not in said
