# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an acceptance gate asks for besides the facts of an assessment, read within the same budget and on the same snapshot."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ...core.errors import MissingPrivilege
from ...scout import contract, cron_jobs, dead_letters
from ..facts import GateFacts, Needed

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ...ledger.ledger import Ledger
    from ...postgres.read_budget import Budget
    from ...postgres.session import Row, Session
    from ..facts import Facts

#: An upsert keeps processed_at and moves updated_at.
UPDATED = """
SELECT extract(epoch FROM clock_timestamp() - max(updated_at))::float8 / 60 AS minutes
FROM {transactions} WHERE updated_at <= clock_timestamp() AND isfinite(updated_at)
"""

#: Whether a backlog goes down: what the ETL marked within the last minutes, how much of it had waited longer than that, and
#: what arrived meanwhile.
FLOW = """
WITH since AS (SELECT clock_timestamp() - make_interval(mins => %(minutes)s) AS at)
SELECT count(*) AS loaded,
       count(*) FILTER (WHERE p.processed_at - b.ingested_at > make_interval(mins => %(minutes)s)) AS late,
       (SELECT count(*) FROM {bronze} AS a
        WHERE a.event_type = %(event_type)s
          AND a.ingested_at BETWEEN (SELECT at FROM since) AND clock_timestamp()) AS arrived
FROM {etl_ledger} AS p
JOIN {bronze} AS b ON b.event_id = p.event_id
WHERE p.processed_at BETWEEN (SELECT at FROM since) AND clock_timestamp() AND b.event_type = %(event_type)s
"""

#: What the ETL says it has loaded and silver does not have; and what it passed over without a word, as it does with a
#: payload that is no object or has no transaction_id. A sale that a cleanup set aside while it kept the event is not lost.
LOST = """
SELECT count(*) FILTER (WHERE named AND NOT there) AS lost, count(*) FILTER (WHERE NOT named) AS swallowed,
       (array_agg(event_id::text ORDER BY event_id) FILTER (WHERE named AND NOT there))[1:3] AS lost_ids,
       (array_agg(event_id::text ORDER BY event_id) FILTER (WHERE NOT named))[1:3] AS swallowed_ids
FROM (
    SELECT b.event_id, e.transaction_id IS NOT NULL AS named,
           EXISTS (SELECT FROM {transactions} AS s WHERE s.transaction_id = e.transaction_id)
           OR e.transaction_id IN (
               SELECT d.original_payload ->> 'transaction_id' FROM {dead_letters} AS d
               WHERE d.resolved_at IS NULL AND d.error_details ->> 'format' = %(format)s AND NOT d.error_details ? 'event'
                 AND d.original_payload ->> 'transaction_id' IS NOT NULL) AS there
    FROM {etl_ledger} AS p
    JOIN {bronze} AS b ON b.event_id = p.event_id
    CROSS JOIN LATERAL (
        SELECT CASE WHEN jsonb_typeof(b.event_data) = 'object' THEN b.event_data ->> 'transaction_id' END AS transaction_id
    ) AS e
    WHERE p.processed_at >= clock_timestamp() - make_interval(hours => %(hours)s) AND b.event_type = %(event_type)s
) AS marked
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

MISSING_RELATIONS = """
SELECT name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, nth)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname || '.' || c.relname = name AND c.relkind IN ('r', 'p', 'v', 'm', 'f'))
ORDER BY nth
"""

MISSING_COLUMNS = """
SELECT table_name || '.' || column_name AS name
FROM unnest(%(tables)s::text[], %(columns)s::text[]) WITH ORDINALITY AS wanted (table_name, column_name, nth)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(table_name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(table_name, '.', 2)
WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_attribute AS a
                  WHERE a.attrelid = c.oid AND a.attname = column_name AND a.attnum > 0 AND NOT a.attisdropped)
ORDER BY nth
"""

#: A key counts where it is unique, valid, at once, on plain columns, and for all rows.
MISSING_KEYS = """
SELECT 'unique index on ' || table_name || ' (' || array_to_string(string_to_array(key, ','), ', ') || ')' AS name
FROM unnest(%(tables)s::text[], %(keys)s::text[]) WITH ORDINALITY AS wanted (table_name, key, nth)
JOIN pg_catalog.pg_namespace AS n ON n.nspname = split_part(table_name, '.', 1)
JOIN pg_catalog.pg_class AS c ON c.relnamespace = n.oid AND c.relname = split_part(table_name, '.', 2)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_index AS i
    WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
      AND ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute AS a
                WHERE a.attrelid = c.oid AND a.attnum = ANY((i.indkey::int2[])[0:i.indnkeyatts - 1]) ORDER BY 1)
          = ARRAY(SELECT part FROM unnest(string_to_array(key, ',')) AS part ORDER BY 1))
