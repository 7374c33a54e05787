# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks where pg_partman partitions each day again, and where a day is half detached."""

from __future__ import annotations

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.integration.modules import call, connect, rows
from tests.integration.outcomes import ran
from tests.scout import partman

COLUMN = "ALTER TABLE scout.bronze_events ADD COLUMN channel text"
INDEX = "CREATE INDEX bronze_source ON scout.bronze_events (source_system)"
DAYS = """
SELECT i.inhrelid::regclass::text, split_part(pg_get_expr(c.relpartbound, c.oid), '''', 2)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'scout.bronze_events'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' ORDER BY 1
"""
#: It creates days of its own, and half days of those of the past when they are asked for.
SUB_PARENT = """
SELECT partman.create_sub_parent('scout.bronze_events', 'ingested_at', '12 hours', p_default_table := false,
                                 p_declarative_check := 'yes', p_date_trunc_interval := 'day')
"""
PAST = "SELECT partman.create_partition_time('scout.bronze_events', ARRAY(SELECT DISTINCT date_trunc('day', ingested_at, 'UTC') FROM kept))"
HALVES = "SELECT partman.create_partition_time(%s, ARRAY[%s::timestamptz, %s::timestamptz + interval '12 hours'])"
#: Every table that is or was a partition, with the one above it and its rows.
TABLES = """
SELECT c.oid::regclass::text, (SELECT i.inhparent::regclass::text FROM pg_inherits AS i WHERE i.inhrelid = c.oid),
       (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || c.oid::regclass, true, true, '')))[1]::text
FROM pg_class AS c WHERE c.relname::text ~ '^bronze_events_(p\\d|default)'::text AND c.relkind IN ('r', 'p') ORDER BY 1
"""
#: The indexes of every table of the tree, by what they are on, and whether they are valid.
INDEXES = """
SELECT tree.relid::regclass::text,
       array_agg(regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING', '') || x.indisvalid ORDER BY 1) AS on
FROM pg_partition_tree('scout.bronze_events') AS tree JOIN pg_index AS x ON x.indrelid = tree.relid GROUP BY 1 ORDER BY 1
"""


def as_loader(dsn: str, *statements: str) -> None:
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        for statement in statements:
            session.execute(statement.encode())


def partition_days(dsn: str) -> None:
    """Has each day partitioned into halves."""
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        session.execute("CREATE TEMP TABLE kept AS TABLE scout.bronze_events")
        session.execute(SUB_PARENT)
        session.execute(PAST)
        for name, first in session.execute(DAYS).fetchall():
            session.execute(HALVES, [name, first, first])
        session.execute("DELETE FROM scout.bronze_events")
        session.execute("INSERT INTO scout.bronze_events SELECT * FROM kept")


@pytest.mark.parametrize("release", [COLUMN, INDEX], ids=["a column", "an index"])
def test_a_rollback_after_a_night_keeps_every_part_of_a_day(partman_db: str, release: str) -> None:
    """The oldest days went, a new one came, each with its halves; a rollback and its undo leave both as they are."""
    partition_days(partman_db)
    operator = builder.operator(partman_db, rollback=True)
    indexes = rows(partman_db, INDEXES)[0][1]
    ran("scout_capture", operator, release="v1")
    as_loader(partman_db, release)
    partman.maintain(partman_db, retention="1 day", retention_keep_table=False, premake=8)
    tables, made = rows(partman_db, TABLES), rows(partman_db, INDEXES)[0][1]
    planned = ran("scout_rollback", operator, release="v1", check=True, rehearse=False)
    assert (planned["loses"], planned["obstacles"]) == ([], [])
    back = ran("scout_rollback", operator, release="v1", rehearse=False)
    assert rows(partman_db, TABLES) == tables
    assert [name for name, found in rows(partman_db, INDEXES) if {*found} != {*indexes}] == []
    assert not ran("scout_rollback", operator, release="v1", rehearse=False)["changed"]
    ran("scout_undo", operator, run_id=back["undo"])
    assert rows(partman_db, TABLES) == tables
    assert [name for name, found in rows(partman_db, INDEXES) if {*found} != {*made}] == []


def detach_by_half(dsn: str, day: str) -> None:
    """As an interrupted DETACH CONCURRENTLY leaves it."""
    with connect(dsn) as reader, connect(dsn) as job:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM scout.bronze_events")
        job.execute("SET statement_timeout = '300ms'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            job.execute(f"ALTER TABLE scout.bronze_events DETACH PARTITION {day} CONCURRENTLY".encode())


def test_a_day_that_is_half_detached(partitioned_db: str, subtests: pytest.Subtests) -> None:
    """Neither an undo nor a rollback can be before that is done, and both print how."""
    dsn = partitioned_db
    as_loader(dsn, "DROP TABLE scout.bronze_events_default")
    ran("scout_capture", dsn, release="v1")
    [day, ids] = rows(
        dsn,
        "SELECT tableoid::regclass::text, array_agg(event_id::text) FROM scout.bronze_events GROUP BY 1 ORDER BY 1 LIMIT 1",
    )[0]
    moved = ran("scout_quarantine", dsn, event_ids=ids)
    as_loader(dsn, COLUMN)
    detach_by_half(dsn, day)
    wanted = f"ALTER TABLE scout.bronze_events DETACH PARTITION {day} FINALIZE"
    with subtests.test("undo"):
        assert f"{wanted};" in call("scout_undo", dsn, run_id=moved["run_id"])["error"]["next_step"]
    with subtests.test("rollback"):
        [obstacle] = ran("scout_rollback", dsn, release="v1", check=True, rehearse=False)["obstacles"]
        assert obstacle["next_step"] == wanted
        assert call("scout_rollback", dsn, release="v1", rehearse=False)["failed"]
    as_loader(dsn, wanted)
    ran("scout_rollback", dsn, release="v1", rehearse=False)
    # Older days are there, so that this one was no work of retention: the rollback has attached it again.
    ran("scout_undo", dsn, run_id=moved["run_id"])
    assert rows(dsn, f"SELECT count(*) FROM {day}") == [(len(ids),)]
