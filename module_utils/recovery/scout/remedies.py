# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The statement that ends what a message of PostgreSQL says of one object by name; the object itself has to bear it out."""

from __future__ import annotations

import re
import typing as t

from ..postgres.driver import sql
from . import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Session

EXHAUSTED: t.Final = re.compile(r'sequence "(?P<name>[^"]+)"')
UNDER_POLICY: t.Final = re.compile(r'row-level security policy (?:"[^"]*" )?for table "(?P<name>[^"]+)"')

#: Sequences of that name that have no number left, with whether their type has more.
FULL = """
SELECT n.nspname::text AS schema, c.relname::text AS name, s.seqtypid::regtype::text AS type,
       s.seqmax < CASE s.seqtypid WHEN 'int2'::regtype THEN 32767 WHEN 'int4'::regtype THEN 2147483647
                  ELSE 9223372036854775807 END AS bounded
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND s.seqincrement > 0 AND NOT s.seqcycle
  AND coalesce(pg_catalog.pg_sequence_last_value(c.oid) > s.seqmax - s.seqincrement, true)
"""
#: Tables of the pipeline of that name whose policies bind even their owner, or somebody else.
BOUND = """
SELECT n.nspname::text AS schema, c.relname::text AS name, c.relforcerowsecurity AS forced, c.relowner::regrole::text = %(role)s AS own
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = %(name)s AND n.nspname = %(schema)s AND c.relrowsecurity
"""


def of(session: Session, said: str, role: str) -> str:
    """What ends an error that a role met, by its message; empty where that is not known, or more than one object has the name. Inside
    a transaction."""
    if found := UNDER_POLICY.search(said):
        rows = session.rows(BOUND, name=found["name"], schema=contract.names().schema, role=role)
        if len(rows) == 1:
            table = sql.Identifier(rows[0]["schema"], rows[0]["name"]).as_string()
            if rows[0]["own"] and rows[0]["forced"]:
                return f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY;"
            name = sql.Identifier(role).as_string()
            return f"CREATE POLICY scout_pipeline ON {table} TO {name} USING (true) WITH CHECK (true);"
    elif "nextval" in said and (found := EXHAUSTED.search(said)):
        rows = session.rows(FULL, name=found["name"])
        if len(rows) == 1:
            name = sql.Identifier(rows[0]["schema"], rows[0]["name"]).as_string()
            # Where the column is as narrow as the sequence, it has to be widened as well.
            kind = "" if rows[0]["bounded"] or rows[0]["type"] == "bigint" else " AS bigint"
            return f"ALTER SEQUENCE {name}{kind} NO MAXVALUE;"
    return ""
