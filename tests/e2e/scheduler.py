# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scheduler would do next, and whether the pipeline works by that: the judge of every repair, which asks nobody else."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from tests.e2e.pipeline import Pipeline

#: The jobs without which data do not reach those who look at them, and how often each has to run.
NEEDED = {"bronze-to-silver-etl": "* * * * *", "product-linking": "*/5 * * * *", "smart-gold-refresh": "*/5 * * * *"}

JOBS = "SELECT jobname, schedule, command, username FROM cron.job WHERE active AND database = current_database() ORDER BY jobid"
STORE = """
INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, event_hash)
VALUES ('transaction.v1', now(), 'edge', %s, sha256(convert_to(%s, 'UTF8')))
"""
IN_SILVER = """
SELECT (SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = %s),
       (SELECT count(*) FROM scout.silver_line_items WHERE transaction_id = %s)
"""
UNMARKED = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_data ->> 'transaction_id' = %s
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
IN_GOLD = """
SELECT (SELECT sum(transaction_count) FROM scout.gold_daily_metrics) = (SELECT count(*) FROM scout.silver_transactions)
   AND (SELECT sum(txn_count) FROM scout.gold_region_choropleth) = (SELECT count(*) FROM scout.silver_transactions)
"""


def failing(pipeline: Pipeline) -> str:
    """What of the pipeline does not work by its next scheduled runs, each as its own role; empty where a new sale arrives."""
    try:
        return _failing(pipeline)
    except psycopg.Error as e:
        return str(e)


def _failing(pipeline: Pipeline) -> str:
    jobs = {name: (schedule, command, role) for name, schedule, command, role in pipeline.rows(JOBS)}
    for name, schedule in NEEDED.items():
        if name not in jobs:
            return f"job {name} cannot start"
        if jobs[name][0] != schedule:
            return f"job {name} does not start when it has to"
    sale = generator.transaction(77_077, 1, sold_at=datetime.now(UTC)) | {"transaction_id": f"probe-{uuid.uuid4()}"}
    payload = psycopg.types.json.Jsonb(sale)
    with psycopg.connect(pipeline.dsn, autocommit=True) as connection:
        connection.execute(STORE, [payload, sale["transaction_id"]])
    for name in NEEDED:
        _, command, role = jobs[name]
        try:
            with psycopg.connect(pipeline.dsn, user=role, autocommit=True) as connection:
                connection.execute(command.encode())
        except psycopg.Error as e:
            return f"job {name}: {e}"
    name = sale["transaction_id"]
    found = pipeline.rows(IN_SILVER, name, name)[0]
    if found != (1, len(sale["items"])):
        return f"a new sale has {found} transactions and lines in silver"
    if pipeline.one(UNMARKED, name):
        return "a new sale was loaded and not marked as such: it is loaded again for ever"
    return "" if pipeline.one(IN_GOLD) else "gold does not show what silver has"
