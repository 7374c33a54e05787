# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A move that is broken off anywhere, by anything, and started again ends where an undisturbed one does; whichever mover it is."""

from __future__ import annotations

import os
import re
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.stuck_sessions import wait_until
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    where,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.e2e.play import Stage as Playbooks
from tests.e2e.play import eventually
from tests.integration.modules import Result, call, connect, expire_lease, one, rows
from tests.integration.moves.conftest import Stage
from tests.integration.moves.movers import MOVERS, OURS, Mover, broken_off, hang, unhang
from tests.integration.outcomes import ran, scout_tables

EVENTS = 240
#: How many sales come after the first that it hangs at, and how many fewer after each further one.
BEHIND, LESS = 120, 8
#: So long that a batch is never made smaller for having taken too long.
PATIENT = {"target_seconds": 60.0, "statement_timeout_seconds": 120.0}

#: What a line says after each batch.
HOW_FAR = re.compile(r"(moved|redriven|undone|recovered) [1-9][0-9,]* of")
STATUS = "SELECT status, error FROM scout_ops.runs WHERE run_id = %s"
LAST_RUN = "SELECT run_id::text, status FROM scout_ops.runs ORDER BY started_at DESC LIMIT 1"

Staged = Callable[[Mover, int], Stage]


@pytest.fixture(params=MOVERS)
def stage(request: pytest.FixtureRequest, staged: Staged) -> Stage:
    """One with several batches of rows to move."""
    return staged(MOVERS[request.param], EVENTS)


def lost_its_session(dsn: str, broken: Result, stage: Stage) -> None:
    """Raises unless it says so, and what to do; nothing is lost."""
    assert (broken.get("failed"), broken["error"]["kind"]) == (True, "connection_lost"), broken.get("msg")
    assert "run the same command again" in broken["error"]["next_step"]
    assert where(dsn, stage.written) == ZERO


def gone_on(dsn: str, stage: Stage, run_id: str, **options: Any) -> Result:
    """The same command once more, which goes on with what was broken off."""
    expire_lease(dsn)
    result = ran(stage.mover.module, dsn, **stage.options, **options)
    assert (result["changed"], result["run_id"], result["resumed"]) == (True, run_id, True)
    assert rows(dsn, STATUS, run_id) == [("succeeded", None)]
    return result


def ended_well(dsn: str, stage: Stage, subtests: pytest.Subtests, run_id: str) -> None:
    """Where an undisturbed move ends, and it is over."""
    with subtests.test(msg="ends where an undisturbed one does"):
        assert stage.mover.end(dsn) == stage.end
        assert where(dsn, stage.written) == ZERO
    with subtests.test(msg="leaves nothing of its notes"):
        for table in ("related_events", "todo"):
            assert one(dsn, f"SELECT count(*) FROM scout_ops.{table} WHERE run_id = %s", run_id) == 0
    with subtests.test(msg="is not gone on with once it is over"):
        assert rows(dsn, STATUS, run_id) == [("succeeded", None)]
        after = scout_tables(dsn)
        assert not ran(stage.mover.module, dsn, **stage.options)["changed"]
        assert scout_tables(dsn) == after


def test_broken_off_inside_a_batch_it_goes_on(stage: Stage, subtests: pytest.Subtests, small_batches: int) -> None:
    """One run, whose session is terminated at each place, each time at another sale."""
    dsn, mover = stage.copy(), stage.mover
    before = scout_tables(dsn)
    runs: set[str] = set()
    for number, (place, trigger) in enumerate(mover.places.items()):
        with subtests.test(msg=place):
            hang(dsn, trigger, mover.sale(dsn, BEHIND - LESS * number))
            try:
                broken = broken_off(dsn, mover.module, **stage.options, **PATIENT)
            finally:
                unhang(dsn)
            lost_its_session(dsn, broken, stage)
            runs.add(broken["run_id"])
            assert len(runs) == 1
            assert scout_tables(dsn) != before, "no batch had been committed"
    [run_id] = runs
    gone_on(dsn, stage, run_id, **PATIENT)
    ended_well(dsn, stage, subtests, run_id)
    with subtests.test(msg="what was moved in pieces is undone to the last byte"):
        ran("scout_undo", dsn, run_id=run_id)
        assert scout_tables(dsn) == before


def test_stopped_and_broken_off_between_batches_it_goes_on_every_time(
    stage: Stage, subtests: pytest.Subtests, small_batches: int, tmp_path: Path
) -> None:
    """By a file before the first batch and after one; then the session is ended at each second line that says how far it is."""
    dsn, module, file = stage.copy(), stage.mover.module, tmp_path / "stop"
    before = scout_tables(dsn)
    options = {**stage.options, **PATIENT, "stop_file": str(file)}

    def stopped(hear: Callable[[str], object]) -> str:
        result = call(module, dsn, progress=Progress(hear, every_seconds=0), **options)
        file.unlink()
        assert (result.get("failed"), result["error"]["kind"]) == (True, "stopped"), result.get("msg")
        assert f"remove {file}, then run the same command again" in result["msg"]
        [(run_id, status)] = rows(dsn, LAST_RUN)
        assert status == "stopped"
        assert where(dsn, stage.written) == ZERO
        return run_id

    with subtests.test(msg="stopped before the first batch"):
        file.touch()
        stopped(lambda _: None)
        assert scout_tables(dsn) == before
    with subtests.test(msg="stopped after a batch"):
        run_id = stopped(lambda line: file.touch() if HOW_FAR.search(line) else None)
        assert scout_tables(dsn) != before
    with subtests.test(msg="broken off after each batch"):
        attempts, failed = 0, True
        while failed:
            attempts += 1
            assert attempts < 60
            left = 2

            def end(line: str) -> None:
                nonlocal left
                left -= bool(HOW_FAR.search(line))
                if left == 0:
                    rows(dsn, f"SELECT pg_terminate_backend(pid, 5000) FROM ({OURS}) AS ours")

            result = call(module, dsn, progress=Progress(end, every_seconds=0), **options)
            failed = result.get("failed", False)
            if failed:
                lost_its_session(dsn, result, stage)
                expire_lease(dsn)
            assert result["run_id"] == run_id
        assert attempts > 2
    ended_well(dsn, stage, subtests, run_id)


