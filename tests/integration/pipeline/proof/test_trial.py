# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where no scheduler can prove anything, the jobs' commands are tried as their roles, and nothing of that remains."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import Result, call, connect, executed, fingerprint, jobs, one, operator, rows, run

ETL, GOLD = "bronze-to-silver-etl", "smart-gold-refresh"
ETL_FUNCTION = '"scout"."load_silver_from_bronze"(integer)'

DROP_UNIQUE = """
DO $$ BEGIN
    EXECUTE (SELECT 'DROP INDEX ' || indexrelid::regclass FROM pg_index
             WHERE indisunique AND NOT indisprimary AND indrelid = 'scout.silver_line_items'::regclass);
END $$
"""
REFRESHES_NOTHING = """
CREATE OR REPLACE FUNCTION scout.maybe_refresh_gold()
RETURNS TABLE (should_refresh boolean, new_silver_records bigint, last_refresh timestamptz)
LANGUAGE sql AS 'SELECT true, 1::bigint, now()'
"""
REFRESH_ALWAYS_FAILS = """
CREATE OR REPLACE FUNCTION scout.refresh_gold_platinum()
RETURNS TABLE (operation text, duration_ms int, status text)
LANGUAGE sql AS $$ SELECT 'gold', 0, 'ERROR: out of paint' $$
"""
CHANGED_BY_HAND = "UPDATE scout.silver_transactions SET total_amount = total_amount + 1"
OUR_LOCKS = """
SELECT count(*) FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
WHERE l.locktype = 'advisory' AND d.datname = current_database()
"""


def prove(dsn: str, **options: Any) -> Result:
    return call("scout_proof_info", dsn, **options)


@pytest.fixture(params=["scout_db", "repaired_db"])
def either_db(request: pytest.FixtureRequest) -> str:
    return request.getfixturevalue(request.param)


@pytest.fixture
def worker(scout_db: str) -> Iterator[str]:
    """A role of this test alone, to whom the jobs belong; loader is that of the whole server."""
    name = f"worker_{conninfo_to_dict(scout_db)['dbname']}"
    role = sql.Identifier(name)
    with connect(scout_db) as connection:
        for statement in (
            "CREATE ROLE {} LOGIN",
            "GRANT USAGE ON SCHEMA scout, cron TO {}",
            "GRANT ALL ON ALL TABLES IN SCHEMA scout TO {}",
            "GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA scout TO {}",
            "GRANT EXECUTE ON FUNCTION cron.alter_job TO {}",
        ):
            connection.execute(sql.SQL(statement).format(role))
        connection.execute("REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA scout FROM public")
        connection.execute("UPDATE cron.job SET username = %s", [name])
    yield name
    with connect(scout_db) as connection:
        connection.execute(sql.SQL("DROP OWNED BY {}").format(role))
        connection.execute(sql.SQL("DROP ROLE {}").format(role))


def said(result: Result, jobname: str = ETL) -> str:
    """What the proof of a job came to; the job of that name failed or is unknown."""
    [found] = [each for each in result["jobs"] if each["jobname"] == jobname]
    assert found["status"] == "failed", result
    assert not result["proven"]
    assert result["error"]
    assert found["said"] in result["error"]["said"]
    return str(found["said"])


def add_job(dsn: str, jobname: str, schedule: str, command: str) -> None:
    """One more, as whom and where the one that refreshes gold runs."""
    with connect(dsn) as session:
        session.execute(
            "INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)"
            " SELECT %s, %s, nodename, nodeport, database, username, true, %s FROM cron.job WHERE jobname = %s",
            [schedule, command, jobname, GOLD],
        )


def sequences(dsn: str) -> list[tuple[Any, ...]]:
    return rows(dsn, "SELECT schemaname, sequencename, last_value FROM pg_sequences ORDER BY 1, 2")


@pytest.mark.parametrize("front", [call, executed])
def test_a_healthy_pipeline_is_proved_and_nothing_remains(either_db: str, front: Any) -> None:
    before, numbers = fingerprint(either_db), sequences(either_db)
    result = front("scout_proof_info", either_db)
    assert result["proven"], result
    assert result["status"] == "proved"
    assert result["state"] == "running"
    assert not result["changed"]
    assert not result["waits"]
    assert result["error"] is None
    assert [(each["jobname"], each["purpose"], each["how"], each["status"]) for each in result["jobs"]] == [
        (ETL, "load", "trial", "proved"),
        ("product-linking", "other", "trial", "proved"),
        (GOLD, "gold", "trial", "proved"),
    ]
    assert result["summary"] == (
        f"{ETL} loads as before, product-linking runs, {GOLD} refreshes 2 views (tried as loader, rolled back)"
    )
    assert (fingerprint(either_db), sequences(either_db)) == (before, numbers)
    assert one(either_db, OUR_LOCKS) == 0


