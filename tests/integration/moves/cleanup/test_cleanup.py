# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What violates a rule moves once, whole and with all names, or nothing moves; and all of it comes back exactly."""

from __future__ import annotations

import threading
from typing import Any
from uuid import UUID

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.storm import Storm
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import Result, call, connect, executed, fingerprint, one, rows, run
from tests.integration.oracle import arrive
from tests.integration.outcomes import ran, refused, scout_tables
from tests.scout.fixtures import small

SEED = 40_404
CLEANUP = "scout_cleanup"
SOURCES = """
SELECT original_payload ->> 'transaction_id', error_details -> 'event' ->> 'event_id' FROM scout.bronze_events_dlq
"""
BOTH = pytest.mark.parametrize("source_event", ["quarantine", "keep"])
MINE = {"name": "mine", "table": "silver_transactions", "predicate": "t.total_amount > 5", "action": "quarantine"}
scout_template = small(120)


def sale(number: int, **fields: Any) -> dict[str, Any]:
    """The payload of a sale nobody made before."""
    return generator.transaction(SEED, number, **fields)


def loaded(dsn: str, *payloads: dict[str, Any]) -> list[str]:
    """Ids of events that the ETL has been through, one after the other."""
    ids: list[UUID] = []
    for payload in payloads:
        ids += arrive(dsn, [payload])
        run(dsn, "SELECT scout.load_silver_from_bronze(NULL)")
    return [*map(str, ids)]


def spoil(dsn: str, condition: str) -> None:
    """Makes sales wrong in silver as their events now say they are: each has a total of -1."""
    sold = f"SELECT source_event_id FROM scout.silver_transactions WHERE {condition}"
    run(
        dsn,
        f"UPDATE scout.bronze_events SET event_data = event_data || '{{\"total_amount\": -1}}' WHERE event_id IN ({sold})",
        f"UPDATE scout.silver_transactions SET total_amount = -1 WHERE {condition}",
    )


def prune(dsn: str, *events: str) -> None:
    """Deletes old events, as a deployment may: silver is all there is of these sales."""
    with connect(dsn) as connection:
        connection.execute("DELETE FROM scout.bronze_events WHERE event_id = ANY(%s::uuid[])", [[*events]])


def there(dsn: str, *transactions: str) -> list[str]:
    """Which of these sales silver has."""
    query = "SELECT transaction_id FROM scout.silver_transactions WHERE transaction_id = ANY(%s) ORDER BY 1"
    return [row[0] for row in rows(dsn, query, list(transactions))]


def items(dsn: str, result: Result) -> list[tuple[Any, ...]]:
    """The dead letters of a run: code, names of rules, sale, event."""
    query = """
        SELECT error_code, error_details -> 'rules', error_details -> 'transaction' ->> 'transaction_id',
               error_details -> 'event' ->> 'event_id'
        FROM scout.bronze_events_dlq WHERE error_details ->> 'run_id' = %s ORDER BY 3, 4
    """
    return rows(dsn, query, result["run_id"])


def found(result: Result) -> dict[str, tuple[int, int]]:
    """Violations and moves by rule, of the rules that were violated."""
    return {rule["name"]: (rule["violations"], rule["moved"]) for rule in result["rules"] if rule["violations"]}


def undone_exactly(dsn: str, result: Result, before: dict[str, Any], written: dict[UUID, str]) -> None:
    """A run, its undo and the undo of that leave the tables as they were."""
    after = scout_tables(dsn)
    assert where(dsn, written) == ZERO
    back = ran("scout_undo", dsn, run_id=result["run_id"])
    assert scout_tables(dsn) == before
    ran("scout_undo", dsn, run_id=back["run_id"])
    assert scout_tables(dsn) == after
    ran("scout_undo", dsn, run_id=result["run_id"])
    assert scout_tables(dsn) == before


def test_a_healthy_pipeline_is_left_alone(scout_db: str) -> None:
    before = fingerprint(scout_db)
    for result in (
        call(CLEANUP, scout_db, check=True),
        call(CLEANUP, scout_db),
        executed(CLEANUP, scout_db),
    ):
        # Ansible leaves them out where an executed module gives none.
        assert (result["changed"], result["run_id"], result.get("warnings", [])) == (False, None, [])
        assert result["summary"].startswith("no row violates a rule that moves it")
        assert result["report"]["moving"]["transactions"] == 0
    assert fingerprint(scout_db) == before


