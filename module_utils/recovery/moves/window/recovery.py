# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One recovery of a window: rebuilds silver where it differs from its events, until every event is accounted for."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ...core.errors import RecoveryError
from ...pipeline.poison_policy import Etl, Tolerance
from ...postgres.driver import sql
from ...scout import contract
from ...scout.poison_probe import Refused, named
from ...scout.row_hazards import refuse_cascades
from ..engine.batches import Batches, Done
from ..engine.cursors import Keyset
from ..engine.job import SCAN_SECONDS, closed
from .comparison import FORGET
from .options import sentence
from .rebuild import Differs, Rebuild, Unit
from .reconciliation import Reconciliation

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.session import Session
    from ...scout.row_images import Tables
    from ..engine.batches import Options
    from ..engine.cursors import Span
    from .comparison import Comparer, Comparison
    from .results import WindowRecovered

#: What the ledger keeps of the account.
ACCOUNT: t.Final = (
    *(
        "expected",
        "arrived",
        "loaded",
        "quarantined",
        "not_transactional",
        "unexplained",
        "extra",
        "vanished",
        "balanced",
    ),
    "unexplained_events",
)
#: Each call of the ETL reads all of bronze, however little it loads. The first batch is small, so its time is what a batch costs
#: in any case; the others should take so many times that long, at a rate that is guessed until it is known. Small is what adds so
#: little to what one call is expected to take.
SHARE_OF_FIRST: t.Final = 8.0
FIRST_ROWS: t.Final = 200
GUESSED_RATE: t.Final = 2000
MOST_ROWS: t.Final = 50_000
#: How often the window is looked at again for what came in meanwhile.
LOOKS: t.Final = 10
CONDITION: t.Final = "o.run_id = %(run_id)s::uuid"

NOTED = "SELECT o.place, o.unit, o.events::text[] AS events FROM scout_ops.todo AS o WHERE {condition} AND {span} ORDER BY o.place"
DONE = "DELETE FROM scout_ops.todo WHERE run_id = %(run_id)s AND place = ANY(%(places)s)"

#: What could not be made again is not tried twice in a run.
GIVEN_UP = "DELETE FROM scout_ops.todo WHERE run_id = %(run_id)s AND coalesce(unit, events[1]::text) = ANY(%(names)s)"
LEFT = """
SELECT coalesce(unit, events[1]::text) AS name FROM scout_ops.todo WHERE run_id = %(run_id)s ORDER BY place LIMIT 1000
"""


class _Todo(Keyset):
    """The units in their order; once all have had their turn, the window is judged again for what came in meanwhile."""

    def __init__(self, run_id: str, again: Callable[[], bool]) -> None:
        super().__init__(
            f"todo of {time.time_ns()}",
            sql.SQL("scout_ops.todo AS o"),
            ((sql.Identifier("o", "place"), "bigint"),),
            sql.SQL(CONDITION),
            {"run_id": run_id},
            first_rows=FIRST_ROWS,
            most_rows=MOST_ROWS,
        )
        self.look_again = again

    def span(self, session: Session, cursor: t.Any, size: float) -> Span | None:  # noqa: ARG002
        """Always from the beginning: what is done is not there any more, and what a batch had no time for comes next."""
        return super().span(session, None, size)

    def again(self, session: Session) -> t.Any:  # noqa: ARG002
        """From the beginning where something is to be rebuilt."""
        return () if self.look_again() else None


class _Strides(Batches):
    """Batches that are large compared with the fixed cost of each."""

    def _account(self, span: Span, done: int, waiting: int, seconds: float) -> None:
        first = self.batches == 0
        super()._account(span, done, waiting, seconds)
        if first and done:
            target = max(self.options.target_seconds, SHARE_OF_FIRST * seconds)
            self.options = dataclasses.replace(self.options, target_seconds=target)
            self.sizes.target_seconds = target
            self.sizes.rows = min(float(MOST_ROWS), max(self.sizes.rows, (target - seconds) * GUESSED_RATE))