def test_check_mode_tries_nothing(scout_db: str) -> None:
    run(scout_db, "ALTER FUNCTION scout.load_silver_from_bronze(int) RENAME TO gone")
    result = prove(scout_db, check=True)
    assert (result["status"], result["error"], result["waits"]) == ("planned", None, False)


def test_what_nobody_wants_is_unproven(scout_db: str) -> None:
    result = prove(scout_db, wanted=False)
    assert (result["status"], result["proven"], result["summary"]) == (
        "skipped",
        False,
        "unproven, because proof=false",
    )


def test_pending_events_are_loaded_before_the_proof(scout_db: str) -> None:
    """An event that cannot be loaded is the next that the job meets."""
    [event] = library.poison_event(scout_db, "non_numeric_amount")
    before = fingerprint(scout_db)
    result = prove(scout_db)
    text = said(result)
    assert f"event {event}" in text
    assert 'invalid input syntax for type numeric: "…"' in text
    assert result["error"]["sqlstate"] == "22P02"
    # Nothing that gold could show comes into silver.
    [gold] = [each for each in result["jobs"] if each["jobname"] == GOLD]
    assert gold["status"] == "unknown"
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize(
    ("fault", "text", "cure"),
    [
        ("REVOKE EXECUTE ON FUNCTION scout.load_silver_from_bronze(int) FROM {worker}",
         "permission denied for function load_silver_from_bronze",
         f'GRANT EXECUTE ON FUNCTION {ETL_FUNCTION} TO "{{worker}}"'),
        ("REVOKE USAGE ON SCHEMA scout FROM {worker}", "permission denied for schema scout",
         'GRANT USAGE ON SCHEMA "scout" TO "{worker}"'),
        ("ALTER ROLE {worker} SET statement_timeout = '50ms'", "statement_timeout of 50 ms is set for role {worker}",
         'ALTER ROLE "{worker}" RESET statement_timeout'),
        ("ALTER ROLE {worker} IN DATABASE {database} SET statement_timeout = 1",
         "statement_timeout of 1 ms is set for role {worker} in database {database}",
         'ALTER ROLE "{worker}" IN DATABASE "{database}" RESET statement_timeout'),
        ("ALTER DATABASE {database} SET statement_timeout = '50ms'", "statement_timeout of 50 ms is set for database {database}",
         'ALTER DATABASE "{database}" RESET statement_timeout'),
        ("ALTER ROLE {worker} SET default_transaction_read_only = on", "default_transaction_read_only is on for role {worker}",
         'ALTER ROLE "{worker}" RESET default_transaction_read_only'),
        ("ALTER ROLE {worker} CONNECTION LIMIT 0", "role {worker} has CONNECTION LIMIT 0",
         'ALTER ROLE "{worker}" CONNECTION LIMIT -1'),
        ("ALTER ROLE {worker} NOLOGIN", "role {worker} may not log in", 'ALTER ROLE "{worker}" LOGIN'),
        ("UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = 'bronze-to-silver-etl'", "its command is SELECT 1", ""),
        ("UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = 'bronze-to-silver-etl'",
         "its command is SELECT scout.load_silver_from_bronze(0)", ""),
        ("UPDATE cron.job SET command = 'SELECT load_silver_from_bronze(5)' WHERE jobname = 'bronze-to-silver-etl'",
         "function load_silver_from_bronze(integer) does not exist", ""),
        ("ALTER FUNCTION scout.load_silver_from_bronze(int) SECURITY INVOKER; REVOKE INSERT ON scout.silver_line_items FROM {worker}",
         "permission denied for table silver_line_items", ""),
        ("ALTER FUNCTION scout.load_silver_from_bronze(int) OWNER TO dashboard_reader", "permission denied for", ""),
        (DROP_UNIQUE,
         "no unique or exclusion constraint matching the ON CONFLICT specification", ""),
        ("ALTER TABLE scout.silver_transactions RENAME COLUMN net_amount TO net",
         'column "net_amount" of relation "silver_transactions"', ""),
    ],
)  # fmt: skip
def test_a_job_that_cannot_load_is_named_with_its_cause(
    scout_db: str, worker: str, fault: str, text: str, cure: str
) -> None:
    names = {"worker": worker, "database": conninfo_to_dict(scout_db)["dbname"]}
    assert [each["status"] for each in prove(scout_db)["jobs"] if each["purpose"] == "load"] == ["proved"]
    run(scout_db, *fault.format(**names).split("; "))
    try:
        result = prove(scout_db)
        assert text.format(**names) in said(result)
        assert result["error"]["next_step"].startswith(cure.format(**names))
    finally:
        run(scout_db, f"ALTER ROLE {worker} LOGIN CONNECTION LIMIT -1")


