# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release goes back, and its undo, and the undo of that: pg_dump says the same byte for byte, its order too, and rows are there."""

from __future__ import annotations

import itertools
import re
from typing import Any, NamedTuple

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import command as restore_command
from tests.integration.modules import Result, call, rows
from tests.integration.release.by_name import judged
from tests.integration.release.restore.test_command import captured, data, done, released, restored

LONG = "n" * 63


class Release(NamedTuple):
    """What was there, and what the release made of it, in schema s; whether all rows are what they were once it has gone back, and
    whether that says nothing of the database as a whole."""

    before: str
    after: str
    same_rows: bool = True
    apart: bool = True

    def placed(self, schema: str) -> Release:
        """The same in another schema, so that several fit into one database."""
        before, after = (re.sub(r"\bs\.", f"{schema}.", text) for text in (self.before, self.after))
        return self._replace(before=before, after=after)


#: All as the owner of the pipeline, unless they say otherwise.
RELEASES = {
    "grants in the order they were given": Release(
        """CREATE TABLE scout.a (i int PRIMARY KEY, b text) WITH (fillfactor = 70, autovacuum_enabled = false);
        GRANT SELECT, INSERT ON scout.a TO edge_ingest; GRANT UPDATE ON scout.a TO edge_ingest WITH GRANT OPTION;
        GRANT SELECT ON scout.a TO dashboard_reader; GRANT SELECT (b), UPDATE (b) ON scout.a TO edge_ingest;
        GRANT SELECT (b) ON scout.a TO dashboard_reader;
        CREATE VIEW scout.v WITH (security_barrier = true, check_option = 'local') AS SELECT i, b FROM scout.a;
        GRANT SELECT ON scout.v TO edge_ingest; GRANT SELECT ON scout.v TO dashboard_reader;
        GRANT UPDATE (b) ON scout.v TO edge_ingest; GRANT UPDATE (b) ON scout.v TO dashboard_reader;
        CREATE FUNCTION scout.f() RETURNS int LANGUAGE sql AS 'SELECT 1'; REVOKE ALL ON FUNCTION scout.f() FROM PUBLIC;
        GRANT EXECUTE ON FUNCTION scout.f() TO edge_ingest; GRANT EXECUTE ON FUNCTION scout.f() TO dashboard_reader, PUBLIC""",
        """REVOKE SELECT ON scout.a FROM edge_ingest; REVOKE SELECT (b) ON scout.a FROM edge_ingest;
        ALTER TABLE scout.a SET (fillfactor = 80); DROP VIEW scout.v; CREATE VIEW scout.v AS SELECT 1 AS one;
        REVOKE ALL ON FUNCTION scout.f() FROM edge_ingest, PUBLIC; REVOKE ALL ON SCHEMA scout FROM dashboard_reader""",
    ),
    "defaults that nobody was granted": Release(
        """ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
        ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO edge_ingest;
        ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO dashboard_reader""",
        """ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC;
        ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM edge_ingest, dashboard_reader""",
        apart=False,
    ),
    "serial becomes identity": Release(
        """CREATE TABLE s.p (id serial PRIMARY KEY, t text); INSERT INTO s.p (t) VALUES ('x'), ('y')""",
        """ALTER TABLE s.p ALTER id DROP DEFAULT; DROP SEQUENCE s.p_id_seq;
        ALTER TABLE s.p ALTER id TYPE bigint; ALTER TABLE s.p ALTER id ADD GENERATED ALWAYS AS IDENTITY (RESTART 100)""",
    ),
    "identity becomes serial": Release(
        """CREATE TABLE s.p (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, t text);
        INSERT INTO s.p (t) VALUES ('x'), ('y')""",
        """ALTER TABLE s.p ALTER id DROP IDENTITY; CREATE SEQUENCE s.p_id_seq OWNED BY s.p.id;
        ALTER TABLE s.p ALTER id SET DEFAULT nextval('s.p_id_seq')""",
    ),
    "a sequence of a column is dropped": Release(
        "CREATE TABLE s.p (id serial PRIMARY KEY, t int); CREATE SEQUENCE s.s OWNED BY s.p.t",
        "ALTER TABLE s.p ALTER id DROP DEFAULT; DROP SEQUENCE s.p_id_seq; ALTER SEQUENCE s.s OWNED BY NONE",
    ),
    "a column that a child has as well is renamed": Release(
        """CREATE TABLE s.parent (i int, n text); CREATE TABLE s.child (x int) INHERITS (s.parent);
        CREATE TABLE s.z (d int, v text) PARTITION BY LIST (d); CREATE TABLE s.a PARTITION OF s.z DEFAULT;
        INSERT INTO s.child VALUES (1, 'a', 2); INSERT INTO s.z VALUES (1, 'x')""",
        "ALTER TABLE s.parent RENAME n TO m; ALTER TABLE s.z RENAME v TO w",
    ),
    "tables that refer to each other": Release(
        "",
        """CREATE TABLE s.c1 (i int PRIMARY KEY, j int); CREATE TABLE s.c2 (j int PRIMARY KEY, i int REFERENCES s.c1);
        ALTER TABLE s.c1 ADD FOREIGN KEY (j) REFERENCES s.c2; INSERT INTO s.c1 VALUES (1, NULL);
        INSERT INTO s.c2 VALUES (5, 1); UPDATE s.c1 SET j = 5""",
    ),
    "a partition of a table that is referred to": Release(
        """CREATE TABLE s.pt (i int PRIMARY KEY) PARTITION BY RANGE (i);
        CREATE TABLE s.pt1 PARTITION OF s.pt FOR VALUES FROM (0) TO (10);
        CREATE TABLE s.ref (i int REFERENCES s.pt); INSERT INTO s.pt VALUES (1); INSERT INTO s.ref VALUES (1)""",
        """CREATE TABLE s.pt2 PARTITION OF s.pt FOR VALUES FROM (10) TO (20); INSERT INTO s.pt VALUES (11)""",
    ),
    "names as long as names can be": Release(
        f"""CREATE TYPE s.{LONG} AS ENUM ('a');
        CREATE TABLE s.t{LONG[1:]} (i serial PRIMARY KEY, e s.{LONG} DEFAULT 'a', j int GENERATED ALWAYS AS IDENTITY, t text);
        INSERT INTO s.t{LONG[1:]} (t) VALUES ('x')""",
        f"""ALTER TYPE s.{LONG} ADD VALUE 'b'; ALTER TABLE s.t{LONG[1:]} DROP COLUMN e;
        ALTER TABLE s.t{LONG[1:]} ADD COLUMN k int""",
        same_rows=False,
    ),
    "statistics of a column that gets another type": Release(
        """CREATE TABLE s.w (a int PRIMARY KEY, b int, c int); CREATE STATISTICS s.s (ndistinct) ON b, c FROM s.w;
        COMMENT ON STATISTICS s.s IS 'of both'""",
        "ALTER TABLE s.w ALTER b TYPE bigint",
    ),
    "two columns, tables and views swap their names": Release(
        """CREATE TABLE s.p (id int PRIMARY KEY, a int, b text); INSERT INTO s.p VALUES (1, 2, 'x');
        CREATE TABLE s.q (i int PRIMARY KEY); INSERT INTO s.q VALUES (7);
        CREATE VIEW s.v1 AS SELECT a FROM s.p; CREATE VIEW s.v2 AS SELECT b FROM s.p""",
        """ALTER TABLE s.p RENAME a TO x; ALTER TABLE s.p RENAME b TO a; ALTER TABLE s.p RENAME x TO b;
        ALTER TABLE s.p RENAME TO x; ALTER TABLE s.q RENAME TO p; ALTER TABLE s.x RENAME TO q;
        ALTER VIEW s.v1 RENAME TO x; ALTER VIEW s.v2 RENAME TO v1; ALTER VIEW s.x RENAME TO v2""",
    ),
    "a column makes room for another one": Release(
        "CREATE TABLE s.p (id int PRIMARY KEY, a int, b text); INSERT INTO s.p VALUES (1, 2, 'x')",
        "ALTER TABLE s.p RENAME a TO old_a; ALTER TABLE s.p RENAME b TO a; ALTER TABLE s.p ADD b int DEFAULT 4",
    ),
    "a table makes room for a copy of it": Release(
        """CREATE TABLE s.p (a int PRIMARY KEY, b int); CREATE INDEX by_b ON s.p (b);
        INSERT INTO s.p VALUES (1, 2), (2, 4)""",
        """ALTER TABLE s.p RENAME TO p_old; CREATE TABLE s.p (a bigint PRIMARY KEY, b int, c int);
        INSERT INTO s.p SELECT a, b, 1 FROM s.p_old""",
    ),
    "tables of a publication": Release(
        """RESET ROLE; CREATE PUBLICATION realtime FOR TABLE scout.alerts, scout.dim_store WHERE (store_id <> '0');
        CREATE TABLE s.p (i int PRIMARY KEY, j text, k int); ALTER PUBLICATION realtime ADD TABLE s.p (i, k)""",
        """RESET ROLE; ALTER PUBLICATION realtime DROP TABLE scout.alerts; CREATE TABLE s.n (i int PRIMARY KEY);
        ALTER PUBLICATION realtime ADD TABLE s.n, scout.etl_processed; ALTER TABLE s.p DROP COLUMN j, ADD COLUMN l int""",
    ),
}  # fmt: skip


