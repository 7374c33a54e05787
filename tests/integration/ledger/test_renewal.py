# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each call of a play renews its lease; the token of one that expired goes on, unless somebody took it."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import ConnectionFailed
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import command as health
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import lease as leases
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import renewal
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import session as sessions
from tests.integration.modules import Result, call, expire_lease, fingerprint, off, one, operator, rows, run
from tests.integration.pooler import opened

LEFT = "SELECT extract(epoch FROM expires_at - clock_timestamp())::float8 FROM scout_ops.leases"
LONG = 30.0


def until(holds: Callable[[], Any], seconds: float = LONG) -> Any:
    """Waits until something holds, and gives it."""
    ends = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.05)
    return found


def renewed(dsn: str) -> bool:
    """Whether the lease lasts nearly as long as it can."""
    return one(dsn, LEFT) > leases.LEASE_SECONDS - 20


@pytest.fixture
def bob(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Somebody else, who calls a module."""

    def calls(name: str, dsn: str, **options: Any) -> Result:
        with monkeypatch.context() as patch:
            patch.setenv("SUDO_USER", "bob")
            return call(name, dsn, **options)

    return calls


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call renews at once, and again and again."""
    monkeypatch.setattr(renewal, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(renewal, "AGAIN_SECONDS", 0.05)


def test_a_task_that_takes_longer_than_the_lease_loses_nothing_where_nobody_came(scout_db: str) -> None:
    held = call("scout_lease", scout_db)
    expire_lease(scout_db)
    assert call("scout_lease", scout_db, check=True)["summary"] == "the lease is free"
    paused = call("scout_ingestion", scout_db, state="paused", lease_token=held["token"])
    assert (paused["changed"], paused.get("warnings", [])) == (True, [])
    assert rows(scout_db, "SELECT token, owner FROM scout_ops.leases") == [(held["token"], held["owner"])]
    assert renewed(scout_db)


@pytest.mark.parametrize("name", ["scout_ingestion", "scout_health_info"])
def test_where_somebody_took_it_the_next_call_stops_and_names_them(
    scout_db: str, name: str, bob: Callable[..., Result]
) -> None:
    token = call("scout_lease", scout_db)["token"]
    expire_lease(scout_db)
    theirs = bob("scout_lease", scout_db, incident="INC-7")
    since = one(scout_db, "SELECT to_char(acquired_at AT TIME ZONE 'UTC', 'HH24:MI:SS') FROM scout_ops.leases")
    before = fingerprint(scout_db)
    options = {"state": "paused"} if name == "scout_ingestion" else {}
    lost = call(name, scout_db, lease_token=token, **options)
    assert lost["error"]["kind"] == "lease_lost"
    for said in (theirs["owner"], since, "INC-7"):
        assert said in lost["error"]["said"]
    assert fingerprint(scout_db) == before


def test_where_somebody_took_it_and_is_done_the_next_call_stops_too(scout_db: str, bob: Callable[..., Result]) -> None:
    token = call("scout_lease", scout_db)["token"]
    expire_lease(scout_db)
    assert bob("scout_ingestion", scout_db, state="paused")["changed"]
    before = fingerprint(scout_db)
    for name, options in (("scout_ingestion", {"state": "running"}), ("scout_lease", {"ttl_seconds": 600})):
        assert call(name, scout_db, lease_token=token, **options)["error"]["kind"] == "lease_lost"
    assert fingerprint(scout_db) == before


def test_whoever_has_its_token_extends_it(scout_db: str, bob: Callable[..., Result]) -> None:
    held = call("scout_lease", scout_db, incident="INC-7")
    expire_lease(scout_db)
    more = call("scout_lease", scout_db, lease_token=held["token"], ttl_seconds=600)
    assert {name: more[name] for name in ("token", "run_id", "owner")} == {
        name: held[name] for name in ("token", "run_id", "owner")
    }
    assert 590 < one(scout_db, LEFT) <= 600
    refused = bob("scout_lease", scout_db)
    since, to = rows(
        scout_db,
        "SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') FROM scout_ops.leases, unnest(ARRAY[acquired_at, expires_at]) AS t",
    )
    for said in (held["owner"], "INC-7", f"{since[0]} UTC", f"{to[0]} UTC", "takeover=true"):
        assert said in refused["msg"]
    assert refused["lease"]["expires_at"]
    assert call("scout_health_info", scout_db, lease_token=held["token"])["verdict"]
    assert one(scout_db, LEFT) > 590, "a renewal does not shorten it"
    call("scout_lease", scout_db, lease_token=held["token"])
    assert one(scout_db, LEFT) <= leases.LEASE_SECONDS


def test_who_extends_what_somebody_took_is_told_whose_it_is(scout_db: str, bob: Callable[..., Result]) -> None:
    token = call("scout_lease", scout_db)["token"]
    theirs = bob("scout_lease", scout_db, takeover=True)
    for takeover in (False, True):
        lost = call("scout_lease", scout_db, lease_token=token, ttl_seconds=600, takeover=takeover)
        assert (lost["error"]["kind"], theirs["owner"] in lost["msg"]) == ("lease_lost", True)
    assert one(scout_db, "SELECT token FROM scout_ops.leases") == theirs["token"]


def test_a_call_renews_it_when_it_begins_and_when_it_ends(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    token = call("scout_lease", scout_db)["token"]
    assess, seen = health.assess, list[bool]()

    def assessing(*arguments: Any) -> Any:
        seen.append(renewed(scout_db))
        expire_lease(scout_db)
        return assess(*arguments)

    monkeypatch.setattr(health, "assess", assessing)
    expire_lease(scout_db)
    before = fingerprint(scout_db)
    assert not call("scout_health_info", scout_db, lease_token=token, ledger="off").get("failed")
    seen.clear()
    expire_lease(scout_db)
    assert not call("scout_health_info", scout_db, lease_token=token).get("failed")
    assert (seen, renewed(scout_db)) == ([True], True)
    assert {name for name, digest in fingerprint(scout_db).items() if digest != before[name]} == {"scout_ops.leases"}


def test_a_check_renews_nothing(scout_db: str) -> None:
    token = call("scout_lease", scout_db)["token"]
    before = fingerprint(scout_db)
    for name, options in (("scout_ingestion", {"state": "paused"}), ("scout_lease", {"ttl_seconds": 600})):
        assert not call(name, scout_db, check=True, lease_token=token, **options).get("failed")
    assert fingerprint(scout_db) == before


@pytest.fixture
def pausing(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], object]]]:
    """What is done in the middle of a pause."""
    pause, then = pause_resume._stop, list[Callable[[], object]]()  # pyright: ignore[reportPrivateUsage]

    def stopping(*arguments: Any, **options: Any) -> Any:
        for each in then:
            each()
        return pause(*arguments, **options)

    monkeypatch.setattr(pause_resume, "_stop", stopping)
    return then


