# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runbook's dashboard queries as they are, each bounded and failing alone, with our own figures where they mislead."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..core.errors import NotConverged
from ..postgres import plain
from ..postgres.driver import sql
from ..postgres.privileges import Need
from ..postgres.read_budget import Budget
from ..scout import contract, gold_views
from ..scout.sessions import STUCK_AFTER_SECONDS
from . import assessment
from . import facts as health_facts
from .reads import quality
from .thresholds import DEFAULTS

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..ledger.ledger import Ledger
    from ..postgres.session import Row, Session
    from .thresholds import Figures

#: Newest or gravest first, by a column that a deployment need not have; every value as JSON, none longer than so many
#: characters: the quality report lists all transactions of a violation, however many there are. (json keeps the order of
#: the columns, jsonb does not.)
QUERY: t.LiteralString = """
SELECT shown.total,
       (SELECT json_agg(json_build_array(e.key, CASE WHEN length(e.value #>> '{{}}') > %(longest)s
                                                     THEN to_json(left(e.value #>> '{{}}', %(longest)s - 1) || '…')
                                                     ELSE e.value END) ORDER BY e.nth)
        FROM json_each(shown.record) WITH ORDINALITY AS e (key, value, nth)) AS cells
FROM (
    SELECT record, count(*) OVER () AS total, row_number() OVER ({order}) AS place
    FROM (SELECT row_to_json({row}) AS record FROM {source} AS found) AS records
) AS shown
WHERE shown.place <= %(rows)s ORDER BY shown.place
"""

#: What really went in and came out lately, by clocks that corrections move too.
FLOW = """
SELECT (SELECT count(*) FROM {bronze}
        WHERE ingested_at > clock_timestamp() - interval '15 minutes' AND ingested_at <= clock_timestamp()) AS ingested,
       count(*) FILTER (WHERE processed_at > clock_timestamp() - interval '15 minutes') AS loaded,
       count(*) AS loaded_24_hours
FROM {etl_ledger}
WHERE processed_at > clock_timestamp() - interval '24 hours' AND processed_at <= clock_timestamp()
"""

LAST_LOAD = """
SELECT extract(epoch FROM clock_timestamp() - max(processed_at))::float8 / 60 AS minutes
FROM {etl_ledger} WHERE processed_at <= clock_timestamp()
"""

LONGEST: t.Final = 300
UNJUDGED: t.Final = "unjudged"
#: How many rows a query may be asked for at most.
MOST_ROWS: t.Final = 1000


@dataclasses.dataclass(frozen=True)
class Query:
    """One of the runbook's queries, by its key in the contract: where it belongs, what to mind when reading it, and our
    figures beside it."""

    key: str
    dashboard: str
    caution: str
    ours: tuple[str, ...]
    newest: str = ""
    gravest: str = ""

    @property
    def full_name(self) -> str:
        """Schema and name of the view, or function, that answers it."""
        return contract.names()[self.key]

    @property
    def name(self) -> str:
        """Its name without the schema."""
        return contract.bare(self.full_name)


#: Critical violations of as many hours as were asked for, under a name that has the number in it.
PERIOD: t.Final = "critical_alerts_in_{hours}_hours"
HEALTH, QUALITY, LINKING = "Pipeline health", "Quality monitoring", "Product linking"
REPORT: t.Final = "quality_report_function"
QUERIES: t.Final = (
    Query(
        "ingest_freshness_view",
        HEALTH,
        "pipeline_health covers silver only, and corrections do not move silver's clock; gold is the time since its refresh, "
        "even with nothing to refresh",
        ("bronze_staleness", "silver_staleness", "gold_staleness", "stale_gold_views", "last_load", "backlog_age"),
    ),
    Query(
        "throughput_view",
        HEALTH,
        "counts new sales (in older deployments, events); corrections and reloaded events do not show",
        ("ingested_in_15_minutes", "loaded_in_15_minutes", "backlog_events"),
        newest="minute",
    ),
    Query(
        "etl_performance_view",
        HEALTH,
        "its batches are events, each event repeats the total of its batch, and the pipeline never sets a duration",
        ("loaded_in_24_hours", "etl_runs_in_1_hour", "failed_etl_runs_in_1_hour", "etl_duration"),
        newest="hour",
    ),
    Query(
        "quality_alerts_view",
        QUALITY,
        "sees one hour, counts a discount as a mismatch, and fails as a whole where a sale has a total of 0",
        ("critical_alerts", PERIOD, "older_violations"),
        gravest="severity",
        newest="processed_at",
    ),
    Query(
        REPORT,
        QUALITY,
        "an hour without sales is degraded, failure_count is 0 where linking or latency is degraded, and a backdated event "
        "counts as latency",
        (PERIOD, "backlog_age", "linking_coverage"),
        gravest="check_category",
    ),
    Query(
        "linking_view",
        LINKING,
        "counts lines too recent to have been linked",
        ("linking_coverage",),
        newest="hour",
    ),
)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a query gave: rows of (column, value) in the view's own order, or why it gave nothing."""

    query: Query
    rows: tuple[tuple[tuple[str, t.Any], ...], ...]
    total: int | None
    seconds: float
    error: str = ""
    next_step: str = ""

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return {
            "name": self.query.name,
            "dashboard": self.query.dashboard,
            "rows": [dict(row) for row in self.rows],
            "total": self.total,
            "seconds": self.seconds,
            "error": self.error or None,
            "next_step": self.next_step,
            "caution": self.query.caution,
        }


