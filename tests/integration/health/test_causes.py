# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an assessment names as the cause, where that takes more than a fault: tests/faults has those, test_faults.py looks at them."""

from __future__ import annotations

import re
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import surroundings
from tests.faults import Fault, planted
from tests.faults.rights import MEMBER
from tests.integration.modules import Result, call, connect, one, operator
from tests.integration.scheduler import installed

SILVER = "scout.silver_transactions"
LOAD = "scout.load_silver_from_bronze(integer)"


def assess(dsn: str, **options: Any) -> Result:
    result = call("scout_health_info", dsn, **options)
    assert not result.get("failed"), result
    return result


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
    assert call("scout_proof_info", scout_db)["status"] == "proved"


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


#: What hides the runs of the jobs, what is said of it, and what shows them again.
HIDDEN = {
    "pg_cron records none": (
        ("ALTER DATABASE {database} SET cron.log_run = 'off'", "DELETE FROM cron.job_run_details"),
        "cron.log_run is off", "ALTER SYSTEM SET cron.log_run = on",
    ),
    "their owner may not read them": (
        (*MEMBER, "REVOKE SELECT ON cron.job_run_details FROM public"),
        "permission denied for table job_run_details", "GRANT SELECT ON cron.job_run_details TO",
    ),
    "none is shown, nor whether any is recorded": (
        ("DELETE FROM cron.job_run_details",), "no run at all", "GRANT pg_read_all_settings TO",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HIDDEN)
def test_runs_that_are_hidden_are_unknown_and_not_late(scout_db: str, name: str) -> None:
    statements, said, shows = HIDDEN[name]
    installed(scout_db)
    with operator(scout_db) as dsn:
        me = psycopg.conninfo.conninfo_to_dict(dsn)["user"]
        granted = (f"GRANT {{role}} TO {me}",) if statements[0] in MEMBER else ()
        who = scout_db if "ALTER DATABASE" in statements[0] else dsn
        with planted(scout_db, Fault((*statements, *granted))):
            result = assess(who)
            gate = call("scout_gate_info", who)
            proof = call("scout_proof_info", who, waits=False, timeout_seconds=10)
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
        assert f"scout.recovery.undo -e scout_run_id={run_id}" in first["evidence"]
        assert first["next_command"].startswith("ansible-playbook scout.recovery.quarantine -e '{")
        assert '"scout_event_types": ["transaction.v1"]' in first["next_command"]


def test_limits_of_the_server_are_one_line_in_words() -> None:
    calm = {"wal_bytes": 0.0, "slot": None, "sessions": 3.0, "room": 97.0, "xids": 1e6, "freeze": 2e8, "dead": 10.0, "live": 2e3,
            "temp_bytes": 0.0, "unread": None}  # fmt: skip
    assert surroundings.near_limits(calm) == []
    near = {
        "wal_bytes": 3e10,
        "slot": "old",
        "sessions": 95.0,
        "xids": 5e8,
        "dead": 2e6,
        "live": 1e6,
        "temp_bytes": 5e11,
        "unread": "reader",
    }
    assert len(surroundings.near_limits(calm | near)) == 6
    assert "no subscriber reads logical replication slot reader" in surroundings.near_limits(calm | near)[1]
    assert "replication slot old keeps 28 GiB of WAL" in surroundings.near_limits(calm | near)[0]
