# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pause is a barrier, and a resume gives back exactly what it took."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs
from tests.integration.modules import (
    Result,
    call,
    connect,
    end,
    ends_when_waited_for,
    fingerprint,
    gone,
    idle_for,
    job_in_flight,
    jobs,
    off,
    one,
    operator,
    rows,
    start_ad_hoc,
)

INGESTION = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}

#: A pipeline whose names nobody can rely on.
ODD_JOBS = """
CREATE SCHEMA nightly AUTHORIZATION loader;
SET ROLE loader;
CREATE FUNCTION nightly.inner_step() RETURNS void LANGUAGE plpgsql AS
    'BEGIN PERFORM scout.load_silver_from_bronze(10); END';
CREATE FUNCTION nightly.outer_step() RETURNS void LANGUAGE sql AS 'SELECT nightly.inner_step()';
SELECT cron.schedule('upper', '* * * * *', 'SELECT SCOUT.LOAD_SILVER_FROM_BRONZE(10)');
SELECT cron.schedule('wrapper', '* * * * *', 'SELECT nightly.outer_step()');
SELECT cron.schedule('refresh', '* * * * *', 'REFRESH MATERIALIZED VIEW scout.gold_daily_metrics');
SELECT cron.schedule('block', '30 seconds', 'DO $$ BEGIN PERFORM scout.load_silver_from_bronze(1); END $$');
SELECT cron.schedule('mention', '* * * * *', 'SELECT 1 -- unlike load_silver_from_bronze(1)');
SELECT cron.schedule('* * * * *', 'SELECT scout.load_silver_from_bronze(20)');
RESET ROLE;
UPDATE cron.job SET jobname = 'renamed' WHERE jobname = 'bronze-to-silver-etl';
"""


