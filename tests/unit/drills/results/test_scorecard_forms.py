# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scorecard in each of its forms: no text of others, and no missing part, breaks any of them."""

from __future__ import annotations

import html.parser
import re
from typing import Any

import hypothesis
import pytest
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import document as documents
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history, scorecard, svg_geometry
from tests.unit.drills.results import documents as drills
from tests.unit.drills.results.documents import DRILLS, check, document, phase, scenario, step

#: What schemas of JUnit allow: of each element its attributes and what may stand in it.
by_drill = pytest.mark.parametrize("drill", DRILLS.values(), ids=DRILLS)


class Elements(html.parser.HTMLParser):
    """What a browser would take for markup."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def rows(text: str) -> list[list[str]]:
    """The cells of each row of the tables; GitHub ends a cell at any bar that is not escaped."""
    return [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line.startswith("|")]


@by_drill
def test_markdown_keeps_its_form(drill: dict[str, Any]) -> None:
    text = scorecard.markdown(drill, drills.past())
    assert len(text) <= scorecard.LONGEST
    width = 0
    for line in text.splitlines():
        if not line.startswith("|"):
            width = 0
            continue
        [cells] = rows(line)
        width = width or len(cells)
        assert len(cells) == width, line
    outside = re.sub(r"`[^`\n]*`", "", text)
    tags = set(re.findall(r"<[^ >\n]*", outside))
    assert tags <= {"<code", "</code", "<details", "</details", "<summary", "</summary"}
    assert not re.search(r"(?<!`)[@#](?=everyone|12\b)", re.sub(r"<code>.*?</code>", "", outside))
    assert outside.count("<code>") == outside.count("</code>")
    assert "\n# heading" not in text
    assert "{{" not in outside.replace("{{ 7", "")
    assert "\x1b" not in text
    assert "\u202e" not in text


@by_drill
def test_markdown_reads_as_it_is_meant(drill: dict[str, Any]) -> None:
    page = MarkdownIt("gfm-like", {"linkify": False}).render(scorecard.markdown(drill, drills.past()))
    found = Elements(page)
    assert found.open == []
    allowed = {
        "h2",
        "h3",
        "h4",
        "p",
        "ul",
        "li",
        "strong",
        "code",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "details",
        "summary",
    }
    assert {tag for tag, _ in found.tags} <= allowed
    assert {name for _, attributes in found.tags for name in attributes} <= {"style"}
    made = documents.read(drill)
    for text in (
        *(s.title for s in made.scenarios),
        *(p.found for s in made.scenarios for p in s.checks if not p.passed),
    ):
        assert " ".join(text.split()) in found.text.replace("\N{WORD JOINER}", "")


def test_markdown_says_it_all() -> None:
    text = scorecard.markdown(DRILLS["trouble"], drills.past())
    assert text.startswith(
        "## Recovery drill of 25 Nov 2026, 21:00 UTC: failed\n\n**3 of 15 scenarios did not pass.** "
    )
    by_name = {
        cells[0].split("`")[1]: [cell.strip() for cell in cells]
        for cells in rows(text)
        if cells[0].startswith(" `") and len(cells) == 9
    }
    assert by_name["slow_standby"][1:] == [
        "**failed**", "7.5 s", "6.9 s of 1 min", "**11 min 58 s of 10 min**", "**11 min 56 s of 10 min**",
        "2,601, none lost or duplicated", "5 of 5",
        "**broke, usually 1 min 38 s**",
    ]  # fmt: skip
    assert by_name["gold_stale"][3:6] == ["–", "12 s of 5 min", "–"]
    assert by_name["controller_killed"][8] == "**slower, usually 1 min 14 s**"
    assert by_name["unnamed_table_renamed"][1:] == ["**not run**", *["–"] * 6, "not run, usually 56 s"]
    assert "#### `gold_broken`: failed\n\n- `a second run of emergency_reset changed 1 thing`\n" in text
    assert "- `lacks table scout.dim_product, needed by the fault unnamed`\n" in text
    assert (
        "| 16 Oct 2026, 21:00 UTC | interrupted | 14 of 15 | 16 min 50 s | embedded, not compared | 17.10 |\n" in text
    )
    assert "Passed over in the history:\n\n- `notes.json: not a drill`\n" in text


def test_markdown_of_forty_that_failed_gives_way_in_the_details_only() -> None:
    text = scorecard.markdown(DRILLS["forty"])
    assert all(f"| `scenario_{n}` " in text for n in range(40))
    assert "more did not pass; `scorecard.json` has their details." in text
    assert "Steps of those that passed" not in text


@by_drill
def test_html_is_whole_loads_nothing_and_escapes(drill: dict[str, Any]) -> None:
    text = scorecard.html(drill, drills.past())
    found = Elements(text)
    assert found.open == []
    names = [tag for tag, _ in found.tags]
    assert set(names).isdisjoint({"script", "img", "link", "iframe", "object", "embed", "base", "form"})
    for _, attributes in found.tags:
        assert not any(name.startswith("on") or name in ("src", "srcset", "data") for name in attributes)
        href = attributes.get("href")
        assert href is None or href.startswith("#scenario-") or re.fullmatch(r"[\w./-]+", href), href
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert ids == [f"scenario-{n}" for n in range(1, len(drill["scenarios"]) + 1)]
    assert not re.search(r"url\(|@import|@font-face", text)
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert names.count("h1") == 1


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(st.text(max_size=80))
def test_any_text_stays_a_text(text: str) -> None:
    made = document(
        scenario(title=text, verdict="failed", why=[text], lacks=[text], checks=[check(text or "x", found=text, passed=False)],
                 steps=[step(said=text, artifacts=text)]),
        operator=text,
    )  # fmt: skip
    assert Elements(scorecard.html(made)).open == []
    assert len({len(cells) for cells in rows(scorecard.markdown(made)) if len(cells) != 5}) == 1


def test_html_shows_each_phase_against_its_budget() -> None:
    text = scorecard.html(document(scenario(phases=[phase("paused", 15.0, 60.0), phase("recovered", 400.0, 300.0), phase("resumed", None)],
                                            verdict="failed")))  # fmt: skip
    assert 'aria-label="paused: 15 s of 1 min"><i style="width:67.45%"></i></div>' in text
    assert ('aria-label="recovered: 6 min 40 s of 5 min"><i class="spent" style="width:95.21%"></i>'
            '<i class="over" style="width:4.79%"></i><b style="left:95.21%"></b></div>') in text  # fmt: skip
    assert 'aria-label="resumed: never"' in text


@pytest.mark.parametrize(
    ("seconds", "budget", "made"),
    [
        (15.0, 60.0, (67.45, 0, 100)),
        (60.0, 60.0, (100, 0, 100)),
        (0.0, 60.0, (1.5, 0, 100)),
        (120.0, 60.0, (85.72, 14.28, 85.72)),
        (0.0, 0.0, (1.5, 0, 100)),
        (5.0, 0.0, (0, 100, 0)),
        (None, 60.0, (0, 0, None)),
        (5.0, None, (0, 0, None)),
    ],
)
def test_bars(seconds: float | None, budget: float | None, made: tuple[float, float, float | None]) -> None:
    bar = svg_geometry.bar(documents.Phase("recovered", seconds, budget, True))
    assert (bar.fill, bar.over, bar.mark) == made


def test_curves_stay_inside_their_picture() -> None:
    drill = documents.read(DRILLS["trouble"])
    for trend in history.trends(drill, drills.past()).scenarios.values():
        made = svg_geometry.curve(trend, 260, 96, 10)
        assert all(0 <= mark.x <= 260 and 0 <= mark.y <= 96 for mark in made.marks)
        for line in made.lines:
            points = [tuple(map(float, point.split(","))) for point in line.split()]
            assert len(points) > 1
            assert points == sorted(points)
            assert all(0 <= x <= 260 and 0 <= y <= 96 for x, y in points)
    two = svg_geometry.curve(history.trends(drill, drills.past()).scenarios["two_operators"], 260, 96, 10)
    assert [mark.passed for mark in two.marks] == [True, False, True, True, True, True]
    assert len(two.lines) == 1
