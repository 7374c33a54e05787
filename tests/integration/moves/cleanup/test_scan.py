# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Quality rules on a real pipeline: what they find is what plain SQL says, and a wrong one is named before anything moves."""

from __future__ import annotations

import datetime
import json
import random
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.events import generator
from ansible_collections.scout.drills.plugins.plugin_utils.reference.faults import library
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import (
    BadInput,
    ConnectionLost,
    DatabaseError,
    MissingPrivilege,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.moves.cleanup import rules, scan
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import (
    Session,
    Settings,
    open_session,
)
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout.judging import predicates
from tests.integration.modules import connect, fingerprint, one, rows, run
from tests.scout import planted
from tests.scout.fixtures import small

SALES, LINES, EVENTS = "scout.silver_transactions", "scout.silver_line_items", "scout.bronze_events"
FIRST = "(SELECT min(transaction_id) FROM scout.silver_transactions)"
SOME = "(SELECT transaction_id FROM scout.silver_transactions ORDER BY transaction_id LIMIT {})"
#: A small reference, in whose schema public somebody lies in wait for every query of ours.
scout_template = small(600, prepare=planted.plant)


@pytest.fixture
def session(scout_db: str) -> Iterator[Session]:
    with open_session(Settings(scout_db, lock_timeout_seconds=0.2)) as opened:
        yield opened


def own(predicate: str, table: str = "silver_transactions", action: str = "quarantine", **more: Any) -> Any:
    """One rule alone, named mine."""
    rule = {"name": "mine", "table": table, "predicate": predicate, "action": action, **more}
    return rules.choose([rule], ["mine"])


def found(report: scan.Report) -> dict[str, int]:
    """How many rows violate each rule that any row violates."""
    return {finding.rule.name: finding.violations for finding in report.violated}


def moved(session: Session, chosen: Any, alias: str = "t", table: str = SALES) -> dict[str, list[str]]:
    """What the mover would select: key and names of rules, executed as it does, with values bound."""
    key = sql.SQL("t.transaction_id" if alias == "t" else "b.event_id::text")
    query = sql.SQL("SELECT {} AS key, {} AS names FROM {} AS {} WHERE {} AND %(yes)s").format(
        key, scan.violating(chosen, alias), sql.Identifier(*table.split(".")), sql.Identifier(alias),
        sql.SQL("({})").format(scan.violates(chosen, alias)),
    )  # fmt: skip
    with session.read():
        return {row["key"]: row["names"] for row in session.connection.execute(query, {"yes": True})}


def test_each_built_in_rule_finds_its_rows_and_no_others(scout_db: str, session: Session) -> None:
    negative = library.negative_totals(scout_db)
    empty = library.empty_baskets(scout_db, count=2)
    apart = library.line_mismatch(scout_db, count=4)
    run(
        scout_db,
        f"UPDATE scout.silver_transactions SET net_amount = 'NaN' WHERE transaction_id = {FIRST}",
        "UPDATE scout.silver_line_items SET quantity = 0, unit_price = -1 WHERE line_id IN "
        "(SELECT line_id FROM scout.silver_line_items WHERE transaction_id LIKE '1-%' ORDER BY transaction_id DESC, line_id LIMIT 2)",
        "DELETE FROM scout.bronze_events WHERE event_id = (SELECT source_event_id FROM scout.silver_transactions "
        f"WHERE transaction_id = {FIRST})",
        # No hour of the alert views shows these.
        "UPDATE scout.silver_transactions SET processed_at = processed_at - interval '2 years'",
    )
    report = scan.scan(session, rules.choose())
    assert {k: v for k, v in found(report).items() if k != "lines_do_not_add_up"} == {
        "negative_total": 3, "empty_basket": 2, "invalid_amounts": 1, "invalid_line": 2, "orphan_source_event": 1,
    }  # fmt: skip
    names = moved(session, rules.choose())
    assert {key for key, value in names.items() if "negative_total" in value} == set(negative)
    assert {key for key, value in names.items() if "empty_basket" in value} == set(empty)
    assert {key for key, value in names.items() if value == ["lines_do_not_add_up"]} == set(apart)
    # The gravest comes first; a rule that only reports moves nothing.
    assert all(names[key] == ["negative_total", "lines_do_not_add_up"] for key in negative)
    assert names[one(scout_db, f"SELECT {FIRST}")] == ["invalid_amounts"]
    assert sum("invalid_line" in value for value in names.values()) == len(
        rows(scout_db, "SELECT DISTINCT transaction_id FROM scout.silver_line_items WHERE quantity = 0")
    )
    assert report.moving.transactions == len(names)


@pytest.mark.parametrize(
    ("change", "violates"),
    [
        ("total_amount = gross", False),
        ("total_amount = gross * 1.009", False),
        ("total_amount = gross * 1.05 + 1", True),
        ("total_amount = gross - gross * 0.3, discount_amount = gross * 0.3", False),
        ("total_amount = gross, discount_amount = gross * 0.3", False),
        ("total_amount = gross - gross * 0.3, discount_amount = 0", True),
        ("total_amount = gross - gross * 0.3, discount_amount = NULL", True),
        ("total_amount = gross + gross * 0.3, discount_amount = gross * 0.3", True),
        ("total_amount = gross - gross * 0.3, discount_amount = 'NaN'", True),
        ("total_amount = 0, net_amount = 5", True),
        ("total_amount = -gross", True),
        ("total_amount = 'NaN'", False),
    ],
)
def test_lines_add_up_with_or_without_discounts(scout_db: str, session: Session, change: str, violates: bool) -> None:
    run(
        scout_db,
        "UPDATE scout.silver_line_items SET unit_price = unit_price + 200",
        f"UPDATE scout.silver_transactions AS t SET {change} FROM (SELECT transaction_id, sum(quantity * unit_price) AS gross "
        "FROM scout.silver_line_items GROUP BY 1) AS l WHERE l.transaction_id = t.transaction_id",
    )
    report = scan.scan(session, rules.choose(None, ["lines_do_not_add_up"]))
    assert report.findings[0].violations == (report.scanned[SALES] if violates else 0)


def test_lines_add_up_after_their_own_discounts_and_both(scout_db: str, session: Session) -> None:
    chosen = rules.choose(None, ["lines_do_not_add_up"])
    net = (
        "UPDATE scout.silver_transactions AS t SET discount_amount = 100, total_amount = l.gross - ({}) FROM (SELECT "
        "transaction_id, sum(quantity * unit_price) AS gross, count(*) AS n FROM scout.silver_line_items GROUP BY 1) AS l "
        "WHERE l.transaction_id = t.transaction_id"
    )
    run(scout_db, "UPDATE scout.silver_line_items SET discount_amount = 70, unit_price = 800")
    for off in ("0", "100", "70 * l.n", "70 * l.n + 100"):
        run(scout_db, net.format(off))
        assert found(scan.scan(session, chosen)) == {}
    run(scout_db, net.format("35 * l.n + 300"))
    assert found(scan.scan(session, chosen))
    # A sale without lines is for other rules to judge, and so are lines that are not numbers.
    run(scout_db, "UPDATE scout.silver_line_items SET unit_price = 'NaN'")
    assert found(scan.scan(session, chosen)) == {}
    run(scout_db, "DELETE FROM scout.silver_line_items")
    assert found(scan.scan(session, chosen)) == {}


def test_the_report_says_what_plain_sql_says(scout_db: str, session: Session) -> None:
    run(
        scout_db,
        f"UPDATE scout.silver_transactions SET total_amount = -10.05 WHERE transaction_id IN {SOME.format(7)}",
        f"UPDATE scout.silver_transactions SET total_amount = 'NaN' WHERE transaction_id = {FIRST}",
        f"UPDATE scout.silver_line_items SET unit_price = -1 WHERE transaction_id IN {SOME.format(9)}",
    )
    only = ["negative_total", "invalid_amounts", "invalid_line"]
    document = scan.scan(session, rules.choose(None, only), samples=2).as_dict()
    assert json.loads(json.dumps(document)) == document
    negative, invalid, lines = document["rules"]
    start, end, first, last, days = rows(
        scout_db,
        "SELECT min(ts), max(ts), min(processed_at), max(processed_at), array_agg(DISTINCT date_key::text) "
        "FROM scout.silver_transactions WHERE total_amount < 0",
    )[0]
    assert (negative["violations"], negative["transactions"], negative["amount"]) == (6, 6, "-60.30")
    assert negative["share"] == pytest.approx(6 / document["scanned"][SALES], abs=1e-6)
    assert [datetime.datetime.fromisoformat(negative["window"][at]) for at in ("start", "end")] == [start, end]
    assert [datetime.datetime.fromisoformat(negative["processed"][at]) for at in ("start", "end")] == [first, last]
    assert negative["gold_days"] == sorted(days)
    assert len(negative["samples"]) == 2
    assert negative["samples"][0]["total_amount"] == "-10.05"
    assert (invalid["violations"], invalid["amount"], invalid["no_amount"]) == (1, None, 1)
    assert invalid["samples"][0]["total_amount"] == "NaN"
    assert lines["violations"] == one(scout_db, "SELECT count(*) FROM scout.silver_line_items WHERE unit_price < 0")
    assert lines["transactions"] == 9
    assert set(lines["samples"][0]) >= {"transaction_id", "line_id", "quantity", "unit_price", "line_amount", "ts"}
    moving = document["moving"]
    total = one(
        scout_db,
        f"SELECT sum(total_amount) FROM scout.silver_transactions WHERE total_amount <> 'NaN' AND transaction_id IN {SOME.format(9)}",
    )
    assert (moving["transactions"], moving["amount"], moving["no_amount"]) == (9, str(total), 1)
    assert document["systemic"] == []


def test_the_window_is_half_open_for_all_tables(scout_db: str, session: Session) -> None:
    run(scout_db, "UPDATE scout.bronze_events SET event_ts = ingested_at")
    everything = [*own("true"), *own("true", "silver_line_items"), *own("true", "bronze_events")]
    for rule, table, clock in zip(everything, (SALES, LINES, EVENTS), ("ts", "ts", "event_ts"), strict=True):
        source = f"{LINES} JOIN {SALES} USING (transaction_id)" if table == LINES else table
        start, end = rows(scout_db, f"SELECT min({clock}), max({clock}) FROM {table if table != LINES else SALES}")[0]
        middle = one(scout_db, f"SELECT {clock} FROM {source} ORDER BY {clock} OFFSET 500 LIMIT 1")
        whole = one(scout_db, f"SELECT count(*) FROM {source}")
        for scope, count in (
            (scan.Scope(), whole),
            (scan.Scope(None, middle), one(scout_db, f"SELECT count(*) FROM {source} WHERE {clock} < %s", middle)),
            (scan.Scope(middle), one(scout_db, f"SELECT count(*) FROM {source} WHERE {clock} >= %s", middle)),
            (scan.Scope(start, end), one(scout_db, f"SELECT count(*) FROM {source} WHERE {clock} < %s", end)),
            (scan.Scope(end, start), 0),
        ):
            report = scan.scan(session, [rule], scope)
            assert (report.scanned[table], report.findings[0].violations) == (count, count)
            assert report.findings[0].share == (1.0 if count else 0.0)
    assert scan.scan(session, everything[:1], scan.Scope(middle)).as_dict()["scope"]["start"] == middle.isoformat()


def test_a_rule_on_events_counts_the_sales_that_go_with_them(scout_db: str, session: Session) -> None:
    [[event, sale]] = rows(scout_db, f"SELECT source_event_id, transaction_id FROM {SALES} ORDER BY id LIMIT 1")
    with connect(scout_db) as connection:
        pending = generator.insert(connection, generator.transaction(9, 1), source_system="test-rig")
        # Of a sale that another event made, and not loaded itself: its sale stays.
        generator.insert(connection, generator.transaction(9, 2, transaction_id=sale), source_system="test-rig")
        generator.insert(connection, ["no object"], source_system="test-rig")
        connection.execute("UPDATE scout.bronze_events SET source_system = 'test-rig' WHERE event_id = %s", [event])
    chosen = own("b.source_system LIKE 'test%'", "bronze_events")
    report = scan.scan(session, chosen)
    assert (report.findings[0].violations, report.moving.events, report.moving.transactions) == (4, 4, 1)
    assert report.moving.gold_days == (
        one(scout_db, f"SELECT date_key::text FROM {SALES} WHERE source_event_id = %s", event),
    )
    assert set(moved(session, chosen, "b", EVENTS)) >= {str(event), str(pending)}
    assert moved(session, chosen) == {}
    with connect(scout_db) as connection:
        connection.execute("INSERT INTO scout.etl_processed (event_id) SELECT event_id FROM scout.bronze_events "
                           "WHERE source_system = 'test-rig' AND event_id <> %s ON CONFLICT DO NOTHING", [event])  # fmt: skip
    assert scan.scan(session, chosen).moving.transactions == 1


WRONG = [
    ("total < 0", "42703", 'column "total" does not exist'),
    ("l.total_amount < 0", "42P01", 'missing FROM-clause entry for table "l"'),
    ("total_amount", "42804", "must be type boolean"),
    ("total_amount < 0, true", "42804", "must be type boolean"),
    ("total_amount <", "42601", "syntax error"),
    ("total_amount < 0 LIMIT 1", "42601", "syntax error"),
    ("total_amount < 0 FOR UPDATE", "42601", "syntax error"),
    ("SELECT true, false", "42601", "subquery must return only one column"),
    ("sum(total_amount) > 1", "42803", "aggregate functions are not allowed"),
    ("row_number() OVER () = 1", "42P20", "window functions are not allowed"),
    ("generate_series(1, 2) = 1", "0A000", "set-returning functions are not allowed"),
    ("EXISTS (SELECT FROM scout.no_such_table)", "42P01", "does not exist"),
    ("EXISTS (WITH d AS (DELETE FROM scout.alerts RETURNING 1) SELECT FROM d)", "0A000", "top level"),
    ("EXISTS (SELECT FROM scout.alerts FOR UPDATE)", "25006", "read-only transaction"),
    ("total_amount ? 'x'", "42883", "operator does not exist"),
    ("no_such_function(total_amount)", "42883", "does not exist"),
    ("total_amount < 'abc'", "22P02", "invalid input syntax"),
    ("1 / 0 = 1", "22012", "division by zero"),
    ("pg_sleep(9) IS NULL", None, "pg_catalog.pg_sleep is volatile"),
    ("random () < 0.5", None, "pg_catalog.random is volatile"),
    ('"pg_catalog" . "nextval"(\'x\') > 1', None, "pg_catalog.nextval is volatile"),
    ("pg_terminate_backend(1)", None, "pg_catalog.pg_terminate_backend is volatile"),
    ("EXISTS (SELECT FROM scout.load_silver_from_bronze(1))", None, "scout.load_silver_from_bronze is volatile"),
]


def test_a_wrong_rule_is_named_with_postgresqls_words(
    scout_db: str, session: Session, subtests: pytest.Subtests
) -> None:
    before = fingerprint(scout_db)
    for predicate, sqlstate, words in WRONG:
        with subtests.test(msg=predicate):
            with pytest.raises(BadInput) as caught:
                scan.check(session, own(predicate))
            assert caught.value.sqlstate == sqlstate
            assert words in caught.value.said
            assert f"rule mine on scout.silver_transactions is not usable with predicate {predicate}" in str(
                caught.value
            )
            assert caught.value.next_step
            assert fingerprint(scout_db) == before
            scan.check(session, rules.choose())


@pytest.mark.parametrize("predicate", ["1 / item_count > 5", "(customer_id || 'x')::int > 0"])
def test_a_rule_that_fails_on_some_row_only_is_named_too(scout_db: str, session: Session, predicate: str) -> None:
    library.empty_baskets(scout_db, count=1)
    mine = {"name": "mine", "table": "silver_transactions", "predicate": predicate}
    chosen = rules.choose([mine, {**mine, "name": "other", "predicate": "t.ts > now()"}])
    scan.check(session, chosen)
    with pytest.raises(BadInput, match="rule mine on ") as caught:
        scan.scan(session, chosen)
    assert caught.value.sqlstate in {"22012", "22P02"}
    assert scan.scan(session, [rule for rule in chosen if rule.name != "mine"]).scanned


def test_what_is_not_the_rules_fault_is_not_blamed_on_it(scout_db: str, session: Session) -> None:
    chosen = rules.choose()
    with psycopg.connect(scout_db) as migration:
        migration.execute("LOCK TABLE scout.silver_line_items IN ACCESS EXCLUSIVE MODE")
        for attempt in (scan.check, scan.scan):
            with pytest.raises(DatabaseError) as caught:
                attempt(session, chosen)
            assert caught.value.sqlstate == "55P03"
        migration.rollback()
    with open_session(Settings(scout_db, statement_timeout_seconds=0.001)) as hasty:
        with pytest.raises(DatabaseError) as caught:
            scan.scan(hasty, own("length(repeat(md5(t::text), 1000)) = 7"))
        assert caught.value.sqlstate == "57014"
    role = "SET ROLE dashboard_reader"
    with open_session(Settings(scout_db)) as reader:
        run(scout_db, "REVOKE ALL ON scout.silver_line_items FROM dashboard_reader, PUBLIC")
        reader.connection.outside(role)
        with pytest.raises(MissingPrivilege, match="silver_line_items"):
            scan.check(reader, chosen)
    run(scout_db, f"SELECT pg_terminate_backend({session.facts.backend_pid})")
    with pytest.raises((ConnectionLost, psycopg.OperationalError)):
        scan.scan(session, chosen)


MEANT = [
        ("t.store_id LIKE '%%'", "true"),
        ("t.store_id LIKE '%1%'", "store_id LIKE '%1%'"),
        ("store_id = '%s' OR store_id = '%(start)s' OR store_id LIKE 'S00_'", "store_id LIKE 'S00_'"),
        ("t.item_count %2= 1", "item_count % 2 = 1"),
        ("item_count %(2) = 1", "item_count % 2 = 1"),
        ("t.store_id ~ '^S\\d+[13]$' AND '{}' <> '{x}'", "store_id ~ '[13]$'"),
        ("total_amount > 100 OR NULL", "total_amount > 100"),
        ("NOT EXISTS (SELECT FROM scout.dim_store AS s WHERE s.store_id = t.store_id AND s.region = t.region)", "false"),
        ("(SELECT count(*) FROM scout.silver_line_items AS l WHERE l.transaction_id = t.transaction_id) > 2",
         "transaction_id IN (SELECT transaction_id FROM scout.silver_line_items GROUP BY 1 HAVING count(*) > 2)"),
]  # fmt: skip


def test_a_predicate_means_what_it_says(scout_db: str, session: Session, subtests: pytest.Subtests) -> None:
    for predicate, expected in MEANT:
        with subtests.test(msg=predicate):
            chosen = own(predicate)
            scan.check(session, chosen)
            meant = f"SELECT transaction_id FROM scout.silver_transactions WHERE {expected}"
            assert set(moved(session, chosen)) == {row[0] for row in rows(scout_db, meant)}
            report = scan.scan(session, chosen, scan.Scope(datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)))
            assert report.findings[0].violations == len(moved(session, chosen)) == report.moving.transactions


