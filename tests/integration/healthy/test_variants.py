# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A deployment that differs from the reference by design is proved and passes the gate; one that has changed is reported."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from tests.integration.modules import Result, call, connect, fingerprint, one
from tests.scout.variants import CHANGES, HEALTHY, Change, no_fields, sell

HISTORY, LATER = 2000, 400
NOW, TWO_HOURS = timedelta(0), timedelta(hours=2)
#: How far a named time may be from the change: a sample of the sales does not have every minute.
CLOSE = timedelta(minutes=15)
CLOCK = re.compile(r"(?<!\d)(?:(\d{4}-\d\d-\d\d)[T ])?(\d\d:\d\d)(?::\d\d(?:\.\d+)?)?")
LATEST = "SELECT max(processed_at) FROM scout.silver_transactions"
FIRST_AFTER = "SELECT min(processed_at) FROM scout.silver_transactions WHERE processed_at > %s"


@pytest.mark.parametrize("plain", [False, True], ids=["discounts", "plain"])
@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_deployment_is_proved_and_passes_the_gate(
    name: str, plain: bool, new_db: str, subtests: pytest.Subtests
) -> None:
    HEALTHY[name].make(new_db, plain=plain)
    before = fingerprint(new_db)
    with subtests.test("proof"):
        proof = call("scout_proof_info", new_db)
        assert (proof["status"], proof["error"]) == ("proved", None)
    with subtests.test("gate"):
        gate = call("scout_gate_info", new_db, smoke=True)
        failed = [check for check in gate["checks"] if check["status"] == "fail"]
        assert (gate["verdict"], failed, gate["smoke"]["status"]) == ("pass", [], "pass")
    assert fingerprint(new_db) == before


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_after_the_latest_sale_is_reported(name: str, new_db: str) -> None:
    change = CHANGES[name]
    _trade(new_db, change, ago=NOW)
    latest = one(new_db, LATEST)
    change.step(new_db)
    _assert_reported(call("scout_proof_info", new_db), change, latest, datetime.now(UTC))


@pytest.mark.parametrize(
    "name", [name for name, change in CHANGES.items() if change.sales != no_fields or change.pending]
)
def test_the_sales_that_show_a_change_are_proved_without_it(name: str, new_db: str) -> None:
    _trade(new_db, CHANGES[name], ago=NOW)
    proof = call("scout_proof_info", new_db)
    assert (proof["status"], proof["error"]) == ("proved", None)


@pytest.mark.parametrize("name", [name for name, change in CHANGES.items() if change.in_silver])
def test_a_change_two_hours_ago_is_reported_with_its_time(name: str, new_db: str) -> None:
    change = CHANGES[name]
    _trade(new_db, change, ago=TWO_HOURS + timedelta(minutes=5))
    latest = one(new_db, LATEST)
    change.step(new_db)
    sell(LATER, change.sales, first=60_000, over=TWO_HOURS)(new_db)
    _assert_reported(call("scout_proof_info", new_db), change, latest, one(new_db, FIRST_AFTER, latest))


def _trade(dsn: str, change: Change, *, ago: timedelta) -> None:
    """Load the sales of three days, the last of which came that long ago."""
    with connect(dsn, options="-c TimeZone=UTC") as session:
        builder.load(session, HISTORY, until=datetime.now(UTC) - ago - timedelta(minutes=2))
    sell(40, change.sales, ago=ago)(dsn)
    if change.captured:
        assert not call("scout_capture", dsn, release="v1").get("failed")
    if change.pending:
        sell(change.pending, first=55_000, loaded=False)(dsn)


def _assert_reported(proof: Result, change: Change, latest: datetime, after: datetime) -> None:
    """The proof says what changed, and since when: between the latest unchanged sale and what came `after`."""
    assert (proof["status"], proof["proven"]) == (change.status, False), proof
    report = json.dumps(proof["error"])
    assert [word for word in change.words if word not in report] == []
    if change.in_silver:
        day = after.astimezone(UTC).date()
        named = [datetime.fromisoformat(f"{date or day}T{clock}+00:00") for date, clock in CLOCK.findall(report)]
        assert any(latest - CLOSE <= time <= after + CLOSE for time in named), report
