# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A window recovery rebuilds what is damaged, and nothing that a deployment loads otherwise by design."""

from __future__ import annotations

from datetime import timedelta

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import LINKED
from tests.integration.modules import call, fingerprint, one
from tests.integration.oracle import silver
from tests.scout.variants import ETL, HEALTHY, TOTAL, edit, run, sell, wrapped

#: Sales of the last 50 minutes, which are in the last hour however long the test takes.
RECENT = """
transaction_id IN (SELECT b.event_data ->> 'transaction_id' FROM scout.bronze_events AS b
                   WHERE b.event_type = 'transaction.v1' AND b.ingested_at > now() - interval '50 minutes')
"""


#: Only loading a sale again shows that its day is computed otherwise: no earlier sale had its time in UTC.
BY_LOADING = "days by Manila time"


@pytest.mark.parametrize("name", [name for name in HEALTHY if name != BY_LOADING])
def test_nothing_of_a_healthy_deployment_is_rebuilt(name: str, new_db: str) -> None:
    HEALTHY[name].make(new_db)
    sell(60, over=timedelta(minutes=50), first=70_000)(new_db)
    before = fingerprint(new_db)
    for check in (True, False):
        result = call("scout_window_recovery", new_db, check=check, last="1h")
        assert not result.get("failed"), result
        assert (result["changed"], result["plan"]["to_rebuild"]) == (False, 0), result["plan"]
        assert fingerprint(new_db) == before


def test_sales_of_a_new_kind_come_out_as_the_etl_loads_them(new_db: str) -> None:
    HEALTHY[BY_LOADING].make(new_db)
    found = _silver(new_db)
    result = call("scout_window_recovery", new_db, last="1h")
    assert (result.get("failed"), result["changed"], _silver(new_db)) == (None, False, found), result
    run(f"DELETE FROM scout.silver_transactions WHERE {RECENT}")(new_db)
    result = call("scout_window_recovery", new_db, last="1h")
    assert (result.get("failed"), result["changed"], result["reconciliation"]["unexplained"]) == (None, True, 0), result
    assert "date_key" in result["warnings"][0]
    assert _silver(new_db) == found


def test_a_sale_that_was_right_is_not_loaded_as_a_bad_release_would(new_db: str) -> None:
    HEALTHY["as deployed"].make(new_db)
    sell(60, over=timedelta(minutes=40), first=70_000)(new_db)
    before = _silver(new_db)
    edit(ETL, wrapped(TOTAL, "2 * {}"))(new_db)
    result = call("scout_window_recovery", new_db, last="1h", mode="all")
    assert (result["changed"], _silver(new_db)) == (False, before)


@pytest.mark.parametrize("name", ["as deployed", "whole pesos"])
@pytest.mark.parametrize(
    "damage",
    [
        f"UPDATE scout.silver_transactions SET payment_method = 'barter' WHERE {RECENT}",
        f"UPDATE scout.silver_line_items SET quantity = quantity + 1 WHERE {RECENT}",
        f"DELETE FROM scout.silver_transactions WHERE {RECENT}",
    ],
    ids=["payment_method", "quantity", "rows"],
)
def test_damage_within_the_window_is_repaired(name: str, damage: str, new_db: str) -> None:
    HEALTHY[name].make(new_db)
    sell(60, over=timedelta(minutes=40), first=70_000)(new_db)
    before = _silver(new_db)
    run(damage)(new_db)
    result = call("scout_window_recovery", new_db, last="1h")
    assert not result.get("failed"), result
    assert result["plan"]["to_rebuild"] >= 60
    assert _silver(new_db) == before


def test_what_a_bad_release_wrote_is_found_although_it_wrote_more_than_the_window(new_db: str) -> None:
    HEALTHY["as deployed"].make(new_db)
    etl = one(new_db, f"SELECT pg_get_functiondef('scout.{ETL}'::regproc)")
    edit(ETL, wrapped(TOTAL, "2 * {}"))(new_db)
    sell(500, over=timedelta(hours=3), first=70_000)(new_db)
    run(etl)(new_db)
    result = call("scout_window_recovery", new_db, last="1h")
    assert not result.get("failed"), result
    assert result["plan"]["wrong"] > 100
    wrong = "SELECT count(*) FROM scout.silver_transactions AS t JOIN scout.bronze_events AS b ON b.event_id = t.source_event_id WHERE "
    wrong += (
        "t.total_amount <> (b.event_data ->> 'total_amount')::numeric AND b.ingested_at > now() - interval '50 minutes'"
    )
    assert one(new_db, wrong) == 0


def _silver(dsn: str) -> tuple[object, object]:
    """Silver without what a later job fills in."""
    found = silver(dsn)
    return found["transactions"], [
        {name: value for name, value in line.items() if name not in LINKED} for line in found["lines"]
    ]
