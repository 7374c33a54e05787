# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Knows whether Scout's materialized views say what silver says, and refreshes those that do not, one by one."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from . import contract
from .connection import translate
from .errors import NotReached
from .pg import errors, psycopg, sql
from .progress import count, in_words

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from .connection import Session
    from .ledger import Run
    from .progress import Progress

#: The materialized views of the schema. CONCURRENTLY needs a valid unique index on plain columns without WHERE.
VIEWS = """
SELECT c.oid, c.relname::text AS name, c.relispopulated AS populated,
       pg_catalog.pg_get_viewdef(c.oid) AS definition,
       EXISTS (SELECT FROM pg_catalog.pg_index AS i
               WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
                 AND i.indpred IS NULL AND i.indexprs IS NULL) AS keyed,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
               AND a.atttypid = 'timestamptz'::regtype
               AND a.attname = ANY(%(clocks)s) ORDER BY array_position(%(clocks)s, a.attname::text)) AS clocks,
       ARRAY(SELECT DISTINCT d.refobjid FROM pg_catalog.pg_rewrite AS r
             JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> c.oid
             WHERE r.ev_class = c.oid) AS needs
FROM pg_catalog.pg_class AS c
JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind = 'm' AND n.nspname = %(schema)s
ORDER BY c.relname
"""

#: When silver last changed, by every clock it has, none of them in the future; ETL runs leave a line in the ledger
#: even where silver has none.
SILVER_CHANGED = """
SELECT max(at) AS changed_at
FROM (SELECT max(processed_at) AS at FROM scout.etl_processed WHERE processed_at <= clock_timestamp()
      UNION ALL SELECT max(processed_at) FROM scout.silver_transactions WHERE processed_at <= clock_timestamp()
      UNION ALL SELECT max(updated_at) FROM scout.silver_transactions WHERE updated_at <= clock_timestamp()
      UNION ALL SELECT max(updated_at) FROM scout.silver_line_items WHERE updated_at <= clock_timestamp()) AS clocks
WHERE at > '-infinity'
"""

LOCK = "SELECT pg_try_advisory_xact_lock(%(key)s) AS got"

HOLDER = """
SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.state
FROM pg_catalog.pg_locks AS l JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32 | l.objid::bigint) = %(key)s
"""

#: Columns in which a view keeps the time of its own refresh, most telling first.
CLOCKS: t.Final = ("refreshed_at", "last_refreshed_at", "updated_at", "created_at")

#: An ETL run that was in flight at a refresh shows an earlier time than it; within this, contents are compared.
SETTLED_SECONDS: t.Final = 900.0


@dataclasses.dataclass(frozen=True)
class View:
    """A materialized view and what its refresh needs."""

    oid: int
    name: str
    populated: bool
    definition: str
    keyed: bool
    columns: tuple[str, ...]
    clocks: tuple[str, ...]
    needs: tuple[int, ...]

    @property
    def full_name(self) -> str:
        """Schema and name."""
        return f"{contract.SCHEMA}.{self.name}"

    @property
    def concurrently(self) -> bool:
        """Whether readers can go on during a refresh."""
        return self.populated and self.keyed


@dataclasses.dataclass(frozen=True)
class Freshness:
    """Whether a view says what silver says: fresh, stale, unpopulated, or unknown, and how that is known."""

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


def views(session: Session) -> list[View]:
    """Scout's materialized views in the order in which they can be refreshed."""
    rows = session.rows(VIEWS, schema=contract.SCHEMA, clocks=list(CLOCKS))
    for row in rows:
        row.update({key: tuple(row[key]) for key in ("columns", "clocks", "needs")})
    return in_order(View(**row) for row in rows)


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


def read(session: Session, *, budget_seconds: float | None = None) -> list[Freshness]:
    """The freshness of every view; `budget_seconds` bounds the comparison of contents, beyond it is unknown."""
    changed = session.row(SILVER_CHANGED)
    deadline = None if budget_seconds is None else time.monotonic() + budget_seconds
    return [_freshness(session, view, changed["changed_at"], deadline) for view in views(session)]


