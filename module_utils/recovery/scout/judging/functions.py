# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The database's own functions that a job may come to, by oid, and which of them write silver or gold.

Only those of owners that matter: the pipeline's, the job's own role and superusers, and who may become one of them. What
anybody else calls a function of his decides nothing.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import typing as t

from ...core.text import count
from ...postgres import lexer
from .. import contract
from . import roles, statements

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...postgres.session import Session

#: More than this no pipeline has, and reading it would keep a pause waiting.
MAX_FUNCTIONS: t.Final = 5000
MAX_CHARACTERS: t.Final = 262_144
MAX_TOTAL: t.Final = 16 * MAX_CHARACTERS

#: Who owns the schema of the pipeline, its tables or its ETL, by oid; whoever may become one of them has his rights anyway.
#: Functions in a schema that no such role may use, or of an extension, no job of theirs comes to.
FUNCTIONS: t.LiteralString = f"""
WITH owners AS MATERIALIZED ({roles.OWNING}), jobs AS MATERIALIZED (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname = ANY(%(roles)s)
), roles AS MATERIALIZED (
    SELECT r.oid, r.rolname, r.rolsuper OR EXISTS (
        SELECT FROM owners AS o WHERE o.oid = r.oid OR pg_catalog.pg_has_role(r.oid, o.oid, 'MEMBER')
    ) AS everyones
    FROM pg_catalog.pg_roles AS r
    WHERE r.oid IN (SELECT DISTINCT p.proowner FROM pg_catalog.pg_proc AS p)
), schemas AS MATERIALIZED (
    SELECT n.oid, n.nspname
    FROM pg_catalog.pg_namespace AS n
    WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname NOT IN ('information_schema', 'cron', 'scout_ops')
      AND EXISTS (SELECT FROM jobs AS j WHERE pg_catalog.has_schema_privilege(j.oid, n.oid, 'USAGE'))
)
SELECT p.oid::bigint AS oid, n.nspname::text AS schema, p.proname::text AS name, r.everyones, r.rolname::text AS owner,
       ARRAY(SELECT k.rolname::text FROM jobs AS j JOIN pg_catalog.pg_roles AS k ON k.oid = j.oid
             WHERE j.oid = r.oid OR pg_catalog.pg_has_role(r.oid, j.oid, 'MEMBER')) AS of,
       pg_catalog.left({lexer.SOURCE}, %(longest)s) AS source
FROM pg_catalog.pg_proc AS p
JOIN schemas AS n ON n.oid = p.pronamespace
JOIN roles AS r ON r.oid = p.proowner
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang
WHERE l.lanname NOT IN ('c', 'internal')
  AND (r.everyones OR EXISTS (SELECT FROM jobs AS j WHERE j.oid = r.oid OR pg_catalog.pg_has_role(r.oid, j.oid, 'MEMBER')))
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                  WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
ORDER BY p.oid LIMIT %(most)s
"""  # noqa: S608  # made of literals alone

#: Views that show the pipeline's tables, themselves or through others, and tables with rules that name those: what is written into them
#: may come to the pipeline's. What strangers call a view of theirs decides nothing, unless the job is theirs.
VIEWS: t.LiteralString = f"""
WITH RECURSIVE shown AS (
    SELECT c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = ANY(%(shown)s)
    UNION
    SELECT r.ev_class FROM shown JOIN pg_catalog.pg_depend AS d ON d.refobjid = shown.oid
    JOIN pg_catalog.pg_rewrite AS r ON r.oid = d.objid
    WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.classid = 'pg_catalog.pg_rewrite'::regclass
)
SELECT DISTINCT c.relname::text AS name FROM shown JOIN pg_catalog.pg_class AS c ON c.oid = shown.oid AND c.relkind IN ('v', 'r', 'p')
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname || '.' || c.relname <> ALL(%(shown)s)
WHERE c.relowner NOT IN ({roles.STRANGERS}) OR pg_catalog.pg_get_userbyid(c.relowner) = ANY(%(roles)s)
ORDER BY 1 LIMIT %(most)s
"""  # noqa: S608  # made of literals alone

