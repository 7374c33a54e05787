# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody works on the old primary of a failover, or on one of two primaries, where the connection names both."""

from __future__ import annotations

import socket
from typing import Any

import psycopg
import pytest

from tests.failover.fixtures import Paired
from tests.failover.pair import DATABASE, Copied, Pair
from tests.integration.modules import call, fingerprint, off

ACTS = {"scout_lease": {}, "scout_ingestion": {"state": "paused"}, "scout_drain": {}}


NAME = "db.example.net"


def listen(server: Copied, addresses: str) -> None:
    """Starts it again with these addresses, on which it lets everybody in."""
    server.kill()
    (server.data / "pg_hba.conf").write_text(
        "local all all trust\nlocal replication all trust\nhost all all all trust\n"
    )
    server.settings |= {"listen_addresses": addresses}
    server.revive()


def as_one_name(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has both servers behind one name with two addresses, as DNS and /etc/hosts can say it; the connection that has the name."""
    listen(pair.first, "127.0.0.1")
    pair.second._params["port"] = pair.first._params["port"]
    listen(pair.second, "127.0.0.2")
    resolve(monkeypatch, "127.0.0.1", "127.0.0.2")
    return pair.first.tcp_dsn(DATABASE, host=NAME, target_session_attrs="read-write")


def resolve(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Has the name lead to these addresses."""
    real = socket.getaddrinfo

    def resolved(host: Any, *args: Any, **options: Any) -> list[Any]:
        return [found for each in (addresses if host == NAME else (host,)) for found in real(each, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolved)


def only(pair: Pair, *, first: bool) -> str:
    """One of the two servers."""
    return (pair.first if first else pair.second).dsn(DATABASE)


@pytest.fixture
def split(paired: Paired) -> Pair:
    """The standby was promoted, and the old primary, which came up again, takes writes as well."""
    pair = paired(synchronous=False)
    pair.fail_over()
    pair.first.revive()
    return pair


def test_the_old_primary_of_a_split_is_refused(split: Pair, subtests: pytest.Subtests) -> None:
    before = fingerprint(only(split, first=True))
    for module, options in ACTS.items():
        for check in (True, False):
            with subtests.test(module=module, check=check):
                refused = call(module, split.dsn(), check=check, **options)
                assert refused["failed"]
                assert refused["error"]["kind"] == "wrong_database"
                assert "refused to work on the old primary of a failover" in refused["msg"]
                assert "takes writes on timeline 2" in refused["msg"]
                assert "name the new primary alone in scout_dsn" in refused["msg"]
    assert fingerprint(only(split, first=True)) == before
    with subtests.test("who only looks is told"):
        looked = call("scout_health_info", split.dsn())
        assert not looked.get("failed")
        assert any("old primary of a failover" in warning for warning in looked["warnings"])
    with subtests.test("the right one is worked on, and the old one is named"):
        paused = call("scout_ingestion", split.dsn(turned=True), state="paused")
        assert not paused.get("failed"), paused["msg"]
        assert any(
            "is the old primary (timeline 1, here 2) and still takes writes" in line for line in paused["warnings"]
        )
        assert off(only(split, first=False))
        assert not off(only(split, first=True))


def test_each_address_of_a_name_is_looked_at(
    paired: Paired, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    pair = paired(synchronous=False)
    named = as_one_name(pair, monkeypatch)
    pair.settle()
    with subtests.test("a primary and its standby cost no word"):
        held = call("scout_lease", named)
        assert not held.get("failed"), held
        assert not held.get("warnings")
    port = pair.first._params["port"]
    pair.first.kill()
    pair.second.promote()
    with subtests.test("one that is dead costs one"):
        found = call("scout_health_info", named)
        assert any(f"{NAME}:{port} at 127.0.0.1 of scout_dsn did not answer" in line for line in found["warnings"])
    pair.first.revive()
    listed = named.replace(NAME, f"{NAME}:{port},{NAME}") + "&hostaddr=127.0.0.1,127.0.0.2"
    for dsn in (named, listed):
        with subtests.test("the old primary is refused", dsn=dsn):
            refused = call("scout_lease", dsn, takeover=True)
            assert "refused to work on the old primary of a failover" in refused["msg"]
            assert f"on {NAME}:{port} at 127.0.0.1: it is on timeline 1" in refused["msg"]
            assert f"{NAME}:{port} at 127.0.0.2 takes writes on timeline 2" in refused["msg"]


def test_one_server_is_no_split_however_it_is_reached(
    paired: Paired, monkeypatch: pytest.MonkeyPatch, subtests: pytest.Subtests
) -> None:
    resolve(monkeypatch, "127.0.0.1", "::1")
    pair = paired(synchronous=False)
    folder = pair.first._params["host"]
    ways = {"127.0.0.1,::1": ("127.0.0.1,::1", f"{folder},127.0.0.1", NAME), "127.0.0.1": (NAME,)}
    for listening, host in ((listening, host) for listening, hosts in ways.items() for host in hosts):
        listen(pair.first, listening)
        with subtests.test(listening=listening, host=host):
            found = call("scout_health_info", pair.first.tcp_dsn(DATABASE, host=host))
            assert not found.get("failed"), found
            assert not any("takes writes" in line or "did not answer" in line for line in found["warnings"])


def test_a_standby_of_another_server_gives_the_old_primary_away(paired: Paired) -> None:
    pair = paired(synchronous=False)
    pair.fail_over()
    with psycopg.connect(pair.second.dsn(), autocommit=True) as session:
        session.execute("CHECKPOINT")
    follows = pair.follower()
    pair.second.kill()
    pair.first.revive()
    pair.second, new = follows, pair.second
    try:
        refused = call("scout_lease", pair.dsn())
        assert "is a standby of a server on timeline 2" in refused["msg"]
    finally:
        new.stop()


def test_two_primaries_of_one_timeline_are_not_chosen_between(paired: Paired) -> None:
    pair = paired(synchronous=False)
    pair.second.kill()
    (pair.second.data / "standby.signal").unlink()
    pair.second.revive()
    refused = call("scout_lease", pair.dsn())
    assert refused["failed"]
    assert "refused to choose between two primaries" in refused["msg"]


def test_a_healthy_pair_costs_no_word_and_a_dead_host_one(paired: Paired) -> None:
    pair = paired(synchronous=False)
    held = call("scout_lease", pair.dsn())
    assert not held.get("failed"), held
    assert not held.get("warnings")
    pair.fail_over()
    found = call("scout_health_info", pair.dsn())
    assert any("did not answer, so nobody knows whether it takes writes too" in line for line in found["warnings"])
