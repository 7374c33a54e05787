# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The live screen: as a playbook once, by the command once, and again and again until Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import termios
from pathlib import Path

import pexpect
import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage, environment, eventually
from tests.e2e.test_command import SCOUT, at_a_terminal, scout


def test_the_playbook_looks_once(broken: Pipeline, stage: Stage) -> None:
    before = broken.fingerprint()
    for arguments in ((), ("--check",)):
        played = stage.play("top", broken.dsn, *arguments)
        assert (played.rc, played.recap()["changed"]) == (0, 0), played.text
        seen = played.result["top"]
        assert seen["backlog"]["events"] == broken.pending()
        assert seen["unread"] == {}
        assert f"  backlog       {broken.pending():,} events, oldest " in played.text
        assert "  job           bronze-to-silver-etl on" in played.text
    assert broken.fingerprint() == before


def test_once_prints_one_screen_of_each_host(healthy: Pipeline, broken: Pipeline, stage: Stage) -> None:
    """Into a pipe, and nothing but the screens; a host that cannot be looked at is said, and the exit code is the playbook's."""
    hosts = {"luzon": {"scout_dsn": healthy.dsn}, "visayas": {"scout_dsn": broken.dsn}}
    done = scout(stage, None, "top", "--once", "-i", stage.inventory(hosts))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("ingestion is running") == 2
    assert "\x1b" not in done.stdout
    assert "PLAY" not in done.stdout
    assert done.stderr.count("\n") == 1
    hosts["visayas"]["scout_dsn"] = "postgresql://nobody@127.0.0.1:1/none"
    done = scout(stage, None, "top", "--once", "-i", stage.inventory(hosts))
    assert done.returncode == 2
    assert done.stdout.count("ingestion is running") == 1
    assert "visayas: " in done.stdout


def test_a_look_that_cannot_begin_shows_why(stage: Stage) -> None:
    done = scout(stage, None, "top", "--once", "-i", "no-such-inventory.yml")
    assert done.returncode != 0
    assert "no-such-inventory.yml" in done.stdout


def test_it_is_repeated_until_ctrl_c(healthy: Pipeline, stage: Stage) -> None:
    """That ends it well, and the terminal is as it was."""
    seen = at_a_terminal(stage, healthy, "top", "--interval", "1")
    for _ in range(2):
        seen.expect("ingestion is running")
        seen.expect("every 1 s; q or Ctrl-C ends")
    seen.sendintr()
    seen.expect(pexpect.EOF)
    seen.close()
    assert (seen.exitstatus, seen.signalstatus) == (0, None), seen.before
    assert "Traceback" not in seen.before
    assert "\x1b[?" not in seen.before


def modes(seen: pexpect.spawn) -> list[object]:
    """How the terminal is set."""
    return termios.tcgetattr(seen.child_fd)


def test_keys_print_a_command_run_nothing_and_leave_the_terminal_as_it_was(broken: Pipeline, stage: Stage) -> None:
    before = broken.fingerprint()
    inventory = stage.inventory({"luzon": {"scout_dsn": broken.dsn}})
    env = environment(stage.home, {})
    words = ["top", "--interval", "60", "-i", inventory]
    seen = pexpect.spawn(
        str(SCOUT), words, env=env, cwd=str(CHECKOUT), timeout=120, encoding="utf-8", dimensions=(50, 200)
    )
    was = modes(seen)
    seen.expect("p, r, t print how to pause, reset, terminate")
    assert modes(seen) != was, "keys are read one by one"
    for key, command in (("p", "scout pause"), ("R", "scout reset --check"), ("t", "scout terminate --check")):
        # Neither a key without a meaning nor one that was typed twice changes the screen.
        seen.send(f"{key}x{key}")
        seen.expect_exact(f"    {command} -i {inventory}\r\n")
    seen.send("q")
    seen.expect(pexpect.EOF)
    assert modes(seen) == was
    seen.close()
    assert (seen.exitstatus, seen.signalstatus) == (0, None), seen.before
    assert broken.fingerprint() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(number: signal.Signals, healthy: Pipeline, stage: Stage) -> None:
    seen = at_a_terminal(stage, healthy, "top", "--interval", "60")
    was = modes(seen)
    seen.expect("q or Ctrl-C ends")
    seen.kill(number)
    seen.expect(pexpect.EOF)
    assert modes(seen) == was
    seen.close()
    assert seen.exitstatus == (0 if number == signal.SIGINT else 128 + number)


def test_one_that_is_stopped_leaves_the_terminal_to_the_shell(healthy: Pipeline, stage: Stage) -> None:
    seen = at_a_terminal(stage, healthy, "top", "--interval", "60")
    was = modes(seen)
    seen.expect("q or Ctrl-C ends")
    listening = modes(seen)
    seen.kill(signal.SIGTSTP)
    eventually(lambda: modes(seen) == was, 10, "the terminal as it was")
    seen.kill(signal.SIGCONT)
    eventually(lambda: modes(seen) == listening, 10, "keys again")
    seen.send("q")
    seen.expect(pexpect.EOF)
    seen.close()
    assert seen.exitstatus == 0


def test_a_reader_that_has_enough_ends_it(healthy: Pipeline, stage: Stage) -> None:
    """As `scout top | head` does."""
    program = (
        "import subprocess, sys; p = subprocess.Popen(sys.argv[1:], stdout=subprocess.PIPE); p.stdout.readline(); "
    )
    program += "p.stdout.close(); sys.exit(p.wait())"
    env = environment(stage.home, {"SCOUT_DSN": healthy.dsn})
    command = [sys.executable, "-c", program, str(SCOUT), "top", "--interval", "1"]
    done = subprocess.run(command, env=env, cwd=Path.cwd(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
