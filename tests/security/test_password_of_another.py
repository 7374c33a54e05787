# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: who may launch a job names a server of his own, which asks for the password in clear, and libpq sends the one it has."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import dsn as dsns
from tests.e2e.play import Stage
from tests.integration.modules import call
from tests.security.test_unverified_server import SSL_REQUEST, outside

SECRET = "hunter2-of-the-pipeline"
#: How a server asks: in clear, and for a hash with a salt of its own.
ASKS = {"clear": struct.pack("!cii", b"R", 8, 3), "md5": struct.pack("!cii4s", b"R", 12, 5, b"salt")}


class Evil:
    """A server that asks for a password, and notes what it is told."""

    def __init__(self, ask: bytes) -> None:
        self.ask, self.told = ask, b""
        self._listener = socket.create_server((outside(), 0))
        self.host, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def dsn(self) -> str:
        return f"host={self.host} port={self.port} user=scout_operator dbname=scout connect_timeout=5"

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                with client, contextlib.suppress(OSError):
                    client.settimeout(5)
                    self._one(client)

    def _one(self, client: socket.socket) -> None:
        while client.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
            client.recv(8)
            client.sendall(b"N")
        client.recv(4096)
        client.sendall(self.ask)
        self.told += client.recv(4096)


@pytest.fixture(params=ASKS)
def evil(request: pytest.FixtureRequest) -> Iterator[Evil]:
    made = Evil(ASKS[request.param])
    yield made
    made.close()


NEWER = pytest.mark.skipif(psycopg.pq.version() < dsns.REQUIRE_AUTH_SINCE, reason="libpq has no require_auth")


@pytest.mark.parametrize("named", [{"SCOUT_DSN": "host=db1.example.org dbname=scout"}, {"PGHOST": "db1.example.org"}])
@pytest.mark.parametrize("allowed", ["", " require_auth=password,md5"])
def test_the_password_of_the_environments_server_goes_to_no_other(
    evil: Evil, named: dict[str, str], allowed: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {**named, "PGPASSWORD": SECRET}.items():
        monkeypatch.setenv(name, value)
    refused = call("scout_health_info", evil.dsn + allowed)
    assert refused["failed"], refused
    assert evil.told == b""
    if allowed:
        assert "PGPASSWORD belongs to the server that the environment names" in refused["error"]["next_step"]
    assert SECRET not in str(refused)


def test_the_server_that_is_named_for_pg_cron_gets_no_password_of_scouts(
    evil: Evil, scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the option's nor the environment's, although nothing there says whose that is."""
    monkeypatch.setenv("PGPASSWORD", SECRET)
    dsn = f"{evil.dsn} require_auth=password,md5"
    refused = call("scout_ingestion", scout_db, state="paused", check=True, password=SECRET, cron_dsn=dsn)
    assert refused["failed"], refused
    assert "scout_cron_dsn" in refused["msg"]
    assert evil.told == b""
    assert SECRET not in str(refused)


def inventory(folder: Path, dsn: str, password: str) -> str:
    """Of one host."""
    host = {"scout_dsn": dsn, "scout_password": password, "server": "db1.example.org"}
    file = folder / "hosts.yml"
    file.write_text(yaml.safe_dump({"scout": {"hosts": {"luzon": host}}}))
    return str(file)


def test_it_goes_to_its_own_server_and_to_where_it_was_typed_for(evil: Evil, tmp_path: Path) -> None:
    dsn = f"{evil.dsn} require_auth=password,md5"
    for own, typed in (
        ((dsn, SECRET), {"scout_dsn": f"{dsn} application_name=mine"}),
        (("host=db1.example.org", "other"), {"scout_dsn": dsn, "scout_password": SECRET}),
    ):
        evil.told = b""
        Stage(tmp_path).play("assess", None, "-i", inventory(tmp_path, *own), "-e", json.dumps(typed))
        assert evil.told


@NEWER
@pytest.mark.parametrize("how", ["environment", "option", "dsn"])
def test_no_server_that_is_not_verified_is_told_a_password(
    evil: Evil, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing says that it is another's."""
    dsn = f"{evil.dsn} password={SECRET}" if how == "dsn" else evil.dsn
    if how == "environment":
        monkeypatch.setenv("PGPASSWORD", SECRET)
    refused = call("scout_health_info", dsn, **({"password": SECRET} if how == "option" else {}))
    assert refused["failed"], refused
    assert evil.told == b""
    assert "add sslmode=verify-full" in refused["error"]["next_step"]
    call("scout_health_info", f"{evil.dsn} password={SECRET} require_auth=password,md5")
    assert evil.told, "who asks for it has it"


def test_a_server_that_asks_properly_is_answered(
    scout_db: str, pg_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By an address that is not loopback, with the password of the environment, of the option and of the connection string."""
    direct = psycopg.conninfo.conninfo_to_dict(pg_server.tcp_dsn(scout_db.rpartition("/")[2]))
    password = str(direct.pop("password"))
    dsn = psycopg.conninfo.make_conninfo(**direct)
    assert not call("scout_health_info", dsn, password=password).get("failed")
    monkeypatch.setenv("PGPASSWORD", password)
    assert not call("scout_health_info", dsn).get("failed")
    monkeypatch.setenv("SCOUT_DSN", dsn)
    assert not call("scout_health_info", None).get("failed")
    assert not call("scout_health_info", f"{dsn} dbname={direct['dbname']}").get("failed")
    monkeypatch.setenv("SCOUT_DSN", "host=db1.example.org dbname=scout")
    assert not call("scout_health_info", dsn, password=password).get("failed")


@pytest.mark.parametrize(
    ("dsn", "environment", "besides"),
    [
        ("host=db1", {}, {"require_auth": dsns.NOT_ASKED_SO}),
        ("host=db1 sslmode=verify-full", {}, {}),
        ("host=db1 require_auth=md5", {}, {}),
        ("host=db1", {"PGREQUIREAUTH": "md5"}, {}),
        ("host=127.0.0.1", {}, {}),
        ("service=scout", {}, {}),
        ("host=db1 sslmode=verify-full", {"PGPASSWORD": "x"}, {}),
        ("host=db1 sslmode=verify-full", {"PGPASSWORD": "x", "PGDATABASE": "scout"}, {}),
        ("host=db1 sslmode=verify-full", {"PGPASSWORD": "x", "SCOUT_DSN": "host=DB1 user=other"}, {}),
        ("host=db1 sslmode=verify-full", {"PGPASSWORD": "x", "PGURI": "postgresql://db1:5433/"}, {"password": ""}),
        (
            "host=db1 hostaddr=192.0.2.7 sslmode=verify-full",
            {"PGPASSWORD": "x", "SCOUT_DSN": "host=db1"},
            {"password": ""},
        ),
        ("host=db1 password=y sslmode=verify-full", {"PGPASSWORD": "x", "PGHOST": "db2"}, {}),
        ("dbname=scout sslmode=verify-full", {"PGPASSWORD": "x", "PGHOST": "db2"}, {}),
    ],
)
def test_what_a_connection_is_given_besides(dsn: str, environment: dict[str, str], besides: dict[str, str]) -> None:
    if psycopg.pq.version() < dsns.REQUIRE_AUTH_SINCE:
        besides.pop("require_auth", None)
    assert dsns.guarded(dsns.parse_dsn(dsn, "scout_dsn"), "scout_dsn", environment) == besides
