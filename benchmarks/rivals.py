# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the toolkit is compared with: the runbook's script, the same as community.postgresql tasks, and an empty play."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import yaml
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import local

SCRIPT = """#!/bin/bash
psql "$PGURI" -c "SELECT scout.control_ingestion('pause');"
psql "$PGURI" -c "SELECT pg_advisory_unlock_all();"
psql "$PGURI" -c "SELECT scout.load_silver_from_bronze(500);"
psql "$PGURI" -c "SELECT scout.control_ingestion('resume');"
echo "Pipeline reset complete"
"""

#: The runbook's reset and checks, one statement a task.
STATEMENTS = (
    "UPDATE cron.job SET active = false WHERE jobname IN ('bronze-to-silver-etl', 'product-linking', 'smart-gold-refresh')",
    "SELECT * FROM scout.v_ingest_freshness",
    """SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%load_silver_from_bronze%'
       AND state = 'active' AND query_start < now() - interval '10 minutes' AND pid <> pg_backend_pid()""",
    "SELECT pg_advisory_unlock_all()",
    "SELECT * FROM scout.load_silver_from_bronze(500)",
    "SELECT * FROM scout.refresh_gold_platinum()",
    "UPDATE cron.job SET active = true WHERE jobname IN ('bronze-to-silver-etl', 'product-linking', 'smart-gold-refresh')",
)


#: How the runbook sets events aside.
RUNBOOK = (
    """
    INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, source_system)
    SELECT event_data, 'QUARANTINE', 'Emergency quarantine during incident response', source_system
    FROM scout.bronze_events WHERE ingested_at >= %(start)s
    """,
    "DELETE FROM scout.bronze_events WHERE ingested_at >= %(start)s",
)

#: The same, keeping what it would take to bring the events back.
ALL_COLUMNS = (
    """
    INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details, source_system)
    SELECT event_data, 'QUARANTINE', 'Emergency quarantine during incident response',
           jsonb_build_object('event_id', event_id, 'event_type', event_type, 'event_ts', event_ts, 'source_system', source_system,
                              'event_hash', event_hash, 'ingested_at', ingested_at), source_system
    FROM scout.bronze_events WHERE ingested_at >= %(start)s
    """,
    RUNBOOK[1],
)

#: The same effect as a quarantine with closure: images, deletes, and events that stay go back to the queue.
BY_HAND = (
    """
    CREATE TEMPORARY TABLE going ON COMMIT DROP AS
    SELECT event_id, event_data ->> 'transaction_id' AS transaction_id FROM scout.bronze_events WHERE ingested_at >= %(start)s
    """,
    "ANALYZE going",
    """
    CREATE TEMPORARY TABLE staying ON COMMIT DROP AS
    SELECT b.event_id, b.event_data ->> 'transaction_id' AS transaction_id FROM scout.bronze_events AS b
    WHERE b.ingested_at < %(start)s AND b.event_data ->> 'transaction_id' IN (SELECT transaction_id FROM going)
    """,
    "ANALYZE staying",
    """
    INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details, source_system)
    SELECT b.event_data, 'QUARANTINE', 'set aside', jsonb_build_object(
               'event', to_jsonb(b) - 'event_data', 'ledger', to_jsonb(p), 'transaction', to_jsonb(t),
               'lines', (SELECT jsonb_agg(to_jsonb(l)) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id),
               'requeued', (SELECT jsonb_agg(to_jsonb(q)) FROM scout.etl_processed AS q JOIN staying AS s USING (event_id)
                            WHERE s.transaction_id = t.transaction_id)), b.source_system
    FROM going AS g JOIN scout.bronze_events AS b USING (event_id)
    LEFT JOIN scout.etl_processed AS p USING (event_id)
    LEFT JOIN scout.silver_transactions AS t ON t.transaction_id = g.transaction_id
    """,
    "DELETE FROM scout.silver_line_items AS l USING going AS g WHERE l.transaction_id = g.transaction_id",
    "DELETE FROM scout.silver_transactions AS t USING going AS g WHERE t.transaction_id = g.transaction_id",
    """
    DELETE FROM scout.etl_processed AS p
    USING (SELECT event_id FROM going UNION ALL SELECT event_id FROM staying) AS g WHERE p.event_id = g.event_id
    """,
    "DELETE FROM scout.bronze_events AS b USING going AS g WHERE b.event_id = g.event_id",
)


#: The embedded server's socket, taken apart into host variables by `hosts`.
LOGIN = {
    "login_unix_socket": "{{ pg_host }}",
    "login_port": "{{ pg_port }}",
    "login_user": "{{ pg_user }}",
    "login_db": "{{ pg_dbname }}",
}


def hosts(folder: Path, dsns: list[str]) -> str:
    """An inventory with one local host per database."""
    made: dict[str, dict[str, str]] = {}
    for number, dsn in enumerate(dsns):
        parts = conninfo_to_dict(dsn)
        made[f"db{number:03}"] = {
            "ansible_connection": "local",
            "ansible_python_interpreter": "{{ ansible_playbook_python }}",
            "scout_dsn": dsn,
            "pg_host": str(parts["host"]),
            "pg_port": str(parts["port"]),
            "pg_user": str(parts["user"]),
            "pg_dbname": str(parts["dbname"]),
        }
    path = folder / "hosts.yml"
    path.write_text(yaml.safe_dump({"scout": {"hosts": made}}))
    return str(path)


def script(folder: Path) -> list[str]:
    """The runbook's emergency_pipeline_reset.sh, as it stands; it reads PGURI."""
    path = folder / "emergency_pipeline_reset.sh"
    path.write_text(SCRIPT.replace("psql ", f"{local.psql()} -X "))
    return ["bash", str(path)]


def play(folder: Path, name: str, tasks: list[dict[str, object]], hosts: str = "all") -> str:
    """A playbook with these tasks."""
    path = folder / f"{name}.yml"
    content = [{"hosts": hosts, "gather_facts": False, "tasks": tasks}]
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return str(path)


def empty(folder: Path) -> str:
    """A play without a task."""
    return play(folder, "empty", [])


def debug(folder: Path, count: int) -> str:
    """A play of this many debug tasks."""
    return play(folder, f"debug{count}", [{"ansible.builtin.debug": {"msg": "x"}}] * count)


def community(folder: Path) -> tuple[str, str] | None:
    """The ansible-playbook of an environment that has community.postgresql, and the seven tasks; None without one.

    SCOUT_BENCH_ANSIBLE names that ansible-playbook where it is not the one beside this Python.
    """
    given = os.environ.get("SCOUT_BENCH_ANSIBLE") or str(Path(sys.executable).with_name("ansible-playbook"))
    found = shutil.which(given)
    if found is None:
        return None
    site = Path(found).parents[1] / "lib"
    if not list(site.glob("python3*/site-packages/ansible_collections/community/postgresql")):
        return None
    tasks: list[dict[str, object]] = [
        {"community.postgresql.postgresql_query": {**LOGIN, "query": statement}} for statement in STATEMENTS
    ]
    return found, play(folder, "community", tasks)
