# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What somebody who may create in public plants there: functions and operators that fit our queries better than PostgreSQL's
own, so that each query of ours that looks there runs into one, whichever test it is."""

from __future__ import annotations

import functools
import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import psycopg
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places
from tests import CHECKOUT

#: Owns all of it, and may do nothing else.
PLANTER = "planter"
#: What an argument of PostgreSQL's function may be in our queries of the catalog, and is coerced from. No type that the pipeline
#: has columns of: its own functions look in public.
INSTEAD = {
    "text": ("name",),
    "oid": ("regclass", "regproc", "regrole"),
    "any": ("name", "regclass"),
    "anyelement": ("name",),
    "anynonarray": ("name", "regclass"),
    "anycompatible": ("name",),
    "anyarray": ("name[]",),
    "anycompatiblearray": ("name[]",),
}
OPERATORS = ("||", "=", "<>", "<", ">", "<=", ">=", "~", "~*", "!~", "->", "->>", "+", "-")
OPERANDS = ("name", "text", '"char"', "name[]", "text[]")
#: As many as a call of format, concat or jsonb_build_object is tried with.
MOST_ARGUMENTS = 4

#: With a name among what they aggregate, no call of a text that looks in public would be unambiguous any more, the tests' own neither.
AMBIGUOUS = {"array_agg", "jsonb_object_agg", "lag", "lead", "string_agg"}

CALLED = re.compile(r"(?<![\w.])([a-z_][a-z0-9_]*)\(")
SIGNATURES = """
SELECT p.proname::text, ARRAY(SELECT format_type(t.oid, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY AS a (oid, n)
                              JOIN pg_type AS t ON t.oid = a.oid ORDER BY a.n), p.provariadic <> 0
FROM pg_proc AS p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY(%s) AND p.pronargs <= 4
"""
OPERATORS_THERE = """
SELECT oprname::text, format_type(oprleft, NULL), format_type(oprright, NULL) FROM pg_operator WHERE oprname = ANY(%s)
"""


@functools.cache
def called() -> list[str]:
    """The functions that our SQL may call by their bare names, and the pipeline and its jobs do not: those would be trapped."""
    ours = (CHECKOUT / "module_utils" / "recovery").rglob("*.py")
    theirs = (places.ROOT / "plugins" / "plugin_utils" / "reference").rglob("*.*")
    return sorted(_names(ours) - AMBIGUOUS - _names(file for file in theirs if file.suffix in (".py", ".sql")))


def _names(files: Iterable[Path]) -> set[str]:
    return {name for file in files for name in CALLED.findall(file.read_text())}


def plant(dsn: str) -> int:
    """Plants all of it; how many traps there are."""
    with psycopg.connect(dsn) as connection:
        try:
            with connection.transaction():
                connection.execute(sql.SQL("CREATE ROLE {} NOLOGIN").format(sql.Identifier(PLANTER)))
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            pass
        connection.execute(sql.SQL("GRANT CREATE ON SCHEMA public TO {}").format(sql.Identifier(PLANTER)))
        traps = [*_functions(connection), *_operators(connection)]
        connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(PLANTER)))
        connection.execute("; ".join(traps).encode())
        return len(traps)


def _functions(connection: psycopg.Connection) -> Iterator[str]:
    there: set[tuple[str, tuple[str, ...]]] = set()
    wanted: dict[tuple[str, tuple[str, ...]], None] = {}
    for name, types, variadic in connection.execute(SIGNATURES, [called()]):
        there.add((name, tuple(types)))
        for given in _arguments(types, variadic=variadic):
            wanted[name, given] = None
    for name, given in wanted:
        if (name, given) not in there:
            yield _function(f'public."{name}"', given, f"{name}({', '.join(given)})")


def _arguments(types: list[str], *, variadic: bool) -> Iterator[tuple[str, ...]]:
    """Other argument lists that a call which means these may have."""
    numbers = [len(types)]
    if variadic and types[-1] == '"any"':
        numbers = list(range(len(types), MOST_ARGUMENTS + 1))
        types = [*types, *(types[-1:] * MOST_ARGUMENTS)]
    for number in numbers:
        choices = [(each, *INSTEAD.get(each.strip('"'), ())) for each in types[:number]]
        for given in itertools.product(*choices):
            if list(given) != types[:number] and not any(each.strip('"').startswith("any") for each in given):
                yield given


def _operators(connection: psycopg.Connection) -> Iterator[str]:
    there = set(connection.execute(OPERATORS_THERE, [list(OPERATORS)]))
    for number, (left, right) in enumerate(itertools.product(OPERANDS, repeat=2)):
        yield _function(f"public.planted_{number}", (left, right), f"an operator of {left} and {right}")
        for symbol in OPERATORS:
            # The pipeline has texts, and says what it means of them.
            if (symbol, left, right) not in there and (left, right) != ("text", "text"):
                yield f"CREATE OPERATOR public.{symbol} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = public.planted_{number})"


def _function(name: str, given: tuple[str, ...], what: str) -> str:
    result = "boolean" if "planted_" in name else "text"
    return (
        f"CREATE FUNCTION {name}({', '.join(given)}) RETURNS {result} LANGUAGE plpgsql AS "
        f"$$BEGIN RAISE 'planted: {what.replace(chr(39), '')} was called'; END$$"
    )
