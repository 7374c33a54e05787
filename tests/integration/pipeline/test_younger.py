# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A quarantine is for events, not for what a deployment brought: sound sales stay in the queue, and what refuses them is named."""

from __future__ import annotations

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import call, connect, one
from tests.integration.oracle import START, arrive

SILVER = "scout.silver_transactions"
RAISES = """
CREATE FUNCTION scout.guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF new.payment_method = 'gcash' THEN RAISE EXCEPTION 'no gcash here'; END IF; RETURN new; END $$;
CREATE TRIGGER guard BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.guard()
"""
ETL = """
DO $do$ BEGIN EXECUTE replace(pg_get_functiondef('scout.load_silver_from_bronze(int)'::regprocedure),
    'coalesce(e->>''payment_method'', ''unknown'')',
    'CASE WHEN e->>''payment_method'' = ''gcash'' THEN (1 / (length(e->>''store_id'') * 0))::text ELSE e->>''payment_method'' END');
END $do$
"""
DOMAIN = f"""
CREATE DOMAIN scout.method AS text CONSTRAINT known CHECK (value <> 'never');
ALTER TABLE {SILVER} ALTER COLUMN payment_method TYPE scout.method;
ALTER DOMAIN scout.method ADD CONSTRAINT no_gcash CHECK (value <> 'gcash') NOT VALID
"""
METHODS = f"""
CREATE TABLE scout.methods (m text PRIMARY KEY); INSERT INTO scout.methods VALUES ('cash'), ('card');
ALTER TABLE {SILVER} ADD CONSTRAINT known FOREIGN KEY (payment_method) REFERENCES scout.methods NOT VALID
"""
CHECK = f"ALTER TABLE {SILVER} ADD CONSTRAINT no_gcash CHECK (payment_method <> 'gcash') NOT VALID"
UNIQUE = f"CREATE UNIQUE INDEX one ON {SILVER} ((1)) WHERE total_amount = 4242.42"
#: What a deployment brings, what is said of it, and what takes it back.
BROUGHT = {
    "a check": (CHECK, f"constraint no_gcash on {SILVER}", f"ALTER TABLE {SILVER} DROP CONSTRAINT no_gcash"),
    "a foreign key": (METHODS, f"constraint known on {SILVER}", f"ALTER TABLE {SILVER} DROP CONSTRAINT known"),
    "a unique index": (UNIQUE, "index scout.one", "DROP INDEX scout.one"),
    "a trigger": (RAISES, f"trigger guard on {SILVER}", f"ALTER TABLE {SILVER} DISABLE TRIGGER guard"),
    "an ETL": (ETL, "function scout.load_silver_from_bronze(integer)", ""),
    "a domain": (
        DOMAIN,
        "constraint no_gcash of domain scout.method",
        "ALTER DOMAIN scout.method DROP CONSTRAINT no_gcash",
    ),
}


def sell(dsn: str, method: str, *, numbers: range) -> None:
    payloads = [
        generator.transaction(4, n, sold_at=START) | {"payment_method": method, "total_amount": 4242.42}
        for n in numbers
    ]
    arrive(dsn, payloads)


def brought(dsn: str, what: str) -> None:
    """A sound load, and then what a deployment brings."""
    sell(dsn, "cash", numbers=range(1))
    assert call("scout_drain", dsn)["loaded"] == 1
    with connect(dsn) as session:
        session.execute(BROUGHT[what][0].encode())


@pytest.mark.parametrize("what", BROUGHT)
def test_what_a_deployment_brought_is_named_and_no_sound_sale_is_quarantined(what: str, scout_db: str) -> None:
    _, named, undo = BROUGHT[what]
    brought(scout_db, what)
    poison = library.poison_event(scout_db, kind="bad_ts")
    sell(scout_db, "gcash", numbers=range(1, 4))
    refused = call("scout_drain", scout_db)
    assert refused["failed"], refused
    assert "stopped before it quarantined a sale that has nothing wrong in it" in refused["msg"]
    assert f"{named}, which came after the last load that worked, refuses event" in refused["msg"]
    letters = "SELECT count(*) FROM scout.bronze_events_dlq"
    assert one(scout_db, letters) == len(refused["poison"]) <= 1
    assert (
        one(scout_db, "SELECT count(*) FROM scout.bronze_events WHERE event_data ->> 'payment_method' = 'gcash'") >= 3
    )
    if undo:
        assert f", or {undo}, then" in refused["error"]["next_step"]
        with connect(scout_db) as session:
            session.execute(undo.encode())
        assert not call("scout_drain", scout_db).get("failed")
        assert one(scout_db, letters) == 1
    assert poison


def test_what_refuses_every_sale_is_named_too(scout_db: str) -> None:
    sell(scout_db, "cash", numbers=range(1))
    assert call("scout_drain", scout_db)["loaded"] == 1
    with connect(scout_db) as session:
        session.execute(f"ALTER TABLE {SILVER} ADD COLUMN extra text DEFAULT ''".encode())
        session.execute(f"ALTER TABLE {SILVER} ALTER extra DROP DEFAULT, ALTER extra SET NOT NULL".encode())
    sell(scout_db, "cash", numbers=range(1, 3))
    refused = call("scout_drain", scout_db)
    assert "the ETL rejects a known-good test sale too" in refused["msg"]
    assert f"NOT NULL of column extra of {SILVER} came after the last load that worked" in refused["msg"]
    assert f"ALTER TABLE {SILVER} ALTER COLUMN extra DROP NOT NULL" in refused["error"]["next_step"]


def test_what_was_there_when_others_were_loaded_quarantines_as_before(scout_db: str) -> None:
    brought(scout_db, "a check")
    sell(scout_db, "cash", numbers=range(10, 12))
    assert call("scout_drain", scout_db)["loaded"] == 2
    sell(scout_db, "gcash", numbers=range(1, 3))
    done = call("scout_drain", scout_db)
    assert not done.get("failed"), done["msg"]
    assert len(done["poison"]) == 2


def test_whoever_wants_them_quarantined_all_the_same_says_so(scout_db: str) -> None:
    brought(scout_db, "a check")
    sell(scout_db, "gcash", numbers=range(1, 3))
    assert len(call("scout_drain", scout_db, max_poison_share=1.0)["poison"]) == 2
