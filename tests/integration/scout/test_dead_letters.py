# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is removed from bronze stands in the dead letter queue so that the very same row can be made of it."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from tests.integration.modules import call, connect, one, rows

#: What deployments added to bronze, each with a value that a careless copy would change.
EXTRA = """
ALTER TABLE scout.bronze_events
    ADD metadata jsonb, ADD amount numeric, ADD seen_at timestamptz, ADD seen_locally timestamp, ADD tags text[],
    ADD seen timestamptz[], ADD ratio float8, ADD rough float4, ADD took interval, ADD raw bytea, ADD "Mixed ""Ñame" text,
    ADD flags bit(3), ADD span tstzrange, ADD address inet, ADD day date, ADD empty text, ADD nothing int;
CREATE TYPE scout.place AS (name text, spot point);
ALTER TABLE scout.bronze_events ADD place scout.place, ADD places scout.place[];
"""

VALUES = r"""
UPDATE scout.bronze_events SET
    metadata = '{"n": 1.50, "big": 12345678901234567890.123, "a": [null, {}], "u": "\u00f1 \" \\"}', amount = 'NaN',
    seen_at = '2026-01-02 03:04:05.123456+08', seen_locally = '0044-03-15 12:00:00.000001 BC',
    tags = ARRAY['a,b', '"', NULL, '', '\'], seen = ARRAY['infinity', '2026-01-02 03:04:05.000001+00']::timestamptz[],
    ratio = 0.1::float8 + 0.2::float8, rough = 1.1, took = '1 mon -2 days 03:04:05.000006', raw = '\x00ff5c27',
    "Mixed ""Ñame" = E'tab\t newline\n', flags = B'101', span = '[2026-01-01, infinity)', address = '10.0.0.1/8',
    day = '-infinity', empty = '', place = ROW('x "y"', point(1.5, 2)), places = ARRAY[ROW(NULL, NULL)::scout.place]
WHERE event_id = %s
"""

REBUILT = """
SELECT md5(b::text), b.event_data = d.original_payload
FROM scout.bronze_events_dlq AS d
CROSS JOIN LATERAL jsonb_populate_record(
    NULL::scout.bronze_events, d.error_details -> 'event' || jsonb_build_object('event_data', d.original_payload)) AS b
"""

ODD_SETTINGS = """
ALTER DATABASE {0} SET bytea_output = 'escape';
ALTER DATABASE {0} SET extra_float_digits = -5;
ALTER DATABASE {0} SET IntervalStyle = 'sql_standard';
ALTER DATABASE {0} SET DateStyle = 'German';
ALTER DATABASE {0} SET timezone = 'Asia/Manila';
"""


def spoil(connection: psycopg.Connection[Any], **fields: Any) -> Any:
    """A poison event with microseconds, no hash and no source."""
    event = generator.insert(connection, poison_payloads.payload("bad_ts", 4711, 1) | fields)
    connection.execute(
        """
        UPDATE scout.bronze_events SET event_hash = NULL, source_system = NULL, event_ts = '2026-01-02 03:04:05.000007+00',
               ingested_at = '2026-01-02 03:04:05.123456+00' WHERE event_id = %s
        """,
        [event],
    )
    return event


@pytest.mark.parametrize("hashed", [False, True])
def test_the_image_gives_back_the_very_same_row(scout_db: str, hashed: bool) -> None:
    with connect(scout_db) as connection:
        event = spoil(connection, odd=[1.50, 1e300, '\u00f1\t"\\', None, {"": {}}])
        if hashed:
            connection.execute("UPDATE scout.bronze_events SET event_hash = '\\x005c27ff' WHERE event_id = %s", [event])
    digest = one(scout_db, "SELECT md5(b::text) FROM scout.bronze_events AS b WHERE event_id = %s", event)
    [entry] = call("scout_drain", scout_db)["poison"]
    assert rows(scout_db, REBUILT) == [(digest, True)]
    assert entry["dlq_id"] == str(one(scout_db, "SELECT dlq_id FROM scout.bronze_events_dlq"))
    assert set(one(scout_db, "SELECT error_details -> 'event' FROM scout.bronze_events_dlq")) == {
        "event_id", "event_type", "event_ts", "source_system", "event_hash", "ingested_at",
    }  # fmt: skip


