# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Recovers a window: makes silver again of what is not as its events say, until every event of the window is accounted for."""

from __future__ import annotations

import dataclasses
import re
import time
import typing as t

from .batches import Batches, Done
from .closure import refuse_cascades
from .errors import BadInput, RecoveryError
from .moving import CLOSED, SCAN_SECONDS
from .paths import Keyset
from .pg import Jsonb, sql
from .progress import count, in_words
from .reconciliation import Reconciliation
from .remaking import Differs, Remaking, Unit
from .selection import Selection, Window, window_of
from .surveyed import FORGET
from .suspects import Refused, named

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

    from .batches import Options
    from .connection import Session
    from .images import Tables
    from .ledger import Ledger, Run
    from .moving import Job
    from .paths import Span
    from .poison import Tolerance
    from .progress import Progress
    from .surveyed import Survey, Surveyor

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
#: in any case; the others should take so many times that long, at a rate that is guessed until it is known.
SHARE_OF_FIRST: t.Final = 4.0
FIRST_ROWS: t.Final = 200
GUESSED_RATE: t.Final = 2000
MOST_ROWS: t.Final = 50_000
#: How often the window is looked at again for what came in meanwhile.
LOOKS: t.Final = 10
LAST: t.Final = re.compile(r"(?P<number>[0-9]{1,6}) ?(?P<unit>s|m|min|h|d)")
SECONDS: t.Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
CONDITION: t.Final = "o.run_id = %(run_id)s::uuid"

NOTED = "SELECT o.place, o.unit, o.events::text[] AS events FROM scout_ops.todo AS o WHERE {condition} AND {span} ORDER BY o.place"
DONE = "DELETE FROM scout_ops.todo WHERE run_id = %(run_id)s AND place = ANY(%(places)s)"

#: What could not be made again is not tried twice in a run.
GIVEN_UP = """
DELETE FROM scout_ops.todo
WHERE run_id = %(run_id)s AND (unit = ANY(%(units)s) OR (unit IS NULL AND events <@ %(events)s::uuid[]))
"""
LEFT = """
SELECT coalesce(unit, events[1]::text) AS name FROM scout_ops.todo WHERE run_id = %(run_id)s ORDER BY place LIMIT 1000
"""

REBUILT = """
SELECT run_id::text AS run_id FROM scout_ops.runs
WHERE action = 'window' AND status = 'succeeded' AND undone_by IS NULL AND parameters ->> 'mode' = 'all'
  AND parameters #> '{selection,window}' = %(window)s AND effects ->> 'state' = %(state)s
ORDER BY started_at DESC LIMIT 1
"""

SINCE = """
SELECT least(transaction_timestamp(), min(xact_start)) - interval '1 minute' AS since
FROM pg_catalog.pg_stat_activity WHERE datname = current_database() AND backend_type <> 'walsender'
"""


def ask(session: Session, params: Mapping[str, t.Any]) -> Selection:
    """The window that options describe, its end frozen now where none is given; refuses one that is not bounded."""
    now: datetime.datetime = session.row("SELECT clock_timestamp() AS now")["now"]
    if params["last"]:
        if params["window_start"] or params["window_end"]:
            raise BadInput(
                f"last {params['last']!r} and window_start or window_end are given",
                next_step="give one of them: last=1h, or window_start and window_end",
            )
        return Selection(Window(params["clock"], now - _length(session, params["last"]), now))
    window = window_of(session, params, clock=params["clock"])
    if window.start is None:
        raise BadInput(
            "nothing says which window is meant",
            next_step="give window_start and window_end, for example 2026-11-25T01:00:00+08:00; or last=1h",
        )
    return Selection(window if window.end is not None else dataclasses.replace(window, end=now))


