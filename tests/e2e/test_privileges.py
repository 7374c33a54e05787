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

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}

#: What is taken from the role, and the GRANT that must be named.
TAKEN = {
    "REVOKE SELECT ON scout.bronze_events FROM {role}": "GRANT SELECT ON scout.bronze_events TO {role}",
    "REVOKE UPDATE ON scout.bronze_events FROM {role}": "GRANT UPDATE ON scout.bronze_events TO {role}",
    "REVOKE DELETE ON scout.bronze_events FROM {role}": "GRANT DELETE ON scout.bronze_events TO {role}",
    "REVOKE INSERT ON scout.bronze_events_dlq FROM {role}": "GRANT INSERT ON scout.bronze_events_dlq TO {role}",
    "REVOKE INSERT ON scout.etl_processed FROM {role}": "GRANT INSERT ON scout.etl_processed TO {role}",
    "REVOKE DELETE ON scout.etl_processed FROM {role}": "GRANT DELETE ON scout.etl_processed TO {role}",
    "REVOKE SELECT ON scout.silver_transactions FROM {role}": "GRANT SELECT ON scout.silver_transactions TO {role}",
    "REVOKE EXECUTE ON FUNCTION scout.load_silver_from_bronze FROM {role}, PUBLIC": (
        "GRANT EXECUTE ON FUNCTION scout.load_silver_from_bronze(integer) TO {role}"
    ),
    "REVOKE MAINTAIN ON scout.gold_daily_metrics FROM {role}": "MAINTAIN ON",
    "REVOKE USAGE ON SCHEMA scout FROM {role}": "GRANT USAGE ON SCHEMA scout TO {role}",
    "REVOKE USAGE ON SCHEMA cron FROM loader": "GRANT USAGE ON SCHEMA cron TO loader",
    "REVOKE EXECUTE ON FUNCTION cron.alter_job FROM loader": "GRANT EXECUTE ON FUNCTION cron.alter_job",
    "REVOKE loader FROM {role}": "GRANT loader TO {role}",
    "REVOKE pg_read_all_stats FROM {role}": "GRANT pg_read_all_stats TO {role}",
    "REVOKE pg_signal_backend FROM {role}": "GRANT pg_signal_backend TO {role}",
}


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


def test_each_missing_grant_is_named(
    another_broken: Callable[[], Pipeline], stage: Stage, operators: Callable[[Pipeline, str], str]
) -> None:
    """One database and one role for each; a reset stops at once, says so, and has not paused anything."""
    pipelines: dict[str, Pipeline] = {}
    hosts: dict[str, dict[str, str]] = {}
    for number, revoke in enumerate(TAKEN):
        role = f"operator{number}"
        pipeline = another_broken()
        hosts[role] = {"scout_dsn": operators(pipeline, role)}
        pipeline.execute(revoke.format(role=role))
        pipelines[role] = pipeline
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "4")
    assert played.rc == 2, played.text
    for role, grant in zip(hosts, TAKEN.values(), strict=True):
        made = played.results[role]
        assert made["outcome"] == "failed", role
        assert made["error"]["kind"] == "missing_privilege", made["error"]
        assert grant.format(role=role) in made["error"]["next_step"].replace('"', ""), (role, made["error"])
        assert pipelines[role].active_jobs() >= JOBS
        for statement in made["error"]["next_step"].split("; "):
            pipelines[role].execute(statement)
    assert "Traceback" not in played.text
    again = stage.play("preflight", None, "-i", stage.inventory(hosts), "--forks", "4")
    assert again.rc == 0, again.text
