# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a trial, which is rolled back, apart from the pipeline's own runs.

Sequences are shadowed: what is drawn from one no rollback undoes. ALTER SEQUENCE gives it a file of its own within its transaction,
with the same values, and a rollback returns to the old one: so a trial takes no number from anybody. Nobody else draws from it
meanwhile.

Writers wait: a trial and a run of the pipeline that lock the same rows in other orders would wait for each other, and the server
ends whichever has waited a second (deadlock_timeout), which may be the pipeline's. Where the tables are locked before any row,
neither can hold what the other needs.
"""

from __future__ import annotations

import re
import time
import typing as t

from ..postgres import acting, lexer
from ..postgres.driver import errors, psycopg, sql
from ..scout import contract

if t.TYPE_CHECKING:
    from ..postgres.session import Row, Session

#: The sequences of the columns of some tables.
OF_COLUMNS = """
SELECT s.oid FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_class AS s ON s.oid = d.objid AND s.relkind = 'S'
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass
  AND d.refobjid = ANY(%(tables)s::oid[]) AND d.deptype IN ('a', 'i')
UNION
SELECT s.oid FROM pg_catalog.pg_attrdef AS a
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = a.oid
     AND d.refclassid = 'pg_catalog.pg_class'::regclass
JOIN pg_catalog.pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
WHERE a.adrelid = ANY(%(tables)s::oid[])
"""
TABLES = """
SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p')
"""
#: What runs where rows of them are written.
TRIGGERS: t.Final[t.LiteralString] = f"""
SELECT 'trigger ' || t.tgname || ' on ' || n.nspname || '.' || c.relname AS name, {lexer.SOURCE} AS source
FROM pg_catalog.pg_trigger AS t
JOIN pg_catalog.pg_proc AS p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgrelid = ANY(%(tables)s::oid[]) AND NOT t.tgisinternal AND t.tgenabled <> 'D'
ORDER BY 1
"""  # noqa: S608  # made of literals alone
#: What has one of these names: tables, sequences, and functions with what they do.
NAMED: t.Final[t.LiteralString] = f"""
SELECT c.oid, c.relkind::text AS kind, NULL AS source
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relname = ANY(%(words)s) AND c.relkind IN ('r', 'p', 'S') AND n.nspname !~ '^(pg_|information_schema$)'
UNION ALL
SELECT p.oid, 'f', {lexer.SOURCE}
FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE p.proname = ANY(%(words)s) AND n.nspname !~ '^(pg_|information_schema$)'
"""  # noqa: S608  # made of literals alone
SEQUENCES = """
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relowner::regrole::text AS owner, s.seqincrement AS step
FROM pg_catalog.pg_sequence AS s
JOIN pg_catalog.pg_class AS c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid = ANY(%(sequences)s::oid[]) ORDER BY 2, 3
"""
OIDS = "SELECT to_regclass(name)::oid AS oid FROM unnest(%(names)s::text[]) AS name WHERE to_regclass(name) IS NOT NULL"
OWNERS = """
SELECT c.relowner::regrole::text AS owner FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname || '.' || c.relname = ANY(%(names)s)
"""
LOCK_TIMEOUT = "SELECT current_setting('lock_timeout') AS value"
SET_LOCK_TIMEOUT = "SELECT set_config('lock_timeout', %(value)s, true)"
#: How long we wait in the way of others, and let them go on: well below the second of deadlock_timeout.
MOMENT_SECONDS: t.Final = 0.1
SHADOW: t.Final = "ALTER SEQUENCE {} INCREMENT BY {}"

NEXT: t.Final = re.compile(r"\bnextval\b", re.IGNORECASE)
NAME: t.Final = re.compile(lexer.NAME)
#: A trigger on a table that a trigger writes, and so on.
DEEPEST: t.Final = 5
#: More words than this are no name of anything that a trigger uses.
MOST_WORDS: t.Final = 2000


def await_writers(session: Session, tables: t.Sequence[str], *, seconds: float) -> None:
    """Locks these tables against writers until the transaction ends, once nobody is writing them; where somebody does for longer than
    `seconds`, or where neither we nor the owner of a table may, they stay as they are. Nobody who waits for us meanwhile waits as
    long as a server takes to look for a deadlock."""
    usual = session.row(LOCK_TIMEOUT)["value"]
    owners = {row["owner"] for row in session.rows(OWNERS, names=list(tables))}
    deadline = time.monotonic() + seconds
    for role in dict.fromkeys((session.facts.role, *sorted(owners))):
        while time.monotonic() < deadline:
            try:
                with session.savepoint(), acting.as_role(session, role):
                    session.row(SET_LOCK_TIMEOUT, value=f"{MOMENT_SECONDS * 1000:.0f}ms")
                    session.connection.execute(_lock(tables))
                    session.row(SET_LOCK_TIMEOUT, value=usual)
            except errors.LockNotAvailable:
                time.sleep(MOMENT_SECONDS)
            except psycopg.Error:
                if session.connection.closed:
                    raise
                break
            else:
                return


def _lock(tables: t.Sequence[str]) -> sql.Composed:
    each = sql.SQL(", ").join(sql.Identifier(*table.split(".")) for table in tables)
    return sql.SQL("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE").format(each)


def tables(session: Session) -> list[str]:
    """Those of the pipeline's schema, which a job of somebody else's may write."""
    return [row["name"] for row in session.rows(TABLES, schema=contract.names().schema)]


def shadow(session: Session, tables: t.Iterable[str]) -> list[str]:
    """What of these tables would advance a sequence that cannot be shadowed, by name; the others are shadowed until this transaction
    ends, which has to be rolled back. Raises psycopg's LockNotAvailable where somebody draws from one in a transaction of his own."""
    own = _oids(session, tables)
    sequences, drawing = _reached(session, own)
    failed = {
        row["oid"]: f"{row['schema']}.{row['name']}"
        for row in session.rows(SEQUENCES, sequences=sorted(sequences))
        if not _shadowed(session, row)
    }
    surely = {row["oid"] for row in session.rows(OF_COLUMNS, tables=own)}
    told = [name for oid, name in failed.items() if oid in surely]
    return told + [name for name, named in drawing.items() if not named or named & failed.keys()]


