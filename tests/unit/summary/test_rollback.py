# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said last of going back to a captured release, for every way it can end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import rollback as rollbacks
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary.command import summarize
from tests.unit.summary.test_summary import DATABASE, RUN, VALID, Result, did, failed, on_screen

STEPS = (
    *("preflight", "lease", "commit", "plan", "plan_revert", "plan_deploy", "unfinished", "evidence", "pause"),
    *("revert", "deploy", "rollback", "drain", "refresh_gold", "gate", "resume"),
)
TIP, COMMIT, GOOD = "9" * 40, "a" * 40, "3f2a9c1e0b" * 4
PUSH = "git -C /srv/deploy/scout push origin rollback-to-3f2a9c1e0b3f:main"
CAPTURE = {
    "operation": "rollback",
    "release": "v5.2.1",
    "goal": "v5.2.1",
    "capture_id": RUN,
    "digest": "d" * 64,
    "captured_at": "2026-11-25T01:02:03+00:00",
    "git_commit": GOOD,
}
STEP = {
    "does": "drop",
    "key": "column:scout.alerts.team",
    "lock": "ACCESS EXCLUSIVE",
    "hazard": "loses data",
    "statements": ["x"],
}
BACK = CAPTURE | {
    "steps": [STEP], "step_count": 15, "objects": 12, "lock": "ACCESS EXCLUSIVE", "hazard": "loses data", "loses": [],
    "saved": [{"relation": "scout.alerts", "columns": ["team"], "rows": 120, "digest": "e" * 32}],
    "leaving_rows": 1500, "filled": [{"relation": "scout.dim_store", "columns": ["city"], "rows": 60}],
    "empty": ["column:scout.dim_store.note"],
    "impossible": [], "before": {"release": "v5.2.1 before", "capture_id": RUN, "digest": "f" * 64}, "attempts": 2, "seconds": 0.3,
    "rehearsal": None, "kept_disabled": ["product-linking"], "plan": None, "undo": RUN,
}  # fmt: skip
RESTORED = did("rolled back to v5.2.1: 12 objects in 15 steps", **BACK)
PLAN = RESTORED | {
    "summary": "would roll back to v5.2.1: 12 objects in 15 steps",
    "run_id": None,
    "undo": None,
    "filled": ["column:scout.dim_store.city"],
    "saved": [{"relation": "scout.alerts", "columns": ["team"]}],
    "rehearsal": {"done": True, "reason": "", "seconds": 1.5},
}
SAME = CAPTURE | {
    "changed": False,
    "run_id": None,
    "summary": "nothing differs from v5.2.1",
    "steps": [],
    "step_count": 0,
    "objects": 0,
}
REVERTED = {"changed": True, "branch": "main", "remote": "origin", "tip": TIP, "target": GOOD, "commit": COMMIT, "pushed": True,
            "push_command": "", "reverted": [], "warnings": [],
            "summary": f"reverted 4 commits of main to the tree of {GOOD[:10]}, and pushed it"}  # fmt: skip
NOT_PUSHED = REVERTED | {"pushed": False, "push_command": PUSH}
DEPLOYED = {"changed": True, "functions": ["ingest-transaction"], "project_ref": "abc", "commit": GOOD, "previous_commit": TIP,
            "verify_jwt": True, "run_id": RUN, "effects": {},
            "summary": f"deployed ingest-transaction from {GOOD[:10]} to project abc"}  # fmt: skip
OLD = {"changed": False, "functions": [], "previous_commit": TIP, "summary": "is deployed already"}
START = {
    "preflight": {"changed": False, "summary": "role loader on PostgreSQL 17", "database": DATABASE},
    "lease": {"changed": False, "summary": "lease held"},
}  # fmt: skip
PAUSED = did("paused 3 jobs in 0.4 s", state="paused", paused_by="anna@bastion")
CHECK = {"name": "negative_totals", "status": "fail", "value": 3.0, "unit": "transactions", "threshold": {"ok": 0, "fail": 0},
         "source": "scout.silver_transactions", "reason": "", "code": 43, "severity": "fail", "counts": True}  # fmt: skip
PASSED = {"operation": "gate", "changed": False, "verdict": "paused", "ok": True, "exit_code": 0, "codes": [], "checks": [], "samples": [],
          "smoke": {"status": "pass", "reason": "sent twice and kept once"}, "period_hours": 24, "diagnoses": [],
          "ingestion": {"state": "paused", "paused_by": "anna@bastion", "incident": "INC-7"},
          "summary": "paused: paused for 3 s by anna@bastion for INC-7; all of 30 checks pass"}  # fmt: skip
FAILED = PASSED | {"verdict": "fail", "ok": False, "exit_code": 43, "codes": [43], "checks": [CHECK],
                   "summary": "fail: of 30 checks 1 fails, 29 pass"}  # fmt: skip
