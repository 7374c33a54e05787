# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people are told of a recovery, and what a summary says of who was told."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import incident, render

Result = dict[str, Any]

PAUSED: Result = {"changed": True, "summary": "paused 3 jobs", "state": "paused"}
DRAINED: Result = {"changed": True, "summary": "loaded 3,000 events"}
RESUMED: Result = {"changed": True, "summary": "resumed 3 jobs", "state": "running"}
FAILED: Result = {
    "changed": False, "failed": True, "msg": "x",
    "error": {"kind": "not_reached", "attempted": "could not drain", "on": "", "said": "it hangs", "sqlstate": None,
              "next_step": ""},
}  # fmt: skip
SICK: Result = {
    "changed": False, "incident_open": True, "summary": "failing", "needs_reset": ["backlog_age"], "blockers": [],
    "ingestion": {"state": "running"}, "verdict": "failing",
}  # fmt: skip
BLOCKED = SICK | {"blockers": ["gold_staleness"], "ingestion": {"state": "paused", "paused_by": None}}
GATE: Result = {
    "operation": "gate",
    "changed": False, "ok": False, "verdict": "fail", "exit_code": 43, "codes": [43], "checks": [], "samples": [],
    "smoke": None, "period_hours": 1, "summary": "2 checks fail",
}  # fmt: skip
CALM = {"changed": False, "summary": "nothing is wrong", "incident_open": True}
NONE = {"event": None, "happened": "", "done": ""}


def news(steps: dict[str, Result], operation: str = "emergency_reset", *, check: bool = False) -> Result:
    told = render.Story(operation, "db1", "INC-1", check, True, steps)
    return incident.news(render.document(told), told.ran)


@pytest.mark.parametrize(
    ("steps", "operation", "said"),
    [
        ({"assess": SICK, "pause": PAUSED, "drain": DRAINED, "resume": RESUMED}, "emergency_reset",
         {"event": "recovered", "happened": "", "done": "loaded 3,000 events"}),
        ({"assess": SICK, "pause": PAUSED, "drain": FAILED}, "emergency_reset",
         {"event": "update", "happened": "ingestion stays paused after the emergency reset: could not drain: it hangs",
          "done": ""}),
        ({"assess": SICK, "pause": PAUSED, "drain": DRAINED, "assess_again": BLOCKED}, "emergency_reset",
         {"event": "update", "happened": "ingestion stays paused after the emergency reset: gold staleness",
          "done": "loaded 3,000 events"}),
        ({"assess": CALM, "pause": PAUSED, "rollback": {}, "gate": GATE}, "rollback",
         {"event": "update", "happened": "ingestion stays paused after the rollback: the gate says fail", "done": ""}),
        ({"resume": RESUMED | {"incident_open": True}}, "resume_ingestion",
         {"event": "recovered", "happened": "", "done": ""}),
        ({"assess": SICK | {"needs_reset": []}}, "emergency_reset", NONE),
        ({"pause": PAUSED | {"incident_open": True}}, "pause_ingestion", NONE),
        ({"incident": CALM | {"changed": True}}, "incident_open", NONE),
        ({"pause": PAUSED, "resume": RESUMED}, "emergency_reset", NONE),
    ],
)  # fmt: skip
def test_what_a_recovery_is_news_of(steps: dict[str, Result], operation: str, said: Result) -> None:
    assert news(steps, operation) == said
    assert news(steps, operation, check=True) == NONE


def test_the_checklist_is_as_it_is_after_telling() -> None:
    record = {"operation": "incident", "phases": [1], "title": "x"}
    assert incident.after_telling(record, {"phases": [2]}) == {"operation": "incident", "phases": [2], "title": "x"}
    assert incident.after_telling(record, {"error": {}}) == record
    assert incident.after_telling({}, {"phases": [2]}) == {}


def test_who_was_told_and_is_not_on_record_is_a_warning_and_no_failure() -> None:
    told = {"incident": CALM | {"changed": True}, "notify": {"changed": True, "summary": "notified team"}}
    story = render.Story("incident_open", "db1", "INC-1", False, True, told | {"notified": FAILED})
    made = render.document(story)
    assert (made["outcome"], made["ok"]) == ("done", True)
    assert made["warnings"] == ["the record does not show who was notified: x"]
    assert [step["name"] for step in made["steps"]] == ["incident", "notify"]
