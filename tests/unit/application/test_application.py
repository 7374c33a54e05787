# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments before this one, words for the CLI, what no output shows, and how other programs are run."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.application import (
    deployments,
    edge_function,
    repository,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import subprocesses

Deployment = deployments.Deployment


def made(commit: str, *, deployed: bool = True, previous: str | None = None, verify_jwt: bool = True) -> Deployment:
    return Deployment("f", "p", commit, f"tree of {commit}", verify_jwt, previous, deployed)


def wanted(**options: object) -> edge_function.Wanted:
    base = {"commit": "a", "function": "f", "functions_dir": "supabase/functions", "project_ref": "p", "cli": "supabase",
            "token": None, "verify_jwt": True, "timeout_seconds": 1.0}  # fmt: skip
    return edge_function.Wanted(**{**base, **options})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("history", "given", "expected"),
    [
        ([], None, None),
        ([], "b", "b"),
        ([], "a", None),
        ([made("b")], "c", "b"),
        ([made("b", deployed=False), made("c")], None, "c"),
        ([made("a", previous="c")], "b", "c"),
        ([made("a", deployed=False, previous="c")], "b", "c"),
        ([made("a", deployed=False), made("b", deployed=False)], "d", "d"),
    ],
)
def test_the_commit_to_go_back_to(history: list[Deployment], given: str | None, expected: str | None) -> None:
    assert deployments.before(history, "a", given) == expected


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([], False),
        ([made("a")], True),
        ([made("a", verify_jwt=False)], False),
        ([made("a", deployed=False)], False),
        ([made("b", deployed=False), made("a")], False),
        ([made("b"), made("a")], False),
    ],
)
def test_whether_it_is_deployed_already(history: list[Deployment], expected: bool) -> None:
    assert edge_function.there(history, made("a", deployed=False, previous="x")) is expected


def test_what_is_no_deployment_is_passed_over() -> None:
    assert deployments.described({"function": "f"}) is None
    assert deployments.described("x") is None
    assert deployments.described({**made("a").as_dict(), "run_id": "r"}) == made("a")


@pytest.mark.parametrize(
    ("verify_jwt", "says_open", "more"),
    [(True, False, []), (True, True, ["--no-verify-jwt=false"]), (False, False, ["--no-verify-jwt"]), (False, True, ["--no-verify-jwt"])],
)  # fmt: skip
def test_words_for_the_cli(verify_jwt: bool, says_open: bool, more: list[str]) -> None:
    words = edge_function.arguments("supabase", wanted(verify_jwt=verify_jwt), config_says_open=says_open)
    assert words == ["supabase", "functions", "deploy", "f", "--project-ref", "p", *more]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("[functions.f]\nverify_jwt = true", {"verify_jwt": True}),
        ("[functions.g]\nverify_jwt = false", {}),
        ("[functions.f]\nenabled = false", {"enabled": False}),
        ("[functions.f", None),
        ("functions = 1", None),
        ("[functions]\nf = 1", None),
        ("x = '\udcff'", None),
    ],
)
def test_what_a_configuration_says_of_a_function(text: str, expected: dict[str, bool] | None) -> None:
    assert edge_function.function_config(text.encode(errors="surrogateescape"), "f") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Access token not provided. Supply one by running supabase login", None),
        ("unexpected status 401: JWT could not be decoded", None),
        ("https://supabase.com/dashboard/project/p/functions", None),
        ("using sbp_0123456789abcdef", "using ***"),
        ("Authorization: Bearer abc", "Authorization: ***"),
        ("sent bearer abc.def to", "sent bearer *** to"),
        ("?token=abc&x", "?token=***"),
        ("postgresql://me:secret@db/x", "postgresql://me:***@db/x"),
        ("my-own-token is", "*** is"),
    ],
)
def test_no_secret_is_shown_and_nothing_else_is_hidden(text: str, expected: str | None) -> None:
    done = subprocesses.Done(1, b"", text.encode(), 0.0)
    assert edge_function.redacted(done, "my-own-token") == (text if expected is None else expected)


def test_the_end_of_long_output_is_shown() -> None:
    done = subprocesses.Done(1, b"x" * 100_000 + b" end", b"", 0.0)
    assert edge_function.redacted(done, None).endswith("x end")
    assert len(edge_function.redacted(done, None)) < 5000


def test_a_token_is_among_what_is_hidden() -> None:
    assert "hush-hush" in invoke.secrets({"token": "hush-hush"})


