# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A schema that has one of everything a release can consist of, made in any order that its parts allow."""

from __future__ import annotations

import contextlib
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

ROLES = ("release_owner", "release_reader", "release_writer", '"release ""Ärger"" b"')
SCHEMAS = ("shop", 'Ünï "q" shop')

#: Parts by name: what has to be there first, and the statements.
PARTS: dict[str, tuple[tuple[str, ...], str]] = {
    "schemas": (
        (),
        """
CREATE SCHEMA extensions;
GRANT USAGE ON SCHEMA extensions TO PUBLIC;
CREATE SCHEMA elsewhere AUTHORIZATION release_owner;
CREATE SCHEMA shop AUTHORIZATION release_owner;
CREATE SCHEMA "Ünï ""q"" shop" AUTHORIZATION release_owner;
COMMENT ON SCHEMA shop IS 'A shop''s schema';
GRANT USAGE ON SCHEMA shop TO release_reader, release_writer, "release ""Ärger"" b";
ALTER DEFAULT PRIVILEGES FOR ROLE release_owner IN SCHEMA shop GRANT SELECT ON TABLES TO release_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE release_owner IN SCHEMA shop GRANT USAGE ON SEQUENCES TO release_writer;
ALTER DEFAULT PRIVILEGES FOR ROLE release_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
""",
    ),
    "extensions": (
        ("schemas",),
        """
CREATE EXTENSION btree_gist SCHEMA extensions;
CREATE EXTENSION hstore SCHEMA extensions;
""",
    ),
    "enum": (
        ("schemas",),
        """
CREATE TYPE shop.status AS ENUM ('new', 'paid', 'sent', 'it''s "lost"');
COMMENT ON TYPE shop.status IS 'Where an order is';
REVOKE USAGE ON TYPE shop.status FROM PUBLIC;
GRANT USAGE ON TYPE shop.status TO release_writer, release_reader;
""",
    ),
    "domain": (
        ("schemas",),
        """
CREATE DOMAIN shop.amount AS numeric(10, 2) DEFAULT 0 NOT NULL CONSTRAINT positive CHECK (VALUE >= 0);
ALTER DOMAIN shop.amount ADD CONSTRAINT sane CHECK (VALUE < 1000000) NOT VALID;
COMMENT ON CONSTRAINT positive ON DOMAIN shop.amount IS 'nothing is given away';
CREATE DOMAIN shop.code AS text COLLATE "C" CHECK (VALUE ~ '^[A-Z]{3}$');
""",
    ),
    "composite": (("domain",), 'CREATE TYPE shop.price AS (value shop.amount, currency text COLLATE "C");'),
    "range": (
        ("schemas",),
        """
CREATE TYPE shop.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE TYPE elsewhere.kind AS ENUM ('a', 'b');
""",
    ),
    "sequence": (
        ("schemas",),
        """
CREATE SEQUENCE shop.numbers AS int INCREMENT 5 MINVALUE 10 MAXVALUE 1000 START 20 CACHE 3 CYCLE;
GRANT SELECT, USAGE ON SEQUENCE shop.numbers TO release_writer WITH GRANT OPTION;
""",
    ),
    "elsewhere": (
        ("range",),
        """
CREATE TABLE elsewhere.region (id int PRIMARY KEY, name text NOT NULL UNIQUE, kind elsewhere.kind);
CREATE FUNCTION elsewhere.unused() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION elsewhere.used(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
""",
    ),
    "functions": (
        ("enum", "composite"),
        """
CREATE FUNCTION shop.total(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT a + b';
CREATE FUNCTION shop.total(a text) RETURNS text LANGUAGE plpgsql STRICT COST 7 AS $$ BEGIN RETURN a || '%'; END $$;
CREATE FUNCTION shop.total(VARIADIC a numeric[]) RETURNS numeric LANGUAGE sql AS 'SELECT sum(x) FROM unnest(a) AS x';
CREATE FUNCTION shop.total() RETURNS TABLE (n int, s shop.status) LANGUAGE sql ROWS 3
    BEGIN ATOMIC SELECT 1, 'new'::shop.status; END;
CREATE FUNCTION shop.secret(p shop.price, OUT q text, INOUT r int) LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = shop, pg_temp SET work_mem = '8MB' AS $body$ BEGIN q := 'x'; END $body$;
REVOKE ALL ON FUNCTION shop.secret(shop.price, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION shop.secret(shop.price, int) TO release_reader;
CREATE PROCEDURE shop.tidy(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; COMMIT; END $$;
CREATE FUNCTION shop."Weird name; --"("a b" int) RETURNS int LANGUAGE sql AS 'SELECT "a b"';
COMMENT ON FUNCTION shop.total(int, int) IS 'adds';
CREATE FUNCTION shop.touch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE FUNCTION shop.add_up(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + coalesce($2, 0)';
CREATE AGGREGATE shop.summed(int) (SFUNC = shop.add_up, STYPE = int, INITCOND = '0', COMBINEFUNC = shop.add_up, PARALLEL = SAFE);
COMMENT ON AGGREGATE shop.summed(int) IS 'like sum';
""",
    ),
    "customer": (
        ("enum", "domain", "elsewhere", "extensions"),
        """
CREATE TABLE shop.customer (
    id bigint GENERATED ALWAYS AS IDENTITY (START 100 INCREMENT 2) PRIMARY KEY,
    name text COLLATE "C" NOT NULL,
    code shop.code,
    region int REFERENCES elsewhere.region (id) ON DELETE SET NULL,
    attributes extensions.hstore,
    name_upper text GENERATED ALWAYS AS (upper(name)) STORED,
    last_order bigint,
    CONSTRAINT named CHECK (name <> '') NO INHERIT,
    CONSTRAINT customer_code UNIQUE (code) DEFERRABLE INITIALLY DEFERRED
);
ALTER TABLE shop.customer ALTER COLUMN name SET STORAGE EXTERNAL, ALTER COLUMN name SET STATISTICS 500;
ALTER TABLE shop.customer ALTER COLUMN region SET (n_distinct = 12);
CREATE INDEX customer_name ON shop.customer USING btree (lower(name) text_pattern_ops) INCLUDE (id) WITH (fillfactor = 70) WHERE id > 0;
ALTER INDEX shop.customer_name ALTER COLUMN 1 SET STATISTICS 300;
CLUSTER shop.customer USING customer_pkey;
COMMENT ON TABLE shop.customer IS 'Who buys';
COMMENT ON COLUMN shop.customer.name IS 'as written';
COMMENT ON CONSTRAINT named ON shop.customer IS 'no anonymous';
COMMENT ON INDEX shop.customer_name IS 'for the search box';
GRANT SELECT ON shop.customer TO PUBLIC;
GRANT SELECT, INSERT, UPDATE ON shop.customer TO release_writer WITH GRANT OPTION;
GRANT UPDATE (name, code) ON shop.customer TO release_reader;
CREATE STATISTICS shop.customer_stats (ndistinct, dependencies) ON name, region FROM shop.customer;
ALTER STATISTICS shop.customer_stats SET STATISTICS 77;
COMMENT ON STATISTICS shop.customer_stats IS 'together';
""",
    ),
    "orders": (
        ("customer", "range", "functions", "sequence"),
        """
CREATE TABLE shop."order" (
    id bigserial PRIMARY KEY,
    customer bigint NOT NULL CONSTRAINT of_customer REFERENCES shop.customer (id) ON UPDATE CASCADE,
    status shop.status NOT NULL DEFAULT 'new',
    price shop.price,
    number int DEFAULT nextval('shop.numbers'),
    during tstzrange,
    span shop.span,
    "two words" text DEFAULT E'a\\'b\\\\',
    CONSTRAINT one_at_a_time EXCLUDE USING gist (customer WITH =, during WITH &&) WHERE (status <> 'new')
) WITH (fillfactor = 90, autovacuum_enabled = false);
ALTER TABLE shop."order" ADD CONSTRAINT number_sane CHECK (number > 0) NOT VALID;
ALTER TABLE shop.customer ADD CONSTRAINT last_order FOREIGN KEY (last_order) REFERENCES shop."order" (id)
    DEFERRABLE INITIALLY DEFERRED NOT VALID;
ALTER TABLE shop."order" REPLICA IDENTITY FULL;
CREATE TRIGGER touched BEFORE INSERT OR UPDATE OF status ON shop."order" FOR EACH ROW
    WHEN (NEW.status IS DISTINCT FROM 'sent') EXECUTE FUNCTION shop.touch('status', 'b''c');
CREATE CONSTRAINT TRIGGER checked AFTER INSERT ON shop."order" DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    EXECUTE FUNCTION shop.touch();
CREATE TRIGGER "Off" AFTER DELETE ON shop."order" REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION shop.touch();
ALTER TABLE shop."order" DISABLE TRIGGER "Off";
ALTER TABLE shop."order" ENABLE ALWAYS TRIGGER touched;
COMMENT ON TRIGGER touched ON shop."order" IS 'touches';
CREATE RULE no_delete AS ON DELETE TO shop."order" WHERE OLD.status = 'paid' DO INSTEAD NOTHING;
COMMENT ON RULE no_delete ON shop."order" IS 'keep';
ALTER TABLE shop."order" ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON shop."order" AS RESTRICTIVE FOR UPDATE TO release_reader, release_writer
    USING (customer > 0) WITH CHECK (status <> 'sent');
CREATE POLICY "see all" ON shop."order" FOR SELECT USING (true);
COMMENT ON POLICY own ON shop."order" IS 'own only';
""",
    ),
    "sales": (
        ("functions", "schemas"),
        """
CREATE TABLE shop.sale (
    id bigint NOT NULL, day date NOT NULL, region text NOT NULL, amount numeric CHECK (amount >= 0),
    PRIMARY KEY (id, day, region)
) PARTITION BY RANGE (day);
CREATE TABLE shop.sale_2025 PARTITION OF shop.sale FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE shop.sale_2026 PARTITION OF shop.sale FOR VALUES FROM ('2026-01-01') TO ('2027-01-01') PARTITION BY LIST (region);
CREATE TABLE shop.sale_2026_ncr PARTITION OF shop.sale_2026 FOR VALUES IN ('NCR', 'R''03');
CREATE TABLE shop.sale_2026_other PARTITION OF shop.sale_2026 DEFAULT;
CREATE TABLE shop.sale_old (
    id bigint NOT NULL, day date NOT NULL, region text NOT NULL, amount numeric CONSTRAINT sale_amount_check CHECK (amount >= 0)
);
ALTER TABLE shop.sale ATTACH PARTITION shop.sale_old FOR VALUES FROM (MINVALUE) TO ('2025-01-01');
CREATE INDEX sale_amount ON shop.sale (amount);
CREATE TRIGGER sold AFTER INSERT ON shop.sale FOR EACH ROW EXECUTE FUNCTION shop.touch();
ALTER TABLE shop.sale_2025 DISABLE TRIGGER sold;
ALTER TABLE shop.sale_2025 ALTER COLUMN amount SET DEFAULT 1;
GRANT INSERT ON shop.sale TO release_writer;
""",
    ),
    "inheritance": (
        ("schemas",),
        """
CREATE TABLE shop.parent (a int CHECK (a > 0), b text);
CREATE TABLE shop.child (c int, b text) INHERITS (shop.parent);
CREATE UNLOGGED TABLE shop.scratch (id int GENERATED BY DEFAULT AS IDENTITY);
""",
    ),
    "views": (
        ("orders", "sales"),
        """
CREATE VIEW shop.open_orders WITH (security_barrier = true) AS
    SELECT id, status, customer, shop.total(1, 2) AS three FROM shop."order" WHERE status <> 'sent' WITH CASCADED CHECK OPTION;
CREATE VIEW shop.named_orders AS SELECT o.*, c.name FROM shop.open_orders AS o JOIN shop.customer AS c ON c.id = o.customer;
ALTER VIEW shop.named_orders ALTER COLUMN name SET DEFAULT 'nobody';
COMMENT ON VIEW shop.named_orders IS 'with names';
COMMENT ON COLUMN shop.named_orders.name IS 'of the customer';
GRANT SELECT (id, name) ON shop.named_orders TO release_reader WITH GRANT OPTION;
CREATE FUNCTION shop.redirect() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM FROM shop.customer; RETURN NULL; END $$;
CREATE TRIGGER instead INSTEAD OF INSERT ON shop.named_orders FOR EACH ROW EXECUTE FUNCTION shop.redirect();
CREATE MATERIALIZED VIEW shop.by_day WITH (fillfactor = 80) AS
    SELECT day, region, shop.summed(id::int) AS n, elsewhere.used(1) AS two FROM shop.sale GROUP BY day, region;
CREATE UNIQUE INDEX by_day_key ON shop.by_day (day, region);
GRANT SELECT ON shop.by_day TO release_reader;
COMMENT ON MATERIALIZED VIEW shop.by_day IS 'a day';
CREATE MATERIALIZED VIEW shop.empty_view AS SELECT * FROM shop.by_day WITH NO DATA;
""",
    ),
    "quoted": (
        ("schemas",),
        """
CREATE TABLE "Ünï ""q"" shop"."Tâble; DROP" ("cölumn ""x"" y" int PRIMARY KEY, "%s {0}" text DEFAULT '%(x)s {y}');
CREATE VIEW "Ünï ""q"" shop"."Vïew .y" AS SELECT "cölumn ""x"" y" AS "a.b" FROM "Ünï ""q"" shop"."Tâble; DROP";
GRANT SELECT ON "Ünï ""q"" shop"."Tâble; DROP" TO "release ""Ärger"" b" WITH GRANT OPTION;
""",
    ),
}

