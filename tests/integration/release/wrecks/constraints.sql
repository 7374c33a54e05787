-- What a release did to constraints and indexes, and the rows that stand against them. How to read it: wrecks.py.

-- wreck: a primary key is dropped
CREATE TABLE w.t (id int CONSTRAINT t_key PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 1), (2, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT t_key;

-- wreck: a primary key is dropped and a row comes twice
CREATE TABLE w.t (id int CONSTRAINT t_key PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 1), (2, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT t_key; INSERT INTO w.t VALUES (1, 3);
-- refused: w\.t: has 1 value of id more than once

-- wreck: a primary key is of other columns
CREATE TABLE w.t (id int, a int, CONSTRAINT t_key PRIMARY KEY (id)); INSERT INTO w.t VALUES (1, 1), (2, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT t_key; ALTER TABLE w.t ADD CONSTRAINT t_key PRIMARY KEY (id, a);

-- wreck: a primary key is added
CREATE TABLE w.t (id int, a int); INSERT INTO w.t VALUES (1, 1), (2, 1);
-- release:
ALTER TABLE w.t ADD PRIMARY KEY (id);

-- wreck: a unique constraint is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT one UNIQUE); INSERT INTO w.t VALUES (1, 1), (2, 2);
-- release:
ALTER TABLE w.t DROP CONSTRAINT one;

-- wreck: duplicates come where a unique constraint was
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT one UNIQUE); INSERT INTO w.t VALUES (1, 1), (2, 2);
-- release:
ALTER TABLE w.t DROP CONSTRAINT one; INSERT INTO w.t VALUES (3, 1);
-- refused: w\.t: has 1 value of a more than once

-- wreck: a unique constraint is deferrable and has other columns
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int, CONSTRAINT one UNIQUE (a, b)); INSERT INTO w.t VALUES (1, 1, 1), (2, 2, 2);
-- release:
ALTER TABLE w.t DROP CONSTRAINT one; ALTER TABLE w.t ADD CONSTRAINT one UNIQUE (a) INCLUDE (b) DEFERRABLE INITIALLY DEFERRED;

-- wreck: a check is dropped, another added
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT low CHECK (a < 10)); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT low; ALTER TABLE w.t ADD CONSTRAINT high CHECK (a < 100);

-- wreck: a check that rows violate is added as NOT VALID
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 500), (2, 5);
-- release:
ALTER TABLE w.t ADD COLUMN c int; UPDATE w.t SET c = id; ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID;

-- wreck: a table with a check that rows violate is added
CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
CREATE TABLE w.n (id int PRIMARY KEY, a int); INSERT INTO w.n VALUES (1, 500), (2, 5); ALTER TABLE w.n ADD CONSTRAINT low CHECK (a < 10) NOT VALID;

-- wreck: a check that was NOT VALID is validated
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 5); ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID;
-- release:
ALTER TABLE w.t VALIDATE CONSTRAINT low;

-- wreck: a check that was NOT VALID is dropped, and rows violate it
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 500); ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID;
-- release:
ALTER TABLE w.t DROP CONSTRAINT low; INSERT INTO w.t VALUES (2, 600);
-- rows:

-- wreck: a check is not inherited any more
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT low CHECK (a < 10)); CREATE TABLE w.c () INHERITS (w.t); INSERT INTO w.c VALUES (1, 5);
-- release:
ALTER TABLE w.t DROP CONSTRAINT low; ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NO INHERIT;

-- wreck: a foreign key is dropped
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, p int CONSTRAINT to_p REFERENCES w.p); INSERT INTO w.p VALUES (1); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT to_p;

-- wreck: a foreign key is dropped and a row refers to nothing
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, p int CONSTRAINT to_p REFERENCES w.p); INSERT INTO w.p VALUES (1); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT to_p; INSERT INTO w.t VALUES (2, 7);
-- refused: no row in w\.p to refer to

-- wreck: a foreign key acts otherwise
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY, p int CONSTRAINT to_p REFERENCES w.p ON DELETE CASCADE); INSERT INTO w.p VALUES (1); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT to_p; ALTER TABLE w.t ADD CONSTRAINT to_p FOREIGN KEY (p) REFERENCES w.p ON DELETE SET NULL ON UPDATE CASCADE DEFERRABLE NOT VALID;

-- wreck: a table is referred to by one that the release adds
CREATE TABLE w.p (id int PRIMARY KEY); INSERT INTO w.p VALUES (1);
-- release:
CREATE TABLE w.n (id int PRIMARY KEY, p int REFERENCES w.p); INSERT INTO w.n VALUES (1, 1), (2, NULL);

