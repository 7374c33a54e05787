# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements call the pipeline, and which functions and jobs write silver or gold."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs

ETL = ("load_silver_from_bronze",)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM scout.load_silver_from_bronze(2000)",
        "select SCOUT.LOAD_SILVER_FROM_BRONZE (1)",
        'SELECT "scout"."load_silver_from_bronze"(1)',
        "BEGIN; SELECT load_silver_from_bronze(1); COMMIT",
        "/* nightly */ SELECT scout.load_silver_from_bronze(NULL) -- all of it",
        "SELECT 'a -- b', scout.load_silver_from_bronze(1)",
        "SELECT 'scout/*', scout.load_silver_from_bronze(1)",
        r"SELECT E'it\'s', scout.load_silver_from_bronze(1), 'x'",
        "EXPLAIN ANALYZE SELECT scout.load_silver_from_bronze(1)",
    ],
)
def test_calls(text: str) -> None:
    assert cron_jobs.calls(text, ETL) == "load_silver_from_bronze"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 'scout.load_silver_from_bronze(1)'",
        "SELECT * FROM pg_stat_activity WHERE query ~ 'load_silver_from_bronze(' -- load_silver_from_bronze(1)",
        "SELECT 1 /* load_silver_from_bronze(1) */",
        "SELECT 1 /* outer /* inner */ load_silver_from_bronze(1) */",
        "SELECT 1 /* cut load_silver_from_bronze(",
        "SELECT 'cut load_silver_from_bronze(",
        r"SELECT E'it\'s load_silver_from_bronze(1)'",
        "SELECT $x$ load_silver_from_bronze(1) $x$",
        "CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int) RETURNS int",
        "DROP FUNCTION scout.load_silver_from_bronze(int)",
        "EXPLAIN SELECT scout.load_silver_from_bronze(1)",
        "SELECT my_load_silver_from_bronze(1)",
        "SELECT load_silver_from_bronze FROM t",
    ],
)
def test_a_mention_is_no_call(text: str) -> None:
    assert cron_jobs.calls(text, ETL) is None


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        ("SELECT scout.load_silver_from_bronze(2000);", True),
        ("SELECT SCOUT.LOAD_SILVER_FROM_BRONZE(2000);", True),
        ("SELECT nightly.outer_wrapper()", True),
        ('CALL "Nightly"()', True),
        ("REFRESH MATERIALIZED VIEW scout.gold_daily_metrics", True),
        ("refresh materialized view concurrently\n gold_region_choropleth", True),
        ('DELETE FROM ONLY "scout"."silver_transactions" WHERE false', True),
        ("DO $$ BEGIN PERFORM scout.load_silver_from_bronze(1); END $$", True),
        ("DO $$ BEGIN EXECUTE 'UPDATE scout.silver_line_items SET quantity = 1'; END $$", True),
        ("SELECT note('-- nothing /*'); SELECT scout.load_silver_from_bronze(1)", True),
        ("COPY scout.silver_transactions FROM PROGRAM 'cat'", True),
        ("SELECT count(*) FROM scout.silver_transactions", False),
        ("INSERT INTO scout.alerts SELECT * FROM scout.silver_sanity_checks()", False),
        ("SELECT scout.simulate_peak_hours();", False),
        ("DO $$ BEGIN -- as load_silver_from_bronze(1) does\n PERFORM 1; END $$", False),
        ("SELECT 1 -- UPDATE scout.silver_transactions", False),
        ("VACUUM scout.silver_transactions", False),
    ],
)
def test_jobs_that_write_silver_or_gold(command: str, counts: bool) -> None:
    writing = cron_jobs.writers(
        {
            "outer_wrapper": "BEGIN PERFORM inner_wrapper(); END",
            "inner_wrapper": "BEGIN EXECUTE 'SELECT scout.load_silver_from_bronze(1)'; END",
            "Nightly": "BEGIN INSERT INTO scout.silver_line_items SELECT 1; END",
            "silver_sanity_checks": "SELECT count(*) FROM scout.silver_transactions",
            "simulate_peak_hours": "BEGIN INSERT INTO scout.bronze_events SELECT 1; END",
            "reader": "-- calls load_silver_from_bronze(1)\nSELECT 1",
        }
    )
    assert writing.isdisjoint({"silver_sanity_checks", "simulate_peak_hours", "reader"})
    assert cron_jobs.writes_silver_or_gold(command, writing) is counts
