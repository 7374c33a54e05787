# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_health_info on a real pipeline: right when it is healthy, right about each fault, and never fooled or held up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import quality
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.table import CHECKS
from tests.e2e.play import eventually
from tests.integration.modules import Connection, Result, call, connect, executed, one, rows, run

HEALTH = "scout_health_info"
#: A session older than this counts as stuck in these tests, which cannot wait ten minutes.
STUCK = 0.4

ALL = {
    "bronze_staleness", "silver_staleness", "gold_staleness", "stale_gold_views", "linking_coverage", "critical_alerts",
    "etl_duration", "backlog_events", "backlog_age", "stuck_locks", "stuck_sessions", "dlq_unresolved", "ingestion",
}  # fmt: skip
SILVER = {"silver_staleness", "gold_staleness", "stale_gold_views", "critical_alerts"}
FIRST_SALE = "id = (SELECT min(id::text)::uuid FROM scout.silver_transactions)"
LAST_SALE = "id = (SELECT max(id::text)::uuid FROM scout.silver_transactions)"
FIRST_LINE = "line_id = (SELECT min(line_id::text)::uuid FROM scout.silver_line_items)"
LAST_LINE = "line_id = (SELECT max(line_id::text)::uuid FROM scout.silver_line_items)"
WAITS = "SELECT FROM pg_locks WHERE NOT granted"
#: The look at lost events, which reads the dead letter queue too.
HIDDEN = f"{WAITS} AND pid IN (SELECT pid FROM pg_stat_activity WHERE position('events AS MATERIALIZED' IN query) > 0)"
VIEWS = "SELECT format('%I.%I', schemaname, viewname) FROM pg_views WHERE schemaname = 'scout'"


def assess(dsn: str, **options: Any) -> Result:
    result = call(HEALTH, dsn, **options)
    assert not result.get("failed"), result
    return result


def indicators(result: Result) -> dict[str, dict[str, Any]]:
    return {indicator["name"]: indicator for indicator in result["indicators"]}


def statuses(result: Result) -> dict[str, str]:
    """Of the runbook's figures; test_faults.py is about the other checks."""
    return {indicator["name"]: indicator["status"] for indicator in result["indicators"] if indicator["name"] in ALL}


def having(result: Result, status: str) -> set[str]:
    return {name for name, found in statuses(result).items() if found == status}


