# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is otherwise where gold is large: it is compared day by day, and computed once. Here every pipeline counts as large."""

from __future__ import annotations

import time

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import history
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import expected
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline.proof import gold_trial
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import (
    gold_contents,
    gold_views,
)
from tests.integration.modules import Result, call, connect, fingerprint, one, rows
from tests.integration.slow import slow_gold

GOLD = "smart-gold-refresh"
DAYS = "SELECT DISTINCT date_key::text FROM scout.silver_transactions ORDER BY 1"
SILENT = """
SET session_replication_role = replica;
UPDATE scout.silver_transactions SET total_amount = total_amount + 1 WHERE date_key = %s::text::date
"""
#: How often the lines of all sales have been read from one end to the other.
SCANS = "SELECT seq_scan FROM pg_stat_user_tables WHERE relid = 'scout.silver_line_items'::regclass"
#: As if a hundred sales were made on each of many days.
MANY_DAYS = """
UPDATE scout.silver_transactions AS s SET date_key = current_date - (n.nth / 100)::int
FROM (SELECT id, row_number() OVER (ORDER BY transaction_id) AS nth FROM scout.silver_transactions) AS n WHERE n.id = s.id
"""
LOSE_SOME = """
DELETE FROM scout.silver_transactions
WHERE id IN (SELECT id FROM scout.silver_transactions WHERE date_key = %s::text::date ORDER BY id LIMIT 5)
"""


