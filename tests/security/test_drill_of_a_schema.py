# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: code in a team's schema runs a program on the machine of whoever drills it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox import factory
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox import staging as staging_sandbox
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.embedded import DrillServer
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container, docker
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import RecoveryError
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.progress import Progress
from tests.integration.staging import Staging, prepare

EVENTS = {"events": 200}
#: The text that nobody can look for is put together when it runs.
HIDDEN = """
CREATE FUNCTION scout.innocent() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    BEGIN
        EXECUTE 'CO' || 'PY (SELECT 1) TO PRO' || 'GRAM ' || quote_literal('touch {file}');
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    RETURN NEW;
END $$;
CREATE TRIGGER innocent BEFORE INSERT ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION scout.innocent();
ALTER TABLE scout.bronze_events ALTER COLUMN source_system SET DEFAULT 'x';
"""
MIGHTY = """
SELECT r.rolname FROM pg_roles AS r
WHERE r.rolname !~ '^pg_' AND r.oid <> 10 AND (r.rolsuper OR pg_has_role(r.oid, 'pg_execute_server_program', 'USAGE')
   OR pg_has_role(r.oid, 'pg_read_server_files', 'USAGE') OR pg_has_role(r.oid, 'pg_write_server_files', 'USAGE')
   OR pg_has_role(r.oid, 10, 'MEMBER'))
"""


@pytest.mark.parametrize("owner", ["loader", "mighty_owner"])
def test_nothing_of_a_schema_runs_a_program(scout_db: str, tmp_path: Path, owner: str) -> None:
    """Not even where a superuser owns the pipeline of the team."""
    tmp_path.chmod(0o777)
    for folder in tmp_path.parents:
        if folder.name.startswith("bt-"):
            folder.chmod(0o755)
    file = tmp_path / "ran"
    with psycopg.connect(scout_db, autocommit=True) as attacker:
        attacker.execute("DROP ROLE IF EXISTS mighty_owner")
        attacker.execute("CREATE ROLE mighty_owner SUPERUSER LOGIN")
        attacker.execute(HIDDEN.format(file=file).encode())
        attacker.execute(f"ALTER FUNCTION scout.innocent() OWNER TO {owner}".encode())
    with (
        factory.open_sandbox("embedded", schema_from=scout_db, pipeline=EVENTS, name="test") as sandbox,
        psycopg.connect(sandbox.dsn, autocommit=True) as looks,
    ):
        assert looks.execute("SELECT count(*) > 100 FROM scout.bronze_events").fetchone() == (True,)
        assert looks.execute("SELECT tgname FROM pg_trigger WHERE tgname = 'innocent'").fetchone()
        assert looks.execute(MIGHTY).fetchall() == []
        assert looks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user").fetchone() == (False,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            looks.execute(f"COPY (SELECT 1) TO PROGRAM 'touch {file}'".encode())
        operator = sandbox.operator_dsn("least_privileged")
        with psycopg.connect(operator) as asks:
            assert asks.execute("SELECT rolsuper FROM pg_roles WHERE rolname = session_user").fetchone() == (False,)
    assert not file.exists()


PLANTED = """
INSERT INTO cron.job (schedule, command, nodeport, database, username, active, jobname)
VALUES ('1 second', 'SELECT 42', 5432, current_database(), '{}', true, 'planted')
"""


@pytest.mark.docker
def test_nothing_of_a_schema_leaves_the_container(scout_db: str) -> None:
    """Nor has its scheduler, who is a superuser, do it."""
    if not docker.answers():
        pytest.skip("no Docker server answers")
    before = {name for name, *_ in container.labelled("scout-recovery.drill")}
    with (
        factory.open_sandbox("docker", schema_from=scout_db, pipeline=EVENTS, name="test") as sandbox,
        psycopg.connect(sandbox.dsn, autocommit=True) as looks,
    ):
        assert looks.execute("SELECT count(*) FROM cron.job WHERE active").fetchone() == (0,)
        assert looks.execute(MIGHTY).fetchall() == []
        looks.execute("CREATE FUNCTION scout.evil() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'")
        for statement in (
            "COPY (SELECT 1) TO PROGRAM 'touch /tmp/ran'",
            "SET ROLE postgres",
            "CREATE TRIGGER evil BEFORE INSERT ON cron.job_run_details FOR EACH ROW EXECUTE FUNCTION scout.evil()",
            "GRANT pg_execute_server_program TO CURRENT_USER",
            "ALTER ROLE CURRENT_USER BYPASSRLS",
            PLANTED.format("postgres"),
            "UPDATE cron.job SET username = 'postgres'",
            "SELECT cron.schedule_in_database('evil', '1 second', 'SELECT 42', current_database(), 'postgres')",
            "SELECT cron.alter_job(jobid, username => 'postgres') FROM cron.job LIMIT 1",
        ):
            # The scheduler's own refusals have a code of their own.
            with pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.InternalError_)):
                looks.execute(statement.encode())
        for user in ("postgres", "loader"):
            with pytest.raises(psycopg.OperationalError, match="password"):
                psycopg.connect(make_conninfo(sandbox.dsn, user=user, password=""))
        [name] = {name for name, *_ in container.labelled("scout-recovery.drill")} - before
        found = json.loads(subprocess.check_output(["docker", "inspect", container.PREFIX + name]))[0]["HostConfig"]
        assert (found["NetworkMode"], found["PortBindings"] or {}) == ("none", {})
        assert (found["CapDrop"], found["SecurityOpt"]) == (["ALL"], ["no-new-privileges"])


