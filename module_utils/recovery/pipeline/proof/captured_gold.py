# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Gold beside its own definition in the release that was captured last: where a view was changed since, what it shows otherwise."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ...core.errors import RecoveryError
from ...ledger import bootstrap, history
from ...postgres import acting
from ...postgres.driver import psycopg, sql
from ...scout import contract, gold_contents, gold_views

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session
    from ...scout.gold_views import View

CAPTURED: t.Final = """
SELECT r.release, e.entry ->> 'name' AS name, e.entry #>> '{facts,definition}' AS definition,
       ARRAY(SELECT c ->> 'name' FROM pg_catalog.jsonb_array_elements(e.entry #> '{facts,columns}') AS c) AS columns
FROM (SELECT release, document FROM scout_ops.releases WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1) AS r
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.document -> 'entries') AS e (entry)
WHERE e.entry ->> 'kind' = 'materialized_view'
"""
#: The functions of the same release that may refresh a view.
CAPTURED_CODE: t.Final = """
SELECT e.entry #>> '{facts,definition}' AS definition
FROM (SELECT document FROM scout_ops.releases WHERE document ->> 'taken_by' IS NULL ORDER BY captured_at DESC LIMIT 1) AS r
CROSS JOIN LATERAL pg_catalog.jsonb_array_elements(r.document -> 'entries') AS e (entry)
WHERE e.entry ->> 'kind' = 'function' AND e.entry #>> '{facts,definition}' ~* 'refresh'
"""
#: Row by row of some days, by the day and what divides it, each figure that is not the same. `concat` calls no cast of others.
BESIDE: t.Final[t.LiteralString] = """
WITH shown AS (
    SELECT pg_catalog.concat(v.{day}) AS day, pg_catalog.concat({part}) AS part, {now} FROM {view} AS v WHERE v.{day} IN ({days})
), captured AS (
    SELECT pg_catalog.concat(v.{day}) AS day, pg_catalog.concat({part}) AS part, {then} FROM {definition} AS v WHERE v.{day} IN ({days})
)
SELECT day, part, n.name, n.shown, n.captured
FROM shown AS s FULL JOIN captured AS c USING (day, part) CROSS JOIN LATERAL (VALUES {pairs}) AS n (name, shown, captured)
WHERE n.shown IS DISTINCT FROM n.captured ORDER BY day DESC, part, name LIMIT 1
"""
#: The columns of a view that may be read, with their types where these are PostgreSQL's own.
COLUMNS = """
SELECT a.attname::text AS name, CASE WHEN y.typnamespace = 'pg_catalog'::regnamespace THEN y.typname::text ELSE '' END AS type
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(name)s) AND a.attnum > 0 AND NOT a.attisdropped
  AND pg_catalog.has_column_privilege(a.attrelid, a.attnum, 'SELECT')
"""
NUMBERS: t.Final = ("int2", "int4", "int8", "numeric", "float4", "float8")
#: What divides a day, where a view does so.
PARTS: t.Final = ("store_id", "region_name")
#: A function's body as pg_get_functiondef writes it.
BODY: t.Final = re.compile(r"^AS (\$\w*\$)(.*)\1$", re.DOTALL | re.MULTILINE)
#: A definition is written with this path.
PINNED: t.Final = "pg_catalog, pg_temp"


@dataclasses.dataclass(frozen=True)
class Beside:
    """Views that were changed since this release was captured: those that show other figures than it would, with one of each, and those
    that show the same."""

    release: str = ""
    otherwise: tuple[str, ...] = ()
    equal: tuple[str, ...] = ()


def beside(session: Session, days: Sequence[str], meant: Sequence[str] = (), *, refreshed: bool = True) -> Beside:
    """What views of gold say of these days otherwise than they would by their definition in the latest capture, in words, a figure of
    each that was changed since, but for columns (`view.column`) that are `meant` to change; inside a transaction that is
    rolled back. Either is asked as the view's owner. Where they were not `refreshed`, it is what their queries say."""
    if not days or not (history.readable(session) and bootstrap.readable(session)):
        return Beside()
    captured = {row["name"]: row for row in session.rows(CAPTURED)}
    otherwise, equal, release = list[str](), list[str](), ""
    for view in gold_views.views(session):
        then = captured.get(view.full_name)
        if then is None or then["definition"] == view.definition:
            continue
        release = then["release"]
        unmeant = [name for name in then["columns"] if f"{view.name}.{name}" not in meant]
        if gone := [name for name in unmeant if name not in view.columns]:
            otherwise.append(f"{view.full_name} has no {', '.join(gone[:5])}")
            continue
        day = gold_views.day_of(view)
        if day is None or view.foreign_code:
            continue
        shown = sql.Identifier(contract.names().schema, view.name) if refreshed else _query(view.definition)
        rows = _beside(session, view, then, (day, shown), days, unmeant)
        if rows:
            otherwise.append(_told(view, rows[0]))
        elif rows is not None:
            equal.append(view.full_name)
    return Beside(release, tuple(otherwise), tuple(equal))


def refreshing_code(session: Session) -> list[str]:
    """The body of each function in the latest capture that may refresh a view. Inside a transaction."""
    if not (history.readable(session) and bootstrap.readable(session)):
        return []
    bodies = (BODY.search(row["definition"]) for row in session.rows(CAPTURED_CODE))
    return [body[2] for body in bodies if body]


def _told(view: View, found: Row) -> str:
    where = f"{view.full_name} of {found['day']}{', ' + found['part'] if found['part'] else ''}"
    figures = " instead of ".join("none" if found[name] is None else str(found[name]) for name in ("shown", "captured"))
    return f"{where}: {found['name']} {figures}"


def _query(definition: str) -> sql.Composed:
    return sql.SQL("({})").format(gold_contents.written(definition))


def _beside(
    session: Session,
    view: View,
    then: Row,
    by: tuple[str, sql.Composable],
    days: Sequence[str],
    among: Sequence[str],
) -> list[Row] | None:
    """The first figure that is otherwise, where one is; None where nobody can tell."""
    day, shown = by
    kinds = {row["name"]: row["type"] for row in session.rows(COLUMNS, name=view.full_name)}
    names = [name for name in view.contents if kinds.get(name) in NUMBERS and name in among]
    if not names or day not in then["columns"]:
        return None
    part = next((name for name in PARTS if name in view.columns and name in then["columns"]), "")
    named = {name: sql.Identifier(name) for name in names}
    value: t.LiteralString = "nullif(pg_catalog.concat(v.{name}), '')::numeric AS {name}"
    values = sql.SQL(", ").join(sql.SQL(value).format(name=each) for each in named.values())
    pairs = [sql.SQL("({}, s.{name}, c.{name})").format(sql.Literal(name), name=each) for name, each in named.items()]
    statement = sql.SQL(BESIDE).format(
        day=sql.Identifier(day),
        part=sql.SQL("v.{}").format(sql.Identifier(part)) if part else sql.SQL("''"),
        now=values,
        then=values,
        view=shown,
        definition=_query(then["definition"]),
        days=sql.SQL(", ").join(map(sql.Literal, days)),
        pairs=sql.SQL(", ").join(pairs),
    )
    owner = dataclasses.replace(acting.actor(session, view.owner), search_path=PINNED)
    try:
        with session.savepoint():
            return acting.call(session, owner, statement)
    except (psycopg.Error, RecoveryError):
        # What it was made of is gone, or its owner cannot be asked.
        return None
