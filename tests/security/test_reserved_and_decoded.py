# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack, on a server of its own: all connections are taken before a reset; and logical decoding shows whatever is committed to who
has REPLICATION, and to nobody else."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import local
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, rows
from tests.scout.fixtures import memory

#: Before PostgreSQL 16 nothing can be kept back for anybody but superusers.
RESERVED = 160000
SETTINGS = {
    "max_connections": "16",
    "superuser_reserved_connections": "2",
    "wal_level": "logical",
    "max_wal_senders": "2",
    "max_replication_slots": "2",
    "autovacuum": "off",
}
KNOWN = """
SELECT event_id::text FROM scout.bronze_events
UNION SELECT error_details -> 'event' ->> 'event_id' FROM scout.bronze_events_dlq
"""


@pytest.fixture(scope="module")
def scout() -> Iterator[str]:
    """A Scout on a server with few connections, three of them kept back where that can be, with roles mallory and spy."""
    kept_back = {"reserved_connections": "4"} if local.major() >= RESERVED // 10000 else {}
    with local.Server(settings=SETTINGS | kept_back, folder=memory()) as server:
        dsn = server.create_database("scout")
        builder.build(dsn, events=200)
        with connect(dsn) as superuser:
            superuser.execute("CREATE ROLE mallory LOGIN; CREATE ROLE spy LOGIN REPLICATION")
            superuser.execute("GRANT CREATE ON DATABASE scout TO mallory; GRANT USAGE ON SCHEMA scout TO mallory")
        yield dsn


@pytest.fixture(scope="module")
def operator(scout: str) -> str:
    """The dsn of scout_operator."""
    return builder.operator(scout)


def take_all(dsn: str, taken: contextlib.ExitStack) -> None:
    """Every connection that the server gives to this role."""
    with contextlib.suppress(psycopg.OperationalError):
        while True:
            taken.enter_context(connect(dsn))
    refused(dsn)


def refused(dsn: str) -> None:
    """Raises where there is a connection to be had."""
    with pytest.raises(psycopg.OperationalError, match="remaining connection slots"):
        connect(dsn)


def test_a_reset_has_a_connection_of_those_kept_back(scout: str, operator: str, tmp_path: Path) -> None:
    library.poison_event(scout, "bad_ts")
    with contextlib.ExitStack() as taken:
        take_all(make_conninfo(scout, user="mallory"), taken)
        with connect(scout) as superuser:
            version = superuser.info.server_version
        played = Stage(tmp_path).play("emergency_reset", operator)
        if version < RESERVED:
            assert played.rc != 0
            assert "remaining connection slots are reserved" in played.text
            return
        assert played.rc == 0, played.text
        assert played.result["ingestion"] == "running"
        refused(make_conninfo(scout, user="mallory"))


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE PUBLICATION all_of_it FOR ALL TABLES",
        "CREATE PUBLICATION a_part FOR TABLE scout.bronze_events",
        "CREATE SUBSCRIPTION theirs CONNECTION 'dbname=scout' PUBLICATION p WITH (connect = false)",
        "SELECT pg_create_logical_replication_slot('mine', 'test_decoding')",
        "SELECT pg_logical_slot_peek_changes('spied', NULL, NULL)",
    ],
)
def test_who_has_no_replication_decodes_nothing(scout: str, statement: str) -> None:
    with connect(scout, user="mallory") as mallory, pytest.raises(psycopg.errors.InsufficientPrivilege):
        mallory.execute(statement.encode())


def test_what_was_only_tried_is_never_decoded(scout: str, operator: str, tmp_path: Path) -> None:
    """Sales of the gate and of the proof are rolled back, so that nobody who follows the database has them."""
    with connect(scout, user="spy") as spy:
        spy.execute("SELECT pg_create_logical_replication_slot('spied', 'test_decoding')")
        library.poison_event(scout, "bad_ts")
        assert Stage(tmp_path).play("emergency_reset", operator).rc == 0
        gate = call("scout_gate_info", operator, smoke=True)
        assert next(c for c in gate["checks"] if c["name"] == "smoke_test")["status"] == "pass", gate
        lines = [row[0] for row in spy.execute("SELECT data FROM pg_logical_slot_get_changes('spied', NULL, NULL)")]
        spy.execute("SELECT pg_drop_replication_slot('spied')")
    seen = {
        found[1]
        for line in lines
        if (found := re.match(r"table scout\.bronze_events: INSERT: .*?event_id\[uuid\]:'([^']+)'", line))
    }
    known = {row[0] for row in rows(scout, KNOWN)}
    assert any("scout_ops.runs" in line for line in lines)
    assert seen <= known
    assert not any("SMOKE" in line for line in lines)
