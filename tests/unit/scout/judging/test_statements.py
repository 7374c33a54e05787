# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which statements call the pipeline, and which functions and jobs write silver or gold."""

from __future__ import annotations

import contextlib
import time

import pytest

from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres import lexer
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import statements
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging.functions import Function, Functions

ETL = ("load_silver_from_bronze",)


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM scout.load_silver_from_bronze(2000)",
        "select SCOUT.LOAD_SILVER_FROM_BRONZE (1)",
        'SELECT "scout"."load_silver_from_bronze"(1)',
        "BEGIN; SELECT load_silver_from_bronze(1); COMMIT",
        "/* nightly */ SELECT scout.load_silver_from_bronze(NULL) -- all of it",
        "SELECT 'a -- b', scout.load_silver_from_bronze(1)",
        "SELECT 'scout/*', scout.load_silver_from_bronze(1)",
        r"SELECT E'it\'s', scout.load_silver_from_bronze(1), 'x'",
        "EXPLAIN ANALYZE SELECT scout.load_silver_from_bronze(1)",
        "DO $$ BEGIN PERFORM scout.load_silver_from_bronze(1); END $$",
        "DO 'BEGIN PERFORM scout.load_silver_from_bronze(1); END'",
        "CREATE TEMP TABLE a (b int); SELECT scout.load_silver_from_bronze(1)",
        "-- nightly\rSELECT scout.load_silver_from_bronze(1)",
        r'SELECT scout.U&"load\005Fsilver_from_bronze"(1)',
    ],
)
def test_calls(text: str) -> None:
    assert statements.calls(text, ETL) == "load_silver_from_bronze"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "SELECT 'scout.load_silver_from_bronze(1)'",
        "SELECT * FROM pg_stat_activity WHERE query ~ 'load_silver_from_bronze(' -- load_silver_from_bronze(1)",
        "SELECT 1 /* load_silver_from_bronze(1) */",
        "SELECT 1 /* outer /* inner */ load_silver_from_bronze(1) */",
        "SELECT 1 /* cut load_silver_from_bronze(",
        "SELECT 'cut load_silver_from_bronze(",
        r"SELECT E'it\'s load_silver_from_bronze(1)'",
        "SELECT $x$ load_silver_from_bronze(1) $x$",
        "CREATE OR REPLACE FUNCTION scout.load_silver_from_bronze(p_limit int) RETURNS int",
        "DROP FUNCTION scout.load_silver_from_bronze(int)",
        "EXPLAIN SELECT scout.load_silver_from_bronze(1)",
        "SELECT my_load_silver_from_bronze(1), my$load_silver_from_bronze(1), load_silver_from_bronze$(1)",
        'SELECT 1 AS "load_silver_from_bronze(1)", 2 AS "; load_silver_from_bronze(1)"',
        "SELECT 1; DROP FUNCTION scout.load_silver_from_bronze(int)",
        "SELECT load_silver_from_bronze FROM t",
        "SELECT pg_temp.load_silver_from_bronze(1)",
        'SELECT "public" . "load_silver_from_bronze"(1)',
    ],
)
def test_a_mention_is_no_call(text: str) -> None:
    assert statements.calls(text, ETL) is None


FUNCTIONS = Functions(
    Function(oid, "public", name, source)
    for oid, (name, source) in enumerate(
        {
            "outer_wrapper": "BEGIN PERFORM inner_wrapper(); END",
            "inner_wrapper": "BEGIN EXECUTE 'SELECT scout.load_silver_from_bronze(1)'; END",
            "Nightly": "BEGIN INSERT INTO scout.silver_line_items SELECT 1; END",
            "silver_sanity_checks": "SELECT count(*) FROM scout.silver_transactions",
            "simulate_peak_hours": "BEGIN INSERT INTO scout.bronze_events SELECT 1; END",
            "reader": "-- calls load_silver_from_bronze(1)\nSELECT 1",
        }.items()
    )
)


