# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A reset that fails anywhere leaves ingestion paused, says what to do, and goes on when that was done."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Running, Stage, eventually, listed

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}

NO_JOB_CAN = """
CREATE FUNCTION public.obstinate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.active := {active}; RETURN NEW; END $$;
CREATE TRIGGER obstinate BEFORE UPDATE ON cron.job FOR EACH ROW WHEN (NEW.jobname = 'smart-gold-refresh')
EXECUTE FUNCTION public.obstinate()
"""
OBEDIENT = "DROP TRIGGER obstinate ON cron.job; DROP FUNCTION public.obstinate()"


@dataclass(frozen=True)
class Failure:
    """How to make one step fail, what is then said, and how to mend it."""

    step: str
    says: str
    advises: str
    inject: str = ""
    fix: str = ""
    variables: dict[str, Any] = field(default_factory=dict)
    fault: Callable[[str], Any] | None = None
    ingestion: str = "paused"
    outcome: str = "failed"
    shown: str = ""


FAILURES = {
    "pause_has_to_wait_too_long": Failure(
        "pause",
        "still in flight: pid",
        "cancel_running=true",
        variables={"drain_timeout_seconds": 0.5, "stuck_after_seconds": 600},
        fault=lambda dsn: library.stuck_etl(dsn, "idle_in_transaction"),
        ingestion="pausing",
    ),
    "pause_is_undone_by_something": Failure(
        "pause",
        "still active after being deactivated: smart-gold-refresh",
        "something re-activates them",
        NO_JOB_CAN.format(active="true"),
        OBEDIENT,
        ingestion="running",
    ),
    "stuck_session_is_protected": Failure(
        "foresee",
        "role postgres is protected",
        "ask its owner to end it",
        variables={"protected_roles": ["postgres"], "stuck_after_seconds": 0.1},
        fault=library.lock_holder,
        ingestion="running",
    ),
    "etl_is_broken": Failure(
        "drain",
        "SQLSTATE 42703",
        "",
        "ALTER TABLE scout.silver_transactions RENAME COLUMN basket_size TO size_of_basket",
        "ALTER TABLE scout.silver_transactions RENAME COLUMN size_of_basket TO basket_size",
    ),
    "too_much_poison": Failure(
        "drain",
        "more would exceed max_poison=1",
        "docs/emergency-reset.md says what max_poison is for",
        variables={"max_poison": 1},
    ),
    "poison_is_to_stop_it": Failure(
        "drain", "SQLSTATE 22", "docs/emergency-reset.md, section Poison events", variables={"poison": "stop"}
    ),
    "gold_view_is_broken": Failure(
        "refresh_gold",
        "scout.gold_bad: division by zero SQLSTATE 22012",
        "refresh_gold",
        "CREATE MATERIALIZED VIEW scout.gold_bad AS SELECT 1 / count(*) FILTER (WHERE total_amount > 1e9) AS share "
        "FROM scout.silver_transactions WITH NO DATA",
        "DROP MATERIALIZED VIEW scout.gold_bad",
        shown="scout.gold_bad: division by zero (SQLSTATE 22012)",
    ),
    "critical_alerts_remain": Failure(
        "",
        "not resumed because of critical_alerts",
        "emergency_reset",
        fix=(
            "WITH gone AS (DELETE FROM scout.silver_transactions WHERE total_amount < 0 RETURNING source_event_id) "
            "DELETE FROM scout.bronze_events WHERE event_id IN (SELECT source_event_id FROM gone)"
        ),
        fault=library.negative_totals,
        outcome="left_paused",
    ),
    "resume_is_undone_by_something": Failure(
        "resume",
        "still inactive after being activated: smart-gold-refresh",
        "resume_ingestion",
        NO_JOB_CAN.format(active="false"),
        OBEDIENT,
    ),
}


