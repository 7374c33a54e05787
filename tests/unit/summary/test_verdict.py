# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict stands first, says what is true, and the last line of what is drawn is the command to type."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import NOT_SCOUT
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import gate, layout, render, verdict
from tests.unit.summary.test_summary import ENDS, beside_the_reason, story

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
    ("changed", "words", "colour", "code"),
    [
        ({}, "RECOVERED", verdict.WELL, 0),
        ({"outcome": "nothing_to_do"}, "HEALTHY", verdict.WELL, 0),
        ({"check_mode": True, "outcome": "planned"}, "PLANNED", verdict.WELL, 0),
        ({"operation": "undo", "outcome": "done", "proof": None}, "DONE", verdict.WELL, 0),
        ({"proof": {"status": "unproven"}}, "RUNNING, UNPROVED", verdict.WAITS, 0),
        (failed("not_reached", proof={"status": "failed"}), "RUNNING, UNPROVED", verdict.WAITS, 2),
        (failed("database_error"), "FAILED", verdict.WRONG, 2),
        (failed("connection_failed", ingestion="unknown"), "UNREACHABLE", verdict.WRONG, 2),
        (failed("wrong_database", NOT_SCOUT, ingestion="unknown"), "WITHOUT SCOUT", verdict.WRONG, 2),
        (failed("wrong_database", ingestion="unknown"), "WRONG DATABASE", verdict.WRONG, 2),
        (failed("stopped"), "INTERRUPTED", verdict.WRONG, 2),
        ({"outcome": "still_failing", "ok": False}, "STILL FAILING", verdict.WRONG, 2),
        ({"outcome": "cannot_tell", "ok": False}, "CANNOT TELL", verdict.WAITS, 2),
        (
            {"outcome": "left_paused_for_another", "ingestion": "paused"},
            "PAUSED by a colleague, not touched",
            verdict.WAITS,
            0,
        ),
        (failed("pause_held", ingestion="paused"), "PAUSED by a colleague, not touched", verdict.WAITS, 2),
        (failed("lease_held"), "HELD by a colleague, not touched", verdict.WAITS, 2),
        ({"outcome": "left_paused", "ok": False, "ingestion": "paused"}, "PAUSED, fix first", verdict.WAITS, 2),
        ({"outcome": "left_paused_as_told", "ingestion": "paused"}, "PAUSED", verdict.WAITS, 0),
        (assessed("healthy"), "HEALTHY", verdict.WELL, 0),
        ({"operation": "dead_letters", "outcome": "unchanged", "proof": None}, "DONE", verdict.WELL, 0),
        (assessed("degraded"), "DEGRADED", verdict.WAITS, 0),
        (assessed("failing"), "FAILING", verdict.WRONG, 0),
        ({"operation": gate.OPERATION, "outcome": "passed", "proof": None}, "PASSED", verdict.WELL, 0),
        (
            {"operation": gate.OPERATION, "outcome": gate.NOT_PASSED, "ok": False, "proof": None},
            "NOT PASSED",
            verdict.WRONG,
            2,
        ),
    ],
)
def test_the_verdict(changed: dict[str, Any], words: str, colour: str, code: int) -> None:
    assert verdict.of(MADE | changed) == (words, colour, code)


@pytest.mark.parametrize("width", [79, 119])
@pytest.mark.parametrize("name", sorted(ENDS))
def test_what_is_drawn_fits_and_can_be_pasted(name: str, width: int) -> None:
    made = story(ENDS[name][0], width=width, again="ansible-playbook playbooks/emergency_reset.yml")
    document = render.document(made)
    told = verdict.of(document)
    for phases in (True, False):
        lines = render.drawn(made, told.words, told.code, phases=phases)
        assert lines[0].startswith(told.words)
        assert f"exit {told.code}" in lines[0]
        assert max(map(len, lines)) <= width, lines
        height = layout.BELOW_PHASES if phases and made.changed else layout.HEIGHT
        assert len(beside_the_reason(lines)) <= height + 1
        assert "was" not in [line[2:9].strip() for line in lines] or not phases
        typed = [line[layout.BESIDE :] for line in lines if re.match(" {4}[^ #]", line)]
        done = subprocess.run(["bash", "-n"], input="\n".join(typed), capture_output=True, text=True, check=False)
        assert done.returncode == 0, (typed, done.stderr)
        if document["commands"]:
            assert "next" in lines
            assert typed[-1] == lines[-1][layout.BESIDE :]
