# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release that drops or renames what every other playbook works on is rolled back like any other."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage
from tests.e2e.test_rollback import schema
from tests.security.roles import drop_roles

TABLES = ("scout.etl_processed", "scout.bronze_events_dlq")
MARKS = "SELECT count(*) FROM scout.etl_processed"
BY_ANSIBLE = "dropped ledger"
RELEASES = {
    "renamed ledger": "ALTER TABLE scout.etl_processed RENAME TO etl_done",
    "renamed column of the ledger": "ALTER TABLE scout.etl_processed RENAME COLUMN event_id TO event",
    "dropped ledger": "DROP TABLE scout.etl_processed CASCADE",
    "renamed dead letters": "ALTER TABLE scout.bronze_events_dlq RENAME TO dead",
    "dropped dead letters": "DROP TABLE scout.bronze_events_dlq CASCADE",
    "both moved away": "CREATE SCHEMA attic AUTHORIZATION loader; ALTER TABLE scout.etl_processed SET SCHEMA attic; "
    "ALTER TABLE scout.bronze_events_dlq SET SCHEMA attic",
}


@pytest.fixture
def deployer(healthy: Pipeline) -> Iterator[str]:
    """The dsn of a role made for rollbacks, which may do nothing else."""
    script = str(CHECKOUT / "docs" / "operator_role.sql")
    made = [psql(), "-Xq", "-d", healthy.dsn, "-v", "role=deployer", "-v", "rollback=on", "-f", script]
    subprocess.run(made, check=True)
    yield make_conninfo(healthy.dsn, user="deployer")
    drop_roles(healthy.dsn, "deployer")


@pytest.mark.parametrize("release", RELEASES)
def test_it_goes_back_and_runs_again(
    healthy: Pipeline, deployer: str, release: str, request: pytest.FixtureRequest
) -> None:
    """One of them by Ansible, the others in this process."""
    stage: Stage = request.getfixturevalue("stage")
    good, jobs, marks = schema(healthy), healthy.active_jobs(), healthy.one(MARKS)
    captured = stage.play("capture_release", deployer, release="v5.2.1", protect=list(TABLES))
    assert captured.rc == 0, captured.text
    healthy.execute(*RELEASES[release].split("; "))
    bad = schema(healthy)
    planned = stage.play("rollback", deployer, "--check", release="v5.2.1")
    assert planned.rc == 0, planned.text
    assert schema(healthy) == bad
    played = stage.play("rollback", deployer, release="v5.2.1", rehearse=False)
    assert (played.rc, played.result["outcome"], played.result["ingestion"]) == (0, "done", "running"), played.text
    assert schema(healthy) == good
    assert healthy.active_jobs() == jobs
    assert healthy.one(MARKS) == marks
    undone = stage.play("undo", deployer, run_id=played.result["rollback"]["schema"]["undo"], resume=False)
    assert undone.rc == 0, undone.text
    assert schema(healthy) == bad
