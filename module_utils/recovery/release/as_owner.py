# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Statements of a rollback that call what others wrote (defaults, checks, casts, queries of views) with the rights of the owner
of what they are about; none of it can become us again."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import NotConverged
from ..postgres import acting
from ..postgres.driver import sql
from .ddl.common import given
from .ddl.statement import Effect, Lock, phrase
from .planner import fill_statements

if t.TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Mapping

    from ..postgres.session import Row, Session
    from .ddl.statement import Statement

WHOSE: t.Final = """
SELECT o.rolname::text AS owner, o.oid = u.oid AS ours, u.rolsuper AS superuser, w.forced,
       o.rolsuper AND NOT u.rolsuper AS above_us,
       pg_catalog.has_database_privilege(o.oid, pg_catalog.current_database(), 'TEMPORARY') AS temporary
FROM (SELECT relowner, relrowsecurity AND relforcerowsecurity FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(%(name)s)
      UNION ALL SELECT typowner, false FROM pg_catalog.pg_type
      WHERE oid = pg_catalog.to_regtype(%(name)s) AND typtype = 'd') AS w (who, forced)
JOIN pg_catalog.pg_roles AS o ON o.oid = w.who
JOIN pg_catalog.pg_roles AS u ON u.rolname = current_user
"""

#: What the key of a partitioned table calls that is not PostgreSQL's own.
CALLED: t.Final = """
SELECT d.refobjid::pg_catalog.regprocedure::text AS function FROM pg_catalog.pg_depend AS d
WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = pg_catalog.to_regclass(%(name)s)
  AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
"""

FUNCTION: t.Final = sql.Identifier("scout_recovery_as_owner")
GIVEN: t.Final[t.LiteralString] = "ALTER FUNCTION pg_temp.{function}(pg_catalog.text) OWNER TO {owner}"
RUN: t.Final = "SELECT pg_temp.scout_recovery_as_owner(%(statement)s)"
#: What stands in the place of the ledger, into which the owner may not look.
COPY: t.Final = sql.SQL("pg_temp.scout_recovery_kept AS d")
COPIED: t.Final = "CREATE TEMPORARY TABLE scout_recovery_kept AS SELECT d.* FROM {source} WHERE {some}"


def owners(statements: Iterable[Statement]) -> dict[str, Statement]:
    """By the name of what a plan makes, the statement by which that gets its owner."""
    return {each.owns: each for each in statements if each.owns}


def execute(session: Session, statement: Statement, settled: Mapping[str, Statement]) -> None:
    """Runs a statement of a plan, as whoever owns what it is about where it calls what others wrote. What it makes has its
    owner then. Inside the caller's transaction; raises what PostgreSQL says."""
    if statement.sequence:
        _hand_over(session, statement.sequence, statement.table)
    whose = session.rows(WHOSE, name=statement.runs_as) if statement.runs_as else []
    if statement.effect == Effect.ATTACHES and whose and _is_of_another(session, statement, whose[0]):
        whose = []
    with _every_row(session, statement, forced=any(each["forced"] for each in whose)):
        # What a superuser wrote may run with our rights, who has them all; and nobody may become one.
        if whose and not (whose[0]["ours"] or whose[0]["above_us"]):
            _as_owner(session, statement, whose[0])
        else:
            session.connection.execute(statement.text)
    if statement.makes in settled:
        session.connection.execute(settled[statement.makes].text)


def _is_of_another(session: Session, statement: Statement, whose: Row) -> bool:
    """Whether a partition has another owner than the table it becomes one of, so that neither can attach it, and we have to. Raises
    NotConverged where that would call what others wrote."""
    if all(each["owner"] == whose["owner"] for each in session.rows(WHOSE, name=statement.table)):
        return False
    if not (whose["ours"] or whose["above_us"]) and (called := session.rows(CALLED, name=statement.runs_as)):
        raise NotConverged(
            f"refused to attach {statement.table} to {statement.runs_as}",
            on=session.where,
            said=f"they have different owners, and the partition key calls {called[0]['function']}, which would run with our rights",
            next_step=f"`ALTER TABLE {statement.table} OWNER TO {sql.Identifier(whose['owner']).as_string()}`, "
            "then run the same command again",
        )
    return True


@contextlib.contextmanager
def _every_row(session: Session, statement: Statement, *, forced: bool) -> Generator[None]:
    """While rows are written, no policy that is forced upon the owner of their table hides some of them from him, or refuses
    them."""
    if not forced or statement.lock != Lock.ROW_EXCLUSIVE:
        yield
        return
    forcing = phrase("ALTER TABLE {} FORCE ROW LEVEL SECURITY", statement.runs_as)
    session.connection.execute(phrase("ALTER TABLE {} NO FORCE ROW LEVEL SECURITY", statement.runs_as))
    yield
    session.connection.execute(forcing)


def _hand_over(session: Session, sequence: str, table: str) -> None:
    """Gives a sequence that is to belong to a table the owner that the table has by now."""
    for row in session.rows(WHOSE, name=table):
        if not row["ours"]:
            session.connection.execute(given("SEQUENCE", sequence, row["owner"]).text)


def _as_owner(session: Session, statement: Statement, whose: Row) -> None:
    owner, text = sql.Identifier(whose["owner"]), statement.text
    if statement.takes:
        made = sql.SQL(COPIED).format(source=fill_statements.SOURCE, some=statement.takes)
        session.connection.execute(made)
        session.connection.execute(sql.SQL("GRANT SELECT ON pg_temp.scout_recovery_kept TO {}").format(owner))
        text = _of_copy(text)
    # Who may not make such a function himself is given one by a superuser.
    confined = sql.SQL(acting.RUN).format(function=FUNCTION)
    if whose["superuser"]:
        session.connection.execute(confined)
        session.connection.execute(sql.SQL(GIVEN).format(function=FUNCTION, owner=owner))
    elif whose["temporary"]:
        session.connection.execute(sql.SQL(acting.BECOME).format(role=owner))
        session.connection.execute(confined)
        session.connection.execute("RESET ROLE")
    else:
        raise acting.unsealed(session, whose["owner"], becomes=True)
    session.execute(RUN, statement=text.as_string())
    session.connection.execute(sql.SQL(acting.DROP).format(function=FUNCTION))
    if statement.takes:
        session.connection.execute("DROP TABLE pg_temp.scout_recovery_kept")


def _of_copy(text: sql.Composed) -> sql.Composed:
    """The same, which reads the copy instead of the ledger."""
    pieces = (COPY if each is fill_statements.SOURCE else each for each in text)
    return sql.Composed([_of_copy(each) if isinstance(each, sql.Composed) else each for each in pieces])
