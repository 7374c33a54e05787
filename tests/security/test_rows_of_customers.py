# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: whoever sees a screen, a result or the ledger reads the customers' rows that PostgreSQL quotes in its errors."""

from __future__ import annotations

import json

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import translate
from tests.integration.modules import call, connect, one, rows
from tests.security.test_secrets_in_the_ledger import EVERYTHING

NAME, EMAIL, PHONE = "Maria Dimaculangan", "maria.d@example.com", "0917 555 1234"
PEOPLE = """
CREATE TEMPORARY TABLE people (
    customer_email text CONSTRAINT one_each UNIQUE, alias text CONSTRAINT alias_once UNIQUE, store_id text CONSTRAINT store_once UNIQUE,
    n numeric(4) CONSTRAINT n_is_small CHECK (n < 9)
)
"""


def test_details_name_columns_and_constraints_and_nobodys_values(scout_db: str) -> None:
    said: list[str] = []
    with connect(scout_db) as session:
        session.execute(PEOPLE)
        session.execute("INSERT INTO people VALUES (%s, %s, 'S012', 1)", [EMAIL, NAME])
        for row in ([EMAIL, "x", "y", 1], ["x", NAME, "y", 1], ["x", "y", "S012", 1], [EMAIL, NAME, PHONE, 9]):
            with pytest.raises(psycopg.Error) as refused:
                session.execute("INSERT INTO people VALUES (%s, %s, %s, %s)", row)
            said.append(str(translate(refused.value, "could not load")))
    text = " ".join(said)
    assert not [secret for secret in (NAME, EMAIL, PHONE, "Maria") if secret in text]
    for kept in (
        "one_each",
        "Key (customer_email)=(masked:",
        "Key (alias)=(masked:",
        "Key (store_id)=(S012)",
        "n_is_small",
        "(***)",
    ):
        assert kept in text


def test_what_a_job_said_and_what_a_drain_met(scout_db: str) -> None:
    payloads = [
        generator.transaction(7, 900_001, total_amount=NAME),
        generator.transaction(7, 900_002, total_amount=PHONE),
        generator.transaction(7, 900_003, ts=f"at noon, says {NAME}"),
    ]
    with connect(scout_db) as session:
        ids = [str(generator.insert(session, payload)) for payload in payloads]
        session.execute(
            "INSERT INTO cron.job_run_details (jobid, database, username, command, status, return_message, start_time, end_time) "
            "SELECT jobid, database, username, command, 'failed', %s, now(), now() FROM cron.job WHERE command ~ 'load_silver'",
            [
                f"ERROR: value violates c\nDETAIL:  Failing row contains ({NAME}, {EMAIL}, {PHONE}).\nKey (email)=({EMAIL}) exists"
            ],
        )
    assessed = call("scout_health_info", scout_db)
    foreseen = call("scout_drain", scout_db, check=True)
    drained = call("scout_drain", scout_db)
    assert not drained.get("failed"), drained
    assert {kind["sqlstate"]: kind["events"] for kind in drained["kinds"]} == {"22P02": 2, "22007": 1}
    assert '(2 kinds; 2 of invalid input syntax for type numeric: "…" (22P02))' in drained["summary"]
    letters = call("scout_dead_letters_info", scout_db)
    for shown in (assessed, foreseen, drained, letters, one(scout_db, EVERYTHING)):
        text = json.dumps(shown, default=str)
        assert not [secret for secret in (NAME, "Maria", EMAIL, PHONE) if secret in text]
    kept = rows(
        scout_db,
        "SELECT original_payload FROM scout.bronze_events_dlq WHERE error_details #>> '{event,event_id}' = ANY(%s)",
        ids,
    )
    assert sorted(json.dumps(payload) for (payload,) in kept) == sorted(
        json.dumps(Jsonb(each).obj) for each in payloads
    ), "nothing is lost"
