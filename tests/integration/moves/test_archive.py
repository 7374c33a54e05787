# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A day of bronze that is on another server: nothing is moved out of it or into it, for no crash may come between two commits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.modules import call, connect, one, rows
from tests.integration.outcomes import ran

COLUMNS = "event_id, event_type, event_ts, source_system, event_data, event_hash, ingested_at"
OLDEST = """
SELECT event_id::text, tableoid::regclass::text FROM scout.bronze_events
WHERE ingested_at < (SELECT min(ingested_at) FROM scout.bronze_events) + interval '1 day' ORDER BY ingested_at
"""
#: A table with such a partition can have no unique key.
NO_KEYS = """
ALTER TABLE scout.bronze_events DROP CONSTRAINT IF EXISTS bronze_events_pkey, DROP CONSTRAINT IF EXISTS bronze_events_event_hash_key
"""
FOREIGN = """
CREATE FOREIGN TABLE {day} PARTITION OF scout.bronze_events {bound} SERVER archive OPTIONS (schema_name 'public', table_name 'old')
"""
#: Of a sale of that day, whose amount is no number.
POISON = """
INSERT INTO scout.bronze_events (event_id, event_type, event_data, ingested_at)
SELECT gen_random_uuid(), event_type, event_data || '{"transaction_id": "poison", "total_amount": "abc"}', ingested_at
FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY ingested_at LIMIT 1 RETURNING event_id::text
"""


@pytest.fixture
def archived(partitioned_db: str) -> Iterator[tuple[str, Callable[[str], None], str]]:
    """The database, what puts a day of it on another server, and how to reach that."""
    dsn, parts = partitioned_db, conninfo_to_dict(partitioned_db)
    name = f"{parts['dbname']}_old"
    other = psycopg.conninfo.make_conninfo(dsn, dbname=name)
    with connect(dsn) as session:
        session.execute(f'CREATE DATABASE "{name}"'.encode())
        session.execute("CREATE EXTENSION postgres_fdw")
        session.execute(
            f"CREATE SERVER archive FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{parts['host']}', port '{parts['port']}', "
            f"dbname '{name}')".encode()
        )
        session.execute(
            "CREATE USER MAPPING FOR public SERVER archive OPTIONS (user 'postgres', password_required 'false')"
        )
        session.execute("GRANT USAGE ON FOREIGN SERVER archive TO loader")
        session.execute(NO_KEYS)

    def put(day: str) -> None:
        with connect(dsn) as session, connect(other) as there:
            bound = session.execute(
                "SELECT pg_get_expr(relpartbound, oid) FROM pg_class WHERE oid = %s::regclass", [day]
            ).fetchone()
            assert bound
            there.execute(
                "CREATE TABLE old (event_id uuid, event_type text, event_ts timestamptz, source_system text, event_data jsonb, "
                "event_hash bytea, ingested_at timestamptz)"
            )
            with (
                session.cursor().copy(f"COPY {day} ({COLUMNS}) TO STDOUT".encode()) as read,
                there.cursor().copy(f"COPY old ({COLUMNS}) FROM STDIN".encode()) as written,
            ):
                for data in read:
                    written.write(data)
            session.execute("SET ROLE loader")
            session.execute(f"DROP TABLE {day}".encode())
            session.execute(FOREIGN.format(day=day, bound=bound[0]).encode())
            session.execute("ANALYZE scout.bronze_events")

    yield dsn, put, other
    with connect(dsn) as session:
        session.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        session.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


