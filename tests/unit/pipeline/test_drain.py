# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drain concludes from an error, and what it says."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import poison_probe


@pytest.mark.parametrize(
    ("sqlstate", "table", "verdict"),
    [
        ("22P02", None, "event"),  # not a number
        ("22023", None, "event"),  # items that are no array
        ("21000", None, "event"),  # one transaction twice
        ("23502", None, "event"),
        ("23503", "scout.silver_transactions", "event"),
        ("23505", "scout.silver_line_items", "event"),
        ("23505", "scout.etl_processed", "others"),
        ("23514", "scout.silver_transactions", "event"),
        ("44000", None, "event"),
        ("54000", None, "event"),  # an index entry that is too long
        ("P0001", None, "event"),
        ("40001", None, "others"),
        ("40P01", None, "others"),
        ("55P03", None, "others"),
        ("57014", None, "slow"),
        ("42703", None, "system"),  # a column is missing
        ("42883", None, "system"),  # the ETL is missing
        ("42501", None, "system"),
        ("53100", None, "system"),  # disk full
        ("57P01", None, "system"),
        ("08006", None, "system"),
        ("XX000", None, "system"),
        ("UN001", None, "system"),
        ("", None, "system"),
        (None, None, "system"),
    ],
)
def test_what_an_error_is_about(sqlstate: str | None, table: str | None, verdict: str) -> None:
    assert poison_probe.judge(sqlstate, table) == verdict


@pytest.mark.parametrize(
    ("said", "value"),
    [
        ('Key (store_id)=(S-404) is not present in table "dim_store".', "S-404"),
        ("Schlüssel (store_id)=(Ñ 1) ist nicht in Tabelle »dim_store« vorhanden.", "Ñ 1"),
        ("Failing row contains (1, 2).", None),
        ("nothing", None),
    ],
)
def test_the_key_in_an_error(said: str, value: str | None) -> None:
    found = poison_probe.KEY.search(said)
    assert (found["value"] if found else None) == value
