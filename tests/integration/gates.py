# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The acceptance gate under test, and the script of Scout v5.2 that it takes the place of, by its contract."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import psycopg

from tests.integration.modules import Result, call, connect

GATE = "scout_gate_info"

#: What the script asks, in its order: a product_id is never NULL, old rows count as well, and holders never wait. Its last
#: query is a syntax error; asked as it was meant, it looks at silver's clock only.
LINKING = "SELECT 100.0 * count(product_id) / nullif(count(*), 0) FROM scout.silver_line_items"
MATH = """
SELECT (SELECT count(*) FROM scout.silver_transactions WHERE total_amount < 0 OR item_count <= 0)
       + (SELECT count(*) FROM scout.silver_line_items
          WHERE (quantity <= 0 OR unit_price < 0) AND updated_at >= now() - interval '1 day')
"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
FRESHNESS = "SELECT pipeline_health FROM scout.v_ingest_freshness"


def old_gate(dsn: str) -> int:
    """What the script would exit with if its freshness query could be parsed; 45 also where that fails for another reason."""
    with connect(dsn) as connection:

        def ask(query: str) -> Any:
            row = connection.execute(query).fetchone()  # type: ignore[call-overload]
            return row[0] if row else None

        if (ask(LINKING) or 0) < 95:
            return 42
        if ask(MATH):
            return 43
        if ask(LOCKS):
            return 44
        try:
            return 0 if ask(FRESHNESS) == "healthy" else 45
        except psycopg.Error:
            return 45


def judge(dsn: str, **options: Any) -> Result:
    """The gate's result, which is never a failure of the task."""
    result = call(GATE, dsn, **options)
    assert not result.get("failed"), result
    assert result["changed"] is False
    return result


def checks(result: Result) -> dict[str, Result]:
    """By name."""
    return {check["name"]: check for check in result["checks"]}


def wrong(result: Result) -> dict[str, str]:
    """What counts and does not pass."""
    return {
        check["name"]: check["status"] for check in result["checks"] if check["counts"] and check["status"] != "pass"
    }


def ended(result: Result) -> tuple[str, int]:
    """Verdict and exit code."""
    return result["verdict"], result["exit_code"]


@contextlib.contextmanager
def paused(dsn: str, incident: str = "INC-7") -> Iterator[None]:
    """Ingestion is paused by this toolkit."""
    result = call("scout_ingestion", dsn, state="paused", incident=incident)
    assert not result.get("failed"), result
    yield
