# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a quarantine takes along, what it leaves, and what becomes of transactions that several events feed."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import siblings
from tests.integration.modules import Result, call, connect, fingerprint, one, rows
from tests.integration.oracle import START, arrive, payloads_of
from tests.scout import planted
from tests.scout.fixtures import small

SEED = 70_707
AFTER = (START - timedelta(seconds=1)).isoformat()

DOCUMENT = """
SELECT original_payload, error_code, error_message, source_system, error_details FROM scout.bronze_events_dlq
WHERE error_details #>> '{event,event_id}' = %s
"""
#: A small reference, in whose schema public somebody lies in wait for every query of ours.
scout_template = small(120, prepare=planted.plant)


def quarantine(dsn: str, **options: Any) -> Result:
    """The result; no window unless one is given."""
    result = call("scout_quarantine", dsn, **options)
    assert not result.get("failed"), result["msg"]
    return result


sale = payloads_of(SEED)


def loaded(dsn: str, *payloads: dict[str, Any]) -> list[UUID]:
    """Events that the ETL has been through, one after another."""
    ids = arrive(dsn, payloads)
    call("scout_drain", dsn)
    return ids


def marked(dsn: str, event: UUID) -> bool:
    """Whether the ETL's ledger has the event."""
    return one(dsn, "SELECT count(*) FROM scout.etl_processed WHERE event_id = %s", event) == 1