#: What is called where a row of a table is written, which is not just any stranger's of that name.
TRIGGERS: t.LiteralString = f"""
SELECT DISTINCT pg_catalog.lower(c.relname) AS relation, t.tgfoid::bigint AS function
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgfoid = ANY(%(known)s::oid[])
  AND (c.relowner NOT IN ({roles.STRANGERS}) OR pg_catalog.pg_get_userbyid(c.relowner) = ANY(%(roles)s))
ORDER BY 1, 2 LIMIT %(most)s
"""  # noqa: S608  # made of literals alone

#: Called like this, and not among those that count.
STRANGERS = """
SELECT p.oid::pg_catalog.regprocedure::text AS function, r.rolname::text AS owner
FROM unnest(%(schemas)s::text[], %(names)s::text[]) AS called (schema, name)
JOIN pg_catalog.pg_proc AS p ON pg_catalog.lower(p.proname) = called.name AND p.oid <> ALL(%(known)s::oid[])
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace AND pg_catalog.lower(n.nspname) = called.schema
JOIN pg_catalog.pg_roles AS r ON r.oid = p.proowner
WHERE NOT pg_catalog.starts_with(n.nspname, 'pg_') AND n.nspname NOT IN ('information_schema', 'cron', 'scout_ops')
ORDER BY 1 LIMIT 3
"""


@dataclasses.dataclass(frozen=True)
class Function:
    """A function of the database, and whose jobs may come to it: those of all roles, or of some."""

    oid: int
    schema: str
    name: str
    source: str
    everyones: bool = True
    of: tuple[str, ...] = ()

    def matters_to(self, role: str) -> bool:
        """Whether what it does decides about a job of this role."""
        return self.everyones or role in self.of

    @functools.cached_property
    def may_run(self) -> str:
        """Its code with all that it might run; raises Intricate, naming it, where that cannot be judged."""
        return self._read(lexer.may_run)

    @functools.cached_property
    def runs(self) -> str:
        """Its code with what it runs itself; raises Intricate, naming it, where that cannot be judged."""
        return self._read(lexer.runs)

    def _read(self, reading: t.Callable[[str], str]) -> str:
        try:
            if len(self.source) > MAX_CHARACTERS:
                raise lexer.Intricate(f"it is longer than {MAX_CHARACTERS} characters")
            return reading(self.source)
        except lexer.Intricate as e:
            raise lexer.Intricate(f"function {self.schema}.{self.name}: {e}") from None


#: The functions that triggers call, each by its schema and name, by the bare names of tables.
Triggers = dict[str, frozenset[tuple[str, str]]]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """Functions that do something of interest, by their name and schema."""

    names: frozenset[tuple[str, str]]
    triggers: Triggers = dataclasses.field(default_factory=Triggers)

    @functools.cached_property
    def _bare(self) -> frozenset[str]:
        return frozenset(name for _, name in self.names)

    def called_by(self, plain: str) -> bool:
        """Whether code calls one of them, or writes what has it as a trigger; where it tells no schema, any of that name."""
        found = _called(plain, self.triggers)
        return any(name in self._bare if schema is None else (schema, name) in self.names for schema, name in found)


#: Functions by the name of what they call, with the schema that they tell.
Callers = dict[str, list[tuple[str | None, Function]]]


