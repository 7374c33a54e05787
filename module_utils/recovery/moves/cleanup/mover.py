# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves what violates quality rules, with the events it came from, into the dead letter queue: each row once, with all names."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.driver import sql
from ...postgres.failures import attempting
from ...postgres.times import Window, window_of
from ...scout import contract
from ...scout.loadable import sale
from ..engine.batches import Batches, Done
from ..engine.cursors import Blocks, Keyset
from ..engine.event_closure import Batch, Closure, Label
from ..engine.job import SCAN_SECONDS, closed
from ..engine.selection import seen_by_snapshot, snapshot_values
from ..quarantine.mover import Whole
from . import rules, scan
from .findings import Scope

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from ...scout.row_images import Tables
    from ..engine.batches import Options
    from ..engine.cursors import Cursor, Span
    from .findings import Report
    from .rules import Rule

SOURCE_EVENT: t.Final = ("quarantine", "keep")

#: Everything that would go, by table. A predicate stands where it sees no name but ours that
#: nobody uses by accident.
WHOLE = """
WITH scout_recovery_sales AS MATERIALIZED (
    SELECT t.transaction_id, t.source_event_id FROM {transactions} AS t WHERE {sales}
), scout_recovery_events AS MATERIALIZED (
    SELECT b.event_id FROM {bronze} AS b WHERE {events}
), ids AS (
    SELECT event_id FROM scout_recovery_events
    UNION
    SELECT b.event_id FROM scout_recovery_sales AS s JOIN {bronze} AS b ON b.event_id = s.source_event_id
    WHERE {sale} = s.transaction_id AND %(with_source)s
), picked AS MATERIALIZED (
    SELECT b.event_id, {sale} AS transaction_id, b.event_ts AS at
    FROM ids JOIN {bronze} AS b USING (event_id)
), ledger AS (
    SELECT p.event_id FROM picked JOIN {etl_ledger} AS p USING (event_id)
), meant AS (
    SELECT transaction_id FROM scout_recovery_sales
    UNION
    SELECT t.transaction_id FROM picked JOIN {transactions} AS t USING (transaction_id)
    WHERE t.source_event_id = picked.event_id OR EXISTS (SELECT FROM ledger WHERE ledger.event_id = picked.event_id)
), touched AS MATERIALIZED (
    SELECT t.transaction_id, t.ts, t.date_key
    FROM meant JOIN {transactions} AS t USING (transaction_id)
), requeued AS (
    SELECT b.event_id
    FROM {bronze} AS b JOIN {etl_ledger} AS p USING (event_id)
    WHERE {sale} IN (SELECT transaction_id FROM touched
                     WHERE %(with_source)s OR transaction_id NOT IN (SELECT transaction_id FROM scout_recovery_sales))
      AND b.event_id NOT IN (SELECT event_id FROM picked)
), lines AS (
    SELECT l.transaction_id FROM touched JOIN {line_items} AS l USING (transaction_id)
)
SELECT (SELECT count(*) FROM picked) AS events, (SELECT count(*) FROM ledger) AS ledger,
       (SELECT count(*) FROM touched) AS transactions, (SELECT count(*) FROM lines) AS lines,
       (SELECT count(*) FROM requeued) AS requeued,
       (SELECT coalesce(array_agg(DISTINCT date_key::text ORDER BY date_key::text), '{{}}') FROM touched) AS gold_days,
       to_jsonb(coalesce((SELECT min(ts) FROM touched), (SELECT min(at) FROM picked))) #>> '{{}}' AS first,
       to_jsonb(coalesce((SELECT max(ts) FROM touched), (SELECT max(at) FROM picked))) #>> '{{}}' AS last
"""

#: The sales a run is about: those that violate a rule, and those that violating events name.
RELEVANT = """
SELECT t.transaction_id FROM {transactions} AS t WHERE {sales}
UNION ALL
SELECT {sale} FROM {bronze} AS b WHERE {events}
"""

