# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only the report of an incident asks: pauses, what was quarantined and rebuilt, with amounts, and samples;
read-only."""

from __future__ import annotations

import dataclasses
import typing as t

from ...postgres.read_budget import Budget
from ...scout import contract

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Sequence

    from ...postgres.session import Query, Row, Session

PAUSES = """
SELECT paused_at, actor, resumed_at, resumed_by FROM scout_ops.pauses WHERE incident = %(incident)s ORDER BY paused_at
"""

#: Dead letters that these runs made, brought back since or not; an undone run left none. A NaN is no amount.
SET_ASIDE = """
WITH letters AS (
    SELECT k.document ->> 'run_id' AS run_id, d.resolved_at, k.document ? 'event' AS has_event,
           (k.document #>> '{{event,ingested_at}}')::timestamptz AS arrived,
           (k.document #>> '{{transaction,ts}}')::timestamptz AS sold,
           k.document ? 'transaction' AS has_sale, coalesce(jsonb_array_length(k.document -> 'lines'), 0) AS lines,
           CASE WHEN k.document ? 'transaction' THEN k.document #>> '{{transaction,total_amount}}'
                WHEN jsonb_typeof(d.original_payload -> 'total_amount') = 'number' THEN d.original_payload ->> 'total_amount'
           END AS amount
    FROM {dead_letters} AS d CROSS JOIN LATERAL (SELECT d.error_details || '{{}}' AS document OFFSET 0) AS k
    WHERE d.failed_at >= %(since)s AND jsonb_typeof(d.error_details) = 'object'
      AND d.error_details ->> 'run_id' = ANY(%(runs)s::text[])
)
SELECT run_id, count(*) FILTER (WHERE has_event) AS events, count(*) FILTER (WHERE has_sale) AS transactions,
       sum(lines)::bigint AS lines, sum(amount::numeric) FILTER (WHERE amount <> 'NaN')::text AS amount,
       count(*) FILTER (WHERE amount IS NULL OR amount = 'NaN') AS no_amount,
       count(*) FILTER (WHERE resolved_at IS NULL) AS waiting,
       least(min(ingested_at), min(sold_at)) AS first_at, greatest(max(ingested_at), max(sold_at)) AS last_at
FROM (
    SELECT l.*, CASE WHEN arrived BETWEEN '1970-01-01' AND '9999-01-01' THEN arrived END AS ingested_at,
           CASE WHEN sold BETWEEN '1970-01-01' AND '9999-01-01' THEN sold END AS sold_at
    FROM letters AS l
) AS shown GROUP BY run_id
"""

#: Sales that these runs took out of silver and made again from their events, and what they amounted to before and after.
MADE_AGAIN = """
SELECT i.run_id::text AS run_id, count(*) FILTER (WHERE jsonb_array_length(i.removed -> 'transactions') > 0) AS removed,
       count(*) FILTER (WHERE jsonb_array_length(i.added -> 'transactions') > 0) AS added,
       sum((i.removed #>> '{transactions,0,total_amount}')::numeric)
           FILTER (WHERE i.removed #>> '{transactions,0,total_amount}' <> 'NaN')::text AS amount_before,
       sum((i.added #>> '{transactions,0,total_amount}')::numeric)
           FILTER (WHERE i.added #>> '{transactions,0,total_amount}' <> 'NaN')::text AS amount_after
FROM scout_ops.images AS i WHERE i.run_id = ANY(%(runs)s::uuid[]) AND i.undone_by IS NULL GROUP BY i.run_id
"""

#: So many of all samples, evenly; the first, the last, and each at which the verdict changed are always among them.
SAMPLES = """
SELECT at, verdict, state, figures, statuses FROM (
    SELECT s.at, s.verdict, s.state, s.figures, s.statuses, row_number() OVER seen AS place, count(*) OVER () AS total,
           s.verdict IS DISTINCT FROM lag(s.verdict) OVER seen AS turned
    FROM scout_ops.samples AS s JOIN scout_ops.runs AS r USING (run_id) WHERE r.incident = %(incident)s
    WINDOW seen AS (ORDER BY s.at, s.run_id, s.number)
) AS numbered
WHERE turned OR place IN (1, total) OR place %% greatest(1, total / %(most)s) = 0 ORDER BY at
"""

COUNTED = """
SELECT count(*) AS samples FROM scout_ops.samples AS s JOIN scout_ops.runs AS r USING (run_id)
WHERE r.incident = %(incident)s
"""

#: What a picture can show.
MOST_SAMPLES: t.Final = 400
BUDGET_SECONDS: t.Final = 30.0


@dataclasses.dataclass(frozen=True)
class Facts:
    """What the record alone does not tell."""

    pauses: list[Row] = dataclasses.field(default_factory=list["Row"])
    #: By run.
    quarantined: dict[str, Row] = dataclasses.field(default_factory=dict[str, "Row"])
    made_again: dict[str, Row] = dataclasses.field(default_factory=dict[str, "Row"])
    samples: list[Row] = dataclasses.field(default_factory=list["Row"])
    sample_count: int = 0
    #: What could not be read, each with why.
    unknown: dict[str, str] = dataclasses.field(default_factory=dict[str, str])


def read(session: Session, incident: str, runs: Sequence[Row]) -> Facts:
    """All of it; what cannot be read within its time, or may not be, costs itself alone. Inside the caller's transaction."""
    budget = Budget(session, BUDGET_SECONDS)
    ids = [run["run_id"] for run in runs if not run["undone_by"]]
    since: datetime.datetime | None = min((run["started_at"] for run in runs), default=None)

    def ask(name: str, query: Query, **values: t.Any) -> list[Row]:
        return budget.read(name, lambda hurried: hurried.rows(query, **values)) or []

    pauses = ask("pauses", PAUSES, incident=incident)
    samples = ask("samples", SAMPLES, incident=incident, most=MOST_SAMPLES)
    counted = ask("samples", COUNTED, incident=incident)
    letters = ask("dead letters", contract.compose(SET_ASIDE), runs=ids, since=since) if ids else []
    journal = ask("journal", MADE_AGAIN, runs=ids) if ids else []
    return Facts(
        pauses=pauses,
        quarantined={row["run_id"]: row for row in letters},
        made_again={row["run_id"]: row for row in journal},
        samples=samples,
        sample_count=counted[0]["samples"] if counted else len(samples),
        unknown={name: problem.said for name, problem in budget.problems.items()},
    )
