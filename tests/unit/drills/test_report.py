# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a drill writes: its verdict, the page, and the picture of times beside budgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import report

EVENTS = {"written": 2100, "lost": 0, "duplicated": 0, "altered": 0, "unexpected": 0}


def scenario(name: str, verdict: str, recovered: float | None = None, **more: Any) -> dict[str, Any]:
    phases = {"detected": 0.5, "paused": None, "recovered": recovered, "resumed": recovered}
    return {
        "name": name, "title": f"About {name}", "verdict": verdict, "seconds": 9.0, "budget_seconds": 300,
        "phases": phases if recovered else {}, "events": EVENTS if recovered else None, "steps": [], "checks": [], "why": [],
        **more,
    }  # fmt: skip


def document(*scenarios: dict[str, Any]) -> dict[str, Any]:
    return {
        "format": "scout-recovery/drill-2", "drill": "2026-11-25T210000Z", "started_at": "2026-11-25T21:00:00Z",
        "seconds": 95.0, "verdict": "interrupted", "collection": "1.1.0", "database": "scout on db1:5432", "server": "17.2",
        "operator": "ana@laptop", "scenarios": list(scenarios),
    }  # fmt: skip


def test_it_passes_only_if_all_scenarios_pass() -> None:
    for verdicts, wanted in (
        (["passed", "passed"], "passed"),
        (["passed", "failed"], "failed"),
        (["passed", "error"], "failed"),
        (["passed", "not_run"], "failed"),
        (["failed", "interrupted", "not_run"], "interrupted"),
    ):
        made = document(*(scenario(f"s{number}", verdict) for number, verdict in enumerate(verdicts)))
        report.conclude(made)
        assert made["verdict"] == wanted, verdicts


def test_the_page_has_each_scenario_with_its_budget_and_why_it_failed() -> None:
    step = {"playbook": "undo", "rc": 2, "seconds": 3.0, "changed": None, "said": "a | b <script>"}
    made = document(
        scenario("gold_stale", "passed", 41.0),
        scenario("lost_window", "failed", 500.0, why=["over its budget", "over its budget"], steps=[step]),
        scenario("poison_event", "not_run"),
    )
    lines = report.markdown(made).splitlines()
    [good] = [line for line in lines if "About gold" in line]
    assert [cell.strip() for cell in good.strip("|").split("|")][1:3] == ["passed", "5 min"]
    assert "41 s" in good
    assert "2,100 written, none lost or duplicated" in good
    assert lines.count("- over its budget") == 1
    [failed] = [line for line in lines if line.startswith("| undo")]
    assert "a \\| b \\<script\\>" in failed


def test_all_three_files_are_written_without_secrets(tmp_path: Path) -> None:
    made = document(scenario("gold_stale", "error", why=["postgresql://ana:s3cr3t-w0rd@db1/scout does not answer"]))
    page = report.write(made, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"drill.json", "drill.md", "drill.svg"}
    assert page.name == "drill.md"
    assert json.loads((tmp_path / "drill.json").read_text())["scenarios"][0]["verdict"] == "error"
    assert not [path for path in tmp_path.iterdir() if "s3cr3t-w0rd" in path.read_text()]
