# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A synchronous standby that does not answer is told before all that it brings about."""

from __future__ import annotations

import threading
import time

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import call, connect, rows

WAITS = "SELECT FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
WRITE = "SET synchronous_commit = on; UPDATE scout.dim_store SET store_name = store_name"


def write(dsn: str) -> None:
    with connect(dsn) as session:
        session.execute(WRITE)


def test_commits_that_wait_for_a_standby_are_told() -> None:
    with Server() as server:
        dsn = builder.build(server.create_database("standby"), events=300)
        with connect(dsn) as session:
            session.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
            session.execute("SELECT pg_reload_conf()")
            writer = threading.Thread(target=write, args=[dsn])
            writer.start()
            while not rows(dsn, WAITS):
                time.sleep(0.05)
            proof = call("scout_proof_info", dsn)
            assert (proof["status"], proof["proven"]) == ("unknown", False)
            assert "1 session waited in COMMIT for a synchronous standby all the time" in proof["error"]["said"]
            [first, *_] = call("scout_health_info", dsn)["diagnoses"]
            assert first["cause"] == "no commit ends: a synchronous standby does not answer"
            assert (
                "a superuser runs ALTER SYSTEM SET synchronous_standby_names = ''; SELECT pg_reload_conf();"
                in first["next_command"]
            )
            session.execute("ALTER SYSTEM SET synchronous_standby_names = ''")
            session.execute("SELECT pg_reload_conf()")
            writer.join(30)
            assert not rows(dsn, WAITS)
