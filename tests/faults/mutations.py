# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small changes of the pipeline's own functions, views, jobs, constraints, triggers and policies, each alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from tests.faults import GOLD, LINKING, LOADER
from tests.integration.modules import one, rows

#: The functions that make silver and gold of bronze.
FUNCTIONS: Final = {
    "etl": "scout.load_silver_from_bronze(integer)",
    "refresh": "scout.refresh_gold_platinum()",
    "maybe": "scout.maybe_refresh_gold()",
    "linking": "scout.link_products_to_catalog(integer)",
}
VIEWS: Final = ("gold_daily_metrics", "gold_region_choropleth")

TYPE: Final = "WHERE b.event_type = 'transaction.v1'"
FROM: Final = "FROM scout.silver_transactions t\n"
ITEMS: Final = "WITH ORDINALITY AS items (item, position)"
#: What is replaced, wherever it stands, by what.
CHANGES: Final = (
    (r"\bNOT EXISTS\b", "EXISTS"),
    (r"\bAND\b", "OR"),
    (r"\bgreatest\(", "least("),
    (r"\bcount\(DISTINCT ", "count("),
    (r"\bsum\(", "max("),
    (r"\bmax\(", "min("),
    (r"\bcount\(\*\)", "count(*) + 1"),
    (r"\bavg\(", "max("),
    (r" \* ", " + "),
    (r" / ", " * "),
    (r"(?<=[ (,])0(?=[,)])", "1"),
    (r"(?<=, )1(?=[,)])", "2"),
    (r"\b1\.0\b", "0.5"),
    (r"= 'true'", "<> 'true'"),
    (r"IS NOT NULL", "IS NULL"),
    (r"= 'number'", "<> 'number'"),
    (r"\bORDER BY b\.ingested_at\b", "ORDER BY b.ingested_at DESC"),
    (r"\b(e|item)->>'(\w+)'", r"\1->>'\2_'"),
    (r"'Asia/Manila'", "'UTC'"),
    (r"\bs\.ts,", "s.ts + interval '1 hour',"),
    (r"BETWEEN (\d+) AND (\d+)", r"BETWEEN \1 + 1 AND \2"),
    (r"'(morning|afternoon|evening|new|returning|vip)'", "'night'"),
    (r"'(unknown|Unknown \w+|Uncategorized)'", "'other'"),
    (re.escape(ITEMS), f"{ITEMS} WHERE position < 3"),
    (r"^\s+\w+ = excluded\.\w+,\n", ""),
    (re.escape(TYPE), f"{TYPE} AND b.source_system <> 'pos-sync'"),
    (r"\bLEFT JOIN\b", "JOIN"),
    (re.escape(FROM), FROM.replace(" t\n", " t TABLESAMPLE BERNOULLI (90)\n")),
    (r"\bcoalesce\(([^,()]+|\([^()]*\)[^,()]*), [^()]+\)", r"(\1)"),
    (r"\bcoalesce\(([^,()]+|\([^()]*\)[^,()]*), ([^()]+)\)", r"(\2)"),
    (r"(?<![\w'.$:-])([1-9]\d*)(?![\w'.])", r"(\1 + 1)"),
    (r" = ", " <> "),
    (r" IS NOT NULL", " IS NULL"),
    (r"\bt\.total_amount\b", "t.net_amount"),
    (r"\bt\.net_amount\b", "t.total_amount"),
    (r"\bt\.(discount_amount|tax_amount|peso_value|basket_size)\b", "t.item_count"),
    (r"\bt\.customer_id\b", "t.store_id"),
    (r"\bt\.store_id\b", "t.region"),
    (r"\bi\.(quantity)\b", "i.line_sequence"),
    (r"\bi\.product_id\b", "i.category"),
    (r" FILTER \(WHERE \([^()]*(?:\([^()]*\)[^()]*)*\)\)", ""),
    (r"\bDISTINCT ", ""),
    (r"\bORDER BY [\w.]+", "ORDER BY random()"),
    (r"\bexcluded\.(\w+)", r"t.\1"),
    (r"->>'(\w+)'", r"->>'x\1'"),
    (r"::numeric\b", "::numeric::int"),
    (r"\bitem->>'(product_name|brand_name|category)'", "item->>'product_id'"),
    (r"\be->>'(region|province|city)'", "e->>'store_id'"),
    (r"\bjsonb_array_length\(e->'items'\)", "(jsonb_array_length(e->'items') - 1)"),
    (r"\bnow\(\)(?! AS)", "now() + interval '1 day'"),
    (r"\bLIMIT p_limit\b", "LIMIT 3"),
    (r"\bposition\n", "1\n"),
    (r"\binterval '(\d+) \w+'", r"interval '\1 microseconds'"),
    (r" >=? ", " < "),
    (r"\bNOT (?!NULL|EXISTS)", ""),
    (r"^ +(?:AND|PERFORM|REFRESH|UPDATE) .*\n", ""),
    (r" CONCURRENTLY", ""),
    (r"FOR UPDATE OF b SKIP LOCKED", ""),
    (r"DO UPDATE SET\n(?:\s+\w+ = .*\n)+", "DO NOTHING\n"),
    (r"^ +.* AS \w+,\n", ""),
)
#: Why some changes of functions make the same figures, by their names. The first ones have no effect at all, whatever comes.
UNSEEN: Final = (
    (r"^(etl|linking):1 \d+ ->", "the jobs give the limit"),
    (r"^etl:(82|104|111) 1 ->", "of what RETURNING returns only the rows are counted"),
    (r"^etl:9[56] coalesce\(.* -> \(\(", "greatest passes over NULL"),
    # These have one that no figure shows, or that the sales of the figures do not bring about.
    (r"^etl:\d+ count\(\*\) -> count", "silver_records_created, in the ETL's ledger"),
    (r"^etl:11[79] ", "how long a run took, which is returned, or in the ETL's ledger"),
    (r"^etl:\d+ ORDER BY b.ingested_at ->", "which come first where more wait than a run takes"),
    (r"SKIP LOCKED ->", "two loaders at once"),
    (r"^etl:(54|56|73) 0 ->", "sales without items, which the gate refuses as empty baskets"),
    (r"^refresh:\d+ (0|\*|1000) ->", "the rows that it returns, which its caller throws away"),
    (r"^refresh:\d+ (9475|CONCURRENTLY|PERFORM)", "locks, among two refreshes or for readers"),
    (r"^linking:\d+ AND l.product_key IS NULL ->", "lines whose product has changed in the catalog since"),
    (r"^maybe:12 ", "the row that it returns"),
    (r"^maybe:8 (count|>=)", "whether it refreshes while nothing comes"),
)

