# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The story of an incident, its checklist and what is overdue; what its options may be."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
import yaml

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import BadInput
from ansible_collections.scout.recovery.plugins.module_utils.recovery.incidents import (
    checklist,
    options,
    timeline,
)
from tests import CHECKOUT

ROOT = CHECKOUT
BEGAN = datetime.datetime(2026, 11, 25, 17, 0, tzinfo=datetime.UTC)


def at(minutes: float) -> datetime.datetime:
    return BEGAN + datetime.timedelta(minutes=minutes)


def run(action: str, minutes: float, *, status: str = "succeeded", **effects: Any) -> dict[str, Any]:
    """A line of the ledger."""
    return {
        "run_id": f"{action}-{minutes}", "parent_run_id": None, "action": action, "status": status, "incident": "INC-1",
        "actor": "eve@db", "started_at": at(minutes), "finished_at": at(minutes), "seconds": 0.0, "effects": effects,
        "error": None, "undoes": None, "undone_by": None,
    }  # fmt: skip


def entry(kind: str, minutes: float, text: str = "x", **details: Any) -> dict[str, Any]:
    """Words of a person."""
    return {"entry": 1, "at": at(minutes), "actor": "bob@db", "kind": kind, "text": text, "details": details}


def record(*story: dict[str, Any], now: float = 10, **line: Any) -> timeline.Record:
    """An incident with these runs, entries and looks."""
    row = {
        "incident": "INC-1", "title": "gold is stale", "severity": "critical", "opened_at": at(0), "opened_by": "bob@db",
        "closed_at": None, "closed_by": None, "root_cause": None, "next_update_at": None,
    }  # fmt: skip
    opened = entry("opened", 0, "gold is stale", response_minutes=5, escalation=["commander"])
    return timeline.Record(
        row | line,
        [opened, *(part for part in story if "kind" in part)],
        [part for part in story if "action" in part],
        [part for part in story if "verdict" in part],
        at(now),
    )


def settled(made: timeline.Record) -> set[str]:
    """The items that are done, but the one that opening settles."""
    phases = checklist.ticked(made.entries, made.runs)
    return {item["item"] for phase in phases for item in phase["items"] if item["done"]} - {"alert_received"}


def test_the_timeline_is_sorted_and_has_both_clocks() -> None:
    look = {"run_id": "w", "number": 1, "at": at(3), "verdict": "failing", "reason": "backlog_age", "state": "running"}
    made = record(entry("note", 4, "told"), run("pause", 1, deactivated=["a", "b"]), look, run("resume", 2))
    story = timeline.timeline(made, timeline.zone_of("Asia/Manila"))
    assert [event["what"] for event in story] == ["opened", "pause", "resume", "seen", "noted"]
    assert story[0]["at"] == "2026-11-25T17:00:00+00:00"
    assert story[0]["local"] == "2026-11-26T01:00:00+08:00"
    assert story[1]["effect"] == "2 jobs off: a, b"
    assert story[2]["effect"] == "changed nothing"
    assert story[3]["effect"] == "failing: backlog_age (ingestion is running)"
    assert timeline.timeline(made)[0]["local"] is None


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (run("terminate_sessions", 1, ended=[{"pid": 1}]), "1 stuck session ended"),
        (run("drain", 1, loaded=3000, poison=[{}, {}]), "3,000 events loaded, 2 poison events quarantined"),
        (run("refresh_gold", 1, refreshed=[{"name": "a"}, {"name": "b", "error": "locked"}]), "refreshed a"),
        (run("cleanup", 1, moved={"events": 3, "lines": 10, "ledger": 3}), "3 events, 10 lines quarantined"),
        (run("quarantine", 1, moved={"events": 1, "transactions": 1}), "1 event, 1 transaction quarantined"),
        (run("window_recovery", 1, loaded=5, failed=0), "loaded 5"),
        (run("redrive", 1, redriven=1200), "redriven 1,200"),
        (run("undo", 1, put_back={"events": 2}) | {"undoes": "r1"}, "undid run r1; put back events 2"),
        (run("gate", 1, verdict="fail", summary="fail: of 26 checks 1 fails"), "fail: of 26 checks 1 fails"),
        (run("assess", 1, verdict="degraded", summary="backlog 3"), "degraded: backlog 3"),
        (run("capture", 1, release="v5", objects=2), "release v5, 2 objects"),
        (run("deploy", 1, commit="0123456789abcdef"), "commit 0123456789ab"),
        (run("pause", 1, status="running", deactivated=["a"]), "not finished; 1 job off: a"),
        (
            run("refresh_gold", 1, status="failed") | {"error": {"attempted": "could not refresh", "said": "locked"}},
            "failed: could not refresh: locked",
        ),
        (run("drain", 1, status="stopped") | {"error": {"kind": "KeyboardInterrupt"}}, "stopped: KeyboardInterrupt"),
    ],
)
def test_what_a_run_came_to_in_words(done: dict[str, Any], said: str) -> None:
    assert timeline.timeline(record(done))[1]["effect"] == said


