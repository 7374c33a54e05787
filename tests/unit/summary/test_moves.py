# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said last of rows that moved, and of the runs that did it, for every way a move can end."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core import errors
from ansible_collections.scout.recovery.plugins.module_utils.recovery.summary import moves, render
from tests.unit.summary.test_summary import DATABASE, RUN, VALID, Result, did, failed, on_screen

STEPS = ("preflight", "lease", "plan", "unfinished", "evidence", "pause", "{move}", "drain", "refresh_gold", "resume")
WINDOW = {"clock": "ingested_at", "start": "2026-11-25T01:00:00+00:00", "end": "2026-11-25T02:00:00.5+00:00"}
MOVED = {"events": 1234, "ledger": 1200, "transactions": 1200, "lines": 3611}
DONE = did("moved 1,234 events, 1,200 transactions, 3,611 line items (1.2 s)", window=WINDOW, moved=MOVED, requeued=12,
           gold_days=["2026-11-21", "2026-11-22", "2026-11-23", "2026-11-24", "2026-11-25"])  # fmt: skip
PLAN = DONE | {"summary": "would move 1,234 events, 1,200 transactions, 3,611 line items", "run_id": None}
NOTHING = {"changed": False, "run_id": None, "summary": "0 events match", "window": WINDOW,
           "moved": dict.fromkeys(MOVED, 0), "requeued": 0, "gold_days": []}  # fmt: skip
START = {
    "preflight": {"changed": False, "summary": "role scout_operator on PostgreSQL 17", "database": DATABASE},
    "lease": {"changed": False, "summary": "lease held"},
}  # fmt: skip
RUNNING = {"changed": False, "state": "running", "summary": "ingestion already running", "paused_by": None}
PAUSED = did("paused 3 jobs in 0.4 s", state="paused", paused_by="anna@bastion")
RESUMED = did("resumed 3 jobs in 0.0 s", state="running")
WHOLE = START | {"plan": PLAN, "pause": PAUSED, "quarantine": DONE, "drain": did("loaded 12 events in 0.2 s"),
                 "refresh_gold": did("refreshed 2 gold views"), "resume": RESUMED}  # fmt: skip
ROWS = ("rows bronze_events 1,234, silver_transactions 1,200, silver_line_items 3,611, etl_processed 1,200; "
        "12 kept events requeued; gold of 2026-11-21, 2026-11-22, 2026-11-23 and 2 more")  # fmt: skip
WAY_BACK = f"undo ansible-playbook scout.recovery.undo -e scout_run_id={RUN}"
OWN = {"changed": False, "state": "paused", "paused_by": "anna@bastion", "summary": "ingestion already paused"}
THEIRS = {
    "changed": False,
    "state": "paused",
    "paused_by": "ben@laptop",
    "paused_by_another": True,
    "summary": "ingestion already paused",
}
BROKEN = errors.NotConverged("what was stored is not what was removed", on=DATABASE, said="silver_line_items differs",
                           next_step="look at the triggers of scout.bronze_events_dlq")  # fmt: skip
CONFLICTS = [{"table": "silver_transactions", "key": f"T-{n}", "why": "changed since"} for n in range(50)]
REFUSED = errors.NotConverged("refused to undo", said="120 rows have changed since", next_step="give on_conflict")