#: As they share a database: those that lose data, and those that say something of all of it, by themselves.
APART = [name for name, release in RELEASES.items() if release.same_rows and release.apart]
GROUPS = [APART[::2], APART[1::2], *([name] for name in RELEASES if name not in APART)]
_numbers = itertools.count(1)

HISTORY = """
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('10', NULL, 'ten')
"""


def whole(dsn: str) -> list[str]:
    """What pg_dump says of all that is not the toolkit's own, as it says it."""
    return dump(dsn, "--schema-only", "--exclude-schema=scout_ops").splitlines()


def undone(dsn: str, result: Result) -> Result:
    """Takes a run back."""
    return done(
        call(
            "scout_undo", dsn, run_id=result["run_id"], allow_owners=["postgres"], rehearse=False, column_order="exact"
        )
    )


class Went(NamedTuple):
    """What pg_dump said before releases that share a database, after them, once they had gone back, and once that had been
    undone; and the schema of each."""

    schemas: dict[str, str]
    dumps: tuple[list[str], list[str], list[str], list[str]]


def went_through(dsn: str, names: list[str]) -> Went:
    """Captured, released, rolled back, undone, and that undone."""
    schemas = {name: f"s{number}" for number, name in enumerate(names, 1)}
    placed = [RELEASES[name].placed(schema) for name, schema in schemas.items()]
    for schema, release in zip(schemas.values(), placed, strict=True):
        released(dsn, f"CREATE SCHEMA {schema} AUTHORIZATION loader; SET ROLE loader; {release.before or 'SELECT 1'}")
    before, rows_before = whole(dsn), data(dsn)
    captured(dsn, schemas=["scout", *schemas.values()])
    for release in placed:
        released(dsn, f"SET ROLE loader; {release.after}")
    after, rows_after = whole(dsn), data(dsn)
    same_rows = all(release.same_rows for release in placed)
    exactly = {"new_partitions": "drop"}
    result = done(restored(dsn, allow_lossy=not same_rows, **exactly))
    assert result["changed"]
    back = whole(dsn)
    assert back == before
    if same_rows:
        assert data(dsn) == rows_before
    assert not restored(dsn, **exactly)["changed"]
    again = undone(dsn, result)
    brought = whole(dsn)
    assert brought == after
    assert data(dsn) == rows_after
    undone(dsn, again)
    assert whole(dsn) == before
    return Went(schemas, (before, after, back, brought))


