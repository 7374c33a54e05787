# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""scripts/ci/deploy_release.sh: a good release stays, a bad one goes without a trace, and the exit code says which it was."""

from __future__ import annotations

import concurrent.futures
import contextlib
import signal
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import FUNCTION, PROJECT
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import uri
from tests.door import Door
from tests.e2e import own_workflow
from tests.e2e.deploying import BAD, DOUBLED, GOOD, HALF, REGIONS, SCRIPT, Team, differing, script_behind
from tests.e2e.pasting import accepted
from tests.e2e.pipeline import Pipeline
from tests.e2e.play import Stage, eventually
from tests.integration.clones import hook, quiet_git
from tests.integration.hosted.test_owner_and_operator import operator
from tests.scout.hosted import Hosted

__all__ = ["quiet_git"]

PASSWORD = "n0t-for-the-process-list"
AGE = "UPDATE scout.bronze_events SET ingested_at = ingested_at - interval '1 hour'"


@pytest.fixture(scope="module")
def script(door: Door, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The script, with playbooks that are forked."""
    return script_behind(door, tmp_path_factory.mktemp("checkout"))


@pytest.fixture
def team(healthy: Pipeline, tmp_path: Path, quiet_git: None, script: Path) -> Team:
    """A team whose v5.2.1 runs well; test_deploy_files.py has the script as it is, and rollbacks that are rehearsed."""
    return Team(tmp_path / "team", healthy, script, rehearse=False)


#: Sales that arrive after a migration, and that the ETL's job loads.
SOLD = """
INSERT INTO scout.bronze_events (event_type, source_system, event_data, event_hash)
SELECT event_type, source_system, event_data || jsonb_build_object('transaction_id', 'new-' || row_number() OVER ()),
       sha256(gen_random_uuid()::text::bytea)
FROM scout.bronze_events WHERE (event_data ->> 'total_amount')::numeric > 1 AND jsonb_array_length(event_data -> 'items') > 0
ORDER BY ingested_at DESC LIMIT 30;
SELECT scout.load_silver_from_bronze(1000);
"""


class Before:
    """What a rollback has to bring back, all of it."""

    def __init__(self, team: Team) -> None:
        self.team = team
        self.seen = self._look()

    def _look(self) -> dict[str, Any]:
        return {
            "dump": self.team.dump(),
            "jobs": self.team.jobs(),
            "history": self.team.history(),
            "contents": self.team.pipeline.contents(),
        }

    def assert_back(self) -> None:
        """Schema by pg_dump, jobs, history, data; the branch's tree; the function; nobody of ours left, nothing paused."""
        now = self._look()
        assert not (lines := differing(self.seen["dump"], now["dump"])), "\n".join(lines)
        for name, value in self.seen.items():
            assert now[name] == value, name
        assert self.team.tree == self.team.remote.tree(self.team.running)
        assert (self.team.pipeline.lease_owner(), self.team.pipeline.lingering()) == (None, [])
        assert self.team.pipeline.one("SELECT count(*) FROM scout_ops.pauses WHERE resumed_at IS NULL") == 0


def told(team: Team) -> list[str]:
    """What the notifying program was given."""
    return team.notified.read_text().splitlines() if team.notified.exists() else []


def test_a_good_release_is_deployed_and_accepted(team: Team) -> None:
    checkout = team.release("v5.3.0", GOOD)
    tree = team.tree
    deployed = team.deploy(checkout, "v5.3.0")
    assert deployed.rc == 0, deployed.text
    made = deployed.result
    assert (made["outcome"], made["exit_code"], made["failed_step"], made["ingestion"]) == (
        "deployed",
        0,
        None,
        "running",
    )
    assert list(deployed.codes.items()) == [
        ("look", 0), ("capture", 0), ("plan_rollback", 0), ("migrate", 0), ("deploy", 0), ("gate", 0), ("notify", 0),
    ]  # fmt: skip
    assert deployed.of("capture")["release"]["git_commit"] == team.running
    assert deployed.of("gate")["gate"]["smoke"]["status"] == "pass"
    assert [run["step"] for step in made["steps"] if step["name"] == "capture" for run in step["runs"]] == ["capture"]
    assert "team" in team.dump()
    assert team.history()[-1] == "v5.3.0"
    assert team.tree == tree
    assert [call["files"][FUNCTION] for call in team.cli.calls] == ["// v5.3.0\n"]
    assert told(team) == ["deployed 0 v5.2.1 v5.3.0 deploy-result.json"]
    assert "v5.3.0 is deployed and accepted" in deployed.text
    assert "migrating v5.3.0" in (deployed.artifacts / "migrate.log").read_text()
    assert deployed.artifacts.stat().st_mode & 0o077 == 0


def test_a_bad_release_goes_without_a_trace_and_a_second_rollback_changes_nothing(team: Team, stage: Stage) -> None:
    before = Before(team)
    checkout = team.release("v5.3.0", BAD)
    deployed = team.deploy(checkout, "v5.3.0")
    assert deployed.rc == 61, deployed.text
    made = deployed.result
    assert (made["outcome"], made["exit_code"], made["failed_step"], made["ingestion"]) == (
        "rolled_back",
        61,
        "gate",
        "running",
    )
    assert list(deployed.codes) == [
        "look", "capture", "plan_rollback", "migrate", "deploy", "gate", "rollback", "gate_again", "notify",
    ]  # fmt: skip
    assert {name: code for name, code in deployed.codes.items() if code} == {"gate": 2}
    assert [step["gate_code"] for step in made["steps"] if step["name"].startswith("gate")] == [46, 0]
    before.assert_back()
    assert [call["files"][FUNCTION] for call in team.cli.calls] == ["// v5.3.0\n", "// one\n"]
    assert told(team) == ["rolled_back 61 v5.2.1 v5.3.0 deploy-result.json"]
    assert "rolled back to v5.2.1, the pipeline is as it was before" in deployed.text
    restored = [run["run_id"] for step in made["steps"] for run in step["runs"] if run["step"] == "rollback"]
    assert any(restored[0] in way for way in made["undo"])

    whole, calls = team.pipeline.fingerprint(), len(team.cli.calls)
    again = stage.play(
        "rollback", team.pipeline.dsn, "-e", f"@{checkout.path / 'ops' / 'scout.yml'}",
        release="v5.2.1", application_dir=str(checkout.path),
        env={"SUPABASE_ACCESS_TOKEN": "sbp_00000000000000000000"},
    )  # fmt: skip
    assert (again.rc, again.recap()["changed"]) == (0, 0), again.text
    assert team.pipeline.rewritten(whole) == set()
    assert len(team.cli.calls) == calls
    aged = {"bronze_staleness": {"ok": 60, "fail": 90}}
    assert stage.play("acceptance_gate", team.pipeline.dsn, smoke=True, thresholds=aged).rc == 0


def test_a_release_that_doubles_new_sales_is_rolled_back_and_ingestion_runs(team: Team) -> None:
    """Sales that it loaded before its gate failed do not count against the release that runs now."""
    deployed = team.deploy(team.release("v5.3.0", DOUBLED + SOLD), "v5.3.0")
    assert deployed.rc == 61, deployed.text
    made = deployed.result
    assert (made["outcome"], made["failed_step"], made["ingestion"]) == ("rolled_back", "gate", "running")
    assert any("total_amount" in check["reason"] for check in deployed.of("gate")["gate"]["checks"])
    [window] = deployed.of("rollback")["commands"]
    assert accepted(window).playbook == "window_recovery"
    assert window in [line.strip() for line in deployed.text.splitlines()]


@pytest.mark.parametrize("named", [True, False])
def test_a_release_that_fills_a_column_stays_only_if_it_names_the_column(team: Team, named: bool) -> None:
    checkout = team.release("v5.3.0", REGIONS)
    if named:
        set_variable(checkout, "scout_expected_changes: [silver_transactions.region]")
    deployed = team.deploy(checkout, "v5.3.0")
    assert (deployed.rc, deployed.result["ingestion"]) == (0 if named else 61, "running"), deployed.text


def test_a_migration_that_fails_half_way_is_taken_back(team: Team) -> None:
    before = Before(team)
    deployed = team.deploy(team.release("v5.3.0", HALF), "v5.3.0")
    assert deployed.rc == 61, deployed.text
    assert (deployed.result["failed_step"], deployed.codes["migrate"]) == ("migrate", 3)
    assert "deploy" not in deployed.codes
    assert 'relation "scout.no_such_table" does not exist' in (deployed.artifacts / "migrate.log").read_text()
    assert {step["name"] for step in deployed.of("rollback")["steps"] if step["changed"]} >= {"rollback", "revert"}
    before.assert_back()


def test_a_release_that_could_not_be_deployed_leaves_nothing_either(team: Team) -> None:
    """The function is not there, so the migration that went before is taken back."""
    before = Before(team)
    checkout = team.release("v5.3.0", GOOD)
    team.cli.tell(
        "import sys; sys.exit(7 if b'v5.3.0' in Path('supabase/functions/ingest-transaction/index.ts').read_bytes() else 0)"
    )
    deployed = team.deploy(checkout, "v5.3.0")
    assert deployed.rc == 61, deployed.text
    assert (deployed.result["failed_step"], deployed.codes["deploy"]) == ("deploy", 7)
    assert "gate" not in deployed.codes
    before.assert_back()
    assert [call["files"][FUNCTION] for call in team.cli.calls][-1] == "// one\n"


def test_where_the_release_was_not_the_cause_a_person_is_needed(team: Team) -> None:
    """Bronze is old: there is nothing to take back, so no exit code but that of the gate tells."""
    checkout = team.release("v5.3.0", GOOD)
    hook(checkout.path / "ops" / "migrate", f'psql -Xqd "$SCOUT_DSN" -c "{AGE}"')
    command = [
        str(team.script),
        "--from",
        "v5.2.1",
        "--to",
        "v5.3.0",
        "--migrate",
        str(checkout.path / "ops" / "migrate"),
    ]
    deployed = team.run(command, team.home)
    assert deployed.rc == 62, deployed.text
    made = deployed.result
    assert (made["outcome"], made["failed_step"], made["ingestion"]) == ("still_failing", "gate", "running")
    assert (deployed.codes["rollback"], deployed.codes["gate_again"]) == (0, 2)
    assert "rolled back to v5.2.1, and the gate does not pass: a person is needed" in deployed.text
    assert made["next"]


def set_variable(checkout: Clone, line: str) -> None:
    """Adds a line to the team's variables; a checkout with uncommitted changes would be refused."""
    variables = checkout.path / "ops" / "scout.yml"
    checkout.commit("Set a variable", {"ops/scout.yml": f"{variables.read_text()}{line}\n"})


def test_a_rollback_that_cannot_be_done_leaves_it_paused_and_says_so_and_the_next_one_goes_on(team: Team) -> None:
    """A report goes on reading the table that would lose its new column."""
    before = Before(team)
    checkout = team.release("v5.3.0", BAD)
    set_variable(checkout, "scout_patience_seconds: 2")
    with (
        team.start(team.command(checkout, "v5.3.0"), checkout.path.parent) as deploying,
        psycopg.connect(team.pipeline.dsn, application_name="long report") as reader,
    ):
        eventually(lambda: deploying.begun("deploy"), 180, "the migration")
        reader.execute("SELECT count(*) FROM scout.silver_transactions")
        failed = deploying.wait()
        assert failed.rc == 62, failed.text
        made = failed.result
        assert (made["outcome"], made["failed_step"], made["ingestion"]) == ("rollback_failed", "gate", "paused")
        assert (list(failed.codes)[-2:], failed.codes["rollback"]) == (["rollback", "notify"], 2)
        assert "others hold locks" in made["errors"][0]["attempted"]
        assert f"locks are held by pid {reader.info.backend_pid} (postgres, long report" in made["errors"][0]["said"]
        assert made["next"]
        assert "the rollback to v5.2.1 failed: a person is needed" in failed.text
        assert told(team) == ["rollback_failed 62 v5.2.1 v5.3.0 deploy-result.json"]
        assert "bronze-to-silver-etl" not in team.pipeline.active_jobs()
        assert "loyalty_tier" in team.dump()
    back = team.go_back(checkout)
    assert (back.rc, back.result["ingestion"]) == (61, "running"), back.text
    before.assert_back()


@pytest.mark.parametrize("found", [True, False])
def test_nothing_is_begun_on_a_pipeline_that_already_fails_unless_told(team: Team, found: bool) -> None:
    team.pipeline.execute(AGE)
    whole = team.pipeline.fingerprint()
    checkout = team.release("v5.3.0", GOOD if found else f"{GOOD}; UPDATE scout.bronze_events SET ingested_at = now()")
    deployed = team.deploy(checkout, "v5.3.0", *([] if found else ["--although-failing"]))
    if found:
        assert deployed.rc == 60, deployed.text
        assert (deployed.result["outcome"], list(deployed.codes)) == ("not_begun", ["look", "notify"])
        assert team.pipeline.fingerprint() == whole
        assert "bronze_staleness" in deployed.text
    else:
        assert deployed.rc == 0, deployed.text
        assert "look" not in deployed.codes


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_release_for_a_pipeline_that_fails_goes_back_without_the_gate(team: Team, how: str) -> None:
    """What had failed before the release fails after it: neither the rollback nor the script is stopped by that."""
    team.pipeline.execute(AGE)
    before = Before(team)
    checkout = team.release("v5.3.0", BAD)
    if how == "variable":
        set_variable(checkout, "scout_gate: 'no'")
    deployed = team.deploy(checkout, "v5.3.0", *(["--although-failing"] if how == "option" else []))
    assert (deployed.rc, deployed.result["outcome"], deployed.result["ingestion"]) == (61, "rolled_back", "running"), (
        deployed.text
    )
    assert list(deployed.codes) == ["capture", "plan_rollback", "migrate", "deploy", "gate", "rollback", "notify"]
    assert deployed.of("rollback")["gate"] is None
    assert "left gate, as scout_gate is false" in " ".join(deployed.text.split())
    before.assert_back()


def test_a_schema_that_is_not_the_captured_one_is_not_built_upon(team: Team, stage: Stage) -> None:
    assert stage.play("capture_release", team.pipeline.dsn, release="v5.2.1", git_commit=team.running).rc == 0
    team.pipeline.execute("ALTER TABLE scout.alerts ADD COLUMN by_hand text")
    deployed = team.deploy(team.release("v5.3.0", GOOD), "v5.3.0")
    assert deployed.rc == 60, deployed.text
    assert (deployed.result["failed_step"], list(deployed.codes)) == ("capture", ["look", "capture", "notify"])
    assert "column scout.alerts.by_hand added" in deployed.text


def test_nothing_is_begun_that_could_not_be_taken_back(team: Team) -> None:
    checkout = team.release("v5.3.0", GOOD)
    team.cli.path.unlink()
    deployed = team.deploy(checkout, "v5.3.0")
    assert deployed.rc == 60, deployed.text
    assert deployed.result["failed_step"] == "plan_rollback"
    assert "migrate" not in deployed.codes


def test_a_check_writes_nothing(team: Team) -> None:
    checkout, whole = team.release("v5.3.0", BAD), team.pipeline.fingerprint()
    deployed = team.deploy(checkout, "v5.3.0", "--check")
    assert (deployed.rc, deployed.result["outcome"]) == (0, "checked"), deployed.text
    assert list(deployed.codes) == ["look", "capture"]
    assert team.pipeline.fingerprint() == whole
    assert (told(team), team.cli.calls) == ([], [])


def test_a_check_of_no_database_is_no_check(team: Team) -> None:
    """A playbook for no host ends with 0."""
    checkout = team.release("v5.3.0", GOOD)
    (team.home / "hosts.yml").write_text("scout: {hosts: {}}\n")
    words = ("--check", "--although-failing", "--inventory", str(team.home / "hosts.yml"))
    deployed = team.deploy(checkout, "v5.3.0", *words)
    assert (deployed.rc, deployed.result["outcome"]) == (60, "not_begun"), deployed.text
    assert deployed.result["failed_step"] == "capture"


def test_what_cannot_be_meant_is_refused(team: Team, subtests: pytest.Subtests) -> None:
    whole = ["--from", "a", "--to", "b", "--migrate", "x"]
    for words, said in (
        (["--to", "b"], "name the release that runs now"),
        (["--from", "a", "--migrate", "x"], "name the release to deploy"),
        (["--from", "a", "--to", "b"], "there is nothing to deploy"),
        ([*whole, "--application", "."], "name the commit of the application"),
        ([*whole, "--variables", "nowhere.yml"], "--variables nowhere.yml is not there"),
        ([*whole, "--step-seconds", "1h"], "--step-seconds 1h is not a whole number"),
        ([*whole, "--if-interrupted"], "goes with --rollback"),
        (["--from"], "--from wants a value"),
        (["--form", "a"], "unknown option --form"),
    ):
        with subtests.test(said):
            deployed = team.run([str(SCRIPT), *words], team.home)
            assert deployed.rc == 60
            assert said in deployed.text
            assert not deployed.artifacts.exists()


@pytest.mark.parametrize("begin", ["", "BEGIN; "])
def test_a_program_that_takes_too_long_is_ended_and_what_it_did_is_taken_back(team: Team, begin: str) -> None:
    """So is what the server does for it: an open transaction would keep its locks, and might commit after the rollback."""
    before = Before(team)
    checkout = team.release("v5.3.0", f"{begin}ALTER TABLE scout.alerts ADD COLUMN slow text; SELECT pg_sleep(150);")
    deployed = team.deploy(checkout, "v5.3.0", "--step-seconds", "3")
    assert (deployed.rc, deployed.codes["migrate"]) == (61, 124), deployed.text
    assert team.pipeline.one("SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep.150.'") == 0
    before.assert_back()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=lambda number: number.name)
