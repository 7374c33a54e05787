# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pipelines that are slow by nature, whatever PostgreSQL's plans expect."""

from __future__ import annotations

import time

from tests.integration.modules import connect, one, rows

#: PostgreSQL counts what has come to its end, also where it only reads or is rolled back.
SLOWLY = """
CREATE FUNCTION scout.slowly() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$ BEGIN PERFORM pg_catalog.pg_sleep({}); RETURN true; END $$
"""
COMPUTED = "SELECT coalesce(pg_stat_get_function_calls('scout.slowly()'::regprocedure), 0)"
#: How long the server may take to count what a session did that has ended.
COUNTED_SECONDS = 0.3
#: Each call of the ETL costs so many seconds, however few events it loads, as where it has to sort all that are pending.
FIXED_COST = """
CREATE FUNCTION fixed_cost() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep({}); RETURN NULL; END $$;
CREATE TRIGGER fixed_cost AFTER INSERT ON scout.etl_processed EXECUTE FUNCTION fixed_cost();
"""
VIEWS = ("gold_daily_metrics", "gold_region_choropleth")


def slow_gold(dsn: str, condition: str = "true", seconds: float = 0.4) -> None:
    """Gold takes long, whoever asks a view for anything."""
    with connect(dsn) as connection:
        connection.execute(SLOWLY.format(seconds).encode())
        owner = one(
            dsn, "SELECT relowner::regrole::text FROM pg_class WHERE oid = 'scout.gold_daily_metrics'::regclass"
        )
        connection.execute(f"ALTER FUNCTION scout.slowly() OWNER TO {owner}".encode())
        for view in VIEWS:
            definition = (
                str(one(dsn, f"SELECT pg_catalog.pg_get_viewdef('scout.{view}'::regclass::oid)")).rstrip().rstrip(";")
            )
            keys = rows(
                dsn,
                f"SELECT pg_catalog.pg_get_indexdef(indexrelid::oid) FROM pg_index WHERE indrelid = 'scout.{view}'::regclass",
            )
            before, _, after = definition.rpartition("GROUP BY")
            connection.execute(f"DROP MATERIALIZED VIEW scout.{view} CASCADE")  # type: ignore[call-overload]
            made = f"CREATE MATERIALIZED VIEW scout.{view} AS {before} WHERE (SELECT scout.slowly()) AND {condition} GROUP BY {after}"
            connection.execute(made)  # type: ignore[call-overload]
            for (key,) in keys:
                connection.execute(key)
            connection.execute(f"ALTER MATERIALIZED VIEW scout.{view} OWNER TO {owner}".encode())
        connection.execute(f"ALTER DATABASE {connection.info.dbname} SET track_functions = 'all'".encode())


def computed(dsn: str) -> int:
    """How often a view has been computed to its end since then."""
    time.sleep(COUNTED_SECONDS)
    return int(one(dsn, COMPUTED))