def _freshness(session: Session, view: View, changed_at: datetime.datetime | None, deadline: float | None) -> Freshness:
    if not view.populated:
        return Freshness(view, "unpopulated", "never refreshed since it was made or emptied")
    refreshed_at = _refreshed_at(session, view)
    if refreshed_at is not None and changed_at is not None:
        behind = (changed_at - refreshed_at).total_seconds()
        if behind > 0:
            return Freshness(
                view, "stale", f"silver changed {in_words(behind)} after its refresh", refreshed_at, behind
            )
        if -behind > SETTLED_SECONDS:
            return Freshness(view, "fresh", "refreshed long after silver last changed", refreshed_at, 0.0)
    differing = _compare(session, view, deadline)
    if differing is None:
        return Freshness(view, "unknown", "its contents could not be compared in time", refreshed_at)
    if differing:
        return Freshness(view, "stale", f"{count(differing, 'row')} differ from what silver gives", refreshed_at)
    return Freshness(view, "fresh", "its contents equal what silver gives", refreshed_at, 0.0)


def _refreshed_at(session: Session, view: View) -> datetime.datetime | None:
    """The refresh time a view carries: a clock column with one value in all rows."""
    for clock in view.clocks:
        query = sql.SQL("SELECT min({c}) AS first, max({c}) AS last FROM {v}").format(
            c=sql.Identifier(clock), v=sql.Identifier(contract.SCHEMA, view.name)
        )
        row = session.connection.execute(query).fetchone()
        if row is not None and row["first"] is not None and row["first"] == row["last"]:
            return row["last"]
    return None


def _compare(session: Session, view: View, deadline: float | None) -> int | None:
    """Rows that differ between a view and its own query, its clocks left out; None when out of time or not comparable."""
    columns = [name for name in view.columns if name not in view.clocks]
    if not columns:
        return None
    shown = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(name)) for name in columns)
    definition = sql.SQL(t.cast("t.LiteralString", view.definition.strip().rstrip(";")))
    query = sql.SQL(
        "WITH now_given AS (SELECT {c} FROM ({d}) AS q), stored AS (SELECT {c} FROM {v}) "
        "SELECT (SELECT count(*) FROM (SELECT * FROM now_given EXCEPT ALL SELECT * FROM stored) AS more) "
        "+ (SELECT count(*) FROM (SELECT * FROM stored EXCEPT ALL SELECT * FROM now_given) AS less) AS differing"
    ).format(c=shown, d=definition, v=sql.Identifier(contract.SCHEMA, view.name))
    try:
        with session.savepoint():
            before = session.row("SELECT current_setting('statement_timeout') AS timeout")["timeout"]
            if deadline is not None:
                left = f"{max(1, round((deadline - time.monotonic()) * 1000))}ms"
                session.execute("SELECT set_config('statement_timeout', %(ms)s, true)", ms=left)
            row = session.connection.execute(query).fetchone()
            session.execute("SELECT set_config('statement_timeout', %(ms)s, true)", ms=before)
    except errors.QueryCanceled:
        return None
    return None if row is None else int(row["differing"])


@dataclasses.dataclass(frozen=True)
class Refreshed:
    """What became of one view."""

    name: str
    how: str
    seconds: float
    error: str | None = None
    sqlstate: str | None = None

    def as_dict(self) -> dict[str, t.Any]:
        """For results and the ledger."""
        return dataclasses.asdict(self)


