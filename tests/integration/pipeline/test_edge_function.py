# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module deploys what the commit holds, records it in the ledger, and shows no token."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from tests.integration.clones import Result, everything, gone, quiet_git, run, started, wait_for
from tests.integration.modules import expire_lease, rows

__all__ = ["quiet_git"]

EDGE = "scout_edge_function"
TOKEN = "sbp_0123456789abcdef%/+x"
NAMES = ["ingest-transaction", "other"]
RUNS = "SELECT status, effects -> 'functions' FROM scout_ops.runs WHERE action = 'deploy' ORDER BY started_at"


class App:
    """A clone with two versions of its functions; the newer one is checked out and half edited."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        self.clone = Clone(folder)
        self.old = self.clone.commit("Old", {
            FUNCTION: "// old\n",
            "supabase/functions/other/index.ts": "// other\n",
            "supabase/functions/disabled/index.ts": "// disabled\n",
            "supabase/functions/_shared/cors.ts": "// shared\n",
            "supabase/config.toml": "[functions.other]\nverify_jwt = false\n[functions.disabled]\nenabled = false\n",
            "elsewhere.txt": "not for the CLI\n",
        })  # fmt: skip
        self.new = self.clone.commit("New", {FUNCTION: "// new\n"})
        self.clone.write(**{FUNCTION: "// half edited\n"})


@pytest.fixture
def app(tmp_path: Path, quiet_git: None) -> App:
    return App(tmp_path / "the app")


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "bin")


Deploy = Callable[..., Result]


@pytest.fixture
def options(app: App, cli: Cli, scout_db: str) -> dict[str, Any]:
    return {
        "dsn": scout_db,
        "allow_superuser": True,
        "repository": str(app.clone.path),
        "commit": app.old,
        "previous_commit": app.new,
        "functions": NAMES[:1],
        "project_ref": PROJECT,
        "cli": str(cli.path),
    }


@pytest.fixture
def deploy(options: dict[str, Any]) -> Deploy:
    return lambda **more: run(EDGE, **{**options, **more})


def good(result: Result) -> Result:
    assert not result.get("failed"), result["msg"]
    return result


def bad(result: Result) -> str:
    assert result.get("failed"), result
    assert result["error"]["next_step"]
    return result["msg"]


def test_the_functions_come_from_the_commit_and_are_recorded(
    deploy: Deploy, app: App, cli: Cli, scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOUT_PASSWORD", "secret")
    before = everything(app.clone.path)
    assert good(deploy(check=True, functions=NAMES))["functions"] == NAMES
    assert cli.calls == []
    result = good(deploy(functions=NAMES))
    assert [call["argv"] for call in cli.calls] == [
        ["functions", "deploy", name, "--project-ref", PROJECT, "--no-verify-jwt=false"] for name in NAMES
    ]
    assert all(call["files"][FUNCTION] == "// old\n" for call in cli.calls)
    assert {name.split("/")[0] for call in cli.calls for name in call["files"]} == {"supabase"}
    assert not any("SCOUT_PASSWORD" in call["environment"] for call in cli.calls)
    assert not any(Path(call["cwd"]).exists() for call in cli.calls)
    assert everything(app.clone.path) == before
    assert rows(scout_db, RUNS) == [("succeeded", dict.fromkeys(NAMES, True))]
    assert result["effects"]["previous_commit"] == app.new
    assert "JWT verification off for other" in " ".join(result["warnings"])


def test_a_deployment_is_made_once_until_something_else_ran(deploy: Deploy, app: App, cli: Cli) -> None:
    assert good(deploy())["changed"]
    assert good(deploy())["functions"] == []
    assert good(deploy(functions=NAMES))["functions"] == ["other"]
    assert good(deploy(force=True))["functions"] == NAMES[:1]
    # In place of another commit it is another deployment, as is one with another setting.
    assert good(deploy(previous_commit=app.old))["changed"]
    assert good(deploy(previous_commit=app.old, verify_jwt=False))["changed"]
    assert cli.calls[-1]["argv"][-1] == "--no-verify-jwt=true"
    assert good(deploy(previous_commit=app.old, verify_jwt=False))["warnings"]
    assert len(cli.calls) == 5


def test_one_that_failed_is_made_again(deploy: Deploy, cli: Cli, scout_db: str) -> None:
    cli.tell("if 'other' in sys.argv: print('no quota'); sys.exit(3)")
    failed = deploy(functions=NAMES)
    assert "exit code 3" in bad(failed)
    assert "no quota" in failed["msg"]
    assert failed["changed"]
    assert rows(scout_db, RUNS) == [("failed", {"ingest-transaction": True, "other": False})]
    cli.tell("")
    assert good(deploy(functions=NAMES))["functions"] == ["other"]


def test_one_that_was_killed_is_made_again(
    deploy: Deploy, options: dict[str, Any], cli: Cli, scout_db: str, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    cli.tell(f"Path({str(pid)!r}).write_text(str(os.getpid())); time.sleep(60)")
    process = started(EDGE, **options)
    wait_for(lambda: pid.exists() and bool(pid.read_text()))
    assert deploy()["error"]["kind"] == "lease_held"
    process.kill()
    process.communicate()
    os.kill(int(pid.read_text()), signal.SIGKILL)
    cli.tell("")
    expire_lease(scout_db)
    assert good(deploy())["changed"]
    assert rows(scout_db, RUNS)[0] == ("interrupted", {"ingest-transaction": False})


def test_one_that_hangs_is_ended_with_what_it_started(deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    cli.tell(
        f"import subprocess; Path({str(pid)!r}).write_text(str(subprocess.Popen(['sleep', '60']).pid)); time.sleep(60)"
    )
    assert "took more than 1 s" in bad(deploy(timeout_seconds=1))
    assert gone(int(pid.read_text()))


@pytest.mark.parametrize("place", ["option", "environment"])
def test_no_token_is_shown_or_recorded(
    deploy: Deploy, cli: Cli, scout_db: str, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    if place == "environment":
        monkeypatch.setenv("SUPABASE_ACCESS_TOKEN", TOKEN)
    given = {"token": TOKEN} if place == "option" else {}
    cli.tell("print('using', os.environ['SUPABASE_ACCESS_TOKEN'], 'sbp_another0token')")
    result = good(deploy(**given))
    assert result["output"].startswith("using *** ***")
    cli.tell("print('wrong token', os.environ['SUPABASE_ACCESS_TOKEN']); sys.exit(1)")
    failed = deploy(**given, force=True)
    assert "wrong token ***" in bad(failed)
    assert all(call["environment"]["SUPABASE_ACCESS_TOKEN"] == TOKEN for call in cli.calls)
    assert not any(TOKEN in word for call in cli.calls for word in call["argv"])
    recorded = "SELECT string_agg(r::text, '') FROM scout_ops.runs AS r"
    assert all(TOKEN not in str(each) for each in (result, failed, rows(scout_db, recorded)))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"functions": ["--help"]}, "no name of a function"),
        ({"functions": ["nope"]}, "it has disabled, ingest-transaction, other"),
        ({"functions": ["disabled"]}, "disables disabled"),
        ({"project_ref": ""}, "(edge_function_project=REF)"),
        ({"commit": "HEAD"}, "no full commit id"),
        ({"commit": "f" * 40}, "could not read the folder supabase"),
        ({"cli": "/nowhere/supabase"}, "could not find the Supabase CLI"),
        ({"ledger": "off"}, "without a record"),
    ],
    ids=str,
)
def test_what_cannot_be_deployed_is_refused(
    deploy: Deploy, cli: Cli, subtests: pytest.Subtests, wrong: dict[str, Any], said: str
) -> None:
    for check in (True, False):
        with subtests.test(check=check):
            assert said in bad(deploy(check=check, **wrong))
    assert cli.calls == []
