# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate's verdicts and exit codes as tables, and what a person and a build server get to read."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import facts as health_facts
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.causes.base import Diagnosis
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import checks, smoke_test
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import verdict as gate_verdict
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.reads import jobs as jobs_read
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Problem
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract, cron_jobs, cron_runs
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import cron_schedule as schedules
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import functions
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import gate, layout, render
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.command import summarize
from tests import CHECKOUT
from tests.unit.health.test_assessment import ETL_JOB, GOLD_JOB, NOW, PAUSE, backlog, found, off, ran, view

SCHEMA = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text())
VALID = jsonschema.Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/result"})
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


def test_a_healthy_pipeline_passes() -> None:
    verdict = judged(seen())
    assert (verdict.verdict, verdict.ok, verdict.exit_code, verdict.codes, wrong(verdict)) == ("pass", True, 0, [], {})
    assert [check.name for check in verdict.checks] == list(checks.NAMES[:-1])


#: Facts, the check they are for, its status, the verdict and the exit code.
WRONG: list[tuple[Result, str, str, int]] = [
    ({"linking": {"due": 10, "due_percent": 94.9, "lines": 10, "percent": 99.0}}, "linking_coverage", "warn", 42),
    ({"linking": {"due": 10, "due_percent": 89.9, "lines": 10, "percent": 99.0}}, "linking_coverage", "fail", 42),
    ({"linking": {"due": 0, "due_percent": None, "lines": 5, "percent": 10.0}}, "linking_coverage", "inconclusive", 47),
    ({"linking": {"due": 0, "due_percent": None, "lines": 0, "percent": None}}, "linking_coverage", "inconclusive", 47),
    ({"alerts": [alert("NEGATIVE_TOTAL")]}, "negative_totals", "fail", 43),
    ({"alerts": [alert("EMPTY_BASKET")]}, "empty_baskets", "fail", 43),
    ({"alerts": [alert("LINE_TOTAL_MISMATCH")]}, "line_mismatch", "fail", 43),
    ({"alerts": [alert("MISSING_LINES")]}, "missing_lines", "fail", 43),
    ({"alerts": [alert("INVALID_LINE_ITEM")]}, "invalid_lines", "fail", 43),
    ({"alerts": [alert("NOT_A_NUMBER")]}, "not_a_number", "fail", 43),
    ({"older": {"negative": 0, "empty": 7, "sample": "T-1"}}, "older_violations", "warn", 43),
    ({"bronze_minutes": 5.01}, "bronze_staleness", "warn", 45),
    ({"bronze_minutes": 15.01}, "bronze_staleness", "fail", 45),
    ({"bronze_minutes": None}, "bronze_staleness", "inconclusive", 47),
    ({"bronze_minutes": math.nan}, "bronze_staleness", "inconclusive", 47),
    ({"silver_minutes": 16.0, "wider": {"updated_minutes": 15.5}}, "silver_staleness", "fail", 45),
    ({"silver_minutes": 16.0, "wider": {"updated_minutes": 7.0}}, "silver_staleness", "warn", 45),
    ({"gold": [view("stale", behind=300, minutes=12)]}, "gold_staleness", "warn", 45),
    ({"wider": {"without_a_key": ["scout.gold_daily_metrics"]}}, "gold_refreshable", "fail", 46),
    ({"backlog": backlog(20_000, 10.0)}, "backlog_events", "warn", 46),
    ({"backlog": backlog(1, 301.0)}, "backlog_age", "warn", 46),
    ({"backlog": backlog(1, 901.0)}, "backlog_age", "fail", 46),
    ({"backlog": backlog(2, 1.0), "repeats": [{"transaction_id": "T", "event_ids": []}]}, "blocked_events", "fail", 46),
    ({"runs": [ran()], "wider": {"needed": [needed(ETL_JOB, ran("failed", message="ERROR: x"))]}}, "job_runs", "fail", 46),
    ({"wider": {"needed": [needed(ETL_JOB, ran(minutes=16))]}}, "job_runs", "fail", 46),
    ({"wider": {"needed": [needed(ETL_JOB, ran(seconds=None))]}}, "job_runs", "inconclusive", 47),
    ({"wider": {"needed": [needed(ETL_JOB), needed(None, why="there is none")]}}, "jobs_present", "fail", 46),
    ({"wider": {"needed": [needed(off(LINK_JOB))]}}, "jobs_active", "fail", 46),
    ({"runs": [ran(seconds=61.0)]}, "etl_duration", "warn", 46),
    ({"runs": [ran(seconds=301.0)]}, "etl_duration", "fail", 46),
    ({"runs": []}, "etl_duration", "inconclusive", 47),
    ({"wider": {"raised": [{"alert": "X", "rows": 40, "seconds": 5.0}]}}, "unresolved_alerts", "fail", 46),
    ({"wider": {"letters": {"grown": 1, "ours": 900, "codes": ["E"]}}}, "dead_letter_growth", "warn", 46),
    ({"wider": {"letters": {"grown": 101, "ours": 0, "codes": ["E"]}}}, "dead_letter_growth", "fail", 46),
    ({"wider": {"missing": ["scout.alerts"]}}, "schema_objects", "fail", 46),
    ({"wider": {"lost": {"lost": 1, "swallowed": 0, "lost_ids": ["e"], "swallowed_ids": None}}}, "lost_events", "fail", 46),
]  # fmt: skip


