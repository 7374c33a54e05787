# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that have no name in the product: each fails, and its first cause names the object and what to type."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import surroundings
from tests.integration.modules import Result, call, connect, one, operator
from tests.integration.scheduler import installed

LOADER = "bronze-to-silver-etl"
SILVER = "scout.silver_transactions"
LOAD = "scout.load_silver_from_bronze(integer)"
OLD_SILVER = f"UPDATE {SILVER} SET processed_at = processed_at - interval '20 minutes', updated_at = updated_at - interval '20 minutes'"
#: A role of this database alone: roles belong to the whole server, on which other tests work.
OWN_ROLE = ("CREATE ROLE {role} LOGIN", "GRANT loader TO {role}", "UPDATE cron.job SET username = '{role}'",
            "UPDATE cron.job_run_details SET username = '{role}'")  # fmt: skip
STRANGER = (*OWN_ROLE, "REVOKE loader FROM {role}", "GRANT USAGE ON SCHEMA scout TO {role}")


@dataclasses.dataclass(frozen=True)
class Fault:
    """What is done to a healthy pipeline, which check fails, a cause, and what to type next."""

    statements: tuple[str, ...]
    check: str
    cause: str
    command: str


FAULTS = {
    "the ETL job is inactive": Fault(
        (f"UPDATE cron.job SET active = false WHERE jobname = '{LOADER}'",),
        "jobs_active", f"job {LOADER} inactive", "resume_ingestion.yml -e '{\"ingestion_jobs\": [\"bronze-to-silver-etl\"]}'",
    ),
    "the linking job is inactive": Fault(
        ("UPDATE cron.job SET active = false WHERE jobname = 'product-linking'",),
        "jobs_active", "job product-linking inactive", "resume_ingestion.yml -e ",
    ),
    "the gold job is inactive": Fault(
        ("UPDATE cron.job SET active = false WHERE jobname = 'smart-gold-refresh'",),
        "jobs_active", "job smart-gold-refresh inactive", "resume_ingestion.yml -e ",
    ),
    "the job's role may not execute": Fault(
        (*STRANGER, f"REVOKE EXECUTE ON FUNCTION {LOAD} FROM public"),
        "job_rights", "may not execute scout.load_silver_from_bronze", "GRANT EXECUTE ON FUNCTION",
    ),
    "the job's role may not use the schema": Fault(
        (*OWN_ROLE, "REVOKE loader FROM {role}"),
        "job_rights", "may not use schema scout", 'GRANT USAGE ON SCHEMA "scout" TO',
    ),
    "the job's role has no connection left": Fault(
        (*OWN_ROLE, "ALTER ROLE {role} CONNECTION LIMIT 0"), "job_rights", "has CONNECTION LIMIT 0", "CONNECTION LIMIT -1;",
    ),
    "the job's role may not log in": Fault(
        (*OWN_ROLE, "ALTER ROLE {role} NOLOGIN"), "job_rights", "may not log in", " LOGIN;",
    ),
    "no statement of the role can end": Fault(
        (*OWN_ROLE, "ALTER ROLE {role} SET statement_timeout = '50ms'"),
        "job_rights", "statement_timeout is 50ms for ROLE", "RESET statement_timeout;",
    ),
    "no statement in the database can end": Fault(
        ("ALTER DATABASE {database} SET statement_timeout = 50",),
        "job_rights", "statement_timeout is 50 for DATABASE", "RESET statement_timeout;",
    ),
    "the function belongs to somebody without grants": Fault(
        ("CREATE ROLE {role}", f"ALTER FUNCTION {LOAD} OWNER TO {{role}}"),
        "job_rights", "scout.load_silver_from_bronze runs as its owner {role}, who may not", "TO \"{role}\"",
    ),
    "the definer may not mark": Fault(
        ("CREATE ROLE {role}", "GRANT USAGE ON SCHEMA scout TO {role}", "GRANT ALL ON ALL TABLES IN SCHEMA scout TO {role}",
         "REVOKE INSERT ON scout.etl_processed FROM {role}", f"ALTER FUNCTION {LOAD} OWNER TO {{role}}"),
        "job_rights", "may not INSERT scout.etl_processed", 'GRANT INSERT ON "scout"."etl_processed" TO',
    ),
    "the job is gone": Fault(
        (f"DELETE FROM cron.job WHERE jobname = '{LOADER}'",),
        "jobs_present", f"no job does the work of {LOADER}: there is none",
        f"SELECT cron.schedule('{LOADER}', '* * * * *', 'SELECT scout.load_silver_from_bronze(2000);');",
    ),
    "the job does something else": Fault(
        (f"UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = '{LOADER}'",),
        "jobs_present", "its command does not call load_silver_from_bronze", "SELECT cron.schedule(",
    ),
    "the job calls what somebody else has written": Fault(
        ("CREATE ROLE {role}", "CREATE SCHEMA ops", "GRANT USAGE ON SCHEMA ops TO PUBLIC",
         f"CREATE FUNCTION ops.nightly() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM {LOAD.replace('integer', '100')}'",
         "ALTER FUNCTION ops.nightly() OWNER TO {role}",
         f"UPDATE cron.job SET command = 'SELECT ops.nightly()' WHERE jobname = '{LOADER}'"),
        "jobs_present", f"cannot tell whether a job does the work of {LOADER}: it calls ops.nightly() of {{role}}",
        "look at what it does: if it does the work, give it to loader; else, as loader: SELECT cron.schedule(",
    ),
    "the job loads nothing": Fault(
        (f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = '{LOADER}'",),
        "jobs_present", "its command asks for 0 rows", "SELECT cron.schedule(",
    ),
    "the job comes once a year": Fault(
        (f"UPDATE cron.job SET schedule = '0 0 1 1 *' WHERE jobname = '{LOADER}'",),
        "job_schedules", f"{LOADER} is not due within a day", "schedule => '* * * * *'",
    ),
    "the job's schedule is none": Fault(
        (f"UPDATE cron.job SET schedule = '61 25 * * *' WHERE jobname = '{LOADER}'",),
        "job_schedules", f"{LOADER} is not due within a day", "schedule => '* * * * *'",
    ),
    "the job was moved to another database": Fault(
        (f"UPDATE cron.job SET database = 'postgres' WHERE jobname = '{LOADER}'",),
        "jobs_present", "it runs in database postgres", "SELECT cron.schedule(",
    ),
    "the scheduler is dead": Fault(
        ("UPDATE cron.job_run_details SET start_time = start_time - interval '20 minutes', end_time = end_time - interval '20 minutes'",),
        "job_runs", f"{LOADER} has not started for", "SHOW cron.launch_active_jobs",
    ),
    "a gold view is gone": Fault(
        ("DROP MATERIALIZED VIEW scout.gold_region_choropleth",),
        "gold_views", "materialized view scout.gold_region_choropleth is missing", "create scout.gold_region_choropleth again",
    ),
    "a gold view lost its index": Fault(
        ("DROP INDEX scout.gold_daily_metrics_pk",),
        "gold_refreshable", "scout.gold_daily_metrics has no unique index", "create the unique index of scout.gold_daily_metrics",
    ),
    "a gold view has another owner": Fault(
        ("CREATE ROLE {role}", "ALTER MATERIALIZED VIEW scout.gold_daily_metrics OWNER TO {role}"),
        "job_rights", "may not refresh scout.gold_daily_metrics, which {role} owns", "OWNER TO \"loader\";",
    ),
    "a column of bronze is renamed": Fault(
        ("ALTER TABLE scout.bronze_events RENAME COLUMN ingested_at TO arrived_at",),
        "schema_objects", "column scout.bronze_events.ingested_at is missing",
        "ALTER TABLE scout.bronze_events RENAME COLUMN arrived_at TO ingested_at;",
    ),
    "a column of silver is renamed": Fault(
        (f"ALTER TABLE {SILVER} RENAME COLUMN net_amount TO net",),
        "schema_objects", f"column {SILVER}.net_amount is missing", f"ALTER TABLE {SILVER} RENAME COLUMN net TO net_amount;",
    ),
    "a column of the marks is renamed": Fault(
        ("ALTER TABLE scout.etl_processed RENAME COLUMN event_id TO id_of_event",),
        "schema_objects", "column scout.etl_processed.event_id is missing",
        "ALTER TABLE scout.etl_processed RENAME COLUMN id_of_event TO event_id;",
    ),
    "silver lost its key": Fault(
        ("ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction",
         f"ALTER TABLE {SILVER} DROP CONSTRAINT silver_transactions_transaction_id_key"),
        "schema_objects", f"{SILVER} has no unique index on (transaction_id)",
        f"CREATE UNIQUE INDEX CONCURRENTLY ON {SILVER} (transaction_id);",
    ),
    "silver holds a sale twice": Fault(
        ("ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction",
         f"ALTER TABLE {SILVER} DROP CONSTRAINT silver_transactions_transaction_id_key",
         f"CREATE TEMP TABLE t AS SELECT * FROM {SILVER} LIMIT 1", "UPDATE t SET id = gen_random_uuid()",
         f"INSERT INTO {SILVER} SELECT * FROM t"),
        "duplicate_sales", "1 key is there twice", "CREATE UNIQUE INDEX",
    ),
    "a trigger swallows sales": Fault(
        ("CREATE FUNCTION scout.nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
         f"CREATE TRIGGER swallow BEFORE INSERT ON {SILVER} FOR EACH ROW EXECUTE FUNCTION scout.nothing()",
         "ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction", "{backlog}",
         f"SELECT {LOAD.replace('integer', '100')}"),
        "lost_events", f"trigger swallow on {SILVER}", f"ALTER TABLE {SILVER} DISABLE TRIGGER swallow;",
    ),
    "events of another type": Fault(
        ("UPDATE scout.bronze_events SET event_type = 'transaction.v2' WHERE ingested_at > now() - interval '1 hour'", OLD_SILVER),
        "silver_staleness", "events arrive as type transaction.v2, which the ETL ignores", "have the sources send the type",
    ),
    "events without a transaction_id": Fault(
        ("UPDATE scout.bronze_events SET event_data = event_data - 'transaction_id' WHERE ingested_at > now() - interval '1 hour'",
         OLD_SILVER),
        "silver_staleness", "events arrive without a transaction_id", "have the sources send transaction_id again",
    ),
    "sales of the future": Fault(
        (f"UPDATE {SILVER} SET ts = now() + interval '3 days' WHERE id = (SELECT min(id::text)::uuid FROM {SILVER})",),
        "future_sales", "1 sale lies in the future", "playbooks/quarantine.yml",
    ),
}  # fmt: skip


@pytest.fixture
def spoiled(scout_db: str, request: pytest.FixtureRequest) -> Any:
    """Does one of them, with a role of its own, which is gone afterwards."""
    role = f"r_{abs(hash(scout_db)):x}"

    def spoil(fault: Fault) -> Fault:
        with connect(scout_db) as connection:
            names = {"role": role, "database": f'"{connection.info.dbname}"'}
            for statement in fault.statements:
                if statement == "{backlog}":
                    library.backlog(scout_db, count=10, age_seconds=30)
                else:
                    connection.execute(statement.format(**names))  # type: ignore[call-overload]
        return dataclasses.replace(
            fault, cause=fault.cause.format(**names), command=fault.command.replace("{role}", role)
        )

    yield spoil
    with connect(scout_db) as connection:
        if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone():
            connection.execute("UPDATE cron.job SET username = 'loader'")
            connection.execute(f"REASSIGN OWNED BY {role} TO postgres")  # type: ignore[call-overload]
            connection.execute(f"DROP OWNED BY {role}")  # type: ignore[call-overload]
            connection.execute(f"DROP ROLE {role}")  # type: ignore[call-overload]


def assess(dsn: str, **options: Any) -> Result:
    result = call("scout_health_info", dsn, **options)
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_fails_and_is_named(scout_db: str, spoiled: Any, name: str) -> None:
    fault = spoiled(FAULTS[name])
    result = assess(scout_db)
    assert result["verdict"] == "failing", json.dumps(result["indicators"], indent=1, default=str)
    assert fault.check in result["failing"]
    causes = [f"{cause['cause']} | {cause['next_command']}" for cause in result["diagnoses"]]
    assert any(fault.cause in told and fault.command in told for told in causes), "\n".join(causes)
    assert not any("-vvv" in told for told in causes)


@pytest.mark.parametrize("database", ["scout_db", "repaired_db"])
def test_a_healthy_pipeline_has_no_cause(database: str, request: pytest.FixtureRequest) -> None:
    result = assess(request.getfixturevalue(database))
    assert (result["verdict"], result["diagnoses"], result["cannot_tell"]) == ("healthy", [], [])


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (LOAD, "p_limit integer DEFAULT 2000, p_source text DEFAULT 'all'"),
        (LOAD, "p_limit bigint DEFAULT 2000"),
        ("scout.refresh_gold_platinum()", "p_force boolean DEFAULT false"),
    ],
)
def test_a_function_that_is_called_as_ever_may_take_more(scout_db: str, function: str, parameters: str) -> None:
    with connect(scout_db) as connection:
        definition = one(scout_db, f"SELECT pg_get_functiondef('{function}'::regprocedure)")
        name = function.partition("(")[0]
        connection.execute(f"DROP FUNCTION {function}".encode())
        connection.execute(re.sub(rf"{name}\([^)]*\)", f"{name}({parameters})", definition, count=1).encode())
    assert assess(scout_db)["diagnoses"] == []
    assert call("scout_proof", scout_db)["status"] == "proved"


