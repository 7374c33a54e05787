# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Causes in the scheduler: jobs that are gone, silent, hindered, or that succeed and do nothing."""

from __future__ import annotations

import typing as t

from ...core.redaction import clean
from ...core.text import in_words, printable
from ...scout import contract
from ..reads import jobs as jobs_read
from .base import ASSESS, Diagnosis, cause, rolled_back

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..facts import Facts

#: How often the pipeline's jobs come in Scout v5.2, and what they call.
COMMANDS: t.Final = {
    "load_job": ("* * * * *", "load_function", "2000"),
    "link_job": ("*/5 * * * *", "link_function", "1000"),
    "refresh_job": ("*/5 * * * *", "maybe_refresh_function", ""),
}
OFTEN: t.Final = {name: spec[0] for name, spec in COMMANDS.items()}


def missing(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A job that is not there, or whose command or database is another one now."""
    for each in found.wider.needed or []:
        if each.job is None:
            # A job of that name and owner that is scheduled again stays where it is.
            statement = each.back or _scheduled(each)
            owner = next((job.owner for job in found.jobs), "the role that owns the pipeline")
            if each.strangers:
                calls = ", ".join(f"{function} of {whose}" for function, whose in each.strangers)
                look = f"look at what it does: if it does the work, give it to {owner}; else, as {owner}: {statement}"
                yield cause(
                    f"cannot tell whether a job does the work of {each.name}: it calls {printable(clean(calls))}",
                    "functions of roles that are not the pipeline's count for nothing, for anybody may make one",
                    rolled_back(found, look, each.name),
                )
                continue
            yield cause(
                f"no job does the work of {each.name}: {each.why}",
                "nothing starts it; a reset works with its own hands and cannot replace it",
                rolled_back(found, f"as {owner}: {statement}", each.name),
            )


def _scheduled(needed: jobs_read.Needed) -> str:
    """The statement that schedules the job again as Scout v5.2 has it."""
    names = contract.names()
    for key, (often, function, limit) in COMMANDS.items():
        if names[key] == needed.name:
            return f"SELECT cron.schedule('{needed.name}', '{often}', 'SELECT {names[function]}({limit});');"
    return f"schedule {needed.name} again with cron.schedule"


def hindered(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """What keeps a job from its work although this toolkit could do it."""
    for obstacle in found.wider.rights or []:
        what = f"job {obstacle.job} cannot work: {obstacle.problem}"
        yield cause(what, "its runs fail, whatever this toolkit can do with its own role", f"{obstacle.statement};")


def silent(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A job that is there and that nothing starts, or whose schedule hardly ever comes."""
    for each in found.wider.needed or []:
        if each.job is None or found.now is None:
            continue
        if why := jobs_read.rare(each, found.now):
            often = next((spec for key, spec in OFTEN.items() if contract.names()[key] == each.name), "* * * * *")
            change = f"SELECT cron.alter_job({each.job.jobid}, schedule => '{often}');"
            yield cause(why, "it hardly ever comes", f"as {each.job.owner}: {change}")
            continue
        if "job_runs" in found.problems:
            continue
        run = found.last_run(each)
        if run.status != "fail":
            continue
        if "has not started" in run.problem:
            look = "look whether the scheduler runs (SHOW cron.launch_active_jobs; process pg_cron launcher), and restart the server if not"
            yield cause(run.problem, "no run of it is in cron.job_run_details since", f"{look}, then {ASSESS}")
        elif each.job.jobname not in {job.jobname for job in found.etl_jobs}:
            yield cause(f"job {each.job.jobname} fails", run.problem, f"fix what PostgreSQL reports, then {ASSESS}")


def gold(found: Facts, _status: Mapping[str, str]) -> Iterator[Diagnosis]:
    """A refresh whose runs succeed while a view stays behind, and views that it refreshes and are not there."""
    for name in found.wider.gone_views or []:
        what = f"materialized view {name} is missing: dropped or renamed"
        evidence = f"{contract.names().refresh_function} refreshes it, and fails for all views without it"
        yield cause(what, evidence, rolled_back(found, f"create {name} again as the release has it", name))
    needed = next((n for n in found.wider.needed or [] if n.name == contract.names().refresh_job), None)
    if needed is None or needed.job is None or not needed.starts or found.now is None:
        return
    good = [run.started for run in needed.runs if run.good and run.started]
    for view in found.gold or []:
        if view.state != "stale" or view.refreshed_at is None or view.behind_seconds is None:
            continue
        # Silver was newer before the run began, and the run left the view as it was.
        outrun = min(view.behind_seconds, (found.now - view.refreshed_at).total_seconds())
        idle = [started for started in good if (found.now - started).total_seconds() < outrun]
        if len(idle) > 1:
            names = contract.names()
            latest = in_words((found.now - idle[0]).total_seconds())
            look = f"look at what {names.refresh_function}() and {names.maybe_refresh_function}() return: errors may be rows"
            yield cause(
                f"job {needed.job.jobname} succeeds and does not refresh {view.view.full_name}",
                f"{len(idle)} runs since silver is newer, the latest {latest} ago",
                rolled_back(found, look, names.refresh_function, names.maybe_refresh_function),
            )
            return
