# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a watch is over and what it comes to, the lines it shows, the chart it draws, and what its summary says."""

from __future__ import annotations

import datetime
import math
import re
import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors, times
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment, thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.watch import charts, course, loop
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render, watch
from tests.unit.summary.test_summary import DATABASE, RUN, VALID, did, failed, on_screen

BEGAN = datetime.datetime(2026, 11, 25, 1, 0, tzinfo=datetime.UTC)
WORDS = {"h": "healthy", "d": "degraded", "f": "failing", "i": "inconclusive", "p": "paused"}
REASONS = {"d": "dlq_unresolved 3", "f": "backlog_age 25 min", "i": "no session: refused", "p": "paused by ben"}
QUIET = {"bronze_staleness": 0.2, "silver_staleness": 0.7, "gold_staleness": 3.0, "backlog_events": 120.0,
         "backlog_age": 0.5, "loaded_per_minute": 340.0}  # fmt: skip


def sample(
    number: int, verdict: str = "healthy", *, every: float = 30, reason: str = "", **figures: Any
) -> course.Sample:
    elapsed = (number - 1) * every
    at = BEGAN + datetime.timedelta(seconds=elapsed)
    state = {"paused": "paused", "inconclusive": "unknown"}.get(verdict, "running")
    return course.Sample(number, at, elapsed, verdict, reason, state, figures)


def watched(verdicts: str, consecutive: int = 3, looks: int = 0, **figures: Any) -> course.Course:
    """A course in which each letter is a sample; it ends where a watch would."""
    seen = course.Course(course.Wanted(30.0 * ((looks or len(verdicts)) - 1), 30.0, consecutive))
    for number, letter in enumerate(verdicts, 1):
        seen.add(sample(number, WORDS[letter], reason=REASONS.get(letter, ""), **({} if letter == "i" else figures)))
        if seen.over:
            break
    return seen


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30m", 1800), ("1h", 3600), ("1800", 1800), ("90s", 90), ("1h30m", 5400), ("2d", 172800), ("0.5h", 1800), (" 5m ", 300),
     ("1m30s", 90), ("1m30", 90), ("1h\n", 3600), ("2.5", 2.5)],
)  # fmt: skip
def test_durations(text: str, seconds: float) -> None:
    assert times.seconds_of(text, "duration") == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", " ", "m", "30 parsecs", "-30m", "30m30m", "1e3", "nan", "inf", "30M", "m30", "1,5h", "٣m", "--"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(
        errors.BadInput, match=r"duration .* is not usable. Next: give seconds, or numbers with d, h, m or s"
    ):
        times.seconds_of(text, "duration")


@pytest.mark.parametrize(
    ("duration", "interval", "consecutive", "says"),
    [
        ("0", 30, 3, "duration '0' is not usable. Next: give more than 0"),
        ("0m", 30, 3, "duration '0m' is not usable"),
        ("8d", 30, 3, "at most 7d"),
        ("9" * 400, 30, 3, "is not usable"),
        ("20s", 30, 1, "duration 20s is shorter than interval_seconds 30. Next: watch longer, or look more often"),
        ("1m", 30, 0, "consecutive 0 is not usable"),
        ("1m", 30, -2, "consecutive -2 is not usable"),
        (
            "1m",
            30,
            4,
            "consecutive 4 can never be reached: a duration of 1 min with interval_seconds 30 gives 3 samples",
        ),
    ],
)
def test_watches_that_make_no_sense_are_refused(duration: str, interval: float, consecutive: int, says: str) -> None:
    with pytest.raises(errors.BadInput, match=re.escape(says)):
        course.wanted(duration, interval, consecutive)


@pytest.mark.parametrize(
    ("duration", "interval", "due"),
    [(60, 30, [0, 30, 60]), (70, 30, [0, 30, 60, 70]), (30, 30, [0, 30]), (0.6, 0.2, [0, 0.2, 0.4, 0.6]), (1.1, 0.5, [0, 0.5, 1, 1.1])],
)  # fmt: skip
def test_looks_from_the_beginning_to_the_end(duration: float, interval: float, due: list[float]) -> None:
    wanted = course.Wanted(duration, interval, 1)
    assert [wanted.due(place) for place in range(wanted.looks)] == pytest.approx(due)


def test_looks_that_were_missed_are_left_out_but_never_the_last() -> None:
    wanted = course.Wanted(100, 30, 1)
    assert [wanted.place(seconds) for seconds in (0, 29, 30, 61, 95, 100, 400)] == [0, 0, 1, 2, 3, 4, 4]


