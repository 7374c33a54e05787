# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rollback is killed at every place where that could hurt, and the same command ends where an undisturbed one does."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.crashing import killed_at_every_boundary
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Running, Stage, eventually
from tests.e2e.test_rollback import BAD_RELEASE, OPENED, TEAMS, schema
from tests.integration.modules import expire_lease

OPTIONS: dict[str, Any] = {"release": "v5.2.1", "incident": "INC-2041", "rehearse": False}
BOUNDARIES = range(2, 21)
WAITING = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'scout-recovery%%' AND wait_event_type = 'Lock'
"""


class Released:
    """A pipeline with a bad release, and what it was before."""

    def __init__(self, pipeline: Pipeline, good: dict[str, Any]) -> None:
        self.pipeline, self.good = pipeline, good
        self.events = pipeline.events()
        self.bad = state(pipeline)

    def is_back(self) -> None:
        assert state(self.pipeline) == self.good
        assert self.pipeline.unaccounted(self.events) == []
        assert self.pipeline.lease_owner() is None


def state(pipeline: Pipeline) -> dict[str, Any]:
    """Definitions, jobs, and the data of the column that comes back."""
    opened = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'scout.dim_store'::regclass AND attname = 'opened_on'"
    return {
        "schema": "\n".join(schema(pipeline)),
        "jobs": pipeline.active_jobs(),
        "opened": pipeline.one(OPENED) if pipeline.one(opened) else None,
    }


@pytest.fixture
def released(healthy: Pipeline, stage: Stage) -> Released:
    good = state(healthy)
    captured = stage.play("capture_release", healthy.dsn, release="v5.2.1", protect=["scout.dim_store.opened_on"])
    assert captured.rc == 0, captured.text
    healthy.execute(*BAD_RELEASE)
    return Released(healthy, good)


def test_killed_at_every_task_boundary(released: Released, pg_server: Server, stage: Stage) -> None:
    """One database for every boundary, as a run that dies there leaves it, and one last run over all of them fixes them all."""
    numbers = itertools.count(1)

    def another() -> Pipeline:
        template = psycopg.conninfo.conninfo_to_dict(released.pipeline.dsn)["dbname"]
        pipeline = Pipeline(pg_server.create_database(f"rollback_crash_{next(numbers)}", str(template)))
        pipeline.execute("UPDATE cron.job SET database = current_database()")
        return pipeline

    with killed_at_every_boundary(pg_server, another, stage, "rollback", BOUNDARIES, **OPTIONS) as pipelines:
        # Behind the last task there is nothing to be killed in.
        assert len(pipelines) >= 10
        states = {at: state(pipeline) for at, pipeline in pipelines.items()}
        wholly = [made["schema"] for made in states.values()]
        assert all(each in (released.good["schema"], released.bad["schema"]) for each in wholly)
        assert {released.good["schema"], released.bad["schema"]} == set(wholly)
        hosts = {f"before_task_{at}": {"scout_dsn": pipeline.dsn} for at, pipeline in pipelines.items()}
        # Nothing comes while so many runs are made, one after another.
        late = {"bronze_staleness": {"ok": 60, "fail": 90}, "silver_staleness": {"ok": 60, "fail": 90}}
        aged = {**OPTIONS, "gate_thresholds": late}
        played = stage.play("rollback", None, "-i", stage.inventory(hosts), "--forks", "4", **aged)
        assert played.rc == 0, played.text
        for at, pipeline in pipelines.items():
            assert (at, state(pipeline)) == (at, released.good)
            assert pipeline.unaccounted(released.events) == []
            assert pipeline.lease_owner() is None


def kill_controller(running: Running, _: Pipeline) -> None:
    os.kill(running.process.pid, signal.SIGKILL)


def interrupt(running: Running, _: Pipeline) -> None:
    os.killpg(running.process.pid, signal.SIGINT)


def cut_the_line(_: Running, pipeline: Pipeline) -> None:
    pipeline.execute(WAITING.replace("SELECT pid", "SELECT pg_terminate_backend(pid)").replace("%%", "%"))


@pytest.mark.parametrize("end", [kill_controller, interrupt, cut_the_line])
def test_broken_off_in_the_middle_of_its_transaction(
    released: Released, stage: Stage, end: Callable[[Running, Pipeline], None]
) -> None:
    """It waits for a lock, with data saved and half of its statements done, when it ends: nothing of that is left."""
    pipeline = released.pipeline
    with psycopg.connect(pipeline.dsn) as reader:
        # The last table it needs.
        reader.execute("SELECT count(*) FROM scout.dim_store").fetchone()
        with stage.start("rollback", pipeline.dsn, **OPTIONS) as running:
            eventually(lambda: pipeline.rows(WAITING), 60, "its wait for the reader")
            end(running, pipeline)
            assert running.wait(60).rc != 0
        reader.rollback()
    assert pipeline.lingering() == []
    assert {**state(pipeline), "jobs": None} == {**released.bad, "jobs": None}
    assert pipeline.one("SELECT count(*) FROM scout_ops.protected_data WHERE relation = 'scout.alerts'") == 0
    expire_lease(pipeline.dsn)
    again = stage.play("rollback", pipeline.dsn, **OPTIONS)
    assert again.rc == 0, again.text
    released.is_back()
    undone = stage.play(
        "undo", pipeline.dsn, run_id=again.result["rollback"]["schema"]["undo"], rehearse=False, proof=False
    )
    assert undone.rc == 0, undone.text
    assert state(pipeline)["schema"] == released.bad["schema"]
    assert pipeline.one(TEAMS) == [f"team {n}" for n in range(1, 8)]
