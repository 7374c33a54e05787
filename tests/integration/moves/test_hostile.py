# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Moves of data, windows and databases that nobody thought of: the rows return exactly as they were, or nothing happens."""

from __future__ import annotations

import json
import random
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import Result, call, connect, fingerprint, one, rows
from tests.integration.oracle import arrive, payloads_of
from tests.integration.outcomes import ran, refused, scout_tables
from tests.scout.fixtures import small

SEED = 90_210
EVERYTHING = {"window_start": "2000-01-01T00:00:00Z"}
#: A small reference: every test moves all of it or nothing.
scout_template = small(120)
sale = payloads_of(SEED)


def loaded(dsn: str, payloads: list[Any], **when: Any) -> list[UUID]:
    """Events that the ETL has been through."""
    ids = arrive(dsn, payloads, **when)
    ran("scout_drain", dsn)
    return ids


def there_and_back(dsn: str, **options: Any) -> Result:
    """Quarantined, and by an undo every row of every table is as it was; returns the quarantine."""
    before, written = scout_tables(dsn), bronze(dsn)
    away = ran("scout_quarantine", dsn, **options)
    assert away["changed"]
    assert where(dsn, written) == ZERO
    assert silver_is_what_bronze_makes(dsn) == {}
    back = ran("scout_undo", dsn, run_id=away["run_id"])
    assert (back["changed"], scout_tables(dsn)) == (True, before)
    return away


def gone(dsn: str, ids: list[UUID]) -> list[bool]:
    """Which of these events are no longer in bronze."""
    left = set(bronze(dsn))
    return [event not in left for event in ids]


# --- payloads


PAYLOADS: dict[str, Any] = {
    "one megabyte": sale(1, note="läng " * 200_000),
    "every alphabet": sale(
        2, note="ñ 日本語 עברית 🛒👩‍👩‍👧 \u202e\u0001\u007f\ufffe'\"\\%s%(x)s{}$$ -- ; DROP TABLE", transaction_id="Ñ'%s\"🛒"
    ),
    "numbers": sale(3, big=10**40, small=1e-300, zeros=1.50, minus=-0.0, deep={"a": [[[[None]]]]}),
    "empty keys": sale(4, **{"": "", " ": None, "a.b": {}, "$": []}),
    "array": [sale(5)],
    "scalar": "sale",
    "null": None,
    "false": False,
    "no transaction": sale(6, transaction_id=...),
    "empty transaction": sale(7, transaction_id=""),
    "numeric transaction": sale(8, transaction_id=8),
    "object transaction": sale(9, transaction_id={"id": 9}),
    "nan": sale(10, total_amount="NaN", net_amount="NaN"),
    "no items": sale(11, items=[]),
    "deep": json.loads("[" * 500 + "]" * 500),
}  # fmt: skip


def test_payloads_of_every_kind_come_back_as_they_were(scout_db: str) -> None:
    ids = loaded(scout_db, list(PAYLOADS.values()))
    assert there_and_back(scout_db, event_ids=[*map(str, ids)])["moved"]["events"] == len(PAYLOADS)
    assert there_and_back(scout_db, **EVERYTHING)["moved"]["events"] == 120 + len(PAYLOADS)


def test_a_payload_of_each_kind_is_redriven_exactly(scout_db: str, subtests: pytest.Subtests) -> None:
    ids = loaded(scout_db, list(PAYLOADS.values()))
    written = bronze(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=[*map(str, ids)])
    back = ran("scout_redrive", scout_db, run_id=away["run_id"])
    now = bronze(scout_db)
    for kind, event in zip(PAYLOADS, ids, strict=True):
        with subtests.test(msg=kind):
            assert now[event] == written[event]
    assert (back["redriven"], now) == (len(PAYLOADS), written)
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}


def test_what_the_etl_cannot_load_is_moved_and_comes_back(scout_db: str) -> None:
    ids = [library.poison_event(scout_db, kind)[0] for kind in poison_payloads.KINDS]
    before = scout_tables(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=[*map(str, ids)])
    assert (away["moved"]["events"], gone(scout_db, ids)) == (len(ids), [True] * len(ids))
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before


