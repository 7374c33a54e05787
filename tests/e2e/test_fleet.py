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

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fleets import NOWHERE, table
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, eventually
from tests.e2e.test_right_database import refused
from tests.e2e.test_screen import SLOW

Hosts = dict[str, dict[str, Any]]

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
ASLEEP = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
#: One database behind several names.
SHARED = {"allow_shared_database": True}


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
        assert f"\nemergency reset of {host}" in played.text


@pytest.mark.parametrize("output", ["", "plain"])
def test_the_drawn_screen_has_the_table_too(output: str, healthy: Pipeline, stage: Stage) -> None:
    library.gold_stale(healthy.dsn)
    inventory = stage.inventory(hosts_of(healthy, b=NOWHERE))
    played = stage.play("assess", None, "-i", inventory, **SHARED, env={"SCOUT_OUTPUT": output})
    assert played.rc == 2, played.text
    assert table(played) == {name: ("UNREACHABLE", "2") if name == "b" else ("FAILING", "0") for name in "abcdef"}
    assert "FAILED!" not in played.text


def test_no_batch_begins_after_one_in_which_too_many_failed(healthy: Pipeline, stage: Stage) -> None:
    """Every host of that batch finishes first."""
    inventory = stage.inventory(hosts_of(healthy, c=NOWHERE))
    given = {"scout_serial": [1, 3, "100%"], "scout_max_fail_percentage": 30}
    played = stage.play("pause_ingestion", None, "-i", inventory, "-e", json.dumps(given), **SHARED)
    assert played.rc == 2, played.text
    assert {host: code for host, (_, code) in table(played).items()} == {
        "a": "0", "b": "0", "c": "2", "d": "0", "e": "-", "f": "-",
    }, played.text  # fmt: skip
    assert played.results.keys() == set("abcd")


def test_a_share_of_failures_that_is_allowed_stops_nothing(healthy: Pipeline, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy, c=NOWHERE))
    given = {"scout_serial": 3, "scout_max_fail_percentage": 40}
    played = stage.play("assess", None, "-i", inventory, "-e", json.dumps(given), **SHARED)
    assert played.rc == 2, played.text
    assert {host: code for host, (_, code) in table(played).items()} == dict.fromkeys("abdef", "0") | {"c": "2"}


def test_a_canary_that_fails_ends_it(healthy: Pipeline, pg_server: Server, stage: Stage) -> None:
    inventory = stage.inventory(hosts_of(healthy, a=pg_server.dsn("postgres")))
    given = json.dumps({"scout_serial": [1, "100%"]})
    played = stage.play("pause_ingestion", None, "-i", inventory, "-e", given, **SHARED)
    assert played.rc == 2, played.text
    assert played.results.keys() == {"a"}
    assert "bronze-to-silver-etl" in healthy.active_jobs()


def test_batches_in_an_inventory_are_refused(healthy: Pipeline, stage: Stage) -> None:
    """Ansible reads keywords of a play before it knows a host, so it would take all hosts at once."""
    inventory = stage.inventory(hosts_of(healthy), scout_serial=1)
    refused(stage.play("pause_ingestion", None, "-i", inventory, **SHARED), "scout_serial", "-e scout_serial=")
    assert "bronze-to-silver-etl" in healthy.active_jobs()


@pytest.mark.parametrize("words", [("--tags=drain", "--skip-tags=lease"), ("--start-at-task=x",)])
def test_no_part_of_an_operation_is_played(words: tuple[str, ...], healthy: Pipeline, stage: Stage) -> None:
    refused(stage.play("scout.recovery.undo", healthy.dsn, *words), "would leave out steps that the others rely on")


@pytest.mark.parametrize("options", [("--syntax-check",), ("--list-tasks", "--list-hosts")], ids=["syntax", "lists"])
def test_what_runs_nothing_reads_the_batches_too(options: tuple[str, ...], healthy: Pipeline, stage: Stage) -> None:
    given = {"scout_serial": 1, "scout_max_fail_percentage": 0}
    played = stage.play("pause_ingestion", None, *options, "-i", stage.inventory(hosts_of(healthy)), **SHARED, **given)
    assert played.rc == 0, played.text


def test_a_host_that_ansible_cannot_reach_has_a_document(healthy: Pipeline, stage: Stage) -> None:
    ssh = stage.home / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host bastion port 22: Connection timed out' >&2\nexit 255\n")
    ssh.chmod(0o755)
    away = {"scout_dsn": NOWHERE, "ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)}
    hosts: Hosts = {"here": {"scout_dsn": healthy.dsn}, "away": away}
    played = stage.play("assess", None, "-i", stage.inventory(hosts))
    assert played.rc == 4, played.text
    assert table(played) == {"here": ("HEALTHY", "0"), "away": ("no result", "-")}
    assert played.results["away"]["error"]["kind"] == "connection_failed"
    assert "Connection timed out" in played.results["away"]["error"]["said"]
    assert not played.results["away"]["ok"]


def test_interrupted_it_says_how_each_database_is(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    pipelines = {f"shop-{at}": another_broken() for at in range(1, 4)}
    for pipeline in pipelines.values():
        pipeline.execute(SLOW)
    hosts: Hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
    with stage.start("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "2", proof=False) as running:
        # Ansible hangs if a worker is killed while it reports, so each waits for the database by then.
        eventually(lambda: pipelines["shop-1"].one(ASLEEP) >= 2, 60, "two drains")
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc != 0
    assert played.results.keys() == hosts.keys()
    assert all(f"emergency reset of {host}, interrupted" in played.text for host in hosts)
    assert "ingestion is PAUSED" in played.text
