# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a column's type has a cast to text, or from it, whose function acts with the rights of whoever reads the column so."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, one, rows
from tests.security.roles import drop_roles

MALLORY = "mallory"

#: Whoever is allowed more than the pipeline's owner makes mallory a superuser by a value of it.
PLANTED = """
CREATE ROLE mallory LOGIN;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
SET ROLE mallory;
CREATE TYPE mallory.mood AS ENUM ('sad', 'ok');
CREATE FUNCTION mallory.gain() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'loader' THEN
        EXECUTE 'ALTER ROLE mallory SUPERUSER';
    END IF;
END $$;
"""
CASTS = {
    "to text": """
CREATE FUNCTION mallory.said(m mallory.mood) RETURNS text LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.gain(); RETURN pg_catalog.enum_out(m); END $$;
CREATE CAST (mallory.mood AS text) WITH FUNCTION mallory.said(mallory.mood);
""",
    "from text": """
CREATE FUNCTION mallory.heard(m text) RETURNS mallory.mood LANGUAGE plpgsql AS $$
BEGIN PERFORM mallory.gain(); RETURN 'ok'; END $$;
CREATE CAST (text AS mallory.mood) WITH FUNCTION mallory.heard(text);
""",
}
LOADED = "SELECT event_id::text FROM scout.etl_processed JOIN scout.bronze_events USING (event_id) ORDER BY 1 LIMIT 2"


@pytest.fixture(params=CASTS)
def attacked(scout_db: str, request: pytest.FixtureRequest) -> Iterator[str]:
    """The dsn of an operator in a database in which the pipeline uses mallory's type."""
    with connect(scout_db) as session:
        session.execute((PLANTED + CASTS[request.param]).encode())
        session.execute("RESET ROLE; ALTER TABLE scout.bronze_events ADD COLUMN mood mallory.mood DEFAULT 'ok'")
        session.execute("ALTER TABLE scout.dim_store ADD COLUMN mood mallory.mood DEFAULT 'ok'")
    yield scout_db
    with connect(scout_db) as session:
        session.execute("DROP TYPE mallory.mood CASCADE")
    drop_roles(scout_db, MALLORY)


def gained(dsn: str) -> bool:
    return one(dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'")


def test_no_row_is_moved_where_such_a_cast_would_run(attacked: str) -> None:
    events = [row[0] for row in rows(attacked, LOADED)]
    for check in (True, False):
        result = call("scout_quarantine", attacked, event_ids=events, check=check)
        assert not gained(attacked)
        assert result.get("failed"), result
        assert "cast " in result["error"]["said"], result["error"]
        assert "belongs to mallory" in result["error"]["said"]
        assert "DROP CAST (" in result["error"]["next_step"]


def test_neither_capture_nor_rollback_reads_a_value_by_it(attacked: str) -> None:
    with connect(attacked) as session:
        session.execute(
            "INSERT INTO scout.dim_store (store_id, store_name) SELECT 's' || n, 'n' FROM generate_series(1, 3) AS n"
        )
    protected = call("scout_capture", attacked, release="v0", protect=["scout.dim_store"])
    assert protected.get("failed"), protected
    assert "DROP CAST" in protected["error"]["next_step"]
    assert not gained(attacked)

    captured = call("scout_capture", attacked, release="v1")
    assert not captured.get("failed"), captured["msg"]
    with connect(attacked) as session:
        session.execute(
            "CREATE TABLE scout.moody (mood mallory.mood PRIMARY KEY, n text); INSERT INTO scout.moody VALUES ('ok', 'x')"
        )
    for check in (True, False):
        result = call(
            "scout_rollback", attacked, check=check, look=check, release="v1", rehearse=False, allow_owners=["postgres"]
        )
        assert not gained(attacked)
        assert result.get("failed"), result["summary"]
        assert "DROP CAST" in result["error"]["said"]


def test_neither_does_an_undo_that_it_waits_for(attacked: str, request: pytest.FixtureRequest) -> None:
    """Nobody but the type's owner knows of the cast until there is something to undo."""
    cast = CASTS[request.node.callspec.params["attacked"]].strip().splitlines()[-1]
    gone = cast.replace("CREATE", "DROP").partition(" WITH ")[0].encode()
    with connect(attacked) as session:
        session.execute(gone)
        assert not call("scout_capture", attacked, release="v1").get("failed")
        session.execute(
            "CREATE TABLE scout.moody (mood mallory.mood PRIMARY KEY, n text); INSERT INTO scout.moody VALUES ('ok', 'x')"
        )
        result = call("scout_rollback", attacked, release="v1", rehearse=False, allow_owners=["postgres"])
        assert not result.get("failed"), result["msg"]
        session.execute(cast.encode())
        undone = call("scout_undo", attacked, run_id=result["run_id"], rehearse=False, allow_owners=["postgres"])
        assert not gained(attacked)
        assert undone.get("failed"), undone
        session.execute(gone)
    undone = call("scout_undo", attacked, run_id=result["run_id"], rehearse=False, allow_owners=["postgres"])
    assert not undone.get("failed"), undone["msg"]
    assert rows(attacked, "SELECT mood::varchar, n FROM scout.moody") == [("ok", "x")]


def test_a_cast_of_a_type_that_no_table_has_keeps_nobody_from_working(scout_db: str, tmp_path: Path) -> None:
    """Who owns a type, also of a session, may make a cast from jsonb to it, which no statement of ours can call."""
    library.poison_event(scout_db, "bad_ts")
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN; GRANT CREATE ON SCHEMA public TO mallory")
    operator = builder.operator(scout_db)
    try:
        with connect(scout_db, user="mallory") as session:
            for at, of in itertools.product(("pg_temp", "public"), ("jsonb", "text", "uuid", "timestamptz")):
                session.execute(
                    f"CREATE TYPE {at}.t_{of} AS (x int);"
                    f"CREATE FUNCTION {at}.f(v {of}) RETURNS {at}.t_{of} LANGUAGE sql AS 'SELECT NULL::{at}.t_{of}';"
                    f"CREATE CAST ({of} AS {at}.t_{of}) WITH FUNCTION {at}.f({of})".encode()
                )
            played = Stage(tmp_path).play("emergency_reset", operator)
            assert played.rc == 0, played.text
            assert played.result["ingestion"] == "running", played.text
            events = [row[0] for row in rows(scout_db, LOADED)]
            moved = call("scout_quarantine", operator, event_ids=events)
            assert not moved.get("failed"), moved
        assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") == 1 + len(events)
    finally:
        drop_roles(scout_db, "scout_operator", MALLORY)
