# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses of ingestion: what each has to re-enable, and whose it is to work in."""

from __future__ import annotations

import dataclasses
import hashlib
import typing as t

from ..core.errors import PauseHeld, RecoveryError
from ..core.times import to_the_second
from ..postgres.driver import Jsonb, psycopg
from ..scout import cron_jobs
from . import lease
from .controller import same_login

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from ..postgres.session import Row
    from .ledger import Ledger
    from .runs import Run

DIGEST: t.Final = "command_digest"

OPEN_PAUSE = """
SELECT p.pause_id, p.run_id, p.incident, p.actor, p.paused_at, p.jobs, p.switched,
       extract(epoch FROM clock_timestamp() - p.paused_at)::float8 AS seconds,
       r.parameters ->> 'operation' AS operation, r.parent_run_id::text AS parent_run_id,
       coalesce((r.effects ->> 'abandoned')::boolean, false) AS abandoned,
       -- A ledger that nobody has written to since has no such column.
       to_jsonb(p) ->> 'reason' AS reason
FROM scout_ops.pauses AS p LEFT JOIN scout_ops.runs AS r ON r.run_id = p.run_id
WHERE p.resumed_at IS NULL
"""

INSERT_PAUSE = """
INSERT INTO scout_ops.pauses (run_id, incident, actor, jobs, switched, reason)
VALUES (%(run_id)s, %(incident)s, %(actor)s, %(jobs)s, %(switched)s, %(reason)s)
RETURNING pause_id
"""

UPDATE_PAUSE = "UPDATE scout_ops.pauses SET jobs = %(jobs)s, switched = %(switched)s WHERE pause_id = %(pause_id)s"

CLOSE_PAUSE = """
UPDATE scout_ops.pauses
SET resumed_at = clock_timestamp(), resumed_by = %(actor)s, resume_run_id = %(run_id)s
WHERE pause_id = %(pause_id)s AND resumed_at IS NULL
"""


@dataclasses.dataclass(frozen=True)
class Pause:
    """A pause in force."""

    pause_id: int
    run_id: str
    incident: str
    actor: str
    paused_at: datetime.datetime
    seconds: float
    jobs: list[Row]
    switched: bool
    #: The operation it is a step of, where that resumes only what it paused itself.
    operation: str | None = None
    #: Why, as whoever paused gave it.
    reason: str | None = None
    #: Whether the operation it was a step of died before it came to its end.
    abandoned: bool = False

    def find_entries(self, jobs: Iterable[cron_jobs.Job]) -> dict[int, Row]:
        """Return the saved entry of each of these jobs that the pause disabled, by the job's number now."""
        return match_entries(self.jobs, jobs)

    def is_own(self, actor: str) -> bool:
        """Whether this person made it, or nobody is behind it any more."""
        return self.abandoned or same_login(self.actor, actor)

    def is_ours(self, actor: str, incident: str) -> bool:
        """Whether it is one's own, or was made for the incident that one works on."""
        return self.is_own(actor) or (self.incident == incident and incident != "adhoc")

    @property
    def whose(self) -> str:
        """`bob@bastion paused it at 22:04:00 UTC for incident INC-9: moving the table`."""
        left = ", and the operation died" if self.abandoned else ""
        return f"{self.actor} paused it at {to_the_second(self.paused_at)} for incident {self.incident}{self.why}{left}"

    @property
    def why(self) -> str:
        """`: moving the table`, or what is known instead."""
        return (
            f": {self.reason}"
            if self.reason
            else f", a step of {self.operation}"
            if self.operation
            else ", no reason given"
        )


def open_pause(ledger: Ledger) -> Pause | None:
    """The pause in force, if the ledger knows of one."""
    if not ledger.present:
        return None
    found = ledger.session.rows(OPEN_PAUSE)
    if not found:
        return None
    row = found[0]
    row["run_id"], parent = str(row["run_id"]), row.pop("parent_run_id")
    # A pause that was made by itself is meant to outlast whoever made it.
    row["abandoned"] = row["abandoned"] or (parent is not None and lease.died(ledger, parent))
    return Pause(**row)


def match_entries(entries: Iterable[Row], jobs: Iterable[cron_jobs.Job]) -> dict[int, Row]:
    """Return the entry that a pause saved of each of these jobs, by the job's number now. Jobs may have been renamed or recreated
    since, so the number is compared first, then name and owner, then name and command."""
    unmatched, left = list(entries), {job.jobid: job for job in jobs}
    found: dict[int, Row] = {}
    for is_same in (_has_number, _has_owner, _has_command):
        for entry in list(unmatched):
            job = next((job for job in left.values() if is_same(entry, job)), None)
            if job is not None:
                found[job.jobid] = entry
                unmatched.remove(entry)
                del left[job.jobid]
    return found


def save_job(job: cron_jobs.Job) -> Row:
    """Return what a pause stores of a job: a digest instead of its command, which may hold a secret."""
    kept = {key: value for key, value in job.as_dict().items() if key not in ("active", "command")}
    return {**kept, DIGEST: digest_command(job)}


