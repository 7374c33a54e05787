# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nobody has a superuser every playbook works: of an operator as docs/hosted.md makes one, and of the owner himself."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.integration.hosted.test_owner_and_operator import done as handed_over
from tests.integration.hosted.test_owner_and_operator import operator
from tests.integration.modules import connect
from tests.integration.modules import jobs as jobs_of
from tests.integration.outcomes import scout_tables
from tests.integration.pooler import opened
from tests.integration.release import third_judge
from tests.scout.hosted import Hosted

POISONS = list(poison_payloads.KINDS)[:10]
EVENTS = "SELECT array_agg(event_id) FROM scout.bronze_events"
#: What a team should not have deployed: a loader that fails, a column too many, and a job that is off.
MIGRATION = (
    "ALTER TABLE scout.silver_transactions ADD COLUMN loyalty text",
    """CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
       RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
       LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'v5.3.0 cannot load'; END $$""",
    "CREATE TABLE scout.loyalty (id int PRIMARY KEY, name text)",
)
#: And of its jobs, as whoever owns them by then.
JOB = "SELECT cron.alter_job(jobid, schedule => '*/7 * * * *', active => false) FROM cron.job WHERE jobname = 'product-linking'"
JOBS_OF = {True: "neondb_owner", False: "scout_owner"}

#: Each with the way that is open there.
KINDS = pytest.mark.parametrize(
    ("hosted", "as_owner"),
    [("supabase", False), ("neon", True), ("rds", True)],
    indirect=["hosted"],
    ids=["operator", "owner", "elsewhere"],
)


@KINDS
def test_every_playbook_works(hosted: Hosted, as_owner: bool, stage: Stage) -> None:
    """Those of the operator by Ansible, as an inventory has the host; those of owners in this process."""
    works(hosted, role(hosted, as_owner), as_owner, stage)


@KINDS
def test_every_playbook_works_through_a_transaction_pooler(hosted: Hosted, as_owner: bool, stage: Stage) -> None:
    """Where pg_cron is in another database, both sessions go through it, and the playbooks are Ansible's."""
    with opened(role(hosted, as_owner), hosted.superuser) as pooler:
        works(hosted, pooler.dsn, as_owner, stage)


def role(hosted: Hosted, as_owner: bool) -> str:
    return hosted.owner if as_owner else operator(hosted, "-v", "rollback=on")


def of_jobs(hosted: Hosted) -> list[tuple[Any, ...]]:
    """What is scheduled, whatever the numbers are."""
    return [job[1:] for job in jobs_of(hosted.cron)]


def works(hosted: Hosted, dsn: str, as_owner: bool, stage: Stage) -> None:
    """An incident, rows moved and moved back, and a rollback, each by its playbooks."""
    host: dict[str, Any] = {"scout_allow_owner": True} if as_owner else {}
    if elsewhere := hosted.cron != hosted.superuser:
        host["scout_cron_dsn"] = "dbname=postgres"
    inventory = stage.home / "hosts.yml"
    inventory.write_text(yaml.safe_dump({"scout": {"hosts": {"luzon": {"scout_dsn": dsn, **host}}}}))
    pipeline = Pipeline(hosted.superuser)
    jobs, events = of_jobs(hosted), pipeline.one(EVENTS)

    def play(playbook: str, *words: str, **more: Any) -> Played:
        if isinstance(stage, Stage):
            return stage.play(playbook, dsn, *words, **host, **more)
        return stage.play(playbook, None, "-i", str(inventory), *words, **more)

    def done(playbook: str, **more: Any) -> Played:
        played = play(playbook, **more)
        assert played.rc == 0, played.text
        return played

    assert "nothing is missing" in done("preflight").summary
    done("assess")
    done("capture_release", release="v5.2.1")
    before, third = dump(hosted.superuser, "-s", "-n", "scout"), third_judge.seen(hosted.superuser)

    # An incident.
    library.backlog(hosted.superuser, 50)
    poison = [library.poison_event(hosted.superuser, kind) for kind in POISONS]
    library.gold_stale(hosted.superuser)
    reset = done("emergency_reset")
    assert len(reset.result["poison"]) == len(poison)
    assert reset.result["ingestion"] == "running"
    assert of_jobs(hosted) == jobs
    healthy = scout_tables(hosted.superuser)
    again = done("emergency_reset")
    assert "did nothing: no change was needed" in again.summary
    assert scout_tables(hosted.superuser) == healthy
    done("pause_ingestion", reason="to see it")
    assert of_jobs(hosted) != jobs
    done("resume_ingestion")
    assert of_jobs(hosted) == jobs
    done("dead_letters")
    done("refresh_gold")
    done("terminate_sessions")

    # Rows moved, and taken back.
    healthy = scout_tables(hosted.superuser)
    start, end = pipeline.rows("SELECT (now() - interval '30 hours')::text, (now() - interval '5 minutes')::text")[0]
    moved = done("quarantine", window_start=start, window_end=end, max_rows=100000)
    assert scout_tables(hosted.superuser) != healthy
    assert moved.result["undo"]
    done("undo", run_id="last")
    taken_back = scout_tables(hosted.superuser)
    for table in ("bronze_events", "silver_transactions", "silver_line_items", "etl_processed", "bronze_events_dlq"):
        assert taken_back[f"scout.{table}"] == healthy[f"scout.{table}"], table
    done("quality_cleanup")
    done("window_recovery", window_start=start, window_end=end, max_rows=100000)
    done("runs")
    done("assess", save_evidence=True)

    # On a slow machine the newest sale is too old by now.
    with connect(hosted.superuser) as shop:
        generator.insert(shop, generator.transaction(24, 1))

    # A release that should not have been made, and is not there any more.
    Pipeline(hosted.owner).execute(*MIGRATION)
    Pipeline(make_conninfo(hosted.owner, dbname="postgres") if elsewhere else hosted.of(JOBS_OF[as_owner])).execute(JOB)
    if not as_owner:
        # What the migration made is the owner's, and so printed.
        refused = play("rollback", release="v5.2.1", rehearse=False)
        assert refused.rc == 2
        assert "the rights of owner postgres" in refused.summary
        assert "-f docs/pipeline_owner.sql then run the same command again" in refused.summary
        handed_over(hosted.owner, "pipeline_owner.sql")
    broken = dump(hosted.superuser, "-s", "-n", "scout")
    assert broken != before
    checked = play("rollback", "--check", release="v5.2.1", rehearse=False)
    assert checked.rc == 0, checked.text
    assert dump(hosted.superuser, "-s", "-n", "scout") == broken
    done("rollback", release="v5.2.1", rehearse=False)
    assert dump(hosted.superuser, "-s", "-n", "scout") == before
    assert third_judge.disagrees(hosted.superuser, third) == ""
    assert of_jobs(hosted) == jobs
    done("acceptance_gate")
    assert pipeline.unaccounted(events) == []
