# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which jobs a pause stops and a resume re-enables, for whom, and what is said of the others."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.pauses import Pause, save_job
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs
from tests.unit.scout.test_sessions import LEDGER, activity

ETL = cron_jobs.Job(1, "load", "* * * * *", "SELECT 1", True, "loader")
GOLD = cron_jobs.Job(2, "gold", "*/5 * * * *", "SELECT 2", True, "loader")


def off(job: cron_jobs.Job) -> cron_jobs.Job:
    return dataclasses.replace(job, active=False)


def parked(job: cron_jobs.Job) -> cron_jobs.Job:
    return dataclasses.replace(job, schedule=cron_jobs.NEVER)


def pause(*jobs: cron_jobs.Job, **fields: Any) -> Pause:
    """A pause in force that took these jobs."""
    at = datetime.datetime(2026, 11, 25, tzinfo=datetime.UTC)
    saved = [save_job(job) for job in jobs]
    return dataclasses.replace(Pause(7, "run", "INC-7", "root@vm", at, 60.0, saved, True), **fields)


def state(*jobs: cron_jobs.Job, pause: Pause | None = None) -> pause_resume.State:
    return pause_resume.State(jobs, (), pause)


def test_a_pause_stops_what_can_start_and_waits_for_what_works() -> None:
    before = dataclasses.replace(
        state(ETL, off(GOLD), pause=pause(GOLD)),
        activities=(activity(1, LEDGER, seconds=10), activity(2, LEDGER, seconds=20), activity(3)),
    )
    made = pause_resume.plan_pause(before, leave_after_seconds=20)
    assert made.jobs == (ETL,)
    assert ([a.pid for a in made.wait_for], [a.pid for a in made.stuck]) == ([1], [2])
    assert made.changes
    everybody = pause_resume.plan_pause(before, leave_after_seconds=None)
    assert ([a.pid for a in everybody.wait_for], everybody.stuck) == ([1, 2], ())
    assert pause_resume.plan_pause(state(parked(ETL), pause=pause(ETL)), leave_after_seconds=None).jobs == (
        parked(ETL),
    )
    assert not pause_resume.plan_pause(state(off(ETL)), leave_after_seconds=None).changes


NOBODYS = "no pause of this toolkit is in force; left inactive as found: load"
THEIRS = "root@vm paused it for INC-7, so it is theirs to resume"
OTHERS = "root@vm had already paused it for INC-7, so it stays paused"
BOTH = state(off(ETL), off(GOLD), pause=pause(ETL))


@pytest.mark.parametrize(
    ("before", "options", "jobs", "note", "changes"),
    [
        # Without a pause: only what is named.
        (state(ETL, GOLD), {}, (), "", False),
        (state(off(ETL), GOLD), {}, (), NOBODYS, False),
        (state(off(ETL), GOLD), {"names": ["load", "gold"]}, (off(ETL),), "", True),
        (state(parked(ETL), GOLD), {"names": ["load", "gold"]}, (parked(ETL),), "", True),
        (state(off(ETL), GOLD), {"names": ["load"], "operation": "undo"}, (), NOBODYS, False),
        # With one: what it took, and no other.
        (BOTH, {}, (off(ETL),), "", True),
        (BOTH, {"names": ["gold"]}, (off(ETL),), "", True),
        # A person who names a job wants it active, whatever took the others.
        (BOTH, {"names": ["gold"], "also": ["gold"]}, (off(ETL), off(GOLD)), "", True),
        (state(parked(ETL), off(GOLD), pause=pause(ETL, GOLD)), {}, (parked(ETL), off(GOLD)), "", True),
        (state(ETL, GOLD, pause=pause(ETL)), {}, (), "", True),
        (state(GOLD, pause=pause(ETL)), {}, (), "no longer exist, so not resumed: load", True),
        (state(pause=pause(ETL, GOLD)), {}, (), "no longer exist, so not resumed: gold, load", True),
        # For somebody: their own, or that of the same incident.
        (BOTH, {"only_for": ("root@vm", "INC-8")}, (off(ETL),), "", True),
        (BOTH, {"only_for": ("eve@vm", "INC-7")}, (off(ETL),), "", True),
        (BOTH, {"only_for": ("eve@vm", "INC-8")}, (), THEIRS, False),
        (BOTH, {"only_for": ("root@elsewhere", "INC-8")}, (off(ETL),), "", True),
        (BOTH, {"only_for": ("eve@vm", "INC-8"), "takeover": True}, (off(ETL),), "", True),
        (state(off(ETL), pause=pause(ETL, abandoned=True)), {"only_for": ("eve@vm", "INC-8")}, (off(ETL),), "", True),
        (state(off(ETL), pause=pause(ETL, incident="adhoc")), {"only_for": ("eve@vm", "adhoc")}, (),
         "root@vm paused it for adhoc, so it is theirs to resume", False),
        # As a step of an operation: what that has paused itself.
        (BOTH, {"operation": "undo"}, (), OTHERS, False),
        (state(off(ETL), pause=pause(ETL, operation="undo")), {"operation": "undo"}, (off(ETL),), "", True),
        (state(off(ETL), pause=pause(ETL, operation="undo")), {}, (off(ETL),), "", True),
    ],
)  # fmt: skip
def test_what_a_resume_re_enables(
    before: pause_resume.State,
    options: dict[str, Any],
    jobs: tuple[cron_jobs.Job, ...],
    note: str,
    changes: bool,
) -> None:
    made = pause_resume.plan_resume(before, **{"names": None, **options})
    assert (made.jobs, made.note, made.changes) == (jobs, note, changes)


