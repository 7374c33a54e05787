# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before it stops anything, an operation says for how long; one that takes too long stops nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.modules import Result, call, fingerprint, one

ACTIVE = "SELECT count(*) FROM cron.job WHERE active AND jobname = 'bronze-to-silver-etl'"


def pause(dsn: str, **options: Any) -> Result:
    return call("scout_ingestion", dsn, state="paused", **options)


def test_a_pause_that_would_be_too_long_stops_nothing(scout_db: str) -> None:
    before = fingerprint(scout_db)
    refused = pause(scout_db, expects={"moves": 300_000, "gold": True})
    assert refused.get("failed"), refused
    assert "it would stay paused for about 50 min" in refused["msg"]
    assert "moving 300,000 events 50 min" in refused["msg"]
    assert "longer than max_pause, which is 15 min" in refused["msg"]
    assert "-e max_pause=101m" in refused["msg"]
    assert fingerprint(scout_db) == before
    assert one(scout_db, ACTIVE) == 1
    longer = pause(scout_db, expects={"moves": 300_000, "gold": True}, max_pause="101m")
    assert (longer["state"], round(longer["expected_pause_seconds"] / 60)) == ("paused", 50)


def test_check_mode_refuses_what_a_run_would(scout_db: str) -> None:
    assert pause(scout_db, expects={"loads": 10_000_000}, check=True).get("failed")
    foreseen = pause(scout_db, expects={"loads": 1000}, check=True)
    assert (foreseen["changed"], foreseen["expected_pause_seconds"] < 60) == (True, True)


def test_where_it_is_paused_already_nothing_is_estimated(scout_db: str) -> None:
    assert "expected_pause_seconds" not in pause(scout_db)
    again = pause(scout_db, expects={"moves": 10_000_000})
    assert (again["changed"], "expected_pause_seconds" in again) == (False, False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"expects": {"loads": "many"}}, "expects.loads 'many' is no number of events"),
        ({"expects": {"loads": True}}, "expects.loads True is no number of events"),
        ({"expects": {"drops": 1}}, "expects has 'drops', which is none of loads, moves, gold"),
        ({"expects": {"loads": 1}, "max_pause": "soon"}, "max_pause 'soon' is not usable"),
    ],
)
def test_what_cannot_be_used_is_named(scout_db: str, options: dict[str, Any], said: str) -> None:
    refused = pause(scout_db, **options)
    assert refused["error"]["kind"] == "bad_input"
    assert said in refused["msg"]
    assert one(scout_db, ACTIVE) == 1
