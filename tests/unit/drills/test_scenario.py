# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The scenarios of the collection can be read, and a mistake in one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.actions import ACTIONS, BREAKING
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.drill_run import SCENARIOS
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.scene import PLAYBOOKS
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import Play, Scenario, read
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput

SMALL: dict[str, Any] = {
    "title": "Small",
    "faults": [{"poison_event": {"count": 2}}],
    "steps": [{"playbook": "emergency_reset", "expect": {"rc": 0, "says": "recovered"}}],
}
STEP = {"playbook": "emergency_reset"}


def read_file(path: Path) -> Scenario:
    return read(path, playbooks=PLAYBOOKS, faults=BREAKING, actions=ACTIONS)


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.yml")), ids=lambda path: path.stem)
def test_each_scenario_has_a_title_a_budget_and_a_playbook(path: Path) -> None:
    scenario = read_file(path)
    assert (scenario.name, scenario.title != path.stem) == (path.stem, True)
    assert 0 < scenario.budget_seconds < 1800
    assert scenario.faults
    assert all(play.path.is_file() for play in scenario.plays)


def test_what_a_file_leaves_out_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "small.yml"
    path.write_text(yaml.safe_dump(SMALL))
    scenario = read_file(path)
    assert (scenario.budget_seconds, scenario.again, scenario.undo, scenario.embedded_only) == (
        1800,
        True,
        False,
        False,
    )
    [play] = scenario.steps
    assert isinstance(play, Play)
    assert play.expect.rc == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"budgets": 7}, "'budgets'"),
        ({"budget_seconds": "soon"}, "budget_seconds is 'soon'"),
        ({"again": 1}, "again is 1"),
        ({"faults": [{"poison": {}}]}, "'poison'"),
        ({"faults": [{"poison_event": {"amount": 2}}]}, "'amount'"),
        ({"steps": []}, "steps has no playbook"),
        ({"steps": [{"playbook": "emergency_rest"}]}, "'emergency_rest'"),
        ({"steps": [{**STEP, "expect": {"says": "("}}]}, "unterminated"),
        ({"steps": [{**STEP, "expect": {"code": 0}}]}, "'code'"),
        ({"steps": [{**STEP, "while": [{"task": "x", "do": "sleep"}]}]}, "'sleep'"),
    ],
)
def test_a_mistake_is_named_with_its_file(change: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "small.yml"
    path.write_text(yaml.safe_dump({**SMALL, **change}))
    with pytest.raises(BadInput) as refused:
        read_file(path)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)
