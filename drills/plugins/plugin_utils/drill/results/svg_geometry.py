# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The geometry of a scorecard's bars and curves, in numbers that a template draws; pure."""

from __future__ import annotations

import dataclasses
import math
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import in_words

if t.TYPE_CHECKING:
    from .document import Phase
    from .history import Point, Trend

#: The latest drills that a curve shows.
SHOWN: t.Final = 12
#: A quick phase is still to be seen.
THINNEST_PERCENT: t.Final = 1.5
#: Room above the highest value.
HEADROOM: t.Final = 1.15


@dataclasses.dataclass(frozen=True)
class Bar:
    """A phase against its budget, in percent of the track: the filled part, the rest over budget, the budget's mark."""

    fill: float
    over: float
    mark: float | None


def bar(phase: Phase) -> Bar:
    """The track is as long as the budget, or as the time where that is longer; its scale is logarithmic, so that seconds of a
    budget of half an hour are still to be seen."""
    if phase.seconds is None or phase.budget is None:
        return Bar(0, 0, None)
    longest = math.log1p(max(phase.seconds, phase.budget))
    if not longest:
        return Bar(THINNEST_PERCENT, 0, 100)
    budget = 100 * math.log1p(phase.budget) / longest
    reached = 100 * math.log1p(phase.seconds) / longest
    over = max(0.0, reached - budget)
    spent = max(THINNEST_PERCENT, min(reached, budget))
    return Bar(round(min(spent, 100 - over), 2), round(over, 2), round(budget, 2))


@dataclasses.dataclass(frozen=True)
class Mark:
    """One drill of a curve; a cross where the scenario did not pass."""

    x: float
    y: float
    passed: bool
    words: str


@dataclasses.dataclass(frozen=True)
class Curve:
    """Recovery time over the drills, in the units of a picture of this size; the last mark is this drill."""

    width: float
    height: float
    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    usual: float | None
    top: float
    words: str


def curve(trend: Trend, width: float, height: float, margin: float) -> Curve:
    """Drills stand evenly, whatever lies between them; seconds begin at 0; who did not pass is at the upper edge."""
    points = trend.points[-SHOWN:]
    known = [point.seconds for point in points if point.seconds is not None]
    top = HEADROOM * max([*known, trend.usual or 0.0, 1.0])
    step = (width - 2 * margin) / max(len(points) - 1, 1)

    def x_of(number: int) -> float:
        return round(width - margin - (len(points) - 1 - number) * step, 1)

    def y_of(seconds: float) -> float:
        return round(height - margin - (height - 2 * margin) * seconds / top, 1)

    marks = tuple(
        Mark(x_of(n), margin if point.seconds is None else y_of(point.seconds), point.passed, _words(point))
        for n, point in enumerate(points)
        if point.seconds is not None or not point.passed
    )
    lines: list[list[str]] = [[]]
    for number, point in enumerate(points):
        if point.seconds is None:
            lines.append([])
        else:
            lines[-1].append(f"{x_of(number)},{y_of(point.seconds)}")
    return Curve(
        width=width,
        height=height,
        lines=tuple(" ".join(line) for line in lines if len(line) > 1),
        marks=marks,
        usual=None if trend.usual is None else y_of(trend.usual),
        top=top,
        words="; ".join(_words(point) for point in points),
    )


def _words(point: Point) -> str:
    took = "passed" if point.passed else "did not pass"
    return f"{point.at:%d %b %Y}: {took if point.seconds is None else in_words(point.seconds)}"
