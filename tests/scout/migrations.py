# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes of the schema of release_schema.py, and the objects that each of them makes differ from before.

`+` is added, `-` dropped, `~` changed with the parts of the definition; `old > new` is renamed.
"""

from __future__ import annotations

MIGRATIONS: dict[str, tuple[str, ...]] = {
    "CREATE OR REPLACE FUNCTION shop.total(a int, b int DEFAULT 2) RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT a - b'": (
        "~function:shop.total(integer,integer) (definition)",
    ),
    "DROP FUNCTION shop.total(text); CREATE FUNCTION shop.total(a text) RETURNS bytea LANGUAGE sql AS 'SELECT a::bytea'": (
        "~function:shop.total(text) (definition, result, owner, grants)",
    ),
    "CREATE FUNCTION shop.total(a date) RETURNS date LANGUAGE sql AS 'SELECT a'": ("+function:shop.total(date)",),
    "ALTER FUNCTION shop.secret(shop.price, int) SET search_path = pg_catalog": (
        "~function:shop.secret(shop.price,integer) (definition)",
    ),
    "ALTER FUNCTION shop.secret(shop.price, int) SECURITY INVOKER": (
        "~function:shop.secret(shop.price,integer) (definition)",
    ),
    "ALTER FUNCTION shop.total(int, int) STABLE": ("~function:shop.total(integer,integer) (definition)",),
    'ALTER FUNCTION shop.total(text) RENAME TO "sum"': (
        "function:shop.total(text) > shop.sum(text)",
        "~function:shop.sum(text) (definition)",
    ),
    "ALTER FUNCTION shop.touch() OWNER TO release_writer": ("~function:shop.touch() (owner, grants)",),
    "REVOKE EXECUTE ON FUNCTION shop.secret(shop.price, int) FROM release_reader": (
        "~function:shop.secret(shop.price,integer) (grants)",
    ),
    "GRANT EXECUTE ON PROCEDURE shop.tidy(int) TO release_writer WITH GRANT OPTION": (
        "~function:shop.tidy(integer) (grants)",
    ),
    "COMMENT ON FUNCTION shop.total(text) IS 'joins'": ("~function:shop.total(text) (comment)",),
    "COMMENT ON FUNCTION shop.total(int, int) IS NULL": ("~function:shop.total(integer,integer) (comment)",),
    "DROP PROCEDURE shop.tidy(int)": ("-function:shop.tidy(integer)",),
    "CREATE OR REPLACE AGGREGATE shop.summed(int) (SFUNC = shop.add_up, STYPE = int, INITCOND = '1', "
    "COMBINEFUNC = shop.add_up, PARALLEL = SAFE)": ("~aggregate:shop.summed(integer) (initial)",),
    "ALTER TYPE shop.status ADD VALUE 'back' AFTER 'sent'": ("~enum:shop.status (labels)",),
    "ALTER TYPE shop.status RENAME VALUE 'paid' TO 'settled'": (
        "~enum:shop.status (labels)",
        '~rule:no_delete on shop."order" (definition)',
    ),
    "GRANT USAGE ON TYPE shop.status TO PUBLIC": ("~enum:shop.status (grants)",),
    "ALTER DOMAIN shop.amount RENAME CONSTRAINT sane TO bounded": ("~domain:shop.amount (constraints)",),
    "ALTER DOMAIN shop.amount DROP CONSTRAINT positive": ("~domain:shop.amount (constraints)",),
    "ALTER DOMAIN shop.amount SET DEFAULT 1": ("~domain:shop.amount (default)",),
    "ALTER DOMAIN shop.code SET NOT NULL": ("~domain:shop.code (not_null)",),
    "ALTER TYPE shop.price DROP ATTRIBUTE currency": ("~composite:shop.price (attributes)",),
    "COMMENT ON COLUMN shop.price.currency IS 'ISO'": ("~composite:shop.price (attributes)",),
    "ALTER TYPE shop.price ADD ATTRIBUTE unit text": ("~composite:shop.price (attributes)",),
    "ALTER TYPE shop.span RENAME TO stretch": (
        "range:shop.span > shop.stretch",
        '~column:shop."order".span (type)',
    ),
    "ALTER SEQUENCE shop.numbers INCREMENT 7": ("~sequence:shop.numbers (increment)",),
    'ALTER SEQUENCE shop.numbers OWNED BY shop."order".number': ("~sequence:shop.numbers (owned_by)",),
    "ALTER SEQUENCE shop.order_id_seq OWNED BY NONE": ("~sequence:shop.order_id_seq (owned_by)",),
    "GRANT UPDATE ON SEQUENCE shop.numbers TO release_reader": ("~sequence:shop.numbers (grants)",),
    "ALTER TABLE shop.customer ADD COLUMN email text": ("+column:shop.customer.email",),
    "ALTER TABLE shop.customer DROP COLUMN code": (
        "-column:shop.customer.code",
        "-constraint:customer_code on shop.customer",
    ),
    "ALTER TABLE shop.customer RENAME COLUMN region TO area": (
        "column:shop.customer.region > shop.customer.area",
        "~constraint:customer_region_fkey on shop.customer (definition)",
        "~statistics:shop.customer_stats (definition)",
    ),
    "ALTER TABLE shop.parent ALTER COLUMN b TYPE varchar(9)": (
        "~column:shop.child.b (type)",
        "~column:shop.parent.b (type)",
    ),
    "ALTER TABLE shop.customer ALTER COLUMN name DROP NOT NULL": ("~column:shop.customer.name (not_null)",),
    "ALTER TABLE shop.customer ALTER COLUMN name SET DEFAULT 'x'": ("~column:shop.customer.name (default)",),
    "ALTER TABLE shop.customer ALTER COLUMN name SET STORAGE MAIN": ("~column:shop.customer.name (storage)",),
    "ALTER TABLE shop.customer ALTER COLUMN name SET COMPRESSION pglz": ("~column:shop.customer.name (compression)",),
    "ALTER TABLE shop.customer ALTER COLUMN name SET STATISTICS -1": ("~column:shop.customer.name (statistics)",),
    "ALTER TABLE shop.customer ALTER COLUMN region SET (n_distinct = 13)": ("~column:shop.customer.region (options)",),
    "ALTER TABLE shop.customer ALTER COLUMN id SET GENERATED BY DEFAULT": ("~column:shop.customer.id (identity)",),
    "ALTER TABLE shop.customer ALTER COLUMN id SET INCREMENT BY 3": ("~column:shop.customer.id (identity)",),
    "ALTER TABLE shop.customer ALTER COLUMN id DROP IDENTITY": (
        "~column:shop.customer.id (identity, sequence_grants)",
    ),
    "ALTER TABLE shop.customer ALTER COLUMN name_upper DROP EXPRESSION": (
        "~column:shop.customer.name_upper (generated, generated_how)",
    ),
    "ALTER TABLE shop.customer DROP CONSTRAINT named": ("-constraint:named on shop.customer",),
    "ALTER TABLE shop.customer VALIDATE CONSTRAINT last_order": (
        "~constraint:last_order on shop.customer (definition, validated)",
    ),
    "ALTER TABLE shop.customer ALTER CONSTRAINT last_order NOT DEFERRABLE": (
        "~constraint:last_order on shop.customer (definition)",
    ),
    "ALTER TABLE shop.customer RENAME CONSTRAINT customer_code TO code_once": (
        "constraint:customer_code on shop.customer > code_once on shop.customer",
        "~constraint:code_once on shop.customer (index)",
    ),
    "ALTER TABLE shop.customer SET WITHOUT CLUSTER": ("~constraint:customer_pkey on shop.customer (index)",),
    "ALTER TABLE shop.customer SET (fillfactor = 50)": ("~table:shop.customer (options)",),
    "ALTER TABLE shop.customer SET (toast.autovacuum_enabled = false)": ("~table:shop.customer (toast_options)",),
    "ALTER TABLE shop.customer RENAME TO buyer": (
        "column:shop.customer.attributes > shop.buyer.attributes",
        "column:shop.customer.code > shop.buyer.code",
        "column:shop.customer.id > shop.buyer.id",
        "column:shop.customer.last_order > shop.buyer.last_order",
        "column:shop.customer.name > shop.buyer.name",
        "column:shop.customer.name_upper > shop.buyer.name_upper",
        "column:shop.customer.region > shop.buyer.region",
        "constraint:customer_code on shop.customer > customer_code on shop.buyer",
        "constraint:customer_pkey on shop.customer > customer_pkey on shop.buyer",
        "constraint:customer_region_fkey on shop.customer > customer_region_fkey on shop.buyer",
        "constraint:last_order on shop.customer > last_order on shop.buyer",
        "constraint:named on shop.customer > named on shop.buyer",
        "table:shop.customer > shop.buyer",
        "~constraint:customer_code on shop.buyer (index, table)",
        "~constraint:customer_pkey on shop.buyer (index, table)",
        "~constraint:customer_region_fkey on shop.buyer (table)",
        "~constraint:last_order on shop.buyer (table)",
        "~constraint:named on shop.buyer (table)",
        '~constraint:of_customer on shop."order" (definition)',
        "~index:shop.customer_name (definition, table)",
        "~statistics:shop.customer_stats (definition, table)",
        "~view:shop.named_orders (definition)",
    ),
    "ALTER TABLE shop.customer OWNER TO release_writer": (
        "~column:shop.customer.code (grants)",
        "~column:shop.customer.id (sequence_grants)",
        "~column:shop.customer.name (grants)",
        "~table:shop.customer (owner, grants)",
    ),
    "ALTER TABLE shop.scratch SET LOGGED": (
        "~column:shop.scratch.id (identity)",
        "~table:shop.scratch (unlogged)",
    ),
    "ALTER TABLE shop.scratch SET SCHEMA elsewhere": (
        "-column:shop.scratch.id",
        "-table:shop.scratch",
    ),
    "REVOKE GRANT OPTION FOR UPDATE ON shop.customer FROM release_writer": ("~table:shop.customer (grants)",),
    "REVOKE SELECT ON shop.customer FROM PUBLIC": ("~table:shop.customer (grants)",),
    "GRANT UPDATE (region) ON shop.customer TO release_reader": ("~column:shop.customer.region (grants)",),
    "COMMENT ON COLUMN shop.customer.name IS 'otherwise'": ("~column:shop.customer.name (comment)",),
    "COMMENT ON INDEX shop.customer_pkey IS 'the key'": ("~constraint:customer_pkey on shop.customer (index)",),
    """COMMENT ON CONSTRAINT of_customer ON shop."order" IS 'whose'""": (
        '~constraint:of_customer on shop."order" (comment)',
    ),
    "ALTER INDEX shop.customer_name ALTER COLUMN 1 SET STATISTICS 301": ("~index:shop.customer_name (statistics)",),
    "ALTER INDEX shop.customer_name SET (fillfactor = 71)": ("~index:shop.customer_name (definition)",),
    "DROP INDEX shop.customer_name": ("-index:shop.customer_name",),
    'CREATE INDEX ON shop."order" (status)': ("+index:shop.order_status_idx",),
    "ALTER STATISTICS shop.customer_stats SET STATISTICS 78": ("~statistics:shop.customer_stats (target)",),
    "DROP STATISTICS shop.customer_stats": ("-statistics:shop.customer_stats",),
    'ALTER TABLE shop."order" REPLICA IDENTITY USING INDEX order_pkey': (
        '~constraint:order_pkey on shop."order" (index)',
        '~table:shop."order" (replica_identity)',
    ),
    'ALTER TABLE shop."order" DROP CONSTRAINT one_at_a_time': ('-constraint:one_at_a_time on shop."order"',),
    'ALTER TABLE shop."order" ENABLE TRIGGER "Off"': ('~trigger:"Off" on shop."order" (enabled)',),
    'DROP TRIGGER touched ON shop."order"': ('-trigger:touched on shop."order"',),
    'CREATE OR REPLACE TRIGGER touched BEFORE INSERT ON shop."order" FOR EACH ROW EXECUTE FUNCTION shop.touch()': (
        '~trigger:touched on shop."order" (definition, enabled)',
    ),
    "ALTER TABLE shop.sale_2025 ENABLE TRIGGER sold": ("-trigger:sold on shop.sale_2025",),
    'ALTER TABLE shop."order" DISABLE RULE no_delete': ('~rule:no_delete on shop."order" (enabled)',),
    'DROP RULE no_delete ON shop."order"': ('-rule:no_delete on shop."order"',),
    'ALTER TABLE shop."order" NO FORCE ROW LEVEL SECURITY': ('~table:shop."order" (row_security_forced)',),
    'ALTER TABLE shop."order" DISABLE ROW LEVEL SECURITY': ('~table:shop."order" (row_security)',),
    'ALTER POLICY own ON shop."order" USING (customer > 1)': ('~policy:own on shop."order" (using)',),
    'ALTER POLICY own ON shop."order" TO release_reader': ('~policy:own on shop."order" (roles)',),
    'DROP POLICY "see all" ON shop."order"': ('-policy:"see all" on shop."order"',),
    "ALTER TABLE shop.sale ADD COLUMN note text": (
        "+column:shop.sale.note",
        "+column:shop.sale_2025.note",
        "+column:shop.sale_2026.note",
        "+column:shop.sale_2026_ncr.note",
        "+column:shop.sale_2026_other.note",
        "+column:shop.sale_old.note",
    ),
    "CREATE TABLE shop.sale_2027 PARTITION OF shop.sale FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')": (
        "+column:shop.sale_2027.amount",
        "+column:shop.sale_2027.day",
        "+column:shop.sale_2027.id",
        "+column:shop.sale_2027.region",
        "+constraint:sale_2027_pkey on shop.sale_2027",
        "+index:shop.sale_2027_amount_idx",
        "+table:shop.sale_2027",
    ),
    "ALTER TABLE shop.sale DETACH PARTITION shop.sale_old": (
        "+constraint:sale_amount_check on shop.sale_old",
        "~constraint:sale_old_pkey on shop.sale_old (index)",
        "~index:shop.sale_old_amount_idx (attached_to)",
        "~table:shop.sale_old (partition_of)",
    ),
    "ALTER TABLE shop.sale_2025 ALTER COLUMN amount DROP DEFAULT": ("~column:shop.sale_2025.amount (default)",),
    "ALTER TABLE shop.sale DROP CONSTRAINT sale_amount_check": ("-constraint:sale_amount_check on shop.sale",),
    "DROP TABLE shop.sale_2026_other": (
        "-column:shop.sale_2026_other.amount",
        "-column:shop.sale_2026_other.day",
        "-column:shop.sale_2026_other.id",
        "-column:shop.sale_2026_other.region",
        "-constraint:sale_2026_other_pkey on shop.sale_2026_other",
        "-index:shop.sale_2026_other_amount_idx",
        "-table:shop.sale_2026_other",
    ),
    "ALTER TABLE shop.child NO INHERIT shop.parent": (
        "+constraint:parent_a_check on shop.child",
        "~column:shop.child.a (inherited)",
        "~column:shop.child.b (inherited)",
        "~table:shop.child (inherits)",
    ),
    "ALTER TABLE shop.parent ALTER COLUMN b SET DEFAULT 'p'": (
        "~column:shop.child.b (default)",
        "~column:shop.parent.b (default)",
    ),
    "CREATE OR REPLACE VIEW shop.open_orders WITH (security_barrier = true) AS "
    'SELECT id, status, customer, 3 AS three FROM shop."order" WITH CASCADED CHECK OPTION': (
        "~view:shop.open_orders (definition)",
    ),
    "ALTER VIEW shop.open_orders SET (security_barrier = false)": ("~view:shop.open_orders (options)",),
    "ALTER VIEW shop.named_orders ALTER COLUMN name DROP DEFAULT": ("~view:shop.named_orders (columns)",),
    "ALTER VIEW shop.named_orders RENAME COLUMN name TO who": ("~view:shop.named_orders (columns, definition)",),
    "COMMENT ON COLUMN shop.named_orders.name IS NULL": ("~view:shop.named_orders (columns)",),
    "REVOKE SELECT (id) ON shop.named_orders FROM release_reader": ("~view:shop.named_orders (columns)",),
    "DROP VIEW shop.named_orders": (
        "-trigger:instead on shop.named_orders",
        "-view:shop.named_orders",
    ),
    "DROP INDEX shop.by_day_key": ("-index:shop.by_day_key",),
    "ALTER MATERIALIZED VIEW shop.by_day SET (fillfactor = 81)": ("~materialized_view:shop.by_day (options)",),
    "REVOKE ALL ON shop.by_day FROM release_reader": ("~materialized_view:shop.by_day (grants)",),
    "DROP MATERIALIZED VIEW shop.empty_view": ("-materialized_view:shop.empty_view",),
    "COMMENT ON SCHEMA shop IS 'another'": ("~schema:shop (comment)",),
    "REVOKE USAGE ON SCHEMA shop FROM release_reader": ("~schema:shop (grants)",),
    'ALTER SCHEMA "Ünï ""q"" shop" OWNER TO release_writer': ('~schema:"Ünï ""q"" shop" (owner, grants)',),
    "ALTER DEFAULT PRIVILEGES FOR ROLE release_owner IN SCHEMA shop REVOKE SELECT ON TABLES FROM release_reader": (
        "-default_privileges:for role release_owner in schema shop on tables",
    ),
    "ALTER DEFAULT PRIVILEGES FOR ROLE release_owner GRANT INSERT ON TABLES TO release_writer": (
        "+default_privileges:for role release_owner on tables",
    ),
    "ALTER EXTENSION hstore SET SCHEMA elsewhere": (
        "~column:shop.customer.attributes (type)",
        "~extension:hstore (schema)",
    ),
    "DROP EXTENSION hstore CASCADE": (
        "-column:shop.customer.attributes",
        "-extension:hstore",
    ),
    "CREATE EXTENSION citext SCHEMA extensions": ("+extension:citext",),
    'ALTER TABLE "Ünï ""q"" shop"."Tâble; DROP" RENAME COLUMN "%s {0}" TO "%(y)s"': (
        'column:"Ünï ""q"" shop"."Tâble; DROP"."%s {0}" > "Ünï ""q"" shop"."Tâble; DROP"."%(y)s"',
    ),
    'DROP TABLE "Ünï ""q"" shop"."Tâble; DROP" CASCADE': (
        '-column:"Ünï ""q"" shop"."Tâble; DROP"."%s {0}"',
        '-column:"Ünï ""q"" shop"."Tâble; DROP"."cölumn ""x"" y"',
        '-constraint:"Tâble; DROP_pkey" on "Ünï ""q"" shop"."Tâble; DROP"',
        '-table:"Ünï ""q"" shop"."Tâble; DROP"',
        '-view:"Ünï ""q"" shop"."Vïew .y"',
    ),
    "CREATE OPERATOR shop.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = shop.add_up)": (
        "+operator:shop.===(integer,integer)",
    ),
    "CREATE COLLATION shop.plain (provider = libc, locale = 'C')": ("+collation:shop.plain",),
    "CREATE TEXT SEARCH CONFIGURATION shop.words (PARSER = pg_catalog.default)": (
        "+other:text search configuration shop.words",
    ),
    "CREATE TYPE shop.empty_enum AS ENUM ()": ("+enum:shop.empty_enum",),
    "ALTER TABLE elsewhere.region ADD COLUMN more int": ("+column:elsewhere.region.more",),
    "CREATE OR REPLACE FUNCTION elsewhere.used(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 2'": (
        "~function:elsewhere.used(integer) (definition)",
    ),
    "SELECT cron.schedule('by-day', '*/7 * * * *', 'REFRESH MATERIALIZED VIEW shop.by_day')": (
        "~cron_job:by-day of release_owner (schedule)",
    ),
    "SELECT cron.schedule('another', '*/7 * * * *', 'SELECT 2')": ("+cron_job:another of release_owner",),
    "SELECT cron.alter_job(jobid, active => true) FROM cron.job WHERE jobname = 'off'": (
        "~cron_job:off of release_owner (active)",
    ),
    "SELECT cron.alter_job(jobid, schedule => '1 1 * * *') FROM cron.job WHERE jobname IS NULL": (
        "~cron_job:unnamed e004ebd5b553 of release_owner (schedule)",
    ),
    "SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = 'by-day'": ("-cron_job:by-day of release_owner",),
    "INSERT INTO supabase_migrations.schema_migrations VALUES ('20250301000000', ARRAY['x'], 'third')": (
        "+migration:20250301000000",
    ),
    "DELETE FROM supabase_migrations.schema_migrations WHERE version = '20250201000000'": (
        "-migration:20250201000000",
    ),
    "UPDATE supabase_migrations.schema_migrations SET name = 'renamed' WHERE version = '20250201000000'": (
        "~migration:20250201000000 (name)",
    ),
    "CREATE TABLE shop.typed OF shop.price (PRIMARY KEY (currency))": (
        "+column:shop.typed.currency",
        "+column:shop.typed.value",
        "+constraint:typed_pkey on shop.typed",
        "+table:shop.typed",
    ),
    "ALTER FUNCTION shop.total(int, int) DEPENDS ON EXTENSION hstore": (
        "~function:shop.total(integer,integer) (depends_on_extensions)",
    ),
    "ALTER INDEX shop.customer_name DEPENDS ON EXTENSION hstore": (
        "~index:shop.customer_name (depends_on_extensions)",
    ),
    "ALTER INDEX shop.customer_code DEPENDS ON EXTENSION hstore": (
        "~constraint:customer_code on shop.customer (index)",
    ),
    """ALTER TRIGGER touched ON shop."order" DEPENDS ON EXTENSION hstore""": (
        '~trigger:touched on shop."order" (depends_on_extensions)',
    ),
    "ALTER MATERIALIZED VIEW shop.by_day DEPENDS ON EXTENSION hstore": (
        "~materialized_view:shop.by_day (depends_on_extensions)",
    ),
    "GRANT SELECT ON SEQUENCE shop.customer_id_seq TO release_reader": ("~column:shop.customer.id (sequence_grants)",),
    "COMMENT ON SEQUENCE shop.customer_id_seq IS 'of customers'": ("~column:shop.customer.id (sequence_comment)",),
    "ALTER SEQUENCE shop.customer_id_seq RENAME TO customers": ("~column:shop.customer.id (identity)",),
    "ALTER INDEX shop.sale_amount RENAME TO sale_by_amount": (
        "index:shop.sale_amount > shop.sale_by_amount",
        "~index:shop.sale_2025_amount_idx (attached_to)",
        "~index:shop.sale_2026_amount_idx (attached_to)",
        "~index:shop.sale_by_amount (definition)",
        "~index:shop.sale_old_amount_idx (attached_to)",
    ),
    "ALTER TABLE shop.sale_2025 RENAME TO sale_twenty_five": (
        "column:shop.sale_2025.amount > shop.sale_twenty_five.amount",
        "column:shop.sale_2025.day > shop.sale_twenty_five.day",
        "column:shop.sale_2025.id > shop.sale_twenty_five.id",
        "column:shop.sale_2025.region > shop.sale_twenty_five.region",
        "constraint:sale_2025_pkey on shop.sale_2025 > sale_2025_pkey on shop.sale_twenty_five",
        "table:shop.sale_2025 > shop.sale_twenty_five",
        "trigger:sold on shop.sale_2025 > sold on shop.sale_twenty_five",
        "~constraint:sale_2025_pkey on shop.sale_twenty_five (index, table)",
        "~index:shop.sale_2025_amount_idx (definition, table)",
        "~trigger:sold on shop.sale_twenty_five (definition, relation)",
    ),
    'ALTER TABLE shop."order" DISABLE TRIGGER ALL': (
        "~constraint:last_order on shop.customer (disabled)",
        '~constraint:of_customer on shop."order" (disabled)',
        '~trigger:checked on shop."order" (enabled)',
        '~trigger:touched on shop."order" (enabled)',
    ),
    "ALTER TABLE shop.sale ADD CONSTRAINT to_customer FOREIGN KEY (id) REFERENCES shop.customer (id)": (
        "+constraint:to_customer on shop.sale",
    ),
    "ALTER TABLE shop.scratch ADD COLUMN d date, ADD COLUMN r text; "
    "ALTER TABLE shop.scratch SET LOGGED; "
    "ALTER TABLE shop.scratch ADD CONSTRAINT sold FOREIGN KEY (id, d, r) REFERENCES shop.sale": (
        "+column:shop.scratch.d",
        "+column:shop.scratch.r",
        "+constraint:sold on shop.scratch",
        "~column:shop.scratch.id (identity)",
        "~table:shop.scratch (unlogged)",
    ),
    "CREATE EXTENSION file_fdw; "
    "CREATE SERVER files FOREIGN DATA WRAPPER file_fdw; "
    "CREATE FOREIGN TABLE shop.file (a text OPTIONS (force_null 'true')) SERVER files OPTIONS (filename '/x', format 'csv')": (
        "+column:shop.file.a",
        "+extension:file_fdw",
        "+table:shop.file",
    ),
    "CREATE TABLE shop.more (LIKE shop.customer INCLUDING ALL)": (
        "+column:shop.more.attributes",
        "+column:shop.more.code",
        "+column:shop.more.id",
        "+column:shop.more.last_order",
        "+column:shop.more.name",
        "+column:shop.more.name_upper",
        "+column:shop.more.region",
        "+constraint:more_code_key on shop.more",
        "+constraint:more_pkey on shop.more",
        "+constraint:named on shop.more",
        "+index:shop.more_lower_id_idx",
        "+statistics:shop.more_name_region_stat",
        "+table:shop.more",
    ),
    "ALTER TABLE shop.sale ADD UNIQUE (id, day, region)": (
        "+constraint:sale_2025_id_day_region_key on shop.sale_2025",
        "+constraint:sale_2026_id_day_region_key on shop.sale_2026",
        "+constraint:sale_2026_ncr_id_day_region_key on shop.sale_2026_ncr",
        "+constraint:sale_2026_other_id_day_region_key on shop.sale_2026_other",
        "+constraint:sale_id_day_region_key on shop.sale",
        "+constraint:sale_old_id_day_region_key on shop.sale_old",
    ),
    "ALTER TABLE ONLY shop.parent ADD CONSTRAINT parent_b CHECK (b <> 'x') NO INHERIT": (
        "+constraint:parent_b on shop.parent",
    ),
    "CREATE CAST (shop.price AS text) WITH INOUT": ("+cast:(shop.price AS pg_catalog.text)",),
    "CREATE SEQUENCE shop.fresh; ALTER SEQUENCE shop.fresh OWNER TO release_writer": ("+sequence:shop.fresh",),
    "ALTER TABLE shop.customer ALTER COLUMN region SET DEFAULT elsewhere.used(3)": (
        "~column:shop.customer.region (default)",
    ),
    "ALTER TABLE shop.customer CLUSTER ON customer_code": (
        "~constraint:customer_code on shop.customer (index)",
        "~constraint:customer_pkey on shop.customer (index)",
    ),
    "CREATE TRIGGER truncated BEFORE TRUNCATE ON shop.customer EXECUTE FUNCTION shop.touch()": (
        "+trigger:truncated on shop.customer",
    ),
    "CREATE INDEX CONCURRENTLY code_idx ON shop.customer (code) TABLESPACE pg_default": ("+index:shop.code_idx",),
}

#: What is no part of the release.
UNSEEN = (
    "REFRESH MATERIALIZED VIEW shop.empty_view",
    "CREATE FUNCTION elsewhere.more() RETURNS int LANGUAGE sql AS 'SELECT 2'",
    "CREATE VIEW elsewhere.over AS SELECT * FROM shop.open_orders",
    "INSERT INTO shop.scratch VALUES (1)",
    "SELECT nextval('shop.numbers')",
    "ANALYZE shop.customer",
)