def test_no_text_that_is_accepted_gets_out_of_its_parentheses(session: Session) -> None:
    pieces = ["'", "''", "E'", "e'", "U&'", "B'", "N'", "\\", "\\'", ")", "(", ") OR (", " OR ", "true", "\n", '"', "$$", "--", "/*",
              "*/", "1", "1e", "%", "%%", " ", ";", "x", "[", "]", "'a'", " true ", "ARRAY[", "= ", "'t'"]  # fmt: skip
    dice, executed = random.Random(20260102), 0
    for _ in range(60_000):
        predicate = "".join(dice.choices(pieces, k=dice.randint(1, 7)))
        if not predicate.strip() or predicates.defect(predicate):
            continue
        [rule] = own(predicate)
        query = sql.SQL("SELECT count(*) AS rows FROM scout.silver_transactions AS t WHERE false AND ({})").format(
            scan.violates([rule])
        )
        try:
            with session.read():
                [row] = session.connection.execute(query, {"never": 1}).fetchall()
        except (psycopg.ProgrammingError, psycopg.DataError, psycopg.NotSupportedError):
            continue
        executed += 1
        assert row["rows"] == 0, predicate
    assert executed > 100


def test_a_backslash_is_refused_where_it_would_be_read_in_another_way(scout_db: str, session: Session) -> None:
    tricky = own("t.store_id = '\\' OR t.store_id = ') OR (true'")
    scan.check(session, own("t.store_id = E'\\'' OR t.store_id ~ '\\d'"))
    session.connection.outside("SET standard_conforming_strings = off")
    with pytest.raises(BadInput, match="standard_conforming_strings"):
        scan.check(session, tricky)
    scan.check(session, own("t.store_id = E'\\''"))


