# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person sees of a run: a line for each phase, the verdict, the summary once, and last the command to type."""

from __future__ import annotations

import itertools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.fixtures import several_batches
from tests.e2e.pasting import on_screen
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage, environment, eventually
from tests.e2e.runbook import UUID
from tests.e2e.terminal import COLOUR, Seen, seen
from tests.e2e.test_screen import SLOW

#: How far a load is, is seen between two batches.
broken_template = several_batches()

LINES, PHASE = 25, re.compile(r"^ ([✓✗◐]) (\w+)")
#: A line of a phase that is under way; the database, and the person at work.
STILL = re.compile(r"^ ◐.*\n?", re.MULTILINE)
HERE, PERSON = re.compile(r"\b\w+ on localhost:\d+|\b\w+ on …"), re.compile(r"\b\w+@[\w.-]+")
DREW = {"SCOUT_OUTPUT": ""}
RESET = ["check", "evidence", "pause", "load", "gold", "resume", "prove"]
CODES = ("non_numeric_amount", "missing_store_id", "bad_ts")
#: One batch of the loader takes longer than nobody may hear anything.
SLOW_ONCE = (
    "CREATE SEQUENCE public.batches",
    "GRANT USAGE ON SEQUENCE public.batches TO PUBLIC",
    SLOW.split(";\nCREATE TRIGGER")[0].replace(
        "PERFORM pg_sleep(7);", "IF nextval('public.batches') = 1 THEN PERFORM pg_sleep(6); END IF;"
    ),
    f"CREATE TRIGGER{SLOW.split('CREATE TRIGGER')[1]}",
)


def on_a_terminal(stage: Stage, playbook: str, dsn: str, columns: int, **env: str) -> Seen:
    """A playbook on a terminal of so many columns, with colours."""
    given = environment(stage.home, {"TERM": "xterm", "SCOUT_BELL": "0", "SCOUT_DSN": dsn, **DREW})
    for name in ("ANSIBLE_NOCOLOR", "COLUMNS", "NO_COLOR"):
        given.pop(name, None)
    given |= env
    return seen(stage.command(playbook, None, {}), given, CHECKOUT, columns)


@pytest.fixture
def poisoned(another_broken: Callable[[], Pipeline]) -> Callable[[], Pipeline]:
    """Makes pipelines with ten poison events."""

    def make() -> Pipeline:
        made = another_broken()
        for kind in itertools.islice(itertools.cycle(CODES), 10 - len(CODES)):
            library.poison_event(made.dsn, kind)
        return made

    return make


def fits(lines: list[str], columns: int) -> None:
    """What holds for every screen of a reset with ten poison events."""
    shown = [line for line in lines if not line.startswith(" ◐")]
    assert len(shown) <= LINES, "\n".join(lines)
    assert max(map(len, lines)) < columns
    # On a busy machine the first line is that the check goes on.
    assert shown[0].startswith("scout reset   ")
    assert shown[1].startswith("  was    ")
    assert [PHASE.match(line)[2] for line in shown if PHASE.match(line)] == RESET  # type: ignore[index]
    verdict = next(at for at, line in enumerate(shown) if line.startswith("RECOVERED   ingestion is running, "))
    assert re.search(r"exit 0   .* (?:s|min)$", shown[verdict])
    assert verdict == max(at for at, line in enumerate(shown) if PHASE.match(line)) + 2
    assert re.search(r"quarantined 1\d poison events", "\n".join(shown[:verdict]))
    assert "  proof  bronze-to-silver-etl loads" in "\n".join(shown[verdict:])
    assert shown[-1] == "    ansible-playbook playbooks/dead_letters.yml"
    assert list(on_screen("\n".join(lines))) == [shown[-1].strip()]
    text = "\n".join(lines)
    for word in ("TASK", "PLAY", "skipping", "skipped", "changed:", "ok:"):
        assert word not in text, text


def recorded(name: str, lines: list[str]) -> None:
    """The screen is the one that is kept in docs/screens, but for numbers, names and the signs of what lasts."""
    path = CHECKOUT / "docs" / "screens" / f"reset-{name}.txt"
    text = PERSON.sub("oncall@laptop", HERE.sub("scout on db1:5432", "\n".join(lines)))
    if os.environ.get("SCOUT_WRITE_SCREENS"):
        path.write_text(f"{text}\n", encoding="utf-8")
    one, other = (
        " ".join(re.sub(r"\d[\d,.]*(?: (?:s|min|h)\b)?", "N", UUID.sub("ID", STILL.sub("", each))).split())
        for each in (text, path.read_text(encoding="utf-8"))
    )
    assert one == other, f"SCOUT_WRITE_SCREENS=1 writes {path.name} again"


