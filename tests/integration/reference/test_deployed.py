# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deployed variant loads and shows what was measured where Scout is deployed."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from tests.integration.modules import connect, rows

WRITTEN = (
    "transaction_id, store_id, date_key::text, total_amount::float, net_amount::float, customer_id, payment_method,"
    " item_count, unique_products, basket_size"
)
DEFAULTS = (
    "discount_amount::float, tax_amount::float, handshake_triggered, campaign_influenced, handshake_score, time_of_day,"
    " customer_type, campaign_id, region, province, city, units_per_transaction, peso_value, product_category, quality_score"
)
LINE = "product_id, product_name, brand_name, category, quantity, unit_price::float, line_amount::float, discount_amount::float"
MORNING, NIGHT = "2026-01-05T08:30:00+08:00", "2026-01-05T21:00:00+08:00"


def test_the_etl_writes_its_own_columns_and_leaves_the_others_at_their_defaults(deployed_db: str) -> None:
    with connect(deployed_db) as session:
        items = [
            {"product_id": "P1", "product_name": "Rice", "brand": "Bigas", "brand_name": "other", "category": "Grain"}
            | {"qty": 2, "quantity": 9, "unit_price": 50, "line_amount": 95, "discount": 5},
            {"product_id": "P2"},
        ]
        payload = generator.transaction(
            7, 1, ts=MORNING, store_id="S1", items=items, total_amount=95, net_amount=90, customer_id="C1",
            payment_method="maya", discount_amount=5, handshake_triggered=True, handshake_score=0.9, campaign_id="K",
        )  # fmt: skip
        event = generator.insert(session, payload)
        session.execute("SELECT scout.load_silver_from_bronze(NULL)")
    sale = payload["transaction_id"]
    source = "FROM scout.silver_transactions WHERE source_event_id = %s"
    assert rows(deployed_db, f"SELECT {WRITTEN} {source}", event) == [
        (sale, "S1", "2026-01-05", 95.0, 90.0, "C1", "maya", 2, 2, 2)
    ]
    assert rows(deployed_db, f"SELECT {DEFAULTS} {source}", event) == [(0.0, 0.0, False, False, *[None] * 11)]
    lines = f"SELECT {LINE} FROM scout.silver_line_items WHERE transaction_id = %s ORDER BY line_sequence"
    assert rows(deployed_db, lines, sale) == [
        ("P1", "Rice", "Bigas", "Grain", 2, 50.0, 95.0, 5.0),
        ("P2", "Unknown Product", "Unknown Brand", "Uncategorized", 1, 0.0, 0.0, 0.0),
    ]


def test_a_second_event_changes_what_the_contract_says_and_no_more(deployed_db: str) -> None:
    payload = generator.transaction(7, 2, total_amount=100, net_amount=100, store_id="S1")
    for changed in ({}, {"total_amount": 80, "net_amount": 80, "store_id": "S9"}):
        with connect(deployed_db) as session:
            generator.insert(session, payload | changed)
            session.execute("SELECT scout.load_silver_from_bronze(NULL)")
    found = (
        "SELECT total_amount::int, net_amount::int, store_id FROM scout.silver_transactions WHERE transaction_id = %s"
    )
    assert rows(deployed_db, found, payload["transaction_id"]) == [(100, 80, "S1")]
