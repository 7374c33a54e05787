# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where nobody has a superuser: the pipeline's owner hands it over to a role of its own, or operates it himself."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import call, connect, fingerprint, jobs, off, one, rows
from tests.scout.hosted import Hosted
from tests.security.test_operator_of_a_superusers_pipeline import OWNED

EVERYTHING = [
    "pause",
    "terminate_sessions",
    "drain",
    "refresh_gold",
    "quarantine",
    "cleanup",
    "redrive",
    "undo",
    "window_recovery",
    "rollback",
    "smoke",
]
RIGHTS = """
SELECT r.rolname::text, m.rolname::text
FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.roleid JOIN pg_roles AS m ON m.oid = a.member
UNION SELECT rolname::text, concat(rolsuper, rolcreaterole, rolcreatedb, rolbypassrls, rolreplication) FROM pg_roles
UNION SELECT nspname::text, nspacl::text FROM pg_namespace WHERE nspname !~ '^pg_(toast_)?temp'
UNION SELECT 'default', concat(defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl) FROM pg_default_acl
"""
RUNS = (
    "SELECT count(*) FROM cron.job_run_details AS d JOIN cron.job AS j ON j.jobid = d.jobid AND j.username = d.username"
)


def run(dsn: str, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What docs/hosted.md tells to type."""
    command = [psql(), "-X", "-q", "-d", dsn, *options, "-f", str(CHECKOUT / "docs" / script)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def done(dsn: str, script: str, *options: str) -> str:
    made = run(dsn, script, *options)
    assert (made.returncode, made.stderr) == (0, "")
    return made.stdout


def refused(dsn: str, script: str, *options: str) -> str:
    made = run(dsn, script, *options)
    assert made.returncode == 3, made
    return " ".join(made.stderr.split())


def operator(hosted: Hosted, *options: str) -> str:
    """The dsn of the operator that both scripts make."""
    done(hosted.owner, "pipeline_owner.sql")
    done(hosted.owner, "operator_role.sql", *options)
    return hosted.of("scout_operator")


@pytest.fixture
def broken(hosted: Hosted) -> Hosted:
    """With poison, a backlog and gold that is behind."""
    library.backlog(hosted.superuser, 50)
    for kind in ("non_numeric_amount", "bad_ts", "items_null"):
        library.poison_event(hosted.superuser, kind)
    library.gold_stale(hosted.superuser)
    return hosted


def recovers(dsn: str, scout: Hosted, **options: Any) -> None:
    """What an emergency reset does, module by module, and the pipeline works afterwards."""
    assert call("scout_ingestion", dsn, state="paused", **options)["changed"]
    drained = call("scout_drain", dsn, **options)
    assert not drained.get("failed"), drained
    assert len(drained["poison"]) == 3
    refreshed = call("scout_refresh_gold", dsn, force=True, **options)
    assert not refreshed.get("failed"), refreshed
    assert call("scout_ingestion", dsn, state="running", **options)["changed"]
    proof = call("scout_proof_info", dsn, timeout_seconds=60, **options)
    assert proof["proven"], proof
    assert not off(scout.cron)


# The owner operates by himself


@pytest.mark.parametrize("hosted", ["supabase", "neon"], indirect=True)
def test_the_owner_operates_once_he_says_so(broken: Hosted) -> None:
    looked = call("scout_health_info", broken.owner)
    assert looked["verdict"] == "failing", looked
    before = fingerprint(broken.superuser)
    for name, options in (
        ("scout_ingestion", {"state": "paused"}),
        ("scout_drain", {}),
        ("scout_refresh_gold", {}),
        ("scout_proof_info", {}),
    ):
        said = call(name, broken.owner, **options)
        assert said["failed"], name
        assert said["msg"].startswith("refused to operate as the pipeline's owner, role "), said["msg"]
        assert "-f docs/pipeline_owner.sql" in said["error"]["next_step"]
        assert said["error"]["next_step"].endswith("add -e scout_allow_owner=true to do it all the same")
        assert said.get("ingestion", {"state": "running"})["state"] == "running"
    asked = call("scout_preflight_info", broken.owner, actions=EVERYTHING)
    assert asked["msg"].startswith("refused to operate as the pipeline's owner, role ")
    assert fingerprint(broken.superuser) == before
    found = call("scout_preflight_info", broken.owner, actions=EVERYTHING, allow_owner=True)
    assert found["missing"] == []
    assert found["warnings"][0].startswith("works as the pipeline's owner, role ")
    assert not any("ALTER ROLE" in text for text in found["warnings"]), "nobody could take that back there"
    recovers(broken.owner, broken, allow_owner=True)


@pytest.mark.parametrize(("said", "works"), [("1", True), ("0", False), ("maybe", False)])
def test_the_environment_may_say_so(hosted: Hosted, monkeypatch: pytest.MonkeyPatch, said: str, works: bool) -> None:
    monkeypatch.setenv("SCOUT_ALLOW_OWNER", said)
    assert call("scout_ingestion", hosted.owner, state="paused").get("failed", False) is not works


def test_his_word_is_nobody_elses(hosted: Hosted) -> None:
    """Who is not the owner gains nothing by it, and is told who has to act."""
    with connect(hosted.superuser) as superuser:
        superuser.execute("CREATE ROLE somebody LOGIN; GRANT USAGE ON SCHEMA scout TO somebody")
        superuser.execute(
            "GRANT SELECT ON ALL TABLES IN SCHEMA scout TO somebody; GRANT USAGE ON SCHEMA cron TO somebody"
        )
    said = call("scout_preflight_info", hosted.of("somebody"), actions=["pause"], allow_owner=True)
    assert said["msg"].startswith("the pipeline is owned by role postgres, who may make roles")
    assert "GRANT postgres" not in str(said)
    assert 'GRANT "postgres"' not in str(said)


# An owner of its own


def test_the_pipeline_is_handed_over_and_that_is_undone(broken: Hosted) -> None:
    """A dry run changes nothing, a second run finds nothing, and all of it is undone, jobs with their runs."""
    before, rights, runs = (
        rows(broken.superuser, OWNED),
        set(rows(broken.superuser, RIGHTS)),
        one(broken.superuser, RUNS),
    )
    work = [job[1:] for job in jobs(broken.superuser)]
    planned = done(broken.owner, "pipeline_owner.sql", "-v", "dry_run=on")
    assert "ALTER TABLE scout.bronze_events OWNER TO scout_owner;" in planned
    assert "-- job 1, bronze-to-silver-etl, is recreated by scout_owner" in planned
    assert (rows(broken.superuser, OWNED), set(rows(broken.superuser, RIGHTS))) == (before, rights)
    undo = done(broken.owner, "pipeline_owner.sql")
    after = rows(broken.superuser, OWNED)
    assert {owner for kind, _, owner, _ in after if kind not in ("job", "runs")} == {"scout_owner"}
    assert [job[1:] for job in jobs(broken.superuser)] == [(*job[:4], "scout_owner") for job in work]
    assert one(broken.superuser, RUNS) == runs
    again = done(broken.owner, "pipeline_owner.sql")
    assert "ALTER" not in again
    assert "GRANT" not in again
    assert rows(broken.superuser, OWNED) == after
    undone(broken, undo)
    with connect(broken.owner) as owner:
        owner.execute("DROP OWNED BY scout_owner; DROP ROLE scout_owner")
    assert [row[:3] for row in rows(broken.superuser, OWNED) if row[0] != "runs"] == [
        row[:3] for row in before if row[0] != "runs"
    ]
    assert [job[1:] for job in jobs(broken.superuser)] == work
    assert one(broken.superuser, RUNS) == runs
    # A REVOKE leaves the default privileges written out.
    written = ("scout", "supabase_migrations")
    assert {row for row in rows(broken.superuser, RIGHTS) if row[0] not in written} == {
        row for row in rights if row[0] not in written
    }


def undone(hosted: Hosted, undo: str) -> None:
    """Runs what the script printed."""
    made = subprocess.run(
        [psql(), "-X", "-q", "-d", hosted.owner, "-f", "-"], input=undo, capture_output=True, text=True
    )
    assert (made.returncode, made.stderr) == (0, "")


def test_jobs_are_not_recreated_during_a_pause(hosted: Hosted) -> None:
    """The pause knows them by their numbers, whoever owns the ledger."""
    before = [job[1:5] for job in jobs(hosted.superuser)]
    assert call("scout_ingestion", hosted.owner, state="paused", allow_owner=True, incident="INC-9")["changed"]
    owned = rows(hosted.superuser, OWNED)
    paused_by = one(hosted.superuser, "SELECT actor FROM scout_ops.pauses")
    said = refused(hosted.owner, "pipeline_owner.sql")
    assert f"{paused_by} paused ingestion" in said
    assert "for incident INC-9" in said
    assert "ansible-playbook scout.recovery.resume_ingestion" in said
    assert paused_by in done(hosted.owner, "pipeline_owner.sql", "-v", "dry_run=on")
    assert rows(hosted.superuser, OWNED) == owned
    assert call("scout_ingestion", hosted.owner, state="running", allow_owner=True)["changed"]
    dsn = operator(hosted)
    assert [job[1:5] for job in jobs(hosted.superuser)] == before
    # The ledger is the operator's by now, and what a migration made is handed over.
    with connect(hosted.owner) as migration:
        migration.execute("CREATE TABLE scout.loyalty (id int)")
    assert call("scout_ingestion", dsn, state="paused")["changed"]
    done(hosted.owner, "pipeline_owner.sql")
    with connect(hosted.owner) as migration:
        migration.execute("SELECT cron.schedule('loyalty', '0 3 * * *', 'DELETE FROM scout.loyalty')")
    rights = set(rows(hosted.superuser, RIGHTS))
    assert f"{paused_by} paused ingestion" in refused(hosted.owner, "pipeline_owner.sql")
    assert set(rows(hosted.superuser, RIGHTS)) == rights
    assert call("scout_ingestion", dsn, state="running")["changed"]
    done(hosted.owner, "pipeline_owner.sql")
    assert set(rows(hosted.superuser, RIGHTS)) == rights
    assert {job[5] for job in jobs(hosted.superuser)} == {"scout_owner"}


def test_a_resume_finds_jobs_that_got_another_owner_during_the_pause(hosted: Hosted) -> None:
    undo = done(hosted.owner, "pipeline_owner.sql")
    assert call("scout_ingestion", hosted.owner, state="paused", allow_owner=True)["changed"]
    undone(hosted, undo)
    assert {job[5] for job in jobs(hosted.superuser)} == {"postgres"}
    assert off(hosted.superuser)
    assert call("scout_ingestion", hosted.owner, state="running", allow_owner=True)["state"] == "running"
    assert not off(hosted.superuser)


def test_an_undo_leaves_each_job_as_it_is_by_then(hosted: Hosted) -> None:
    """Also one that was created since."""
    turn = "SELECT cron.alter_job(jobid, active => %s) FROM cron.job WHERE jobname = %s"
    with connect(hosted.owner) as owner:
        owner.execute(turn, (False, "product-linking"))
    undo = done(hosted.owner, "pipeline_owner.sql")
    with connect(hosted.of("scout_owner")) as owner:
        owner.execute(turn, (True, "product-linking"))
        owner.execute(turn, (False, "smart-gold-refresh"))
        owner.execute("SELECT cron.schedule('later', '0 3 * * *', 'SELECT scout.maybe_refresh_gold()')")
    before = [job[1:5] for job in jobs(hosted.superuser)]
    undone(hosted, undo)
    assert [job[1:5] for job in jobs(hosted.superuser)] == before
    assert {job[5] for job in jobs(hosted.superuser)} == {"postgres"}


def test_the_documented_command_never_overwrites_an_undo_file(hosted: Hosted, tmp_path: Path) -> None:
    """Not where it is refused the second time, nor where it hands over more."""
    text = (CHECKOUT / "docs" / "hosted.md").read_text(encoding="utf-8")
    [command] = [line for line in text.splitlines() if line.startswith("psql ") and "pipeline_owner.sql >" in line]
    kept: dict[Path, str] = {}
    for _ in range(3):
        environment = {"PATH": f"{Path(psql()).parent}:/usr/bin:/bin", "OWNER_DSN": hosted.owner}
        typed = command.replace("docs/", f"{CHECKOUT}/docs/")
        subprocess.run(["bash", "-c", typed], cwd=tmp_path, env=environment, check=True)
        assert {path: path.read_text() for path in kept} == kept
        kept = {path: path.read_text() for path in tmp_path.iterdir()}
        time.sleep(1.1)
    assert len(kept) == 3


def test_the_operator_lacks_nothing_and_recovers(broken: Hosted) -> None:
    dsn = operator(broken, "-v", "rollback=on")
    found = call("scout_preflight_info", dsn, actions=EVERYTHING, ledger="required", job_rights=True)
    assert found["missing"] == []
    before = rows(broken.superuser, RIGHTS)
    done(broken.owner, "operator_role.sql", "-v", "rollback=on")
    assert rows(broken.superuser, RIGHTS) == before
    recovers(dsn, broken)
    # The ledger is his by now, and the script runs again.
    done(broken.owner, "operator_role.sql", "-v", "rollback=on")
    assert call("scout_preflight_info", dsn, actions=EVERYTHING, ledger="required")["missing"] == []


def test_nobody_gains_a_right(hosted: Hosted) -> None:
    dsn = operator(hosted, "-v", "rollback=on")
    for role in ("scout_operator", "scout_owner"):
        with psycopg.connect(hosted.of(role), autocommit=True) as session:
            for attack in (
                "SET ROLE postgres",
                "SET ROLE supabase_admin",
                "SET ROLE service_role",
                "CREATE ROLE evil",
                "GRANT pg_monitor TO scout_owner",
                "GRANT postgres TO scout_operator",
                "GRANT pg_execute_server_program TO scout_operator",
                "ALTER ROLE scout_operator CREATEROLE",
                "SELECT FROM auth.users",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    session.execute(attack)  # type: ignore[call-overload]
    with psycopg.connect(dsn, autocommit=True) as session:
        session.execute("SET ROLE scout_owner")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            session.execute("CREATE ROLE evil")


def test_migrations_go_on_and_a_second_run_hands_over_what_they_made(hosted: Hosted) -> None:
    operator(hosted)
    with connect(hosted.owner) as migration:
        migration.execute("ALTER TABLE scout.silver_transactions ADD COLUMN loyalty text")
        migration.execute("CREATE TABLE scout.loyalty (id bigint GENERATED ALWAYS AS IDENTITY, name text)")
        migration.execute("CREATE FUNCTION scout.loyal() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        migration.execute("SELECT cron.schedule('loyalty', '0 3 * * *', 'SELECT scout.loyal()')")
    owned = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 'scout.loyalty'::regclass"
    assert one(hosted.superuser, owned) == "postgres"
    undo = done(hosted.owner, "pipeline_owner.sql")
    assert one(hosted.superuser, owned) == "scout_owner"
    assert "ALTER TABLE scout.loyalty OWNER TO postgres;" in undo
    assert undo.count("OWNER TO") == 2
    assert {job[5] for job in jobs(hosted.superuser)} == {"scout_owner"}


# Who deploys

MAKES = (
    "CREATE TABLE scout.promotions (id int); CREATE FUNCTION scout.promoted() RETURNS int LANGUAGE sql AS 'SELECT 1'"
)
MADE_BY = "SELECT pg_get_userbyid(relowner)::text FROM pg_class WHERE oid = 'scout.promotions'::regclass"
HISTORY = "INSERT INTO supabase_migrations.schema_migrations (version) VALUES ('20260101000000')"


def test_a_role_that_only_deploys_works_as_the_owner_once_told(hosted: Hosted) -> None:
    """The script prints the statement, the capture refuses until it has run, and a rollback can drop what the role creates."""
    with connect(hosted.owner) as owner:
        owner.execute("CREATE ROLE deployer LOGIN; CREATE ROLE reader LOGIN; GRANT USAGE ON SCHEMA scout TO reader")
        owner.execute("GRANT CREATE ON SCHEMA scout TO deployer")
    made = run(hosted.owner, "pipeline_owner.sql")
    assert made.returncode == 0
    [statement] = [line for line in made.stderr.splitlines() if "deployer" in line]
    assert "reader" not in made.stderr
    done(hosted.owner, "operator_role.sql", "-v", "rollback=on")
    dsn = hosted.of("scout_operator")
    assert not call("scout_capture", dsn, release="older").get("failed")
    before = fingerprint(hosted.superuser)
    for named in ("deployer", "*"):
        said = call("scout_capture", dsn, release="good", deployed_by=named)
        assert said["error"]["kind"] == "missing_privilege", said
        assert statement.rstrip(";") in said["error"]["next_step"].replace('"', "")
    assert fingerprint(hosted.superuser) == before
    with connect(hosted.owner) as owner:
        owner.execute(statement)  # type: ignore[call-overload]
    captured = call("scout_capture", dsn, release="good", deployed_by="deployer")
    assert not captured.get("failed"), captured
    with connect(hosted.of("deployer")) as deployer:
        deployer.execute(MAKES)
        deployer.execute(HISTORY)
    assert one(hosted.superuser, MADE_BY) == "scout_owner"
    back = call("scout_rollback", dsn, release="good", rehearse=False)
    assert not back.get("failed"), back
    assert "deployer" not in run(hosted.owner, "pipeline_owner.sql").stderr


def test_the_services_own_role_begins_its_migration_as_the_owner(hosted: Hosted) -> None:
    """Its other work needs its own rights, so nothing is set for it."""
    dsn = operator(hosted, "-v", "rollback=on")
    said = call("scout_capture", dsn, release="good", deployed_by="postgres", check=True)
    assert said["failed"]
    assert 'SET ROLE "scout_owner"' in said["error"]["next_step"]
    assert "ALTER ROLE" not in said["error"]["next_step"]
    assert not call("scout_capture", dsn, release="good", deployed_by="scout_owner").get("failed")
    with connect(hosted.owner) as postgres:
        postgres.execute("SET ROLE scout_owner")
        postgres.execute(MAKES)
        postgres.execute(HISTORY)
    assert not call("scout_rollback", dsn, release="good", rehearse=False).get("failed")


def test_a_role_that_does_not_exist_deploys_nothing(hosted: Hosted) -> None:
    said = call("scout_capture", operator(hosted, "-v", "rollback=on"), release="good", deployed_by="nobody")
    assert (said["error"]["kind"], "'nobody'" in said["msg"]) == ("bad_input", True)


def test_a_job_of_another_such_role_is_left_or_refused(hosted: Hosted) -> None:
    with connect(hosted.superuser) as superuser:
        superuser.execute(
            "GRANT USAGE ON SCHEMA cron TO supabase_auth_admin; GRANT CREATE ON SCHEMA scout TO supabase_auth_admin;"
            # Who owns a table of the pipeline has his part in it.
            "ALTER TABLE scout.silver_line_items OWNER TO supabase_auth_admin"
        )
        superuser.execute("SET ROLE supabase_auth_admin; CREATE TABLE scout.theirs (id int)")
        superuser.execute("SELECT cron.schedule('theirs', '0 3 * * *', 'SELECT FROM scout.theirs')")
    said = refused(hosted.owner, "pipeline_owner.sql")
    assert "TABLE scout.theirs belongs to supabase_auth_admin" in said
    assert "job 8 belongs to supabase_auth_admin" in said
    done(hosted.owner, "pipeline_owner.sql", "-v", "leave=on")
    assert {job[1]: job[5] for job in jobs(hosted.superuser)}["theirs"] == "supabase_auth_admin"
    assert {job[5] for job in jobs(hosted.superuser)} == {"scout_owner", "supabase_auth_admin"}


def test_what_the_new_owner_makes_is_granted_as_before(hosted: Hosted) -> None:
    operator(hosted)
    granted = """
    SELECT bool_and(has_table_privilege(role, 'scout.made', 'SELECT, INSERT')),
           bool_and(has_function_privilege(role, 'scout.made()', 'EXECUTE'))
    FROM unnest(ARRAY['anon', 'authenticated', 'service_role']) AS role
    """
    with connect(hosted.of("scout_owner")) as owner:
        owner.execute(
            "CREATE TABLE scout.made (id int); CREATE FUNCTION scout.made() RETURNS int LANGUAGE sql AS 'SELECT 1'"
        )
    assert rows(hosted.superuser, granted) == [(True, True)]


READS_AUTH = {
    "view": (
        "CREATE VIEW scout.v_people AS SELECT id FROM auth.users",
        "VIEW scout.v_people reads auth.users, on which postgres may grant nothing",
    ),
    "definer": (
        "CREATE FUNCTION scout.people() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM auth.users'",
        "ROUTINE scout.people() speaks of auth, on which postgres may grant nothing",
    ),
    "after a string": (
        (
            "CREATE FUNCTION scout.people() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS "
            "$$ SELECT count(*) + count('-- ' || E'\\'/*') FROM auth.users $$"
        ),
        "ROUTINE scout.people() speaks of auth, on which postgres may grant nothing",
    ),
    "parsed": (
        "CREATE FUNCTION scout.people() RETURNS bigint LANGUAGE sql SECURITY DEFINER BEGIN ATOMIC SELECT count(*) FROM auth.users; END",
        "ROUTINE scout.people() speaks of auth, on which postgres may grant nothing",
    ),
    "in a job": (
        (
            "CREATE FUNCTION scout.people() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM auth.users';"
            " SELECT cron.schedule('people', '0 3 * * *', 'SELECT scout.people()')"
        ),
        "ROUTINE scout.people() speaks of auth, on which postgres may grant nothing",
    ),
}


@pytest.mark.parametrize(("made", "why"), READS_AUTH.values(), ids=READS_AUTH)
def test_what_cannot_be_handed_over_is_refused_by_name(hosted: Hosted, made: str, why: str) -> None:
    with connect(hosted.owner) as owner:
        owner.execute(made)  # type: ignore[call-overload]
    before = rows(hosted.superuser, OWNED)
    said = refused(hosted.owner, "pipeline_owner.sql")
    assert f"refused: this cannot be handed over: {why}. Leave it to who owns it with -v leave=on" in said
    assert rows(hosted.superuser, OWNED) == before
    assert f"-- It would be refused: {why}" in done(hosted.owner, "pipeline_owner.sql", "-v", "dry_run=on")
    done(hosted.owner, "pipeline_owner.sql", "-v", "leave=on")
    left = [row[1] for row in rows(hosted.superuser, OWNED) if row[2] == "postgres"]
    assert {name.removeprefix("scout.").removesuffix("()") for name in left} <= {"v_people", "people", "_v_people"}


@pytest.mark.parametrize(
    "made",
    [
        "CREATE FUNCTION scout.mine() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$ -- was: FROM auth.users\nSELECT 1 $$",
        "CREATE FUNCTION scout.mine() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS $$/* it's /* FROM auth.users */ auth.x */SELECT 1$$",
        "CREATE FUNCTION scout.mine() RETURNS bigint LANGUAGE sql AS 'SELECT count(*) FROM auth.users'",
        "ALTER TABLE scout.alerts ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON scout.alerts TO anon USING (current_user = 'anon')",
    ],
    ids=["comment", "nested comment", "as who calls it", "policy"],
)
def test_what_only_looks_so_is_handed_over(hosted: Hosted, made: str) -> None:
    with connect(hosted.owner) as owner:
        owner.execute(made)  # type: ignore[call-overload]
    done(hosted.owner, "pipeline_owner.sql")


def test_who_may_make_no_roles_is_told_the_other_way(hosted: Hosted) -> None:
    with connect(hosted.superuser) as superuser:
        superuser.execute("CREATE ROLE somebody LOGIN; GRANT postgres TO somebody")
    for script in ("pipeline_owner.sql", "operator_role.sql"):
        said = refused(hosted.of("somebody"), script)
        assert "-e scout_allow_owner=true" in said, said
    assert "Dry run" in done(hosted.of("somebody"), "pipeline_owner.sql", "-v", "dry_run=on")


@pytest.mark.parametrize("hosted", ["neon"], indirect=True)
def test_where_nothing_of_cron_can_be_granted_the_owner_operates(hosted: Hosted) -> None:
    before = rows(hosted.superuser, OWNED), rows(hosted.superuser, RIGHTS)
    said = refused(hosted.owner, "pipeline_owner.sql")
    assert "role neondb_owner may grant nothing on schema cron, as on Neon" in said
    assert "-e scout_allow_owner=true" in said
    assert (rows(hosted.superuser, OWNED), rows(hosted.superuser, RIGHTS)) == before


def test_a_superuser_leaves_the_migrating_owner_his_rights(hosted: Hosted) -> None:
    """Self-hosted there is one, who hands over what belongs to a role that makes roles: its next migration works."""
    done(hosted.superuser, "pipeline_owner.sql")
    assert [job[5] for job in jobs(hosted.superuser)] == ["scout_owner"] * 7
    assert [job[0] for job in jobs(hosted.superuser)] == list(range(1, 8)), "a superuser gives a job another owner"
    with connect(hosted.owner) as migration:
        migration.execute("ALTER TABLE scout.silver_transactions ADD COLUMN loyalty text")
    assert one(hosted.superuser, "SELECT has_schema_privilege('scout_owner', 'extensions', 'USAGE')")


def test_only_an_owners_jobs_and_settings_are_taken(hosted: Hosted) -> None:
    """A job whose text names the schema makes its role no owner, and nothing of what it is set to is executed."""
    with connect(hosted.superuser) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN BYPASSRLS; GRANT USAGE ON SCHEMA cron TO mallory")
        superuser.execute("ALTER ROLE mallory SET search_path = 'x; ALTER ROLE mallory SUPERUSER'")
        superuser.execute(
            "ALTER ROLE postgres SET search_path = 'x\"; ALTER ROLE mallory SUPERUSER; --', public, extensions"
        )
    with connect(hosted.of("mallory")) as mallory:
        mallory.execute("SELECT cron.schedule('mine', '* * * * *', 'SELECT scout.x()')")
    done(hosted.superuser, "pipeline_owner.sql")
    assert rows(hosted.superuser, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") == [(False,)]
    assert one(hosted.superuser, "SELECT username FROM cron.job WHERE jobname = 'mine'") == "mallory"
    copied = "SELECT setconfig FROM pg_db_role_setting WHERE setrole = %s::regrole"
    assert one(hosted.superuser, copied, "scout_owner") == one(hosted.superuser, copied, "postgres")


# What is printed


def test_no_printed_command_makes_the_operator_a_mighty_role(hosted: Hosted) -> None:
    """Not for a ledger that the owner began before, nor for a publication of his: on PostgreSQL 15 such a GRANT would succeed."""
    assert call("scout_ingestion", hosted.owner, state="paused", allow_owner=True, ledger="required")["changed"]
    assert call("scout_ingestion", hosted.owner, state="running", allow_owner=True, ledger="required")["changed"]
    done(hosted.owner, "pipeline_owner.sql")
    with connect(hosted.owner) as owner:
        owner.execute("CREATE ROLE early LOGIN; GRANT scout_owner TO early")
        owner.execute(
            "GRANT USAGE ON SCHEMA scout_ops TO early; GRANT SELECT ON ALL TABLES IN SCHEMA scout_ops TO early"
        )
    early = call("scout_ingestion", hosted.of("early"), state="paused", ledger="required")
    assert early["msg"].startswith("refused to use the ledger scout_ops")
    assert "-f docs/operator_role.sql" in early["error"]["next_step"]
    with connect(hosted.superuser) as superuser:
        superuser.execute("DROP OWNED BY early")
    done(hosted.owner, "operator_role.sql", "-v", "rollback=on")
    dsn = hosted.of("scout_operator")
    with connect(hosted.owner) as migration:
        migration.execute("ALTER PUBLICATION supabase_realtime ADD TABLE scout.alerts")
    captured = call("scout_capture", dsn, release="good")
    assert not captured.get("failed"), captured["msg"]
    with connect(hosted.owner) as migration:
        migration.execute("ALTER PUBLICATION supabase_realtime DROP TABLE scout.alerts")
    said = call("scout_rollback", dsn, check=True, release="good")
    assert "`ALTER PUBLICATION" in str(said)
    for result in (early, said):
        assert "GRANT postgres" not in str(result)
        assert 'GRANT "postgres"' not in str(result)
    [step] = [each["next_step"] for each in said["obstacles"]]
    command = step.partition("as postgres: `")[2].partition("`")[0]
    with connect(hosted.owner) as owner:
        owner.execute(command)  # type: ignore[call-overload]
    assert not call("scout_rollback", dsn, check=True, release="good").get("failed")


# Default privileges that a service has revoked


def test_a_rollback_exposes_nothing_that_is_made_later(hosted: Hosted) -> None:
    """A capture knows default grants to the API, which new projects do not have any more."""
    dsn = operator(hosted, "-v", "rollback=on")
    assert not call("scout_capture", dsn, release="good").get("failed")
    with connect(hosted.of("scout_owner")) as owner:
        for kind in ("TABLES", "SEQUENCES", "FUNCTIONS"):
            revoked = (
                f"ALTER DEFAULT PRIVILEGES IN SCHEMA scout REVOKE ALL ON {kind} FROM anon, authenticated, service_role"
            )
            owner.execute(revoked)  # type: ignore[call-overload]
        owner.execute("ALTER TABLE scout.alerts ADD COLUMN loyalty text")
    exposed = "SELECT has_table_privilege('anon', 'scout.later', 'SELECT')"
    looked = call("scout_rollback", dsn, check=True, release="good")
    assert "default_grants=restore" in looked["warnings"][0]
    done_ = call("scout_rollback", dsn, release="good", rehearse=False)
    assert not done_.get("failed"), done_["msg"]
    with connect(hosted.of("scout_owner")) as owner:
        owner.execute("CREATE TABLE scout.later (id int)")
    assert not one(hosted.superuser, exposed)
    with connect(hosted.of("scout_owner")) as owner:
        owner.execute("DROP TABLE scout.later")
    assert not call("scout_rollback", dsn, release="good")["changed"], "a second run changes nothing"
    asked = call("scout_rollback", dsn, release="good", default_grants="restore", rehearse=False)
    assert asked["changed"], asked
    undone = call("scout_undo", dsn, run_id=asked["run_id"], rehearse=False)
    assert undone["changed"], undone
    with connect(hosted.of("scout_owner")) as owner:
        owner.execute("CREATE TABLE scout.later (id int)")
    assert not one(hosted.superuser, exposed), "an undo restores what was there"
