# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types, functions, casts, operators, collations, views and what hangs on tables, made again, altered and dropped by what was
read of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.watched import PIN
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import views_and_routines
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry, Scope
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.query import expanded
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl import operators, views
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.common import beside
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.statement import Statement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.types import routine
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.views import column_grants
from tests.integration.code_pairs import PAIRS, Pair
from tests.integration.modules import connect

Entries = Mapping[str, Entry]

WRITERS = views.WRITERS | operators.WRITERS

ROLES = ("pair_owner", "pair_reader", 'Pair "reader" ü')


@pytest.fixture(scope="module")
def session(pg_server: Server) -> Iterator[Session]:
    """A session on a database of its own; what a test makes there is rolled back."""
    name = "written_code"
    roles = sql.SQL(", ").join(map(sql.Identifier, ROLES))
    with connect(pg_server.dsn("postgres")) as server:
        server.execute("SET allow_in_place_tablespaces = on")
        for role in ROLES:
            server.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
        server.execute("CREATE TABLESPACE pair_space LOCATION ''")
        pg_server.create_database(name)
        try:
            with open_session(Settings(pg_server.dsn(name), just_made=True)) as opened:
                yield opened
        finally:
            pg_server.drop_database(name)
            server.execute("DROP TABLESPACE pair_space")
            server.execute(sql.SQL("DROP ROLE {}").format(roles))


@contextlib.contextmanager
def made(session: Session, pair: Pair, state: str) -> Iterator[None]:
    """A transaction, rolled back in the end, in which the state is there."""
    with session.connection.transaction(force_rollback=True):
        run(session, ["CREATE SCHEMA s", "SET LOCAL search_path = s", pair.there, state, PIN])
        yield


def run(session: Session, statements: Iterable[str | Statement]) -> None:
    for statement in statements:
        if statement:
            session.connection.execute(str(statement).encode())


def write(session: Session, statements: Iterable[Statement]) -> None:
    """Runs what was written, as it is meant to be run."""
    session.execute(
        "SELECT set_config('search_path', 'pg_catalog', true), set_config('check_function_bodies', 'off', true)"
    )
    for statement in statements:
        assert not str(statement).endswith(";")
        run(session, [statement])


def captured(session: Session) -> dict[str, Entry]:
    """What is there, but for where."""
    found = catalog_reader.read(session, Scope(("s",))).entries
    return {key: dataclasses.replace(entry, address=None) for key, entry in found.items()}


@functools.cache
def state(session: Session, pair: Pair, text: str) -> dict[str, Entry]:
    with made(session, pair, text):
        return captured(session)


def ordered(entries: Entries, keys: Iterable[str]) -> list[str]:
    """The keys, each after what it needs."""
    done: dict[str, None] = {}

    def add(key: str) -> None:
        if key not in done:
            for need in entries[key].needs:
                add(need)
            done[key] = None

    for key in sorted(entries):
        add(key)
    chosen = set(keys)
    return [key for key in done if key in chosen]


def around(entry: Entry, before: Entry | None) -> list[Statement]:
    """Owner, grants, comment and labels, those of a view's columns too."""
    noun = WRITERS[entry.kind].noun
    named = dataclasses.replace(entry, name=routine(entry)) if noun == "ROUTINE" else entry
    return beside(named, before, ("PUBLIC",), noun) + column_grants(entry, before)


def create(entry: Entry) -> list[Statement]:
    """An entry with all that belongs to it."""
    return WRITERS[entry.kind].create(entry) + around(entry, None)


def ways(there: Entries, wanted: Entries) -> dict[str, list[Statement] | None]:
    """How what is in both can be altered, where it differs."""
    return {
        key: WRITERS[entry.kind].alter(there[key], entry)
        for key, entry in wanted.items()
        if key in there and entry != there[key] and entry.kind in WRITERS
    }


