-- What a release did to types, and to the values of columns of them. How to read it: wrecks.py.

-- wreck: an enum is added with a column of it
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1), (2);
-- release:
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); ALTER TABLE w.t ADD COLUMN m w.mood DEFAULT 'ok'; UPDATE w.t SET m = 'sad' WHERE id = 1;

-- wreck: a label that no row has is added
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood DEFAULT 'ok'); INSERT INTO w.t VALUES (1), (2);
CREATE VIEW w.v AS SELECT m FROM w.t; CREATE FUNCTION w.f(w.mood) RETURNS int LANGUAGE sql AS 'SELECT 1';
-- release:
ALTER TYPE w.mood ADD VALUE 'glad' BEFORE 'ok';

-- wreck: a label that rows have is added
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok');
-- release:
ALTER TYPE w.mood ADD VALUE 'glad'; COMMIT; INSERT INTO w.t VALUES (2, 'glad');
-- refused: label of w\.mood that goes

-- wreck: a label that an array has is added
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood[]); INSERT INTO w.t VALUES (1, '{ok}');
-- release:
ALTER TYPE w.mood ADD VALUE 'glad'; COMMIT; INSERT INTO w.t VALUES (2, '{sad,glad}');
-- refused: label of w\.mood that goes

-- wreck: a label is renamed
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok');
-- release:
ALTER TYPE w.mood RENAME VALUE 'ok' TO 'fine';

-- wreck: an enum is renamed
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok');
-- release:
ALTER TYPE w.mood RENAME TO feeling;

-- wreck: an enum is replaced by text
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood DEFAULT 'ok'); INSERT INTO w.t VALUES (1, 'ok');
-- release:
ALTER TABLE w.t ALTER m DROP DEFAULT, ALTER m TYPE text; DROP TYPE w.mood;

-- wreck: an enum is made anew with a label less
CREATE TYPE w.mood AS ENUM ('sad', 'ok', 'odd'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok'), (2, 'sad');
-- release:
ALTER TYPE w.mood RENAME TO mood_old; CREATE TYPE w.mood AS ENUM ('sad', 'ok'); ALTER TABLE w.t ALTER m TYPE w.mood USING m::text::w.mood;
DROP TYPE w.mood_old;

-- wreck: an attribute gets another type
CREATE TYPE w.p AS (x int, y int); CREATE FUNCTION w.f(w.p) RETURNS int LANGUAGE sql AS 'SELECT 1';
-- release:
ALTER TYPE w.p ALTER ATTRIBUTE y TYPE text;

-- wreck: a composite column is added
CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1), (2);
-- release:
CREATE TYPE w.p AS (x int, y text[]); ALTER TABLE w.t ADD COLUMN p w.p; UPDATE w.t SET p = ROW(id, ARRAY['a"', NULL, '(,)']);

-- wreck: a composite column is made of two ordinary ones
CREATE TABLE w.t (id int PRIMARY KEY, x int, y int); INSERT INTO w.t VALUES (1, 2, 3);
-- release:
CREATE TYPE w.p AS (x int, y int); ALTER TABLE w.t ADD COLUMN p w.p; UPDATE w.t SET p = ROW(x, y); ALTER TABLE w.t DROP COLUMN x, DROP COLUMN y;
-- lossy: column w\.t\.x

-- wreck: a domain gets another check, default and NOT NULL
CREATE DOMAIN w.d AS int DEFAULT 1 CONSTRAINT small CHECK (VALUE < 100); CREATE TABLE w.t (id int PRIMARY KEY, d w.d); INSERT INTO w.t VALUES (1, 50);
-- release:
ALTER DOMAIN w.d DROP CONSTRAINT small; ALTER DOMAIN w.d ADD CONSTRAINT large CHECK (VALUE < 1000); ALTER DOMAIN w.d SET DEFAULT 2; ALTER DOMAIN w.d SET NOT NULL;

-- wreck: a domain takes the place of its base type
CREATE TABLE w.t (id int PRIMARY KEY, d text); INSERT INTO w.t VALUES (1, 'ABC');
-- release:
CREATE DOMAIN w.code AS text CHECK (VALUE ~ '^[A-Z]+$'); ALTER TABLE w.t ALTER d TYPE w.code;

-- wreck: a domain is of another type
CREATE DOMAIN w.d AS int; CREATE TABLE w.t (id int PRIMARY KEY, d w.d); INSERT INTO w.t VALUES (1, 50);
-- release:
ALTER TABLE w.t ALTER d TYPE bigint; DROP DOMAIN w.d; CREATE DOMAIN w.d AS bigint; ALTER TABLE w.t ALTER d TYPE w.d;
-- impossible: domain w\.d

