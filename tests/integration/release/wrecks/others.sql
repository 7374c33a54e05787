-- What a release did to views, code, rights and what a database has besides. How to read it: wrecks.py.

-- wreck: a view is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE VIEW w.v AS SELECT a FROM w.t WHERE id > 0; CREATE VIEW w.vv AS SELECT * FROM w.v; GRANT SELECT ON w.v TO dashboard_reader;
-- release:
DROP VIEW w.v CASCADE;

-- wreck: a view is replaced by one with more columns
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE VIEW w.v AS SELECT a FROM w.t; CREATE VIEW w.vv AS SELECT a FROM w.v; COMMENT ON VIEW w.v IS 'v';
-- release:
CREATE OR REPLACE VIEW w.v WITH (security_invoker = true) AS SELECT a, id FROM w.t; GRANT SELECT (id) ON w.v TO edge_ingest;

-- wreck: a view is added, and one that depends on it
CREATE TABLE w.t (id int PRIMARY KEY, a text);
-- release:
CREATE VIEW w.v AS SELECT count(*) AS n FROM w.t; CREATE VIEW w.vv WITH (security_barrier = true) AS SELECT n FROM w.v WHERE n > 0;

-- wreck: a view becomes a table
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE VIEW w.v AS SELECT id, a FROM w.t;
-- release:
DROP VIEW w.v; CREATE TABLE w.v (id int PRIMARY KEY, a text); INSERT INTO w.v VALUES (5, 'y');

-- wreck: a recursive view has another name for a column
CREATE RECURSIVE VIEW w.v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 5;
-- release:
ALTER VIEW w.v RENAME COLUMN n TO m;

-- wreck: a view gets a default and a rule
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE VIEW w.v AS SELECT id, a FROM w.t;
-- release:
ALTER VIEW w.v ALTER a SET DEFAULT 'x'; CREATE RULE ins AS ON INSERT TO w.v DO INSTEAD INSERT INTO w.t VALUES (NEW.id, NEW.a);

-- wreck: a materialized view is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t; CREATE UNIQUE INDEX m_id ON w.m (id);
-- release:
DROP MATERIALIZED VIEW w.m;

-- wreck: a materialized view is of another query
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t; CREATE UNIQUE INDEX m_id ON w.m (id); CREATE VIEW w.v AS SELECT a FROM w.m;
-- release:
DROP MATERIALIZED VIEW w.m CASCADE; CREATE MATERIALIZED VIEW w.m AS SELECT id, upper(a) AS a FROM w.t; CREATE VIEW w.v AS SELECT a FROM w.m;

-- wreck: a materialized view that was not populated is refreshed
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t WITH NO DATA;
-- release:
REFRESH MATERIALIZED VIEW w.m;
-- unchanged:

-- wreck: a materialized view that was not populated is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t WITH NO DATA;
-- release:
DROP MATERIALIZED VIEW w.m;

-- wreck: a materialized view is emptied
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t;
-- release:
REFRESH MATERIALIZED VIEW w.m WITH NO DATA;
-- unchanged:

-- wreck: a materialized view is added
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
-- release:
CREATE MATERIALIZED VIEW w.m AS SELECT id, a FROM w.t; CREATE INDEX m_a ON w.m (a);

-- wreck: a function has another body
CREATE FUNCTION w.f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1'; GRANT EXECUTE ON FUNCTION w.f(int) TO dashboard_reader;
-- release:
CREATE OR REPLACE FUNCTION w.f(a int) RETURNS int LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = w AS $$ BEGIN RETURN 0; END $$;

-- wreck: a function has other arguments and another result
CREATE FUNCTION w.f(a int) RETURNS int LANGUAGE sql AS 'SELECT a + 1'; CREATE VIEW w.v AS SELECT w.f(1) AS one;
-- release:
DROP FUNCTION w.f(int) CASCADE; CREATE FUNCTION w.f(a int, b int DEFAULT 2) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;