#: What moved, what happened, the outcome, and words that have to be on the screen.
ENDS: dict[str, tuple[str, Result, Result, str, list[str]]] = {
    "done": ("quarantine", WHOLE, {}, "done", [
        "chose ingested_at from 2026-11-25 01:00:00 to 2026-11-25 02:00:00 UTC", "did paused 3 jobs in 0.4 s; moved 1,234 events",
        ROWS, "now ingestion is running", WAY_BACK,
        "next once the cause is fixed, ansible-playbook scout.recovery.redrive -e scout_of_incident=INC-7"]),
    "planned": ("quarantine", START | {"plan": PLAN, "pause": did("would pause 3 jobs", state="running")},
                {"check": True}, "planned", [
        "would pause 3 jobs; move 1,234 events", ROWS, "now nothing was written",
        "next run it without --check"]),
    "nothing matches": ("quarantine", START | {"plan": NOTHING, "unfinished": RUNNING}, {}, "unchanged", [
        "did 0 events match", "now ingestion is running"]),
    "nothing would match": ("cleanup", START | {"plan": NOTHING}, {"check": True}, "planned", ["would 0 events match"]),
    "an interrupted one is finished": ("quarantine", START | {
        "plan": NOTHING, "unfinished": did("would resume 3 jobs", state="paused"), "drain": did("loaded 12 events in 0.2 s"),
        "resume": RESUMED}, {}, "done", ["did loaded 12 events in 0.2 s; resumed 3 jobs", "now ingestion is running"]),
    "paused before by another": ("quarantine", WHOLE | {"pause": THEIRS, "resume": THEIRS}, {}, "done", [
        "now ingestion is paused (by ben@laptop)", f"then ask ben@laptop, or {render.RESUME} -e scout_takeover=true"]),
    "paused before by oneself": ("quarantine", WHOLE | {"pause": OWN, "resume": OWN}, {}, "done", [
        "now ingestion is paused (by anna@bastion)", f" {render.RESUME} when ready"]),
    "left paused as told": ("quarantine", WHOLE | {"resume": {}}, {"resume_wanted": False}, "done", [
        "now ingestion is paused", f"{render.RESUME} re-enables the jobs", f" {render.RESUME} when ready"]),
    "without a pause": ("quarantine", WHOLE | {"pause": {}, "resume": {}}, {}, "done", ["now ingestion unchanged"]),
    "the plan failed": ("quarantine", START | {"plan": failed(errors.BadInput("refused to select everything", next_step="give a window"))},
                        {}, "failed", ["now nothing was changed", "failed refused to select everything",
                                       "next give a window; then run the same command again"]),
    "the pause failed": ("quarantine", START | {"plan": PLAN, "pause": failed(errors.NotConverged(
        "new runs are blocked, but work is still in flight", next_step="wait"), state="pausing")}, {}, "failed", [
        "now ingestion is pausing", "next wait; then run the same command again"]),
    "the pause was refused": ("quarantine", START | {"plan": PLAN, "pause": failed(errors.NotConverged(
        "refused to pause ingestion", said="it would stay paused for about 50 min")) | {"ingestion": {"state": "running", "off": []}}},
        {}, "failed", ["now ingestion is running", "failed refused to pause ingestion: it would stay paused for about 50 min"]),
    "the move failed": ("quarantine", START | {"plan": PLAN, "pause": PAUSED, "quarantine": failed(
        BROKEN, changed=True, run_id=RUN, effects={"moved": {"events": 500}})}, {}, "failed", [
        "did paused 3 jobs", "rows bronze_events 500", "now ingestion is paused", WAY_BACK,
        f"{render.RESUME} re-enables the jobs", "next look at the triggers", "then run the same command again"]),
    "resumed with nothing left": ("window_recovery", START | {"plan": PLAN, "pause": PAUSED, "window_recovery": DONE | {
        "changed": False, "resumed": True, "loaded": 1200, "run_id": RUN}, "resume": RESUMED}, {}, "done", [WAY_BACK]),
    "undo of conflicts": ("undo", START | {"plan": failed(REFUSED, conflicts=CONFLICTS, conflicting=120)}, {"check": True}, "failed", [
        "clash 120 conflicts: silver_transactions T-0: changed since; silver_transactions T-1: changed since"]),
    "undone": ("undo", WHOLE | {"plan": PLAN, "quarantine": {}, "undo": did(
        "put back 1,234 events", put_back=MOVED, taken={"dead_letters": 1234}, conflicts=[], undone={"run_id": RUN})}, {}, "done", [
        "rows back: bronze_events 1,234", "out: bronze_events_dlq 1,234", WAY_BACK]),
    "nothing to undo": ("undo", START | {"plan": NOTHING | {"summary": "undone before"}}, {}, "unchanged", [
        "did undone before", f"next {moves.RUNS} lists what can be undone"]),
    "redriven": ("redrive", WHOLE | {"quarantine": {}, "redrive": did(
        "10 events came back", redriven=10, already_there=2, effects={"failed": 1}, failures=[], not_rebuildable=[{"dlq_id": RUN}])},
        {}, "done", ["rows 10 back in bronze, 2 already there, 1 failed again, 1 cannot be rebuilt", f"next {moves.dead_letters()}"]),
    "undo of what is no run": ("undo", START | {"plan": failed(errors.BadInput("run x is unknown", next_step="check it"))}, {},
                               "failed", [f"next check it; then run the same command again; then {moves.RUNS} lists the runs"]),
    "for no incident": ("cleanup", START | {"plan": PLAN, "cleanup": DONE}, {"incident": "adhoc"}, "done", [
        "next once the cause is fixed, ansible-playbook scout.recovery.redrive -e scout_run_id=" + RUN]),
}  # fmt: skip


