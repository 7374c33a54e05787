# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the pipeline's own statements usually take, as pg_stat_statements counts them where it is installed.

Any role may run a statement that looks like one of them and sleeps. So those of the pipeline's owners alone are read, and only what they
sent themselves: what runs inside a function counts for the function's owner, whoever called it. Of a statement neither its mean is
believed, which one call that waited for a lock raises as far as it waited, nor its slowest call, but what the median cannot be below: it
is never further from the mean than the standard deviation is. So more than half of all calls would have to be slow to lengthen it. Where
a table has grown since the last reset it says too little, as it does of a refresh that mostly finds nothing to do.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..postgres.driver import psycopg, sql
from ..scout import cron_jobs
from ..scout.judging import roles, statements

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..postgres.session import Row, Session

#: Where its function is: one in C, so that whoever owns the extension has put no code of his behind the name.
INSTALLED = """
SELECT n.nspname::text AS schema FROM pg_catalog.pg_extension AS x
JOIN pg_catalog.pg_depend AS d ON d.refclassid = 'pg_catalog.pg_extension'::regclass AND d.refobjid = x.oid AND d.deptype = 'e'
JOIN pg_catalog.pg_proc AS p ON d.classid = 'pg_catalog.pg_proc'::regclass AND p.oid = d.objid
JOIN pg_catalog.pg_language AS l ON l.oid = p.prolang AND l.lanname = 'c'
JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
WHERE x.extname = 'pg_stat_statements' AND p.proname = 'pg_stat_statements' AND p.proargtypes = '16'::pg_catalog.oidvector
"""
#: What was called a few times in this database, the most often first. Before its version 1.9 nothing tells what ran inside a function.
COUNTED: t.LiteralString = f"""
SELECT s.userid::bigint AS owner, s.queryid, s.query, s.calls,
       greatest(s.min_exec_time, s.mean_exec_time - s.stddev_exec_time) / 1000 AS seconds
FROM {{counted}}(true) AS s
WHERE s.dbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
  AND s.userid IN ({roles.OWNING}) AND s.queryid IS NOT NULL AND s.calls >= 3 AND pg_catalog.length(s.query) <= 10000
  AND coalesce((to_jsonb(s) ->> 'toplevel')::boolean, current_setting('pg_stat_statements.track', true) = 'top')
ORDER BY s.calls DESC LIMIT 1000
"""  # noqa: S608  # made of literals alone


class Counted(t.NamedTuple):
    """A statement without its constants, and what a call of it usually takes at least."""

    text: str
    seconds: float


def read(session: Session) -> list[Counted]:
    """The statements of the pipeline's owners that we may see, ourselves or as those we may become, the most called first; none where
    that cannot be read. Inside a transaction."""
    found = dict[tuple[int, int], "Row"]()
    owned = roles.owned()
    for installed in session.rows(INSTALLED):
        counted = sql.SQL(COUNTED).format(counted=sql.Identifier(installed["schema"], "pg_stat_statements"))
        owners = {session.facts.role, *(row["role"] for row in session.rows(roles.OWNERS, **owned))}
        for role in filter(owners.__contains__, cron_jobs.identities(session)):
            with contextlib.suppress(psycopg.Error), session.savepoint(), cron_jobs.as_role(session, role):
                found |= {(row["owner"], row["queryid"]): row for row in session.rows(counted, **owned)}
    most = sorted(found.values(), key=lambda row: -row["calls"])
    return [Counted(row["query"], row["seconds"]) for row in most]


def of_calls(counted: Sequence[Counted], functions: Iterable[str]) -> float:
    """What the slowest of these functions (bare names) takes, by the statement that calls it most; 0 where none does."""
    return max((_first(c for c in counted if statements.calls(c.text, [name])) for name in functions), default=0.0)


def of_refresh(counted: Sequence[Counted], view: str) -> float:
    """What a refresh of this view (bare name) takes; 0 where none is known."""
    return _first(c for c in counted if view in {name for _, name in statements.refreshed(c.text)})


def _first(counted: Iterable[Counted]) -> float:
    return next((each.seconds for each in counted), 0.0)
