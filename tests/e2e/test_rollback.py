# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""rollback.yml after a bad release, as a person runs it: schema, data, jobs and application go back together, or wait paused."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import (
    FUNCTION,
    PROJECT,
    Cli,
)
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump, program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from tests import CHECKOUT
from tests.e2e.deploying import DOUBLED
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Played, Stage
from tests.integration.clones import Story, everything, quiet_git, story
from tests.integration.modules import call
from tests.integration.release.planner.test_plan import canonical

__all__ = ["quiet_git", "story"]

JOBS = {"bronze-to-silver-etl", "product-linking", "smart-gold-refresh"}
TOKEN = "sbp_00000000000000000000"
#: What a deployment does to the pipeline; the last statement is not a migration but what people wrote into it since.
BAD_RELEASE = (
    """CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
       RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
       LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'v5.3.0 cannot load'; END $$""",
    "ALTER TABLE scout.dim_store DROP COLUMN opened_on",
    "ALTER TABLE scout.alerts ADD COLUMN team text",
    "CREATE OR REPLACE VIEW scout.v_edge_ingest_24h AS SELECT now() AS hour, 'edge'::text AS source_system, 0::bigint AS events",
    "REVOKE SELECT ON scout.silver_transactions FROM dashboard_reader",
    "UPDATE cron.job SET active = false WHERE jobname = 'product-linking'",
    """INSERT INTO scout.alerts (alert_type, severity, team, resolved_at)
       SELECT 'X', 'info', 'team ' || n, now() FROM generate_series(1, 7) n""",
)  # fmt: skip
TEAMS = "SELECT array_agg(team ORDER BY team) FROM scout.alerts WHERE team IS NOT NULL"
WRONG_TOTALS = """
SELECT count(*) FROM scout.silver_transactions AS t JOIN scout.bronze_events AS b ON b.event_id = t.source_event_id
WHERE t.total_amount <> (b.event_data ->> 'total_amount')::numeric
"""
OPENED = "SELECT md5(string_agg(s.store_id || opened_on, ',' ORDER BY s.store_id)) FROM scout.dim_store s"


def schema(pipeline: Pipeline) -> str:
    """What pg_dump says of schema scout."""
    return canonical(dump(pipeline.dsn, "--schema-only", "--schema=scout"))


class Release:
    """A pipeline that was captured as v5.2.1, with its application, and got a bad release since."""

    def __init__(self, pipeline: Pipeline, stage: Stage, released: Story, folder: Path) -> None:
        self.pipeline, self.stage, self.story = pipeline, stage, released
        self.cli = Cli(folder / "bin")
        self.good, self.jobs, self.opened = schema(pipeline), pipeline.active_jobs(), pipeline.one(OPENED)
        captured = stage.play(
            "capture_release",
            pipeline.dsn,
            release="v5.2.1",
            git_commit=released.good,
            protect=["scout.dim_store.opened_on"],
        )
        assert captured.rc == 0, captured.text
        pipeline.execute(*BAD_RELEASE)
        self.bad, self.tip = schema(pipeline), released.head
        assert self.bad != self.good

    def play(self, *arguments: str, stage: Stage | None = None, dsn: str | None = None, **options: Any) -> Played:
        """The rollback with the application's options, on this stage, or on the one of the release."""
        given = {
            "release": "v5.2.1", "incident": "INC-2041", "application_dir": str(self.story.clone.path), "application_push": True,
            "edge_function_project": PROJECT, "edge_function_cli": str(self.cli.path), "edge_function_token": TOKEN,
            "rehearse": False,
        }  # fmt: skip
        on = stage or self.stage
        played = on.play("rollback", dsn or self.pipeline.dsn, *arguments, **{**given, **options})
        assert "Traceback" not in played.text
        assert TOKEN not in played.text
        return played

    def refused(self, kind: str, *arguments: str, **options: Any) -> Played:
        """A run that stops before anything is paused or changed."""
        before = schema(self.pipeline), self.pipeline.active_jobs(), self.story.head
        played = self.play(*arguments, **options)
        assert played.rc == 2, played.text
        assert played.result["outcome"] == "failed"
        assert played.result["error"]["kind"] == kind, played.result["error"]
        assert "pause" not in {step["name"] for step in played.result["steps"]}
        assert (schema(self.pipeline), self.pipeline.active_jobs(), self.story.head) == before
        assert self.cli.calls == []
        assert self.pipeline.lease_owner() is None
        return played

    def is_back(self) -> None:
        """Schema, jobs, protected data, branch and function are what they were before the release."""
        self.schema_is_back()
        self.application_is_back()

    def schema_is_back(self) -> None:
        assert schema(self.pipeline) == self.good
        assert self.pipeline.active_jobs() == self.jobs
        assert self.pipeline.one(OPENED) == self.opened

    def application_is_back(self) -> None:
        assert self.story.remote.tree("main") == self.story.clone.tree(self.story.good)
        assert self.cli.calls[-1]["files"] == {FUNCTION: "// captured\n"}