ORDER BY nth
"""

MISSING_FUNCTIONS = """
SELECT %(schema)s || '.' || name AS name FROM unnest(%(names)s::text[]) WITH ORDINALITY AS wanted (name, nth)
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = %(schema)s AND p.proname || '(' || pg_catalog.oidvectortypes(p.proargtypes) || ')' = name)
ORDER BY nth
"""

#: A job that was off for an hour cannot have run within it.
RESUMED = "SELECT extract(epoch FROM clock_timestamp() - max(resumed_at))::float8 AS seconds FROM scout_ops.pauses"

FLOW_MINUTES: t.Final = 5
HISTORY_SECONDS: t.Final = 6 * 3600.0


def reading(ledger: Ledger, *, period_hours: int, required: Sequence[str]) -> Callable[[Budget, Facts], None]:
    """What findings.read is to read besides, for a gate over so many hours that requires these jobs."""

    def read(budget: Budget, found: Facts) -> None:
        gate = found.gate = GateFacts(period_hours)
        gate.needed = budget.read("needed_jobs", functools.partial(_needed, names=required))
        gate.missing = budget.read("objects", _missing)
        gate.letters = budget.read(
            "letters", lambda s: s.row(contract.compose(DEAD_LETTERS), format=dead_letters.FORMAT)
        )
        gate.raised = budget.read("raised", lambda s: s.rows(contract.compose(RAISED)))
        gate.updated_minutes = budget.read("updated", lambda s: s.row(contract.compose(UPDATED))["minutes"])
        gate.flow = budget.read("flow", _flow)
        gate.lost = budget.read("lost", functools.partial(_lost, hours=period_hours))
        if ledger.present:
            gate.resumed_seconds = budget.read("resumed", lambda s: s.row(RESUMED)["seconds"])

    return read


def _flow(session: Session) -> Row:
    return session.row(contract.compose(FLOW), minutes=FLOW_MINUTES, event_type=contract.names().transaction_event)


def _lost(session: Session, hours: int) -> Row:
    return session.row(
        contract.compose(LOST), hours=hours, event_type=contract.names().transaction_event, format=dead_letters.FORMAT
    )


def _missing(session: Session) -> list[str]:
    """What of the schema is not there, by name."""
    names = contract.names()
    columns = [(table, column) for table, found in names.columns.items() for column in found]
    keys = [(table, ",".join(key)) for table, found in names.unique.items() for key in found]
    found = session.rows(MISSING_RELATIONS, names=[*names.columns, *names.views])
    found += session.rows(
        MISSING_COLUMNS, tables=[table for table, _ in columns], columns=[name for _, name in columns]
    )
    found += session.rows(MISSING_KEYS, tables=[table for table, _ in keys], keys=[key for _, key in keys])
    found += session.rows(MISSING_FUNCTIONS, schema=names.schema, names=list(names.signatures))
    return [row["name"] for row in found]


def _needed(session: Session, names: Sequence[str]) -> list[Needed]:
    cron_jobs.require(session)
    jobs = cron_jobs.jobs(session)
    sources: dict[str, str] = {}
    for row in session.rows(cron_jobs.FUNCTIONS):
        sources[row["name"]] = sources.get(row["name"], "") + "\n" + (row["source"] or "")
    writing = cron_jobs.writers(sources)
    chosen = [choose(name, jobs, writing) for name in names]
    if any(needed.job is None for needed in chosen):
        _require_sight(session)
    return [
        needed if needed.job is None else dataclasses.replace(needed, runs=tuple(_history(session, needed.job)))
        for needed in chosen
    ]


def _require_sight(session: Session) -> None:
    """Refuses to call a job missing that may only be hidden; who owns the ETL very likely owns the jobs."""
    owners = session.rows(
        cron_jobs.ETL_OWNER, schema=contract.names().schema, name=contract.bare(contract.names().load_function)
    )
    if grants := [grant for row in owners for grant in cron_jobs.missing_grants(session, row["owner"])]:
        raise MissingPrivilege(
            "cannot tell whether a job is missing or hidden",
            on=session.where,
            said=f"pg_cron shows role {session.facts.role} only its own jobs",
            next_step="; ".join(grants),
        )


def _history(session: Session, job: cron_jobs.Job) -> list[Row]:
    return cron_jobs.history(session, [job], HISTORY_SECONDS)


def choose(name: str, jobs: Sequence[cron_jobs.Job], writing: Iterable[str]) -> Needed:
    """The job that does the work of this name, an active one before others; for a job of Scout its name is not enough."""
    purpose = contract.names().purposes.get(name)
    named = [job for job in jobs if job.jobname == name]
    if purpose is None:
        fit = named
    else:
        fit = [job for job in named if cron_jobs.writes_silver_or_gold(job.command, writing)]
        fit += [job for job in jobs if job not in fit and cron_jobs.calls(job.command, purpose)]
    fit.sort(key=lambda job: not job.active or job.parked)
    if fit:
        return Needed(name, fit[0])
    return Needed(name, why=f"its command does not call {' or '.join(purpose or ())}" if named else "there is none")
