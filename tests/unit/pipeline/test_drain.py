# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the drain concludes from an error, and what it says."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import drain
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lock_holders
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


POISON = ({"event_id": "a", "error": 'invalid input syntax for type numeric: "abc"', "sqlstate": "22P02"},)
SAID = '(invalid input syntax for type numeric: "…" (22P02))'
MANY = tuple(
    {"error": f'column "{name}" is null, row {nth}', "sqlstate": "23502"}
    for name in "abcd"
    for nth in range(ord(name) - 96)
)


@pytest.mark.parametrize(
    ("done", "left", "changed", "text"),
    [
        (drain.Drained(0), 0, False, "no backlog"),
        (drain.Drained(5), 5, False, "no backlog"),
        (drain.Drained(5, loaded=4, poison=POISON, seconds=1), 0, True,
         f"loaded 4 events in 1.0 s, quarantined 1 poison event {SAID}"),
        (drain.Drained(10, poison=MANY, seconds=1), 0, True,
         'loaded 0 events in 1.0 s, quarantined 10 poison events (4 kinds; 4 of column "d" is null, row … (23502))'),
        (drain.Drained(5, loaded=9, seconds=75), 0, True, "loaded 9 events in 1 min 15 s"),
        (drain.Drained(1, poison=POISON, seconds=1), 0, True, f"loaded 0 events in 1.0 s, quarantined 1 poison event {SAID}"),
    ],
)  # fmt: skip
def test_how_far_it_came(done: drain.Drained, left: int, changed: bool, text: str) -> None:
    assert done.left == left
    assert drain.summary(done) == text
    assert drain.outcome(done)["changed"] is changed


def test_sessions_are_described_once_and_by_what_is_known() -> None:
    holder = {"pid": 7, "role": "loader", "application": "psql", "state": "idle in transaction"}
    hidden = {"pid": 8, "role": "other", "application": None, "state": None}
    assert lock_holders.describe(
        [holder, holder, hidden, {"pid": None, "role": None, "application": None, "state": None}]
    ) == ("pid 7 (loader, psql, idle in transaction); pid 8 (other)")
    assert lock_holders.describe([]) == ""
