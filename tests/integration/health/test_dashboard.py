# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_dashboard_info on a real pipeline: the views as they are, each failing alone, and our figures where they mislead."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import dashboard
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import dashboard as summary_dashboard
from tests import CHECKOUT
from tests.integration.modules import Result, call, connect, executed, fingerprint, one, operator, rows

DASHBOARD = "scout_dashboard_info"
NAMES = [query.name for query in dashboard.QUERIES]
VIEWS = [contract.bare(name) for name in contract.DEFAULT.dashboard_views]
REPORT = contract.bare(contract.DEFAULT.quality_report_function)


def ask(dsn: str, **options: Any) -> Result:
    result = call(DASHBOARD, dsn, **options)
    assert not result.get("failed"), result
    return result


def answers(result: Result) -> dict[str, Result]:
    return {query["name"]: query for query in result["queries"]}


def failed(result: Result) -> dict[str, str]:
    return {query["name"]: query["error"] for query in result["queries"] if query["error"]}


def ours(result: Result) -> dict[str, Result]:
    return {figure["name"]: figure for query in result["queries"] for figure in query["ours"]}


def run(dsn: str, *statements: str) -> None:
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement)  # type: ignore[call-overload]


def text(dsn: str, result: Result) -> str:
    """The page, in which no line is wider than a terminal and nothing controls one."""
    lines = summary_dashboard.page(json.loads(json.dumps(result)))
    assert max(map(len, lines)) <= summary_dashboard.WIDTH
    assert all(line.isprintable() for line in lines)
    return "\n".join(lines)


def test_all_six_answer_both_ways_and_nothing_is_written(scout_db: str) -> None:
    before = fingerprint(scout_db)
    result = ask(scout_db)
    assert NAMES == [
        "v_ingest_freshness", "v_pipeline_throughput", "v_etl_performance", "v_quality_alerts", "data_quality_report",
        "v_product_linking_stats",
    ]  # fmt: skip
    assert list(answers(result)) == NAMES
    assert failed(result) == {}
    assert result["summary"] == "6 of 6 dashboard queries answered"
    assert (result["changed"], result["verdict"]) == (False, "healthy")
    assert result.keys() <= executed(DASHBOARD, scout_db).keys()
    assert ask(scout_db).keys() == call(DASHBOARD, scout_db, check=True).keys()
    assert fingerprint(scout_db) == before
    page = text(scout_db, result)
    assert all(name in page for name in NAMES)


def test_a_repaired_deployment_answers_too(repaired_db: str) -> None:
    assert failed(ask(repaired_db)) == {}


def test_rows_are_the_views_own(scout_db: str) -> None:
    library.negative_totals(scout_db, count=2)
    result = ask(scout_db, rows=1000)
    found = answers(result)
    for name in VIEWS:
        if name == "v_ingest_freshness":
            continue
        with connect(scout_db) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            wanted = connection.execute(f"SELECT row_to_json(q) FROM scout.{name} AS q").fetchall()
        assert found[name]["total"] == len(found[name]["rows"]) == len(wanted), name
        assert sorted(map(str, found[name]["rows"])) == sorted(str(row[0]) for row in wanted), name
        if wanted:
            assert [list(row) for row in found[name]["rows"]] == [list(wanted[0][0])] * len(wanted)
    [freshness] = found["v_ingest_freshness"]["rows"]
    assert list(freshness) == [
        "bronze_staleness_minutes", "silver_staleness_minutes", "gold_staleness_minutes", "pipeline_health",
    ]  # fmt: skip
    assert freshness["pipeline_health"] == "healthy"
    assert {row["check_name"] for row in found[REPORT]["rows"]} == {
        "bronze_to_silver_latency", "negative_amounts", "line_item_totals_mismatch", "coverage_percentage",
        "transaction_throughput",
    }  # fmt: skip


def test_the_newest_and_the_gravest_come_first_and_the_rest_is_counted(scout_db: str) -> None:
    library.negative_totals(scout_db, count=3)
    run(scout_db, "UPDATE scout.silver_transactions SET total_amount = 20000 WHERE total_amount >= 0")
    result = ask(scout_db, rows=2)
    found = answers(result)
    for name, column in (("v_etl_performance", "hour"), ("v_product_linking_stats", "hour")):
        newest = one(scout_db, f"SELECT max({column}) FROM scout.{name}")
        shown = [row[column] for row in found[name]["rows"]]
        assert shown == sorted(shown, reverse=True)
        assert shown[0].startswith(f"{newest.astimezone(tz=None):%Y-%m-%d}"[:8])
    alerts = found["v_quality_alerts"]
    assert alerts["total"] == one(scout_db, "SELECT count(*) FROM scout.v_quality_alerts") > 2
    assert [row["severity"] for row in alerts["rows"]] == ["critical", "critical"]
    assert f"2 of {alerts['total']:,} rows" in text(scout_db, result)


