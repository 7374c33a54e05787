# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the reference Scout: schema, jobs, events, and the pipeline's own ETL run over them, so that it is healthy."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo, sql

from .events import generator, stores_and_products
from .server import places
from .server.local import Server, persistent, psql, uri

SCHEMA = Path(__file__).parent / "schema"
VARIANTS = ("faithful", "repaired", "deployed")
#: The faithful one with a partition of bronze for each day. What is said of each variant is not tested on it besides.
PARTITIONED = "partitioned"
BUILT = (*VARIANTS, PARTITIONED)
#: Services on which nobody has a superuser: his name there, and the role that owns what is deployed.
HOSTS = {
    "supabase": ("supabase_admin", "postgres"),
    "neon": ("cloud_admin", "neondb_owner"),
    "rds": ("rdsadmin", "postgres"),
    "azure": ("azuresu", "deployer"),
}
#: How long "just now" lasts, and how long a template is kept, of which only the end is brought up to it.
TEMPLATE_AGE_SECONDS = 90
TEMPLATE_KEPT_SECONDS = 600
#: The clock of a machine that was just started has less than that.
NEVER = float("-inf")

# What a pipeline that ran all the time would show: rows processed within a minute of their arrival.
AGE = """
WITH processed AS (
    UPDATE scout.etl_processed p
    SET processed_at = b.ingested_at + make_interval(secs => 60 - extract(second FROM b.ingested_at))
    FROM scout.bronze_events b
    WHERE b.event_id = p.event_id
        AND p.processed_at > b.ingested_at + make_interval(secs => 60 - extract(second FROM b.ingested_at))
    RETURNING p.event_id, p.processed_at
), transactions AS (
    UPDATE scout.silver_transactions t
    SET processed_at = p.processed_at, created_at = p.processed_at, updated_at = p.processed_at
    FROM processed p
    WHERE p.event_id = t.source_event_id
    RETURNING t.transaction_id, t.processed_at
)
UPDATE scout.silver_line_items l
SET processed_at = t.processed_at, updated_at = t.processed_at
FROM transactions t
WHERE t.transaction_id = l.transaction_id
"""

# The last hours of a scheduler that was never there; simulations fail as they do in production.
HISTORY = """
INSERT INTO cron.job_run_details
    (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT
    j.jobid,
    10000 + (extract(epoch FROM tick) / 60)::bigint % 20000 + j.jobid,
    j.database,
    j.username,
    j.command,
    CASE WHEN j.jobname LIKE '%-simulation' THEN 'failed' ELSE 'succeeded' END,
    CASE
        WHEN j.jobname LIKE '%-simulation' THEN 'ERROR: column s.is_active does not exist'
        WHEN j.command LIKE '%DO $$%' THEN 'DO'
        ELSE 'SELECT 1'
    END,
    tick,
    tick + make_interval(secs => 0.2 + (j.jobid * 7 + extract(minute FROM tick)) % 50 / 100)
FROM cron.job j
JOIN generate_series(date_trunc('minute', now()) - interval '4 hours', now(), interval '1 minute') AS tick
    ON extract(minute FROM tick)::int % CASE
        WHEN j.schedule LIKE '*/10 %' THEN 10
        WHEN j.schedule LIKE '*/5 %' THEN 5
        ELSE 1
    END = 0
    AND (j.schedule NOT LIKE '* 6-23 %' OR extract(hour FROM tick AT TIME ZONE 'UTC') BETWEEN 6 AND 23)
    AND (j.schedule NOT LIKE '% 0,6' OR extract(dow FROM tick AT TIME ZONE 'UTC') IN (0, 6))
ORDER BY tick, j.jobid
"""

# What came last comes that much later, and all runs of jobs: there was a pause before.
LATER = """
WITH latest AS (
    UPDATE scout.bronze_events SET ingested_at = ingested_at + %(passed)s
    WHERE event_id IN (SELECT event_id FROM scout.bronze_events ORDER BY ingested_at DESC LIMIT %(events)s)
    RETURNING event_id
), processed AS (
    UPDATE scout.etl_processed p SET processed_at = p.processed_at + %(passed)s FROM latest WHERE latest.event_id = p.event_id
), transactions AS (
    UPDATE scout.silver_transactions t SET processed_at = t.processed_at + %(passed)s,
        created_at = t.created_at + %(passed)s, updated_at = t.updated_at + %(passed)s
    FROM latest WHERE latest.event_id = t.source_event_id
    RETURNING t.transaction_id
), line_items AS (
    UPDATE scout.silver_line_items l SET processed_at = l.processed_at + %(passed)s, updated_at = l.updated_at + %(passed)s
    FROM transactions t WHERE t.transaction_id = l.transaction_id
)
UPDATE cron.job_run_details SET start_time = start_time + %(passed)s, end_time = end_time + %(passed)s
"""

