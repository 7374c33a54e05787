# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Undoes a run: every row is restored exactly as it was, or the run is refused with the rows that have changed
since."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import BadInput, NotConverged
from ...core.text import count
from ...core.times import to_the_minute
from ...ledger import history
from ...ledger.actions import DEAD_LETTER_ACTIONS, JOURNAL_ACTIONS
from ...scout import contract
from ...scout.row_hazards import refuse_cascades, triggers
from ..engine.batches import Batches, Done
from ..engine.job import SCAN_SECONDS, closed
from ..engine.siblings import RelatedEvents
from . import missing_partitions
from .journal import Journal
from .planner import TABLES, Conflict, plan
from .sources import Source

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from ...scout.row_images import Tables
    from ..engine.batches import Options
    from ..engine.cursors import Span

SURVEY_ROWS: t.Final = 2000
#: How many conflicts a result names.
NAMED: t.Final = 50
#: Rows a second that were measured.
RATE: t.Final = 3000

RUN = """
SELECT run_id::text AS run_id, action, status, incident, actor, started_at, effects,
       undoes::text AS undoes, undone_by::text AS undone_by
FROM scout_ops.runs WHERE run_id = %(run_id)s
"""

UNDONE = "UPDATE scout_ops.runs SET undone_by = %(by)s WHERE run_id = %(run_id)s"

IN_FORCE_AGAIN = """
UPDATE scout_ops.images SET undone_by = NULL WHERE run_id = %(run_id)s AND undone_by = %(by)s
"""

#: Of the transactions of a run's items those that silver has now.
RELEVANT = """
SELECT t.transaction_id FROM {transactions} AS t WHERE t.transaction_id IN (
    SELECT image ->> 'transaction_id' FROM ({items}) AS i
    CROSS JOIN LATERAL jsonb_array_elements(i.removed -> 'transactions') AS image
    UNION
    SELECT b.event_data ->> 'transaction_id' FROM ({items}) AS i
    CROSS JOIN LATERAL jsonb_array_elements(i.added -> 'events') AS image
    JOIN {bronze} AS b ON b.event_id = (image ->> 'event_id')::uuid
    WHERE jsonb_typeof(b.event_data) = 'object'
    UNION
    SELECT i.transaction_id FROM ({items}) AS i
)
"""


@dataclasses.dataclass
class Preview:
    """Preview of undoing a run, counted by table on one snapshot."""

    items: int = 0
    put_back: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    taken: dict[str, int] = dataclasses.field(default_factory=lambda: dict.fromkeys(TABLES, 0))
    conflicts: list[Conflict] = dataclasses.field(default_factory=list[Conflict])
    conflicting: int = 0
    gold_days: list[str] = dataclasses.field(default_factory=list[str])
    #: What is said of events whose partition is gone.
    elsewhere: list[str] = dataclasses.field(default_factory=list[str])
    range: dict[str, str | None] = dataclasses.field(default_factory=lambda: {"first": None, "last": None})

    @property
    def counts(self) -> dict[str, int]:
        """Rows by table, those restored and those removed."""
        goes = {f"{name}_taken": number for name, number in self.taken.items()}
        return {"items": self.items, **self.put_back, **goes}

    @property
    def estimated_seconds(self) -> float:
        """How long it would take, by a rate that was measured."""
        return round((sum(self.put_back.values()) + sum(self.taken.values())) / RATE + 0.1, 1)


def find(session: Session, run_id: str) -> Row:
    """The run to undo. Raises BadInput for one that is not known or left nothing that could be undone."""
    wanted = history.run_named(session, run_id)
    found = session.rows(RUN, run_id=wanted)
    if not found:
        raise BadInput(
            f"no run {wanted} is in the ledger", on=session.where, next_step="runs.yml lists the runs with their ids"
        )
    run = found[0]
    if "before_capture_id" in run["effects"]:
        return run
    if run["action"] not in (*DEAD_LETTER_ACTIONS, *JOURNAL_ACTIONS):
        other = {"pause": "; resume_ingestion.yml re-enables its jobs", "resume": "; pause_ingestion.yml pauses again"}
        raise BadInput(
            f"run {wanted} moved no data: it is a {run['action']} of {to_the_minute(run['started_at'])}",
            on=session.where,
            next_step=f"runs.yml lists the runs that can be undone{other.get(run['action'], '')}",
        )
    return run


def source(run: Row, looked_at: Sequence[str] = ()) -> Source:
    """Where the items of a run are; `looked_at`: the dead letters that are taken although the run noted none."""
    return Source(run["run_id"], run["started_at"], run["action"] in DEAD_LETTER_ACTIONS, looked_at)


