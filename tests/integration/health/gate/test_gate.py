# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_gate_info on a real pipeline: it passes what is healthy, and each failure alone is that failure and no other."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import checks as gate_checks
from tests.integration.gates import GATE, checks, ended, judge, paused, wrong
from tests.integration.modules import call, connect, executed, fingerprint, job_in_flight, one, operator, run

OLD_SILVER = "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '{0}', updated_at = updated_at - interval '{0}'"


def test_a_healthy_pipeline_passes_every_check_both_ways(scout_db: str) -> None:
    result = judge(scout_db)
    assert ended(result) == ("pass", 0)
    assert (result["ok"], result["codes"], wrong(result), result["diagnoses"]) == (True, [], {}, [])
    assert set(checks(result)) == set(gate_checks.NAMES) - {gate_checks.SMOKE}
    assert {check["status"] for check in result["checks"]} == {"pass"}
    assert result["summary"] == f"pass: all of {sum(check['counts'] for check in result['checks'])} checks pass"
    other = executed(GATE, scout_db, smoke=True)
    assert ended(other) == ("pass", 0)
    assert set(checks(other)) == set(gate_checks.NAMES)
    # Ansible leaves out the warnings of an executed module that gives none.
    assert result.keys() - {"warnings"} <= other.keys()


def test_nothing_is_written(scout_db: str) -> None:
    before = fingerprint(scout_db)
    judge(scout_db)
    judge(scout_db, check=True, smoke=True)
    assert fingerprint(scout_db) == before


def test_a_stuck_lock_is_named_by_its_holder(scout_db: str) -> None:
    with library.lock_holder(scout_db) as held:
        time.sleep(0.5)
        result = judge(scout_db, stuck_after_seconds=0.4, thresholds={"stuck_locks": {"ok": 0.1, "fail": 0.3}})
        assert wrong(result) == {"stuck_locks": "fail", "stuck_sessions": "fail"}
        assert ended(result) == ("fail", 44)
        assert f"pid {held.pids['holder']} " in checks(result)["stuck_locks"]["reason"]
        # A young holder may well be a refresh at work.
        assert ended(judge(scout_db)) == ("pass", 0)


def test_of_several_failures_the_first_code_of_the_script_is_given(scout_db: str) -> None:
    library.negative_totals(scout_db)
    library.etl_job_failing(scout_db)
    run(scout_db, "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '8 minutes'")
    result = judge(scout_db)
    assert (ended(result), result["codes"]) == (("fail", 43), [43, 45, 46])
    run(scout_db, "UPDATE scout.silver_line_items SET product_key = NULL, updated_at = now() - interval '1 hour'")
    assert ended(judge(scout_db)) == ("fail", 42)


def test_warnings_pass_when_told(scout_db: str) -> None:
    run(scout_db, "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '8 minutes'")
    strict, lenient = judge(scout_db), judge(scout_db, warn_passes=True)
    assert (strict["verdict"], strict["ok"], strict["exit_code"]) == ("warn", False, 45)
    assert (lenient["verdict"], lenient["ok"], lenient["exit_code"]) == ("warn", True, 0)


def test_figures_and_severities_are_the_callers(scout_db: str) -> None:
    library.empty_baskets(scout_db)
    run(
        scout_db,
        "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics",
        "REFRESH MATERIALIZED VIEW scout.gold_region_choropleth",
    )
    assert ended(judge(scout_db)) == ("fail", 43)
    assert ended(judge(scout_db, severity={"empty_baskets": "warn"})) == ("warn", 43)
    told = judge(scout_db, severity={"empty_baskets": "info"})
    assert ended(told) == ("pass", 0)
    assert (checks(told)["empty_baskets"]["status"], checks(told)["empty_baskets"]["value"]) == ("fail", 3)
    assert ended(judge(scout_db, thresholds={"empty_baskets": {"ok": 3, "fail": 5}})) == ("pass", 0)
    assert ended(judge(scout_db, thresholds={"empty_baskets": {"fail": 5}})) == ("warn", 43)


