# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks by which a pipeline is judged, each once: how it is measured, and what follows from it; pure.

Assessment, reset, the end of an incident and the acceptance gate judge by this table. What differs is which of them block.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.text import count, in_words
from ..scout import contract
from . import diagnoses, thresholds
from .reads import jobs as jobs_read
from .reads import losses

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .facts import Facts

#: How many of the latest runs make the mean duration, so that a change shows within minutes.
RUNS: t.Final = 5
FEW: t.Final = 3
#: What is said of jobs where there is none to judge.
NO_JOB: t.Final = "cannot tell: none of the required jobs is there"


class Measured(t.NamedTuple):
    """A value, None where unknown; words about it; and a judgement where the figures alone cannot tell."""

    value: float | None
    reason: str = ""
    status: str | None = None


@dataclasses.dataclass(frozen=True)
class Figure:
    """An indicator: how it is measured and judged, and what follows from it."""

    name: str
    source: str
    #: The reads it is made of.
    reads: tuple[str, ...]
    measure: Callable[[Facts], Measured]
    #: While it fails, or is unknown, a reset does not resume ingestion.
    gate: bool = False
    #: The status from which a reset has something to fix.
    fixed_from: str | None = None
    #: Falls behind while ingestion is paused, and is not judged then.
    flow: bool = False
    #: Without it no verdict can be given.
    essential: bool = False
    #: Tells of runs that are over: of what a pause and a repair came to, only the next run can.
    past: bool = False
    #: The worst it may come to; of a gate the severities tell which block.
    worst: str = "fail"

    @property
    def threshold(self) -> thresholds.Threshold:
        """Its unit, and its figures unless others are given."""
        return thresholds.TABLE[self.name]

    @property
    def unit(self) -> str:
        """Of its value."""
        return self.threshold.unit


#: Of a new database, to which no event has come yet.
NEW: t.Final = Measured(None, "nothing has arrived yet", "ok")


def _is_new(found: Facts) -> bool:
    """Return whether bronze, silver and the dead letter queue are known to be empty."""
    unread = found.problems.keys() & {"bronze", "silver", "dead_letters"}
    return not unread and found.bronze_minutes is None and found.silver_minutes is None and found.dead_letters == 0


def _bronze(found: Facts) -> Measured:
    if _is_new(found):
        return NEW
    return Measured(found.bronze_minutes, "no event" if found.bronze_minutes is None else "")


def _silver(found: Facts) -> Measured:
    """By the newest of silver's clocks: what the ETL loads into a sale that is there keeps its processed_at."""
    minutes, updated = found.silver_minutes, found.wider.updated_minutes
    if minutes is None:
        return NEW if _is_new(found) else Measured(None, "no transaction")
    if updated is not None and updated < minutes:
        return Measured(updated, f"the last new one is {in_words(minutes * 60)} old, later ones only corrected others")
    return Measured(minutes)


def _gold(found: Facts) -> Measured:
    """Minutes since the refresh of the oldest view that silver has outrun; a settled view may be as old as it likes."""
    views = found.gold or []
    stale = [view for view in views if view.state in ("stale", "unpopulated")]
    why = "; ".join(f"{view.view.full_name}: {view.why}" for view in stale)
    if not views:
        return Measured(None, f"no materialized view in schema {contract.names().schema}")
    if any(view.state == "unpopulated" for view in stale):
        return Measured(None, why, "fail")
    if not stale and any(view.refreshed_at is None and view.state == "unknown" for view in views):
        return Measured(None, "; ".join(f"{view.view.full_name}: {view.why}" for view in views))
    dated = [view.refreshed_at for view in stale or views if view.refreshed_at]
    minutes = (found.now - min(dated)).total_seconds() / 60 if dated and found.now else None
    return Measured(minutes, why) if stale else Measured(minutes or 0.0, "nothing newer to show", "ok")


def _late_gold(found: Facts) -> Measured:
    """Views the pipeline's own refresh passed over; while nothing runs, every stale one, for nobody will refresh it."""
    paused = found.ingestion == "paused"
    late = [view for view in found.gold or [] if diagnoses.is_late(view, paused=paused)]
    why = "; ".join(f"{view.view.full_name}: {view.why}" for view in late)
    failing = paused or any(view.state == "unpopulated" for view in late)
    return Measured(float(len(late)), why, "ok" if not late else "fail" if failing else "warn")


