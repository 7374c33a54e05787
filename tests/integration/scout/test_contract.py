# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything works on a pipeline in which nothing is called as in Scout v5.2, and says what it is called there."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract
from tests.integration.modules import (
    Result,
    call,
    connect,
    executed,
    idle_for,
    jobs,
    one,
    operator,
    rows,
)
from tests.integration.oracle import START, arrive, payloads_of
from tests.integration.renamed import NAMES, old_names, rename
from tests.scout.fixtures import small

SEED = 515_151
COUNTS = {
    name: f'SELECT count(*), sum(hashtextextended(t::text, 0)) FROM pos."{name}" AS t'
    for name in ("inbox", "inbox_rejected", "check", "receipt", "receipt_line")
}
UPDATED = "SELECT max(updated_at) FROM pos.mart_daily"
scout_template = small(220)


def ran(name: str, dsn: str, **options: Any) -> Result:
    """The result of a module that comes to its end and uses none of the old names."""
    result = call(name, dsn, contract=NAMES, **options)
    assert not result.get("failed"), result["msg"]
    assert not old_names(result)
    return result


sale = payloads_of(SEED)


def loaded(dsn: str, *payloads: dict[str, Any]) -> list[UUID]:
    """Events that the ETL has been through, before anything is renamed."""
    ids = arrive(dsn, payloads)
    with connect(dsn) as connection:
        connection.execute("SELECT scout.load_silver_from_bronze(NULL)")
    return ids


def tables(dsn: str) -> dict[str, Any]:
    return {name: rows(dsn, query) for name, query in COUNTS.items()}


def in_silver(dsn: str, payload: dict[str, Any]) -> list[float]:
    query = "SELECT total_amount::float8 FROM pos.receipt WHERE transaction_id = %s"
    return [row[0] for row in rows(dsn, query, payload["transaction_id"])]


@contextlib.contextmanager
def lock_held(dsn: str) -> Iterator[None]:
    """Another session has the refresh function's lock."""
    with connect(dsn) as connection:
        connection.execute("SELECT pg_advisory_lock(%s::bigint)", [NAMES["gold_lock"]])
        yield


def test_every_name_is_another_one_here(scout_db: str) -> None:
    rename(scout_db)
    assert NAMES.keys() == contract.defaults().keys() - {"writers"}
    assert not [key for key, name in NAMES.items() if contract.defaults()[key] == name]
    assert one(scout_db, "SELECT to_regnamespace('scout') IS NULL")
    assert not old_names(jobs(scout_db))
    bodies = "SELECT prosrc FROM pg_proc WHERE pronamespace = 'pos'::regnamespace"
    assert not old_names(rows(scout_db, bodies))


def test_without_its_names_it_is_no_scout(scout_db: str) -> None:
    rename(scout_db)
    result = call("scout_health_info", scout_db)
    assert result["error"]["kind"] == "wrong_database"
    assert "schema scout" in result["msg"]
    result = call("scout_health_info", scout_db, contract={**NAMES, "alerts": "orders", "bronze": "letters"})
    assert "table pos.letters is missing: dropped or renamed" in [cause["cause"] for cause in result["diagnoses"]]


def test_names_are_in_force_for_one_task_only(scout_db: str, repaired_db: str) -> None:
    rename(scout_db)
    ran("scout_health_info", scout_db)
    assert call("scout_health_info", repaired_db)["verdict"] == "healthy"


def test_an_executed_module_has_them_too(scout_db: str) -> None:
    rename(scout_db)
    assert executed("scout_health_info", scout_db, contract=NAMES)["verdict"] == "healthy"


def test_assess(scout_db: str) -> None:
    arrive(scout_db, [sale(1, total_amount="abc"), sale(2)])
    rename(scout_db)
    found = ran("scout_health_info", scout_db)
    assert not [i for i in found["indicators"] if i["status"] == "unknown"], found["indicators"]
    assert "pos.inbox" in json.dumps(found["indicators"])
    assert [suspect["reason"] for suspect in found["suspects"]], found


def test_stuck_sessions_are_found_by_what_they_hold(scout_db: str) -> None:
    rename(scout_db)
    with lock_held(scout_db), connect(scout_db) as other:
        other.execute("BEGIN")
        other.execute('INSERT INTO pos."check" (event_id) VALUES (gen_random_uuid())')
        idle_for(scout_db, other.info.backend_pid, 0.001)
        found = ran("scout_terminate_sessions", scout_db, stuck_after_seconds=0.001, check=True)
    said = json.dumps(found)
    assert f"holds advisory key {NAMES['gold_lock']}" in said
    assert "writes pos.check" in said