def test_the_period_is_stated_and_kept(scout_db: str) -> None:
    library.negative_totals(scout_db, count=1)
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET processed_at = now() - interval '5 hours', updated_at = now() - interval '5 hours' "
        "WHERE total_amount < 0",
        "UPDATE scout.silver_line_items SET updated_at = now() - interval '5 hours' WHERE transaction_id IN "
        "(SELECT transaction_id FROM scout.silver_transactions WHERE total_amount < 0)",
    )
    day, short = judge(scout_db), judge(scout_db, period_hours=4)
    assert (checks(day)["negative_totals"]["value"], checks(day)["older_violations"]["value"]) == (1, 0)
    assert (checks(short)["negative_totals"]["value"], checks(short)["older_violations"]["value"]) == (0, 1)
    assert (day["period_hours"], short["period_hours"]) == (24, 4)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"thresholds": {"linking": {"ok": 1}}}, "threshold 'linking' is unknown"),
        ({"thresholds": {"linking_coverage": {"ok": 80}}}, "linking_coverage: ok 80 is below fail 90"),
        ({"thresholds": {"backlog_age": "soon"}}, "threshold backlog_age 'soon' is not usable"),
        ({"severity": {"linking": "warn"}}, "'linking': no check has this name"),
        ({"severity": {"linking_coverage": "none"}}, "'none' of linking_coverage is not usable"),
        ({"severity": {"linking_coverage": ["warn"]}}, "of linking_coverage is not usable"),
        ({"period_hours": 0}, "period_hours 0 is not usable"),
        ({"consecutive": 0}, "consecutive 0 is not usable"),
        ({"consecutive": 1000}, "consecutive 1000 is not usable"),
        ({"interval_seconds": 0}, "interval_seconds 0.0 is not usable"),
        ({"interval_seconds": "nan"}, "interval_seconds nan is not usable"),
        ({"smoke_timeout_seconds": -1}, "smoke_timeout_seconds -1.0 is not usable"),
    ],
)
def test_options_that_cannot_be_used_are_named(scout_db: str, options: dict[str, Any], words: str) -> None:
    result = call(GATE, scout_db, **options)
    assert result["error"]["kind"] == "bad_input"
    assert words in result["msg"]
    assert result["error"]["next_step"]


def test_a_pause_is_told_apart_from_a_failure(scout_db: str) -> None:
    with paused(scout_db):
        library.backlog(scout_db, 100)
        run(scout_db, OLD_SILVER.format("1 hour"))
        library.gold_stale(scout_db)
        result = judge(scout_db)
        assert (ended(result), result["ok"], wrong(result)) == (("paused", 48), False, {})
        assert result["ingestion"]["state"] == "paused"
        assert (result["ingestion"]["incident"], "@" in result["ingestion"]["paused_by"]) == ("INC-7", True)
        assert "INC-7" in result["summary"]
        late = checks(result)["backlog_age"]
        assert (late["status"], late["counts"], late["value"]) == ("inconclusive", False, pytest.approx(60, abs=1))
        assert late["reason"].startswith("not judged while paused for ")
        ready = judge(scout_db, paused_passes=True)
        assert (ended(ready), ready["ok"]) == (("paused", 0), True)


def test_a_pause_hides_nothing_that_is_wrong_in_itself(scout_db: str) -> None:
    with paused(scout_db):
        library.negative_totals(scout_db)
        library.poison_event(scout_db)
        result = judge(scout_db, paused_passes=True)
        assert ended(result) == ("fail", 43)
        assert wrong(result) == {"negative_totals": "fail", "line_mismatch": "fail", "blocked_events": "fail"}
        assert result["ingestion"]["state"] == "paused"


def test_jobs_switched_off_by_somebody_else_are_a_pause_of_unknown_origin(scout_db: str) -> None:
    run(scout_db, "UPDATE cron.job SET active = false")
    result = judge(scout_db)
    assert ended(result) == ("paused", 48)
    assert "not by this toolkit" in result["summary"]