@pytest.fixture(autouse=True)
def no_scheduler_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in starts nothing, so there is no tick to wait out."""
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.05)


@pytest.fixture(params=["scout_db", "repaired_db"])
def either_db(request: pytest.FixtureRequest) -> str:
    """A pipeline whose switch does nothing, and one whose switch works and would resume too much."""
    return request.getfixturevalue(request.param)


def pause(dsn: str, **options: Any) -> Result:
    return call("scout_ingestion", dsn, state="paused", **options)


def resume(dsn: str, **options: Any) -> Result:
    return call("scout_ingestion", dsn, state="running", **options)


def loading(database: str, dsn: str | None = None) -> psycopg.Connection[Any]:
    """A session, of that role, that has loaded something and not committed."""
    with connect(database) as connection:
        generator.insert(connection, generator.transaction(time.time_ns() % 10**9, 0))
    session = psycopg.connect(dsn or database, application_name="nightly load")
    session.execute("SELECT scout.load_silver_from_bronze(10)")
    return session


def test_pause_and_resume_move_exactly_the_ingestion_jobs(either_db: str) -> None:
    with connect(either_db) as connection:
        connection.execute(ODD_JOBS)  # type: ignore[call-overload]
    library.job_disabled_on_purpose(either_db, "product-linking")
    before = jobs(either_db)
    nameless = next(row[0] for row in before if row[1] is None)

    paused = pause(either_db, incident="INC-1")
    assert paused["changed"], paused
    assert paused["state"] == "paused"
    assert off(either_db) == {
        "renamed", "product-linking", "smart-gold-refresh", "upper", "wrapper", "refresh", "block", None,
    }  # fmt: skip
    assert set(paused["effects"]["deactivated"]) == {
        "renamed", "smart-gold-refresh", "upper", "wrapper", "refresh", "block", f"job {nameless}",
    }  # fmt: skip
    # Called as the owner of the ETL's job, it may not write pg_cron's table, whatever we may.
    obeys = paused["switch"] == {"called": True, "said": "Ingestion paused successfully"}
    assert obeys or paused["switch"] == {"called": False, "said": "permission denied for table job"}
    assert paused["paused_by"].count("@") == 1

    again = pause(either_db)
    assert not again["changed"]
    assert again["paused_since"] == paused["paused_since"]

    resumed = resume(either_db)
    assert resumed["changed"]
    assert resumed["switch"] == (
        {"called": True, "said": "Ingestion resumed successfully"}
        if obeys
        else {"called": False, "said": "the pause did not call it either"}
    )
    assert resumed["state"] == "running"
    assert jobs(either_db) == before
    again = resume(either_db)
    assert not again["changed"]
    assert "product-linking" in again["warnings"][0]
    assert jobs(either_db) == before
    assert rows(either_db, "SELECT action, status, incident FROM scout_ops.runs ORDER BY started_at") == [
        ("pause", "succeeded", "INC-1"),
        ("resume", "succeeded", "adhoc"),
    ]


def test_check_mode_writes_nothing_and_reports_the_plan(either_db: str) -> None:
    before = fingerprint(either_db)
    with loading(either_db) as session:
        planned = call("scout_ingestion", either_db, state="paused", check=True)
        session.rollback()
    assert planned["changed"]
    assert planned["summary"].startswith("would pause 3 jobs after waiting for 1 session")
    assert [s["application"] for s in planned["sessions_in_flight"]] == ["nightly load"]
    assert planned["diff"]["before"] == dict.fromkeys(INGESTION, "active")
    assert planned["diff"]["after"] == dict.fromkeys(INGESTION, "inactive")
    after = fingerprint(either_db)
    assert {name: after[name] for name in before if name != "scout.bronze_events"} == {
        name: before[name] for name in before if name != "scout.bronze_events"
    }
    assert not rows(either_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")

    pause(either_db)
    before = fingerprint(either_db)
    planned = call("scout_ingestion", either_db, state="running", check=True)
    assert planned["changed"]
    assert planned["diff"]["after"] == dict.fromkeys(INGESTION, "active")
    assert fingerprint(either_db) == before


@pytest.mark.parametrize("command", ["scout.load_silver_from_bronze(10)", "pg_temp.nightly_job()"])
def test_work_in_flight_is_waited_for(scout_db: str, command: str) -> None:
    with connect(scout_db) as connection:
        generator.insert(connection, generator.transaction(99, 0))
    with contextlib.closing(psycopg.connect(scout_db, application_name="nightly load")) as session:
        session.execute(library.NESTED[1])
        session.execute(f"SELECT {command}")  # type: ignore[call-overload]
        paused = pause(scout_db, progress=ends_when_waited_for(scout_db))
    assert paused.get("state") == "paused", paused
    assert [s["application"] for s in paused["sessions_in_flight"]] == ["nightly load"]


def test_at_the_timeout_nothing_is_resumed_and_the_worker_is_named(either_db: str) -> None:
    with loading(either_db) as session:
        pid = session.info.backend_pid
        failed = pause(either_db, drain_timeout_seconds=0.5)
        assert failed["failed"]
        assert failed["error"]["kind"] == "not_reached"
        assert f"pid {pid} (postgres, nightly load" in failed["msg"]
        assert "cancel_running=true" in failed["msg"]
        assert failed["changed"]
        assert failed["run_id"]
        assert off(either_db) == INGESTION
        assert one(either_db, "SELECT status FROM scout_ops.runs") == "failed"
    assert pause(either_db)["state"] == "paused"
    assert resume(either_db)["changed"]
    assert off(either_db) == set()


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("DROP FUNCTION scout.control_ingestion(text)", "scout.control_ingestion(text) does not exist"),
        (
            (
                "CREATE OR REPLACE FUNCTION scout.control_ingestion(p_action text DEFAULT 'status') "
                "RETURNS TABLE (action text, ingestion_active boolean, etl_jobs_active int, message text) "
                "LANGUAGE plpgsql AS $$ BEGIN RAISE 'not today' USING DETAIL = 'ever'; END $$"
            ),
            "not today",
        ),
    ],
)
def test_a_switch_that_cannot_be_called_is_said_and_done_without(scout_db: str, statement: str, said: str) -> None:
    before = jobs(scout_db)
    with connect(scout_db) as connection:
        connection.execute(statement)  # type: ignore[call-overload]
    assert pause(scout_db)["switch"] == {"called": False, "said": said}
    assert off(scout_db) == INGESTION
    assert resume(scout_db)["switch"] == {"called": False, "said": "the pause did not call it either"}
    assert jobs(scout_db) == before


def test_a_job_that_starts_every_few_seconds_is_given_the_time_to(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start could be on its way when the job is made inactive."""
    waits: list[float] = []
    progress = Progress()
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.0625)
    monkeypatch.setattr(progress, "wait", waits.append)
    with connect(scout_db) as connection:
        connection.execute("UPDATE cron.job SET schedule = '30 seconds' WHERE jobname = 'bronze-to-silver-etl'")
    assert pause(scout_db, progress=progress)["state"] == "paused"
    assert waits == [0.0625]


