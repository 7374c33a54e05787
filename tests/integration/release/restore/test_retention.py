# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A night of retention between a capture and a rollback is no damage, and no live row goes to the default partition for it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules import Result, call, connect, one, rows

NIGHT = "SELECT scout.maintain_partitions(p_keep_days => 1, p_ahead_days => 6)"
#: As pg_partman does it unless it is told to drop.
DETACH = """
DO $$
DECLARE part regclass;
BEGIN
    FOR part IN SELECT inhrelid FROM pg_inherits WHERE inhparent = 'scout.bronze_events'::regclass
                AND inhrelid::regclass::text ~ '_p\\d{8}$' ORDER BY inhrelid::regclass::text LIMIT 3 LOOP
        EXECUTE format('ALTER TABLE scout.bronze_events DETACH PARTITION %s', part);
    END LOOP;
END $$
"""
PARTITIONS = (
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'scout.bronze_events'::regclass ORDER BY 1"
)
RELEASE = "ALTER TABLE scout.bronze_events ADD COLUMN channel text; ALTER TABLE scout.alerts ADD COLUMN team text"
COLUMNS = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'scout.bronze_events'::regclass AND attname = 'channel' AND NOT attisdropped"


def done(name: str, dsn: str, **options: Any) -> Result:
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


@pytest.mark.parametrize("night", [NIGHT, DETACH + ";" + NIGHT], ids=["dropped", "detached"])
def test_a_rollback_after_a_night_of_retention(partitioned_db: str, night: str) -> None:
    dsn = partitioned_db
    done("scout_capture", dsn, release="v1")
    captured = {row[0] for row in rows(dsn, PARTITIONS)}
    with connect(dsn) as session:
        session.execute(night)  # type: ignore[call-overload]
        session.execute(RELEASE)
    before, events = rows(dsn, PARTITIONS), one(dsn, "SELECT count(*) FROM scout.bronze_events")
    gone = captured - {row[0] for row in before}
    assert gone
    planned = done("scout_rollback", dsn, release="v1", check=True, rehearse=True)
    assert planned["loses"] == []
    assert any("by retention" in line and min(gone) in line for line in planned["warnings"])
    back = done("scout_rollback", dsn, release="v1", rehearse=False)
    assert one(dsn, COLUMNS) == 0
    assert rows(dsn, PARTITIONS) == before
    assert one(dsn, "SELECT count(*) FROM scout.bronze_events") == events
    assert one(dsn, "SELECT count(*) FROM scout.bronze_events_default") == 0
    assert not done("scout_rollback", dsn, release="v1", rehearse=False)["changed"]
    with connect(dsn) as session:
        # And the next night finds nothing in its way.
        session.execute("SELECT scout.maintain_partitions(p_keep_days => 0, p_ahead_days => 8)")
    undone = done("scout_undo", dsn, run_id=back["undo"])
    assert undone["changed"]
    assert one(dsn, COLUMNS) == 1


def test_a_hole_in_the_middle_is_damage(partitioned_db: str) -> None:
    dsn = partitioned_db
    done("scout_capture", dsn, release="v1")
    day = one(
        dsn,
        "SELECT max(tableoid::regclass::text) FROM scout.bronze_events WHERE ingested_at < now() - interval '2 days'",
    )
    with connect(dsn) as session:
        session.execute(f"ALTER TABLE scout.bronze_events DETACH PARTITION {day}; DROP TABLE {day}")  # type: ignore[call-overload]
    refused = call("scout_rollback", dsn, release="v1", rehearse=False)
    assert refused["failed"]
    assert "data would be lost" in refused["msg"]
    assert day in refused["msg"]
