# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The faults by name: what they need is there in a reference, and named where it is not."""

from __future__ import annotations

import os
import subprocess
import sys

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places

#: Those without a default.
OPTIONS = {"missing_grant": {"role": "loader", "object": "FUNCTION cron.alter_job"}}

#: Something that a team's schema may not have or have differently, and what is then said about a fault.
LACKING = {
    "ALTER TABLE scout.bronze_events RENAME source_system TO origin": (
        "poison_event", ["column scout.bronze_events.source_system"],
    ),
    "ALTER FUNCTION scout.load_silver_from_bronze RENAME TO load_silver": (
        "negative_totals", ["function scout.load_silver_from_bronze(integer)"],
    ),
    "ALTER TABLE scout.bronze_events DROP COLUMN event_hash CASCADE": ("backlog", ["column scout.bronze_events.event_hash"]),
    "ALTER TABLE scout.bronze_events RENAME TO events": ("backlog", ["table scout.bronze_events"]),
    "ALTER MATERIALIZED VIEW scout.gold_daily_metrics RENAME TO gold_daily": (
        "gold_stale", ["materialized view scout.gold_daily_metrics"],
    ),
    "DROP INDEX scout.gold_region_choropleth_pk": ("gold_broken", ["index scout.gold_region_choropleth_pk"]),
    "DELETE FROM cron.job WHERE jobname = 'bronze-to-silver-etl'": ("etl_job_slow", ["job bronze-to-silver-etl"]),
    "DROP SCHEMA cron CASCADE": (
        "etl_job_failing", ["table cron.job", "table cron.job_run_details", "sequence cron.runid_seq"],
    ),
}  # fmt: skip


def options(name: str) -> dict[str, str]:
    return OPTIONS.get(name, {})


def test_the_reference_has_all_that_the_faults_need(scout: psycopg.Connection[tuple[object, ...]]) -> None:
    lacks = {name: library.lacking(scout, name, **options(name)) for name in library.FAULTS}
    assert {name: found for name, found in lacks.items() if found} == {}
    assert all(library.needs(name, **options(name)) for name in library.FAULTS if name != "lock_holder")


@pytest.mark.parametrize("statement", LACKING)
def test_what_a_fault_needs_and_a_database_lacks_is_named(scout_db: str, statement: str) -> None:
    name, expected = LACKING[statement]
    with psycopg.connect(scout_db, autocommit=True) as connection:
        assert library.lacking(connection, name) == []
        connection.execute(statement.encode())
        assert library.lacking(connection, name) == expected


def test_the_command_line_lists_them_and_names_what_is_lacking(scout_db: str) -> None:
    command = [sys.executable, "-m", f"{places.PACKAGE}.faults.cli"]
    env = {name: value for name, value in places.environment().items() if name != "SCOUT_DSN"}
    listed = subprocess.run(command, env=env, cwd=os.sep, capture_output=True, text=True, check=True).stdout
    assert all(f"\n{name} " in f"\n{listed}" for name in library.FAULTS)
    assert "[jobname=product-linking]" in listed
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("DROP SCHEMA cron CASCADE")
    refused = subprocess.run(
        [*command, "job_disabled_on_purpose", "--dsn", scout_db],
        env=env, cwd=os.sep, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert refused.returncode == 1
    assert refused.stderr == "job_disabled_on_purpose: the database has no table cron.job\n"
