# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Twelve databases over two nodes as one rollout, of which one node dies; two controllers on one database; a node that is frozen."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import eventually
from tests.failover.fixtures import Paired
from tests.failover.pair import DATABASE
from tests.failover.test_phases import broken as break_first
from tests.mesh.conftest import Came, came, promised
from tests.mesh.mesh import Mesh, job
from tests.mesh.test_phases import MINUTE, SECTION, free, of_another_machine, send, stopped_in_each_phase

pytestmark = pytest.mark.thorough

#: Inserting a line hangs, so that a batch of the drain is in flight for as long as a test likes.
HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(200); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP TRIGGER hang ON scout.silver_line_items; DROP FUNCTION public.hang()"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
WAY = {"scout_serial": "1,3,100%", "rollout": "INC-7", "incident": "INC-7"}


def row_is(what: str, came_of_it: str) -> None:
    """The table of the page says so."""
    assert promised(SECTION)[what] == came_of_it


def outcomes(ended: Came) -> dict[str, str]:
    """Of each database of a job."""
    return {host: made["outcome"] for host, made in ended.made.items()}


def test_twelve_databases_over_two_nodes_of_which_one_dies(mesh: Mesh, another_small: Callable[[], Pipeline]) -> None:
    """The other node finishes its own; the dead one's command, on it, all the rest within a minute of the death."""
    there = {f"shop{number:02}": another_small() for number in range(1, 13)}
    events, jobs = there["shop01"].events(), there["shop01"].active_jobs()
    record = there["shop12"]
    luzon = {name: pipeline.dsn for name, pipeline in there.items() if name <= "shop06"}
    way = {**WAY, "scout_rollout_dsn": record.dsn}
    ours = job(mesh.home, "emergency_reset", luzon, **way)
    theirs = job(mesh.home, "emergency_reset", {name: there[name].dsn for name in there if name > "shop06"}, **way)
    hangs = there["shop06"]
    hangs.execute(HANG)
    mesh.submit("luzon", ours)
    other = mesh.submit("visayas", theirs)
    eventually(lambda: hangs.one(SLEEPING), 400, "the drain of shop06")
    mesh.kill("luzon")
    died = time.monotonic()
    for pipeline in there.values():
        of_another_machine(pipeline)
    hangs.execute(UNHANG)
    last = came(mesh, mesh.submit("visayas", ours))
    assert last.code == 0, last.screen
    assert time.monotonic() - died < MINUTE, "typed once, at once"
    first = came(mesh, other)
    assert first.code == 0, first.screen
    assert "12 databases: 12 recovered or healthy" in " ".join(last.screen.split()), last.screen
    for name, pipeline in there.items():
        assert pipeline.unaccounted(events) == [], name
        assert (pipeline.active_jobs(), pipeline.lease_owner()) == (jobs, None), name
    assert record.one("SELECT count(*) FROM scout_ops.rollout_hosts WHERE NOT failed") == 12
    assert list((last.artifacts / "evidence").glob("INC-7-*/SHA256SUMS"))
    row_is(
        "one of two nodes, of a rollout over 12 databases",
        "6 of 6 on the other node | the same job there finishes the rest; one table of 12",
    )


def test_two_controllers_at_once_on_one_database(mesh: Mesh, another_small: Callable[[], Pipeline]) -> None:
    pipeline = another_small()
    events, jobs = pipeline.events(), pipeline.active_jobs()
    reset = job(mesh.home, "emergency_reset", pipeline.dsn)
    units = [mesh.submit(node, reset) for node in ("luzon", "visayas")]
    ended = [came(mesh, unit) for unit in units]
    found = sorted((each.code != 0, outcomes(each)["production"]) for each in ended)
    assert not found[0][0], [each.screen for each in ended]
    assert (pipeline.unaccounted(events), pipeline.active_jobs(), pipeline.lease_owner()) == ([], jobs, None)
    assert pipeline.one("SELECT count(*) FROM scout_ops.runs WHERE action = 'drain'") == 1
    if found[1][0]:
        refused = next(each for each in ended if each.code)
        assert refused.made["production"]["error"]["kind"] == "lease_held"
    row_is(
        "nothing: two jobs at once on one database", "one recovers it | the other is refused with who holds the lease"
    )


def test_a_node_that_is_frozen_and_thawed_writes_nothing_more(
    mesh: Mesh, another_small: Callable[[], Pipeline]
) -> None:
    pipeline = another_small()
    events, jobs = pipeline.events(), pipeline.active_jobs()
    reset = job(mesh.home, "emergency_reset", pipeline.dsn)
    with stopped_in_each_phase(mesh, {"sessions": pipeline}) as stopped:
        unit = mesh.submit("luzon", reset)
        eventually(lambda: stopped, 200, "it is frozen, with ingestion paused")
    pids, frozen = mesh.of_job(pipeline.dsn), time.monotonic()
    of_another_machine(pipeline)
    eventually(lambda: free(pipeline), MINUTE + 20, "the lease is free")
    assert time.monotonic() - frozen < MINUTE
    done = came(mesh, mesh.submit("visayas", reset))
    assert (done.code, outcomes(done)["production"]) == (0, "recovered"), done.screen
    before = pipeline.contents()
    send(signal.SIGCONT, pids)
    thawed = came(mesh, unit)
    # The server has ended the session of a transaction that was open, or the lease is another's; unless it finds all done already.
    error = thawed.made["production"]["error"]
    assert (thawed.code != 0) == bool(error), thawed.screen
    assert not error or error["kind"] in ("connection_lost", "lease_lost"), thawed.made
    assert (pipeline.contents(), pipeline.unaccounted(events), pipeline.active_jobs()) == (before, [], jobs)
    row_is(
        "nothing: a node is frozen for a minute, and goes on",
        "recovered by the other | its session is gone, its next write refused, or nothing left to write; it changes nothing",
    )


def test_the_primary_dies_with_the_node(mesh: Mesh, paired: Paired, tmp_path: Path) -> None:
    pair = paired()
    events, jobs = break_first(pair)
    first = Pipeline(pair.first.dsn(DATABASE))
    first.execute(HANG)
    reset = job(mesh.home, "emergency_reset", pair.dsn(), incident="INC-7")
    mesh.submit("luzon", reset)
    eventually(lambda: first.one(SLEEPING), 200, "the drain")
    mesh.kill("luzon")
    pair.fail_over()
    now = Pipeline(pair.second.dsn(DATABASE))
    now.execute(UNHANG)
    of_another_machine(now)
    assert now.active_jobs() != jobs, "it stays paused"
    eventually(lambda: free(now), MINUTE + 20, "the lease is free")
    done = came(mesh, mesh.submit("visayas", reset))
    assert done.code == 0, done.screen
    made = done.made["production"]
    assert (now.unaccounted(events), now.pending(), now.active_jobs(), now.lease_owner()) == ([], 0, jobs, None)
    row_is(
        "the node, and the primary with it; its standby is promoted", f"paused | {made['outcome']}, {made['ingestion']}"
    )
