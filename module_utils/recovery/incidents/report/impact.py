# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an incident affected: rows, amounts, window, layers, pauses, and how far behind the pipeline was seen; pure."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
import typing as t

from ...core.text import count, in_words
from ..figures import valued
from . import wording

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ...postgres.session import Row
    from ..timeline import Record
    from .facts import Facts

Pause = tuple[datetime.datetime, "datetime.datetime | None", str]

#: What a report follows, in the order in which it is shown.
FOLLOWED: t.Final = (
    ("bronze_staleness", "Bronze staleness"),
    ("silver_staleness", "Silver staleness"),
    ("gold_staleness", "Gold staleness"),
    ("backlog_events", "Backlog, events"),
)
LAYERS: t.Final = ("Bronze", "Silver", "Gold")
#: Runs that go back to a release.
GOES_BACK: t.Final = {"rollback": "Schema", "deploy": "Application"}


@dataclasses.dataclass(frozen=True)
class Layer:
    """One layer of the pipeline, and what shows that it was affected; nothing where it was not."""

    name: str
    signs: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Impact:
    """All of it, of the runs that are in force."""

    events: int = 0
    transactions: int = 0
    lines: int = 0
    #: Of the rows set aside that have one; None where there is none, or it could not be read.
    amount: decimal.Decimal | None = None
    currency: str = ""
    no_amount: int = 0
    #: Dead letters that were not brought back.
    waiting: int = 0
    made_again: int = 0
    amount_before: decimal.Decimal | None = None
    amount_after: decimal.Decimal | None = None
    loaded: int = 0
    window: tuple[datetime.datetime, datetime.datetime] | None = None
    pauses: tuple[Pause, ...] = ()
    paused_seconds: float = 0.0
    still_paused: bool = False
    layers: tuple[Layer, ...] = ()
    #: How far each layer was behind at worst, in words, by name.
    behind: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])
    unknown: Mapping[str, str] = dataclasses.field(default_factory=dict[str, str])

    def as_dict(self) -> Row:
        """For results; amounts as text, exactly."""
        return {
            **{name: getattr(self, name) for name in ("events", "transactions", "lines", "no_amount", "waiting")},
            **{name: getattr(self, name) for name in ("made_again", "loaded", "still_paused")},
            "amount": None if self.amount is None else str(self.amount),
            "currency": self.currency or None,
            "amount_before": None if self.amount_before is None else str(self.amount_before),
            "amount_after": None if self.amount_after is None else str(self.amount_after),
            "paused_seconds": round(self.paused_seconds, 3),
            "layers": [{"name": each.name, "signs": list(each.signs)} for each in self.layers],
            "affected": wording.joined([each.name for each in self.layers if each.signs]) or "none",
            "unknown": dict(self.unknown),
            "data": self.data_words,
            "sentence": self.sentence,
        }

    @property
    def felt(self) -> str:
        """What those who depend on the pipeline will have noticed, where nobody said it better."""
        late = wording.joined([f"{name} by up to {age}" for name, age in self.behind.items()])
        parts = [f"data were behind: {late}"] if late else []
        parts += [f"ingestion was paused for {in_words(self.paused_seconds)}"] if self.pauses else []
        text = "; ".join(parts) or "nothing that was seen: no layer was behind, and ingestion was never paused"
        return f"{text[0].upper()}{text[1:]}"

    @property
    def data_words(self) -> str:
        """What was done to data, in words."""
        parts: list[str] = []
        if self.events or self.transactions or self.lines:
            amount = f", {wording.money(self.amount, self.currency)} in all" if self.amount is not None else ""
            parts.append(f"{wording.joined(self.counted)} quarantined{amount}")
        if self.made_again:
            change = self.amount_change
            parts.append(f"{count(self.made_again, 'transaction')} rebuilt from events{change}")
        if self.loaded:
            parts.append(f"{count(self.loaded, 'event')} loaded late")
        return "; ".join(parts) or "no rows were touched"

    @property
    def amount_change(self) -> str:
        """`, 1,200.00 before and 1,500.00 now`."""
        if self.amount_after is None:
            return ""
        before = (
            f"{wording.money(self.amount_before, self.currency)} before and " if self.amount_before is not None else ""
        )
        return f", {before}{wording.money(self.amount_after, self.currency)} now"

    @property
    def sentence(self) -> str:
        """The same for the head of the report, with what is left to decide."""
        text = f"{self.data_words[0].upper()}{self.data_words[1:]}."
        return f"{text} {count(self.waiting, 'unresolved dead letter')}." if self.waiting else text

    @property
    def counted(self) -> list[str]:
        """`3 events`, `2 transactions`, `7 line items`: what was quarantined, where there is any."""
        counted = (("event", self.events), ("transaction", self.transactions), ("line item", self.lines))
        return [count(number, noun) for noun, number in counted if number]

    @property
    def kept_words(self) -> str:
        """All but the first of that, and what became of it."""
        if not self.counted:
            return ""
        waiting = f"{self.waiting:,} unresolved dead letters" if self.waiting else "all redriven"
        return "; ".join(part for part in (wording.joined(self.counted[1:]), waiting) if part)

    @property
    def amount_words(self) -> str:
        """The amount, or why there is none."""
        if "dead letters" in self.unknown:
            return "unknown"
        return "none" if self.amount is None else wording.money(self.amount, self.currency)

    @property
    def amount_note(self) -> str:
        """What it leaves out."""
        if "dead letters" in self.unknown:
            return self.unknown["dead letters"]
        return (
            f"without {count(self.no_amount, 'row')} that {'has' if self.no_amount == 1 else 'have'} none"
            if self.no_amount
            else ""
        )

    @property
    def pause_words(self) -> str:
        """How often it was, and whether it still is."""
        if not self.pauses:
            return ""
        return "and still is" if self.still_paused else count(len(self.pauses), "pause")


