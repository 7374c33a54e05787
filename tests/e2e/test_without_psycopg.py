# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-galaxy installs no Python packages: without psycopg everything says so in a sentence, with the line that installs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests import CHECKOUT
from tests.e2e.play import PLUGINS, Stage

ABSENT = 'raise ModuleNotFoundError("No module named \'psycopg\'", name="psycopg")\n'
INSTALL = f"{sys.executable} -m pip install 'psycopg[binary]>=3.2' cronsim"

#: Prints what each module says, one on a line.
EVERY_MODULE = """
import importlib, pkgutil
from ansible_collections.scout.recovery.plugins import module_utils, modules
from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
for package in (module_utils, modules):
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        module = importlib.import_module(found.name)
        if package is modules:
            print(found.name.rpartition(".")[2], invoke.invoke(module.run, found.name, {}, check=True)["msg"])
"""


@pytest.fixture
def without(tmp_path: Path) -> dict[str, str]:
    """An environment whose Python has no psycopg."""
    folder = tmp_path / "absent"
    folder.mkdir()
    (folder / "psycopg.py").write_text(ABSENT)
    return {"PYTHONPATH": str(folder), "COLUMNS": "200"}


def test_every_module_says_in_a_sentence_what_to_install(without: dict[str, str]) -> None:
    path = os.pathsep.join([without["PYTHONPATH"], str(CHECKOUT / ".collections")])
    done = subprocess.run(
        [sys.executable, "-c", EVERY_MODULE], env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" ", 1) for line in done.stdout.splitlines())
    assert said.keys() == {file.stem for file in (CHECKOUT / "library").glob("scout_*.py")}
    assert {text for text in said.values() if not text.endswith(f"Next: {INSTALL}")} == set()


@pytest.mark.parametrize("connection", ["local", "elsewhere"])
def test_a_task_says_so_in_process_and_on_a_remote_host(
    connection: str, tmp_path: Path, without: dict[str, str]
) -> None:
    stage = Stage(tmp_path, warm=False)
    playbook = tmp_path / "own.yml"
    tasks = [{"scout.recovery.scout_health_info": {"dsn": "postgresql://nobody@127.0.0.1:1/scout"}}]
    playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
    host = {"ansible_connection": connection, "ansible_python_interpreter": sys.executable}
    env = without | {"ANSIBLE_CONNECTION_PLUGINS": str(PLUGINS / "connection_plugins")}
    played = stage.play(str(playbook), None, "-i", stage.inventory({"one": host}), env=env)
    assert played.rc == 2, played.text
    assert INSTALL in " ".join(played.text.split())
    assert "Traceback" not in played.text


def test_a_playbook_ends_with_what_to_install(tmp_path: Path, without: dict[str, str]) -> None:
    stage = Stage(tmp_path, warm=False)
    played = stage.play("assess", "postgresql://nobody@127.0.0.1:1/scout", env=without)
    assert played.rc == 2, played.text
    assert played.result["advice"] == [INSTALL]
    # A path below the current folder is shown as one there.
    assert f" {INSTALL.partition(' ')[2]}" in played.summary
    assert "Traceback" not in played.text
