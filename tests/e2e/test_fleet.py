# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many databases in one run: none is forgotten, neither on the screen nor in the count nor in the result file."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.fleets import NOWHERE, table
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, eventually
from tests.e2e.test_screen import SLOW

MANY = 50

Hosts = dict[str, dict[str, Any]]


@pytest.fixture
def make(pg_server: Server, scout_template: builder.Template) -> Iterator[Callable[[int], Hosts]]:
    """Makes so many hosts with a healthy database each, but for the last three: failing, no Scout, unreachable."""
    made: list[str] = []

    def hosts(number: int) -> Hosts:
        found: Hosts = {}
        for at in range(1, number - 1):
            made.append(f"fleet_{at:02}")
            found[f"shop-{at:02}"] = {"scout_dsn": scout_template.clone(made[-1])}
        failing = f"shop-{number - 2:02}"
        library.gold_stale(found[failing]["scout_dsn"])
        made.append("fleet_empty")
        found[f"shop-{number - 1:02}"] = {"scout_dsn": pg_server.create_database(made[-1])}
        found[f"shop-{number:02}"] = {"scout_dsn": NOWHERE}
        return found

    yield hosts
    for name in made:
        pg_server.drop_database(name)


def test_of_fifty_databases_none_is_forgotten(make: Callable[[int], Hosts], stage: Stage) -> None:
    hosts = make(MANY)
    played = stage.play("assess", None, "-i", stage.inventory(hosts), "--forks", "4")
    assert played.rc == 2, played.text
    assert played.results.keys() == hosts.keys()
    rows = table(played)
    assert rows.keys() == hosts.keys()
    assert list(rows)[:3] == ["shop-48", "shop-50", "shop-49"]
    assert "failing        gold_staleness" in rows["shop-48"]
    assert "unreachable" in rows["shop-50"]
    assert "without Scout" in rows["shop-49"]
    assert max(map(len, rows.values())) < 80
    counted = f"{MANY} databases: 47 healthy, 1 failing, 1 unreachable, 1 without Scout"
    assert counted in played.summary
    _, _, next_ones = played.summary.partition(counted)
    assert "refresh_gold.yml" in next_ones
    assert "--limit shop-48" in next_ones
    assert "--limit shop-50,shop-49" in next_ones
    assert (stage.home / "result.retry").read_text().split() == ["shop-48", "shop-50", "shop-49"]
    assert len(played.lines) < 400
    titles = [line for line in played.lines if line.startswith("assess of ")]
    assert [title.split()[2].strip(",") for title in titles] == ["shop-48", "shop-50", "shop-49"]


def test_a_host_out_of_reach_is_a_line_and_a_document_too(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    ssh = stage.home / "ssh"
    ssh.write_text("#!/bin/sh\necho 'ssh: connect to host bastion port 22: Connection timed out' >&2\nexit 255\n")
    ssh.chmod(0o755)
    pipelines = [another_broken() for _ in range(3)]
    hosts: Hosts = {f"shop-{at}": {"scout_dsn": pipeline.dsn} for at, pipeline in enumerate(pipelines, 1)}
    pipelines[1].execute("ALTER TABLE scout.silver_transactions RENAME COLUMN basket_size TO size_of_basket")
    hosts["away"] = {"scout_dsn": NOWHERE, "ansible_connection": "ssh", "ansible_ssh_executable": str(ssh)}
    played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "2", proof=False)
    assert played.rc == 4, played.text
    rows = table(played)
    assert list(rows) == ["shop-2", "away", "shop-1", "shop-3"]
    assert "recovered" in rows["shop-1"]
    assert played.results["away"]["error"]["kind"] == "connection_failed"
    assert "Connection timed out" in played.results["away"]["error"]["said"]
    assert not played.results["away"]["ok"]
    assert "4 databases: 2 recovered or healthy, 1 failed, 1 unreachable" in played.summary
    assert "away could not be reached" in played.text
    assert "emergency reset of shop-1" not in played.text
    seen = stage.play("assess", None, "-i", stage.inventory(hosts), "-v", "--limit", "shop-1,shop-2,shop-3,away")
    assert "\nassess of shop-1" in seen.text
    assert "--limit away" in seen.summary


def test_three_are_shown_as_they_were(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    hosts: Hosts = {f"shop-{at}": {"scout_dsn": another_broken().dsn} for at in range(3)}
    played = stage.play("assess", None, "-i", stage.inventory(hosts), "--forks", "2")
    assert table(played) == {}
    assert played.text.count("\nassess of shop-") == 3


def test_a_fleet_that_was_interrupted_is_told_host_by_host(
    another_broken: Callable[[], Pipeline], stage: Stage
) -> None:
    pipelines = {f"shop-{at}": another_broken() for at in range(1, 6)}
    for pipeline in pipelines.values():
        pipeline.execute(SLOW)
    hosts: Hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
    with stage.start("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "2", proof=False) as running:
        eventually(lambda: "(8/11) Drain the backlog" in running.text, 60, "a drain")
        os.killpg(running.process.pid, signal.SIGINT)
        played = running.wait()
    assert played.rc != 0
    rows = table(played)
    assert rows.keys() == hosts.keys()
    assert all("interrupted" in row for row in rows.values()), rows
    assert any(" paused " in row for row in rows.values()), rows
    assert "5 databases: 0 recovered or healthy, 5 interrupted" in played.summary
    assert played.results.keys() == hosts.keys()
    assert all(f"emergency reset of {host}, interrupted" in played.text for host in hosts)
