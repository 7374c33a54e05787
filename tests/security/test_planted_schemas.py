# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: somebody who may make schemas makes a `cron`, or a migration history, of his own, and the toolkit knows both by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.integration.modules import Result, call, connect, off
from tests.security.roles import drop_roles

#: A transaction that is READ ONLY keeps nobody from telling that he was called, or from ending a session.
CALLED = """
CREATE FUNCTION public.take() RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user <> 'mallory' THEN PERFORM pg_catalog.pg_notify('called', current_user); END IF;
    RETURN '1';
END $$;
CREATE FUNCTION public.same(n text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.take(); RETURN n; END $$;
"""
CRON = """
CREATE SCHEMA cron;
CREATE VIEW cron.job AS SELECT 1::bigint AS jobid, 'bronze-to-silver-etl'::text AS jobname, '* * * * *'::text AS schedule,
    'SELECT scout.load_silver_from_bronze()'::text || public.take() AS command, true AS active, 'loader'::text AS username,
    current_database()::text AS database;
CREATE VIEW cron.job_run_details AS SELECT 1::bigint AS jobid, 1::bigint AS runid, 1 AS job_pid, current_database()::text AS database,
    'loader'::text AS username, public.take() AS command, 'succeeded'::text AS status, ''::text AS return_message,
    now() AS start_time, now() AS end_time;
CREATE FUNCTION cron.alter_job(job_id bigint, schedule text DEFAULT NULL, command text DEFAULT NULL, database text DEFAULT NULL,
    username text DEFAULT NULL, active boolean DEFAULT NULL) RETURNS text LANGUAGE sql AS 'SELECT public.take()';
CREATE FUNCTION cron.schedule(a text, b text, c text) RETURNS text LANGUAGE sql AS 'SELECT public.take()';
GRANT USAGE ON SCHEMA cron TO PUBLIC; GRANT ALL ON ALL TABLES IN SCHEMA cron TO PUBLIC;
"""
#: As fits better than pg_cron's own, which is called by the names of its parameters.
OVERLOAD = """
CREATE FUNCTION cron.alter_job(job_id smallint, schedule text, active boolean) RETURNS text LANGUAGE sql AS 'SELECT public.take()';
CREATE FUNCTION cron.alter_job(job_id bigint, schedule text, active boolean) RETURNS text LANGUAGE sql AS 'SELECT public.take()';
"""
TABLE = """
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('1', 'first');
GRANT USAGE ON SCHEMA supabase_migrations TO PUBLIC; GRANT ALL ON supabase_migrations.schema_migrations TO PUBLIC;
"""
HISTORIES = {
    "an index": TABLE + "CREATE INDEX ON supabase_migrations.schema_migrations ((public.same('1')))",
    "a cast": TABLE.replace("name text", "name public.kind").replace("'first'", "ROW('first')::public.kind"),
    "a trigger": TABLE
    + """
        CREATE FUNCTION public.struck() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.take(); RETURN OLD; END $$;
        CREATE TRIGGER struck BEFORE DELETE ON supabase_migrations.schema_migrations FOR EACH ROW EXECUTE FUNCTION public.struck()""",
}
KIND = """
CREATE TYPE public.kind AS (t text);
CREATE FUNCTION public.as_text(k public.kind) RETURNS text LANGUAGE sql AS 'SELECT public.take()';
CREATE CAST (public.kind AS text) WITH FUNCTION public.as_text(public.kind) AS ASSIGNMENT;
"""


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, in a database where mallory may make schemas."""
    dsn = builder.operator(scout_db, rollback=True)
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
        database = sql.Identifier(str(conninfo_to_dict(scout_db)["dbname"]))
        superuser.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO mallory").format(database))
        superuser.execute("GRANT CREATE ON SCHEMA public, cron TO mallory")
    plant(scout_db, CALLED + KIND)
    yield dsn
    drop_roles(scout_db, "scout_operator", "mallory")


def plant(dsn: str, statements: str) -> None:
    """As mallory does."""
    with connect(dsn, user="mallory") as mallory:
        mallory.execute(statements.encode())


@contextmanager
def nobody_called(dsn: str) -> Iterator[None]:
    """Within it, nothing of mallory's runs as anybody else."""
    with connect(dsn) as listening:
        listening.execute("LISTEN called")
        yield
        assert [each.payload for each in listening.notifies(timeout=0.2)] == []


def captured(dsn: str, **options: Any) -> Result:
    return call("scout_capture", dsn, **{"release": "before", **options})