def silver(dsn: str, payload: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Total and number of line items of a sale."""
    query = """SELECT total_amount, (SELECT count(*) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id)
               FROM scout.silver_transactions AS t WHERE transaction_id = %s"""
    return rows(dsn, query, payload["transaction_id"])


def test_an_event_takes_its_closure_along(scout_db: str) -> None:
    [event] = loaded(scout_db, sale(1))
    lines = silver(scout_db, sale(1))[0][1]
    # By the clock of the shops, which may have begun another day.
    day = one(scout_db, "SELECT date_key FROM scout.silver_transactions WHERE source_event_id = %s", event)
    result = quarantine(scout_db, event_ids=[str(event)], incident="INC-3")
    assert result["moved"] == {"events": 1, "ledger": 1, "transactions": 1, "lines": lines}
    [(payload, code, message, source, details)] = rows(scout_db, DOCUMENT, str(event))
    assert (payload, code, source) == (sale(1), "QUARANTINE", "edge")
    assert result["run_id"] in message
    expected = {"format": "scout-recovery/1", "kind": "quarantine", "run_id": result["run_id"], "incident": "INC-3"}
    assert {name: details[name] for name in expected} == expected
    assert details["transaction"]["transaction_id"] == payload["transaction_id"]
    assert (len(details["lines"]), details["ledger"]["event_id"]) == (lines, str(event))
    assert "requeued" not in details
    assert (silver(scout_db, sale(1)), marked(scout_db, event)) == ([], False)
    assert result["gold_days"] == [day.isoformat()]


def test_what_stays_is_loaded_again(scout_db: str) -> None:
    first, second = loaded(scout_db, sale(1), sale(1, total_amount=1.0, net_amount=1.0, items=[]))
    result = quarantine(scout_db, event_ids=[str(first)])
    assert result["requeued"] == 1
    assert "1 event of the same transactions went back to the queue" in result["summary"]
    assert (marked(scout_db, second), silver(scout_db, sale(1))) == (False, [])
    call("scout_drain", scout_db)
    assert [(float(total), count) for total, count in silver(scout_db, sale(1))] == [(1.0, 0)]


def test_an_event_that_was_not_loaded_takes_nothing_along(scout_db: str) -> None:
    loaded(scout_db, sale(1))
    before = silver(scout_db, sale(1))
    [pending] = arrive(scout_db, [sale(1, net_amount=1.0)])
    assert quarantine(scout_db, event_ids=[str(pending)])["moved"]["transactions"] == 0
    assert silver(scout_db, sale(1)) == before


def test_silver_that_lost_its_mark_goes_with_its_source(scout_db: str) -> None:
    [event] = loaded(scout_db, sale(1))
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.etl_processed WHERE event_id = %s", [event])
    assert quarantine(scout_db, event_ids=[str(event)])["moved"]["transactions"] == 1
    assert silver(scout_db, sale(1)) == []


#: What is no name of anything, and the name that is offered instead.
UNKNOWN: dict[str, tuple[dict[str, Any], str, str]] = {
    "a store": ({"stores": ["S-001", "S-NONE"]}, "stores: no store is named 'S-NONE'", "S-001"),
    "a source": (
        {"source_systems": ["pos-sink"]},
        "no source system is named 'pos-sink'",
        "there are pos-sync, backoffice, edge",
    ),
    "a type": (
        {"event_types": ["transaction.v2"]},
        "no event type is named 'transaction.v2'",
        "there are transaction.v1",
    ),
    "a transaction": ({"transactions": ["1-1"]}, "no transaction is named '1-1'", "1-0000"),
    "an event": (
        {"event_ids": ["00000000-0000-4000-8000-000000000000"]},
        "1 given id of no event: 00000000-",
        "correct",
    ),
}


def test_a_name_of_nothing_is_refused_with_those_that_there_are(scout_db: str, subtests: pytest.Subtests) -> None:
    with connect(scout_db) as connection:
        generator.insert(connection, sale(1, store_id="S-001"))
        generator.insert(connection, sale(2), source_system="backoffice")
    before = fingerprint(scout_db)
    for (what, (options, said, offered)), check in itertools.product(UNKNOWN.items(), (True, False)):
        with subtests.test(msg=f"{what}{' --check' * check}"):
            result = call("scout_quarantine", scout_db, check=check, **options)
            assert result["failed"]
            assert (result["error"]["kind"], said in result["msg"]) == ("bad_input", True), result["msg"]
            assert offered in result["error"]["next_step"]
            assert fingerprint(scout_db) == before


def test_what_was_moved_away_is_known_by_its_name(scout_db: str) -> None:
    """So the same command again changes nothing, and succeeds."""
    for options in ({"source_systems": ["pos-sync"]}, {"event_types": ["heartbeat.v1"]}):
        assert quarantine(scout_db, **options)["changed"]
        again = quarantine(scout_db, **options)
        assert (again["changed"], again["summary"]) == (False, "0 events match")


def test_events_are_selected_by_their_file_where_bronze_has_it(scout_db: str) -> None:
    files = {"source_files": ["a.zip"]}
    before = fingerprint(scout_db)
    refused = call("scout_quarantine", scout_db, **files)
    assert (refused["error"]["kind"], fingerprint(scout_db)) == ("bad_input", before)
    assert "source_files 'a.zip' cannot be selected" in refused["msg"]
    assert "has no column source_file" in refused["msg"]
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.bronze_events ADD COLUMN source_file text")
        one_of_it = generator.insert(connection, sale(1), ingested_at=START)
        generator.insert(connection, sale(2), ingested_at=START)
        connection.execute("UPDATE scout.bronze_events SET source_file = 'a.zip' WHERE event_id = %s", (one_of_it,))
    unknown = call("scout_quarantine", scout_db, source_files=["b.zip"])
    assert "source_files: no source file is named 'b.zip'" in unknown["msg"]
    assert unknown["error"]["next_step"] == "there are a.zip"
    made = quarantine(scout_db, **files)
    assert (made["moved"]["events"], made["narrowed"]) == (1, files)
    assert quarantine(scout_db, **files)["summary"] == "0 events match"
    call("scout_undo", scout_db, run_id=made["run_id"])
    assert rows(scout_db, "SELECT source_file FROM scout.bronze_events WHERE source_file IS NOT NULL") == [("a.zip",)]


@pytest.mark.parametrize("is_loaded", [True, False], ids=["loaded", "pending"])
def test_a_correction_that_came_after_the_scan(scout_db: str, monkeypatch: pytest.MonkeyPatch, is_loaded: bool) -> None:
    """A slow writer's event lies inside the window; the older event of its transaction is not selected and not in the notes.

    Where the correction has fed silver, the older event goes back to the queue; else silver and its mark stay as they are.
    """
    [older] = loaded(scout_db, sale(1))
    middle: datetime = START + timedelta(seconds=10)
    arrive(scout_db, [sale(2)], start=middle)
    call("scout_drain", scout_db)
    scan = siblings.RelatedEvents.scan
    late: list[UUID] = []

    def scan_then_arrive(*arguments: Any, **options: Any) -> None:
        scan(*arguments, **options)
        late.extend(arrive(scout_db, [sale(1, net_amount=1.0)], start=middle + timedelta(seconds=1)))
        with connect(scout_db) as connection:
            connection.execute("SELECT scout.load_silver_from_bronze(%s)", [100 if is_loaded else 0])

    monkeypatch.setattr(siblings.RelatedEvents, "scan", scan_then_arrive)
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.bronze_events WHERE ingested_at > %s", [middle + timedelta(seconds=5)])
    result = quarantine(scout_db, window_start=middle.isoformat())
    assert len(rows(scout_db, DOCUMENT, str(late[0]))) == 1
    assert (result["requeued"], marked(scout_db, older)) == (int(is_loaded), not is_loaded)
    call("scout_drain", scout_db)
    assert len(silver(scout_db, sale(1))) == 1


def test_a_file_of_ids(scout_db: str, tmp_path: Path) -> None:
    ids = [str(row[0]) for row in rows(scout_db, "SELECT event_id FROM scout.bronze_events LIMIT 3")]
    listed = tmp_path / "ids.txt"
    unknown = "00000000-0000-4000-8000-000000000000"
    listed.write_text("# from the ticket\n\n" + "\n".join([*ids, unknown]) + "\n")
    result = quarantine(scout_db, event_ids_file=str(listed))
    assert (result["moved"]["events"], result["not_found"]) == (3, {"count": 1, "ids": [unknown]})
    listed.write_text("nonsense\n")
    assert "'nonsense' is not an event id" in call("scout_quarantine", scout_db, event_ids_file=str(listed))["msg"]
    listed.write_text("# nothing\n")
    assert "names no event" in call("scout_quarantine", scout_db, event_ids_file=str(listed))["msg"]
