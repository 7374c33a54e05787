# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: somebody between the operator and the database answers in its place, reads along, or gets his notices."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import playbook_process
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import dsn as dsns
from tests.e2e.play import Stage
from tests.integration.modules import call

SSL_REQUEST = bytes.fromhex("0000000804d2162f")


def outside() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect(("192.0.2.1", 9))
        return str(line.getsockname()[0])


class Middle:
    """Passes on what it gets, at an address that could be anybody's; in TLS, if it has a certificate."""

    def __init__(self, port: int, certificate: Path | None) -> None:
        self.port_behind, self.certificate = port, certificate
        self._listener = socket.create_server((outside(), 0))
        self.host, self.port = self._listener.getsockname()[:2]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._one, args=[client], daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        server = socket.create_connection(("127.0.0.1", self.port_behind))
        with contextlib.suppress(OSError):
            if self.certificate and client.recv(8, socket.MSG_PEEK) == SSL_REQUEST:
                client.recv(8)
                client.sendall(b"S")
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.certificate, self.certificate.with_suffix(".key"))
                client = context.wrap_socket(client, server_side=True)
            there = threading.Thread(target=carry, args=[client, server], daemon=True)
            there.start()
            carry(server, client)
            there.join()
        server.close()
        client.close()


def carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    for line in (target, source):
        with contextlib.suppress(OSError):
            line.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "server.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=scout", "-addext", f"subjectAltName=IP:{outside()}", "-out", str(path),
         "-keyout", str(path.with_suffix(".key"))],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def reached(scout_db: str, pg_server: Server, certificate: Path) -> Iterator[Callable[..., str]]:
    """The database by way of somebody in the middle."""
    middles: list[Middle] = []

    def reach(*, tls: bool, **parameters: str) -> str:
        direct = urlsplit(pg_server.tcp_dsn(scout_db.rpartition("/")[2]))
        middles.append(Middle(direct.port or 5432, certificate if tls else None))
        password = f"{direct.username}:{direct.password}"
        options = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://{password}@{middles[-1].host}:{middles[-1].port}{direct.path}?{options}"

    yield reach
    for middle in middles:
        middle.close()


@pytest.mark.parametrize("how", ["plain", "unverified"])
def test_an_unverified_session_warns_and_is_refused_where_told(
    how: str, reached: Callable[..., str], tmp_path: Path
) -> None:
    dsn = reached(tls=how != "plain", sslmode="prefer" if how == "plain" else "require")
    stage = Stage(tmp_path)
    warned = stage.play("assess", dsn)
    assert warned.rc == 0, warned.text
    assert "the server was not verified" in " ".join(warned.text.split())
    for refused in (
        stage.play("assess", dsn, require_tls=True),
        stage.play("assess", dsn, env={"SCOUT_REQUIRE_TLS": "1"}),
    ):
        assert refused.rc == 2, refused.text
        assert "refused to work without knowing whose server this is" in refused.summary
        assert "sslmode=verify-full" in refused.summary


def test_a_verified_session_does_not_warn(reached: Callable[..., str], certificate: Path, tmp_path: Path) -> None:
    dsn = reached(tls=True, sslmode="verify-full", sslrootcert=str(certificate))
    played = Stage(tmp_path).play("assess", dsn, require_tls=True)
    assert played.rc == 0, played.text
    assert "not verified" not in played.text


def test_channel_binding_keeps_out_whose_certificate_is_trusted(reached: Callable[..., str], certificate: Path) -> None:
    """The proof of the password is bound to the TLS that the client sees, which is not the server's."""
    dsn = reached(tls=True, sslmode="verify-full", sslrootcert=str(certificate), channel_binding="require")
    refused = call("scout_health_info", dsn)
    assert refused["failed"], refused
    assert "channel binding" in refused["msg"]


def test_what_stays_on_this_machine_needs_no_tls(scout_db: str, tmp_path: Path) -> None:
    played = Stage(tmp_path).play("assess", scout_db, require_tls=True)
    assert played.rc == 0, played.text
    assert "not verified" not in played.text


@pytest.mark.parametrize(
    ("dsn", "environment", "local"),
    [
        ("postgresql:///scout", {}, True),
        ("postgresql://127.0.0.1/scout", {}, True),
        ("postgresql://[::1]/scout", {}, True),
        ("host=/run/postgresql dbname=scout", {}, True),
        ("postgresql://db1/scout", {}, False),
        ("postgresql://127.0.0.1,db1/scout", {}, False),
        ("postgresql:///scout", {"PGHOST": "db1"}, False),
        ("postgresql://db1/scout", {"PGSSLMODE": "verify-full"}, True),
        ("postgresql://db1/scout?sslmode=require", {"PGSSLMODE": "verify-full"}, False),
        ("postgresql://db1/scout?sslrootcert=system", {}, True),
        ("host=127.0.0.1 hostaddr=192.0.2.7", {}, False),
    ],
)
def test_no_password_is_sent_to_whom_one_does_not_know(dsn: str, environment: dict[str, str], local: bool) -> None:
    with contextlib.nullcontext() if local else pytest.raises(BadInput):
        dsns.require_verified(dsns.parse_dsn(dsn, "scout_dsn"), "scout_dsn", environment)


def test_a_drill_on_the_operators_server_connects_as_he_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All that libpq knows of how to connect goes on, and nothing of where, nor a secret."""
    known = [option for option in psycopg.pq.Conninfo.get_defaults() if option.envvar]
    for option in known:
        monkeypatch.setenv((option.envvar or b"").decode(), f"given-{option.keyword.decode()}")
    passed = {
        name
        for name in playbook_process.PlaybookRunner([], tmp_path, as_operator=True).shell()
        if name.startswith("PG")
    }
    everything = {(option.envvar or b"").decode() for option in known}
    withheld = {
        *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE", "PGPASSWORD", "PGOPTIONS"),
    }
    assert everything - passed == withheld
    assert {"PGSSLMODE", "PGREQUIREAUTH", "PGCHANNELBINDING", "PGSSLCRL", "PGGSSENCMODE", "PGREQUIREPEER"} <= passed
    assert not playbook_process.PlaybookRunner([], tmp_path).shell().keys() & {"PGSSLMODE", "PGREQUIREAUTH"}


def test_the_database_that_has_pg_cron_has_to_be_verified_too(scout_db: str) -> None:
    refused = call("scout_health_info", scout_db, require_tls=True, cron_dsn="host=db.example.org dbname=postgres")
    assert refused["msg"].startswith("refused to work without knowing whose server this is"), refused["msg"]
    assert refused["error"]["next_step"].endswith("to scout_cron_dsn")
