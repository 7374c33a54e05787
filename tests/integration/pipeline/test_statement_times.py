# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where pg_cron shows no run, pg_stat_statements says how long the pipeline takes, by what its owners alone ran themselves."""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import call, connect, one, operator
from tests.scout.fixtures import memory, small

LIBRARY = {"shared_preload_libraries": "pg_stat_statements", "pg_stat_statements.track": "all"}
CALL = "SELECT pg_sleep(0.4) FROM scout.load_silver_from_bronze(1)"
REFRESH = "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics"
#: Who may call the ETL, and one of its owner's functions that calls it, and has a function of the same name.
VISITOR = """
DROP ROLE IF EXISTS visitor;
CREATE ROLE visitor LOGIN;
GRANT USAGE ON SCHEMA scout TO visitor;
CREATE SCHEMA visitor AUTHORIZATION visitor;
CREATE FUNCTION visitor.load_silver_from_bronze(n int) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT pg_sleep(0.4); END;
CREATE FUNCTION scout.load_now() RETURNS void LANGUAGE plpgsql SECURITY DEFINER
    AS 'BEGIN PERFORM pg_sleep(0.4) FROM scout.load_silver_from_bronze(1); END';
ALTER FUNCTION scout.load_now() OWNER TO loader;
"""


@pytest.fixture(scope="module")
def pg_server() -> Iterator[Server]:
    """A server of its own, which counts statements from its start."""
    if os.environ.get("SCOUT_TEST_SERVER"):
        pytest.skip("SCOUT_TEST_SERVER names a server that may not count statements")
    with Server(settings=LIBRARY, folder=memory()) as server:
        yield server


scout_template = small(300)


