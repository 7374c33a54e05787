# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Draws the dashboard: each panel in its place, by its kind, with the colours and units that it names. Plain SVG, as of
scripts/pictures.py."""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from typing import Any

from tests.e2e.board import ALT, BEGAN, MINUTES, Answer, last

Panels = Sequence[tuple[dict[str, Any], list[Answer]]]
#: Of a column and a row of Grafana's grid, and between panels, in pixels.
COLUMN, ROW, GAP = 48, 26, 6
COLOURS = {"green": "#56a64b", "orange": "#ff9830", "red": "#e02f44", "purple": "#a352cc", "blue": "#3274d9"}
SERIES = ("#73bf69", "#f2cc0c", "#8ab8ff")
STYLE = (
    "text{font:11px system-ui,sans-serif;fill:#c7d0d9}.t{font-size:12px;font-weight:600}.v{font-size:20px;font-weight:600;fill:#fff}"
    ".s{font-size:9px;fill:#9fa7b3}"
)


def svg(panels: Panels) -> str:
    """The picture."""
    height = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel, _ in panels) * ROW + GAP
    width = 24 * COLUMN + GAP
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(ALT)}">'
    parts = [f"<style>{STYLE}</style>", f'<rect width="{width}" height="{height}" fill="#111217"/>']
    for panel, answers in panels:
        parts += _panel(panel, answers)
    return "\n".join([head, *parts, "</svg>"]) + "\n"


def _panel(panel: dict[str, Any], answers: list[Answer]) -> list[str]:
    place = panel["gridPos"]
    x, y = place["x"] * COLUMN + GAP, place["y"] * ROW + GAP
    width, height = place["w"] * COLUMN - GAP, place["h"] * ROW - GAP
    kinds: dict[str, Callable[..., list[str]]] = {
        "stat": _stat, "timeseries": _curves, "state-timeline": _states, "bargauge": _bars,
    }  # fmt: skip
    return [
        f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="3" fill="#181b1f" stroke="#2c3036"/>',
        _text(x + 8, y + 17, panel["title"], "t"),
        *kinds[panel["type"]](panel, answers, x + 8, y + 26, width - 16, height - 34),
    ]


def _stat(panel: dict[str, Any], answers: list[Answer], x: float, y: float, width: float, height: float) -> list[str]:
    named = [each for answer in answers for each in last(answer)]
    made: list[str] = []
    tall = height / max(1, len(named))
    for number, (name, value) in enumerate(named):
        top = y + number * tall
        words, colour = _shown(panel, value)
        made.append(f'<rect x="{x:g}" y="{top:g}" width="{width:g}" height="{tall - 4:g}" rx="2" fill="{colour}"/>')
        made += [_text(x + 8, top + tall / 2 + 2, name), _text(x + width - 8, top + tall / 2 + 5, words, "v", "end")]
    return made


def _bars(panel: dict[str, Any], answers: list[Answer], x: float, y: float, width: float, height: float) -> list[str]:
    named = [each for answer in answers for each in last(answer)]
    made: list[str] = []
    tall, left = height / max(1, len(named)), 180
    for number, (name, value) in enumerate(named):
        top = y + number * tall
        words, colour = _shown(panel, value)
        long = (width - left - 60) * min(1.0, value / panel["fieldConfig"]["defaults"]["max"])
        made.append(
            f'<rect x="{x + left:g}" y="{top:g}" width="{width - left - 60:g}" height="{tall - 5:.4g}" fill="#22252b"/>'
        )
        made.append(f'<rect x="{x + left:g}" y="{top:g}" width="{long:.4g}" height="{tall - 5:.4g}" fill="{colour}"/>')
        made += [_text(x, top + tall / 2 + 2, name), _text(x + width, top + tall / 2 + 2, words, "", "end")]
    return made


def _states(panel: dict[str, Any], answers: list[Answer], x: float, y: float, width: float, height: float) -> list[str]:
    series = [each for answer in answers for each in answer.series.items()]
    made: list[str] = []
    tall, left = (height - 16) / max(1, len(series)), 150
    for number, (name, points) in enumerate(series):
        top = y + number * tall
        made.append(_text(x, top + tall - 4, name, "s"))
        since = 0
        for place in range(1, len(points) + 1):
            if place == len(points) or points[place][1] != points[since][1]:
                ends = points[place][0] if place < len(points) else points[-1][0]
                begins, end = (_across(at, x + left, width - left) for at in (points[since][0], ends))
                colour = _shown(panel, points[since][1])[1]
                made.append(
                    f'<rect x="{begins:.5g}" y="{top:.5g}" width="{end - begins:.4g}" height="{tall - 3:.4g}" fill="{colour}"/>'
                )
                since = place
    return [*made, *_clock(x + left, width - left, y + height)]


def _curves(panel: dict[str, Any], answers: list[Answer], x: float, y: float, width: float, height: float) -> list[str]:
    series = [each for answer in answers for each in answer.series.items()]
    left, bottom = x + 44, y + height - 32
    most = max([value for _, points in series for _, value in points], default=0) or 1.0
    least = 0.85 if panel["fieldConfig"]["defaults"].get("unit") == "percentunit" else 0.0
    wide, tall = width - 44, bottom - y
    made = [
        mark
        for part in (0.0, 0.5, 1.0)
        for mark in (
            f'<path d="M{left:g},{bottom - part * tall:.5g}h{wide:g}" stroke="#2c3036"/>',
            _text(left - 5, bottom - part * tall + 3, _unit(panel, least + part * (most - least)), "s", "end"),
        )
    ]
    key, legend, fresh = left, y + height, iter(SERIES)
    for name, points in series:
        limit = name.endswith("limit")
        colour = COLOURS["orange" if name.startswith("fine") else "red"] if limit else next(fresh)
        way = " ".join(
            f"{_across(at, left, wide):.5g},{bottom - (value - least) / (most - least) * tall:.5g}"
            for at, value in points
        )
        dash = ' stroke-dasharray="6 6"' if limit else ' stroke-width="1.6"'
        made.append(f'<polyline points="{way}" fill="none" stroke="{colour}"{dash}/>')
        made += [
            f'<path d="M{key:.5g},{legend - 3:g}h12" stroke="{colour}"{dash}/>',
            _text(key + 16, legend, name, "s"),
        ]
        key += 26 + 5.6 * len(name)
    return [*made, *_clock(left, wide, bottom + 13)]


def _across(at: float, left: float, wide: float) -> float:
    return left + (at - BEGAN) / (60 * MINUTES) * wide


def _clock(left: float, wide: float, y: float) -> list[str]:
    return [
        _text(
            _across(BEGAN + 3600 * hour, left, wide),
            y,
            f"{hour:02}:00",
            "s",
            ("start", "middle", "middle", "end")[hour],
        )
        for hour in range(MINUTES // 60 + 1)
    ]


def _shown(panel: dict[str, Any], value: float) -> tuple[str, str]:
    """The words for a value, and its colour: those of a mapping, else of its threshold."""
    defaults = panel["fieldConfig"]["defaults"]
    for mapping in defaults.get("mappings", []):
        if found := mapping["options"].get(f"{value:g}"):
            return found["text"], COLOURS[found["color"]]
    steps = [
        step["color"] for step in defaults["thresholds"]["steps"] if step["value"] is None or value >= step["value"]
    ]
    return _unit(panel, value), COLOURS[steps[-1]]


def _unit(panel: dict[str, Any], value: float) -> str:
    """A value as Grafana writes that unit."""
    unit = panel["fieldConfig"]["defaults"].get("unit")
    if unit == "percentunit":
        return f"{100 * value:.3g}%"
    if unit != "s":
        return f"{value / 1000:.3g} K" if value >= 1000 else f"{value:.3g}"
    for size, name in ((86400, "days"), (3600, "hours"), (60, "mins")):
        if value >= size:
            return f"{value / size:.3g} {name.rstrip('s') if value == size else name}"
    return f"{value:.3g} s"


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "") -> str:
    extra = f"{f' class={chr(34)}{kind}{chr(34)}' if kind else ''}{f' text-anchor={chr(34)}{anchor}{chr(34)}' if anchor else ''}"
    return f'<text x="{x:.5g}" y="{y:.5g}"{extra}>{html.escape(words)}</text>'
