# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of keys is walked piece by piece, and paths through tables begin with batches of a known size."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import cursors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import sql

SESSION: Any = None


def keys(*names: str) -> cursors.Keys:
    return cursors.Keys(sql.Identifier("b", "event_id"), names, sql.SQL("uuid"))


@pytest.mark.parametrize(
    ("cursor", "size", "part", "after", "full", "divisible"),
    [
        (None, 2.9, ["a", "b"], 2, True, True),
        (2, 2.0, ["c", "d"], 4, True, True),
        (4, 2.0, ["e"], 5, False, False),
        (0, 9.0, ["a", "b", "c", "d", "e"], 5, False, True),
        (3, 1.0, ["d"], 4, True, False),
        (3, 0.3, ["d"], 4, True, False),
    ],
)
def test_keys_come_in_pieces(
    cursor: int | None, size: float, part: list[str], after: int, full: bool, divisible: bool
) -> None:
    span = keys("a", "b", "c", "d", "e").span(SESSION, cursor, size)
    assert span is not None
    assert span.where.as_string() == '"b"."event_id" = ANY(%(path_keys)s::uuid[])'
    assert (span.values, span.after, span.size) == ({"path_keys": part}, after, len(part))
    assert (span.full, span.divisible) == (full, divisible)


def test_a_list_of_keys_has_an_end_and_no_late_ones() -> None:
    assert keys("a").span(SESSION, 1, 5) is None
    assert keys().span(SESSION, None, 5) is None
    assert keys("a").again(SESSION) is None
    assert (keys("a").first_size, keys("a").least_size) == (500.0, 1.0)
