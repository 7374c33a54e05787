# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the ETL says it has loaded and silver does not have, and how new silver is."""

from __future__ import annotations

import typing as t

from ...core.text import count
from ...postgres import read_budget
from ...scout import contract, dead_letters

if t.TYPE_CHECKING:
    from ...postgres.session import Row, Session

#: An upsert keeps processed_at and moves updated_at.
UPDATED = """
SELECT extract(epoch FROM clock_timestamp() - max(updated_at))::float8 / 60 AS minutes
FROM {transactions} WHERE updated_at <= clock_timestamp() AND isfinite(updated_at)
"""

#: What the ETL says it has loaded and silver does not have; and what it passed over without a word, as it does with a
#: payload that is no object or has no transaction_id. A sale that a cleanup set aside while it kept the event is not lost.
#: Of the newest marks only: right after a backlog was loaded they would be all there are. The start is of the transaction, so
#: that the planner can estimate with it and use an index.
LOST = """
WITH newest AS MATERIALIZED (
    SELECT p.event_id FROM {etl_ledger} AS p
    WHERE p.processed_at >= now() - make_interval(hours => %(hours)s) ORDER BY p.processed_at DESC LIMIT %(most)s
), marked AS MATERIALIZED (
    SELECT b.event_id, CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END AS transaction_id
    FROM newest JOIN {bronze} AS b ON b.event_id = newest.event_id WHERE b.event_type = %(event_type)s
), lost AS MATERIALIZED (
    SELECT m.event_id FROM marked AS m
    WHERE m.transaction_id IS NOT NULL
      AND NOT EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = m.transaction_id)
      AND NOT EXISTS (
          SELECT FROM {dead_letters} AS d
          WHERE d.original_payload ->> 'transaction_id' = m.transaction_id AND d.resolved_at IS NULL
            AND d.error_details ->> 'format' = %(format)s AND NOT d.error_details ? 'event')
)
SELECT (SELECT count(*) FROM lost) AS lost, (SELECT count(*) FROM marked WHERE transaction_id IS NULL) AS swallowed,
       (SELECT (array_agg(event_id::text ORDER BY event_id))[1:3] FROM lost) AS lost_ids,
       (SELECT (array_agg(event_id::text ORDER BY event_id))[1:3] FROM marked WHERE transaction_id IS NULL) AS swallowed_ids,
       (SELECT count(*) FROM newest) >= %(most)s AS limited
"""

#: What arrived within the last hour, all together and by source and store: of the type that the ETL loads, of others, and without
#: what makes it a sale. `unloaded` are those most of whose events make no sale, though they are of the type of sales or the same
#: source or store sold within the day before; and all together, where more than a tenth of what is of that type makes none, or ten times
#: as many of it as in an hour of the day before: what a till sends as a text has no store.
ARRIVED = """
WITH arrived AS MATERIALIZED (
    SELECT event_id, source_system AS source, CASE WHEN jsonb_typeof(event_data) = 'object' THEN event_data ->> 'store_id' END AS store,
           event_type, event_type = {transaction_event} AS typed,
           event_type = {transaction_event} AND jsonb_typeof(event_data) = 'object' AND event_data ? 'transaction_id' AS sells
    FROM {bronze} WHERE ingested_at >= now() - interval '1 hour' AND ingested_at <= clock_timestamp()
), of AS (
    SELECT CASE WHEN grouping(source) = 0 THEN 'source' WHEN grouping(store) = 0 THEN 'store' ELSE 'all' END AS what,
           coalesce(source, store) AS name, count(*) FILTER (WHERE NOT sells) AS unread,
           count(*) FILTER (WHERE typed) AS typed, count(*) FILTER (WHERE NOT typed) AS others,
           count(*) FILTER (WHERE sells) AS sold, count(*) FILTER (WHERE typed AND NOT sells) AS nameless,
           mode() WITHIN GROUP (ORDER BY event_type) FILTER (WHERE NOT sells) AS unread_type,
           mode() WITHIN GROUP (ORDER BY event_type) FILTER (WHERE NOT typed) AS type,
           min(event_id::text) FILTER (WHERE typed AND NOT sells) AS sample
    FROM arrived GROUP BY GROUPING SETS ((source), (store), ())
), judged AS (
    SELECT of.*, what = 'all' AND nameless >= %(some)s AND (nameless * 10 > typed OR nameless * 23 > 10 * (
            SELECT count(*) FROM {bronze} AS b WHERE b.event_type = {transaction_event}
              AND b.ingested_at >= now() - interval '1 day' AND b.ingested_at < now() - interval '1 hour'
              AND NOT (jsonb_typeof(b.event_data) = 'object' AND b.event_data ? 'transaction_id')))
        OR what <> 'all' AND name IS NOT NULL AND unread >= %(some)s AND unread > sold AND (nameless > sold OR EXISTS (
            SELECT FROM {bronze} AS b WHERE b.event_type = {transaction_event}
              AND b.ingested_at >= now() - interval '1 day' AND b.ingested_at < now() - interval '1 hour'
              AND of.name = CASE of.what WHEN 'source' THEN b.source_system ELSE b.event_data ->> 'store_id' END)) AS unloaded
    FROM of
)
SELECT what, left(name, 60) AS name, unread, typed, others, sold, nameless, left(unread_type, 60) AS unread_type,
       left(type, 60) AS type, sample, unloaded
FROM judged WHERE unloaded OR what = 'all' ORDER BY what <> 'all', unread DESC, what, name LIMIT 6
"""
#: Fewer than this of one source or store may be a test of somebody's.
LEAST_UNREAD: t.Final = 10