-- wreck: the arguments of a function have other names
CREATE FUNCTION w.f(a int, OUT b int, OUT c text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;
-- release:
DROP FUNCTION w.f(int); CREATE FUNCTION w.f(z int, OUT bb int, OUT cc text) LANGUAGE sql AS $$ SELECT 1, 'x' $$;

-- wreck: a function that a check, a default and an index call is another
CREATE FUNCTION w.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'; CREATE TABLE w.t (id int PRIMARY KEY, a int DEFAULT w.f(1) CHECK (w.f(a) > 0)); CREATE INDEX t_f ON w.t (w.f(a)); INSERT INTO w.t VALUES (1);
-- release:
CREATE OR REPLACE FUNCTION w.f(int) RETURNS int LANGUAGE sql IMMUTABLE COST 5 AS 'SELECT $1 + 2';

-- wreck: a function is renamed
CREATE FUNCTION w.f(int) RETURNS int LANGUAGE sql AS 'SELECT $1'; CREATE VIEW w.v AS SELECT w.f(1) AS one;
-- release:
ALTER FUNCTION w.f(int) RENAME TO ff;

-- wreck: a procedure is dropped and one is added
CREATE PROCEDURE w.p(INOUT n int) LANGUAGE plpgsql AS $$ BEGIN n := n + 1; COMMIT; END $$; COMMENT ON PROCEDURE w.p IS 'p';
-- release:
DROP PROCEDURE w.p; CREATE PROCEDURE w.q() LANGUAGE sql AS 'SELECT 1';

-- wreck: a function becomes a procedure
CREATE FUNCTION w.f(a int) RETURNS void LANGUAGE sql AS 'SELECT';
-- release:
DROP FUNCTION w.f(int); CREATE PROCEDURE w.f(a int) LANGUAGE sql AS 'SELECT';

-- wreck: an aggregate is another
CREATE FUNCTION w.plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2'; CREATE AGGREGATE w.total(int) (SFUNC = w.plus, STYPE = int, INITCOND = '0'); CREATE VIEW w.v AS SELECT w.total(n) AS n FROM generate_series(1, 3) AS n;
-- release:
DROP AGGREGATE w.total(int) CASCADE; CREATE AGGREGATE w.total(int) (SFUNC = w.plus, STYPE = int, INITCOND = '5');

-- wreck: an operator is dropped
CREATE FUNCTION w.plus(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + $2'; CREATE OPERATOR w.|+| (FUNCTION = w.plus, LEFTARG = int, RIGHTARG = int);
-- release:
DROP OPERATOR w.|+| (int, int);

-- wreck: a trigger is dropped, another is disabled, a third is added
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE FUNCTION w.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER one BEFORE INSERT ON w.t FOR EACH ROW EXECUTE FUNCTION w.f(); CREATE TRIGGER two AFTER UPDATE OF a ON w.t FOR EACH ROW WHEN (NEW.a <> 'y') EXECUTE FUNCTION w.f();
-- release:
DROP TRIGGER one ON w.t; ALTER TABLE w.t DISABLE TRIGGER two; CREATE TRIGGER three AFTER INSERT ON w.t REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION w.f('arg');

-- wreck: a trigger that changes what is written is added with a column
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = 1; CREATE FUNCTION w.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.b := 99; RETURN NEW; END';
CREATE TRIGGER one BEFORE INSERT OR UPDATE ON w.t FOR EACH ROW EXECUTE FUNCTION w.f();

-- wreck: a rule that swallows what is written is added with a column
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = 1; CREATE RULE no AS ON UPDATE TO w.t DO INSTEAD NOTHING;

-- wreck: a rule is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE RULE no AS ON DELETE TO w.t DO INSTEAD NOTHING;
-- release:
DROP RULE no ON w.t;

-- wreck: row security is switched on, with policies
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY mine ON w.t FOR SELECT TO dashboard_reader USING (a = current_user);

-- wreck: row security is switched off, and a policy dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); ALTER TABLE w.t ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON w.t AS RESTRICTIVE FOR UPDATE TO dashboard_reader USING (a = 'x') WITH CHECK (a <> 'y'); CREATE POLICY other ON w.t USING (true);
-- release:
DROP POLICY mine ON w.t; ALTER POLICY other ON w.t TO edge_ingest USING (id > 1); ALTER TABLE w.t DISABLE ROW LEVEL SECURITY;

-- wreck: a sequence is dropped
CREATE SEQUENCE w.s INCREMENT 5 MINVALUE 10 MAXVALUE 1000 START 20 CACHE 3 CYCLE; GRANT USAGE ON SEQUENCE w.s TO edge_ingest;
-- release:
DROP SEQUENCE w.s;

-- wreck: a sequence counts otherwise
CREATE SEQUENCE w.s; SELECT nextval('w.s');
-- release:
ALTER SEQUENCE w.s INCREMENT 10 CACHE 7 MAXVALUE 5000 CYCLE;

-- wreck: a sequence is added and has counted
CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
CREATE SEQUENCE w.s; SELECT nextval('w.s'), nextval('w.s'); CREATE SEQUENCE w.o OWNED BY w.t.id;

-- wreck: a sequence is renamed and belongs to another column
CREATE TABLE w.t (id serial PRIMARY KEY, b int); INSERT INTO w.t DEFAULT VALUES;
-- release:
ALTER SEQUENCE w.t_id_seq RENAME TO counted; ALTER SEQUENCE w.counted OWNED BY w.t.b;

-- wreck: grants and owner of the schema
CREATE TABLE w.t (id int PRIMARY KEY); GRANT USAGE ON SCHEMA w TO dashboard_reader;
-- release:
REVOKE ALL ON SCHEMA w FROM dashboard_reader; GRANT USAGE, CREATE ON SCHEMA w TO edge_ingest; COMMENT ON SCHEMA w IS 'the new one';

-- wreck: default privileges
ALTER DEFAULT PRIVILEGES IN SCHEMA w GRANT SELECT ON TABLES TO dashboard_reader; CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
ALTER DEFAULT PRIVILEGES IN SCHEMA w REVOKE SELECT ON TABLES FROM dashboard_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA w GRANT EXECUTE ON FUNCTIONS TO edge_ingest; CREATE TABLE w.n (id int PRIMARY KEY); INSERT INTO w.n VALUES (1);

-- wreck: default privileges grant what is made on the way back
CREATE TABLE w.t (id int PRIMARY KEY); CREATE VIEW w.v AS SELECT id FROM w.t; CREATE FUNCTION w.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
-- release:
DROP VIEW w.v; DROP FUNCTION w.f(); ALTER DEFAULT PRIVILEGES IN SCHEMA w GRANT ALL ON TABLES TO dashboard_reader; ALTER DEFAULT PRIVILEGES IN SCHEMA w GRANT EXECUTE ON FUNCTIONS TO dashboard_reader;

-- wreck: the schema is dropped
CREATE TABLE w.t (id int PRIMARY KEY); CREATE VIEW w.v AS SELECT id FROM w.t;
-- release:
RESET ROLE; DROP SCHEMA w CASCADE;
-- lossy: table w\.t

-- wreck: the schema is renamed
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1); CREATE VIEW w.v AS SELECT id FROM w.t; CREATE FUNCTION w.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
-- release:
RESET ROLE; ALTER SCHEMA w RENAME TO w_renamed;
-- impossible: w_renamed

