# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever columns, triggers and foreign keys a deployment added: rows move exactly, or they do not move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg.conninfo import conninfo_to_dict

from ansible_collections.scout.drills.plugins.plugin_utils.reference.oracle import (
    ZERO,
    bronze,
    silver_is_what_bronze_makes,
    where,
)
from tests.integration.modules import connect, rows
from tests.integration.oracle import arrive, payloads_of
from tests.integration.outcomes import ran, refused, scout_tables
from tests.scout.fixtures import small

SEED = 60_606
#: Each moved table with a column that tells its rows apart.
TABLES = {
    "bronze_events": "event_id",
    "silver_transactions": "id",
    "silver_line_items": "line_id",
    "etl_processed": "event_id",
}
scout_template = small(60)
sale = payloads_of(SEED)


@contextmanager
def tampered(dsn: str, statements: str) -> Iterator[None]:
    """With a trigger of this kind."""
    with connect(dsn) as connection:
        connection.execute(statements)  # type: ignore[call-overload]
        try:
            yield
        finally:
            connection.execute("DROP FUNCTION tamper CASCADE")


def loaded(dsn: str, count: int = 3) -> list[str]:
    """Ids of events that the ETL has been through, the last a correction of the first."""
    ids = arrive(dsn, [*(sale(number) for number in range(1, count)), sale(1, net_amount=1)])
    ran("scout_drain", dsn)
    return [*map(str, ids)]


# --- columns

TYPES = """
CREATE TYPE scout.mood AS ENUM ('so "so"', 'fine');
CREATE TYPE scout.place AS (name text, spot point, tags text[]);
CREATE DOMAIN scout.code AS text CHECK (VALUE <> '');
CREATE DOMAIN scout.amounts AS numeric[];
CREATE TYPE scout.stretch AS RANGE (subtype = numeric)
"""

#: Type and the values that a careless copy would change; each value goes to a row of its own.
COLUMNS: dict[str, tuple[str, ...]] = {
    "json": ("""'{"b":  1, "a": 2, "b": 3}'""", "'null'"),
    "jsonb": ("'null'", """'{"n": 1.50, "big": 12345678901234567890.123, "a": [null, {}]}'""", "'\"text\"'", "NULL"),
    "jsonb[]": ("""ARRAY['null', '{"a": 1}', NULL]::jsonb[]""",),
    "text": ("''", "'null'", "E'tab\\t newline\\n back\\\\slash'", "repeat('läng', 10000)"),
    "text[]": ("ARRAY['a,b', '\"', NULL, 'NULL', '', '\\']", "'{}'", "'[2:3]={a,b}'", "'{{a,b},{c,d}}'"),
    "char(5)": ("'a'", "''"),
    '"char"': ("'\\200'", "''"),
    "varchar(3)": ("'   '",),
    "name": ("'scout'",),
    "numeric": ("'NaN'", "1.50", "'Infinity'", "1e-200", "12345678901234567890.1234567890"),
    "numeric(12,4)": ("1.5",),
    "float8": ("'NaN'", "'infinity'", "'-0'", "0.1::float8 + 0.2::float8", "5e-324"),
    "float4": ("1.1", "'-infinity'", "1e-45"),
    "int8": ("9223372036854775807",),
    "money": ("'-1234.56'",),
    "bool": ("false", "NULL"),
    "interval": ("'1 mon -2 days 03:04:05.000006'", "'-1 year'", "'36:00:00'"),
    "timestamptz": ("'infinity'", "'2026-01-02 03:04:05.123456+08'", "'0044-03-15 00:00:00.000001+00 BC'", "'294000-01-01 UTC'"),
    "timestamp": ("'-infinity'", "'0044-03-15 12:00:00.000001 BC'"),
    "timestamptz[]": ("ARRAY['infinity', '2026-01-02 03:04:05.000001+00']::timestamptz[]",),
    "date": ("'-infinity'", "'0001-01-01 BC'"),
    "time": ("'24:00'", "'00:00:00.000001'"),
    "timetz": ("'23:59:59.999999+14'",),
    "bytea": ("'\\x00ff5c27'", "''"),
    "bit(3)": ("B'101'",),
    "varbit": ("B''", "B'0001'"),
    "inet": ("'10.0.0.1/8'", "'::1'"),
    "macaddr": ("'08:00:2b:01:02:03'",),
    "xid8": ("'18446744073709551615'",),
    "oid": ("4294967295",),
    "regtype": ("'integer'",),
    "tsvector": ("'''a b'':1A c:2'",),
    "point": ("'(1.5,0.30000000000000004)'",),
    "tstzrange": ("'[2026-01-01, infinity)'", "'empty'", "'(,)'"),
    "int4multirange": ("'{[1,3), [5,)}'",),
    "scout.stretch": ("'[1.50, 2.5)'",),
    "scout.mood": ("'so \"so\"'",),
    "scout.mood[]": ("ARRAY['fine', NULL]::scout.mood[]",),
    "scout.place": ("ROW('x \"y\"', point(1.5, 2), ARRAY['a,b'])", "ROW(NULL, NULL, NULL)", "NULL"),
    "scout.place[]": ("ARRAY[ROW(NULL, NULL, NULL)::scout.place, NULL]",),
    "scout.code": ("' '",),
    "scout.amounts": ("ARRAY[1.50, 'NaN']::numeric[]",),
    "xml": ("'<a b=\"1\">text</a>'",),
}  # fmt: skip

