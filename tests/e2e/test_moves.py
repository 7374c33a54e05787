# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves from the command line: planned, done, done again, broken off anywhere and gone on with, and taken back."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import PLUGINS, Played, Running, Stage, eventually
from tests.scout import reference
from tests.scout.sessions import holding

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
FAST = "DROP TRIGGER slowly ON scout.bronze_events; DROP FUNCTION public.slowly()"

CRASHING = {
    "ANSIBLE_CALLBACK_PLUGINS": str(PLUGINS / "callback_plugins"),
    "ANSIBLE_CALLBACKS_ENABLED": "scout.recovery.summary,crash",
}

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


@pytest.fixture
def second_half(healthy: Pipeline) -> dict[str, str]:
    """The window of the later half of all events."""
    middle = healthy.one("SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY ingested_at) FROM scout.bronze_events")
    return {"window_start": middle.isoformat()}


def test_planned_done_listed_and_taken_back(healthy: Pipeline, stage: Stage) -> None:
    before, untouched, events = rows_of(healthy), healthy.fingerprint(), healthy.events()
    plan = stage.home / "plan.json"

    planned = stage.play(
        "quarantine", healthy.dsn, "--check", "--diff", plan_file=str(plan), incident="INC-9", **CORRECTIONS
    )
    assert planned.rc == 0, planned.text
    assert healthy.fingerprint() == untouched
    assert "nothing was written but the plan" in planned.summary

    done = stage.play("quarantine", healthy.dsn, plan_file=str(plan), incident="INC-9")
    assert done.rc == 0, done.text
    assert moved(done)["moved"]["events"] == moved(planned)["moved"]["events"] == 10
    assert moved(done)["requeued"] == 10
    assert "10 events, 10 transactions" in done.summary
    assert f"undo.yml -e run_id={moved(done)['run_id']}" in done.summary
    assert (healthy.pending(), healthy.rows(ASTRAY, events), healthy.active_jobs() >= JOBS) == (0, [], True)

    again = stage.play("quarantine", healthy.dsn, plan_file=str(plan), incident="INC-9")
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
    assert "has been applied by run" in again.summary

    listed = stage.play("runs", healthy.dsn, of_incident="INC-9")
    assert moved(done)["run_id"] in listed.text
    assert "can be undone" in listed.text

    undone = stage.play("undo", healthy.dsn, run_id=moved(done)["run_id"])
    assert undone.rc == 0, undone.text
    assert rows_of(healthy) == before
    twice = stage.play("undo", healthy.dsn, run_id=moved(done)["run_id"])
    assert (twice.rc, twice.recap()["changed"]) == (0, 0), twice.text
    assert healthy.lease_owner() is None


def test_without_a_pause(healthy: Pipeline, stage: Stage, second_half: dict[str, str]) -> None:
    before = rows_of(healthy)
    done = stage.play("quarantine", healthy.dsn, pause=False, refresh=False, **second_half)
    assert done.rc == 0, done.text
    assert "paused" not in done.summary
    assert healthy.active_jobs() >= JOBS
    assert stage.play("undo", healthy.dsn, pause=False, run_id=moved(done)["run_id"]).rc == 0
    assert rows_of(healthy) == before


def test_a_typed_list_and_an_unknown_id(healthy: Pipeline, stage: Stage) -> None:
    known = str(healthy.events()[0])
    unknown = "00000000-0000-4000-8000-000000000000"
    typed = stage.play("quarantine", healthy.dsn, "-e", f"event_ids={known},{unknown}", pause=False)
    assert typed.rc == 0, typed.text
    assert moved(typed)["moved"]["events"] == 1
    assert "1 given event id not in bronze" in typed.summary
    as_json = stage.play("quarantine", healthy.dsn, "-e", 'source_systems=["backoffice"]', "--check")
    assert moved(as_json)["moved"]["events"] > 0, as_json.text


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "refused to select everything"),
        ({"window_start": "2026-11-25T01:00"}, "has no offset"),
        ({"window_start": "2026-11-25T02:00Z", "window_end": "2026-11-25T01:00Z"}, "the window ends before it starts"),
        ({"window_start": "yesterday"}, "'yesterday' is not a time"),
        ({"event_ids": ["4711"]}, "'4711' is not an event id"),
        ({"payload_path": "$.total <"}, "is not a JSON path"),
        ({"window_start": "2000-01-01T00:00Z", "max_rows": 5}, "refused to move 2,000 events: max_rows is 5"),
        ({"window_start": "2000-01-01T00:00Z", "ledger": "off"}, "ledger=off"),
        ({"plan_file": "/nowhere/plan.json"}, "could not read plan_file"),
    ],
)
def test_what_cannot_be_used_is_named_and_changes_nothing(
    healthy: Pipeline, stage: Stage, options: dict[str, Any], said: str
) -> None:
    before = healthy.fingerprint()
    refused = stage.play("quarantine", healthy.dsn, **options)
    assert refused.rc == 2, refused.text
    assert said in refused.summary
    after = healthy.fingerprint()
    assert {k: v for k, v in after.items() if not k.startswith("scout_ops")} == {
        k: v for k, v in before.items() if not k.startswith("scout_ops")
    }
    assert healthy.active_jobs() >= JOBS


