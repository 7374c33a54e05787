# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bronze with partitions of partitions: what is moved returns to where it was, or it is said what has to be made first."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice
from tests.integration.modules import Result, call, connect, one, rows
from tests.scout import levels, partman

OLDEST = """
SELECT event_id::text FROM scout.bronze_events
WHERE ingested_at < (SELECT min(ingested_at) FROM scout.bronze_events) + interval '1 day' ORDER BY 1
"""
WHERE = "SELECT tableoid::regclass::text, count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[]) GROUP BY 1 ORDER BY 1"
BETWEEN = "SELECT event_id::text FROM scout.bronze_events WHERE ingested_at >= %s AND ingested_at < %s"
LOSE = """
DELETE FROM scout.silver_transactions WHERE source_event_id = (
    SELECT event_id FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY ingested_at DESC LIMIT 1)
"""
DEFAULT = "scout.bronze_events_default"


def done(name: str, dsn: str, **options: Any) -> Result:
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


@pytest.fixture(params=levels.KINDS)
def two_levels(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Such a database, and by what its days are partitioned."""
    kind = request.param
    dsn: str = request.getfixturevalue("partman_db" if kind == levels.PARTMAN else "partitioned_db")
    levels.make(dsn, kind)
    return dsn, kind


def execute(dsn: str, *statements: str) -> None:
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        for statement in statements:
            session.execute(statement.encode())


def taken(dsn: str) -> tuple[list[str], list[tuple[str, int]], str]:
    """The events of the oldest day, where they were, and the run that quarantined them."""
    ids = [row[0] for row in rows(dsn, OLDEST)]
    before = rows(dsn, WHERE, ids)
    return ids, before, done("scout_quarantine", dsn, event_ids=ids)["run_id"]


def as_printed(dsn: str, refused: Result) -> list[str]:
    """Does what a refusal has printed to be pasted."""
    made = [part.text for part in advice.parts(refused["error"]["next_step"]) if part.is_statement]
    execute(dsn, *made)
    return made


def test_all_of_it_finds_its_place_again(two_levels: tuple[str, str], subtests: pytest.Subtests) -> None:
    dsn, _ = two_levels
    with subtests.test("assess"):
        found = done("scout_health_info", dsn)
        assert (found["verdict"], found["failing"], found["diagnoses"]) == ("healthy", [], [])
    with subtests.test("quarantine of an hour and its undo"):
        hour = one(dsn, "SELECT date_trunc('hour', min(ingested_at)) + interval '5 hours' FROM scout.bronze_events")
        window = {"window_start": hour.isoformat(), "window_end": (hour + dt.timedelta(hours=1)).isoformat()}
        ids = [row[0] for row in rows(dsn, BETWEEN, hour, hour + dt.timedelta(hours=1))]
        before = rows(dsn, WHERE, ids)
        moved = done("scout_quarantine", dsn, event_types=["transaction.v1"], **window)
        assert moved["moved"]["events"] >= 1
        assert done("scout_undo", dsn, run_id=moved["run_id"])["warnings"] == []
        assert rows(dsn, WHERE, ids) == before
    with subtests.test("window"):
        execute(dsn, LOSE)
        assert done("scout_window_recovery", dsn, last="2h")["changed"]
        assert not done("scout_window_recovery", dsn, last="2h")["changed"]


def test_an_undo_and_a_redrive_into_days_that_were_dropped(
    two_levels: tuple[str, str], subtests: pytest.Subtests
) -> None:
    dsn, kind = two_levels
    ids, before, run = taken(dsn)
    levels.night(dsn, kind)
    execute(dsn, f"DROP TABLE {DEFAULT}")
    for module, options in {"scout_undo": {"run_id": run}, "scout_redrive": {"event_ids": ids}}.items():
        with subtests.test("refused", module=module):
            refused = call(module, dsn, check=True, **options)
            assert f"bronze_events has no partition for {len(ids)} events from " in refused["msg"]
    assert as_printed(dsn, call("scout_undo", dsn, run_id=run)) == [
        f"CREATE TABLE {DEFAULT} PARTITION OF scout.bronze_events DEFAULT;"
    ]
    undone = done("scout_undo", dsn, run_id=run)
    assert any(f"go to the default partition {DEFAULT}" in line for line in undone["warnings"])
    assert rows(dsn, WHERE, ids) == [(DEFAULT, len(ids))]
    assert before != [(DEFAULT, len(ids))]
    if kind == levels.PARTMAN:
        partman.maintain(dsn)
        assert rows(dsn, WHERE, ids) == [(DEFAULT, len(ids))]


def test_an_undo_into_parts_of_days_that_were_dropped(two_levels: tuple[str, str]) -> None:
    """What is printed is of the tables that lack something, and of no other; by hash it is the very part that is gone."""
    dsn, kind = two_levels
    ids, before, run = taken(dsn)
    gone = [before[0][0], before[-1][0]]
    execute(dsn, *(f"DROP TABLE {name}" for name in gone))
    days = sorted({name.rpartition("_p2" if kind == levels.PARTMAN else "_")[0] for name in gone})
    in_default = one(dsn, f"SELECT count(*) FROM {DEFAULT}")
    made = as_printed(dsn, call("scout_undo", dsn, run_id=run))
    assert [each.split(" PARTITION OF ")[1].split(" ")[0] for each in made] == days if kind != "list" else made
    undone = done("scout_undo", dsn, run_id=run)
    assert one(dsn, "SELECT count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])", ids) == len(ids)
    assert one(dsn, f"SELECT count(*) FROM {DEFAULT}") == in_default
    told = [line for line in undone["warnings"] if "go to the default partition" in line]
    assert bool(told) == (kind in ("hours", levels.PARTMAN))
    # Where the kinds of events have partitions, a default one is the usual place of some, and takes those of the one that is gone.
    there = dict(rows(dsn, WHERE, ids))
    assert all(
        there.get(name, 0) == number for name, number in before if name not in gone and not name.endswith("_rest")
    )