def test_pause_and_resume(scout_db: str) -> None:
    rename(scout_db)
    before = jobs(scout_db)
    paused = ran("scout_ingestion", scout_db, state="paused")
    assert {row[1] for row in jobs(scout_db) if not row[4]} == {
        NAMES["load_job"],
        NAMES["link_job"],
        NAMES["refresh_job"],
    }
    assert paused["state"] == "paused"
    assert paused["switch"]["said"] == "permission denied for table job", (
        "as the role of the ETL's job, the renamed one was called"
    )
    ran("scout_ingestion", scout_db, state="running")
    assert jobs(scout_db) == before


def test_drain_and_refresh(scout_db: str) -> None:
    poison, good = arrive(scout_db, [sale(1, total_amount="abc"), sale(2)])
    rename(scout_db)
    drained = ran("scout_drain", scout_db, max_poison_share=1.0)
    assert [entry["event_id"] for entry in drained["poison"]] == [str(poison)]
    assert one(scout_db, "SELECT count(*) FROM pos.inbox_rejected") == 1
    assert one(scout_db, 'SELECT count(*) FROM pos."check" WHERE event_id = %s', good) == 1
    assert in_silver(scout_db, sale(2))
    before = one(scout_db, "SELECT clock_timestamp()")
    refreshed = ran("scout_refresh_gold", scout_db)
    assert {view["name"] for view in refreshed["views"]} == {"pos.mart_daily", "pos.mart_regions"}
    assert one(scout_db, UPDATED) > before
    assert ran("scout_health_info", scout_db)["verdict"] == "degraded"


def test_quarantine_and_its_undo(scout_db: str) -> None:
    [event] = loaded(scout_db, sale(1))
    [other] = loaded(scout_db, sale(1, net_amount=5.0))
    rename(scout_db)
    before = tables(scout_db)
    moved = ran("scout_quarantine", scout_db, event_ids=[str(event)])
    assert (moved["moved"]["transactions"], moved["requeued"]) == (1, 1)
    assert one(scout_db, "SELECT count(*) FROM pos.inbox WHERE event_id = %s", event) == 0
    assert one(scout_db, 'SELECT count(*) FROM pos."check" WHERE event_id = %s', other) == 0
    ran("scout_undo", scout_db, run_id=moved["run_id"])
    assert tables(scout_db) == before


@pytest.mark.parametrize("source", ["quarantine", "keep"])
def test_cleanup_and_its_undo(scout_db: str, source: str) -> None:
    loaded(scout_db, sale(1, total_amount=-5.0))
    rename(scout_db)
    before = tables(scout_db)
    own = {"name": "mine", "table": "receipt_line", "predicate": "l.quantity > 1000000", "action": "quarantine"}
    found = ran("scout_cleanup", scout_db, rules=[own], source_event=source, max_share=1.0)
    assert found["moved"]["transactions"] == 1
    assert in_silver(scout_db, sale(1)) == []
    ran("scout_undo", scout_db, run_id=found["run_id"])
    assert tables(scout_db) == before
    refused = call("scout_cleanup", scout_db, contract=NAMES, rules=[{**own, "table": "silver_line_items"}])
    assert "it must be one of receipt, receipt_line, inbox" in refused["msg"]


def test_redrive(scout_db: str) -> None:
    [event, poison] = loaded(scout_db, sale(1)) + arrive(scout_db, [sale(2, total_amount="abc")])
    rename(scout_db)
    before = tables(scout_db)
    ran("scout_drain", scout_db, max_poison_share=1.0)
    ran("scout_quarantine", scout_db, event_ids=[str(event)])
    back = ran("scout_redrive", scout_db, failed_from="2000-01-01T00:00:00Z", max_failures=10)
    assert back["redriven"] == 1, back
    assert in_silver(scout_db, sale(1)) == [sale(1)["total_amount"]]
    ran("scout_redrive", scout_db, event_ids=[str(poison)], repair={"total_amount": 7.5})
    assert in_silver(scout_db, sale(2)) == [7.5]
    assert rows(scout_db, "SELECT resolved_at IS NULL FROM pos.inbox_rejected") == [(False,), (False,)]
    assert tables(scout_db)["inbox"][0][0] == before["inbox"][0][0]


