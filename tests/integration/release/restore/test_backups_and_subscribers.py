# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollback names the subscribers that it would stop, and asks for a backup if data would be lost."""

from __future__ import annotations

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.play import eventually
from tests.integration.modules import connect, rows
from tests.integration.outcomes import ran

PUBLISH = "CREATE PUBLICATION dashboards FOR TABLE scout.alerts"
RELEASE = "ALTER TABLE scout.alerts DROP COLUMN payload"
STOPPED = "SELECT FROM pg_replication_slots WHERE slot_name = 'reader' AND NOT active"
INSERT = "INSERT INTO scout.alerts (alert_type, severity, message) VALUES ('X', 'info', 'x')"
UNREAD = "no subscriber reads logical replication slot reader"
TOLD = "there first: ALTER TABLE scout.alerts ADD COLUMN payload jsonb"


def test_a_subscriber_that_a_rollback_stops_is_named_and_a_backup_is_advised() -> None:
    settings = {
        "wal_level": "logical", "max_replication_slots": "4",
        "wal_retrieve_retry_interval": "3s",
    }  # fmt: skip
    with Server(settings=settings) as server:
        dsn = builder.build(server.create_database("published"), events=60)
        with connect(dsn) as session:
            session.execute(
                "INSERT INTO scout.alerts (alert_type, severity, message, payload) VALUES ('X', 'info', 'w', '{}')"
            )
            session.execute(PUBLISH)
            session.execute("SELECT pg_create_logical_replication_slot('reader', 'pgoutput')")
        ran("scout_capture", dsn, release="v1")
        with connect(dsn) as session:
            session.execute(RELEASE)
        reader = subscribed(server, dsn)

        planned = ran("scout_rollback", dsn, release="v1", check=True, allow_lossy=True)
        assert any(TOLD in line and "published (dashboards)" in line for line in planned["warnings"])
        assert any("in no undo: take a backup first" in line for line in planned["warnings"])

        # What is said comes true: it stops at the next row, and the assessment names it.
        made = ran("scout_rollback", dsn, release="v1", rehearse=False, allow_lossy=True)
        assert any(TOLD in line for line in made["warnings"])
        with connect(dsn) as session:
            session.execute(INSERT)
            # It comes back every three seconds, and stops again.
            eventually(lambda: rows(dsn, STOPPED) and UNREAD in reason(dsn), 20, "a stopped subscriber")
        with connect(reader) as session:
            session.execute("ALTER TABLE scout.alerts ADD COLUMN payload jsonb")
            wait_until(session, "SELECT FROM scout.alerts WHERE message = 'x'")
        with connect(reader) as session:
            session.execute("ALTER SUBSCRIPTION reader DISABLE")
            session.execute("ALTER SUBSCRIPTION reader SET (slot_name = NONE)")
            session.execute("DROP SUBSCRIPTION reader")


def reason(dsn: str) -> str:
    """What an assessment says of the server."""
    [found] = [each for each in ran("scout_health_info", dsn)["indicators"] if each["name"] == "database"]
    return str(found["reason"])


def subscribed(server: Server, dsn: str) -> str:
    """The dsn of a database that has the published table as it is, and gets what is written to it."""
    reader = server.create_database("reader")
    there = conninfo_to_dict(dsn)
    with connect(reader) as session, psycopg.connect(dsn) as source:
        columns = source.execute(
            "SELECT string_agg(format('%I %s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum) "
            "FROM pg_attribute WHERE attrelid = 'scout.alerts'::regclass AND attnum > 0 AND NOT attisdropped"
        ).fetchone()
        assert columns
        session.execute(f"CREATE SCHEMA scout; CREATE TABLE scout.alerts ({columns[0]})")  # type: ignore[call-overload]
        address = make_conninfo(**{name: there[name] for name in ("host", "port", "user", "dbname")})
        session.execute(
            f"CREATE SUBSCRIPTION reader CONNECTION '{address}' PUBLICATION dashboards "  # type: ignore[call-overload]
            "WITH (create_slot = false, slot_name = 'reader', copy_data = false)"
        )
    return reader
