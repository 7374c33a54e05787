# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bronze whose days are partitioned again: by hash, by the kind of event or by half days, by hand or by the real pg_partman."""

from __future__ import annotations

import datetime as dt
from typing import LiteralString

from tests.integration.modules import connect
from tests.scout import partman

#: By what a day is partitioned, and what its unique keys need besides.
SECOND: dict[str, tuple[LiteralString, str, str]] = {
    "hash": ("HASH (event_id)", "", ", event_id"),
    "list": ("LIST (event_type)", ", event_type", ", event_type"),
    "hours": ("RANGE (ingested_at)", "", ""),
}
PARTMAN = "pg_partman"
KINDS = (*SECOND, PARTMAN)
KEYS = """
ALTER TABLE scout.bronze_events DROP CONSTRAINT bronze_events_pkey, DROP CONSTRAINT bronze_events_event_hash_key,
    ADD PRIMARY KEY (event_id, ingested_at{}),
    ADD CONSTRAINT bronze_events_event_hash_key UNIQUE (event_hash, ingested_at{})
"""
DAYS = """
SELECT i.inhrelid::regclass::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
WHERE i.inhparent = 'scout.bronze_events'::regclass AND pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' ORDER BY 1
"""
#: It makes days of its own, and has parts of those of the past made when they are asked for.
SUB_PARENT = """
SELECT partman.create_sub_parent('scout.bronze_events', 'ingested_at', '12 hours', p_default_table := false,
                                 p_declarative_check := 'yes', p_date_trunc_interval := 'day')
"""
PAST = "SELECT partman.create_partition_time('scout.bronze_events', ARRAY(SELECT DISTINCT date_trunc('day', ingested_at, 'UTC') FROM kept))"
PARTS = "SELECT partman.create_partition_time(%s, ARRAY[%s::timestamptz, %s::timestamptz + interval '12 hours'])"
HALF = dt.timedelta(hours=12)


def make(dsn: str, kind: str) -> None:
    """Has each day of a partitioned reference partitioned again."""
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        session.execute("CREATE TEMP TABLE kept AS TABLE scout.bronze_events")
        days = session.execute(DAYS).fetchall()
        if kind == PARTMAN:
            session.execute(SUB_PARENT)
            session.execute(PAST)
            for name, bound in session.execute(DAYS).fetchall():
                session.execute(PARTS, [name, bound.split("'")[1], bound.split("'")[1]])
        else:
            for name, _ in days:
                session.execute(f"DROP TABLE {name}".encode())
            session.execute(KEYS.format(*SECOND[kind][1:]).encode())
            for name, bound in days:
                day(dsn, kind, name, dt.datetime.fromisoformat(bound.split("'")[1]))
        session.execute("DELETE FROM scout.bronze_events")
        session.execute("INSERT INTO scout.bronze_events SELECT * FROM kept")
        session.execute("ANALYZE scout.bronze_events")


def day(dsn: str, kind: str, name: str, first: dt.datetime) -> None:
    """A day with its parts."""
    bounds = {
        "hash": {f"h{n}": f"FOR VALUES WITH (MODULUS 2, REMAINDER {n})" for n in range(2)},
        "list": {"sales": "FOR VALUES IN ('transaction.v1')", "rest": "DEFAULT"},
        "hours": {"am": _range(first, first + HALF), "pm": _range(first + HALF, first + 2 * HALF)},
    }
    by, bound = SECOND[kind][0], _range(first, first + 2 * HALF)
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        session.execute(f"CREATE TABLE {name} PARTITION OF scout.bronze_events {bound} PARTITION BY {by}".encode())
        for suffix, part in bounds[kind].items():
            session.execute(f"CREATE TABLE {name}_{suffix} PARTITION OF {name} {part}".encode())


def _range(first: dt.datetime, last: dt.datetime) -> str:
    return f"FOR VALUES FROM ('{first}') TO ('{last}')"


def night(dsn: str, kind: str, *, keep: bool = False) -> None:
    """Drops or detaches the oldest days, all but yesterday's and later ones, and makes a day more."""
    if kind == PARTMAN:
        partman.maintain(dsn, retention="1 day", retention_keep_table=keep, premake=8)
        return
    with connect(dsn) as session:
        session.execute("SET ROLE loader")
        days = session.execute(DAYS).fetchall()
        for name, _ in days[:-6]:
            session.execute(f"ALTER TABLE scout.bronze_events DETACH PARTITION {name}".encode())
            if not keep:
                session.execute(f"DROP TABLE {name}".encode())
    first = dt.datetime.fromisoformat(days[-1][1].split("'")[3])
    day(dsn, kind, f"scout.bronze_events_p{first:%Y%m%d}", first)
