# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What could not be looked at is never called fine: not by an assessment, not by a reset."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

#: Too little for any look.
NO_TIME = 0.000001


@contextlib.contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Another session keeps even readers from the table."""
    with psycopg.connect(dsn, application_name="migration") as session:
        session.execute(f"LOCK TABLE scout.{table} IN ACCESS EXCLUSIVE MODE")  # type: ignore[call-overload]
        yield
        session.rollback()


def test_an_assessment_that_sees_nothing_of_bronze_cannot_tell(healthy: Pipeline, stage: Stage) -> None:
    with locked(healthy.dsn, "bronze_events"):
        played = stage.play("assess", healthy.dsn)
    assert (played.rc, played.result["outcome"], played.result["ok"]) == (2, "cannot_tell", False), played.text
    assert played.result["verdict_before"] == "inconclusive"
    assert "cannot tell: " in played.summary
    assert "nothing is failing" not in played.summary
    assert any(
        told.startswith("backlog_age: another session has locked it") for told in played.result["cannot_tell"]
    ), played.result["cannot_tell"]


def test_too_little_time_says_how_to_give_more(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("assess", healthy.dsn, budget_seconds=NO_TIME)
    assert (played.rc, played.result["verdict_before"]) == (2, "inconclusive"), played.text
    assert "ansible-playbook scout.recovery.assess -e scout_budget_seconds=60" in played.summary


@pytest.mark.parametrize("table", ["bronze_events", "silver_transactions"])
def test_a_reset_that_cannot_look_changes_nothing(table: str, healthy: Pipeline, stage: Stage) -> None:
    active = healthy.active_jobs()
    with locked(healthy.dsn, table):
        played = stage.play("emergency_reset", healthy.dsn, retry_budget_seconds=2)
    assert (played.rc, played.result["ok"]) == (2, False), played.text
    assert (played.result["changed"], played.result["ingestion"]) == (False, "running"), played.text
    assert healthy.active_jobs() == active
    assert "no change was needed" not in played.summary
    assert "nothing is failing" not in played.summary
    assert "another session has locked it" in played.summary


@pytest.mark.parametrize(("waiting", "outcome"), [(0, "nothing_to_do"), (300, "recovered")])
def test_a_reset_without_time_to_look_takes_more_before_it_decides(
    waiting: int, outcome: str, healthy: Pipeline, stage: Stage
) -> None:
    if waiting:
        library.backlog(healthy.dsn, count=waiting, age_seconds=36_000)
    active = healthy.active_jobs()
    played = stage.play("emergency_reset", healthy.dsn, budget_seconds=NO_TIME)
    assert (played.rc, played.result["outcome"]) == (0, outcome), played.text
    assert (healthy.pending(), healthy.active_jobs()) == (0, active)
    assert healthy.one("SELECT count(*) FROM scout_ops.pauses") == (1 if waiting else 0)
    assert played.result["cannot_tell"] == []
    assert played.result["verdict_after"] in ("healthy", "degraded")


def test_what_a_reset_cannot_fix_is_not_called_done(healthy: Pipeline, stage: Stage) -> None:
    """No event has come for hours: nothing that a reset does brings one."""
    healthy.execute(
        "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '6 hours'",
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '6 hours'",
    )
    played = stage.play("emergency_reset", healthy.dsn)
    assert (played.rc, played.result["outcome"]) == (2, "still_failing"), played.text
    assert "a reset cannot fix what is failing" in played.summary
    assert "look at the edge function and its sources" in played.summary
