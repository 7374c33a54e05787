# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no drill and no game day can be is refused before it has a folder or a server, and says what can be given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.utils.vars import load_extra_vars

from ansible_collections.scout.drills.plugins.action import scout_drill, scout_gameday
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.plugin_utils.front import validated
from tests import CHECKOUT

SMALL: dict[str, Any] = {
    "title": "Small",
    "severity": "high",
    "sandboxes": ["embedded", "staging"],
    "pipeline": {"events": 300},
    "faults": [{"poison_event": {}}],
    "steps": [{"playbook": "emergency_reset"}],
}
DSN = "postgresql://somewhere/scout"
#: What the task is given, and what is said.
DRILLS: dict[str, tuple[dict[str, Any], str]] = {
    "a mistyped scenario": (
        {"scenarios": "smal"},
        "there is no scenario 'smal' (did you mean small?). Next: -e scenario=… takes all, or one or more",
    ),
    "one of two": ({"scenarios": "small,nothing"}, "there is no scenario 'nothing'"),
    "none": ({"scenarios": ","}, "no scenario is named"),
    "an unknown sandbox": ({"sandbox": "cloud"}, "value of sandbox must be one of: embedded, docker, staging"),
    "staging without a server": ({"sandbox": "staging"}, "sandbox staging needs a server"),
    "a sandbox that is not the scenario's": (
        {"sandbox": "docker"}, "scenario small does not run in a sandbox of kind docker",
    ),
    "a server for another sandbox": (
        {"sandbox": "embedded", "sandbox_dsn": "host=nowhere"}, "sandbox embedded has no use for sandbox_dsn",
    ),
    "a severity": ({"scenarios": "broken"}, "severity is 'urgent', not one of critical, high, medium"),
    "no folder of scenarios": ({"scenarios_dirs": "/nowhere"}, "drill_scenarios_dir /nowhere is no folder"),
    "no folder for results": ({"output_dir": "/proc/nothing"}, "cannot write to drill_output_dir /proc/nothing"),
}  # fmt: skip
GAMEDAYS: dict[str, tuple[dict[str, Any], str]] = {
    "no round": ({"rounds": 0}, "rounds 0 is less than 1"),
    "a seed": ({"seed": -1}, "seed -1 is less than 0"),
    "a script": ({"script": "nowhere"}, "there is no script 'nowhere'"),
}


def begun(plugin: Any, args: dict[str, Any], monkeypatch: pytest.MonkeyPatch, **typed: Any) -> None:
    """The task up to its first folder."""
    monkeypatch.setattr(load_extra_vars, "extra_vars", typed or {"unrelated": 1}, raising=False)
    action = object.__new__(plugin.ActionModule)
    action._loader = DataLoader()
    _, _, play = action.prepared(validated(action.MODULE, args), {})
    play(Progress(lambda _: None))


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """A team's scenarios, and where its drills leave something behind."""
    (tmp_path / "scenarios").mkdir()
    for name, scenario in {"small": SMALL, "broken": SMALL | {"severity": "urgent"}, "zebra": SMALL}.items():
        (tmp_path / "scenarios" / f"{name}.yml").write_text(yaml.safe_dump(scenario))
    return {"scenarios_dirs": str(tmp_path / "scenarios"), "output_dir": str(tmp_path / "results")}


@pytest.mark.parametrize("what", DRILLS)
def test_no_drill(what: str, folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    args, said = DRILLS[what]
    with pytest.raises(BadInput) as raised:
        begun(scout_drill, {"scenarios": "small", **folders, **args}, monkeypatch)
    assert said in str(raised.value)
    assert not Path(folders["output_dir"]).exists()


@pytest.mark.parametrize("what", GAMEDAYS)
def test_no_game_day(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    args, said = GAMEDAYS[what]
    with pytest.raises(BadInput) as raised:
        begun(scout_gameday, {"output_dir": str(tmp_path / "out"), **args}, monkeypatch)
    assert said in str(raised.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("plugin", [scout_drill, scout_gameday])
def test_never_in_a_database_that_was_typed(plugin: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput, match="a drill never works in the database of scout_dsn"):
        begun(plugin, {"output_dir": str(tmp_path / "out")}, monkeypatch, scout_dsn=DSN)
    assert not (tmp_path / "out").exists()


def test_unknown_names_list_the_known_ones(folders: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInput) as raised:
        begun(scout_drill, {"scenarios": "zebr", **folders}, monkeypatch)
    ours = {path.stem for path in (CHECKOUT / "drills" / "scenarios").glob("*.yml")}
    assert ours
    assert {*ours, "zebra"} <= set(raised.value.next_step.replace(",", "").split())
