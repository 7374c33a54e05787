# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The recovery of a window as a person runs it: what is paused, made again, said, and left alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.integration.windows import Case, damaged
from tests.scout.damage import Window

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
NEGATIVE = "SELECT transaction_id, total_amount FROM scout.silver_transactions WHERE total_amount < 0 ORDER BY 1"
KINDS = (
    "rows_missing",
    "totals_wrong",
    "lines_dropped",
    "rows_extra",
    "corrections_beyond_the_end",
    "poison_pending",
    "older_pending",
)


def damaged_window(pipeline: Pipeline) -> tuple[Case, dict[str, str]]:
    """Twenty hours of damage, with older events pending outside, and the options that select them."""
    now = datetime.now(UTC)
    case = damaged(pipeline.dsn, Window(now - timedelta(hours=20), now - timedelta(hours=1)), *KINDS)
    options = case.window.options
    return case, {name: options[name] for name in ("window_start", "window_end")} | {"incident": "INC-1"}


def test_a_recovery_from_check_to_the_undo(healthy: Pipeline, stage: Stage) -> None:
    """The check writes nothing, the run recovers and resumes, the same again changes nothing, and an undo takes it back."""
    case, options = damaged_window(healthy)
    active, before, negative = healthy.active_jobs(), healthy.fingerprint(), healthy.rows(NEGATIVE)
    assert negative
    planned = stage.play("window_recovery", healthy.dsn, "--check", **options)
    assert planned.rc == 0, planned.text
    assert planned.result["outcome"] == "planned"
    assert healthy.fingerprint() == before
    played = stage.play("window_recovery", healthy.dsn, **options)
    assert played.rc == 0, played.text
    assert played.result["ingestion"] == "running"
    assert healthy.active_jobs() == active
    case.check()
    run_id = played.result["move"]["run_id"]
    assert f"playbooks/undo.yml -e run_id={run_id}" in played.summary
    again = stage.play("window_recovery", healthy.dsn, **options)
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
    undone = stage.play("undo", healthy.dsn, run_id=run_id)
    assert undone.rc == 0, undone.text
    assert undone.result["ingestion"] == "running"
    # The playbook drains before it resumes, so what had been pending is loaded; what had been wrong is wrong again.
    assert healthy.rows(NEGATIVE) == negative
    assert healthy.unaccounted([*case.written]) == []


def test_what_cannot_be_recovered_leaves_ingestion_paused(healthy: Pipeline, stage: Stage) -> None:
    """Told to stop at poison, it does, and stays paused; without that the same command finishes and resumes."""
    case, options = damaged_window(healthy)
    stopped = stage.play("window_recovery", healthy.dsn, poison="stop", **options)
    assert stopped.rc == 2, stopped.text
    assert stopped.result["ingestion"] == "paused"
    assert not JOBS & healthy.active_jobs()
    finished = stage.play("window_recovery", healthy.dsn, **options)
    assert finished.rc == 0, finished.text
    assert finished.result["ingestion"] == "running"
    assert healthy.active_jobs() >= JOBS
    case.check()
