-- What a release did to tables, partitions and families of tables. How to read it: wrecks.py.

-- wreck: a table is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1);
-- release:
CREATE TABLE w.n (id int PRIMARY KEY, a text DEFAULT 'a', b jsonb); INSERT INTO w.n VALUES (1, NULL, '{"a": 1.50}'), (2, 'ü', NULL);

-- wreck: a table without a key is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1);
-- release:
CREATE TABLE w.n (a int, b text); INSERT INTO w.n VALUES (1, 'x'), (1, 'x'), (NULL, NULL);

-- wreck: an identity table is added and deleted from
CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
CREATE TABLE w.n (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, s serial, g int GENERATED ALWAYS AS (s * 2) STORED, a text);
INSERT INTO w.n (a) VALUES ('x'), ('y'), ('z'); DELETE FROM w.n WHERE a = 'z';

-- wreck: an unlogged table is added
CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
CREATE UNLOGGED TABLE w.m (id int PRIMARY KEY); INSERT INTO w.m VALUES (1);

-- wreck: a table is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x');
-- release:
DROP TABLE w.t;
-- lossy: table w\.t[^:;]*: would be recreated without its data

-- wreck: a protected table is dropped
-- protect: w.t
CREATE TABLE w.t (id serial PRIMARY KEY, a text, p int REFERENCES w.t); INSERT INTO w.t VALUES (1, 'x', NULL), (2, NULL, 1); SELECT setval('w.t_id_seq', 2);
-- release:
DROP TABLE w.t;

-- wreck: an empty table is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text);
-- release:
DROP TABLE w.t;
-- lossy: table w\.t

-- wreck: a table is renamed
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'); CREATE VIEW w.v AS SELECT a FROM w.t;
-- release:
ALTER TABLE w.t RENAME TO tt; INSERT INTO w.tt (a) VALUES ('y'); DELETE FROM w.tt WHERE a = 'y';

-- wreck: a table is renamed with its sequence, index and constraint
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x');
-- release:
ALTER TABLE w.t RENAME TO tt; ALTER SEQUENCE w.t_id_seq RENAME TO tt_id_seq; ALTER INDEX w.t_pkey RENAME TO tt_pkey;

-- wreck: a table is copied into a new one and dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
-- release:
CREATE TABLE w.t2 (id bigint PRIMARY KEY, a text); INSERT INTO w.t2 SELECT * FROM w.t; DROP TABLE w.t; ALTER TABLE w.t2 RENAME TO t;
-- rows:

-- wreck: two tables swap their names
CREATE TABLE w.a (id int PRIMARY KEY, a text); CREATE TABLE w.b (id int PRIMARY KEY, b int); INSERT INTO w.a VALUES (1, 'x'); INSERT INTO w.b VALUES (2, 2);
-- release:
ALTER TABLE w.a RENAME TO x; ALTER TABLE w.b RENAME TO a; ALTER TABLE w.x RENAME TO b;

-- wreck: a table moves to another schema
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'); CREATE INDEX t_a ON w.t (a); CREATE SCHEMA w_other;
-- release:
ALTER TABLE w.t SET SCHEMA w_other;

-- wreck: a table becomes unlogged and has other options
CREATE TABLE w.t (id int PRIMARY KEY, a text) WITH (fillfactor = 70); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t SET UNLOGGED; ALTER TABLE w.t RESET (fillfactor); ALTER TABLE w.t SET (autovacuum_enabled = false, toast_tuple_target = 200);

-- wreck: owner, grants and comment of a table
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); GRANT SELECT ON w.t TO dashboard_reader; COMMENT ON TABLE w.t IS 'it''s';
-- release:
RESET ROLE; ALTER TABLE w.t OWNER TO wreck_owner; REVOKE ALL ON w.t FROM dashboard_reader; GRANT INSERT, SELECT ON w.t TO edge_ingest WITH GRANT OPTION; COMMENT ON TABLE w.t IS NULL;

-- wreck: rows alone are deleted and changed
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
-- release:
DELETE FROM w.t WHERE id = 1; UPDATE w.t SET a = 'z'; CREATE INDEX t_a ON w.t (a);
-- rows:

-- wreck: a partition without rows is added, and dropped when told
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- told: new_partitions=drop
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20);

