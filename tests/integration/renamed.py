# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reference Scout in which nothing is called as in v5.2, and what it is called instead."""

from __future__ import annotations

import json
import re
from typing import Any

from psycopg import sql

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract
from tests.integration.modules import Connection, connect

#: Each name is another one; two are words of SQL, the key does not fit into 32 bits, and the job's name is a sentence.
NAMES: dict[str, str | int] = {
    "schema": "pos",
    "bronze": "inbox",
    "dead_letters": "inbox_rejected",
    "etl_ledger": "check",
    "transactions": "receipt",
    "line_items": "receipt_line",
    "alerts": "order",
    "products": "article",
    "ingest_freshness_view": "how_fresh",
    "quality_alerts_view": "how_good",
    "throughput_view": "how_much",
    "etl_performance_view": "how_fast",
    "linking_view": "how_matched",
    "gold_freshness_view": "how_fresh_marts",
    "load_function": "take_in",
    "reprocess_function": "take_in_again",
    "link_function": "match_articles",
    "refresh_function": "renew_marts",
    "maybe_refresh_function": "renew_marts_if_due",
    "control_function": "switch_intake",
    "quality_report_function": "audit",
    "event_hash_function": "fingerprint",
    "load_job": "Take in what came, every minute",
    "link_job": "match",
    "refresh_job": "marts",
    "silver_prefix": "clean_",
    "gold_prefix": "mart_",
    "transaction_event": "receipt/2",
    "gold_lock": 4711_000_000_123,
}
#: What is no name of the contract, but one of v5.2 all the same.
OTHERS = {"gold_daily_metrics": "mart_daily", "gold_region_choropleth": "mart_regions"}

DEFAULTS = contract.defaults()
#: Old bare names and their new ones; the prefixes are parts of others.
OBJECTS: dict[str, str] = OTHERS | {
    str(DEFAULTS[key]): str(name)
    for key, name in NAMES.items()
    if key not in ("schema", "transaction_event", "gold_lock", "silver_prefix", "gold_prefix")
}
QUALIFIED = re.compile(r"\bscout\.(\w+)")
#: Those that are no words of everyday life, where they stand alone.
BARE = re.compile(rf"\b(?:{'|'.join(sorted(OBJECTS.keys() - {'alerts'}, key=len, reverse=True))})\b")

RELATIONS = """
SELECT c.relname::text AS name, c.relkind::text AS kind FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = 'pos' AND c.relkind IN ('r', 'v', 'm')
"""
FUNCTIONS = """
SELECT p.oid, p.proname::text AS name, p.oid::regprocedure::text AS signature
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = 'pos'
"""
CONSTRAINTS = """
SELECT c.conrelid::regclass::text, c.conname::text FROM pg_constraint AS c JOIN pg_namespace AS n ON n.oid = c.connamespace
WHERE n.nspname = 'pos' AND c.conrelid <> 0 ORDER BY c.oid
"""


def renamed(text: str) -> str:
    """A text in which no name of v5.2 is left."""
    text = QUALIFIED.sub(lambda found: f"pos.{OBJECTS.get(found[1], found[1])}", text)
    text = BARE.sub(lambda found: OBJECTS[found[0]], text)
    text = text.replace(str(DEFAULTS["gold_lock"]), str(NAMES["gold_lock"])).replace("'scout.'", "'pos.'")
    return text.replace(str(DEFAULTS["transaction_event"]), str(NAMES["transaction_event"]))


def rename(dsn: str) -> None:
    """Gives every object of a reference Scout, its constraints, its jobs, its lock and its events another name."""
    with connect(dsn) as connection, connection.transaction():
        connection.execute("SET LOCAL check_function_bodies = off")
        connection.execute("ALTER SCHEMA scout RENAME TO pos")
        _relations(connection)
        _functions(connection)
        for jobid, name, command in connection.execute("SELECT jobid, jobname, command FROM cron.job").fetchall():
            values = (OBJECTS.get(name, name), renamed(command), jobid)
            connection.execute("UPDATE cron.job SET jobname = %s, command = %s WHERE jobid = %s", values)
        types = (NAMES["transaction_event"], DEFAULTS["transaction_event"])
        connection.execute("UPDATE pos.inbox SET event_type = %s WHERE event_type = %s", types)


def _relations(connection: Connection) -> None:
    kinds = {"r": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW"}
    for name, kind in connection.execute(RELATIONS).fetchall():
        if name in OBJECTS:
            statement = sql.SQL(f"ALTER {kinds[kind]} {{}} RENAME TO {{}}")  # type: ignore[arg-type]
            connection.execute(statement.format(sql.Identifier("pos", name), sql.Identifier(OBJECTS[name])))
    for number, (table, name) in enumerate(connection.execute(CONSTRAINTS).fetchall()):
        statement = sql.SQL(f"ALTER TABLE {table} RENAME CONSTRAINT {{}} TO {{}}")  # type: ignore[arg-type]
        connection.execute(statement.format(sql.Identifier(name), sql.Identifier(f"rule_{number}")))


def _functions(connection: Connection) -> None:
    for oid, name, signature in connection.execute(FUNCTIONS).fetchall():
        if name in OBJECTS:
            statement = sql.SQL(f"ALTER FUNCTION {signature} RENAME TO {{}}")  # type: ignore[arg-type]
            connection.execute(statement.format(sql.Identifier(OBJECTS[name])))
        [[definition]] = connection.execute("SELECT pg_get_functiondef(%s)", [oid]).fetchall()
        connection.execute(renamed(definition))  # type: ignore[call-overload]


def old_names(result: Any) -> set[str]:
    """The names of v5.2 that a result still says."""
    text = json.dumps(result, default=str, ensure_ascii=False)
    found = {found[0] for pattern in (QUALIFIED, BARE) for found in pattern.finditer(text)}
    return found - {"scout.recovery", "scout.drills"} | {lock for lock in (str(DEFAULTS["gold_lock"]),) if lock in text}