def _length(session: Session, text: str) -> datetime.timedelta:
    found = LAST.fullmatch(text.strip().lower())
    if found is None or int(found["number"]) == 0:
        raise BadInput(
            f"last {text[:40]!r} is not a length of time", on=session.where, next_step="write it as 90s, 30m, 1h or 2d"
        )
    row = session.row(
        "SELECT make_interval(secs => %(seconds)s) AS length", seconds=int(found["number"]) * SECONDS[found["unit"]]
    )
    return row["length"]


class Todo(Keyset):
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

    def again(self, session: Session) -> t.Any:  # noqa: ARG002
        """From the beginning where something is to be made again."""
        return () if self.look_again() else None


class Strides(Batches):
    """Batches that are large beside what each of them costs in any case."""

    def _account(self, span: Span, done: int, waiting: int, seconds: float) -> None:
        first = self.batches == 0
        super()._account(span, done, waiting, seconds)
        if first and done:
            target = max(self.options.target_seconds, SHARE_OF_FIRST * seconds)
            self.options = dataclasses.replace(self.options, target_seconds=target)
            self.size = min(float(MOST_ROWS), max(self.size, (target - seconds) * GUESSED_RATE))


class Recovery:
    """One recovery: from its window, frozen at the start, to an account of every event of it."""

    def __init__(
        self,
        session: Session,
        run: Run,
        tables: Tables,
        surveyor: Surveyor,
        tolerance: Tolerance,
        progress: Progress,
        document: dict[str, t.Any],
    ) -> None:
        self.session = session
        self.run = run
        self.surveyor = surveyor
        self.tolerance = tolerance
        self.progress = progress
        self.document = document
        self.remaking = Remaking(session, tables, surveyor.model, run.run_id, surveyor.timezone)
        #: What the ETL makes otherwise than its events say, or refuses for the sake of an event that is not of the window.
        self.given_up: dict[str, str] = {}
        self.final: Survey | None = None
        #: Events that were as they should be at the start.
        self.sound = 0
        self.timeout_seconds = 120.0
        self.looks = 0
        self.batches: Batches | None = None

    def go(self, options: Options, first: Survey, *, batch_timeout_seconds: float) -> Batches:
        """Makes again all that has to be; what is committed stays when it is interrupted."""
        session = self.session
        self.timeout_seconds = batch_timeout_seconds
        with session.read():
            refuse_cascades(session)
        self._note(first)
        self.remaking.unjudged = first.row["unjudged"]
        self.sound = first.count("loaded")
        path = Todo(self.run.run_id, self._again)
        self.batches = batches = Strides(
            session, self.run, path, options, self.progress,
            closed=CLOSED, total=first.todo_events, verb="recovered",
        )  # fmt: skip
        try:
            batches.go(self._work)
        except RecoveryError as e:
            e.result.setdefault("changed", bool(self.run.effects.get("loaded") or self.run.effects.get("moved")))
            raise
        with session.write():
            session.execute(FORGET, run_id=self.run.run_id)
        return batches

    def _note(self, first: Survey) -> None:
        """Writes down what is to be made again, unless an interrupted run has left the rest of that."""
        session = self.session
        with session.write(statement_timeout_seconds=SCAN_SECONDS, fence_last=True):
            self.remaking.since = session.row(SINCE)["since"]
            if "before" in self.run.effects:
                return
            self.surveyor.note(self.run.run_id)
            # The first event that it sees is known by this snapshot, whenever it is asked again.
            before = {"events": first.events, "hours": first.row["hours"], "snapshot": first.snapshot}
            self.run.record(before=before)

    def _again(self) -> bool:
        """Judges the window once more, and notes what is to be made again; False when nothing is that was not given up.

        Where events keep coming in, the last look is at those that had been there at the start: the others are left to the
        pipeline, or to the next recovery.
        """
        session, surveyor = self.session, self.surveyor
        everything, selection = surveyor.everything, surveyor.selection
        self.looks += 1
        last = self.looks >= LOOKS
        surveyor.everything = False
        if last:
            surveyor.selection = dataclasses.replace(selection, snapshot=self.run.effects["before"]["snapshot"])
        try:
            with session.read(statement_timeout_seconds=SCAN_SECONDS):
                self.final = surveyor.look()
            if self.final.clean:
                return False
            with session.write(statement_timeout_seconds=SCAN_SECONDS, fence_last=True):
                surveyor.note(self.run.run_id)
                names = list(self.given_up)
                events = [name for name in names if _is_id(name)]
                session.execute(GIVEN_UP, run_id=self.run.run_id, units=names, events=events)
                left = [row["name"] for row in session.rows(LEFT, run_id=self.run.run_id)]
            if not left and not self.given_up:
                # Somebody else has loaded what was missing a moment ago.
                if not last:
                    surveyor.everything, surveyor.selection = everything, selection
                    return self._again()
                with session.read(statement_timeout_seconds=SCAN_SECONDS):
                    self.final = surveyor.look()
            if last:
                self.given_up |= dict.fromkeys(left, f"made again {LOOKS} times, it was never what its events say")
            return bool(left) and not last
        finally:
            surveyor.everything, surveyor.selection = everything, selection

    def _work(self, span: Span, limit: Callable[[], None]) -> Done:  # noqa: ARG002
        """One batch. One call of the ETL may take longer than a batch should, however small that is."""
        session = self.session
        target = self.batches.options.target_seconds if self.batches else 0.0
        session.limit_statements(max(self.timeout_seconds, target))
        query = sql.SQL(NOTED).format(condition=sql.SQL(CONDITION), span=span.where)
        rows = session.rows(query, **span.values, run_id=self.run.run_id)
        if not rows:
            return Done(0)
        noted = [Unit(row["place"], row["unit"], tuple(row["events"])) for row in rows]
        effects: dict[str, t.Any] = {"moved": {}, "loaded": 0, "isolated": [], "gold_days": []}
        self._settle(self.remaking.with_members(noted), effects)
        session.execute(DONE, run_id=self.run.run_id, places=[unit.place for unit in noted])
        at = session.row("SELECT transaction_timestamp()::text AS at")["at"]
        self.remaking.ours.append(at)
        return Done(sum(max(1, len(unit.events)) for unit in noted), effects)

    def _settle(self, units: list[Unit], effects: dict[str, t.Any]) -> None:
        """Makes again all that the ETL loads, and finds what it refuses: by what is suspicious, then by halving."""
        alone = [unit for unit in units if unit.alone and unit.transaction is not None]
        together = [unit for unit in units if unit not in alone] if alone else units
        stack = [*([unit] for unit in reversed(alone)), *([together] if together else [])]
        while stack:
            part = [unit for unit in stack.pop() if unit.name not in self.given_up]
            if not part:
                continue
            try:
                self._succeed(part, effects)
            except Differs as e:
                for name, fields in e.units.items():
                    self._give_up(name, f"the ETL makes something else of it than its events say: {', '.join(fields)}")
                stack.append(part)
            except Refused as e:
                if len(part) == 1:
                    self._alone(part[0], e, effects)
                    continue
                found = self._suspected(part, e)
                rest = [unit for unit in part if unit.name not in found]
                if found and rest:
                    stack += [rest, *([unit] for unit in reversed(part) if unit.name in found)]
                else:
                    middle = len(part) // 2
                    stack += [part[middle:], part[:middle]]

    def _succeed(self, units: Sequence[Unit], effects: dict[str, t.Any]) -> None:
        made = self.remaking.remake(units)
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
            found = self.remaking.culprit(unit)
            if found is None:
                raise refused.error
            event_id, refused = found
            if not self._is_inside(event_id):
                why = f"event {event_id}, which is not of the window, cannot be loaded any more: {refused.said}"
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
                self._give_up(
                    unit.name,
                    f"the ETL makes something else of it than its events say: {', '.join(e.units[unit.name])}",
                )
                return
            else:
                return

    def _is_inside(self, event_id: str) -> bool:
        selection = self.surveyor.selection
        query = sql.SQL(
            "SELECT EXISTS (SELECT FROM scout.bronze_events AS b WHERE b.event_id = %(id)s::uuid AND {}) AS inside"
        )
        return self.session.row(query.format(selection.condition()), id=event_id, **selection.values)["inside"]

    def _set_aside(self, event_id: str, refused: Refused, effects: dict[str, t.Any]) -> None:
        so_far = self.run.effects
        isolated = len(so_far.get("isolated", [])) + len(effects["isolated"])
        loaded = self.sound + so_far.get("loaded", 0) + effects["loaded"]
        self.tolerance.refuse(
            "the recovery", event_id, refused, isolated=isolated, loaded=loaded, where=self.session.where
        )
        self.remaking.set_aside(event_id, refused, self.document)
        effects["isolated"].append(event_id)
        effects["moved"]["events"] = effects["moved"].get("events", 0) + 1
        self.progress.say(f"poison event {event_id} moved to the dead letter queue: {refused.said}")

    def _give_up(self, name: str, why: str) -> None:
        self.given_up[name] = why
        self.progress.say(f"{name} is left as it was: {why}")

    def outcome(self, batches: Batches, first: Survey) -> dict[str, t.Any]:
        """The result of a recovery that came to its end; raises, with the same, where an event is not accounted for."""
        session, run = self.session, self.run
        self.surveyor.everything = False
        with session.read(statement_timeout_seconds=SCAN_SECONDS):
            final = self.final or self.surveyor.look()
            account = Reconciliation.of(session, run, self.surveyor, final, self.given_up)
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
        result: dict[str, t.Any] = {
            "changed": batches.rows > 0,
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
            "summary": f"{sentence('recovered', first.as_plan(), figures['seconds'])}; {account.sentence()}",
            "diff": {"before": first.counts, "after": final.counts},
        }
        account.refuse(session.where, self.surveyor.selection.window, result)
        return result


