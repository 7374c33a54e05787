# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the pipeline's own work is going to take here, by what PostgreSQL expects: no fixed limit decides of a pipeline that is slow
because it is large."""

from __future__ import annotations

import contextlib
import typing as t

from ..core.errors import RecoveryError
from ..core.text import count, in_words
from ..ledger import history
from ..postgres.driver import psycopg, sql
from ..scout import contract, cron_jobs, cron_runs, event_queue, gold_contents, gold_views
from ..scout.judging import statements
from ..scout.sessions import STUCK_AFTER_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.session import Session

#: What one unit of a plan's cost takes on a slow machine, in seconds; measured: 2e-5 to 5e-5.
SECONDS_PER_COST: t.Final = 5e-5
#: How often as long as expected something may take.
TIMES: t.Final = 3.0
#: How long a look at the pipeline may take at least.
LOOK_SECONDS: t.Final = 5.0
#: A refresh of gold that takes longer is not made twice.
LONG_SECONDS: t.Final = 5.0
#: The functions that a view's query calls, but for PostgreSQL's own, with what they took in this transaction; the slowest first.
CALLED = """
SELECT DISTINCT p.oid::regprocedure::text AS name, coalesce(s.calls, 0) AS calls, coalesce(s.self_time, 0) / 1000 AS seconds
FROM pg_catalog.pg_rewrite AS r
JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND d.objid = r.oid
JOIN pg_catalog.pg_proc AS p ON d.refclassid = 'pg_catalog.pg_proc'::regclass AND d.refobjid = p.oid
LEFT JOIN pg_catalog.pg_stat_xact_user_functions AS s ON s.funcid = p.oid
WHERE r.ev_class = %(oid)s ORDER BY seconds DESC, name LIMIT 3
"""
PENDING: t.Final = "SELECT b.event_id FROM {bronze} AS b WHERE {pending} ORDER BY b.ingested_at LIMIT 1000"


def gold_seconds(session: Session) -> float:
    """What it takes to compute all gold views once, by what PostgreSQL expects and by what it took lately; inside a transaction."""
    ours = history.refresh_seconds(session)
    views = sum(max(view_seconds(session, view), ours.get(view.full_name, 0.0)) for view in gold_views.views(session))
    # A run that finds nothing to refresh takes no time.
    return max(views, _usual(session, contract.names().gold_functions, least=1.0))


def view_seconds(session: Session, view: gold_views.View) -> float:
    """What it takes to compute this view once; 0 where its query is not to be planned by us. Inside a transaction."""
    return 0.0 if view.foreign_code else _planned(session, gold_contents.written(view.definition))


def slow_functions(session: Session, view: gold_views.View, seconds: float) -> str | None:
    """Says which functions of its own a view's query calls where a refresh in this transaction took much longer than expected, and how
    long each took where PostgreSQL counts that; None where it did not, or calls none."""
    likely = view_seconds(session, view) if seconds > LONG_SECONDS else 0.0
    if seconds <= max(LONG_SECONDS, TIMES * likely) or view.foreign_code:
        return None
    called = session.rows(CALLED, oid=view.oid)
    if not called:
        return None
    names = ", ".join(
        f"{each['name']} ({in_words(each['seconds'])} in {count(each['calls'], 'call')})"
        if each["calls"]
        else each["name"]
        for each in called
    )
    uncounted = (
        "" if any(each["calls"] for each in called) else "; track_functions = all would tell how long each takes"
    )
    return (
        f"{view.full_name} took {in_words(seconds)} where {in_words(likely)} was expected: it calls {names}{uncounted}"
    )


def etl_seconds(session: Session) -> float:
    """What one call of the ETL takes where it has little to load: it reads all of bronze; inside a transaction."""
    return _planned(session, event_queue.of_pending(PENDING))


def call_seconds(session: Session) -> float:
    """What one call of the ETL takes where it has little to load, by what PostgreSQL expects and by what its job usually took lately;
    inside a transaction."""
    return max(etl_seconds(session), _usual(session, [contract.bare(contract.names().load_function)]))


def _usual(session: Session, functions: Sequence[str], least: float = 0.0) -> float:
    """How long the latest runs, of those above `least` seconds, usually took of the job that calls one of these functions, as pg_cron
    recorded it; 0 where none can be seen. Of several jobs it is the quickest: anybody's may call such a function and take long."""
    jobs: list[cron_jobs.Job] = []
    with contextlib.suppress(RecoveryError, psycopg.Error), session.savepoint():
        jobs = [job for job in cron_jobs.jobs(session) if statements.calls(job.command, functions)]
    return min(cron_runs.usual_seconds(session, jobs, least).values(), default=0.0)


def longest_seconds(session: Session) -> float:
    """How long a run of the pipeline's jobs may take before it is given up: no session counts as stuck before it is that old, and one
    that takes long by nature not before several times of that; inside a transaction."""
    return max(STUCK_AFTER_SECONDS, TIMES * max(call_seconds(session), gold_seconds(session)))


def look_seconds(session: Session, given: float | None, least: float = LOOK_SECONDS) -> float:
    """How long a look at the whole pipeline may take; inside a transaction."""
    return given or limit(None, least, etl_seconds(session))


def limit(given: float | None, least: float, expected: float) -> float:
    """How long something may take, in seconds: as `given`, else `least`, and longer where it is expected to take long."""
    return given or max(least, TIMES * expected)


def _planned(session: Session, query: sql.Composable) -> float:
    try:
        with session.savepoint():
            row = session.connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query).fetchone()
            if row is not None:
                return SECONDS_PER_COST * float(next(iter(row.values()))[0]["Plan"]["Total Cost"])
    except psycopg.Error:
        # What ends the session is said by whoever asked, and not by the next statement.
        if session.connection.closed:
            raise
    return 0.0
