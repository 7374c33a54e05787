# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pauses of ingestion, and what each has to re-enable."""

from __future__ import annotations

import dataclasses
import typing as t

from ..core.errors import RecoveryError
from ..postgres.driver import Jsonb, psycopg
from ..scout import cron_jobs

if t.TYPE_CHECKING:
    import datetime

    from ..postgres.session import Row
    from .ledger import Ledger
    from .runs import Run

OPEN_PAUSE = """
SELECT p.pause_id, p.run_id, p.incident, p.actor, p.paused_at, p.jobs, p.switched,
       extract(epoch FROM clock_timestamp() - p.paused_at)::float8 AS seconds,
       r.parameters ->> 'operation' AS operation,
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
    row["run_id"] = str(row["run_id"])
    return Pause(**row)


class Ingestion(t.TypedDict):
    """How ingestion is (running, paused or unknown), and by whom it is paused, for which incident and why."""

    state: str
    paused_by: str | None
    incident: str | None
    reason: str | None


UNSEEN: t.Final[Ingestion] = {"state": "unknown", "paused_by": None, "incident": None, "reason": None}


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
        seen["state"] = "running" if any(job.active and not job.parked for job in found) else "paused"
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
