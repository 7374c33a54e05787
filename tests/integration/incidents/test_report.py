# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a real incident: rows, amounts, pauses and series as the database has them, and the same again at any time."""

from __future__ import annotations

import datetime
import time
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import Result, call, connect, executed, fingerprint, one, operator, rows

INFO = "scout_report_info"
LETTERS = """
SELECT count(*) FILTER (WHERE error_details ? 'event'), count(*) FILTER (WHERE error_details ? 'transaction'),
       coalesce(sum(jsonb_array_length(error_details -> 'lines')), 0),
       sum((coalesce(error_details #>> '{transaction,total_amount}', original_payload ->> 'total_amount'))::numeric)
FROM scout.bronze_events_dlq
"""
START = datetime.datetime(2026, 1, 5, 10, tzinfo=datetime.UTC)


def done(name: str, dsn: str, **options: Any) -> Result:
    """What comes to its end."""
    result = call(name, dsn, **{"incident": "INC-7", **options})
    assert not result.get("failed"), result["msg"]
    return result


def report(dsn: str, **options: Any) -> Result:
    """The report; nothing is written by it."""
    before = fingerprint(dsn)
    made = done(INFO, dsn, **options)
    assert fingerprint(dsn) == before
    return made


def incident(dsn: str, operator_dsn: str | None = None) -> None:
    """Negative totals, set aside while ingestion is paused."""
    library.negative_totals(dsn, 5)
    dsn = operator_dsn or dsn
    done("scout_ingestion", dsn, state="paused")
    done("scout_cleanup", dsn)
    done("scout_ingestion", dsn, state="running")


def amount(text: str) -> Decimal:
    return Decimal(text.replace(",", ""))


def test_rows_and_amounts_are_those_of_the_database(scout_db: str) -> None:
    incident(scout_db)
    done("scout_refresh_gold", scout_db, incident="INC-8")
    events, sales, lines, total = rows(scout_db, LETTERS)[0]
    assert sales >= 5
    made = report(scout_db)
    impact = made["impact"]
    assert (impact["events"], impact["sales"], impact["lines"]) == (events, sales, lines)
    assert amount(impact["amount"]) == total == -50 * sales
    in_queue = one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq")
    assert (impact["no_amount"], impact["in_queue"], made["unknown"]) == (0, in_queue, {})
    first, last = rows(scout_db, "SELECT min(paused_at), max(resumed_at) FROM scout_ops.pauses")[0]
    assert impact["paused_seconds"] == pytest.approx((last - first).total_seconds(), abs=0.001)
    assert [run["action"] for run in made["runs"]] == ["pause", "cleanup", "resume"], "only those of the incident"
    assert [(row["number"], row["in_queue"]) for row in made["moved"]] == [(2, impact["in_queue"])]
    assert set(made["done"]) == {"pause", "cleanup", "resume"}
    assert len(made["points"]) >= 1


def test_what_was_redriven_is_no_longer_in_the_queue(scout_db: str) -> None:
    incident(scout_db)
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.bronze_events_dlq SET resolved_at = now()")
    impact = report(scout_db)["impact"]
    assert impact["in_queue"] == 0
    assert impact["sales"] >= 5


def test_an_undone_run_leaves_nothing_in_the_impact(scout_db: str) -> None:
    incident(scout_db)
    (run,) = [run["run_id"] for run in report(scout_db)["runs"] if run["can_be_undone"]]
    done("scout_undo", scout_db, run_id=run)
    made = report(scout_db)
    assert (made["impact"]["sales"], made["impact"]["amount"], made["moved"]) == (0, None, [])
    undone = next(each for each in made["runs"] if each["run_id"] == run)
    assert undone["undone_by"] == next(each["run_id"] for each in made["runs"] if each["action"] == "undo")
    assert "cleanup" not in made["done"]


