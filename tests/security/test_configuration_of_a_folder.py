# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the folder in which somebody types `scout` has an ansible.cfg, and a plugin beside it that Ansible runs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.plugin_utils.command import line
from tests.e2e.play import CHECKOUT, environment

PLUGIN = """
from pathlib import Path
Path({ran!r}).touch()
from ansible.plugins.callback import CallbackBase
class CallbackModule(CallbackBase):
    CALLBACK_NAME, CALLBACK_NEEDS_ENABLED = "evil", False
"""


@pytest.fixture
def downloaded(tmp_path: Path) -> Path:
    """A folder of somebody else's, as one that was cloned or unpacked."""
    folder = tmp_path / "downloaded"
    (folder / "callbacks").mkdir(parents=True)
    (folder / "ansible.cfg").write_text(
        "[defaults]\ncallback_plugins = ./callbacks\ncollections_path = ./collections\n"
    )
    (folder / "callbacks" / "evil.py").write_text(PLUGIN.format(ran=str(folder / "ran")))
    return folder


def scout(program: Path, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """`scout runs` from there, which needs a database that is not."""
    env = environment(folder.parent, {"HOME": str(folder.parent), "SCOUT_DSN": "host=/nonexistent dbname=x", **more})
    if "ANSIBLE_CONFIG" not in more:
        env.pop("ANSIBLE_CONFIG")
    return subprocess.run([sys.executable, str(program), "runs"], cwd=folder, env=env, capture_output=True, text=True)


@pytest.mark.parametrize(
    "setting", [{}, {"ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}], ids=["plain", "path"]
)
def test_it_is_not_used(downloaded: Path, setting: dict[str, str]) -> None:
    done = scout(CHECKOUT / "bin" / "scout", downloaded, **setting)
    assert not (downloaded / "ran").exists()
    assert "the address came from" in " ".join(done.stdout.split()), done
    first, second = done.stderr.splitlines()[:2]
    assert f"ANSIBLE_CONFIG={CHECKOUT / 'ansible.cfg'}" in first
    assert second == line.UNUSED


def test_nor_by_an_installed_collection(downloaded: Path, installed: Path) -> None:
    program = installed / "collections" / "ansible_collections" / "scout" / "recovery" / "bin" / "scout"
    done = scout(program, downloaded)
    assert not (downloaded / "ran").exists()
    assert "the address came from" in " ".join(done.stdout.split()), done
    assert f"ANSIBLE_CONFIG={program.with_name('scout.cfg')}" in done.stderr.splitlines()[0]
    mine = downloaded.parent / ".ansible.cfg"
    mine.write_text(f"[defaults]\ncollections_path = {installed / 'collections'}\n")
    done = scout(program, downloaded)
    assert not (downloaded / "ran").exists()
    assert f"ANSIBLE_CONFIG={mine} ansible-playbook" in done.stderr.splitlines()[0]
    assert "the address came from" in " ".join(done.stdout.split()), done


def test_it_is_where_it_is_asked_for(downloaded: Path) -> None:
    more = {"ANSIBLE_CONFIG": "ansible.cfg", "ANSIBLE_COLLECTIONS_PATH": str(CHECKOUT / ".collections")}
    done = scout(CHECKOUT / "bin" / "scout", downloaded, **more)
    assert (downloaded / "ran").exists(), done
    assert line.UNUSED not in done.stderr


def test_that_of_the_project_is_used_unless_somebody_else_has_put_it_there(tmp_path: Path) -> None:
    root = tmp_path / "collections" / "ansible_collections" / "scout" / "recovery"
    (tmp_path / "ansible.cfg").touch()
    place = line.Place(root, tmp_path, {"HOME": str(tmp_path)})
    assert (place.strange, place.settings()) == (False, {})
    if os.geteuid() == 0:
        os.chown(tmp_path / "ansible.cfg", 65534, 65534)
        assert place.strange
        assert place.settings()["ANSIBLE_CONFIG"] == str(root / "bin" / "scout.cfg")