def test_the_functions_of_a_wrapper_and_its_schema_are_those_of_the_job(scout_db: str) -> None:
    """The job calls a function of its own, by a search path that only its role has in this database."""
    name = sql.Identifier(conninfo_to_dict(scout_db)["dbname"]).as_string()
    run(
        scout_db,
        "CREATE SCHEMA nightly AUTHORIZATION loader",
        "SET ROLE loader",
        "CREATE FUNCTION nightly.step() RETURNS void LANGUAGE plpgsql AS 'BEGIN PERFORM scout.load_silver_from_bronze(10); END'",
        "RESET ROLE",
        f"ALTER ROLE loader IN DATABASE {name} SET search_path = nightly",
        "UPDATE cron.job SET command = 'SELECT step()', jobname = 'load' WHERE jobname = 'bronze-to-silver-etl'",
    )
    result = prove(scout_db)
    assert result["proven"], (result["error"], result["jobs"])
    assert {each["jobname"] for each in result["jobs"]} == {"load", "product-linking", GOLD}
    assert call("scout_health_info", scout_db)["diagnoses"] == []
    run(scout_db, f"ALTER ROLE loader IN DATABASE {name} RESET search_path")
    assert "function step() does not exist" in said(prove(scout_db), "load")


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_job_that_takes_few_events_a_run_loads(scout_db: str, limit: int) -> None:
    run(
        scout_db,
        f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze({limit})' WHERE jobname = '{ETL}'",
        "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '2 hours'",
    )
    result = prove(scout_db)
    assert result["proven"], (result["error"], result["jobs"])


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("UPDATE cron.job SET active = false WHERE jobname = 'bronze-to-silver-etl'", f"{ETL} is inactive, so nothing loads"),
        ("DELETE FROM cron.job WHERE jobname = 'bronze-to-silver-etl'",
         "no job calls scout.load_silver_from_bronze, so nothing loads"),
    ],
)  # fmt: skip
def test_without_an_active_job_nothing_loads(scout_db: str, fault: str, text: str) -> None:
    run(scout_db, fault)
    result = prove(scout_db)
    assert result["status"] == "failed"
    assert text in result["error"]["said"]


def test_a_job_that_was_moved_to_another_database_is_found(scout_db: str) -> None:
    run(scout_db, "UPDATE cron.job SET database = 'postgres'")
    result = prove(scout_db)
    assert f"{ETL} runs in database postgres and not in this one" in result["error"]["said"]


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        ("BEGIN; ", " COMMIT;", "proved"),
        ("start transaction;", "\nend", "proved"),
        ("BEGIN; /* all of it */ ", " COMMIT; -- and no more", "proved"),
        ("BEGIN; ", " ROLLBACK;", "unknown"),
        # Whatever a session leaves open is undone.
        ("BEGIN; ", " -- and then; COMMIT", "unknown"),
        ("BEGIN; ", " COMMIT; BEGIN; SELECT 1; ROLLBACK; BEGIN; SELECT 1; COMMIT", "unknown"),
        ("BEGIN; SELECT 1 / 0; ", " COMMIT;", "failed"),
    ],
)
def test_a_command_that_is_a_transaction_of_its_own_is_tried(
    scout_db: str, before: str, after: str, status: str
) -> None:
    run(
        scout_db,
        f"UPDATE cron.job SET command = '{before}' || rtrim(command, ';') || ';{after}' WHERE jobname = '{ETL}'",
    )
    [found] = [each for each in call("scout_proof_info", scout_db)["jobs"] if each["jobname"] == ETL]
    assert found["status"] == status, found


