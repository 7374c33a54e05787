# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks where days are partitioned again, after a night in which the oldest ones went and a new one came, each with its parts."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import Result, call, connect, rows
from tests.scout import levels

COLUMN = "ALTER TABLE scout.bronze_events ADD COLUMN channel text"
INDEX = "CREATE INDEX bronze_source ON scout.bronze_events (source_system)"
KEY = (
    "ALTER TABLE scout.bronze_events DROP CONSTRAINT bronze_events_event_hash_key, "
    "ADD CONSTRAINT bronze_events_event_hash_key UNIQUE (ingested_at, event_hash, event_id)"
)
#: What is done before a release is captured, and by it.
RELEASES = {
    "adds a column": ("", COLUMN),
    "makes an index": ("", INDEX),
    "drops an index": (INDEX, "DROP INDEX scout.bronze_source"),
    "makes another key": ("", KEY),
}
CASES = [
    *((kind, "adds a column") for kind in levels.KINDS),
    *((kind, release) for kind in ("hash", levels.PARTMAN) for release in [*RELEASES][1:]),
]
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


def done(name: str, dsn: str, **options: Any) -> Result:
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def as_loader(dsn: str, statement: str) -> None:
    if statement:
        with connect(dsn) as session:
            session.execute("SET ROLE loader")
            session.execute(statement.encode())


def two_levels(request: pytest.FixtureRequest, kind: str) -> str:
    dsn: str = request.getfixturevalue("partman_db" if kind == levels.PARTMAN else "partitioned_db")
    levels.make(dsn, kind)
    return dsn


@pytest.mark.parametrize(("kind", "release"), CASES)
def test_a_rollback_after_a_night(request: pytest.FixtureRequest, kind: str, release: str) -> None:
    dsn = two_levels(request, kind)
    before, released = RELEASES[release]
    as_loader(dsn, before)
    operator = builder.operator(dsn, rollback=True)
    indexes = rows(dsn, INDEXES)[0][1]
    done("scout_capture", operator, release="v1")
    as_loader(dsn, released)
    levels.night(dsn, kind, keep=release == "makes an index")
    tables, made = rows(dsn, TABLES), rows(dsn, INDEXES)[0][1]
    planned = done("scout_rollback", operator, release="v1", check=True, rehearse=release == "drops an index")
    assert (planned["loses"], planned["obstacles"]) == ([], [])
    back = done("scout_rollback", operator, release="v1", rehearse=False)
    assert rows(dsn, TABLES) == tables
    for found in rows(dsn, INDEXES):
        assert {*indexes} == {*found[1]}, found
    assert not done("scout_rollback", operator, release="v1", rehearse=False)["changed"]
    done("scout_undo", operator, run_id=back["undo"])
    assert rows(dsn, TABLES) == tables
    for found in rows(dsn, INDEXES):
        assert {*made} == {*found[1]}, found


@pytest.mark.parametrize("kind", levels.KINDS)
def test_a_night_is_no_drift(request: pytest.FixtureRequest, kind: str) -> None:
    dsn = two_levels(request, kind)
    done("scout_capture", dsn, release="v1")
    levels.night(dsn, kind)
    library.poison_event(dsn)
    causes = [each["cause"] for each in done("scout_health_info", dsn)["diagnoses"]]
    assert causes
    assert not any("the schema differs" in cause for cause in causes)


def half_detached(dsn: str, day: str) -> None:
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
    done("scout_capture", dsn, release="v1")
    [day, ids] = rows(
        dsn,
        "SELECT tableoid::regclass::text, array_agg(event_id::text) FROM scout.bronze_events GROUP BY 1 ORDER BY 1 LIMIT 1",
    )[0]
    moved = done("scout_quarantine", dsn, event_ids=ids)
    as_loader(dsn, COLUMN)
    half_detached(dsn, day)
    wanted = f"ALTER TABLE scout.bronze_events DETACH PARTITION {day} FINALIZE"
    with subtests.test("undo"):
        assert f"{wanted};" in call("scout_undo", dsn, run_id=moved["run_id"])["error"]["next_step"]
    with subtests.test("rollback"):
        [obstacle] = done("scout_rollback", dsn, release="v1", check=True, rehearse=False)["obstacles"]
        assert obstacle["next_step"] == wanted
        assert call("scout_rollback", dsn, release="v1", rehearse=False)["failed"]
    as_loader(dsn, wanted)
    done("scout_rollback", dsn, release="v1", rehearse=False)
    # Older days are there, so that this one was no work of retention: the rollback has attached it again.
    done("scout_undo", dsn, run_id=moved["run_id"])
    assert rows(dsn, f"SELECT count(*) FROM {day}") == [(len(ids),)]
