# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The chart of an incident: backlog, loads and staleness over one axis of time."""

from __future__ import annotations

import datetime
import math
import typing as t

from ..module_utils.recovery.core.text import in_words
from . import painter

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

WIDTH, HEIGHT = 10.0, 7.0
#: A pause is at least so wide, of the whole, that it can be seen.
LEAST_SHARE: t.Final = 1 / 250
#: Steps whose numbers would lie on each other, of the whole, are written as one.
NEAR_SHARE: t.Final = 0.03


def incident_chart(report: Mapping[str, t.Any]) -> str:
    """The SVG of what scout_report_info returned. Raises ImportError without matplotlib."""
    return painter.draw(lambda figure: _paint(figure, report), WIDTH, HEIGHT)


def _paint(figure: t.Any, report: Mapping[str, t.Any]) -> None:
    points: Sequence[Mapping[str, t.Any]] = report["points"]
    step = datetime.timedelta(seconds=report["step_seconds"])
    starts = [datetime.datetime.fromisoformat(point["at"]) for point in points]
    edges = [*starts, starts[-1] + step]
    backlog, loads, staleness = figure.subplots(3, 1, sharex=True)

    backlog.set_title("Sales that wait to be loaded")
    _line(backlog, edges, [point["pending"] for point in points], painter.BLUE, "pending, at most", fill=True)
    loads.set_title(f"Sales in steps of {in_words(report['step_seconds'])}")
    _line(loads, edges, [point["arrived"] for point in points], painter.GREY, "arrived")
    _line(loads, edges, [point["loaded"] for point in points], painter.GREEN, "loaded")
    staleness.set_title("Minutes since the last event, at most")
    for name, colour, label in (("since_arrival", painter.GREY, "arrived"), ("since_load", painter.ORANGE, "loaded")):
        minutes = [None if point[name] is None else point[name] / 60 for point in points]
        _line(staleness, edges, minutes, colour, label)
    for axes in (backlog, loads, staleness):
        axes.set_xlim(edges[0], edges[-1])
        axes.set_ylim(bottom=0)
        _pauses(axes, report["pauses"], edges)
        axes.legend(loc="upper right", frameon=False, ncols=3)
    _numbers(backlog, report["runs"], edges)
    dates = painter.of_matplotlib("dates")
    locator = dates.AutoDateLocator(minticks=3, maxticks=9, tz=edges[0].tzinfo)
    staleness.xaxis.set_major_locator(locator)
    staleness.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=edges[0].tzinfo, show_offset=False))
    days = dict.fromkeys(f"{at:%Y-%m-%d}" for at in (edges[0], edges[-1]))
    staleness.set_xlabel(f"{' to '.join(days)}, UTC{edges[0]:%:z}")


def _line(
    axes: t.Any,
    edges: Sequence[datetime.datetime],
    values: Sequence[float | None],
    colour: str,
    label: str,
    *,
    fill: bool = False,
) -> None:
    known = [math.nan if value is None else float(value) for value in values]
    axes.stairs(known, edges, color=colour, linewidth=1.6, baseline=None, label=label)
    if fill:
        axes.stairs(
            [0.0 if math.isnan(value) else value for value in known], edges, fill=True, color=colour, alpha=0.15
        )


def _pauses(axes: t.Any, pauses: Sequence[Mapping[str, t.Any]], edges: Sequence[datetime.datetime]) -> None:
    """When ingestion was paused, behind everything."""
    least = (edges[-1] - edges[0]) * LEAST_SHARE
    for place, pause in enumerate(pauses):
        start = datetime.datetime.fromisoformat(pause["started_at"])
        end = datetime.datetime.fromisoformat(pause["ended_at"]) if pause["ended_at"] else edges[-1]
        named = {} if place else {"label": "paused"}
        axes.axvspan(start, max(end, start + least), color=painter.GREY, alpha=0.25, linewidth=0, zorder=0.5, **named)


def _numbers(axes: t.Any, runs: Sequence[Mapping[str, t.Any]], edges: Sequence[datetime.datetime]) -> None:
    """When each run began, with its number in the report; several close ones as `3-5`."""
    near = (edges[-1] - edges[0]) * NEAR_SHARE
    groups: list[tuple[datetime.datetime, int, int]] = []
    for run in runs:
        at, number = datetime.datetime.fromisoformat(run["started_at"]), int(run["number"])
        if groups and at - groups[-1][0] <= near:
            groups[-1] = (*groups[-1][:2], number)
        elif edges[0] <= at <= edges[-1]:
            groups.append((at, number, number))
    for at, first, last in groups:
        axes.axvline(at, color=painter.ORANGE, linestyle=(0, (1, 2)), linewidth=1)
        words = str(first) if first == last else f"{first}-{last}"
        place: dict[str, t.Any] = {"ha": "center", "va": "bottom", "color": painter.ORANGE, "fontsize": 8.5}
        axes.text(at, 1.0, words, transform=axes.get_xaxis_transform(), **place)
