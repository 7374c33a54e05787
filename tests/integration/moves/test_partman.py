# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that come back to a bronze from which the real pg_partman has taken their partition: where they go, and that they stay."""

from __future__ import annotations

import re

import psycopg
import pytest

from tests.integration.modules import call, connect, one, rows
from tests.integration.outcomes import ran
from tests.scout import partman

OLDEST = """
SELECT event_id::text FROM scout.bronze_events
WHERE ingested_at < date_trunc('day', (SELECT min(ingested_at) FROM scout.bronze_events), 'UTC') + interval '1 day'
"""
WHERE = "SELECT tableoid::regclass::text, count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[]) GROUP BY 1"
DEFAULT = "scout.bronze_events_default"
SALE = "SELECT to_jsonb(t) FROM scout.silver_transactions AS t WHERE transaction_id = %s"
MARKS = "SELECT event_id::text, processed_at FROM scout.etl_processed WHERE event_id = ANY(%s::uuid[]) ORDER BY 1"
#: A correction of the newest sale, which somebody sent with a wrong clock.
CORRECTED = """
INSERT INTO scout.bronze_events AS b (event_type, event_data, ingested_at)
SELECT newest.event_type, newest.event_data || '{"net_amount": 1}', (SELECT min(ingested_at) FROM scout.bronze_events)
FROM (SELECT * FROM scout.bronze_events WHERE event_type = 'transaction.v1' AND event_data ? 'transaction_id'
      ORDER BY ingested_at DESC LIMIT 1) AS newest
RETURNING b.event_data ->> 'transaction_id', (
    SELECT event_id::text FROM scout.bronze_events AS o
    WHERE o.event_data ->> 'transaction_id' = b.event_data ->> 'transaction_id' ORDER BY ingested_at DESC LIMIT 1), b.event_id::text
"""


def as_loader(dsn: str, statement: str) -> None:
    with psycopg.connect(dsn, user="loader", autocommit=True) as session:
        session.execute(statement.encode())


def taken_away(dsn: str, *, keep: bool) -> tuple[list[str], str]:
    """The events of the oldest day, quarantined, before retention takes the partition that they were in; and that run."""
    ids = [row[0] for row in rows(dsn, OLDEST)]
    moved = ran("scout_quarantine", dsn, event_ids=ids)
    assert moved["moved"]["events"] == len(ids) > 0
    partman.maintain(dsn, retention="1 day", retention_keep_table=keep)
    return ids, moved["run_id"]


@pytest.mark.parametrize("keep", [False, True], ids=["dropped", "detached"])
@pytest.mark.parametrize("module", ["scout_undo", "scout_redrive"])
def test_events_in_the_default_partition_stay_until_they_are_moved_out_of_it(
    partman_db: str, module: str, *, keep: bool
) -> None:
    """Its next maintenance works, and leaves them; what would take them again is named, and does so."""
    ids, run = taken_away(partman_db, keep=keep)
    options = {"run_id": run} if module == "scout_undo" else {"event_ids": ids}
    for check in (True, False):
        result = ran(module, partman_db, **options, check=check)
        [told] = [line for line in result["warnings"] if f"go to the default partition {DEFAULT}" in line]
        assert "partman.partition_data_proc would move them to where retention drops them, or has detached them" in told
    partman.maintain(partman_db)
    assert rows(partman_db, WHERE, ids) == [(DEFAULT, len(ids))]
    assert rows(partman_db, "SELECT * FROM partman.check_default()") == [(DEFAULT, len(ids))]
    as_loader(partman_db, "CALL partman.partition_data_proc('scout.bronze_events')")
    partman.maintain(partman_db)
    assert rows(partman_db, WHERE, ids) == []