def test_only_what_can_be_undone_has_an_undo() -> None:
    moved = run("quarantine", 1, moved={"events": 1})
    undone = run("cleanup", 2, moved={"events": 1}) | {"undone_by": "u"}
    story = timeline.timeline(record(moved, undone, run("pause", 3, deactivated=["a"])))
    assert [event["undo"] for event in story] == [None, moved["run_id"], None, None]
    assert story[2]["undone_by"] == "u"


@pytest.mark.parametrize(
    ("story", "items"),
    [
        ([], set()),
        ([run("pause", 1)], {"stop_ingestion"}),
        ([run("pause", 1, status="failed")], set()),
        ([run("pause", 1) | {"undone_by": "u"}], set()),
        ([run("drain", 1, loaded=3)], {"identify_fix", "apply_fix", "reprocess"}),
        ([run("drain", 1, poison=[{}])], {"identify_fix", "apply_fix", "reprocess", "quarantine"}),
        ([run("gate", 1, ok=False)], {"health_check", "data_quality", "analyze_logs"}),
        ([run("gate", 1, ok=True)], {"health_check", "data_quality", "analyze_logs", "acceptance_gate"}),
        ([run("evidence", 1)], {"preserve_evidence", "analyze_logs"}),
        ([entry("note", 1)], {"document_symptoms"}),
        ([run("assess", 1)], {"health_check", "document_symptoms"}),
        ([entry("note", 1, item="root_cause")], {"root_cause"}),
        ([entry("note", 1, item="update_runbook")], {"update_runbook"}),
        ([entry("update", 1, item="root_cause")], set()),
    ],
)
def test_what_settles_which_item(story: list[dict[str, Any]], items: set[str]) -> None:
    assert settled(record(*story)) == items


def test_an_item_is_settled_by_what_came_first() -> None:
    phases = checklist.ticked([], [run("gate", 3, ok=True), run("assess", 2)])
    item = next(item for item in phases[0]["items"] if item["item"] == "health_check")
    assert (item["at"], item["by"], item["through"]) == (at(2).isoformat(), "eve@db", "assess")
    assert [phase["done"] for phase in phases] == [False] * 5


def test_a_phase_is_done_with_its_last_item() -> None:
    notes = [entry("note", 1, item=item.name) for item in checklist.PHASES[4].items]
    assert [phase["done"] for phase in checklist.ticked(notes, [])] == [False, False, False, False, True]
    assert [phase["done"] for phase in checklist.ticked(notes[1:], [])] == [False] * 5


def test_every_item_can_be_settled_by_something() -> None:
    assert len(set(checklist.NAMES)) == len(checklist.ITEMS) == 22
    assert set(checklist.PERSONAL) < set(checklist.NAMES)
    everything = [entry("note", 1, item=name) for name in checklist.NAMES]
    assert settled(record(*everything)) == set(checklist.NAMES) - {"alert_received"}


def test_what_only_people_know_is_missing_until_it_is_noted() -> None:
    assert checklist.missing(record().entries) == list(checklist.PERSONAL)
    told = record(entry("note", 1, item="root_cause"), entry("note", 2, "external_dependencies"))
    assert checklist.missing(told.entries) == ["external_dependencies", "retrospective"]


