# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tutorial.md is true: each command on it is typed, in its order, and shows what the page shows."""

from __future__ import annotations

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e import tutorial
from tests.e2e.runbook import Typed, blocks

BLOCKS = blocks(tutorial.PAGE.read_text(encoding="utf-8"))
REWRITE = "PYTHONPATH=.collections python -m tests.e2e.tutorial writes the page anew"


@pytest.fixture(scope="module")
def typed(pg_server: Server, door: Door, tmp_path_factory: pytest.TempPathFactory) -> list[Typed]:
    """All commands of the page, typed once; tests/e2e/test_starts.py has playbooks that start as they are."""
    return list(tutorial.Learner(pg_server, tmp_path_factory.mktemp("tutorial"), door).typed(BLOCKS))


def test_every_command_ends_well(typed: list[Typed]) -> None:
    assert [f"{each.block.command}\n{each.text}" for each in typed if each.exit_code] == []
    assert len(typed) == len(BLOCKS)


def test_every_screen_is_the_one_on_the_page(typed: list[Typed]) -> None:
    for each in typed:
        if each.block.shown is not None:
            assert tutorial.plain(each.screen) == tutorial.plain(each.block.shown), f"{each.block.command}: {REWRITE}"