@pytest.mark.parametrize("refresh", ["SELECT scout.maybe_refresh_gold()", "SELECT scout.refresh_gold_platinum()"])
def test_a_job_that_loads_may_refresh_gold_as_well(scout_db: str, refresh: str) -> None:
    run(scout_db, f"UPDATE cron.job SET command = rtrim(command, ';') || '; {refresh}' WHERE jobname = '{ETL}'")
    found = {each["jobname"]: (each["status"], each["said"]) for each in call("scout_proof_info", scout_db)["jobs"]}
    assert (found[ETL][0], found[GOLD][0]) == ("proved", "proved"), found


@pytest.mark.parametrize("jobid", [0, 1000], ids=["before", "after"])
def test_two_jobs_that_refresh_gold_are_each_judged_alone(scout_db: str, jobid: int) -> None:
    add_job(scout_db, "nightly", "30 2 * * *", "SELECT scout.refresh_gold_platinum()")
    run(scout_db, f"UPDATE cron.job SET jobid = {jobid} WHERE jobname = 'nightly'")
    found = {each["jobname"]: (each["status"], each["said"]) for each in call("scout_proof_info", scout_db)["jobs"]}
    assert (found[GOLD][0], found["nightly"][0]) == ("proved", "proved"), found


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("DROP MATERIALIZED VIEW scout.gold_region_choropleth", 'relation "scout.gold_region_choropleth" does not exist'),
        ("DROP INDEX scout.gold_region_choropleth_pk", "cannot refresh materialized view"),
        ("ALTER MATERIALIZED VIEW scout.gold_daily_metrics OWNER TO dashboard_reader", "permission denied for materialized view"),
        (REFRESHES_NOTHING, "its command is SELECT scout.maybe_refresh_gold();"),
        (REFRESH_ALWAYS_FAILS, "ERROR: out of paint"),
        ("UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = 'smart-gold-refresh'", "its command is SELECT 1"),
    ],
)  # fmt: skip
def test_a_job_that_does_not_refresh_gold_is_named_with_its_cause(scout_db: str, fault: str, text: str) -> None:
    run(scout_db, fault)
    before = fingerprint(scout_db)
    assert text in said(prove(scout_db), GOLD)
    assert fingerprint(scout_db) == before


@pytest.mark.parametrize("swallowed", ["transaction", "everything"])
def test_an_etl_that_marks_events_and_writes_nothing_is_found(scout_db: str, swallowed: str) -> None:
    run(
        scout_db,
        "CREATE FUNCTION scout.swallow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER swallows BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.swallow()",
        "CREATE TRIGGER swallows BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION scout.swallow()",
    )
    assert "scout.silver_transactions has nothing of them" in said(prove(scout_db))


def test_a_job_of_others_that_cannot_be_tried_is_named_with_why(scout_db: str) -> None:
    commits = "BEGIN UPDATE scout.silver_transactions SET net_amount = 0; COMMIT; END"
    run(scout_db, f"CREATE PROCEDURE scout.nightly() LANGUAGE plpgsql AS '{commits}'")
    add_job(scout_db, "nightly", "0 1 * * *", "CALL scout.nightly()")
    [found] = [each for each in prove(scout_db)["jobs"] if each["jobname"] == "nightly"]
    assert found["status"] == "proved"
    assert "what it does to events could not be tried: invalid transaction termination" in found["said"]


def test_a_view_of_the_teams_own_is_not_the_refresh_jobs(scout_db: str) -> None:
    """Its own job refreshes it: that the pipeline's does not is no fault of it."""
    query = "SELECT date_key, count(*) AS transaction_count FROM scout.silver_transactions GROUP BY 1"
    run(
        scout_db,
        f"CREATE MATERIALIZED VIEW scout.gold_own AS {query}",
        "CREATE UNIQUE INDEX ON scout.gold_own (date_key)",
        "ALTER MATERIALIZED VIEW scout.gold_own OWNER TO loader",
    )
    add_job(scout_db, "own", "*/10 * * * *", "REFRESH MATERIALIZED VIEW CONCURRENTLY scout.gold_own")
    result = prove(scout_db)
    assert result["proven"], result["error"]
    assert "refreshes 2 views" in next(
        each["said"] for each in result["jobs"] if each["jobname"] == "smart-gold-refresh"
    )


