# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Steps of a period, the points that a chart shows, and the chart itself."""

from __future__ import annotations

import datetime
import sys
from typing import Any
from xml.etree import ElementTree

import pytest

from ansible_collections.scout.recovery.plugins.filter import incident_chart as chart_filter
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents import series
from ansible_collections.scout.recovery.plugins.plugin_utils import incident_chart

START = datetime.datetime(2026, 1, 5, 10, tzinfo=datetime.UTC)


def after(seconds: float) -> datetime.datetime:
    return START + datetime.timedelta(seconds=seconds)


@pytest.mark.parametrize(
    ("seconds", "step"),
    [
        (1, 1),
        (300, 1),
        (301, 5),
        (3600, 30),
        (86400, 300),
        (300 * 6 * 3600, 6 * 3600),
        (300 * 86400, 86400),
        (301 * 86400, 2 * 86400),
    ],
)
def test_a_step_is_the_shortest_with_which_a_chart_is_not_crowded(seconds: int, step: int) -> None:
    assert series.step_seconds(START, after(seconds)) == step
    points = series.points(START, after(seconds), [], [], [])
    assert 1 <= len(points) <= series.MOST_STEPS
    assert points[-1]["at"] < after(seconds) <= points[-1]["at"] + datetime.timedelta(seconds=step)


def test_a_backlog_lasts_until_something_changes_it() -> None:
    steps = [
        {"step": 0, "arrived": 2, "loaded": 0, "most": 7, "pending": 7},
        {"step": 2, "arrived": 0, "loaded": 6, "most": 1, "pending": 1},
    ]
    points = series.points(START, after(4), steps, [], [])
    assert [point["pending"] for point in points] == [7, 7, 7, 1]
    assert [point["loaded"] for point in points] == [0, 0, 6, 0]


def test_staleness_is_the_longest_of_a_step() -> None:
    loads = [
        {"step": -1, "last": after(-10), "seconds": None},
        {"step": 1, "last": after(1.75), "seconds": 11.25},
    ]
    points = series.points(START, after(3.5), [], [], loads)
    assert [point["since_load"] for point in points] == [11.0, 11.25, 1.25, 1.75]
    assert {point["since_arrival"] for point in points} == {None}


def test_what_could_not_be_read_is_no_zero() -> None:
    assert {point["pending"] for point in series.points(START, after(3), None, [], [])} == {None}


def report(*points: dict[str, Any], **more: Any) -> dict[str, Any]:
    blank = {"arrived": 1, "loaded": 0, "pending": 2, "since_arrival": 30.0, "since_load": None}
    given = [{**blank, "at": after(60 * place).isoformat(), **point} for place, point in enumerate(points)]
    return {"points": given, "step_seconds": 60, "pauses": [], "runs": [], **more}


def test_the_chart_is_the_same_each_time_and_has_no_date() -> None:
    runs = [{"number": number, "started_at": after(at).isoformat()} for number, at in enumerate((5, 6, 400, 9999), 1)]
    spans = ((60, None), (6, 6))
    pauses = [
        {"started_at": after(start).isoformat(), "ended_at": None if end is None else after(end).isoformat()}
        for start, end in spans
    ]
    made = report(*({} for _ in range(10)), runs=runs, pauses=pauses)
    svg = incident_chart.incident_chart(made)
    assert svg == incident_chart.incident_chart(made)
    texts = [element.text for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]
    assert {"pending, at most", "arrived", "loaded", "paused", "1-2", "3"} <= set(texts)
    assert "4" not in texts, "a run beyond the period has no place in it"
    assert "<dc:date" not in svg
    assert incident_chart.incident_chart(report({"pending": 3})) != incident_chart.incident_chart(
        report({"pending": 4})
    )


def test_without_matplotlib_there_is_a_warning_and_no_chart(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert chart_filter.incident_chart(report({})) == ""
    assert "matplotlib" in capsys.readouterr().err
