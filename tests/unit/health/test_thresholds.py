# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each figure stands once: whatever is judged has one, and the pages, modules and roles say the same."""

from __future__ import annotations

import re

from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment, thresholds
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health.gate import checks
from tests import CHECKOUT

GATE = (CHECKOUT / "docs" / "acceptance-gate.md").read_text()
ROW = re.compile(r"^\| `(\w+)`(?P<down>, down to)? \| (\d+) \| (\d+) \| ([\w ]+) \|$", re.MULTILINE)


def test_whatever_is_judged_has_a_threshold_and_no_threshold_is_left_over() -> None:
    assert [figure.name for figure in assessment.FIGURES] == list(thresholds.INDICATORS)
    judged = {figure.name for figure in (*assessment.FIGURES, *checks.CHECKS)}
    assert judged == set(thresholds.TABLE)
    assert not thresholds.INDICATORS.keys() & thresholds.GATE.keys()
    assert all(threshold.in_order for threshold in thresholds.TABLE.values())


def test_the_page_of_the_gate_says_these_figures() -> None:
    said = {
        name: thresholds.Threshold(unit, int(ok), int(fail), bool(down))
        for name, down, ok, fail, unit in ROW.findall(GATE)
    }
    assert said == {
        check.name: check.threshold for check in checks.CHECKS if (check.threshold.ok, check.threshold.fail) != (0, 0)
    }