WARNS = PASSED | {"ok": False, "exit_code": 48, "checks": [CHECK | {"status": "warn"}]}
RESUMED = did("resumed 3 jobs in 0.0 s", state="running")
SETTLED = {
    "drain": did("loaded 12 events in 0.2 s"),
    "refresh_gold": did("refreshed 2 gold views"),
    "gate": PASSED,
    "resume": RESUMED,
}
PLANNED = START | {"plan": PLAN, "plan_revert": REVERTED | {"commit": None}, "plan_deploy": DEPLOYED}
WHOLE = PLANNED | {"pause": PAUSED, "revert": REVERTED, "deploy": DEPLOYED, "rollback": RESTORED} | SETTLED
UNDO = f"ansible-playbook scout.recovery.undo -e scout_run_id={RUN}"
APPLICATION = f"ansible-playbook scout.recovery.rollback -e scout_schema_rollback_enabled=false -e scout_application_commit={TIP[:12]}"
LOSSY = errors.NotConverged("refused to roll back: data would be lost", on=DATABASE, said="column scout.alerts.team",
                          next_step=f"save what is needed of it by hand first; {transaction.LOSS}")  # fmt: skip
LOCKED = errors.NotConverged("could not roll back within 1 min: others hold locks; nothing was changed", on=DATABASE,
                           next_step="terminate_sessions.yml --check shows who is blocking")  # fmt: skip
UNKNOWN = errors.BadInput("there is no capture of v9", said="captured are v5.2.1, v5.2.0", next_step="name one of them")

#: What happened, the outcome, and words that have to be on the screen.
ENDS: dict[str, tuple[Result, Result, str, list[str]]] = {
    "done": (WHOLE, {}, "done", [
        "back to v5.2.1 of 2026-11-25 01:02 UTC, digest dddddddddddd; yielded to other sessions 2 times; rehearsed in 1.5 s",
        "data rows that leave the live tables: 1,500 (saved); saved before it was dropped: scout.alerts (team) 120 rows;",
        "restored: scout.dim_store (city) 60 rows;",
        "restored empty: column scout.dim_store.note", f"app main reverted by {COMMIT[:10]}, pushed, to the tree of {GOOD[:10]};",
        f"ingest-transaction deployed from {GOOD[:10]}",
        "did paused 3 jobs in 0.4 s; rolled back to v5.2.1: 12 objects in 15 steps; loaded 12 events",
        "gate all of 30 checks pass; a test sale went through", "now ingestion is running", f"undo {UNDO}", APPLICATION]),
    "planned": (PLANNED | {"pause": did("would pause 3 jobs", state="running")}, {"check": True}, "planned", [
        "would pause 3 jobs; roll back to v5.2.1: 12 objects",
        "strongest lock ACCESS EXCLUSIVE, worst effect drops data that is saved first",
        "data rows that leave the live tables: 1,500 (saved); would be saved before it is dropped: scout.alerts (team)",
        f"app reverted 4 commits of main to the tree of {GOOD[:10]}, and pushed it",
        "would be restored: column scout.dim_store.city;", "would be restored empty", "now nothing was written",
        "next run it without --check"]),
    "planned, and would be refused": (PLANNED | {"plan": PLAN | {"refused": LOSSY.as_dict()}}, {"check": True}, "failed", [
        "now nothing was written", "failed refused to roll back: data would be lost on", ": column scout.alerts.team",
        "next save what is needed of it by hand first"]),
    "done, and soon cannot be undone": (
        WHOLE | {"rollback": RESTORED | {"blocks_undo": ["column:scout.silver_transactions.channel"]}}, {}, "done", [
        "beware an undo is refused after the next insert: NOT NULL without a default: column scout.silver_transactions.channel"]),
    "the same again": (START | {"plan": SAME, "plan_revert": REVERTED | {"changed": False, "summary": "main has the tree already"},
                                "plan_deploy": OLD, "unfinished": {"changed": False, "state": "running", "summary": ""}}, {}, "unchanged", [
        "back to v5.2.1 of", "app main has the tree already; is deployed already", "did nothing differs from v5.2.1",
        "now ingestion is running"]),
    "an interrupted one is finished": (START | {"plan": SAME, "unfinished": did("would resume 3 jobs", state="paused")} | SETTLED, {},
                                       "done", ["did loaded 12 events", "now ingestion is running"]),
    "the gate does not pass": (WHOLE | {"gate": FAILED, "resume": {"skipped": True}}, {}, "not_passed", [
        "gate fail: of 30 checks 1 fails", "fails negative_totals", "now ingestion is paused", UNDO,
        f"{render.RESUME} re-enables the jobs",
        "scout.recovery.window_recovery", f"then {rollbacks.AGAIN}"]),
    "the gate does not pass while it is paused": (WHOLE | {"gate": FAILED | {"checks": [], "diagnoses": [
        {"rank": 1, "cause": "ingestion was paused by oncall", "evidence": "1 s ago", "next_command": render.RESUME}]},
        "resume": {"skipped": True}}, {}, "not_passed", [
        f"next {render.gate.ASSESS} then {rollbacks.AGAIN}"]),
    "the gate only warns": (WHOLE | {"gate": WARNS, "resume": {"skipped": True}}, {}, "not_passed", [
        "warns negative_totals", "-e scout_warn_passes=true"]),
    "the application failed": (PLANNED | {"pause": PAUSED, "revert": failed(errors.ProgramFailed("could not push", next_step="mend it"))},
                               {}, "failed", ["did paused 3 jobs", "now ingestion is paused", "failed could not push",
                                              "next mend it; then run the same command again"]),
    "the schema failed": (PLANNED | {"pause": PAUSED, "revert": REVERTED, "deploy": DEPLOYED, "rollback": failed(LOCKED)}, {}, "failed", [
        "app main reverted by", "failed could not roll back within 1 min: others hold locks; nothing was changed",
        APPLICATION, f"{render.RESUME} re-enables", "next ansible-playbook scout.recovery.terminate_sessions --check",
        "then run the same command again"]),
    "data would be lost": (START | {"plan": failed(LOSSY, loses=["column:scout.alerts.team"])}, {}, "failed", [
        "now nothing was changed", "docs/rollback.md, section If data would be lost"]),
    "there is no such release": (START | {"plan": failed(UNKNOWN)}, {}, "failed", ["captured are v5.2.1, v5.2.0"]),
    "not pushed": (WHOLE | {"revert": NOT_PUSHED}, {}, "done", [f"next {PUSH}"]),
    "left paused as told": (WHOLE | {"resume": {}}, {"resume_wanted": False}, "done", [
        "now ingestion is paused", f"next {render.RESUME} when ready"]),
    "the application stays": (START | {"plan": PLAN, "pause": PAUSED, "rollback": RESTORED} | SETTLED,
                              {"left_out": {"application": "application_dir is not set"}}, "done", [
        "left application, as application_dir is not set"]),
    "the schema stays": (START | {"commit": SAME, "plan_revert": REVERTED, "plan_deploy": OLD, "pause": PAUSED, "revert": REVERTED,
                                  "deploy": OLD} | SETTLED, {"left_out": {"schema": "schema_rollback_enabled is false"}}, "done", [
        "left schema, as schema_rollback_enabled is false", APPLICATION]),
    "only the function": (WHOLE | {"revert": REVERTED | {"changed": False}}, {}, "done", [APPLICATION]),
    "without a pause": (WHOLE | {"pause": {}, "resume": {}, "gate": {}}, {}, "done", ["now ingestion unchanged"]),
    "not rehearsed": (WHOLE | {"plan": PLAN | {"rehearsal": {"done": False, "reason": "no CREATEDB", "seconds": 0.0}}}, {}, "done", [
        "not rehearsed: no CREATEDB"]),
}  # fmt: skip


