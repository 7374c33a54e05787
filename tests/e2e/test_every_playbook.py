# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each playbook: a check writes nothing, the run does its work, and a second run changes nothing."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests import CHECKOUT
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

LOADED = "SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT 20"
STUCK = {"stuck_after_seconds": 1}
Options = dict[str, Any]


class Case:
    """Prepares a healthy pipeline so that a playbook has something to do, and returns the options for it."""

    def __init__(self, pipeline: Pipeline, stage: Stage, held: contextlib.ExitStack) -> None:
        self.pipeline, self.stage, self.held = pipeline, stage, held

    def played(self, playbook: str, **options: Any) -> dict[str, Any]:
        played = self.stage.play(playbook, self.pipeline.dsn, **options)
        assert played.rc == 0, played.text
        return played.result

    def nothing(self) -> Options:
        return {}

    def break_it(self) -> Options:
        library.poison_event(self.pipeline.dsn)
        library.backlog(self.pipeline.dsn, count=20, age_seconds=1200)
        library.gold_stale(self.pipeline.dsn)
        return {}

    def negative(self) -> Options:
        library.negative_totals(self.pipeline.dsn, count=1)
        return {}

    def old_gold(self) -> Options:
        library.gold_unpopulated(self.pipeline.dsn)
        return {}

    def lost(self) -> Options:
        return {name: moment.isoformat() for name, moment in library.lost_window(self.pipeline.dsn).items()}

    def stuck(self) -> Options:
        self.held.enter_context(library.lock_holder(self.pipeline.dsn))
        time.sleep(1.1)
        return STUCK

    def paused(self) -> Options:
        self.played("pause_ingestion", incident="INC-1")
        return {"incident": "INC-1"}

    def selected(self) -> Options:
        return {"event_ids": [event for (event,) in self.pipeline.rows(LOADED)], "incident": "INC-1"}

    def quarantined(self) -> Options:
        self.played("quarantine", **self.selected())
        return {"of_incident": "INC-1"}

    def poisoned(self) -> Options:
        self.quarantined()
        return {}

    def ran(self) -> Options:
        self.paused()
        return {}

    def moved(self) -> Options:
        return {"run_id": self.played("quarantine", **self.selected())["move"]["run_id"]}

    def release(self) -> Options:
        return {"release": "v1"}

    def released(self) -> Options:
        self.played("capture_release", release="v1")
        self.pipeline.execute("ALTER TABLE scout.alerts ADD COLUMN team text")
        return {"release": "v1", "rehearse": False}


READS: dict[str, Callable[[Case], Options]] = {
    "acceptance_gate": Case.nothing,
    "assess": Case.break_it,
    "dead_letters": Case.poisoned,
    "preflight": Case.nothing,
    "runs": Case.ran,
}
CHANGES: dict[str, Callable[[Case], Options]] = {
    "capture_release": Case.release,
    "emergency_reset": Case.break_it,
    "pause_ingestion": Case.nothing,
    "quality_cleanup": Case.negative,
    "quarantine": Case.selected,
    "redrive": Case.quarantined,
    "refresh_gold": Case.old_gold,
    "resume_ingestion": Case.paused,
    "rollback": Case.released,
    "terminate_sessions": Case.stuck,
    "undo": Case.moved,
    "window_recovery": Case.lost,
}
#: It writes files on the controller.
ELSEWHERE = {"incident_report"}


def test_every_playbook_is_here() -> None:
    assert {path.stem for path in CHECKOUT.glob("playbooks/*.yml")} == READS.keys() | CHANGES.keys() | ELSEWHERE


@pytest.mark.parametrize(("playbook", "prepare"), [*READS.items(), *CHANGES.items()])
def test_a_check_writes_nothing_and_a_second_run_changes_nothing(
    playbook: str, prepare: Callable[[Case], Options], healthy: Pipeline, stage: Stage
) -> None:
    with contextlib.ExitStack() as held:
        options = prepare(Case(healthy, stage, held))
        before, jobs = healthy.fingerprint(), healthy.active_jobs()
        checked = stage.play(playbook, healthy.dsn, "--check", **options)
        assert checked.rc == 0, checked.text
        assert (healthy.fingerprint(), healthy.active_jobs()) == (before, jobs)
        done = stage.play(playbook, healthy.dsn, **options)
        assert done.rc == 0, done.text
        assert (done.recap()["changed"] > 0) == (playbook in CHANGES), done.text
        before = healthy.fingerprint()
        again = stage.play(playbook, healthy.dsn, **options)
        assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
        assert healthy.rewritten(before) == set()
