# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which columns a change of a composite type reaches, and what their values lose or get."""

from __future__ import annotations

import types
from typing import Any, cast

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import attributes
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner.plan import Plan


def entry(kind: str, name: str, *needs: str, **facts: Any) -> Entry:
    return Entry(kind=kind, name=name, facts=facts, needs=needs)


def composite(*names: str) -> Entry:
    return entry("composite", "w.p", attributes=[{"name": name, "type": "integer"} for name in names])


REST = (
    entry("composite", "w.q", "composite:w.p", attributes=[{"name": "p", "type": "w.p[]"}]),
    entry("domain", "w.d", "composite:w.q", type="w.q"),
    entry("column", "w.t.a", "composite:w.p", type="w.p"),
    entry("column", "w.t.b", "domain:w.d", type="w.d[]"),
    entry("column", "w.t.c", "table:w.t", type="integer"),
    entry("column", "w.u.d", "composite:w.other", type="w.other"),
)
REACHED = {"column:w.t.a", "column:w.t.b"}


@pytest.mark.parametrize(
    ("there", "wanted", "losing", "gaining"),
    [
        (("x", "y"), ("x", "y"), False, False),
        (("x", "y", "z"), ("x", "y"), True, False),
        (("x",), ("x", "y"), False, True),
        (("x", "z"), ("x", "y"), True, True),
    ],
)
def test_what_columns_lose_and_get(
    there: tuple[str, ...], wanted: tuple[str, ...], losing: bool, gaining: bool
) -> None:
    live = {each.key: each for each in (composite(*there), *REST)}
    goal = {each.key: each for each in (composite(*wanted), *REST)}
    steps = [types.SimpleNamespace(does="alter", key="composite:w.p")]
    plan = cast("Plan", types.SimpleNamespace(all_steps=steps, was={}, loses=()))
    found = attributes.touched(plan, live, goal)
    assert (set(found.losing), set(found.gaining)) == (REACHED if losing else set(), REACHED if gaining else set())


def test_a_type_that_contains_itself_by_way_of_another_ends() -> None:
    live = {
        each.key: each
        for each in (
            entry("composite", "w.a", "composite:w.b"),
            entry("composite", "w.b", "composite:w.a"),
            entry("column", "w.t.a", "composite:w.b"),
        )
    }
    assert attributes.columns_of("composite:w.a", live) == {"column:w.t.a"}
