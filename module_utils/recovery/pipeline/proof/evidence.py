# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has left behind: whether all of gold has just been computed, by the scheduler or by a repair, so that what takes long is not
done once more to see that it can be."""

from __future__ import annotations

import contextlib
import typing as t

from ...core.errors import MissingPrivilege
from ...ledger import history
from ...scout import contract, cron_runs, gold_views

if t.TYPE_CHECKING:
    from ...postgres.session import Session
    from ...scout.cron_jobs import Job

BY_US: t.Final = "which a repair has just computed"
BY_ITSELF: t.Final = "which its latest run computed"
#: A row has the transaction that wrote it: how many have begun since the last one that may have changed what the jobs do. A refresh
#: itself writes the row of its view. Negative is the age of what is older than PostgreSQL counts.
UNCHANGED = """
SELECT min(age(kept.written)) AS transactions
FROM (
    SELECT p.xmin FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace WHERE n.nspname = %(schema)s
    UNION ALL
    SELECT c.xmin FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relkind <> 'm'
    UNION ALL
    SELECT a.xmin FROM pg_catalog.pg_attribute AS a JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s AND c.relkind IN ('r', 'p', 'v', 'm')
    UNION ALL
    SELECT w.xmin FROM pg_catalog.pg_rewrite AS w JOIN pg_catalog.pg_class AS c ON c.oid = w.ev_class
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s
    UNION ALL SELECT n.xmin FROM pg_catalog.pg_namespace AS n WHERE n.nspname = %(schema)s
    UNION ALL SELECT g.xmin FROM pg_catalog.pg_trigger AS g
    UNION ALL SELECT e.xmin FROM pg_catalog.pg_event_trigger AS e
    UNION ALL SELECT s.xmin FROM pg_catalog.pg_db_role_setting AS s
    UNION ALL SELECT m.xmin FROM pg_catalog.pg_auth_members AS m
) AS kept (written)
WHERE age(kept.written) >= 0
"""
AGE: t.Final = "SELECT age(%(since)s::text::xid) AS transactions"


def refreshed(session: Session, job: Job) -> str:
    """By what all of gold was computed last, by a repair within the last hour or by the latest run of this job, in words; empty where it
    was by neither, or something that it depends on has changed since. Inside a transaction."""
    views = [view for view in gold_views.views(session) if view.populated]
    moments = [at for view in views if (at := gold_views.refreshed_at(session, view))]
    if not moments or len(moments) < len(views):
        return ""
    found = history.by_a_repair(session)
    since = found["since"] if found else None
    if since and all(at.timestamp() >= since["at"] for at in moments) and not _changed(session, since["xid"]):
        return BY_US
    for run in _runs(session, job):
        if run.status != "succeeded" or run.started is None or run.ended is None:
            continue
        within = all(run.started <= at <= run.ended for at in moments)
        if within and not _changed(session, run.xid):
            return BY_ITSELF
    return ""


def _runs(session: Session, job: Job) -> list[cron_runs.Run]:
    """The latest runs of a job, the latest first; none where they may not be seen."""
    with contextlib.suppress(MissingPrivilege):
        return cron_runs.history(session, [job])
    return []


def unchanged(session: Session) -> int:
    """For how many transactions nothing has changed that what the jobs do depends on. Inside a transaction that has changed nothing."""
    return session.row(UNCHANGED, schema=contract.names().schema)["transactions"] or 0


def _changed(session: Session, since: str) -> bool:
    return unchanged(session) < session.row(AGE, since=since)["transactions"]
