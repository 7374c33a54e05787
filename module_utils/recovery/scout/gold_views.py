# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Scout's materialized views are up to date with silver: by the time of their refresh, and by their
contents."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import time
import typing as t

from ..core.text import count, in_words
from ..postgres import lexer
from ..postgres.driver import errors, psycopg, sql
from ..postgres.failures import words_of
from . import contract
from .gold_contents import Compared, Contents, compare
from .judging import foreign_code, roles

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Iterable

    from ..postgres.session import Row, Session

#: What views read, directly or through other views, and whose code each runs where it is read.
READ: t.Final[t.LiteralString] = """
WITH RECURSIVE direct AS (
    SELECT DISTINCT r.ev_class AS reader, d.refobjid AS read
    FROM pg_catalog.pg_rewrite AS r
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
         AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.ev_class
), deep AS (
    SELECT reader, read FROM direct
    UNION SELECT deep.reader, direct.read FROM deep JOIN direct ON direct.reader = deep.read
), run AS (
    SELECT c.oid AS reader, c.oid AS relation FROM pg_catalog.pg_class AS c WHERE {which}
    UNION ALL
    SELECT deep.reader, deep.read FROM deep JOIN pg_catalog.pg_class AS v ON v.oid = deep.read AND v.relkind = 'v'
), used AS (
    SELECT DISTINCT run.reader, d.refclassid, d.refobjid FROM run
    JOIN pg_catalog.pg_rewrite AS r ON r.ev_class = run.relation
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
), typed AS (
    SELECT u.reader, u.refobjid AS type FROM used AS u WHERE u.refclassid = 'pg_catalog.pg_type'::regclass
    UNION
    SELECT y.reader, {inside}
), called AS (
    SELECT u.reader, CASE u.refclassid WHEN 'pg_catalog.pg_proc'::regclass THEN u.refobjid ELSE o.oprcode END AS function
    FROM used AS u LEFT JOIN pg_catalog.pg_operator AS o
      ON u.refclassid = 'pg_catalog.pg_operator'::regclass AND o.oid = u.refobjid
    WHERE u.refclassid IN ('pg_catalog.pg_proc'::regclass, 'pg_catalog.pg_operator'::regclass)
    UNION ALL
    SELECT y.reader, d.refobjid FROM typed AS y JOIN pg_catalog.pg_constraint AS k ON k.contypid = y.type
    JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid = k.oid
     AND d.refclassid = 'pg_catalog.pg_proc'::regclass
), code AS (
    SELECT run.reader, run.relation::regclass::text AS name, v.relowner AS owner
    FROM run JOIN pg_catalog.pg_class AS v ON v.oid = run.relation
    UNION ALL
    SELECT called.reader, f.oid::regprocedure::text, f.proowner FROM called JOIN pg_catalog.pg_proc AS f ON f.oid = called.function
), trusted AS (
    SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolsuper OR r.rolname = current_user
    UNION ALL
    SELECT k.relowner FROM pg_catalog.pg_class AS k JOIN pg_catalog.pg_namespace AS m ON m.oid = k.relnamespace
    WHERE m.nspname || '.' || k.relname = ANY(%(pipeline)s)
)"""
FOREIGN: t.Final[t.LiteralString] = """
(SELECT code.name || ' of ' || pg_catalog.pg_get_userbyid(code.owner) FROM code
 WHERE code.reader = c.oid AND code.owner NOT IN (SELECT oid FROM trusted) ORDER BY 1 LIMIT 1)"""

