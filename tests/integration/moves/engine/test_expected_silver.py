# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of the window tests agrees with the ETL, whatever an event says; and every kind of damage is seen by it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration import expectation
from tests.integration.modules import Connection, connect
from tests.integration.oracle import START

SEED = 60_606

VALUES: list[Any] = [
    None, True, False, "", " 12 ", "1e3", "-1E-2", 12.345, 12.355, -12.345, 0.005, "NaN", "Infinity", "-inf", 10**9, 99999999.994,
    99999999.995, "0x1F", "-0b101", "1_000", "1__0", "12,5", [], {}, [1], {"a": {"b": [1.50, "ñ", None]}}, "abc", 2147483647,
    2147483648, 1.0, 1e2, -3, 0, "0", "2025-08-24", "2025-08-24T23:30:00-11:00", "2025-08-25T00:30:00+08:00", "20250824", "24 Aug",
]  # fmt: skip
KEYS = [
    "transaction_id", "store_id", "ts", "total_amount", "net_amount", "discount_amount", "tax_amount", "payment_method", "items",
    "customer_id", "customer_type", "handshake_triggered", "handshake_score", "campaign_id", "region", "city",
]  # fmt: skip
ITEM_KEYS = ["product_id", "qty", "quantity", "unit_price", "line_amount", "product_name", "brand_name", "category"]

CHANGES = st.one_of(
    st.tuples(st.just("event"), st.sampled_from(KEYS), st.sampled_from([..., *VALUES])),
    st.tuples(st.just("item"), st.sampled_from(ITEM_KEYS), st.sampled_from([..., *VALUES])),
    st.tuples(st.just("items"), st.just(""), st.sampled_from(VALUES)),
)


@pytest.fixture(scope="module")
def empty(pg_server: Server) -> Iterator[Connection]:
    """A pipeline without events."""
    dsn = builder.build(pg_server.create_database("expectation_empty"), events=0)
    with connect(dsn, options="-c TimeZone=UTC") as connection:
        yield connection
    pg_server.drop_database("expectation_empty")


def payload_of(changes: list[tuple[str, str, Any]]) -> dict[str, Any]:
    """A sale with these changes; `...` leaves a key out."""
    sale = generator.transaction(SEED, 1, sold_at=START)
    for where, key, value in changes:
        target = sale
        if where != "event":
            if not (isinstance(sale.get("items"), list) and sale["items"]):
                continue
            if where == "items":
                sale["items"][0] = value
                continue
            target = sale["items"][0]
        if not isinstance(target, dict):
            continue
        target.pop(key, None) if value is ... else target.__setitem__(key, value)
    return sale


def one_code(sqlstate: str) -> str:
    """An unusable date has two codes."""
    return "22007" if sqlstate == "22008" else sqlstate


@settings(
    max_examples=300, derandomize=True, database=None, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@example(changes=[("event", "transaction_id", ...)])
@example(changes=[("event", "total_amount", 99999999.994)])
@example(changes=[("item", "unit_price", 99999999.995)])
@example(changes=[("item", "qty", 2147483647), ("item", "quantity", "abc")])
@given(changes=st.lists(CHANGES, min_size=1, max_size=3))
def test_it_agrees_with_the_etl_on_any_event(empty: Connection, changes: list[tuple[str, str, Any]]) -> None:
    with empty.transaction(force_rollback=True):
        event = generator.insert(empty, payload_of(changes), ingested_at=START)
        [row] = empty.execute(expectation.READ.format("event_id = %(event)s"), {"event": event}).fetchall()  # type: ignore[call-overload]
        meant = expectation.made_of([expectation.Event(*row)])
        sqlstate = None
        try:
            with empty.transaction():
                empty.execute("SELECT FROM scout.load_silver_from_bronze(1)")
        except psycopg.Error as error:
            sqlstate = error.sqlstate
        assert bool(sqlstate) == bool(meant.poison), (sqlstate, meant.poison)
        if sqlstate and len(changes) == 1:
            assert one_code(sqlstate) == one_code(meant.poison[event])
        assert expectation.differences(held(empty), meant) == []


def held(connection: Connection) -> expectation.Silver:
    """What silver holds, as this session sees it."""
    found = expectation.Silver()
    for name, *row in connection.execute(expectation.SILVER):
        found.transactions[name] = dict(zip(expectation.COLUMNS, row, strict=True))
    for name, product, sequence, *row in connection.execute(expectation.LINES):
        found.lines[name, product, sequence] = dict(zip(expectation.LINE_COLUMNS, row, strict=True))
    return found
