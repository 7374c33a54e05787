# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: all that one attacker can plant lies in one database, and the documented operator does a whole night's work in it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.types.json import Jsonb

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.e2e.play import Stage
from tests.integration.modules import Result, call, connect, gone, one, rows
from tests.scout import planted
from tests.security import test_forged_dead_letters as letters
from tests.security import test_functions_of_nobody as functions
from tests.security import test_screens as screens
from tests.security import test_search_path as traps
from tests.security.roles import drop_roles

ATTACKER, OPERATOR = traps.ATTACKER, "scout_operator"

#: An operation may take so many times as long as on a clean database, and so many seconds more.
TIMES, SECONDS = 3, 15.0

NIGHTLY = "2026-11-01 00:00:00+00"
MAY = """
GRANT CREATE ON SCHEMA public TO {attacker};
GRANT CREATE, TEMPORARY ON DATABASE {database} TO {attacker};
GRANT USAGE ON SCHEMA scout TO {attacker};
GRANT INSERT ON scout.bronze_events, scout.bronze_events_dlq TO {attacker};
"""
DEFAULTS = """
ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SEQUENCES TO PUBLIC;
ALTER DEFAULT PRIVILEGES GRANT ALL ON SCHEMAS TO PUBLIC;
ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT ALL ON TABLES TO PUBLIC;
"""
FAKE_LOAD = """
CREATE FUNCTION pg_temp.load_silver_from_bronze(int) RETURNS void LANGUAGE sql AS 'SELECT pg_catalog.pg_sleep(600)';
SET search_path = pg_temp, scout
"""

#: Whatever a role of the server is or may, but for what the operator's own are told to be.
ROLES = """
SELECT rolname::text, rolsuper, rolinherit, rolcreaterole, rolcreatedb, rolcanlogin, rolreplication, rolbypassrls, rolconfig
FROM pg_catalog.pg_roles ORDER BY 1
"""
MEMBERS = "SELECT to_jsonb(m) - 'oid' FROM pg_catalog.pg_auth_members AS m ORDER BY roleid, member, grantor"
TABLES = """
SELECT c.oid::regclass::text, p
FROM pg_catalog.pg_class AS c, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) AS p
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND c.relowner <> %(who)s::regrole
  AND pg_catalog.has_table_privilege(%(who)s, c.oid, p) ORDER BY 1, 2
"""
COLUMNS = """
SELECT attrelid::regclass::text, attname::text FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = attrelid
WHERE attnum > 0 AND NOT attisdropped AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND relowner <> %(who)s::regrole
  AND pg_catalog.has_column_privilege(%(who)s, attrelid, attnum, 'SELECT, INSERT, UPDATE, REFERENCES') ORDER BY 1, 2
"""
FUNCTIONS = """
SELECT p.oid::regprocedure::text, prosecdef FROM pg_catalog.pg_proc AS p WHERE proowner <> %(who)s::regrole
  AND pg_catalog.has_function_privilege(%(who)s, p.oid, 'EXECUTE') ORDER BY 1
"""
SEQUENCES = """
SELECT seqrelid::regclass::text FROM pg_catalog.pg_sequence JOIN pg_catalog.pg_class AS c ON c.oid = seqrelid
WHERE relowner <> %(who)s::regrole AND pg_catalog.has_sequence_privilege(%(who)s, seqrelid, 'USAGE, SELECT, UPDATE') ORDER BY 1
"""
SCHEMAS = """
SELECT nspname::text, p FROM pg_catalog.pg_namespace AS n, unnest(ARRAY['USAGE', 'CREATE']) AS p
WHERE n.nspowner <> %(who)s::regrole AND nspname !~ '^pg_(toast_)?temp_' AND pg_catalog.has_schema_privilege(%(who)s, n.oid, p)
ORDER BY 1, 2
"""
#: Owner and grants of all that is in the schemas that count. What is made again has another oid, and the same name.
ACLS = """
SELECT nspname::text AS name, pg_catalog.pg_get_userbyid(nspowner)::text, nspacl::text
FROM pg_catalog.pg_namespace WHERE nspname = ANY(ARRAY['scout', 'cron', 'public', 'pg_catalog'])
UNION ALL
SELECT c.oid::regclass::text, pg_catalog.pg_get_userbyid(relowner)::text, relacl::text
FROM pg_catalog.pg_class AS c WHERE relnamespace = ANY(ARRAY['scout', 'cron', 'public']::regnamespace[])
UNION ALL
SELECT p.oid::regprocedure::text, pg_catalog.pg_get_userbyid(proowner)::text, proacl::text
FROM pg_catalog.pg_proc AS p WHERE pronamespace = ANY(ARRAY['scout', 'cron', 'public']::regnamespace[])
UNION ALL
SELECT 'default', pg_catalog.pg_get_userbyid(defaclrole)::text, defaclacl::text FROM pg_catalog.pg_default_acl
UNION ALL
SELECT 'database', pg_catalog.pg_get_userbyid(datdba)::text, datacl::text
FROM pg_catalog.pg_database WHERE datname = current_database()
ORDER BY 1, 2, 3
"""
#: To whom, other than its owner, anything of the ledger is granted.
LEDGER = """
SELECT name, a.grantee::regrole::text, a.privilege_type FROM (
    SELECT nspname::text AS name, nspowner AS owner, nspacl AS acl FROM pg_catalog.pg_namespace WHERE nspname = 'scout_ops'
    UNION ALL
    SELECT relname::text, relowner, relacl FROM pg_catalog.pg_class WHERE relnamespace = 'scout_ops'::regnamespace
) AS l CROSS JOIN LATERAL pg_catalog.aclexplode(acl) AS a WHERE a.grantee <> owner
"""
SALES = "SELECT transaction_id, total_amount::text FROM scout.silver_transactions ORDER BY 1, 2"
#: Nothing of ours is left behind that runs with its owner's rights.
OURS = "SELECT oid::regprocedure::text FROM pg_catalog.pg_proc WHERE proname LIKE 'scout_recovery%'"

