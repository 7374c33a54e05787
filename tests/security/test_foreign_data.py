# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: the operator's role has a user mapping for another server. Who may use that server, and make something in Scout's schema, has
foreign tables in wait where an operator reads tables, and calls dblink where one calls the pipeline's code: what is asked there is
asked with the operator's password."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from tests.e2e.play import Stage
from tests.integration.modules import call, connect, one
from tests.integration.oracle import START, arrive
from tests.security.roles import drop_roles

#: The other server is this one, by TCP and with a password. What is asked there counts, also where all is rolled back.
COMPANY = """
CREATE ROLE vault LOGIN PASSWORD 'of-the-company';
CREATE SCHEMA vault AUTHORIZATION vault;
GRANT USAGE ON SCHEMA vault TO PUBLIC;
CREATE EXTENSION postgres_fdw SCHEMA vault;
CREATE EXTENSION dblink SCHEMA vault;
SET ROLE vault;
CREATE SEQUENCE vault.asked;
CREATE VIEW vault.secret AS
SELECT nextval('vault.asked')::text AS n, now() AS last_refresh, now() AS last_heartbeat, 'd1'::text AS device_id, '1'::text AS version;
RESET ROLE;
CREATE SERVER company FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '{port}', dbname '{dbname}');
CREATE USER MAPPING FOR scout_operator SERVER company OPTIONS (user 'vault', password 'of-the-company');
GRANT USAGE ON FOREIGN SERVER company TO PUBLIC;
CREATE ROLE mallory LOGIN;
GRANT CREATE, USAGE ON SCHEMA scout, public TO mallory;
GRANT CREATE ON DATABASE {dbname} TO mallory;
DROP VIEW scout.v_product_linking_stats;
"""
FOREIGN = """
CREATE SCHEMA supabase_migrations;
GRANT USAGE ON SCHEMA supabase_migrations TO PUBLIC;
CREATE FOREIGN TABLE supabase_migrations.schema_migrations (version text) SERVER company OPTIONS (schema_name 'vault', table_name 'secret');
CREATE FOREIGN TABLE scout.v_product_linking_stats (n text, last_refresh timestamptz)
    SERVER company OPTIONS (schema_name 'vault', table_name 'secret');
CREATE FOREIGN TABLE scout.devices (device_id text, last_heartbeat timestamptz)
    SERVER company OPTIONS (schema_name 'vault', table_name 'secret');
CREATE MATERIALIZED VIEW scout.gold_devices AS SELECT device_id, last_heartbeat AS last_refresh FROM scout.devices WITH NO DATA;
GRANT SELECT ON ALL TABLES IN SCHEMA supabase_migrations TO PUBLIC;
GRANT SELECT ON scout.v_product_linking_stats, scout.devices, scout.gold_devices TO PUBLIC;
"""
#: Of a bare `*` in the ETL a better one, which asks by dblink, and as the superuser by whom the server is reached without a password.
DBLINK = """
CREATE TABLE public.tried (who text, said text);
GRANT INSERT ON public.tried TO PUBLIC;
CREATE FUNCTION public.tries(server text, statement text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM vault.dblink_exec(server, statement);
    INSERT INTO public.tried VALUES (current_user, 'done');
EXCEPTION WHEN OTHERS THEN
    INSERT INTO public.tried VALUES (current_user, SQLERRM);
END $$;
CREATE FUNCTION public.times(a numeric, b integer) RETURNS numeric LANGUAGE plpgsql AS $$
BEGIN
    PERFORM public.tries('company', 'DO ''BEGIN PERFORM nextval(''''vault.asked''''); END''');
    PERFORM public.tries('host={host} port={port} dbname={dbname} user=postgres', 'ALTER ROLE mallory SUPERUSER');
    RETURN a OPERATOR(pg_catalog.*) b::numeric;
END $$;
CREATE OPERATOR public.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = public.times);
"""
ASKED = "SELECT is_called FROM vault.asked"


@pytest.fixture
def operator(scout_db: str) -> Iterator[str]:
    """The dsn of scout_operator, who has a user mapping, and a release from before mallory came."""
    dsn = builder.operator(scout_db, rollback=True)
    at = conninfo_to_dict(scout_db)
    captured = call("scout_capture", dsn, release="v1")
    assert not captured.get("failed"), captured
    with connect(scout_db) as superuser:
        superuser.execute(COMPANY.format(**at).encode())
    with connect(scout_db, user="mallory") as mallory:
        mallory.execute(FOREIGN.encode())
        mallory.execute(DBLINK.format(**at).encode())
    yield dsn
    with connect(scout_db) as superuser:
        superuser.execute("DROP EXTENSION postgres_fdw CASCADE")
    drop_roles(scout_db, "scout_operator", "mallory", "vault")


