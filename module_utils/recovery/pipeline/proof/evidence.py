# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run has left behind: whether all of gold has just been computed, by the scheduler or by a repair, so that what takes long is not
done once more to see that it can be; and whether silver has what was loaded as it came."""

from __future__ import annotations

import contextlib
import functools
import typing as t

from ...core.errors import MissingPrivilege
from ...ledger import history
from ...postgres import acting
from ...scout import (
    contract,
    cron_runs,
    event_queue,
    expected_silver,
    gold_figures,
    gold_views,
    loadable,
    row_images,
)
from .. import battery, expected

if t.TYPE_CHECKING:
    from collections.abc import Sequence

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

#: Of these events those that were loaded, and are the first of their sales, so that each says what silver has to have.
FIRST = """
SELECT {sale} AS sale, b.event_id::text AS event_id FROM {bronze} AS b
WHERE b.event_id = ANY(%(ids)s::uuid[]) AND {sale} IS NOT NULL AND EXISTS (SELECT FROM {etl_ledger} AS p WHERE p.event_id = b.event_id)
  AND NOT EXISTS (SELECT FROM {transactions} AS t WHERE t.transaction_id = {sale} AND t.source_event_id IS DISTINCT FROM b.event_id)
"""


def otherwise(session: Session, event_ids: list[str], owner: str) -> str:
    """What silver has otherwise than these events say, as far as they have been loaded, in words."""
    with session.read():
        by = acting.actor(session, owner)
        first = {
            row["sale"]: row["event_id"]
            for row in session.rows(contract.compose(FIRST, sale=loadable.sale("b")), ids=event_ids)
        }
        model = expected_silver.Model(row_images.tables(session), session.facts.server_version)
        without = [*battery.unjudged(session, by), *expected_silver.LATER]
        with event_queue.in_its_time_zone(session, by):
            return battery.in_words(model.wrong(session, [*first], [*first.values()], without))


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


def as_computed(session: Session, views: Sequence[gold_views.View]) -> gold_figures.Computed | None:
    """What gold says otherwise than silver as it was computed last, where that can be told of each view: what is slow by nature is not
    computed once more. A repair refreshes it in a pause, when nothing else is in flight. Inside a transaction."""
    found = history.by_a_repair(session)
    still = (found["since"]["at"], found["paused_until"]) if found and found["paused_until"] else None
    settled = max(gold_views.SETTLED_SECONDS, expected.longest_seconds(session))
    moved = functools.partial(history.moved_days, session)
    return gold_figures.as_computed(session, views, still=still, settled_seconds=settled, moved=moved)


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