def test_an_interrupted_deployment_is_told_and_goes_back_when_asked(team: Team, number: signal.Signals) -> None:
    """In the middle of a migration that has changed something."""
    before = Before(team)
    checkout = team.release("v5.3.0", "ALTER TABLE scout.alerts ADD COLUMN slow text;\nSELECT pg_sleep(300);\n")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep.300.'"
    with team.start(team.command(checkout, "v5.3.0"), checkout.path.parent) as deploying:
        column = "SELECT count(*) FROM pg_attribute WHERE attrelid = 'scout.alerts'::regclass AND attname = 'slow'"
        eventually(lambda: team.pipeline.one(column), 180, "the migration")
        deploying.process.send_signal(number)
        stopped = deploying.wait()
    made = stopped.result
    if number == signal.SIGKILL:
        assert (made["outcome"], made["exit_code"], stopped.codes["migrate"]) == ("running", None, None)
    else:
        assert (stopped.rc, made["outcome"], made["exit_code"]) == (63, "interrupted", 63), stopped.text
        assert "run it with --rollback" in stopped.text
        assert told(team) == ["interrupted 63 v5.2.1 v5.3.0 deploy-result.json"]
        assert team.pipeline.one(sleeping) == 0
    back = team.go_back(checkout, "--if-interrupted")
    assert (back.rc, back.result["outcome"]) == (61, "rolled_back"), back.text
    assert {"migrate", "rollback", "gate_again"} <= set(back.codes)
    before.assert_back()
    again = team.go_back(checkout, "--if-interrupted")
    assert again.rc == 0
    assert "nothing to do" in again.text


