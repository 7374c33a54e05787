# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bronze with a partition for each day, which somebody makes ahead and drops after a while, also while a move works."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.modules import call, connect, fingerprint, one, rows
from tests.integration.outcomes import ran
from tests.scout import partman

NIGHT = {"retention": "1 day", "retention_keep_table": False, "premake": 6}

#: The oldest events, with the partition that each is in.
OLDEST = """
SELECT event_id::text, tableoid::regclass::text FROM scout.bronze_events
WHERE ingested_at < (SELECT min(ingested_at) FROM scout.bronze_events) + interval '1 day' ORDER BY ingested_at
"""
EVENTS = "SELECT count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])"
IN_DEFAULT = "SELECT count(*) FROM scout.bronze_events_default"


def drop(dsn: str, *partitions: str) -> None:
    """As retention does."""
    with connect(dsn) as session:
        for name in partitions:
            table = sql.Identifier(*name.split("."))
            session.execute(sql.SQL("ALTER TABLE scout.bronze_events DETACH PARTITION {}").format(table))
            session.execute(sql.SQL("DROP TABLE {}").format(table))


def refused_without_a_default(dsn: str, module: str, **options: Any) -> None:
    """Without a default partition it is refused, checked or not, with the statement that makes one, and nothing is changed."""
    with connect(dsn) as session:
        session.execute("ALTER TABLE scout.bronze_events DETACH PARTITION scout.bronze_events_default")
    before = fingerprint(dsn)
    for check in (True, False):
        refused = call(module, dsn, **options, check=check)
        assert refused["failed"]
        assert "bronze_events has no partition for" in refused["msg"]
        # The usual name is that of the one that is detached.
        made = "CREATE TABLE scout.bronze_events_rest PARTITION OF scout.bronze_events DEFAULT;"
        assert made in refused["error"]["next_step"]
    kept = {name: value for name, value in before.items() if not name.startswith("scout_ops.")}
    assert {name: value for name, value in fingerprint(dsn).items() if name in kept} == kept
    with connect(dsn) as session:
        session.execute("ALTER TABLE scout.bronze_events ATTACH PARTITION scout.bronze_events_default DEFAULT")


def test_a_day_that_retention_took_is_no_damage(partman_db: str, subtests: pytest.Subtests) -> None:
    dsn = partman_db
    healthy = ran("scout_health_info", dsn)
    events = "SELECT count(*) FROM scout.bronze_events"
    had = one(dsn, events)
    partman.maintain(dsn, **NIGHT)
    assert one(dsn, events) < had
    with subtests.test("assess"):
        after = ran("scout_health_info", dsn)
        assert (after["verdict"], after["failing"]) == (healthy["verdict"], healthy["failing"])
        assert after["diagnoses"] == healthy["diagnoses"]
    with subtests.test("drain"):
        library.backlog(dsn, count=20, age_seconds=600)
        library.poison_event(dsn)
        drained = ran("scout_drain", dsn)
        assert len(drained["poison"]) == 1
        assert one(dsn, "SELECT count(*) FROM scout.bronze_events_dlq") == 1
    with subtests.test("redrive and undo"):
        letter = one(dsn, "SELECT error_details #>> '{event,event_id}' FROM scout.bronze_events_dlq")
        undone = ran("scout_undo", dsn, run_id=drained["run_id"])
        assert one(dsn, EVENTS, [letter]) == 1
        ran("scout_undo", dsn, run_id=undone["run_id"])
        assert one(dsn, EVENTS, [letter]) == 0
    with subtests.test("window"):
        window = ran("scout_window_recovery", dsn, last="2h", check=True)
        assert not window["changed"]


def test_an_undo_into_a_partition_that_was_dropped_meanwhile(partitioned_db: str, subtests: pytest.Subtests) -> None:
    """With a default partition the events go there, and it is said, for the partition of that day cannot be made again; without one the
    undo is refused before it changes anything."""
    dsn = partitioned_db
    found = rows(dsn, OLDEST)
    ids, partitions = [row[0] for row in found], sorted({row[1] for row in found})
    moved = ran("scout_quarantine", dsn, event_ids=ids)
    assert moved["moved"]["events"] == len(ids)
    drop(dsn, *partitions)
    with subtests.test("no default partition"):
        refused_without_a_default(dsn, "scout_undo", run_id=moved["run_id"])
    with subtests.test("into the default one"):
        planned = ran("scout_undo", dsn, run_id=moved["run_id"], check=True)
        undone = ran("scout_undo", dsn, run_id=moved["run_id"])
        assert one(dsn, EVENTS, ids) == len(ids)
        assert one(dsn, IN_DEFAULT) == len(ids)
        for result in (planned, undone):
            assert any("go to the default partition scout.bronze_events_default" in line for line in result["warnings"])


