# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The deploy pipeline's files: what they call is there, their graphs are those of the page, and the script is sound."""

from __future__ import annotations

import concurrent.futures
import contextlib
import importlib.util
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tests import CHECKOUT

ROOT = CHECKOUT
SCRIPT = ROOT / "scripts" / "ci" / "deploy_release.sh"
PAGE = (ROOT / "docs" / "deploy-pipeline.md").read_text(encoding="utf-8")
SCHEMA = json.loads((ROOT / "docs" / "deploy-result.schema.json").read_text(encoding="utf-8"))
GITHUB = yaml.safe_load((ROOT / "deploy" / "github-actions.yml").read_text(encoding="utf-8"))
GITLAB = yaml.safe_load((ROOT / "deploy" / "gitlab-ci.yml").read_text(encoding="utf-8"))
KEYWORDS = ("stages", "variables")
SECRETS = {"PGPASSWORD", "SUPABASE_ACCESS_TOKEN", "SCOUT_PUSH_TOKEN"}


def module() -> Any:
    spec = importlib.util.spec_from_file_location("deploy_result", ROOT / "scripts" / "ci" / "deploy_result.py")
    assert spec
    assert spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


helper = module()


def gitlab_jobs() -> dict[str, Any]:
    return {name: job for name, job in GITLAB.items() if name not in KEYWORDS and not name.startswith(".")}


def commands() -> Iterator[tuple[str, str]]:
    """Every piece of shell in both files, with where it stands."""
    for name, job in GITHUB["jobs"].items():
        for step in job["steps"]:
            if "run" in step:
                yield f"github {name}: {step['name']}", step["run"]
    for name, job in GITLAB.items():
        if name not in KEYWORDS:
            for part in ("before_script", "script", "after_script"):
                for line in flat(job.get(part, [])):
                    yield f"gitlab {name}: {part}", line


def flat(lines: list[Any]) -> list[str]:
    """As GitLab does with lists in lists."""
    return [text for line in lines for text in (flat(line) if isinstance(line, list) else [line])]


def options() -> set[str]:
    """What the script's first comment names."""
    head = SCRIPT.read_text(encoding="utf-8").partition("set -euo")[0]
    return set(
        re.findall(r"(?<=[ ,])--[a-z-]+", "\n".join(re.findall(r"^#   (?=--)(.*?)(?:  .*)?$", head, re.MULTILINE)))
    ) | set(re.findall(r"^#   (--[a-z-]+)", head, re.MULTILINE))


def test_the_script_takes_the_options_it_says() -> None:
    body = SCRIPT.read_text(encoding="utf-8").partition("set -euo")[2]
    taken = {
        word
        for line in re.findall(r"^ +(?:--[a-z-]+ ?\|? ?\\?\n? *)+\)", body, re.MULTILINE)
        for word in re.findall(r"--[a-z-]+", line)
    }
    assert len(options()) > 3
    assert taken == options()
    assert all(f"`{option}`" in PAGE for option in options())


def needs(job: dict[str, Any]) -> set[str]:
    found = job.get("needs", [])
    return {found} if isinstance(found, str) else set(found)


def test_one_deployment_at_a_time_and_none_is_broken_off() -> None:
    assert GITHUB["concurrency"] == {"group": "scout-production", "cancel-in-progress": False}
    for name in ("check", "deploy", "rollback"):
        assert GITLAB[name]["extends"] == ".with_recovery"
    assert GITLAB[".with_recovery"]["resource_group"] == "scout-production"
    assert not any(GITLAB[name]["interruptible"] for name in ("deploy", "rollback"))


