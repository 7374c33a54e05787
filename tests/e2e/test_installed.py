# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill needs comes with the installed collection: the reference pipeline, its server, its faults; and says what it lacks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container, docker, places
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.play import BIN, environment

PLUGIN = """
from ansible.plugins.action import ActionBase
from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder, oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.library import FAULTS
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places

class ActionModule(ActionBase):
    def run(self, tmp=None, task_vars=None):
        dsn = builder.build(self._task.args["dsn"], events=100)
        poison = FAULTS["poison_event"](dsn)
        lost = oracle.where(dsn, oracle.bronze(dsn)) != oracle.ZERO
        return {"place": str(places.ROOT), "poison": len(poison), "lost": lost}
"""

PLAY = [
    {
        "hosts": "localhost",
        "gather_facts": False,
        "tasks": [
            {"name": "Build", "build": {"dsn": "{{ dsn }}"}, "register": "built"},
            {"name": "Show", "ansible.builtin.copy": {"content": "{{ built | to_json }}", "dest": "{{ out }}"}},
        ],
    }
]


@pytest.fixture
def root(installed: Path) -> Path:
    """Where the installed collection of drills is."""
    return installed / "collections" / "ansible_collections" / "scout" / "drills"


def shell(home: Path, collections: Path, *more: Path, **extra: str) -> dict[str, str]:
    """A shell of somebody who has nothing but the installed collection."""
    path = os.pathsep.join(map(str, (*more, collections)))
    return environment(home, {"PYTHONPATH": path, "HOME": str(home), "XDG_STATE_HOME": str(home / "state"), **extra})


def python(env: dict[str, str], name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """A command of the pipeline's, from a folder that has nothing to do with it."""
    command = [sys.executable, "-m", f"{places.PACKAGE}.{name}", *words]
    return subprocess.run(command, env=env, cwd=os.sep, capture_output=True, text=True, check=False)


def test_all_its_files_come_along(root: Path) -> None:
    pipeline = Path("plugins", "plugin_utils", "reference")
    for folder in ("", "schema", "server", "server/image", "events", "load", "faults", "release"):
        here = {path.name for path in (places.ROOT / pipeline / folder).iterdir() if path.is_file()}
        assert here
        assert {path.name for path in (root / pipeline / folder).iterdir() if path.is_file()} == here


@pytest.mark.skipif("SCOUT_TEST_SERVER" in os.environ, reason="another server is given")
def test_the_reference_is_built_on_a_server_of_the_user(installed: Path, root: Path, tmp_path: Path) -> None:
    env = shell(tmp_path, installed / "collections")
    try:
        built = python(env, "builder", "--events", "200", "--database", "drill")
        assert built.returncode == 0, built.stderr
        dsn = built.stdout.splitlines()[-2].partition("=")[2]
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT count(*) FROM scout.bronze_events").fetchone() == (200,)
        broken = python(env, "faults.cli", "lock_holder", "--detach", "--dsn", dsn)
        assert broken.stdout.startswith("lock_holder: held by holder (pid "), broken.stdout + broken.stderr
        assert python(env, "faults.cli", "--release").stdout.startswith("released lock_holder-")
    finally:
        python(env, "server.local", "remove")
    assert not [path for path in (root / ".scout", tmp_path / "state" / "scout-recovery" / "postgres") if path.exists()]


def test_it_is_imported_by_ansibles_own_loader(installed: Path, root: Path, pg_server: Server, tmp_path: Path) -> None:
    (tmp_path / "action_plugins").mkdir()
    (tmp_path / "action_plugins" / "build.py").write_text(PLUGIN)
    (tmp_path / "play.json").write_text(json.dumps(PLAY))
    pg_server.drop_database("by_ansible")
    wanted = {"dsn": pg_server.create_database("by_ansible"), "out": str(tmp_path / "out.json")}
    env = environment(tmp_path, {"ANSIBLE_CONFIG": str(installed / "ansible.cfg"), "HOME": str(tmp_path)})
    env.pop("PYTHONPATH", None)
    command = [str(BIN / "ansible-playbook"), str(tmp_path / "play.json"), "-e", json.dumps(wanted)]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    pg_server.drop_database("by_ansible")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert (found["place"], found["poison"], found["lost"]) == (str(root), 1, False)


def test_without_a_server_it_says_so_on_one_line(installed: Path, tmp_path: Path) -> None:
    found = python(shell(tmp_path, installed / "collections", SCOUT_PG_BIN=str(tmp_path)), "server.local", "start")
    assert found.returncode != 0
    assert f"SCOUT_PG_BIN={tmp_path}: no postgres there" in found.stderr
    assert len(found.stderr.splitlines()) == 1, found.stderr


def test_without_docker_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker, "answers", lambda: False)
    with pytest.raises(docker.Unavailable, match="Install Docker"):
        container.start("no-docker")
    monkeypatch.setitem(sys.modules, "docker", None)
    with pytest.raises(docker.Unavailable, match="pip install docker"):
        container.stop("no-docker")
