# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md as it is written: all of it can be typed, and every situation leads to what helps; tests/e2e types it."""

from __future__ import annotations

import re

from tests.e2e import runbook
from tests.e2e.runbook import REWRITE, blocks, mentioned
from tests.e2e.runbook_story import BREAKS

TEXT = runbook.PAGE.read_text(encoding="utf-8")
BLOCKS = blocks(TEXT)


def test_no_command_of_the_page_is_passed_over() -> None:
    typed = {block.command for block in BLOCKS}
    assert [command for command in mentioned(TEXT) if command not in typed] == []
    fenced = re.findall(r"^```(.*)$", TEXT, re.MULTILINE)[::2]
    assert set(fenced) == {"", "text"}
    assert all(runbook.COMMAND.match(block.command) for block in BLOCKS)


def test_every_section_has_a_command_a_screen_and_a_way_back() -> None:
    sections = [(part.splitlines()[0], part) for part in TEXT.split("\n## ")[1:]]
    assert set(BREAKS) <= {name for name, _ in sections}
    for name, part in sections[1:]:
        assert "**Undo" in part, name
        shown = [block.shown for block in BLOCKS if block.section == name]
        assert shown, name
        assert all(shown), f"{name}: {REWRITE}"


#: What a screen of a playbook may take, header and all; those of LISTS show as much as there is to list.
LINES, COLUMNS = 25, 80
LISTS = {"dead_letters", "rollback"}