PARTITIONED = """
ALTER TABLE scout.bronze_events RENAME TO bronze_before;
CREATE TABLE scout.bronze_events (LIKE scout.bronze_before INCLUDING DEFAULTS, PRIMARY KEY (event_id, ingested_at))
    PARTITION BY RANGE (ingested_at);
CREATE TABLE scout.bronze_rest PARTITION OF scout.bronze_events DEFAULT;
INSERT INTO scout.bronze_events SELECT * FROM scout.bronze_before
"""


def test_a_key_of_a_partitioned_table_is_made_by_the_command_that_is_printed(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(PARTITIONED.encode())

    def keys() -> list[Result]:
        return [cause for cause in assess(scout_db)["diagnoses"] if "unique index" in cause["cause"]]

    [lacking] = keys()
    assert lacking["cause"] == "scout.bronze_events has no unique index on (event_hash, ingested_at)"
    command = lacking["next_command"].partition(";")[0]
    with connect(scout_db) as connection:
        connection.execute(command.encode())
    assert keys() == []


def test_an_operator_without_superuser_sees_the_same(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        result = assess(dsn)
        assert (result["verdict"], result["diagnoses"]) == ("healthy", [])


def test_the_gate_refuses_what_the_jobs_cannot_do(scout_db: str, spoiled: Any) -> None:
    spoiled(FAULTS["the job's role may not log in"])
    result = call("scout_gate_info", scout_db)
    assert result["verdict"] == "fail"
    assert [check["name"] for check in result["checks"] if check["status"] == "fail"] == ["job_rights"]


#: What hides the runs of the jobs, what is said of it, and what shows them again.
HIDDEN = {
    "pg_cron records none": (
        ("ALTER DATABASE {database} SET cron.log_run = 'off'", "DELETE FROM cron.job_run_details"),
        "cron.log_run is off", "ALTER SYSTEM SET cron.log_run = on",
    ),
    "their owner may not read them": (
        (*OWN_ROLE, "REVOKE SELECT ON cron.job_run_details FROM public"),
        "permission denied for table job_run_details", "GRANT SELECT ON cron.job_run_details TO",
    ),
    "none is shown, nor whether any is recorded": (
        ("DELETE FROM cron.job_run_details",), "no run at all", "GRANT pg_read_all_settings TO",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_runs_that_are_hidden_are_unknown_and_not_late(scout_db: str, spoiled: Any, name: str) -> None:
    statements, said, shows = HIDDEN[name]
    installed(scout_db)
    with operator(scout_db) as dsn:
        me = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        granted = (f"GRANT {{role}} TO {me}",) if statements[0].startswith("CREATE ROLE") else ()
        spoiled(Fault((*statements, *granted), "", "", ""))
        who = scout_db if "ALTER DATABASE" in statements[0] else dsn
        result = assess(who)
        gate = call("scout_gate_info", who)
        proof = call("scout_proof", who, waits=False, timeout_seconds=10)
    assert result["verdict"] == "inconclusive", result["failing"]
    assert any(told.startswith("job_runs: ") and said in told for told in result["cannot_tell"])
    causes = {cause["cause"]: cause for cause in result["diagnoses"]}
    [hidden] = [cause for what, cause in causes.items() if "job_runs" in what]
    assert (said in hidden["evidence"], shows in hidden["next_command"]) == (True, True), hidden
    assert not any("has not started" in what for what in causes)
    assert gate["verdict"] == "inconclusive"
    [check] = [check for check in gate["checks"] if check["name"] == "job_runs"]
    assert (check["status"], said in check["reason"], shows in check["reason"]) == ("inconclusive", True, True), check
    assert "has not started" not in proof["summary"]
    if "no run at all" not in said:
        assert (said in proof["summary"], shows in proof["summary"]) == (True, True)


def test_a_refresh_that_succeeds_and_does_nothing_is_named(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(
            "UPDATE cron.job_run_details SET start_time = start_time + interval '1 minute', end_time = end_time + interval '1 minute'"
        )
    library.gold_stale(scout_db)
    result = assess(scout_db)
    causes = [cause["cause"] for cause in result["diagnoses"]]
    assert any(
        re.match("job smart-gold-refresh succeeds and does not refresh scout.gold_", cause) for cause in causes
    ), causes


def test_a_prepared_transaction_is_named_with_what_ends_it(scout_db: str) -> None:
    gid = f"left o'er {scout_db[-6:]}"
    with connect(scout_db) as connection:
        connection.execute("BEGIN")
        connection.execute(f"UPDATE {SILVER} SET region = region WHERE id = (SELECT min(id::text)::uuid FROM {SILVER})")
        connection.execute(f"PREPARE TRANSACTION {sql.Literal(gid).as_string(connection)}")  # type: ignore[call-overload]
    try:
        result = assess(scout_db)
    finally:
        with connect(scout_db) as connection:
            connection.execute(f"ROLLBACK PREPARED {sql.Literal(gid).as_string(connection)}")  # type: ignore[call-overload]
    assert "prepared_transactions" in result["failing"]
    [found] = [cause for cause in result["diagnoses"] if cause["cause"].startswith("prepared transaction ")]
    assert found["cause"] == f"prepared transaction {gid} holds {SILVER}"
    assert found["next_command"] == f"ROLLBACK PREPARED 'left o''er {scout_db[-6:]}';"


def test_a_run_of_ours_that_was_broken_off_comes_first(scout_db: str) -> None:
    done = call(
        "scout_quarantine",
        scout_db,
        incident="INC-1",
        event_types=["transaction.v1"],
        max_rows=5000,
        require_pause=False,
    )
    assert not done.get("failed"), done
    assert assess(scout_db)["verdict"] != "inconclusive"
    run_id = one(scout_db, "SELECT run_id::text FROM scout_ops.runs WHERE action = 'quarantine'")
    for status in ("stopped", "running"):
        with connect(scout_db) as connection:
            connection.execute(
                "UPDATE scout_ops.runs SET status = %s, finished_at = NULL WHERE action = 'quarantine'", [status]
            )
        result = assess(scout_db)
        assert "interrupted_runs" in result["failing"]
        first = result["diagnoses"][0]
        assert first["cause"].startswith(f"quarantine run {run_id} of "), first
        assert f"playbooks/undo.yml -e run_id={run_id}" in first["evidence"]
        assert first["next_command"].startswith("ansible-playbook playbooks/quarantine.yml -e '{")
        assert '"event_types": ["transaction.v1"]' in first["next_command"]


def test_limits_of_the_server_are_one_line_in_words() -> None:
    calm = {"wal_bytes": 0.0, "slot": None, "sessions": 3.0, "room": 97.0, "xids": 1e6, "freeze": 2e8, "dead": 10.0, "live": 2e3,
            "temp_bytes": 0.0}  # fmt: skip
    assert surroundings.near_limits(calm) == []
    near = {
        "wal_bytes": 3e10,
        "slot": "old",
        "sessions": 95.0,
        "xids": 5e8,
        "dead": 2e6,
        "live": 1e6,
        "temp_bytes": 5e11,
    }
    assert len(surroundings.near_limits(calm | near)) == 5
    assert "replication slot old keeps 28 GiB of WAL" in surroundings.near_limits(calm | near)[0]