@BOTH
def test_what_the_runbook_means_moves_and_comes_back(scout_db: str, source_event: str) -> None:
    negative, empty = library.negative_totals(scout_db), library.empty_baskets(scout_db, count=2)
    before, written = scout_tables(scout_db), bronze(scout_db)
    options = {"source_event": source_event, "incident": "INC-7"}
    planned = call(CLEANUP, scout_db, check=True, **options)
    assert scout_tables(scout_db) == before
    result = ran(CLEANUP, scout_db, **options)
    events = 5 if source_event == "quarantine" else 0
    assert result["changed"]
    assert result["moved"]["events"] == result["moved"]["ledger"] == events
    assert result["moved"]["transactions"] == 5
    assert result["moved"]["lines"] > 0
    assert (result["requeued"], result["warnings"]) == (0, [])
    assert found(result) == {"negative_total": (3, 3), "empty_basket": (2, 2), "lines_do_not_add_up": (3, 3)}
    for key in ("moved", "requeued", "rules", "gold_days", "report", "window", "range"):
        assert planned[key] == result[key], key
    lines = result["moved"]["lines"]
    head = "5 events, 5 transactions" if events else "5 transactions"
    assert (
        f"moved {head}, {lines} line items: negative_total 3, empty_basket 2, lines_do_not_add_up 3"
        in result["summary"]
    )
    assert planned["summary"].startswith(result["summary"].partition(" (")[0].replace("moved", "would move"))
    ids = dict(rows(scout_db, SOURCES))
    assert items(scout_db, result) == sorted(
        [
            *(("INVALID_AMOUNTS", ["negative_total", "lines_do_not_add_up"], name, ids[name]) for name in negative),
            *(("INVALID_AMOUNTS", ["empty_basket"], name, ids[name]) for name in empty),
        ],
        key=lambda item: item[2],
    )  # fmt: skip
    assert rows(scout_db, "SELECT DISTINCT error_details ->> 'kind', error_details ->> 'incident' FROM scout.bronze_events_dlq") == [
        ("cleanup", "INC-7")
    ]  # fmt: skip
    assert there(scout_db, *negative, *empty) == []
    again = ran(CLEANUP, scout_db, **options)
    assert (again["changed"], found(again)) == (False, {})
    # The next tick of the ETL does not bring it back either.
    run(scout_db, "SELECT scout.load_silver_from_bronze(NULL)")
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert found(ran(CLEANUP, scout_db, **options)) == {}
    undone_exactly(scout_db, result, before, written)


@BOTH
def test_what_a_reprocess_does_afterwards(scout_db: str, source_event: str) -> None:
    [name] = library.negative_totals(scout_db, count=1)
    ran(CLEANUP, scout_db, source_event=source_event)
    run(
        scout_db,
        "DELETE FROM scout.etl_processed",
        "DELETE FROM scout.silver_transactions",
    )
    ran("scout_drain", scout_db)
    assert there(scout_db, name) == ([name] if source_event == "keep" else [])
    assert found(call(CLEANUP, scout_db, check=True)) == (
        {"negative_total": (1, 1), "lines_do_not_add_up": (1, 1)} if source_event == "keep" else {}
    )


def test_a_row_that_violates_several_rules_moves_once_with_all_names(scout_db: str) -> None:
    [event] = loaded(scout_db, sale(1, total_amount=-5, items=[]))
    name = sale(1)["transaction_id"]
    own = {**MINE, "predicate": f"t.transaction_id = '{name}'", "severity": "info", "error_code": "MINE"}
    about_events = {
        "name": "edges",
        "table": "bronze_events",
        "predicate": f"b.event_id = '{event}'",
        "action": "quarantine",
    }
    before, written = scout_tables(scout_db), bronze(scout_db)
    result = ran(CLEANUP, scout_db, rules=[own, about_events])
    assert items(scout_db, result) == [
        ("INVALID_AMOUNTS", ["negative_total", "empty_basket", "edges", "mine"], name, event)
    ]
    assert (result["moved"]["events"], result["moved"]["transactions"], result["batches"]["rows"]) == (1, 1, 1)
    assert {rule["name"] for rule in result["rules"] if rule["moved"]} == {
        "negative_total",
        "empty_basket",
        "edges",
        "mine",
    }
    undone_exactly(scout_db, result, before, written)


