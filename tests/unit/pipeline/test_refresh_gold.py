# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""In which order views are refreshed, and what their definitions tell about their columns."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import refresh_gold
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lexer
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import gold_views


def view(oid: int, name: str, *needs: int) -> refresh_gold.View:
    return refresh_gold.View(oid, name, True, "", True, (), (), needs)


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ([], []),
        ([view(1, "b"), view(2, "a")], ["a", "b"]),
        ([view(1, "a", 2), view(2, "b", 3), view(3, "c", 99)], ["c", "b", "a"]),
        ([view(1, "a", 3), view(2, "b"), view(3, "c")], ["b", "c", "a"]),
        ([view(1, "itself", 1)], ["itself"]),
        ([view(1, "a", 2), view(2, "b", 1)], ["a", "b"]),
    ],
)
def test_each_view_comes_after_those_it_reads(given: list[refresh_gold.View], names: list[str]) -> None:
    assert [v.name for v in refresh_gold.in_order(given)] == names


@pytest.mark.parametrize(
    ("line", "name", "clock", "moves"),
    [
        (" SELECT now() AS created_at", "created_at", True, True),
        ("    CURRENT_TIMESTAMP AS updated_at,", "updated_at", True, True),
        ('    clock_timestamp() AS "Made ""At""",', 'Made "At"', True, True),
        ("    (now() AT TIME ZONE 'UTC'::text) AS made,", "made", False, True),
        ("    CURRENT_DATE AS day,", "day", False, True),
        ("    EXTRACT(epoch FROM (now() - max(t.ts))) AS seconds,", "seconds", False, True),
        ("    age(max(t.ts)) AS age,", "age", False, True),
        ("    age(max(t.ts), min(t.ts)) AS span,", "span", False, False),
        ("    t.known() AS known,", "known", False, False),
        ('    max(t.total_amount) AS "größte";', "größte", False, False),
    ],
)
def test_a_definition_tells_which_columns_move_by_themselves(line: str, name: str, clock: bool, moves: bool) -> None:
    [(found, expression)] = gold_views.expressions(lexer.code(line + "\n   FROM t"))
    assert found == name
    assert bool(gold_views.IS_NOW.fullmatch(expression)) is clock
    assert bool(gold_views.MOVES.search(expression)) is moves
