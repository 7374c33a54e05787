# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run of a rollback does around its steps, in their transaction: the capture of before, the data, the pause, the ledger."""

from __future__ import annotations

import typing as t
import uuid

from ...core.errors import NotConverged
from ...ledger.pauses import open_pause
from ...moves.undo import run as undo_run
from ...postgres.driver import errors
from ..captures import document as captures_document
from ..captures import store as captures_store
from ..catalog import reader as catalog_reader
from ..catalog import stability
from . import paused_jobs, saved_data, transaction

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...invoke import Call
    from ...ledger.ledger import Ledger
    from ...ledger.runs import Run
    from ...postgres.session import Row, Session
    from ..captures.document import Document
    from ..catalog.entries import Catalog, Entry
    from . import request as restore_request
    from .result import Look


class Hooks:
    """What happens around the steps, in their transaction; all of it again at each attempt."""

    def __init__(
        self,
        call: Call,
        ledger: Ledger,
        run: Run,
        order: restore_request.Order,
        seen: Look,
        there: Catalog,
        jobs: list[str] | None,
    ) -> None:
        self.call, self.ledger, self.run, self.order, self.seen, self.jobs = call, ledger, run, order, seen, jobs
        #: What there was before anything was done.
        self.there = there
        self.before: Document = {}
        self.filled: list[Row] = []
        self.kept_disabled: list[str] = []

    def prepare(self) -> None:
        """Captures the current state with the data that is dropped, which nobody writes from here on."""
        session, way = self.call.session, self.seen.way
        try:
            saved_data.hold(session, way.saves)
        except (errors.UndefinedTable, errors.InvalidSchemaName) as e:
            raise _changed_since(session, e.diag.message_primary or "") from e
        pause = open_pause(self.ledger)
        self._require_as_seen(pause.jobs if pause else ())
        capture_id = str(uuid.uuid4())
        saved = saved_data.save(session, capture_id, way.saves, self.call.progress)
        gone = saved_data.uncounted(way.plan, way.live.entries, way.goal.wanted)
        said = captures_store.about(
            name=f"before-{self.run.run_id}",
            capture_id=capture_id,
            here=captures_store.origin(session),
            actor=self.call.controller.actor,
            incident=self.call.incident,
            scope=way.target.scope,
            beyond=self.there.beyond,
        )
        more = {
            "taken_by": self.run.run_id,
            "git_commit": None,
            "application": {},
            "protect": [each["relation"] for each in saved],
            "protected": saved,
            "sequences": saved_data.counters(session, gone),
            "moved": list(way.plan.moved),
        }
        self.before = captures_document.document(self.there.entries.values(), {**said, **more})

    def _require_as_seen(self, paused: Sequence[Row]) -> None:
        """Raises NotConverged unless there is exactly what was planned from."""
        session, way = self.call.session, self.seen.way
        if _is_as_seen(session, way, paused):
            return
        there = transaction.live(session, way.target, paused)
        if there.entries != way.live.entries:
            differing = captures_document.compare(
                way.live.entries, there.entries, same_database=True, column_order=True
            )
            raise _changed_since(session, differing.first())

    def settle(self) -> list[Row]:
        """Compares what was restored with what was saved, and keeps disabled what a pause disabled."""
        session, way = self.call.session, self.seen.way
        self.filled = [] if self.order.scripts else saved_data.prove(session, way.plan, way.kept.tables)
        given_back, self.kept_disabled = paused_jobs.hold(
            session, self.ledger, way.live.entries, way.goal.wanted, self.jobs
        )
        return given_back

    def record(self, after: Mapping[str, Entry]) -> None:
        """What the run did, committed with it. What was recreated has a new address now, which captures have to
        know, or they would take it for something else once it has another name."""
        way, undone = self.seen.way, self.order.undone
        names = {old: key for key, old in way.plan.was.items()}
        captures_store.store(
            self.run,
            captures_document.at(self.before, {old: after.get(names.get(old, old)) for old in self.there.entries}),
        )
        if way.target.same_database:
            captures_store.move(self.ledger, captures_document.at(way.target.document, after))
        if undone is not None:
            self.call.session.execute(undo_run.UNDONE, by=self.run.run_id, run_id=undone["run_id"])
            if undone["undoes"]:
                self.call.session.execute(undo_run.UNDONE, by=None, run_id=undone["undoes"])
        self.run.record(
            release=self.order.document["release"],
            capture_id=self.order.document["capture_id"],
            before_capture_id=self.before["capture_id"],
            objects=way.objects,
            saved_rows=sum(each["rows"] for each in self.before["protected"]),
            filled_rows=sum(each["rows"] for each in self.filled),
            kept_disabled=self.kept_disabled,
            only=self.order.only,
            lost=[*way.lost, *way.empty],
        )


def _is_as_seen(session: Session, way: transaction.Way, paused: Sequence[Row]) -> bool:
    """Whether there is certainly still what the way was planned from; where not, only reading it tells."""
    if stability.fingerprint(session) != way.fingerprint:
        return False
    session.execute(catalog_reader.AS_THEY_ARE)
    now = {entry.key: entry for entry in catalog_reader.beside(session, way.target.scope, paused)}
    return now == {key: entry for key, entry in way.live.entries.items() if entry.kind in catalog_reader.BESIDE}


def _changed_since(session: Session, said: str) -> NotConverged:
    return NotConverged(
        "refused to roll back: the schema has changed since the plan was made",
        on=session.where,
        said=said,
        next_step="wait until whoever is changing it has finished, then run the same command again",
    )