def zero_total(dsn: str) -> None:
    """A sale with a total of 0 and lines, which the view divides by."""
    payload = generator.transaction(*library._fresh())
    del payload["total_amount"]
    with connect(dsn) as connection:
        generator.insert(connection, payload)
        connection.execute("SELECT scout.load_silver_from_bronze(1)")


def test_quirk_7_the_alerts_fail_alone_and_ours_stand_beside(scout_db: str) -> None:
    zero_total(scout_db)
    result = ask(scout_db)
    assert failed(result) == {"v_quality_alerts": "division by zero"}
    assert (ours(result)["critical_alerts"]["value"], ours(result)["critical_alerts"]["status"]) == (1, "fail")
    assert ours(result)["critical_alerts_in_24_hours"]["reason"] == "LINE_TOTAL_MISMATCH 1"
    assert result["summary"] == "5 of 6 dashboard queries answered, not v_quality_alerts"
    assert "failed  division by zero\n    ours    critical alerts 1 (fail: LINE_TOTAL_MISMATCH 1);" in text(
        scout_db, result
    )


def aged(dsn: str, hours: int) -> None:
    """Negative sales, by every clock they have."""
    then = f"now() - interval '{hours} hours'"
    run(
        dsn,
        f"UPDATE scout.silver_transactions SET processed_at = {then}, updated_at = {then} WHERE total_amount < 0",
        f"UPDATE scout.silver_line_items SET updated_at = {then} WHERE transaction_id IN "
        "(SELECT transaction_id FROM scout.silver_transactions WHERE total_amount < 0)",
    )


def test_quirk_8_what_is_older_than_the_views_hour_is_counted(scout_db: str) -> None:
    library.negative_totals(scout_db, count=3)
    aged(scout_db, hours=2)
    result = ask(scout_db)
    assert answers(result)["v_quality_alerts"]["total"] == ours(result)["critical_alerts"]["value"] == 0
    assert ours(result)["critical_alerts_in_24_hours"]["value"] >= 3
    aged(scout_db, hours=30)
    result = ask(scout_db)
    assert ours(result)["critical_alerts_in_24_hours"]["value"] == 0
    assert ours(result)["older_violations"]["value"] == 3
    assert ours(ask(scout_db, hours=48))["critical_alerts_in_48_hours"]["value"] >= 3


def test_quirk_9_what_is_loaded_again_shows_in_ours(scout_db: str) -> None:
    """Corrections keep the sale's processed_at: the views see nothing of them."""
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '30 minutes', "
        "updated_at = updated_at - interval '30 minutes'",
        "UPDATE scout.etl_processed SET processed_at = processed_at - interval '30 minutes'",
        "DELETE FROM scout.etl_processed WHERE event_id IN (SELECT event_id FROM scout.bronze_events "
        "WHERE event_type = 'transaction.v1' ORDER BY ingested_at DESC LIMIT 40)",
        "SELECT scout.load_silver_from_bronze(1000)",
    )
    result = ask(scout_db)
    assert answers(result)["v_pipeline_throughput"]["total"] == 0
    assert answers(result)["v_ingest_freshness"]["rows"][0]["pipeline_health"] == "stale"
    assert ours(result)["loaded_in_15_minutes"]["value"] == 40
    assert ours(result)["last_load"]["value"] < 1
    assert ours(result)["loaded_in_15_minutes"]["status"] == "unjudged"


def test_figures_are_what_plain_sql_says(scout_db: str) -> None:
    library.etl_job_failing(scout_db)
    found = ours(ask(scout_db))
    since = "processed_at > now() - interval '{}'"
    for name, query in {
        "ingested_in_15_minutes": "SELECT count(*) FROM scout.bronze_events WHERE ingested_at > now() - interval '15 minutes'",
        "loaded_in_24_hours": f"SELECT count(*) FROM scout.etl_processed WHERE {since.format('24 hours')}",
        "loaded_in_15_minutes": f"SELECT count(*) FROM scout.etl_processed WHERE {since.format('15 minutes')}",
    }.items():
        assert found[name]["value"] == pytest.approx(one(scout_db, query), abs=2), name
    [[runs, bad]] = rows(
        scout_db,
        "SELECT count(*), count(*) FILTER (WHERE status = 'failed') FROM cron.job_run_details JOIN cron.job USING (jobid) "
        "WHERE jobname = 'bronze-to-silver-etl' AND end_time > now() - interval '1 hour'",
    )
    assert found["failed_etl_runs_in_1_hour"]["value"] == bad > 0
    assert found["etl_runs_in_1_hour"]["value"] == pytest.approx(runs, abs=1)