#: The pipeline's own functions, where there is a materialized view of somebody else's beside them.
SOURCES: t.Final[t.LiteralString] = f"""
SELECT {lexer.SOURCE} AS source FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.proowner IN ({roles.OWNING}) AND EXISTS (
    SELECT FROM pg_catalog.pg_class AS c WHERE c.relnamespace = n.oid AND c.relkind = 'm' AND c.relowner IN ({roles.STRANGERS}))
"""  # noqa: S608  # made of literals alone
#: The schema's functions that may refresh a view.
REFRESHING: t.Final[t.LiteralString] = f"""
SELECT {lexer.SOURCE} AS source FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = %(schema)s AND p.prosrc ~* 'refresh'
"""  # noqa: S608  # made of literals alone
#: Whether the materialized view `c` is the pipeline's; one that its functions name is, also where somebody was given it.
OF_PIPELINE: t.Final[t.LiteralString] = f"(c.relowner NOT IN ({roles.STRANGERS}) OR c.relname = ANY(%(named)s))"
#: What a function names, and does not call.
NAMED: t.Final = re.compile(rf"{lexer.NAME}(?!\s*\()")

#: Whether somebody may refresh `c`: before PostgreSQL 17 only its owner may.
MAY_REFRESH: t.Final[t.LiteralString] = """
CASE WHEN current_setting('server_version_num')::int >= 170000 THEN pg_catalog.has_table_privilege({who}, c.oid, 'MAINTAIN')
     ELSE pg_catalog.pg_has_role({who}, c.relowner, 'USAGE') END"""

#: The materialized views of the schema that are the pipeline's, with all they read. CONCURRENTLY needs a valid unique index on
#: plain columns without WHERE.
VIEWS: t.Final[t.LiteralString] = f"""
{READ.format(which="c.relkind = 'm'", inside=foreign_code.INSIDE)}
SELECT c.oid, c.relname::text AS name, c.relispopulated AS populated, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       {MAY_REFRESH.format(who="current_user")} AS refreshable,
       pg_catalog.pg_get_viewdef(c.oid) AS definition,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                 AND i.indpred IS NULL AND i.indexprs IS NULL) AS keyed,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND a.atttypid = 'timestamptz'::regtype ORDER BY a.attnum) AS times,
       ARRAY(SELECT deep.read FROM deep WHERE deep.reader = c.oid) AS needs,
       coalesce({FOREIGN}, '') AS foreign_code
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND n.nspname = %(schema)s AND {OF_PIPELINE}
ORDER BY c.relname
"""  # noqa: S608  # made of literals alone

#: The same of one view, or of the functions of a name, whatever they are called with.
ONE: t.Final[t.LiteralString] = f"""
{READ.format(which="c.oid = to_regclass(%(name)s)", inside=foreign_code.INSIDE)}
SELECT coalesce((SELECT {FOREIGN} FROM pg_catalog.pg_class AS c WHERE c.oid = to_regclass(%(name)s)), (
    SELECT p.oid::regprocedure::text || ' of ' || pg_catalog.pg_get_userbyid(p.proowner)
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname || '.' || p.proname = %(name)s AND p.proowner NOT IN (SELECT oid FROM trusted) ORDER BY 1 LIMIT 1), '') AS of_others
"""  # noqa: S608  # made of literals alone

#: When silver last changed, by every clock it has; ETL runs leave a line in the ledger even where silver has none. A clock
#: set to the future, or to before there were databases, tells nothing.
SILVER_CHANGED = """
SELECT greatest(
    (SELECT max(processed_at) FROM {transactions} WHERE processed_at BETWEEN '1970-01-01' AND clock_timestamp()),
    (SELECT max(updated_at) FROM {transactions} WHERE updated_at BETWEEN '1970-01-01' AND clock_timestamp()),
    (SELECT max(updated_at) FROM {line_items} WHERE updated_at BETWEEN '1970-01-01' AND clock_timestamp())) AS changed_at
"""
#: A release that came back may have the ledger elsewhere.
LEDGER_CHANGED = """
SELECT max(processed_at) AS changed_at FROM {etl_ledger} WHERE processed_at BETWEEN '1970-01-01' AND clock_timestamp()
"""
IS_THERE = "SELECT pg_catalog.to_regclass(%(name)s) IS NOT NULL AS there"

#: Names under which a view may keep the time of its own refresh where its definition does not show it.
CLOCKS: t.Final = ("refreshed_at", "last_refreshed_at", "updated_at", "created_at")

