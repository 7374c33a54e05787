# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills a clone with generated events, by what its tables accept, and has its own functions make silver of them."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.errors import NotConverged
from ansible_collections.scout.recovery.plugins.module_utils.recovery.core.text import count
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.driver import psycopg, sql
from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.failures import attempting
from ansible_collections.scout.recovery.plugins.module_utils.recovery.scout import contract

from ...reference import builder
from ...reference.events import generator, stores_and_products

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ansible_collections.scout.recovery.plugins.module_utils.recovery.postgres.session import Session

#: What is in the shops' catalogs, where a clone has such tables.
DIMENSIONS: t.Final = (
    ("dim_region", ("region_key", "region_name", "area_sqkm", "population"), stores_and_products.regions),
    ("dim_store", ("store_id", "store_name", "region", "province", "city"), stores_and_products.stores),
    (
        "dim_product",
        ("product_id", "product_key", "product_name", "brand_name", "category", "list_price"),
        stores_and_products.products,
    ),
)
#: Tables that have rows in a clone; whatever refers to them is to hold.
FILLED: t.Final = (
    contract.DEFAULT.bronze,
    contract.DEFAULT.transactions,
    *(f"{contract.DEFAULT.schema}.{name}" for name, _, _ in DIMENSIONS),
)
#: How often an ETL that takes less than it is asked for is asked again.
TURNS: t.Final = 50

COLUMNS: t.Final = """
SELECT a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required, a.attgenerated <> '' AS generated,
       CASE WHEN y.typtype = 'e' THEN 'E' ELSE y.typcategory::text END AS category,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisunique AND i.indnkeyatts = 1
               AND i.indkey[0] = a.attnum) AS alone,
       (SELECT e.enumlabel::text FROM pg_catalog.pg_enum AS e WHERE e.enumtypid = y.oid ORDER BY e.enumsortorder LIMIT 1) AS label
FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
"""
#: What is put into a column that must have a value and of which nothing is known, by the category of its type.
SOMETHING: t.Final = {"S": "'drill'", "N": "0", "B": "false", "D": "now()", "T": "interval '0'", "A": "'{}'"}
#: The same where no two rows may have the same.
SOMETHING_ELSE: t.Final = {"S": "'drill-' || gen_random_uuid()", "N": "floor(random() * 2e9)"}
BY_TYPE: t.Final = {"uuid": "gen_random_uuid()", "jsonb": "'{}'", "json": "'{}'", "bytea": "''"}

STAGE: t.Final = """
CREATE TEMPORARY TABLE drill_events (event_id uuid, event_type text, event_ts timestamptz, source_system text, event_data jsonb,
                                     event_hash bytea, ingested_at timestamptz)
"""
STAGED: t.Final = (
    "event_id", "event_type", "event_ts", "source_system", "event_data", "event_hash", "ingested_at",
)  # fmt: skip
HASHES: t.Final = "SELECT to_regprocedure('scout.canonical_event_hash(jsonb)') IS NOT NULL AS there"
LOAD: t.Final = "SELECT FROM scout.load_silver_from_bronze(%(events)s)"
LINK: t.Final = "SELECT FROM scout.link_products_to_catalog(%(events)s)"
PENDING: t.Final = """
SELECT count(*)::int AS events FROM scout.bronze_events AS b WHERE event_type = %(type)s
  AND NOT EXISTS (SELECT FROM scout.etl_processed AS p WHERE p.event_id = b.event_id)
"""

#: A constraint as it was made, whichever partition it was met in.
CONSTRAINT: t.Final = """
WITH RECURSIVE up AS (
    SELECT c.* FROM pg_catalog.pg_constraint AS c
    WHERE c.conname = %(name)s AND c.conrelid = to_regclass(format('%%I.%%I', %(schema)s::text, %(table)s::text))
    UNION ALL
    SELECT c.* FROM up JOIN pg_catalog.pg_constraint AS c ON c.oid = up.conparentid
)
SELECT r.relname::text AS table, n.nspname::text AS schema, up.conname::text AS name, up.contype::text AS kind,
       up.confrelid::regclass::text AS other, ARRAY(
    SELECT a.attname::text FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.oid AND a.attnum = ANY (up.conkey)) AS columns
FROM up JOIN pg_catalog.pg_class AS r ON r.oid = up.conrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = r.relnamespace
WHERE up.conparentid = 0
"""


