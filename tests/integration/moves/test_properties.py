# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In whatever order data are moved, loaded and moved back, nothing is lost, silver is right, and undoing all restores all."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import poison_payloads as poison
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    Written,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import call, connect, rows
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.outcomes import ran, scout_tables, stamp

SEED = 41_414
#: The same examples every time; a number of one's own asks for others.
EXAMPLES = os.environ.get("SCOUT_PROPERTY_EXAMPLES", "")

SALES = 10
#: Rules of which the reference has rows, and several at once.
RULES = (["negative_total"], ["empty_basket"], ["negative_total", "empty_basket"], None)

RUNS = """
SELECT run_id::text FROM scout_ops.runs
WHERE action IN ('quarantine', 'cleanup', 'redrive', 'undo', 'drain') AND incident <> 'base' AND effects <> '{}'
ORDER BY started_at
"""
TICK = "SELECT scout.load_silver_from_bronze(2000)"

#: What returns must be the very rows that were there, generated ids and clocks included; each with its transaction.
EXACT = {
    "events": "SELECT NULL, b::text FROM scout.bronze_events AS b WHERE event_id = ANY (%(base)s)",
    "ledger": """
        SELECT event_data ->> 'transaction_id', p::text FROM scout.etl_processed AS p JOIN scout.bronze_events AS b USING (event_id)
        WHERE event_id = ANY (%(base)s)
    """,
    "transactions": "SELECT transaction_id, t::text FROM scout.silver_transactions AS t",
    "lines": "SELECT transaction_id, l::text FROM scout.silver_line_items AS l",
    "dead letters": "SELECT NULL, d::text FROM scout.bronze_events_dlq AS d",
}
sale = payloads_of(SEED)


def name(number: int) -> str:
    return str(sale(number)["transaction_id"])


def history() -> list[Any]:
    """Sales, corrections of some of them (one in front of its sale), bad sales, and what the ETL swallows."""
    sales = [sale(number) for number in range(SALES)]
    sales[6] |= {"total_amount": -5, "net_amount": -5}
    sales[7] |= {"total_amount": -7, "net_amount": -7}
    sales[8] |= {"items": []}
    corrections = [
        sale(0, net_amount=1), sale(1, net_amount=2, items=sales[1]["items"][:1]), sale(0, net_amount=3, items=[]),
        sale(6, total_amount=5, net_amount=5), sale(2, payment_method="card"),
    ]  # fmt: skip
    early = [sale(9, net_amount=9)]
    return [*early, *sales, *corrections, [sale(50)], sale(51, transaction_id=...), "swallowed"]


@dataclass
class World:
    """One database, every event ever written to it, and what has to be the same in the end."""

    dsn: str
    written: Written = field(default_factory=dict)
    poison: set[UUID] = field(default_factory=set)
    base: list[UUID] = field(default_factory=list)
    #: Transactions of events that came after the base; what silver has of them is not what it was.
    arrived: set[str] = field(default_factory=set)
    fresh: Iterator[int] = field(default_factory=lambda: itertools.count(1000))

    def __post_init__(self) -> None:
        self.written.update(bronze(self.dsn))
        self.base = [row[0] for row in rows(self.dsn, "SELECT event_id FROM scout.bronze_events ORDER BY ingested_at")]

    def runs(self) -> list[str]:
        return [row[0] for row in rows(self.dsn, RUNS)]

    def exact(self) -> dict[str, set[tuple[str | None, str]]]:
        """Every row of the base with its transaction; of transactions that came later none."""
        with connect(self.dsn) as connection:
            found = {
                table: set(connection.execute(query, {"base": self.base}).fetchall())  # type: ignore[call-overload]
                for table, query in EXACT.items()
            }
        return {table: {row for row in there if row[0] not in self.arrived} for table, there in found.items()}

    def check(self) -> None:
        assert where(self.dsn, self.written) == ZERO
        assert silver_is_what_bronze_makes(self.dsn, poison=self.poison) == {}


def quarantine(world: World, kind: str, first: int, last: int) -> None:
    picked = world.base[min(first, last) : max(first, last) + 1]
    options: dict[str, Any] = {
        "window": {
            "window_start": stamp(START + timedelta(seconds=first)),
            "window_end": stamp(START + timedelta(seconds=last + 0.5)),
        },
        "events": {"event_ids": [*map(str, picked[:: 1 + first % 2])]},
        "sales": {"transactions": [name(first % SALES), name(last % SALES)]},
        "type": {"event_types": ["transaction.v1"], "payload_path": f"$.net_amount < {last}"},
    }[kind]
    if kind == "window" and first > last:
        assert call("scout_quarantine", world.dsn, **options)["error"]["kind"] == "bad_input"
        return
    ran("scout_quarantine", world.dsn, incident="INC-1", **options)


def cleanup(world: World, rules: list[str] | None, source_event: str) -> None:
    ran("scout_cleanup", world.dsn, max_share=1.0, only=rules, source_event=source_event, incident="INC-2")


INCIDENTS = "SELECT DISTINCT incident FROM scout_ops.runs WHERE effects <> '{}'"


def redrive(world: World, which: int, canary_rows: int) -> None:
    """The entries of a run, or those of an incident; one that nothing was done for is refused by its name."""
    runs, pace = world.runs(), {"canary_rows": canary_rows, "max_failures": 100, "rate_per_second": 5000}
    if runs and which % 3:
        ran("scout_redrive", world.dsn, run_id=runs[which % len(runs)], **pace)
        return
    incident = f"INC-{1 + which % 2}"
    result = call("scout_redrive", world.dsn, of_incident=incident, **pace)
    if result.get("failed"):
        assert f"no incident is named '{incident}'" in result["msg"], result
        assert not any(incident == row[0] for row in (rows(world.dsn, INCIDENTS) if runs else []))


