# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is forked from a process with Ansible loaded does what the command itself does, also for a script."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests import CHECKOUT, warm
from tests.door import Door
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, environment, eventually

SLEEPING = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
HANGS = """
CREATE FUNCTION scout.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.hang()
"""


def test_a_forked_playbook_does_the_same(another_broken: Callable[[], Pipeline], tmp_path: Path) -> None:
    """A check, a run, wrong words and an interrupt: exit codes, results and what the database contains."""
    came: list[list[Any]] = []
    for forks in (True, False):
        (tmp_path / str(forks)).mkdir()
        stage, pipeline, stopped = Stage(tmp_path / str(forks), warm=forks), another_broken(), another_broken()
        words = [("emergency_reset", "--check", "--diff"), ("emergency_reset",), ("pause_ingestion", "--nonsense")]
        played = [stage.play(playbook, pipeline.dsn, *arguments) for playbook, *arguments in words]
        stopped.execute(HANGS)
        with stage.start("emergency_reset", stopped.dsn) as running:
            assert isinstance(running.process, warm.Controller) == forks
            eventually(lambda stopped=stopped: stopped.rows(SLEEPING), 30, "the load")
            os.killpg(running.process.pid, signal.SIGINT)
            played.append(running.wait())
        assert stopped.lingering() == []
        outcomes = [each.result["outcome"] if each.results else None for each in played]
        came.append([[each.rc for each in played], outcomes, pipeline.contents()])
    assert came[0] == came[1]


def test_a_forked_playbook_behind_the_door_does_the_same(door: Door, broken: Pipeline, tmp_path: Path) -> None:
    """The first one of an environment is the command itself, the next ones are forked; signals reach both."""
    env = environment(tmp_path)
    env["PATH"] = f"{door.folder}{os.pathsep}{env['PATH']}"

    def start(playbook: str, **options: Any) -> subprocess.Popen[str]:
        path = str(CHECKOUT / "playbooks" / f"{playbook}.yml")
        return subprocess.Popen(
            ["ansible-playbook", path, "-e", json.dumps(options | {"scout_dsn": broken.dsn})],
            env=env, cwd=tmp_path, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    for _ in range(3):
        (tmp_path / "result.json").unlink(missing_ok=True)
        process = start("assess", result_file="result.json")
        said = process.communicate(timeout=60)[0]
        assert (process.returncode, "PLAY RECAP" in said) == (0, True), said
        assert json.loads((tmp_path / "result.json").read_text())["results"][0]["operation"] == "assess"
    assert warm.loaded(env)
    broken.execute(HANGS)
    process = start("emergency_reset")
    eventually(lambda: broken.rows(SLEEPING), 60, "the load")
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 99
    assert broken.lingering() == []
