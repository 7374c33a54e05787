# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""pg_cron in database `postgres` and Scout in another one, as on RDS, Aurora and Cloud SQL: its jobs through scout_cron_dsn."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump, program
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from ansible_collections.scout.recovery.plugins.module_utils.recovery.pipeline import pause_resume
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session
from ansible_collections.scout.recovery.plugins.module_utils.recovery.release.restore import transaction
from tests.integration.hosted.test_owner_and_operator import EVERYTHING, broken, done, recovers, run
from tests.integration.modules import JOB_RUN, call, connect, expire_lease, fingerprint, jobs, off, one, rows
from tests.scout.hosted import Hosted

pytestmark = pytest.mark.parametrize("hosted", ["rds"], indirect=True)
__all__ = ["broken"]

OPEN = "SELECT count(*) FROM scout_ops.pauses WHERE resumed_at IS NULL"
THERE: dict[str, Any] = {"cron_dsn": "dbname=postgres", "allow_owner": True}


def test_without_it_nothing_is_paused_and_the_option_is_named(hosted: Hosted) -> None:
    before = fingerprint(hosted.superuser), fingerprint(hosted.cron)
    said = call("scout_ingestion", hosted.owner, state="paused", allow_owner=True)
    assert said["msg"].startswith("refused: pg_cron is not installed in this database"), said
    assert said["error"]["next_step"].startswith(
        "as cron.database_name is postgres, name it: -e scout_cron_dsn=dbname=postgres"
    )
    found = call("scout_preflight_info", hosted.owner, actions=EVERYTHING, allow_owner=True)
    assert any("nothing can be paused; as cron.database_name is postgres" in text for text in found["warnings"]), found
    assert (fingerprint(hosted.superuser), fingerprint(hosted.cron)) == before


def looks_at_all_of_it(dsn: str, folder: Path) -> None:
    """Whatever looks at jobs and their runs sees them there."""
    looked = call("scout_health_info", dsn, **THERE)
    assert [i["name"] for i in looked["indicators"] if i["status"] == "unknown"] == []
    assert call("scout_gate_info", dsn, **THERE)["verdict"] == "pass"
    kept = call("scout_evidence", dsn, folder=str(folder), **THERE)
    assert not kept.get("failed"), kept
    for name, least in (("jobs", 7), ("job_runs", 100)):
        [file] = folder.rglob(f"{name}.json")
        assert len(json.loads(file.read_bytes())) >= least


def test_the_owner_recovers_and_a_second_run_changes_nothing(broken: Hosted, tmp_path: Path) -> None:
    found = call("scout_preflight_info", broken.owner, actions=EVERYTHING, **THERE)
    assert found["missing"] == []
    assert not any("paused" in text for text in found["warnings"]), found["warnings"]
    assessed = call("scout_health_info", broken.owner, **THERE)
    assert assessed["verdict"] == "failing", assessed
    before = jobs(broken.cron)
    assert before
    looked = call("scout_ingestion", broken.owner, state="paused", check=True, **THERE)
    assert looked["changed"]
    assert jobs(broken.cron) == before
    recovers(broken.owner, broken, **THERE)
    assert jobs(broken.cron) == before
    looks_at_all_of_it(broken.owner, tmp_path)
    assert not call("scout_ingestion", broken.owner, state="running", **THERE)["changed"]
    assert call("scout_ingestion", broken.owner, state="paused", **THERE)["changed"]
    paused = jobs(broken.cron)
    assert off(broken.cron)
    assert not call("scout_ingestion", broken.owner, state="paused", **THERE)["changed"]
    assert jobs(broken.cron) == paused


