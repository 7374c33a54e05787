# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What left bronze comes back exactly, a few first; what the ETL still refuses stays a dead letter; all of it can be undone."""

from __future__ import annotations

import copy
import itertools
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    LINKED,
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.redrive.merge_patch import (
    merge_patch,
    patched,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.without_values import message
from tests.integration.modules import Result, call, connect, once_waited_for, one, rows
from tests.integration.oracle import START, arrive, payloads_of, silver
from tests.integration.outcomes import ran, refused, scout_tables
from tests.scout.fixtures import small

SEED = 80_808
EVERYTHING = {"window_start": "2000-01-01T00:00:00Z"}
#: A small reference with a correction in it.
scout_template = small(120)
sale = payloads_of(SEED)


def loaded(dsn: str, payloads: list[Any], **options: Any) -> list[UUID]:
    """Ids of events that the ETL has been through."""
    ids = arrive(dsn, payloads, **options)
    ran("scout_drain", dsn)
    return ids


def away(dsn: str, ids: list[UUID], **options: Any) -> Result:
    """Sets events aside."""
    return ran("scout_quarantine", dsn, event_ids=[*map(str, ids)], **options)


def plain_silver(dsn: str) -> dict[str, list[Any]]:
    """Silver without generated ids, clocks, and what another job writes."""
    found = silver(dsn)
    found["lines"] = [{k: v for k, v in line.items() if k not in LINKED} for line in found["lines"]]
    return found


def letters(dsn: str, columns: str = "error_message, retry_count, resolved_at IS NOT NULL") -> list[tuple[Any, ...]]:
    """The dead letter queue, oldest first."""
    return rows(dsn, f"SELECT {columns} FROM scout.bronze_events_dlq ORDER BY failed_at, dlq_id")


def poisoned(dsn: str, count: int = 1, first: int = 500) -> list[UUID]:
    """Events that the drain quarantined."""
    ids = arrive(dsn, [sale(first + n, total_amount="abc") for n in range(count)])
    assert len(ran("scout_drain", dsn, max_poison=1000, max_poison_share=1.0)["poison"]) == count
    return ids


def undone_and_back(dsn: str, result: Result, before: dict[str, Any]) -> None:
    """Undo restores every table of the pipeline, and undo of that the state the run had left."""
    after = scout_tables(dsn)
    undo = ran("scout_undo", dsn, run_id=result["run_id"])
    assert scout_tables(dsn) == before
    again = ran("scout_undo", dsn, run_id=undo["run_id"])
    assert scout_tables(dsn) == after
    ran("scout_undo", dsn, run_id=again["run_id"])
    assert scout_tables(dsn) == before


# --- patches

#: The examples of RFC 7396 and a few more.
PATCHES: list[tuple[Any, Any, Any]] = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ({"a": 1}, {}, {"a": 1}),
    ("text", {}, {}),
]


@pytest.mark.parametrize(("target", "patch", "expected"), PATCHES)
def test_a_merge_patch_does_what_the_rfc_says(target: Any, patch: Any, expected: Any) -> None:
    before = copy.deepcopy((target, patch))
    assert merge_patch(target, patch) == expected
    assert (target, patch) == before


NUMBERS = [
    '{"a": 1.50, "b": 12345678901234567890.1234567890, "c": 1E+3}',
    '{"a": 0.0000001, "b": -0.0, "c": []}',
    '{"a": "\\u00e9\\n\\"", "b": [1.0, {"x": null}], "c": true}',
    '{"a": {}, "b": ' + "9" * 5000 + ', "c": "ü"}',
]


def test_what_no_patch_touches_keeps_every_digit(scout_db: str, subtests: pytest.Subtests) -> None:
    query = "SELECT %s::jsonb::text = (%s::jsonb || '{\"d\": 2.5}')::text"
    for text in NUMBERS:
        with subtests.test(msg=text[:60]):
            assert one(scout_db, query, patched(text, [{"d": 2.5}]), text)


# --- the round trip


def test_everything_that_was_set_aside_comes_back_exactly(scout_db: str) -> None:
    written, made, start = bronze(scout_db), plain_silver(scout_db), scout_tables(scout_db)
    gone = ran("scout_quarantine", scout_db, **EVERYTHING, incident="INC-1")
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, of_incident="INC-1")
    assert (result["changed"], result["redriven"], result["failures"]) == (True, len(written), [])
    assert (bronze(scout_db), plain_silver(scout_db)) == (written, made)
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert where(scout_db, written) == ZERO
    marks = "retry_count, resolved_by, last_retry_at IS NOT NULL, resolved_at IS NOT NULL"
    assert set(letters(scout_db, marks)) == {(1, f"redrive {result['run_id']}", True, True)}
    assert not ran("scout_redrive", scout_db, of_incident="INC-1")["changed"]
    undone_and_back(scout_db, result, before)
    ran("scout_undo", scout_db, run_id=gone["run_id"])
    assert scout_tables(scout_db) == start


