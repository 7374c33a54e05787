# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset whose server stops answering, or whom somebody else's loader disturbs, ends; and the same command goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator, Iterator
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, children, eventually
from tests.integration.freezing import frozen, postmaster

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}

#: Loading takes as long as a test likes.
HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NULL; END $$;
CREATE TRIGGER hang AFTER INSERT ON scout.silver_line_items FOR EACH STATEMENT EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP TRIGGER hang ON scout.silver_line_items; DROP FUNCTION public.hang()"
SLEEPING = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
#: Long after the server gives up the client, and long before a reset that waits for ever would be noticed.
LIMIT_SECONDS = 58


@pytest.fixture
def own() -> Iterator[Pipeline]:
    """A pipeline with poison and a backlog, on a server that nobody else waits for."""
    with Server() as server:
        pipeline = Pipeline(server.create_database("frozen"))
        builder.build(pipeline.dsn, events=120, pending=40)
        library.poison_event(pipeline.dsn, "bad_ts")
        yield pipeline


def processes(dsn: str) -> Iterator[int]:
    """All of the server's, first the one that would start others."""
    first = postmaster(dsn)
    yield first
    yield from children(first)


def test_a_server_that_freezes_ends_a_reset_and_the_same_command_finishes(own: Pipeline, stage: Stage) -> None:
    events = own.events()
    own.execute(HANG)
    dsn = f"{own.dsn}?connect_timeout=2"
    with stage.start("emergency_reset", dsn) as running:
        eventually(lambda: own.rows(SLEEPING), 40, "the drain")
        with frozen(processes(own.dsn)):
            ended = running.wait(LIMIT_SECONDS)
    assert ended.rc not in (0, None), ended.text
    assert "the server has not answered for" in ended.summary, ended.text
    assert "run the same command again" in ended.summary
    assert ended.result["outcome"] == "failed"
    assert own.lingering() == []
    own.execute(UNHANG)
    assert not own.active_jobs() & JOBS
    again = stage.play("emergency_reset", own.dsn)
    assert (again.rc, again.result["outcome"], again.result["ingestion"]) == (0, "recovered", "running"), again.text
    assert (own.pending(), own.unaccounted(events), own.lease_owner()) == (0, [], None)
    assert own.active_jobs() >= JOBS


@contextlib.contextmanager
def loading(pipeline: Pipeline) -> Generator[None]:
    """Within it a loader that no job starts always has a transaction open, and begins anew where it is ended."""
    over, begun = threading.Event(), threading.Event()

    def load() -> None:
        while not over.is_set():
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(pipeline.dsn, user="loader", application_name="own-loader") as session,
            ):
                while not over.is_set():
                    session.execute("SELECT FROM scout.load_silver_from_bronze(0)")
                    begun.set()
                    over.wait(0.2)
                session.rollback()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        assert begun.wait(20)
        yield
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        ("quarantine", {"drain_timeout_seconds": 2}),
        # Its session is stuck and ended, and it is back before the pause is complete.
        ("emergency_reset", {"drain_timeout_seconds": 2, "stuck_after_seconds": 1}),
    ],
)
def test_a_loader_that_keeps_ingestion_from_being_paused_is_named_and_the_same_command_goes_on(
    broken: Pipeline, stage: Stage, playbook: str, options: dict[str, Any]
) -> None:
    events, active = broken.events(), broken.active_jobs()
    if playbook == "quarantine":
        options = options | {"event_ids": [str(events[0])]}
    with loading(broken):
        ended = stage.play(playbook, broken.dsn, **options)
        assert (ended.rc, ended.result["outcome"], ended.result["ingestion"] != "running") == (2, "failed", True)
        assert "own-loader" in ended.summary, ended.text
        assert "run the same command again" in ended.summary, ended.text
        assert not broken.active_jobs() & JOBS
        assert broken.lease_owner() is None
    again = stage.play(playbook, broken.dsn, **options)
    assert (again.rc, again.result["ingestion"]) == (0, "running"), again.text
    assert (broken.active_jobs(), broken.lease_owner()) == (active, None)
    assert (broken.pending(), broken.unaccounted(events)) == (0, [])
