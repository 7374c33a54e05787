# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The screen calls each step by its phase, numbered among all phases of the playbook, whatever is skipped."""

from __future__ import annotations

import re

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage

RESET = [
    "(1/11) Check options and privileges",
    "(2/11) Take the lease",
    "(3/11) Assess the pipeline",
    "(4/11) Collect evidence",
    "(5/11) Pause ingestion",
    "(6/11) Terminate stuck sessions",
    "(7/11) Complete the pause",
    "(8/11) Drain the backlog",
    "(9/11) Refresh gold",
    "(10/11) Assess the pipeline again",
    "(11/11) Resume ingestion",
]
#: The title of a task, or a phase that one task does after another.
PHASES = re.compile(r"^TASK \[(.*?)\]|^\[\w+\] (\(\d+/\d+\) .*)$", re.MULTILINE)
ALWAYS = ["Release the lease"]


def headings(played: Played) -> list[str]:
    """What stands before the bar in the title of each task, and each phase within one, once where it is the same."""
    found = ["".join(titles).split(" | ")[0] for titles in PHASES.findall(played.text)]
    return [name for name, before in zip(found, [None, *found], strict=False) if name != before]


def test_a_reset_is_read_as_its_phases(broken: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 0, played.text
    assert headings(played) == [phase for phase in [*RESET, *ALWAYS] if not phase.startswith("(7/11)")], (
        "nothing was left to pause"
    )
    assert "TASK [Summary" not in played.text, "the summary itself says it"
    assert headings(stage.play("emergency_reset", broken.dsn, "-v"))[-2:] == [*ALWAYS, "Summary"]
    assert "included:" not in played.text
    assert "scout.recovery." not in played.text


def test_numbers_stay_where_phases_are_left_out(healthy: Pipeline, stage: Stage) -> None:
    """Nothing to repair, or a move told not to drain: the others keep their numbers, as the proof at the end."""
    assert headings(stage.play("emergency_reset", healthy.dsn)) == [*RESET[:3], RESET[-1], *ALWAYS]
    window = {"window_start": "2020-01-01T00:00Z", "window_end": "2030-01-01T00:00Z", "event_types": ["heartbeat.v1"]}
    moved = headings(stage.play("quarantine", healthy.dsn, drain=False, **window))
    assert [name for name in moved if name.startswith(("(6/", "(8/", "(9/"))] == [
        "(6/10) Carry out the plan",
        "(9/10) Refresh gold",
    ]


def test_a_step_of_somebody_else_and_verbose_screens_are_as_ansible_has_them(healthy: Pipeline, stage: Stage) -> None:
    playbook = stage.home / "mine.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Mine | Say it\n      ansible.builtin.debug: {msg: hello}\n"
    )
    assert "TASK [Mine | Say it]" in stage.play(str(playbook), healthy.dsn).text
    assert "included: " in stage.play("quarantine", healthy.dsn, "-v", "--check", event_ids=[], stores=["S-001"]).text
