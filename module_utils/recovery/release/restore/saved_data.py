# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The data that a rollback would lose: what of it can be saved, saving it, and proof that what was restored is what
was saved."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import NotConverged
from ...core.text import count
from ...postgres.driver import sql
from ...postgres.identifiers import unquoted
from ...scout.judging import foreign_code
from ...scout.row_images import literal, named
from ..captures import document as captures_document
from ..captures import table_data
from ..catalog.entries import split_qualified
from ..planner import attributes, fill_statements
from ..planner.renames import before

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ...core.progress import Progress
    from ...postgres.session import Row, Session
    from ..captures.document import Document
    from ..captures.table_data import Protected
    from ..catalog.entries import Entry
    from ..planner.plan import Plan

HOLDS_ROWS: t.Final = "SELECT EXISTS (SELECT FROM {table}) AS some"
#: Of a parent its own, of a partitioned table those of its partitions.
HOLDS_OWN: t.Final = """
SELECT CASE WHEN c.relkind = 'p' THEN EXISTS (SELECT FROM {table}) ELSE EXISTS (SELECT FROM ONLY {table}) END AS some
FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(%(name)s)
"""

#: Where a sequence stands.
COUNTER: t.Final = "SELECT last_value::bigint AS last, is_called AS called FROM {sequence}"

#: Whether this capture's data is in the ledger of this database.
IS_KEPT: t.Final = "SELECT EXISTS (SELECT FROM scout_ops.protected_data WHERE capture_id = %(capture_id)s) AS there"

#: Whether a row is a table's own, and none of its children's; those of partitions are.
OWN: t.Final = """
(r.tableoid = pg_catalog.to_regclass(%(at)s)
 OR EXISTS (SELECT FROM pg_catalog.pg_class AS c WHERE c.oid = pg_catalog.to_regclass(%(at)s) AND c.relkind = 'p'))
"""

#: Of the rows that are kept and still there, those that have what was kept of them.
CAME_BACK: t.Final = """
SELECT count(*) AS found, count(*) FILTER (WHERE {same}) AS same
FROM {table} AS r JOIN scout_ops.protected_data AS d
  ON d.capture_id = %(capture_id)s AND d.relation = %(relation)s AND d.key = jsonb_object(ARRAY[{key}]::text[])
WHERE {own}
"""

#: Whether some row has nothing kept, and none in `instead`.
UNKEPT: t.Final = """
SELECT EXISTS (
    SELECT FROM {table} AS r WHERE {instead} IS NULL AND NOT EXISTS (
        SELECT FROM scout_ops.protected_data AS d
        WHERE d.capture_id = %(capture_id)s AND d.relation = %(relation)s AND d.key = jsonb_object(ARRAY[{key}]::text[])
          AND {own})
) AS some
"""

#: The rows of a table as a whole, and those that are kept of it.
WHOLE: t.Final = """
SELECT (SELECT count(*) FROM {table}) AS found,
       (SELECT coalesce(sum(jsonb_hash_extended(jsonb_object(ARRAY[{image}]::text[]), 0)), 0) FROM {table} AS r)
       = (SELECT coalesce(sum(jsonb_hash_extended(d.image, 0)), 0) FROM scout_ops.protected_data AS d
          WHERE d.capture_id = %(capture_id)s AND d.relation = %(relation)s) AS same
"""


#: What is known of a table without reading it; it may never have been analyzed.
SIZE: t.Final = """
SELECT reltuples::bigint AS rows, pg_catalog.pg_table_size(oid) AS bytes FROM pg_catalog.pg_class
WHERE oid = pg_catalog.to_regclass(%(name)s)
"""
#: What copying a row with its indexes took in benchmarks/README.md, and a byte of wide rows.
ROW_SECONDS: t.Final = 8e-6
BYTE_SECONDS: t.Final = 2e-8


@dataclasses.dataclass(frozen=True)
class Copied:
    """A table that is copied, for its columns to stand in their order: about how many rows and bytes, and about how many seconds
    nobody else can read or write it."""

    relation: str
    rows: int
    bytes: int
    locked_seconds: float


