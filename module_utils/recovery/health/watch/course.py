# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the samples of a watch come to: when it is over, its verdict, the trends, and the line that shows each; pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ...core import times
from ...core.errors import BadInput
from ...core.text import count, in_words

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping

FORMAT: t.Final = "scout-recovery-sample/1"
GOOD: t.Final = ("healthy", "degraded")
VERDICTS: t.Final = ("healthy", "degraded", "failing", "inconclusive", "paused")
LONGEST_SECONDS: t.Final = 7 * 86400.0

#: What a person follows: the figure, its name on a line, and how much of it is no change.
SHOWN: t.Final = (
    ("bronze_staleness", "bronze", 0.25),
    ("silver_staleness", "silver", 0.25),
    ("gold_staleness", "gold", 0.25),
    ("backlog_events", "backlog", 1.0),
    ("loaded_per_minute", "loaded", 1.0),
)
#: Besides these, what a report draws of a single look.
DRAWN: t.Final = (*(name for name, _, _ in SHOWN), "backlog_age")
#: A trend compares the latest value with the mean of so many before it, and takes this share of it for no change.
TREND_OVER: t.Final = 3
TREND_SHARE: t.Final = 0.05
ARROWS: t.Final = {"rising": "↑", "falling": "↓", "steady": "→"}

CELLS: t.Final = 10
LINE_WIDTH: t.Final = 100


@dataclasses.dataclass(frozen=True)
class Wanted:
    """How long to watch, how often to look, and how many equal samples in a row count."""

    duration_seconds: float
    interval_seconds: float
    consecutive: int

    @property
    def looks(self) -> int:
        """How many samples that is, with one at the beginning and one at the end."""
        return math.ceil(self.duration_seconds / self.interval_seconds - 1e-9) + 1

    def due(self, place: int) -> float:
        """When that look is due, in seconds from the beginning."""
        return min(place * self.interval_seconds, self.duration_seconds)

    def place(self, elapsed_seconds: float) -> int:
        """The look whose turn it is at that moment; earlier ones that were missed are left out, the last one never is."""
        if elapsed_seconds >= self.duration_seconds:
            return self.looks - 1
        return math.floor(elapsed_seconds / self.interval_seconds + 1e-9)


@dataclasses.dataclass(frozen=True)
class Sample:
    """One look at the pipeline; `reason` says what is not as it should be, or why nothing could be seen."""

    number: int
    at: datetime.datetime
    elapsed_seconds: float
    verdict: str
    reason: str = ""
    state: str = "unknown"
    figures: dict[str, float | None] = dataclasses.field(default_factory=dict[str, "float | None"])
    statuses: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    took_seconds: float = 0.0

    def as_dict(self) -> dict[str, t.Any]:
        """For results, files and the ledger."""
        return {
            **dataclasses.asdict(self),
            "at": self.at.isoformat(timespec="milliseconds"),
            "elapsed_seconds": round(self.elapsed_seconds, 3),
            "took_seconds": round(self.took_seconds, 3),
            "figures": {name: None if v is None else round(v, 3) for name, v in self.figures.items()},
        }