def test_events_that_the_etl_does_not_take_or_swallows_just_come_back(scout_db: str) -> None:
    ids = loaded(scout_db, [spoil(sale(n)) for n, spoil in enumerate(poison_payloads.HARMLESS.values(), 1)])
    with connect(scout_db) as connection:
        ids += [generator.insert(connection, {"store_id": "S-001"}, event_type="inventory.count.v1")]
    written, made = bronze(scout_db), plain_silver(scout_db)
    run = away(scout_db, ids)
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert (result["redriven"], bronze(scout_db), plain_silver(scout_db)) == (len(ids), written, made)
    undone_and_back(scout_db, result, before)


def test_a_hash_that_is_null_stays_null(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2)])
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.bronze_events SET event_hash = NULL WHERE event_id = ANY (%s)", [ids])
    written = bronze(scout_db)
    run = away(scout_db, ids)
    ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert bronze(scout_db) == written


# --- several events of a transaction

CORRECTED = [{}, {"net_amount": 1, "items": []}, {"net_amount": 2, "payment_method": "card"}]


@pytest.mark.parametrize("drained", [False, True], ids=["what stays is pending", "what stays is loaded"])
def test_silver_is_made_again_of_all_events_in_their_order(
    scout_db: str, drained: bool, subtests: pytest.Subtests
) -> None:
    """Of each transaction other events are away: the first, the last, all of them, and so on."""
    choices = [s for n in (1, 2, 3) for s in itertools.combinations(range(3), n)]
    made = {which: loaded(scout_db, [sale(n) | change for change in CORRECTED]) for n, which in enumerate(choices)}
    loaded(scout_db, [sale(99)])
    written = bronze(scout_db)
    run = away(scout_db, [ids[n] for which, ids in made.items() for n in which])
    if drained:
        ran("scout_drain", scout_db)
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, run_id=run["run_id"], canary_rows=1)
    now, wrong = bronze(scout_db), str(silver_is_what_bronze_makes(scout_db))
    for number, (which, ids) in enumerate(made.items()):
        with subtests.test(msg=f"without {which}"):
            assert {event: now[event] for event in ids} == {event: written[event] for event in ids}
            assert sale(number)["transaction_id"] not in wrong
    assert (now, wrong) == (written, "{}")
    assert len(silver(scout_db)["pending"]) == 0
    assert result["requeued"] == (sum(3 - len(which) for which in choices) if drained else 0)
    undone_and_back(scout_db, result, before)


def test_a_pending_event_of_the_same_transaction_that_is_poison_stays_as_it_is(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2)])
    written = bronze(scout_db)
    run = away(scout_db, ids)
    [bad] = arrive(scout_db, [sale(1, total_amount="abc")], start=START - timedelta(minutes=5))
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert (result["redriven"], silver(scout_db)["pending"]) == (2, [bad])
    written[bad] = bronze(scout_db)[bad]
    assert bronze(scout_db) == written
    assert silver_is_what_bronze_makes(scout_db, poison=[bad]) == {}
    undone_and_back(scout_db, result, before)


def test_an_entry_fails_where_an_event_that_stayed_cannot_be_loaded_any_more(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(1, net_amount=1), sale(2)])
    run = away(scout_db, [ids[1], ids[2]])
    ran("scout_drain", scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            'UPDATE scout.bronze_events SET event_data = event_data || \'{"total_amount": "abc"}\' WHERE event_id = %s',
            [ids[0]],
        )
    made = plain_silver(scout_db)["transactions"]
    result = ran("scout_redrive", scout_db, run_id=run["run_id"], max_failures=1)
    assert (result["redriven"], result["effects"]["failed"]) == (1, 1)
    assert str(ids[0]) in result["failures"][0]["error"]
    assert set(bronze(scout_db)) >= {ids[0], ids[2]}
    assert ids[1] not in bronze(scout_db)
    assert [
        row for row in plain_silver(scout_db)["transactions"] if row["transaction_id"] != sale(2)["transaction_id"]
    ] == made


# --- what is there already


