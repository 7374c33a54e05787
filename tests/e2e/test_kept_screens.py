# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What terminals of two sizes show at the end of a run, as docs/screens has it.

`SCOUT_WRITE_SCREENS=1` has the test write them instead.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.play import BIN, CHECKOUT, Stage, environment
from tests.e2e.terminal import seen

KEPT = CHECKOUT / "docs" / "screens"
SIZES = [(80, 24), (120, 40)]
#: What another run would show otherwise.
PASSING = (
    (re.compile(r"\d\d:\d\d:\d\d UTC"), "CLOCK"),
    (re.compile(r"\b\d[\d.]*(?: ms| s| min| h)\b(?: \d+ (?:s|min)\b)?"), "SPAN"),
    (re.compile(r"\b\d+ runs\b"), "N runs"),
)
PORT = re.compile(r"localhost:\d+(?P<room> {2,})?")


def usual(found: re.Match[str]) -> str:
    """The port that a server has where it is alone, as wide as the other in a table."""
    return "localhost:5432".ljust(len(found[0]) if found["room"] else 0)


def shown(playbook: str, inventory: Path, home: Path, columns: int, rows: int) -> str:
    """The last lines that fit on a terminal of that size, above the one with the next prompt."""
    env = environment(
        home, {"TERM": "xterm", "SCOUT_BELL": "0", "ANSIBLE_INVENTORY": str(inventory), "SCOUT_OUTPUT": ""}
    )
    env.pop("COLUMNS")
    made = seen([str(BIN / "ansible-playbook"), f"playbooks/{playbook}.yml"], env, CHECKOUT, columns, rows)
    assert max(map(len, made.lines)) < columns, made.text
    return "\n".join(made.lines[-(rows - 1) :]).strip("\n") + "\n"


def plain(text: str) -> str:
    """The words, with what passes left out."""
    for pattern, instead in PASSING:
        text = pattern.sub(instead, text)
    return " ".join(text.split())


def same(name: str, text: str) -> None:
    """The screen is the one that is kept."""
    path = KEPT / f"{name}.txt"
    text = PORT.sub(usual, text)
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert plain(text) == plain(path.read_text(encoding="utf-8")), f"SCOUT_WRITE_SCREENS=1 writes {path.name} again"


@pytest.fixture
def shop(pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """A database whose gold is old, with a name of its own."""
    yield scout_template.clone("shop_04")
    pg_server.drop_database("shop_04")


def test_the_screen_of_an_assessment(shop: str, stage: Stage) -> None:
    library.gold_stale(shop)
    inventory = Path(stage.inventory({"shop_04": {"scout_dsn": shop}}))
    for columns, rows in SIZES:
        same(f"one-{columns}x{rows}", shown("assess", inventory, stage.home, columns, rows))
