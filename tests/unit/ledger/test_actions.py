# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One vocabulary of actions: whatever names an action means one of the ledger's."""

from __future__ import annotations

import re

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger import actions
from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.schema import VERSIONS
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import preflight
from tests import CHECKOUT

MODULES = {path.stem.removeprefix("scout_").removesuffix("_info") for path in (CHECKOUT / "library").glob("scout_*.py")}


def test_privileges_speak_of_actions_of_the_ledger() -> None:
    # The trial sale of a gate needs privileges of its own, and is no run.
    assert set(preflight.ACTIONS) - {"smoke"} <= set(actions.RUNS)
    assert {action for _, _, needing in preflight.NEEDS for action in needing} <= set(preflight.ACTIONS)


@pytest.mark.parametrize("name", ["UNDOABLE", "LOOKS", "NEEDS_ROWS", "WRITES_ROWS", "MOVES", "RESET", "ROLLBACK"])
def test_every_kind_of_action_is_made_of_runs(name: str) -> None:
    kind: tuple[str, ...] = getattr(actions, name)
    assert len(set(kind)) == len(kind) > 0
    assert set(kind) <= set(actions.RUNS)


def test_a_report_ticks_by_runs_there_are() -> None:
    template = (CHECKOUT / "roles" / "incident_report" / "templates" / "report.md.j2").read_text(encoding="utf-8")
    named = {name for found in re.findall(r"box\(\[(.*?)\]\)", template) for name in re.findall(r"'(\w+)'", found)}
    assert named
    assert named <= set(actions.RUNS)


def test_modules_that_judge_or_write_by_rows_need_sight_of_them() -> None:
    by = {module: actions.of_module(module) for module in MODULES}
    assert set(actions.OF_MODULES) <= MODULES
    assert {module for module, action in by.items() if action in actions.NEEDS_ROWS} == {
        *("cleanup", "drain", "gate", "health", "quarantine", "redrive", "refresh_gold", "undo"),
        "window_recovery",
    }
    assert {module for module, action in by.items() if action in actions.WRITES_ROWS} == {
        *("cleanup", "drain", "quarantine", "redrive", "undo", "window_recovery"),
    }


def test_the_ledgers_own_words_name_every_run() -> None:
    *_, comment = "".join(VERSIONS).split("COMMENT ON COLUMN scout_ops.runs.action IS")
    said = comment.split(";\n")[0]
    assert [action for action in actions.RUNS if action not in said] == []