#: One column as pg_get_viewdef prints it: `    now() AS created_at,`.
COLUMN = re.compile(
    r'^[ \t]*+(?:SELECT )?(?P<expression>.+) AS (?:(?P<plain>\w++)|"(?P<quoted>[^"\n]++)")[,;]?$', re.MULTILINE
)
NOW = r"(?:now|transaction_timestamp|statement_timestamp|clock_timestamp)\(\)|CURRENT_TIMESTAMP"
IS_NOW = re.compile(rf"(?:{NOW})")
MOVES = re.compile(
    rf"\b(?:{NOW}|CURRENT_DATE|CURRENT_TIME|LOCALTIME|LOCALTIMESTAMP|age\((?:[^,()]|\([^,()]*\))+\)|timeofday\(\)|random\(\))"
)

#: Columns in which a view counts all sales of a day, or of a store or a region on it.
COUNTS: t.Final = ("transaction_count", "txn_count")

#: Columns by which a view says of which day a row is.
DAYS: t.Final = ("date_key", "day")

DATED = "SELECT DISTINCT date_key::text AS day FROM {transactions} WHERE transaction_id = ANY(%(names)s)"

#: An ETL run that was in flight at a refresh shows an earlier time than it; beyond this, a later refresh is trusted where
#: contents cannot be compared.
SETTLED_SECONDS: t.Final = 900.0
#: How long a view without a clock is compared with its query.
CURRENT_SECONDS: t.Final = 5.0


@dataclasses.dataclass(frozen=True)
class View:
    """A materialized view and what its refresh needs.

    `clocks` hold the time of the refresh by definition, `named` perhaps, by their names; `contents` change only when silver
    does; `needs` is all that it reads. `foreign_code` is what its query would run, with our rights, that belongs to nobody who is
    trusted with them: a superuser, ourselves, the owners of the pipeline's tables.
    """

    oid: int
    name: str
    populated: bool
    definition: str
    keyed: bool
    columns: tuple[str, ...]
    clocks: tuple[str, ...]
    needs: tuple[int, ...]
    named: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()
    owner: str = ""
    refreshable: bool = True
    foreign_code: str = ""

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{contract.names().schema}.{self.name}"

    @property
    def concurrently(self) -> bool:
        """Whether readers can go on during a refresh."""
        return self.populated and self.keyed


@dataclasses.dataclass(frozen=True)
class Freshness:
    """Whether a view is up to date: fresh, stale, unpopulated, or unknown, and how that is known."""

    view: View
    state: str
    why: str
    refreshed_at: datetime.datetime | None = None
    behind_seconds: float | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {
            "name": self.view.full_name,
            "state": self.state,
            "why": self.why,
            "refreshed_at": self.refreshed_at.isoformat() if self.refreshed_at else None,
            "behind_seconds": None if self.behind_seconds is None else round(self.behind_seconds, 1),
            "concurrently": self.view.concurrently,
        }


def expressions(definition: str) -> list[tuple[str, str]]:
    """Name and expression of each column that a definition writes on a line of its own."""
    return [
        (found["plain"] or lexer.name(f'"{found["quoted"]}"'), found["expression"])
        for found in COLUMN.finditer(definition.strip().rstrip(";"))
    ]


def views(session: Session) -> list[View]:
    """Scout's materialized views in the order in which they can be refreshed; those that strangers made are none of them."""
    values = {"pipeline": _of_the_pipeline(), "named": named(session), **roles.owned()}
    return in_order(_view(row) for row in session.rows(VIEWS, **values))


def named(session: Session) -> list[str]:
    """What may be a materialized view of the pipeline by what its own functions run, for OF_PIPELINE."""
    found, prefix = set[str](), contract.names().gold_prefix
    for row in session.rows(SOURCES, **roles.owned()):
        with contextlib.suppress(lexer.Intricate):
            found |= {lexer.name(each) for each in NAMED.findall(lexer.may_run(row["source"] or ""))}
    return sorted(each for each in found if each.startswith(prefix))


