# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that is played in this process reports and leaves the same as the one that Ansible plays."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fixtures import RAN
from tests.e2e.in_process import COMPARED, Quick
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.faults.table import FAULTS

#: Ids, digests, times, ages, and the names of databases.
CHANGING = re.compile(
    r"\b[0-9a-f]{8}-[0-9a-f-]{27}\b|\b(?=[a-f]*\d)[0-9a-f]{8,}\b|(?<![\w)])-\d[\d.,:]*"
    r"|\d[\d.,:]*( (ms|s|min|h|d)\b)?( \d+ (s|min|h)\b)*"
)
#: A busy machine must not cut short one of two assessments.
UNHURRIED = {"budget_seconds": 60, "evidence_budget_seconds": 60}
PENDING = """
SELECT event_id FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id) ORDER BY ingested_at
"""
LOADED = "SELECT event_id FROM scout.etl_processed ORDER BY event_id LIMIT 20"


def masked(value: Any) -> Any:
    """A result without what differs between two runs that are alike."""
    if isinstance(value, dict):
        return {name: masked(each) for name, each in value.items()}
    if isinstance(value, list):
        return [masked(each) for each in value]
    return CHANGING.sub("#", str(value)) if isinstance(value, (str, float)) else value


class Story:
    """Playbooks one after the other, and what came of each."""

    def __init__(self, stage: Stage, pipeline: Pipeline) -> None:
        self.stage, self.pipeline = stage, pipeline
        self.came: list[tuple[str, int, int, Any]] = []

    def play(self, playbook: str, *arguments: str, **options: Any) -> dict[str, Any]:
        played = self.stage.play(playbook, self.pipeline.dsn, *arguments, **UNHURRIED, **options)
        self.came.append((playbook, played.rc, played.recap()["changed"], masked(played.result)))
        return played.result


def resets(story: Story) -> None:
    story.play("emergency_reset", poison="stop")
    story.play("emergency_reset", resume=False)
    story.pipeline.execute(*FAULTS["the linking fails"].plant)
    story.play("emergency_reset")


def moves(story: Story) -> None:
    poison = [str(event) for [event] in story.pipeline.rows(PENDING)]
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
    story.play("acceptance_gate", smoke=True)
    story.play("pause_ingestion", incident="INC-1")
    story.play("refresh_gold")
    story.play("resume_ingestion", incident="INC-1")
    for playbook in ("assess", "evidence", "terminate_sessions", "preflight", "dead_letters"):
        story.play(playbook)


def releases(story: Story) -> None:
    story.play("capture_release", release="v1")
    story.pipeline.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
    story.play("rollback", release="v2")
    story.play("rollback", "--check", release="v1")
    made = story.play("rollback", release="v1", rehearse=False)
    story.play("rollback", release="v1")
    story.play("undo", run_id=made["rollback"]["schema"]["undo"], rehearse=False)


def late(dsn: str) -> None:
    """A backlog for which a reset is needed."""
    library.backlog(dsn, count=20, age_seconds=1200)


#: What each story does, and the faults that it begins with.
STORIES: tuple[tuple[Callable[[Story], None], tuple[Callable[[str], Any], ...]], ...] = (
    (resets, (late, library.poison_event, library.gold_stale)),
    (moves, (library.poison_event, library.negative_totals)),
    (steps, (library.gold_unpopulated,)),
    (releases, ()),
)


@pytest.mark.parametrize(("play", "faults"), STORIES)
def test_a_story_is_the_same(
    play: Callable[[Story], None], faults: tuple[Callable[[str], Any], ...], pg_server: Server, tmp_path: Path
) -> None:
    template = builder.template(pg_server, "faithful", events=400)
    broken = template.clone(f"{template.name}_broken")
    for fault in faults:
        fault(broken)
    found = []
    for number, stage in enumerate((Stage(tmp_path), Quick(tmp_path))):
        name = f"{template.name}_alike_{number}"
        pipeline = Pipeline(pg_server.create_database(name, f"{template.name}_broken"))
        # The second one is played later, and its jobs must have run as recently.
        moved = (f"UPDATE {table} SET database = current_database()" for table in ("cron.job", "cron.job_run_details"))
        pipeline.execute(*moved, RAN)
        story = Story(stage, pipeline)
        play(story)
        found.append((story.came, pipeline.contents(), pipeline.active_jobs()))
        pg_server.drop_database(name)
    pg_server.drop_database(f"{template.name}_broken")
    template.drop()
    ansible, quick = found
    assert {playbook for playbook, *_ in ansible[0]} == COMPARED[play.__name__]
    assert quick[0] == ansible[0]
    assert quick[1:] == ansible[1:]
