# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Of a dozen functions those go back that the release changed, also in a second try after one of them failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import PROJECT, Cli
from tests.integration.clones import Result, Story, quiet_git, run, story

__all__ = ["quiet_git", "story"]

FOLDER = "supabase/functions"
OPEN = "[functions.quality-sentinel]\nverify_jwt = false\n"
NAMES = ("export-platinum", "ingest-transaction", "quality-sentinel", "superset-jwt-proxy")


class Released:
    """A branch whose release changed two functions, removed one and added one; a merge brought what nobody touched since."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.clone, self.cli, self.state = story.clone, Cli(folder / "bin"), folder / "state.json"
        self.clone.git("checkout", "--quiet", "main")
        files = {f"{FOLDER}/{name}/index.ts": "// good\n" for name in NAMES}
        shared = {f"{FOLDER}/_shared/hash.ts": "// good\n", "supabase/migrations/1.sql": "SELECT 1"}
        self.clone.git("checkout", "--quiet", "-b", "side")
        self.side = self.clone.commit("Beside", {"app/side.py": "x\n"})
        self.clone.git("checkout", "--quiet", "main")
        self.good = self.clone.commit("Good", {**files, **shared, "supabase/config.toml": OPEN})
        self.clone.git("merge", "--quiet", "--no-ff", "-m", "Merge", "side")
        self.clone.commit("Change", {f"{FOLDER}/{name}/index.ts": "// bad\n" for name in NAMES[:2]})
        self.clone.commit("New", {f"{FOLDER}/only-new/index.ts": "// bad\n", "supabase/migrations/2.sql": "SELECT 2"})
        self.tip = self.clone.commit("Gone", {f"{FOLDER}/quality-sentinel/index.ts": None})
        self.clone.push()

    def revert(self, **options: Any) -> Result:
        made = run("scout_git_revert", repository=str(self.clone.path), to=self.good, push=True, **options)
        assert not made.get("failed"), made
        return made

    def deploy(self, functions: list[str], **options: Any) -> Result:
        given = {
            "repository": str(self.clone.path),
            "commit": self.good,
            "project_ref": PROJECT,
            "cli": str(self.cli.path),
        }
        return run("scout_edge_function", **given, state_file=str(self.state), functions=functions, **options)

    @property
    def deployed(self) -> list[str]:
        return [call["argv"][2] for call in self.cli.calls]


@pytest.fixture
def released(story: Story, tmp_path: Path) -> Released:
    return Released(story, tmp_path)


def test_what_the_release_changed_is_found_and_goes_back(released: Released) -> None:
    planned = released.revert(check=True)
    touched = ["export-platinum", "ingest-transaction", "only-new", "quality-sentinel"]
    assert planned["functions"] == touched
    looked = released.deploy(touched, skip_missing=True, check=True)
    assert (looked["changed"], released.deployed, released.state.exists()) == (True, [], False)
    assert released.revert()["functions"] == touched
    released.cli.tell("import sys; sys.exit(7 if 'ingest-transaction' in sys.argv else 0)")
    failed = released.deploy(touched, skip_missing=True)
    assert "could not deploy ingest-transaction: the CLI ended with exit code 7" in failed["msg"]
    assert [each["function"] for each in failed["deployments"]] == ["export-platinum"]
    released.cli.tell("")
    # The branch has gone back by now; what was changed since is still known.
    again = released.revert()
    assert (again["changed"], again["functions"]) == (False, touched)
    made = released.deploy(again["functions"], skip_missing=True)
    assert made["function"] == "ingest-transaction, quality-sentinel"
    assert released.deployed == ["export-platinum", "ingest-transaction", "ingest-transaction", "quality-sentinel"]
    assert made["warnings"][0].startswith("only-new is not in the commit and stays deployed as it is")
    assert f"supabase functions delete only-new --project-ref {PROJECT}" in made["warnings"][0]
    assert "switches JWT verification off for quality-sentinel, and here it stays on" in made["warnings"][1]
    assert "--no-verify-jwt=false" in released.cli.calls[-1]["argv"]
    assert all(
        call["files"][f"{FOLDER}/{name}/index.ts"] == "// good\n" for call in released.cli.calls for name in NAMES
    )
    last = released.deploy(again["functions"], skip_missing=True)
    assert (last["changed"], len(released.deployed)) == (False, 4)
    assert len(json.loads(released.state.read_text())["deployments"]) == 4


def test_what_several_share_is_of_all(released: Released, subtests: pytest.Subtests) -> None:
    for path, expected in (
        ("supabase/migrations/3.sql", []),
        ("supabase/seed.sql", []),
        (f"{FOLDER}/_shared/hash.ts", sorted(NAMES)),
        ("supabase/config.toml", sorted(NAMES)),
        (f"{FOLDER}/import_map.json", sorted(NAMES)),
    ):
        with subtests.test(path):
            released.clone.git("reset", "--quiet", "--hard", released.good)
            released.clone.commit("Touch", {path: "x = 1\n"})
            released.clone.push("--force")
            assert released.revert(check=True)["functions"] == expected


def test_names_are_checked_before_anything_is_deployed(released: Released) -> None:
    for wrong, said in (("nope", "has no function nope"), ("../x", "is not the name of a function")):
        result = released.deploy([NAMES[0], wrong])
        assert said in result["msg"]
        assert released.deployed == []
    nothing = released.deploy([])
    assert (nothing["changed"], nothing["summary"]) == (False, f"no function of {released.good[:10]} was changed since")
