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


COLUMNS = 80
#: A command to type, over all lines that a shell reads.
COMMAND = re.compile(r"ansible-playbook (?:.*\\\n)*.*")


def test_the_screen_of_each_playbook_fits_and_its_commands_can_be_pasted(subtests: pytest.Subtests) -> None:
    seen: set[str] = set()
    for block in BLOCKS:
        found = re.search(r"scout\.recovery\.(\w+)", block.command)
        if not found or not block.shown or "-v" in block.command.split():
            continue
        seen.add(found[1])
        with subtests.test(command=block.command):
            assert max(map(len, block.shown.splitlines())) < COLUMNS
            typed = "\n".join(line for line in COMMAND.findall(block.shown) if "…" not in line)
            assert subprocess.run(["bash", "-n"], input=typed, text=True, check=False).returncode == 0
    assert seen >= {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}


def test_what_passes_is_not_compared_and_all_else_is() -> None:
    one = "loaded 1,200 events in 0.3 s since 2026-11-25 02:00 UTC,\n  digest 0e08938109af"
    assert passing(one) == passing(
        "loaded 1,200 events in 1 min 5 s since 2027-01-02 13:14:15 UTC, digest ffff38109afa"
    )
    assert passing(one) != passing(one.replace("1,200", "1,201"))
    assert passing(one) != passing(one.replace("loaded", "moved"))
