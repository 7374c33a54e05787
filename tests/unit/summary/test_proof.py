# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary says of the proof that a resumed pipeline works by itself."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests.unit.summary.test_summary import VALID, assessed, story

ERROR = {
    "kind": "not_reached", "attempted": "the pipeline does not work by itself", "on": "scout on db1:5432", "said": "x failed",
    "sqlstate": None, "next_step": "GRANT it; then emergency_reset.yml",
}  # fmt: skip


def resumed(proof: dict[str, Any], **more: dict[str, Any]) -> render.Story:
    steps = {
        "assess": assessed("failing", needs_reset=["gold_staleness"]),
        "pause": {"changed": True, "state": "paused", "summary": "paused 3 jobs"},
        "assess_again": assessed("healthy", "paused"),
        "resume": {"changed": True, "state": "running", "summary": "resumed 3 jobs"},
        "proof": proof,
        **more,
    }
    return dataclasses.replace(story(steps), steps=steps)


def said(of: render.Story) -> str:
    VALID.validate(render.document(of))
    return " ".join(" ".join(render.lines(of)).split())


def test_a_failed_proof_is_a_failed_operation_that_is_paused_again() -> None:
    failed = {"changed": False, "status": "failed", "jobs": [], "seconds": 1, "error": ERROR, "summary": "x failed"}
    found = resumed(failed, pause_again={"changed": True, "state": "paused", "summary": "paused 3 jobs"})
    text = said(found)
    assert "now ingestion is paused failed the pipeline does not work by itself on scout on db1:5432: x failed" in text
    assert "proof" not in text
    made = render.document(found)
    assert (made["outcome"], made["ok"], made["ingestion"]) == ("failed", False, "paused")
    assert made["next"] == ["GRANT it; then ansible-playbook scout.recovery.emergency_reset"]
    unpaused = resumed(failed, pause_again={"failed": True, "changed": False, "msg": "no"})
    assert render.document(unpaused)["next"][0] == "ansible-playbook scout.recovery.pause_ingestion"


@pytest.mark.parametrize(
    ("proof", "now"),
    [
        ({"status": "failed", "error": ERROR}, "now ingestion is running, but it does not work by itself"),
        ({"status": "unknown", "error": ERROR}, "now ingestion is running, but whether it works by itself cannot be told"),
        ({"status": "unproven", "failed": True, "msg": "stopped"}, "now ingestion is running, unproven"),
        ({"failed": True, "msg": "the session is lost"}, "now ingestion is running, unproven"),
        ({"status": "skipped", "error": None, "summary": "unproven, because proof=false"},
         "now ingestion is running, nothing is failing proof unproven, because proof=false"),
    ],
)  # fmt: skip
def test_what_is_left_running_is_not_said_to_be_fine(proof: dict[str, Any], now: str) -> None:
    given = {"changed": False, "jobs": [], "seconds": None, "summary": "", **proof}
    assert now in said(resumed(given))
