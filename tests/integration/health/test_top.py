# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_top_info on a real pipeline: ages, the backlog's slope, jobs with their errors, who blocks whom, and who is at work."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import dashboard
from tests.integration.modules import Result, call, connect, executed, fingerprint, operator

MODULE = "scout_top_info"
FAILED = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, 4242, database, username, command, %(status)s, %(message)s, now() - make_interval(mins => %(minutes)s),
       now() - make_interval(mins => %(minutes)s)
FROM cron.job WHERE jobname = 'bronze-to-silver-etl'
"""


def look(dsn: str, **options: Any) -> Result:
    result = call(MODULE, dsn, **options)
    assert not result.get("failed"), result
    assert max(map(len, dashboard.top(result))) <= 79
    assert all(line.isprintable() for line in dashboard.top(result))
    return result


@contextlib.contextmanager
def waiting(dsn: str) -> Iterator[tuple[int, int]]:
    """One session that locks a table, and one that waits for it; their pids."""
    with (
        psycopg.connect(dsn, application_name="holder") as holder,
        psycopg.connect(dsn, application_name="waiter") as waiter,
    ):
        holder.execute("LOCK TABLE scout.alerts IN ACCESS EXCLUSIVE MODE")
        waiter.pgconn.send_query(b"SELECT count(*) FROM scout.alerts WHERE 'password=hunter2' <> ''")
        with connect(dsn) as connection:
            wait_until(
                connection,
                "SELECT FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'",
                waiter.info.backend_pid,
            )
        yield holder.info.backend_pid, waiter.info.backend_pid
        holder.rollback()
        while waiter.pgconn.get_result():
            pass


def test_a_healthy_pipeline(variant_db: str) -> None:
    scout_db = variant_db
    before = fingerprint(scout_db)
    seen = look(scout_db)
    assert (seen["ingestion"], seen["backlog"]["events"], seen["dead_letters"], seen["lease"]) == (
        "running",
        0,
        0,
        None,
    )
    assert seen["unread"] == {}
    assert seen["ages"]["bronze_seconds"] is not None
    assert all(each["seconds"] is not None for each in seen["ages"]["gold"])
    assert len(seen["ages"]["gold"]) == 2
    assert len(seen["jobs"]) == 3
    assert executed(MODULE, scout_db, check=True)["ingestion"] == "running"
    assert fingerprint(scout_db) == before


def test_a_backlog_and_where_it_goes(scout_db: str) -> None:
    library.backlog(scout_db, count=50, age_seconds=60)
    backlog = look(scout_db)["backlog"]
    assert backlog["events"] == 50
    assert backlog["arrived_per_minute"] >= 10
    assert backlog["slope_per_minute"] == round(backlog["arrived_per_minute"] - backlog["loaded_per_minute"], 1)
    told = dashboard.top(look(scout_db))
    assert any("50 events, oldest " in line and "/min" in line for line in told)


def test_the_last_error_of_a_job_outlives_its_next_success(scout_db: str) -> None:
    with connect(scout_db) as connection:
        said = "ERROR: it failed\x1b[2J\nFailing row contains (C-4711). password=hunter2"
        connection.execute(FAILED, {"status": "failed", "message": said, "minutes": 3})
        connection.execute(FAILED, {"status": "succeeded", "message": "1 row", "minutes": 1})
    (job,) = [each for each in look(scout_db)["jobs"] if each["job"] == "bronze-to-silver-etl"]
    assert (job["active"], job["last_status"]) == (True, "succeeded")
    assert 170 < job["last_error_seconds_ago"] < 240
    assert job["last_error"].startswith("ERROR: it failed")
    assert not {"C-4711", "hunter2"} & set(
        job["last_error"].replace("=", " ").replace("(", " ").replace(")", " ").split()
    )


def test_who_blocks_whom(scout_db: str) -> None:
    with waiting(scout_db) as (holder, waiter), library.lock_holder(scout_db) as keeper:
        seen = look(scout_db, budget_seconds=10)
    blocking = {each["pid"]: each for each in seen["blocking"]}
    assert (blocking[holder]["depth"], blocking[holder]["blocked_by"]) == (0, [])
    assert (blocking[waiter]["depth"], blocking[waiter]["blocked_by"]) == (1, [holder])
    assert "hunter2" not in str(blocking[waiter])
    assert [each["pid"] for each in seen["blocking"]].index(holder) + 1 == [e["pid"] for e in seen["blocking"]].index(
        waiter
    )
    assert any(each["keys"] for each in seen["blocking"]), (keeper, seen["blocking"])
    told = "\n".join(dashboard.top(seen))
    assert f"blocks        pid {holder} (" in told
    assert f"  pid {waiter} (" in told


def test_who_is_at_work(scout_db: str) -> None:
    call("scout_lease", scout_db, state="held", incident="INC-2041")
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout_ops.leases SET owner = 'ana@laptop', host_key = 'another', pid = 1")
    lease = look(scout_db)["lease"]
    assert lease
    assert (lease["owner"], lease["incident"]) == ("ana@laptop", "INC-2041")
    assert any("lease" in line and "ana@laptop for INC-2041" in line for line in dashboard.top(look(scout_db)))


def test_who_paused_it_and_why(scout_db: str) -> None:
    call("scout_ingestion", scout_db, state="paused", reason="it is \x1b[2J the deployment")
    seen = look(scout_db)
    assert seen["ingestion"] == "paused"
    told = dashboard.top(seen)
    assert told[0].endswith(" UTC, ingestion is paused")
    assert told[1].startswith("  paused by     ")
    assert told[1].endswith("the deployment") or "the deployment" in told[2]
    assert sum(" OFF; " in line for line in told) == 3


def test_what_is_missing_or_denied_is_said(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("DROP TABLE scout.bronze_events_dlq CASCADE")
    seen = look(scout_db)
    assert seen["dead_letters"] is None
    assert "does not exist" in seen["unread"]["dead_letters"]
    with operator(scout_db, without="member") as dsn:
        denied = look(dsn)
    assert (denied["backlog"]["events"], denied["ages"]["bronze_seconds"]) == (None, None)
    assert "bronze" in denied["unread"]
