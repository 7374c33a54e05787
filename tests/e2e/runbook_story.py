# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The night that docs/runbook.md tells of: what breaks before each of its sections, and the person who types."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import damage_hand, library
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import silver_damage as damages
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults.damage_hand import Window
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.fake_supabase_cli import FUNCTION, Cli
from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.git_checkout import Clone
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server, psql
from tests.door import Door
from tests.e2e.play import CHECKOUT
from tests.e2e.runbook import BEGINS, Block, Desk, Names, Typed

#: The names on the page, and others as long for a server that may have these in earnest.
DATABASE, ROLE = ("scout", "night"), ("oncall", "aswell")
POISON = ("non_numeric_amount", "missing_store_id", "bad_ts")
EVENTS, BACKLOG, SUSPECT = 3000, 1200, 40
#: The commands of the page say from which age on a session counts as stuck.
STUCK_SECONDS = 30

GIT = """[user]
    name = Ana
    email = ana@example.com
[init]
    defaultBranch = main
[protocol "file"]
    allow = always
"""

#: To the second; the newest event of a reference is three seconds old.
BUILT = "SELECT date_trunc('second', max(ingested_at) AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' + interval '3 s' FROM scout.bronze_events"

#: What the scheduler would have written: the last run of each job that is on, just now.
TICKED = """
INSERT INTO cron.job_run_details (jobid, job_pid, database, username, command, status, return_message, start_time, end_time)
SELECT jobid, 4242, database, username, command, 'succeeded', 'SELECT 1', now() - interval '1 second', now()
FROM cron.job WHERE active AND jobname NOT LIKE '%-simulation'
"""

#: A loader that loads nothing, a column that nobody asked for, and a view that is gone.
RELEASE = """
ALTER TABLE scout.alerts ADD COLUMN team text;
INSERT INTO scout.alerts (alert_type, severity, team, resolved_at) SELECT 'X', 'info', 'team ' || n, now() FROM generate_series(1, 7) n;
DROP VIEW scout.v_product_linking_stats;
CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit integer DEFAULT 2000)
    RETURNS TABLE (events_processed integer, transactions_created integer, line_items_created integer,
                   processing_duration_ms integer)
    LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN RAISE EXCEPTION 'the new loader is not finished'; END $$;
"""


