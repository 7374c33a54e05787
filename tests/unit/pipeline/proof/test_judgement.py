# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be proved, by which kind of proof, and what runs prove."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof import judgement
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof.judgement import (
    FAILED,
    GOLD,
    LATEST,
    LOAD,
    OTHER,
    PROVED,
    RUN,
    TRIAL,
    UNKNOWN,
    Todo,
    plan,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.cron_jobs import Job
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.cron_runs import Run, Scheduler

NOW = datetime.datetime(2026, 11, 25, 22, 3, 22, tzinfo=datetime.UTC)
LIVE = Scheduler(NOW, installed=True)


def job(name: str = "bronze-to-silver-etl", **fields: Any) -> Job:
    given: dict[str, Any] = {
        "jobid": 1, "schedule": "* * * * *", "command": "SELECT scout.load_silver_from_bronze(2000)", "active": True, "owner": "loader",
    }  # fmt: skip
    return Job(jobname=name, **(given | fields))


def run(seconds_ago: float, status: str = "succeeded", **fields: Any) -> Run:
    started = NOW - datetime.timedelta(seconds=seconds_ago)
    given: dict[str, Any] = {"runid": 7, "jobid": 1, "message": "1 row", "started": started, "ended": started}
    return Run(status=status, **(given | fields))


NOWHERE = Scheduler(NOW, installed=True, timezone="Nowhere/Else")


@pytest.mark.parametrize(
    ("scheduler", "schedule", "waits", "unseen", "how", "why"),
    [
        (LIVE, "* * * * *", True, "", RUN, ""),
        (LIVE, "5 seconds", True, "", RUN, ""),
        (LIVE, "*/5 * * * *", True, "", TRIAL, "not due before 22:05:00"),
        (LIVE, "0 0 1 1 *", True, "", TRIAL, "not due before 00:00:00 on 2027-01-01"),
        (LIVE, "@yearly", True, "", TRIAL, "its schedule @yearly never comes"),
        (LIVE, "* * * * *", False, "", LATEST, ""),
        (LIVE, "* * * * *", True, "hidden (GRANT it)", TRIAL, "hidden (GRANT it)"),
        (Scheduler(NOW, installed=False), "* * * * *", False, "", TRIAL, "there is no scheduler"),
        (NOWHERE, "* * * * *", True, "", TRIAL, "when it is due cannot be told"),
    ],
)
def test_how_a_job_is_proved(scheduler: Scheduler, schedule: str, waits: bool, unseen: str, how: str, why: str) -> None:
    [todo] = plan([(job(schedule=schedule), LOAD)], scheduler, 90, waits=waits, unseen=unseen)
    assert (todo.how, todo.why) == (how, why)


def test_a_start_that_pg_cron_may_not_notice_any_more_is_not_relied_on() -> None:
    just_before = Scheduler(NOW.replace(second=59), installed=True)
    assert judgement.due_at("* * * * *", just_before) == NOW.replace(minute=5, second=0)


@pytest.mark.parametrize(
    ("found", "part"),
    [
        ([], False),
        ([(job("product-linking"), OTHER)], True),
        ([(job("product-linking"), OTHER), (job("gold"), GOLD)], True),
        # What a team's own job does nobody can tell.
        ([(job("product-linking"), OTHER), (job("ours"), OTHER)], False),
        ([(job(), LOAD), (job("gold"), GOLD)], False),
    ],
)
def test_which_jobs_are_known_to_be_a_part(found: Any, part: bool) -> None:
    assert judgement.is_a_part(found) == part


TODO = Todo(job(), LOAD, RUN, NOW)


@pytest.mark.parametrize(
    ("schedule", "seconds_ago", "status"),
    [("* * * * *", 22, PROVED), ("* * * * *", 142, PROVED), ("* * * * *", 202, FAILED), ("*/5 * * * *", 800, PROVED),
     ("*/5 * * * *", 1500, FAILED), ("0 0 1 1 *", 86400 * 100, PROVED)],
)  # fmt: skip
def test_the_latest_run_counts_while_its_schedule_is_kept(schedule: str, seconds_ago: float, status: str) -> None:
    verdict = judgement.of_latest(Todo(job(schedule=schedule), LOAD, LATEST), [run(seconds_ago)], LIVE)
    assert verdict is not None
    assert verdict.status == status


def test_a_run_that_is_still_on_its_way_has_started() -> None:
    verdict = judgement.of_latest(TODO, [run(900), run(840, "running", runid=8)], LIVE)
    assert verdict is not None
    assert verdict.status == FAILED
    verdict = judgement.of_latest(TODO, [run(900), run(30, "running", runid=8)], LIVE)
    assert verdict is not None
    assert verdict.status == PROVED


def test_a_run_that_takes_long_keeps_the_next_ones_from_being_started() -> None:
    """However often these were due, nobody has stopped starting them."""
    lasting = run(2600, ended=NOW - datetime.timedelta(seconds=1400))
    verdict = judgement.of_latest(TODO, [lasting, run(1300, "running", runid=8, ended=None)], LIVE)
    assert verdict is not None
    assert verdict.status == PROVED


def test_the_worst_of_them_is_the_whole() -> None:
    good, bad, unsure = (judgement.tried(TODO, status, "x") for status in (PROVED, FAILED, UNKNOWN))
    assert judgement.overall([good]) == PROVED
    assert judgement.overall([good, unsure]) == UNKNOWN
    assert judgement.overall([unsure, bad, good]) == FAILED


@pytest.mark.parametrize(
    ("how", "status", "came_to", "said"),
    [
        (RUN, PROVED, PROVED, "ran, with nothing to do; it loads"),
        (RUN, FAILED, FAILED, "ran, with nothing to do; it loads"),
        (RUN, UNKNOWN, PROVED, "ran, with nothing to do"),
        (LATEST, PROVED, PROVED, "ran"),
        (LATEST, FAILED, FAILED, "ran; it loads"),
        (LATEST, UNKNOWN, PROVED, "ran"),
    ],
)
def test_a_trial_besides_a_run_finds_what_the_run_does_not_show(how: str, status: str, came_to: str, said: str) -> None:
    ran = judgement.Verdict("etl", LOAD, how, PROVED, "ran", started=NOW)
    found = judgement.besides(ran, judgement.Verdict("etl", LOAD, TRIAL, status, "loads", next_step="look"))
    assert (found.how, found.status, found.said, found.started) == (how, came_to, said, NOW)
    assert found.next_step == ("look" if came_to == FAILED or (how, status) == (RUN, PROVED) else "")
