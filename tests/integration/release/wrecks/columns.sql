-- What a release did to columns. How to read it: wrecks.py.

-- wreck: a column is added
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, NULL);
-- release:
ALTER TABLE w.t ADD COLUMN b int DEFAULT 7; UPDATE w.t SET b = NULL WHERE id = 1;

-- wreck: a column with a value of its own in each row is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t SELECT generate_series(1, 20);
-- release:
ALTER TABLE w.t ADD COLUMN b numeric(12, 4); UPDATE w.t SET b = id / 3.0;

-- wreck: a column of every type that is hard to write is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1), (2);
-- release:
ALTER TABLE w.t ADD j jsonb DEFAULT '{"a": [1, null, "ü"]}', ADD b bytea DEFAULT '\x00ff5c27', ADD i interval DEFAULT '1 mon -3 days 00:00:01.5',
    ADD f float8 DEFAULT 'NaN', ADD r tstzrange DEFAULT '[2026-01-01 00:00+00,)', ADD x text[] DEFAULT '{NULL,"NULL","a,b","{}"}',
    ADD p point DEFAULT '(1.5,-2)', ADD u uuid DEFAULT '00000000-0000-0000-0000-000000000001', ADD c char(5) DEFAULT 'ab', ADD v bit varying(9) DEFAULT B'101';

-- wreck: a column is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text, b int); INSERT INTO w.t VALUES (1, 'x', 5), (2, NULL, 6);
-- release:
ALTER TABLE w.t DROP COLUMN b;
-- lossy: column w\.t\.b[^:;]*: would be recreated without its data

-- wreck: a protected column in the middle is dropped
-- protect: w.t.a
CREATE TABLE w.t (id int PRIMARY KEY, a text, b int); INSERT INTO w.t VALUES (1, 'x', 5), (2, NULL, 6);
-- release:
ALTER TABLE w.t DROP COLUMN a;

-- wreck: a protected column that must have a value is dropped and rows come
-- protect: w.t.b
CREATE TABLE w.t (id int PRIMARY KEY, b int NOT NULL); INSERT INTO w.t VALUES (1, 5), (2, 6);
-- release:
ALTER TABLE w.t DROP COLUMN b; INSERT INTO w.t VALUES (3);
-- impossible: column w\.t\.b must have a value in every row

-- wreck: a column is renamed
CREATE TABLE w.t (id int PRIMARY KEY, a text NOT NULL DEFAULT 'x', b int, CHECK (a <> '')); INSERT INTO w.t VALUES (1, 'x', 5);
CREATE INDEX t_a ON w.t (a); CREATE VIEW w.v AS SELECT a FROM w.t;
-- release:
ALTER TABLE w.t RENAME a TO aa;

-- wreck: two columns swap their names
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int); INSERT INTO w.t VALUES (1, 10, 20);
-- release:
ALTER TABLE w.t RENAME a TO x; ALTER TABLE w.t RENAME b TO a; ALTER TABLE w.t RENAME x TO b;

-- wreck: a column gets a wider type
CREATE TABLE w.t (id int PRIMARY KEY, a int, v varchar(10)); INSERT INTO w.t VALUES (1, 10, 'x'), (2, NULL, NULL);
CREATE VIEW w.v AS SELECT a, v FROM w.t;
-- release:
DROP VIEW w.v; ALTER TABLE w.t ALTER a TYPE bigint, ALTER v TYPE text; CREATE VIEW w.v AS SELECT a, v FROM w.t;

-- wreck: a wider type holds what the narrower one cannot
CREATE TABLE w.t (id int PRIMARY KEY, v varchar(3)); INSERT INTO w.t VALUES (1, 'abc');
-- release:
ALTER TABLE w.t ALTER v TYPE text; UPDATE w.t SET v = 'abcdef';
-- rows: v

-- wreck: numbers are rounded by the release
CREATE TABLE w.t (id int PRIMARY KEY, n numeric(10, 2)); INSERT INTO w.t VALUES (1, 1.25), (2, 2.50);
-- release:
ALTER TABLE w.t ALTER n TYPE numeric; UPDATE w.t SET n = n / 3;
-- rows: n

-- wreck: a column becomes text
CREATE TABLE w.t (id int PRIMARY KEY, n int DEFAULT 3); INSERT INTO w.t VALUES (1, 5), (2, NULL);
-- release:
ALTER TABLE w.t ALTER n DROP DEFAULT, ALTER n TYPE text, ALTER n SET DEFAULT '3';

-- wreck: a text is no number any more
CREATE TABLE w.t (id int PRIMARY KEY, n int); INSERT INTO w.t VALUES (1, 5), (2, NULL);
-- release:
ALTER TABLE w.t ALTER n TYPE text; UPDATE w.t SET n = 'five' WHERE id = 1;
-- refused: no integer.* w\.t\.n

-- wreck: a number is too large for the captured type
CREATE TABLE w.t (id int PRIMARY KEY, n int); INSERT INTO w.t VALUES (1, 5);
-- release:
ALTER TABLE w.t ALTER n TYPE bigint; UPDATE w.t SET n = 3000000000;
-- refused: no integer.* w\.t\.n

