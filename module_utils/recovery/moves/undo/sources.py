# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The items of a run that can be undone: its dead letters, or what it wrote into the journal."""

from __future__ import annotations

import dataclasses
import typing as t

from ...ledger.trust.stored_letters import AS_STORED, RUN_NOTED
from ...postgres.driver import Jsonb, sql
from ...scout import contract
from ...scout.dead_letters import FORMAT
from ..engine.cursors import Keyset
from .planner import Conflict

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session
    from ...scout.row_images import Table

#: A dead letter as an item: its image, and the rows it keeps. Its large document is fetched and unpacked once, not for each part.
OF_DEAD_LETTERS = """
SELECT d.dlq_id::text AS item, d.failed_at AS moved, d.dlq_id,
       (k.document #>> '{{event,event_id}}')::uuid AS event_id, {sale} AS transaction_id,
       jsonb_build_object(
           'events', CASE WHEN k.document ? 'event'
                          THEN jsonb_build_array((k.document -> 'event') || jsonb_build_object('event_data', d.original_payload::text))
                          ELSE '[]' END,
           'ledger', CASE WHEN k.document ? 'ledger' THEN jsonb_build_array(k.document -> 'ledger') ELSE '[]' END
                     || coalesce(k.document -> 'requeued', '[]'),
           'transactions', CASE WHEN k.document ? 'transaction'
                                THEN jsonb_build_array(k.document -> 'transaction') ELSE '[]' END,
           'lines', coalesce(k.document -> 'lines', '[]')) AS removed,
       jsonb_build_object('dead_letters', jsonb_build_array({image})) AS added
FROM {dead_letters} AS d CROSS JOIN LATERAL (SELECT d.error_details || '{{}}' AS document OFFSET 0) AS k WHERE {where}
"""

OF_JOURNAL = """
SELECT i.item::text AS item, i.item AS moved, i.dlq_id, i.event_id, i.transaction_id, i.removed, i.added
FROM scout_ops.images AS i WHERE {where}
"""

#: The transaction a dead letter is about, whether it holds an event or a silver transaction alone.
SALE_OF_LETTER = sql.SQL(
    "CASE WHEN jsonb_typeof(d.original_payload) = 'object' THEN d.original_payload ->> 'transaction_id' END"
)

#: Transactions that a run moved more than once, because the pipeline made them again in between.
MOVED_AGAIN = """
SELECT {sale} AS transaction_id FROM {dead_letters} AS d WHERE {condition} AND d.error_details ? 'transaction'
GROUP BY 1 HAVING count(*) > 1
"""

#: The items of a span, and the others of the same transactions: they were moved in one transaction of the database, but for
#: those of MOVED_AGAIN. Without a join: nothing tells PostgreSQL how many letters a document of theirs makes one of.
WITH_RELATED_OF_DEAD_LETTERS = """
WITH span AS MATERIALIZED (
    SELECT min(d.failed_at) AS first, max(d.failed_at) AS last FROM {dead_letters} AS d WHERE {condition} AND {span}
), near AS MATERIALIZED (
    SELECT d.dlq_id, {sale} AS transaction_id, ({span}) AS inside FROM {dead_letters} AS d
    WHERE {condition} AND d.failed_at BETWEEN (SELECT first FROM span) AND (SELECT last FROM span)
)
SELECT dlq_id::text AS key FROM (
    SELECT dlq_id, inside OR (transaction_id IS NOT NULL AND bool_or(inside) OVER (PARTITION BY transaction_id)) AS taken FROM near
) AS n WHERE taken
"""

AND_MOVED_AGAIN = """
UNION
SELECT d.dlq_id::text FROM {dead_letters} AS d
WHERE {condition} AND {sale} IN (SELECT transaction_id FROM near WHERE inside AND transaction_id = ANY(%(again)s))
"""

WITH_RELATED_OF_JOURNAL = """
WITH base AS MATERIALIZED (SELECT i.item, i.transaction_id FROM scout_ops.images AS i WHERE {condition} AND {span})
SELECT item::text AS key FROM base
UNION
SELECT i.item::text FROM scout_ops.images AS i
WHERE {condition} AND i.transaction_id IN (SELECT transaction_id FROM base WHERE transaction_id IS NOT NULL)
"""