def test_actions_are_pinned_to_a_commit_whose_version_is_said() -> None:
    text = (ROOT / "deploy" / "github-actions.yml").read_text(encoding="utf-8")
    used = re.findall(r"uses: (.*)", text)
    assert used
    assert [name for name in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", name)] == []


def test_a_job_has_the_rights_it_needs_and_no_others() -> None:
    assert GITHUB["permissions"] == {}
    rights = {name: job["permissions"] for name, job in GITHUB["jobs"].items()}
    assert rights.pop("check") == {"contents": "read"}
    assert all(given == {"contents": "write"} for given in rights.values())
    assert all(step["with"]["persist-credentials"] is False for step in GITHUB["jobs"]["check"]["steps"][:2])


@pytest.mark.parametrize("tag", ["v{{ 7 }}", "v5.3", "v5.3.0$(id)", "v5.3.0{{ lookup('pipe', 'id') }}", "v5.3.0-rc1"])
def test_a_tag_of_another_form_starts_no_deployment(tag: str) -> None:
    [pattern] = GITHUB[True]["push"]["tags"]
    github = re.escape(pattern).replace(r"\[0\-9\]\+", "[0-9]+")
    rules = {rule["if"] for job in gitlab_jobs().values() for rule in job["rules"] if "CI_COMMIT_TAG" in rule["if"]}
    [gitlab] = {found[1] for rule in rules if (found := re.search(r"CI_COMMIT_TAG =~ /(.*?)/ ", rule))}
    for form in (github, gitlab):
        assert re.search(form, "v5.3.0")
        assert not re.fullmatch(form.strip("^$"), tag)


def test_secrets_come_from_the_store_and_are_words_of_no_command() -> None:
    for job in GITHUB["jobs"].values():
        for step in job["steps"]:
            for name, value in step.get("env", {}).items():
                assert (name in SECRETS | {"SCOUT_DSN"}) == ("secrets." in value), name
    for place, text in commands():
        assert not re.search(r"(?<!\\n\" \")\$\{?(PGPASSWORD|SUPABASE_ACCESS_TOKEN)", text), place
        if "SCOUT_PUSH_TOKEN" in text:
            assert "credential.helper" in text
    # Quoted, so that git and not this shell reads it, at the moment it asks.
    [text] = {text for _, text in commands() if "SCOUT_PUSH_TOKEN" in text}
    assert "SCOUT_PUSH_TOKEN" in shlex.split(text)[-1]


def test_the_shell_is_sound() -> None:
    for checker in (["bash", "-n"], *([[shutil.which("shellcheck")]] if shutil.which("shellcheck") else [])):
        done = subprocess.run([*checker, str(SCRIPT)], capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    text = SCRIPT.read_text(encoding="utf-8")
    assert re.search(r"^set -euo pipefail$", text, re.MULTILINE)
    assert not re.search(r"\b(eval|bash -c|sh -c)\b", text)


def test_exit_codes_are_those_of_the_page_and_of_the_schema() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    head = {int(code) for code in re.findall(r"^# (\d+)  ", text, re.MULTILINE)}
    constants = {int(code) for code in re.findall(r"\b[A-Z_]+=(\d\d)\b", text.partition("say()")[0])}
    page = {
        int(code)
        for code in re.findall(r"^\| (\d+) \|", PAGE.partition("## Exit codes")[2].partition("\n## ")[0], re.MULTILINE)
    }
    schema = {code for code in SCHEMA["properties"]["exit_code"]["enum"] if code is not None}
    assert head == constants | {0} == page == schema
    outcomes = set(re.findall(r"finish (\w+) ", text)) | {"running"}
    assert outcomes == set(SCHEMA["properties"]["outcome"]["enum"]) == set(helper.SAID)
    assert all(f"`{name}`" in PAGE for name in outcomes)


ENVIRONMENT = {"DEPLOY_FROM": "v1", "DEPLOY_TO": "v2 of ünï", "DEPLOY_COMMIT": "c0ffee", "DEPLOY_APPLICATION": "/clone"}


def test_the_result_of_any_moment_fits_the_schema(tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    (tmp_path / "steps.tsv").write_text(
        "look\tbegun\t100.0\nlook\tended\t101.5\t0\nmigrate\tbegun\t102.0\nmigrate\tended\t103.0\t3\nrollback\tbegun\t104.0\n"
    )
    (tmp_path / "look.json").write_text("half of a docum")
    for outcome, code in (("running", ""), ("interrupted", "63")):
        made = helper.document(tmp_path, outcome, code, ENVIRONMENT)
        jsonschema.validate(made, SCHEMA)
        assert [(step["exit_code"], step["seconds"]) for step in made["steps"]] == [(0, 1.5), (3, 1.0), (None, None)]
        assert made["failed_step"] == "migrate"
        helper.write(tmp_path, made)
        assert helper.unsettled(tmp_path)
        assert helper.told(made)
    helper.write(tmp_path, helper.document(tmp_path, "rolled_back", "61", ENVIRONMENT))
    assert not helper.unsettled(tmp_path)
    assert not helper.unsettled(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("text", "well"),
    [
        ('{"results": [{"ok": true}]}', True),
        ('{"results": [{"ok": true}, {"ok": false}]}', False),
        ('{"results": []}', False),
        ('{"results": [{}]}', False),
        ("[]", False),
        ("", False),
    ],
)
def test_an_exit_code_of_0_is_not_believed_without_a_result(tmp_path: Path, text: str, well: bool) -> None:
    (tmp_path / "result.json").write_text(text)
    assert helper.settled(tmp_path / "result.json") == well
    assert not helper.settled(tmp_path / "missing.json")


SHELL = ["sh", "-c"]


@pytest.mark.parametrize(
    ("seconds", "words", "code"),
    [
        ("30", ["true"], 0),
        ("30", [*SHELL, "exit 7"], 7),
        ("30", [*SHELL, "kill -9 $$"], 137),
        ("30", ["no-such-program"], 127),
        ("30", ["/etc/passwd"], 126),
        ("1", ["sleep", "60"], 124),
        ("1", [*SHELL, "trap '' INT; sleep 60; sleep 60"], 124),
        ("1", [*SHELL, "(trap '' INT; exec sleep 60) & wait"], 124),
    ],
)
def test_a_program_is_bounded_with_all_it_started(seconds: str, words: list[str], code: int, tmp_path: Path) -> None:
    left = tmp_path / "code"
    command = [sys.executable, "-I", str(SCRIPT.with_name("deploy_result.py")), "step", str(left), seconds, *words]
    with subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True) as process:
        process.wait(timeout=30)
        assert left.read_text() == str(code)
        assert not helper.others(process.pid)


def test_whoever_asks_twice_to_stop_a_rollback_waits_for_its_end(tmp_path: Path) -> None:
    """A terminal and a runner may do so at once, and of two signals bash takes one for the end of what it waits for: not always, so
    some are tried."""
    checkout = tmp_path / "checkout"
    tools = checkout / ".venv" / "bin"
    for folder in (tools, checkout / "playbooks"):
        folder.mkdir(parents=True)
    shutil.copytree(SCRIPT.parent, checkout / "scripts" / "ci")
    for path in (checkout / "playbooks" / "rollback.yml", tmp_path / "hosts.yml"):
        path.touch()
    (tools / "python3").symlink_to(sys.executable)
    (tools / "ansible-playbook").write_text("#!/bin/sh\nsleep 2\nexit 3\n")
    (tools / "ansible-playbook").chmod(0o755)
    words = ["--rollback", "--from", "v1", "--inventory", str(tmp_path / "hosts.yml"), "--notify", "/bin/true"]
    folders = [tmp_path / str(number) for number in range(8)]
    with contextlib.ExitStack() as ends, concurrent.futures.ThreadPoolExecutor(len(folders)) as pool:
        for folder in folders:
            folder.mkdir()
        begun = [
            ends.enter_context(_begun([str(checkout / "scripts" / "ci" / SCRIPT.name), *words], of)) for of in folders
        ]
        for folder, code in zip(folders, pool.map(_stopped_twice, begun, folders), strict=True):
            made = json.loads(_text(folder / "deploy-artifacts" / "deploy-result.json"))
            assert [(step["name"], step["exit_code"]) for step in made["steps"]] == [("rollback", 3), ("notify", 0)]
            assert code == 62


def _begun(command: list[str], folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 no thread is running yet
    )  # fmt: skip


def _stopped_twice(process: subprocess.Popen[bytes], folder: Path) -> int:
    while not _text(folder / "deploy-artifacts" / "steps.tsv").startswith("rollback\tbegun"):
        assert process.poll() is None
        time.sleep(0.005)
    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
    return process.wait(timeout=120)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def test_who_is_at_work_is_known_from_who_got_the_number_later(tmp_path: Path) -> None:
    assert helper.at_work(tmp_path) == []
    with contextlib.ExitStack() as ends:
        leads, follows = (
            ends.enter_context(subprocess.Popen(["sleep", "60"], env={"DEPLOY_ID": "a1"}, start_new_session=leading))
            for leading in (True, False)
        )
        for process in (leads, follows):
            ends.callback(process.kill)
            # The kernel shows it a moment after the program has begun.
            while b"DEPLOY_ID" not in Path(f"/proc/{process.pid}/environ").read_bytes():
                time.sleep(0.01)
        born = {
            pid: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
            for pid in (leads.pid, follows.pid, os.getpid())
        }
        noted = [
            ("migrate", leads.pid, "1", "a1"),
            ("deploy", leads.pid, born[leads.pid], "a1"),
            ("notify", leads.pid, born[leads.pid], "a2"),
            ("look", follows.pid, born[follows.pid], "a1"),
            ("gate", 4194304999, "1", "a1"),
            ("script", os.getpid(), born[os.getpid()], "a1"),
        ]
        (tmp_path / "at-work.tsv").write_text("".join("\t".join(map(str, line)) + "\n" for line in noted))
        assert helper.at_work(tmp_path) == [("deploy", leads.pid), ("script", os.getpid())]


@pytest.mark.parametrize(
    ("step", "begun", "own", "force"),
    [
        ("gate", [], {}, None),
        ("capture", [], {"scout_release": "v1", "scout_git_commit": "c0ffee", "scout_application_dir": ""}, None),
        ("plan_rollback", ["capture"], {"scout_release": "v1", "scout_application_dir": "/clone"}, None),
        ("rollback", ["capture", "migrate"], {"scout_release": "v1", "scout_application_dir": "/clone"}, False),
        (
            "rollback",
            ["capture", "migrate", "deploy"],
            {"scout_release": "v1", "scout_application_dir": "/clone"},
            True,
        ),
        ("rollback", [], {"scout_release": "v1", "scout_application_dir": "/clone"}, True),
    ],
)
def test_what_the_playbooks_are_told(step: str, begun: list[str], own: dict[str, Any], force: bool | None) -> None:
    default, made = helper.variables(step, Path("/a/result.json"), ENVIRONMENT, begun)
    assert made == {"scout_result_file": "/a/result.json", **own}
    assert default.pop("scout_edge_function_force", None) is force
    assert default == {"scout_incident": "deploy-v2-of--n-", "scout_smoke": True}


@pytest.mark.parametrize(
    ("text", "off"),
    [
        ("scout_gate: false\n", True),
        ("# the fix\nscout_gate: 'No'\nscout_smoke: true\n", True),
        ('{"scout_gate": 0}', True),
        ("password: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\nscout_gate: off\n", True),
        ("scout_gate: true\n", False),
        ("scout_thresholds:\n  scout_gate: false\n", False),
        ("", False),
        ("- scout_gate: false\n", False),
        ("scout_gate: [\n", False),
    ],
)
def test_a_file_of_variables_that_turns_the_gate_off(text: str, off: bool, tmp_path: Path) -> None:
    file = tmp_path / "scout.yml"
    file.write_text(text, encoding="utf-8")
    assert helper.ungated(file) is off
    assert helper.main(["ungated", str(file)]) == (0 if off else 1)


@pytest.mark.parametrize("step", ["plan_rollback", "rollback"])
def test_although_failing_reaches_the_gate_of_the_rollback(step: str, tmp_path: Path) -> None:
    told = {"DEPLOY_FROM": "v1", "DEPLOY_APPLICATION": ""}
    _, own = helper.variables(step, tmp_path / "r.json", told | {"DEPLOY_ALTHOUGH_FAILING": "yes"}, [])
    assert own["scout_gate"] is False
    _, own = helper.variables(step, tmp_path / "r.json", told | {"DEPLOY_ALTHOUGH_FAILING": ""}, [])
    assert "scout_gate" not in own
