# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a tired person reads last, and the one document a pipeline parses, for every way an operation can end."""

from __future__ import annotations

import json
import re
from typing import Any

import jsonschema
import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery import invoke
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import render
from tests import CHECKOUT

SCHEMA = json.loads((CHECKOUT / "docs" / "result.schema.json").read_text())
VALID = jsonschema.Draft202012Validator({"$defs": SCHEMA["$defs"], "$ref": "#/$defs/result"})
DATABASE = "scout on db1.example.org:5432"
EVENT = "5cf7c1a8-8b0e-4c5e-9e0a-1f3c5a7b9d11"
RUN = "75fac115-3c73-473a-8942-05dc6dcdc27e"
STEPS = (
    "preflight",
    "lease",
    "assess",
    "evidence",
    "pause",
    "terminate_sessions",
    "drain",
    "refresh_gold",
    "assess_again",
    "resume",
)

Result = dict[str, Any]


def indicator(name: str, status: str, reason: str = "") -> Result:
    return {"name": name, "value": 3.0, "unit": "alerts", "status": status, "threshold": {"ok": 0, "fail": 0},
            "source": "scout.silver_transactions", "reason": reason}  # fmt: skip


def diagnosis(cause: str, command: str, rank: int = 1) -> Result:
    return {"rank": rank, "cause": cause, "evidence": "every batch that holds it fails", "next_command": command}


def assessed(verdict: str, state: str = "running", **fields: Any) -> Result:
    paused = state == "paused"
    return {
        "changed": False, "database": DATABASE, "verdict": verdict, "verdict_when_running": verdict, "summary": verdict,
        "ingestion": {"state": state, "paused_by": "anna@bastion" if paused else None, "incident": "INC-7" if paused else None},
        "indicators": [indicator("critical_alerts", "ok")], "diagnoses": [], "needs_reset": [], "blockers": [], **fields,
    }  # fmt: skip


def did(text: str, **fields: Any) -> Result:
    return {"changed": True, "summary": text, "run_id": RUN, "effects": {}, **fields}


def failed(error: errors.RecoveryError, **fields: Any) -> Result:
    return invoke.failure(error) | fields


SICK = assessed(
    "failing",
    summary="failing: gold_staleness 1 h 0 min, backlog_age 1 h 0 min, stuck_sessions 2",
    needs_reset=["backlog_age", "poison"],
    diagnoses=[
        diagnosis(f'one malformed event blocks the ETL: event {EVENT}, invalid input syntax for type numeric: "abc"', render.RESET),
        diagnosis("scout.gold_daily_metrics is stale", "ansible-playbook scout.recovery.refresh_gold", 2),
    ],
)  # fmt: skip
START: dict[str, Result] = {
    "preflight": {"changed": False, "summary": "role scout_operator on PostgreSQL 17", "warnings": [], "database": DATABASE},
    "lease": {"changed": False, "summary": "lease held"},
    "assess": SICK,
    "evidence": {"changed": False, "folder": "/home/anna/evidence/INC-7-scout-20260102T030405.000000Z",
                 "summary": "kept 7 files in /home/anna/evidence/INC-7-scout-20260102T030405.000000Z (0.2 s)"},
}  # fmt: skip
PAUSED = START | {"pause": did("paused 3 jobs in 0.4 s", state="paused")}
POISON = [{"event_id": EVENT, "dlq_id": RUN, "error": "x", "sqlstate": "22P02"}]
REPAIRED = PAUSED | {
    "terminate_sessions": did("1 session cancelled, 1 session terminated"),
    "drain": did("loaded 19,801 events in 4.1 s, quarantined 3 poison events", poison=POISON * 3),
    "refresh_gold": did("refreshed 2 gold views"),
    "assess_again": assessed("paused", "paused", verdict_when_running="degraded", diagnoses=[
        diagnosis("ingestion was paused by anna@bastion", render.RESUME),
        diagnosis("unresolved dead letters", "look at scout.bronze_events_dlq WHERE resolved_at IS NULL", 2)]),
}  # fmt: skip
VIOLATED = assessed(
    "paused", "paused", verdict_when_running="failing", blockers=["critical_alerts"],
    indicators=[indicator("critical_alerts", "fail", "LINE_TOTAL_MISMATCH 3, NEGATIVE_TOTAL 3")],
    diagnoses=[diagnosis("ingestion was paused by anna@bastion", render.RESET),
               diagnosis("silver violates NEGATIVE_TOTAL", "correct T-1, T-2 and the like in scout.silver_transactions and its lines", 2)],
)  # fmt: skip
HELD = errors.LeaseHeld(
    "refused to start while another run is active", on=DATABASE,
    said="ben@laptop has been working on incident INC-6 since 2026-01-02 03:00:00 UTC",
    next_step="talk to ben@laptop; to take over on purpose run again with -e scout_takeover=true (the lease expires by itself in 12 min)",
)  # fmt: skip
UNREACHED = errors.ConnectionFailed(
    "could not connect", on="scout on db1.example.org:5432 as scout_operator (from scout_dsn)", said="Connection refused",
    next_step="check the host, the port and the network; the address came from scout_dsn",
)  # fmt: skip
LOCKED = errors.NotConverged(
    "could not take Scout's refresh lock", on=DATABASE, said="advisory key 94752052 is held by pid 4711 (etl, psql, active)",
    next_step="terminate_sessions.yml then run the same command again",
)  # fmt: skip
LONG = errors.SystemicFailure("the drain stopped after 100 poison events: more would exceed max_poison=100", on=DATABASE,
                       said="next would be event " + EVENT + ": " + "invalid input syntax " * 40, sqlstate="22P02",
                       next_step="so many failures mean a changed event format: " + "look at the errors " * 20)  # fmt: skip

