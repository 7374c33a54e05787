# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each fault alone, on one database: an assessment fails for it and names it, and the gate fails for it and for nothing else."""

from __future__ import annotations

import json

import pytest

from tests.faults import Seen, planted
from tests.faults.table import FAULTS, SEEN
from tests.integration.gates import checks, ended, judge, wrong
from tests.integration.modules import Result, call


def assessed(dsn: str) -> Result:
    result = call("scout_health_info", dsn)
    assert not result.get("failed"), result
    return result


@pytest.mark.parametrize("name", SEEN)
def test_each_fault_is_told_by_an_assessment_and_by_the_gate(
    scout_db: str, name: str, subtests: pytest.Subtests
) -> None:
    with planted(scout_db, FAULTS[name]) as filled:
        seen = FAULTS[name].seen
        assert seen
        with subtests.test(msg="assess"):
            result = assessed(scout_db)
            _fails_for_it(result, seen)
            _names_it(result, filled(seen.cause), filled(seen.command))
            _names_it_first(result, seen.first, seen.evidence)
        with subtests.test(msg="gate"):
            _refuses_it(judge(scout_db), seen)


def _fails_for_it(result: Result, seen: Seen) -> None:
    warned = tuple(indicator["name"] for indicator in result["indicators"] if indicator["status"] == "warn")
    shown = json.dumps(result["indicators"], indent=1, default=str)
    assert (tuple(result["failing"]), warned) == (seen.failing, seen.warned), shown
    assert result["verdict"] == ("failing" if seen.failing else "degraded" if seen.warned else "healthy"), shown
    assert set(result["needs_reset"]) == seen.needs


def _names_it(result: Result, cause: str, command: str) -> None:
    causes = [f"{each['cause']} | {each['next_command']}" for each in result["diagnoses"]]
    if cause:
        assert any(cause in told and command in told for told in causes), "\n".join(causes)
    assert not any("-vvv" in told for told in causes)


def _names_it_first(result: Result, cause: str, evidence: str) -> None:
    if cause:
        first = result["diagnoses"][0]
        assert (first["rank"], first["cause"]) == (1, cause)
        assert evidence in first["evidence"]
        assert first["next_command"]


def _refuses_it(result: Result, seen: Seen) -> None:
    assert wrong(result) == seen.gate, [check for check in result["checks"] if check["status"] != "pass"]
    assert ended(result) == (seen.verdict, seen.code)
    assert (result["ok"], result["codes"]) == (
        seen.code == 0,
        [seen.code, *seen.further_codes] if seen.code else [],
    )
    found = checks(result)
    assert [name for name in seen.gate if not found[name]["reason"] and found[name]["value"] is None] == []
