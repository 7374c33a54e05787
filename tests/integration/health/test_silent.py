# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which sources, stores and devices are silent, and since when: "no data for two hours" says whose."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.gates import run
from tests.integration.modules import call, fingerprint

#: A hundred events of one store and source, the last one so many minutes ago, one each minute before.
SENT = """
INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash, ingested_at)
SELECT 'ping.v1', '{source}', jsonb_build_object('store_id', '{store}'), sha256(convert_to('{source}{store}' || n, 'UTF8')),
       now() - make_interval(mins => {minutes} + n)
FROM generate_series(0, {number}) AS n
"""


def sent(source: str, store: str, minutes: int, number: int = 99) -> str:
    return SENT.format(source=source, store=store, minutes=minutes, number=number)


def silent(result: dict[str, Any]) -> dict[tuple[str, str], int]:
    """By what and name, the minutes."""
    return {(row["what"], row["name"]): round(row["seconds"] / 60) for row in result["silent"]}


def test_what_is_silent_is_named_with_since_when(scout_db: str, subtests: pytest.Subtests) -> None:
    quiet = call("scout_health_info", scout_db)
    assert quiet["silent"] == []
    run(
        scout_db,
        sent("till-9", "S-lost", 120),
        sent("till-8", "S-night", 14),
        sent("till-7", "S-test", 300, number=7),
        # Every two hours, so that three hours are nothing unusual.
        "INSERT INTO scout.bronze_events (event_type, source_system, event_data, ingested_at) SELECT 'ping.v1', 'batch', '[]', "
        "now() - make_interval(mins => 40 + n * 90) FROM generate_series(0, 11) AS n",
        # A shop that sells something now and then, and has not for ten times as long as usual.
        "INSERT INTO scout.bronze_events (event_type, source_system, event_data, ingested_at) SELECT 'ping.v1', 'pos-sync', "
        '\'{"store_id": "S-seldom"}\', now() - make_interval(mins => 16 * 60 + n * 93) FROM generate_series(0, 20) AS n',
        "INSERT INTO scout.bronze_events (event_type, source_system, event_data, ingested_at) VALUES ('ping.v1', 'odd', '3', 'infinity')",
        "CREATE SCHEMA edge",
        "CREATE TABLE edge.devices (device_id uuid PRIMARY KEY, last_heartbeat timestamptz)",
        # A view is no table: what it calls would run as whoever reads it.
        "CREATE VIEW edge.seen AS SELECT device_id, last_heartbeat FROM edge.devices",
        "INSERT INTO edge.devices SELECT ('00000000-0000-0000-0000-00000000000' || n)::uuid, now() - make_interval(mins => m) "
        "FROM (VALUES (1, 125), (2, 1), (3, 100000), (4, NULL)) AS d (n, m)",
    )
    run(
        scout_db,
        "CREATE TABLE scout.file_ingestion_queue (queue_id bigserial PRIMARY KEY, file_name text NOT NULL, source_type text NOT NULL, "
        "created_at timestamptz DEFAULT now())",
        # One a day until three days ago; one a day until today; and two that somebody tried.
        "INSERT INTO scout.file_ingestion_queue (file_name, source_type, created_at) "
        "SELECT 'f' || n || '.zip', s.name, now() - make_interval(days => s.since + n) "
        "FROM (VALUES ('gmail', 3, 11), ('drive', 0, 11), ('manual', 9, 1)) AS s (name, since, number), generate_series(0, s.number) AS n",
    )
    before = fingerprint(scout_db)
    expected = {("source", "till-9"): 120, ("store", "S-lost"): 120}
    with subtests.test("beside sources that send"):
        result = call("scout_health_info", scout_db)
        assert silent(result) == expected
        [bronze] = [each for each in result["indicators"] if each["name"] == "bronze_staleness"]
        assert bronze["reason"] == "silent: source till-9 for 2 h 0 min; store S-lost for 2 h 0 min"
        assert bronze["status"] == "ok"
    with subtests.test("devices, where the contract names them"):
        named = call("scout_health_info", scout_db, contract={"devices": "edge.devices"})
        assert silent(named) == {**expected, ("device", "00000000-0000-0000-0000-000000000001"): 125}
    with subtests.test("senders of files, where the contract names their queue"):
        files = call("scout_health_info", scout_db, contract={"file_queue": "scout.file_ingestion_queue"})
        assert silent(files) == {**expected, ("file source", "gmail"): 3 * 24 * 60}
        [row] = [row for row in files["silent"] if row["what"] == "file source"]
        assert row["events"] == 12
        [bronze] = [each for each in files["indicators"] if each["name"] == "bronze_staleness"]
        assert bronze["reason"].endswith("; file source gmail for 3 d 0 h")
        odd = call("scout_health_info", scout_db, contract={"file_queue": "edge.devices"})
        assert any("edge.devices is no table with source_type and created_at" in each for each in odd["warnings"])
        unusable = call("scout_health_info", scout_db, contract={"file_queue": "devices"})
        assert "scout_contract: file_queue 'devices' is not usable" in unusable["msg"]
    with subtests.test("a table that is none"):
        for name in ("edge.gone", "edge.seen", "scout.alerts"):
            odd = call("scout_health_info", scout_db, contract={"devices": name})
            assert silent(odd) == expected
            assert odd["verdict"] == result["verdict"]
            assert any(f"{name} is no table with device_id and last_heartbeat" in each for each in odd["warnings"])
    with subtests.test("nothing is written"):
        assert fingerprint(scout_db) == before
    run(
        scout_db,
        "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '2 hours' WHERE isfinite(ingested_at)",
    )
    with subtests.test("the cause of no data says whose"):
        late = call("scout_health_info", scout_db)
        [cause] = [each for each in late["diagnoses"] if each["cause"].startswith("no new event arrives")]
        assert "silent: " in cause["evidence"]
        assert ("source", "till-9") in silent(late)
        assert len(silent(late)) > 2
        assert next(iter(silent(late).values())) < silent(late)["source", "till-9"] == 240
