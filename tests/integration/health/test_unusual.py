# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is unusual about the sales of a day is one line each, and an ordinary day has none."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import unusual
from tests.integration.modules import call, run
from tests.scout.fixtures import small

#: The file of yesterday, sent again as the sales of today.
AGAIN = """
INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash, ingested_at)
SELECT event_type, source_system, event_data || jsonb_build_object('transaction_id', 'again-' || event_id),
       sha256(convert_to('again-' || event_id, 'UTF8')), now() - interval '2 hours'
FROM scout.bronze_events WHERE event_data ->> 'transaction_id' ~ '^file-1[0-9][0-9]$'
"""
#: The sales of one till, loaded when they arrived: `n` is the number of one, `arrived` when it came.
SELL = """
WITH sent AS (
    INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash, event_ts, ingested_at)
    SELECT 'transaction.v1', '{source}', jsonb_build_object('transaction_id', id, 'store_id', '{store}', 'ts', {ts}, 'region', '{region}',
               'payment_method', 'cash', 'total_amount', {amount}, 'items', jsonb_build_array(jsonb_build_object(
               'product_id', 'P001', 'qty', 1, 'unit_price', {amount}, 'line_amount', {amount}))),
           sha256(convert_to(id, 'UTF8')), arrived, arrived
    FROM (SELECT n, '{till}-' || n AS id, {arrived} AS arrived, {spread} AS spread FROM generate_series({first}, {last}) AS n) AS sale
    RETURNING event_id, ingested_at
)
SELECT count(*) FROM sent
"""
LOADED = (
    "SELECT scout.load_silver_from_bronze(NULL)",
    """
    UPDATE scout.silver_transactions AS t SET processed_at = b.ingested_at, updated_at = b.ingested_at FROM scout.bronze_events AS b
    WHERE b.event_id = t.source_event_id AND t.processed_at > b.ingested_at
    """,
    "UPDATE scout.etl_processed AS p SET processed_at = b.ingested_at FROM scout.bronze_events AS b WHERE b.event_id = p.event_id",
)
AMOUNT = "round(50 + (n * 7919 % 1000) / 10.0, 2)"
#: One sale every six minutes, the latest a moment ago.
LIVE = "now() - n * interval '6 minutes' - interval '10 seconds'"
#: A file of 100 sales a day, five hours ago and at that time of the days before; of sales of the day before it.
FILED = "now() - n / 100 * interval '1 day' - interval '5 hours'"
DAY, WEEK = 240, 8 * 240
STORES = {"T1": ("edge", "NCR"), "T2": ("edge", "NCR"), "T3": ("edge", "Visayas"), "T4": ("pos-sync", "Visayas")}


def sales(till: str, store: str, last: int, first: int = 0, **fields: str) -> str:
    """The statement by which a till sends its sales."""
    source, region = STORES.get(store, ("files", "Mindanao"))
    usual = {
        "source": source,
        "region": region,
        "amount": AMOUNT,
        "arrived": LIVE,
        "ts": "arrived - interval '3 seconds'",
    }
    spread = "n % 100 * interval '13 minutes'"
    return SELL.format(till=till, store=store, first=first, last=last, **{"spread": spread, **usual, **fields})


def file(name: str, last: int, first: int = 0, **fields: str) -> str:
    return sales(name, "T5", last, first, **{"arrived": FILED, "ts": "arrived - interval '6 hours' - spread", **fields})


def a_week(dsn: str) -> None:
    """Four stores whose tills send each sale, and one that sends a file a day."""
    run(dsn, *(sales(f"till-{store}", store, WEEK - 1) for store in STORES), file("file", 799), *LOADED)


scout_template = small(60, prepare=a_week)


def found(dsn: str) -> list[dict[str, Any]]:
    """What the assessment says is unusual; it says so again on the screen, in as many lines."""
    result = call("scout_health_info", dsn)
    assert "unusual" not in result["unread"]
    assert len(unusual.table(result["unusual"])) == len(result["unusual"])
    return result["unusual"]


def named(dsn: str) -> list[tuple[str, str, str, int]]:
    return [(row["what"], row["kind"], row["name"], row["others"]) for row in found(dsn)]


def remove(dsn: str, where: str) -> None:
    """Sales that were never sent."""
    run(
        dsn,
        f"DELETE FROM scout.silver_transactions AS t USING scout.bronze_events AS b WHERE b.event_id = t.source_event_id AND {where}",
        f"DELETE FROM scout.etl_processed AS p USING scout.bronze_events AS b WHERE b.event_id = p.event_id AND {where}",
        f"DELETE FROM scout.bronze_events AS b WHERE {where}",
    )


def test_an_ordinary_day_has_no_line(scout_db: str) -> None:
    assert found(scout_db) == []


def test_a_till_that_sends_cents(scout_db: str) -> None:
    run(scout_db, sales("till-cents", "T1", 24, amount=f"100 * {AMOUNT}"), *LOADED)
    [row] = found(scout_db)
    assert (row["what"], row["kind"], row["name"]) == ("mean amount", "store", "T1")
    assert row["now"] > 3 * row["usual"] > 0


