# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a statement comes about: by few calls, each package entered once."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from types import FrameType

from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.catalog.entries import Entry
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.planner import plan as planner_plan
from tests.unit.release.planner.entries import by_key
from tests.unit.release.planner.test_diff import DIFFERENCES
from tests.unit.release.planner.test_fill import COMES_BACK
from tests.unit.release.planner.test_order import STEPS

#: From `plan`, which gets the entries of a capture, down to a statement.
MOST_CALLS = 8
DDL = planner_plan.__name__.replace("planner.plan", "ddl")


def pairs() -> Iterator[tuple[dict[str, Entry], dict[str, Entry]]]:
    """What there is and what is wanted, from the other tables of tests, there and back."""
    for live, wanted, _ in DIFFERENCES.values():
        yield live, wanted
        yield wanted, live
    for difference, *_ in (*COMES_BACK.values(), *STEPS.values()):
        live, wanted = by_key(*difference.live.values()), by_key(*difference.wanted.values())
        yield live, wanted
        yield wanted, live


def chain(frame: FrameType | None) -> list[str]:
    """The modules of the calls that lead from the plan to here, this one included."""
    found: list[str] = []
    while frame is not None:
        found.insert(0, frame.f_globals["__name__"])
        if frame.f_code is planner_plan.plan.__code__:
            return found
        frame = frame.f_back
    return []


def test_a_statement_is_few_calls_away_from_the_plan() -> None:
    chains: list[list[str]] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_globals["__name__"] == f"{DDL}.statement" and frame.f_code.co_name == "say":
            chains.append(chain(frame))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        for live, wanted in pairs():
            planner_plan.plan(live, wanted, exact_order=True)
    finally:
        sys.setprofile(before)
    assert len(chains) > 100
    assert max(map(len, chains)) - 1 <= MOST_CALLS, max(chains, key=len)
    for modules in chains:
        packages = [package for package, _ in itertools.groupby(name.rpartition(".")[0] for name in modules)]
        assert len(packages) == len(set(packages)), modules