def judge(name: str, went: Went) -> None:
    """What the release changed in its schema is as it was, and then as the release made it."""
    schema = "scout" if "scout." in RELEASES[name].before else went.schemas[name]
    if not RELEASES[name].apart:
        schema = "DEFAULT PRIVILEGES"
    before, after, back, brought = (
        [entry for entry in "\n".join(lines).split("\n--\n-- Name: ") if schema in entry] for lines in went.dumps
    )
    assert before != after
    assert (back, brought) == (before, after)


@pytest.mark.parametrize("names", GROUPS, ids=lambda names: f"{names[0]} and {len(names) - 1} more")
def test_there_and_back(
    pg_server: Server, scout_template: builder.Template, subtests: pytest.Subtests, names: list[str]
) -> None:
    """Those that share a database; where they fail together, each is tried alone."""

    def go(some: list[str]) -> Went:
        name = f"exact_{next(_numbers)}"
        went = went_through(scout_template.clone(name), some)
        pg_server.drop_database(name)
        return went

    judged(subtests, {name: name for name in names}, go, judge)


def test_a_column_that_only_the_history_has_does_not_count(scout_db: str) -> None:
    """The table with the migrations belongs to whoever applies them; what was never said of a row is NULL."""
    released(scout_db, HISTORY)
    captured(scout_db)
    released(scout_db, "ALTER TABLE supabase_migrations.schema_migrations ADD COLUMN created_by text")
    assert not done(restored(scout_db))["changed"]
    assert not captured(scout_db)["changed"]
    released(scout_db, "INSERT INTO supabase_migrations.schema_migrations VALUES ('11', NULL, 'eleven', 'somebody')")
    assert done(restored(scout_db))["changed"]
    assert rows(scout_db, "SELECT * FROM supabase_migrations.schema_migrations") == [("10", None, "ten", None)]