@dataclass
class Story:
    """A pipeline with an application and somebody on call; sections of the page break it before they mend it."""

    server: Server
    home: Path
    #: What has its playbooks forked.
    door: Door | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _owner: str = ""
    _began: datetime = BEGINS

    @property
    def database(self) -> str:
        """Its name."""
        return DATABASE[bool(self.server.external)]

    @property
    def role(self) -> str:
        """Who is on call."""
        return ROLE[bool(self.server.external)]

    def told(self, page: Iterable[Block]) -> Iterator[Typed]:
        """What each command of the page comes to, in order."""
        with self._open:
            desk = self._prepared()
            section = ""
            for block in page:
                if block.section != section:
                    section = block.section
                    BREAKS.get(section, lambda _: None)(self)
                yield desk.type(block)

    def execute(self, *statements: str, parameters: Mapping[str, Any] | None = None) -> None:
        """As the pipeline's administrator."""
        with psycopg.connect(self._owner, autocommit=True, options="-c TimeZone=UTC") as connection:
            for statement in statements:
                connection.execute(statement, parameters)  # type: ignore[call-overload]

    def _prepared(self) -> Desk:
        """A healthy pipeline, whose events arrive evenly so that counts are the same at any hour, and a role for the night."""
        self._owner = self.server.create_database(self.database)
        self._open.callback(self._cleared)
        with mock.patch.object(generator, "RHYTHM", [1] * 24):
            builder.build(self._owner, events=EVENTS)
        with psycopg.connect(self._owner) as connection:
            [(self._began,)] = connection.execute(BUILT).fetchall()
        script = str(CHECKOUT / "docs" / "operator_role.sql")
        subprocess.run(
            [psql(), "-X", "-q", "-d", self._owner, "-v", f"role={self.role}", "-v", "rollback=on", "-f", script],
            check=True,
        )
        (self.home / "programs").mkdir()
        (self.home / "desk").mkdir()
        application = self._application()
        dsn = self.server.dsn(self.database, user=self.role)
        names = Names(dsn, str(application.path), self._began, {self.database: DATABASE[0], self.role: ROLE[0]})
        first = f"{self.door.folder}{os.pathsep}" if self.door else ""
        return Desk(self.home / "desk", names, str(self.home / "programs"), first)

    def _application(self) -> Clone:
        """A repository with a release, and a program that stands for the Supabase CLI."""
        config = self.home / "gitconfig"
        config.write_text(GIT)
        made = {"GIT_CONFIG_GLOBAL": str(config), "GIT_CONFIG_NOSYSTEM": "1", "SUPABASE_ACCESS_TOKEN": "sbp_0000000000"}
        self._open.enter_context(mock.patch.dict("os.environ", made))
        cli = Cli(self.home / "cli")
        (self.home / "programs" / "supabase").symlink_to(cli.path)
        remote = self.home / "remote.git"
        subprocess.run(["git", "init", "--quiet", "--bare", str(remote)], check=True)
        clone = Clone(self.home / "application")
        subprocess.run(["git", "clone", "--quiet", str(remote), str(clone.path)], check=True, stderr=subprocess.DEVNULL)
        clone.commit("Release v5.2.1", {"app/main.py": "one\n", FUNCTION: "// one\n"})
        clone.push()
        return clone

    def _cleared(self) -> None:
        """Roles belong to the whole server, which others use as well."""
        self.execute(f"DROP OWNED BY {self.role} CASCADE")
        self.server.drop_database(self.database)
        with psycopg.connect(self.server.dsn("postgres"), autocommit=True) as connection:
            connection.execute(f"DROP ROLE {self.role}".encode())

    # --- what happens before a section

    def flows(self) -> None:
        """Sales arrive and are loaded, as they would with a scheduler."""
        with psycopg.connect(self._owner, autocommit=True) as connection:
            for _ in range(3):
                generator.insert(connection, generator.transaction(time.time_ns() // 1000, 0))
        self.execute(
            "SELECT scout.load_silver_from_bronze(NULL)",
            "SELECT scout.link_products_to_catalog(NULL)",
            "SELECT scout.refresh_gold_platinum()",
            TICKED,
        )

    def breaks(self) -> None:
        """Poison in front of a backlog, and gold that is behind."""
        for kind in POISON:
            library.poison_event(self._owner, kind)
        library.backlog(self._owner, BACKLOG, age_seconds=3000, seed=77)
        library.gold_stale(self._owner)

    def sticks(self) -> None:
        """The ETL waits for a row that somebody forgot, for longer than the page says."""
        self.flows()
        self._open.enter_context(library.stuck_etl(self.server.dsn(self.database, user="loader"), age_seconds=400))
        time.sleep(STUCK_SECONDS + 1)

    def sells_below_zero(self) -> None:
        """Three sales with a negative total, loaded and in gold."""
        self.flows()
        with psycopg.connect(self._owner, autocommit=True) as connection:
            for number in range(3):
                generator.insert(connection, generator.transaction(56, number, total_amount=-50, net_amount=-50))
        self.execute("SELECT scout.load_silver_from_bronze(NULL)", "SELECT scout.refresh_gold_platinum()")

    def lies(self) -> None:
        """One till sends its sales under another's name; they are loaded."""
        self.flows()
        with psycopg.connect(self._owner, autocommit=True) as connection:
            for number in range(SUSPECT):
                at = self._began - timedelta(minutes=40, seconds=-number)
                generator.insert(
                    connection, generator.transaction(55, number, sold_at=at), ingested_at=at, source_system="pos-17"
                )
        self.execute("SELECT scout.load_silver_from_bronze(NULL)", "SELECT scout.refresh_gold_platinum()")

    def loses_a_window(self) -> None:
        """Sales missing, totals wrong, lines gone, and an event that cannot be loaded."""
        self.flows()
        window = Window(self._began - timedelta(hours=3), self._began - timedelta(hours=1))
        # The same sales every night: event ids follow from the time, names do not.
        pool = damage_hand.POOL.replace("md5(b.event_id::text)", "t.transaction_id")
        with (
            mock.patch.object(damage_hand, "POOL", pool),
            psycopg.connect(self._owner, autocommit=True) as connection,
        ):
            damages.damage(connection, window, "rows_missing", "totals_wrong", "lines_dropped", count=4)

    def refresh_fails(self) -> None:
        """Gold was last refreshed an hour ago."""
        self.flows()
        library.gold_stale(self._owner)

    def deploys(self) -> None:
        """A release goes out that cannot load."""
        clone = Clone(self.home / "application")
        clone.commit("Release v5.3.0", {"app/main.py": "two\n", FUNCTION: "// two\n"})
        clone.push()
        self.execute(RELEASE)


#: Before the section of that name.
BREAKS: dict[str, Callable[[Story], None]] = {
    "What is wrong?": Story.breaks,
    "The ETL is stuck": Story.sticks,
    "Silver has rows that cannot be right": Story.sells_below_zero,
    "Suspect events": Story.lies,
    "Rebuild a window": Story.loses_a_window,
    "Gold shows old figures": Story.refresh_fails,
    "Before a deployment": Story.flows,
    "The deployment was bad": Story.deploys,
    "The acceptance gate": Story.flows,
}
