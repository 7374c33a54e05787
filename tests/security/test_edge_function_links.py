# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: a commit of the application has a link in the function's folder, and the operator's own files are deployed with it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from tests.integration.clones import Result, quiet_git, run

__all__ = ["quiet_git"]

FOLDER = "supabase/functions/ingest-transaction"


class Attack:
    """A clone whose last commit has links."""

    def __init__(self, home: Path) -> None:
        self.home, folder = home, home / "app"
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        self.clone, self.cli = Clone(folder), Cli(home / "bin")
        (home / "secret").write_text("the operator's key")

    def deploy(self, links: dict[str, str]) -> Result:
        self.clone.commit("Good", {FUNCTION: "// good\n", "supabase/shared.ts": "// shared\n"})
        for name, target in links.items():
            link = self.clone.path / FOLDER / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(target)
        self.clone.git("add", "--all")
        commit = self.clone.commit("Links", {"supabase/functions/more.ts": "// more\n"})
        return run(
            "scout_edge_function",
            repository=str(self.clone.path),
            project_ref=PROJECT,
            cli=str(self.cli.path),
            commit=commit,
            function="ingest-transaction",
            state_file=str(self.home / "state.json"),
        )


@pytest.fixture
def attack(tmp_path: Path, quiet_git: None) -> Attack:
    return Attack(tmp_path)


@pytest.mark.parametrize("how", ["absolute", "relative", "folder", "chained", "home"])
def test_a_link_that_leads_out_is_refused(how: str, attack: Attack) -> None:
    links = {
        "absolute": {"key.ts": str(attack.home / "secret")},
        "relative": {"key.ts": "../../../../../../../../../../etc/passwd"},
        "folder": {"keys": "/etc"},
        # Each step of it stays inside, by its letters.
        "chained": {"deep/up": "../..", "deep/key.ts": "up/../../../secret"},
        "home": {"key.ts": "/proc/self/environ"},
    }[how]
    result = attack.deploy(links)
    assert result.get("failed"), result
    assert "is a link that leads out of" in result["msg"]
    assert attack.cli.calls == []


def test_a_link_within_the_tree_is_deployed_as_it_is(attack: Attack) -> None:
    result = attack.deploy({"shared.ts": "../../shared.ts"})
    assert not result.get("failed"), result["msg"]
    assert result["changed"]


def test_the_cli_has_a_home_of_its_own(attack: Attack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor does it find the operator's by another name."""
    home = attack.home / "operator"
    (home / ".supabase").mkdir(parents=True)
    (home / ".supabase" / "access-token").write_text("sbp_1234567890abcdef\n")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    attack.cli.path.write_text(
        '#!/bin/sh\ntest "$HOME" != ' + f"'{home}'" + ' && test -z "$XDG_CONFIG_HOME" && ls -ld "$HOME" && '
        'echo "given $SUPABASE_ACCESS_TOKEN"\n'
    )
    result = attack.deploy({})
    assert not result.get("failed"), result["msg"]
    assert "drwx------" in result["output"]
    assert "given ***" in result["output"]
    assert "sbp_1234" not in str(result)