NAMES = ('"Mixed ""Ñame"', '"100%"', '"%(id)s"', '"event"', '"key"', '"a.b"', '"select"', '"{}"', '"$1"', '" "')


def widen(dsn: str, *, without: tuple[str, ...] = ()) -> None:
    """Gives every moved table a column of each type, odd names, and columns that PostgreSQL fills by itself."""
    with connect(dsn) as connection:
        connection.execute(TYPES)
        for table in TABLES:
            adds = [f"ADD x{number} {kind}" for number, kind in enumerate(COLUMNS) if kind not in without]
            adds += [f"ADD {name} text DEFAULT 'default'" for name in NAMES]
            adds += [
                "ADD dropped int", "ADD serial bigint GENERATED BY DEFAULT AS IDENTITY",
                "ADD defaulted timestamptz DEFAULT clock_timestamp()", "ADD noted text NOT NULL DEFAULT 'noted'",
                "ADD doubled text GENERATED ALWAYS AS (noted || noted) STORED",
            ]  # fmt: skip
            connection.execute(f"ALTER TABLE scout.{table} {', '.join(adds)}")  # type: ignore[call-overload]
            connection.execute(f"ALTER TABLE scout.{table} DROP dropped")  # type: ignore[call-overload]
        connection.execute("ALTER TABLE scout.bronze_events ADD counter bigint GENERATED ALWAYS AS IDENTITY")


def fill(dsn: str, *, without: tuple[str, ...] = ()) -> None:
    """Spreads the values over the rows, so that each value stands in some row of each table."""
    most = max(map(len, COLUMNS.values()))
    with connect(dsn) as connection:
        for table, key in TABLES.items():
            for turn in range(most):
                sets = [
                    f"x{number} = {values[turn % len(values)]}"
                    for number, (kind, values) in enumerate(COLUMNS.items())
                    if kind not in without
                ]
                sets += [f"{name} = {'NULL' if turn == 1 else repr(f'v{turn}')}" for name in NAMES]
                numbered = f"SELECT {key}, row_number() OVER (ORDER BY {key}) AS n FROM scout.{table}"
                connection.execute(
                    f"UPDATE scout.{table} AS t SET {', '.join(sets)} FROM ({numbered}) AS r "  # type: ignore[call-overload]
                    f"WHERE r.{key} = t.{key} AND n % {most} = {turn}"
                )


ODD_SETTINGS = """
ALTER DATABASE {0} SET bytea_output = 'escape';
ALTER DATABASE {0} SET extra_float_digits = -5;
ALTER DATABASE {0} SET IntervalStyle = 'sql_standard';
ALTER DATABASE {0} SET DateStyle = 'German';
ALTER DATABASE {0} SET timezone = 'Asia/Manila';
ALTER DATABASE {0} SET search_path = 'nowhere';
ALTER DATABASE {0} SET quote_all_identifiers = 'on';
ALTER DATABASE {0} SET default_transaction_isolation = 'serializable';
"""


