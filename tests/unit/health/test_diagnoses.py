# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes in the order in which they block, and next commands that can really be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import diagnoses, schema_drift
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Problem
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.captures import (
    document as captures_document,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import poison_probe, sessions
from tests import CHECKOUT
from tests.unit.health.test_assessment import ETL_JOB, GOLD_JOB, LATE, PAUSE, PRICY, backlog, found, off, ran, view
from tests.unit.scout.test_sessions import KEY, activity

CODE = [
    path
    for folder in ("module_utils", "library", "plugins/action", "plugins/callback")
    for path in (CHECKOUT / folder).rglob("*.py")
]
FAILED = [ran("failed", 0.1, 'ERROR:  invalid input\n syntax "abc"')]
SUSPECT = poison_probe.Suspect("5cf7", 'invalid input syntax for type numeric: "abc"')


def causes(status: dict[str, str] | None = None, **fields: object) -> list[diagnoses.Diagnosis]:
    return diagnoses.diagnose(found(**fields), status or {})


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.name)
def test_every_playbook_and_page_that_is_named_exists(path: Path) -> None:
    text = path.read_text()
    for name in re.findall(r"(?<![\w/.])(?:playbooks/)?(\w+\.yml)\b", text):
        assert (CHECKOUT / "playbooks" / name).is_file(), name
    for name in re.findall(r"\bdocs/[\w.-]+\.\w+", text):
        assert (CHECKOUT / name).is_file(), name


def test_the_commands_are_what_they_say() -> None:
    for command in (diagnoses.RESET, diagnoses.RESUME, diagnoses.TERMINATE, diagnoses.REFRESH, diagnoses.ROLLBACK):
        program, playbook = shlex.split(command)
        assert program == "ansible-playbook"
        assert (CHECKOUT / playbook).is_file()


def test_causes_are_ranked_by_what_blocks_what() -> None:
    holder = activity(11, KEY)
    made = causes(
        {"bronze_staleness": "fail", "backlog_age": "fail"},
        stuck=sessions.Plan((holder,), (), ()), pause=PAUSE, jobs=[off(ETL_JOB), off(GOLD_JOB)], suspects=[SUSPECT],
        runs=FAILED, backlog=backlog(9, 900.0), gold=LATE, alerts=PRICY, bronze_minutes=99.0, dead_letters=2,
        problems={"linking": Problem("privilege", "permission denied for table silver_line_items", "GRANT x")},
    )  # fmt: skip
    assert [d.rank for d in made] == list(range(1, len(made) + 1))
    words = ["insufficient privileges to see", "pid 11 holds Scout's refresh lock", "paused by anna@bastion", "malformed event",
             "gold_daily_metrics is stale", "NEGATIVE_TOTAL", "no new event", "dead letters",
             "job smart-gold-refresh inactive"]  # fmt: skip
    assert [next(w for w in words if w in d.cause) for d in made] == words


def test_poison_with_and_without_a_failed_run() -> None:
    [quiet] = causes(suspects=[SUSPECT], backlog=backlog(1, 9.0))
    assert quiet.cause == 'one malformed event blocks the ETL: event 5cf7, invalid input syntax for type numeric: "abc"'
    assert quiet.evidence == "every batch that holds it fails"
    [loud] = causes(suspects=[SUSPECT, SUSPECT], backlog=backlog(1, 9.0), runs=FAILED)
    assert loud.cause.startswith("malformed events block the ETL: event 5cf7")
    assert loud.evidence == 'the last ETL run failed: ERROR: invalid input syntax "…"'


CHANGES = captures_document.Changes((), (), (), {"function:scout.f()": ("source",)})


def test_a_young_release_comes_before_what_it_may_have_done() -> None:
    young, old = (schema_drift.Drift("v5.2.1 hot", seconds, CHANGES) for seconds in (7200.0, 90_000.0))
    wrong = {"silver_staleness": "fail"}
    first, second = causes(wrong, runs=FAILED, drift=young)
    assert (first.cause, second.cause) == (
        "the schema differs from that of release v5.2.1 hot, captured 2 h 0 min ago",
        "the ETL job fails",
    )
    assert first.evidence == "function scout.f() (source) changed"
    assert "ansible-playbook playbooks/rollback.yml -e release='v5.2.1 hot' --check" in first.next_command
    assert [d.cause[:10] for d in causes(wrong, runs=FAILED, drift=old)] == ["the ETL jo", "the schema"]
    explained = causes(wrong, suspects=[SUSPECT], runs=FAILED, drift=young)
    assert [d.cause[:10] for d in explained] == ["one malfor", "the schema"]


