# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Data that is saved with a capture: which columns of which tables, copied row by row, proved by count and digest."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import BadInput, MissingPrivilege, NotConverged
from ...core.text import count
from ...postgres.driver import errors, sql
from ...postgres.failures import translate
from ...postgres.session import EXACTLY
from ...scout import row_hazards, row_images
from ...scout.judging import foreign_code
from ...scout.row_images import literal, named
from ..catalog.database_level import identifier, unreadable

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from ...core.progress import Progress
    from ...postgres.session import Row, Session

BATCH_ROWS: t.Final = 5000
#: What tells rows without a primary key apart while nobody writes.
PLACE: t.Final = {"tableoid": "oid", "ctid": "tid"}

COLUMNS: t.Final = """
SELECT format('%%I.%%I', n.nspname, c.relname) AS relation, a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS type, a.attgenerated <> '' AS generated,
       array_position(k.conkey, a.attnum) AS place, c.relkind IN ('r', 'p') AS is_table, c.relkind = 'r' AS alone,
       a.atthasdef OR a.attidentity <> '' AS by_itself, row_security_active(c.oid) AS filtered, has_schema_privilege(n.oid, 'USAGE')
           AND (has_table_privilege(c.oid, 'SELECT') OR has_column_privilege(c.oid, a.attnum, 'SELECT')) AS may
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_constraint AS k ON k.conrelid = c.oid AND k.contype = 'p'
WHERE n.nspname = %(schema)s AND c.relname = %(table)s
ORDER BY a.attnum
"""

#: One batch in the order of the primary key, and where it ended.
COPY: t.Final = """
WITH batch AS MATERIALIZED (
    SELECT {key} AS key, {image} AS image, row_number() OVER (ORDER BY {order}) AS place
    FROM {table} AS r WHERE {after} AND ({some}) ORDER BY {order} LIMIT %(limit)s
), stored AS (
    INSERT INTO scout_ops.protected_data (capture_id, relation, key, image)
    SELECT %(capture_id)s, %(relation)s, key, image FROM batch ORDER BY place
    RETURNING key, image
)
SELECT (SELECT count(*) FROM stored) AS rows,
       (SELECT coalesce(sum(jsonb_hash_extended(jsonb_build_array(key, image), 0)), 0)::text FROM stored) AS digest,
       (SELECT key FROM batch ORDER BY place DESC LIMIT 1) AS last
"""

STATE: t.Final = """
SELECT count(*) AS rows, coalesce(sum(jsonb_hash_extended(jsonb_build_array({key}, {image}), 0)), 0)::text AS digest
FROM {table} AS r WHERE {some}
"""

#: Counted up to the limit and no further.
HOW_MANY: t.Final = "SELECT count(*) AS rows FROM (SELECT FROM {table} AS r WHERE {some} LIMIT {limit}) AS r"


@dataclasses.dataclass(frozen=True)
class Protected:
    """A table of which columns are saved."""

    relation: str
    schema: str
    table: str
    key: tuple[row_images.Column, ...]
    columns: tuple[row_images.Column, ...]
    #: Whether its own rows are meant: those of tables that inherit from it are theirs. A partitioned one has those of its partitions.
    alone: bool
    #: Rows without any value in these columns are left out: a column that is made again is empty.
    only_values: bool = False
    #: Whether the table goes with its rows, and not some columns of it alone.
    whole: bool = False

    @property
    def identifier(self) -> sql.Composable:
        """Schema and name, quoted, as FROM takes them."""
        name = named(self.schema, self.table)
        return sql.SQL("ONLY {}").format(name) if self.alone else name

    @property
    def parts(self) -> dict[str, sql.Composable]:
        """The pieces of a query about it."""
        return {
            "table": self.identifier,
            "key": _image(self.key),
            "image": _image(self.columns),
            "order": sql.SQL(", ").join(named("r", column.name) for column in self.key),
            # A composite value with an empty attribute is neither NULL nor NOT NULL, and there all the same.
            "some": sql.SQL("num_nonnulls({}) > 0").format(
                sql.SQL(", ").join(named("r", each.name) for each in self.columns)
            )
            if self.only_values
            else sql.SQL("true"),
        }