@pytest.mark.parametrize("odd", [False, True], ids=["", "odd settings"])
def test_columns_of_every_type_come_back_exactly(scout_db: str, odd: bool) -> None:
    # Values of xml need a server that was built with it.
    missing = () if rows(scout_db, "SELECT FROM pg_config() WHERE setting LIKE '%--with-libxml%'") else ("xml",)
    widen(scout_db, without=missing)
    loaded(scout_db)
    fill(scout_db, without=missing)
    if odd:
        with connect(scout_db) as connection:
            connection.execute(ODD_SETTINGS.format(conninfo_to_dict(scout_db)["dbname"]))  # type: ignore[call-overload]
    before, written = scout_tables(scout_db), bronze(scout_db)
    away = ran("scout_quarantine", scout_db, window_start="2000-01-01T00:00:00Z")
    assert bronze(scout_db) == {}
    back = ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before
    ran("scout_undo", scout_db, run_id=back["run_id"])
    ran("scout_redrive", scout_db, run_id=away["run_id"])
    assert bronze(scout_db) == written


def test_a_column_that_is_gone_since_is_named_and_nothing_returns(scout_db: str) -> None:
    ids = loaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute("ALTER TABLE scout.silver_line_items ADD shelf text DEFAULT 'A1'")
        away = ran("scout_quarantine", scout_db, event_ids=ids)
        connection.execute("ALTER TABLE scout.silver_line_items DROP shelf, ADD floor int NOT NULL DEFAULT 3")
        result = refused("scout_undo", scout_db, run_id=away["run_id"])
        assert [w for w in ("shelf", "scout.silver_line_items") if w not in result["msg"]] == []
        connection.execute("ALTER TABLE scout.silver_line_items ADD shelf text")
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert rows(scout_db, "SELECT DISTINCT floor FROM scout.silver_line_items") == [(3,)]


def test_an_image_that_the_table_no_longer_takes_stays_where_it_is(scout_db: str) -> None:
    ids = loaded(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=ids)
    with connect(scout_db) as connection:
        connection.execute(
            "ALTER TABLE scout.bronze_events ADD CONSTRAINT sane CHECK (source_system <> 'edge') NOT VALID"
        )
    result = refused("scout_undo", scout_db, run_id=away["run_id"])
    assert "sane" in result["msg"]


# --- triggers

IN_DLQ = "CREATE TRIGGER tamper BEFORE INSERT ON scout.bronze_events_dlq FOR EACH ROW EXECUTE FUNCTION tamper()"
FUNCTION = "CREATE FUNCTION tamper() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$; {}"


def on(table: str, when: str, body: str) -> str:
    trigger = f"CREATE TRIGGER tamper {when} ON scout.{table} FOR EACH ROW EXECUTE FUNCTION tamper()"
    return FUNCTION.format(body, trigger)


