# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the screen says at the end of a drill, and what a machine reads of it."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests import CHECKOUT

SCHEMA = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text())


def scenario(name: str, verdict: str, recovered: float | None = None, why: list[str] | None = None) -> dict[str, Any]:
    phases = {"detected": 0.2, "paused": 3.0, "recovered": recovered, "resumed": recovered}
    events = {"written": 9, "lost": 0, "duplicated": 0, "altered": 0, "unexpected": 0}
    return {
        "name": name,
        "title": name,
        "verdict": verdict,
        "seconds": 41.2,
        "budget_seconds": 300,
        "phases": {} if verdict == "not_run" else phases,
        "events": None if verdict == "not_run" else events,
        "why": why or [],
    }


def result(verdict: str, *scenarios: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "changed": False,
        "verdict": verdict,
        "document": {
            "drill": "2026-11-25T210000Z",
            "database": "the embedded reference",
            "seconds": 90,
            "scenarios": list(scenarios),
        },
        "folder": "/var/drills/2026-11-25T210000Z",
        "page": "/var/drills/2026-11-25T210000Z/drill.md",
        "scenarios": [each["name"] for each in scenarios],
        "elsewhere": [],
        "summary": "said so",
        **more,
    }


def story(drill: dict[str, Any], *, check: bool = False) -> render.Story:
    return render.Story("drill", "localhost", "adhoc", check, True, {"drill": drill})


def validated(story_: render.Story) -> dict[str, Any]:
    made = json.loads(json.dumps(render.document(story_)))
    jsonschema.validate({"format": render.FORMAT, "results": [made]}, SCHEMA)
    return made


PASSED = scenario("poison_event", "passed", 41)
SLOW = scenario("gold_stale", "failed", 310, why=["recovered after 310 s", "b", "c"])
NEVER = scenario("lost_window", "failed", why=["never recovered"])
NOT_RUN = scenario("bad_release", "not_run", why=["lacks a job"])


def test_a_line_for_each_scenario() -> None:
    told = result("failed", PASSED, SLOW, NEVER, NOT_RUN)
    assert render.lines(story(told)) == [
        "drill FAILED, the embedded reference, 1 min 30 s",
        "  passed      poison_event  recovered 41 s of 5 min",
        "  failed      gold_stale    recovered 5 min 10 s of 5 min",
        "  failed      lost_window",
        "  not run     bad_release",
        "  why    gold_stale: recovered after 310 s; b; and 1 more",
        "  why    lost_window: never recovered",
        "  why    bad_release: lacks a job",
        "  said   said so",
        "  see    /var/drills/2026-11-25T210000Z/drill.md",
    ]
    made = validated(story(told))
    assert (made["outcome"], made["ok"], made["changed"]) == ("not_passed", False, False)
    assert [each["verdict"] for each in made["drill"]["scenarios"]] == ["passed", "failed", "failed", "not_run"]


@pytest.mark.parametrize("names", [1, 40])
def test_it_is_as_long_as_there_are_scenarios_and_fits_the_screen(names: int) -> None:
    many = [scenario("a_rather_long_name_of_a_scenario_" + "x" * n, "passed", 1) for n in range(names)]
    lines = render.lines(story(result("passed", *many)))
    assert len(lines) == names + 3
    assert max(map(len, lines)) <= 79
