# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role takes the branch and then the function back to one commit, once, and shows no token."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from tests.e2e.play import BIN, environment
from tests.integration.clones import Story, everything, quiet_git, story
from tests.integration.modules import rows

__all__ = ["quiet_git", "story"]

TOKEN = "sbp_00000000000000000000"
PLAY = """
- hosts: local
  connection: local
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: scout.recovery.application_rollback
        tasks_from: ENTRY
"""


@pytest.fixture
def released(story: Story) -> Story:
    """A release that changed the function, too."""
    clone = story.clone
    clone.git("checkout", "--quiet", "main")
    good = clone.commit("Captured", {FUNCTION: "// captured\n"})
    tip = clone.commit("Release", {FUNCTION: "// released\n", "app/main.py": "released\n"})
    clone.push()
    return Story(story.remote, clone, good, tip)


class Player:
    """Plays the role with the variables that a person sets."""

    def __init__(self, story: Story, folder: Path, **more: Any) -> None:
        self.folder = folder
        self.cli = Cli(folder / "bin")
        self.variables: dict[str, Any] = {
            "application_dir": str(story.clone.path),
            "application_commit": story.good,
            "application_push": True,
            "edge_function_project": PROJECT,
            "edge_function_cli": str(self.cli.path),
            "edge_function_token": TOKEN,
            "incident": "INC-2041",
            "release": "v5.2.1",
            **more,
        }

    def play(self, *words: str, entry: str = "main", ok: bool = True, **more: Any) -> tuple[int, str]:
        """How many tasks changed something, and the screen."""
        path = self.folder / "play.yml"
        path.write_text(PLAY.replace("ENTRY", entry))
        values = json.dumps({**self.variables, **more})
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), str(path), "-e", values, *words],
            env=environment(self.folder),
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        text = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, text
        assert TOKEN not in text.replace(values, "")
        [changed] = re.findall(r"changed=(\d+)", text)
        return int(changed), text


def test_branch_and_function_go_back_to_one_commit(released: Story, scout_db: str, tmp_path: Path) -> None:
    player = Player(released, tmp_path, scout_dsn=scout_db)
    before = everything(released.clone.path)
    changed, text = player.play("--check", "--diff")
    assert changed == 2
    assert "-released" in text
    assert everything(released.clone.path) == before
    assert player.cli.calls == []
    assert player.play("-vvv")[0] == 2
    assert released.remote.tree("main") == released.clone.tree(released.good)
    [call] = player.cli.calls
    assert call["files"] == {FUNCTION: "// captured\n"}
    assert call["environment"]["SUPABASE_ACCESS_TOKEN"] == TOKEN
    assert player.play()[0] == 0
    [[effects]] = rows(scout_db, "SELECT effects FROM scout_ops.runs WHERE action = 'deploy' AND effects <> '{}'")
    assert (effects["commit"], effects["previous_commit"]) == (released.good, released.tip)
    changed, _ = player.play(entry="edge_function", application_commit=effects["previous_commit"])
    assert changed == 1
    assert player.cli.calls[-1]["files"] == {FUNCTION: "// released\n"}


def test_each_part_can_be_left_out(released: Story, tmp_path: Path) -> None:
    player = Player(released, tmp_path, edge_function_state_file=str(tmp_path / "state.json"))
    assert player.play(application_rollback_enabled=False)[0] == 0
    assert released.head == released.tip
    assert player.play(edge_function="")[0] == 1
    assert player.cli.calls == []
    # What ran before is known although the branch went back in an earlier run.
    assert player.play()[0] == 1
    [deployment] = json.loads((tmp_path / "state.json").read_text())["deployments"]
    assert deployment["previous_commit"] == released.tip
    # Those that are named, and by this word those that were changed, whatever the inventory calls the one.
    _, text = player.play(edge_functions=["ingest-transaction", "nope"], ok=False)
    assert "has no function nope" in " ".join(text.split())
    assert player.play(edge_functions="changed", edge_function="nope")[0] == 0
    assert len(player.cli.calls) == 1


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        ("application_dir", "give the path of a local clone (application_dir=PATH)"),
        ("application_commit", "name the commit by its id or a tag (application_commit=ID)"),
        ("edge_function_project", "(edge_function_project=REF)"),
    ],
)
def test_what_is_missing_is_named_as_a_person_sets_it(
    released: Story, tmp_path: Path, variable: str, said: str
) -> None:
    player = Player(released, tmp_path, edge_function_state_file=str(tmp_path / "state.json"))
    _, text = player.play(ok=False, **{variable: ""})
    assert said in " ".join(text.split())
