# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The throwaway container: what the tests on the real pg_cron stand on."""

from __future__ import annotations

import gc
import time
from pathlib import Path

import psycopg
import pytest
from docker import DockerClient

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container, docker

SCHEDULE = """
CREATE EXTENSION pg_cron;
CREATE ROLE worker LOGIN;
GRANT USAGE ON SCHEMA cron TO worker;
CREATE TABLE ran (by text);
GRANT INSERT ON ran TO worker;
SET ROLE worker;
SELECT cron.schedule('mark', '1 second', 'INSERT INTO ran VALUES (current_user)');
RESET ROLE;
"""


@pytest.mark.docker
@pytest.mark.parametrize("background_workers", ["on", "off"])
def test_the_scheduler_runs_the_job_of_an_ordinary_role(background_workers: str) -> None:
    with (
        container.running(settings={"cron.use_background_workers": background_workers}) as box,
        psycopg.connect(box.dsn, autocommit=True) as session,
    ):
        session.execute(SCHEDULE)
        deadline = time.monotonic() + 20
        while not (found := session.execute("SELECT DISTINCT by FROM ran").fetchall()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        assert found == [("worker",)]


@pytest.mark.docker
def test_another_database_can_have_the_scheduler() -> None:
    with container.running("elsewhere") as box, psycopg.connect(box.dsn, autocommit=True) as session:
        session.execute("CREATE EXTENSION pg_cron")
        assert session.execute("SELECT current_database()::text").fetchone() == ("elsewhere",)


@pytest.mark.docker
def test_it_listens_on_the_loopback_address_only_and_is_gone_afterwards() -> None:
    with container.running() as box:
        client = DockerClient.from_env()
        try:
            ports = client.containers.get(container.PREFIX + box.name).ports
            assert [binding["HostIp"] for binding in ports["5432/tcp"]] == ["127.0.0.1"]
        finally:
            client.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(box.dsn)
    assert not container.stop(box.name)


def test_docker_can_be_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCOUT_DOCKER", "off")
    with pytest.raises(docker.Unavailable, match="SCOUT_DOCKER=off"):
        docker.ready()


def test_without_a_listener_no_socket_is_left_open(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nobody.sock")
    with pytest.raises(docker.Unavailable, match=r"nobody\.sock: No such file or directory"):
        container.stop("none")
    gc.collect()  # a socket that is left open warns here, and a warning is an error