@pytest.mark.parametrize("check", [True, False])
def test_what_is_systemic_moves_nothing_and_is_reported(scout_db: str, check: bool) -> None:
    library.empty_baskets(scout_db)
    spoil(scout_db, "transaction_id LIKE '1-000001%'")
    before = fingerprint(scout_db)
    result = call(CLEANUP, scout_db, check=check)
    assert result["failed"]
    assert not result["changed"]
    assert result["error"]["kind"] == "systemic"
    for words in ("negative_total (critical): ", "max_share is 5 %", "fix the source"):
        assert words in result["msg"]
    assert "negative_total" in result["report"]["systemic"]
    assert next(r for r in result["rules"] if r["name"] == "empty_basket")["violations"] == 3
    assert fingerprint(scout_db) == before
    # Whoever means all of it says so.
    assert call(CLEANUP, scout_db, check=True, max_share=1.0)["changed"]


def test_a_rule_may_only_report(scout_db: str) -> None:
    library.empty_baskets(scout_db, count=2)
    everything = {**MINE, "action": "report"}
    before = scout_tables(scout_db)
    result = ran(CLEANUP, scout_db, rules=[everything, {"name": "empty_basket", "action": "report"}])
    assert scout_tables(scout_db) == before
    assert not result["changed"]
    assert result["summary"] == "no row violates a rule that moves it; 2 rules only reported"
    assert [warning.partition(" ")[0] for warning in result["warnings"]] == ["empty_basket", "mine"]
    assert found(result)["empty_basket"] == (2, 0)
    [negative] = library.negative_totals(scout_db, count=1)
    moved = ran(CLEANUP, scout_db, rules=[everything, {"name": "empty_basket", "action": "report"}])
    assert (moved["moved"]["transactions"], there(scout_db, negative)) == (1, [])
    assert "; 2 rules only reported (" in moved["summary"]


def test_only_some_rules_and_only_some_time(scout_db: str) -> None:
    old = sale(1, total_amount=-1, ts="2026-01-01T09:00:00+08:00")
    edge = sale(2, total_amount=-1, ts="2026-01-02T00:00:00+08:00")
    loaded(scout_db, old, edge, sale(3, items=[], ts="2026-01-01T09:00:00+08:00"))
    window = {"window_start": "2026-01-01T00:00:00", "window_end": "2026-01-02T00:00:00", "time_zone": "Asia/Manila"}
    result = ran(CLEANUP, scout_db, only=["negative_total"], max_share=1.0, **window)
    assert (result["window"]["start"], result["window"]["end"]) == (
        "2025-12-31T16:00:00+00:00",
        "2026-01-01T16:00:00+00:00",
    )
    assert result["report"]["scanned"] == {"scout.silver_transactions": 2}
    assert there(scout_db, old["transaction_id"], edge["transaction_id"]) == [edge["transaction_id"]]
    assert (result["moved"]["transactions"], result["gold_days"]) == (1, ["2026-01-01"])
    for bad in (
        {"only": ["NEGATIVE_TOTAL"]},
        {"window_start": "2026-01-01T00:00:00"},
        {"max_share": 1.5},
        {"samples": -1},
    ):
        refused(CLEANUP, scout_db, **bad)


# --- silver that is wrong where the events are sound

LOST = {
    "a total": ("UPDATE scout.silver_transactions SET total_amount = -1 WHERE transaction_id = '{}'", "(total_amount)"),
    "no items": ("UPDATE scout.silver_transactions SET item_count = 0 WHERE transaction_id = '{}'", "(item_count)"),
    "a line": (
        "DELETE FROM scout.silver_line_items WHERE transaction_id = '{}' AND line_sequence = 1",
        "(lines.missing)",
    ),
    "a price": (
        "UPDATE scout.silver_line_items SET unit_price = 1e6 WHERE transaction_id = '{}' AND line_sequence = 1",
        "(lines.unit_price)",
    ),
}


