# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A playbook that leaves ingestion running sees the jobs work by themselves, or pauses again and says why."""

from __future__ import annotations

import os
import signal

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.deploying import REGIONS
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, eventually
from tests.integration.scheduler import installed

ETL = "bronze-to-silver-etl"
INGESTION = {ETL, "product-linking", "smart-gold-refresh"}
LOADS_NOTHING = f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = '{ETL}'"
TRIED = f"proof {ETL} loads as before, product-linking runs, smart-gold-refresh refreshes 2 views (tried as loader, rolled back)"


def test_a_reset_says_how_each_job_was_proved(broken: Pipeline, stage: Stage) -> None:
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 0, played.text
    assert TRIED in played.summary
    assert played.result["outcome"] == "recovered"
    assert played.result["proof"]["status"] == "proved"
    assert [each["how"] for each in played.result["proof"]["jobs"]] == ["trial", "trial", "trial"]


def test_what_our_own_drain_can_do_and_the_job_cannot_is_paused_again(broken: Pipeline, stage: Stage) -> None:
    broken.execute(LOADS_NOTHING)
    active = broken.active_jobs()
    played = stage.play("emergency_reset", broken.dsn)
    assert played.rc == 2, played.text
    assert played.result["outcome"] == "failed"
    assert played.result["ingestion"] == "paused"
    assert broken.active_jobs() == active - INGESTION
    assert broken.pending() == 0
    assert broken.lease_owner() is None
    for part in (
        "now ingestion is paused",
        "failed the pipeline does not work by itself on",
        f"{ETL} was tried as loader, rolled back: it ran and loaded nothing",
        "undo ansible-playbook scout.recovery.resume_ingestion re-enables the jobs",
        "ansible-playbook scout.recovery.emergency_reset",
    ):
        assert part in played.summary, played.text
    broken.execute(f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5)' WHERE jobname = '{ETL}'")
    resumed = stage.play("resume_ingestion", broken.dsn)
    assert resumed.rc == 0, resumed.text
    assert TRIED in resumed.summary
    assert broken.active_jobs() == active


def test_without_a_proof_it_is_left_running(broken: Pipeline, stage: Stage) -> None:
    broken.execute(LOADS_NOTHING)
    active = broken.active_jobs()
    played = stage.play("emergency_reset", broken.dsn, proof=False)
    assert played.rc == 2, played.text
    now = "now ingestion is running, still failing: jobs_present proof unproven, because proof=false"
    assert now in played.summary, played.text
    assert broken.active_jobs() == active


def test_nothing_is_proved_where_nothing_is_resumed(broken: Pipeline, stage: Stage) -> None:
    broken.execute(LOADS_NOTHING)
    for arguments, options in ((["--check"], {}), ([], {"resume": False})):
        played = stage.play("emergency_reset", broken.dsn, *arguments, **options)
        assert played.rc == 0, played.text
        assert played.result["proof"] is None


def test_a_change_prints_the_command_that_stops_ingestion_and_the_one_that_accepts_it(
    broken: Pipeline, stage: Stage
) -> None:
    """Nobody is told to roll back: the change may be meant."""
    assert stage.play("capture_release", broken.dsn, release="v5.2.1").rc == 0
    broken.execute(REGIONS)
    played = stage.play("emergency_reset", broken.dsn)
    assert (played.rc, played.result["proof"]["status"], played.result["ingestion"]) == (2, "changed", "running")
    pause, capture = played.result["commands"]
    assert pause == "ansible-playbook scout.recovery.pause_ingestion"
    assert pause in played.summary
    assert capture in played.summary
    playbook, release = capture.removeprefix("ansible-playbook scout.recovery.").split(" -e scout_release=")
    assert stage.play(playbook, broken.dsn, release=release).rc == 0
    accepted = stage.play("emergency_reset", broken.dsn)
    assert (accepted.rc, accepted.result["proof"]["status"]) == (0, "proved"), accepted.text


def test_where_nothing_had_to_be_done_a_job_that_does_nothing_is_found(healthy: Pipeline, stage: Stage) -> None:
    """Nothing was resumed, so nothing is paused again."""
    healthy.execute(LOADS_NOTHING)
    before = healthy.fingerprint()
    played = stage.play("emergency_reset", healthy.dsn)
    assert played.rc == 2, played.text
    assert "now ingestion is running, still failing: jobs_present, but it does not work by itself" in played.summary
    assert healthy.fingerprint().items() >= before.items()


def test_other_playbooks_prove_what_they_leave_running(broken: Pipeline, stage: Stage) -> None:
    library.gold_unpopulated(broken.dsn)
    refreshed = stage.play("refresh_gold", broken.dsn)
    assert refreshed.rc == 2, refreshed.text
    assert "the pipeline does not work by itself" in refreshed.summary  # for what is pending
    assert broken.active_jobs() >= INGESTION
    broken.execute("DELETE FROM scout.bronze_events AS b WHERE NOT EXISTS (SELECT FROM scout.etl_processed AS p "
                   "WHERE p.event_id = b.event_id) AND event_type = 'transaction.v1'")  # fmt: skip
    library.gold_unpopulated(broken.dsn)
    refreshed = stage.play("refresh_gold", broken.dsn)
    assert refreshed.rc == 0, refreshed.text
    assert TRIED in refreshed.summary
    broken.execute(LOADS_NOTHING)
    window = {"window_start": "2020-01-01T00:00Z", "window_end": "2030-01-01T00:00Z", "event_types": ["heartbeat.v1"]}
    moved = stage.play("quarantine", broken.dsn, drain=False, **window)
    assert moved.rc == 2, moved.text
    assert "the pipeline does not work by itself" in moved.summary
    assert not broken.active_jobs() & INGESTION
    # The same command continues: it resumes what carries its name, once that works.
    broken.execute(f"UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(5)' WHERE jobname = '{ETL}'")
    again = stage.play("quarantine", broken.dsn, drain=False, **window)
    assert again.rc == 0, again.text
    assert broken.active_jobs() >= INGESTION


def test_paused_for_somebody_a_refresh_proves_nothing(broken: Pipeline, stage: Stage) -> None:
    assert stage.play("pause_ingestion", broken.dsn).rc == 0
    played = stage.play("refresh_gold", broken.dsn)
    assert played.rc == 0, played.text
    assert " proof " not in played.summary


def test_a_scheduler_that_is_dead_is_found_and_ingestion_paused(broken: Pipeline, stage: Stage) -> None:
    installed(broken.dsn)
    played = stage.play("emergency_reset", broken.dsn, proof_timeout_seconds=4)
    assert played.rc == 2, played.text
    assert f"{ETL} did not start within 4.0 s" in played.summary
    assert played.result["ingestion"] == "paused"
    assert not broken.active_jobs() & INGESTION


def test_ctrl_c_while_it_waits_leaves_the_pipeline_running_and_unproven(healthy: Pipeline, stage: Stage) -> None:
    assert stage.play("pause_ingestion", healthy.dsn).rc == 0
    installed(healthy.dsn)
    with stage.start("resume_ingestion", healthy.dsn) as running:
        eventually(lambda: "next run of" in running.text, 60)
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc == 99, played.text
    assert healthy.active_jobs() >= INGESTION
