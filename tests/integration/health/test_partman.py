# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While the real pg_partman detaches a partition, for which it locks all of bronze: whoever holds everybody up is named."""

from __future__ import annotations

import threading

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from tests.integration.modules import call, connect, one
from tests.scout import partman

#: A session that waits to lock bronze as a whole.
WAITS = """
SELECT FROM pg_locks WHERE relation = 'scout.bronze_events'::regclass AND NOT granted AND mode = 'AccessExclusiveLock'
"""


def test_maintenance_that_waits_for_a_reader_has_everybody_wait(partman_db: str, subtests: pytest.Subtests) -> None:
    """It is the reader who is named, not the job that waits for it, nor nobody."""
    library.backlog(partman_db, count=5, age_seconds=600)
    # At some hours it would first make another day, which waits for the default partition.
    partman.maintain(partman_db)
    night = threading.Thread(target=partman.maintain, args=[partman_db], kwargs={"retention": "1 day"})
    with psycopg.connect(partman_db, user="loader", application_name="analyst") as reader:
        reader.execute("SELECT count(*) FROM scout.bronze_events")
        night.start()
        with connect(partman_db) as session:
            wait_until(session, WAITS)
        with subtests.test("assess"):
            found = call("scout_health_info", partman_db)["diagnoses"][0]
            assert found["cause"] == "scout.bronze_events is locked against reading"
            assert f"pid {reader.info.backend_pid} (loader, analyst) for " in found["evidence"]
            assert "waits to lock it, and everybody behind that one" in found["evidence"]
        with subtests.test("drain"):
            refused = call("scout_drain", partman_db)
            assert f"locks are held by pid {reader.info.backend_pid} (loader, analyst, " in refused["msg"]
        reader.rollback()
    night.join()
    assert call("scout_drain", partman_db)["changed"]
    assert one(partman_db, "SELECT count(*) FROM pg_locks WHERE NOT granted") == 0


def test_maintenance_at_work_is_waited_for_and_named_if_it_lasts(partman_db: str) -> None:
    with psycopg.connect(partman_db, user="loader", application_name="pg_cron") as job:
        job.execute("UPDATE partman.part_config SET retention = '1 day'")
        job.execute("SELECT partman.run_maintenance()")
        refused = call("scout_quarantine", partman_db, event_types=["transaction.v1"])
        assert f"locks are held by pid {job.info.backend_pid} (loader, pg_cron, " in refused["msg"]
        assert (
            call("scout_health_info", partman_db)["diagnoses"][0]["cause"]
            == "scout.bronze_events is locked against reading"
        )
        job.commit()
    assert call("scout_quarantine", partman_db, event_types=["transaction.v1"])["changed"]
