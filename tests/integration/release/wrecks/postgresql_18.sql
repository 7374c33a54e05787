-- What only PostgreSQL 18 and later have: names of NOT NULL, and what it knows of keys and generated columns. How to read it: wrecks.py.

-- wreck: NOT NULL is dropped and set again
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT needed NOT NULL, b int NOT NULL); INSERT INTO w.t VALUES (1, 2, 3);
-- release:
ALTER TABLE w.t ALTER COLUMN a DROP NOT NULL, ALTER COLUMN b DROP NOT NULL;
ALTER TABLE w.t ALTER COLUMN a SET NOT NULL, ADD CONSTRAINT other NOT NULL b;

-- wreck: NOT NULL has another name, and a comment
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT "Needed, always" NOT NULL, b int NOT NULL, c int);
INSERT INTO w.t VALUES (1, 2, 3, 4); COMMENT ON CONSTRAINT "Needed, always" ON w.t IS 'it''s needed';
-- release:
ALTER TABLE w.t RENAME CONSTRAINT "Needed, always" TO needed; COMMENT ON CONSTRAINT needed ON w.t IS NULL;
COMMENT ON CONSTRAINT t_b_not_null ON w.t IS 'more'; ALTER TABLE w.t ALTER COLUMN c SET NOT NULL;
COMMENT ON CONSTRAINT t_c_not_null ON w.t IS 'most'; ALTER TABLE w.t RENAME TO t2; ALTER TABLE w.t2 RENAME a TO a2;

-- wreck: NOT NULL is not for children any more
-- since: 18
CREATE TABLE w.t (id int CONSTRAINT full_id NOT NULL, a int CONSTRAINT full_a NOT NULL NO INHERIT); INSERT INTO w.t VALUES (1, 2);
-- release:
ALTER TABLE w.t ALTER CONSTRAINT full_a INHERIT, ALTER CONSTRAINT full_id NO INHERIT;

-- wreck: a child has NOT NULL of its own
-- since: 18
CREATE TABLE w.t (id int NOT NULL, a int); CREATE TABLE w.c (b int) INHERITS (w.t); INSERT INTO w.c VALUES (1, 2, 3);
ALTER TABLE w.c ADD CONSTRAINT of_child NOT NULL a;
-- release:
ALTER TABLE w.c ALTER COLUMN a DROP NOT NULL; ALTER TABLE w.t ALTER COLUMN a SET NOT NULL, ALTER COLUMN id DROP NOT NULL;

-- wreck: a table with children is dropped
-- since: 18
CREATE TABLE w.t (id int NOT NULL, a int CONSTRAINT of_parent NOT NULL NO INHERIT); CREATE TABLE w.c (b int) INHERITS (w.t);
ALTER TABLE w.c ADD CONSTRAINT of_child NOT NULL a; CREATE TABLE w.d (id int CONSTRAINT of_id NOT NULL) INHERITS (w.t);
-- release:
DROP TABLE w.t CASCADE;
-- lossy: table w\.c, table w\.d, table w\.t

-- wreck: NOT NULL that rows break is checked
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, NULL), (2, 2);
ALTER TABLE w.t ADD CONSTRAINT later NOT NULL a NOT VALID; COMMENT ON CONSTRAINT later ON w.t IS 'once all have one';
-- release:
UPDATE w.t SET a = 0 WHERE a IS NULL; ALTER TABLE w.t VALIDATE CONSTRAINT later;
-- rows: a

-- wreck: NOT NULL that nobody has checked is added, and another dropped
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int); INSERT INTO w.t VALUES (1, NULL, NULL), (2, 2, 2);
ALTER TABLE w.t ADD CONSTRAINT later NOT NULL a NOT VALID;
-- release:
ALTER TABLE w.t DROP CONSTRAINT later, ADD CONSTRAINT sooner NOT NULL b NOT VALID;