def test_deployments_with_more_columns_and_odd_clocks(scout_db: str, session: Session) -> None:
    more = ", ".join(
        f"ADD {name} text DEFAULT 'x'" for name in ("rule", "item", "sample", "at", "amount", "t", "l", "b", '"Odd Ñ"')
    )
    run(
        scout_db,
        *(f"ALTER TABLE {table} {more}" for table in (SALES, LINES, EVENTS)),
        f"UPDATE {SALES} SET total_amount = -1, ts = 'infinity', processed_at = NULL WHERE transaction_id = {FIRST}",
        f"UPDATE {SALES} SET total_amount = -1, ts = '9999-12-31', date_key = 'infinity' "
        f"WHERE transaction_id = (SELECT max(transaction_id) FROM {SALES})",
        f"UPDATE {EVENTS} SET event_ts = '-infinity', ingested_at = '0044-03-15 BC' WHERE event_id = "
        f"(SELECT event_id FROM {EVENTS} LIMIT 1)",
    )
    mine = {
        "name": "mine",
        "table": "silver_line_items",
        "predicate": "\"Odd Ñ\" = 'x' AND discount_amount = 0 AND rule = item",
    }
    events = {"name": "events", "table": "bronze_events", "predicate": "NOT isfinite(event_ts)"}
    chosen = rules.choose([mine, events])
    scan.check(session, chosen)
    report = scan.scan(session, chosen)
    document = {rule["name"]: rule for rule in report.as_dict()["rules"]}
    assert json.dumps(document)
    assert document["mine"]["violations"] == report.scanned[LINES]
    assert document["negative_total"]["window"] == {"start": "9999-12-31T00:00:00+00:00", "end": "infinity"}
    assert document["negative_total"]["gold_days"][-1] == "infinity"
    assert document["events"]["window"]["start"] == "-infinity"
    assert "BC" in document["events"]["processed"]["start"]


def test_an_empty_database_has_nothing_wrong(scout_db: str, session: Session) -> None:
    run(scout_db, "TRUNCATE scout.silver_transactions, scout.bronze_events CASCADE")
    report = scan.scan(session, [*rules.choose(), *own("true", "bronze_events")])
    assert report.scanned == {SALES: 0, LINES: 0, EVENTS: 0}
    assert (found(report), report.systemic, report.moving.transactions) == ({}, [], 0)
    assert scan.scan(session, []).as_dict()["rules"] == []
    scan.check(session, [])
