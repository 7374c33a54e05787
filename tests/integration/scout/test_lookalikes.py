# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Comments and strings of deployed functions look like statements: nothing is concluded from them, and what runs is still found."""

from __future__ import annotations

import psycopg
import pytest

from tests.integration.modules import call

GONE = {
    "by a statement": "REFRESH MATERIALIZED VIEW scout.gold_gone;",
    "in capitals, of a quoted schema": 'REFRESH MATERIALIZED VIEW CONCURRENTLY "scout" . GOLD_GONE;',
    "by EXECUTE": "EXECUTE 'REFRESH MATERIALIZED VIEW scout.gold_gone';",
    "by EXECUTE of a variable": "q := 'REFRESH MATERIALIZED VIEW scout.gold_gone'; EXECUTE q;",
    "by EXECUTE of a variable that is set with =": "q = 'REFRESH MATERIALIZED VIEW scout.gold_gone'; EXECUTE q;",
    "by EXECUTE of what a query gives": "SELECT 'REFRESH MATERIALIZED VIEW scout.gold_gone' INTO q; EXECUTE q;",
    "with its data": "REFRESH MATERIALIZED VIEW scout.gold_gone WITH DATA;",
    "by EXECUTE, with parameters": "EXECUTE 'REFRESH MATERIALIZED VIEW scout.gold_gone' USING 1;",
    "by EXECUTE of two strings": "EXECUTE 'REFRESH MATERIALIZED VIEW scout.gold_' || 'gone';",
    "by EXECUTE of a string that goes on": "EXECUTE 'REFRESH MATERIALIZED VIEW '\n 'scout.gold_gone';",
    "after a comment that a carriage return ends": "-- gold\rREFRESH MATERIALIZED VIEW scout.gold_gone;",
    "by EXECUTE with escapes": r"EXECUTE E'REFRESH\tMATERIALIZED VIEW scout.gold_gone';",
    "after a comment on its line": "/* a /* b */ ' */ REFRESH MATERIALIZED VIEW scout.gold_gone; -- '",
}
HARMLESS = {
    "in a comment": "-- REFRESH MATERIALIZED VIEW scout.gold_gone;",
    "in a nested comment": "/* /* */ REFRESH MATERIALIZED VIEW scout.gold_gone; */",
    "in a message": "RAISE DEBUG 'REFRESH MATERIALIZED VIEW scout.gold_gone';",
    "in a value": "PERFORM $$REFRESH MATERIALIZED VIEW scout.gold_gone$$, U&'REFRESH MATERIALIZED VIEW scout.gold_gone';",
    "after a quote in a comment": "-- it's\n-- REFRESH MATERIALIZED VIEW scout.gold_gone;",
    "with a name that is put together": "EXECUTE 'REFRESH MATERIALIZED VIEW scout.gold_' || 'daily_metrics';",
    "with a name of which a function gets a part": "EXECUTE concat('REFRESH MATERIALIZED VIEW scout.gold_', 'daily_metrics');",
    "with a name that is replaced": "EXECUTE replace('REFRESH MATERIALIZED VIEW scout.gold_x', 'gold_x', 'gold_daily_metrics');",
    "in a quoted name": 'PERFORM 1 AS "REFRESH MATERIALIZED VIEW scout.gold_gone";',
    "in a variable beside the one that is run": "q := 'ANALYZE scout.gold_daily_metrics'; "
    "started := 'REFRESH MATERIALIZED VIEW scout.gold_gone' IS NULL; EXECUTE q;",
    "with a name that is filled in": "EXECUTE format('REFRESH MATERIALIZED VIEW %I.%I', 'scout', 'gold_daily_metrics');",
    "of another schema, where it is": "REFRESH MATERIALIZED VIEW elsewhere.gold_gone;",
    "where it is looked for": "IF to_regclass('scout.gold_gone') IS NOT NULL THEN REFRESH MATERIALIZED VIEW scout.gold_gone; END IF;",
    "where it is one of some that are looked for": "IF EXISTS (SELECT FROM pg_matviews WHERE matviewname = ANY (ARRAY['a', 'gold_gone'])) "
    "THEN REFRESH MATERIALIZED VIEW scout.gold_gone; END IF;",
    "where it is looked for in the catalog": "IF EXISTS (SELECT FROM pg_matviews WHERE matviewname = 'gold_gone') "
    "THEN REFRESH MATERIALIZED VIEW scout.gold_gone; END IF;",
}


