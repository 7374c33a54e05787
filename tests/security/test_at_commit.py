# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: code that runs with its owner's rights leaves something behind that runs when the transaction commits, as whoever commits."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import Result, call, connect, one, rows
from tests.integration.oracle import START, arrive
from tests.security import test_rollback_runs_as_owner as rollback
from tests.security.roles import drop_roles

#: What mallory has: a schema of his own, or CREATE on public; TRIGGER or REFERENCES on silver where an entry says so. `take` is what
#: he is after: whoever runs it gives him his own password.
PLANTED = """
CREATE FUNCTION public.take() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER ROLE %I PASSWORD ''mallory''', current_user);
    INSERT INTO public.taken VALUES (current_user);
    RETURN true;
EXCEPTION WHEN OTHERS THEN RETURN false;
END $$;
CREATE TABLE public.taken (who text);
CREATE TABLE public.reached (n int);
CREATE FUNCTION public.taking() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.take(); RETURN NULL; END $$;
CREATE TABLE public.later (n int);
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON public.later DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.taking();
CREATE FUNCTION public.hold() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE 'DECLARE held' || txid_current() || ' CURSOR WITH HOLD FOR SELECT public.take()';
EXCEPTION WHEN duplicate_cursor OR insufficient_privilege THEN NULL;
END $$;
CREATE FUNCTION public.holding(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.hold(); RETURN n; END $$;
CREATE TABLE public.parent (n int PRIMARY KEY);
INSERT INTO public.parent VALUES (1);
CREATE TABLE public.child (n int REFERENCES public.parent DEFERRABLE INITIALLY DEFERRED);
CREATE INDEX ON public.parent ((public.holding(1)));
CREATE FUNCTION public.same(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM public.take(); RETURN n; END $$;
CREATE TABLE public.apart (n int, EXCLUDE USING btree ((public.same(n)) WITH =) DEFERRABLE INITIALLY DEFERRED);
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
CREATE FUNCTION public.plant() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO public.reached VALUES (1);
    {planted};
END $$;
"""

#: How it is left behind.
WAYS = {
    "a deferred trigger": "INSERT INTO public.later VALUES (1)",
    "a deferred trigger on what is temporary": """
        IF to_regclass('pg_temp.briefly') IS NULL THEN
            CREATE TEMP TABLE briefly (n int) ON COMMIT DROP;
            CREATE CONSTRAINT TRIGGER briefly AFTER INSERT ON briefly DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
                EXECUTE FUNCTION public.taking();
        END IF;
        INSERT INTO briefly VALUES (1)""",
    "a trigger that defers itself again": """
        SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS public.later DEFERRED; INSERT INTO public.later VALUES (1)""",
    "a cursor": "PERFORM public.hold()",
    "a foreign key that opens one": "INSERT INTO public.child VALUES (1)",
    "an exclusion constraint": """
        DELETE FROM public.apart; INSERT INTO public.apart VALUES (1); INSERT INTO public.apart VALUES (1);
        DELETE FROM public.apart WHERE ctid = (SELECT min(ctid) FROM public.apart)""",
}

#: Of a bare `*` in the ETL, a better one.
OPERATOR = """
CREATE FUNCTION public.times(a numeric, b integer) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN PERFORM public.plant(); RETURN a OPERATOR(pg_catalog.*) b::numeric; END $$;
CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.times);
"""
TRIGGER = """
CREATE FUNCTION public.planting() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM public.plant(); RETURN NULL; END $$;
CREATE TRIGGER planting AFTER INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION public.planting();
"""
DEFERRED = """
CREATE CONSTRAINT TRIGGER taking AFTER INSERT ON scout.silver_transactions DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.taking();
"""
FOREIGN_KEY = """
CREATE FUNCTION public.looks(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN PERFORM public.plant(); RETURN n; EXCEPTION WHEN insufficient_privilege THEN RETURN n; END $$;
CREATE TABLE public.refers (transaction_id text REFERENCES scout.silver_transactions (transaction_id));
CREATE INDEX ON public.refers ((public.looks(1)));
"""
PASSWORD = "SELECT rolpassword FROM pg_authid WHERE rolname = 'scout_operator'"
LOADED = "SELECT event_id::text FROM scout.etl_processed JOIN scout.bronze_events USING (event_id) ORDER BY 1 LIMIT 2"


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, in a database where mallory may make things in public, and refer to silver."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
        superuser.execute("GRANT CREATE, USAGE ON SCHEMA public TO mallory")
        superuser.execute("GRANT USAGE ON SCHEMA scout TO mallory")
        superuser.execute("GRANT REFERENCES, TRIGGER ON scout.silver_transactions TO mallory")
    yield builder.operator(scout_db)
    drop_roles(scout_db, "scout_operator", "mallory")