@pytest.mark.parametrize(
    ("now", "found"),
    [
        (off(ETL), True),
        # Renamed, or created anew.
        (dataclasses.replace(off(ETL), jobname="other", owner="other"), True),
        (dataclasses.replace(off(ETL), jobid=9), True),
        (dataclasses.replace(off(ETL), jobid=9, jobname="other"), False),
        # Another owner got it, with another number.
        (dataclasses.replace(off(ETL), jobid=9, owner="other"), True),
        (dataclasses.replace(off(ETL), jobid=9, owner="other", command="SELECT 3"), False),
    ],
)
def test_a_job_is_known_again(now: cron_jobs.Job, found: bool) -> None:
    made = pause_resume.plan_resume(state(now, pause=pause(ETL)), None)
    assert made.jobs == ((now,) if found else ())
    assert made.note == ("" if found else "no longer exist, so not resumed: load")


def test_a_copy_of_a_job_that_is_still_there_stays_off() -> None:
    copy = dataclasses.replace(off(ETL), jobid=9, owner="other")
    assert pause_resume.plan_resume(state(copy, off(ETL), pause=pause(ETL)), None).jobs == (off(ETL),)


def test_the_schedule_of_a_parked_job_is_that_of_before() -> None:
    remembered = pause(GOLD, ETL)
    assert pause_resume._original_schedule(remembered, GOLD) == "*/5 * * * *"
    assert pause_resume._original_schedule(None, ETL) == "* * * * *"
    assert pause_resume._original_schedule(remembered, parked(ETL)) == "* * * * *"
    for nothing in (None, pause(GOLD)):
        with pytest.raises(NotConverged, match="cannot restore the schedule of job load"):
            pause_resume._original_schedule(nothing, parked(ETL))


@pytest.mark.parametrize(
    ("todo", "second", "near"),
    [
        (pause_resume.Plan((ETL,)), 30.0, False),
        (pause_resume.Plan((ETL,)), 1.0, False),
        (pause_resume.Plan((ETL,)), 1.5, False),
        (pause_resume.Plan((ETL,)), 0.9, True),
        (pause_resume.Plan((ETL,)), 58.0, False),
        (pause_resume.Plan((ETL,)), 58.5, False),
        (pause_resume.Plan((ETL,)), 58.6, True),
        (pause_resume.Plan((ETL,), wait_for=(activity(1),)), 30.0, True),
        (pause_resume.Plan((ETL, dataclasses.replace(GOLD, schedule="30 Seconds"))), 30.0, True),
    ],
)
def test_when_a_start_may_be_on_its_way(todo: pause_resume.Plan, second: float, near: bool) -> None:
    assert pause_resume.start_is_near(todo, second) is near


@pytest.mark.parametrize(
    ("found", "name"),
    [
        (state(ETL, GOLD), "running"),
        (state(ETL, off(GOLD)), "running"),
        (state(off(ETL), off(GOLD)), "paused"),
        (state(), "paused"),
        (state(parked(ETL), off(GOLD), pause=pause(ETL, GOLD)), "pausing"),
        (state(parked(ETL), GOLD, pause=pause(ETL, GOLD)), "running"),
        # Its owner has it never start: no pause took it.
        (state(parked(ETL), off(GOLD), pause=pause(GOLD)), "paused"),
        (state(parked(ETL), off(GOLD)), "paused"),
    ],
)
def test_what_ingestion_is(found: pause_resume.State, name: str) -> None:
    assert found.name == name
