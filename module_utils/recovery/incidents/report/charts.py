# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures for the page of a report: inline SVG in the page's own colours, for a wide window and for a narrow one."""

from __future__ import annotations

import datetime
import html
import importlib
import io
import logging
import math
import re
import typing as t
import warnings

from ...core.errors import BadInput

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ...postgres.session import Row
    from .impact import Pause

#: What is drawn with, and the variable of the page that it becomes. Each is a colour that nobody would choose.
INKS: t.Final = {
    "#010101": "var(--ink-soft)",
    "#010102": "var(--line)",
    "#010103": "var(--bronze)",
    "#010104": "var(--silver)",
    "#010105": "var(--gold)",
    "#010106": "var(--accent)",
    "#010107": "var(--warn)",
    "#010108": "var(--bad)",
    "#010109": "var(--paused)",
    "#01010a": "var(--surface)",
}
INK, GRID, BRONZE, SILVER, GOLD, ACCENT, WARN, BAD, PAUSED, PAPER = INKS
LINES: t.Final = (
    ("bronze_staleness", "bronze", BRONZE, (0, (1, 1))),
    ("silver_staleness", "silver", SILVER, "-"),
    ("gold_staleness", "gold", GOLD, "-"),
)
LIMITS: t.Final = {"ok": (WARN, "warn above"), "fail": (BAD, "fail above")}
STYLE: t.Final = {
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Verdana", "sans-serif"],
    "font.size": 9.5,
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.grid": True,
    "svg.hashsalt": "scout-recovery",
    "text.color": INK,
    "axes.labelcolor": INK,
    "axes.edgecolor": GRID,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "axes.grid.axis": "y",
    "axes.spines.left": False,
    "ytick.left": False,
    "patch.force_edgecolor": False,
}
#: A step that was taken, and its number.
Mark = tuple[datetime.datetime, int]
#: Of the axis of time; numbers that are closer are written as one.
NEAR_SHARE: t.Final = 0.03
#: How long the tick of a look is, of the height of a chart.
TICK: t.Final = 0.03
#: In inches for each chart, at 72 points each: the size of the letters follows from it.
SIZES: t.Final = {"wide": (10.2, 3.1), "narrow": (4.6, 3.1)}
#: From here on minutes are drawn in powers of ten.
LONG_MINUTES: t.Final = 600.0
#: What stands at the side then.
AGES: t.Final = {0: "0", 15: "15 min", 60: "1 h", 360: "6 h", 1440: "1 d", 10080: "7 d", 86400: "60 d", 864000: "600 d"}
#: Below so many looks each is marked.
MARKED: t.Final = 60
#: Of the height of the picture; thresholds that are closer have words for the higher one only.
LEAST_DISTANCE: t.Final = 0.09
#: A line across a time in which nobody looked would say what nobody knows.
GAP_SHARE: t.Final = 0.35


def draw(
    points: Sequence[Row],
    pauses: Sequence[Pause],
    until: datetime.datetime,
    thresholds: Mapping[str, Mapping[str, float]],
    marks: Sequence[Mark] = (),
) -> list[Row]:
    """One picture of staleness and backlog over one axis of time, with its words and its SVG by width; none where there are
    fewer than two looks, or none of them has figures. `marks` are the numbered steps. Raises without matplotlib."""
    if len(points) < 2:
        return []
    require()
    spans = [(start, end or until) for start, end, _ in pauses]
    panels = [panel for panel in PANELS if any(_known(points, figure) for figure in panel.figures)]
    if not panels:
        return []
    title = " and ".join(panel.title for panel in panels).capitalize()
    words = "A figure holds from one look to the next; ticks below are looks, dotted lines the numbered steps"
    shown = {size: _svg(f"looks-{size}", title, size, points, spans, thresholds, panels, marks) for size in SIZES}
    return [{"name": "looks", "title": title, "words": words, **shown}]


