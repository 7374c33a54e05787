# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unresolved entries of the dead letter queue by kind of error and source, how old they are, and one of each; bounded and read-only."""

from __future__ import annotations

import typing as t

from ..core.errors import WrongDatabase
from ..postgres.driver import errors, sql
from ..postgres.failures import attempting
from ..postgres.without_values import message
from ..scout import contract, poison_probe

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.session import Row, Session

#: So many entries are read at most, and so many of their groups shown at most.
MOST: t.Final = 100_000
MOST_GROUPS: t.Final = 100
#: Characters of a name and of a message that are read, and the largest payload whose amount is read.
NAME: t.Final = 120
MESSAGE: t.Final = 1000
PAYLOAD: t.Final = 16_384

#: Without an order, so that no index is needed and a large queue costs no more than so many of its rows.
UNRESOLVED: t.Final = """
WITH unresolved AS MATERIALIZED (
    SELECT d.dlq_id, left(d.error_code, %(name)s) AS error_code, left(d.source_system, %(name)s) AS source_system, d.retry_count,
           CASE WHEN isfinite(d.failed_at) THEN d.failed_at END AS failed_at,
           left(d.error_details ->> 'sqlstate', 5) AS sqlstate, left({kind}, %(message)s) AS error
    FROM {dead_letters} AS d
    WHERE d.resolved_at IS NULL AND (%(codes)s::text[] IS NULL OR d.error_code = ANY(%(codes)s))
      AND (%(sources)s::text[] IS NULL OR d.source_system = ANY(%(sources)s))
    LIMIT %(most)s
)
"""

GROUPS = (
    UNRESOLVED
    + """
SELECT error_code, source_system, sqlstate, error, count(*) AS entries, count(*) FILTER (WHERE retry_count > 0) AS retried,
       extract(epoch FROM now() - min(failed_at))::float8 AS oldest_seconds,
       extract(epoch FROM now() - max(failed_at))::float8 AS newest_seconds,
       (array_agg(dlq_id::text ORDER BY failed_at DESC NULLS LAST, dlq_id))[1] AS dlq_id, count(*) OVER () AS groups
FROM unresolved GROUP BY error_code, source_system, sqlstate, error
ORDER BY entries DESC, error_code, source_system, sqlstate, error LIMIT %(groups)s
"""
)

AGES = (
    UNRESOLVED
    + """
SELECT count(*) AS entries, count(*) FILTER (WHERE failed_at > now() - interval '1 hour') AS hour,
       count(*) FILTER (WHERE failed_at > now() - interval '1 day') AS day,
       count(*) FILTER (WHERE failed_at > now() - interval '7 days') AS week
FROM unresolved
"""
)

#: Of the payload only its size, and its amount if that is a number.
SAMPLES = """
SELECT d.dlq_id::text AS dlq_id, left(d.error_message, %(message)s) AS error_message,
       left(d.error_details #>> '{{event,event_id}}', %(name)s) AS event_id,
       left(d.error_details ->> 'run_id', %(name)s) AS run_id, left(d.error_details ->> 'incident', %(name)s) AS incident,
       to_jsonb(d.failed_at) #>> '{{}}' AS failed_at, pg_column_size(d.original_payload) AS bytes,
       CASE WHEN pg_column_size(d.original_payload) > %(payload)s THEN NULL
            WHEN jsonb_typeof(d.original_payload -> 'total_amount') = 'number' THEN left(d.original_payload ->> 'total_amount', 30)
       END AS amount
FROM {dead_letters} AS d WHERE d.dlq_id = ANY(%(ids)s::uuid[])
"""


#: What shows an entry with its payload, inside the database alone.
LOOK: t.Final = "SELECT * FROM {{dead_letters}} WHERE dlq_id = '{}';"


class Queue(t.NamedTuple):
    """What is in the queue."""

    #: How many entries are unresolved; where there are more than MOST, that many.
    entries: int
    #: Whether there may be more.
    limited: bool
    #: How many there are of each age: `hour`, `day`, `week`, `older`.
    ages: dict[str, int]
    #: Each error (its code, SQLSTATE, and message without values) and source with its entries, ages in seconds, how many were
    #: retried, and a sample; the largest first.
    groups: list[dict[str, t.Any]]
    #: How many groups there are, also those beyond the limit.
    kinds: int


def read(
    session: Session, *, codes: Sequence[str] = (), sources: Sequence[str] = (), limit: int = 20, most: int = MOST
) -> Queue:
    """The queue, only with these error codes and sources where any are given; raises WrongDatabase where there is none, and
    MissingPrivilege where it may not be read."""
    values: dict[str, t.Any] = {
        "codes": list(codes) or None,
        "sources": list(sources) or None,
        "name": NAME,
        "message": MESSAGE,
        "most": most,
    }
    try:
        with attempting(contract.words("could not read {dead_letters}"), on=session.where), session.read():
            kind = sql.SQL(poison_probe.KIND).format(sql.SQL("left(d.error_message, %(message)s)"))
            ages = session.row(contract.compose(AGES, kind=kind), **values)
            groups = session.rows(contract.compose(GROUPS, kind=kind), groups=min(limit, MOST_GROUPS), **values)
            ids = [group["dlq_id"] for group in groups]
            samples = session.rows(contract.compose(SAMPLES), ids=ids, name=NAME, message=MESSAGE, payload=PAYLOAD)
    except Exception as e:
        if not isinstance(e.__cause__, errors.UndefinedTable | errors.InvalidSchemaName):
            raise
        raise WrongDatabase(
            contract.words("could not read {dead_letters}"),
            on=session.where,
            said="there is no such table",
            next_step="name it in scout_contract if it is called otherwise: docs/variables.md shows how; else preflight.yml",
        ) from e
    found = {row["dlq_id"]: row for row in samples}
    buckets = {"hour": ages["hour"], "day": ages["day"] - ages["hour"], "week": ages["week"] - ages["day"]}
    buckets["older"] = ages["entries"] - ages["week"]
    made = [_group(group, found.get(group["dlq_id"])) for group in groups]
    return Queue(ages["entries"], ages["entries"] >= most, buckets, made, groups[0]["groups"] if groups else 0)


def _group(row: Row, sample: Row | None) -> dict[str, t.Any]:
    """Return a kind of error with its newest entry."""
    kept = {name: row[name] for name in ("error_code", "sqlstate", "source_system", "entries", "retried")}
    ages = {name: None if row[name] is None else round(row[name], 1) for name in ("oldest_seconds", "newest_seconds")}
    said = row["error"] if sample is None else sample["error_message"]
    if sample is not None:
        look = contract.words(LOOK.format(sample["dlq_id"]))
        sample = {**sample, "error_message": message(said or ""), "look": look}
    return {**kept, "error": poison_probe.kind_of(said or ""), **ages, "sample": sample}