-- wreck: a partition with rows is dropped
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (1, 'x'), (11, 'y');
-- release:
DROP TABLE w.t2;
-- lossy: table w\.t2

-- wreck: a partition is detached
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); CREATE INDEX t_a ON w.t (a); INSERT INTO w.t VALUES (1, 'x'), (11, 'y');
-- release:
ALTER TABLE w.t DETACH PARTITION w.t2;

-- wreck: a table becomes a partition
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); CREATE TABLE w.s (d int, a text);
INSERT INTO w.t VALUES (1, 'x'); INSERT INTO w.s VALUES (12, 'y');
-- release:
ALTER TABLE w.t ATTACH PARTITION w.s FOR VALUES FROM (10) TO (20);

-- wreck: a partition has other bounds
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t DETACH PARTITION w.t1; ALTER TABLE w.t ATTACH PARTITION w.t1 FOR VALUES FROM (0) TO (20);

-- wreck: a partitioned table with rows is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (d int, a text, PRIMARY KEY (d)) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.t2 PARTITION OF w.t DEFAULT PARTITION BY LIST (d); CREATE TABLE w.t3 PARTITION OF w.t2 DEFAULT; INSERT INTO w.t VALUES (1, 'x'), (11, 'y');

-- wreck: a column is added to a partitioned table
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = 5;

-- wreck: a child table is added
CREATE TABLE w.p (id int PRIMARY KEY, a text); INSERT INTO w.p VALUES (1, 'x');
-- release:
CREATE TABLE w.c (b int) INHERITS (w.p); INSERT INTO w.c VALUES (2, 'y', 3);

-- wreck: a parent and its child get a column
CREATE TABLE w.p (id int PRIMARY KEY, a text); CREATE TABLE w.c (PRIMARY KEY (id)) INHERITS (w.p); INSERT INTO w.p VALUES (1, 'x'); INSERT INTO w.c VALUES (2, 'y');
-- release:
ALTER TABLE w.p ADD COLUMN n int DEFAULT 4;
-- lost: column w\.c\.n[^:;]*: would be dropped and cannot be saved

-- wreck: a typed table loses its type
CREATE TYPE w.row AS (id int, a text); CREATE TABLE w.t OF w.row; INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t NOT OF;

-- wreck: rows of a new partition are saved when told
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- told: new_partitions=drop
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (11, 'a');

-- wreck: a table is renamed away and another is made under its name
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y'); CREATE INDEX t_a ON w.t (a);
-- release:
ALTER TABLE w.t RENAME TO t_old; CREATE TABLE w.t (id int, a text, b int, CONSTRAINT t_new PRIMARY KEY (id)); INSERT INTO w.t VALUES (7, 'z', 1);

-- wreck: a serial table is renamed away and another is made under its name
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t RENAME TO t_old; CREATE TABLE w.t (id serial PRIMARY KEY, a text, b int); INSERT INTO w.t (a, b) VALUES ('z', 1);

-- wreck: a serial table and its sequence are renamed away and others are made under their names
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t RENAME TO t_old; ALTER SEQUENCE w.t_id_seq RENAME TO t_old_id_seq; ALTER INDEX w.t_pkey RENAME TO t_old_pkey;
CREATE TABLE w.t (id serial PRIMARY KEY, a text, b int); INSERT INTO w.t (a, b) VALUES ('z', 1);

-- wreck: an identity table is renamed away and another is made under its name
CREATE TABLE w.t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y');
-- release:
ALTER TABLE w.t RENAME TO t_old; CREATE TABLE w.t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, a text); INSERT INTO w.t (a) SELECT a FROM w.t_old;

-- wreck: a table is replaced by a base table and a view
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'), (2, 'y');
-- release:
ALTER TABLE w.t RENAME TO t_base; CREATE VIEW w.t AS SELECT id, a FROM w.t_base WHERE id > 0;

-- wreck: a serial table is replaced by a base table and a view
CREATE TABLE w.t (id serial PRIMARY KEY, a text); INSERT INTO w.t (a) VALUES ('x'), ('y'); GRANT SELECT ON w.t TO dashboard_reader;
-- release:
ALTER TABLE w.t RENAME TO t_base; ALTER TABLE w.t_base ADD COLUMN tenant int NOT NULL DEFAULT 1; CREATE VIEW w.t AS SELECT id, a FROM w.t_base; GRANT SELECT ON w.t TO dashboard_reader;

