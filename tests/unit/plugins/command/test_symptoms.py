# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people say is found by its words, and what is printed then can be typed."""

from __future__ import annotations

import re

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils.command import line, symptoms, terminal
from tests import CHECKOUT
from tests.e2e.pasting import accepted

HERE = line.Place(CHECKOUT, CHECKOUT, {})


@pytest.mark.parametrize(
    ("said", "playbook", "says"),
    [
        ("dashboard shows yesterday", "assess", "dashboard shows yesterday"),
        ("the dashboards show old numbers", "assess", "dashboard shows yesterday"),
        ("totals doubled since the deploy", "rollback", "totals doubled since the deploy"),
        ("doubled", "rollback", "totals doubled since the deploy"),
        ("customer Santos appears twice", "quarantine", "customer X appears twice"),
        ("duplicates", "quarantine", "customer X appears twice"),
        ("disk 95 %", "assess", "disk 95 %"),
        ("No space left on device!", "assess", "disk 95 %"),
        ("a laptop died in a reset", "emergency_reset", "a laptop died in a reset"),
        ("which run?", "runs", "which run?"),
        ("no sales since noon", "assess", "nothing arrives"),
        ("an hour of sales is missing", "window_recovery", "sales are missing"),
        ("who paused this", "assess", "who paused it?"),
        ("negative totals", "quality_cleanup", "negative totals"),
        ("a till sends nonsense", "pause_ingestion", "bad prices came in"),
        ("it is stuck", "terminate_sessions", "it hangs"),
        ("can we deploy again?", "acceptance_gate", "is it over?"),
    ],
)
def test_a_sentence_leads_to_a_command(said: str, playbook: str, says: str) -> None:
    first = symptoms.found(said.split())[0]
    assert (first.says[0], first.typed[0].playbook) == (says, playbook)


@pytest.mark.parametrize("symptom", symptoms.SYMPTOMS, ids=lambda each: each.says[0])
def test_each_of_its_sentences_finds_it_and_its_commands_are_accepted(symptom: symptoms.Symptom) -> None:
    for said in symptom.says:
        assert symptom in symptoms.found([said]), said
    for typed in symptom.typed:
        accepted(typed.words(HERE.playbook(typed.playbook)))


def test_a_screen_is_narrow_and_each_command_stands_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.main(["help", "doubled"], "python") == 0
    shown = capsys.readouterr().out.splitlines()
    assert "  ansible-playbook playbooks/assess.yml" in [
        re.sub(r"scout\.recovery\.(\w+)", r"playbooks/\1.yml", each) for each in shown
    ]
    assert all(len(each) <= symptoms.WIDTH for each in shown[1:])
    assert terminal.main(["help"], "python") == 0
    listed = capsys.readouterr().out
    assert all(symptom.says[0] in listed for symptom in symptoms.SYMPTOMS)


def test_what_nobody_says_is_no_dead_end(capsys: pytest.CaptureFixture[str]) -> None:
    assert terminal.main(["help", "xyzzy"], "python") == 2
    assert "scout help lists what people say, and scout assess says what is wrong" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["undo"], ["incident"], ["incident", "open"]])
def test_help_for_a_command_is_its_own(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        terminal.main(["help", *words], "python")
    assert left.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: scout {' '.join(words)} ")
