# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that move rows, as a person runs them: what is paused, moved, said, and left alone."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.pasting import accepted
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
NOTHING = {"window_start": "1999-01-01T00:00Z", "window_end": "1999-01-02T00:00Z"}


def some_loaded(pipeline: Pipeline, events: int = 40) -> dict[str, Any]:
    """Options that select a few loaded events."""
    ids = pipeline.rows("SELECT event_id::text FROM scout.etl_processed ORDER BY event_id LIMIT %s", events)
    return {"event_ids": [row[0] for row in ids]}


def ran(played: Played, outcome: str) -> dict[str, Any]:
    """The document of a run that came to a good end."""
    assert played.rc == 0, played.text
    assert played.result["outcome"] == outcome
    return played.result


def test_a_quarantine_from_check_to_the_second_run(broken: Pipeline, stage: Stage) -> None:
    """The check writes nothing, the run moves and resumes, the same again changes nothing."""
    options = some_loaded(broken) | {"incident": "INC-1"}
    active, events, before = broken.active_jobs(), broken.events(), broken.fingerprint()
    planned = ran(stage.play("quarantine", broken.dsn, "--check", **options), "planned")
    assert planned["move"]["moved"]["events"] == 40
    assert broken.fingerprint() == before
    played = stage.play("quarantine", broken.dsn, **options)
    made = ran(played, "done")
    assert [step["name"] for step in made["steps"] if step["changed"]] == [
        "pause",
        "quarantine",
        "drain",
        "refresh_gold",
        "resume",
    ]
    assert made["move"]["moved"]["events"] == 40
    assert made["ingestion"] == "running"
    assert f"undo ansible-playbook scout.recovery.undo -e scout_run_id={made['move']['run_id']}" in played.summary
    assert (
        "once the cause is fixed, ansible-playbook scout.recovery.redrive -e scout_of_incident=INC-1" in played.summary
    )
    assert len(list(stage.evidence.iterdir())) == 1
    assert broken.active_jobs() == active
    assert broken.lease_owner() is None
    assert broken.unaccounted(events) == []
    before = broken.fingerprint()
    again = stage.play("quarantine", broken.dsn, **options)
    assert ran(again, "unchanged")["move"]["moved"]["events"] == 0
    assert again.recap()["changed"] == 0
    assert broken.rewritten(before) == set()


def test_where_nothing_matches_nothing_is_paused_or_kept(healthy: Pipeline, stage: Stage) -> None:
    played = stage.play("quarantine", healthy.dsn, **NOTHING)
    made = ran(played, "unchanged")
    assert (played.recap()["changed"], made["ingestion"], made["evidence"]) == (0, "running", None)
    assert not stage.evidence.exists()
    assert healthy.one("SELECT count(*) FROM scout_ops.runs") == 0
    assert played.result["next"] == []


def test_a_name_of_nothing_is_a_mistake(healthy: Pipeline, stage: Stage, subtests: pytest.Subtests) -> None:
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("quarantine", {"source_systems": ["pos"]}, "no source system is named 'pos'"),
        ("redrive", {"of_incident": "INC-404"}, "no incident is named 'INC-404'"),
        ("quality_cleanup", {"rules": ["negative"]}, "no rule has this name"),
    ]
    for playbook, options, said in cases:
        with subtests.test(msg=playbook):
            played = stage.play(playbook, healthy.dsn, **options)
            assert played.rc == 2, played.text
            assert said in played.text
            assert healthy.active_jobs() >= JOBS
            assert not stage.evidence.exists()


def test_what_was_paused_before_stays_paused(healthy: Pipeline, stage: Stage) -> None:
    """Also by the same person for the same incident: it was paused on purpose."""
    ran(stage.play("pause_ingestion", healthy.dsn, incident="INC-1"), "done")
    played = stage.play("quarantine", healthy.dsn, incident="INC-1", **some_loaded(healthy))
    made = ran(played, "done")
    assert made["ingestion"] == "paused"
    assert not JOBS & healthy.active_jobs()
    assert "ansible-playbook scout.recovery.resume_ingestion" in played.summary
    ran(stage.play("resume_ingestion", healthy.dsn, incident="INC-1"), "done")
    assert healthy.active_jobs() >= JOBS


#: A run of the ETL that took 100 seconds.
def test_without_a_pause_nothing_is_paused_or_resumed(healthy: Pipeline, stage: Stage) -> None:
    made = ran(stage.play("quarantine", healthy.dsn, pause=False, **some_loaded(healthy)), "done")
    assert not {"pause", "resume"} & {step["name"] for step in made["steps"]}
    assert healthy.one("SELECT count(*) FROM scout_ops.pauses") == 0


REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$",
    "CREATE TRIGGER refuse BEFORE INSERT ON scout.{table} FOR EACH STATEMENT EXECUTE FUNCTION refuse()",
)


@pytest.mark.parametrize(("failing", "table"), [("quarantine", "bronze_events_dlq"), ("drain", "silver_transactions")])
def test_after_a_failure_it_stays_paused_and_the_same_command_finishes(
    healthy: Pipeline, stage: Stage, failing: str, table: str
) -> None:
    """Whether the move itself failed, or what comes after it when there is nothing left to move."""
    options = some_loaded(healthy)
    library.backlog(healthy.dsn, count=50)
    library.poison_event(healthy.dsn, "bad_ts")
    events = healthy.events()
    healthy.execute(*(statement.format(table=table) for statement in REFUSE))
    played = stage.play("quarantine", healthy.dsn, poison="stop", **options)
    assert played.rc == 2, played.text
    made = played.result
    assert [step["name"] for step in made["steps"] if step["failed"]] == [failing]
    assert made["ingestion"] == "paused"
    assert "again" in played.result["next"][0]
    assert "ansible-playbook scout.recovery.resume_ingestion re-enables the jobs" in played.summary
    assert not JOBS & healthy.active_jobs()
    healthy.execute(f"DROP TRIGGER refuse ON scout.{table}")
    finished = ran(stage.play("quarantine", healthy.dsn, **options), "done")
    assert finished["ingestion"] == "running"
    assert healthy.active_jobs() >= JOBS
    assert healthy.unaccounted(events) == []


def test_an_undo_brings_all_of_it_back_and_runs_says_so(
    healthy: Pipeline, stage: Stage, subtests: pytest.Subtests
) -> None:
    """The check lists what would come back; afterwards contents are as before, and a second undo changes nothing."""
    before = healthy.contents()
    options = some_loaded(healthy)
    made = ran(stage.play("quarantine", healthy.dsn, incident="INC-1", **options), "done")
    run_id = made["move"]["run_id"]
    moved = healthy.contents()
    assert moved["bronze"] != before["bronze"]
    with subtests.test(msg="a conflict is named before anything is paused"):
        event = options["event_ids"][0]
        healthy.execute(
            "INSERT INTO scout.bronze_events (event_id, event_type, event_data) "
            f"VALUES ('{event}', 'transaction.v1', '{{}}')"
        )
        check = stage.play("undo", healthy.dsn, "--check", run_id=run_id)
        assert ran(check, "planned")["move"]["conflicting"] == 1
        assert "clash 1 conflict: " in check.summary
        played = stage.play("undo", healthy.dsn, run_id=run_id)
        assert played.rc == 2, played.text
        assert "-e scout_on_conflict=keep_current" in played.summary
        assert healthy.active_jobs() >= JOBS
    healthy.execute(f"DELETE FROM scout.bronze_events WHERE event_id = '{event}'")
    check = stage.play("undo", healthy.dsn, "--check", run_id=run_id)
    assert ran(check, "planned")["move"]["put_back"]["events"] == 40
    assert "rows back: " in check.summary
    assert "bronze_events_dlq 40 now nothing was written" in check.summary
    assert healthy.contents() == moved
    played = stage.play("undo", healthy.dsn, run_id=run_id)
    undone = ran(played, "done")
    assert undone["ingestion"] == "running"
    assert f"scout.recovery.undo -e scout_run_id={undone['move']['run_id']}" in played.summary
    assert healthy.contents() == before
    again = stage.play("undo", healthy.dsn, run_id=run_id)
    ran(again, "unchanged")
    assert again.recap()["changed"] == 0
    listed = stage.play("runs", healthy.dsn, of_action="quarantine")
    [run] = ran(listed, "unchanged")["runs"]
    assert (run["run_id"], run["incident"], run["can_be_undone"]) == (run_id, "INC-1", False)
    shown = [line for line in listed.lines if run_id in line or undone["move"]["run_id"] in line]
    assert len(shown) == 2
    assert max(map(len, shown)) <= 100
    assert shown[1].endswith(f"undone by {undone['move']['run_id']}")