_JOB: Final = "UPDATE cron.job SET {} WHERE jobname = '{}'"
_OTHER: Final = (
    "INSERT INTO cron.job (schedule, command, nodename, nodeport, database, username, active, jobname)"
    " SELECT '* * * * *', $command${}$command$, nodename, nodeport, database, username, true, 'of-others'"
    f" FROM cron.job WHERE jobname = '{LOADER}'"
)
_SILVER: Final = "scout.silver_transactions"
_LINES: Final = "scout.silver_line_items"
_TABLES: Final = ("bronze_events", "etl_processed", "silver_transactions", "silver_line_items")
_BIG, _GCASH, _CAPITAL = "NEW.total_amount > 300", "NEW.payment_method = 'gcash'", "NEW.region LIKE 'National%'"
_BOTH: Final = "NEW.payment_method = 'gcash' AND NEW.region LIKE 'Central%'"

_CHANGED_JOBS: Final = {
    LOADER: (
        "active = false",
        "command = 'SELECT 1'",
        *(f"command = 'SELECT scout.load_silver_from_bronze({limit})'" for limit in (0, 1, 5, 20, 100)),
        "command = 'SELECT scout.load_silver_from_bronzes(2000)'",
        "command = 'EXPLAIN SELECT scout.load_silver_from_bronze(2000)'",
        "command = 'BEGIN; SELECT scout.load_silver_from_bronze(2000); ROLLBACK'",
        "command = 'SELECT scout.load_silver_from_bronze(2000) WHERE false'",
        *(f"schedule = '{schedule}'" for schedule in ("0 3 1 1 *", "0 3 * * *", "*/30 * * * *", "0 * * * *", "*/2 * * * *")),
        *(f"username = '{role}'" for role in ("stranger", "edge_ingest", "dashboard_reader")),
        "database = 'template1'",
    ),
    LINKING: (
        "active = false",
        "command = 'SELECT 1'",
        "command = 'SELECT scout.link_products_to_catalogs(1000)'",
        "schedule = '0 3 * * *'",
        "username = 'dashboard_reader'",
    ),
    GOLD: (
        "active = false",
        "command = 'SELECT 1'",
        "command = 'SELECT scout.maybe_refresh_golds()'",
        "command = 'SELECT scout.maybe_refresh_gold() WHERE false'",
        *(f"command = 'REFRESH MATERIALIZED VIEW scout.{view}'" for view in VIEWS),
        "command = 'REFRESH MATERIALIZED VIEW scout.gold_daily_metrics WITH NO DATA'",
        *(f"schedule = '{schedule}'" for schedule in ("0 3 1 1 *", "0 3 * * *", "*/30 * * * *")),
        *(f"username = '{role}'" for role in ("stranger", "dashboard_reader")),
        "database = 'template1'",
    ),
}  # fmt: skip
_OTHER_JOBS: Final = (
    "DELETE FROM scout.bronze_events WHERE source_system = 'pos-sync'",
    "DELETE FROM scout.bronze_events WHERE ingested_at < now() - interval '10 seconds'",
    f"DELETE FROM {_SILVER} WHERE payment_method = 'gcash'",
    f"DELETE FROM {_LINES} WHERE line_sequence > 2",
    "DELETE FROM scout.etl_processed",
    f"UPDATE {_SILVER} SET total_amount = total_amount * 0.88",
    f"UPDATE {_SILVER} SET region = NULL WHERE region LIKE 'Central%'",
    f"UPDATE {_LINES} SET product_key = NULL",
    "INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM scout.bronze_events ON CONFLICT DO NOTHING",
    "UPDATE scout.bronze_events SET event_type = 'old' WHERE source_system = 'pos-sync'",
)
#: What a sale may have, and from now on must.
_NULLABLE: Final = ("customer_id", "customer_type", "campaign_id", "handshake_score", "product_category")
_CHECKS: Final = (
    *(f"{_SILVER} ADD CHECK ({column} IS NOT NULL) NOT VALID" for column in _NULLABLE),
    f"{_SILVER} ADD CHECK (payment_method <> 'gcash') NOT VALID",
    f"{_SILVER} ADD CHECK (total_amount < 500) NOT VALID",
    f"{_SILVER} ADD CHECK (net_amount = total_amount) NOT VALID",
    f"{_SILVER} ADD CHECK (item_count < 4) NOT VALID",
    f"{_SILVER} ADD CHECK (region = 'National Capital Region') NOT VALID",
    f"{_SILVER} ADD CHECK (payment_method <> 'gcash' OR region NOT LIKE 'Central%') NOT VALID",
    f"{_SILVER} ADD CHECK (ts < now()) NOT VALID",
    f"{_SILVER} ALTER payment_method TYPE varchar(4)",
    f"{_SILVER} ALTER payment_method TYPE varchar(4) USING left(payment_method, 4)",
    f"{_SILVER} ALTER province TYPE varchar(6) USING left(province, 6)",
    f"{_SILVER} ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store NOT VALID",
    f"{_LINES} ADD FOREIGN KEY (product_id) REFERENCES scout.dim_product NOT VALID",
    f"{_LINES} ADD CHECK (quantity < 3) NOT VALID",
    f"{_LINES} ADD CHECK (line_sequence < 3) NOT VALID",
    f"{_LINES} ADD CHECK (line_amount < 200) NOT VALID",
    f"{_LINES} ALTER brand_name TYPE varchar(5) USING left(brand_name, 5)",
    "scout.bronze_events ADD CHECK (source_system <> 'pos-sync') NOT VALID",
    "scout.etl_processed ADD CHECK (event_id IS NULL) NOT VALID",
)
_RULES: Final = (
    f"CREATE RULE nothing AS ON INSERT TO {_LINES} DO INSTEAD NOTHING",
    "CREATE RULE nothing AS ON INSERT TO scout.etl_processed DO INSTEAD NOTHING",
    f"CREATE RULE nothing AS ON UPDATE TO {_SILVER} DO INSTEAD NOTHING",
    f"CREATE RULE nothing AS ON UPDATE TO {_LINES} DO INSTEAD NOTHING",
    f"CREATE RULE nothing AS ON INSERT TO {_SILVER} WHERE {_GCASH} DO INSTEAD NOTHING",
)
#: Table, when, for which rows, and what is done with them.
_TRIGGERS: Final = (
    *(
        (_SILVER, "BEFORE INSERT", when, f"{body}; RETURN NEW;")
        for when, body in (
            (_GCASH, "NEW.total_amount := NEW.total_amount / 2"),
            (_BOTH, "NEW.total_amount := NEW.total_amount / 2"),
            (_BIG, "NEW.total_amount := 300"),
            ("true", "NEW.total_amount := round(NEW.total_amount)"),
            ("true", "NEW.total_amount := NEW.total_amount - NEW.tax_amount"),
            (_CAPITAL, "NEW.region := NULL"),
            ("NEW.customer_type = 'vip'", "NEW.customer_type := 'returning'"),
            ("true", "NEW.ts := NEW.ts + interval '8 hours'"),
            ("extract(hour FROM NEW.ts) >= 16", "NEW.date_key := NEW.date_key + 1"),
            ("NEW.campaign_id = 'C-1'", "NEW.campaign_id := NULL"),
            ("true", "NEW.discount_amount := 0"),
            ("true", "NEW.tax_amount := round(NEW.tax_amount, 1)"),
            ("NEW.item_count > 2", "NEW.item_count := 2"),
        )
    ),
    *((_SILVER, "BEFORE INSERT", when, "RETURN NULL;") for when in (_GCASH, _BOTH, _BIG, "NEW.store_id < 'S105'")),
    (_SILVER, "BEFORE UPDATE", "true", "RETURN NULL;"),
    (_SILVER, "BEFORE UPDATE", "true", "NEW.net_amount := OLD.net_amount; RETURN NEW;"),
    (_SILVER, "AFTER INSERT", _GCASH, f"UPDATE {_SILVER} SET net_amount = 0 WHERE transaction_id = NEW.transaction_id; RETURN NULL;"),
    (_SILVER, "AFTER INSERT", _BIG, f"DELETE FROM {_SILVER} WHERE transaction_id = NEW.transaction_id; RETURN NULL;"),
    (_LINES, "BEFORE INSERT", "NEW.line_sequence > 2", "RETURN NULL;"),
    (_LINES, "BEFORE INSERT", "NEW.category = 'Snacks'", "RETURN NULL;"),
    (_LINES, "BEFORE INSERT", "NEW.quantity > 3", "NEW.quantity := 3; RETURN NEW;"),
    (_LINES, "BEFORE INSERT", "true", "NEW.line_amount := round(NEW.line_amount); RETURN NEW;"),
    (_LINES, "BEFORE INSERT", "true", "NEW.discount_amount := 1; RETURN NEW;"),
    (_LINES, "BEFORE INSERT", "NEW.category = 'Dairy'", "NEW.category := 'Snacks'; RETURN NEW;"),
    (_LINES, "BEFORE UPDATE", "true", "RETURN NULL;"),
    ("scout.bronze_events", "BEFORE INSERT", "NEW.source_system = 'pos-sync'", "RETURN NULL;"),
    ("scout.bronze_events", "BEFORE INSERT", "true", "NEW.event_data := NEW.event_data - 'customer_id'; RETURN NEW;"),
    ("scout.bronze_events", "BEFORE INSERT", "NEW.source_system = 'pos-sync'", "NEW.event_type := 'sale.v2'; RETURN NEW;"),
    ("scout.bronze_events", "BEFORE INSERT", "true", "NEW.ingested_at := NEW.ingested_at + interval '1 day'; RETURN NEW;"),
    ("scout.etl_processed", "BEFORE INSERT", "true", "RETURN NULL;"),
    ("scout.etl_processed", "AFTER INSERT", "true", "DELETE FROM scout.etl_processed WHERE event_id = NEW.event_id; RETURN NULL;"),
)  # fmt: skip
_FUNCTION: Final = "CREATE FUNCTION scout.of_a_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"
_DEFERRED: Final = (
    ("RAISE 'not today'; RETURN NULL;", "true"),
    (f"UPDATE {_SILVER} SET region = 'Unknown' WHERE transaction_id = NEW.transaction_id; RETURN NULL;", _CAPITAL),
    (f"DELETE FROM {_LINES} WHERE transaction_id = NEW.transaction_id AND line_sequence > 1; RETURN NULL;", _GCASH),
)
#: Whom the owner's own sessions heed as well.
_POLICIES: Final = (
    ("bronze_events", "USING (source_system <> 'pos-sync')"),
    ("bronze_events", "USING (ingested_at < now() - interval '1 hour') WITH CHECK (true)"),
    ("silver_transactions", "USING (payment_method <> 'gcash') WITH CHECK (true)"),
    ("silver_transactions", "USING (true) WITH CHECK (total_amount < 300)"),
    ("silver_line_items", "USING (line_sequence < 3) WITH CHECK (true)"),
    ("etl_processed", "USING (false) WITH CHECK (true)"),
)
CONSTRAINTS: Final = """
SELECT conrelid::regclass::text, conname FROM pg_constraint
WHERE connamespace = 'scout'::regnamespace AND contype IN ('p', 'u', 'f', 'c') AND conrelid::regclass::text = ANY(%s) ORDER BY 1, 2
"""
#: Those that are no constraint.
KEYS: Final = """
SELECT i.indexrelid::regclass::text FROM pg_index AS i
WHERE i.indisunique AND i.indrelid::regclass::text = ANY(%s)
  AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid) ORDER BY 1
"""