def test_a_failure_of_any_step(another_broken: Callable[[], Pipeline], stage: Stage) -> None:
    """One database for every failure, all in one run; then each is mended, and one more run recovers them all."""
    pipelines = {name: another_broken() for name in FAILURES}
    with ExitStack() as held:
        for name, failure in FAILURES.items():
            if failure.inject:
                pipelines[name].execute(failure.inject)
            if failure.fault:
                found = failure.fault(pipelines[name].dsn)
                if hasattr(found, "close"):
                    held.callback(found.close)
        hosts = {name: {"scout_dsn": p.dsn, **listed(FAILURES[name].variables)} for name, p in pipelines.items()}
        played = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "4")
    assert played.rc == 2, played.text
    assert "Traceback" not in played.text
    screen = " ".join(played.text.split())
    for name, failure in FAILURES.items():
        made = played.results[name]
        failed = [step["name"] for step in made["steps"] if step["failed"]]
        assert (name, made["outcome"], made["ok"]) == (name, failure.outcome, False)
        assert failed == ([failure.step] if failure.step else []), name
        assert (name, made["ingestion"]) == (name, failure.ingestion)
        if failure.ingestion == "paused":
            assert pipelines[name].active_jobs().isdisjoint(JOBS), name
        said = (
            f"{made['error']['attempted']} {made['error']['said']} SQLSTATE {made['error']['sqlstate']}"
            if failed
            else screen
        )
        assert failure.says in said, (name, said)
        assert failure.shown in screen, name
        assert failure.advises in "; ".join(made["next"]), (name, made["next"])
        assert made["next"], name
        assert pipelines[name].lease_owner() is None, name

    for name, failure in FAILURES.items():
        if failure.fix:
            pipelines[name].execute(failure.fix)
    hosts = {name: {"scout_dsn": pipeline.dsn} for name, pipeline in pipelines.items()}
    again = stage.play("emergency_reset", None, "-i", stage.inventory(hosts), "--forks", "4")
    assert again.rc == 0, again.text
    assert {name: made["outcome"] for name, made in again.results.items()} == dict.fromkeys(FAILURES, "recovered")
    for name, pipeline in pipelines.items():
        assert pipeline.active_jobs() >= JOBS, name
        assert pipeline.pending() == 0, name


ALICE, BOB = {"SUDO_USER": "alice"}, {"SUDO_USER": "bob"}


def test_two_operators(broken: Pipeline, stage: Stage) -> None:
    """The second is refused with the name of the first, whatever it wants to change; a takeover ends the first."""
    other = Stage(stage.home / "other")
    other.home.mkdir()
    with ExitStack() as held:
        in_flight = held.enter_context(library.stuck_etl(broken.dsn, "idle_in_transaction"))
        alice = held.enter_context(stage.start("emergency_reset", broken.dsn, env=ALICE, incident="INC-1"))
        _until_waiting(alice)
        for playbook in ("emergency_reset", "pause_ingestion", "resume_ingestion"):
            bob = other.play(playbook, broken.dsn, env=BOB)
            assert bob.rc == 2, bob.text
            assert bob.result["error"]["kind"] == "lease_held", bob.text
            assert "alice@" in bob.summary
            assert "has been working on incident INC-1" in bob.summary
            assert "takeover=true" in bob.summary
        assert other.play("assess", broken.dsn, env=BOB).rc == 0
        bob_too = held.enter_context(
            other.start("emergency_reset", broken.dsn, env=BOB, takeover=True, incident="INC-1")
        )
        _until_waiting(bob_too)
        assert "reclaimed the lease of alice@" in bob_too.text
        in_flight.close()
        assert bob_too.wait().rc == 0, bob_too.text
        lost = alice.wait()
        assert lost.rc == 2, lost.text
        assert lost.result["error"]["kind"] == "lease_lost", lost.text
    assert broken.pending() == 0
    assert broken.active_jobs() >= JOBS


def test_a_colleagues_pause_is_respected(
    another_broken: Callable[[], Pipeline], stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bob's reset repairs and resumes nothing that Alice paused, unless for the same incident, or taken over."""
    for options in ({"incident": "INC-1"}, {"incident": "INC-2", "takeover": True}):
        pipeline = another_broken()
        monkeypatch.setenv("SUDO_USER", "alice")
        assert stage.play("pause_ingestion", pipeline.dsn, incident="INC-1", reason="bad prices until noon").rc == 0
        pending = pipeline.pending()
        monkeypatch.setenv("SUDO_USER", "bob")
        for playbook, more in RECOVERIES.items():
            refused = stage.play(playbook, pipeline.dsn, incident="INC-2", **more)
            assert refused.rc == 2, refused.text
            assert refused.result["error"]["kind"] == "pause_held", refused.text
            assert "alice@" in refused.summary
            assert "bad prices until noon" in refused.summary
            assert "takeover=true" in refused.summary
        assert pipeline.pending() == pending
        bob = stage.play("emergency_reset", pipeline.dsn, **options)
        assert (bob.rc, bob.result["outcome"]) == (0, "recovered"), bob.text
        assert pipeline.pending() == 0
        assert pipeline.active_jobs() >= JOBS


#: What would load, refresh or move.
RECOVERIES: dict[str, dict[str, Any]] = {
    "emergency_reset": {},
    "quarantine": {
        "event_types": ["transaction.v1"],
        "window_start": "2020-01-01T00:00Z",
        "window_end": "2100-01-01T00:00Z",
    },
}


def _until_waiting(running: Running) -> None:
    eventually(lambda: "waiting for 1 session in flight" in running.text, 30, "the wait for work in flight")
