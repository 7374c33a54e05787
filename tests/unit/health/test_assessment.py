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


def test_healthy_is_healthy() -> None:
    report = assess()
    assert (report.verdict, report.verdict_when_running) == ("healthy", "healthy")
    assert (report.needs_reset, report.blockers, report.diagnoses) == ((), (), ())


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


def test_what_could_not_be_looked_at_is_named_with_the_reason() -> None:
    report = assess(problems={"linking": Problem("budget", "no time"), "backlog": Problem("lock", "locked")})
    assert report.cannot_tell == (
        "linking_coverage: no time",
        "backlog_events: locked",
        "backlog_age: locked",
        "blocked_events: locked",
    )
    assert report.failing == ()


def test_runs_that_are_over_say_nothing_of_what_a_pause_came_to() -> None:
    failed = [ran("failed", 0.1, "ERROR: bad")]
    assert assess(runs=failed).failing == ("etl_duration",)
    both = dataclasses.replace(PAUSE, jobs=[{"jobname": ETL_JOB.jobname}, {"jobname": GOLD_JOB.jobname}])
    report = assess(runs=failed, jobs=[off(ETL_JOB), off(GOLD_JOB)], pause=both)
    assert (report.failing, report.verdict_when_running) == ((), "healthy")


def test_a_job_that_was_off_before_a_pause_stays_off_after_it() -> None:
    report = assess(jobs=[off(ETL_JOB), off(GOLD_JOB)], pause=PAUSE)
    assert (report.verdict, report.failing, report.verdict_when_running) == ("paused", ("jobs_active",), "failing")


def test_a_run_that_failed_before_ingestion_was_resumed_tells_nothing_any_more() -> None:
    run = ran("failed", 0.0, "ERROR: bad")
    jobs = [jobs_read.Needed(ETL_JOB.jobname, ETL_JOB, "", (run,))]
    before = assess(runs=[run], wider=wider([], needed=jobs))
    assert (before.failing, [d.cause for d in before.diagnoses]) == (
        ("etl_duration", "job_runs"),
        ["the ETL job fails"],
    )
    after = assess(runs=[run], wider=wider([], needed=jobs, resumed_seconds=5.0))
    assert (after.failing, after.verdict, after.diagnoses) == ((), "healthy", ())


@pytest.mark.parametrize(
    ("fields", "failing"),
    [
        ({"missing": ["scout.bronze_events.event_data"]}, "schema_objects"),
        ({"missing": ["unique index on scout.silver_transactions (transaction_id)"]}, "schema_objects"),
        ({"missing": ["scout.load_silver_from_bronze(integer)"]}, "schema_objects"),
        ({"lost": {"lost": 1, "swallowed": 0, "lost_ids": ["e"], "swallowed_ids": None}}, "lost_events"),
        ({"needed": [jobs_read.Needed("bronze-to-silver-etl", None, "there is none")]}, "jobs_present"),
    ],
)
def test_what_the_gate_refuses_an_assessment_calls_failing_as_well(fields: dict[str, Any], failing: str) -> None:
    report = assess(wider=wider([ETL_JOB, GOLD_JOB], **fields))
    assert (report.verdict, report.failing, report.needs_reset, report.blockers) == ("failing", (failing,), (), ())


@pytest.mark.parametrize("name", ["scout.v_etl_performance", "scout.control_ingestion(text)"])
def test_what_only_dashboards_and_the_runbook_need_is_a_warning(name: str) -> None:
    assert assess(wider=wider([ETL_JOB, GOLD_JOB], missing=[name])).verdict == "degraded"


def test_while_paused_what_falls_behind_is_not_judged_but_told() -> None:
    jobs = [off(ETL_JOB), off(GOLD_JOB)]
    report = assess(jobs=jobs, pause=PAUSE, silver_minutes=90.0, backlog=backlog(5, 5000.0), alerts=PRICY)
    shown = {indicator.name: indicator for indicator in report.indicators}
    assert shown["silver_staleness"].status == shown["backlog_age"].status == "unknown"
    assert shown["silver_staleness"].value == 90.0
    assert shown["silver_staleness"].reason == "not judged while paused for 12 min by anna@bastion"
    assert shown["critical_alerts"].status == "fail"
    assert (report.verdict, report.verdict_when_running) == ("paused", "failing")
    assert "paused since 2026-01-02 02:52:05 UTC by anna@bastion for INC-7" in shown["ingestion"].reason


def test_nothing_that_only_waits_for_its_sources_gates_or_is_fixed() -> None:
    idle = {
        "bronze_staleness",
        "silver_staleness",
        "linking_coverage",
        "etl_duration",
        "dlq_unresolved",
        "backlog_events",
    }
    assert not idle & assessment.GATES
    assert not idle & {figure.name for figure in assessment.FIGURES if figure.fixed_from}


def test_the_mean_duration_is_of_the_latest_runs_and_a_failed_one_shows() -> None:
    quick = [ran()] * 50
    slow = [ran(seconds=400.0)] * 5
    failed = [ran("failed", 0.1, "ERROR:  no\n such thing")]
    assert status(assess(runs=slow + quick))["etl_duration"] == "fail"
    report = assess(runs=failed + quick)
    assert status(report)["etl_duration"] == "warn"
    assert [i.reason for i in report.indicators if i.name == "etl_duration"] == [
        "the last run failed: ERROR: no such thing"
    ]
    assert status(assess(runs=failed))["etl_duration"] == "fail"


def test_an_old_view_that_nothing_has_outrun_does_not_make_another_look_older() -> None:
    old, late = view(minutes=5000), view("stale", 650.0, minutes=11)
    report = assess(gold=[old, late])
    assert [i.value for i in report.indicators if i.name == "gold_staleness"] == [11.0]