@dataclass(frozen=True)
class Mutant:
    """One change: of a function, of a view, or by statements, and the text that makes it."""

    name: str
    of: str
    text: str


def unseen(name: str) -> str:
    """Why a change of this name makes the same figures; empty where no reason is known."""
    return next((why for pattern, why in UNSEEN if re.search(pattern, name)), "")


def mutants(dsn: str) -> Iterator[Mutant]:
    """Of the text as it is deployed there, each place changed alone; each name once."""
    seen: dict[str, int] = {}
    for mutant in _every(dsn):
        seen[mutant.name] = nth = seen.get(mutant.name, 0) + 1
        yield mutant if nth == 1 else Mutant(f"{mutant.name} ({nth})", mutant.of, mutant.text)


def _every(dsn: str) -> Iterator[Mutant]:
    for of, function in FUNCTIONS.items():
        yield from changed(of, str(one(dsn, f"SELECT pg_get_functiondef('{function}'::regprocedure)")))
    for view in VIEWS:
        yield from changed(view, str(one(dsn, f"SELECT pg_get_viewdef('scout.{view}'::regclass)")))
    for job, changes in _CHANGED_JOBS.items():
        for change in changes:
            yield Mutant(f"job: {job} {change}", "job", _JOB.format(change, job))
    for command in _OTHER_JOBS:
        yield Mutant(f"job: another, {command}", "job", _OTHER.format(command))
    yield from _of_tables(dsn)
    yield from _of_triggers()


