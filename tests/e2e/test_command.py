# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The `scout` command as a person types it, from the checkout and installed, at a terminal and without one."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pexpect
import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, Stage, environment

SCOUT = CHECKOUT / "bin" / "scout"


def scout(
    stage: Stage, pipeline: Pipeline | None, *words: str, cwd: Path = CHECKOUT, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What came of a command without a terminal."""
    dsn = {"SCOUT_DSN": pipeline.dsn} if pipeline else {}
    shell = environment(stage.home, {**dsn, **(env or {})})
    return subprocess.run([SCOUT, *words], env=shell, cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def at_a_terminal(stage: Stage, pipeline: Pipeline, *words: str) -> pexpect.spawn:
    """The command on its way, at a terminal of its own."""
    env = environment(stage.home, {"SCOUT_DSN": pipeline.dsn})
    return pexpect.spawn(
        str(SCOUT), [*words], env=env, cwd=str(CHECKOUT), timeout=120, encoding="utf-8", dimensions=(50, 200)
    )


def test_assess_prints_the_command_that_it_runs(broken: Pipeline, stage: Stage) -> None:
    """The line that is printed does the same when it is pasted; from another folder, too."""
    before = broken.fingerprint()
    for cwd in (CHECKOUT, stage.home):
        done = scout(stage, broken, "assess", "--incident", "INC-2041", cwd=cwd)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "assess of " in done.stdout
        printed = done.stderr.splitlines()[0].removeprefix("+ ")
        assert shlex.split(printed)[-2:] == ["-e", '{"incident": "INC-2041"}']
    env = environment(stage.home, {"SCOUT_DSN": broken.dsn})
    pasted = subprocess.run(["sh", "-c", printed], env=env, cwd=stage.home, capture_output=True, text=True)
    assert (pasted.returncode, "assess of " in pasted.stdout) == (0, True), pasted.stdout + pasted.stderr
    assert broken.fingerprint() == before


def test_a_wrong_word_ends_it_before_anything_runs(stage: Stage) -> None:
    done = scout(stage, None, "reset", "--max-posion", "3")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("scout: '--max-posion' is no option of scout reset; did you mean --max-poison?")


def test_the_exit_code_is_that_of_the_playbook(stage: Stage, healthy: Pipeline) -> None:
    done = scout(stage, healthy, "undo", "00000000-0000-4000-8000-00000000e711")
    assert done.returncode == 2
    assert "[y/N]" not in done.stderr


def test_a_reset_shows_the_plan_and_asks(broken: Pipeline, stage: Stage) -> None:
    """No is no; yes recovers."""
    before = broken.fingerprint()
    asked = at_a_terminal(stage, broken, "reset")
    asked.expect(r"\[y/N\] ")
    assert asked.before.splitlines()[0].endswith(" --check")
    assert "would" in asked.before
    asked.sendline("n")
    asked.expect(pexpect.EOF)
    asked.close()
    assert (asked.exitstatus, "nothing was changed" in asked.before) == (1, True), asked.before
    assert broken.fingerprint() == before
    asked = at_a_terminal(stage, broken, "reset")
    asked.expect(r"\[y/N\] ")
    asked.sendline("y")
    asked.expect(pexpect.EOF)
    asked.close()
    assert asked.exitstatus == 0, asked.before
    assert broken.pending() == 0
    undone = at_a_terminal(stage, broken, "undo", "last")
    undone.expect(r"\[y/N\] ")
    undone.sendline("y")
    undone.expect(r"playbooks/undo.yml (?:\\\r\n    )?-e '(\{[^']*\})'")
    assert json.loads(undone.match[1])["run_id"] == broken.one(
        "SELECT run_id::text FROM scout_ops.runs WHERE action = 'drain'"
    )
    undone.expect(pexpect.EOF)
    undone.close()
    assert undone.exitstatus == 0, undone.before
    listed = scout(stage, broken, "runs", "--of-action", "drain")
    assert (listed.returncode, "drain" in listed.stdout) == (0, True), listed.stdout


def test_installed(installed: Path, broken: Pipeline, stage: Stage) -> None:
    """From the folder in which ansible-galaxy put it, with a Python on the PATH that has nothing of what Ansible has."""
    program = installed / "collections" / "ansible_collections" / "scout" / "recovery" / "bin" / "scout"
    env = environment(stage.home, {"SCOUT_DSN": broken.dsn, "HOME": str(stage.home)})
    env.pop("ANSIBLE_CONFIG")
    plain = Path(sys.base_prefix) / "bin" / "python3"
    done = subprocess.run([plain, "-I", program, "assess"], env=env, cwd=stage.home, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ansible-playbook scout.recovery.assess" in done.stderr.splitlines()[0]


@pytest.mark.parametrize("typed", ["scout in", "scout rollback --drop-c", "scout window --mode "])
def test_completion(typed: str, stage: Stage) -> None:
    """What argcomplete is told, as the shells ask for it."""
    wanted = {"scout in": "incident", "scout rollback --drop-c": "--drop-column", "scout window --mode ": "missing"}
    out = stage.home / "out"
    env = environment(stage.home, {"_ARGCOMPLETE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed))})
    env |= {"_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(out)}
    done = subprocess.run([str(BIN / "python"), SCOUT], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert wanted[typed] in out.read_text().split()