def test_a_move_that_fails_leaves_it_paused_and_says_how_to_go_on(healthy: Pipeline, stage: Stage) -> None:
    events = healthy.events()
    healthy.execute(
        "CREATE FUNCTION public.drop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE TRIGGER drop BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW EXECUTE FUNCTION public.drop()",
    )
    failed = stage.play("quarantine", healthy.dsn, **CORRECTIONS)
    assert failed.rc == 2, failed.text
    assert "could not be proved safe" in failed.summary
    assert "ingestion is paused" in failed.summary
    assert healthy.rows(ASTRAY, events) == []
    assert healthy.active_jobs().isdisjoint({"bronze-to-silver-etl"})
    healthy.execute("DROP TRIGGER drop ON scout.bronze_events_dlq")
    mended = stage.play("quarantine", healthy.dsn, **CORRECTIONS)
    assert mended.rc == 0, mended.text
    assert healthy.active_jobs() >= JOBS
    assert healthy.pending() == 0


def test_beside_another_operator_it_is_refused(healthy: Pipeline, stage: Stage, second_half: dict[str, str]) -> None:
    healthy.execute(SLOW.format(0.02))
    with stage.start("quarantine", healthy.dsn, **second_half) as running:
        eventually(healthy.lease_owner, 20, "the lease")
        other = Stage(stage.home / "other")
        other.home.mkdir()
        refused = other.play("quarantine", healthy.dsn, **CORRECTIONS)
        assert refused.rc == 2
        assert "is at work" in refused.summary
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
        assert running.wait().rc != 0
        eventually(lambda: not healthy.ours(), 10, "the end of its sessions")
    left = healthy.one("SELECT count(*) FROM scout.bronze_events_dlq")
    assert 0 < left < wanted
    assert healthy.rows(ASTRAY, events) == []
    assert healthy.active_jobs().isdisjoint({"bronze-to-silver-etl"})
    healthy.execute(FAST)
    resumed = stage.play("quarantine", healthy.dsn, **second_half, target_seconds=0.3)
    assert resumed.rc == 0, resumed.text
    assert "going on with run" in resumed.text
    assert healthy.one("SELECT count(DISTINCT error_details ->> 'run_id') FROM scout.bronze_events_dlq") == 1
    assert moved(resumed)["moved"]["events"] == wanted
    assert (healthy.rows(ASTRAY, events), healthy.active_jobs() >= JOBS) == ([], True)
    assert stage.play("undo", healthy.dsn, run_id=moved(resumed)["run_id"]).rc == 0
    assert rows_of(healthy) == before


def test_killed_at_every_task_boundary(scout_template: reference.Template, stage: Stage) -> None:
    """One database for every boundary; each run dies there, and the same command finishes its work."""

    def crash(at: int, pipeline: Pipeline) -> int:
        alone = Stage(stage.home / f"crash{at}")
        alone.home.mkdir()
        return alone.play("quarantine", pipeline.dsn, env={**CRASHING, "SCOUT_CRASH_AT": str(at)}, **CORRECTIONS).rc

    boundaries = range(3, 15)
    pipelines = {at: Pipeline(scout_template.clone(f"move_crash_{at}")) for at in boundaries}
    events = pipelines[3].events()
    with ThreadPoolExecutor(2) as pool:
        codes = list(pool.map(crash, boundaries, pipelines.values()))
    assert codes == [-signal.SIGKILL] * len(boundaries)
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


def test_evidence_is_kept_before_the_first_write(healthy: Pipeline, stage: Stage) -> None:
    assert stage.play("quarantine", healthy.dsn, **CORRECTIONS).rc == 0
    assert [path for path in Path(stage.evidence).iterdir() if path.is_dir()]
