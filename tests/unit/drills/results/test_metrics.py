# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A drill as metrics: a reader of Prometheus takes each, they say what the scorecard says, and the page names them."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import document as documents
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import metrics
from tests import CHECKOUT
from tests.unit.drills.results.documents import DRILLS, document, events, phase, scenario


def parsed(made: documents.Drill) -> dict[tuple[str, ...], float]:
    """Each sample by its name and the values of its labels, but for the kind."""
    text = metrics.text(made)
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert {sample.labels.pop("kind") for sample in found} == {"gameday" if made.rounds_of else "drill"}
    samples = {(sample.name, *sample.labels.values()): sample.value for sample in found}
    assert len(samples) == len(found), "a reader refuses a sample that is there twice"
    return samples


@pytest.mark.parametrize("name", DRILLS)
def test_any_drill_can_be_read(name: str) -> None:
    drill = documents.read(DRILLS[name])
    samples = parsed(drill)
    assert samples["scout_drill_passed",] == float(drill.verdict.word == "passed")
    assert samples["scout_drill_timestamp_seconds",] == drill.started_at.timestamp()
    for one in drill.scenarios:
        assert ("scout_drill_scenario_passed", one.name) in samples


def test_phases_budgets_and_events_are_those_of_the_scorecard() -> None:
    name = 'a "b"\\c'
    phases = [phase("detected", 3.25, None), phase("paused", None, 300.0), phase("recovered", 400.0, 300.0)]
    made = document(scenario(name, phases=phases, events=events(lost=2, altered=1)))
    made["gameday"] = {"seed": 7}
    samples = parsed(documents.read(made))
    reached = {key[2:]: value for key, value in samples.items() if key[0] == "scout_drill_phase_seconds"}
    assert reached == {("detected",): 3.25, ("recovered",): 400.0}
    assert samples["scout_drill_phase_budget_seconds", name, "paused"] == 300.0
    assert samples["scout_drill_events_wrong", name] == 3.0
    assert samples["scout_drill_scenario_passed", name] == 0.0


def test_the_page_names_them_all() -> None:
    page = (CHECKOUT / "docs" / "monitoring.md").read_text(encoding="utf-8")
    assert set(re.findall(r"`(scout_drill_\w+)`", page)) == set(metrics.HELP)