def test_an_event_that_exists_again_is_resolved_and_never_doubled(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2), sale(3)])
    written = bronze(scout_db)
    run = away(scout_db, ids)
    # The first was sent again; of the second another row has the identifier.
    [again] = loaded(scout_db, [sale(1)])
    with connect(scout_db) as connection:
        connection.execute(
            "INSERT INTO scout.bronze_events (event_id, event_type, event_data) VALUES (%s, 'heartbeat.v1', '{}')",
            [ids[1]],
        )
    before, there = scout_tables(scout_db), bronze(scout_db)
    asked = call("scout_redrive", scout_db, check=True, run_id=run["run_id"])
    assert (asked["redriven"], asked["already_there"]) == (1, 2)
    result = ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert (result["redriven"], result["already_there"]) == (1, 2)
    assert bronze(scout_db) == there | {ids[2]: written[ids[2]]}
    resolved = rows(
        scout_db, "SELECT error_details #>> '{event,event_id}', resolved_by, retry_count FROM scout.bronze_events_dlq"
    )
    by = f"redrive {result['run_id']}"
    assert sorted(resolved) == sorted([
        (str(ids[0]), f"{by}: already there as event {again}", 0),
        (str(ids[1]), f"{by}: already there as event {ids[1]}", 0),
        (str(ids[2]), by, 1),
    ])  # fmt: skip
    assert not ran("scout_redrive", scout_db, run_id=run["run_id"])["changed"]
    undone_and_back(scout_db, result, before)


# --- poison


def test_poison_stays_a_dead_letter_with_the_new_error(scout_db: str, subtests: pytest.Subtests) -> None:
    payloads = [poison_payloads.payload(kind, SEED, number) for number, kind in enumerate(poison_payloads.KINDS)]
    ids = dict(zip(poison_payloads.KINDS, arrive(scout_db, payloads), strict=True))
    drained = ran("scout_drain", scout_db, max_poison_share=1.0)
    assert {p["event_id"] for p in drained["poison"]} == {*map(str, ids.values())}
    with connect(scout_db) as connection:
        connection.execute("UPDATE scout.bronze_events_dlq SET error_message = 'the old one'")
    pipeline = {k: v for k, v in scout_tables(scout_db).items() if k != "scout.bronze_events_dlq"}
    before = scout_tables(scout_db)
    options = {"run_id": drained["run_id"], "max_failures": len(ids)}
    result = ran("scout_redrive", scout_db, **options)
    assert (result["redriven"], result["effects"]["failed"]) == (0, len(ids))
    assert {k: v for k, v in scout_tables(scout_db).items() if k != "scout.bronze_events_dlq"} == pipeline
    # A result does not repeat values; the dead letter does.
    errors = {failure["event_id"]: failure["error"] for failure in result["failures"]}
    columns = (
        "error_details #>> '{event,event_id}', error_message, retry_count, resolved_at, error_details -> 'sqlstate', "
        "error_details #>> '{attempts,0,error}', last_retry_at IS NOT NULL"
    )
    kept = {event: row for event, *row in letters(scout_db, columns)}
    assert kept.keys() == errors.keys()
    for kind, event in ids.items():
        with subtests.test(msg=kind):
            sqlstate = poison_payloads.KINDS[kind].sqlstate
            error, *others = kept[str(event)]
            assert message(error) == errors[str(event)]
            assert others == [1, None, sqlstate, "the old one", True]
    undone_and_back(scout_db, result, before)
    for _ in range(2):
        ran("scout_redrive", scout_db, **options)
    tried = letters(scout_db, "retry_count, jsonb_array_length(error_details -> 'attempts')")
    assert tried == [(2, 2)] * len(ids)


def refuse(dsn: str, ids: list[UUID]) -> None:
    """From now on the database refuses what the ETL makes of these events; nothing in their payloads shows it."""
    listed = ", ".join(f"'{event}'" for event in ids)
    with connect(dsn) as connection:
        connection.execute(f"""
            CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN IF NEW.source_event_id IN ({listed}) THEN RAISE 'not today'; END IF; RETURN NEW; END $$;
            CREATE TRIGGER refuse BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION public.refuse()
        """)  # type: ignore[call-overload]


def test_exactly_what_is_refused_stays_among_the_dead_letters(scout_db: str) -> None:
    good = loaded(scout_db, [sale(n) for n in range(1, 60)])
    bad = poisoned(scout_db, 3)
    written = bronze(scout_db)
    run = away(scout_db, good, incident="INC-2")
    refuse(scout_db, [good[7], good[31]])
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, error_codes=["QUARANTINE", "POISON_EVENT"], max_failures=5)
    failed = {UUID(failure["event_id"]) for failure in result["failures"]}
    assert (failed, result["redriven"]) == ({*bad, good[7], good[31]}, 57)
    assert bronze(scout_db) == {k: v for k, v in written.items() if k not in failed}
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert {f["error"] for f in result["failures"] if UUID(f["event_id"]) in good} == {"not today"}
    assert run["moved"]["events"] == 59
    undone_and_back(scout_db, result, before)