def undo(world: World, which: int, on_conflict: str) -> None:
    runs = world.runs()
    if not runs:
        return
    before = scout_tables(world.dsn)
    result = call("scout_undo", world.dsn, run_id=runs[which % len(runs)], on_conflict=on_conflict)
    if result.get("failed"):
        assert (on_conflict, bool(result["conflicts"])) == ("refuse", True), result["msg"]
        assert scout_tables(world.dsn) == before


def tick(world: World) -> None:
    """As the scheduler would: what it cannot load stops it, and it changes nothing."""
    with psycopg.connect(world.dsn, user="loader", autocommit=True) as connection:
        try:
            connection.execute(TICK)
        except (psycopg.errors.CardinalityViolation, psycopg.DataError):
            return


def drain(world: World) -> None:
    ran("scout_drain", world.dsn, max_poison_share=1.0)


def arrival(world: World, what: str, number: int) -> None:
    fresh = next(world.fresh)
    payload: Any = {
        "sale": lambda: sale(fresh),
        "correction": lambda: sale(number % SALES, net_amount=fresh),
        "poison": lambda: poison.payload("bad_ts", SEED, fresh),
    }[what]()  # fmt: skip
    world.arrived.add(payload["transaction_id"])
    [event] = arrive(world.dsn, [payload], start=START + timedelta(minutes=fresh))
    world.written[event] = bronze(world.dsn)[event]
    if what == "poison":
        world.poison.add(event)


SPAN = st.integers(0, len(history()) - 1)
FEW = st.integers(0, 5)
STEPS = st.one_of(
    st.tuples(st.just(quarantine), st.sampled_from(["window", "events", "sales", "type"]), SPAN, SPAN),
    st.tuples(st.just(cleanup), st.sampled_from(RULES), st.sampled_from(["quarantine", "keep"])),
    st.tuples(st.just(redrive), FEW, st.integers(1, 3)),
    st.tuples(st.just(undo), FEW, st.sampled_from(["refuse", "restore"])),
    st.tuples(st.just(tick)),
    st.tuples(st.just(drain)),
    st.tuples(st.just(arrival), st.sampled_from(["sale", "correction", "poison"]), SPAN),
)  # fmt: skip

Steps = list[tuple[Any, ...]]

#: An event that was pending when it was set aside comes back after a later one of its transaction has been loaded.
PENDING_COMES_BACK: Steps = [
    (cleanup, ["empty_basket"], "quarantine"),
    (quarantine, "window", 0, 11),
    (tick,),
    (undo, 1, "refuse"),
]
#: The undo of an undo puts the first run in force again, so it can be taken back again.
REDRIVE_TWICE_TAKEN_BACK: Steps = [(quarantine, "window", 0, 0), (redrive, 1, 1), (undo, 1, "refuse")]
#: What came back was set aside by another run; its first dead letter must not be in force beside the second.
SET_ASIDE_AGAIN: Steps = [
    (quarantine, "events", 7, 7),
    (redrive, 1, 1),
    (cleanup, ["negative_total"], "quarantine"),
    (undo, 1, "restore"),
]
#: A sale whose event was kept, and set aside later, must not come back without it.
ITS_EVENT_IS_AWAY: Steps = [(cleanup, ["negative_total"], "keep"), (quarantine, "type", 0, 0), (undo, 0, "refuse")]
#: A kept event is marked although its sale is away; the redrive of another one makes that sale again.
MARKED_WITHOUT_SILVER: Steps = [(cleanup, ["negative_total"], "keep"), (quarantine, "type", 0, 0), (redrive, 1, 1)]

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def base(pg_server: Server) -> Iterator[str]:
    """The name of a database in which all of the history is loaded, beside dead letters of others."""
    template = f"moves_base_{os.getpid()}"
    dsn = builder.build(pg_server.create_database(template), events=0)
    arrive(dsn, history())
    ran("scout_drain", dsn, incident="base")
    with connect(dsn) as connection:
        connection.execute("SELECT scout.link_products_to_catalog(NULL)")
        connection.execute(
            "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details)"
            " VALUES ('{}', 'EDGE', '', '[1]'), ('{\"transaction_id\": \"T\"}', 'QUARANTINE', 'by the runbook', NULL)"
        )
    yield template
    pg_server.drop_database(template)


@settings(
    max_examples=int(EXAMPLES or 25), derandomize=not EXAMPLES, database=None, deadline=None, print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)  # fmt: skip
@example(steps=PENDING_COMES_BACK)
@example(steps=REDRIVE_TWICE_TAKEN_BACK)
@example(steps=SET_ASIDE_AGAIN)
@example(steps=ITS_EVENT_IS_AWAY)
@example(steps=MARKED_WITHOUT_SILVER)
@given(steps=st.lists(STEPS, min_size=1, max_size=7))
def test_any_order_keeps_everything_and_undoing_it_restores_everything(
    pg_server: Server, base: str, steps: Steps
) -> None:
    copy = f"{base}_{next(_numbers)}"
    world = World(pg_server.create_database(copy, base))
    try:
        before = world.exact()
        for step, *arguments in steps:
            step(world, *arguments)
            world.check()
        for run in reversed(world.runs()):
            ran("scout_undo", world.dsn, run_id=run, on_conflict="restore")
            world.check()
        before = {table: {row for row in there if row[0] not in world.arrived} for table, there in before.items()}
        assert world.exact() == before
    finally:
        pg_server.drop_database(copy)
