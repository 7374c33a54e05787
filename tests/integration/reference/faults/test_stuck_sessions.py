# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sessions of a fault that meet the pipeline's own loader."""

from __future__ import annotations

import threading

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import Held, wait_until

MARK = "INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM scout.bronze_events ORDER BY event_id LIMIT 1"
WAITS = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name LIKE 'fault/%%'"


@pytest.mark.parametrize("commits", [True, False])
def test_a_session_that_collides_with_a_loader_tries_again(scout_db: str, commits: bool) -> None:
    """What the loader marked is taken back after the collision, or it never was."""
    take_back = (
        "DELETE FROM scout.etl_processed WHERE event_id = (SELECT min(event_id::text)::uuid FROM scout.bronze_events)"
    )
    with psycopg.connect(scout_db) as loader, psycopg.connect(scout_db, autocommit=True) as other:
        other.execute(take_back)
        loader.execute(MARK)

        def end() -> None:
            wait_until(other, WAITS)
            if commits:
                loader.commit()
                other.execute(take_back)
            else:
                loader.rollback()

        thread = threading.Thread(target=end)
        thread.start()
        with Held(scout_db, "collision") as held:
            pid = held.hold("loader", MARK)
            assert held.alive()
            thread.join()
            idle = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'idle in transaction'"
            assert other.execute(idle, [pid]).fetchall() == [()]
