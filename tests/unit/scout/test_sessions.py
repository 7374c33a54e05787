# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is the pipeline's, who is stuck, who blocks whom, and who may be ended."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import sessions

KEY = {"kind": "advisory", "object": "94752052"}
LEDGER = {"kind": "etl", "object": "scout.etl_processed"}
GOLD = {"kind": "gold", "object": "scout.gold_daily_metrics"}
SILVER = {"kind": "silver", "object": "scout.silver_transactions"}
ROWS = {"kind": "rows", "object": "scout.silver_transactions"}
ETL = "SELECT scout.load_silver_from_bronze(1)"


def activity(
    pid: int, *locks: dict[str, str], seconds: float = 900, job: str | None = None, able: bool = True, **columns: Any
) -> sessions.Activity:
    """A session as PostgreSQL would show it: idle in a transaction, that old, holding these locks."""
    row = {
        "pid": pid, "backend_start": None, "role": "etl", "application": "psql", "client": "local",
        "state": "idle in transaction", "wait_event_type": None, "wait_event": None, "seconds": seconds,
        "query": "SELECT 1", "in_transaction": True, "hidden": False, "blocked_by": [], "superuser": False,
    }  # fmt: skip
    return sessions.classify(row | columns, list(locks), job, able=able)


def chosen(*activities: sessions.Activity, **options: Any) -> tuple[list[int], list[int]]:
    """Who would be ended, in order, and who would be left alone."""
    plan = sessions.plan(list(activities), **{"stuck_after_seconds": 600, **options})
    return [a.pid for a in plan.end], [a.pid for a, _ in plan.leave]


@pytest.mark.parametrize(
    ("session", "writing", "pipeline"),
    [
        (activity(1), False, False),
        (activity(1, KEY), False, True),
        (activity(1, KEY, state="idle", in_transaction=False), False, True),
        (activity(1, LEDGER), True, True),
        (activity(1, GOLD), True, True),
        (activity(1, SILVER), True, True),
        (activity(1, SILVER, state="active"), True, False),
        (activity(1, ROWS), False, True),
        (activity(1, ROWS, state="active"), False, False),
        (activity(1, job="bronze-to-silver-etl"), True, True),
        (activity(1, query=ETL, state="active"), True, True),
        # The statement before: it may long have been rolled back.
        (activity(1, query=ETL), False, False),
        (activity(1, query=ETL, state="idle", in_transaction=False), False, False),
        (activity(1, query=f"SELECT $${ETL}$$", state="active"), False, False),
        # Who may not write loads nothing, whatever he calls it; what he holds may be in the way all the same.
        (activity(1, query=ETL, state="active", able=False), False, False),
        (activity(1, SILVER, able=False), False, True),
        (activity(1, job="bronze-to-silver-etl", able=False), True, True),
    ],
)
def test_what_makes_a_session_the_pipelines(session: sessions.Activity, writing: bool, pipeline: bool) -> None:
    assert (session.writing, session.pipeline) == (writing, pipeline)


@pytest.mark.parametrize(
    ("activities", "end", "leave"),
    [
        ([activity(1, LEDGER)], [1], []),
        ([activity(1, LEDGER, seconds=599)], [], []),
        ([activity(1, KEY, state="idle")], [1], []),
        ([activity(1), activity(2, SILVER, state="active")], [], []),
        ([activity(1), activity(2, ROWS)], [2], []),
        # The root first, although it has nothing to do with the pipeline.
        ([activity(1, LEDGER, blocked_by=[2]), activity(2)], [2, 1], []),
        ([activity(1, LEDGER, blocked_by=[2]), activity(2, blocked_by=[3]), activity(3)], [3, 1], []),
        ([activity(1, LEDGER, blocked_by=[2]), activity(2, seconds=5)], [1], [2]),
        # A young waiter is not stuck, and neither is who blocks it.
        ([activity(1, LEDGER, seconds=5, blocked_by=[2]), activity(2)], [], []),
        ([activity(1, LEDGER, blocked_by=[2]), activity(2, LEDGER, blocked_by=[1])], [1, 2], []),
        # A prepared transaction has no process.
        ([activity(1, LEDGER, blocked_by=[0])], [1], []),
        # Anybody can give himself the name; the ledger knows who is ours.
        ([activity(1, KEY, application="scout-recovery/INC-1/drain")], [1], []),
        ([dataclasses.replace(activity(1, KEY), ours=True)], [], [1]),
        ([activity(1, KEY, role="replicator")], [], [1]),
        ([activity(1, KEY, role="dba", superuser=True)], [], [1]),
        ([activity(1, LEDGER, blocked_by=[2]), activity(2, role="replicator")], [1], [2]),
    ],
)
def test_plan(activities: list[sessions.Activity], end: list[int], leave: list[int]) -> None:
    assert chosen(*activities) == (end, leave)


def test_a_run_at_work_has_the_time_that_runs_of_its_job_usually_take() -> None:
    slow = dataclasses.replace(activity(1, LEDGER, state="active", seconds=700), patience=1200.0)
    waiting = activity(2, LEDGER, seconds=700, blocked_by=[1])
    assert chosen(slow) == ([], [])
    assert chosen(slow, waiting) == ([2], [1])
    assert chosen(dataclasses.replace(slow, seconds=1200.0)) == ([1], [])
    assert chosen(dataclasses.replace(slow, state="idle in transaction")) == ([1], [])
    assert chosen(dataclasses.replace(slow, blocked_by=(2,)), activity(2, seconds=700)) == ([2, 1], [])
    assert chosen(slow, stuck_after_seconds=650.0) == ([1], [])


def test_a_superuser_may_end_superusers_and_options_protect_roles() -> None:
    dba = activity(1, KEY, role="dba", superuser=True)
    assert chosen(dba, we_are_superuser=True) == ([1], [])
    assert chosen(dba, we_are_superuser=True, protected_roles=["dba"]) == ([], [1])


def test_a_long_queue_behind_one_lock() -> None:
    """Each waiter is blocked by all before it, so the number of paths doubles with every one."""
    queue = [activity(pid, LEDGER, blocked_by=list(range(1, pid))) for pid in range(2, 60)]
    everyone = [activity(1), *queue]
    assert chosen(*everyone)[0][0] == 1
    lines = sessions.tree(everyone)
    assert len(lines) == 59
    assert lines[0].startswith("pid 1 ")
    assert lines[1].startswith("  pid 2 ")