def ran(played: Played, outcome: str) -> dict[str, Any]:
    """The document of a run that came to a good end."""
    assert played.rc == 0, played.text
    assert played.result["outcome"] == outcome
    return played.result


def changed(played: Played) -> list[str]:
    return [step["name"] for step in played.result["steps"] if step["changed"]]


@pytest.fixture
def released(story: Story) -> Story:
    """The captured commit has another edge function than the branch has now."""
    clone = story.clone
    clone.git("checkout", "--quiet", "main")
    good = clone.commit("Captured", {FUNCTION: "// captured\n"})
    clone.merge("Merge the release", "release", {FUNCTION: "// released\n", "app/main.py": "released\n"})
    tip = clone.commit("Finish it", {"app/more.py": "more\n"})
    clone.push()
    return Story(story.remote, clone, good, tip)


@pytest.fixture
def bad(healthy: Pipeline, stage: Stage, released: Story, tmp_path: Path) -> Release:
    """Where nothing else is said, its playbooks are played in this process."""
    return Release(healthy, stage, released, tmp_path)


def test_a_rollback_from_check_to_the_second_run_and_the_release_again(bad: Release, stage: Stage) -> None:
    """By Ansible: the check writes nothing, the run proves all of it, the same again does nothing, and undo brings the release
    back."""
    pipeline, bad.stage = bad.pipeline, stage
    before, clone = pipeline.fingerprint(), everything(bad.story.clone.path)
    planned = bad.play("--check", "--diff")
    made = ran(planned, "planned")
    assert pipeline.fingerprint() == before
    assert everything(bad.story.clone.path) == clone
    assert bad.cli.calls == []
    assert "+ALTER TABLE scout.alerts DROP COLUMN team;" in planned.text
    assert "now nothing was written" in planned.summary
    assert "data would be saved before it is dropped: scout.alerts (team)" in planned.summary
    assert made["rollback"]["schema"]["step_count"] > 5

    played = bad.play(rehearse=True, pg_dump=program("pg_dump"))
    made = ran(played, "done")
    assert changed(played) == ["pause", "revert", "deploy", "rollback", "resume"]
    bad.is_back()
    assert made["ingestion"] == "running"
    assert made["gate"]["ok"]
    assert made["gate"]["smoke"]["status"] == "pass"
    assert made["rollback"]["schema"]["rehearsal"]["done"]
    assert "rehearsed in" in played.summary
    run_id = made["rollback"]["schema"]["undo"]
    assert "back to v5.2.1 of 20" in played.summary
    assert (
        "data saved before it was dropped: scout.alerts (team) 7 rows; restored: scout.dim_store (opened_on)"
        in played.summary
    )
    assert f"undo ansible-playbook scout.recovery.undo -e scout_run_id={run_id}" in played.summary
    assert "a test sale went through now ingestion is running" in played.summary
    assert len(list(bad.stage.evidence.iterdir())) == 1
    assert (pipeline.lease_owner(), pipeline.lingering()) == (None, [])

    before = pipeline.fingerprint()
    again = bad.play()
    assert ran(again, "unchanged")["ingestion"] == "running"
    assert again.recap()["changed"] == 0
    assert pipeline.rewritten(before) == set()
    assert len(bad.cli.calls) == 1

    listed = bad.stage.play("runs", pipeline.dsn, of_action="rollback")
    [run] = listed.result["runs"]
    assert (run["run_id"], run["release"], run["can_be_undone"]) == (run_id, "v5.2.1", True)

    # The loader of that release cannot load.
    undone = bad.stage.play("undo", pipeline.dsn, run_id=run_id, proof=False)
    assert ran(undone, "done")["ingestion"] == "running"
    assert "proof unproven, because proof=false" in undone.summary
    assert schema(pipeline) == bad.bad
    assert pipeline.one(TEAMS) == [f"team {n}" for n in range(1, 8)]
    assert "product-linking" not in pipeline.active_jobs()
    assert (
        "scout.recovery.rollback -e scout_schema_rollback_enabled=false -e scout_application_commit=" in played.summary
    )
    options = dict(word.split("=") for word in played.summary.split() if word.startswith("scout_application_commit="))
    forward = bad.play(**{**options, "schema_rollback_enabled": False, "gate": False, "proof": False})
    assert changed(forward) == ["pause", "revert", "deploy", "resume"], forward.text
    assert bad.story.remote.tree("main") == bad.story.clone.tree(bad.tip)
    assert bad.cli.calls[-1]["files"] == {FUNCTION: "// released\n"}