@pytest.mark.parametrize(
    ("facts", "name", "status", "code"), WRONG, ids=lambda value: value if isinstance(value, str) else ""
)
def test_what_is_wrong_is_that_and_nothing_else(facts: Result, name: str, status: str, code: int) -> None:
    verdict = judged(seen(**facts))
    assert wrong(verdict) == {name: status}
    assert (verdict.verdict, verdict.ok, verdict.exit_code) == (status, False, code)


def test_a_read_that_failed_makes_its_checks_inconclusive_with_the_reason() -> None:
    grant = Problem("privilege", "permission denied for table alerts", "GRANT SELECT ON scout.alerts TO x")
    verdict = judged(seen(problems={"raised": grant, "lost": Problem("budget", "out of time")}))
    assert wrong(verdict) == {"unresolved_alerts": "inconclusive", "lost_events": "inconclusive"}
    assert (verdict.verdict, verdict.exit_code) == ("inconclusive", 47)
    [check] = [check for check in verdict.checks if check.name == "unresolved_alerts"]
    assert check.reason == "permission denied for table alerts (GRANT SELECT ON scout.alerts TO x)"


@pytest.mark.parametrize(
    ("problem", "reason"),
    [
        (Problem("privilege", "permission denied", "GRANT SELECT ON scout.alerts TO x"),
         "permission denied (GRANT SELECT ON scout.alerts TO x)"),
        (Problem("privilege", "permission denied"), "permission denied"),
        (Problem("budget", "out of time", "give it more"), "out of time"),
    ],
)  # fmt: skip
def test_what_to_do_is_said_of_a_grant_only(problem: Problem, reason: str) -> None:
    verdict = judged(seen(problems={"raised": problem}))
    assert {check.name: check.reason for check in verdict.checks}["unresolved_alerts"] == reason


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


def test_the_smoke_test_is_one_of_the_checks() -> None:
    for status, verdict, code in (("pass", "pass", 0), ("fail", "fail", 46), ("inconclusive", "inconclusive", 47)):
        made = judged(seen(), gate_verdict.CheckResult("smoke_test", 0.1, "seconds", status, "", "why"))
        assert (made.verdict, made.exit_code, made.checks[-1].name) == (verdict, code, "smoke_test")
    lenient = judged(
        seen(),
        gate_verdict.CheckResult("smoke_test", None, "seconds", "inconclusive", "", "why"),
        severities={"smoke_test": "warn"},
    )
    assert lenient.verdict == "warn"


@pytest.mark.parametrize(
    ("severity", "status", "counts", "verdict"),
    [("fail", "fail", True, "fail"), ("warn", "warn", True, "warn"), ("info", "fail", False, "pass")],
)
def test_severity_caps_a_check(severity: str, status: str, counts: bool, verdict: str) -> None:
    made = judged(seen(bronze_minutes=60.0), severities={"bronze_staleness": severity})
    [check] = [check for check in made.checks if check.name == "bronze_staleness"]
    assert (check.status, check.counts, made.verdict, check.severity) == (status, counts, verdict, severity)


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


