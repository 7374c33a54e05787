# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every scenario of drills/ passes with the playbooks as they are; with a recovery that is broken on purpose a drill fails, and says
which check was broken."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution import scenario_run
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.drill_run import SCENARIOS as FOLDER
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.drill_run import Request, run
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress

SCENARIOS = sorted(path.stem for path in FOLDER.glob("*.yml"))
BROKEN = Path(__file__).parent / "broken_recoveries"

#: Small, and stage to notice what is wrong.
BREAKS: dict[str, Any] = {
    "title": "A recovery that is broken on purpose",
    "events": 300,
    "faults": [{"poison_event": {}}, {"backlog": {"count": 20}}],
    "again": False,
}
#: What is broken by which playbook, other than in BREAKS, and how the document says it.
BROKEN_PROMISES: dict[str, tuple[dict[str, Any], str]] = {
    "loses_an_event": (
        {},
        "every event is in one place, as it was written: wanted none lost or duplicated, found 1 lost",
    ),
    "alters_an_event": (
        {},
        "every event is in one place, as it was written: wanted none lost or duplicated, found 1 altered",
    ),
    "skips_the_backlog": ({}, "silver is what the ETL makes of bronze: wanted no difference, found different"),
    "does_nothing": ({}, "events flow after: wanted yes, found backlog_age"),
    "switches_jobs_on": (
        {"faults": [{"job_disabled_on_purpose": {"jobname": "data-quality-alerts"}}, *BREAKS["faults"]]},
        "every job is as it was after: wanted yes, found data-quality-alerts is on",
    ),
    "leaves_a_lease": ({}, "nothing is paused after: wanted yes, found the lease is held by ghost"),
    "changes_again": ({"again": True}, "a second changes_again.yml changes nothing: wanted 0 changed, found 1 changed"),
    "fails_at_its_end": ({}, "the exit code of fails_at_its_end.yml: wanted 0, found 2"),
}


#: By real playbooks: a controller is killed, a session is lost and its run looked up, and a release is rolled back, undone and redone.
BY_PLAYBOOK = ("controller_killed", "restart_in_the_middle", "bad_release")


def drilled(name: str, output: Path, folder: Path = FOLDER, **where: Any) -> dict[str, Any]:
    """The result of a scenario that was run to its end."""
    lines: list[str] = []
    done = run(Request((name,), output, scenarios=folder, **where), Progress(lines.append))
    [told] = done.document["scenarios"]
    assert done.document["verdict"] == told["verdict"]
    assert {path.name for path in done.folder.glob("drill.*")} == {"drill.json", "drill.md", "drill.svg"}
    assert told["verdict"] in ("passed", "failed"), [*told["why"], *lines]
    return told


def passes(told: dict[str, Any]) -> None:
    """Nothing is lost, everything is in time, and everything that was promised was looked at."""
    assert (told["verdict"], told["why"]) == ("passed", []), "; ".join(told["why"])
    events = told["events"]
    assert {events[name] for name in ("lost", "duplicated", "altered", "unexpected")} == {0}
    assert events["written"] > 1000
    assert told["phases"]["detected"] is not None
    assert told["phases"]["recovered"] <= told["budget_seconds"]
    promised = {check["check"] for check in told["checks"]}
    for part in ("events flow", "the acceptance gate lets pass", "nothing is paused", "every job is as it was"):
        assert {f"{part} before", f"{part} after"} <= promised
    assert promised >= {
        "gold is fresh after", "every event is in one place, as it was written", "silver is what the ETL makes of bronze",
        "nothing is left behind",
    }  # fmt: skip
    assert [name for name in promised if name.endswith(".yml changes nothing")]


@pytest.mark.usefixtures("quickly")
@pytest.mark.parametrize("name", [name for name in SCENARIOS if name not in BY_PLAYBOOK])
def test_a_scenario_passes(name: str, tmp_path: Path) -> None:
    passes(drilled(name, tmp_path))


@pytest.mark.usefixtures("forked")
@pytest.mark.parametrize("name", BY_PLAYBOOK)
def test_a_scenario_passes_by_its_playbooks(name: str, tmp_path: Path) -> None:
    """test_drill.py and test_playbook_process.py have playbooks as they are."""
    passes(drilled(name, tmp_path))


