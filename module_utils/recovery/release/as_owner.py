# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of a rollback that call what others wrote (defaults, checks, casts, queries of views) with the rights of the owner
of what they are about; none of it can become us again."""

from __future__ import annotations

import re
import typing as t

from ..postgres import acting
from ..postgres.driver import sql
from ..postgres.identifiers import identifier
from .planner import fill_statements

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..postgres.session import Row, Session

_NAME: t.Final = r'(?:"(?:[^"]|"")++"|[^\s".(]++)'
_QUALIFIED: t.Final = rf"({_NAME}\.{_NAME})"
#: What is made, and becomes its owner's at once instead of when all is settled.
MADE: t.Final = re.compile(rf"\ACREATE (?:UNLOGGED )?(?:TABLE|MATERIALIZED VIEW|DOMAIN) {_QUALIFIED}")
OWNED: t.Final = re.compile(rf"\AALTER (?:TABLE|MATERIALIZED VIEW|DOMAIN) {_QUALIFIED} OWNER TO ")
WITH_DATA: t.Final = re.compile(rf"\ACREATE MATERIALIZED VIEW {_QUALIFIED} .* (WITH DATA)\Z", re.DOTALL)
#: What looks at the rows that stand, or writes some. The right to refer to a table is another owner's affair.
OF_ROWS: t.Final = re.compile(rf"\A(?:UPDATE|INSERT INTO|ALTER DOMAIN) {_QUALIFIED}(?= )(?! OWNER TO )")
OF_TABLE: t.Final = re.compile(rf"\AALTER TABLE (?:ONLY )?{_QUALIFIED} ")
CALLS: t.Final = re.compile(
    r"ADD COLUMN |ALTER COLUMN .* TYPE |ADD CONSTRAINT .*(?:CHECK|EXCLUDE)|VALIDATE CONSTRAINT ", re.DOTALL
)
#: A sequence has to be the owner's whose the table is.
JOINS: t.Final = re.compile(rf"\AALTER SEQUENCE {_QUALIFIED} OWNED BY {_QUALIFIED}\.")
#: Which of the data that is kept a statement takes.
TAKES: t.Final = re.compile(r"d\.capture_id = E?'(?:[^']|'')*+' AND d\.relation = E?'(?:[^']|'')*+'")
COPY: t.Final = "pg_temp.scout_recovery_kept"

WHOSE: t.Final = """
SELECT o.rolname::text AS owner, o.oid = u.oid AS ours, u.rolsuper AS superuser,
       pg_catalog.has_database_privilege(o.oid, pg_catalog.current_database(), 'TEMPORARY') AS temporary
FROM (SELECT relowner FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%(name)s)
      UNION ALL SELECT typowner FROM pg_catalog.pg_type WHERE oid = pg_catalog.to_regtype(%(name)s) AND typtype = 'd') AS w (who)
JOIN pg_catalog.pg_roles AS o ON o.oid = w.who
JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user
"""

FUNCTION: t.Final = sql.Identifier("scout_recovery_as_owner")
GIVEN: t.Final[t.LiteralString] = "ALTER FUNCTION pg_temp.{function}(pg_catalog.text) OWNER TO {owner}"
RUN: t.Final = "SELECT pg_temp.scout_recovery_as_owner(%(statement)s)"


def owners(statements: Iterable[str]) -> dict[str, str]:
    """By the name of what a plan makes, the statement by which that gets its owner."""
    return {found[1]: each for each in statements if (found := OWNED.match(each))}


def execute(session: Session, statement: str, settled: Mapping[str, str]) -> None:
    """Runs a statement of a plan, as whoever owns what it is about where it calls what others wrote. What it makes has its
    owner then. Inside the caller's transaction; raises what PostgreSQL says."""
    if joins := JOINS.match(statement):
        _hand_over(session, joins[1], joins[2])
    stored = WITH_DATA.match(statement)
    made = MADE.match(statement)
    if stored:
        statement = f"{statement[: stored.start(2)]}WITH NO DATA"
    name = _of(statement)
    whose = session.rows(WHOSE, name=name) if name else []
    if whose and not whose[0]["ours"]:
        _as_owner(session, statement, whose[0])
    else:
        session.connection.execute(statement.encode())
    if made and made[1] in settled:
        session.connection.execute(settled[made[1]].encode())
    if stored:
        # The server itself refreshes with the rights of the owner, and confined.
        session.connection.execute(f"REFRESH MATERIALIZED VIEW {stored[1]}".encode())


def _hand_over(session: Session, sequence: str, table: str) -> None:
    """Gives a sequence that is to belong to a table the owner that the table has by now."""
    for row in session.rows(WHOSE, name=table):
        if not row["ours"]:
            statement = f"ALTER SEQUENCE {sequence} OWNER TO {identifier(row['owner'])}"
            session.connection.execute(statement.encode())


def _of(statement: str) -> str:
    """What a statement is about that calls what others wrote; empty where it calls nothing."""
    if found := OF_ROWS.match(statement):
        return found[1]
    found = OF_TABLE.match(statement)
    return found[1] if found and CALLS.match(statement, found.end()) and " FOREIGN KEY " not in statement else ""


def _as_owner(session: Session, statement: str, whose: Row) -> None:
    owner = sql.Identifier(whose["owner"])
    takes = TAKES.search(statement) if fill_statements.SOURCE in statement else None
    if takes:
        # The owner may not look into the ledger.
        query = f"CREATE TEMPORARY TABLE {COPY.partition('.')[2]} AS SELECT d.* FROM {fill_statements.SOURCE} WHERE {takes[0]}"  # noqa: S608
        session.connection.execute(query.encode())
        session.connection.execute(sql.SQL("GRANT SELECT ON pg_temp.scout_recovery_kept TO {}").format(owner))
        statement = statement.replace(fill_statements.SOURCE, f"{COPY} AS d")
    become = sql.SQL(acting.BECOME).format(role=owner)
    if whose["superuser"] or whose["temporary"]:
        # Who may not make such a function himself is given one by a superuser.
        confined = sql.SQL(acting.RUN).format(function=FUNCTION)
        if whose["superuser"]:
            session.connection.execute(confined)
            session.connection.execute(sql.SQL(GIVEN).format(function=FUNCTION, owner=owner))
        else:
            session.connection.execute(become)
            session.connection.execute(confined)
            session.connection.execute("RESET ROLE")
        session.execute(RUN, statement=statement)
        session.connection.execute(sql.SQL(acting.DROP).format(function=FUNCTION))
    else:
        session.connection.execute(become)
        session.connection.execute(statement.encode())
        session.connection.execute("RESET ROLE")
    if takes:
        session.connection.execute("DROP TABLE pg_temp.scout_recovery_kept")
