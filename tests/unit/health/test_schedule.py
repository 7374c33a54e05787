# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a job of pg_cron comes, and when it is late."""

from __future__ import annotations

import dataclasses
import datetime

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import jobs as jobs_read
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs, cron_runs
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_schedule as schedules
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging.functions import Functions
from tests.unit.health.test_assessment import ETL_JOB, NOW, ran

FRIDAY = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
HOUR = datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("schedule", "within_an_hour"),
    [
        ("* * * * *", 60), ("*/5 * * * *", 12), ("3-59/10 * * * *", 6), ("0,30 * * * *", 2), ("7/20 * * * *", 0), ("@hourly", 1),
        ("30 seconds", 120), ("* 6-23 * * *", 0), ("* 4 * * *", 5), ("* * * * fri", 60), ("* * * * 5-7", 60),
        ("* * * * sat", 0), ("* * 2 jan *", 60), ("* * 3 * fri", 60), ("* * 3 * sat", 0), ("* * $ * *", 0), ("nonsense", 0),
        ("* * * *", 0), ("a * * * *", 0),
    ],
)  # fmt: skip
def test_how_often_it_comes(schedule: str, within_an_hour: int) -> None:
    assert schedules.missed(schedule, FRIDAY, FRIDAY + HOUR) == within_an_hour


@pytest.mark.parametrize(
    ("schedule", "comes"),
    [("* * * * *", True), ("* 6-23 * * *", True), ("0 3 * * *", True), ("0 0 1 1 *", False), ("@yearly", False),
     ("0 0 30 2 *", False), ("* * * * 1", False), ("* * * * 6", True), ("what?", False), ("61 25 * * *", False)],
)  # fmt: skip
def test_whether_it_comes_within_a_day(schedule: str, comes: bool) -> None:
    assert schedules.comes_within_a_day(schedule, FRIDAY) is comes


def judged(
    minutes: float,
    schedule: str = "* * * * *",
    *,
    scheduled: bool,
    resumed: float | None = None,
    zone: str | None = None,
) -> str:
    job = dataclasses.replace(ETL_JOB, schedule=schedule)
    needed = jobs_read.Needed(job.jobname, job, "", (ran(minutes=minutes),))
    scheduler = cron_runs.Scheduler(NOW, installed=scheduled, timezone=zone)
    return jobs_read.last_run(needed, [needed], NOW, scheduler=scheduler, resumed_seconds=resumed).status


def test_a_schedule_of_one_minute_is_late_after_three_where_a_scheduler_starts_it() -> None:
    assert [judged(minutes, scheduled=True) for minutes in (1, 2.9, 4.1)] == ["ok", "ok", "fail"]
    assert [judged(minutes, "*/5 * * * *", scheduled=True) for minutes in (6, 11, 21)] == ["ok", "ok", "fail"]
    assert [judged(minutes, "0 3 * * *", scheduled=True) for minutes in (6, 359)] == ["ok", "ok"]


def test_when_a_job_was_due_is_told_in_the_time_zone_of_the_scheduler() -> None:
    """By UTC three of its times have passed; where the scheduler is, its day is over."""
    hours = "0 22-23,0-3 * * *"
    found = [judged(300, hours, scheduled=True, zone=zone) for zone in (None, "UTC", "Asia/Manila")]
    assert found == ["fail", "fail", "ok"]
    assert judged(300, hours, scheduled=True, zone="Nowhere/Else") == "fail"


@pytest.mark.parametrize(("usual_minutes", "status"), [(0.1, "fail"), (10, "ok")])
def test_a_run_in_flight_is_late_by_what_its_runs_usually_take(usual_minutes: float, status: str) -> None:
    """Runs of twenty minutes, of a job that is due each minute."""
    now_at_it = dataclasses.replace(ran(minutes=20), status="running", ended=None)
    before = ran(minutes=60)
    assert before.started
    before = dataclasses.replace(before, ended=before.started + datetime.timedelta(minutes=usual_minutes))
    needed = jobs_read.Needed(ETL_JOB.jobname, ETL_JOB, "", (now_at_it, before))
    scheduler = cron_runs.Scheduler(NOW, installed=True)
    assert jobs_read.last_run(needed, [needed], NOW, scheduler=scheduler).status == status


def test_a_schedule_of_once_a_year_is_too_rare_active_or_not() -> None:
    for active in (True, False):
        job = dataclasses.replace(ETL_JOB, schedule="0 0 1 3 *", active=active)
        assert "not due within a day" in jobs_read.rare(jobs_read.Needed(job.jobname, job), NOW)
    assert not jobs_read.rare(jobs_read.Needed(ETL_JOB.jobname, ETL_JOB), NOW)


@pytest.mark.parametrize(
    ("command", "idle"),
    [
        ("SELECT scout.load_silver_from_bronze(0)", True), ("SELECT scout.load_silver_from_bronze(p_limit => 0);", True),
        ("SELECT scout.load_silver_from_bronze( 0::int )", True), ("SELECT scout.load_silver_from_bronze(2000)", False),
        ("SELECT scout.load_silver_from_bronze(0); SELECT scout.load_silver_from_bronze(2000)", False),
        ("SELECT scout.load_silver_from_bronze()", False), ("SELECT scout.load_silver_from_bronze(10)", False),
    ],
)  # fmt: skip
def test_a_limit_of_nothing_is_no_job(command: str, idle: bool) -> None:
    job = dataclasses.replace(ETL_JOB, command=command)
    found = jobs_read.choose(job.jobname, [job], cron_jobs.Judged(Functions(()), lambda _: True))
    assert (found.job is None) is idle
    assert ("asks for 0 rows" in found.why) is idle