def test_a_transaction_that_many_events_feed_is_rebuilt_from_what_remains(scout_db: str) -> None:
    first = sale(1)
    ids = loaded(scout_db, [first, *[first | {"net_amount": n, "items": first["items"][: n % 2]} for n in range(30)]])
    before, written = scout_tables(scout_db), bronze(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=[str(ids[0]), str(ids[7])])
    assert (away["moved"]["events"], away["requeued"]) == (2, 29)
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert where(scout_db, written) == ZERO
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before


# --- windows


def hours(first: datetime, count: int) -> list[datetime]:
    return [first + timedelta(hours=number) for number in range(count)]


@pytest.mark.parametrize(
    ("day", "length"), [("2025-10-26", 25), ("2025-03-30", 23), ("2025-06-15", 24)], ids=["autumn", "spring", "summer"]
)
def test_a_local_day_has_as_many_hours_as_the_clocks_say(scout_db: str, day: str, length: int) -> None:
    first = datetime.fromisoformat(f"{day}T00:00:00Z") - timedelta(hours=6)
    ids = arrive(scout_db, [sale(n) for n in range(36)], start=first, step_seconds=3600)
    window = {"window_start": f"{day}T00:00:00", "window_end": f"{day[:-2]}{int(day[-2:]) + 1}T00:00:00"}
    away = ran("scout_quarantine", scout_db, **window, time_zone="Europe/Berlin")
    with psycopg.connect(scout_db) as berlin:
        # PGTZ would have precedence over an option of the connection.
        berlin.execute("SET TimeZone = 'Europe/Berlin'")
        inside = berlin.execute(
            "SELECT %s::timestamptz <= at AND at < %s::timestamptz FROM unnest(%s::timestamptz[]) AS at",
            [*window.values(), hours(first, 36)],
        ).fetchall()
    assert gone(scout_db, ids) == [row[0] for row in inside]
    assert away["moved"]["events"] == length


@pytest.mark.parametrize(
    ("local", "why"), [("2025-10-26T02:30:00", "twice"), ("2025-03-30T02:30:00", "never")], ids=["twice", "never"]
)
def test_a_local_time_that_exists_twice_or_never_is_refused(scout_db: str, local: str, why: str) -> None:
    for bound in ("window_start", "window_end"):
        window = {"window_start": "2025-01-01", "window_end": "2026-01-01"} | {bound: local}
        result = refused("scout_quarantine", scout_db, **window, time_zone="Europe/Berlin")
        assert result["error"]["kind"] == "bad_input"
        assert all(word in result["msg"] for word in (bound, local, why, "Europe/Berlin"))


def test_a_transaction_id_too_long_for_an_index(scout_db: str) -> None:
    """The ETL cannot load it either: silver has an index on it."""
    name = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789-", k=8200))
    with connect(scout_db) as connection:
        ids = [str(generator.insert(connection, sale(n, transaction_id=name))) for n in (1, 2)]
        ids.append(str(generator.insert(connection, sale(3))))
    before = scout_tables(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=ids)
    moved = scout_tables(scout_db)
    back = ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before
    again = ran("scout_undo", scout_db, run_id=back["run_id"])
    assert scout_tables(scout_db) == moved
    ran("scout_undo", scout_db, run_id=again["run_id"])
    assert scout_tables(scout_db) == before
    away = ran("scout_quarantine", scout_db, event_ids=ids)
    tried = ran("scout_redrive", scout_db, run_id=away["run_id"], max_failures=5)
    assert (tried["redriven"], tried["effects"]["failed"]) == (1, 2)
    assert rows(scout_db, "SELECT count(*) FROM scout_ops.related_events") == [(0,)]


