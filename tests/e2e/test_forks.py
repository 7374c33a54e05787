# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many processes an operation takes for each host: Ansible forks one for every task, also for one that is then skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Stage

#: By the playbook, at most so many.
MOST = {"emergency_reset": 4, "pause_ingestion": 2, "assess": 2}


def started(playbook: str, pipeline: Pipeline, home: Path, *arguments: str) -> list[str]:
    """The names of the tasks of a run on one host."""
    report = home / "started.tsv"
    report.unlink(missing_ok=True)
    env = {
        "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
        "ANSIBLE_CALLBACKS_ENABLED": "scout.recovery.summary,started",
        "SCOUT_STARTED": str(report),
    }
    played = Stage(home).play(playbook, pipeline.dsn, *arguments, env=env)
    assert played.rc == 0, played.text
    return [line.partition("\t")[2] for line in report.read_text().splitlines()]


@pytest.mark.parametrize("playbook", MOST)
def test_a_healthy_pipeline_takes_few_processes(playbook: str, healthy: Pipeline, tmp_path: Path) -> None:
    """The first run, which makes the ledger where one is needed, and a check."""
    for arguments in ((), ("--check",)):
        tasks = started(playbook, healthy, tmp_path, *arguments)
        assert len(tasks) <= MOST[playbook], tasks
