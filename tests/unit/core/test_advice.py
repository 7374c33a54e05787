# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command stands alone, complete, and words are words."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice, errors

A = "ansible-playbook playbooks/assess.yml"
R = "ansible-playbook playbooks/redrive.yml"


@pytest.mark.parametrize(
    ("text", "commands", "words"),
    [
        (A, [A], []),
        (f"{A}, then wait", [A], ["then wait"]),
        (f"wait, then {A}", [A], ["wait, then"]),
        (f"{A}; then {R} -e run_id=7.", [A, f"{R} -e run_id=7"], []),
        (f"once fixed, {R} -e stores=a,b; or not", [f"{R} -e stores=a,b"], ["once fixed, … or not"]),
        (f"""{R} -e '{{"x": "1, 2"}}' -e "t='a; b'" when ready""", [f"""{R} -e '{{"x": "1, 2"}}' -e "t='a; b'\""""], ["when ready"]),
        (f"{A} --check shows it", [f"{A} --check"], ["shows it"]),
        ("`terminate_sessions.yml -e stuck_after_seconds=9` ends it",
         ["ansible-playbook playbooks/terminate_sessions.yml -e stuck_after_seconds=9"], ["ends it"]),
        ("incident_note.yml adds to it", [], ["incident_note.yml adds to it"]),
        (f"{R} -e \"text='…'\"", [], [f"{R} -e \"text='…'\""]),
        ("", [], []),
    ],
)  # fmt: skip
def test_commands_and_words(text: str, commands: list[str], words: list[str]) -> None:
    assert advice.commands([text]) == commands
    assert advice.words([text]) == words


def test_an_error_says_both_for_a_machine() -> None:
    made = errors.NotConverged("x", next_step=f"`{A}` shows it; then run the same command again").as_dict()
    assert made["commands"] == [A]
    assert made["next_step"] == f"{A} shows it; then run the same command again"
    assert made["advice"] == ["shows it; then run the same command again"]
