# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The embedded server is private, real, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import places
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server

pytestmark = pytest.mark.skipif("SCOUT_TEST_SERVER" in os.environ, reason="another server is given")

START = """
import sys, time
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
print(Server().start().dsn(), flush=True)
time.sleep(60)
"""


def test_throwaway_is_private_and_takes_passwords_over_tcp() -> None:
    with Server() as server:
        with psycopg.connect(server.tcp_dsn()) as connection:
            [(addresses, folder)] = connection.execute(
                "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
            )
        assert addresses == "127.0.0.1"
        assert Path(folder).stat().st_mode & 0o077 == 0
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.tcp_dsn(password="wrong"))
    assert not Path(folder).exists()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_throwaway_dies_with_its_process(death: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", START], env=places.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert process.stdout
    params = conninfo_to_dict(process.stdout.readline().decode().strip())
    folder = Path(str(params["host"]))
    process.send_signal(death)
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 10
    while folder.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", int(str(params["port"])))) != 0


def test_persistent_server_keeps_its_address_and_data(tmp_path: Path) -> None:
    state = tmp_path / "with space" / "postgres"
    server = Server(state)
    try:
        dsn = server.start().create_database("kept")
        assert Server(state).start().dsn("kept") == dsn
        server.stop()
        assert not Server(state).running()
        Server(state).start()
        psycopg.connect(dsn).close()
        folder = Path(str(conninfo_to_dict(dsn)["host"]))
    finally:
        server.remove()
    assert not folder.exists()
    assert not state.exists()
