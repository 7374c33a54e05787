# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Commands that are printed where nobody types any: without the private folder of a worker, by the names of job templates."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest
from ansible import context
from ansible.module_utils.common.collections import ImmutableDict

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import advice, place
from ansible_collections.scout.recovery.plugins.plugin_utils import printed, standing, worker

RESET = "ansible-playbook playbooks/emergency_reset.yml"


@pytest.fixture
def private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a worker, with a command line as ansible-runner makes it."""
    for folder in ("inventory", "env", "project", "artifacts/1"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "env/extravars").write_text(
        json.dumps({"last": "2h", "scout_password": "hunter2", "awx_user_name": "maria", "tower_job_id": 7})
    )
    words = ["-i", f"{tmp_path}/inventory/hosts", "-e", f"@{tmp_path}/env/extravars", "playbooks/emergency_reset.yml"]
    monkeypatch.setattr(sys, "argv", ["/usr/bin/ansible-playbook", *words])
    monkeypatch.setenv(place.ARTIFACTS, str(tmp_path / "artifacts/1"))
    monkeypatch.setattr(worker, "is_worker", lambda: True)
    given = ImmutableDict(args=["playbooks/emergency_reset.yml"], extra_vars=(f"@{tmp_path}/env/extravars",))
    monkeypatch.setattr(context, "CLIARGS", given)
    monkeypatch.setattr(printed, "_by_name", lambda: False)
    return tmp_path


def test_nothing_of_the_workers_folder_is_printed(private: Path) -> None:
    groups = {"scout": ["local"], "all": ["local"]}
    assert printed.typed(groups, "local").text(f"next: {RESET} -e takeover=true") == f"next: {RESET} -e takeover=true"
    again = standing.same_command()
    assert again == """ansible-playbook -e '{"last": "2h"}' playbooks/emergency_reset.yml"""
    assert str(private) not in again


def test_whoever_runs_it_in_a_folder_of_his_own_types_that(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "is_worker", lambda: False)
    typed = printed.typed({"scout": ["local"]}, "local").text(RESET)
    assert typed == f"{RESET} -i {private}/inventory/hosts -e @{private}/env/extravars"


def test_in_awx_a_command_is_the_name_of_a_template(private: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"awx_job_template_name": "Our reset"}
    monkeypatch.setattr(worker, "load_extra_vars", lambda *_: names)
    typed = printed.typed({"scout": ["luzon", "visayas"]}, "luzon")
    told = typed.text(f"wait, then `{RESET} -e takeover=true --check`; ansible-playbook playbooks/assess.yml shows it")
    assert told == (
        'wait, then the job template "Our reset" as a job of type check with limit luzon, takeover=true; '
        'the job template "Scout: Assess the pipeline" with limit luzon shows it'
    )
    assert standing.same_command() == """the job template "Our reset" with {"last": "2h"}"""
    assert advice.commands([told]) == []


def test_a_worker_is_known_by_who_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    worker.is_worker.cache_clear()
    assert not worker.is_worker()
    for line, ours in (
        (b"python\0/usr/bin/ansible-runner\0worker\0--private-data-dir=/runner\0", True),
        (b"python\0/usr/bin/ansible-runner\0run\0/home/me/worker\0", False),
        (b"vi\0ansible-runner-worker.md\0", False),
    ):
        assert worker.starts_worker(line) is ours, line
    assert os.getppid()
