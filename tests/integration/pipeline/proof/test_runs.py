# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where there is a scheduler, only a run of it that begins after the resume proves that the pipeline works."""

from __future__ import annotations

import contextlib
import re
import time
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof import as_job, command
from tests.integration.modules import Result, call, connect, fingerprint, one, operator, run
from tests.integration.scheduler import installed, ticking
from tests.integration.slow import slow_gold
from tests.integration.waiting import until

ETL, GOLD = "bronze-to-silver-etl", "smart-gold-refresh"
REFRESH = "SELECT scout.refresh_gold_platinum()"


@pytest.fixture
def cron(scout_db: str) -> str:
    """A pipeline that a scheduler could run."""
    installed(scout_db)
    return scout_db


@pytest.fixture(autouse=True)
def _settled_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The scheduler of the tests records a run when all of it is done."""
    monkeypatch.setattr(command, "SETTLES_SECONDS", 0.0)


def prove(dsn: str, **options: Any) -> Result:
    return call("scout_proof_info", dsn, **{"timeout_seconds": 10, **options})


def of(result: Result, jobname: str = ETL) -> Result:
    [found] = [each for each in result["jobs"] if each["jobname"] == jobname]
    return found


def sell(dsn: str) -> None:
    """An event that waits for the ETL."""
    with connect(dsn) as connection:
        generator.insert(connection, generator.transaction(time.time_ns() % 10**9, 0))


def prove_by_the_first_run(dsn: str) -> tuple[Result, list[str]]:
    """A scheduler that starts nothing before it is waited for; with what was said meanwhile."""
    lines: list[str] = []
    with contextlib.ExitStack() as stack:

        def say(line: str) -> None:
            lines.append(line)
            if len(lines) == 1:
                stack.enter_context(ticking(dsn))

        return prove(dsn, progress=Progress(say)), lines


def test_the_next_run_is_waited_for_and_said(cron: str) -> None:
    sell(cron)
    result, lines = prove_by_the_first_run(cron)
    assert result["proven"], result
    assert result["waits"]
    assert re.fullmatch(rf"next run of {ETL} at \d\d:\d\d:\d\d, \d\.\d s", lines[0])
    etl, gold = of(result), of(result, GOLD)
    assert (etl["how"], gold["how"]) == ("run", "trial")
    assert re.fullmatch(r"ran at \d\d:\d\d:\d\d as loader and loaded what waited", etl["said"])
    assert gold["said"] == "was tried as loader, rolled back: it refreshes 2 views"


def test_a_run_with_nothing_to_do_is_tried_besides(cron: str) -> None:
    with ticking(cron):
        result = prove(cron)
        assert result["proven"], result
        assert "with nothing to do; it was tried as loader, rolled back: it loads " in of(result)["said"]
        run(cron, f"UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = '{ETL}'")
        result = prove(cron)
    assert of(result)["status"] == "failed"
    assert "its command is SELECT 1" in result["error"]["said"]


def test_a_dead_scheduler_is_found_whatever_it_did_before(cron: str) -> None:
    """The history is full of runs that succeeded; and the command works."""
    with ticking(cron):
        time.sleep(1)
    before = fingerprint(cron)
    result = prove(cron, timeout_seconds=3)
    assert result["status"] == "failed"
    assert re.search(
        rf"{ETL} did not start within 3.0 s, although it was due at \d\d:\d\d:\d\d", result["error"]["said"]
    )
    assert "no pg_cron launcher is running" in result["error"]["said"]
    assert fingerprint(cron) == before


def test_a_failed_run_is_a_failure_with_its_message(cron: str) -> None:
    library.poison_event(cron, "non_numeric_amount")
    with ticking(cron):
        result = prove(cron)
    assert of(result)["status"] == "failed"
    assert 'as loader: ERROR: invalid input syntax for type numeric: "…"' in of(result)["said"]


def test_a_run_that_succeeds_without_an_effect_is_a_failure(cron: str) -> None:
    sell(cron)
    run(cron, f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = '{ETL}'")
    with ticking(cron):
        result = prove(cron)
    assert of(result)["status"] == "failed"
    assert of(result)["said"].endswith(
        "and says that it succeeded, but 1 event that waited for it is still pending: "
        "its command is SELECT scout.load_silver_from_bronze(0)"
    )


def test_a_run_that_does_not_end_cannot_be_told(cron: str) -> None:
    sell(cron)
    run(
        cron,
        f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5), pg_sleep(4)' WHERE jobname = '{ETL}'",
    )
    with ticking(cron):
        result = prove(cron, timeout_seconds=3)
    assert result["status"] == "unknown"
    assert "is still running after 3.0 s" in result["error"]["said"]


def test_a_run_that_has_begun_is_waited_for_though_nobody_has_seen_it_take_long(
    cron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 3.0)
    monkeypatch.setattr(command, "STARTS_SECONDS", 0.5)
    sell(cron)
    slow = f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5000), pg_sleep(4)' WHERE jobname = '{ETL}'"
    run(cron, "DELETE FROM cron.job_run_details", slow)
    result = prove_once_waited_for(cron)
    assert (of(result)["how"], of(result)["status"]) == ("run", "proved"), result["jobs"]


def test_a_refresh_in_flight_is_waited_for_where_a_trial_would_find_the_lock_taken(
    cron: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where one takes longer than until the next is due, so that there is always one."""
    monkeypatch.setattr(as_job, "LOCK_SECONDS", 0.2)
    slow_gold(cron, seconds=1.0)
    run(cron, "DELETE FROM cron.job_run_details", f"UPDATE cron.job SET schedule = '@yearly' WHERE jobname = '{ETL}'")
    run(cron, f"UPDATE cron.job SET schedule = '1 second', command = '{REFRESH}' WHERE jobname = '{GOLD}'")
    with ticking(cron):
        assert until(lambda: bool(one(cron, "SELECT count(*) FROM cron.job_run_details WHERE status = 'running'")))
        result = call("scout_proof_info", cron, waits=False)
    assert of(result, GOLD)["status"] == "proved", result["jobs"]
    assert re.fullmatch(r"ran at \d\d:\d\d:\d\d as loader and refreshed gold", of(result, GOLD)["said"])


