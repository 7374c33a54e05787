# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the pipeline's own work is going to take here, by what PostgreSQL expects: no fixed limit decides of a pipeline that is slow
because it is large."""

from __future__ import annotations

import contextlib
import typing as t

from ..postgres.driver import psycopg, sql
from ..scout import event_queue, gold_contents, gold_views

if t.TYPE_CHECKING:
    from ..postgres.session import Session

#: What one unit of a plan's cost takes on a slow machine, in seconds; measured: 2e-5 to 5e-5.
SECONDS_PER_COST: t.Final = 5e-5
#: How often as long as expected something may take.
TIMES: t.Final = 3.0
#: A refresh of gold that takes longer is not made twice.
LONG_SECONDS: t.Final = 5.0

PENDING: t.Final = "SELECT b.event_id FROM {bronze} AS b WHERE {pending} ORDER BY b.ingested_at LIMIT 1000"


def gold_seconds(session: Session) -> float:
    """What it takes to compute all gold views once; inside a transaction."""
    return sum(
        _planned(session, gold_contents.written(view.definition))
        for view in gold_views.views(session)
        if not view.foreign_code
    )


def etl_seconds(session: Session) -> float:
    """What one call of the ETL takes where it has little to load: it reads all of bronze; inside a transaction."""
    return _planned(session, event_queue.of_pending(PENDING))


def limit(given: float | None, least: float, expected: float) -> float:
    """How long something may take, in seconds: as `given`, else `least`, and longer where it is expected to take long."""
    return given or max(least, TIMES * expected)


def _planned(session: Session, query: sql.Composable) -> float:
    with contextlib.suppress(psycopg.Error), session.savepoint():
        row = session.connection.execute(sql.SQL("EXPLAIN (FORMAT JSON) ") + query).fetchone()
        if row is not None:
            return SECONDS_PER_COST * float(next(iter(row.values()))[0]["Plan"]["Total Cost"])
    return 0.0
