# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names likely causes of what was found, with the evidence and the exact next command."""

from __future__ import annotations

import dataclasses
import json
import shlex
import typing as t

from ..core.text import count, in_words
from ..core.times import to_the_second
from ..scout import at_commit, contract
from ..scout.sessions import STUCK_AFTER_SECONDS
from .causes import jobs, objects, surroundings
from .causes.base import (
    ASSESS,
    CLEANUP,
    DEAD_LETTERS,
    REFRESH,
    RESET,
    RESUME,
    ROLLBACK,
    TERMINATE,
    Diagnosis,
    cause,
    rolled_back,
)
from .thresholds import GOLD_LATE_SECONDS

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from ..ledger.lease import AtWork
    from ..pipeline.bronze_writers import Refusal
    from ..pipeline.refresh_gold import Freshness
    from ..postgres.session import Row
    from .facts import Facts
    from .schema_drift import Drift

#: Rows are looked at before they move.
SET_ASIDE: t.Final = f"{CLEANUP} --check shows what would be quarantined; the same without --check does it"

#: At least so much time is advised to look again.
MORE_SECONDS: t.Final = 60
#: Characters of what a run left behind.
MOST_SAID: t.Final = 500

#: Why something cannot be seen where a person can change that, in words.
HIDING: t.Final = {
    "privilege": "insufficient privileges to see",
    "wrong_database": "insufficient privileges to see",
    "not_reached": "cannot see",
}

DEPLOYED_SECONDS: t.Final = 86400.0
#: What breaks no rule of the view of quality alerts, in words.
SPOILED: t.Final = {
    "EMPTY_BASKET": "silver has baskets without lines",
    "MISSING_LINES": "silver is missing lines of sales",
    "NOT_A_NUMBER": "silver has amounts that are not numbers",
}


#: How a session waits that has committed and is not told so.
AT_COMMIT: t.Final = "IPC: SyncRep"


def diagnose(
    found: Facts, status: Mapping[str, str], blockers: Collection[str] = (), *, trouble: bool = False
) -> list[Diagnosis]:
    """Likely causes, most blocking first; `status` is the judgement of each indicator by name, `trouble` says that
    something is wrong which they do not tell."""
    known = (_of_whoever_works, surroundings.interrupted, _of_what_is_hidden, surroundings.prepared, objects.missing, _of_the_standby,
             _of_sessions, _of_the_pause, jobs.missing, jobs.hindered, _of_the_etl)  # fmt: skip
    seen = (objects.triggers, _of_the_flow, jobs.silent, _of_gold, jobs.gold, objects.swallowed, objects.lost,
            _of_the_writers, _of_data, _of_jobs_off, surroundings.server)  # fmt: skip
    # What was deployed today comes before what it may have done; what was deployed long ago explains little.
    parts = (
        (*known, _of_the_release, *seen) if found.drift and _is_young(found.drift) else (*known, *seen, _of_the_release)
    )
    status = {**status, "": "fail"} if trouble else status
    causes = [made for part in parts for made in part(found, status)]
    if blockers:
        # What blocks a resume has to be fixed first; a reset resumes when nothing is left of it.
        causes = [dataclasses.replace(c, next_command=RESET) if c.next_command == RESUME else c for c in causes]
        # Where nothing is left that a reset would fix, what it would not comes before it.
        first = set(blockers) == {"critical_alerts"}
        fixes = {SET_ASIDE, found.damaged.command if found.damaged else SET_ASIDE}
        causes.sort(key=lambda c: 2 if not c.blocks else 0 if first and c.next_command in fixes else 1)
    if found.at_work is not None:
        wait = _wait_for(found.at_work)
        causes = [dataclasses.replace(c, next_command=wait) if RESET in c.next_command else c for c in causes]
    return [dataclasses.replace(made, rank=rank) for rank, made in enumerate(causes, 1)]