def prove_once_waited_for(dsn: str, every_seconds: float = 0.3) -> Result:
    """By a scheduler that starts nothing before, and with all the time that it takes."""
    with contextlib.ExitStack() as ticks:

        def hear(line: str) -> None:
            if line.startswith("next run of"):
                ticks.enter_context(ticking(dsn, every_seconds))
            elif line.startswith("trying "):
                ticks.close()

        return call("scout_proof_info", dsn, progress=Progress(hear))


def test_a_schedule_that_never_comes_is_tried(cron: str) -> None:
    run(cron, f"UPDATE cron.job SET schedule = '@yearly' WHERE jobname = '{ETL}'")
    result = prove(cron)
    assert (of(result)["how"], of(result)["status"]) == ("trial", "proved")
    assert not result["waits"]


def test_a_history_that_may_not_be_read_is_no_failure(cron: str) -> None:
    run(cron, "REVOKE SELECT ON cron.job_run_details FROM public")
    with operator(cron) as dsn:
        result = prove(dsn)
    assert result["proven"], result
    assert of(result)["how"] == "trial"


def test_what_broke_since_the_latest_run_is_found(cron: str) -> None:
    run(cron, "ALTER TABLE scout.dim_product RENAME TO dim_product_old")
    result = prove(cron, waits=False)
    linking = of(result, "product-linking")
    assert (linking["how"], linking["status"]) == ("latest", "failed")
    assert 'relation "scout.dim_product" does not exist' in linking["said"]


def test_with_an_event_pending_a_run_from_before_is_no_proof(cron: str) -> None:
    def how() -> str:
        return str(of(prove(cron, waits=False, check=True, timeout_seconds=90))["how"])

    assert how() == "latest"
    sell(cron)
    assert how() == "run"