def _of_the_pipeline() -> list[str]:
    names = contract.names()
    return [names.bronze, names.etl_ledger, names.transactions, names.line_items]


def code_of_others(session: Session, name: str) -> str:
    """Whose code a view, or a function, of this name would run with our rights, `f() of mallory`, where it is neither a
    superuser's, nor ours, nor that of an owner of the pipeline's tables; empty where none. Inside a transaction."""
    return session.row(ONE, name=name, pipeline=_of_the_pipeline())["of_others"]


def _view(row: Row) -> View:
    written = expressions(lexer.code(row["definition"]))
    now = {name for name, expression in written if IS_NOW.fullmatch(expression)}
    moving = {name for name, expression in written if MOVES.search(expression)}
    times: list[str] = row.pop("times")
    row.update(
        columns=tuple(row["columns"]),
        needs=tuple(row["needs"]),
        clocks=tuple(name for name in times if name in now),
        named=tuple(name for name in CLOCKS if name in times and name not in now),
        contents=tuple(name for name in row["columns"] if name not in moving and name not in CLOCKS),
    )
    return View(**row)


def in_order(found: Iterable[View]) -> list[View]:
    """Each view after those it reads; by name where free."""
    waiting = sorted(found, key=lambda view: view.name)
    ordered: list[View] = []
    while waiting:
        open_oids = {view.oid for view in waiting}
        ready = [view for view in waiting if not open_oids & set(view.needs) - {view.oid}]
        ordered += ready or waiting
        done = {view.oid for view in ordered}
        waiting = [view for view in waiting if view.oid not in done]
    return ordered


def _silver_changed(session: Session) -> datetime.datetime | None:
    """When silver last changed, by every clock that is there."""
    clocks: list[datetime.datetime | None] = [session.row(contract.compose(SILVER_CHANGED))["changed_at"]]
    if session.row(IS_THERE, name=contract.names().etl_ledger)["there"]:
        clocks.append(session.row(contract.compose(LEDGER_CHANGED))["changed_at"])
    return max((clock for clock in clocks if clock is not None), default=None)


@dataclasses.dataclass(frozen=True)
class Moves:
    """What moves have changed, which leave no trace in silver: days that are compared first; and those since a moment, by which a view
    that is `slow` to compute is stale without being compared."""

    days: frozenset[str] = frozenset()
    slow: Collection[str] = ()
    since: Callable[[datetime.datetime], Collection[str]] = lambda _: ()


def read(session: Session, *, budget_seconds: float | None = None, moves: Moves | None = None) -> list[Freshness]:
    """The freshness of every view; the comparison of contents is bounded by `budget_seconds`, beyond which it is unknown."""
    changed_at = _silver_changed(session)
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    found: list[Freshness] = []
    for view in views(session):
        state = _freshness(session, view, changed_at, deadline, moves or Moves())
        stale = [f.view.full_name for f in found if f.view.oid in view.needs and f.state in ("stale", "unpopulated")]
        if stale and state.state == "fresh":
            state = dataclasses.replace(state, state="stale", why=f"reads {', '.join(stale)}, not fresh")
        found.append(state)
    return found