@dataclasses.dataclass(frozen=True)
class _Column:
    """A column of a table that is filled."""

    name: str
    type: str
    required: bool
    generated: bool
    category: str
    alone: bool
    label: str | None

    @property
    def something(self) -> str | None:
        """A value for it, in SQL, where nothing better is known."""
        if self.label is not None:
            return sql.Literal(self.label).as_string()
        found = BY_TYPE.get(self.type) or (SOMETHING_ELSE if self.alone else {}).get(self.category)
        found = found or SOMETHING.get(self.category)
        # As a cast it is cut to the length that the column has.
        return f"({found})::{self.type}" if found else None


def fill(session: Session, events: int, seed: int) -> list[str]:
    """Events of some days, loaded by the clone's own ETL; says what of it the clone did not take."""
    lacks: list[str] = []
    for table, columns, rows in DIMENSIONS:
        bring = functools.partial(_catalog, session, table, columns, rows())
        _try(session, f"rows of {contract.DEFAULT.schema}.{table}", lacks, bring)
    if not events:
        return lacks
    with attempting("could not fill the clone with generated events", on=session.where):
        made_up = _defaults(session)
        lacks += [
            f"a value for {contract.DEFAULT.bronze}.{name} in generated events, so the clone gives it a default"
            for name in made_up
        ]
        times = generator.clock(events, session.row("SELECT now() AS now")["now"])
        session.connection.execute(STAGE)
        # A correction in the same batch as its sale would poison the batch, so it comes in a later one.
        for corrections in (False, True):
            numbers = [n for n in range(events) if (generator.corrects(n) is not None) == corrections]
            arriving = list(generator.events(seed, times, numbers))
            came = _unbound(session, lacks, made_up, functools.partial(_arrive, session, arriving))
            if came < len(arriving):
                lacks.append(
                    f"{count(len(arriving) - came, 'generated event')} that {contract.DEFAULT.bronze} does not take"
                )
            _load(session, events, lacks)
        session.connection.execute("DROP TABLE drill_events")
    if left := session.row(PENDING, type=contract.DEFAULT.transaction_event)["events"]:
        lacks.append(f"{count(left, 'generated event')} that its {contract.DEFAULT.etl} does not load")
    _try(session, "links to products", lacks, lambda: session.execute(LINK, events=events))
    _try(session, "times at which the events were loaded", lacks, lambda: session.connection.execute(builder.AGE))
    return lacks


def _unbound(session: Session, lacks: list[str], made_up: Sequence[str], do: t.Callable[[], int]) -> int:
    """What it does, without the constraints that stand in its way only because a clone has no data but generated events: a
    reference to a table of others, which is empty here, and a check of a column whose value is made up. Says which."""
    while True:
        try:
            with session.connection.transaction():
                return do()
        except (psycopg.errors.ForeignKeyViolation, psycopg.errors.CheckViolation) as e:
            if not (dropped := _dropped(session, e, made_up)):
                raise
            lacks.append(dropped)


def _dropped(session: Session, error: psycopg.Error, made_up: Sequence[str]) -> str:
    """What is said of the constraint, once it is dropped; nothing where the events are to meet it."""
    diag = error.diag
    for row in session.rows(CONSTRAINT, schema=diag.schema_name, table=diag.table_name, name=diag.constraint_name):
        if row["kind"] == "f" and row["other"] not in FILLED:
            why = f"to {row['other']}, which has no such rows in a clone"
        elif row["kind"] == "c" and not set(made_up).isdisjoint(row["columns"]):
            why = "that a value made up for generated events does not meet"
        else:
            return ""
        table, name = sql.Identifier(row["schema"], row["table"]), sql.Identifier(row["name"])
        session.connection.execute(sql.SQL("ALTER TABLE {} DROP CONSTRAINT {}").format(table, name))
        kind = "foreign key" if row["kind"] == "f" else "check"
        return f"{kind} {row['name']} of {row['schema']}.{row['table']} {why}, so the clone does without"
    return ""


def _try(session: Session, what: str, lacks: list[str], do: t.Callable[[], object]) -> None:
    """Something that a clone may do without."""
    try:
        with session.connection.transaction():
            do()
    except psycopg.Error as e:
        lacks.append(f"{what}: {e.diag.message_primary or e}")


def _columns(session: Session, table: str) -> list[_Column]:
    return [_Column(**row) for row in session.rows(COLUMNS, table=f"{contract.DEFAULT.schema}.{table}")]


def _catalog(session: Session, table: str, names: Sequence[str], rows: Iterable[tuple[object, ...]]) -> None:
    """The rows, as far as the table has such columns; nothing where there is no such table."""
    columns = _columns(session, table)
    taken = [(at, column) for at, name in enumerate(names) for column in columns if column.name == name]
    if not taken:
        return
    values = {column.name: f"%s::{column.type}" for _, column in taken}
    statement = _insert(session, table, columns, values, "VALUES ({})")
    with session.connection.cursor() as cursor:
        cursor.executemany(statement, [tuple(row[at] for at in _order(taken, columns)) for row in rows])


