# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A screen lists or counts all causes, is as wide as the terminal, and colours what a tired person looks for."""

from __future__ import annotations

import shlex

import pytest

from ansible_collections.scout.recovery.plugins.callback import screen
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from ansible_collections.scout.recovery.plugins.plugin_utils import standing
from tests.unit.summary.test_summary import assessed, diagnosis, failed, on_screen, story

MANY = [diagnosis(f"cause number {n} that is long enough for a line", f"do {n}", n) for n in range(1, 9)]


def test_all_causes_are_listed_or_counted() -> None:
    steps = {"assess": assessed("failing", diagnoses=MANY)}
    short = render.lines(story(steps, operation="assess"))
    listed = [n for n in range(1, 9) if f"{n}. cause number {n} " in on_screen(short)]
    assert listed == list(range(1, len(listed) + 1))
    assert 0 < len(listed) < 8
    assert f"and {8 - len(listed)} more: -v" in on_screen(short)
    whole = on_screen(render.lines(story(steps, operation="assess", verbose=True)))
    assert all(f"{n}. cause number {n} " in whole for n in range(1, 9))
    assert "more: -v" not in whole


def test_an_assessment_shows_what_is_unusual_and_what_it_cannot_see() -> None:
    row = {"kind": "store", "name": "S1", "others": 0}
    rows = [
        {**row, "what": "mean amount", "now": 5230.1, "usual": 52.3},
        {**row, "what": "ts to arrival", "now": -28800.0, "usual": 3.0, "others": 2},
        *({**row, "what": f"sort {number}", "now": 1.0, "usual": 2.0} for number in range(8)),
    ]
    steps = {"assess": assessed("healthy") | {"unusual": rows, "notes": ["jobs of other roles cannot be seen"]}}
    shown = render.lines(story(steps, operation="assess"))
    [first] = [number for number, line in enumerate(shown) if line.startswith("  today  mean amount")]
    assert shown[first].endswith("store S1: 5,230.10, usually 52.30")
    assert shown[first + 1].endswith("store S1 and 2 more: -8 h 0 min, usually 3.0 s")
    assert "sort 7" in shown[first + 9]
    assert "jobs of other roles cannot be seen" in on_screen(shown)
    assert "S1" not in on_screen(render.lines(story(steps)))
    unread = {"assess": assessed("healthy") | {"unusual": [], "unread": ["unusual"]}}
    assert "today not checked" in on_screen(render.lines(story(unread, operation="assess")))


def test_the_same_command_without_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    given = '{"window_start": "2026-11-25 22:00+00:00", "scout_password": "hunter2"}'
    typed = [
        "ansible-playbook",
        "playbooks/undo.yml",
        "-e",
        given,
        "-e",
        "scout_dsn=postgresql://a:hunter2@db/x",
        "--check",
    ]
    monkeypatch.setattr("sys.argv", ["/usr/bin/ansible-playbook", *typed[1:]])
    said = standing.same_command()
    assert "hunter2" not in said
    window, database = '{"window_start": "2026-11-25 22:00+00:00"}', '{"scout_dsn": "user=a dbname=x host=db"}'
    assert shlex.split(said) == [*typed[:3], window, "-e", database, "--check"]


def test_a_playbook_without_the_options_that_it_needs_is_no_command() -> None:
    step = "incident_report.yml tells of it, assess.yml looks at it; undo.yml -e run_id=7 undoes it"
    told = story({"assess": failed(errors.BadInput("it is paused", next_step=step))}, operation="pause_ingestion")
    assert render.document(told)["commands"] == [
        "ansible-playbook playbooks/assess.yml",
        "ansible-playbook playbooks/undo.yml -e run_id=7",
    ]
    lines = [line.strip() for line in render.lines(told)]
    assert "ansible-playbook playbooks/assess.yml" in lines
    assert "ansible-playbook playbooks/undo.yml -e run_id=7" in lines


def test_a_task_that_failed_shows_its_command_alone_on_a_line() -> None:
    command = "ansible-playbook playbooks/rollback.yml -e release=v5.2.1 --check"
    reason = " ".join(f"word{n}" for n in range(100))
    error = errors.NotConverged("it failed", said=reason, next_step=f"look at it, then `{command}` shows more")
    lines = screen.CallbackModule()._dump_results(failed(error)).splitlines()
    assert reason in on_screen(lines)
    assert f"    {command}" in lines
    assert [line for line in lines if "playbook" in line] == [f"    {command}"]