MARKED = "SELECT k.transaction_id FROM scout_ops.related_events AS k WHERE {condition} AND {span}"
OF_THE_RUN = sql.SQL("k.run_id = %(run_id)s::uuid AND k.event_id = %(run_id)s::uuid")

#: Sales that still violate rules, each with the event it came from where that is in bronze and names it.
SALES = """
WITH scout_recovery_sales AS MATERIALIZED (
    SELECT t.transaction_id, t.source_event_id, {names} AS rules FROM {transactions} AS t
    WHERE t.transaction_id = ANY(%(marked)s) AND {inside}
)
SELECT s.transaction_id, s.rules, b.event_id::text AS event_id
FROM scout_recovery_sales AS s
LEFT JOIN {bronze} AS b ON b.event_id = s.source_event_id AND {sale} = s.transaction_id
WHERE s.rules <> '{{}}'
"""

EVENTS = """
SELECT b.event_id::text AS event_id, {sale} AS transaction_id, {names} AS rules
FROM {bronze} AS b WHERE {condition} AND {which}
"""

#: The events that the scan at the start found to name these transactions.
NAMING = """
SELECT coalesce(array_agg(k.event_id::text), '{}') AS ids FROM scout_ops.related_events AS k
WHERE k.run_id = %(run_id)s::uuid AND k.event_id <> %(run_id)s::uuid AND k.transaction_id = ANY(%(transactions)s)
"""

#: An event whose transaction the scan did not look at came later, and with it perhaps others of its transaction.
SCANNED = """({sale} IS NULL OR EXISTS (
    SELECT FROM scout_ops.related_events AS k
    WHERE k.run_id = %(run_id)s::uuid AND k.event_id = %(run_id)s::uuid AND k.transaction_id = {sale}))"""


@dataclasses.dataclass(frozen=True)
class CleanupSelection:
    """What is judged by which rules, frozen at the start of a run."""

    rules: tuple[Rule, ...]
    window: Window
    keep: bool = False
    #: Rows that came later, or were changed since, are not meant.
    snapshot: str | None = None

    @property
    def scope(self) -> Scope:
        """The window as the scan takes it."""
        return Scope(self.window.start, self.window.end)

    def judges(self, alias: str) -> bool:
        """Whether any rule moves sales `t` (or their lines), or events `b`."""
        return any(rule.moves and (rule.alias == "b") == (alias == "b") for rule in self.rules)

    def inside(self, alias: str) -> sql.Composed:
        """Whether a sale `t` or an event `b` is one of those that are judged."""
        made = dataclasses.replace(self.window, clock="event_ts" if alias == "b" else "ts").condition(alias)
        if self.snapshot is not None:
            made.append(seen_by_snapshot(alias))
        return sql.SQL(" AND ").join(made) if made else sql.SQL("true").format()

    def condition(self, alias: str) -> sql.Composed:
        """Whether it is to be moved, for the query level of which it is the only relation."""
        return sql.SQL("{} AND ({})").format(self.inside(alias), scan.violates(self.rules, alias))

    @property
    def values(self) -> dict[str, t.Any]:
        """What its conditions bind."""
        return {
            "start": self.window.start,
            "end": self.window.end,
            "with_source": not self.keep,
            **snapshot_values(self.snapshot),
        }

    def as_dict(self) -> dict[str, t.Any]:
        """For the ledger and plan files; `from_dict` reads it."""
        return {
            "rules": [rule.as_dict() for rule in self.rules],
            "window": self.window.as_dict(),
            "source_event": SOURCE_EVENT[self.keep],
            "snapshot": self.snapshot,
        }

    @classmethod
    def from_dict(cls, kept: Mapping[str, t.Any]) -> CleanupSelection:
        """The selection that was kept."""
        names = [rule["name"] for rule in kept["rules"]]
        return cls(
            rules.choose(kept["rules"], names),
            Window.from_dict(kept["window"], "ts"),
            kept["source_event"] == "keep",
            kept.get("snapshot"),
        )