def _linking(found: Facts) -> Measured:
    row = found.linking
    if not row or not row["lines"]:
        return NEW if _is_new(found) else Measured(None, "no line item in the last 24 hours")
    if row["due"]:
        return Measured(float(row["due_percent"]))
    if row["percent"] >= thresholds.INDICATORS["linking_coverage"].ok:
        return Measured(float(row["percent"]))
    return Measured(
        None,
        f"cannot tell: all {count(row['lines'], 'line')} of the last 24 hours are newer than "
        f"{thresholds.LINKING_DUE_MINUTES} minutes, and linking is not due yet: ask again then",
    )


def _alerts(found: Facts) -> Measured:
    critical = [row for row in found.alerts if row["critical"]]
    named = ", ".join(f"{row['alert']} {row['found']}" for row in critical)
    return Measured(float(sum(row["found"] for row in critical)), named)


def _duration(found: Facts) -> Measured:
    good = [run.seconds for run in found.runs if run.status == "succeeded" and run.seconds is not None][:RUNS]
    failed = found.failed_run
    reason = f"the last run failed: {failed.said[: diagnoses.MOST_SAID]}" if failed else ""
    if not good:
        return Measured(None, reason or "no successful run in the last hour", "fail" if failed else None)
    return Measured(sum(good) / len(good), reason)


def _events(found: Facts) -> Measured:
    return Measured(None if found.backlog is None else float(found.backlog.events))


def _age(found: Facts) -> Measured:
    return Measured(None if found.backlog is None else found.backlog.seconds / 60)


def _locks(found: Facts) -> Measured:
    # A refresh holds it as long as it takes.
    holders = [a for a in found.activities if a.holds_key and (not a.at_work or a.is_stuck(found.stuck_after_seconds))]
    return Measured(max((a.seconds for a in holders), default=0.0), "; ".join(a.describe() for a in holders))


def _stuck(found: Facts) -> Measured:
    stuck = [*found.stuck.end, *(a for a, _ in found.stuck.leave)] if found.stuck else []
    return Measured(float(len(stuck)), "; ".join(a.describe() for a in stuck))


def _dead_letters(found: Facts) -> Measured:
    return Measured(None if found.dead_letters is None else float(found.dead_letters))


def _gold_refreshable(found: Facts) -> Measured:
    views = found.gold or []
    if not views:
        return Measured(None, f"no materialized view in schema {contract.names().schema}", "fail")
    bad = [f"{view.view.full_name} was never filled" for view in views if not view.view.populated]
    bad += [f"{name} has no unique index" for name in found.wider.without_a_key or []]
    return Measured(float(len(bad)), "; ".join(bad))


def alert(name: str) -> Callable[[Facts], Measured]:
    """How many sales break this rule."""

    def measure(found: Facts) -> Measured:
        rows = [row for row in found.alerts if row["alert"] == name]
        samples: list[str] = []
        for row in rows:
            samples += row["samples"] or []
        return Measured(float(sum(row["found"] for row in rows)), for_example(samples))

    return measure


def _blocked(found: Facts) -> Measured:
    """Events that no batch can be loaded with, among those that come next."""
    why = [f"event {suspect.event_id}: {suspect.reason}" for suspect in found.suspects]
    why += [f"duplicate transaction_id {row['transaction_id']} within one batch" for row in found.repeats]
    return Measured(None if found.backlog is None else float(len(why)), "; ".join(why))


def _lost(found: Facts) -> Measured:
    """Of the latest events, and where these are well of a sample of all; or what is gone since the gate began."""
    row, of_all = found.wider.lost, found.wider.lost_of_all
    if found.wider.gone:
        return Measured(1.0, f"since the gate began {found.wider.gone}")
    if row is None:
        return Measured(None)
    if not row["lost"] and of_all and of_all["lost"]:
        some = f"of a sample of {of_all['looked']:,} events of all time; {for_example(of_all['ids'])}"
        return Measured(float(of_all["lost"]), some)
    return Measured(float(row["lost"]), for_example(row["lost_ids"] or []))


