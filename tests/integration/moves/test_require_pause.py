# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move that is told to require a pause refuses without the barrier, whatever it moves, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from tests.integration.modules import connect, one
from tests.integration.oracle import START, arrive
from tests.integration.outcomes import ran, refused
from tests.scout.fixtures import small

SEED = 90_909
scout_template = small(60)


@pytest.fixture(autouse=True)
def no_scheduler_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The stand-in starts nothing, so there is no tick to wait out."""
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.05)
    monkeypatch.setattr(pause_resume, "BARRIER_SECONDS", 0.5)


def loaded(dsn: str) -> list[str]:
    """The id of another event that the ETL has been through."""
    number = one(dsn, "SELECT count(*) FROM scout.bronze_events") + one(
        dsn, "SELECT count(*) FROM scout.bronze_events_dlq"
    )
    ids = arrive(dsn, [generator.transaction(SEED, number, sold_at=START)])
    ran("scout_drain", dsn)
    return [*map(str, ids)]


def quarantine(dsn: str) -> dict[str, Any]:
    return {"event_ids": loaded(dsn)}


def cleanup(dsn: str) -> dict[str, Any]:
    library.negative_totals(dsn, count=1)
    return {}


def away(dsn: str) -> dict[str, Any]:
    """A run to undo, or to redrive."""
    return {"run_id": ran("scout_quarantine", dsn, event_ids=loaded(dsn))["run_id"]}


def window(dsn: str) -> dict[str, Any]:
    [event] = loaded(dsn)
    with connect(dsn) as connection:
        connection.execute("DELETE FROM scout.silver_transactions WHERE source_event_id = %s", [event])
    return {"window_start": START.isoformat(), "window_end": (START + timedelta(seconds=1)).isoformat()}


def drain(dsn: str) -> dict[str, Any]:
    library.backlog(dsn, 1)
    return {}


#: Each module that may be told to require a pause, with what gives it something to do.
MOVES: dict[str, Callable[[str], dict[str, Any]]] = {
    "scout_quarantine": quarantine,
    "scout_cleanup": cleanup,
    "scout_redrive": away,
    "scout_undo": away,
    "scout_window_recovery": window,
    "scout_drain": drain,
}


@pytest.mark.parametrize("module", MOVES)
def test_it_is_refused_without_the_barrier(
    scout_db: str, module: str, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    """Whatever is missing of it; a load that somebody else ticks is waited for: whether it met one was a matter of chance."""
    with subtests.test(msg="beside jobs that can start"):
        options = MOVES[module](scout_db)
        result = refused(module, scout_db, require_pause=True, **options)
        assert "ingestion is not paused" in result["msg"]
        assert "job bronze-to-silver-etl is active" in result["msg"]
        ran("scout_ingestion", scout_db, state="paused")
        assert ran(module, scout_db, require_pause=True, **options)["changed"]
    with subtests.test(msg="beside a session that loads by hand, although all jobs are off"):
        options = MOVES[module](scout_db)
        library.backlog(scout_db, 1)
        with psycopg.connect(scout_db, application_name="by hand") as session:
            session.execute("SELECT scout.load_silver_from_bronze(10)")
            result = refused(module, scout_db, require_pause=True, **options)
            assert f"pid {session.info.backend_pid} (postgres, by hand" in result["msg"]
            assert "ingestion is not paused" in result["msg"]
            assert "somebody still loads" in result["msg"]
            assert "is active" not in result["msg"]
            session.rollback()
        assert one(scout_db, "SELECT count(*) FROM cron.job WHERE active AND jobname LIKE 'bronze%'") == 0
        assert ran(module, scout_db, require_pause=True, **options)["changed"]
    with subtests.test(msg="a load that ends is waited for"):
        monkeypatch.setattr(pause_resume, "BARRIER_SECONDS", 30.0)
        options = MOVES[module](scout_db)
        with psycopg.connect(scout_db, application_name="ticking") as session:
            session.execute("SELECT FROM scout.load_silver_from_bronze(0)")
            voice = Voice(session.rollback)
            assert ran(module, scout_db, progress=voice, require_pause=True, **options)["changed"]
        assert any("waiting for whoever loads besides" in line and "ticking" in line for line in voice.lines)


class Voice(Progress):
    """Remembers what is said, and does something once it is waited."""

    def __init__(self, then: Callable[[], None]) -> None:
        self.lines: list[str] = []
        self.then = then
        super().__init__(self._hear, every_seconds=0.0)

    def _hear(self, line: str) -> None:
        self.lines.append(line)
        if "waiting for whoever" in line:
            self.then()
