# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a database holds, as pg_dump and its rows tell it: whatever the order of columns, statements and rows is."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from ansible_collections.scout.drills.plugins.plugin_utils.reference.release.pg_dump import dump
from tests.integration.modules import Connection, connect

OURS: LiteralString = "n.nspname !~ '^pg_|^(information_schema|scout_ops|cron)$'"
#: All relations that hold something, but for materialized views that do not.
RELATIONS: LiteralString = f"""
SELECT n.nspname::text, c.relname::text, c.relkind::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE {OURS} AND (c.relkind IN ('r', 'p', 'S') OR c.relkind = 'm' AND c.relispopulated) ORDER BY 1, 2
"""
JOBS: LiteralString = "SELECT jobname, schedule, command, active, username FROM cron.job ORDER BY 1, 2, 3"
#: Values as they are written, whatever the order of columns is.
ROWS: LiteralString = "SELECT to_jsonb(r)::text FROM {} AS r"
COUNTER: LiteralString = "SELECT last_value::text || ' ' || is_called FROM {}"
ENTRY = re.compile(r"(?m)^--\n-- Name: .*; Type: (.*?); Schema: .*\n--\n")
#: Of these the order of what they consist of is aside.
OF_COLUMNS = ("TABLE", "TYPE", "FOREIGN TABLE", "SEQUENCE OWNED BY", "PUBLICATION TABLE")

Row = dict[str, Any]
Rows = dict[str, "Counter[str]"]


class State(NamedTuple):
    """Definitions by pg_dump, rows by table or materialized view, where sequences stand, and jobs."""

    schema: list[str]
    rows: Rows
    counters: dict[str, str]
    jobs: list[Any]


def state(dsn: str, *without: str) -> State:
    """All that there is, but for the definitions in some schemas."""
    with connect(dsn) as connection:
        found = connection.execute(RELATIONS).fetchall()
        names = {f"{schema}.{name}": (sql.Identifier(schema, name), kind) for schema, name, kind in found}
        rows = {name: _rows(connection, at, kind) for name, (at, kind) in names.items() if kind != "S"}
        counters = {name: _counter(connection, at) for name, (at, kind) in names.items() if kind == "S"}
        return State(definitions(dsn, *without), rows, counters, connection.execute(JOBS).fetchall())


def _rows(connection: Connection, at: sql.Identifier, kind: str) -> Counter[str]:
    """Of a partitioned table those of its partitions, of a parent its own."""
    table = at if kind == "p" else sql.SQL("ONLY {}").format(at)
    return Counter(text for (text,) in connection.execute(sql.SQL(ROWS).format(table)))


def _counter(connection: Connection, at: sql.Identifier) -> str:
    row = connection.execute(sql.SQL(COUNTER).format(at)).fetchone()
    assert row
    return row[0]


def definitions(dsn: str, *without: str) -> list[str]:
    """The statements of a dump, the order of columns aside."""
    text = dump(dsn, "--schema-only", *(f"--exclude-schema={name}" for name in ("scout_ops", "cron", *without)))
    pieces = ENTRY.split(text)
    return sorted(_canonical(kind, body) for kind, body in zip(pieces[1::2], pieces[2::2], strict=True))


def _canonical(kind: str, body: str) -> str:
    lines = [
        line
        for line in body.splitlines()
        if line.strip("- ") and not line.startswith(("SET default_", "-- PostgreSQL"))
    ]
    if kind in OF_COLUMNS:
        lines = sorted(line.rstrip(",") for line in lines)
    return "\n".join([kind, *lines])


def shared(one: Rows, other: Rows, without: Collection[str] = ()) -> tuple[Rows, Rows]:
    """Both, of those tables and columns alone that are in both, and but for the columns that are named."""
    common: tuple[Rows, Rows] = ({}, {})
    for name in one.keys() & other.keys():
        first, second = ([json.loads(text) for text in each[name].elements()] for each in (one, other))
        columns = ({*first[0]} if first else set[str]()) & ({*second[0]} if second else set[str]()) - {*without}
        for rows, into in ((first, common[0]), (second, common[1])):
            into[name] = Counter(json.dumps({c: row[c] for c in columns}, sort_keys=True) for row in rows)
    return common