def story(move: str, steps: Result, **fields: Any) -> render.Story:
    given = {
        "operation": move,
        "host": "db1",
        "incident": "INC-7",
        "check": False,
        "resume_wanted": True,
    }
    ordered = {name: steps.get(name, {}) for name in (step.format(move=move) for step in STEPS)}
    return render.Story(**(given | fields), steps=ordered)


@pytest.mark.parametrize("name", ENDS)
def test_every_end_of_a_move_is_told(name: str) -> None:
    move, steps, fields, outcome, words = ENDS[name]
    for warnings in ([], ["connected through a connection pooler: " + "word " * 60]):
        told = story(move, steps | {"lease": steps["lease"] | {"warnings": warnings}}, **fields)
        lines = render.lines(told)
        assert len(lines) <= 20
        assert max(map(len, lines)) <= 79
        if not warnings:
            assert [part for part in words if part not in on_screen(lines)] == []
        # Commands can be copied whole.
        assert [line for line in lines if "ansible-playbook" in line and "scout.recovery." not in line] == []
        if WAY_BACK in words:
            at = lines.index("  undo   ansible-playbook scout.recovery.undo \\")
            assert lines[at + 1] == f"             -e scout_run_id={RUN}"
        document = render.document(told)
        VALID.validate(document)
        assert (document["outcome"], document["ok"]) == (outcome, outcome in render.GOOD)
        assert json.loads(json.dumps(document)) == document


LISTED: list[Result] = [
    {"run_id": RUN, "started_at": "2026-11-25T01:02:03.4+00:00", "action": "quarantine", "incident": "INC-7", "actor": "anna@bastion",
     "status": "succeeded", "counts": {"moved": MOVED, "requeued": 12}, "can_be_undone": True, "why_not": None, "undone_by": None},
    {"run_id": RUN, "started_at": "2026-11-25T01:02:03+00:00", "action": "undo", "incident": "INC-2041-payments-eu",
     "actor": "scheduled-automation@host.example.org", "status": "stopped", "counts": {"put_back": {f"table_{n}": n for n in range(1, 40)}},
     "can_be_undone": False, "why_not": f"undone by {RUN}", "undone_by": RUN},
    {"run_id": RUN, "started_at": "2026-11-25T01:02:03+00:00", "action": "pause", "incident": "adhoc", "actor": "ben@laptop",
     "status": "succeeded", "counts": {}, "can_be_undone": False, "why_not": "moved no data", "undone_by": None},
]  # fmt: skip


def test_runs_are_a_table_for_a_terminal() -> None:
    told = render.Story(
        "runs", "db1", "adhoc", False, True, {"runs": {"changed": False, "database": DATABASE, "runs": LISTED}}, 1.0
    )
    lines = render.lines(told)
    assert max(map(len, lines)) <= 79
    head, first, whose, its_rows, second, _, its_end, third, last = lines[1:]
    assert head.split() == ["run", "id", "when", "(UTC)", "action"]
    assert first.split() == [RUN, "2026-11-25", "01:02", "quarantine"]
    assert its_rows.strip() == "1,234 events, 1,200 transactions, 3,611 lines, 1,200 …; can be undone"
    assert second.split()[3] == "undo"
    assert its_end.strip().startswith("stopped: put back 1 …")
    assert its_end.endswith(f"; undone by {RUN}")
    assert third.split()[3] == "pause"
    assert whose.strip() == "INC-7, anna@bastion"
    assert last.strip() == "adhoc, ben@laptop: moved no data"
    document = render.document(told)
    VALID.validate(document)
    assert (document["outcome"], document["runs"]) == ("unchanged", LISTED)


POISONED = {"run_id": "R2", "poison": [{"event_id": "e1"}], "changed": True}
FIRST = ["ansible-playbook scout.recovery.undo -e scout_run_id=R2 -e scout_drain=false -e scout_resume=false"]


@pytest.mark.parametrize(
    ("name", "drained", "first"),
    [
        ("undo", POISONED, FIRST),
        ("quality_cleanup", POISONED, FIRST),
        ("undo", {"run_id": "R2", "poison": [], "changed": True}, []),
        ("undo", None, []),
        # What it took is no longer in the queue, so that its drain cannot have met it.
        ("quarantine", POISONED, []),
    ],
)
def test_the_drain_of_a_move_that_requeues_is_undone_first(name: str, drained: Result | None, first: list[str]) -> None:
    told = moves.how_to_undo(name, {"changed": True, "run_id": "R1"}, {"drain": drained} if drained else {})
    assert told == [*first, "ansible-playbook scout.recovery.undo -e scout_run_id=R1"]