def test_each_part_can_be_left_out(bad: Release) -> None:
    only_schema = bad.play(application_rollback_enabled=False)
    assert changed(only_schema) == ["pause", "rollback", "resume"], only_schema.text
    assert "left application, as scout_application_rollback_enabled is false" in only_schema.summary
    bad.schema_is_back()
    assert bad.story.head == bad.tip
    only_application = bad.play(schema_rollback_enabled=False, refresh=False, drain=False, smoke=False)
    assert changed(only_application) == ["pause", "revert", "deploy", "resume"], only_application.text
    assert only_application.result["gate"]["smoke"] is None
    bad.is_back()
    again = bad.play(schema_rollback_enabled=False)
    ran(again, "unchanged")
    assert again.recap()["changed"] == 0


def test_where_no_clone_is_named_the_application_stays_and_that_is_said(bad: Release) -> None:
    played = bad.play(application_dir="", gate=False, resume=False)
    assert changed(played) == ["pause", "rollback"], played.text
    made = ran(played, "done")
    assert made["rollback"]["left_out"] == {
        "application": "scout_application_dir is not set",
        "gate": "scout_gate is false",
    }
    assert "left application, as scout_application_dir is not set; gate, as scout_gate is false" in played.summary
    assert made["ingestion"] == "paused"
    assert not JOBS & bad.pipeline.active_jobs()
    assert bad.stage.play("resume_ingestion", bad.pipeline.dsn).rc == 0
    bad.schema_is_back()


def test_without_a_pause_and_with_down_scripts(bad: Release, tmp_path: Path) -> None:
    """A script that does not arrive changes nothing; without a pause nothing is paused."""
    script = tmp_path / "down.sql"
    script.write_text("ALTER TABLE scout.alerts DROP COLUMN team;")
    options = {"application_rollback_enabled": False, "down_scripts": [str(script)], "pause": False}
    played = bad.play(**options)
    assert played.rc == 2, played.text
    assert [step["name"] for step in played.result["steps"] if step["failed"]] == ["rollback"]
    assert "post-rollback verification failed" in played.summary
    assert schema(bad.pipeline) == bad.bad
    done = bad.play(application_rollback_enabled=False, pause=False)
    assert changed(done) == ["rollback"], done.text
    assert bad.pipeline.one("SELECT count(*) FROM scout_ops.pauses") == 0
    bad.schema_is_back()


#: The latest sale, in silver as its event says it.
NEGATIVE = """
WITH spoilt AS (
    UPDATE scout.silver_transactions SET total_amount = -1
    WHERE id = (SELECT id FROM scout.silver_transactions ORDER BY processed_at DESC, id LIMIT 1) RETURNING source_event_id
)
UPDATE scout.bronze_events SET event_data = event_data || '{"total_amount": -1}' WHERE event_id IN (SELECT source_event_id FROM spoilt)
"""
REFUSE = (
    "CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now'; END $$",
    "CREATE EVENT TRIGGER refuse ON sql_drop EXECUTE FUNCTION public.refuse()",
)


