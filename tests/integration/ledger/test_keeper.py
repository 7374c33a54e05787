# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lease is free soon after its worker is gone, wherever that ran; a live one keeps it, and a frozen one writes no more."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import lease as leases
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import session as sessions
from ansible_collections.scout.recovery.plugins.plugin_utils import front, keeping
from tests.integration.modules import Result, call, connect, fingerprint, off, one, operator, rows
from tests.integration.pooler import opened

#: Long enough for a machine that stalls for a second or three.
TTL = 4
#: How soon after the last word of a dead worker its lease is free, on a machine with much to do.
SOON = 3 * TTL + 6
LEASE = "SELECT owner, token, kept_at, session_pid, expires_at FROM scout_ops.leases"
ELSEWHERE = "UPDATE scout_ops.leases SET host_key = 'node-7/its boot/its namespace' WHERE token = %s"


def until(holds: Callable[[], Any], seconds: float = SOON) -> Any:
    """Waits until something holds, and gives it."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.1)
    return found


def refused(dsn: str) -> bool:
    """Whether somebody else is told that the lease is held; nothing is taken."""
    return bool(call("scout_lease", dsn, check=True).get("failed"))


@dataclass
class Worker:
    """A controller in a container of its own: its process tells nobody here whether it lives."""

    dsn: str
    process: subprocess.Popen[bytes]
    token: int
    keeper: subprocess.Popen[bytes]

    def kept(self) -> bool:
        """Whether its keeper has been heard of."""
        return one(self.dsn, "SELECT kept_at FROM scout_ops.leases") is not None

    def signal(self, number: int) -> None:
        """To the whole container, its keeper too."""
        self.keeper.send_signal(number)
        self.process.send_signal(number)

    def writes(self, state: str = "paused") -> Result:
        """What becomes of its next write."""
        return call("scout_ingestion", self.dsn, state=state, lease_token=self.token)


@contextlib.contextmanager
def worker(dsn: str, through: str | None = None) -> Generator[Worker]:
    """Takes the lease for TTL seconds, as the front does, and keeps it."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    module = front.module_of("scout_lease")
    params = front.validated(module, {"dsn": through or dsn, "ttl_seconds": TTL})
    token = call("scout_lease", through or dsn, ttl_seconds=TTL)["token"]
    with connect(dsn) as connection:
        connection.execute(ELSEWHERE, [token])
    its = keeping.start(params, token, process.pid)
    try:
        yield Worker(dsn, process, token, its)
    finally:
        for each in (process, its):
            each.send_signal(signal.SIGCONT)
            each.kill()
            each.wait()
        if process.stdin:
            process.stdin.close()


@pytest.fixture
def working(scout_db: str) -> Iterator[Worker]:
    """A worker whose keeper has been heard of."""
    with worker(scout_db) as made:
        until(made.kept)
        yield made


def test_a_live_worker_keeps_it_and_a_killed_one_frees_it_soon(working: Worker) -> None:
    dsn, before = working.dsn, one(working.dsn, "SELECT expires_at FROM scout_ops.leases")
    until(lambda: one(dsn, "SELECT expires_at FROM scout_ops.leases") > before)
    with connect(dsn) as connection:  # the clock of the server was set forward
        connection.execute("UPDATE scout_ops.leases SET expires_at = now() - interval '1 hour'")
        said = call("scout_lease", dsn, check=True)
    assert "after their process or its machine is gone" in said["msg"], said
    assert not working.writes().get("failed"), "it has not been out of touch"
    working.signal(signal.SIGKILL)
    working.process.wait()
    until(lambda: not refused(dsn))
    taken = call("scout_lease", dsn)
    assert taken["token"] > working.token, taken
    assert working.writes("running")["error"]["kind"] == "lease_lost"