def digest_command(job: cron_jobs.Job) -> str:
    """Return the SHA-256 of a job's command."""
    return hashlib.sha256(job.command.encode()).hexdigest()


def _has_number(entry: Row, job: cron_jobs.Job) -> bool:
    return bool(entry["jobid"] == job.jobid)


def _has_owner(entry: Row, job: cron_jobs.Job) -> bool:
    return (entry["jobname"], entry["owner"]) == (job.jobname, job.owner)


def _has_command(entry: Row, job: cron_jobs.Job) -> bool:
    return (entry["jobname"], entry.get(DIGEST)) == (job.jobname, digest_command(job))


def of_another(ledger: Ledger) -> Pause | None:
    """The pause in which only whoever made it may work: somebody else's, for another incident, whose jobs are still off. Inside
    the caller's transaction."""
    pause = open_pause(ledger)
    if (
        pause is None
        or pause.is_ours(ledger.controller.actor, ledger.incident)
        or not cron_jobs.present(ledger.session)
    ):
        return None
    jobs = cron_jobs.jobs(ledger.session)
    taken = pause.find_entries(jobs)
    there = [job for job in jobs if job.jobid in taken]
    return None if there and all(job.starts for job in there) else pause


def ask_first(ledger: Ledger, what: str, *, takeover: bool) -> list[str]:
    """The one rule for whatever loads, refreshes or moves: raises PauseHeld in a pause of somebody else, unless it is taken
    over; gives what is to be said of that."""
    with ledger.session.read():
        pause = of_another(ledger)
    if pause is None:
        return []
    if takeover:
        return [f"took over a pause: {pause.whose}"]
    raise held_by(pause, ledger, what)


def held_by(pause: Pause, ledger: Ledger, what: str) -> PauseHeld:
    """The refusal that somebody sees who would do something in a pause of somebody else."""
    seen: Ingestion = {
        "state": "paused",
        "off": [job["jobname"] for job in pause.jobs],
        "paused_by": pause.actor,
        "incident": pause.incident,
        "reason": pause.reason,
    }
    return PauseHeld(
        f"refused to {what} what somebody else paused",
        on=ledger.session.where,
        said=pause.whose,
        next_step=f"ask {pause.actor}; to {what} it all the same, run the same command again with -e scout_takeover=true",
        result={"state": "paused", "paused_by": pause.actor, "paused_reason": pause.reason, "ingestion": seen},
    )


class Ingestion(t.TypedDict):
    """How ingestion is (running, paused or unknown), which of its jobs are off, and by whom it is paused, for which incident and why."""

    state: str
    off: list[str]
    paused_by: str | None
    incident: str | None
    reason: str | None


UNSEEN: t.Final[Ingestion] = {"state": "unknown", "off": [], "paused_by": None, "incident": None, "reason": None}


def ingestion(ledger: Ledger, names: list[str] | None = None) -> Ingestion:
    """How ingestion is now, for a command that has not come to look at it; `unknown` where that cannot be told. Raises nothing."""
    session = ledger.session
    found, pause = list[cron_jobs.Job](), None
    try:
        with session.read():
            pause = open_pause(ledger)
            if cron_jobs.present(session):
                found = cron_jobs.ingestion_jobs(session, names)
    except (RecoveryError, psycopg.Error):
        found = []
    seen = UNSEEN.copy()
    if found:
        seen["off"] = [job.jobname for job in found if not job.starts]
        seen["state"] = "running" if len(seen["off"]) < len(found) else "paused"
    if pause:
        seen.update({"paused_by": pause.actor, "incident": pause.incident, "reason": pause.reason})
    return seen


def save_pause(ledger: Ledger, run: Run, jobs: list[Row], *, switched: bool, reason: str | None = None) -> None:
    """Records what a pause is about to change; in the transaction that changes it."""
    if not ledger.present:
        return
    current = open_pause(ledger)
    if current is None:
        values = {"run_id": run.run_id, "incident": ledger.incident, "actor": ledger.controller.actor}
        ledger.session.execute(INSERT_PAUSE, **values, jobs=Jsonb(jobs), switched=switched, reason=reason)
    else:
        merged = {job["jobid"]: job for job in (*current.jobs, *jobs)}
        ledger.session.execute(
            UPDATE_PAUSE,
            pause_id=current.pause_id,
            jobs=Jsonb(list(merged.values())),
            switched=switched or current.switched,
        )


def set_pause_jobs(ledger: Ledger, pause: Pause, jobs: list[Row]) -> None:
    """Records what the pause has to re-enable from now on; in the transaction that changes it."""
    ledger.session.execute(UPDATE_PAUSE, pause_id=pause.pause_id, jobs=Jsonb(jobs), switched=pause.switched)


def close_pause(ledger: Ledger, run: Run, pause: Pause) -> None:
    """Ends a pause; in the transaction that re-enables the jobs."""
    if ledger.present:
        ledger.session.execute(CLOSE_PAUSE, pause_id=pause.pause_id, actor=ledger.controller.actor, run_id=run.run_id)