@pytest.mark.parametrize(
    ("verdicts", "verdict", "taken", "why"),
    [
        ("hhhhh", "healthy", 5, ""),
        ("hhhdh", "degraded", 5, ""),
        ("ddddh", "degraded", 5, ""),
        ("dhhhh", "healthy", 5, ""),
        ("hfffhh", "failing", 4, "3 failing samples in a row: backlog_age 25 min"),
        ("fffhhh", "failing", 3, "3 failing samples in a row"),
        ("ffhffhhh", "healthy", 8, ""),
        # What could not be seen is no recovery, and no failure either.
        ("fifif", "failing", 5, "3 failing samples in a row"),
        ("ffihhh", "healthy", 6, ""),
        ("ffihffihhh", "healthy", 10, ""),
        ("hhihh", "inconclusive", 5, "the last samples were inconclusive, healthy, healthy: no session: refused"),
        ("hhihhh", "healthy", 6, ""),
        ("hiihhh", "healthy", 6, ""),
        ("hiiihhhh", "inconclusive", 8, "3 samples in a row could not be taken: no session: refused"),
        ("iiiii", "inconclusive", 5, "5 samples in a row could not be taken"),
        ("iiiifff", "failing", 7, "3 failing samples in a row"),
        ("hhhff", "inconclusive", 5, "the last samples were healthy, failing, failing: backlog_age 25 min"),
        ("hhhhf", "inconclusive", 5, "the last samples were healthy, healthy, failing"),
        ("hppphh", "paused", 4, "3 samples in a row found it paused: paused by ben"),
        ("hhhpp", "inconclusive", 5, "the last samples were healthy, paused, paused: paused by ben"),
        ("pphhh", "healthy", 5, ""),
        ("ffpff", "inconclusive", 5, "the last samples were paused, failing, failing"),
    ],
)
def test_what_a_watch_comes_to(verdicts: str, verdict: str, taken: int, why: str) -> None:
    seen = watched(verdicts)
    assert (seen.verdict, len(seen.samples)) == (verdict, taken)
    assert seen.complete
    assert why in seen.why
    assert (seen.verdict in course.GOOD) == (verdict in ("healthy", "degraded"))
    assert sum(seen.counts.values()) == taken


def test_one_sample_may_be_enough() -> None:
    assert watched("hf", consecutive=1).verdict == "failing"
    assert watched("hh", consecutive=1).verdict == "healthy"
    assert watched("hi", consecutive=1).verdict == "inconclusive"


def test_before_its_end_a_watch_is_not_complete() -> None:
    assert not watched("hh", looks=5).complete
    assert watched("hfff", looks=9).complete


@pytest.mark.parametrize(
    ("values", "trend"),
    [
        ([100], None), ([100, 200], "rising"), ([200, 100], "falling"), ([100, 104], "steady"), ([0, 1], "steady"),
        ([0, 2], "rising"), ([100, 100, 100, None], None), ([None, 50], None), ([50, None, 100], "rising"),
        ([900, 100, 100, 100, 102], "steady"), ([0, 0, 0, 0], "steady"),
    ],
)  # fmt: skip
def test_trends(values: list[float | None], trend: str | None) -> None:
    seen = course.Course(course.Wanted(300, 30, 3))
    for number, value in enumerate(values, 1):
        seen.add(sample(number, backlog_events=value))
    assert seen.trend("backlog_events") == trend


def test_trends_have_both_ends() -> None:
    seen = course.Course(course.Wanted(300, 30, 3))
    for number, value in enumerate((None, 500.0, 900.0, 20.0), 1):
        seen.add(sample(number, backlog_events=value))
    assert seen.trends == {"backlog_events": {"first": 500, "last": 20, "least": 20, "most": 900, "trend": "falling"}}


def test_lines() -> None:
    seen = watched("h" * 26, looks=61, **QUIET)
    assert seen.line == (
        "████░░░░░░ 12:30/30:00 healthy   silver 42 s →, gold 3 min →, backlog 120 →, loaded 340 a min →"
    )
    assert watched("h", looks=61, **QUIET).line.startswith("░░░░░░░░░░ 0:00/30:00 healthy   silver 42 s, gold 3 min")
    assert watched("h" * 3, **QUIET).line.startswith("██████████ 1:00/1:00 healthy")
    assert watched("hff", looks=61, **QUIET).line.startswith(
        "░░░░░░░░░░ 1:00/30:00 failing  2 of 3  backlog_age 25 min  silver"
    )
    assert watched("hi", looks=200).line == "░░░░░░░░░░ 0:30/1:39:30 inconclusive 1 of 3  no session: refused"
    assert watched("hd", looks=61, **QUIET).line.startswith("░░░░░░░░░░ 0:30/30:00 degraded  dlq_unresolved 3  silver")
    long = course.Course(course.Wanted(30, 30, 1))
    long.add(sample(1, "failing", reason="x" * 500))
    assert len(long.line) == course.LINE_WIDTH
    assert long.line.endswith("…")