def test_an_empty_window_changes_nothing(scout_db: str) -> None:
    before = fingerprint(scout_db)
    for window in (
        {"window_start": "2001-01-01T00:00:00Z", "window_end": "2001-01-02T00:00:00Z"},
        {"window_start": "2001-01-01T00:00:00Z", "window_end": "2001-01-01T00:00:00Z"},
    ):
        for check in (True, False):
            result = ran("scout_quarantine", scout_db, check=check, **window)
            assert (result["changed"], result["run_id"], set(result["moved"].values())) == (False, None, {0})
    assert fingerprint(scout_db) == before


WRONG: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "reversed": (
        {"window_start": "2026-01-02T00:00:00Z", "window_end": "2026-01-01T08:00:00+08:00"},
        ("window_start", "2026-01-02T00:00:00Z", "window_end", "2026-01-01T08:00:00+08:00"),
    ),
    "naive": ({"window_start": "2026-01-02T00:00:00"}, ("window_start", "2026-01-02T00:00:00", "time_zone")),
    "naive end": ({"window_start": "2026-01-02T00:00:00Z", "window_end": "2026-01-03"}, ("window_end", "time_zone")),
    "unknown zone": ({"window_start": "2026-01-02T00:00", "time_zone": "Asia/Manilla"}, ("time_zone", "Asia/Manilla")),
    "no time": ({"window_start": "yesterday"}, ("window_start", "yesterday")),
    "no such day": ({"window_start": "2026-02-30T00:00:00Z"}, ("window_start", "2026-02-30")),
    "beyond python": ({"window_start": "10000-01-01T00:00:00Z"}, ("window_start", "10000")),
    "injected": ({"window_start": "2026-01-01'; DROP TABLE scout.alerts; --"}, ("window_start", "DROP TABLE")),
    "no id": ({"event_ids": ["17"]}, ("event_ids", "17")),
    "no file": ({"event_ids_file": "/nonexistent/ids"}, ("event_ids_file", "/nonexistent/ids")),
    "no path": ({"payload_path": "$.total_amount <"}, ("payload_path",)),
    "nothing selected": ({}, ("window_start",)),
    "empty lists": ({"event_ids": [], "stores": []}, ("window_start",)),
    "a NUL in a source": ({"source_systems": ["ed\0ge"]}, ("source_systems",)),
    "a NUL in a path": ({"payload_path": "$.a\0"}, ("payload_path",)),
    "a NUL in a time": ({"window_start": "2026-01-01T00:00:00Z\0"}, ("window_start",)),
    "a NUL in a zone": ({"window_start": "2026-01-01T00:00:00", "time_zone": "Asia/\0Manila"}, ("time_zone",)),
    "a surrogate": ({"transactions": ["\ud800"]}, ("transactions",)),
    "no rows": ({**EVERYTHING, "max_rows": -1}, ("max_rows", "-1")),
    "no ledger": ({**EVERYTHING, "ledger": "off"}, ("ledger=off",)),
}


def test_what_makes_no_sense_is_refused_by_name(scout_db: str, subtests: pytest.Subtests) -> None:
    before = fingerprint(scout_db)
    for wrong, (options, words) in WRONG.items():
        with subtests.test(msg=wrong):
            result = call("scout_quarantine", scout_db, **options)
            assert result["failed"]
            assert result["error"]["kind"] == "bad_input", result["msg"]
            assert [word for word in words if word not in result["msg"]] == []
            assert fingerprint(scout_db) == before


