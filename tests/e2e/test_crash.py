# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The reset is killed at every place where that could hurt, and started again: the end is as if nothing had happened."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.crashing import killed_at_every_boundary
from tests.e2e.fixtures import break_pipeline, made_broken, several_batches
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Running, Stage, eventually
from tests.integration.modules import expire_lease

#: Inserting the line of this event hangs, so that its batch is in flight for as long as a test likes.
HANG_AT = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_line_items FOR EACH ROW
WHEN (NEW.transaction_id = '{transaction}') EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP TRIGGER hang ON scout.silver_line_items; DROP FUNCTION public.hang()"
LATEST = """
SELECT event_data ->> 'transaction_id' FROM scout.bronze_events AS b
WHERE event_type = 'transaction.v1' AND source_system <> 'backoffice'
ORDER BY ingested_at DESC LIMIT 1
"""

#: A view that takes as long to refresh as a test likes.
SLOW_VIEW = """
CREATE TABLE public.slowness (seconds float8);
INSERT INTO public.slowness VALUES (60);
CREATE MATERIALIZED VIEW scout.gold_slow AS SELECT 1 AS id, pg_sleep(seconds)::text AS slept FROM public.slowness WITH NO DATA;
CREATE UNIQUE INDEX gold_slow_key ON scout.gold_slow (id);
ALTER MATERIALIZED VIEW scout.gold_slow OWNER TO loader;
GRANT SELECT ON public.slowness TO loader
"""
FAST_VIEW = "UPDATE public.slowness SET seconds = 0"

SLEEPING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"


broken_template = several_batches()

#: What a reset that nobody interrupts leaves behind, by template.
Undisturbed = dict[str, dict[str, list[object]]]


@pytest.fixture(scope="module")
def undisturbed() -> Undisturbed:
    """Filled by the first tests that need it."""
    return {}


@pytest.fixture
def expected(
    undisturbed: Undisturbed, another_broken: Callable[[], Pipeline], tmp_path: Path
) -> dict[str, list[object]]:
    """The contents after an uninterrupted reset of the same broken pipeline."""
    return after_a_reset(undisturbed, "broken", another_broken, tmp_path)


def after_a_reset(
    undisturbed: Undisturbed, template: str, another: Callable[[], Pipeline], home: Path
) -> dict[str, list[object]]:
    """What is left of one of these pipelines."""
    if template not in undisturbed:
        pipeline = another()
        assert Stage(home).play("emergency_reset", pipeline.dsn).rc == 0
        undisturbed[template] = pipeline.contents()
    return undisturbed[template]


@pytest.fixture(scope="module")
def small_template(pg_server: Server) -> Iterator[str]:
    """Broken as the others, with a backlog of one batch."""
    name = "small_broken_template"
    break_pipeline(pg_server.create_database(name), events=400, backlog=200)
    yield name
    pg_server.drop_database(name)


@pytest.fixture
def another_small(pg_server: Server, small_template: str) -> Iterator[Callable[[], Pipeline]]:
    """Makes small broken pipelines, all alike."""
    yield from made_broken(pg_server, small_template)


@pytest.fixture
def small(another_small: Callable[[], Pipeline]) -> Pipeline:
    """One of them."""
    return another_small()


@pytest.fixture
def expected_of_small(
    undisturbed: Undisturbed, another_small: Callable[[], Pipeline], tmp_path: Path
) -> dict[str, list[object]]:
    """The contents after an uninterrupted reset of the same small pipeline."""
    return after_a_reset(undisturbed, "small", another_small, tmp_path)


def recovers(stage: Stage, pipeline: Pipeline, expected: dict[str, list[object]], events: list[object]) -> None:
    """Started again, the reset ends where an undisturbed one does, once the dead one's lease has expired."""
    expire_lease(pipeline.dsn)
    played = stage.play("emergency_reset", pipeline.dsn)
    assert played.rc == 0, played.text
    assert played.result["ingestion"] == "running"
    assert pipeline.unaccounted(events) == []
    assert pipeline.contents() == expected
    assert pipeline.lease_owner() is None


