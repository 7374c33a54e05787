# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: defaults, checks, casts and queries of an owner of tables run with the rights of whoever rolls back his release."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import MissingPrivilege
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import store as captures_store
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Scope
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.target import Target
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from tests.security.roles import drop_roles

#: Each of its functions notes as whom it ran, and takes what a superuser may give.
RELEASE = """
CREATE SCHEMA shop;
CREATE TABLE shop.seen (what text, who text, super bool);
GRANT INSERT ON shop.seen TO PUBLIC;
CREATE FUNCTION shop.evil(what text) RETURNS int LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'SET ROLE postgres'; EXCEPTION WHEN OTHERS THEN NULL; END;
    INSERT INTO shop.seen SELECT what, current_user, rolsuper FROM pg_roles WHERE rolname = current_user;
    BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN 1;
END $$;
CREATE FUNCTION shop.fine(n int) RETURNS bool LANGUAGE sql AS 'SELECT shop.evil(''check'') = 1';
CREATE DOMAIN shop.number AS int CONSTRAINT odd CHECK (shop.evil('domain') = 1);
CREATE TABLE shop.thing (id int PRIMARY KEY, n int DEFAULT shop.evil('default'), CONSTRAINT good CHECK (shop.fine(n)));
INSERT INTO shop.thing SELECT g FROM generate_series(1, 3) AS g;
CREATE TABLE shop.typed (id int PRIMARY KEY, n shop.number);
INSERT INTO shop.typed SELECT g, g FROM generate_series(1, 3) AS g;
CREATE MATERIALIZED VIEW shop.stored AS SELECT id, shop.evil('view') AS n FROM shop.thing;
"""
#: Each is what the rollback has to take back, so that what is above is made again.
BAD = """
ALTER TABLE shop.thing DROP CONSTRAINT good;
DROP MATERIALIZED VIEW shop.stored;
ALTER TABLE shop.thing DROP COLUMN n;
ALTER TABLE shop.typed ALTER COLUMN n TYPE int;
ALTER DOMAIN shop.number DROP CONSTRAINT odd;
TRUNCATE shop.seen;
"""
SCOPE = Scope(("shop",))


@pytest.fixture
def dsn(pg_server: Server) -> Iterator[str]:
    name = "rollback_as_owner"
    made = pg_server.create_database(name)
    with psycopg.connect(made, autocommit=True) as connection:
        connection.execute("CREATE ROLE mallory LOGIN")
        connection.execute("GRANT CREATE ON DATABASE rollback_as_owner TO mallory")
    with psycopg.connect(made, user="mallory", autocommit=True) as attacker:
        attacker.execute(RELEASE.encode())
    yield made
    pg_server.drop_database(name)
    with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
        connection.execute("DROP ROLE mallory")


def rolled_back(dsn: str, release: str) -> None:
    """Captures, runs what a release does, and rolls it back."""
    with open_session(Settings(dsn)) as session:
        with session.read():
            found, here = catalog_reader.read(session, SCOPE), captures_store.origin(session)
            about = {
                "database": here.database,
                "database_oid": here.database_oid,
                "system_identifier": here.system_identifier,
            }
            scope = {"schemas": ["shop"], "migrations_table": "", "beyond": list(found.beyond)}
            document = captures_document.document(found.entries.values(), {"scope": scope, **about})
        with psycopg.connect(dsn, autocommit=True) as changes:
            changes.execute(release.encode())
        target = Target(json.loads(json.dumps(document)), same_database=True)
        with session.read():
            way = transaction.survey(session, target)
        transaction.restore(session, way, transaction.Patience(), Progress())


def test_what_is_made_again_runs_with_the_rights_of_its_owner(dsn: str) -> None:
    rolled_back(dsn, BAD)
    with psycopg.connect(dsn, autocommit=True) as looks:
        seen = looks.execute("SELECT DISTINCT what, who, super FROM shop.seen ORDER BY 1").fetchall()
        assert {what for what, *_ in seen} >= {"default", "check", "domain", "view"}
        assert {(who, super_) for _, who, super_ in seen} == {("mallory", False)}
        [(is_super,)] = looks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'").fetchall()
        assert not is_super


#: The same by a function that has its owner's rights, and has to be its owner's before anything calls it.
DEFINER = """
CREATE FUNCTION shop.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT shop.evil(''definer'')';
CREATE VIEW shop.shown AS SELECT shop.definer() AS n;
CREATE MATERIALIZED VIEW shop.direct AS SELECT shop.definer() AS n;
CREATE MATERIALIZED VIEW shop.deep AS SELECT n FROM shop.shown;
"""
RELEASES_OF_IT = [
    "DROP FUNCTION shop.definer() CASCADE",
    # It has another owner, and says something else.
    """DROP MATERIALIZED VIEW shop.deep, shop.direct; ALTER FUNCTION shop.definer() OWNER TO postgres;
       CREATE OR REPLACE FUNCTION shop.definer() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'""",
]