SELECTED: dict[str, tuple[dict[str, Any], str]] = {
    "quotes in a source": ({"source_systems": ["o'b\"%s%(start)s;--"]}, "source_system = 'o''b\"%s%(start)s;--'"),
    "a path with a wildcard": ({"payload_path": "$.items[*] ? (@.qty > 3)"}, """event_data @? '$.items[*] ? (@.qty > 3)'"""),
    "a path with a predicate": ({"payload_path": "$.total_amount > 100"}, """event_data @@ '$.total_amount > 100'"""),
    "a path that finds false": ({"payload_path": "$.handshake_triggered"}, "event_data ? 'handshake_triggered'"),
    "a strict path": ({"payload_path": "strict $.items[0].qty"}, """event_data @? 'strict $.items[0].qty'"""),
    "a negated path": ({"payload_path": "!($.total_amount > 100)"}, """event_data @@ '!($.total_amount > 100)'"""),
    "a path that asks": ({"payload_path": "exists($.campaign_id)"}, "event_data ? 'campaign_id'"),
    "a store": ({"stores": ["S-001"]}, "event_data ->> 'store_id' = 'S-001'"),
    "two kinds": (
        {"stores": ["S-001"], "event_types": ["heartbeat.v1"]},
        "event_data ->> 'store_id' = 'S-001' AND event_type = 'heartbeat.v1'",
    ),
    "a transaction": ({"transactions": [f"{SEED}-00000001"]}, f"event_data ->> 'transaction_id' = '{SEED}-00000001'"),
    "a type": ({"event_types": ["heartbeat.v1", "inventory.count.v1"]}, "event_type IN ('heartbeat.v1', 'inventory.count.v1')"),
}  # fmt: skip


def test_exactly_what_is_selected_moves(scout_db: str, subtests: pytest.Subtests) -> None:
    with connect(scout_db) as connection:
        generator.insert(connection, sale(1), source_system="o'b\"%s%(start)s;--")
        generator.insert(connection, {"store_id": "S-001"}, event_type="inventory.count.v1")
        generator.insert(connection, {"store_id": "S-001", "b": 1}, event_type="heartbeat.v1")
    ran("scout_drain", scout_db)
    before = bronze(scout_db)
    for selected, (options, condition) in SELECTED.items():
        with subtests.test(msg=selected):
            expected = {row[0] for row in rows(scout_db, f"SELECT event_id FROM scout.bronze_events WHERE {condition}")}
            assert 0 < len(expected) < 123
            away = ran("scout_quarantine", scout_db, **options)
            left = bronze(scout_db)
            ran("scout_undo", scout_db, run_id=away["run_id"])
            assert (set(before) - set(left), bronze(scout_db)) == (expected, before)
            assert away["moved"]["events"] == len(expected)


# --- sent once more


def sent_again(dsn: str, payload: dict[str, Any]) -> tuple[Result, UUID, UUID]:
    """A quarantine, its event, and the same event as its store sent it once more, under another id and loaded."""
    [event] = loaded(dsn, [payload])
    away = ran("scout_quarantine", dsn, event_ids=[str(event)])
    [twin] = loaded(dsn, [payload])
    return away, event, twin


def test_an_event_that_was_sent_again_stands_against_an_undo(scout_db: str) -> None:
    away, event, twin = sent_again(scout_db, sale(1))
    result = refused("scout_undo", scout_db, run_id=away["run_id"])
    assert str(twin) in json.dumps(result["conflicts"])
    kept = ran("scout_undo", scout_db, run_id=away["run_id"], on_conflict="keep_current")
    assert (set(bronze(scout_db)) & {event, twin}) == {twin}
    assert silver_is_what_bronze_makes(scout_db) == {}
    ran("scout_undo", scout_db, run_id=kept["run_id"])
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq WHERE resolved_at IS NULL") == 1


def test_an_undo_that_restores_replaces_what_was_sent_again_and_can_be_undone(scout_db: str) -> None:
    away, event, twin = sent_again(scout_db, sale(1))
    before = scout_tables(scout_db)
    restored = ran("scout_undo", scout_db, run_id=away["run_id"], on_conflict="restore")
    assert (set(bronze(scout_db)) & {event, twin}) == {event}
    assert silver_is_what_bronze_makes(scout_db) == {}
    ran("scout_undo", scout_db, run_id=restored["run_id"])
    assert scout_tables(scout_db) == before


BY_HAND = """
INSERT INTO scout.silver_transactions
    (transaction_id, store_id, ts, date_key, total_amount, net_amount, item_count, unique_products, basket_size)
VALUES (%s, 'S-HAND', now(), current_date, 1, 1, 1, 1, 1)
"""