def _of_tables(dsn: str) -> Iterator[Mutant]:
    for change in _CHECKS:
        yield Mutant(f"constraint: {change}", "constraint", f"ALTER TABLE {change}")
    tables = [f"scout.{table}" for table in _TABLES]
    for table, name in rows(dsn, CONSTRAINTS, tables):
        yield Mutant(f"constraint: no {name}", "constraint", f"ALTER TABLE {table} DROP CONSTRAINT {name} CASCADE")
    for [name] in rows(dsn, KEYS, [*tables, *(f"scout.{view}" for view in VIEWS)]):
        yield Mutant(f"constraint: no {name}", "constraint", f"DROP INDEX {name}")
    for table, policy in _POLICIES:
        forced = f"ALTER TABLE scout.{table} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        yield Mutant(f"policy: {table} {policy}", "policy", f"{forced}; CREATE POLICY part ON scout.{table} {policy}")


def _of_triggers() -> Iterator[Mutant]:
    for rule in _RULES:
        yield Mutant(f"trigger: {rule}", "trigger", rule)
    for table, at, when, body in _TRIGGERS:
        trigger = (
            f"CREATE TRIGGER changes {at} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION scout.of_a_trigger()"
        )
        yield Mutant(f"trigger: {at} ON {table} WHEN {when}: {body}", "trigger", f"{_FUNCTION.format(body)}; {trigger}")
    for body, when in _DEFERRED:
        trigger = (
            f"CREATE CONSTRAINT TRIGGER changes AFTER INSERT ON {_SILVER} DEFERRABLE INITIALLY DEFERRED"
            f" FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION scout.of_a_trigger()"
        )
        yield Mutant(f"trigger: deferred WHEN {when}: {body}", "trigger", f"{_FUNCTION.format(body)}; {trigger}")


def changed(of: str, text: str) -> Iterator[Mutant]:
    """Each place of a text changed alone, but for comments."""
    for pattern, new in CHANGES:
        for found in re.finditer(pattern, text, re.MULTILINE):
            if "-- " in text[text.rfind("\n", 0, found.start()) + 1 : found.start()]:
                continue
            changed = text[: found.start()] + found.expand(new) + text[found.end() :]
            line = text.count("\n", 0, found.start()) + 1
            yield Mutant(
                f"{of}:{line} {' '.join(found[0].split())[:40]} -> {' '.join(found.expand(new).split())[:40]}",
                of,
                changed,
            )