def refresh(
    session: Session,
    run: Run,
    todo: list[View],
    *,
    refresh_timeout_seconds: float,
    lock_timeout_seconds: float,
    attempts: int,
    progress: Progress,
) -> list[Refreshed]:
    """Refreshes each view in a transaction of its own and proves it; raises NotReached naming each that failed."""
    done: list[Refreshed] = []
    for view in todo:
        progress.checkpoint()
        began = time.monotonic()
        try:
            how = _refresh_one(
                session, run, view, done, refresh_timeout_seconds, lock_timeout_seconds, attempts, progress
            )
            done.append(Refreshed(view.full_name, how, round(time.monotonic() - began, 3)))
            progress.say(f"refreshed {view.full_name} {how} in {in_words(time.monotonic() - began)}")
        except psycopg.Error as e:
            if session.connection.closed:
                raise translate(e, f"could not refresh {view.full_name}", on=session.where) from e
            said = e.diag.message_primary or str(e)
            done.append(Refreshed(view.full_name, "failed", round(time.monotonic() - began, 3), said, e.sqlstate))
        except NotReached as e:
            done.append(Refreshed(view.full_name, "failed", round(time.monotonic() - began, 3), e.said, e.sqlstate))
    failed = [entry for entry in done if entry.error is not None]
    if failed:
        raise NotReached(
            f"could not refresh {', '.join(entry.name for entry in failed)}",
            on=session.where,
            said="; ".join(f"{entry.name}: {entry.error}" for entry in failed),
            sqlstate=failed[0].sqlstate,
            next_step="mend what PostgreSQL names, then refresh_gold.yml; the other views have been refreshed",
            result={"refreshed": [entry.as_dict() for entry in done]},
        )
    return done


def _refresh_one(
    session: Session,
    run: Run,
    view: View,
    done: list[Refreshed],
    refresh_timeout_seconds: float,
    lock_timeout_seconds: float,
    attempts: int,
    progress: Progress,
) -> str:
    concurrently = view.concurrently
    statement = sql.SQL("REFRESH MATERIALIZED VIEW {}{}").format(
        sql.SQL("CONCURRENTLY " if concurrently else ""), sql.Identifier(contract.SCHEMA, view.name)
    )
    how = "concurrently" if concurrently else "plainly"
    for attempt in range(1, attempts + 1):
        try:
            with session.write(
                statement_timeout_seconds=refresh_timeout_seconds, lock_timeout_seconds=lock_timeout_seconds
            ):
                _take_lock(session, lock_timeout_seconds, progress)
                session.connection.execute(statement)
                _prove(session, view)
                entries = [*(entry.as_dict() for entry in done), {"name": view.full_name, "how": how}]
                run.record(refreshed=entries)
            return how
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            # A plain refresh queued behind a reader blocks every later reader: give way, then try again.
            if attempt == attempts:
                raise
            progress.say(f"{view.full_name} is in use: attempt {attempt} of {attempts} gave way")
            progress.wait(min(5.0, 0.5 * attempt))
    raise LookupError("unreachable: the last attempt returns or raises")


def _take_lock(session: Session, wait_seconds: float, progress: Progress) -> None:
    """Scout's own refresh lock, for this transaction, so that its refresh and ours never meet."""
    deadline = time.monotonic() + wait_seconds
    while not session.row(LOCK, key=contract.GOLD_LOCK)["got"]:
        if time.monotonic() >= deadline:
            holders = session.rows(HOLDER, key=contract.GOLD_LOCK)
            who = ", ".join(f"pid {h['pid']} ({h['role']}, {h['application']}, {h['state']})" for h in holders)
            raise NotReached(
                "could not take Scout's refresh lock",
                on=session.where,
                said=f"advisory key {contract.GOLD_LOCK} is held by {who or 'a session that just ended'}",
                next_step="unstick_etl.yml, then run the same command again",
            )
        progress.wait(0.2)


def _prove(session: Session, view: View) -> None:
    """A refresh counts when the view is populated and, where it carries a clock, that shows this very transaction."""
    now = {v.name: v for v in views(session)}.get(view.name)
    refreshed_at = _refreshed_at(session, now) if now is not None and now.populated else None
    began = session.row("SELECT transaction_timestamp() AS at")["at"]
    if now is None or not now.populated or (refreshed_at is not None and refreshed_at < began):
        raise NotReached(
            f"could not refresh {view.full_name}",
            said="PostgreSQL reported no error, but the view is not newer",
            next_step="look for a rule or an event trigger that replaces the refresh",
        )


def summary(done: list[Refreshed]) -> str:
    """One line for a person."""
    if not done:
        return "gold is fresh"
    return f"refreshed {count(len(done), 'gold view')}"
