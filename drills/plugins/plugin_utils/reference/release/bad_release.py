# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A team's application in git, the release that it should not have made, and how to see what a release is, from outside."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import psycopg
import yaml

from ..load.shop import Connection
from .fake_supabase_cli import FUNCTION, PROJECT, Cli
from .git_checkout import Clone
from .pg_dump import dump, program

MIGRATION = "migrations/0002_loyalty.sql"
LOADER = "scout.load_silver_from_bronze(integer)"
ETL_JOB = "bronze-to-silver-etl"

HISTORY = """
CREATE SCHEMA supabase_migrations;
CREATE TABLE supabase_migrations.schema_migrations (version text PRIMARY KEY, statements text[], name text);
INSERT INTO supabase_migrations.schema_migrations VALUES ('0001', '{}', 'scout')
"""

#: The loader now expects the store where the new edge function puts it; nobody told the tills.
LOADER_READS, NEW_LOADER_READS = "e->>'store_id',", "e->'store'->>'id',"

#: Takes the lock that the loader needs at once, so that the two cannot be in each other's way.
RELEASE = """
ALTER TABLE scout.silver_transactions ADD COLUMN loyalty_tier text;
UPDATE scout.silver_transactions
SET loyalty_tier = (ARRAY['bronze', 'silver', 'gold', 'niña''s "gold"'])[1 + abs(hashtext(transaction_id)) % 4]
WHERE customer_type <> 'new';

ALTER TABLE scout.dim_product DROP COLUMN list_price;

CREATE OR REPLACE VIEW scout.v_pipeline_throughput AS
SELECT date_trunc('hour', processed_at) AS minute, count(*) AS tx_count, sum(item_count) AS total_items,
       avg(net_amount) AS avg_transaction_amount, count(DISTINCT store_id) AS active_stores,
       count(loyalty_tier) AS loyal_sales
FROM scout.silver_transactions
WHERE processed_at >= now() - interval '15 minutes'
GROUP BY 1;

REVOKE SELECT ON scout.silver_transactions FROM dashboard_reader;
UPDATE cron.job SET active = false WHERE jobname = 'product-linking';
INSERT INTO supabase_migrations.schema_migrations VALUES ('0002', '{}', 'loyalty');

"""

JOBS = "SELECT jobname, username, schedule, command, active FROM cron.job ORDER BY 1, 2"
MIGRATIONS = "SELECT version, statements, name FROM supabase_migrations.schema_migrations ORDER BY 1"

#: What the release drops, and what it adds; the column may be there or not.
PRICES = "SELECT product_id, to_jsonb(p) ->> 'list_price' FROM scout.dim_product AS p ORDER BY 1"
TIERS = """
SELECT count(tier), sum(hashtextextended(transaction_id || '=' || tier, 0))
FROM (SELECT transaction_id, to_jsonb(t) ->> 'loyalty_tier' AS tier FROM scout.silver_transactions AS t) AS found
"""

DASHBOARD = "SELECT count(*), sum(total_amount) FROM scout.silver_transactions WHERE date_key = current_date"

#: Whether the ETL's job is off, and whether a session of ours keeps a table or view of the pipeline from being read.
STATE = """
SELECT (SELECT NOT active FROM cron.job WHERE jobname = %(job)s),
       EXISTS (SELECT FROM pg_locks AS l JOIN pg_stat_activity AS a USING (pid) JOIN pg_class AS c ON c.oid = l.relation
               WHERE a.datname = current_database() AND a.application_name LIKE 'scout-recovery/%%' AND l.granted
                 AND l.database = a.datid AND l.mode = 'AccessExclusiveLock' AND c.relnamespace = 'scout'::regnamespace)
"""