def test_what_is_advised_without_a_default_partition_keeps_them(partman_db: str) -> None:
    """A partition of their days would be what the next maintenance drops."""
    as_loader(partman_db, f"DROP TABLE {DEFAULT}")
    ids, run = taken_away(partman_db, keep=False)
    refused = call("scout_undo", partman_db, run_id=run)
    assert refused["failed"]
    advised = re.search(r"(CREATE TABLE .*);", refused["error"]["next_step"])
    assert advised
    as_loader(partman_db, advised[1])
    ran("scout_undo", partman_db, run_id=run)
    for _ in range(2):
        partman.maintain(partman_db, premake=6)
        assert rows(partman_db, WHERE, ids) == [(DEFAULT, len(ids))]


def test_partitions_of_another_owner_are_moved_into_and_out_of(partman_db: str) -> None:
    """Where its job works as another role, as which it makes them."""
    with connect(partman_db) as superuser:
        superuser.execute("UPDATE partman.part_config SET premake = 6")
        superuser.execute("CALL partman.run_maintenance_proc()")
    newest = max(name for name, owner in partman.partitions(partman_db).items() if owner != "loader")
    with connect(partman_db) as session:
        session.execute(
            "INSERT INTO scout.bronze_events (event_type, event_data, ingested_at) "
            "SELECT event_type, event_data || '{\"transaction_id\": \"later\"}', to_timestamp(%s, 'YYYYMMDD') "
            "FROM scout.bronze_events WHERE event_type = 'transaction.v1' LIMIT 1",
            [newest[-8:]],
        )
    [event] = one(
        partman_db,
        "SELECT array_agg(event_id::text) FROM scout.bronze_events WHERE ingested_at > now() + interval '5 days'",
    )
    run = ran("scout_quarantine", partman_db, event_ids=[event])["run_id"]
    assert rows(partman_db, WHERE, [event]) == []
    ran("scout_undo", partman_db, run_id=run)
    assert rows(partman_db, WHERE, [event]) == [(newest, 1)]


@pytest.mark.parametrize("drained", [False, True], ids=["waiting", "loaded again"])
def test_an_undo_whose_sale_had_an_event_that_retention_took(partman_db: str, *, drained: bool) -> None:
    """Silver is as it was before, with what that event brought, and nothing waits to make it otherwise."""
    sale, event, other = corrected(partman_db)
    before = rows(partman_db, SALE, sale), rows(partman_db, MARKS, [event, other])
    run = ran("scout_quarantine", partman_db, event_ids=[event])["run_id"]
    if drained:
        ran("scout_drain", partman_db)
        assert rows(partman_db, SALE, sale) not in ([], before[0])
    partman.maintain(partman_db, retention="1 day", retention_keep_table=False)
    assert rows(partman_db, WHERE, [other]) == []
    for check in (True, False):
        undone = ran("scout_undo", partman_db, run_id=run, check=check)
        assert any("bronze no longer has 1 event that fed the same sales" in line for line in undone["warnings"])
    assert not ran("scout_drain", partman_db)["changed"]
    assert (rows(partman_db, SALE, sale), rows(partman_db, MARKS, [event, other])) == before


def test_an_event_that_somebody_moved_is_none_that_retention_took(partman_db: str) -> None:
    sale, event, other = corrected(partman_db)
    run = ran("scout_quarantine", partman_db, event_ids=[event])["run_id"]
    ran("scout_drain", partman_db)
    ran("scout_quarantine", partman_db, event_ids=[other])
    refused = call("scout_undo", partman_db, run_id=run)
    assert refused["failed"]
    assert (
        f"events {other} fed the same transaction and is not in bronze: undo or redrive what moved it first"
        in refused["msg"]
    )
    assert rows(partman_db, SALE, sale) == []


def corrected(dsn: str) -> tuple[str, str, str]:
    """A sale that two events fed, the one of today and one of the oldest day: its name and theirs."""
    with psycopg.connect(dsn, user="loader", autocommit=True) as session:
        found = session.execute(CORRECTED).fetchone()
        assert found
        session.execute("SELECT scout.load_silver_from_bronze(100)")
    return found