def test_work_that_goes_on_in_a_pause_is_draining(scout_db: str) -> None:
    with paused(scout_db), job_in_flight(scout_db):
        result = judge(scout_db)
        assert ended(result) == ("draining", 48)
        assert result["ingestion"]["state"] == "pausing"
        assert "runs job bronze-to-silver-etl" in result["summary"]
        assert judge(scout_db, paused_passes=True)["ok"] is False


def test_a_backlog_that_goes_down_is_draining_and_one_that_does_not_is_not(scout_db: str) -> None:
    library.backlog(scout_db, 500)
    assert ended(judge(scout_db)) == ("fail", 46)
    run(scout_db, "SELECT scout.load_silver_from_bronze(200)", "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics")
    result = judge(scout_db)
    assert ended(result) == ("draining", 48)
    assert wrong(result) == {}
    assert (checks(result)["backlog_age"]["status"], checks(result)["backlog_age"]["counts"]) == ("fail", False)
    assert result["ingestion"]["state"] == "running"
    assert "300 events left" in result["summary"]
    # A failure besides is one, and so is an ETL that has failed since.
    library.etl_job_failing(scout_db)
    assert ended(judge(scout_db)) == ("fail", 46)


def test_what_cannot_be_read_is_never_a_pass(scout_db: str) -> None:
    with psycopg.connect(scout_db, application_name="migration") as migration:
        migration.execute("LOCK TABLE scout.silver_transactions IN ACCESS EXCLUSIVE MODE")
        result = judge(scout_db, budget_seconds=3)
        assert ended(result) == ("inconclusive", 47)
        assert {"negative_totals", "silver_staleness", "lost_events", "gold_staleness"} <= set(wrong(result))
        assert set((wrong(result) | {"older_violations": "inconclusive"}).values()) == {"inconclusive"}
        assert "another session has locked it" in checks(result)["negative_totals"]["reason"]
        # What is known to be wrong is said nevertheless.
        library.etl_job_failing(scout_db)
        assert ended(judge(scout_db, budget_seconds=3)) == ("fail", 46)


@pytest.mark.parametrize(
    ("statement", "unknown"),
    [
        ("TRUNCATE scout.bronze_events", {"bronze_staleness"}),
        ("TRUNCATE cron.job_run_details", {"etl_duration"}),
        ("DROP SCHEMA cron CASCADE", {"jobs_present", "jobs_active", "job_runs", "etl_duration"}),
        ("DROP TABLE scout.alerts", {"unresolved_alerts"}),
        ("ALTER TABLE scout.silver_transactions DROP updated_at CASCADE", {"silver_staleness", "negative_totals"}),
    ],
)
def test_what_is_not_there_is_inconclusive(scout_db: str, statement: str, unknown: set[str]) -> None:
    run(scout_db, statement)
    result = judge(scout_db)
    assert unknown <= {name for name, status in wrong(result).items() if status == "inconclusive"}
    assert result["verdict"] in ("fail", "inconclusive")
    assert all(checks(result)[name]["reason"] for name in unknown)


def test_a_pipeline_to_which_nothing_has_come_yet_passes(scout_db: str) -> None:
    emptied = "TRUNCATE scout.bronze_events, scout.silver_transactions, scout.silver_line_items, scout.etl_processed"
    run(scout_db, emptied, "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics",
        "REFRESH MATERIALIZED VIEW scout.gold_region_choropleth")  # fmt: skip
    result = judge(scout_db, smoke=True)
    assert (result["verdict"], wrong(result)) == ("pass", {})


