# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rollbacks after nights of the real pg_partman: no partition goes, no live row moves to the default one, and the next night works."""

from __future__ import annotations

import dataclasses
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import call, connect, one, rows
from tests.integration.outcomes import ran
from tests.scout import partman

COLUMN = "ALTER TABLE scout.bronze_events ADD COLUMN channel text"
STATISTICS = "CREATE STATISTICS scout.kinds ON event_type, source_system FROM scout.bronze_events"
KEY = "ALTER TABLE scout.bronze_events DROP CONSTRAINT bronze_events_event_hash_key, ADD CONSTRAINT bronze_events_event_hash_key UNIQUE"
#: Every table that is or was a partition, wherever it is now, with its rows.
TABLES = """
SELECT c.oid::regclass::text, c.relispartition,
       (xpath('/row/n/text()', query_to_xml('SELECT count(*) AS n FROM ' || c.oid::regclass, true, true, '')))[1]::text
FROM pg_class AS c WHERE c.relname ~ '^bronze_events_(p\\d|default)' AND c.relkind = 'r' ORDER BY 1
"""
#: The indexes of the table and of each partition, by what they are on, and whether they are valid.
INDEXES = """
SELECT tree.relid::regclass::text,
       array_agg(regexp_replace(pg_get_indexdef(x.indexrelid), '^.* USING', '') || x.indisvalid ORDER BY 1) AS on
FROM pg_partition_tree('scout.bronze_events') AS tree JOIN pg_index AS x ON x.indrelid = tree.relid GROUP BY 1 ORDER BY 1
"""
STATISTICS_OF = "SELECT stxrelid::regclass::text FROM pg_statistic_ext ORDER BY 1"


@dataclasses.dataclass(frozen=True)
class Night:
    """What is done before a release is captured, by it, and by pg_partman in the night after, with these settings."""

    before: tuple[str, ...] = ()
    release: str = COLUMN
    settings: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    after: tuple[str, ...] = ()


DROPS: dict[str, Any] = {"retention": "1 day", "retention_keep_table": False}
KEEPS: dict[str, Any] = {"retention": "1 day", "retention_keep_table": True}
INDEXED = ("CREATE INDEX bronze_source ON scout.bronze_events (source_system)",)
NIGHTS = {
    "retention drops": Night(settings=DROPS),
    "retention keeps the tables": Night(settings=KEEPS),
    "retention moves the tables to another schema": Night(settings={**KEEPS, "retention_schema": "archive"}),
    "one that was made since is detached since": Night(
        settings=DROPS, after=("ALTER TABLE scout.bronze_events DETACH PARTITION {newest}",)
    ),
    "the template has an index": Night(
        ("CREATE UNIQUE INDEX ON partman.template_scout_bronze_events (event_id)",
         "UPDATE partman.part_config SET premake = 5", "CALL partman.run_maintenance_proc()"),
        settings=DROPS,
    ),
    "the table has statistics": Night((STATISTICS,), settings=DROPS),
    "the release makes statistics": Night(release=STATISTICS, settings=DROPS),
    "the release drops statistics": Night((STATISTICS,), "DROP STATISTICS scout.kinds", DROPS),
    "the release makes an index": Night(release=INDEXED[0], settings=DROPS),
    "the release drops an index": Night(INDEXED, "DROP INDEX scout.bronze_source", DROPS),
    "the release makes another key": Night(release=f"{KEY} (ingested_at, event_hash)", settings=DROPS),
    "privileges are inherited": Night(("UPDATE partman.part_config SET inherit_privileges = true",), settings=DROPS),
}  # fmt: skip
REHEARSED = ("retention drops", "the release drops an index")


def as_loader(dsn: str, *statements: str) -> None:
    with psycopg.connect(dsn, user="loader", autocommit=True) as session:
        for statement in statements:
            session.execute(statement.encode())


def newest(dsn: str) -> str:
    return max(name for name in partman.partitions(dsn) if not name.endswith("default"))


@pytest.mark.parametrize("name", NIGHTS)
def test_a_rollback_after_a_night(partman_db: str, name: str) -> None:
    dsn, night = partman_db, NIGHTS[name]
    as_loader(dsn, *night.before)
    operator = builder.operator(dsn, rollback=True)
    indexes, statistics = rows(dsn, INDEXES)[0][1], rows(dsn, STATISTICS_OF)
    ran("scout_capture", operator, release="v1")
    as_loader(dsn, night.release)
    partman.maintain(dsn, premake=8, **night.settings)
    as_loader(dsn, *(each.format(newest=newest(dsn)) for each in night.after))
    before = rows(dsn, TABLES)
    released = rows(dsn, INDEXES)[0][1]
    planned = ran("scout_rollback", operator, release="v1", check=True, rehearse=name in REHEARSED)
    assert (planned["loses"], planned["obstacles"]) == ([], [])
    back = ran("scout_rollback", operator, release="v1", rehearse=False)
    assert rows(dsn, TABLES) == before
    for found in rows(dsn, INDEXES):
        assert {*indexes} <= {*found[1]}, found
    left = rows(dsn, STATISTICS_OF)
    assert {*statistics} <= {*left} if statistics else left == []
    assert not ran("scout_rollback", operator, release="v1", rehearse=False)["changed"]
    partman.maintain(dsn, premake=10)
    assert rows(dsn, "SELECT * FROM partman.check_default()") == []
    later = rows(dsn, TABLES)
    ran("scout_undo", operator, run_id=back["undo"])
    assert rows(dsn, TABLES) == later
    for found in rows(dsn, INDEXES):
        assert {*released} <= {*found[1]}, found
    partman.maintain(dsn, premake=12)
    assert len(partman.partitions(dsn)) >= 13
    with connect(dsn) as session:
        columns = session.execute(
            "SELECT count(DISTINCT a.columns) FROM pg_partition_tree('scout.bronze_events') AS tree, LATERAL ("
            "SELECT string_agg(attname, ',' ORDER BY attname) AS columns FROM pg_attribute "
            "WHERE attrelid = tree.relid AND attnum > 0 AND NOT attisdropped) AS a"
        ).fetchone()
    assert columns == (1,)