def _image(columns: Iterable[row_images.Column]) -> sql.Composed:
    pairs = [sql.SQL("{}, {}::text").format(literal(c.name), named("r", c.name)) for c in columns]
    return sql.SQL("jsonb_object(ARRAY[{}]::text[])").format(sql.SQL(", ").join(pairs))


def chosen(session: Session, wanted: Iterable[str], known: Collection[str]) -> list[Protected]:
    """The tables and columns meant by `schema.table` and `schema.table.column`; inside the caller's transaction."""
    columns: dict[tuple[str, str], set[str] | None] = {}
    for name in wanted:
        schema, table, *column = identifier(session, name, "protect", (2, 3))
        before = columns.get((schema, table), set[str]())
        columns[schema, table] = None if before is None or not column else {*before, *column}
    tables = [_table(session, at, names, known) for at, names in sorted(columns.items())]
    foreign_code.refuse_casts(session, {(e.relation, c.type) for e in tables for c in (*e.key, *e.columns)})
    return tables


def _table(session: Session, at: tuple[str, str], names: set[str] | None, known: Collection[str]) -> Protected:
    schema, table = at
    rows = session.rows(COLUMNS, schema=schema, table=table)
    shown = rows[0]["relation"] if rows else ".".join(at)
    if not rows or not rows[0]["is_table"] or f"table:{shown}" not in known:
        raise _refused(session, shown, "it is not a table of the captured schemas")
    key = sorted((row for row in rows if row["place"]), key=lambda row: row["place"])
    if not key:
        raise _refused(session, shown, "it has no primary key, by which its rows could be found again")
    unknown = sorted((names or set()) - {row["name"] for row in rows if not row["generated"]})
    if unknown:
        raise _refused(session, shown, f"it has no stored column {', '.join(map(repr, unknown))}")
    saved = [row for row in rows if not row["generated"] and (names is None or row["name"] in names)]
    if not all(row["may"] for row in [*key, *saved]):
        raise unreadable(session, f"could not read {shown}, whose data is to be protected", schema, shown)
    return _made(at, key, saved)


def _made(at: tuple[str, str], key: Iterable[Row], columns: Iterable[Row]) -> Protected:
    key, columns = list(key), list(columns)
    schema, table = at
    named_as, alone = (columns or key)[0]["relation"], (columns or key)[0]["alone"]
    keys, kept = ([row_images.Column(row["name"], row["type"]) for row in each] for each in (key, columns))
    return Protected(named_as, schema, table, tuple(keys), tuple(kept), alone)


def going(session: Session, at: tuple[str, str], names: set[str] | None, unstable: Collection[str]) -> Protected | None:
    """The rows of a dropped table, or of dropped columns of one that stays; None where its rows could not be found
    again, for want of a primary key or because that is dropped as well. Inside the caller's transaction. Raises
    MissingPrivilege where the role may not read every row."""
    rows = session.rows(COLUMNS, schema=at[0], table=at[1])
    if rows and rows[0]["filtered"]:
        raise MissingPrivilege(
            f"could not read {rows[0]['relation']}, whose data would go",
            on=session.where,
            said=f"a policy hides rows from role {session.facts.role}",
            next_step=f"do it as a superuser; or {row_hazards.grant_sight(session, '.'.join(at))}",
        )
    # A table without columns has rows all the same.
    columns = [row for row in rows if row["name"] and not row["generated"] and (names is None or row["name"] in names)]
    key = sorted((row for row in rows if row["place"]), key=lambda row: row["place"])
    if not rows or (names is not None and not columns):
        return None
    if names is not None and (not key or any(row["name"] in unstable for row in key)):
        return None
    if not all(row["may"] for row in [*key, *columns] or rows):
        raise unreadable(
            session, f"could not read {rows[0]['relation']}, whose data would go", at[0], rows[0]["relation"]
        )
    place = [{**rows[0], "name": name, "type": kind} for name, kind in PLACE.items()]
    only_values = names is not None and not any(row["by_itself"] for row in columns)
    return dataclasses.replace(_made(at, key or place, columns), only_values=only_values, whole=names is None)


