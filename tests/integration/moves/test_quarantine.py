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

from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle as drilled
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


def test_payloads_that_are_no_sale(scout_db: str, subtests: pytest.Subtests) -> None:
    payloads: list[Any] = [[1, 2], "text", 4711, None, {"transaction_id": None}, {}]
    with connect(scout_db) as connection:
        ids = [generator.insert(connection, payload, ingested_at=START) for payload in payloads]
    result = quarantine(scout_db, event_ids=[*map(str, ids)])
    assert result["moved"]["events"] == len(payloads)
    letters = [rows(scout_db, DOCUMENT, str(event)) for event in ids]
    assert not call("scout_undo", scout_db, run_id=result["run_id"]).get("failed")
    for payload, event, [letter] in zip(payloads, ids, letters, strict=True):
        with subtests.test(msg=str(payload)):
            assert letter[0] == payload
            assert one(scout_db, "SELECT event_data FROM scout.bronze_events WHERE event_id = %s", event) == payload


SELECTED = {
    "by store": ({"stores": ["S-A"]}, [1]),
    "by type": ({"event_types": ["other.v1"]}, [3]),
    "by source": ({"source_systems": ["pos-x"]}, [2]),
    "by transaction": ({"transactions": [f"{SEED}-00000001"]}, [1]),
    "by two kinds": ({"stores": ["S-A", "S-B"], "source_systems": ["pos-x"]}, [2]),
    "by a predicate": ({"payload_path": "$.total_amount < 0"}, [2]),
    "by a filter": ({"payload_path": "$.items[*] ? (@.qty > 99)"}, [1]),
    "by a path that finds false": ({"payload_path": "$.flag"}, [2]),
    "by a strict path": ({"payload_path": "strict $.flag"}, [2]),
    "by a window": ({"window_start": START.isoformat(), "window_end": (START + timedelta(seconds=1)).isoformat()}, [1]),
    "by the other clock": ({"clock": "event_ts", "window_end": START.isoformat()}, [3]),
    "by nothing there": ({"stores": ["S-A"], "source_systems": ["pos-x"]}, []),
}


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


@pytest.mark.parametrize("how", SELECTED)
def test_what_is_selected(scout_db: str, how: str) -> None:
    options, expected = SELECTED[how]
    item = {"product_id": "P-1", "qty": 100, "unit_price": 1, "line_amount": 100}
    with connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.bronze_events")
        made = [
            generator.insert(connection, sale(1, store_id="S-A", items=[item]), ingested_at=START),
            generator.insert(
                connection,
                sale(2, store_id="S-B", total_amount=-5, flag=False),
                ingested_at=START + timedelta(seconds=1),
                source_system="pos-x",
            ),
            generator.insert(connection, {"n": 3}, ingested_at=START + timedelta(seconds=2), event_type="other.v1"),
        ]
        connection.execute("UPDATE scout.bronze_events SET event_ts = '2020-01-01+00' WHERE event_type = 'other.v1'")
    planned = quarantine(scout_db, check=True, **options)
    assert planned["moved"]["events"] == len(expected)
    narrowed = planned["narrowed"]
    assert narrowed == quarantine(scout_db, **options)["narrowed"]
    assert narrowed.keys() == options.keys() - {"window_start", "window_end", "clock"}
    # A path comes back as PostgreSQL writes it.
    assert {name: value for name, value in narrowed.items() if name != "payload_path"} == {
        name: options[name] for name in narrowed if name != "payload_path"
    }
    gone = {
        row[0] for row in rows(scout_db, "SELECT error_details #>> '{event,event_id}' FROM scout.bronze_events_dlq")
    }
    assert gone == {str(made[number - 1]) for number in expected}


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


UNUSABLE: list[tuple[dict[str, Any], str]] = [
    ({}, "refused to select everything"),
    ({"window_start": "2026-11-25T01:00"}, "window_start '2026-11-25T01:00' has no offset"),
    ({"window_start": "2026-11-25T02:00Z", "window_end": "2026-11-25T01:00Z"}, "the window ends before it starts"),
    ({"window_start": "yesterday"}, "window_start 'yesterday' is not a time"),
    ({"window_start": "2026-11-25T01:00", "time_zone": "Mars/Olympus"}, "time_zone 'Mars/Olympus' is not known"),
    ({"window_start": "2026-10-25T02:30", "time_zone": "Europe/Berlin"}, "exists twice in Europe/Berlin"),
    ({"window_start": "2026-03-29T02:30", "time_zone": "Europe/Berlin"}, "exists never in Europe/Berlin"),
    ({"event_ids": ["4711"]}, "event_ids: '4711' is not an event id"),
    ({"event_ids_file": "/nowhere/ids"}, "could not read event_ids_file /nowhere/ids: No such file"),
    ({"payload_path": "$.total <"}, "payload_path '$.total <' is not a JSON path: syntax error"),
    ({"stores": ["S-1"], "max_rows": -1}, "max_rows -1 is not usable"),
    ({"stores": ["S-1"], "ledger": "off"}, "refused to move data with ledger=off"),
    ({"window_start": "2000-01-01T00:00Z", "max_rows": 5}, "refused to move 120 events: max_rows is 5"),
]


def test_what_cannot_be_used_is_named_and_changes_nothing(scout_db: str, subtests: pytest.Subtests) -> None:
    before = fingerprint(scout_db)
    for (options, said), check in itertools.product(UNUSABLE, (True, False)):
        with subtests.test(msg=f"{options}{' --check' * check}"):
            refused = call("scout_quarantine", scout_db, check=check, **options)
            assert refused["failed"]
            assert said in refused["msg"]
            assert refused["error"]["next_step"]
            assert fingerprint(scout_db) == before


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


def test_the_oracle_of_a_drill_knows_an_event_whose_columns_follow_from_others(scout_db: str) -> None:
    """What is generated is not kept with a dead letter, and that is no alteration."""
    with connect(scout_db) as connection:
        connection.execute(
            """ALTER TABLE scout.bronze_events ADD size int GENERATED ALWAYS AS (octet_length(event_data::text)) STORED,
                   ADD "the Tag" text NOT NULL DEFAULT 'a, "b"'"""
        )
    [event] = loaded(scout_db, sale(1))
    written = drilled.bronze(scout_db)
    quarantine(scout_db, event_ids=[str(event)])
    assert drilled.where(scout_db, written) == drilled.ZERO
    with connect(scout_db) as connection:
        connection.execute(
            'UPDATE scout.bronze_events_dlq SET original_payload = original_payload || \'{"store_id": "x"}\''
        )
    assert drilled.where(scout_db, written).altered == {event}
