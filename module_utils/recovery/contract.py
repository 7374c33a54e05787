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

#: Who nobody may cancel or terminate, whatever it holds.
PROTECTED_ROLES: t.Final = ("replicator", "supabase_admin", "rdsadmin", "cloudsqladmin", "azuresu")
