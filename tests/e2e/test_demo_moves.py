# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The demonstration of moves: its facts hold, its commands are those a person types, and it fails where a fact does not hold."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.shop import Shop
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e.screens import misses, screens_of, shows
from tests.scout import demo_moves

SMALL = ("--events", "4000")
FACTS = 7
TYPED = ["quarantine"] * 3 + ["quality_cleanup"] * 2 + ["redrive"] * 2 + ["undo"] * 6

LOSE = """
WITH lost AS (
    DELETE FROM scout.bronze_events WHERE event_id = (SELECT min(source_event_id::text)::uuid FROM scout.silver_transactions)
    RETURNING event_id
)
DELETE FROM scout.etl_processed WHERE event_id IN (SELECT event_id FROM lost)
"""


def test_what_it_shows(door: Door, subtests: pytest.Subtests) -> None:
    screens = screens_of("demo_moves", *SMALL, door=door)
    shows(screens, FACTS, TYPED, subtests)
    said = " ".join(screens.split())
    assert "0 lost, 0 duplicated, 0 unexpected, 0 altered" in said
    assert "quarantine 0, quality_cleanup 0, redrive 0, undo 0, undo 0, undo 0" in said
    assert "Every fact holds" in said


def test_a_fact_that_does_not_hold_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: Door, pg_server: Server, tmp_path: Path
) -> None:
    def lose(_: object, __: object, shop: Shop, ___: object, slow: psycopg.Connection[Any], late: Any) -> None:
        slow.commit()
        shop.written.update(late)
        with psycopg.connect(shop.dsn) as connection:
            connection.execute(LOSE)

    monkeypatch.setattr(demo_moves, "_move", lose)
    story = replace(demo_moves.STORY, state=tmp_path)
    said = misses(story, ["--events", "400"], monkeypatch, capsys, door=door, server=pg_server)
    assert re.search(r"NO \S+ events written, .* 1 lost, 0 duplicated, 0 unexpected, 0 altered", said)
    assert "NO what was there before the first playbook is there" in said
