# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a scenario, which is data, has a playbook run a program of its author's on the machine of whoever drills."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import scenario
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.plugin_utils import extra_vars
from tests import CHECKOUT
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

PLAYBOOKS = CHECKOUT / "playbooks"
#: By what they are called: what is read, written or run where the drill is, and what goes to somebody else.
OF_THIS_MACHINE = re.compile(
    r".*_(file|dir|path|cli|token|remote|scripts|manifest|template_html|template_markdown|project)|pg_dump|dashboard"
)
#: These are a path within a document, and an id.
HARMLESS = {"payload_path"}


def read(folder: Path, variables: dict[str, Any], playbook: str = "rollback") -> scenario.Scenario:
    """The scenario, from a file as its author commits it."""
    file = folder / "theirs.yml"
    step = {"playbook": playbook, "vars": variables}
    file.write_text(yaml.safe_dump({"title": "Theirs", "severity": "high", "steps": [step]}))
    return scenario.read(file, playbooks=PLAYBOOKS, faults={}, actions={})


def refusal(folder: Path, variables: dict[str, Any], playbook: str = "rollback") -> str:
    with pytest.raises(BadInput) as refused:
        read(folder, variables, playbook)
    return str(refused.value)


def test_a_program_that_a_scenario_names_is_not_run(scout_db: str, tmp_path: Path) -> None:
    """Typed by a person it is."""
    stage, helper, ran = Stage(tmp_path), tmp_path / "helper", tmp_path / "ran"
    helper.write_text(f"#!/bin/sh\ntouch {ran}\nexit 1\n")
    helper.chmod(0o755)
    assert stage.play("capture_release", scout_db, release="v1").rc == 0
    Pipeline(scout_db).execute("CREATE VIEW scout.bad AS SELECT 1 AS n")
    given = {"release": "v1", "pg_dump": str(helper)}
    with contextlib.suppress(BadInput):
        stage.play("rollback", scout_db, rehearse=True, **read(tmp_path, given).plays[0].vars)
    assert not ran.exists()
    assert "steps[0].vars.pg_dump" in refusal(tmp_path, given)


def test_a_program_comes_by_a_placeholder_of_its_own_name_alone(tmp_path: Path) -> None:
    """What another holds, a scenario may have chosen: `release_captured: {release: /repo/helper}`."""
    for name in sorted(scenario.PROVIDED):
        assert read(tmp_path, {name: f"{{{name}}}"}).plays[0].vars == {name: f"{{{name}}}"}
        for other in ("/repo/helper", "{release}", f"{{{name}}}/..", [f"{{{name}}}"]):
            assert f"steps[0].vars.{name}" in refusal(tmp_path, {name: other})


def test_only_what_is_listed_may_be_given(tmp_path: Path) -> None:
    """The names of inventories and of roles are not, nor is any of the toolkit's that leads to this machine."""
    known, options = extra_vars.known()
    for name in sorted((known | options) - scenario.GIVEN - scenario.PROVIDED):
        assert f"steps[0].vars.{name}" in refusal(tmp_path, {name: "x"}), name
    assert {name for name in scenario.GIVEN if OF_THIS_MACHINE.fullmatch(name)} == HARMLESS
    assert extra_vars.public() >= scenario.GIVEN | scenario.PROVIDED


def test_a_playbook_of_a_teams_own_has_its_own_variables_and_none_of_ours(tmp_path: Path) -> None:
    own = tmp_path / "own.yml"
    own.write_text("[]")
    assert read(tmp_path, {"their_shop": "x", "incident": "INC-1"}, "own.yml").plays[0].vars["their_shop"] == "x"
    assert "steps[0].vars.pg_dump" in refusal(tmp_path, {"pg_dump": "/repo/helper"}, "own.yml")
    (tmp_path / "far").mkdir()
    relative = Path("..", *[".."] * len(tmp_path.parts), *PLAYBOOKS.parts[1:], "rollback.yml")
    assert "steps[0].vars.their_shop" in refusal(tmp_path, {"their_shop": "x"}, str(relative))