SCHEDULED_HERE = "SELECT FROM pg_settings WHERE name = 'cron.database_name' AND setting = current_database()"


#: Only what the builder and a clone make carries it, and only that may be broken. Copies of a database have it, too; a dump of
#: a team's schemas has not.
MARK = "scout_sandbox"
MARKED = """
SELECT FROM pg_catalog.pg_namespace AS n
JOIN pg_catalog.pg_roles AS r ON r.oid = n.nspowner
JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()
WHERE n.nspname = 'scout_sandbox' AND (r.rolsuper OR d.datdba = r.oid)
"""

OPERATOR = "scout_operator"
SUPERUSERS_OWN = """
SELECT FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'scout' AND r.rolsuper
"""


class AlreadyBuilt(RuntimeError):
    """The database holds a schema scout, which is not ours to overwrite."""


def build(
    dsn: str, variant: str = "faithful", events: int = 2000, seed: int = 1, pending: int = 0, host: str = ""
) -> str:
    """Build a healthy Scout in an empty database, the newest `pending` events not yet loaded; returns the dsn. With a host it
    belongs to whoever deploys there, and everything else is as that service has it."""
    return build_as(dsn, {"loader": HOSTS[host][1]} if host else {}, variant, events, seed, pending, host)


def build_as(
    dsn: str, roles: Mapping[str, str], variant: str = "faithful", events: int = 2000, seed: int = 1, pending: int = 0,
    host: str = "",
) -> str:  # fmt: skip
    """As build(), with roles that exist in place of a deployment's, which may be somebody else's on this server."""
    if variant not in BUILT:
        raise ValueError(f"variant {variant!r} is none of {', '.join(BUILT)}")
    with psycopg.connect(dsn, autocommit=True, options="-c TimeZone=UTC") as connection:
        _refuse_existing(connection)
        if host or not roles:
            _create_roles(connection)
        _create_schema(connection, variant, roles, host)
        if events:
            load(connection, events, seed, pending)
    return dsn


def operator(dsn: str, *, rollback: bool = False) -> str:
    """The dsn of scout_operator, made by the very scripts of docs/ as a person runs them; of a pipeline that a superuser owns,
    the owner is changed first. With `rollback` it may also roll back to a release."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(SUPERUSERS_OWN).fetchone()
    scripts = [("pipeline_owner.sql", ["-v", "members=on"])] if row is not None else []
    scripts += [("operator_role.sql", ["-v", "rollback=on"] if rollback else [])]
    for script, options in scripts:
        words = [psql(), "-X", "-q", "-d", dsn, *options, "-f", str(places.RECOVERY / "docs" / script)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"docs/{script}: {done.stderr.strip()}")
    return conninfo.make_conninfo(dsn, user=OPERATOR)


def pipeline_owner(dsn: str) -> str:
    """The dsn of the pipeline's owner, as whom its jobs have sessions."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute(
            "SELECT pg_get_userbyid(nspowner)::text FROM pg_namespace WHERE nspname = 'scout'"
        ).fetchone()
    assert row
    return conninfo.make_conninfo(dsn, user=row[0])


def mark(connection: psycopg.Connection[Any]) -> None:
    """Marks a database as one that may be broken."""
    connection.execute("CREATE SCHEMA scout_sandbox")
    connection.execute("COMMENT ON SCHEMA scout_sandbox IS 'made for drills and tests: faults may break this database'")


def is_marked(connection: psycopg.Connection[Any]) -> bool:
    """Whether a database may be broken: nobody but its owner or a superuser can have said so."""
    return connection.execute(MARKED).fetchone() is not None


def _refuse_existing(connection: psycopg.Connection[Any]) -> None:
    row = connection.execute("SELECT current_database() FROM pg_namespace WHERE nspname = 'scout'").fetchone()
    if row:
        raise AlreadyBuilt(f"database {row[0]!r} already has a schema scout: drop the database or name another one")


def _create_roles(connection: psycopg.Connection[Any]) -> None:
    """Roles belong to the whole cluster, and databases are built at the same time."""
    for statement in (
        "CREATE ROLE loader LOGIN",
        "CREATE ROLE edge_ingest NOLOGIN",
        "CREATE ROLE dashboard_reader NOLOGIN",
    ):
        try:
            connection.execute(statement)
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation):
            continue


