# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nobody becomes a superuser by operating a superuser's pipeline: it gets an owner of its own, and then everything works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import psql
from tests import CHECKOUT
from tests.integration.modules import call, connect, one, rows
from tests.security.roles import drop_roles

OWNED = """
SELECT 'schema', nspname::text, pg_get_userbyid(nspowner)::text, nspacl::text FROM pg_namespace WHERE nspname = 'scout'
UNION ALL
SELECT relkind::text, relname::text, pg_get_userbyid(relowner)::text, relacl::text
FROM pg_class WHERE relnamespace = 'scout'::regnamespace
UNION ALL
SELECT 'type', typname::text, pg_get_userbyid(typowner)::text, typacl::text FROM pg_type WHERE typnamespace = 'scout'::regnamespace
UNION ALL
SELECT 'function', oid::regprocedure::text, pg_get_userbyid(proowner)::text, proacl::text
FROM pg_proc WHERE pronamespace = 'scout'::regnamespace
UNION ALL
SELECT 'job', jobname, username, command FROM cron.job
UNION ALL
SELECT 'runs', jobid::text, username, count(*)::text FROM cron.job_run_details GROUP BY jobid, username
ORDER BY 1, 2, 3
"""
MIGHTY = """
SELECT d.rolname::text FROM pg_roles AS d
WHERE (d.rolsuper OR d.rolcreaterole OR d.rolname IN ('pg_execute_server_program', 'pg_write_server_files', 'pg_read_server_files'))
  AND pg_has_role('scout_operator', d.oid, 'MEMBER')
"""


def run(dsn: str, script: str, *options: str) -> subprocess.CompletedProcess[str]:
    """What docs/privileges.md tells a superuser to type."""
    command = [psql(), "-X", "-q", "-d", dsn, *options, "-f", str(CHECKOUT / "docs" / script)]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def done(dsn: str, script: str, *options: str) -> str:
    made = run(dsn, script, *options)
    assert (made.returncode, made.stderr) == (0, "")
    return made.stdout


@pytest.fixture
def owned(deployed_db: str) -> Iterator[str]:
    """The dsn of a pipeline that belongs to superuser postgres."""
    yield deployed_db
    drop_roles(deployed_db, "scout_operator", "scout_owner", "go_between")


@pytest.mark.parametrize(
    "make_owner",
    [
        [],
        ["CREATE ROLE go_between", "GRANT postgres TO go_between"],
        ["CREATE ROLE go_between", "GRANT pg_execute_server_program TO go_between"],
        ["CREATE ROLE go_between CREATEROLE"],
        ["CREATE ROLE go_between", "GRANT pg_write_all_data TO go_between"],
    ],
    ids=["superuser", "member_of_a_superuser", "programs", "createrole", "all_data"],
)
def test_the_script_makes_nobody_a_superuser(owned: str, make_owner: list[str]) -> None:
    with connect(owned) as superuser:
        for statement in make_owner:
            superuser.execute(statement)  # type: ignore[call-overload]
    made = run(owned, "operator_role.sql", *(["-v", "owner=go_between"] if make_owner else []))
    assert made.returncode == 3
    assert "refused: the pipeline belongs to " in made.stderr
    assert "-f docs/pipeline_owner.sql" in made.stderr
    assert not rows(owned, "SELECT FROM pg_roles WHERE rolname = 'scout_operator'")


def test_no_advice_is_to_become_a_superuser(owned: str) -> None:
    """Whatever lacks, the way out is another owner, and preflight says so before all else."""
    with connect(owned) as superuser:
        superuser.execute("CREATE ROLE scout_operator LOGIN")
        superuser.execute("GRANT USAGE ON SCHEMA scout TO scout_operator")
        superuser.execute("GRANT SELECT ON ALL TABLES IN SCHEMA scout TO scout_operator")
        superuser.execute("GRANT pg_read_all_stats TO scout_operator")
    operator = make_conninfo(owned, user="scout_operator")
    said = [
        call("scout_preflight_info", operator, actions=["pause", "refresh_gold", "rollback"]),
        call("scout_preflight_info", operator, actions=["pause", "rollback"], required=False),
        call("scout_ingestion", operator, state="paused"),
        call("scout_health_info", operator),
        call("scout_refresh_gold", operator, force=True),
    ]
    assert said[0]["failed"]
    assert said[0]["msg"].startswith("the pipeline is owned by superuser postgres")
    assert said[0]["error"]["next_step"].startswith("a superuser runs psql -X -d ")
    assert "-f docs/pipeline_owner.sql" in said[0]["error"]["next_step"]
    assert said[1]["missing"][0]["grant"].endswith("-f docs/pipeline_owner.sql")
    for result in said:
        assert 'GRANT "postgres"' not in str(result)
        assert "GRANT postgres" not in str(result)
    as_superuser = call("scout_preflight_info", owned, actions=["pause"])
    assert as_superuser["warnings"][0].startswith("the pipeline is owned by superuser postgres")


def test_the_pipeline_gets_an_owner_of_its_own(owned: str) -> None:
    """A dry run changes nothing, a second run finds nothing, grants stay, and what was done can be undone exactly."""
    before = rows(owned, OWNED)
    planned = done(owned, "pipeline_owner.sql", "-v", "dry_run=on")
    assert "ALTER TABLE scout.bronze_events OWNER TO scout_owner;" in planned
    assert rows(owned, OWNED) == before
    assert not rows(owned, "SELECT FROM pg_roles WHERE rolname = 'scout_owner'")
    undo = done(owned, "pipeline_owner.sql")
    after = rows(owned, OWNED)
    assert {owner for _, _, owner, _ in after} == {"scout_owner"}
    kept = [
        acl.replace("postgres", "scout_owner") if acl else acl
        for kind, _, _, acl in before
        if kind not in ("job", "runs")
    ]
    assert [acl for kind, _, _, acl in after if kind not in ("job", "runs")] == kept
    again = done(owned, "pipeline_owner.sql")
    assert "ALTER" not in again
    assert "GRANT" not in again
    assert rows(owned, OWNED) == after
    done(owned, "operator_role.sql")
    assert rows(owned, MIGHTY) == []
    with psycopg.connect(owned, user="scout_operator", autocommit=True) as operator:
        for attack in (
            "SET ROLE postgres",
            "CREATE ROLE evil SUPERUSER",
            "SET ROLE scout_owner; CREATE ROLE evil SUPERUSER",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                operator.execute(attack)  # type: ignore[call-overload]
    drop = "DROP OWNED BY scout_operator; DROP ROLE scout_operator"
    with connect(owned) as superuser:
        superuser.execute("REASSIGN OWNED BY scout_operator TO CURRENT_USER")
        superuser.execute(drop)
        superuser.execute("DROP SCHEMA scout_ops CASCADE")
    command = [psql(), "-X", "-q", "-d", owned, "-f", "-"]
    undone = subprocess.run(command, input=undo, capture_output=True, text=True)
    assert (undone.returncode, undone.stderr) == (0, "")
    assert [row[:3] for row in rows(owned, OWNED)] == [row[:3] for row in before]


def test_nobody_waits_in_the_place_of_the_new_owner(owned: str) -> None:
    """A role of that name that others are members of would give them the pipeline."""
    with connect(owned) as superuser:
        superuser.execute("CREATE ROLE scout_owner")
        superuser.execute("CREATE ROLE go_between LOGIN IN ROLE scout_owner")
    made = run(owned, "pipeline_owner.sql")
    assert made.returncode == 3
    assert "refused: role scout_owner is there, and others are members of it" in made.stderr
    assert one(owned, "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'scout'") == "postgres"