class Undo:
    """One undo of a run."""

    def __init__(
        self,
        session: Session,
        tables: Tables,
        undone: Row,
        on_conflict: str,
        progress: Progress,
        looked_at: Sequence[str] = (),
    ) -> None:
        self.session = session
        self.tables = tables
        self.undone = undone
        self.on_conflict = on_conflict
        self.progress = progress
        self.source = source(undone, looked_at)

    def preview(self) -> Preview:
        """The preview, on one snapshot; inside the caller's read-only transaction."""
        session, path = self.session, self.source.path()
        journal = Journal(session, self.tables, self.undone["run_id"], self.source)
        preview = Preview()
        preview.conflicts, preview.conflicting = self.source.not_stored(session, NAMED)
        items = contract.compose("{items}", items=journal.items_where(self.source.condition))
        refused = f"refused to undo run {self.undone['run_id']}"
        preview.elsewhere = missing_partitions.look(session, items, self.source.values, refused)
        retired: set[str] = set()
        cursor: t.Any = None
        while (span := path.span(session, cursor, SURVEY_ROWS)) is not None:
            self.progress.checkpoint()
            cursor = span.after
            keys = self._keys(span)
            retired |= self._count(journal, keys, preview)
            self.progress.say_throttled(f"looked at {count(preview.items, 'item')} of run {self.undone['run_id']}")
        if retired:
            told = "that fed the same sales: retention has taken them, and silver is restored as it was with them"
            preview.elsewhere.append(f"bronze no longer has {count(len(retired), 'event')} {told}")
        return preview

    def _keys(self, span: Span) -> list[str]:
        query = self.source.select(span.where)
        return [row["key"] for row in self.session.rows(query, **self.source.values, **span.values)]

    def _keys_with_related(self, span: Span, again: list[str]) -> list[str]:
        query = self.source.select_with_related(span.where, again=bool(again))
        return [row["key"] for row in self.session.rows(query, **self.source.values, **span.values, again=again)]

    def _count(self, journal: Journal, keys: Sequence[str], preview: Preview) -> frozenset[str]:
        """Counts items into the preview; returns which other events retention has taken."""
        items = journal.read(keys)
        current = journal.current(items)
        preview.items += len(items)
        for swap in plan(items, current, "restore" if self.on_conflict == "refuse" else self.on_conflict):
            preview.conflicting += len(swap.conflicts)
            preview.conflicts += swap.conflicts[: NAMED - len(preview.conflicts)]
            for name in TABLES:
                preview.put_back[name] += len(swap.put[name])
                preview.taken[name] += len(swap.take[name])
        return current.retired

    def refuse(self, conflicts: Sequence[Conflict], number: int) -> None:
        """Raises NotConverged where there are conflicts and nobody said what to do with them."""
        if not number or self.on_conflict != "refuse":
            return
        named = "; ".join(f"{c.table} {c.key} {c.why}" for c in conflicts[:5])
        raise NotConverged(
            f"refused to undo run {self.undone['run_id']}: {count(number, 'row')} changed since",
            on=self.session.where,
            said=named + (" …" if number > 5 else ""),
            next_step=(
                "undo.yml --check lists them; then -e scout_on_conflict=keep_current leaves them as they are now, "
                "-e scout_on_conflict=restore restores what they were, but for dead letters that are not what the run stored: "
                "look who wrote them"
            ),
            result={"conflicts": [c.as_dict() for c in conflicts], "conflicting": number},
        )

    def go(self, run: Run, options: Options, total: int) -> Batches:
        """Undoes all of it; what is committed stays when it is interrupted."""
        session = self.session
        journal = Journal(session, self.tables, run.run_id, self.source)
        related = RelatedEvents(session, run.run_id)
        relevant = contract.compose(RELEVANT, items=journal.items_where(self.source.condition))
        related.scan(relevant, self.source.values, timeout_seconds=SCAN_SECONDS, shared=False)
        journal.since = related.since
        with session.read():
            refuse_cascades(session)
            journal.triggers = bool(triggers(session))
        with session.read(statement_timeout_seconds=SCAN_SECONDS):
            again = self.source.moved_again(session)
        batches = Batches(
            session,
            run,
            self.source.path(),
            options,
            self.progress,
            closed=closed(),
            total=total,
            verb="undone",
            noun="item",
        )

        def work(span: Span, limit: Callable[[], None]) -> Done:
            limit()
            keys = self._keys_with_related(span, again)
            limit()
            found = journal.read(keys)
            limit()
            swaps = plan(found, journal.current(found), self.on_conflict)
            conflicts = [conflict for swap in swaps for conflict in swap.conflicts]
            self.refuse(conflicts, len(conflicts))
            return Done(len(found), journal.exchange(swaps, limit)) if found else Done(0)

        batches.go(work)
        with session.write():
            self.refuse(*self.source.not_stored(session, NAMED))
            related.forget()
            session.execute(UNDONE, by=run.run_id, run_id=self.undone["run_id"])
            if self.undone["undoes"]:
                # The run that had been undone is in force again, item by item.
                session.execute(UNDONE, by=None, run_id=self.undone["undoes"])
                session.execute(IN_FORCE_AGAIN, run_id=self.undone["undoes"], by=self.undone["run_id"])
        return batches