def _create_schema(connection: psycopg.Connection[Any], variant: str, roles: Mapping[str, str], host: str) -> None:
    with connection.transaction():
        mark(connection)
        create_cron(connection)
        if host:
            connection.execute((SCHEMA / "hosts" / f"{host}.sql").read_bytes())
        owner = sql.Identifier(roles.get("loader") or _owner(connection, variant))
        for statement in () if host else ("USAGE ON SCHEMA cron", "EXECUTE ON FUNCTION cron.alter_job"):
            connection.execute(sql.SQL("GRANT {} TO {}").format(sql.SQL(statement), owner))
        for statement in ("CREATE SCHEMA IF NOT EXISTS scout AUTHORIZATION {}", "SET LOCAL ROLE {}"):
            connection.execute(sql.SQL(statement).format(owner))
        for file in sorted(SCHEMA.glob("[0-9]*.sql")):
            connection.execute(_with_roles(file.read_bytes(), roles))
        if variant != "faithful":
            connection.execute(_with_roles((SCHEMA / f"{variant}.sql").read_bytes(), roles))
        _fill_catalog(connection, variant)
        if variant == "deployed" and not roles:
            connection.execute("RESET ROLE")
            connection.execute((SCHEMA / "hosted.sql").read_bytes())


def _owner(connection: psycopg.Connection[Any], variant: str) -> str:
    """Whom the pipeline and its jobs belong to: where it is deployed, to the superuser who loaded it."""
    return connection.info.user if variant == "deployed" else "loader"


def _with_roles(script: bytes, roles: Mapping[str, str]) -> bytes:
    """The script with its GRANTs made to the roles that take the place of those it names."""
    for role, other in roles.items():
        quoted = sql.Identifier(other).as_bytes()
        script = re.sub(rb"(?<=[ ,])%s(?=[,;])" % role.encode(), lambda _, quoted=quoted: quoted, script)
    return script


def create_cron(connection: psycopg.Connection[Any]) -> None:
    """The real pg_cron where this database may have it, else a stand-in without a scheduler."""
    if may_schedule(connection):
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_cron")
    else:
        connection.execute((SCHEMA / "cron_standin.sql").read_bytes())


def move_cron(dsn: str, to: str, host: str) -> None:
    """Has the stand-in for pg_cron, with its jobs and their runs, in another database of the server, as that service has it; what was
    there before is gone."""
    with psycopg.connect(dsn) as here, psycopg.connect(to) as there:
        there.execute("DROP SCHEMA IF EXISTS cron CASCADE")
        there.execute((SCHEMA / "cron_standin.sql").read_bytes())
        there.execute((SCHEMA / "hosts" / f"{host}.sql").read_bytes())
        for table in ("job", "job_run_details"):
            name = sql.Identifier("cron", table)
            with (
                here.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(name)) as source,
                there.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(name)) as sink,
            ):
                for part in source:
                    sink.write(part)
        there.execute("SELECT setval('cron.jobid_seq', 100), setval('cron.runid_seq', 1000000)")
        here.execute("DROP SCHEMA cron CASCADE")


def may_schedule(connection: psycopg.Connection[Any]) -> bool:
    """Whether this database may have the real pg_cron."""
    # The view shows nobody what he may not see; current_setting() would be an error then.
    return connection.execute(SCHEDULED_HERE).fetchone() is not None


def has_scheduler(connection: psycopg.Connection[Any]) -> bool:
    """Whether this database's jobs are run by the real pg_cron."""
    return connection.execute("SELECT FROM pg_extension WHERE extname = 'pg_cron'").fetchone() is not None


def _fill_catalog(connection: psycopg.Connection[Any], variant: str) -> None:
    for table, columns, rows in (
        ("dim_region", "region_key, region_name, area_sqkm, population, geom", stores_and_products.regions()),
        (
            "dim_store",
            "store_id, store_name, region, province, city",
            () if variant == "deployed" else stores_and_products.stores(),
        ),
        (
            "dim_product",
            "product_id, product_key, product_name, brand_name, category, list_price",
            stores_and_products.products(),
        ),
    ):
        statement = sql.SQL("COPY scout.{} ({}) FROM STDIN").format(
            sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns.split(", ")))
        )
        with connection.cursor() as cursor, cursor.copy(statement) as sink:
            for row in rows:
                sink.write_row(row)


