# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two states of types, functions, casts, operators, collations, views and what hangs on tables, and whether one can become
the other where it stands."""

from __future__ import annotations

import re
from typing import NamedTuple


class Pair(NamedTuple):
    """SQL for two states, made in schema s, and for what is there in both. `in_place` says in which directions nothing has to be
    dropped and made again: both, there (to the second state), back, neither."""

    name: str
    before: str
    after: str
    in_place: str
    there: str = ""
    schema: str = "s"

    def placed(self, schema: str) -> Pair:
        """The same in another schema, so that several fit into one database."""
        before, after, there = (SCHEMA.sub(schema, text) for text in (self.before, self.after, self.there))
        return self._replace(before=before, after=after, there=there, schema=schema)


#: Where the schema is named.
SCHEMA = re.compile(r"(?<![\w'])s(?=\.)|(?<=SCHEMA )s\b|(?<=search_path = )s\b")


TABLE = "CREATE TABLE t (id int, who text, at timestamptz)"
PARTED = """
CREATE TABLE t (id int, who text) PARTITION BY RANGE (id);
CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (10) TO (20)
"""
FIRES = "CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
FIRING = f"{TABLE};{FIRES}"
FIRING_PARTED = f"{PARTED};{FIRES}"
ADDS = "CREATE FUNCTION adds(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT coalesce($1, 0) + $2'"
ON_T = "CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();"
VIEW = "CREATE VIEW v AS SELECT id, who FROM t;"
STORED = "CREATE MATERIALIZED VIEW m AS SELECT id, who FROM t;"

TYPES = [
    Pair("enum labels added everywhere", "CREATE TYPE e AS ENUM ('b', 'd')",
        "CREATE TYPE e AS ENUM ('a', 'b', 'c', 'c2', 'd', 'e')", "there"),
    Pair("enum labels in another order", "CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TYPE e AS ENUM ('b', 'a')", "neither"),
    Pair("enum label renamed", "CREATE TYPE e AS ENUM ('a', 'b')", "CREATE TYPE e AS ENUM ('a', 'c')", "both"),
    Pair("enum with an odd name", """
        CREATE TYPE "Stimmung ""neu"" x" AS ENUM ('it''s', 'back\\slash')""", """
        CREATE TYPE "Stimmung ""neu"" x" AS ENUM ('it''s', 'größer "so"', 'back\\slash', ' ');
        COMMENT ON TYPE "Stimmung ""neu"" x" IS 'it''s \\ ü'""", "there"),
    Pair("enum without labels", "CREATE TYPE e AS ENUM ()", "CREATE TYPE e AS ENUM ('x', 'y')", "there"),
    Pair("enum of another owner", "CREATE TYPE e AS ENUM ('x'); COMMENT ON TYPE e IS 'one'", """
        CREATE TYPE e AS ENUM ('x'); ALTER TYPE e OWNER TO pair_owner; REVOKE ALL ON TYPE e FROM PUBLIC;
        GRANT USAGE ON TYPE e TO "Pair ""reader"" ü" """, "both"),
    Pair("domain default and not null", "CREATE DOMAIN d AS int DEFAULT 1", "CREATE DOMAIN d AS int NOT NULL", "both"),
    Pair("domain default another", "CREATE DOMAIN d AS text DEFAULT 'it''s \\'", "CREATE DOMAIN d AS text DEFAULT 'b' || 'c'", "both"),
    Pair("domain constraints", """
        CREATE DOMAIN d AS int CONSTRAINT goes CHECK (VALUE > 0) CONSTRAINT stays CHECK (VALUE < 9) CONSTRAINT turns CHECK (VALUE <> 5);
        COMMENT ON CONSTRAINT stays ON DOMAIN d IS 'first'; COMMENT ON CONSTRAINT turns ON DOMAIN d IS 'turned'""", """
        CREATE DOMAIN d AS int CONSTRAINT stays CHECK (VALUE < 9) CONSTRAINT turns CHECK (VALUE <> 6)
            CONSTRAINT "ist neu, ""ü"" x" CHECK (VALUE % 2 = 0);
        COMMENT ON CONSTRAINT stays ON DOMAIN d IS 'second'; COMMENT ON CONSTRAINT turns ON DOMAIN d IS 'turned';
        COMMENT ON CONSTRAINT "ist neu, ""ü"" x" ON DOMAIN d IS 'it''s new'""", "both"),
    Pair("domain constraint validated", """
        CREATE DOMAIN d AS int; ALTER DOMAIN d ADD CONSTRAINT c CHECK (VALUE > 0) NOT VALID;
        COMMENT ON CONSTRAINT c ON DOMAIN d IS 'x'""", """
        CREATE DOMAIN d AS int CONSTRAINT c CHECK (VALUE > 0); COMMENT ON CONSTRAINT c ON DOMAIN d IS 'x'""", "both"),
    Pair("domain of another type", "CREATE DOMAIN d AS varchar(10)", "CREATE DOMAIN d AS varchar(20)", "neither"),
    Pair("domain of another collation", "CREATE DOMAIN d AS text", 'CREATE DOMAIN d AS text COLLATE "C"', "neither"),
    Pair("domain over a domain with an odd name", """
        CREATE DOMAIN "Ein Maß" AS numeric(8, 2); CREATE DOMAIN "d 2" AS "Ein Maß" DEFAULT 0.5""", """
        CREATE DOMAIN "Ein Maß" AS numeric(8, 2) NOT NULL; CREATE DOMAIN "d 2" AS "Ein Maß" DEFAULT 1.5""", "both"),
    Pair("composite with more", "CREATE TYPE c AS (a int)", """
        CREATE TYPE c AS (a int, b text COLLATE "C", c numeric(9, 3)[]); COMMENT ON COLUMN c.b IS 'it''s b'""", "both"),
    Pair("composite without its first", "CREATE TYPE c AS (a int, b text, c text)", "CREATE TYPE c AS (b text, c text)", "there"),
    Pair("composite all otherwise", """
        CREATE TYPE c AS (a int, b text, c text, d bool); COMMENT ON COLUMN c.b IS 'b'; COMMENT ON TYPE c IS 'c'""", """
        CREATE TYPE c AS (b text COLLATE "C", c varchar(3), d bool, e date); COMMENT ON COLUMN c.b IS 'B'; COMMENT ON COLUMN c.d IS 'D'
        """, "there"),
    Pair("composite in another order", "CREATE TYPE c AS (a int, b text)", "CREATE TYPE c AS (b text, a int)", "neither"),
    Pair("composite with odd names", """
        CREATE TYPE "Ein Typ" AS ("a.b" int, "ü ""q"" x" text); COMMENT ON COLUMN "Ein Typ"."a.b" IS 'dot'""", """
        CREATE TYPE "Ein Typ" AS ("a.b" bigint, "ü ""q"" x" text, "SELECT" int)""", "both"),
    Pair("composite of nothing", "CREATE TYPE c AS ()", "CREATE TYPE c AS (a int)", "both"),
    Pair("composite in a composite", "CREATE TYPE i AS (a int); CREATE TYPE c AS (i i, e int)", """
        CREATE TYPE i AS (a int); CREATE TYPE c AS (i i, e int, j i[])""", "both"),
    Pair("range with more", "CREATE TYPE r AS RANGE (subtype = float8)", """
        CREATE TYPE r AS RANGE (subtype = float8, subtype_diff = float8mi, multirange_type_name = "Viele r")""", "neither"),
    Pair("range of text", """
        CREATE TYPE "Ein r" AS RANGE (subtype = text, collation = "C", subtype_opclass = text_pattern_ops)""", """
        CREATE TYPE "Ein r" AS RANGE (subtype = text); COMMENT ON TYPE "Ein r" IS 'range'""", "neither"),
    Pair("range with a function of its own", "CREATE TYPE r AS RANGE (subtype = int, subtype_diff = \"odd (diff\")", """
        CREATE TYPE r AS RANGE (subtype = int, subtype_diff = "odd (diff"); COMMENT ON TYPE r IS 'x'""", "both", """
        CREATE FUNCTION "odd (diff"(int, int) RETURNS float8 LANGUAGE sql IMMUTABLE AS 'SELECT ($1 - $2)::float8'"""),
    Pair("a view of changed types", """
        CREATE TYPE e AS ENUM ('a', 'b'); CREATE VIEW v AS SELECT 'b'::e AS e; COMMENT ON VIEW v IS 'on e'""", """
        CREATE TYPE e AS ENUM ('b'); CREATE VIEW v AS SELECT 'b'::e AS e, 1 AS one; GRANT SELECT (e) ON v TO pair_reader""", "neither"),
]  # fmt: skip

FUNCTIONS = [
    Pair("function with another body", "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN '$x$ %s \\'::text::int; END $$""", "both"),
    Pair("function with settings", "CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql STABLE STRICT SECURITY DEFINER LEAKPROOF PARALLEL SAFE COST 7 ROWS 8
        SUPPORT generate_series_int4_support SET search_path = s, "Ein Schema", pg_temp SET work_mem = '8MB' AS 'SELECT 2'""", "both"),
    Pair("function with another result", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'""", "neither"),
    Pair("function that gives a set", "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f() RETURNS SETOF int LANGUAGE sql AS 'SELECT 1'""", "neither"),
    Pair("parameter renamed", "CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql AS 'SELECT $1'", """
        CREATE FUNCTION f(b int) RETURNS int LANGUAGE sql AS 'SELECT $1'""", "neither"),
    Pair("parameters named", "CREATE FUNCTION f(double precision, VARIADIC int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f("double" double precision, VARIADIC "x DEFAULT, y" int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'""", "there"),
    Pair("defaults added", "CREATE FUNCTION f(a int, b text) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(a int DEFAULT 1, b text DEFAULT 'x, y'')(') RETURNS int LANGUAGE sql AS 'SELECT 1'""", "there"),
    Pair("default changed", "CREATE FUNCTION f(a int[] DEFAULT ARRAY[1, 2]) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(a int[] DEFAULT '{3,4}') RETURNS int LANGUAGE sql AS 'SELECT 1'""", "both"),
    Pair("polymorphic default", "CREATE FUNCTION f(a anyelement DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(a anyelement DEFAULT 'x'::text) RETURNS int LANGUAGE sql AS 'SELECT 1'""", "neither"),
    Pair("OUT renamed", "CREATE FUNCTION f(a int, OUT b int, OUT c int) LANGUAGE sql AS 'SELECT 1, 2'", """
        CREATE FUNCTION f(a int, OUT b int, OUT d int) LANGUAGE sql AS 'SELECT 1, 2'""", "neither"),
    Pair("OUT and INOUT stay", "CREATE FUNCTION f(INOUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2'", """
        CREATE FUNCTION f(INOUT a int DEFAULT 5, OUT b int) LANGUAGE sql AS 'SELECT 3, 4'""", "there"),
    Pair("INOUT named", "CREATE FUNCTION f(INOUT int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2'", """
        CREATE FUNCTION f(INOUT a int, OUT b int) LANGUAGE sql AS 'SELECT 1, 2'""", "neither"),
    Pair("a table's columns", "CREATE FUNCTION f(a int) RETURNS TABLE (b int, c text) LANGUAGE sql AS $$ SELECT 1, 'x' $$", """
        CREATE FUNCTION f(a int) RETURNS TABLE (b int, d text) LANGUAGE sql AS $$ SELECT 1, 'x' $$""", "neither"),
    Pair("a table's body", "CREATE FUNCTION f(a int) RETURNS TABLE (b int, c text) LANGUAGE sql AS $$ SELECT 1, 'x' $$", """
        CREATE FUNCTION f(a int) RETURNS TABLE (b int, c text) LANGUAGE sql AS $$ SELECT 2, 'y' $$""", "both"),
    Pair("array or variadic", "CREATE FUNCTION f(a int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(VARIADIC a int[]) RETURNS int LANGUAGE sql AS 'SELECT 1'""", "neither"),
    Pair("procedures and functions of one name", """
        CREATE PROCEDURE p(int) LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE p(OUT a int) LANGUAGE sql AS 'SELECT 1';
        CREATE FUNCTION p(text) RETURNS int LANGUAGE sql AS 'SELECT 1'; COMMENT ON PROCEDURE p(IN int) IS 'in'""", """
        CREATE PROCEDURE p(int) LANGUAGE sql AS 'SELECT 2'; CREATE PROCEDURE p(OUT a int) LANGUAGE sql AS 'SELECT 2';
        CREATE FUNCTION p(text) RETURNS int LANGUAGE sql AS 'SELECT 2'; COMMENT ON PROCEDURE p(IN int) IS 'in'""", "both"),
    Pair("procedure with all modes", """
        CREATE PROCEDURE p(IN a int, OUT b int, INOUT c text DEFAULT 'x') LANGUAGE plpgsql AS 'BEGIN b := 1; END'""", """
        CREATE PROCEDURE p(IN a int, OUT b int, INOUT c text DEFAULT 'y') LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN b := 2; END'
        """, "both"),
    Pair("procedure or function", "CREATE PROCEDURE f(a int) LANGUAGE sql AS 'SELECT 1'", """
        CREATE FUNCTION f(a int) RETURNS void LANGUAGE sql AS 'SELECT 1'""", "neither"),
    Pair("window function", """
        CREATE FUNCTION w() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_row_number'""", """
        CREATE FUNCTION w() RETURNS bigint LANGUAGE internal WINDOW IMMUTABLE AS 'window_rank'; COMMENT ON FUNCTION w() IS 'rank'
        """, "both"),
    Pair("window or plain", "CREATE FUNCTION w() RETURNS bigint LANGUAGE internal WINDOW AS 'window_row_number'", """
        CREATE FUNCTION w() RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint'""", "neither"),
    Pair("a body that is parsed", """
        CREATE FUNCTION f(a int) RETURNS int BEGIN ATOMIC INSERT INTO t (id) VALUES (a); SELECT id FROM t; END""", """
        CREATE FUNCTION f(a int) RETURNS int RETURN (SELECT count(*) FROM t WHERE id = a)""", "both", TABLE),
    Pair("overloads with odd names", """
        CREATE TYPE "my (type" AS ENUM (); CREATE FUNCTION "f (x, ""y"" x" (a "my (type", "b, c" text DEFAULT 'd') RETURNS text
        LANGUAGE sql AS 'SELECT $2'; CREATE FUNCTION "f (x, ""y"" x" () RETURNS text LANGUAGE sql AS $$ SELECT 'z' $$""", """
        CREATE TYPE "my (type" AS ENUM (); CREATE FUNCTION "f (x, ""y"" x" (a "my (type", "b, c" text DEFAULT 'e') RETURNS text
        LANGUAGE sql AS 'SELECT $2 || 1'; COMMENT ON FUNCTION "f (x, ""y"" x" ("my (type", text) IS 'it''s'""", "both"),
    Pair("function with grants", """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION f() FROM PUBLIC""", """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; ALTER FUNCTION f() OWNER TO pair_owner;
        GRANT EXECUTE ON FUNCTION f() TO pair_reader WITH GRANT OPTION; COMMENT ON FUNCTION f() IS 'f'""", "both"),
    Pair("function in a view that stays", """
        CREATE FUNCTION f(a int DEFAULT 1) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f() AS f""", """
        CREATE FUNCTION f(a int DEFAULT 2) RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE VIEW v AS SELECT f() AS f""", "both"),
    Pair("function in a view that goes", """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT f() AS f; CREATE VIEW w AS TABLE v""", """
        CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$; CREATE VIEW v AS SELECT f() AS f; CREATE VIEW w AS TABLE v
        """, "neither"),
    Pair("function of a domain's default", """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE DOMAIN d AS int DEFAULT s.f() CHECK (VALUE > s.f())""", """
        CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 2'; CREATE DOMAIN d AS int CHECK (VALUE > s.f() + 1)""", "both"),
    Pair("aggregate", "CREATE AGGREGATE a(int) (SFUNC = adds, STYPE = int)", """
        CREATE AGGREGATE a(int) (SFUNC = adds, STYPE = int, INITCOND = '5', COMBINEFUNC = adds, SSPACE = 100, PARALLEL = SAFE);
        COMMENT ON AGGREGATE a(int) IS 'sum'""", "both", ADDS),
    Pair("aggregate that starts with nothing", "CREATE AGGREGATE a(text) (SFUNC = textcat, STYPE = text, INITCOND = '')", """
        CREATE AGGREGATE a(text) (SFUNC = textcat, STYPE = text, PARALLEL = RESTRICTED)""", "both"),
    Pair("aggregate with all", """
        CREATE AGGREGATE a(int) (SFUNC = int4_avg_accum, STYPE = bigint[], FINALFUNC = int8_avg, COMBINEFUNC = int4_avg_combine,
            INITCOND = '{0,0}', MSFUNC = int4_avg_accum, MINVFUNC = int4_avg_accum_inv, MSTYPE = bigint[], MSSPACE = 64,
            MFINALFUNC = int8_avg, MINITCOND = '{0,0}', FINALFUNC_MODIFY = SHAREABLE, MFINALFUNC_MODIFY = READ_WRITE)""", """
        CREATE AGGREGATE a(int) (SFUNC = int4_avg_accum, STYPE = bigint[], FINALFUNC = int8_avg, INITCOND = '{0,0}')""", "both"),
    Pair("aggregate of internal state", """
        CREATE AGGREGATE a(bigint) (SFUNC = int8_avg_accum, STYPE = internal, SSPACE = 48, FINALFUNC = numeric_poly_avg,
            COMBINEFUNC = int8_avg_combine, SERIALFUNC = int8_avg_serialize, DESERIALFUNC = int8_avg_deserialize, PARALLEL = SAFE)
        """, """
        CREATE AGGREGATE a(bigint) (SFUNC = int8_avg_accum, STYPE = internal, FINALFUNC = numeric_poly_sum)""", "both"),
    Pair("aggregate with extra arguments", """
        CREATE AGGREGATE a(int) (SFUNC = adds, STYPE = int, FINALFUNC = ends, FINALFUNC_EXTRA, MSFUNC = adds, MINVFUNC = adds,
            MSTYPE = int, MFINALFUNC = ends, MFINALFUNC_EXTRA)""", """
        CREATE AGGREGATE a(int) (SFUNC = adds, STYPE = int, FINALFUNC = ends, FINALFUNC_EXTRA)""", "both", f"""
        {ADDS}; CREATE FUNCTION ends(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1'"""),
    Pair("ordered set", """
        CREATE AGGREGATE a(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal,
            FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA)""", """
        CREATE AGGREGATE a(float8 ORDER BY anyelement) (SFUNC = ordered_set_transition, STYPE = internal, SSPACE = 9,
            FINALFUNC = percentile_disc_final, FINALFUNC_EXTRA, FINALFUNC_MODIFY = READ_ONLY); COMMENT ON AGGREGATE a(float8 ORDER BY
            anyelement) IS 'disc'""", "both"),
    Pair("hypothetical set", """
        CREATE AGGREGATE a(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal,
            FINALFUNC = rank_final, FINALFUNC_EXTRA, HYPOTHETICAL)""", """
        CREATE AGGREGATE a(VARIADIC "any" ORDER BY VARIADIC "any") (SFUNC = ordered_set_transition_multi, STYPE = internal,
            FINALFUNC = dense_rank_final, FINALFUNC_EXTRA, HYPOTHETICAL)""", "both"),
    Pair("aggregate of rows", "CREATE AGGREGATE a(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '0')", """
        CREATE AGGREGATE a(*) (SFUNC = int8inc, STYPE = int8, INITCOND = '7'); ALTER AGGREGATE a(*) OWNER TO pair_owner;
        REVOKE ALL ON FUNCTION a() FROM PUBLIC; COMMENT ON AGGREGATE a(*) IS 'rows'""", "both"),
    Pair("aggregate of another result", "CREATE AGGREGATE a(int) (SFUNC = adds, STYPE = int)", """
        CREATE AGGREGATE a(int) (SFUNC = int4_sum, STYPE = int8)""", "neither", ADDS),
    Pair("aggregate with an order", """
        CREATE AGGREGATE a("The x" text) (SFUNC = text_larger, STYPE = text, SORTOP = >)""", """
        CREATE AGGREGATE a("The x" text) (SFUNC = text_larger, STYPE = text)""", "both"),
    Pair("aggregate with an order of its own", 'CREATE AGGREGATE "a (b"(int) (SFUNC = "odd (f", STYPE = int, SORTOP = <<<)', """
        CREATE AGGREGATE "a (b"(int) (SFUNC = "odd (f", STYPE = int)""", "both", """
        CREATE FUNCTION "odd (f"(int, int) RETURNS int LANGUAGE sql AS 'SELECT 1';
        CREATE OPERATOR <<< (FUNCTION = int4lt, LEFTARG = int, RIGHTARG = int)"""),
]  # fmt: skip