-- wreck: a published table is renamed
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); RESET ROLE; CREATE PUBLICATION w_realtime FOR TABLE w.t;
-- release:
ALTER TABLE w.t RENAME TO tt;
-- rehearsed:

-- wreck: a published table is dropped
-- protect: w.t
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); RESET ROLE; CREATE PUBLICATION w_realtime FOR TABLE w.t (id) WHERE (id > 0);
-- release:
DROP TABLE w.t;
-- rehearsed:

-- wreck: a table is published, and another no more
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE TABLE w.o (id int PRIMARY KEY); RESET ROLE; CREATE PUBLICATION w_realtime FOR TABLE w.t;
-- release:
RESET ROLE; CREATE TABLE w.n (id int PRIMARY KEY); INSERT INTO w.n VALUES (1); ALTER PUBLICATION w_realtime SET TABLE w.o, w.n;
-- rehearsed:

-- wreck: a column is added to a published table
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); RESET ROLE; CREATE PUBLICATION w_realtime FOR TABLE w.t;
-- release:
ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = 5; ALTER TABLE w.t ALTER a TYPE varchar(20);
-- rehearsed:

-- wreck: an extension is dropped
RESET ROLE; CREATE EXTENSION pg_trgm SCHEMA w; CREATE TABLE w.t (id int PRIMARY KEY, a text); ALTER TABLE w.t OWNER TO loader; CREATE INDEX t_a ON w.t USING gin (a w.gin_trgm_ops);
-- release:
RESET ROLE; DROP EXTENSION pg_trgm CASCADE;

-- wreck: an extension is added, and a column of its type
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1);
-- release:
RESET ROLE; CREATE EXTENSION hstore SCHEMA w; ALTER TABLE w.t ADD COLUMN h w.hstore; UPDATE w.t SET h = 'a=>1, "b c"=>NULL';

