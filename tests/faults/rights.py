# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults of what roles may do, of who owns what, and of gold."""

from __future__ import annotations

from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from tests.faults import LOAD, LOADER, SHORT, Fault, Seen, by_check

#: The ETL's job has a role of its own.
RUNNER = (
    "GRANT USAGE ON SCHEMA scout TO {role}",
    f"UPDATE cron.job SET username = '{{role}}' WHERE jobname = '{LOADER}'",
)
#: All jobs have one, which may what their role might.
MEMBER = (
    "GRANT loader TO {role}",
    "UPDATE cron.job SET username = '{role}'",
    "UPDATE cron.job_run_details SET username = '{role}'",
)
STRANGER = (*MEMBER, "REVOKE loader FROM {role}", "GRANT USAGE ON SCHEMA scout TO {role}")
OWNER = f"ALTER FUNCTION {LOAD}(int) OWNER TO {{role}}"

#: Those that a reset tells of.
OWNED = {
    "the job's role may not execute the ETL": Fault(
        (*RUNNER, f"REVOKE EXECUTE ON FUNCTION {LOAD}(int) FROM PUBLIC"), named=SHORT,
    ),
    "the job's role may not use the schema": Fault((RUNNER[1],), named="schema scout"),
    "the job's role may not connect": Fault((*RUNNER, "ALTER ROLE {role} CONNECTION LIMIT 0"), named="{role}"),
    "the job's role has no time": Fault(
        (*RUNNER, "ALTER ROLE {role} IN DATABASE {database} SET statement_timeout = '1ms'"), named="statement_timeout",
    ),
    "the database gives no time": Fault(
        ("ALTER DATABASE {database} SET statement_timeout = '1ms'",), named="statement_timeout",
    ),
    "the job's role may only read": Fault(
        (*RUNNER, "ALTER ROLE {role} IN DATABASE {database} SET default_transaction_read_only = on"),
        named="default_transaction_read_only",
    ),
    "the ETL's owner has no grants": Fault((OWNER, RUNNER[0]), named=SHORT),
    "the ETL runs as its caller": Fault((*RUNNER, f"ALTER FUNCTION {LOAD}(int) SECURITY INVOKER"), named="{role}"),
    "the ETL's owner may not write silver": Fault(
        ("REVOKE ALL ON scout.silver_transactions FROM loader",), named="silver_transactions",
    ),
    "the ETL's owner does not see bronze": Fault(
        ("ALTER TABLE scout.bronze_events ENABLE ROW LEVEL SECURITY", "ALTER TABLE scout.bronze_events FORCE ROW LEVEL SECURITY",
         "CREATE POLICY senders ON scout.bronze_events FOR INSERT WITH CHECK (true)"),
        named="bronze_events",
    ),
    "a gold view is dropped": Fault(
        ("DROP MATERIALIZED VIEW scout.gold_daily_metrics CASCADE",), named="gold_daily_metrics",
    ),
    "the other gold view is dropped": Fault(
        ("DROP MATERIALIZED VIEW scout.gold_region_choropleth CASCADE",), named="gold_region_choropleth",
    ),
    "a gold view lost its unique index": Fault(
        ("DROP INDEX scout.gold_region_choropleth_pk",), by_check("gold_refreshable"), "gold_region_choropleth",
    ),
    "a gold view has another owner": Fault(
        ("ALTER MATERIALIZED VIEW scout.gold_daily_metrics OWNER TO {role}",),
        by_check("job_rights", "may not refresh scout.gold_daily_metrics, which {role} owns", "OWNER TO \"loader\";"),
        "gold_daily_metrics",
    ),
    "the database may only be read": Fault(
        ("ALTER DATABASE {database} SET default_transaction_read_only = on",), named="default_transaction_read_only",
    ),
}  # fmt: skip

#: Those of which a look tells.
SEEN = {
    "the jobs' role may not execute the ETL": Fault(
        (*STRANGER, f"REVOKE EXECUTE ON FUNCTION {LOAD}(int) FROM public"),
        by_check("job_rights", "may not execute scout.load_silver_from_bronze", "GRANT EXECUTE ON FUNCTION"),
    ),
    "the jobs' role may not use the schema": Fault(
        (*MEMBER, "REVOKE loader FROM {role}"),
        by_check("job_rights", "may not use schema scout", 'GRANT USAGE ON SCHEMA "scout" TO'),
    ),
    "the jobs' role has no connection left": Fault(
        (*MEMBER, "ALTER ROLE {role} CONNECTION LIMIT 0"),
        by_check("job_rights", "has CONNECTION LIMIT 0", "CONNECTION LIMIT -1;"),
    ),
    "the jobs' role may not log in": Fault(
        (*MEMBER, "ALTER ROLE {role} NOLOGIN"), by_check("job_rights", "may not log in", " LOGIN;"),
    ),
    "no statement of the jobs' role can end": Fault(
        (*MEMBER, "ALTER ROLE {role} SET statement_timeout = '50ms'"),
        by_check("job_rights", "statement_timeout is 50ms for ROLE", "RESET statement_timeout;"),
    ),
    "no statement in the database can end": Fault(
        ("ALTER DATABASE {database} SET statement_timeout = 50",),
        by_check("job_rights", "statement_timeout is 50 for DATABASE", "RESET statement_timeout;"),
    ),
    "the ETL belongs to somebody without grants": Fault(
        ("ALTER ROLE {role} NOLOGIN", OWNER),
        by_check("job_rights", "scout.load_silver_from_bronze runs as its owner {role}, who may not", "TO \"{role}\""),
    ),
    "the ETL's owner may not mark": Fault(
        ("ALTER ROLE {role} NOLOGIN", RUNNER[0], "GRANT ALL ON ALL TABLES IN SCHEMA scout TO {role}",
         "REVOKE INSERT ON scout.etl_processed FROM {role}", OWNER),
        by_check("job_rights", "may not INSERT scout.etl_processed", 'GRANT INSERT ON "scout"."etl_processed" TO'),
    ),
    "a gold view is gone": Fault(
        ("DROP MATERIALIZED VIEW scout.gold_region_choropleth",),
        by_check("gold_views", "materialized view scout.gold_region_choropleth is missing", "create scout.gold_region_choropleth again"),
    ),
    "the daily gold view lost its index": Fault(
        ("DROP INDEX scout.gold_daily_metrics_pk",),
        by_check("gold_refreshable", "scout.gold_daily_metrics has no unique index", "create the unique index of scout.gold_daily_metrics"),
    ),
    "gold that cannot be refreshed": Fault(
        (library.gold_broken,),
        by_check("gold_refreshable", evidence="CONCURRENTLY",
                 first="scout.gold_region_choropleth has no unique index, so the pipeline cannot refresh it"),
    ),
    "gold never filled": Fault(
        (library.gold_unpopulated,),
        Seen(("gold_staleness", "stale_gold_views", "gold_refreshable"), needs=frozenset({"gold_staleness", "stale_gold_views"}),
             gate=dict.fromkeys(("gold_staleness", "stale_gold_views", "gold_refreshable"), "fail"), code=45, further_codes=(46,),
             first="scout.gold_daily_metrics is unpopulated", evidence="never refreshed"),
    ),
    "gold of an hour ago": Fault(
        (library.gold_stale,),
        Seen(("gold_staleness",), ("stale_gold_views",), frozenset({"gold_staleness", "stale_gold_views"}),
             {"gold_staleness": "fail", "stale_gold_views": "warn"}, code=45,
             first="scout.gold_daily_metrics is stale", evidence="after its refresh"),
    ),
}  # fmt: skip
