# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves a selection of bronze events with their closure to the dead letter queue."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import sql
from ...scout import contract, row_images
from ...scout.loadable import sale
from ..engine.batches import Batches, Done
from ..engine.cursors import Blocks, Keys, Keyset, indexed
from ..engine.event_closure import Batch, Closure
from ..engine.job import SCAN_SECONDS, closed

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from ...scout.row_images import Tables
    from ..engine.batches import Options
    from ..engine.cursors import Cursor, Span
    from ..engine.selection import Selection

REFUSED: t.Final = "refused to quarantine events"
#: Rows a second that were measured; with silver each event takes its lines and their indexes along.
PLAIN_RATE: t.Final = 60_000
CLOSURE_RATE: t.Final = 4_000

EXTENT = """
SELECT count(*) AS events, to_jsonb(min({clock})) #>> '{{}}' AS first, to_jsonb(max({clock})) #>> '{{}}' AS last
FROM {bronze} AS b WHERE {condition}
"""

#: Everything that would go, by table.
WHOLE = """
WITH picked AS MATERIALIZED (
    SELECT b.event_id, {sale} AS transaction_id, {clock} AS at FROM {bronze} AS b WHERE {condition}
), ledger AS (
    SELECT p.event_id FROM picked JOIN {etl_ledger} AS p USING (event_id)
), touched AS MATERIALIZED (
    SELECT DISTINCT t.transaction_id, t.date_key
    FROM picked JOIN {transactions} AS t USING (transaction_id)
    WHERE t.source_event_id = picked.event_id OR EXISTS (SELECT FROM ledger WHERE ledger.event_id = picked.event_id)
), requeued AS (
    SELECT b.event_id FROM {bronze} AS b JOIN {etl_ledger} AS p USING (event_id)
    WHERE {sale} IN (SELECT transaction_id FROM touched) AND b.event_id NOT IN (SELECT event_id FROM picked)
), lines AS (
    SELECT l.transaction_id FROM touched JOIN {line_items} AS l USING (transaction_id)
)
SELECT (SELECT count(*) FROM picked) AS events, (SELECT count(*) FROM ledger) AS ledger,
       (SELECT count(*) FROM touched) AS transactions, (SELECT count(*) FROM lines) AS lines,
       (SELECT count(*) FROM requeued) AS requeued,
       (SELECT coalesce(array_agg(DISTINCT date_key::text ORDER BY date_key::text), '{{}}') FROM touched) AS gold_days,
       (SELECT to_jsonb(min(at)) #>> '{{}}' FROM picked) AS first, (SELECT to_jsonb(max(at)) #>> '{{}}' FROM picked) AS last
"""

#: The events of a span, and those of the same transactions that are selected as well, so that they go together.
PICK = """
WITH base AS MATERIALIZED (SELECT b.event_id, {sale} AS transaction_id FROM {bronze} AS b WHERE {condition} AND {span})
SELECT coalesce(array_agg(event_id::text), '{{}}') AS ids FROM (
    SELECT event_id FROM base
    UNION
    SELECT b.event_id FROM scout_ops.related_events AS k JOIN {bronze} AS b USING (event_id)
    WHERE k.run_id = %(run_id)s AND k.transaction_id IN (SELECT transaction_id FROM base) AND {condition}
) AS picked
"""


@dataclasses.dataclass(frozen=True)
class Extent:
    """How much a selection is, and the first and last on its clock."""

    events: int
    first: str | None
    last: str | None

    @property
    def range(self) -> dict[str, str | None]:
        """First and last, as text."""
        return {"first": self.first, "last": self.last}


class _Related(Exception):
    """A batch met events that were loaded, before anyone looked for others of the same transactions."""


@dataclasses.dataclass(frozen=True)
class Whole:
    """Everything a selection would take along, counted by table on one snapshot."""

    extent: Extent
    counts: dict[str, int]
    gold_days: list[str]

    @classmethod
    def of(cls, row: Row) -> Whole:
        """What a query of counts by table found."""
        counts = {name: row[name] for name in ("events", "ledger", "transactions", "lines", "requeued")}
        return cls(Extent(row["events"], row["first"], row["last"]), counts, row["gold_days"])

    @property
    def range(self) -> dict[str, str | None]:
        """The first and last moment of the events."""
        return self.extent.range

    @property
    def estimated_seconds(self) -> float:
        """How long moving it would take, by rates that were measured."""
        loaded = max(self.counts["ledger"], self.counts["transactions"])
        return round((self.counts["events"] - loaded) / PLAIN_RATE + loaded / CLOSURE_RATE + 0.1, 1)