def kill_at_cron(dsn: str, state: str, *, altered: bool) -> None:
    """A pause or a resume whose process is gone at once before it alters the jobs in the other database, or right after that."""
    if (pid := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            at_cron = Session.at_cron

            @contextlib.contextmanager
            def dying(self: Session, *, writing: bool = False) -> Iterator[Session]:
                beside = self.beside()
                outermost = writing and beside is not None and beside.connection.is_idle
                if outermost and not altered:
                    os._exit(9)
                with at_cron(self, writing=writing) as at:
                    yield at
                if outermost:
                    os._exit(9)

            Session.at_cron = dying  # type: ignore[method-assign]
            call("scout_ingestion", dsn, state=state, ledger="required", **THERE)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    expire_lease(dsn)


def test_whoever_is_killed_between_the_databases_runs_it_again(
    hosted: Hosted, subtests: pytest.Subtests, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a pause alters is recorded before, and a pause ends after all is as it was: so each can be run again, and the other too."""
    monkeypatch.setattr(pause_resume, "TICK_SECONDS", 0.0)
    with connect(hosted.cron) as superuser:
        superuser.execute("UPDATE cron.job SET active = false WHERE jobname = 'product-linking'")
    before = jobs(hosted.cron)

    def became(state: str) -> list[tuple[Any, ...]]:
        result = call("scout_ingestion", hosted.owner, state=state, ledger="required", **THERE)
        assert not result.get("failed"), result
        assert result["state"] == state
        assert one(hosted.superuser, OPEN) == (1 if state == "paused" else 0)
        return jobs(hosted.cron)

    paused = became("paused")
    assert paused != before
    assert became("running") == before
    for first, altered, then in (
        ("paused", False, "paused"),
        ("paused", False, "running"),
        ("paused", True, "running"),
        ("running", True, "paused"),
        ("running", True, "running"),
    ):
        with subtests.test(killed=first, altered=altered, then=then):
            became("paused" if first == "running" else "running")
            kill_at_cron(hosted.owner, first, altered=altered)
            # A pause is known to the ledger wherever it, or the end of it, was broken off.
            assert one(hosted.superuser, OPEN) == 1
            assert jobs(hosted.cron) == (paused if altered == (first == "paused") else before)
            assert became(then) == (paused if then == "paused" else before)
    assert not call("scout_ingestion", hosted.owner, state="running", ledger="required", **THERE)["changed"]


def test_a_run_in_flight_parks_its_job_and_a_kill_does_not_lose_its_schedule(hosted: Hosted) -> None:
    before = jobs(hosted.cron)
    running = psycopg.connect(hosted.owner, application_name="pg_cron")
    with connect(hosted.cron) as superuser:
        superuser.execute(JOB_RUN, [running.info.backend_pid, "bronze-to-silver-etl"])
    running.execute("SELECT 1")
    kill_at_cron(hosted.owner, "paused", altered=True)
    assert {row[2] for row in jobs(hosted.cron) if row[1] == "bronze-to-silver-etl"} == {"0 0 30 2 *"}
    running.close()
    assert call("scout_ingestion", hosted.owner, state="paused", ledger="required", **THERE)["state"] == "paused"
    assert [row[2] for row in jobs(hosted.cron)] == [row[2] for row in before]
    assert call("scout_ingestion", hosted.owner, state="running", ledger="required", **THERE)["state"] == "running"
    assert jobs(hosted.cron) == before


def test_a_wrong_second_dsn_is_refused_by_its_name(
    hosted: Hosted, pg_server: Server, subtests: pytest.Subtests
) -> None:
    empty = f"{conninfo_to_dict(hosted.superuser)['dbname']}_empty"
    with connect(hosted.superuser) as superuser:
        superuser.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(empty)))
    try:
        before = fingerprint(hosted.superuser), fingerprint(hosted.cron)
        for dsn, says in {
            f"dbname={empty}": "pg_cron is not installed in the database that scout_cron_dsn names",
            # A database of the same name is on it, but not the same database.
            pg_server.dsn("postgres", user="postgres"): "refused to look for pg_cron on another server than that of ",
            "dbname=nowhere": "could not open a session on nowhere on ",
            "postgresql://h:p@ss@host/x": "scout_cron_dsn is ambiguous",
            "host": "scout_cron_dsn is neither a libpq URI",
            "dbname=postgres user=rdsadmin": "refused to alter jobs as superuser rdsadmin",
        }.items():
            for name, options in (
                ("scout_preflight_info", {"actions": ["pause"]}),
                ("scout_ingestion", {"state": "paused"}),
                ("scout_proof_info", {"timeout_seconds": 1}),
            ):
                with subtests.test(dsn=says, module=name):
                    said = call(name, hosted.owner, cron_dsn=dsn, allow_owner=True, **options)
                    assert said["failed"], said
                    assert says in said["msg"], said["msg"]
                    assert "scout_cron_dsn" in said["msg"] + said["error"]["next_step"]
                    assert "p@ss" not in str(said)
        # Who only looks sees the rest, and not that the jobs were fine.
        for dsn in (f"dbname={empty}", "host=127.0.0.1 port=1"):
            looked = call("scout_health_info", hosted.owner, cron_dsn=dsn)
            assert looked["verdict"] not in ("healthy", "paused"), looked
            unknown = {i["name"] for i in looked["indicators"] if i["status"] == "unknown"}
            assert {"jobs_present", "jobs_active", "job_runs", "ingestion"} <= unknown, unknown
            assert "bronze_staleness" not in unknown
        assert (fingerprint(hosted.superuser), fingerprint(hosted.cron)) == before
    finally:
        with connect(hosted.superuser) as superuser:
            superuser.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(empty)))


def test_the_environment_names_it_and_the_same_database_is_this_one(
    hosted: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCOUT_CRON_DSN", make_conninfo(hosted.owner, dbname="postgres"))
    assert call("scout_ingestion", hosted.owner, state="paused", check=True, allow_owner=True)["changed"]
    monkeypatch.setenv("SCOUT_CRON_DSN", hosted.owner)
    said = call("scout_ingestion", hosted.owner, state="paused", check=True, allow_owner=True)
    assert said["msg"].startswith("refused: pg_cron is not installed in this database"), said["msg"]


#: What a bad release changes of the schema, and whoever deploys it of the jobs, in the other database.
SCHEMA = "ALTER TABLE scout.alerts ADD COLUMN loyalty text"
JOBS = """
SELECT cron.alter_job(jobid, schedule => '*/7 * * * *', active => false) FROM cron.job WHERE jobname = 'product-linking';
SELECT cron.unschedule('smart-gold-refresh');
SELECT cron.schedule_in_database('loyalty', '0 3 * * *', 'SELECT 1', 'DATABASE');
"""
LOYALTY = "SELECT count(*) FROM pg_attribute WHERE attname = 'loyalty'"


@pytest.fixture
def released(hosted: Hosted) -> Hosted:
    """A release is captured, and a bad one follows."""
    with connect(hosted.owner, dbname="postgres") as there:
        there.execute("SELECT cron.schedule('of postgres', '0 4 * * *', 'SELECT 1')")
        there.execute(
            "SELECT cron.alter_job(jobid, active => false) FROM cron.job WHERE jobname = 'smart-gold-refresh'"
        )
    captured = call("scout_capture", hosted.owner, release="good", **THERE)
    assert not captured.get("failed"), captured
    with connect(hosted.owner) as migration:
        migration.execute(SCHEMA)
        [[database]] = migration.execute("SELECT current_database()").fetchall()
    with connect(hosted.owner, dbname="postgres") as there:
        there.execute(JOBS.replace("DATABASE", database).encode())
    return hosted


def shape(scout: Hosted) -> tuple[str, list[tuple[Any, ...]]]:
    """What pg_dump says of the schema, and the jobs of all databases, whose numbers nobody chooses."""
    every = rows(
        scout.cron, "SELECT jobname, schedule, command, active, username, database FROM cron.job ORDER BY 1, 2"
    )
    return dump(scout.superuser, "-s", "-n", "scout"), every


def rolls_back(scout: Hosted, **options: Any) -> dict[str, Any]:
    return call("scout_rollback", scout.owner, release="good", pg_dump=program("pg_dump"), **options, **THERE)


def test_a_release_is_rolled_back_with_its_jobs_and_so_is_that(hosted: Hosted, request: pytest.FixtureRequest) -> None:
    def without(jobs: list[tuple[Any, ...]], *names: str) -> list[tuple[Any, ...]]:
        return [job for job in jobs if job[0] not in names]

    before, jobs_before = shape(hosted)
    scout = request.getfixturevalue("released")
    broken = shape(scout)
    looked = rolls_back(scout, check=True)
    assert not looked.get("failed"), looked
    assert shape(scout) == broken
    rolled = rolls_back(scout)
    assert not rolled.get("failed"), rolled
    assert rolled["rehearsal"]["done"], rolled["rehearsal"]
    schema, found = shape(scout)
    assert schema == before
    changed = "of postgres", "smart-gold-refresh"
    assert without(found, *changed) == without(jobs_before, *changed)
    [(gold, *_, active, owner, database)] = [job for job in found if job[0] == "smart-gold-refresh"]
    assert (gold, active, owner, database) == ("smart-gold-refresh", False, "postgres", found[0][5])
    assert [job[5] for job in found if job[0] == "of postgres"] == ["postgres"], "nobody's but that database's"
    assert not rolls_back(scout)["changed"]
    undone = call("scout_undo", scout.owner, run_id=rolled["run_id"], rehearse=False, **THERE)
    assert undone["changed"], undone
    assert shape(scout) == broken


def test_a_job_that_another_database_has_by_that_name_is_not_taken(released: Hosted) -> None:
    with connect(released.owner, dbname="postgres") as there:
        there.execute("SELECT cron.schedule('smart-gold-refresh', '0 5 * * *', 'SELECT 1')")
    broken = shape(released)
    said = rolls_back(released, rehearse=False)
    assert said["msg"].startswith("refused to make cron job smart-gold-refresh of postgres"), said["msg"]
    assert "postgres has a job of that name for database postgres" in said["msg"]
    assert shape(released) == broken


def test_whoever_is_killed_between_the_two_commits_rolls_back_again(
    released: Hosted, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The jobs are as captured then, and the schema is not yet; a pause keeps disabled what it disabled."""
    assert call("scout_ingestion", released.owner, state="paused", ledger="required", **THERE)["changed"]
    broken = shape(released)
    changed = transaction._jobs_changed

    @contextlib.contextmanager
    def dying(*about: Any) -> Iterator[None]:
        with changed(*about):
            yield
        os._exit(9)

    if (pid := os.fork()) == 0:
        with contextlib.suppress(BaseException):
            monkeypatch.setattr(transaction, "_jobs_changed", dying)
            rolls_back(released, rehearse=False)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    schema, found = shape(released)
    assert (schema, found != broken[1]) == (broken[0], True)
    rolled = rolls_back(released, rehearse=False, takeover=True)
    assert rolled["changed"], rolled
    assert one(released.superuser, LOYALTY) == 0
    assert shape(released)[1] == found
    assert call("scout_ingestion", released.owner, state="running", ledger="required", **THERE)["changed"]
    assert off(released.cron) == {"smart-gold-refresh"}


def test_without_the_right_to_alter_them_nothing_is_rolled_back(released: Hosted) -> None:
    with connect(released.cron) as superuser:
        superuser.execute("REVOKE EXECUTE ON FUNCTION cron.alter_job FROM rds_superuser CASCADE")
    broken = shape(released)
    said = rolls_back(released, rehearse=False)
    assert said["failed"], said
    assert "a right to change the jobs of postgres is missing" in str(said)
    assert shape(released) == broken


def test_an_operator_is_named_what_he_lacks_there_and_recovers(broken: Hosted) -> None:
    """Of one's own server, where a superuser runs the scripts of docs/ and gives the jobs to the owner that they make."""
    done(broken.superuser, "pipeline_owner.sql")
    made = run(broken.superuser, "operator_role.sql")
    assert made.returncode == 0, made
    assert "pg_cron is not in this database" in made.stderr
    dsn, there = broken.of("scout_operator"), {"cron_dsn": THERE["cron_dsn"]}
    said = call("scout_ingestion", dsn, state="paused", **there)
    assert "GRANT postgres" not in str(said)
    with connect(broken.cron) as superuser:
        superuser.execute("REVOKE ALL ON SCHEMA cron FROM PUBLIC")
        superuser.execute("UPDATE cron.job SET username = 'scout_owner'")
        superuser.execute("UPDATE cron.job_run_details SET username = 'scout_owner'")
    found = call("scout_preflight_info", dsn, actions=["pause", "drain", "refresh_gold"], required=False, **there)
    assert {each["what"] for each in found["missing"]} == {
        "USAGE ON SCHEMA cron in database postgres",
        "EXECUTE ON FUNCTION cron.alter_job(bigint,text,text,text,text,boolean) in database postgres",
    }
    refused = call("scout_ingestion", dsn, state="paused", **there)
    assert refused["error"]["next_step"].startswith("in database postgres: GRANT USAGE ON SCHEMA cron TO "), refused
    with connect(broken.cron) as superuser:
        for each in found["missing"]:
            superuser.execute(each["grant"])
    assert call("scout_preflight_info", dsn, actions=["pause", "drain", "refresh_gold"], **there)["missing"] == []
    recovers(dsn, broken, **there)