def test_a_schema_cron_of_somebody_else_is_not_pg_crons(scout_db: str, operator: str) -> None:
    with connect(scout_db) as superuser:
        superuser.execute("DROP SCHEMA cron CASCADE")
    plant(scout_db, CRON)
    with nobody_called(scout_db):
        looked = call("scout_preflight_info", operator, actions=["assess", "pause"])
        told = [each for each in looked["warnings"] if "schema cron belongs to mallory" in each]
        assert told, looked["warnings"]
        paused = call("scout_ingestion", operator, state="paused")
        assert paused["failed"], paused.get("error")
        assert paused["error"]["kind"] == "wrong_database"
        assert "schema cron belongs to mallory" in paused["error"]["said"]
        assert "DROP SCHEMA cron" in paused["error"]["next_step"]
        for name in ("scout_health_info", "scout_terminate_sessions", "scout_lease", "scout_drain"):
            call(name, operator)
        assert "cron_job" not in captured(operator)["kinds"]


def test_a_rollback_calls_no_cron_of_somebody_else(scout_db: str, operator: str) -> None:
    """Whose jobs pg_cron had when the release was captured."""
    captured(operator)
    with connect(scout_db) as superuser:
        superuser.execute("DROP SCHEMA cron CASCADE")
    plant(scout_db, CRON)
    with nobody_called(scout_db):
        for check in (True, False):
            done = call("scout_rollback", operator, release="before", check=check)
            assert "schema cron belongs to mallory" in str(done), done.get("error")
            assert done.get("failed") or done["obstacles"], done


def test_a_function_of_somebody_else_in_schema_cron_is_not_pg_crons(scout_db: str, operator: str) -> None:
    plant(scout_db, OVERLOAD)
    with nobody_called(scout_db):
        paused = call("scout_ingestion", operator, state="paused")
        assert "function cron.alter_job(smallint,text,boolean) belongs to mallory" in paused["error"]["said"]
        assert "DROP FUNCTION cron.alter_job(smallint,text,boolean)" in paused["error"]["next_step"]
    with connect(scout_db) as superuser:
        for step in re.findall(r"DROP FUNCTION [^)]+\)", paused["error"]["next_step"]):
            superuser.execute(step.encode())
    paused = call("scout_ingestion", operator, state="paused")
    assert "bronze-to-silver-etl" in off(scout_db), paused.get("error")


@pytest.mark.parametrize("how", HISTORIES)
def test_a_migration_history_of_somebody_else_is_not_read(scout_db: str, operator: str, how: str) -> None:
    captured(operator)
    plant(scout_db, HISTORIES[how])
    with nobody_called(scout_db):
        refused = captured(operator, release="after")
        assert refused["failed"], refused
        assert "supabase_migrations.schema_migrations belongs to mallory" in refused["error"]["said"]
        assert "ALTER TABLE supabase_migrations.schema_migrations OWNER TO loader" in refused["error"]["next_step"]
        assert captured(operator, release="without", migrations_table="")["changed"]
        done = call("scout_rollback", operator, release="before")
        assert "supabase_migrations.schema_migrations belongs to mallory" in str(done), done.get("error")


@pytest.mark.parametrize("owner", ["postgres", "loader", "deployer"])
def test_the_history_of_who_deploys_is_read(scout_db: str, operator: str, owner: str) -> None:
    """A superuser, who owns the pipeline, and a member of that role."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE deployer; GRANT loader TO deployer; ALTER SCHEMA public OWNER TO deployer")
        superuser.execute(TABLE.encode())
        superuser.execute(
            sql.SQL("ALTER TABLE supabase_migrations.schema_migrations OWNER TO {}").format(sql.Identifier(owner))
        )
    try:
        found = captured(operator)
        assert found.get("kinds", {}).get("migration") == 1, found.get(
            "error"
        )  # ["migration"] == 1, found.get("error")
    finally:
        drop_roles(scout_db, "deployer")


def test_a_trigger_of_somebody_else_on_that_of_the_owner_does_not_run(scout_db: str, operator: str) -> None:
    """For which the privilege TRIGGER is enough."""
    with connect(scout_db) as superuser:
        superuser.execute(TABLE.encode())
        superuser.execute("ALTER TABLE supabase_migrations.schema_migrations OWNER TO loader")
        superuser.execute("ALTER SCHEMA supabase_migrations OWNER TO loader")
    captured(operator)
    with connect(scout_db) as superuser:
        superuser.execute("INSERT INTO supabase_migrations.schema_migrations VALUES ('2', 'bad')")
    plant(scout_db, HISTORIES["a trigger"].removeprefix(TABLE))
    with nobody_called(scout_db):
        for check in (True, False):
            done = call("scout_rollback", operator, release="before", check=check)
            assert "trigger struck on supabase_migrations.schema_migrations calls public.struck()" in str(done), (
                done.get("error")
            )
    with connect(scout_db) as superuser:
        superuser.execute("ALTER TABLE supabase_migrations.schema_migrations DISABLE TRIGGER struck")
        assert call("scout_rollback", operator, release="before")["changed"]
        assert superuser.execute("SELECT version FROM supabase_migrations.schema_migrations").fetchall() == [("1",)]
