# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What surrounds the pipeline in its database: transactions that were prepared and left, and the server's own limits."""

from __future__ import annotations

import typing as t

from ...core.text import in_words
from ...scout import contract

if t.TYPE_CHECKING:
    from ...postgres.session import Row, Session

PREPARED = """
SELECT p.gid, p.owner::text AS role, extract(epoch FROM clock_timestamp() - p.prepared)::float8 AS seconds,
       array_agg(DISTINCT n.nspname || '.' || c.relname) AS relations
FROM pg_catalog.pg_prepared_xacts AS p
JOIN pg_catalog.pg_locks AS x ON x.locktype = 'transactionid' AND x.transactionid = p.transaction AND x.pid IS NULL
JOIN pg_catalog.pg_locks AS l ON l.virtualtransaction = x.virtualtransaction AND l.pid IS NULL AND l.locktype = 'relation'
JOIN pg_catalog.pg_class AS c ON c.oid = l.relation
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE p.database = current_database() AND n.nspname IN (%(schema)s, 'cron') AND c.relkind IN ('r', 'p', 'm')
  AND l.mode NOT IN ('AccessShareLock')
GROUP BY 1, 2, 3 ORDER BY 3 DESC LIMIT 5
"""

SERVER = """
SELECT (SELECT coalesce(max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), restart_lsn)), 0)::float8
        FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL) AS wal_bytes,
       (SELECT slot_name::text FROM pg_catalog.pg_replication_slots WHERE restart_lsn IS NOT NULL ORDER BY restart_lsn LIMIT 1) AS slot,
       (SELECT string_agg(slot_name::text, ', ' ORDER BY slot_name) FROM pg_catalog.pg_replication_slots
        WHERE slot_type = 'logical' AND NOT active AND NOT temporary AND database = current_database()) AS unread,
       (SELECT count(*) FROM pg_catalog.pg_stat_activity WHERE backend_type = 'client backend')::float8 AS sessions,
       current_setting('max_connections')::float8 - current_setting('superuser_reserved_connections')::float8 AS room,
       (SELECT pg_catalog.age(datfrozenxid)::float8 FROM pg_catalog.pg_database WHERE datname = current_database()) AS xids,
       current_setting('autovacuum_freeze_max_age')::float8 AS freeze,
       s.n_dead_tup::float8 AS dead, s.n_live_tup::float8 AS live, t.temp_bytes::float8 AS temp_bytes
FROM pg_catalog.pg_stat_database AS t
LEFT JOIN pg_catalog.pg_stat_user_tables AS s ON s.schemaname || '.' || s.relname = %(bronze)s
WHERE t.datname = current_database()
"""

GIB: t.Final = float(1 << 30)
#: More than so much, and somebody should look.
WAL_BYTES: t.Final = 10 * GIB
TEMP_BYTES: t.Final = 100 * GIB
SESSIONS: t.Final = 0.9
XIDS: t.Final = 1.5
DEAD: t.Final = 0.5
DEAD_ROWS: t.Final = 100_000.0


def prepared(session: Session) -> list[Row]:
    """Prepared transactions that hold Scout's tables, the oldest first."""
    return session.rows(PREPARED, schema=contract.names().schema)


def server(session: Session) -> list[str]:
    """What of the server comes near a limit, in words."""
    return near_limits(session.row(SERVER, bronze=contract.names().bronze))


def near_limits(row: Row) -> list[str]:
    """The same from its figures; pure."""
    told: list[str] = []
    if row["wal_bytes"] > WAL_BYTES:
        told.append(f"replication slot {row['slot']} keeps {row['wal_bytes'] / GIB:,.0f} GiB of WAL")
    if row["unread"]:
        told.append(
            f"no subscriber reads logical replication slot {row['unread']}: one that stopped may lack a column of a published table "
            "(its own log says which)"
        )
    if row["room"] > 0 and row["sessions"] >= SESSIONS * row["room"]:
        told.append(f"{row['sessions']:,.0f} of {row['room']:,.0f} connections are taken")
    if row["xids"] > XIDS * row["freeze"]:
        told.append(f"the oldest transaction id is {row['xids'] / 1e6:,.0f} million old: vacuum is behind (wraparound)")
    dead, live = row["dead"] or 0.0, row["live"] or 0.0
    if dead > DEAD_ROWS and dead > DEAD * live:
        told.append(f"{contract.names().bronze} holds {dead:,.0f} dead rows beside {live:,.0f}: bloat")
    if row["temp_bytes"] > TEMP_BYTES:
        told.append(f"{row['temp_bytes'] / GIB:,.0f} GiB of temporary files were written")
    return told


def since(row: Row) -> str:
    """For how long, in words."""
    return in_words(row["seconds"] or 0)