@dataclasses.dataclass(frozen=True)
class Dashboard:
    """The answers, and our own figures by name."""

    answers: tuple[Answer, ...]
    figures: Mapping[str, assessment.Indicator]
    verdict: str
    hours: int

    def as_dicts(self) -> list[dict[str, t.Any]]:
        """For results: each answer with the figures that belong beside it."""
        return [
            {
                **answer.as_dict(),
                "ours": [self.figures[name.format(hours=self.hours)].as_dict() for name in answer.query.ours],
            }
            for answer in self.answers
        ]


def read(
    session: Session,
    ledger: Ledger,
    *,
    hours: int,
    rows: int,
    query_seconds: float,
    stuck_after_seconds: float = STUCK_AFTER_SECONDS,
    jobs: list[str] | None = None,
    thresholds: Mapping[str, Figures] | None = None,
) -> Dashboard:
    """Every query and our figures, in READ ONLY transactions; each query, and the figures together, get so many seconds."""
    found = health_facts.read(
        session, ledger, budget_seconds=query_seconds, stuck_after_seconds=stuck_after_seconds, jobs=jobs
    )
    report = assessment.assess(found, thresholds or DEFAULTS)
    with session.read():
        extra = _extra(Budget(session, query_seconds), found, hours)
        answers = tuple(_ask(session, query, hours, rows, query_seconds) for query in QUERIES)
    return Dashboard(answers, {i.name: i for i in (*report.indicators, *extra)}, report.verdict, hours)


def _ask(session: Session, query: Query, hours: int, rows: int, seconds: float) -> Answer:
    began = time.monotonic()
    budget = Budget(session, seconds)
    found = budget.read(query.name, _statement(query, hours, rows))
    spent = round(time.monotonic() - began, 3)
    if found is None:
        problem = budget.problems[query.name]
        next_step = problem.next_step
        if problem.kind == "privilege" and query.key != REPORT:
            next_step = Need("TABLE", query.full_name, "SELECT").grant(session)
        return Answer(query, (), None, spent, problem.said, next_step)
    cells = tuple(tuple((name, value) for name, value in row["cells"] or ()) for row in found)
    return Answer(query, cells, found[0]["total"] if found else 0, spent)


def _statement(query: Query, hours: int, rows: int) -> Callable[[Session], list[Row]]:
    name = sql.Identifier(*query.full_name.split("."))
    source = sql.SQL("{}({})").format(name, sql.Literal(hours)) if query.key == REPORT else name
    order = [sql.SQL("record ->> {}").format(sql.Literal(query.gravest))] if query.gravest else []
    order += [sql.SQL("record ->> {} DESC NULLS LAST").format(sql.Literal(query.newest))] if query.newest else []
    by = sql.SQL("ORDER BY {}").format(sql.SQL(", ").join(order)) if order else sql.SQL("")

    def ask(session: Session) -> list[Row]:
        if whose := gold_views.code_of_others(session, query.full_name):
            raise NotConverged(
                f"refused to read {query.full_name}",
                said=f"it would run {whose} with our rights",
                next_step=f"read it, then its owner or a superuser drops it, or names another in {contract.OPTION}",
            )
        found = plain.columns(session, source, "found")
        statement = sql.SQL(QUERY).format(order=by, source=source, row=plain.row(found, "found"))
        return session.rows(statement, rows=rows, longest=LONGEST)

    return ask


def _extra(budget: Budget, found: health_facts.Facts, hours: int) -> list[assessment.Indicator]:
    """Figures that no verdict is made of, and that have no threshold; what costs most is read last."""
    flow: Row = budget.read("flow", lambda s: s.row(contract.compose(FLOW))) or {}
    last_load = budget.read("last_load", lambda s: s.row(contract.compose(LAST_LOAD))["minutes"])
    older: Row = budget.read("before", lambda s: quality.older(s, hours)) or {}
    most = quality.most_sales(budget.left)
    alerts, _ = budget.read("period", lambda s: quality.alerts(s, hours, most)) or ([], False)
    critical = [row for row in alerts if row["critical"]]
    named = ", ".join(f"{row['alert']} {row['found']:,}" for row in critical)
    failed = sum(run.status == "failed" for run in found.runs)
    names, period, history = contract.names(), PERIOD.format(hours=hours), "cron.job_run_details"
    sales = f"{names.transactions}, {names.line_items}"
    problems = {**found.problems, **budget.problems}

    def figure(
        name: str, value: float | None, unit: str, source: str, *reads: str, reason: str = ""
    ) -> assessment.Indicator:
        problem = next((problems[read].said for read in reads if read in problems), None)
        if problem or value is None:
            return assessment.Indicator(name, None, unit, "unknown", source, problem or "there is none")
        return assessment.Indicator(name, float(value), unit, UNJUDGED, source, reason)

    return [
        figure("last_load", last_load, "minutes", f"max({names.etl_ledger}.processed_at)", "last_load"),
        figure("ingested_in_15_minutes", flow.get("ingested"), "events", names.bronze, "flow"),
        figure("loaded_in_15_minutes", flow.get("loaded"), "events", names.etl_ledger, "flow"),
        figure("loaded_in_24_hours", flow.get("loaded_24_hours"), "events", names.etl_ledger, "flow"),
        figure("etl_runs_in_1_hour", len(found.runs), "runs", history, "jobs", "runs"),
        figure("failed_etl_runs_in_1_hour", failed, "runs", history, "jobs", "runs"),
        figure(period, sum(row["found"] for row in critical), "alerts", sales, "period", reason=named),
        figure("older_violations", sum(older.get(k, 0) for k in ("negative", "empty")), "sales", sales, "before"),
    ]