def test_the_pipeline_never_sees_what_is_refused(scout_db: str) -> None:
    poisoned(scout_db, 2)
    ran("scout_redrive", scout_db, error_codes=["POISON_EVENT"], max_failures=2)
    arrive(scout_db, [sale(1)])
    assert one(scout_db, "SELECT events_processed FROM scout.load_silver_from_bronze(10)") == 1


# --- repair


def test_a_patch_fixes_poison_and_the_old_payload_stays(scout_db: str) -> None:
    [event] = poisoned(scout_db)
    [old] = letters(scout_db, "original_payload")
    run = one(scout_db, "SELECT error_details ->> 'run_id' FROM scout.bronze_events_dlq")
    before = scout_tables(scout_db)
    asked = call("scout_redrive", scout_db, check=True, run_id=run)
    assert [(s["event_id"], s["sqlstate"]) for s in asked["suspects"]] == [(str(event), "22P02")]
    patch = {"repair": {"total_amount": 12.5, "note": None}, "repairs": {str(event): {"customer_type": "vip"}}}
    assert call("scout_redrive", scout_db, check=True, run_id=run, **patch)["suspects"] == []
    result = ran("scout_redrive", scout_db, run_id=run, **patch)
    assert (result["redriven"], letters(scout_db, "original_payload")) == (1, [old])
    query = """
        SELECT event_data = %s || '{"total_amount": 12.5, "customer_type": "vip"}', event_hash = scout.canonical_event_hash(event_data)
        FROM scout.bronze_events WHERE event_id = %s
    """
    assert rows(scout_db, query, Jsonb(old[0]), event) == [(True, True)]
    assert silver_is_what_bronze_makes(scout_db) == {}
    [[kept]] = letters(scout_db, "error_details -> 'repairs'")
    assert kept == [patch["repair"], patch["repairs"][str(event)]]
    undone_and_back(scout_db, result, before)


def test_a_patch_by_the_id_of_an_entry_is_for_that_entry_alone(scout_db: str) -> None:
    poisoned(scout_db, 2)
    [(first,), _] = letters(scout_db, "dlq_id::text")
    result = ran(
        "scout_redrive", scout_db, error_codes=["POISON_EVENT"], repairs={first: {"total_amount": 5}}, max_failures=1
    )
    assert (result["redriven"], result["effects"]["failed"]) == (1, 1)
    assert letters(scout_db, "resolved_at IS NOT NULL") == [(True,), (False,)]


def test_a_patch_that_gives_entries_one_transaction_brings_them_back_together(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2), sale(3)])
    run = away(scout_db, ids[1:])
    before = scout_tables(scout_db)
    patch = {"transaction_id": sale(1)["transaction_id"]}
    result = ran("scout_redrive", scout_db, run_id=run["run_id"], repair=patch, canary_rows=1)
    assert result["redriven"] == 2
    assert silver_is_what_bronze_makes(scout_db) == {}
    undone_and_back(scout_db, result, before)


# --- canary, rate, parking


def test_a_canary_that_fails_stops_the_run_before_anything_else_is_touched(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(n) for n in range(1, 41)])
    written, made = bronze(scout_db), plain_silver(scout_db)
    run = away(scout_db, ids)
    refuse(scout_db, ids)
    tables = {k: v for k, v in scout_tables(scout_db).items() if k != "scout.bronze_events_dlq"}
    result = call("scout_redrive", scout_db, run_id=run["run_id"])
    assert (result["failed"], result["error"]["kind"], result["redriven"]) == (True, "systemic", 0)
    assert [
        w
        for w in ("1 event failed again", "1 tried, 0 loaded, 1 back", "not today", "max_failures")
        if w not in result["msg"]
    ] == []
    assert {k: v for k, v in scout_tables(scout_db).items() if k != "scout.bronze_events_dlq"} == tables
    assert sorted(letters(scout_db, "retry_count")) == [(0,)] * 39 + [(1,)]
    with connect(scout_db) as connection:
        connection.execute("DROP FUNCTION public.refuse CASCADE")
    again = ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert (again["redriven"], again["run_id"] != result["run_id"]) == (40, True)
    assert (bronze(scout_db), plain_silver(scout_db)) == (written, made)


