# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Controller, hop and nodes in network namespaces where root has them, else on ports: a link is down, and a machine is not heard of."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests import debian
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import eventually
from tests.failover.pair import DATABASE, alone
from tests.mesh import mesh as meshes
from tests.mesh.conftest import came, promised
from tests.mesh.mesh import Mesh, job
from tests.mesh.networks import best
from tests.mesh.test_mesh import MINUTE
from tests.mesh.test_phases import SECTION
from tests.scout.fixtures import memory

pytestmark = pytest.mark.thorough

#: A drain hangs in its first batch for as long as somebody holds it up.
HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  WHILE EXISTS (SELECT FROM pg_catalog.pg_stat_activity WHERE application_name = 'hold') LOOP
    PERFORM pg_catalog.pg_stat_clear_snapshot(), pg_catalog.pg_sleep(0.5);
  END LOOP;
  RETURN NEW;
END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION public.hang()
"""
#: Whoever hangs already goes on hanging.
UNHANG = "CREATE OR REPLACE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
#: For how long a link is down that nobody is to notice.
LINK_SECONDS = 12


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[Mesh]:
    """A mesh whose nodes are as far apart as this machine allows."""
    with best(["controller", *meshes.NODES]) as network:
        try:
            with meshes.opened(tmp_path, network=network) as made:
                yield made
        except debian.Unavailable as e:
            pytest.skip(str(e))


@pytest.fixture
def served(stopped_server: Path, apart: Mesh) -> Iterator[tuple[Pipeline, str]]:
    """A broken pipeline, and how nodes reach it: over the network."""
    server = alone(stopped_server, memory(), listen_addresses="*")
    try:
        rules = server.data / "pg_hba.conf"
        rules.write_text(f"host all all {apart.network.here}/8 trust\n{rules.read_text()}")
        with psycopg.connect(server.dsn(), autocommit=True) as connection:
            connection.execute("SELECT pg_reload_conf()")
        pipeline = Pipeline(server.dsn(DATABASE))
        there = conninfo_to_dict(pipeline.dsn)
        yield pipeline, f"postgresql://postgres@{apart.network.here}:{there['port']}/{DATABASE}"
    finally:
        server.stop()


def broken(pipeline: Pipeline) -> tuple[list[Any], set[str], Any]:
    """What is to be reset: its events, and the jobs that are active; and what holds it up."""
    library.backlog(pipeline.dsn, count=60, age_seconds=1200)
    library.poison_event(pipeline.dsn)
    library.gold_stale(pipeline.dsn)
    pipeline.execute(HANG)
    return pipeline.events(), pipeline.active_jobs(), psycopg.connect(pipeline.dsn, application_name="hold")


def test_a_machine_that_is_not_heard_of_is_replaced_within_a_minute_and_changes_nothing_once_it_is_back(
    apart: Mesh, served: tuple[Pipeline, str]
) -> None:
    """With its network nothing of it says goodbye, and it goes on: with what it had sent, until the server ends that."""
    pipeline, there = served
    events, jobs, held = broken(pipeline)
    reset = job(apart.home, "emergency_reset", there, incident="INC-7")
    apart.submit("luzon", reset)
    eventually(lambda: pipeline.one(SLEEPING), 120, "the drain")
    assert pipeline.active_jobs() < jobs
    apart.lose("luzon")
    lost = time.monotonic()
    pipeline.execute(UNHANG)
    done = came(apart, apart.submit("visayas", reset))
    assert (done.code, done.made["production"]["outcome"]) == (0, "recovered"), done.screen
    assert time.monotonic() - lost < MINUTE, "typed once, at once"
    assert (pipeline.unaccounted(events), pipeline.active_jobs(), pipeline.lease_owner()) == ([], jobs, None)
    before = pipeline.contents()
    held.close()
    apart.find("luzon")
    eventually(lambda: not apart.of_job(there), 120, "what ran on it has come to its end")
    assert (pipeline.contents(), pipeline.active_jobs(), pipeline.lease_owner()) == (before, jobs, None)
    row_is("a machine loses its network, or its power", "paused | recovered, running")


def test_a_link_that_is_down_for_a_while_changes_nothing(apart: Mesh, served: tuple[Pipeline, str]) -> None:
    pipeline, there = served
    events, jobs, held = broken(pipeline)
    unit = apart.submit("visayas", job(apart.home, "emergency_reset", there, incident="INC-7"))
    eventually(lambda: pipeline.one(SLEEPING), 120, "the drain")
    apart.cut("visayas")
    time.sleep(LINK_SECONDS)
    held.close()
    apart.restore("visayas")
    done = came(apart, unit)
    assert (done.code, done.made["production"]["outcome"]) == (0, "recovered"), done.screen
    assert (pipeline.unaccounted(events), pipeline.active_jobs(), pipeline.lease_owner()) == ([], jobs, None)
    assert list((done.artifacts / "evidence").glob("INC-7-*/SHA256SUMS"))
    row_is(f"the link, for {LINK_SECONDS} s while paused", "goes on | recovered, running")


def row_is(what: str, came_of_it: str) -> None:
    """The table of the page says so."""
    assert promised(SECTION)[what] == came_of_it
