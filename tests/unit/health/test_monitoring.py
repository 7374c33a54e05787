# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The alert rules and the Grafana dashboard ask only for metrics of the exporter's file, use each of them, and Prometheus takes them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests import CHECKOUT, debian, promtool

ROOT = CHECKOUT
ALERTS = ROOT / "monitoring" / "alerts.yml"
CASES = ROOT / "monitoring" / "alerts_test.yml"
ROUTES = ROOT / "monitoring" / "alertmanager.yml"
BOARD = ROOT / "monitoring" / "grafana-dashboard.json"
PLAYBOOK = re.compile(r"scout\.recovery\.(\w+)")
JOBS = yaml.safe_load((ROOT / "monitoring" / "sql-exporter.yml").read_text())["jobs"]
METRICS = {f"sql_{query['name']}" for job in JOBS for query in job["queries"]}
#: Of the exporter itself: whether the last run of a query failed.
FAILED = "sql_exporter_last_scrape_failed"
NAME = re.compile(r"\b(?:sql_\w+|scout_\w+|scout:\w+)")


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


def test_rules_and_board_ask_for_metrics_of_the_file_and_for_all_of_them() -> None:
    recorded = {rule["record"] for rule in all_rules() if "record" in rule}
    asked = {query: set(NAME.findall(query)) for query in queries()}
    for query, names in asked.items():
        assert names, query
        assert names <= METRICS | recorded | {FAILED}, query
        assert query.count("(") == query.count(")")
    assert set().union(*(set(NAME.findall(rule["expr"])) for rule in all_rules())) >= METRICS
    assert set().union(*(set(NAME.findall(query)) for query in board_queries())) >= METRICS


def test_columns_in_rules_and_board_are_columns_of_the_query() -> None:
    columns = {f"sql_{query['name']}": query["values"] for job in JOBS for query in job["queries"]}
    for query in queries():
        for name, column in re.findall(r'(\w+)\{[^}]*col="(\w+)"', query):
            assert column in columns[name], query


def test_the_file_has_at_most_twenty_queries_and_each_connection_is_bounded() -> None:
    for job in JOBS:
        assert len({query["name"] for query in job["queries"]}) == len(job["queries"]) <= 20
        for address in job["connections"]:
            given = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(address).query))
            assert given["default_transaction_read_only"] == "on"
            assert 0 < int(given["statement_timeout"]) <= 10_000
            assert 0 < int(given["lock_timeout"]) <= int(given["statement_timeout"])


def test_every_alert_tells_what_and_what_to_do() -> None:
    found = rules()
    assert len({rule["alert"] for rule in found}) == len(found)
    for rule in found:
        assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}, rule["alert"]
        wanted = rule["labels"]["incident_severity"]
        assert wanted in {"critical", "high", "medium"}
        assert rule["labels"]["severity"] == ("critical" if wanted == "critical" else "warning"), rule["alert"]
        assert set(rule["annotations"]) == {"summary", "description", "command", "runbook_url"}
        playbook = re.match(r"ansible-playbook scout\.recovery\.(\w+)\b", rule["annotations"]["command"])
        assert playbook, rule["alert"]
        assert (ROOT / "playbooks" / f"{playbook[1]}.yml").is_file()
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


def test_every_alert_has_a_case() -> None:
    text = CASES.read_text()
    assert [rule["alert"] for rule in rules() if f'alertname="{rule["alert"]}"' not in text] == []


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
