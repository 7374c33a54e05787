# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody works on the old primary of a failover, or on one of two primaries, where the connection names both."""

from __future__ import annotations

import psycopg
import pytest

from tests.failover.fixtures import Paired
from tests.failover.pair import DATABASE, Pair
from tests.integration.modules import call, connect, fingerprint, hand_over_ledger, off, operator

ACTS = {"scout_begin": {}, "scout_lease": {}, "scout_ingestion": {"state": "paused"}, "scout_drain": {}}


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


def test_a_server_that_was_promoted_or_restored_is_told_until_somebody_works_there(paired: Paired) -> None:
    pair = paired()
    assert not call("scout_lease", pair.dsn()).get("warnings")
    assert not call("scout_lease", pair.dsn()).get("warnings")
    pair.fail_over()
    dsn = only(pair, first=False)
    before = fingerprint(dsn)
    told = [
        call("scout_health_info", dsn)["warnings"],
        call("scout_lease", dsn, check=True, takeover=True)["warnings"],
    ]
    assert fingerprint(dsn) == before
    told.append(call("scout_lease", dsn, takeover=True)["warnings"])
    for warnings in told:
        assert any("the server went from timeline 1 to 2" in line and "restored.yml" in line for line in warnings)
    assert not any("timeline" in line for line in call("scout_health_info", dsn)["warnings"])
    with connect(dsn) as session:
        session.execute("UPDATE scout_ops.servers SET last_position = 'FF/0' WHERE timeline = 2")
    assert any("went back in time" in line for line in call("scout_health_info", dsn)["warnings"])
    with connect(dsn) as session:
        session.execute("UPDATE scout_ops.servers SET system_identifier = '1' WHERE timeline = 2")
    assert any("it came to another server" in line for line in call("scout_health_info", dsn)["warnings"])
    with connect(dsn) as session:
        session.execute("REVOKE EXECUTE ON FUNCTION pg_walfile_name, pg_control_system FROM PUBLIC")
    with operator(dsn) as narrow:
        hand_over_ledger(dsn, narrow)
        held = call("scout_lease", narrow, takeover=True)
        assert not held.get("failed"), held["msg"]
