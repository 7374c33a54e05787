# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rehearses a rollback on a copy of the schema, and undoing it there; the real database is only read."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import time
import typing as t

from ...core import subprocesses
from ...core.errors import ConnectionLost, NotConverged, RecoveryError, Stopped
from ...core.text import count
from ...postgres import pg_dump as postgres_pg_dump
from ...postgres.driver import psycopg
from ...postgres.failures import translate
from ...postgres.session import EXACTLY
from ..captures import document as captures_document
from ..planner import plan as planner_plan
from ..planner.target import Target
from ..scratch import sample
from . import scratch_database, transaction

if t.TYPE_CHECKING:
    from collections.abc import Callable, Collection, Generator, Mapping

    from ...core.progress import Progress
    from ...postgres.session import Session
    from ..catalog.entries import Catalog, Entry

FOLDER: t.Final = "scout-rehearsal"
#: A copy of the schema has no data for these, or they cannot be in a second database.
NOT_COPIED: t.Final = ("cron_job:", "migration:", "manifest:", "extension:pg_cron", "schema:cron")
#: Where the data is kept that is put back on the way.
LEDGER: t.Final = "schema:scout_ops"
WITHOUT: t.Final = "go without a rehearsal: -e scout_rehearse=false"


@dataclasses.dataclass(frozen=True)
class Rehearsal:
    """Whether the rollback was rehearsed, and if not why, for a person; and what prevents an undo, where something
    does."""

    done: bool
    reason: str
    seconds: float
    undo: str = ""
    #: Of the program that copied the schema.
    warnings: tuple[str, ...] = ()
    #: How many rows it was tried on, besides the schema alone.
    rows: int = 0


def rehearse(
    session: Session,
    way: transaction.Way,
    go: Callable[[Session], None],
    progress: Progress,
    *,
    required: bool,
    pg_dump: str | None = None,
    rows: int = 0,
) -> Rehearsal:
    """Carries out the plan on a copy and undoes it there, then on another with so many rows of each table. Raises NotConverged
    unless it reaches the captured state, and if required unless the undo succeeds.

    Outside of any transaction. `go` is called inside one of the copy's, after its labels are added. Jobs and the
    migration history are not compared. A copy that differs from the original in what the plan touches is not used.
    """
    began, reason, undo, tried, warnings = time.monotonic(), "", "", 0, ()
    try:
        original = scratch_database.read(session, way.target.scope.histories)
        with subprocesses.scratch(FOLDER) as folder:
            tools = postgres_pg_dump.tools(session, pg_dump, folder)
            warnings = (tools.warning,) if tools.warning else ()
            progress.say_throttled("rehearsing: copying the schema to a scratch database")
            with _copied(session, original, tools, way, progress) as trial:
                progress.say_throttled("rehearsing: applying the plan, then undoing it")
                trial.there(way, go)
                undo = _undo(trial, required=required)
            if rows:
                progress.say_throttled(f"rehearsing: copying {count(rows, 'row')} of each table to a scratch database")
                taken = _Taken(session, rows, str(way.target.document.get("capture_id", "")))
                with _copied(session, original, tools, way, progress, taken) as trial:
                    progress.say_throttled(f"rehearsing: applying the plan to {count(taken.number, 'row')}")
                    trial.there(way, go, "while applying the plan to a sample of the rows")
                tried = taken.number
    except postgres_pg_dump.UnableError as e:
        if required:
            raise e.kind(
                "could not rehearse, and that was required; nothing was changed",
                on=session.where,
                said=e.reason,
                next_step="; or ".join(filter(None, (e.next_step, WITHOUT))),
            ) from e
        reason = "; ".join(filter(None, (e.reason, e.next_step)))
        progress.say(f"not rehearsed: {reason}")
    except RecoveryError as e:
        e.result["warnings"] = [*e.result.get("warnings", ()), *warnings]
        raise
    return Rehearsal(not reason, reason, round(time.monotonic() - began, 3), undo, warnings, tried)