def test_work_in_flight_is_cancelled_when_told(scout_db: str) -> None:
    with library.stuck_etl(scout_db, "nested") as held:
        paused = pause(scout_db, cancel_running=True, drain_timeout_seconds=10)
        assert paused.get("state") == "paused", paused
        assert [s["pid"] for s in paused["sessions_in_flight"]] == [held.pids["etl"]]
        assert not gone(scout_db, held.pids["blocker"]), "who only holds a row lock is no work in flight"
    effects = one(scout_db, "SELECT effects FROM scout_ops.runs WHERE action = 'pause'")
    assert [s["pid"] for s in effects["cancelled"]] == [held.pids["etl"]]


def test_stuck_sessions_are_left_to_be_cleared(scout_db: str) -> None:
    with library.stuck_etl(scout_db, "idle_in_transaction") as held:
        idle_for(scout_db, held.pids["etl"], 0.4)
        paused = pause(scout_db, leave_stuck_after_seconds=0.4, drain_timeout_seconds=2)
        assert paused.get("state") == "paused", paused
        assert [s["pid"] for s in paused["stuck"]] == [held.pids["etl"]]
        assert not gone(scout_db, held.pids["etl"])
    effects = one(scout_db, "SELECT effects FROM scout_ops.runs WHERE action = 'pause'")
    assert [s["pid"] for s in effects["stuck"]] == [held.pids["etl"]]


def _watch(monitor: psycopg.Connection[Any], query: str) -> None:
    with contextlib.suppress(psycopg.errors.QueryCanceled):
        monitor.execute(query)  # type: ignore[call-overload]


@pytest.mark.parametrize("cancel", [False, True])
def test_who_only_mentions_the_pipeline_is_neither_waited_for_nor_cancelled(scout_db: str, cancel: bool) -> None:
    with psycopg.connect(scout_db) as monitor:
        query = "SELECT pg_sleep(20), 'load_silver_from_bronze(1)' /* refresh_gold_platinum() */"
        watching = threading.Thread(target=lambda: _watch(monitor, query))
        watching.start()
        paused = pause(scout_db, drain_timeout_seconds=2, cancel_running=cancel)
        assert paused.get("state") == "paused", paused
        assert paused["sessions_in_flight"] == []
        assert watching.is_alive()
        monitor.cancel_safe()
        watching.join()


def test_a_run_in_flight_ends_by_itself_and_its_job_keeps_its_schedule(either_db: str) -> None:
    """With the repaired switch, too, which deactivates a parked job and leaves its schedule as it is."""
    before = jobs(either_db)
    with job_in_flight(either_db) as pid:
        paused = pause(either_db, progress=ends_when_waited_for(either_db))
        assert paused.get("state") == "paused", paused
        assert paused["sessions_in_flight"][0]["pid"] == pid
        assert paused["sessions_in_flight"][0]["job"] == "bronze-to-silver-etl"
    assert off(either_db) == INGESTION
    assert [row[:4] for row in jobs(either_db)] == [row[:4] for row in before]
    assert resume(either_db)["changed"]
    assert jobs(either_db) == before