def test_after_a_failure_it_waits_paused_and_the_same_command_goes_on(bad: Release) -> None:
    """The function cannot be deployed, then the schema is refused; each time what is done stays done."""
    bad.cli.tell("print('no such project'); sys.exit(3)")
    played = bad.play()
    assert played.rc == 2, played.text
    assert [(step["name"], step["failed"]) for step in played.result["steps"]][-2:] == [
        ("revert", False),
        ("deploy", True),
    ]
    assert played.result["ingestion"] == "paused"
    assert "no such project" in played.summary
    assert "run the same command again" in played.summary
    assert "ansible-playbook scout.recovery.resume_ingestion re-enables the jobs" in played.summary
    assert schema(bad.pipeline) == bad.bad
    bad.cli.tell("")
    bad.pipeline.execute(*REFUSE)
    played = bad.play()
    assert [step["name"] for step in played.result["steps"] if step["failed"]] == ["rollback"], played.text
    assert "not now" in played.summary
    assert schema(bad.pipeline) == bad.bad
    assert not JOBS & bad.pipeline.active_jobs()
    bad.application_is_back()
    bad.pipeline.execute("DROP EVENT TRIGGER refuse")
    assert ran(bad.play(), "done")["ingestion"] == "running"
    bad.is_back()


def test_after_a_failure_that_changed_nothing_ingestion_runs_again(bad: Release) -> None:
    """The schema is refused while the application stays; the undo of what then went well is refused in the same way."""
    bad.pipeline.execute(*REFUSE)
    options = {"application_rollback_enabled": False}
    played = bad.play(**options)
    assert [step["name"] for step in played.result["steps"] if step["failed"]] == ["rollback"], played.text
    assert (played.rc, played.result["outcome"], played.result["ingestion"]) == (2, "failed", "running")
    assert changed(played) == ["pause", "resume"]
    assert "now ingestion is running" in " ".join(played.summary.split())
    assert "resume_ingestion" not in played.summary
    assert "run the same command again" in played.summary
    assert schema(bad.pipeline) == bad.bad
    # One job of theirs is inactive in the bad release.
    assert bad.pipeline.active_jobs() == bad.jobs - {"product-linking"}
    bad.pipeline.execute("ALTER EVENT TRIGGER refuse DISABLE")
    done = bad.play(**options)
    assert ran(done, "done")["ingestion"] == "running"
    bad.pipeline.execute("ALTER EVENT TRIGGER refuse ENABLE")
    undo = bad.stage.play("undo", bad.pipeline.dsn, run_id=done.result["rollback"]["schema"]["undo"])
    assert (undo.rc, undo.result["ingestion"]) == (2, "running"), undo.text
    assert changed(undo) == ["pause", "resume"]
    assert bad.pipeline.active_jobs() == bad.jobs


def test_a_gate_that_does_not_pass_leaves_it_paused_and_the_same_command_asks_again(bad: Release) -> None:
    bad.pipeline.execute(NEGATIVE)
    played = bad.play()
    made = played.result
    assert (played.rc, made["outcome"], made["ok"]) == (2, "not_passed", False), played.text
    assert (made["gate"]["verdict"], made["gate"]["exit_code"]) == ("fail", 43)
    assert made["ingestion"] == "paused"
    assert not JOBS & bad.pipeline.active_jobs()
    assert "gate fail: of " in played.summary
    assert "run the same command again: it runs the gate, then resumes" in " ".join(made["next"])
    assert f"scout.recovery.undo -e scout_run_id={made['rollback']['schema']['undo']}" in made["undo"]
    still = bad.play()
    assert (still.rc, still.result["outcome"], still.result["changed"]) == (2, "not_passed", True), still.text
    assert still.result["ingestion"] == "paused"
    assert bad.stage.play("quality_cleanup", bad.pipeline.dsn, incident="INC-2041").rc == 0
    finished = bad.play()
    assert ran(finished, "done")["ingestion"] == "running"
    assert changed(finished) == ["unfinished", "resume"]
    bad.is_back()


def test_what_somebody_had_paused_stays_paused(bad: Release) -> None:
    assert bad.stage.play("pause_ingestion", bad.pipeline.dsn, incident="INC-1").rc == 0
    played = bad.play()
    assert ran(played, "done")["ingestion"] == "paused"
    assert "ansible-playbook scout.recovery.resume_ingestion" in played.result["next"][-1]
    assert not JOBS & bad.pipeline.active_jobs()
    assert bad.stage.play("resume_ingestion", bad.pipeline.dsn, incident="INC-1").rc == 0
    bad.is_back()


LATE_SALES = """INSERT INTO scout.bronze_events (event_type, event_data)
SELECT e.event_type, e.event_data || jsonb_build_object('transaction_id', 'LATE-' || n)
FROM generate_series(1, 3) n, (SELECT * FROM scout.bronze_events WHERE event_type = 'transaction.v1' ORDER BY event_id LIMIT 1) e"""


