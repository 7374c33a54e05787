# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules and the Grafana dashboard: they ask only for metrics there are, leave no figure out, and Prometheus takes them."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import metrics as drill_metrics
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import assessment as health_assessment
from ansible_collections.scout.recovery.plugins.module_utils.recovery.health import prometheus
from tests import CHECKOUT, debian, promtool
from tests.unit.health.test_prometheus import assessment

ROOT = CHECKOUT
ALERTS = ROOT / "monitoring" / "alerts.yml"
CASES = ROOT / "monitoring" / "alerts_test.yml"
ROUTES = ROOT / "monitoring" / "alertmanager.yml"
BOARD = ROOT / "monitoring" / "grafana-dashboard.json"
PAGE = ROOT / "docs" / "monitoring.md"

PLAYBOOK = re.compile(r"playbooks/(\w+)\.yml")
METRICS = {family.name for family in prometheus.families("a", assessment(suspects=[{}]), 0.0)}
INDICATORS = {figure.name for figure in health_assessment.FIGURES} | {"ingestion"}
VALUES = {
    "indicator": INDICATORS, "status": set(health_assessment.WORSE), "verdict": set(prometheus.VERDICTS), "state": set(prometheus.STATES),
    "level": {"ok", "fail"}, "phase": {"detected", "paused", "recovered", "resumed"},
}  # fmt: skip


def all_rules() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]]


def rules() -> list[dict[str, Any]]:
    return [rule for rule in all_rules() if "alert" in rule]


def board() -> dict[str, Any]:
    return json.loads(BOARD.read_text())


def board_queries() -> list[str]:
    return [target["expr"] for panel in board()["panels"] for target in panel["targets"]]


def queries() -> list[str]:
    return [rule["expr"] for rule in all_rules()] + board_queries()


@pytest.fixture(scope="module")
def tool() -> str:
    """Where it cannot be had, the tests of structure in this file stand alone."""
    try:
        return promtool.promtool()
    except promtool.Unavailable as e:
        pytest.skip(f"{e}; structure is checked without it")


@pytest.mark.parametrize("query", sorted(set(queries())))
def test_every_query_asks_for_what_there_is(query: str) -> None:
    asked = set(re.findall(r"\bscout_\w+", query))
    assert asked
    assert asked <= METRICS | drill_metrics.HELP.keys()
    for label, values in VALUES.items():
        for given in re.findall(rf'\b{label}(?:=~|!~|!=|=)"([^"]*)"', query):
            assert set(given.split("|")) <= values, given
    assert query.count("(") == query.count(")")