#: What happened, the outcome, and words that have to be on the screen.
ENDS: dict[str, tuple[dict[str, Result], Result, str, list[str]]] = {
    "recovered": (REPAIRED | {"resume": did("resumed 3 jobs in 0.0 s", state="running")}, {}, "recovered", [
        f"was one malformed event blocks the ETL: event {EVENT}", "did paused 3 jobs in 0.4 s; 1 session cancelled",
        "now ingestion is running", f"undo 3 poison events quarantined in scout.bronze_events_dlq (run {RUN})",
        "next look at scout.bronze_events_dlq WHERE resolved_at IS NULL"]),
    "nothing to do": (START | {"assess": assessed("healthy"), "evidence": {}}, {}, "nothing_to_do", [
        "was healthy", "did nothing: no change was needed", "now ingestion is running, nothing is failing"]),
    "planned": (START | {"pause": did("would pause 3 jobs", state="running"), "drain": did("would load 20 pending events")},
                {"check": True}, "planned",
                ["would pause 3 jobs; load 20 pending events", "now nothing was written", "next run it without --check"]),
    "left paused": (REPAIRED | {"assess_again": VIOLATED}, {}, "left_paused", [
        "now ingestion is paused (by anna@bastion for INC-7); not resumed because of critical_alerts (LINE_TOTAL_MISMATCH 3,",
        f"undo {render.RESUME} re-enables the jobs", "next correct T-1, T-2 and the like", f"then {render.RESET}"]),
    "left paused as told": (REPAIRED, {"resume_wanted": False}, "left_paused_as_told", [f"next {render.RESUME} when ready"]),
    "paused by a colleague": (START | {"pause": {"changed": False, "summary": "ingestion already paused", "state": "paused"},
                                       "assess_again": assessed("paused", "paused"),
                                       "resume": {"changed": False, "state": "paused", "summary": "left"}}, {},
                              "left_paused_for_another", ["next ask anna@bastion, or " + render.RESUME]),
    "failed at preflight": ({"preflight": failed(errors.MissingPrivilege(
        "role etl is missing 1 privilege", on=DATABASE, said="SELECT ON scout.x", next_step='GRANT SELECT ON scout.x TO "etl"'))}, {},
        "failed", ["now nothing was changed", 'failed role etl is missing 1 privilege', 'next GRANT SELECT ON scout.x TO "etl"']),
    "connection failed": ({"preflight": failed(UNREACHED)}, {}, "failed", [
        "failed could not connect on scout on db1.example.org:5432 as scout_operator (from scout_dsn): Connection refused"]),
    "failed before anything was seen": ({"preflight": failed(HELD)}, {}, "failed", [
        "now nothing was changed; ingestion could not be seen: PAUSED or RUNNING"]),
    "lease held while paused": ({"preflight": START["preflight"], "lease": failed(HELD, ingestion={
        "state": "paused", "paused_by": "ben@laptop", "incident": "INC-6", "reason": "bad prices until noon"})}, {}, "failed", [
        "now ingestion is paused (by ben@laptop for INC-6: bad prices until noon)"]),
    "lease held": ({"preflight": START["preflight"], "lease": failed(HELD)}, {}, "failed", [
        "ben@laptop has been working on incident INC-6", "next talk to ben@laptop", "-e scout_takeover=true"]),
    "failed at pause": (START | {"pause": failed(errors.NotConverged(
        "new runs are blocked, but work is still in flight", said="after 60 s still in flight: pid 7",
        next_step="wait and run the same command again, or terminate_sessions.yml if it is stuck"), state="pausing")}, {}, "failed", [
        "now ingestion is pausing", "or ansible-playbook scout.recovery.terminate_sessions if it is stuck"]),
    "failed at terminate_sessions": (PAUSED | {"terminate_sessions": failed(
        errors.NotConverged("could not end pid 7", next_step="wait"))}, {}, "failed", [
        "did paused 3 jobs in 0.4 s", "now ingestion is paused", f"undo {render.RESUME} re-enables the jobs"]),
    "failed at drain": (PAUSED | {"drain": failed(LONG, changed=True, run_id=RUN, drained={"poison": POISON * 100})}, {},
                        "failed", ["now ingestion is paused", "failed the drain stopped after 100 poison events",
                                   "100 poison events quarantined", "next so many failures mean"]),
    "failed at refresh_gold": (REPAIRED | {"refresh_gold": failed(LOCKED), "assess_again": {}}, {}, "failed", [
        "now ingestion is paused", "pid 4711", "next ansible-playbook scout.recovery.terminate_sessions then run the same command again"]),
    "a step crashed": (PAUSED | {"drain": {"failed": True, "msg": "Traceback " * 200}}, {}, "failed", [
        "failed step drain: Traceback", "next ansible-playbook scout.recovery.assess shows how the pipeline is now",
        "then run the same command again"]),
}  # fmt: skip


