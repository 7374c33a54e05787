# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook's figures, the verdict, what needs a reset and what blocks a resume."""

from __future__ import annotations

import dataclasses
import datetime
import math
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment, thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import facts as health_facts
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import jobs as jobs_read
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.pauses import Pause
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import refresh_gold
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Problem
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import (
    cron_jobs,
    cron_runs,
    event_queue,
    poison_probe,
    sessions,
)

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)
ETL_JOB = cron_jobs.Job(
    1, "bronze-to-silver-etl", "* * * * *", "SELECT scout.load_silver_from_bronze(2000)", True, "loader"
)
GOLD_JOB = cron_jobs.Job(3, "smart-gold-refresh", "*/5 * * * *", "SELECT scout.maybe_refresh_gold()", True, "loader")
PAUSE = Pause(
    1, "r", "INC-7", "anna@bastion", NOW - datetime.timedelta(minutes=12), 720.0, [{"jobname": ETL_JOB.jobname}], True
)


def off(job: cron_jobs.Job) -> cron_jobs.Job:
    return dataclasses.replace(job, active=False)


def view(
    state: str = "fresh", behind: float | None = None, minutes: float = 2, **fields: Any
) -> refresh_gold.Freshness:
    made = {"oid": 1, "name": "gold_daily_metrics", "populated": state != "unpopulated", "definition": "", "keyed": True,
            "columns": (), "clocks": (), "needs": ()}  # fmt: skip
    refreshed = None if state == "unpopulated" else NOW - datetime.timedelta(minutes=minutes)
    return refresh_gold.Freshness(refresh_gold.View(**(made | fields)), state, f"it is {state}", refreshed, behind)


def backlog(events: int, seconds: float) -> event_queue.Backlog:
    """So many pending events, of which the oldest has waited so long."""
    return event_queue.Backlog(events, seconds, NOW)


def found(**fields: Any) -> health_facts.Facts:
    """A healthy pipeline, with these facts in place of its own."""
    healthy = {
        "jobs": [ETL_JOB, GOLD_JOB], "stuck": sessions.Plan((), (), ()), "backlog": backlog(0, 0.0), "now": NOW,
        "gold": [view()], "runs": [ran()],
        "linking": {"due": 10, "due_percent": 99.0, "lines": 10, "percent": 99.0},
        "bronze_minutes": 1.0, "silver_minutes": 1.0, "dead_letters": 0,
    }  # fmt: skip
    made = healthy | fields
    return health_facts.Facts(**({"wider": wider(made["jobs"])} | made))


def ran(
    status: str = "succeeded", seconds: float | None = 1.0, message: str = "", *, minutes: float = 1.0
) -> cron_runs.Run:
    """A run of a job, of a minute ago; None for its seconds where it has not ended."""
    start = NOW - datetime.timedelta(minutes=minutes)
    end = None if seconds is None else start + datetime.timedelta(seconds=seconds)
    return cron_runs.Run(1, 1, status, message, start, end)


def wider(jobs: list[cron_jobs.Job], **fields: Any) -> health_facts.Wider:
    """These jobs have to be there and run, nothing is missing and nothing is lost."""
    healthy: dict[str, Any] = {
        "updated_minutes": None, "missing": [], "needed": [jobs_read.Needed(job.jobname, job, "", (ran(),)) for job in jobs],
        "lost": {"lost": 0, "swallowed": 0, "lost_ids": None, "swallowed_ids": None},
        "arrived": [],
        "rights": [], "gone_views": [], "prepared": [], "interrupted": [], "server": [],
    }  # fmt: skip
    return health_facts.Wider(**(healthy | fields))


def assess(**fields: Any) -> assessment.Report:
    return assessment.assess(found(**fields), thresholds.chosen({}))