def test_a_healthy_pipeline_is_healthy_both_ways(scout_db: str) -> None:
    result = assess(scout_db)
    assert (result["verdict"], result["verdict_when_running"]) == ("healthy", "healthy")
    assert (result["needs_reset"], result["blockers"], result["diagnoses"]) == ([], [], [])
    assert set(statuses(result)) == ALL == having(result, "ok")
    assert {indicator["status"] for indicator in result["indicators"]} == {"ok"}
    assert {indicator["name"] for indicator in result["indicators"]} == ALL | {check.name for check in CHECKS}
    assert result["ingestion"]["state"] == "running"
    assert set(result["ingestion"]["jobs"]) == {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
    other = executed(HEALTH, scout_db)
    assert set(statuses(other).items()) == set(statuses(result).items())
    assert other["needs_reset"] == []
    assert other["changed"] is False
    # Ansible leaves out the warnings of an executed module that gives none.
    assert result.keys() - {"warnings"} <= other.keys()


def test_every_value_is_what_plain_sql_says(scout_db: str) -> None:
    run(
        scout_db,
        "UPDATE scout.silver_line_items SET updated_at = now() - interval '20 minutes'",
        "UPDATE scout.silver_line_items SET product_key = NULL WHERE product_id = (SELECT min(product_id) FROM scout.silver_line_items)",
        "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message) VALUES ('{}', 'X', 'x'), ('{}', 'Y', 'y')",
        "UPDATE scout.bronze_events_dlq SET resolved_at = now() WHERE error_code = 'Y'",
        "DELETE FROM cron.job_run_details",
    )
    library.etl_job_slow(scout_db, count=2, seconds=90)
    waiting = library.backlog(scout_db, count=40, age_seconds=420)
    found = indicators(assess(scout_db))
    assert found["linking_coverage"]["value"] == pytest.approx(
        one(scout_db, "SELECT 100.0::float8 * count(product_key) / count(*) FROM scout.silver_line_items")
    )
    assert found["dlq_unresolved"]["value"] == 1
    assert found["etl_duration"]["value"] == pytest.approx(90)
    assert found["backlog_events"]["value"] == waiting
    assert found["backlog_age"]["value"] == pytest.approx(7, abs=0.2)
    for name, column in (
        ("bronze_staleness", "bronze_events.ingested_at"),
        ("silver_staleness", "silver_transactions.processed_at"),
    ):
        table, _, clock = column.partition(".")
        minutes = one(scout_db, f"SELECT extract(epoch FROM now() - max({clock}))::float8 / 60 FROM scout.{table}")
        assert found[name]["value"] == pytest.approx(minutes, abs=0.2)
    assert found["critical_alerts"]["value"] == 0


def test_what_a_reset_cannot_fix_needs_none_and_blocks_nothing(scout_db: str) -> None:
    run(
        scout_db,
        "UPDATE scout.silver_line_items SET product_key = NULL, updated_at = now() - interval '20 minutes'",
        "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 day'",
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '1 day', updated_at = updated_at - interval '1 day'",
    )
    library.etl_job_slow(scout_db)
    result = assess(scout_db)
    assert having(result, "fail") == {"bronze_staleness", "silver_staleness", "linking_coverage", "etl_duration"}
    assert (result["needs_reset"], result["blockers"]) == ([], [])


def test_options_are_used_and_bad_ones_named(scout_db: str) -> None:
    strict = assess(scout_db, thresholds={"bronze_staleness": {"ok": 0, "fail": 0}})
    assert statuses(strict)["bronze_staleness"] == "fail"
    assert indicators(strict)["bronze_staleness"]["threshold"] == {"ok": 0, "fail": 0}
    for options, words in (
        ({"thresholds": {"silver": {"ok": 1}}}, "threshold 'silver' is unknown"),
        ({"thresholds": {"silver_staleness": {"ok": "soon"}}}, "silver_staleness.ok 'soon'"),
        ({"alert_hours": 0}, "alert_hours 0"),
        ({"budget_seconds": 0}, "budget_seconds 0.0"),
        ({"budget_seconds": -1}, "budget_seconds -1.0"),
        ({"budget_seconds": "nan"}, "budget_seconds nan"),
        ({"stuck_after_seconds": "nan"}, "stuck_after_seconds nan"),
        ({"jobs": ["no such job"]}, ""),
    ):
        result = call(HEALTH, scout_db, **options)
        if words:
            assert result["error"]["kind"] == "bad_input"
            assert words in result["msg"]
        else:
            assert "no such job" in indicators(result)["ingestion"]["reason"]


BREAKS: dict[str, tuple[list[str], set[str]]] = {
    "views dropped": ([], set()),
    "views divide by zero": ([], set()),
    "no events": (["TRUNCATE scout.bronze_events"], {"bronze_staleness"}),
    "no silver": (["TRUNCATE scout.silver_transactions CASCADE"], {"silver_staleness", "linking_coverage"}),
    "no history": (["TRUNCATE cron.job_run_details"], {"etl_duration"}),
    "no cron": (["DROP SCHEMA cron CASCADE"], {"ingestion", "etl_duration"}),
    "gold dropped": (
        ["DROP MATERIALIZED VIEW scout.gold_daily_metrics, scout.gold_region_choropleth CASCADE"], {"gold_staleness"},
    ),
    "line updated_at renamed": (
        ["ALTER TABLE scout.silver_line_items RENAME updated_at TO changed_at"],
        {"linking_coverage", "critical_alerts", "gold_staleness", "stale_gold_views"},
    ),
    "silver processed_at renamed": (["ALTER TABLE scout.silver_transactions RENAME processed_at TO p"], SILVER),
    "discounts renamed": (
        ["ALTER TABLE scout.silver_transactions RENAME discount_amount TO rebate"], {"critical_alerts"},
    ),
    "product_key dropped": (["ALTER TABLE scout.silver_line_items DROP product_key CASCADE"], {"linking_coverage"}),
    "quality columns dropped": (
        ["ALTER TABLE scout.silver_transactions DROP quality_score, DROP handshake_score, DROP basket_size CASCADE"], set(),
    ),
    "dlq resolved_at renamed": (["ALTER TABLE scout.bronze_events_dlq RENAME resolved_at TO done_at"], {"dlq_unresolved"}),
    "ledger column renamed": (
        ["ALTER TABLE scout.etl_processed RENAME event_id TO event"], {"backlog_events", "backlog_age"},
    ),
    "ingested_at renamed": (
        ["ALTER TABLE scout.bronze_events RENAME ingested_at TO i"], {"bronze_staleness", "backlog_events", "backlog_age"},
    ),
}  # fmt: skip


def break_views(dsn: str, how: str) -> None:
    """Views dropped with whatever hangs on them, or views that raise on every read."""
    names = [row[0] for row in rows(dsn, VIEWS)]
    for name in names:
        if how == "views dropped":
            run(dsn, f"DROP VIEW IF EXISTS {name} CASCADE")
        else:
            run(dsn, f"DROP VIEW {name} CASCADE", f"CREATE VIEW {name} AS SELECT 1 / (random() * 0)::int AS boom")


@pytest.mark.parametrize("name", BREAKS)
def test_what_is_broken_makes_itself_unknown_and_nothing_else(scout_db: str, name: str) -> None:
    statements, unknown = BREAKS[name]
    if name.startswith("views"):
        break_views(scout_db, name)
    run(scout_db, *statements)
    result = assess(scout_db)
    assert having(result, "unknown") == unknown
    # Gold that silver was taken away from is out of date, and that is no error of the assessment.
    assert having(result, "fail") | having(result, "warn") <= {"stale_gold_views", "gold_staleness"}
    assert all(indicators(result)[indicator]["reason"] for indicator in unknown)


def test_a_table_locked_by_a_migration_is_unknown_soon_and_its_holder_is_named(scout_db: str) -> None:
    for table in ("bronze_events", "silver_transactions", "bronze_events_dlq", "gold_daily_metrics"):
        with psycopg.connect(scout_db, application_name="migration") as migration:
            locks = f"LOCK TABLE scout.{table} IN ACCESS EXCLUSIVE MODE"
            if table.startswith("gold"):
                locks = f"REFRESH MATERIALIZED VIEW scout.{table}"
            migration.execute(locks)  # type: ignore[call-overload]
            began = time.monotonic()
            result = assess(scout_db, budget_seconds=10)
            assert time.monotonic() - began < 20
            reasons = {indicators(result)[name]["reason"] for name in having(result, "unknown")}
            assert reasons == {"another session has locked it"}, table
            assert result["diagnoses"][0]["cause"] == f"scout.{table} is locked against reading"
            assert f"pid {migration.info.backend_pid}" in result["diagnoses"][0]["evidence"]
            migration.rollback()


def test_the_budget_bounds_it_and_what_fits_is_judged(scout_db: str) -> None:
    run(
        scout_db,
        "ALTER TABLE scout.bronze_events RENAME TO bronze_real",
        "CREATE VIEW scout.bronze_events AS SELECT b.* FROM scout.bronze_real AS b WHERE pg_sleep(0.2) IS NOT NULL",
    )
    began = time.monotonic()
    result = assess(scout_db, budget_seconds=2)
    assert 1.9 < time.monotonic() - began < 20
    assert statuses(result)["backlog_age"] == "unknown"
    assert "time budget" in indicators(result)["backlog_age"]["reason"]
    assert (statuses(result)["ingestion"], statuses(result)["stuck_sessions"]) == ("ok", "ok")
    assert "backlog_age" in result["blockers"]


@pytest.mark.parametrize("moment", ["9999-12-31", "infinity", "-infinity"])
def test_clocks_set_wrong_do_not_hide_what_is_true(scout_db: str, moment: str) -> None:
    with connect(scout_db) as connection:
        generator.insert(connection, generator.transaction(7, 1))
        connection.execute("SELECT scout.load_silver_from_bronze(1)")
        connection.execute(
            "UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id = (SELECT event_id FROM scout.bronze_events LIMIT 1)",
            [moment],
        )
        connection.execute(
            f"UPDATE scout.silver_transactions SET processed_at = %s WHERE {FIRST_SALE}",
            [moment],
        )
        connection.execute(
            f"UPDATE scout.silver_line_items SET updated_at = %s WHERE {FIRST_LINE}",
            [moment],
        )
        other = generator.insert(connection, generator.transaction(7, 2))
        connection.execute("UPDATE scout.bronze_events SET ingested_at = %s WHERE event_id = %s", [moment, other])
    result = assess(scout_db)
    gold = {"gold_staleness", "stale_gold_views"}
    assert having(result, "ok") | gold == ALL, [i for i in result["indicators"] if i["status"] != "ok"]
    assert indicators(result)["backlog_events"]["value"] == 1
    assert 0 <= indicators(result)["silver_staleness"]["value"] < 5


def test_huge_numbers_not_a_number_and_null_are_survived(scout_db: str) -> None:
    run(
        scout_db,
        f"UPDATE scout.silver_transactions SET total_amount = 'NaN', discount_amount = 'NaN' WHERE {FIRST_SALE}",
        f"UPDATE scout.silver_transactions SET processed_at = NULL, discount_amount = NULL WHERE {LAST_SALE}",
        f"UPDATE scout.silver_line_items SET product_key = NULL, discount_amount = NULL WHERE {LAST_LINE}",
        "UPDATE scout.silver_line_items SET quantity = 2147483647, unit_price = 99999999.99, updated_at = now() "
        f"WHERE {FIRST_LINE}",
    )
    result = assess(scout_db)
    assert "unknown" not in statuses(result).values()
    assert indicators(result)["critical_alerts"]["value"] == 1


def sale(dsn: str, **fields: Any) -> str:
    """A loaded sale with these fields; gives its transaction_id."""
    payload = generator.transaction(*library._fresh(), **fields)
    with connect(dsn) as connection:
        generator.insert(connection, payload)
        connection.execute("SELECT scout.load_silver_from_bronze(10)")
    return str(payload["transaction_id"])


def alerts(dsn: str, **options: Any) -> float:
    return float(indicators(assess(dsn, **options))["critical_alerts"]["value"])


def test_a_discount_is_no_mismatch_and_a_mismatch_is_one(scout_db: str) -> None:
    item = {"product_id": "P-1", "product_name": "Rice", "brand_name": "B", "category": "C", "qty": 2}
    name = sale(scout_db, total_amount=1000, items=[item | {"unit_price": 500, "line_amount": 1000}])
    total = (
        f"UPDATE scout.silver_transactions SET total_amount = %s, discount_amount = 20 WHERE transaction_id = '{name}'"
    )
    line = f"UPDATE scout.silver_line_items SET discount_amount = 20 WHERE transaction_id = '{name}'"
    with connect(scout_db) as connection:
        for paid, discounted_line, expected in (
            (1000, False, 0),
            (980, False, 0),
            (960, False, 1),
            (960, True, 0),
            (900, True, 1),
        ):
            connection.execute(total, [paid])  # type: ignore[call-overload]
            if discounted_line:
                connection.execute(line)  # type: ignore[call-overload]
            assert alerts(scout_db) == expected, paid


def test_critical_alerts_count_each_kind_of_the_last_hours_and_show_few(scout_db: str) -> None:
    library.negative_totals(scout_db, count=5)
    library.line_mismatch(scout_db, count=2)
    run(
        scout_db,
        f"UPDATE scout.silver_line_items SET quantity = 0, updated_at = now() WHERE {FIRST_LINE}",
    )
    result = assess(scout_db)
    reason = indicators(result)["critical_alerts"]["reason"]
    # A total of -50 differs from its lines, and so does a line of nothing.
    assert "NEGATIVE_TOTAL 5" in reason
    assert "INVALID_LINE_ITEM 1" in reason
    assert "LINE_TOTAL_MISMATCH" in reason
    assert result["blockers"] == ["critical_alerts"]
    assert "critical_alerts" in result["needs_reset"]
    assert result["diagnoses"]
    assert max(diagnosis["evidence"].count(",") for diagnosis in result["diagnoses"]) <= 4


def test_quirk_14_a_lock_leaked_by_a_cancelled_refresh_is_found(scout_db: str) -> None:
    with connect(scout_db, application_name="pooled") as session:
        session.execute("SELECT pg_advisory_lock(94752052)")
        time.sleep(STUCK + 0.1)
        result = assess(scout_db, stuck_after_seconds=STUCK, thresholds={"stuck_locks": {"ok": 0.1, "fail": 0.2}})
        assert {"stuck_locks", "stuck_sessions"} <= set(result["needs_reset"])
        assert "holds Scout's refresh lock" in result["diagnoses"][0]["cause"]
        assert f"pid {session.info.backend_pid}" in indicators(result)["stuck_locks"]["reason"]
    # A young holder may well be a refresh at work.
    with connect(scout_db) as session:
        session.execute("SELECT pg_advisory_lock(94752052)")
        assert assess(scout_db)["needs_reset"] == []


def test_gold_that_nothing_has_outrun_may_be_old(scout_db: str) -> None:
    run(
        scout_db,
        "UPDATE scout.etl_processed SET processed_at = processed_at - interval '5 hours'",
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '5 hours', "
        "updated_at = updated_at - interval '5 hours'",
        "UPDATE scout.silver_line_items SET updated_at = updated_at - interval '5 hours'",
    )
    library.gold_stale(scout_db, minutes=200)
    result = assess(scout_db)
    assert (statuses(result)["gold_staleness"], result["needs_reset"]) == ("ok", [])


@contextlib.contextmanager
def paused(dsn: str, incident: str = "INC-7") -> Iterator[None]:
    result = call("scout_ingestion", dsn, state="paused", incident=incident)
    assert not result.get("failed"), result
    yield


def test_a_deliberate_pause_is_paused_and_not_stale(scout_db: str) -> None:
    with paused(scout_db):
        run(
            scout_db,
            "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '1 hour', "
            "updated_at = updated_at - interval '1 hour'",
            "UPDATE scout_ops.pauses SET paused_at = now() - interval '65 minutes'",
        )
        result = assess(scout_db)
        assert (result["verdict"], result["verdict_when_running"]) == ("paused", "failing")
        assert statuses(result)["silver_staleness"] == "unknown"
        assert "not judged while paused" in indicators(result)["silver_staleness"]["reason"]
        ingestion = result["ingestion"]
        assert (ingestion["state"], ingestion["incident"]) == ("paused", "INC-7")
        assert ingestion["paused_for_seconds"] == pytest.approx(3900, abs=60)
        assert "@" in ingestion["paused_by"]
        assert ingestion["paused_since"].endswith("+00:00")
        assert "INC-7" in indicators(result)["ingestion"]["reason"]
        assert result["needs_reset"] == ["paused"]
        assert result["diagnoses"][0]["cause"].startswith("ingestion was paused by ")
        assert result["summary"].startswith("paused 1 h 5 min ago by ")


def test_a_pause_on_record_while_jobs_run_is_said(scout_db: str) -> None:
    with paused(scout_db):
        run(scout_db, "UPDATE cron.job SET active = true")
        result = assess(scout_db)
        assert (result["ingestion"]["state"], result["needs_reset"]) == ("running", ["paused"])
        assert result["diagnoses"][0]["cause"].endswith("is on record, yet jobs are active")


def test_jobs_off_without_a_pause_of_ours(scout_db: str) -> None:
    library.job_disabled_on_purpose(scout_db)
    result = assess(scout_db)
    assert (result["verdict"], result["needs_reset"], result["failing"]) == ("failing", [], ["jobs_active"])
    assert result["diagnoses"][0]["cause"].startswith("job product-linking inactive")
    library.job_disabled_on_purpose(scout_db, "bronze-to-silver-etl")
    result = assess(scout_db)
    assert result["ingestion"]["state"] == "running"
    assert (result["verdict"], statuses(result)["ingestion"], result["needs_reset"]) == ("failing", "warn", [])
    assert result["diagnoses"][0]["cause"].startswith("job bronze-to-silver-etl inactive")
    library.job_disabled_on_purpose(scout_db, "smart-gold-refresh")
    result = assess(scout_db)
    assert (result["verdict"], result["ingestion"]["state"]) == ("paused", "paused")
    library.backlog(scout_db, count=3, age_seconds=30)
    assert assess(scout_db)["needs_reset"] == ["backlog_events"]


def test_a_transaction_twice_in_a_batch_is_named(scout_db: str) -> None:
    ids = library.duplicate_in_batch(scout_db)
    result = assess(scout_db)
    assert "within one batch" in result["diagnoses"][0]["cause"]
    assert len(ids) == 2
    assert [event_id for event_id in ids if str(event_id) not in result["diagnoses"][0]["evidence"]] == []
    assert "repeated_transactions" in result["needs_reset"]


def test_a_reader_in_the_way_of_a_refresh_comes_before_the_refresh(scout_db: str) -> None:
    with library.blocked_refresh(scout_db) as held:
        held.hang("refresh", "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics")
        time.sleep(STUCK + 0.2)
        causes = [d["cause"] for d in assess(scout_db, stuck_after_seconds=STUCK)["diagnoses"]]
        assert causes[0] == f"pid {held.pids['reader']} blocks the pipeline"
        assert causes[1] == f"pid {held.pids['refresh']} is stuck in the pipeline"


def test_a_scheduler_that_starts_nothing_is_named(scout_db: str) -> None:
    library.backlog(scout_db, count=5)
    run(scout_db, "TRUNCATE cron.job_run_details")
    assert assess(scout_db)["diagnoses"][0]["cause"] == "the scheduler starts no ETL run"


@pytest.mark.parametrize("wanted", ["SCHEMA cron", "FUNCTION cron.alter_job"])
def test_a_role_that_may_not_see_is_told_the_grant(scout_db: str, pg_server: Any, wanted: str) -> None:
    library.missing_grant(scout_db, "loader", wanted)
    dsn = pg_server.dsn(conninfo_to_dict(scout_db)["dbname"], user="loader")
    result = assess(dsn)
    if wanted == "SCHEMA cron":
        assert statuses(result)["ingestion"] == "unknown"
        assert 'GRANT USAGE ON SCHEMA cron TO "loader"' in result["diagnoses"][0]["next_command"]
    else:
        assert statuses(result)["ingestion"] == "ok"


def test_after_a_reset_fixed_everything_nothing_blocks(scout_db: str) -> None:
    library.poison_event(scout_db)
    library.backlog(scout_db, count=100)
    library.gold_unpopulated(scout_db)
    with paused(scout_db):
        for name, options in (("scout_drain", {"state": "drained"}), ("scout_refresh_gold", {"state": "fresh"})):
            result = call(name, scout_db, **options)
            assert not result.get("failed"), result
        result = assess(scout_db)
        assert (result["blockers"], result["needs_reset"]) == ([], ["paused"])
        call("scout_ingestion", scout_db, state="running", incident="INC-7")
    result = assess(scout_db)
    assert (result["blockers"], result["needs_reset"]) == ([], [])
    # The poison event waits in the dead letter queue.
    assert (result["verdict"], having(result, "warn")) == ("degraded", {"dlq_unresolved"})


BROKEN_LOADER = """
CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'column "tier" does not exist'; END $$
"""


def captured(dsn: str, release: str) -> None:
    result = call("scout_capture", dsn, release=release)
    assert not result.get("failed"), result


def test_a_release_after_which_the_etl_fails_is_the_first_cause(scout_db: str) -> None:
    captured(scout_db, "v5.2.1")
    loader = one(scout_db, "SELECT pg_get_functiondef('scout.load_silver_from_bronze'::regproc)")
    run(scout_db, BROKEN_LOADER)
    assert assess(scout_db)["diagnoses"] == [], "nothing is wrong yet"
    library.backlog(scout_db, count=3, age_seconds=3600)
    library.etl_job_failing(scout_db, message='ERROR:  column "tier" does not exist')
    first, second = assess(scout_db)["diagnoses"][:2]
    assert first["cause"].startswith("the schema differs from that of release v5.2.1, captured ")
    assert first["evidence"] == "function scout.load_silver_from_bronze(integer) (definition) changed"
    assert first["next_command"] == (
        "if that deployment is to blame: ansible-playbook scout.recovery.rollback -e scout_release=v5.2.1 --check"
        " previews the rollback"
    )
    assert (second["cause"], second["evidence"]) == ("the ETL job fails", 'ERROR: column "tier" does not exist')
    gate = call("scout_gate_info", scout_db)
    assert (gate["ok"], gate["diagnoses"][0]["cause"][:35]) == (False, first["cause"][:35])
    with paused(scout_db):
        causes = [d["evidence"] for d in assess(scout_db)["diagnoses"]]
        assert first["evidence"] in causes, "the jobs that the pause holds are no change"
    run(scout_db, "UPDATE scout_ops.releases SET captured_at = now() - interval '3 days'")
    assert [d["cause"] for d in assess(scout_db)["diagnoses"]][-1].startswith(
        "the schema differs from that of release v5.2.1"
    )
    run(scout_db, loader)
    assert not any("schema" in d["cause"] for d in assess(scout_db)["diagnoses"])


def test_what_is_as_it_was_captured_last_is_no_cause(scout_db: str) -> None:
    captured(scout_db, "v5.2.1")
    run(scout_db, BROKEN_LOADER)
    captured(scout_db, "v5.2.2")
    library.etl_job_failing(scout_db)
    assert [d["cause"] for d in assess(scout_db)["diagnoses"]] == ["the ETL job fails"]


def test_a_capture_that_cannot_be_compared_is_said_and_hides_nothing(scout_db: str) -> None:
    captured(scout_db, "v5.2.1")
    run(scout_db, BROKEN_LOADER, 'UPDATE scout_ops.releases SET document = document || \'{"checksum": "x"}\'')
    library.etl_job_failing(scout_db)
    result = assess(scout_db)
    assert [d["cause"] for d in result["diagnoses"]] == ["the ETL job fails"]
    assert "what changed since the last release was captured" in result["warnings"][0]


def test_right_after_a_backlog_only_the_newest_sales_are_looked_at_and_it_says_so(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever looks at all of 300,000 comes to no end within the budget, and ingestion stays paused after a good repair."""
    monkeypatch.setattr(quality, "LEAST_SALES", 10)
    monkeypatch.setattr(quality, "SALES_PER_SECOND", 0)
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_line_items SET updated_at = now() - interval '3 hours'")
        connection.execute(
            """
            UPDATE scout.silver_transactions AS t
            SET processed_at = now() - n * interval '1 second', updated_at = now() - n * interval '1 second',
                total_amount = CASE WHEN n = 50 THEN -1 ELSE total_amount END
            FROM (SELECT transaction_id, row_number() OVER (ORDER BY transaction_id) AS n FROM scout.silver_transactions) AS o
            WHERE o.transaction_id = t.transaction_id AND n <= 100
            """
        )
    result = call("scout_health_info", scout_db)
    assert indicators(result)["critical_alerts"]["value"] == 0
    said = "the rules of quality and lost events were checked for the newest 10 sales of the last hour, not for all"
    assert any(said in warning for warning in result["warnings"])
    gate = call("scout_gate_info", scout_db, consecutive=1)
    assert any("newest 10 sales" in warning and "not for all" in warning for warning in gate["warnings"])
    monkeypatch.setattr(quality, "LEAST_SALES", 100)
    assert indicators(call("scout_health_info", scout_db))["critical_alerts"]["value"] > 0


def test_a_reset_that_finds_nothing_looks_again_at_what_was_hidden(scout_db: str) -> None:
    """A lock that somebody had for a moment, or a machine that is busy, makes no end with 2 of a pipeline that works."""

    def until_one_waited(holder: Connection) -> None:
        for waits in (True, False):
            eventually(lambda waits=waits: bool(rows(scout_db, HIDDEN)) is waits, 60, "a wait, and its end")
        holder.execute("ROLLBACK")

    def begun(**options: Any) -> Result:
        with connect(scout_db) as holder:
            holder.execute("BEGIN; LOCK TABLE scout.bronze_events_dlq IN ACCESS EXCLUSIVE MODE")
            lets_go = threading.Thread(target=until_one_waited, args=(holder,))
            lets_go.start()
            result = call("scout_health_info", scout_db, **options)
            lets_go.join()
        return result

    assert begun()["verdict"] == "inconclusive", "it looks once"
    looked = begun(retry_budget_seconds=600)
    assert (looked["verdict"], looked["cannot_tell"], looked["needs_reset"]) == ("healthy", [], [])
