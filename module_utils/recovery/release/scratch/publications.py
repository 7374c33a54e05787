# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stand-ins for publications in a scratch copy: a table that leaves one, or is renamed in it, is of the schema."""

from __future__ import annotations

import contextlib
import typing as t

from ...postgres.driver import psycopg, sql

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...postgres.session import Session

#: What makes each of them, and adds its tables. Of those for all tables, or for all of a schema, only a superuser makes one, and
#: which tables they have is of no release.
PUBLICATIONS: t.Final = """
SELECT pg_catalog.format('CREATE PUBLICATION %%I WITH (publish = %%L, publish_via_partition_root = %%s)', p.pubname,
           pg_catalog.concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
                                CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END),
           CASE WHEN p.pubviaroot THEN 'true' ELSE 'false' END) AS statement, p.pubname AS name, 0 AS place
FROM pg_catalog.pg_publication AS p
UNION ALL
SELECT pg_catalog.format('ALTER PUBLICATION %%I ADD TABLE ONLY %%s{columns}{filter}', p.pubname, r.prrelid::pg_catalog.regclass{values}),
       p.pubname, 1
FROM pg_catalog.pg_publication_rel AS r JOIN pg_catalog.pg_publication AS p ON p.oid = r.prpubid
ORDER BY place, name, statement
"""
#: PostgreSQL 14 has neither columns nor a filter of a table.
VALUES: t.Final = """,
    (SELECT ' (' || pg_catalog.string_agg(pg_catalog.quote_ident(a.attname), ', ' ORDER BY a.attnum) || ')'
     FROM pg_catalog.pg_attribute AS a WHERE a.attrelid = r.prrelid AND a.attnum = ANY(r.prattrs::int2[])),
    ' WHERE ' || pg_catalog.pg_get_expr(r.prqual, r.prrelid)"""
OLD: t.Final = PUBLICATIONS.replace("{columns}{filter}", "").replace("{values}", "")
NEW: t.Final = PUBLICATIONS.replace("{columns}{filter}", "%%s%%s").replace("{values}", VALUES)


def read(session: Session) -> list[str]:
    """The statements that make them; inside the caller's transaction."""
    query = NEW if session.facts.server_version >= 150000 else OLD
    return [row["statement"] for row in session.rows(sql.SQL(query))]


def make(scratch: Session, statements: Iterable[str]) -> None:
    """Makes those that can be made in the copy: what it has not, is found to differ where a plan touches it."""
    with scratch.write():
        for statement in statements:
            with contextlib.suppress(psycopg.Error), scratch.savepoint():
                scratch.connection.execute(statement.encode())
