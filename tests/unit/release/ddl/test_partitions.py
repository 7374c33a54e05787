# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rows that a partition is for."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.partitions import (
    at_or_before,
    ends,
    fits,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.ddl.statement import printed

ROWS = {
    ("RANGE (d)", "FOR VALUES FROM (0) TO (10)"): "d IS NOT NULL AND ROW(d) >= ROW(0) AND ROW(d) < ROW(10)",
    ("RANGE (d)", "FOR VALUES FROM (MINVALUE) TO ('-5')"): "d IS NOT NULL AND ROW(d) < ROW('-5')",
    ("RANGE (d)", "FOR VALUES FROM (MINVALUE) TO (MAXVALUE)"): "d IS NOT NULL",
    ("RANGE (a, b)", "FOR VALUES FROM (1, MINVALUE) TO (2, MAXVALUE)"): (
        "a IS NOT NULL AND b IS NOT NULL AND ROW(a) >= ROW(1) AND ROW(a) <= ROW(2)"
    ),
    ("RANGE (a, b)", "FOR VALUES FROM (1, MAXVALUE) TO (2, MINVALUE)"): (
        "a IS NOT NULL AND b IS NOT NULL AND ROW(a) > ROW(1) AND ROW(a) < ROW(2)"
    ),
    ("RANGE (a, b)", "FOR VALUES FROM (1, 'x, (') TO (1, 'y'')')"): (
        "a IS NOT NULL AND b IS NOT NULL AND ROW(a, b) >= ROW(1, 'x, (') AND ROW(a, b) < ROW(1, 'y'')')"
    ),
    ("LIST (lower(a))", "FOR VALUES IN ('x', NULL)"): "(lower(a) IN ('x') OR lower(a) IS NULL)",
    ("LIST (\"A b\" COLLATE \"C\")", "FOR VALUES IN (NULL)"): '("A b" COLLATE "C" IS NULL)',
    ("LIST (((a + 1)))", "FOR VALUES IN (1, 2)"): "(((a + 1)) IN (1, 2))",
}  # fmt: skip


@pytest.mark.parametrize(("key", "bound"), ROWS)
def test_which_rows_a_partition_is_for(key: str, bound: str) -> None:
    found = fits(key, bound)
    assert found is not None
    assert printed(found).as_string() == ROWS[key, bound]


@pytest.mark.parametrize(
    ("key", "bound"),
    [
        ("RANGE (d)", "DEFAULT"),
        ("HASH (d)", "FOR VALUES WITH (modulus 2, remainder 0)"),
        ("RANGE (d int4_down_ops)", "FOR VALUES FROM (10) TO (0)"),
        ('LIST (a COLLATE "C" text_pattern_ops)', "FOR VALUES IN ('x')"),
    ],
)
def test_nobody_can_tell(key: str, bound: str) -> None:
    assert fits(key, bound) is None


@pytest.mark.parametrize(
    ("bound", "found"),
    [
        (
            "FOR VALUES FROM ('2026-11-25 00:00:00+00') TO ('2026-11-26 00:00:00+00')",
            ("'2026-11-25 00:00:00+00'", "'2026-11-26 00:00:00+00'"),
        ),
        ("FOR VALUES FROM (MINVALUE) TO (10)", ("MINVALUE", "10")),
        ("FOR VALUES FROM (1, 2) TO (3, 4)", None),
        ("FOR VALUES IN ('a')", None),
        ("DEFAULT", None),
    ],
)  # fmt: skip
def test_where_a_range_begins_and_ends(bound: str, found: tuple[str, str] | None) -> None:
    assert ends(bound) == found


@pytest.mark.parametrize(
    ("one", "other", "before"),
    [
        ("'2026-11-25'", "'2026-11-26'", True),
        ("'2026-11-26'", "'2026-11-25'", False),
        ("'2026-11-26 00:00:00+00'", "'2026-11-26 00:00:00+00'", True),
        ("'2026-11-26 00:00:00+00'", "'2026-11-27 00:00:00+08'", False),
        ("9", "10", True),
        ("'9'", "'10'", True),
        ("10", "9", False),
        ("'a'", "'b'", False),
        ("MINVALUE", "10", True),
        ("10", "MINVALUE", False),
        ("MAXVALUE", "10", False),
    ],
)
def test_which_value_of_a_bound_comes_first(one: str, other: str, before: bool) -> None:
    assert at_or_before(one, other) is before