def test_every_alert_tells_what_and_what_to_do() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        wanted = rule["labels"]["incident_severity"]
        assert wanted in {"critical", "high", "medium"}
        assert rule["labels"]["severity"] == ("critical" if wanted == "critical" else "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "command", "runbook_url"}
        playbook = re.match(r"ansible-playbook (playbooks/\w+\.yml)\b", rule["annotations"]["command"])
        assert playbook, rule["alert"]
        assert (ROOT / playbook[1]).is_file()
        if rule["alert"] != "ScoutMetricsMissing":
            assert "{{ $labels.pipeline }}" in rule["annotations"]["summary"]


def test_each_alert_links_to_a_section_of_the_runbook() -> None:
    home = yaml.safe_load((ROOT / "galaxy.yml").read_text())["repository"]
    anchors = {
        re.sub(r"[^\w -]", "", name).lower().replace(" ", "-")
        for name in re.findall(r"^## (.+)$", (ROOT / "docs" / "runbook.md").read_text(), re.MULTILINE)
    }
    for rule in rules():
        url, _, section = rule["annotations"]["runbook_url"].partition("#")
        assert (url, section in anchors) == (f"{home}/blob/main/docs/runbook.md", True), rule["alert"]


def test_the_resource_has_the_same_groups() -> None:
    resource = yaml.safe_load((ROOT / "monitoring" / "prometheusrule.yml").read_text())
    assert (resource["apiVersion"], resource["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    assert resource["spec"] == yaml.safe_load(ALERTS.read_text())


def test_every_figure_that_fails_raises_an_alert() -> None:
    raised = {
        name
        for rule in rules()
        if 'status="fail"' in rule["expr"]
        for names in re.findall(r'indicator=~?"([^"]*)"', rule["expr"])
        for name in names.split("|")
    }
    # Ingestion that does not run is told by its state, its jobs and the verdict.
    assert raised == INDICATORS - {"ingestion"}


def test_every_alert_has_a_case() -> None:
    text = CASES.read_text()
    tested = {rule["alert"] for rule in rules() if rule["alert"] in text}
    by_status_alone = {
        rule["alert"]
        for rule in rules()
        if re.fullmatch(r'scout_indicator_status\{[^}]*status="fail"\} == 1', rule["expr"])
    }
    assert {rule["alert"] for rule in rules()} - tested <= by_status_alone


def test_the_page_names_every_metric_and_every_alert() -> None:
    named = set(re.findall(r"`(\w+)`", PAGE.read_text()))
    figures = {
        prometheus.metric_name(f.name, f.unit, infix) for f in health_assessment.FIGURES for infix in ("", "_threshold")
    }
    assert METRICS - figures <= named
    assert {prometheus.metric_name(f.name, f.unit) for f in health_assessment.FIGURES} <= named
    assert {rule["alert"] for rule in rules()} <= named


def test_the_board_is_whole() -> None:
    made = board()
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert made["schemaVersion"] >= 36
    assert {variable["name"] for variable in made["templating"]["list"]} == {"datasource", "pipeline"}
    for panel in panels:
        assert panel["title"]
        assert panel["description"]
        for target in panel["targets"]:
            # No data source of somebody else's Grafana.
            assert target["datasource"] == panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
            # A drill is of no pipeline.
            assert 'pipeline=~"$pipeline"' in target["expr"] or "scout_drill_" in target["expr"]
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        assert apart or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)


def test_the_board_shows_every_figure() -> None:
    shown = {name for query in board_queries() for name in re.findall(r"\bscout_\w+", query)}
    assert {prometheus.metric_name(figure.name, figure.unit) for figure in health_assessment.FIGURES} <= shown
    assert {"scout_drill_passed", "scout_drill_timestamp_seconds", "scout_drill_phase_seconds"} <= shown


def test_promtool_takes_the_rules(tool: str) -> None:
    done = promtool.run("check", "rules", "--lint=all", "--lint-fatal", str(ALERTS))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"SUCCESS: {len(all_rules())} rules found" in done.stdout


def test_the_alerts_fire_when_they_should(tool: str) -> None:
    done = promtool.run("test", "rules", str(CASES))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_route_and_alertmanager_takes_it() -> None:
    made = yaml.safe_load(ROUTES.read_text())
    routed = " ".join(text for route in made["route"]["routes"] for text in route["matchers"])
    assert {rule["labels"]["severity"] for rule in rules()} == set(re.findall(r'severity = "(\w+)"', routed))
    named = {each["name"] for each in made["receivers"]}
    assert {made["route"]["receiver"], *(route["receiver"] for route in made["route"]["routes"])} == named
    try:
        tool = debian.program("amtool", "prometheus-alertmanager")
    except debian.Unavailable as e:
        pytest.skip(f"{e}; structure is checked without it")
    done = subprocess.run(
        [tool.path, "check-config", str(ROUTES)], env={**os.environ, **tool.environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_boards_queries(tool: str, tmp_path: Path) -> None:
    file = tmp_path / "rules.yml"
    asked = [{"record": f"board:q{n}", "expr": q.replace("$pipeline", ".*")} for n, q in enumerate(board_queries())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": asked}]}))
    done = promtool.run("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr
