# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names likely causes of what health found, with the evidence and the exact next command."""

from __future__ import annotations

import dataclasses
import typing as t

from .progress import count, in_words

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .health import Findings


@dataclasses.dataclass(frozen=True)
class Diagnosis:
    """A likely cause, what shows it, and the exact next command; lower rank first."""

    rank: int
    cause: str
    evidence: str
    next_command: str

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        return dataclasses.asdict(self)


def diagnose(found: Findings, status: Mapping[str, str]) -> list[Diagnosis]:
    """Likely causes, most blocking first; `status` is the judgement of each indicator by name."""
    causes = [
        *_of_sessions(found),
        *_of_jobs(found),
        *_of_backlog(found, status),
        *_of_gold(found),
        *_of_data(found, status),
    ]
    return [dataclasses.replace(cause, rank=rank) for rank, cause in enumerate(causes, 1)]


def _of_sessions(found: Findings) -> list[Diagnosis]:
    stuck = found.stuck
    if stuck is None:
        return []
    command = "ansible-playbook playbooks/unstick_etl.yml"
    causes: list[Diagnosis] = []
    for activity in stuck.clear:
        what = (
            "holds Scout's refresh lock: gold cannot be refreshed" if activity.holds_key else "is stuck in the pipeline"
        )
        if not activity.pipeline:
            what = "blocks the pipeline"
        causes.append(Diagnosis(0, f"pid {activity.pid} {what}", activity.describe(), command))
    causes += [
        Diagnosis(
            0,
            f"pid {a.pid} is stuck and cannot be ended by this toolkit",
            f"{a.describe()}; {why}",
            "ask its owner to end it",
        )
        for a, why in stuck.leave
        if a.seconds >= 60
    ]
    return causes


def _of_jobs(found: Findings) -> list[Diagnosis]:
    off = [job.jobname for job in found.etl_jobs if not job.active or job.parked]
    if found.pause and found.ingestion == "paused":
        pause = found.pause
        evidence = f"since {in_words(pause.seconds)}, for incident {pause.incident}; it took {', '.join(j['jobname'] for j in pause.jobs)}"
        return [
            Diagnosis(
                0, f"ingestion was paused by {pause.actor}", evidence, "ansible-playbook playbooks/resume_ingestion.yml"
            )
        ]
    if off:
        names = ", ".join(f'"{name}"' for name in off)
        command = f"ansible-playbook playbooks/resume_ingestion.yml -e '{{\"ingestion_jobs\": [{names}]}}'"
        return [
            Diagnosis(
                0,
                f"job {', '.join(off)} is inactive and no pause of this toolkit explains it",
                "cron.job.active is false",
                command,
            )
        ]
    return []


def _of_backlog(found: Findings, status: Mapping[str, str]) -> list[Diagnosis]:
    causes: list[Diagnosis] = []
    reset = "ansible-playbook playbooks/emergency_reset.yml"
    last = found.runs[0] if found.runs else None
    failed = last is not None and last["status"] == "failed"
    said = " ".join(str(last["return_message"]).split()) if last and failed else ""
    late = status.get("backlog_age") in ("warn", "fail")
    if found.suspects and (late or failed):
        first = found.suspects[0]
        number = "one malformed event blocks" if len(found.suspects) == 1 else "malformed events block"
        cause = f"{number} the ETL: event {first.event_id}, {first.reason}"
        evidence = (
            f"the last ETL run failed: {said}"
            if failed
            else "it cannot be converted, and every batch that holds it fails"
        )
        causes.append(Diagnosis(0, cause, evidence, reset))
    elif failed:
        causes.append(Diagnosis(0, "the ETL job fails", said, f"mend what PostgreSQL names, then {reset}"))
    if late and not causes and found.backlog is not None and found.ingestion == "running":
        evidence = f"{count(found.backlog.events, 'event')} pending, the oldest for {in_words(found.backlog.oldest_seconds or 0)}"
        quiet = "" if found.runs else "; no run of the ETL job in the last hour: is the scheduler running?"
        causes.append(Diagnosis(0, "the ETL is behind", evidence + quiet, reset))
    return causes


def _of_gold(found: Findings) -> list[Diagnosis]:
    causes: list[Diagnosis] = []
    refresh = "ansible-playbook playbooks/refresh_gold.yml"
    for fresh in found.gold or []:
        name = fresh.view.full_name
        if fresh.view.populated and not fresh.view.keyed:
            why = "the pipeline refreshes CONCURRENTLY, which needs a unique index on plain columns"
            causes.append(
                Diagnosis(
                    0,
                    f"{name} has no unique index, so the pipeline cannot refresh it",
                    why,
                    f"re-create it, then {refresh}",
                )
            )
        if fresh.state == "unpopulated" or (fresh.state == "stale" and (fresh.behind_seconds or 0) > 600):
            causes.append(Diagnosis(0, f"{name} is {fresh.state}", fresh.why, refresh))
    return causes


def _of_data(found: Findings, status: Mapping[str, str]) -> list[Diagnosis]:
    causes: list[Diagnosis] = []
    for row in found.alerts:
        if row["found"]:
            samples = ", ".join(row["samples"] or [])
            evidence = f"{count(row['found'], 'row')}, for example transaction {samples}"
            next_step = "look at these rows in scout.silver_transactions and scout.silver_line_items and correct them"
            causes.append(Diagnosis(0, f"silver violates {row['alert']}", evidence, next_step))
    if status.get("bronze_staleness") in ("warn", "fail"):
        evidence = f"the newest event is {in_words((found.bronze_minutes or 0) * 60)} old"
        causes.append(
            Diagnosis(
                0,
                "no new event arrives",
                evidence,
                "look at the edge function and its sources; the database is not the cause",
            )
        )
    if found.dead_letters:
        evidence = f"{count(found.dead_letters, 'entry', 'entries')} in scout.bronze_events_dlq without resolved_at"
        causes.append(
            Diagnosis(0, "dead letters wait for someone", evidence, "look at their error_code and error_message")
        )
    return causes