@pytest.fixture(autouse=True)
def unscheduled(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The extension where a hosted service has it; the pipeline's jobs are run by something else, and plans say nothing."""
    monkeypatch.setattr(expected, "SECONDS_PER_COST", 0.0)
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute("CREATE SCHEMA extensions; CREATE EXTENSION pg_stat_statements SCHEMA extensions")
        connection.execute("GRANT USAGE ON SCHEMA extensions TO PUBLIC")


def run(dsn: str, statement: str, times: int = 3, user: str = "loader") -> None:
    with psycopg.connect(dsn, user=user, autocommit=True) as session:
        for _ in range(times):
            session.execute(statement.encode())


def call_seconds(dsn: str) -> float:
    with open_session(Settings(dsn=dsn)) as session, session.read():
        return expected.call_seconds(session)


def gold_seconds(dsn: str) -> float:
    with open_session(Settings(dsn=dsn)) as session, session.read():
        return expected.gold_seconds(session)


def test_a_call_takes_what_its_owner_usually_waits_for_it(scout_db: str) -> None:
    assert call_seconds(scout_db) == 0
    run(scout_db, CALL)
    assert 0.4 <= call_seconds(scout_db) < 0.8
    # An estimate is known before anything is stopped.
    foreseen = call("scout_ingestion", scout_db, state="paused", expects={"moves": 200}, max_pause="1s", check=True)
    assert "moving 200 events" in foreseen["msg"]


@pytest.mark.parametrize(
    ("user", "statement"),
    [
        ("visitor", CALL),
        ("visitor", "SELECT visitor.load_silver_from_bronze(1)"),
        ("visitor", "SET search_path = visitor; SELECT load_silver_from_bronze(1)"),
        ("visitor", "SELECT scout.load_now()"),
        ("visitor", "SELECT pg_sleep(0.4) -- scout.load_silver_from_bronze(1)"),
        ("loader", "SELECT pg_sleep(0.4) -- scout.load_silver_from_bronze(1)"),
        ("loader", "SELECT pg_sleep(0.4), 'scout.load_silver_from_bronze(1)'"),
        ("loader", "DO $$BEGIN PERFORM pg_sleep(0.4); RAISE NOTICE 'scout.load_silver_from_bronze(1)'; END$$"),
    ],
)
def test_nobody_else_and_nothing_else_counts(scout_db: str, user: str, statement: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(VISITOR.encode())
    try:
        run(scout_db, statement, user=user)
        slow = "SELECT count(*) FROM extensions.pg_stat_statements WHERE calls = 3 AND mean_exec_time >= 400"
        assert one(scout_db, slow) >= 1
        assert call_seconds(scout_db) == 0
    finally:
        with connect(scout_db) as connection:
            connection.execute("DROP OWNED BY visitor CASCADE; DROP ROLE visitor")


def test_a_refresh_takes_what_its_owner_usually_waits_for_it(scout_db: str) -> None:
    """Of a view by itself, or of all by the function; a look whether there is anything to refresh takes no time."""
    run(scout_db, "REFRESH MATERIALIZED VIEW scout.gold_region_choropleth", 2)
    run(scout_db, "SELECT pg_sleep(0.4), 'REFRESH MATERIALIZED VIEW scout.gold_daily_metrics'")
    run(scout_db, f"DO $$BEGIN PERFORM pg_sleep(0.4); RAISE NOTICE '{REFRESH}'; END$$")
    assert gold_seconds(scout_db) == 0
    run(scout_db, REFRESH)
    assert 0 < gold_seconds(scout_db) < 0.4
    run(scout_db, "SELECT scout.maybe_refresh_gold()", 9)
    run(scout_db, "SELECT pg_sleep(0.6) FROM scout.refresh_gold_platinum()")
    assert 0.6 <= gold_seconds(scout_db) < 2


@pytest.mark.parametrize(("without", "seen"), [("stats", True), ("member", True), ("both", False)])
def test_an_operator_sees_them_as_the_owner_or_by_a_grant(scout_db: str, without: str, *, seen: bool) -> None:
    run(scout_db, CALL)
    with operator(scout_db, without=without if seen else "member") as dsn, connect(scout_db) as connection:
        if not seen:
            connection.execute(f"REVOKE pg_read_all_stats FROM {conninfo_to_dict(dsn)['user']}".encode())
        assert (call_seconds(dsn) >= 0.4) is seen


@pytest.mark.parametrize(
    ("version", "track", "seen"),
    [("1.7", "top", False), ("1.8", "top", True), ("1.8", "all", False), ("1.9", "all", True)],
)
def test_each_version_has_its_own_columns(scout_db: str, version: str, track: str, *, seen: bool) -> None:
    with connect(scout_db) as connection:
        connection.execute("DROP EXTENSION pg_stat_statements")
        connection.execute(f"CREATE EXTENSION pg_stat_statements SCHEMA public VERSION '{version}'".encode())
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET pg_stat_statements.track = '{track}'".encode())
    run(scout_db, CALL)
    assert (call_seconds(scout_db) >= 0.4) is seen


PLANTED = """
CREATE FUNCTION extensions.pg_stat_statements(showtext boolean) RETURNS TABLE (userid oid, dbid oid, toplevel boolean, queryid bigint,
    query text, calls bigint, min_exec_time float8, mean_exec_time float8, stddev_exec_time float8) LANGUAGE sql AS $$
SELECT 'loader'::regrole, d.oid, true, 1, 'SELECT scout.load_silver_from_bronze(1)', 9, 1e6, 1e6, 0
FROM pg_database AS d WHERE d.datname = current_database()$$
"""


@pytest.mark.parametrize("with_extension", [True, False])
def test_a_function_put_in_the_place_of_its_own_is_not_run(scout_db: str, *, with_extension: bool) -> None:
    """Whoever owns the extension may replace what it has, and would run code with the operator's rights."""
    with connect(scout_db) as connection:
        if with_extension:
            for what in ("VIEW extensions.pg_stat_statements", "FUNCTION extensions.pg_stat_statements(boolean)"):
                connection.execute(f"ALTER EXTENSION pg_stat_statements DROP {what}; DROP {what}".encode())
        else:
            connection.execute("DROP EXTENSION pg_stat_statements")
        connection.execute(PLANTED.encode())
        if with_extension:
            connection.execute("ALTER EXTENSION pg_stat_statements ADD FUNCTION extensions.pg_stat_statements(boolean)")
    assert call_seconds(scout_db) == 0
