# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds: fingerprints that show any write, and contents that two runs of the same story share."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

TABLES = """
SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'm', 'p') AND n.nspname IN ('scout', 'cron', 'scout_ops', 'public') AND c.relispopulated
ORDER BY 1, 2
"""

#: The same for every run over the same events: no identifiers made by the database, no clocks.
CONTENTS = {
    "bronze": "SELECT event_id, event_hash FROM scout.bronze_events",
    "processed": "SELECT event_id FROM scout.etl_processed",
    "transactions": """
        SELECT to_jsonb(t) - '{id,processed_at,created_at,updated_at}'::text[] FROM scout.silver_transactions AS t""",
    "lines": "SELECT to_jsonb(l) - '{line_id,processed_at,updated_at}'::text[] FROM scout.silver_line_items AS l",
    "dead_letters": """
        SELECT original_payload, error_code, regexp_replace(error_message, '[0-9a-f-]{36}', 'ID'), error_details -> 'event',
               error_details ->> 'sqlstate'
        FROM scout.bronze_events_dlq""",
    "daily": "SELECT to_jsonb(g) - '{created_at,updated_at}'::text[] FROM scout.gold_daily_metrics AS g",
    "regions": "SELECT to_jsonb(g) - '{created_at}'::text[] FROM scout.gold_region_choropleth AS g",
    "jobs": "SELECT jobname, schedule, active FROM cron.job",
}

PENDING = """
SELECT count(*) FROM scout.bronze_events AS b WHERE event_type = 'transaction.v1'
AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""

#: Every event that was there is processed in bronze, of another type, or whole in the dead letter queue; and only once.
UNACCOUNTED = """
SELECT e.event_id FROM unnest(%s::uuid[]) AS e (event_id)
LEFT JOIN scout.bronze_events AS b USING (event_id) LEFT JOIN scout.etl_processed AS p USING (event_id)
CROSS JOIN LATERAL (
    SELECT count(*) AS letters FROM scout.bronze_events_dlq WHERE error_details #>> '{event,event_id}' = e.event_id::text
) AS d
WHERE (b.event_id IS NOT NULL AND (p.event_id IS NOT NULL OR b.event_type <> 'transaction.v1'))::int + d.letters <> 1
"""

#: Even a run that changes nothing holds the lease meanwhile, and notes on which server: the tables of that.
HELD = {"scout_ops.leases", "scout_ops.servers"}

OURS = "SELECT pid, application_name, state, query FROM pg_stat_activity WHERE application_name LIKE 'scout-recovery/%'"


@dataclass(frozen=True)
class Pipeline:
    """A database under test, looked at by a superuser."""

    dsn: str

    def rows(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """All rows of a query."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="test") as connection:
            return connection.execute(query, parameters or None).fetchall()  # type: ignore[call-overload]

    def one(self, query: str, *parameters: object) -> Any:
        """The first value of the first row."""
        return self.rows(query, *parameters)[0][0]

    def execute(self, *statements: str) -> None:
        """Runs statements, each for itself."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="test") as connection:
            for statement in statements:
                connection.execute(statement)  # type: ignore[call-overload]

    def link_and_wait(self) -> None:
        """Lines that were loaded just now are linked, and old enough for the gate to tell whether they are."""
        self.execute(
            "SELECT scout.link_products_to_catalog(1000000)",
            "UPDATE scout.silver_line_items SET updated_at = updated_at - interval '11 minutes' WHERE product_key IS NOT NULL",
        )

    def fingerprint(self) -> dict[str, str]:
        """A digest of every table and view with data; `xmin` makes even a rewrite of the same values show."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="test") as connection:
            found = {}
            for schema, name in connection.execute(TABLES).fetchall():
                query = sql.SQL("SELECT md5(string_agg(md5(t.xmin::text || t::text), '' ORDER BY t.ctid)) FROM {} AS t")
                row = connection.execute(query.format(sql.Identifier(schema, name))).fetchone()
                assert row
                found[f"{schema}.{name}"] = row[0]
            return found

    def rewritten(self, before: dict[str, str]) -> set[str]:
        """In which tables something was written since that fingerprint, but those of who works where."""
        now = self.fingerprint()
        return {name for name in before if now.get(name) != before[name]} - HELD

    def contents(self) -> dict[str, list[Any]]:
        """What two runs of the same story must share."""
        with psycopg.connect(self.dsn, autocommit=True, application_name="test") as connection:
            return {
                name: sorted(map(repr, connection.execute(query).fetchall()))  # type: ignore[call-overload]
                for name, query in CONTENTS.items()
            }

    def events(self) -> list[Any]:
        """The ids of all events in bronze."""
        return [row[0] for row in self.rows("SELECT event_id FROM scout.bronze_events")]

    def unaccounted(self, events: list[Any]) -> list[Any]:
        """Which of these events were lost or are there twice."""
        return self.rows(UNACCOUNTED, events)

    def pending(self) -> int:
        """How many events wait for the ETL."""
        return int(self.one(PENDING))

    def active_jobs(self) -> set[str]:
        """The names of the jobs that can start."""
        return {row[0] for row in self.rows("SELECT jobname FROM cron.job WHERE active")}

    def lease_owner(self) -> str | None:
        """Who holds the lease, if anybody."""
        if not self.one("SELECT to_regclass('scout_ops.leases') IS NOT NULL"):
            return None
        found = self.rows(
            "SELECT owner FROM scout_ops.leases WHERE owner IS NOT NULL AND expires_at > clock_timestamp()"
        )
        return found[0][0] if found else None

    def ours(self) -> list[tuple[Any, ...]]:
        """The toolkit's sessions in this database."""
        return self.rows(OURS + " AND datname = current_database()")

    def lingering(self) -> list[tuple[Any, ...]]:
        """Those that are still there after 20 seconds: a server process ends a moment after its client."""
        deadline = time.monotonic() + 20
        while (found := self.ours()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found