-- wreck: jobs are changed, added and gone
CREATE TABLE w.t (id int PRIMARY KEY); SELECT cron.schedule('w one', '*/5 * * * *', 'SELECT 1'), cron.schedule('w two', '@daily', 'SELECT 2');
-- release:
SELECT cron.alter_job(jobid, schedule => '*/7 * * * *', active => false) FROM cron.job WHERE jobname = 'w one'; SELECT cron.unschedule('w two'); SELECT cron.schedule('w three', '* * * * *', 'SELECT 3');

-- wreck: the etl ledger is renamed
-- alone: scout
-- release:
ALTER TABLE scout.etl_processed RENAME TO etl_done;

-- wreck: the dead-letter queue is renamed
-- alone: scout
-- release:
ALTER TABLE scout.bronze_events_dlq RENAME TO dead_letters;

-- wreck: the etl ledger is dropped
-- alone: scout
-- release:
DROP TABLE scout.etl_processed CASCADE;
-- lossy: table scout\.etl_processed

-- wreck: the dead-letter queue is dropped
-- alone: scout
-- release:
DROP TABLE scout.bronze_events_dlq CASCADE;
-- lossy: table scout\.bronze_events_dlq

-- wreck: the etl ledger has a column more and another key
-- alone: scout
-- release:
ALTER TABLE scout.etl_processed ADD COLUMN worker text DEFAULT 'w1'; UPDATE scout.etl_processed SET worker = 'w' || event_id::text;

-- wreck: the loader is another function
-- alone: scout
-- release:
DROP FUNCTION scout.load_silver_from_bronze(int); CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 500) RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END';

-- wreck: an event trigger of the release
CREATE FUNCTION w.log() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
RESET ROLE; CREATE EVENT TRIGGER w_log ON ddl_command_end EXECUTE FUNCTION w.log();
-- impossible: event trigger w_log

-- wreck: a view of somebody else stands on what the release added
CREATE TABLE w.t (id int PRIMARY KEY); RESET ROLE; CREATE SCHEMA w_reports;
-- release:
CREATE TABLE w.n (id int PRIMARY KEY); INSERT INTO w.n VALUES (1); RESET ROLE; CREATE VIEW w_reports.r AS SELECT id FROM w.n;
-- refused: w_reports\.r

-- wreck: a view of somebody else stands on a column of the release
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 2); RESET ROLE; CREATE SCHEMA w_reports;
-- release:
ALTER TABLE w.t ADD COLUMN b int; RESET ROLE; CREATE VIEW w_reports.r AS SELECT b FROM w.t;
-- refused: w_reports\.r

-- wreck: an operator class and a cast are added
-- alone:
CREATE TYPE w.p AS (x int); CREATE FUNCTION w.to_p(int) RETURNS w.p LANGUAGE sql IMMUTABLE AS 'SELECT ROW($1)::w.p';
-- release:
CREATE CAST (int AS w.p) WITH FUNCTION w.to_p(int);

-- wreck: a forced policy hides the rows of a column that is added
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
-- release:
ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = id; ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);

-- wreck: a forced policy hides the rows of a table that a column leaves and another joins
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y'); ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);
-- protect: w.t
-- release:
ALTER TABLE w.t NO FORCE ROW LEVEL SECURITY; ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = id; ALTER TABLE w.t DROP COLUMN a; ALTER TABLE w.t FORCE ROW LEVEL SECURITY;

-- wreck: a table whose rows a forced policy refuses is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y'); ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);

-- wreck: a partitioned table whose rows a forced policy refuses is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (id int, a text) PARTITION BY LIST (id); CREATE TABLE w.t1 PARTITION OF w.t DEFAULT; INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);
ALTER TABLE w.t1 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t1 USING (false);

-- wreck: a forced policy hides the rows of a table of which the type of a column is other
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 5), (2, 6); ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);
-- release:
ALTER TABLE w.t ALTER a TYPE numeric USING a + 0.5;
-- rows: a

-- wreck: a forced policy hides the rows of a table that is copied for the order of its columns
CREATE TABLE w.t (id int PRIMARY KEY, a text, b int); INSERT INTO w.t VALUES (1, 'x', 2), (2, 'y', 3); ALTER TABLE w.t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY none ON w.t USING (false);
-- protect: w.t.a
-- told: column_order=exact
-- release:
ALTER TABLE w.t DROP COLUMN a;