@pytest.mark.parametrize("alone", [False, True], ids=["of a play", "by itself"])
@pytest.mark.usefixtures("often")
def test_a_long_call_renews_it_from_a_thread(
    scout_db: str, alone: bool, pausing: list[Callable[[], object]], bob: Callable[..., Result]
) -> None:
    options = {} if alone else {"lease_token": call("scout_lease", scout_db)["token"]}
    threads = threading.active_count()
    pausing.append(lambda: expire_lease(scout_db))
    pausing.append(lambda: until(lambda: renewed(scout_db)))
    pausing.append(lambda: came.append(bob("scout_lease", scout_db)))
    came = list[Result]()
    assert call("scout_ingestion", scout_db, state="paused", **options)["changed"]
    assert came[0]["error"]["kind"] == "lease_held"
    until(lambda: threading.active_count() == threads)


@pytest.mark.usefixtures("often")
def test_the_thread_tries_until_the_server_is_there_again(
    scout_db: str, pausing: list[Callable[[], object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = call("scout_lease", scout_db)["token"]
    opening, tried = renewal.open_session, list[int]()

    def unreachable(*arguments: Any) -> Any:
        tried.append(1)
        if len(tried) < 5:
            raise ConnectionFailed("could not open a session")
        return opening(*arguments)

    monkeypatch.setattr(renewal, "open_session", unreachable)
    pausing.append(lambda: expire_lease(scout_db))
    pausing.append(lambda: until(lambda: renewed(scout_db)))
    assert call("scout_ingestion", scout_db, state="paused", lease_token=token)["changed"]
    assert len(tried) >= 5


@pytest.mark.usefixtures("often")
def test_a_call_whose_lease_is_taken_while_it_works_commits_nothing_more(
    scout_db: str, pausing: list[Callable[[], object]], bob: Callable[..., Result]
) -> None:
    token = call("scout_lease", scout_db)["token"]
    pausing.append(lambda: theirs.append(bob("scout_lease", scout_db, takeover=True)))
    theirs = list[Result]()
    lost = call("scout_ingestion", scout_db, state="paused", lease_token=token)
    assert (lost["error"]["kind"], theirs[0]["owner"] in lost["msg"]) == ("lease_lost", True)
    assert off(scout_db) == set()
    assert one(scout_db, "SELECT token FROM scout_ops.leases") == theirs[0]["token"]


@pytest.mark.parametrize("pooled", [False, True], ids=["direct", "pooler"])
@pytest.mark.usefixtures("often")
def test_a_write_longer_than_the_lease_keeps_it(scout_db: str, pooled: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its transaction has the row, so that the thread cannot renew; whoever waits for it does not get the lease after all."""
    monkeypatch.setattr(sessions, "RENEWED_AFTER_SECONDS", 0.5)
    ttl, save, came = 1, pause_resume.save_pause, list[Result]()

    def slow(*arguments: Any, **options: Any) -> Any:
        save(*arguments, **options)
        other.start()
        time.sleep(2.0 * ttl)

    with contextlib.ExitStack() as stack:
        dsn = stack.enter_context(operator(scout_db))
        through = stack.enter_context(opened(dsn, scout_db)).dsn if pooled else dsn
        token = call("scout_lease", dsn, ttl_seconds=ttl)["token"]
        other = threading.Thread(target=lambda: came.append(call("scout_lease", dsn, lock_timeout_seconds=20)))
        monkeypatch.setattr(pause_resume, "save_pause", slow)
        monkeypatch.setattr(leases, "MOST_WAIT_SECONDS", LONG)
        wrote = call("scout_ingestion", through, state="paused", lease_token=token)
        other.join()
        assert not wrote.get("failed"), (wrote.get("error"), wrote["msg"])
        assert came[0].get("failed"), "the holder lives"
        assert one(scout_db, "SELECT token FROM scout_ops.leases") == token


def test_whoever_comes_after_a_death_waits_and_need_not_come_again(
    scout_db: str, bob: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MOST_WAIT_SECONDS", LONG)
    for came in ("scout_lease", "scout_ingestion"):
        theirs = bob("scout_lease", scout_db, ttl_seconds=1, takeover=True)
        run(scout_db, "UPDATE scout_ops.leases SET expires_at = clock_timestamp() + interval '1 second'")
        options = {"state": "paused"} if came == "scout_ingestion" else {}
        done = call(came, scout_db, **options)
        assert not done.get("failed"), done
        assert one(scout_db, "SELECT token FROM scout_ops.leases") == theirs["token"] + 1


@pytest.mark.parametrize("sign", ["expires_at = now() + interval '29 seconds'", "token = token + 1"])
def test_whoever_waits_for_one_that_gives_a_sign_of_life_is_refused(
    scout_db: str, sign: str, bob: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "MOST_WAIT_SECONDS", LONG)
    bob("scout_lease", scout_db, ttl_seconds=25)
    heard = threading.Timer(0.5, lambda: run(scout_db, f"UPDATE scout_ops.leases SET {sign}"))
    heard.start()
    came = call("scout_lease", scout_db)
    heard.join()
    assert came["error"]["kind"] == "lease_held", came


def test_the_clock_set_back_keeps_no_dead_lease(scout_db: str) -> None:
    call("scout_lease", scout_db, ttl_seconds=4)
    run(scout_db, "UPDATE scout_ops.leases SET expires_at = now() + interval '1 hour'")
    assert call("scout_lease", scout_db, check=True)["summary"] == "the lease is free"


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
