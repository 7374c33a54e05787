# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduler would do next, and whether the pipeline works by that: the judge of every repair, which asks nobody else."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator

Sale = dict[str, Any]

#: The jobs without which data do not reach those who look at them, and how often each has to run.
NEEDED = {"bronze-to-silver-etl": "* * * * *", "product-linking": "*/5 * * * *", "smart-gold-refresh": "*/5 * * * *"}

JOBS = "SELECT jobname, schedule, command, username FROM cron.job WHERE active AND database = current_database() ORDER BY jobid"
STORE = """
INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, event_hash)
VALUES ('transaction.v1', now(), 'edge', %s, sha256(convert_to(%s, 'UTF8')))
"""
IN_SILVER = """
SELECT t.total_amount, t.net_amount, t.ts, (SELECT count(*) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id),
       (SELECT sum(l.line_amount) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id)
FROM scout.silver_transactions AS t WHERE t.transaction_id = %s
"""
UNMARKED = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_data ->> 'transaction_id' = %s
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
IN_GOLD = """
SELECT (SELECT sum(transaction_count) FROM scout.gold_daily_metrics) = (SELECT count(*) FROM scout.silver_transactions)
   AND (SELECT sum(txn_count) FROM scout.gold_region_choropleth) = (SELECT count(*) FROM scout.silver_transactions)
"""


#: Whoever looks is not to be kept from it by what was done to the database.
UNHINDERED = (
    "-c statement_timeout=60s -c default_transaction_read_only=off -c search_path=pg_catalog -c lock_timeout=20s"
)


def failing(dsn: str) -> str:
    """What of the pipeline does not work by its next scheduled runs, each as its own role; empty where a new sale arrives."""
    try:
        if wrong := _unscheduled(dsn, NEEDED):
            return wrong
        sales = _sell(dsn)
        return _run(dsn) or _missing(dsn, sales)
    except psycopg.Error as e:
        return str(e)


def _jobs(dsn: str) -> dict[str, tuple[str, str, str]]:
    """Schedule, command and role of each job that can start."""
    return {name: (schedule, command, role) for name, schedule, command, role in _rows(dsn, JOBS)}


def _unscheduled(dsn: str, needed: Mapping[str, str]) -> str:
    jobs = _jobs(dsn)
    for name, schedule in needed.items():
        if name not in jobs:
            return f"job {name} cannot start"
        if jobs[name][0] != schedule:
            return f"job {name} does not start when it has to"
    return ""


def _sell(dsn: str) -> list[Sale]:
    """New sales, which are in bronze now: a plain one, a large one, and one that comes late."""
    now = datetime.now(UTC)
    item = {"product_id": "P-LARGE", "qty": 1, "unit_price": 7000.5, "line_amount": 7000.5}
    large = {"total_amount": 7000.5, "net_amount": 7000.25, "items": [item]}
    sales = [
        generator.transaction(77_077, 1, sold_at=now),
        generator.transaction(77_077, 2, sold_at=now, **large),
        generator.transaction(77_077, 3, sold_at=now - timedelta(hours=9)),
    ]
    with unhindered(dsn, "store") as connection:
        for sale in sales:
            sale["transaction_id"] = f"probe-{uuid.uuid4()}"
            connection.execute(STORE, [Jsonb(sale), sale["transaction_id"]])
    return sales


def _run(dsn: str) -> str:
    """Runs each job as its role does, those of others in between, which may end as they like; what fails."""
    jobs = _jobs(dsn)
    others = [name for name in jobs if name not in NEEDED and not name.endswith("-simulation")]
    for name in (*others, *NEEDED, *others, *NEEDED):
        _, command, role = jobs[name]
        try:
            with psycopg.connect(dsn, user=role, autocommit=True) as connection:
                connection.execute(command.encode())
        except psycopg.Error as e:
            if name in NEEDED:
                return f"job {name}: {e}"
    return ""


def _missing(dsn: str, sales: list[Sale]) -> str:
    """Which of the sales has not arrived as it was sent."""
    for sale in sales:
        name = sale["transaction_id"]
        found = _rows(dsn, IN_SILVER, name)
        if found != [_as_silver(sale)]:
            return f"a new sale is {found} in silver"
        if _rows(dsn, UNMARKED, name)[0][0]:
            return "a new sale was loaded and not marked as such: it is loaded again for ever"
    return "" if _rows(dsn, IN_GOLD)[0][0] else "gold does not show what silver has"


def _as_silver(sale: Sale) -> tuple[Any, ...]:
    """What silver has of a sale: amounts, time, number of lines and what they come to."""
    total, net = (Decimal(str(sale[name])) for name in ("total_amount", "net_amount"))
    lines = sum(Decimal(str(item["line_amount"])) for item in sale["items"])
    return total, net, datetime.fromisoformat(sale["ts"]), len(sale["items"]), lines


def unhindered(dsn: str, name: str, *, autocommit: bool = True, options: str = "") -> psycopg.Connection[Any]:
    """A session of this name that no setting of the database or its roles hinders, with `options` of its own."""
    return psycopg.connect(dsn, autocommit=autocommit, application_name=name, options=f"{UNHINDERED} {options}")


def _rows(dsn: str, query: str, *parameters: object) -> list[tuple[Any, ...]]:
    with unhindered(dsn, "store") as connection:
        return connection.execute(query.encode(), parameters or None).fetchall()
