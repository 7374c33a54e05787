# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who may create in Scout's schema, and nothing else, puts there what the toolkit would ask rights of, refresh or judge, so
that nobody can work; or what would run with our rights, or has a superuser's script give him some."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import preflight
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, off, one, rows
from tests.security import test_functions_of_nobody as functions
from tests.security.roles import drop_roles

#: What a deployment need not have is not there, so that anybody may have it first.
MAY = """
CREATE ROLE mallory LOGIN;
GRANT CREATE, USAGE ON SCHEMA scout TO mallory;
GRANT SELECT ON scout.silver_transactions TO mallory;
CREATE SCHEMA vault CREATE TABLE salaries (who text, much int);
GRANT USAGE ON SCHEMA vault TO mallory;
CREATE FUNCTION scout.nightly() RETURNS void LANGUAGE sql AS '-- REFRESH MATERIALIZED VIEW scout.gold_mood, no more
/* /* */ REFRESH MATERIALIZED VIEW scout.gold_mood */ SELECT';
ALTER FUNCTION scout.nightly() OWNER TO loader;
"""
PLANTED = f"""
SET check_function_bodies = off;
CREATE MATERIALIZED VIEW scout.gold_mood AS
    SELECT current_date AS date_key, 1 / (count(*) - count(*)) AS txn_count, now() AS refreshed_at FROM scout.silver_transactions
    WITH NO DATA;
CREATE MATERIALIZED VIEW scout.gold_secret AS SELECT who, much FROM vault.salaries WITH NO DATA;
CREATE TABLE scout.mallorys (n int GENERATED ALWAYS AS IDENTITY, m int REFERENCES scout.mallorys_too);
CREATE TABLE scout.migration_manifest (file text PRIMARY KEY, status text, sha256 text);
CREATE VIEW scout.v_mood AS SELECT count(*) FROM scout.silver_transactions;
CREATE SEQUENCE scout.mallorys_seq;
CREATE TYPE scout.mood AS ENUM ('ok');
CREATE TYPE scout.pair AS (a int, b scout.mood);
CREATE DOMAIN scout.few AS int CHECK (VALUE > 0);
CREATE FUNCTION scout.said(scout.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE CAST (scout.mood AS int) WITH FUNCTION scout.said(scout.mood);
CREATE FUNCTION scout.both(scout.mood, scout.mood) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR scout.=== (LEFTARG = scout.mood, RIGHTARG = scout.mood, FUNCTION = scout.both);
CREATE AGGREGATE scout.most(int) (SFUNC = int4larger, STYPE = int);
CREATE COLLATION scout.mine FROM "C";
CREATE TEXT SEARCH DICTIONARY scout.words (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION scout.english (PARSER = "default");
CREATE FUNCTION scout.load_silver_from_bronze(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION scout.load_silver_from_bronze(text) FROM PUBLIC;
CREATE FUNCTION scout.maybe_refresh_gold(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION scout.deep() RETURNS int LANGUAGE plpgsql AS $_x_$ {functions.nested(2000)} $_x_$;
"""
#: A rollback restores the whole schema, and asks for the rights of whoever has a part in it.
ACTIONS = [action for action in preflight.ACTIONS if action != "rollback"]


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, beside whom mallory has planted all of it."""
    library.poison_event(scout_db, "bad_ts")
    dsn = builder.operator(scout_db, rollback=True)
    with connect(scout_db) as superuser:
        superuser.execute(MAY)
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute("CREATE TABLE scout.mallorys_too (n int PRIMARY KEY)")
        mallory.execute(PLANTED.encode())
    yield dsn
    with connect(scout_db) as superuser:
        superuser.execute("DROP OWNED BY mallory CASCADE; DROP SCHEMA vault CASCADE")
    drop_roles(scout_db, "scout_operator", "mallory")


def test_nobody_is_kept_from_working(attacked: str, scout_db: str, tmp_path: Path, subtests: Any) -> None:
    with subtests.test("preflight asks for no right on it, and names it"):
        found = call("scout_preflight_info", attacked, actions=ACTIONS, required=False, job_rights=True)
        assert (found["missing"], found["hindered"]) == ([], [])
        [told] = [each for each in found["warnings"] if "mallory" in each]
        assert (
            " of mallory in schema scout left alone but by captures and rollbacks, as no part of the pipeline: " in told
        )
        assert 'REVOKE CREATE ON SCHEMA scout FROM "mallory"' in told
    for action in ACTIONS:
        with subtests.test(f"preflight of {action}"):
            refused = call("scout_preflight_info", attacked, actions=[action])
            assert not refused.get("failed"), refused
    with subtests.test("gate"):
        checks = call("scout_gate_info", attacked)["checks"]
        assert "mallory" not in json.dumps(checks)
        assert "gold_mood" not in json.dumps(checks)
        assert {each["status"] for each in checks if each["name"].startswith(("gold_", "jobs_", "job_"))} == {"pass"}
    with subtests.test("refresh"):
        refreshed = call("scout_refresh_gold", attacked, force=True)
        assert not refreshed.get("failed"), refreshed
        assert {each["name"] for each in refreshed["refreshed"]} == {
            "scout.gold_daily_metrics", "scout.gold_region_choropleth"
        }  # fmt: skip
    with subtests.test("reset"):
        played = Stage(tmp_path).play("emergency_reset", attacked)
        assert played.rc == 0, played.text
        assert "left alone" in played.text
        assert off(scout_db) == set()


#: What a deployment may lack, and the gate, gold's comparison, or a deployment's contract would read by its name; each strikes where
#: anybody but mallory reads it. A policy runs as whoever reads, too.
STRIKES = """
CREATE FUNCTION public.strikes() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user <> 'mallory' THEN
        PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'canary';
    END IF;
    RETURN true;
