# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The queries of the index of symptoms, pasted: each runs as it stands, and shows what it is for."""

from __future__ import annotations

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract
from ansible_collections.scout.recovery.plugins.plugin_utils.command import symptoms
from tests.integration.modules import one, rows
from tests.integration.outcomes import ran


def test_what_fills_a_disk_is_named(scout_db: str) -> None:
    ran("scout_lease", scout_db)
    one(scout_db, "SELECT pg_create_physical_replication_slot('left_behind', true)")
    try:
        slots, largest, history, ledger = [rows(scout_db, query) for _, query in symptoms.OF_A_DISK]
    finally:
        one(scout_db, "SELECT pg_drop_replication_slot('left_behind')")
    assert ("left_behind", False) in [row[:2] for row in slots]
    assert len(largest) == len(ledger) == 5
    # What is shared by many databases may be larger.
    assert any(row[0].startswith("scout.") for row in largest)
    assert len(history) == 1


def test_the_sales_of_a_customer_are_shown_with_their_events(scout_db: str) -> None:
    _, query = symptoms.SALES_OF_A_CUSTOMER
    most = "SELECT customer_id, count(*) FROM scout.silver_transactions WHERE customer_id IS NOT NULL GROUP BY 1 ORDER BY 2 DESC LIMIT 1"
    [(customer, sales)] = rows(scout_db, most)
    found = rows(scout_db, contract.words(query).replace("C-1", customer))
    assert len(found) == sales
    assert all(event for *_, event in found)
    # What the index has typed then, for the one of them that is wrong.
    planned = ran("scout_quarantine", scout_db, check=True, transactions=[found[0][0]])
    assert planned["moved"]["transactions"] == 1