PRICE = (
    "CREATE TYPE price AS (value numeric, unit text); CREATE FUNCTION worth(price) RETURNS numeric RETURN ($1).value"
)
EQUAL = "CREATE FUNCTION eq(text, text) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'texteq'"
#: Of ICU, or of the provider that the server has.
COLLATION = """
DO $do$ BEGIN EXECUTE 'CREATE COLLATION "Ein c" (' || CASE
    WHEN EXISTS (SELECT FROM pg_collation WHERE collname = 'de-x-icu') THEN $$provider = icu, @icu$$ || CASE
        WHEN current_setting('server_version_num')::int >= 160000 THEN $$@rules$$ ELSE '' END
    WHEN current_setting('server_version_num')::int >= 170000 THEN $$provider = builtin, locale = '@builtin'$$
    ELSE $$provider = libc, locale = '@libc'$$ END || ')'; END $do$"""


def collation(**texts: str) -> str:
    """What makes it, with texts in the places of their names."""
    return re.sub(r"@(\w+)", lambda found: texts.get(found[1], ""), COLLATION)


TERMS = [
    Pair("cast by a function", "CREATE CAST (price AS numeric) WITH FUNCTION worth(price)", """
        CREATE CAST (price AS numeric) WITH FUNCTION worth(price) AS IMPLICIT; COMMENT ON CAST (price AS numeric) IS 'it''s'
        """, "neither", PRICE),
    Pair("cast by text", "CREATE CAST (price AS date) WITH INOUT", """
        CREATE CAST (price AS date) WITH INOUT AS ASSIGNMENT; CREATE CAST (price AS varchar) WITH INOUT""", "neither", PRICE),
    Pair("cast with a comment", """CREATE CAST ("Ein r" AS text) WITH INOUT; COMMENT ON CAST ("Ein r" AS text) IS 'as it is'""", """
        CREATE CAST ("Ein r" AS text) WITH INOUT""", "both", 'CREATE TYPE "Ein r" AS RANGE (subtype = int)'),
    Pair("cast in a view", """
        CREATE CAST (price AS numeric) WITH FUNCTION worth(price); CREATE VIEW v AS SELECT ROW(1, 'x')::price::numeric AS n""", """
        CREATE CAST (price AS numeric) WITH FUNCTION worth(price) AS ASSIGNMENT;
        CREATE VIEW v AS SELECT ROW(1, 'x')::price::numeric AS n""", "neither", PRICE),
    Pair("operator by another function", "CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text)", """
        CREATE FUNCTION "odd (f"(text, text) RETURNS bool LANGUAGE sql AS 'SELECT $1 < $2';
        CREATE OPERATOR === (FUNCTION = "odd (f", LEFTARG = text, RIGHTARG = text); COMMENT ON OPERATOR === (text, text) IS 'it''s'
        """, "neither", EQUAL),
    Pair("operators that name each other", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text, COMMUTATOR = ===, NEGATOR = !==, RESTRICT = eqsel,
            JOIN = eqjoinsel, HASHES, MERGES);
        CREATE OPERATOR !== (FUNCTION = ne, LEFTARG = text, RIGHTARG = text, COMMUTATOR = !==, NEGATOR = ===)""", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text);
        CREATE OPERATOR !== (FUNCTION = ne, LEFTARG = text, RIGHTARG = text)""", "neither", f"""
        {EQUAL}; CREATE FUNCTION ne(text, text) RETURNS bool LANGUAGE internal IMMUTABLE STRICT AS 'textne'"""),
    Pair("operator thought to find more", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text, RESTRICT = eqsel)""", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text, RESTRICT = neqsel, JOIN = neqjoinsel);
        ALTER OPERATOR === (text, text) OWNER TO pair_owner; COMMENT ON OPERATOR === (text, text) IS 'mine'""", "both", f"""
        {EQUAL}; GRANT ALL ON SCHEMA s TO pair_owner"""),
    Pair("operator of one side", "CREATE OPERATOR !! (FUNCTION = int4um, RIGHTARG = int)", """
        CREATE OPERATOR !! (FUNCTION = int4abs, RIGHTARG = int)""", "neither"),
    Pair("operator in an index and a view", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text); CREATE VIEW v AS SELECT 'a'::text === 'b' AS same""", """
        CREATE OPERATOR === (FUNCTION = eq, LEFTARG = text, RIGHTARG = text, COMMUTATOR = ===);
        CREATE VIEW v AS SELECT 'a'::text === 'b' AS same; COMMENT ON VIEW v IS 'same'""", "neither", EQUAL),
    Pair("collation of the C library", "CREATE COLLATION c (provider = libc, locale = 'C')", """
        CREATE COLLATION c (provider = libc, lc_collate = 'C', lc_ctype = 'POSIX'); COMMENT ON COLLATION c IS 'it''s'""", "neither"),
    Pair("collation of what the server has", collation(icu="locale = 'de'", builtin="C", libc="C"), collation(
        icu="locale = 'de-u-co-phonebk', deterministic = false", rules=", rules = '&V << w <<< W'", builtin="C.UTF-8", libc="POSIX"),
        "neither"),
    Pair("collation of another owner", "CREATE COLLATION c FROM \"C\"", """
        CREATE COLLATION c FROM "C"; ALTER COLLATION c OWNER TO pair_owner; COMMENT ON COLLATION c IS 'mine'""", "both", """
        GRANT ALL ON SCHEMA s TO pair_owner"""),
    Pair("collation of a type", """
        CREATE COLLATION c (provider = libc, locale = 'C'); CREATE DOMAIN d AS text COLLATE c; CREATE TYPE t AS (a text COLLATE c)""", """
        CREATE COLLATION c (provider = libc, locale = 'POSIX'); CREATE DOMAIN d AS text COLLATE c; CREATE TYPE t AS (a text COLLATE c)
        """, "neither"),
]  # fmt: skip

VIEWS = [
    Pair("view with another body", VIEW, "CREATE VIEW v AS SELECT id, upper(who) AS who FROM t WHERE at IS NOT NULL", "both", TABLE),
    Pair("view with more columns", VIEW, """
        CREATE VIEW v AS SELECT id, who, at, 'x' AS "Neu ""ü"" x" FROM t; ALTER VIEW v ALTER "Neu ""ü"" x" SET DEFAULT 'it''s';
        COMMENT ON COLUMN v."Neu ""ü"" x" IS 'new'; GRANT SELECT ("Neu ""ü"" x") ON v TO pair_reader""", "there", TABLE),
    Pair("view with a column less", VIEW, "CREATE VIEW v AS SELECT who FROM t", "neither", TABLE),
    Pair("view column of another type", VIEW, "CREATE VIEW v AS SELECT id::bigint, who FROM t", "neither", TABLE),
    Pair("view column of another length", VIEW, "CREATE VIEW v AS SELECT id, who::varchar(9) FROM t", "neither", TABLE),
    Pair("view column of another collation", VIEW, 'CREATE VIEW v AS SELECT id, who COLLATE "C" AS who FROM t', "neither", TABLE),
    Pair("view column renamed", VIEW, "CREATE VIEW v (id, whom) AS SELECT id, who FROM t", "neither", TABLE),
    Pair("view options", "CREATE VIEW v WITH (security_barrier) AS SELECT id FROM t", """
        CREATE VIEW v AS SELECT id FROM t WITH LOCAL CHECK OPTION; COMMENT ON VIEW v IS 'v'""", "both", TABLE),
    Pair("view options with another body", "CREATE VIEW v WITH (security_barrier = true) AS SELECT id FROM t", """
        CREATE VIEW v AS SELECT id FROM t WHERE id > 1 WITH CASCADED CHECK OPTION""", "both", TABLE),
    Pair("view options go with another body", "CREATE VIEW v WITH (security_barrier = true) AS SELECT id FROM t", """
        CREATE VIEW v AS SELECT id FROM t WHERE id > 1""", "both", TABLE),
    Pair("view defaults and comments", f"""{VIEW} ALTER VIEW v ALTER who SET DEFAULT 'a'; COMMENT ON COLUMN v.id IS 'one'""", f"""
        {VIEW} ALTER VIEW v ALTER who SET DEFAULT 'b' || 'c'; ALTER VIEW v ALTER id SET DEFAULT 7; COMMENT ON COLUMN v.id IS 'it''s 2';
        COMMENT ON COLUMN v.who IS 'who'""", "both", TABLE),
    Pair("view grants on columns", f"""{VIEW} GRANT SELECT (id), UPDATE (id) ON v TO pair_reader""", f"""
        {VIEW} GRANT SELECT (id) ON v TO pair_reader WITH GRANT OPTION; GRANT SELECT (who) ON v TO PUBLIC;
        GRANT INSERT (who) ON v TO "Pair ""reader"" ü" """, "both", TABLE),
    Pair("view grants from hand to hand", f"""
        {VIEW} ALTER VIEW v OWNER TO pair_owner; GRANT SELECT ON v TO pair_reader WITH GRANT OPTION;
        SET LOCAL ROLE pair_reader; GRANT SELECT (id) ON v TO "Pair ""reader"" ü"; RESET ROLE""", f"""
        {VIEW} ALTER VIEW v OWNER TO pair_owner; GRANT SELECT (id) ON v TO pair_reader WITH GRANT OPTION;
        SET LOCAL ROLE pair_reader; GRANT SELECT (id) ON v TO "Pair ""reader"" ü" WITH GRANT OPTION; RESET ROLE""", "both", f"""
        {TABLE}; GRANT USAGE ON SCHEMA s TO pair_reader, pair_owner"""),
    Pair("view of another owner, columns granted to the first", f"""{VIEW} GRANT SELECT (id) ON v TO pair_owner""", f"""
        {VIEW} ALTER VIEW v OWNER TO pair_owner; GRANT SELECT (id) ON v TO postgres, pair_owner""", "both", TABLE),
    Pair("views in a row", """
        CREATE VIEW a AS SELECT id FROM t; CREATE VIEW b AS SELECT id FROM a; CREATE MATERIALIZED VIEW c AS TABLE b;
        COMMENT ON VIEW b IS 'b'""", """
        CREATE VIEW a AS SELECT who AS id FROM t; CREATE VIEW b AS SELECT id FROM a; CREATE MATERIALIZED VIEW c AS TABLE b;
        COMMENT ON VIEW b IS 'b'""", "neither", TABLE),
    Pair("view with odd names", """
        CREATE VIEW "Eine ""Sicht""; --" ("a b", "ü") AS SELECT id, 'x;' FROM t""", """
        CREATE VIEW "Eine ""Sicht""; --" ("a b", "ü", "SELECT") AS SELECT id, 'y;', 1 FROM t""", "there", TABLE),
    Pair("recursive view", "CREATE RECURSIVE VIEW v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 5", """
        CREATE RECURSIVE VIEW v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 6""", "both"),
    Pair("view of nothing", "CREATE VIEW v AS SELECT", "CREATE VIEW v AS SELECT 1 AS a", "there"),
    Pair("only there afterwards", "", f"{VIEW} {STORED}", "both", TABLE),
    Pair("materialized view options", """
        CREATE MATERIALIZED VIEW m WITH (fillfactor = 70, toast.autovacuum_enabled = false) AS SELECT id, who FROM t""", """
        CREATE MATERIALIZED VIEW m WITH (autovacuum_enabled = false, fillfactor = 80, toast.vacuum_truncate = false) AS
        SELECT id, who FROM t; COMMENT ON MATERIALIZED VIEW m IS 'm'""", "both", TABLE),
    Pair("materialized view with another body", STORED,
        "CREATE MATERIALIZED VIEW m AS SELECT id, who FROM t WHERE id > 0", "neither", TABLE),
    Pair("materialized view column of another collation", STORED, """
        CREATE MATERIALIZED VIEW m AS SELECT id, who COLLATE "C" AS who FROM t""", "neither", TABLE),
    Pair("materialized view with more columns", STORED, "CREATE MATERIALIZED VIEW m AS SELECT id, who, at FROM t", "neither", TABLE),
    Pair("materialized view columns", f"""
        {STORED} ALTER MATERIALIZED VIEW m ALTER who SET COMPRESSION pglz; ALTER MATERIALIZED VIEW m ALTER id SET STATISTICS 50;
        ALTER MATERIALIZED VIEW m ALTER id SET (n_distinct = -0.5); COMMENT ON COLUMN m.id IS 'id'; GRANT SELECT (id) ON m TO PUBLIC
        """, f"""
        {STORED} ALTER MATERIALIZED VIEW m ALTER who SET STATISTICS 0; COMMENT ON COLUMN m.who IS 'who';
        ALTER MATERIALIZED VIEW m ALTER id SET (n_distinct_inherited = 4)""", "both", TABLE),
    Pair("materialized view storage", "CREATE MATERIALIZED VIEW m AS SELECT who FROM t", """
        CREATE MATERIALIZED VIEW m AS SELECT who FROM t; ALTER MATERIALIZED VIEW m ALTER who SET STORAGE external""", "there", TABLE),
    Pair("materialized view storage of one column of two", """
        CREATE MATERIALIZED VIEW m AS SELECT who, at::text AS at FROM t; ALTER MATERIALIZED VIEW m ALTER at SET STORAGE main""", """
        CREATE MATERIALIZED VIEW m AS SELECT who, at::text AS at FROM t; ALTER MATERIALIZED VIEW m ALTER who SET STORAGE external;
        ALTER MATERIALIZED VIEW m ALTER at SET STORAGE main""", "there", TABLE),
    Pair("materialized view tablespace", STORED,
        "CREATE MATERIALIZED VIEW m TABLESPACE pair_space AS SELECT id, who FROM t", "there", TABLE),
    Pair("materialized view access method", STORED, "CREATE MATERIALIZED VIEW m USING \"heap too\" AS SELECT id, who FROM t", "neither",
        f'{TABLE}; CREATE ACCESS METHOD "heap too" TYPE TABLE HANDLER heap_tableam_handler'),
    Pair("materialized view with odd names", """
        CREATE MATERIALIZED VIEW "Ein ""m"" ü" ("a b") WITH (fillfactor = 50) AS SELECT id FROM t""", """
        CREATE MATERIALIZED VIEW "Ein ""m"" ü" ("a b") AS SELECT id FROM t; GRANT SELECT ("a b") ON "Ein ""m"" ü" TO pair_reader;
        GRANT SELECT ON "Ein ""m"" ü" TO "Pair ""reader"" ü"; ALTER MATERIALIZED VIEW "Ein ""m"" ü" OWNER TO pair_owner""", "both", TABLE),
]  # fmt: skip

ON_TABLES = [
    Pair("trigger switched off", ON_T, f"{ON_T} ALTER TABLE t DISABLE TRIGGER g; COMMENT ON TRIGGER g ON t IS 'off'", "both", FIRING),
    Pair("trigger for replicas", f"{ON_T} ALTER TABLE t ENABLE REPLICA TRIGGER g", f"{ON_T} ALTER TABLE t ENABLE ALWAYS TRIGGER g",
        "both", FIRING),
    Pair("trigger with another event", f"{ON_T} ALTER TABLE t DISABLE TRIGGER g; COMMENT ON TRIGGER g ON t IS 'g'", """
        CREATE TRIGGER g AFTER UPDATE OF who, id OR DELETE ON t FOR EACH ROW WHEN (OLD.who = ' FOR EACH STATEMENT ')
        EXECUTE FUNCTION fires('it''s', '\\', 'ü'); COMMENT ON TRIGGER g ON t IS 'g'""", "both", FIRING),
    Pair("trigger with its rows", """
        CREATE TRIGGER g AFTER UPDATE ON t REFERENCING OLD TABLE AS "old ü" NEW TABLE AS n FOR EACH STATEMENT
        EXECUTE FUNCTION fires()""", """
        CREATE TRIGGER g AFTER TRUNCATE ON t EXECUTE FUNCTION fires()""", "both", FIRING),
    Pair("trigger for statements", ON_T, ON_T.replace("ROW", "STATEMENT"), "neither", FIRING),
    Pair("trigger becomes a constraint", "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()", """
        CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION fires();
        ALTER TABLE t DISABLE TRIGGER g""", "neither", FIRING),
    Pair("constraint trigger", """
        CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FROM r DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION fires()""", """
        CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()""", "neither", f"{FIRING}; CREATE TABLE r ()"),
    Pair("constraint trigger switched", """
        CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires()""", """
        CREATE CONSTRAINT TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fires();
        ALTER TABLE t ENABLE ALWAYS TRIGGER g""", "both", FIRING),
    Pair("trigger with an odd name", """
        CREATE TRIGGER "G on ""t""; ü" BEFORE INSERT ON "T on x" FOR EACH ROW EXECUTE FUNCTION fires()""", """
        CREATE TRIGGER "G on ""t""; ü" BEFORE DELETE ON "T on x" FOR EACH ROW EXECUTE FUNCTION fires();
        ALTER TABLE "T on x" DISABLE TRIGGER "G on ""t""; ü"; COMMENT ON TRIGGER "G on ""t""; ü" ON "T on x" IS 'odd'""", "both", f"""
        CREATE TABLE "T on x" (); {FIRES}"""),
    Pair("trigger of a view", f"{VIEW} CREATE TRIGGER g INSTEAD OF INSERT ON v FOR EACH ROW EXECUTE FUNCTION fires()", f"""
        {VIEW} CREATE TRIGGER g INSTEAD OF DELETE ON v FOR EACH ROW EXECUTE FUNCTION fires()""", "both", FIRING),
    Pair("trigger of a partitioned table", ON_T, f"{ON_T} ALTER TABLE t DISABLE TRIGGER g", "both", FIRING_PARTED),
    Pair("trigger of a partition switched", f"{ON_T} ALTER TABLE t1 DISABLE TRIGGER g", f"{ON_T} ALTER TABLE t1 ENABLE ALWAYS TRIGGER g",
        "both", FIRING_PARTED),
    Pair("trigger of a partition as its parent's", f"""
        {ON_T} ALTER TABLE t1 DISABLE TRIGGER g; ALTER TABLE t2 ENABLE REPLICA TRIGGER g""", ON_T, "both", FIRING_PARTED),
    Pair("trigger of a parent switched", f"{ON_T} ALTER TABLE t DISABLE TRIGGER g; ALTER TABLE t1 ENABLE TRIGGER g", ON_T,
        "both", FIRING_PARTED),
    Pair("trigger of a parent switched otherwise", f"""
        {ON_T} ALTER TABLE t DISABLE TRIGGER g; ALTER TABLE t1 ENABLE TRIGGER g""", f"""
        {ON_T} ALTER TABLE t ENABLE ALWAYS TRIGGER g; ALTER TABLE t1 ENABLE TRIGGER g""", "both", FIRING_PARTED),
    Pair("trigger of a parent replaced", f"{ON_T} ALTER TABLE t1 DISABLE TRIGGER g", f"""
        {ON_T.replace('INSERT', 'INSERT OR UPDATE')} ALTER TABLE t1 DISABLE TRIGGER g""", "both", FIRING_PARTED),
    Pair("trigger of a parent for statements", ON_T, ON_T.replace("ROW", "STATEMENT"), "neither", FIRING_PARTED),
    Pair("rule", "CREATE RULE r AS ON INSERT TO t DO INSTEAD NOTHING; COMMENT ON RULE r ON t IS 'r'", """
        CREATE RULE r AS ON UPDATE TO t WHERE (NEW.who = ';') DO ALSO (DELETE FROM u; INSERT INTO u VALUES (NEW.id));
        COMMENT ON RULE r ON t IS 'r''';
        ALTER TABLE t DISABLE RULE r""", "both", f"{TABLE}; CREATE TABLE u (id int)"),
    Pair("rule for replicas", """
        CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING; ALTER TABLE t ENABLE REPLICA RULE r""", """
        CREATE RULE r AS ON DELETE TO t DO ALSO NOTHING; ALTER TABLE t ENABLE ALWAYS RULE r""", "both", TABLE),
    Pair("rule switched back", """
        CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING; ALTER TABLE t DISABLE RULE r""", """
        CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING""", "both", TABLE),
    Pair("rule of a view with an odd name", f"""
        {VIEW} CREATE RULE "R ""on"" x ü" AS ON INSERT TO v DO INSTEAD INSERT INTO t (id) VALUES (NEW.id) RETURNING id, who""", f"""
        {VIEW} CREATE RULE "R ""on"" x ü" AS ON INSERT TO v DO INSTEAD (INSERT INTO t (id) VALUES (NEW.id); DELETE FROM t WHERE who = ';');
        COMMENT ON RULE "R ""on"" x ü" ON v IS 'it''s'""", "both", TABLE),
    Pair("policy for others", "CREATE POLICY p ON t USING (id > 0)", """
        CREATE POLICY p ON t TO pair_reader, "Pair ""reader"" ü" USING (true); COMMENT ON POLICY p ON t IS 'p'""", "both", TABLE),
    Pair("policy with a check", "CREATE POLICY p ON t FOR UPDATE TO pair_reader USING (id > 0) WITH CHECK (id > 1)", """
        CREATE POLICY p ON t FOR UPDATE TO pair_owner USING (who = 'it''s') WITH CHECK (at IS NULL OR who = current_user)
        """, "both", TABLE),
    Pair("policy without a check", "CREATE POLICY p ON t USING (id > 0) WITH CHECK (id > 1)",
        "CREATE POLICY p ON t USING (id > 0)", "back", TABLE),
    Pair("policy without a filter", "CREATE POLICY p ON t USING (id > 0) WITH CHECK (id > 1)",
        "CREATE POLICY p ON t WITH CHECK (id > 1)", "back", TABLE),
    Pair("policy for another command", "CREATE POLICY p ON t FOR SELECT USING (id > 0)",
        "CREATE POLICY p ON t FOR DELETE USING (id > 0)", "neither", TABLE),
    Pair("policy that restricts", "CREATE POLICY p ON t FOR INSERT WITH CHECK (id > 0)", """
        CREATE POLICY p ON t AS RESTRICTIVE FOR INSERT WITH CHECK (id > 0)""", "neither", TABLE),
    Pair("policy with an odd name", 'CREATE POLICY "P ""on"" t; ü" ON "T on x" TO PUBLIC USING (true)', """
        CREATE POLICY "P ""on"" t; ü" ON "T on x" TO pair_owner USING (EXISTS (SELECT FROM s."T on x")); COMMENT ON POLICY "P ""on"" t; ü"
        ON "T on x" IS 'it''s'""", "both", 'CREATE TABLE "T on x" ()'),
]  # fmt: skip

PAIRS = [*TYPES, *FUNCTIONS, *TERMS, *VIEWS, *ON_TABLES]
