# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset of a pipeline whose bronze has a partition for each day, while somebody makes new ones and drops the old."""

from __future__ import annotations

from pathlib import Path

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.in_process import InProcess
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

NIGHT = "SELECT scout.maintain_partitions(p_keep_days => {}, p_ahead_days => {})"


def test_retention_while_a_reset_works(partitioned_db: str, tmp_path: Path) -> None:
    pipeline, days = Pipeline(partitioned_db), iter((20, 10, 5, 3, 2, *[1] * 9))
    library.backlog(partitioned_db, count=60, age_seconds=1200)
    library.poison_event(partitioned_db)
    library.gold_stale(partitioned_db)
    jobs = pipeline.active_jobs()
    oldest = "SELECT count(*) FROM scout.bronze_events WHERE ingested_at < now() - interval '2 days'"
    assert pipeline.one(oldest)

    def night(task: str) -> None:
        if task.startswith(("Ingestion |", "Drain |", "Refresh gold |")):
            keep = max(1, next(days))
            with psycopg.connect(partitioned_db, autocommit=True) as session:
                session.execute(NIGHT.format(keep, 30 - keep))  # type: ignore[call-overload]

    first = InProcess(Stage(tmp_path), partitioned_db, on_task=night).play("emergency_reset")
    assert first.rc == 0, first.text
    pipeline.execute(NIGHT.format(1, 29))
    again = InProcess(Stage(tmp_path), partitioned_db).play("emergency_reset")
    assert again.rc == 0, again.text
    assert again.result["outcome"] == "nothing_to_do"
    assert pipeline.one(oldest) == 0
    assert pipeline.pending() == 0
    assert pipeline.one("SELECT count(*) FROM scout.bronze_events_dlq") == 1
    assert pipeline.active_jobs() == jobs