-- wreck: a table without columns is added, with rows
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (); INSERT INTO w.t DEFAULT VALUES; INSERT INTO w.t DEFAULT VALUES; CREATE TABLE w.u ();

-- wreck: a table whose only column is generated is added, with rows
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (g int GENERATED ALWAYS AS (7) STORED); INSERT INTO w.t DEFAULT VALUES; INSERT INTO w.t DEFAULT VALUES;

-- wreck: a table without columns is dropped, with rows
CREATE TABLE w.t (); INSERT INTO w.t DEFAULT VALUES;
-- release:
DROP TABLE w.t;
-- lost: table w\.t

-- wreck: a child leaves its parent
CREATE TABLE w.p (id int, a text CONSTRAINT short CHECK (length(a) < 9)); CREATE TABLE w.c (b int) INHERITS (w.p); INSERT INTO w.c VALUES (2, 'y', 3);
-- listed: w.c
-- release:
ALTER TABLE w.c NO INHERIT w.p;

-- wreck: a table becomes a child
CREATE TABLE w.p (id int, a text); CREATE TABLE w.c (id int, a text, b int); INSERT INTO w.c VALUES (2, 'y', 3);
-- release:
ALTER TABLE w.c INHERIT w.p;

-- wreck: a child leaves its parent, which gets another column and loses one
CREATE TABLE w.p (id int, a text, x int); CREATE TABLE w.c (b int PRIMARY KEY) INHERITS (w.p); INSERT INTO w.c VALUES (2, 'y', NULL, 3);
-- listed: w.c
-- release:
ALTER TABLE w.c NO INHERIT w.p; ALTER TABLE w.p ADD COLUMN z int; ALTER TABLE w.p DROP COLUMN x; ALTER TABLE w.c ADD COLUMN q int; ALTER TABLE w.c DROP COLUMN x;
-- lossy: column w\.c\.x

-- wreck: a child gets another parent
CREATE TABLE w.p (id int); CREATE TABLE w.o (id int); CREATE TABLE w.c (id int, b int); ALTER TABLE w.c INHERIT w.p; INSERT INTO w.c VALUES (2, 3);
-- release:
ALTER TABLE w.c NO INHERIT w.p; ALTER TABLE w.c INHERIT w.o;

-- wreck: a parent loses a column of which its child has values
CREATE TABLE w.p (id int PRIMARY KEY, x int); CREATE TABLE w.c (b int PRIMARY KEY) INHERITS (w.p); INSERT INTO w.p VALUES (2, 3); INSERT INTO w.c VALUES (2, 3, 4);
-- protect: w.p.x
-- release:
ALTER TABLE w.p DROP COLUMN x;
-- lossy: column w\.c\.x[^:;]*: would be recreated without its data

-- wreck: a parent gets a column that its child has
CREATE TABLE w.p (id int); CREATE TABLE w.c (b int) INHERITS (w.p); INSERT INTO w.c VALUES (2, 3);
-- release:
ALTER TABLE w.p ADD COLUMN b int;

-- wreck: partitions of a scheduler
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.rest PARTITION OF w.t DEFAULT; INSERT INTO w.t VALUES (1, 'x'), (30, 'y');
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (11, 'a'), (12, 'b');
-- unchanged:

-- wreck: the default partition is split
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.rest PARTITION OF w.t DEFAULT; INSERT INTO w.t VALUES (1, 'x'), (11, 'y');
-- release:
ALTER TABLE w.t DETACH PARTITION w.rest; CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); WITH m AS (DELETE FROM w.rest WHERE d < 10 RETURNING *) INSERT INTO w.t SELECT * FROM m;
ALTER TABLE w.t ATTACH PARTITION w.rest DEFAULT;
-- unchanged:

-- wreck: a column is added to a table that gets partitions
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); CREATE INDEX t_a ON w.t (a);
INSERT INTO w.t VALUES (1, 'x'); GRANT SELECT ON w.t TO dashboard_reader;
-- stays: w.t2
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (11, 'a'); ALTER TABLE w.t ADD COLUMN b int; UPDATE w.t SET b = d; GRANT SELECT ON w.t2 TO dashboard_reader;
-- rows:

