# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: a line for each phase, the verdict, the summary, and last the command to type.

`SCOUT_WRITE_SCREENS=1` has the test of the picture in README.md write it again.
"""

from __future__ import annotations

import os
import re
import signal
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.invoke import ALLOW_SUPERUSER
from tests.e2e.pasting import on_screen
from tests.e2e.picture import ALT, COLUMNS, NAMESPACE, PICTURE, lines_of, svg
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import BIN, CHECKOUT, Played, Stage, environment, eventually
from tests.e2e.runbook import UUID, passing
from tests.e2e.terminal import Seen, seen
from tests.e2e.test_screen import SLOW

PHASE = re.compile(r"^ ([✓✗◐]) (\w+)")
RESET = ["check", "evidence", "pause", "load", "gold", "resume", "prove"]
DREW = {"SCOUT_OUTPUT": ""}
COMMAND = "ansible-playbook playbooks/emergency_reset.yml"
POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
HERE = re.compile(r"\b(?:scout|tutor) on localhost:\d+")
PERSON, CLOCK = re.compile(r"\b\w+@[\w.-]+"), re.compile(r" +\d\d:\d\d:\d\d UTC$", re.MULTILINE)
PAGES = [CHECKOUT / "README.md", *(CHECKOUT / "docs").glob("*.md")]


def on_a_terminal(stage: Stage, playbook: str, dsn: str, columns: int = 80, **env: str) -> Seen:
    """A playbook on a terminal of so many columns, with colours."""
    given = environment(stage.home, {"TERM": "xterm-256color", "SCOUT_DSN": dsn, "LOGNAME": "oncall", **DREW})
    for name in ("ANSIBLE_NOCOLOR", "COLUMNS", "NO_COLOR", ALLOW_SUPERUSER):
        given.pop(name, None)
    return seen([str(BIN / "ansible-playbook"), f"playbooks/{playbook}.yml"], given | env, CHECKOUT, columns)


def marks(lines: list[str]) -> dict[str, str]:
    """The sign of each phase that is over."""
    return {found[2]: found[1] for line in lines if (found := PHASE.match(line)) and found[1] != "◐"}


@pytest.fixture
def scout(pg_server: Server) -> Iterator[str]:
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


def plain(lines: list[str]) -> str:
    """The words and their colours, without what another run would show otherwise."""
    text = UUID.sub("ID", HERE.sub("scout on localhost:5432", "\n".join(lines)))
    return passing(PERSON.sub("", CLOCK.sub("", text)))


def test_the_picture_is_of_a_run(scout: str, stage: Stage) -> None:
    """All phases in their order, each once, and the last line is the next command."""
    made = on_a_terminal(stage, "emergency_reset", scout, COLUMNS, SCOUT_BELL="0")
    assert made.code == 0, made.text
    assert list(marks(made.lines)) == RESET
    assert set(marks(made.lines).values()) == {"✓"}
    assert max(map(len, made.lines)) < COLUMNS
    assert list(on_screen("\n".join(made.lines))) == [made.lines[-1].strip()]
    assert not re.search(r"TASK|PLAY|skipp|changed:|ok:", "\n".join(made.lines))
    drawn = svg(COMMAND, [HERE.sub("scout on localhost:5432", line) for line in made.lines], made.text)
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        PICTURE.write_text(drawn, encoding="utf-8")
    assert plain(lines_of(drawn)) == plain(lines_of(PICTURE.read_text(encoding="utf-8"))), (
        "the picture is older than what it shows: SCOUT_WRITE_SCREENS=1 writes it again"
    )


@pytest.mark.parametrize("path", sorted(PICTURE.parent.iterdir()), ids=lambda path: path.name)
def test_a_picture_needs_nothing_but_itself(path: Path) -> None:
    """Shapes and words, which every renderer shows alike; it has a text for those who do not see it, and a page shows it."""
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    root = ET.fromstring(text)
    names = {each.tag.removeprefix(NAMESPACE) for each in root.iter()}
    assert names <= {"svg", "style", "defs", "marker", "rect", "path", "polyline", "circle", "text", "tspan"}
    assert not re.search(r"white-space|@import|@font-face|@keyframes|transform|var\(|url\(\"?h", text)
    assert root.get("aria-label") == ALT or path != PICTURE
    assert any(f"images/{path.name})" in page.read_text(encoding="utf-8") for page in PAGES), "no page shows it"


def ended(played: Played) -> str:
    """The command on the last line, which the result has as well."""
    assert played.lines[-1].strip() == played.result["commands"][-1]
    return played.lines[-1].strip()


def test_a_pipe_gets_no_control_characters_and_a_failed_phase_its_mark(broken: Pipeline, stage: Stage) -> None:
    """A proof comes to its end and says in its result what it did not prove."""
    broken.execute(
        "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = 'bronze-to-silver-etl'"
    )
    played = stage.play("emergency_reset", broken.dsn, env=DREW)
    assert played.rc == 2, played.text
    assert marks(played.lines) == {**dict.fromkeys(marks(played.lines), "✓"), "prove": "✗"}
    assert played.result["error"]["said"] in " ".join(played.text.split())
    assert ended(played)
    assert not {"\x1b", "\r", "\a"} & set(played.text)


def test_a_terminal_is_rung_and_coloured_unless_told_not_to(healthy: Pipeline, stage: Stage) -> None:
    made = on_a_terminal(stage, "assess", healthy.dsn, SCOUT_ALLOW_SUPERUSER="1")
    assert made.code == 0, made.text
    assert ("\a" in made.text, "\x1b[0;32m" in made.text) == (True, True)
    made = on_a_terminal(
        stage, "assess", healthy.dsn, SCOUT_ALLOW_SUPERUSER="1", SCOUT_OUTPUT="plain", SCOUT_BELL="0", NO_COLOR="1"
    )
    assert not set("✓✗◐·▕█░\x1b\a") & set(made.text)
    assert re.search(r"\nHEALTHY   .* +exit 0 ", made.text)


def test_ctrl_c_says_whether_it_is_paused_and_what_continues_it(broken: Pipeline, stage: Stage) -> None:
    broken.execute(SLOW.replace("pg_sleep(7)", "pg_sleep(60)"))
    with stage.start("emergency_reset", broken.dsn, env=DREW) as running:
        eventually(lambda: " ◐ load " in running.text, 60, "the drain")
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc == 99
    assert re.search(r"^INTERRUPTED   ingestion is PAUSED +exit 99$", played.text, re.MULTILINE), played.text
    undo, *_, last = on_screen(played.text)
    assert undo == "ansible-playbook playbooks/resume_ingestion.yml"
    assert "emergency_reset.yml" in last


def test_several_hosts_have_a_block_each(healthy: Pipeline, stage: Stage) -> None:
    hosts = {"luzon": {"scout_dsn": healthy.dsn}, "panay": {"scout_dsn": "postgresql://nobody@127.0.0.1:1/scout"}}
    played = stage.play("assess", None, "-i", stage.inventory(hosts), env=DREW)
    assert played.rc == 2, played.text
    blocks = re.findall(r"^(UNREACHABLE|HEALTHY) +(\w+)", played.text, re.MULTILINE)
    assert sorted(blocks) == [("HEALTHY", "luzon"), ("UNREACHABLE", "panay")]


def test_what_others_wrote_is_shown_as_ansible_shows_it(healthy: Pipeline, stage: Stage) -> None:
    playbook = Path(stage.home) / "mine.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Mine\n      ansible.builtin.fail: {msg: it broke}\n"
    )
    played = stage.play(str(playbook), healthy.dsn, env=DREW)
    assert played.rc == 2
    for text in ("PLAY [all]", "TASK [Mine]", "fatal: [local]: FAILED!", "it broke", "PLAY RECAP"):
        assert text in played.text
