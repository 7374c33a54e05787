# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken pipelines that a reset cannot fix: it says what is wrong and what to type, and does not end well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.in_process import InProcess
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

LOADER = "bronze-to-silver-etl"

#: What is done, a cause, and what stands on the screen to be typed.
FAULTS = {
    "inactive": (f"UPDATE cron.job SET active = false WHERE jobname = '{LOADER}'", f"job {LOADER} inactive", "resume_ingestion.yml"),
    "gone": (f"DELETE FROM cron.job WHERE jobname = '{LOADER}'", f"no job does the work of {LOADER}", "SELECT cron.schedule("),
    "does nothing": (f"UPDATE cron.job SET command = 'SELECT 1' WHERE jobname = '{LOADER}'", "no job does the work", "cron.schedule("),
    "yearly": (f"UPDATE cron.job SET schedule = '0 0 1 1 *' WHERE jobname = '{LOADER}'", "is not due within a day", "cron.alter_job("),
    "view gone": ("DROP MATERIALIZED VIEW scout.gold_region_choropleth", "scout.gold_region_choropleth is missing", "create"),
    "key gone": (
        "ALTER TABLE scout.etl_processed DROP CONSTRAINT etl_processed_pkey", "has no unique index on (event_id)", "CREATE UNIQUE",
    ),
    "column renamed": (
        "ALTER TABLE scout.silver_line_items RENAME COLUMN product_key TO key", "product_key is missing", "RENAME COLUMN key",
    ),
}  # fmt: skip


@pytest.fixture
def hindered(healthy: Pipeline) -> Iterator[Pipeline]:
    """Jobs of a role of their own that may log in no more."""
    role = f"j_{abs(hash(healthy.dsn)):x}"
    healthy.execute(
        f"CREATE ROLE {role} NOLOGIN IN ROLE loader",
        f"UPDATE cron.job SET username = '{role}'",
        f"UPDATE cron.job_run_details SET username = '{role}'",
    )
    yield healthy
    healthy.execute("UPDATE cron.job SET username = 'loader'", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.parametrize("waiting", [0, 20])
def test_a_reset_names_what_it_cannot_fix(name: str, waiting: int, healthy: Pipeline, stage: Stage) -> None:
    statement, cause, typed = FAULTS[name]
    if waiting:
        library.backlog(healthy.dsn, count=waiting, age_seconds=1200)
    healthy.execute(statement)
    played = InProcess(stage, healthy.dsn).play("emergency_reset")
    assert (played.rc, played.result["ok"]) == (2, False), played.text
    assert cause in " ".join(each["cause"] for each in played.result["diagnoses"])
    assert typed in played.summary, played.text
    for untrue in ("nothing is failing", "no change was needed", "-vvv"):
        assert untrue not in played.summary


def test_a_role_that_may_not_log_in_is_named_by_preflight_and_reset(hindered: Pipeline, stage: Stage) -> None:
    looked = stage.play("preflight", hindered.dsn)
    assert looked.rc == 2, looked.text
    assert "nothing is missing" not in looked.summary
    assert f"job {LOADER} cannot work: its role" in looked.summary
    assert " LOGIN;" in looked.summary
    played = stage.play("emergency_reset", hindered.dsn)
    assert (played.rc, played.result["ok"]) == (2, False), played.text
    assert "job_rights" in played.summary
    assert " LOGIN;" in played.summary