def test_the_job_of_a_stuck_run_stays_parked_until_the_pause_is_completed(either_db: str) -> None:
    """Made inactive, pg_cron would end the run unrecorded, and with it the trace of who blocked it."""
    before = jobs(either_db)
    with job_in_flight(either_db) as pid:
        idle_for(either_db, pid, 0.2)
        paused = pause(either_db, leave_stuck_after_seconds=0.2)
        assert [session["pid"] for session in paused["stuck"]] == [pid]
        assert paused["state"] == "pausing"
        assert {row[1]: row[2] for row in jobs(either_db)}["bronze-to-silver-etl"] == cron_jobs.NEVER
        assert off(either_db) == INGESTION - {"bronze-to-silver-etl"}
    completed = pause(either_db)
    assert completed["state"] == "paused", completed
    assert off(either_db) == INGESTION
    assert [row[:4] for row in jobs(either_db)] == [row[:4] for row in before]
    resume(either_db)
    assert jobs(either_db) == before


@pytest.mark.parametrize("then", ["pause", "resume"])
def test_an_interrupted_pause_forgets_no_schedule(either_db: str, then: str) -> None:
    before = jobs(either_db)
    with job_in_flight(either_db):
        assert pause(either_db, drain_timeout_seconds=0.4)["failed"]
        parked = {row[1]: row[2] for row in jobs(either_db)}
        assert parked["bronze-to-silver-etl"] == cron_jobs.NEVER
    library.backlog(either_db, 1)
    assert "ingestion is not paused" in call("scout_drain", either_db, require_pause=True)["msg"]
    if then == "pause":
        assert call("scout_ingestion", either_db, state="paused", check=True)["changed"]
        paused = pause(either_db)
        assert paused.get("state") == "paused", paused
        assert [row[:4] for row in jobs(either_db)] == [row[:4] for row in before]
        assert off(either_db) == INGESTION
    assert resume(either_db)["state"] == "running"
    assert jobs(either_db) == before
    assert not rows(either_db, "SELECT FROM scout_ops.pauses WHERE resumed_at IS NULL")


