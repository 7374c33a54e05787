# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before it stops anything, an operation says for how long; one that takes too long stops nothing."""

from __future__ import annotations

from typing import Any, LiteralString

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import smoke_test
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_length
from tests.integration.modules import Result, call, connect, fingerprint, one

ACTIVE = "SELECT count(*) FROM cron.job WHERE active AND jobname = 'bronze-to-silver-etl'"

#: A run of a job that took 100 seconds.
LASTED = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, 1, database, username, command, 'succeeded', '1 row', now() - interval '200 s', now() - interval '100 s'
FROM cron.job WHERE jobname = %s
"""
#: As if one of the views had taken three minutes.
SLOWER = """
UPDATE scout_ops.runs SET effects = jsonb_set(effects, '{refreshed,0,seconds}', '180') WHERE action = 'refresh_gold'
"""


def pause(dsn: str, **options: Any) -> Result:
    return call("scout_ingestion", dsn, state="paused", **options)


def test_a_pause_that_would_be_too_long_stops_nothing(scout_db: str) -> None:
    before = fingerprint(scout_db)
    refused = pause(scout_db, expects={"moves": 300_000, "gold": True})
    assert refused.get("failed"), refused
    assert "it would stay paused for about 50 min" in refused["msg"]
    assert "moving 300,000 events 50 min" in refused["msg"]
    assert "longer than max_pause, which is 15 min" in refused["msg"]
    least = pause(scout_db, expects={"drains": True, "pending": 0}, max_pause="1s")
    assert "for about 5.0 s (what every pause takes)" in least["msg"]
    assert "-e max_pause=101m" in refused["msg"]
    assert fingerprint(scout_db) == before
    assert one(scout_db, ACTIVE) == 1
    longer = pause(scout_db, expects={"moves": 300_000, "gold": True}, max_pause="101m")
    assert (longer["state"], round(longer["expected_pause_seconds"] / 60)) == ("paused", 50)


def test_what_is_pending_counts_where_it_is_loaded(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a release that is rolled back has broken what tells it: nothing is pending then."""
    monkeypatch.setattr(pause_length, "LOAD_SECONDS", 0.01)
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.etl_processed")
    pending = one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_type = 'transaction.v1'")
    foreseen = pause(scout_db, expects={"drains": True}, max_pause="1s", check=True)
    assert f"loading {pending:,} events" in foreseen["msg"]
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.etl_processed RENAME COLUMN event_id TO event")
    assert pause(scout_db, expects={"drains": True}, check=True)["expected_pause_seconds"] == 5.0


@pytest.mark.parametrize(
    ("pending", "said"), [("500000", "500,000 events"), (7, "7 events"), (0, ""), ("", "1,"), (None, "1,")]
)
def test_what_is_known_to_be_pending_is_not_counted_again(scout_db: str, pending: object, said: str) -> None:
    """Unless it is not known."""
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.etl_processed; DELETE FROM cron.job_run_details")
        connection.execute(LASTED, ("bronze-to-silver-etl",))
    known = pause(scout_db, expects={"drains": True, "pending": pending}, max_pause="1s", check=True)
    assert (f"loading {said}" in known["msg"]) == bool(said)
    assert not pause(scout_db, expects={"drains": False, "pending": pending}, max_pause="6s", check=True).get("failed")


