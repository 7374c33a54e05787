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
from tests.e2e.picture import ALT, PICTURE, Line, lines_of, recorded, svg
from tests.e2e.play import BIN, CHECKOUT, environment
from tests.e2e.runbook import UUID, passing

COMMAND = "ansible-playbook playbooks/emergency_reset.yml"
POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
HERE = re.compile(r"\b(?:scout|tutor) on localhost:\d+")
#: What a slower machine says more often, or not at all.
PROGRESS = re.compile(r"^\[local\] loaded \d")
TIME = re.compile(r"\] \d+ s\b")
STARS = re.compile(r"\*{3,}")


def plain(lines: list[Line]) -> str:
    """The words and their colours, without what another run would show otherwise."""
    kept = [line for line in lines if line.text and not PROGRESS.search(line.text)]
    text = "\n".join("".join(f"{shown}{text}" for shown, text in joined(line)) for line in kept)
    return passing(UUID.sub("ID", STARS.sub("***", TIME.sub("]", HERE.sub("scout on localhost:5432", text)))))


def joined(line: Line) -> Iterator[tuple[str, str]]:
    """What has one colour together, wherever the line was broken."""
    made: list[tuple[str, str]] = []
    for shown, text in line.parts:
        if made and made[-1][0] == shown:
            made[-1] = (shown, made[-1][1] + text)
        else:
            made.append((shown, text))
    return iter((f"<{shown}>" if shown else "", text) for shown, text in made)


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
    env = environment(tmp_path, {"TERM": "xterm-256color", "SCOUT_BELL": "0", "SCOUT_DSN": broken})
    for name in ("COLUMNS", "ANSIBLE_NOCOLOR", "NO_COLOR", ALLOW_SUPERUSER):
        env.pop(name, None)
    playbook = COMMAND.partition(" ")[2]
    code, lines = recorded([str(BIN / "ansible-playbook"), playbook], env, CHECKOUT)
    assert code == 0, "\n".join(line.text for line in lines)
    shown = [
        line._replace(parts=tuple((c, HERE.sub("scout on localhost:5432", t)) for c, t in line.parts)) for line in lines
    ]
    while not shown[-1].text:
        shown.pop()
    made = svg(COMMAND, shown, ALT)
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        PICTURE.write_text(made, encoding="utf-8")
    assert plain(lines_of(made)) == plain(lines_of(PICTURE.read_text(encoding="utf-8"))), (
        "SCOUT_WRITE_SCREENS=1 writes it again"
    )


def test_its_end_is_seen_and_fits(browser: Browser) -> None:
    """In a browser, for somebody who wants no motion."""
    picture = PICTURE.read_text(encoding="utf-8").partition("\n")[2]
    head = PICTURE.read_text(encoding="utf-8").partition("\n")[0]
    seen = browser.look(
        f"<!doctype html><html lang=en><title>x</title><body><h1>x</h1>{head}\n{picture}</body></html>", width=700
    )
    assert "ingestion is running, nothing is failing" in seen.text
    assert seen.errors == []
    assert seen.requests == []