def test_whoever_comes_after_a_death_waits_and_need_not_come_again(working: Worker) -> None:
    dsn, began = working.dsn, time.monotonic()
    assert call("scout_lease", dsn)["error"]["kind"] == "lease_held", "it gives a sign of life"
    assert time.monotonic() - began < SOON
    working.signal(signal.SIGKILL)
    working.process.wait()
    with connect(dsn) as connection:  # so that it is not over by chance
        connection.execute("UPDATE scout_ops.leases SET expires_at = now() + interval '2 seconds', ttl_seconds = 9")
    assert call("scout_lease", dsn, check=True)["error"]["kind"] == "lease_held", "a check does not wait"
    assert call("scout_ingestion", dsn, state="paused")["changed"], "an action by itself waits, too"
    taken = call("scout_lease", dsn)
    assert taken["token"] > working.token, taken
    assert working.writes("running")["error"]["kind"] == "lease_lost"


@pytest.mark.parametrize("sign", ["kept_at = now()", "expires_at = now() + interval '5 seconds'", "token = token + 1"])
def test_whoever_waits_for_one_that_gives_a_sign_of_life_is_refused(scout_db: str, sign: str) -> None:
    token = call("scout_lease", scout_db)["token"]
    before = "UPDATE scout_ops.leases SET host_key = 'x', kept_at = now(), expires_at = now() + interval '4 seconds'"
    heard = threading.Timer(1.0, lambda: rows(scout_db, f"UPDATE scout_ops.leases SET {sign} RETURNING 1"))
    with connect(scout_db) as connection:
        connection.execute(before)
        heard.start()
        came = call("scout_lease", scout_db)
        heard.join()
    assert came["error"]["kind"] == "lease_held", came
    assert one(scout_db, "SELECT token FROM scout_ops.leases") in (token, token + 1)


def test_a_keeper_that_waits_for_a_write_of_its_holder_is_a_sign_of_life(scout_db: str) -> None:
    longer = "UPDATE scout_ops.leases SET ttl_seconds = 30, expires_at = now() + interval '30 seconds' RETURNING 1"
    with worker(scout_db) as made, connect(scout_db) as writing, writing.transaction():
        rows(scout_db, longer)
        writing.execute("SELECT FROM scout_ops.leases FOR UPDATE")
        with connect(scout_db) as other:
            until(
                lambda: other.execute("SELECT pid FROM pg_stat_activity WHERE wait_event = 'transactionid'").fetchone()
            )
        # Its first try has the row only after this.
        assert not made.kept()
        began = time.monotonic()
        assert call("scout_lease", scout_db, lock_timeout_seconds=1)["error"]["kind"] == "lease_held"
        assert time.monotonic() - began < SOON


def test_a_silent_machine_keeps_no_row_and_no_session_for_long(pg_server: Server) -> None:
    """What bounds a transaction whose client says nothing more: idle, or at work for a client that is not there."""
    bounds = {
        "tcp_keepalives_idle": "10",
        "tcp_keepalives_interval": "5",
        "tcp_keepalives_count": "2",
        "tcp_user_timeout": "20000",
    }
    with sessions.open_session(sessions.Settings(pg_server.tcp_dsn("postgres"))) as session:
        for begin, idle in ((session.write, "30s"), (lambda: session.move(closed=()), "30s"), (session.read, "1min")):
            wanted = {**bounds, "idle_in_transaction_session_timeout": idle, "client_connection_check_interval": "2s"}
            with begin():
                assert {name: session.row(f"SHOW {name}")[name] for name in wanted} == wanted


def test_the_clock_set_back_keeps_no_dead_lease(scout_db: str) -> None:
    call("scout_lease", scout_db, ttl_seconds=TTL)
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout_ops.leases SET host_key = 'x', expires_at = now() + interval '1 hour'")
    assert not refused(scout_db)


def test_a_frozen_worker_is_fenced_off_whether_or_not_somebody_came(working: Worker) -> None:
    dsn = working.dsn
    working.signal(signal.SIGSTOP)
    until(lambda: not refused(dsn))
    working.signal(signal.SIGCONT)
    before = fingerprint(dsn)
    lost = working.writes()
    assert (lost["error"]["kind"], "frozen or cut off" in lost["msg"]) == ("lease_lost", True), lost
    assert "run the same command again" in lost["error"]["next_step"]
    assert fingerprint(dsn) == before
    until(lambda: working.keeper.poll() is not None)
    assert not refused(dsn), "its keeper has not taken it again"
    taken = call("scout_lease", dsn)
    assert working.writes()["error"]["kind"] == "lease_lost"
    assert rows(dsn, LEASE)[0][:2] == (taken["owner"], taken["token"])
    assert off(dsn) == set()