def test_nothing_is_asked_with_the_operators_mapping(
    operator: str, scout_db: str, tmp_path: Path, subtests: Any
) -> None:
    stage = Stage(tmp_path)
    steps: tuple[tuple[str, dict[str, Any]], ...] = (
        ("scout_preflight_info", {"required": False}),
        ("scout_health_info", {}),
        ("scout_gate_info", {"smoke": True}),
        ("scout_evidence", {"folder": str(tmp_path / "kept")}),
        ("scout_proof_info", {}),
        ("scout_capture", {"release": "v2", "migrations_table": ["supabase_migrations.schema_migrations"]}),
        ("scout_capture", {"release": "v3", "migrations_table": [], "protect": ["scout.devices"]}),
        ("scout_rollback", {"release": "v1", "check": True, "rehearse": False}),
        ("scout_rollback", {"release": "v1", "rehearse": False}),
        ("scout_refresh_gold", {}),
    )
    for module, given in steps:
        with subtests.test(f"{module} {given.get('release', '')}"):
            result = call(module, operator, **given)
            assert one(scout_db, ASKED) is False, result
    with subtests.test("emergency_reset"):
        with connect(scout_db, user="mallory") as mallory:
            mallory.execute("DROP MATERIALIZED VIEW scout.gold_devices")
        arrive(scout_db, [generator.transaction(7, 1, sold_at=START)])
        played = stage.play("emergency_reset", operator)
        assert one(scout_db, ASKED) is False, played.text

    with connect(scout_db) as superuser:
        tried = set(superuser.execute("SELECT who, said FROM public.tried").fetchall())
        assert superuser.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'").fetchone() == (False,)
    assert {who for who, _ in tried} == {"loader"}, played.text
    assert {said for _, said in tried if "required" not in said} == {
        'user mapping not found for user "loader", server "company"'
    }
    with psycopg.connect(operator) as session:
        session.execute("SELECT * FROM scout.devices")
    assert one(scout_db, ASKED) is True, "it would have been seen"


def test_preflight_warns_of_such_a_mapping(operator: str) -> None:
    warnings = call("scout_preflight_info", operator, required=False)["warnings"]
    [told] = [each for each in warnings if "mapping" in each]
    assert "scout_operator has a user mapping for server company" in told
    assert "DROP USER MAPPING FOR scout_operator SERVER company" in told


#: Of a wrapper that runs programs as the server's own account: whoever reads such a table has it run, so it is who may make one that
#: counts. A superuser has made the loader one.
PROGRAMS = """
CREATE EXTENSION file_fdw;
CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
CREATE ROLE mallory LOGIN;
GRANT USAGE ON FOREIGN SERVER files TO mallory, loader, scout_operator;
GRANT CREATE, USAGE ON SCHEMA scout TO mallory;
"""
RUNS = "CREATE FOREIGN TABLE scout.{} (line text) SERVER files OPTIONS (program 'touch {}')"


def test_no_program_is_run_for_a_table_that_comes_back(scout_db: str, tmp_path: Path, subtests: Any) -> None:
    # The account of the server may write there.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        Path(folder).chmod(0o777)
        _run_none(scout_db, Path(folder) / "ran", tmp_path / "one.json", subtests)


def _run_none(scout_db: str, ran: Path, file: Path, subtests: Any) -> None:
    operator = builder.operator(scout_db, rollback=True)
    none = call("scout_capture", operator, release="none")
    assert not none.get("failed"), none
    with connect(scout_db) as superuser:
        superuser.execute(PROGRAMS)
        superuser.execute(RUNS.format("feed", ran).encode())
        superuser.execute("ALTER FOREIGN TABLE scout.feed OWNER TO loader")
    try:
        changing = f"ALTER FOREIGN TABLE scout.feed OPTIONS (SET program 'touch {ran} it')"
        for who, statement in (
            *((role, RUNS.format("mine", ran)) for role in ("mallory", "loader", "scout_operator")),
            ("loader", changing),
        ):
            denied = pytest.raises(psycopg.errors.InsufficientPrivilege)
            with subtests.test(f"{who}: {statement[:6]}"), connect(scout_db, user=who) as session, denied:
                session.execute(statement.encode())
        one_of_them = call("scout_capture", operator, release="one", release_file=str(file))
        assert not one_of_them.get("failed"), one_of_them
        with subtests.test("it is not dropped"):
            refused = call("scout_rollback", operator, release="none")
            assert "foreign table scout.feed differs, and foreign tables are not restored" in refused["msg"]
        with connect(scout_db) as superuser:
            superuser.execute("DROP FOREIGN TABLE scout.feed")
        ways: tuple[dict[str, Any], ...] = ({}, {"allow_owners": ["loader"], "allow_lossy": True})
        for who, dsn in (("operator", operator), ("superuser", scout_db)):
            for more in ways:
                with subtests.test(f"{who}: it does not come back, {more}"):
                    refused = call("scout_rollback", dsn, release_file=str(file), **more)
                    assert "foreign table scout.feed differs, and foreign tables are not restored" in refused["msg"]
        assert not ran.exists()
        with connect(scout_db) as superuser:
            superuser.execute(RUNS.format("feed", ran).encode())
            superuser.execute("SELECT * FROM scout.feed")
        assert ran.exists(), "it would have been seen"
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("DROP EXTENSION file_fdw CASCADE")
        drop_roles(scout_db, "scout_operator", "mallory")