def test_a_reset_with_ten_poison_events(
    poisoned: Callable[[], Pipeline], stage: Stage, subtests: pytest.Subtests
) -> None:
    for columns in (80, 120):
        made = on_a_terminal(stage, "emergency_reset", poisoned().dsn, columns)
        with subtests.test(columns=columns):
            assert made.code == 0, made.text
            fits(made.lines, columns)
            recorded(str(columns), made.lines)
            assert [COLOUR.sub("", each) for each in re.findall(r"\x1b\[[\d;]*[1-9]m.*?\x1b\[0m", made.text)] == [
                "RECOVERED"
            ]
            apart = [later[0] - earlier[0] for earlier, later in itertools.pairwise(made.parts)]
            assert max(apart) < 5
            assert re.search(r"◐ load +loaded [\d,]+ of [\d,]+ events ▕", made.text)
    with subtests.test(columns="a pipe"):
        slow = poisoned()
        slow.execute(*SLOW_ONCE)
        played = stage.play("emergency_reset", slow.dsn, env=DREW)
        assert played.rc == 0, played.text
        fits(played.lines, 80)
        recorded("pipe", played.lines)
        assert "\x1b" not in played.text
        assert "\r" not in played.text
        assert re.search(r"^ ◐ load ", played.text, re.MULTILINE), "silence is broken"


def test_a_warning_is_said_once_and_no_word_is_cut(healthy: Pipeline, stage: Stage) -> None:
    made = on_a_terminal(stage, "preflight", healthy.dsn, 80)
    assert made.code == 0, made.text
    assert "[WARNING]" not in made.text
    assert made.text.count("docs/operator_role.sql makes") == 1
    assert max(map(len, made.lines)) < 80


def test_a_phase_that_fails_is_marked_as_failed_and_its_reason_is_whole(broken: Pipeline, stage: Stage) -> None:
    """A proof comes to its end and says in its result what it did not prove."""
    broken.execute(
        "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = 'bronze-to-silver-etl'"
    )
    played = stage.play("emergency_reset", broken.dsn, env=DREW)
    assert played.rc == 2, played.text
    marks = {found[2]: found[1] for line in played.lines if (found := PHASE.match(line)) and found[1] != "◐"}
    assert marks["prove"] == "✗", played.text
    assert {mark for phase, mark in marks.items() if phase != "prove"} == {"✓"}
    assert played.result["error"]["said"] in " ".join(played.text.split())
    assert played.lines[-1].strip() == played.result["commands"][-1]


def test_words_for_a_reader_of_screens(healthy: Pipeline, stage: Stage) -> None:
    made = on_a_terminal(stage, "assess", healthy.dsn, 80, SCOUT_OUTPUT="plain", NO_COLOR="1")
    assert made.code == 0, made.text
    assert not set("✓✗◐·▕█░\x1b") & set(made.text)
    assert "\n done    assess " in made.text
    assert re.search(r"\nHEALTHY   ingestion is running, nothing is failing +exit 0 ", made.text)


def test_steps_are_shown_to_who_asks_for_them(healthy: Pipeline, stage: Stage) -> None:
    for env, words in ((DREW, ["-v"]), ({"SCOUT_OUTPUT": "steps"}, [])):
        played = stage.play("assess", healthy.dsn, *words, env=env)
        assert "TASK [(1/3) Assess the pipeline" in played.text
        assert "PLAY RECAP" in played.text
        assert "\nassess of " in played.text
        assert "skipping:" not in played.text
        assert "ok: [" not in played.text
    assert "ok: [" in stage.play("assess", healthy.dsn, "-vv", env=DREW).text


def test_ctrl_c_says_whether_it_is_paused_and_what_continues_it(broken: Pipeline, stage: Stage) -> None:
    broken.execute(SLOW.replace("pg_sleep(7)", "pg_sleep(60)"))
    with stage.start("emergency_reset", broken.dsn, env=DREW) as running:
        eventually(lambda: " ◐ load " in running.text, 60, "the drain")
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc == 99
    assert re.search(r"^ ✗ load      interrupted", played.text, re.MULTILINE), played.text
    assert re.search(r"^INTERRUPTED   ingestion is PAUSED +exit 99$", played.text, re.MULTILINE)
    assert "\nundo\n    ansible-playbook playbooks/resume_ingestion.yml\nnext\n" in played.text
    *_, last = on_screen(played.text)
    assert "emergency_reset.yml" in last
    assert played.lines[-1].strip() in last, "nothing stands below it"


def test_several_hosts_have_a_block_each_the_worst_first(healthy: Pipeline, stage: Stage) -> None:
    hosts = {"luzon": {"scout_dsn": healthy.dsn}, "panay": {"scout_dsn": "postgresql://nobody@127.0.0.1:1/scout"}}
    played = stage.play("assess", None, "-i", stage.inventory(hosts), env=DREW)
    assert played.rc == 2, played.text
    assert re.search(r"^ ✗ assess    \[panay\] could not open a session", played.text, re.MULTILINE)
    assert re.search(r"^ ✓ assess    \[luzon\] \d+ checks, 0 failing", played.text, re.MULTILINE)
    assert re.findall(r"^(UNREACHABLE|HEALTHY) +(\w+)", played.text, re.MULTILINE) == [
        ("UNREACHABLE", "panay"),
        ("HEALTHY", "luzon"),
    ]


def test_what_others_wrote_is_shown_as_ansible_shows_it(healthy: Pipeline, stage: Stage) -> None:
    playbook = Path(stage.home) / "mine.yml"
    playbook.write_text(
        "- hosts: all\n  gather_facts: false\n  tasks:\n    - name: Mine\n      ansible.builtin.fail: {msg: it broke}\n"
    )
    played = stage.play(str(playbook), healthy.dsn, env=DREW)
    assert played.rc == 2
    for text in ("PLAY [all]", "TASK [Mine]", "fatal: [local]: FAILED!", "it broke", "PLAY RECAP"):
        assert text in played.text
