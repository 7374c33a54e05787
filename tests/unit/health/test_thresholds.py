# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each figure stands once: whatever is judged has one, and the pages, modules and roles say the same."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment, thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import checks
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.sessions import STUCK_AFTER_SECONDS
from tests import CHECKOUT

GATE = (CHECKOUT / "docs" / "acceptance-gate.md").read_text()
ROW = re.compile(r"^\| `(\w+)`(?P<down>, down to)? \| (\d+) \| (\d+) \| ([\w ]+) \|$", re.MULTILINE)

MODULES = ("scout_gate_info", "scout_health_info", "scout_terminate_sessions")
ROLES = sorted(
    path.parent.parent.name
    for path in CHECKOUT.glob("roles/*/defaults/main.yml")
    if "'stuck_after_seconds', default=" in path.read_text()
)


def test_whatever_is_judged_has_a_threshold_and_no_threshold_is_left_over() -> None:
    assert [figure.name for figure in assessment.FIGURES] == list(thresholds.INDICATORS)
    judged = {figure.name for figure in (*assessment.FIGURES, *checks.CHECKS)}
    assert judged == set(thresholds.TABLE)
    assert not thresholds.INDICATORS.keys() & thresholds.GATE.keys()
    assert all(threshold.in_order for threshold in thresholds.TABLE.values())


def test_a_check_of_the_name_of_an_indicator_is_judged_alike() -> None:
    common = {check.name for check in checks.CHECKS} & {figure.name for figure in assessment.FIGURES}
    assert "silver_staleness" in common
    for check in checks.CHECKS:
        if check.name in common:
            assert check.threshold is thresholds.INDICATORS[check.name]


def test_the_page_of_the_gate_says_these_figures() -> None:
    said = {
        name: thresholds.Threshold(unit, int(ok), int(fail), bool(down))
        for name, down, ok, fail, unit in ROW.findall(GATE)
    }
    assert said == {
        check.name: check.threshold for check in checks.CHECKS if (check.threshold.ok, check.threshold.fail) != (0, 0)
    }


@pytest.mark.parametrize("name", MODULES)
def test_modules_take_the_same_age_of_stuck_sessions(name: str) -> None:
    """That they document what they take is what scripts/validate-modules finds."""
    module: Any = importlib.import_module(f"ansible_collections.scout.recovery.plugins.modules.{name}")
    assert module.SPEC["stuck_after_seconds"]["default"] == STUCK_AFTER_SECONDS


@pytest.mark.parametrize("role", ROLES)
def test_roles_default_to_the_same_age(role: str) -> None:
    [default] = re.findall(
        r"'stuck_after_seconds', default=(\d+)\)", (CHECKOUT / "roles" / role / "defaults" / "main.yml").read_text()
    )
    assert float(default) == STUCK_AFTER_SECONDS


def test_there_are_such_roles() -> None:
    assert {"assess", "gate"} <= set(ROLES)
