# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's verdicts and exit codes as tables, and what a person and a build server get to read."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import facts as health_facts
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import verdict as gate_verdict
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import jobs as jobs_read
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_jobs, cron_runs
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import functions
from tests.unit.health.test_assessment import ETL_JOB, GOLD_JOB, PAUSE, found, off, ran

LINK_JOB = cron_jobs.Job(
    2, "product-linking", "*/5 * * * *", "SELECT scout.link_products_to_catalog(1000)", True, "loader"
)

Result = dict[str, Any]


def needed(job: cron_jobs.Job | None, *runs: cron_runs.Run, why: str = "") -> jobs_read.Needed:
    return jobs_read.Needed(job.jobname if job else "product-linking", job, why, runs or (ran(),))


def seen(wider: Result | None = None, **fields: Any) -> health_facts.Facts:
    """A healthy pipeline as a gate reads it, with these facts in place of its own."""
    healthy: Result = {
        "updated_minutes": 1.0, "flow": {"loaded": 10, "late": 0, "arrived": 10}, "lost": {
            "lost": 0, "swallowed": 0, "lost_ids": None, "swallowed_ids": None}, "arrived": [],
        "letters": {"grown": 0, "ours": 0, "codes": None}, "raised": [], "missing": [],
        "needed": [needed(ETL_JOB), needed(LINK_JOB), needed(GOLD_JOB)],
        "rights": [], "gone_views": [], "prepared": [], "interrupted": [], "server": [],
    }  # fmt: skip
    made = found(
        **({"older": {"negative": 0, "empty": 0, "sample": None}, "jobs": [ETL_JOB, LINK_JOB, GOLD_JOB]} | fields)
    )
    made.wider = health_facts.Wider(**(healthy | (wider or {})))
    return made


def judged(
    facts: health_facts.Facts, smoke: gate_verdict.CheckResult | None = None, **options: Any
) -> gate_verdict.Verdict:
    given = {"thresholds": {}, "severities": {}, "warn_passes": False, "paused_passes": False} | options
    return gate_verdict.judge(
        facts, gate_verdict.options(given.pop("thresholds"), given.pop("severities"), **given), smoke
    )


def wrong(verdict: gate_verdict.Verdict) -> dict[str, str]:
    return {check.name: check.status for check in verdict.checks if check.counts and check.status != "pass"}


def test_of_jobs_that_are_not_there_nothing_passes() -> None:
    """None that is off, late or without a right among none is no good news."""
    verdict = judged(seen(wider={"needed": [needed(None, why="there is none")]}))
    unknown = dict.fromkeys(("jobs_active", "job_runs", "job_schedules", "job_rights"), "inconclusive")
    assert wrong(verdict) == {"jobs_present": "fail", **unknown}
    assert (verdict.verdict, verdict.exit_code) == ("fail", 46)


def test_lines_that_are_not_due_yet_tell_nothing_of_linking() -> None:
    verdict = judged(seen(linking={"due": 0, "due_percent": None, "lines": 5, "percent": 10.0}))
    [linking] = [check for check in verdict.checks if check.name == "linking_coverage"]
    assert (linking.value, linking.status) == (None, "inconclusive")
    assert linking.reason.startswith("cannot tell: all 5 lines of the last 24 hours are newer than 10 minutes")


def alert(name: str, number: int = 1) -> Result:
    return {"alert": name, "critical": True, "found": number, "samples": ["T-1"]}


def test_a_failure_outweighs_what_cannot_be_told_and_that_a_warning() -> None:
    fields: Result = {"bronze_minutes": 6.0}
    assert judged(seen(**fields)).verdict == "warn"
    fields["runs"] = []
    assert judged(seen(**fields)).verdict == "inconclusive"
    fields["alerts"] = [alert("NEGATIVE_TOTAL")]
    verdict = judged(seen(**fields))
    assert (verdict.verdict, verdict.exit_code, verdict.codes) == ("fail", 43, [43, 45])
    counting = sum(check.counts for check in verdict.checks)
    assert verdict.reason == f"of {counting} checks 1 fails, 1 is unknown, 1 warns, {counting - 3} pass"


