# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdict stands first, says what is true, and the last line of what is drawn is the command to type."""

from __future__ import annotations

import re
import subprocess
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.fleet import row, verdict
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import layout, render
from tests.unit.summary.test_summary import ENDS, beside_the_reason, story

MADE: dict[str, Any] = {
    "operation": "emergency_reset",
    "outcome": "recovered",
    "ok": True,
    "error": None,
    "check_mode": False,
    "ingestion": "running",
    "proof": {"status": "proved"},
}


@pytest.mark.parametrize(
    ("changed", "standing", "words", "colour", "code"),
    [
        ({}, "recovered", "RECOVERED", verdict.WELL, 0),
        ({"proof": {"status": "unproven"}}, "recovered", "RUNNING, UNPROVED", verdict.WAITS, 0),
        (
            {"ok": False, "error": {"kind": "not_reached"}, "proof": {"status": "failed"}},
            "failed",
            "RUNNING, UNPROVED",
            verdict.WAITS,
            2,
        ),
        ({"outcome": "still_failing", "ok": False}, "still failing", "STILL FAILING", verdict.WRONG, 2),
        (
            {"outcome": "left_paused_for_another", "ingestion": "paused"},
            "paused",
            "PAUSED by a colleague, not touched",
            verdict.WAITS,
            0,
        ),
        (
            {"ok": False, "error": {"kind": "pause_held"}, "ingestion": "paused"},
            "failed",
            "PAUSED by a colleague, not touched",
            verdict.WAITS,
            2,
        ),
        (
            {"ok": False, "error": {"kind": "lease_held"}},
            "failed",
            "HELD by a colleague, not touched",
            verdict.WAITS,
            2,
        ),
        (
            {"outcome": "left_paused", "ok": False, "ingestion": "paused"},
            "left paused",
            "PAUSED, fix first",
            verdict.WAITS,
            2,
        ),
        ({"outcome": "left_paused_as_told", "ingestion": "paused"}, "paused", "PAUSED", verdict.WAITS, 0),
        ({"operation": "assess", "outcome": "assessed", "proof": None}, "degraded", "DEGRADED", verdict.WAITS, 0),
        ({"operation": "assess", "outcome": "assessed", "proof": None}, "failing", "FAILING", verdict.WRONG, 0),
    ],
)
def test_the_verdict(changed: dict[str, Any], standing: str, words: str, colour: str, code: int) -> None:
    placed: Any = {"standing": standing, "verdict": standing}
    found = verdict.of(MADE | changed, placed)
    assert found == (words, colour, code)


@pytest.mark.parametrize("width", [79, 119])
@pytest.mark.parametrize("name", sorted(ENDS))
def test_what_is_drawn_fits_and_can_be_pasted(name: str, width: int) -> None:
    made = story(ENDS[name][0], width=width, again="ansible-playbook playbooks/emergency_reset.yml")
    document = render.document(made)
    told = verdict.of(document, row.of(document))
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


def test_words_come_before_the_command_that_they_are_about() -> None:
    command = "ansible-playbook playbooks/dead_letters.yml"
    assert layout.typed(f"{command} lists them", 75) == ["# lists them", command]
    assert layout.typed(f"once the cause is fixed, {command}", 75) == ["# once the cause is fixed", command]
    assert layout.typed(f"{command}; then ansible-playbook playbooks/assess.yml", 75) == [
        command,
        "ansible-playbook playbooks/assess.yml",
    ]
    assert layout.typed("look at the network", 75) == ["# look at the network"]
    assert layout.typed("", 75) == []
