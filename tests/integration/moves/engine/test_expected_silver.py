# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The oracle of the window tests agrees with the ETL, whatever an event says; and every kind of damage is seen by it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.silver_damage import KINDS
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration import expectation
from tests.integration.modules import Connection, connect
from tests.integration.oracle import START, arrive
from tests.integration.windows import damaged

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


@pytest.fixture(scope="module")
def small_template(pg_server: Server) -> Iterator[builder.Template]:
    """A reference just large enough for every kind of damage in a window of it."""
    template = builder.template(pg_server, events=400)
    yield template
    template.drop()


@pytest.fixture
def small_db(pg_server: Server, small_template: builder.Template) -> Iterator[str]:
    """The dsn of a fresh one."""
    yield small_template.clone("small_damaged")
    pg_server.drop_database("small_damaged")


def test_it_agrees_with_a_fresh_reference(scout_db: str) -> None:
    """All events, corrections among them; all columns that the ETL derives."""
    meant = expectation.expected(scout_db)
    assert expectation.differences(expectation.actual(scout_db), meant) == []
    assert len(meant.transactions) > 1900
    assert len(meant.lines) > 4000


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


def test_it_agrees_where_several_events_feed_a_transaction(scout_db: str) -> None:
    first = generator.transaction(SEED, 2, sold_at=START)
    variants = [
        {"net_amount": 1, "total_amount": 2, "payment_method": "card"}, {"items": first["items"][:1]}, {"items": []},
        {"items": [*first["items"], *first["items"]], "store_id": "S002"}, {"net_amount": ..., "total_amount": 7},
    ]  # fmt: skip
    for number, order in enumerate(itertools.permutations(variants, 3)):
        name = f"several-{number}"
        payloads = [first | change | {"transaction_id": name, "number": n} for n, change in enumerate(order)]
        arrive(
            scout_db,
            [{key: value for key, value in payload.items() if value is not ...} for payload in payloads],
            start=START + timedelta(minutes=number),
        )
    with connect(scout_db, options="-c TimeZone=UTC") as connection:
        while connection.execute("SELECT events_processed FROM scout.load_silver_from_bronze(1)").fetchone() != (0,):
            pass
    assert expectation.differences(expectation.actual(scout_db), expectation.expected(scout_db)) == []


@pytest.mark.parametrize("kind", poison_payloads.KINDS)
def test_it_knows_poison_by_its_sqlstate(scout_db: str, kind: str) -> None:
    ids = arrive(scout_db, [poison_payloads.payload(kind, SEED, 3)])
    found = expectation.made_of(expectation.events(scout_db, "event_id = ANY (%(ids)s)", ids=ids))
    assert found.poison == {ids[0]: poison_payloads.KINDS[kind].sqlstate}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage_is_seen_and_nothing_else(small_db: str, kind: str) -> None:
    """Rows and lines that differ are of the transactions that were damaged; without a mark silver is not explained either."""
    window = Window(START - timedelta(hours=25), START - timedelta(hours=1))
    case = damaged(small_db, window, kind)
    done = case.damage
    wrong = {
        line.removeprefix("+ ").removeprefix("- ").removeprefix("line ").removeprefix("('").split()[0].rstrip("',")
        for line in case.wrong()
    }
    assert done.missing | done.wrong | done.extra <= wrong
    of_pending = {case.events[event] for event in done.pending}
    assert wrong <= done.missing | done.wrong | done.extra | of_pending
    assert case.pending() == done.pending | {event for event in done.poison if kind != "poison_marked"}
    assert done.poison.keys() | done.swallowed <= case.events.keys()
    assert not (done.outside | done.other) & case.events.keys()
    everything = expectation.differences(expectation.actual(small_db), expectation.expected(small_db))
    assert set(everything) == set(case.wrong())
