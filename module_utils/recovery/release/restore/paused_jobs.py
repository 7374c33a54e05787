# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that are rolled back while a pause is in force: they stay disabled, and the pause re-enables them as they
were."""

from __future__ import annotations

import typing as t

from ...core.errors import NotConverged
from ...ledger.pauses import open_pause, save_job, set_pause_jobs
from ...scout import cron_jobs
from ..catalog import database_level

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...ledger.ledger import Ledger
    from ...ledger.pauses import Pause
    from ...postgres.session import Row, Session
    from ..catalog.entries import Entry


def refuse_unfinished(session: Session, pause: Pause | None) -> None:
    """Raises NotConverged where a pause is still waiting for runs: the schedules of their jobs are placeholders."""
    parked = [job.jobname for job in cron_jobs.jobs(session) if job.parked] if pause else []
    if parked:
        raise NotConverged(
            "refused to roll back: a pause is not finished",
            on=session.where,
            said=f"a run of {', '.join(parked)} is in flight",
            next_step="pause_ingestion.yml waits for it; then run the same command again",
        )


def hold(
    session: Session, ledger: Ledger, live: Mapping[str, Entry], wanted: Mapping[str, Entry], names: list[str] | None
) -> tuple[list[Row], list[str]]:
    """What the pause in force disables from now on, and the names of jobs it did not disable before; inside the
    transaction that has given all jobs their captured state, before anybody sees that."""
    pause = open_pause(ledger)
    if pause is None:
        return [], []
    # Data is saved with policies off, and by one pg_cron shows each role its own jobs.
    session.execute(database_level.WHOLE, mode="on")
    jobs = {job.jobid: job for job in cron_jobs.jobs(session)}
    keys = {e.address[1]: key for key, e in live.items() if e.kind == "cron_job" and e.address}
    given_back: list[Row] = []
    for entry in pause.jobs:
        job, after = jobs.get(entry["jobid"]), wanted.get(keys.get(entry["jobid"], ""))
        if job is not None and (after is None or after.facts["active"]):
            given_back.append({**save_job(job), "jobname": entry["jobname"], "owner": entry["owner"]})
    started = [job for job in cron_jobs.ingestion_jobs(session, names, required=False) if job.active]
    for job in started:
        cron_jobs.alter(session, job, active=False, schedule=job.schedule)
    # A job that was made again has another number.
    anew = {(job.jobname, job.owner) for job in started}
    kept = [entry for entry in given_back if (entry["jobname"], entry["owner"]) not in anew]
    now = [*kept, *map(save_job, started)]
    set_pause_jobs(ledger, pause, now)
    return now, [job.jobname for job in started]
