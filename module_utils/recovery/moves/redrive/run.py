# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redrives dead letters: a canary first, then a ramp; only what the ETL loads stays in bronze, and all of it can be
undone.

An entry's transaction is loaded with it, inside the batch: its silver rows are removed, and the events that stayed are
loaded again in their order, so that silver is what the ETL derives from bronze. What the ETL refuses never leaves a
savepoint.
"""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ...core.errors import BadInput, SystemicFailure
from ...core.text import count
from ...pipeline import expected
from ...postgres import without_values
from ...postgres.driver import sql
from ...scout import contract
from ...scout.poison_probe import Refused
from ...scout.row_hazards import refuse_cascades
from ..engine.batches import Batches, Done
from ..engine.job import SCAN_SECONDS, closed, reading
from ..engine.siblings import RelatedEvents
from . import duplicates
from . import letters as redrive_letters
from .batch import RedriveBatch, Unit

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...core.progress import Progress
    from ...ledger.runs import Run
    from ...postgres.acting import Actor
    from ...postgres.session import Session
    from ...scout.row_images import Tables
    from ..engine.batches import Options as BatchOptions
    from ..engine.cursors import Span
    from .letters import DeadLetterSelection, Letter
    from .merge_patch import Repairs
    from .preview import Progressed

#: A batch has at least so many entries after the canary, whatever one call of the ETL costs.
LEAST_ROWS: t.Final = 500
#: How many failures a result names.
NAMED: t.Final = 100

#: The transaction an entry is about, patches considered.
SALE = sql.SQL(
    """coalesce((SELECT value FROM jsonb_each_text(%(sales)s)
              WHERE key IN (d.dlq_id::text, d.error_details #>> '{event,event_id}') LIMIT 1),
    %(sale_for_all)s::text, CASE WHEN jsonb_typeof(d.original_payload) = 'object' THEN d.original_payload ->> 'transaction_id' END)"""
)
SALES = "SELECT {sale} AS transaction_id FROM {dead_letters} AS d WHERE {condition}"

#: Entries that share a transaction come back together: they are noted like the events that do.
RELATED = """
INSERT INTO scout_ops.related_events (run_id, transaction_id, event_id)
SELECT %(run_id)s, transaction_id, dlq_id FROM (
    SELECT dlq_id, transaction_id, count(*) OVER (PARTITION BY transaction_id) AS entries
    FROM (SELECT d.dlq_id, {sale} AS transaction_id FROM {dead_letters} AS d WHERE {condition}) AS s
) AS k
WHERE entries > 1 AND transaction_id IS NOT NULL
ON CONFLICT DO NOTHING
"""

PICK = """
WITH base AS MATERIALIZED (SELECT d.dlq_id FROM {dead_letters} AS d WHERE {condition} AND {span})
SELECT coalesce(array_agg(dlq_id::text), '{{}}') AS ids FROM (
    SELECT dlq_id FROM base
    UNION
    SELECT d.dlq_id FROM scout_ops.related_events AS k JOIN {dead_letters} AS d ON d.dlq_id = k.event_id
    WHERE k.run_id = %(run_id)s AND {condition} AND k.transaction_id IN (
        SELECT o.transaction_id FROM scout_ops.related_events AS o JOIN base ON base.dlq_id = o.event_id WHERE o.run_id = %(run_id)s)
) AS picked
"""


@dataclasses.dataclass(frozen=True)
class Pace:
    """How fast to redrive, and how many failures are too many."""

    canary_rows: int = 10
    rate_per_second: float = 500.0
    max_failures: int = 0
    max_replays: int = 3


@dataclasses.dataclass
class Tally:
    """What one batch came to; counted only once it is committed."""

    tried: int = 0
    effects: dict[str, t.Any] = dataclasses.field(default_factory=dict[str, t.Any])
    failures: list[dict[str, t.Any]] = dataclasses.field(default_factory=list[dict[str, t.Any]])
    conflicts: list[dict[str, str]] = dataclasses.field(default_factory=list[dict[str, str]])
    at: str = ""

    def add(self, **numbers: int) -> None:
        """Adds to effects."""
        for name, number in numbers.items():
            self.effects[name] = self.effects.get(name, 0) + number


class Ramp(Batches):
    """Batches that begin with a canary, double, keep to a rate, and end where too much fails."""

    def pace(self, pace: Pace, committed: Callable[[], int], give_up: Callable[[], None]) -> None:
        """To be called first: `committed` tells how many entries the last batch tried, `give_up` raises when it must."""
        self.limits = pace
        self.sizes.rows = self.sizes.floor = float(pace.canary_rows)
        # The entries that had their turn before an interruption are not on the path any more.
        self.cursor = None
        self.committed = committed
        self.give_up = give_up
        self.tried = 0
        self.told = False

    def _pause_where_asked(self) -> None:
        self.give_up()
        super()._pause_where_asked()
        ahead = self.tried / self.limits.rate_per_second - (time.monotonic() - self.began)
        if ahead > 0:
            line = f"redriven {self.rows:,} of {self.total:,} {self.noun}s, waiting: at most {self.limits.rate_per_second:g} per second"
            (self.progress.say_throttled if self.told else self.progress.say)(line)
            self.told = True
            self.progress.wait(ahead)

    def _account(self, span: Span, done: int, waiting: int, seconds: float) -> None:
        size = self.sizes.rows
        super()._account(span, done, waiting, seconds)
        tried = self.committed()
        self.tried += tried
        most = max(1, int(self.limits.rate_per_second))
        if not self.tried:
            self.sizes.rows = size
        elif waiting or seconds > self.options.target_seconds:
            self.sizes.rows = max(min(LEAST_ROWS, most, size * 2), size * 0.5)
        else:
            self.sizes.rows = min(most, size * 2, self.options.max_batch_rows)


class Redrive:
    """One redrive run: from its selection, frozen at the start, to every entry of it having had its turn."""

    def __init__(
        self,
        session: Session,
        run: Run,
        tables: Tables,
        selection: DeadLetterSelection,
        repairs: Repairs,
        pace: Pace,
        progress: Progress,
        *,
        pipeline: Actor,
    ) -> None:
        self.session = session
        self.run = run
        self.tables = tables
        self.selection = selection
        self.repairs = repairs
        self.pace = pace
        self.progress = progress
        self.condition = selection.to_try()
        self.values: dict[str, t.Any] = {**selection.values, "max_replays": pace.max_replays}
        self.related = RelatedEvents(session, run.run_id)
        self.batch = RedriveBatch(session, tables, run.run_id, pipeline)
        self.failures: list[dict[str, t.Any]] = []
        self.conflicts: list[dict[str, str]] = []
        self.same: dict[str, duplicates.Same] = {}
        self.tried = 0
        self.last = Tally()
        self.call_limit = session.settings.statement_timeout_seconds

    def go(self, options: BatchOptions, total: int) -> Ramp:
        """Tries all of it; what is committed stays when it is interrupted."""
        session = self.session
        with session.read():
            refuse_cascades(session)
            self.call_limit = expected.limit(None, self.call_limit, expected.call_seconds(session))
        with reading(session, "could not compare the dead letters with bronze"):
            path = redrive_letters.Path(session, self.selection, self.values)
            self.same = duplicates.find(session, self.condition, self.values)
        self._note_related()
        self.batch.since = self.related.since
        ramp = Ramp(
            session, self.run, path, options, self.progress,
            closed=closed(), total=total, verb="redriven", noun="dead letter",
        )  # fmt: skip
        ramp.pace(self.pace, self._committed, self._give_up)
        ramp.go(self._work)
        with session.write():
            self.related.forget()
        return ramp

    def _note_related(self) -> None:
        """Which events and entries share the transactions that come back."""
        values = {**self.values, **self.repairs.values}
        relevant = contract.compose(SALES, sale=SALE, condition=self.condition)
        self.progress.say_throttled("looking for events that share a transaction")
        self.related.scan(relevant, values, timeout_seconds=SCAN_SECONDS, shared=False)
        with self.session.write(statement_timeout_seconds=SCAN_SECONDS):
            query = contract.compose(RELATED, sale=SALE, condition=self.condition)
            self.session.execute(query, **values, run_id=self.run.run_id)

    def _committed(self) -> int:
        """Takes the last batch into account."""
        tally, self.last = self.last, Tally()
        named = tally.failures[: NAMED - len(self.failures)]
        self.failures += [{**failure, "error": without_values.message(failure["error"])} for failure in named]
        self.conflicts += tally.conflicts
        self.batch.ours.append(tally.at)
        self.tried += tally.tried
        return tally.tried

    @property
    def failed(self) -> int:
        """How many entries have failed again in this run, before the batch that is at work."""
        return int(self.run.effects.get("failed", 0))

    def _too_many(self, tally: Tally) -> bool:
        return self.failed + len(tally.failures) > self.pace.max_failures

    def _give_up(self) -> None:
        """Raises where more entries have failed again than was allowed."""
        if self.failed <= self.pace.max_failures:
            return
        effects = self.run.effects
        loaded, failed = effects.get("redriven", 0), self.failed
        with self.session.write():
            self.related.forget()
            # The next one begins with a canary again, and with what had failed.
            self.run.close()
        first = self.failures[0] if self.failures else None
        raise SystemicFailure(
            f"the redrive stopped: {count(failed, 'event')} failed again, max_failures is {self.pace.max_failures}; "
            f"{loaded + failed:,} tried, {loaded:,} loaded, {failed:,} back in the dead letter queue; the rest were not touched",
            on=self.session.where,
            said=f"event {first['event_id']}: {first['error']}" if first else "",
            next_step=(
                "fix the cause (or the payloads: repair), then run the same command again; "
                f"undo.yml -e scout_run_id={self.run.run_id} undoes what was loaded"
            ),
            result={**self.outcome()},
        )

    def outcome(self) -> Progressed:
        """The part of a result that says how far it came, whether it succeeded or not."""
        effects = self.run.effects
        return {
            "redriven": effects.get("redriven", 0),
            "already_there": effects.get("already_there", 0),
            "failures": self.failures,
            "conflicts": self.conflicts[:NAMED],
            "conflicting": len(self.conflicts),
        }

    def _work(self, span: Span, limit: Callable[[], None]) -> Done:  # noqa: ARG002
        """One batch. One call of the ETL may take longer than a batch should, however small that is."""
        session = self.session
        session.limit_statements(self.call_limit)
        query = contract.compose(PICK, condition=self.condition, span=span.where)
        ids = session.row(query, **self.values, **span.values, run_id=self.run.run_id)["ids"]
        where = sql.SQL("d.dlq_id = ANY(%(ids)s::uuid[])")
        letters = redrive_letters.read(session, where, {"ids": ids}, self.repairs, lock=True)
        tally = Tally(at=session.row("SELECT transaction_timestamp()::text AS at")["at"])
        found = duplicates.sort(session, letters, self.same)
        tally.conflicts = found.conflicts
        self._settle(_units(found.fresh), tally)
        there = found.there + self._follow(found.doubled, tally)
        self.batch.resolver.already_there(there)
        tally.add(already_there=len(there))
        self.last = tally
        days = tally.effects.pop("gold_days", set())
        return Done(tally.tried + len(there), {**tally.effects, "gold_days": sorted(days)})

    def _settle(self, units: list[Unit], tally: Tally) -> None:
        """Redrives all that the ETL loads, and finds what it refuses: by what is suspicious, then by halving."""
        stack, probed = [units] if units else [], False
        while stack and not self._too_many(tally):
            part = stack.pop()
            try:
                self._succeed(part, tally)
            except Refused as e:
                if len(part) == 1:
                    self._alone(part[0], e, tally)
                    continue
                found = self._suspected(part, e, probed=probed)
                probed = True
                rest = [unit for unit in part if unit.key not in found]
                if not found:
                    middle = len(part) // 2
                    stack += [part[middle:], part[:middle]]
                else:
                    stack += [[unit] for unit in reversed(part) if unit.key in found]
                    stack += [rest] if rest else []

    def _succeed(self, units: list[Unit], tally: Tally) -> None:
        made = self.batch.bring_back(units)
        letters = sum(len(unit.letters) for unit in units)
        tally.tried += letters
        tally.add(redriven=letters, requeued=made.requeued)
        moved = tally.effects.setdefault("moved", {})
        for name, number in made.moved.items():
            moved[name] = moved.get(name, 0) + number
        tally.effects.setdefault("gold_days", set()).update(made.days)

    def _alone(self, unit: Unit, refused: Refused, tally: Tally) -> None:
        """A transaction of which something is refused: without that, event by event, if anything is left of it."""
        while unit.letters and not self._too_many(tally):
            if len(unit.letters) == 1 and not self.batch.siblings_of([unit]):
                self._fail(unit.letters, refused, tally)
                return
            found = self.batch.culprit(unit)
            if found is None:
                raise refused.error
            event_id, refused = found
            letters = [letter for letter in unit.letters if letter.event_id == event_id]
            if letters:
                self._fail(letters, refused, tally)
            elif not self.batch.is_pending(unit, event_id):
                self._fail(
                    unit.letters,
                    refused,
                    tally,
                    f"event {event_id} of the same transaction can no longer be loaded: ",
                )
                return
            unit = unit.without(event_id)
            try:
                if unit.letters:
                    self._succeed([unit], tally)
                return
            except Refused as e:
                refused = e

    def _fail(self, letters: Sequence[Letter], refused: Refused, tally: Tally, prefix: str = "") -> None:
        """Keeps entries as dead letters, with the new error."""
        error = prefix + refused.said
        self.batch.resolver.failed(letters, error, refused)
        tally.tried += len(letters)
        tally.add(failed=len(letters))
        tally.failures += [
            {"dlq_id": letter.dlq_id, "event_id": letter.event_id, "error": error, "sqlstate": refused.sqlstate}
            for letter in letters
        ]

    def _follow(self, doubled: list[tuple[Letter, Letter]], tally: Tally) -> list[tuple[Letter, str]]:
        """Entries that are another entry of the batch once more share its fate: those whose event is there now."""
        back = self.batch.in_bronze([first.event_id for _, first in doubled])
        why = {failure["dlq_id"]: failure for failure in tally.failures}
        for letter, first in doubled:
            if first.event_id not in back and first.dlq_id in why:
                failure = why[first.dlq_id]
                self.batch.resolver.failed([letter], failure["error"], None)
                tally.tried += 1
                tally.add(failed=1)
                tally.failures.append({**failure, "dlq_id": letter.dlq_id, "event_id": letter.event_id})
        return [(letter, first.event_id) for letter, first in doubled if first.event_id in back]

    def _suspected(self, units: list[Unit], refused: Refused, *, probed: bool) -> set[str]:
        """The units that hold something suspicious; none when nothing points at anything."""
        letters = [letter for unit in units for letter in unit.letters if unit.loads]
        found = [] if probed else redrive_letters.suspicious(self.session, letters, len(letters))
        names = {suspect.event_id for suspect in found}
        if not names:
            said = refused.everything
            names = {
                letter.dlq_id
                for letter in letters
                if any(len(name) > 3 and name in said for name in (letter.transaction_id or "", letter.event_id))
            }
        keys = {unit.key for unit in units if any(letter.dlq_id in names for letter in unit.letters)}
        return keys if not probed or len(keys) < len(units) else set()


def _units(letters: Iterable[Letter]) -> list[Unit]:
    """By transaction, in the order of their first entries."""
    grouped: dict[str, list[Letter]] = {}
    for letter in letters:
        grouped.setdefault(letter.unit, []).append(letter)
    return [Unit(key, tuple(members)) for key, members in grouped.items()]


def refuse_unusable(pace: Pace) -> None:
    """Raises BadInput for a pace that cannot work."""
    if pace.canary_rows < 1 or pace.rate_per_second <= 0 or pace.max_failures < 0 or pace.max_replays < 1:
        raise BadInput(
            f"canary_rows {pace.canary_rows}, rate_per_second {pace.rate_per_second:g}, max_failures {pace.max_failures} and "
            f"max_replays {pace.max_replays} are not usable together",
            next_step="give canary_rows >= 1, rate_per_second > 0, max_failures >= 0 and max_replays >= 1",
        )