TAMPERING = {
    "payload altered": on("bronze_events_dlq", "BEFORE INSERT", "NEW.original_payload := '{}'; RETURN NEW;"),
    "payload altered afterwards": on(
        "bronze_events_dlq", "AFTER INSERT",
        "UPDATE scout.bronze_events_dlq SET original_payload = '{}' WHERE dlq_id = NEW.dlq_id; RETURN NULL;",
    ),
    "an event's column altered": on(
        "bronze_events_dlq", "BEFORE INSERT",
        "NEW.error_details := jsonb_set(NEW.error_details, '{event,event_hash}', 'null'); RETURN NEW;",
    ),
    "a line altered": on(
        "bronze_events_dlq", "BEFORE INSERT",
        "NEW.error_details := jsonb_set(NEW.error_details, '{lines,0,quantity}', '77', false); RETURN NEW;",
    ),
    "the sale altered": on(
        "bronze_events_dlq", "BEFORE INSERT",
        "NEW.error_details := jsonb_set(NEW.error_details, '{transaction,total_amount}', '77', false); RETURN NEW;",
    ),
    "the ledger row altered": on(
        "bronze_events_dlq", "BEFORE INSERT",
        "NEW.error_details := jsonb_set(NEW.error_details, '{ledger,processed_at}', '\"2001-01-01\"', false); RETURN NEW;",
    ),
    "a requeued row altered": on(
        "bronze_events_dlq", "BEFORE INSERT",
        "NEW.error_details := jsonb_set(NEW.error_details, '{requeued,0,processed_at}', '\"2001-01-01\"', false); RETURN NEW;",
    ),
    "a line dropped": on("bronze_events_dlq", "BEFORE INSERT", "NEW.error_details := NEW.error_details #- '{lines,0}'; RETURN NEW;"),
    "the sale dropped": on("bronze_events_dlq", "BEFORE INSERT", "NEW.error_details := NEW.error_details - 'transaction'; RETURN NEW;"),
    "the ledger row dropped": on("bronze_events_dlq", "BEFORE INSERT", "NEW.error_details := NEW.error_details - 'ledger'; RETURN NEW;"),
    "what is requeued dropped": on(
        "bronze_events_dlq", "BEFORE INSERT", "NEW.error_details := NEW.error_details - 'requeued'; RETURN NEW;"
    ),
    "dropped": on("bronze_events_dlq", "BEFORE INSERT", "RETURN NULL;"),
    "stored twice": on(
        "bronze_events_dlq", "AFTER INSERT",
        "IF pg_trigger_depth() = 1 THEN INSERT INTO scout.bronze_events_dlq (original_payload, error_code, error_message, error_details)"
        " VALUES (NEW.original_payload, NEW.error_code, NEW.error_message, NEW.error_details); END IF; RETURN NULL;",
    ),
    "kept in bronze": on("bronze_events", "BEFORE DELETE", "RETURN NULL;"),
    "put back into bronze": on("bronze_events", "AFTER DELETE", "INSERT INTO scout.bronze_events VALUES (OLD.*); RETURN NULL;"),
    "kept in silver": on("silver_transactions", "BEFORE DELETE", "RETURN NULL;"),
    "put back into silver": on(
        "silver_transactions", "AFTER DELETE", "INSERT INTO scout.silver_transactions VALUES (OLD.*); RETURN NULL;"
    ),
    "lines kept": on("silver_line_items", "BEFORE DELETE", "RETURN NULL;"),
    "still in the ledger": on("etl_processed", "BEFORE DELETE", "RETURN NULL;"),
    "an error": on("bronze_events_dlq", "BEFORE INSERT", "RAISE 'not today';"),
}  # fmt: skip


def test_nothing_moves_unless_what_is_stored_equals_what_is_removed(scout_db: str, subtests: pytest.Subtests) -> None:
    """Each kind is tried with a sale of its own, of which another event stays."""
    ids = arrive(scout_db, [sale(n, **more) for more in ({}, {"net_amount": 1}) for n in range(len(TAMPERING))])
    ran("scout_drain", scout_db)
    first = [str(event) for event in ids[: len(TAMPERING)]]
    for (how, tampering), event in zip(TAMPERING.items(), first, strict=True):
        with subtests.test(msg=how), tampered(scout_db, tampering):
            assert refused("scout_quarantine", scout_db, event_ids=[event])["error"]["next_step"]
    away = ran("scout_quarantine", scout_db, event_ids=first)
    assert (away["moved"]["events"], away["requeued"]) == (len(TAMPERING), len(TAMPERING))


TAMPERED_RETURN = {
    "event altered": on("bronze_events", "BEFORE INSERT", "NEW.ingested_at := now(); RETURN NEW;"),
    "event dropped": on("bronze_events", "BEFORE INSERT", "RETURN NULL;"),
    "sale altered": on("silver_transactions", "BEFORE INSERT", "NEW.updated_at := now(); RETURN NEW;"),
    "line dropped": on("silver_line_items", "BEFORE INSERT", "RETURN NULL;"),
    "line altered afterwards": on(
        "silver_line_items", "AFTER INSERT", "UPDATE scout.silver_line_items SET quantity = 9 WHERE line_id = NEW.line_id; RETURN NULL;"
    ),
    "ledger row altered": on("etl_processed", "BEFORE INSERT", "NEW.processed_at := now(); RETURN NEW;"),
    "dead letter kept": on("bronze_events_dlq", "BEFORE DELETE", "RETURN NULL;"),
}  # fmt: skip