@dataclasses.dataclass(frozen=True)
class Going:
    """Data that a rollback would lose: what is saved of it first, and keys of what cannot be."""

    tables: tuple[Protected, ...]
    lost: tuple[str, ...]


def going(session: Session, found: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> Going:
    """What of the dropped data can be saved; inside the caller's transaction."""
    columns: dict[str, set[str]] = {}
    by_table: dict[str, list[str]] = {}
    tables: list[Protected] = []
    lost: list[str] = []
    whole: set[str] = set()
    for key in found.loses:
        entry = live[found.was.get(key, key)]
        if entry.kind == "table":
            made = table_data.going(session, _place(entry.name), None, ())
            # A partitioned table has no rows besides those of its partitions, which are tables of their own.
            tables += [made] if made and made.alone else []
        elif not _goes_with_parent(entry, found, live):
            table = entry.table
            columns.setdefault(table, set()).add(unquoted(entry.own))
            by_table.setdefault(table, []).append(key)
            # What makes room for another one of its name is told from that by its empty values as well.
            whole |= {table} if entry.key in found.filled else set()
            # One that is computed then is told from that by its empty values, too, when it comes back.
            whole |= {table} if key in wanted and wanted[key].facts.get("generated") is not None else set()
    for table, names in columns.items():
        inherits = live[f"table:{table}"].facts.get("inherits")
        made = None if inherits else table_data.going(session, _place(table), names, names)
        if made:
            tables.append(dataclasses.replace(made, only_values=made.only_values and table not in whole))
        elif _holds_rows(session, table, alone=True):
            lost += by_table[table]
    return Going(tuple(tables), tuple(lost))


def unsafe(
    session: Session, found: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry], kept: fill_statements.Kept
) -> tuple[str, ...]:
    """Sentences about why no row of the tables that a plan touches may be read: casts of others would run where they are texts, or
    they are on another server; inside the caller's transaction."""
    keys = [*(step.key for step in found.all_steps), *found.loses]
    columns: set[tuple[str, str]] = set()
    foreign: set[str] = set()
    for side, names in ((live, {found.was.get(key, key) for key in keys}), (wanted, {*keys})):
        touched = {
            e.name if e.kind == "table" else e.table for key in names if (e := side.get(key))
        } | kept.tables.keys()
        foreign |= {e.name for e in side.values() if e.kind == "table" and e.facts.get("foreign") and e.name in touched}
        columns |= {(e.table, e.facts["type"]) for e in side.values() if e.kind == "column" and e.table in touched}
    casts = foreign_code.casts(session, columns)
    told = [f"{one.describe()}, and would run with our rights: `{one.fix}`" for one in casts]
    return (*told, *(f"foreign table {name} differs, and foreign tables are not restored" for name in sorted(foreign)))


