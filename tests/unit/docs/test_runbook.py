# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md as it is written: all of it can be typed, and every situation leads to what helps; tests/e2e types it."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests import CHECKOUT
from tests.e2e import runbook
from tests.e2e.pasting import on_screen
from tests.e2e.runbook import REWRITE, blocks, mentioned, passing
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
    for name, part in sections[2:]:
        assert "**Undo" in part, name
        shown = [block.shown for block in BLOCKS if block.section == name]
        assert shown, name
        assert all(shown), f"{name}: {REWRITE}"


def test_the_page_of_the_reset_shows_the_same() -> None:
    assert runbook.reset_screen(TEXT) in runbook.RESET.read_text(encoding="utf-8"), REWRITE


#: What a screen of a playbook may take, header and all; those of LISTS show as much as there is to list.
LINES, COLUMNS = 25, 80
LISTS = {"dead_letters", "rollback"}
DRILLS = {"drill"}


def test_the_screen_of_each_playbook_fits_and_ends_with_what_can_be_pasted(subtests: pytest.Subtests) -> None:
    seen: set[str] = set()
    for block in BLOCKS:
        found = re.search(r"playbooks/(\w+)\.yml", block.command)
        if not found or not block.shown or found[1] in DRILLS or "-v" in block.command.split():
            continue
        lines = block.shown.splitlines()
        seen.add(found[1])
        with subtests.test(command=block.command):
            assert max(map(len, lines)) < COLUMNS
            assert len(lines) <= (3 if found[1] in LISTS else 1) * LINES, len(lines)
            assert re.match(r"\w+( \w+)*   scout on ", lines[0])
            typed = [command.replace("\\", "") for command in on_screen(block.shown)]
            known = "\n".join(typed)
            assert subprocess.run(["bash", "-n"], input=known, text=True, check=False).returncode == 0
            if "next" in lines and typed:
                assert lines[-1].split()[-1] == typed[-1].split()[-1], "the last line is of the command to type"
    assert seen >= {path.stem for path in CHECKOUT.glob("playbooks/*.yml")} - DRILLS


def test_what_passes_is_not_compared_and_all_else_is() -> None:
    one = "loaded 1,200 events in 0.3 s since 2026-11-25 02:00 UTC,\n  digest 0e08938109af"
    assert passing(one) == passing(
        "loaded 1,200 events in 1 min 5 s since 2027-01-02 13:14:15 UTC, digest ffff38109afa"
    )
    assert passing(one) != passing(one.replace("1,200", "1,201"))
    assert passing(one) != passing(one.replace("loaded", "moved"))