def test_what_was_detached_is_called_by_what_it_is(partman_db: str) -> None:
    """Not a partition that was made since, and not one that -e scout_new_partitions=drop would drop with its rows."""
    ran("scout_capture", partman_db, release="v1")
    as_loader(partman_db, COLUMN)
    partman.maintain(partman_db, premake=8, **KEEPS)
    made = newest(partman_db)
    as_loader(partman_db, f"ALTER TABLE scout.bronze_events DETACH PARTITION {made}")
    planned = ran("scout_rollback", partman_db, release="v1", check=True, rehearse=False)
    assert f"table:{made}" not in planned["stays"]
    assert {key.partition(":")[2] for key in planned["stays"]} < {*partman.partitions(partman_db)}
    [told] = [line for line in planned["warnings"] if "detached by retention since, and left as they are" in line]
    assert f"table {made};" in told


def test_partitions_of_another_owner_stand_in_its_way_by_reading(partman_db: str) -> None:
    """A job of a superuser makes partitions that are his, which nobody can change with their table."""
    operator = builder.operator(partman_db, rollback=True)
    ran("scout_capture", operator, release="v1")
    with connect(partman_db) as superuser:
        superuser.execute(COLUMN)
        superuser.execute("UPDATE partman.part_config SET premake = 6")
        superuser.execute("CALL partman.run_maintenance_proc()")
    planned = ran("scout_rollback", operator, release="v1", check=True, rehearse=False)
    [obstacle] = planned["obstacles"]
    assert (
        "of partitioned table scout.bronze_events, belong to postgres, and loader may not change them"
        in obstacle["said"]
    )
    assert call("scout_rollback", operator, release="v1", rehearse=False)["failed"]
    with connect(partman_db) as superuser:
        superuser.execute(obstacle["next_step"].encode())
    ran("scout_rollback", operator, release="v1", rehearse=False)
    assert {*partman.partitions(partman_db).values()} == {"loader"}


def test_a_new_partition_is_no_drift(partman_db: str) -> None:
    """A failure is blamed on a deployment only where there was one."""
    ran("scout_capture", partman_db, release="v1")
    partman.maintain(partman_db, premake=8, **KEEPS)
    assert one(partman_db, "SELECT count(*) FROM pg_class WHERE relname ~ '^bronze_events_p' AND relkind = 'r'") > 30
    library.poison_event(partman_db)
    drift = [each["cause"] for each in ran("scout_health_info", partman_db)["diagnoses"]]
    assert drift
    assert not any("the schema differs" in cause for cause in drift)
    as_loader(partman_db, COLUMN)
    found = [
        each for each in ran("scout_health_info", partman_db)["diagnoses"] if "the schema differs" in each["cause"]
    ]
    assert "bronze_events.channel added" in found[0]["evidence"]


def test_a_hole_in_the_middle_is_damage(partman_db: str) -> None:
    dsn = partman_db
    ran("scout_capture", dsn, release="v1")
    day = one(
        dsn,
        "SELECT max(tableoid::regclass::text) FROM scout.bronze_events WHERE ingested_at < now() - interval '2 days'",
    )
    as_loader(dsn, f"ALTER TABLE scout.bronze_events DETACH PARTITION {day}; DROP TABLE {day}")
    refused = call("scout_rollback", dsn, release="v1", rehearse=False)
    assert refused["failed"]
    assert "data would be lost" in refused["msg"]
    assert day in refused["msg"]


def test_rows_that_were_moved_into_the_default_partition_are_moved_out_by_partman(partman_db: str) -> None:
    """As the page says of -e scout_new_partitions=drop: until then its maintenance fails."""
    ran("scout_capture", partman_db, release="v1")
    as_loader(partman_db, COLUMN)
    partman.maintain(partman_db, premake=8)
    made = newest(partman_db)
    as_loader(
        partman_db,
        "INSERT INTO scout.bronze_events (event_type, event_data, ingested_at) "
        f"VALUES ('ping', '{{}}', to_timestamp('{made[-8:]}', 'YYYYMMDD'))",
    )
    ran("scout_rollback", partman_db, release="v1", rehearse=False, new_partitions="drop")
    assert made not in partman.partitions(partman_db)
    assert rows(partman_db, "SELECT * FROM partman.check_default()") == [("scout.bronze_events_default", 1)]
    with pytest.raises(psycopg.Error, match="would be violated by some row"):
        partman.maintain(partman_db)
    as_loader(partman_db, "CALL partman.partition_data_proc('scout.bronze_events')")
    partman.maintain(partman_db)
    assert one(partman_db, "SELECT tableoid::regclass::text FROM scout.bronze_events WHERE event_type = 'ping'") == made