def test_quirk_15_freshness_fails_alone_where_gold_was_never_filled(scout_db: str) -> None:
    library.gold_unpopulated(scout_db)
    result = ask(scout_db)
    assert list(failed(result)) == ["v_ingest_freshness"]
    assert "has not been populated" in failed(result)["v_ingest_freshness"]
    assert ours(result)["gold_staleness"]["status"] == "fail"
    assert ours(result)["silver_staleness"]["status"] == "ok"


def test_each_query_is_bounded_in_time(scout_db: str) -> None:
    run(
        scout_db,
        "CREATE OR REPLACE VIEW scout.v_pipeline_throughput AS SELECT now() AS minute, 1::bigint AS tx_count, 1::bigint AS "
        "total_items, 1::numeric AS avg_transaction_amount, 1::bigint AS active_stores FROM pg_sleep(60)",
    )
    began = time.monotonic()
    result = ask(scout_db, query_seconds=0.7)
    assert time.monotonic() - began < 30
    assert failed(result) == {"v_pipeline_throughput": "it could not be read within the time budget"}
    assert ours(result)["ingested_in_15_minutes"]["value"] is not None


@contextlib.contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    with psycopg.connect(dsn) as holder:
        holder.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE".encode())
        yield
        holder.rollback()


def test_a_locked_table_costs_only_what_reads_it(scout_db: str) -> None:
    with locked(scout_db, "scout.etl_processed"):
        began = time.monotonic()
        result = ask(scout_db)
        assert time.monotonic() - began < 30
    assert failed(result) == {"v_etl_performance": "another session has locked it"}
    assert ours(result)["last_load"]["value"] is None
    assert "another session has locked it" in ours(result)["last_load"]["reason"]
    assert "last load ?, backlog age ? (another session has locked it)" in " ".join(text(scout_db, result).split())


def test_what_lists_thousands_stays_small(scout_db: str) -> None:
    """data_quality_report has every transaction of a violation in its details."""
    run(scout_db, "UPDATE scout.silver_transactions SET total_amount = -1, processed_at = now()")
    assert one(scout_db, "SELECT max(length(details::text)) FROM scout.data_quality_report(24)") > 20_000
    result = ask(scout_db)
    details = [row["details"] for row in answers(result)[REPORT]["rows"]]
    assert max(len(json.dumps(value)) for value in details) < 500
    assert len(json.dumps(result)) < 30_000
    assert len(text(scout_db, result).splitlines()) < 120


def test_another_variant_of_a_view_is_shown_as_it_is(scout_db: str) -> None:
    run(
        scout_db,
        "DROP VIEW scout.v_pipeline_throughput, scout.v_product_linking_stats",
        "CREATE VIEW scout.v_pipeline_throughput AS SELECT date_trunc('minute', ingested_at) AS minute, count(*) AS events_ingested, "
        "count(DISTINCT event_data ->> 'store_id') AS unique_stores FROM scout.bronze_events GROUP BY 1",
        'CREATE TABLE scout.v_product_linking_stats (strange int, "Column with ""quotes"" and 100 %" text)',
        "INSERT INTO scout.v_product_linking_stats VALUES (1, E'a\\x1b[31mb\\nc'), (NULL, repeat('long ', 1000)), (3, NULL)",
    )
    result = ask(scout_db)
    assert failed(result) == {}
    assert list(answers(result)["v_pipeline_throughput"]["rows"][0]) == ["minute", "events_ingested", "unique_stores"]
    linking = answers(result)["v_product_linking_stats"]
    assert linking["total"] == 3
    assert [list(row) for row in linking["rows"]] == [["strange", 'Column with "quotes" and 100 %']] * 3
    assert "events" in text(scout_db, result)


def test_a_missing_query_is_said(scout_db: str) -> None:
    run(scout_db, "DROP VIEW scout.v_ingest_freshness", "DROP FUNCTION scout.data_quality_report(int)")
    found = failed(ask(scout_db))
    assert set(found) == {"v_ingest_freshness", REPORT}
    assert all("does not exist" in why for why in found.values())