-- wreck: a default is added, another is changed, a third is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a int, b text DEFAULT 'b', c timestamptz DEFAULT now()); INSERT INTO w.t VALUES (1);
-- release:
ALTER TABLE w.t ALTER a SET DEFAULT 4, ALTER b SET DEFAULT 'other', ALTER c DROP DEFAULT;

-- wreck: NOT NULL is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a int NOT NULL); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t ALTER a DROP NOT NULL;

-- wreck: NOT NULL is dropped and NULL is written
CREATE TABLE w.t (id int PRIMARY KEY, a int NOT NULL); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t ALTER a DROP NOT NULL; INSERT INTO w.t VALUES (2, NULL);
-- refused: w\.t: 1 row without the value.* w\.t\.a

-- wreck: NOT NULL is set
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t ALTER a SET NOT NULL;

-- wreck: storage, compression, statistics and options of columns
CREATE TABLE w.t (id int PRIMARY KEY, a text, b text); INSERT INTO w.t VALUES (1, repeat('x', 9000), 'y');
-- release:
ALTER TABLE w.t ALTER a SET STORAGE EXTERNAL, ALTER a SET STATISTICS 7, ALTER b SET (n_distinct = 5), ALTER b SET COMPRESSION pglz;

-- wreck: a serial key loses its default and its sequence
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t ALTER id DROP DEFAULT; DROP SEQUENCE w.t_id_seq;

-- wreck: a serial key becomes bigserial
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t ALTER id TYPE bigint; ALTER SEQUENCE w.t_id_seq AS bigint MAXVALUE 9223372036854775807;

-- wreck: a serial key becomes an identity
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t ALTER id DROP DEFAULT; DROP SEQUENCE w.t_id_seq; ALTER TABLE w.t ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (RESTART 10);

-- wreck: an identity is added to a column with values
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
-- release:
ALTER TABLE w.t ALTER id ADD GENERATED ALWAYS AS IDENTITY (START 3); INSERT INTO w.t (a) VALUES ('z');
-- rows:

-- wreck: an identity is dropped
CREATE TABLE w.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t ALTER id DROP IDENTITY;

-- wreck: an identity is of the other kind and counts otherwise
CREATE TABLE w.t (id bigint GENERATED ALWAYS AS IDENTITY (INCREMENT 2 CACHE 5) PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t ALTER id SET GENERATED BY DEFAULT, ALTER id SET INCREMENT 1, ALTER id SET CACHE 1;

-- wreck: an identity column is added
CREATE TABLE w.t (a int PRIMARY KEY); INSERT INTO w.t VALUES (5), (6);
-- release:
ALTER TABLE w.t ADD COLUMN n bigint GENERATED ALWAYS AS IDENTITY (START 50); INSERT INTO w.t (a) VALUES (7);
-- rows:

-- wreck: a generated column is added
CREATE TABLE w.t (a int PRIMARY KEY, b int); INSERT INTO w.t VALUES (5, 1), (6, 2);
-- release:
ALTER TABLE w.t ADD COLUMN g int GENERATED ALWAYS AS (b * 2) STORED;

-- wreck: a generated column is dropped
CREATE TABLE w.t (a int PRIMARY KEY, b int, g int GENERATED ALWAYS AS (b * 2) STORED); INSERT INTO w.t (a, b) VALUES (5, 1), (6, 2);
-- release:
ALTER TABLE w.t DROP COLUMN g;

-- wreck: the last column, generated, becomes an ordinary one with other values
CREATE TABLE w.t (a int PRIMARY KEY, b int, g int GENERATED ALWAYS AS (b * 2) STORED); INSERT INTO w.t (a, b) VALUES (5, 1), (6, 2);
-- release:
ALTER TABLE w.t ALTER g DROP EXPRESSION; UPDATE w.t SET g = 99 WHERE a = 5;
-- rows: g

-- wreck: a generated column gets another expression
CREATE TABLE w.t (a int PRIMARY KEY, g int GENERATED ALWAYS AS (b * 2) STORED, b int); INSERT INTO w.t (a, b) VALUES (5, 1), (6, 2);
-- release:
ALTER TABLE w.t DROP COLUMN g; ALTER TABLE w.t ADD COLUMN g int GENERATED ALWAYS AS (b * 3) STORED;

-- wreck: an array column is added and another gets another element
CREATE TABLE w.t (a int PRIMARY KEY, n int[]); INSERT INTO w.t VALUES (1, '{1,2,NULL}'), (2, '{}');
-- release:
ALTER TABLE w.t ADD COLUMN x text[]; UPDATE w.t SET x = ARRAY['a"b', 'c\d', NULL]; ALTER TABLE w.t ALTER n TYPE bigint[];

-- wreck: a column gets another collation
CREATE TABLE w.t (a int PRIMARY KEY, v text COLLATE "C"); INSERT INTO w.t VALUES (1, 'b'), (2, 'A'); CREATE INDEX t_v ON w.t (v);
-- release:
ALTER TABLE w.t ALTER v TYPE text COLLATE "POSIX";

-- wreck: a column is dropped and added again under its name
CREATE TABLE w.t (a int PRIMARY KEY, v text); INSERT INTO w.t VALUES (1, 'b'), (2, 'A');
-- release:
ALTER TABLE w.t DROP COLUMN v; ALTER TABLE w.t ADD COLUMN v text; UPDATE w.t SET v = 'new';
-- unchanged:

-- wreck: a protected column is dropped and added again under its name
-- protect: w.t.v
CREATE TABLE w.t (a int PRIMARY KEY, v text, z int); INSERT INTO w.t VALUES (1, 'b', 1), (2, 'A', 2);
-- release:
ALTER TABLE w.t DROP COLUMN v; ALTER TABLE w.t ADD COLUMN v text; UPDATE w.t SET v = 'new';

-- wreck: grants on columns
CREATE TABLE w.t (a int PRIMARY KEY, v text); INSERT INTO w.t VALUES (1, 'b'); GRANT SELECT (v) ON w.t TO dashboard_reader;
-- release:
REVOKE SELECT (v) ON w.t FROM dashboard_reader; GRANT UPDATE (a, v) ON w.t TO edge_ingest;

-- wreck: a column without a key is added
CREATE TABLE w.t (a int, v text); INSERT INTO w.t VALUES (1, 'b'), (1, 'b');
-- release:
ALTER TABLE w.t ADD COLUMN n int; UPDATE w.t SET n = 5;
-- lost: column w\.t\.n[^:;]*: would be dropped and cannot be saved

-- wreck: the key is dropped with its column
CREATE TABLE w.t (id int PRIMARY KEY, v text); INSERT INTO w.t VALUES (1, 'b'), (2, 'c');
-- release:
ALTER TABLE w.t DROP COLUMN id;
-- impossible: column w\.t\.id

-- wreck: a column with quotes and blanks in its name is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1);
-- release:
ALTER TABLE w.t ADD COLUMN "Ünï ""q"" %s 'x'" text; UPDATE w.t SET "Ünï ""q"" %s 'x'" = 'it''s %s \';

