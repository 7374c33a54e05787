# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Over a real receptor: results and evidence come back, and what a killed node began another one finishes within a minute."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import eventually
from tests.mesh.conftest import came
from tests.mesh.mesh import Mesh, job
from tests.mesh.test_phases import of_another_machine

pytestmark = pytest.mark.thorough

#: Inserting a line hangs, so that a batch of the drain is in flight for as long as a test likes.
HANG = """
CREATE FUNCTION public.hang() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(60); RETURN NEW; END $$;
CREATE TRIGGER hang BEFORE INSERT ON scout.silver_line_items FOR EACH ROW EXECUTE FUNCTION public.hang()
"""
UNHANG = "DROP TRIGGER hang ON scout.silver_line_items; DROP FUNCTION public.hang()"
SLEEPING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
LEASE = "SELECT owner FROM scout_ops.leases"
#: What is promised, from the death of a node to the end of the job on another.
MINUTE = 60.0


def back(mesh: Mesh, unit: Any) -> tuple[int, dict[str, Any], Path]:
    """A job on one database that ended: its exit code, its document and its artifacts."""
    ended = came(mesh, unit)
    [made] = ended.made.values()
    return ended.code, made, ended.artifacts


def test_a_node_that_is_killed_while_paused_is_finished_by_another_within_a_minute(
    mesh: Mesh, another_broken: Callable[[], Pipeline]
) -> None:
    pipeline = another_broken()
    code, assessed, _ = back(mesh, mesh.submit("luzon", job(mesh.home, "assess", pipeline.dsn)))
    assert (code, assessed["operation"], assessed["verdict_after"]) == (0, "assess", "failing"), {
        name: value for name, value in assessed.items() if isinstance(value, (str, bool, int))
    }
    events, jobs = pipeline.events(), pipeline.active_jobs()

    pipeline.execute(HANG)
    reset = job(mesh.home, "emergency_reset", pipeline.dsn, incident="INC-7", awx_user_name="maria")
    mesh.submit("luzon", reset)
    eventually(lambda: pipeline.one(SLEEPING), 120, "the drain")
    paused = pipeline.active_jobs()
    assert paused < jobs
    mesh.kill("luzon")
    died = time.monotonic()
    of_another_machine(pipeline)
    pipeline.execute(UNHANG)
    code, done, artifacts = back(mesh, mesh.submit("visayas", reset))
    assert (code, done["outcome"]) == (0, "recovered"), done
    assert time.monotonic() - died < MINUTE, "typed once, at once"
    assert (pipeline.one(LEASE), pipeline.unaccounted(events)) == (None, [])
    assert pipeline.active_jobs() > paused
    assert list((artifacts / "evidence").glob("INC-7-*/SHA256SUMS"))