def test_a_drain_of_much_calls_the_etl_often(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute(LASTED, ("bronze-to-silver-etl",))

    def seconds(pending: int) -> float:
        expects = {"drains": True, "pending": pending}
        return pause(scout_db, expects=expects, max_pause="10h", check=True)["expected_pause_seconds"]

    # 2,000, 8,000, 32,000 and so on, up to 100,000 in each.
    assert [round(seconds(pending) / 100) for pending in (1, 2_000, 20_000, 500_000)] == [2, 2, 4, 13]


def test_check_mode_refuses_what_a_run_would(scout_db: str) -> None:
    assert pause(scout_db, expects={"drains": True, "pending": 10_000_000}, check=True).get("failed")
    foreseen = pause(scout_db, expects={"drains": True, "pending": 1000}, check=True)
    assert (foreseen["changed"], foreseen["expected_pause_seconds"] < 60) == (True, True)


def test_where_it_is_paused_already_nothing_is_estimated(scout_db: str) -> None:
    assert "expected_pause_seconds" not in pause(scout_db)
    again = pause(scout_db, expects={"moves": 10_000_000})
    assert (again["changed"], "expected_pause_seconds" in again) == (False, False)


def test_gold_takes_what_it_took_the_last_time(scout_db: str) -> None:
    """By our own refresh, or by the scheduler's, whatever PostgreSQL expects of a view that calls a slow function."""
    gold = {"expects": {"gold": True}, "check": True}
    quick = pause(scout_db, **gold)["expected_pause_seconds"]
    assert quick < 30
    with connect(scout_db) as connection:
        connection.execute(LASTED, ("smart-gold-refresh",))
    assert 100 <= pause(scout_db, **gold)["expected_pause_seconds"] <= 100 + quick
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
    assert pause(scout_db, **gold)["expected_pause_seconds"] == pytest.approx(quick)
    assert call("scout_refresh_gold", scout_db, force=True)["changed"]
    with connect(scout_db) as connection:
        assert connection.execute(SLOWER).rowcount == 1
    refused = pause(scout_db, expects={"gold": True}, max_pause="2m")
    assert "gold 3 min" in refused["msg"]
    assert one(scout_db, ACTIVE) == 1


def test_a_call_of_the_etl_takes_what_its_job_usually_does(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute(LASTED, ("bronze-to-silver-etl",))
    assert pause(scout_db, expects={"moves": 1}, check=True)["expected_pause_seconds"] >= 200


def test_a_slow_job_beside_it_lengthens_no_estimate(scout_db: str) -> None:
    """Whoever may have jobs could otherwise keep everybody from pausing."""
    usual = pause(scout_db, expects={"moves": 1, "gold": True}, check=True)["expected_pause_seconds"]
    with connect(scout_db) as connection:
        for name, command in (("load-too", "load_silver_from_bronze(1)"), ("refresh-too", "refresh_gold_platinum()")):
            connection.execute("SELECT cron.schedule(%s, '0 3 * * *', %s)", (name, f"SELECT scout.{command}"))
            connection.execute(LASTED, (name,))
        connection.execute(LASTED.replace("100 s", "198 s"), ("smart-gold-refresh",))
    assert pause(scout_db, expects={"moves": 1, "gold": True}, check=True)["expected_pause_seconds"] < usual + 10


@pytest.mark.parametrize(
    ("given", "history", "seconds"), [(None, LASTED, 600.0), (None, LASTED + " AND false", 600.0), (7.0, LASTED, 7.0)]
)
def test_a_test_sale_has_the_time_that_the_etl_usually_takes(
    scout_db: str, monkeypatch: pytest.MonkeyPatch, given: float | None, history: LiteralString, seconds: float
) -> None:
    """Two calls of it, three times as long; where nobody has seen it run, as long as no session counts as stuck."""
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM cron.job_run_details")
        connection.execute(history, ("bronze-to-silver-etl",))
    allowed: list[float] = []
    test = smoke_test.test

    def record(*of: Any, seconds: float, **more: Any) -> Any:
        allowed.append(seconds)
        return test(*of, seconds=seconds, **more)

    monkeypatch.setattr(smoke_test, "test", record)
    assert not call("scout_gate_info", scout_db, smoke=True, smoke_timeout_seconds=given).get("failed")
    assert allowed == [pytest.approx(seconds, rel=0.01)]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"expects": {"moves": "many"}}, "expects.moves 'many' is no number of events"),
        ({"expects": {"drains": True, "pending": True}}, "expects.pending True is no number of events"),
        ({"expects": {"drops": 1}}, "expects has 'drops', which is none of moves, gold, drains, pending"),
        ({"expects": {"moves": 1}, "max_pause": "soon"}, "max_pause 'soon' is not usable"),
    ],
)
def test_what_cannot_be_used_is_named(scout_db: str, options: dict[str, Any], said: str) -> None:
    refused = pause(scout_db, **options)
    assert refused["error"]["kind"] == "bad_input"
    assert said in refused["msg"]
    assert one(scout_db, ACTIVE) == 1