-- wreck: a table with a trigger and a rule that swallow what is written is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE FUNCTION w.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER one BEFORE INSERT OR UPDATE ON w.t FOR EACH ROW EXECUTE FUNCTION w.f(); CREATE RULE no AS ON INSERT TO w.t DO INSTEAD NOTHING;

-- wreck: a table with a check that calls a function of its rows is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (id int PRIMARY KEY, a text); CREATE FUNCTION w.f(w.t) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1.id > 0';
ALTER TABLE w.t ADD CONSTRAINT fine CHECK (w.f(t.*)); INSERT INTO w.t VALUES (1, 'x');

-- wreck: a table with a policy and a statistics object that call functions is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE FUNCTION w.f(int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT $1 > 0'; CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
ALTER TABLE w.t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON w.t USING (w.f(id)); CREATE STATISTICS w.more ON w.f(id), a FROM w.t; CREATE INDEX t_f ON w.t (w.f(id));

-- wreck: a foreign table is dropped
RESET ROLE; CREATE FOREIGN DATA WRAPPER w_none; CREATE SERVER w_far FOREIGN DATA WRAPPER w_none OPTIONS (host 'far'); CREATE FOREIGN TABLE w.f (id int OPTIONS (name 'i')) SERVER w_far OPTIONS (name 'g');
-- release:
RESET ROLE; DROP FOREIGN TABLE w.f;
-- impossible: foreign table w\.f differs, and foreign tables are not restored

-- wreck: a foreign table gets a column, and is not read to see
RESET ROLE; CREATE FOREIGN DATA WRAPPER w_none; CREATE SERVER w_far FOREIGN DATA WRAPPER w_none OPTIONS (host 'far'); CREATE FOREIGN TABLE w.f (id int OPTIONS (name 'i')) SERVER w_far OPTIONS (name 'g');
-- release:
RESET ROLE; ALTER FOREIGN TABLE w.f ADD COLUMN a text OPTIONS (name 'a');
-- impossible: foreign table w\.f differs, and foreign tables are not restored

-- wreck: a materialized view of a view is dropped with it
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE VIEW w.v AS SELECT id, a, count(*) AS n FROM w.t GROUP BY id; CREATE MATERIALIZED VIEW w.m AS SELECT * FROM w.v;
-- release:
ALTER TABLE w.t DROP CONSTRAINT t_pkey CASCADE;

-- wreck: a text search configuration has another mapping
CREATE TEXT SEARCH CONFIGURATION w.c (COPY = pg_catalog.simple);
-- release:
ALTER TEXT SEARCH CONFIGURATION w.c ALTER MAPPING FOR asciiword WITH english_stem;
-- impossible: other text search configuration w\.c cannot be restored: a different definition

-- wreck: a text search dictionary has another option
CREATE TEXT SEARCH DICTIONARY w.d (TEMPLATE = pg_catalog.simple, STOPWORDS = english);
-- release:
ALTER TEXT SEARCH DICTIONARY w.d (ACCEPT = false);
-- impossible: other text search dictionary w\.d cannot be restored: a different definition

-- wreck: an operator family has another member
RESET ROLE; CREATE FUNCTION w.cmp(int, text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE OPERATOR FAMILY w.f USING btree;
-- release:
RESET ROLE; ALTER OPERATOR FAMILY w.f USING btree ADD FUNCTION 1 w.cmp(int, text);
-- impossible: other operator family w\.f USING btree cannot be restored: a different definition

-- wreck: an event trigger of the release is disabled
RESET ROLE; CREATE FUNCTION w.e() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER w_seen ON ddl_command_end WHEN TAG IN ('CREATE SERVER') EXECUTE FUNCTION w.e();
-- release:
RESET ROLE; ALTER EVENT TRIGGER w_seen DISABLE;
-- impossible: other event trigger w_seen cannot be restored: a different definition

-- wreck: a sequence stands where it could not when it was captured
CREATE SEQUENCE w.s AS smallint; CREATE TABLE w.t (id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 9) PRIMARY KEY);
-- release:
ALTER SEQUENCE w.s AS bigint MAXVALUE 1000000; SELECT setval('w.s', 100000);
ALTER TABLE w.t ALTER id SET MAXVALUE 1000; SELECT setval('w.t_id_seq', 500);
-- refused: sequence w\.s stands at 100,000, and may go from 1 to 32767 in the capture