@pytest.mark.parametrize("release", RELEASES_OF_IT)
def test_a_function_with_its_owners_rights_is_his_before_it_is_called(dsn: str, release: str) -> None:
    with psycopg.connect(dsn, user="mallory", autocommit=True) as attacker:
        attacker.execute(DEFINER.encode())
    rolled_back(dsn, f"{release}; TRUNCATE shop.seen")
    with psycopg.connect(dsn, autocommit=True) as looks:
        seen = looks.execute("SELECT DISTINCT who, super FROM shop.seen WHERE what = 'definer'").fetchall()
        assert seen == [("mallory", False)]
        assert looks.execute("SELECT count(*) FROM shop.deep").fetchone() == (1,)
        [(is_super,)] = looks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'").fetchall()
        assert not is_super


#: What looks at each row of a table when something else is done to it.
ROWS_LOOKED_AT = """
CREATE FUNCTION shop.key(n int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM shop.evil('row'); RETURN n; END $$;
CREATE TABLE shop.parted (id int) PARTITION BY RANGE (shop.key(id));
CREATE TABLE shop.part PARTITION OF shop.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE shop.rest PARTITION OF shop.parted DEFAULT;
INSERT INTO shop.parted VALUES (1), (20);
CREATE TABLE shop.checked (
    id int PRIMARY KEY CONSTRAINT sound CHECK (shop.key(id) > 0), n int, g int GENERATED ALWAYS AS (id * 2) STORED,
    m int GENERATED ALWAYS AS IDENTITY, d timestamptz DEFAULT clock_timestamp()
);
INSERT INTO shop.checked SELECT g, g FROM generate_series(1, 3) AS g;
CREATE INDEX called ON shop.checked (shop.key(id));
CREATE TABLE shop.parent (id int PRIMARY KEY CONSTRAINT sound CHECK (shop.key(id) > 0));
CREATE TABLE shop.child (CONSTRAINT sound CHECK (shop.key(id) > 0)) INHERITS (shop.parent);
INSERT INTO shop.child VALUES (1);
"""


@pytest.mark.parametrize(
    "release",
    [
        "ALTER TABLE shop.parted DETACH PARTITION shop.part",
        "ALTER TABLE shop.parted DETACH PARTITION shop.rest",
        "ALTER TABLE shop.checked ALTER n TYPE bigint",
        "ALTER TABLE shop.checked DROP COLUMN g",
        "ALTER TABLE shop.checked DROP COLUMN m",
        "ALTER TABLE shop.checked DROP COLUMN d",
        "ALTER TABLE shop.checked DROP CONSTRAINT sound, ADD CONSTRAINT sound CHECK (shop.key(id) > 0) NOT VALID",
        "ALTER TABLE shop.checked SET UNLOGGED",
        "ALTER TABLE shop.checked ADD COLUMN more text DEFAULT 'x'",
        "DROP INDEX shop.called",
        "ALTER TABLE shop.child NO INHERIT shop.parent",
    ],
)  # fmt: skip
def test_what_looks_at_rows_runs_with_the_rights_of_their_owner(dsn: str, release: str) -> None:
    with psycopg.connect(dsn, user="mallory", autocommit=True) as attacker:
        attacker.execute(ROWS_LOOKED_AT.encode())
    rolled_back(dsn, f"{release}; TRUNCATE shop.seen")
    with psycopg.connect(dsn, autocommit=True) as looks:
        assert not looks.execute("SELECT DISTINCT who FROM shop.seen WHERE who <> 'mallory'").fetchall()


def test_an_owner_who_may_make_no_temporary_function_runs_nothing(dsn: str) -> None:
    """As him alone, without a function of his, what he wrote would only have to RESET ROLE."""
    with psycopg.connect(dsn, autocommit=True) as superuser:
        superuser.execute("REVOKE TEMPORARY ON DATABASE rollback_as_owner FROM PUBLIC")
        superuser.execute("CREATE ROLE shift LOGIN IN ROLE mallory")
        superuser.execute("GRANT CREATE, TEMPORARY ON DATABASE rollback_as_owner TO shift")
        superuser.execute("TRUNCATE shop.seen")
    try:
        with pytest.raises(MissingPrivilege, match="mallory may make no temporary function") as refused:
            rolled_back(make_conninfo(dsn, user="shift"), "ALTER TABLE shop.thing DROP CONSTRAINT good")
        assert refused.value.next_step == 'GRANT TEMPORARY ON DATABASE "rollback_as_owner" TO "mallory"'
        with psycopg.connect(dsn, autocommit=True) as looks:
            assert looks.execute("SELECT count(*) FROM shop.seen").fetchone() == (0,)
            looks.execute(refused.value.next_step.encode())
        rolled_back(make_conninfo(dsn, user="shift"), "ALTER TABLE shop.thing DROP COLUMN n")
        with psycopg.connect(dsn, autocommit=True) as looks:
            assert looks.execute("SELECT DISTINCT who FROM shop.seen").fetchall() == [("mallory",)]
    finally:
        drop_roles(dsn, "shift")