def status(report: assessment.Report) -> dict[str, str]:
    return {indicator.name: indicator.status for indicator in report.indicators}


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("bronze_staleness", 5, "ok"), ("bronze_staleness", 5.01, "warn"), ("bronze_staleness", 15, "warn"),
        ("bronze_staleness", 15.01, "fail"), ("silver_staleness", 4.9, "ok"), ("silver_staleness", 14.9, "warn"),
        ("gold_staleness", 10, "ok"), ("gold_staleness", 12, "warn"), ("gold_staleness", 15.1, "fail"),
        ("linking_coverage", 95, "ok"), ("linking_coverage", 94.99, "warn"), ("linking_coverage", 90, "warn"),
        ("linking_coverage", 89.99, "fail"), ("linking_coverage", 0, "fail"),
        ("etl_duration", 60, "ok"), ("etl_duration", 61, "warn"), ("etl_duration", 300, "warn"), ("etl_duration", 301, "fail"),
        ("critical_alerts", 0, "ok"), ("critical_alerts", 1, "fail"),
        ("stuck_locks", 60, "ok"), ("stuck_locks", 599, "warn"), ("stuck_locks", 601, "fail"),
        ("backlog_events", 10**30, "fail"), ("bronze_staleness", None, "unknown"), ("bronze_staleness", math.nan, "unknown"),
    ],
)  # fmt: skip
def test_the_runbooks_figures_and_what_lies_between_them(name: str, value: float | None, expected: str) -> None:
    better = name == "linking_coverage"
    assert thresholds.judge(value, thresholds.DEFAULTS[name], higher_is_better=better) == expected


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"siver": {}}, "threshold 'siver' is unknown"),
        ({"x" * 500: {}}, "is unknown"),
        ({"silver_staleness": 5}, "silver_staleness '5'"),
        ({"silver_staleness": None}, "silver_staleness 'None'"),
        ({"silver_staleness": {"ok": 1, "bad": 2}}, "silver_staleness"),
        ({"silver_staleness": {"ok": "x"}}, "silver_staleness.ok 'x'"),
        ({"silver_staleness": {"ok": None}}, "silver_staleness.ok 'None'"),
        ({"silver_staleness": {"ok": True}}, "silver_staleness.ok 'True'"),
        ({"silver_staleness": {"ok": "nan"}}, "silver_staleness.ok 'nan'"),
        ({"silver_staleness": {"ok": -1}}, "silver_staleness.ok '-1'"),
        ({"silver_staleness": {"fail": "inf"}}, "silver_staleness.fail 'inf'"),
        ({"silver_staleness": {"ok": 20}}, "ok 20 is above fail 15"),
        ({"linking_coverage": {"fail": 99}}, "ok 95 is below fail 99"),
    ],
)
def test_bad_thresholds_are_named(given: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match="threshold") as caught:
        thresholds.chosen(given)
    assert words in str(caught.value)
    assert caught.value.next_step


def test_thresholds_replace_the_figures_they_name() -> None:
    made = thresholds.chosen({"silver_staleness": {"ok": 2, "fail": "4"}, "linking_coverage": {"ok": 97}})
    assert made["silver_staleness"] == {"ok": 2.0, "fail": 4.0}
    assert made["linking_coverage"] == {"ok": 97.0, "fail": 90}
    assert made["gold_staleness"] == thresholds.DEFAULTS["gold_staleness"] == {"ok": 10, "fail": 15}


STALE, LATE = [view("stale", 300.0)], [view("stale", 700.0, minutes=12)]
PRICY = [{"alert": "NEGATIVE_TOTAL", "critical": True, "found": 2, "samples": ["a", "b"]}]
EMPTY = [{"alert": "EMPTY_BASKET", "critical": False, "found": 2, "samples": ["a", "b"]}]
UNREAD = {name: Problem("error", "why") for name in ("alerts", "gold", "sessions", "backlog")}