def test_a_pause_excuses_what_it_causes_and_nothing_else() -> None:
    late = {"backlog": backlog(9, 9000.0), "silver_minutes": 90.0, "runs": [], "wider": {
        "updated_minutes": 90.0, "needed": [needed(off(ETL_JOB), ran(minutes=90))]}}  # fmt: skip
    paused: Result = {"jobs": [off(ETL_JOB), off(GOLD_JOB)], "pause": PAUSE}
    verdict = judged(seen(**late, **paused))
    assert (verdict.verdict, verdict.state, wrong(verdict)) == ("paused", "paused", {})
    assert verdict.reason.startswith("paused for 12 min by anna@bastion for INC-7; all of ")
    assert judged(seen(**late, **paused, alerts=[alert("NEGATIVE_TOTAL")])).verdict == "fail"
    assert judged(seen(**late, **paused, problems={"raised": Problem("error", "gone")})).verdict == "inconclusive"
    assert judged(seen(**late)).verdict == "fail"
    stranger = judged(seen(**late, jobs=[off(ETL_JOB)]))
    assert stranger.reason.startswith("paused, not by this toolkit: bronze-to-silver-etl inactive")


@pytest.mark.parametrize(
    ("flow", "fields", "verdict"),
    [
        ({"loaded": 900, "late": 800, "arrived": 100}, {}, "draining"),
        ({"loaded": 900, "late": 0, "arrived": 100}, {}, "fail"),
        ({"loaded": 100, "late": 100, "arrived": 100}, {}, "fail"),
        ({"loaded": 0, "late": 0, "arrived": 0}, {}, "fail"),
        ({"loaded": 900, "late": 800, "arrived": 100}, {"alerts": [alert("NEGATIVE_TOTAL")]}, "fail"),
        ({"loaded": 900, "late": 800, "arrived": 100}, {"repeats": [{"transaction_id": "T", "event_ids": []}]}, "fail"),
        ({"loaded": 900, "late": 800, "arrived": 100}, {"bronze_minutes": 6.0}, "fail"),
    ],
)
def test_a_backlog_is_draining_while_it_goes_down_and_nothing_else_is_wrong(
    flow: Result, fields: Result, verdict: str
) -> None:
    made = judged(seen({"flow": flow}, backlog=backlog(4000, 5000.0), **fields))
    assert made.verdict == verdict
    if verdict == "draining":
        assert (made.state, made.ok, made.exit_code, wrong(made)) == ("running", False, 48, {})
        assert made.reason.startswith(
            "4,000 events left; 900 loaded and 100 arrived within 5 minutes, so about 25 min to go"
        )


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


@pytest.mark.parametrize(
    ("schedule", "seconds"),
    [
        ("* * * * *", 60), ("*/5 * * * *", 300), ("  */10  * * * * ", 600), ("30 seconds", 30), ("1 second", 1),
        ("0 3 * * *", None), ("* 6-23 * * *", None), ("*/0 * * * *", None), ("@hourly", None), (cron_jobs.NEVER, None),
    ],
)  # fmt: skip
def test_how_often_a_job_comes(schedule: str, seconds: float | None) -> None:
    assert schedules.every_seconds(schedule) == seconds


def test_a_job_that_was_resumed_a_moment_ago_is_not_late() -> None:
    def late(resumed: float | None, *others: jobs_read.Needed) -> str:
        facts = {"resumed_seconds": resumed, "needed": [needed(ETL_JOB, ran(minutes=40)), *others]}
        return wrong(judged(seen(facts))).get("job_runs", "pass")

    assert [late(resumed) for resumed in (None, 60.0, 899.0, 901.0)] == ["fail", "pass", "pass", "fail"]


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


def test_options_that_cannot_be_used() -> None:
    for given, words in (
        ({"thresholds": {"nothing": {}}}, "threshold 'nothing' is unknown"),
        ({"thresholds": {"backlog_age": {"ok": 20}}}, "backlog_age: ok 20 is above fail 15"),
        ({"severities": {"nothing": "warn"}}, "no check has this name"),
        ({"severities": {"backlog_age": "loud"}}, "'loud' of backlog_age is not usable"),
        ({"severities": {"backlog_age": {}}}, "of backlog_age is not usable"),
    ):
        with pytest.raises(errors.BadInput, match=words):
            judged(seen(), **given)


