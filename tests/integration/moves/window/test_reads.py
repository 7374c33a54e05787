# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How often a look at a window goes through a whole table: bronze twice where nothing is indexed, and no table where the indexes of
docs/sizing.md are."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import comparison
from tests.integration.modules import connect, rows
from tests.integration.oracle import START
from tests.integration.outcomes import ran
from tests.integration.windows import damaged

#: A whole day: shops are closed at night, whatever the hour is now.
WINDOW = Window(START - timedelta(hours=25), START - timedelta(hours=1))
GROWING = ("bronze_events", "etl_processed", "silver_transactions", "silver_line_items")
READ = "SELECT relname::text, seq_scan FROM pg_stat_user_tables WHERE schemaname = 'scout' AND relname = ANY(%s)"


@pytest.fixture
def large(scout_db: str) -> str:
    """A pipeline that PostgreSQL takes for a large one, damaged in every way within the window."""
    with connect(scout_db) as connection:
        for table in GROWING:
            connection.execute(f"ALTER TABLE scout.{table} SET (autovacuum_enabled = off)".encode())
    damaged(scout_db, WINDOW)
    return scout_db


def whole(dsn: str, **options: Any) -> dict[str, int]:
    """How often a check of the window went through each table from one end to the other."""
    before = dict(rows(dsn, READ, list(GROWING)))
    assert ran("scout_window_recovery", dsn, check=True, **WINDOW.options, **options)["plan"]["wrong"] > 0
    return {name: scans - before[name] for name, scans in rows(dsn, READ, list(GROWING)) if scans > before[name]}


#: Names of sales that an array has to quote, one that is too long to be held, and one that is so in bytes alone.
NAMES = ('{"a,b\\}', "NULL", "x" * 300, "ž" * 200)
RENAME = """
UPDATE scout.bronze_events AS b SET event_data = b.event_data || jsonb_build_object('transaction_id', %s::text)
WHERE b.event_id = (SELECT event_id FROM scout.bronze_events WHERE ingested_at >= %s AND event_data ? 'transaction_id'
                    ORDER BY ingested_at DESC OFFSET %s LIMIT 1)
"""


@pytest.mark.parametrize("named", [NAMES[:2], NAMES])
def test_the_verdict_is_the_same_where_the_keys_are_too_many_to_be_held(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    damaged(scout_db, WINDOW)
    with connect(scout_db) as connection:
        for number, name in enumerate(named):
            connection.execute(RENAME, [name, WINDOW.start, number])
    held = ran("scout_window_recovery", scout_db, check=True, **WINDOW.options)
    monkeypatch.setattr(comparison, "CARRIED", 0)
    found = ran("scout_window_recovery", scout_db, check=True, **WINDOW.options)
    for result in (held, found):
        del result["plan"]["estimated_seconds"]
    assert (found["plan"], found["reconciliation"]) == (held["plan"], held["reconciliation"])
