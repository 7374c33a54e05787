# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What cannot be loaded is one thing: the probe, on bronze and on dead letters, the condition of a window and the ETL agree."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator, poison_payloads
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.redrive import letters
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import (
    contract,
    expected_silver,
    loadable,
    poison_probe,
    row_images,
)
from tests.integration.modules import connect

SEED = 71_717

ARRIVES = """
INSERT INTO scout.bronze_events (event_type, event_ts, source_system, event_data, ingested_at)
SELECT 'transaction.v1', now(), 'edge', %(payload)s, now() RETURNING event_id::text AS id
"""
DIES = """
INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message) VALUES (%(payload)s, 'X', 'x')
RETURNING dlq_id::text AS id
"""
LOAD = "SELECT FROM scout.load_silver_from_bronze(1)"

HOSTILE: list[Any] = [
    ..., None, True, "", " 12 ", "1e3", -12.345, -(10**9), "NaN", "Infinity", "-inf", 10**9, 99999999.994, 99999999.995, "0x1F", "1_000",
    "12,5", [], {}, {"a": None}, "abc", 2147483647, 2147483648, 1.5, "0", "2025-08-24", "2025-02-30", "2025-08-24T25:00",
    "2025-08-24T23:30:00-11:00", "24 Aug", "now", "infinity", "%s", "{bronze}", "it's", "x" * 200,
]  # fmt: skip
KEYS = ("transaction_id", "store_id", "ts", "total_amount", "net_amount", "discount_amount", "tax_amount", "items")
ITEM_KEYS = ("product_id", "qty", "quantity", "unit_price", "line_amount")


def changed(key: str, value: Any, *, item: bool) -> dict[str, Any]:
    """A sale of one item with this value; `...` leaves the key out."""
    sale = generator.transaction(SEED, 1)
    sale["items"] = sale["items"][:1]
    target = sale["items"][0] if item else sale
    target.pop(key, None)
    if value is not ...:
        target[key] = value
    return sale


#: By what they are about; each is told by a name.
PAYLOADS: dict[str, dict[str, object]] = {
    "poison": {kind: poison_payloads.payload(kind, SEED, 1) for kind in poison_payloads.KINDS},
    "harmless": {kind: spoil(generator.transaction(SEED, 1)) for kind, spoil in poison_payloads.HARMLESS.items()},
    **{key: {f"{value!r:.30}": changed(key, value, item=False) for value in HOSTILE} for key in KEYS},
    **{f"item.{key}": {f"{value!r:.30}": changed(key, value, item=True) for value in HOSTILE} for key in ITEM_KEYS},
    "odd": {
        "quantity in place of qty": changed("qty", None, item=True),
        "quantity that is not asked for": changed("quantity", "abc", item=True),
        "item is a list": changed("items", [[]], item=False),
        "item is null": changed("items", [None], item=False),
        "nothing": {},
        "only an id": {"transaction_id": "T"},
    },
}


@pytest.fixture(scope="module")
def empty(pg_server: Server) -> Iterator[Session]:
    """A session on a pipeline without events."""
    dsn = builder.build(pg_server.create_database("loadable_empty"), events=0)
    with open_session(Settings(dsn=dsn)) as session:
        yield session
    pg_server.drop_database("loadable_empty")


def loads(session: Session) -> bool:
    """Whether the ETL takes the one event there is."""
    try:
        with session.savepoint():
            session.rows(LOAD)
            raise psycopg.Rollback
    except (psycopg.DataError, psycopg.IntegrityError):
        return False
    return True


def verdicts(session: Session, payload: object) -> dict[str, bool]:
    """Whether it can be loaded, by all that say so; the ETL first."""
    found: dict[str, bool] = {}
    with session.write():
        event = session.row(ARRIVES, payload=Jsonb(payload))["id"]
        dead = session.row(DIES, payload=Jsonb(payload))["id"]
        found["etl"] = loads(session)
        found["probe"] = not poison_probe.unconvertible(session, [event], 1)
        found["head"] = not poison_probe.suspects(session, limit=10)
        kind, patched = contract.names().transaction_event, json.dumps(payload)
        letter = letters.Letter(dead, event, kind, None, None, (), None, None)
        found["letter"] = not letters.suspicious(session, [letter], 1)
        session.execute("UPDATE scout.bronze_events_dlq SET original_payload = '{}'")
        letter = dataclasses.replace(letter, payload=patched)
        found["patched letter"] = not letters.suspicious(session, [letter], 1)
        model = expected_silver.Model(row_images.read(session), session.facts.server_version)
        found["window"] = not malformed(session, model.malformed)
        raise psycopg.Rollback
    return found


def malformed(session: Session, condition: Any) -> bool:
    """The condition on the one event there is."""
    [row] = session.rows(contract.compose("SELECT {condition} AS malformed FROM {bronze} AS b", condition=condition))
    assert row["malformed"] is not None
    return row["malformed"]


@pytest.mark.parametrize("about", PAYLOADS)
def test_all_agree_with_the_etl(empty: Session, about: str) -> None:
    found = {name: verdicts(empty, payload) for name, payload in PAYLOADS[about].items()}
    assert {name: said for name, said in found.items() if len({*said.values()}) > 1} == {}
    if about in ("poison", "harmless"):
        assert {said["etl"] for said in found.values()} == {about == "harmless"}


@pytest.mark.parametrize("about", PAYLOADS)
def test_a_server_that_cannot_be_asked_never_lets_pass_what_fails(empty: Session, about: str) -> None:
    with empty.read():
        condition = loadable.malformed(loadable.types(empty), 150_000)
    passed: list[str] = []
    for name, payload in PAYLOADS[about].items():
        with empty.write():
            empty.row(ARRIVES, payload=Jsonb(payload))
            passed += [name] if not malformed(empty, condition) and not loads(empty) else []
            raise psycopg.Rollback
    assert passed == []


def test_a_wider_column_takes_more(scout_db: str) -> None:
    sale = changed("line_amount", 100_000_000, item=True)
    with open_session(Settings(dsn=scout_db)) as session, connect(scout_db) as connection:
        connection.execute("DELETE FROM scout.bronze_events")
        assert set(verdicts(session, sale).values()) == {False}
        connection.execute("ALTER TABLE scout.silver_line_items ALTER COLUMN line_amount TYPE numeric(14, 2)")
        assert set(verdicts(session, sale).values()) == {True}


def test_each_reason_is_said(empty: Session) -> None:
    said: dict[str, str] = {}
    for kind in ("null_transaction_id", "missing_store_id", "no_amounts", "item_without_product_id", "bad_ts"):
        with empty.write():
            event = empty.row(ARRIVES, payload=Jsonb(PAYLOADS["poison"][kind]))["id"]
            [suspect] = poison_probe.unconvertible(empty, [event], 1)
            said[kind] = suspect.reason
            raise psycopg.Rollback
    reasons = [words for _, words in loadable.LACKS]
    assert [*said.values()][:4] == [*reasons, loadable.ITEM_LACKS_WORDS]
    assert "invalid input syntax for type timestamp" in said["bad_ts"]