def indicator(name: str, status: str, value: float | str | None = 25.0, why: str = "") -> assessment.Indicator:
    return assessment.Indicator(name, value, "minutes", status, "somewhere", why)


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("healthy", ""),
        ("failing", "backlog_age 25 min"),
        ("degraded", "gold_staleness 12 min"),
        ("inconclusive", "silver_staleness unknown: lock timeout"),
        ("paused", "paused since one o'clock"),
    ],
)
def test_reasons(verdict: str, words: str) -> None:
    found = (
        indicator("backlog_age", "fail"),
        indicator("gold_staleness", "warn", 12.0),
        indicator("silver_staleness", "unknown", None, "lock timeout"),
        indicator("etl_duration", "unknown", None, "no successful run in the last hour"),
        indicator("bronze_staleness", "ok", 1.0),
        indicator("ingestion", "ok", "paused", "paused since one o'clock"),
    )
    assert loop.reason(verdict, found) == words


def drawn(seen: course.Course, path: Path, title: str = "scout on db1:5432", **figures: dict[str, float]) -> str:
    """The SVG, once both files are what their names say."""
    svg, png = charts.draw(seen, thresholds.DEFAULTS | figures, path / "deep" / "chart", title)
    data = Path(png).read_bytes()
    assert data.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", data[16:24]) == (1210, 935)
    ET.parse(svg)
    assert sorted(path.glob("deep/*")) == [Path(png), Path(svg)], "nothing but the two is left behind"
    return Path(svg).read_text()


def test_a_chart_shows_verdicts_figures_and_thresholds(tmp_path: Path) -> None:
    text = drawn(watched("hhdffiff", looks=61, **QUIET), tmp_path, silver_staleness={"ok": 3, "fail": 7.5})
    for words in (
        "scout on db1:5432", "Failing: 7 of 61 samples in 3 min (2 healthy, 1 degraded, 3 failing, 1 inconclusive)",
        "3 failing samples in a row: backlog_age 25 min", "Staleness, minutes", "Backlog, events", "Throughput, events loaded a minute",
        "bronze, oldest: warn above 5", "silver: warn above 3", "silver: fail above 7.5", "gold: warn above 10",
        "bronze, gold, oldest: fail above 15", ">warn above 10,000<", ">fail above 100,000<", "UTC, 2026-11-25",
        ">degraded<", ">failing<", ">inconclusive<", ">oldest pending event<",
    ):  # fmt: skip
        assert words in text, words
    assert ">paused<" not in text


def test_thresholds_that_all_share_are_named_once(tmp_path: Path) -> None:
    text = drawn(watched("hhh", **QUIET), tmp_path)
    assert ">fail above 15<" in text
    assert text.count("warn above 5") == 1
    assert "Healthy: 3 of 3 samples in 1 min (3 healthy)" in text


def test_a_watch_that_was_stopped_is_no_verdict_yet(tmp_path: Path) -> None:
    assert "Healthy so far: 2 of 61 samples" in drawn(watched("hh", looks=61, **QUIET), tmp_path)


@pytest.mark.parametrize("verdicts", ["i", "h" * 400, "hihihip"])
def test_charts_of_little_and_of_much(verdicts: str, tmp_path: Path) -> None:
    drawn(watched(verdicts, consecutive=1000, **QUIET), tmp_path)


def test_charts_of_extremes(tmp_path: Path) -> None:
    seen = course.Course(course.Wanted(300, 30, 3))
    for number, value in enumerate((0.0, 1e7, None, 3.0, math.pi * 1e5), 1):
        seen.add(sample(number, **dict.fromkeys(QUIET, value)))
    drawn(seen, tmp_path)


@pytest.mark.parametrize(
    "text",
    ["$x^{2}$ costs $ a < b & c > d %s {} \\n \\frac", "日本語 🦝 \u202e line\nbreak\x01\x1b[2J\ud800", "x" * 5000],
)
def test_charts_with_hostile_words(text: str, tmp_path: Path) -> None:
    seen = watched("hh", **QUIET)
    seen.add(sample(3, "failing", reason=text, **QUIET))
    drawn(seen, tmp_path, title=text)


