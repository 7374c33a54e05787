# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes in the order in which they block, and next commands that can really be typed."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import diagnoses
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Problem
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import poison_probe, sessions
from tests import CHECKOUT
from tests.unit.health.test_assessment import ETL_JOB, GOLD_JOB, LATE, PAUSE, PRICY, backlog, found, off, ran, view
from tests.unit.scout.test_sessions import KEY, activity

CODE = [
    path
    for folder in ("module_utils", "library", "plugins/action", "plugins/filter", "plugins/plugin_utils")
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


def test_a_job_name_cannot_break_out_of_the_command() -> None:
    odd = 'it\'s; rm -rf "$HOME"'
    [made] = causes(jobs=[off(ETL_JOB).__class__(**{**off(ETL_JOB).as_dict(), "jobname": odd}), GOLD_JOB])
    command = made.next_command.partition(": ")[2]
    assert shlex.split(command)[:3] == ["ansible-playbook", "scout.recovery.resume_ingestion", "-e"]
    assert len(shlex.split(command)) == 4


def test_what_keeps_ingestion_paused_comes_before_what_does_not() -> None:
    """Seen on a real pipeline: bad totals kept it paused, and the advice was to create an index."""
    seen = found(gold=[view(keyed=False)], alerts=PRICY, dead_letters=2)
    seen.wider.without_a_key = ["scout.gold_daily_metrics"]
    made = diagnoses.diagnose(seen, {}, ["critical_alerts"])
    assert ["NEGATIVE_TOTAL" in made[0].cause, "unique index" in made[1].cause] == [True, True]
    assert made[0].next_command.startswith("ansible-playbook scout.recovery.quality_cleanup --check")
    assert "the same without --check" in made[0].next_command
    assert "the unique index of scout.gold_daily_metrics again" in made[1].next_command
    assert [d.rank for d in made] == [1, 2, 3]