def test_a_column_that_was_added_again_is_told_of(scout_db: str) -> None:
    """By its name it is what it was; what it holds is not."""
    released(
        scout_db, "SET ROLE loader; CREATE TABLE scout.p (i int PRIMARY KEY, b int); INSERT INTO scout.p VALUES (1, 2)"
    )
    captured(scout_db)
    released(
        scout_db, "SET ROLE loader; ALTER TABLE scout.p DROP b; ALTER TABLE scout.p ADD b int; CREATE TABLE scout.q ()"
    )
    [warning] = done(restored(scout_db, check=True))["warnings"]
    assert warning.startswith("dropped and added again since v5.2.1 was captured")
    assert warning.endswith("column scout.p.b")


#: A table with rows of which a column is dropped, added again and given other values; what its rows are once that has gone back.
ADDED_AGAIN = {
    "the last one": (
        "i int PRIMARY KEY, b int",
        "ALTER TABLE scout.p DROP b; ALTER TABLE scout.p ADD b int; UPDATE scout.p SET b = 7",
        [(1, "10"), (2, "20"), (3, "7")],
    ),
    "one in the middle, of another type": (
        "i int PRIMARY KEY, b int, c text DEFAULT 'c'",
        "ALTER TABLE scout.p DROP b; ALTER TABLE scout.p ADD b text; UPDATE scout.p SET b = 'seven'",
        [(1, "10"), (2, "20"), (3, None)],
    ),
    "one in the middle that must have a value": (
        "i int PRIMARY KEY, b int NOT NULL, c text DEFAULT 'c'",
        "ALTER TABLE scout.p DROP b; ALTER TABLE scout.p ADD b int; UPDATE scout.p SET b = 7 WHERE i = 3",
        [(1, "10"), (2, "20"), (3, "7")],
    ),
    "one that must have a value, whose changes are watched, in a view and indexed": (
        """i int PRIMARY KEY, b int NOT NULL CHECK (b > 0));
        CREATE INDEX ON scout.p (b); CREATE VIEW scout.v AS SELECT b FROM scout.p; CREATE TABLE scout.log (i int);
        CREATE FUNCTION scout.watch() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN INSERT INTO scout.log VALUES (NEW.i); RETURN NEW; END';
        CREATE TRIGGER watch AFTER UPDATE ON scout.p FOR EACH ROW EXECUTE FUNCTION scout.watch();
        CREATE TABLE scout.q (x int""",
        "DROP VIEW scout.v; ALTER TABLE scout.p DROP b; ALTER TABLE scout.p ADD b int; UPDATE scout.p SET b = 7 WHERE i = 3",
        [(1, "10"), (2, "20"), (3, "7")],
    ),
}


