# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The page of a drill's scorecard as a browser shows it: on a telephone, on a desk, in the dark and on paper."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import history, scorecard
from tests.e2e.browser import Browser
from tests.unit.drills.results import documents as drills
from tests.unit.drills.results.documents import DRILLS

LOOKS: dict[str, dict[str, Any]] = {
    "telephone": {"width": 360},
    "tablet": {"width": 820},
    "narrow window": {"width": 1041},
    "desk": {"width": 1280},
    "telephone in the dark": {"width": 360, "dark": True},
    "desk in the dark": {"width": 1280, "dark": True},
    "paper": {"paper": True},
}

#: Those with the most on them are looked at in every way.
PAGES = [
    *((name, look) for name in ("trouble", "hostile") for look in LOOKS),
    *((name, look) for name in ("forty", "interrupted", "never") for look in ("telephone", "paper")),
    *((name, "desk") for name in ("passed", "none", "bare")),
]


@pytest.mark.parametrize(("name", "look"), PAGES)
def test_there_is_nothing_to_stumble_over(name: str, look: str, browser: Browser, tmp_path: Path) -> None:
    [*_, page] = scorecard.write(DRILLS[name], tmp_path, drills.past())
    seen = browser.look(page, **LOOKS[look])
    assert seen.flaws() == []
    assert seen.requests == []


def test_what_people_ask_for_first_comes_first(browser: Browser) -> None:
    seen = browser.look(scorecard.html(DRILLS["trouble"], drills.past()))
    assert seen.title == "Recovery drill of 25 Nov 2026, 21:00 UTC: failed"
    assert seen.headings[0] == (1, "Failed")
    assert [text for level, text in seen.headings if level == 2] == [
        "Scenarios",
        "Scenario by scenario",
        "Trend: time until recovered",
        "Earlier drills",
    ]
    said = re.sub(r"\s+", " ", seen.text)
    assert said.lower().index("3 of 15 scenarios did not pass.") < said.index("Scenario by scenario")
    for each in (
        "11 min 58 s",
        "67 of 68",
        "2 failed, 1 not run",
        "of 33,603 written",
        "broke: gold_broken, slow_standby",
    ):
        assert each in said
    assert "lacks table scout.dim_product, needed by the fault unnamed" in said
    assert "1 changed: gold.daily_sales was refreshed again" in said


def test_who_prints_it_has_the_steps_of_those_that_passed_too(browser: Browser, tmp_path: Path) -> None:
    page = scorecard.html(DRILLS["passed"])
    assert "Recovered: 214 of 214 events" not in browser.look(page).text
    assert "Recovered: 214 of 214 events" in browser.look(page, paper=True).text
    assert browser.print(page, tmp_path / "page.pdf") > 10_000


def test_every_scenario_is_reached_from_the_top(browser: Browser) -> None:
    seen = browser.look(scorecard.html(DRILLS["trouble"]))
    assert {f"#scenario-{n}" for n in range(1, 16)} <= {link[link.index("#") :] for link in seen.links if "#" in link}


def test_hostile_texts_are_shown_as_they_are(browser: Browser) -> None:
    seen = browser.look(
        scorecard.html(DRILLS["hostile"], history.Earlier((), ("<script>alert(4)</script>: not a drill",)))
    )
    assert '<script>alert(1)</script> | "><img src=x onerror=alert(2)> @everyone' in seen.text
    assert "<script>alert(4)</script>: not a drill" in seen.text
    assert seen.flaws() == []