def story(steps: Result, **fields: Any) -> render.Story:
    given = {
        "operation": "rollback",
        "host": "db1",
        "incident": "INC-7",
        "check": False,
        "resume_wanted": True,
    }
    return render.Story(**(given | fields), steps={name: steps.get(name, {}) for name in STEPS})


@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_told(name: str) -> None:
    steps, fields, outcome, words = ENDS[name]
    for warnings in ([], ["connected through a connection pooler: " + "word " * 60]):
        told = story(steps | {"lease": steps["lease"] | {"warnings": warnings}}, **fields)
        lines = render.lines(told)
        # The undo of the application alone takes three.
        assert len(lines) <= 21
        assert max(len(line) for line in lines if PUSH not in line) <= 79
        if not warnings:
            assert [part for part in words if part not in on_screen(lines)] == []
        # Commands can be copied whole.
        assert [line for line in lines if "ansible-playbook" in line and "scout.recovery." not in line] == []
        document = render.document(told)
        VALID.validate(document)
        assert (document["outcome"], document["ok"]) == (outcome, outcome in render.GOOD)
        assert document["move"] is None
        assert json.loads(json.dumps(document)) == document


def test_an_undo_of_it_tells_what_came_back() -> None:
    steps = START | {"plan": PLAN, "pause": PAUSED, "undo": RESTORED | {"undone": {"run_id": RUN}}, "resume": RESUMED}
    told = render.Story(
        "undo",
        "db1",
        "INC-7",
        False,
        True,
        {name: steps.get(name, {}) for name in (*STEPS, "undo") if name != "rollback"},
    )
    document = render.document(told)
    VALID.validate(document)
    assert document["move"]["undone"] == {"run_id": RUN}
    assert document["rollback"]["schema"]["digest"] == "d" * 64
    assert "back to v5.2.1 of 2026-11-25 01:02 UTC" in on_screen(render.lines(told))


def test_a_gate_that_does_not_pass_ends_with_2() -> None:
    steps = [{name: ENDS["the gate does not pass"][0].get(name, {})} for name in STEPS]
    result = summarize(steps, operation="rollback", host="db1")
    assert (result["verdict"], result["exit_code"]) == ("PAUSED, fix first", 2)
    assert result["document"]["gate"]["exit_code"] == 43