def test_what_passes_is_the_callers_choice() -> None:
    warned, paused = seen(bronze_minutes=6.0), seen(jobs=[off(ETL_JOB)], pause=PAUSE)
    both = seen(bronze_minutes=6.0, jobs=[off(ETL_JOB)], pause=PAUSE)
    for facts, options, ok, code in (
        (warned, {}, False, 45),
        (warned, {"warn_passes": True}, True, 0),
        (warned, {"paused_passes": True}, False, 45),
        (paused, {}, False, 48),
        (paused, {"warn_passes": True}, False, 48),
        (paused, {"paused_passes": True}, True, 0),
        (both, {"paused_passes": True}, False, 48),
        (both, {"paused_passes": True, "warn_passes": True}, True, 0),
    ):
        verdict = judged(facts, **options)
        assert (verdict.ok, verdict.exit_code) == (ok, code), options


def test_without_a_backlog_nothing_drains() -> None:
    made = judged(
        seen({"flow": {"loaded": 900, "late": 800, "arrived": 100}, "updated_minutes": 20.0}, silver_minutes=20.0)
    )
    assert made.verdict == "fail"


@pytest.mark.parametrize(
    ("words", "consecutive", "settled"),
    [
        ("p", 1, "pass"), ("f", 1, "fail"), ("p", 2, None), ("pp", 2, "pass"), ("pf", 2, None), ("pff", 2, "fail"),
        ("pfpfp", 2, None), ("pfpfpf", 2, "inconclusive"), ("pfpfpp", 2, "pass"), ("ppp", 3, "pass"),
    ],
)  # fmt: skip
def test_hysteresis(words: str, consecutive: int, settled: str | None) -> None:
    of = {"p": judged(seen()), "f": judged(seen(alerts=[alert("NEGATIVE_TOTAL")]))}
    made = gate_verdict.settled([of[word] for word in words], consecutive)
    assert (made.verdict if made else None) == settled
    if settled == "inconclusive":
        assert made is not None
        assert (made.ok, made.exit_code) == (False, 47)


def test_a_job_that_never_ran_is_new_beside_others_that_did_and_dead_beside_none() -> None:
    never = dataclasses.replace(needed(LINK_JOB), runs=())
    assert wrong(judged(seen({"needed": [needed(ETL_JOB), never]}))) == {"job_runs": "inconclusive"}
    assert wrong(judged(seen({"needed": [never]}))) == {"job_runs": "fail"}


CHOICES: list[tuple[str, list[cron_jobs.Job], str | None]] = [
    ("bronze-to-silver-etl", [ETL_JOB], "bronze-to-silver-etl"),
    ("bronze-to-silver-etl", [dataclasses.replace(ETL_JOB, jobname="loader, fast")], "loader, fast"),
    ("bronze-to-silver-etl", [dataclasses.replace(ETL_JOB, command="SELECT 1")], None),
    ("bronze-to-silver-etl", [off(ETL_JOB), dataclasses.replace(ETL_JOB, jobid=9, jobname="other")], "other"),
    ("smart-gold-refresh", [dataclasses.replace(GOLD_JOB, command="CALL scout.nightly()")], "smart-gold-refresh"),
    (
        "smart-gold-refresh",
        [dataclasses.replace(GOLD_JOB, jobname="x", command="SELECT scout.refresh_gold_platinum()")],
        "x",
    ),
    ("their own", [dataclasses.replace(ETL_JOB, jobname="their own", command="SELECT 1")], "their own"),
    ("their own", [ETL_JOB], None),
    ("bronze-to-silver-etl", [dataclasses.replace(ETL_JOB, jobname="load", command="SELECT public.step()")], "load"),
    ("bronze-to-silver-etl", [dataclasses.replace(ETL_JOB, jobname="load", command="SELECT theirs.step()")], None),
]
#: Of which one loads, and is called by a job of the team's.
KNOWN = functions.Functions(
    [functions.Function(1, "public", "step", "BEGIN PERFORM scout.load_silver_from_bronze(5); END")]
)


@pytest.mark.parametrize(("name", "jobs", "chosen"), CHOICES)
def test_which_job_does_the_work(name: str, jobs: list[cron_jobs.Job], chosen: str | None) -> None:
    judged = cron_jobs.Judged(
        KNOWN, lambda job: bool(cron_jobs.calls(job.command, {"load_silver_from_bronze", "nightly"}))
    )
    made = jobs_read.choose(name, jobs, judged)
    assert (made.job.jobname if made.job else None) == chosen
    assert bool(made.why) == (chosen is None)