@pytest.mark.parametrize(
    ("fields", "verdict", "needs", "blockers"),
    [
        ({"bronze_minutes": 600.0}, "failing", (), ()),
        ({"bronze_minutes": 7.0}, "degraded", (), ()),
        ({"bronze_minutes": None}, "inconclusive", (), ()),
        ({"silver_minutes": 600.0}, "failing", (), ()),
        ({"linking": {"due": 5, "due_percent": 10.0, "lines": 5, "percent": 10.0}}, "failing", (), ()),
        ({"linking": {"due": 0, "due_percent": None, "lines": 5, "percent": 10.0}}, "healthy", (), ()),
        ({"runs": [ran(seconds=999.0)]}, "failing", (), ()),
        ({"runs": []}, "healthy", (), ()),
        ({"dead_letters": 3}, "degraded", (), ()),
        ({"alerts": EMPTY}, "failing", (), ()),
        ({"backlog": backlog(300, 240.0)}, "healthy", (), ()),
        ({"gold": STALE}, "healthy", (), ()),
        ({"backlog": backlog(3, 400.0)}, "degraded", ("backlog_age",), ()),
        ({"backlog": backlog(3, 1000.0)}, "failing", ("backlog_age",), ("backlog_age",)),
        ({"alerts": PRICY}, "failing", ("critical_alerts",), ("critical_alerts",)),
        ({"gold": LATE}, "degraded", ("gold_staleness", "stale_gold_views"), ()),
        ({"gold": [view("unpopulated")]}, "failing", ("gold_staleness", "stale_gold_views"), ("stale_gold_views",)),
        ({"gold": []}, "failing", (), ()),
        ({"suspects": [poison_probe.Suspect("e", "bad")], "backlog": backlog(1, 1.0)}, "failing", ("poison",), ()),
        ({"jobs": [ETL_JOB, off(GOLD_JOB)]}, "failing", (), ()),
        ({"jobs": [off(ETL_JOB), GOLD_JOB]}, "failing", (), ()),
        ({"jobs": [off(ETL_JOB), off(GOLD_JOB)]}, "paused", (), ()),
        ({"jobs": [off(ETL_JOB), off(GOLD_JOB)], "pause": PAUSE, "silver_minutes": 90.0, "gold": STALE}, "paused",
         ("stale_gold_views", "paused"), ("stale_gold_views",)),
        ({"jobs": [off(ETL_JOB), off(GOLD_JOB)], "backlog": backlog(2, 9.0)}, "paused", ("backlog_events",), ()),
        ({"jobs": [dataclasses.replace(ETL_JOB, schedule=cron_jobs.NEVER), GOLD_JOB]}, "failing", ("interrupted_pause",), ()),
        ({"jobs": [], "problems": {"jobs": Problem("wrong_database", "no cron")}}, "inconclusive", (), ()),
        ({"problems": UNREAD}, "inconclusive", (),
         ("stale_gold_views", "critical_alerts", "backlog_age", "stuck_locks", "stuck_sessions")),
        ({"problems": {"linking": Problem("error", "why")}}, "inconclusive", (), ()),
        ({"problems": {"dead_letters": Problem("error", "why")}, "dead_letters": None}, "healthy", (), ()),
        ({"problems": {"backlog": Problem("lock", "why")}}, "inconclusive", (), ("backlog_age",)),
        ({"problems": {"backlog": Problem("budget", "why")}}, "inconclusive", (), ("backlog_age",)),
        ({"problems": {"bronze": Problem("budget", "why")}}, "inconclusive", (), ()),
    ],
)  # fmt: skip
def test_verdict_needs_and_blockers(
    fields: dict[str, Any], verdict: str, needs: tuple[str, ...], blockers: tuple[str, ...]
) -> None:
    report = assess(**fields)
    assert (report.verdict, set(report.needs_reset), report.blockers) == (verdict, set(needs), blockers)
    assert all(i.reason for i in report.indicators if i.status == "unknown")


@pytest.mark.parametrize(
    ("fields", "undecided"),
    [
        ({}, False),
        ({"problems": {"gold": Problem("budget", "why")}}, True),
        # What fails says nothing of what was not seen.
        ({"problems": {"gold": Problem("lock", "why")}, "bronze_minutes": 600.0}, True),
        ({"problems": {"suspects": Problem("budget", "why")}}, True),
        ({"problems": {"linking": Problem("budget", "why")}}, True),
        ({"problems": {"drift": Problem("budget", "why")}}, False),
        ({"problems": {"gold": Problem("privilege", "why")}}, False),
        ({"problems": {"gold": Problem("budget", "why")}, "backlog": backlog(3, 1000.0)}, False),
    ],
)
def test_what_a_repair_depends_on_is_read_again_if_time_or_a_lock_hid_it(
    fields: dict[str, Any], undecided: bool
) -> None:
    seen = found(**fields)
    assert assessment.is_undecided(assessment.assess(seen, thresholds.chosen({})), seen) is undecided


def test_runs_that_are_over_say_nothing_of_what_a_pause_came_to() -> None:
    failed = [ran("failed", 0.1, "ERROR: bad")]
    assert assess(runs=failed).failing == ("etl_duration",)
    both = dataclasses.replace(PAUSE, jobs=[{"jobname": ETL_JOB.jobname}, {"jobname": GOLD_JOB.jobname}])
    report = assess(runs=failed, jobs=[off(ETL_JOB), off(GOLD_JOB)], pause=both)
    assert (report.failing, report.verdict_when_running) == ((), "healthy")


def test_a_job_that_was_off_before_a_pause_stays_off_after_it() -> None:
    report = assess(jobs=[off(ETL_JOB), off(GOLD_JOB)], pause=PAUSE)
    assert (report.verdict, report.failing, report.verdict_when_running) == ("paused", ("jobs_active",), "failing")