def healthy(survey: Survey) -> str:
    """What is said where nothing has to be done."""
    return (
        f"all {count(survey.events, 'event')} of the window are as they should be"
        if survey.events
        else "no event is in the window"
    )


def planned(job: Job, survey: Survey, selection: Selection) -> dict[str, t.Any]:
    """The result of a check that finds something to do."""
    plan = survey.as_plan()
    said = sentence("would recover", plan)
    if job.params["look"] and not job.plan:
        return job.looked(survey.todo_events, "would recover") | {"summary": said, "gold_days": survey.gold_days}
    made = job.planned(selection.as_dict(), survey, verb="would recover")
    summary = f"{said}, in about {in_words(survey.estimated_seconds)}"
    name = made["plan_file"]
    return made | {
        "plan": {**made["plan"], **plan},
        "summary": summary + (f"; the plan is in {name}" if name else ""),
        "diff": {"before": survey.counts, "after": dict.fromkeys(survey.counts, 0)},
    }


def rebuilt_by(ledger: Ledger, selection: Selection, survey: Survey) -> str | None:
    """The run that has made all of this window again and after which neither its events nor the ETL have changed."""
    if not ledger.present or not survey.sound:
        return None
    window = Jsonb(selection.window.as_dict())
    found = ledger.session.rows(REBUILT, window=window, state=survey.state)
    return found[0]["run_id"] if found else None


def _is_id(name: str) -> bool:
    return bool(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", name))


def sentence(verb: str, plan: Mapping[str, t.Any], seconds: float | None = None) -> str:
    """One line for a person about what is, or was, made again, and why."""
    parts = [
        f"{plan[name]:,} {words}"
        for name, words in (
            ("pending", "pending"),
            ("missing", "missing"),
            ("wrong", "wrong"),
            ("poison_suspects", "that look like poison"),
        )
        if plan[name]
    ]
    text = f"{verb} the window of {count(plan['events'], 'event')}"
    text += f": {', '.join(parts)}" if parts else ""
    text += f"; {count(plan['extra'], 'extra transaction')}" if plan["extra"] else ""
    return text if seconds is None else f"{text} ({in_words(seconds)})"