-- wreck: partitions with NOT NULL under other names
-- since: 18
CREATE TABLE w.t (id int CONSTRAINT of_all NOT NULL, a int NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE w.t1 PARTITION OF w.t FOR VALUES FROM (0) TO (10);
CREATE TABLE w.t2 (id int CONSTRAINT of_two NOT NULL, a int NOT NULL); ALTER TABLE w.t ATTACH PARTITION w.t2 FOR VALUES FROM (10) TO (20);
-- release:
DROP TABLE w.t1; ALTER TABLE w.t DETACH PARTITION w.t2;
-- lossy: table w\.t1

-- wreck: NOT NULL of a domain
-- since: 18
CREATE DOMAIN w.d AS int CONSTRAINT needed NOT NULL CONSTRAINT positive CHECK (VALUE > 0); CREATE DOMAIN w.e AS int;
CREATE DOMAIN w.f AS int NOT NULL; COMMENT ON CONSTRAINT f_not_null ON DOMAIN w.f IS 'full';
-- release:
ALTER DOMAIN w.d DROP NOT NULL; ALTER DOMAIN w.d SET NOT NULL; ALTER DOMAIN w.e SET NOT NULL; DROP DOMAIN w.f;

-- wreck: a virtual column is stored
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c int GENERATED ALWAYS AS (a * 3) STORED);
INSERT INTO w.t (id, a) VALUES (1, 1), (2, NULL);
-- release:
ALTER TABLE w.t DROP COLUMN b, DROP COLUMN c;
ALTER TABLE w.t ADD COLUMN b int GENERATED ALWAYS AS (a * 2) STORED, ADD COLUMN c int GENERATED ALWAYS AS (a * 3);

-- wreck: a virtual column says something else
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2)); INSERT INTO w.t (id, a) VALUES (1, 1), (2, NULL);
-- release:
ALTER TABLE w.t ALTER COLUMN b SET EXPRESSION AS (a + 2); ALTER TABLE w.t ADD COLUMN c text GENERATED ALWAYS AS (a::text);

-- wreck: virtual columns are dropped, with the one that they are made of
-- since: 18
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2), c int NOT NULL GENERATED ALWAYS AS (id + 1));
INSERT INTO w.t (id, a) VALUES (1, 1), (2, NULL);
-- protect: w.t.a
-- release:
ALTER TABLE w.t DROP COLUMN a CASCADE, DROP COLUMN c;

-- wreck: a check and a foreign key are enforced
-- since: 18
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, a int, p int, CONSTRAINT small CHECK (a < 10) NOT ENFORCED,
CONSTRAINT known FOREIGN KEY (p) REFERENCES w.p NOT ENFORCED); INSERT INTO w.t VALUES (1, 20, 5);
-- release:
DELETE FROM w.t; ALTER TABLE w.t ALTER CONSTRAINT known ENFORCED;
ALTER TABLE w.t DROP CONSTRAINT small; ALTER TABLE w.t ADD CONSTRAINT small CHECK (a < 10);
-- rows:

-- wreck: a check and a foreign key are enforced no more
-- since: 18
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, a int, p int, CONSTRAINT small CHECK (a < 10),
CONSTRAINT known FOREIGN KEY (p) REFERENCES w.p); INSERT INTO w.p VALUES (5); INSERT INTO w.t VALUES (1, 2, 5);
-- release:
ALTER TABLE w.t ALTER CONSTRAINT known NOT ENFORCED;
ALTER TABLE w.t DROP CONSTRAINT small; ALTER TABLE w.t ADD CONSTRAINT small CHECK (a < 10) NOT ENFORCED;

-- wreck: rows break what is enforced no more
-- since: 18
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, p int, CONSTRAINT known FOREIGN KEY (p) REFERENCES w.p);
INSERT INTO w.p VALUES (5); INSERT INTO w.t VALUES (1, 5);
-- release:
ALTER TABLE w.t ALTER CONSTRAINT known NOT ENFORCED; INSERT INTO w.t VALUES (2, 6);
-- refused: w\.t

-- wreck: keys that hold for a time
-- since: 18
RESET ROLE; CREATE EXTENSION IF NOT EXISTS btree_gist SCHEMA public; SET ROLE loader;
CREATE TABLE w.p (id int, at daterange, CONSTRAINT once PRIMARY KEY (id, at WITHOUT OVERLAPS));
CREATE TABLE w.t (id int, at daterange, p int, CONSTRAINT known FOREIGN KEY (p, PERIOD at) REFERENCES w.p (id, PERIOD at),
CONSTRAINT own UNIQUE (id, at WITHOUT OVERLAPS));
INSERT INTO w.p VALUES (1, '[2026-01-01,2026-02-01)'), (1, '[2026-02-01,2026-03-01)');
INSERT INTO w.t VALUES (1, '[2026-01-10,2026-02-10)', 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT known; ALTER TABLE w.t DROP CONSTRAINT own, ADD CONSTRAINT own UNIQUE (id, at);
ALTER TABLE w.p DROP CONSTRAINT once, ADD CONSTRAINT once PRIMARY KEY (id, at);