@pytest.fixture(autouse=True)
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the number of its sales, and by what its gold is expected to take."""
    monkeypatch.setattr(gold_contents, "AT_ONCE", 0)
    monkeypatch.setattr(expected, "LONG_SECONDS", 0.0)


def read(dsn: str, budget: float | None = None) -> dict[str, gold_views.Freshness]:
    with open_session(Settings(dsn=dsn)) as session, session.read():
        return {
            found.view.name: found
            for found in gold_views.read(
                session, budget_seconds=budget, moves=gold_views.Moves(history.moved_days(session))
            )
        }


def changed(dsn: str, statement: str, day: str) -> None:
    with connect(dsn) as connection:
        for part in statement.strip().split(";\n"):
            connection.execute(part, (day,) if "%s" in part else None)  # type: ignore[call-overload]


def test_a_day_of_long_ago_that_is_otherwise_is_found_and_named(scout_db: str) -> None:
    days = [day for (day,) in rows(scout_db, DAYS)]
    assert {found.why for found in read(scout_db).values()} == {"its contents match silver"}
    changed(scout_db, SILENT, days[0])
    assert read(scout_db)["gold_daily_metrics"].state == "stale"
    found = read(scout_db, 60.0)["gold_daily_metrics"]
    assert found.state == "stale"
    assert f"of {days[0]} differ from silver" in found.why


def test_a_day_that_silver_no_longer_has_is_found(scout_db: str) -> None:
    """Its rows are of no day of silver."""
    day = one(scout_db, "SELECT min(date_key)::text FROM scout.silver_transactions")
    changed(scout_db, "DELETE FROM scout.silver_transactions WHERE date_key = %s::text::date", day)
    assert f"of {day} differ" in read(scout_db, 60.0)["gold_daily_metrics"].why


def test_the_days_that_a_move_has_touched_are_compared_first(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    oldest = one(scout_db, "SELECT min(date_key)::text FROM scout.silver_transactions")
    events = [
        row[0]
        for row in rows(
            scout_db, f"SELECT source_event_id::text FROM scout.silver_transactions WHERE date_key = '{oldest}' LIMIT 3"
        )
    ]
    assert not call("scout_quarantine", scout_db, event_ids=events).get("failed")
    compared = list[int]()
    compare = gold_views.compare

    def counting(*given: object) -> gold_contents.Compared:
        found = compare(*given)  # type: ignore[arg-type]
        compared.append(found.days)
        return found

    monkeypatch.setattr(gold_views, "compare", counting)
    assert all(found.state == "stale" for found in read(scout_db).values())
    assert compared == [1, 1]


def test_what_there_is_no_time_to_compare_is_said(scout_db: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its clock gold is newer than silver."""
    compare, compared = gold_contents._differing, list[object]()  # pyright: ignore[reportPrivateUsage]

    def slow(*given: object) -> int:
        compared.append(given)
        if len(compared) > 2:
            time.sleep(3.0)
        return compare(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(gold_contents, "_differing", slow)
    # With the days beside them, and no day at all.
    days = len(rows(scout_db, DAYS)) + 3
    found = read(scout_db, budget=3.0)["gold_daily_metrics"]
    assert (found.state, found.why) == (
        "fresh", f"2 of its {days} days match silver, and there was no time for the others",
    )  # fmt: skip


# --- gold computed once


def proof_of_gold(dsn: str) -> tuple[Result, str]:
    result = call("scout_proof_info", dsn)
    [said] = [each["said"] for each in result["jobs"] if each["jobname"] == GOLD]
    return result, said


def test_gold_that_a_repair_has_just_computed_is_only_seen_to_begin(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gold_trial, "BEGINS_SECONDS", 0.3)
    slow_gold(scout_db)
    result, said = proof_of_gold(scout_db)
    assert (result["status"], "refreshes 2 views" in said) == ("proved", True), result
    assert call("scout_refresh_gold", scout_db, force=True)["changed"]
    before = fingerprint(scout_db)
    result, said = proof_of_gold(scout_db)
    assert result["status"] == "proved", result
    assert "rolled back: it begins to refresh gold, which a repair has just computed" in said
    assert fingerprint(scout_db) == before
    with connect(scout_db) as connection:
        connection.execute("ALTER FUNCTION scout.refresh_gold_platinum() COST 99")
    result, said = proof_of_gold(scout_db)
    assert (result["status"], "refreshes 2 views" in said) == ("proved", True), result


def test_gold_that_a_repair_has_computed_and_a_job_no_longer_does_is_found(
    scout_db: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job was altered before the repair, so that nothing has changed since."""
    monkeypatch.setattr(gold_trial, "BEGINS_SECONDS", 0.3)
    slow_gold(scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            "UPDATE cron.job SET command = 'SELECT 1 /* scout.maybe_refresh_gold() */' WHERE jobname = %s", (GOLD,)
        )
    assert call("scout_refresh_gold", scout_db, force=True)["changed"]
    result, said = proof_of_gold(scout_db)
    assert result["status"] == "failed", result
    assert "it ran and did not refresh scout.gold_daily_metrics" in said


# --- holes


def test_what_a_quarantine_took_explains_no_more_than_it_took(scout_db: str) -> None:
    day = one(scout_db, "SELECT max(date_key)::text FROM scout.silver_transactions WHERE date_key < current_date")
    events = [
        row[0]
        for row in rows(
            scout_db, f"SELECT source_event_id::text FROM scout.silver_transactions WHERE date_key = '{day}' LIMIT 4"
        )
    ]
    assert not call("scout_quarantine", scout_db, event_ids=events).get("failed")
    changed(scout_db, LOSE_SOME, day)
    refused = call("scout_refresh_gold", scout_db)
    assert refused.get("failed"), refused
    assert "shows 5 sales that scout.silver_transactions has lost" in refused["msg"]


def test_a_ledger_that_somebody_else_planted_is_not_read(scout_db: str) -> None:
    """Its runs are a view, whose function would run with our rights."""
    with connect(scout_db) as connection:
        connection.execute("CREATE ROLE planter") if not one(
            scout_db, "SELECT to_regrole('planter') IS NOT NULL"
        ) else None
        connection.execute("CREATE SCHEMA scout_ops AUTHORIZATION planter; GRANT CREATE ON SCHEMA scout TO planter")
        connection.execute("SET ROLE planter")
        connection.execute(
            "CREATE FUNCTION scout_ops.tell() RETURNS jsonb LANGUAGE plpgsql AS "
            "'BEGIN PERFORM pg_catalog.pg_notify(''planted'', current_user); RETURN NULL; END'"
        )
        connection.execute(
            "CREATE VIEW scout_ops.runs AS SELECT scout_ops.tell() AS effects, now() AS started_at, 'refresh_gold'::text AS action"
        )
        connection.execute("GRANT USAGE ON SCHEMA scout_ops TO PUBLIC; GRANT SELECT ON scout_ops.runs TO PUBLIC")
    with connect(scout_db) as listener:
        listener.execute("LISTEN planted")
        for module, options in (
            ("scout_health_info", {}),
            ("scout_refresh_gold", {"check": True}),
            ("scout_proof_info", {}),
        ):
            call(module, scout_db, **options)
        assert not list(listener.notifies(timeout=0))
        # Whoever reads it runs it.
        rows(scout_db, "SELECT effects FROM scout_ops.runs")
        assert len(list(listener.notifies(timeout=5, stop_after=1))) == 1
