# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage for every test, and broken pipelines to put on it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.playbook_process import PlaybookRunner
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

if TYPE_CHECKING:
    from tests.e2e.drilling import Copies


@pytest.fixture(scope="session")
def door() -> Iterator[Door]:
    """A folder for a PATH, whose ansible-playbook is forked."""
    with Door() as opened:
        yield opened


@pytest.fixture
def forked(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    """The playbooks of a drill are forked."""
    shell = PlaybookRunner.shell

    def behind(runner: PlaybookRunner) -> dict[str, str]:
        found = shell(runner)
        return found | {"PATH": f"{door.folder}{os.pathsep}{found['PATH']}"}

    monkeypatch.setattr(PlaybookRunner, "shell", behind)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Runs playbooks from a folder of this test alone."""
    return Stage(tmp_path)


@pytest.fixture
def healthy(scout_db: str) -> Pipeline:
    """A pipeline in which nothing is wrong."""
    return Pipeline(scout_db)


@pytest.fixture(scope="module")
def copies(pg_server: Server) -> Iterator[Copies]:
    """Pipelines to be copied."""
    from tests.e2e.drilling import Copies

    made = Copies(pg_server)
    yield made
    made.drop()


@pytest.fixture
def quickly(forked: None, copies: Copies, monkeypatch: pytest.MonkeyPatch) -> None:
    """The playbooks of a drill are forked, on copies."""
    from tests.e2e.drilling import drill_on_copies

    drill_on_copies(monkeypatch, copies)