def test_killed_at_every_task_boundary(
    another_small: Callable[[], Pipeline],
    pg_server: Server,
    stage: Stage,
    expected_of_small: dict[str, list[object]],
    subtests: pytest.Subtests,
) -> None:
    """One database for every boundary, as a run that dies there leaves it, and one last run over all of them fixes them all."""
    with killed_at_every_boundary(pg_server, another_small, stage, "emergency_reset", range(1, 19)) as found:
        assert len(found) == 18
        pipelines = {f"before_task_{at}": pipeline for at, pipeline in found.items()}
        events = pipelines["before_task_1"].events()
        hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
        played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "4")
        assert played.rc == 0, played.text
        for name, pipeline in pipelines.items():
            with subtests.test(msg=name):
                assert pipeline.unaccounted(events) == []
                assert pipeline.contents() == expected_of_small
                assert pipeline.lease_owner() is None
    # The last one had released its lease and had only its summary to say.
    assert played.results["before_task_18"]["outcome"] == "nothing_to_do"
    assert played.results["before_task_1"]["outcome"] == "recovered"


def kill_controller(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGKILL)


def kill_worker(running: Running) -> None:
    for worker in running.workers():
        os.kill(worker, signal.SIGKILL)


def interrupt(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGINT)


def terminate(running: Running) -> None:
    os.kill(running.process.pid, signal.SIGTERM)


def hang_up(running: Running) -> None:
    os.killpg(running.process.pid, signal.SIGHUP)


def test_ended_in_the_middle_of_a_batch(
    broken: Pipeline, stage: Stage, expected: dict[str, list[object]], subtests: pytest.Subtests
) -> None:
    """What was committed stays, what was in flight is rolled back at once, and nobody goes on writing: one reset, ended again
    and again in its last batch, each time by something else."""
    events, pending = broken.events(), broken.pending()
    broken.execute(HANG_AT.format(transaction=broken.one(LATEST)))
    for end in (kill_controller, kill_worker, interrupt, terminate, hang_up):
        if end is not kill_controller:
            expire_lease(broken.dsn)
        with subtests.test(msg=end.__name__), stage.start("emergency_reset", broken.dsn) as running:
            eventually(lambda: broken.rows(SLEEPING), 30, "the last batch")
            loaded = pending - broken.pending()
            assert loaded > 0
            workers = running.workers()
            end(running)
            played = running.wait()
            assert played.rc != 0
            if end is interrupt:
                assert played.rc == 99
            assert broken.lingering() == []
            gone = lambda workers=workers: not any(Path(f"/proc/{pid}/fd/0").exists() for pid in workers)  # noqa: E731
            eventually(gone, 5, "the end of its workers")
            after = broken.fingerprint()
            assert broken.active_jobs().isdisjoint({"bronze-to-silver-etl", "smart-gold-refresh"})
            assert pending - broken.pending() - broken.one("SELECT count(*) FROM scout.bronze_events_dlq") <= loaded
            broken.rows("SELECT pg_sleep(0.3)")
            assert broken.fingerprint() == after
    broken.execute(UNHANG)
    recovers(stage, broken, expected, events)


def test_killed_in_the_middle_of_a_refresh(
    small: Pipeline, stage: Stage, expected_of_small: dict[str, list[object]]
) -> None:
    events = small.events()
    small.execute(*SLOW_VIEW.split(";\n"))
    with stage.start("emergency_reset", small.dsn) as running:
        eventually(lambda: small.rows(SLEEPING), 30, "the refresh")
        kill_controller(running)
        running.wait()
        assert small.lingering() == []
    small.execute(FAST_VIEW)
    recovers(stage, small, expected_of_small, events)


def test_our_session_ended_by_someone_else(broken: Pipeline, stage: Stage, expected: dict[str, list[object]]) -> None:
    """A clear error, a paused pipeline, and a run that goes on where it was."""
    events = broken.events()
    broken.execute(HANG_AT.format(transaction=broken.one(LATEST)))
    with stage.start("emergency_reset", broken.dsn) as running:
        eventually(lambda: broken.rows(SLEEPING), 30, "the last batch")
        broken.rows(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'scout-recovery/%'"
        )
        played = running.wait()
    assert played.rc == 2, played.text
    assert played.result["error"]["kind"] == "connection_lost"
    assert "terminating connection due to administrator command" in played.summary
    assert "run the same command again" in played.summary
    assert (played.result["ingestion"], "now ingestion is paused" in played.summary) == ("paused", True)
    assert "undo ansible-playbook scout.recovery.resume_ingestion" in played.summary
    assert "next run the same command again: it continues from the last commit" in played.summary
    assert "Traceback" not in played.text
    assert broken.lease_owner() is None
    broken.execute(UNHANG)
    recovers(stage, broken, expected, events)