class Functions:
    """What the database has of functions."""

    def __init__(self, found: Iterable[Function], views: Iterable[str] = (), triggers: Triggers | None = None) -> None:
        self._found = tuple(found)
        self._triggers = triggers or {}
        #: Views that show the pipeline's tables, by their bare names.
        self.views = frozenset(views)

    @functools.cached_property
    def _may_call(self) -> Callers:
        return _callers(((function, function.may_run) for function in self._found), self._triggers)

    @functools.cached_property
    def _calling(self) -> Callers:
        return _callers(((function, function.runs) for function in self._found), self._triggers)

    def strangers(self, session: Session, plain: str) -> list[tuple[str, str]]:
        """Functions of others that this code calls in the schema that it tells, with their owners: what they do is not followed.
        By a bare name anybody's could be meant."""
        called = [(schema, name) for schema, name in sorted(statements.called(plain), key=str) if schema]
        values = {"schemas": [schema for schema, _ in called], "names": [name for _, name in called]}
        rows = session.rows(STRANGERS, **values, known=[function.oid for function in self._found])
        return [(row["function"], row["owner"]) for row in rows]

    def writing(self, role: str) -> Chosen:
        """Those that may write silver or gold for a job of this role, themselves or through another."""
        names = contract.names()
        own = self._doing(role, lambda code: statements.writes(code, self.views))
        return self._reaching(role, self._may_call, own | self.of_pipeline(*names.etl_functions, *names.gold_functions))

    def removing(self, role: str) -> Chosen:
        """Those that may take events out of bronze for a job of this role, themselves or through another."""
        return self._reaching(
            role, self._may_call, self._doing(role, lambda code: statements.removes(code, self.views))
        )

    def _doing(self, role: str, does: t.Callable[[str], bool]) -> set[tuple[str, str]]:
        return {(f.schema, f.name) for f in self._found if f.matters_to(role) and does(f.may_run)}

    def reaching(self, role: str, names: Iterable[str]) -> Chosen:
        """These functions of the pipeline (bare names), and those that come to them for a job of this role."""
        return self._reaching(role, self._calling, self.of_pipeline(*names))

    @staticmethod
    def of_pipeline(*names: str) -> set[tuple[str, str]]:
        """Functions of the pipeline's schema by their bare names."""
        return {(contract.names().schema, name) for name in names}

    def _reaching(self, role: str, callers: Callers, first: Iterable[tuple[str, str]]) -> Chosen:
        found = {(schema.lower(), name.lower()) for schema, name in first}
        todo = list(found)
        while todo:
            schema, name = todo.pop()
            for told, function in callers.get(name, ()):
                caller = function.schema.lower(), function.name.lower()
                if told in (None, schema) and caller not in found and function.matters_to(role):
                    found.add(caller)
                    todo.append(caller)
        return Chosen(frozenset(found), self._triggers)


def _called(plain: str, triggers: Triggers) -> frozenset[tuple[str | None, str]]:
    """What code calls, itself or by writing what has a trigger."""
    by_trigger = (triggers[table] for table in statements.written(plain, frozenset(triggers)))
    return statements.called(plain).union(*by_trigger)


def _callers(found: Iterable[tuple[Function, str]], triggers: Triggers) -> Callers:
    """Functions by the name of what their code calls."""
    callers: Callers = collections.defaultdict(list)
    for function, code in found:
        for schema, name in _called(code, triggers):
            callers[name].append((schema, function))
    return dict(callers)


def read(session: Session, of: Iterable[str]) -> Functions:
    """The functions that decide about jobs of these roles. Raises Intricate where there are too many to be judged."""
    owners = {**roles.owned(), "roles": sorted(set(of))}
    found = session.rows(
        FUNCTIONS,
        **owners,
        longest=MAX_CHARACTERS + 1,
        most=MAX_FUNCTIONS + 1,
    )
    if len(found) > MAX_FUNCTIONS:
        raise lexer.Intricate(f"there are more than {MAX_FUNCTIONS} functions")
    if (total := sum(len(row["source"] or "") for row in found)) > MAX_TOTAL:
        raise lexer.Intricate(f"the {count(len(found), 'function')} come to {total} characters")
    by_oid = {row["oid"]: (row["schema"].lower(), row["name"].lower()) for row in found}
    triggers: Triggers = {}
    for row in session.rows(TRIGGERS, **owners, known=list(by_oid), most=MAX_FUNCTIONS):
        triggers[row["relation"]] = triggers.get(row["relation"], frozenset()) | {by_oid[row["function"]]}
    names = contract.names()
    shown = [names.bronze, names.transactions, names.line_items, names.etl_ledger]
    return Functions(
        (
            Function(row["oid"], row["schema"], row["name"], row["source"] or "", row["everyones"], tuple(row["of"]))
            for row in found
        ),
        (row["name"] for row in session.rows(VIEWS, **owners, shown=shown, most=MAX_FUNCTIONS)),
        triggers,
    )