class _Checkout(Clone):
    """A folder in which git works as it does by default, whatever the caller has configured."""

    def git(self, *words: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(self.path), *words],
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
        )
        assert done.returncode == 0, f"git {' '.join(words)}: {done.stderr}"
        return done.stdout.rstrip("\n")


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    return kept | {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


class Team:
    """A bare repository, the checkout of the person on call, and the CLI that deploys."""

    def __init__(self, home: Path) -> None:
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        self.remote, self.checkout = _Checkout(home / "scout.git"), _Checkout(home / "checkout")
        _Checkout(home).git("init", "--quiet", "--bare", "--initial-branch=main", self.remote.path.name)
        _Checkout(home).git("clone", "--quiet", self.remote.path.name, self.checkout.path.name)
        self.checkout.git("config", "user.name", "On Call")
        self.checkout.git("config", "user.email", "oncall@example.com")
        files = {
            FUNCTION: "// Takes a sale as the tills send it.\n",
            "app/dashboard.py": "print('sales')\n",
            "migrations/0001_scout.sql": "-- The pipeline.\n",
        }
        self.good = self.checkout.commit("Release v5.2.1", dict(files))
        self.checkout.git("push", "--quiet", "--set-upstream", "origin", "main")
        self.cli = Cli(home / "bin")
        self.variables = home / "team.yml"
        self.variables.write_text(
            yaml.safe_dump(
                {
                    "scout_application_dir": str(self.checkout.path),
                    "scout_application_push": True,
                    "scout_edge_function_project": PROJECT,
                    "scout_edge_function_cli": str(self.cli.path),
                    "scout_max_rows": 1_000_000,
                    "scout_pg_dump": program("pg_dump"),
                }
            )
        )

    def release(self, connection: Connection) -> None:
        """Three commits and a merge, pushed, and the migration among them run."""
        desk = self.checkout
        desk.commit("Take the store from an object", {FUNCTION: "// Moves the store of a sale into an object.\n"})
        desk.git("checkout", "--quiet", "-b", "loyalty")
        desk.commit("Keep the loyalty tier of a sale", {MIGRATION: migration(connection)})
        desk.git("checkout", "--quiet", "main")
        desk.git("merge", "--quiet", "--no-ff", "-m", "Merge loyalty", "loyalty")
        desk.commit("Show the loyalty tier", {"app/dashboard.py": "print('sales', 'tiers')\n", "app/tiers.py": "\n"})
        desk.push()
        with connection.transaction():
            connection.execute((desk.path / MIGRATION).read_bytes())

    @property
    def tip(self) -> str:
        """Where the remote's branch is."""
        return self.remote.git("rev-parse", "refs/heads/main")

    def function_of(self, commit: str) -> dict[str, str]:
        """What has to be deployed from a commit: the files below supabase/."""
        names = self.remote.git("ls-tree", "-r", "--name-only", commit, "supabase").splitlines()
        return {name: self.remote.git("show", f"{commit}:{name}") + "\n" for name in names}


def migration(connection: Connection) -> str:
    """The release's migration: the loader as it is, but for one expression, and everything else."""
    [[loader]] = connection.execute("SELECT pg_get_functiondef(%s::regprocedure)", [LOADER]).fetchall()
    assert loader.count(LOADER_READS) == 1, f"the loader no longer says {LOADER_READS}"
    return RELEASE + loader.replace(LOADER_READS, NEW_LOADER_READS) + ";\n"


@dataclass(frozen=True)
class Picture:
    """What a release is to somebody who looks from outside: pg_dump of all but our ledger, the jobs, the history of migrations."""

    schema: list[str]
    jobs: list[tuple[Any, ...]]
    migrations: list[tuple[Any, ...]]

    @classmethod
    def of(cls, connection: Connection, dsn: str) -> Self:
        """As it is now."""
        schema = dump(dsn, "--schema-only", "--exclude-schema=scout_ops").splitlines()
        return cls(schema, connection.execute(JOBS).fetchall(), connection.execute(MIGRATIONS).fetchall())


@dataclass
class Observer:
    """Looks at pause and locks a hundred times a second, and reads silver as a dashboard does; a context manager."""

    dsn: str
    paused_seconds: float = 0.0
    locked_seconds: float = 0.0
    slowest_read_seconds: float = 0.0
    reads: int = 0
    refused: int = 0
    #: Whether the last read was answered.
    answered: bool = False
    trouble: list[BaseException] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for work in (self._look, self._read):
            self._threads.append(threading.Thread(target=self._guarded, args=[work], daemon=True))
            self._threads[-1].start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=30)
        if kind is None and self.trouble:
            raise self.trouble[0]

    def _guarded(self, work: Any) -> None:
        try:
            with psycopg.connect(self.dsn, autocommit=True, application_name="dashboard") as connection:
                work(connection)
        except BaseException as error:  # noqa: BLE001 handed to who waits
            self.trouble.append(error)

    def _look(self, connection: Connection) -> None:
        before = time.monotonic()
        while not self._stop.wait(0.01):
            [[paused, locked]] = connection.execute(STATE, {"job": ETL_JOB}).fetchall()
            now = time.monotonic()
            self.paused_seconds += (now - before) * bool(paused)
            self.locked_seconds += (now - before) * bool(locked)
            before = now

    def _read(self, connection: Connection) -> None:
        connection.execute("SET ROLE dashboard_reader")
        while not self._stop.wait(0.05):
            began = time.monotonic()
            try:
                connection.execute(DASHBOARD)
                self.answered = True
            except psycopg.errors.InsufficientPrivilege:
                self.answered = False
                self.refused += 1
            self.reads += 1
            self.slowest_read_seconds = max(self.slowest_read_seconds, time.monotonic() - began)
