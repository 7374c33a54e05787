# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a real incident: rows, amounts and pauses as the database has them, and the same again at any time."""

from __future__ import annotations

import sys
import time
from decimal import Decimal
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents.report import facts as report_facts
from tests.integration.modules import Result, call, connect, executed, fingerprint, one, operator, rows

INFO = "scout_incident_info"
GOLD: dict[str, Any] = {"title": "totals below zero", "severity": "high", "incident": "INC-7"}
LETTERS = """
SELECT count(*) FILTER (WHERE error_details ? 'event'), count(*) FILTER (WHERE error_details ? 'transaction'),
       coalesce(sum(jsonb_array_length(error_details -> 'lines')), 0),
       sum((coalesce(error_details #>> '{transaction,total_amount}', original_payload ->> 'total_amount'))::numeric)
FROM scout.bronze_events_dlq
"""


def done(name: str, dsn: str, **options: Any) -> Result:
    """What comes to its end."""
    result = call(name, dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


def report(dsn: str, **options: Any) -> Result:
    """The report; nothing is written by it."""
    before = fingerprint(dsn)
    made = done(INFO, dsn, report=True, latest=True, **options)["report"]
    assert fingerprint(dsn) == before
    return made


def incident(dsn: str, operator_dsn: str | None = None) -> None:
    """Negative totals, set aside while ingestion is paused."""
    library.negative_totals(dsn, 5)
    dsn = operator_dsn or dsn
    done("scout_incident", dsn, **GOLD)
    done("scout_incident", dsn, state="seen", looked="assess", found=done("scout_health_info", dsn))
    done("scout_ingestion", dsn, state="paused")
    done("scout_cleanup", dsn)
    done("scout_ingestion", dsn, state="running")


def test_rows_and_amounts_are_those_of_the_database(scout_db: str) -> None:
    incident(scout_db)
    events, transactions, lines, amount = rows(scout_db, LETTERS)[0]
    assert transactions >= 5
    made = report(scout_db)
    impact = made["impact"]
    assert (impact["events"], impact["transactions"], impact["lines"]) == (events, transactions, lines)
    assert Decimal(impact["amount"]) == amount == -50 * transactions
    assert (impact["no_amount"], impact["waiting"], impact["unknown"]) == (0, max(events, transactions), {})
    first, last = rows(scout_db, "SELECT min(paused_at), max(resumed_at) FROM scout_ops.pauses")[0]
    assert impact["paused_seconds"] == pytest.approx((last - first).total_seconds(), abs=0.001)
    assert impact["affected"].startswith("Bronze and Silver" if events else "Silver")
    assert [step["heading"] for step in made["done"]] == [
        "Pipeline assessed", "Ingestion paused", "Bad rows cleaned up", "Ingestion resumed",
    ]  # fmt: skip
    assert made["looks"]["count"] == 1
    assert made["charts"] == []


def test_an_undone_run_leaves_nothing_in_the_impact(scout_db: str) -> None:
    incident(scout_db)
    (run,) = [step["run_id"] for step in report(scout_db)["done"] if step["undo"]]
    done("scout_undo", scout_db, run_id=run)
    made = report(scout_db)
    assert (made["impact"]["transactions"], made["impact"]["amount"], made["impact"]["waiting"]) == (0, None, 0)
    taken = next(step for step in made["done"] if step["run_id"] == run)
    assert taken["undone"].startswith("undone by ")
    assert [step["heading"] for step in made["done"] if step["undo"]] == ["Run undone"]


def test_a_window_made_again_tells_both_amounts(scout_db: str) -> None:
    done("scout_incident", scout_db, **GOLD)
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
    assert (impact["made_again"], Decimal(impact["amount_before"]), Decimal(impact["amount_after"])) == (1, -1, before)


def test_the_same_report_at_any_time(scout_db: str) -> None:
    incident(scout_db)
    done("scout_incident", scout_db, state="updated", text="soon", next_update_minutes=0.001)
    first = report(scout_db, time_zone="Asia/Manila")
    time.sleep(1.1)
    assert report(scout_db, time_zone="Asia/Manila") == first
    done("scout_incident", scout_db, state="noted", text="one more")
    assert report(scout_db, time_zone="Asia/Manila") != first


def test_which_incident_is_meant(scout_db: str) -> None:
    nothing = call(INFO, scout_db, report=True, latest=True)
    assert nothing["failed"] is True
    assert "no incident is on record" in nothing["msg"]
    done("scout_incident", scout_db, **GOLD)
    done("scout_incident", scout_db, state="closed", force=True)
    assert report(scout_db)["incident"] == "INC-7"
    done("scout_incident", scout_db, title="another", severity="medium", incident="INC-8")
    assert report(scout_db)["incident"] == "INC-8"
    assert report(scout_db, incident="INC-7")["closed"] is not None
    unknown = call(INFO, scout_db, report=True, latest=True, incident="INC-99")
    assert unknown["failed"] is True
    assert "INC-99 was never opened" in unknown["msg"]
    assert done(INFO, scout_db, incident="INC-7")["report"] is None, "only where it is asked for"
    assert executed(INFO, scout_db, report=True, incident="INC-7")["report"]["incident"] == "INC-7"


def test_samples_of_a_long_watch_are_thinned_but_for_what_changed(scout_db: str) -> None:
    done("scout_incident", scout_db, **GOLD)
    with connect(scout_db) as connection:
        connection.execute(
            """INSERT INTO scout_ops.runs (run_id, action, incident, actor, controller)
               VALUES (gen_random_uuid(), 'watch', 'INC-7', 'eve@db', 'x')"""
        )
        connection.execute(
            """INSERT INTO scout_ops.samples (run_id, number, at, verdict, reason, state, figures, statuses)
               SELECT run_id, n, now() + n * interval '1 s', CASE WHEN n = 7001 THEN 'failing' ELSE 'healthy' END, '', 'running',
                      jsonb_build_object('gold_staleness', n::float8 / 60, 'backlog_events', n), '{}'
               FROM scout_ops.runs, generate_series(1, 20000) AS n WHERE action = 'watch'"""
        )
    made = report(scout_db)
    assert (made["looks"]["count"], made["looks"]["watched"]) == (20000, 20000)
    assert [chart["title"] for chart in made["charts"]] == ["Staleness and backlog"]
    assert len(made["charts"][0]["wide"]) < 100_000, "two charts"
    with connect(scout_db) as connection, connection.cursor() as cursor:
        kept = cursor.execute(report_facts.SAMPLES, {"incident": "INC-7", "most": 400}).fetchall()
    assert 400 <= len(kept) <= 405
    assert [verdict for _, verdict, *_ in kept].count("failing") == 1


def test_the_documented_role_reports_and_what_it_may_not_read_is_named(scout_db: str) -> None:
    with operator(scout_db) as dsn:
        incident(scout_db, dsn)
        assert call(INFO, dsn, report=True, latest=True)["report"]["impact"]["unknown"] == {}
        with connect(scout_db) as connection:
            connection.execute("ALTER TABLE scout.bronze_events_dlq RENAME TO hidden")
            connection.execute("CREATE TABLE scout.bronze_events_dlq (error_details int)")
        made = call(INFO, dsn, report=True, latest=True)["report"]
    assert list(made["impact"]["unknown"]) == ["dead letters"]
    assert made["impact"]["transactions"] == one(scout_db, "SELECT count(*) FROM scout.hidden")


def test_without_matplotlib_the_report_says_so(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    done("scout_incident", scout_db, **GOLD)
    for _ in range(2):
        done("scout_incident", scout_db, state="seen", looked="assess", found=done("scout_health_info", scout_db))
    assert report(scout_db)["charts"]
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    made = report(scout_db)
    assert made["charts"] == []
    assert "has no matplotlib" in made["no_charts"]