def inside_values(
    session: Session, found: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns whose values lose a part that nothing saves, and those that get an empty one, where there are rows; inside the
    caller's transaction."""
    columns = attributes.touched(found, live, wanted)
    gone = set(found.loses)

    def holding(keys: frozenset[str]) -> tuple[str, ...]:
        return tuple(key for key in sorted(keys) if key not in gone and _holds_rows(session, live[key].table))

    return holding(columns.losing), holding(columns.gaining)


def copied(session: Session, found: Plan) -> Iterator[Copied]:
    """What the copies of a plan come to; inside the caller's transaction."""
    for key in found.copied:
        name = found.was.get(key, key).partition(":")[2]
        row = session.row(SIZE, name=name)
        rows = row["rows"]
        if rows < 0:
            rows = session.row(sql.SQL("SELECT count(*) AS rows FROM {}").format(named(*_place(name))))["rows"]
        seconds = max(rows * ROW_SECONDS, row["bytes"] * BYTE_SECONDS)
        yield Copied(key.partition(":")[2], rows, row["bytes"], round(seconds, 1))


def _goes_with_parent(column: Entry, found: Plan, live: Mapping[str, Entry]) -> bool:
    """Whether it is a column of a partition that the partitioned table has as well."""
    table, own = column.table, column.own
    part: dict[str, str] = live[f"table:{table}"].facts.get("partition_of") or {}
    above = f"column:{part.get('table')}.{own}"
    return above in live and above in {found.was.get(key, key) for key in found.loses}


def comes_back_empty(session: Session, found: Plan) -> tuple[str, ...]:
    """What had data once, is restored, and has none; a column matters where there are rows. Inside the caller's
    transaction."""
    tables = ((key, _table_of(key, found)) for key in found.empty)
    return tuple(key for key, table in tables if key.startswith("table:") or _holds_rows(session, table, alone=True))


def without_value(
    session: Session,
    found: Plan,
    live: Mapping[str, Entry],
    wanted: Mapping[str, Entry],
    kept: fill_statements.Kept,
    empty: Iterable[str],
) -> list[str]:
    """Columns that must have a value in each row, where some row would have none: neither a default nor what was
    saved gives it. `empty` are those that are restored without any. Inside the caller's transaction."""
    keys = [*empty, *found.filled]
    needy = [key for key in keys if wanted[key].facts.get("not_null") and not fill_statements.has_default(wanted[key])]
    # What is computed so far stays, where nothing is kept.
    stands = {step.key for step in found.steps if step.does == "alter"}
    needy = [key for key in needy if key not in stands or key in found.filled]
    return [key for key in needy if key in empty or _has_unkept(session, found, live, wanted, key, kept)]


def _has_unkept(
    session: Session,
    found: Plan,
    live: Mapping[str, Entry],
    wanted: Mapping[str, Entry],
    key: str,
    kept: fill_statements.Kept,
) -> bool:
    column = wanted[key]
    relation, own = column.table, column.own
    saved = kept.tables[relation]

    now = {
        unquoted(split_qualified(key)[2]): unquoted(split_qualified(found.was.get(key, key))[2])
        for key in wanted
        if key.startswith(f"column:{relation}.")
    }
    # Where another one was added in its place, rows that came later keep what that holds.
    other = live.get(found.was.get(f"column:{relation}.{before(own)}", ""))
    aside = other is not None and other.facts["type"] == column.facts["type"]
    aside |= any(step.does == "alter" and step.key == key for step in found.steps)
    at = _table_of(column.key, found)
    parts: dict[str, sql.Composable] = {
        "own": sql.SQL(OWN),
        "table": named(*_place(at)),
        "instead": named("r", unquoted(own)) if aside else sql.SQL("NULL"),
        "key": sql.SQL(", ").join(
            sql.SQL("{}, {}::text").format(literal(each), named("r", now[each])) for each in saved.key
        ),
    }
    row = session.row(sql.SQL(UNKEPT).format(**parts), capture_id=saved.capture_id, relation=saved.relation, at=at)
    return row["some"]


def _table_of(key: str, found: Plan) -> str:
    """The table of a column as it is called now."""
    table = split_qualified(key.partition(":")[2])[0]
    return found.was.get(f"table:{table}", f"table:{table}").partition(":")[2]


def _holds_rows(session: Session, table: str, *, alone: bool = False) -> bool:
    query = sql.SQL(HOLDS_OWN if alone else HOLDS_ROWS).format(table=named(*_place(table)))
    return session.row(query, name=table)["some"]


def _place(name: str) -> tuple[str, str]:
    schema, _, own = split_qualified(name)
    return unquoted(schema), unquoted(own)


def hold(session: Session, tables: Iterable[Protected]) -> None:
    """From now on nobody writes these tables until the transaction ends; reading goes on."""
    for each in tables:
        session.execute(sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(each.identifier))


def save(session: Session, capture_id: str, tables: Iterable[Protected], progress: Progress) -> list[Row]:
    """Saves them under a capture; returns what a capture says of its data."""
    return [table_data.save(session, capture_id, each, progress) for each in tables]


def leaving(tables: Iterable[Protected], rows: Mapping[str, int]) -> int:
    """How many rows leave the live tables with tables that go as a whole; all of them are saved."""
    return sum(rows[each.relation] for each in tables if each.whole)


def counters(session: Session, names: Iterable[str]) -> dict[str, fill_statements.Counter]:
    """Where sequences stand."""
    made: dict[str, fill_statements.Counter] = {}
    for name in sorted(names):
        row = session.row(sql.SQL(COUNTER).format(sequence=named(*_place(name))))
        made[name] = (row["last"], row["called"])
    return made


def _holders(entries: Mapping[str, Entry]) -> dict[str, str]:
    """By the names of all sequences, those of identity columns too, the keys of what they belong to."""
    found = {e.name: e.key for e in entries.values() if e.kind == "sequence"}
    for e in entries.values():
        identity: dict[str, t.Any] = (e.facts.get("identity") if e.kind == "column" else None) or {}
        found |= {identity["sequence"]: e.key} if identity.get("sequence") else {}
    return found


def uncounted(found: Plan, live: Mapping[str, Entry], wanted: Mapping[str, Entry]) -> set[str]:
    """The sequences that are gone afterwards, or begin anew because they are recreated."""
    made = {found.was.get(step.key, step.key) for step in found.all_steps if step.does == "create"}
    after = _holders(wanted)
    return {name for name, key in _holders(live).items() if after.get(name) != key or key in made}


def kept(session: Session, document: Document, *, may_look: bool) -> fill_statements.Kept:
    """What can be restored with a capture; its data is in the ledger of its database alone, where one may look for
    it. Inside the caller's transaction."""
    counters: dict[str, fill_statements.Counter] = {
        name: (where[0], where[1]) for name, where in document.get("sequences", {}).items()
    }
    there = may_look and bool(document["protected"]) and _is_kept(session, document)
    found = [each for each in document["protected"] if there or (may_look and not each["rows"])]
    tables = {each["relation"]: _saved(document, each) for each in found}
    return fill_statements.Kept(tables, counters, frozenset(document.get("moved", ())))


def _is_kept(session: Session, document: Document) -> bool:
    return session.row(IS_KEPT, capture_id=document["capture_id"])["there"]


def _saved(document: Document, each: Row) -> fill_statements.Saved:
    return fill_statements.Saved(document["capture_id"], each["relation"], tuple(each["key"]), tuple(each["columns"]))


def prove(session: Session, found: Plan, tables: Mapping[str, fill_statements.Saved]) -> list[Row]:
    """What was restored, by table. Raises NotConverged unless it is what was saved. Inside the caller's transaction,
    once the plan is carried out."""
    filled: dict[str, set[str]] = {}
    for key in found.filled:
        kind, _, name = key.partition(":")
        if kind == "table":
            filled[name] = set(tables[name].columns)
        else:
            filled.setdefault(split_qualified(name)[0], set()).add(unquoted(split_qualified(name)[2]))
    return [_proved(session, tables[table], sorted(columns), found) for table, columns in sorted(filled.items())]


def _proved(session: Session, saved: fill_statements.Saved, columns: list[str], found: Plan) -> Row:
    whole = f"table:{saved.relation}" in found.filled
    parts: dict[str, sql.Composable] = {
        "own": sql.SQL(OWN),
        "table": named(*_place(saved.relation)),
        "image": sql.SQL(", ").join(_pair(each) for each in saved.columns),
        "key": sql.SQL(", ").join(_pair(each) for each in saved.key),
        "same": sql.SQL(" AND ").join(
            sql.SQL("d.image ->> {} IS NOT DISTINCT FROM {}::text").format(literal(each), named("r", each))
            for each in columns
        ),
    }
    query = WHOLE if whole else CAME_BACK
    about = {"capture_id": saved.capture_id, "relation": saved.relation, "at": saved.relation}
    row = session.row(sql.SQL(query).format(**parts), **about)
    if row["same"] is False or (not whole and row["same"] != row["found"]):
        raise NotConverged(
            f"the data of {saved.relation} would not be restored as it was saved: rolled back, nothing was changed",
            on=session.where,
            said=f"of {count(row['found'], 'row')} some have different values in {', '.join(columns)}",
            next_step="look for a rule or a domain that changes what is written to it, then run the same command again",
        )
    return {"relation": saved.relation, "columns": columns, "rows": row["found"]}


def _pair(column: str) -> sql.Composed:
    return sql.SQL("{}, {}::text").format(literal(column), named("r", column))


def readable(keys: Iterable[str], few: int = 10) -> str:
    """Keys for a person, the first of them."""
    told = [captures_document.readable(key) for key in keys]
    return ", ".join(told[:few]) + (f" and {len(told) - few} more" if len(told) > few else "")
