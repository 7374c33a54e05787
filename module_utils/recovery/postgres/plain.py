# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows for JSON, without a cast of others: PostgreSQL calls one to json wherever a value is made a part of a document, also within a
list or a row. Of a type that is not PostgreSQL's own the text is taken that it writes itself, which no cast changes."""

from __future__ import annotations

import typing as t

from .driver import sql

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .session import Session

#: From here on types are not PostgreSQL's own; of a domain a query says what it is made of.
FIRST_OF_USERS: t.Final = 16384

COLUMNS: t.Final[t.LiteralString] = "SELECT * FROM {source} AS found LIMIT 0"
#: `concat` asks the type itself, never a cast; NULL stays NULL, and a row of nothing but NULL is none.
AS_TEXT: t.Final[t.LiteralString] = "CASE WHEN pg_catalog.num_nulls({value}) = 0 THEN pg_catalog.concat({value}) END"


def columns(session: Session, source: sql.Composable, alias: str, **values: t.Any) -> dict[str, sql.Composable]:
    """The columns of what stands in FROM as `source`, by name, each as an expression over the row `alias` that any function may make
    JSON of, for a query that is given values; inside a transaction."""
    described = session.connection.execute(sql.SQL(COLUMNS).format(source=source), values or None).description
    return {each.name: _column(named(alias, each.name), each.type_code) for each in described or ()}


def row(found: Mapping[str, sql.Composable], alias: str) -> sql.Composable:
    """The row of these columns as one value; the row `alias` itself where all of them may be part of JSON as they are."""
    if all(isinstance(value, sql.SQL) for value in found.values()):
        return sql.Identifier(alias)
    columns = sql.SQL(", ").join(sql.SQL("{} AS {}").format(value, named(name)) for name, value in found.items())
    return sql.SQL("(SELECT plain FROM (SELECT {}) AS plain)").format(columns)


def _column(value: sql.Composable, kind: int) -> sql.Composable:
    return value if kind < FIRST_OF_USERS else sql.SQL(AS_TEXT).format(value=value)


def named(*parts: str) -> sql.SQL:
    """A quoted name for a query with placeholders: a per cent sign in it is not the beginning of one."""
    return sql.SQL(t.cast("t.LiteralString", sql.Identifier(*parts).as_string().replace("%", "%%")))


def literal(text: str) -> sql.SQL:
    """The same for a text."""
    return sql.SQL(t.cast("t.LiteralString", sql.Literal(text).as_string().replace("%", "%%")))