def test_half_a_file_is_missing(scout_db: str) -> None:
    remove(scout_db, "b.event_data ->> 'transaction_id' ~ '^file-[5-9][0-9]$'")
    [row] = found(scout_db)
    assert (row["what"], row["name"], row["now"], row["usual"]) == ("fewer sales", "T5", 50, 100)


def test_a_till_a_year_behind(scout_db: str) -> None:
    run(scout_db, sales("till-old", "T2", 29, ts="arrived - interval '365 days'"), *LOADED)
    [row] = found(scout_db)
    assert (row["what"], row["kind"], row["name"], round(row["now"] / 86400)) == ("ts to arrival", "store", "T2", 365)


def test_yesterdays_file_under_new_ids(scout_db: str) -> None:
    run(scout_db, AGAIN, *LOADED)
    assert named(scout_db) == [("equal sales, new ids", "store", "T5", 0)]


def test_the_time_zone_of_a_role_was_changed(scout_db: str) -> None:
    """All that tills sent since two hours ago lies eight hours off."""
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET ts = ts - interval '8 hours' "
        "WHERE processed_at > now() - interval '2 hours' AND store_id <> 'T5'",
    )
    [row] = found(scout_db)
    assert (row["what"], row["kind"], round(row["now"] / 3600), round(row["usual"])) == (
        "ts to arrival",
        "source",
        8,
        3,
    )


def test_regions_that_became_unknown(scout_db: str) -> None:
    run(
        scout_db,
        "UPDATE scout.silver_transactions SET region = 'UNKNOWN' WHERE processed_at > now() - interval '4 hours' AND store_id = 'T3'",
    )
    assert ("unknown region", "store", "T3", 0) in named(scout_db)


def test_a_till_that_fell_silent(scout_db: str) -> None:
    remove(scout_db, "b.event_data ->> 'store_id' = 'T4' AND b.ingested_at > now() - interval '3 hours'")
    [row] = found(scout_db)
    assert (row["what"], row["now"]) == ("fewer, last 3 h", 0)
    assert row["usual"] >= 29


@pytest.mark.parametrize(
    "statement",
    [
        pytest.param(sales("new", "T9", 0), id="the first sale of a new store"),
        pytest.param(sales("new", "T9", 59, source="edge", region="UNKNOWN"), id="the first day of a new store"),
        pytest.param(
            "UPDATE scout.silver_transactions SET total_amount = total_amount * 1.1 WHERE processed_at > now() - interval '1 day'",
            id="prices rise by ten percent",
        ),
        pytest.param(
            "UPDATE scout.silver_transactions SET total_amount = 99999 WHERE transaction_id IN ('till-T1-3', 'file-7')",
            id="one dear sale",
        ),
        pytest.param("UPDATE scout.silver_transactions SET total_amount = 'NaN' WHERE transaction_id = 'till-T1-3'", id="no number"),
        pytest.param("UPDATE scout.silver_transactions SET ts = 'infinity' WHERE transaction_id = 'till-T1-3'", id="no time"),
        pytest.param("ALTER TABLE scout.silver_transactions RENAME COLUMN region TO area", id="no column region"),
        pytest.param("UPDATE scout.silver_transactions SET source_event_id = NULL", id="no event is known"),
        pytest.param("TRUNCATE scout.silver_transactions CASCADE", id="no sale"),
    ],
)  # fmt: skip
def test_what_is_ordinary_has_no_line(scout_db: str, statement: str) -> None:
    run(scout_db, statement, *(LOADED if statement.lstrip().startswith("WITH") else ()))
    assert found(scout_db) == []


def test_the_first_day_after_a_month_without_sales(scout_db: str) -> None:
    run(
        scout_db,
        "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '40 days'",
        "UPDATE scout.silver_transactions SET ts = ts - interval '40 days', processed_at = processed_at - interval '40 days'",
        sales("back", "T1", DAY - 1),
        *LOADED,
    )
    assert found(scout_db) == []


def test_it_changes_no_verdict_and_what_takes_too_long_is_cancelled(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = call("scout_health_info", scout_db)
    run(scout_db, sales("till-old", "T2", 29, ts="arrived - interval '365 days'"), *LOADED)
    odd = call("scout_health_info", scout_db)
    assert (len(odd["unusual"]), odd["verdict"], odd["needs_reset"]) == (1, usual["verdict"], [])
    monkeypatch.setattr(unusual, "SECONDS", 0.2)
    monkeypatch.setattr(unusual, "UNUSUAL", f"{unusual.UNUSUAL} CROSS JOIN pg_sleep(3600)")
    late = call("scout_health_info", scout_db)
    assert (late["unusual"], late["unread"], late["verdict"]) == ([], ["unusual"], usual["verdict"])
    assert late["diagnoses"] == usual["diagnoses"]
