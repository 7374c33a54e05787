# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a column's type has a cast to json, which PostgreSQL calls wherever a row is made JSON, with the rights of whoever reads it:
to_json, to_jsonb, row_to_json and what builds documents of values. Evidence reads whole rows, and the dashboard whole views. A
transaction that is READ ONLY does not keep a function from ending a session of the operator's."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import call, connect, operator
from tests.security.roles import drop_roles

#: Ends the canary, unless it is mallory herself, or the pipeline, who makes the value.
PLANTED = """
CREATE ROLE mallory LOGIN;
CREATE SCHEMA mallory AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA mallory TO PUBLIC;
GRANT USAGE, CREATE ON SCHEMA scout TO mallory;
SET ROLE mallory;
CREATE TYPE mallory.mood AS ENUM ('sad', 'ok');
CREATE TYPE mallory.pair AS (first mallory.mood, second text);
CREATE FUNCTION mallory.told(m mallory.mood) RETURNS json LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary' AND usename = current_user;
    RETURN '1';
END $$;
CREATE CAST (mallory.mood AS json) WITH FUNCTION mallory.told(mallory.mood);
RESET ROLE;
"""
COLUMNS = {"mood": ("mallory.mood", "ok"), "moods": ("mallory.mood[]", "{ok,sad}"), "pair": ("mallory.pair", "(ok,x)")}
TABLES = ("bronze_events", "bronze_events_dlq", "silver_transactions", "silver_line_items")
#: A view of the pipeline's, with such columns.
VIEW = (
    "DROP VIEW scout.v_pipeline_throughput; CREATE VIEW scout.v_pipeline_throughput AS SELECT now() AS minute, {values}"
)
#: What the pipeline lacks, mallory brings.
INSTEAD = """
DROP VIEW scout.v_product_linking_stats;
SET ROLE mallory;
CREATE VIEW scout.v_product_linking_stats AS SELECT now() AS hour, mallory.told('ok')::text AS said;
GRANT SELECT ON scout.v_product_linking_stats TO PUBLIC;
CREATE FUNCTION scout.data_quality_report(hours smallint) RETURNS json LANGUAGE sql AS $$ SELECT mallory.told('ok') $$;
RESET ROLE;
"""


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of an operator in a database in which the pipeline's tables, and a view, have columns of mallory's types."""
    library.poison_event(scout_db, "bad_ts")
    with connect(scout_db) as session:
        session.execute(PLANTED)
        for table, (column, (kind, value)) in itertools.product(TABLES, COLUMNS.items()):
            session.execute(f"ALTER TABLE scout.{table} ADD COLUMN {column} {kind} DEFAULT '{value}'".encode())
        values = ", ".join(f"'{value}'::{kind} AS {column}" for column, (kind, value) in COLUMNS.items())
        session.execute(VIEW.format(values=values).encode())
        session.execute(INSTEAD)
        session.execute("GRANT SELECT ON scout.v_pipeline_throughput TO PUBLIC")
    with operator(scout_db) as dsn:
        yield dsn
    with connect(scout_db) as session:
        session.execute("DROP SCHEMA mallory CASCADE")
    drop_roles(scout_db, "mallory")


def test_what_makes_json_of_rows_runs_no_cast_of_others(attacked: str, tmp_path: Path, subtests: Any) -> None:
    options: dict[str, dict[str, Any]] = {
        "scout_evidence": {"folder": str(tmp_path), "budget_seconds": 30},
        "scout_health_info": {},
        "scout_gate_info": {"smoke": True},
        "scout_dead_letters_info": {},
        "scout_cleanup": {"check": True},
        "scout_window_recovery": {"check": True, "last": "1h"},
        "scout_proof_info": {},
    }
    results = dict[str, Any]()
    for module, given in options.items():
        with subtests.test(module), psycopg.connect(attacked, application_name="canary", autocommit=True) as canary:
            results[module] = call(module, attacked, **given)
            time.sleep(0.05)
            assert canary.execute("SELECT 1").fetchone() == (1,)

    [file] = tmp_path.glob("*/pending_events.json")
    assert json.loads(file.read_bytes())
    assert "DROP CAST (mallory.mood AS json)" in json.dumps(results["scout_gate_info"])