def test_every_check_and_every_purpose_is_known() -> None:
    names = [check.name for check in checks.CHECKS]
    assert len(set(names)) == len(names)
    assert [check.code for check in checks.CHECKS] == sorted(check.code for check in checks.CHECKS)
    assert list(contract.DEFAULT.purposes) == [
        contract.DEFAULT.load_job,
        contract.DEFAULT.link_job,
        contract.DEFAULT.refresh_job,
    ]
    assert set(thresholds.DEFAULTS) - set(names) == {"critical_alerts", "dlq_unresolved"}


def result_of(verdict: gate_verdict.Verdict, **fields: Any) -> Result:
    """As the module gives it."""
    return {
        "operation": "gate",
        "changed": False, "database": "scout on db1.example.org:5432", "verdict": verdict.verdict, "ok": verdict.ok,
        "exit_code": verdict.exit_code, "codes": verdict.codes, "checks": [check.as_dict() for check in verdict.checks],
        "samples": [{"at": NOW.isoformat(), "verdict": verdict.verdict}], "smoke": None, "diagnoses": [], "period_hours": 24,
        "ingestion": {"state": verdict.state, "paused_by": None, "incident": None}, "summary": gate_verdict.summary(verdict), **fields,
    }  # fmt: skip


def story(result: Result, *, check: bool = False, host: str = "local") -> render.Story:
    return render.Story("acceptance_gate", host, "INC-7", check, True, {"gate": result}, 1.5)