class Recovery:
    """One recovery: from its window, frozen at the start, to an account of every event of it."""

    def __init__(
        self,
        session: Session,
        run: Run,
        tables: Tables,
        comparer: Comparer,
        tolerance: Tolerance,
        progress: Progress,
        document: dict[str, t.Any],
    ) -> None:
        self.session = session
        self.run = run
        self.comparer = comparer
        self.tolerance = tolerance
        self.progress = progress
        self.document = document
        self.rebuilding = Rebuild(session, tables, comparer.model, run.run_id, comparer.pipeline)
        #: What the ETL makes otherwise than its events say, or refuses for the sake of an event that is not of the window.
        self.given_up: dict[str, str] = {}
        #: Transactions that the ETL would load again just as they are.
        self.as_before: set[str] = set()
        #: Fields that the ETL turned out to fill its own way, each with a transaction that shows it.
        self.own_fields: dict[str, str] = {}
        self.final: Comparison | None = None
        #: Events that were as they should be at the start.
        self.sound = 0
        self.timeout_seconds = 120.0
        self.etl = Etl(session, self.timeout_seconds, comparer.pipeline)
        self.looks = 0
        self.batches: Batches | None = None

    def go(self, options: Options, first: Comparison, *, batch_timeout_seconds: float, etl_seconds: float) -> Batches:
        """Rebuilds all that has to be; what is committed stays when it is interrupted. A call of the ETL is expected to take so long."""
        session = self.session
        self.timeout_seconds = self.etl.timeout_seconds = batch_timeout_seconds
        with session.read():
            refuse_cascades(session)
        self._note(first)
        self.rebuilding.unjudged = first.row["unjudged"]
        self.sound = first.count("loaded")
        path = _Todo(self.run.run_id, self._again)
        self.batches = batches = _Strides(
            session, self.run, path, options, self.progress,
            closed=closed(), total=first.todo_events, verb="recovered",
        )  # fmt: skip
        batches.sizes.rows = min(float(MOST_ROWS), max(path.first_size, etl_seconds / SHARE_OF_FIRST * GUESSED_RATE))
        try:
            batches.go(self._work)
        except RecoveryError as e:
            e.result.setdefault("changed", bool(self.run.effects.get("loaded") or self.run.effects.get("moved")))
            raise
        with session.write():
            session.execute(FORGET, run_id=self.run.run_id)
        return batches

    def _note(self, first: Comparison) -> None:
        """Notes what is to be rebuilt, unless an interrupted run has left the rest of that."""
        session = self.session
        with session.write(statement_timeout_seconds=SCAN_SECONDS, fence_last=True):
            self.rebuilding.since = first.since
            if "before" in self.run.effects:
                return
            self.comparer.note(self.run.run_id, first.row["carried"])
            # The first event that it sees is known by this snapshot, whenever it is asked again.
            before = {"events": first.events, "hours": first.row["hours"], "snapshot": first.snapshot}
            self.run.record(before=before)

    def _again(self) -> bool:
        """Compares the window again, and notes what is to be rebuilt; False when nothing is that was not given up.

        Where events keep arriving, the last comparison is of those that had been there at the start: the others are
        left to the pipeline, or to the next recovery.
        """
        comparer = self.comparer
        everything, selection = comparer.everything, comparer.selection
        comparer.everything = False
        try:
            while True:
                self.looks += 1
                last = self.looks >= LOOKS
                if last:
                    comparer.selection = dataclasses.replace(selection, snapshot=self.run.effects["before"]["snapshot"])
                left = self._look_and_note()
                if left and not last:
                    return True
                # Nothing left, though it was not clean: somebody else has loaded what was missing, unless it was given up.
                if left or self.given_up or (self.final and self.final.clean) or self.looks > LOOKS:
                    self.given_up |= dict.fromkeys(left, f"rebuilt {LOOKS} times, it never matched its events")
                    return False
        finally:
            comparer.everything, comparer.selection = everything, selection

    def _look_and_note(self) -> list[str]:
        """The names of what is to be rebuilt and was not given up, noted."""
        session = self.session
        with session.read(statement_timeout_seconds=SCAN_SECONDS):
            self.final = self.comparer.look(carry=True)
        if self.final.clean:
            return []
        with session.write(statement_timeout_seconds=SCAN_SECONDS, fence_last=True):
            self.comparer.note(self.run.run_id, self.final.row["carried"])
            session.execute(GIVEN_UP, run_id=self.run.run_id, names=list(self.given_up))
            return [row["name"] for row in session.rows(LEFT, run_id=self.run.run_id)]

    def _work(self, span: Span, limit: Callable[[], None]) -> Done:  # noqa: ARG002
        """One batch. One call of the ETL may take longer than a batch should, however small that is."""
        session, began = self.session, time.monotonic()
        target = self.batches.options.target_seconds if self.batches else 0.0
        session.limit_statements(max(self.timeout_seconds, target))
        query = sql.SQL(NOTED).format(condition=sql.SQL(CONDITION), span=span.where)
        rows = session.rows(query, **span.values, run_id=self.run.run_id)
        if not rows:
            return Done(0)
        noted = [Unit(row["place"], row["unit"], tuple(row["events"])) for row in rows]
        effects: dict[str, t.Any] = {"moved": {}, "loaded": 0, "quarantined": [], "gold_days": []}
        left = {unit.place for unit in self._settle(self.rebuilding.with_members(noted), effects, began + target)}
        noted = [unit for unit in noted if unit.place not in left]
        session.execute(DONE, run_id=self.run.run_id, places=[unit.place for unit in noted])
        at = session.row("SELECT transaction_timestamp()::text AS at")["at"]
        self.rebuilding.ours.append(at)
        return Done(sum(max(1, len(unit.events)) for unit in noted), effects)

    def _settle(self, units: list[Unit], effects: dict[str, t.Any], deadline: float) -> list[Unit]:
        """Rebuilds all that the ETL loads, and finds what it refuses: by what is suspicious, then by halving.

        Returns the units for which there was no time: each refusal costs another call of the ETL.
        """
        alone = [unit for unit in units if unit.suspect or (unit.alone and unit.transaction is not None)]
        together = [unit for unit in units if unit not in alone] if alone else units
        stack = [*([unit] for unit in reversed(alone)), *([together] if together else [])]
        settled = False
        while stack:
            if settled and time.monotonic() > deadline:
                return [unit for part in stack for unit in part]
            part = [unit for unit in stack.pop() if unit.name not in {*self.given_up, *self.as_before}]
            if not part:
                continue
            try:
                self._succeed(part, effects)
                settled = True
            except Differs as e:
                self._settle_differing(part, e)
                stack.append(part)
            except Refused as e:
                if len(part) == 1:
                    self._alone(part[0], e, effects)
                    settled = True
                    continue
                found = self._suspected(part, e)
                rest = [unit for unit in part if unit.name not in found]
                if found and rest:
                    stack += [rest, *([unit] for unit in reversed(part) if unit.name in found)]
                else:
                    middle = len(part) // 2
                    stack += [part[middle:], part[:middle]]
        return []

    def _succeed(self, units: Sequence[Unit], effects: dict[str, t.Any]) -> None:
        made = self.rebuilding.remake(units)
        moved = effects["moved"]
        for name, number in made.removed.items():
            moved[name] = moved.get(name, 0) + number
        effects["loaded"] += made.loaded
        effects["gold_days"] = sorted({*effects["gold_days"], *made.days})

    def _suspected(self, units: Sequence[Unit], refused: Refused) -> set[str]:
        """The units that the refusal speaks of."""
        ids = [event for unit in units for event in unit.events]
        spoken_of = {suspect.event_id for suspect in named(self.session, ids, refused.everything)}
        return {unit.name for unit in units if spoken_of.intersection(unit.events)}

    def _alone(self, unit: Unit, refused: Refused, effects: dict[str, t.Any]) -> None:
        """A unit of which something is refused: without that, if anything is left of it."""
        while unit.events:
            found = (unit.events[0], refused) if len(unit.events) == 1 else self.rebuilding.culprit(unit)
            if found is None:
                raise refused.error
            event_id, refused = found
            if not self._is_inside(event_id):
                why = f"event {event_id}, which is outside the window, can no longer be loaded: {refused.told}"
                self._give_up(unit.name, why)
                return
            self._set_aside(event_id, refused, effects)
            unit = unit.without(event_id)
            if not unit.events:
                return
            try:
                self._succeed([unit], effects)
            except Refused as e:
                refused = e
            except Differs as e:
                self._settle_differing([unit], e)
                if unit.name in {*self.given_up, *self.as_before}:
                    return
            else:
                return

    def _is_inside(self, event_id: str) -> bool:
        selection = self.comparer.selection
        query = contract.compose(
            "SELECT EXISTS (SELECT FROM {bronze} AS b WHERE b.event_id = %(id)s::uuid AND {}) AS inside",
            selection.condition(),
        )
        return self.session.row(query, id=event_id, **selection.values)["inside"]

    def _set_aside(self, event_id: str, refused: Refused, effects: dict[str, t.Any]) -> None:
        so_far = self.run.effects
        quarantined = len(so_far.get("quarantined", [])) + len(effects["quarantined"])
        by_now = so_far.get("loaded", 0) + effects["loaded"]
        if not by_now:
            self.etl.refuse_broken("the recovery", refused, self.tolerance)
        loaded = self.sound + by_now
        self.etl.refuse_younger("the recovery", event_id, refused, self.tolerance)
        self.tolerance.refuse(
            "the recovery", event_id, refused, quarantined=quarantined, loaded=loaded, where=self.session.where
        )
        self.rebuilding.quarantine(event_id, refused, self.document)
        effects["quarantined"].append(event_id)
        effects["moved"]["events"] = effects["moved"].get("events", 0) + 1
        self.progress.say(f"quarantined poison event {event_id}: {refused.told}")

    def _settle_differing(self, units: Sequence[Unit], differs: Differs) -> None:
        """Accept what the ETL fills its own way: fields of a transaction that was missing, or in which silver differed before as well. One
        that was right before, or that the ETL does not load, is given up; one that would come out as it is stays as it is."""
        before, there = self.rebuilding.wrong(units), self.rebuilding.in_silver([*differs.units])
        for name, fields in differs.units.items():
            new = [] if name not in there else [field for field in fields if field not in before.get(name, ())]
            if name not in differs.made or new:
                self._give_up(name, f"the ETL loads it differently from its events: {', '.join(new or fields)}")
                continue
            self.own_fields.update(dict.fromkeys(fields, name))
            made = differs.made[name]
            if name in there and all(made.get(f) == there[name].get(f) for f in fields) and before.get(name) == fields:
                self.as_before.add(name)
        self.rebuilding.unjudged = self.comparer.unjudged = [*{*self.rebuilding.unjudged, *self.own_fields}]

    def _give_up(self, name: str, why: str) -> None:
        self.given_up[name] = why
        self.progress.say(f"{name} is unchanged: {why}")

    def outcome(self, batches: Batches, first: Comparison) -> WindowRecovered:
        """The result of a recovery that finished; raises NotConverged, with the same, where an event is not accounted
        for."""
        session, run = self.session, self.run
        self.comparer.everything = False
        with session.read(statement_timeout_seconds=SCAN_SECONDS):
            final = self.final or self.comparer.look()
            account = Reconciliation.of(session, run, self.comparer, final, self.given_up)
        for line in account.table():
            self.progress.say(line)
        with session.write():
            shown = account.as_dict()
            run.record(reconciliation={name: shown[name] for name in ACCOUNT}, state=final.state)
            if not account.balanced:
                # It came to its end: the same words mean a window of their own again (last=1h).
                run.close()
        moved = {**dict.fromkeys(("events", "transactions", "lines", "ledger"), 0), **run.effects.get("moved", {})}
        figures = batches.figures()
        effects = {name: value for name, value in run.effects.items() if name not in ("before", "cursor")}
        result: WindowRecovered = {
            "changed": bool(run.effects.get("loaded") or any(moved.values())),
            "run_id": run.run_id,
            "moved": moved,
            "requeued": 0,
            "loaded": run.effects.get("loaded", 0),
            "poison": list(account.poison),
            "gold_days": run.effects.get("gold_days", []),
            "reconciliation": shown,
            "batches": figures,
            "resumed": run.interrupted is not None,
            "effects": effects,
            "warnings": [
                f"the ETL fills {field} differently from what the event of {name} says: not compared"
                for field, name in sorted(self.own_fields.items())
            ],
            "summary": f"{sentence('recovered', first.as_plan(), figures['seconds'])}; {account.sentence()}",
            "diff": {"before": first.counts, "after": final.counts},
        }
        account.refuse(session.where, self.comparer.selection, {**result})
        return result