def test_the_check_of_an_undo_refuses_as_the_undo_does(bad: Release, stage: Stage) -> None:
    """The drain of the rollback loads sales that have no value for a column that the release requires."""
    bad.pipeline.execute(
        "ALTER TABLE scout.silver_transactions ADD channel text DEFAULT 'till' NOT NULL",
        "ALTER TABLE scout.silver_transactions ALTER channel DROP DEFAULT",
    )
    bad.pipeline.execute(LATE_SALES)
    planned = bad.play("--check", stage=stage)
    assert ran(planned, "planned")["rollback"]["schema"]["blocks_undo"] == ["column:scout.silver_transactions.channel"]
    assert "an undo is refused after the next insert" in planned.summary
    done = bad.play()
    assert "an undo is refused after the next insert" in done.summary
    run_id = ran(done, "done")["rollback"]["schema"]["run_id"]
    assert [step["effects"]["loaded"] for step in done.result["steps"] if step["name"] == "drain"] == [3]
    checked, undone = (
        bad.stage.play("undo", bad.pipeline.dsn, *words, run_id=run_id, rehearse=False) for words in (["--check"], [])
    )
    assert (checked.rc, undone.rc) == (2, 2), checked.text
    assert "silver_transactions.channel must have a value in every row" in checked.result["error"]["said"]
    for name in ("kind", "attempted", "said", "next_step"):
        assert checked.result["error"][name] == undone.result["error"][name]


def test_what_cannot_be_meant_is_refused_before_anything_is_paused(bad: Release, stage: Stage) -> None:
    """An unknown release names those there are; a value that cannot be used is named."""
    before = schema(bad.pipeline), bad.pipeline.active_jobs()
    for options in ({"patience_seconds": "soon"}, {"pause": "ture"}, {"gate": "ture"}):
        played = bad.play(stage=stage, **options)
        assert played.rc == 2, played.text
        assert f"rollback_{next(iter(options))}" in played.text
        assert (schema(bad.pipeline), bad.pipeline.active_jobs()) == before
    for options in ({"release": "v9"}, {"release": ""}):
        played = bad.refused("bad_input", **options)
        assert "captured are: v5.2.1" in played.summary
    assert "captured are: v5.2.1" in bad.refused("bad_input", release="v9", schema_rollback_enabled=False).summary
    bad.story.clone.write(**{"app/main.py": "half done\n"})
    for on in (bad.stage, stage):
        assert "uncommitted changes: M app/main.py" in bad.refused("program_failed", stage=on).summary


def test_one_function_or_one_column_goes_back_alone(bad: Release, stage: Stage) -> None:
    """The application stays, unless it is asked for; other signatures are named."""
    word = "scout.load_silver_from_bronze(integer)"
    played = bad.play(release="", drop_function=word, smoke=False)
    assert changed(played) == ["pause", "rollback", "resume"], played.text
    assert ran(played, "done")["rollback"]["left_out"] == {"application": "only one object is rolled back"}
    assert "left application, as only one object is rolled back" in played.summary
    assert bad.pipeline.one(
        "SELECT prosrc LIKE '%%batch%%' FROM pg_proc WHERE oid = 'scout.load_silver_from_bronze(int)'::regprocedure"
    )
    again = bad.play(release="", drop_function=word)
    assert (ran(again, "unchanged")["changed"], again.recap()["changed"]) == (False, 0), again.text
    # As a person types it: Ansible cuts what is given at the spaces that nothing quotes.
    cut = "scout_drop_function=scout.reprocess_bronze_window(timestamptz, timestamptz, integer)"
    assert "is not usable" in bad.refused("bad_input", "-e", cut, release="", stage=stage).summary
    typed = "scout_drop_function='scout.reprocess_bronze_window(timestamptz, timestamptz, integer)'"
    same = bad.play("-e", typed, release="", stage=stage)
    assert ran(same, "unchanged")["changed"] is False
    assert "reprocess_bronze_window" in same.text
    refused = bad.refused("bad_input", drop_function="scout.load_silver_from_bronze(text)")
    assert "scout.load_silver_from_bronze(integer)" in refused.summary

    played = bad.play(drop_column="scout.alerts.team", application_rollback_enabled=True)
    made = ran(played, "done")
    assert {"revert", "deploy", "rollback"} <= set(changed(played))
    assert made["rollback"]["schema"]["saved"][0]["rows"] == 7
    assert bad.story.remote.tree("main") == bad.story.clone.tree(bad.story.good)
    undone = bad.stage.play("undo", bad.pipeline.dsn, run_id=made["rollback"]["schema"]["undo"])
    ran(undone, "done")
    assert bad.pipeline.one(TEAMS) == [f"team {n}" for n in range(1, 8)]


