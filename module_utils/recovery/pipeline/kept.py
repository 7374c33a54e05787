# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether what was loaded is still there at a second look, whoever may take it away: jobs of other roles cannot be seen."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..core.text import count
from ..postgres.driver import errors
from ..scout import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: The events that were loaded last, and which of them bronze and silver have.
LOOK = """
WITH newest AS MATERIALIZED (
    SELECT event_id FROM {etl_ledger} WHERE processed_at IS NOT NULL ORDER BY processed_at DESC LIMIT %(most)s
), loaded AS MATERIALIZED (
    SELECT n.event_id, b.event_id IS NOT NULL AS event,
           CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END AS sale
    FROM newest AS n LEFT JOIN {bronze} AS b ON b.event_id = n.event_id
)
SELECT ARRAY(SELECT event_id::text FROM loaded) AS marks, ARRAY(SELECT event_id::text FROM loaded WHERE event) AS events,
       ARRAY(SELECT s.transaction_id FROM {transactions} AS s WHERE s.transaction_id IN (SELECT sale FROM loaded)) AS sales
"""
AGAIN = """
SELECT (SELECT count(*) FROM unnest(%(marks)s::uuid[]) AS was
        WHERE NOT EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = was)) AS marks,
       (SELECT count(*) FROM unnest(%(events)s::uuid[]) AS was
        WHERE NOT EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = was)) AS events,
       (SELECT count(*) FROM unnest(%(sales)s::text[]) AS was
        WHERE NOT EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = was)) AS sales
"""
MOST: t.Final = 500
#: One look takes milliseconds; a gate has a budget, and a busy database is no reason to spend it here.
LIMITS: t.Final = {"statement_timeout_seconds": 5.0, "lock_timeout_seconds": 1.0}
#: Somebody may take away a few on purpose, or as many as grow too old between two looks.
FEW_SHARE: t.Final = 0.05
#: Other checks say so.
UNREAD: t.Final = (
    *(errors.InsufficientPrivilege, errors.UndefinedTable, errors.UndefinedColumn),
    *(errors.QueryCanceled, errors.LockNotAvailable),
)


@dataclasses.dataclass(frozen=True)
class Look:
    """What was there of the events that were loaded last: their rows in the ETL's ledger, in bronze, and their sales."""

    marks: list[str]
    events: list[str]
    sales: list[str]


def look(session: Session) -> Look:
    """What is there now; nothing where it may not be read. Bronze is left out where it keeps not even the latest events: that is how this
    pipeline cleans up."""
    with contextlib.suppress(*UNREAD), session.read(**LIMITS):
        row = session.row(contract.compose(LOOK), most=MOST)
        return Look(row["marks"], row["events"] if len(row["events"]) == len(row["marks"]) else [], row["sales"])
    return Look([], [], [])


def missing_since(session: Session, before: Look) -> str:
    """What more than a few of is gone since a look, in words; empty where nothing is."""
    names, told = contract.names(), list[str]()
    with contextlib.suppress(*UNREAD), session.read(**LIMITS):
        gone = session.row(contract.compose(AGAIN), marks=before.marks, events=before.events, sales=before.sales)
        for what, ids, table in (
            ("events", before.events, names.bronze),
            ("marks", before.marks, names.etl_ledger),
            ("sales", before.sales, names.transactions),
        ):
            if gone[what] > FEW_SHARE * len(ids):
                told.append(f"{gone[what]:,} of the latest {count(len(ids), 'row')} of {table}")
    return f"{' and '.join(told)} are gone" if told else ""
