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

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library, registry
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

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


DROP_HASH = "DROP FUNCTION scout.canonical_event_hash CASCADE"


def options(name: str) -> dict[str, str]:
    return OPTIONS.get(name, {})


def test_the_reference_has_all_that_the_faults_need(scout: psycopg.Connection[tuple[object, ...]]) -> None:
    lacks = {name: library.lacking(scout, name, **options(name)) for name in library.FAULTS}
    assert {name: found for name, found in lacks.items() if found} == {}
    assert all(library.needs(name, **options(name)) for name in library.FAULTS if name != "lock_holder")


def test_of_a_database_without_a_pipeline_tables_views_functions_and_jobs_are_named(pg_server: Server) -> None:
    pg_server.drop_database("no_pipeline")
    with psycopg.connect(pg_server.create_database("no_pipeline"), autocommit=True) as connection:
        lacks = {name: library.lacking(connection, name, **options(name)) for name in library.FAULTS}
    pg_server.drop_database("no_pipeline")
    assert lacks["poison_event"] == [
        "table scout.bronze_events",
        "table scout.etl_processed",
        "function scout.load_silver_from_bronze(integer)",
    ]
    assert lacks["gold_unpopulated"] == ["materialized view scout.gold_daily_metrics"]
    assert lacks["job_disabled_on_purpose"] == ["table cron.job"]
    assert lacks["missing_grant"] == ["FUNCTION cron.alter_job"]
    assert [name for name, found in lacks.items() if not found] == ["lock_holder"]


@pytest.mark.parametrize("statement", LACKING)
def test_what_a_fault_needs_and_a_database_lacks_is_named(scout_db: str, statement: str) -> None:
    name, expected = LACKING[statement]
    with psycopg.connect(scout_db, autocommit=True) as connection:
        assert library.lacking(connection, name) == []
        connection.execute(statement.encode())
        assert library.lacking(connection, name) == expected


def test_what_is_needed_depends_on_the_options() -> None:
    assert library.needs("blocked_refresh") == ("materialized view scout.gold_daily_metrics",)
    assert library.needs("blocked_refresh", view="gold_hourly") == ("materialized view scout.gold_hourly",)
    assert library.needs("job_disabled_on_purpose", jobname="mail")[0] == "job mail"
    assert library.needs("missing_grant") == ()
    assert library.needs("missing_grant", role="x", object="SCHEMA cron") == ("role x", "SCHEMA cron")


def test_rights_extensions_and_views_are_looked_for_as_well(scout: psycopg.Connection[tuple[object, ...]]) -> None:
    there = ("extension plpgsql", "view scout.v_quality_alerts", "schema scout", "superuser rights", "role loader")
    not_there = ("extension no_such", "view scout.gold_daily_metrics", "table scout.v_quality_alerts", "function f(")
    assert registry.missing(scout, there) == []
    assert registry.missing(scout, not_there) == list(not_there)
    scout.execute("CREATE ROLE no_rights; SET ROLE no_rights")
    try:
        assert registry.missing(scout, ("superuser rights", "right UPDATE on pg_catalog.pg_class")) == [
            "superuser rights",
            "right UPDATE on pg_catalog.pg_class",
        ]
    finally:
        scout.execute("RESET ROLE; DROP ROLE no_rights")
    with pytest.raises(ValueError, match="'planet earth' is none of: schema, relation, table, view"):
        registry.missing(scout, ("planet earth",))


def test_the_list_tells_options_and_which_faults_hold_sessions() -> None:
    assert {name for name, fault in library.FAULTS.items() if fault.holds} == {
        "blocked_refresh",
        "lock_holder",
        "stuck_etl",
    }
    found = library.FAULTS["poison_event"].options
    assert [str(option) for option in found.values()] == ["kind=non_numeric_amount", "age_seconds=3600", "count=1"]
    assert found["count"].type == "int"
    assert [option.required for option in library.FAULTS["missing_grant"].options.values()] == [True, True]
    assert all(fault.about.endswith(".") for fault in library.FAULTS.values())


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


def test_a_fault_needs_no_hash_function_of_the_pipeline(variant_db: str) -> None:
    """A deployment has another one of that name; its events have the hash of their payload all the same."""
    for statement in ("SELECT", DROP_HASH):
        with psycopg.connect(variant_db, autocommit=True) as connection:
            connection.execute(statement.encode())
            assert library.lacking(connection, "poison_event") == []
            [event] = library.poison_event(variant_db)
            hashed = "SELECT event_hash = sha256(convert_to(event_data::text, 'UTF8')) FROM scout.bronze_events WHERE event_id = %s"
            assert connection.execute(hashed, [event]).fetchone() == (True,)


def test_a_fault_that_somebody_else_keeps_from_happening_says_so(scout_db: str) -> None:
    with library.FAULTS["lock_holder"](scout_db), pytest.raises(psycopg.errors.LockNotAvailable):
        library.FAULTS["lock_holder"](scout_db)
