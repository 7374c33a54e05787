# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In a project of somebody else's, with Ansible's own callbacks, nothing is done that its YAML does not say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, environment

CONFIGURATION = "[defaults]\ncollections_path = collections\ninventory = hosts.yml\n"
AFTER_OURS = """---
- name: Assess
  ansible.builtin.import_playbook: scout.recovery.assess
- name: A play of the team's
  hosts: scout
  gather_facts: false
  connection: local
  tasks:
    - name: Say it
      ansible.builtin.debug:
        msg: "greeting: {{ greeting }}, result: {{ deploy_result }}"
"""
PLAY = """---
- name: A play of theirs
  hosts: scout
  gather_facts: false
  connection: local
  tasks:
"""
COPIED_ROLE = (
    PLAY
    + """    - name: Reset
      ansible.builtin.import_role:
        name: our_reset
      vars:
        emergency_reset_poison: stop
"""
)
LEASE_OF_THEIRS = (
    PLAY
    + """    - name: Take a lease of DHCP
      ansible.builtin.command: echo token
      register: lease_result
      changed_when: false
    - name: Keep its token
      ansible.builtin.set_fact:
        lease_result: {token: 12345}
    - name: Pause
      scout.recovery.scout_ingestion:
        dsn: "{{ scout_dsn }}"
        state: paused
"""
)

TWICE = (
    PLAY
    + """    - name: Reset
      ansible.builtin.import_role:
        name: scout.recovery.emergency_reset
    - name: Pause for another incident
      scout.recovery.scout_ingestion:
        dsn: "{{ scout_dsn }}"
        incident: INC-9
        state: paused
    - name: Reset again
      ansible.builtin.import_role:
        name: scout.recovery.emergency_reset
"""
)


class Project:
    """A folder with an inventory of one host, in which the collections are installed."""

    def __init__(self, home: Path, installed: Path, pipeline: Pipeline) -> None:
        self.folder = home / "project"
        self.env = environment(home, {"HOME": str(home)})
        for name in [name for name in self.env if name.startswith(("ANSIBLE_", "PYTHONPATH"))]:
            del self.env[name]
        self.folder.mkdir()
        (self.folder / "collections").symlink_to(installed / "collections")
        (self.folder / "ansible.cfg").write_text(CONFIGURATION)
        hosts = {"scout": {"hosts": {"luzon": {"scout_dsn": pipeline.dsn}}}}
        (self.folder / "hosts.yml").write_text(yaml.safe_dump(hosts))

    def run(self, playbook: str, *arguments: str, content: str | None = None) -> subprocess.CompletedProcess[str]:
        """Ends within three minutes."""
        if content is not None:
            (self.folder / playbook).write_text(content)
        return subprocess.run(
            [str(BIN / "ansible-playbook"), playbook, *arguments],
            cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=180, check=False,
        )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path, installed: Path, healthy: Pipeline) -> Project:
    return Project(tmp_path, installed, healthy)


def test_a_playbook_of_ours_changes_nothing_in_the_plays_beside_it(project: Project) -> None:
    given = ["-e", '{"greeting": "{{ inventory_hostname }}"}', "-e", "deploy_result=green"]
    done = project.run("theirs.yml", *given, content=AFTER_OURS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "greeting: luzon, result: green" in done.stdout


def test_a_role_that_was_copied_does_what_its_options_say(project: Project, healthy: Pipeline) -> None:
    copied = project.folder / "roles" / "our_reset"
    shutil.copytree(project.folder / "collections/ansible_collections/scout/recovery/roles/emergency_reset", copied)
    events = set(healthy.events())
    poison = library.poison_event(healthy.dsn, "bad_ts")
    done = project.run("theirs.yml", content=COPIED_ROLE)
    assert done.returncode == 2, done.stdout
    assert healthy.one("SELECT count(*) FROM scout.bronze_events_dlq") == 0
    assert set(healthy.events()) - events == set(poison)


def test_a_lease_of_another_kind_is_not_ours(project: Project, healthy: Pipeline) -> None:
    done = project.run("theirs.yml", content=LEASE_OF_THEIRS)
    assert done.returncode == 0, done.stdout
    assert not healthy.active_jobs() & {"bronze-to-silver-etl"}


def test_a_role_works_twice_in_one_play(project: Project, healthy: Pipeline) -> None:
    """The second run has a lease of its own, and does not tell of what the first one did."""
    library.backlog(healthy.dsn, count=20, age_seconds=36_000)
    done = project.run("theirs.yml", content=TWICE)
    assert done.returncode == 0, done.stdout
    first, second = (part for part in done.stdout.split("Show the summary")[1:])
    assert "loaded 20 events" in first
    assert "loaded 20 events" not in second
    assert healthy.lease_owner() is None


def test_a_check_writes_no_file(project: Project) -> None:
    before = sorted(project.folder.iterdir())
    for playbook in ("emergency_reset", "assess"):
        done = project.run(f"scout.recovery.{playbook}", "--check", "-e", "scout_result_file=result.json")
        assert done.returncode == 0, done.stdout
    assert sorted(project.folder.iterdir()) == before


def test_without_group_scout_nothing_is_done_and_the_exit_code_says_so(project: Project) -> None:
    (project.folder / "hosts.yml").write_text(yaml.safe_dump({"databases": {"hosts": {"luzon": {}}}}))
    done = project.run("scout.recovery.assess")
    assert done.returncode != 0
    assert "scout" in done.stderr + done.stdout
