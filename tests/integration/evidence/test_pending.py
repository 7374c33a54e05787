# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Evidence of what is pending: by an index on the clock where an assessment knows since when events wait, else of all of bronze."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import poison_event
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected
from tests.integration.evidence.snapshots import keep, section
from tests.integration.health.test_plans import enlarge
from tests.integration.modules import Result, call, connect, one

INDEX = "CREATE INDEX ON scout.bronze_events USING brin (ingested_at) WITH (pages_per_range = 1); ANALYZE"
#: How many rows of bronze have been read, by whatever way.
READ = "SELECT seq_tup_read + idx_tup_fetch FROM pg_stat_user_tables WHERE relid = 'scout.bronze_events'::regclass"
#: As a session ends it says what it has read, which may be after who used it has left.
ALONE = """
SELECT 1 WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
                           AND backend_type = 'client backend')
"""


def read(dsn: str) -> int:
    """How many rows of bronze have been read by now."""
    with connect(dsn) as connection:
        wait_until(connection, ALONE, seconds=60)
    return int(one(dsn, READ))


def ids(result: Result) -> list[str]:
    return [row["event_id"] for row in section(result, "pending_events")]


@pytest.fixture
def large(scout_db: str) -> str:
    """PostgreSQL takes it for a large pipeline, with an index on the clock of bronze."""
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.bronze_events SET (autovacuum_enabled = off)")
        connection.execute(INDEX.encode())
    enlarge(scout_db)
    return scout_db


def test_it_is_found_by_the_clock_where_an_assessment_came_before(large: str, tmp_path: Path) -> None:
    [event] = poison_event(large, kind="bad_ts", age_seconds=1800)
    health = call("scout_health_info", large, budget_seconds=60.0)
    # It was on its way when the assessment looked.
    [late] = poison_event(large, kind="bad_ts", age_seconds=1800 + 300)
    events, before = one(large, "SELECT count(*) FROM scout.bronze_events"), read(large)
    found = ids(keep(large, tmp_path, health=health))
    assert read(large) - before < events / 2
    assert found[:2] == [str(late), str(event)]
    before = read(large)
    assert ids(keep(large, tmp_path)) == found
    assert read(large) - before >= events


@pytest.mark.parametrize("pending", [None, {"events": None, "since": None}, "x"])
def test_without_one_all_of_bronze_is_looked_through(large: str, tmp_path: Path, pending: object) -> None:
    [event] = poison_event(large, kind="bad_ts", age_seconds=86400)
    assert ids(keep(large, tmp_path, health={"pending": pending}))[0] == str(event)


def test_where_there_is_no_time_for_all_of_it_what_came_lately_is_kept(
    large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "SECONDS_PER_COST", 1.0)
    poison_event(large, kind="bad_ts", age_seconds=86400)
    [lately] = poison_event(large, kind="bad_ts", age_seconds=7200)
    result = keep(large, tmp_path)
    assert ids(result)[0] == str(lately)
    [said] = [text for text in result["warnings"] if "pending_events" in text]
    assert "those that came lately" in said
    health = call("scout_health_info", large, budget_seconds=60.0)
    assert keep(large, tmp_path, health=health)["warnings"] == []


def test_where_no_time_is_given_there_is_enough_for_all_of_a_large_bronze(
    large: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expected, "SECONDS_PER_COST", 1.0)
    [event] = poison_event(large, kind="bad_ts", age_seconds=86400)
    result = keep(large, tmp_path, budget_seconds=None)
    assert ids(result)[0] == str(event)
    assert result["warnings"] == []


def test_an_event_of_no_time_comes_first(large: str, tmp_path: Path) -> None:
    [event] = poison_event(large, kind="bad_ts")
    with connect(large) as connection:
        connection.execute("UPDATE scout.bronze_events SET ingested_at = '-infinity' WHERE event_id = %s", [event])
    health = call("scout_health_info", large, budget_seconds=60.0)
    assert health["pending"]["since"] == "-infinity"
    assert ids(keep(large, tmp_path, health=health))[0] == str(event)
