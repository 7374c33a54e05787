# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: another account of the machine that deploys has the artifacts folder before deploy_release.sh does, and puts a link, or the
number of a process, into it."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.deploying import SCRIPT
from tests.e2e.play import environment

SOMEBODY = 65534
PRECIOUS = "ssh-ed25519 the operator's\n"
RUNNING = {"outcome": "running", "steps": [{"name": "migrate"}]}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give somebody else a file")


class Machine:
    """A folder of artifacts as a deployment that was killed leaves it, and what is precious."""

    def __init__(self, home: Path) -> None:
        self.home, self.artifacts, self.precious = home, home / "artifacts", home / "precious"
        self.artifacts.mkdir(mode=0o700)
        self.precious.write_text(PRECIOUS)
        (self.artifacts / "deploy-result.json").write_text(json.dumps(RUNNING))

    def roll_back(self, artifacts: Path | None = None) -> subprocess.CompletedProcess[str]:
        """What a pipeline does after a deployment that was killed; there is no database."""
        words = ["--rollback", "--from", "v1", "--if-interrupted", "--artifacts", str(artifacts or self.artifacts)]
        env = environment(self.home, {"SCOUT_DSN": "host=/nonexistent dbname=x connect_timeout=1"})
        env.pop("SCOUT_EVIDENCE")
        return subprocess.run(
            [str(SCRIPT), *words], cwd=self.home, env=env, capture_output=True, text=True, timeout=120
        )

    def refused(self, said: str, artifacts: Path | None = None) -> None:
        done = self.roll_back(artifacts)
        assert done.returncode == 60, done
        assert said in done.stderr
        assert self.precious.read_text() == PRECIOUS


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


@pytest.fixture
def unrelated() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the operator's that no deployment has begun, with a group of its own."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as process:
        yield process
        process.kill()


@as_root
def test_a_folder_of_somebody_else_is_refused(machine: Machine) -> None:
    (machine.artifacts / "rollback.log").symlink_to(machine.precious)
    os.chown(machine.artifacts, SOMEBODY, SOMEBODY)
    machine.refused("belongs to somebody else")


@as_root
def test_a_link_of_somebody_else_to_a_folder_of_ours_is_refused(machine: Machine) -> None:
    link = machine.home / "theirs"
    link.symlink_to(machine.artifacts)
    os.chown(link, SOMEBODY, SOMEBODY, follow_symlinks=False)
    for path in (link, Path(f"{link}/")):
        machine.refused("is a link that somebody else has made", path)


@as_root
def test_a_file_of_somebody_else_is_refused(machine: Machine) -> None:
    os.chown(machine.artifacts / "deploy-result.json", SOMEBODY, SOMEBODY)
    machine.refused("deploy-result.json is a link, somebody else's, or may be written by others")


@pytest.mark.parametrize("name", ["rollback.log", "steps.tsv", "rollback.json", "evidence", "deep/down"])
def test_a_link_in_it_is_refused(name: str, machine: Machine) -> None:
    (machine.artifacts / name).parent.mkdir(exist_ok=True)
    (machine.artifacts / name).symlink_to(machine.precious)
    machine.refused(f"{name} is a link")


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777])
def test_a_folder_that_others_may_write_to_is_refused(mode: int, machine: Machine) -> None:
    machine.artifacts.chmod(mode)
    machine.refused("others may write to")


def test_so_is_a_file_that_they_can_reach(machine: Machine) -> None:
    """In a folder of nobody else's its mode is nothing to them, as where a runner unpacks without a mask."""
    (machine.artifacts / "at-work.tsv").write_text("")
    (machine.artifacts / "at-work.tsv").chmod(0o666)
    machine.artifacts.chmod(0o755)
    machine.refused("at-work.tsv is a link, somebody else's, or may be written by others")
    machine.artifacts.chmod(0o700)
    assert machine.roll_back().returncode == 62


def test_the_number_of_a_process_that_is_no_step_ends_nobody(
    machine: Machine, unrelated: subprocess.Popen[bytes]
) -> None:
    """Nor one with the time of its birth: a folder that is unpacked on another machine has such numbers, too."""
    born = Path(f"/proc/{unrelated.pid}/stat").read_text().rpartition(")")[2].split()[19]
    (machine.artifacts / "at-work.tsv").write_text(f"migrate\t{unrelated.pid}\t{born}\t0123456789abcdef\n")
    done = machine.roll_back()
    assert done.returncode == 62, done
    assert unrelated.poll() is None
    assert "ended migrate" not in done.stdout
