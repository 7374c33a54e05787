# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The proof by the real pg_cron: a run that works, that fails, that does nothing, and a scheduler that is dead or muted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container
from tests.integration.modules import Result, call, connect, one, run

pytestmark = [pytest.mark.docker, pytest.mark.pg_cron, pytest.mark.slow]

ETL, GOLD = "bronze-to-silver-etl", "smart-gold-refresh"


@pytest.fixture(scope="module")
def box() -> Iterator[container.Box]:
    """One server with a pipeline for all tests here, each of which leaves it as it was."""
    with container.running() as found:
        builder.build(found.dsn)
        yield found


@pytest.fixture
def cron(box: container.Box) -> Iterator[str]:
    """Its dsn, with the job that loads due every two seconds; its schedule, command and role are put back."""
    every(box.dsn, "2 seconds")
    yield box.dsn
    run(
        box.dsn,
        "ALTER ROLE loader RESET statement_timeout",
        "GRANT USAGE ON SCHEMA scout TO loader",
        "GRANT EXECUTE ON FUNCTION scout.load_silver_from_bronze(int) TO loader",
        "ALTER SYSTEM RESET cron.launch_active_jobs",
        "SELECT pg_reload_conf()",
        f"SELECT cron.alter_job(jobid, command => 'SELECT scout.load_silver_from_bronze(2000);') FROM cron.job WHERE jobname = '{ETL}'",
    )


def every(dsn: str, schedule: str) -> None:
    run(
        dsn,
        f"SELECT cron.alter_job(jobid, schedule => '{schedule}', active => true) FROM cron.job WHERE jobname = '{ETL}'",
    )


def sell(dsn: str) -> None:
    with connect(dsn) as connection:
        generator.insert(connection, generator.transaction(time.time_ns() % 10**9, 0))


def prove(dsn: str, **options: Any) -> Result:
    return call("scout_proof_info", dsn, **{"timeout_seconds": 20, **options})


def of(result: Result, jobname: str = ETL) -> Result:
    [found] = [each for each in result["jobs"] if each["jobname"] == jobname]
    return found


def test_a_run_of_the_scheduler_proves_the_job(cron: str) -> None:
    sell(cron)
    result = prove(cron)
    assert result["proven"], [result["error"], *((j["jobname"], j["status"], j["said"]) for j in result["jobs"])]
    assert of(result)["how"] == "run"
    assert of(result, GOLD)["how"] in ("run", "trial")
    last = one(
        cron, "SELECT max(start_time) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname = %s", ETL
    )
    assert last.isoformat() >= of(result)["started"]


def test_a_run_of_each_minute_is_waited_for(cron: str) -> None:
    every(cron, "* * * * *")
    result = prove(cron, timeout_seconds=90)
    assert result["proven"], [result["error"], *((j["jobname"], j["status"], j["said"]) for j in result["jobs"])]
    assert of(result)["how"] == "run"


@pytest.mark.parametrize(
    ("fault", "text"),
    [
        ("REVOKE USAGE ON SCHEMA scout FROM loader", "permission denied for schema scout"),
        ("ALTER ROLE loader SET statement_timeout = 1", "statement timeout"),
        (f"SELECT cron.alter_job(jobid, command => 'SELECT 1') FROM cron.job WHERE jobname = '{ETL}'", "its command is SELECT 1"),
        (f"SELECT cron.alter_job(jobid, command => 'SELECT scout.load_silver_from_bronze(0)') FROM cron.job WHERE jobname = '{ETL}'",
         "its command is SELECT scout.load_silver_from_bronze(0)"),
    ],
)  # fmt: skip
def test_a_run_that_fails_or_does_nothing_is_a_failure(cron: str, fault: str, text: str) -> None:
    run(cron, fault)
    # The scheduler sees it within a second; a run that began before is over by then.
    time.sleep(3)
    sell(cron)
    result = prove(cron)
    assert result["status"] == "failed", result
    assert text in of(result)["said"]


def test_a_muted_scheduler_is_found_although_the_command_works(cron: str) -> None:
    run(cron, "ALTER SYSTEM SET cron.launch_active_jobs = off", "SELECT pg_reload_conf()")
    time.sleep(3)
    result = prove(cron, timeout_seconds=8)
    assert result["status"] == "failed"
    assert "cron.launch_active_jobs is off" in of(result)["said"]


def test_where_nothing_had_to_be_done_nobody_waits(cron: str) -> None:
    deadline = time.monotonic() + 20
    while not one(cron, "SELECT count(*) FROM cron.job_run_details WHERE status = 'succeeded'"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    began = time.monotonic()
    result = prove(cron, waits=False)
    assert result["proven"], [result["error"], *((j["jobname"], j["status"], j["said"]) for j in result["jobs"])]
    assert of(result)["how"] == "latest"
    assert time.monotonic() - began < 20


def test_a_dead_scheduler_is_found() -> None:
    """In a database whose jobs nobody starts: pg_cron is there, and its launcher works for no one."""
    with container.running(settings={"cron.launch_active_jobs": "off"}) as box:
        builder.build(box.dsn)
        with psycopg.connect(box.dsn, autocommit=True) as connection:
            assert builder.has_scheduler(connection)
        every(box.dsn, "2 seconds")
        result = prove(box.dsn, timeout_seconds=6)
        assert result["status"] == "failed"
        assert of(result)["said"].startswith("did not start within 6.0 s")
