# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that does not answer any more ends what waits for it, with a sentence; one that is only slow does not."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import ConnectionFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import watched
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import psycopg
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.read_budget import Budget
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.freezing import frozen, postmaster
from tests.integration.modules import Result, call, connect, once_waited_for, rows


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seconds would be minutes."""
    monkeypatch.setattr(watched, "SILENT_SECONDS", 0.5)
    monkeypatch.setattr(watched, "PROBE_SECONDS", 0.5)
    monkeypatch.setattr(watched, "GRACE_SECONDS", 0.5)


def processes(dsn: str) -> list[int]:
    """The server's: the one that accepts connections, and all that work for it."""
    backends = [row[0] for row in rows(dsn, "SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()")]
    return [postmaster(dsn), *backends]


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server that nobody else waits for."""
    with Server() as server:
        yield server


@pytest.fixture
def own_db(own_server: Server) -> Iterator[str]:
    """A small reference on it."""
    template = builder.template(own_server, events=60)
    yield template.clone("silent")
    own_server.drop_database("silent")
    template.drop()


def test_a_read_is_not_given_up_within_the_time_that_it_has(scout_db: str) -> None:
    """A budget may allow more than a statement has otherwise, as where gold takes minutes to compute."""
    settings = Settings(dsn=scout_db, statement_timeout_seconds=0.3, lock_timeout_seconds=0.3)
    with open_session(settings) as session, session.read():
        budget = Budget(session, 30.0)
        slow = budget.read("slow", lambda at: at.row("SELECT 1 AS one FROM pg_catalog.pg_sleep(2)")["one"])
        assert (slow, budget.problems) == (1, {})
        assert session.connection.limit_seconds is not None
    assert session.connection.limit_seconds == 0.3


@pytest.mark.parametrize("way", ["socket", "TCP"])
def test_a_server_that_is_frozen_ends_a_drain(own_server: Server, own_db: str, way: str) -> None:
    library.backlog(own_db, 30)
    dsn = own_db if way == "socket" else own_server.tcp_dsn("silent")
    results: list[Result] = []
    drain = threading.Thread(target=lambda: results.append(call("scout_drain", dsn, lock_timeout_seconds=600)))
    with connect(own_db) as blocker:
        blocker.execute("BEGIN; LOCK TABLE scout.etl_processed IN ACCESS EXCLUSIVE MODE")
        with contextlib.ExitStack() as stack:

            def freeze() -> None:
                stack.enter_context(frozen(processes(own_db)))

            with once_waited_for(own_db, freeze):
                drain.start()
                drain.join(30)
            assert not drain.is_alive(), "it waited for ever"
        blocker.execute("ROLLBACK")
    [result] = results
    assert (result["failed"], result["error"]["kind"]) == (True, "connection_lost")
    assert "the server has not answered for" in result["msg"]
    assert "run the same command again" in result["msg"]
    assert not call("scout_drain", own_db).get("failed")


def test_a_session_that_is_frozen_alone_is_given_up_after_its_timeout(own_db: str) -> None:
    with open_session(Settings(own_db, statement_timeout_seconds=0.5)) as session:
        given_up = pytest.raises(psycopg.OperationalError, match="passed its timeout")
        with frozen([session.facts.backend_pid]), given_up, session.read():
            session.row("SELECT 1")
        assert session.connection.closed


def test_one_that_is_only_slow_is_waited_for(own_db: str) -> None:
    with open_session(Settings(own_db)) as session, session.read(statement_timeout_seconds=60):
        assert session.row("SELECT 7 AS seven FROM pg_sleep(3)")["seven"] == 7


@contextlib.contextmanager
def swallowing() -> Iterator[int]:
    """The port of something that accepts connections and never says a word, as behind a broken load balancer."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_one_that_never_answers_is_not_connected_to(own_db: str) -> None:
    with swallowing() as port:
        dsn = make_conninfo(own_db, host="127.0.0.1", port=port)
        with pytest.raises(ConnectionFailed, match="timeout"), open_session(Settings(dsn, connect_timeout_seconds=2)):
            pass


@pytest.mark.parametrize(("said", "expected"), [("", "60000"), ("tcp_user_timeout=1234", "1234")])
def test_the_network_is_given_up_unless_the_dsn_says_otherwise(own_server: Server, said: str, expected: str) -> None:
    dsn = make_conninfo(own_server.tcp_dsn("postgres"), **conninfo_to_dict(said))
    with open_session(Settings(dsn)) as session:
        given = {option.keyword: option.val for option in session.connection.pgconn.info}
    assert given[b"tcp_user_timeout"] == expected.encode()