def test_events_that_retention_takes_while_they_are_moved_are_said(partitioned_db: str) -> None:
    """They are in no queue, and silver still has their sales."""
    dsn = partitioned_db
    found = rows(dsn, "SELECT event_id::text, tableoid::regclass::text FROM scout.bronze_events ORDER BY ingested_at")
    partitions = sorted({row[1] for row in found})[:2]
    ids = [[row[0] for row in found if row[1] == name][:20] for name in partitions]

    def hear(line: str) -> None:
        if line.startswith("looking for events that share"):
            drop(dsn, partitions[1])

    made = ran("scout_quarantine", dsn, event_ids=[*ids[0], *ids[1]], progress=Progress(hear))
    assert made["moved"]["events"] == 20
    [said] = made["warnings"]
    assert said.startswith("20 events that were selected are gone from bronze since, and not moved")


def test_a_partition_of_partitions_that_lacks_one_is_no_matter_of_the_default_one(partitioned_db: str) -> None:
    """PostgreSQL asks the partition of the day, which has none for them, and not the default one beside it."""
    dsn = partitioned_db
    found = rows(dsn, OLDEST)
    day = found[0][1]
    ids = [row[0] for row in found if row[1] == day]
    moved = ran("scout_quarantine", dsn, event_ids=ids)
    with connect(dsn) as session:
        bound = session.execute(
            "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = %s::regclass", (day,)
        ).fetchone()
        assert bound
        drop(dsn, day)
        session.execute(
            f"CREATE TABLE scout.hours PARTITION OF scout.bronze_events {bound[0]} PARTITION BY RANGE (ingested_at)".encode()
        )
    before = one(dsn, IN_DEFAULT)
    refused = call("scout_undo", dsn, run_id=moved["run_id"])
    assert "bronze_events has no partition for" in refused["msg"]
    assert "CREATE TABLE scout.hours_default PARTITION OF scout.hours DEFAULT;" in refused["error"]["next_step"]
    with connect(dsn) as session:
        session.execute("CREATE TABLE scout.rest_of_day PARTITION OF scout.hours DEFAULT")
    undone = ran("scout_undo", dsn, run_id=moved["run_id"])
    assert any("go to the default partition scout.rest_of_day" in line for line in undone["warnings"])
    assert one(dsn, EVENTS, ids) == len(ids)
    assert one(dsn, IN_DEFAULT) == before


def test_a_redrive_into_a_partition_that_was_dropped_meanwhile(partitioned_db: str, subtests: pytest.Subtests) -> None:
    """As an undo: refused with what makes the partition, or into the default one, and no letter is counted as tried in vain."""
    dsn = partitioned_db
    found = rows(dsn, OLDEST)
    ids, partitions = [row[0] for row in found], sorted({row[1] for row in found})
    ran("scout_quarantine", dsn, event_ids=ids)
    drop(dsn, *partitions)
    with subtests.test("no default partition"):
        refused_without_a_default(dsn, "scout_redrive", event_ids=ids)
    with subtests.test("into the default one"):
        redriven = ran("scout_redrive", dsn, event_ids=ids)
        assert one(dsn, EVENTS, ids) == len(ids)
        assert one(dsn, IN_DEFAULT) == len(ids)
        assert any("go to the default partition scout.bronze_events_default" in line for line in redriven["warnings"])


def test_a_window_that_reaches_into_a_day_that_retention_took(partman_db: str) -> None:
    """What silver has of that day stays as it was, for nothing says otherwise any more; what is lost of the days that are left is
    loaded again."""
    dsn = partman_db
    partman.maintain(dsn, **NIGHT)
    with connect(dsn) as session:
        session.execute(
            "DELETE FROM scout.silver_transactions WHERE source_event_id IN ("
            "SELECT event_id FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY ingested_at DESC LIMIT 5)"
        )
    # Of some sales a correction is left, which says what they are.
    older = (
        "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id NOT IN ("
        "SELECT event_data ->> 'transaction_id' FROM scout.bronze_events WHERE event_data ? 'transaction_id')"
    )
    lost = (
        "SELECT count(*) FROM scout.etl_processed AS p JOIN scout.bronze_events AS b USING (event_id) WHERE NOT EXISTS ("
        "SELECT FROM scout.silver_transactions AS t WHERE t.transaction_id = b.event_data ->> 'transaction_id')"
    )
    kept, gone = one(dsn, older), one(dsn, lost)
    assert kept > 0
    assert gone >= 5
    ran("scout_window_recovery", dsn, last="10d")
    assert (one(dsn, older), one(dsn, lost)) == (kept, 0)