def test_what_a_killed_deployment_left_at_work_is_ended_before_the_rollback(team: Team) -> None:
    """The script alone was killed, as some runners do; its migration would go on changing what has been taken back."""
    before = Before(team)
    slow, late = ("ALTER TABLE scout.alerts ADD COLUMN " + name + " text;\n" for name in ("slow", "late"))
    checkout = team.release("v5.3.0", f"{slow}SELECT pg_sleep(600);\n{late}")
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query ~ '^SELECT pg_sleep.600.'"
    with team.start(team.command(checkout, "v5.3.0"), checkout.path.parent) as deploying:
        eventually(lambda: team.pipeline.one(sleeping), 180, "the migration")
        early = team.deploy(checkout, "v5.3.0")
        assert (early.rc, "another deployment is still running in" in early.text) == (60, True), early.text
        with concurrent.futures.ThreadPoolExecutor() as pool:
            going_back = pool.submit(team.go_back, checkout, "--if-interrupted")
            time.sleep(2)
            assert not going_back.done()
            deploying.process.kill()
            deploying.process.wait()
            back = going_back.result()
        assert (back.rc, back.result["outcome"]) == (61, "rolled_back"), back.text
        assert "waiting for the deployment that is still running in" in back.text
        assert "ended migrate, which a deployment that was killed had left at work" in back.text
        assert team.pipeline.one(sleeping) == 0
        before.assert_back()


