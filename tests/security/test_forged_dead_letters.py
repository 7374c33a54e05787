# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever may only INSERT into the dead letter queue forges a sale that undo or redrive would put into silver."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from psycopg.types.json import Jsonb

from tests.integration.modules import Result, call, connect, one, rows

FORGED = "999999.00"

#: A letter of the run, copied with a sale of its own.
FORGE = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details, source_system)
VALUES (%s, 'QUARANTINE', '', %s, 'forged')
"""

EVENT = {
    "event_id": "00000000-0000-4000-8000-00000000beef",
    "event_type": "transaction",
    "event_ts": "2026-11-01 00:00:00+00",
    "ingested_at": "2026-11-01 00:00:00+00",
    "event_hash": "\\x00",
}


@pytest.fixture
def intruder(scout_db: str) -> Iterator[str]:
    """The dsn of a role that may INSERT into the dead letter queue, and nothing else."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE intruder LOGIN; GRANT USAGE ON SCHEMA scout TO intruder")
        superuser.execute("GRANT INSERT ON scout.bronze_events_dlq TO intruder")
    yield scout_db
    with connect(scout_db) as superuser:
        superuser.execute("DROP OWNED BY intruder; DROP ROLE intruder")


def quarantined(dsn: str) -> Result:
    """A run that set two loaded events aside."""
    result = call("scout_quarantine", dsn, event_ids=[str(row[0]) for row in rows(dsn, LOADED)])
    assert result["moved"]["events"] == 2, result
    return result


LOADED = "SELECT event_id FROM scout.etl_processed JOIN scout.bronze_events USING (event_id) ORDER BY event_id LIMIT 2"


def image(dsn: str) -> dict[str, Any]:
    """The image of a sale, as silver has one, with the forger's total."""
    query = """SELECT pg_catalog.jsonb_object_agg(key, value #>> '{}')
               FROM jsonb_each((SELECT to_jsonb(t) FROM scout.silver_transactions AS t LIMIT 1))"""
    found = one(dsn, query)
    return {**found, "transaction_id": "FORGED", "total_amount": FORGED, "source_event_id": EVENT["event_id"]}


def forge(dsn: str, run_id: str) -> None:
    """The attack."""
    sale, details = (
        image(dsn),
        {"format": "scout-recovery/1", "kind": "quarantine", "run_id": run_id, "incident": "INC-1"},
    )
    mark = {"event_id": EVENT["event_id"], "processed_at": "2026-11-01 00:00:00+00"}
    with connect(dsn, options="-c role=intruder") as session:
        session.execute(
            FORGE,
            [
                Jsonb({"transaction_id": "FORGED", "total": FORGED}),
                Jsonb({**details, "event": EVENT, "transaction": sale, "lines": [], "ledger": mark}),
            ],
        )


def forged(dsn: str) -> int:
    """How much of it silver and bronze have."""
    return one(
        dsn,
        "SELECT (SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = 'FORGED')"
        " + (SELECT count(*) FROM scout.bronze_events WHERE event_id = %s)",
        EVENT["event_id"],
    )


@pytest.mark.parametrize("on_conflict", ["keep_current", "restore"])
def test_undo_restores_what_the_run_stored_and_names_what_was_added(intruder: str, on_conflict: str) -> None:
    run = quarantined(intruder)
    forge(intruder, run["run_id"])
    [[letter]] = rows(intruder, "SELECT dlq_id::text FROM scout.bronze_events_dlq WHERE source_system = 'forged'")

    refused = call("scout_undo", intruder, run_id=run["run_id"])
    assert refused["failed"]
    assert refused["conflicts"] == [
        {"table": "dead_letters", "key": letter, "why": "was added since: the run did not store it"}
    ]
    # Naming it makes it none that a run stored which noted what it did.
    done = call("scout_undo", intruder, run_id=run["run_id"], on_conflict=on_conflict, dlq_ids=[letter])

    assert not done.get("failed"), done["msg"]
    assert (done["put_back"]["events"], done["conflicting"], forged(intruder)) == (2, 1, 0)
    assert one(intruder, "SELECT count(*) FROM scout.bronze_events_dlq WHERE source_system = 'forged'") == 1


def test_undo_does_not_take_a_letter_that_was_changed_since(scout_db: str) -> None:
    run = quarantined(scout_db)
    with connect(scout_db) as session:
        session.execute(
            "UPDATE scout.bronze_events_dlq SET original_payload = jsonb_set(original_payload, '{total_amount}', %s)"
            " WHERE dlq_id = (SELECT min(dlq_id::text)::uuid FROM scout.bronze_events_dlq WHERE error_details ->> 'run_id' = %s)",
            [Jsonb(FORGED), run["run_id"]],
        )
    refused = call("scout_undo", scout_db, run_id=run["run_id"])
    assert [found["why"] for found in refused["conflicts"]] == ["has changed since the run stored it"]

    done = call("scout_undo", scout_db, run_id=run["run_id"], on_conflict="restore")

    assert done["put_back"]["events"] == 1, "the other one"
    assert (
        one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_data ->> 'total_amount' = %s", FORGED) == 0
    )


def test_undo_of_a_run_that_an_earlier_version_left_without_digests_believes_no_letter(scout_db: str) -> None:
    run = quarantined(scout_db)
    with connect(scout_db) as session:
        session.execute("TRUNCATE scout_ops.stored")
    refused = call("scout_undo", scout_db, run_id=run["run_id"])

    assert refused["failed"]
    assert refused["conflicting"] == 2
    assert "no digest" in refused["conflicts"][0]["why"]


@pytest.mark.parametrize("selection", ["of_incident", "error_codes", "run_id"])
def test_redrive_leaves_alone_what_was_added(intruder: str, selection: str) -> None:
    run = quarantined(intruder)
    forge(intruder, run["run_id"])
    given: dict[str, Any] = {"of_incident": "INC-1", "error_codes": ["QUARANTINE"], "run_id": run["run_id"]}
    done = call("scout_redrive", intruder, **{selection: given[selection]})

    assert not done.get("failed"), done["msg"]
    [left] = done["not_rebuildable"]
    assert left["why"] == "it was added or changed since: it is not what the run that it names stored"
    assert forged(intruder) == 0


def test_redrive_takes_no_letter_of_a_run_that_nobody_knows_unless_it_is_named(intruder: str) -> None:
    quarantined(intruder)
    forge(intruder, "00000000-0000-4000-8000-000000000001")
    done = call("scout_redrive", intruder, of_incident="INC-1")

    assert "name it in dlq_ids" in done["not_rebuildable"][0]["why"]
    assert forged(intruder) == 0
