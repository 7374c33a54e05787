# Copyright: (c) 2026, Scout Recovery contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smoke test of the gate: the trial of a proof, of the job that loads, whether it is active or not."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ...core.errors import DatabaseError
from ...pipeline.proof.judgement import CHANGED, FAILED, LOAD, PROVED, TRIAL, Todo, Verdict
from ...pipeline.proof.trial import Trials
from ...postgres import lock_holders
from ...postgres.driver import errors, psycopg
from ...postgres.failures import attempting
from ...scout import contract
from ...scout.cron_jobs import Job
from .checks import SMOKE
from .verdict import CheckResult

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...postgres.session import Session

#: Why a check leaves it out.
NOT_IN_CHECK: t.Final = "not run: check mode executes nothing"
STATUS: t.Final = {PROVED: "pass", CHANGED: "fail", FAILED: "fail"}
#: What a call of the ETL loads where no job can be seen.
EVENTS: t.Final = 2000


def test(
    session: Session, job: Job | None, *, seconds: float, meant: Sequence[str]
) -> tuple[CheckResult, dict[str, t.Any]]:
    """Whether the job still loads what it loaded before, but for columns that are `meant` to change, within so many seconds. Without a
    job to see, the ETL is called as ourselves."""
    began = time.monotonic()
    todo = Todo(job or _call(session), LOAD, TRIAL)
    try:
        with attempting("could not run the smoke test", on=session.where):
            trials = Trials(session, todo.job, seconds, meant=meant, backlog=False)
            verdict = trials.run([todo])[todo.job.jobid]
        status, reason, sqlstate = STATUS.get(verdict.status, "inconclusive"), _words(verdict), verdict.sqlstate
    except DatabaseError as e:
        status, reason, sqlstate = "inconclusive", str(e), e.sqlstate
    if job is None and sqlstate == errors.InsufficientPrivilege.sqlstate:
        status = "inconclusive"
    if status == "inconclusive" and sqlstate == errors.InsufficientPrivilege.sqlstate:
        reason += "; preflight.yml names each missing GRANT"
    if sqlstate == errors.LockNotAvailable.sqlstate:
        with contextlib.suppress(psycopg.Error), session.read():
            if who := lock_holders.describe(lock_holders.in_the_way(session, contract.names().required_tables)):
                reason += f"; locks are held by {who}"
    return _result(status, reason, time.monotonic() - began)


def _call(session: Session) -> Job:
    """The call of the ETL as a job of our own role."""
    command = contract.words(f"SELECT {{load_function}}({EVENTS})")
    return Job(0, contract.names().load_job, "", command, active=False, owner=session.facts.role)


def _words(verdict: Verdict) -> str:
    parts = [f"{verdict.jobname} {verdict.said}"]
    if verdict.sqlstate:
        parts[0] += f" (SQLSTATE {verdict.sqlstate})"
    return "; ".join([*parts, *filter(None, [verdict.next_step])])


def skipped(why: str) -> tuple[CheckResult, dict[str, t.Any]]:
    """A smoke test that was not run did not pass."""
    return _result("inconclusive", why, None)


def _result(status: str, reason: str, seconds: float | None) -> tuple[CheckResult, dict[str, t.Any]]:
    names = contract.names()
    source = f"{names.bronze} to {names.line_items} by {names.etl}, rolled back"
    took = None if seconds is None else round(seconds, 3)
    return CheckResult(SMOKE, seconds, "seconds", status, source, reason), {
        "status": status,
        "reason": reason,
        "seconds": took,
    }
