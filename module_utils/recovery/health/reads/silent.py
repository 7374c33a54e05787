# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Upstream of bronze: which sources, stores, devices and senders of files are silent, and since when."""

from __future__ import annotations

import typing as t

from ...core.errors import BadInput
from ...core.text import count, in_words
from ...postgres.driver import sql
from ...scout import contract
from ..thresholds import STALE_MINUTES

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Row, Session

#: So many of the latest events are looked at, of the two days before the latest one: a night is among them.
MOST_EVENTS: t.Final = 100_000
MINUTES: t.Final = 2 * 24 * 60
#: Fewer than this of one source or store may be a test of somebody's.
LEAST_EVENTS: t.Final = 10
#: Silent is what has sent nothing for so long, for so many times its usual pause between two events, and for longer than its longest,
#: which is a night's where shops close. One of sixty shops that sell by chance waits ten times its usual pause once a month.
SILENT_SECONDS: t.Final = 60.0 * STALE_MINUTES
USUAL_PAUSES: t.Final = 20
LONGEST_PAUSES: t.Final = 1.5
#: A device that has been silent for longer was taken away.
GONE_DAYS: t.Final = 30
MOST_NAMES: t.Final = 20

#: A store or source sends when its events are ingested, whatever their own clocks say.
SENDERS = """
WITH latest AS MATERIALIZED (
    SELECT source_system AS source, CASE WHEN jsonb_typeof(event_data) = 'object' THEN event_data ->> 'store_id' END AS store,
           ingested_at
    FROM {bronze}
    WHERE ingested_at <= clock_timestamp() AND ingested_at >= now() - make_interval(mins => %(minutes)s::int)
    ORDER BY ingested_at DESC LIMIT %(most)s
), sent AS (
    SELECT 'source' AS what, source AS name, ingested_at AS sent_at FROM latest WHERE source IS NOT NULL
    UNION ALL SELECT 'store', store, ingested_at FROM latest WHERE store IS NOT NULL
)
"""
#: The pauses of a sender add up to the time from its first event to its last. The longest is looked for only of those that have been
#: silent for long, which none is as a rule: the others are not sorted.
JUDGED = """
, of AS MATERIALIZED (
    SELECT what, name, count(*) AS events, max(sent_at) AS last_at,
           extract(epoch FROM clock_timestamp() - max(sent_at))::float8 AS seconds,
           extract(epoch FROM max(sent_at) - min(sent_at))::float8 / nullif(count(*) - 1, 0) AS pause
    FROM sent GROUP BY what, name
), quiet AS MATERIALIZED (
    SELECT * FROM of WHERE events >= %(least)s AND seconds > %(silent_seconds)s AND seconds > %(pauses)s * pause
), longest AS (
    SELECT what, name, extract(epoch FROM max(pause))::float8 AS longest
    FROM (SELECT what, name, sent_at - lag(sent_at) OVER (PARTITION BY what, name COLLATE "C" ORDER BY sent_at) AS pause
          FROM sent JOIN quiet USING (what, name)) AS pauses
    GROUP BY what, name
)
SELECT what, left(name, 60) AS name, events, to_jsonb(last_at) #>> '{{}}' AS last_at, seconds
FROM quiet JOIN longest USING (what, name)
WHERE seconds > %(nights)s * longest
ORDER BY what, last_at DESC, name LIMIT %(names)s
"""

#: The same of files, which come seldom, and not every day.
FILES = """
WITH sent AS (
    SELECT 'file source' AS what, source_type AS name, created_at::timestamptz AS sent_at
    FROM (SELECT source_type::text, created_at FROM {queue}
          WHERE created_at <= clock_timestamp() AND created_at > now() - make_interval(days => %(days)s)
          ORDER BY created_at DESC LIMIT %(most)s) AS latest
    WHERE source_type IS NOT NULL
)
"""

