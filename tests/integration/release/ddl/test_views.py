# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Types, functions, casts, operators, collations, views and what hangs on tables, made again, altered and dropped by what was
read of them."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

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
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog import reader as catalog_reader
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry, Scope
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl import operators, views
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.common import beside
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.statement import Statement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.types import routine
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.views import column_grants
from tests.integration.code_pairs import PAIRS, Pair
from tests.integration.modules import connect
from tests.integration.release.by_name import judged

Entries = Mapping[str, Entry]

WRITERS = views.WRITERS | operators.WRITERS

Which = Literal["before", "after"]
#: How many share a database.
ROOM = 12
GROUPS = [*itertools.batched(PAIRS, ROOM, strict=False)]
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
def made(session: Session, pairs: Iterable[Pair], which: Which) -> Iterator[None]:
    """A transaction, rolled back in the end, in which that state of each is there, in its own schema."""
    with session.connection.transaction(force_rollback=True):
        for pair in pairs:
            place = (f"CREATE SCHEMA {pair.schema}", f"SET LOCAL search_path = {pair.schema}")
            run(session, [*place, pair.there, getattr(pair, which)])
        run(session, [PIN])
        yield


@contextlib.contextmanager
def tried(session: Session) -> Iterator[None]:
    """A part of that transaction, rolled back in the end."""
    with session.savepoint():
        yield
        raise psycopg.Rollback


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


def captured(session: Session, pairs: Iterable[Pair]) -> dict[str, Entry]:
    """What is there, but for where."""
    found = catalog_reader.read(session, Scope(tuple(pair.schema for pair in pairs))).entries
    return {key: dataclasses.replace(entry, address=None) for key, entry in found.items()}


@functools.cache
def state(session: Session, pairs: tuple[Pair, ...], which: Which) -> dict[str, Entry]:
    with made(session, pairs, which):
        return captured(session, pairs)


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


class Went(NamedTuple):
    """Both states of pairs that share a database, and how what is in both can be altered: there, and back."""

    pairs: tuple[Pair, ...]
    before: Entries
    after: Entries
    there: dict[str, list[Statement] | None]
    back: dict[str, list[Statement] | None]


def placed(pairs: Sequence[Pair]) -> tuple[Pair, ...]:
    """Each in a schema of its own, where there are several."""
    return tuple(pair.placed(f"s{number}") if len(pairs) > 1 else pair for number, pair in enumerate(pairs, 1))


def went_through(session: Session, given: Sequence[Pair]) -> Went:
    """Dropped and made again, either state is the same; and one becomes the other."""
    pairs = placed(given)
    before, after = state(session, pairs, "before"), state(session, pairs, "after")
    for which, there, wanted in (("before", before, after), ("after", after, before)):
        with made(session, pairs, which):
            with tried(session):
                own = ordered(there, (key for key, entry in there.items() if entry.kind in WRITERS))
                write(session, (s for key in reversed(own) for s in WRITERS[there[key].kind].drop(there[key])))
                assert not [key for key, entry in captured(session, pairs).items() if entry.kind in WRITERS]
                write(session, (s for key in own for s in create(there[key])))
                assert captured(session, pairs) == there
            write(session, transition(there, wanted))
            assert captured(session, pairs) == wanted
    return Went(pairs, before, after, ways(before, after), ways(after, before))


def judge(given: Pair, went: Went) -> None:
    """The states differ, by what can be altered in place in the directions that are said; what is as it should be stays."""
    [pair] = [pair for pair in went.pairs if pair.name == given.name]
    before, after = of(pair, went.before), of(pair, went.after)
    assert before != after
    possible = [None not in of(pair, each).values() for each in (went.there, went.back)]
    assert possible == [pair.in_place in ("both", "there"), pair.in_place in ("both", "back")]
    for entry in (*before.values(), *after.values()):
        if entry.kind in WRITERS:
            alter = WRITERS[entry.kind].alter
            assert alter(entry, entry) == []
            unheard_of = dataclasses.replace(entry, facts=entry.facts | {"unheard_of": "x"})
            assert alter(entry, unheard_of) is alter(unheard_of, entry) is None


def of[Value](pair: Pair, found: Mapping[str, Value]) -> dict[str, Value]:
    """What is in its schema."""
    name = re.compile(rf"\b{pair.schema}\b")
    return {key: value for key, value in found.items() if name.search(key)}


@pytest.mark.parametrize("pairs", GROUPS, ids=lambda pairs: f"{pairs[0].name} and {len(pairs) - 1} more")
def test_pairs(session: Session, subtests: pytest.Subtests, pairs: tuple[Pair, ...]) -> None:
    """They share a database; where they fail together, each is tried alone."""
    judged(subtests, {pair.name: pair for pair in pairs}, functools.partial(went_through, session), judge)


def said(value: Any) -> set[str]:
    """The keys of objects, however deep."""
    if isinstance(value, dict):
        return set(value).union(*map(said, value.values()))
    return set[str]().union(*map(said, value)) if isinstance(value, list) else set()
