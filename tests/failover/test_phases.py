# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The primary is killed in the middle of an operation, and its standby promoted: the same command finishes it, and nothing is lost."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage, eventually
from tests.failover.fixtures import Paired
from tests.failover.pair import DATABASE, Pair
from tests.integration.modules import JOB_RUN, call, connect

#: A run of an action that has begun, as soon as others see it.
RUNNING = "SELECT FROM scout_ops.runs WHERE action = '{}' AND status = 'running'"
#: Part of the events, or of the dead letters, has gone.
BEGUN = {
    "drain": RUNNING.format("drain"),
    "quarantine": "SELECT FROM scout.bronze_events_dlq HAVING count(*) > 0",
    "rollback": RUNNING.format("rollback"),
}
#: Every row takes so long.
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.02); RETURN coalesce(NEW, OLD); END $$;
CREATE TRIGGER slowly BEFORE INSERT OR DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION public.slowly()
"""
RELEASE = "ALTER TABLE scout.alerts ADD COLUMN team text; CREATE VIEW scout.seen AS SELECT team FROM scout.alerts"


@contextlib.contextmanager
def killed_once(pair: Pair, true: str) -> Iterator[None]:
    """The primary dies as soon as the query returns a row there, and its standby is promoted."""
    over, done = threading.Event(), threading.Event()

    def watch() -> None:
        with connect(pair.first.dsn(DATABASE)) as connection:
            while not over.wait(0.01):
                with contextlib.suppress(psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName):
                    if connection.execute(true).fetchone() is not None:  # type: ignore[call-overload]
                        break
        if not over.is_set():
            pair.fail_over()
            done.set()

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
    assert done.is_set(), "it came to its end before"


def play(home: Path, playbook: str, dsn: str, **options: Any) -> Played:
    """What the playbook comes to."""
    return Stage(home).play(playbook, dsn, **options)


def broken(pair: Pair) -> tuple[list[Any], set[str]]:
    """A pipeline to be reset: its events, and the jobs that are active."""
    dsn = pair.first.dsn(DATABASE)
    library.backlog(dsn, count=60, age_seconds=1200)
    library.poison_event(dsn)
    library.gold_stale(dsn)
    seen = Pipeline(dsn)
    return seen.events(), seen.active_jobs()


def as_reset(pair: Pair, events: list[Any], jobs: set[str]) -> None:
    """On the promoted standby all is as after a reset that nobody disturbed."""
    now = Pipeline(pair.second.dsn(DATABASE))
    assert now.unaccounted(events) == []
    assert now.pending() == 0
    assert now.one("SELECT count(*) FROM scout.bronze_events_dlq") == 1
    assert now.active_jobs() == jobs
    assert now.lease_owner() is None
    health = call("scout_health_info", now.dsn)
    assert "interrupted_runs" not in health["failing"]
    assert health["ingestion"]["state"] == "running"


def test_a_reset_whose_drain_is_cut_off(paired: Paired, tmp_path: Path) -> None:
    pair = paired()
    events, jobs = broken(pair)
    with killed_once(pair, BEGUN["drain"]):
        first = Stage(tmp_path).play("emergency_reset", pair.dsn())
    assert first.rc == 2, first.text
    again = play(tmp_path, "emergency_reset", pair.dsn())
    assert again.rc == 0, again.text
    as_reset(pair, events, jobs)


def test_a_reset_between_two_of_its_phases(paired: Paired, tmp_path: Path) -> None:
    """It goes on by itself; a job that was in flight on the old primary is waited for by nobody."""
    pair = paired()
    events, jobs = broken(pair)
    held = tmp_path / "held"
    env = {
        "ANSIBLE_CALLBACKS_ENABLED": "documents,hold",
        "SCOUT_HOLD_AT": "Refresh gold",
        "SCOUT_HOLD_FILE": str(held),
    }
    with Stage(tmp_path).start("emergency_reset", pair.dsn(), env=env) as running:
        eventually(held.exists, 120, "the refresh")
        with connect(pair.first.dsn(DATABASE)) as session:
            session.execute(JOB_RUN, [session.info.backend_pid, "bronze-to-silver-etl"])
        pair.fail_over()
        held.unlink()
        played = running.wait()
    assert played.rc == 0, played.text
    assert "the server went from timeline 1 to 2" not in played.text
    as_reset(pair, events, jobs)


def test_a_quarantine_and_its_undo_each_cut_off(paired: Paired, tmp_path: Path) -> None:
    pair = paired()
    before = Pipeline(pair.first.dsn(DATABASE))
    contents = before.contents()
    ids = [str(row[0]) for row in before.rows("SELECT event_id FROM scout.bronze_events ORDER BY 1 LIMIT 24")]
    before.execute(SLOW)
    pair.settle()
    options: dict[str, Any] = {"event_ids": ids, "target_seconds": 0.1}
    with killed_once(pair, BEGUN["quarantine"]):
        first = Stage(tmp_path).play("quarantine", pair.dsn(), **options)
    assert first.rc == 2, first.text
    again = play(tmp_path, "quarantine", pair.dsn(), **options)
    assert again.rc == 0, again.text
    now = Pipeline(pair.second.dsn(DATABASE))
    assert now.one("SELECT count(*) FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])", ids) == 0
    assert now.one("SELECT count(*) FROM scout.bronze_events_dlq") == 24
    run_id = again.result["move"]["run_id"]
    # What began on the old primary went on on the new one: both are one run.
    assert now.one("SELECT count(*) FROM scout_ops.runs WHERE action = 'quarantine'") == 1

    back = pair.turned()
    undo: dict[str, Any] = {"run_id": run_id, "target_seconds": 0.1}
    left = now.one("SELECT count(*) FROM scout.bronze_events")
    with killed_once(back, f"SELECT FROM scout.bronze_events HAVING count(*) > {left}"):
        first = Stage(tmp_path).play("undo", back.dsn(), **undo)
    assert first.rc == 2, first.text
    again = play(tmp_path, "undo", back.dsn(), **undo)
    assert again.rc == 0, again.text
    after = Pipeline(back.second.dsn(DATABASE)).contents()
    for name in ("bronze", "processed", "transactions", "lines", "jobs"):
        assert after[name] == contents[name], name


def test_a_rollback_cut_off(paired: Paired, tmp_path: Path) -> None:
    pair = paired()
    assert play(tmp_path, "capture_release", pair.dsn(), release="v1").rc == 0
    before = Pipeline(pair.first.dsn(DATABASE))
    events, jobs = before.events(), before.active_jobs()
    before.execute(RELEASE, "UPDATE scout.alerts SET team = 'a'")
    options: dict[str, Any] = {"release": "v1", "rehearse": False}
    with killed_once(pair, BEGUN["rollback"]):
        first = Stage(tmp_path).play("rollback", pair.dsn(), **options)
    assert first.rc == 2, first.text
    again = play(tmp_path, "rollback", pair.dsn(), **options)
    assert again.rc == 0, again.text
    now = Pipeline(pair.second.dsn(DATABASE))
    assert now.one("SELECT to_regclass('scout.seen')") is None
    assert (
        now.one("SELECT count(*) FROM pg_attribute WHERE attrelid = 'scout.alerts'::regclass AND attname = 'team'") == 0
    )
    assert now.unaccounted(events) == []
    assert now.active_jobs() == jobs