def test_a_window_rebuilt_tells_both_amounts(scout_db: str) -> None:
    sale, before = rows(
        scout_db, "SELECT transaction_id, total_amount FROM scout.silver_transactions ORDER BY processed_at LIMIT 1"
    )[0]
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET total_amount = -1 WHERE transaction_id = %s", [sale])
    start, end = rows(
        scout_db,
        "SELECT ingested_at, ingested_at + interval '1 ms' FROM scout.bronze_events WHERE event_data ->> 'transaction_id' = %s",
        sale,
    )[0]
    done("scout_window_recovery", scout_db, window_start=start.isoformat(), window_end=end.isoformat())
    impact = report(scout_db)["impact"]
    assert impact["rebuilt"] == 1
    assert (amount(impact["amount_before"]), amount(impact["amount_after"])) == (-1, before)


def test_a_run_that_failed_is_among_what_was_wrong(scout_db: str) -> None:
    done("scout_ingestion", scout_db, state="paused")
    with connect(scout_db) as connection:
        connection.execute(
            """UPDATE scout_ops.runs SET status = 'failed', error = '{"attempted": "could not | pause", "said": "no\\nway"}'"""
        )
    made = report(scout_db)
    assert made["done"] == []
    assert any("could not | pause: no way" in sentence for sentence in made["wrong"])


def test_the_same_report_at_any_time(scout_db: str) -> None:
    incident(scout_db)
    first = report(scout_db, time_zone="Asia/Manila")
    time.sleep(1.1)
    assert report(scout_db, time_zone="Asia/Manila") == first
    assert first["start"].endswith("+08:00")
    assert executed(INFO, scout_db, incident="INC-7", time_zone="Asia/Manila")["points"] == first["points"]


def queue(dsn: str) -> None:
    """One run from 10:00 to 11:00. Of three sales one is loaded after a minute, one after half an hour, and one not by then."""
    done("scout_ingestion", dsn, state="paused")
    done("scout_ingestion", dsn, state="running")
    with connect(dsn) as connection:
        connection.execute("TRUNCATE scout.bronze_events, scout.etl_processed CASCADE")
        connection.execute("DELETE FROM scout_ops.runs WHERE action = 'resume'")
        connection.execute(
            "UPDATE scout_ops.runs SET started_at = %s, finished_at = %s", [START, START + datetime.timedelta(hours=1)]
        )
        connection.execute(
            "UPDATE scout_ops.pauses SET paused_at = %s, resumed_at = NULL", [START + datetime.timedelta(minutes=50)]
        )
        for arrived, loaded in ((-10, -9), (-5, 5), (10, 11), (20, 50), (30, None), (40, 70), (61, 62)):
            connection.execute(
                """WITH event AS (INSERT INTO scout.bronze_events (event_type, event_data, ingested_at)
                       VALUES ('transaction.v1', '{}', %(start)s + %(arrived)s * interval '1 minute') RETURNING event_id)
                   INSERT INTO scout.etl_processed (event_id, processed_at)
                   SELECT event_id, %(start)s + %(loaded)s * interval '1 minute' FROM event WHERE %(loaded)s::int IS NOT NULL""",
                {"start": START, "arrived": arrived, "loaded": loaded},
            )
        connection.execute(
            "INSERT INTO scout.bronze_events (event_type, event_data, ingested_at) VALUES ('other', '{}', %s)", [START]
        )