def test_git_sees_nothing_of_a_calling_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    local = subprocess.check_output(["git", "rev-parse", "--local-env-vars"], text=True).split()
    given = {"GIT_CONFIG_COUNT", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME", "GIT_AUTHOR_DATE", "GIT_EDITOR", "SSH_ASKPASS"}
    for name in {*local, *given}:
        monkeypatch.setenv(name, "0")
    seen = repository.environment()
    passed = {"GIT_CONFIG_COUNT", "GIT_SSH_COMMAND", "GIT_AUTHOR_NAME"}
    assert seen.keys() & {*local, *given} == passed | {"GIT_NO_REPLACE_OBJECTS"}
    assert (seen["GIT_TERMINAL_PROMPT"], seen["GIT_NO_REPLACE_OBJECTS"]) == ("0", "1")


@pytest.mark.parametrize(
    ("branch", "ref"), [("main", "main"), ("release/5.2", "release%2F5.2"), ("größe", "gr%C3%B6%C3%9Fe"), ("a%2Fb", "a%252Fb")]
)  # fmt: skip
def test_each_branch_has_a_ref_of_its_own(branch: str, ref: str) -> None:
    assert repository.kept(branch) == f"refs/scout-recovery/{ref}"
    assert subprocess.run(["git", "check-ref-format", repository.kept(branch)], check=False).returncode == 0


def test_what_git_says_is_short_and_without_credentials() -> None:
    said = "hint: one\n" * 9 + "fatal: unable to access 'https://me:hush@host/x.git/': refused\n\nerror: last\n"
    done = subprocesses.Done(128, b"", said.encode(), 0.0)
    text = repository.complaint(done)
    assert text.endswith("fatal: unable to access 'https://***@host/x.git/': refused; error: last")
    assert text.count("hint") < 5
    assert repository.complaint(subprocesses.Done(1, b"only here\n", b"", 0.0)) == "only here"


def program(script: str, folder: Path, **options: object) -> subprocesses.Done:
    argv = [sys.executable, "-c", script]
    return subprocesses.run(argv, cwd=folder, environment=os.environ, **{"seconds": 20.0, **options})  # type: ignore[arg-type]


def test_a_program_gets_its_input_and_its_output_is_kept_apart(tmp_path: Path) -> None:
    script = "import sys; print(sys.stdin.read()); print('e', file=sys.stderr); sys.exit(3)"
    done = program(script, tmp_path, stdin=b"given")
    assert (done.code, done.out, done.err, done.cut) == (3, b"given\n", b"e\n", False)


@pytest.mark.parametrize(("tail", "kept"), [(False, b"abc"), (True, b"xyz")])
def test_too_much_output_is_cut(tmp_path: Path, tail: bool, kept: bytes) -> None:
    script = "import sys; sys.stdout.write('abc' + 'o' * 1_000_000 + 'xyz')"
    done = program(script, tmp_path, limit=1000, tail=tail)
    assert (len(done.out), done.cut, kept in done.out) == (1000, True, True)


def test_a_program_in_the_background_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    script = "import subprocess; print('up', subprocess.Popen(['sleep', '5']).pid)"
    done = program(script, tmp_path)
    assert time.monotonic() - began < 4
    assert done.out.startswith(b"up ")


def test_a_program_that_ignores_being_asked_is_ended(tmp_path: Path) -> None:
    script = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('on', flush=True); time.sleep(60)"
    )
    done = program(script, tmp_path, seconds=1.0)
    assert (done.code, done.out) == (None, b"on\n")
    assert done.seconds < 6


def test_a_folder_is_gone_afterwards_and_those_of_the_dead_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    dead = tmp_path / "x-dead"
    dead.mkdir()
    (dead / "lock").touch()
    (tmp_path / "x-strange").mkdir()
    (tmp_path / "x-link").symlink_to(dead)
    unused, fresh = tmp_path / ".x-old", tmp_path / ".x-new"
    for folder in (unused, fresh):
        folder.mkdir()
    os.utime(unused, (1, 1))
    os.utime(fresh, (time.time(), time.time()))
    with subprocesses.scratch("x") as outer, subprocesses.scratch("x") as inner:
        assert outer != inner
        assert {path.name for path in tmp_path.iterdir()} == {outer.name, inner.name, "x-strange", "x-link", ".x-new"}
    assert {path.name for path in tmp_path.iterdir()} == {"x-strange", "x-link", ".x-new"}
