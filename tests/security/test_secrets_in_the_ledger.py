# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever may read the ledger, or a result, looks for tokens of jobs, statements of others and rows of customers."""

from __future__ import annotations

import json
import time
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import call, connect, one, rows

TOKEN = "eyJhbGciOiJIUzI1NiJ9.c2VydmljZQ.c2lnbmF0dXJl"
JOB = (
    f"SELECT net.http_post('https://hooks.example/', headers => '{{\"Authorization\": \"Bearer {TOKEN}\"}}'),"
    " scout.load_silver_from_bronze(10)"
)
CUSTOMER = "ana.reyes@example.com"

EVERYTHING = """
SELECT coalesce(string_agg(t::text, ' '), '') FROM (
    SELECT to_jsonb(r) FROM scout_ops.runs AS r UNION ALL SELECT to_jsonb(p) FROM scout_ops.pauses AS p
    UNION ALL SELECT to_jsonb(l) FROM scout_ops.leases AS l
) AS t
"""


def test_a_pause_keeps_no_command_and_gives_back_the_job_as_it_was(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute("UPDATE cron.job SET command = %s WHERE jobid = (SELECT min(jobid) FROM cron.job)", [JOB])
    before = rows(scout_db, "SELECT jobid, schedule, command, active FROM cron.job ORDER BY jobid")
    paused = call("scout_ingestion", scout_db, state="paused")

    assert TOKEN not in one(scout_db, EVERYTHING) + json.dumps(paused, default=str)
    assert one(scout_db, "SELECT bool_and(job ? 'command_digest' AND NOT job ? 'command')"
                         " FROM scout_ops.pauses, jsonb_array_elements(jobs) AS job")  # fmt: skip
    assert call("scout_ingestion", scout_db, state="running")["changed"]
    assert rows(scout_db, "SELECT jobid, schedule, command, active FROM cron.job ORDER BY jobid") == before


def test_statements_of_sessions_that_are_ended_are_kept_without_secrets(scout_db: str) -> None:
    statement = (
        f"SELECT pg_advisory_lock({library.REFRESH_LOCK}), 'Bearer {TOKEN}', 'password=hunter22', '{CUSTOMER}' AS email"
    )
    with psycopg.connect(scout_db, autocommit=True) as session:
        session.execute(statement.encode())
        time.sleep(0.3)
        waits: dict[str, Any] = {"cancel_wait_seconds": 0.5, "terminate_wait_seconds": 5}
        done = call("scout_terminate_sessions", scout_db, stuck_after_seconds=0.2, **waits)
        session.close()

    assert [found["how"] for found in done["ended"]] == ["terminated"]
    for kept in (one(scout_db, EVERYTHING), json.dumps(done, default=str)):
        assert "pg_advisory_lock" in kept
        assert not [secret for secret in (TOKEN, "hunter22", CUSTOMER) if secret in kept]


def test_an_error_that_quotes_a_row_is_told_without_it(scout_db: str) -> None:
    with connect(scout_db) as session:
        session.execute(
            "ALTER TABLE scout.bronze_events_dlq ADD CONSTRAINT no_more CHECK (error_code <> 'QUARANTINE') NOT VALID;"
            "UPDATE scout.bronze_events SET event_data = event_data || jsonb_build_object('customer_email', 'ana.reyes@example.com')"
        )
    event = one(scout_db, "SELECT min(event_id::text) FROM scout.bronze_events")
    failed = call("scout_quarantine", scout_db, event_ids=[event])

    assert failed["failed"]
    assert "row contains" in failed["error"]["said"], failed["error"]
    for kept in (one(scout_db, EVERYTHING), json.dumps(failed, default=str)):
        assert CUSTOMER not in kept