def test_the_documented_role_is_enough_and_a_missing_grant_is_named(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        assert ended(judge(dsn, smoke=True)) == ("pass", 0)
    with operator(scout_db, without="member") as dsn:
        run(
            scout_db,
            f"GRANT USAGE ON SCHEMA scout TO {_role(dsn)}",
            f"GRANT SELECT ON ALL TABLES IN SCHEMA scout TO {_role(dsn)}",
        )
        result = judge(dsn, smoke=True)
        assert ended(result) == ("inconclusive", 47)
        # Jobs that are hidden are not missing.
        unknown = {name for name, status in wrong(result).items() if status == "inconclusive"}
        assert unknown == {
            "jobs_present",
            "jobs_active",
            "job_runs",
            "job_schedules",
            "etl_duration",
            "job_rights",
            "smoke_test",
        }
        assert 'GRANT "loader" TO' in checks(result)["jobs_present"]["reason"]
        assert "preflight.yml names each missing GRANT" in checks(result)["smoke_test"]["reason"]


def _role(dsn: str) -> str:
    return str(psycopg.conninfo.conninfo_to_dict(dsn)["user"])


def test_job_names_of_the_callers_own(scout_db: str) -> None:
    run(scout_db, "SELECT cron.schedule('our-own', '* * * * *', 'SELECT 1')")
    result = judge(scout_db, required_jobs=["our-own", "bronze-to-silver-etl", "nobody's"])
    assert wrong(result) == {"jobs_present": "fail", "job_runs": "inconclusive"}
    assert checks(result)["jobs_present"]["reason"] == "nobody's: there is none"
    assert checks(result)["job_runs"]["reason"] == "our-own has finished no run within 6 h 0 min"


def test_a_renamed_job_does_its_work_and_a_hollow_one_does_not(scout_db: str) -> None:
    run(scout_db, "UPDATE cron.job SET jobname = 'etl, every minute' WHERE jobname = 'bronze-to-silver-etl'")
    assert ended(judge(scout_db)) == ("pass", 0)
    run(scout_db, "UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = 'smart-gold-refresh'")
    result = judge(scout_db)
    assert wrong(result) == {"jobs_present": "fail"}
    assert "does not call maybe_refresh_gold" in checks(result)["jobs_present"]["reason"].replace(
        "refresh_gold_platinum or ", ""
    )


def test_jobs_that_have_just_been_resumed_are_not_late(scout_db: str) -> None:
    with paused(scout_db):
        run(scout_db, "UPDATE cron.job_run_details SET start_time = start_time - interval '40 minutes', "
            "end_time = end_time - interval '40 minutes'")  # fmt: skip
    call("scout_ingestion", scout_db, state="running", incident="INC-7")
    assert ended(judge(scout_db)) == ("pass", 0)
    run(scout_db, "UPDATE scout_ops.pauses SET resumed_at = resumed_at - interval '30 minutes'")
    assert wrong(judge(scout_db)) == {"job_runs": "fail"}


def test_a_verdict_has_to_come_several_times_in_a_row(scout_db: str) -> None:
    lines: list[str] = []
    steady = judge(scout_db, consecutive=3, interval_seconds=0.05, progress=Progress(lines.append))
    assert [sample["verdict"] for sample in steady["samples"]] == ["pass"] * 3
    assert (ended(steady), len(lines)) == (("pass", 0), 2)
    assert lines[0].startswith("sample 1: pass: ")
    # Fixed while it looks: two failures, then passes.
    [event_id] = library.poison_event(scout_db, age_seconds=1)

    def fix(line: str) -> None:
        if line.startswith("sample 2: fail: "):
            run(scout_db, f"DELETE FROM scout.bronze_events WHERE event_id = '{event_id}'")

    found = judge(scout_db, consecutive=3, interval_seconds=0.05, progress=Progress(fix))
    assert [sample["verdict"] for sample in found["samples"]] == ["fail"] * 2 + ["pass"] * 3
    assert ended(found) == ("pass", 0)


def test_a_verdict_that_does_not_settle_is_inconclusive(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flips = iter(range(100))

    def flip(_progress: Progress, _seconds: float) -> None:
        age = "interval '20 minutes'" if next(flips) % 2 == 0 else "interval '0'"
        run(scout_db, f"UPDATE scout.bronze_events SET ingested_at = event_ts - {age}")

    run(scout_db, "UPDATE scout.bronze_events SET event_ts = ingested_at")
    monkeypatch.setattr(Progress, "wait", flip)
    result = judge(scout_db, consecutive=2, interval_seconds=1)
    assert [sample["verdict"] for sample in result["samples"]] == ["pass", "fail"] * 3
    assert (ended(result), result["ok"]) == (("inconclusive", 47), False)
    assert "did not settle: pass, fail, pass" in result["summary"]


def test_what_this_toolkit_set_aside_is_no_growth_of_dead_letters(scout_db: str) -> None:
    library.poison_event(scout_db)
    with paused(scout_db):
        assert call("scout_drain", scout_db, state="drained")["effects"]["quarantined"] == 1
    call("scout_ingestion", scout_db, state="running", incident="INC-7")
    result = judge(scout_db)
    assert (ended(result), checks(result)["dead_letter_growth"]["value"]) == (("pass", 0), 0)
    assert "1 more were quarantined by this toolkit" in checks(result)["dead_letter_growth"]["reason"]


def test_what_the_etl_passed_over_is_told_and_does_not_count(scout_db: str) -> None:
    with connect(scout_db) as connection:
        payload = generator.transaction(*library._fresh())
        del payload["transaction_id"]
        event_id = generator.insert(connection, payload)
        connection.execute("SELECT scout.load_silver_from_bronze(1)")
    result = judge(scout_db)
    swallowed = checks(result)["swallowed_events"]
    assert (ended(result), swallowed["value"], swallowed["counts"]) == (("pass", 0), 1, False)
    assert str(event_id) in swallowed["reason"]
    assert ended(judge(scout_db, severity={"swallowed_events": "fail"})) == ("fail", 46)


def test_every_value_is_what_plain_sql_says(scout_db: str) -> None:
    run(scout_db, "UPDATE scout.silver_line_items SET product_key = NULL WHERE product_id < 'P-0005'")
    library.backlog(scout_db, 40, age_seconds=200)
    found = checks(judge(scout_db))
    lines = "FROM scout.silver_line_items WHERE updated_at >= now() - interval '24 hours' AND updated_at < now() - interval '10 minutes'"
    assert found["linking_coverage"]["value"] == pytest.approx(
        one(scout_db, f"SELECT 100.0::float8 * count(product_key) / count(*) {lines}"), abs=0.1
    )
    assert found["backlog_events"]["value"] == 40
    assert found["backlog_age"]["value"] == pytest.approx(200 / 60, abs=0.2)
    for name, query in (
        ("bronze_staleness", "max(ingested_at))::float8 / 60 FROM scout.bronze_events"),
        ("silver_staleness", "max(greatest(processed_at, updated_at)))::float8 / 60 FROM scout.silver_transactions"),
    ):
        assert found[name]["value"] == pytest.approx(
            one(scout_db, f"SELECT extract(epoch FROM now() - {query}"), abs=0.2
        )


@pytest.mark.parametrize("table", ["bronze_events", "etl_processed", "silver_transactions"])
def test_loaded_rows_that_somebody_takes_away_between_two_samples_fail(scout_db: str, table: str) -> None:
    def take(_: str) -> None:
        run(scout_db, f"DELETE FROM scout.{table}")

    found = judge(scout_db, consecutive=2, interval_seconds=0.01, progress=Progress(take))
    lost = checks(found)["lost_events"]
    assert (lost["status"], found["ok"]) == ("fail", False)
    assert f"scout.{table} are gone" in lost["reason"]


def test_a_bronze_that_keeps_not_even_the_latest_events_may_lose_more(scout_db: str) -> None:
    run(
        scout_db,
        "DELETE FROM scout.bronze_events WHERE event_id IN (SELECT event_id FROM scout.etl_processed ORDER BY processed_at DESC LIMIT 2)",
    )

    def take(_: str) -> None:
        run(scout_db, "DELETE FROM scout.bronze_events WHERE event_id IN (SELECT event_id FROM scout.etl_processed)")

    found = judge(scout_db, consecutive=2, interval_seconds=0.01, progress=Progress(take))
    assert "are gone" not in checks(found)["lost_events"]["reason"]
