# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: what stands between operator and database leads sessions to another database, or lies about the server. It has the
operator's session, and so what the operator may; it is not to have a colleague's lease, or anything of the operator's machine, nor
to have that session again once the operator has gone."""

from __future__ import annotations

import contextlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, fingerprint, rows
from tests.security.roles import drop_roles
from tests.security.test_unverified_server import carry

#: What a server says of itself before its first answer, and may say again.
LIES = {
    "server_version": "9.1\x1b[2J{{ lookup('pipe', 'touch pwned') }}",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "off",
    "is_superuser": "off",
    "in_hot_standby": "off",
    "session_authorization": "../../etc",
    "DateStyle": "German, DMY",
    "TimeZone": "Asia/Manila",
    "IntervalStyle": "sql_standard",
}
#: What a client begins with: it asks for TLS or GSSAPI, or it says who it is.
ENCRYPTION, STARTUP = (80877103, 80877104), 196608


Leads = Callable[[int], str | None]
Reached = Callable[[str, Leads, dict[str, str]], str]


class Pooler:
    """Between a client and the socket of a server: `leads` says to which database the nth session goes."""

    def __init__(self, behind: str, leads: Leads, lies: dict[str, str]) -> None:
        self.behind, self.leads, self.lies = behind, leads, lies
        #: What clients said after the startup message, by session.
        self.heard: list[bytearray] = []
        self.sessions = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._one, args=[client], daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError, struct.error), _reach(self.behind) as server:
            size, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
            while code in ENCRYPTION:
                client.sendall(b"N")
                size, code = struct.unpack("!ii", client.recv(8, socket.MSG_WAITALL))
            rest = client.recv(size - 8, socket.MSG_WAITALL)
            if code == STARTUP:
                words = rest.rstrip(b"\0").split(b"\0")
                given = dict(zip(words[::2], words[1::2], strict=True))
                given[b"database"] = (self.leads(self.sessions) or given[b"database"].decode()).encode()
                self.sessions += 1
                rest = b"".join(name + b"\0" + value + b"\0" for name, value in given.items()) + b"\0"
            server.sendall(struct.pack("!ii", len(rest) + 8, code) + rest)
            self.heard.append(bytearray())
            there = threading.Thread(target=self._hear, args=[client, server, self.heard[-1]], daemon=True)
            there.start()
            if self.lies:
                _lie(server, client, self.lies)
            carry(server, client)
            there.join()

    @staticmethod
    def _hear(client: socket.socket, server: socket.socket, heard: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                heard += data
                server.sendall(data)
        for line in (server, client):
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)


def _reach(dsn: str) -> socket.socket:
    at = conninfo_to_dict(dsn)
    if not str(at["host"]).startswith("/"):
        return socket.create_connection((str(at["host"]), int(str(at["port"]))))
    server = socket.socket(socket.AF_UNIX)
    server.connect(f"{at['host']}/.s.PGSQL.{at['port']}")
    return server


def _lie(server: socket.socket, client: socket.socket, lies: dict[str, str]) -> None:
    """Until the server is ready, its messages, with what it says of itself replaced."""
    while True:
        kind, size = struct.unpack("!ci", server.recv(5, socket.MSG_WAITALL))
        body = server.recv(size - 4, socket.MSG_WAITALL)
        name = body.partition(b"\0")[0].decode(errors="replace")
        if kind == b"S" and name in lies:
            body = name.encode() + b"\0" + lies[name].encode() + b"\0"
        client.sendall(kind + struct.pack("!i", len(body) + 4) + body)
        if kind in (b"Z", b"E"):
            return


@pytest.fixture
def pooled(scout_db: str) -> Iterator[Reached]:
    """The dsn by which a database is reached through such a pooler."""
    made: list[Pooler] = []

    def through(dsn: str, leads: Leads, lies: dict[str, str]) -> str:
        made.append(Pooler(scout_db, leads, lies))
        return make_conninfo(dsn, host="127.0.0.1", port=made[-1].port)

    yield through
    for pooler in made:
        pooler.close()


@pytest.fixture
def other(pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """Another Scout on the same server, on which a colleague is at work."""
    name = "scout_of_a_colleague"
    dsn = scout_template.clone(name)
    library.poison_event(dsn, "bad_ts")
    taken = call("scout_lease", dsn, incident="INC-9", ttl_seconds=900)
    assert taken["token"]
    yield dsn
    pg_server.drop_database(name)


@pytest.mark.parametrize("first", [1, 3, 6])
def test_a_reset_that_is_led_to_another_database_changes_nothing_there(
    first: int, scout_db: str, other: str, pooled: Reached, tmp_path: Path
) -> None:
    """From some session on, or every second one; the colleague has a lease there, of the number that ours would have."""
    library.poison_event(scout_db, "bad_ts")
    elsewhere = str(conninfo_to_dict(other)["dbname"])
    dsn = pooled(scout_db, lambda n: elsewhere if n >= first else None, {})
    before = fingerprint(other)
    played = Stage(tmp_path).play("emergency_reset", dsn)
    assert played.rc == 2, played.text
    after = fingerprint(other)
    assert after == before


def test_what_a_server_says_of_itself_acts_nowhere(scout_db: str, pooled: Reached, tmp_path: Path) -> None:
    library.poison_event(scout_db, "bad_ts")
    [[event]] = rows(scout_db, "SELECT event_id::text FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT 1")
    dsn = pooled(scout_db, lambda _n: None, LIES)
    result = call("scout_quarantine", dsn, event_ids=[event], incident="INC-1")
    assert "\x1b" not in json.dumps(result)
    played = Stage(tmp_path).play("assess", dsn)
    assert "\x1b[2J" not in played.text
    assert "{{" not in played.text


def said_again(dsn: str, heard: bytes) -> bytes:
    """What the server answers whoever says all of it once more, in a session that begins as the recorded one did."""
    at = conninfo_to_dict(dsn)
    words = (
        b"".join(f"{name}\0{at[key]}\0".encode() for name, key in (("user", "user"), ("database", "dbname"))) + b"\0"
    )
    answer = bytearray()
    with _reach(dsn) as server:
        server.sendall(struct.pack("!ii", len(words) + 8, STARTUP) + words + heard)
        server.settimeout(20)
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                answer += data
    return bytes(answer)


#: A server's answer that lets a session in.
WELCOME = b"R\0\0\0\x08\0\0\0\0"


def test_a_password_that_was_proved_proves_nothing_again(scout_db: str, pg_server: Server) -> None:
    """Each proof is of a number that the server had never said before."""
    direct = make_conninfo(
        pg_server.tcp_dsn(str(conninfo_to_dict(scout_db)["dbname"])), user="guest", password="of-the-guest"
    )
    pooler = Pooler(direct, lambda _n: None, {})
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE guest LOGIN PASSWORD 'of-the-guest'")
    try:
        with connect(make_conninfo(direct, port=pooler.port)) as session:
            assert session.execute("SELECT 1").fetchone() == (1,)
        assert b"SCRAM-SHA-256" in pooler.heard[0]
        assert b"of-the-guest" not in pooler.heard[0]
        answer = said_again(direct, bytes(pooler.heard[0]))
        assert WELCOME not in answer
        assert b"C28P01\0" in answer or b"C08P01\0" in answer, answer
    finally:
        pooler.close()
        drop_roles(scout_db, "guest")


def test_work_that_is_said_again_is_not_done_again(scout_db: str, pooled: Reached, subtests: Any) -> None:
    """A run is recorded under its own id before it does anything, and that id is there already. Only how it ended is recorded again."""
    library.poison_event(scout_db, "bad_ts")
    [[event]] = rows(scout_db, "SELECT event_id::text FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT 1")
    pooler = Pooler(scout_db, lambda _n: None, {})
    through = make_conninfo(scout_db, host="127.0.0.1", port=pooler.port)
    try:
        moved = call("scout_quarantine", through, event_ids=[event], incident="INC-1")
        assert not call("scout_undo", scout_db, run_id=moved["run_id"]).get("failed")
        before = fingerprint(scout_db)
        for number, heard in enumerate(pooler.heard):
            with subtests.test(str(number)):
                answer = said_again(scout_db, bytes(heard))
                assert WELCOME in answer
                after = fingerprint(scout_db)
                assert {name for name in after if after[name] != before[name]} <= {"scout_ops.runs"}
    finally:
        pooler.close()
