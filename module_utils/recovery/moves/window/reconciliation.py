# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The account of a recovered window: every event that belongs to it is loaded, quarantined or not transactional, or
is named."""

from __future__ import annotations

import dataclasses
import decimal
import typing as t

from ...core import advice
from ...core.errors import NotConverged
from ...core.text import count
from ...postgres import without_values
from ...scout import contract
from ...scout.dead_letters import FORMAT
from ..engine.selection import seen_by_snapshot, snapshot_values

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from ...ledger.runs import Run
    from ...postgres.session import Session
    from ..engine.selection import Selection
    from .comparison import Comparer, Comparison

#: How many events there are, and of those that had been there at the start, how many still are.
INSIDE = "SELECT count(*) AS events, count(*) FILTER (WHERE {seen}) AS still_there FROM {bronze} AS b WHERE {condition}"

QUARANTINED = """
SELECT d.error_details #>> '{{event,event_id}}' AS event_id, d.dlq_id::text AS dlq_id, d.error_message AS error,
       d.error_details ->> 'sqlstate' AS sqlstate
FROM {dead_letters} AS d
WHERE d.failed_at >= %(since)s AND d.error_details ->> 'run_id' = %(run_id)s ORDER BY d.failed_at, d.dlq_id
"""
#: Events of the window that other runs have set aside since this one began; an image has all columns but the payload.
SET_ASIDE_BY_OTHERS = """
SELECT count(*) AS events
FROM {dead_letters} AS d
CROSS JOIN LATERAL jsonb_populate_record(NULL::{bronze}, d.error_details -> 'event') AS kept
CROSS JOIN LATERAL jsonb_populate_record(kept, jsonb_build_object('event_data', d.original_payload)) AS b
WHERE d.failed_at >= %(since)s AND d.resolved_at IS NULL AND d.error_details ->> 'format' = %(format)s
  AND d.error_details ? 'event' AND d.error_details ->> 'run_id' IS DISTINCT FROM %(run_id)s
  AND b.ingested_at < %(since)s AND {condition}
  AND NOT EXISTS (SELECT FROM {bronze} AS o WHERE o.event_id = b.event_id)
