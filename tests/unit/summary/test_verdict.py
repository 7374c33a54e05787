# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict says what is true."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import NOT_SCOUT
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import gate, verdict

MADE: dict[str, Any] = {
    "operation": "emergency_reset",
    "outcome": "recovered",
    "ok": True,
    "error": None,
    "check_mode": False,
    "ingestion": "running",
    "proof": {"status": "proved"},
    "verdict_before": "failing",
    "verdict_after": "healthy",
}


def failed(kind: str, attempted: str = "load", **more: Any) -> dict[str, Any]:
    return {"ok": False, "outcome": "failed", "error": {"kind": kind, "attempted": attempted}, **more}


def assessed(found: str) -> dict[str, Any]:
    return {"operation": "assess", "outcome": "assessed", "proof": None, "verdict_before": found, "verdict_after": None}


@pytest.mark.parametrize(
    ("changed", "words", "code"),
    [
        ({}, "RECOVERED", 0),
        ({"outcome": "nothing_to_do"}, "HEALTHY", 0),
        ({"check_mode": True, "outcome": "planned"}, "PLANNED", 0),
        ({"operation": "undo", "outcome": "done", "proof": None}, "DONE", 0),
        ({"proof": {"status": "unproven"}}, "RUNNING, UNPROVED", 0),
        (failed("not_reached", proof={"status": "failed"}), "RUNNING, UNPROVED", 2),
        (failed("database_error"), "FAILED", 2),
        (failed("connection_failed", ingestion="unknown"), "UNREACHABLE", 2),
        (failed("wrong_database", NOT_SCOUT, ingestion="unknown"), "WITHOUT SCOUT", 2),
        (failed("wrong_database", ingestion="unknown"), "WRONG DATABASE", 2),
        (failed("stopped"), "INTERRUPTED", 2),
        ({"outcome": "still_failing", "ok": False}, "STILL FAILING", 2),
        ({"outcome": "cannot_tell", "ok": False}, "CANNOT TELL", 2),
        (
            {"outcome": "left_paused_for_another", "ingestion": "paused"},
            "PAUSED by a colleague, not touched",
            0,
        ),
        (failed("pause_held", ingestion="paused"), "PAUSED by a colleague, not touched", 2),
        (failed("lease_held"), "HELD by a colleague, not touched", 2),
        ({"outcome": "left_paused", "ok": False, "ingestion": "paused"}, "PAUSED, fix first", 2),
        ({"outcome": "left_paused_as_told", "ingestion": "paused"}, "PAUSED", 0),
        (assessed("healthy"), "HEALTHY", 0),
        ({"operation": "dead_letters", "outcome": "unchanged", "proof": None}, "DONE", 0),
        (assessed("degraded"), "DEGRADED", 0),
        (assessed("failing"), "FAILING", 0),
        ({"operation": gate.OPERATION, "outcome": "passed", "proof": None}, "PASSED", 0),
        (
            {"operation": gate.OPERATION, "outcome": gate.NOT_PASSED, "ok": False, "proof": None},
            "NOT PASSED",
            2,
        ),
    ],
)
def test_the_verdict(changed: dict[str, Any], words: str, code: int) -> None:
    assert verdict.of(MADE | changed) == (words, code)
