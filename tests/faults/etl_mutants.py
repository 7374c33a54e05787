# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small changes of the pipeline's own functions, views, jobs and constraints, and whether the proof tells of each that makes other
figures.

`python -m tests.faults.etl_mutants [words]` makes all of them, those alone whose names have these words, and prints the share that
is told, and each that is not; with `named`, those of jobs and constraints, which `make gameday` tries too.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg

from ansible_collections.scout.drills.plugins.plugin_utils.reference import builder
from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.server.local import Server
from tests.integration.modules import call, connect, one, rows
from tests.integration.oracle import START, arrive

LOAD: Final = "scout.load_silver_from_bronze(integer)"
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
    (re.escape(TYPE), f"{TYPE} AND b.source_system <> 'pos'"),
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
)

_JOB: Final = "UPDATE cron.job SET {} WHERE jobname = '{}'"
_LOADS, _REFRESHES = "bronze-to-silver-etl", "smart-gold-refresh"
_SILVER: Final = "ALTER TABLE scout.silver_transactions "
#: Of a job or of a table, in words, what changes it. None of these jobs does what it did.
NAMED: Final = {
    f"job: {job} {change.partition(' =')[0]} {change.rpartition('= ')[2]}": _JOB.format(change, job)
    for job, changes in {
        _LOADS: (
            "active = false",
            "command = 'SELECT 1'",
            "command = 'SELECT scout.load_silver_from_bronze(0)'",
            "command = 'SELECT scout.load_silver_from_bronzes(2000)'",
            "command = 'EXPLAIN SELECT scout.load_silver_from_bronze(2000)'",
            "command = 'BEGIN; SELECT scout.load_silver_from_bronze(2000); ROLLBACK'",
            "command = 'SELECT scout.load_silver_from_bronze(2000) WHERE false'",
            "schedule = '0 3 1 1 *'",
            "schedule = '0 3 * * *'",
            "username = 'stranger'",
            "database = 'template1'",
        ),
        _REFRESHES: (
            "active = false",
            "command = 'SELECT 1'",
            "command = 'SELECT scout.maybe_refresh_golds()'",
            "command = 'SELECT scout.maybe_refresh_gold() WHERE false'",
            "command = 'REFRESH MATERIALIZED VIEW scout.gold_daily_metrics'",
            "username = 'stranger'",
            "database = 'template1'",
        ),
    }.items()
    for change in changes
} | {
    f"constraint: {change}": change
    for change in (
        f"{_SILVER}ADD CHECK (payment_method <> 'gcash') NOT VALID",
        f"{_SILVER}ADD CHECK (total_amount < 500) NOT VALID",
        f"{_SILVER}ADD CHECK (customer_id IS NOT NULL) NOT VALID",
        f"{_SILVER}ADD CHECK (item_count < 4) NOT VALID",
        f"{_SILVER}ADD CHECK (region = 'National Capital Region') NOT VALID",
        f"{_SILVER}ADD CHECK (ts < now()) NOT VALID",
        "ALTER TABLE scout.silver_line_items ADD CHECK (quantity < 3) NOT VALID",
        "ALTER TABLE scout.silver_line_items ADD CHECK (line_sequence < 3) NOT VALID",
        "ALTER TABLE scout.bronze_events ADD CHECK (source_system <> 'pos') NOT VALID",
        "ALTER TABLE scout.etl_processed ADD CHECK (event_id IS NULL) NOT VALID",
        "CREATE RULE nothing AS ON INSERT TO scout.silver_line_items DO INSTEAD NOTHING",
        "CREATE RULE nothing AS ON INSERT TO scout.etl_processed DO INSTEAD NOTHING",
    )
}

#: What the pipeline makes of events, down to clocks and generated ids.
SILVER: Final = """
SELECT to_jsonb(t) - ARRAY['id', 'processed_at', 'created_at', 'updated_at'] FROM scout.silver_transactions AS t ORDER BY transaction_id
"""
LINES: Final = """
SELECT to_jsonb(l) - ARRAY['line_id', 'processed_at', 'updated_at'] FROM scout.silver_line_items AS l
ORDER BY transaction_id, product_id, line_sequence
"""
GOLD: Final = "SELECT to_jsonb(g) - ARRAY['created_at', 'updated_at'] AS row FROM scout.{} AS g ORDER BY 1"
MARKS: Final = "SELECT event_id FROM scout.etl_processed ORDER BY 1"


@dataclass(frozen=True)
class Mutant:
    """One change: of the function, of a view, or by a statement, and the text that makes it."""

    name: str
    of: str
    text: str


