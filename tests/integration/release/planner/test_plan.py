# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The planned way back from each migration ends where it began, by the catalog and by pg_dump, and no row is lost on it."""

from __future__ import annotations

import contextlib
import itertools
import random
import re
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import entries
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl import statement as ddl_statement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import plan as planner_plan
from tests.integration.release.by_name import shared, together
from tests.integration.releases import SCOPE, copies_of, differs, rich_template, run
from tests.scout.migrations import MIGRATIONS

TEMPLATE = "rollback_template"
#: Objects of the release are looked for in these schemas too: what others need is there.
WIDER = entries.Scope((*SCOPE.schemas, "elsewhere"), SCOPE.migrations_table)
_numbers = itertools.count(1)

ROWS = """
INSERT INTO elsewhere.region VALUES (1, 'NCR', 'a');
INSERT INTO shop.customer (name, code, region, attributes) VALUES ('Ana', 'ABC', 1, 'a=>1'), ('Ben', 'DEF', 1, NULL);
INSERT INTO shop."order" (customer, status, number, during) SELECT id, 'paid', 7, tstzrange('2026-01-01', '2026-01-02') FROM shop.customer
"""
KEPT = """
SELECT (SELECT jsonb_agg(jsonb_build_array(c.id, c.name, c.code, c.region) ORDER BY c.id)::text FROM shop.customer AS c),
       (SELECT jsonb_agg(jsonb_build_array(o.id, o.customer, o.status, o.number, o.during) ORDER BY o.id)::text FROM shop."order" AS o),
       (SELECT last_value FROM shop.customer_id_seq), (SELECT last_value FROM shop.order_id_seq)
"""

#: Files of tables, and locks of this session on relations of the release.
RELATIONS = (
    "SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'm') AND relnamespace::regnamespace::text !~ '^pg_'"
)
LOCKED = """
SELECT relation, mode FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE pid = pg_backend_pid() AND c.relkind IN ('r', 'p', 'v', 'm') AND c.relnamespace::regnamespace::text !~ '^pg_|cron'
"""