@pytest.mark.usefixtures("forked")
def test_all_others_pass_one_after_another_on_a_restored_database(scout_db: str, tmp_path: Path) -> None:
    done = run(Request(("all",), tmp_path, dsn=scout_db), Progress())
    ran = {told["name"]: told for told in done.document["scenarios"]}
    assert set(SCENARIOS) - set(ran) == {"bad_release", "restart_in_the_middle"}
    assert {name: told["why"] for name, told in ran.items() if told["verdict"] != "passed"} == {}
    assert scout_db.rpartition("/")[2] in done.document["database"]


@pytest.mark.usefixtures("quickly", "impatient")
def test_a_drill_of_a_restored_database_ends_with_the_first_that_does_not_pass(scout_db: str, tmp_path: Path) -> None:
    folder = tmp_path / "scenarios"
    folder.mkdir()
    for name in ("first", "second"):
        steps = [{"playbook": str(BROKEN / "does_nothing.yml")}]
        (folder / f"{name}.yml").write_text(yaml.safe_dump({**BREAKS, "steps": steps}))
    done = run(Request(("all",), tmp_path / "results", dsn=scout_db, scenarios=folder), Progress())
    assert [told["verdict"] for told in done.document["scenarios"]] == ["failed", "not_run"]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is waited for that does not come."""
    monkeypatch.setattr(scenario_run, "STEADY_SECONDS", 5.0)


def fails(name: str, tmp_path: Path, playbook: Path | str, **more: Any) -> dict[str, Any]:
    """The document of a drill that failed with this recovery."""
    folder = tmp_path / "scenarios"
    folder.mkdir()
    play, then = {"playbook": str(playbook), **more.pop("play", {})}, more.pop("then", ())
    (folder / f"{name}.yml").write_text(yaml.safe_dump({**BREAKS, "steps": [play, *then], **more}))
    told = drilled(name, tmp_path / "results", folder)
    assert told["verdict"] == "failed"
    return told


@pytest.mark.usefixtures("quickly", "impatient")
@pytest.mark.parametrize("name", BROKEN_PROMISES)
def test_a_broken_recovery_fails_and_the_broken_promise_is_named(name: str, tmp_path: Path) -> None:
    more, says = BROKEN_PROMISES[name]
    told = fails(name, tmp_path, BROKEN / f"{name}.yml", **more)
    assert [why for why in told["why"] if why.startswith(says)], told["why"]


def test_every_broken_recovery_is_tried() -> None:
    assert {path.stem for path in BROKEN.glob("*.yml")} == {*BROKEN_PROMISES, "is_too_slow"}


@pytest.mark.usefixtures("quickly", "impatient")
def test_a_recovery_that_leaves_ingestion_paused(tmp_path: Path) -> None:
    told = fails("left_paused", tmp_path, "emergency_reset", play={"vars": {"scout_resume": False}})
    assert any(why.startswith("nothing is paused after: wanted yes, found paused by") for why in told["why"])
    assert (told["phases"]["recovered"], told["phases"]["resumed"]) == (None, None)
    assert told["events"]["lost"] == 0


@pytest.mark.usefixtures("quickly")
def test_a_rollback_that_forgets_the_application(tmp_path: Path) -> None:
    """Schema and jobs are back; the branch and the edge function are looked at in git and where it was deployed."""
    told = fails(
        "forgetful", tmp_path, "rollback",
        play={"vars": {
                "scout_release": "{release}", "scout_rehearse": False, "scout_application_rollback_enabled": False,
            }},
        faults=[{"release_captured": {"application": True}}, {"bad_release": {}}],
        then=[{"do": {"release_is_back": {}}}],
    )  # fmt: skip
    broken = [check["check"] for check in told["checks"] if not check["passed"]]
    assert broken == ["the branch has the tree of the captured commit", "the edge function that was deployed last"]


@pytest.mark.usefixtures("quickly")
def test_a_recovery_that_is_too_slow_for_its_budget(tmp_path: Path) -> None:
    """Every check is kept but the time."""
    told = fails("slow", tmp_path, BROKEN / "is_too_slow.yml", budget_seconds=5)
    assert [check for check in told["checks"] if not check["passed"]] == []
    [why] = told["why"]
    assert why.startswith("recovered after ")
    assert "over its budget" in why