def test_a_rollback_that_a_killed_deployment_left_at_work_is_waited_for(team: Team) -> None:
    before = Before(team)
    checkout = team.release("v5.3.0", HALF)
    with team.start(team.command(checkout, "v5.3.0"), checkout.path.parent) as deploying:
        eventually(lambda: deploying.begun("rollback") and team.pipeline.lease_owner(), 180, "the rollback")
        deploying.process.kill()
        deploying.process.wait()
        back = team.go_back(checkout, "--if-interrupted")
        assert (back.rc, back.result["outcome"]) == (61, "rolled_back"), back.text
        assert "waiting for rollback, which a deployment that was killed had left at work" in back.text
        before.assert_back()


def test_whoever_stops_it_while_it_goes_back_waits_for_the_end(team: Team) -> None:
    before = Before(team)
    checkout = team.release("v5.3.0", HALF)
    with team.start(team.command(checkout, "v5.3.0"), checkout.path.parent) as deploying:
        for step in ("rollback", "gate_again"):
            eventually(lambda step=step: deploying.begun(step) or deploying.process.poll() is not None, 240, step)
            assert deploying.begun(step), deploying.text
            for number in (signal.SIGTERM, signal.SIGINT):
                deploying.process.send_signal(number)
                time.sleep(0.3)
        done = deploying.wait()
    assert done.rc == 61, done.text
    assert done.text.count("asked to stop") == 4
    before.assert_back()


