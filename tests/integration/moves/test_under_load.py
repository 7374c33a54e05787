# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""While stores sell and the ETL ticks, events are moved away and back: none is lost, doubled or altered, and silver is right."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.load.storm import Storm
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import Result, call, connect, once_waited_for, one
from tests.integration.oracle import START, arrive
from tests.integration.outcomes import ago, ran, stamp
from tests.scout.fixtures import small

SECONDS = float(os.environ.get("SCOUT_STORM_SECONDS", "8"))
SEED = 31_337
#: A reference of a few hundred events, to which a storm adds thousands.
scout_template = small(400)


# --- the oracle itself, by moves written by hand

LOSSY = (
    """
    INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details)
    SELECT event_data, 'QUARANTINE', 'runbook',
           jsonb_build_object('format', 'scout-recovery/1', 'event', to_jsonb(b) - 'event_data')
    FROM scout.bronze_events AS b WHERE ingested_at >= %(start)s
    """,
    "DELETE FROM scout.bronze_events WHERE ingested_at >= %(start)s",
)


COPY_ONE = f"{LOSSY[0]} AND event_id = %(event)s"
MOVE_ONE = """
WITH b AS (DELETE FROM scout.bronze_events WHERE event_id = %(event)s RETURNING *)
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details)
SELECT event_data, 'QUARANTINE', '', jsonb_build_object('format', 'scout-recovery/1', 'event', to_jsonb(b) - 'event_data') FROM b;
DELETE FROM scout.etl_processed WHERE event_id = %(event)s;
DELETE FROM scout.silver_transactions WHERE source_event_id = %(event)s
"""
TOUCH = "UPDATE scout.bronze_events SET {} WHERE event_id = %(event)s"
TOUCH_IMAGE = """
UPDATE scout.bronze_events_dlq SET error_details = jsonb_set(error_details, '{event,ingested_at}',
    to_jsonb((error_details -> 'event' ->> 'ingested_at')::timestamptz + interval '1 microsecond'))
"""

