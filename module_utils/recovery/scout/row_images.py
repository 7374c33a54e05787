# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The image of a row: a JSON object from which PostgreSQL makes the very same row again, whatever columns a table has.

Every value is kept as the text that PostgreSQL itself writes of it and reads it from, NULL as null. So no type loses anything
on its way through JSON, and making an image costs half of what JSON's own forms of the values would.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import NotConverged
from ..postgres.driver import sql
from ..postgres.plain import literal, named
from ..postgres.session import EXACTLY
from . import contract
from .judging import foreign_code

if t.TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from ..postgres.session import Session

COLUMNS = """
SELECT n.nspname || '.' || c.relname AS table, a.attname::text AS name,
       pg_catalog.format_type(a.atttypid, a.atttypmod) AS type
FROM pg_catalog.pg_attribute AS a
JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname || '.' || c.relname = ANY(%(tables)s)
  AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
ORDER BY c.oid, a.attnum
"""

#: The partitions on other servers in which rows are that a statement has returned with their tableoid. Whatever is written there is
#: committed there by itself, before what is written here: a crash in between would lose rows, or have them twice.
ELSEWHERE: t.Final = sql.SQL(
    "(SELECT array_agg(DISTINCT tableoid::regclass::text) FROM {rows} "
    "WHERE tableoid IN (SELECT ftrelid FROM pg_catalog.pg_foreign_table))"
)
SELECTED_ELSEWHERE = (
    "WITH selected AS MATERIALIZED (SELECT b.tableoid FROM {bronze} AS b WHERE {where}) SELECT {elsewhere} AS elsewhere"
)
ANY_ELSEWHERE = """
SELECT EXISTS (SELECT FROM pg_catalog.pg_partition_tree({bronze}::regclass) AS tree
               JOIN pg_catalog.pg_foreign_table AS f ON f.ftrelid = tree.relid) AS there
"""

#: How each table's rows are told apart.
KEYS: t.Final = {
    "bronze": "event_id",
    "ledger": "event_id",
    "transactions": "transaction_id",
    "lines": "line_id",
    "dead_letters": "dlq_id",
}


@dataclasses.dataclass(frozen=True)
class Column:
    """A stored column and its type as SQL writes it."""

    name: str
    type: str


@dataclasses.dataclass(frozen=True)
class Table:
    """A table as far as images need it; generated columns are not part of an image, since PostgreSQL computes them."""

    name: str
    key: str
    columns: tuple[Column, ...]

    @property
    def identifier(self) -> sql.Identifier:
        """Schema and name, quoted."""
        return sql.Identifier(*self.name.split("."))

    @property
    def targets(self) -> sql.Composed:
        """The columns an INSERT names."""
        return sql.SQL(", ").join(named(column.name) for column in self.columns)

    def image(self, alias: str, without: Collection[str] = ()) -> sql.Composed:
        """The expression that makes the image of the row `alias`."""
        pairs = [
            sql.SQL("{}, {}::text").format(literal(column.name), named(alias, column.name))
            for column in self.columns
            if column.name not in without
        ]
        return sql.SQL("jsonb_object(ARRAY[{}])").format(sql.SQL(", ").join(pairs))

    def values(self, image: str, replaced: dict[str, sql.Composable] | None = None) -> sql.Composed:
        """The expressions that restore the row from `image`, a column of the query they stand in."""
        source = sql.Identifier(image)
        return sql.SQL(", ").join(
            (replaced or {}).get(column.name)
            or sql.SQL("({} ->> {})::{}").format(source, literal(column.name), sql.SQL(t.cast("t.Any", column.type)))
            for column in self.columns
        )

    def like(self, keys: Collection[str]) -> Table:
        """The table with the columns an image has; newer columns take their defaults. Raises NotConverged where a
        column is gone."""
        known = {column.name for column in self.columns}
        gone = sorted(set(keys) - known)
        if gone:
            raise NotConverged(
                f"cannot put rows back into {self.name}",
                said=f"the stored image has {', '.join(gone)}, which the table no longer has",
                next_step=f"add the column to {self.name} again, then run the same command again",
            )
        return dataclasses.replace(self, columns=tuple(c for c in self.columns if c.name in keys))


@dataclasses.dataclass(frozen=True)
class Tables:
    """The tables whose rows are moved."""

    bronze: Table
    ledger: Table
    transactions: Table
    lines: Table
    dead_letters: Table


def read(session: Session) -> Tables:
    """The tables as they are in this database; from now until the caller's transaction ends images are exact."""
    session.execute(EXACTLY)
    return tables(session)


def tables(session: Session) -> Tables:
    """The same for who compares values and makes no images: the settings of the transaction stay as they are. Raises NotConverged
    where a value as text would run code of others."""
    names = contract.names()
    of = {
        "bronze": names.bronze,
        "ledger": names.etl_ledger,
        "transactions": names.transactions,
        "lines": names.line_items,
        "dead_letters": names.dead_letters,
    }
    columns: dict[str, list[Column]] = {name: [] for name in of.values()}
    for row in session.rows(COLUMNS, tables=[*of.values()]):
        columns[row["table"]].append(Column(row["name"], row["type"]))
    foreign_code.refuse_casts(session, {(table, each.type) for table, found in columns.items() for each in found})
    return Tables(**{key: Table(name, KEYS[key], tuple(columns[name])) for key, name in of.items()})


def digest(image: sql.Composable) -> sql.Composed:
    """A digest of many images, in whatever order they come: the sum of their hashes."""
    return sql.SQL("coalesce(sum(jsonb_hash_extended({}, 0)), 0)").format(image)


def refuse_selected_elsewhere(
    session: Session, refused: str, where: sql.Composable, values: Mapping[str, t.Any]
) -> None:
    """Raises NotConverged where events of bronze (alias b) that fulfil `where` are on another server; inside a transaction."""
    bronze = sql.Literal(contract.names().bronze)
    if session.row(sql.SQL(ANY_ELSEWHERE).format(bronze=bronze))["there"]:
        elsewhere = ELSEWHERE.format(rows=sql.Identifier("selected"))
        query = contract.compose(SELECTED_ELSEWHERE, where=where, elsewhere=elsewhere)
        refuse_elsewhere(session, refused, session.row(query, **values)["elsewhere"])


def refuse_elsewhere(session: Session, refused: str, partitions: list[str] | None) -> None:
    """Raises NotConverged where there are such partitions, so that the caller's transaction rolls back here and there."""
    if partitions:
        raise NotConverged(
            refused,
            on=session.where,
            said=f"{', '.join(partitions)} is a foreign table: what is written there is committed there by itself, so that a crash in "
            "between could lose events",
            next_step='leave them out, or have them in a partition here first: docs/moving-data.md, section "An archive on another '
            'server"',
        )
