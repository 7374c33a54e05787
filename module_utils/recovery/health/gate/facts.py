# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an acceptance gate asks for besides the facts of an assessment, read within the same budget and on the same snapshot."""

from __future__ import annotations

import dataclasses
import typing as t

from ...core.errors import NotConverged
from ...core.text import count
from ...pipeline.replay import sample
from ...scout import contract, dead_letters, gold_views
from ..reads import quality

if t.TYPE_CHECKING:
    import datetime

    from ...postgres.read_budget import Budget
    from ...postgres.session import Row, Session
    from ..facts import Facts

#: Whether a backlog goes down: what the ETL marked within the last minutes, how much of it had waited longer than that, and
#: what arrived meanwhile. The start is of the transaction, so that the planner can estimate with it and use an index.
FLOW = """
SELECT count(*) AS loaded,
       count(*) FILTER (WHERE p.processed_at - b.ingested_at > make_interval(mins => %(minutes)s)) AS late,
       (SELECT count(*) FROM {bronze} AS a
        WHERE a.event_type = %(event_type)s
          AND a.ingested_at >= now() - make_interval(mins => %(minutes)s) AND a.ingested_at <= clock_timestamp()) AS arrived
FROM {etl_ledger} AS p
JOIN {bronze} AS b ON b.event_id = p.event_id
WHERE p.processed_at >= now() - make_interval(mins => %(minutes)s) AND p.processed_at <= clock_timestamp()
  AND b.event_type = %(event_type)s
"""

#: What this toolkit set aside, whole and on purpose, is no sign of a failure that goes on.
DEAD_LETTERS = """
SELECT count(*) FILTER (WHERE NOT ours) AS grown, count(*) FILTER (WHERE ours) AS ours,
       (array_agg(DISTINCT left(error_code, 60)) FILTER (WHERE NOT ours))[1:3] AS codes
FROM (SELECT error_code, coalesce(error_details ->> 'format' = %(format)s, false) AS ours
      FROM {dead_letters}
      WHERE failed_at >= clock_timestamp() - interval '1 hour' AND resolved_at IS NULL) AS letters
"""

#: The pipeline writes one more row for the same alert every time it looks: what counts is the types.
RAISED = """
SELECT left(alert_type, 60) AS alert, count(*) AS rows,
       extract(epoch FROM clock_timestamp() - max(created_at))::float8 AS seconds
FROM {alerts} WHERE severity = 'critical' AND resolved_at IS NULL
GROUP BY 1 ORDER BY 2 DESC, 1
"""

FLOW_MINUTES: t.Final = 5


def read(budget: Budget, found: Facts, hours: int) -> None:
    """What the facts of an assessment do not have. Sales that were loaded before a rollback do not count: they say nothing of the
    release that runs now."""
    wider = found.wider
    wider.letters = budget.read("letters", lambda s: s.row(contract.compose(DEAD_LETTERS), format=dead_letters.FORMAT))
    wider.raised = budget.read("raised", _raised)
    wider.flow = budget.read("flow", _flow)
    if rollback := budget.read("rollback", sample.read_rollback):
        _ignore_loaded(budget, found, hours, (rollback["captured_at"], rollback["finished_at"]))


def _ignore_loaded(
    budget: Budget, found: Facts, hours: int, times: tuple[datetime.datetime, datetime.datetime | None]
) -> None:
    """Leave sales that were loaded between two times out of what breaks a rule or differs from its event."""
    if found.alerts:
        before = sum(row["found"] for row in found.alerts)
        most = quality.most_sales(found.budget_seconds)
        counting = budget.read("alerts", lambda s: quality.alerts(s, hours, most, times))
        found.alerts = counting[0] if counting else found.alerts
        if ignored := before - sum(row["found"] for row in found.alerts):
            found.limited.append(
                f"{count(ignored, 'violation')} of quality rules did not count: the sales were loaded before the last rollback"
            )
    if found.damaged:
        names = sorted(found.damaged.differing)
        loaded = budget.read("damaged", lambda s: quality.loaded_between(s, names, times)) or set[str]()
        left = {name: fields for name, fields in found.damaged.differing.items() if name not in loaded}
        found.damaged = dataclasses.replace(found.damaged, differing=left) if left else None


def _raised(session: Session) -> list[Row]:
    """A deployment may have no such table, and then anybody who may create in the schema one, or a view, that runs his code."""
    name = contract.names().alerts
    if whose := gold_views.code_of_others(session, name):
        raise NotConverged(
            f"refused to read {name}",
            on=session.where,
            said=f"it would run {whose} with our rights",
            next_step="read it, then its owner or a superuser drops it",
        )
    return session.rows(contract.compose(RAISED))


def _flow(session: Session) -> Row:
    return session.row(contract.compose(FLOW), minutes=FLOW_MINUTES, event_type=contract.names().transaction_event)
