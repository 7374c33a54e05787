# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset of a pipeline whose bronze has a partition for each day, while the real pg_partman makes new ones and drops the old."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.scout import partman

JOB = "partman-maintenance"


def test_retention_while_a_reset_works(partman_db: str, tmp_path: Path) -> None:
    """Its job is left alone: neither is it paused, nor tried, nor named as a fault, though its last run failed."""
    pipeline, days = Pipeline(partman_db), iter((20, 10, 5, 3, 2, *[1] * 9))
    library.backlog(partman_db, count=60, age_seconds=1200)
    library.poison_event(partman_db)
    library.gold_stale(partman_db)
    pipeline.execute(
        "INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time) "
        "SELECT jobid, 1, database, username, command, 'failed', 'ERROR: would be violated by some row', now(), now() FROM cron.job "
        f"WHERE jobname = '{JOB}'"
    )
    assert JOB in pipeline.active_jobs()
    jobs = pipeline.active_jobs()
    oldest = "SELECT count(*) FROM scout.bronze_events WHERE ingested_at < now() - interval '2 days'"
    assert pipeline.one(oldest)

    def night() -> None:
        assert JOB in pipeline.active_jobs()
        keep = max(1, next(days, 1))
        partman.maintain(partman_db, retention=f"{keep} days", premake=30 - keep, retention_keep_table=False)

    with Stage(tmp_path).start("emergency_reset", partman_db) as running:
        while running.process.poll() is None:
            night()
        first = running.wait()
    assert first.rc == 0, first.text
    assert "partman" not in first.text
    partman.maintain(partman_db, retention="1 day")
    again = Stage(tmp_path).play("emergency_reset", partman_db)
    assert again.rc == 0, again.text
    assert again.result["outcome"] == "nothing_to_do"
    assert pipeline.one(oldest) == 0
    assert pipeline.pending() == 0
    assert pipeline.one("SELECT count(*) FROM scout.bronze_events_dlq") == 1
    assert pipeline.active_jobs() == jobs
