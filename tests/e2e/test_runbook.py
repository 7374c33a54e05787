# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md is true: each command on it is typed, in its order, on a pipeline that breaks as the page says, and shows that."""

from __future__ import annotations

import re

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.door import Door
from tests.e2e import runbook
from tests.e2e.play import CHECKOUT
from tests.e2e.runbook import REWRITE, Typed, blocks, passing
from tests.e2e.runbook_story import Story

BLOCKS = blocks(runbook.PAGE.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def night(pg_server: Server, door: Door, tmp_path_factory: pytest.TempPathFactory) -> list[Typed]:
    """All commands of the page, typed once; tests/e2e/test_starts.py has playbooks that start as they are."""
    return list(Story(pg_server, tmp_path_factory.mktemp("night"), door).told(BLOCKS))


def test_every_command_ends_well(night: list[Typed]) -> None:
    assert [f"{typed.block.command}\n{typed.text}" for typed in night if typed.exit_code] == []
    assert [typed.block.command for typed in night if "Traceback" in typed.text or "[ERROR]" in typed.text] == []
    assert len(night) == len(BLOCKS)


def test_every_screen_is_the_one_on_the_page(night: list[Typed]) -> None:
    for typed in night:
        if typed.block.shown is not None:
            assert passing(typed.screen) == passing(typed.block.shown), f"{typed.block.command}: {REWRITE}"


def test_every_playbook_is_typed(night: list[Typed]) -> None:
    typed = {name for each in night for name in re.findall(r"scout\.recovery\.(\w+)", each.block.command)}
    assert typed == {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}
