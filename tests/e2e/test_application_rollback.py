# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The role reverts the branch and deploys the functions it touched, against a real git repository and a fake Supabase CLI."""

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
from tests.e2e.play import BIN, environment, listed
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
    - ansible.builtin.debug:
        msg: "RESULT {{ application_rollback_git_result | to_json }}"
"""


@pytest.fixture
def released(story: Story) -> Story:
    """A release that changed the function in a merged branch."""
    clone = story.clone
    clone.git("checkout", "--quiet", "main")
    good = clone.commit("Captured", {FUNCTION: "// captured\n", "supabase/functions/other/index.ts": "// other\n"})
    clone.merge("Merge the release", "release", {FUNCTION: "// released\n", "app/main.py": "released\n"})
    tip = clone.commit("Finish it", {"app/more.py": "more\n"})
    clone.push()
    return Story(story.remote, clone, good, tip)


class Player:
    """Plays the role with the variables that a person sets."""

    def __init__(self, story: Story, folder: Path, dsn: str) -> None:
        self.folder, self.cli, self.text = folder, Cli(folder / "bin"), ""
        self.result: dict[str, Any] = {}
        self.variables: dict[str, Any] = {
            "scout_dsn": dsn,
            "application_dir": str(story.clone.path),
            "application_commit": story.good,
            "application_push": True,
            "edge_function_project": PROJECT,
            "edge_function_cli": str(self.cli.path),
            "edge_function_token": TOKEN,
            "incident": "INC-2041",
            "release": "v5.2.1",
        }

    def play(self, *words: str, ok: bool = True, **more: Any) -> int:
        """How many tasks changed something."""
        path = self.folder / "play.yml"
        path.write_text(PLAY)
        values = json.dumps(listed({**self.variables, **more}))
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), str(path), "-e", values, *words],
            env=environment(self.folder) | {"ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        self.text = done.stdout + done.stderr
        assert (done.returncode == 0) == ok, self.text
        assert TOKEN not in self.text.replace(values, "")
        if found := re.search(r'"msg": "RESULT (.*)"', self.text):
            self.result = json.loads(json.loads(f'"{found[1]}"'))
        [changed] = re.findall(r"changed=(\d+)", self.text)
        return int(changed)

    def refused(self, **more: Any) -> str:
        """What a run said that changed nothing."""
        assert self.play(ok=False, **more) == 0
        return " ".join(self.text.split())


@pytest.fixture
def player(released: Story, scout_db: str, tmp_path: Path) -> Player:
    return Player(released, tmp_path, scout_db)


def test_branch_and_function_go_back_once_and_forward_again(player: Player, released: Story, scout_db: str) -> None:
    before, state = everything(released.clone.path), released.clone.state()
    assert player.play("--check") == 2
    assert player.result["summary"] == f"would revert 3 commits of main to the tree of {released.good[:10]} and push it"
    assert everything(released.clone.path) == before
    assert (player.cli.calls, released.head) == ([], released.tip)

    assert player.play("-vvv") == 4
    assert released.remote.tree("main") == released.clone.tree(released.good)
    assert released.history()[1] == "Finish it"
    message = released.remote.git("log", "-1", "--format=%B", "main")
    assert message.startswith("Revert to v5.2.1 for INC-2041 [skip ci]\n")
    assert "Incident: INC-2041" in message.splitlines()
    assert all(f"{released.remote.git('rev-parse', name)} " in message for name in (released.tip, "main^^^2"))
    [call] = player.cli.calls
    assert call["argv"][:3] == ["functions", "deploy", "ingest-transaction"]
    assert call["files"][FUNCTION] == "// captured\n"
    assert call["environment"]["SUPABASE_ACCESS_TOKEN"] == TOKEN
    assert released.clone.state() == state
    [[effects]] = rows(scout_db, "SELECT effects FROM scout_ops.runs WHERE action = 'deploy'")
    assert (effects["commit"], effects["previous_commit"]) == (released.good, released.tip)

    assert player.play() == 0
    assert player.play(application_commit=released.tip) == 4
    assert released.remote.tree("main") == released.clone.tree(released.tip)
    assert player.cli.calls[-1]["files"][FUNCTION] == "// released\n"


def test_nothing_is_pushed_unless_asked(player: Player, released: Story) -> None:
    assert player.play(application_push=False) == 3
    assert released.head == released.tip
    command = player.result["push_command"]
    assert player.play(application_push=False) == 0
    assert player.result["push_command"] == command
    subprocess.run(command, shell=True, check=True, stderr=subprocess.DEVNULL)
    assert released.remote.tree("main") == released.clone.tree(released.good)
    assert player.play() == 0
    assert len(player.cli.calls) == 1


def test_uncommitted_changes_are_refused(player: Player, released: Story) -> None:
    released.clone.write(**{"app/main.py": "half done\n"})
    assert "uncommitted changes: M app/main.py" in player.refused()
    assert (player.cli.calls, released.head) == ([], released.tip)
    released.clone.git("stash", "--quiet")
    assert player.play() == 4


def test_commits_that_the_checkout_has_not_seen_are_refused(player: Player, released: Story) -> None:
    other = released.another_clone()
    newer = other.commit("A fix", {"fix.py": "fix\n"})
    other.push()
    assert f"git -C '{released.clone.path}' fetch --tags origin" in player.refused()
    assert (player.cli.calls, released.head) == ([], newer)
    released.clone.git("fetch", "--quiet", "origin")
    assert player.play() == 4


def test_what_cannot_be_meant_is_refused_with_what_to_type(player: Player, released: Story) -> None:
    clone = released.clone
    clone.git("checkout", "--quiet", "-b", "elsewhere", released.good)
    elsewhere = clone.commit("Elsewhere", {"elsewhere.py": "x\n"})
    clone.git("tag", "elsewhere-1")
    for variables, said in (
        ({"application_dir": ""}, "-e scout_application_dir=PATH"),
        ({"application_dir": str(clone.path.parent / "bin")}, "not a git repository"),
        ({"application_commit": ""}, "-e scout_application_commit=ID"),
        ({"application_commit": "main"}, "does not have commit or tag main"),
        ({"application_commit": "a..b"}, "does not have commit or tag a..b"),
        ({"application_commit": "f" * 40}, "fetch --tags origin"),
        ({"application_commit": elsewhere}, "is not part of branch main of origin"),
        ({"application_commit": "elsewhere-1"}, "is not part of branch main of origin"),
        ({"application_branch": "nope"}, "branch nope of origin"),
    ):
        assert said in player.refused(**variables)
    assert (player.cli.calls, released.head) == ([], released.tip)


def test_a_revert_without_an_author_is_refused(player: Player, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "nobody"
    config.write_text("[user]\n    useConfigOnly = true\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    assert "tell me who you are" in player.refused()


def test_a_push_that_the_server_rejects_is_made_by_the_next_run(player: Player, released: Story) -> None:
    hook = released.hook("pre-receive", "echo 'main is protected' >&2; exit 1")
    player.play(ok=False)
    assert "main is protected" in player.text
    assert (player.cli.calls, released.head) == ([], released.tip)
    kept = released.clone.git("rev-parse", f"rollback-to-{released.good[:12]}")
    hook.unlink()
    player.play()
    assert released.head == kept
    assert len(player.cli.calls) == 1


def test_a_deployment_that_failed_is_made_by_the_next_run(player: Player, released: Story, scout_db: str) -> None:
    player.cli.tell(f"print('no such project {TOKEN}'); sys.exit(3)")
    player.play(ok=False)
    assert "no such project ***" in player.text
    assert released.remote.tree("main") == released.clone.tree(released.good)
    player.cli.tell("")
    assert player.play() == 1
    previous = "SELECT DISTINCT effects ->> 'previous_commit' FROM scout_ops.runs WHERE action = 'deploy'"
    assert rows(scout_db, previous) == [(released.tip,)]


def test_the_functions_are_those_that_the_reverted_commits_touched(player: Player, released: Story) -> None:
    clone = released.clone
    clone.commit("Add a function", {"supabase/functions/new/index.ts": "// new\n"})
    clone.push()
    player.play("--check")
    [warning] = player.result["warnings"]
    assert warning.endswith(
        f"which stays deployed; to delete it: supabase functions delete --project-ref {PROJECT} new"
    )
    # What several share is of all of them.
    clone.commit("Share", {"supabase/functions/_shared/cors.ts": "// shared\n"})
    clone.push()
    player.play()
    assert [call["argv"][2] for call in player.cli.calls] == ["ingest-transaction", "other"]


def test_functions_can_be_named(player: Player) -> None:
    player.play(edge_functions=[])
    assert player.cli.calls == []
    player.play(edge_functions="other,ingest-transaction")
    assert [call["argv"][2] for call in player.cli.calls] == ["other", "ingest-transaction"]
    assert "has no function nope" in player.refused(edge_functions=["nope"])


def test_the_password_of_the_remote_is_not_shown(player: Player, released: Story) -> None:
    released.clone.git("remote", "set-url", "origin", "http://deployer:hunter22@127.0.0.1:9/scout.git")
    player.play("-vvv", ok=False)
    assert "127.0.0.1" in player.text
    assert "hunter22" not in player.text