def test_where_nothing_had_to_be_done_the_latest_run_is_the_proof(cron: str) -> None:
    run(cron, f"UPDATE cron.job SET schedule = '* * * * *' WHERE jobname = '{ETL}'")
    result = prove(cron, waits=False)
    assert result["proven"], result
    assert [each["how"] for each in result["jobs"]] == ["latest", "latest", "latest"]
    assert re.fullmatch(r"ran at \d\d:\d\d:\d\d as loader", of(result)["said"])

    run(cron, "UPDATE cron.job_run_details SET status = 'failed', return_message = 'ERROR: out of paint' WHERE runid = "
        f"(SELECT max(runid) FROM cron.job_run_details JOIN cron.job USING (jobid) WHERE jobname = '{ETL}')")  # fmt: skip
    assert of(prove(cron, waits=False))["said"].endswith("ERROR: out of paint")

    run(cron, f"DELETE FROM cron.job_run_details USING cron.job AS j WHERE j.jobid = job_run_details.jobid AND jobname = '{ETL}'"
        " AND start_time > now() - interval '10 minutes'")  # fmt: skip
    late = of(prove(cron, waits=False))
    assert late["status"] == "failed"
    assert re.fullmatch(r"has not started for 1\d min( \d+ s)?, although its schedule is \* \* \* \* \*", late["said"])

    run(
        cron,
        f"DELETE FROM cron.job_run_details USING cron.job AS j WHERE j.jobid = job_run_details.jobid AND jobname = '{ETL}'",
    )
    assert (of(prove(cron, waits=False))["how"], of(prove(cron, waits=False))["status"]) == ("trial", "proved")


def test_a_stop_while_it_waits_leaves_all_as_it_is_and_says_so(cron: str) -> None:
    progress = Progress(lambda _: progress.request_stop())
    before = fingerprint(cron)
    result = prove(cron, progress=progress)
    assert result["failed"]
    assert result["error"]["kind"] == "stopped"
    assert result["state"] == "running"
    assert not result["proven"]
    assert "ingestion is running, unproven" in result["msg"]
    assert fingerprint(cron) == before
    assert one(cron, "SELECT bool_and(active) FROM cron.job")


def test_a_run_that_loaded_what_waited_has_not_shown_what_it_makes_of_others(cron: str) -> None:
    sell(cron)
    text = str(one(cron, "SELECT pg_get_functiondef('scout.load_silver_from_bronze(integer)'::regprocedure)"))
    run(cron, text.replace("coalesce(e->>'payment_method', 'unknown')", "'cash'"))
    result, _ = prove_by_the_first_run(cron)
    assert of(result)["status"] == "changed"
    assert re.search(r"as loader and loaded what waited; it was tried .*payment_method is written", of(result)["said"])


def test_events_that_somebody_deletes_before_they_are_loaded_are_missed(cron: str) -> None:
    """A retention of ten seconds, say; the run itself succeeds."""
    sell(cron)
    run(
        cron,
        "INSERT INTO cron.job (schedule, command, database, nodeport, username, jobname) SELECT '0 0 1 1 *', "
        "'DELETE FROM scout.bronze_events WHERE ingested_at < now() - interval ''10 s''', database, nodeport, username, 'retention' "
        f"FROM cron.job WHERE jobname = '{ETL}'",
        f"UPDATE cron.job SET command = 'DELETE FROM scout.bronze_events WHERE event_id NOT IN (SELECT event_id FROM scout.etl_processed); "
        f"SELECT scout.load_silver_from_bronze(2000)' WHERE jobname = '{ETL}'",
    )
    with ticking(cron):
        result = prove(cron)
    assert of(result)["status"] == "failed", result
    assert (
        "1 event that waited is gone from scout.bronze_events and is not loaded; jobs that take events out of"
        in of(result)["said"]
    )
    assert "retention of loader: DELETE FROM scout.bronze_events" in of(result)["said"]


@pytest.mark.parametrize(
    ("where", "whole"),
    [("", False), ("WHERE event_id = ANY(ARRAY(SELECT event_id FROM scout.etl_processed LIMIT 1))", True)],
)
def test_loaded_events_that_somebody_takes_away_are_missed_unless_they_are_few(
    cron: str, where: str, whole: bool
) -> None:
    sell(cron)
    run(
        cron,
        "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(2000); "
        f"DELETE FROM scout.bronze_events {where}' WHERE jobname = '{ETL}'",
    )
    with ticking(cron):
        result = prove(cron)
    assert "jobs" in result, str(result)[:3000]
    lost = [job for job in result["jobs"] if "of scout.bronze_events are gone" in job["said"]]
    assert bool(lost) is not whole, result
    assert all(job["status"] == "failed" for job in lost)