@pytest.mark.parametrize("how", ADDED_AGAIN)
def test_a_column_that_was_added_again_gets_what_was_protected(scout_db: str, how: str) -> None:
    """Rows that came later keep what they have, where that fits; the undo brings back what the release had."""
    columns, again, expected = ADDED_AGAIN[how]
    released(
        scout_db, f"SET ROLE loader; CREATE TABLE scout.p ({columns}); INSERT INTO scout.p VALUES (1, 10), (2, 20)"
    )
    before = whole(scout_db)
    captured(scout_db, protect=["scout.p.b"])
    released(scout_db, f"SET ROLE loader; INSERT INTO scout.p VALUES (3, 30); {again}")
    after, rows_after = whole(scout_db), data(scout_db)
    of_p = rows(scout_db, "SELECT * FROM scout.p ORDER BY 1")
    result = done(restored(scout_db))
    assert whole(scout_db) == before
    assert rows(scout_db, "SELECT i, b::text FROM scout.p ORDER BY i") == expected
    assert not result["warnings"]
    assert not restored(scout_db)["changed"]
    undone(scout_db, result)
    assert rows(scout_db, "SELECT * FROM scout.p ORDER BY 1") == of_p
    assert whole(scout_db) == after
    assert data(scout_db) == rows_after


def test_a_column_that_no_row_could_fill_is_refused_in_the_plan(scout_db: str) -> None:
    """Whatever is given up: PostgreSQL does not add it. Filled by hand, or without rows, it can be gone on."""
    released(
        scout_db,
        """SET ROLE loader; CREATE TABLE scout.p (i int PRIMARY KEY, b int NOT NULL); INSERT INTO scout.p VALUES (1, 2);
        CREATE TABLE scout.q (i int PRIMARY KEY, b int NOT NULL, c int NOT NULL DEFAULT 3)""",
    )
    before = whole(scout_db)
    captured(scout_db)
    released(
        scout_db,
        "SET ROLE loader; ALTER TABLE scout.p DROP b; ALTER TABLE scout.q DROP b, DROP c; CREATE TABLE scout.r ()",
    )
    after = whole(scout_db)
    for options in ({}, {"allow_lossy": True}):
        refused = restored(scout_db, **options)
        assert "column scout.p.b must have a value in every row, and for some rows none is saved" in refused["msg"]
        assert "scout.q" not in refused["msg"]
        warnings = done(restored(scout_db, check=True, **options))["warnings"]
        assert [each for each in warnings if "column scout.p.b must have a value" in each], warnings
    assert whole(scout_db) == after
    released(
        scout_db,
        "SET ROLE loader; ALTER TABLE scout.p ADD b int; UPDATE scout.p SET b = 2; ALTER TABLE scout.p ALTER b SET NOT NULL",
    )
    done(restored(scout_db))
    assert whole(scout_db) == before


def test_rows_that_came_later_may_keep_a_protected_column_from_coming_back(scout_db: str) -> None:
    released(
        scout_db,
        """SET ROLE loader; CREATE TABLE scout.p (i int PRIMARY KEY, "b b" int NOT NULL); INSERT INTO scout.p VALUES (1, 2)""",
    )
    before = whole(scout_db)
    captured(scout_db, protect=['scout.p."b b"'])
    released(
        scout_db,
        """SET ROLE loader; ALTER TABLE scout.p DROP "b b"; ALTER TABLE scout.p RENAME i TO j; INSERT INTO scout.p VALUES (7)""",
    )
    refused = restored(scout_db)
    assert 'column scout.p."b b" must have a value in every row, and for some rows none is saved' in refused["msg"]
    released(scout_db, "DELETE FROM scout.p WHERE j = 7")
    done(restored(scout_db))
    assert (whole(scout_db), rows(scout_db, "SELECT * FROM scout.p")) == (before, [(1, 2)])