def assess(record: Record, facts: Facts, until: datetime.datetime, currency: str = "") -> Impact:
    """What it came to; an open pause counts until then, and amounts are of that currency."""
    in_force = [run for run in record.runs if not run["undone_by"]]
    kept = list(facts.quarantined.values())
    numbers = _from_letters(kept) if "dead letters" not in facts.unknown else _from_effects(in_force)
    again = [facts.made_again[run["run_id"]] for run in in_force if _remade(run, facts)]
    pauses = tuple((row["paused_at"], row["resumed_at"], row["actor"]) for row in facts.pauses)
    ends = [row["last_at"] for row in kept if row["last_at"]]
    window = (min(row["first_at"] for row in kept if row["first_at"]), max(ends)) if ends else None
    made = Impact(
        **numbers,
        currency=currency,
        made_again=sum(row["added"] for row in again),
        amount_before=_sum(row["amount_before"] for row in again),
        amount_after=_sum(row["amount_after"] for row in again),
        loaded=sum(_effect(run, "loaded") for run in in_force if run["action"] == "drain"),
        window=window,
        pauses=pauses,
        paused_seconds=sum(((end or until) - start).total_seconds() for start, end, _ in pauses),
        still_paused=any(end is None for _, end, _ in pauses),
        unknown=facts.unknown,
    )
    made = dataclasses.replace(made, behind=_behind(points(record, facts)))
    return dataclasses.replace(made, layers=_layers(made, in_force))


def _remade(run: Row, facts: Facts) -> bool:
    return run["action"] == "window_recovery" and run["run_id"] in facts.made_again


def _from_letters(kept: Sequence[Row]) -> dict[str, t.Any]:
    names = ("events", "transactions", "lines", "no_amount", "waiting")
    return {name: int(sum(row[name] for row in kept)) for name in names} | {
        "amount": _sum(row["amount"] for row in kept)
    }


def _from_effects(in_force: Sequence[Row]) -> dict[str, t.Any]:
    """Where the dead letters could not be read: what the runs themselves counted."""
    moving = [run for run in in_force if run["action"] in ("quarantine", "cleanup", "drain")]
    moved: list[Mapping[str, int]] = [run["effects"].get("moved") or {} for run in moving]
    made = {name: sum(each.get(name, 0) for each in moved) for name in ("events", "transactions", "lines")}
    made["events"] += sum(len(run["effects"].get("poison") or []) for run in moving)
    return made