#: Sales that have not happened yet; a day is left for time zones.
FUTURE = """
SELECT count(*) AS sales, left(min(transaction_id), 60) AS sample,
       extract(epoch FROM max(ts) FILTER (WHERE isfinite(ts)) - clock_timestamp())::float8 AS seconds
FROM {transactions} WHERE ts > now() + interval '1 day'
"""

#: For this transaction.
BY_INDEX = """
SELECT set_config(name, %(switch)s, true)
FROM unnest(ARRAY['enable_indexscan', 'enable_indexonlyscan', 'enable_bitmapscan']) AS name
"""
FEW_SALES: t.Final = 500_000

DUPLICATES = """
SELECT count(*) AS twice FROM (
    SELECT FROM {transactions} WHERE transaction_id IS NOT NULL GROUP BY transaction_id HAVING count(*) > 1) AS d
"""


def arrived(session: Session) -> list[Row]:
    """What arrived within the last hour: all together, and the sources and stores whose events make no sales, the worst first."""
    return session.rows(contract.compose(ARRIVED), some=LEAST_UNREAD)


def in_words(row: Row) -> str:
    """`source till-9: 40 of 40 events make no sale, most of type sale.v2`."""
    of = row["typed"] if row["what"] == "all" else row["unread"] + row["sold"]
    number = row["nameless"] if row["what"] == "all" else row["unread"]
    whose = "all sources" if row["what"] == "all" else f"{row['what']} {row['name']}"
    what = "without a transaction_id" if row["nameless"] == number else f"most of type {row['unread_type']}"
    return f"{whose}: {number:,} of {count(of, 'event')} of the last hour make no sale, {what}"


def future(session: Session) -> Row | None:
    """How many sales lie in the future, and how far; None where none does."""
    row = session.row(contract.compose(FUTURE))
    return row if row["sales"] else None


def duplicates(session: Session) -> int:
    """How many sales are there more than once, as only a lost key allows, or a corrupt one: so no index is asked."""
    session.execute(BY_INDEX, switch="off")
    twice = session.row(contract.compose(DUPLICATES))["twice"]
    session.execute(BY_INDEX, switch="on")
    return twice


def few_sales(session: Session) -> bool:
    """Whether silver is so small that all of it can be counted at each look."""
    return read_budget.rows_of(session, contract.names().transactions) <= FEW_SALES


def updated_minutes(session: Session) -> float | None:
    """How old the latest change of a sale is."""
    return session.row(contract.compose(UPDATED))["minutes"]


def lost(session: Session, hours: int, most: int) -> Row:
    """How many of the events that were marked within so many hours, the newest so many, are lost, and how many were
    swallowed, with examples; `limited` where there may be more of them."""
    return session.row(
        contract.compose(LOST),
        hours=hours,
        most=most,
        event_type=contract.names().transaction_event,
        format=dead_letters.FORMAT,
    )
