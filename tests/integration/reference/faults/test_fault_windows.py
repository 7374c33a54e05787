# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults that are about a window: it holds as many sales as were asked for at any time of day, and the damage is inside."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference import oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library

SALES = """
SELECT count(*) FROM scout.bronze_events AS b JOIN scout.etl_processed AS p USING (event_id)
WHERE b.event_type = 'transaction.v1' AND b.ingested_at >= %(window_start)s AND b.ingested_at < %(window_end)s
"""
#: Per transaction all that silver says of it, and when its event arrived.
SILVER = """
SELECT t.transaction_id, md5(t::text || coalesce(string_agg(l::text, '' ORDER BY l.line_id), '')), b.ingested_at
FROM scout.silver_transactions AS t JOIN scout.bronze_events AS b ON b.event_id = t.source_event_id
LEFT JOIN scout.silver_line_items AS l USING (transaction_id) GROUP BY t.transaction_id, t::text, b.ingested_at
"""


def test_a_window_is_lost_and_nothing_outside_of_it(scout: psycopg.Connection[tuple[Any, ...]], scout_db: str) -> None:
    before, events = scout.execute(SILVER).fetchall(), oracle.bronze(scout_db)
    window = library.lost_window(scout_db, sales=60, count=3)
    after = {name: digest for name, digest, _ in scout.execute(SILVER).fetchall()}
    touched = [at for name, digest, at in before if after.get(name) != digest]
    assert len(touched) == 3 * len(library.LOSSES)
    assert all(window["window_start"] <= at < window["window_end"] for at in touched)
    assert set(oracle.silver_is_what_bronze_makes(scout_db)) == {"transactions", "lines"}
    assert oracle.where(scout_db, events) == oracle.ZERO


def test_a_doubtful_window_is_as_it_was(scout: psycopg.Connection[tuple[Any, ...]], scout_db: str) -> None:
    before = scout.execute(SILVER).fetchall()
    window = library.doubtful_window(scout_db, sales=40)
    assert sorted(scout.execute(SILVER).fetchall()) == sorted(before)
    [(sales,)] = scout.execute(SALES, window).fetchall()
    assert sales == 40


def test_more_sales_than_there_are_make_no_window(scout_db: str) -> None:
    with pytest.raises(AssertionError, match=r"the fault did not take: only .* sales are loaded"):
        library.doubtful_window(scout_db, sales=10**6)
