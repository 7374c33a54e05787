# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment has otherwise: what works there is proved, and what does not is not."""

from __future__ import annotations

from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.integration.modules import call, connect, fingerprint

ETL, LINKING = "bronze-to-silver-etl", "product-linking"


def run(dsn: str, *statements: str) -> None:
    """Runs them, each for itself."""
    with connect(dsn) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def test_a_column_that_each_sender_fills_is_filled_as_the_latest_event_has_it(variant_db: str) -> None:
    run(
        variant_db,
        "ALTER TABLE scout.bronze_events ADD tenant int NOT NULL DEFAULT 7, ADD \"Batch No\" text NOT NULL DEFAULT 'b'",
        'ALTER TABLE scout.bronze_events ALTER tenant DROP DEFAULT, ALTER "Batch No" DROP DEFAULT',
    )
    before = fingerprint(variant_db)
    result = call("scout_proof", variant_db)
    assert result["status"] == "proved", result
    assert fingerprint(variant_db) == before


def test_bronze_that_takes_no_more_events_is_found(variant_db: str) -> None:
    """Nothing of what is there is wrong, and no new event will come."""
    run(
        variant_db,
        "DO $$ BEGIN EXECUTE format('ALTER TABLE scout.bronze_events ADD CONSTRAINT until_now CHECK (ingested_at < %L)', now()); END $$",
    )
    before = fingerprint(variant_db)
    result = call("scout_proof", variant_db)
    assert result["status"] == "unknown", result
    assert "until_now" in result["error"]["said"]
    assert fingerprint(variant_db) == before


def test_a_role_that_the_jobs_of_another_become_is_theirs(scout_db: str) -> None:
    database = str(conninfo_to_dict(scout_db)["dbname"])
    worker, reader = f"worker_{database}", f"reader_{database}"
    names = {"database": sql.Identifier(database).as_string(), "worker": worker, "reader": reader}
    run(
        scout_db,
        *(
            statement.format(**names)
            for statement in (
                "CREATE ROLE {reader}",
                "CREATE ROLE {worker} LOGIN IN ROLE loader, {reader}",
                "GRANT USAGE ON SCHEMA scout TO {reader}",
                "UPDATE cron.job SET username = '{worker}'",
            )
        ),
    )
    try:
        assert call("scout_proof", scout_db)["status"] == "proved"
        run(scout_db, "ALTER ROLE {worker} IN DATABASE {database} SET role = '{reader}'".format(**names))
        result = call("scout_proof", scout_db)
        [linking] = [each for each in result["jobs"] if each["jobname"] == LINKING]
        assert linking["status"] == "failed", result
        assert f"permission denied for table silver_line_items, as {reader}, to which role is set" in linking["said"]
        run(scout_db, linking["next_step"])
        assert call("scout_proof", scout_db)["status"] == "proved"
    finally:
        run(
            scout_db,
            "UPDATE cron.job SET username = 'loader'",
            *(
                statement.format(**names)
                for statement in ("DROP OWNED BY {worker}, {reader}", "DROP ROLE {worker}, {reader}")
            ),
        )