#: What a migration does in more than one step, most of it with dependents.
COMPOUND = (
    "DROP VIEW shop.named_orders; CREATE VIEW shop.named_orders AS SELECT o.id, o.status FROM shop.open_orders AS o",
    """DROP FUNCTION shop.total(int, int) CASCADE;
       CREATE FUNCTION shop.total(a int, b int DEFAULT 2) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT a::bigint + b'""",
    """ALTER TABLE shop.customer DROP COLUMN name_upper;
       ALTER TABLE shop.customer ADD COLUMN name_upper text GENERATED ALWAYS AS (lower(name)) STORED""",
    """CREATE TYPE shop.mood AS ENUM ('a'); ALTER TABLE shop.customer ADD COLUMN mood shop.mood DEFAULT 'a';
       CREATE VIEW shop.moods AS SELECT mood FROM shop.customer;
       CREATE FUNCTION shop.of_mood(shop.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
       CREATE INDEX moody ON shop.customer (mood) WHERE mood = 'a'""",
    "DROP MATERIALIZED VIEW shop.by_day CASCADE",
    "DROP AGGREGATE shop.summed(int) CASCADE",
    """ALTER TABLE shop.customer ADD COLUMN a int; ALTER TABLE shop.customer RENAME COLUMN code TO kode;
       CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
       REVOKE SELECT ON shop.customer FROM PUBLIC; DROP VIEW shop.named_orders""",
    'ALTER TABLE shop."order" RENAME TO orders; ALTER TABLE shop.orders RENAME COLUMN status TO state',
    """ALTER TABLE shop.customer RENAME TO buyer;
       CREATE OR REPLACE FUNCTION shop.redirect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM shop.buyer; RETURN NULL; END $$;
       INSERT INTO supabase_migrations.schema_migrations
       VALUES ('3', ARRAY['ALTER TABLE shop.customer RENAME TO buyer', 'TABLE shop.buyer '])""",
    """ALTER MATERIALIZED VIEW shop.by_day RENAME TO daily;
       SELECT cron.schedule('by-day', '*/5 * * * *', 'REFRESH MATERIALIZED VIEW shop.daily')""",
    """ALTER TABLE shop."order" RENAME COLUMN status TO state; DROP TRIGGER touched ON shop."order";
       CREATE TRIGGER touched BEFORE INSERT OR UPDATE OF state ON shop."order" FOR EACH ROW
       WHEN (NEW.state IS DISTINCT FROM 'sent') EXECUTE FUNCTION shop.touch('state', 'b''c')""",
    "ALTER TYPE shop.status RENAME TO state",
    "ALTER TYPE shop.status RENAME TO state; ALTER TYPE shop.state RENAME VALUE 'paid' TO 'payed'",
    """ALTER DOMAIN shop.amount RENAME TO "Ein Betrag"; ALTER TYPE shop.price RENAME TO cost;
       CREATE CAST (shop.cost AS text) WITH INOUT""",
    "ALTER TYPE shop.price SET SCHEMA elsewhere; ALTER DOMAIN shop.code RENAME TO kode",
    """CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = int4eq, COMMUTATOR = OPERATOR(shop.===), HASHES);
       CREATE COLLATION shop.plain (provider = libc, locale = 'C');
       CREATE VIEW shop.sorted AS SELECT name COLLATE shop.plain AS name FROM shop.customer WHERE id::int OPERATOR(shop.===) 1;
       CREATE INDEX sorted_names ON shop.customer (name COLLATE shop.plain); CREATE CAST (shop.price AS text) WITH INOUT""",
    """CREATE OR REPLACE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN OLD; END $$;
       ALTER FUNCTION shop.touch() DEPENDS ON EXTENSION hstore; CREATE EXTENSION citext SCHEMA extensions;
       ALTER FUNCTION shop.touch() DEPENDS ON EXTENSION citext; ALTER INDEX shop.customer_name DEPENDS ON EXTENSION citext""",
    """ALTER TABLE shop.customer ALTER COLUMN name_upper TYPE varchar(90), ALTER COLUMN region TYPE bigint;
       CREATE INDEX longer ON shop.customer (name_upper)""",
    "ALTER TABLE shop.sale ADD COLUMN note text; ALTER TABLE shop.sale_2025 ENABLE TRIGGER sold",
    """CREATE TABLE shop.sale_2027 PARTITION OF shop.sale FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
       CREATE INDEX more ON shop.sale (region)""",
    """DROP POLICY own ON shop."order"; CREATE POLICY own ON shop."order" USING (true);
       ALTER TABLE shop."order" DISABLE ROW LEVEL SECURITY; DROP RULE no_delete ON shop."order" """,
    """ALTER SCHEMA shop OWNER TO release_writer; REVOKE USAGE ON SCHEMA shop FROM release_reader;
       ALTER TABLE shop.customer OWNER TO release_writer""",
    """DROP FUNCTION shop.secret(shop.price, int);
       CREATE FUNCTION shop.secret(p shop.price, OUT q text, INOUT r int) LANGUAGE plpgsql AS $$ BEGIN q := 'y'; END $$""",
)

#: Ways back that the plan says there are none, or that PostgreSQL refuses; the words of that.
NO_WAY = {
    "ALTER DOMAIN shop.amount DROP CONSTRAINT positive": 'column "order.price" uses it',
    # It becomes a child again, and a dump then lists its columns, too; wrecks of tables are judged without that.
    "ALTER TABLE shop.child NO INHERIT shop.parent": "",
    "CREATE TEXT SEARCH": "can be neither created nor dropped",
    "CREATE EXTENSION file_fdw": "other objects depend on it",
    # It is left where it went, for that is not of the release.
    "ALTER TABLE shop.scratch SET SCHEMA elsewhere": "",
}
#: Those that have one.
ABLE = [each for each in (*MIGRATIONS, *COMPOUND) if not each.startswith(tuple(NO_WAY))]