def test_what_an_undo_prints_undoes_it_where_its_drain_quarantined_what_came_back(
    healthy: Pipeline, stage: Stage
) -> None:
    """Poison that comes back into the queue is quarantined again, by another run, which has to be undone first."""
    library.poison_event(healthy.dsn, "bad_ts", count=2)
    [drained] = [
        step
        for step in ran(stage.play("emergency_reset", healthy.dsn), "recovered")["steps"]
        if step["name"] == "drain"
    ]
    undone = ran(stage.play("undo", healthy.dsn, run_id=drained["run_id"]), "done")
    before = healthy.contents()
    assert len(undone["undo_commands"]) == 2
    typed = [accepted(command) for command in undone["undo_commands"]]
    played = [stage.play(each.playbook, healthy.dsn, **each.variables) for each in typed]
    assert [each.rc for each in played] == [0, 0], played[-1].text
    assert [each.result["ingestion"] for each in played] == ["paused", "running"]
    assert healthy.active_jobs() >= JOBS
    after = healthy.contents()
    assert {table for table in before if before[table] != after[table]} <= {"dead_letters"}
    assert healthy.one("SELECT count(*) FROM scout.bronze_events_dlq WHERE resolved_at IS NULL") == 2


def test_an_undo_of_what_is_no_run_says_where_runs_are_listed(healthy: Pipeline, stage: Stage) -> None:
    for options, named in (({}, "run_id"), ({"run_id": "75fac115-3c73-473a-8942-05dc6dcdc27e"}, "75fac115")):
        played = stage.play("undo", healthy.dsn, **options)
        assert played.rc == 2, played.text
        assert named in played.summary
        assert healthy.active_jobs() >= JOBS


def test_a_redrive_that_fails_and_changed_nothing_resumes_what_it_paused(
    healthy: Pipeline, stage: Stage, subtests: pytest.Subtests
) -> None:
    poison = library.poison_event(healthy.dsn, "non_numeric_amount")
    ran(stage.play("quarantine", healthy.dsn, incident="INC-1", event_ids=[str(e) for e in poison]), "done")
    before = healthy.contents()
    played = stage.play("redrive", healthy.dsn, of_incident="INC-1")
    assert played.rc == 2, played.text
    assert [step["name"] for step in played.result["steps"] if step["failed"]] == ["redrive"]
    assert (played.result["ingestion"], played.result["proof"]["status"]) == ("running", "proved")
    assert healthy.active_jobs() >= JOBS
    assert {name: part for name, part in healthy.contents().items() if name != "dead_letters"} == {
        name: part for name, part in before.items() if name != "dead_letters"
    }
    assert "now ingestion is running" in played.summary
    assert "resume_ingestion" not in played.summary
    assert healthy.lease_owner() is None
    with subtests.test(msg="what it resumes has to be proved"):
        healthy.execute(
            "UPDATE cron.job SET command = 'SELECT scout.load_silver_from_bronze(0)' WHERE jobname = 'bronze-to-silver-etl'"
        )
        played = stage.play("redrive", healthy.dsn, of_incident="INC-1")
        assert (played.rc, played.result["ingestion"], played.result["proof"]["status"]) == (2, "paused", "failed")
        assert [step["name"] for step in played.result["steps"] if step["failed"]] == ["redrive"]
        assert "now ingestion is paused" in played.summary, played.text
        assert "bronze-to-silver-etl was tried as loader, rolled back: it ran and loaded nothing" in played.summary, (
            played.text
        )
        assert not JOBS & healthy.active_jobs()
        assert healthy.lease_owner() is None


def test_a_redrive_that_fails_half_way_stays_paused(healthy: Pipeline, stage: Stage) -> None:
    """The poison event comes last: the drain of the quarantine finds it."""
    library.poison_event(healthy.dsn, "non_numeric_amount")
    ran(stage.play("quarantine", healthy.dsn, incident="INC-1", **some_loaded(healthy)), "done")
    played = stage.play("redrive", healthy.dsn, of_incident="INC-1")
    assert (played.rc, played.result["ingestion"]) == (2, "paused")
    assert not JOBS & healthy.active_jobs()


def test_a_redrive_brings_events_back_and_loads_them(healthy: Pipeline, stage: Stage) -> None:
    """Events and what is made of them are as before; their dead letters are resolved, so the same again changes nothing."""
    before = healthy.contents()
    ran(stage.play("quarantine", healthy.dsn, incident="INC-1", **some_loaded(healthy)), "done")
    check = stage.play("redrive", healthy.dsn, "--check", of_incident="INC-1")
    assert ran(check, "planned")["changed"]
    played = stage.play("redrive", healthy.dsn, of_incident="INC-1")
    made = ran(played, "done")
    assert made["ingestion"] == "running"
    assert "scout.recovery.undo -e scout_run_id=" in played.summary
    after = healthy.contents()
    # The lines are made anew, so the catalog has not been linked to them yet.
    for table in ("bronze", "processed", "transactions"):
        assert after[table] == before[table], table
    assert healthy.one("SELECT count(*) FROM scout.bronze_events_dlq WHERE resolved_at IS NULL") == 0
    again = stage.play("redrive", healthy.dsn, of_incident="INC-1")
    ran(again, "unchanged")
    assert again.recap()["changed"] == 0