@pytest.mark.parametrize("lost", LOST)
def test_a_sound_sale_that_silver_has_wrong_is_refused_by_name_and_its_window_recovers_it(
    scout_db: str, lost: str
) -> None:
    statement, differing = LOST[lost]
    items = [{"product_id": f"P-{n}", "qty": 2, "unit_price": 100, "line_amount": 200} for n in range(2)]
    right = sale(1, items=items, total_amount=400, net_amount=400, discount_amount=0, tax_amount=0)
    name = right["transaction_id"]
    loaded(scout_db, right)
    bad = library.negative_totals(scout_db, count=1)
    run(scout_db, statement.format(name))
    before = fingerprint(scout_db)
    for check in (True, False):
        result = call(CLEANUP, scout_db, check=check)
        assert (result["failed"], result["changed"]) == (True, False)
        assert result["msg"].startswith("refused to move 1 sale whose events are sound: silver alone is wrong")
        assert f"{name} {differing}" in result["msg"]
        assert [*result["damaged"]] == [name]
        assert fingerprint(scout_db) == before
    _, _, command = result["error"]["next_step"].partition("window_recovery ")
    window = dict(word.removeprefix("scout_").split("=", 1) for word in command.split() if word != "-e")
    assert ran("scout_window_recovery", scout_db, **window)["changed"]
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert ran(CLEANUP, scout_db)["moved"]["transactions"] == 1
    assert there(scout_db, name, *bad) == [name]


def test_a_sale_that_its_own_event_made_wrong_is_moved(scout_db: str) -> None:
    """Also where events of one sale say different things, and another field of silver was corrected by hand."""
    wrong = sale(1, total_amount=-50)
    loaded(scout_db, wrong, sale(1, total_amount=-40))
    run(
        scout_db,
        f"UPDATE scout.silver_transactions SET region = 'x' WHERE transaction_id = '{wrong['transaction_id']}'",
    )
    assert ran(CLEANUP, scout_db)["moved"]["transactions"] == 1


# --- events


def test_a_correction_stays_and_silver_is_made_of_it(scout_db: str) -> None:
    wrong = sale(1, total_amount=-50)
    right = sale(1, payment_method="maya")
    _, correction = loaded(scout_db, wrong, right)
    name = wrong["transaction_id"]
    before, written = scout_tables(scout_db), bronze(scout_db)
    planned = call(CLEANUP, scout_db, check=True)
    result = ran(CLEANUP, scout_db)
    assert planned["requeued"] == result["requeued"] == 1
    assert planned["moved"] == result["moved"]
    assert "1 event of the same transactions went back to the queue" in result["summary"]
    assert there(scout_db, name) == []
    assert rows(scout_db, "SELECT FROM scout.etl_processed WHERE event_id = %s", correction) == []
    ran("scout_drain", scout_db)
    total = one(scout_db, "SELECT total_amount FROM scout.silver_transactions WHERE transaction_id = %s", name)
    assert float(total) == right["total_amount"]
    assert silver_is_what_bronze_makes(scout_db) == {}
    again = ran(CLEANUP, scout_db)
    assert (again["changed"], found(again)) == (False, {})
    undone_exactly(scout_db, result, before, written)


def test_a_correction_that_is_wrong_as_well_is_found_by_the_next_run(scout_db: str) -> None:
    loaded(scout_db, sale(1, total_amount=-50), sale(1, total_amount=-40))
    before = scout_tables(scout_db)
    first = ran(CLEANUP, scout_db)
    ran("scout_drain", scout_db)
    second = ran(CLEANUP, scout_db)
    assert (first["requeued"], second["requeued"], second["moved"]["events"]) == (1, 0, 1)
    assert not ran(CLEANUP, scout_db)["changed"]
    ran("scout_undo", scout_db, run_id=second["run_id"])
    ran("scout_undo", scout_db, run_id=first["run_id"])
    assert scout_tables(scout_db) == before


