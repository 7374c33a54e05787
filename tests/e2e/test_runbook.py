# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""docs/runbook.md is true: each command on it is typed, in its order, on a pipeline that breaks as the page says, and shows that."""

from __future__ import annotations

import re

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e import runbook
from tests.e2e.play import CHECKOUT
from tests.e2e.runbook import Typed, blocks, mentioned, passing
from tests.e2e.runbook_story import BREAKS, Story

TEXT = runbook.PAGE.read_text(encoding="utf-8")
BLOCKS = blocks(TEXT)
REWRITE = "PYTHONPATH=.collections python -m tests.e2e.runbook writes the page anew"
#: What a machine would say in place of a time in words.
MACHINE_TIME = re.compile(r"\dT\d\d:\d\d|[+-]00:00\b|\d\.\d{2,} s\b|\b\d{4,} s\b")


@pytest.fixture(scope="module")
def night(pg_server: Server, tmp_path_factory: pytest.TempPathFactory) -> list[Typed]:
    """All commands of the page, typed once."""
    return list(Story(pg_server, tmp_path_factory.mktemp("night")).told(BLOCKS))


def test_every_command_ends_well(night: list[Typed]) -> None:
    assert [f"{typed.block.command}\n{typed.text}" for typed in night if typed.exit_code] == []
    assert [typed.block.command for typed in night if "Traceback" in typed.text or "[ERROR]" in typed.text] == []
    assert len(night) == len(BLOCKS)


def test_every_screen_is_the_one_on_the_page(night: list[Typed]) -> None:
    for typed in night:
        if typed.block.shown is not None:
            assert passing(typed.screen) == passing(typed.block.shown), f"{typed.block.command}: {REWRITE}"


def test_every_playbook_is_typed(night: list[Typed]) -> None:
    typed = {name for each in night for name in re.findall(r"playbooks/(\w+)\.yml", each.block.command)}
    assert typed == {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}


def test_screens_are_for_80_columns_without_colour_and_in_words(night: list[Typed]) -> None:
    for typed in night:
        lines = typed.screen.splitlines()
        assert max(map(len, lines), default=0) <= 80, typed.screen
        assert "\x1b" not in typed.screen
        told = [
            line
            for line in lines
            if not any(each in line for each in ("ansible-playbook", "-e ", "evidence/", '{"ts": '))
        ]
        assert [line for line in told if MACHINE_TIME.search(line)] == []


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


def test_every_situation_leads_to_its_section() -> None:
    anchors = {
        re.sub(r"[^\w -]", "", name.lower()).replace(" ", "-") for name in re.findall(r"^## (.*)$", TEXT, re.MULTILINE)
    }
    linked = set(re.findall(r"\]\(#([\w-]+)\)", TEXT))
    assert linked <= anchors
    assert anchors - linked <= {"before-the-first-command"}


def test_the_page_of_the_reset_shows_the_same() -> None:
    assert runbook.reset_screen(TEXT) in runbook.RESET.read_text(encoding="utf-8"), REWRITE


def test_what_passes_is_not_compared_and_all_else_is() -> None:
    one = "loaded 1,200 events in 0.3 s since 2026-11-25 02:00 UTC,\n  digest 0e08938109af"
    assert passing(one) == passing(
        "loaded 1,200 events in 1 min 5 s since 2027-01-02 13:14:15 UTC, digest ffff38109afa"
    )
    assert passing(one) != passing(one.replace("1,200", "1,201"))
    assert passing(one) != passing(one.replace("loaded", "moved"))