def test_the_documented_role_goes_back_where_it_was_made_to(bad: Release, pg_server: Server) -> None:
    """Without the rights of the owner it stops before anything is paused; with them it does all of it."""
    role, script = "deployer", str(CHECKOUT / "docs" / "operator_role.sql")
    install = [psql(), "-Xq", "-d", bad.pipeline.dsn, "-v", f"role={role}", "-f", script]
    try:
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
        dsn = make_conninfo(bad.pipeline.dsn, user=role)
        refused = bad.refused("missing_privilege", dsn=dsn)
        assert f'GRANT "loader" TO "{role}" WITH INHERIT TRUE, SET TRUE' in " ".join(refused.result["next"])
        subprocess.run([*install, "-v", "rollback=on"], check=True, stdout=subprocess.DEVNULL)
        made = ran(bad.play(dsn=dsn, rehearse=""), "done")
        assert made["gate"]["smoke"]["status"] == "pass"
        assert not made["rollback"]["schema"]["rehearsal"]["done"]
        bad.is_back()
    finally:
        bad.pipeline.execute(f"DROP OWNED BY {role} CASCADE")
        with psycopg.connect(pg_server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP ROLE {role}".encode())


def test_two_databases_go_back_each_by_itself(
    bad: Release, stage: Stage, pg_server: Server, another_broken: Callable[[], Pipeline]
) -> None:
    """One of them has no capture, and fails alone."""
    other = another_broken()
    hosts = {
        "captured": {"scout_dsn": bad.pipeline.dsn},
        "never": {"scout_dsn": other.dsn, "scout_application_dir": ""},
    }
    before = other.fingerprint()
    played = stage.play(
        "rollback", None, "-i", stage.inventory(hosts), release="v5.2.1", incident="INC-2041",
    )  # fmt: skip
    assert played.rc == 2, played.text
    assert {host: made["outcome"] for host, made in played.results.items()} == {"captured": "done", "never": "failed"}
    assert "nothing is captured in this database" in played.results["never"]["error"]["said"]
    assert {name: value for name, value in other.fingerprint().items() if not name.startswith("scout_ops.")} == {
        name: value for name, value in before.items() if not name.startswith("scout_ops.")
    }
    bad.schema_is_back()


SLOWER = "ALTER FUNCTION scout.load_silver_from_bronze(integer) SET enable_hashjoin = off"


@pytest.mark.parametrize(
    ("release", "sales", "differs"),
    [(DOUBLED, 30, True), (DOUBLED, 0, False), (SLOWER, 30, False)],
    ids=["doubles totals", "loads nothing", "loads as before"],
)
def test_a_rollback_prints_the_window_recovery_of_what_the_release_loaded_differently(
    release: str, sales: int, differs: bool, healthy: Pipeline, stage: Stage
) -> None:
    """That is no fault of the pipeline that runs now: it is resumed, and the exit code is 0."""
    assert stage.play("capture_release", healthy.dsn, release="v5.2.1").rc == 0
    healthy.execute(release)
    with psycopg.connect(healthy.dsn) as connection:
        for number in range(sales):
            generator.insert(connection, generator.transaction(1, 70_000 + number))
    healthy.execute("SELECT scout.load_silver_from_bronze(1000)")
    assert healthy.one(WRONG_TOTALS) == (sales if differs else 0)
    played = stage.play("rollback", healthy.dsn, release="v5.2.1", rehearse=False, allow_owners="postgres")
    assert (played.rc, played.result["ingestion"]) == (0, "running"), played.text
    windows = [each for each in played.result["commands"] if "window_recovery" in each]
    assert len(windows) == differs, played.text
    for window in windows:
        assert window in played.summary
        options = dict(word.split("=") for word in shlex.split(window)[2:] if word != "-e")
        recovered = stage.play("window_recovery", healthy.dsn, **options)
        assert (recovered.rc, recovered.result["commands"]) == (0, []), recovered.text
        assert healthy.one(WRONG_TOTALS) == 0
        assert call("scout_proof_info", healthy.dsn)["reload"] == ""