ENDS: dict[str, tuple[Result, str, list[str]]] = {
    "pass": (result_of(judged(seen())), "passed", ["found pass: all of", "now ingestion is running"]),
    "fail": (
        result_of(judged(seen(alerts=[alert("NEGATIVE_TOTAL", 3)], bronze_minutes=6.0, backlog=backlog(7, 3720.0)))),
        "not_passed",
        ["found fail: of", "fails negative_totals 3: for example T-1; backlog_age 1 h 2 min (at most 5 min)",
         "warns bronze_staleness 6 min (at most 5 min)", "next ansible-playbook playbooks/window_recovery.yml --check -e last=24h"],
    ),
    "alerts": (
        result_of(judged(seen({"raised": [{"alert": "X", "rows": 40, "seconds": 5.0}]})),
                  diagnoses=[Diagnosis(1, "a dead letter", "one", "ansible-playbook playbooks/dead_letters.yml").as_dict()]),
        "not_passed",
        ["fails unresolved_alerts 1: X (40 rows, the latest 5.0 s old)",
         "next UPDATE scout.alerts SET resolved_at = now() WHERE severity = 'critical' AND resolved_at IS NULL; once",
         "what they say is over; then ansible-playbook playbooks/acceptance_gate.yml"],
    ),
    "unsure": (result_of(judged(seen(problems={"raised": Problem("error", "no such table")}))), "not_passed",
               ["unsure unresolved_alerts: no such table"]),
    "paused": (
        result_of(judged(seen(jobs=[off(ETL_JOB)], pause=PAUSE)),
                  ingestion={"state": "paused", "paused_by": "anna@bastion", "incident": "INC-7"}), "not_passed",
        ["now ingestion is paused (by anna@bastion for INC-7)", "next ansible-playbook playbooks/resume_ingestion.yml when ready"],
    ),
    "failed": (invoke.failure(errors.ConnectionFailed("could not open a session", on="scout", said="refused", next_step="check")),
               "failed", ["failed could not open a session on scout: refused", "next check"]),
    "nothing": ({}, "not_passed", ["now nothing was changed"]),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("check", [False, True])
def test_how_it_ends_for_a_person_and_a_machine(name: str, check: bool) -> None:
    result, outcome, phrases = ENDS[name]
    told = story(result, check=check)
    made = json.loads(json.dumps(render.document(told)))
    VALID.validate(made)
    assert (made["outcome"], made["ok"]) == (outcome, outcome == "passed")
    lines = render.lines(told)
    assert len(lines) <= layout.HEIGHT
    assert max(map(len, lines)) <= layout.WIDTH
    text = " ".join(" ".join(lines).split())
    assert all(phrase in text for phrase in phrases if not (check and phrase.startswith("now"))), text


def test_the_exit_code_tells_and_says_why() -> None:
    for name, (result, outcome, _) in ENDS.items():
        params = {
            "operation": "acceptance_gate",
            "incident": "INC-7",
            "resume": True,
            "result_file": None,
            "steps": [{"gate": result}],
        }
        made = summarize(params, check=False, run_key=name)
        assert bool(made.get("failed")) == (outcome == "not_passed"), name
        if outcome == "not_passed":
            assert made["msg"].startswith("the gate did not pass: ")


def test_what_to_do_next() -> None:
    cause = {"rank": 1, "cause": "x", "evidence": "y", "next_command": "ansible-playbook playbooks/quality_cleanup.yml"}
    failing = result_of(judged(seen(alerts=[alert("NEGATIVE_TOTAL")])), diagnoses=[cause])
    recover = (
        "ansible-playbook playbooks/window_recovery.yml --check -e last=24h shows where silver differs from its events"
    )
    assert gate.what_next(failing) == [cause["next_command"], recover, gate.GATE]
    slow = result_of(judged(seen(backlog=backlog(4000, 5000.0))))
    assert gate.what_next(slow) == [f"{gate.ASSESS}, then {gate.GATE}"]
    assert gate.what_next(ENDS["pass"][0]) == []
    draining = judged(seen({"flow": {"loaded": 900, "late": 800, "arrived": 100}}, backlog=backlog(4000, 5000.0)))
    assert gate.what_next(result_of(draining)) == [f"wait, then {gate.GATE}"]


def test_a_smoke_test_that_a_check_left_out_is_run_without_check() -> None:
    smoke = gate_verdict.CheckResult("smoke_test", None, "seconds", "inconclusive", "", smoke_test.NOT_IN_CHECK)
    left_out = result_of(judged(seen(), smoke))
    assert left_out["verdict"] == "inconclusive"
    assert gate.what_next(left_out)[0].startswith("run it without --check")


def test_unless_told_otherwise_only_what_is_sound_and_running_passes() -> None:
    options = gate_verdict.Options(thresholds={}, severities={})
    assert (options.warn_passes, options.paused_passes) == (False, False)


def test_silver_that_is_new_and_corrected_at_once_is_not_said_to_be_corrected_only() -> None:
    for updated, said in ((16.0, False), (15.5, True)):
        checks = judged(seen({"updated_minutes": updated}, silver_minutes=16.0)).checks
        [silver] = [check for check in checks if check.name == "silver_staleness"]
        assert ("later ones only corrected others" in silver.reason) is said
        assert silver.value == updated


def test_swallowed_events_are_counted_where_they_could_be_read() -> None:
    lost = {"lost": 0, "swallowed": 2, "lost_ids": None, "swallowed_ids": ["e"]}
    for row, value, status in (
        (lost, 2.0, "fail"),
        ({**lost, "swallowed": 0, "swallowed_ids": None}, 0.0, "pass"),
        (None, None, "inconclusive"),
    ):
        checks = judged(seen({"lost": row})).checks
        [swallowed] = [check for check in checks if check.name == "swallowed_events"]
        assert (swallowed.value, swallowed.status, swallowed.counts) == (value, status, False)
        assert ("for example e" in swallowed.reason) is bool(value)


def test_lost_events_are_named() -> None:
    lost = {"lost": 2, "swallowed": 0, "lost_ids": ["4711", "4712"], "swallowed_ids": None}
    [found] = [check for check in judged(seen({"lost": lost})).checks if check.name == "lost_events"]
    assert (found.value, found.reason) == (2.0, "for example 4711, 4712")


@pytest.mark.parametrize(("minutes", "late"), [(29.0, False), (30.0, False), (31.0, True)])
def test_a_job_is_late_once_it_has_missed_three_of_its_times(minutes: float, late: bool) -> None:
    job = dataclasses.replace(LINK_JOB, schedule="*/10 * * * *")
    runs = [needed(ETL_JOB), needed(job, ran(minutes=minutes)), needed(GOLD_JOB)]
    assert ("job_runs" in wrong(judged(seen({"needed": runs})))) is late