-- wreck: a type is dropped with the function that takes it
CREATE TYPE w.p AS (x int, y int); CREATE FUNCTION w.f(w.p) RETURNS int LANGUAGE sql AS 'SELECT 1';
-- release:
DROP TYPE w.p CASCADE;

-- wreck: a range type is dropped and another is added
CREATE TYPE w.span AS RANGE (subtype = float8);
-- release:
DROP TYPE w.span; CREATE TYPE w.width AS RANGE (subtype = int4);

-- wreck: grants, owner and comment of a type
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); COMMENT ON TYPE w.mood IS 'how one is'; CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok');
-- release:
RESET ROLE; REVOKE ALL ON TYPE w.mood FROM PUBLIC; GRANT USAGE ON TYPE w.mood TO edge_ingest; COMMENT ON TYPE w.mood IS NULL; ALTER TYPE w.mood OWNER TO wreck_owner;

-- wreck: a collation is dropped and another made
CREATE COLLATION w.c (provider = libc, locale = 'C');
-- release:
DROP COLLATION w.c; CREATE COLLATION w.d (provider = libc, locale = 'POSIX');

-- wreck: a type moves to another schema
CREATE TYPE w.mood AS ENUM ('sad', 'ok'); CREATE TABLE w.t (id int PRIMARY KEY, m w.mood); INSERT INTO w.t VALUES (1, 'ok'); CREATE SCHEMA w_types;
-- release:
ALTER TYPE w.mood SET SCHEMA w_types;

-- wreck: an attribute is added to a composite type
CREATE TYPE w.p AS (x int, y int); CREATE TABLE w.t (id int PRIMARY KEY, p w.p); INSERT INTO w.t VALUES (1, '(1,2)'), (2, NULL);
-- release:
ALTER TYPE w.p ADD ATTRIBUTE z int; UPDATE w.t SET p.z = 100 + id WHERE id = 1;
-- losing: column w\.t\.p

-- wreck: an attribute is dropped from a composite type
CREATE TYPE w.p AS (x int, y int); CREATE TABLE w.t (id int PRIMARY KEY, p w.p); INSERT INTO w.t VALUES (1, '(1,2)'), (2, NULL);
-- release:
ALTER TYPE w.p DROP ATTRIBUTE y;
-- losing: column w\.t\.p

-- wreck: an attribute is added to the elements of an array
CREATE TYPE w.p AS (x int, y int); CREATE TABLE w.t (id int PRIMARY KEY, p w.p[]); INSERT INTO w.t VALUES (1, '{"(1,2)","(3,4)"}'), (2, '{}');
-- release:
ALTER TYPE w.p ADD ATTRIBUTE z int; UPDATE w.t SET p = ARRAY[ROW(1, 2, 9)::w.p] WHERE id = 1;
-- losing: column w\.t\.p

-- wreck: an attribute is added to what a domain is of
CREATE TYPE w.p AS (x int, y int); CREATE DOMAIN w.d AS w.p; CREATE TABLE w.t (id int PRIMARY KEY, p w.d); INSERT INTO w.t VALUES (1, '(1,2)');
-- release:
ALTER TYPE w.p ADD ATTRIBUTE z int; UPDATE w.t SET p = ROW(1, 2, 9)::w.p WHERE id = 1;
-- losing: column w\.t\.p

-- wreck: an attribute is added to what another composite type has
CREATE TYPE w.p AS (x int, y int); CREATE TYPE w.q AS (name text, p w.p); CREATE TABLE w.t (id int PRIMARY KEY, q w.q);
INSERT INTO w.t VALUES (1, ROW('n', ROW(1, 2)));
-- release:
ALTER TYPE w.p ADD ATTRIBUTE z int; UPDATE w.t SET q.p.z = 5;
-- losing: column w\.t\.q

-- wreck: an attribute is renamed
CREATE TYPE w.p AS (x int, y int); CREATE TABLE w.t (id int PRIMARY KEY, p w.p); INSERT INTO w.t VALUES (1, '(1,2)');
-- release:
ALTER TYPE w.p RENAME ATTRIBUTE y TO z;
-- losing: column w\.t\.p

-- wreck: a domain is looser and a row makes use of it
CREATE DOMAIN w.d AS int CONSTRAINT small CHECK (VALUE < 100); CREATE TABLE w.t (id int PRIMARY KEY, d w.d); INSERT INTO w.t VALUES (1, 50);
-- release:
ALTER DOMAIN w.d DROP CONSTRAINT small; INSERT INTO w.t VALUES (2, 500);
-- refused: domain w\.d