-- wreck: a column is dropped from a table that gets partitions
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- protect: w.t.a
-- stays: w.t2
-- release:
ALTER TABLE w.t DROP COLUMN a; CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (11);
-- rows: a

-- wreck: a new partition has an index and a trigger of its own
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t VALUES (11, 'a'); CREATE INDEX t2_a ON w.t2 (a);

-- wreck: a new partition is where a captured one was
CREATE TABLE w.t (d int PRIMARY KEY, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TABLE w.t DETACH PARTITION w.t1; CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (0) TO (20); INSERT INTO w.t VALUES (2, 'b');

-- wreck: rows of a new partition go into the default one when told
CREATE TABLE w.t (d int NOT NULL, a text, g int GENERATED ALWAYS AS (d * 2) STORED) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.rest PARTITION OF w.t DEFAULT; INSERT INTO w.t VALUES (1, 'x'), (30, 'y'), (12, 'z');
CREATE FUNCTION w.no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF tg_op = 'DELETE' THEN RAISE 'no'; END IF; new.a := new.a || '!'; RETURN new; END$$;
CREATE TRIGGER marks BEFORE INSERT OR DELETE ON w.t FOR EACH ROW EXECUTE FUNCTION w.no();
-- told: new_partitions=drop
-- release:
ALTER TABLE w.t DISABLE TRIGGER USER; ALTER TABLE w.t DETACH PARTITION w.rest; CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES FROM (10) TO (20); INSERT INTO w.t (d, a) SELECT d, a FROM w.rest WHERE d = 12;
DELETE FROM w.rest WHERE d = 12; ALTER TABLE w.t ATTACH PARTITION w.rest DEFAULT; ALTER TABLE w.t ENABLE TRIGGER USER; INSERT INTO w.t VALUES (11, 'a'), (13, NULL);
-- moved: w.t
-- rows:

-- wreck: rows of new partitions of a list go into the default one when told
CREATE TABLE w.t (d int, a text) PARTITION BY LIST (lower(a)); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES IN ('x'); CREATE TABLE w.rest PARTITION OF w.t DEFAULT;
-- told: new_partitions=drop
-- release:
CREATE TABLE w.t2 PARTITION OF w.t FOR VALUES IN ('y', 'o''k, (no)'); CREATE TABLE w.t3 PARTITION OF w.t FOR VALUES IN ('z'); INSERT INTO w.t VALUES (1, 'Y'), (2, 'O''k, (no)'), (3, 'z'), (4, 'Q');
-- moved: w.t
-- rows:

-- wreck: the default partition has got rows of one that was dropped
CREATE TABLE w.t (d int, a text) PARTITION BY RANGE (d); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10); CREATE TABLE w.rest PARTITION OF w.t DEFAULT;
INSERT INTO w.t VALUES (2, 'y');
-- release:
DROP TABLE w.t1; INSERT INTO w.t VALUES (1, 'x'), (30, 'y');
-- moved: w.t
-- lossy: table w.t1[^:;]*: would be recreated without its data

-- wreck: the default partition has got rows of one that was dropped and saved
CREATE TABLE w.t (d int, a text, PRIMARY KEY (d, a)) PARTITION BY RANGE (d, a); CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0, MINVALUE) TO (10, MINVALUE); CREATE TABLE w.rest PARTITION OF w.t DEFAULT;
INSERT INTO w.t VALUES (2, 'y');
-- protect: w.t1
-- release:
DROP TABLE w.t1; INSERT INTO w.t VALUES (9, 'x'), (10, 'y'), (30, 'y');
-- refused: w.rest: 1 row for w.t1, which

-- wreck: a parent gets a column, whose child has other values for the same keys
CREATE TABLE w.p (id int PRIMARY KEY, a text); CREATE TABLE w.c (PRIMARY KEY (id)) INHERITS (w.p);
INSERT INTO w.p VALUES (1, 'p'); INSERT INTO w.c VALUES (1, 'c');
-- release:
ALTER TABLE w.p ADD COLUMN n text; UPDATE w.p SET n = 'n' || a;
-- lost: column w\.c\.n[^:;]*: would be dropped and cannot be saved
