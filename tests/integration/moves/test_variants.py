# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows move away and back on every variant of the pipeline that there is."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.integration.modules import connect, one, rows
from tests.integration.outcomes import ran, scout_tables


def test_what_is_quarantined_comes_back_by_undo_and_by_redrive(variant_db: str) -> None:
    with connect(variant_db) as connection:
        ids = [str(generator.insert(connection, generator.transaction(9, number))) for number in range(5)]
    ran("scout_drain", variant_db)
    before = scout_tables(variant_db)
    away = ran("scout_quarantine", variant_db, event_ids=ids)
    assert away["moved"]["events"] == 5
    ran("scout_undo", variant_db, run_id=away["run_id"])
    assert scout_tables(variant_db) == before
    away = ran("scout_quarantine", variant_db, event_ids=ids)
    assert ran("scout_redrive", variant_db, run_id=away["run_id"])["redriven"] == 5
    loaded = "SELECT count(*) FROM scout.silver_transactions WHERE source_event_id = ANY (%s::uuid[])"
    assert one(variant_db, loaded, ids) == 5


def test_a_repaired_event_has_the_hash_of_its_payload(variant_db: str) -> None:
    [event] = library.poison_event(variant_db)
    ran("scout_drain", variant_db)
    ran("scout_redrive", variant_db, error_codes=["POISON_EVENT"], repair={"total_amount": 3})
    hashed = (
        "SELECT event_hash = sha256(convert_to(event_data::text, 'UTF8')) FROM scout.bronze_events WHERE event_id = %s"
    )
    assert rows(variant_db, hashed, event) == [(True,)]


def test_a_window_is_rebuilt(variant_db: str) -> None:
    with connect(variant_db) as connection:
        [(sale,)] = connection.execute(
            "DELETE FROM scout.silver_transactions WHERE source_event_id = (SELECT event_id FROM scout.bronze_events"
            " WHERE event_type = 'transaction.v1' AND source_system = 'edge' ORDER BY ingested_at DESC LIMIT 1)"
            " RETURNING transaction_id"
        ).fetchall()
    assert ran("scout_window_recovery", variant_db, last="1h")["changed"]
    assert one(variant_db, "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id = %s", sale) == 1
