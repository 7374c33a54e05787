# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unresolved entries of the dead letter queue by kind of error and source, how old they are, and one of each; bounded and read-only."""

from __future__ import annotations

import typing as t

from ..core.errors import WrongDatabase
from ..core.redaction import Redactor
from ..postgres.driver import errors, sql
from ..postgres.failures import attempting
from ..scout import contract, poison_probe

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..postgres.session import Row, Session

#: So many entries are read at most, and so many of their groups shown at most.
MOST: t.Final = 100_000
MOST_GROUPS: t.Final = 100
#: Characters of a name and of a message, and bytes of a payload, that somebody else selected; a larger payload is not read.
NAME: t.Final = 120
MESSAGE: t.Final = 1000
PAYLOAD: t.Final = 16_384
#: Characters of a value in a sample.
VALUE: t.Final = 200
SHOWN: t.Final = 2000

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

#: What a sample says of itself; where its payload is large, only how large.
SAMPLES = """
SELECT d.dlq_id::text AS dlq_id, left(d.error_message, %(message)s) AS error_message,
       left(d.error_details #>> '{{event,event_id}}', %(name)s) AS event_id,
       left(d.error_details ->> 'run_id', %(name)s) AS run_id, left(d.error_details ->> 'incident', %(name)s) AS incident,
       pg_column_size(d.original_payload) AS bytes,
       CASE WHEN pg_column_size(d.original_payload) <= %(payload)s THEN d.original_payload::text END AS payload
FROM {dead_letters} AS d WHERE d.dlq_id = ANY(%(ids)s::uuid[])
"""


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
    redactor = Redactor()
    told = {row["dlq_id"]: _sample(row, redactor) for row in samples}
    buckets = {"hour": ages["hour"], "day": ages["day"] - ages["hour"], "week": ages["week"] - ages["day"]}
    buckets["older"] = ages["entries"] - ages["week"]
    made = [_group(group, told.get(group["dlq_id"]), redactor) for group in groups]
    return Queue(ages["entries"], ages["entries"] >= most, buckets, made, groups[0]["groups"] if groups else 0)


def _group(row: Row, sample: dict[str, t.Any] | None, redactor: Redactor) -> dict[str, t.Any]:
    kept = {name: row[name] for name in ("error_code", "sqlstate", "source_system", "entries", "retried")}
    kept["error"] = redactor.text(row["error"] or "")
    ages = {name: None if row[name] is None else round(row[name], 1) for name in ("oldest_seconds", "newest_seconds")}
    return {**kept, **ages, "sample": sample}


def _sample(row: Row, redactor: Redactor) -> dict[str, t.Any]:
    """A sample without secrets, and with what is a person's masked as in evidence."""
    payload = row["payload"]
    if payload is not None:
        payload = redactor.line(payload.encode(), VALUE, payload=True).decode(errors="replace")[:SHOWN]
    names = ("dlq_id", "event_id", "run_id", "incident", "bytes")
    return {
        **{name: row[name] for name in names},
        "error_message": redactor.text(row["error_message"] or ""),
        "payload": payload,
    }
