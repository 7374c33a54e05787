# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From each of several states to each other, planned and gone: what is kept of constraints, what goes with which extension; and
what becomes of values when a column gets another type."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Generator, Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.watched import PIN
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import entries
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import plan as planner_plan
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import type_changes

SCOPE = entries.Scope(("s",))

TABLES = """
CREATE TABLE p (id int PRIMARY KEY, code text, CONSTRAINT code_once UNIQUE (code) DEFERRABLE);
CREATE TABLE "C on x" (id int PRIMARY KEY, p int, CONSTRAINT "of ""p"" on" FOREIGN KEY (p) REFERENCES p ON DELETE CASCADE)"""
#: A trigger that keeps a constraint is found by what it does.
OF_ONE = """
DO $$ DECLARE t name; BEGIN
    SELECT tgname INTO t FROM pg_trigger AS g JOIN pg_proc AS f ON f.oid = g.tgfoid
    WHERE f.proname = '@does' AND g.tgrelid = '@table'::regclass;
    EXECUTE format('ALTER TABLE @table @switch TRIGGER %I', t);
END $$"""


def of_one(does: str, table: str, switch: str) -> str:
    """What switches one of the triggers that keep constraints."""
    return OF_ONE.replace("@does", does).replace("@table", table).replace("@switch", switch)


#: States of the same tables.
KEPT = {
    "all": "",
    "not for new rows": """ALTER TABLE "C on x" DISABLE TRIGGER ALL""",
    "not for old rows": "ALTER TABLE p DISABLE TRIGGER ALL",
    "for replicas": of_one("RI_FKey_check_ins", '"C on x"', "ENABLE REPLICA"),
    "always, and not at all": of_one("RI_FKey_check_ins", '"C on x"', "ENABLE ALWAYS") + ";"
    + of_one("RI_FKey_check_upd", '"C on x"', "DISABLE"),
    "not at all": """ALTER TABLE "C on x" DISABLE TRIGGER ALL; ALTER TABLE p DISABLE TRIGGER ALL""",
}  # fmt: skip

EXTENDED = """
CREATE EXTENSION hstore SCHEMA public;
CREATE TABLE t (id int PRIMARY KEY, who text);
CREATE INDEX who ON t (who);
CREATE MATERIALIZED VIEW m AS SELECT 1 AS one;
CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN @body; END $$;
CREATE TRIGGER g BEFORE @event ON t FOR EACH ROW EXECUTE FUNCTION f();
CREATE AGGREGATE a(int) (SFUNC = int4larger, STYPE = int, INITCOND = '@initial')"""
ONE = EXTENDED.replace("@body", "NEW").replace("@event", "INSERT").replace("@initial", "1")
TWO = EXTENDED.replace("@body", "NULL").replace("@event", "UPDATE").replace("@initial", "2")
NAMED = ("FUNCTION f()", "TRIGGER g ON t", "INDEX who", "INDEX t_pkey", "MATERIALIZED VIEW m", "ROUTINE a(int)")


def go_with(extension: str) -> str:
    """All of them, with an extension."""
    return "".join(f"; ALTER {each} DEPENDS ON EXTENSION {extension}" for each in NAMED)


EXTENSIONS = {
    "alone": ONE,
    "with one": ONE + go_with("hstore"),
    "defined otherwise, with one": TWO + go_with("hstore"),
    "with another that is new": f"{TWO}; CREATE EXTENSION citext SCHEMA public {go_with('citext')}",
    "with both": f"{ONE}; CREATE EXTENSION citext SCHEMA public {go_with('citext')} {go_with('hstore')}",
}
STATES = {"kept": {name: f"{TABLES};{text}" for name, text in KEPT.items()}, "extensions": EXTENSIONS}


@pytest.fixture(scope="module")
def session(pg_server: Server) -> Iterator[Session]:
    """A session on a database of its own; what a test makes there is rolled back."""
    name = "written_keys"
    try:
        with open_session(Settings(pg_server.create_database(name), just_made=True)) as opened:
            yield opened
    finally:
        pg_server.drop_database(name)


@contextlib.contextmanager
def made(session: Session, *statements: str) -> Generator[entries.Catalog]:
    """The catalog of a state, which is there in a transaction that is rolled back in the end."""
    with session.connection.transaction(force_rollback=True):
        for each in ("CREATE SCHEMA s", "SET LOCAL search_path = s, public", *statements, PIN):
            session.connection.execute(each.encode())
        yield catalog_reader.read(session, SCOPE)


def go(session: Session, plan: planner_plan.Plan) -> None:
    """All statements of a plan, each as it is meant to be run."""
    assert plan.impossible == ()
    session.execute(
        "SELECT set_config('search_path', 'pg_catalog', true), set_config('check_function_bodies', 'off', true)"
    )
    for statement in (each for step in plan.steps for each in step.statements):
        session.connection.execute(statement.text)