def test_failures_after_the_canary_stop_the_run_too(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(n) for n in range(1, 41)])
    run = away(scout_db, ids)
    in_order = [UUID(row[0]) for row in letters(scout_db, "error_details #>> '{event,event_id}'")]
    refuse(scout_db, in_order[20:])
    result = call("scout_redrive", scout_db, run_id=run["run_id"], canary_rows=5, max_failures=2)
    assert (result["failed"], result["effects"]["failed"], len(result["failures"])) == (True, 3, 3)
    assert result["redriven"] >= 15
    assert sorted(row[0] for row in letters(scout_db, "retry_count")) == [0] * (37 - result["redriven"]) + [1] * (
        3 + result["redriven"]
    )


def test_it_begins_with_a_few_and_keeps_to_the_rate(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(n) for n in range(1, 13)])
    run = away(scout_db, ids)
    lines: list[str] = []
    result = ran(
        "scout_redrive",
        scout_db,
        run_id=run["run_id"],
        canary_rows=2,
        rate_per_second=5,
        progress=Progress(lines.append),
    )
    assert result["batches"]["batches"] == 4
    assert [line for line in lines if "at most 5 per second" in line]
    # Twelve at five a second; the last batch need not wait.
    assert result["batches"]["seconds"] >= 7 / 5


def test_what_was_tried_too_often_is_parked(scout_db: str) -> None:
    poisoned(scout_db, 2)
    options = {"error_codes": ["POISON_EVENT"], "max_failures": 9, "max_replays": 2}
    for _ in range(2):
        assert ran("scout_redrive", scout_db, **options)["changed"]
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, **options)
    assert (result["changed"], result["parked"], len(result["parked_entries"])) == (False, 2, 2)
    assert "max_replays=3" in result["warnings"][0]
    assert "2 parked" in result["summary"]
    assert scout_tables(scout_db) == before
    assert ran("scout_redrive", scout_db, **options | {"max_replays": 3}, repair={"total_amount": 1})["redriven"] == 2


@pytest.mark.parametrize("check", [True, False])
def test_what_is_parked_stays_beside_what_is_tried(scout_db: str, check: bool) -> None:
    """An entry has exactly `max_replays` attempts, whatever else is selected with it."""
    often, once = poisoned(scout_db, 2)
    options = {"error_codes": ["POISON_EVENT"], "max_failures": 9, "max_replays": 2}
    for _ in range(2):
        ran("scout_redrive", scout_db, **options, event_ids=[str(often)])
    ran("scout_redrive", scout_db, **options, event_ids=[str(once)])
    retries = "SELECT retry_count FROM scout.bronze_events_dlq WHERE error_details #>> '{event,event_id}' = %s"
    assert [one(scout_db, retries, str(event)) for event in (often, once)] == [2, 1]
    result = ran("scout_redrive", scout_db, **options, check=check)
    assert (result["parked"], [entry["event_id"] for entry in result["parked_entries"]]) == (1, [str(often)])
    if check:
        assert result["plan"]["counts"]["entries"] == 1
    else:
        assert [one(scout_db, retries, str(event)) for event in (often, once)] == [2, 2]
        assert [failure["event_id"] for failure in result["failures"]] == [str(once)]


# --- entries of the runbook and of others

