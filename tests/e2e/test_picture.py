# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The picture in README.md is of a run that was: an emergency reset on a terminal, as docs/images/reset.svg has it.

`SCOUT_WRITE_SCREENS=1` has the test write it instead.
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
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import ALLOW_SUPERUSER
from tests.e2e.browser import Browser
from tests.e2e.picture import COLUMNS, PICTURE, lines_of, svg
from tests.e2e.play import BIN, CHECKOUT, environment
from tests.e2e.runbook import UUID, passing
from tests.e2e.terminal import seen

COMMAND = "ansible-playbook playbooks/emergency_reset.yml"
POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
HERE = re.compile(r"\b(?:scout|tutor) on localhost:\d+")
PERSON = re.compile(r"\b\w+@[\w.-]+")
CLOCK = re.compile(r" +\d\d:\d\d:\d\d UTC$", re.MULTILINE)


def plain(lines: list[str]) -> str:
    """The words and their colours, without what another run would show otherwise."""
    text = UUID.sub("ID", HERE.sub("scout on localhost:5432", "\n".join(lines)))
    return passing(PERSON.sub("", CLOCK.sub("", text)))


@pytest.fixture
def broken(pg_server: Server) -> Iterator[str]:
    """A pipeline with poison events in front of a backlog and old gold views, for an operator."""
    name = "tutor" if pg_server.external else "scout"
    dsn = pg_server.create_database(name)
    builder.build(dsn, events=3000)
    operating = builder.operator(dsn)
    for kind in POISON:
        library.poison_event(dsn, kind)
    library.backlog(dsn, 1200)
    library.gold_stale(dsn)
    yield operating
    pg_server.drop_database(name)


def test_the_picture_is_of_a_run(broken: str, tmp_path: Path) -> None:
    env = environment(tmp_path, {"TERM": "xterm-256color", "SCOUT_BELL": "0", "SCOUT_DSN": broken, "LOGNAME": "oncall"})
    for name in ("COLUMNS", "ANSIBLE_NOCOLOR", "NO_COLOR", "SCOUT_OUTPUT", ALLOW_SUPERUSER):
        env.pop(name, None)
    made = seen([str(BIN / "ansible-playbook"), COMMAND.partition(" ")[2]], env, CHECKOUT, COLUMNS)
    assert made.code == 0, made.text
    lines = [HERE.sub("scout on localhost:5432", line) for line in made.lines]
    drawn = svg(COMMAND, lines, made.text)
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        PICTURE.write_text(drawn, encoding="utf-8")
    assert plain(lines_of(drawn)) == plain(lines_of(PICTURE.read_text(encoding="utf-8"))), (
        "the picture is older than what it shows: SCOUT_WRITE_SCREENS=1 writes it again"
    )


def test_it_is_seen_and_fits(browser: Browser) -> None:
    """In a browser."""
    picture = PICTURE.read_text(encoding="utf-8").partition("\n")[2]
    head = PICTURE.read_text(encoding="utf-8").partition("\n")[0]
    found = browser.look(
        f"<!doctype html><html lang=en><title>x</title><body><h1>x</h1>{head}\n{picture}</body></html>", width=900
    )
    assert "RECOVERED" in found.text
    assert "ansible-playbook playbooks/dead_letters.yml" in found.text
    assert found.errors == []
    assert found.requests == []