Night = dict[str, float]


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of a superuser in a database in which the attacker may what he may, and the operator's role is not yet made."""
    drop_roles(scout_db, ATTACKER)
    with connect(scout_db) as superuser:
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(planted.PLANTER)))
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ATTACKER)))
        names = {"attacker": sql.Identifier(ATTACKER), "database": sql.Identifier(superuser.info.dbname)}
        superuser.execute(sql.SQL(MAY).format(**names))
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(screens.NAME)))
    yield scout_db
    drop_roles(scout_db, OPERATOR, ATTACKER, screens.NAME)


@pytest.fixture
def clean(attacked: str, pg_server: Server, scout_template: builder.Template) -> Iterator[str]:
    """The dsn of a superuser in a database of its own, in which nobody has planted anything; gone before the roles are."""
    assert attacked
    name = f"{scout_template.name}_clean"
    dsn = scout_template.clone(name)
    with connect(dsn) as superuser:
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(planted.PLANTER)))
    yield dsn
    pg_server.drop_database(name)


@contextlib.contextmanager
def attack(dsn: str) -> Generator[psycopg.Connection[Any]]:
    """All of it, as long as the block lasts; gives the session that bears the toolkit's name and holds the refresh up."""
    for schema in ("public", OPERATOR):
        traps.plant(dsn, schema)
    with contextlib.ExitStack() as sessions:

        def session(name: str, role: str = ATTACKER) -> psycopg.Connection[Any]:
            return sessions.enter_context(contextlib.closing(connect(dsn, user=role, application_name=name)))

        attacker = session("psql")
        attacker.execute(sql.SQL(DEFAULTS).format(schema=sql.Identifier(OPERATOR)))
        for text in ("a://" * 250_000, "Key (" * 200_000, screens.HOSTILE):
            attacker.execute(screens.EVENT, [Jsonb({"transaction_id": screens.HOSTILE, "note": text, "total": "x"})])
            attacker.execute(screens.LETTER, {"text": text[:100_000], "event": Jsonb({"note": text})})

        attacker.execute("SET check_function_bodies = off")
        deep = f"CREATE FUNCTION pg_temp.deep() RETURNS int LANGUAGE plpgsql AS $_x_$ {functions.nested(2000)} $_x_$"
        attacker.execute(deep.encode())

        fake = session("pg_cron")
        fake.execute(FAKE_LOAD)
        fake.pgconn.send_query(b"SELECT load_silver_from_bronze(1)")

        session(screens.HOSTILE.replace("\r", ""), role=screens.NAME).execute(
            sql.SQL("SELECT {}").format(sql.Literal(screens.HOSTILE))
        )

        impostor = session("scout-recovery/INC-9/drain")
        impostor.execute("SELECT pg_advisory_lock(%s)", [library.REFRESH_LOCK])
        yield impostor