def test_a_controller_that_is_stopped_alone_is_not_spoken_for(working: Worker) -> None:
    working.process.send_signal(signal.SIGSTOP)
    until(lambda: not refused(working.dsn))
    working.process.send_signal(signal.SIGCONT)
    assert working.writes()["error"]["kind"] == "lease_lost"


def test_a_keeper_ends_with_what_it_keeps(working: Worker) -> None:
    pid = one(working.dsn, "SELECT session_pid FROM scout_ops.leases")
    assert one(working.dsn, "SELECT application_name FROM pg_stat_activity WHERE pid = %s", pid).endswith("/keeper")
    assert call("scout_lease", working.dsn, state="released", lease_token=working.token)["summary"] == "lease released"
    until(lambda: working.keeper.poll() is not None)
    until(lambda: not one(working.dsn, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", pid))
    assert rows(working.dsn, LEASE) == [(None, working.token, None, None, None)]


def test_a_cut_link_that_comes_back_in_time_changes_nothing(working: Worker) -> None:
    dsn = working.dsn
    pid = one(dsn, "SELECT session_pid FROM scout_ops.leases")
    assert one(dsn, "SELECT pg_terminate_backend(%s)", pid)
    until(lambda: one(dsn, "SELECT session_pid FROM scout_ops.leases") != pid)
    assert not working.writes().get("failed")


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooler"])
def test_a_write_longer_than_the_lease_keeps_it(scout_db: str, pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction has the row, so that the keeper cannot renew; whoever waits for it does not get the lease after all."""
    monkeypatch.setattr(sessions, "RENEWED_AFTER_SECONDS", 0.5)
    save = pause_resume.save_pause
    came = list[Result]()

    def slow(*arguments: Any, **options: Any) -> Any:
        save(*arguments, **options)
        ours.start()
        time.sleep(1.5 * TTL)

    with contextlib.ExitStack() as stack:
        dsn = stack.enter_context(operator(scout_db))
        through = stack.enter_context(opened(dsn, scout_db)).dsn if pooled else None
        working = stack.enter_context(worker(dsn, through))
        until(working.kept)
        working.dsn = through or dsn
        ours = threading.Thread(target=lambda: came.append(call("scout_lease", dsn, lock_timeout_seconds=20)))
        monkeypatch.setattr(pause_resume, "save_pause", slow)
        wrote = working.writes()
        ours.join()
        assert not wrote.get("failed"), (wrote.get("error"), wrote["msg"])
        assert came[0].get("failed"), "the holder lives"
        assert one(dsn, "SELECT token FROM scout_ops.leases") == working.token
        working.signal(signal.SIGKILL)
        working.process.wait()
        until(lambda: not refused(dsn))


def test_an_action_by_itself_is_kept_from_its_own_process(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "EVERY_SECONDS", 0.1)
    monkeypatch.setattr(leases, "LEASE_SECONDS", TTL)
    pause, seen = pause_resume._stop, list[Any]()  # pyright: ignore[reportPrivateUsage]

    def stopping(*arguments: Any, **options: Any) -> Any:
        seen.append(until(lambda: one(scout_db, "SELECT session_pid FROM scout_ops.leases")))
        return pause(*arguments, **options)

    monkeypatch.setattr(pause_resume, "_stop", stopping)
    assert call("scout_ingestion", scout_db, state="paused")["changed"]
    assert len(seen) == 1
    [left] = rows(scout_db, LEASE)
    assert (left[0], *left[2:]) == (None, None, None, None)
    until(lambda: not one(scout_db, "SELECT count(*) FROM pg_stat_activity WHERE pid = %s", seen[0]))


def test_the_password_of_a_keeper_is_in_no_argument(scout_db: str) -> None:
    with worker(f"{scout_db}?password=hunter2" if "?" not in scout_db else f"{scout_db}&password=hunter2") as working:
        told = subprocess.run(["ps", "-o", "args=", "-p", str(working.keeper.pid)], capture_output=True, check=False)
        assert b"hunter2" not in told.stdout
        assert os.getpgid(working.keeper.pid) != os.getpgid(0), "Ctrl-C is not for it"
