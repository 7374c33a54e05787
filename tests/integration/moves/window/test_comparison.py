# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How PostgreSQL goes about judging a window: never row by row, whatever it knows of the tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine.selection import Selection
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.window import comparison
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import acting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import session as postgres_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.times import Window
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import row_images
from tests.integration.modules import connect as connected
from tests.integration.modules import one
from tests.integration.oracle import START

EVENTS = 5000

NO_AUTOVACUUM = "ALTER TABLE scout.{} SET (autovacuum_enabled = false)"
TABLES = ("bronze_events", "etl_processed", "silver_transactions", "silver_line_items")

#: Events, sales of one line each and marks, all within the last hour before `start`.
LOAD = """
INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, ingested_at)
SELECT 'transaction.v1', at, 'pos', jsonb_build_object('transaction_id', 'PLAN-' || n, 'store_id', '102', 'total_amount', 10,
       'items', jsonb_build_array(jsonb_build_object('product_id', 'P', 'qty', 1, 'unit_price', 10, 'line_amount', 10))), at
FROM generate_series(1, %(events)s) AS n CROSS JOIN LATERAL (SELECT %(start)s::timestamptz - n * interval '1 second' AS at) AS a
"""


@pytest.mark.parametrize("known", ["nothing", "older events", "everything"])
@pytest.mark.parametrize("loaded", [False, True])
def test_the_window_is_not_joined_row_by_row(scout_db: str, known: str, loaded: bool) -> None:
    with connected(scout_db) as session:
        for name in TABLES:
            session.execute(NO_AUTOVACUUM.format(name))  # type: ignore[call-overload]
        session.execute("DELETE FROM scout.bronze_events WHERE ingested_at >= %s", [START - timedelta(seconds=EVENTS)])
        if known == "older events":
            session.execute("ANALYZE")
        session.execute(LOAD, {"events": EVENTS, "start": START})
        if loaded:
            session.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
        if known == "everything":
            session.execute("ANALYZE")
    plan = judged(scout_db, Window("ingested_at", START - timedelta(seconds=EVENTS), START))
    compared = sum(
        node["Actual Loops"] * (node["Actual Rows"] + node.get("Rows Removed by Join Filter", 0))
        for node in nodes(plan)
        if "Join" in node["Node Type"] or node["Node Type"] == "Nested Loop"
    )
    assert compared < 50 * EVENTS + 10 * one(scout_db, "SELECT count(*) FROM scout.bronze_events")


def judged(dsn: str, window: Window) -> dict[str, Any]:
    """The executed plan of the query that judges a window."""
    with (
        postgres_session.open_session(postgres_session.Settings(dsn=dsn)) as session,
        session.read(statement_timeout_seconds=60),
    ):
        pipeline = acting.Actor(session.facts.role, "", "UTC")
        comparer = comparison.Comparer(
            session, row_images.read(session), Selection(window), everything=False, pipeline=pipeline
        )

        def explain(query: sql.Composed, **values: Any) -> Any:
            return session.row(sql.SQL("EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) ") + query, **values)

        made = comparer._run(comparison.COUNTS, shown=1, carried=-1, only=explain)  # pyright: ignore[reportPrivateUsage]
        return made["QUERY PLAN"][0]["Plan"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A plan with all that is below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