def require() -> None:
    """Raises BadInput, saying what to install, where nothing can be drawn."""
    # What it says of its caches is nothing for the screen.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
    try:
        for name in ("figure", "dates", "ticker", "patches"):
            of_matplotlib(name)
    except ImportError as e:
        raise BadInput(
            "cannot draw the charts: this Python has no matplotlib that works",
            said=str(e),
            next_step="python -m pip install matplotlib for the interpreter that runs the module",
        ) from e


def of_matplotlib(name: str) -> t.Any:
    """A part of matplotlib."""
    return importlib.import_module(f"matplotlib.{name}")


def _known(points: Sequence[Row], name: str) -> bool:
    return any(math.isfinite(value) for value in _values(points, name))


def _values(points: Sequence[Row], name: str) -> list[float]:
    values = [point["figures"].get(name) for point in points]
    return [math.nan if value is None else float(value) for value in values]


def _svg(
    name: str,
    title: str,
    size: str,
    points: Sequence[Row],
    spans: Sequence[tuple[datetime.datetime, datetime.datetime]],
    thresholds: Mapping[str, Mapping[str, float]],
    panels: Sequence[Panel],
    marks: Sequence[Mark],
) -> str:
    matplotlib = importlib.import_module("matplotlib")
    width, height = SIZES[size]
    with matplotlib.rc_context(STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        figure = of_matplotlib("figure").Figure(figsize=(width, height * len(panels)), layout="constrained")
        rows = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
        _times(rows[-1], [*(point["at"] for point in points), *(at for at, _ in marks)], size)
        for panel, axes in zip(panels, rows, strict=True):
            axes.set_axisbelow(True)
            handles = _paused(axes, points, spans)
            handles = panel.paint(axes, points, thresholds, size) + handles
            axes.set_ylabel(panel.unit)
            _mark(axes, points, marks, panel.title, numbered=axes is rows[0])
            place: dict[str, t.Any] = {"loc": "lower left", "bbox_to_anchor": (0, 1.06), "borderaxespad": 0, "ncols": 4}
            axes.legend(handles=handles, frameon=False, handlelength=1.6, columnspacing=1.2, **place)
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, transparent=True)
    return _inlined(out.getvalue(), name, title)


def _mark(axes: t.Any, points: Sequence[Row], marks: Sequence[Mark], name: str, *, numbered: bool) -> None:
    """When somebody looked, as ticks at the bottom; when something was done, as lines with the numbers of the steps."""
    below = axes.get_xaxis_transform()
    times = [at for point in points for at in (point["at"],) * 3]
    ticks = [0.0, -TICK, math.nan] * len(points)
    looks: dict[str, t.Any] = {"color": INK, "linewidth": 0.8, "clip_on": False}
    axes.plot(times, ticks, transform=below, gid=f"look-{name}", **looks)
    first, last = axes.get_xlim()
    for at, numbers in _gathered(marks, (last - first) * NEAR_SHARE):
        axes.axvline(at, color=ACCENT, linestyle=(0, (1, 2)), linewidth=1, zorder=1, gid=f"step-{name}-{numbers}")
        if numbered:
            axes.text(at, 1.01, numbers, transform=below, ha="center", va="bottom", color=ACCENT, fontsize=8.5)


def _gathered(marks: Sequence[Mark], near_days: float) -> list[tuple[datetime.datetime, str]]:
    """Steps whose numbers would lie on each other as one: `3-5`."""
    made: list[tuple[datetime.datetime, int, int]] = []
    for at, number in marks:
        if made and (at - made[-1][0]).total_seconds() <= near_days * 86400:
            made[-1] = (*made[-1][:2], number)
        else:
            made.append((at, number, number))
    return [(at, str(start) if start == end else f"{start}-{end}") for at, start, end in made]