def test_backlog_loads_and_staleness_are_those_of_the_clocks(scout_db: str) -> None:
    queue(scout_db)
    made = report(scout_db)
    assert (made["start"], made["end"], made["step_seconds"]) == (
        "2026-01-05 10:00:00+00:00",
        "2026-01-05 11:00:00+00:00",
        30,
    )
    by_minute = {point["at"][11:16]: point for point in made["points"] if point["at"][17:19] == "00"}
    assert {at: by_minute[at]["pending"] for at in ("10:00", "10:04", "10:06", "10:10", "10:12", "10:35", "10:45", "10:55")} == {
        "10:00": 1, "10:04": 1, "10:06": 0, "10:10": 1, "10:12": 0, "10:35": 2, "10:45": 3, "10:55": 2,
    }  # fmt: skip
    assert sum(point["arrived"] for point in made["points"]) == 4
    assert sum(point["loaded"] for point in made["points"]) == 3
    # The longest time without a load was that from 10:11 to 10:50, and ended then.
    assert max(point["since_load"] for point in made["points"]) == by_minute["10:50"]["since_load"] == 39 * 60
    assert by_minute["10:51"]["since_load"] == pytest.approx(90)
    assert by_minute["10:00"]["since_load"] == pytest.approx(9 * 60 + 30)
    assert max(point["since_arrival"] for point in made["points"]) == 20 * 60
    impact = made["impact"]
    # Two were loaded more than five minutes after they arrived: one waited too long from 10:00 to 10:05, and others from 10:25 on.
    assert (impact["late_sales"], impact["waiting_sales"], impact["late_seconds"]) == (2, 2, 40 * 60)
    assert (impact["paused_seconds"], impact["still_paused"]) == (600, True)


def test_a_window_bounds_the_report(scout_db: str) -> None:
    queue(scout_db)
    window = {"window_start": "2026-01-05T09:30:00Z", "window_end": "2026-01-05 18:20", "time_zone": "Asia/Manila"}
    made = report(scout_db, **window)
    assert (made["start"], made["end"]) == ("2026-01-05 17:30:00+08:00", "2026-01-05 18:20:00+08:00")
    assert made["impact"]["paused_seconds"] == 0
    assert made["points"][0]["since_load"] is None, "nothing was loaded before"
    assert sum(point["loaded"] for point in made["points"]) == 3
    later = report(scout_db, window_start="2026-01-05T10:04:00Z", window_end="2026-01-05T10:20:00Z")
    assert later["impact"]["late_seconds"] == 5 * 60, "a sale that is late has been so since before"
    # A run without a label can be reported on by its time.
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout_ops.runs SET incident = 'adhoc'")
    assert len(report(scout_db, incident="adhoc", **window)["runs"]) == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"incident": "adhoc"}, "no incident was named"),
        ({"incident": "INC-99"}, "no run of INC-99"),
        ({"incident": "no such; name"}, "incident 'no such; name' is not usable"),
        ({"window_end": "2020-01-01T00:00:00Z"}, "no run of INC-7 in this window"),
        ({"window_end": "2999-01-01T00:00:00Z"}, "is in the future"),
        ({"window_start": "2026-01-02T00:00:00Z", "window_end": "2026-01-01T00:00:00Z"}, "ends before it starts"),
        ({"window_start": "yesterday"}, "window_start 'yesterday' is not a time"),
        ({"time_zone": "Mars/Olympus"}, "time_zone 'Mars/Olympus' is not known"),
        ({"ledger": "off"}, "ledger is off"),
    ],
)
def test_what_cannot_be_reported_on_is_named(scout_db: str, options: dict[str, Any], said: str) -> None:
    done("scout_ingestion", scout_db, state="paused")
    result = call(INFO, scout_db, **{"incident": "INC-7", **options})
    assert result["failed"] is True
    assert said in result["msg"]
    assert result["error"]["next_step"]


def test_a_database_without_a_ledger_is_named(scout_db: str) -> None:
    result = call(INFO, scout_db, incident="INC-7")
    assert result["failed"] is True
    assert "no run of INC-7" in result["msg"]


def test_the_documented_role_reports_and_what_it_may_not_read_is_named(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        incident(scout_db, dsn)
        assert call(INFO, dsn, incident="INC-7")["unknown"] == {}
        with connect(scout_db) as connection:
            connection.execute("ALTER TABLE scout.bronze_events_dlq RENAME TO hidden")
            connection.execute("CREATE TABLE scout.bronze_events_dlq (error_details int)")
        made = call(INFO, dsn, incident="INC-7")
    assert list(made["unknown"]) == ["dead letters"]
    assert (made["impact"]["sales"], made["impact"]["in_queue"], made["moved"]) == (None, None, []), (
        "unknown, and not none"
    )
