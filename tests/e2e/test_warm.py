# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is forked from a process with Ansible loaded does what the command itself does."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests import warm
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Running, Stage, environment, eventually

#: What differs between any two runs: ids, times, how long it took.
VARYING = re.compile(
    r"[0-9a-f]{8}-[0-9a-f-]{27}|\b\d{8}T[\d.]+Z|\b\d\d:\d\d(:\d\d[.\d]*)?\b|\b[\d.]+ (s|ms|min|KB)\b|\S*/(warm|cold)\b"
    r"|\bbroken_\d+\b"
)
#: How long the run has lasted, in the line before each step, once that is worth a word.
SINCE = re.compile(r"\] (?:\d.*? )?\*+$")
#: Said now and then, as time goes by.
PROGRESS = re.compile(r"\d/s, about |still working; |\] assessing: ")
SLEEPING = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
HANGS = """
CREATE FUNCTION scout.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.hang()
"""


@pytest.fixture
def stages(tmp_path: Path) -> tuple[Stage, Stage]:
    """One that forks, one that starts the command."""
    for name in ("warm", "cold"):
        (tmp_path / name).mkdir()
    return Stage(tmp_path / "warm"), Stage(tmp_path / "cold", warm=False)


def masked(told: Any) -> Any:
    """What a run told, without what differs between any two."""
    if isinstance(told, dict):
        return {name: masked(value) for name, value in told.items()}
    if isinstance(told, list):
        return [masked(value) for value in told]
    if isinstance(told, str):
        return VARYING.sub("*", told)
    return type(told) if isinstance(told, float) else told


def seen(played: Played) -> tuple[int, list[str], Any]:
    """The exit code, the screen and the documents of a run, without what differs between any two."""
    lines = [line for line in played.lines if not PROGRESS.search(line)]
    plain = [" ".join(VARYING.sub("*", SINCE.sub("]", line)).split()) for line in lines]
    return played.rc, plain, masked(played.results)


@pytest.mark.parametrize(
    ("playbook", "arguments", "options"),
    [
        ("emergency_reset", (), {}),
        ("emergency_reset", ("--check", "--diff"), {}),
        ("quarantine", (), {}),
        ("pause_ingestion", ("--nonsense",), {}),
        ("pause_ingestion", (), {"incident": "INC-1", "no_such_variable": 1}),
    ],
)
def test_it_does_and_says_the_same(
    playbook: str,
    arguments: tuple[str, ...],
    options: dict[str, Any],
    stages: tuple[Stage, Stage],
    another_broken: Callable[[], Pipeline],
) -> None:
    """On pipelines that are alike: what succeeds, what only looks, what is refused and what cannot be read."""
    forked, started = (stage.play(playbook, another_broken().dsn, *arguments, **options) for stage in stages)
    assert seen(forked) == seen(started)


def test_no_database(stages: tuple[Stage, Stage]) -> None:
    """Its environment is what it was given, and nothing of the forking process's."""
    forked, started = (stage.play("assess", env={"PGHOST": "/nowhere", "PGPORT": "1"}) for stage in stages)
    assert seen(forked) == seen(started)
    assert "/nowhere" in forked.text


@pytest.mark.parametrize(("end", "number"), [(os.killpg, signal.SIGINT), (os.kill, signal.SIGKILL)])
def test_it_is_ended_the_same_way(
    end: Callable[[int, int], None],
    number: int,
    stages: tuple[Stage, Stage],
    another_broken: Callable[[], Pipeline],
) -> None:
    """It leads a session and a group of processes of its own; Ctrl-C reaches all of them, and kill -9 only itself."""
    codes = []
    for stage in stages:
        pipeline = another_broken()
        pipeline.execute(HANGS)
        with stage.start("emergency_reset", pipeline.dsn) as running:
            eventually(lambda pipeline=pipeline: pipeline.rows(SLEEPING), 30, "the load")
            assert os.getsid(running.process.pid) == os.getpgid(running.process.pid) == running.process.pid
            end(running.process.pid, number)
            codes.append(running.wait().rc)
            assert pipeline.lingering() == []
    assert codes[0] == codes[1] != 0


def test_who_is_forked(stages: tuple[Stage, Stage], healthy: Pipeline) -> None:
    """What Ansible reads while it is loaded is read by the command itself."""
    assert warm.usual(environment(stages[0].home, {"SCOUT_DSN": "x", "PGUSER": "y"}))
    for name in ("ANSIBLE_LOG_PATH", "HOME", "LC_ALL", "TMPDIR"):
        assert not warm.usual(environment(stages[0].home, {name: "/nowhere"}))
    kinds = []
    for stage in stages:
        with stage.start("pause_ingestion", healthy.dsn, "--check") as running:
            kinds.append(type(running.process))
            assert running.wait().rc == 0
    assert kinds == [warm.Controller, subprocess.Popen]


def test_waiting_for_it_has_an_end(stages: tuple[Stage, Stage], broken: Pipeline) -> None:
    """A run that hangs is a failure of its test, and is gone after it."""
    broken.execute(HANGS)
    running: Running
    with stages[0].start("emergency_reset", broken.dsn) as running:
        eventually(lambda: broken.rows(SLEEPING), 30, "the load")
        assert running.process.poll() is None
        with pytest.raises(subprocess.TimeoutExpired):
            running.wait(0.1)
    assert running.process.returncode == -signal.SIGKILL