def _order(taken: Sequence[tuple[int, _Column]], columns: Sequence[_Column]) -> list[int]:
    """Which of the values comes first, where they are written in the order of the table."""
    return [at for column in columns for at, found in taken if found == column]


def _defaults(session: Session) -> list[str]:
    """Gives bronze's columns that must have a value a default, where the source has none: events also come in later on, which
    are no more than generated ones. Says which columns."""
    said: list[str] = []
    for column in _columns(session, "bronze_events"):
        if column.name in STAGED or not column.required or column.generated:
            continue
        table, name = sql.Identifier(*contract.DEFAULT.bronze.split(".")), sql.Identifier(column.name)
        default = sql.SQL(t.cast("t.LiteralString", _required(session, "bronze_events", column)))
        session.connection.execute(sql.SQL("ALTER TABLE {} ALTER {} SET DEFAULT {}").format(table, name, default))
        said.append(column.name)
    return said


def _required(session: Session, table: str, column: _Column) -> str:
    """A value for a column that must have one."""
    if column.something is None:
        raise NotConverged(
            "could not fill the clone with generated events",
            on=session.where,
            said=f"column {contract.DEFAULT.schema}.{table}.{column.name} must have a value, and of type {column.type} none is known",
            next_step="give the column a default, or a type of which values can be made",
        )
    return column.something


def _arrive(session: Session, events: Iterable[generator.Event]) -> int:
    """Brings the events into bronze, whatever that looks like; how many it took."""
    with session.connection.cursor() as cursor, cursor.copy("COPY drill_events FROM STDIN") as sink:
        for each in events:
            sink.write_row(
                (
                    each.event_id,
                    each.event_type,
                    each.event_ts,
                    each.source_system,
                    each.text,
                    each.event_hash,
                    each.ingested_at,
                )
            )
    columns = _columns(session, "bronze_events")
    values = {column.name: f"e.{column.name}::{column.type}" for column in columns if column.name in STAGED}
    for column in columns:
        if column.name == "event_hash":
            own = session.row(HASHES)["there"]
            digest = "e.event_hash" if column.type == "bytea" else "encode(e.event_hash, 'hex')"
            made = "scout.canonical_event_hash(e.event_data)" if own else digest
            values["event_hash"] = f"({made})::{column.type}"
    statement = _insert(session, "bronze_events", columns, values, "SELECT {} FROM drill_events AS e")
    came = session.connection.execute(statement).rowcount
    session.connection.execute("TRUNCATE drill_events")
    return came


def _insert(
    session: Session, table: str, columns: Sequence[_Column], values: dict[str, str], form: t.LiteralString
) -> sql.Composed:
    """The statement that puts these values into the table, in its order, and something into what else must have a value."""
    chosen: list[tuple[str, str]] = []
    for column in columns:
        value = None if column.generated else values.get(column.name)
        if value is None and column.required and not column.generated:
            value = _required(session, table, column)
        if value is not None:
            chosen.append((column.name, value))
    head = sql.SQL("INSERT INTO {} ({}) ").format(
        sql.Identifier(contract.DEFAULT.schema, table), sql.SQL(", ").join(sql.Identifier(name) for name, _ in chosen)
    )
    # Types come from format_type(), which writes them as SQL.
    listed = sql.SQL(", ").join(sql.SQL(t.cast("t.LiteralString", value)) for _, value in chosen)
    return head + sql.SQL(form).format(listed) + sql.SQL(" ON CONFLICT DO NOTHING")


def _load(session: Session, events: int, lacks: list[str]) -> None:
    """Has the clone's ETL load what waits, as long as it takes some of it."""
    before = None
    for _ in range(TURNS):
        waiting = session.row(PENDING, type=contract.DEFAULT.transaction_event)["events"]
        if not waiting or waiting == before:
            return
        before = waiting
        try:
            _unbound(session, lacks, (), lambda: session.connection.execute(LOAD, {"events": events}).rowcount)
        except psycopg.Error as e:
            raise NotConverged(
                f"the clone's {contract.DEFAULT.etl} fails on generated events, which a healthy one loads",
                on=session.where,
                said=e.diag.message_primary or str(e),
                sqlstate=e.sqlstate,
                next_step="see whether your sales differ from those of drills/plugins/plugin_utils/reference/events/generator.py",
            ) from e