def _altered(found: Facts) -> Measured:
    """Sales that silver has otherwise than their events say, of which no other check tells."""
    if "damaged" in found.problems:
        return Measured(None)
    told = {sale for row in (*found.alerts, found.older or {"sales": ()}) for sale in row.get("sales") or ()}
    differing = found.damaged.differing if found.damaged else {}
    others = {name: fields for name, fields in differing.items() if name not in told and "missing" not in fields}
    shown = [f"{name[:60]} ({', '.join(fields)})" for name, fields in sorted(others.items())[:FEW]]
    return Measured(float(len(others)), for_example(shown))


def _unloaded(found: Facts) -> Measured:
    if found.wider.arrived is None:
        return Measured(None)
    rows = [row for row in found.wider.arrived if row["unloaded"]]
    return Measured(float(len(rows)), "; ".join(map(losses.in_words, rows)))


def _jobs_present(found: Facts) -> Measured:
    needed = found.wider.needed
    if needed is None:
        return Measured(None)
    missing = [f"{each.name}: {each.why}" for each in needed if each.job is None]
    return Measured(float(len(missing)), "; ".join(missing))


def _none_there(needed: list[jobs_read.Needed]) -> bool:
    """Whether no job is there that could be judged: none that is wrong among none tells nothing."""
    return not any(each.job for each in needed)


def _jobs_active(found: Facts) -> Measured:
    needed = found.wider.needed
    if needed is None:
        return Measured(None)
    off = [each.job.jobname for each in needed if each.job and not each.job.starts]
    off += [name for name in found.off if name not in off and found.ingestion == "paused"]
    if not off and _none_there(needed):
        return Measured(None, NO_JOB)
    return Measured(float(len(off)), f"inactive: {', '.join(off)}" if off else "")


def _job_runs(found: Facts) -> Measured:
    """Jobs whose last run failed, or that the scheduler no longer starts."""
    needed = found.wider.needed
    if needed is None:
        return Measured(None)
    if _none_there(needed):
        return Measured(None, NO_JOB)
    runs = [found.last_run(each) for each in needed]
    bad = [run.problem for run in runs if run.status == "fail"]
    unknown = [run.problem for run in runs if run.status == "unknown"]
    if unknown and not bad:
        return Measured(None, "; ".join(unknown))
    return Measured(float(len(bad)), "; ".join([*bad, *unknown]))


def _objects(found: Facts) -> Measured:
    missing = found.wider.missing
    if missing is None:
        return Measured(None)
    refused = [refusal.said for refusal in found.wider.writers.refused] if found.wider.writers else []
    return Measured(float(len(missing) + len(refused)), _listed([*missing, *refused]))


def for_example(samples: list[str]) -> str:
    """The first of them; empty where there is none."""
    return f"for example {', '.join(samples[:FEW])}" if samples else ""


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - FEW} more" if len(names) > FEW else ""
    return f"{', '.join(names[:FEW])}{more}" if names else ""


def _schedules(found: Facts) -> Measured:
    """Jobs that hardly ever come: what a pause disabled tells as well."""
    if found.wider.needed is None:
        return Measured(None)
    if _none_there(found.wider.needed):
        return Measured(None, NO_JOB)
    bad = [why for each in found.wider.needed if (why := jobs_read.rare(each, found.now))]
    return Measured(float(len(bad)), "; ".join(bad))


def _rights(found: Facts) -> Measured:
    rights = found.wider.rights
    if rights is None:
        return Measured(None)
    if found.wider.needed is not None and _none_there(found.wider.needed):
        return Measured(None, NO_JOB)
    return Measured(float(len(rights)), _listed([f"{right.job}: {right.problem}" for right in rights]))


def _gone_views(found: Facts) -> Measured:
    gone = found.wider.gone_views
    return Measured(None) if gone is None else Measured(float(len(gone)), _listed(gone))


def _prepared(found: Facts) -> Measured:
    rows = found.wider.prepared
    return Measured(None) if rows is None else Measured(float(len(rows)), _listed([row["gid"] for row in rows]))


def _interrupted(found: Facts) -> Measured:
    rows = found.wider.interrupted
    if rows is None:
        return Measured(None)
    return Measured(float(len(rows)), _listed([f"{row['action']} {row['run_id']}" for row in rows]))


def _future(found: Facts) -> Measured:
    row = found.wider.future
    return Measured(float(row["sales"]), for_example([row["sample"]])) if row else Measured(0.0)