def transition(there: Entries, wanted: Entries) -> list[Statement]:
    """From one state to the other. What is dropped takes along what needs it."""
    altered = ways(there, wanted)
    gone = {key for key in there if key not in wanted} | {key for key, way in altered.items() if way is None}
    while more := {key for key, entry in there.items() if key not in gone and gone & set(entry.needs)}:
        gone |= more
    statements = [s for key in reversed(ordered(there, gone)) for s in WRITERS[there[key].kind].drop(there[key])]
    for key in ordered(wanted, wanted):
        entry = wanted[key]
        if key in gone or key not in there:
            statements += create(entry)
        elif way := altered.get(key):
            statements += way
        # A trigger's switch reaches those of the partitions that are to be otherwise.
        if entry.facts.get("inherited") and any(altered.get(need) for need in entry.needs):
            statements += WRITERS[entry.kind].create(entry)
        if key in altered and key not in gone:
            statements += around(entry, there[key])
    return statements


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
class TestPairs:
    def test_dropped_and_made_again_it_is_the_same(self, session: Session, pair: Pair) -> None:
        for text in (pair.before, pair.after):
            before = state(session, pair, text)
            own = ordered(before, (key for key, entry in before.items() if entry.kind in WRITERS))
            with made(session, pair, text):
                write(session, (s for key in reversed(own) for s in WRITERS[before[key].kind].drop(before[key])))
                assert not [key for key, entry in captured(session).items() if entry.kind in WRITERS]
                write(session, (s for key in own for s in create(before[key])))
                assert captured(session) == before

    def test_one_becomes_the_other(self, session: Session, pair: Pair) -> None:
        before, after = (state(session, pair, text) for text in (pair.before, pair.after))
        assert before != after
        possible: list[bool] = []
        for text, there, wanted in ((pair.before, before, after), (pair.after, after, before)):
            with made(session, pair, text):
                write(session, transition(there, wanted))
                assert captured(session) == wanted
            possible.append(None not in ways(there, wanted).values())
        assert possible == [pair.in_place in ("both", "there"), pair.in_place in ("both", "back")]

    def test_what_is_as_it_should_be_stays(self, session: Session, pair: Pair) -> None:
        for text in (pair.before, pair.after):
            for entry in state(session, pair, text).values():
                if entry.kind in WRITERS:
                    alter = WRITERS[entry.kind].alter
                    assert alter(entry, entry) == []
                    unheard_of = dataclasses.replace(entry, facts=entry.facts | {"unheard_of": "x"})
                    assert alter(entry, unheard_of) is alter(unheard_of, entry) is None


def test_a_range_with_a_canonical_function(session: Session) -> None:
    """Each needs the other: the function wants the type by name, the range the function."""
    pair = Pair("canonical", "", """
        CREATE TYPE r; CREATE FUNCTION "ca (n"(r) RETURNS r LANGUAGE internal IMMUTABLE STRICT AS 'int4range_canonical';
        CREATE TYPE r AS RANGE (subtype = int, canonical = "ca (n")""", "neither")  # fmt: skip
    with made(session, pair, pair.after):
        before = captured(session)
        write(session, ["DROP TYPE s.r CASCADE", "CREATE TYPE s.r"])
        write(
            session, [s for kind in ("function", "range") for e in before.values() if e.kind == kind for s in create(e)]
        )
        assert captured(session) == before


def test_a_cast_without_a_function(session: Session) -> None:
    """Only between types of which each is made by functions of its own, or by the server's."""
    pair = Pair("binary", "", """
        CREATE TYPE b; CREATE FUNCTION b_in(cstring) RETURNS b LANGUAGE internal IMMUTABLE STRICT AS 'textin';
        CREATE FUNCTION b_out(b) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
        CREATE TYPE b (INPUT = b_in, OUTPUT = b_out, LIKE = text);
        CREATE CAST (b AS text) WITHOUT FUNCTION AS IMPLICIT""", "neither")  # fmt: skip
    with made(session, pair, pair.after):
        before = captured(session)
        cast = before["cast:(s.b AS pg_catalog.text)"]
        write(session, WRITERS["cast"].drop(cast))
        assert cast.key not in captured(session)
        write(session, create(cast))
        assert captured(session) == before


#: What the query asks of several kinds, and one cannot have; a canonical function has a test of its own.
UNSAID = {
    "view": {"storage", "compression", "statistics"},
    "materialized_view": {"default", "populated"},
    "range": {"canonical"},
}
#: What a collation of ICU has, and since which version.
OF_ICU = {"nondeterministic": 0, "rules": 160000}
ICU = "SELECT EXISTS (SELECT FROM pg_collation WHERE collname = 'de-x-icu') AS there"


def test_every_fact_stands_in_some_pair(session: Session) -> None:
    """So that none is captured that nobody writes."""
    seen: dict[str, set[str]] = {kind.name: set() for kind in views_and_routines.KINDS}
    for pair in PAIRS:
        for entry in [*state(session, pair, pair.before).values(), *state(session, pair, pair.after).values()]:
            seen.get(entry.kind, set()).update(said(entry.facts))
    for kind in views_and_routines.KINDS:
        captured_ones = set(re.findall(r"'(\w\w+)',", expanded(kind.query)))
        if kind.name == "collation":
            icu, version = session.row(ICU)["there"], session.facts.server_version
            captured_ones -= {fact for fact, since in OF_ICU.items() if not icu or version < since}
        assert captured_ones - UNSAID.get(kind.name, set()) <= seen[kind.name], kind.name


def said(value: Any) -> set[str]:
    """The keys of objects, however deep."""
    if isinstance(value, dict):
        return set(value).union(*map(said, value.values()))
    return set[str]().union(*map(said, value)) if isinstance(value, list) else set()