def test_a_job_that_never_comes_by_its_owners_will_is_left_so(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("UPDATE cron.job SET schedule = %s WHERE jobname = 'product-linking'", [cron_jobs.NEVER])
    before = jobs(scout_db)
    assert pause(scout_db)["state"] == "paused"
    assert off(scout_db) == INGESTION - {"product-linking"}
    assert resume(scout_db)["state"] == "running"
    assert jobs(scout_db) == before


def test_an_interrupted_resume_is_no_resume(scout_db: str) -> None:
    """It is one transaction: whoever dies in it has given nothing back."""
    pause(scout_db)
    with connect(scout_db) as connection:
        connection.execute("CREATE FUNCTION cron.fail() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'no'; END$$")
        connection.execute(
            "CREATE TRIGGER fail BEFORE UPDATE ON cron.job FOR EACH ROW WHEN (new.jobname LIKE 'smart%') "
            "EXECUTE FUNCTION cron.fail()"
        )
        failed = resume(scout_db)
        assert failed["failed"]
        assert "smart-gold-refresh" in failed["msg"]
        assert off(scout_db) == INGESTION
        connection.execute("DROP TRIGGER fail ON cron.job")
    assert resume(scout_db)["state"] == "running"
    assert off(scout_db) == set()


def test_resume_without_a_pause_changes_nothing(scout_db: str) -> None:
    assert not resume(scout_db)["changed"]
    library.job_disabled_on_purpose(scout_db)
    before = fingerprint(scout_db)
    unchanged = resume(scout_db)
    assert not unchanged["changed"]
    assert "no pause" in unchanged["warnings"][0]
    assert fingerprint(scout_db) == before


def test_without_a_ledger_named_jobs_are_resumed(scout_db: str) -> None:
    before = jobs(scout_db)
    assert pause(scout_db, ledger="off")["changed"]
    assert off(scout_db) == INGESTION
    assert not resume(scout_db, ledger="off")["changed"]
    assert resume(scout_db, ledger="off", jobs=sorted(INGESTION))["changed"]
    assert jobs(scout_db) == before
    assert not rows(scout_db, "SELECT FROM pg_namespace WHERE nspname = 'scout_ops'")


def test_without_a_ledger_no_job_is_stopped_while_its_run_is_in_flight(scout_db: str) -> None:
    """Made inactive, pg_cron would cancel the run; parked, nobody would remember its schedule: so the gap is waited for."""
    before, results, waiting = jobs(scout_db), list[Result](), threading.Event()

    def hear(line: str) -> None:
        if "in flight" in line:
            waiting.set()

    with job_in_flight(scout_db) as pid:
        worker = threading.Thread(
            target=lambda: results.append(pause(scout_db, ledger="off", progress=Progress(hear, every_seconds=0.0)))
        )
        worker.start()
        assert waiting.wait(30), "it says whom it waits for"
        assert jobs(scout_db) == before
    worker.join(30)
    assert results[0].get("state") == "paused", results
    assert [session["pid"] for session in results[0]["sessions_in_flight"]] == [pid]
    assert off(scout_db) == INGESTION


def test_what_a_pause_took_by_name_is_given_back_without_naming_it(scout_db: str) -> None:
    before = jobs(scout_db)
    pause(scout_db, jobs=["data-quality-alerts", "bronze-to-silver-etl"])
    assert off(scout_db) == {"data-quality-alerts", "bronze-to-silver-etl"}
    assert resume(scout_db)["changed"]
    assert jobs(scout_db) == before


def test_a_pause_that_others_undid_is_over_at_the_next_resume(scout_db: str) -> None:
    pause(scout_db)
    with connect(scout_db) as connection:
        connection.execute("UPDATE cron.job SET active = true")
    resume(scout_db)
    library.job_disabled_on_purpose(scout_db)
    assert not resume(scout_db)["changed"]
    assert off(scout_db) == {"product-linking"}


def test_a_job_rescheduled_between_two_pauses_keeps_the_later_schedule(scout_db: str) -> None:
    pause(scout_db)
    with connect(scout_db) as connection:
        connection.execute("UPDATE cron.job SET active = true, schedule = '7 * * * *' WHERE jobname LIKE 'bronze%'")
    with job_in_flight(scout_db):
        assert pause(scout_db, progress=ends_when_waited_for(scout_db))["state"] == "paused"
    resume(scout_db)
    assert one(scout_db, "SELECT schedule FROM cron.job WHERE jobname LIKE 'bronze%'") == "7 * * * *"


def test_a_run_that_was_queued_behind_the_one_in_flight(scout_db: str) -> None:
    """pg_cron starts it at once when the first ends, whatever the schedule says by then."""
    queued: list[int] = []
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(job_in_flight(scout_db))

        def hear(line: str) -> None:
            if f"in flight: pid {first} " in line:
                queued.append(stack.enter_context(job_in_flight(scout_db)))
                end(scout_db, first)
            elif queued and f"in flight: pid {queued[0]} " in line:
                end(scout_db, queued[0])

        paused = pause(scout_db, progress=Progress(hear))
        assert gone(scout_db, queued[0])
    assert paused.get("state") == "paused", paused
    assert queued[0] in [s["pid"] for s in paused["sessions_in_flight"]]


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stop_in_the_middle_is_recoverable(scout_db: str, sent: signal.Signals) -> None:
    before = jobs(scout_db)
    with loading(scout_db):
        process = start_ad_hoc("scout_ingestion", dsn=scout_db, state="paused")
        with connect(scout_db) as connection:
            library.wait_until(connection, "SELECT FROM cron.job WHERE NOT active", seconds=20)
            process.send_signal(sent)
            output = process.communicate(timeout=20)[0]
            library.wait_until(
                connection,
                "SELECT WHERE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'scout-recovery/%%')",
            )
    assert "Traceback" not in output
    assert off(scout_db) == INGESTION, "whatever stops a pause resumes nothing"
    status = one(scout_db, "SELECT status FROM scout_ops.runs")
    assert status == "stopped", (status, output)
    assert pause(scout_db)["state"] == "paused"
    assert resume(scout_db)["changed"]
    assert jobs(scout_db) == before


@pytest.mark.parametrize(
    ("without", "revoke", "grants"),
    [
        ("member", "", ["GRANT loader TO"]),
        ("", "REVOKE USAGE ON SCHEMA cron FROM loader", ["GRANT USAGE ON SCHEMA cron TO"]),
        (
            "",
            "REVOKE EXECUTE ON FUNCTION cron.alter_job FROM loader",
            ["GRANT EXECUTE ON FUNCTION cron.alter_job(bigint"],
        ),
        ("stats", "", ["GRANT pg_read_all_stats TO"]),
        ("member", "REVOKE USAGE ON SCHEMA cron FROM loader", ["GRANT loader TO", "GRANT USAGE ON SCHEMA cron TO"]),
    ],
)
def test_a_missing_grant_is_named_and_nothing_is_changed(
    scout_db: str, without: str, revoke: str, grants: list[str]
) -> None:
    with operator(scout_db, without=without) as dsn, psycopg.connect(scout_db), connect(scout_db) as connection:
        if revoke:
            connection.execute(revoke)  # type: ignore[call-overload]
        before = fingerprint(scout_db)
        for check in (True, False):
            refused = pause(dsn, check=check)
            assert refused["error"]["kind"] == "missing_privilege", refused
            for grant in grants:
                assert grant in refused["msg"].replace('"', "")
            assert refused["msg"].count("GRANT ") == len(grants)
        assert fingerprint(scout_db) == before


def test_pausing_without_a_ledger_that_could_be_created(scout_db: str) -> None:
    with operator(scout_db, without="create") as dsn:
        before = fingerprint(scout_db)
        refused = pause(dsn, ledger="required")
        assert "GRANT CREATE ON DATABASE" in refused["msg"]
        assert fingerprint(scout_db) == before
        paused = pause(dsn)
        assert paused["state"] == "paused"
        assert "GRANT CREATE ON DATABASE" in paused["warnings"][0]


def test_cancelling_needs_a_grant_and_never_touches_a_superuser(scout_db: str) -> None:
    with operator(scout_db, without="signal") as dsn, operator(scout_db) as other:
        with loading(scout_db) as session:
            waited = pause(dsn, cancel_running=True, drain_timeout_seconds=0.5)
            assert waited["error"]["kind"] == "not_reached"
            assert f"pid {session.info.backend_pid}" in waited["msg"]
        with loading(scout_db, dsn=other):
            refused = pause(dsn, cancel_running=True, drain_timeout_seconds=5)
            assert refused["error"]["kind"] == "missing_privilege"
            assert "GRANT pg_signal_backend TO" in refused["msg"]


def test_the_ledger_remembers_of_which_operation_a_pause_is_a_step(scout_db: str) -> None:
    """A second pause of another operation changes nothing of that, and a resume of another gives nothing back."""
    before = jobs(scout_db)
    assert pause(scout_db, operation="quarantine")["changed"]
    assert not pause(scout_db, operation="undo")["changed"]
    for check in (True, False):
        left = resume(scout_db, operation="undo", check=check)
        assert (left["changed"], left["state"]) == (False, "paused")
        assert left["warnings"][0].endswith("so it stays paused")
    assert resume(scout_db, operation="quarantine", check=True)["changed"]
    assert resume(scout_db, operation="quarantine")["state"] == "running"
    assert jobs(scout_db) == before
    assert not resume(scout_db, operation="quarantine")["changed"]


def test_a_run_to_be_cancelled_keeps_no_job_parked(scout_db: str) -> None:
    """Its job is made inactive at once, which is how pg_cron cancels it."""
    with job_in_flight(scout_db):
        assert pause(scout_db, cancel_running=True, drain_timeout_seconds=0.4)["failed"]
        assert off(scout_db) == INGESTION


def test_while_a_run_is_in_flight_the_switch_is_not_called(scout_db: str) -> None:
    with job_in_flight(scout_db):
        assert pause(scout_db, drain_timeout_seconds=0.4)["failed"]
    assert rows(scout_db, "SELECT switched FROM scout_ops.pauses") == [(False,)]


def test_without_a_ledger_no_job_is_parked(scout_db: str) -> None:
    with job_in_flight(scout_db):
        assert pause(scout_db, ledger="off", progress=ends_when_waited_for(scout_db))["state"] == "paused"
    assert cron_jobs.NEVER not in {row[2] for row in jobs(scout_db)}