def test_a_release_is_taken_back_by_hand_later(team: Team) -> None:
    before = Before(team)
    checkout = team.release("v5.3.0", GOOD)
    assert team.deploy(checkout, "v5.3.0").rc == 0
    back = team.go_back(checkout)
    assert (back.rc, list(back.codes)) == (61, ["rollback", "gate_again", "notify"]), back.text
    before.assert_back()
    assert team.cli.calls[-1]["files"][FUNCTION] == "// one\n"
    assert told(team)[-1].split()[:2] == ["rolled_back", "61"]


def test_a_name_that_nobody_captured_is_refused_with_those_there_are(team: Team, stage: Stage) -> None:
    assert stage.play("capture_release", team.pipeline.dsn, release="v5.2.1").rc == 0
    back = team.run([str(team.script), "--rollback", "--from", "v9"], team.home)
    assert (back.rc, back.result["outcome"]) == (62, "rollback_failed"), back.text
    assert "v5.2.1" in back.text


def test_who_cannot_be_notified_changes_no_exit_code(team: Team) -> None:
    checkout = team.release("v5.3.0", GOOD)
    deployed = team.deploy(checkout, "v5.3.0", "--notify", "false")
    assert (deployed.rc, deployed.codes["notify"]) == (0, 1)
    assert "could not notify: it exited with 1" in deployed.text


