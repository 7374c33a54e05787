# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a session takes the toolkit's name, so that nothing may end it while it holds up the pipeline."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import Result, call, connect, gone, one, rows

KEY = library.REFRESH_LOCK
NAME = "scout-recovery/INC-9/drain"


def terminate(dsn: str) -> Result:
    """The result, with everything older than a moment counted as stuck."""
    time.sleep(0.3)
    waits: dict[str, Any] = {"cancel_wait_seconds": 0.5, "terminate_wait_seconds": 5}
    return call("scout_terminate_sessions", dsn, stuck_after_seconds=0.2, **waits)


def test_a_session_with_our_name_is_ended_like_any_other(scout_db: str) -> None:
    call("scout_ingestion", scout_db, state="paused")
    with connect(scout_db, application_name=NAME) as impostor:
        impostor.execute("SELECT pg_advisory_lock(%s)", [KEY])

        done = terminate(scout_db)

        assert not done.get("failed"), done["msg"]
        assert gone(scout_db, impostor.info.backend_pid)


def test_only_what_the_ledger_knows_by_pid_start_and_role_is_ours(scout_db: str) -> None:
    call("scout_ingestion", scout_db, state="paused")
    with connect(scout_db, application_name="whatever") as session:
        session.execute("SELECT pg_advisory_lock(%s)", [KEY])
        known = """UPDATE scout_ops.runs SET finished_at = NULL, backend_pid = a.pid, backend_start = a.backend_start + %s::interval,
                   backend_role = a.usename FROM pg_stat_activity AS a WHERE a.pid = %s"""
        rows(scout_db, known + " RETURNING 1", "0", session.info.backend_pid)
        refused = terminate(scout_db)
        assert "it is a session of this toolkit" in refused["msg"]
        assert not gone(scout_db, session.info.backend_pid)
        rows(scout_db, known + " RETURNING 1", "1 second", session.info.backend_pid)
        assert not terminate(scout_db).get("failed"), "the pid was given to somebody else"


def test_a_run_is_known_by_its_session(scout_db: str) -> None:
    call("scout_ingestion", scout_db, state="paused")
    assert one(
        scout_db,
        "SELECT backend_pid IS NOT NULL AND backend_start < started_at AND backend_role = 'postgres' FROM scout_ops.runs",
    )