def test_a_chart_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "chart", Path("/proc/nowhere/chart"), tmp_path / "a\0b"):
        with pytest.raises(errors.BadInput, match=r"could not write chart_file .*Next: give a path"):
            charts.draw(watched("hh", **QUIET), thresholds.DEFAULTS, path, "scout")


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for name in [name for name in sys.modules if name.startswith("matplotlib.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(
        errors.BadInput, match=r"has no matplotlib that works: .* Next: python -m pip install matplotlib"
    ):
        charts.require()


SEEN = {
    "operation": "watch",
    "changed": False, "database": DATABASE, "run_id": RUN, "effects": {}, "why": "", "seconds": 1800.0, "planned": 61,
    "counts": {"healthy": 61}, "verdict": "healthy", "state": "running", "samples_file": "/tmp/w/samples.jsonl", "error": None,
    "charts": ["/tmp/w/chart.svg", "/tmp/w/chart.png"], "summary": "healthy after 30 min: 61 healthy", "indicators": [], "diagnoses": [],
    "trends": {
        "silver_staleness": {"first": 14.0, "last": 0.7, "least": 0.1, "most": 15.0, "trend": "falling"},
        "gold_staleness": {"first": 3.0, "last": 3.0, "least": 1.0, "most": 4.0, "trend": "steady"},
        "backlog_events": {"first": 12000.0, "last": 12.0, "least": 0.0, "most": 12000.0, "trend": "falling"},
    },
}  # fmt: skip
NO_RECOVERY = errors.NotConverged("stopped watching: the pipeline does not recover", on=DATABASE, said="3 failing samples in a row",
                                next_step="assess.yml names the likely causes")  # fmt: skip
FAILING = SEEN | {"verdict": "failing", "why": "3 failing samples in a row", "error": NO_RECOVERY.as_dict(),
                  "summary": "failing after 4 min: 6 healthy, 3 failing"}  # fmt: skip
HELD = errors.LeaseHeld(
    "refused to start while another run is active",
    said="ben@laptop has been working on INC-6",
    next_step="talk to ben@laptop",
)
ENDS: dict[str, tuple[dict[str, Any], dict[str, Any], str, list[str]]] = {
    "recovered": ({"watch": SEEN}, {}, "assessed", [
        "saw healthy after 30 min: 61 healthy; silver 14 min to 42 s; backlog 12,000 to 12", "chart /tmp/w/chart.svg",
        "now ingestion is running"]),
    "planned": ({"watch": SEEN | {"summary": "would watch, 61 samples in 30 min; now it is healthy", "charts": []}},
                {"check": True}, "planned", ["saw would watch, 61 samples in 30 min; now it is healthy", "now nothing was written"]),
    "not recovered": ({"watch": FAILING}, {}, "failed", [
        "saw failing after 4 min: 6 healthy, 3 failing", "now ingestion is running",
        "failed stopped watching: the pipeline does not recover", "3 failing samples in a row",
        "next ansible-playbook playbooks/assess.yml names the likely causes"]),
    "paused again": ({"watch": FAILING, "pause": did("paused 3 jobs in 0.4 s", state="paused")}, {}, "failed", [
        "did paused 3 jobs in 0.4 s", "now ingestion is paused",
        "undo ansible-playbook playbooks/resume_ingestion.yml re-enables the jobs"]),
    "could not be paused again": ({"watch": FAILING, "pause": failed(HELD)}, {}, "failed", [
        "failed refused to start while another run is active: ben@laptop has been working on INC-6;",
        "; stopped watching: the pipeline does not recover",
        "now ingestion state unknown",
        "next ansible-playbook playbooks/pause_ingestion.yml ansible-playbook playbooks/assess.yml names"]),
    "refused": ({"watch": failed(errors.BadInput("duration 'x' is not usable", next_step="give seconds"))}, {}, "failed", [
        "failed duration 'x' is not usable", "next give seconds"]),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_summaries(end: str) -> None:
    steps, given, outcome, words = ENDS[end]
    fields = {"check": False, "resume_wanted": True, "seconds": 1802.0} | given
    story = render.Story("watch_recovery", "db1", "INC-7", steps={"preflight": {}, **steps}, **fields)
    made = render.document(story)
    VALID.validate(made)
    assert made["outcome"] == outcome
    assert made["ok"] == (outcome != "failed")
    lines = render.lines(story)
    assert len(lines) <= 20
    assert max(map(len, lines)) <= 79
    text = on_screen(lines)
    for phrase in words:
        assert phrase in text, text
    if end == "refused":
        assert made["watch"] is None
    else:
        assert made["watch"] == {name: steps["watch"][name] for name in watch.WHICH}
        assert made["verdict_after"] == steps["watch"]["verdict"]