#: What of such a table is there to be read, of types that no code of others belongs to, and with no policy that runs one.
READABLE = """
SELECT a.attname::text AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND NOT a.attisdropped
JOIN pg_catalog.pg_type AS y ON y.oid = a.atttypid
WHERE n.nspname = %(schema)s AND c.relname = %(table)s AND c.relkind IN ('r', 'p')
  AND (a.attname = %(who)s AND y.typname IN ('uuid', 'text', 'varchar', 'int4', 'int8')
       OR a.attname = %(when)s AND y.typname IN ('timestamptz', 'timestamp'))
  AND y.typnamespace = 'pg_catalog'::regnamespace AND NOT pg_catalog.row_security_active(c.oid)
"""
DEVICES = """
SELECT 'device' AS what, left(device_id::text, 60) AS name, 0 AS events,
       to_jsonb(last_heartbeat::timestamptz) #>> '{{}}' AS last_at,
       extract(epoch FROM clock_timestamp() - last_heartbeat::timestamptz)::float8 AS seconds
FROM {devices}
WHERE last_heartbeat < now() - make_interval(secs => %(silent_seconds)s) AND last_heartbeat > now() - make_interval(days => %(days)s)
ORDER BY last_heartbeat DESC, device_id LIMIT %(names)s
"""


def senders(session: Session, newest_minutes: float) -> list[Row]:
    """The sources and stores that sent at least ten events within the two days before the latest one, which is so many minutes old,
    and are silent now, the latest first, twenty at most: `what`, `name`, `events`, `last_at` (ISO 8601) and `seconds`."""
    return session.rows(
        contract.compose(SENDERS + JUDGED),
        minutes=newest_minutes + MINUTES,
        most=MOST_EVENTS,
        least=LEAST_EVENTS,
        silent_seconds=SILENT_SECONDS,
        pauses=USUAL_PAUSES,
        nights=LONGEST_PAUSES,
        names=MOST_NAMES,
    )


def devices(session: Session) -> list[Row]:
    """The same of the devices, where the contract names their table. Raises BadInput where it is none that can be read."""
    table = _readable(session, "devices", "device_id", "last_heartbeat")
    if table is None:
        return []
    query = sql.SQL(DEVICES).format(devices=table)
    return session.rows(query, silent_seconds=SILENT_SECONDS, days=GONE_DAYS, names=MOST_NAMES)


def files(session: Session) -> list[Row]:
    """The same of those who send files, by what is usual of each within thirty days, where the contract names the queue. Raises
    BadInput likewise."""
    table = _readable(session, "file_queue", "source_type", "created_at")
    if table is None:
        return []
    return session.rows(
        sql.SQL(FILES + JUDGED).format(queue=table),
        days=GONE_DAYS,
        most=MOST_EVENTS,
        least=LEAST_EVENTS,
        silent_seconds=SILENT_SECONDS,
        # They come by the clock, so the longest pause says enough.
        pauses=1,
        nights=LONGEST_PAUSES,
        names=MOST_NAMES,
    )


def _readable(session: Session, key: str, who: str, when: str) -> sql.Identifier | None:
    """The table that the contract has by this key; None where it names none. Raises BadInput where it has not these columns."""
    name: str = contract.names()[key]
    if not name:
        return None
    schema, table = name.split(".")
    found = session.rows(READABLE, schema=schema, table=table, who=who, when=when)
    if {row["name"] for row in found} != {who, when}:
        raise BadInput(
            f"could not read {key} of {contract.OPTION}",
            said=f"{name} is no table with {who} and {when} that shows us all of its rows",
            next_step=f"correct {key} in {contract.OPTION}",
        )
    return sql.Identifier(schema, table)


def in_words_of(rows: Sequence[Row]) -> str:
    """`silent: source pos-sync for 2 h 3 min; 3 stores, S-1 for 2 h 3 min, S-2 for 2 h 1 min`; empty where none is."""
    parts: list[str] = []
    for what in ("source", "store", "device", "file source"):
        own = [row for row in rows if row["what"] == what]
        named = ", ".join(f"{row['name']} for {in_words(row['seconds'])}" for row in own[:3])
        if len(own) > 1:
            parts.append(f"{count(len(own), what)}, the latest {named}")
        elif own:
            parts.append(f"{what} {named}")
    return f"silent: {'; '.join(parts)}" if parts else ""
