# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of Scout fools its own acceptance script, one way or the other, does not fool the gate; by the numbers of the quirks."""

from __future__ import annotations

import time
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.gate import what_next
from tests.integration.gates import checks, ended, judge, old_gate, wrong
from tests.integration.modules import call, connect, one, rows, run

FRESH_GOLD = (
    "REFRESH MATERIALIZED VIEW scout.gold_daily_metrics",
    "REFRESH MATERIALIZED VIEW scout.gold_region_choropleth",
)


def sale(dsn: str, payload: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A loaded sale with these fields."""
    payload = (payload or generator.transaction(*library._fresh())) | fields
    payload = {name: value for name, value in payload.items() if value is not ...}
    with connect(dsn) as connection:
        generator.insert(connection, payload)
        connection.execute("SELECT scout.load_silver_from_bronze(10)")
    return payload


def test_linking_is_that_of_the_key_and_not_of_a_column_that_is_never_null(scout_db: str) -> None:
    run(scout_db, "UPDATE scout.silver_line_items SET product_key = NULL")
    assert old_gate(scout_db) == 0
    assert ended(judge(scout_db)) == ("fail", 42)


def test_a_violation_of_any_age_is_seen_and_an_old_one_does_not_fail(scout_db: str) -> None:
    library.negative_totals(scout_db, count=2)
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET processed_at = now() - interval '9 days', updated_at = now() - interval '9 days' "
        "WHERE total_amount < 0",
        "UPDATE scout.silver_line_items SET updated_at = now() - interval '9 days' WHERE transaction_id IN "
        "(SELECT transaction_id FROM scout.silver_transactions WHERE total_amount < 0)",
        *FRESH_GOLD,
    )
    assert old_gate(scout_db) == 43
    assert rows(scout_db, "SELECT FROM scout.v_quality_alerts WHERE severity = 'critical'") == []
    result = judge(scout_db)
    assert (ended(result), wrong(result)) == (("warn", 43), {"older_violations": "warn"})
    assert judge(scout_db, severity={"older_violations": "info"})["ok"]


def test_sums_that_do_not_add_up_and_no_number_are_violations_too(scout_db: str) -> None:
    sale(scout_db, total_amount=9999, net_amount=9999)
    sale(scout_db, total_amount="NaN", net_amount="NaN")
    run(scout_db, *FRESH_GOLD)
    assert old_gate(scout_db) == 0
    result = judge(scout_db)
    assert (ended(result), wrong(result)) == (("fail", 43), {"line_mismatch": "fail", "not_a_number": "fail"})


def test_gold_and_bronze_count_although_the_view_calls_silver_all(scout_db: str) -> None:
    library.gold_stale(scout_db)
    run(scout_db, "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 hour'")
    assert old_gate(scout_db) == 0
    result = judge(scout_db)
    assert wrong(result) == {"bronze_staleness": "fail", "gold_staleness": "fail", "stale_gold_views": "warn"}
    assert ended(result) == ("fail", 45)


def test_quirk_5_events_that_a_lock_hides_from_the_etl_are_pending(scout_db: str) -> None:
    library.backlog(scout_db, 3)
    with connect(scout_db) as connection, psycopg.connect(scout_db) as holder:
        holder.execute(
            "SELECT FROM scout.bronze_events WHERE ingested_at < now() ORDER BY ingested_at DESC LIMIT 400 FOR UPDATE"
        )
        connection.execute("SELECT scout.load_silver_from_bronze(2000)")
        assert old_gate(scout_db) == 0
        result = judge(scout_db)
        assert (checks(result)["backlog_events"]["value"], wrong(result)["backlog_age"]) == (3, "fail")


def test_quirk_6_a_run_that_failed_once_is_forgotten_after_the_next(scout_db: str) -> None:
    library.etl_job_failing(
        scout_db, count=1, message='ERROR: duplicate key value violates unique constraint "etl_processed_pkey"'
    )
    assert old_gate(scout_db) == 0
    result = judge(scout_db)
    assert (ended(result), wrong(result)) == (("fail", 46), {"job_runs": "fail"})
    assert "etl_processed_pkey" in checks(result)["job_runs"]["reason"]
    time.sleep(0.01)
    library.etl_job_slow(scout_db, count=1, seconds=0.001)
    assert ended(judge(scout_db)) == ("pass", 0)


def test_quirk_7_a_total_of_zero_is_counted_where_the_view_dies(scout_db: str) -> None:
    sale(scout_db, total_amount=..., net_amount=10)
    run(scout_db, *FRESH_GOLD)
    with pytest.raises(psycopg.errors.DivisionByZero):
        rows(scout_db, "SELECT * FROM scout.v_quality_alerts")
    assert (ended(judge(scout_db)), wrong(judge(scout_db))) == (("fail", 43), {"line_mismatch": "fail"})


def test_quirk_9_a_pipeline_that_only_corrects_is_not_stale(scout_db: str) -> None:
    run(scout_db, "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '1 hour', "
        "updated_at = updated_at - interval '1 hour'")  # fmt: skip
    known = one(scout_db, library.SOME_SALE, "00000000-0000-0000-0000-000000000000")
    sale(scout_db, known, payment_method="maya")
    run(scout_db, *FRESH_GOLD)
    assert old_gate(scout_db) == 45
    result = judge(scout_db)
    assert ended(result) == ("pass", 0)
    assert "only corrected others" in checks(result)["silver_staleness"]["reason"]


def test_quirk_10_a_correction_that_leaves_the_total_wrong_is_seen(scout_db: str) -> None:
    """The sale is of yesterday; nothing but updated_at tells that it was touched."""
    known = sale(scout_db)
    which = f"WHERE transaction_id = '{known['transaction_id']}'"
    run(
        scout_db,
        f"UPDATE scout.silver_transactions SET processed_at = now() - interval '30 hours' {which}",
        f"UPDATE scout.silver_line_items SET updated_at = now() - interval '30 hours' {which}",
    )
    items = [{**item, "unit_price": 999, "line_amount": 999} for item in known["items"]]
    sale(scout_db, known, items=items, total_amount=999 * len(items), net_amount=999 * len(items))
    run(scout_db, *FRESH_GOLD)
    assert old_gate(scout_db) == 0
    assert rows(scout_db, "SELECT FROM scout.v_quality_alerts WHERE severity = 'critical'") == []
    result = judge(scout_db)
    assert (ended(result), wrong(result)) == (("fail", 43), {"line_mismatch": "fail"})
    assert known["transaction_id"] in checks(result)["line_mismatch"]["reason"]


def test_quirk_11_rows_that_left_silver_while_the_ledger_says_loaded_are_missed(scout_db: str) -> None:
    run(
        scout_db,
        "DELETE FROM scout.silver_transactions WHERE id = (SELECT max(id::text)::uuid FROM scout.silver_transactions "
        "WHERE processed_at > now() - interval '20 hours')",
        *FRESH_GOLD,
    )
    assert old_gate(scout_db) == 0
    assert (ended(judge(scout_db)), wrong(judge(scout_db))) == (("fail", 46), {"lost_events": "fail"})


def test_quirk_13_a_refresh_that_says_success_and_kept_nothing_is_none(scout_db: str) -> None:
    library.gold_broken(scout_db)
    library.gold_stale(scout_db, minutes=20)
    assert ("gold_daily_metrics", "SUCCESS") in rows(
        scout_db, "SELECT operation, status FROM scout.refresh_gold_platinum()"
    )
    assert old_gate(scout_db) == 0
    result = judge(scout_db)
    # The job is said to have succeeded as well.
    assert checks(result)["job_runs"]["status"] == "pass"
    assert (ended(result), wrong(result)) == (
        ("fail", 45), {"gold_staleness": "fail", "stale_gold_views": "warn", "gold_refreshable": "fail"},
    )  # fmt: skip


def test_a_view_of_the_teams_own_that_nobody_refreshes_concurrently_needs_no_key(scout_db: str) -> None:
    view = "scout.gold_hourly"
    run(
        scout_db,
        f"CREATE MATERIALIZED VIEW {view} AS SELECT date_trunc('hour', ts), count(*) FROM scout.silver_transactions GROUP BY 1",
        f"ALTER MATERIALIZED VIEW {view} OWNER TO loader",
    )
    assert checks(judge(scout_db))["gold_refreshable"]["status"] == "pass"
    job = (
        "INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)"
        " SELECT '*/5 * * * *', '{}', nodename, nodeport, database, username, true, 'hourly' FROM cron.job LIMIT 1"
    )
    run(scout_db, job.format(f"REFRESH MATERIALIZED VIEW CONCURRENTLY {view} -- REFRESH MATERIALIZED VIEW {view}"))
    assert checks(judge(scout_db))["gold_refreshable"]["reason"] == f"{view} has no unique index"
    run(scout_db, f"UPDATE cron.job SET command = 'REFRESH MATERIALIZED VIEW {view}' WHERE jobname = 'hourly'")
    assert checks(judge(scout_db))["gold_refreshable"]["status"] == "pass"
    assert view not in str(call("scout_health_info", scout_db)["diagnoses"])
    run(scout_db, f"CREATE UNIQUE INDEX hourly ON {view} (date_trunc)")
    assert not call("scout_capture", scout_db, release="v1").get("failed")
    run(scout_db, "DROP INDEX scout.hourly")
    assert checks(judge(scout_db))["gold_refreshable"]["reason"] == f"{view} has no unique index"


def test_quirk_15_gold_that_was_never_filled_keeps_nothing_else_from_being_judged(scout_db: str) -> None:
    library.gold_unpopulated(scout_db)
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState):
        rows(scout_db, "SELECT * FROM scout.v_ingest_freshness")
    result = judge(scout_db)
    assert wrong(result) == dict.fromkeys(("gold_staleness", "stale_gold_views", "gold_refreshable"), "fail")


def test_quirk_21_a_session_that_only_speaks_of_the_loader_is_not_stuck(scout_db: str) -> None:
    with psycopg.connect(scout_db, autocommit=True) as session:
        session.execute("SELECT 'load_silver_from_bronze(', pg_sleep(0.001)")
        session.execute("BEGIN")
        session.execute("SELECT 'SELECT scout.load_silver_from_bronze(1000)'")
        time.sleep(0.5)
        assert ended(judge(scout_db, stuck_after_seconds=0.4)) == ("pass", 0)


@pytest.mark.parametrize("zone", ["Asia/Manila", "America/St_Johns"])
def test_quirk_23_the_servers_time_zone_changes_nothing(scout_db: str, zone: str) -> None:
    name = conninfo_to_dict(scout_db)["dbname"]
    run(
        scout_db,
        f"ALTER DATABASE \"{name}\" SET timezone = '{zone}'",
        "ALTER ROLE loader SET timezone = 'Pacific/Kiritimati'",
    )
    try:
        result = judge(scout_db, smoke=True)
        assert (ended(result), wrong(result)) == (("pass", 0), {})
    finally:
        run(scout_db, "ALTER ROLE loader RESET timezone")


def test_alerts_are_counted_once_however_often_they_were_raised(scout_db: str) -> None:
    library.negative_totals(scout_db, count=1)
    for _ in range(5):
        run(scout_db, "SELECT scout.process_quality_alerts()")
    assert checks(judge(scout_db))["unresolved_alerts"]["value"] == 2
    assert one(scout_db, "SELECT count(*) FROM scout.alerts WHERE severity = 'critical'") == 10


def test_alerts_that_are_over_end_with_the_statement_that_is_printed(scout_db: str) -> None:
    run(scout_db, "INSERT INTO scout.alerts (alert_type, severity) VALUES ('NEGATIVE_TOTAL', 'critical')")
    result = judge(scout_db)
    assert wrong(result) == {"unresolved_alerts": "fail"}
    [statement] = [part.text for told in what_next(result) for part in advice.parts(told) if part.is_statement]
    run(scout_db, statement)
    assert wrong(judge(scout_db)) == {}


STUB = """
CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
LANGUAGE sql AS 'SELECT 0, 0, 0, 0'
"""
#: What of the ETL's source is replaced by what; None is all of it.
BROKEN: dict[str, tuple[str | None, str]] = {
    "only its name is left": (None, STUB),
    "net amounts are halved": ("coalesce((e->>'net_amount')::numeric,", "coalesce((e->>'net_amount')::numeric / 2,"),
    "only first lines are loaded": ("AS items (item, position)", "AS items (item, position) WHERE position = 1"),
    "dates are the next day's": ("(e->>'ts')::date,", "(e->>'ts')::date + 1,"),
    "units are lost": ("greatest(coalesce((item->>'qty')::int, (item->>'quantity')::int, 1), 1),", "1,"),
    "it is not marked as loaded": ("SELECT b.event_id, c.transactions", "SELECT gen_random_uuid(), c.transactions"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_only_keeps_its_name_is_found_by_the_smoke_test(scout_db: str, name: str) -> None:
    """The functions named verify_… look for names."""
    part, other = BROKEN[name]
    source = one(scout_db, "SELECT pg_get_functiondef('scout.load_silver_from_bronze'::regproc)")
    spoiled = other if part is None else source.replace(part, other)
    assert spoiled != source
    run(scout_db, spoiled)
    assert one(scout_db, "SELECT bool_and(present) FROM scout.verify_streaming_objects()") is True
    assert old_gate(scout_db) == 0
    assert ended(judge(scout_db)) == ("pass", 0)
    result = judge(scout_db, smoke=True)
    assert (ended(result), wrong(result)) == (("fail", 46), {"smoke_test": "fail"})
    assert checks(result)["smoke_test"]["reason"]


def test_what_a_cleanup_set_aside_on_purpose_is_not_lost(scout_db: str) -> None:
    with connect(scout_db) as connection:
        latest = (
            "SELECT source_event_id FROM scout.silver_transactions ORDER BY processed_at DESC, transaction_id LIMIT 3"
        )
        connection.execute(
            f"""UPDATE scout.bronze_events SET event_data = event_data || '{{"total_amount": -5}}' WHERE event_id IN ({latest})"""
        )
        connection.execute(
            f"UPDATE scout.silver_transactions SET total_amount = -5 WHERE source_event_id IN ({latest})"
        )
    assert "negative_totals" in wrong(judge(scout_db))
    cleaned = call("scout_cleanup", scout_db, source_event="keep", max_share=1.0)
    assert cleaned["moved"]["transactions"] >= 3, cleaned
    assert not {"negative_totals", "lost_events"} & wrong(judge(scout_db)).keys()