def test_a_report_that_would_write_is_refused_by_the_transaction(scout_db: str) -> None:
    run(
        scout_db,
        "CREATE OR REPLACE FUNCTION scout.data_quality_report(p_hours_back int DEFAULT 1) RETURNS TABLE (check_category text, "
        "check_name text, status text, failure_count int, details jsonb) LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO scout.alerts (alert_type, severity) VALUES ('x', 'info'); END $$",
    )
    before = fingerprint(scout_db)
    assert "read-only transaction" in failed(ask(scout_db))[REPORT]
    assert fingerprint(scout_db) == before


def test_an_empty_pipeline_answers(scout_db: str) -> None:
    run(scout_db, "TRUNCATE scout.bronze_events, scout.silver_transactions, scout.etl_processed CASCADE")
    result = ask(scout_db)
    assert failed(result) == {}
    assert answers(result)["v_etl_performance"]["rows"] == []
    assert ours(result)["last_load"]["status"] == "unknown"
    page = text(scout_db, result)
    assert page.count("no row") == 4


def test_values_that_are_no_numbers_for_json(scout_db: str) -> None:
    sale = "UPDATE scout.silver_transactions SET {} = '{}' WHERE id = (SELECT {}(id::text)::uuid FROM scout.silver_transactions)"
    run(scout_db, sale.format("total_amount", "NaN", "min"), sale.format("processed_at", "infinity", "max"))
    result = ask(scout_db)
    json.dumps(result, allow_nan=False)
    assert failed(result) == {}
    text(scout_db, result)


def test_a_role_without_the_grants_is_told_them(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        run(scout_db, "REVOKE SELECT ON ALL TABLES IN SCHEMA scout FROM loader")
        run(scout_db, *(f"GRANT SELECT ON {table} TO loader" for table in contract.DEFAULT.required_tables))
        run(scout_db, *(f"ALTER VIEW scout.{view} OWNER TO postgres" for view in VIEWS))
        result = ask(dsn)
        for name in VIEWS:
            assert "permission denied" in failed(result)[name]
            grant = answers(result)[name]["next_step"]
            assert grant.startswith(f'GRANT SELECT ON scout.{name} TO "operator_')
            run(scout_db, grant)
        assert failed(ask(dsn)) == {}


def test_the_documented_role_may_ask_everything(scout_db: str) -> None:
    role = f"dashboards_{time.monotonic_ns():x}"
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    subprocess.run(
        [psql(), "-X", "-q", "-d", scout_db, "-v", f"role={role}", "-f", script], check=True, capture_output=True
    )
    try:
        assert failed(ask(make_conninfo(scout_db, user=role))) == {}
    finally:
        run(scout_db, f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")


def test_a_pause_is_said_beside_the_views(scout_db: str) -> None:
    assert not call("scout_ingestion", scout_db, state="paused", incident="INC-7").get("failed")
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '1 hour', updated_at = updated_at - interval '1 hour'",
    )
    result = ask(scout_db)
    assert result["verdict"] == "paused"
    assert "not judged while paused" in ours(result)["silver_staleness"]["reason"]
    assert "not judged while paused" in " ".join(text(scout_db, result).split())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hours": 0}, "hours 0 is not usable"), ({"hours": -1}, "give 1 to 8784 hours"),
        ({"rows": 0}, "rows 0 is not usable"), ({"rows": 10**9}, "give 1 to 1000 rows"),
        ({"query_seconds": 0.0}, "query_seconds"), ({"query_seconds": float("nan")}, "query_seconds"),
        ({"thresholds": {"x": {}}}, "threshold 'x' is unknown"),
    ],
)  # fmt: skip
def test_options_that_cannot_be_used_are_named(scout_db: str, options: dict[str, Any], words: str) -> None:
    result = call(DASHBOARD, scout_db, **options)
    assert result["failed"]
    assert words in result["msg"]


def test_a_lost_connection_is_an_error_with_a_next_step(scout_db: str) -> None:
    run(
        scout_db,
        "CREATE OR REPLACE VIEW scout.v_etl_performance AS SELECT now() AS hour, 1::bigint AS batches_processed, 1::bigint AS "
        "total_records_created, 1::numeric AS avg_duration_ms, 1 AS max_duration_ms, 1 AS min_duration_ms, "
        "1::float8 AS p95_duration_ms FROM (SELECT pg_terminate_backend(pg_backend_pid())) AS x",
    )
    result = call(DASHBOARD, scout_db)
    assert result["failed"]
    assert result["error"]["kind"] == "connection_lost"
    assert result["error"]["attempted"] == "could not run the dashboard queries"
    assert result["error"]["next_step"]