@pytest.mark.parametrize(
    ("command", "counts"),
    [
        ("SELECT scout.load_silver_from_bronze(2000);", True),
        ("SELECT SCOUT.LOAD_SILVER_FROM_BRONZE(2000);", True),
        ("SELECT public.outer_wrapper()", True),
        ('CALL "Nightly"()', True),
        ("REFRESH MATERIALIZED VIEW scout.gold_daily_metrics", True),
        ("refresh materialized view concurrently\n gold_region_choropleth", True),
        ('DELETE FROM ONLY "scout"."silver_transactions" WHERE false', True),
        ("DO $$ BEGIN PERFORM scout.load_silver_from_bronze(1); END $$", True),
        ("DO $$ BEGIN EXECUTE 'UPDATE scout.silver_line_items SET quantity = 1'; END $$", True),
        ("SELECT note('-- nothing /*'); SELECT scout.load_silver_from_bronze(1)", True),
        ("COPY scout.silver_transactions FROM PROGRAM 'cat'", True),
        ("SELECT count(*) FROM scout.silver_transactions", False),
        ("INSERT INTO scout.alerts SELECT * FROM scout.silver_sanity_checks()", False),
        ("SELECT scout.simulate_peak_hours();", False),
        ("DO $$ BEGIN -- as load_silver_from_bronze(1) does\n PERFORM 1; END $$", False),
        ("SELECT 1 -- UPDATE scout.silver_transactions", False),
        ("VACUUM scout.silver_transactions", False),
        ("DO $$ BEGIN RAISE NOTICE 'DELETE FROM scout.silver_transactions'; END $$", False),
    ],
)
def test_jobs_that_write_silver_or_gold(command: str, counts: bool) -> None:
    plain = lexer.may_run(command)
    assert (statements.writes(plain) or FUNCTIONS.writing("loader").called_by(plain)) is counts


def test_a_call_is_of_the_schema_that_it_tells_and_of_an_owner_who_matters() -> None:
    writes = "BEGIN DELETE FROM scout.silver_line_items; END"
    known = Functions(
        [
            Function(1, "app", "tidy", writes, everyones=False, of=("app",)),
            Function(2, "scout", "prune", writes),
            Function(3, "app", "prune", "SELECT 1"),
        ]
    )
    for role, command, counts in (
        ("app", "SELECT tidy()", True),
        ("loader", "SELECT tidy()", False),
        ("loader", "SELECT scout.prune()", True),
        ("loader", "SELECT prune()", True),
        ("loader", "SELECT app.prune()", False),
        ("loader", "SELECT pg_temp.load_silver_from_bronze(1)", False),
    ):
        assert known.writing(role).called_by(command) is counts, (role, command)


def test_what_is_nested_too_deep_or_too_long_is_not_judged() -> None:
    deep = "SELECT 1"
    for number in range(5000):
        deep = f"EXECUTE $n{number}$ {deep} $n{number}$"
    assert statements.calls(deep, ETL) is None
    for source in (deep, "".join(f"EXECUTE $n{number}$ " for number in range(5000)), "a" * 300_000):
        with pytest.raises(lexer.Intricate, match=r"function app\.huge: it"):
            Functions([Function(1, "app", "huge", source)]).writing("app")


@pytest.mark.parametrize(
    "piece",
    ["/*", "/* */", "*/", "'", "''", '"', "$a$", "E'\\", "a", "a ", "--", "a.", "update ", "insert  ", "(", "\n"],
)
def test_hostile_texts_cost_no_more_than_their_length(piece: str) -> None:
    began = time.process_time()
    for reading in (lexer.code, lexer.runs, lexer.may_run):
        with contextlib.suppress(lexer.Intricate):
            plain = reading(piece * (250_000 // len(piece)))
            statements.called(plain)
            statements.writes(plain)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("text", "writes"),
    [
        ("DO $$ BEGIN EXECUTE 'UPDATE ' || 'sco' || 'ut.silver_' || 'transactions SET total_amount = 1'; END $$", True),
        (
            "DO $$ BEGIN EXECUTE format('UPDATE %I.%I SET total_amount = 1', 'scout', 'silver_transactions'); END $$",
            True,
        ),
        ("DO $$ BEGIN EXECUTE 'DELETE FROM scout.' || quote_ident(t); END $$", True),
        ("DO $$ BEGIN EXECUTE format('DELETE FROM %I.%I', 'sales', t); END $$", False),
        ("DO $$ BEGIN EXECUTE format('ANALYZE %I.%I', 'scout', t); END $$", False),
        ("UPDATE scout.v_fix SET total_amount = 5", True),
        ("UPDATE scout.other SET total_amount = (SELECT max(total_amount) FROM scout.v_fix)", False),
        ("UPDATE other SET name = 'v_fix' || '%'", False),
    ],
)
def test_what_is_put_together_or_goes_through_a_view_writes_as_well(text: str, *, writes: bool) -> None:
    assert statements.writes(lexer.may_run(text), ["v_fix"]) is writes
