# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a demonstration writes, run as a command of its own."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import CHECKOUT
from tests.door import Door
from tests.scout import player
from tests.scout.player import Story

#: A socket's address cannot be broken, and a command is not, so that it can be copied.
UNFOLDED = re.compile(r"postgresql://|playbooks/(undo|rollback)\.yml")
COLOURFUL = re.compile("[\x1b\U0001f000-\U0001faff\u2600-\u27bf]")
#: Where it keeps what it writes, which is the word for make.
STATES = re.compile(r"What this run wrote is in \.scout/([\w-]+)\.")


#: The command itself, but that the playbooks it types are forked.
FORKED = """
import pathlib, runpy, sys
from tests.scout import player
player.PROGRAM = pathlib.Path(sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""


def screens_of(name: str, *words: str, door: Door | None = None) -> str:
    """All of it, where nobody looks at it with colours; the caller's settings must not matter."""
    odd = {"ANSIBLE_STDOUT_CALLBACK": "nonsense", "PGHOST": "nowhere", "SCOUT_DSN": "nonsense"}
    module = f"tests.scout.{name}"
    command = ["-c", FORKED, str(door.folder / "ansible-playbook"), module] if door else ["-m", module]
    done = subprocess.run(
        [sys.executable, *command, "--throwaway", *words],
        cwd=CHECKOUT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | odd,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def shows(screens: str, facts: int, commands: list[str], subtests: pytest.Subtests) -> None:
    """What every demonstration has: facts that hold, screens for people, and commands that they can type."""
    with subtests.test(msg="every fact holds"):
        assert holds(screens) == facts
    with subtests.test(msg="80 columns without colour or emoji"):
        assert is_plain(screens)
    with subtests.test(msg="commands that a person types"):
        assert typed(screens) == commands
    with subtests.test(msg="make knows it"):
        [name] = set(STATES.findall(screens))
        makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
        assert f"{name}: setup ## " in makefile
        assert f"\t@$(BIN)/python -m tests.scout.{name.replace('-', '_')} $(ARGS)" in makefile


def misses(
    story: Story, words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *,
    door: Door, server: Server,
) -> str:  # fmt: skip
    """What a demonstration says, folded, of which some fact does not hold, which is an error; the server is as before."""
    monkeypatch.setattr(player, "PROGRAM", door.folder / "ansible-playbook")
    monkeypatch.setattr(player, "Server", lambda: contextlib.nullcontext(server))
    try:
        assert player.main(story, ["--throwaway", *words]) == 1
    finally:
        server.drop_database(story.database)
        with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(builder.OPERATOR)))
    said = " ".join(capsys.readouterr().out.split())
    assert "do not hold" in said
    return said


def holds(screens: str) -> int:
    """How many facts hold, where none does not."""
    assert "   NO   " not in screens
    return len(re.findall(r"^   yes  ", screens, re.MULTILINE))


def is_plain(screens: str) -> bool:
    """Whether it is for 80 columns, without colour or emoji."""
    return (
        not COLOURFUL.search(screens)
        and max(len(line) for line in screens.splitlines() if not UNFOLDED.search(line)) <= 80
    )


def typed(screens: str) -> list[str]:
    """The playbooks a person types, all of which are there."""
    shown = re.findall(r"^\$ ansible-playbook playbooks/(\w+)\.yml", screens, re.MULTILINE)
    assert shown
    assert [name for name in shown if not (CHECKOUT / "playbooks" / f"{name}.yml").is_file()] == []
    return shown