FORGERIES = {
    "copied and not removed": ("duplicated", COPY_ONE),
    "two dead letters": ("duplicated", f"{COPY_ONE}; {MOVE_ONE}"),
    "a changed microsecond": ("altered", TOUCH.format("ingested_at = ingested_at + interval '1 microsecond'")),
    "a changed amount": ("altered", TOUCH.format("""event_data = event_data || '{"tax_amount": 0.01}'""")),
    "a lost hash": ("altered", TOUCH.format("event_hash = NULL")),
    "a changed microsecond of the image": ("altered", f"{MOVE_ONE}; {TOUCH_IMAGE}"),
    "a resolved dead letter": ("lost", f"{MOVE_ONE}; UPDATE scout.bronze_events_dlq SET resolved_at = now()"),
    "another id": ("lost", TOUCH.format("event_id = gen_random_uuid()")),
    "moved whole": (None, MOVE_ONE),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_the_oracle_sees_what_became_of_one_event(scout_db: str, forgery: str) -> None:
    what, statements = FORGERIES[forgery]
    [event] = arrive(scout_db, [generator.transaction(SEED, 1)])
    ran("scout_drain", scout_db)
    written = bronze(scout_db)
    with psycopg.ClientCursor(psycopg.connect(scout_db)) as cursor, cursor.connection:
        cursor.execute(statements, {"event": event, "start": START - timedelta(days=1)})  # type: ignore[call-overload]
    found = where(scout_db, written)
    assert {name: ids for name, ids in vars(found).items() if name != "unexpected" and ids} == (
        {what: {event}} if what else {}
    )
    assert bool(found.unexpected) == (forgery == "another id")


A_LINE = "line_id = (SELECT min(line_id::text)::uuid FROM scout.silver_line_items)"
A_SALE = "transaction_id = (SELECT min(transaction_id) FROM scout.silver_transactions)"
ITS_EVENT = "event_id = (SELECT min(source_event_id::text)::uuid FROM scout.silver_transactions)"

HARM = {
    "a dropped line item": f"DELETE FROM scout.silver_line_items WHERE {A_LINE}",
    "a changed line": f"UPDATE scout.silver_line_items SET quantity = quantity + 1 WHERE {A_LINE}",
    "a dropped sale": f"DELETE FROM scout.silver_transactions WHERE {A_SALE}",
    "another source": f"UPDATE scout.silver_transactions SET source_event_id = NULL WHERE {A_SALE}",
    "a sale without an event": f"DELETE FROM scout.bronze_events WHERE {ITS_EVENT}",
    "a ledger row without an event": "INSERT INTO scout.etl_processed (event_id) VALUES (gen_random_uuid())",
    "loaded out of order": """
        UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 day' WHERE source_system = 'backoffice'
    """,
}


@pytest.mark.parametrize("harm", HARM)
def test_the_oracle_sees_what_is_wrong_in_silver(scout_db: str, harm: str) -> None:
    assert silver_is_what_bronze_makes(scout_db) == {}
    with connect(scout_db) as connection:
        assert connection.execute(HARM[harm]).rowcount > 0  # type: ignore[call-overload]
    before = one(scout_db, "SELECT sum(hashtext(t::text)) FROM scout.silver_transactions AS t")
    assert silver_is_what_bronze_makes(scout_db) != {}
    assert one(scout_db, "SELECT sum(hashtext(t::text)) FROM scout.silver_transactions AS t") == before


# --- the modules


def quarantine(dsn: str, **options: Any) -> Result:
    return ran("scout_quarantine", dsn, **options)


def taken_back(dsn: str, run_id: str, **options: Any) -> Result:
    """The undo of a run; where the storm has changed what it moved, what was moved counts."""
    result = call("scout_undo", dsn, run_id=run_id, **options)
    if result.get("failed"):
        assert result.get("conflicts"), result["msg"]
        result = ran("scout_undo", dsn, run_id=run_id, on_conflict="restore", **options)
    return result


def drain(storm: Storm) -> None:
    """While the pipeline's own ETL rests, as in every playbook."""
    with storm.paused():
        ran("scout_drain", storm.dsn)


def leave(storm: Storm, run: Result) -> None:
    """Stays in the dead letter queue."""


def redrive(storm: Storm, run: Result) -> None:
    result = ran("scout_redrive", storm.dsn, run_id=run["run_id"], rate_per_second=5000)
    assert (result["failures"], result["parked"]) == ([], 0)


def undo(storm: Storm, run: Result) -> None:
    taken_back(storm.dsn, run["run_id"])


def undo_twice(storm: Storm, run: Result) -> None:
    """Back, away again, and back."""
    first = taken_back(storm.dsn, run["run_id"])
    drain(storm)
    second = taken_back(storm.dsn, first["run_id"])
    drain(storm)
    taken_back(storm.dsn, second["run_id"])


@pytest.mark.parametrize("blind", [False, True], ids=["careful corrections", "blind corrections"])
def test_no_event_is_lost_doubled_or_altered_in_the_storm(scout_db: str, blind: bool) -> None:
    dice = random.Random(SEED)
    ways: Iterator[Callable[[Storm, Result], None]] = itertools.cycle([redrive, undo, leave, undo_twice])
    moved: list[Result] = []
    with Storm(scout_db, blind_corrections=blind) as storm:
        while storm.seconds() < SECONDS or len(moved) < 4 or storm.corrections <= 10:
            time.sleep(dice.uniform(0, 1))
            start, ends = ago(dice.uniform(2, 7)), [None, ago(1), ago(0), ago(-5)]
            end = dice.choice(ends)
            run = quarantine(
                scout_db, window_start=stamp(start), window_end=end and stamp(end), incident=f"STORM-{len(moved)}"
            )
            drain(storm)
            if run["changed"]:
                moved.append(run)
                next(ways)(storm, run)
                drain(storm)
            known = dict(storm.written)
            now = where(scout_db, known)
            assert (now.lost, now.duplicated, now.altered) == (set(), set(), set())
    ran("scout_drain", scout_db)
    assert where(scout_db, storm.written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}
    assert len(moved) >= 4
    assert sum(run["moved"]["transactions"] for run in moved) > 0
    assert storm.corrections > 10


def test_what_appears_in_a_closed_window_later_stays_until_it_is_asked_for(scout_db: str) -> None:
    arrive(scout_db, [generator.transaction(SEED, 1)], start=ago(2))
    with psycopg.connect(scout_db) as store:
        late = generator.insert(store, generator.transaction(SEED, 2))
        window = {"window_start": stamp(ago(30)), "window_end": stamp(datetime.now(UTC))}
        first = quarantine(scout_db, **window)
    written = bronze(scout_db)
    assert late in written
    second = quarantine(scout_db, **window)
    third = quarantine(scout_db, **window)
    assert (second["changed"], second["moved"]["events"], third["changed"]) == (True, 1, False)
    assert first["run_id"] != second["run_id"]
    assert where(scout_db, {late: written[late]}).lost == set()


def test_what_the_etl_loads_while_a_move_begins_moves_with_its_closure(scout_db: str) -> None:
    [event] = arrive(scout_db, [generator.transaction(SEED, 1)])
    with psycopg.connect(scout_db, user="loader") as etl:
        etl.execute("SELECT scout.load_silver_from_bronze(2000)")
        with once_waited_for(scout_db, etl.commit):
            result = quarantine(scout_db, event_ids=[str(event)])
    assert result["moved"]["transactions"] == 1
    assert one(scout_db, "SELECT count(*) FROM scout.silver_transactions WHERE source_event_id = %s", event) == 0
    assert silver_is_what_bronze_makes(scout_db) == {}
