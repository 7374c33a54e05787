# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A command that leaves the pipeline without what it was typed for does not end with 0, and what it prints leads on."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage

ETL, LINKING, GOLD = JOBS = ("bronze-to-silver-etl", "product-linking", "smart-gold-refresh")
DISABLE = "UPDATE cron.job SET active = false WHERE jobname = '{}'"


@pytest.fixture
def without_etl(healthy: Pipeline) -> Pipeline:
    """A pipeline whose ETL job somebody switched off."""
    healthy.execute(DISABLE.format(ETL))
    return healthy


def one_line(text: str) -> str:
    return " ".join(text.split())


def test_a_named_job_is_re_enabled_beside_those_of_a_pause(without_etl: Pipeline, stage: Stage) -> None:
    """What the reset prints leads to its end, and not back to itself."""
    library.gold_stale(without_etl.dsn)
    reset = stage.play("emergency_reset", without_etl.dsn)
    assert reset.rc == 2, reset.text
    named = json.dumps({"scout_activate_jobs": [ETL]})
    assert f"resume_ingestion -e '{named}'" in one_line(reset.summary)
    resumed = stage.play("resume_ingestion", without_etl.dsn, activate_jobs=[ETL])
    assert resumed.rc == 0, resumed.text
    assert without_etl.active_jobs() >= {*JOBS}
    assert "resumed 3 jobs" in resumed.summary


def test_a_pause_ends_with_what_it_took_where_no_job_is_typed(without_etl: Pipeline, stage: Stage) -> None:
    """An inventory says which jobs count, not which of them are to be active."""
    assert stage.play("pause_ingestion", without_etl.dsn).rc == 0
    resumed = stage.play("resume_ingestion", without_etl.dsn, scout_ingestion_jobs=[ETL, LINKING, GOLD])
    assert ETL not in without_etl.active_jobs()
    assert resumed.rc == 2, resumed.text


def test_a_part_of_the_pipeline_is_not_resumed_for_all_of_it(without_etl: Pipeline, stage: Stage) -> None:
    without_etl.execute(DISABLE.format(LINKING))
    resumed = stage.play("resume_ingestion", without_etl.dsn, ingestion_jobs=[LINKING])
    assert resumed.rc == 2, resumed.text
    assert f"{ETL} is inactive, so nothing loads" in one_line(resumed.summary)


@pytest.mark.parametrize("stale", [False, True], ids=["nothing to repair", "stale gold"])
def test_jobs_that_no_pause_explains_are_reported_until_they_are_active(
    healthy: Pipeline, stage: Stage, stale: bool
) -> None:
    """The reset and the resume fail, and what either prints leads to the end of it."""
    for job in JOBS:
        healthy.execute(DISABLE.format(job))
    if stale:
        library.gold_stale(healthy.dsn)
    reset = stage.play("emergency_reset", healthy.dsn)
    assert reset.rc == 2, reset.text
    resumed = stage.play("resume_ingestion", healthy.dsn)
    assert (resumed.rc, resumed.result["ingestion"]) == (2, "paused"), resumed.text
    assert stage.play("resume_ingestion", healthy.dsn, "--check").rc == 2
    assert not {*JOBS} & healthy.active_jobs()
    assert "SELECT cron.alter_job(1, active => true)" in one_line(resumed.summary)
    assert 'resume_ingestion -e \'{"scout_activate_jobs": ["bronze-to-silver-etl"' in one_line(reset.summary)
    assert f"resume_ingestion -e '{json.dumps({'scout_activate_jobs': JOBS})}'" in one_line(resumed.summary)
    activated = stage.play("resume_ingestion", healthy.dsn, activate_jobs=list(JOBS))
    assert activated.rc == 0, activated.text
    assert healthy.active_jobs() >= {*JOBS}


def test_a_load_job_that_is_off_is_reported_without_a_proof_too(without_etl: Pipeline, stage: Stage) -> None:
    resumed = stage.play("resume_ingestion", without_etl.dsn, proof=False)
    assert resumed.rc == 2, resumed.text
    assert ETL in resumed.summary


def test_running_does_not_hide_a_job_that_is_off(without_etl: Pipeline, stage: Stage) -> None:
    fresh = stage.play("refresh_gold", without_etl.dsn)
    assert f"now ingestion is running without {ETL}" in one_line(fresh.summary)
    seen = stage.play("assess", without_etl.dsn)
    assert f"now ingestion is running without {ETL}" in one_line(seen.summary)


def test_gold_is_not_fresh_for_long_without_its_job(healthy: Pipeline, stage: Stage) -> None:
    healthy.execute(DISABLE.format(GOLD))
    library.gold_stale(healthy.dsn)
    refreshed = stage.play("refresh_gold", healthy.dsn)
    assert refreshed.rc == 2, refreshed.text
    said = one_line(refreshed.summary)
    assert "did refreshed scout." in said
    assert f"{GOLD} is inactive, so nothing refreshes gold" in said
    assert "SELECT cron.alter_job(" in said
    assert "paused" not in said
    assert LINKING in healthy.active_jobs()
    healthy.execute(DISABLE.replace("false", "true").format(GOLD))
    library.gold_stale(healthy.dsn)
    assert stage.play("refresh_gold", healthy.dsn).rc == 0


BREAKS = """
CREATE FUNCTION scout.refuses() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.transaction_id = '{sale}' THEN PERFORM scout.not_there(); END IF;
    RETURN NEW;
END; $$;
CREATE TRIGGER refuses BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.refuses();
"""


def test_a_resume_says_which_recovery_is_not_finished(healthy: Pipeline, stage: Stage) -> None:
    """Its ETL works for test sales, and not for one that the recovery is about."""
    window = library.lost_window(healthy.dsn)
    healthy.execute("SELECT scout.load_silver_from_bronze(2000)")
    options: dict[str, Any] = {name: at.isoformat() for name, at in window.items()}
    sale = healthy.one(
        "SELECT b.event_data ->> 'transaction_id' FROM scout.bronze_events AS b WHERE b.event_type = 'transaction.v1'"
        " AND b.ingested_at >= %s AND b.ingested_at < %s AND NOT EXISTS"
        " (SELECT FROM scout.silver_transactions AS t WHERE t.transaction_id = b.event_data ->> 'transaction_id') LIMIT 1",
        *window.values(),
    )
    healthy.execute(BREAKS.format(sale=sale))
    assert stage.play("window_recovery", healthy.dsn, **options).rc == 2
    resumed = stage.play("resume_ingestion", healthy.dsn)
    assert resumed.rc == 2, resumed.text
    said = one_line(resumed.summary)
    assert "did resumed 3 jobs" in said
    assert "now ingestion is running" in said
    assert "ingestion is resumed, but window recovery run" in said
    assert "function scout.not_there() does not exist" in said
    assert "scout.recovery.assess has the command that goes on with it" in said
    assert "scout.recovery.window_recovery -e" in one_line(stage.play("assess", healthy.dsn).summary)
    assert stage.play("resume_ingestion", healthy.dsn).rc == 0
