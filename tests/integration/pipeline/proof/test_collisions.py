# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A trial beside the pipeline's own runs: none of them ends for it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.integration.modules import call, connect, rows

LOAD = "SELECT scout.load_silver_from_bronze(1000)"
UNLINKED = "UPDATE scout.silver_line_items SET updated_at = now(), product_key = NULL, detected_brand = NULL, brand_match_confidence = NULL"
#: As the pipeline's linking, which locks one line after the other: one of them, then all others.
ONE_OF_THEM = """
UPDATE scout.silver_line_items SET brand_match_confidence = 1
WHERE line_id = (SELECT line_id FROM scout.silver_line_items JOIN scout.dim_product USING (product_id)
                 ORDER BY silver_line_items.ctid OFFSET 50 LIMIT 1)
"""
ALL = "UPDATE scout.silver_line_items SET brand_match_confidence = 1"
WAITS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name LIKE 'scout-recovery/%' AND wait_event_type = 'Lock'
"""
#: A server looks for a deadlock after one second by default.
LONGER_SECONDS = 1.5


def proof(dsn: str) -> dict[str, Any]:
    return call("scout_proof_info", dsn)


def test_a_run_of_the_pipeline_is_never_the_one_that_a_deadlock_ends(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(LOAD)
        connection.execute(UNLINKED)
    with ThreadPoolExecutor(1) as beside, connect(scout_db) as pipeline:
        with pipeline.transaction():
            pipeline.execute(ONE_OF_THEM)
            asked = beside.submit(proof, scout_db)
            until = time.monotonic() + 30
            while not asked.done() and time.monotonic() < until and not rows(scout_db, WAITS)[0][0]:
                time.sleep(0.05)
            assert not asked.done()
            time.sleep(LONGER_SECONDS)
            pipeline.execute(ALL)
        said = asked.result()
    assert said["proven"], said