CRON = builder.SCHEMA / "cron_standin.sql"
JOBS = """
SELECT cron.schedule('by-day', '*/5 * * * *', 'REFRESH MATERIALIZED VIEW shop.by_day'), cron.schedule('0 3 * * *', 'SELECT 1'),
       cron.schedule('off', '@daily', 'CALL shop.tidy(1)');
SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'off'
"""

HISTORY = """
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES
    ('20250101000000', ARRAY['CREATE SCHEMA shop', 'it''s, "quoted"'], 'first'), ('20250201000000', NULL, 'second')
"""


def _create_roles(connection: psycopg.Connection[Any]) -> None:
    """Roles belong to the whole cluster, and databases are built at the same time."""
    for role in ROLES:
        with contextlib.suppress(psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            connection.execute(f"CREATE ROLE {role}".encode())


def order(*, backwards: bool = False) -> list[str]:
    """An order in which every part comes after what it needs; backwards another one that differs wherever it can."""
    left, made = dict(PARTS), list[str]()
    while left:
        ready = [name for name, (needs, _) in left.items() if set(needs) <= set(made)]
        chosen = ready[-1] if backwards else ready[0]
        made.append(chosen)
        del left[chosen]
    return made


def build(dsn: str, *, backwards: bool = False) -> str:
    """Makes all of it in a database, as its owner; returns the dsn."""
    with psycopg.connect(dsn, autocommit=True, options="-c client_min_messages=warning") as connection:
        _create_roles(connection)
        for name in order(backwards=backwards):
            with connection.transaction():
                if name not in ("schemas", "extensions"):
                    connection.execute("SET LOCAL ROLE release_owner")
                connection.execute(PARTS[name][1].encode())
        connection.execute(HISTORY)
        connection.execute(CRON.read_bytes())
        connection.execute("GRANT USAGE ON SCHEMA cron TO release_owner")
        connection.execute("GRANT EXECUTE ON FUNCTION cron.alter_job TO release_owner")
        with connection.transaction():
            connection.execute("SET LOCAL ROLE release_owner")
            connection.execute(JOBS)
    return dsn


def clone(server: Server, template: str, name: str) -> str:
    """A copy of such a database, with its jobs; returns the dsn."""
    dsn = server.create_database(name, template)
    adopt(dsn)
    return dsn


def adopt(dsn: str) -> None:
    """Makes the jobs those of the database they are in."""
    with psycopg.connect(dsn) as connection:
        connection.execute("UPDATE cron.job SET database = current_database()")
