# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Random faults and impatient people on a pipeline at work: no event is lost, and what a run reports is true.

SCOUT_GAMEDAY_ROUNDS=100 plays as many rounds on each variant; a round depends on its number only.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.live_load import Load
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import measures
from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pasting import Command, accepted
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Running, Stage
from tests.faults import planted
from tests.faults.table import FAULTS, RESET
from tests.integration.modules import operator
from tests.scout import next_runs

ROUNDS = int(os.environ.get("SCOUT_GAMEDAY_ROUNDS", "2"))
LOADER = "bronze-to-silver-etl"
INCIDENT = {"incident": "GAMEDAY"}
#: People who wait for nothing long.
SHORT = {"proof_timeout_seconds": 20, "drain_timeout_seconds": 10}
LATEST_SECONDS = 5.0
MOST_TYPED = 6

BREAKS: tuple[Callable[[str], Any], ...] = (
    lambda dsn: library.poison_event(dsn, "bad_ts", count=2),
    lambda dsn: library.backlog(dsn, count=500),
    library.duplicate_in_batch,
    library.stuck_etl,
    library.lock_holder,
    library.blocked_refresh,
    library.negative_totals,
    library.line_mismatch,
    library.lost_window,
    library.gold_stale,
    library.gold_unpopulated,
    library.gold_broken,
    library.etl_job_failing,
)
BY_HAND: tuple[LiteralString, ...] = (
    "SELECT FROM scout.load_silver_from_bronze(500)",
    "SELECT FROM scout.refresh_gold_platinum()",
    "UPDATE cron.job SET active = true",
    """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%'""",
    """SELECT pg_cancel_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND (usename = 'loader' OR application_name LIKE 'scout-recovery/%')""",
    "BEGIN; LOCK scout.silver_transactions IN SHARE ROW EXCLUSIVE MODE; SELECT pg_sleep(3); COMMIT",
    "BEGIN; LOCK scout.etl_processed IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT",
    "BEGIN; LOCK scout.gold_daily_metrics IN ACCESS SHARE MODE; SELECT pg_sleep(5); COMMIT",
)
PLAYBOOKS = ("emergency_reset", "pause_ingestion", "resume_ingestion", "quality_cleanup", "refresh_gold", "assess")
#: Sales that no event describes, and sales that silver has twice.
INVENTED = """
SELECT transaction_id FROM scout.silver_transactions AS t
WHERE NOT EXISTS (SELECT FROM scout.bronze_events WHERE event_data ->> 'transaction_id' = t.transaction_id)
  AND NOT EXISTS (SELECT FROM scout.bronze_events_dlq WHERE original_payload ->> 'transaction_id' = t.transaction_id)
UNION ALL SELECT transaction_id FROM scout.silver_transactions GROUP BY 1 HAVING count(*) > 1
"""


