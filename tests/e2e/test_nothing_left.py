# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Exit code 0 says that nothing is left to do at once, and a screen says what was not done for anybody."""

from __future__ import annotations

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

SILENT = (
    "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '5 hours'",
    "UPDATE scout.silver_transactions SET processed_at = now()",
)


def test_no_new_events_is_nothing_that_a_reset_repairs(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute(*SILENT)
    for arguments in ((), ("--check",)):
        played = stage.play("emergency_reset", healthy.dsn, *arguments)
        if arguments:
            assert (played.rc, played.result["outcome"]) == (0, "planned"), played.text
            continue
        assert (played.rc, played.result["outcome"], played.result["ok"]) == (2, "still_failing", False), played.text
        assert "still failing: bronze_staleness" in played.summary
        assert "no change was needed" not in played.summary
        assert "did nothing: a reset cannot fix what is failing" in played.summary
        assert "no new event arrives" in played.summary
        assert "edge function and its sources" in played.summary


def test_repaired_and_still_failing(broken: Pipeline, stage: Stage) -> None:
    broken.execute(SILENT[0])
    played = stage.play("emergency_reset", broken.dsn)
    assert (played.rc, played.result["outcome"]) == (2, "still_failing"), played.text
    assert played.result["ingestion"] == "running"
    assert broken.pending() == 0
    assert "still failing: bronze_staleness" in played.summary
    assert "edge function and its sources" in played.summary
