# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may only connect and make temporary things keeps nobody from pausing, and decides nothing about it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.integration.modules import call, connect, jobs, off
from tests.security.roles import drop_roles

ETL = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, in a database that mallory may connect to."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
    yield builder.operator(scout_db)
    drop_roles(scout_db, "scout_operator", "mallory")


@pytest.fixture
def mallory(scout_db: str, operator: str) -> Iterator[psycopg.Connection]:
    session = connect(scout_db, user="mallory")
    yield session
    session.close()


def nested(depth: int) -> str:
    source = "SELECT 1"
    for number in range(depth):
        source = f"EXECUTE $n{number}$ {source} $n{number}$"
    return source


def works(operator: str) -> float:
    """Assesses, pauses and resumes; how many seconds that took."""
    began = time.monotonic()
    assessed = call("scout_health_info", operator)
    assert not assessed.get("failed"), assessed
    paused = call("scout_ingestion", operator, state="paused", drain_timeout_seconds=5.0)
    assert (paused.get("failed"), paused.get("state")) == (None, "paused"), paused
    resumed = call("scout_ingestion", operator, state="running")
    assert not resumed.get("failed"), resumed
    return time.monotonic() - began


@pytest.mark.parametrize("where", ["pg_temp", "public"])
def test_nested_dollar_quotes_and_thousands_of_functions(
    scout_db: str, operator: str, mallory: psycopg.Connection, where: str
) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA public TO mallory")
    mallory.execute("SET check_function_bodies = off")
    mallory.execute(
        f"CREATE FUNCTION {where}.deep() RETURNS int LANGUAGE plpgsql AS $_x_$ {nested(2000)} $_x_$".encode()
    )
    mallory.execute(
        f"DO $_y_$ BEGIN FOR n IN 1..2000 LOOP EXECUTE format('CREATE FUNCTION {where}.step_%s() RETURNS int LANGUAGE plpgsql AS "
        "%L', n, format('BEGIN PERFORM step_%s(); DELETE FROM scout.silver_line_items; END', n + 1)); END LOOP; END $_y_$".encode()
    )
    assert works(operator) < 20


def test_the_name_of_his_function_pauses_no_other_job(
    scout_db: str, operator: str, mallory: psycopg.Connection
) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA public TO mallory")
        superuser.execute(
            "CREATE FUNCTION scout.count_sales() RETURNS bigint LANGUAGE sql "
            "AS 'SELECT count(*) FROM scout.silver_transactions'"
        )
        superuser.execute(
            "INSERT INTO cron.job (schedule, command, database, nodeport, username, jobname) "
            "VALUES ('* * * * *', 'SELECT count_sales()', current_database(), 5432, 'loader', 'count')"
        )
    writes = "RETURNS bigint LANGUAGE plpgsql AS 'BEGIN DELETE FROM scout.silver_transactions; RETURN 1; END'"
    mallory.execute(f"CREATE FUNCTION pg_temp.count_sales() {writes}".encode())
    mallory.execute(f"CREATE FUNCTION public.count_sales() {writes}".encode())
    paused = call("scout_ingestion", operator, state="paused")
    assert paused["state"] == "paused"
    assert off(scout_db) >= ETL
    assert "count" not in off(scout_db)


def test_a_job_that_calls_the_owners_function_is_paused(scout_db: str, operator: str) -> None:
    """What matters still does: whoever owns the pipeline, or the job."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE SCHEMA nightly AUTHORIZATION loader")
        superuser.execute("SET ROLE loader")
        superuser.execute(
            "CREATE FUNCTION nightly.tidy() RETURNS void LANGUAGE sql AS 'DELETE FROM scout.silver_line_items WHERE false'"
        )
        superuser.execute("RESET ROLE")
        superuser.execute(
            "INSERT INTO cron.job (schedule, command, database, nodeport, username, jobname) "
            "VALUES ('* * * * *', 'SELECT nightly.tidy()', current_database(), 5432, 'loader', 'tidy')"
        )
    assert call("scout_ingestion", operator, state="paused")["state"] == "paused"
    assert "tidy" in off(scout_db)


@pytest.mark.parametrize(
    "attack",
    [
        "SELECT load_silver_from_bronze(1)",
        "BEGIN; PREPARE hold AS INSERT INTO scout.silver_transactions SELECT * FROM scout.silver_transactions; SELECT pg_sleep(30)",
    ],
    ids=["a function of that name", "a lock without a right"],
)
def test_who_may_not_write_is_not_waited_for(
    scout_db: str, operator: str, mallory: psycopg.Connection, attack: str
) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("GRANT USAGE ON SCHEMA scout TO mallory")
        superuser.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scout FROM PUBLIC")
    sleeps = "CREATE FUNCTION pg_temp.load_silver_from_bronze(int) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(30)'"
    mallory.execute(sleeps)
    mallory.execute("SET search_path = pg_temp, scout")
    mallory.execute("SET application_name = 'pg_cron'")
    mallory.pgconn.send_query(attack.encode())
    assert works(operator) < 20


def test_a_function_of_another_schema_is_not_the_pipelines(
    scout_db: str, operator: str, mallory: psycopg.Connection
) -> None:
    """Even where everybody may call the real one."""
    with connect(scout_db) as superuser:
        superuser.execute("GRANT USAGE ON SCHEMA scout TO mallory")
    mallory.execute(
        "CREATE FUNCTION pg_temp.load_silver_from_bronze(int) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(30)'"
    )
    mallory.pgconn.send_query(b"SELECT pg_temp.load_silver_from_bronze(1)")
    assert works(operator) < 20


def test_what_cannot_be_judged_leads_to_the_names(scout_db: str, operator: str) -> None:
    """Even the owner's own function ends no pause: its jobs can be named."""
    before = jobs(scout_db)
    with connect(scout_db, options="-c check_function_bodies=off") as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA scout TO loader")
        superuser.execute("SET ROLE loader")
        superuser.execute(
            f"CREATE FUNCTION scout.deep() RETURNS int LANGUAGE plpgsql AS $_x_$ {nested(500)} $_x_$".encode()
        )
    refused = call("scout_ingestion", operator, state="paused")
    assert refused["failed"]
    assert "could not tell which jobs are ingestion" in refused["msg"]
    assert "function scout.deep: its strings are nested more than" in refused["msg"]
    assert '{"scout_ingestion_jobs": [' in refused["error"]["next_step"]
    assert jobs(scout_db) == before
    assert not call("scout_health_info", operator).get("failed")
    paused = call("scout_ingestion", operator, state="paused", jobs=sorted(ETL))
    assert paused["state"] == "paused", paused
    assert call("scout_ingestion", operator, state="running", jobs=sorted(ETL))["state"] == "running"