-- wreck: a table that refers to itself is added
CREATE TABLE w.t (id int PRIMARY KEY);
-- release:
CREATE TABLE w.n (id int PRIMARY KEY, above int REFERENCES w.n); INSERT INTO w.n VALUES (1, NULL), (2, 1), (3, 2); UPDATE w.n SET above = 3 WHERE id = 1;

-- wreck: a foreign key and the row it refers to come from the release
CREATE TABLE w.p (id int PRIMARY KEY); CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1);
-- release:
INSERT INTO w.p VALUES (9); ALTER TABLE w.t ADD COLUMN p int REFERENCES w.p; UPDATE w.t SET p = 9;
-- rows:

-- wreck: an exclusion constraint is dropped
CREATE TABLE w.t (id int PRIMARY KEY, r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&)); INSERT INTO w.t VALUES (1, '[1,5)'), (2, '[5,9)');
-- release:
ALTER TABLE w.t DROP CONSTRAINT apart;

-- wreck: a constraint is renamed
CREATE TABLE w.t (id int CONSTRAINT t_key PRIMARY KEY, a int CONSTRAINT low CHECK (a < 10)); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t RENAME CONSTRAINT t_key TO key_of_t; ALTER TABLE w.t RENAME CONSTRAINT low TO lower;

-- wreck: a comment on a constraint and on an index
CREATE TABLE w.t (id int CONSTRAINT t_key PRIMARY KEY, a int CONSTRAINT low CHECK (a < 10)); CREATE INDEX t_a ON w.t (a); COMMENT ON INDEX w.t_a IS 'before';
-- release:
COMMENT ON CONSTRAINT low ON w.t IS 'so low'; COMMENT ON INDEX w.t_a IS 'after';

-- wreck: an index is dropped
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE INDEX t_a ON w.t (lower(a) DESC NULLS LAST) WHERE a IS NOT NULL;
-- release:
DROP INDEX w.t_a;

-- wreck: an index is added
CREATE TABLE w.t (id int PRIMARY KEY, a text, b int[]); INSERT INTO w.t VALUES (1, 'x', '{1}');
-- release:
CREATE UNIQUE INDEX t_a ON w.t (a) INCLUDE (id) WITH (fillfactor = 70); CREATE INDEX t_b ON w.t USING gin (b);

-- wreck: an index is of another kind under its name
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE INDEX t_a ON w.t (a);
-- release:
DROP INDEX w.t_a; CREATE INDEX t_a ON w.t USING hash (a);

-- wreck: an index is renamed
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE INDEX t_a ON w.t (a);
-- release:
ALTER INDEX w.t_a RENAME TO by_a;

-- wreck: a table is clustered and another replica identity
CREATE TABLE w.t (id int CONSTRAINT t_key PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX t_a ON w.t (a); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t CLUSTER ON t_key; ALTER TABLE w.t REPLICA IDENTITY USING INDEX t_a;

-- wreck: statistics are dropped and others added
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int); INSERT INTO w.t VALUES (1, 1, 1); CREATE STATISTICS w.st (dependencies) ON a, b FROM w.t;
-- release:
DROP STATISTICS w.st; CREATE STATISTICS w.st (ndistinct, mcv) ON a, b FROM w.t; CREATE STATISTICS w.more ON (a + b), b FROM w.t;

-- wreck: a row comes that the check was against
CREATE TABLE w.t (id int PRIMARY KEY, a int CONSTRAINT low CHECK (a < 10)); INSERT INTO w.t VALUES (1, 1);
-- release:
ALTER TABLE w.t DROP CONSTRAINT low; INSERT INTO w.t VALUES (2, 50);
-- refused: constraint low on w\.t

-- wreck: ranges overlap where an exclusion constraint was
CREATE TABLE w.t (id int PRIMARY KEY, r int4range, CONSTRAINT apart EXCLUDE USING gist (r WITH &&)); INSERT INTO w.t VALUES (1, '[1,5)');
-- release:
ALTER TABLE w.t DROP CONSTRAINT apart; INSERT INTO w.t VALUES (2, '[2,3)');
-- refused: constraint apart on w\.t

-- wreck: a unique index is dropped and duplicates come
CREATE TABLE w.t (id int PRIMARY KEY, a text); INSERT INTO w.t VALUES (1, 'x'); CREATE UNIQUE INDEX t_a ON w.t (lower(a));
-- release:
DROP INDEX w.t_a; INSERT INTO w.t VALUES (2, 'X');
-- refused: index w\.t_a

