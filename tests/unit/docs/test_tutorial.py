# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/tutorial.md as it is written: all of it can be typed, and has its screen; tests/e2e types it."""

from __future__ import annotations

import re

from tests.e2e import tutorial
from tests.e2e.runbook import blocks

TEXT = tutorial.PAGE.read_text(encoding="utf-8")
BLOCKS = blocks(TEXT)


def test_no_command_is_passed_over_and_every_playbook_has_its_screen() -> None:
    assert set(re.findall(r"^```(.*)$", TEXT, re.MULTILINE)[::2]) == {"", "text"}
    assert all(tutorial.COMMAND.match(block.command) for block in BLOCKS)
    assert [b.command for b in BLOCKS if b.command.startswith(("ansible-playbook", "scout")) and not b.shown] == []
    assert [b.command for b in BLOCKS[:2]] == list(tutorial.READY)