"""

STARTED = "SELECT started_at FROM scout_ops.runs WHERE run_id = %(run_id)s"

#: How many hours a person is shown; a result has all.
SHOWN_HOURS: t.Final = 24
#: An hour in which there was no transaction.
NONE: t.Final = {"transactions": 0, "total": "0", "net": "0"}
UNEXPLAINED: t.Final = ("pending", "missing", "wrong", "suspect")


@dataclasses.dataclass(frozen=True)
class Hour:
    """One hour of the window's clock: transactions whose first event lies in it, and their amounts."""

    hour: str
    before: Mapping[str, t.Any]
    after: Mapping[str, t.Any]

    def as_dict(self) -> dict[str, t.Any]:
        """For results; amounts are decimals as text."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True)
class Reconciliation:
    """Expected = loaded + quarantined + not transactional + unexplained; all in events but `extra`, in transactions.

    Quarantined are those this run has quarantined, or another one since it began, and those whose silver a cleanup has,
    which kept the event.
    """

    expected: int
    arrived: int
    loaded: int
    quarantined: int
    not_transactional: int
    unexplained: int
    extra: int
    #: Events that were there at the start and are neither there nor set aside.
    vanished: int
    unexplained_events: tuple[dict[str, t.Any], ...]
    poison: tuple[dict[str, t.Any], ...]
    hours: tuple[Hour, ...]

    @classmethod
    def of(
        cls, session: Session, run: Run | None, comparer: Comparer, final: Comparison, given_up: Mapping[str, str]
    ) -> Reconciliation:
        """From what the window is now and what the run noted at its start; inside the caller's transaction, which is that of
        the comparison where there is no run."""
        before: dict[str, t.Any] = (run.effects.get("before") if run else None) or {
            "events": final.events,
            "hours": final.row["hours"],
            "snapshot": final.snapshot,
        }
        poison: list[dict[str, t.Any]] = []
        others = 0
        inside = still_there = final.events
        if run:
            since = session.row(STARTED, run_id=run.run_id)["started_at"]
            # The events this run has set aside.
            found = session.rows(contract.compose(QUARANTINED), run_id=run.run_id, since=since)
            poison = [{**row, "error": without_values.message(row["error"] or "")} for row in found]
            others = _quarantined_by_others(session, run, comparer.selection, since)
            inside, still_there = _inside(session, comparer.selection, before["snapshot"])
        quarantined = len(poison) + others
        # A look at those of the start alone leaves out what came since, and was set aside since.
        aside = quarantined if final.events == inside else min(quarantined, max(0, before["events"] - still_there))
        vanished = max(0, before["events"] - still_there - quarantined)
        unexplained = sum(final.count(name) for name in UNEXPLAINED)
        samples: list[dict[str, t.Any]] = [*final.row["samples"], *final.row["extras"]]
        named = tuple(
            sample
            | {
                "why": given_up.get(sample["transaction_id"] or "")
                or given_up.get(sample.get("event_id", ""))
                or _why(sample)
            }
            for sample in samples
        )
        return cls(
            expected=final.events + aside + vanished,
            arrived=max(0, inside - still_there),
            loaded=final.count("loaded"),
            quarantined=aside + final.count("cleaned"),
            not_transactional=final.count("not_transactional"),
            unexplained=unexplained + vanished,
            extra=final.row["extra"],
            vanished=vanished,
            unexplained_events=named,
            poison=tuple(poison),
            hours=_hours(before["hours"], final.row["hours"]),
        )

    @property
    def balanced(self) -> bool:
        """Whether everything is accounted for."""
        return (
            self.unexplained == 0
            and self.extra == 0
            and self.expected == self.loaded + self.quarantined + self.not_transactional
        )

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        shown = dataclasses.asdict(self)
        shown.pop("poison")
        return {
            **shown,
            "balanced": self.balanced,
            "unexplained_events": list(self.unexplained_events),
            "hours": [hour.as_dict() for hour in self.hours],
            "table": self.table(),
        }

    def sentence(self) -> str:
        """One line for a person."""
        text = (
            f"{self.expected:,} expected = {self.loaded:,} loaded + {self.quarantined:,} quarantined "
            f"+ {self.not_transactional:,} not transactional"
        )
        text += f" + {self.unexplained:,} unexplained" if self.unexplained else ""
        return text + (f"; {count(self.extra, 'extra transaction')}" if self.extra else "")

    def table(self) -> list[str]:
        """The account, and hour by hour what silver had and has, in lines for a terminal."""
        made = [
            f"  {name:<20}{number:>12,}"
            for name, number in (
                ("events expected", self.expected),
                ("loaded", self.loaded),
                ("quarantined", self.quarantined),
                ("not transactional", self.not_transactional),
                ("unexplained", self.unexplained),
            )
        ]
        if self.hours:
            made.append(f"  {'hour (UTC)':<18}{'transactions':>15}{'total':>26}{'net':>26}")
        for hour in self.hours[:SHOWN_HOURS]:
            cells = [_change(hour.before.get(name), hour.after.get(name)) for name in ("transactions", "total", "net")]
            made.append(f"  {hour.hour:<18}{cells[0]:>15}{cells[1]:>26}{cells[2]:>26}")
        if len(self.hours) > SHOWN_HOURS:
            made.append(f"  and {len(self.hours) - SHOWN_HOURS} more hours, which the result has")
        return made

    def refuse(self, where: str, selection: Selection, result: dict[str, t.Any]) -> None:
        """Raises NotConverged where something is not accounted for, with the events and why."""
        if self.balanced:
            return
        what = "; ".join(_named(event) for event in self.unexplained_events[:5])
        what += " …" if len(self.unexplained_events) > 5 else ""
        window, chosen = selection.window, selection.source_files
        files = f" -e scout_source_files={advice.value(','.join(chosen))}" if chosen else ""
        start = f" -e scout_window_start={window.start.isoformat()}" if window.start else ""
        end = f" -e scout_window_end={window.end.isoformat()}" if window.end else ""
        gone = f"{count(self.vanished, 'event')} disappeared from bronze during the run" if self.vanished else ""
        raise NotConverged(
            f"the window was not fully recovered: {self.sentence()}",
            on=where,
            said="; ".join(part for part in (what, gone) if part),
            next_step=(
                "look at these events (reconciliation.unexplained_events of the result has more); fix the cause, then run it "
                f"again for the same window: window_recovery.yml -e scout_window_clock={advice.value(window.clock)}{start}{end}{files}"
            ),
            result=result,
        )


def _inside(session: Session, selection: Selection, snapshot: str) -> tuple[int, int]:
    """How many events the selection has, and how many of them the snapshot had seen."""
    query = contract.compose(INSIDE, condition=selection.condition("b"), seen=seen_by_snapshot("b"))
    row = session.row(query, **{**selection.values, **snapshot_values(snapshot)})
    return row["events"], row["still_there"]


def _quarantined_by_others(session: Session, run: Run, selection: Selection, since: datetime.datetime) -> int:
    """How many events of the window other runs have quarantined since this one began."""
    # Whether a row that is gone had been seen by a snapshot cannot be told; by its clock it was there.
    meant = dataclasses.replace(selection, snapshot=None)
    query = contract.compose(SET_ASIDE_BY_OTHERS, condition=meant.condition())
    return session.row(query, **meant.values, run_id=run.run_id, since=since, format=FORMAT)["events"]


def _hours(before: Mapping[str, t.Any], after: Mapping[str, t.Any]) -> tuple[Hour, ...]:
    return tuple(Hour(hour, before.get(hour, NONE), after.get(hour, NONE)) for hour in sorted({*before, *after}))


def _change(before: t.Any, after: t.Any) -> str:
    """`12 → 15`, or one number where it is the same."""
    old, new = (_shown(value) for value in (before, after))
    return new if old == new else f"{old} → {new}"


def _shown(value: t.Any) -> str:
    if value is None:
        return "0"
    number = decimal.Decimal(str(value))
    return f"{number:,}" if number.is_finite() else str(value)


def _why(sample: Mapping[str, t.Any]) -> str:
    words = {
        "pending": "the ETL has not loaded it",
        "missing": "it is marked as loaded, but silver has nothing from it",
        "wrong": "silver differs from it",
        "suspect": "it looks malformed",
    }
    text = words.get(sample.get("class", ""), "no event has this transaction")
    fields: Sequence[str] = sample.get("differing") or []
    return f"{text}: {', '.join(fields)}" if fields else text


def _named(event: Mapping[str, t.Any]) -> str:
    what = f"event {event['event_id']}" if event.get("event_id") else f"transaction {event['transaction_id']}"
    return f"{what}: {event['why']}"