def test_nobody_gains_a_right_by_the_proof(scout_db: str) -> None:
    """A command, or what it calls, that becomes who proves it is refused; one that ends the transaction as well."""
    name = f"thief_{conninfo_to_dict(scout_db)['dbname']}"
    for command in (
        "RESET ROLE; CREATE TABLE public.stolen ()",
        "SET SESSION AUTHORIZATION DEFAULT; CREATE TABLE public.stolen ()",
        "COMMIT; CREATE TABLE public.stolen ()",
        f"DO $$ BEGIN EXECUTE 'RESET ROLE'; EXECUTE 'CREATE ROLE {name} SUPERUSER'; END $$",
        "VACUUM scout.alerts",
    ):
        with connect(scout_db) as connection:
            connection.execute("UPDATE cron.job SET command = %s WHERE jobname = %s", [command, ETL])
        result = prove(scout_db)
        assert result["status"] == "unknown", result
        assert "cannot tell whether the pipeline works by itself" in result["error"]["attempted"]
        assert one(
            scout_db,
            "SELECT to_regclass('public.stolen') IS NULL AND NOT EXISTS (SELECT FROM pg_roles WHERE rolname = %s)",
            name,
        )


def test_an_operator_without_superuser_proves_the_jobs_of_their_owner(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        result = prove(dsn)
        assert result["proven"], result
    with operator(scout_db, without="member") as dsn:
        assert "pg_cron shows a role only its own jobs" in prove(dsn)["msg"]


def test_a_trial_takes_no_number_from_a_sequence(scout_db: str) -> None:
    run(scout_db, "ALTER TABLE scout.silver_line_items ADD COLUMN number bigserial")
    numbers = sequences(scout_db)
    assert prove(scout_db)["proven"]
    assert sequences(scout_db) == numbers


def test_a_lock_of_somebody_else_is_no_verdict(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof.as_job.LOCK_SECONDS", 0.2
    )
    with psycopg.connect(scout_db) as other:
        other.execute("LOCK TABLE scout.silver_transactions IN SHARE MODE")
        result = prove(scout_db)
        assert result["status"] == "unknown"
        assert "waited 0.2 s for a lock" in result["error"]["said"]


def test_a_refresh_of_somebody_else_is_waited_for(scout_db: str) -> None:
    """Scout's own says SKIPPED meanwhile, which is no sign that the job does not work."""
    with psycopg.connect(scout_db, autocommit=True) as other:
        other.pgconn.send_query(f"SELECT pg_advisory_xact_lock({library.REFRESH_LOCK}), pg_sleep(2)".encode())
        result = prove(scout_db)
        while other.pgconn.get_result():
            pass
    assert result["proven"], result


def test_a_refresh_that_does_not_end_is_no_verdict(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof.as_job.LOCK_SECONDS", 0.2
    )
    with psycopg.connect(scout_db, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [library.REFRESH_LOCK])
        result = prove(scout_db)
        assert result["status"] == "unknown"
        assert f"is held by pid {other.info.backend_pid} " in result["error"]["said"]


def test_who_names_jobs_has_those_proved(scout_db: str) -> None:
    """Of one that neither loads nor refreshes nobody knows the effect."""
    result = prove(scout_db, jobs=[ETL])
    assert [(each["jobname"], each["purpose"]) for each in result["jobs"]] == [(ETL, "load")]
    assert result["proven"]
    result = prove(scout_db, jobs=["data-quality-alerts"])
    assert [(each["jobname"], each["purpose"]) for each in result["jobs"]] == [("data-quality-alerts", "other")]
    assert result["proven"]
    assert result["summary"] == "data-quality-alerts runs (tried as loader, rolled back)"


def test_settings_of_the_operator_are_not_those_of_the_job(scout_db: str) -> None:
    """A search path of one's own would let a job work that the scheduler cannot run."""
    run(
        scout_db,
        "UPDATE cron.job SET command = 'SELECT load_silver_from_bronze(5)' WHERE jobname = 'bronze-to-silver-etl'",
    )
    dsn = make_conninfo(scout_db, options="-c search_path=scout")
    assert "function load_silver_from_bronze(integer) does not exist" in said(prove(dsn))
    assert {job[4] for job in jobs(scout_db)} == {True}


def test_two_pending_events_of_one_sale_are_named(scout_db: str) -> None:
    sale = generator.transaction(time.time_ns() % 10**9, 0)
    with connect(scout_db) as connection:
        generator.insert(connection, sale)
        generator.insert(connection, sale | {"net_amount": 1})
    result = prove(scout_db)
    assert "2 pending events have transaction_id" in said(result)
    assert result["error"]["next_step"] == "emergency_reset.yml"