def test_a_schema_that_changed_is_no_cause_of_nothing() -> None:
    young = schema_drift.Drift("v5.2.1", 60.0, CHANGES)
    assert causes({"silver_staleness": "warn", "backlog_age": "ok"}, drift=young) == []
    [only] = diagnoses.diagnose(found(drift=young), {"backlog_age": "ok"}, trouble=True)
    assert only.cause.startswith("the schema differs from that of release v5.2.1, captured ")


def test_a_job_name_cannot_break_out_of_the_command() -> None:
    odd = 'it\'s; rm -rf "$HOME"'
    [made] = causes(jobs=[off(ETL_JOB).__class__(**{**off(ETL_JOB).as_dict(), "jobname": odd}), GOLD_JOB])
    command = made.next_command.partition(": ")[2]
    assert shlex.split(command)[:3] == ["ansible-playbook", "playbooks/resume_ingestion.yml", "-e"]
    assert len(shlex.split(command)) == 4


def test_who_is_left_alone_is_named_with_the_reason() -> None:
    boss = activity(7, KEY, role="postgres", superuser=True)
    [made] = causes(stuck=sessions.Plan((), ((boss, "role postgres is a superuser"),), ()))
    assert made.cause == "pid 7 blocks the pipeline and this toolkit does not end it"
    assert made.evidence.endswith("; role postgres is a superuser")
    assert made.next_command == "ask postgres to end it"


def test_stuck_after_is_said_again_when_it_is_not_the_default() -> None:
    stuck = sessions.Plan((activity(7, KEY),), (), ())
    assert causes(stuck=stuck)[0].next_command == diagnoses.TERMINATE
    assert (
        causes(stuck=stuck, stuck_after_seconds=90.0)[0].next_command
        == f"{diagnoses.TERMINATE} -e stuck_after_seconds=90"
    )


@pytest.mark.parametrize(
    ("state", "behind", "paused", "late"),
    [
        ("fresh", 0.0, False, False), ("unknown", None, True, False), ("unpopulated", None, False, True),
        ("stale", 599.0, False, False), ("stale", 601.0, False, True), ("stale", 1.0, True, True), ("stale", None, False, True),
    ],
)  # fmt: skip
def test_a_view_is_late_when_no_refresh_will_come_by_itself(
    state: str, behind: float | None, paused: bool, late: bool
) -> None:
    assert diagnoses.is_late(view(state, behind), paused=paused) is late


def test_what_keeps_ingestion_paused_comes_before_what_does_not() -> None:
    """Seen on a real pipeline: bad totals kept it paused, and the advice was to create an index."""
    seen = found(gold=[view(keyed=False)], alerts=PRICY, dead_letters=2)
    seen.wider.without_a_key = ["scout.gold_daily_metrics"]
    made = diagnoses.diagnose(seen, {}, ["critical_alerts"])
    assert ["NEGATIVE_TOTAL" in made[0].cause, "unique index" in made[1].cause] == [True, True]
    assert made[0].next_command.startswith("ansible-playbook playbooks/quality_cleanup.yml --check")
    assert "the same without --check" in made[0].next_command
    assert "the unique index of scout.gold_daily_metrics again" in made[1].next_command
    assert [d.rank for d in made] == [1, 2, 3]


def test_a_pause_is_given_back_after_what_would_keep_it_from_being_given_back() -> None:
    made = diagnoses.diagnose(
        found(pause=PAUSE, jobs=[off(ETL_JOB), off(GOLD_JOB)], alerts=PRICY), {}, ["critical_alerts"]
    )
    assert [made[0].next_command, made[1].next_command] == [diagnoses.SET_ASIDE, diagnoses.RESET]
    late = diagnoses.diagnose(
        found(pause=PAUSE, jobs=[off(ETL_JOB), off(GOLD_JOB)], gold=LATE), {}, ["stale_gold_views"]
    )
    assert [late[0].next_command, late[1].next_command] == [diagnoses.RESET, diagnoses.REFRESH]