def refreshing(connection: psycopg.Connection, before: str, how: str) -> None:
    """The pipeline's refresh function has this in it, and works in all else."""
    after = before.replace("started timestamptz;", "started timestamptz; q text;")
    connection.execute(after.replace("    EXCEPTION", f"{how}\n    EXCEPTION", 1).encode())


def gone_views(dsn: str) -> tuple[str, str]:
    """What assess says of them."""
    [found] = [each for each in call("scout_health_info", dsn)["indicators"] if each["name"] == "gold_views"]
    return found["status"], found["reason"]


def test_a_view_that_is_refreshed_and_gone_is_named_and_a_mention_is_no_refresh(
    scout_db: str, subtests: pytest.Subtests
) -> None:
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA elsewhere")
        connection.execute("CREATE MATERIALIZED VIEW elsewhere.gold_gone AS SELECT 1 AS one")
        [[before]] = connection.execute(
            "SELECT pg_get_functiondef('scout.refresh_gold_platinum()'::regprocedure)"
        ).fetchall()
        for name, how in GONE.items():
            with subtests.test(msg=f"gone {name}"):
                refreshing(connection, before, how)
                status, detail = gone_views(scout_db)
                assert status == "fail"
                assert "scout.gold_gone" in detail
        for name, how in HARMLESS.items():
            with subtests.test(msg=f"harmless {name}"):
                refreshing(connection, before, how)
                assert gone_views(scout_db) == ("ok", "")


def test_a_view_that_the_latest_run_did_without_is_not_missed(scout_db: str) -> None:
    """Whatever keeps the refresh from it: only a run shows what code does."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        [[before]] = connection.execute(
            "SELECT pg_get_functiondef('scout.refresh_gold_platinum()'::regprocedure)"
        ).fetchall()
        optional = "BEGIN REFRESH MATERIALIZED VIEW scout.gold_gone; EXCEPTION WHEN undefined_table THEN NULL; END;"
        refreshing(connection, before, optional)
        assert gone_views(scout_db)[0] == "fail"
        run = """
        INSERT INTO cron.job_run_details (jobid, database, username, command, status, start_time, end_time)
        SELECT jobid, database, username, command, 'succeeded', clock_timestamp() - interval '1 second', clock_timestamp()
        FROM cron.job WHERE jobname = 'smart-gold-refresh'
        """
        connection.execute("SELECT scout.refresh_gold_platinum()")
        connection.execute(run)
        assert gone_views(scout_db) == ("ok", "")
        # One that the dashboards need is missed all the same, and a run that refreshed nothing shows nothing.
        connection.execute(
            "UPDATE cron.job_run_details SET start_time = start_time - interval '1 hour', end_time = end_time - interval '1 hour'"
        )
        assert gone_views(scout_db)[0] == "fail"


def test_where_a_backslash_escapes_in_every_string_the_same_is_read(scout_db: str) -> None:
    with psycopg.connect(scout_db, autocommit=True) as connection:
        [[before]] = connection.execute(
            "SELECT pg_get_functiondef('scout.refresh_gold_platinum()'::regprocedure)"
        ).fetchall()
        off = before.replace("LANGUAGE plpgsql", "LANGUAGE plpgsql SET standard_conforming_strings = off", 1)
        said = r"PERFORM 'it\'s; REFRESH MATERIALIZED VIEW scout.gold_gone; ';"
        refreshing(connection, off, said)
        assert gone_views(scout_db) == ("ok", "")
        refreshing(connection, off, r"PERFORM 'a\'b'; REFRESH MATERIALIZED VIEW scout.gold_gone; PERFORM 'c\'d';")
        assert gone_views(scout_db)[0] == "fail"


def test_a_deployed_pipeline_with_lookalikes_everywhere_is_healthy(deployed_db: str) -> None:
    found = call("scout_health_info", deployed_db)
    wrong = [each["name"] for each in found["indicators"] if each["status"] not in ("ok", "off")]
    assert wrong == []
    assert found["diagnoses"] == []
    gate = call("scout_gate_info", deployed_db, smoke=True)
    assert (gate["verdict"], gate["exit_code"]) == ("pass", 0), gate["checks"]


#: What a job calls, with each of these bodies.
NIGHTLY = "CREATE OR REPLACE FUNCTION public.nightly$run() RETURNS void LANGUAGE plpgsql"
BODIES = {
    "a call": "PERFORM scout.load_silver_from_bronze(1);",
    "a comment": "/* /* */ PERFORM scout.load_silver_from_bronze(1); */",
    "a call after a comment that a carriage return ends": "-- x\rPERFORM scout.load_silver_from_bronze(1);",
    "a variable that is set with =": "q = 'SELECT scout.load_silver_from_bronze(1)'; EXECUTE q;",
    "a variable that a query fills": "SELECT 'SELECT scout.load_silver_from_bronze(1)' INTO q; EXECUTE q;",
    "each row of a query": "FOR q IN SELECT 'SELECT scout.load_silver_from_bronze(1)' LOOP EXECUTE q; END LOOP;",
    "each part of an array": "FOREACH q IN ARRAY ARRAY['SELECT 1', 'SELECT scout.load_silver_from_bronze(1)'] LOOP EXECUTE q; END LOOP;",
    "two strings": "EXECUTE 'SELECT scout.load_' || 'silver_from_bronze(1)';",
    "a string that goes on": "EXECUTE 'SELECT scout.load_'\n 'silver_from_bronze(1)';",
    "names that are filled in": "EXECUTE format('SELECT %I.%I(1)', 'scout', 'load_silver_from_bronze');",
    "names that are put together": "EXECUTE 'SELECT ' || quote_ident('scout') || '.' || quote_ident('load_silver_from_bronze') || '(1)';",
    "a name with code points": r'PERFORM scout.U&"load\005Fsilver_from_bronze"(1);',
    "a row for which a trigger loads": "INSERT INTO public.asked DEFAULT VALUES;",
    "a row for which a rule writes": "INSERT INTO public.told DEFAULT VALUES;",
    "a row for which nothing is done": "INSERT INTO public.idle DEFAULT VALUES;",
    "a quoted name that is none": 'PERFORM 1 AS "scout.load_silver_from_bronze(1)";',
    "a value": "PERFORM 'SELECT scout.load_silver_from_bronze(1)', $q$ DELETE FROM scout.silver_line_items $q$;",
    "a value beside what is run": "PERFORM 'SELECT scout.load_silver_from_bronze(1)'; q := 'SELECT 1'; EXECUTE q;",
    "a message": "RAISE DEBUG 'SELECT scout.load_silver_from_bronze(1)';",
}


BESIDE = """
CREATE TABLE public.asked (at timestamptz DEFAULT now());
CREATE TABLE public.told (at timestamptz DEFAULT now());
CREATE TABLE public.idle (at timestamptz DEFAULT now());
CREATE FUNCTION public.load() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM scout.load_silver_from_bronze(1); RETURN NEW; END';
CREATE TRIGGER load AFTER INSERT ON public.asked FOR EACH ROW EXECUTE FUNCTION public.load();
CREATE FUNCTION public.rest() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN /* PERFORM scout.load_silver_from_bronze(1) */ RETURN NEW; END';
CREATE TRIGGER rest AFTER INSERT ON public.idle FOR EACH ROW EXECUTE FUNCTION public.rest();
CREATE RULE told AS ON INSERT TO public.told DO ALSO INSERT INTO scout.etl_processed (event_id)
    SELECT event_id FROM scout.bronze_events WHERE event_id NOT IN (SELECT event_id FROM scout.etl_processed);