@pytest.mark.parametrize(
    ("made", "late"),
    [
        (record(now=4), []),
        (record(now=10), [("response", 300)]),
        (record(run("pause", 7), now=10), []),
        (record(run("assess", 7), run("gate", 8), now=10), [("response", 300)]),
        (record(run("pause", 1, status="failed"), now=10), []),
        (record(entry("note", 1), now=10), []),
        (record(entry("note", 1), now=10, next_update_at=at(9)), [("update", 60)]),
        (record(entry("note", 1), now=10, next_update_at=at(11)), []),
        (record(now=10, next_update_at=at(4)), [("update", 360), ("response", 300)]),
        (record(now=10, next_update_at=at(4), closed_at=at(9), closed_by="x"), []),
        (record(entry("update", 1, response_minutes=60), now=10), []),
        (record(entry("adopted", 1), now=10), []),
    ],
)
def test_what_is_overdue(made: timeline.Record, late: list[tuple[str, int]]) -> None:
    assert [(each["what"], each["seconds"]) for each in timeline.overdue(made)] == late


def test_a_severity_that_was_raised_is_due_sooner() -> None:
    raised = record(now=4)
    assert timeline.overdue(raised) == []
    sooner = timeline.Record(raised.row, [*raised.entries, entry("opened", 2, response_minutes=3)], [], [], raised.now)
    assert [each["what"] for each in timeline.overdue(sooner)] == ["response"]
    assert timeline.response_due(sooner) == at(3)


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Asia/Manilla", "../../etc/passwd", "\0", ""):
        if name:
            with pytest.raises(BadInput, match="is not known"):
                timeline.zone_of(name)
        else:
            assert timeline.zone_of(name) is None


@pytest.mark.parametrize(
    ("given", "made"),
    [
        ("  a\tb \n c ", "a b c"),
        ('it\'s "down"; DROP TABLE x --', 'it\'s "down"; DROP TABLE x --'),
        ("red \x1b[31mtext\x07", "red [31mtext"),
        ("abc\u202edef\u2028", "abc def"),
        ("Ginto ay luma na \U0001f469\u200d\U0001f692 金", "Ginto ay luma na \U0001f469\u200d\U0001f692 金"),
        (" \n ", None),
        (None, None),
    ],
)
def test_a_title_is_one_line(given: str | None, made: str | None) -> None:
    assert options.clean(given, "title", one_line=True) == made


def test_a_note_keeps_its_lines_and_long_texts_are_refused() -> None:
    assert options.clean("one\r\n two\x00\n", "text") == "one\n two"
    assert options.clean("x" * 20_000, "text") == "x" * 20_000
    with pytest.raises(BadInput, match="title has 10,240 characters"):
        options.clean("x" * 10_240, "title", one_line=True)
    with pytest.raises(BadInput, match="at most 20,000"):
        options.clean("x" * 20_001, "text")


@pytest.mark.parametrize(
    "terms",
    [5, {}, {"response_minutes": "5"}, {"response_minutes": 0}, {"response_minutes": True},
     {"response_minutes": 5, "escalation": "me"}, {"response_minutes": 5, "escalation": [1]}, {"response_minutes": 5, "who": []}],
)  # fmt: skip
def test_a_severity_that_cannot_be_one_is_refused(terms: Any) -> None:
    with pytest.raises(BadInput, match="severity 'low' is not usable"):
        options.severities({"low": terms})


def test_severities_are_the_teams_or_the_runbooks() -> None:
    assert options.severities({}) == options.SEVERITIES
    assert options.severities({"low": {"response_minutes": 1.5}}) == {
        "low": {"response_minutes": 1.5, "escalation": []}
    }


@pytest.mark.parametrize("page", ["local/group_vars/scout.yml", "example/group_vars/all.yml"])
def test_the_inventories_have_the_runbooks_severities(page: str) -> None:
    given = yaml.safe_load((ROOT / "inventories" / page).read_text(encoding="utf-8"))
    assert given == {"scout_incident_severities": options.SEVERITIES}