def test_window_recovery_and_its_undo(scout_db: str) -> None:
    [event] = loaded(scout_db, sale(1))
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.silver_transactions SET total_amount = 1 WHERE source_event_id = %s", [event])
        connection.execute("DELETE FROM scout.silver_transactions WHERE source_event_id <> %s", [event])
    rename(scout_db)
    before = tables(scout_db)
    window = {
        "window_start": (START - timedelta(days=2)).isoformat(),
        "window_end": (START + timedelta(hours=1)).isoformat(),
    }
    made = ran("scout_window_recovery", scout_db, **window)
    assert made["changed"]
    assert in_silver(scout_db, sale(1)) == [sale(1)["total_amount"]]
    assert one(scout_db, "SELECT count(*) FROM pos.receipt") > 1
    assert not ran("scout_window_recovery", scout_db, **window)["changed"]
    ran("scout_undo", scout_db, run_id=made["run_id"])
    assert tables(scout_db) == before


def test_gate_with_smoke_test(scout_db: str) -> None:
    rename(scout_db)
    judged = ran("scout_gate_info", scout_db, smoke=True)
    unnotified = [check for check in judged["checks"] if check["status"] not in ("pass", "ok")]
    assert (judged["verdict"], unnotified) == ("pass", []), unnotified
    with connect(scout_db) as connection:
        connection.execute("DROP VIEW pos.how_good")
        connection.execute('ALTER TABLE pos."check" RENAME COLUMN processed_at TO done_at')
    judged = ran("scout_gate_info", scout_db)
    [objects] = [check for check in judged["checks"] if check["name"] == "schema_objects"]
    assert "pos.how_good" in objects["reason"]


def test_a_release_of_it_comes_back(scout_db: str) -> None:
    rename(scout_db)
    ran("scout_capture", scout_db, release="v1")
    with connect(scout_db) as connection:
        connection.execute("DROP VIEW pos.how_good")
        connection.execute("ALTER TABLE pos.receipt ADD COLUMN note text")
    ran("scout_ingestion", scout_db, state="paused")
    restored = ran("scout_rollback", scout_db, release="v1", allow_lossy=True)
    assert restored["changed"]
    assert one(scout_db, "SELECT to_regclass('pos.how_good') IS NOT NULL")
    column = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'pos.receipt'::regclass AND attname = 'note' AND attnum > 0"
    )
    assert one(scout_db, column) == 0


def test_evidence(scout_db: str, tmp_path: Path) -> None:
    loaded(scout_db, sale(1, total_amount=-5.0))
    arrive(scout_db, [sale(2)])
    rename(scout_db)
    window = {"window_start": (START - timedelta(hours=1)).isoformat()}
    kept = ran("scout_evidence", scout_db, folder=str(tmp_path), **window)
    assert not kept["warnings"]
    found = {entry["file"]: entry["rows"] for entry in kept["files"]}
    assert found["pending_events.json"] == 1
    assert found["bad_transactions.json"] == 1
    assert found["tables.json"] > 5


def test_preflight_names_what_is_missing(scout_db: str) -> None:
    rename(scout_db)
    with operator(scout_db, without="member") as dsn:
        actions = ["pause", "drain", "refresh_gold", "cleanup", "gate", "smoke"]
        found = ran("scout_preflight_info", dsn, actions=actions, required=False)
        grants = " ".join(entry["grant"] for entry in found["missing"])
    assert "GRANT USAGE ON SCHEMA pos" in grants
    assert "GRANT DELETE ON pos.receipt_line" in grants
    assert 'MAINTAIN ON "pos"."mart_daily"' in grants


def test_the_report_of_an_incident(scout_db: str) -> None:
    arrive(scout_db, [sale(1, total_amount="abc")])
    rename(scout_db)
    ran("scout_drain", scout_db, incident="INC-1", max_poison_share=1.0)
    found = ran("scout_report_info", scout_db, incident="INC-1")
    assert (found["unknown"], found["impact"]["events"]) == ({}, 1)


def test_names_that_cannot_be_are_refused_before_anything_is_read(scout_db: str) -> None:
    result = call("scout_health_info", scout_db, contract={"bronz": "inbox"})
    assert (result["error"]["kind"], result["error"]["next_step"]) == ("bad_input", "write bronze")