@pytest.mark.parametrize("group", STATES)
def test_from_each_state_to_each_other(session: Session, subtests: pytest.Subtests, group: str) -> None:
    catalogs: dict[str, entries.Catalog] = {}
    for name, statements in STATES[group].items():
        with made(session, statements) as catalogs[name]:
            pass
    for one, statements in STATES[group].items():
        with made(session, statements) as there:
            for two, wanted in catalogs.items():
                if one != two:
                    with subtests.test(msg=f"{one} > {two}"), session.savepoint():
                        assert there.entries != wanted.entries
                        go(session, planner_plan.plan(there.entries, wanted.entries))
                        assert facts(catalog_reader.read(session, SCOPE)) == facts(wanted)
                        raise psycopg.Rollback


def facts(found: entries.Catalog) -> dict[str, dict[str, Any]]:
    return {key: entry.facts for key, entry in found.entries.items()}


def test_a_constraint_that_is_kept_again_holds_for_all_rows(session: Session) -> None:
    """A row that came in meanwhile and must not be there is an error, and not a constraint that says it holds."""
    with made(session, TABLES) as wanted:
        pass
    with made(session, TABLES, KEPT["not for new rows"], 'INSERT INTO "C on x" VALUES (1, 7)') as there:
        plan = planner_plan.plan(there.entries, wanted.entries)
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match="is not present in table"):
            go(session, plan)


#: Types, each with values at the edges of what it holds.
VALUES = {
    "smallint": ("-32768", "32767"),
    "integer": ("-2147483648", "2147483647", "16777217"),
    "bigint": ("9223372036854775807", "9007199254740993", "1"),
    "numeric": ("0.123456789", "1e40", "NaN", "5"),
    "numeric(10,2)": ("12345678.91", "0.01"),
    "numeric(12,2)": ("1234567890.12",),
    "numeric(10,4)": ("123456.7891", "1"),
    "numeric(10,0)": ("1234567890",),
    "real": ("0.1", "1e-30", "NaN"),
    "double precision": ("0.1", "1e300", "0.30000000000000004"),
    "text": ("", "a  ", "äöü and more than ten", "12", "true"),
    "character varying": ("a  ", "more than ten characters"),
    "character varying(10)": ("ten chars.", "a  "),
    "character varying(20)": ("twenty characters...", "a"),
    "character(3)": ("abc", "a"),
    "character(10)": ("abc", "ten chars."),
    "name": ("a", "x" * 63),
    "boolean": ("true", "false"),
    "uuid": ("0b8d6e4a-6d0a-4e9f-9d8c-0a1b2c3d4e5f",),
    "json": ('{"b": 1,  "a": 2, "a": 3}', "[1]"),
    "jsonb": ('{"b": 1, "a": [1.50]}', "[1]"),
    "date": ("2026-11-25", "infinity", "4713-01-01 BC"),
    "timestamp without time zone": ("2026-11-25 10:11:12.123456", "infinity"),
    "timestamp(3) without time zone": ("2026-11-25 10:11:12.123",),
    "timestamp with time zone": ("2026-11-25 10:11:12.123456+08",),
    "timestamp(0) with time zone": ("2026-11-25 10:11:12+08",),
    "time without time zone": ("10:11:12.123456",),
    "time(0) without time zone": ("10:11:12",),
    "cidr": ("10.0.0.0/8",),
    "inet": ("10.0.0.1/8", "::1"),
    "bit(4)": ("1010",),
    "bit(8)": ("10101010",),
    "bit varying(8)": ("101", "10101010"),
    "integer[]": ("{1,2147483647}",),
    "bigint[]": ("{1,9223372036854775807}", "{}"),
    "character varying(10)[]": ("{ten chars.}",),
    "character varying(20)[]": ("{twenty characters...}",),
}


def changed(session: Session, values: tuple[str, ...], one: str, two: str) -> bool | None:
    """Whether a value does not come back the same; None where each was refused."""
    found: set[bool] = set()
    for value in values:
        with contextlib.suppress(psycopg.Error), session.connection.transaction(force_rollback=True):
            literal = sql.Literal(value).as_string()
            back = session.row(
                sql.SQL("SELECT {}::text = {}::text AS same").format(
                    *(sql.SQL(each) for each in (f"{literal}::{one}::{two}::{one}", f"{literal}::{one}"))
                )
            )
            found.add(not back["same"])
    return any(found) if found else None


def test_no_change_of_a_type_that_is_said_to_keep_values_changes_one(session: Session) -> None:
    said: dict[tuple[str, str], bool] = {}
    with session.read():
        for one, two in itertools.permutations(VALUES, 2):
            before, after = (entries.Entry("column", "s.t.a", {"type": each}) for each in (one, two))
            said[one, two] = type_changes.may_lose(before, after)
            if not said[one, two]:
                assert changed(session, VALUES[one], one, two) in (False, None), (one, two)
    kept = [pair for pair, lossy in said.items() if not lossy]
    assert len(kept) > 60
    with session.read():
        assert changed(session, VALUES["text"], "text", "character varying(10)")
        assert changed(session, VALUES["numeric"], "numeric", "numeric(10,2)")
