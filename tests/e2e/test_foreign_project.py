# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A project of somebody else's, in a path with a space, made from the archives alone: three databases, and what is printed is pasted."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.pasting import on_screen
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, environment, listed
from tests.e2e.test_own_plays import JOBS

HOSTS = ("luzon", "visayas", "mindanao")
CONFIGURATION = """[defaults]
collections_path = collections
inventory = the hosts.yml
callback_result_format = yaml
"""
OWN = """---
- name: Recover with a role or pause with a module, and look
  hosts: "{{ who | default('scout') }}"
  connection: local
  gather_facts: false
  module_defaults:
    group/scout.recovery.all:
      dsn: "{{ scout_dsn }}"
      allow_superuser: true
  tasks:
    - name: Recover with a role
      ansible.builtin.import_role:
        name: scout.recovery.emergency_reset
      vars:
        emergency_reset_resume: false
      when: how == 'role'
    - name: Pause with a module
      scout.recovery.scout_ingestion:
        state: paused
      when: how == 'module'
    - name: Look
      scout.recovery.scout_health_info:
      register: seen
    - name: Show
      ansible.builtin.debug:
        msg: "{{ inventory_hostname }} is {{ seen.ingestion.state }}."
"""


class Project:
    """Its folder, its databases by host, and a shell that knows neither the checkout nor a database."""

    def __init__(self, home: Path, databases: dict[str, Pipeline]) -> None:
        self.folder, self.databases = home / "our project", databases
        self.env = environment(home, {"HOME": str(home)})
        for name in ("ANSIBLE_CONFIG", "PYTHONPATH"):
            self.env.pop(name, None)
        (self.folder / "host_vars").mkdir(parents=True)
        (self.folder / "ansible.cfg").write_text(CONFIGURATION)
        (self.folder / "own_play.yml").write_text(OWN)
        (self.folder / "the hosts.yml").write_text(yaml.safe_dump({"scout": {"hosts": dict.fromkeys(databases)}}))
        for host, database in databases.items():
            (self.folder / "host_vars" / f"{host}.yml").write_text(yaml.safe_dump({"scout_dsn": database.dsn}))

    def paste(self, command: str, rc: int = 0) -> str:
        """The screen of a command line, as a shell in this folder takes it."""
        done = subprocess.run(
            ["bash", "-c", command], cwd=self.folder, env=self.env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=180,
        )  # fmt: skip
        assert done.returncode == rc, f"{command}\n{done.stdout}"
        assert str(CHECKOUT / "playbooks") not in done.stdout
        return done.stdout

    def play(self, playbook: str, host: str, **options: Any) -> dict[str, Any]:
        """The result of a playbook, called by its full name, on one of the three hosts; the others are as they were."""
        variables = json.dumps(listed({"result_file": "the result.json", **options}))
        self.on(host, f"ansible-playbook {playbook} --limit {host} -e {shlex.quote(variables)}")
        [made] = json.loads((self.folder / "the result.json").read_text())["results"]
        assert made["host"] == host
        return made

    def on(self, host: str, command: str) -> str:
        """The screen of a command that is about one host; fails where it touched another's database."""
        others = {name: each.fingerprint() for name, each in self.databases.items() if name != host}
        screen = self.paste(command)
        assert {name: self.databases[name].fingerprint() for name in others} == others, command
        return screen

    def paused(self, host: str) -> bool:
        return not self.databases[host].active_jobs() & JOBS


@pytest.fixture
def project(installed: Path, another_broken: Callable[[], Pipeline], tmp_path: Path) -> Project:
    """Both collections are installed there from their archives, and only there."""
    made = Project(tmp_path, {host: another_broken() for host in HOSTS})
    archives = [shlex.quote(str(path)) for path in sorted(installed.glob("scout-*.tar.gz"))]
    assert len(archives) == 2
    made.paste(f"ansible-galaxy collection install --offline -p collections {' '.join(archives)}")
    return made


def test_what_is_printed_is_pasted_until_nothing_is_left_to_do(project: Project) -> None:
    """Each command about one of three databases leaves the other two as they were, to the last row."""
    luzon = project.databases["luzon"]
    events = luzon.events()
    before = {host: each.fingerprint() for host, each in project.databases.items()}
    screen = project.paste("ansible-playbook scout.recovery.assess -e scout_budget_seconds=60")
    assert {host: each.fingerprint() for host, each in project.databases.items()} == before
    resets = [command for command in on_screen(screen) if "scout.recovery.emergency_reset" in command]
    assert set(HOSTS) == {word for each in resets for word in shlex.split(each)[-1:]}

    [reset] = [command for command in resets if command.endswith("--limit luzon")]
    project.on("luzon", reset)
    assert (luzon.pending(), project.paused("luzon")) == (0, False)
    assert luzon.unaccounted(events) == []
    assert project.play("scout.recovery.emergency_reset", "luzon")["outcome"] == "nothing_to_do"

    chosen = [row[0] for row in luzon.rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 7")]
    moved = project.play("scout.recovery.quarantine", "luzon", event_ids=chosen, incident="INC-1")
    assert moved["move"]["moved"]["events"] == 7
    assert luzon.one("SELECT count(*) FROM scout.bronze_events WHERE event_id::text = ANY (%s)", chosen) == 0
    [undo] = moved["undo_commands"]
    assert "scout.recovery.undo --limit luzon" in undo
    undone = project.on("luzon", undo)
    assert luzon.one("SELECT count(*) FROM scout.bronze_events WHERE event_id::text = ANY (%s)", chosen) == 7

    # An undo is undone, and that too.
    [again] = {command for command in on_screen(undone) if "scout.recovery.undo" in command}
    project.on("luzon", again)
    assert luzon.one("SELECT count(*) FROM scout.bronze_events WHERE event_id::text = ANY (%s)", chosen) == 0
    assert luzon.unaccounted(events) == []


def test_roles_and_modules_in_a_play_of_ones_own_and_the_drills(project: Project) -> None:
    for host, how in (("visayas", "role"), ("mindanao", "module")):
        screen = project.on(host, f"ansible-playbook own_play.yml -e 'who={host} how={how}'")
        assert f"{host} is paused." in screen
    assert {host: project.paused(host) for host in HOSTS} == {"luzon": False, "visayas": True, "mindanao": True}
    screen = project.paste("ansible-playbook scout.drills.drill -e scout_scenario=no_such_thing", rc=2)
    assert "gold_stale" in screen
    # A module is called by its own name, as ansible-lint sees it too.
    project.paste("ansible-lint --offline --strict --profile production --nocolor own_play.yml")