class _Taken:
    """Copies a sample of the rows, and counts it."""

    def __init__(self, session: Session, rows: int, capture_id: str) -> None:
        self._session, self._rows, self._capture_id = session, rows, capture_id
        self.number = 0

    def __call__(self, scratch: Session) -> None:
        """All of it, before the copy has keys, references and triggers."""
        self.number = sample.copy(self._session, scratch, self._rows, self._capture_id)


@contextlib.contextmanager
def _copied(
    session: Session,
    original: scratch_database.Original,
    tools: postgres_pg_dump.Tools,
    way: transaction.Way,
    progress: Progress,
    rows: _Taken | None = None,
) -> Generator[_Trial]:
    """A copy on which the plan is to be tried, gone afterwards."""
    with (
        scratch_database.copied(session, original, tools, _part_of(way), progress, rows) as name,
        contextlib.ExitStack() as stack,
    ):
        with scratch_database.preparing(session):
            scratch = stack.enter_context(scratch_database.opened(original, name))
        scratch_database.fill(scratch, original)
        yield _Trial(session, scratch, _of_copy(way.target, way.live.entries), progress)


def _undo(trial: _Trial, *, required: bool) -> str:
    """Undoes it as an undo would; where that is not required, what prevents it is said and does not stop the
    rehearsal."""
    try:
        trial.back()
    except NotConverged as e:
        if required:
            raise
        return f"{e.attempted.partition(';')[0]}: {e.said}"
    return ""


def _part_of(way: transaction.Way) -> scratch_database.Part:
    """What the plan needs a copy of: the schemas of what there is and of what is wanted, and the extensions that
    these use."""
    needs: dict[str, set[str]] = collections.defaultdict(set)
    for entry in (*way.live.entries.values(), *way.target.entries.values()):
        needs[entry.key] |= {*entry.needs}
    named, left = {LEDGER}, {key for key in needs if not key.startswith("extension:")}
    while left:
        named |= left
        left = {need for key in left for need in needs.get(key, ())} - named
    parts = [sorted(key for key in named if key.startswith(kind)) for kind in ("schema:", "extension:")]
    schemas, extensions = ([key.partition(":")[2] for key in part] for part in parts)
    return scratch_database.Part(schemas, [each for each in extensions if f"extension:{each}" in way.live.entries])


def _of_copy(target: Target, live: Mapping[str, Entry]) -> Target:
    """The target for a copy of what is live: addresses mean nothing there, so all that there is, is looked for by its name."""
    document, scope = target.document, target.document["scope"]
    schemas = {need for entry in live.values() for need in entry.needs if need.startswith("schema:")}
    entries = [dataclasses.replace(entry, address=None) for entry in {**live, **target.entries}.values()]
    return Target(
        {
            **document,
            "scope": {**scope, "beyond": sorted({*scope["beyond"], *schemas})},
            "entries": list(map(captures_document.as_dict, entries)),
        },
        same_database=False,
        exact_order=target.exact_order,
    )


