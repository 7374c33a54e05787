# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ready files of deploy/: the shell of their jobs, run in the order of their graphs on a real repository and database."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.door import Door
from tests.e2e.deploying import BAD, GOOD, Deployed, Team, script_behind
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT
from tests.integration.clones import quiet_git

__all__ = ["quiet_git"]

SETS_UP = {"rm -rf recovery", "git clone --quiet --depth 1 --branch", "recovery/scripts/setup --extras"}


@pytest.fixture
def team(healthy: Pipeline, tmp_path: Path, quiet_git: None) -> Team:
    """A team whose v5.2.1 runs well."""
    return Team(tmp_path / "team", healthy)


def load(name: str) -> dict[str, Any]:
    return yaml.safe_load((CHECKOUT / "deploy" / name).read_text(encoding="utf-8"))


def evaluated(text: str, known: Mapping[str, str]) -> str:
    """Its expressions are names alone."""
    return re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda found: known[found[1]], text)


class Runner:
    """What a service for pipelines does with one of the files: fresh checkouts, jobs after what they need, results kept."""

    def __init__(self, team: Team, recovery: Path) -> None:
        """The collection is not cloned but linked, from there."""
        self.team, self.recovery, self.outputs, self.numbers = team, recovery, dict[str, str](), 0

    def checkout(self, name: str, tag: str) -> Path:
        self.numbers += 1
        path = self.team.home / "runner" / str(self.numbers) / name
        clone = self.team.clone(str(path.relative_to(self.team.home)))
        clone.git("checkout", "--quiet", "--detach", tag)
        return path

    def shell(self, script: str, folder: Path, env: Mapping[str, str]) -> Deployed:
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
            cwd=folder, env=self.team.environment(env), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=300,
        )  # fmt: skip
        return Deployed(done.returncode, done.stdout + done.stderr, folder / "deploy-artifacts")


class GitHub(Runner):
    """Actions of others are what they are known for: here only the checkouts."""

    def __init__(self, team: Team, recovery: Path) -> None:
        super().__init__(team, recovery)
        self.file = load("github-actions.yml")

    def job(self, name: str, tag: str, **inputs: str) -> tuple[bool, Deployed]:
        """Whether it succeeded, and what its last call of the script left."""
        workspace = self.checkout("application", tag).parent
        (workspace / "recovery").symlink_to(self.recovery)
        output = workspace / "output"
        done, last = Deployed(0, "", workspace), Deployed(0, "", workspace)
        for step in self.file["jobs"][name]["steps"]:
            if "run" not in step or step.get("if") == "cancelled()":
                continue
            known = {
                "secrets.SCOUT_DSN": self.team.pipeline.dsn,
                "secrets.SCOUT_DB_PASSWORD": "unused",
                "secrets.SUPABASE_ACCESS_TOKEN": "sbp_00000000000000000000",
                **{f"inputs.{key}": value for key, value in inputs.items()},
                **{f"steps.running.outputs.{key}": value for key, value in self.outputs.items()},
                **{f"needs.check.outputs.{key}": value for key, value in self.outputs.items()},
            }
            env = {key: evaluated(value, known) for key, value in {**self.file["env"], **step.get("env", {})}.items()}
            done = self.shell(step["run"], workspace, {**env, "GITHUB_REF_NAME": tag, "GITHUB_OUTPUT": str(output)})
            if "deploy_release.sh" in step["run"]:
                last = done
            if output.exists():
                self.outputs |= dict(line.split("=", 1) for line in output.read_text().splitlines())
            if done.rc:
                return False, done
        return True, last


class GitLab(Runner):
    """What sets the collection up is left out."""

    def __init__(self, team: Team, recovery: Path) -> None:
        super().__init__(team, recovery)
        self.file = load("gitlab-ci.yml")

    def job(self, name: str, tag: str, **variables: str) -> tuple[bool, Deployed]:
        job = self.file[name]
        folder = self.checkout("application", tag)
        (folder / "recovery").symlink_to(self.recovery)
        before = self.lines(self.file[job["extends"]]["before_script"])
        prepared = [line for line in before if not any(line.startswith(start) for start in SETS_UP)]
        assert len(before) - len(prepared) == (len(SETS_UP) if job["extends"] == ".with_recovery" else 0)
        env = {
            **{key: value for key, value in self.file["variables"].items() if isinstance(value, str)},
            "CI_PROJECT_URL": str(self.team.remote.path).removesuffix(".git"),
            "SCOUT_PUSH_TOKEN": "glpat-unused",
            "CI_COMMIT_TAG": tag,
            **self.outputs,
            **variables,
        }
        done = self.shell("\n".join([*prepared, *self.lines(job["script"])]), folder, env)
        if "after_script" in job:
            after = self.shell("\n".join(self.lines(job["after_script"])), folder, env)
            assert (after.rc, "nothing to do" in after.text) == (0, True), after.text
        if "reports" in job.get("artifacts", {}):
            self.outputs |= dict(line.split("=", 1) for line in (folder / "running.env").read_text().splitlines())
        return done.rc == 0, done

    def lines(self, found: list[Any]) -> list[str]:
        return [text for line in found for text in (self.lines(line) if isinstance(line, list) else [line])]


@pytest.mark.parametrize("service", [GitHub, GitLab])
def test_a_bad_release_a_good_one_and_back_by_hand(
    team: Team, service: type[GitHub | GitLab], door: Door, tmp_path: Path
) -> None:
    """On GitHub with the script and Ansible as they are; on GitLab the playbooks are forked."""
    checkout = CHECKOUT
    if service is GitLab:
        checkout = tmp_path / "checkout"
        checkout.mkdir()
        script_behind(door, checkout)
    runner, before = service(team, checkout), team.dump()
    production = lambda: team.remote.git("rev-parse", "production")  # noqa: E731 read anew each time

    team.release("v5.3.0", BAD)
    checked, done = runner.job("check", "v5.3.0")
    assert (checked, done.rc) == (True, 0), done.text
    assert set(runner.outputs.values()) == {"v5.2.1", team.running}
    deployed, done = runner.job("deploy", "v5.3.0")
    assert (deployed, done.rc, done.result["failed_step"]) == (False, 61, "gate"), done.text
    assert (team.dump(), team.tree, production()) == (before, team.remote.tree(team.running), team.running)

    # On top of the revert, and still from v5.2.1, although the tag before it is another.
    team.desk.git("pull", "--quiet", "origin", "main")
    team.release("v5.3.1", GOOD)
    for name in ("check", "deploy", "mark"):
        well, done = runner.job(name, "v5.3.1")
        assert well, done.text
    assert set(runner.outputs.values()) == {"v5.2.1", team.running}
    assert production() == team.remote.git("rev-parse", "v5.3.1^{commit}")
    assert "v_alerts_by_team" in team.dump()

    back = {"back_to": "v5.2.1"} if service is GitHub else {"BACK_TO": "v5.2.1"}
    well, done = runner.job("rollback", "v5.3.1", **back)
    assert well, done.text
    assert (team.dump(), team.tree) == (before, team.remote.tree(team.running))
    assert production() == team.remote.git("rev-parse", "main")
    assert team.remote.git("show", "--no-patch", "--format=%an", "main") == "Deploy pipeline"