def ask(session: Session, params: Mapping[str, t.Any]) -> CleanupSelection:
    """The selection that options describe; raises BadInput for each value that cannot be used, changing nothing."""
    chosen = rules.choose(params["rules"], params["only"])
    return CleanupSelection(chosen, window_of(session, params, clock="ts"), params["source_event"] == "keep")


def frozen(session: Session, selection: CleanupSelection) -> CleanupSelection:
    """The same without what is committed from now on."""
    snapshot = session.row("SELECT pg_current_snapshot()::text AS snapshot")["snapshot"]
    return dataclasses.replace(selection, snapshot=snapshot)


def whole(session: Session, selection: CleanupSelection) -> Whole:
    """Everything a cleanup would take along; inside the caller's transaction."""
    query = contract.compose(
        WHOLE,
        sales=selection.condition("t"),
        events=selection.condition("b"),
        sale=sale("b"),
    )
    return Whole.of(session.row(query, **selection.values))


def violating(session: Session, selection: CleanupSelection) -> list[str]:
    """The sales that would move for what silver has of them or of their lines."""
    query = contract.compose(
        "SELECT t.transaction_id FROM {transactions} AS t WHERE {sales} ORDER BY 1", sales=selection.condition("t")
    )
    return [row["transaction_id"] for row in session.rows(query, **selection.values)]


def size(report: Report, found: Whole | None) -> tuple[int, str]:
    """How much would move, as one number and what it counts: sales or events, whichever are more."""
    events = found.counts["events"] if found else report.moving.events
    sales = found.counts["transactions"] if found else report.moving.transactions
    return (sales, "transaction") if sales >= events else (events, "event")