@dataclass
class Game:
    """A pipeline at work, the people at it, and all events that it ever accepted."""

    pipeline: Pipeline
    dsn: str
    home: Path
    dice: random.Random
    ends: contextlib.ExitStack
    load: Load
    accepted: dict[UUID, str]
    plays: int = 0

    def breaks(self) -> None:
        """One of the faults that a drill or a reset knows; PostgreSQL may refuse it after another one."""
        if self.dice.random() < 0.5:
            fault = planted(self.pipeline.dsn, FAULTS[self.dice.choice(RESET)])
            with contextlib.suppress(psycopg.Error, AssertionError, LookupError):
                self.ends.enter_context(fault)
        else:
            with contextlib.suppress(psycopg.Error, AssertionError, LookupError):
                held = self.dice.choice(BREAKS)(self.pipeline.dsn)
                if hasattr(held, "close"):
                    self.ends.callback(held.close)

    def types_sql(self) -> None:
        """A colleague types a statement and waits for nothing."""
        statement = self.dice.choice(BY_HAND)

        def run() -> None:
            with (
                contextlib.suppress(psycopg.Error),
                psycopg.connect(self.pipeline.dsn, autocommit=True, application_name="psql") as session,
            ):
                session.execute("SET statement_timeout = '20s'")
                session.execute(statement)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.ends.callback(thread.join, 30)

    def plays_and_gives_up(self) -> None:
        """Somebody starts a playbook, and interrupts or kills it, or takes the lease from whoever has it."""
        running = self.ends.enter_context(
            self.started(Command(self.dice.choice(PLAYBOOKS), {"takeover": self.dice.random() < 0.2}))
        )
        number = self.dice.choice((None, signal.SIGINT, signal.SIGKILL))
        if number is not None:
            time.sleep(self.dice.uniform(0.5, 3))
            with contextlib.suppress(ProcessLookupError):
                os.kill(running.process.pid, number)

    def started(self, command: Command) -> Running:
        self.plays += 1
        stage = Stage(self.home / str(self.plays))
        stage.home.mkdir()
        check = ["--check"] if command.check else []
        return stage.start(command.playbook, self.dsn, *check, **{**SHORT, **INCIDENT, **command.variables})

    def played(self, command: Command) -> Played:
        with self.started(command) as running:
            return running.wait()

    def note_events(self) -> None:
        """Remember the events that are in bronze now, each as it was when first seen."""
        found = oracle.bronze(self.pipeline.dsn)
        self.accepted |= {event: row for event, row in found.items() if event not in self.accepted}

    def recovers(self) -> Played:
        """Type a reset, and then what each run prints, until ingestion runs or nothing new is printed."""
        command, typed = Command("emergency_reset"), set[str]()
        for _ in range(MOST_TYPED):
            played = self.played(command)
            printed = played.result["commands"] if played.results else []
            new = [each for each in printed if each not in typed]
            if (played.rc == 0 and played.result["ingestion"] == "running") or not new:
                break
            typed.add(new[0])
            command = accepted(new[0])
        return played

    def judge(self, last: Played) -> None:
        """Compare what the last run reports with the database; the pipeline is at rest."""
        dsn = self.pipeline.dsn
        self.accepted |= self.load.written
        found = oracle.where(dsn, self.accepted)
        events = measures.no_event_lost(found, self.load.doubtful)
        assert events.passed, events.broken
        assert self.pipeline.rows(INVENTED) == [], "invented or doubled"
        assert self.pipeline.lingering() == []
        assert "Traceback" not in last.text
        result = last.result
        if LOADER in {name for (name,) in self.pipeline.rows("SELECT jobname FROM cron.job")}:
            active = LOADER in self.pipeline.active_jobs()
            assert result["ingestion"] in ("unknown", "running" if active else "paused"), last.text
        if last.rc == 0:
            assert self.pipeline.lease_owner() is None
            if result["ingestion"] == "running" and (result.get("proof") or {}).get("status") == "proved":
                assert next_runs.failing(dsn) == "", last.text
        else:
            assert result["next"] or result["undo"], "nothing to do next is named"


@contextlib.contextmanager
def opened(dsn: str, home: Path, number: int) -> Iterator[Game]:
    dice = random.Random(number)
    with contextlib.ExitStack() as ends:
        person = ends.enter_context(operator(dsn)) if number % 2 else dsn
        load = ends.enter_context(Load(dsn, events_per_second=4.0, scheduler=False))
        yield Game(Pipeline(dsn), person, home, dice, ends, load, oracle.bronze(dsn))


@pytest.mark.parametrize("number", range(1, 1 + ROUNDS))
def test_no_event_is_lost_and_what_a_run_reports_is_true(number: int, variant_db: str, tmp_path: Path) -> None:
    with opened(variant_db, tmp_path, number) as game:
        began = time.monotonic()
        acts = (game.breaks, game.breaks, game.types_sql, game.plays_and_gives_up)
        for moment in sorted(game.dice.uniform(0, LATEST_SECONDS) for _ in range(game.dice.randint(2, 6))):
            time.sleep(max(0.0, began + moment - time.monotonic()))
            game.dice.choice(acts)()
            game.note_events()
        last = game.recovers()
        game.load.rest()
        game.note_events()
        game.judge(last)


LOSE = "DELETE FROM scout.bronze_events WHERE event_id = (SELECT min(event_id::text)::uuid FROM scout.bronze_events)"
INVENT = """
INSERT INTO scout.silver_transactions SELECT (jsonb_populate_record(t, jsonb_build_object(
    'id', gen_random_uuid(), 'source_event_id', gen_random_uuid(), 'transaction_id', 'T-0'))).*
FROM scout.silver_transactions AS t LIMIT 1
"""


@pytest.mark.parametrize(("lie", "broken"), [(LOSE, "1 lost"), (INVENT, "invented or doubled")])
def test_the_judge_notices(lie: str, broken: str, scout_db: str, tmp_path: Path) -> None:
    with opened(scout_db, tmp_path, 0) as game:
        last = game.recovers()
        game.load.rest()
        game.note_events()
        game.pipeline.execute(lie)
        with pytest.raises(AssertionError, match=broken):
            game.judge(last)