def _sum(amounts: t.Iterable[str | None]) -> decimal.Decimal | None:
    known = [decimal.Decimal(amount) for amount in amounts if amount is not None]
    return sum(known, decimal.Decimal()) if known else None


def _effect(run: Row, name: str) -> int:
    value = run["effects"].get(name)
    return value if isinstance(value, int) else 0


def points(record: Record, facts: Facts) -> list[Row]:
    """Every look at the pipeline of which figures are on record, in order."""
    seen = [
        {name: sample[name] for name in ("at", "verdict", "state", "figures", "statuses")} for sample in facts.samples
    ]
    for run in record.runs:
        figures = run["effects"].get("figures")
        if figures:
            about = {name: run["effects"].get(name) for name in ("verdict", "state")}
            statuses: Row = run["effects"].get("statuses") or {}
            seen.append({"at": run["started_at"], **about, "figures": figures, "statuses": statuses})
    return sorted(seen, key=lambda point: point["at"])


def _behind(seen: Sequence[Row]) -> dict[str, str]:
    """Layers that were seen to be later than they should be."""
    made: dict[str, str] = {}
    for name in LAYERS:
        figure = f"{name.lower()}_staleness"
        late: list[float] = [
            point["figures"][figure]
            for point in seen
            if point["statuses"].get(figure) in ("fail", "warn") and point["figures"].get(figure) is not None
        ]
        if late:
            made[name.lower()] = valued(figure, max(late))
    return made


def _layers(impact: Impact, in_force: Sequence[Row]) -> tuple[Layer, ...]:
    """Each layer with what was done to it, or how far it fell behind."""
    signs: dict[str, list[str]] = {name: [] for name in LAYERS}
    for name, age in impact.behind.items():
        signs[name.capitalize()].append(f"up to {age} behind")
    if impact.events:
        signs["Bronze"].append(f"{count(impact.events, 'event')} quarantined")
    for number, noun, what in (
        (impact.loaded, "event", "loaded late"),
        (impact.transactions, "transaction", "quarantined"),
        (impact.lines, "line item", "quarantined"),
        (impact.made_again, "transaction", "rebuilt"),
    ):
        if number:
            signs["Silver"].append(f"{count(number, noun)} {what}")
    views: set[str] = set()
    for run in in_force:
        refreshed: list[Row] = run["effects"].get("refreshed") or []
        views |= {str(view["name"]) for view in refreshed if not view.get("error")}
    if views:
        signs["Gold"].append(f"{count(len(views), 'view')} refreshed")
    made = [Layer(name, tuple(signs[name])) for name in LAYERS]
    for action, name in GOES_BACK.items():
        if any(run["action"] == action and run["status"] == "succeeded" for run in in_force):
            made.append(Layer(name, ("rolled back",)))
    return tuple(made)


def looks(record: Record, facts: Facts, stamp: Callable[[datetime.datetime], Row]) -> Row:
    """What was seen of the pipeline over the incident, figure by figure."""
    seen = points(record, facts)
    from_runs = len(seen) - len(facts.samples)
    rows: list[Row] = []
    for name, label in FOLLOWED:
        known = [
            (value, point["at"])
            for point in seen
            if (value := point["figures"].get(name)) is not None and math.isfinite(value)
        ]
        if known:
            most, at = max(known, key=lambda each: each[0])
            shown = {"first": known[0][0], "most": most, "last": known[-1][0]}
            rows.append({"name": label, "most_at": stamp(at), **{key: valued(name, v) for key, v in shown.items()}})
    return {
        "count": facts.sample_count + from_runs,
        "watched": facts.sample_count,
        "start": stamp(seen[0]["at"]) if seen else None,
        "end": stamp(seen[-1]["at"]) if seen else None,
        "lasted": in_words((seen[-1]["at"] - seen[0]["at"]).total_seconds()) if seen else None,
        "last_verdict": next((p["verdict"] for p in reversed(seen) if p["verdict"]), None),
        "recovered": bool(seen) and seen[-1]["verdict"] in ("healthy", "degraded", "pass"),
        "figures": rows,
    }