def _inlined(svg: str, name: str, title: str) -> str:
    """As an element of the page: without what is of a file of its own, names that are nobody else's, colours of the page."""
    svg = svg[svg.index("<svg") :]
    for part in (r"<metadata>.*?</metadata>", r"<style[^>]*>.*?</style>", r"<!--.*?-->"):
        svg = re.sub(part, "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="([^"]+)"', svg)
    kind = name.rpartition("-")[2]
    words = html.escape(f"{title} over the incident; the table below has the figures", quote=True)
    head = f'<svg class="chart {kind}" viewBox="{box[1] if box else ""}" role="img" aria-label="{words}">'
    svg = re.sub(r"^<svg[^>]*>", head, svg)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="([^"]+)"', rf'id="{name}-\1"', svg)
    svg = re.sub(r'(href="#|url\(#)', rf"\g<1>{name}-", svg)
    svg = re.sub(r"font: (?:\w+ )*([\d.]+px) [^;\"]*", r"font-size: \1", svg)
    svg = re.sub(r"font-family: [^;\"]*;? ?", "", svg)
    svg = re.sub("#01010[0-9a]", lambda found: INKS[found[0]], svg)
    # A hundredth of a point is seen by nobody.
    svg = re.sub(r"(?<=\d\.\d\d)\d+", "", svg)
    return re.sub(r"\n\s*", "\n", svg).strip()


def _paused(
    axes: t.Any, points: Sequence[Row], spans: Sequence[tuple[datetime.datetime, datetime.datetime]]
) -> list[t.Any]:
    """Behind everything, when ingestion was paused; at least as wide as can be seen."""
    first, last = points[0]["at"], points[-1]["at"]
    least = (last - first) / 250
    shown = [(start, max(end, start + least)) for start, end in spans if end >= first and start <= last]
    for start, end in shown:
        axes.axvspan(start, end, facecolor=PAUSED, alpha=0.35, linewidth=0, zorder=0.5)
    patch = of_matplotlib("patches").Patch
    return [patch(facecolor=PAUSED, alpha=0.35, label="paused")] if shown else []


def _line(
    axes: t.Any, points: Sequence[Row], name: str, label: str, colour: str, dashes: t.Any, **more: t.Any
) -> t.Any:
    """A figure, each from the look that saw it to the next one, broken where it is unknown or nobody looked for long."""
    whole = (points[-1]["at"] - points[0]["at"]).total_seconds()
    times: list[datetime.datetime] = []
    values: list[float] = []
    for point, value in zip(points, _values(points, name), strict=True):
        if times and len(points) > 8 and (point["at"] - times[-1]).total_seconds() > GAP_SHARE * whole:
            times.append(times[-1])
            values.append(math.nan)
        times.append(point["at"])
        values.append(value)
    marker = "o" if len(points) <= MARKED else None
    (line,) = axes.plot(
        times,
        values,
        color=colour,
        linestyle=dashes,
        linewidth=1.8,
        marker=marker,
        markersize=3.5,
        label=label,
        drawstyle="steps-post",
        **more,
    )
    return line


def _staleness(
    axes: t.Any, points: Sequence[Row], thresholds: Mapping[str, Mapping[str, float]], size: str
) -> list[t.Any]:
    lines = [_line(axes, points, *line) for line in LINES if _known(points, line[0])]
    limits = {limit: max(thresholds[name][limit] for name, *_ in LINES) for limit in LIMITS}
    most = _most(points, [name for name, *_ in LINES], limits.values())
    if most > LONG_MINUTES:
        _ages(axes)
        axes.set_ylim(0, 3 * most)
    else:
        axes.set_ylim(0, 1.15 * most)
        axes.yaxis.set_major_formatter(of_matplotlib("ticker").StrMethodFormatter("{x:g} min"))
    _limits(axes, limits, size, " min")
    return lines


def _ages(axes: t.Any) -> None:
    """Minutes and weeks in one picture, each by its own name."""
    ticker = of_matplotlib("ticker")
    axes.set_yscale("symlog", linthresh=15, linscale=0.8)
    axes.yaxis.set_major_locator(ticker.FixedLocator(list(AGES)))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.FuncFormatter(_age))