# --- the server and the controller die


def all_asleep(server: Server, names: set[str]) -> bool:
    """Whether a session sleeps in each of these databases."""
    asleep = "SELECT DISTINCT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
    return names <= {row[0] for row in rows(server.dsn("postgres"), asleep)}


def test_the_server_dies_in_the_middle(tmp_path: Path, subtests: pytest.Subtests, small_batches: int) -> None:
    """All movers are at work on it, each in the middle of a batch."""
    server = Server(tmp_path / "state", settings={"synchronous_commit": "on"})
    try:
        template = builder.template(server.start(), events=EVENTS)
        stages: dict[str, Stage] = {}
        for number, (name, mover) in enumerate(MOVERS.items()):
            stages[name] = Stage(mover, server, f"crashing_{number}", template.clone(f"crashing_{number}"))
        ends = {name: stage.end for name, stage in stages.items()}
        befores = {name: scout_tables(stage.dsn) for name, stage in stages.items()}
        broken: dict[str, Result] = {}
        threads = []
        for name, stage in stages.items():
            hang(stage.dsn, [*stage.mover.places.values()][2], stage.mover.sale(stage.dsn, BEHIND))

            def move(name: str = name, stage: Stage = stage) -> None:
                broken[name] = call(stage.mover.module, stage.dsn, **stage.options, **PATIENT)

            threads.append(threading.Thread(target=move))
            threads[-1].start()
        eventually(
            lambda: all_asleep(server, {stage.name for stage in stages.values()}), 120, "a hanging batch of each"
        )
        server._pg_ctl("stop", "-m", "immediate", check=True)
        for thread in threads:
            thread.join()
        server.start()
        for name, stage in stages.items():
            with subtests.test(msg=name):
                unhang(stage.dsn)
                lost_its_session(stage.dsn, broken[name], stage)
                assert scout_tables(stage.dsn) != befores[name]
                gone_on(stage.dsn, stage, broken[name]["run_id"])
                assert stage.mover.end(stage.dsn) == ends[name]
                assert where(stage.dsn, stage.written) == ZERO
    finally:
        server.remove()


class OneBatch(Progress):
    """Asks to stop as soon as a batch is done."""

    def __init__(self) -> None:
        super().__init__(self._hear, every_seconds=0)

    def _hear(self, line: str) -> None:
        if HOW_FAR.search(line):
            self.request_stop()


def test_the_controller_is_killed_in_the_middle(
    staged: Staged, pg_server: Server, tmp_path: Path, subtests: pytest.Subtests, small_batches: int
) -> None:
    """One controller of all movers, each on a host of its own, some batches done and one at work."""
    stages = {name.replace(" ", "_"): staged(mover, EVENTS) for name, mover in MOVERS.items()}
    copies = {name: stage.copy() for name, stage in stages.items()}
    runs: dict[str, str] = {}
    tasks: list[dict[str, Any]] = []
    for name, stage in stages.items():
        dsn, module = copies[name], stage.mover.module
        assert call(module, dsn, progress=OneBatch(), **stage.options, **PATIENT)["error"]["kind"] == "stopped"
        [(runs[name], _)] = rows(dsn, LAST_RUN)
        hang(dsn, [*stage.mover.places.values()][2], stage.mover.sale(dsn, BEHIND))
        # Only a statement that has an end lets its run be told that it was stopped.
        patient = {} if name == "quarantine" else PATIENT
        options = {"dsn": dsn, **stage.options, **patient}
        tasks.append({f"scout.recovery.{module}": options, "when": f"inventory_hostname == '{name}'"})
    play = {"hosts": "scout", "connection": "local", "gather_facts": False, "strategy": "free", "tasks": tasks}
    playbook = tmp_path / "movers.yml"
    playbook.write_text(yaml.safe_dump([play]))
    playbooks = Playbooks(tmp_path)
    inventory = playbooks.inventory({name: {} for name in stages})
    with playbooks.start(str(playbook), None, "-i", inventory, "--forks", "8") as running:
        names = {stage.made[-1] for stage in stages.values()}
        asleep: set[str] = set()

        def each_slept() -> bool:
            found = rows(pg_server.dsn("postgres"), "SELECT datname FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
            asleep.update(row[0] for row in found)
            return names <= asleep

        eventually(each_slept, 120, "a hanging batch of each")
        os.killpg(running.process.pid, signal.SIGKILL)
        running.process.wait()
    for name, stage in stages.items():
        with subtests.test(msg=name):
            dsn = copies[name]
            with connect(dsn) as connection:
                wait_until(connection, f"SELECT WHERE NOT EXISTS ({OURS})", seconds=60)
            unhang(dsn)
            assert where(dsn, stage.written) == ZERO
            assert rows(dsn, LAST_RUN) == [(runs[name], "stopped" if name == "quarantine" else "running")]
            gone_on(dsn, stage, runs[name])
            assert stage.mover.end(dsn) == stage.end
