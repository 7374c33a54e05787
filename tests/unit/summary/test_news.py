# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of which operations people are notified."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import command, render

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
    "changed": False, "summary": "failing", "needs_reset": ["backlog_age"], "blockers": [],
    "ingestion": {"state": "running"}, "verdict": "failing",
}  # fmt: skip
BLOCKED = SICK | {"blockers": ["gold_staleness"], "ingestion": {"state": "paused", "paused_by": None}}
GATE: Result = {
    "operation": "gate",
    "changed": False, "ok": False, "verdict": "fail", "exit_code": 43, "codes": [43], "checks": [], "samples": [],
    "smoke": None, "period_hours": 1, "summary": "2 checks fail",
}  # fmt: skip
CALM = {"changed": False, "summary": "nothing is wrong"}


@pytest.mark.parametrize(
    ("steps", "operation", "expected"),
    [
        ({"assess": SICK, "pause": PAUSED, "drain": DRAINED, "resume": RESUMED}, "emergency_reset", True),
        ({"assess": SICK, "pause": PAUSED, "drain": FAILED}, "emergency_reset", True),
        ({"assess": SICK, "pause": PAUSED, "drain": DRAINED, "assess_again": BLOCKED}, "emergency_reset", True),
        ({"assess": CALM, "pause": PAUSED, "rollback": {}, "gate": GATE}, "rollback", True),
        ({"resume": RESUMED}, "resume_ingestion", True),
        ({"assess": SICK | {"needs_reset": []}}, "emergency_reset", False),
        ({"pause": PAUSED}, "pause_ingestion", False),
        ({"report": CALM, "report_markdown": {"changed": True}}, "incident_report", False),
    ],
)
def test_people_are_notified_of_what_resumed_ingestion_or_left_it_paused(
    steps: dict[str, Result], operation: str, *, expected: bool
) -> None:
    for check, news in ((False, expected), (True, False)):
        story = render.Story(operation, "db1", "adhoc", check, True, steps)
        assert command.is_news(render.document(story)) is news