def story(steps: dict[str, Result], **fields: Any) -> render.Story:
    given = {
        "operation": "emergency_reset",
        "host": "db1",
        "incident": "INC-7",
        "check": False,
        "resume_wanted": True,
    }
    ordered = {name: steps.get(name, {}) for name in STEPS}
    return render.Story(**(given | fields), steps=ordered)


def beside_the_reason(lines: list[str]) -> list[str]:
    """The lines that have to fit a screen: all but what failed and what to type next, which are printed whole."""
    part, kept = "", list[str]()
    for line in lines:
        part = line[:9].strip() or part
        kept += [] if part in ("failed", "next") else [line]
    return kept


def on_screen(lines: list[str]) -> str:
    return " ".join("\n".join(lines).replace(" \\\n", " ").split())


@pytest.mark.parametrize("name", ENDS)
def test_every_end_is_told_in_twenty_lines_and_one_valid_document(name: str) -> None:
    steps, fields, outcome, words = ENDS[name]
    for warnings in ([], ["connected through a connection pooler: " + "word " * 60]):
        told = story(steps | {"lease": steps.get("lease", {}) | {"warnings": warnings}}, **fields)
        lines = render.lines(told)
        assert len(beside_the_reason(lines)) <= 20
        assert max(map(len, lines)) <= 79
        assert lines[0].startswith("emergency reset of ")
        if not warnings:
            assert [part for part in words if part not in on_screen(lines)] == []
        # Whatever else has to give way, what to do next is there.
        if told.outcome != "nothing_to_do":
            assert any(line.startswith("  next   ") for line in lines), lines
        for playbook in re.findall(r"ansible-playbook scout\.recovery\.(\w+)", on_screen(lines)):
            assert (CHECKOUT / "playbooks" / f"{playbook}.yml").is_file()
        document = render.document(told)
        VALID.validate(document)
        assert (document["outcome"], document["ok"]) == (outcome, outcome in render.GOOD)
        assert json.loads(json.dumps(document)) == document


@pytest.mark.parametrize("verbose", [False, True])
def test_the_reason_of_a_failure_is_printed_whole(verbose: bool) -> None:
    reason = " ".join(f"word{n}" for n in range(600))
    error = errors.NotConverged("it failed", said=reason, next_step=f"{'look ' * 200}; then assess.yml")
    warned = {"lease": {"changed": False, "warnings": ["beware " * 200], "summary": "lease held"}}
    lines = render.lines(story(PAUSED | warned | {"drain": failed(error)}, verbose=verbose))
    assert reason in on_screen(lines)
    assert "beware …" in on_screen(lines), "what is no reason is still shortened"
    assert lines[-1].strip() == render.ASSESS
    assert max(map(len, lines)) <= 79


@pytest.mark.parametrize("operation", ["emergency_reset", "pause_ingestion", "quarantine", "assess"])
def test_a_run_whose_steps_were_all_left_out_does_not_end_well(operation: str) -> None:
    """As by `--tags` with a name that no step has; a pipeline would go on as if it were paused."""
    steps = {"preflight": START["preflight"], "lease": START["lease"], "pause": {}, "assess": {}, "quarantine": {}}
    made = render.Story(operation, "db1", "adhoc", False, True, steps)
    assert (made.outcome, render.document(made)["ok"]) == ("failed", False)
    text = " ".join(" ".join(render.lines(made)).split())
    assert "failed the essential steps were not run: --tags, --skip-tags" in text
    assert "next run the same command without --tags" in text
    refused = render.Story(operation, "db1", "adhoc", False, True, {"preflight": failed(UNREACHED)})
    assert "excluded them" not in " ".join(render.lines(refused))


def test_a_reset_that_only_looked_has_not_recovered_anything() -> None:
    """As by `--tags assess`: the pipeline runs, and is as broken as before."""
    made = render.Story("emergency_reset", "db1", "adhoc", False, True, START)
    assert made.outcome == "failed"