-- wreck: a serial column is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (5), (6);
-- release:
ALTER TABLE w.t ADD COLUMN s serial; INSERT INTO w.t VALUES (7);
-- rows:

-- wreck: a column is added that a sequence of nobody fills
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (5), (6);
-- release:
CREATE SEQUENCE w.s START 10; ALTER TABLE w.t ADD COLUMN s int DEFAULT nextval('w.s'); INSERT INTO w.t VALUES (7); CREATE TABLE w.u (id int PRIMARY KEY, s int DEFAULT nextval('w.s')); INSERT INTO w.u VALUES (1), (2);
-- rows:

-- wreck: a generated column in the middle becomes an ordinary one with other values
CREATE TABLE w.t (a int PRIMARY KEY, g int GENERATED ALWAYS AS (b * 2) STORED, b int, c text); INSERT INTO w.t (a, b, c) VALUES (5, 1, 'c'), (6, 2, 'd');
-- release:
ALTER TABLE w.t ALTER g DROP EXPRESSION; UPDATE w.t SET g = 99 WHERE a = 5;
-- rows: g

-- wreck: a generated column in the middle becomes an ordinary one, and the table is copied
CREATE TABLE w.t (a int PRIMARY KEY, g int GENERATED ALWAYS AS (b * 2) STORED, b int, c text); INSERT INTO w.t (a, b, c) VALUES (5, 1, 'c'), (6, 2, 'd');
-- told: column_order=exact
-- release:
ALTER TABLE w.t ALTER g DROP EXPRESSION; UPDATE w.t SET g = 99 WHERE a = 5;
-- rows: g

-- wreck: an ordinary column becomes a generated one
CREATE TABLE w.t (a int PRIMARY KEY, b int, g int); INSERT INTO w.t VALUES (5, 1, 100), (6, 2, NULL);
-- release:
ALTER TABLE w.t DROP COLUMN g; ALTER TABLE w.t ADD COLUMN g int GENERATED ALWAYS AS (b * 3) STORED;
-- lossy: column w\.t\.g

-- wreck: a column whose data is protected becomes a generated one
CREATE TABLE w.t (a int PRIMARY KEY, b int, g int NOT NULL); INSERT INTO w.t VALUES (5, 1, 100), (6, 2, 200);
-- protect: w.t.g
-- release:
ALTER TABLE w.t DROP COLUMN g; ALTER TABLE w.t ADD COLUMN g int GENERATED ALWAYS AS (b * 3) STORED; UPDATE w.t SET b = 9 WHERE a = 6;
-- rows: g

-- wreck: a generated column gets another expression and one becomes ordinary
CREATE TABLE w.t (a int PRIMARY KEY, g int GENERATED ALWAYS AS (b * 2) STORED, b int, h int GENERATED ALWAYS AS (b + 1) STORED); INSERT INTO w.t (a, b) VALUES (5, 1), (6, 2);
-- release:
ALTER TABLE w.t DROP COLUMN g; ALTER TABLE w.t ADD COLUMN g int GENERATED ALWAYS AS (b * 3) STORED; ALTER TABLE w.t ALTER h DROP EXPRESSION; UPDATE w.t SET h = NULL WHERE a = 5;