@pytest.mark.parametrize("was", ["loaded", "pending"])
def test_a_row_made_by_hand_meanwhile_survives_every_undo(scout_db: str, was: str) -> None:
    with connect(scout_db) as connection:
        event = str(generator.insert(connection, sale(1)))
        if was == "loaded":
            connection.execute("SELECT scout.load_silver_from_bronze(10)")
        away = ran("scout_quarantine", scout_db, event_ids=[event])
        connection.execute(BY_HAND, [sale(1)["transaction_id"]])
    hand = "SELECT t::text FROM scout.silver_transactions AS t WHERE store_id = 'S-HAND'"
    [row] = rows(scout_db, hand)
    before = scout_tables(scout_db)
    assert "transactions" in json.dumps(refused("scout_undo", scout_db, run_id=away["run_id"])["conflicts"])
    kept = ran("scout_undo", scout_db, run_id=away["run_id"], on_conflict="keep_current")
    assert rows(scout_db, hand) == [row]
    again = ran("scout_undo", scout_db, run_id=kept["run_id"])
    assert scout_tables(scout_db) == before
    ran("scout_undo", scout_db, run_id=again["run_id"], on_conflict="refuse" if was == "loaded" else "keep_current")
    assert rows(scout_db, hand) == [row]
    if was == "pending":
        # Loaded into it: neither the row nor what came from the event can be told from the other.
        with connect(scout_db) as connection:
            connection.execute("SELECT scout.load_silver_from_bronze(10)")
        redone = rows(
            scout_db, "SELECT run_id::text FROM scout_ops.runs WHERE action = 'undo' ORDER BY started_at DESC LIMIT 1"
        )[0][0]
        said = refused("scout_undo", scout_db, run_id=redone)
        assert "was not made from an event in bronze" in json.dumps(said["conflicts"])


# --- the dead letters of others

OTHERS = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details) VALUES
    ('{}', 'EDGE', '', NULL), ('null', 'EDGE', '', '[]'), ('[]', 'EDGE', '', '"text"'), ('1', 'EDGE', '', '5'), ('{}', 'EDGE', '', 'null'),
    ('{"transaction_id": "T"}', 'EDGE', '', '{"event": 5}'), ('{}', 'EDGE', '', '{"event": {"event_id": 7}}'),
    ('{}', 'EDGE', '', '{"event": [], "run_id": 5, "kind": "quarantine"}'), ('{}', 'EDGE', '', '{"format": 1}'),
    ('{}', 'EDGE', '', '{"format": "scout-recovery/1"}'), ('{}', 'EDGE', '', '{"format": "scout-recovery/2", "kind": "quarantine"}'),
    ('{}', 'EDGE', '', '{"format": "scout-recovery/1", "kind": "quarantine", "run_id": "x", "event": "gone"}'),
    ('{}', 'EDGE', '', '{"format": "scout-recovery/1", "kind": "quarantine", "event": {"event_id": "x"}, "lines": 3, "ledger": []}'),
    ('{}', 'EDGE', '', '{"rules": {"a": 1}, "transaction": {"transaction_id": null}, "incident": ["INC-1"]}')
"""
THEIRS = "SELECT d::text FROM scout.bronze_events_dlq AS d WHERE error_code = 'EDGE' ORDER BY 1"


def test_dead_letters_of_other_systems_are_left_alone(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(OTHERS)
    theirs = rows(scout_db, THEIRS)
    loaded(scout_db, [sale(1), sale(2, total_amount=-5)])
    before = scout_tables(scout_db)
    away = ran("scout_quarantine", scout_db, **EVERYTHING, incident="INC-1")
    ran("scout_undo", scout_db, run_id=away["run_id"], check=True)
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before
    cleaned = ran("scout_cleanup", scout_db, max_share=1.0)
    ran("scout_redrive", scout_db, of_incident="INC-1")
    ran("scout_redrive", scout_db, run_id=cleaned["run_id"])
    assert rows(scout_db, THEIRS) == theirs
    asked = call("scout_redrive", scout_db, error_codes=["EDGE"], check=True)
    assert len(asked["not_rebuildable"]) == len(theirs)
    assert rows(scout_db, THEIRS) == theirs
