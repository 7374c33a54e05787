# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that another program starts behind the door does what the command itself does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import CHECKOUT, warm
from tests.door import Door
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import children, environment, eventually
from tests.e2e.test_warm import HANGS, SLEEPING, VARYING

#: What ansible.cfg of the checkout says of where things are.
OURS = {
    "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections"),
    "ANSIBLE_INVENTORY": str(CHECKOUT / "inventories" / "local" / "hosts.yml"),
}
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture(params=["door", "command"])
def start(request: pytest.FixtureRequest, door: Door, tmp_path: Path) -> Iterator[Start]:
    """Starts a playbook by its name on the PATH, as a script does, forked or not."""
    env = environment(tmp_path)
    if request.param == "door":
        env["PATH"] = f"{door.folder}{os.pathsep}{env['PATH']}"
    begun: list[subprocess.Popen[str]] = []

    def begin(
        playbook: str,
        dsn: str,
        more: dict[str, str] | None = None,
        unset: Iterable[str] = (),
        err: int = subprocess.STDOUT,
        **options: Any,
    ) -> subprocess.Popen[str]:
        path = str(CHECKOUT / "playbooks" / f"{playbook}.yml")
        own = {name: value for name, value in (env | (more or {})).items() if name not in unset}
        process = subprocess.Popen(
            ["ansible-playbook", path, "-e", json.dumps(options | {"scout_dsn": dsn})],
            env=own, cwd=tmp_path, text=True, start_new_session=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
        )  # fmt: skip
        begun.append(process)
        return process

    if request.param == "door":
        for _ in range(2):
            begin("runs", "", more={"PGHOST": "/nowhere"}).communicate(timeout=60)
        assert warm.loaded(env)
    yield begin
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate(timeout=20)


def forked(process: subprocess.Popen[str]) -> bool:
    """Whether the process only stands for a run."""
    return b"door_client.py" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


def test_its_screen_its_exit_code_and_its_files(start: Start, healthy: Pipeline, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        process = start("assess", healthy.dsn, result_file="result.json")
    finally:
        os.umask(before)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == 0, said
    assert "PLAY RECAP" in said
    assert json.loads((tmp_path / "result.json").read_text())["results"][0]["operation"] == "assess"


def test_a_failure(start: Start) -> None:
    process = start("assess", "postgresql:///x?host=/nowhere")
    said = process.communicate(timeout=60)[0]
    assert (process.returncode, "could not open a session" in said) == (2, True), VARYING.sub("*", said)


@pytest.mark.parametrize(
    ("number", "group", "code"), [(signal.SIGINT, True, 99), (signal.SIGTERM, False, -15), (signal.SIGKILL, False, -9)]
)
def test_signals(start: Start, broken: Pipeline, number: int, group: bool, code: int) -> None:
    """What reaches the program reaches the run, and both end the same way; nobody of ours is left."""
    broken.execute(HANGS)
    process = start("emergency_reset", broken.dsn)
    eventually(lambda: broken.rows(SLEEPING), 60, "the load")
    (os.killpg if group else os.kill)(process.pid, number)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert broken.lingering() == []


def test_without_a_configuration_there_is_none(start: Start, healthy: Pipeline, tmp_path: Path) -> None:
    """Nor is that of the checkout taken, with which a summary stands below the recap."""
    last = []
    for _ in range(3):
        said = start("assess", healthy.dsn, unset=["ANSIBLE_CONFIG"], more=OURS).communicate(timeout=60)[0]
        last.append(said.rstrip().splitlines()[-1].split()[0])
    (tmp_path / "ansible.cfg").write_text("[defaults]\ncallbacks_enabled = scout.recovery.summary\n")
    said = start("assess", healthy.dsn, unset=["ANSIBLE_CONFIG"], more=OURS).communicate(timeout=60)[0]
    last.append(said.rstrip().splitlines()[-1].split()[0])
    assert last == ["local", "local", "local", "now"], said


def test_its_errors_go_where_they_belong(start: Start, tmp_path: Path) -> None:
    process = start("no_such_playbook", "", err=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, "could not be found" in out, "could not be found" in err) == (1, False, True)


def test_the_first_of_its_environment_is_the_command_itself(door: Door, healthy: Pipeline, tmp_path: Path) -> None:
    env = environment(tmp_path, {"LANGUAGE": tmp_path.name})
    env["PATH"] = f"{door.folder}{os.pathsep}{env['PATH']}"
    process = subprocess.Popen(
        ["ansible-playbook", str(CHECKOUT / "playbooks" / "assess.yml"), "-e", f"scout_dsn={healthy.dsn}"],
        env=env, cwd=tmp_path, text=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    eventually(lambda: not forked(process) and children(process.pid), 60, "its first task")
    process.communicate(timeout=60)
    assert not warm.loaded(env)
