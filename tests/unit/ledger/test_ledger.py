# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the holder of a lease is dead, and which jobs a resume gives back."""

from __future__ import annotations

import dataclasses
import datetime
import getpass
import os
import subprocess
import sys
import time
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import controller, pauses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs


def row(holder: controller.Controller) -> dict[str, Any]:
    """The lease as that process holds it."""
    return {"host_key": holder.host_key, "pid": holder.pid, "process_started": holder.process_started}


def test_only_a_process_known_to_be_gone_is_dead() -> None:
    here = controller.this_controller(os.getppid())
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    theirs = row(controller.this_controller(child.pid))
    assert not controller.holder_is_dead(row(here), here)
    assert not controller.holder_is_dead(theirs, here)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert controller.holder_is_dead(theirs, here), "a zombie does nothing any more"
    child.communicate()
    assert controller.holder_is_dead(theirs, here)
    assert controller.holder_is_dead(row(here) | {"process_started": "1"}, here), (
        "the pid belongs to another process now"
    )
    assert not controller.holder_is_dead(theirs | {"host_key": "elsewhere"}, here)
    assert not controller.holder_is_dead(row(controller.this_controller(None)), here)
    assert controller.holder_is_dead(row(controller.this_controller(os.getpid())), here), "left over by this process"


def test_a_controller_is_named_by_its_host_and_process() -> None:
    known, unknown = controller.this_controller(os.getpid()), controller.this_controller(None)
    assert (known.name, unknown.name) == (f"{known.host}:{os.getpid()}", f"{known.host}:-")


def test_an_operator_without_an_account_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_account() -> str:
        raise OSError("no username set in the environment")

    monkeypatch.delenv("SUDO_USER", raising=False)
    monkeypatch.setattr(getpass, "getuser", no_account)
    assert controller.this_controller(None).actor.startswith(f"uid {os.getuid()}@")


def job(jobid: int, *, active: bool = False, **columns: Any) -> cron_jobs.Job:
    """A job of the loader, off."""
    values = {"jobname": f"job-{jobid}", "schedule": "* * * * *", "command": "SELECT 1", "owner": "loader"}
    return cron_jobs.Job(jobid=jobid, active=active, **(values | columns))


def state(*jobs: cron_jobs.Job, taken: list[cron_jobs.Job] | None) -> pause_resume.State:
    """Ingestion with these jobs, after a pause that took some, or without a pause."""
    pause = None
    if taken is not None:
        since = datetime.datetime.fromtimestamp(time.time(), datetime.UTC)
        pause = pauses.Pause(1, "run", "INC-1", "ann@db", since, 1.0, [j.as_dict() for j in taken], switched=True)
    return pause_resume.State(jobs, (), pause)


@pytest.mark.parametrize(
    ("jobs", "taken", "names", "expected"),
    [
        ([job(1), job(2)], [1], None, [1]),
        ([job(1), job(2)], [1, 2], ["job-1"], [1, 2]),
        ([job(1, active=True), job(2)], [1, 2], None, [2]),
        ([job(1, jobname="renamed")], [1], None, [1]),
        ([job(7, jobname="job-1")], [1], None, [7]),
        ([job(7, jobname="job-1", owner="other")], [1], None, []),
        ([job(1, active=True, schedule=cron_jobs.NEVER)], [1], None, [1]),
        ([job(1), job(2)], None, None, []),
        ([job(1), job(2, active=True)], None, ["job-1", "job-2"], [1]),
    ],
)
def test_plan_resume(
    jobs: list[cron_jobs.Job], taken: list[int] | None, names: list[str] | None, expected: list[int]
) -> None:
    before = state(*jobs, taken=None if taken is None else [job(number) for number in taken])
    assert [j.jobid for j in pause_resume.plan_resume(before, names).jobs] == expected


def test_a_pause_of_someone_else_is_theirs_to_resume() -> None:
    before = state(job(1), taken=[job(1)])
    for actor, incident, expected in (
        ("bob@db", "INC-2", 0), ("bob@db", "adhoc", 0), ("bob@db", "INC-1", 1), ("ann@db", "INC-2", 1),
    ):  # fmt: skip
        assert len(pause_resume.plan_resume(before, None, (actor, incident)).jobs) == expected


@pytest.mark.parametrize(
    ("made", "wanted", "expected"),
    [("undo", "undo", 1), ("undo", None, 1), ("undo", "redrive", 0), (None, "undo", 0), (None, None, 1)],
)
def test_an_operation_resumes_only_what_it_paused_itself(made: str | None, wanted: str | None, expected: int) -> None:
    before = state(job(1), taken=[job(1)])
    assert before.pause
    before = dataclasses.replace(before, pause=dataclasses.replace(before.pause, operation=made))
    todo = pause_resume.plan_resume(before, None, ("ann@db", "INC-1"), wanted)
    assert (len(todo.jobs), todo.ends_pause) == (expected, bool(expected))
    assert todo.note == ("" if expected else "ann@db had already paused it for INC-1, so it stays paused")


def test_an_operation_that_paused_nothing_resumes_nothing_even_by_name() -> None:
    assert pause_resume.plan_resume(state(job(1), taken=None), ["job-1"], None, "undo").jobs == ()


def test_a_schedule_that_never_comes_is_ours_only_if_a_pause_says_so() -> None:
    parked = job(1, active=True, schedule=cron_jobs.NEVER)
    theirs = state(parked, taken=None)
    assert (theirs.name, theirs.parked, theirs.active) == ("paused", (), ())
    ours = state(parked, taken=[job(1)])
    assert (ours.name, ours.parked) == ("pausing", (parked,))
    assert pause_resume.plan_pause(ours, leave_after_seconds=None).jobs == (parked,)