def plants(dsn: str, way: str, entry: str) -> None:
    """Mallory, himself; and a sale comes in."""
    arrive(dsn, [generator.transaction(7, 1, sold_at=START)])
    with connect(dsn, user="mallory") as mallory:
        mallory.execute(PLANTED.replace("{planted}", way).encode())
        mallory.execute(entry.encode())


def held(dsn: str, result: Result) -> None:
    """Raises where the operator's rights were had, or it was not said that they nearly were."""
    assert rows(dsn, "SELECT who FROM public.taken WHERE who = 'scout_operator'") == []
    assert one(dsn, PASSWORD) is None
    assert result["failed"], result
    assert "code of others would run with the rights of role scout_operator" in result["msg"], result["msg"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("entry", [OPERATOR, TRIGGER], ids=["operator", "trigger"])
def test_the_etl_of_a_drain_leaves_nothing_behind(scout_db: str, operator: str, entry: str, way: str) -> None:
    plants(scout_db, WAYS[way], entry)
    pending = one(scout_db, "SELECT count(*) FROM scout.silver_transactions")
    held(scout_db, call("scout_drain", operator))
    assert one(scout_db, "SELECT count(*) FROM scout.silver_transactions") == pending


def test_a_deferred_trigger_on_silver(scout_db: str, operator: str) -> None:
    plants(scout_db, "NULL", DEFERRED)
    held(scout_db, call("scout_drain", operator))


@pytest.mark.parametrize("way", WAYS)
def test_a_foreign_key_to_silver_leaves_nothing_behind(scout_db: str, operator: str, way: str) -> None:
    plants(scout_db, WAYS[way], FOREIGN_KEY)
    held(scout_db, call("scout_quarantine", operator, event_ids=[row[0] for row in rows(scout_db, LOADED)]))


SLEEPS = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND usename = 'scout_operator'"
LATE = """
CREATE CONSTRAINT TRIGGER late AFTER INSERT ON public.quiet DEFERRABLE INITIALLY DEFERRED
FOR EACH ROW EXECUTE FUNCTION public.taking()
"""


def test_a_trigger_that_is_made_after_the_snapshot_of_a_move(scout_db: str, operator: str) -> None:
    """A move reads one snapshot, in which the trigger is not there; its event is queued all the same."""
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute("CREATE TABLE public.quiet (n int)")
        plants(scout_db, "PERFORM pg_sleep(0.6); INSERT INTO public.quiet VALUES (1)", FOREIGN_KEY)

        def make() -> None:
            with connect(scout_db) as looks:
                wait_until(looks, SLEEPS, seconds=30)
            mallory.execute(LATE)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            made = pool.submit(make)
            result = call("scout_quarantine", operator, event_ids=[row[0] for row in rows(scout_db, LOADED)])
            made.result()
    held(scout_db, result)


@pytest.fixture
def release(pg_server: Server) -> Iterator[str]:
    yield from rollback.dsn.__wrapped__(pg_server)


@pytest.mark.parametrize("way", WAYS)
def test_a_check_that_a_rollback_makes_again_leaves_nothing_behind(release: str, way: str) -> None:
    """A superuser rolls back, so that there is something to be had."""
    planted = PLANTED.replace("{planted}", WAYS[way]).replace(
        "ALTER ROLE %I PASSWORD ''mallory''", "ALTER ROLE mallory SUPERUSER"
    )
    with psycopg.connect(release, autocommit=True) as superuser:
        superuser.execute("GRANT CREATE ON SCHEMA public TO mallory")
    with psycopg.connect(release, user="mallory", autocommit=True) as mallory:
        mallory.execute(planted.encode())
        mallory.execute(
            "CREATE OR REPLACE FUNCTION shop.fine(n int) RETURNS bool LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM public.plant(); RETURN true; END $$"
        )
    with pytest.raises(Exception, match="code of others would run with the rights of role postgres"):
        rollback.rolled_back(release, "ALTER TABLE shop.thing DROP CONSTRAINT good")
    with psycopg.connect(release, autocommit=True) as superuser:
        assert superuser.execute("SELECT count(*) FROM public.taken").fetchone() == (0,)
        assert superuser.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'").fetchone() == (False,)
