# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which privileges are lacked, and that the GRANT of each ends that."""

from __future__ import annotations

from psycopg import sql

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.privileges import Need, lacked
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import connect

ROLE = 'who "needs"'
SETUP = """
CREATE SCHEMA "Shop.One";
CREATE TABLE "Shop.One"."Sales" (id int, amount int);
CREATE TABLE "Shop.One".open (id int, amount int);
CREATE FUNCTION "Shop.One".f(integer) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION "Shop.One".f(integer,text) RETURNS int LANGUAGE sql AS 'SELECT 1';
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA "Shop.One" FROM PUBLIC;
"""
NEEDS = [
    Need("SCHEMA", '"Shop.One"', "USAGE", ROLE),
    Need("SCHEMA", '"Shop.One"', "CREATE", ROLE),
    Need("TABLE", '"Shop.One"."Sales"', "SELECT", ROLE),
    Need("ANY COLUMN", '"Shop.One"."Sales"', "UPDATE", ROLE),
    Need("FUNCTION", '"Shop.One".f(integer)', "EXECUTE", ROLE),
    Need("FUNCTION", '"Shop.One".f(integer,text)', "EXECUTE", ROLE),
]


def test_each_is_lacked_until_it_is_granted_in_a_schema_that_may_not_be_used(scout_db: str) -> None:
    role = sql.Identifier(ROLE)
    with connect(scout_db) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            superuser.execute(SETUP)
            database = Need("DATABASE", sql.Identifier(superuser.info.dbname).as_string(), "CREATE", ROLE)
            needs = [*NEEDS, database]
            with open_session(Settings(scout_db)) as session:
                for done, need in enumerate(needs):
                    with session.read():
                        assert list(lacked(session, [*needs, *needs])) == needs[done:]
                    superuser.execute(need.grant(session))  # type: ignore[call-overload]
                with session.read():
                    assert lacked(session, needs) == {}
                    assert lacked(session, []) == {}
        finally:
            superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))


def test_one_column_will_do_where_that_is_asked_and_what_is_not_there_is_not_lacked(scout_db: str) -> None:
    table, column = (Need(kind, '"Shop.One".open', "INSERT", ROLE) for kind in ("TABLE", "ANY COLUMN"))
    gone = [
        Need("TABLE", '"Shop.One".gone', "SELECT", ROLE),
        Need("FUNCTION", '"Shop.One".f(text)', "EXECUTE", ROLE),
        Need("SCHEMA", "gone", "USAGE", ROLE),
        Need("SCHEMA", '"Shop.One"', "USAGE", "nobody of this name"),
    ]
    role = sql.Identifier(ROLE)
    with connect(scout_db) as superuser:
        superuser.execute(sql.SQL("CREATE ROLE {}").format(role))
        try:
            superuser.execute(SETUP)
            with open_session(Settings(scout_db)) as session, session.read():
                assert lacked(session, [table, column, *gone]) == dict.fromkeys([table, column], superuser.info.user)
            superuser.execute(sql.SQL('GRANT INSERT (id) ON "Shop.One".open TO {}').format(role))
            with open_session(Settings(scout_db)) as session, session.read():
                assert list(lacked(session, [table, column])) == [table]
                mine = [Need(need.kind, need.object, need.privilege) for need in NEEDS]
                assert lacked(session, mine) == {}, "a superuser lacks nothing"
        finally:
            superuser.execute(sql.SQL("DROP OWNED BY {0}; DROP ROLE {0}").format(role))