def _freshness(
    session: Session,
    view: View,
    changed_at: datetime.datetime | None,
    deadline: float | None,
    moves: Moves,
) -> Freshness:
    if not view.populated:
        return Freshness(view, "unpopulated", "never refreshed since it was created or emptied")
    at = refreshed_at(session, view)
    behind = None if at is None or changed_at is None else (changed_at - at).total_seconds()
    if behind is not None and behind > 0:
        return Freshness(view, "stale", f"silver changed {in_words(behind)} after its refresh", at, behind)
    if at is not None and view.full_name in moves.slow and (days := moves.since(at)):
        return Freshness(view, "stale", f"{count(len(days), 'day')} moved after its refresh", at)
    compared, why, broken = _compared(session, view, deadline, moves.days)
    if why:
        if behind is not None and -behind > SETTLED_SECONDS and not broken:
            return Freshness(view, "fresh", f"refreshed long after silver last changed; not compared: {why}", at, 0.0)
        return Freshness(view, "unknown", f"its contents could not be compared: {why}", at)
    if compared.rows:
        rows = count(compared.rows, "row") + (f" of {compared.day}" if compared.day else "")
        return Freshness(view, "stale", f"{rows} differ from silver", at)
    if compared.whole:
        return Freshness(view, "fresh", "its contents match silver", at, 0.0)
    seen = f"{compared.days} of its {count(compared.of, 'day')} match silver, and there was no time for the others"
    # By its clock it is newer than silver.
    return Freshness(view, "unknown" if behind is None else "fresh", seen, at, 0.0)


def _compared(
    session: Session, view: View, deadline: float | None, moved: frozenset[str]
) -> tuple[Compared, str, bool]:
    """What a view has otherwise than its query; why that is not known; and whether the query itself fails."""
    if view.foreign_code:
        return Compared(0), f"its query would run {view.foreign_code} with our rights", False
    try:
        row = _row(view) if view.contents else None
        return (
            compare(session, Contents(view.name, view.oid, view.definition, day_of(view), row, moved), deadline),
            "",
            False,
        )
    except psycopg.Error as e:
        if session.connection.closed:
            raise
        if isinstance(e, errors.QueryCanceled):
            return Compared(0), "out of time", False
        return Compared(0), words_of(e), not isinstance(e, errors.InsufficientPrivilege)


def refreshed_at(session: Session, view: View) -> datetime.datetime | None:
    """The refresh time a view carries: a column that is one by definition, or by name with one value in several rows."""
    for clock in (*view.clocks, *view.named):
        query = sql.SQL("SELECT count(*) AS rows, min({c}) AS first, max({c}) AS last FROM {v}").format(
            c=sql.Identifier(clock), v=sql.Identifier(contract.names().schema, view.name)
        )
        row: Row | None = session.connection.execute(query).fetchone()
        # A moment that Python does not hold is text, and no refresh was then.
        if row is None or row["first"] is None or isinstance(row["first"], str) or row["first"] != row["last"]:
            continue
        if clock in view.clocks or row["rows"] > 1:
            return row["last"]
    return None


def refreshing_code(session: Session) -> list[str]:
    """The source of each function of the schema that may refresh a view. Inside a transaction."""
    return [row["source"] or "" for row in session.rows(REFRESHING, schema=contract.names().schema)]


def is_current(session: Session, view: View, days: Collection[str]) -> bool:
    """Whether a view holds what its own query gives now, of these days first; also where nobody can tell."""
    compared, why, _ = _compared(session, view, time.monotonic() + CURRENT_SECONDS, frozenset(days))
    return bool(why) or not compared.rows


def days_of(session: Session, sales: list[str]) -> list[str]:
    """The days on which silver has these sales."""
    return [row["day"] for row in session.rows(contract.compose(DATED), names=sales)]


def day_of(view: View) -> str | None:
    """The column by which a view says of which day a row is."""
    return next((name for name in DAYS if name in view.columns), None)


def counted(view: View) -> tuple[str, str] | None:
    """The columns by which a view says which day, and counts all sales of it; None where it does not, and where it may show some days
    alone."""
    day = day_of(view)
    number = next((name for name in COUNTS if name in view.contents), None)
    return None if day is None or number is None or waits(view) else (day, number)


def waits(view: View) -> bool:
    """Whether it is a matter of time which rows a view shows, such as those of the last thirty days."""
    return MOVES.search(COLUMN.sub("", lexer.code(view.definition))) is not None


def _row(view: View) -> sql.Composed:
    """The contents of a row as one text, which calls no cast of others, as that of a column to text would."""
    return sql.SQL("ROW({})::text").format(sql.SQL(", ").join(map(sql.Identifier, view.contents)))
