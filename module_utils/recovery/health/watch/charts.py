# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws what a watch observed, with the thresholds; matplotlib is imported only where something is drawn."""

from __future__ import annotations

import datetime
import importlib
import io
import itertools
import logging
import math
import textwrap
import typing as t
import warnings

from ...core import files
from ...core.errors import BadInput
from ...core.text import in_words, printable

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from .course import Course, Sample

KINDS: t.Final = ("svg", "png")
SIZE_INCHES: t.Final = (11.0, 8.5)
DPI: t.Final = 110
#: Below so many samples each is marked, so that one alone can be seen.
MARKED: t.Final = 150
TITLE_WIDTH: t.Final = 120

#: Told apart by everybody, in colour and in grey.
LINES: t.Final = (
    ("bronze_staleness", "bronze", "#8C510A", (0, (1, 1))),
    ("silver_staleness", "silver", "#0072B2", "-"),
    ("gold_staleness", "gold", "#7B3FA0", "-"),
    ("backlog_age", "oldest pending event", "#333333", (0, (4, 1.5))),
)
VERDICTS: t.Final = {
    "healthy": "#4CAF82",
    "degraded": "#F0C243",
    "failing": "#D1495B",
    "inconclusive": "#B8B8B8",
    "paused": "#7E9BC8",
}
LIMITS: t.Final = {"ok": ("#C08A00", "warn above"), "fail": ("#B5172F", "fail above")}
STYLE: t.Final = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#888888",
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "axes.grid.axis": "x",
    "grid.color": "#E6E6E6",
    "hatch.linewidth": 0.6,
}


def require() -> None:
    """Raises BadInput, saying what to install, where nothing can be drawn."""
    # What it says of its caches is nothing for the screen.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        for name in ("figure", "dates", "ticker", "patches"):
            of_matplotlib(name)
    except ImportError as e:
        raise BadInput(
            "cannot draw the chart: this Python has no matplotlib that works",
            said=str(e),
            next_step="python -m pip install matplotlib for the interpreter that runs the module, or go without: watch_chart: false",
        ) from e


def draw(course: Course, thresholds: Mapping[str, Mapping[str, float]], path: Path, title: str) -> list[str]:
    """Writes PATH.svg and PATH.png, each whole or not at all, and names them."""
    require()
    figure = _figure(course, thresholds, title)
    names = [path.with_name(f"{path.name}.{kind}") for kind in KINDS]
    for kind, name in zip(KINDS, names, strict=True):
        drawn = io.BytesIO()
        with importlib.import_module("matplotlib").rc_context(STYLE), warnings.catch_warnings():
            # A letter that the font does not have is no reason to say anything.
            warnings.simplefilter("ignore")
            figure.savefig(drawn, format=kind, dpi=DPI)
        files.write(name, drawn.getvalue(), "chart_file")
    return [str(name) for name in names]


def of_matplotlib(name: str) -> t.Any:
    """A part of matplotlib."""
    return importlib.import_module(f"matplotlib.{name}")


def _figure(course: Course, thresholds: Mapping[str, Mapping[str, float]], title: str) -> t.Any:
    samples = course.samples
    with importlib.import_module("matplotlib").rc_context(STYLE):
        figure = of_matplotlib("figure").Figure(figsize=SIZE_INCHES, layout="constrained")
        band, ages, backlog, loaded = figure.subplots(
            4, 1, sharex=True, gridspec_kw={"height_ratios": [0.28, 3.2, 2.2, 2.0]}
        )
        _band(band, course)
        _ages(ages, samples, thresholds)
        _backlog(backlog, samples, thresholds["backlog_events"])
        _loaded(loaded, samples)
        _times(loaded, course)
        words = "\n".join(_title_line(line) for line in (*_headline(course), title) if line)
        figure.suptitle(words, x=0.01, ha="left", fontsize=12, parse_math=False)
    return figure


def _title_line(text: str) -> str:
    """What others named or said, as one line that a picture and XML can hold."""
    return textwrap.shorten(printable(text), TITLE_WIDTH, placeholder=" …")


def _headline(course: Course) -> tuple[str, str]:
    """The verdict, as far as it goes, with what it rests on."""
    first, last = course.samples[0], course.samples[-1]
    counted = ", ".join(f"{number:,} {verdict}" for verdict, number in course.counts.items())
    seen = in_words(last.elapsed_seconds - first.elapsed_seconds)
    so_far = "" if course.complete else " so far"
    looks = f"{len(course.samples):,} of {course.wanted.looks:,} samples in {seen} ({counted})"
    return f"{course.verdict.capitalize()}{so_far}: {looks}", course.why


def _band(axes: t.Any, course: Course) -> None:
    """The verdict of each sample, as a strip from it to the next."""
    samples, patches = course.samples, of_matplotlib("patches")
    ends = [sample.at for sample in samples[1:]]
    ends.append(samples[-1].at + datetime.timedelta(seconds=course.wanted.interval_seconds / 2))
    spans = zip(samples, ends, strict=True)
    for verdict, group in itertools.groupby(spans, key=lambda span: span[0].verdict):
        members = list(group)
        hatch = "////" if verdict == "inconclusive" else None
        start, end = members[0][0].at, members[-1][1]
        axes.axvspan(start, end, facecolor=VERDICTS[verdict], edgecolor="white", linewidth=0, hatch=hatch)
    axes.set_yticks([])
    axes.set_ylabel("verdict", rotation=0, ha="right", va="center")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(axis="x", length=0, labelbottom=False)
    shown = [patches.Patch(color=VERDICTS[name], label=name) for name in course.counts]
    axes.legend(handles=shown, loc="lower right", bbox_to_anchor=(1, 1), ncols=len(shown), frameon=False, fontsize=8.5)


