# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""For how long users saw wrong figures: gold beyond its threshold, as far as the looks on record tell; pure."""

from __future__ import annotations

import dataclasses
import datetime
import math
import typing as t

from ...core.text import count, in_words
from ...health import thresholds
from ..figures import valued

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row

FIGURE: t.Final = "gold_staleness"
#: In minutes, as the charts show it. An assessment calls gold fine that has all of silver, however old that is.
LIMIT: t.Final = float(thresholds.DEFAULTS[FIGURE]["ok"])
#: Statuses of a figure beyond a threshold of the team's.
BEYOND: t.Final = ("warn", "fail")
Spell = tuple[datetime.datetime, datetime.datetime]


@dataclasses.dataclass(frozen=True)
class WrongFigures:
    """The times in which gold was beyond its threshold, each until a look found it within again."""

    spells: tuple[Spell, ...] = ()
    #: Looks that tell how old gold was.
    looks: int = 0
    #: How old it was at worst, in minutes.
    worst: float = 0.0
    #: Whether the last look still found it so.
    lasting: bool = False

    @property
    def seconds(self) -> float | None:
        """All in all; None where no look tells."""
        return sum((end - start).total_seconds() for start, end in self.spells) if self.looks else None

    @property
    def value(self) -> str:
        """The large figure."""
        if self.seconds is None:
            return "unknown"
        return in_words(self.seconds) if self.spells else "not seen"

    @property
    def note(self) -> str:
        """What stands below it."""
        if not self.looks:
            return "no look at gold is on record"
        if not self.spells:
            return f"gold was never beyond its threshold in {count(self.looks, 'look')}"
        return f"gold up to {valued(FIGURE, self.worst)} old" + (", and still at the last look" if self.lasting else "")

    @property
    def sentence(self) -> str:
        """The same for the head of the report."""
        if not self.looks:
            return "How long users saw wrong figures is unknown: no look at gold is on record."
        if not self.spells:
            return f"No look found gold beyond its threshold ({count(self.looks, 'look')})."
        least = "at least " if self.lasting else ""
        times = f" in {count(len(self.spells), 'spell')}" if len(self.spells) > 1 else ""
        still = "; the last look still found it so" if self.lasting else ""
        return f"Users saw wrong figures for {least}{self.value}{times}: {self.note.partition(',')[0]}{still}."

    def as_dict(self) -> Row:
        """For results."""
        seconds = None if self.seconds is None else round(self.seconds, 3)
        return {"seconds": seconds, "looks": self.looks, "lasting": self.lasting, "sentence": self.sentence}


def of(points: Sequence[Row], until: datetime.datetime) -> WrongFigures:
    """From looks in their order; where the last one still found gold so, up to `until`."""
    seen = [
        (point["at"], float(value), value > LIMIT or point["statuses"].get(FIGURE) in BEYOND)
        for point in points
        if (value := point["figures"].get(FIGURE)) is not None and math.isfinite(value)
    ]
    spells: list[Spell] = []
    start: datetime.datetime | None = None
    within: datetime.datetime | None = None
    for at, value, beyond in seen:
        if beyond and start is None:
            start = _began(at, value, within)
        elif not beyond:
            within = at
            if start is not None:
                spells.append((start, at))
                start = None
    if start is not None:
        spells.append((start, max(until, seen[-1][0])))
    worst = max((value for _, value, beyond in seen if beyond), default=0.0)
    return WrongFigures(tuple(spells), len(seen), worst, start is not None)


def _began(at: datetime.datetime, minutes: float, within: datetime.datetime | None) -> datetime.datetime:
    """When gold of that age passed its threshold; not before the look that found it within."""
    try:
        began = at - datetime.timedelta(minutes=max(0.0, minutes - LIMIT))
    except OverflowError:
        began = at
    return max(began, within) if within else began