def _duplicates(found: Facts) -> Measured:
    return Measured(float(found.wider.duplicates or 0))


def _server(found: Facts) -> Measured:
    near = found.wider.server
    return Measured(None) if near is None else Measured(float(len(near)), "; ".join(near))


SALES: t.Final = "{transactions}"
LINES: t.Final = "{transactions}, {line_items}"
JOBS: t.Final = ("needed_jobs",)
RUNS_OF_JOBS: t.Final = "cron.job, cron.job_run_details"
CLOCKS: t.Final = "refresh clocks of the materialized views"
FIGURES: t.Final = (
    Figure("bronze_staleness", "max({bronze}.ingested_at)", ("bronze",), _bronze, essential=True),
    Figure("silver_staleness", "max({transactions}.processed_at, updated_at)", ("silver", "updated"), _silver,
           flow=True, essential=True),
    Figure("gold_staleness", CLOCKS, ("gold",), _gold, flow=True, essential=True, fixed_from="warn"),
    Figure("stale_gold_views", CLOCKS, ("gold",), _late_gold, gate=True, fixed_from="warn"),
    Figure("linking_coverage", "{line_items}.product_key, last 24 hours", ("linking",), _linking, flow=True),
    Figure("critical_alerts", "{transactions}, {line_items}", ("alerts",), _alerts,
           gate=True, fixed_from="fail", essential=True),
    Figure("etl_duration", f"cron.job_run_details, mean of the latest {RUNS} runs within an hour", ("jobs", "runs"), _duration,
           past=True),
    Figure("backlog_events", "{bronze} without {etl_ledger}", ("backlog",), _events, flow=True),
    Figure("backlog_age", "oldest pending {bronze}.ingested_at", ("backlog",), _age,
           gate=True, fixed_from="warn", flow=True, essential=True),
    Figure("stuck_locks", "pg_locks, advisory keys", ("sessions",), _locks, gate=True, fixed_from="fail"),
    Figure("stuck_sessions", "pg_stat_activity, pg_locks", ("sessions",), _stuck, gate=True, fixed_from="warn"),
    Figure("dlq_unresolved", "{dead_letters}", ("dead_letters",), _dead_letters),
)  # fmt: skip
#: Checks without figures that a site may set: there, or not. An assessment judges by both.
CHECKS: t.Final = (
    Figure("empty_baskets", SALES, ("alerts",), alert("EMPTY_BASKET")),
    Figure("missing_lines", LINES, ("alerts",), alert("MISSING_LINES")),
    Figure("not_a_number", LINES, ("alerts",), alert("NOT_A_NUMBER")),
    Figure("gold_refreshable", "pg_class, pg_index", ("gold",), _gold_refreshable),
    Figure("blocked_events", "the oldest pending {bronze}", ("backlog", "suspects", "repeats"), _blocked),
    Figure("lost_events", "{etl_ledger} without {transactions}", ("lost",), _lost),
    Figure("altered_sales", "{transactions} beside {bronze}", ("damaged",), _altered),
    Figure("unloaded_sources", "{bronze}, last hour", ("arrived",), _unloaded),
    Figure("jobs_present", "cron.job", JOBS, _jobs_present),
    Figure("jobs_active", "cron.job", ("jobs", *JOBS), _jobs_active, flow=True),
    Figure("job_runs", RUNS_OF_JOBS, (*JOBS, "job_runs"), _job_runs, flow=True, past=True),
    Figure("schema_objects", "pg_catalog", ("objects",), _objects),
    Figure("job_schedules", "cron.job", JOBS, _schedules),
    Figure("job_rights", "pg_roles, pg_proc, pg_class", ("needed_jobs", "rights"), _rights),
    Figure("gold_views", "pg_proc, pg_class", ("gold_views",), _gone_views),
    Figure("prepared_transactions", "pg_prepared_xacts", ("prepared",), _prepared),
    Figure("interrupted_runs", "scout_ops.runs", ("interrupted",), _interrupted),
    Figure("future_sales", SALES, ("future",), _future),
    Figure("duplicate_sales", SALES, ("duplicates",), _duplicates),
    Figure("database", "pg_stat_database", ("server",), _server, worst="warn"),
)  # fmt: skip
TABLE: t.Final = (*FIGURES, *CHECKS)