@BOTH
def test_sales_without_their_event_move_alone(scout_db: str, source_event: str) -> None:
    """The event is gone; gone, but another one feeds the sale; there, but it names another sale; or never was."""
    gone, fed, other, never = (sale(n, total_amount=-5) for n in range(1, 5))
    first, second, _, third, _ = loaded(scout_db, gone, fed, sale(2), other, never)
    names = [payload["transaction_id"] for payload in (gone, fed, other, never)]
    run(
        scout_db,
        f"DELETE FROM scout.bronze_events WHERE event_id IN ('{first}', '{second}')",
        f"UPDATE scout.bronze_events SET event_data = event_data || '{{\"transaction_id\": \"1-00000001\"}}' WHERE event_id = '{third}'",
        f"UPDATE scout.silver_transactions SET source_event_id = NULL WHERE transaction_id = '{names[3]}'",
    )
    before, written = scout_tables(scout_db), bronze(scout_db)
    planned = call(CLEANUP, scout_db, check=True, source_event=source_event)
    result = ran(CLEANUP, scout_db, source_event=source_event)
    assert planned["moved"] == result["moved"]
    assert (result["moved"]["events"], result["moved"]["transactions"]) == (0, 4)
    assert [item[2:] for item in items(scout_db, result)] == [(name, None) for name in names]
    # Of those whose source is unknown the other events feed them; with keep nothing does.
    assert planned["requeued"] == result["requeued"] == (2 if source_event == "quarantine" else 0)
    assert there(scout_db, "1-00000001") == ["1-00000001"]
    again = ran(CLEANUP, scout_db, source_event=source_event)
    assert (again["changed"], [*found(again)]) == (False, [])
    undone_exactly(scout_db, result, before, written)


def test_orphans_move_where_the_rule_says_so(scout_db: str) -> None:
    events = loaded(scout_db, *(sale(n) for n in range(3)))
    prune(scout_db, *events)
    before, written = scout_tables(scout_db), bronze(scout_db)
    reported = ran(CLEANUP, scout_db)
    assert not reported["changed"]
    assert reported["warnings"][0].startswith("orphan_source_event (warning, only reported): 3 of ")
    rule = [{"name": "orphan_source_event", "action": "quarantine"}]
    result = ran(CLEANUP, scout_db, rules=rule)
    assert [item[:2] for item in items(scout_db, result)] == [("ORPHAN_SOURCE_EVENT", ["orphan_source_event"])] * 3
    assert not ran(CLEANUP, scout_db, rules=rule)["changed"]
    undone_exactly(scout_db, result, before, written)


def test_rules_on_events_move_these_with_what_was_made_of_them(scout_db: str) -> None:
    first, second, third = loaded(scout_db, sale(1), sale(1, payment_method="maya"), sale(2))
    [pending] = arrive(scout_db, [sale(3)])
    [other] = rows(
        scout_db, "SELECT event_id::text FROM scout.bronze_events WHERE event_type <> 'transaction.v1' LIMIT 1"
    )
    before, written = scout_tables(scout_db), bronze(scout_db)

    def about(*events: str) -> list[dict[str, str]]:
        where = f"b.event_id IN ({', '.join(repr(event) for event in events)})"
        return [
            {
                "name": "named",
                "table": "bronze_events",
                "predicate": where,
                "action": "quarantine",
                "error_code": "NAMED",
            }
        ]

    for events, moved, requeued in (
        ((first,), (1, 1, 1), 1),
        ((second,), (1, 1, 1), 1),
        ((first, second), (2, 2, 1), 0),
        ((third, str(pending), other[0]), (3, 1, 1), 0),
    ):
        planned = call(CLEANUP, scout_db, check=True, rules=about(*events))
        result = ran(CLEANUP, scout_db, rules=about(*events))
        assert tuple(result["moved"][name] for name in ("events", "ledger", "transactions")) == moved
        assert (planned["moved"], planned["requeued"]) == (result["moved"], result["requeued"])
        assert (result["requeued"], found(result)) == (requeued, {"named": (len(events), len(events))})
        assert {item[0] for item in items(scout_db, result)} == {"NAMED"}
        assert not ran(CLEANUP, scout_db, rules=about(*events))["changed"]
        undone_exactly(scout_db, result, before, written)


