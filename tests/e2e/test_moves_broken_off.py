# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves from the command line that are broken off anywhere, meet others, and are gone on with."""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import holding
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.crashing import killed_at_every_boundary
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Running, Stage, eventually
from tests.integration.modules import expire_lease

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
PIPELINE = ("bronze_events", "bronze_events_dlq", "etl_processed", "silver_transactions", "silver_line_items")
ROWS = "SELECT md5(string_agg(t::text, '/' ORDER BY t::text)) FROM scout.{} AS t"

#: The sales of the back office correct earlier ones, so each shares its transaction with an event that stays.
CORRECTIONS = {"source_systems": ["backoffice"]}

#: Each event takes so long to leave bronze.
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN OLD; END $$;
CREATE TRIGGER slowly BEFORE DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION public.slowly()
"""
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
FAST = "DROP TRIGGER slowly ON scout.bronze_events; DROP FUNCTION public.slowly()"

#: Every event is in bronze or, unresolved, in the dead letter queue, and only in one of the two.
ASTRAY = """
SELECT e.event_id FROM unnest(%s::uuid[]) AS e (event_id)
WHERE (SELECT count(*) FROM scout.bronze_events AS b WHERE b.event_id = e.event_id)
    + (SELECT count(*) FROM scout.bronze_events_dlq AS d
       WHERE d.error_details #>> '{event,event_id}' = e.event_id::text AND d.resolved_at IS NULL) <> 1
"""


def rows_of(pipeline: Pipeline) -> dict[str, str]:
    """The tables of the pipeline, to the last microsecond."""
    return {table: pipeline.one(ROWS.format(table)) for table in PIPELINE}


def moved(played: Played) -> dict[str, Any]:
    """What the move of a run says of itself."""
    return played.result["move"]


def test_no_worker_outlives_a_controller_that_was_killed(healthy: Pipeline, stage: Stage) -> None:
    """A batch is not broken off, so a signal alone would wait for its statement, with the session and its locks."""
    before = rows_of(healthy)
    healthy.execute(SLOW.format(60))
    with stage.start("quarantine", healthy.dsn, "-e", f"scout_event_ids={healthy.events()[0]}") as running:
        eventually(lambda: healthy.rows(SLEEPING), 30, "the batch")
        workers = running.workers()
        os.killpg(running.process.pid, signal.SIGKILL)
        running.wait()
        assert healthy.lingering() == []
        eventually(lambda: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers), 5, "the end of its workers")
    healthy.execute(FAST)
    assert rows_of(healthy) == before


@pytest.fixture
def second_half(healthy: Pipeline) -> dict[str, str]:
    """The window of the later half of all events."""
    middle = healthy.one("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ingested_at) FROM scout.bronze_events")
    return {"window_start": middle.isoformat()}


def test_a_typed_list_and_an_unknown_id(healthy: Pipeline, stage: Stage) -> None:
    known = str(healthy.events()[0])
    unknown = "00000000-0000-4000-8000-000000000000"
    typed = stage.play("quarantine", healthy.dsn, "-e", f"scout_event_ids={known},{unknown}", pause=False)
    assert typed.rc == 0, typed.text
    assert moved(typed)["moved"]["events"] == 1
    assert "1 given event id not in bronze" in typed.summary
    as_json = stage.play("quarantine", healthy.dsn, "-e", 'scout_source_systems=["backoffice","pos"]')
    assert (as_json.rc, as_json.result["error"]["kind"]) == (2, "bad_input"), as_json.text


def test_beside_another_operator_it_is_refused(healthy: Pipeline, stage: Stage, second_half: dict[str, str]) -> None:
    healthy.execute(SLOW.format(0.02))
    with stage.start("quarantine", healthy.dsn, **second_half) as running:
        eventually(healthy.lease_owner, 20, "the lease")
        other = Stage(stage.home / "other")
        other.home.mkdir()
        refused = other.play("quarantine", healthy.dsn, **CORRECTIONS)
        assert refused.rc == 2
        assert "has been working on incident" in refused.summary
        healthy.execute(FAST)
        assert running.wait(120).rc == 0


def kill(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGKILL)


def interrupt(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGINT)


@pytest.mark.parametrize("end", [kill, interrupt])
def test_broken_off_between_batches_it_goes_on(
    healthy: Pipeline, stage: Stage, second_half: dict[str, str], end: Callable[[Running], None]
) -> None:
    """What was committed stays, whole batches only; the same command finishes the same window under the same run."""
    before, events = rows_of(healthy), healthy.events()
    wanted = healthy.one(
        "SELECT count(*) FROM scout.bronze_events WHERE ingested_at >= %s", second_half["window_start"]
    )
    healthy.execute(SLOW.format(0.005))
    with stage.start("quarantine", healthy.dsn, target_seconds=0.3, **second_half) as running:
        eventually(lambda: healthy.one("SELECT count(*) FROM scout.bronze_events_dlq") > 0, 40, "the first batch")
        end(running)
        ended = running.wait()
        assert ended.rc != 0
        assert healthy.lingering() == []
    left = healthy.one("SELECT count(*) FROM scout.bronze_events_dlq")
    assert 0 < left < wanted
    assert healthy.rows(ASTRAY, events) == []
    assert healthy.active_jobs().isdisjoint({"bronze-to-silver-etl"})
    healthy.execute(FAST)
    expire_lease(healthy.dsn)
    resumed = stage.play("quarantine", healthy.dsn, **second_half, target_seconds=0.3)
    assert resumed.rc == 0, resumed.text
    assert "continuing interrupted run" in resumed.text
    assert healthy.one("SELECT count(DISTINCT error_details ->> 'run_id') FROM scout.bronze_events_dlq") == 1
    assert moved(resumed)["moved"]["events"] == wanted
    assert (healthy.rows(ASTRAY, events), healthy.active_jobs() >= JOBS) == ([], True)
    assert stage.play("undo", healthy.dsn, run_id=moved(resumed)["run_id"]).rc == 0
    assert rows_of(healthy) == before


def test_killed_at_every_task_boundary(pg_server: Server, scout_template: builder.Template, stage: Stage) -> None:
    """One database for every boundary, as a run that dies there leaves it, and the same command finishes its work."""
    numbers = itertools.count(1)

    def another() -> Pipeline:
        return Pipeline(scout_template.clone(f"move_crash_{next(numbers)}"))

    with killed_at_every_boundary(pg_server, another, stage, "quarantine", range(3, 17), **CORRECTIONS) as pipelines:
        assert len(pipelines) == 14
        events = pipelines[3].events()
        hosts = {f"before_task_{at}": {"scout_dsn": pipeline.dsn} for at, pipeline in pipelines.items()}
        played = stage.play("quarantine", None, "-i", stage.inventory(hosts), "--forks", "4", **CORRECTIONS)
        assert played.rc == 0, played.text
        for at, pipeline in pipelines.items():
            assert pipeline.one("SELECT count(*) FROM scout.bronze_events_dlq") == 10, at
            assert (pipeline.pending(), pipeline.rows(ASTRAY, events)) == (0, []), at
            assert pipeline.active_jobs() >= JOBS, at
            assert pipeline.lease_owner() is None, at


def test_a_session_that_keeps_a_row_is_named(healthy: Pipeline, stage: Stage) -> None:
    events = healthy.events()
    with holding(healthy.dsn, "loader") as held:
        held.hold("etl", "SELECT FROM scout.bronze_events WHERE source_system = 'backoffice' FOR UPDATE")
        refused = stage.play("quarantine", healthy.dsn, pause=False, **CORRECTIONS)
        assert refused.rc == 2
        assert "locks are held by pid" in refused.summary
        held.close()
    assert healthy.rows(ASTRAY, events) == []
    assert stage.play("quarantine", healthy.dsn, pause=False, **CORRECTIONS).rc == 0
