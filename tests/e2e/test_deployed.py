# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Scout is deployed a superuser owns it, its hash has five arguments and nobody filled in its stores."""

from __future__ import annotations

from tests.e2e.in_process import Quick
from tests.e2e.pipeline import Pipeline

BAD_RELEASE = (
    """CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
       RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
       LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'v5.3.0 cannot load'; END $$""",
    "ALTER TABLE scout.alerts ADD COLUMN team text",
)


def test_a_rollback_passes_its_gate_and_resumes(deployed_db: str, quick: Quick) -> None:
    pipeline = Pipeline(deployed_db)
    jobs = pipeline.active_jobs()
    captured = quick.play("capture_release", deployed_db, release="v5.2.1")
    assert captured.rc == 0, captured.text
    pipeline.execute(*BAD_RELEASE)
    played = quick.play("rollback", deployed_db, release="v5.2.1", rehearse=False, allow_owners="postgres")
    assert played.rc == 0, played.text
    assert played.result["ingestion"] == "running"
    assert pipeline.active_jobs() == jobs
    judged = quick.play("acceptance_gate", deployed_db, smoke=True)
    assert judged.rc == 0, judged.text
