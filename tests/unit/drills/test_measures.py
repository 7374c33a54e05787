# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scenario came to, from what was seen of it: a drill can fail, and says why."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.drill.results import measures
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.measures import Moments
from ansible_collections.scout.drills.plugins.plugin_utils.drill.results.records import (
    Ledger,
    Pause,
    PlaybookResult,
    Run,
)
from ansible_collections.scout.drills.plugins.plugin_utils.drill.scenario import Expect, Play
from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import Whereabouts

T0 = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
A, B, C = (UUID(int=number) for number in range(1, 4))


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def pause(begins: float, ends: float | None) -> Pause:
    return Pause(at(begins), None if ends is None else at(ends), "adhoc", "ops@here")


def moments(detected: float | None = 2, recovered: float | None = 42) -> Moments:
    return Moments(T0, None if detected is None else at(detected), None if recovered is None else at(recovered))


def test_phases_count_from_the_fault() -> None:
    wanted = {"detected": 2.0, "paused": 5.0, "recovered": 42.0, "resumed": 40.0}
    assert measures.phases(moments(), [pause(5, 40)]) == wanted


def test_a_pause_from_before_the_fault_does_not_count() -> None:
    assert measures.phases(moments(), [pause(-1, 50)])["paused"] is None
    assert measures.phases(moments(), [pause(-1, 50), pause(12, 20)])["paused"] == 12.0


@pytest.mark.parametrize(
    ("recovered", "late"),
    [(0.1, False), (300.0, False), (300.1, True), (None, True)],
)
def test_a_recovery_is_late_only_beyond_its_budget(recovered: float | None, late: bool) -> None:
    assert bool(measures.lateness(recovered, 300)) == late


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (Whereabouts(), "none lost or duplicated"),
        (Whereabouts(lost={A}), f"1 lost ({A})"),
        (Whereabouts(duplicated={A, B}), f"2 duplicated ({A}, {B})"),
        (Whereabouts(altered={B}), f"1 altered ({B})"),
        (Whereabouts(unexpected={C}), f"1 unexpected ({C})"),
    ],
)
def test_events_that_went_astray(found: Whereabouts, said: str) -> None:
    check = measures.no_event_lost(found, ())
    assert (check.found, check.passed) == (said, said == "none lost or duplicated")
    counted = measures.events({A: "", B: ""}, found, ())
    assert counted["written"] == 2
    assert {name for name in ("lost", "duplicated", "altered", "unexpected") if counted[name]} == {
        name for name, ids in vars(found).items() if ids
    }


def test_an_event_whose_commit_was_cut_off_is_no_surprise() -> None:
    found = Whereabouts(unexpected={C})
    assert measures.no_event_lost(found, {C}).passed
    assert measures.events({}, found, {C})["unexpected"] == 0
    assert not measures.no_event_lost(Whereabouts(lost={C}), {C}).passed


def played(rc: int | None = 0, changed: int | None = 3, **result: Any) -> PlaybookResult:
    return PlaybookResult(rc, 1.0, 0.0, 1.0, changed, "it said so", result, ())


PLAY = Play("emergency_reset", Path("emergency_reset.yml"))


@pytest.mark.parametrize(
    ("expect", "played_", "kept"),
    [
        (Expect(), played(), [True]),
        (Expect(), played(rc=2), [False]),
        (Expect(), played(rc=None), [False]),
        (Expect(rc=2), played(rc=2), [True]),
        (Expect(rc="failed"), played(rc=2), [True]),
        (Expect(rc="failed"), played(rc=None), [True]),
        (Expect(rc="failed"), played(rc=0), [False]),
        (Expect(changed=True), played(changed=1), [True, True]),
        (Expect(changed=True), played(changed=0), [True, False]),
        (Expect(changed=False), played(changed=0), [True, True]),
        (Expect(changed=False), played(changed=1), [True, False]),
        (Expect(changed=False), played(changed=None), [True, False]),
        (Expect(outcome="recovered"), played(outcome="recovered"), [True, True]),
        (Expect(outcome="recovered"), played(outcome="left_paused"), [True, False]),
        (Expect(outcome="recovered"), played(), [True, False]),
    ],
)
def test_how_a_playbook_was_to_end(expect: Expect, played_: PlaybookResult, kept: list[bool]) -> None:
    checks = measures.of_play(dataclasses.replace(PLAY, expect=expect), played_)
    assert [check.passed for check in checks] == kept


@pytest.mark.parametrize(
    ("now", "said"),
    [
        ({"etl": True, "link": False}, "yes"),
        ({"etl": False, "link": False}, "etl is off"),
        ({"etl": True, "link": True}, "link is on"),
        ({"etl": True}, "link is gone"),
        ({"etl": True, "link": False, "odd": True}, "odd is new"),
    ],
)
def test_every_job_is_as_it_was(now: dict[str, bool], said: str) -> None:
    assert measures.same_jobs({"etl": True, "link": False}, now) == (said == "yes", said)


@pytest.mark.parametrize(
    ("ledger", "sessions", "said"),
    [
        (Ledger(), [], "nothing"),
        (Ledger(leases=("ops@here",)), [], "a lease of ops@here"),
        (Ledger(pauses=(pause(1, None),)), [], "a pause of ops@here"),
        (Ledger(), ["scout-recovery/0/drain"], "a session scout-recovery/0/drain"),
        (Ledger(runs=(Run("r", "drain", "succeeded", T0, T0, False, True),)), [], "nothing"),
    ],
)
def test_nothing_is_left_behind(ledger: Ledger, sessions: list[str], said: str) -> None:
    check = measures.nothing_left(ledger, sessions)
    assert (check.found, check.passed) == (said, said == "nothing")


GOOD: dict[str, Any] = {
    "phases": {"recovered": 1.0},
    "events": {"written": 9, "lost": 0, "duplicated": 0, "altered": 0, "unexpected": 0},
    "checks": [{"check": "p", "wanted": "w", "found": "w", "passed": True}],
    "why": [],
}


@pytest.mark.parametrize(
    "change",
    [
        {"phases": {}},
        {"events": None},
        *({"events": {**GOOD["events"], name: 1}} for name in ("lost", "duplicated", "altered", "unexpected")),
        {"checks": []},
        {"checks": [*GOOD["checks"], {**GOOD["checks"][0], "passed": False}]},
        {"why": ["something"]},
    ],
)
def test_one_thing_that_is_not_as_promised_fails_it(change: dict[str, Any]) -> None:
    assert measures.verdict(GOOD) == "passed"
    assert measures.verdict(GOOD | change) == "failed"