def _age(minutes: float, _place: int) -> str:
    return AGES.get(round(minutes), "")


def _backlog(
    axes: t.Any, points: Sequence[Row], thresholds: Mapping[str, Mapping[str, float]], size: str
) -> list[t.Any]:
    line = _line(axes, points, "backlog_events", "events pending", ACCENT, "-")
    axes.fill_between(line.get_xdata(), line.get_ydata(), step="post", color=ACCENT, alpha=0.14, linewidth=0)
    limits = thresholds["backlog_events"]
    most = _most(points, ["backlog_events"], [])
    if most > 10 * max(limits.values()):
        _logarithmic(axes, 10)
        axes.set_ylim(0, 3 * most)
    else:
        axes.set_ylim(0, 1.15 * max(most, 10))
    _limits(axes, {limit: limits[limit] for limit in LIMITS if limits[limit] <= axes.get_ylim()[1]}, size)
    axes.yaxis.set_major_formatter(of_matplotlib("ticker").StrMethodFormatter("{x:,.0f}"))
    return [line]


def _most(points: Sequence[Row], names: Sequence[str], limits: t.Iterable[float]) -> float:
    known = [value for name in names for value in _values(points, name) if math.isfinite(value)]
    return max([*known, *limits, 1.0])


def _logarithmic(axes: t.Any, evenly_up_to: float) -> None:
    """Tens and hundred thousands in one picture."""
    ticker = of_matplotlib("ticker")
    axes.set_yscale("symlog", linthresh=evenly_up_to, linscale=0.7)
    axes.yaxis.set_major_locator(ticker.SymmetricalLogLocator(base=10, linthresh=evenly_up_to))
    axes.yaxis.set_minor_locator(ticker.NullLocator())
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))


def _limits(axes: t.Any, limits: Mapping[str, float], size: str, unit: str = "") -> None:
    """Each threshold; its words at the end of its line, where there is room for them."""
    bottom, top = axes.transData.transform([(0, axes.get_ylim()[0]), (0, axes.get_ylim()[1])])[:, 1]
    heights = [axes.transData.transform((0, value))[1] / (top - bottom) for value in limits.values()]
    crowded = len(heights) > 1 and abs(heights[0] - heights[1]) < LEAST_DISTANCE
    for limit, value in limits.items():
        colour, words = LIMITS[limit]
        axes.axhline(value, color=colour, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
        if size == "wide" and not (crowded and limit == "ok"):
            place: dict[str, t.Any] = {
                "xycoords": ("axes fraction", "data"),
                "xytext": (0, 2),
                "textcoords": "offset points",
            }
            axes.annotate(
                f"{words} {value:,g}{unit}", (1.0, value), **place, ha="right", va="bottom", color=colour, fontsize=8.5
            )


def _times(axes: t.Any, moments: Sequence[datetime.datetime], size: str) -> None:
    """The one axis of time: from the first look or step to the last one."""
    dates, first, last = of_matplotlib("dates"), min(moments), max(moments)
    margin = max((last - first) / 60, datetime.timedelta(seconds=1))
    axes.set_xlim(first - margin, last + margin)
    locator = dates.AutoDateLocator(minticks=3, maxticks=9 if size == "wide" else 4, tz=datetime.UTC)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, tz=datetime.UTC, show_offset=False))
    days = dict.fromkeys(f"{at.astimezone(datetime.UTC):%Y-%m-%d}" for at in (first, last))
    axes.set_xlabel(f"UTC, {' to '.join(days)}")


class Panel(t.NamedTuple):
    """A chart of the picture: its title, its unit, the figures it shows and how they are painted."""

    title: str
    unit: str
    figures: Sequence[str]
    paint: t.Any


PANELS: t.Final = (
    Panel("staleness", "age of the newest row", [line[0] for line in LINES], _staleness),
    Panel("backlog", "events pending", ["backlog_events"], _backlog),
)