@pytest.mark.parametrize("default", [False, True])
def test_a_rollback_names_the_columns_that_no_undo_can_add_again(scout_db: str, default: bool) -> None:
    """A row that comes after the rollback has no value for them, and the check of the undo refuses as the undo does."""
    released(scout_db, "SET ROLE loader; CREATE TABLE scout.p (i int PRIMARY KEY); INSERT INTO scout.p VALUES (1)")
    captured(scout_db)
    released(
        scout_db,
        """SET ROLE loader; ALTER TABLE scout.p ADD channel text; UPDATE scout.p SET channel = 'app';
        ALTER TABLE scout.p ALTER channel SET NOT NULL; CREATE TABLE scout.q (i int NOT NULL)""",
    )
    if default:
        released(scout_db, "SET ROLE loader; ALTER TABLE scout.p ALTER channel SET DEFAULT 'unknown'")
    after = whole(scout_db)
    expected = [] if default else ["column:scout.p.channel"]
    assert done(restored(scout_db, check=True))["blocks_undo"] == expected
    result = done(restored(scout_db))
    assert result["blocks_undo"] == expected

    def undo(check: bool) -> Result:
        options = {"allow_owners": ["postgres"], "rehearse": False, "column_order": "exact", "check": check}
        return call("scout_undo", scout_db, run_id=result["run_id"], **options)

    assert done(undo(check=True))["refused"] is None
    released(scout_db, "SET ROLE loader; INSERT INTO scout.p VALUES (2)")
    planned = done(undo(check=True))
    if default:
        assert planned["refused"] is None
        done(undo(check=False))
        assert rows(scout_db, "SELECT * FROM scout.p ORDER BY 1") == [(1, "app"), (2, "unknown")]
        assert whole(scout_db) == after
        return
    refused = undo(check=False)
    assert planned["refused"]["said"] == refused["error"]["said"]
    assert "column scout.p.channel must have a value in every row" in refused["error"]["said"]


#: What a release drops, and what meddles with the rows once they are filled again.
MEDDLED = {
    "a value of a column": ("ALTER TABLE scout.p DROP b", "UPDATE scout.p SET b = 99 WHERE i = 2"),
    "a value of a column that is emptied": ("ALTER TABLE scout.p DROP b", "UPDATE scout.p SET b = NULL WHERE i = 2"),
    "a value of a table": ("DROP TABLE scout.p", "UPDATE scout.p SET b = 99 WHERE i = 2"),
    "a row less": ("DROP TABLE scout.p", "DELETE FROM scout.p WHERE i = 2"),
    "a row more": ("DROP TABLE scout.p", "INSERT INTO scout.p VALUES (3, 30)"),
    "a row twice for another": ("DROP TABLE scout.p", "DELETE FROM scout.p WHERE i = 2; INSERT INTO scout.p VALUES (4, 10)"),
}  # fmt: skip


@pytest.mark.parametrize("how", MEDDLED)
def test_nothing_goes_back_unless_what_is_filled_is_what_was_kept(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    drop, meddle = MEDDLED[how]
    released(
        scout_db, "SET ROLE loader; CREATE TABLE scout.p (i int PRIMARY KEY, b int); INSERT INTO scout.p VALUES (1, 10), (2, 20)"
    )  # fmt: skip
    before = whole(scout_db)
    captured(scout_db, protect=["scout.p"])
    released(scout_db, f"SET ROLE loader; {drop}")
    after, rows_after = whole(scout_db), data(scout_db)
    walk = restore_command._walk

    def walk_then_meddle(session: Any, *arguments: Any) -> None:
        walk(session, *arguments)
        session.connection.execute(meddle.encode())

    with monkeypatch.context() as patch:
        patch.setattr(restore_command, "_walk", walk_then_meddle)
        refused = restored(scout_db)
    assert "the data of scout.p would not be restored as it was saved: rolled back" in refused["msg"]
    assert (whole(scout_db), data(scout_db)) == (after, rows_after)
    assert done(restored(scout_db))["filled"] != []
    assert (whole(scout_db), rows(scout_db, "SELECT * FROM scout.p ORDER BY 1")) == (before, [(1, 10), (2, 20)])