@pytest.mark.parametrize("odd_settings", [False, True])
def test_columns_that_a_deployment_added_are_kept_exactly(scout_db: str, odd_settings: bool) -> None:
    with connect(scout_db) as connection:
        connection.execute(EXTRA)
        event = spoil(connection)
        connection.execute(VALUES, [event])
        digest = one(scout_db, "SELECT md5(b::text) FROM scout.bronze_events AS b WHERE event_id = %s", event)
        if odd_settings:
            connection.execute(ODD_SETTINGS.format(connection.info.dbname))  # type: ignore[call-overload]
    drained = call("scout_drain", scout_db)
    assert len(drained["poison"]) == 1
    assert not call("scout_undo", scout_db, run_id=drained["run_id"]).get("failed")
    exactly = "-c bytea_output=hex -c extra_float_digits=1 -c IntervalStyle=postgres -c DateStyle=ISO -c timezone=UTC"
    with connect(scout_db, options=exactly) as connection:
        again = connection.execute("SELECT md5(b::text) FROM scout.bronze_events AS b WHERE event_id = %s", [event])
        assert again.fetchall() == [(digest,)]


def test_text_that_json_would_write_in_another_way_is_kept_as_it_is(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.bronze_events ADD verbatim json")
        event = spoil(connection)
        connection.execute(
            'UPDATE scout.bronze_events SET verbatim = \'{"b":  1, "a": 2, "b": 3}\' WHERE event_id = %s', [event]
        )
    row = one(scout_db, "SELECT b::text FROM scout.bronze_events AS b WHERE event_id = %s", event)
    drained = call("scout_drain", scout_db)
    assert len(drained["poison"]) == 1
    assert not call("scout_undo", scout_db, run_id=drained["run_id"]).get("failed")
    assert one(scout_db, "SELECT b::text FROM scout.bronze_events AS b WHERE event_id = %s", event) == row


def test_the_document_tells_what_happened(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.silver_transactions ADD CONSTRAINT sane CHECK (store_id <> 'S-404')")
        generator.insert(connection, generator.transaction(4711, 1, store_id="S-404"), source_system="pos-sync")
    result = call("scout_drain", scout_db, incident="INC-7", max_poison_share=1.0)
    [(details, source)] = rows(scout_db, "SELECT error_details, source_system FROM scout.bronze_events_dlq")
    assert details.pop("event")["event_type"] == "transaction.v1"
    assert details.pop("detail").startswith("Failing row contains (")
    assert "@" in details.pop("actor")
    assert (details, source) == (
        {
            "format": "scout-recovery/1", "incident": "INC-7", "run_id": result["run_id"], "kind": "poison",
            "sqlstate": "23514", "constraint": "sane", "column": None,
        },
        "pos-sync",
    )  # fmt: skip


TAMPERING = {
    "altered on its way in": """
        CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN NEW.original_payload := '{}'; RETURN NEW; END $$;
        CREATE TRIGGER tamper BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW EXECUTE FUNCTION tamper();
    """,
    "dropped on its way in": """
        CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER tamper BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW EXECUTE FUNCTION tamper();
    """,
    "kept in bronze": """
        CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
        CREATE TRIGGER tamper BEFORE DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION tamper();
    """,
    "put back into bronze": """
        CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO scout.bronze_events VALUES (OLD.*); RETURN NULL; END $$;
        CREATE TRIGGER tamper AFTER DELETE ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION tamper();
    """,
}


@pytest.mark.parametrize("how", TAMPERING)
def test_nothing_is_moved_unless_what_is_stored_equals_what_is_removed(scout_db: str, how: str) -> None:
    with connect(scout_db) as connection:
        event = spoil(connection)
        connection.execute(TAMPERING[how])  # type: ignore[call-overload]
    result = call("scout_drain", scout_db)
    assert (result["failed"], result["error"]["kind"], result["poison"]) == (True, "not_reached", [])
    assert f"did not move event {event} to the dead letter queue" in result["msg"]
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") == 0
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_id = %s", event) == 1


@pytest.mark.parametrize("proof", ["digest", "count"])
@pytest.mark.parametrize("how", TAMPERING)
def test_a_quarantine_moves_nothing_it_cannot_prove(scout_db: str, how: str, proof: str) -> None:
    with connect(scout_db) as connection:
        event = str(spoil(connection))
        connection.execute(TAMPERING[how])  # type: ignore[call-overload]
    result = call("scout_quarantine", scout_db, event_ids=[event], compare_by=proof)
    # A count tells that a row is missing, not that it is another one.
    proved = (how, proof) == ("altered on its way in", "count")
    assert (result.get("failed", False), result.get("error", {}).get("kind")) == (
        not proved,
        None if proved else "not_reached",
    )
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events_dlq") == int(proved)
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_id = %s", event) == int(not proved)


def test_a_queue_that_refuses_an_event_is_named(scout_db: str) -> None:
    with connect(scout_db) as connection:
        event = spoil(connection)
        connection.execute("ALTER TABLE scout.bronze_events_dlq ADD CHECK (source_system IS NOT NULL)")
    result = call("scout_drain", scout_db)
    assert 'new row for relation "bronze_events_dlq" violates check constraint' in result["msg"]
    assert one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_id = %s", event) == 1