-- wreck: a domain may be empty and a row makes use of it
CREATE DOMAIN w.d AS int NOT NULL; CREATE TABLE w.t (id int PRIMARY KEY, d w.d); INSERT INTO w.t VALUES (1, 50);
-- release:
ALTER DOMAIN w.d DROP NOT NULL; INSERT INTO w.t VALUES (2, NULL);
-- refused: w\.t: 1 row whose d domain w\.d forbids \(NOT NULL\), for example id 2

-- wreck: a domain of a domain is looser and a row makes use of it
CREATE DOMAIN w.d AS int CONSTRAINT small CHECK (VALUE < 100); CREATE DOMAIN w.e AS w.d; CREATE TABLE w.t (id int PRIMARY KEY, e w.e);
-- release:
ALTER DOMAIN w.d DROP CONSTRAINT small; INSERT INTO w.t VALUES (2, 500);
-- refused: domain w\.d forbids \(small\), for example id 2

-- wreck: the elements of an array are of a domain that is looser
CREATE DOMAIN w.d AS int CONSTRAINT small CHECK (VALUE < 100); CREATE TABLE w.t (id int PRIMARY KEY, d w.d[]);
-- release:
ALTER DOMAIN w.d DROP CONSTRAINT small;
-- refused: domain w\.d is in the values of w\.d\[\] in column w\.t\.d

-- wreck: a domain is looser and no row makes use of it
CREATE DOMAIN w.d AS int CONSTRAINT small CHECK (VALUE < 100); CREATE TABLE w.t (id int PRIMARY KEY, d w.d); INSERT INTO w.t VALUES (1, 50);
-- release:
ALTER DOMAIN w.d DROP CONSTRAINT small; INSERT INTO w.t VALUES (2, 60), (3, NULL);
-- rows:

-- wreck: a column is added to a table whose rows another table holds
CREATE TABLE w.p (x int, y text); CREATE TABLE w.t (id int PRIMARY KEY, c w.p, d w.p[]); INSERT INTO w.t VALUES (1, ROW(1, 'a'), NULL);
-- release:
ALTER TABLE w.p ADD COLUMN z text; UPDATE w.t SET c = ROW(1, 'a', 'z'), d = ARRAY[ROW(2, 'b', 'zz')::w.p];
-- losing: column w\.t\.c, column w\.t\.d[^:;]*: would be dropped and cannot be saved

-- wreck: a column is dropped from a table whose rows are in those that another table holds
CREATE TABLE w.p (x int, y text, z text); CREATE TABLE w.t (id int PRIMARY KEY, c w.p); CREATE TABLE w.u (id int PRIMARY KEY, t w.t);
INSERT INTO w.u VALUES (1, ROW(1, ROW(1, 'a', 'z')));
-- release:
ALTER TABLE w.p DROP COLUMN z;
-- losing: column w\.u\.t[^:;]*: would be recreated without its data

-- wreck: a column with a default is dropped from a table whose rows another table holds
CREATE TABLE w.p (x int, y text DEFAULT 'a'); CREATE TABLE w.t (id int PRIMARY KEY, c w.p);
-- release:
ALTER TABLE w.p DROP COLUMN y;
-- impossible: column w\.p\.y cannot be added: column w\.t\.c holds rows of its table

-- wreck: a column of a table whose rows another table holds is renamed
CREATE TABLE w.p (x int, y text DEFAULT 'a'); CREATE TABLE w.t (id int PRIMARY KEY, c w.p); INSERT INTO w.t VALUES (1, ROW(1, 'a'));
-- release:
ALTER TABLE w.p RENAME COLUMN y TO z; ALTER TABLE w.t RENAME TO u;

-- wreck: the type of a typed table gets an attribute
CREATE TYPE w.ty AS (id int, a text); CREATE TABLE w.t OF w.ty (PRIMARY KEY (id)); INSERT INTO w.t VALUES (1, 'x');
-- release:
ALTER TYPE w.ty ADD ATTRIBUTE b text CASCADE; UPDATE w.t SET b = 'y';
-- impossible: column w\.t\.b cannot be dropped: its table is of type w\.ty

-- wreck: the type of a typed table loses an attribute
CREATE TYPE w.ty AS (id int, a text); CREATE TABLE w.t OF w.ty (PRIMARY KEY (id));
-- release:
ALTER TYPE w.ty DROP ATTRIBUTE a CASCADE;
-- impossible: column w\.t\.a cannot be added: its table is of type w\.ty

-- wreck: a composite column is added, with values of which attributes are empty
CREATE TYPE w.p AS (x int, y text); CREATE TABLE w.t (id int PRIMARY KEY); INSERT INTO w.t VALUES (1), (2), (3);
-- release:
ALTER TABLE w.t ADD COLUMN p w.p; UPDATE w.t SET p = ROW(5, NULL) WHERE id = 1; UPDATE w.t SET p = ROW(NULL, NULL) WHERE id = 2;