class Cleanup:
    """One cleanup run: from a selection, frozen at the start, to none of it being left."""

    def __init__(
        self,
        session: Session,
        run: Run,
        tables: Tables,
        selection: CleanupSelection,
        progress: Progress,
        document: dict[str, t.Any],
    ) -> None:
        self.session = session
        self.run = run
        self.selection = selection
        self.progress = progress
        self.values = {**selection.values, "run_id": run.run_id}
        self.rules = {rule.name: rule for rule in rules.gravest_first(selection.rules)}
        self.closure = Closure(
            session, tables, run.run_id, kind="cleanup", code="QUALITY", message=f"violates a rule of run {run.run_id}",
            document=document,
        )  # fmt: skip

    def go(self, options: Options, total: int) -> Batches:
        """Moves all of it; what is committed stays when it is interrupted."""
        session, selection = self.session, self.selection
        with session.read():
            self.closure.look()
        relevant = contract.compose(
            RELEVANT, sales=selection.condition("t"), sale=sale("b"), events=selection.condition("b")
        )
        self.progress.say_throttled("looking for rule violations and for all events of the same transactions")
        with attempting("could not look for rule violations", on=session.where):
            # An event may be the only one of its transaction in bronze and still stay there.
            self.closure.related.scan(relevant, selection.values, timeout_seconds=SCAN_SECONDS, shared=False, mark=True)
        batches: Batches | None = None
        if selection.judges("t") or not selection.judges("b"):
            batches = self._walk(self._sales_path(), self._sales, options, total, None)
        if batches is None or selection.judges("b"):
            batches = self._walk(self._events_path(options), self._events, options, total, batches)
        with session.write():
            self.closure.related.forget()
        return batches

    def _walk(
        self,
        path: Cursor,
        work: Callable[[Span, Callable[[], None]], Done],
        options: Options,
        total: int,
        before: Batches | None,
    ) -> Batches:
        """One way along a path; its figures go on from those of the way before."""
        batches = Batches(
            self.session, self.run, path, options, self.progress, closed=closed(), total=total, verb="moved"
        )
        if before is not None:
            batches.began, batches.rows, batches.batches = before.began, before.rows, before.batches
            batches.retries, batches.longest_seconds = before.retries, before.longest_seconds
        batches.go(work)
        return batches

    def _sales_path(self) -> Keyset:
        """Along the sales the scan marked: the others need not be judged again."""
        table = sql.SQL("scout_ops.related_events AS k")
        columns = (
            (sql.SQL("hashtextextended(k.transaction_id, 0)"), "bigint"),
            (sql.SQL("hashtextextended(k.transaction_id, 1)"), "bigint"),
        )
        name, run = "marked transactions", {"run_id": self.run.run_id}
        return Keyset(name, table, columns, OF_THE_RUN, run, first_rows=500, sweep=False)

    def _events_path(self, options: Options) -> Blocks:
        return Blocks(contract.names().bronze, "b", self._wrong_events, self.values, most_rows=options.max_batch_rows)

    @property
    def _wrong_events(self) -> sql.Composed:
        """Events that violate a rule, over b."""
        return sql.SQL("{} AND {}").format(self.selection.condition("b"), sql.SQL(SCANNED).format(sale=sale("b")))

    def _sales(self, span: Span, limit: Callable[[], None]) -> Done:
        """Moves the sales of a span that still violate a rule."""
        session, selection = self.session, self.selection
        limit()
        query = sql.SQL(MARKED).format(condition=OF_THE_RUN, span=span.where)
        marked = session.rows(query, run_id=self.run.run_id, **span.values)
        limit()
        query = contract.compose(
            SALES, names=scan.violating(selection.rules, "t"), inside=selection.inside("t"), sale=sale("b")
        )
        found = session.rows(query, marked=[row["transaction_id"] for row in marked], **self.values)
        events = self._naming([row["transaction_id"] for row in found], limit)
        return self._move(found, events, limit)

    def _events(self, span: Span, limit: Callable[[], None]) -> Done:
        """Moves the events of a span that violate a rule, and those of the same transactions that do as well."""
        limit()
        found = self.session.rows(self._judged(span.where), **self.values, **span.values)
        others = self._naming([row["transaction_id"] for row in found if row["transaction_id"] is not None], limit)
        return self._move([], list({row["event_id"]: row for row in (*found, *others)}.values()), limit)

    def _naming(self, transactions: list[str], limit: Callable[[], None]) -> list[Row]:
        """The events of these transactions that violate rules on events."""
        if not transactions or not self.selection.judges("b"):
            return []
        limit()
        ids = self.session.row(NAMING, run_id=self.run.run_id, transactions=transactions)["ids"]
        limit()
        return self.session.rows(self._judged(sql.SQL("b.event_id = ANY(%(ids)s::uuid[])")), **self.values, ids=ids)

    def _judged(self, which: sql.Composable) -> sql.Composed:
        names = scan.violating(self.selection.rules, "b")
        return contract.compose(EVENTS, sale=sale("b"), names=names, condition=self._wrong_events, which=which)

    def _move(self, sales: Sequence[Row], events: Sequence[Row], limit: Callable[[], None]) -> Done:
        if not sales and not events:
            return Done(0)
        of_sale: dict[str, list[str]] = {row["transaction_id"]: row["rules"] for row in sales}
        names: dict[str, list[str]] = {}
        if not self.selection.keep:
            names = {row["event_id"]: row["rules"] for row in sales if row["event_id"] is not None}
        for row in events:
            names[row["event_id"]] = [*of_sale.get(row["transaction_id"], ()), *row["rules"]]
        batch = Batch(
            ids=sorted(names),
            silver=sorted(of_sale),
            labels={event: self._label(violated) for event, violated in names.items()},
            silver_labels={transaction: self._label(violated) for transaction, violated in of_sale.items()},
            requeue=not (self.selection.keep and sales),
        )
        done = self.closure.move(batch, limit)
        tally: dict[str, int] = {}
        for row in (*sales, *events):
            for name in row["rules"]:
                tally[name] = tally.get(name, 0) + 1
        return Done(done.rows, {**done.effects, "rules": tally})

    def _label(self, violated: Sequence[str]) -> Label:
        """The code and message of the gravest rule, and the names of all."""
        found = [rule for name, rule in self.rules.items() if name in violated]
        return Label(found[0].error_code, found[0].message, tuple(rule.name for rule in found))
