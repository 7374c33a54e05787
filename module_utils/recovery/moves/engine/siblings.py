# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Events that share a transaction: noted once at the start of a move, because no index leads from a transaction to
its events."""

from __future__ import annotations

import typing as t

from ...postgres.driver import sql
from ...scout import contract
from ...scout.loadable import sale
from .selection import seen_by_snapshot, snapshot_values

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...postgres.session import Row, Session

#: The silver transactions that go with these events, each with the event that carries it. An event that names a transaction
#: without having been loaded did not feed it.
TOUCHED = """
WITH member AS MATERIALIZED (
    SELECT b.event_id, b.ingested_at, {sale} AS transaction_id, p.event_id IS NOT NULL AS loaded, NOT ({seen}) AS fresh
    FROM {bronze} AS b LEFT JOIN {etl_ledger} AS p USING (event_id)
    WHERE b.event_id = ANY(%(ids)s::uuid[])
), touched AS (
    SELECT t.transaction_id, t.date_key, (array_agg(m.event_id ORDER BY m.event_id = t.source_event_id DESC NULLS LAST,
                                        m.ingested_at, m.event_id))[1] AS owner
    FROM member AS m JOIN {transactions} AS t USING (transaction_id)
    WHERE m.loaded OR t.source_event_id = m.event_id
    GROUP BY t.transaction_id, t.date_key
    UNION ALL
    SELECT t.transaction_id, t.date_key, NULL FROM {transactions} AS t
    WHERE t.transaction_id = ANY(%(silver)s)
      AND NOT EXISTS (SELECT FROM member AS m WHERE m.transaction_id = t.transaction_id AND (m.loaded OR t.source_event_id = m.event_id))
)
SELECT coalesce(array_agg(transaction_id), '{{}}') AS transactions, coalesce(array_agg(owner::text), '{{}}') AS owners,
       coalesce(array_agg(DISTINCT date_key::text), '{{}}') AS days,
       ARRAY(SELECT DISTINCT transaction_id FROM member WHERE transaction_id IS NOT NULL AND fresh) AS fresh
FROM touched
"""

#: Events that stay, fed one of these transactions, and are marked in the ETL's ledger: known from the scan at the start, or
#: loaded since then.
KEPT = """
SELECT coalesce(array_agg(transaction_id), '{{}}') AS transactions, coalesce(array_agg(event_id::text), '{{}}') AS events
FROM (
    SELECT k.transaction_id, k.event_id FROM scout_ops.related_events AS k
    JOIN {etl_ledger} AS p USING (event_id) JOIN {bronze} AS b USING (event_id)
    WHERE k.run_id = %(run_id)s AND k.transaction_id = ANY(%(transactions)s)
    UNION
    SELECT {sale}, b.event_id FROM {etl_ledger} AS p JOIN {bronze} AS b USING (event_id)
    WHERE p.processed_at >= %(since)s AND {sale} = ANY(%(transactions)s)
{fresh}) AS kept
WHERE event_id <> ALL(%(ids)s::uuid[])
"""

#: An event that the scan had not seen may share its transaction with any older one.
KEPT_OF_FRESH = """
    UNION
    SELECT {sale}, b.event_id FROM {bronze} AS b JOIN {etl_ledger} AS p USING (event_id)
    WHERE {sale} = ANY(%(fresh)s)
"""

NOTE = """
WITH meant AS MATERIALIZED (SELECT DISTINCT transaction_id FROM ({relevant}) AS r WHERE transaction_id IS NOT NULL),
shared AS MATERIALIZED (
    SELECT {sale} AS transaction_id, array_agg(b.event_id) AS events
    FROM {bronze} AS b
    WHERE {sale} IN (SELECT transaction_id FROM meant)
    GROUP BY 1 HAVING count(*) > %(alone)s
)
INSERT INTO scout_ops.related_events (run_id, transaction_id, event_id)
SELECT %(run_id)s::uuid, transaction_id, event_id FROM shared CROSS JOIN unnest(events) AS event_id
UNION ALL
SELECT %(run_id)s::uuid, transaction_id, %(run_id)s::uuid FROM meant WHERE %(mark)s
"""

#: Whatever was loaded by a transaction that began earlier was seen by the scan.
SINCE = """
SELECT least(transaction_timestamp(), min(xact_start)) - interval '1 minute' AS since, pg_current_snapshot()::text AS snapshot
FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND backend_type <> 'walsender'
"""

FORGET = "DELETE FROM scout_ops.related_events WHERE run_id = %(run_id)s"


class RelatedEvents:
    """What a run notes of the events it may have to look at together."""

    def __init__(self, session: Session, run_id: str) -> None:
        self.session = session
        self.run_id = run_id
        #: What was loaded from then on is looked at anew; None before the scan.
        self.since: t.Any = None
        #: What the scan could see.
        self.snapshot: str | None = None

    def scan(
        self,
        relevant: sql.Composable,
        values: Mapping[str, t.Any],
        *,
        timeout_seconds: float,
        shared: bool = True,
        mark: bool = False,
    ) -> None:
        """Notes which events name a transaction that `relevant`, a query of transaction ids, gives; only where several do,
        if `shared`. With `mark` each such transaction is noted itself as well, as named by the run's own id."""
        session = self.session
        # The lease is proved in the end: nobody who asks for it has to wait for the scan.
        with session.write(statement_timeout_seconds=timeout_seconds, fence_last=True):
            before = session.row(SINCE)
            session.execute("SELECT set_config('work_mem', '256MB', true)")
            session.execute(FORGET, run_id=self.run_id)
            query = contract.compose(NOTE, relevant=relevant, sale=sale("b"))
            session.execute(query, run_id=self.run_id, alone=int(shared), mark=mark, **values)
        self.since, self.snapshot = before["since"], before["snapshot"]

    def forget(self) -> None:
        """Clears the notes of the scan; in the transaction that ends the run."""
        self.session.execute(FORGET, run_id=self.run_id)

    def kept(self, transactions: list[str], ids: list[str], fresh: list[str]) -> dict[str, list[str]]:
        """The marked events other than `ids` that fed these transactions, each beside its transaction; `fresh` are the
        transactions of events that the scan had not seen."""
        if not transactions:
            return {"transactions": [], "events": []}
        # A fresh event may name a transaction that nothing was made of: the marks of that are none of ours.
        fresh = sorted({*fresh} & {*transactions})
        unseen = contract.compose(KEPT_OF_FRESH, sale=sale("b")) if fresh else sql.SQL("")
        query = contract.compose(KEPT, sale=sale("b"), fresh=unseen)
        return self.session.row(
            query, run_id=self.run_id, transactions=transactions, ids=ids, since=self.since, fresh=fresh
        )


def touched_by(session: Session, ids: Sequence[str], silver: Sequence[str], snapshot: str | None) -> Row:
    """The silver transactions that go with these events or are named, the event that carries each, their days, and the
    transactions of events that had not been there at `snapshot`."""
    query = contract.compose(TOUCHED, sale=sale("b"), seen=seen_by_snapshot("b") if snapshot else sql.SQL("true"))
    return session.row(query, ids=list(ids), silver=list(silver), **snapshot_values(snapshot))