RUNBOOK = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, source_system)
SELECT event_data, 'QUARANTINE', 'Emergency quarantine during incident response', source_system
FROM scout.bronze_events WHERE event_id = ANY (%(ids)s)
"""


def test_entries_of_the_plain_runbook_are_rebuilt_as_far_as_they_go(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2, ts=...), {"number": 7, "store_id": "S-001"}])
    made = plain_silver(scout_db)["transactions"]
    with connect(scout_db) as connection:
        for _ in range(2):  # interrupted and run again, as happens
            connection.execute(RUNBOOK, {"ids": ids})
        connection.execute(
            "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message)"
            " VALUES ('{\"transaction_id\": \"T-1\"}', 'QUARANTINE', 'Negative amounts detected')"
        )
        connection.execute(
            "DELETE FROM scout.silver_line_items AS l USING scout.silver_transactions AS t"
            " WHERE t.transaction_id = l.transaction_id AND source_event_id = ANY (%s)",
            [ids],
        )
        connection.execute("DELETE FROM scout.silver_transactions WHERE source_event_id = ANY (%s)", [ids])
        connection.execute("DELETE FROM scout.etl_processed WHERE event_id = ANY (%s)", [ids])
        connection.execute("DELETE FROM scout.bronze_events WHERE event_id = ANY (%s)", [ids])
    before = scout_tables(scout_db)
    asked = call("scout_redrive", scout_db, check=True, error_codes=["QUARANTINE"])
    assert sorted((e["why"].split(":")[0], e["error_code"]) for e in asked["not_rebuildable"]) == [
        ("its payload has no transaction_id, so nothing tells its event type", "QUARANTINE"),
        ("its payload has no transaction_id, so nothing tells its event type", "QUARANTINE"),
        ("its payload is nothing but a transaction id", "QUARANTINE"),
    ]
    assert sorted({tuple(e["missing"]) for e in asked["rebuilt"]}) == [
        ("event_id", "event_hash", "ingested_at", "event_ts", "event_type"),
        ("event_id", "event_hash", "ingested_at", "event_type"),
    ]
    assert scout_tables(scout_db) == before
    result = ran("scout_redrive", scout_db, error_codes=["QUARANTINE"])
    assert (result["redriven"], result["already_there"], len(result["not_rebuildable"])) == (2, 2, 3)
    now = plain_silver(scout_db)["transactions"]
    changed = ("source_event_id", "ts", "date_key", "time_of_day")
    assert [{k: v for k, v in row.items() if k not in changed} for row in now] == [
        {k: v for k, v in row.items() if k not in changed} for row in made
    ]
    hashes = "SELECT count(*) FROM scout.bronze_events WHERE event_hash IS DISTINCT FROM scout.canonical_event_hash(event_data)"
    assert one(scout_db, hashes) == 0
    again = ran("scout_redrive", scout_db, error_codes=["QUARANTINE"])
    assert (again["changed"], len(again["not_rebuildable"])) == (False, 3)
    undone_and_back(scout_db, result, before)


#: Bronze as deployments have it: hashed otherwise, or not at all.
HASHED = ("event_hash", "sha256('otherwise'::bytea || event_id::text::bytea)", "NULL")


@pytest.mark.parametrize("hashed", HASHED)
def test_an_entry_made_by_hand_of_an_event_that_is_there_puts_nothing_back(scout_db: str, hashed: str) -> None:
    """Also of one without a transaction."""
    ids = loaded(scout_db, [sale(1)])
    with connect(scout_db) as connection:
        ids.append(generator.insert(connection, {"event_type": "heartbeat.v1", "n": 1}, event_type="heartbeat.v1"))
        connection.execute(f"UPDATE scout.bronze_events SET event_hash = {hashed} WHERE event_id = ANY (%s)", [ids])  # type: ignore[call-overload]
        connection.execute(RUNBOOK, {"ids": ids})
    before, there = scout_tables(scout_db), bronze(scout_db)
    asked = call("scout_redrive", scout_db, check=True, error_codes=["QUARANTINE"])
    assert (asked["redriven"], asked["already_there"], asked["conflicts"]) == (0, 2, [])
    result = ran("scout_redrive", scout_db, error_codes=["QUARANTINE"])
    assert (result["redriven"], result["already_there"], result["conflicts"]) == (0, 2, [])
    assert bronze(scout_db) == there
    undone_and_back(scout_db, result, before)


def test_a_repair_of_an_event_that_is_still_in_bronze_is_a_conflict_by_name(scout_db: str) -> None:
    with connect(scout_db) as connection:
        event = generator.insert(connection, sale(1, total_amount="abc"))
        connection.execute(RUNBOOK, {"ids": [event]})
    before = scout_tables(scout_db)
    options = {"error_codes": ["QUARANTINE"], "repair": {"total_amount": 1}}
    asked = call("scout_redrive", scout_db, check=True, **options)
    result = ran("scout_redrive", scout_db, **options)
    assert scout_tables(scout_db) == before
    for one_of in (asked, result):
        assert (one_of["redriven"], one_of["conflicting"]) == (0, 1)
        assert f"its event is still in bronze as event {event}" in one_of["conflicts"][0]["why"]
        assert str(event) in " ".join(one_of["warnings"])
        assert "1 duplicate" in one_of["summary"]


@pytest.mark.parametrize("hashed", HASHED)
def test_an_entry_made_by_hand_beside_our_own_comes_back_once(scout_db: str, hashed: str) -> None:
    ids = loaded(scout_db, [sale(1), sale(2)])
    with connect(scout_db) as connection:
        connection.execute(f"UPDATE scout.bronze_events SET event_hash = {hashed} WHERE event_id = ANY (%s)", [ids])  # type: ignore[call-overload]
        connection.execute(RUNBOOK.replace("QUARANTINE", "HAND"), {"ids": ids})
    there = bronze(scout_db)
    run = away(scout_db, ids)
    before = scout_tables(scout_db)
    # Without ours they are left alone, by name.
    alone = ran("scout_redrive", scout_db, error_codes=["HAND"])
    assert (alone["redriven"], alone["conflicting"], scout_tables(scout_db)) == (0, 2, before)
    assert "redrive that one first" in alone["conflicts"][0]["why"]
    both = ran("scout_redrive", scout_db, error_codes=["HAND", "QUARANTINE"])
    assert (both["redriven"], both["already_there"], both["conflicts"]) == (2, 2, [])
    assert bronze(scout_db) == there
    ran("scout_undo", scout_db, run_id=both["run_id"])
    assert scout_tables(scout_db) == before
    assert ran("scout_redrive", scout_db, run_id=run["run_id"])["redriven"] == 2
    late = ran("scout_redrive", scout_db, error_codes=["HAND"])
    assert (late["redriven"], late["already_there"], bronze(scout_db)) == (0, 2, there)


def test_an_entry_of_the_runbook_that_fails_can_be_tried_again(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(
            "INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message) VALUES (%s, 'QUARANTINE', 'x')",
            [Jsonb(sale(1, total_amount="abc"))],
        )
    before = scout_tables(scout_db)
    result = ran("scout_redrive", scout_db, error_codes=["QUARANTINE"], max_failures=1)
    assert result["effects"]["failed"] == 1
    undone_and_back(scout_db, result, before)
    ran("scout_redrive", scout_db, error_codes=["QUARANTINE"], max_failures=1)
    assert ran("scout_redrive", scout_db, error_codes=["QUARANTINE"], repair={"total_amount": 1})["redriven"] == 1


def test_entries_that_cannot_be_rebuilt_say_what_brings_them_back(scout_db: str) -> None:
    loaded(scout_db, [sale(1, total_amount=-5, items=[])])
    cleaned = ran("scout_cleanup", scout_db, only=["negative_total"], source_event="keep", max_share=1.0)
    assert cleaned["changed"]
    result = ran("scout_redrive", scout_db, run_id=cleaned["run_id"])
    assert not result["changed"]
    assert f"undo.yml -e scout_run_id={cleaned['run_id']}" in result["not_rebuildable"][0]["why"]


# --- which


def test_only_what_is_selected_comes_back(scout_db: str) -> None:
    ids = loaded(scout_db, [sale(n, total_amount=-n) for n in range(1, 7)])
    first = away(scout_db, ids[:1], incident="INC-1")
    away(scout_db, ids[1:2], incident="INC-2")
    cleaned = ran("scout_cleanup", scout_db, only=["negative_total"], max_share=1.0)
    assert cleaned["moved"]["events"] == 4
    found = dict(
        rows(scout_db, "SELECT error_details #>> '{event,event_id}', dlq_id::text FROM scout.bronze_events_dlq")
    )
    last = one(scout_db, "SELECT max(failed_at)::text FROM scout.bronze_events_dlq")

    def chosen(**options: Any) -> int:
        result = call("scout_redrive", scout_db, check=True, **options)
        assert "redriven" in result, result
        return result["redriven"]

    assert chosen(of_incident="INC-1") == 1
    assert chosen(run_id=first["run_id"].upper()) == 1
    assert chosen(run_id=cleaned["run_id"]) == 4
    assert chosen(rules=["negative_total", "negative_total"]) == 4
    assert "no rule is named 'other'" in refused("scout_redrive", scout_db, rules=["negative_total", "other"])["msg"]
    assert chosen(error_codes=["QUARANTINE"]) == 2
    assert chosen(dlq_ids=[found[str(ids[1])], str(ids[0])]) == 1
    assert chosen(event_ids=[str(ids[1]), str(ids[5])]) == 2
    assert chosen(failed_from=last) == 4
    assert chosen(failed_to=last) == 2
    assert chosen(failed_from=last, error_codes=["QUARANTINE"]) == 0
    with connect(scout_db) as superuser:
        superuser.execute("UPDATE scout_ops.runs SET incident = 'INC-9' WHERE run_id = %s", [cleaned["run_id"]])
    assert chosen(of_incident="INC-9") == 4, "of a run that an earlier release adopted"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "no selection was given"),
    "no run id": ({"run_id": "yesterday"}, "run_id 'yesterday' is not a run id"),
    "a naive time": ({"failed_from": "2026-11-25T01:00:00"}, "failed_from '2026-11-25T01:00:00' has no offset"),
    "reversed": ({"failed_from": "2026-11-25T01:00:00Z", "failed_to": "2026-11-24T01:00:00Z"}, "ends before it starts"),
    "no canary": ({"error_codes": ["A"], "canary_rows": 0}, "canary_rows 0"),
    "no rate": ({"error_codes": ["A"], "rate_per_second": 0}, "rate_per_second 0"),
    "a patch for nobody": ({"error_codes": ["A"], "repairs": {"T-1": {}}}, "repairs: 'T-1' is not an id"),
    "no patch": ({"error_codes": ["A"], "repairs": {"1" * 32: 5}}, "is not a dictionary"),
    "no JSON": ({"error_codes": ["A"], "repair": {"total_amount": float("nan")}}, "repair is not JSON"),
    "no ledger": ({"error_codes": ["POISON_EVENT"], "ledger": "off"}, "ledger=off"),
    "too many": ({"error_codes": ["POISON_EVENT"], "max_rows": 1}, "refused to move 2 dead letters: max_rows is 1"),
}


def test_what_makes_no_sense_is_refused_before_the_first_write(scout_db: str, subtests: pytest.Subtests) -> None:
    poisoned(scout_db, 2)
    for case, (options, words) in REFUSED.items():
        with subtests.test(msg=case):
            result = refused("scout_redrive", scout_db, **options)
            assert words in result["msg"]
            assert result["error"]["next_step"]


NOBODY = "00000000-0000-4000-8000-000000000000"
UNKNOWN: dict[str, tuple[dict[str, Any], str, str]] = {
    "a code": ({"error_codes": ["POISON"]}, "error_codes: no error code is named 'POISON'", "POISON_EVENT"),
    "a rule": ({"rules": ["negative_totals"]}, "no rule is named 'negative_totals'", "negative_total"),
    "a run": ({"run_id": NOBODY}, f"no run is named '{NOBODY}'", "there are"),
    "an incident": ({"of_incident": "INC-8"}, "no incident is named 'INC-8'", "INC-7"),
    "a letter": ({"dlq_ids": [NOBODY]}, "1 given id of no dead letter or event", "correct"),
}


def test_a_name_of_nothing_is_refused_with_those_that_there_are(scout_db: str, subtests: pytest.Subtests) -> None:
    poisoned(scout_db)
    loaded(scout_db, [sale(1, total_amount=-5)])
    ran("scout_cleanup", scout_db, only=["negative_total"], max_share=1.0, incident="INC-7")
    for what, (options, said, offered) in UNKNOWN.items():
        for check in (True, False):
            with subtests.test(msg=f"{what}{' --check' * check}"):
                result = refused("scout_redrive", scout_db, check=check, **options)
                assert (result["error"]["kind"], said in result["msg"]) == ("bad_input", True), result["msg"]
                assert offered in result["error"]["next_step"]


def test_ids_of_no_dead_letter_are_counted(scout_db: str) -> None:
    poisoned(scout_db)
    [event] = loaded(scout_db, [sale(1)])
    result = ran("scout_redrive", scout_db, event_ids=[str(event)], dlq_ids=[str(event)])
    assert (result["changed"], result["not_found"]["count"]) == (False, 2)


# --- check, plan


def test_an_event_that_comes_in_meanwhile_is_not_doubled(scout_db: str) -> None:
    """The same sale is sent again by another session that commits while our batch is at work."""
    ids = loaded(scout_db, [sale(1)])
    run = away(scout_db, ids)
    with connect(scout_db) as other:
        other.execute("BEGIN")
        generator.insert(other, sale(1))
        with once_waited_for(scout_db, lambda: other.execute("COMMIT")):
            result = ran("scout_redrive", scout_db, run_id=run["run_id"])
    assert (result["redriven"], result["already_there"]) == (0, 1)
    ran("scout_drain", scout_db)
    assert silver_is_what_bronze_makes(scout_db) == {}


# --- proof

TAMPERED = {
    "altered": "BEFORE INSERT: NEW.ingested_at := now(); RETURN NEW;",
    "dropped": "BEFORE INSERT: RETURN NULL;",
    "altered afterwards": "AFTER INSERT: UPDATE scout.bronze_events SET source_system = 'x' WHERE event_id = NEW.event_id; RETURN NULL;",
}


def test_nothing_comes_back_unless_it_is_the_very_same(scout_db: str, subtests: pytest.Subtests) -> None:
    ids = loaded(scout_db, [sale(1), sale(2)])
    written = bronze(scout_db)
    run = away(scout_db, ids)
    for how, (when, body) in ((how, tampered.split(": ", 1)) for how, tampered in TAMPERED.items()):
        with subtests.test(msg=how), connect(scout_db) as connection:
            connection.execute(f"""
                CREATE FUNCTION public.tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body} END $$;
                CREATE TRIGGER tamper {when} ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION public.tamper()
            """)  # type: ignore[call-overload]
            try:
                assert "could not be proved exact" in refused("scout_redrive", scout_db, run_id=run["run_id"])["msg"]
            finally:
                connection.execute("DROP FUNCTION public.tamper CASCADE")
    assert ran("scout_redrive", scout_db, run_id=run["run_id"])["redriven"] == 2
    assert bronze(scout_db) == written