@pytest.mark.parametrize("more", ["ALTER ROLE {} SUPERUSER", "GRANT pg_write_server_files TO {}"])
def test_on_a_staging_server_no_role_that_may_do_so_clones(scout_db: str, more: str) -> None:
    """Or the team's code would do it."""
    with DrillServer() as server:
        staging = prepare(server, "staging")
        staging.do(more.format("drillmaster"))
        names = staging.names()
        with (
            pytest.raises(
                factory.Unavailable, match=r"refused to clone a schema.*drillmaster may become .*pg_write_server_files"
            ),
            factory.open_sandbox(
                "staging",
                sandbox_dsn=staging.dsn(),
                schema_from=scout_db,
                pipeline=EVENTS,
                name="test",
                hosts=staging.hosts,
            ),
        ):
            pass
        assert staging.names() == names


#: Whoever has TRIGGER on the events of production; these are written by whoever fills the clone, and drives it.
TAKES = """
CREATE FUNCTION public.takes() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[
        'RESET ROLE', 'CREATE ROLE intruder LOGIN CREATEDB CREATEROLE', 'GRANT pg_signal_backend TO stranger',
        'ALTER ROLE stranger CREATEDB', 'ALTER ROLE stranger PASSWORD NULL', 'ALTER ROLE stranger SET work_mem = 64']
    LOOP
        BEGIN
            EXECUTE statement;
        EXCEPTION WHEN OTHERS THEN NULL;
        END;
    END LOOP;
    RETURN NEW;
END $$;
ALTER FUNCTION public.takes() OWNER TO loader;
ALTER FUNCTION public.takes() SET SCHEMA scout;
CREATE TRIGGER takes BEFORE INSERT ON scout.bronze_events FOR EACH ROW EXECUTE FUNCTION scout.takes();
"""


def test_a_drill_on_a_staging_server_leaves_its_roles_as_they_were(scout_db: str) -> None:
    """Who drives a clone may make no role, and no database."""
    with psycopg.connect(scout_db, autocommit=True) as attacker:
        attacker.execute(TAKES.encode())
    with DrillServer() as server:
        staging = prepare(server, "staging")
        staging.do("CREATE ROLE stranger LOGIN PASSWORD 'x'", "GRANT stranger TO drillmaster WITH ADMIN OPTION")
        before = staging.fingerprint()
        with factory.open_sandbox(
            "staging",
            sandbox_dsn=staging.dsn(),
            schema_from=scout_db,
            pipeline=EVENTS,
            name="test",
            hosts=staging.hosts,
        ) as sandbox:
            with psycopg.connect(sandbox.dsn, autocommit=True) as looks:
                assert looks.execute("SELECT tgname FROM pg_trigger WHERE tgname = 'takes'").fetchone(), sandbox.lacks
                assert looks.execute("SELECT count(*) > 100 FROM scout.bronze_events").fetchone() == (True,)
            for operator in ("owner", "least_privileged"):
                with psycopg.connect(sandbox.operator_dsn(operator), autocommit=True) as drives:
                    assert drives.execute(
                        "SELECT rolcreaterole OR rolcreatedb OR rolsuper OR pg_has_role(oid, 'drillmaster', 'MEMBER')"
                        " FROM pg_roles WHERE rolname = session_user"
                    ).fetchone() == (False,)
        assert staging.fingerprint() == before


def drives(staging: Staging, statement: str) -> None:
    """As whoever drives the drill."""
    with psycopg.connect(staging.dsn(), autocommit=True) as session:
        session.execute(statement.encode())


def test_a_drill_that_leaves_other_roles_fails(scout_db: str) -> None:
    """However they came there: whoever drives it made one, or handed one on; what others do meanwhile is theirs."""
    with DrillServer() as server:
        staging = prepare(server, "staging")
        staging.do(
            "CREATE ROLE stranger LOGIN", "GRANT stranger TO drillmaster WITH ADMIN OPTION", "CREATE ROLE victim"
        )
        for done, told in (
            ("CREATE ROLE intruder LOGIN CREATEDB", "role intruder has come"),
            ("ALTER ROLE stranger CREATEDB", "role stranger has changed"),
            ("GRANT pg_signal_backend TO victim", "membership of victim in pg_signal_backend by"),
        ):
            with (
                pytest.raises(RecoveryError, match=f"left other roles on the staging server.*{told}"),
                staging_sandbox.opened(staging.dsn(), "test", staging.hosts, Progress()),
            ):
                drives(staging, done)
        with staging_sandbox.opened(staging.dsn(), "test", staging.hosts, Progress()):
            staging.do("ALTER ROLE postgres SET work_mem = '64MB'")
