# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The names of Scout v5.2's objects and figures; the only place that knows them (measured on deployed v5.2 schemas)."""

from __future__ import annotations

import typing as t

SCHEMA: t.Final = "scout"
BRONZE: t.Final = "scout.bronze_events"
DEAD_LETTERS: t.Final = "scout.bronze_events_dlq"
ETL_LEDGER: t.Final = "scout.etl_processed"
TRANSACTIONS: t.Final = "scout.silver_transactions"
LINE_ITEMS: t.Final = "scout.silver_line_items"
ALERTS: t.Final = "scout.alerts"

#: Without these a database is not Scout.
REQUIRED_TABLES: t.Final = (BRONZE, DEAD_LETTERS, ETL_LEDGER, TRANSACTIONS, LINE_ITEMS)

ETL: t.Final = "scout.load_silver_from_bronze(integer)"
SWITCH: t.Final = "scout.control_ingestion(text)"
TRANSACTION_EVENT: t.Final = "transaction.v1"

#: refresh_gold_platinum's session lock, a single-bigint key (pg_locks: classid 0, objid this, objsubid 1).
GOLD_LOCK: t.Final = 94752052
ADVISORY_KEYS: t.Final = (GOLD_LOCK,)

#: Functions that write silver or gold; calls of them in a statement mark a session as the pipeline's.
ETL_FUNCTIONS: t.Final = ("load_silver_from_bronze", "reprocess_bronze_window", "link_products_to_catalog")
GOLD_FUNCTIONS: t.Final = ("refresh_gold_platinum", "maybe_refresh_gold")

#: Jobs counted as ingestion whatever their command says.
INGESTION_JOBS: t.Final = ("bronze-to-silver-etl", "product-linking", "smart-gold-refresh")

#: What each of them is for: a job by any name that calls one of these functions does it as well.
PURPOSES: t.Final = {
    "bronze-to-silver-etl": ETL_FUNCTIONS[:1],
    "product-linking": ETL_FUNCTIONS[2:],
    "smart-gold-refresh": GOLD_FUNCTIONS,
}

#: Columns that the pipeline, its jobs and this toolkit rely on; a deployment may have more.
COLUMNS: t.Final = {
    BRONZE: ("event_id", "event_type", "event_ts", "source_system", "event_data", "event_hash", "ingested_at"),
    DEAD_LETTERS: ("dlq_id", "original_payload", "error_code", "error_message", "error_details", "failed_at", "resolved_at"),
    ETL_LEDGER: ("event_id", "processed_at"),
    TRANSACTIONS: (
        "transaction_id", "store_id", "ts", "date_key", "total_amount", "net_amount", "item_count", "processed_at", "updated_at",
        "source_event_id",
    ),
    LINE_ITEMS: (
        "transaction_id", "product_id", "line_sequence", "quantity", "unit_price", "line_amount", "product_key", "updated_at",
    ),
    ALERTS: ("alert_type", "severity", "created_at", "resolved_at"),
}  # fmt: skip

#: What keeps one event, one sale and one line from being there twice.
UNIQUE: t.Final = {
    BRONZE: (("event_id",), ("event_hash",)),
    ETL_LEDGER: (("event_id",),),
    TRANSACTIONS: (("transaction_id",),),
    LINE_ITEMS: (("transaction_id", "product_id", "line_sequence"),),
}

#: What the jobs and the runbook call, and what its dashboards show.
FUNCTIONS: t.Final = (
    "load_silver_from_bronze(integer)", "link_products_to_catalog(integer)", "refresh_gold_platinum()", "maybe_refresh_gold()",
    "control_ingestion(text)", "data_quality_report(integer)",
)  # fmt: skip
#: The views of its dashboards differ in their columns between deployments.
DASHBOARD_VIEWS: t.Final = (
    "v_ingest_freshness", "v_quality_alerts", "v_pipeline_throughput", "v_etl_performance", "v_product_linking_stats",
)  # fmt: skip
VIEWS: t.Final = (*DASHBOARD_VIEWS, "v_gold_freshness")
QUALITY_REPORT: t.Final = "data_quality_report"

#: Who nobody may cancel or terminate, whatever it holds.
PROTECTED_ROLES: t.Final = ("replicator", "supabase_admin", "rdsadmin", "cloudsqladmin", "azuresu")
