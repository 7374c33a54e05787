# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a deployment has otherwise: what works there is proved, and what does not is not."""

from __future__ import annotations

import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from tests.integration.modules import call, fingerprint, one, rows, run

ETL, LINKING = "bronze-to-silver-etl", "product-linking"


def test_a_column_that_each_sender_fills_is_filled_as_the_latest_event_has_it(variant_db: str) -> None:
    run(
        variant_db,
        "ALTER TABLE scout.bronze_events ADD tenant int NOT NULL DEFAULT 7, ADD \"Batch No\" text NOT NULL DEFAULT 'b'",
        'ALTER TABLE scout.bronze_events ALTER tenant DROP DEFAULT, ALTER "Batch No" DROP DEFAULT',
    )
    before = fingerprint(variant_db)
    result = call("scout_proof_info", variant_db)
    assert result["status"] == "proved", result
    assert fingerprint(variant_db) == before


def test_bronze_that_takes_no_more_events_is_found(variant_db: str) -> None:
    """Nothing of what is there is wrong, and no new event will come."""
    run(
        variant_db,
        "DO $$ BEGIN EXECUTE format('ALTER TABLE scout.bronze_events ADD CONSTRAINT until_now CHECK (ingested_at < %L)', now()); END $$",
    )
    before = fingerprint(variant_db)
    result = call("scout_proof_info", variant_db)
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
        assert call("scout_proof_info", scout_db)["status"] == "proved"
        run(scout_db, "ALTER ROLE {worker} IN DATABASE {database} SET role = '{reader}'".format(**names))
        result = call("scout_proof_info", scout_db)
        [linking] = [each for each in result["jobs"] if each["jobname"] == LINKING]
        assert linking["status"] == "failed", result
        assert f"permission denied for table silver_line_items, as {reader}, to which role is set" in linking["said"]
        run(scout_db, linking["next_step"])
        assert call("scout_proof_info", scout_db)["status"] == "proved"
    finally:
        run(
            scout_db,
            "UPDATE cron.job SET username = 'loader'",
            *(
                statement.format(**names)
                for statement in ("DROP OWNED BY {worker}, {reader}", "DROP ROLE {worker}, {reader}")
            ),
        )


def test_jobs_of_one_name_are_proved_each(scout_db: str) -> None:
    """A name is unique among the jobs of a role alone, and a job may have none."""
    run(
        scout_db,
        """INSERT INTO cron.job (schedule, command, database, nodeport, username, jobname)
        SELECT schedule, command, database, nodeport, other.owner, CASE WHEN other.named THEN jobname END FROM cron.job
        CROSS JOIN (VALUES ('postgres', true), ('loader', false), ('loader', false)) AS other (owner, named)
        WHERE jobname = 'bronze-to-silver-etl'""",
    )
    result = call("scout_proof_info", scout_db)
    assert (result["status"], len(result["jobs"])) == ("proved", 6), result


@pytest.mark.parametrize(
    ("found", "instead", "status"),
    [
        (
            "b.event_type = 'transaction.v1'",
            "b.event_type = 'transaction.v1' AND b.source_system = 'scout-recovery'",
            "failed",
        ),
        ("coalesce((e->>'total_amount')::numeric, 0),", "2 * coalesce((e->>'total_amount')::numeric, 0),", "changed"),
    ],
)
def test_an_etl_that_does_not_do_with_every_sale_what_it_should_is_found(
    variant_db: str, found: str, instead: str, status: str
) -> None:
    """Where nothing is pending, all is well until the next event."""
    definition = str(
        one(variant_db, "SELECT pg_catalog.pg_get_functiondef('scout.load_silver_from_bronze(int)'::regprocedure::oid)")
    )
    assert found in definition
    run(variant_db, definition.replace(found, instead))
    result = call("scout_proof_info", variant_db)
    assert result["status"] == status, result
    assert ETL in result["error"]["said"]


def test_a_job_that_takes_away_what_another_has_loaded_is_found(variant_db: str) -> None:
    run(
        variant_db,
        """CREATE OR REPLACE FUNCTION scout.link_products_to_catalog(p_limit int DEFAULT 1000) RETURNS int LANGUAGE plpgsql AS $$
        BEGIN DELETE FROM scout.silver_line_items WHERE updated_at >= now() - interval '1 hour'; RETURN 1; END $$""",
    )
    before = fingerprint(variant_db)
    result = call("scout_proof_info", variant_db)
    [linking] = [each for each in result["jobs"] if each["jobname"] == LINKING]
    assert linking["status"] == "failed", result
    assert "are gone from scout.silver_line_items" in linking["said"]
    assert fingerprint(variant_db) == before


def redefined(dsn: str, view: str, found: str, instead: str) -> None:
    """The materialized view made anew with another definition."""
    definition = str(one(dsn, f"SELECT pg_catalog.pg_get_viewdef('scout.{view}'::regclass::oid)"))
    keys = rows(
        dsn,
        f"SELECT pg_catalog.pg_get_indexdef(indexrelid::oid) FROM pg_index WHERE indrelid = 'scout.{view}'::regclass",
    )
    owner = one(dsn, f"SELECT relowner::regrole::text FROM pg_class WHERE oid = 'scout.{view}'::regclass")
    before, _, after = definition.rpartition(found)
    run(
        dsn,
        f"DROP MATERIALIZED VIEW scout.{view} CASCADE",
        f"CREATE MATERIALIZED VIEW scout.{view} AS {before}{instead}{after}",
        *(key for (key,) in keys),
        f"ALTER MATERIALIZED VIEW scout.{view} OWNER TO {owner}",
    )


@pytest.mark.parametrize("view", ["gold_daily_metrics", "gold_region_choropleth"])
def test_a_gold_view_that_leaves_new_sales_out_is_found(variant_db: str, view: str) -> None:
    assert not call("scout_capture", variant_db, release="v1").get("failed")
    redefined(variant_db, view, "GROUP BY", "WHERE t.ts < '2020-01-01' GROUP BY")
    before = fingerprint(variant_db)
    result = call("scout_proof_info", variant_db)
    assert result["status"] == "changed", result
    assert f"scout.{view} of 20" in result["error"]["said"]
    assert fingerprint(variant_db) == before


@pytest.mark.parametrize("condition", ["t.date_key < CURRENT_DATE", "t.ts > now() - interval '90 days'"])
def test_a_gold_view_of_another_span_of_time_is_as_it_is_to_be(scout_db: str, condition: str) -> None:
    redefined(scout_db, "gold_region_choropleth", "GROUP BY", f"WHERE {condition} GROUP BY")
    assert call("scout_proof_info", scout_db)["status"] == "proved"