def forge(dsn: str, run_id: str) -> None:
    """A letter of the run, with a sale of its own: somebody told him the run's id."""
    details = {"format": "scout-recovery/1", "kind": "quarantine", "run_id": run_id, "incident": "INC-2"}
    mark = {"event_id": letters.EVENT["event_id"], "processed_at": NIGHTLY}
    image: dict[str, Any] = {"event": letters.EVENT, "transaction": letters.image(dsn), "lines": [], "ledger": mark}
    with connect(dsn, user=ATTACKER) as attacker:
        attacker.execute(letters.FORGE, [Jsonb({"transaction_id": "FORGED"}), Jsonb(details | image)])


def night(dsn: str, stage: Stage, after_quarantine: Callable[[str], None]) -> Night:
    """What an operator does, all of it for real; how many seconds each took."""
    operator, took = builder.operator(dsn, rollback=True), Night()

    @contextlib.contextmanager
    def timed(name: str) -> Generator[None]:
        began = time.monotonic()
        yield
        took[name] = time.monotonic() - began

    def do(module: str, **options: Any) -> Result:
        with timed(module):
            result = call(module, operator, **options)
        assert not result.get("failed"), (module, result["msg"], result.get("error"))
        return result

    do("scout_preflight_info")
    do("scout_health_info")
    do("scout_capture", release="before")
    time.sleep(0.6)
    with timed("emergency_reset"):
        reset = stage.play("emergency_reset", operator, incident="INC-1", stuck_after_seconds=0.5)
    assert reset.rc == 0, reset.text
    assert reset.result["ingestion"] == "running", reset.text
    assert not screens.wrong(reset.text.encode()), reset.text

    moved = do("scout_quarantine", event_ids=[str(row[0]) for row in rows(dsn, letters.LOADED)], incident="INC-2")
    assert moved["moved"]["events"] == 2
    after_quarantine(moved["run_id"])
    assert do("scout_undo", run_id=moved["run_id"], on_conflict="keep_current")["put_back"]["events"] == 2
    do("scout_redrive", of_incident="INC-2")
    do("scout_drain")
    do("scout_refresh_gold", force=True)

    with connect(dsn) as superuser:
        superuser.execute("COMMENT ON TABLE scout.dim_store IS 'newer'")
    assert do("scout_rollback", release="before")["changed"]
    assert one(dsn, "SELECT obj_description('scout.dim_store'::regclass) IS DISTINCT FROM 'newer'")
    return took


def rights(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Whatever anybody is, and the attacker may, in the database and on the server."""
    of = {name: query.replace("%(who)s", f"'{ATTACKER}'") for name, query in HIS.items()}
    return {name: rows(dsn, query) for name, query in of.items()}


HIS = {
    "roles": ROLES,
    "members": MEMBERS,
    "tables": TABLES,
    "columns": COLUMNS,
    "functions": FUNCTIONS,
    "sequences": SEQUENCES,
    "schemas": SCHEMAS,
    "acls": ACLS,
}


def test_he_ends_with_no_right_no_row_and_no_second_more(
    attacked: str, clean: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SCOUT_ALLOW_SUPERUSER")
    usual = night(clean, Stage(tmp_path), lambda _: None)

    with attack(attacked) as impostor:
        builder.operator(attacked, rollback=True)
        before = rights(attacked)
        took = night(attacked, Stage(tmp_path), lambda run_id: forge(attacked, run_id))
        after = rights(attacked)
        assert gone(attacked, impostor.info.backend_pid), "whoever holds the pipeline up is ended, whatever his name"

    for name, were in before.items():
        assert after[name] == were, (name, set(map(str, after[name])) ^ set(map(str, were)))
    assert rows(attacked, LEDGER) == []
    assert rows(attacked, OURS) == []
    for schema in ("public", OPERATOR):
        assert rows(attacked, f"SELECT caller, query FROM {schema}.struck") == []

    assert letters.forged(attacked) == 0
    assert rows(attacked, SALES) == rows(clean, SALES)

    late = {name: (seconds, usual[name]) for name, seconds in took.items() if seconds > TIMES * usual[name] + SECONDS}
    assert not late, late
