# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A part of the unnamed faults where the real pg_cron starts the jobs: exit code 0 is true by what it does next."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder, next_runs
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage, eventually
from tests.e2e.unnamed_faults import judge
from tests.faults import Fault, planted
from tests.faults.table import FAULTS

pytestmark = [pytest.mark.docker, pytest.mark.pg_cron, pytest.mark.slow]

SCHEDULE = "2 seconds"
#: Within which the scheduler, which keeps that, has loaded a new sale and shows it in gold.
ARRIVES_SECONDS = 12.0
#: How long the reset waits for a run.
PROOF_SECONDS = 8
#: Within which a change of a job is known to the scheduler, and a run that began before has ended.
KNOWN_SECONDS = 3.0

EVERY = f"SELECT cron.alter_job(jobid, schedule => '{SCHEDULE}') FROM cron.job WHERE jobname = ANY(%s)"
HAVE_RUN = """
SELECT count(DISTINCT jobid) = cardinality(%s::text[]) FROM cron.job_run_details JOIN cron.job USING (jobid)
WHERE status = 'succeeded' AND jobname = ANY(%s)
"""

CHOSEN = {
    **{
        name: FAULTS[name]
        for name in (
            "the ETL's job is inactive",
            "the job's role may not execute the ETL",
            "the ETL's job does something else",
            "a gold view is dropped",
            "the ETL marks and writes nothing",
        )
    },
    "the scheduler starts nothing": Fault(
        ("ALTER SYSTEM SET cron.launch_active_jobs = off", "SELECT pg_reload_conf()"), named="cron.launch_active_jobs"
    ),
}


@pytest.fixture
def working() -> Iterator[Pipeline]:
    """A pipeline in a container, whose jobs have run as they do every two seconds."""
    with container.running() as box:
        pipeline = Pipeline(builder.build(box.dsn, events=400))
        names = list(next_runs.NEEDED)
        pipeline.rows(EVERY, names)
        eventually(lambda: pipeline.one(HAVE_RUN, names, names), 20, "a run of each job")
        yield pipeline


def reset(pipeline: Pipeline, stage: Stage) -> Played:
    """A reset that does not wait long for runs that come every two seconds."""
    return stage.play("emergency_reset", pipeline.dsn, proof_timeout_seconds=PROOF_SECONDS)


def failing(pipeline: Pipeline) -> str:
    """What the scheduler's next runs do not do."""
    return next_runs.failing_by_itself(pipeline.dsn, SCHEDULE, ARRIVES_SECONDS)


def test_a_healthy_pipeline_works_by_its_next_runs(working: Pipeline, stage: Stage) -> None:
    assert failing(working) == ""
    played = reset(working, stage)
    assert played.rc == 0, played.text
    assert failing(working) == ""


@pytest.mark.parametrize("fault", CHOSEN)
def test_exit_code_0_is_true_by_the_next_runs_and_what_is_wrong_is_named(
    working: Pipeline, stage: Stage, fault: str
) -> None:
    with planted(working.dsn, CHOSEN[fault]) as filled:
        time.sleep(KNOWN_SECONDS)
        judge(CHOSEN[fault], filled, reset(working, stage), failing(working))
