# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the screen says at the end of a drill, and what a machine reads of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import failure
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests import CHECKOUT

SCHEMA = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text())


def phase(name: str, seconds: float | None, budget: float | None) -> dict[str, Any]:
    within = seconds is not None and (budget is None or seconds <= budget)
    return {"phase": name, "seconds": seconds, "budget": budget, "within": within}


def scenario(name: str, verdict: str, *phases: dict[str, Any], why: list[str] | None = None) -> dict[str, Any]:
    events = {"written": 9, "lost": 0, "duplicated": 0, "altered": 0, "unexpected": 0}
    return {
        "name": name,
        "title": name,
        "severity": "high",
        "verdict": verdict,
        "seconds": 41.2,
        "phases": list(phases),
        "events": events if phases else None,
        "why": why or [],
    }


def result(verdict: str, *scenarios: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "changed": False,
        "verdict": verdict,
        "document": {"drill": "2026-11-25T210000Z", "sandbox": "embedded", "seconds": 90, "scenarios": list(scenarios)},
        "folder": "/var/drills/2026-11-25T210000Z",
        "scorecard": "/var/drills/2026-11-25T210000Z/scorecard.html",
        "scenarios": [each["name"] for each in scenarios],
        "elsewhere": [],
        "summary": "said so",
        **more,
    }


def story(drill: dict[str, Any], *, check: bool = False) -> render.Story:
    return render.Story("drill", "localhost", "adhoc", check, True, {"drill": drill}, 95.0)


def validated(story_: render.Story) -> dict[str, Any]:
    made = json.loads(json.dumps(render.document(story_)))
    jsonschema.validate({"format": render.FORMAT, "run_key": "x", "results": [made]}, SCHEMA)
    return made


PASSED = scenario(
    "poison_event", "passed", phase("detected", 0.2, None), phase("paused", 3, 1800), phase("recovered", 41, 300)
)
SLOW = scenario(
    "gold_stale", "failed", phase("paused", 90, 60), phase("recovered", 10, 300), why=["paused 90 s of 60 s", "b", "c"]
)
NEVER = scenario("lost_window", "failed", phase("recovered", None, 300), why=["never recovered"])
NOT_RUN = scenario("slow_standby", "not_run", why=["no standby"])


def test_a_line_for_each_scenario() -> None:
    told = result("failed", PASSED, SLOW, NEVER, NOT_RUN)
    assert render.lines(story(told)) == [
        "drill FAILED, sandbox embedded, 1 min 35 s",
        "  passed      poison_event  recovered 41 s of 5 min",
        "  failed      gold_stale    paused 1 min 30 s of 1 min",
        "  failed      lost_window   recovered never of 5 min",
        "  not run     slow_standby",
        "  why    gold_stale: paused 90 s of 60 s; b; and 1 more",
        "  why    lost_window: never recovered",
        "  said   said so",
        "  see    /var/drills/2026-11-25T210000Z/scorecard.html",
    ]
    made = validated(story(told))
    assert (made["outcome"], made["ok"], made["changed"]) == ("not_passed", False, False)
    assert [each["verdict"] for each in made["drill"]["scenarios"]] == ["passed", "failed", "failed", "not_run"]


def test_one_that_passed() -> None:
    told = result("passed", PASSED, elsewhere=["slow_standby"], warnings=["the drill was not added to x: full"])
    assert render.lines(story(told)) == [
        "drill PASSED, sandbox embedded, 1 min 35 s",
        "  passed      poison_event  recovered 41 s of 5 min",
        "  said   said so",
        "  left   slow_standby, for another sandbox",
        "  see    /var/drills/2026-11-25T210000Z/scorecard.html",
        "  warn   the drill was not added to x: full",
    ]
    made = validated(story(told))
    assert (made["outcome"], made["ok"]) == ("passed", True)


@pytest.mark.parametrize("names", [1, 40])
def test_it_is_as_long_as_there_are_scenarios_and_fits_the_screen(names: int) -> None:
    many = [
        scenario("a_rather_long_name_of_a_scenario_" + "x" * n, "passed", phase("recovered", 1, 2))
        for n in range(names)
    ]
    lines = render.lines(story(result("passed", *many)))
    assert len(lines) == names + 3
    assert max(map(len, lines)) <= 79


def test_a_check_lists_what_would_be_run() -> None:
    planned = {"changed": False, "scenarios": ["a", "b"], "elsewhere": ["c"], "document": None, "verdict": None}
    assert render.lines(story(planned, check=True)) == [
        "drill planned, 2 scenarios",
        "  would  a, b",
        "  left   c, for another sandbox",
        "  now    nothing was run",
        "  next   run it without --check",
    ]
    made = validated(story(planned, check=True))
    assert (made["outcome"], made["drill"]) == ("planned", None)


def test_what_was_refused_is_told_as_everywhere() -> None:
    refused = failure(BadInput("there is no scenario 'x'", next_step="name another"))
    lines = render.lines(story(refused))
    assert "  failed there is no scenario 'x'" in lines
    assert "  next   name another" in lines
    made = validated(story(refused))
    assert (made["outcome"], made["drill"]) == ("failed", None)
