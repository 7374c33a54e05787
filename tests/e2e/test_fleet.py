# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Several databases in one run: batches by Ansible's own keywords, a summary for each database, and one table."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fleets import NOWHERE, table
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, eventually

Hosts = dict[str, dict[str, Any]]

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
SLOW = """
CREATE FUNCTION public.slowly() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(7); RETURN NULL; END $$;
CREATE TRIGGER slowly AFTER INSERT ON scout.silver_transactions FOR EACH STATEMENT EXECUTE FUNCTION public.slowly()
"""


def hosts_of(pipeline: Pipeline, **wrong: str) -> Hosts:
    """Six hosts with one database; `wrong` gives some another."""
    return {name: {"scout_dsn": wrong.get(name, pipeline.dsn)} for name in "abcdef"}


def test_each_database_has_its_result(
    another_broken: Callable[[], Pipeline], healthy: Pipeline, pg_server: Server, stage: Stage
) -> None:
    """A reset recovers what it can, and neither a broken ETL nor a server that is down stops the others."""
    broken, unable = another_broken(), another_broken()
    unable.execute("ALTER FUNCTION scout.load_silver_from_bronze(int) RENAME TO load_silver_no_more")
    hosts: Hosts = {
        "broken": {"scout_dsn": broken.dsn},
        "unable": {"scout_dsn": unable.dsn},
        "healthy": {"scout_dsn": healthy.dsn},
        "empty": {"scout_dsn": pg_server.dsn("postgres")},
        "nowhere": {"scout_dsn": NOWHERE},
    }
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts))
    assert played.rc == 2, played.text
    assert table(played) == {
        "broken": ("RECOVERED", "0"),
        "unable": ("PAUSED, fix first", "2"),
        "healthy": ("HEALTHY", "0"),
        "empty": ("WITHOUT SCOUT", "2"),
        "nowhere": ("UNREACHABLE", "2"),
    }, played.text
    assert {name: made["ok"] for name, made in played.results.items()} == {
        "broken": True, "unable": False, "healthy": True, "empty": False, "nowhere": False,
    }  # fmt: skip
    assert broken.active_jobs() >= JOBS
    assert not unable.active_jobs() & JOBS
    for host in hosts:
        assert f": emergency reset of {host}" in played.text


def test_no_batch_begins_after_one_in_which_too_many_failed(healthy: Pipeline, stage: Stage) -> None:
    """Every host of that batch finishes first."""
    inventory = stage.inventory(hosts_of(healthy, c=NOWHERE))
    given = {"scout_serial": [1, 3, "100%"], "scout_max_fail_percentage": 30}
    played = stage.play("pause_ingestion", None, "-i", inventory, "-e", json.dumps(given))
    assert played.rc == 2, played.text
    assert {host: code for host, (_, code) in table(played).items()} == {
        "a": "0", "b": "0", "c": "2", "d": "0",
    }, played.text  # fmt: skip
    assert played.results.keys() == set("abcd")


def test_a_share_of_failures_that_is_allowed_stops_nothing(healthy: Pipeline, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy, c=NOWHERE))
    given = {"scout_serial": 3, "scout_max_fail_percentage": 40}
    played = stage.play("assess", None, "-i", inventory, "-e", json.dumps(given))
    assert played.rc == 2, played.text
    assert {host: code for host, (_, code) in table(played).items()} == dict.fromkeys("abdef", "0") | {"c": "2"}


def test_a_canary_that_fails_ends_it(healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy, a=pg_server.dsn("postgres")))
    given = json.dumps({"scout_serial": [1, "100%"]})
    played = stage.play("pause_ingestion", None, "-i", inventory, "-e", given)
    assert played.rc == 2, played.text
    assert played.results.keys() == {"a"}
    assert "bronze-to-silver-etl" in healthy.active_jobs()


@pytest.mark.parametrize("options", [("--syntax-check",), ("--list-tasks", "--list-hosts")], ids=["syntax", "lists"])
def test_what_runs_nothing_reads_the_batches_too(options: tuple[str, ...], healthy: Pipeline, stage: Stage) -> None:
    given = {"scout_serial": 1, "scout_max_fail_percentage": 0}
    played = stage.play("pause_ingestion", None, *options, "-i", stage.inventory(hosts_of(healthy)), **given)
    assert played.rc == 0, played.text


def test_a_host_that_ansible_cannot_reach_keeps_no_other_from_its_result(healthy: Pipeline, stage: Stage) -> None:
    ssh = stage.home / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host bastion port 22: Connection timed out' >&2\nexit 255\n")
    ssh.chmod(0o755)
    away = {"scout_dsn": NOWHERE, "ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)}
    hosts: Hosts = {"here": {"scout_dsn": healthy.dsn}, "away": away}
    played = stage.play("assess", None, "-i", stage.inventory(hosts))
    assert played.rc == 4, played.text
    assert table(played).get("here") == ("HEALTHY", "0"), played.text
    assert played.results["here"]["ok"]
    assert "Connection timed out" in played.text
    assert not played.results.get("away", {"ok": False})["ok"]


def test_interrupted_and_run_again_each_database_is_recovered(
    another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    pipelines = {f"shop-{at}": another_broken() for at in range(1, 4)}
    for pipeline in pipelines.values():
        pipeline.execute(SLOW)
    hosts: Hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
    words = ("-i", stage.inventory(hosts))
    with stage.start("emergency_reset", None, *words, "--forks", "2", proof=False) as running:
        # Ansible hangs if a worker is killed while it reports, so each waits for the database by then.
        eventually(lambda: pipelines["shop-1"].one(ASLEEP) >= 2, 60, "two drains")
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc != 0
    for pipeline in pipelines.values():
        pipeline.execute("DROP TRIGGER slowly ON scout.silver_transactions")
    again = stage.play("emergency_reset", None, *words, proof=False)
    assert again.rc == 0, again.text
    assert all(pipeline.active_jobs() >= JOBS for pipeline in pipelines.values())
