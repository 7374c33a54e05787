# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The documented role can do all of it, and whatever it lacks is named together with the GRANT that fixes it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage


@pytest.fixture
def operators(pg_server: Server) -> Iterator[Callable[[Pipeline, str], str]]:
    """Makes a role with docs/operator_role.sql in a database; returns its dsn."""
    made: list[tuple[Pipeline, str]] = []

    def make(pipeline: Pipeline, role: str) -> str:
        script = str(CHECKOUT / "docs" / "operator_role.sql")
        done = subprocess.run(
            [psql(), "-X", "-q", "-d", pipeline.dsn, "-v", f"role={role}", "-f", script], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        made.append((pipeline, role))
        return make_conninfo(pipeline.dsn, user=role)

    yield make
    for pipeline, role in made:
        pipeline.execute(f"DROP OWNED BY {role} CASCADE")
    for role in {role for _, role in made}:
        with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}".encode())


def test_the_whole_reset_as_the_documented_role(
    broken: Pipeline, stage: Stage, operators: Callable[[Pipeline, str], str]
) -> None:
    """No superuser, not the owner: paused, cleared of a stuck session, drained past poison, refreshed and resumed."""
    dsn = operators(broken, "night_shift")
    active, events = broken.active_jobs(), broken.events()
    owner = make_conninfo(broken.dsn, user="loader")
    with library.stuck_etl(owner, "idle_in_transaction") as stuck:
        broken.rows("SELECT pg_sleep(1.1)")
        played = stage.play("emergency_reset", dsn, stuck_after_seconds=1, ledger="required")
        assert played.rc == 0, played.text
        assert not stuck.alive()
    assert played.result["outcome"] == "recovered"
    assert played.result["warnings"] == []
    assert broken.active_jobs() == active
    assert broken.pending() == 0
    assert broken.unaccounted(events) == []
    again = stage.play("emergency_reset", dsn)
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