def _ages(axes: t.Any, samples: Sequence[Sample], thresholds: Mapping[str, Mapping[str, float]]) -> None:
    axes.set_title("Staleness, minutes")
    for name, label, colour, dashes in LINES:
        _plot(axes, samples, name, label, colour, dashes)
    named: dict[tuple[str, float], list[str]] = {}
    for name, label, _, _ in LINES:
        for limit in LIMITS:
            named.setdefault((limit, thresholds[name][limit]), []).append(label)
    for (limit, value), labels in named.items():
        every = len(labels) == len(LINES)
        _limit(axes, limit, value, "" if every else ", ".join(label.partition(" ")[0] for label in labels))
    most = max((v for name, *_ in LINES for v in _values(samples, name) if math.isfinite(v)), default=0.0)
    axes.set_ylim(0, 1.12 * max([most, *(value for _, value in named)]))
    _legend(axes)


def _backlog(axes: t.Any, samples: Sequence[Sample], figures: Mapping[str, float]) -> None:
    """Tens and hundred thousands in one picture: evenly up to ten, in powers of ten from there on."""
    axes.set_title("Backlog, events pending (logarithmic)")
    axes.set_yscale("symlog", linthresh=10, linscale=0.6)
    _plot(axes, samples, "backlog_events", "", "#333333", "-", fill=True)
    for limit in LIMITS:
        _limit(axes, limit, figures[limit], "")
    known = [value for value in _values(samples, "backlog_events") if math.isfinite(value)]
    axes.set_ylim(0, 4 * max([*known, *figures.values(), 10]))
    axes.yaxis.set_major_locator(of_matplotlib("ticker").SymmetricalLogLocator(base=10, linthresh=10))
    axes.yaxis.set_minor_locator(of_matplotlib("ticker").NullLocator())
    axes.yaxis.set_major_formatter(of_matplotlib("ticker").StrMethodFormatter("{x:,.0f}"))


def _loaded(axes: t.Any, samples: Sequence[Sample]) -> None:
    axes.set_title("Throughput, events loaded a minute (mean of the last 5 minutes)")
    _plot(axes, samples, "loaded_per_minute", "", "#00735C", "-", fill=True)
    known = [value for value in _values(samples, "loaded_per_minute") if math.isfinite(value)]
    axes.set_ylim(0, 1.15 * max([*known, 1]))
    axes.yaxis.set_major_locator(of_matplotlib("ticker").MaxNLocator(5, integer=True))
    axes.yaxis.set_major_formatter(of_matplotlib("ticker").StrMethodFormatter("{x:,.0f}"))


def _times(axes: t.Any, course: Course) -> None:
    dates, first = of_matplotlib("dates"), course.samples[0].at
    # At least one interval wide, or a single sample would have no axis.
    seconds = max(course.samples[-1].elapsed_seconds, course.wanted.interval_seconds)
    margin = datetime.timedelta(seconds=seconds / 60)
    axes.set_xlim(first - margin, first + datetime.timedelta(seconds=seconds) + margin)
    locator = dates.AutoDateLocator(minticks=4, maxticks=10, tz=datetime.UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=datetime.UTC, show_offset=False))
    days = dict.fromkeys(f"{at.astimezone(datetime.UTC):%Y-%m-%d}" for at in (first, course.samples[-1].at))
    axes.set_xlabel(f"UTC, {' to '.join(days)}")


def _plot(
    axes: t.Any, samples: Sequence[Sample], name: str, label: str, colour: str, dashes: t.Any, *, fill: bool = False
) -> None:
    """A figure over time; where it is unknown the line has a gap."""
    times, values = [sample.at for sample in samples], _values(samples, name)
    marker = "o" if len(samples) <= MARKED else None
    axes.plot(times, values, color=colour, linestyle=dashes, linewidth=1.7, marker=marker, markersize=3, label=label)
    if fill:
        axes.fill_between(times, values, color=colour, alpha=0.12, linewidth=0)


def _values(samples: Sequence[Sample], name: str) -> list[float]:
    values = [sample.figures.get(name) for sample in samples]
    return [math.nan if value is None else value for value in values]


def _limit(axes: t.Any, limit: str, value: float, of: str) -> None:
    """A threshold with its words at the right end of its line."""
    colour, words = LIMITS[limit]
    axes.axhline(value, color=colour, linestyle="--", linewidth=1, zorder=1)
    text = f"{of + ': ' if of else ''}{words} {value:,g}"
    place = {"xycoords": ("axes fraction", "data"), "xytext": (0, 2), "textcoords": "offset points"}
    paper = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5}
    axes.annotate(text, (1.0, value), **place, ha="right", va="bottom", color=colour, fontsize=8, bbox=paper, zorder=5)


def _legend(axes: t.Any) -> None:
    axes.legend(
        loc="lower right", bbox_to_anchor=(1, 1), ncols=len(LINES), frameon=False, borderaxespad=0.2, fontsize=8.5
    )
