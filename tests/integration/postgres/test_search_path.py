# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever the database or the role is set to, and whoever made what in public: only PostgreSQL's own is found by a bare
name, from the first statement of each transaction on."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof import reading
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import times
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Settings,
    open_session,
)
from tests.integration.modules import connect
from tests.integration.postgres.test_bounds import transaction

PINNED = "pg_catalog, pg_temp"

#: An exact match beats the coercion that PostgreSQL's own would need, wherever on the path it is.
TRAPS = """
CREATE FUNCTION public.trap(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped by an operator'; END $$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = name, FUNCTION = public.trap);
CREATE FUNCTION public.set_config(unknown_name text, value text, local int) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'trapped by a function'; END $$;
"""
EXACT = "SELECT set_config('jit', 'off', 1)"


@pytest.mark.parametrize("kind", ["read", "write", "move"])
def test_every_transaction_pins_its_path_and_leaves_none_behind(scout_db: str, kind: str) -> None:
    with open_session(Settings(scout_db)) as session:
        for _ in range(2):
            with transaction(session, kind):
                assert session.row("SHOW search_path")["search_path"] == PINNED
                with pytest.raises(psycopg.errors.UndefinedFunction), session.savepoint():
                    session.execute(EXACT)
        found = session.connection.outside("SHOW search_path").fetchone()
        assert found is not None
        assert found["search_path"] != PINNED, "through a pooler it would stay with a session of others"


@pytest.mark.parametrize("kind", ["read", "write", "move"])
@pytest.mark.parametrize("path", ["public, pg_catalog", "public"])
def test_what_stands_first_on_the_path_is_not_found(scout_db: str, kind: str, path: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(TRAPS)
        connection.execute("""
CREATE FUNCTION public.set_config(text, text, boolean) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'trapped by a function'; END $$;
CREATE FUNCTION public.current_database() RETURNS name LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped by a function'; END $$;
CREATE FUNCTION public.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped by a function'; END $$;
""")
        statement = sql.SQL("ALTER DATABASE {} SET search_path = " + path)  # type: ignore[arg-type]
        connection.execute(statement.format(sql.Identifier(connection.info.dbname)))
    unpinned = "SELECT set_config('statement_timeout', '10s', true)"
    with psycopg.connect(scout_db) as other:
        message = "trapped"
        if path == "public":
            other.execute(unpinned)
        else:
            with pytest.raises(psycopg.errors.RaiseException, match=message):
                other.execute(unpinned)
    with open_session(Settings(scout_db)) as session, transaction(session, kind):
        assert session.row("SELECT count(*) AS n FROM pg_database WHERE datname = current_database()")["n"] == 1


def test_a_statement_outside_of_a_transaction_is_refused(scout_db: str) -> None:
    with open_session(Settings(scout_db)) as session:
        for statement in ("SELECT 1", "SET search_path = public"):
            with pytest.raises(psycopg.ProgrammingError, match="pins its search path"):
                session.execute(statement)  # type: ignore[arg-type]
        with pytest.raises(psycopg.ProgrammingError, match="pins its search path"), session.savepoint():
            raise AssertionError("a transaction without the pin")


@pytest.mark.parametrize("whose", ["connection", "role"])
def test_the_path_of_our_own_is_not_taken_for_the_servers(scout_db: str, whose: str) -> None:
    dsn = scout_db
    if whose == "connection":
        dsn = make_conninfo(scout_db, options="-c search_path=scout")
    else:
        with connect(scout_db) as connection:
            own, here = map(sql.Identifier, (connection.info.user, connection.info.dbname))
            connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET search_path = scout").format(own, here))
    with open_session(Settings(dsn)) as session:
        assert reading.plain(session)["search_path"] == '"$user", public'


def test_a_time_of_a_zone_needs_no_transaction_and_leaves_none(scout_db: str) -> None:
    with open_session(Settings(scout_db)) as session:
        at = times.moment(session, "2026-11-25T09:00", "Asia/Manila", "window_start")
        assert at.isoformat() == "2026-11-25T01:00:00+00:00"
        with pytest.raises(BadInput, match="'Asia/Manilla' is not known"):
            times.moment(session, "2026-11-25T09:00", "Asia/Manilla", "window_start")
        with session.read():
            assert session.row("SHOW search_path")["search_path"] == PINNED