-- A stranger calls a table like another, which decides nothing.
CREATE SCHEMA strange;
CREATE TABLE strange.idle (at timestamptz);
CREATE TRIGGER load AFTER INSERT ON strange.idle FOR EACH ROW EXECUTE FUNCTION public.load();
ALTER TABLE strange.idle OWNER TO dashboard_reader;
"""


def test_a_job_is_ingestion_where_its_command_loads_silver_however_that_is_written(
    scout_db: str, subtests: pytest.Subtests
) -> None:
    """What happens where it is run tells what it does."""
    with psycopg.connect(scout_db, autocommit=True) as connection:
        connection.execute(
            "DELETE FROM scout.etl_processed WHERE event_id IN (SELECT event_id FROM scout.etl_processed LIMIT 5)"
        )
        connection.execute(
            "SELECT cron.schedule('nightly', '0 3 * * *', 'SET work_mem = ''8MB''; SELECT public.nightly$run();')"
        )
        connection.execute(BESIDE)
        for name, body in BODIES.items():
            with subtests.test(msg=name):
                connection.execute(f"{NIGHTLY} AS $f$DECLARE q text; BEGIN {body} END$f$".encode())
                with connection.transaction(force_rollback=True):
                    before = connection.execute("SELECT count(*) FROM scout.etl_processed").fetchone()
                    connection.execute("SELECT public.nightly$run()")
                    loads = connection.execute("SELECT count(*) FROM scout.etl_processed").fetchone() != before
                paused = call("scout_ingestion", scout_db, state="paused", check=True)
                assert ("nightly" in str(paused["jobs"])) is loads