def test_nothing_is_moved_out_of_it_or_into_it(
    archived: tuple[str, Callable[[str], None], str], subtests: pytest.Subtests
) -> None:
    dsn, put, other = archived
    found = rows(dsn, OLDEST)
    day = found[0][1]
    ids = [row[0] for row in found if row[1] == day]
    before = ran("scout_quarantine", dsn, event_ids=ids[:3])
    put(day)
    kept = rows(other, "SELECT * FROM old ORDER BY 1")
    assert len(kept) == len(ids) - 3
    with subtests.test("assess"):
        assert ran("scout_health_info", dsn)["failing"] == []
    asked: dict[str, dict[str, Any]] = {
        "scout_quarantine": {"event_ids": ids},
        "scout_undo": {"run_id": before["run_id"]},
        "scout_redrive": {"event_ids": ids[:3]},
    }
    for module, options in asked.items():
        for check in (True, False):
            with subtests.test(module=module, check=check):
                refused = call(module, dsn, check=check, **options)
                assert f"{day} is a foreign table" in refused["msg"]
                assert "An archive on another server" in refused["error"]["next_step"]
    with subtests.test("a window is read, and silver rebuilt"):
        with connect(dsn) as session:
            session.execute(
                "DELETE FROM scout.silver_transactions WHERE source_event_id = ANY(%s::uuid[])", [ids[5:25]]
            )
        first = one(dsn, "SELECT min(ingested_at) FROM scout.bronze_events")
        window = {"window_start": first.isoformat(), "window_end": (first + dt.timedelta(hours=2)).isoformat()}
        assert ran("scout_window_recovery", dsn, **window)["changed"]
        assert not ran("scout_window_recovery", dsn, **window, check=True)["changed"]
    with subtests.test("other days are moved"):
        run = ran("scout_quarantine", dsn, event_ids=[row[0] for row in found if row[1] != day])["run_id"]
        ran("scout_undo", dsn, run_id=run)
    assert rows(other, "SELECT * FROM old ORDER BY 1") == kept
    with subtests.test("poison"):
        poison = one(dsn, POISON)
        refused = call("scout_drain", dsn)
        assert f"refused to move event {poison} to the dead letter queue" in refused["msg"]
        assert one(other, "SELECT count(*) FROM old WHERE event_id = %s", poison) == 1


def test_a_day_that_goes_there_while_it_is_moved(archived: tuple[str, Callable[[str], None], str]) -> None:
    """What was moved before stays moved; the batch that would delete over there is rolled back on both sides."""
    dsn, put, other = archived
    found = rows(dsn, OLDEST)
    day, ids = found[-1][1], [row[0] for row in found]

    def hear(line: str) -> None:
        if line.startswith("looking for events that share"):
            put(day)

    refused = call("scout_quarantine", dsn, event_ids=ids, progress=Progress(hear))
    assert f"{day} is a foreign table" in refused["msg"]
    assert one(other, "SELECT count(*) FROM old WHERE event_id = ANY(%s::uuid[])", ids) == sum(
        row[1] == day for row in found
    )
    assert one(dsn, "SELECT count(*) FROM scout.bronze_events_dlq") + one(
        dsn, "SELECT count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])", ids
    ) == len(ids)


def test_a_rollback_leaves_it_as_it_is(archived: tuple[str, Callable[[str], None], str]) -> None:
    """Whether it was there when the release was captured, or went there in a night since."""
    dsn, put, other = archived
    ran("scout_capture", dsn, release="v1")
    day = rows(dsn, OLDEST)[0][1]
    put(day)
    assert not [each for each in ran("scout_health_info", dsn)["diagnoses"] if "schema differs" in each["cause"]]
    for released in (True, False):
        if not released:
            ran("scout_capture", dsn, release="v2")
        with connect(dsn) as session:
            session.execute("ALTER TABLE scout.bronze_events ADD COLUMN channel text")
        with pytest.raises(psycopg.Error, match="channel"):
            rows(dsn, "SELECT channel FROM scout.bronze_events")
        refused = call("scout_rollback", dsn, release="v1" if released else "v2", rehearse=False)
        assert "column scout.bronze_events.channel: would be dropped and cannot be saved" in refused["msg"]
        ran("scout_rollback", dsn, release="v1" if released else "v2", rehearse=False, allow_lossy=True)
        assert one(dsn, f"SELECT count(*) FROM {day}") == one(other, "SELECT count(*) FROM old")
        assert one(dsn, "SELECT relkind::text FROM pg_class WHERE oid = %s::regclass", day) == "f"
