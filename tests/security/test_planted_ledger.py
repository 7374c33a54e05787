# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: schema scout_ops is made, or prepared, by somebody else before the operator uses it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.recovery.plugins.module_utils.recovery.ledger.trust import ownership
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Settings, open_session
from tests.integration.modules import Result, call, connect, one, operator, rows

#: What becomes a superuser where an operator who is one writes, or only reads.
PLANT = """
CREATE SCHEMA scout_ops;
CREATE TABLE scout_ops.leases (name text);
CREATE FUNCTION scout_ops.evil() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN NEW; END $$;
CREATE TRIGGER evil BEFORE INSERT ON scout_ops.leases FOR EACH ROW EXECUTE FUNCTION scout_ops.evil();
CREATE FUNCTION scout_ops.sly() RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; RETURN 'INC-1'; END $$;
CREATE VIEW scout_ops.runs AS SELECT scout_ops.sly() AS run_id, '{}'::jsonb AS effects;
GRANT ALL ON SCHEMA scout_ops TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA scout_ops TO PUBLIC;
"""


@pytest.fixture
def mallory(scout_db: str) -> Iterator[str]:
    """The dsn of a role that may create schemas in the database."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE mallory LOGIN")
        name = sql.Identifier(str(conninfo_to_dict(scout_db)["dbname"]))
        superuser.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO mallory").format(name))
    try:
        yield make_conninfo(scout_db, user="mallory")
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("DROP OWNED BY mallory CASCADE; DROP ROLE mallory")


def refused(result: Result) -> Result:
    """The refusal."""
    assert result.get("failed"), result
    assert result["error"]["kind"] == "foreign_ledger", result
    return result["error"]


@pytest.mark.parametrize("who", ["superuser", "operator"])
def test_a_planted_ledger_is_neither_written_nor_read(scout_db: str, mallory: str, who: str) -> None:
    with connect(mallory) as session:
        session.execute(PLANT)
    with operator(scout_db) if who == "operator" else contextlib.nullcontext(scout_db) as dsn:
        error = refused(call("scout_lease", dsn))
        assert "SCHEMA scout_ops belongs to mallory" in error["said"]
        assert "ALTER SCHEMA scout_ops RENAME" in error["next_step"]
        assert "-e scout_ledger=off" in error["next_step"]
        refused(call("scout_ingestion", dsn, state="paused"))
        refused(call("scout_undo", dsn, run_id="00000000-0000-4000-8000-000000000001"))
        refused(call("scout_runs_info", dsn))
        assessed = call("scout_health_info", dsn)
        assert any("belongs to mallory" in warning for warning in assessed["warnings"]), assessed["warnings"]
        looked = call("scout_preflight_info", dsn)
        assert any("belongs to mallory" in warning for warning in looked["warnings"]), looked["warnings"]
        paused = call("scout_ingestion", dsn, state="paused", ledger="off")
        assert paused["changed"], "an attacker keeps nobody from pausing"
    assert one(scout_db, "SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'") is False


@pytest.mark.parametrize(
    ("planted", "said", "fix"),
    [
        (
            ("CREATE FUNCTION public.evil() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;"
            "CREATE TRIGGER evil BEFORE INSERT ON scout_ops.runs FOR EACH ROW EXECUTE FUNCTION public.evil()"),
            "TABLE scout_ops.runs has trigger evil of",
            "DROP TRIGGER evil ON scout_ops.runs",
        ),
        (
            "CREATE RULE evil AS ON UPDATE TO scout_ops.leases DO ALSO SELECT 1",
            "TABLE scout_ops.leases has rule evil of",
            "DROP RULE evil ON scout_ops.leases",
        ),
        (
            "ALTER TABLE scout_ops.images ENABLE ROW LEVEL SECURITY; CREATE POLICY evil ON scout_ops.images USING (true)",
            "TABLE scout_ops.images has policy evil of",
            "DROP POLICY evil ON scout_ops.images",
        ),
        (
            ("CREATE FUNCTION public.evil() RETURNS text LANGUAGE sql AS $$ SELECT '' $$;"
            "ALTER TABLE scout_ops.runs ALTER COLUMN actor SET DEFAULT public.evil()"),
            "TABLE scout_ops.runs has use of function public.evil()",
            "ALTER SCHEMA scout_ops RENAME TO scout_ops_not_ours",
        ),
        (
            ("CREATE FUNCTION public.evil(text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;"
            "CREATE INDEX evil ON scout_ops.runs (public.evil(actor))"),
            "has use of function public.evil(",
            "ALTER SCHEMA scout_ops RENAME TO scout_ops_not_ours",
        ),
        (
            "GRANT UPDATE ON scout_ops.images TO PUBLIC",
            "TABLE scout_ops.images is granted to PUBLIC (UPDATE)",
            "REVOKE ALL ON TABLE scout_ops.images FROM PUBLIC",
        ),
        (
            "GRANT UPDATE (token) ON scout_ops.leases TO mallory",
            "TABLE scout_ops.leases is granted to mallory (UPDATE (token))",
            "REVOKE ALL (token) ON scout_ops.leases FROM mallory",
        ),
        (
            "GRANT CREATE ON SCHEMA scout_ops TO mallory",
            "SCHEMA scout_ops is granted to mallory (CREATE)",
            "REVOKE ALL ON SCHEMA scout_ops FROM mallory",
        ),
        (
            "ALTER TABLE scout_ops.pauses OWNER TO mallory",
            "TABLE scout_ops.pauses belongs to mallory",
            'GRANT "mallory" TO "postgres"',
        ),
        (
            "CREATE TABLE public.evil () INHERITS (scout_ops.leases)",
            "TABLE scout_ops.leases has child table public.evil",
            "ALTER SCHEMA scout_ops RENAME TO scout_ops_not_ours",
        ),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("mallory")
def test_whatever_somebody_else_has_in_it_is_named(scout_db: str, planted: str, said: str, fix: str) -> None:
    token = call("scout_lease", scout_db)["token"]
    with connect(scout_db) as superuser:
        superuser.execute(planted)  # type: ignore[call-overload]

    for error in (
        refused(call("scout_lease", scout_db, takeover=True)),
        refused(call("scout_ingestion", scout_db, state="paused", lease_token=token)),
    ):
        assert said in error["said"]
        assert fix in error["next_step"]


def test_default_privileges_give_nobody_a_look_into_it(scout_db: str, mallory: str) -> None:
    with connect(scout_db) as superuser:
        for kind in ("TABLES", "SEQUENCES", "SCHEMAS"):
            superuser.execute(f"ALTER DEFAULT PRIVILEGES GRANT ALL ON {kind} TO mallory, PUBLIC")  # type: ignore[call-overload]
    try:
        call("scout_ingestion", scout_db, state="paused")
        granted = rows(
            scout_db,
            "SELECT relname FROM pg_class AS c CROSS JOIN LATERAL aclexplode(relacl) AS a"
            " WHERE relnamespace = 'scout_ops'::regnamespace AND a.grantee <> relowner",
        )
        assert granted == []
        assert one(scout_db, "SELECT has_schema_privilege('mallory', 'scout_ops', 'USAGE')") is False
        with connect(mallory) as session, pytest.raises(Exception, match="permission denied"):
            session.execute("SELECT FROM scout_ops.protected_data")
    finally:
        with connect(scout_db) as superuser:
            for kind in ("TABLES", "SEQUENCES", "SCHEMAS"):
                superuser.execute(f"ALTER DEFAULT PRIVILEGES REVOKE ALL ON {kind} FROM mallory, PUBLIC")  # type: ignore[call-overload]


def test_the_owner_of_the_pipeline_keeps_no_ledger_for_the_operator(scout_db: str) -> None:
    """The operator may become him, to see his jobs; he may not lend the operator's rights."""
    with operator(scout_db) as dsn:
        with connect(scout_db) as superuser:
            owner = one(scout_db, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'scout'")
            superuser.execute(f"CREATE SCHEMA scout_ops AUTHORIZATION {owner}")  # type: ignore[call-overload]
        assert "SCHEMA scout_ops belongs to" in refused(call("scout_lease", dsn))["said"]


def test_members_of_the_role_that_keeps_it_share_one(scout_db: str) -> None:
    """What one of them creates belongs to the role."""
    with connect(scout_db) as superuser:
        superuser.execute("CREATE ROLE keepers; CREATE SCHEMA scout_ops AUTHORIZATION keepers")
    try:
        with operator(scout_db) as first, operator(scout_db) as second:
            for dsn in (first, second):
                role = conninfo_to_dict(dsn)["user"]
                with connect(scout_db) as superuser:
                    superuser.execute(f"GRANT keepers TO {role}")  # type: ignore[call-overload]
            token = call("scout_lease", first)["token"]
            call("scout_lease", first, state="released", lease_token=token)
            assert call("scout_lease", second)["token"] == token + 1
            assert rows(
                scout_db,
                "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'scout_ops'::regnamespace",
            ) == [("keepers",)]
    finally:
        with connect(scout_db) as superuser:
            superuser.execute("DROP OWNED BY keepers CASCADE; DROP ROLE keepers")


def test_a_session_believes_what_it_saw_of_one_ledger_and_not_for_long(
    scout_db: str, mallory: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only its owners can let others in; who drops it lets everybody make another."""
    assert call("scout_ingestion", scout_db, state="paused")["changed"]
    with connect(scout_db) as superuser, open_session(Settings(scout_db)) as session:
        with session.read():
            assert ownership.foreign(session) is None
        superuser.execute("GRANT SELECT ON scout_ops.runs TO mallory")
        monkeypatch.setattr(ownership.time, "monotonic", lambda: session.ours_until)
        with session.read():
            assert "granted to mallory" in str(ownership.foreign(session))
        superuser.execute("REVOKE SELECT ON scout_ops.runs FROM mallory")
        monkeypatch.undo()
        with session.read():
            assert ownership.foreign(session) is None
        superuser.execute("DROP SCHEMA scout_ops CASCADE")
        with session.read():
            assert ownership.foreign(session) is None
        with connect(mallory) as attacker:
            attacker.execute(PLANT)
        with session.read():
            assert "belongs to mallory" in str(ownership.foreign(session))