def mutants(dsn: str) -> Iterator[Mutant]:
    """Of the text as it is deployed there, each place changed alone."""
    yield from _changed("etl", str(one(dsn, f"SELECT pg_get_functiondef('{LOAD}'::regprocedure)")))
    for view in VIEWS:
        yield from _changed(view, str(one(dsn, f"SELECT pg_get_viewdef('scout.{view}'::regclass)")))
    for name, statement in NAMED.items():
        yield Mutant(name, name.partition(":")[0], statement)


def _changed(of: str, text: str) -> Iterator[Mutant]:
    for pattern, new in CHANGES:
        for found in re.finditer(pattern, text, re.MULTILINE):
            changed = text[: found.start()] + found.expand(new) + text[found.end() :]
            line = text.count("\n", 0, found.start()) + 1
            yield Mutant(
                f"{of}:{line} {' '.join(found[0].split())[:40]} -> {' '.join(found.expand(new).split())[:40]}",
                of,
                changed,
            )


def made(dsn: str, mutant: Mutant) -> bool:
    """Whether PostgreSQL takes the change."""
    try:
        with connect(dsn) as session:
            if mutant.of not in VIEWS:
                session.execute(mutant.text.encode())
            else:
                indexes = rows(dsn, f"SELECT indexdef FROM pg_indexes WHERE tablename = '{mutant.of}'")
                session.execute(f"DROP MATERIALIZED VIEW scout.{mutant.of} CASCADE".encode())
                session.execute(f"CREATE MATERIALIZED VIEW scout.{mutant.of} AS {mutant.text}".encode())
                for [index] in indexes:
                    session.execute(index.encode())
                session.execute(f"ALTER MATERIALIZED VIEW scout.{mutant.of} OWNER TO loader".encode())
    except psycopg.Error:
        return False
    return True


def figures(dsn: str) -> Any:
    """What comes of some hundred sales of all kinds; the error, where the pipeline ends with one."""
    numbers = [n for n in range(60_000, 60_400) if generator.is_transaction(n)][:150]
    payloads = [generator.transaction(9, n, sold_at=START) for n in numbers]
    arrive(dsn, payloads)
    with connect(dsn) as session:
        for _ in range(3):
            try:
                session.execute(f"SELECT {LOAD.partition('(')[0]}(2000)".encode())
            except psycopg.Error as e:
                return e.diag.message_primary
        session.execute("SELECT scout.refresh_gold_platinum()")
        return [
            session.execute(query.encode()).fetchall() for query in (SILVER, LINES, MARKS, *map(GOLD.format, VIEWS))
        ]


def told(dsn: str) -> str:
    """What the proof says where it does not believe the pipeline, or names what was defined otherwise; empty where it does."""
    proof = call("scout_proof", dsn)
    said = str(proof.get("jobs"))
    return "" if proof.get("proven") and "changed since" not in said else str(proof.get("error") or said)


def judge(template: builder.Template, mutant: Mutant) -> str:
    """`invalid`, `equal` where the figures are the same, `told`, `missed`, or `told, and equal here`: the sales of the figures are not
    all that there can be."""
    looked, loaded = (template.clone(f"mutant_{kind}") for kind in ("looked", "loaded"))
    assert not call("scout_capture", looked, release="v1").get("failed")
    if not made(looked, mutant):
        return "invalid"
    if mutant.of == "job":
        # A job may be off on purpose, which an assessment tells, and no proof.
        return "told" if call("scout_health_info", looked)["verdict"] != "healthy" or told(looked) else "missed"
    made(loaded, mutant)
    # At the same time of day as the changed one.
    equal = _of(figures(loaded)) == _of(figures(template.clone("mutant_sound")))
    said = told(looked)
    return ("told, and equal here" if said else "equal") if equal else "told" if said else "missed"


def _of(found: Any) -> str:
    """Without ids that are made anew."""
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "", str(found))


def main(words: str) -> int:
    """Prints the share, and what is missed; 1 where that is more than one of twenty."""
    os.environ["SCOUT_ALLOW_SUPERUSER"] = "1"
    with Server() as server:
        template = builder.template(server, events=2000)
        count: dict[str, int] = {}
        for mutant in mutants(template.clone("mutant_texts")):
            if words in mutant.name or (words == "named" and mutant.name in NAMED):
                verdict = judge(template, mutant)
                count[verdict] = count.get(verdict, 0) + 1
                for kind in ("looked", "loaded", "sound"):
                    server.drop_database(f"mutant_{kind}")
                if verdict in ("missed", "invalid") and (verdict == "missed" or mutant.name in NAMED):
                    print(f"{verdict}: {mutant.name}", flush=True)
        wrong = count.get("told", 0) + count.get("missed", 0)
        print(count, f"told of {100.0 * count.get('told', 0) / max(1, wrong):.1f} % of {wrong} that make other figures")
        return int(count.get("missed", 0) > 0.05 * wrong)


if __name__ == "__main__":
    sys.exit(main(" ".join(sys.argv[1:])))