#: Unresolved dead letters that name a run; those of them that are what it stored; and the others, whoever made them that.
NAMING_RUN = sql.SQL("d.failed_at >= %(since)s AND d.error_details @> %(made_by)s AND d.resolved_at IS NULL")
#: The run of an earlier version noted nothing: of those it is taken that somebody has looked at, and named.
BELIEVED = sql.SQL("({} OR (d.dlq_id = ANY(%(looked_at)s::uuid[]) AND NOT {}))").format(AS_STORED, RUN_NOTED)
DEAD_LETTERS_OF = sql.SQL("{} AND {}").format(NAMING_RUN, BELIEVED)
NOT_STORED = """
SELECT d.dlq_id::text AS key,
       EXISTS (SELECT FROM scout_ops.stored AS s WHERE s.dlq_id = d.dlq_id AND s.run_id = %(undone)s::uuid) AS known,
       {noted} AS noted, count(*) OVER () AS number
FROM {dead_letters} AS d
WHERE {naming_run} AND NOT {believed} ORDER BY 1 LIMIT %(most)s
"""
JOURNAL_OF = sql.SQL("i.run_id = %(undone)s::uuid AND i.undone_by IS NULL")


def _why(row: Row) -> str:
    """Why a dead letter that names the run is not taken for one of it."""
    if row["known"]:
        return "has changed since the run stored it"
    if row["noted"]:
        return "was added since: the run did not store it"
    return "cannot be told from a forged one: the ledger has no digest of what this run stored; look at it, then name it in dlq_ids"


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the items of a run are: among the dead letters, or in the journal."""

    run_id: str
    since: t.Any
    dead_letters: bool
    looked_at: Sequence[str] = ()

    @property
    def condition(self) -> sql.Composable:
        """Items in force, over d (dead letters) or i (journal)."""
        return DEAD_LETTERS_OF if self.dead_letters else JOURNAL_OF

    @property
    def values(self) -> dict[str, t.Any]:
        """What its condition binds."""
        return {
            "undone": self.run_id,
            "since": self.since,
            "made_by": Jsonb({"format": FORMAT, "run_id": self.run_id}),
            "looked_at": list(self.looked_at),
        }

    @property
    def table(self) -> sql.Composed:
        """The table the items are in."""
        return contract.compose("{dead_letters} AS d" if self.dead_letters else "scout_ops.images AS i")

    @property
    def key(self) -> sql.Identifier:
        """What tells items apart."""
        return sql.Identifier("d", "dlq_id") if self.dead_letters else sql.Identifier("i", "item")

    def path(self) -> Keyset:
        """From the last item to the first."""
        columns: tuple[tuple[sql.Identifier, str], ...] = (
            ((sql.Identifier("d", "failed_at"), "timestamptz"), (self.key, "uuid"))
            if self.dead_letters
            else ((self.key, "bigint"),)
        )
        return Keyset("items", self.table, columns, self.condition, self.values, first_rows=500, descending=True)

    def not_stored(self, session: Session, most: int) -> tuple[list[Conflict], int]:
        """Dead letters that name the run and are not what it stored, the first of them, and how many there are."""
        if not self.dead_letters:
            return [], 0
        query = contract.compose(NOT_STORED, naming_run=NAMING_RUN, noted=RUN_NOTED, believed=BELIEVED)
        found = session.rows(query, **self.values, most=most)
        return [Conflict("dead_letters", row["key"], _why(row)) for row in found], found[0]["number"] if found else 0

    def moved_again(self, session: Session) -> list[str]:
        """The transactions that the run moved more than once, where that is not to be seen from the items themselves."""
        if not self.dead_letters:
            return []
        query = contract.compose(MOVED_AGAIN, sale=SALE_OF_LETTER, condition=self.condition)
        return [row["transaction_id"] for row in session.rows(query, **self.values)]

    def select_with_related(self, span: sql.Composable, *, again: bool) -> sql.Composed:
        """The query of the keys of a span's items and of those that share a transaction with them: they go together. With
        `again` it binds the transactions that were moved more than once."""
        if self.dead_letters:
            query = WITH_RELATED_OF_DEAD_LETTERS + AND_MOVED_AGAIN if again else WITH_RELATED_OF_DEAD_LETTERS
            return contract.compose(query, sale=SALE_OF_LETTER, condition=self.condition, span=span)
        return sql.SQL(WITH_RELATED_OF_JOURNAL).format(condition=self.condition, span=span)

    def select(self, where: sql.Composable) -> sql.Composed:
        """The query of the keys of the items in force that fulfil `where` as well."""
        return sql.SQL("SELECT {}::text AS key FROM {} WHERE {} AND {}").format(
            self.key, self.table, self.condition, where
        )

    def items(self, where: sql.Composable, dead_letters: Table) -> sql.Composed:
        """The query of the items that fulfil a condition, as `item`, `dlq_id`, `event_id`, `transaction_id`, `removed`, `added`."""
        if self.dead_letters:
            image = dead_letters.image("d")
            return contract.compose(OF_DEAD_LETTERS, image=image, sale=SALE_OF_LETTER, where=where)
        return sql.SQL(OF_JOURNAL).format(where=where)
