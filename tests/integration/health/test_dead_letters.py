# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scout_dead_letters_info on a real queue: by error, age and source; large, empty, missing or denied."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import dead_letters
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.dead_letters import page
from tests.integration.modules import Result, call, connect, executed, fingerprint, operator

MODULE = "scout_dead_letters_info"
ADDED = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details, source_system, failed_at,
                                     retry_count, resolved_at)
SELECT %(payload)s, %(code)s, %(message)s, %(details)s, %(source)s, now() - make_interval(hours => %(hours)s), %(retried)s,
       CASE WHEN %(resolved)s THEN now() END
FROM generate_series(1, %(times)s)
"""


def add(dsn: str, **values: Any) -> None:
    """Entries of the queue."""
    usual = {
        "payload": {},
        "code": "POISON_EVENT",
        "message": "no",
        "details": None,
        "source": "pos",
        "hours": 0,
        "retried": 0,
    }
    given = {"resolved": False, "times": 1, **usual, **values}
    given |= {name: Jsonb(given[name]) for name in ("payload", "details")}
    with connect(dsn) as connection:
        connection.execute(ADDED, given)


def ask(dsn: str, **options: Any) -> Result:
    result = call(MODULE, dsn, **options)
    assert not result.get("failed"), result
    return result


def test_by_error_age_and_source(variant_db: str) -> None:
    scout_db = variant_db
    add(scout_db, hours=2, times=3, details={"event": {"event_id": "e-1"}, "run_id": "r-1", "incident": "INC-7"})
    add(scout_db, hours=200, times=2, source="web", retried=1, message="not a number")
    add(scout_db, hours=0, code="QUARANTINE", source=None)
    add(scout_db, times=9, resolved=True)
    before = fingerprint(scout_db)
    found = ask(scout_db)
    assert (found["entries"], found["kinds"], found["limited"]) == (6, 3, False)
    assert found["ages"] == {"hour": 1, "day": 3, "week": 0, "older": 2}
    assert [(g["error_code"], g["source_system"], g["entries"], g["retried"]) for g in found["groups"]] == [
        ("POISON_EVENT", "pos", 3, 0), ("POISON_EVENT", "web", 2, 2), ("QUARANTINE", None, 1, 0),
    ]  # fmt: skip
    sample = found["groups"][0]["sample"]
    assert (sample["event_id"], sample["run_id"], sample["incident"]) == ("e-1", "r-1", "INC-7")
    assert found["summary"] == "6 unresolved dead letters of 3 kinds"
    assert executed(MODULE, scout_db, check=True)["groups"][1]["sample"]["error_message"] == "not a number"
    assert fingerprint(scout_db) == before
    shown = page(found)
    assert shown[0] == "dead letters by age: 1 of the last hour, 3 of the last day, 2 older"
    assert "  POISON_EVENT from web" in shown
    assert max(map(len, shown)) <= 79


def test_only_those_that_are_asked_for(scout_db: str) -> None:
    add(scout_db, times=3)
    add(scout_db, code="QUARANTINE", source="web")
    assert ask(scout_db, error_codes=["QUARANTINE"])["entries"] == 1
    assert ask(scout_db, source_systems=["pos"])["entries"] == 3
    few = ask(scout_db, limit=1)
    assert (few["entries"], few["kinds"], len(few["groups"])) == (4, 2, 1)
    assert page(few)[-1] == "  and 1 more kind"
    for limit in (0, 101):
        assert call(MODULE, scout_db, limit=limit)["error"]["attempted"] == f"limit {limit} is not usable"


def test_an_empty_queue(scout_db: str) -> None:
    found = ask(scout_db)
    assert (found["summary"], found["groups"]) == ("0 unresolved dead letters", [])
    assert page(found) == []


def test_a_sample_has_an_amount_if_it_is_a_number_and_the_statement_that_shows_the_payload(scout_db: str) -> None:
    add(scout_db, payload={"total_amount": 12.75, "note": "Ana"})
    add(scout_db, payload={"total_amount": "Ana"}, code="OTHER")
    number, word = (group["sample"] for group in sorted(ask(scout_db)["groups"], key=lambda g: -len(g["error_code"])))
    assert (number["amount"], word["amount"]) == ("12.75", None)
    with connect(scout_db) as connection:
        shown = connection.execute(number["look"].encode()).fetchall()
    assert {"total_amount": 12.75, "note": "Ana"} in shown[0]


def test_texts_of_others_stay_one_line_of_a_screen(scout_db: str) -> None:
    add(scout_db, code="A\x1b[2J\nB" * 50, source="\u202egone", message="x\x1b]0;y\x07" * 500, payload={"a": "\x1b[2J"})
    found = ask(scout_db)
    assert len(found["groups"][0]["error_code"]) == dead_letters.NAME
    for line in page(found):
        assert line.isprintable()
        assert len(line) <= 79


def test_a_large_queue_and_a_large_payload_are_bounded(scout_db: str) -> None:
    add(scout_db, payload={"text": [str(number) for number in range(40_000)]})
    sample = ask(scout_db)["groups"][0]["sample"]
    assert sample["bytes"] > dead_letters.PAYLOAD
    assert f"{sample['bytes']:,} bytes" in " ".join(page(ask(scout_db)))
    add(scout_db, times=50)
    with open_session(Settings(scout_db)) as session:
        found = dead_letters.read(session, most=20)
    assert (found.entries, found.limited, sum(group["entries"] for group in found.groups)) == (20, True, 20)


def test_a_queue_that_is_not_there(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute("DROP TABLE scout.bronze_events_dlq CASCADE")
    error = call(MODULE, scout_db)["error"]
    assert (error["kind"], error["said"]) == ("wrong_database", "there is no such table")
    assert "scout_contract" in error["next_step"]


def test_a_queue_that_may_not_be_read(scout_db: str) -> None:
    with operator(scout_db, without="member") as dsn:
        error = call(MODULE, dsn)["error"]
        assert error["kind"] == "missing_privilege"
        assert "preflight" in error["next_step"]


@pytest.mark.parametrize("name", ["retry_count", "error_details"])
def test_a_queue_of_other_columns_is_said_in_a_sentence(scout_db: str, name: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(f"ALTER TABLE scout.bronze_events_dlq DROP COLUMN {name} CASCADE")  # type: ignore[call-overload]
    error = call(MODULE, scout_db)["error"]
    assert name in error["said"]
    assert error["sqlstate"] == "42703"


def test_ten_poison_errors_are_of_as_many_kinds_as_there_are_reasons(scout_db: str) -> None:
    """By SQLSTATE and message without its values; columns and constraints tell kinds apart. The most frequent comes first."""
    numeric = 'invalid input syntax for type numeric: "{}"'
    null = 'null value in column "{}" of relation "silver_transactions" violates not-null constraint'
    for nth in range(4):
        add(scout_db, message=numeric.format(f"Ana {nth}"), details={"sqlstate": "22P02"}, hours=nth)
    for _ in range(3):
        add(scout_db, message=null.format("store_id"), details={"sqlstate": "23502"})
    add(scout_db, message=null.format("transaction_id"), details={"sqlstate": "23502"})
    add(scout_db, message="sale T-17 of 250.00 is too large", details={"sqlstate": "P0001"})
    add(scout_db, message="sale T-18 of 99.00 is too large", details={"sqlstate": "P0001"})
    found = ask(scout_db)
    assert (found["entries"], found["kinds"]) == (10, 4)
    assert [(g["entries"], g["sqlstate"], g["error"]) for g in found["groups"]] == [
        (4, "22P02", 'invalid input syntax for type numeric: "…"'),
        (3, "23502", null.format("store_id")),
        (2, "P0001", "sale … of … is too large"),
        (1, "23502", null.format("transaction_id")),
    ]
    assert "Ana" not in str(found)
    shown = "\n".join(page(found))
    assert shown.index("POISON_EVENT (22P02) from pos") < shown.index("POISON_EVENT (23502) from pos")
