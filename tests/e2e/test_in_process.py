# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is played in this process is the one that Ansible plays: the same modules, options, words and exit code."""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fixtures import RAN
from tests.e2e.in_process import COMPARED, InProcess, Quick, recorded
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.faults.table import FAULTS

STUCK = 1.0
#: What differs between two runs that are alike: times, ages, names of databases, runs and sessions.
CHANGING = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\d[\d.,:]*( (ms|s|min|h|d)\b)?( \d+ (s|min|h)\b)*")
_numbers = itertools.count(1)

POISON = """
SELECT event_id FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) ORDER BY ingested_at
"""
LOADED = "SELECT event_id FROM scout.etl_processed ORDER BY event_id LIMIT 20"

Break = Callable[[str], Any]


#: On a busy machine one of two looks may be cut short.
UNHURRIED = {"budget_seconds": 60, "evidence_budget_seconds": 60}


@dataclass(frozen=True)
class Case:
    """What is done to a pipeline, with which options it is reset, and the modules that run, without `scout_`."""

    modules: str
    outcome: str
    breaks: tuple[Break, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


def late(dsn: str) -> None:
    """A backlog for which a reset is needed."""
    library.backlog(dsn, count=20, age_seconds=1200)


def hollow(dsn: str) -> None:
    """A linking job that fails, which nothing sees before it runs."""
    Pipeline(dsn).execute(*FAULTS["the linking fails"].plant)


BEGUN = "begin evidence terminate_sessions ingestion terminate_sessions"
REPAIRED = f"{BEGUN} drain refresh_gold health_info"
CASES = {
    "all is repaired": Case(
        f"{BEGUN} ingestion drain refresh_gold health_info ingestion proof proof lease summary",
        "recovered",
        (late, library.poison_event, library.gold_stale, library.stuck_etl),
        {"stuck_after_seconds": STUCK},
    ),
    "ingestion stays paused": Case(f"{REPAIRED} lease summary", "left_paused_as_told", (late,), {"resume": False}),
    "the drain stops": Case(f"{BEGUN} drain lease summary", "failed", (late, library.poison_event), {"poison": "stop"}),
    "the proof fails": Case(f"{REPAIRED} ingestion proof proof ingestion lease summary", "failed", (late, hollow)),
}


@pytest.fixture(scope="module")
def template(pg_server: Server) -> Iterator[builder.Template]:
    """A small pipeline."""
    made = builder.template(pg_server, "faithful", events=400)
    yield made
    made.drop()


@contextlib.contextmanager
def broken(server: Server, template: builder.Template, case: Case) -> Iterator[str]:
    """A pipeline of its own with what the case does to it."""
    name = f"{template.name}_alike_{next(_numbers)}"
    dsn = template.clone(name)
    with contextlib.ExitStack() as held:
        for each in case.breaks:
            if hasattr(done := each(dsn), "__exit__"):
                held.enter_context(done)
                time.sleep(STUCK + 0.1)
        yield dsn
    server.drop_database(name)


def words(played: Played) -> str:
    """The summary without what changes."""
    return CHANGING.sub("#", played.summary[played.summary.index("emergency reset of ") :])


@pytest.mark.parametrize("name", CASES)
def test_it_is_what_the_playbook_does(name: str, pg_server: Server, template: builder.Template, stage: Stage) -> None:
    case = CASES[name]
    with broken(pg_server, template, case) as dsn:
        played, ran = recorded(stage, "emergency_reset", dsn, **UNHURRIED, **case.options)
    with broken(pg_server, template, case) as dsn:
        driver = InProcess(stage, dsn, **UNHURRIED, **case.options)
        same = driver.play("emergency_reset")
    assert [each.name.removeprefix("scout_") for each in ran] == case.modules.split()
    assert played.result["outcome"] == case.outcome, played.text
    assert [each.told for each in driver.ran] == [each.told for each in ran]
    assert (same.rc, same.result["outcome"], words(same)) == (played.rc, played.result["outcome"], words(played))


#: And digests of all that, with their signs.
DIGEST = re.compile(r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|(?<![\w)])-\d[\d.,:]*")


@dataclass(frozen=True)
class Told:
    """What came of a play: all that a test may ask for, without what differs between two that are alike."""

    rc: int
    summary: str
    changed: int
    document: Any


def told(played: Played, operation: str) -> Told:
    # How its first line, and a long one, is broken, depends on how long it took.
    lines = played.text[played.text.rindex(f"{operation} of ") :].partition("\n")[2]
    return Told(
        played.rc,
        _alike(" ".join(lines.replace("\\\n", "").split())).replace(" ", ""),
        played.recap()["changed"],
        _alike(played.result),
    )


def _alike(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _alike(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_alike(each) for each in value]
    return CHANGING.sub("#", DIGEST.sub("#", str(value))) if isinstance(value, (str, float)) else value


class Story:
    """Playbooks one after the other, each as a test asks for it."""

    def __init__(self, stage: Stage, pipeline: Pipeline) -> None:
        self.stage, self.pipeline = stage, pipeline
        self.told: dict[str, Told] = {}

    def play(self, playbook: str, *arguments: str, called: str = "", **options: Any) -> dict[str, Any]:
        played = self.stage.play(playbook, self.pipeline.dsn, *arguments, **UNHURRIED, **options)
        operation = (called or playbook).replace("_", " ")
        self.told[" ".join([str(len(self.told)), playbook, *arguments])] = told(played, operation)
        return played.result


def moves(story: Story) -> None:
    """To the dead letter queue and back, planned and done, and refused."""
    poison = [str(event) for [event] in story.pipeline.rows(POISON)]
    loaded = [str(event) for [event] in story.pipeline.rows(LOADED)]
    story.play("quarantine", "--check", event_ids=poison + loaded)
    made = story.play("quarantine", event_ids=poison + loaded, incident="INC-1")
    story.play("quarantine", event_ids=poison + loaded)
    story.play("redrive", of_incident="INC-1", event_ids=poison)
    story.play("undo", "--check", run_id=made["move"]["run_id"])
    story.play("undo", run_id=made["move"]["run_id"])
    story.play("runs", of_incident="INC-1")
    story.play("quarantine", event_ids=poison, pause="ture")
    story.play("window_recovery", window_start="1999-01-01T00:00Z", window_end="1999-01-02T00:00Z")
    story.play("quality_cleanup")


def steps(story: Story) -> None:
    """Each step alone, and what only looks."""
    for playbook, options in (
        ("assess", {}), ("acceptance_gate", {"smoke": True}), ("evidence", {}), ("pause_ingestion", {"incident": "INC-1"}),
        ("refresh_gold", {}), ("resume_ingestion", {"incident": "INC-1"}), ("terminate_sessions", {}), ("preflight", {}),
        ("dead_letters", {}),
    ):  # fmt: skip
        story.play(playbook, **options)


def releases(story: Story) -> None:
    """Captured, spoilt, rolled back, and that undone; an unknown one is refused."""
    story.play("capture_release", release="v1")
    story.pipeline.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
    story.play("rollback", release="v2")
    story.play("rollback", "--check", release="v1")
    made = story.play("rollback", release="v1", rehearse=False)
    story.play("rollback", release="v1")
    story.play("undo", run_id=made["rollback"]["schema"]["undo"], rehearse=False)


#: What is done to a pipeline before, and what is played then.
STORIES: dict[str, tuple[tuple[Break, ...], Callable[[Story], None]]] = {
    "moves": ((library.poison_event, library.negative_totals), moves),
    "steps": ((library.gold_unpopulated,), steps),
    "releases": ((), releases),
}


def test_every_story_is_told() -> None:
    assert COMPARED.keys() == {"resets", *STORIES}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_is_the_same(name: str, pg_server: Server, template: builder.Template, tmp_path: Path) -> None:
    """Each playbook that is played in this process: its result, its summary, what it changed, and what the database has then."""
    breaks, play = STORIES[name]
    found = []
    with broken(pg_server, template, Case("", "", breaks)) as dsn:
        for stage in (Stage(tmp_path), Quick(tmp_path)):
            copy = f"{template.name}_alike_{next(_numbers)}"
            pipeline = Pipeline(pg_server.create_database(copy, Pipeline(dsn).one("SELECT current_database()")))
            for table in ("cron.job", "cron.job_run_details"):
                pipeline.execute(f"UPDATE {table} SET database = current_database()")
            # The second is played a minute later, and both are to find its jobs as quiet.
            pipeline.execute(RAN)
            story = Story(stage, pipeline)
            play(story)
            found.append((story.told, pipeline.contents(), pipeline.active_jobs()))
            pg_server.drop_database(copy)
    ansible, quick = found
    assert {each.split()[1] for each in ansible[0]} == COMPARED[name]
    for each, what in ansible[0].items():
        same = quick[0][each]
        assert same.rc == what.rc, each
        assert asdict(same) == asdict(what), each
    assert quick[1:] == ansible[1:]