def _oids(session: Session, tables: t.Iterable[str]) -> list[int]:
    return [row["oid"] for row in session.rows(OIDS, names=list(tables))]


def _reached(session: Session, own: list[int]) -> tuple[set[int], dict[str, set[int]]]:
    """All sequences that may be drawn from, as far as names in what functions may run tell; and what says that it draws, with those it
    names. What is too intricate to be read may draw from whatever it names."""
    sequences, drawing = set[int](), dict[str, set[int]]()
    tables, seen, read = set(own), set(own), set[int]()
    for _ in range(DEEPEST):
        if not tables:
            break
        sequences |= {row["oid"] for row in session.rows(OF_COLUMNS, tables=sorted(tables))}
        bodies: list[tuple[str, str]] = [
            (row["name"], row["source"]) for row in session.rows(TRIGGERS, tables=sorted(tables))
        ]
        tables = set[int]()
        while bodies:
            called: list[tuple[str, str]] = []
            for name, source in bodies:
                body = _code(source)
                found = _named(session, body, source)
                named = {row["oid"] for row in found if row["kind"] == "S"}
                sequences |= named
                if body is None or NEXT.search(body):
                    drawing[name] = drawing.get(name, set()) | named
                tables |= {row["oid"] for row in found if row["kind"] in ("r", "p")}
                called += [(name, row["source"]) for row in found if row["kind"] == "f" and row["oid"] not in read]
                read |= {row["oid"] for row in found if row["kind"] == "f"}
            bodies = called
        tables -= seen
        seen |= tables
    return sequences, drawing


def _named(session: Session, body: str | None, source: str) -> list[Row]:
    words = sorted({lexer.name(each) for each in NAME.findall(source if body is None else body)})[:MOST_WORDS]
    return session.rows(NAMED, words=words) if words else []


def _code(source: str | None) -> str | None:
    try:
        return lexer.may_run(source or "")
    except lexer.Intricate:
        return None


def _shadowed(session: Session, row: Row) -> bool:
    """Whether we, or its owner, may."""
    statement = sql.SQL(SHADOW).format(sql.Identifier(row["schema"], row["name"]), sql.Literal(row["step"]))
    for role in dict.fromkeys((session.facts.role, row["owner"])):
        try:
            with session.savepoint(), acting.as_role(session, role):
                session.connection.execute(statement)
                return True
        except (errors.LockNotAvailable, errors.QueryCanceled, errors.DeadlockDetected):
            raise
        except psycopg.Error:
            if session.connection.closed:
                raise
    return False
