# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which reads of an assessment and of the gate go through a whole table: those that docs/sizing.md names, and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import trial_sale
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Budget
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract, event_queue
from tests import CHECKOUT
from tests.integration.modules import call, connect

EVENTS = 8000
EVENT = "5cf7c1a8-8b0e-4c5e-9e0a-1f3c5a7b9d11"
#: What grows with the events.
GROWING = {"bronze_events", "etl_processed", "silver_transactions", "silver_line_items"}
INDEXES = """
CREATE INDEX ON scout.bronze_events USING brin (ingested_at);
CREATE INDEX ON scout.silver_transactions (updated_at);
CREATE INDEX ON scout.silver_transactions (processed_at) WHERE total_amount < 0 OR item_count <= 0 OR item_count IS NULL;
ANALYZE
"""

#: The planner takes the tables for so many times as large as they are: 800,000 events.
TIMES = 100
ENLARGE = """
UPDATE pg_class SET reltuples = reltuples * %s
WHERE relnamespace = 'scout'::regnamespace
  AND (relname = ANY(%s) OR oid IN (SELECT indexrelid FROM pg_index JOIN pg_class AS t ON t.oid = indrelid WHERE t.relname = ANY(%s)))
"""

#: What is pending no index tells.
ALWAYS = {"backlog": {"bronze_events", "etl_processed"}}
UNLESS_INDEXED = {
    "older": {"silver_transactions"},
    "bronze": {"bronze_events"},
    "arrived": {"bronze_events"},
    "flow": {"bronze_events"},
    "gold": {"silver_transactions"},
    "updated": {"silver_transactions"},
    "alerts": {"silver_transactions"},
}
#: Sales of a few days by their index, where these are not most of what there is, as they are here.
OF_DAYS = {"unusual": {"bronze_events"}}

Statement = tuple[str, Any, dict[str, Any]]


@pytest.fixture(scope="module")
def large(pg_server: Server) -> Iterator[str]:
    """A healthy pipeline of which the last hour is a small part."""
    dsn = builder.build(pg_server.create_database("plans"), events=EVENTS)
    with connect(dsn) as connection:
        for table in GROWING:
            connection.execute(f"ALTER TABLE scout.{table} SET (autovacuum_enabled = off)".encode())
    enlarge(dsn)
    yield dsn
    pg_server.drop_database("plans")


def enlarge(dsn: str) -> None:
    """Makes the planner take what grows for larger; ANALYZE undoes it."""
    with connect(dsn) as connection:
        connection.execute(ENLARGE, [TIMES, list(GROWING), list(GROWING)])


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Statement]:
    """The statements of the reads within a budget, each with the name of its read and its values, as they are made."""
    made: list[Statement] = []
    reading = [""]
    budgeted, rows, row = Budget.read, Session.rows, Session.row

    def read(self: Budget, name: str, query: Callable[[Session], Any], *at_most: float) -> Any:
        reading.append(name)
        try:
            return budgeted(self, name, query, *at_most)
        finally:
            reading.pop()

    def recorded(of: Callable[..., Any]) -> Callable[..., Any]:
        def record(self: Session, query: Any, **values: Any) -> Any:
            if reading[-1]:
                made.append((reading[-1], query, values))
            return of(self, query, **values)

        return record

    monkeypatch.setattr(Budget, "read", read)
    monkeypatch.setattr(Session, "rows", recorded(rows))
    monkeypatch.setattr(Session, "row", recorded(row))
    return made


def scanned(dsn: str, statements: list[Statement]) -> dict[str, set[str]]:
    """Of each read the growing tables that it goes through from one end to the other."""
    found: dict[str, set[str]] = {}
    for module in ("scout_health_info", "scout_gate_info"):
        result = call(module, dsn, budget_seconds=5.0)
        assert not result.get("error"), result
    with connect(dsn) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")
        for name, query, values in statements:
            text = query if isinstance(query, str) else query.as_string(connection)
            row = connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode(), values or None).fetchone()
            assert row
            if tables := set(whole(row[0][0]["Plan"])) & GROWING:
                found.setdefault(name, set()).update(tables)
    return found


def whole(plan: dict[str, Any], *, bounded: bool = False) -> Iterator[str]:
    """The tables that a plan reads from one end to the other, by whatever way; not where a LIMIT stops it early."""
    node = plan["Node Type"]
    bounded = (bounded or node == "Limit") and node not in ("Sort", "Aggregate", "Hash")
    if not bounded and "Index Cond" not in plan and node in ("Seq Scan", "Index Scan", "Index Only Scan"):
        yield plan["Relation Name"]
    for part in plan.get("Plans", ()):
        yield from whole(part, bounded=bounded)


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All nodes of a plan."""
    yield plan
    for part in plan.get("Plans", ()):
        yield from nodes(part)


def test_where_scout_has_no_index_only_these_reads_go_through_a_whole_table(
    large: str, statements: list[Statement]
) -> None:
    assert scanned(large, statements) == ALWAYS | UNLESS_INDEXED | OF_DAYS


def test_where_it_has_one_only_what_no_index_tells_does(large: str, statements: list[Statement]) -> None:
    with connect(large) as connection:
        connection.execute(INDEXES.encode())
    enlarge(large)
    found = scanned(large, statements)
    # The newest 20,000 sales are joined with all of them, where the planner takes that for cheaper than 20,000 look-ups.
    found.pop("alerts", None)
    assert found == ALWAYS | OF_DAYS


def test_a_test_sale_is_made_without_reading_a_table_whole(large: str) -> None:
    parts = {"hash": sql.SQL("NULL::bytea"), "more": sql.SQL(""), "values": sql.SQL("")}
    query = contract.compose(trial_sale.SEND, **parts, usual=contract.compose(event_queue.USUAL_SOURCE))
    values = {"event_id": EVENT, "event_type": "transaction.v1", "moment": None, "payload": "{}"}
    with connect(large) as connection:
        row = connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query, values).fetchone()
        assert row
        assert set(whole(row[0][0]["Plan"])) == set()


def test_docs_name_each_read_and_the_indexes() -> None:
    text = (CHECKOUT / "docs" / "sizing.md").read_text()
    _, _, section = text.partition("## What an assessment reads")
    assert {name for name in ALWAYS | UNLESS_INDEXED | OF_DAYS if f"`{name}`" not in section} == set()
    for column in ("scout.bronze_events USING brin (ingested_at)", "scout.silver_transactions (updated_at)"):
        assert f"CREATE INDEX CONCURRENTLY ON {column};" in text
