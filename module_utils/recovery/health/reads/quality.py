# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sales break a rule of quality: of those that changed lately, the newest so many; and of all others."""

from __future__ import annotations

import typing as t

from ...core.text import in_words
from ...moves.cleanup import violations
from ...postgres.driver import sql
from ...scout import contract

if t.TYPE_CHECKING:
    import datetime

    from ...postgres.session import Row, Session

#: How many of the newest sales are looked at one by one: so many for each second of the budget, and at least so many.
SALES_PER_SECOND: t.Final = 4000
LEAST_SALES = 20_000
#: How many sales that break a rule, of each rule, are compared with their events.
COMPARED_SALES: t.Final = 1000

#: The rules of the view of quality alerts, without its division and with discounts taken into account. What an upsert touches
#: keeps its processed_at, so other clocks tell of it. The start is of the transaction, so that the planner can estimate with
#: it and use an index. What is not critical breaks no rule of that view, but spoils figures.
ALERTS = """
WITH recent AS (
    (SELECT transaction_id FROM {transactions}
     WHERE processed_at >= now() - make_interval(hours => %(hours)s) OR updated_at >= now() - make_interval(hours => %(hours)s)
     ORDER BY greatest(processed_at, updated_at) DESC LIMIT %(most)s)
    UNION
    (SELECT transaction_id FROM {line_items} WHERE updated_at >= now() - make_interval(hours => %(hours)s)
     ORDER BY updated_at DESC LIMIT %(most)s)
),
sales AS (
    SELECT t.transaction_id, {totals}, l.gross, l.lines_off, l.invalid, {negative} AS negative, {empty} AS empty,
           {invalid_amounts} OR l.spoiled AS spoiled, l.lines < t.item_count AS missing
    FROM recent AS r
    JOIN {transactions} AS t ON t.transaction_id = r.transaction_id AND NOT {ignored}
    LEFT JOIN LATERAL (
        SELECT {sums}, count(*) AS lines, bool_or({invalid_line}) AS invalid, bool_or({invalid_figures}) AS spoiled
        FROM {line_items} AS l WHERE l.transaction_id = r.transaction_id
    ) AS l ON true
),
broken AS (
    SELECT 'NEGATIVE_TOTAL' AS alert, true AS critical, transaction_id FROM sales WHERE negative
    UNION ALL
    SELECT 'LINE_TOTAL_MISMATCH', true, transaction_id FROM sales WHERE {mismatch}
    UNION ALL
    SELECT 'INVALID_LINE_ITEM', true, transaction_id FROM sales WHERE invalid
    UNION ALL
    SELECT 'EMPTY_BASKET', false, transaction_id FROM sales WHERE empty
    UNION ALL
    SELECT 'MISSING_LINES', false, transaction_id FROM sales WHERE missing
    UNION ALL
    SELECT 'NOT_A_NUMBER', false, transaction_id FROM sales WHERE spoiled
),
ranked AS (SELECT *, row_number() OVER (PARTITION BY alert ORDER BY transaction_id) AS nth FROM broken)
SELECT alert, critical, count(*) AS found, array_agg(left(transaction_id, 60)) FILTER (WHERE nth <= 3) AS samples,
       array_agg(transaction_id) FILTER (WHERE nth <= {compared}) AS sales
FROM ranked GROUP BY alert, critical ORDER BY critical DESC, alert
"""

#: Whether sale t was loaded between two times.
LOADED_BETWEEN = """EXISTS (
    SELECT FROM {etl_ledger} AS p
    WHERE p.event_id = t.source_event_id AND p.processed_at > {since} AND p.processed_at < coalesce({until}, now())
)"""
LOADED = "SELECT t.transaction_id FROM {transactions} AS t WHERE t.transaction_id = ANY(%(sales)s) AND {loaded}"

#: Whether there are more of them than were looked at.
MORE_SALES = """
SELECT count(*) > %(most)s AS limited FROM (
    SELECT FROM {transactions}
    WHERE processed_at >= now() - make_interval(hours => %(hours)s) OR updated_at >= now() - make_interval(hours => %(hours)s)
    LIMIT %(most)s + 1) AS recent
"""

#: What the alert views, which see one hour, no longer see, and the acceptance gate still refuses.
OLDER = """
SELECT count(*) FILTER (WHERE {negative}) AS negative, count(*) FILTER (WHERE {empty}) AS empty,
       left(min(t.transaction_id), 60) AS sample, (array_agg(t.transaction_id))[1:{compared}] AS sales
FROM {transactions} AS t
WHERE ({negative} OR {empty}) AND t.processed_at < now() - make_interval(hours => %(hours)s)
"""


def most_sales(budget_seconds: float) -> int:
    """How many of the newest sales can be looked at within a budget."""
    return max(LEAST_SALES, int(SALES_PER_SECOND * budget_seconds))


def alerts(
    session: Session, hours: int, most: int, ignored: tuple[datetime.datetime, datetime.datetime | None] | None = None
) -> tuple[list[Row], bool]:
    """Which rules how many of the sales that changed within so many hours break, of the newest so many; and whether there are
    more of these. Sales that were loaded between the two `ignored` times do not count."""
    loaded = _loaded(ignored) if ignored else sql.SQL("false")
    found = session.rows(of_violations(ALERTS, ignored=loaded), hours=hours, most=most)
    return found, session.row(contract.compose(MORE_SALES), hours=hours, most=most)["limited"]


def loaded_between(
    session: Session, sales: list[str], times: tuple[datetime.datetime, datetime.datetime | None]
) -> set[str]:
    """Return which of these sales were loaded between two times."""
    rows = session.rows(contract.compose(LOADED, loaded=_loaded(times)), sales=sales)
    return {row["transaction_id"] for row in rows}


def _loaded(times: tuple[datetime.datetime, datetime.datetime | None]) -> sql.Composed:
    since, until = map(sql.Literal, times)
    return contract.compose(LOADED_BETWEEN, since=since, until=until)


def older(session: Session, hours: int) -> Row:
    """How many of the sales before that have a negative total, or an empty basket."""
    return session.row(of_violations(OLDER), hours=hours)


def limited(hours: int, most: int, *, sales: bool, marks: bool) -> list[str]:
    """What was looked at only in part, and what looks at more."""
    what = [name for name, part in (("the rules of quality", sales), ("lost events", marks)) if part]
    if not what:
        return []
    period = "hour" if hours == 1 else in_words(hours * 3600)
    text = f"{' and '.join(what)} were checked for the newest {most:,} sales of the last {period}, not for all"
    return [f"{text}: a larger budget_seconds checks more"]


def of_violations(statement: t.LiteralString, **more: sql.Composable) -> sql.Composed:
    """The statement with the names in force, and with what is wrong with a sale or a line where it says so."""
    return contract.compose(
        statement,
        sums=sql.SQL(violations.SUMS),
        totals=sql.SQL(violations.TOTALS),
        negative=sql.SQL(violations.NEGATIVE_TOTAL),
        empty=sql.SQL(violations.EMPTY_BASKET),
        invalid_amounts=sql.SQL(violations.INVALID_AMOUNTS),
        invalid_line=sql.SQL(violations.INVALID_LINE),
        invalid_figures=sql.SQL(violations.INVALID_FIGURES),
        mismatch=sql.SQL(violations.MISMATCH),
        compared=sql.Literal(COMPARED_SALES),
        **more,
    )
