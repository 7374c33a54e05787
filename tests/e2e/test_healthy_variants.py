# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deployments that differ from the reference by design are recovered as the reference is, and run afterwards."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import LINKED
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.integration.oracle import silver
from tests.scout.variants import ETL, HEALTHY, edit, sell

BACKLOG = 120
POISON = ("non_numeric_amount", "bad_ts")
#: The deployments whose difference a window recovery or a rollback could trip over.
FIVE = ("as deployed", "whole pesos", "a tenant column", "a trigger of the team", "a view with its own job")
BAD_RELEASE = edit(ETL, ("    WITH batch AS (", "    RAISE EXCEPTION 'v5.3.0 cannot load';\n    WITH batch AS ("))
#: A sale may be processed a minute after its event arrived, and the recovered hour begins a little later than this runs.
LOSE_LAST_HOUR = """
DELETE FROM scout.silver_transactions WHERE source_event_id IN (
    SELECT event_id FROM scout.bronze_events WHERE ingested_at > now() - interval '55 minutes')
"""


@pytest.mark.parametrize("name", HEALTHY)
def test_a_reset_quarantines_poison_loads_the_backlog_and_leaves_ingestion_running(
    name: str, new_db: str, stage: Stage
) -> None:
    HEALTHY[name].make(new_db)
    pipeline = Pipeline(new_db)
    jobs = pipeline.active_jobs()
    sell(BACKLOG, over=timedelta(minutes=20), first=70_000, loaded=False)(new_db)
    for kind in POISON:
        library.poison_event(new_db, kind)
    events = pipeline.events()

    reset = stage.play("emergency_reset", new_db)
    assert (reset.rc, reset.result["outcome"], reset.result["ingestion"]) == (0, "recovered", "running"), reset.text
    assert pipeline.active_jobs() == jobs
    assert pipeline.pending() == 0
    assert pipeline.one("SELECT count(*) FROM scout.bronze_events_dlq WHERE resolved_at IS NULL") == len(POISON)
    assert pipeline.unaccounted(events) == []

    again = stage.play("emergency_reset", new_db)
    assert (again.rc, again.result["outcome"]) == (0, "nothing_to_do"), again.text


@pytest.mark.parametrize("name", FIVE)
def test_a_lost_hour_is_recovered_as_the_deployment_had_loaded_it(name: str, new_db: str, stage: Stage) -> None:
    HEALTHY[name].make(new_db)
    sell(60, over=timedelta(minutes=50), first=70_000)(new_db)
    before = _silver(new_db)
    Pipeline(new_db).execute(LOSE_LAST_HOUR)
    assert _silver(new_db) != before
    recovered = stage.play("window_recovery", new_db, last="1h")
    assert (recovered.rc, recovered.result["ingestion"]) == (0, "running"), recovered.text
    assert _silver(new_db) == before


@pytest.mark.parametrize("name", [*FIVE, "no history"])
def test_a_bad_release_is_rolled_back_and_ingestion_runs(name: str, new_db: str, stage: Stage) -> None:
    HEALTHY[name].make(new_db)
    pipeline = Pipeline(new_db)
    jobs = pipeline.active_jobs()
    captured = stage.play("capture_release", new_db, release="v5.2.1")
    assert captured.rc == 0, captured.text
    BAD_RELEASE(new_db)
    played = stage.play("rollback", new_db, release="v5.2.1", rehearse=False, allow_owners="postgres")
    assert (played.rc, played.result["ingestion"]) == (0, "running"), played.text
    assert pipeline.active_jobs() == jobs


def _silver(dsn: str) -> dict[str, list[Any]]:
    """Silver without what a later job fills in."""
    found = silver(dsn)
    return {name: [_without_links(row) for row in found[name]] for name in ("transactions", "lines")}


def _without_links(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in LINKED}