@dataclasses.dataclass
class Course:
    """The samples so far.

    A sample that could not be taken neither adds to a row of failing ones nor ends it.
    """

    wanted: Wanted
    samples: list[Sample] = dataclasses.field(default_factory=list[Sample])
    failing: int = 0
    paused: int = 0
    unknown: int = 0
    #: The longest row of samples that could not be taken, and why.
    blind: int = 0
    blind_reason: str = ""

    def add(self, sample: Sample) -> None:
        """Takes the next sample in."""
        self.samples.append(sample)
        if sample.verdict == "inconclusive":
            self.unknown += 1
            if self.unknown > self.blind:
                self.blind, self.blind_reason = self.unknown, sample.reason
            return
        self.unknown = 0
        self.failing = self.failing + 1 if sample.verdict == "failing" else 0
        self.paused = self.paused + 1 if sample.verdict == "paused" else 0

    @property
    def over(self) -> bool:
        """Whether more samples would tell nothing new."""
        return max(self.failing, self.paused) >= self.wanted.consecutive

    @property
    def complete(self) -> bool:
        """Whether it came to its end, so that the verdict is more than what it looks like so far."""
        return self.over or self.samples[-1].elapsed_seconds >= self.wanted.duration_seconds

    @property
    def verdict(self) -> str:
        """healthy or degraded where the end was so and nothing was missed; failing, paused or inconclusive otherwise."""
        if self.failing >= self.wanted.consecutive:
            return "failing"
        if self.paused >= self.wanted.consecutive:
            return "paused"
        end = {sample.verdict for sample in self.samples[-self.wanted.consecutive :]}
        if self.blind >= self.wanted.consecutive or not end <= set(GOOD):
            return "inconclusive"
        return "degraded" if "degraded" in end else "healthy"

    @property
    def why(self) -> str:
        """What the verdict rests on, in words."""
        last, verdict = self.samples[-1], self.verdict
        if verdict == "failing":
            reason = next(s.reason for s in reversed(self.samples) if s.verdict == "failing")
            return f"{count(self.failing, 'failing sample')} in a row: {reason}"
        if verdict == "paused":
            return f"{count(self.paused, 'sample')} in a row found it paused: {last.reason}"
        if verdict == "inconclusive" and self.blind >= self.wanted.consecutive:
            return f"{count(self.blind, 'sample')} in a row could not be taken: {self.blind_reason}"
        if verdict == "inconclusive":
            end = ", ".join(sample.verdict for sample in self.samples[-self.wanted.consecutive :])
            reason = next(s.reason for s in reversed(self.samples) if s.verdict not in GOOD)
            return f"the last samples were {end}: {reason}"
        return last.reason

    @property
    def counts(self) -> dict[str, int]:
        """How many samples came to which verdict; those that occurred."""
        verdicts = [sample.verdict for sample in self.samples]
        return {verdict: verdicts.count(verdict) for verdict in VERDICTS if verdict in verdicts}

    @property
    def trends(self) -> dict[str, dict[str, t.Any]]:
        """First, last, least and most known value of what a person follows, and where it went at the end."""
        found: dict[str, dict[str, t.Any]] = {}
        for name, _, _ in SHOWN:
            known = [value for s in self.samples if (value := s.figures.get(name)) is not None]
            if known:
                values = {"first": known[0], "last": known[-1], "least": min(known), "most": max(known)}
                found[name] = {each: round(value, 3) for each, value in values.items()} | {"trend": self.trend(name)}
        return found

    def trend(self, name: str) -> str | None:
        """rising, falling or steady: the latest value beside the mean of those just before; None where one is unknown."""
        values = [sample.figures.get(name) for sample in self.samples[-TREND_OVER - 1 :]]
        latest, before = values[-1], [value for value in values[:-1] if value is not None]
        if latest is None or not before:
            return None
        mean = sum(before) / len(before)
        least = next(least for each, _, least in SHOWN if each == name)
        if abs(latest - mean) <= max(least, abs(mean) * TREND_SHARE):
            return "steady"
        return "rising" if latest > mean else "falling"

    @property
    def line(self) -> str:
        """The latest sample on one line: how far the watch is, the verdict, and what matters of it."""
        last, wanted = self.samples[-1], self.wanted
        cells = math.floor(CELLS * min(1.0, last.elapsed_seconds / wanted.duration_seconds) + 1e-9)
        time = f"{_clock(last.elapsed_seconds)}/{_clock(wanted.duration_seconds)}"
        text = f"{'█' * cells}{'░' * (CELLS - cells)} {time} {last.verdict:<8}"
        row = {"failing": self.failing, "paused": self.paused, "inconclusive": self.unknown}.get(last.verdict, 0)
        text += f" {row} of {wanted.consecutive}" if row else ""
        followed = ", ".join(part for name, label, _ in SHOWN[1:] if (part := self._followed(name, label)))
        text += "".join(f"  {part}" for part in (last.reason, followed) if part)
        return text if len(text) <= LINE_WIDTH else text[: LINE_WIDTH - 1] + "…"

    def _followed(self, name: str, label: str) -> str:
        value = self.samples[-1].figures.get(name)
        if value is None:
            return ""
        arrow = ARROWS.get(self.trend(name) or "", "")
        return f"{label} {valued(name, value)}{f' {arrow}' if arrow else ''}"


def wanted(duration: str, interval_seconds: float, consecutive: int) -> Wanted:
    """The options of a watch. Raises BadInput, naming the one that cannot be used."""
    seconds = times.seconds_of(duration, "duration")
    if not 0 < seconds <= LONGEST_SECONDS:
        raise BadInput(f"duration {duration[:80]!r} is not usable", next_step="give more than 0 and at most 7d")
    if seconds < interval_seconds:
        raise BadInput(
            f"duration {duration} is shorter than interval_seconds {interval_seconds:g}",
            next_step="watch longer, or look more often",
        )
    if consecutive < 1:
        raise BadInput(f"consecutive {consecutive} is not usable", next_step="give 1 or more")
    made = Wanted(seconds, interval_seconds, consecutive)
    if made.looks < consecutive:
        raise BadInput(
            f"consecutive {consecutive} can never be reached",
            said=f"a duration of {in_words(seconds)} with interval_seconds {interval_seconds:g} gives {made.looks} samples",
            next_step="watch longer, look more often, or give fewer",
        )
    return made


def figures_of(found: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """What is followed, of the result of an assessment or a gate, with its judgement; nothing where there is none."""
    seen: list[Mapping[str, t.Any]] = found.get("indicators") or found.get("checks") or []
    known = {
        each["name"]: each
        for each in seen
        if each["name"] in DRAWN and isinstance(each["value"], int | float) and math.isfinite(each["value"])
    }
    if not known:
        return {}
    ingestion: Mapping[str, t.Any] = found.get("ingestion") or {}
    state = ingestion.get("state")
    return {
        "figures": {name: each["value"] for name, each in known.items()},
        "statuses": {name: each["status"] for name, each in known.items()},
        **({"state": state} if state else {}),
    }


def valued(name: str, value: float) -> str:
    """A value of a figure as a person says it."""
    if name.endswith("_staleness"):
        return in_words(value * 60)
    return f"{value:,.0f} a min" if name.endswith("_per_minute") else f"{value:,.0f}"


def _clock(seconds: float) -> str:
    """0:07, 12:30 or 1:05:00."""
    whole = int(seconds + 1e-9)
    minutes = f"{whole // 60 % 60:02}" if whole >= 3600 else f"{whole // 60}"
    return f"{whole // 3600}:{minutes}:{whole % 60:02}" if whole >= 3600 else f"{minutes}:{whole % 60:02}"
