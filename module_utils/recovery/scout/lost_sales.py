# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sales whose events are marked as loaded and that silver does not have, however long ago: in a sample of all that is there, and
on days of which gold still shows more than silver has."""

from __future__ import annotations

import datetime
import typing as t

from ..postgres import read_budget
from ..postgres.driver import sql
from . import contract, dead_letters, gold_views
from .loadable import sale

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..postgres.session import Row, Session
    from .gold_views import View

#: How many events a sample is to have.
SAMPLED: t.Final = 20_000

#: A sale that a cleanup set aside while it kept the event is not lost; nor can one be recovered whose event came at no time.
LOST = """
WITH events AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at, {sale} AS sale, b.event_data ->> 'ts' AS ts FROM {bronze} AS b {sample}
    WHERE {condition} AND b.ingested_at BETWEEN '1970-01-01' AND '9000-01-01'
), lost AS MATERIALIZED (
    SELECT e.event_id, e.ingested_at, e.sale FROM events AS e
    WHERE e.sale IS NOT NULL AND EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = e.event_id)
      AND NOT EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = e.sale)
      AND NOT EXISTS (SELECT FROM {dead_letters} AS d
                      WHERE d.original_payload ->> 'transaction_id' = e.sale AND d.resolved_at IS NULL
                        AND d.error_details ->> 'format' = %(format)s AND NOT d.error_details ? 'event')
)
SELECT count(DISTINCT sale) AS lost, (SELECT count(*) FROM events) AS looked, min(ingested_at) AS first, max(ingested_at) AS last,
       coalesce((array_agg(event_id::text ORDER BY ingested_at, event_id))[1:3], '{{}}') AS ids
FROM lost
"""
#: What silver no longer has of the days before its first one, a retention has taken.
SINCE = """
b.ingested_at >= (SELECT coalesce(min(date_key), 'infinity') FROM {transactions})
"""

#: Days of which a view counts more sales than silver has.
MORE = """
SELECT s.day::text AS day, s.sales - coalesce(t.sales, 0) AS more
FROM (SELECT {day} AS day, sum({number}) AS sales FROM {view} GROUP BY 1) AS s
LEFT JOIN (SELECT date_key AS day, count(*) AS sales FROM {transactions} GROUP BY 1) AS t ON t.day = s.day
WHERE s.sales > coalesce(t.sales, 0) ORDER BY 1
"""

QUARANTINED = """
SELECT d.error_details #>> '{{transaction,date_key}}' AS day, count(DISTINCT d.error_details #>> '{{transaction,transaction_id}}') AS sales
FROM {dead_letters} AS d
WHERE d.failed_at >= %(since)s AND d.resolved_at IS NULL AND d.error_details ->> 'format' = %(format)s AND d.error_details ? 'transaction'
  AND NOT EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = d.error_details #>> '{{transaction,transaction_id}}')
GROUP BY 1
"""


def sample(session: Session) -> Row:
    """How many of so many events (`looked`) are lost, from when to when, with examples; all events where there are not many."""
    return _lost(session, part_of(session, contract.names().bronze, SAMPLED), contract.compose(SINCE))


def part_of(session: Session, table: str, rows: int) -> sql.Composable:
    """What takes about so many rows of a table, by its statistics, after its name in a FROM; nothing where it has no more."""
    share = min(100.0, 100.0 * rows / max(read_budget.rows_of(session, table), 1.0))
    return sql.SQL("TABLESAMPLE SYSTEM ({})").format(sql.Literal(share)) if share < 100.0 else sql.SQL("")


def shown_by_gold(session: Session, found: Iterable[View]) -> tuple[str, Row] | None:
    """A view that counts sales which silver has lost, with these: what a refresh would take off the dashboards although their events
    are there; None where there is none. What has been quarantined since its refresh is not lost, and bronze is read only for what
    that does not explain."""
    unexplained: dict[str, list[str]] = {}
    for view in found:
        columns = gold_views.counted(view)
        if columns is None or not view.populated:
            continue
        day, number = map(sql.Identifier, columns)
        named = sql.Identifier(contract.names().schema, view.name)
        more = {
            row["day"]: row["more"] for row in session.rows(contract.compose(MORE, day=day, number=number, view=named))
        }
        since = gold_views.refreshed_at(session, view) if more else None
        moved = quarantined(session, since) if since else {}
        if days := [each for each, sales in more.items() if sales > moved.get(each, 0)]:
            unexplained[view.full_name] = days
    if not unexplained:
        return None
    written = sql.SQL("left(b.event_data ->> 'ts', 10) = ANY({})").format(
        sql.Literal(sorted({day for days in unexplained.values() for day in days}))
    )
    row = _lost(session, sql.SQL(""), written)
    return (next(iter(unexplained)), row) if row["lost"] else None


def quarantined(session: Session, since: datetime.datetime) -> dict[str, int]:
    """How many sales of each day of silver have been taken out of it into the dead letter queue since then, and are not there
    again."""
    rows = session.rows(contract.compose(QUARANTINED), format=dead_letters.FORMAT, since=since)
    return {row["day"]: row["sales"] for row in rows}


def window(lost: Row) -> str:
    """The options of a window recovery that rebuilds them: whole minutes, in UTC."""
    first, last = (lost[name].astimezone(datetime.UTC) for name in ("first", "last"))
    return f"-e scout_window_start={first:%Y-%m-%dT%H:%MZ} -e scout_window_end={last + datetime.timedelta(minutes=1):%Y-%m-%dT%H:%MZ}"


def _lost(session: Session, part: sql.Composable, condition: sql.Composable) -> Row:
    query = contract.compose(LOST, sale=sale("b"), sample=part, condition=condition)
    return session.row(query, format=dead_letters.FORMAT)
