# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wherever a run is an option, its id, the first digits of it and `last` name it."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests import CHECKOUT
from tests.integration.moves.test_require_pause import loaded
from tests.integration.outcomes import ran

#: Each option that names runs: its module, what that needs besides, and the option.
OPTIONS: dict[str, tuple[str, dict[str, Any], str]] = {
    "undo": ("scout_undo", {"check": True}, "run_id"),
    "redrive": ("scout_redrive", {"check": True}, "run_id"),
    "runs": ("scout_runs_info", {}, "run_id"),
}


def test_these_are_all_of_them() -> None:
    modules = [path.stem for path in CHECKOUT.glob("library/scout_*.py")]
    specs = {
        name: importlib.import_module(f"ansible_collections.scout.recovery.plugins.modules.{name}").SPEC
        for name in modules
    }
    named = {
        (module, option) for module, spec in specs.items() for option in ("run_id", "run_ids", "runs") if option in spec
    }
    assert named == {(module, option) for module, _, option in OPTIONS.values()}


@pytest.mark.parametrize("name", OPTIONS)
def test_a_run_is_named_as_people_do(scout_db: str, name: str) -> None:
    module, more, option = OPTIONS[name]
    run = ran("scout_quarantine", scout_db, event_ids=loaded(scout_db))["run_id"]
    whole, *short = [
        _known(ran(module, scout_db, **more, **{option: text})) for text in (run, run[:8], run[:13].upper(), "last")
    ]
    assert short == [whole] * 3


def _known(result: dict[str, Any]) -> Any:
    """What a result says that depends on which run was meant."""
    return {name: result.get(name) for name in ("runs", "summary", "undone", "moved")}
