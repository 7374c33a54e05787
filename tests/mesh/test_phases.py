# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A node is killed in each phase of a reset, and the link is cut in each: docs/mesh.md has what comes of it."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import psycopg
import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import eventually
from tests.integration.modules import call
from tests.mesh.conftest import came, promised
from tests.mesh.mesh import Mesh, job

pytestmark = pytest.mark.thorough

SECTION = "What was tried"
#: The phases: whose session is there, and which run the ledger has by then.
PHASES = {
    "check": ("begin", ""),
    "evidence": ("evidence", ""),
    "pause": ("ingestion", ""),
    "sessions": ("terminate_sessions", "pause"),
    "load": ("drain", ""),
    "gold": ("refresh_gold", ""),
    "assess again": ("health", "refresh_gold"),
    "resume": ("ingestion", "refresh_gold"),
    "prove": ("proof", ""),
}
SESSION = """
SELECT true FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%%/' || %s
"""
RUN = "SELECT true FROM scout_ops.runs WHERE action = %s"
LEASE = "SELECT owner FROM scout_ops.leases"
#: What is promised, of a dead node's lease.
MINUTE = 60.0


@contextlib.contextmanager
def stopped_in_each_phase(mesh: Mesh, there: Mapping[str, Pipeline]) -> Iterator[set[str]]:
    """Freezes the job of each database in its phase, as soon as that has a session; gives the phases that were reached."""
    frozen, over = set[str](), threading.Event()

    def watch(phase: str) -> None:
        session, run = PHASES[phase]
        with psycopg.connect(there[phase].dsn, autocommit=True) as connection:
            while not over.wait(0.02):
                if not connection.execute(SESSION, [session]).fetchone():
                    continue
                if not run or connection.execute(RUN, [run]).fetchone():  # type: ignore[call-overload]
                    send(signal.SIGSTOP, mesh.of_job(there[phase].dsn))
                    frozen.add(phase)
                    return

    watching = [threading.Thread(target=watch, args=[phase]) for phase in there]
    for each in watching:
        each.start()
    try:
        yield frozen
    finally:
        over.set()
        for each in watching:
            each.join()


def send(number: int, pids: list[int]) -> None:
    """A signal to all of them that are still there."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def begun(mesh: Mesh, node: str, another: Callable[[], Pipeline]) -> tuple[dict[str, Pipeline], dict[str, Any]]:
    """A broken pipeline for each phase, and the jobs that reset them on a node, each frozen in its phase."""
    there = {phase: another() for phase in PHASES}
    with stopped_in_each_phase(mesh, there) as frozen:
        units = {
            phase: mesh.submit(node, job(mesh.home, "emergency_reset", pipeline.dsn, incident="INC-7"))
            for phase, pipeline in there.items()
        }
        eventually(lambda: frozen == set(PHASES), 400, "every phase was reached")
    return there, units


def state(pipeline: Pipeline, jobs: set[str]) -> str:
    """How ingestion is, as its jobs are; an assessment says the same, so nothing is left paused without being said."""
    now = "running" if pipeline.active_jobs() == jobs else "paused"
    told = call("scout_health_info", pipeline.dsn, allow_superuser=True)["ingestion"]["state"]
    assert told == now or (now, told) == ("paused", "pausing")
    return now


def of_another_machine(pipeline: Pipeline) -> None:
    """Nobody can look whether the processes of its lease live; there is none where the first phase was cut off."""
    if has_leases(pipeline):
        pipeline.execute("UPDATE scout_ops.leases SET host_key = 'luzon' WHERE owner IS NOT NULL")


def has_leases(pipeline: Pipeline) -> bool:
    """Whether there is a ledger."""
    return bool(pipeline.one("SELECT to_regclass('scout_ops.leases') IS NOT NULL"))


def row_has(what: str, left: str, made: Mapping[str, Any]) -> None:
    """The table of the page says so; of what depends on the moment it says both."""
    then, ended = (cell.split(" or ") for cell in promised(SECTION)[what].split(" | "))
    assert left in then
    assert f"{made['outcome'].replace('_', ' ')}, {made['ingestion']}" in ended


def free(pipeline: Pipeline) -> bool:
    """Whether nobody would be refused any more."""
    return not call("scout_lease", pipeline.dsn, check=True, allow_superuser=True).get("failed")


def taken(pipeline: Pipeline) -> bool:
    """Whether no lease is any more that of the node which was killed."""
    return not has_leases(pipeline) or not pipeline.one(
        "SELECT count(*) FROM scout_ops.leases WHERE host_key = 'luzon'"
    )


def test_a_node_is_killed_in_each_phase(
    mesh: Mesh, another_small: Callable[[], Pipeline], subtests: pytest.Subtests
) -> None:
    undisturbed = another_small()
    jobs, events = undisturbed.active_jobs(), undisturbed.events()
    there, _ = begun(mesh, "luzon", another_small)
    mesh.kill("luzon")
    died = time.monotonic()
    for pipeline in there.values():
        of_another_machine(pipeline)
    left = {phase: state(pipeline, jobs) for phase, pipeline in there.items()}
    hosts = {phase.replace(" ", "_"): pipeline.dsn for phase, pipeline in there.items()}
    unit = mesh.submit("visayas", job(mesh.home, "emergency_reset", {**hosts, "none": undisturbed.dsn}))
    eventually(lambda: all(map(taken, there.values())), MINUTE + 20, "the other node has the leases, or is done")
    assert time.monotonic() - died < MINUTE
    again = came(mesh, unit)
    assert again.code == 0, again.screen
    for phase, pipeline in there.items():
        with subtests.test(msg=phase):
            assert pipeline.unaccounted(events) == []
            assert pipeline.contents() == undisturbed.contents()
            assert (pipeline.active_jobs(), pipeline.one(LEASE)) == (jobs, None)
            made = again.made[phase.replace(" ", "_")]
            row_has(f"the node, in phase {phase}", left[phase], made)


def test_the_link_is_cut_in_each_phase_and_the_hop_restarted(
    mesh: Mesh, another_small: Callable[[], Pipeline], subtests: pytest.Subtests
) -> None:
    """The work goes on beside its databases, and what came of it arrives once the link is there again."""
    there, units = begun(mesh, "visayas", another_small)
    events, jobs = next(iter(there.values())).events(), {"bronze-to-silver-etl"}
    mesh.kill("hop")
    for pipeline in there.values():
        send(signal.SIGCONT, mesh.of_job(pipeline.dsn))
    eventually(lambda: not any(mesh.of_job(each.dsn) for each in there.values()), 400, "all came to their ends")
    mesh.start("hop")
    for phase, pipeline in there.items():
        with subtests.test(msg=phase):
            back = came(mesh, units[phase])
            made = back.made["production"]
            assert (back.code, pipeline.unaccounted(events), pipeline.one(LEASE)) == (0, [], None), back.screen
            assert pipeline.active_jobs() >= jobs
            assert list((back.artifacts / "evidence").glob("INC-7-*/SHA256SUMS"))
            row_has(f"the link, in phase {phase}", "goes on", made)
