# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Conditions that people write: what they call, and what depends on a setting."""

from __future__ import annotations

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import predicates


@pytest.mark.parametrize(
    ("predicate", "expected"),
    [
        ("total < 0", []),
        ("'random()' = a", []),
        ("Random() < 1", [(None, "random")]),
        ('"Odd ""Name" (1)', [(None, 'Odd "Name')]),
        ("scout . Check(abs(x))", [("scout", "check"), (None, "abs")]),
        ('a.b."C"(1)', [("b", "C")]),
        ("(a) IN (1)", [(None, "in")]),
    ],
)
def test_what_a_predicate_could_call(predicate: str, expected: list[tuple[str | None, str]]) -> None:
    assert predicates.calls(predicate) == expected


@pytest.mark.parametrize(
    ("predicate", "expected"), [("a ~ '\\d'", True), ("a = E'\\n'", False), ('"\\" = 1', False), ("a = ''", False)]
)
def test_where_a_backslash_depends_on_a_setting(predicate: str, expected: bool) -> None:
    assert predicates.has_backslash(predicate) is expected
