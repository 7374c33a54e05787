# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each demonstration checks its own facts when it runs, and fails if one of them does not hold."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests import CHECKOUT
from tests.door import Door
from tests.scout import demo, player

#: The command itself, but the playbooks that it types are forked.
FORKED = """
import pathlib, runpy, sys
from tests.scout import player
player.PROGRAM = pathlib.Path(sys.argv.pop(1))
runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
"""
SMALL = ("--events", "2000", "--backlog", "300")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("demo", SMALL),
        ("demo", (*SMALL, "--variant", "deployed")),
        ("demo_moves", ("--events", "4000")),
        ("demo_window", ("--events", "5000")),
        ("demo_rollback", ("--events", "4000")),
    ],
)
def test_every_fact_holds(name: str, words: tuple[str, ...], door: Door) -> None:
    """Whatever the settings of the caller's shell are."""
    odd = {"ANSIBLE_STDOUT_CALLBACK": "nonsense", "PGHOST": "nowhere", "SCOUT_DSN": "nonsense"}
    command = ["-c", FORKED, str(door.folder / "ansible-playbook"), f"tests.scout.{name}", "--throwaway", *words]
    done = subprocess.run(
        [sys.executable, *command], cwd=CHECKOUT, env=os.environ | odd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    assert "   yes  " in done.stdout


def test_a_fact_that_does_not_hold_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], door: Door, pg_server: Server, tmp_path: Path
) -> None:
    monkeypatch.setattr(player, "PROGRAM", door.folder / "ansible-playbook")
    monkeypatch.setattr(player, "Server", lambda: contextlib.nullcontext(pg_server))
    monkeypatch.setattr(demo, "_reset", lambda *_: None)
    monkeypatch.setattr(demo, "_reset_again", lambda *_: None)
    story = replace(demo.STORY, state=tmp_path)
    try:
        assert player.main(story, ["--throwaway", *SMALL]) == 1
    finally:
        pg_server.drop_database(story.database)
        with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(builder.OPERATOR)))
    assert "   NO   " in capsys.readouterr().out