@BOTH
def test_a_wrong_sale_and_a_wrong_event_of_it_move_together(scout_db: str, source_event: str) -> None:
    first, second = loaded(scout_db, sale(1, total_amount=-5), sale(1))
    rule = {"name": "named", "table": "bronze_events", "predicate": f"b.event_id = '{second}'", "action": "quarantine"}
    before, written = scout_tables(scout_db), bronze(scout_db)
    options = {"rules": [rule], "source_event": source_event}
    planned = call(CLEANUP, scout_db, check=True, **options)
    result = ran(CLEANUP, scout_db, **options)
    assert (planned["moved"], planned["requeued"]) == (result["moved"], result["requeued"])
    assert result["requeued"] == 0
    names = ["negative_total", "lines_do_not_add_up", "named"]
    moved = [(names[:2], first), (names, second)] if source_event == "quarantine" else [(names, second)]
    assert sorted((item[1], item[3]) for item in items(scout_db, result)) == sorted(moved)
    assert sum(item[2] is not None for item in items(scout_db, result)) == 1
    assert not ran(CLEANUP, scout_db, **options)["changed"]
    undone_exactly(scout_db, result, before, written)


# --- interruptions, others at work


ADDED = (
    "ALTER TABLE scout.silver_transactions ADD flags text[] DEFAULT '{a,NULL,\"b c\"}', ADD at_night interval DEFAULT '25:00'",
    'ALTER TABLE scout.silver_line_items ADD "Shelf" jsonb DEFAULT \'{"b": 1.50}\'',
    "ALTER TABLE scout.silver_line_items ADD twice int GENERATED ALWAYS AS (quantity * 2) STORED",
    "ALTER TABLE scout.bronze_events ADD edge_ip inet DEFAULT '10.0.0.1/8'",
    "ALTER TABLE scout.etl_processed ADD host text",
)
FLAGGED = "t.flags[1] = 'a' AND t.total_amount < 0 AND t.store_id NOT LIKE '%x%'"


def test_columns_a_deployment_added_can_be_judged_and_come_back(scout_db: str) -> None:
    library.negative_totals(scout_db)
    run(scout_db, *ADDED)
    before, written = scout_tables(scout_db), bronze(scout_db)
    rule = {**MINE, "name": "flags", "predicate": FLAGGED}
    result = ran(CLEANUP, scout_db, rules=[rule])
    assert found(result)["flags"] == (3, 3)
    assert result["moved"]["transactions"] == 3
    undone_exactly(scout_db, result, before, written)


def test_nothing_is_lost_while_stores_sell_and_the_etl_ticks(scout_db: str) -> None:
    """Wrong sales arrive all the time, with corrections, while runs move what there is."""
    stop, wrong = threading.Event(), []
    results: list[Result] = []

    def be_wrong(storm: Storm) -> None:
        number = 0
        with connect(scout_db) as connection:
            while not stop.wait(0.02):
                number += 1
                payload = sale(number, total_amount=-5) if number % 3 else sale(number, items=[])
                event = generator.insert(connection, payload)
                storm.written |= dict(bronze_of(connection, event))
                wrong.append(payload["transaction_id"])

    with Storm(scout_db, etl_every_seconds=0.2) as storm:
        thread = threading.Thread(target=be_wrong, args=[storm])
        thread.start()
        try:
            while storm.seconds() < 8:
                result = ran(CLEANUP, scout_db, max_share=1.0, target_seconds=0.1)
                results += [result] if result["changed"] else []
        finally:
            stop.set()
            thread.join()
    assert results
    ran("scout_drain", scout_db)
    while (last := ran(CLEANUP, scout_db, max_share=1.0))["changed"]:
        results.append(last)
        ran("scout_drain", scout_db)
    assert where(scout_db, storm.written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert there(scout_db, *wrong) == []
    for result in reversed(results):
        # Sales that were made again since of newer events as well would be conflicts.
        ran("scout_undo", scout_db, run_id=result["run_id"], on_conflict="restore")
    assert where(scout_db, storm.written) == ZERO
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") == 0
    assert there(scout_db, *wrong) == sorted(wrong)
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}


def bronze_of(connection: Any, event: UUID) -> list[tuple[UUID, str]]:
    return connection.execute(
        "SELECT event_id, b::text FROM scout.bronze_events AS b WHERE event_id = %s", [event]
    ).fetchall()
