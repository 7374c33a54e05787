# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is deployed is what the commit holds, whatever is checked out; the way back is written down, and no token is shown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
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
from tests.integration.clones import (
    Result,
    everything,
    executed,
    gone,
    hook,
    left_over,
    quiet_git,
    run,
    started,
    wait_for,
)
from tests.integration.modules import ad_hoc, fingerprint, one, operator, rows

__all__ = ["quiet_git"]

EDGE = "scout_edge_function"
TOKEN = "sbp_0123456789abcdef%/+x"


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "bin")


class App:
    """A clone with two versions of a function, the newer checked out and half edited."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        self.clone = Clone(folder)
        self.old = self.clone.commit(
            "Old",
            {
                FUNCTION: "// old\n",
                "supabase/functions/_shared/ünï cödé.ts": "// shared\r\n",
                "supabase/functions/other/index.ts": "// other\n",
                "supabase/config.toml": "[functions.other]\nverify_jwt = false\n",
                "supabase/functions/.gitattributes": "* export-subst\n_shared/** export-ignore\n",
                "supabase/functions/ingest-transaction/stamp.txt": "$Format:%H$\n",
                "elsewhere.txt": "not for the CLI\n",
            },
        )
        self.new = self.clone.commit("New", {FUNCTION: "// new\n", "supabase/functions/other/index.ts": None})
        self.clone.write(**{FUNCTION: "// half edited\n"})

    def files(self, commit: str) -> dict[str, str]:
        """What the commit holds below supabase/, byte by byte."""
        names = self.clone.git(
            "-c", "core.quotePath=false", "ls-tree", "-r", "--name-only", commit, "supabase"
        ).splitlines()
        show = ["git", "-C", str(self.clone.path), "show"]
        return {name: subprocess.check_output([*show, f"{commit}:{name}"]).decode() for name in names}


@pytest.fixture
def app(tmp_path: Path, quiet_git: None) -> App:
    return App(tmp_path / "the app")


Deploy = Callable[..., Result]


@pytest.fixture
def deploy(app: App, cli: Cli, tmp_path: Path) -> Deploy:
    """Deploys, and writes it down in a file."""
    given = {"repository": str(app.clone.path), "project_ref": PROJECT, "cli": str(cli.path)}
    given["state_file"] = str(tmp_path / "state" / "deployments.json")
    return lambda **options: run(EDGE, **{**given, "commit": app.old, **options})


def good(result: Result) -> Result:
    assert not result.get("failed"), result["msg"]
    return result


def bad(result: Result) -> str:
    assert result.get("failed"), result
    assert result["error"]["next_step"]
    return result["msg"]


def test_the_function_comes_from_the_tree_of_the_commit(deploy: Deploy, app: App, cli: Cli, tmp_path: Path) -> None:
    before = everything(app.clone.path)
    result = good(deploy(token=TOKEN))
    [call] = cli.calls
    assert call["argv"] == ["functions", "deploy", "ingest-transaction", "--project-ref", PROJECT]
    assert call["files"] == app.files(app.old)
    assert call["files"][FUNCTION] == "// old\n"
    assert call["files"]["supabase/functions/ingest-transaction/stamp.txt"] == "$Format:%H$\n"
    assert everything(app.clone.path) == before
    assert left_over(tmp_path) == []
    assert (result["changed"], result["commit"], result["verify_jwt"]) == (True, app.old, True)
    assert result["tree"] == app.clone.git("rev-parse", f"{app.old}:supabase/functions")
    assert (result["files"], result["output"]) == (len(call["files"]), "Deployed Function")
    assert result["summary"] == f"deployed ingest-transaction from {app.old[:10]} to project {PROJECT}"
    again = good(deploy(token=TOKEN))
    assert (again["changed"], len(cli.calls)) == (False, 1)
    assert again["summary"] == f"ingest-transaction from {app.old[:10]} is already deployed to project {PROJECT}"
    assert good(deploy(force=True))["changed"]
    assert len(cli.calls) == 2


def test_the_token_is_in_the_environment_alone(
    deploy: Deploy, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PGPASSWORD", "SCOUT_DSN", "GIT_DIR", "ANSIBLE_VAULT_PASSWORD_FILE", "SUPABASE_WORKDIR"):
        monkeypatch.setenv(name, "hush" if name != "GIT_DIR" else "/nowhere")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    cli.tell(
        "import urllib.parse\n"
        "token = os.environ['SUPABASE_ACCESS_TOKEN']\n"
        "print('\\x1b[31musing', token, urllib.parse.quote(token, safe=''), 'sbp_' + 'f' * 40)\n"
        "print('Authorization: Bearer abc.def', 'https://me:hidden@host/', file=sys.stderr)\n"
        "print('JWT eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln', file=sys.stderr)\n"
        "sys.exit(3 if (home / 'fail').exists() else 0)\n"
    )
    texts: list[str] = []
    for fails in (False, True):
        (cli.path.parent / "fail").touch() if fails else None
        result = deploy(token=TOKEN, force=True)
        assert bool(result.get("failed")) == fails
        texts.append(json.dumps(result))
    [call, _] = cli.calls
    environment = call["environment"]
    assert environment["SUPABASE_ACCESS_TOKEN"] == TOKEN
    assert environment["SUPABASE_WORKDIR"] == call["cwd"]
    assert environment["HTTPS_PROXY"] == "http://proxy:1"
    assert not [name for name in environment if name.startswith(("PG", "SCOUT_", "GIT_", "ANSIBLE_"))]
    assert TOKEN not in " ".join(call["argv"])
    texts += [path.read_text() for path in (tmp_path / "state").iterdir()]
    for text in texts:
        for secret in (TOKEN, "sbp_", "0123456789abcdef", "abc.def", "hidden", "eyJhbGci", "\\u001b"):
            assert secret not in text
    assert "using *** *** ***" in texts[0]


def test_the_token_of_the_environment_is_not_shown_either(
    deploy: Deploy, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUPABASE_ACCESS_TOKEN", "plain-secret-7")
    cli.tell("print(os.environ['SUPABASE_ACCESS_TOKEN'])")
    result = good(deploy())
    assert cli.calls[0]["environment"]["SUPABASE_ACCESS_TOKEN"] == "plain-secret-7"
    assert "plain-secret-7" not in json.dumps(result)


def test_verification_goes_off_only_where_told_and_then_it_warns(deploy: Deploy, app: App, cli: Cli) -> None:
    assert good(deploy())["warnings"] == [
        "no earlier deployment of ingest-transaction is known, so there is no command to undo this one"
    ]
    result = good(deploy(verify_jwt=False))
    assert cli.calls[-1]["argv"][-1] == "--no-verify-jwt"
    assert result["changed"]
    assert "JWT verification is off" in result["warnings"][0]
    assert "WITHOUT JWT verification" in result["summary"]
    assert "JWT verification is off" in good(deploy(verify_jwt=False))["warnings"][0]
    assert len(cli.calls) == 2
    good(deploy(function="other"))
    assert cli.calls[-1]["argv"][-1] == "--no-verify-jwt=false"
    app.clone.git("checkout", "--quiet", "--", ".")
    off = app.clone.commit("Off", {"supabase/config.toml": "[functions.ingest-transaction]\nenabled = false\n"})
    for check in (True, False):
        assert "has ingest-transaction disabled: the CLI would skip it" in bad(deploy(commit=off, check=check))
    broken = app.clone.commit("Broken", {"supabase/config.toml": "[functions\n"})
    assert "nobody can tell which files the CLI would send" in bad(deploy(commit=broken))


def test_what_was_deployed_before_is_written_down(deploy: Deploy, app: App, cli: Cli, tmp_path: Path) -> None:
    first = good(deploy(commit=app.new))
    assert first["previous_commit"] is None
    second = good(deploy())
    assert second["previous_commit"] == app.new
    assert second["diff"] == {
        "before": {"deployed": {"commit": app.new, "verify_jwt": True}},
        "after": {"deployed": {"commit": app.old, "verify_jwt": True}},
    }
    assert good(deploy())["previous_commit"] == app.new
    assert good(deploy(force=True))["previous_commit"] == app.new
    assert good(deploy(project_ref="another"))["previous_commit"] is None
    back = good(deploy(commit=second["previous_commit"]))
    assert (back["changed"], back["previous_commit"]) == (True, app.old)
    assert cli.calls[-1]["files"][FUNCTION] == "// new\n"
    path = tmp_path / "state" / "deployments.json"
    assert path.stat().st_mode & 0o777 == 0o600
    entries = json.loads(path.read_text())["deployments"]
    assert [entry["commit"] for entry in entries] == [app.new, app.old, app.old, app.old, app.new]
    assert all(entry["deployed"] and entry["actor"] and entry["at"] for entry in entries)


def test_for_the_first_time_it_is_as_somebody_says(deploy: Deploy, app: App, cli: Cli) -> None:
    cli.tell("sys.exit(1)")
    bad(deploy(previous_commit=app.new))
    cli.tell("")
    result = good(deploy(previous_commit=app.old))
    assert (result["previous_commit"], result["warnings"]) == (app.new, [])


def test_check_mode_runs_nothing_and_says_the_same(deploy: Deploy, app: App, cli: Cli, tmp_path: Path) -> None:
    good(deploy(commit=app.new))
    before = everything(tmp_path / "state"), everything(app.clone.path)
    planned = good(deploy(check=True))
    assert (everything(tmp_path / "state"), everything(app.clone.path)) == before
    assert len(cli.calls) == 1
    real = good(deploy())
    assert planned.keys() == real.keys()
    for name in ("changed", "commit", "previous_commit", "tree", "files", "effects", "diff", "warnings"):
        assert planned[name] == real[name], name
    assert planned["summary"].startswith("would deploy ingest-transaction from ")
    assert good(deploy(check=True))["changed"] is False
    assert good(deploy(check=True, force=True))["changed"] is True


def test_an_attempt_that_failed_is_made_again(deploy: Deploy, app: App, cli: Cli) -> None:
    good(deploy(commit=app.new))
    cli.tell("print('boom: no such project', file=sys.stderr); sys.exit(7)")
    result = deploy()
    assert "could not deploy ingest-transaction: the CLI ended with exit code 7" in bad(result)
    assert "boom: no such project" in result["msg"]
    assert (result["exit_code"], result["error"]["kind"]) == (7, "program_failed")
    bad(deploy())
    assert len(cli.calls) == 3
    cli.tell("")
    # Whether the attempt left anything is not known, so what was there before it has to be deployed again, too.
    assert good(deploy(commit=app.new))["changed"]
    assert good(deploy())["previous_commit"] == app.new


def test_a_cli_that_hangs_is_ended_with_what_it_started(deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    marker = tmp_path / "child"
    cli.tell(
        "import subprocess\n"
        f"child = subprocess.Popen(['sleep', '600']); Path({str(marker)!r}).write_text(str(child.pid))\n"
        "print('bundling', flush=True); time.sleep(600)\n"
    )
    began = time.monotonic()
    result = deploy(timeout_seconds=3)
    assert "took more than 3 s and was ended" in bad(result)
    assert time.monotonic() - began < 60
    assert (result["exit_code"], result["output"]) == (None, "bundling")
    wait_for(lambda: gone(int(marker.read_text())), 1)
    assert left_over(tmp_path) == []


def test_output_without_end_is_bounded(deploy: Deploy, cli: Cli) -> None:
    cli.tell("sys.stdout.write('x' * 30_000_000 + '\\nlast line\\n')")
    result = good(deploy())
    assert len(result["output"]) < 5000
    assert result["output"].endswith("last line\nDeployed Function")


def test_a_run_that_was_killed_is_made_again(app: App, deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    good(deploy())
    cli.tell("time.sleep(600)")
    options = {"repository": str(app.clone.path), "project_ref": PROJECT, "cli": str(cli.path), "commit": app.new}
    options["state_file"] = str(tmp_path / "state" / "deployments.json")
    process = started(EDGE, **options)
    wait_for(lambda: len(cli.calls) == 2)
    assert "refused to deploy while another deployment is in progress" in bad(deploy(force=True))
    process.kill()
    process.communicate()
    assert len(left_over(tmp_path)) == 1
    end_all(cli)
    cli.tell("")
    result = good(deploy())
    assert (result["changed"], left_over(tmp_path)) == (True, [])
    assert good(deploy())["changed"] is False


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no commit": ({"commit": "deadbeef"}, "commit 'deadbeef' is neither the id of a commit in this repository nor a tag"),
    "a branch": ({"commit": "main"}, "commit 'main' is neither"),
    "no function": ({"function": "nope"}, "has no function nope in supabase/functions"),
    "shared": ({"function": "_shared"}, "function '_shared' is not the name of a function"),
    "an option": ({"function": "--debug"}, "function '--debug' is not the name"),
    "project": ({"project_ref": ""}, "project_ref '' is not a project reference"),
    "project option": ({"project_ref": "--help"}, "project_ref '--help' is not"),
    "folder": ({"functions_dir": "../supabase/functions"}, "is not a folder where the CLI finds functions"),
    "other folder": ({"functions_dir": "functions"}, "is not a folder where the CLI finds functions"),
    "folder that is not there": ({"functions_dir": "b/supabase/functions"}, "it has none there"),
    "cli": ({"cli": "supabase-that-is-not-there"}, "could not find the Supabase CLI supabase-that-is-not-there"),
    "cli path": ({"cli": "/nowhere/supabase"}, "could not find the Supabase CLI /nowhere/supabase"),
    "token": ({"token": "a\nb"}, "the token is not valid"),
    "token with NUL": ({"token": "secret\0x"}, "the token is not valid"),
    "incident": ({"incident": "a b"}, "incident 'a b' is not usable"),
}  # fmt: skip


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_refused_in_words(deploy: Deploy, cli: Cli, tmp_path: Path, case: str, check: bool) -> None:
    options, expected = REFUSALS[case]
    result = deploy(check=check, **options)
    assert expected in bad(result)
    assert "secret" not in json.dumps(result)
    assert cli.calls == []
    assert not (tmp_path / "state").exists()


def test_functions_that_are_there_are_named(deploy: Deploy) -> None:
    assert "it has ingest-transaction, other" in bad(deploy(function="nope"))


def test_a_cli_that_cannot_run_is_an_error_in_words(deploy: Deploy, cli: Cli) -> None:
    cli.path.write_text("#!/nowhere/at/all\n")
    assert "could not run the Supabase CLI" in bad(deploy())


def test_a_function_in_a_submodule_is_refused(deploy: Deploy, app: App) -> None:
    app.clone.git("checkout", "--quiet", "--", ".")
    app.clone.git("update-index", "--add", "--cacheinfo", f"160000,{app.old},supabase/functions/module")
    app.clone.git("commit", "--quiet", "-m", "Module")
    commit = app.clone.git("rev-parse", "HEAD")
    assert "supabase/functions/module is a submodule" in bad(deploy(commit=commit))


def test_a_folder_below_and_a_bare_clone_will_do(app: App, deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    app.clone.git("checkout", "--quiet", "--", ".")
    commit = app.clone.commit("Below", {"back end/supabase/functions/deep/index.ts": "// deep\n"})
    bare = tmp_path / "bare.git"
    subprocess.run(["git", "clone", "--quiet", "--bare", str(app.clone.path), str(bare)], check=True)
    good(deploy(repository=str(bare), commit=commit, function="deep", functions_dir="back end/supabase/functions"))
    assert cli.calls[0]["files"] == {"supabase/functions/deep/index.ts": "// deep\n"}


def test_filters_run_as_in_a_checkout(app: App, deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    app.clone.git("checkout", "--quiet", "--", ".")
    commit = app.clone.commit(
        "Large", {".gitattributes": "*.wasm filter=large -text\n", "supabase/functions/other/big.wasm": "pointer\n"}
    )
    app.clone.git("config", "filter.large.smudge", str(hook(tmp_path / "smudge", "cat >/dev/null; echo content")))
    good(deploy(commit=commit))
    assert cli.calls[0]["files"]["supabase/functions/other/big.wasm"] == "content\n"


def test_a_state_file_that_is_none_is_refused(deploy: Deploy, cli: Cli, tmp_path: Path) -> None:
    path = tmp_path / "state" / "deployments.json"
    path.parent.mkdir()
    for text in (
        "",
        "[]",
        '{"format": "x", "deployments": []}',
        '{"format": "scout-recovery-deployments/1", "deployments": [1]}',
    ):
        path.write_text(text)
        assert "could not read state_file" in bad(deploy())
        assert path.read_text() == text
    assert "could not write state_file" in bad(deploy(state_file="/proc/nowhere/x.json"))
    assert cli.calls == []


def test_in_the_ledger_it_is_a_run(scout_db: str, app: App, cli: Cli) -> None:
    given = {"dsn": scout_db, "repository": str(app.clone.path), "project_ref": PROJECT, "cli": str(cli.path)}
    given |= {"token": TOKEN, "incident": "INC-2041"}
    before = fingerprint(scout_db)
    planned = good(run(EDGE, check=True, commit=app.new, **given))
    assert planned["changed"]
    assert fingerprint(scout_db) == before
    first = good(run(EDGE, commit=app.new, **given))
    assert {name: value for name, value in fingerprint(scout_db).items() if not name.startswith("scout_ops.")} == before
    second = good(run(EDGE, commit=app.old, **given))
    found = rows(
        scout_db,
        "SELECT run_id::text, status, incident, effects FROM scout_ops.runs WHERE action = 'deploy' ORDER BY started_at",
    )
    assert [(row[0], row[1], row[2]) for row in found] == [
        (first["run_id"], "succeeded", "INC-2041"), (second["run_id"], "succeeded", "INC-2041"),
    ]  # fmt: skip
    assert found[1][3] == {
        "function": "ingest-transaction", "project_ref": PROJECT, "commit": app.old, "previous_commit": app.new,
        "tree": second["tree"], "verify_jwt": True, "deployed": True,
    }  # fmt: skip
    assert good(run(EDGE, commit=app.old, **given))["changed"] is False
    assert executed(EDGE, commit=app.old, **given)["changed"] is False
    cli.tell("sys.exit(1)")
    bad(run(EDGE, commit=app.new, **given))
    assert (
        one(scout_db, "SELECT status FROM scout_ops.runs WHERE action = 'deploy' ORDER BY started_at DESC LIMIT 1")
        == "failed"
    )
    cli.tell("")
    assert good(run(EDGE, commit=app.old, **given))["changed"]
    assert TOKEN not in json.dumps(rows(scout_db, "SELECT r::text FROM scout_ops.runs AS r"))
    listed, output = ad_hoc(EDGE, env={"GIT_CONFIG_GLOBAL": os.environ["GIT_CONFIG_GLOBAL"]}, commit=app.old, **given)
    assert listed["changed"] is False
    assert TOKEN not in output


def test_a_run_of_the_ledger_that_was_killed_is_made_again(scout_db: str, app: App, cli: Cli) -> None:
    given = {"dsn": scout_db, "repository": str(app.clone.path), "project_ref": PROJECT, "cli": str(cli.path)}
    good(run(EDGE, commit=app.old, **given))
    cli.tell("time.sleep(600)")
    process = started(EDGE, commit=app.new, **given)
    wait_for(lambda: len(cli.calls) == 2)
    assert run(EDGE, commit=app.old, **given)["error"]["kind"] == "lease_held"
    process.kill()
    process.communicate()
    end_all(cli)
    cli.tell("")
    result = good(run(EDGE, commit=app.old, **given))
    assert (result["changed"], len(cli.calls)) == (True, 3)
    assert good(run(EDGE, commit=app.old, **given))["changed"] is False


def test_without_a_ledger_or_a_file_it_is_refused(scout_db: str, app: App, cli: Cli) -> None:
    given = {"repository": str(app.clone.path), "project_ref": PROJECT, "cli": str(cli.path), "commit": app.old}
    assert "refused to deploy without recording" in bad(run(EDGE, dsn=scout_db, ledger="off", **given))
    with operator(scout_db, without="create") as dsn:
        assert "could not use the ledger scout_ops" in bad(run(EDGE, dsn=dsn, **given))
    assert cli.calls == []


def end_all(cli: Cli) -> None:
    """Ends what runs of the fake CLI."""
    for entry in (entry for entry in Path("/proc").iterdir() if entry.name.isdigit()):
        if str(cli.path).encode() in read(entry / "cmdline"):
            os.kill(int(entry.name), signal.SIGKILL)


def read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