class _Trial:
    """A plan carried out on a copy."""

    def __init__(self, session: Session, scratch: Session, target: Target, progress: Progress) -> None:
        self._session = session
        self._scratch = scratch
        self._target = target
        self._progress = progress
        with scratch_database.preparing(session), scratch.read():
            self._before = self._live()
        self._after = self._before
        #: Keys of what the release has there, by the original; what it only needs elsewhere is not among them.
        self._ours: frozenset[str] = frozenset()

    def there(
        self, way: transaction.Way, go: Callable[[Session], None], where: str = "while applying the plan"
    ) -> None:
        """Carries out the plan; raises unless the copy then has the captured state, as far as it was a faithful one."""
        self._progress.checkpoint()
        unlike, self._ours = self._unlike(way), frozenset(transaction.own(way.live, way.target.entries))
        with _failing(self._session, where):
            transaction.add_labels(self._scratch, way.plan)
            with self._scratch.write():
                self._scratch.execute(EXACTLY)
                go(self._scratch)
                self._after = self._live()
        # Addresses are the original's.
        wanted = {key: dataclasses.replace(entry, address=None) for key, entry in way.goal.wanted.items()}
        found = way.goal.compared(transaction.own(self._after, wanted))
        self._require(
            {key: entry for key, entry in wanted.items() if key not in unlike},
            {key: entry for key, entry in found.items() if key not in unlike},
            "did not reach the captured state",
        )

    def _unlike(self, way: transaction.Way) -> set[str]:
        """What differs in the copy from the original, as some things must; none of it may be touched by the plan."""
        differing = captures_document.compare(
            _compared(way.live.entries), _compared(self._before.entries), same_database=False
        )
        unlike = {*differing.added, *differing.dropped, *differing.changed}
        if unlike:
            said = f"{count(len(unlike), 'object')} could not be copied exactly, among them {_few(unlike)}"
            self._progress.say(f"rehearsing: {said}")
        steps = {step.key for step in way.plan.all_steps}
        if about := unlike & {*steps, *(way.plan.was.get(key, key) for key in steps)}:
            raise postgres_pg_dump.UnableError(f"the plan touches what could not be copied exactly: {_few(about)}")
        return unlike

    def back(self) -> None:
        """Undoes it, as an undo would; raises unless the copy then has its state of before."""
        self._progress.checkpoint()
        with _failing(self._session, "while undoing the plan"):
            known = transaction.own(self._after, self._before.entries)
            # What the release only needs elsewhere still stands, though nothing that is left needs it.
            ours = {*self._ours, *known}
            before = {key: entry for key, entry in self._before.entries.items() if key in ours}
            way = planner_plan.plan(
                known,
                before,
                migrations_table=self._target.scope.migrations_table,
                exact_order=self._target.exact_order,
            )
            if way.impossible:
                raise NotConverged("the plan cannot be undone", said="; ".join(way.impossible[: captures_document.FEW]))
            transaction.add_labels(self._scratch, way)
            with self._scratch.write():
                self._scratch.execute(EXACTLY)
                transaction.walk(self._scratch, way)
                again = self._live()
        self._require(
            self._before.entries,
            transaction.own(again, self._before.entries),
            "reached the captured state, but an undo did not restore the current state",
        )

    def _live(self) -> Catalog:
        return transaction.live(self._scratch, self._target)

    def _require(self, wanted: Mapping[str, Entry], found: Mapping[str, Entry], otherwise: str) -> None:
        differing = captures_document.compare(
            _compared(wanted), _compared(found), same_database=False, column_order=self._target.exact_order
        )
        if differing.number:
            raise NotConverged(
                f"the rehearsal {otherwise}; nothing was changed in the real database",
                on=self._session.where,
                said=differing.first(),
                next_step=f"fix by hand what differs, then run the same command again; or {WITHOUT}",
                result={"differs": differing.as_dict()},
            )


def _compared(entries: Mapping[str, Entry]) -> dict[str, Entry]:
    return {key: entry for key, entry in entries.items() if not key.startswith(NOT_COPIED)}


def _few(keys: Collection[str]) -> str:
    return ", ".join(map(captures_document.readable, sorted(keys)[: captures_document.FEW]))


@contextlib.contextmanager
def _failing(session: Session, where: str) -> Generator[None]:
    """What fails in it would fail in the real database too."""
    try:
        yield
    except (Stopped, ConnectionLost):
        raise
    except (psycopg.Error, RecoveryError) as e:
        attempted = f"the rehearsal failed {where}; nothing was changed"
        raised = translate(e, attempted, on=session.where) if isinstance(e, psycopg.Error) else e
        if isinstance(raised, ConnectionLost):
            raise raised from e
        own = "" if raised.attempted == attempted else raised.attempted.removesuffix("; nothing was changed")
        raise NotConverged(
            attempted,
            on=session.where,
            said=": ".join(filter(None, (own, raised.said))),
            sqlstate=raised.sqlstate,
            next_step=f"fix what is reported here, then run the same command again; or {WITHOUT}",
            result=raised.result,
        ) from e