template = rich_template(TEMPLATE, ROWS)


@pytest.fixture(scope="module")
def beginning(template: str) -> list[str]:
    """What pg_dump says of it, which nobody writes to."""
    return canonical(dump(template, "--schema-only"))


@pytest.fixture(scope="module")
def wanted(template: str) -> entries.Catalog:
    """What is to be come back to."""
    with open_session(Settings(template)) as session, session.read():
        return catalog_reader.read(session, SCOPE)


another = copies_of(TEMPLATE)


def live(dsn: str, wanted: entries.Catalog) -> entries.Catalog:
    """The catalog as it is, and what of the capture is in other schemas."""
    with open_session(Settings(dsn)) as session, session.read():
        inside, wider = catalog_reader.read(session, SCOPE).entries, catalog_reader.read(session, WIDER).entries
    return entries.Catalog({key: e for key, e in wider.items() if key in wanted.entries} | inside, ())


def go_back(dsn: str, wanted: entries.Catalog) -> planner_plan.Plan:
    """Plans the way and goes it, in one transaction."""
    plan = planner_plan.plan(
        live(dsn, wanted).entries, wanted.entries, migrations_table=SCOPE.migrations_table, exact_order=True
    )
    with psycopg.connect(dsn, options="-c client_min_messages=warning") as connection:
        connection.execute("SET LOCAL search_path = pg_catalog")
        connection.execute("SET LOCAL check_function_bodies = off")
        for statement in (statement for step in plan.all_steps for statement in step.statements):
            known, files = dict(connection.execute(RELATIONS).fetchall()), connection.execute(LOCKED).fetchall()
            connection.execute(statement.text)
            assert_no_worse(connection, statement, known, {(oid, mode) for oid, mode in files})
    return plan


def assert_no_worse(
    connection: psycopg.Connection[Any],
    statement: ddl_statement.Statement,
    known: dict[int, int],
    held: set[tuple[int, str]],
) -> None:
    """What the statement locked, and rewrote, of what was there is no more than what is said of it."""
    taken = {mode for oid, mode in connection.execute(LOCKED).fetchall() if (oid, mode) not in held and oid in known}
    strongest = max(taken, key=ddl_statement.LOCKS.index, default="")
    locks = ddl_statement.LOCKS
    assert locks.index(strongest) <= locks.index(statement.lock), (str(statement), strongest)
    rewritten = {oid for oid, file in connection.execute(RELATIONS).fetchall() if known.get(oid, file) != file}
    if "REFRESH" not in str(statement) and rewritten:
        assert statement.cost in (ddl_statement.Cost.REWRITES, ddl_statement.Cost.LOSES), str(statement)


def canonical(text: str) -> list[str]:
    """A dump whose lines, and options within them, are in an order that no history can tell."""
    lines = [line for line in text.splitlines() if line.strip("- ")]
    return sorted(
        re.sub(r"WITH \((.*)\)", lambda m: f"WITH ({', '.join(sorted(m[1].split(', ')))})", line) for line in lines
    )


@pytest.mark.parametrize("migrations", shared(ABLE, 25))
def test_the_way_back_ends_where_it_began(
    migrations: list[str],
    another: Callable[[], str],
    beginning: list[str],
    wanted: entries.Catalog,
    subtests: pytest.Subtests,
) -> None:
    def go(migrate: Callable[[str], None]) -> None:
        dsn = another()
        migrate(dsn)
        plan = go_back(dsn, wanted)
        assert plan.impossible == ()
        assert differs(wanted.entries, live(dsn, wanted).entries) == ()
        assert canonical(dump(dsn, "--schema-only")) == beginning
        again = planner_plan.plan(
            live(dsn, wanted).entries, wanted.entries, migrations_table=SCOPE.migrations_table, exact_order=True
        )
        assert (again.steps, again.loses, again.impossible) == ((), (), ())

    together(subtests, migrations, go)


