# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan comes back from its file as it was made, and is applied to what it was made for only."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput, NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.engine import plan_file

PLAN = plan_file.Plan(
    "quarantine", "scout", "2026-11-25T01:00:00+00:00", {"stores": ["S-1"], "clock": "ingested_at"}, {"window": {}},
    {"bronze": 1200, "silver": 3}, {"bronze": "aa", "silver": "bb"}, {"from": None}, ["2026-11-25"], 1.5, "row locks",
)  # fmt: skip


def test_it_comes_back_as_it_was(tmp_path: Path) -> None:
    name = str(tmp_path / "plan.json")
    PLAN.save(name, "maria@laptop")
    assert plan_file.fitting(plan_file.read(name), name, action="quarantine", database="scout") == PLAN
    assert json.loads(Path(name).read_text())["format"] == plan_file.FORMAT
    assert len(PLAN.key) == 16
    assert PLAN.key == dataclasses.replace(PLAN).key != dataclasses.replace(PLAN, locks="none").key
    shuffled = dataclasses.replace(PLAN, counts=dict(reversed(PLAN.counts.items())))
    assert shuffled.key == PLAN.key, "the order of names is no difference"


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": "other/2"}, "it is a plan for other/2, this is scout-recovery-plan/1"),
        ({"action": "cleanup"}, "it is a plan for cleanup, this is quarantine"),
        (
            {"action": "cleanup", "database": "x"},
            "it is a plan for cleanup, this is quarantine; it is a plan for x, this is scout",
        ),
    ],
)
def test_a_plan_for_something_else_is_refused(tmp_path: Path, changed: dict[str, str], said: str) -> None:
    file = tmp_path / "plan.json"
    file.write_text(json.dumps({"format": plan_file.FORMAT, **dataclasses.asdict(PLAN), **changed}))
    with pytest.raises(BadInput, match="does not match") as raised:
        plan_file.fitting(plan_file.read(str(file)), str(file), action="quarantine", database="scout")
    assert raised.value.said == said


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "scout-recovery-plan/1"}', "\xff"])
def test_what_is_no_plan_is_said_to_be_none(tmp_path: Path, text: str) -> None:
    file = tmp_path / "plan.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(BadInput, match="could not read plan_file") as raised:
        plan_file.fitting(plan_file.read(str(file)), str(file), action="quarantine", database="scout")
    assert raised.value.said.startswith("it is not a plan: ")
    with pytest.raises(BadInput) as missing:
        plan_file.read(str(tmp_path / "none"))
    assert missing.value.said == "No such file or directory"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"stores": ["S-1"]}, None),
        ({"stores": None, "clock": "ingested_at"}, None),
        ({"stores": [], "rules": {}}, None),
        ({"stores": ["S-2"]}, "stores: ['S-2'] instead of ['S-1']"),
        (
            {"mode": "all", "clock": "event_ts"},
            "mode: 'all' instead of None; clock: 'event_ts' instead of 'ingested_at'",
        ),
    ],
)
def test_options_beside_a_plan_may_repeat_it(asked: dict[str, Any], said: str | None) -> None:
    if said is None:
        plan_file.refuse_other_words(PLAN, asked, "p")
    else:
        with pytest.raises(BadInput) as raised:
            plan_file.refuse_other_words(PLAN, asked, "p")
        assert raised.value.said == said


@pytest.mark.parametrize(
    ("counts", "digests", "said"),
    [
        ({}, {}, None),
        ({"bronze": 1201}, {}, "bronze: planned 1,200, now 1,201 (1 row more)"),
        ({"bronze": 1198}, {"bronze": "cc"}, "bronze: planned 1,200, now 1,198 (2 rows fewer)"),
        ({}, {"silver": "cc"}, "silver: 3 as planned, but with other contents"),
        ({"silver": None}, {}, "silver: planned 3, now 0 (3 rows fewer)"),
        (
            {"bronze": 0},
            {"silver": "cc"},
            "bronze: planned 1,200, now 0 (1,200 rows fewer); silver: 3 as planned, but with other contents",
        ),
    ],
)
def test_a_database_that_has_drifted_is_refused(
    counts: dict[str, int | None], digests: dict[str, str], said: str | None
) -> None:
    found = {table: number for table, number in {**PLAN.counts, **counts}.items() if number is not None}
    where = {"where": "scout on db1:5432", "name": "p"}
    if said is None:
        plan_file.refuse_drift(PLAN, found, {**PLAN.digests, **digests}, **where)
    else:
        with pytest.raises(NotConverged) as raised:
            plan_file.refuse_drift(PLAN, found, {**PLAN.digests, **digests}, **where)
        assert raised.value.said == said