def load(
    connection: psycopg.Connection[Any], count: int, seed: int = 1, pending: int = 0, *, plain: bool = False,
    until: datetime | None = None,
) -> None:  # fmt: skip
    """Store events and load all but the newest `pending`, as the pipeline would have done over the days before `until`."""
    row = connection.execute("SELECT now()").fetchone()
    assert row
    times = generator.clock(count, until or row[0])
    loaded = range(max(count - pending, 0))
    sales = (number for number in loaded if generator.corrects(number) is None)
    corrections = (number for number in loaded if generator.corrects(number) is not None)
    with connection.transaction():
        # A correction in the same batch as its sale would poison the batch, so it comes in a later one.
        for numbers in (sales, corrections):
            generator.copy(connection, generator.events(seed, times, numbers, plain=plain))
            connection.execute("SELECT FROM scout.load_silver_from_bronze(NULL)")
        connection.execute("SELECT FROM scout.link_products_to_catalog(NULL)")
        connection.execute(AGE)
        generator.copy(connection, generator.events(seed, times, range(len(loaded), count), plain=plain))
        if not has_scheduler(connection):
            connection.execute(HISTORY)
    connection.execute("ANALYZE")
    connection.execute("SELECT FROM scout.refresh_gold_platinum()")


class Template:
    """A finished reference that databases are copied from, whose "just now" is that of the copy."""

    def __init__(self, server: Server, variant: str = "faithful", **options: Any) -> None:
        """Build it on the server under a name of its own; options as for build()."""
        self.server, self.variant, self.options = server, variant, options
        self.name = f"scout_template_{variant}_{time.monotonic_ns():x}"
        self._built_at = self._renewed_at = NEVER
        #: What is done to each template once it is built, given its dsn.
        self.prepare: Callable[[str], object] | None = None

    def clone(self, name: str) -> str:
        """A new database of that name with a healthy reference in it; returns its dsn."""
        if time.monotonic() - self._renewed_at > TEMPLATE_AGE_SECONDS:
            self._renew()
        dsn = self.server.create_database(name, self.name)
        with psycopg.connect(dsn) as connection:
            connection.execute("UPDATE cron.job SET database = current_database()")
            connection.execute("UPDATE cron.job_run_details SET database = current_database()")
        return dsn

    def _renew(self) -> None:
        """Have it end just now. One whose newest events wait is built again, for they all would have to come later."""
        if self.options.get("pending") or time.monotonic() - self._built_at > TEMPLATE_KEPT_SECONDS:
            self.drop()
            dsn = build(self.server.create_database(self.name), self.variant, **self.options)
            if self.prepare is not None:
                self.prepare(dsn)
            self._built_at = time.monotonic()
        else:
            passed = timedelta(seconds=time.monotonic() - self._renewed_at)
            with psycopg.connect(self.server.dsn(self.name), autocommit=True, options="-c TimeZone=UTC") as connection:
                connection.execute(LATER, {"passed": passed, "events": generator.RECENT})
                connection.execute("SELECT FROM scout.refresh_gold_platinum()")
        self._renewed_at = time.monotonic()

    def drop(self) -> None:
        """Drop the template; copies of it stay, and the next one has it built again."""
        self.server.drop_database(self.name)
        self._built_at = self._renewed_at = NEVER


def template(server: Server, variant: str = "faithful", **options: Any) -> Template:
    """A template on the server, built at the first clone()."""
    return Template(server, variant, **options)


def main(arguments: list[str] | None = None) -> int:
    """The command line; its last lines are FAULTS_DSN=<uri>, of a superuser who breaks it, and SCOUT_DSN=<uri>, of an operator."""
    parser = argparse.ArgumentParser(
        prog=f"python -m {places.PACKAGE}.builder",
        description="Builds the reference Scout.",
    )
    parser.add_argument("--dsn", help="an existing empty database (default: a new one on the embedded server)")
    parser.add_argument("--database", help="name of the new database (default: scout, or scout_2, scout_3 … if taken)")
    parser.add_argument("--variant", choices=BUILT, default="faithful")
    parser.add_argument("--events", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pending", type=int, default=0, help="how many of the newest events stay unloaded")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        dsn = given.dsn or _new_database(given.database)
        build(dsn, given.variant, given.events, given.seed, given.pending)
        operating = operator(dsn)
    except (AlreadyBuilt, psycopg.Error, RuntimeError) as error:
        print(f"reference not built: {error}", file=sys.stderr)
        return 1
    print(
        f"{given.variant} reference with {given.events} events ({given.pending} pending) in {time.monotonic() - began:.1f} s"
    )
    for name, reach in (("FAULTS_DSN", dsn), ("SCOUT_DSN", operating)):
        print(f"{name}={reach if '://' in reach else uri(conninfo.conninfo_to_dict(reach))}")
    return 0


def _new_database(wanted: str | None) -> str:
    server = persistent().start()
    number = 1
    while True:
        name = wanted or ("scout" if number == 1 else f"scout_{number}")
        try:
            return server.create_database(name)
        except psycopg.errors.DuplicateDatabase:
            if wanted:
                raise AlreadyBuilt(f"database {wanted!r} already exists: drop it or name another one") from None
            number += 1


if __name__ == "__main__":
    sys.exit(main())
