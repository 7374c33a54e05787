# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a materialized view holds, beside what its own query gives now: at once where that is little, else a day at a time, the
likeliest first, so that the first difference ends it and no more is computed than has to be known."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..postgres import read_budget
from ..postgres.driver import errors, sql
from . import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: With fewer sales than this the whole view is computed faster than its days one by one.
AT_ONCE: t.Final = 200_000
#: Days that are far from all others are sales with a wrong date; more than so many are not looked at one by one.
MOST_DAYS: t.Final = 4000
#: How many days of moves, and how many of the latest, are looked at one by one where there is no limit of time, and how long all of them
#: may take then.
MOST_LIKELY: t.Final = 10
LATEST_DAYS: t.Final = 3
WHOLE_SECONDS: t.Final = 1800.0

#: What a day has is found by its index, and so are its lines: for each day, PostgreSQL would rather go through all lines, as it takes a
#: page that is read by an index for four others, which none is that is in memory. Without this, days among 7,000,000 lines take three
#: times as long.
BY_INDEX = "SET LOCAL random_page_cost = 1.1"
AS_USUAL = "SET LOCAL random_page_cost TO DEFAULT"
SET_TIMEOUT = "SELECT set_config('statement_timeout', %(limit)s, true)"
DAY_TYPE = """
SELECT a.atttypid = 'pg_catalog.date'::regtype AS dated FROM pg_catalog.pg_attribute AS a
WHERE a.attrelid = %(oid)s AND a.attname = %(day)s
"""
#: The days of silver by its index, with those beside them, which another time zone may make of them, and those that are shown;
#: the latest first.
DAYS_THERE = """
WITH RECURSIVE sold (day) AS (
    SELECT max(date_key) FROM {transactions}
    UNION ALL
    SELECT (SELECT max(date_key) FROM {transactions} AS s WHERE s.date_key < sold.day) FROM sold WHERE sold.day IS NOT NULL
)
SELECT day::text AS day FROM (
    SELECT day + beside AS day FROM sold CROSS JOIN generate_series(-1, 1) AS beside WHERE isfinite(day)
    UNION SELECT {day} FROM {view}
    UNION SELECT day FROM sold) AS every
ORDER BY every.day DESC NULLS LAST LIMIT %(most)s
"""
DIFFERING = """
WITH now_given AS (SELECT {c} FROM ({d}) AS q WHERE {day}), stored AS (SELECT {c} FROM {v} AS q WHERE {day})
SELECT (SELECT count(*) FROM (SELECT * FROM now_given EXCEPT ALL SELECT * FROM stored) AS more)
     + (SELECT count(*) FROM (SELECT * FROM stored EXCEPT ALL SELECT * FROM now_given) AS less) AS differing
"""
COUNTED = "SELECT abs((SELECT count(*) FROM ({d}) AS q) - (SELECT count(*) FROM {v})) AS differing"


@dataclasses.dataclass(frozen=True)
class Contents:
    """What is compared of a view: its own name, oid and query, the column that says of which day a row is, where it has one, and a row's
    contents as one text, None where all of them move by themselves."""

    name: str
    oid: int
    definition: str
    day: str | None
    row: sql.Composed | None
    #: Days that moves have changed lately, which leave no trace in silver.
    moved: frozenset[str] = frozenset()


@dataclasses.dataclass(frozen=True)
class Compared:
    """How many rows differ, on which day where it was looked at by days; how many days were looked at, and how many there are."""

    rows: int
    day: str | None = None
    days: int = 0
    of: int = 0

    @property
    def whole(self) -> bool:
        """Whether all of it was compared, or enough: one difference is."""
        return bool(self.rows) or self.days == self.of


def written(definition: str) -> sql.SQL:
    """A view's query as PostgreSQL writes it, to stand within another statement."""
    return sql.SQL(t.cast("t.LiteralString", definition.strip().rstrip(";")))


def compare(session: Session, view: Contents, deadline: float | None) -> Compared:
    """Rows that differ between a view and its own query, whatever moves by itself left out. Ends with the first day that differs. Raises
    QueryCanceled where no day could be compared by the deadline (monotonic seconds); what is left by then is told by `days` and `of`."""
    day = view.day
    if view.row is None:
        return Compared(_at_once(session, COUNTED, view, deadline))
    if day is None or not _is_large(session) or not session.row(DAY_TYPE, oid=view.oid, day=day)["dated"]:
        return Compared(_at_once(session, DIFFERING, view, deadline))
    column, (days, likely) = sql.Identifier(day), _days(session, view, day)
    for nth, each in enumerate(days):
        # Where there is time for all of them, all at once take less.
        if len(days) >= MOST_DAYS or (deadline is None and nth == likely):
            return Compared(_at_once(session, DIFFERING, view, deadline))
        # Only a constant is taken to all that the query reads.
        of = sql.SQL("q.{} IS NULL" if each is None else "q.{} = {}").format(column, sql.Literal(each))
        try:
            found = _differing(session, DIFFERING, view, of, deadline)
        except errors.QueryCanceled:
            if nth == 0 or deadline is None or time.monotonic() < deadline:
                raise
            return Compared(0, None, nth, len(days))
        if found:
            return Compared(found, each, nth + 1, len(days))
    return Compared(0, None, len(days), len(days))


def _at_once(session: Session, statement: t.LiteralString, view: Contents, deadline: float | None) -> int:
    if deadline is not None:
        return _differing(session, statement, view, None, deadline)
    usual = session.connection.limit_seconds
    session.connection.limit_seconds = WHOLE_SECONDS
    try:
        return _differing(session, statement, view, None, time.monotonic() + WHOLE_SECONDS)
    finally:
        session.connection.limit_seconds = usual


def _is_large(session: Session) -> bool:
    return read_budget.rows_of(session, contract.names().transactions) >= AT_ONCE


def _days(session: Session, view: Contents, day: str) -> tuple[list[str | None], int]:
    """The days that it may have rows of, those first that a move has changed, then the latest; and how many differ more likely than the
    others."""
    shown = sql.Identifier(contract.names().schema, view.name)
    query = contract.compose(DAYS_THERE, day=sql.Identifier(day), view=shown)
    there = [row["day"] for row in session.rows(query, most=MOST_DAYS)]
    moved = view.moved
    return sorted(there, key=lambda each: each not in moved), min(
        MOST_LIKELY, sum(each in moved for each in there)
    ) + LATEST_DAYS


def _differing(
    session: Session,
    statement: t.LiteralString,
    view: Contents,
    day: sql.Composable | None,
    deadline: float | None,
) -> int:
    """How many rows differ, of a day where one is given."""
    definition = written(view.definition)
    stored = sql.Identifier(contract.names().schema, view.name)
    query = sql.SQL(statement).format(c=view.row, d=definition, v=stored, day=day or sql.SQL("true"))
    with session.savepoint():
        before = session.row("SELECT current_setting('statement_timeout') AS limit")["limit"]
        if deadline is not None:
            left = deadline - time.monotonic()
            if left <= 0:
                raise errors.QueryCanceled("the time budget is spent")
            session.execute(SET_TIMEOUT, limit=f"{max(1, round(left * 1000))}ms")
        if day is not None:
            session.execute(BY_INDEX)
        found = session.connection.execute(query).fetchone()
        session.execute(AS_USUAL)
        session.execute(SET_TIMEOUT, limit=before)
    return 0 if found is None else int(found["differing"])