@pytest.mark.parametrize(("start", "reason"), NO_WAY.items())
def test_there_is_no_way_back(start: str, reason: str, another: Callable[[], str], wanted: entries.Catalog) -> None:
    unable = [each for each in (*MIGRATIONS, *COMPOUND) if each.startswith(start)]
    assert unable
    for migration in unable:
        dsn = another()
        run(dsn, migration)
        assert_no_way(dsn, wanted, reason)


def assert_no_way(dsn: str, wanted: entries.Catalog, reason: str) -> None:
    """The plan says that it cannot be, or PostgreSQL does, and then nothing has changed."""
    before = dump(dsn, "--schema-only")
    plan = planner_plan.plan(live(dsn, wanted).entries, wanted.entries)
    if plan.impossible:
        assert any(reason in each for each in plan.impossible)
    elif reason:
        with pytest.raises(psycopg.Error, match=re.escape(reason)):
            go_back(dsn, wanted)
        assert dump(dsn, "--schema-only") == before
    else:
        go_back(dsn, wanted)


@pytest.mark.parametrize("seed", range(40))
def test_the_way_back_from_several_migrations(
    seed: int, another: Callable[[], str], beginning: list[str], wanted: entries.Catalog
) -> None:
    """Any few of them in any order, but for those that stand in each other's way."""
    dice = random.Random(seed)
    dsn = another()
    for migration in dice.sample(ABLE, dice.randint(2, 5)):
        with contextlib.suppress(psycopg.Error):
            run(dsn, migration)
    plan = go_back(dsn, wanted)
    assert plan.impossible == ()
    assert differs(wanted.entries, live(dsn, wanted).entries) == ()
    assert canonical(dump(dsn, "--schema-only")) == beginning


@pytest.mark.parametrize(
    "migration",
    [
        "ALTER TABLE shop.customer ADD COLUMN phone text DEFAULT 'x' NOT NULL",
        "ALTER TYPE shop.status ADD VALUE 'returned' AFTER 'sent'",
        'ALTER TABLE shop."order" DROP COLUMN span',
        "ALTER TABLE shop.customer DROP COLUMN name_upper",
        "ALTER TABLE shop.customer RENAME COLUMN name TO full_name",
        'ALTER TABLE shop."order" RENAME TO orders',
        "ALTER TABLE shop.customer ALTER COLUMN region TYPE bigint",
    ],
)
def test_rows_stay(migration: str, another: Callable[[], str], template: str, wanted: entries.Catalog) -> None:
    """Those of a table that had to be copied, too, and sequences go on where they were."""
    dsn = another()
    run(dsn, migration)
    go_back(dsn, wanted)
    with psycopg.connect(dsn) as here, psycopg.connect(template) as there:
        assert here.execute(KEPT).fetchone() == there.execute(KEPT).fetchone()


def test_what_goes_with_its_data_is_named(another: Callable[[], str], wanted: entries.Catalog) -> None:
    dsn = another()
    run(dsn, "ALTER TABLE shop.customer ADD COLUMN phone text; CREATE TABLE shop.newer (id int)")
    plan = planner_plan.plan(live(dsn, wanted).entries, wanted.entries)
    assert plan.loses == ("column:shop.customer.phone", "table:shop.newer")


def test_a_row_with_a_label_that_goes_is_an_error_and_changes_nothing(
    another: Callable[[], str], wanted: entries.Catalog
) -> None:
    dsn = another()
    run(dsn, "ALTER TYPE shop.status ADD VALUE 'returned' AFTER 'sent'")
    run(dsn, "UPDATE shop.\"order\" SET status = 'returned'")
    before = dump(dsn, "--schema-only")
    with pytest.raises(psycopg.errors.InvalidTextRepresentation, match="returned"):
        go_back(dsn, wanted)
    assert dump(dsn, "--schema-only") == before
