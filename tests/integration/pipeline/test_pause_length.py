# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before it stops anything, an operation says for how long; one that takes too long stops nothing."""

from __future__ import annotations

from typing import Any

import pytest

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
    assert "-e scout_max_pause=101m" in refused["msg"]
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