-- wreck: a check is loosened on a renamed column
CREATE TABLE w.t (id int PRIMARY KEY, a text, CONSTRAINT percent CHECK (a NOT LIKE '%x%' AND length(a) < 4) ); INSERT INTO w.t VALUES (1, 'abc');
-- release:
ALTER TABLE w.t DROP CONSTRAINT percent; ALTER TABLE w.t RENAME a TO "B b"; ALTER TABLE w.t ADD CONSTRAINT percent CHECK (length("B b") < 9); INSERT INTO w.t VALUES (2, '100%x');
-- refused: w\.t: 1 row that constraint percent on w\.t forbids, .*for example id 2

-- wreck: a check of a parent is dropped and a child has a row that it was against
CREATE TABLE w.p (id int, a int CONSTRAINT low CHECK (a < 10)); CREATE TABLE w.c () INHERITS (w.p);
-- release:
ALTER TABLE w.p DROP CONSTRAINT low; INSERT INTO w.c VALUES (2, 50);
-- refused: constraint low on w\.p

-- wreck: a unique index of some rows is dropped and duplicates come
CREATE TABLE w.t (id int PRIMARY KEY, a text, gone boolean); INSERT INTO w.t VALUES (1, 'x', false); CREATE UNIQUE INDEX t_a ON w.t (a) WHERE NOT gone;
-- release:
DROP INDEX w.t_a; INSERT INTO w.t VALUES (2, 'x', false), (3, 'y', true), (4, 'y', true);
-- refused: w\.t: has 1 value of a more than once, which index w\.t_a forbids, for example id 1 and id 2

-- wreck: a unique index of some rows is dropped and duplicates come to others
CREATE TABLE w.t (id int PRIMARY KEY, a text, gone boolean); INSERT INTO w.t VALUES (1, 'x', false); CREATE UNIQUE INDEX t_a ON w.t (lower(a), mod(id, 2)) WHERE NOT gone;
-- release:
DROP INDEX w.t_a; INSERT INTO w.t VALUES (2, 'X', false), (3, 'x', true), (5, NULL, false);
-- rows:

-- wreck: an exclusion constraint is dropped and no ranges overlap
CREATE TABLE w.t (id int PRIMARY KEY, span int4range, gone boolean, CONSTRAINT apart EXCLUDE USING gist (span WITH &&) WHERE (NOT gone)); INSERT INTO w.t VALUES (1, '[1,5)', false);
-- release:
ALTER TABLE w.t DROP CONSTRAINT apart; INSERT INTO w.t VALUES (2, '[2,3)', true), (3, '[5,6)', false);
-- rows:

-- wreck: a column is added to a table whose rows violate a NOT VALID check
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int); INSERT INTO w.t VALUES (1, 500, 1), (2, 5, 2);
ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID;
-- release:
ALTER TABLE w.t ADD COLUMN c int DEFAULT 3; ALTER TABLE w.t ALTER c DROP DEFAULT;

-- wreck: a column and a NOT VALID check that rows violate are added
CREATE TABLE w.t (id int PRIMARY KEY, a int); INSERT INTO w.t VALUES (1, 500), (2, 5);
-- release:
ALTER TABLE w.t ADD COLUMN c int; UPDATE w.t SET c = 1; ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID; COMMENT ON CONSTRAINT low ON w.t IS 'one day';

-- wreck: a column gets another type in a table whose rows violate a NOT VALID check
CREATE TABLE w.t (id int PRIMARY KEY, a int, b int); INSERT INTO w.t VALUES (1, 500, 1), (2, 5, 2);
ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID; COMMENT ON CONSTRAINT low ON w.t IS 'one day';
-- release:
ALTER TABLE w.t ALTER b TYPE numeric USING b + 0.5;
-- rows: b

-- wreck: a column is added to a parent with a child whose rows violate a NOT VALID check
CREATE TABLE w.p (id int PRIMARY KEY, a int); CREATE TABLE w.c () INHERITS (w.p); INSERT INTO w.c VALUES (1, 500); INSERT INTO w.p VALUES (2, 500);
ALTER TABLE w.p ADD CONSTRAINT low CHECK (a < 10) NOT VALID; ALTER TABLE w.c ADD CONSTRAINT more CHECK (a < 20) NOT VALID;
-- release:
ALTER TABLE w.p ADD COLUMN c int DEFAULT 7;
-- lost: column w\.c\.c

-- wreck: a partitioned table whose rows violate a NOT VALID check is added
CREATE TABLE w.s (id int PRIMARY KEY);
-- release:
CREATE TABLE w.t (id int, a int) PARTITION BY LIST (id); CREATE TABLE w.t1 PARTITION OF w.t DEFAULT; INSERT INTO w.t VALUES (1, 500);
ALTER TABLE w.t ADD CONSTRAINT low CHECK (a < 10) NOT VALID;
