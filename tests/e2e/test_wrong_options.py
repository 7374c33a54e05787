# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wrong value, wherever an operation would need it, ends each playbook before it begins, and the summary says why."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.pipeline import Pipeline
from tests.e2e.play import CHECKOUT, Stage, listed

#: By playbook what the inventory has of a host, and what is said of it.
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "acceptance_gate": ({"period_hours": "day"}, "period_hours 'day' is not a whole number"),
    "assess": ({"assess_budget_seconds": "soon"}, "assess_budget_seconds 'soon' is not a number"),
    "capture_release": ({"max_rows": "many"}, "max_rows 'many' is not a whole number"),
    "gameday": ({"gameday_output_dri": "x"}, "'gameday_output_dri' is not a variable"),
    "drill": ({"drill_histroy_dir": "x"}, "'drill_histroy_dir' is not a variable"),
    "dead_letters": ({"dead_letters_limit": "few"}, "dead_letters_limit 'few' is not a whole number"),
    "emergency_reset": ({"evidence_budget_seconds": "short"}, "evidence_budget_seconds 'short' is not a number"),
    "evidence": ({"evidence_sample_rows": "few"}, "evidence_sample_rows 'few' is not a whole number"),
    "evidence_verify": ({"evidence_full_seconds": "long"}, "evidence_full_seconds 'long' is not a number"),
    "incident_close": ({"gate_thresholds": "low"}, "gate_thresholds 'low' is not a dictionary"),
    "incident_note": ({"incident_setles": "customers"}, "'incident_setles' is not a variable"),
    "incident_open": ({"incident_severities": 7}, "incident_severities '7' is not a dictionary"),
    "incident_report": ({"report_folders": "x"}, "'report_folders' is not a variable"),
    "incident_update": ({"adopt": {"a": 1}}, """adopt "{'a': 1}" is not a list"""),
    "pause_ingestion": ({"drain_timeout_seconds": "soon"}, "drain_timeout_seconds 'soon' is not a number"),
    "preflight": ({"poison": "kill"}, "value of poison must be one of: quarantine, stop, got: kill"),
    "quality_cleanup": ({"source_event": "burn"}, "value of source_event must be one of: quarantine, keep, got: burn"),
    "quarantine": ({"window_clock": "noon"}, "value of window_clock must be one of: ingested_at, event_ts, got: noon"),
    "redrive": ({"canary_rows": "few"}, "canary_rows 'few' is not a whole number"),
    "refresh_gold": ({"refresh_gold_timeout_seconds": "long"}, "refresh_gold_timeout_seconds 'long' is not a number"),
    "resume_ingestion": ({"ingestion_only_owns": True}, "'ingestion_only_owns' is not a variable"),
    "rollback": ({"period_hours": "day"}, "period_hours 'day' is not a whole number"),
    "runs": ({"runs_limit": "few"}, "runs_limit 'few' is not a whole number"),
    "undo": (
        {"on_conflict": "guess"},
        "value of on_conflict must be one of: refuse, keep_current, restore, got: guess",
    ),
    "terminate_sessions": (
        {"terminate_sessions_max_sessions": "few"},
        "terminate_sessions_max_sessions 'few' is not a whole number",
    ),
    "top": ({"budget_seconds": "soon"}, "budget_seconds 'soon' is not a number"),
    "watch_recovery": ({"consecutive": "often"}, "consecutive 'often' is not a whole number"),
    "window_recovery": ({"mode": "most"}, "value of mode must be one of: missing, all, got: most"),
}
#: What needs no inventory, and so takes its variables from the command line alone.
ON_LOCALHOST = {"drill", "evidence_verify", "gameday"}


def test_no_playbook_is_left_out() -> None:
    assert set(WRONG) == {path.stem for path in CHECKOUT.glob("playbooks/*.yml")}


@pytest.mark.parametrize("playbook", WRONG)
def test_a_wrong_value_is_refused_before_anything_begins(playbook: str, healthy: Pipeline, stage: Stage) -> None:
    options, says = WRONG[playbook]
    before = healthy.fingerprint()
    inventory = stage.inventory({"one": {"scout_dsn": healthy.dsn, **listed(options)}})
    typed = options if playbook in ON_LOCALHOST else {}
    for name, known_as in zip(options, listed(options), strict=True):
        says = says.replace(f"{name} ", f"{known_as} ")
    played = stage.play(playbook, None, "-i", inventory, **typed)
    assert played.rc == 2, played.text
    assert played.result["outcome"] == "failed"
    assert says.split(" is not a variable")[0] in played.result["error"]["attempted"]
    assert says in played.summary
    assert [step["name"] for step in played.result["steps"]] == ["options"]
    assert played.recap()["failed"] == 1
    assert healthy.fingerprint() == before
    assert not stage.evidence.exists()
    for word in ("Traceback", "argument spec", "_Ansible"):
        assert word not in played.text


def test_several_wrong_values_are_told_together(healthy: Pipeline, stage: Stage) -> None:
    """Each by the variable that was set, once, however many roles take it; nobody corrects one at a time."""
    wrong = {"poison": "kill", "max_poison": "many", "refresh_gold_views": {"a": 1}, "lease_ttl_seconds": "long"}
    inventory = stage.inventory({"one": {"scout_dsn": healthy.dsn, **listed(wrong)}})
    played = stage.play("emergency_reset", None, "-i", inventory)
    assert played.rc == 2, played.text
    told = played.result["error"]["attempted"]
    assert told.count("value of scout_poison must be one of: quarantine, stop, got: kill") == 1
    assert told.count("max_poison 'many' is not a whole number") == 1
    assert "refresh_gold_views" in told
    assert "lease_ttl_seconds 'long' is not a whole number" in told
