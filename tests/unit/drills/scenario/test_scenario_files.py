# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios that come with the collection: each can be read, says why it is drilled, and asks for nothing that is not there."""

from __future__ import annotations

import re

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.actions import ACTIONS, BREAKING
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.drill_run import OURS
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scene import PLAYBOOKS
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import scenario

FILES = sorted(OURS.glob("*.yml"))
#: What has to be drilled at least.
WANTED = {
    *("poison_event", "stuck_etl_and_lock_holder", "negative_totals", "lost_window", "gold_stale", "gold_broken"),
    *("bad_release", "quarantine_and_redrive", "two_operators", "restart_in_the_middle", "controller_killed"),
    *("paused_by_a_colleague", "slow_standby", "least_privileged", "failover_in_the_middle"),
}


def read(name: str) -> scenario.Scenario:
    return scenario.read(OURS / f"{name}.yml", playbooks=PLAYBOOKS, faults=BREAKING, actions=ACTIONS)


def test_all_that_has_to_be_drilled_is_there() -> None:
    assert {file.stem for file in FILES} >= WANTED


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_scenario_can_be_read_and_is_strict(name: str) -> None:
    found = read(name)
    assert found.about
    assert 10 <= len(found.title) <= 70
    assert found.again, "a second run that changes nothing is promised of everything"
    assert found.steady_state == scenario.STEADY
    assert "embedded" in found.sandboxes
    assert found.pipeline.events <= 2000
    for play in found.plays:
        assert play.path.parent == PLAYBOOKS, "the playbooks of production, unchanged"
        assert play.expect.rc != scenario.ANY
        assert play.expect.rc == scenario.FAILED or play.expect.outcome or play.expect.error or play.expect.says
    assert found.detected == "health" or any(fault.name in QUIET for fault in found.faults)


#: What no figure of the pipeline's health shows at once.
QUIET = ("lost_window", "doubtful_window", "slow_standby", "unnamed")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_scenario_begins_with_why(file: object) -> None:
    text = (OURS / f"{getattr(file, 'name', '')}").read_text(encoding="utf-8")
    assert re.match(r"---\n# [A-Z].+\.\n", text), "the first comment says what is drilled, in a sentence"
    assert list(yaml.safe_load(text))[:3] == ["title", "severity", "about"]


def test_the_least_privileged_role_is_drilled_with_what_moves_rows_and_takes_them_back() -> None:
    found = read("least_privileged")
    assert found.operator == "least_privileged"
    assert found.undo


def test_whatever_moves_rows_is_taken_back() -> None:
    moving = {"quarantine", "redrive", "quality_cleanup", "window_recovery", "rollback"}
    movers = {file.stem for file in FILES for play in read(file.stem).plays if play.playbook in moving}
    assert {name for name in movers if not read(name).undo} <= {"slow_standby", "gold_broken"}