def extent(session: Session, selection: Selection) -> Extent:
    """How much a selection is; inside the caller's transaction."""
    row_images.refuse_selected_elsewhere(session, REFUSED, selection.condition(), selection.values)
    query = contract.compose(EXTENT, clock=sql.Identifier("b", selection.window.clock), condition=selection.condition())
    return Extent(**session.row(query, **selection.values))


def whole(session: Session, selection: Selection) -> Whole:
    """Everything a selection would take along; inside the caller's transaction."""
    row_images.refuse_selected_elsewhere(session, REFUSED, selection.condition(), selection.values)
    query = contract.compose(
        WHOLE,
        sale=sale("b"),
        clock=sql.Identifier("b", selection.window.clock),
        condition=selection.condition(),
    )
    return Whole.of(session.row(query, **selection.values))


class Quarantine:
    """One quarantine run: from its selection, frozen at the start, to nothing of it being left in bronze."""

    def __init__(
        self,
        session: Session,
        run: Run,
        tables: Tables,
        selection: Selection,
        progress: Progress,
        document: dict[str, t.Any],
        *,
        digests: bool = True,
    ) -> None:
        self.session = session
        self.run = run
        self.selection = selection
        self.progress = progress
        self.condition = selection.condition()
        self.values = selection.values
        self.closure = Closure(
            session, tables, run.run_id, kind="quarantine", code="QUARANTINE",
            message=f"quarantined by run {run.run_id}", document=document, digests=digests,
        )  # fmt: skip

    def go(self, options: Options, total: int) -> Batches:
        """Moves all of it; what is committed stays when it is interrupted."""
        session = self.session
        with session.read():
            self.closure.look()
            path = self._path(options)
        batches = Batches(session, self.run, path, options, self.progress, closed=closed(), total=total, verb="moved")
        try:
            batches.go(self._work)
        except _Related:
            self._look_for_related()
            batches.go(self._work)
        with session.write():
            self.closure.related.forget()
        return batches

    def _look_for_related(self) -> None:
        """Reads all of bronze, so it is not done before something that was loaded is met."""
        self.progress.say_throttled("looking for events that share a transaction")
        relevant = contract.compose(
            "SELECT {} AS transaction_id FROM {bronze} AS b WHERE {}", sale("b"), self.condition
        )
        self.closure.related.scan(relevant, self.values, timeout_seconds=SCAN_SECONDS)

    def _path(self, options: Options) -> Cursor:
        """By keys, along an index on the clock, or block by block."""
        selection, rows = self.selection, options.max_batch_rows
        if selection.event_ids:
            return Keys(sql.Identifier("b", "event_id"), sorted(selection.event_ids), sql.SQL("uuid"))
        clock = selection.window.clock
        if selection.window.start is not None and indexed(self.session, contract.names().bronze, clock):
            return Keyset(
                f"the index on {clock}",
                contract.compose("{bronze} AS b"),
                ((sql.Identifier("b", clock), "timestamptz"), (sql.Identifier("b", "event_id"), "uuid")),
                self.condition,
                self.values,
                most_rows=rows,
            )
        return Blocks(contract.names().bronze, "b", self.condition, self.values, most_rows=rows)

    def _work(self, span: Span, limit: Callable[[], None]) -> Done:
        values = {**self.values, **span.values}
        where = sql.SQL("{} AND {}").format(self.condition, span.where)
        limit()
        if not self.closure.left_traces(where, values):
            return self.closure.move_plain(where, values, limit)
        if self.closure.related.since is None:
            raise _Related
        limit()
        query = contract.compose(PICK, sale=sale("b"), condition=self.condition, span=span.where)
        ids = self.session.row(query, **values, run_id=self.run.run_id)["ids"]
        return self.closure.move(Batch(ids), limit) if ids else Done(0)