END $$;
ALTER TABLE IF EXISTS scout.alerts RENAME TO old_alerts;
ALTER TABLE IF EXISTS scout.dim_store RENAME TO old_store;
ALTER TABLE IF EXISTS scout.dim_region RENAME TO old_region;
CREATE ROLE mallory LOGIN;
GRANT CREATE, USAGE ON SCHEMA scout TO mallory;
SET ROLE mallory;
CREATE VIEW scout.alerts AS
    SELECT 'x' AS alert_type, 'critical' AS severity, now() AS created_at, NULL::timestamptz AS resolved_at WHERE public.strikes();
CREATE VIEW scout.dim_store AS SELECT 'S-1' AS store_id, 'NCR' AS region WHERE public.strikes();
CREATE TABLE scout.dim_region (region_name text);
INSERT INTO scout.dim_region VALUES ('NCR');
ALTER TABLE scout.dim_region ENABLE ROW LEVEL SECURITY;
CREATE POLICY strikes ON scout.dim_region USING (public.strikes());
GRANT SELECT ON scout.alerts, scout.dim_store, scout.dim_region TO PUBLIC;
"""


@pytest.fixture
def striking(scout_db: str) -> Iterator[str]:
    dsn = builder.operator(scout_db)
    with connect(scout_db) as superuser:
        superuser.execute(STRIKES)
    yield dsn
    with connect(scout_db) as superuser:
        superuser.execute("DROP OWNED BY mallory CASCADE")
    drop_roles(scout_db, "scout_operator", "mallory")


def test_nothing_of_it_runs_with_our_rights(striking: str, tmp_path: Path, subtests: Any) -> None:
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("scout_gate_info", {"smoke": True}),
        ("scout_health_info", {}),
        ("scout_proof_info", {}),
        ("scout_refresh_gold", {"force": True}),
        ("scout_evidence", {"folder": str(tmp_path / "kept")}),
    )
    for module, given in steps:
        with subtests.test(module), connect(striking, application_name="canary") as canary:
            call(module, striking, **given)
            time.sleep(0.2)
            assert canary.execute("SELECT 1").fetchone() == (1,)
    with connect(striking, application_name="canary") as canary:
        rows(striking, "SELECT * FROM scout.alerts")
        time.sleep(0.2)
        with pytest.raises(psycopg.OperationalError):
            canary.execute("SELECT 1")


def test_preflight_asks_for_no_sight_of_what_is_hers(striking: str, scout_db: str) -> None:
    """To see all rows of a table with a policy would take BYPASSRLS, and so all rows of everybody."""
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute(
            "DROP VIEW scout.alerts; CREATE TABLE scout.alerts (n int); ALTER TABLE scout.alerts ENABLE ROW LEVEL SECURITY"
        )
    found = call("scout_preflight_info", striking, actions=["drain", "gate"], required=False)
    assert found["missing"] == []


#: Her function comes before the pipeline's own, by the types that it takes and by its place in the catalog.
OVERLOADED = """
CREATE ROLE mallory LOGIN;
GRANT CREATE, USAGE ON SCHEMA scout TO mallory;
CREATE SCHEMA vault CREATE TABLE salaries (who text, much int);
GRANT USAGE ON SCHEMA vault TO mallory;
SET ROLE mallory;
CREATE FUNCTION scout.load_silver_from_bronze(smallint) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE MATERIALIZED VIEW scout.gold_secret AS SELECT who, much FROM vault.salaries WITH NO DATA;
CREATE TABLE scout.mallorys (n int);
RESET ROLE;
REVOKE CREATE ON SCHEMA scout FROM mallory;
ALTER FUNCTION scout.load_silver_from_bronze(int) COST 101;
"""
GAINED = """
SELECT has_schema_privilege('mallory', 'cron', 'USAGE'), has_schema_privilege('mallory', 'scout', 'CREATE'),
       pg_has_role('scout_operator', 'mallory', 'MEMBER'), has_table_privilege('scout_operator', 'vault.salaries', 'SELECT')
"""


def test_the_operators_script_gives_her_nothing(scout_db: str) -> None:
    """A superuser runs it, and takes what it grants from what there is."""
    with connect(scout_db) as superuser:
        superuser.execute(OVERLOADED)
    try:
        builder.operator(scout_db, rollback=True)
        assert rows(scout_db, GAINED) == [(False, False, False, False)]
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("DROP OWNED BY mallory CASCADE; DROP SCHEMA vault CASCADE")
        drop_roles(scout_db, "scout_operator", "mallory")


def test_what_she_made_is_not_made_the_new_owners(scout_db: str) -> None:
    """A role that may bypass policies is no owner of a pipeline, and so is handed over; its function would have another's rights."""
    with connect(scout_db) as superuser:
        superuser.execute(
            "CREATE ROLE mallory LOGIN BYPASSRLS; GRANT CREATE, USAGE ON SCHEMA scout TO mallory; SET ROLE mallory;"
            "CREATE FUNCTION scout.mine(text) RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN EXECUTE $1; END'; RESET ROLE;"
            "ALTER SCHEMA scout OWNER TO postgres"
        )
    try:
        builder.operator(scout_db)
        assert one(scout_db, "SELECT proowner::regrole::text FROM pg_proc WHERE proname = 'mine'") == "mallory"
        assert not one(
            scout_db, "SELECT pg_has_role('mallory', nspowner, 'MEMBER') FROM pg_namespace WHERE nspname = 'scout'"
        )
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("DROP OWNED BY mallory CASCADE")
        drop_roles(scout_db, "scout_operator", "mallory")