def _refused(session: Session, shown: str, said: str) -> BadInput:
    return BadInput(
        f"cannot protect the data of {shown}",
        on=session.where,
        said=said,
        next_step="correct protect: schema.table.column, or schema.table for all columns",
    )


def refuse_too_many(
    session: Session, tables: Iterable[Protected], max_rows: int, advice: str = "protect less, or allow more"
) -> dict[str, int]:
    """The rows of each table that would be saved, by its name. Raises where they are more than was allowed; counts no further
    than that."""
    left, found = max_rows, dict[str, int]()
    for each in tables:
        query = sql.SQL(HOW_MANY).format(table=each.identifier, some=each.parts["some"], limit=sql.Literal(left + 1))
        found[each.relation] = session.row(query)["rows"]
        left -= found[each.relation]
        if left < 0:
            raise BadInput(
                f"refused to save more than {count(max_rows, 'row')}",
                on=session.where,
                said=f"{each.relation} has more",
                next_step=f"{advice} with -e scout_max_rows=…",
            )
    return found


def state(session: Session, each: Protected) -> dict[str, t.Any]:
    """What would be saved of a table, by count and digest; inside the caller's transaction. Raises a RecoveryError
    where it cannot be read."""
    session.execute(EXACTLY)
    try:
        found = session.row(sql.SQL(STATE).format(**each.parts))
    except errors.InsufficientPrivilege as e:
        raise translate(
            e,
            f"could not read {each.relation}, whose data is to be protected",
            on=session.where,
            next_step="a policy hides rows from this role: capture as the table's owner, or with a role that may see all",
        ) from e
    return {
        "relation": each.relation,
        "key": [column.name for column in each.key],
        "columns": [column.name for column in each.columns],
        "rows": found["rows"],
        "digest": found["digest"],
    }


def save(session: Session, capture_id: str, each: Protected, progress: Progress) -> dict[str, t.Any]:
    """Saves a table's rows in statements of bounded length, all in the caller's REPEATABLE READ transaction. Raises
    NotConverged unless what was stored is what the table has."""
    before = state(session, each)
    rows, digest = 0, 0
    last: Mapping[str, str] | None = None
    while True:
        progress.checkpoint()
        query = sql.SQL(COPY).format(after=_after(each, last), **each.parts)
        made = session.row(query, capture_id=capture_id, relation=each.relation, limit=BATCH_ROWS)
        rows, digest, last = rows + made["rows"], digest + int(made["digest"]), made["last"]
        progress.say_throttled(f"saved {rows:,} of {before['rows']:,} rows of {each.relation}")
        if made["rows"] < BATCH_ROWS:
            break
    if rows != before["rows"] or digest != int(before["digest"]):
        raise NotConverged(
            f"could not save the data of {each.relation}",
            on=session.where,
            said=f"{rows:,} rows were stored, the table has {before['rows']:,}, or their digests differ; rolled back",
            next_step="run the same command again; if it fails again, please report it",
        )
    return before


def _after(each: Protected, last: Mapping[str, str] | None) -> sql.Composable:
    """What comes after a key."""
    if last is None:
        return sql.SQL("true")
    values = [
        sql.SQL("{}::{}").format(literal(last[column.name]), sql.SQL(t.cast("t.Any", column.type.replace("%", "%%"))))
        for column in each.key
    ]
    return sql.SQL("({}) > ({})").format(each.parts["order"], sql.SQL(", ").join(values))