def test_no_secret_is_in_a_list_of_processes_on_a_screen_or_in_the_artifacts(team: Team) -> None:
    """Even with every line of the script traced."""
    checkout = team.release("v5.3.0", BAD)
    password = {"SCOUT_DSN": uri(conninfo_to_dict(team.pipeline.dsn) | {"password": PASSWORD})}
    # The team's own program is not ours to judge.
    hook(
        checkout.path / "ops" / "migrate", f"psql -Xqd '{team.pipeline.dsn}' -f '{checkout.path}/migrations/v5.3.0.sql'"
    )
    checkout.commit("Migrate without a password", {})
    seen: set[str] = set()
    with team.start(["bash", "-x", *team.command(checkout, "v5.3.0")], checkout.path.parent, password) as deploying:
        its = f"DEPLOY_RESULT={deploying.artifacts / 'deploy-result.json'}".encode()
        while deploying.process.poll() is None:
            for path in Path("/proc").glob("[0-9]*"):
                with contextlib.suppress(OSError):
                    # What it started, and not what other tests did.
                    if path.name == str(deploying.process.pid) or its in (path / "environ").read_bytes().split(b"\0"):
                        seen.add((path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace"))
            time.sleep(0.02)
        done = deploying.wait()
    assert done.rc == 61, done.text
    for program in ("deploy_release.sh", "ops/migrate", "rollback.yml"):
        assert any(program in line for line in seen), program
    kept = [path for path in done.artifacts.rglob("*") if path.is_file()]
    assert any("evidence" in path.parts for path in kept)
    for secret in (PASSWORD, "sbp_00000000000000000000"):
        assert not [line[:300] for line in seen if secret in line]
        assert secret not in done.text
        assert not any(secret in path.read_text(errors="replace") for path in kept)


def test_with_the_steps_of_scouts_own_workflow(team: Team) -> None:
    """What its workflow does at a push to main, as `--migrate`: none of its tables says afterwards that the release is applied, but
    its log, and the next deployment applies its files."""
    team.pipeline.execute(*own_workflow.TABLES)
    team.running = team.commit("v5.2.2", own_workflow.BEFORE)
    before = Before(team)
    applied = team.pipeline.rows(own_workflow.APPLIED)
    checkout = team.clone("jobs/v5.3.0/application")
    team.commit("v5.3.0", {**own_workflow.RELEASE, own_workflow.LEGACY: BAD})
    checkout.git("pull", "--quiet", "origin", "main")
    deployed = team.deploy(checkout, "v5.3.0")
    assert deployed.rc == 61, deployed.text
    assert "applying 0043_loyalty.sql" in (deployed.artifacts / "migrate.log").read_text()
    before.assert_back()
    assert team.pipeline.rows(own_workflow.APPLIED) == applied
    assert team.pipeline.rows(own_workflow.LOG) == [("v5.3.0 applied",)]
    # Its push starts no second deployment.
    assert team.remote.git("log", "-1", "--format=%s", "main").endswith(" [skip ci]")
    back = [call for call in team.cli.calls if call["argv"][2] != "only-new"][1:]
    assert [call["argv"][2] for call in back] == ["export-platinum", "ingest-transaction"]
    assert all(call["files"][FUNCTION] == "// one\n" for call in back)
    [warning] = deployed.of("rollback")["warnings"]
    assert f"supabase functions delete --project-ref {PROJECT} only-new" in warning
    # What is fixed and deployed again is applied, under the same name.
    done = team.run([str(checkout.path / "ops" / "migrate")], checkout.path, {"DEPLOY_TO": "v5.3.1"})
    assert (done.rc, "applying 0043_loyalty.sql" in done.text) == (0, True), done.text


@pytest.fixture
def hosted_team(hosted: Hosted, tmp_path: Path, quiet_git: None, script: Path) -> Team:
    """A team where nobody has a superuser, with an operator for the script and a role of its own that migrates."""
    with psycopg.connect(hosted.owner, autocommit=True) as owner:
        owner.execute("CREATE ROLE deployer LOGIN")
    operator(hosted, "-v", "rollback=on")
    with psycopg.connect(hosted.owner, autocommit=True) as owner:
        owner.execute("GRANT scout_owner TO deployer")
    with psycopg.connect(hosted.superuser, autocommit=True) as shop:
        generator.insert(shop, generator.transaction(24, 1))
    pipeline = Pipeline(hosted.superuser)
    pipeline.execute("SELECT scout.load_silver_from_bronze(2000)", "SELECT scout.refresh_gold_platinum()")
    pipeline.link_and_wait()
    return Team(
        tmp_path / "team", pipeline, script,
        history=(), rehearse=False, edge_functions=[],
    )  # fmt: skip


@pytest.mark.parametrize("migrates", ["deployer", "postgres"])
def test_a_release_by_a_role_of_the_teams_own_is_rolled_back(hosted_team: Team, hosted: Hosted, migrates: str) -> None:
    """Nothing begins until what that role creates could be dropped; then a release that doubles totals ends with 61."""
    team, before = hosted_team, Before(hosted_team)
    env = {"SCOUT_DSN": hosted.of("scout_operator"), "MIGRATE_DSN": hosted.of(migrates)}
    begins = "SET ROLE scout_owner; " if migrates == "postgres" else ""
    checkout = team.release("v5.3.0", begins + DOUBLED)
    refused = team.deploy(checkout, "v5.3.0", env=env)
    assert refused.rc == 60, refused.text
    assert list(refused.codes) == ["look", "capture", "notify"]
    [error] = refused.result["errors"]
    assert migrates in error["attempted"]
    database = conninfo_to_dict(hosted.owner)["dbname"]
    setting = f'ALTER ROLE "deployer" IN DATABASE "{database}" SET role = "scout_owner"'
    if migrates == "deployer":
        assert setting in error["next_step"]
        with psycopg.connect(hosted.owner, autocommit=True) as owner:
            owner.execute(setting)  # type: ignore[call-overload]
    else:
        assert 'SET ROLE "scout_owner"' in error["next_step"]
    set_variable(checkout, f"scout_deployed_by: {'deployer' if migrates == 'deployer' else 'scout_owner'}")
    deployed = team.deploy(checkout, "v5.3.0", env=env)
    assert deployed.rc == 61, deployed.text
    assert (deployed.result["failed_step"], deployed.result["ingestion"]) == ("gate", "running")
    before.assert_back()