def is_late(view: Freshness, *, paused: bool) -> bool:
    """Whether a view waits for a refresh that will not come by itself."""
    if view.state == "unpopulated":
        return True
    return view.state == "stale" and (paused or view.behind_seconds is None or view.behind_seconds > GOLD_LATE_SECONDS)


def _is_young(drift: Drift) -> bool:
    """Whether a release was captured so recently that what was deployed since is the first suspect."""
    return drift.seconds < DEPLOYED_SECONDS


def _wait_for(work: AtWork) -> str:
    return f"let {work.owner} finish, or ask; to take over on purpose give -e scout_takeover=true"


def _of_whoever_works(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A second reset beside the first would be refused, and is not advised."""
    work = found.at_work
    if work is not None:
        evidence = f"{work.describe()}; the lease expires in {in_words(work.seconds_left)} unless it is used"
        what = f"{work.owner} has been at work on incident {work.incident} for {in_words(work.seconds)}"
        yield cause(what, evidence, _wait_for(work))


def _of_what_is_hidden(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    # Whom a cause of its own names is ended, or asked, by that.
    stuck = {a.pid for a in (*found.stuck.end, *(left for left, _ in found.stuck.leave))} if found.stuck else set[int]()
    for row in found.exclusive:
        if row["pid"] in stuck:
            continue
        who = ", ".join(part for part in (row["role"], row["application"]) if part) or "unknown"
        evidence = f"pid {row['pid']} ({who}) for {in_words(row['seconds'] or 0)}, "
        queue = f"for which pid {row['waiting']} waits to lock it, and everybody behind that one"
        evidence += queue if row["waiting"] else "as a migration does"
        yield cause(f"{row['relation']} is locked against reading", evidence, f"wait for it to end, or ask {who}")
    late = [name for name, problem in found.problems.items() if problem.kind == "budget"]
    if late:
        what = f"could not look in time: {', '.join(late)}"
        evidence = f"the assessment had {in_words(found.budget_seconds)}"
        more = f"{ASSESS} -e scout_budget_seconds={max(MORE_SECONDS, round(10 * found.budget_seconds))}"
        yield cause(what, evidence, more, blocks=False)
    grants: dict[str, list[str]] = {}
    for name, problem in found.problems.items():
        if problem.kind in HIDING:
            grants.setdefault(f"{problem.kind}\n{problem.said}\n{problem.next_step}", []).append(name)
    for key, names in grants.items():
        kind, said, next_step = key.split("\n")
        yield cause(f"{HIDING[kind]}: {', '.join(names)}", said, next_step)


def _of_sessions(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    if found.stuck is None:
        return
    after = found.stuck_after_seconds
    command = TERMINATE if after == STUCK_AFTER_SECONDS else f"{TERMINATE} -e scout_stuck_after_seconds={after:g}"
    for activity in found.stuck.end:
        what = "blocks the pipeline" if not activity.pipeline else "is stuck in the pipeline"
        if activity.holds_key:
            what = "holds Scout's refresh lock: gold cannot be refreshed"
        yield cause(f"pid {activity.pid} {what}", activity.describe(), command)
    for activity, why in found.stuck.leave:
        what = f"pid {activity.pid} blocks the pipeline and this toolkit does not end it"
        yield cause(what, f"{activity.describe()}; {why}", f"ask {activity.role or 'its owner'} to end it")


def _of_the_standby(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Commits that wait for a standby: whatever writes stands still, and nothing that writes helps."""
    waiting = [activity for activity in found.activities if activity.wait == AT_COMMIT]
    if waiting:
        longest = in_words(max(activity.seconds for activity in waiting))
        evidence = (
            f"{count(len(waiting), 'session')} in their COMMIT, the longest for {longest}: {waiting[0].describe()}"
        )
        yield cause(
            "no commit ends: a synchronous standby does not answer",
            evidence,
            f"{at_commit.REMEDY} then {RESET}",
        )


def _of_the_pause(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    pause = found.pause
    if pause is None:
        return
    took = ", ".join(job["jobname"] for job in pause.jobs) or "no job"
    since = f"{in_words(pause.seconds)} ago ({to_the_second(pause.paused_at)})"
    evidence = f"{since}, for incident {pause.incident}{pause.why}; it took {took}"
    command = RESUME
    if pause.abandoned:
        command = RESET
        evidence += "; the operation it was a step of died, so it is nobody's to ask for"
    elif found.me and not pause.is_own(found.me):
        command = f"ask {pause.actor}; to resume all the same, resume_ingestion.yml takes -e scout_takeover=true"
    if found.ingestion == "paused":
        yield cause(f"ingestion was paused by {pause.actor}", evidence, command)
    elif found.ingestion == "running":
        yield cause(f"a pause by {pause.actor} is on record, yet jobs are active", evidence, command)


def _idle(found: Facts) -> list[str]:
    return [job.jobname for job in found.etl_jobs if not job.starts]


def _taken(found: Facts) -> set[str]:
    """The jobs that a pause of ours disabled and will re-enable."""
    return {job["jobname"] for job in found.pause.jobs} if found.pause else set()


def _of_the_etl(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    failed = found.failed_run
    said = failed.said[:MOST_SAID] if failed else ""
    if idle := [name for name in _idle(found) if name not in _taken(found)]:
        yield _off(found, idle)
    if found.suspects:
        first = found.suspects[0]
        number = "one malformed event blocks" if len(found.suspects) == 1 else "malformed events block"
        evidence = f"the last ETL run failed: {said}" if failed else "every batch that holds it fails"
        yield cause(f"{number} the ETL: event {first.event_id}, {first.reason}", evidence, RESET)
    for row in found.repeats[:1]:
        what = f"duplicate transaction_id {row['transaction_id']} within one batch: the ETL cannot load it"
        yield cause(what, f"events {' and '.join(row['event_ids'])}" + (f"; {said}" if failed else ""), RESET)


def _of_the_release(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    drift = found.drift
    if drift and "fail" in status.values():
        what = f"the schema differs from that of release {drift.release}, captured {in_words(drift.seconds)} ago"
        command = f"{ROLLBACK} -e scout_release={shlex.quote(drift.release)} --check"
        advice = f"if that deployment is to blame: {command} previews the rollback"
        yield cause(what, drift.changes.first(), advice, blocks=_is_young(drift))


def _of_the_flow(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    failed = found.failed_run
    explained = bool(found.suspects or found.repeats or _idle(found))
    if failed and not explained:
        said = failed.said[:MOST_SAID]
        first = found.wider.remedy or "fix what PostgreSQL reports,"
        yield cause("the ETL job fails", said, f"{first} then {RESET}")
    elif status.get("backlog_age") in ("warn", "fail") and not explained and found.backlog:
        waiting = f"{count(found.backlog.events, 'event')} pending, the oldest for {in_words(found.backlog.seconds)}"
        if found.runs or "runs" in found.problems:
            yield cause("the ETL is behind", waiting, RESET)
        else:
            look = "look at the log of the scheduler (SHOW cron.launch_active_jobs)"
            yield cause(
                "the scheduler starts no ETL run", f"{waiting}; no run within the hour", f"{look}, then {RESET}"
            )
    if status.get("etl_duration") in ("warn", "fail") and not failed:
        evidence = f"the latest took {in_words(found.runs[0].seconds or 0)}"
        yield cause("ETL runs take long", evidence, f"{TERMINATE} --check shows who is blocking", blocks=False)


def _of_gold(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    for view in found.gold or []:
        name, late = view.view.full_name, is_late(view, paused=found.ingestion == "paused")
        if name in (found.wider.without_a_key or []):
            evidence = "the pipeline refreshes CONCURRENTLY, which needs a unique index on plain columns"
            what = f"{name} has no unique index, so the pipeline cannot refresh it"
            yield cause(what, evidence, f"create the unique index of {name} again, then {REFRESH}", blocks=late)
        if late:
            yield cause(f"{name} is {view.state}", view.why, REFRESH)


def _of_data(found: Facts, status: Mapping[str, str]) -> Iterator[Diagnosis]:
    hours = count(found.alert_hours, "hour")
    if found.damaged:
        what = f"silver has lost or altered {count(len(found.damaged.differing), 'sale')} whose events are sound"
        yield cause(what, found.damaged.sample(), found.damaged.command)
    for row in found.alerts:
        if _all_damaged(found, row):
            continue
        alert = str(row["alert"])
        what = f"silver violates {alert}" if row["critical"] else SPOILED.get(alert, alert)
        samples = ", ".join(row["samples"] or [])
        evidence = f"{count(row['found'], 'sale')} of the last {hours}, for example {samples}"
        yield cause(what, evidence, SET_ASIDE, blocks=bool(row["critical"]))
    if found.older and (found.older["negative"] or found.older["empty"]) and not _all_damaged(found, found.older):
        evidence = (
            f"{count(found.older['negative'], 'negative total')} and {count(found.older['empty'], 'empty basket')}, "
            f"for example {found.older['sample']}; the acceptance gate fails on them at any age"
        )
        yield cause(f"silver holds violations older than {hours}", evidence, SET_ASIDE, blocks=False)
    if status.get("bronze_staleness") in ("warn", "fail") and not _refused(found):
        yield _of_the_sources(found)
    if status.get("linking_coverage") in ("warn", "fail"):
        evidence = contract.words("{line_items} without product_key")
        look = contract.words("look at {products} and at the job {link_job}")
        yield cause("products are not linked", evidence, look, blocks=False)
    if found.dead_letters:
        evidence = (
            f"{count(found.dead_letters, 'entry', 'entries')} in {contract.names().dead_letters} without resolved_at"
        )
        look = f"{DEAD_LETTERS} lists them, and how they are redriven once the cause is fixed"
        yield cause("unresolved dead letters", evidence, look, blocks=False)


def _refused(found: Facts) -> list[Refusal]:
    return found.wider.writers.refused if found.wider.writers else []


def _of_the_writers(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """Each sender that bronze refuses."""
    for refusal in _refused(found):
        fix = rolled_back(found, refusal.fix, contract.bare(contract.names().bronze))
        yield cause(
            f"events are refused: {refusal.said}",
            "whoever sends is told so, and nothing of it is kept",
            fix,
            blocks=False,
        )


def _of_the_sources(found: Facts) -> Diagnosis:
    """Why no new event arrives, as far as the database knows."""
    evidence = f"the latest is {in_words((found.bronze_minutes or 0) * 60)} old"
    bronze, writers = contract.names().bronze, found.wider.writers
    if writers is not None and writers.tried:
        evidence += f"; {writers.in_vain}"
    look = "look at the edge function and its sources, not at the database"
    if writers is not None and not writers.able:
        # That is how it is where the sources log in as the owner, and where a GRANT was taken from them.
        evidence = f"{evidence}, and nobody but its owner may insert"
        look = f"look at the edge function and its sources: only {writers.owner} may insert into {bronze}, so whoever else tries is refused"
    return cause("no new event arrives", evidence, look, blocks=False)


def _all_damaged(found: Facts, row: Row) -> bool:
    """Whether a rebuild fixes all that a rule found, so that nothing of it has to be moved."""
    return found.damaged is not None and found.damaged.differing.keys() >= set(row["sales"] or ())


def _of_jobs_off(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    etl = {job.jobname for job in found.etl_jobs}
    off = [name for name in found.off if name not in etl and name not in _taken(found)]
    if off:
        yield _off(found, off)


def _off(found: Facts, names: list[str]) -> Diagnosis:
    why = "no pause of this toolkit explains it"
    if found.ledger_unread:
        why = "whether a pause explains it is not known, as the ledger was not read"
    what = f"{'job' if len(names) == 1 else 'jobs'} {', '.join(names)} inactive, and {why}"
    variables = shlex.quote(json.dumps({"scout_activate_jobs": names}))
    return cause(what, "cron.job.active is false", f"if it is not on purpose: {RESUME} -e {variables}")