def test_nothing_returns_unless_it_is_the_very_same(scout_db: str, subtests: pytest.Subtests) -> None:
    ids = loaded(scout_db)
    before = scout_tables(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=ids)
    for how, tampering in TAMPERED_RETURN.items():
        with subtests.test(msg=how), tampered(scout_db, tampering):
            refused("scout_undo", scout_db, run_id=away["run_id"])
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before


# --- foreign keys

SALE_KEY = "transaction_id text DEFAULT NULL REFERENCES scout.silver_transactions (transaction_id)"

REFERENCES = {
    "cascade from a sale": ("silver_transactions", f"{SALE_KEY} ON DELETE CASCADE"),
    "set null from a sale": ("silver_transactions", f"{SALE_KEY} ON DELETE SET NULL"),
    "set default from a sale": ("silver_transactions", f"{SALE_KEY} ON DELETE SET DEFAULT"),
    "cascade from a line": ("silver_line_items", "line_id uuid REFERENCES scout.silver_line_items ON DELETE CASCADE"),
    "cascade from an event": ("bronze_events", "event_id uuid REFERENCES scout.bronze_events ON DELETE CASCADE"),
    "cascade from the ledger": ("etl_processed", "event_id uuid REFERENCES scout.etl_processed ON DELETE CASCADE"),
}


def test_a_table_that_would_lose_rows_unseen_is_named_and_nothing_moves(
    scout_db: str, subtests: pytest.Subtests
) -> None:
    ids = loaded(scout_db)
    lost = "SELECT l::text FROM public.loyalty AS l ORDER BY 1"
    with connect(scout_db) as connection:
        for reference, (source, column) in REFERENCES.items():
            with subtests.test(msg=reference):
                connection.execute(f"CREATE TABLE public.loyalty ({column})")  # type: ignore[call-overload]
                connection.execute(f"INSERT INTO public.loyalty SELECT {column.split()[0]} FROM scout.{source}")  # type: ignore[call-overload]
                before = rows(scout_db, lost)
                try:
                    assert "loyalty" in refused("scout_quarantine", scout_db, event_ids=ids)["msg"]
                    assert rows(scout_db, lost) == before
                finally:
                    connection.execute("DROP TABLE public.loyalty")
    assert ran("scout_quarantine", scout_db, event_ids=ids)["changed"]


def test_a_table_that_only_refers_says_so_through_postgres(scout_db: str) -> None:
    ids = loaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            "CREATE TABLE public.loyalty (transaction_id text REFERENCES scout.silver_transactions (transaction_id))"
        )
        connection.execute(
            "INSERT INTO public.loyalty SELECT transaction_id FROM scout.silver_transactions WHERE source_event_id = %s",
            [ids[0]],
        )
    result = refused("scout_quarantine", scout_db, event_ids=ids)
    assert "loyalty" in result["msg"]
    ran("scout_quarantine", scout_db, event_ids=ids[1:2])


def test_stores_that_sales_refer_to_do_not_stand_in_the_way(scout_db: str) -> None:
    ids = loaded(scout_db)
    with connect(scout_db) as connection:
        connection.execute(
            "ALTER TABLE scout.silver_transactions ADD FOREIGN KEY (store_id) REFERENCES scout.dim_store"
        )
    before = scout_tables(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=ids)
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before


def test_lines_without_a_cascade_go_before_their_sale(scout_db: str) -> None:
    with connect(scout_db) as connection:
        connection.execute(
            "ALTER TABLE scout.silver_line_items DROP CONSTRAINT fk_item_transaction, ADD CONSTRAINT fk_item_transaction"
            " FOREIGN KEY (transaction_id) REFERENCES scout.silver_transactions (transaction_id)"
        )
    ids = loaded(scout_db)
    before, written = scout_tables(scout_db), bronze(scout_db)
    away = ran("scout_quarantine", scout_db, event_ids=ids[:2])
    assert where(scout_db, written) == ZERO
    assert silver_is_what_bronze_makes(scout_db) == {}
    ran("scout_undo", scout_db, run_id=away["run_id"])
    assert scout_tables(scout_db) == before
