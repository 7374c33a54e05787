# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Somebody who may create in public, or a schema with the operator's name, plants functions and operators there that fit
better than PostgreSQL's own, and waits for the operator to run them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.integration.modules import Result, call, connect, operator, rows
from tests.scout import planted

from .roles import drop_roles

ATTACKER = "path_attacker"

#: Runs with the rights of whoever calls it, and says nothing.
STRIKE = """
CREATE FUNCTION {schema}.strike() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO {schema}.struck VALUES (current_user, pg_catalog.current_query());
    EXECUTE 'ALTER ROLE path_attacker SUPERUSER';
EXCEPTION WHEN OTHERS THEN
    EXECUTE 'GRANT loader TO path_attacker';
END $$;
CREATE TABLE {schema}.struck (caller name, query text);
GRANT INSERT ON {schema}.struck TO PUBLIC;
CREATE FUNCTION {schema}.names(name, name) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {schema}.strike(); RETURN $1 OPERATOR(pg_catalog.||) $2::text; END $$;
CREATE FUNCTION {schema}.texts(name, text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {schema}.strike(); RETURN $1 OPERATOR(pg_catalog.||) $2; END $$;
CREATE OPERATOR {schema}.|| (LEFTARG = name, RIGHTARG = name, FUNCTION = {schema}.names);
CREATE OPERATOR {schema}.|| (LEFTARG = name, RIGHTARG = text, FUNCTION = {schema}.texts);
CREATE FUNCTION {schema}.quote_ident(name) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {schema}.strike(); RETURN pg_catalog.quote_ident($1::text); END $$;
CREATE FUNCTION {schema}.starts_with(name, text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN PERFORM {schema}.strike(); RETURN pg_catalog.starts_with($1::text, $2); END $$
"""
HELD = """
SELECT (SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = %(who)s),
       ARRAY(SELECT roleid::regrole::text FROM pg_catalog.pg_auth_members WHERE member = %(who)s::regrole),
       ARRAY(SELECT c.oid::regclass::text FROM pg_catalog.pg_class AS c WHERE c.relkind IN ('r', 'v', 'm')
             AND c.relnamespace = ANY(ARRAY['scout', 'cron']::regnamespace[])
             AND pg_catalog.has_table_privilege(%(who)s, c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1)
"""


@pytest.fixture(params=["public", "$user"])
def trapped(request: pytest.FixtureRequest, scout_db: str) -> Iterator[str]:
    """A database in which the attacker lies in wait."""
    drop_roles(scout_db, ATTACKER)
    with connect(scout_db) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(ATTACKER)))
        superuser.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(ATTACKER)))
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(planted.PLANTER)))
        here = sql.Identifier(superuser.info.dbname)
        superuser.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(here, sql.Identifier(ATTACKER)))
        plant(scout_db, "public" if request.param == "public" else superuser.info.user)
    yield scout_db
    drop_roles(scout_db, ATTACKER)


def plant(dsn: str, schema: str) -> None:
    """Everything that a role with CREATE can do."""
    with connect(dsn) as attacker:
        attacker.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ATTACKER)))
        if schema != "public":
            attacker.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            attacker.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO PUBLIC").format(sql.Identifier(schema)))
        attacker.execute(sql.SQL(STRIKE).format(schema=sql.Identifier(schema)))


def field_of_actions(dsn: str) -> None:
    """What an operator does in an incident, each of it for real."""

    def do(module: str, **options: Any) -> Result:
        result = call(module, dsn, **options)
        assert not result.get("failed"), (module, result["msg"])
        return result

    do("scout_preflight_info")
    do("scout_health_info")
    do("scout_ingestion", state="paused")
    do("scout_capture", release="before")
    moved = do("scout_quarantine", event_ids=[str(rows(dsn, "SELECT event_id FROM scout.bronze_events LIMIT 1")[0][0])])
    do("scout_undo", run_id=moved["run_id"])
    do("scout_drain")
    do("scout_refresh_gold")
    do("scout_rollback", release="before", check=True)
    resumed = do("scout_ingestion", state="running")
    assert resumed.get("state") == "running", (resumed.get("msg"), resumed.get("said"))


@pytest.mark.parametrize("who", ["superuser", "operator"])
def test_nothing_that_was_planted_is_ever_run(trapped: str, who: str) -> None:
    before = rows(trapped, HELD.replace("%(who)s", f"'{ATTACKER}'"))
    if who == "superuser":
        field_of_actions(trapped)
    else:
        with operator(trapped) as dsn:
            name = str(conninfo_to_dict(dsn)["user"])
            plant(trapped, name)
            field_of_actions(dsn)
    assert rows(trapped, HELD.replace("%(who)s", f"'{ATTACKER}'")) == before
    for (schema,) in rows(trapped, "SELECT relnamespace::regnamespace::text FROM pg_class WHERE relname = 'struck'"):
        assert rows(trapped, f"SELECT caller, query FROM {schema}.struck") == []


def test_the_traps_work(trapped: str) -> None:
    """Who has no pin falls into them, or the test above would show nothing."""
    with connect(trapped) as superuser:
        superuser.execute("SELECT datname || datname FROM pg_database")
    assert rows(trapped, HELD.replace("%(who)s", f"'{ATTACKER}'"))[0][0]


def test_every_trap_of_the_suite_is_set(scout_db: str) -> None:
    """All other tests run on a database with thousands of them."""
    assert rows(scout_db, "SELECT count(*) > 100 FROM pg_proc WHERE proowner = %s::regrole", planted.PLANTER) == [
        (True,)
    ]
